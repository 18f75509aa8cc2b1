-- Log-ins with Kerberos, in a process of their own: the library reads KRB5_CONFIG, which no spec can set for itself.
--
--     KRB5_CONFIG=… lua kerberos_client.lua CASES
--
-- CASES is a file with Lua text that returns an array of { protocol=, options= } and perhaps
--   relay = { turn = 1, as = "flipped" }   between client and server stands one who changes the server's turn-th
--                                          challenge: flipped, garbage, repeated, success, end
-- For each, one line of Lua text comes out: { ok=, kind=, temporary=, message=, sent= (lines with AUTH), done= }.

local core = require "mail.core"
local fd = require "mail.io.fd"
local loop = require "mail.loop"
local mail = require "mail"
local scripted = require "spec.support.scripted"

local function upstream(peer, port)
  local native = loop.native
  local conn = fd.adopt(native, assert(fd.dial(native, "127.0.0.1", port, {}, native.now() + 20)))
  return setmetatable({ conn = conn, input = "", server = peer.server }, getmetatable(peer))
end

local SUCCESS = { imap = "%s OK in", pop3 = "+OK in", smtp = "235 2.7.0 in" }

local CHANGES = {
  flipped = function(octets)
    local at = math.floor(#octets / 2)
    local digit = octets:sub(at, at)
    return octets:sub(1, at - 1) .. (digit == "A" and "B" or "A") .. octets:sub(at + 1)
  end,
  garbage = function() return core.base64 "no token of anybody's" end,
  repeated = function(_, before) return before end,
}

-- From the server to the client, line by line; challenges with something in them count.
local function bring(up, peer, case, said)
  local turn, before = 0, nil
  while true do
    local line = up:line()
    if not line then return peer:close() end
    local sign, octets = line:match "^(%+ )(%S+)$"
    if not sign then sign, octets = line:match "^(334 )(%S+)$" end
    if sign then turn = turn + 1 end
    if sign and turn == case.relay.turn then
      local as = case.relay.as
      if as == "end" then return peer:close() end
      if as == "success" then
        line = SUCCESS[case.protocol]:format(said.tag)
      else
        line = sign .. CHANGES[as](octets, before)
      end
    end
    before = octets
    peer:send(line .. "\r\n")
  end
end

local function relay(case)
  local port = case.options.port
  return scripted.serve(function(peer)
    local up, said = upstream(peer, port), {}
    loop.spawn(bring, up, peer, case, said)
    while true do
      local line = peer:line()
      if not line then break end
      if line:find "AUTHENTICATE" then said.tag = line:match "^%S+" end
      up:send(line .. "\r\n")
    end
    up:close()
  end).port
end

local function login(case)
  local sent = 0
  case.options.log = function(direction, line)
    if direction == "C" and line:find "AUTH" then sent = sent + 1 end
  end
  if case.relay then case.options.port = relay(case) end
  local session, err = mail[case.protocol].connect(case.options)
  local done = session and (session:noop())
  if session then session:close() end
  err = err or {}
  return ("{ ok = %s, kind = %q, temporary = %s, message = %q, sent = %d, done = %s }"):format(tostring(session ~= nil),
    tostring(err.kind), tostring(err.temporary or false), tostring(err.message), sent, tostring(done and true))
end

local text = assert(io.open(arg[1])):read "*a"
local cases = assert((loadstring or load)(text))()
loop.run(function()
  for _, case in ipairs(cases) do print(login(case)) end
end)
