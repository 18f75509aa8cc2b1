--- Mailboxes: what leaves the selected one, LIST, STATUS, CREATE and the like (RFC 9051 §6.3).
-- @module mail.imap.mailboxes

local run = require "mail.imap.run"

local unpack = table.unpack or unpack -- luacheck: ignore

-- Methods of the session.
local mailboxes = {}

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

--- Makes a mailbox. @return true; or nil, err
mailboxes.create = on_mailbox("CREATE", "create")
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

local STATUS_ITEMS = {
  messages = "MESSAGES", recent = "RECENT", uidnext = "UIDNEXT", uidvalidity = "UIDVALIDITY", unseen = "UNSEEN",
  deleted = "DELETED", size = "SIZE", highestmodseq = "HIGHESTMODSEQ", appendlimit = "APPENDLIMIT",
  mailboxid = "MAILBOXID",
}

-- "(MESSAGES UNSEEN)"; raises at the caller of the method that calls.
local function status_items(items, what)
  if type(items) ~= "table" and type(items) ~= "string" then
    error(("imap:%s: an array of items expected, got %s"):format(what, type(items)), 3)
  end
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
-- @treturn table figures by those names, and name; or nil, err
function mailboxes:status(name, items, options)
  run.text(name, "status", "a mailbox")
  local list = status_items(items, "status")
  run.options(options, "status")
  local pump = run.pump(self, "status")
  local found
  local ok, err = run.call(pump, options, function(what, _, value)
    if what == "STATUS" then found = value end
  end, "STATUS", "mailbox", name, "text", list)
  if not ok then return nil, err end
  if found then return found end
  return nil, pump:error("protocol", "STATUS was answered without figures", { command = "STATUS" })
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

-- The command and its arguments, as far as the server knows the extensions (RFC 5258, RFC 6154,
-- RFC 5819).
local function list_command(session, pattern, options, figures)
  local extended = session:has_capability("LIST-EXTENDED") or session:has_capability("IMAP4REV2")
  local verb, out, returns = "LIST", {}, {}
  if options.subscribed and extended then
    out = { "text", "(SUBSCRIBED)" }
  elseif options.subscribed then
    verb = "LSUB"
  end
  for _, value in ipairs { options.reference or "", pattern } do
    out[#out + 1] = "mailbox"
    out[#out + 1] = value
  end
  if extended and session:has_capability("SPECIAL-USE") then returns[1] = "CHILDREN SPECIAL-USE" end
  if figures and (session:has_capability("LIST-STATUS") or session:has_capability("IMAP4REV2")) then
    returns[#returns + 1] = "STATUS " .. figures
  end
  -- An empty pattern asks for the delimiter, and only the plain LIST knows that (RFC 5258 §3).
  if #returns > 0 and verb == "LIST" and pattern ~= "" then
    out[#out + 1] = "text"
    out[#out + 1] = "RETURN (" .. table.concat(returns, " ") .. ")"
  end
  return verb, unpack(out)
end

-- Puts what LIST brings into `found`.
local function gatherer(found, options)
  local by_name = {}
  return function(what, _, value)
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
function mailboxes:list(pattern, options)
  pattern = pattern or "*"
  run.text(pattern, "list", "a pattern")
  run.options(options, "list", LIST)
  options = options or {}
  local figures = options.status and status_items(options.status, "list")
  local pump = run.pump(self, "list")
  if pump.failure then return nil, pump.failure end
  local found = {}
  local ok, err = run.call(pump, options, gatherer(found, options),
    list_command(pump.session, pattern, options, figures))
  if not ok then return nil, err end
  return add_status(self, found, options)
end

return mailboxes
