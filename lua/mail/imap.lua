--- IMAP: mailboxes on the server (API §5).
--
-- The session, its grammar and its pipelining are the core's (csrc/imap). Here: opening and logging
-- in, and one method for each command. A set is a number, an array of numbers, "1:*", "$", or the
-- result of a search; message calls speak UIDs unless `{seq = true}` is given.
-- @module mail.imap

local Err = require "mail.err"
local Pump = require "mail.pump"
local append = require "mail.imap.append"
local auth = require "mail.auth"
local class = require "mail.class"
local connect = require "mail.connect"
local core = require "mail.core"
local criteria = require "mail.imap.criteria"
local events = require "mail.imap.events"
local fetch = require "mail.imap.fetch"
local want = require "mail.want"

local unpack = table.unpack or unpack -- luacheck: ignore

local imap = { name = "imap" }

-- --- answers --------------------------------------------------------------------------------------

-- NO or BAD as an error.
local function refusal(pump, command, status, code, value, text, kind)
  return pump:error(kind or "rejected", status .. " " .. (text or ""), {
    command = command, response_code = code, response_value = value, text = text,
    temporary = code == "UNAVAILABLE" or code == "INUSE" or code == "LIMIT" or code == "THROTTLED",
  })
end

local FLAG = "^\\?[^%c%s(){%%*\"\\%]\128-\255]+$"

-- "(\\Seen work)" from an array of flags or one flag; or nil, err.
local function flag_list(pump, flags)
  if type(flags) == "string" then flags = { flags } end
  for _, flag in ipairs(flags) do
    if type(flag) ~= "string" or not flag:find(FLAG) then
      return nil, pump:error("invalid", "bad flag '" .. tostring(flag) .. "'")
    end
  end
  return "(" .. table.concat(flags, " ") .. ")"
end

-- Waits for the end of a command. `collect(name, number, value, code, code_value, text)` gets the
-- untagged data of it. The tagged answer's code, value, text behind true; or nil, err.
local function finish(pump, id, command, options, collect)
  local deadline = pump:deadline(options)
  while true do
    local kind, a, b, c, d, e = pump:wait(id, deadline)
    if not kind then return nil, a end
    if kind == "done" then
      if a == "OK" then return true, b, c, d end
      return nil, refusal(pump, command, a, b, c, d)
    end
    if kind == "untagged" and collect then
      collect(a, b, c, d, e)
    elseif kind == "fetch" then
      if collect then collect("FETCH", a.seq, a) else events.unsolicited(pump, kind, a) end
    elseif kind == "untagged" then
      events.unsolicited(pump, kind, a, b, c, d, e)
    end
  end
end

-- Sends a command of typed arguments and waits for its end.
local function run(pump, options, collect, verb, ...)
  local id, err = pump:begin("submit", verb, false, ...)
  if not id then return nil, err end
  return finish(pump, id, verb, options, collect)
end

local function string_argument(value, what, level)
  if type(value) ~= "string" then
    error(("imap:%s expected, got %s"):format(what, type(value)), (level or 1) + 2)
  end
  return value
end

-- A set in the standard's form; raises at the caller's caller.
local function set_argument(set, what)
  local canonical, why = core.seqset(set)
  if not canonical then error(("imap:%s: bad set: %s"):format(what, tostring(why)), 3) end
  return canonical
end

-- --- opening --------------------------------------------------------------------------------------

local function capability(pump, deadline)
  if pump.session:capabilities_known() then return true end
  local id, err = pump:begin("submit", "CAPABILITY", false)
  if not id then return nil, err end
  while true do
    local kind, a, b, c, d = pump:wait(id, deadline)
    if not kind then return nil, a end
    if kind == "done" then
      if a == "OK" then return true end
      return nil, refusal(pump, "CAPABILITY", a, b, c, d)
    end
  end
end

local function starttls(pump, o, deadline)
  if not pump.session:has_capability("STARTTLS") then
    if o.tls == "opportunistic" then return true end
    return nil, pump:error("tls", "the server does not offer STARTTLS", { command = "STARTTLS" })
  end
  local id, err = pump:begin("submit", "STARTTLS", false)
  if not id then return nil, err end
  local kind, a, b, c, d
  repeat
    kind, a, b, c, d = pump:wait(id, deadline)
  until kind ~= "untagged"
  if not kind then return nil, a end
  if kind ~= "starttls" then
    if o.tls == "opportunistic" then return true end
    return nil, refusal(pump, "STARTTLS", a, b, c, d, "tls")
  end
  local ok
  ok, err = connect.start_tls(pump, o)
  if not ok then return nil, err end
  return capability(pump, deadline)
end

-- The names behind AUTH= in the capabilities.
local function offered(session)
  local set = {}
  for name in pairs(session:capability_set()) do
    local mechanism = name:match("^AUTH=(.+)$")
    if mechanism then set[mechanism] = true end
  end
  return set
end

-- LOGIN, the command, where no SASL mechanism serves.
local function login_command(pump, deadline)
  return function(credentials)
    local id, err = pump:begin("begin_login", credentials.user or "", credentials.password or "")
    if not id then return nil, err end
    while true do
      local kind, a, b, c, d = pump:wait(id, deadline)
      if not kind then return nil, a end
      if kind == "done" then
        if a == "OK" then return true end
        return nil, refusal(pump, "LOGIN", a, b, c, "login failed: " .. (d or ""), "auth")
      end
    end
  end
end

local PSEUDO = { "LOGIN-COMMAND" }

local function login(pump, o, deadline)
  local session = pump.session
  local ok, err = auth.run(pump, o, {
    command = "AUTHENTICATE", deadline = deadline, offered = offered(session), initial = true,
    extra = {
      protocol = "imap", secure = session:tls_info() ~= nil,
      pseudo = { { name = "LOGIN-COMMAND", plaintext = true, offered = not session:has_capability("LOGINDISABLED") } },
    },
    pseudo = { ["LOGIN-COMMAND"] = login_command(pump, deadline) },
    begin = function(mechanism, initial) return pump:begin("begin_authenticate", mechanism, initial) end,
    result = function(status, code, _, text)
      if status == "OK" then return true end
      return nil, { response_code = code, text = text }
    end,
  })
  if not ok then return nil, err end
  return capability(pump, deadline)
end

--- Greeting, capabilities, STARTTLS, login: everything before the session is the user's.
function imap.greet(pump, o, deadline)
  pump.unsolicited, pump.refusal, pump.flag_list = events.unsolicited, refusal, flag_list
  local kind, status, code, value, text = pump:wait(0, deadline)
  if not kind then return nil, status end
  if kind == "bye" then
    return nil, pump:error("rejected", "the server refuses the connection: " .. tostring(status), {
      command = "greeting", text = status, temporary = true,
    })
  end
  pump.greeting = text
  if status == "NO" or status == "BAD" then return nil, refusal(pump, "greeting", status, code, value, text) end
  if status == "PREAUTH" and (o.tls == "starttls") then
    return nil, pump:error("tls", "the server is logged in before TLS (PREAUTH); STARTTLS was demanded", {
      command = "greeting",
    })
  end
  local ok, err = capability(pump, deadline)
  if ok and status ~= "PREAUTH" and (o.tls == "starttls" or o.tls == "opportunistic") then
    ok, err = starttls(pump, o, deadline)
  end
  if ok and status ~= "PREAUTH" and o.login ~= false and (o.user or o.token or o.mechanism) then
    ok, err = login(pump, o, deadline)
  end
  return ok, err
end

local function random_prefix()
  local letters = {}
  for i = 1, 4 do letters[i] = string.char(65 + math.random(0, 25)) end
  return table.concat(letters)
end

--- A session without a transport, for `mail.pump` or for driving by hand.
-- @tparam[opt] table options `limits`, `tag_prefix`
function imap.session(options)
  options = options or {}
  want(options, { limits = "table?", tag_prefix = "string?" }, "imap.session")
  return core.imap_session(options.limits, options.tag_prefix)
end

function imap.new_session(o)
  return core.imap_session(o.limits, random_prefix())
end

--- Opens a session and logs in.
-- @tparam table|string options of API §2, or a URL: `"imaps://ann:secret@imap.example.com/"`
-- @treturn userdata the session; or nil, err
function imap.connect(options)
  local o = connect.options(options, "imap")
  auth.check(o.mechanism, PSEUDO, "imap.connect", 2)
  return connect.open(imap, o)
end

-- --- session --------------------------------------------------------------------------------------

local Session = {}

--- Logs in, after `connect{…, login = false}`.
function Session:login(user, password)
  return self:authenticate { user = user, password = password }
end

--- Logs in with the options of `connect` (mechanism, user, password, authzid …).
function Session:authenticate(options)
  local pump = Pump.of(self)
  want(options, {
    mechanism = "string?", user = "string?", password = "string|function?", token = "string|function?",
    authzid = "string?", allow_plaintext_login = "boolean?", timeout = "number|table?",
  }, "imap:authenticate")
  auth.check(options.mechanism, PSEUDO, "imap:authenticate", 2)
  if pump.failure then return nil, pump.failure end
  return login(pump, options, pump:deadline(options))
end

local function simple(verb)
  return function(self, options)
    local ok, err = run(Pump.of(self), options, nil, verb)
    if ok then return true end
    return nil, err
  end
end

--- Does nothing, over the wire; a chance for the server to tell what is new. @return true; or nil, err
Session.noop = simple "NOOP"

--- CHECK (RFC 3501 §6.4.1): asks for a checkpoint. @return true; or nil, err
Session.check = simple "CHECK"

--- True where the server has the capability.
function Session:has(name)
  return not Pump.of(self).failure and self:has_capability(name:upper())
end

--- Asks for the capabilities again. @return set; or nil, err
function Session:capability(options)
  local ok, err = run(Pump.of(self), options, function() end, "CAPABILITY")
  if not ok then return nil, err end
  return self:capability_set()
end

--- Ends the session politely and closes it.
-- @treturn boolean true; or nil, err where it was closed already
function Session:logout(options)
  local pump = Pump.of(self)
  if pump.failure then return nil, pump.failure end
  local ok, err = run(pump, options, nil, "LOGOUT")
  pump:close()
  if ok or err.kind == "closed" then return true end
  return nil, err
end
Session.quit = Session.logout

--- Drops the connection at once. Idempotent.
function Session:close()
  local pump = Pump.of(self)
  return pump and pump:close()
end

--- Gets unsolicited data at any time: `imap:on("exists", function(event) … end)`.
-- @treturn function call it to take the handler away
function Session:on(kind, fn)
  if type(kind) ~= "string" or type(fn) ~= "function" then
    error("imap:on: an event's name and a function expected", 2)
  end
  return events.on(self, kind, fn)
end

--- Waits for news of the selected mailbox: an iterator over events (API §5).
-- @tparam[opt] table options `timeout`: seconds after which the loop ends by itself
function Session:idle(options)
  return events.idle(self, options)
end

-- --- mailboxes ------------------------------------------------------------------------------------

local codes = {}
function codes.UIDVALIDITY(box, value) box.uidvalidity = value end
function codes.UIDNEXT(box, value) box.uidnext = value end
function codes.UNSEEN(box, value) box.first_unseen = value end
function codes.PERMANENTFLAGS(box, value) box.permanent_flags = value end
function codes.HIGHESTMODSEQ(box, value) box.highestmodseq = value end
function codes.NOMODSEQ(box) box.nomodseq = true end
function codes.MAILBOXID(box, value) box.mailboxid = value end
codes["READ-ONLY"] = function(box) box.readonly = true end
codes["READ-WRITE"] = function(box) box.readonly = false end

local data = {}
function data.EXISTS(box, number) box.exists = number end
function data.RECENT(box, number) box.recent = number end
function data.FLAGS(box, _, value) box.flags = value end

local SELECT = { readonly = "boolean?", uidvalidity = "number?", timeout = "number|table?" }

-- UIDs of another life name other messages: leave the mailbox before anything is touched.
local function other_life(pump, box, known)
  local err = pump:error("uidvalidity", ("the UID validity of '%s' is %s, not %s"):format(box.name,
    tostring(box.uidvalidity), tostring(known)), { command = "SELECT", uidvalidity = box.uidvalidity })
  local left = pump.session:has_capability("UNSELECT") and "UNSELECT"
  run(pump, nil, nil, left or "EXAMINE", unpack(left and {} or { "mailbox", "" }))
  pump.mailbox = nil
  return nil, err
end

--- Opens a mailbox (RFC 9051 §6.3.2).
-- @tparam string name UTF-8
-- @tparam[opt] table options `readonly` (EXAMINE), `uidvalidity`: fail with kind "uidvalidity" where
--   the server's differs, `timeout`
-- @treturn table `{name=, exists=, recent=, uidvalidity=, uidnext=, highestmodseq=, flags=set,
--   permanent_flags=set, readonly=boolean}`; or nil, err, and no mailbox is selected
function Session:select(name, options)
  string_argument(name, "select: a mailbox")
  want(options or {}, SELECT, "imap:select")
  local pump = Pump.of(self)
  local readonly = options and options.readonly or false
  local box = { name = name, exists = 0, flags = {}, permanent_flags = nil, readonly = readonly }
  pump.mailbox = nil
  local function collect(what, number, value, code, code_value)
    if codes[code] then codes[code](box, code_value) end
    if data[what] then data[what](box, number, value) end
    if what == "OK" and code and codes[code] == nil then events.unsolicited(pump, "untagged", what, number, value, code, code_value) end
  end
  local ok, code, value = run(pump, options, collect, readonly and "EXAMINE" or "SELECT", "mailbox", name)
  if not ok then return nil, code end
  if codes[code] then codes[code](box, value) end
  box.permanent_flags = box.permanent_flags or box.flags
  if options and options.uidvalidity and options.uidvalidity ~= box.uidvalidity then
    return other_life(pump, box, options.uidvalidity)
  end
  pump.mailbox = box
  return box
end

--- The same, read-only.
function Session:examine(name, options)
  local o = {}
  for key, value in pairs(options or {}) do o[key] = value end
  o.readonly = true
  return self:select(name, o)
end

local function leave(verb)
  return function(self, options)
    local pump = Pump.of(self)
    local ok, err = run(pump, options, nil, verb)
    if not ok then return nil, err end
    pump.mailbox = nil
    return true
  end
end

--- IMAP's CLOSE: removes what is marked \Deleted and leaves the mailbox. @return true; or nil, err
Session.close_mailbox = leave "CLOSE"

--- Leaves the mailbox and removes nothing (RFC 3691). @return true; or nil, err
Session.unselect = leave "UNSELECT"

local function on_mailbox(verb, what)
  return function(self, name, options)
    string_argument(name, what .. ": a mailbox")
    local ok, code, value = run(Pump.of(self), options, nil, verb, "mailbox", name)
    if not ok then return nil, code end
    return code == "MAILBOXID" and { mailboxid = value } or true
  end
end

--- Makes a mailbox. @return true; or nil, err
Session.create = on_mailbox("CREATE", "create")
--- Deletes a mailbox and its messages. @return true; or nil, err
Session.delete = on_mailbox("DELETE", "delete")
--- Adds a mailbox to the subscribed ones. @return true; or nil, err
Session.subscribe = on_mailbox("SUBSCRIBE", "subscribe")
--- Takes it from them. @return true; or nil, err
Session.unsubscribe = on_mailbox("UNSUBSCRIBE", "unsubscribe")

--- Renames a mailbox. @return true; or nil, err
function Session:rename(from, to, options)
  string_argument(from, "rename: a mailbox")
  string_argument(to, "rename: a new name")
  local ok, err = run(Pump.of(self), options, nil, "RENAME", "mailbox", from, "mailbox", to)
  if ok then return true end
  return nil, err
end

local STATUS_ITEMS = {
  messages = "MESSAGES", recent = "RECENT", uidnext = "UIDNEXT", uidvalidity = "UIDVALIDITY", unseen = "UNSEEN",
  deleted = "DELETED", size = "SIZE", highestmodseq = "HIGHESTMODSEQ", appendlimit = "APPENDLIMIT",
  mailboxid = "MAILBOXID",
}

local function status_items(items, what)
  local out = {}
  for _, item in ipairs(type(items) == "table" and items or { items }) do
    local known = STATUS_ITEMS[tostring(item):lower()]
    if not known then error(("imap:%s: unknown item '%s'"):format(what, tostring(item)), 3) end
    out[#out + 1] = known
  end
  if #out == 0 then error(("imap:%s: an array of items expected"):format(what), 3) end
  return "(" .. table.concat(out, " ") .. ")"
end

--- Figures of a mailbox without opening it (RFC 9051 §6.3.11).
-- @tparam string name
-- @tparam table items of "messages", "recent", "uidnext", "uidvalidity", "unseen", "deleted", "size",
--   "highestmodseq", "appendlimit", "mailboxid"
-- @tparam[opt] table options `timeout` for this call
-- @treturn table figures by those names, and name; or nil, err
function Session:status(name, items, options)
  string_argument(name, "status: a mailbox")
  local list = status_items(items, "status")
  local found = {}
  local ok, err = run(Pump.of(self), options, function(what, _, value)
    if what == "STATUS" then found = value end
  end, "STATUS", "mailbox", name, "text", list)
  if not ok then return nil, err end
  return found
end

local LIST = {
  reference = "string?", subscribed = "boolean?", special_use = "boolean?", status = "table?",
  timeout = "number|table?",
}

local SPECIAL = {
  ["\\all"] = "\\All", ["\\archive"] = "\\Archive", ["\\drafts"] = "\\Drafts", ["\\flagged"] = "\\Flagged",
  ["\\junk"] = "\\Junk", ["\\sent"] = "\\Sent", ["\\trash"] = "\\Trash", ["\\important"] = "\\Important",
}

local function special_use(attributes)
  for attribute in pairs(attributes or {}) do
    if SPECIAL[attribute:lower()] then return SPECIAL[attribute:lower()] end
  end
end

-- What LIST is asked to return, as far as the server knows these extensions (RFC 5258, RFC 6154,
-- RFC 5819).
local function list_returns(session, options)
  local extended = session:has_capability("LIST-EXTENDED") or session:has_capability("IMAP4REV2")
  local out = {}
  if extended and options.subscribed then out[#out + 1] = "SUBSCRIBED" end
  if session:has_capability("SPECIAL-USE") and extended then out[#out + 1] = "SPECIAL-USE" end
  if options.status and (session:has_capability("LIST-STATUS") or session:has_capability("IMAP4REV2")) then
    out[#out + 1] = "STATUS " .. status_items(options.status, "list")
  end
  return #out > 0 and "RETURN (" .. table.concat(out, " ") .. ")" or nil, extended
end

-- Asks for the figures of each mailbox where LIST could not bring them.
local function add_status(session, found, options)
  for _, box in ipairs(found) do
    local selectable = not (box.attributes["\\Noselect"] or box.attributes["\\NonExistent"])
    if options.status and not box.status and selectable then
      local err
      box.status, err = session:status(box.name, options.status, { timeout = options.timeout })
      if not box.status and err.kind ~= "rejected" then return nil, err end
    end
  end
  return found
end

--- Lists mailboxes (RFC 9051 §6.3.9).
-- @tparam[opt="*"] string pattern with "*" and "%"
-- @tparam[opt] table options `reference`, `subscribed` (only those), `special_use` (only those that
--   have one), `status` (array of items), `timeout`
-- @treturn table array of `{name=, delimiter=, attributes=set, special_use=, status=}`; or nil, err
function Session:list(pattern, options)
  pattern = pattern or "*"
  string_argument(pattern, "list: a pattern")
  options = options or {}
  want(options, LIST, "imap:list")
  local pump = Pump.of(self)
  if pump.failure then return nil, pump.failure end
  local found, by_name = {}, {}
  local function collect(what, _, value)
    if what == "LIST" or what == "LSUB" or what == "XLIST" then
      value.special_use = special_use(value.attributes)
      if not options.special_use or value.special_use then
        found[#found + 1] = value
        by_name[value.name] = value
      end
    elseif what == "STATUS" and by_name[value.name] then
      by_name[value.name].status = value
    end
  end
  local returns, extended = list_returns(self, options)
  local arguments = { "mailbox", options.reference or "", "mailbox", pattern }
  if returns then
    arguments[#arguments + 1] = "text"
    arguments[#arguments + 1] = returns
  end
  local verb = "LIST"
  if options.subscribed then
    if extended then table.insert(arguments, 1, "(SUBSCRIBED)") table.insert(arguments, 1, "text") else verb = "LSUB" end
  end
  local ok, err = run(pump, options, collect, verb, unpack(arguments))
  if not ok then return nil, err end
  return add_status(self, found, options)
end

-- --- messages -------------------------------------------------------------------------------------

local SEQ = { seq = "boolean?", timeout = "number|table?" }

local function uid_verb(verb, options)
  return options and options.seq and verb or "UID " .. verb
end

--- Searches the mailbox (RFC 9051 §6.4.4).
-- @tparam[opt] table|string what criteria: `{ unseen = true, from = "bob", since = "2026-11-01",
--   ["not"] = {…}, ["or"] = {{…}, {…}} }`; all must hold
-- @tparam[opt] table options `seq`, `timeout`
-- @treturn table array of UIDs; or nil, err
function Session:search(what, options)
  want(options or {}, SEQ, "imap:search")
  local pump = Pump.of(self)
  local arguments = criteria.arguments(what, 2)
  if arguments.utf8 then
    table.insert(arguments, 1, "CHARSET UTF-8")
    table.insert(arguments, 1, "text")
  end
  local found = {}
  local ok, err = run(pump, options, function(name, number, value, ...)
    if name == "SEARCH" then
      if #found == 0 then
        found = value
      else
        for _, uid in ipairs(value) do found[#found + 1] = uid end
      end
    else
      events.unsolicited(pump, "untagged", name, number, value, ...)
    end
  end, uid_verb("SEARCH", options), unpack(arguments))
  if not ok then return nil, err end
  return found
end

--- Fetches messages while they arrive.
-- @return an iterator (API §5); or nil, err
function Session:fetch(set, items, options)
  return fetch.start(self, set, items, options, 2)
end

--- The same as an array. @return array of messages; or nil, err
function Session:fetch_all(set, items, options)
  return fetch.all(self, set, items, options, 2)
end

local STORE = { unchanged_since = "number?", silent = "boolean?", seq = "boolean?", timeout = "number|table?" }

local function store_change(change)
  if type(change) ~= "table" then
    error("imap:store: { add = … }, { remove = … } or { flags = … } expected, got " .. type(change), 3)
  end
  local flags, sign
  for name, value in pairs(change) do
    local prefix = ({ add = "+", remove = "-", flags = "" })[name]
    if not prefix or flags then error("imap:store: one of add, remove, flags expected", 3) end
    flags, sign = value, prefix
  end
  if not flags then error("imap:store: one of add, remove, flags expected", 3) end
  return flags, sign
end

--- Changes flags (RFC 9051 §6.4.6).
-- @param set
-- @tparam table change `{add={…}}`, `{remove={…}}` or `{flags={…}}`
-- @tparam[opt] table options `silent`: do not tell the new flags; `unchanged_since`: leave messages
--   alone that changed after this modification sequence (RFC 7162); `seq`, `timeout`
-- @treturn table `{modified=set}` of those left alone, nil where there are none; or nil, err
function Session:store(set, change, options)
  options = options or {}
  want(options, STORE, "imap:store")
  local canonical = set_argument(set, "store")
  local flags, sign = store_change(change)
  local pump = Pump.of(self)
  local list, err = flag_list(pump, flags)
  if not list then return nil, err end
  if canonical == "" then return {} end
  local arguments = { "set", canonical }
  if options.unchanged_since then
    arguments[3], arguments[4] = "text", ("(UNCHANGEDSINCE %.0f)"):format(options.unchanged_since)
  end
  arguments[#arguments + 1] = "text"
  arguments[#arguments + 1] = sign .. "FLAGS" .. (options.silent and ".SILENT" or "") .. " " .. list
  local ok, code, value = run(pump, options, nil, uid_verb("STORE", options), unpack(arguments))
  if not ok then return nil, code end
  return { modified = code == "MODIFIED" and value or nil }
end

local function copied(value)
  return value and { uidvalidity = value.uidvalidity, from = value.from, to = value.to } or {}
end

-- COPY or MOVE; what COPYUID said, wherever it stood.
local function transfer(self, verb, set, mailbox, options)
  local pump = Pump.of(self)
  local said
  local ok, code, value = run(pump, options, function(name, number, data_value, untagged_code, code_value, ...)
    if untagged_code == "COPYUID" then
      said = code_value
    else
      events.unsolicited(pump, "untagged", name, number, data_value, untagged_code, code_value, ...)
    end
  end, uid_verb(verb, options), "set", set, "mailbox", mailbox)
  if not ok then return nil, code end
  return copied(code == "COPYUID" and value or said)
end

--- Copies messages to another mailbox.
-- @treturn table `{uidvalidity=, from=set, to=set}` of the copies, empty where the server does not
--   tell (UIDPLUS); or nil, err: `err.response_code` "TRYCREATE" where the mailbox is not there
function Session:copy(set, mailbox, options)
  want(options or {}, SEQ, "imap:copy")
  string_argument(mailbox, "copy: a mailbox")
  local canonical = set_argument(set, "copy")
  if canonical == "" then return {} end
  return transfer(self, "COPY", canonical, mailbox, options)
end

-- Without MOVE: copy, mark, and remove by UID. A plain EXPUNGE could take messages of others, so
-- without UIDPLUS the originals stay marked.
local function move_by_copy(self, set, mailbox, options)
  if options and options.seq then
    return nil, Pump.of(self):error("unsupported", "the server lacks MOVE; give UIDs", { command = "MOVE" })
  end
  local result, err = self:copy(set, mailbox, options)
  if not result then return nil, err end
  local ok
  ok, err = self:store(set, { add = { "\\Deleted" } }, { silent = true, timeout = options and options.timeout })
  if not ok then return nil, err end
  result.expunged = self:has("UIDPLUS") or self:has("IMAP4REV2")
  if result.expunged then
    ok, err = self:expunge(set, options)
    if not ok then return nil, err end
  end
  return result
end

--- Moves messages to another mailbox: MOVE (RFC 6851), or COPY, STORE and UID EXPUNGE.
-- @treturn table as of `copy`; `expunged` is false where the originals had to stay, marked \Deleted
--   (a server without MOVE and UIDPLUS); or nil, err
function Session:move(set, mailbox, options)
  want(options or {}, SEQ, "imap:move")
  string_argument(mailbox, "move: a mailbox")
  local canonical = set_argument(set, "move")
  if canonical == "" then return {} end
  if self:has("MOVE") or self:has("IMAP4REV2") then return transfer(self, "MOVE", canonical, mailbox, options) end
  return move_by_copy(self, canonical, mailbox, options)
end

--- Removes messages that are marked \Deleted.
-- @param[opt] set only these UIDs (UID EXPUNGE, RFC 4315); left out: all that are marked, whoever
--   marked them
-- @tparam[opt] table options `timeout` for this call
-- @treturn boolean true; or nil, err: kind "unsupported" where a set is given and the server lacks UIDPLUS
function Session:expunge(set, options)
  local pump = Pump.of(self)
  local ok, err
  if set == nil then
    ok, err = run(pump, options, nil, "EXPUNGE")
  else
    local canonical = set_argument(set, "expunge")
    if canonical == "" then return true end
    if not (self:has("UIDPLUS") or self:has("IMAP4REV2")) then
      if pump.failure then return nil, pump.failure end
      return nil, pump:error("unsupported", "the server lacks UIDPLUS: it cannot expunge single messages", {
        command = "UID EXPUNGE",
      })
    end
    ok, err = run(pump, options, nil, "UID EXPUNGE", "set", canonical)
  end
  if ok then return true end
  return nil, err
end

--- Puts a message into a mailbox.
-- @treturn table `{uidvalidity=, uid=}`; or nil, err
function Session:append(mailbox, message, options)
  return append.run(self, mailbox, message, options)
end

-- --- anything else --------------------------------------------------------------------------------

local Atom = {}

--- Text that goes as it stands, as an argument of `imap:command`.
function imap.atom(text)
  if type(text) ~= "string" or text == "" or text:find("[%c\128-\255]") then
    error("imap.atom: printable text expected", 2)
  end
  return setmetatable({ text = text }, Atom)
end

-- Adds one argument and its type; lists may nest.
local function put_argument(out, value, depth)
  local kind = type(value)
  if depth > 50 then error("imap:command: lists are nested too deeply", 0) end
  if kind == "table" and getmetatable(value) ~= Atom then
    out[#out + 1], out[#out + 2] = "open", true
    for _, one in ipairs(value) do put_argument(out, one, depth + 1) end
    out[#out + 1], out[#out + 2] = "close", true
    return
  end
  if kind == "table" then
    kind, value = "text", value.text
  elseif kind == "string" then
    kind = "string"
  elseif kind ~= "number" then
    error("imap:command: an argument must be a string, a number, mail.imap.atom(s) or a list, got " .. kind, 0)
  end
  out[#out + 1], out[#out + 2] = kind, value
end

-- Runs a command and gathers all that comes for it.
local function gather(pump, options, verb, ...)
  local all = {}
  local ok, code, value, text = run(pump, options, function(name, number, data_value, untagged_code, code_value, words)
    all[#all + 1] = {
      kind = "untagged", name = name, number = number, value = data_value,
      code = untagged_code, code_value = code_value, text = words,
    }
  end, verb, ...)
  return all, ok, code, value, text
end

--- Any command (API §5).
-- @tparam string verb
-- @param ... strings (quoted, or sent as literals), numbers, `mail.imap.atom(s)`, lists of these
-- @treturn table array of the untagged responses, in the shape of `mail.imap.parse`, with `code`,
--   `code_value` and `text` of the tagged one; or nil, err
function Session:command(verb, ...)
  string_argument(verb, "command: a verb")
  local arguments = {}
  local count = select("#", ...)
  local ok, why = pcall(function(...)
    for i = 1, count do put_argument(arguments, (select(i, ...)), 0) end
  end, ...)
  if not ok then error(why, 2) end
  local all, done, code, value, text = gather(Pump.of(self), nil, verb:upper(), unpack(arguments))
  if not done then return nil, code end
  all.code, all.code_value, all.text = code, value, text
  return all
end

--- Sends a line as it stands, without literals.
-- @tparam string line `"UID FETCH 1:3 (FLAGS)"`
-- @tparam[opt] table options `timeout` for this call
-- @treturn table `{status=, code=, text=}`; and the array of untagged responses; or nil, err where no
--   answer came
function Session:command_line(line, options)
  string_argument(line, "command_line: a line")
  local verb, rest = line:match("^(%S+)%s*(.*)$")
  if not verb then error("imap:command_line: an empty line", 2) end
  if verb:upper() == "UID" and rest ~= "" then
    local second, more = rest:match("^(%S+)%s*(.*)$")
    verb, rest = verb .. " " .. second, more
  end
  local arguments = rest ~= "" and { "text", rest } or {}
  local all, ok, code, value, text = gather(Pump.of(self), options, verb:upper(), unpack(arguments))
  if ok then return { status = "OK", code = code, code_value = value, text = text }, all end
  local err = code
  if err.kind ~= "rejected" then return nil, err end
  return { status = err.message:match("^%u+"), code = err.response_code, text = err.text }, all
end

-- --- the class ------------------------------------------------------------------------------------

local fields = {
  capabilities = function(self) return not self:is_freed() and self:capability_set() or nil end,
  server = function(self) return Pump.of(self).greeting end,
  tls = function(self) return not self:is_freed() and self:tls_info() or nil end,
  mailbox = function(self) return Pump.of(self).mailbox end,
}

local mt = class.extend(core.imap_class, Session, fields)
function mt.__tostring(session)
  local pump = Pump.of(session)
  return connect.describe(session, pump and pump.mailbox and "selected " .. pump.mailbox.name)
end

--- Responses in `bytes`, as a session would see them; without a connection (API §7).
-- @tparam string bytes
-- @tparam[opt] number chunk octets fed at a time
-- @treturn table array of `{kind="continue", text=}`, `{kind="untagged", name=, number=, value=, code=,
--   text=}`, `{kind="tagged", tag=, name=, code=, text=}`; or nil, err
function imap.parse(bytes, chunk)
  local responses, kind, message = core.imap_parse(bytes, chunk)
  if responses then return responses end
  return nil, Err.new { kind = kind, message = message, protocol = "imap" }
end

return imap
