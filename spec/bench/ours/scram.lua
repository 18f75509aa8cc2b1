-- Our side of scram-logins: n log-ins by SCRAM-SHA-256 side by side, at POP3 servers of a few lines in this process,
-- which keep what SCRAM keeps in the place of passwords. What counts is how long the loop is held: by one task at a
-- time (`step`), and between two turns of a task that does nothing else than to count (`gap`), both in microseconds
-- of processor time. With plain=1 nobody computes: what the rest of a log-in costs. With gc=0 Lua's collector is
-- stopped meanwhile: it visits the stacks of all coroutines in one go, which is none of our doing.

local longest = 0
local resume = coroutine.resume

-- Before the loop takes it.
coroutine.resume = function(...) -- luacheck: ignore
  local began = os.clock()
  local function took(...)
    local d = os.clock() - began
    if d > longest then longest = d end
    return ...
  end
  return took(resume(...))
end

local common = require "spec.bench.ours.common"
local core = require "mail.core"
local mail = require "mail"
local Pump = require "mail.pump"

local o = common.options
local mechanism = o.plain == 1 and "PLAIN" or "SCRAM-SHA-256"

local function hex(text)
  return (text:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end))
end

-- Of the password "secret".
local KEYS = { salt = "0123456789abcdef", rounds = 4096,
  stored_key = hex "6e9498e597bd3541fe237e4b0b7815abe0e905f2b8ea25c1c6f8402aa56ef691",
  server_key = hex "56962506ec72cde088d4a9dcb6b79f7658e90759a4dc6a7bb0123fb75d7e3644" }

local ALPHABET = {}
for i = 1, 64 do
  ALPHABET[("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"):byte(i)] = i - 1
end

local function unbase64(text)
  local out = {}
  for a, b, c, d in text:gmatch "(.)(.)(.)(.)" do
    local function value(x) return ALPHABET[x:byte()] or 0 end
    local n = ((value(a) * 64 + value(b)) * 64 + value(c)) * 64 + value(d)
    local bytes = string.char(math.floor(n / 65536), math.floor(n / 256) % 256, n % 256)
    out[#out + 1] = d ~= "=" and bytes or c ~= "=" and bytes:sub(1, 2) or bytes:sub(1, 1)
  end
  return table.concat(out)
end

-- --- a server and its connection, which is a transport object ------------------------------------------

local Server = {}
Server.__index = Server

local function new_server()
  return setmetatable({ out = "+OK ready\r\n", event = mail.loop.native.event() }, Server)
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
    self:say("+OK\r\nSASL " .. mechanism .. "\r\n.")
  elseif initial and mechanism == "PLAIN" then
    self:say "+OK in"
  elseif initial then
    self.sasl = assert(core.sasl_server(mechanism, {}))
    self:prove(initial)
  else
    self:prove(line)
  end
end

function Server:write(bytes)
  for line in bytes:gmatch "([^\r\n]*)\r\n" do self:hear(line) end
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

-- --- the log-ins ----------------------------------------------------------------------------------------

local done, gap = 0, 0

local function log_in()
  local session = mail.pop3.session()
  local pump = Pump.open(session, new_server(), nil, { timeout = 600 })
  local ok, err = mail.pop3.greet(pump, { tls = "none", allow_plaintext_login = true, user = "ann",
    password = "secret", mechanism = mechanism }, pump:deadline())
  if not ok then error(err, 0) end
  done = done + 1
end

local function count()
  local last = os.clock()
  while done < o.n do
    mail.loop.native.pause()
    local now = os.clock()
    if now - last > gap then gap = now - last end
    last = now
  end
end

mail.loop.run(function()
  log_in() -- the first of a process loads digests, random numbers, tables of names
  done, longest = 0, 0
  if o.gc == 0 then collectgarbage "stop" end
  common.begin()
  mail.loop.spawn(count)
  local tasks = {}
  for i = 1, o.n do
    tasks[i] = mail.loop.spawn(log_in)
    if i % 4 == 0 then mail.loop.native.pause() end
  end
  for _, task in ipairs(tasks) do task:join() end
  common.finish(done, { step = longest * 1e6, gap = gap * 1e6 })
end)
