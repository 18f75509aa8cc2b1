--- IMAP: mailboxes on the server.
--
-- The session, its grammar and its pipelining are the core's (csrc/imap). Its methods are in
-- mail/imap/: mailboxes, list, status, namespace, quota, acl, metadata, messages, features (ENABLE, ID, COMPRESS …),
-- raw (commands without a method), events (IDLE). Here: making a session, logging in, ending it.
-- @module mail.imap

local ascii = require "mail.ascii"
local Err = require "mail.err"
local Pump = require "mail.pump"
local account = require "mail.imap.account"
local acl = require "mail.imap.acl"
local auth = require "mail.auth"
local class = require "mail.class"
local connect = require "mail.connect"
local core = require "mail.core"
local events = require "mail.imap.events"
local features = require "mail.imap.features"
local idle = require "mail.imap.idle"
local limits = require "mail.limits"
local list = require "mail.imap.list"
local mailboxes = require "mail.imap.mailboxes"
local messages = require "mail.imap.messages"
local metadata = require "mail.imap.metadata"
local namespace = require "mail.imap.namespace"
local notify = require "mail.imap.notify"
local open = require "mail.imap.open"
local query = require "mail.imap.query"
local quota = require "mail.imap.quota"
local raw = require "mail.imap.raw"
local refusal = require "mail.imap.refusal"
local run = require "mail.imap.run"
local search = require "mail.imap.search"
local select_mailbox = require "mail.imap.select"
local set = require "mail.imap.set"
local status = require "mail.imap.status"
local urlauth = require "mail.imap.urlauth"
local want = require "mail.want"
local watch = require "mail.imap.watch"

local imap = { name = "imap", atom = raw.atom, greet = open.greet, set = set.new }

-- --- opening --------------------------------------------------------------------------------------

-- Random letters make forged answers that come before their command harder.
local function random_prefix()
  local letters = {}
  for i = 1, 4 do letters[i] = string.char(65 + math.random(0, 25)) end
  return table.concat(letters)
end

-- Raises at the caller of the function that calls.
local function check_session(o)
  want(o, { limits = "table?", tag_prefix = "string?" }, "imap.session", 2)
  if o.tag_prefix and (#o.tag_prefix > 7 or not o.tag_prefix:find "^[A-Za-z]+$") then
    error("imap.session: option 'tag_prefix' must be 1 to 7 letters", 3)
  end
end

--- A session without a transport, for `mail.pump` or for driving by hand: `submit`, `begin_login`,
-- `begin_authenticate`, `begin_idle` queue commands, `feed`, `output`, `next` move it.
-- @tparam[opt] table options `limits`, `tag_prefix`
function imap.session(options)
  options = options or {}
  check_session(options)
  local ok, session = pcall(core.imap_session, limits.settle(options.limits, "imap"), options.tag_prefix)
  if not ok then error("imap.session: " .. tostring(session), 2) end
  return session
end

--- The session of a connection; `mail.connect` calls it.
function imap.new_session(o)
  return core.imap_session(limits.settle(o.limits, "imap"), random_prefix())
end

--- Opens a session and logs in.
-- @tparam table|string options of `mail.connect`, or a URL: `"imaps://ann:secret@imap.example.com/"`. Beside those:
--   `compress` (DEFLATE both ways, where the server offers it), `enable` (array of capabilities to enable, where
--   offered), `id` (table of fields for ID, or true)
-- @treturn userdata the session; or nil, err
function imap.connect(options)
  local o = connect.options(options, "imap", features.OPTIONS)
  features.check(o, "imap.connect", 2)
  auth.check(o.mechanism, open.PSEUDO, "imap.connect", 2)
  return connect.open(imap, o)
end

--- Watches a mailbox, whatever becomes of the connection: an iterator over what happens in it.
--
-- Events: `{type="new", uid=, flags=, modseq=, …items}`; `{type="changed", uid=, flags=, modseq=}`; `{type="vanished",
-- uids=set}`; `{type="reset", uidvalidity=}`: the mailbox was made anew, all that was told is void, and its messages
-- come as new. Each is told once, over restarts too, where `it:state()` is saved after each event and given as
-- `since`. A lost connection is made again after 1 s, then 2 s, … 300 s; a login that is refused for good, and other
-- errors that no new try can mend, end it.
-- @tparam table|string options of connect, and `mailbox` ("INBOX"); `since`: what `it:state()` returned once;
--   `items`: what of new messages is wanted besides uid and flags, as for `fetch`; `existing` = false: messages that
--   are there when the mailbox is seen for the first time (or for the first time after a reset) are taken as known;
--   `live` = false: ends when everything has been told; or with its error where the server refuses (that mailbox is
--   gone, say) or five times in a row could not be reached, for which a watch that lives waits; `readonly` = false:
--   SELECT in place of EXAMINE; `connection` = true: also `{type="connected", session=}` when everything has been
--   told and it listens, and `{type="disconnected", err=, retry_in=}`; `probe`: seconds of silence after which the
--   link is probed (290); `poll`: seconds between two questions to a server that cannot IDLE (30); `notify` = false:
--   no NOTIFY where there is no IDLE; `backoff` `{min=1, max=300}`
-- @return an iterator (mail.iterator) with `it:state()`, and `it.session`, the session of the moment
function imap.watch(options)
  local o = connect.options(options, "imap", watch.OPTIONS)
  auth.check(o.mechanism, open.PSEUDO, "imap.watch", 2)
  local it, none, nothing, closing = watch.start(o, function() return connect.open(imap, o) end)
  return it, none, nothing, closing
end

--- One account over several connections, for any number of coroutines; nothing is opened before the first call.
--
-- `account:list`, `status`, `append`, `create` and all that needs no open mailbox run on any link; `account:open(name)`
-- gives a mailbox whose `search`, `fetch`, `store`, `move` … run on a link that has it selected; `account:with(name,
-- fn)` lends a session; `account:watch{…}` watches by a connection of its own. See `mail.imap.account`.
-- @tparam table|string options of connect, and `links` (4): connections at most, those that watch included;
--   `max_links`: what the provider allows, where that is not known here; `idle` (60): seconds after which an unused
--   link is closed; `keep` (0): so many are kept by a NOOP; `check` (5): seconds after which an unused link is asked
--   (NOOP) before something is changed by it; `queue` (10000): calls that may wait; `backoff` `{min=1, max=300}`:
--   seconds without new connections after the server refused one, or without commands after it asked for that
-- @treturn table account
function imap.account(options)
  local extra = {}
  for name, kinds in pairs(features.OPTIONS) do extra[name] = kinds end
  for name, kinds in pairs(account.OPTIONS) do extra[name] = kinds end
  local o = connect.options(options, "imap", extra)
  features.check(o, "imap.account", 2)
  auth.check(o.mechanism, open.PSEUDO, "imap.account", 2)
  local made = account.new(o, function(settled) return connect.open(imap, settled) end)
  return made
end

-- --- the session ----------------------------------------------------------------------------------

local Session = {}

local AUTHENTICATE = { timeout = "number|table?" }
for name, kinds in pairs(auth.OPTIONS) do AUTHENTICATE[name] = kinds end

local function authenticate(pump, options)
  if pump.failure then return nil, pump.failure end
  local o = { allow_plaintext_login = pump.allow_plaintext_login }
  for name, value in pairs(options) do o[name] = value end
  return open.login(pump, o, pump:deadline(options))
end

--- Logs in, after `connect{…, login = false}`.
-- @tparam string user
-- @tparam string|function password
-- @tparam[opt] table options as of `authenticate`
-- @return true; or nil, err: kind "auth" where the server refuses
function Session:login(user, password, options)
  run.text(user, "login", "a user")
  if type(password) ~= "string" and type(password) ~= "function" then
    error("imap:login: a password expected, got " .. type(password), 2)
  end
  run.options(options, "login", AUTHENTICATE)
  auth.check(options and options.mechanism, open.PSEUDO, "imap:login", 2)
  local o = {}
  for name, value in pairs(options or {}) do o[name] = value end
  o.user, o.password = user, password
  return authenticate(run.pump(self, "login"), o)
end

--- Logs in.
-- @tparam table options mechanism, user, password, token, authzid, allow_plaintext_login, timeout
-- @return true; or nil, err
function Session:authenticate(options)
  want(options, AUTHENTICATE, "imap:authenticate")
  auth.check(options.mechanism, open.PSEUDO, "imap:authenticate", 2)
  return authenticate(run.pump(self, "authenticate"), options)
end

local function simple(verb)
  local what = ascii.lower(verb)
  return function(self, options)
    run.options(options, what)
    local ok, err = run.call(run.pump(self, what), options, nil, verb)
    if ok then return true end
    return nil, err
  end
end

--- Does nothing, over the wire; a chance for the server to tell what is new.
-- @return true; or nil, err
Session.noop = simple "NOOP"

--- CHECK (RFC 3501 §6.4.1): asks for a checkpoint.
-- @return true; or nil, err
Session.check = simple "CHECK"

--- True where the server has the capability; false on a session that is dead.
-- @tparam string name in any case
-- @treturn boolean
function Session:has(name)
  run.text(name, "has", "a capability's name")
  local pump = Pump.of(self)
  return not (pump and pump.failure) and self:has_capability(ascii.upper(name))
end

-- Names of capabilities in any case: the standard itself writes "IMAP4rev1" beside "IDLE".
local ANY_CASE = {
  __index = function(names, name) return type(name) == "string" and rawget(names, ascii.upper(name)) or nil end,
}

local function capability_set(session) return setmetatable(session:capability_set(), ANY_CASE) end

--- Asks for the capabilities again.
-- @tparam[opt] table options `timeout` (seconds)
-- @treturn table set; or nil, err
function Session:capability(options)
  run.options(options, "capability")
  local ok, err = run.call(run.pump(self, "capability"), options, nil, "CAPABILITY")
  if not ok then return nil, err end
  return capability_set(self)
end

--- Ends the session politely and closes it.
-- @tparam[opt] table options `timeout` (seconds)
-- @treturn boolean true; or nil, err where it was closed already
function Session:logout(options)
  run.options(options, "logout")
  local pump = run.pump(self, "logout")
  if pump.failure then return nil, pump.failure end
  local ok, err = run.call(pump, options, nil, "LOGOUT")
  pump:close()
  if ok or err.kind == "closed" then return true end
  return nil, err
end
Session.quit = Session.logout

--- Drops the connection at once. Idempotent.
function Session:close()
  local pump = Pump.of(self)
  if pump then return pump:close() end
  self:free()
  return true
end

--- Gets unsolicited data at any time: `imap:on("exists", function(event) … end)`.
-- @tparam string kind an event's type: "exists", "expunge", "vanished", "flags", "alert", "bye",
--   "recent", "status", "mailbox_flags", "metadata", or the name of the data in lower case
-- @tparam function fn gets the event; it may use the session
-- @treturn function call it to take the handler away
function Session:on(kind, fn)
  if type(kind) ~= "string" or type(fn) ~= "function" then
    error("imap:on: an event's name and a function expected", 2)
  end
  return events.on(run.pump(self, "on"), kind, fn)
end

--- Waits for news of the selected mailbox: by IDLE, else by NOTIFY where `imap:notify` asked for it, else by NOOP.
-- @tparam[opt] table options `timeout`: seconds after which the loop ends by itself; `rearm`: seconds
--   after which IDLE is sent anew (1680); `probe`: seconds of silence after which the server must show that it is
--   there (290; a dead link ends the loop with kind "timeout"); `poll`: seconds between two NOOPs where the server
--   has no IDLE (30)
-- @return an iterator (mail.iterator) over events; or nil, err: `{type="exists", exists=n}`, `{type="expunge", seq=n}`,
--   `{type="vanished", uids=set}` (where that was enabled), `{type="flags", seq=, uid=, flags=, modseq=}`,
--   `{type="recent", recent=n}`, `{type="alert", text=}`, `{type="bye", text=}`, and others by the names of `on`
function Session:idle(options)
  run.options(options, "idle", idle.OPTIONS)
  run.spans(options or {}, { "rearm", "probe", "poll" }, "imap:idle", 2)
  local it, err, none, closing = idle.start(run.pump(self, "idle"), options or {})
  return it, err, none, closing
end

-- --- the class ------------------------------------------------------------------------------------

for _, part in ipairs {
  select_mailbox.methods, mailboxes, messages, notify.methods, raw.methods, list.methods, status.methods,
  namespace.methods, quota.methods, acl.methods, metadata.methods, features.methods, search.methods, query.methods,
  urlauth,
} do
  for name, method in pairs(part) do Session[name] = method end
end

local of_pump = class.of_pump

local fields = {
  capabilities = function(self) return self:is_freed() and {} or capability_set(self) end,
  server = of_pump "greeting",
  tls = class.tls,
  mailbox = of_pump "mailbox",
  enabled = function(self) return of_pump "enabled"(self) or {} end,
  alerts = function(self) return of_pump "alerts"(self) or {} end,
  referral = of_pump "referral",
  append_limit = function(self) return not self:is_freed() and refusal.append_limit(self) or nil end,
}

local mt = class.extend(core.imap_class, Session, fields)
function mt.__tostring(session)
  local pump = Pump.of(session)
  return connect.describe(session, pump and pump.mailbox and "selected " .. pump.mailbox.name)
end

--- Responses in `bytes`, as a session would see them; without a connection.
-- @tparam string bytes
-- @tparam[opt] number chunk octets fed at a time
-- @treturn table array of `{kind="continue", text=}`, `{kind="untagged", name=, number=, value=, code=,
--   text=}`, `{kind="tagged", tag=, name=, code=, text=}`; or nil, err
function imap.parse(bytes, chunk)
  if type(bytes) ~= "string" then error("imap.parse: a string expected, got " .. type(bytes), 2) end
  if chunk ~= nil and (type(chunk) ~= "number" or chunk < 1 or chunk % 1 ~= 0) then
    error("imap.parse: a chunk is a whole number of octets, 1 or more", 2)
  end
  local responses, kind, message = core.imap_parse(bytes, chunk)
  if responses then return responses end
  return nil, Err.new { kind = kind, message = message, protocol = "imap" }
end

return imap
