--- The adapter of cqueues: sockets are ours, cqueues waits for them.
--
-- Every wait must be made in a coroutine of a running controller (`cq:wrap(fn)`), or in one made by
-- `cqueues.auxlib.wrap` within it. In such a coroutine the adapter is chosen by itself.
-- Invariant: cqueues.cancel is called for a descriptor before it is closed. The kernel gives the
-- number to the next socket, and a controller that still knows it by that number fails whole.
-- @module mail.io.cqueues

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local Err = require "mail.err"
local adapter = require "mail.io.adapter"
local fd = require "mail.io.fd"

local monotime, poll, running = cqueues.monotime, cqueues.poll, cqueues.running

-- A controller takes a descriptor out at the end of its turn: one that is collected before that is told of.
local host = {
  name = "cqueues", now = monotime, lingers = true,
  rule = "mail.io.cqueues: what waits must run in a coroutine of a controller (cq:wrap)",
}

local records = {} -- descriptor → what poll takes for it

--- True in a coroutine that a controller runs.
function host.usable()
  return running() ~= nil
end

local function outside()
  return Err.new { kind = "unsupported", message = host.rule }
end

-- What poll gives, within the rules: the object that is ready, or the seconds that are over.
local function polled(object, timeout)
  if not running() then error(outside(), 0) end
  if timeout and timeout < 0 then timeout = 0 end
  local ready = poll(object, timeout)
  if ready == nil then adapter.broken(host, adapter.words()) end
  return ready
end

--- Waits for a descriptor: true | nil, "timeout". `forget` and `nudge` end it early.
function host.wait(socket, what, timeout)
  if not running() then return nil, outside() end
  local record = records[socket]
  if not record then
    record = { pollfd = socket }
    records[socket] = record
  end
  record.events = what
  if polled(record, timeout) == record then return true end
  return nil, "timeout"
end

--- The descriptor is about to be closed: whoever waits for it goes on, and finds out.
function host.forget(socket)
  records[socket] = nil
  cqueues.cancel(socket)
end

--- Whoever waits for the descriptor looks again.
function host.nudge(socket)
  cqueues.cancel(socket)
end

function host.sleep(seconds)
  polled(seconds > 0 and seconds or 0)
end

--- Gives the other coroutines a turn.
function host.pause()
  polled(0)
end

--- Runs `fn` in a coroutine of the running controller, which is told of its errors.
function host.spawn(fn, ...)
  local controller = running()
  if not controller then error(outside(), 0) end
  return controller:wrap(fn, ...)
end

local Event = {}
Event.__index = Event

-- A signal that nobody waits for is lost; the flag is not.
function Event:set()
  self.is_set = true
  self.condition:signal()
end

--- Waits for `set`: true | nil, "timeout"
function Event:wait(timeout)
  if not self.is_set then polled(self.condition, timeout) end
  if not self.is_set then return nil, "timeout" end
  self.is_set = nil
  return true
end

function host.event()
  return setmetatable({ condition = condition.new() }, Event)
end

return fd.complete(host)
