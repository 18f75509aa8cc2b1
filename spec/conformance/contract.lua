-- What an adapter promises about time, events, coroutines, descriptors and streams of its own.

local core = require "mail.core"

-- How much later than asked for a wait may end on a busy machine.
local LATE = 2

return function(check)
  check("contract: now is monotonic, in seconds, and goes on while others work", "", function(c)
    local now = c.host.now
    local began = now()
    c.equal("number", type(began), "the type of now()")
    local last, system = began, core.now()
    repeat
      local at = now()
      c.truth(at >= last, "now() went back")
      last = at
    until core.now() - system >= 0.03
    c.truth(now() - began > 0.01, "now() stood still while the coroutine worked")
    c.host.sleep(0.01)
    c.truth(now() - began < LATE, "now() does not count seconds")
  end)

  check("contract: sleep lasts as long as it should", "", function(c)
    for _, seconds in ipairs { 0, 0.002, 0.03 } do
      local began = core.now()
      c.host.sleep(seconds)
      local took = core.now() - began
      c.truth(took >= seconds - 0.002 and took < seconds + LATE, ("sleep(%s) took %s"):format(seconds, took))
    end
  end)

  check("contract: spawn passes arguments, nil too, and sleepers do not hold each other up", "tasks", function(c)
    local began = core.now()
    local all = {}
    for i = 1, 20 do
      all[i] = c:go(function(a, b, last)
        c.host.sleep(0.1)
        return a, b, last
      end, i, nil, "end")
    end
    for i = 1, 20 do
      local a, b, last = all[i]:join()
      c.truth(a == i and b == nil and last == "end", "arguments were lost")
    end
    c.truth(core.now() - began < 1.5, "twenty sleepers took turns")
  end)

  check("event: set before the wait is remembered, twice is once", "", function(c)
    local event = c.host.event()
    event:set()
    event:set()
    c.equal(true, event:wait(5), "a wait for what was set")
    local ok, why = event:wait(0.01)
    c.equal(nil, ok, "the second wait")
    c.equal("timeout", why, "the second wait's reason")
    event:set()
    c.equal(true, event:wait(), "a wait without a limit for what was set")
  end)

  check("event: waits end in time", "", function(c)
    local event = c.host.event()
    for _, seconds in ipairs { 0, 0.03, -1 } do
      local began = core.now()
      local ok, why = event:wait(seconds)
      c.equal(nil, ok, "a wait for nothing")
      c.equal("timeout", why, "its reason")
      local took = core.now() - began
      c.truth(took >= seconds - 0.002 and took < LATE, ("wait(%s) took %s"):format(seconds, took))
    end
  end)

  check("event: set wakes the one who waits, with and without a limit", "tasks", function(c)
    for _, limit in ipairs { 10, false } do
      local event = c.host.event()
      local waiter = c:go(function() return event:wait(limit or nil) end)
      c.host.sleep(0.01)
      event:set()
      event:set()
      c.equal(true, waiter:join(5), "the wait")
    end
  end)

  check("event: one set after a wait's end is kept for the next wait", "tasks", function(c)
    local event = c.host.event()
    c.equal(nil, (event:wait(0.01)), "a wait for nothing")
    event:set()
    c.equal(true, event:wait(5), "the next wait")
    local other = c:go(function() return event:wait(5) end)
    c.host.sleep(0.01)
    event:set()
    c.equal(true, other:join(), "a wait in another coroutine")
  end)

  check("event: a set never ends a later wait for something else", "tasks", function(c)
    for _, limit in ipairs { 0.02, 10 } do
      local event = c.host.event()
      local waiter = c:go(function()
        event:wait(limit)
        local began = core.now()
        c.host.sleep(0.06)
        return core.now() - began
      end)
      c.host.sleep(0.02)
      for _ = 1, 3 do event:set() end
      c.truth(waiter:join() > 0.055, "a sleep was cut short")
    end
  end)

  check("event: many pairs play ping-pong, and nobody is lost", "tasks", function(c)
    local rounds = 0
    local all = {}
    for i = 1, 20 do
      local there, back = c.host.event(), c.host.event()
      all[#all + 1] = c:go(function()
        for _ = 1, 50 do
          there:set()
          c.truth(back:wait(10), "nothing came back")
        end
      end)
      all[#all + 1] = c:go(function()
        for _ = 1, 50 do
          c.truth(there:wait(10), "nothing came")
          rounds = rounds + 1
          if i % 2 == 0 then c.host.sleep(0) end
          back:set()
        end
      end)
    end
    for _, one in ipairs(all) do one:join() end
    c.equal(1000, rounds, "rounds")
  end)

  -- --- adapters with wait(fd, what, timeout) --------------------------------------------------------

  -- Two connected sockets, by the adapter's own waits.
  local function pair(c)
    local host, listener = c.host, assert(core.listen("127.0.0.1", "0"))
    local _, port = listener:name()
    host.forget(listener:fd())
    local dial, fd = core.dial({ "127.0.0.1" }, port), nil
    repeat
      local answer, a, what = dial:step(host.now())
      if answer == "wait" then
        c.truth(host.wait(a, what, 5), "a connection was never writable")
      else
        c.equal("done", answer, a)
        fd = a
      end
    until fd
    if dial:fd() then host.forget(dial:fd()) end
    dial:close()
    host.forget(fd)
    local far
    repeat
      far = listener:accept()
      if not far then c.truth(host.wait(listener:fd(), "r", 5), "a listener was never readable") end
    until far
    host.forget(listener:fd())
    listener:close()
    host.forget(far:fd())
    return core.conn(fd), far
  end

  local function shut(c, ...)
    for _, conn in ipairs { ... } do
      c.host.forget(conn:fd())
      conn:close()
    end
  end

  check("contract: descriptors become ready, time out, and are writable at once", "descriptors", function(c)
    local near, far = pair(c)
    local ok, why = c.host.wait(near:fd(), "r", 0.02)
    c.equal(nil, ok, "a wait for nothing")
    c.equal("timeout", why, "its reason")
    c.equal(true, c.host.wait(near:fd(), "w", 5), "a wait to write")
    -- As the library does it: a wait follows an attempt that could move nothing.
    for _, what in ipairs { "r", "rw" } do
      c.equal("again", select(2, near:recv()), "what there is to read")
      far:send "x"
      c.equal(true, c.host.wait(near:fd(), what, 5), "a wait for " .. what)
      c.equal("x", near:recv(), "what was read")
    end
    ok, why = c.host.wait(near:fd(), "r", 0)
    c.truth(ok == nil and why == "timeout", "ready, with nothing to read")
    shut(c, far)
    c.equal(true, c.host.wait(near:fd(), "r"), "a wait for the end")
    shut(c, near)
  end)

  check("contract: forget ends a wait, may be called for anything, and twice", "descriptors tasks", function(c)
    local near, far = pair(c)
    local reader = c:go(function() return c.host.wait(near:fd(), "r", 10) end)
    c.host.sleep(0.01)
    shut(c, near)
    reader:join(3)
    c.host.forget(far:fd())
    c.host.forget(far:fd())
    c.host.forget(9999)
    shut(c, far)
  end)

  check("contract: a descriptor's number is used again by the next socket", "descriptors", function(c)
    for i = 1, 20 do
      local near, far = pair(c)
      far:send "z"
      c.equal(true, c.host.wait(near:fd(), "r", 5), "round " .. i)
      c.equal("z", near:recv(), "round " .. i)
      c.equal(nil, (c.host.wait(near:fd(), "r", 0)), "ready without reason, round " .. i)
      shut(c, near, far)
    end
  end)

  check("contract: nudge ends a wait so that more is sent", "descriptors tasks", function(c)
    local near, far = pair(c)
    local reader = c:go(function() return c.host.wait(near:fd(), "r", 10) end)
    c.host.sleep(0.01)
    c.host.nudge(near:fd())
    reader:join(3)
    shut(c, near, far)
  end)

  -- --- adapters with dial(name, port, options, deadline) --------------------------------------------

  local function dial(c, name)
    local transport, err = c.host.dial("127.0.0.1", c.peer[name], {}, c.host.now() + 10)
    return c.truth(transport, "no connection: " .. tostring(err))
  end

  check("contract: streams read what comes, time out and go on", "streams", function(c)
    local transport = dial(c, "smtp")
    local got = ""
    while not got:find "\n" do got = got .. c.truth(transport:read(5), "no greeting") end
    c.equal("220 peer ESMTP\r\n", got, "the greeting")
    local began = core.now()
    local bytes, why = transport:read(0.05)
    c.equal(nil, bytes, "a read of nothing")
    c.equal("timeout", why, "its reason")
    c.truth(core.now() - began >= 0.045 and core.now() - began < LATE, "the read's limit was not kept")
    c.equal(true, transport:write("VRFY soon\r\n", 5), "a write")
    c.equal("252 soon\r\n", transport:read(5), "the answer")
    c.equal(true, transport:write("QUIT\r\n", 5), "a write")
    c.equal("221 bye\r\n", transport:read(5), "the answer")
    bytes, why = transport:read(5)
    c.equal(nil, bytes, "a read at the end")
    c.equal("closed", why, "its reason")
    transport:close()
    transport:close()
  end)

  check("contract: a stream closed by another coroutine ends its reader soon", "streams tasks", function(c)
    local transport = dial(c, "silent")
    local reader = c:go(function() return (transport:read(20)) end)
    c.host.sleep(0.02)
    transport:close()
    c.equal(nil, reader:join(3), "the read")
  end)

  check("contract: dial says why not: connect, timeout", "streams", function(c)
    local transport, err = c.host.dial("127.0.0.1", c.peer.refused, {}, c.host.now() + 5)
    c.failure(transport, err, "connect")
    if c.peer.full == 0 then return end
    transport, err = c.host.dial("127.0.0.1", c.peer.full, {}, c.host.now() + 0.1)
    c.failure(transport, err, "timeout")
  end)
end
