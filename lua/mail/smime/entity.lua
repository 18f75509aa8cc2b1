--- MIME entities for S/MIME: what is taken out of a message to be signed or encrypted, in the form in which
-- it survives its way (RFC 8551 §3.1), and how messages are put together again.
--
-- A message's header is parted: `Content-…` goes into the entity, all else stays outside.
-- @module mail.smime.entity

local ascii = require "mail.ascii"
local core = require "mail.core"
local message = require "mail.message"

local entity = {}

-- RFC 5322 §2.1.1: longer lines are folded or cut by gateways.
local LINE_MAX = 998

-- Messages in messages that are looked into for 8-bit content.
local DEPTH = 20

-- Lines of any kind as CRLF lines.
local function crlf(text)
  return core.encoder("7bit", true):put(text)
end

-- True where no gateway has a reason to touch the text.
local function is_sturdy(text)
  local survey = core.survey(text)
  return survey.eight == 0 and not survey.nul and not survey.bare and not survey.blank_ends
    and survey.longest <= LINE_MAX and not text:find "^From " and not text:find("\nFrom ", 1, true)
end

-- --- 7-bit form -----------------------------------------------------------------------------------

-- The line end behind the last line of quoted-printable would be one more of the text's.
local function encoded(text, encoding, is_text)
  local encoder = core.encoder(encoding, is_text)
  local made, rest = encoder:put(text), encoder:finish()
  return made .. (is_text and rest:gsub("\r\n$", "") or rest)
end

-- A field as it stands, its lines in CRLF; a CR that ends no line must not come to end one.
local function line_of(field)
  local text = field.raw:gsub("\r\n", "\n"):gsub("\r", " "):gsub("\n", "\r\n")
  return text:sub(-2) == "\r\n" and text or text .. "\r\n"
end

-- All fields, without those whose names `without` has.
local function head_of(part, without)
  local out = {}
  for _, field in ipairs(part:raw_headers()) do
    if field.name ~= "" and not (without and without[ascii.lower(field.name)]) then out[#out + 1] = line_of(field) end
  end
  return out
end

local ENCODING = { ["content-transfer-encoding"] = true }
local ENCODING_AND_TYPE = { ["content-transfer-encoding"] = true, ["content-type"] = true }

-- A leaf in an encoding that is sturdy; in quoted-printable "From " has to be hidden by hand.
local function encoded_leaf(part)
  local out = head_of(part, ENCODING)
  local is_text = part.type:find "^text/" ~= nil and not part:body():find("\0", 1, true)
  local body = encoded(part:body(), is_text and "quoted-printable" or "base64", is_text)
  if is_text then body = ("\n" .. body):gsub("\nFrom ", "\n=46rom "):sub(2) end
  out[#out + 1] = "Content-Transfer-Encoding: " .. (is_text and "quoted-printable" or "base64") .. "\r\n\r\n"
  out[#out + 1] = body
  return table.concat(out)
end

local seven_bits

-- A multipart gets a boundary of its own: the old one might stand at the beginning of a line that is new.
local function encoded_multipart(part, depth)
  local out, parameters, names = head_of(part, ENCODING_AND_TYPE), {}, {}
  local boundary = "=_" .. core.random_text(26)
  for name in pairs(part.parameters) do
    if name ~= "boundary" then names[#names + 1] = name end
  end
  table.sort(names, ascii.before)
  for _, name in ipairs(names) do
    parameters[#parameters + 1], parameters[#parameters + 2] = name, part.parameters[name]
  end
  parameters[#parameters + 1], parameters[#parameters + 2] = "boundary", boundary
  local field = core.header_params("Content-Type", part.type, parameters)
  if not field then return nil end
  out[#out + 1] = field .. "\r\n"
  for i, child in ipairs(part.parts) do
    out[#out + 1] = (i == 1 and "--" or "\r\n--") .. boundary .. "\r\n" .. seven_bits(child, depth + 1)
  end
  out[#out + 1] = "\r\n--" .. boundary .. "--\r\n"
  return table.concat(out)
end

-- A message inside: only what it holds is encoded, its header stands as it is.
local function encoded_message(part, depth)
  local out = head_of(part, ENCODING)
  local inner = seven_bits(part.parts[1], depth + 1)
  out[#out + 1] = "Content-Transfer-Encoding: " .. (inner:find "[\128-\255]" and "8bit" or "7bit") .. "\r\n\r\n"
  out[#out + 1] = inner
  return table.concat(out)
end

-- How a part that gateways could harm is encoded, by its shape. Reports and the like may not be (RFC 2046 §5.2).
local ENCODERS = { multipart = encoded_multipart, message = encoded_message, leaf = encoded_leaf }

-- The part in 7 bits, as far as that goes; what is signed inside stays as it is.
function seven_bits(part, depth)
  local raw, text, made = part:raw_body(), part._text, nil
  local shape = text:shape(part._at)
  local fixed = part.type == "multipart/signed" or text:wrapped(part._at)
    or shape == "leaf" and part.type:find "^message/"
  if depth <= DEPTH and not fixed and not is_sturdy(raw) then made = ENCODERS[shape](part, depth) end
  return made or table.concat(head_of(part)) .. "\r\n" .. crlf(raw)
end

-- --- parting and joining --------------------------------------------------------------------------

-- What a part is goes with the part.
local function is_content(name) return ascii.lower(name):find "^content%-" ~= nil end

--- Takes the entity out of a message.
-- @tparam table root a parsed message
-- @treturn string the entity in canonical form: what is signed or encrypted
-- @treturn string the fields that stay outside, each with its line end
function entity.part(root)
  local inside, outside = {}, {}
  for _, field in ipairs(root:raw_headers()) do
    local name = ascii.lower(field.name)
    if is_content(name) then
      inside[#inside + 1] = line_of(field)
    elseif name ~= "" and name ~= "mime-version" then
      outside[#outside + 1] = line_of(field)
    end
  end
  if not root:raw_header "Content-Type" then table.insert(inside, 1, "Content-Type: text/plain\r\n") end
  local body = root:raw_body()
  local text = table.concat(inside) .. "\r\n" .. body
  if not is_sturdy(body) then text = seven_bits(message.parse(text), 1) end
  return text, table.concat(outside)
end

--- A message of fields that stood outside and an entity. Where both have a field the outer one stays: it is
-- what relays, filters and DKIM have seen.
-- @tparam table root the parsed message whose outer fields are taken
-- @tparam string text the entity
-- @treturn table the message, parsed
function entity.join(root, text)
  local inner = message.parse(text)
  local out, there = {}, {}
  for _, field in ipairs(root:raw_headers()) do
    local name = ascii.lower(field.name)
    if name ~= "" and not is_content(name) and name ~= "mime-version" then
      out[#out + 1], there[name] = line_of(field), true
    end
  end
  out[#out + 1] = "MIME-Version: 1.0\r\n"
  for _, field in ipairs(inner:raw_headers()) do
    local name = ascii.lower(field.name)
    if name ~= "" and not there[name] and name ~= "mime-version" then out[#out + 1] = line_of(field) end
  end
  return message.parse(table.concat(out) .. "\r\n" .. inner:raw_body())
end

--- True for text that begins as a MIME entity must: with a header field, or with the empty line behind none.
-- What a wrong key gives, or a signature over something else, does not.
function entity.is_one(text)
  return text:find "^\r?\n" ~= nil or text:find "^[!-9;-~]+[ \t]*:" ~= nil
end

--- The octets that were signed, of a part that was signed beside: lines end in CRLF (RFC 8551 §3.1.1). A
-- message that was stored with LF alone is put right; where both stand, nothing is.
function entity.signed_octets(part)
  local raw = part:raw()
  if raw:find("\r\n", 1, true) or not raw:find("\n", 1, true) then return raw end
  return crlf(raw)
end

return entity
