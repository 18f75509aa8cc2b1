--- SMTP and LMTP: sending mail.
--
-- The session itself, its pipelining and its content are the core's (csrc/smtp). How one is opened, how
-- messages are sent, and the other calls are in mail.smtp.*; here they become a class.
-- @module mail.smtp

local ascii = require "mail.ascii"
local Pump = require "mail.pump"
local auth = require "mail.auth"
local class = require "mail.class"
local commands = require "mail.smtp.commands"
local connect = require "mail.connect"
local core = require "mail.core"
local keepalive = require "mail.keepalive"
local limits = require "mail.smtp.limits"
local open = require "mail.smtp.open"
local reply = require "mail.smtp.reply"
local send = require "mail.smtp.send"
local want = require "mail.want"

local CONNECT = { helo = "string?", protocol = "string?", chunking = "boolean?", downgrade = "function|boolean?" }

local smtp = {
  name = "smtp", greet = open.greet, pool_name = keepalive.pool, connect_options = CONNECT,
  send_options = send.OPTIONS,
}

--- A session without a transport, for `mail.pump` or for driving by hand.
-- @tparam[opt] table options `limits`, `protocol` ("smtp" or "lmtp")
function smtp.session(options)
  options = want(options or {}, { limits = "table?", protocol = "string?" }, "smtp.session")
  local ok, session = pcall(core.smtp_session, options.limits, options.protocol)
  if not ok then error("smtp.session: " .. tostring(session), 2) end
  return session
end

function smtp.new_session(o)
  return core.smtp_session(o.limits, o.protocol)
end

--- Opens a session and logs in.
-- @tparam table|string options of `mail.connect`, or a URL: `"smtps://ann:secret@smtp.example.com"`; besides
--   `helo`, the name given in EHLO (default: this host's name, or its address literal);
--   `protocol = "lmtp"` (RFC 2033; port 24, TLS where it is offered);
--   `chunking = false`: content goes by DATA though the server offers BDAT;
--   `downgrade`: what becomes of a message that needs an extension (8BITMIME, SMTPUTF8, BINARYMIME) which the
--   server lacks. A mail.message is re-encoded where nothing is lost by that, what was given as octets is refused
--   (kind "unsupported"); true: octets are re-encoded, too; false: nothing is; a function(message, extension)
--   gives the message in a form which does without, or nil
-- @treturn userdata the session; or nil, err
function smtp.connect(options)
  local o = connect.options(options, "smtp", CONNECT)
  if o.protocol and o.protocol ~= "smtp" and o.protocol ~= "lmtp" then
    error("smtp.connect: option 'protocol' must be smtp or lmtp", 2)
  end
  auth.check(o.mechanism, {}, "smtp.connect", 2)
  return connect.open(smtp, o)
end

-- --- methods ----------------------------------------------------------------------------------------

local Session = {}
for name, method in pairs(commands) do Session[name] = method end

local AUTHENTICATE = { timeout = "number|table?" }
for name, kinds in pairs(auth.OPTIONS) do AUTHENTICATE[name] = kinds end

local function authenticate(pump, options)
  if pump.failure then return nil, pump.failure end
  pump.peculiar = "it was logged in by hand"
  local o = { allow_plaintext_login = pump.allow_plaintext_login }
  for name, value in pairs(options) do o[name] = value end
  local ok, err = open.login(pump, o, pump:deadline(options))
  if ok then return true end
  return nil, err
end

--- Logs in, after `connect{…, login = false}`.
-- @tparam string user
-- @tparam string|function password
-- @tparam[opt] table options as of `authenticate`
-- @treturn boolean true; or nil, err (kind "auth" where the server refuses)
function Session:login(user, password, options)
  if type(user) ~= "string" then error("smtp:login: a user expected, got " .. type(user), 2) end
  if type(password) ~= "string" and type(password) ~= "function" then
    error("smtp:login: a password expected, got " .. type(password), 2)
  end
  if options ~= nil then want(options, AUTHENTICATE, "smtp:login") end
  auth.check(options and options.mechanism, {}, "smtp:login", 2)
  local o = {}
  for name, value in pairs(options or {}) do o[name] = value end
  o.user, o.password = user, password
  return authenticate(reply.pump(self, "login"), o)
end

--- Logs in with the options of `connect` (mechanism, user, password, authzid …).
function Session:authenticate(options)
  want(options, AUTHENTICATE, "smtp:authenticate")
  auth.check(options.mechanism, {}, "smtp:authenticate", 2)
  return authenticate(reply.pump(self, "authenticate"), options)
end

--- Sends one message, or several.
-- @tparam table options `from`, `to` (an address or an array; both are taken from the message's
--   header where left out, and Bcc is then cut out of it), `message` (a string, an open file, a
--   source function, a mail.message, or a list of strings and `{url=}` for BURL), `size` in octets where
--   known, `timeout`; `line_ends`: "crlf" (the default: CR and LF of their own become CRLF), "refuse" (kind
--   "invalid" where there are any), "keep" (octet by octet, with BINARYMIME);
--   `dsn = {notify=, ret=, envid=}`, `require_tls` (true: REQUIRETLS; false: `TLS-Required: No` in the header),
--   `deliver_by` (seconds, or `{seconds=, mode="return"|"notify", trace=}`), `hold_for` (seconds) or `hold_until`
--   (a time), `priority` (-9 to 9), `auth` (who submitted it); a recipient may be
--   `{address=, notify=, orcpt=, rrvs=}`. What the server lacks is kind "unsupported", before anything is sent.
--   Or an array of such tables.
-- @treturn table receipt `{accepted=, rejected=, text=, queue_id=}`; or nil, err: `err.rejected` where
--   no recipient was accepted; kind "unknown" where the connection died after the last octet. For an
--   array: an array of receipts and errors (tell them by `mail.err.is`).
function Session:send(options)
  local receipt, err = send.send(Pump.of(self) or reply.pump(self, "send"), options, 2)
  return receipt, err
end

--- Ends the session politely and closes it. A server that drops the link at once is forgiven.
-- @tparam[opt] table options `timeout` (seconds)
-- @treturn boolean true; or nil, err where it was closed already
function Session:quit(options)
  reply.options(options, "quit")
  local pump = reply.pump(self, "quit")
  if pump.failure then return nil, pump.failure end
  local ok, err = reply.positive(pump, "QUIT", reply.ask(pump, options, "raw_quit"))
  pump:close()
  if ok or err.kind == "closed" then return true end
  return nil, err
end

--- Ends the session and leaves its connection, logged in, to the loop's pool (OpenResty), where the next
-- `connect` of the same worker with the same options finds it. For plaintext and for TLS by the host.
-- @tparam[opt] table options `idle` = 60: seconds that it is kept; `size` = 30: connections kept for these
--   options; `timeout`
-- @treturn boolean true; or nil, err: kind "unsupported" or "invalid" where it cannot be pooled and
--   stands as it was (`quit` it), any other where it is closed
function Session:keepalive(options)
  local ok, err = keepalive.release(self, options) -- no tail call: that has no line of its own
  return ok, err
end

--- Drops the connection at once. Idempotent.
function Session:close()
  local pump = Pump.of(self)
  if pump then return pump:close() end
  self:free()
  return true
end

--- True where the server named the capability in its answer to EHLO.
-- @tparam string name in any case
-- @treturn boolean
function Session:has(name)
  if type(name) ~= "string" then error("smtp:has: a capability's name expected, got " .. type(name), 2) end
  local known = self.capabilities
  return known ~= nil and known[ascii.upper(name)] ~= nil
end

-- A set, as with the other protocols: true, or the parameters of the keyword. Made anew after each EHLO.
local function capability_set(self)
  local pump = Pump.of(self)
  local said = pump and pump.capabilities
  if said and pump.shown_of ~= said then
    pump.shown, pump.shown_of = {}, said
    for name, parameters in pairs(said) do pump.shown[name] = parameters == "" or parameters end
  end
  return said and pump.shown
end

local fields = {
  capabilities = capability_set, server = class.of_pump "greeting", tls = class.tls,
  -- How many more messages the server takes on this connection (RFC 9422); nil where it names no number.
  mails_left = function(self)
    local pump = Pump.of(self)
    return pump and limits.mails_left(pump)
  end,
}

local mt = class.extend(core.smtp_class, Session, fields)
function mt.__tostring(session)
  return connect.describe(session)
end

--- Replies in `bytes`, as a session would see them; without a connection.
-- @tparam string bytes
-- @tparam[opt] number chunk octets fed at a time
-- @treturn table array of `{code=, enhanced=, lines=}`; or nil, err
function smtp.parse(bytes, chunk)
  if type(bytes) ~= "string" then error("smtp.parse: a string expected, got " .. type(bytes), 2) end
  if chunk ~= nil and (type(chunk) ~= "number" or chunk < 1 or chunk % 1 ~= 0) then
    error("smtp.parse: a chunk is a whole number of octets, 1 or more", 2)
  end
  local replies, kind, message = core.smtp_parse(bytes, chunk)
  if replies then return replies end
  return nil, require "mail.err".new { kind = kind, message = message, protocol = "smtp" }
end

--- Several sessions for any number of coroutines: see `mail.smtp.pool`, which is loaded at first use.
-- @function smtp.pool
return setmetatable(smtp, {
  __index = function(self, name)
    if name ~= "pool" then return nil end
    local new = require "mail.smtp.pool".new
    rawset(self, name, new)
    return new
  end,
})
