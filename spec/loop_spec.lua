-- The library's own loop: tasks, timers, cancel, errors, and waiting without any loop.
local core = require "mail.core"
local loop = require "mail.loop"
local Err = require "mail.err"
local scripted = require "spec.support.scripted"

local pack = function(...) return { n = select("#", ...), ... } end

-- PUC Lua 5.1 cannot wait inside pcall.
local waits_in_pcall = _VERSION ~= "Lua 5.1" or rawget(_G, "jit") ~= nil

-- A descriptor that never gets ready.
local function silent()
  local conn = assert(core.listen("127.0.0.1", "0"))
  return conn, conn:fd()
end

describe("a task that waits for a descriptor while nobody else can run", function()
  local function elapsed(fn)
    local began = core.now()
    local ok, err = pcall(loop.run, fn)
    assert.is_true(core.now() - began < 5)
    return ok, err
  end

  it("does not keep the error of another from the caller of the loop", function()
    local conn, fd = silent()
    local why
    local ok, err = elapsed(function()
      loop.spawn(function() error("lost", 0) end)
      loop.spawn(function() why = select(2, loop.native.wait(fd, "r", 20)) end)
    end)
    assert.is_false(ok)
    assert.equal("lost", err)
    assert.equal("cancelled", why)
    loop.native.forget(fd)
    conn:close()
  end)

  it("does not keep the loop where it is no reason to go on", function()
    local conn, fd = silent()
    local task
    assert.is_true((elapsed(function() task = loop.native.background(loop.native.wait, fd, "r", 20) end)))
    assert.equal("suspended", coroutine.status(task.co))
    task:cancel()
    loop.run(function() end)
    assert.equal("dead", coroutine.status(task.co))
    loop.native.forget(fd)
    conn:close()
  end)

  it("does not hold a turn that must not wait", function()
    local conn, fd = silent()
    local task = loop.spawn(function() return loop.native.wait(fd, "r", 20) end)
    local began = core.now()
    assert.equal(1, loop.step(0))
    assert.equal(1, loop.step(0.001))
    assert.is_true(core.now() - began < 5)
    task:cancel()
    assert.equal(0, loop.step(0))
    loop.native.forget(fd)
    conn:close()
  end)

  it("ends in time, and sees what others are woken for", function()
    loop.run(function()
      local conn, fd = silent()
      local order = {}
      loop.spawn(function()
        loop.sleep(0.01)
        order[#order + 1] = "sleeper"
      end)
      loop.sleep(0)
      local ok, why = loop.native.wait(fd, "r", 0.03)
      order[#order + 1] = tostring(ok) .. " " .. why
      assert.same({ "sleeper", "nil timeout" }, order)
      loop.native.forget(fd)
      conn:close()
    end)
  end)
end)

describe("mail.loop.run", function()
  it("returns all that the function returns, nils too", function()
    local got = pack(loop.run(function(a, b) return a, nil, b, nil end, 1, 2))
    assert.same({ n = 4, 1, nil, 2, nil }, got)
  end)

  it("ends when every task has ended, not before", function()
    local log = {}
    loop.run(function()
      loop.spawn(function()
        loop.sleep(0.01)
        loop.spawn(function() loop.sleep(0.01) log[#log + 1] = "grandchild" end)
        log[#log + 1] = "child"
      end)
      log[#log + 1] = "main"
    end)
    assert.same({ "main", "child", "grandchild" }, log)
  end)

  it("cannot be nested, and can be run again", function()
    loop.run(function()
      assert.has_error(function() loop.run(function() end) end)
    end)
    assert.equal(7, loop.run(function() return 7 end))
  end)

  it("raises the error of the function and cancels the rest", function()
    local reason
    local ok, err = pcall(loop.run, function()
      loop.spawn(function()
        local event = loop.native.event()
        local _, why = event:wait(60)
        reason = why
      end)
      loop.sleep(0)
      error({ "mine" })
    end)
    assert.is_false(ok)
    assert.same({ "mine" }, err)
    assert.equal("cancelled", reason)
    assert.equal(0, loop.step(0))
  end)

  it("raises the error of a task that nobody joined, once the rest has ended", function()
    local finished
    local ok, err = pcall(loop.run, function()
      loop.spawn(function() error("lost?", 0) end)
      loop.sleep(0.01)
      finished = true
    end)
    assert.is_false(ok)
    assert.equal("lost?", err)
    assert.is_true(finished)
    assert.equal("fine", loop.run(function() return "fine" end))
  end)

  it("cancels what is left where a task fails after the function has returned", function()
    local began = loop.now()
    local ok = pcall(loop.run, function()
      loop.spawn(function() loop.sleep(0.01) error("late", 0) end)
      loop.spawn(function() loop.native.event():wait(60) end)
    end)
    assert.is_false(ok)
    assert.is_true(loop.now() - began < 30)
  end)

  it("without a function waits for the tasks that there are", function()
    local log = {}
    loop.spawn(function() loop.sleep(0.002) log[#log + 1] = "slow" end)
    loop.spawn(function() log[#log + 1] = "quick" end)
    assert.equal(0, select("#", loop.run()))
    assert.same({ "quick", "slow" }, log)
    assert.equal(0, select("#", loop.run()))
    loop.spawn(function() error("lost", 0) end)
    local ok, err = pcall(loop.run)
    assert.same({ false, "lost" }, { ok, err })
  end)

  it("says so where every task waits for another one", function()
    local ok, err = pcall(loop.run, function() loop.native.event():wait() end)
    assert.is_false(ok)
    assert.matches("waits for another", tostring(err))
    -- What hung is cancelled and goes, so that the next run is not haunted by it.
    assert.equal(1, loop.run(function() return 1 end))
    assert.equal(0, loop.step(0))
  end)
end)

describe("tasks", function()
  it("run in the order in which they were made, and pass arguments", function()
    local log = {}
    loop.run(function()
      for i = 1, 3 do loop.spawn(function(a, b) log[#log + 1] = a + b end, i, 10) end
    end)
    assert.same({ 11, 12, 13 }, log)
  end)

  it("are joined for their results, by many and more than once", function()
    loop.run(function()
      local task = loop.spawn(function() loop.sleep(0.01) return "x", nil, "y" end)
      local other = loop.spawn(function() return task:join() end)
      local got = pack(task:join())
      assert.same({ n = 3, "x", nil, "y" }, got)
      assert.same({ n = 3, "x", nil, "y" }, pack(task:join()))
      assert.same({ n = 3, "x", nil, "y" }, pack(other:join()))
    end)
  end)

  it("raise their error in whoever joins them, and nowhere else", function()
    if not waits_in_pcall then
      local ok, err = pcall(loop.run, function() loop.spawn(error, "joined", 0):join() end)
      assert.is_false(ok)
      assert.equal("joined", err)
      return
    end
    local caught = loop.run(function()
      local task = loop.spawn(function() error("joined", 0) end)
      local ok, err = pcall(task.join, task)
      assert.is_false(ok)
      return err
    end)
    assert.equal("joined", caught)
  end)

  it("are cancelled where they wait; the wait says so, and so does every later one", function()
    local log = {}
    loop.run(function()
      local task = loop.spawn(function()
        local event = loop.native.event()
        for _ = 1, 3 do
          local ok, why = event:wait(60)
          log[#log + 1] = tostring(ok) .. " " .. tostring(why)
        end
        return "done all the same"
      end)
      loop.sleep(0)
      task:cancel()
      task:cancel()
      assert.equal("done all the same", task:join())
    end)
    assert.same({ "nil cancelled", "nil cancelled", "nil cancelled" }, log)
  end)

  it("that sleep are ended by cancel, with an error that is not lost as one", function()
    loop.run(function()
      local task = loop.spawn(function() loop.sleep(60) end)
      loop.sleep(0)
      task:cancel()
      local ok, err = task:join()
      assert.is_nil(ok)
      assert.equal("cancelled", err.kind)
      assert.is_true(Err.is(err))
    end)
  end)

  it("that never ran do not begin when they were cancelled", function()
    local ran = false
    loop.run(function()
      local task = loop.spawn(function() ran = true end)
      task:cancel()
      local ok, err = task:join()
      assert.is_nil(ok)
      assert.equal("cancelled", err.kind)
    end)
    assert.is_false(ran)
  end)

  it("that ignore being cancelled are ended by force in the end", function()
    loop.run(function()
      local rounds = 0
      local task = loop.spawn(function()
        local event = loop.native.event()
        while true do
          event:wait(60)
          rounds = rounds + 1
        end
      end)
      loop.sleep(0)
      task:cancel()
      local _, err = task:join()
      assert.equal("cancelled", err.kind)
      assert.is_true(rounds >= 1000)
    end)
  end)

  it("that have ended are collected, and so is what they held", function()
    local weak = setmetatable({}, { __mode = "k" })
    loop.run(function()
      for i = 1, 50 do
        local held = {}
        weak[held] = true
        local task = loop.spawn(function()
          if i % 2 == 0 then loop.native.event():wait(0.001) end
          return #held
        end)
        if i % 5 == 0 then task:cancel() end
      end
    end)
    collectgarbage()
    collectgarbage()
    -- Timers that were not due yet may hold the last of them.
    loop.run(function() loop.sleep(0.01) end)
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end)

  it("may yield on their own: the others have a turn", function()
    local log = {}
    loop.run(function()
      loop.spawn(function()
        for i = 1, 2 do log[#log + 1] = "a" .. i coroutine.yield() end
      end)
      loop.spawn(function()
        for i = 1, 2 do log[#log + 1] = "b" .. i coroutine.yield() end
      end)
    end)
    assert.same({ "a1", "b1", "a2", "b2" }, log)
  end)

  it("may wait inside coroutines of their own", function()
    local log = {}
    loop.run(function()
      local other = loop.spawn(function() loop.sleep(0.005) log[#log + 1] = "other" end)
      local generator = coroutine.wrap(function()
        for i = 1, 2 do
          loop.sleep(0.01)
          coroutine.yield(i)
        end
      end)
      local first, second = generator(), generator()
      log[#log + 1] = first
      log[#log + 1] = second
      other:join()
    end)
    assert.same({ "other", 1, 2 }, log)
  end)

  it("that die in a wait are not woken", function()
    -- Lua 5.1 cannot yield across the C call that a `for` makes; later Luas can, and simply sleep.
    local ok = pcall(loop.run, function()
      for item in function() loop.sleep(0.01) end do assert.is_nil(item) end
    end)
    assert.are.equal(waits_in_pcall, ok)
    assert.are.equal("next", loop.run(function()
      loop.sleep(0.02)
      return "next"
    end))
  end)

  it("must be functions", function()
    local ok, err = pcall(function() loop.spawn(1) end)
    assert.is_false(ok)
    assert.matches("^spec/loop_spec.lua:%d+: .*function expected", (err:gsub("^.*(spec/loop_spec)", "%1")))
  end)
end)

describe("a wrong argument", function()
  it("is the caller's: his line is blamed", function()
    for call, words in pairs {
      [function() loop.run(5) end] = "mail.loop.run: a function expected, got number",
      [function() loop.run(nil) end] = "mail.loop.run: a function expected, got nil",
      [function() loop.sleep() end] = "mail.loop.sleep: seconds must be a number, got nil",
      [function() loop.sleep(0 / 0) end] = "mail.loop.sleep: seconds must be a number, got nan",
      [function() loop.step("1") end] = "mail.loop.step: seconds must be a number, got string",
    } do
      local ok, err = pcall(call)
      assert.is_false(ok)
      assert.equal(("spec/loop_spec.lua:%d: %s"):format(debug.getinfo(call, "S").linedefined, words),
        (err:gsub("^.*(spec/loop_spec)", "%1")))
    end
    assert.equal(0, loop.step(0))
  end)
end)

describe("time", function()
  it("wakes sleepers in the order of their time, however they were started", function()
    local log = {}
    loop.run(function()
      for _, ms in ipairs { 30, 10, 20, 0, 15, 25, 5 } do
        loop.spawn(function() loop.sleep(ms / 1000) log[#log + 1] = ms end)
      end
    end)
    assert.same({ 0, 5, 10, 15, 20, 25, 30 }, log)
  end)

  it("never wakes anybody early", function()
    loop.run(function()
      for _ = 1, 5 do
        local began = loop.now()
        loop.sleep(0.003)
        assert.is_true(loop.now() - began >= 0.003)
      end
    end)
  end)

  it("runs without a loop too, and turns it where tasks are alive", function()
    local began = loop.now()
    loop.sleep(0.01)
    assert.is_true(loop.now() - began >= 0.01)
    local log = {}
    local task = loop.spawn(function() loop.sleep(0.001) log[1] = "ran" return 5 end)
    loop.sleep(0.02)
    assert.same({ "ran" }, log)
    assert.equal(5, task:join())
    assert.equal(0, loop.step(0))
  end)

  it("does not pile timers up for a task that waits again and again", function()
    loop.run(function()
      local event = loop.native.event()
      collectgarbage()
      collectgarbage()
      local before = collectgarbage("count")
      for _ = 1, 20000 do
        event:set()
        assert(event:wait(30))
        loop.native.pause()
      end
      collectgarbage()
      collectgarbage()
      assert.is_true(collectgarbage("count") - before < 100)
    end)
  end)
end)

describe("mail.loop.step", function()
  it("runs a turn without waiting and counts what is alive", function()
    local log = {}
    loop.spawn(function() log[#log + 1] = 1 loop.native.pause() log[#log + 1] = 2 end)
    assert.equal(1, loop.step(0))
    assert.same({ 1 }, log)
    assert.equal(0, loop.step(0))
    assert.same({ 1, 2 }, log)
    assert.equal(0, loop.step(0))
  end)

  it("does not wait longer than it may where a timer is far off", function()
    local task = loop.spawn(function() loop.sleep(60) end)
    local began = loop.now()
    assert.equal(1, loop.step(0))
    assert.equal(1, loop.step(0.01))
    assert.is_true(loop.now() - began < 30)
    task:cancel()
    while loop.step(0) > 0 do end -- luacheck: ignore
  end)

  it("keeps to a budget: what is left runs in later turns, in order", function()
    local log = {}
    for i = 1, 3 do
      loop.spawn(function()
        local began = loop.now()
        repeat until loop.now() - began >= 0.002
        log[#log + 1] = i
      end)
    end
    assert.equal(2, loop.step(0, { budget = 0.001 }))
    assert.same({ 1 }, log)
    assert.equal(1, loop.step(0, { budget = 0.001 }))
    assert.equal(0, loop.step(0, { budget = 0.001 }))
    assert.same({ 1, 2, 3 }, log)
  end)

  it("raises what a task raised where no run is there to do so", function()
    loop.spawn(function() error("in a frame", 0) end)
    local ok, err = pcall(loop.step, 0)
    assert.is_false(ok)
    assert.equal("in a frame", err)
    assert.equal(0, loop.step(0))
  end)
end)

describe("events", function()
  it("remember that they were set, once", function()
    loop.run(function()
      local event = loop.native.event()
      event:set()
      event:set()
      assert.is_true(event:wait(0))
      local ok, why = event:wait(0.001)
      assert.is_nil(ok)
      assert.equal("timeout", why)
    end)
  end)

  it("wake the task that waits", function()
    loop.run(function()
      local event = loop.native.event()
      local task = loop.spawn(function() return event:wait(60) end)
      loop.sleep(0)
      event:set()
      event:set()
      assert.is_true(task:join())
    end)
  end)

  it("that are set as their waiter's time runs out are not lost", function()
    loop.run(function()
      local event = loop.native.event()
      local task = loop.spawn(function()
        event:wait(0.001)
        return event:wait(10)
      end)
      loop.sleep(0.005)
      event:set()
      assert.is_true(task:join())
    end)
  end)
end)

describe("descriptors", function()
  local function pair()
    local listener = assert(core.listen("127.0.0.1", "0"))
    local _, port = listener:name()
    local dial = core.dial({ "127.0.0.1" }, port)
    local fd
    repeat
      local answer, a, what = dial:step(core.now())
      if answer == "wait" then core.poll_one(a, what, 5) else assert(answer == "done", a) fd = a end
    until fd
    dial:close()
    local far
    repeat
      core.poll_one(listener:fd(), "r", 5)
      far = listener:accept()
    until far
    listener:close()
    local near = core.conn(fd)
    loop.native.forget(near:fd())
    loop.native.forget(far:fd())
    return near, far
  end

  local function close(conn)
    loop.native.forget(conn:fd())
    conn:close()
  end

  it("time out, become ready, and are writable at once", function()
    local near, far = pair()
    loop.run(function()
      local ok, why = loop.native.wait(near:fd(), "r", 0.005)
      assert.is_nil(ok)
      assert.equal("timeout", why)
      assert.is_true(loop.native.wait(near:fd(), "w", 5))
      far:send("x")
      assert.is_true(loop.native.wait(near:fd(), "r", 5))
      assert.equal("x", near:recv())
    end)
    close(near)
    close(far)
  end)

  it("that are always ready do not hold up a task that sleeps", function()
    local near, far = pair()
    loop.run(function()
      local slept = false
      loop.spawn(function()
        loop.sleep(0.01)
        slept = true
      end)
      local gives_up = core.now() + 5
      repeat
        far:send("x")
        assert.is_true(loop.native.wait(near:fd(), "r", 5))
        assert.equal("x", near:recv())
      until slept or core.now() > gives_up
      assert.is_true(slept)
    end)
    close(near)
    close(far)
  end)

  it("are waited for on the main thread too, with and without tasks", function()
    local near, far = pair()
    local ok, why = loop.native.wait(near:fd(), "r", 0.005)
    assert.is_nil(ok)
    assert.equal("timeout", why)
    local task = loop.spawn(function() loop.sleep(0.002) far:send("y") end)
    assert.is_true(loop.native.wait(near:fd(), "r", 5))
    assert.equal("y", near:recv())
    task:join()
    close(near)
    close(far)
  end)

  it("wake whoever waits when they are forgotten", function()
    local near, far = pair()
    loop.run(function()
      local task = loop.spawn(function() return loop.native.wait(near:fd(), "r", 60) end)
      loop.sleep(0)
      close(near)
      assert.is_true(task:join())
    end)
    close(far)
  end)

  it("may be numbered as one that was forgotten", function()
    loop.run(function()
      for _ = 1, 20 do
        local near, far = pair()
        far:send("z")
        assert.is_true(loop.native.wait(near:fd(), "r", 5))
        assert.equal("z", near:recv())
        local ok, why = loop.native.wait(near:fd(), "r", 0)
        assert.is_nil(ok)
        assert.equal("timeout", why)
        close(near)
        close(far)
      end
    end)
  end)

  it("are left by a cancelled task", function()
    local near, far = pair()
    loop.run(function()
      local task = loop.spawn(function()
        local _, why = loop.native.wait(near:fd(), "r", 60)
        return why
      end)
      loop.sleep(0)
      task:cancel()
      assert.equal("cancelled", task:join())
      far:send("x")
      assert.is_true(loop.native.wait(near:fd(), "r", 5))
    end)
    close(near)
    close(far)
  end)

  it("that were never open are told of", function()
    loop.run(function()
      local ok, why = loop.native.wait(9999, "r", 1)
      assert.is_nil(ok)
      assert.matches("descriptor", why)
    end)
  end)

  it("are found ready by a scripted server as well", function()
    local line = scripted.run(function(peer)
      peer:send("hello\r\n")
      peer:expect("^bye$")
    end, function(port)
      local dial = core.dial({ "127.0.0.1" }, port)
      local fd
      repeat
        local answer, a, what = dial:step(core.now())
        if answer == "wait" then assert(loop.native.wait(a, what, 5)) else fd = a end
      until answer ~= "wait"
      loop.native.forget(fd)
      dial:close()
      local conn = core.conn(fd)
      assert(loop.native.wait(fd, "r", 5))
      local got = conn:recv()
      conn:send("bye\r\n")
      close(conn)
      return got
    end)
    assert.equal("hello\r\n", line)
  end)
end)

describe("choosing a loop", function()
  it("is refused with the name of an adapter that is none", function()
    local ok, err = pcall(loop.use, "perl")
    assert.is_false(ok)
    assert.matches("no adapter 'perl'", err)
  end)
end)
