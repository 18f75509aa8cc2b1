--- Parts of a parsed message, the message itself among them.
--
-- A part is a thin table: the text it lies in (`_text`, made by the core) and its index in it (`_at`). Every
-- field is worked out when it is first asked for, and then kept. What a method gives is made anew each time.
-- @module mail.message.part

local ascii = require "mail.ascii"
local core = require "mail.core"
local Err = require "mail.err"

local part = {}

-- Messages in messages that have to be decoded to be read: each level decodes what the one above gave.
local WRAPPED_DEPTH = 10

-- How much `source` gives at a time.
local PIECE = 65536

local Part = {}
local fields = {}

local class = { __name = "mail.message" }

function class.__index(self, name)
  local method = Part[name]
  if method ~= nil then return method end
  local field = fields[name]
  if field == nil then return nil end
  local value = field(self)
  rawset(self, name, value)
  return value
end

local function new(text, at, depth)
  return setmetatable({ _text = text, _at = at, _depth = depth }, class)
end

--- A part of a text of the core's.
-- @param text made by `core.message_parse` and its kin
-- @tparam number at its index
-- @treturn table the part
part.new = new

--- True where `value` is a part or a message that was parsed.
function part.is(value)
  return getmetatable(value) == class
end

--- What all parts have: other modules add methods here.
part.methods = Part

--- Fields of a message and of its parts; nil where the message does not say.
-- @table fields
-- @field type "text/plain" where no type is named
-- @field parameters of Content-Type: names in lower case, values UTF-8
-- @field disposition "attachment", "inline" …
-- @field disposition_parameters its parameters
-- @field filename as the sender gave it, any text; `attachments` makes a safe name of it
-- @field cid Content-ID without its brackets
-- @field description Content-Description
-- @field encoding "7bit", "base64" …: Content-Transfer-Encoding in lower case
-- @field size octets of the decoded content
-- @field parts array: those of a multipart, the message of a message/rfc822
-- @field subject decoded, UTF-8
-- @field date seconds since 1970
-- @field zone the sender's, in minutes east of UTC
-- @field message_id with its brackets
-- @field in_reply_to the ids, a space between them
-- @field references array of ids
-- @field from array of `{name=, address=}` and `{group=, members=}`; so are `sender`, `reply_to`, `to`, `cc`, `bcc`,
--   `resent_from`, `resent_to`
-- @field defects array of `{what=, offset=, field=, limit=}`: what was wrong; `mail.message.DEFECTS` tells of each

-- --- what it is -----------------------------------------------------------------------------------

-- "text/plain": always a type; what names none is text, or a message in a digest.
function fields:type() return self._text:type(self._at) end

-- Parameters of Content-Type, names in lower case, values UTF-8.
function fields:parameters() return self._text:parameters(self._at) end

-- "attachment", "inline" ...; nil where the part does not say.
function fields:disposition() return (self._text:disposition(self._at)) end

function fields:disposition_parameters()
  local _, parameters = self._text:disposition(self._at)
  return parameters
end

-- The name that the sender gave. It may be any text: `attachments` makes a safe name of it.
function fields:filename() return self._text:filename(self._at) end

-- Content-ID without its brackets, as `cid:` links name it.
function fields:cid()
  local id = self._text:id(self._at, "Content-ID")
  return id and (id:match("^<(.*)>$") or id)
end

function fields:description() return self._text:header(self._at, "Content-Description") end

-- "7bit", "base64" ... as the header has it, in lower case.
function fields:encoding()
  local value = self._text:raw_header(self._at, "Content-Transfer-Encoding")
  local word = value and value:match "[A-Za-z0-9%-]+"
  return word and ascii.lower(word) or "7bit"
end

-- Octets of the decoded content.
function fields:size() return self._text:size(self._at) end

-- A multipart or a message that lies encoded: decoded and parsed. Its parts, or nil.
local function unwrapped(self)
  local text, at = self._text, self._at
  local depth = (self._depth or 0) + 1
  if depth > WRAPPED_DEPTH or not text:wrapped(at) then return nil end
  local inside, is_multipart = text:body(at), text:shape(at) == "multipart"
  if is_multipart then
    inside = "Content-Type: " .. text:raw_header(at, "Content-Type"):gsub("[\r\n]", "") .. "\r\n\r\n" .. inside
  end
  local inner = new(core.message_parse(inside, text:limits()), 1, depth)
  return is_multipart and inner.parts or { inner }
end

-- What the part holds: parts of a multipart, the message of a message/rfc822; nil where it holds nothing.
function fields:parts()
  local text, depth = self._text, self._depth
  local list = text:children(self._at)
  if not list then return unwrapped(self) end
  for i = 1, #list do list[i] = new(text, list[i], depth) end
  return list
end

-- --- the header -----------------------------------------------------------------------------------

function fields:subject() return self._text:header(self._at, "Subject") end
function fields:date() return (self._text:date(self._at, "Date")) end

-- The sender's zone, in minutes east of UTC.
function fields:zone()
  local _, zone = self._text:date(self._at, "Date")
  return zone
end

function fields:message_id() return self._text:id(self._at, "Message-ID") end

-- The ids of In-Reply-To, a space between them: mostly one.
function fields:in_reply_to()
  local ids = self._text:ids(self._at, "In-Reply-To")
  return ids and ids[1] and table.concat(ids, " ") or nil
end

function fields:references() return self._text:ids(self._at, "References") end

for field, name in pairs {
  from = "From", sender = "Sender", reply_to = "Reply-To", to = "To", cc = "Cc", bcc = "Bcc",
  resent_from = "Resent-From", resent_to = "Resent-To",
} do
  fields[field] = function(self) return self._text:addresses(self._at, name) end
end

local function checkname(name, what)
  if type(name) ~= "string" then error(("message:%s: a field's name expected, got %s"):format(what, type(name)), 3) end
  return name
end

--- The first field of that name (in any case): UTF-8 on one line, encoded words decoded.
-- @treturn string; nil where there is none
function Part:header(name) return (self._text:header(self._at, checkname(name, "header"))) end

--- All fields of that name: an array of strings, in order.
function Part:header_all(name) return self._text:header_all(self._at, checkname(name, "header_all")) end

--- All fields: an array of `{name=, value=}` in order, values as of `header`.
function Part:headers() return self._text:headers(self._at) end

--- The first field of that name as it stands, folds and encoded words and all, without the white space
-- around it.
function Part:raw_header(name) return (self._text:raw_header(self._at, checkname(name, "raw_header"))) end

--- All fields as they stand: an array of `{name=, raw=}`, `raw` the whole field with its line ends.
function Part:raw_headers() return self._text:raw_headers(self._at) end

--- The addresses of any field: an array of `{name=, address=}` and `{group=, members=}`, or nil.
function Part:addresses(name) return (self._text:addresses(self._at, checkname(name, "addresses"))) end

--- The value and the parameters of any field of the form `value; name=value` (RFC 2045 §5.1, RFC 2231).
-- @treturn string the value in lower case; nil where there is no such field
-- @treturn table name → value
function Part:params(name)
  local value, parameters = self._text:params(self._at, checkname(name, "params"))
  return value, parameters
end

--- The ids of any field: an array of `"<id>"`, or nil.
function Part:ids(name) return (self._text:ids(self._at, checkname(name, "ids"))) end

-- --- content --------------------------------------------------------------------------------------

--- The content without its transfer encoding: octets, in the charset that the part names.
function Part:body() return self._text:body(self._at) end

--- Header and content as they stand, octet for octet: what a signature was made over.
function Part:raw() return self._text:raw(self._at) end

--- The content as it stands, still encoded.
function Part:raw_body() return self._text:raw_body(self._at) end

--- The header as it stands, with the empty line behind it.
function Part:raw_head() return self._text:raw_head(self._at) end

--- The whole as a string: the same as `raw`.
function Part:tostring() return self._text:raw(self._at) end

class.__tostring = Part.tostring

--- The whole as a source (ltn12): a function that gives piece after piece, nil at the end.
function Part:source()
  local text = self._text
  local at, _, stop = text:span(self._at)
  return function()
    local n = stop - at < PIECE and stop - at or PIECE
    if n <= 0 then return nil end
    local piece = text:sub(at, n)
    at = at + n
    return piece
  end
end

--- How many octets `source` and `raw` give.
function Part:octets()
  local from, _, stop = self._text:span(self._at)
  return stop - from
end

--- Where the part stands in the text that was parsed (or, inside of what lies encoded, in what was decoded):
-- `text:sub(first, last)` is `raw`, `text:sub(content, last)` is `raw_body`.
-- @treturn number first octet of its header, from 1 on
-- @treturn number first octet of its content
-- @treturn number last octet
function Part:offsets()
  local from, content, stop = self._text:span(self._at)
  return from + 1, content + 1, stop
end

--- What stands in a multipart before its first part, and behind its last: mostly nothing.
function Part:preamble() return self._text:preamble(self._at) end
function Part:epilogue() return self._text:epilogue(self._at) end

-- Leaves of a part some of whose leaves are wrapped: those are opened.
local function walk_wrapped(self)
  local stack, n = { self }, 1
  return function()
    while n > 0 do
      local top = stack[n]
      stack[n], n = nil, n - 1
      local list = top.parts
      if not list then return top end
      for i = #list, 1, -1 do
        n = n + 1
        stack[n] = list[i]
      end
    end
  end
end

--- An iterator over all parts that hold no others, in order; a message without parts is its own leaf.
-- Messages inside are walked into.
-- @treturn function → part; nil at the end
function Part:walk()
  local text, depth, i = self._text, self._depth, 0
  local list, wrapped = text:leaves(self._at)
  if wrapped then return walk_wrapped(self) end
  return function()
    i = i + 1
    local at = list[i]
    if at then return new(text, at, depth) end
  end
end

-- --- what is wrong --------------------------------------------------------------------------------

-- An array of `{what=, offset=, field=, limit=}`, by offset: see mail.message.defects; empty for a message without any.
-- `defects.count` is how many there were, of which the first thousand are listed. Contents are decoded for it.
function fields:defects()
  local list, count = self._text:check()
  for _, defect in ipairs(list) do
    defect.limit = defect.what:match("^limit passed: (%S+)")
  end
  table.sort(list, function(a, b) return a.offset < b.offset end)
  return setmetatable(list, { __index = { count = count } })
end

--- An error object of kind "invalid", for what a part should be and is not.
function part.invalid(message, ...)
  return Err.nil_new { kind = "invalid", message = message:format(...) }
end

return part
