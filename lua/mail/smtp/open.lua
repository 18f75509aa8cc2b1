--- From the greeting to a session that may send: EHLO or LHLO, STARTTLS, login.
-- @module mail.smtp.open

local ascii = require "mail.ascii"
local auth = require "mail.auth"
local connect = require "mail.connect"
local core = require "mail.core"
local keepalive = require "mail.keepalive"
local limits = require "mail.smtp.limits"
local reply = require "mail.smtp.reply"

local open = {}

-- The name to give in EHLO: an address literal where this host has no name with a dot
-- (RFC 5321 §4.1.4).
local function own_name(pump, o)
  if o.helo then return o.helo end
  local name = core.hostname()
  if name and name:find("^[A-Za-z0-9.-]+%.[A-Za-z0-9-]+$") then return name end
  local address = pump.conn.name and pump.conn:name()
  if not address then return "localhost" end
  return address:find(":", 1, true) and "[IPv6:" .. address .. "]" or "[" .. address .. "]"
end

-- A server that knows no EHLO is older than that (RFC 5321 §3.2); LMTP has no other (RFC 2033 §4.1).
local function is_too_old(pump, code)
  return code >= 500 and code ~= 521 and code ~= 554 and not pump.lmtp
end

--- EHLO, or HELO where the server is older than that. true; or nil, err.
function open.hello(pump, deadline)
  local id, err = pump:begin("ehlo", pump.own_name)
  if not id then
    if err ~= pump.failure then err.command = pump.lmtp and "LHLO" or "EHLO" end
    return nil, err
  end
  local code, enhanced, text = pump:done(id, deadline)
  if code and is_too_old(pump, code) then
    id, err = pump:begin("helo", pump.own_name)
    if not id then return nil, err end
    code, enhanced, text = pump:done(id, deadline)
    if code then pump.capabilities = {} end
  elseif code then
    pump.capabilities = pump.session:ehlo_table()
  end
  limits.learn(pump)
  return reply.positive(pump, pump.lmtp and "LHLO" or "EHLO", code, enhanced, text)
end

local function starttls(pump, o, deadline)
  if not pump.capabilities.STARTTLS then
    if o.tls == "opportunistic" then return true end
    return nil, pump:error("tls", "the server does not offer STARTTLS", { command = "STARTTLS" })
  end
  local id, err = pump:begin("starttls")
  if not id then return nil, err end
  local kind, code, enhanced, text = pump:wait(id, deadline)
  if not kind then return nil, code end
  if kind ~= "starttls" then
    if o.tls == "opportunistic" then return true end
    return nil, reply.refusal(pump, "STARTTLS", code, enhanced, text, "tls")
  end
  local ok
  ok, err = connect.start_tls(pump, o)
  if not ok then return nil, err end
  return open.hello(pump, deadline)
end

-- The server's mechanisms as a set; "AUTH=LOGIN" of old servers is read too.
local function offered(pump)
  local set = {}
  for name in (pump.capabilities.AUTH or ""):gmatch("[^%s=]+") do set[ascii.upper(name)] = true end
  return set
end

--- Logs in by the options of `connect`. true; or nil, err.
function open.login(pump, o, deadline)
  return auth.run(pump, o, {
    command = "AUTH", deadline = deadline, offered = offered(pump), initial = true,
    extra = { protocol = "smtp", secure = pump:is_protected() },
    begin = function(mechanism, initial) return pump:begin("auth", mechanism, initial) end,
    result = function(code, enhanced, text)
      if code == 235 then return true end
      return nil, { code = code, enhanced = enhanced, text = text }
    end,
  })
end

local function unsolicited(pump, kind, code, _, text)
  if kind == "bye" then pump.farewell = ("%d %s"):format(code, text) end
end

-- What calls of the session ask for later.
local function remember(pump, o)
  local verify = o.ssl and o.ssl.verify
  if verify == nil then verify = o.tls ~= "opportunistic" end
  pump.verified = verify
  pump.lmtp = o.protocol == "lmtp"
  pump.allow_plaintext_login = o.allow_plaintext_login
  pump.own_name = own_name(pump, o)
  pump.downgrade = o.downgrade
  pump.chunking = o.chunking
  if o.chunking == false then pump.session:do_without_chunking() end
end

--- Greeting, EHLO, STARTTLS, login: everything before the session is the user's.
function open.greet(pump, o, deadline)
  pump.unsolicited = unsolicited
  remember(pump, o)
  local resumed = keepalive.resume(pump, o)
  local kind, code, enhanced, text = pump:wait(0, deadline)
  if not kind then return nil, code end
  if code ~= 220 then return nil, reply.refusal(pump, "greeting", code, enhanced, text) end
  pump.greeting = text
  local ok, err = open.hello(pump, deadline)
  if ok and (o.tls == "starttls" or o.tls == "opportunistic") then ok, err = starttls(pump, o, deadline) end
  local wants_login = not resumed and o.login ~= false and (o.user or o.token or o.mechanism)
  if ok and wants_login then ok, err = open.login(pump, o, deadline) end
  return ok, err
end

return open
