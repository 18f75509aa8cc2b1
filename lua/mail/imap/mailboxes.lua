--- Mailboxes: SELECT and what leaves it, CREATE and the like (RFC 9051 §6.3). LIST and STATUS are in files of their
-- own.
-- @module mail.imap.mailboxes

local events = require "mail.imap.events"
local run = require "mail.imap.run"
local special_use = require "mail.imap.special_use"

local unpack = table.unpack or unpack -- luacheck: ignore

-- Methods of the session.
local mailboxes = {}

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

function data.VANISHED(box, _, value) box.vanished = value.uids end

local SELECT = { readonly = "boolean?", uidvalidity = "number?", timeout = "number|table?" }

-- UIDs of another life name other messages: leave the mailbox before anything is touched.
local function other_life(pump, box, known)
  local err = pump:error("uidvalidity", ("the UID validity of '%s' is %s, not %s"):format(box.name,
    tostring(box.uidvalidity), tostring(known)), { command = "SELECT", uidvalidity = box.uidvalidity })
  local ok, why
  if pump.session:has_capability("UNSELECT") or pump.session:has_capability("IMAP4REV2") then
    ok, why = run.call(pump, nil, nil, "UNSELECT")
  else
    -- Without UNSELECT: opening what cannot be there leaves what was open (RFC 3501 §6.3.1).
    ok, why = run.call(pump, nil, nil, "EXAMINE", "mailbox", "")
    if ok then ok, why = run.call(pump, nil, nil, "CLOSE") end -- it was there; opened read-only, CLOSE removes nothing
  end
  if not ok and why.kind ~= "rejected" then return nil, why end
  return nil, err
end

-- What SELECT brings goes into `box`, all else to the handlers.
local function filler(pump, box)
  return function(name, number, value, code, code_value, text)
    if codes[code] then
      codes[code](box, code_value)
    elseif data[name] then
      data[name](box, number, value)
    elseif name == "FETCH" then
      events.unsolicited(pump, "fetch", value)
    else
      events.unsolicited(pump, "untagged", name, number, value, code, code_value, text)
    end
  end
end

local function select(pump, name, options, readonly)
  options = options or {}
  local box = { name = name, exists = 0, flags = {}, readonly = readonly }
  pump.mailbox, pump.opening = nil, box
  local arguments = { "mailbox", name }
  if pump.session:has_capability("CONDSTORE") then arguments[3], arguments[4] = "text", "(CONDSTORE)" end
  local ok, code, value = run.call(pump, options, filler(pump, box), readonly and "EXAMINE" or "SELECT",
    unpack(arguments))
  if pump.opening == box then pump.opening = nil end
  if not ok then return nil, code end
  if codes[code] then codes[code](box, value) end
  box.permanent_flags = box.permanent_flags or box.flags
  if options.uidvalidity and options.uidvalidity ~= box.uidvalidity then
    return other_life(pump, box, options.uidvalidity)
  end
  pump.mailbox = box
  return box
end

--- Opens a mailbox (RFC 9051 §6.3.2).
-- @tparam string name UTF-8
-- @tparam[opt] table options `readonly` (EXAMINE), `uidvalidity`: fail with kind "uidvalidity" where
--   the server's differs, `timeout`
-- @treturn table `{name=, exists=, recent=, uidvalidity=, uidnext=, highestmodseq=, flags=set,
--   permanent_flags=set, readonly=boolean}`; or nil, err, and no mailbox is selected
function mailboxes:select(name, options)
  run.text(name, "select", "a mailbox")
  run.options(options, "select", SELECT)
  local pump = run.pump(self, "select")
  return select(pump, name, options, options and options.readonly or false)
end

--- The same, read-only.
function mailboxes:examine(name, options)
  run.text(name, "examine", "a mailbox")
  run.options(options, "examine", SELECT)
  local pump = run.pump(self, "examine")
  return select(pump, name, options, true)
end

local function leave(verb, what)
  return function(self, options)
    run.options(options, what)
    local pump = run.pump(self, what)
    local ok, err = run.call(pump, options, nil, verb)
    if not ok then return nil, err end
    pump.mailbox = nil
    return true
  end
end

--- IMAP's CLOSE: removes what is marked \Deleted and leaves the mailbox. @return true; or nil, err
mailboxes.close_mailbox = leave("CLOSE", "close_mailbox")

--- Leaves the mailbox and removes nothing (RFC 3691). @return true; or nil, err
mailboxes.unselect = leave("UNSELECT", "unselect")

local function on_mailbox(verb, what)
  return function(self, name, options)
    run.text(name, what, "a mailbox")
    run.options(options, what)
    local pump = run.pump(self, what)
    local ok, err = run.call(pump, options, nil, verb, "mailbox", name)
    if ok then return true end
    return nil, err
  end
end

local CREATE = { special_use = "string|table?", timeout = "number|table?" }

-- "(USE (\\Sent))" (RFC 6154 §3); raises where it is no use.
local function use_words(uses)
  if type(uses) == "string" then uses = { uses } end
  local out = {}
  for i, use in ipairs(uses) do
    out[i] = special_use.known(use)
    if not out[i] then error(("imap:create: unknown special use '%s'"):format(tostring(use)), 3) end
  end
  return "(USE (" .. table.concat(out, " ") .. "))"
end

--- Makes a mailbox.
-- @tparam string name
-- @tparam[opt] table options `special_use` (`"\\Sent"`, or several; RFC 6154), `timeout`
-- @return true, and the mailbox's id where the server tells it (RFC 8474); or nil, err: kind "unsupported" where
--   a special use is asked for and the server has no CREATE-SPECIAL-USE
function mailboxes:create(name, options)
  run.text(name, "create", "a mailbox")
  run.options(options, "create", CREATE)
  local arguments = { "mailbox", name }
  if options and options.special_use then arguments[3], arguments[4] = "text", use_words(options.special_use) end
  local pump = run.pump(self, "create")
  if pump.failure then return nil, pump.failure end
  if arguments[3] and not run.has(pump, "CREATE-SPECIAL-USE") then
    return nil, run.unsupported(pump, "CREATE", "CREATE-SPECIAL-USE")
  end
  local ok, code, value = run.call(pump, options, nil, "CREATE", unpack(arguments))
  if not ok then return nil, code end
  return true, code == "MAILBOXID" and value or nil
end

--- Deletes a mailbox and its messages. @return true; or nil, err
mailboxes.delete = on_mailbox("DELETE", "delete")
--- Adds a mailbox to the subscribed ones. @return true; or nil, err
mailboxes.subscribe = on_mailbox("SUBSCRIBE", "subscribe")
--- Takes it from them. @return true; or nil, err
mailboxes.unsubscribe = on_mailbox("UNSUBSCRIBE", "unsubscribe")

--- Renames a mailbox. @return true; or nil, err
function mailboxes:rename(from, to, options)
  run.text(from, "rename", "a mailbox")
  run.text(to, "rename", "a new name")
  run.options(options, "rename")
  local pump = run.pump(self, "rename")
  local ok, err = run.call(pump, options, nil, "RENAME", "mailbox", from, "mailbox", to)
  if ok then return true end
  return nil, err
end

return mailboxes
