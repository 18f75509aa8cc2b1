-- A POP3 server of a few lines in this process, which is a transport object: it knows CAPA and AUTH, and keeps
-- what SCRAM keeps in the place of the password "secret". With "PLAIN" it takes whoever comes.
--
-- It makes next to no garbage, so that what is measured beside it is not its own.

local core = require "mail.core"

local Server = {}
Server.__index = Server

local unpack = table.unpack or unpack -- luacheck: ignore

local function hex(text)
  return (text:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end))
end

local KEYS = { salt = "0123456789abcdef", rounds = 4096,
  stored_key = hex "6e9498e597bd3541fe237e4b0b7815abe0e905f2b8ea25c1c6f8402aa56ef691",
  server_key = hex "56962506ec72cde088d4a9dcb6b79f7658e90759a4dc6a7bb0123fb75d7e3644" }

local VALUES = {}
for i = 1, 64 do
  VALUES[("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"):byte(i)] = i - 1
end

local octets = {}

local function unbase64(text)
  local n = 0
  for i = 1, #text, 4 do
    local a, b, c, d = text:byte(i, i + 3)
    local bits = ((VALUES[a] * 64 + VALUES[b]) * 64 + (VALUES[c] or 0)) * 64 + (VALUES[d] or 0)
    octets[n + 1], octets[n + 2], octets[n + 3] = math.floor(bits / 65536), math.floor(bits / 256) % 256, bits % 256
    n = n + (VALUES[d] and 3 or VALUES[c] and 2 or 1)
  end
  return string.char(unpack(octets, 1, n))
end

--- A server for one connection.
-- @tparam string mechanism "SCRAM-SHA-256" or "PLAIN"
-- @tparam table host the adapter whose events it waits by
function Server.new(mechanism, host)
  return setmetatable({ mechanism = mechanism, out = "+OK ready\r\n", event = host.event() }, Server)
end

function Server:say(text)
  self.out = self.out .. text .. "\r\n"
  self.event:set()
end

function Server:prove(response)
  local turn, text = self.sasl:receive(unbase64(response))
  if turn == "lookup" then turn, text = self.sasl:secret(KEYS) end
  if turn == "challenge" then return self:say("+ " .. core.base64(text)) end
  self:say(turn == "accept" and "+OK in" or "-ERR " .. tostring(text))
end

function Server:hear(line)
  local initial = line:match "^AUTH %S+ (%S+)"
  if line == "CAPA" then
    self:say("+OK\r\nSASL " .. self.mechanism .. "\r\n.")
  elseif initial and self.mechanism == "PLAIN" then
    self:say "+OK in"
  elseif initial then
    self.sasl = assert(core.sasl_server(self.mechanism, {}))
    self:prove(initial)
  else
    self:prove(line)
  end
end

function Server:write(bytes)
  local from = 1
  while true do
    local stop = bytes:find("\r\n", from, true)
    if not stop then break end
    self:hear(bytes:sub(from, stop - 1))
    from = stop + 2
  end
  return true
end

function Server:read(timeout)
  if self.out == "" then
    local ok, why = self.event:wait(timeout)
    if not ok then return nil, why end
  end
  local text = self.out
  self.out = ""
  return text
end

function Server:close() self.event:set() end

return Server
