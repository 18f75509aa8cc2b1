--- copas, 4 or later: all descriptors stand behind one that copas watches.
--
-- Our sockets are parked in a poller of the core; copas watches the poller's own descriptor, in one
-- thread that lives while somebody waits. So neither select's limit of 1024 descriptors counts here nor
-- copas' time-outs on sockets, which resume a thread twice when they fall into one of the pauses that
-- copas makes at random; and names are resolved without blocking, which luasocket cannot.
-- Traps that shape this file: a thread that is woken twice takes the second for the end of some later
-- pause, so a waiter is cleared before it is woken; copas.loop ends only when nothing is watched, so
-- the watching thread leaves with the last waiter ("dirty" tells select not to wait); older copas (the
-- packaged 1.1.7) can neither be woken nor watch an object of ours, and is refused.
-- @module mail.io.copas

local core = require "mail.core"
local fd = require "mail.io.fd"
local inside = require "mail.io.inside"
local copas = require "copas"

local version = tostring(rawget(copas, "_VERSION")):match "%d[%d.]*"
if not version or tonumber(version:match "^%d+") < 4 then
  error(("mail.io.copas: copas 4 or later is needed, this is %s"):format(version or "of an unknown version"), 0)
end

local host = {
  name = "copas", now = core.now,
  rule = "mail.io.copas: what waits must run in a copas thread, with copas.running true (as copas.loop sets it)",
}
local current = inside.current(host.rule)

-- Ends the wait of whoever is parked in `place`, once.
local function wake(place)
  local thread = place.thread
  if not thread then return end
  place.thread, place.woken = nil, true
  copas.wakeup(thread)
end

-- Parks the running thread: true; or nil, "timeout"; or nil, err outside of one.
local function park(place, timeout)
  local thread, outside = current()
  if not thread then return nil, outside end
  place.thread = thread
  if timeout and timeout < math.huge then copas.pause(timeout) else copas.pauseforever() end
  local woken = place.woken
  place.thread, place.woken = nil, nil
  return woken, not woken and "timeout" or nil
end

local Event = {}
Event.__index = Event

function Event:wait(timeout)
  if not self.is_set then return park(self, timeout) end
  self.is_set = nil
  return true
end

-- A waiter that was woken and has not run yet has been told already.
function Event:set()
  if self.thread then wake(self) elseif not self.woken then self.is_set = true end
end

function host.event() return setmetatable({}, Event) end
function host.pause() copas.pause() end
function host.spawn(fn, ...) return copas.addthread(fn, ...) end

function host.sleep(seconds)
  local thread, outside = current()
  if not thread then error(outside, 0) end
  copas.pause(seconds)
end

local LATE = 1 -- seconds after its end in which a live thread has ended its wait
local poller = core.poller()
local waiting = {} -- descriptor → place
local ready = {}
local watching

-- What copas takes for a socket: `receive` has nothing at first, so that copas waits for the descriptor.
local watched = { getfd = function() return poller:fd() end, settimeout = function() end }

-- Whoever was removed (copas.removethread) is late, and no reason to watch.
local function nobody()
  local now = core.now()
  for _, place in pairs(waiting) do
    if not place.ends or now < place.ends then return false end
  end
  return true
end

watched.dirty = nobody
function watched:receive()
  self.asked = not self.asked
  if self.asked then return nil, "timeout", "" end
  return "ready"
end

-- Where copas cannot watch (no luasocket, no such descriptor), it looks a hundred times a second.
local watchable = package.loaded.socket and (poller:fd() or 1024) < 1024

local function watch()
  while not nobody() do
    if watchable then copas.receive(watched) else copas.pause(0.01) end
    for i = 1, (poller:wait(0, ready)) do
      local place = waiting[ready[i]]
      waiting[ready[i]] = nil
      if place then wake(place) end
    end
    copas.pause() -- whoever was woken may wait again
  end
  waiting, watching = {}, nil
end

function host.wait(descriptor, what, timeout)
  local thread, outside = current()
  if not thread then return nil, outside end
  local is_ready, why = poller:park(descriptor, what)
  if is_ready == nil then return nil, why end
  if is_ready then return true end
  local place = { ends = timeout and core.now() + timeout + LATE }
  waiting[descriptor] = place
  if not watching then
    watching = true
    copas.addthread(watch)
  end
  is_ready, why = park(place, timeout)
  if waiting[descriptor] == place then
    waiting[descriptor] = nil
    poller:unpark(descriptor)
  end
  return is_ready, why
end

function host.nudge(descriptor)
  local place = waiting[descriptor]
  if not place then return end
  waiting[descriptor] = nil
  poller:unpark(descriptor)
  wake(place)
end

function host.forget(descriptor)
  host.nudge(descriptor)
  poller:forget(descriptor)
end

-- Whether a wait made here and now is copas' affair: its loop runs, and this is a coroutine.
function host.usable() return copas.running == true and inside.coroutine() end

return fd.complete(host)
