--- Messages that were sent in pieces (message/partial, RFC 2046 §5.2.2).
-- @module mail.message.partial

local ascii = require "mail.ascii"
local core = require "mail.core"
local Err = require "mail.err"
local part = require "mail.message.part"

local partial = {}

local PIECES_MAX = 10000

local function invalid(message, ...)
  return Err.nil_new { kind = "invalid", message = "join: " .. message:format(...) }
end

-- Fields of the first piece that the message inside has for itself: the others are the whole's.
local function is_inner(name)
  name = ascii.lower(name)
  return name:match("^content%-") or name == "message-id" or name == "encrypted" or name == "mime-version"
    or name == "subject"
end

local function header_of(first, inside)
  local out = {}
  for _, field in ipairs(first:raw_headers()) do
    if not is_inner(field.name) then out[#out + 1] = field.raw end
  end
  for _, field in ipairs(inside:raw_headers()) do
    if is_inner(field.name) then out[#out + 1] = field.raw end
  end
  return table.concat(out)
end

-- The pieces by their numbers, and how many there should be; or nil, err.
local function sorted(pieces)
  local by_number, id, total = {}, nil, nil
  for i, piece in ipairs(pieces) do
    if type(piece) == "string" then piece = part.new(core.message_parse(piece), 1) end
    if not part.is(piece) then error(("mail.message.join: piece %d is no message"):format(i), 4) end
    local p = piece.parameters
    local number = tonumber(p.number)
    if piece.type ~= "message/partial" or not p.id or not number then return invalid("piece %d is no piece", i) end
    if id and p.id ~= id then return invalid("piece %d is of another message", i) end
    if number < 1 or number > PIECES_MAX or number % 1 ~= 0 then return invalid("piece %d has a bad number", i) end
    id, total = p.id, total or tonumber(p.total)
    by_number[number] = by_number[number] or piece
  end
  if not total then return invalid "the last piece is missing" end
  return by_number, total
end

--- See `mail.message.join`.
function partial.join(pieces)
  if type(pieces) ~= "table" then error("mail.message.join: an array expected, got " .. type(pieces), 3) end
  local by_number, total = sorted(pieces)
  if not by_number then return nil, total end
  local bodies = {}
  for i = 1, total do
    if i > PIECES_MAX or not by_number[i] then return invalid("piece %d is missing", i) end
    bodies[i] = by_number[i]:body()
  end
  local inside = part.new(core.message_parse(table.concat(bodies)), 1)
  local text = header_of(by_number[1], inside) .. "\r\n" .. inside:raw_body()
  return part.new(core.message_parse(text), 1)
end

return partial
