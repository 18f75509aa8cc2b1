--- An HTTP server that answers as a spec tells it, under TLS or not, as tasks of the library's own loop.
--
--     local server = https.serve({ cert=, key= }, function(request, number) return 200, "{}" end)
--     server.url .. "/token"; server:close()
--
-- `request` has `line`, `headers` (names in lower case) and `body`. What the function returns is a status and a
-- body, or a whole answer as one string; it may wait.

local Pump = require "mail.pump"
local core = require "mail.core"
local loop = require "mail.loop"
local scripted = require "spec.support.scripted"
local tls = require "mail.tls"

local native = require "mail.io.native"
local https = {}

-- The next octets, or nil where the client is gone.
local function more(pump)
  local kind, octets = pump:wait(1, loop.now() + 20)
  return kind == "data" and octets or nil
end

local function read_request(pump)
  local text = ""
  while not text:find("\r\n\r\n", 1, true) do
    local octets = more(pump)
    if not octets then return nil end
    text = text .. octets
  end
  local head, body = text:match "^(.-\r\n)\r\n(.*)$"
  local request = { line = head:match "^[^\r]*", headers = {} }
  for name, value in head:gmatch "\n([^:\r\n]+): ([^\r\n]*)" do request.headers[name:lower()] = value end
  local length = tonumber(request.headers["content-length"] or 0)
  while #body < length do
    local octets = more(pump)
    if not octets then return nil end
    body = body .. octets
  end
  request.body = body
  return request
end

local function converse(self, conn, respond)
  native.forget(conn:fd())
  self.served = self.served + 1
  local number = self.served
  local session = core.stream_session()
  local pump = Pump.new { session = session, protocol = "http", host = native, conn = conn, timeout = 20 }
  if self.context then assert(session:start_tls(self.context)) end
  local request = read_request(pump)
  if request then
    local status, body = respond(request, number)
    if type(status) == "number" then
      status = ("HTTP/1.1 %d Said\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s")
        :format(status, #body, body)
    end
    session:write(status)
    pump:wait(1, loop.now() + 0.02) -- sends; the client closes
  end
  pump:close()
end

--- Serves until it is closed.
-- @tparam ?table ssl as of mail.tls.server_context; nil: in clear
function https.serve(ssl, respond)
  local listener = assert(core.listen("127.0.0.1", "0"))
  local _, port = listener:name()
  native.forget(listener:fd())
  local self = setmetatable({ listener = listener, port = port, served = 0 }, scripted.Server)
  self.context = ssl and assert(tls.server_context({ cert = ssl.cert, key = ssl.key }, "http"))
  self.url = ("%s://localhost:%d"):format(ssl and "https" or "http", port)
  loop.spawn(function()
    while listener:fd() do
      local conn, why = listener:accept()
      if conn then
        loop.spawn(converse, self, conn, respond)
      elseif why == "again" then
        native.wait(listener:fd(), "r")
      else
        return
      end
    end
  end)
  return self
end

return https
