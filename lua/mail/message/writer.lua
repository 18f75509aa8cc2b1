--- A composed message as a stream of octets: its size ahead, and its pieces one after the other.
--
-- A message is flattened into segments: strings, and leaves that are encoded while they are read. So a
-- message with attachments of any size costs one piece of memory, and what is in memory is written as it is.
-- @module mail.message.writer

local core = require "mail.core"
local Err = require "mail.err"
local fields = require "mail.message.fields"
local parts = require "mail.message.parts"

local writer = {}

-- Octets encoded at a time: whole lines of base64.
local PIECE = 57 * 1024

-- --- segments -------------------------------------------------------------------------------------

local function add_fields(out, list, form)
  for _, field in ipairs(list) do
    local line, err = fields.line(field, form)
    if not line then return nil, err end
    out[#out + 1] = line
  end
  return true
end

-- Octets in memory that are encoded whole: without the line end behind the last line.
local function encoded(octets, encoding, is_text)
  if encoding == "7bit" or encoding == "8bit" then return octets end
  local encoder = core.encoder(encoding, is_text)
  local made = encoder:put(octets)
  return ((made .. encoder:finish()):gsub("\r\n$", ""))
end

--- Text, encoded. It ends with its last line's end where it has one; that of its encoding does not count.
-- @tparam string text in CRLF lines
-- @tparam string encoding "7bit", "8bit", "quoted-printable" or "base64"
-- @treturn string
function writer.encode_text(text, encoding)
  if encoding ~= "quoted-printable" then return encoded(text, encoding, true) end
  local encoder = core.encoder(encoding, true)
  local made, rest = encoder:put(text), encoder:finish()
  return made .. rest:gsub("\r\n$", "")
end

-- A leaf's content. True where the line that it ends with has its line end already.
local function add_content(out, part, encoding)
  if part.text then
    out[#out + 1] = writer.encode_text(part.text, encoding)
  elseif part.message then
    out[#out + 1] = part.message
  elseif part.data and encoding == "7bit" then
    out[#out + 1] = part.data
  else
    out[#out + 1] = part
    return true
  end
  return false
end

local add_part

local function add_multipart(out, part, form)
  for i, child in ipairs(part.parts) do
    out[#out + 1] = (i == 1 or out.ended) and "--" .. part.boundary .. "\r\n" or "\r\n--" .. part.boundary .. "\r\n"
    local ok, err = add_part(out, child, form)
    if not ok then return nil, err end
  end
  out[#out + 1] = (out.ended and "--" or "\r\n--") .. part.boundary .. "--\r\n"
  out.ended = true
  return true
end

-- The fields that say what the part is, a blank line, and its content. `out.ended`: the last line of what
-- was added has its line end, and it is not content.
function add_part(out, part, form)
  local ok, err = add_fields(out, part.fields, form)
  if not ok then return nil, err end
  if part.parts then
    if part.least and part.least ~= "7bit" then out[#out + 1] = "Content-Transfer-Encoding: 8bit\r\n" end
    out[#out + 1] = "\r\n"
    return add_multipart(out, part, form)
  end
  local encoding = parts.encoding(part, form)
  out[#out + 1] = "Content-Transfer-Encoding: " .. encoding .. "\r\n\r\n"
  out.ended = add_content(out, part, encoding)
  return true
end

-- Neighbouring strings become one.
local function joined(list)
  local out, from = {}, nil
  for i = 1, #list + 1 do
    if type(list[i]) == "string" then
      from = from or i
    else
      if from then out[#out + 1] = table.concat(list, "", from, i - 1) end
      out[#out + 1] = list[i]
      from = nil
    end
  end
  return out
end

--- Flattens a message.
-- @tparam table head fields of the message
-- @tparam table body its part
-- @tparam string form "7bit", "8bit", "utf8"
-- @treturn table segments: strings, and leaves that are streamed in base64; or nil, err
function writer.segments(head, body, form)
  local out = {}
  local ok, err = add_fields(out, head, form)
  if ok then ok, err = add_part(out, body, form) end
  if not ok then return nil, err end
  local last = out[#out]
  if not out.ended and last ~= "" and last:sub(-2) ~= "\r\n" then out[#out + 1] = "\r\n" end
  return joined(out)
end

--- How many octets the segments are; nil where a source has not said its size.
function writer.size(segments)
  local n = 0
  for _, segment in ipairs(segments) do
    if type(segment) == "string" then
      n = n + #segment
    else
      local octets = segment.data and #segment.data or segment.size
      if not octets then return nil end
      n = n + core.base64_length(octets)
    end
  end
  return n
end

-- --- reading --------------------------------------------------------------------------------------

local function failure(message)
  return Err.new { kind = "io", message = message }
end

local function data_reader(data)
  local at = 1
  return function()
    if at > #data then return nil end
    local piece = data:sub(at, at + PIECE - 1)
    at = at + PIECE
    return piece
  end
end

local function file_reader(part)
  local file, why = io.open(part.path, "rb")
  if not file then return nil, failure("the attachment cannot be read: " .. tostring(why)) end
  return function()
    if not file then return nil end
    local piece, err = file:read(PIECE)
    if piece then return piece end
    file:close()
    file = nil
    if err then return nil, failure("the attachment cannot be read: " .. tostring(err)) end
  end
end

local function open(part)
  if part.data then return data_reader(part.data) end
  if part.path then return file_reader(part) end
  if part.spent then return nil, failure "the source of an attachment was read before; it can be read once" end
  part.spent = true
  return part.source
end

-- The pieces of one leaf, encoded. A size that was told ahead is kept to.
local function leaf_reader(part)
  local read, err = open(part)
  if not read then return nil, err end
  local encoder, left, ended = core.encoder "base64", part.size, false
  return function()
    while not ended do
      local piece, why = read()
      if piece == nil then
        ended = true
        if why ~= nil then return nil, why end
        if left and left ~= 0 then return nil, failure "an attachment is shorter than its size" end
        return encoder:finish()
      end
      if type(piece) ~= "string" then return nil, failure("a source returned a " .. type(piece)) end
      left = left and left - #piece
      if left and left < 0 then return nil, failure "an attachment is longer than its size" end
      local made = encoder:put(piece)
      if made ~= "" then return made end
    end
  end
end

--- A source (ltn12) of the segments: pieces, nil at the end, or nil, err.
function writer.source(segments)
  local at, read, broken = 0, nil, nil
  return function()
    while not broken do
      local piece, err
      if read then piece, err = read() end
      if err ~= nil then
        broken = err
        break
      end
      if piece and piece ~= "" then return piece end
      if not piece then
        at, read = at + 1, nil
        local segment = segments[at]
        if segment == nil then return nil end
        if type(segment) == "string" then return segment end
        read, broken = leaf_reader(segment)
      end
    end
    return nil, broken
  end
end

--- True where a leaf comes from a source, which can be read only once.
-- @tparam table part
-- @tparam[opt] boolean spent true where only sources that were read are meant
function writer.is_fleeting(part, spent)
  for _, child in ipairs(part.parts or {}) do
    if writer.is_fleeting(child, spent) then return true end
  end
  return part.source ~= nil and (not spent or part.spent == true)
end

--- Reads sources that can be read only once into memory, so that the message can be read again.
-- @treturn boolean true; or nil, err
function writer.keep(part)
  for _, child in ipairs(part.parts or {}) do
    local ok, err = writer.keep(child)
    if not ok then return nil, err end
  end
  if not part.source then return true end
  local read, err = open(part)
  if not read then return nil, err end
  local pieces, piece, why = {}, read()
  while piece ~= nil do
    if type(piece) ~= "string" then return nil, failure("a source returned a " .. type(piece)) end
    pieces[#pieces + 1] = piece
    piece, why = read()
  end
  if why ~= nil then return nil, why end
  part.data, part.source = table.concat(pieces), nil
  return true
end

return writer
