-- cqueues; raw: cqueues.socket in binary mode without buffers of its own in between.
local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local host = { adapter = "cqueues" }

function host.run(fn)
  local controller = cqueues.new()
  controller:wrap(fn)
  assert(controller:loop())
end

local Socket = {}
Socket.__index = Socket

function Socket:read() return self.socket:read(-65536) end

function Socket:write(bytes) return self.socket:write(bytes) end

function Socket:close() self.socket:close() end

function host.dial(port)
  local s = assert(socket.connect { host = "127.0.0.1", port = port, nodelay = true })
  s:setmode("bn", "bn")
  assert(s:connect())
  return setmetatable({ socket = s }, Socket)
end

return host
