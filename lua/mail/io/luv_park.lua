--- Parking coroutines under libuv: places, timers and wakes for the luv adapter.
--
-- A place is a table in which at most one coroutine is parked; whoever takes it out resumes it once.
-- uv.now is a cached clock, so it is refreshed before a timer starts; luv keeps every handle until it is
-- closed, so timers are used again, and one at rest holds nobody's coroutine.
-- An error in a coroutine is raised in the callback that resumed it: luv prints it and ends the program.
-- @module mail.io.luv_park

local inside = require "mail.io.inside"

local found, uv = pcall(require, "luv")
if not found then uv = require "uv" end

local park = {
  uv = uv, rule = "mail.io.luv: what waits must run in a coroutine, which uv.run() then resumes",
}

local LONGEST = 2 ^ 31 -- milliseconds; longer is for ever

local current = inside.current(park.rule)
local resume, status, yield = coroutine.resume, coroutine.status, coroutine.yield
local unpack = table.unpack or unpack

local resting = {}

local function release(timer)
  if not timer.fn then return end
  timer.handle:stop()
  timer.fn, timer.place, timer.a = nil, nil, nil
  resting[#resting + 1] = timer
end

local dropped = {}

--- Has a handle closed, later: for finalizers. They may run while the Lua state ends, when luv frees what is
-- being closed before libuv is done with it.
function park.drop(handle) dropped[#dropped + 1] = handle end

local function close_dropped()
  for i = #dropped, 1, -1 do table.remove(dropped, i):close() end
end

local function start_timer(seconds, fn, place, a)
  if dropped[1] then close_dropped() end
  local timer = table.remove(resting)
  if not timer then
    timer = { handle = uv.new_timer() }
    function timer.fire()
      local f, p, x = timer.fn, timer.place, timer.a
      release(timer)
      f(p, x)
    end
  end
  timer.fn, timer.place, timer.a = fn, place, a
  uv.update_time()
  timer.handle:start(math.ceil(math.max(seconds, 0) * 1000), 0, timer.fire)
  return timer
end

-- A coroutine may have been closed where it was parked (coroutine.close).
local function run(co, ...)
  if status(co) ~= "suspended" then return end
  local ok, err = resume(co, ...)
  if not ok then error(debug.traceback(co, tostring(err)), 0) end
end

-- Takes whoever is parked there out. `leave`, where there is one, stops what the place waits for; the
-- coroutine may be dead by now and could not.
local function settle(place)
  local co, timer, leave = place.co, place.timer, place.leave
  place.co, place.timer, place.leave = nil, nil, nil
  if timer then release(timer) end
  if leave then leave() end
  return co
end

--- Resumes whoever is parked there: for uv's callbacks. False where nobody is, or a coroutine that was closed.
function park.arrive(place, a, b)
  local co = settle(place)
  if not co or status(co) ~= "suspended" then return false end
  run(co, a, b)
  return true
end

--- Before somebody is parked there: what a coroutine that was closed there has left, its timer above all.
function park.vacate(place)
  if place.co then settle(place) end
end

local function run_woken(place, a)
  local co = place.woken
  place.woken = nil
  if a then run(co, a) else run(co, nil, "closed") end
end

--- The same from within a coroutine: the parked one runs in a callback of its own.
-- @tparam table place
-- @param ok true; or nil: the wait gives nil, "closed"
function park.wake(place, ok)
  local co = settle(place)
  if not co then return end
  place.woken = co
  start_timer(0, run_woken, place, ok)
end

local function expire(place)
  return park.arrive(place, nil, "timeout")
end

--- Parks the running coroutine: what it is resumed with; or nil, "timeout"; or nil, err outside of one.
function park.wait(place, timeout)
  local co, outside = current()
  if not co then return nil, outside end
  place.co = co
  if timeout and timeout * 1000 < LONGEST then place.timer = start_timer(timeout, expire, place) end
  return yield()
end

function park.sleep(seconds)
  local _, why = park.wait({}, seconds)
  if why ~= "timeout" then error(why, 0) end
end

--- Starts a coroutine; it runs when the running one waits.
function park.spawn(fn, ...)
  local co = coroutine.create(fn)
  local arguments = { n = select("#", ...), ... }
  start_timer(0, function() run(co, unpack(arguments, 1, arguments.n)) end)
  return co
end

local Event = {}
Event.__index = Event

function Event:wait(timeout)
  park.vacate(self)
  if not self.is_set then return park.wait(self, timeout) end
  self.is_set = nil
  return true
end

function Event:set()
  if self.co then park.wake(self, true) elseif not self.woken then self.is_set = true end
end

--- A sticky flag with one waiter.
function park.event() return setmetatable({}, Event) end

return park
