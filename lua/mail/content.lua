--- Content that is sent in pieces: open files, source functions, messages.
--
-- A source is asked for the next piece only when the core says that there is room (event "go"), so
-- a message of any size costs one piece of memory. A source that fails ends the session without the
-- final dot: no half message is ever delivered.
-- @module mail.content

local guarded = require "mail.guarded"

local content = {}

-- How much is read from a file, and handed to the core, at a time.
local PIECE = 65536

-- So many empty pieces in a row are none of a filter that gathers: without an end to them nothing else ever runs.
local EMPTY_MAX = 1000000

--- A source (ltn12) of one string; without it, one that gives nil and `why`.
function content.once(text, why)
  return function()
    local piece = text
    text = nil
    if piece then return piece end
    return nil, why
  end
end

local function file_source(file)
  return function() return file:read(PIECE) end
end

local function file_size(file)
  local here = file:seek()
  local size = here and file:seek("end")
  if size then file:seek("set", here) end
  return size and size - here
end

-- The next piece, at most PIECE long: a string, or nil at the end, or nil, reason.
function content.pull(source)
  local held = source.held
  if held then
    local from = source.held_at
    source.held_at = from + PIECE
    if source.held_at > #held then source.held = nil end
    return held:sub(from, from + PIECE - 1)
  end
  if source.ended then return nil end
  local piece
  local empty = 0
  while not piece or piece == "" do
    empty = empty + 1
    if empty > EMPTY_MAX then return nil, "the source gives empty pieces without end" end
    local ok, err
    ok, piece, err = guarded(source.fn)
    if not ok then
      source.raised = true
      return nil, piece
    end
    if piece == nil then
      source.ended = true
      return nil, err
    end
    if type(piece) ~= "string" then return nil, "the source returned a " .. type(piece) end
  end
  if #piece > PIECE then
    source.held, source.held_at = piece, PIECE + 1
    piece = piece:sub(1, PIECE)
  end
  return piece
end

--- The size of a message that was composed here, which it knows before it is read; nil of any other.
function content.size(message)
  return type(message) == "table" and message.is_composed and message:octets() or nil
end

local function failed(pump, source, why)
  if source.raised then
    if not pump.failure then pump:fail(pump:error("closed", "the message's source raised an error")) end
    error(why, 0)
  end
  local command = pump.protocol == "smtp" and "DATA" or nil -- of IMAP it is the caller's to name
  return pump:error("io", "the message cannot be read: " .. tostring(why), { command = command })
end

--- Opens content and reads its first piece, by which the extensions that it needs are told.
-- @tparam Pump pump the session's
-- @param message an open file, a source function (ltn12), or an object with `source()`
-- @tparam ?number size octets, where the caller knows
-- @tparam string what the call, for the message where `message` is none of these
-- @tparam number level whose line is blamed then
-- @treturn table source; size or nil; its first piece; or nil, nil, nil, err
function content.open(pump, message, size, what, level)
  local fn
  if io.type(message) == "file" then
    fn = file_source(message)
    size = size or file_size(message)
  elseif type(message) == "function" then
    fn = message
  elseif (type(message) == "table" or type(message) == "userdata") and type(message.source) == "function" then
    fn = message:source()
    size = size or content.size(message)
  else
    error(("%s: the message must be a string, an open file, a source function or a message, got %s")
      :format(what, io.type(message) or type(message)), level + 1)
  end
  local source = { fn = fn }
  local first, why = content.pull(source)
  if not first and why ~= nil then return nil, nil, nil, failed(pump, source, why) end
  source.first = first or ""
  return source, size, source.first
end

--- Gives the core the next piece, or the end, of command `id`.
-- @treturn boolean true; or nil, err, and the session is closed
function content.give(pump, id, source)
  local piece, why = source.first, nil
  source.first = nil
  if piece == nil or piece == "" then piece, why = content.pull(source) end
  if pump.failure then return pump:failed() end
  if piece == nil and why ~= nil then
    pump:abandon(id)
    return nil, failed(pump, source, why)
  end
  local ok, kind, reason
  if piece == nil then
    ok, kind, reason = pump.session:give_end(id)
  else
    ok, kind, reason = pump.session:give(id, piece)
  end
  if ok then return true end
  pump:abandon(id)
  return nil, pump:error(kind, reason, { command = "DATA" })
end

return content
