--- Who waits on a session that somebody else reads: what each sleeps on, and the place for its event.
--
-- A waiter has a place by the last digits of its command's number, in an array: a table whose keys only ever grow
-- is hashed anew all the time. Who finds its place taken goes behind them all, by the whole number. A waiter keeps
-- its place when its wait is over, for whoever comes there next, since every message sent through a busy session
-- needs one.
-- Invariant: `id` of a waiter is nil while nobody waits, and `pump.waiting` counts the others.
-- @module mail.pump.waiters

local adapter = require "mail.io.adapter"

local waiters = {}

local PLACES = 16

local status = coroutine.status

--- The waiter of a command; nil where nobody waits for it.
function waiters.of(pump, id)
  local all = pump.waiters
  if not all then return nil end
  local waiter = all[id % PLACES + 1]
  if waiter and waiter.id == id then return waiter end
  return all[id + PLACES + 1]
end

local function new(pump, place)
  local event = pump.host.event()
  local kind = type(event)
  if kind ~= "table" and kind ~= "userdata" or not (event.wait and event.set) then
    adapter.broken(pump.host, kind .. " for event()", "an event has wait(seconds) and set()")
  end
  local waiter = { event = event, place = place }
  pump.waiters[place] = waiter
  return waiter
end

--- A waiter for a command: `event` to sleep on; `kind`, `a` to `f` are the command's event once it was delivered.
-- @tparam Pump pump
-- @tparam number id
-- @tparam[opt] number deadline until when it waits
-- @tparam thread|boolean owner who waits; true: the main thread of Lua 5.1
function waiters.take(pump, id, deadline, owner)
  local all = pump.waiters
  if not all then
    all = { nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil }
    pump.waiters = all
  end
  local place = id % PLACES + 1
  local waiter = all[place]
  if not waiter then
    waiter = new(pump, place)
  elseif waiter.id then
    waiter = new(pump, id + PLACES + 1)
  end
  waiter.id, waiter.deadline, waiter.owner = id, deadline, owner
  pump.waiting = pump.waiting + 1
  return waiter
end

--- Its wait is over.
function waiters.drop(pump, waiter)
  if not waiter.id then return end -- it was forgotten
  if waiter.place > PLACES then pump.waiters[waiter.place] = nil end
  if waiter.kind then
    waiter.kind, waiter.a, waiter.b, waiter.c, waiter.d, waiter.e, waiter.f = nil, nil, nil, nil, nil, nil, nil
  end
  waiter.id = nil
  pump.waiting = pump.waiting - 1
end

--- The command is given up by somebody else than who waits for it, and may sleep on.
function waiters.forget(pump, id)
  local waiter = waiters.of(pump, id)
  if not waiter then return end
  waiters.drop(pump, waiter)
  pump.waiters[waiter.place] = nil
end

-- A coroutine that was closed in its wait (coroutine.close) would sleep for ever on whatever it was given.
local function is_alive(owner)
  return owner == true or status(owner) ~= "dead"
end

--- One who has no event yet, if possible that of the command behind `id`; nil where nobody waits.
function waiters.next(pump, id)
  if pump.waiting == 0 then return nil end
  local all = pump.waiters
  for i = id + 1, id + PLACES do
    local waiter = all[i % PLACES + 1]
    if waiter and waiter.id and not waiter.kind and is_alive(waiter.owner) then return waiter end
  end
  for _, waiter in pairs(all) do
    if waiter.id and not waiter.kind and is_alive(waiter.owner) then return waiter end
  end
end

--- Ends all waits.
function waiters.wake_all(pump)
  for _, waiter in pairs(pump.waiters or {}) do waiter.event:set() end
end

return waiters
