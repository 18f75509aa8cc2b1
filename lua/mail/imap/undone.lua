--- BINARY[...] of a server that cannot give it: the part as it is stored, its transfer encoding undone
-- here (RFC 3516 §4.3: UNKNOWN-CTE; or no BINARY at all).
--
-- The body structure says how a part is encoded. One that says nothing we know stays in `m.body` as it
-- came, and is a defect of the message.
-- @module mail.imap.undone

local ascii = require "mail.ascii"
local core = require "mail.core"

local undone = {}

-- --- items ------------------------------------------------------------------------------------------

--- What to ask for in place of BINARY items: an array of items.
function undone.texts(asked)
  local out, wants = {}, { BODYSTRUCTURE = true }
  for _, text in ipairs(asked.texts) do
    local name = ascii.upper(text)
    if not name:find "^BINARY" then out[#out + 1] = text end
    wants[name] = nil
  end
  if wants.BODYSTRUCTURE then table.insert(out, 1, "BODYSTRUCTURE") end
  local seen = {}
  for _, binary in ipairs(asked.binary) do
    local text = (binary.peek and "BODY.PEEK[" or "BODY[") .. binary.section .. "]"
    if not seen[text] then out[#out + 1] = text end
    seen[text] = true
  end
  return out
end

local function find_part(part, section)
  if part.section == section then return part end
  for _, child in ipairs(part.parts or {}) do
    local found = find_part(child, section)
    if found then return found end
  end
end

local function cut(text, binary)
  return binary.from and text:sub(binary.from + 1, binary.from + binary.count) or text
end

local function asked_for(asked, name)
  for _, text in ipairs(asked.texts) do
    if ascii.upper(text):gsub("%.PEEK", "") == name then return true end
  end
  return false
end

local function give_up(message, binary, encoding)
  message.defects = message.defects or {}
  table.insert(message.defects, {
    item = "BINARY[" .. binary.section .. "]", reason = "UNKNOWN-CTE: encoding '" .. encoding .. "'",
  })
end

--- True where the server left out a part that was asked for: one that is not there, or one that it
-- cannot decode, which it says when it ends the command.
function undone.is_partial(message, asked)
  local binary, size, streamed = message.binary or {}, message.binary_size or {}, message.streamed or {}
  for _, one in ipairs(asked.binary) do
    local there = one.size and size[one.section]
    if not one.size then there = binary[one.section] or streamed[one.section] end
    if not there then return true end
  end
  return false
end

--- Puts what was fetched by `texts` into a message that had come in part. What a sink has got of it is
-- not given again.
function undone.complete(partial, message)
  for section in pairs(partial.streamed or {}) do
    if message.binary then message.binary[section] = nil end
  end
  for name, value in pairs(message) do partial[name] = value end
  return partial
end

--- Makes `m.binary` of what was fetched by `texts`.
function undone.finish(message, asked)
  local body = message.body or {}
  local bare = {}
  for _, binary in ipairs(asked.binary) do
    local text, section = body[binary.section], binary.section
    local part = text and section ~= "" and message.bodystructure and find_part(message.bodystructure, section)
    local encoding = part and part.encoding or "7bit"
    local decoded = text and core.transfer_decode(encoding, text)
    if text and not decoded then
      give_up(message, binary, encoding)
    elseif text and binary.size then
      message.binary_size = message.binary_size or {}
      message.binary_size[section] = #decoded
      bare[section] = not asked_for(asked, "BODY[" .. section .. "]")
    elseif text then
      message.binary = message.binary or {}
      message.binary[section] = cut(decoded, binary)
      bare[section] = not asked_for(asked, "BODY[" .. section .. "]")
    end
  end
  for section in pairs(bare) do
    if bare[section] then body[section] = nil end
  end
  if message.body and next(body) == nil then message.body = nil end
  if not asked_for(asked, "BODYSTRUCTURE") then message.bodystructure = nil end
end

return undone
