-- The pump: many coroutines on one session, whoever leads, and transports of one's own.
local mail = require "mail"
local Pump = require "mail.pump"
local loop = require "mail.loop"
local scripted = require "spec.support.scripted"

local yields_in_pcall = _VERSION ~= "Lua 5.1" or rawget(_G, "jit") ~= nil

local function open(port, more)
  local o = { host = "127.0.0.1", port = port, tls = "none", timeout = 10, helo = "me.example" }
  for name, value in pairs(more or {}) do o[name] = value end
  return assert(mail.smtp.connect(o))
end

local function hello(peer, capabilities)
  peer:send "220 mx\r\n"
  peer:expect "^EHLO "
  peer:send("250-mx\r\n" .. (capabilities or "") .. "250 HELP\r\n")
end

-- Answers VRFY n with 252 n, until the client is gone.
local function echo(peer)
  hello(peer)
  while true do
    local line = peer:line()
    if not line then return end
    peer:send("252 " .. (line:match("^VRFY (.*)$") or "?") .. "\r\n")
  end
end

describe("several coroutines on one session", function()
  it("each get their own answer", function()
    loop.run(function()
      local s = scripted.serve(echo)
      local smtp = open(s.port)
      local tasks = {}
      for i = 1, 50 do tasks[i] = loop.spawn(function() return smtp:verify("n" .. i) end) end
      for i = 1, 50 do assert.equal("n" .. i, tasks[i]:join().lines[1]) end
      smtp:close()
    end)
  end)

  it("send at once what the one who reads would not have sent yet", function()
    -- The server answers nothing before it has both envelopes' worth of commands.
    loop.run(function()
      local s = scripted.serve(function(peer)
        hello(peer, "250-PIPELINING\r\n")
        peer:expect "^RSET"
        peer:expect "^RSET"
        peer:send "250 one\r\n250 two\r\n"
        peer:rest()
      end)
      local smtp = open(s.port)
      local first = loop.spawn(function() return smtp:reset() end)
      local second = loop.spawn(function() return smtp:reset() end)
      assert.is_true(first:join())
      assert.is_true(second:join())
      smtp:close()
    end)
  end)

  it("have deadlines of their own: one gives up, the others get theirs", function()
    loop.run(function()
      local gate = loop.native.event()
      local s = scripted.serve(function(peer)
        hello(peer)
        peer:expect "^VRFY a$"
        gate:wait(10)
        peer:send "252 a\r\n"
        peer:expect "^VRFY b$"
        peer:send "252 b\r\n"
        peer:rest()
      end)
      local smtp = open(s.port)
      local a = loop.spawn(function() return smtp:verify("a", { timeout = 0.02 }) end)
      local b = loop.spawn(function() return smtp:verify("b", { timeout = 10 }) end)
      local ok, err = a:join()
      assert.is_nil(ok)
      assert.equal("timeout", err.kind)
      assert.equal("smtp", err.protocol)
      gate:set()
      assert.equal("b", b:join().lines[1])
      smtp:close()
    end)
  end)

  it("survive the leader's cancel, and a follower's", function()
    for _, victim in ipairs { 1, 2, 3 } do
      loop.run(function()
        local gate = loop.native.event()
        local s = scripted.serve(function(peer)
          hello(peer)
          gate:wait(10)
          while true do
            local line = peer:line()
            if not line then return end
            peer:send("252 " .. line .. "\r\n")
          end
        end)
        local smtp = open(s.port)
        local tasks = {}
        for i = 1, 3 do tasks[i] = loop.spawn(function() return smtp:verify("n" .. i) end) end
        loop.sleep(0.005)
        tasks[victim]:cancel()
        local ok, err = tasks[victim]:join()
        assert.is_nil(ok)
        assert.equal("cancelled", err.kind)
        gate:set()
        for i = 1, 3 do
          if i ~= victim then assert.equal("VRFY n" .. i, tasks[i]:join().lines[1]) end
        end
        assert.equal("VRFY last", smtp:verify("last").lines[1])
        smtp:close()
      end)
    end
  end)

  it("pass the lead on to one who sleeps on: who gives up there leaves it to the next", function()
    for _, how in ipairs { "timeout", "cancelled" } do
      loop.run(function()
        local gate = loop.native.event()
        local s = scripted.serve(function(peer)
          hello(peer)
          peer:expect "^VRFY 1$"
          peer:send "252 1\r\n"
          peer:expect "^VRFY 2$"
          gate:wait(10)
          peer:send "252 2\r\n"
          peer:expect "^VRFY 3$"
          peer:send "252 3\r\n"
          peer:rest()
        end)
        local smtp = open(s.port)
        local tasks, patience = {}, { 10, how == "timeout" and 0.03 or 10, 10 }
        for i = 1, 3 do
          tasks[i] = loop.spawn(function() return smtp:verify(tostring(i), { timeout = patience[i] }) end)
        end
        assert.equal("1", tasks[1]:join().lines[1])
        assert.equal(tasks[2].co, Pump.of(smtp).leading)
        if how == "cancelled" then tasks[2]:cancel() end
        local ok, err = tasks[2]:join()
        assert.is_nil(ok)
        assert.equal(how, err.kind)
        gate:set()
        assert.equal("3", tasks[3]:join().lines[1])
        assert.equal(0, Pump.of(smtp).waiting)
        smtp:close()
      end)
    end
  end)

  it("are woken by the connection itself, each for its own answer", function()
    loop.run(function()
      local s = scripted.serve(function(peer)
        hello(peer, "250-PIPELINING\r\n")
        for _ = 1, 8 do peer:expect "^RSET" end
        for _ = 1, 8 do
          peer:send "250 ok\r\n"
          loop.sleep(0.002)
        end
        peer:rest()
      end)
      local smtp = open(s.port)
      local tasks, woken = {}, 0
      for i = 1, 8 do tasks[i] = loop.spawn(function() return smtp:reset() end) end
      loop.sleep(0)
      local Event = getmetatable(loop.native.event()).__index
      local set = Event.set
      function Event.set(event)
        woken = woken + 1
        return set(event)
      end
      for i = 1, 8 do assert.is_true(tasks[i]:join()) end
      Event.set = set
      assert.equal(0, woken)
      smtp:close()
    end)
  end)

  it("are all told when the session is closed under them", function()
    loop.run(function()
      local s = scripted.serve(function(peer)
        hello(peer)
        peer:rest()
      end)
      local smtp = open(s.port)
      local tasks = {}
      for i = 1, 5 do tasks[i] = loop.spawn(function() return smtp:noop() end) end
      loop.sleep(0.005)
      smtp:close()
      for i = 1, 5 do
        local ok, err = tasks[i]:join()
        assert.is_nil(ok)
        assert.equal("closed", err.kind)
      end
    end)
  end)

  it("are all told when the server is gone", function()
    loop.run(function()
      local s = scripted.serve(function(peer)
        hello(peer)
        peer:line()
        peer:send "421 4.3.2 going down\r\n"
      end)
      local smtp = open(s.port)
      local tasks = {}
      for i = 1, 5 do tasks[i] = loop.spawn(function() return smtp:noop() end) end
      for i = 1, 5 do
        local ok, err = tasks[i]:join()
        assert.is_nil(ok)
        assert.equal(i == 1 and "rejected" or "closed", err.kind)
        assert.is_true(err.temporary)
      end
      smtp:close()
    end)
  end)

  it("are told when another one says QUIT", function()
    loop.run(function()
      local s = scripted.serve(function(peer)
        hello(peer)
        peer:expect "^VRFY a$"
        loop.sleep(0.005)
        peer:send "252 a\r\n"
        peer:expect "^QUIT$"
        peer:send "221 bye\r\n"
      end)
      local smtp = open(s.port)
      local first = loop.spawn(function()
        assert(smtp:verify("a"))
        return smtp:noop() -- queued behind QUIT
      end)
      loop.sleep(0)
      local last = loop.spawn(function() return smtp:quit() end)
      assert.is_true(last:join())
      local ok, err = first:join()
      assert.is_nil(ok)
      assert.equal("closed", err.kind)
    end)
  end)

  it("may be used from the main thread between tasks", function()
    local s = scripted.serve(echo)
    local smtp = open(s.port)
    assert.equal("a", smtp:verify("a").lines[1])
    local task = loop.spawn(function() return smtp:verify("b") end)
    assert.equal("c", smtp:verify("c").lines[1])
    assert.equal("b", task:join().lines[1])
    smtp:close()
    while loop.step() > 0 do end -- luacheck: ignore
  end)

  it("may be coroutines inside a task", function()
    loop.run(function()
      local s = scripted.serve(echo)
      local smtp = open(s.port)
      local inner = coroutine.wrap(function()
        for i = 1, 3 do coroutine.yield(smtp:verify("i" .. i).lines[1]) end
      end)
      assert.same({ "i1", "i2", "i3" }, { inner(), inner(), inner() })
      smtp:close()
    end)
  end)

  it("go on where a log function raises: the error is the caller's, the lead is free", function()
    if not yields_in_pcall then return end
    loop.run(function()
      local s = scripted.serve(echo)
      local angry = false
      local smtp = open(s.port, { log = function() if angry then error("no log", 0) end end })
      angry = true
      local ok, err = pcall(smtp.verify, smtp, "a")
      assert.is_false(ok)
      assert.equal("no log", err)
      angry = false
      assert.equal("b", smtp:verify("b", { timeout = 5 }).lines[1])
      smtp:close()
    end)
  end)
end)

-- A pipe between two coroutines: what one writes the other reads.
local function pipe()
  local function side() return { queue = {}, event = loop.native.event() } end
  local a, b = side(), side()
  local function transport(own, other)
    return {
      read = function(_, timeout)
        while #own.queue == 0 do
          if own.closed then return nil, "closed" end
          local ok, why = own.event:wait(timeout)
          if not ok then return nil, why end
        end
        return table.remove(own.queue, 1)
      end,
      write = function(_, bytes)
        if own.closed or other.closed then return nil, "broken pipe" end
        other.queue[#other.queue + 1] = bytes
        other.event:set()
        return true
      end,
      close = function()
        own.closed, other.closed = true, true
        own.event:set()
        other.event:set()
        return true
      end,
    }
  end
  return transport(a, b), transport(b, a)
end

describe("mail.pump.open", function()
  local function greeted(near, options)
    local smtp = mail.smtp.session()
    local pump = Pump.open(smtp, near, nil, options)
    assert(mail.smtp.greet(pump, { tls = "none", helo = "me.example" }, pump:deadline()))
    return smtp
  end

  -- Reads lines from a transport and answers each from a table.
  local function serve(far, answers)
    far:write("220 mx\r\n")
    local buffer = ""
    while true do
      local bytes = far:read(10)
      if not bytes then return end
      buffer = buffer .. bytes
      for line in buffer:gmatch("([^\r\n]*)\r\n") do
        local answer = answers[line:match("^%a*")]
        if answer then far:write(answer) end
      end
      buffer = buffer:match("[^\n]*$")
    end
  end

  local ANSWERS = { EHLO = "250-mx\r\n250 PIPELINING\r\n", NOOP = "250 ok\r\n", MAIL = "250 ok\r\n",
    RCPT = "250 ok\r\n", DATA = "354 go\r\n", [""] = false, QUIT = "221 bye\r\n", hello = "250 queued as X1\r\n" }

  it("drives a session over a transport of one's own", function()
    loop.run(function()
      local near, far = pipe()
      loop.spawn(serve, far, ANSWERS)
      local smtp = greeted(near, { place = "pipe" })
      assert.equal("mail.smtp (pipe)", tostring(smtp))
      assert.is_true(smtp:noop())
      local receipt = assert(smtp:send { from = "a@example.com", to = "b@example.org", message = "hello\r\n" })
      assert.equal("X1", receipt.queue_id)
      assert.is_true(smtp:quit())
    end)
  end)

  it("serves several coroutines there too", function()
    loop.run(function()
      local near, far = pipe()
      loop.spawn(serve, far, ANSWERS)
      local smtp = greeted(near)
      local tasks = {}
      for i = 1, 10 do tasks[i] = loop.spawn(function() return smtp:noop() end) end
      for i = 1, 10 do assert.is_true(tasks[i]:join()) end
      smtp:close()
    end)
  end)

  it("keeps deadlines, and hears of the end", function()
    loop.run(function()
      local near, far = pipe()
      loop.spawn(serve, far, { EHLO = ANSWERS.EHLO })
      local smtp = greeted(near, { timeout = 0.02 })
      local ok, err = smtp:noop()
      assert.is_nil(ok)
      assert.equal("timeout", err.kind)
      far:close()
      ok, err = smtp:noop()
      assert.is_nil(ok)
      assert.equal("closed", err.kind)
    end)
  end)
end)

describe("a session without a transport", function()
  it("is fed and drained by hand", function()
    local smtp = mail.smtp.session { limits = { line = 100 } }
    assert.equal("wait", smtp:next())
    assert.is_true(smtp:feed "220 mx\r\n")
    assert.equal("greeting", smtp:next())
    assert.equal(1, smtp:raw_command "NOOP")
    assert.equal("readwrite", smtp:wants())
    assert.equal("NOOP\r\n", smtp:output())
    assert.is_nil(smtp:output())
    assert.equal("read", smtp:wants())
    smtp:feed_eof()
    assert.equal("fail", smtp:next())
    local kind = smtp:failure()
    assert.equal("closed", kind)
    smtp:free()
    smtp:free()
    assert.is_true(smtp:is_freed())
    assert.has_error(function() smtp:next() end)
    assert.is_nil(smtp:wants())
    assert.has_error(function() mail.smtp.session { limits = { lines = 1 } } end)
    assert.has_error(function() mail.smtp.session { color = "red" } end)
  end)

  for _, name in ipairs { "imap", "pop3", "smtp" } do
    it("is closed like any other, and says what it is: " .. name, function()
      local session = mail[name].session()
      assert.matches("^mail%." .. name .. " %(no transport", tostring(session))
      assert.is_true(session:close())
      assert.is_true(session:close())
      assert.same({}, { session:fd(), session:wants(), session:deadline() })
      assert.matches("^mail%." .. name .. " %(no transport, closed%)$", tostring(session))
    end)
  end
end)
