--- Mailboxes: what leaves the selected one, CREATE and the like (RFC 9051 §6.3). SELECT, LIST and STATUS are in files
-- of their own.
-- @module mail.imap.mailboxes

local run = require "mail.imap.run"
local select_mailbox = require "mail.imap.select"
local special_use = require "mail.imap.special_use"

local unpack = table.unpack or unpack -- luacheck: ignore

-- Methods of the session.
local mailboxes = {}

--- IMAP's CLOSE: removes what is marked \Deleted and leaves the mailbox.
-- @tparam[opt] table options `timeout` (seconds)
-- @return true; or nil, err
function mailboxes:close_mailbox(options)
  run.options(options, "close_mailbox")
  local pump = run.pump(self, "close_mailbox")
  local ok, err = run.call(pump, options, nil, "CLOSE")
  if not ok then return nil, err end
  pump.mailbox = nil
  return true
end

--- Leaves the mailbox and removes nothing, on servers without UNSELECT (RFC 3691), too.
-- @tparam[opt] table options `timeout` (seconds)
-- @return true; or nil, err
function mailboxes:unselect(options)
  run.options(options, "unselect")
  local ok, err = select_mailbox.leave(run.pump(self, "unselect"), options)
  return ok, err
end

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

--- Renames a mailbox, and with it those below (RFC 9051 §6.3.6).
-- @tparam string from UTF-8
-- @tparam string to UTF-8
-- @tparam[opt] table options `timeout`
-- @return true; or nil, err
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
