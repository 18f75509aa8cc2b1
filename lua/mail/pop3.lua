--- POP3 sessions (RFC 1939, 2449, 2595, 5034, 6856): what a user calls.
--
-- The session is a userdata of the core; the methods share its metatable and wait through its pump. They
-- stand by subject under mail/pop3/: `open` (greeting, TLS, log-in), `commands`, `retr`, `messages`,
-- `leave` (what is new since the last session); here they come together.
-- On a session without a transport (`pop3.session`) the same names only queue the command and return
-- its id, for those who drive it by hand: `feed`, `output`, `next` (`retr(n, "stream")` there).
-- @module mail.pop3

local core = require "mail.core"
local Err = require "mail.err"
local Pump = require "mail.pump"
local auth = require "mail.auth"
local class = require "mail.class"
local commands = require "mail.pop3.commands"
local connect = require "mail.connect"
local limits = require "mail.limits"
local open = require "mail.pop3.open"
local want = require "mail.want"

local pop3 = { name = "pop3", greet = open.greet }

function pop3.new_session(o)
  return core.pop3_session(limits.settle(o.limits, "pop3"))
end

--- Opens a session.
-- @tparam table|string options of `mail.connect`, or a URL: "pop3s://ann:secret@pop.example.com/"; besides,
--   `utf8 = true` demands UTF-8 mode (RFC 6856)
-- @treturn userdata the session, logged in unless `login = false`; or nil, err
function pop3.connect(options)
  local o = connect.options(options, "pop3", open.OPTIONS)
  auth.check(o.mechanism, open.PSEUDO, "pop3.connect", 2)
  local session, err = connect.open(pop3, o)
  if session then return session end
  return nil, err
end

--- A session without a transport, for those who move the bytes themselves.
-- @tparam[opt] table options `limits`
function pop3.session(options)
  options = want(options or {}, { limits = "table?" }, "pop3.session")
  local ok, session = pcall(core.pop3_session, limits.settle(options.limits, "pop3"))
  if not ok then error("pop3.session: " .. tostring(session), 2) end
  return session
end

--- Reads replies out of recorded bytes. Which lines belong to an answer can only be guessed without
-- its command: lines behind +OK that are no reply themselves, up to a dot, are its `lines`.
-- @tparam string bytes what a server sent
-- @tparam[opt] number chunk octets fed at a time
-- @treturn table array of {ok=, text=, response_code=, lines=}, or {challenge=} for "+"; or nil, err
function pop3.parse(bytes, chunk)
  if type(bytes) ~= "string" then error("pop3.parse: a string expected, got " .. type(bytes), 2) end
  if chunk ~= nil and (type(chunk) ~= "number" or chunk < 1 or chunk % 1 ~= 0) then
    error("pop3.parse: a chunk is a whole number of octets, 1 or more", 2)
  end
  local replies, kind, message = core.pop3_parse(bytes, chunk)
  if replies then return replies end
  return nil, Err.new { kind = kind, message = message, protocol = "pop3" }
end

-- --- the class --------------------------------------------------------------------------------------

local of_pump = class.of_pump

local fields = {
  capabilities = of_pump "capabilities", server = of_pump "server", secure = of_pump "secure",
  timestamp = of_pump "timestamp", tls = class.tls,
}
for name, fn in pairs(commands.fields) do fields[name] = fn end

core.pop3_session_class.__tostring = function(self)
  local pump = Pump.of(self)
  local state = (self:is_freed() or (pump and pump.failure)) and "closed" or self:phase()
  if not pump then return ("mail.pop3 (no transport, %s)"):format(state) end
  return connect.describe(self, state)
end

local methods = {}
for _, set in ipairs {
  commands.methods, open.methods, require "mail.pop3.retr".methods, require "mail.pop3.messages".methods,
  (require "mail.pop3.leave"),
} do
  for name, fn in pairs(set) do methods[name] = fn end
end
class.extend(core.pop3_session_class, methods, fields)

return pop3
