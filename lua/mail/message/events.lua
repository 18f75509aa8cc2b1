--- A message of any size, walked through without being held: the events of its parser, one after the other.
--
-- For `mail.message.events`. What is held at a time is a piece of the source and one header field. The
-- reader below (`mail.message.reader`) is the same for who feeds by hand.
-- @module mail.message.events

local core = require "mail.core"
local Err = require "mail.err"
local iterator = require "mail.iterator"

-- How much is fed at a time: a source may give more, and that is cut.
local PIECE = 65536

local function failed(why)
  if Err.is(why) then return nil, why end
  return Err.nil_new { kind = "io", message = "the source failed: " .. tostring(why) }
end

-- --- sources --------------------------------------------------------------------------------------

local function string_source(text)
  local at = 1
  return function()
    if at > #text then return nil end
    at = at + PIECE
    return text:sub(at - PIECE, at - 1)
  end
end

-- A function gives pieces of any size; they are handed on in small ones.
local function cut(fn, what)
  local held, at
  return function()
    while not held do
      local piece, why = fn()
      if piece == nil then return nil, why end
      if type(piece) ~= "string" then error(("%s: the source gave a %s"):format(what, type(piece)), 0) end
      if #piece <= PIECE then return piece end
      held, at = piece, 1
    end
    local piece = held:sub(at, at + PIECE - 1)
    at = at + PIECE
    if at > #held then held = nil end
    return piece
  end
end

-- Text, an open file, a source, or an object that has one: as a source. Nil where it is none of these.
local function source_of(from, what)
  local kind = type(from)
  if kind == "string" then return string_source(from) end
  if kind == "function" then return cut(from, what) end
  if kind ~= "table" and kind ~= "userdata" then return nil end
  if io.type(from) == "file" or (io.type(from) == nil and type(from.source) ~= "function" and from.read) then
    return function() return from:read(PIECE) end
  end
  if io.type(from) == nil and type(from.source) == "function" then return cut(from:source(), what) end
end

-- --- events ---------------------------------------------------------------------------------------

-- What stands behind the kind of each event.
local FIELDS = {
  part = { "depth", "offset" }, field = { "name", "value", "raw" }, content = { "shape", "type", "parameters" },
  body = { "data" }, preamble = { "data" }, epilogue = { "data" }, part_end = { "depth" },
  defect = { "what", "offset" }, ["end"] = {},
}

local function event(kind, a, b, c)
  local names = FIELDS[kind]
  local made = { kind = kind }
  if names[1] then made[names[1]] = a end
  if names[2] then made[names[2]] = b end
  if names[3] then made[names[3]] = c end
  return made
end

local function advance(self)
  while true do
    local kind, a, b, c = self.reader:next()
    if kind then return event(kind, a, b, c) end
    if self.fed_all then return nil end
    local piece, why = self.source()
    if piece then
      self.reader:feed(piece)
    elseif why ~= nil then
      return failed(why)
    else
      self.fed_all = true
      self.reader:finish()
    end
  end
end

local Events = iterator.class(advance, function(self) self.reader, self.source = nil, nil end)

local events = {}

--- See `mail.message.events`.
-- @tparam string|function|file|table from
-- @tparam boolean decode
-- @tparam ?table limits
-- @return an iterator; nil where `from` is no source
function events.new(from, decode, limits)
  local source = source_of(from, "mail.message.events")
  if not source then return nil end
  return iterator.results(setmetatable({ source = source, reader = core.message_reader(decode, limits) }, Events))
end

return events
