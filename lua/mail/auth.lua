--- Logging in: which mechanism, with which secret, and the exchange; for SMTP, POP3 and IMAP alike.
--
-- The octets of the mechanisms are the core's (`core.sasl`); what stands around them on the wire is
-- each protocol's. What is decided here: the strongest mechanism that both sides have, or exactly the
-- one that was asked for; and that no secret leaves in clear without TLS unless the user said so.
-- @module mail.auth

local core = require "mail.core"
local Err = require "mail.err"

local auth = {}

-- Names that are right but not spoken here: an error of kind "unsupported", not a mistyped name.
local ELSEWHERE = {
  ["CRAM-MD5"] = true, ["DIGEST-MD5"] = true, XOAUTH2 = true, OAUTHBEARER = true, GSSAPI = true,
  ["GS2-KRB5"] = true, NTLM = true, ANONYMOUS = true, KERBEROS_V4 = true,
  ["SCRAM-SHA-1"] = true, ["SCRAM-SHA-1-PLUS"] = true, ["SCRAM-SHA-256"] = true,
  ["SCRAM-SHA-256-PLUS"] = true, ["SCRAM-SHA-512"] = true, ["SCRAM-SHA-512-PLUS"] = true,
}

local ranked = core.sasl_mechanisms()
local known = {}
for _, mechanism in ipairs(ranked) do known[mechanism.name] = mechanism end

-- A mechanism of the protocol's own, by name.
local function pseudo_of(extra, name)
  for _, pseudo in ipairs(extra.pseudo or {}) do
    if pseudo.name == name then return pseudo end
  end
end

--- Raises where `name` is no mechanism at all; for option checks.
-- @tparam ?string name nil is fine
-- @tparam table pseudo array of names that the protocol adds ("USER", "APOP", "LOGIN-COMMAND")
-- @tparam string what the call, for the message
-- @tparam number level whose line is blamed, as of `error`
function auth.check(name, pseudo, what, level)
  if name == nil then return end
  local upper = name:upper()
  if known[upper] or ELSEWHERE[upper] then return end
  for _, extra in ipairs(pseudo or {}) do
    if extra == upper then return end
  end
  error(("%s: unknown mechanism '%s'"):format(what, name), (level or 1) + 1)
end

local function fail(extra, kind, message, ...)
  return nil, Err.new { kind = kind, message = message:format(...), protocol = extra.protocol, command = "AUTH" }
end

local function in_clear(extra, name)
  return fail(extra, "tls", "%s sends the password in clear and the connection has no TLS; "
    .. "allow_plaintext_login permits it", name)
end

-- The one that was asked for, or an error.
local function demanded(offered, options, extra)
  local name = options.mechanism:upper()
  local mechanism = pseudo_of(extra, name)
  if mechanism then
    if not mechanism.offered then return fail(extra, "unsupported", "the server does not offer %s", name) end
  else
    mechanism = known[name]
    if not mechanism then return fail(extra, "unsupported", "mechanism %s is not spoken here", name) end
    if not offered[name] then return fail(extra, "unsupported", "the server does not offer %s", name) end
  end
  if mechanism.plaintext and not (extra.secure or options.allow_plaintext_login) then return in_clear(extra, name) end
  return name
end

-- Whether the user gave what the mechanism needs. EXTERNAL is for those who gave no secret.
local function fits(mechanism, options)
  if mechanism.wants_secret then return options.password ~= nil end
  return options.password == nil and options.token == nil
end

local function names(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return #list > 0 and table.concat(list, " ") or "none"
end

--- The mechanism to use.
-- @tparam table offered set of the SASL names that the server offers, in upper case
-- @tparam table options mechanism, password, token, allow_plaintext_login (API §2)
-- @tparam table extra `protocol`; `secure`: true under TLS; `pseudo`: array of the protocol's own,
--   strongest first, tried after SASL: {name=, plaintext=, offered=, on_demand= (never by default)}
-- @treturn string its name; or nil, err: kind "unsupported" where the server lacks it, "tls" where
--   it would send the secret in clear
function auth.choose(offered, options, extra)
  if options.mechanism then return demanded(offered, options, extra) end
  local allowed = extra.secure or options.allow_plaintext_login
  local refused
  for _, mechanism in ipairs(ranked) do
    if offered[mechanism.name] and fits(mechanism, options) then
      if allowed or not mechanism.plaintext then return mechanism.name end
      refused = refused or mechanism.name
    end
  end
  for _, pseudo in ipairs(extra.pseudo or {}) do
    if pseudo.offered and not pseudo.on_demand and options.password ~= nil then
      if allowed or not pseudo.plaintext then return pseudo.name end
      refused = refused or pseudo.name
    end
  end
  if refused then return in_clear(extra, refused) end
  -- A server that holds its plaintext mechanisms back until TLS: say what is really missing.
  if not allowed and options.password ~= nil then return in_clear(extra, "logging in") end
  if options.token ~= nil then return fail(extra, "unsupported", "mechanisms with a token are not spoken here") end
  if options.password == nil then return fail(extra, "auth", "no password was given") end
  return fail(extra, "unsupported", "no mechanism that both sides have (server: %s)", names(offered))
end

--- Adds a secret, and its base64, to what is masked in errors and in the log.
function auth.mask(pump, secret)
  if type(secret) ~= "string" or secret == "" then return end
  pump.secrets = pump.secrets or {}
  table.insert(pump.secrets, secret)
  table.insert(pump.secrets, core.base64(secret))
end

local function secret_of(pump, value, what)
  if type(value) == "function" then
    local err
    value, err = value()
    if type(value) ~= "string" then
      local why = err ~= nil and tostring(err) or ("the function returned " .. type(value))
      return nil, pump:error("auth", ("no %s: %s"):format(what, why), { command = "AUTH" })
    end
  end
  auth.mask(pump, value)
  return value
end

--- The credentials: functions are called, once; secrets are masked from here on.
-- @treturn table {user=, password=, token=, authzid=}; or nil, err (kind "auth")
function auth.credentials(pump, options)
  local password, token, err
  if options.password ~= nil then
    password, err = secret_of(pump, options.password, "password")
    if not password then return nil, err end
  end
  if options.token ~= nil then
    token, err = secret_of(pump, options.token, "token")
    if not token then return nil, err end
  end
  return { user = options.user, password = password, token = token, authzid = options.authzid }
end

-- Answers a challenge, or cancels. Returns why it was cancelled. LOGIN sends the user's name first,
-- which is no secret.
local function respond(pump, id, sasl, challenge, user)
  local response, why = sasl:step(challenge)
  if response and response ~= user then auth.mask(pump, response) end
  pump.session:answer(id, response, true)
  return why
end

--- The exchange, from the answer to the first command to its end.
-- @tparam Pump pump the session's
-- @tparam number id the command (AUTH, AUTHENTICATE) whose events come in
-- @tparam userdata sasl from `core.sasl`
-- @tparam table ops `deadline`, absolute; `result(a, b, c, d, e)`: what "done" brought → true, or
--   nil and the fields of the error (text, code, response_code, kind …); `command`, its name;
--   `user`, whose name is not masked
-- @return true; or nil, err: kind "auth" with the peer's words
function auth.exchange(pump, id, sasl, ops)
  local command = ops.command or "AUTH"
  local cancelled
  while true do
    local kind, a, b, c, d, e = pump:wait(id, ops.deadline)
    if not kind then return nil, a end
    if kind == "ask" then
      cancelled = respond(pump, id, sasl, a, ops.user) or cancelled
    elseif kind == "done" then
      local ok, fields = ops.result(a, b, c, d, e)
      if ok and sasl:done() then return true end
      if ok then
        return pump:fail(pump:error("protocol", "the server reports success before the exchange has ended",
          { command = command }))
      end
      fields = fields or {}
      fields.command = command
      local words = cancelled or (fields.text ~= "" and fields.text) or "no reason given"
      return nil, pump:error(fields.kind or "auth", "login failed: " .. words, fields)
    end
  end
end

--- Chooses, asks for the secret, and logs in.
-- @tparam Pump pump the session's
-- @tparam table options as of `auth.choose`, and user, password, token, authzid
-- @tparam table ops as of `auth.exchange`; `offered` and `extra` as of `auth.choose`;
--   `initial`: whether the command may carry an initial response; `begin(mechanism, initial)` →
--   id | nil, err; `pseudo[name](credentials)` → true | nil, err
-- @return true, and the mechanism's name; or nil, err
function auth.run(pump, options, ops)
  local name, err = auth.choose(ops.offered, options, ops.extra)
  if not name then return nil, err end
  local credentials
  credentials, err = auth.credentials(pump, options)
  if not credentials then return nil, err end
  local ok
  if ops.pseudo and ops.pseudo[name] then
    ok, err = ops.pseudo[name](credentials)
  else
    local sasl, why = core.sasl(name, credentials)
    if not sasl then return nil, pump:error("invalid", why, { command = ops.command or "AUTH" }) end
    local initial = ops.initial and sasl:initial() or nil
    if initial then auth.mask(pump, initial) end
    ops.user = credentials.user
    local id
    id, err = ops.begin(name, initial)
    if id then ok, err = auth.exchange(pump, id, sasl, ops) end
    sasl:free()
  end
  if not ok then return nil, err end
  return true, name
end

return auth
