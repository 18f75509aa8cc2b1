--- Parts of a message under composition: what each holds, and how it is encoded in each form.
--
-- A leaf is `{fields=, text=}` (a text in CRLF lines), `{fields=, data=}` (octets), `{fields=, path=, size=}`,
-- `{fields=, source=, size=}` or `{fields=, message=}` (a whole message); a multipart is `{fields=, boundary=,
-- parts=}`. The least form that a part can be written in is `least`: "8bit" for a message that is not ASCII.
-- @module mail.message.parts

local ascii = require "mail.ascii"
local core = require "mail.core"
local Err = require "mail.err"
local fields = require "mail.message.fields"
local type_of_name = require "mail.message.types"

local misuse = fields.misuse

local parts = {}

-- A longer line of text is wrapped by quoted-printable (RFC 5322 §2.1.1 wants no more than 78); what is
-- sent in 8 bits, or as it stands, may have 998.
local LINE, LINE_MAX = 78, 998

local function invalid(message, ...)
  return nil, Err.new { kind = "invalid", message = message:format(...) }
end

-- --- transfer encodings ---------------------------------------------------------------------------

-- Quoted-printable can be read without a decoder; base64 is shorter where much has to be escaped.
local function for_seven_bits(survey, octets)
  return survey.escapes * 3 <= octets and "quoted-printable" or "base64"
end

local function text_encoding(part, form)
  local survey = part.survey
  if survey.eight == 0 and not survey.nul and survey.longest <= LINE then return "7bit" end
  if survey.eight > 0 and form ~= "7bit" and not survey.nul and survey.longest <= LINE_MAX then return "8bit" end
  return for_seven_bits(survey, #part.text)
end

-- Octets stand as they are only where no relay has a reason to touch them.
local function data_encoding(part)
  local survey = part.survey
  if survey and survey.eight == 0 and survey.escapes == part.equals and not survey.bare and not survey.nul
    and not survey.blank_ends and survey.longest <= LINE then
    return "7bit"
  end
  return "base64"
end

--- The transfer encoding of a leaf in a form (RFC 2045 §6).
function parts.encoding(part, form)
  if part.text then return text_encoding(part, form) end
  if part.message then return part.least or "7bit" end
  return part.data and data_encoding(part) or "base64"
end

-- --- leaves ---------------------------------------------------------------------------------------

-- Refuses what no field can carry, before anything is sent.
local function checked(part)
  for _, field in ipairs(part.fields) do
    local line, err = fields.line(field, "7bit")
    if not line then return nil, err end
  end
  return part
end

-- Lines of any kind as CRLF lines.
local function crlf(text)
  return core.encoder("7bit", true):put(text)
end

--- A part of text.
-- @tparam string subtype "plain", "html", "calendar"
-- @tparam string text UTF-8
-- @tparam[opt] table parameters array of name, value, … of Content-Type, behind charset
-- @tparam[opt] string what the option, for errors
-- @treturn table part; or nil, err where the text is not UTF-8, or a parameter holds a line end
function parts.text(subtype, text, parameters, what)
  if not core.is_utf8(text) then return invalid("%s: the text is not UTF-8", what or subtype) end
  local all = { "charset", "utf-8" }
  for _, word in ipairs(parameters or {}) do all[#all + 1] = word end
  local canonical = crlf(text)
  return checked {
    fields = { { "Content-Type", "params", "text/" .. subtype, all } },
    text = canonical, survey = core.survey(canonical),
  }
end

--- A part of ASCII text whose type is its own: reports.
function parts.ascii(media_type, text, parameters)
  return {
    fields = { { "Content-Type", "params", media_type, parameters } },
    text = text, survey = core.survey(text),
  }
end

-- A message inside a message stands as it is, whatever its content (RFC 2046 §5.2.1): nil where it cannot.
local function message_part(raw)
  local text = crlf(raw)
  local survey = core.survey(text)
  if survey.nul or survey.longest > LINE_MAX then return nil end
  return { message = text, least = survey.eight > 0 and "8bit" or nil }
end

-- --- attachments ----------------------------------------------------------------------------------

--- What an attachment may have, for `mail.want`.
parts.ATTACHMENT = {
  path = "string?", data = "string?", source = "function?", message = "any", name = "string?", filename = "string?",
  type = "string?", parameters = "table?", size = "number?", cid = "string?", disposition = "string?",
  description = "string?", headers = "table?",
}

-- "text/csv; charset=utf-8" as its type and an array of parameters; or nil.
local function media_type(text)
  local main, rest = text:match "^%s*([A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+)%s*(.*)$"
  local list = {}
  if not main then return nil end
  while rest ~= "" do
    local name, value, behind = rest:match '^;%s*([A-Za-z0-9!#$&^_.+-]+)%s*=%s*"([^"\\]*)"%s*(.*)$'
    if not name then name, value, behind = rest:match "^;%s*([A-Za-z0-9!#$&^_.+-]+)%s*=%s*([^;%s]+)%s*(.*)$" end
    if not name then return nil end
    list[#list + 1], list[#list + 2], rest = name, value, behind
  end
  return main, list
end

local function sorted_parameters(list, parameters, what)
  local names = {}
  for name, value in pairs(parameters) do
    if type(name) ~= "string" or type(value) ~= "string" and type(value) ~= "number" then
      misuse("%s: 'parameters' must be a table of name = text", what)
    end
    names[#names + 1] = name
  end
  table.sort(names, ascii.before)
  for _, name in ipairs(names) do list[#list + 1], list[#list + 2] = name, ascii.text(parameters[name]) end
  return list
end

local function file_part(path)
  local file, why = io.open(path, "rb")
  local size = file and file:seek "end"
  -- A folder opens and has an end, too; it cannot be read.
  if file and core.is_folder(path) then size, why = nil, path .. ": Is a directory" end
  if file then file:close() end
  if not size then
    return nil, Err.new { kind = "io", message = "the attachment cannot be read: " .. tostring(why or path) }
  end
  return { path = path, size = size }
end

local function text_of_message(message, what)
  if type(message) == "string" then return message end
  local kind = type(message)
  local ok = (kind == "table" or kind == "userdata") and type(message.tostring) == "function"
  if not ok then misuse("%s: option 'message' must be a message", what) end
  return message:tostring()
end

-- What the attachment holds, as the beginning of a part.
local function content(a, what)
  if a.path then return file_part(a.path) end
  if a.source then return { source = a.source, size = a.size } end
  local data = a.data
  if a.message ~= nil then
    local text, err = text_of_message(a.message, what)
    if not text then return nil, err end
    local part = message_part(text)
    if part then return part end
    data = text
  end
  local _, equals = data:gsub("=", "")
  return { data = data, survey = core.survey(data), equals = equals }
end

local function one_source(a, what)
  local n = 0
  for _, name in ipairs { "path", "data", "source", "message" } do
    if a[name] ~= nil then n = n + 1 end
  end
  if n ~= 1 then misuse("%s: one of 'path', 'data', 'source' and 'message' is needed", what) end
  if a.disposition and a.disposition ~= "attachment" and a.disposition ~= "inline" then
    misuse("%s: 'disposition' must be \"attachment\" or \"inline\"", what)
  end
end

local function cid_field(cid)
  local id = cid:match "^<(.*)>$" or cid
  if id == "" or id:find "[%z\1-\32<>\127-\255]" then
    return invalid("bad content id '%s'", ascii.without_controls(cid, "?"))
  end
  return { "Content-ID", "tokens", "<" .. id .. ">" }
end

local function add_fields(part, a, name, what)
  local list = part.fields
  local disposition = a.disposition or (a.cid and "inline" or "attachment")
  list[#list + 1] = { "Content-Disposition", "params", disposition, name and { "filename", name } or {} }
  if a.cid then
    local field, err = cid_field(a.cid)
    if not field then return nil, err end
    list[#list + 1] = field
  end
  if a.description then list[#list + 1] = { "Content-Description", "text", a.description } end
  local custom, err = fields.custom(a.headers or {}, nil, what)
  if not custom then return nil, err end
  for _, field in ipairs(custom) do list[#list + 1] = field end
  return checked(part)
end

--- True for an attachment of a message that was read (`msg:attachments()`).
function parts.is_read(a)
  local mt = type(a) == "table" and getmetatable(a)
  return mt ~= nil and mt ~= false and mt.__name == "mail.attachment"
end

--- What a sender wrote, as text that may be written again; nil of nil.
function parts.clean(text)
  if not text then return nil end
  text = ascii.without_controls(tostring(text), " ")
  return core.is_utf8(text) and text or core.to_utf8(text)
end

--- The same as one to compose: what cannot be written again is left out.
-- @treturn table `{data=, name=, type=, cid=, disposition=}` or `{message=, name=}`; or nil, err
function parts.of_read(a)
  local data, err = a.data()
  if not data then return nil, err end
  local kind = a.type and a.type:find "^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+$" and a.type or nil
  local cid = a.cid and a.cid:gsub("^<(.*)>$", "%1")
  if cid and cid:find "[%z\1-\32<>\127-\255]" then cid = nil end
  local name = parts.clean(a.filename)
  if kind and ascii.lower(kind) == "message/rfc822" then return { message = data, name = name } end
  return { data = data, name = name, type = kind, cid = cid, disposition = not cid and "attachment" or nil }
end

--- An attachment.
-- @tparam table a `path`, `data`, `source` (ltn12; `size` where known) or `message`; `name` (or `filename`),
--   `type`, `parameters`, `cid`, `disposition` ("attachment", or "inline" as with `cid`), `description`, `headers`
-- @tparam string what the option, for errors
-- @treturn table part; or nil, err (kind "io": the file cannot be read; kind "invalid")
function parts.attachment(a, what)
  one_source(a, what)
  local part, err = content(a, what)
  if not part then return nil, err end
  local name = a.name or a.filename or (a.path and a.path:match "[^/\\]+$")
  local kind = a.type or (a.message ~= nil and "message/rfc822") or type_of_name(name)
  local main, list = media_type(kind)
  -- Its parts would be read as parts of the message, in an encoding that none may have (RFC 2045 §6.4).
  if main and ascii.lower(main):find "^multipart/" then return invalid("%s: a multipart is no attachment", what) end
  if not main then return invalid("%s: no media type: '%s'", what, ascii.without_controls(kind, "?")) end
  if not part.message and main:find "^message/" then main = "application/octet-stream" end
  if part.data and main:find "^text/" and #list == 0 and not a.parameters and core.is_utf8(part.data) then
    list = { "charset", "utf-8" }
  end
  sorted_parameters(list, a.parameters or {}, what)
  part.fields = { { "Content-Type", "params", main, list } }
  part.inline = a.cid ~= nil and a.disposition ~= "attachment"
  return add_fields(part, a, name, what)
end

-- --- multiparts -----------------------------------------------------------------------------------

local ORDER = { ["7bit"] = 1, ["8bit"] = 2, utf8 = 3 }

--- The wider of two forms; nil is "7bit".
function parts.wider(a, b)
  a, b = a or "7bit", b or "7bit"
  return ORDER[a] >= ORDER[b] and a or b
end

--- Several parts as one; itself where it is one only, unless `always`.
-- @tparam string subtype "mixed", "alternative", "related", "report"
-- @tparam table list parts
-- @tparam[opt] table parameters array of name, value, … in front of the boundary
-- @tparam[opt] boolean always one part is put into a multipart, too
function parts.multipart(subtype, list, parameters, always)
  if #list == 1 and not always then return list[1] end
  local all, least = { }, nil
  for _, word in ipairs(parameters or {}) do all[#all + 1] = word end
  -- "=_" stands in no line of base64 or quoted-printable, and nobody can guess the rest.
  local boundary = "=_" .. core.random_text(26)
  all[#all + 1], all[#all + 2] = "boundary", boundary
  for _, part in ipairs(list) do least = parts.wider(least, part.least) end
  return { fields = { { "Content-Type", "params", "multipart/" .. subtype, all } }, boundary = boundary, parts = list,
           least = least }
end

return parts
