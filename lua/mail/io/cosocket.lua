--- OpenResty's sockets as transports for mail.io.stream: reading in slices, closing, the pool.
--
-- A cosocket lives and dies with the request or timer that opened it, and nothing but its own time-outs
-- ends a read. So reads are cut into slices: between two of them a close from another coroutine, the
-- deadline and the end of the worker are seen. What a cosocket raises is returned like any other error.
-- Invariant: a socket is closed or pooled only when no coroutine is inside one of its calls.
-- @module mail.io.cosocket

local core = require "mail.core"

local cosocket = {}

local ngx = ngx -- nil outside of nginx
local now = core.now

-- Seconds for which a read may not look up; and after which a peer that takes nothing is given up where
-- the write has no deadline of its own.
local SLICE, STUCK = 0.5, 60
-- Octets for one read; nginx gives no more than lua_socket_buffer_size at a time.
local OCTETS = 65536
local LEAVING = "this nginx worker is leaving"

--- True where a timer of a leaving worker should end; requests are let finish by nginx, too.
function cosocket.leaving()
  return ngx.worker.exiting() and ngx.get_phase() == "timer"
end

local function milliseconds(seconds)
  return math.max(1, math.min(math.ceil(seconds * 1000), 2147483647))
end

local Transport = {}
Transport.__index = Transport

-- A method of the cosocket, with what it raises returned.
local function call(self, method, ...)
  local socket = self.socket
  local ok, result, why = pcall(socket[method], socket, ...)
  if ok then return result, why end
  return nil, tostring(result)
end

-- Where a socket was closed while others were inside a call, the last of them closes it.
local function leave(self)
  self.busy = self.busy - 1
  if self.closed and self.busy == 0 then call(self, "close") end
end

-- One slice: bytes; or nil, and why where it is the last one.
local function read_slice(self, left)
  if self.closed then return nil, "closed" end
  if left <= 0 then return nil, "timeout" end
  if not self.finishing and cosocket.leaving() then return nil, LEAVING end
  self.socket:settimeouts(nil, nil, milliseconds(math.min(left, SLICE)))
  local bytes, why = call(self, "receiveany", OCTETS)
  if why == "timeout" then why = nil end -- the only error of a cosocket that is not its end
  return bytes, why
end

--- Bytes, any number of them; or nil and "timeout", "closed" or a message.
function Transport:read(timeout)
  local deadline = now() + (timeout or math.huge)
  local bytes, why
  self.busy = self.busy + 1
  repeat
    bytes, why = read_slice(self, deadline - now())
  until bytes or why
  leave(self)
  return bytes, why
end

--- Sends all of it: true; or nil and "timeout", which is the end of the socket, or a message.
function Transport:write(bytes, timeout)
  if self.closed then return nil, "closed" end
  self.busy = self.busy + 1
  self.socket:settimeouts(nil, milliseconds(timeout or STUCK), nil)
  local sent, why = call(self, "send", bytes)
  leave(self)
  if sent then return true end
  return nil, why
end

--- Closes the socket, as soon as nobody is inside a call of it. Idempotent.
function Transport:close()
  if self.closed then return end
  self.closed = true
  if self.busy == 0 then call(self, "close") end
end

--- Hands the socket to the pool that it was dialed for. true; or nil, message: then it is closed.
function Transport:release(idle, size)
  if not self.pooled then return nil, "it was dialed for no pool" end
  self.closed = true
  local ok, why = call(self, "setkeepalive", milliseconds(idle), size)
  if ok then return true end
  call(self, "close")
  return nil, why
end

--- A cosocket as a transport.
-- @tparam[opt] string pool the name of the pool that it may come from and go to
function cosocket.new(pool)
  return setmetatable({ socket = ngx.socket.tcp(), busy = 0, pooled = pool ~= nil }, Transport)
end

local key

--- A digest for names of pools, by which nobody can try passwords: its key never leaves this worker.
-- Nil outside of nginx.
function cosocket.digest(text)
  if not ngx then return nil end
  if not key then
    local file = io.open("/dev/urandom", "rb")
    key = file and file:read(20) or tostring({}) .. ngx.now()
    if file then file:close() end
  end
  local octets = ngx.hmac_sha1(key, text)
  return (octets:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

cosocket.call, cosocket.milliseconds = call, milliseconds

return cosocket
