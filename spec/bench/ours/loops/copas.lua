-- copas 4 or later; raw: its own wrapped socket.
local copas = require "copas"
local socket = require "socket"

local host = { adapter = "copas" }

function host.run(fn)
  copas.addthread(fn)
  copas.loop()
end

local Socket = {}
Socket.__index = Socket

function Socket:read()
  local bytes, why, part = self.socket:receivepartial(65536)
  if bytes then return bytes end
  if part and part ~= "" then return part end
  return nil, why
end

function Socket:write(bytes) return self.socket:send(bytes) end

function Socket:close() self.socket:close() end

function host.dial(port)
  local s = copas.wrap(socket.tcp())
  assert(s:connect("127.0.0.1", port))
  s:setoption("tcp-nodelay", true)
  return setmetatable({ socket = s }, Socket)
end

return host
