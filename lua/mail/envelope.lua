--- Envelopes, as they are given, or read out of a message's header.
-- @module mail.envelope

local core = require "mail.core"

local envelope = {}

-- How much header is read from a source in search of its end.
local HEADER_MAX = 1048576

--- Recipients as they stand in messages: members in place of their groups.
function envelope.recipients(to)
  if type(to) ~= "table" or to.address then return to end
  if to.members then to = { to } end
  local flat, found = {}, false
  for _, one in ipairs(to) do
    local members = type(one) == "table" and one.members
    found = found or type(members) == "table"
    for _, member in ipairs(type(members) == "table" and members or { one }) do flat[#flat + 1] = member end
  end
  return found and flat or to
end

--- The sender, out of the array that `from` of a message is.
function envelope.sender(from)
  return type(from) == "table" and not from.address and type(from[1]) == "table" and from[1] or from
end

-- Reads on until the header is whole. The text read so far becomes the source's first piece.
local function whole_header(source, head)
  while not (head:find("\r\n\r\n", 1, true) or head:find("\n\n", 1, true)) and #head < HEADER_MAX do
    local piece, why = source.fn()
    if piece == nil then return why == nil and head or nil, why end
    head = head .. piece
  end
  return head
end

--- The envelope of a message, from its header, where the caller gave none; Bcc is cut out.
-- @tparam Pump pump the session's
-- @tparam table options `from` and `to`, either may be nil
-- @tparam ?string message the whole message, or nil where it comes from `source`
-- @tparam ?table source of mail.content
-- @tparam ?string head its first piece
-- @treturn table `{from=, to=}`; the message without Bcc or nil; the new head; or nil, nil, nil, err
function envelope.from_message(pump, options, message, source, head)
  local text = message
  local composed = source and type(options.message) == "table" and options.message.is_composed
  if source and not composed then
    local why
    text, why = whole_header(source, head)
    if not text then
      return nil, nil, nil, pump:error("io", "the message cannot be read: " .. tostring(why), { command = "MAIL" })
    end
  end
  local found, why
  if composed then
    found = options.message:envelope() -- Bcc is in it, and stands nowhere in the text
  else
    found, why = core.envelope_of(text)
  end
  if not found then return nil, nil, nil, pump:error("invalid", why, { command = "MAIL" }) end
  local result = { from = options.from or found.from, to = options.to or found.to }
  if not result.from or not result.to or #result.to == 0 then
    return nil, nil, nil, pump:error("invalid", not result.from and "the message names no sender"
      or "the message names no recipient", { command = "MAIL" })
  end
  if composed then return result, nil, head end
  if not options.to then text = found.message end
  if source then
    source.first = text
    return result, nil, text
  end
  return result, text, nil
end

return envelope
