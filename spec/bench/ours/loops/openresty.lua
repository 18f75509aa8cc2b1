-- nginx with its Lua module (ours/loops_nginx.lua starts it); raw: a cosocket.
local ngx = ngx -- luacheck: ignore

local host = { adapter = "openresty", run = function(fn) fn() end }

local Socket = {}
Socket.__index = Socket

function Socket:read() return self.socket:receiveany(65536) end

function Socket:write(bytes) return self.socket:send(bytes) end

function Socket:close() self.socket:close() end

function host.dial(port)
  local s = ngx.socket.tcp()
  s:settimeouts(60000, 60000, 60000)
  assert(s:connect("127.0.0.1", port))
  return setmetatable({ socket = s }, Socket)
end

return host
