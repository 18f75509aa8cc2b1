--- Logging in: which mechanism, with which secret, and the exchange; for SMTP, POP3 and IMAP alike.
--
-- The octets of the mechanisms are the core's (`core.sasl`); what stands around them on the wire is
-- each protocol's. What is decided here: the strongest mechanism that both sides have, or exactly the
-- one that was asked for; and that no secret leaves in clear without TLS unless the user said so.
-- Without TLS nothing that is derived from a secret leaves either, unless the user allowed that or named
-- a mechanism which does not send it in clear: whoever listens to SCRAM may guess at the password at home.
-- @module mail.auth

local ascii = require "mail.ascii"
local core = require "mail.core"
local Err = require "mail.err"
local slices = require "mail.slices"

local auth = {}

-- Names that are right but not spoken here: an error of kind "unsupported", not a mistyped name.
local ELSEWHERE = { ["GS2-KRB5"] = true, ["GSS-SPNEGO"] = true, KERBEROS_V4 = true }

local ranked = core.sasl_mechanisms()
local known = {}
for i, mechanism in ipairs(ranked) do
  mechanism.rank = i
  known[mechanism.name] = mechanism
end

-- A mechanism of the protocol's own, by name.
local function pseudo_of(extra, name)
  for _, pseudo in ipairs(extra.pseudo or {}) do
    if pseudo.name == name then return pseudo end
  end
end

-- A mechanism of the user's own (see `auth.run`) raises where it lacks something.
local function check_own(mechanism, what, level)
  local wrong = type(mechanism.name) ~= "string" and "a name"
    or type(mechanism.step) ~= "function" and "a step function"
  if wrong then error(("%s: a mechanism of one's own needs %s"):format(what, wrong), level) end
end

--- Raises where `name` is no mechanism at all; for option checks.
-- @tparam ?string|table name nil is fine; a table is a mechanism of the user's own
-- @tparam table pseudo array of names that the protocol adds ("USER", "APOP", "LOGIN-COMMAND")
-- @tparam string what the call, for the message
-- @tparam number level whose line is blamed, as of `error`
function auth.check(name, pseudo, what, level)
  level = (level or 1) + 1
  if name == nil then return end
  if type(name) == "table" then
    check_own(name, what, level + 1)
    return
  end
  local upper = ascii.upper(name)
  if known[upper] or ELSEWHERE[upper] then return end
  for _, extra in ipairs(pseudo or {}) do
    if extra == upper then return end
  end
  error(("%s: unknown mechanism '%s'"):format(what, name), level)
end

-- What the command is called.
local function verb(protocol)
  return protocol == "imap" and "AUTHENTICATE" or "AUTH"
end

local function fail(extra, kind, message, ...)
  return nil, Err.new {
    kind = kind, message = ascii.without_controls(message:format(...), " "), protocol = extra.protocol,
    command = verb(extra.protocol),
  }
end

local function in_clear(extra, name)
  return fail(extra, "tls", "%s over a connection that TLS does not protect; allow_plaintext_login permits it", name)
end

-- The one that was asked for, or an error.
local function demanded(offered, options, extra)
  local own = type(options.mechanism) == "table" and options.mechanism
  local name = ascii.upper(own and own.name or options.mechanism)
  local mechanism = own or pseudo_of(extra, name)
  if not own and mechanism then
    if not mechanism.offered then return fail(extra, "unsupported", "the server does not offer %s", name) end
  else
    mechanism = mechanism or known[name]
    if not mechanism then return fail(extra, "unsupported", "mechanism %s is not spoken here", name) end
    if mechanism.missing then
      return fail(extra, "unsupported", "%s is not in this build: its library was not there", name)
    end
    if not offered[name] then return fail(extra, "unsupported", "the server does not offer %s", name) end
    if mechanism.binds and not extra.binding then
      return fail(extra, "unsupported", "%s needs a channel binding, which this connection does not have", name)
    end
  end
  if mechanism.plaintext and not (extra.secure or options.allow_plaintext_login) then return in_clear(extra, name) end
  return name
end

-- Whether the user gave what the mechanism needs, and it is not below what he takes. EXTERNAL is for
-- those who gave no secret.
local function fits(mechanism, options, extra)
  local floor = options.mechanism_floor and known[ascii.upper(options.mechanism_floor)]
  if mechanism.on_demand or (mechanism.binds and not extra.binding) or (floor and mechanism.rank > floor.rank) then
    return false
  end
  if mechanism.wants_token then return options.token ~= nil end
  if mechanism.wants_secret then return options.password ~= nil end
  return options.password == nil and options.token == nil
end

local function names(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list, ascii.before)
  return #list > 0 and table.concat(list, " ") or "none"
end

--- The mechanism to use.
-- @tparam table offered set of the SASL names that the server offers, in upper case
-- @tparam table options mechanism, mechanism_floor, password, token, allow_plaintext_login, as of `mail.connect`
-- @tparam table extra `protocol`; `secure`: true under TLS; `binding`: the channel's octets;
--   `pseudo`: array of the protocol's own, strongest first, tried after SASL:
--   {name=, plaintext=, offered=, on_demand= (never by default)}
-- @treturn string its name; or nil, err: kind "unsupported" where the server lacks it, "tls" where
--   it would send the secret in clear
function auth.choose(offered, options, extra)
  if options.mechanism then return demanded(offered, options, extra) end
  if options.mechanism_floor and not known[ascii.upper(options.mechanism_floor)] then
    return fail(extra, "unsupported", "mechanism_floor: no mechanism %s is known here", options.mechanism_floor)
  end
  local allowed = extra.secure or options.allow_plaintext_login
  local refused
  for _, mechanism in ipairs(ranked) do
    if offered[mechanism.name] and fits(mechanism, options, extra) then
      local derives = mechanism.wants_secret or mechanism.wants_token
      if allowed or not derives then return mechanism.name end
      refused = refused or mechanism.name
    end
  end
  for _, pseudo in ipairs(extra.pseudo or {}) do
    if pseudo.offered and not pseudo.on_demand and options.password ~= nil and not options.mechanism_floor then
      if allowed or not pseudo.plaintext then return pseudo.name end
      refused = refused or pseudo.name
    end
  end
  if refused then return in_clear(extra, refused) end
  -- A server that holds its plaintext mechanisms back until TLS: say what is really missing.
  if not allowed and options.password ~= nil then return in_clear(extra, "a login") end
  if options.password == nil and options.token == nil then
    return fail(extra, "auth", "neither password nor token was given")
  end
  if options.mechanism_floor then
    return fail(extra, "unsupported", "the server offers nothing as strong as %s (it has: %s)",
      options.mechanism_floor, names(offered))
  end
  return fail(extra, "unsupported", "no mechanism that both sides have (server: %s)", names(offered))
end

--- Adds a secret, and its base64, to what is masked in errors and in the log.
function auth.mask(pump, secret)
  if type(secret) ~= "string" or secret == "" then return end
  pump.secrets = pump.secrets or {}
  table.insert(pump.secrets, secret)
  table.insert(pump.secrets, core.base64(secret))
end

--- True for a function, and for an object that can be called like one (`mail.oauth2`).
function auth.is_callable(value)
  local mt = type(value) == "table" and getmetatable(value)
  return type(value) == "function" or (mt and mt.__call ~= nil) or false
end

-- A function is asked for the secret; `stale` tells it that the server refused the last one.
local function secret_of(pump, value, what, stale)
  if type(value) ~= "string" then
    local err
    if auth.is_callable(value) then value, err = value(stale) else err = "it is no string, and cannot be called" end
    if type(value) ~= "string" then
      local why = err ~= nil and tostring(err) or ("the function returned " .. type(value))
      return nil, pump:error("auth", ("no %s: %s"):format(what, why), {
        command = verb(pump.protocol), temporary = Err.is(err) and err.temporary or nil,
      })
    end
  end
  auth.mask(pump, value)
  return value
end

--- The credentials: functions are called, once; secrets are masked from here on.
-- @tparam Pump pump
-- @tparam table options
-- @tparam[opt] boolean stale the token that the function gave before was refused
-- @treturn table {user=, password=, token=, authzid=}; or nil, err (kind "auth")
function auth.credentials(pump, options, stale)
  local password, token, err
  if options.password ~= nil then
    password, err = secret_of(pump, options.password, "password")
    if not password then return nil, err end
  end
  if options.token ~= nil then
    token, err = secret_of(pump, options.token, "token", stale)
    if not token then return nil, err end
  end
  return { user = options.user, password = password, token = token, authzid = options.authzid }
end

-- SASL's names of the services (RFC 4422 §4); LMTP's is "lmtp".
local SERVICE = { smtp = "smtp", pop3 = "pop", imap = "imap" }

-- The service and its host: what the user says ("imap", "imap@mx1.example.org"), else the session's. No other
-- name that DNS knows for the host takes its place: who answers for DNS would choose whom we trust.
local function service_of(pump, options, host)
  local service, named = (options.service or ""):match "^([^@]*)@?(.*)$"
  if service == "" then service = pump.lmtp and "lmtp" or SERVICE[pump.protocol] end
  return service, named ~= "" and named or host
end

-- What the mechanisms want to know besides: to whom, when, and the channel that carries it.
local function complete(credentials, pump, name, options, ops)
  local peer, extra = pump.peer or {}, ops.extra
  credentials.service, credentials.host = service_of(pump, options, peer.host)
  credentials.ccache = options.ccache
  credentials.port = peer.port and ("%d"):format(peer.port)
  credentials.now = os.time()
  credentials.binding_name, credentials.binding = extra.binding_name, extra.binding
  credentials.binding_offered = ops.offered[name .. "-PLUS"] or false
  return credentials
end

-- A mechanism of the user's own, with the methods of the core's.
local function own_exchange(mechanism, credentials)
  local exchange = {}
  function exchange.prepare() return true end
  function exchange.initial() return mechanism.initial and mechanism.initial(credentials) end
  function exchange.step(_, challenge)
    local response, why = mechanism.step(challenge, credentials)
    if response == nil then return nil, why and tostring(why) or "the mechanism gave up" end
    return response
  end
  function exchange.done() return not mechanism.done or mechanism.done() end
  function exchange.reason() end
  function exchange.free() end
  return exchange
end

-- Answers a challenge, or cancels. Returns why it was cancelled. LOGIN sends the user's name first,
-- which is no secret. Long computations come in slices; the loop has its turn between them. Where time
-- runs out over them nothing is answered: the wait for what comes next tells it.
local function respond(pump, id, sasl, challenge, user, deadline)
  local response, why = sasl:step(challenge)
  if response == false then
    response, why = slices.run(pump.host, function(_, rounds)
      if pump.failure then return nil, "the session was closed" end
      return sasl:work(rounds)
    end, sasl, deadline)
    if response == false then return nil end
    if pump.failure then return why end
  end
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
  local cancelled, asked
  while true do
    local kind, a, b, c, d, e = pump:wait(id, ops.deadline)
    if not kind then return nil, a end
    if kind == "ask" then
      asked = asked or a ~= "" -- an empty challenge only asks for the initial response
      cancelled = respond(pump, id, sasl, a, ops.user, ops.deadline) or cancelled
    elseif kind == "done" then
      local ok, fields = ops.result(a, b, c, d, e)
      if ok and sasl:done() then return true end
      if ok then
        return pump:fail(pump:error("protocol", "the server reports success before the exchange has ended",
          { command = command }))
      end
      fields = fields or {}
      fields.command = command
      fields.challenge = sasl:reason()
      local words = cancelled or (fields.text ~= "" and fields.text) or "no reason given"
      return nil, pump:error(fields.kind or "auth", "login failed: " .. words, fields), not asked
    end
  end
end

-- What this connection can be bound to: the name and its octets (RFC 9266, RFC 5929).
local function find_binding(pump, options, extra)
  local wanted = options.channel_binding
  if wanted == false or not extra.secure then return end
  for _, name in ipairs(wanted and { wanted } or { "tls-exporter", "tls-server-end-point" }) do
    extra.binding = pump.session:tls_binding(name)
    if extra.binding then
      extra.binding_name = name
      return
    end
  end
end

-- A ticket does not fit into a line of SMTP, where the first message must travel alone then (RFC 4954 §4). POP3's
-- session sees to that by itself (RFC 5034 §4), and IMAP's lines have no such end.
local function is_too_long(name, extra)
  return extra.protocol == "smtp" and known[name] ~= nil and known[name].wants_ticket
end

local TEXTS = { "user", "password", "token", "authzid" }

-- Why these credentials cannot be sent by that mechanism; nil where they can.
local function unfit(credentials, name)
  for _, what in ipairs(TEXTS) do
    local text = credentials[what]
    if text and text:find "[\r\n]" then return ("CR or LF in the %s"):format(what) end
  end
  if not name:find "^SCRAM%-" then return nil end
  if core.saslprep(credentials.user or "") and core.saslprep(credentials.password or "") then return nil end
  return "the user name or the password holds characters that SASL forbids"
end

-- One attempt with the mechanism of that name.
local function attempt(pump, name, options, ops, stale)
  local credentials, err = auth.credentials(pump, options, stale)
  if not credentials then return nil, err end
  local bad = type(options.mechanism) ~= "table" and unfit(credentials, name)
  if bad then return nil, pump:error("invalid", bad, { command = ops.command or "AUTH" }) end
  if ops.pseudo and ops.pseudo[name] then return ops.pseudo[name](credentials) end
  local sasl, why
  if type(options.mechanism) == "table" then
    sasl = own_exchange(options.mechanism, credentials)
  else
    sasl, why = core.sasl(name, complete(credentials, pump, name, options, ops))
    if not sasl then return nil, pump:error("invalid", why, { command = ops.command or "AUTH" }) end
  end
  local ready, passes
  ready, why, passes = sasl:prepare()
  if not ready then
    sasl:free()
    return nil, pump:error("auth", why, { command = ops.command or "AUTH", temporary = passes or nil })
  end
  local initial = ops.initial and not is_too_long(name, ops.extra) and sasl:initial() or nil
  if initial then auth.mask(pump, initial) end
  ops.user = credentials.user
  local ok, id, unasked
  id, err = ops.begin(name, initial)
  if id then ok, err, unasked = auth.exchange(pump, id, sasl, ops) end
  sasl:free()
  return ok, err, unasked
end

-- The words for it of RFC 5802 §7. "channel-bindings-dont-match" is none of them: that is what a man in the
-- middle looks like.
local UNKNOWN_BINDING = { ["unsupported-channel-binding-type"] = true, ["channel-binding-not-supported"] = true }

-- A server may offer a -PLUS form and know only a binding of old (tls-unique). It says so by refusing our first
-- message, by an error of SCRAM, or, where its SASL library is Cyrus', by "bad protocol" in place of
-- "authentication failure", at the end and whatever the password.
local function is_binding_unknown(err, unasked)
  if unasked then return true end
  if err.kind ~= "auth" then return false end
  if err.challenge then return UNKNOWN_BINDING[err.challenge] or false end
  return err.text ~= nil and err.text:find("bad protocol", 1, true) ~= nil
end

-- The form without a binding is as good then as on a server that offers no other. Whoever cannot have that
-- sets `mechanism_floor`, or names the binding.
local function without_binding(pump, options, ops)
  ops.extra.binding, ops.extra.binding_name = nil, nil
  local name, err = auth.choose(ops.offered, options, ops.extra)
  if not name then return nil, nil, err end
  return name, attempt(pump, name, options, ops)
end

--- Chooses, asks for the secret, and logs in. A token that comes from a function is asked for once
-- more, with `true` as the argument, where the server refuses it.
--
-- A mechanism of the user's own is a table: `name`, `plaintext` (sends the secret in clear),
-- `initial(credentials)` → octets or nil, `step(challenge, credentials)` → octets, or nil and why,
-- `done()` → whether a success may be believed.
--
-- GSSAPI (RFC 4752) is Kerberos: `mechanism = "GSSAPI"` logs in with the ticket of whoever runs the program
-- (`kinit`, or a client keytab), without a password; it is never chosen by itself. `user` or `authzid`, both
-- optional, is whom to act as; `service` the service ("imap") or the service and its host
-- ("imap@mx1.example.org"), by default the protocol's and the host of the connection, which is never looked up;
-- `ccache` where the tickets are ("FILE:/run/tickets"; by default KRB5CCNAME and krb5.conf say it). Without a
-- ticket nothing is sent: kind "auth". The first login at a service asks the KDC for its ticket and holds the
-- loop until that answers; where none does, for about half a minute, `timeout` notwithstanding, and
-- `err.temporary` is true. While that ticket is valid, a login waits for nobody. A security layer of GSSAPI's
-- own is not spoken: TLS is it. Where the library was not there when this was built: kind "unsupported".
-- @tparam Pump pump the session's
-- @tparam table options as of `auth.choose`, and user, password, token, authzid, service, ccache, channel_binding
--   ("tls-exporter", "tls-server-end-point": on a server that offers a -PLUS form that binding, or no login;
--   false: none; nil: the best, and none where it turns out that the server does not know it)
-- @tparam table ops as of `auth.exchange`; `offered` and `extra` as of `auth.choose`;
--   `initial`: whether the command may carry an initial response; `begin(mechanism, initial)` →
--   id | nil, err; `pseudo[name](credentials)` → true | nil, err
-- @return true, and the mechanism's name; or nil, err: `err.challenge` is what the server said within
--   the exchange (OAuth: JSON)
function auth.run(pump, options, ops)
  find_binding(pump, options, ops.extra)
  local name, err = auth.choose(ops.offered, options, ops.extra)
  if not name then return nil, err end
  local ok, unasked
  ok, err, unasked = attempt(pump, name, options, ops)
  local bound = known[name] and known[name].binds and not options.mechanism and not options.channel_binding
  if not ok and bound and not pump.failure and is_binding_unknown(err, unasked) then
    name, ok, err = without_binding(pump, options, ops)
  end
  local by_token = name and known[name] and known[name].wants_token
  if not ok and err.kind == "auth" and by_token and auth.is_callable(options.token) and not pump.failure then
    ok, err = attempt(pump, name, options, ops, true)
  end
  if not ok then return nil, err end
  return true, name
end

--- The options of logging in, for the option checks of `connect` and `authenticate`.
auth.OPTIONS = {
  user = "string?", password = "string|function?", token = "string|function|table?", mechanism = "string|table?",
  mechanism_floor = "string?", channel_binding = "string|boolean?", authzid = "string?",
  allow_plaintext_login = "boolean?", service = "string?", ccache = "string?",
}

return auth
