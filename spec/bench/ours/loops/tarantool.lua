-- Tarantool (run by it); raw: its socket module without the buffer that it reads lines with.
local socket = require "socket"

local host = { adapter = "tarantool" }

function host.run(fn)
  fn()
  os.exit(0)
end

local Socket = {}
Socket.__index = Socket

function Socket:read()
  while true do
    local bytes = self.socket:sysread(65536)
    if bytes then return bytes ~= "" and bytes or nil, "closed" end
    self.socket:readable()
  end
end

function Socket:write(bytes)
  local from = 1
  while from <= #bytes do
    local sent = self.socket:syswrite(from == 1 and bytes or bytes:sub(from))
    if sent then from = from + sent else self.socket:writable() end
  end
  return true
end

function Socket:close() self.socket:close() end

function host.dial(port)
  local s = assert(socket.tcp_connect("127.0.0.1", port))
  s:setsockopt("IPPROTO_TCP", "TCP_NODELAY", 1)
  return setmetatable({ socket = s }, Socket)
end

return host
