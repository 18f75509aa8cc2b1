--- What a FETCH asks for: names of items, the capabilities that they need, the list as it is sent.
--
-- Names are "uid", "flags", "internaldate", "size", "envelope", "bodystructure", "headers", "body"; "modseq"
-- (CONDSTORE), "emailid" and "threadid" (OBJECTID), "savedate", "preview"; "gm_labels", "gm_msgid", "gm_thrid" of
-- Gmail's. Anything else is sent as it stands: "BODY.PEEK[1.2]<0.100>", "BINARY.SIZE[1]".
-- @module mail.imap.items

local ascii = require "mail.ascii"

local items = {}

local NAMES = {
  uid = "UID", flags = "FLAGS", internaldate = "INTERNALDATE", size = "RFC822.SIZE", envelope = "ENVELOPE",
  bodystructure = "BODYSTRUCTURE", modseq = "MODSEQ", emailid = "EMAILID", threadid = "THREADID",
  savedate = "SAVEDATE", preview = "PREVIEW", headers = "BODY.PEEK[HEADER]", body = "BODY.PEEK[]",
  gm_labels = "X-GM-LABELS", gm_msgid = "X-GM-MSGID", gm_thrid = "X-GM-THRID",
}

-- Any one of these says that the server knows the item.
local NEEDS = {
  MODSEQ = { "CONDSTORE", "QRESYNC" }, EMAILID = { "OBJECTID" }, THREADID = { "OBJECTID" }, SAVEDATE = { "SAVEDATE" },
  PREVIEW = { "PREVIEW" }, ["X-GM-LABELS"] = { "X-GM-EXT-1" }, ["X-GM-MSGID"] = { "X-GM-EXT-1" },
  ["X-GM-THRID"] = { "X-GM-EXT-1" },
}

-- Items that stand for several, and stand alone (RFC 9051 §6.4.5).
local MACROS = { ALL = true, FAST = true, FULL = true }

-- "FLAGS" from "flags"; whatever the standard writes goes as it stands. Raises where it is no item.
local function item_text(item, level)
  if type(item) ~= "string" then error("imap:fetch: an item must be a string, got " .. type(item), level + 1) end
  local known = NAMES[ascii.lower(item)]
  if known then return known end
  if item:find("[%z\1-\31\127-\255]") or item == "" then error("imap:fetch: bad item '" .. item .. "'", level + 1) end
  return item
end

items.text = item_text

-- What BINARY[1.2], BINARY.PEEK[1.2]<0.100> or BINARY.SIZE[1.2] asks for.
local function binary_of(text)
  local peek, section, rest = text:match "^[Bb][Ii][Nn][Aa][Rr][Yy](%.?[A-Za-z]*)%[([%d.]*)%](.*)$"
  peek = peek and ascii.upper(peek)
  if peek ~= "" and peek ~= ".PEEK" and peek ~= ".SIZE" then return nil end
  local from, count = rest:match "^<(%d+)%.(%d+)>$"
  if rest ~= "" and not from then return nil end
  return {
    section = section, peek = peek ~= "", size = peek == ".SIZE", from = tonumber(from), count = tonumber(count),
  }
end

--- The items of a call. Raises where they are none.
-- @tparam table|string list names as above, or items as the standard writes them
-- @tparam[opt] boolean lazy the server may leave out a preview that is not at hand (RFC 8970 §3.1)
-- @tparam number level whose line is blamed
-- @treturn table `texts` (in order, each once), `rich` (more than flags is asked for), `headers`,
--   `bodies` (octets of messages are asked for), `binary` (array of `{section=, peek=, size=, from=, count=}`)
function items.read(list, lazy, level)
  if type(list) == "string" then list = { list } end
  if type(list) ~= "table" or #list == 0 then
    error("imap:fetch: an array of items expected, got " .. type(list), level + 1)
  end
  local asked, seen = { texts = {}, binary = {} }, {}
  for _, item in ipairs(list) do
    local text = item_text(item, level + 1)
    if not seen[text] then
      asked.texts[#asked.texts + 1] = lazy and text == "PREVIEW" and "PREVIEW (LAZY)" or text
      asked.binary[#asked.binary + 1] = binary_of(text)
    end
    seen[text] = true
    asked.rich = asked.rich or not (text == "UID" or text == "FLAGS" or text == "MODSEQ")
    asked.headers = asked.headers or item == "headers"
    asked.bodies = asked.bodies or text:find("%[") ~= nil or ascii.upper(text):find "^RFC822" and text ~= "RFC822.SIZE"
  end
  return asked
end

--- The capability that the server lacks for one of the items, or nil.
function items.lacking(session, asked)
  if not session:capabilities_known() then return nil end
  for _, text in ipairs(asked.texts) do
    local needs = NEEDS[ascii.upper(text:match "^[A-Za-z0-9.-]*")]
    local found = not needs
    for _, name in ipairs(needs or {}) do found = found or session:has_capability(name) end
    if not found then return needs[1] end
  end
end

--- The list as one argument.
function items.argument(texts)
  if #texts == 1 and MACROS[ascii.upper(texts[1])] then return texts[1] end
  return "(" .. table.concat(texts, " ") .. ")"
end

return items
