--- Addresses of mail: text to tables and back (RFC 5322 §3.4, RFC 6532).
--
-- A mailbox is `{name=, address=}` (`name` only where there is one, decoded to UTF-8), a group is
-- `{group=, members={…}}`. The reader takes quoted names, comments, groups, routes, obsolete and UTF-8
-- forms, and refuses what two programs could read in two ways.
-- @module mail.address

local ascii = require "mail.ascii"
local core = require "mail.core"
local Err = require "mail.err"

local address = {}

local function invalid(message, ...)
  return nil, Err.new { kind = "invalid", message = message:format(...) }
end

--- Reads an address list.
-- @tparam string text `"Ann <ann@x.org>, Team: bob@x.org;"`; empty text is an empty list
-- @treturn table array of mailboxes and groups, in order; or nil, err (kind "invalid") where any of the
--   text is no address: nothing is dropped or guessed. Headers of received mail, which must be read
--   whatever they hold, are read by `mail.message`.
function address.parse(text)
  if type(text) ~= "string" then
    error(("mail.address.parse: a string expected, got %s"):format(type(text)), 2)
  end
  local list, why, offset = core.address_parse(text)
  if list then return list end
  return invalid("not a list of addresses: %s (at octet %d)", why, offset)
end

-- What is wrong with the shape of one entry, as words; nil where it is right.
local function misshapen(a, in_group)
  if type(a) == "string" then return nil end
  if type(a) ~= "table" then return "an address, a group or an array of them expected, got " .. type(a) end
  if a.group == nil then
    if type(a.address) ~= "string" then return "a mailbox needs 'address', a string" end
    return a.name ~= nil and type(a.name) ~= "string" and "'name' must be a string" or nil
  end
  if in_group then return "a group cannot be a member of a group" end
  if type(a.group) ~= "string" then return "'group' must be a string" end
  if a.members ~= nil and type(a.members) ~= "table" then return "'members' must be an array" end
  for _, member in ipairs(a.members or {}) do
    local why = misshapen(member, true)
    if why then return why end
  end
end

local format_all

local function format_group(a)
  local name, why = core.address_phrase(a.group)
  if not name or name == "" then return invalid("bad group name: %s", why or "it is empty") end
  local members, err = format_all(a.members or {}, true)
  if not members then return nil, err end
  return members == "" and name .. ":;" or name .. ": " .. members .. ";"
end

local function format_one(a, in_group)
  if type(a) == "string" then
    local list, why = core.address_parse(a)
    for _, entry in ipairs(in_group and list or {}) do
      if entry.group then list, why = nil, "a group inside a group" end
    end
    if not list then return invalid("bad address '%s': %s", ascii.without_controls(a, "?"), why) end
    return format_all(list, in_group)
  end
  if a.group ~= nil then return format_group(a) end
  local text, why = core.address_format(a.name, a.address)
  if text then return text end
  return invalid("bad address '%s': %s", ascii.without_controls(a.address, "?"), why)
end

function format_all(list, in_group)
  local out = {}
  for _, a in ipairs(list) do
    local text, err = format_one(a, in_group)
    if not text then return nil, err end
    if text ~= "" then out[#out + 1] = text end
  end
  return table.concat(out, ", ")
end

--- Writes addresses as text for a header field, not folded. Names are quoted or put into encoded words
-- (RFC 2047) where they must be; `address.parse` gives back the same.
-- @tparam table|string a a mailbox, a group, or an array of them; a string is read as a list first
-- @treturn string the text; or nil, err (kind "invalid") where an address breaks the grammar or a name
--   holds CR, LF or NUL
function address.format(a)
  if a == nil then error("mail.address.format: an address, a group or an array of them expected, got nil", 2) end
  local one = type(a) ~= "table" or a.group ~= nil or a.address ~= nil or a.name ~= nil
  for _, entry in ipairs(one and { a } or a) do
    local why = misshapen(entry)
    if why then error("mail.address.format: " .. why, 2) end
  end
  local text, err = format_all(one and { a } or a)
  return text, err
end

return address
