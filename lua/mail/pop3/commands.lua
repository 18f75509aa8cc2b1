--- The commands of POP3 that are no log-in and no message: RFC 1939, 2449, 6856.
--
-- On a session without a transport the same names only queue the command and return its id.
-- @module mail.pop3.commands

local ascii = require "mail.ascii"
local Pump = require "mail.pump"
local run = require "mail.pop3.run"

local native = run.native
local check_options, check_number, check_string = run.check_options, run.check_number, run.check_string

local methods = {}

--- How much mail there is (RFC 1939 §5).
-- @tparam[opt] table options `timeout` for this call
-- @treturn table {count=, size=}: messages, octets together (nil where the server does not say); or nil, err
function methods:stat(options)
  check_options(options, "stat")
  local pump = Pump.of(self)
  if not pump then return native.stat(self) end
  local text, count, size = run.command(pump, "stat", options)
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
  local text, value = run.command(pump, name, options, number)
  if not text then return nil, value end
  if value then return value end
  return nil, pump:error("protocol", "an answer without a message number", { command = ascii.upper(name), text = text })
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

-- A command whose answer is yes or no. true | nil, err; or its id without a transport.
local function plain(self, name, options, ...)
  local pump = Pump.of(self)
  if not pump then return native[name](self, ...) end
  local text, err = run.command(pump, name, options, ...)
  if not text then return nil, err end
  return true
end

--- Marks a message as deleted; it is gone once QUIT has been answered.
-- @tparam number n of the message
-- @tparam[opt] table options `timeout` (seconds)
-- @return true; or nil, err
function methods:dele(n, options)
  check_number(n, "dele")
  check_options(options, "dele")
  return plain(self, "dele", options, n)
end

--- Takes all deletion marks back.
-- @tparam[opt] table options `timeout` (seconds)
-- @return true; or nil, err
function methods:rset(options)
  check_options(options, "rset")
  return plain(self, "rset", options)
end

--- Does nothing, and keeps the server from closing an idle session.
-- @tparam[opt] table options `timeout` (seconds)
-- @return true; or nil, err
function methods:noop(options)
  check_options(options, "noop")
  return plain(self, "noop", options)
end

--- Switches to UTF-8 (RFC 6856 §2): headers come as they are, names and passwords may hold it. Only before
-- the log-in (`login = false`; or `utf8 = true` among the options of connect).
-- @return true; or nil, err: kind "unsupported" where the server has no UTF8
function methods:utf8(options)
  check_options(options, "utf8")
  local pump = Pump.of(self)
  if pump and not pump.failure and not self:has "UTF8" then
    return nil, pump:error("unsupported", "the server has no UTF8", { command = "UTF8" })
  end
  return plain(self, "utf8", options)
end

--- The language of the server's words (RFC 6856 §3).
-- @tparam[opt] string tag "de", or "*" for what the server prefers; left out: which there are
-- @tparam[opt] table options
-- @treturn string the tag of the language that it speaks now; without `tag` an array of
--   {tag=, description=}; or nil, err: kind "unsupported" where the server has no LANG
function methods:language(tag, options)
  if type(tag) == "table" then tag, options = nil, tag end
  if tag ~= nil then check_string(tag, "language", "the tag") end
  check_options(options, "language")
  local pump = Pump.of(self)
  if not pump then return native.lang(self, tag) end
  if not pump.failure and not self:has "LANG" then
    return nil, pump:error("unsupported", "the server has no LANG", { command = "LANG" })
  end
  local text, list = run.command(pump, "lang", options, tag)
  if not text then return nil, list end
  return list or text:match "^%S+" or tag
end

--- Asks what the server can do (RFC 2449 §5), and remembers it. Servers may say more, and otherwise, of
-- EXPIRE and LOGIN-DELAY once it is known who asks.
-- @tparam[opt] table options `timeout` (seconds)
-- @treturn table set of names in upper case; the value is true, or the parameters as a string; or
--   nil, err
function methods:capa(options)
  check_options(options, "capa")
  local pump = Pump.of(self)
  if not pump then return native.capa(self) end
  local text, set = run.command(pump, "capa", options)
  if not text then return nil, set end
  pump.capabilities = set
  return set
end

--- Whether the server has a capability: `session:has "PIPELINING"`. False where it was never asked (`capa`).
-- @tparam string name in any case
-- @treturn boolean
function methods:has(name)
  check_string(name, "has", "the name")
  local pump = Pump.of(self)
  local capabilities = pump and pump.capabilities
  return capabilities ~= nil and capabilities[ascii.upper(name)] ~= nil
end

--- Ends the session: the deletions become final. The connection is closed whatever the answer.
-- @tparam[opt] table options `timeout` (seconds)
-- @return true; or nil, err: then they may not have become final
function methods:quit(options)
  check_options(options, "quit")
  local pump = Pump.of(self)
  if not pump then return native.quit(self) end
  local text, err = run.command(pump, "quit", options)
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
  if multiline ~= nil and type(multiline) ~= "boolean" then
    error("pop3:command: multiline must be a boolean, got " .. type(multiline), 2)
  end
  check_options(options, "command")
  local pump = Pump.of(self)
  if not pump then return native.command(self, line, multiline) end
  local id, err = run.begin(pump, "command", line, multiline)
  local verb = ascii.upper(line:match "^[A-Za-z]+" or "command")
  if not id then
    if err.kind == "invalid" then err.command = verb end
    return nil, err
  end
  return run.finish(pump, id, verb, options)
end

--- Drops the connection at once: nothing is deleted. Idempotent.
function methods:close()
  local pump = Pump.of(self)
  if pump then return pump:close() end
  self:free()
  return true
end

-- --- what CAPA said, as fields (RFC 2449 §6) ----------------------------------------------------------

local function parameters(self, name)
  local pump = Pump.of(self)
  local value = pump and pump.capabilities and pump.capabilities[name]
  return type(value) == "string" and value or nil
end

local fields = {}

--- How long the server keeps messages: {days = number | "never", per_user = boolean}; nil where it does
-- not say. 0 days: nothing may be left. `per_user`: it may differ for each; ask `capa` after the log-in.
function fields.expire(self)
  local value = parameters(self, "EXPIRE")
  local word = value and value:match "^%S+"
  local days = word and (ascii.upper(word) == "NEVER" and "never" or tonumber(word:match "^%d+$"))
  if not days then return nil end
  return { days = days, per_user = ascii.upper(value):find("^%S+%s+USER") ~= nil }
end

--- Seconds that must pass between two log-ins; nil where the server does not say.
function fields.login_delay(self)
  local value = parameters(self, "LOGIN-DELAY")
  return value and tonumber(value:match "^%d+") or nil
end

--- What the server calls itself; nil where it does not say.
function fields.implementation(self) return parameters(self, "IMPLEMENTATION") end

return { methods = methods, fields = fields }
