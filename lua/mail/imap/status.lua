--- Figures of a mailbox without opening it: STATUS and its extensions (RFC 9051 §6.3.11, RFC 8438, RFC 7889,
-- RFC 7162, RFC 8474, RFC 9208).
-- @module mail.imap.status

local ascii = require "mail.ascii"
local refusal = require "mail.imap.refusal"
local run = require "mail.imap.run"

local status = {}

-- Item → its word, and the capabilities of which the server must have one.
local ITEMS = {
  messages = { "MESSAGES" }, recent = { "RECENT" }, uidnext = { "UIDNEXT" }, uidvalidity = { "UIDVALIDITY" },
  unseen = { "UNSEEN" },
  deleted = { "DELETED", "IMAP4REV2", "QUOTA=RES-MESSAGE" },
  deleted_storage = { "DELETED-STORAGE", "QUOTA=RES-STORAGE" },
  size = { "SIZE", "STATUS=SIZE", "IMAP4REV2" },
  highestmodseq = { "HIGHESTMODSEQ", "CONDSTORE", "QRESYNC" },
  appendlimit = { "APPENDLIMIT", "APPENDLIMIT" },
  mailboxid = { "MAILBOXID", "OBJECTID" },
}

--- The names of items as a checked array; raises at the caller of the method that calls.
function status.check(items, what)
  if type(items) == "string" then items = { items } end
  if type(items) ~= "table" then
    error(("imap:%s: an array of items expected, got %s"):format(what, type(items)), 3)
  end
  local out = {}
  for _, item in ipairs(items) do
    local name = ascii.lower(tostring(item))
    if not ITEMS[name] then error(("imap:%s: unknown item '%s'"):format(what, tostring(item)), 3) end
    out[#out + 1] = name
  end
  if #out == 0 then error(("imap:%s: an array of items expected"):format(what), 3) end
  return out
end

--- "(MESSAGES UNSEEN)" from a checked array; or nil, err: kind "unsupported" where the server lacks one. A limit that
-- is the same for all mailboxes is among the capabilities, and not asked for (RFC 7889 §3).
function status.words(pump, items, command)
  local out = {}
  for _, item in ipairs(items) do
    local known = ITEMS[item]
    if #known == 1 or run.has(pump, run.unpack(known, 2)) then
      out[#out + 1] = known[1]
    elseif item ~= "appendlimit" or not refusal.append_limit(pump.session) then
      return nil, run.unsupported(pump, command, known[2] .. (" (for '%s')"):format(item))
    end
  end
  if #out == 0 then out[1] = "UIDVALIDITY" end
  return "(" .. table.concat(out, " ") .. ")"
end

-- Names that are not all lower-case letters and digits.
local FIELDS = { ["deleted-storage"] = "deleted_storage" }

--- What STATUS brought, as users see it. APPENDLIMIT NIL is no limit: the field is not there.
function status.shaped(pump, value)
  local box = { appendlimit = refusal.append_limit(pump.session) }
  for key, one in pairs(value) do
    if one ~= false then box[FIELDS[key] or key] = one end
  end
  return box
end

local function begin(pump, name, words)
  return run.begin(pump, "STATUS", false, "mailbox", name, "text", words)
end

local function finish(pump, id, options)
  local found
  local ok, err = run.finish(pump, id, "STATUS", options, function(what, number, value, ...)
    if what == "STATUS" then found = status.shaped(pump, value) else run.news(pump, what, number, value, ...) end
  end)
  if not ok then return nil, err end
  if found then return found end
  return nil, pump:error("protocol", "STATUS was answered without figures", { command = "STATUS" })
end

--- Figures of many mailboxes, many commands in flight at once.
-- @tparam Pump pump
-- @tparam table boxes each `{ name= }`; the figures become its field `status`. One that is refused has none.
-- @tparam string words as of `words`
-- @tparam ?table options `timeout`
-- @return true; or nil, err
function status.fill(pump, boxes, words, options)
  return run.each(pump, boxes, function(box) return begin(pump, box.name, words) end, function(box, id)
    local err
    box.status, err = finish(pump, id, options)
    if box.status or err.kind == "rejected" then return true end
    return nil, err
  end)
end

--- Methods of the session.
status.methods = {}

--- Figures of a mailbox without opening it (RFC 9051 §6.3.11).
-- @tparam string name
-- @tparam table|string items of "messages", "recent", "uidnext", "uidvalidity", "unseen", "deleted", "deleted_storage",
--   "size", "highestmodseq", "appendlimit", "mailboxid"
-- @tparam[opt] table options `timeout`
-- @treturn table figures by those names, and name; or nil, err: kind "unsupported" where the server does not
--   know one of them
function status.methods:status(name, items, options)
  run.text(name, "status", "a mailbox")
  items = status.check(items, "status")
  run.options(options, "status")
  local pump = run.pump(self, "status")
  if pump.failure then return nil, pump.failure end
  local words, id, err
  words, err = status.words(pump, items, "STATUS")
  if not words then return nil, err end
  id, err = begin(pump, name, words)
  if not id then return nil, err end
  return finish(pump, id, options)
end

return status
