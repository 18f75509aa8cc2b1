--- Messages that can be sent again: a pool may need a second connection after the first piece was read.
--
-- What is read before an envelope is accepted is little (the header, by which the envelope and the needed
-- extensions are told), so it is kept here; what is read later is not, and such a message is not sent again.
-- @module mail.smtp.pool.replay

local replay = {}

-- More than the header that mail.envelope reads, and a piece.
local KEPT = 2097152

-- A source that remembers its beginning.
local function recorder(fn)
  local pieces, octets, at = {}, 0, 0
  local self = {}
  function self.read()
    if pieces and at < #pieces then
      at = at + 1
      return pieces[at]
    end
    local piece, why = fn()
    if pieces and type(piece) == "string" then
      octets = octets + #piece
      if octets > KEPT then
        pieces = nil
      else
        at = at + 1
        pieces[at] = piece
      end
    end
    return piece, why
  end
  function self.rewind()
    at = 0
    return pieces ~= nil
  end
  return self
end

-- The options with another message.
local function with(options, message, size)
  local copy = {}
  for name, value in pairs(options) do copy[name] = value end
  copy.message, copy.size = message, size
  return copy
end

--- Options of `send` whose message can be read from its beginning again, as far as that is possible.
-- @tparam table options `message` is no string
-- @treturn table options, perhaps others
-- @treturn function rewind() → boolean
function replay.options(options)
  local message = options.message
  if io.type(message) == "file" then
    local start = message:seek()
    if start then
      return options, function() return message:seek("set", start) ~= nil end
    end
    local record = recorder(function() return message:read(65536) end)
    return with(options, record.read, options.size), record.rewind
  end
  if type(message) == "function" then
    local record = recorder(message)
    return with(options, record.read, options.size), record.rewind
  end
  if type(message) == "table" and message.is_composed and message.is_fleeting then
    return options, function() return not message:is_fleeting(true) end
  end
  return options, function() return true end -- an object gives a new source each time
end

return replay
