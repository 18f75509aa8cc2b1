--- From the greeting of a POP3 server to a session that is logged in (RFC 2449, 2595, 5034, 6856).
--
-- Whoever calls has bounded the whole by one deadline. Capabilities that were heard before TLS are
-- forgotten.
-- @module mail.pop3.open

local ascii = require "mail.ascii"
local Pump = require "mail.pump"
local auth = require "mail.auth"
local connect = require "mail.connect"
local core = require "mail.core"
local run = require "mail.pop3.run"
local want = require "mail.want"

local begin, named, refused = run.begin, run.named, run.refused

local open = { PSEUDO = { "USER", "APOP" }, OPTIONS = { utf8 = "boolean?" } }

-- --- logging in -------------------------------------------------------------------------------------

-- An error of a log-in command, from what "done" brought.
local function login_refused(pump, command, text, code)
  local fields = run.refusal(pump, text, code)
  fields.command = command
  return nil, pump:error(run.blames_credentials(code) and "auth" or "rejected",
    "login failed: " .. (text ~= "" and text or "no reason given"), fields)
end

local function login_step(pump, deadline, command, id, err)
  if not id then return nil, err end
  local ok, text, code = pump:done(id, deadline)
  if ok then return true end
  if ok == nil then return named(pump, text, command) end
  return login_refused(pump, command, text, code)
end

-- USER, PASS and APOP carry UTF-8 where the server says that they may, prepared; AUTH always can
-- (RFC 6856 §2.2).
local function prepared(pump, text, command)
  if not text:find "[\128-\255]" then return text end
  local utf8 = pump.capabilities.UTF8
  if type(utf8) ~= "string" or not ascii.upper(utf8):find("%f[A-Za-z0-9]USER%f[^A-Za-z0-9]") then
    return nil, pump:error("unsupported", "the server takes no UTF-8 in names and passwords of this command",
      { command = command })
  end
  local ready = core.saslprep(text)
  if ready then return ready end
  return nil, pump:error("invalid", "the user name or the password holds characters that SASL forbids",
    { command = command })
end

local function credentials(pump, with, command)
  if not with.user or not with.password then
    return nil, pump:error("invalid", "user and password are needed", { command = command })
  end
  local user, err = prepared(pump, with.user, command)
  if not user then return nil, err end
  local password
  password, err = prepared(pump, with.password, command)
  if not password then return nil, err end
  auth.mask(pump, password)
  return user, password
end

-- USER and PASS in one flight. Nobody is logged in where USER was refused, whatever is said of PASS.
local function in_one_flight(pump, deadline, user, password)
  local first, err = begin(pump, "user", user)
  if not first then return nil, err end
  local second, why = begin(pump, "pass", password)
  local known
  known, err = login_step(pump, deadline, "USER", first)
  if not second then return nil, why end
  local ok
  ok, why = login_step(pump, deadline, "PASS", second)
  if known then return ok, why end
  if ok then
    return pump:fail(pump:error("protocol", "PASS is granted to a user who was refused", { command = "PASS" }))
  end
  return nil, err
end

-- The log-in commands that are older than SASL.
local function pseudo(pump, deadline)
  return {
    USER = function(with)
      local user, password = credentials(pump, with, "USER")
      if not user then return nil, password end
      if pump.capabilities.PIPELINING then return in_one_flight(pump, deadline, user, password) end
      local ok, err = login_step(pump, deadline, "USER", begin(pump, "user", user))
      if not ok then return nil, err end
      return login_step(pump, deadline, "PASS", begin(pump, "pass", password))
    end,
    APOP = function(with)
      local user, password = credentials(pump, with, "APOP")
      if not user then return nil, password end
      return login_step(pump, deadline, "APOP", begin(pump, "apop", user, password))
    end,
  }
end

-- USER is offered where CAPA says so, and by servers that say nothing at all about logging in.
local function offers_user(capabilities)
  return capabilities.USER ~= nil or capabilities.SASL == nil
end

local function offered_by(capabilities)
  local offered, sasl = {}, capabilities.SASL
  for name in (type(sasl) == "string" and sasl or ""):gmatch "%S+" do offered[ascii.upper(name)] = true end
  return offered
end

-- By SASL, else by USER; by APOP only where it is asked for: whoever poses as the server gets a digest of MD5.
local function authenticate(pump, options, deadline)
  pump.capabilities = pump.capabilities or {}
  local extra = {
    protocol = "pop3", secure = pump:is_protected(),
    pseudo = {
      { name = "USER", plaintext = true, offered = offers_user(pump.capabilities) },
      { name = "APOP", plaintext = false, offered = pump.timestamp ~= nil, on_demand = true },
    },
  }
  local function result(ok, text, code)
    if ok then return true end
    local fields = run.refusal(pump, text, code)
    fields.kind = run.blames_credentials(code) and "auth" or "rejected"
    return nil, fields
  end
  local ok, err = auth.run(pump, options, {
    offered = offered_by(pump.capabilities), extra = extra, deadline = deadline, result = result, command = "AUTH",
    initial = true, pseudo = pseudo(pump, deadline),
    begin = function(mechanism, initial) return begin(pump, "auth", mechanism, initial) end,
  })
  if not pump.log then pump.secrets = nil end
  if not ok then return nil, err end
  return true
end

-- --- from the greeting on ---------------------------------------------------------------------------

-- Capabilities; a server without CAPA has none that we know of.
local function ask_capabilities(pump, deadline)
  local id, err = begin(pump, "capa")
  if not id then return nil, err end
  local ok, text, _, set = pump:done(id, deadline)
  if ok == nil then return named(pump, text, "CAPA") end
  pump.capabilities = ok and set or {}
  pump.has_capa = ok
  return true
end

local function no_tls(pump, words)
  return nil, pump:error("tls", "TLS is demanded, but the server " .. words, { command = "STLS" })
end

-- STLS (RFC 2595 §4): a demand, unless `tls` is "opportunistic".
local function start_tls(pump, o, deadline)
  local demanded = o.tls == "starttls"
  if not pump.capabilities.STLS and (pump.has_capa or not demanded) then
    if demanded then return no_tls(pump, "does not offer STLS") end
    return true
  end
  local id, err = begin(pump, "stls")
  if not id then return nil, err end
  local kind, a, text = pump:wait(id, deadline)
  if not kind then return named(pump, a, "STLS") end
  if kind == "done" then
    if demanded then return no_tls(pump, "refuses STLS: " .. text) end
    return true
  end
  pump.capabilities, pump.timestamp = {}, nil
  local ok
  ok, err = connect.start_tls(pump, o)
  if not ok then return nil, err end
  return ask_capabilities(pump, deadline)
end

-- `utf8 = true` is a demand: a server without it may send what nobody can read.
local function start_utf8(pump, deadline)
  if not pump.capabilities.UTF8 then
    return nil, pump:error("unsupported", "the server has no UTF8", { command = "UTF8" })
  end
  local id, err = begin(pump, "utf8")
  if not id then return nil, err end
  local ok, text, code = pump:done(id, deadline)
  if ok then return true end
  if ok == nil then return named(pump, text, "UTF8") end
  return refused(pump, "UTF8", text, code)
end

local function wants_login(o)
  return o.login ~= false and (o.user or o.token or o.mechanism) ~= nil
end

--- What a new connection says first: greeting, CAPA, STLS, UTF8, log-in. Called by mail.connect.
function open.greet(pump, o, deadline)
  pump.capabilities = {}
  pump.allow_plaintext_login = o.allow_plaintext_login
  pump.message_limit = o.limits and o.limits.message or 67108864
  local kind, text, detail = pump:wait(0, deadline)
  if not kind then return nil, text end
  if kind == "bye" then return refused(pump, "greeting", text, detail) end
  pump.server, pump.timestamp = text, detail
  local ok, err = ask_capabilities(pump, deadline)
  if ok and (o.tls == "starttls" or o.tls == "opportunistic") then ok, err = start_tls(pump, o, deadline) end
  if ok and o.utf8 then ok, err = start_utf8(pump, deadline) end
  if ok and wants_login(o) then ok, err = authenticate(pump, o, deadline) end
  return ok, err
end

-- --- methods ----------------------------------------------------------------------------------------

local methods = {}
open.methods = methods

local AUTHENTICATE = { timeout = "number|table?" }
for name, kinds in pairs(auth.OPTIONS) do AUTHENTICATE[name] = kinds end

--- Logs in with the strongest mechanism that both sides have.
-- @tparam string user
-- @tparam string|function password
-- @tparam[opt] table options mechanism, authzid, allow_plaintext_login, timeout
-- @return true; or nil, err: kind "auth" where the server refuses, "rejected" where it says that it is not
--   the credentials' fault (err.response_code), "tls" where the password would travel in clear
function methods:login(user, password, options)
  run.check_string(user, "login", "the user")
  if type(password) ~= "string" and type(password) ~= "function" then
    error("pop3:login: the password must be a string or a function, got " .. type(password), 2)
  end
  if options ~= nil then want(options, AUTHENTICATE, "pop3:login") end
  auth.check(options and options.mechanism, open.PSEUDO, "pop3:login", 2)
  local o = {}
  for name, value in pairs(options or {}) do o[name] = value end
  o.user, o.password = user, password
  return self:authenticate(o)
end

--- Logs in.
-- @tparam table options mechanism, user, password, token, authzid, allow_plaintext_login, timeout
-- @return true; or nil, err
function methods:authenticate(options)
  want(options, AUTHENTICATE, "pop3:authenticate")
  auth.check(options.mechanism, open.PSEUDO, "pop3:authenticate", 2)
  local pump = Pump.of(self)
  if not pump then error("pop3:authenticate: a session without a transport", 2) end
  if pump.failure then return nil, pump.failure end
  local o = { allow_plaintext_login = pump.allow_plaintext_login }
  for name, value in pairs(options) do o[name] = value end
  return authenticate(pump, o, pump:deadline(options))
end

return open
