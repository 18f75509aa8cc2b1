-- A loop whose sockets are objects of its own, as those of OpenResty or luv: built on the library's loop, for specs
-- of what runs over transports.
local core = require "mail.core"
local fd = require "mail.io.fd"
local loop = require "mail.loop"
local stream = require "mail.io.stream"

local native = loop.native
local streams = {}

local Transport = {}
Transport.__index = Transport

function Transport:read(timeout)
  while true do
    if not self.conn:fd() then return nil, "closed" end
    local bytes, why = self.conn:recv()
    if bytes or why ~= "again" then return bytes, why end
    local ok
    ok, why = native.wait(self.conn:fd(), "r", timeout)
    if not ok then return nil, why end
  end
end

function Transport:write(bytes, timeout)
  local from = 1
  while from <= #bytes do
    if not self.conn:fd() then return nil, "closed" end
    local sent, why = self.conn:send(bytes, from)
    if sent then from = from + sent elseif why ~= "again" then return nil, why end
    if not sent and not native.wait(self.conn:fd(), "w", timeout) then return nil, "timeout" end
  end
  return true
end

function Transport:close()
  local socket = self.conn:fd()
  if not socket then return end
  native.forget(socket)
  self.conn:close()
end

--- A connected descriptor as a transport.
function streams.transport(socket)
  native.forget(socket)
  return setmetatable({ conn = core.conn(socket) }, Transport)
end

--- The adapter.
streams.host = stream.complete {
  name = "streams", now = native.now, event = native.event, sleep = native.sleep, spawn = native.spawn,
  dial = function(name, port, options, deadline)
    local socket, err = fd.dial(native, name, port, options, deadline)
    if not socket then return nil, err end
    return streams.transport(socket)
  end,
}

return streams
