--- Header fields of a message under composition: values of the user's, checked and kept in the shape in
-- which they can be written in each form (RFC 5322 §3.6, RFC 2047, RFC 6532).
--
-- A field is `{name, kind, value}`; `fields.line` writes it. Wrong types are raised as a misuse, which
-- `fields.guard` blames on the program's line. What came from outside and cannot be written (a line end in a
-- name, no address) is kind "invalid".
-- @module mail.message.fields

local ascii = require "mail.ascii"
local address = require "mail.address"
local core = require "mail.core"
local Err = require "mail.err"

local fields = {}

local function invalid(message, ...)
  return nil, Err.new { kind = "invalid", message = message:format(...) }
end

-- What is raised for a wrong type: not text, so that the guard knows it from a fault of ours.
local Misuse = {}
Misuse.__index = Misuse
Misuse.__tostring = function(self) return self.message end

--- Raises a misuse, for `fields.guard` to give its place.
function fields.misuse(message, ...)
  error(setmetatable({ message = message:format(...) }, Misuse), 0)
end

--- Calls `fn(…)`; what it raises as a misuse is raised at the line of `level`: 2 is the caller of guard, 3 who
-- called that, as of `error`. `what` is the call, for the words.
-- @treturn what fn returns, two values at most
function fields.guard(level, what, fn, ...)
  local ok, first, second = pcall(fn, ...)
  if ok then return first, second end
  if getmetatable(first) == Misuse then
    local named = first.message:sub(1, #what + 1) == what .. ":"
    error(named and first.message or what .. ": " .. first.message, level)
  end
  error(first, 0)
end

local misuse = fields.misuse

local function printable(text) return ascii.without_controls(text, "?") end

-- Octets that could end a line, or hide its end.
function fields.breaks_line(text)
  return text:find "[\r\n]" ~= nil or text:find("\0", 1, true) ~= nil
end

-- --- addresses ------------------------------------------------------------------------------------

-- The same address with its domain in A-labels; nil where its local part is not ASCII: then nothing but
-- SMTPUTF8 takes it.
local function ascii_address(text)
  if not text:find "[\128-\255]" then return text end
  local local_part, domain = text:match "^(.*)@([^@]*)$"
  if not domain or local_part:find "[\128-\255]" then return nil end
  local labels = core.idn(domain)
  return labels and local_part .. "@" .. labels
end

local function mailbox(entry, what)
  local text, why = core.address_format(entry.name, entry.address)
  if not text then return invalid("%s: bad address '%s': %s", what, printable(entry.address), why) end
  if not entry.address:find("@", 1, true) then
    return invalid("%s: bad address '%s': it has no domain", what, printable(entry.address))
  end
  return { name = entry.name, address = entry.address, ascii = ascii_address(entry.address) }
end

local add_all

local function add_group(list, entry, what)
  local name, why = core.address_phrase(entry.group)
  if not name or name == "" then return invalid("%s: bad group name: %s", what, why or "it is empty") end
  local members, err = add_all({}, entry.members or {}, what)
  if not members then return nil, err end
  for _, member in ipairs(members) do
    if member.group then return invalid("%s: a group inside a group", what) end
  end
  list[#list + 1] = { group = entry.group, members = members }
  return list
end

local function wrong(what)
  misuse("%s: an address (text, or a table with 'address'), a group, or an array of these expected", what)
end

-- One entry of what the user gave, whatever its shape.
local function add(list, entry, what)
  if type(entry) == "string" then
    local parsed, err = address.parse(entry)
    if not parsed then return invalid("%s: %s", what, err.message) end
    return add_all(list, parsed, what)
  elseif type(entry) ~= "table" then
    wrong(what)
  elseif entry.group ~= nil then
    if type(entry.group) ~= "string" or type(entry.members or {}) ~= "table" then wrong(what) end
    return add_group(list, entry, what)
  elseif entry.address ~= nil then
    if type(entry.address) ~= "string" or type(entry.name or "") ~= "string" then wrong(what) end
    local one, err = mailbox(entry, what)
    if not one then return nil, err end
    list[#list + 1] = one
    return list
  elseif entry[1] == nil and next(entry) ~= nil then
    wrong(what)
  end
  return add_all(list, entry, what)
end

function add_all(list, entries, what)
  for _, entry in ipairs(entries) do
    local ok, err = add(list, entry, what)
    if not ok then return nil, err end
  end
  return list
end

--- Addresses as a list of `{name=, address=, ascii=}` and `{group=, members=}`.
-- @param value text, a mailbox, a group, or an array of any of these
-- @tparam string what the field, for errors
-- @treturn table list; or nil, err
function fields.addresses(value, what)
  return add({}, value, what)
end

--- Calls `fn` for each mailbox of a list, members of groups too.
function fields.each_mailbox(list, fn)
  for _, entry in ipairs(list or {}) do
    if entry.group then fields.each_mailbox(entry.members, fn) else fn(entry) end
  end
end

-- A name in UTF-8 as it stands, quoted where it must be (RFC 6532 §3.2).
local function phrase(name, utf8)
  if not utf8 or not name:find "[\128-\255]" or name:find("=?", 1, true) or name:find "[%z\1-\31\127]" then
    return core.address_phrase(name)
  end
  if not name:find "[^A-Za-z0-9\128-\255!#$%%&'*+/=?^_`{|}~ -]" and not name:find "^ " and not name:find " $"
    and not name:find("  ", 1, true) then
    return name
  end
  return '"' .. name:gsub('[\\"]', "\\%0") .. '"'
end

local function mailbox_text(one, form)
  if form ~= "utf8" then return core.address_format(one.name, one.ascii) end
  local spec = core.address_format(nil, one.address)
  if not one.name or one.name == "" then return spec end
  return phrase(one.name, true) .. " <" .. spec .. ">"
end

local function list_text(list, form)
  local out = {}
  for i, entry in ipairs(list) do
    if entry.group then
      local members = list_text(entry.members, form)
      out[i] = phrase(entry.group, form == "utf8") .. ":" .. (members ~= "" and " " .. members or "") .. ";"
    else
      out[i] = mailbox_text(entry, form)
    end
  end
  return table.concat(out, ", ")
end

-- --- message ids ----------------------------------------------------------------------------------

--- Message ids as an array, with their brackets.
-- @param value text with one or more ids, or an array of such
-- @tparam string what the field, for errors
-- @treturn table ids; or nil, err
function fields.ids(value, what)
  local list = {}
  if type(value) ~= "table" then value = { value } end
  for _, text in ipairs(value) do
    if type(text) ~= "string" then
      misuse("%s: message ids expected, got %s", what, type(text))
    end
    if fields.breaks_line(text) then return invalid("%s: CR, LF or NUL in a message id", what) end
    local rest = text:gsub("<[^<>%z\1-\32\127]+>", function(id)
      list[#list + 1] = id
      return ""
    end)
    if rest:find "^[^<>%z\1-\32\127]+$" and rest == text then
      list[#list + 1] = "<" .. text .. ">"
    elseif rest:find "[^ \t,]" then
      return invalid("%s: no message id: '%s'", what, printable(text))
    end
  end
  return list
end

-- --- fields of the user's own ---------------------------------------------------------------------

-- What belongs to the composer; and what has an option of its own, which is as good.
local OURS = { ["mime-version"] = true, ["content-type"] = true, ["content-transfer-encoding"] = true,
  ["content-disposition"] = true, ["content-id"] = true }
local OPTIONS = { from = "from", sender = "sender", ["reply-to"] = "reply_to", to = "to", cc = "cc", bcc = "bcc",
  subject = "subject", date = "date", ["message-id"] = "message_id", ["in-reply-to"] = "in_reply_to",
  references = "references" }

local function pairs_of(headers, what)
  local list = {}
  for key, value in pairs(headers) do
    if type(key) == "string" then
      for _, one in ipairs(type(value) == "table" and value or { value }) do
        list[#list + 1] = { key, one, order = 0 }
      end
    elseif type(value) == "table" then
      list[#list + 1] = { value.name or value[1], value.value or value[2], order = key }
    else
      list[#list + 1] = { nil, nil, order = 0 }
    end
  end
  for i, one in ipairs(list) do
    if type(one[1]) ~= "string" or type(one[2]) ~= "string" and type(one[2]) ~= "number" then
      misuse("%s: 'headers' must be a table of name = value, or an array of {name, value}", what)
    end
    one.place = i
  end
  -- A table has no order: names then go by the alphabet, an array's as they stand.
  table.sort(list, function(a, b)
    if a.order ~= b.order then return a.order < b.order end
    if a[1] ~= b[1] then return ascii.before(a[1], b[1]) end
    return a.place < b.place
  end)
  return list
end

--- The user's own fields. Those that have an option of their own (Reply-To …) are put there.
-- @tparam table headers name → value (or an array of values), or an array of `{name, value}`
-- @tparam ?table options where a field with an option of its own goes; nil: it is refused
-- @tparam string what the call, for errors
-- @treturn table fields; or nil, err
function fields.custom(headers, options, what)
  local list = {}
  for _, one in ipairs(pairs_of(headers, what)) do
    local name, value = one[1], ascii.text(one[2])
    local option = OPTIONS[ascii.lower(name)]
    if OURS[ascii.lower(name)] or option and (not options or options[option] ~= nil) then
      misuse("%s: field '%s' is not for 'headers'", what, printable(name))
    elseif option then
      if fields.breaks_line(value) then return invalid("field '%s': CR, LF or NUL in it", name) end
      options[option] = value
    else
      local line, why = core.header_text(name, value)
      if not line then return invalid("field '%s': %s", printable(name), why) end
      list[#list + 1] = { name, "text", value }
    end
  end
  return list
end

-- --- lists (RFC 2369, RFC 2919, RFC 8058) ---------------------------------------------------------

local LIST = { "help", "unsubscribe", "subscribe", "post", "owner", "archive" }
local LIST_KNOWN = { id = true, name = true, unsubscribe_post = true, one_click = true }
for _, name in ipairs(LIST) do LIST_KNOWN[name] = true end

local function urls(value, what)
  local out = {}
  for _, url in ipairs(type(value) == "table" and value or { value }) do
    if url:find "^[^:/%s]+@[^:/%s]+$" then url = "mailto:" .. url end
    if not url:find "^[A-Za-z][A-Za-z0-9+.-]*:[!-~]+$" or url:find "[<>]" then
      return invalid("%s: no URL: '%s'", what, printable(url))
    end
    out[#out + 1] = "<" .. url .. ">"
  end
  return table.concat(out, ", ")
end

local function check_list(list, what)
  for name, value in pairs(list) do
    local kind = type(value)
    local good = kind == "string" or kind == "table"
      or kind == "boolean" and (name == "post" or name == "unsubscribe_post" or name == "one_click")
    if kind == "table" then
      for _, url in ipairs(value) do good = good and type(url) == "string" end
    end
    if not LIST_KNOWN[name] then misuse("%s: unknown option 'list.%s'", what, tostring(name)) end
    if not good then misuse("%s: option 'list.%s' must be text", what, name) end
  end
end

-- [phrase] "<" list-id ">" (RFC 2919 §3): the name that people know it by, and its id.
local function list_id(list)
  if list.id:find "<[^<>]+>%s*$" then return list.id end
  local name = list.name and list.name:find "[^ \t]" and not list.name:find "[<>]" and list.name .. " " or ""
  return name .. "<" .. list.id .. ">"
end

--- The fields of a mailing list, as `msg:list()` gives them: `id`, `name`, `help`, `unsubscribe`, `subscribe`, `post`
-- (false: nobody may), `owner`, `archive`: a URL or an address, or an array; `one_click = true` (or
-- `unsubscribe_post`): one click is enough.
-- @tparam table list
-- @tparam string what the call, for errors
-- @treturn table fields; or nil, err
function fields.list(list, what)
  local out = {}
  check_list(list, what)
  if list.id then
    local id = list_id(list)
    local line, why = core.header_text("List-Id", id)
    if not line then return invalid("list.id: %s", why) end
    out[#out + 1] = { "List-Id", "text", id }
  end
  for _, name in ipairs(LIST) do
    local value = list[name]
    if value == false then
      out[#out + 1] = { "List-Post", "tokens", "NO" }
    elseif value ~= nil then
      local text, err = urls(value, "list." .. name)
      if not text then return nil, err end
      out[#out + 1] = { "List-" .. ascii.upper(name:sub(1, 1)) .. name:sub(2), "tokens", text }
    end
  end
  if list.unsubscribe_post or list.one_click then
    out[#out + 1] = { "List-Unsubscribe-Post", "tokens", "List-Unsubscribe=One-Click" }
  end
  return out
end

-- --- writing --------------------------------------------------------------------------------------

--- A field as it is written, folded, with its line end.
-- @tparam table field `{name, kind, value}`: kind "text" (unstructured), "tokens" (encoded already),
--   "addresses", or "params" (value: the main value; field[4]: array of name, value, …)
-- @tparam string form "7bit", "8bit" or "utf8"
-- @treturn string; or nil, err where a word is too long for any line
function fields.line(field, form)
  local name, kind, value = field[1], field[2], field[3]
  local line, why
  if kind == "addresses" then
    line, why = core.header_tokens(name, list_text(value, form), form == "utf8")
  elseif kind == "params" then
    line, why = core.header_params(name, value, field[4] or {})
  elseif kind == "tokens" then
    line, why = core.header_tokens(name, value, form == "utf8")
  else
    line, why = core.header_text(name, value, form == "utf8")
  end
  if line then return line end
  return invalid("field '%s': %s", name, why)
end

return fields
