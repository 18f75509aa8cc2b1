--- No loop at all: every wait is a poll(2), in a coroutine too.
--
-- Chosen by name alone (`loop = "blocking"`), where a call may hold up the whole thread: a script, a
-- host's start-up phase, a worker thread. There is one thing at a time: no `spawn`, and an event that
-- nobody has set can only time out.
-- @module mail.io.blocking

local core = require "mail.core"
local fd = require "mail.io.fd"

local blocking = { name = "blocking", now = core.now }

-- The longest poll(2).
local LONG = 1e6

--- Waits for a descriptor: true | nil, "timeout" | message
function blocking.wait(socket, what, timeout)
  local ok, why = core.poll_one(socket, what, timeout)
  if ok then return true end
  return nil, why or "timeout"
end

-- Nothing is remembered between two waits.
function blocking.forget() end

--- Holds up the thread.
function blocking.sleep(seconds)
  local ends, left = core.now() + seconds, seconds
  while left > 0 do
    core.poll_one(-1, "r", math.min(left, LONG)) -- poll(2) passes over negative descriptors
    left = ends - core.now()
  end
end

local Event = {}
Event.__index = Event

function Event:set() self.is_set = true end

--- True where it was set; else the time is waited out, since nobody can set it meanwhile.
function Event:wait(timeout)
  if not self.is_set then
    if not timeout then error("mail.io.blocking: a wait that nothing can end: one thing runs at a time", 2) end
    blocking.sleep(timeout)
    return nil, "timeout"
  end
  self.is_set = nil
  return true
end

function blocking.event()
  return setmetatable({}, Event)
end

return fd.complete(blocking)
