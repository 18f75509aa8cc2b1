-- The library's own loop; raw: its sockets as plain ones, a string for each read.
local core = require "mail.core"
local loop = require "mail.loop"

local native = { adapter = "native", run = loop.run }

local Socket = {}
Socket.__index = Socket

function Socket:read()
  while true do
    local bytes, why = self.conn:recv()
    if bytes or why ~= "again" then return bytes, why end
    loop.native.wait(self.conn:fd(), "r")
  end
end

function Socket:write(bytes)
  local from = 1
  while from <= #bytes do
    local sent, why = self.conn:send(bytes, from)
    if sent then
      from = from + sent
    elseif why == "again" then
      loop.native.wait(self.conn:fd(), "w")
    else
      return nil, why
    end
  end
  return true
end

function Socket:close()
  loop.native.forget(self.conn:fd())
  self.conn:close()
end

function native.dial(port)
  local dial = core.dial({ "127.0.0.1" }, port)
  while true do
    local answer, a, what, seconds = dial:step(loop.now())
    if answer == "done" then return setmetatable({ conn = core.conn(a) }, Socket) end
    if answer == "fail" then error(a) end
    loop.native.wait(a, what, seconds)
  end
end

return native
