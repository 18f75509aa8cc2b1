--- A message, or a part of one, as a literal: its size, its octets, its line ends.
--
-- IMAP tells the size before the octets, so what does not know its own is measured, or put down in a
-- temporary file. Lines go out with CRLF. NUL goes in a literal8 only (RFC 3516 §4.4).
-- @module mail.imap.literal

local content = require "mail.content"
local core = require "mail.core"

local literal = {}

local PIECE = 65536
-- How much of a string is searched for bare LF at a time.
local SLICE = 1048576

local function unreadable(pump, why)
  return pump:error("io", "the message cannot be read: " .. tostring(why))
end

-- Line ends as the server wants them: LF alone becomes CRLF. Called with one piece after the other;
-- `last` is the octet before `text`.
local function crlf(text, last)
  local head = ""
  if text:byte() == 10 then
    head, text = last == 13 and "\n" or "\r\n", text:sub(2)
  end
  if text:byte() == 10 or text:find("[^\r]\n") then text = text:gsub("\r?\n", "\r\n") end
  return head == "" and text or head .. text
end

-- A whole message with its lines in CRLF: itself where that is so already, else made anew in pieces.
local function mended(pump, message)
  local right, pieces, last = true, {}, nil
  for from = 1, #message, SLICE do
    right = right and not core.bare_lf(message, from, from + SLICE - 1)
    pump:rest()
  end
  if right then return message end
  for from = 1, #message, PIECE do
    local piece = message:sub(from, from + PIECE - 1)
    pieces[#pieces + 1] = crlf(piece, last)
    last = piece:byte(-1)
    pump:rest()
  end
  return table.concat(pieces)
end

local function has_nul(text) return text:find("\0", 1, true) ~= nil end

-- Puts all that `source` gives, lines in CRLF, down in a temporary file to learn its size, and whether
-- NUL is in it.
local function spool(pump, source)
  local file, why = io.tmpfile()
  if not file then return nil, pump:error("io", "no temporary file: " .. tostring(why)) end
  local size, last, nul = 0, nil, false
  while true do
    local piece, err = content.pull(source)
    if not piece and (err ~= nil or source.raised) then
      file:close()
      if source.raised then error(err, 0) end
      return nil, unreadable(pump, err)
    elseif not piece then
      file:seek("set", 0)
      return file, size, nul
    end
    local text = crlf(piece, last)
    last = piece:byte(-1)
    size, nul = size + #text, nul or has_nul(text)
    local ok
    ok, err = file:write(text)
    if not ok then
      file:close()
      return nil, pump:error("io", "the temporary file cannot be written: " .. tostring(err))
    end
  end
end

-- The size of what is left of a file once its lines end in CRLF, and whether NUL is in it; nil where
-- it cannot be read twice.
local function measure(file)
  local here = file:seek()
  if not here then return nil end
  local size, last, nul = 0, nil, false
  while true do
    local piece, why = file:read(PIECE)
    if not piece then
      if why then return nil, why end
      break
    end
    size, nul = size + #crlf(piece, last), nul or has_nul(piece)
    last = piece:byte(-1)
  end
  file:seek("set", here)
  return size, nul
end

-- Octets that want a literal8, of a server that takes none.
local function checked(pump, it)
  if not it.eight or pump.session:has_capability "BINARY" then return it end
  literal.close(it)
  if it.asked then return nil, pump:error("unsupported", "the server lacks BINARY") end
  return nil, pump:error("invalid", "NUL in a message, and the server lacks BINARY")
end

-- What is no string: read when it is asked for.
local function open_source(pump, message, options, what, level)
  local size, nul = options.size or content.size(message), false
  if not size and io.type(message) == "file" and not options.binary then
    local why
    size, why = measure(message)
    nul = size and why
    if not size and why then return nil, unreadable(pump, why) end
  end
  local source, known, first, err = content.open(pump, message, size, what, level + 1)
  if not source then return nil, err end
  if options.binary then size = size or known end
  if not source.held and first ~= "" then source.held = first end -- what was read to open it is not lost
  source.held_at, source.first = 1, nil
  if size then
    return { source = source, size = size, mend = not options.size and not options.binary, eight = nul }
  end
  local file
  file, size, nul = spool(pump, source)
  if not file then return nil, size end
  return { source = content.open(pump, file, size, what, level + 1), size = size, file = file, eight = nul }
end

--- Opens a message.
-- @tparam table pump
-- @param message a string, an open file, a source function or a mail.message
-- @tparam table options `size`: octets of a source, which is then sent octet for octet; `binary`:
--   octet for octet too, as a literal8
-- @tparam string what the method, for errors
-- @tparam number level whose line is blamed where `message` is none
-- @treturn table `{text=}` or `{source=, size=}`, `eight` where a literal8 is due; or nil, err
function literal.open(pump, message, options, what, level)
  local it, err
  if type(message) == "string" then
    it = { text = options.binary and message or mended(pump, message) }
    it.eight = has_nul(it.text)
  else
    it, err = open_source(pump, message, options, what, level + 1)
    if not it then return nil, err end
  end
  it.asked = options.binary
  it.eight = it.eight or options.binary
  return checked(pump, it)
end

--- True where `message` can be opened.
function literal.is_message(message)
  local kind = type(message)
  return kind == "string" or kind == "function" or io.type(message) == "file"
    or ((kind == "table" or kind == "userdata") and type(message.source) == "function")
end

--- Its type and value as an argument of a command.
function literal.argument(it)
  if it.text then return it.eight and "literal8" or "literal", it.text end
  return it.eight and "stream8" or "stream", it.size
end

--- The next piece: a string, or nil at the end, or nil, why.
function literal.pull(it)
  local source = it.source
  local piece, why = source.first, nil
  source.first = nil
  if not piece or piece == "" then piece, why = content.pull(source) end
  if not piece or not it.mend then return piece, why end
  local text = crlf(piece, it.last)
  it.last = piece:byte(-1)
  return text
end

--- Gives back what opening it took.
function literal.close(it)
  if it.file then it.file:close() end
  it.file = nil
end

return literal
