--- The library's own loop: tasks, timers and descriptors in one thread.
--
-- A task is a coroutine. It waits by yielding to `loop.step`, which asks the poller (C) what is ready
-- and resumes whoever waited for it. A plain script needs none of this: outside a task every wait is
-- a poll(2) of its own, or, where tasks are alive, turns of this loop.
-- Invariant: a parked task is in exactly one place: a descriptor, an event, or only a timer.
--
-- Threads: a Lua state is one thread's at a time, and shares nothing with other states of the process.
-- Forks: sessions and the poller stay the parent's. In the child a session's calls, and waits that were
-- under way, return `nil, err` (kind "closed"); closing or collecting it there says nothing to the server
-- and takes nothing from the parent's loop. The child opens sessions of its own.
-- @module mail.loop

local core = require "mail.core"
local adapter = require "mail.io.adapter"
local Err = require "mail.err"
local timers = require "mail.loop.timers"

local loop = {}

local now = core.now
local resume, status, create, yield = coroutine.resume, coroutine.status, coroutine.create, coroutine.yield
local running_coroutine = coroutine.running
local times, set_timer, drop_stale_timers, fire_timers = timers.times, timers.set, timers.drop_stale, timers.fire
local unpack = table.unpack or unpack -- luacheck: ignore
local function pack(...) return { n = select("#", ...), ... } end

-- How often a cancelled task may go on waiting before the wait raises.
local CANCEL_PATIENCE = 1000

local Task = {}
Task.__index = Task
Task.__name = "mail.task"

local poller -- made at first use: a script that never waits in a task needs none
local waiting = {} -- descriptor → task
local queue, head, tail = {}, 1, 0 -- tasks that are ready
local yielded = {} -- tasks that gave the others a turn: ready in the next one
local live = {} -- coroutine → task
local live_count = 0
local background = 0 -- of these, tasks that are no reason for the loop to go on
local failed = {} -- tasks that ended in an error and were not joined yet
local ready_fds = {}
local running -- the task being resumed
local outermost -- whether `loop.run` resumes it: nobody outside of tasks waits then

-- A task, or what stands for one outside of tasks. What each turn asks for is there, and no more: a field that is
-- missing is looked for in the class, too, and a ninth would double the table.
local function new_task(co, start)
  return setmetatable({
    co = co or false, start = start or false, parked = false, reason = false, fd = false, deadline = false,
    timer = false, cancelled = false,
  }, Task)
end

local function push(task)
  tail = tail + 1
  queue[tail] = task
end

-- The task waits for its descriptor no more.
local function leave_fd(task, fd)
  task.fd = false
  if waiting[fd] == task then
    waiting[fd] = nil
    poller:unpark(fd)
  end
end

-- Ends a wait; `reason` is what the wait returns (true, "timeout", "cancelled").
local function wake(task, reason)
  if not task.parked then return end
  task.parked, task.deadline, task.reason = false, false, reason
  local fd = task.fd
  if fd then leave_fd(task, fd) end
  if task.co then push(task) end
end

-- A task may die in its wait: Lua 5.1 refuses to yield across a C call. Nothing may wake it then.
local function forget_wait(task)
  task.parked, task.deadline = false, false
  local fd = task.fd
  if fd then leave_fd(task, fd) end
end

local function finish(task, ok, ...)
  if task.parked then forget_wait(task) end
  live[task.co] = nil
  live_count = live_count - 1
  if task.background then background = background - 1 end
  task.done = true
  if ok then
    task.results = pack(...)
  elseif task.cancelled and Err.is((...)) then
    task.results = pack(nil, (...))
  else
    task.error = { value = (...), trace = debug.traceback(task.co) }
    failed[#failed + 1] = task
  end
  for _, joiner in ipairs(task.joiners or {}) do wake(joiner, true) end
  task.joiners = nil
end

-- What a parked task yields; any other yield is the user's own.
local PARKED = {}

local function resumed(task, ok, ...)
  if (...) == PARKED then return end
  if status(task.co) == "dead" then
    if not ok and (...) == "cannot resume dead coroutine" then
      return finish(task, false, "mail.loop: a task was resumed, and ended, by something other than its loop")
    end
    finish(task, ok, ...)
  elseif not task.parked and not task.reason then -- with a reason it stands in the queue already
    yielded[#yielded + 1] = task -- a yield of the user's own: give the others a turn
  end
end

-- Runs a task that begins, or whose wait has ended without what it waited for.
local function run_other(task)
  local reason, start = task.reason, task.start
  task.reason, task.start = false, false
  if start then return resumed(task, resume(task.co, unpack(start, 1, start.n))) end
  return resumed(task, resume(task.co, nil, reason or nil))
end

-- How many tasks that become ready in a turn are run in it too, before descriptors are looked at again.
local EXTRA = 64

local native = { name = "native", now = now }

-- Runs the tasks that are ready now, and a bounded number of those that become so meanwhile. `stop_at`
-- stands in the adapter while they run: a task that moves bytes without waiting gives way by it.
local function run_ready(stop_at)
  local last = tail + EXTRA
  local outer, outer_stop = running, native.stop_at
  native.stop_at = stop_at -- a turn inside a task's own coroutine has no part in the frame's time
  while head <= tail and head <= last do
    local task = queue[head]
    queue[head] = nil
    head = head + 1
    running = task
    if task.reason == true then
      task.reason = false
      resumed(task, resume(task.co, true))
    else
      run_other(task)
    end
    if stop_at and now() >= stop_at then break end
  end
  running, native.stop_at = outer, outer_stop
  if head > tail then head, tail = 1, 0 end -- small indices stay in the table's array
end

-- The task that runs here, or nil on the main thread and in coroutines that are no task.
local function current()
  if running and running_coroutine() == running.co then return running end
end

local function ensure_poller()
  poller = poller or core.poller()
  return poller
end

local function raise_unjoined()
  local task = table.remove(failed, 1)
  if task then error(task.error.value, 0) end
end

-- Those who gave the others a turn have theirs now.
local function admit()
  for i, task in ipairs(yielded) do
    push(task)
    yielded[i] = nil
  end
end

-- Wakes those whose wait has ended: for the first `n` of `ready_fds`, and for time, which is `at`.
local function wake_ready(n, at)
  for i = 1, n do
    local fd = ready_fds[i]
    local task = waiting[fd]
    if task then
      waiting[fd], task.fd, task.parked, task.deadline, task.reason = nil, false, false, false, true
      if task.co then push(task) end
    end
  end
  local first = times[1]
  if first and first <= at then fire_timers(at, wake) end
end

-- One turn, as `loop.step`; of `loop.run` itself where it is `alone`. The poller is asked until `back` at the latest:
-- 0: at once; nil: for as long as it takes.
local function turn(seconds, budget, alone)
  if yielded[1] then admit() end
  local back = 0
  if head > tail then
    if times[1] then drop_stale_timers() end
    back = seconds and (seconds > 0 and now() + seconds or 0)
    local first = times[1]
    if first and (not back or first < back) then back = first end
    if not back and not next(waiting) then
      if live_count > 0 then error("mail.loop: every task waits for another one", 0) end
      return
    end
  end
  local n, at = (poller or ensure_poller()):wait(back, ready_fds)
  wake_ready(n, at)
  local outer = outermost
  outermost = alone
  run_ready(budget and at + budget)
  outermost = outer
end

-- Raises at the caller of the caller where `seconds` are none.
local function check_seconds(what, seconds)
  local is_number = type(seconds) == "number"
  if is_number and seconds == seconds then return end
  error(("%s: seconds must be a number, got %s"):format(what, is_number and "nan" or type(seconds)), 3)
end

--- One turn: reports what is ready, fires timers, and runs every task that can go on.
-- For a game's frame: `loop.step(0, { budget = 0.002 })` never waits, and ends after two milliseconds.
-- A session that has more to move then gives way: behind the end of the budget there is at most one
-- operation of the core (one event, one read or write of 64 KiB with its TLS, one step of a handshake),
-- and what the task itself does with it until it asks for the next.
-- A wait in a coroutine that the task made itself is outside of this: it turns the loop from there.
-- @tparam[opt] number seconds how long it may wait where nothing is ready (nil: as long as it takes)
-- @tparam[opt] table options `budget`: seconds for running tasks. One task is resumed in any case, and
--   gets on by one operation, so that a budget of 0 is slow and no standstill
-- @treturn number live tasks
function loop.step(seconds, options)
  if seconds ~= nil then check_seconds("mail.loop.step", seconds) end
  local budget = options and options.budget
  if budget and type(budget) ~= "number" then
    error("mail.loop.step: option 'budget' must be a number, got " .. type(budget), 2)
  end
  turn(seconds, budget)
  if not loop.main then raise_unjoined() end
  return live_count - background
end

-- Parks the running task until `wake`; or, outside a task, turns the loop meanwhile. Returns true, or
-- nil and why. Tail calls up to the yield keep the stack of a waiting task, most of its memory, small.
local function park(task, deadline)
  task.parked = true
  if deadline then set_timer(task, deadline) end
  if task.co then return yield(PARKED) end
  while task.parked do
    if live_count == 0 and not deadline and not task.fd then
      error("mail.loop: a wait that nothing can end, no task is alive", 0)
    end
    loop.step()
  end
  if task.reason == true then return true end
  return nil, task.reason
end

-- Parks for a descriptor. Where nobody else can go on, the poller is asked from here: if it is this task that goes
-- on, the way to the loop and back is spared.
local function park_fd(task, fd, deadline)
  if not outermost or head <= tail or yielded[1] or failed[1] or live_count <= background or not task.co then
    waiting[fd], task.fd = task, fd
    return park(task, deadline)
  end
  local back = times[1]
  if deadline and not (back and back < deadline) then back = deadline end
  local n, at = poller:wait(back, ready_fds)
  if n == 1 and ready_fds[1] == fd and not (back and back <= at) then return true end
  waiting[fd], task.fd, task.parked = task, fd, true
  if deadline then set_timer(task, deadline) end
  wake_ready(n, at)
  if head ~= tail or queue[head] ~= task then return yield(PARKED) end
  queue[head], head, tail = nil, 1, 0
  local reason = task.reason
  task.reason = false
  if reason == true then return true end
  return nil, reason
end

-- Parks: true, or nil, "timeout" | "cancelled".
local function wait(task, timeout)
  if task.cancelled then
    task.ignored = (task.ignored or 0) + 1
    if task.ignored > CANCEL_PATIENCE then
      error(Err.new { kind = "cancelled", message = "the task was cancelled" }, 0)
    end
    yield() -- unparked: its turn comes again
    return nil, "cancelled"
  end
  return park(task, timeout and now() + timeout)
end

local function spawn(fn, ...)
  local ok, co = pcall(create, fn)
  if not ok then co = create(function(...) return fn(...) end) end -- PUC 5.1 takes no C function
  local task = new_task(co, pack(...))
  live[task.co] = task
  live_count = live_count + 1
  push(task)
  return task
end

--- Starts a task; it runs when the running one waits. Where another loop runs the caller, that loop
-- runs the task, too.
-- @tparam function fn
-- @param ... its arguments
-- @treturn task with `task:join()` and `task:cancel()`
function loop.spawn(fn, ...)
  if type(fn) ~= "function" then error("mail.loop.spawn: a function expected, got " .. type(fn), 2) end
  local host = loop.host()
  if host == loop.native then return spawn(fn, ...) end
  return require "mail.io.task".spawn(host, fn, ...)
end

--- Waits until the task has ended.
-- @return what its function returned; `nil, err` (kind "cancelled") where it was cancelled. An error
--   that it raised is raised here.
function Task:join()
  if not self.done then
    local task = current() or new_task()
    if task == self then error("a task cannot join itself", 2) end
    self.joiners = self.joiners or {}
    table.insert(self.joiners, task)
    if not wait(task) then
      return nil, Err.new { kind = "cancelled", message = "cancelled while joining" }
    end
  end
  if self.error then
    for i, task in ipairs(failed) do
      if task == self then table.remove(failed, i) break end
    end
    error(self.error.value, 0)
  end
  return unpack(self.results, 1, self.results.n)
end

--- Cancels the task: the call in which it waits, and every later one, returns `nil, err` with kind
-- "cancelled"; `loop.sleep` raises that error. A task that never ran does not begin.
function Task:cancel()
  if self.done or self.cancelled then return end
  self.cancelled = true
  if self.start then
    live[self.co] = nil
    self.co = create(function()
      error(Err.new { kind = "cancelled", message = "the task was cancelled before it began" }, 0)
    end)
    self.start = false
    live[self.co] = self
  else
    wake(self, "cancelled")
  end
end

-- Cancels every task. They are gathered first: to cancel one may change the table of the living.
local function cancel_all()
  local all = {}
  for _, task in pairs(live) do all[#all + 1] = task end
  for _, task in ipairs(all) do task:cancel() end
end

-- The loop itself cannot go on: no task is left behind to haunt the next run.
local function abort()
  cancel_all()
  for _ = 1, 2 * CANCEL_PATIENCE do
    if live_count == 0 then break end
    run_ready()
  end
  failed = {}
end

local function nothing() end

--- Runs the loop until `fn` and every task have ended; `loop.run()` waits for the tasks that there are.
-- @tparam[opt] function fn
-- @param ... its arguments
-- @return what fn returned. An error in fn cancels the other tasks and is raised; so is an error in a
--   task that nobody joined.
function loop.run(...)
  if loop.main then error("mail.loop.run: the loop is running already; use mail.loop.spawn", 2) end
  if select("#", ...) > 0 and type((...)) ~= "function" then
    error("mail.loop.run: a function expected, got " .. type((...)), 2)
  end
  local main = spawn(... or nothing, select(2, ...))
  loop.main = main
  local ok, err = pcall(function()
    while live_count > background do
      turn(nil, nil, true)
      if main.done and #failed > 0 then
        cancel_all()
      end
    end
  end)
  if not ok then abort() end
  loop.main = nil
  if not ok then error(err, 0) end
  if main.error then
    failed = {}
    error(main.error.value, 0)
  end
  local unjoined = failed[1]
  failed = {} -- none haunts the next run
  if unjoined then error(unjoined.error.value, 0) end
  return unpack(main.results, 1, main.results.n)
end

native.spawn = spawn

--- Waits without blocking other tasks.
-- @tparam number seconds
function loop.sleep(seconds)
  check_seconds("mail.loop.sleep", seconds)
  local host = loop.host()
  if host ~= loop.native then return host.sleep(seconds) end
  local task = current() or new_task()
  local _, why = wait(task, seconds)
  if why == "cancelled" then
    error(Err.new { kind = "cancelled", message = "the task was cancelled" }, 0)
  elseif why ~= "timeout" then
    adapter.broken(native, adapter.words(nil, why))
  end
end

--- Seconds of a monotonic clock.
loop.now = now

-- --- the native adapter (see io/fd.lua for what is built on it) ----------------------------------

-- Why the main thread, or a coroutine that is no task, must not wait for this loop's descriptors.
local function misplaced()
  local other = adapter.running()
  return other and Err.new {
    kind = "invalid", message = ("two loops in one session: it was opened for mail.loop ('native') and is used in a "
      .. "coroutine of %s; open it there, or with loop = 'blocking' where the call may hold up everything")
      :format(other.name),
  }
end

-- Waits until `fd` is ready for "r", "w" or "rw". true | nil, "timeout" | "cancelled" | message
function native.wait(fd, what, timeout)
  local task = current()
  if not task then
    local rule = misplaced()
    if rule then return nil, rule end
    if live_count == 0 then
      local ok, err = core.poll_one(fd, what, timeout)
      if ok then return true end
      return nil, err or "timeout"
    end
    task = new_task()
  elseif task.cancelled then
    return wait(task)
  end
  local ready, err = ensure_poller():park(fd, what)
  if ready == nil then return nil, err end
  if ready then return true end
  return park_fd(task, fd, timeout and now() + timeout)
end

-- The descriptor is about to be closed: whoever waits for it goes on, and finds out.
function native.forget(fd)
  local task = waiting[fd]
  if task then wake(task, true) end
  if poller then poller:forget(fd) end
end

-- Whoever waits for the descriptor looks again (it has more to send).
function native.nudge(fd)
  local task = waiting[fd]
  if task then wake(task, true) end
end

-- Lets every other task have its turn.
function native.pause()
  if current() then yield() end
end

local Event = {}
Event.__index = Event

-- Waits for `set`, at most until `deadline`.
function Event:wait_until(deadline)
  if self.is_set then
    self.is_set = false
    return true
  end
  local task = current() or new_task()
  if task.cancelled then return wait(task) end
  self.task = task
  local ok, why = park(task, deadline)
  self.task = false
  return ok, why
end

-- Waits for `set`. true | nil, "timeout" | "cancelled"
function Event:wait(timeout)
  return self:wait_until(timeout and now() + timeout)
end

--- Whoever sleeps on `event` sleeps for the descriptor, too: a wait handed on without waking anybody.
-- @treturn boolean false where nobody sleeps there, or the descriptor is ready now; nothing has happened then
function native.hand(fd, what, event)
  local task = event.task
  if not task or not task.parked or task.fd or poller:park(fd, what) ~= false then return false end
  waiting[fd], task.fd = task, fd
  return true
end

-- Ends the wait, or the next one; twice is once.
function Event:set()
  local task = self.task
  if task then
    wake(task, true)
  else
    self.is_set = true
  end
end

function native.event()
  return setmetatable({ is_set = false, task = false }, Event)
end

--- Starts a task that looks after things: `loop.run` ends without it, and the next one finds it again.
function native.background(fn, ...)
  local task = spawn(fn, ...)
  task.background = true
  background = background + 1
  return task
end

native.sleep = loop.sleep
loop.native = native

-- --- which loop ---------------------------------------------------------------------------------

local chosen

--- Chooses the loop for all later connections.
-- @param which "openresty", "luv", "cqueues", "copas", "tarantool", "skynet", "native", "blocking", or an
--   adapter (see README, "A loop of your own"); nil leaves it to each call again
function loop.use(which)
  chosen = which ~= nil and loop.adapter(which, 2) or nil
end

--- The adapter of that name, or `which` itself made complete. Raises where there is none.
-- @param which a name, or a table of functions
-- @tparam[opt] number level whose line is blamed (1: the caller's)
function loop.adapter(which, level)
  local host = adapter.find(which, (level or 1) + 1)
  return host
end

--- The adapter that serves connections made here and now: the one that `use` has chosen; in a task of
-- this loop its own; in nginx, in a coroutine of a running cqueues controller or of copas, the one to
-- that; else the native one. A loop that cannot be asked whether it runs (luv, tarantool, skynet) is
-- never guessed.
function loop.host()
  if chosen then return chosen end
  if not current() then
    local host = adapter.running()
    if host then return host end
  end
  return native.complete and native or require "mail.io.native"
end

return loop
