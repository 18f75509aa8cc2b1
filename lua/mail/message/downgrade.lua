--- A message in a form that asks less of the server: bodies in 7 bits for one without 8BITMIME (RFC 6152 §3) or
-- BINARYMIME (RFC 3030 §3), header fields in ASCII for one without SMTPUTF8 (RFC 6531 §3.2).
--
-- Whoever reads the result gets the same content and the same words. What cannot be rewritten so (an address
-- that no ASCII form exists for, a signature over the octets, a header in no known charset) is refused, with
-- the reason. Octets above 127 in front of a multipart's first part and behind its last are no content
-- (RFC 2046 §5.1.1): each becomes a question mark.
-- @module mail.message.downgrade

local letters = require "mail.ascii"
local core = require "mail.core"
local fields = require "mail.message.fields"
local parts = require "mail.message.parts"
local writer = require "mail.message.writer"

local EIGHT = "[\128-\255]"

local function set(words)
  local out = {}
  for word in words:gmatch "%S+" do out[word] = true end
  return out
end

local ADDRESSES = set [[from sender reply-to to cc bcc resent-from resent-sender resent-reply-to resent-to resent-cc
  resent-bcc disposition-notification-to return-receipt-to errors-to]]
local PARAMETERS = set "content-type content-disposition"
-- Fields whose grammar has no place for encoded words, comments aside.
local STRICT = set [[date message-id in-reply-to references resent-date resent-message-id received return-path
  mime-version content-id content-transfer-encoding original-message-id list-help list-unsubscribe list-subscribe
  list-post list-owner list-archive list-unsubscribe-post auto-submitted]]
-- Made over the octets of the message: a rewritten one does not verify.
local SIGNATURES = set "dkim-signature arc-message-signature arc-seal"

-- Types of RFC 6532 and RFC 6533, and what they are called once they are ASCII.
local ASCII_TYPES = { ["message/global"] = "message/rfc822", ["message/global-headers"] = "text/rfc822-headers" }

-- --- header fields --------------------------------------------------------------------------------

local function parameters(text, at, name)
  local main, values = text:params(at, name)
  local names, list = {}, {}
  for key in pairs(values or {}) do names[#names + 1] = key end
  table.sort(names, letters.before)
  for _, key in ipairs(names) do list[#list + 1], list[#list + 2] = key, values[key] end
  return main, list
end

-- One field of 8 bits in ASCII, with its line end; or nil, why.
local function ascii_field(text, at, name, raw, decoded)
  local lower = letters.lower(name)
  if not core.is_utf8(raw) then return nil, ("its field '%s' is in no known charset"):format(name) end
  local line, err
  if ADDRESSES[lower] then
    local list
    list, err = fields.addresses(raw:match "^[^:]*:%s*(.-)%s*$":gsub("\r?\n([ \t])", "%1"), name)
    if not list then return nil, err.message end
    local odd
    fields.each_mailbox(list, function(one) odd = odd or not one.ascii and one.address end)
    if odd then return nil, ("the address '%s' has no form in ASCII"):format(odd) end
    line, err = fields.line({ name, "addresses", list }, "7bit")
  elseif PARAMETERS[lower] then
    local main, list = parameters(text, at, name)
    line, err = fields.line({ name, "params", ASCII_TYPES[main] or main, list }, "7bit")
  elseif STRICT[lower] or name == "" then
    return nil, ("its field '%s' has no form in ASCII"):format(name)
  else
    line, err = fields.line({ name, "text", decoded }, "7bit")
  end
  return line, err and err.message
end

-- --- one part -------------------------------------------------------------------------------------

-- What a leaf's content becomes: octets, name of the encoding.
local function encoded(text, at, extension)
  local content = text:body(at)
  if text:type(at):find "^text/" and extension == "8BITMIME" and not content:find("\0", 1, true) then
    local lines = core.encoder("7bit", true):put(content)
    local name = parts.encoding({ text = lines, survey = core.survey(lines) }, "7bit")
    return writer.encode_text(lines, name), name
  end
  local encoder = core.encoder("base64", false)
  return (encoder:put(content) .. encoder:finish()):gsub("\r\n$", ""), "base64"
end

-- Fields of a leaf that says nothing of itself: its charset, as far as it can be told (RFC 1428 §3).
local function missing_fields(text, at, encoding)
  local out = {}
  if encoding and not text:raw_header(at, "Content-Type") and text:type(at) == "text/plain" then
    local charset = core.is_utf8(text:body(at)) and "utf-8" or "unknown-8bit"
    out[#out + 1] = ("Content-Type: text/plain; charset=%s\r\n"):format(charset)
  end
  if encoding and at == 1 and not text:raw_header(at, "MIME-Version") then
    out[#out + 1] = "MIME-Version: 1.0\r\n"
  end
  return out
end

-- The header of a part with `encoding` named in it (nil: as it is), and with ASCII fields only where `ascii`;
-- or nil, why.
local function header(text, at, encoding, ascii)
  local raw, decoded, out = text:raw_headers(at), text:headers(at), {}
  local length, media = 0, text:type(at)
  local named = encoding == nil
  for i, field in ipairs(raw) do
    local name, line = field.name, field.raw
    length = length + #line
    if encoding and letters.lower(name) == "content-transfer-encoding" then
      line = not named and ("Content-Transfer-Encoding: %s\r\n"):format(encoding) or ""
      named = true
    elseif ascii and (line:find(EIGHT) or ASCII_TYPES[media] and letters.lower(name) == "content-type") then
      local made, why = ascii_field(text, at, name, line, decoded[i].value)
      if not made then return nil, why end
      line = made
    end
    out[#out + 1] = line
  end
  for _, line in ipairs(missing_fields(text, at, encoding)) do out[#out + 1] = line end
  if not named then out[#out + 1] = ("Content-Transfer-Encoding: %s\r\n"):format(encoding) end
  local rest = text:raw_head(at):sub(length + 1) -- the empty line
  out[#out + 1] = rest == "" and #out > 0 and "\r\n" or rest
  return table.concat(out)
end

-- --- the whole ------------------------------------------------------------------------------------

-- True where the part, or one that it is in, is signed octet for octet.
local function is_signed(text, at)
  while at do
    local up = text:parent(at)
    if up and text:type(up) == "multipart/signed" then return true end
    at = up
  end
  return false
end

local function has_signature(text)
  for _, field in ipairs(text:raw_headers(1)) do
    if SIGNATURES[letters.lower(field.name)] then return field.name end
  end
end

-- What has to go on the way of `extension`, in a leaf's content as it stands.
local LOSES = {
  ["8BITMIME"] = function(content) return content:find(EIGHT) ~= nil end,
  BINARYMIME = function(content)
    local survey = core.survey(content)
    return survey.nul or survey.bare or survey.longest > 998
  end,
  SMTPUTF8 = function() return false end,
}

local function question_marks(s) return (s:gsub(EIGHT, "?")) end

-- Adds the edits `{from, to, text}` of part `at`: octets behind `from` up to `to` become `text`.
local function edit_part(edits, text, at, extension)
  local from, body, stop = text:span(at)
  local loses, ascii = LOSES[extension], extension == "SMTPUTF8"
  local content, encoding
  if text:shape(at) == "leaf" then
    local raw = text:raw_body(at)
    if loses(raw) then content, encoding = encoded(text, at, extension) end
  else
    local stated = letters.lower(text:raw_header(at, "Content-Transfer-Encoding") or "")
    if stated == "binary" and not ascii or stated == "8bit" and extension == "8BITMIME" then
      encoding = extension == "8BITMIME" and "7bit" or "8bit"
    end
  end
  if encoding or ascii and (text:raw_head(at):find(EIGHT) or ASCII_TYPES[text:type(at)]) then
    if is_signed(text, at) then return nil, "a part of it is signed as it stands" end
    local head, why = header(text, at, encoding, ascii)
    if not head then return nil, why end
    edits[#edits + 1] = { from, body, head }
  end
  if content then edits[#edits + 1] = { body, stop, content } end
  if text:shape(at) == "multipart" and extension == "8BITMIME" then
    local before, behind = text:preamble(at), text:epilogue(at)
    if before:find(EIGHT) then edits[#edits + 1] = { body, body + #before, question_marks(before) } end
    if behind:find(EIGHT) then edits[#edits + 1] = { stop - #behind, stop, question_marks(behind) } end
  end
  return true
end

local function applied(message, edits)
  table.sort(edits, function(a, b)
    if a[1] ~= b[1] then return a[1] < b[1] end
    return a[2] < b[2]
  end)
  local out, at = {}, 0
  for _, edit in ipairs(edits) do
    out[#out + 1] = message:sub(at + 1, edit[1])
    out[#out + 1] = edit[3]
    at = edit[2]
  end
  out[#out + 1] = message:sub(at + 1)
  return table.concat(out)
end

--- Rewrites a message so that it does without an extension.
-- @tparam string message
-- @tparam string extension "8BITMIME", "BINARYMIME" or "SMTPUTF8": the one that the server lacks
-- @treturn string the message, rewritten; or nil, why in words
return function(message, extension)
  local text, edits = core.message_parse(message), {}
  local signature = has_signature(text)
  if signature then return nil, ("its %s would not hold"):format(signature) end
  for at = 1, (text:count()) do
    local ok, why = edit_part(edits, text, at, extension)
    if not ok then return nil, why end
  end
  return applied(message, edits)
end
