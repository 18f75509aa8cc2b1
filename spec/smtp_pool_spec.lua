-- mail.smtp.pool: scripted servers that die at every stage, fairness, rates, ends; and a real Exim.
local mail = require "mail"
local Err = require "mail.err"
local loop = require "mail.loop"
local descriptors = require "spec.support.descriptors"
local scripted = require "spec.support.scripted"
local servers = require "spec.servers"

local MESSAGE = { from = "ann@example.com", to = "bob@example.org", message = "Subject: x\r\n\r\nhello\r\n" }

local function message(more)
  local o = {}
  for name, value in pairs(MESSAGE) do o[name] = value end
  for name, value in pairs(more or {}) do o[name] = value end
  return o
end

-- What a server does at the first connection's `stage`; everything else goes well. `seen` counts whole messages.
local STAGES = { MAIL = "mail", RCPT = "rcpt", DATA = "data" }

-- A server's script. `how.stage` and `how.act(peer)`: what happens there, on the first `how.times` (1)
-- connections; `how.ehlo`: further lines of EHLO's answer; `how.slow`: a gate that every message waits for.
local function server(how)
  local state = { messages = 0, connections = 0, open = 0, most = 0, quits = 0, noops = 0, log = {} }
  local function strike(stage, number)
    return how.stage == stage and number <= (how.times or 1)
  end
  local function converse(peer, number)
    if strike("greeting", number) then return how.act(peer) end
    peer:send "220 mx\r\n"
    local count = 0
    while true do
      local line = peer:line()
      if not line then return end
      local verb = line:match "^%a+"
      local stage = STAGES[verb]
      if stage and strike(stage, number) then return how.act(peer) end
      if verb == "EHLO" then
        peer:send("250-mx\r\n" .. (how.ehlo or "") .. "250 SIZE\r\n")
      elseif verb == "DATA" then
        peer:send "354 go\r\n"
        if strike("content", number) then return how.act(peer) end
        peer.input = "\r\n" .. peer.input
        local text = peer:through "\r\n.\r\n"
        if not text then return end
        if strike("dot", number) then return how.act(peer) end
        if how.gate then how.gate(peer, number) end
        state.messages, count = state.messages + 1, count + 1
        table.insert(state.log, { number = number, at = loop.now(), subject = text:match "Subject: ([^\r]*)" })
        peer:send(("250 2.0.0 queued as %d.%d\r\n"):format(number, count))
        if strike("between", number) then return how.act(peer) end
      elseif verb == "QUIT" then
        state.quits = state.quits + 1
        peer:send "221 bye\r\n"
        return
      else
        if verb == "NOOP" then state.noops = state.noops + 1 end
        peer:send "250 ok\r\n"
      end
    end
  end
  return function(peer, number)
    state.connections, state.open = state.connections + 1, state.open + 1
    state.most = math.max(state.most, state.open)
    converse(peer, number)
    state.open = state.open - 1
  end, state
end

-- PUC Lua 5.1 cannot wait inside pcall: there a failure leaves its server behind.
local guarded = _VERSION == "Lua 5.1" and not rawget(_G, "jit") and function(fn, ...) return true, fn(...) end or pcall

local PIPELINING = "250-PIPELINING\r\n"

-- Runs `fn(pool, state, port)` with a pool on such a server.
local function with(how, options, fn)
  return loop.run(function()
    local script, state = server(how)
    local s = scripted.serve(script, math.huge)
    local o = { host = "127.0.0.1", port = s.port, tls = "none", timeout = 10, helo = "me.example",
      back_off = { 0.01, 0.05 } }
    for name, value in pairs(options or {}) do o[name] = value end
    local pool = mail.smtp.pool(o)
    local ok, why = guarded(fn, pool, state, s.port)
    pool:close { now = true }
    s:close()
    if not ok then error(why, 0) end
  end)
end

local function spawn_all(n, fn)
  local tasks = {}
  for i = 1, n do tasks[i] = loop.spawn(fn, i) end
  return tasks
end

local function join_all(tasks)
  for _, task in ipairs(tasks) do task:join() end
end

local function close(peer) peer:close() end

describe("mail.smtp.pool", function()
  it("sends for many coroutines over few connections", function()
    for _, ehlo in ipairs { "", PIPELINING } do
      loop.run(loop.sleep, 0.001) -- the loop has descriptors of its own
      local before = descriptors.count()
      with({ ehlo = ehlo }, { size = 4 }, function(pool, state)
        join_all(spawn_all(100, function(i)
          local receipt = assert(pool:send(message { message = "Subject: " .. i .. "\r\n\r\nx\r\n" }))
          assert.same({ "bob@example.org" }, receipt.accepted)
        end))
        local stats = pool:stats()
        assert.equal(100, state.messages)
        assert.equal(4, state.most)
        assert.equal(4, stats.connections)
        assert.equal(4, stats.idle)
        assert.equal(100, stats.sent)
        assert.equal(0, stats.waiting)
        assert.matches("^mail%.smtp%.pool %(127%.0%.0%.1:%d+, 4 connections%)$", tostring(pool))
        assert.is_true(pool:close())
        assert.is_true(pool:close())
        assert.equal(4, state.quits)
        local none, err = pool:send(MESSAGE)
        assert.is_nil(none)
        assert.equal("closed", err.kind)
        assert.matches("closed%)$", tostring(pool))
      end)
      for _ = 1, 4 do collectgarbage() end
      local after = descriptors.count() -- a dead register may name one more; a pool that leaks leaves four
      assert.is_true(after <= before + 1, ("%d before, %d after"):format(before, after))
    end
  end)

  it("opens nothing before the first message, and one connection where one thing is sent after another", function()
    with({}, { size = 4 }, function(pool, state)
      assert.equal(0, state.connections)
      for _ = 1, 5 do assert(pool:send(MESSAGE)) end
      assert.equal(1, state.connections)
      assert.equal(5, state.messages)
    end)
  end)

  it("pipelines: the next envelope leaves with the content before it", function()
    with({ ehlo = PIPELINING }, { size = 1 }, function(pool, state)
      join_all(spawn_all(20, function() assert(pool:send(MESSAGE)) end))
      assert.equal(20, state.messages)
      assert.equal(1, state.connections)
    end)
  end)

  it("serves those who wait in their order", function()
    for _, ehlo in ipairs { "", PIPELINING } do
      with({ ehlo = ehlo }, { size = 1 }, function(pool, state)
        join_all(spawn_all(50, function(i)
          assert(pool:send(message { message = "Subject: " .. i .. "\r\n\r\nx\r\n" }))
        end))
        for i, entry in ipairs(state.log) do assert.equal(tostring(i), entry.subject) end
      end)
    end
  end)

  it("lets nobody starve beside a greedy coroutine", function()
    with({}, { size = 1 }, function(pool)
      local counts, stop = { 0, 0, 0 }, false
      local tasks = spawn_all(3, function(i)
        while not stop do
          assert(pool:send(MESSAGE))
          counts[i] = counts[i] + 1
          if counts[1] + counts[2] + counts[3] >= 60 then stop = true end
        end
      end)
      join_all(tasks)
      for i = 1, 3 do assert.is_true(counts[i] >= 18, counts[i] .. " of 60") end
    end)
  end)

  it("gives a connection that has sent max_messages its QUIT, and opens another", function()
    with({ ehlo = PIPELINING }, { size = 2, max_messages = 5 }, function(pool, state)
      join_all(spawn_all(40, function() assert(pool:send(MESSAGE)) end))
      assert.equal(40, state.messages)
      assert.equal(8, state.connections)
      assert.is_true(state.most <= 3) -- a QUIT may be under way still
      pool:close()
      local by = {}
      for _, entry in ipairs(state.log) do by[entry.number] = (by[entry.number] or 0) + 1 end
      for _, n in pairs(by) do assert.equal(5, n) end
    end)
  end)

  it("ends a connection that was idle for long, by itself, and does not keep the loop alive for that", function()
    local began = loop.now()
    with({}, { idle = 0.05 }, function(pool, state)
      assert(pool:send(MESSAGE))
      assert.equal(1, pool:stats().idle)
      while state.quits == 0 do loop.sleep(0.01) end
      assert.equal(0, pool:stats().connections)
      assert(pool:send(MESSAGE))
      assert.equal(2, state.connections)
    end)
    with({}, { idle = 60 }, function(pool)
      assert(pool:send(MESSAGE))
    end)
    assert.is_true(loop.now() - began < 8)
  end)

  it("asks a connection that was idle for a while before it is used", function()
    with({}, { check = 0.01 }, function(pool, state)
      assert(pool:send(MESSAGE))
      loop.sleep(0.03)
      assert(pool:send(MESSAGE))
      assert.equal(1, state.noops)
      assert.equal(1, state.connections)
    end)
  end)

  it("waits no longer than the call's timeout, and counts what it gave up", function()
    local gate = loop.native.event()
    with({ gate = function() gate:wait(5) end }, { size = 1 }, function(pool, state)
      local first = loop.spawn(function() assert(pool:send(MESSAGE)) end)
      while pool:stats().busy == 0 do loop.sleep(0.005) end
      local began = loop.now()
      local none, err = pool:send(message { timeout = 0.1 })
      local took = loop.now() - began
      assert.is_nil(none)
      assert.equal("timeout", err.kind)
      assert.is_true(err.temporary)
      assert.is_true(took >= 0.09 and took < 2)
      assert.equal(0, pool:stats().waiting)
      gate:set()
      first:join()
      gate:set()
      assert(pool:send(MESSAGE))
      assert.equal(2, state.messages)
      assert.equal(1, pool:stats().failed)
    end)
  end)

  it("refuses calls beyond its queue with kind limit", function()
    local gate = loop.native.event()
    with({ gate = function() gate:wait(5) end }, { size = 1, queue = 2 }, function(pool)
      local tasks = spawn_all(3, function() assert(pool:send(MESSAGE)) end)
      while pool:stats().waiting < 2 do loop.sleep(0.005) end
      local none, err = pool:send(MESSAGE)
      assert.is_nil(none)
      assert.equal("limit", err.kind)
      for _ = 1, 3 do
        gate:set()
        loop.sleep(0.02)
      end
      join_all(tasks)
    end)
  end)

  it("loses no place to a waiter that is cancelled", function()
    local gate = loop.native.event()
    with({ gate = function() gate:wait(5) end }, { size = 1 }, function(pool, state)
      local errors = {}
      local tasks = spawn_all(4, function(i)
        local receipt, err = pool:send(MESSAGE)
        errors[i] = receipt and "sent" or err.kind
      end)
      while pool:stats().waiting < 3 do loop.sleep(0.005) end
      tasks[2]:cancel()
      tasks[3]:cancel()
      tasks[2]:join()
      tasks[3]:join()
      gate:set()
      tasks[1]:join()
      gate:set()
      tasks[4]:join()
      assert.same({ "sent", "cancelled", "cancelled", "sent" }, errors)
      assert.equal(2, state.messages)
      assert.equal(1, pool:stats().idle)
    end)
  end)

  it("drops the connection of a call that was cancelled on the way, and serves the others", function()
    local gate = loop.native.event()
    with({ gate = function(_, number) if number == 1 then gate:wait(5) end end }, { size = 1 }, function(pool, state)
      local err
      local task = loop.spawn(function()
        local _
        _, err = pool:send(MESSAGE)
      end)
      while pool:stats().busy == 0 or pool:stats().connections == 0 do loop.sleep(0.005) end
      loop.sleep(0.05)
      task:cancel()
      task:join()
      assert.is_true(err.kind == "cancelled" or err.kind == "unknown", err.kind)
      assert(pool:send(MESSAGE))
      assert.equal(2, state.connections)
      gate:set()
    end)
  end)

  it("raises for misuse at the caller's line, and loses no place by that", function()
    -- On the main thread, where the tasks of the server have their turns meanwhile.
    local s = scripted.serve(server {}, math.huge)
    local pool = mail.smtp.pool { host = "127.0.0.1", port = s.port, tls = "none", size = 1 }
    for _, case in ipairs { { from = 5 }, { to = { true } }, { message = 5 }, { frm = "x" } } do
      local ok, why = pcall(function() pool:send(message(case)) end)
      assert.is_false(ok)
      assert.matches("smtp_pool_spec%.lua:%d+: pool:send: ", why)
    end
    local ok, why = pcall(function()
      pool:send(message { message = function() error("mine", 0) end })
    end)
    assert.is_false(ok)
    assert.equal("mine", why)
    assert(pool:send(MESSAGE))
    assert.is_true(pool:close())
    s:close()
    loop.run(loop.sleep, 0)
    for _, bad in ipairs { { size = 0 }, { size = 1.5 }, { idle = -1 }, { rate = 0 }, { rate = { total = -1 } },
      { rate = { every = 1 } }, { back_off = { "x" } }, { max_message = 5 }, { max_messages = 0 } } do
      bad.host = "127.0.0.1"
      ok, why = pcall(function() mail.smtp.pool(bad) end)
      assert.is_false(ok)
      assert.matches("smtp_pool_spec%.lua:%d+: smtp", why)
    end
  end)

  it("loses no place where a function of the user's raises while it connects", function()
    -- On the main thread, as above.
    local gone = 0
    local s = scripted.serve(function(peer)
      peer:send "220 mx\r\n"
      peer:expect "^EHLO"
      peer:send "250-mx\r\n250 AUTH XOAUTH2\r\n"
      peer:rest()
      gone = gone + 1
    end, math.huge)
    local pool = mail.smtp.pool { host = "127.0.0.1", port = s.port, tls = "none", size = 1, user = "ann",
      allow_plaintext_login = true, timeout = 2, token = function() error("no ticket", 0) end }
    for i = 1, 3 do
      local ok, why = pcall(pool.send, pool, MESSAGE)
      assert.same({ false, "no ticket" }, { ok, why })
      assert.equal(0, pool:stats().opening)
      for _ = 1, 100 do if gone < i then loop.step(0.1) end end
      assert.equal(i, gone) -- at once, not when the session is collected
    end
    assert.is_true(pool:close())
    s:close()
    loop.run(loop.sleep, 0)
  end)

  it("takes sources and files, and reads them again for a second connection", function()
    with({ stage = "mail", act = close, ehlo = PIPELINING }, {}, function(pool, state)
      local pieces = { "Subject: piece\r\n", "\r\n", "one\r\n", "two\r\n" }
      local at = 0
      assert(pool:send(message { message = function()
        at = at + 1
        return pieces[at]
      end }))
      assert.equal("piece", state.log[1].subject)
      assert.equal(1, pool:stats().retried)
    end)
    with({ stage = "mail", act = close }, {}, function(pool, state)
      local file = io.tmpfile()
      file:write "Subject: file\r\n\r\nx\r\n"
      file:seek "set"
      assert(pool:send(message { message = file }))
      assert.equal("file", state.log[1].subject)
      file:close()
    end)
  end)

  it("works in a plain script", function()
    local s = servers.exim { users = 3 }
    if not s then return pending "no Exim" end
    local pool = mail.smtp.pool { host = "localhost", port = s.ports.smtp, tls = "none", size = 2, timeout = 20 }
    for i = 1, 3 do
      assert(pool:send { from = "a@example.test", to = s:add_user().name .. "@example.test",
        message = "Subject: plain " .. i .. "\r\n\r\nx\r\n" })
    end
    assert.equal(1, pool:stats().connections)
    assert.is_true(pool:close())
  end)

  it("sends to Exim, by TLS and with a login, from many tasks", function()
    local s = servers.exim { users = 3 }
    if not s then return pending "no Exim" end
    local user = s:add_user()
    local to = user.name .. "@example.test"
    local pool = mail.smtp.pool { host = "localhost", port = s.ports.submissions, user = s.user, password = s.password,
      ssl = { ca_file = s.ca_file }, size = 4, timeout = 20, max_messages = 7 }
    loop.run(function()
      join_all(spawn_all(40, function(i)
        local receipt = assert(pool:send { from = "a@example.test", to = { to, "nosuchuser@example.test" },
          message = "Subject: pool " .. i .. "\r\n\r\nx\r\n" })
        assert.same({ to }, receipt.accepted)
        assert.equal(550, receipt.rejected["nosuchuser@example.test"].code)
      end))
      assert.is_true(pool:close())
    end)
    assert.equal(40, #s:messages(user, 40))
  end)
end)

describe("A pool whose server dies", function()
  -- The outcome of one message where the first connection dies at that stage.
  local function one(how, check)
    for _, ehlo in ipairs { "", PIPELINING } do
      how.ehlo = ehlo
      with(how, {}, function(pool, state)
        local receipt, err = pool:send(MESSAGE)
        check(receipt, err, pool, state)
        assert(pool:send(MESSAGE)) -- whatever it was, the pool goes on
      end)
    end
  end

  local function repeated(receipt, err, pool, state)
    assert.is_table(receipt, tostring(err))
    assert.equal("2.1", receipt.queue_id)
    assert.equal(1, state.messages)
    assert.equal(1, pool:stats().retried)
  end

  local function not_repeated(kind, delivered)
    return function(receipt, err, pool, state)
      assert.is_nil(receipt)
      assert.is_true(Err.is(err))
      assert.equal(kind, err.kind)
      assert.equal(delivered or 0, state.messages)
      assert.equal(0, pool:stats().retried)
    end
  end

  it("before MAIL is answered: sends it by another connection", function()
    one({ stage = "mail", act = close }, repeated)
  end)

  it("before a recipient is accepted: the same", function()
    one({ stage = "rcpt", act = close }, repeated)
  end)

  it("once a recipient was accepted: never sends it again", function()
    one({ stage = "data", act = close }, not_repeated "closed")
  end)

  it("in the content: the same", function()
    for _, ehlo in ipairs { "", PIPELINING } do
      with({ stage = "content", act = close, ehlo = ehlo }, {}, function(pool, state)
        local receipt, err = pool:send(message { message = "Subject: x\r\n\r\n" .. ("y"):rep(60):rep(500000, "\r\n") })
        not_repeated "closed"(receipt, err, pool, state)
      end)
    end
  end)

  it("after the dot: nobody knows, and it is not sent again", function()
    one({ stage = "dot", act = close }, not_repeated "unknown")
  end)

  it("between two messages: the next one has another connection", function()
    for _, ehlo in ipairs { "", PIPELINING } do
      with({ stage = "between", act = close, ehlo = ehlo }, {}, function(pool, state)
        assert.equal("1.1", assert(pool:send(MESSAGE)).queue_id)
        loop.sleep(0.02)
        assert.equal("2.1", assert(pool:send(MESSAGE)).queue_id)
        assert.equal(2, state.messages)
        assert.equal(0, pool:stats().retried) -- it was seen before it was used
      end)
    end
  end)

  it("by 421 in place of an answer, or between two messages", function()
    local function bye(peer)
      peer:send "421 4.3.2 closing\r\n"
      peer:line()
      peer:line()
    end
    one({ stage = "mail", act = bye }, repeated)
    with({ stage = "between", act = bye }, {}, function(pool)
      assert.equal("1.1", assert(pool:send(MESSAGE)).queue_id)
      loop.sleep(0.02)
      assert.equal("2.1", assert(pool:send(MESSAGE)).queue_id)
    end)
  end)

  it("with a message under way and others behind: only those are sent again", function()
    with({ stage = "dot", act = close, ehlo = PIPELINING }, { size = 1 }, function(pool, state)
      local kinds = {}
      join_all(spawn_all(5, function(i)
        local receipt, err = pool:send(message { message = "Subject: " .. i .. "\r\n\r\nx\r\n" })
        kinds[i] = receipt and "sent" or err.kind
      end))
      assert.same({ "unknown", "sent", "sent", "sent", "sent" }, kinds)
      assert.equal(4, state.messages)
    end)
  end)

  it("under many messages at once is one failure: the pause does not grow with each", function()
    local options = { size = 1, back_off = { 0.01, 1000 } }
    with({ stage = "mail", act = close, ehlo = PIPELINING }, options, function(pool, state)
      local sent = 0
      join_all(spawn_all(16, function() if pool:send(MESSAGE) then sent = sent + 1 end end))
      assert.same({ 16, 2 }, { sent, state.connections })
    end)
  end)

  it("again and again: gives up after its tries, with the pauses between them", function()
    with({ stage = "mail", act = close, times = math.huge }, { retry = 2 }, function(pool, state)
      local none, err = pool:send(MESSAGE)
      assert.is_nil(none)
      assert.equal("closed", err.kind)
      assert.equal(3, state.connections)
    end)
  end)
end)

describe("A pool that cannot connect", function()
  it("tries again where it may pass", function()
    with({ stage = "greeting", times = 2, act = function(peer) peer:send "421 busy\r\n" end }, {}, function(pool, state)
      assert(pool:send(MESSAGE))
      assert.equal(3, state.connections)
      assert.is_nil(pool:stats().error)
    end)
  end)

  it("gives up after its tries", function()
    with({ stage = "greeting", times = 99, act = function(peer) peer:send "421 busy\r\n" end }, { retry = 1 },
      function(pool, state)
        local none, err = pool:send(MESSAGE)
        assert.is_nil(none)
        assert.equal(421, err.code)
        assert.equal(2, state.connections)
        assert.equal(err, pool:stats().error)
      end)
  end)

  it("tells everybody at once where it will not pass, and asks the server once", function()
    with({ stage = "greeting", times = 99, act = function(peer)
      loop.sleep(0.02)
      peer:send "554 go away\r\n"
    end }, { size = 1, back_off = { 5, 5 } }, function(pool, state)
      local kinds = {}
      join_all(spawn_all(50, function(i)
        local _, err = pool:send(MESSAGE)
        kinds[i] = err.code
      end))
      for i = 1, 50 do assert.equal(554, kinds[i]) end
      assert.equal(1, state.connections)
      local _, err = pool:send(MESSAGE)
      assert.equal(554, err.code)
      assert.equal(1, state.connections)
    end)
  end)

  it("makes do with the connections that it has where the server takes no more", function()
    local script, state = server {}
    loop.run(function()
      local s = scripted.serve(function(peer, number)
        if number > 2 then return peer:send "421 too many\r\n" end
        return script(peer, number)
      end, math.huge)
      local pool = mail.smtp.pool { host = "127.0.0.1", port = s.port, tls = "none", size = 8, timeout = 10,
        back_off = { 0.01, 0.05 } }
      join_all(spawn_all(40, function() assert(pool:send(MESSAGE)) end))
      assert.equal(40, state.messages)
      assert.is_true(pool:stats().connections <= 2)
      pool:close()
      s:close()
    end)
  end)
end)

describe("pool:send of an array", function()
  local function letters(n, more)
    local list = {}
    for i = 1, n do
      list[i] = message(more)
      list[i].message = "Subject: " .. i .. "\r\n\r\nx\r\n"
    end
    return list
  end

  -- What became of each: its queue id, or the kind of its error.
  local function outcomes(results, n)
    local list = {}
    for i = 1, n do list[i] = results[i].queue_id and "sent" or results[i].kind end
    assert.is_nil(results[n + 1])
    return list
  end

  local function all(n, what)
    local list = {}
    for i = 1, n do list[i] = what end
    return list
  end

  it("has a receipt for each, in its order, over all connections", function()
    for _, ehlo in ipairs { "", PIPELINING } do
      with({ ehlo = ehlo }, { size = 4 }, function(pool, state)
        local results = pool:send(letters(100))
        assert.same(all(100, "sent"), outcomes(results, 100))
        assert.equal(100, state.messages)
        assert.equal(4, state.connections)
        for _, entry in ipairs(state.log) do
          assert.equal(entry.number, tonumber(results[tonumber(entry.subject)].queue_id:match "^%d+"))
        end
        local stats = pool:stats()
        assert.same({ 4, 100, 0, 0 }, { stats.idle, stats.sent, stats.failed, stats.waiting })
        assert.same({}, (pool:send { [1] = nil, from = "a@b.example", to = "c@d.example", message = "x" }).rejected)
      end)
    end
  end)

  it("leaves in one flight: the next envelope is there before the answer to the last message", function()
    local ahead = 0
    with({ ehlo = PIPELINING, gate = function(peer) ahead = ahead + (peer.input:find "^MAIL" and 1 or 0) end },
      { size = 1 }, function(pool, state)
        assert.same(all(16, "sent"), outcomes(pool:send(letters(16)), 16))
        assert.equal(1, state.connections)
        assert.is_true(ahead >= 12, ahead .. " of 15")
        for i, entry in ipairs(state.log) do assert.equal(tostring(i), entry.subject) end
      end)
  end)

  it("tells of each what the server said of it", function()
    with({ ehlo = PIPELINING, stage = "rcpt", times = math.huge, act = function(peer)
      peer:send "550 5.1.1 nobody\r\n" -- and what was asked besides
      peer:line()
      peer:send "503 no recipients\r\n"
    end }, { size = 1 }, function(pool)
      local results = pool:send(letters(1))
      assert.equal(550, results[1].code)
      assert.equal("rejected", results[1].kind)
    end)
    with({ ehlo = PIPELINING }, { size = 1 }, function(pool, state)
      local list = letters(6)
      list[2].to = "bob@exa mple.org"
      list[3].to = {}
      list[5].priority = 3 -- MT-PRIORITY, which is not there
      local results = pool:send(list)
      assert.same({ "sent", "invalid", "invalid", "sent", "unsupported", "sent" }, outcomes(results, 6))
      assert.equal(3, state.messages)
      assert.same({ 3, 3, 1 }, { pool:stats().sent, pool:stats().failed, pool:stats().connections })
    end)
  end)

  it("whose server dies sends again only what nobody has accepted", function()
    with({ stage = "dot", act = close, ehlo = PIPELINING }, { size = 1 }, function(pool, state)
      local results = pool:send(letters(20))
      local expected = all(20, "sent")
      expected[1] = "unknown"
      assert.same(expected, outcomes(results, 20))
      assert.equal(19, state.messages)
      assert.equal(2, state.connections)
    end)
    with({ stage = "mail", act = close, times = math.huge, ehlo = PIPELINING }, { size = 2, retry = 2 },
      function(pool, state)
        assert.same(all(40, "closed"), outcomes(pool:send(letters(40)), 40))
        assert.equal(0, state.messages)
        assert.equal(0, pool:stats().busy)
      end)
  end)

  it("keeps to max_messages, and to the rates", function()
    with({ ehlo = PIPELINING }, { size = 2, max_messages = 7 }, function(pool, state)
      assert.same(all(50, "sent"), outcomes(pool:send(letters(50)), 50))
      local by = {}
      for _, entry in ipairs(state.log) do by[entry.number] = (by[entry.number] or 0) + 1 end
      for _, n in pairs(by) do assert.is_true(n <= 7) end
    end)
    for _, rate in ipairs { 100, { connection = 50 } } do
      with({ ehlo = PIPELINING }, { size = 2, rate = rate }, function(pool)
        local began = loop.now()
        assert.same(all(20, "sent"), outcomes(pool:send(letters(20)), 20))
        assert.is_true(loop.now() - began >= 0.17)
      end)
    end
  end)

  it("takes sources among strings", function()
    with({ ehlo = PIPELINING }, { size = 1 }, function(pool, state)
      local list, once = letters(5), false
      list[3].message = function()
        if once then return nil end
        once = true
        return "Subject: source\r\n\r\nx\r\n"
      end
      assert.same(all(5, "sent"), outcomes(pool:send(list), 5))
      local subjects = {}
      for i, entry in ipairs(state.log) do subjects[i] = entry.subject end
      assert.same({ "1", "2", "source", "4", "5" }, subjects)
    end)
  end)

  it("has nothing but errors where the pool is closed, or nobody listens", function()
    with({}, {}, function(pool)
      pool:close()
      assert.same({ "closed", "closed" }, outcomes(pool:send(letters(2)), 2))
    end)
    loop.run(function()
      local pool = mail.smtp.pool { host = "127.0.0.1", port = 1, tls = "none", back_off = { 0.01, 0.01 }, retry = 1 }
      local began = loop.now()
      assert.same(all(40, "connect"), outcomes(pool:send(letters(40)), 40))
      assert.is_true(loop.now() - began < 3)
    end)
  end)

  it("is not kept busy by tries whose time would come too late", function()
    loop.run(function()
      local pool = mail.smtp.pool { host = "127.0.0.1", port = 1, tls = "none", back_off = { 2, 2 }, retry = math.huge }
      local began, turns = loop.now(), 0
      local task = loop.spawn(function()
        while true do
          loop.sleep(0.01)
          turns = turns + 1
        end
      end)
      local ok, err = pool:send(message { timeout = 0.5 })
      assert.is_nil(ok)
      assert.equal("connect", err.kind)
      assert.is_true(loop.now() - began < 0.5)
      loop.sleep(0.05)
      assert.is_true(turns > 0)
      task:cancel()
    end)
    for _, name in ipairs { "queue", "retry", "check" } do
      local ok, err = pcall(function() return mail.smtp.pool { host = "h", [name] = 0 / 0 } end)
      assert.is_false(ok)
      assert.matches(("smtp.pool: option '%s' must be a number"):format(name), err, 1, true)
    end
  end)

  it("ends when it is cancelled, and leaves the pool to others", function()
    local gate = loop.native.event()
    with({ ehlo = PIPELINING, gate = function(_, number) if number < 3 then gate:wait(0.2) end end }, { size = 2 },
      function(pool, state)
        local results
        local task = loop.spawn(function() results = pool:send(letters(40)) end)
        while state.open < 2 do loop.sleep(0.005) end
        loop.sleep(0.05)
        task:cancel()
        loop.sleep(0.02)
        for _ = 1, 40 do
          gate:set()
          loop.sleep(0.002)
        end
        task:join()
        local got, sent = outcomes(results, 40), 0
        for _, kind in ipairs(got) do sent = sent + (kind == "sent" and 1 or 0) end
        assert.is_true(sent < 40)
        assert.equal("cancelled", got[40])
        assert(pool:send(MESSAGE))
        assert.equal(0, pool:stats().busy)
      end)
  end)

  it("raises for misuse at the caller's line", function()
    local s = scripted.serve(server { ehlo = PIPELINING }, math.huge)
    local pool = mail.smtp.pool { host = "127.0.0.1", port = s.port, tls = "none", size = 1 }
    for _, case in ipairs { { from = 5 }, { to = { true } }, { message = 5 }, { frm = "x" } } do
      local ok, why = pcall(function() pool:send { MESSAGE, message(case), MESSAGE } end)
      assert.is_false(ok)
      assert.matches("smtp_pool_spec%.lua:%d+: pool:send: ", why)
    end
    assert.is_false((pcall(function() pool:send { MESSAGE, "x" } end)))
    assert.equal(0, pool:stats().busy)
    assert.same({ "sent", "sent" }, outcomes(pool:send { MESSAGE, MESSAGE }, 2)) -- on the main thread
    assert.is_true(pool:close())
    s:close()
    loop.run(loop.sleep, 0)
  end)

  it("goes to Exim in a plain script", function()
    local s = servers.exim { users = 3 }
    if not s then return pending "no Exim" end
    local user = s:add_user()
    local list = letters(20, { to = user.name .. "@example.test" })
    list[7].to = "nosuchuser@example.test"
    local pool = mail.smtp.pool { host = "localhost", port = s.ports.smtp, tls = "none", size = 2, timeout = 20 }
    local expected = all(20, "sent")
    expected[7] = "rejected"
    assert.same(expected, outcomes(pool:send(list), 20))
    assert.equal(1, pool:stats().connections)
    assert.is_true(pool:close())
    assert.equal(19, #s:messages(user, 19))
  end)
end)

describe("A pool's rate", function()
  it("bounds all connections together", function()
    with({ ehlo = PIPELINING }, { size = 4, rate = 100 }, function(pool, state)
      local began = loop.now()
      join_all(spawn_all(20, function() assert(pool:send(MESSAGE)) end))
      assert.is_true(loop.now() - began >= 0.185)
      assert.equal(20, state.messages)
    end)
  end)

  it("allows a burst where one is asked for", function()
    with({}, { size = 4, rate = { total = 10, burst = 20 } }, function(pool)
      local began = loop.now()
      join_all(spawn_all(20, function() assert(pool:send(MESSAGE)) end))
      assert.is_true(loop.now() - began < 1.5)
    end)
  end)

  it("bounds each connection", function()
    with({}, { size = 2, rate = { connection = 50 } }, function(pool, state)
      local began = loop.now()
      join_all(spawn_all(20, function() assert(pool:send(MESSAGE)) end))
      assert.is_true(loop.now() - began >= 0.17)
      assert.equal(2, state.connections)
    end)
  end)

  it("does not hold up the loop, and ends a wait at its deadline", function()
    with({}, { rate = 0.2 }, function(pool)
      assert(pool:send(MESSAGE))
      local ticks = 0
      local clock = loop.spawn(function()
        for _ = 1, 5 do
          loop.sleep(0.01)
          ticks = ticks + 1
        end
      end)
      local none, err = pool:send(message { timeout = 1 })
      assert.is_nil(none)
      assert.equal("timeout", err.kind)
      assert.equal(5, ticks)
      clock:join()
    end)
  end)
end)

describe("pool:close", function()
  it("lets what was called before it be sent", function()
    with({ gate = function() loop.sleep(0.005) end }, { size = 2 }, function(pool, state)
      local sent = 0
      local tasks = spawn_all(20, function()
        assert(pool:send(MESSAGE))
        sent = sent + 1
      end)
      loop.sleep(0)
      loop.sleep(0.01)
      assert.is_true(pool:close())
      assert.equal(20, state.messages)
      join_all(tasks)
      assert.equal(20, sent)
      assert.equal(2, state.quits)
    end)
  end)

  it("gives up after its own timeout", function()
    local gate = loop.native.event()
    with({ gate = function() gate:wait(5) end }, { size = 1 }, function(pool)
      local kinds = {}
      local tasks = spawn_all(2, function(i)
        local _, err = pool:send(MESSAGE)
        kinds[i] = err.kind
      end)
      while pool:stats().waiting < 1 do loop.sleep(0.005) end
      loop.sleep(0.05)
      local ok, err = pool:close { timeout = 0.05 }
      assert.is_nil(ok)
      assert.equal("timeout", err.kind)
      join_all(tasks)
      assert.same({ "unknown", "closed" }, kinds)
      gate:set()
    end)
  end)

  it("ends everything at once where it is told to", function()
    local gate = loop.native.event()
    with({ gate = function() gate:wait(5) end }, { size = 1, rate = { total = 20, burst = 3 } }, function(pool)
      local kinds = {}
      local tasks = spawn_all(5, function(i)
        local _, err = pool:send(MESSAGE)
        kinds[i] = err.kind
      end)
      while pool:stats().waiting < 4 do loop.sleep(0.005) end
      loop.sleep(0.03)
      local began = loop.now()
      assert.is_true(pool:close { now = true })
      join_all(tasks)
      assert.is_true(loop.now() - began < 2)
      assert.equal("unknown", kinds[1])
      for i = 2, 5 do assert.equal("closed", kinds[i]) end
      gate:set()
    end)
  end)
end)

describe("Ten thousand messages that wait in a pool", function()
  it("cost little memory, and all of them are sent", function()
    with({ ehlo = PIPELINING }, { size = 8, max_messages = 1e9, timeout = 120 }, function(pool, state)
      collectgarbage()
      collectgarbage()
      local before = collectgarbage "count"
      local tasks = spawn_all(10000, function() assert(pool:send(MESSAGE)) end)
      while pool:stats().waiting < 9000 do loop.sleep(0) end
      collectgarbage()
      local each = (collectgarbage "count" - before) / 10000
      assert.is_true(each < 4, ("%.2f KiB a message"):format(each))
      join_all(tasks)
      assert.equal(10000, state.messages)
      assert.equal(8, state.most)
    end)
  end)
end)
