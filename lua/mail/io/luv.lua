--- libuv, through luv: sockets are uv_tcp handles, every wait is a yield that a uv callback ends.
--
-- Never chosen by itself, since nobody can know who runs the uv loop: `mail.loop.use "luv"`.
-- Traps that shape this file: read_start reads on for ever, so it is stopped with each piece (that is
-- the backpressure), and an idle session does not keep the loop alive; uv_write queues without limit,
-- so a write ends with its callback; close resumes nobody, so it is done here; luv holds a handle until
-- it is closed, so that of a session which was dropped is closed at the next wait of any other; uv_poll
-- reports a reset socket on stderr (luv before August 2022), so it serves for the descriptors of resolver
-- and dial alone, which are never reset.
-- @module mail.io.luv

local core = require "mail.core"
local Err = require "mail.err"
local fd = require "mail.io.fd"
local inside = require "mail.io.inside"
local park = require "mail.io.luv_park"
local stream = require "mail.io.stream"

local uv, arrive, wait, wake, vacate = park.uv, park.arrive, park.wait, park.wake, park.vacate

local luv = {
  name = "luv", rule = park.rule, usable = inside.coroutine,
  now = core.now, event = park.event, sleep = park.sleep, spawn = park.spawn,
  closes = coroutine.close ~= nil, -- luacheck: ignore (from Lua 5.4 on)
}

function luv.pause() park.sleep(0) end

-- For resolver and dial, whose descriptors stand for all their sockets.
local dialer = { now = core.now, sleep = park.sleep, forget = function() end }

-- A coroutine may be closed in here: `object` keeps the descriptor open until the time is over.
function dialer.wait(descriptor, what, timeout, object)
  local poll, why = uv.new_poll(descriptor)
  if not poll then return nil, why end
  local place = { object = object, leave = function() poll:close() end }
  poll:start(what, function() arrive(place, true) end)
  return wait(place, timeout)
end

-- Calls `fn` when what is returned is collected: Lua 5.1 knows finalizers of userdata alone.
local function collected(fn)
  if not newproxy then return setmetatable({}, { __gc = fn }) end
  local proxy = newproxy(true)
  getmetatable(proxy).__gc = fn
  return proxy
end

local Transport = { finishes = true }
Transport.__index = Transport

-- libuv writes without MSG_NOSIGNAL: a peer that has gone would end the program.
core.ignore_sigpipe()

function luv.dial(name, port, options, deadline)
  local socket, err = fd.dial(dialer, name, port, options, deadline)
  if not socket then return nil, err end
  local tcp = uv.new_tcp()
  local ok, why = tcp:open(socket)
  if not ok then
    tcp:close()
    core.conn(socket):close()
    return nil, Err.new { kind = "io", message = "luv: " .. tostring(why) }
  end
  -- The callback lives as long as the handle, so it must not hold the transport: `reading.place` does,
  -- but only while somebody is parked in it.
  local reading = {}
  local function leave()
    reading.place = nil
    if not reading.closed then tcp:read_stop() end
  end
  -- Whoever is parked may have been closed: what comes then is for the next reader.
  local function on_read(failure, bytes)
    local place = reading.place
    if place and not arrive(place, bytes, failure or "closed") then
      reading.bytes, reading.failure = bytes, failure or "closed"
    end
  end
  local guard = collected(function()
    if not reading.closed then park.drop(tcp) end
  end)
  return setmetatable({
    tcp = tcp, on_read = on_read, leave = leave, reading = reading, place = {}, guard = guard,
  }, Transport)
end

function Transport:read(timeout)
  if not self.tcp then return nil, "closed" end
  local bytes, kept = self.reading.bytes, self.reading.failure
  if kept then
    self.reading.bytes, self.reading.failure = nil, nil
    return bytes, kept
  end
  if inside.coroutine() then
    vacate(self.place)
    local ok, failure = self.tcp:read_start(self.on_read)
    if not ok then return nil, failure end
    self.reading.place, self.place.leave = self.place, self.leave
  end
  return wait(self.place, timeout)
end

-- What the system takes at once needs no callback.
function Transport:write(bytes, timeout)
  if not self.tcp then return nil, "closed" end
  local sent, why, name = self.tcp:try_write(bytes)
  if sent == #bytes then return true end
  if not sent and name ~= "EAGAIN" then return nil, why end
  if not inside.coroutine() then return nil, park.rule end
  local place = {}
  self.writing = place
  self.tcp:write(bytes:sub((sent or 0) + 1), function(failure) arrive(place, not failure or nil, failure) end)
  local ok
  ok, why = wait(place, timeout)
  self.writing = nil
  return ok, why
end

function Transport:close()
  local tcp = self.tcp
  if not tcp then return end
  self.tcp, self.reading.closed = nil, true
  tcp:close()
  wake(self.place)
  if self.writing then wake(self.writing) end
end

return stream.complete(luv)
