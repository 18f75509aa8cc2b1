--- Tarantool: our descriptors, waited for with socket.iowait; every caller is in a fiber already.
--
-- Traps that shape this file: closing a descriptor wakes nobody, and its number may be a new socket's
-- before the old reader has left libev, so `forget` wakes the reader and yields until it is gone;
-- iowait says "" for a time-out and for a wake alike; a cancelled fiber has every wait raise, which
-- becomes kind "cancelled" here; a condition forgets a signal that comes while nobody waits.
-- An error in a spawned fiber is in Tarantool's log.
-- @module mail.io.tarantool

local ascii = require "mail.ascii"
local core = require "mail.core"
local fd = require "mail.io.fd"

local fiber = require "fiber"
local iowait = require "socket".iowait

local FOREVER = 1e9 -- seconds

local host = { name = "tarantool", now = core.now, sleep = fiber.sleep, pause = fiber.yield }

function host.spawn(fn, ...) return fiber.new(fn, ...) end

-- What a wait that raised has to say.
local function raised(err)
  local text = tostring(err)
  return nil, text:find("cancel", 1, true) and "cancelled" or text
end

local Event = {}
Event.__index = Event

function Event:wait(timeout)
  local ends = core.now() + (timeout or FOREVER)
  self.waiting = true
  while not self.is_set do
    local left = ends - core.now()
    if left <= 0 then break end
    local ok, err = pcall(self.cond.wait, self.cond, left)
    if not ok then
      self.waiting = nil
      return raised(err)
    end
  end
  local is_set = self.is_set
  self.waiting, self.is_set = nil, nil
  if is_set then return true end
  return nil, "timeout"
end

function Event:set()
  self.is_set = true
  if self.waiting then self.cond:signal() end
end

function host.event() return setmetatable({ cond = fiber.cond() }, Event) end

local waiting = {} -- descriptor → { fiber, woken }

function host.wait(descriptor, what, timeout)
  local record = { fiber = fiber.self() }
  waiting[descriptor] = record
  local ends = timeout and core.now() + timeout
  local ok, got = pcall(iowait, descriptor, ascii.upper(what), math.max(timeout or FOREVER, 0))
  if waiting[descriptor] == record then waiting[descriptor] = nil end
  if not ok then return raised(got) end
  if got ~= "" or record.woken or not ends or core.now() < ends then return true end
  return nil, "timeout"
end

function host.nudge(descriptor)
  local record = waiting[descriptor]
  if not record then return end
  record.woken = true
  record.fiber:wakeup()
end

function host.forget(descriptor)
  local record = waiting[descriptor]
  if not record then return end
  host.nudge(descriptor)
  -- Cancelled or not, the caller may go on only when the other fiber is out of libev.
  while waiting[descriptor] == record and record.fiber:status() ~= "dead" do pcall(fiber.yield) end
  waiting[descriptor] = nil
end

return fd.complete(host)
