--- Calls that are one command and its answer: NOOP, RSET, VRFY, EXPN, HELP, ETRN, XCLIENT, XFORWARD, and any
-- other.
-- @module mail.smtp.commands

local ascii = require "mail.ascii"
local open = require "mail.smtp.open"
local reply = require "mail.smtp.reply"
local xtext = require "mail.smtp.xtext"

local ask, positive, refusal = reply.ask, reply.positive, reply.refusal
local check_options, pump_of = reply.options, reply.pump

local Session = {}

-- Commands that are more than a line and a reply, or that change what the session is.
local OWN_CALL = { DATA = "send", BDAT = "send", BURL = "send", AUTH = "authenticate", STARTTLS = "connect",
  QUIT = "quit", XCLIENT = "xclient", EHLO = "connect", HELO = "connect", LHLO = "connect" }

-- An answer in the form of the API.
local function answer(code, enhanced, text)
  local lines = {}
  for part in (text .. "\n"):gmatch("([^\n]*)\n") do lines[#lines + 1] = part end
  return { code = code, enhanced = enhanced, lines = lines }
end

-- Sends a line: the answer where it is positive; else nil, err.
local function inquire(pump, verb, line, options)
  local code, enhanced, text = ask(pump, options, "raw_command", line)
  if not code then return nil, enhanced end
  if code >= 200 and code < 300 then return answer(code, enhanced, text) end
  return nil, refusal(pump, verb, code, enhanced, text)
end

local function needs_string(verb, what)
  if type(what) ~= "string" then error(("smtp:%s: a string expected, got %s"):format(verb, type(what)), 3) end
end

--- Any command of one line and one reply. Those that change the session have calls of their own.
-- @tparam string line without CRLF
-- @tparam[opt] table options `timeout`
-- @treturn table `{code=, enhanced=, lines=}`, whatever the code; or nil, err
function Session:command(line, options)
  needs_string("command", line)
  check_options(options, "command")
  local own = OWN_CALL[ascii.upper(line:match "^[A-Za-z]*")]
  if own then error(("smtp:command: that command has a call of its own: %s"):format(own), 2) end
  local pump = pump_of(self, "command")
  pump.peculiar = "commands were sent to it by hand"
  local code, enhanced, text = ask(pump, options, "raw_command", line)
  if not code then return nil, enhanced end
  return answer(code, enhanced, text)
end

local function simple(call, command, method)
  return function(self, options)
    check_options(options, call)
    local pump = pump_of(self, call)
    return positive(pump, command, ask(pump, options, method or "raw_command", not method and command or nil))
  end
end

--- Does nothing, over the wire. @return true; or nil, err
Session.noop = simple("noop", "NOOP")

--- Drops what a transaction has said so far. @return true; or nil, err
Session.reset = simple("reset", "RSET", "rset")

-- VRFY and EXPN; what is not ASCII needs SMTPUTF8, and says so (RFC 6531 §3.7.4.2).
local function inquiry(call, verb)
  return function(self, what, options)
    needs_string(call, what)
    check_options(options, call)
    local pump = pump_of(self, call)
    local line = verb .. " " .. what
    if what:find("[\128-\255]") then
      if not pump.failure and not pump.capabilities.SMTPUTF8 then
        return reply.unsupported(pump, verb, "the server lacks SMTPUTF8")
      end
      line = line .. " SMTPUTF8"
    end
    return inquire(pump, verb, line, options)
  end
end

--- VRFY (RFC 5321 §3.5). @return `{code=, enhanced=, lines=}`: 252 means "cannot say"; or nil, err
Session.verify = inquiry("verify", "VRFY")

--- EXPN: the members of a list. @return `{code=, enhanced=, lines=}`; or nil, err
Session.expand = inquiry("expand", "EXPN")

--- HELP (RFC 5321 §4.1.1.8).
-- @tparam[opt] string topic
-- @tparam[opt] table options `timeout`
-- @treturn table `{code=, enhanced=, lines=}`; or nil, err
function Session:help(topic, options)
  if topic ~= nil then needs_string("help", topic) end
  check_options(options, "help")
  return inquire(pump_of(self, "help"), "HELP", topic and "HELP " .. topic or "HELP", options)
end

-- What the server says of an extension; nil, err where it lacks it.
local function offer(pump, name)
  if pump.failure then return nil, pump.failure end
  local said = pump.capabilities[name]
  if said then return said end
  return reply.unsupported(pump, name, "the server lacks " .. name)
end

--- ETRN (RFC 1985): asks a server to send what it has queued for us.
-- @tparam string node a domain, `@domain` with all below it, or `#queue`
-- @tparam[opt] table options `timeout`
-- @treturn table `{code=, enhanced=, lines=}`: 250 to 253; or nil, err
function Session:etrn(node, options)
  needs_string("etrn", node)
  check_options(options, "etrn")
  local pump = pump_of(self, "etrn")
  local ok, err = offer(pump, "ETRN")
  if not ok then return nil, err end
  if not node:find("^[@#]?[!-~\128-\255]+$") then
    return nil, pump:error("invalid", "a node of ETRN is a domain, '@domain' or '#queue'", { command = "ETRN" })
  end
  return inquire(pump, "ETRN", "ETRN " .. node, options)
end

-- An address as XCLIENT and XFORWARD write it.
local function peer_address(value)
  return value:find(":", 1, true) and not value:find("^[Ii][Pp][Vv]6:") and "IPV6:" .. value or value
end

-- name=value pairs in the order in which the server named them; false stands for "not known".
local function attributes(pump, verb, values, said)
  local words, left = {}, {}
  for name, value in pairs(values) do left[ascii.upper(name)] = value end
  for name in said:gmatch("%S+") do
    name = ascii.upper(name)
    local value = left[name]
    left[name] = nil
    if value == false then
      words[#words + 1] = name .. "=[UNAVAILABLE]"
    elseif value ~= nil then
      value = ascii.text(value)
      if name == "ADDR" or name == "DESTADDR" then value = peer_address(value) end
      words[#words + 1] = name .. "=" .. xtext.encode(value)
    end
  end
  local unknown = next(left)
  if unknown then return reply.unsupported(pump, verb, ("the server lacks %s of %s")
    :format(ascii.without_controls(unknown, "?"), verb)) end
  return table.concat(words, " ")
end

local function check_attributes(call, values)
  if type(values) ~= "table" or next(values) == nil then
    error(("smtp:%s: a table of attributes expected"):format(call), 3)
  end
  for name, value in pairs(values) do
    local kind = type(value)
    if type(name) ~= "string" or not (kind == "string" or kind == "number" or value == false) then
      error(("smtp:%s: '%s' must be a string, a number or false"):format(call, tostring(name)), 3)
    end
  end
end

-- Sends XCLIENT or XFORWARD: the positive code; or nil, err.
local function forward(pump, verb, values, options)
  local said, err = offer(pump, verb)
  if not said then return nil, err end
  local text
  text, err = attributes(pump, verb, values, said)
  if not text then return nil, err end
  local code, enhanced, words = ask(pump, options, "raw_command", verb .. " " .. text)
  if not code then return nil, enhanced end
  if code >= 200 and code < 300 then return code end
  return nil, refusal(pump, verb, code, enhanced, words)
end

--- XCLIENT (Postfix): acts for another client. The session begins anew, with EHLO.
-- @tparam table values `name`, `addr`, `port`, `proto`, `helo`, `login`, `destaddr`, `destport`: those that the
--   server named in its answer to EHLO; false where one is not known
-- @tparam[opt] table options `timeout`
-- @treturn boolean true; or nil, err
function Session:xclient(values, options)
  check_attributes("xclient", values)
  check_options(options, "xclient")
  local pump = pump_of(self, "xclient")
  pump.peculiar = "it acted for another client"
  local code, err = forward(pump, "XCLIENT", values, options)
  if not code then return nil, err end
  if code ~= 220 then return true end
  return open.hello(pump, pump:deadline(options))
end

--- XFORWARD (Postfix): tells of the client that a message came from, for the log. Lasts until the
-- end of the next message.
-- @tparam table values `name`, `addr`, `port`, `proto`, `helo`, `ident`, `source`, as with `xclient`
-- @tparam[opt] table options `timeout`
-- @treturn boolean true; or nil, err
function Session:xforward(values, options)
  check_attributes("xforward", values)
  check_options(options, "xforward")
  local code, err = forward(pump_of(self, "xforward"), "XFORWARD", values, options)
  if not code then return nil, err end
  return true
end

return Session
