--- SMTP: sending mail (API §3).
--
-- The session itself, its pipelining and its content are the core's (csrc/smtp). Here: opening and
-- logging in, where the envelope and the content come from, and what a refusal is called.
-- @module mail.smtp

local Pump = require "mail.pump"
local auth = require "mail.auth"
local class = require "mail.class"
local connect = require "mail.connect"
local content = require "mail.content"
local core = require "mail.core"
local envelope = require "mail.envelope"
local keepalive = require "mail.keepalive"
local want = require "mail.want"

local CONNECT = { helo = "string?", protocol = "string?" }

local smtp = { name = "smtp", pool = keepalive.pool, connect_options = CONNECT }

local SEND = {
  from = "any", to = "any", message = "any", size = "number?", dsn = "table?", require_tls = "boolean?",
  deliver_by = "number|table?", timeout = "number|table?",
}

-- --- errors -----------------------------------------------------------------------------------------

-- A reply that says no, as an error.
local function refusal(pump, command, code, enhanced, text, kind)
  return pump:error(kind or "rejected", ("%d %s"):format(code, text:gsub("\n", " / ")), {
    command = command, code = code, enhanced = enhanced, text = text,
  })
end

-- true where the reply is positive; else nil, err.
local function positive(pump, command, code, enhanced, text)
  if not code then return nil, enhanced end
  if code >= 200 and code < 300 then return true end
  return nil, refusal(pump, command, code, enhanced, text)
end

-- Queues a command and waits for its reply: code, enhanced, text; or nil, err.
local function ask(pump, options, method, ...)
  local id, err = pump:begin(method, ...)
  if not id then return nil, err end
  return pump:done(id, pump:deadline(options))
end

local function unsolicited(pump, kind, code, _, text)
  if kind == "bye" then pump.farewell = ("%d %s"):format(code, text) end
end

-- --- opening ----------------------------------------------------------------------------------------

-- The name to give in EHLO: an address literal where this host has no name with a dot
-- (RFC 5321 §4.1.4).
local function own_name(pump, o)
  if o.helo then return o.helo end
  local name = core.hostname()
  if name and name:find("^[%w.-]+%.[%w-]+$") then return name end
  local address = pump.conn.name and pump.conn:name()
  if not address then return "localhost" end
  return address:find(":", 1, true) and "[IPv6:" .. address .. "]" or "[" .. address .. "]"
end

-- EHLO, or HELO where the server is older than that (RFC 5321 §3.2).
local function hello(pump, o, deadline)
  local name = own_name(pump, o)
  local id, err = pump:begin("ehlo", name)
  if not id then return nil, err end
  local code, enhanced, text = pump:done(id, deadline)
  if code and code >= 500 and code ~= 521 and code ~= 554 then
    id, err = pump:begin("helo", name)
    if not id then return nil, err end
    code, enhanced, text = pump:done(id, deadline)
    if code then pump.capabilities = {} end
  elseif code then
    pump.capabilities = pump.session:ehlo_table()
  end
  return positive(pump, "EHLO", code, enhanced, text)
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
    return nil, refusal(pump, "STARTTLS", code, enhanced, text, "tls")
  end
  local ok
  ok, err = connect.start_tls(pump, o)
  if not ok then return nil, err end
  return hello(pump, o, deadline)
end

-- The server's mechanisms as a set; "AUTH=LOGIN" of old servers is read too.
local function offered(pump)
  local set = {}
  for name in (pump.capabilities.AUTH or ""):gmatch("[^%s=]+") do set[name:upper()] = true end
  return set
end

local function login(pump, o, deadline)
  return auth.run(pump, o, {
    command = "AUTH", deadline = deadline, offered = offered(pump), initial = true,
    extra = { protocol = "smtp", secure = pump:is_secure() },
    begin = function(mechanism, initial) return pump:begin("auth", mechanism, initial) end,
    result = function(code, enhanced, text)
      if code == 235 then return true end
      return nil, { code = code, enhanced = enhanced, text = text }
    end,
  })
end

--- Greeting, EHLO, STARTTLS, login: everything before the session is the user's.
function smtp.greet(pump, o, deadline)
  pump.unsolicited = unsolicited
  local resumed = keepalive.resume(pump, o)
  local kind, code, enhanced, text = pump:wait(0, deadline)
  if not kind then return nil, code end
  if code ~= 220 then return nil, refusal(pump, "greeting", code, enhanced, text) end
  pump.greeting = text
  local ok, err = hello(pump, o, deadline)
  if ok and (o.tls == "starttls" or o.tls == "opportunistic") then ok, err = starttls(pump, o, deadline) end
  local wants_login = not resumed and o.login ~= false and (o.user or o.token or o.mechanism)
  if ok and wants_login then ok, err = login(pump, o, deadline) end
  return ok, err
end

--- A session without a transport, for `mail.pump` or for driving by hand.
-- @tparam[opt] table options `limits`
function smtp.session(options)
  want(options or {}, { limits = "table?" }, "smtp.session")
  return core.smtp_session(options and options.limits)
end

function smtp.new_session(o)
  return core.smtp_session(o.limits)
end

--- Opens a session and logs in.
-- @tparam table|string options of API §2, or a URL: `"smtps://ann:secret@smtp.example.com"`; besides
--   `helo`, the name given in EHLO (default: this host's name, or its address literal)
-- @treturn userdata the session; or nil, err
function smtp.connect(options)
  local o = connect.options(options, "smtp", CONNECT)
  if o.protocol and o.protocol ~= "smtp" then
    error("smtp.connect: option 'protocol' must be smtp", 2)
  end
  auth.check(o.mechanism, {}, "smtp.connect", 2)
  return connect.open(smtp, o)
end

-- --- methods ----------------------------------------------------------------------------------------

local Session = {}

--- Logs in, after `connect{…, login = false}`.
-- @treturn boolean true; or nil, err (kind "auth" where the server refuses)
function Session:login(user, password)
  return self:authenticate { user = user, password = password }
end

local AUTHENTICATE = { timeout = "number|table?" }
for name, kinds in pairs(auth.OPTIONS) do AUTHENTICATE[name] = kinds end

--- Logs in with the options of `connect` (mechanism, user, password, authzid …).
function Session:authenticate(options)
  local pump = Pump.of(self)
  want(options, AUTHENTICATE, "smtp:authenticate")
  auth.check(options.mechanism, {}, "smtp:authenticate", 2)
  if pump.failure then return nil, pump.failure end
  pump.peculiar = "it was logged in by hand"
  local ok, err = login(pump, options, pump:deadline(options))
  if ok then return true end
  return nil, err
end

-- The parameters of MAIL and RCPT that extensions add (RFC 3461, RFC 8689, RFC 2852).
local function parameters(pump, options)
  local mail, rcpt = {}, {}
  local has = pump.capabilities
  local function need(name)
    if has[name] then return true end
    return nil, pump:error("unsupported", "the server lacks " .. name, { command = "MAIL" })
  end
  if options.dsn then
    local ok, err = need "DSN"
    if not ok then return nil, err end
    local why
    ok, why = envelope.dsn(options.dsn, mail, rcpt)
    if not ok then return nil, pump:error("invalid", why, { command = "MAIL" }) end
  end
  if options.require_tls then
    local ok, err = need "REQUIRETLS"
    if not ok then return nil, err end
    mail[#mail + 1] = "REQUIRETLS"
  end
  if options.deliver_by then
    local ok, err = need "DELIVERBY"
    if not ok then return nil, err end
    mail[#mail + 1] = envelope.deliver_by(options.deliver_by)
  end
  local function join(list)
    return #list > 0 and " " .. table.concat(list, " ") or nil
  end
  return { mail = join(mail), rcpt = join(rcpt) }
end

-- The raw refusals of a receipt as errors; the receipt itself is returned.
local function with_errors(pump, receipt)
  for address, reply in pairs(receipt.rejected) do
    receipt.rejected[address] = refusal(pump, "RCPT", reply.code, reply.enhanced, reply.text)
  end
  return receipt
end

-- Why nobody got the message.
local function failure(pump, receipt, command, reply)
  local err
  if reply then
    err = refusal(pump, command, reply.code, reply.enhanced, reply.text)
  else
    local _, first = next(receipt.rejected)
    err = refusal(pump, "RCPT", first.code, first.enhanced, first.text)
  end
  err.rejected = with_errors(pump, receipt).rejected
  return err
end

-- A transaction that ended without an answer: after its last octet nobody knows (RFC 1047).
local function lost(pump, id, err)
  local session = pump.session
  if session:is_freed() or not session:is_unknown(id) then return nil, err end
  local unknown = pump:error("unknown", "the message left whole and was not answered: " .. err.message, {
    command = "DATA",
  })
  if not pump.failure then pump:fail(unknown) end
  return nil, unknown
end

-- Waits for the end of a transaction, giving content meanwhile where it is streamed.
local function finish(pump, id, source, options)
  local deadline = pump:deadline(options)
  while true do
    local kind, ok, receipt, command, reply = pump:wait(id, deadline)
    if not kind then return lost(pump, id, ok) end
    if kind == "sent" then
      if not ok then return nil, failure(pump, receipt, command, reply) end
      if next(receipt.rejected) then with_errors(pump, receipt) end
      return receipt
    end
    if kind == "go" then
      local given, err = content.give(pump, id, source)
      if not given then return nil, err end
    end
    deadline = pump:piece_deadline(options, pump:deadline(options))
  end
end

-- Queues the transaction of one message: id, source; or nil, err. Raises at `level`.
local function begin(pump, options, level)
  if pump.failure then return nil, pump.failure end
  local message, source, size, head, err
  local from, to = options.from, options.to
  if type(options.message) == "string" then
    message, size = options.message, options.size
  else
    source, size, head, err = content.open(pump, options.message, options.size, "smtp:send", level + 1)
    if not source then return nil, err end
  end
  local envelope_options = options
  if from == nil or to == nil then
    local found
    found, message, head, err = envelope.from_message(pump, options, message, source, head)
    if not found then return nil, err end
    envelope_options = found
  end
  local params
  if options.dsn or options.require_tls or options.deliver_by then
    params, err = parameters(pump, options)
    if not params then return nil, err end
  end
  local id, why, kind, culprit = pump.session:transaction(envelope_options, message, size, head,
    params and params.mail, params and params.rcpt)
  if id then return id, source end
  if kind == "misuse" then error("smtp:send: " .. why, level + 1) end
  if pump.session:failure() then return pump:broken() end
  if culprit then why = ("%s: '%s'"):format(why, culprit:gsub("%c", "?")) end
  return nil, pump:error(kind, why, { command = "MAIL" })
end

-- Several messages: all are queued, then their answers are gathered, so that on a pipelining server
-- each costs one round trip.
local function send_list(pump, list)
  local started, results = {}, {}
  for i, options in ipairs(list) do
    want(options, SEND, "smtp:send", 2)
    if type(options.message) == "string" then
      local id, err = begin(pump, options, 3)
      started[i] = id or false
      results[i] = not id and err or nil
    end
  end
  for i, options in ipairs(list) do
    local receipt, err
    if started[i] then
      receipt, err = finish(pump, started[i], nil, options)
    elseif started[i] == nil then
      local id, source = begin(pump, options, 3)
      if id then receipt, err = finish(pump, id, source, options) else err = source end
    else
      err = results[i]
    end
    results[i] = receipt or err
  end
  return results
end

--- Sends one message, or several.
-- @tparam table options `from`, `to` (an address or an array; both are taken from the message's
--   header where left out, and Bcc is then cut out of it), `message` (a string, an open file, a
--   source function, or a mail.message), `size` in octets where known, `dsn`, `require_tls`,
--   `deliver_by`, `timeout`; or an array of such tables
-- @treturn table receipt `{accepted=, rejected=, text=, queue_id=}`; or nil, err: `err.rejected` where
--   no recipient was accepted; kind "unknown" where the connection died after the last octet. For an
--   array: an array of receipts and errors (tell them by `mail.err.is`).
function Session:send(options)
  local pump = Pump.of(self)
  if type(options) == "table" and options[1] then return send_list(pump, options) end
  want(options, SEND, "smtp:send")
  local id, source = begin(pump, options, 2)
  if not id then return nil, source end
  return finish(pump, id, source, options)
end

-- Commands that are more than a line and a reply, or that change what the session is.
local OWN_CALL = { DATA = "send", BDAT = "send", AUTH = "authenticate", STARTTLS = "connect", QUIT = "quit" }

-- A command of one line: `{code=, enhanced=, lines=}`; or nil, err
local function one_line(self, line, options)
  local code, enhanced, text = ask(Pump.of(self), options, "raw_command", line)
  if not code then return nil, enhanced end
  local lines = {}
  for part in (text .. "\n"):gmatch("([^\n]*)\n") do lines[#lines + 1] = part end
  return { code = code, enhanced = enhanced, lines = lines }
end

--- Any command of one line and one reply. DATA, BDAT, AUTH, STARTTLS and QUIT have calls of their own.
-- @tparam string line without CRLF
-- @tparam[opt] table options `timeout`
-- @treturn table `{code=, enhanced=, lines=}`, whatever the code; or nil, err
function Session:command(line, options)
  if type(line) ~= "string" then error("smtp:command: a line expected, got " .. type(line), 2) end
  local own = OWN_CALL[line:match("^%a*"):upper()]
  if own then error(("smtp:command: that command has a call of its own: %s"):format(own), 2) end
  local pump = Pump.of(self)
  if pump then pump.peculiar = "commands were sent to it by hand" end
  return one_line(self, line, options)
end

local function simple(command, method)
  return function(self, options)
    local pump = Pump.of(self)
    return positive(pump, command, ask(pump, options, method or "raw_command", not method and command or nil))
  end
end

--- Does nothing, over the wire. @return true; or nil, err
Session.noop = simple("NOOP")

--- Drops what a transaction has said so far. @return true; or nil, err
Session.reset = simple("RSET", "rset")

-- VRFY and EXPN: the lines of the answer.
local function inquiry(verb)
  return function(self, what, options)
    if type(what) ~= "string" then error(("smtp:%s: a string expected, got %s"):format(verb, type(what)), 2) end
    local reply, err = one_line(self, verb .. " " .. what, options)
    if not reply then return nil, err end
    if reply.code >= 200 and reply.code < 300 then return reply end
    return nil, refusal(Pump.of(self), verb, reply.code, reply.enhanced, table.concat(reply.lines, "\n"))
  end
end

--- VRFY (RFC 5321 §3.5). @return `{code=, enhanced=, lines=}`: 252 means "cannot say"; or nil, err
Session.verify = inquiry("VRFY")

--- EXPN: the members of a list. @return `{code=, enhanced=, lines=}`; or nil, err
Session.expand = inquiry("EXPN")

--- Ends the session politely and closes it. A server that drops the link at once is forgiven.
-- @treturn boolean true; or nil, err where it was closed already
function Session:quit(options)
  local pump = Pump.of(self)
  if pump.failure then return nil, pump.failure end
  local ok, err = positive(pump, "QUIT", ask(pump, options, "raw_quit"))
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
  return keepalive.release(self, options)
end

--- Drops the connection at once. Idempotent.
function Session:close()
  local pump = Pump.of(self)
  return pump and pump:close()
end

--- True where the server named the capability in its answer to EHLO.
function Session:has(name)
  local known = self.capabilities
  return known ~= nil and known[name:upper()] ~= nil
end

-- Nil for a session without a transport.
local function of_pump(name)
  return function(self)
    local pump = Pump.of(self)
    return pump and pump[name]
  end
end

local fields = {
  capabilities = of_pump "capabilities",
  server = of_pump "greeting",
  tls = function(self)
    if self:is_freed() then return nil end
    local pump = Pump.of(self)
    return self:tls_info() or (pump and pump:is_secure() and { by = "host" }) or nil
  end,
}

local mt = class.extend(core.smtp_class, Session, fields)
function mt.__tostring(session)
  return connect.describe(session)
end

--- Replies in `bytes`, as a session would see them; without a connection (API §7).
-- @tparam string bytes
-- @tparam[opt] number chunk octets fed at a time
-- @treturn table array of `{code=, enhanced=, lines=}`; or nil, err
function smtp.parse(bytes, chunk)
  local replies, kind, message = core.smtp_parse(bytes, chunk)
  if replies then return replies end
  return nil, require "mail.err".new { kind = kind, message = message, protocol = "smtp" }
end

return smtp
