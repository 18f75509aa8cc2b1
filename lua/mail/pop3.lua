--- POP3 sessions (RFC 1939, 2449, 2595, 5034): what a user calls (API §4).
--
-- The session is a userdata of the core; these methods share its metatable and wait through its pump.
-- On a session without a transport (`pop3.session`) the same names only queue the command and return
-- its id, for those who drive it by hand: `feed`, `output`, `next` (`retr(n, "stream")` there).
-- @module mail.pop3

local core = require "mail.core"
local Err = require "mail.err"
local Pump = require "mail.pump"
local auth = require "mail.auth"
local class = require "mail.class"
local connect = require "mail.connect"
local want = require "mail.want"

local pop3 = { name = "pop3" }

local PSEUDO = { "USER", "APOP" }
local CALL = { timeout = "number|table?" }
-- Response codes that speak of the maildrop or the moment, not of the credentials (RFC 2449 §8, 3206).
local PASSING = { ["IN-USE"] = true, ["LOGIN-DELAY"] = true, ["SYS/TEMP"] = true }
local NOT_AUTH = { ["SYS/PERM"] = true }

-- The methods of the core, before those below take their names.
local native = {}
for name, fn in pairs(core.pop3_session_class.__index) do native[name] = fn end

-- --- commands ---------------------------------------------------------------------------------------

-- Queues a command of the core. id | nil, err
local function begin(pump, name, ...)
  if pump.failure then return nil, pump.failure end
  local id, why = native[name](pump.session, ...)
  if id then return id end
  if pump.session:failure() then return pump:broken() end
  return nil, pump:error("invalid", why, { command = name:upper() })
end

-- What -ERR says.
local function refused(pump, command, text, code)
  return nil, pump:error("rejected", text ~= "" and text or "refused without a word",
    { command = command, text = text, response_code = code, temporary = PASSING[code] or false })
end

-- Names the command in an error that is this call's alone; a handshake is no command's fault.
local function named(pump, err, command)
  if err ~= pump.failure and err.kind ~= "tls" and not err.command then err.command = command end
  return nil, err
end

-- Waits for "done". text, values … | nil, err
local function finish(pump, id, command, options)
  local ok, text, code, a, b = pump:done(id, pump:deadline(options))
  if ok then return text, a, b end
  if ok == nil then return named(pump, text, command) end
  return refused(pump, command, text, code)
end

-- One command from its call to its answer.
local function run(pump, name, options, ...)
  local id, err = begin(pump, name, ...)
  if not id then return nil, err end
  return finish(pump, id, name:upper(), options)
end

-- The checks below blame the line that called the method which calls them.
local function check_options(options, what)
  if options ~= nil then want(options, CALL, "pop3:" .. what, 2) end
end

local function is_whole(n, min)
  return type(n) == "number" and n >= min and n <= 4294967295 and n % 1 == 0
end

local function check_number(n, what)
  if not is_whole(n, 1) then
    error(("pop3:%s: a message number expected, got %s"):format(what, tostring(n)), 3)
  end
end

local function check_string(s, what, name)
  if type(s) ~= "string" then
    error(("pop3:%s: %s must be a string, got %s"):format(what, name, type(s)), 3)
  end
end

local methods = {}

--- How much mail there is (RFC 1939 §5).
-- @tparam[opt] table options `timeout` for this call
-- @treturn table {count=, size=}: messages, octets together; or nil, err
function methods:stat(options)
  check_options(options, "stat")
  local pump = Pump.of(self)
  if not pump then return native.stat(self) end
  local text, count, size = run(pump, "stat", options)
  if not text then return nil, count end
  if not count then
    return nil, pump:error("protocol", "an answer to STAT without a number", { command = "STAT", text = text })
  end
  return { count = count, size = size }
end

-- LIST and UIDL: of all messages, or of one.
local function listing(self, name, number, options)
  local pump = Pump.of(self)
  if not pump then return native[name](self, number) end
  local text, value = run(pump, name, options, number)
  if not text then return nil, value end
  if value then return value end
  return nil, pump:error("protocol", "an answer without a message number", { command = name:upper(), text = text })
end

--- The sizes of the messages.
-- @tparam[opt] number number of one message
-- @tparam[opt] table options
-- @treturn table array of {number=, size=}; of one message, that one; or nil, err
function methods:list(number, options)
  if type(number) == "table" then number, options = nil, number end
  if number ~= nil then check_number(number, "list") end
  check_options(options, "list")
  return listing(self, "list", number, options)
end

--- The unique ids of the messages, which are the same in every session (RFC 1939 §7).
-- @tparam[opt] number number of one message
-- @tparam[opt] table options
-- @treturn table array of {number=, uid=}; of one message, that one; or nil, err
function methods:uidl(number, options)
  if type(number) == "table" then number, options = nil, number end
  if number ~= nil then check_number(number, "uidl") end
  check_options(options, "uidl")
  return listing(self, "uidl", number, options)
end

-- --- messages ---------------------------------------------------------------------------------------

local yields_across_pcall = _VERSION ~= "Lua 5.1" or rawget(_G, "jit") ~= nil

-- Calls the sink; where it raises, the command is given up before the error goes on. PUC 5.1 cannot
-- yield across pcall, and a sink may wait.
local function call_sink(pump, id, sink, chunk)
  if not yields_across_pcall then return sink(chunk) end
  local fine, ok, err = pcall(sink, chunk)
  if fine then return ok, err end
  pump:stream_end(id)
  pump:abandon(id)
  error(ok, 0)
end

local function sink_failed(pump, why)
  return nil, pump:error("io", "the sink stopped: " .. tostring(why or "no reason given"), { command = "RETR" })
end

-- The end is reported to the sink. ltn12 wants a true value; nothing at all is as good.
local function end_sink(pump, id, sink)
  local ok, why = call_sink(pump, id, sink, nil)
  if not ok and why ~= nil then return sink_failed(pump, why) end
  return true
end

-- Hands the pieces of a body to `sink` as they come. true | nil, err
local function stream(pump, id, sink, options)
  local whole = pump:deadline(options)
  local deadline = whole
  pump:stream(id)
  while true do
    local kind, a, b, c = pump:wait(id, deadline)
    if kind == "data" then
      local ok, why = call_sink(pump, id, sink, a)
      if not ok then
        pump:stream_end(id)
        pump:abandon(id)
        return sink_failed(pump, why)
      end
      deadline = pump:piece_deadline(options, whole)
    else
      pump:stream_end(id)
      if not kind then return named(pump, a, "RETR") end
      if not a then return refused(pump, "RETR", b, c) end
      return end_sink(pump, id, sink)
    end
  end
end

-- Collects a body in pieces, so that the gaps between them can be bounded.
local function collect(pump, id, options)
  local pieces, n, bytes = {}, 0, 0
  local ok, err = stream(pump, id, function(piece)
    if not piece then return true end
    bytes = bytes + #piece
    if bytes > pump.message_limit then return nil, "limit" end
    n = n + 1
    pieces[n] = piece
    return true
  end, options)
  if ok then return table.concat(pieces) end
  if err.kind == "io" then
    return nil, pump:error("limit", "limit passed: message", { command = "RETR" })
  end
  return nil, err
end

-- RETR as a string.
local function fetch(pump, number, options)
  if pump:gap(options) then
    local id, err = begin(pump, "retr", number, "stream")
    if not id then return nil, err end
    return collect(pump, id, options)
  end
  local text, body = run(pump, "retr", options, number)
  if not text then return nil, body end
  return body
end

--- A message as it came: lines in CRLF, the dots of the transfer taken off.
-- @tparam number n
-- @tparam[opt] function sink ltn12: gets each piece, nil at the end; returning nil, err stops the
--   transfer and leaves the session usable. Memory stays bounded whatever the size.
-- @tparam[opt] table options
-- @treturn string the message, or true with a sink; or nil, err (kind "io" where the sink stopped)
function methods:retr(n, sink, options)
  check_number(n, "retr")
  local pump = Pump.of(self)
  if not pump then return native.retr(self, n, type(sink) == "function" and "stream" or sink) end
  if type(sink) == "table" and getmetatable(sink) == nil then sink, options = nil, sink end
  check_options(options, "retr")
  if sink ~= nil and type(sink) ~= "function" then
    error("pop3:retr: the sink must be a function, got " .. type(sink), 2)
  end
  if not sink then return fetch(pump, n, options) end
  local id, err = begin(pump, "retr", n, "stream")
  if not id then return nil, err end
  return stream(pump, id, sink, options)
end

--- The header of a message and the first lines of its body.
-- @tparam number n
-- @tparam number lines 0: the header alone
-- @tparam[opt] table options
-- @treturn string; or nil, err
function methods:top(n, lines, options)
  check_number(n, "top")
  if not is_whole(lines, 0) then
    error("pop3:top: a number of lines expected, got " .. tostring(lines), 2)
  end
  check_options(options, "top")
  local pump = Pump.of(self)
  if not pump then return native.top(self, n, lines) end
  local text, body = run(pump, "top", options, n, lines)
  if not text then return nil, body end
  return body
end

--- Marks a message as deleted; it is gone once QUIT has been answered.
-- @return true; or nil, err
function methods:dele(n, options)
  check_number(n, "dele")
  check_options(options, "dele")
  local pump = Pump.of(self)
  if not pump then return native.dele(self, n) end
  local text, err = run(pump, "dele", options, n)
  if not text then return nil, err end
  return true
end

--- Takes all deletion marks back.
-- @return true; or nil, err
function methods:rset(options)
  check_options(options, "rset")
  local pump = Pump.of(self)
  if not pump then return native.rset(self) end
  local text, err = run(pump, "rset", options)
  if not text then return nil, err end
  return true
end

--- Does nothing, and keeps the server from closing an idle session.
-- @return true; or nil, err
function methods:noop(options)
  check_options(options, "noop")
  local pump = Pump.of(self)
  if not pump then return native.noop(self) end
  local text, err = run(pump, "noop", options)
  if not text then return nil, err end
  return true
end

--- Asks what the server can do (RFC 2449 §5), and remembers it.
-- @treturn table set of names in upper case; the value is true, or the parameters as a string; or
--   nil, err
function methods:capa(options)
  check_options(options, "capa")
  local pump = Pump.of(self)
  if not pump then return native.capa(self) end
  local text, set = run(pump, "capa", options)
  if not text then return nil, set end
  pump.capabilities = set
  return set
end

--- Whether the server has a capability: `session:has "PIPELINING"`.
function methods:has(name)
  check_string(name, "has", "the name")
  local pump = Pump.of(self)
  local capabilities = pump and pump.capabilities
  return capabilities ~= nil and capabilities[name:upper()] ~= nil
end

--- Ends the session: the deletions become final. The connection is closed whatever the answer.
-- @return true; or nil, err: then they may not have become final
function methods:quit(options)
  check_options(options, "quit")
  local pump = Pump.of(self)
  if not pump then return native.quit(self) end
  local text, err = run(pump, "quit", options)
  pump:close()
  if text then return true end
  if err ~= pump.failure then
    err.message = err.message .. "; what was marked as deleted may still be there"
  end
  return nil, err
end

--- Sends a line as it stands. Log-in words are masked in the log; STLS and AUTH are refused.
-- @tparam string line without CRLF
-- @tparam[opt] boolean multiline whether lines follow +OK (for words of RFC 1939 and 2449 it is known)
-- @tparam[opt] table options
-- @treturn string the server's words
-- @treturn ?string the lines, joined as they came; or nil, err
function methods:command(line, multiline, options)
  check_string(line, "command", "the line")
  if type(multiline) == "table" then multiline, options = nil, multiline end
  check_options(options, "command")
  local pump = Pump.of(self)
  if not pump then return native.command(self, line, multiline) end
  local id, err = begin(pump, "command", line, multiline)
  if not id then return nil, err end
  return finish(pump, id, (line:match("^%a+") or "command"):upper(), options)
end

--- Drops the connection at once: nothing is deleted. Idempotent.
function methods:close()
  local pump = Pump.of(self)
  if pump then return pump:close() end
  self:free()
  return true
end

-- --- logging in -------------------------------------------------------------------------------------

-- What "done" says of a log-in, in the words of auth.exchange.
local function login_result(ok, text, code)
  if ok then return true end
  local passing = PASSING[code] or false
  return nil, { text = text, response_code = code, temporary = passing,
    kind = (passing or NOT_AUTH[code]) and "rejected" or "auth" }
end

local function login_step(pump, deadline, command, id, err)
  if not id then return nil, err end
  local ok, text, code = pump:done(id, deadline)
  if ok == nil then return named(pump, text, command) end
  local fine, fields = login_result(ok, text, code)
  if fine then return true end
  fields.command = command
  return nil, pump:error(fields.kind, "login failed: " .. (text ~= "" and text or "no reason given"), fields)
end

-- The log-in commands that are older than SASL.
local function pseudo(pump, deadline)
  return {
    USER = function(with)
      if not with.user then return nil, pump:error("invalid", "a user name is needed", { command = "USER" }) end
      local ok, err = login_step(pump, deadline, "USER", begin(pump, "user", with.user))
      if not ok then return nil, err end
      return login_step(pump, deadline, "PASS", begin(pump, "pass", with.password))
    end,
    APOP = function(with)
      if not with.user or not with.password then
        return nil, pump:error("invalid", "user and password are needed", { command = "APOP" })
      end
      return login_step(pump, deadline, "APOP", begin(pump, "apop", with.user, with.password))
    end,
  }
end

-- USER is offered where CAPA says so, and by servers that say nothing at all about logging in.
local function offers_user(capabilities)
  return capabilities.USER ~= nil or capabilities.SASL == nil
end

local function authenticate(pump, options, deadline)
  local offered = {}
  pump.capabilities = pump.capabilities or {}
  local sasl = pump.capabilities.SASL
  for name in (type(sasl) == "string" and sasl or ""):gmatch("%S+") do offered[name:upper()] = true end
  local extra = {
    protocol = "pop3", secure = pump.secure,
    pseudo = {
      { name = "USER", plaintext = true, offered = offers_user(pump.capabilities) },
      { name = "APOP", plaintext = false, offered = pump.timestamp ~= nil, on_demand = true },
    },
  }
  local ok, err = auth.run(pump, options, {
    offered = offered, extra = extra, deadline = deadline, result = login_result, command = "AUTH",
    initial = true, pseudo = pseudo(pump, deadline),
    begin = function(mechanism, initial) return begin(pump, "auth", mechanism, initial) end,
  })
  if not pump.log then pump.secrets = nil end
  if not ok then return nil, err end
  return true
end

--- Logs in with the strongest mechanism that both sides have.
-- @tparam string user
-- @tparam string|function password
-- @tparam[opt] table options mechanism, authzid, allow_plaintext_login, timeout
-- @return true; or nil, err: kind "auth" where the server refuses, "tls" where the password would
--   travel in clear
function methods:login(user, password, options)
  check_string(user, "login", "the user")
  if type(password) ~= "string" and type(password) ~= "function" then
    error("pop3:login: the password must be a string or a function, got " .. type(password), 2)
  end
  local o = { user = user, password = password }
  for name, value in pairs(options or {}) do o[name] = value end
  return self:authenticate(o)
end

local AUTHENTICATE = { timeout = "number|table?" }
for name, kinds in pairs(auth.OPTIONS) do AUTHENTICATE[name] = kinds end

--- Logs in.
-- @tparam table options mechanism, user, password, token, authzid, allow_plaintext_login, timeout
-- @return true; or nil, err
function methods:authenticate(options)
  want(options, AUTHENTICATE, "pop3:authenticate")
  auth.check(options.mechanism, PSEUDO, "pop3:authenticate", 2)
  local pump = Pump.of(self)
  if not pump then error("pop3:authenticate: a session without a transport", 2) end
  if pump.failure then return nil, pump.failure end
  local o = { allow_plaintext_login = pump.allow_plaintext_login }
  for name, value in pairs(options) do o[name] = value end
  return authenticate(pump, o, pump:deadline(options))
end

-- --- connecting -------------------------------------------------------------------------------------

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
  pump.secure = demanded
  return ask_capabilities(pump, deadline)
end

local function wants_login(o)
  return o.login ~= false and (o.user or o.token or o.mechanism) ~= nil
end

--- What a new connection says first: greeting, CAPA, STLS, log-in. Called by mail.connect.
function pop3.greet(pump, o, deadline)
  pump.capabilities = {}
  pump.secure = o.tls == "implicit"
  pump.allow_plaintext_login = o.allow_plaintext_login
  pump.message_limit = o.limits and o.limits.message or 67108864
  local kind, text, detail = pump:wait(0, deadline)
  if not kind then return nil, text end
  if kind == "bye" then return refused(pump, "greeting", text, detail) end
  pump.server, pump.timestamp = text, detail
  local ok, err = ask_capabilities(pump, deadline)
  if ok and (o.tls == "starttls" or o.tls == "opportunistic") then ok, err = start_tls(pump, o, deadline) end
  if ok and wants_login(o) then ok, err = authenticate(pump, o, deadline) end
  return ok, err
end

function pop3.new_session(o)
  return core.pop3_session(o.limits)
end

--- Opens a session (API §2).
-- @tparam table|string options or a URL: "pop3s://ann:secret@pop.example.com/"
-- @treturn userdata the session, logged in unless `login = false`; or nil, err
function pop3.connect(options)
  local o = connect.options(options, "pop3")
  auth.check(o.mechanism, PSEUDO, "pop3.connect", 2)
  local session, err = connect.open(pop3, o)
  if session then return session end
  return nil, err
end

--- A session without a transport, for those who move the bytes themselves.
-- @tparam[opt] table options `limits`
function pop3.session(options)
  options = want(options or {}, { limits = "table?" }, "pop3.session")
  return core.pop3_session(options.limits)
end

--- Reads replies out of recorded bytes. Which lines belong to an answer can only be guessed without
-- its command: lines behind +OK that are no reply themselves, up to a dot, are its `lines`.
-- @tparam string bytes what a server sent
-- @tparam[opt] number chunk octets fed at a time
-- @treturn table array of {ok=, text=, response_code=, lines=}, or {challenge=} for "+"; or nil, err
function pop3.parse(bytes, chunk)
  check_string(bytes, "parse", "bytes")
  local replies, kind, message = core.pop3_parse(bytes, chunk)
  if replies then return replies end
  return nil, Err.new { kind = kind, message = message, protocol = "pop3" }
end

-- --- the class --------------------------------------------------------------------------------------

local function pump_field(name)
  return function(self)
    local pump = Pump.of(self)
    return pump and pump[name]
  end
end

local fields = {
  capabilities = pump_field "capabilities", server = pump_field "server", secure = pump_field "secure",
  timestamp = pump_field "timestamp",
  tls = function(self)
    local pump = Pump.of(self)
    if pump and pump.failure then return nil end
    return native.tls_info and native.tls_info(self)
  end,
}

core.pop3_session_class.__tostring = function(self)
  local pump = Pump.of(self)
  local state = (self:is_freed() or (pump and pump.failure)) and "closed" or self:phase()
  if not pump then return ("mail.pop3 (no transport, %s)"):format(state) end
  return connect.describe(self, state)
end

pop3.internal = { begin = begin, finish = finish, fetch = fetch }
for name, fn in pairs(require "mail.pop3.messages"(pop3.internal)) do methods[name] = fn end
class.extend(core.pop3_session_class, methods, fields)

return pop3
