-- Which loop serves a call, and adapters and hosts that break the rules: each is told which one.
local mail = require "mail"
local core = require "mail.core"
local loop = require "mail.loop"
local Err = require "mail.err"
local packages = require "spec.support.packages"
local scripted = require "spec.support.scripted"

-- PUC Lua 5.1 cannot wait inside pcall.
local waits_in_pcall = _VERSION ~= "Lua 5.1" or rawget(_G, "jit") ~= nil

packages.add("cqueues", "lua-cqueues")
local cqueues = packages.load "cqueues"

local function with_cqueues(name, fn)
  it(name, function()
    if not cqueues then return pending "no cqueues (Debian: lua-cqueues) for this Lua" end
    fn()
  end)
end

-- Runs `fn` in a coroutine of a controller: what it returns.
local function controlled(fn)
  local results
  local controller = cqueues.new()
  controller:wrap(function() results = { fn(controller) } end)
  assert(controller:loop())
  return (table.unpack or unpack)(results) -- luacheck: ignore
end

-- An adapter that blocks, with functions of the spec's own in place of some of its.
local function adapter(changes)
  local host = {
    name = "mine", now = core.now, forget = function() end,
    wait = function(fd, what, timeout)
      local ok, err = core.poll_one(fd, what, timeout)
      if ok then return true end
      return nil, err or "timeout"
    end,
    event = function() return { wait = function() return nil, "timeout" end, set = function() end } end,
  }
  for name, value in pairs(changes or {}) do host[name] = value or nil end
  return host
end

local function connect(port, host, more)
  local o = { host = "127.0.0.1", port = port, tls = "none", timeout = 5, helo = "me.example", loop = host }
  for name, value in pairs(more or {}) do o[name] = value end
  local session, err = mail.smtp.connect(o) -- no tail call: the blame is to fall on a line of this file
  return session, err
end

-- The rule that is broken: what `fn` raises.
local function rule(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "no error was raised")
  return tostring(err)
end

-- The same at a line of this file.
local function rule_here(fn, ...)
  local text = rule(fn, ...)
  assert.is_truthy(text:find("loop_adapter_spec.lua:%d+: "), "blamed: " .. text)
  return text
end

-- What a server of another process would do: a listener whose queue the system fills, so that an
-- adapter that blocks can connect, and the greeting is there before it reads.
local function greeted(fn)
  local listener = assert(core.listen("127.0.0.1", "0"))
  local _, port = listener:name()
  local function done(...)
    listener:close()
    return ...
  end
  return done(fn(port, listener))
end

describe("mail.loop.adapter", function()
  it("tells the names that there are", function()
    local text = rule_here(function() loop.use "perl" end)
    assert.matches("no adapter 'perl'; there are blocking, copas, cqueues, luv, native, openresty, skynet, tarantool",
      text)
    for _, which in ipairs { "fd", "stream", "adapter", 7, true } do
      assert.matches("no adapter", rule_here(function() loop.adapter(which) end))
    end
    assert.matches("no adapter 'perl'", rule_here(function() mail.imap.connect { host = "h", loop = "perl" } end))
    assert.matches("no adapter 'perl'", rule_here(function() mail.smtp.connect { host = "h", loop = "perl" } end))
    assert.matches("no adapter 'perl'", rule_here(function() mail.pop3.connect { host = "h", loop = "perl" } end))
  end)

  it("tells why one that there is cannot be used", function()
    local name = "mail.io.skynet"
    local was, loaded = package.preload[name], package.loaded[name]
    package.loaded[name] = nil
    package.preload[name] = function() error("no skynet here\nstack and more", 0) end
    local text = rule_here(function() loop.use "skynet" end)
    package.preload[name], package.loaded[name] = was, loaded
    assert.matches("the adapter 'skynet' cannot be used here: no skynet here$", text)
  end)

  it("names every function that a table lacks, or that is none", function()
    local text = rule_here(function() loop.use {} end)
    assert.matches("lacks the functions wait, forget, now, event; it has", text, 1, true)
    for _, name in ipairs { "wait", "forget", "now", "event" } do
      text = rule_here(function() loop.use(adapter { [name] = false }) end)
      assert.matches("lacks the function " .. name, text)
      text = rule_here(function() connect(25, adapter { [name] = 1 }) end)
      assert.matches("lacks the function " .. name, text)
    end
    for _, name in ipairs { "sleep", "spawn", "pause", "nudge", "usable", "stranger" } do
      text = rule_here(function() loop.use(adapter { [name] = "x" }) end)
      assert.matches("adapter's " .. name .. " must be a function, got string", text)
    end
    text = rule_here(function() loop.use { dial = 1, now = core.now, event = adapter().event } end)
    assert.matches("lacks the function dial", text)
    assert.equal(loop.native, loop.host())
  end)

  it("completes a table once, and takes it again", function()
    local mine = adapter()
    assert.equal(mine, loop.adapter(mine))
    local first = mine.connect
    assert.equal(mine, loop.adapter(mine))
    assert.equal(first, mine.connect)
    mine.event = function() return { wait = function(_, seconds) mine.slept = seconds end } end
    mine.sleep(7)
    assert.equal(7, mine.slept)
  end)
end)

describe("An adapter that gives nonsense is told the rule:", function()
  local function broken(changes, pattern)
    greeted(function(port)
      local text = rule(function() return connect(port, adapter(changes)) end)
      assert.matches("the adapter 'mine' gave ", text, 1, true)
      assert.matches(pattern, text)
    end)
  end

  it("wait", function()
    for _, result in ipairs { 1, "r", "timeout", {}, false } do
      broken({ wait = function() return result end }, "a wait gives true, or nil and why")
    end
    broken({ wait = function() end }, "gave nil and nil: a wait gives true")
    broken({ wait = function() return nil, 5 end }, "gave nil and 5: a wait gives true")
  end)

  it("wait, once a session is open", function()
    loop.run(function()
      local nonsense
      local server = scripted.serve(function(peer)
        peer:send "220 mx\r\n"
        peer:expect "^EHLO"
        peer:send "250 mx\r\n"
        peer:rest()
      end)
      local mine = { name = "mine", forget = loop.native.forget, now = core.now, event = loop.native.event,
        wait = function(...)
          if nonsense then return nonsense[1], nonsense[2] end
          return loop.native.wait(...)
        end }
      local session = assert(connect(server.port, mine))
      nonsense = { "ready" }
      if not waits_in_pcall then return session:close() end
      assert.matches("gave 'ready': a wait gives true", rule(session.noop, session))
      local ok, err = session:noop()
      assert.is_nil(ok)
      assert.equal("closed", err.kind)
      assert.matches("broke a rule", err.message)
    end)
  end)

  it("wait, that says ready when nothing is", function()
    local calls = 0
    local mine = adapter { wait = function()
      calls = calls + 1
      return true
    end }
    greeted(function(port)
      local text = rule(function() return connect(port, mine) end)
      assert.matches("1000 times that a descriptor is ready, which it was not", text)
      assert.is_true(calls < 5000)
    end)
  end)

  it("now", function()
    broken({ now = function() return "noon" end }, "string for now%(%): it is seconds of a monotonic clock, a number")
    broken({ now = function() end }, "nil for now%(%)")
  end)

  it("event", function()
    if not waits_in_pcall then return end
    loop.run(function()
      local server = scripted.serve(function(peer)
        peer:send "220 mx\r\n"
        peer:expect "^EHLO"
        peer:send "250 mx\r\n"
        peer:rest()
      end)
      local native = loop.native
      local mine = { name = "mine", wait = native.wait, forget = native.forget, now = core.now,
        event = function() return 5 end, sleep = loop.sleep }
      local session = assert(connect(server.port, mine))
      local first = loop.spawn(function() return session:noop() end)
      loop.sleep(0)
      assert.matches("gave number for event%(%): an event has wait%(seconds%) and set%(%)", rule(session.noop, session))
      session:close()
      first:join()
    end)
  end)

  it("dial", function()
    local function dialed(...)
      local results = { n = select("#", ...), ... }
      return { name = "mine", now = core.now, event = adapter().event, dial = function()
        return (table.unpack or unpack)(results, 1, results.n) -- luacheck: ignore
      end }
    end
    local function text(...)
      local host = dialed(...)
      return rule(function() return connect(25, host) end)
    end
    assert.matches("gave nil and nil: dial gives a transport with read, write and close, or nil and an error", text())
    assert.matches("a transport without read", text {})
    assert.matches("a transport without close", text { read = print, write = print })
    local session, err = connect(25, dialed(nil, "no route"))
    assert.is_nil(session)
    assert.equal("connect", err.kind)
    assert.matches("127.0.0.1:25: no route", err.message)
    session, err = connect(25, dialed(nil, Err.new { kind = "dns", message = "x" }))
    assert.is_nil(session)
    assert.equal("dns", err.kind)
  end)

  it("read and write", function()
    local function carried(read, write)
      local host = { name = "mine", now = core.now, event = adapter().event, dial = function()
        return { read = read, write = write or print, close = function() end }
      end }
      return rule(function() return connect(25, host) end)
    end
    local function hello() return "220 mx\r\n" end
    for _, result in ipairs { "", 5, true, {}, false } do
      assert.matches("a read gives one octet or more, or nil and why", carried(function() return result end))
    end
    assert.matches("gave nil and nil: a read gives", carried(function() end))
    for _, result in ipairs { 5, "sent", false } do
      assert.matches("a write gives true, or nil and why", carried(hello, function() return result end))
    end
    assert.matches("gave nil and nil: a write gives", carried(hello, function() end))
  end)
end)

describe("A coroutine that waits", function()
  it("is one that its loop runs, where the adapter can tell", function()
    local mine = adapter { usable = function() return false end }
    local session, err = connect(25, mine)
    assert.is_nil(session)
    assert.equal("unsupported", err.kind)
    assert.matches("the loop 'mine' cannot wait here", err.message)
    mine.rule = "call me later"
    session, err = connect(25, mine)
    assert.is_nil(session)
    assert.equal("call me later", err.message)
    session, err = connect(25, { name = "mine", usable = mine.usable, dial = print, now = core.now,
      event = mine.event })
    assert.is_nil(session)
    assert.matches("the loop 'mine' cannot wait here", err.message)
  end)

  it("is resumed by its loop alone: a task", function()
    if not waits_in_pcall then return end
    local session, text, co
    local ok, why = pcall(loop.run, function()
      local server = scripted.serve(function(peer)
        peer:send "220 mx\r\n"
        peer:expect "^EHLO"
        peer:send "250 mx\r\n"
        peer:rest()
      end)
      session = assert(connect(server.port))
      loop.spawn(function()
        co = coroutine.running()
        text = rule(session.noop, session)
      end)
      loop.sleep(0.005)
      coroutine.resume(co)
      session:close()
    end)
    assert.is_false(ok)
    assert.matches("a task was resumed, and ended, by something other than its loop", why)
    assert.matches("the adapter 'native' gave nil and nil: a wait gives true, .* when the loop of its adapter "
      .. "resumes it", text)
    assert.equal(3, loop.run(function() return 3 end))
  end)

  it("is resumed by its loop alone: one that sleeps", function()
    if not waits_in_pcall then return end
    local text, co
    pcall(loop.run, function()
      loop.spawn(function()
        co = coroutine.running()
        text = rule(loop.sleep, 0.05)
      end)
      loop.sleep(0.005)
      coroutine.resume(co)
    end)
    assert.matches("ends when the loop of its adapter resumes it", text)
  end)

  with_cqueues("is resumed by its loop alone: one of cqueues", function()
    if not waits_in_pcall then return end
    local text, co
    pcall(controlled, function(controller)
      controller:wrap(function()
        co = coroutine.running()
        text = rule(loop.sleep, 0.05)
      end)
      cqueues.sleep(0.005)
      coroutine.resume(co) -- as a careless scheduler would
    end)
    assert.matches("the adapter 'cqueues' gave nil and nil: a wait gives true", text)
  end)
end)

describe("The loop that runs the caller is chosen:", function()
  it("none, and a task of the library's own", function()
    assert.equal(loop.native, loop.host())
    loop.run(function() assert.equal(loop.native, loop.host()) end)
    coroutine.wrap(function() assert.equal(loop.native, loop.host()) end)()
  end)

  it("what was asked for, before any other", function()
    local mine = adapter()
    loop.use(mine)
    local host = loop.host()
    loop.use(nil)
    assert.equal(mine, host)
    assert.equal(loop.native, loop.host())
  end)

  it("without loading what is not there", function()
    local loaded = {}
    for _, name in ipairs { "ngx", "copas", "luv", "mail.io.copas", "mail.io.openresty", "mail.io.luv" } do
      loaded[name] = package.loaded[name]
    end
    loop.host()
    for _, name in ipairs { "ngx", "copas", "luv", "mail.io.copas", "mail.io.openresty", "mail.io.luv" } do
      assert.equal(loaded[name], package.loaded[name])
    end
  end)

  it("at next to no cost", function()
    local host = loop.host
    host()
    local began = os.clock()
    for _ = 1, 100000 do host() end
    assert.is_true(os.clock() - began < 1)
  end)

  with_cqueues("a controller of cqueues, where it runs, and in no other place", function()
    local inside, task, nested
    controlled(function()
      inside = loop.host().name
      task = loop.run(function() return loop.host().name end)
      nested = coroutine.wrap(function() return loop.host().name end)()
    end)
    assert.same({ "cqueues", "native", "cqueues" }, { inside, task, nested })
    assert.equal(loop.native, loop.host())
  end)

  with_cqueues("tasks of mail.loop.spawn run there, too", function()
    local log = {}
    controlled(function()
      local gate, begun = loop.host().event(), false
      local task = loop.spawn(function(a, b)
        begun = true
        gate:wait(10)
        return a, b
      end, 1, nil)
      local never = loop.spawn(function() log[#log + 1] = "never" end)
      assert.is_true(never:cancel())
      repeat loop.sleep(0.001) until begun
      if waits_in_pcall then
        local failing = loop.spawn(function()
          loop.sleep(0.005)
          error("lost?", 0)
        end)
        local ok, err = pcall(failing.join, failing)
        assert.is_false(ok)
        assert.equal("lost?", err)
      end
      local ok, err = task:cancel()
      assert.is_nil(ok)
      assert.equal("unsupported", err.kind)
      gate:set()
      assert.same({ 1, nil }, { task:join() })
      assert.same({ 1, nil }, { task:join() })
      ok, err = never:join()
      assert.is_nil(ok)
      assert.equal("cancelled", err.kind)
      assert.is_true(task:cancel())
    end)
    assert.same({}, log)
  end)
end)

describe("Two loops in one session are refused:", function()
  -- A server in a controller, since that of scripted.lua is of the library's own loop: greeting and EHLO at once.
  local function server(fn)
    return greeted(function(port, listener)
      local function serve()
        local peer
        repeat
          core.poll_one(listener:fd(), "r", 5)
          peer = listener:accept()
        until peer
        peer:send "220 mx\r\n250 mx\r\n"
        return peer
      end
      return fn(port, serve)
    end)
  end

  -- A session of that loop, whose server answers what it has not been asked yet: greeting alone.
  local function raw(port, serve, host)
    local native = host or loop.native
    local conn = assert(native.connect("127.0.0.1", port, {}, native.now() + 5))
    local session = mail.smtp.session()
    local pump = mail.pump.new { session = session, protocol = "smtp", host = native, conn = conn, timeout = 1 }
    return session, pump, serve()
  end

  with_cqueues("one of the library's own, in a controller", function()
    server(function(port, serve)
      local session, _, peer = raw(port, serve)
      local ok, err = controlled(function() return session:noop() end)
      assert.is_nil(ok)
      assert.equal("invalid", err.kind)
      assert.matches("two loops in one session: it was opened for mail.loop %('native'%) and is used in a coroutine of "
        .. "cqueues", err.message)
      session:close()
      peer:close()
    end)
  end)

  with_cqueues("one asked for by name, in a controller; 'blocking' is let through", function()
    greeted(function(port)
      local session, err = controlled(function() return connect(port, "native", { timeout = 0.05 }) end)
      assert.is_nil(session)
      assert.equal("invalid", err.kind)
      assert.matches("loop = 'blocking'", err.message)
      session, err = controlled(function() return connect(port, "blocking", { timeout = 0.05 }) end)
      assert.is_nil(session)
      assert.equal("timeout", err.kind)
    end)
  end)

  with_cqueues("one of cqueues, outside of its controller and in a task", function()
    greeted(function(port)
      local session, err = connect(port, "cqueues")
      assert.is_nil(session)
      assert.equal("unsupported", err.kind)
      assert.matches("must run in a coroutine of a controller", err.message)
      session, err = loop.run(function() return connect(port, "cqueues") end)
      assert.is_nil(session)
      assert.equal("unsupported", err.kind)
    end)
    server(function(port, serve)
      local session, pump, peer
      controlled(function() session, pump, peer = raw(port, serve, loop.adapter "cqueues") end)
      local ok, err = session:noop()
      assert.is_nil(ok)
      assert.equal("unsupported", err.kind)
      assert.is_false(pump.failure) -- nothing is lost: where it belongs it goes on
      session:close()
      peer:close()
    end)
  end)
end)
