--- Waits and transports in a skynet service, for the skynet adapter.
--
-- Traps that shape this file: socket.read has no time-out and breaks when its reader is woken by anyone
-- else, so each connection has a thread that only reads, one piece ahead; socket.write never waits: a
-- `warning` tells of a megabyte waiting, and of zero when all is sent, but only to a service that lets
-- messages in; socket.close waits for the reader, so it is left to a thread of its own; bytes that a
-- deaf peer does not take keep a closed socket open, so they are dropped after a while.
-- skynet's time has steps of 10 ms. An error in a thread is in skynet's log.
-- @module mail.io.skynet_socket

local core = require "mail.core"
local inside = require "mail.io.inside"

local skynet = require "skynet"
local driver = require "skynet.socketdriver"
local socket = require "skynet.socket"

local lib = { rule = "mail.io.skynet: what waits must run in a thread of the service (skynet.start, skynet.fork)" }

local PIECE = 262144 -- octets written before messages are let in, and a warning with them
local SLICE = 65536 -- octets handed out at once, of the megabytes that skynet may have gathered
local LINGER = 5 -- seconds for the last octets of a closed connection
local LONGEST = 1e7 -- seconds; longer is for ever

local current = inside.current(lib.rule)

-- An integer, as skynet demands: rounded up, and one more, because the present step is partly over.
local function steps(seconds)
  return seconds <= 0 and 0 or math.ceil(math.min(seconds, LONGEST) * 100) + 1
end

function lib.sleep(seconds)
  local thread, outside = current()
  if not thread then error(outside, 0) end
  skynet.sleep(steps(seconds))
end

local Event = {}
Event.__index = Event
-- The event itself is the token of skynet's wait. state: "parked", then "woken" until the waiter runs.
function Event:wait(timeout)
  if self.is_set then
    self.is_set = nil
    return true
  end
  local thread, outside = current()
  if not thread then return nil, outside end
  self.state = "parked"
  if timeout and timeout < LONGEST then skynet.sleep(steps(timeout), self) else skynet.wait(self) end
  local woken = self.state == "woken"
  self.state = nil
  return woken or nil, not woken and "timeout" or nil
end

function Event:set()
  if self.state == "parked" then
    self.state = "woken"
    skynet.wakeup(self)
  elseif not self.state then
    self.is_set = true
  end
end

function lib.event() return setmetatable({}, Event) end

-- A line is what the reading thread shares with the transport; it does not hold the transport, so that a
-- session that was dropped can be collected.
local Transport = {}
Transport.__index = Transport

local function end_line(line)
  line.closed = true
  line.taken:set()
  line.readable:set()
  line.writable:set()
end

-- What comes before the piece is taken skynet keeps, a few megabytes before it stops reading.
local function read_ahead(line)
  repeat
    line.bytes, line.from = socket.read(line.id) or nil, 1
    line.readable:set()
    if line.bytes then line.taken:wait() else end_line(line) end
  until line.closed
  socket.close(line.id)
end

--- A transport over a connected socket of skynet's.
function lib.transport(id)
  local line = { id = id, unseen = 0, readable = lib.event(), taken = lib.event(), writable = lib.event() }
  driver.nodelay(id)
  socket.warning(id, function(_, kilobytes)
    line.congested = kilobytes > 0
    if kilobytes == 0 then line.writable:set() end
  end)
  skynet.fork(read_ahead, line)
  return setmetatable({ line = line }, Transport)
end

function Transport:read(timeout)
  local line, ends = self.line, timeout and core.now() + timeout
  while not line.bytes do
    if line.closed then return nil, "closed" end
    local ok, why = line.readable:wait(ends and ends - core.now())
    if not ok then return nil, why end
  end
  local from = line.from
  local bytes = line.bytes:sub(from, from + SLICE - 1)
  line.from = from + SLICE
  if line.from > #line.bytes then
    line.bytes = nil
    line.taken:set()
  end
  return bytes
end

function Transport:write(bytes, timeout)
  if not inside.coroutine() then return nil, lib.rule end
  local line, ends = self.line, timeout and core.now() + timeout
  while line.congested and not line.closed do
    local ok, why = line.writable:wait(ends and ends - core.now())
    if not ok then return nil, why end
  end
  if line.closed or not socket.write(line.id, bytes) then return nil, "closed" end
  line.unseen = line.unseen + #bytes
  if line.unseen >= PIECE then
    line.unseen = 0
    skynet.sleep(0)
  end
  return true
end

function Transport:close()
  if self.closed then return end
  local line = self.line
  self.closed, line.bytes = true, nil
  end_line(line)
  skynet.fork(socket.close, line.id)
  skynet.timeout(steps(LINGER), function() driver.shutdown(line.id) end)
end

-- A finalizer cannot wait: the reading thread sees the end, and does the rest.
function Transport:__gc()
  if self.closed then return end
  end_line(self.line)
  driver.shutdown(self.line.id)
end

return lib
