--- Messages: reading anything (RFC 5322, RFC 6532, RFC 2045 to 2049, RFC 2231, RFC 7103) and composing.
--
-- Parsing finds the structure and nothing else; header fields, text and attachments are decoded when they are
-- asked for. Malformed mail is no error: `msg.defects` lists what was wrong.
-- @module mail.message

local core = require "mail.core"
local Err = require "mail.err"
local part = require "mail.message.part"
local want = require "mail.want"
require "mail.message.text"
require "mail.message.attachment"
require "mail.message.report"
require "mail.message.trace"

local message = {}

local OPTIONS = { limits = "table?" }

local LIMITS = {
  depth = "number?", parts = "number?", header = "number?", headers = "number?", line = "number?",
  parameters = "number?",
}

-- Names and numbers of limits; raises at the line of who called the caller.
local function checked_limits(limits, what, level)
  if limits == nil then return nil end
  want(limits, LIMITS, what .. " limits", level)
  for name, n in pairs(limits) do
    if not (n >= 1 and n < 2 ^ 32 - 1) then
      error(("%s: limit '%s' must be a number of 1 or more"):format(what, name), level + 1)
    end
  end
  return limits
end

local function limits_of(options, what)
  if options == nil then return nil end
  local limits = checked_limits(want(options, OPTIONS, what, 2).limits, what, 3)
  return limits
end

--- Reads a message that lies in a string (which is kept, not copied).
-- @tparam string text the message, lines in CRLF, LF or CR
-- @tparam[opt] table options `limits`: `depth` (parts in parts, 100), `parts` (10,000), `header` (octets of one
--   header, 10 MiB), `headers` (of all together, 50 MiB), `line` (octets of one header field with its folds, 10
--   MiB), `parameters` (of one field, 1,000). What lies beyond a limit is kept as text without structure, and
--   is a defect
-- @treturn table the message: its own root part; see mail.message.part
function message.parse(text, options)
  if type(text) ~= "string" then error("mail.message.parse: a string expected, got " .. type(text), 2) end
  return part.new(core.message_parse(text, limits_of(options, "mail.message.parse")), 1)
end

--- Reads a message from a file. One of more than a megabyte is mapped into memory: it must not be cut short
-- while the message is in use.
-- @tparam string path
-- @tparam[opt] table options as of `parse`
-- @treturn table the message; or nil, err (kind "io")
function message.parse_file(path, options)
  if type(path) ~= "string" then error("mail.message.parse_file: a path expected, got " .. type(path), 2) end
  if path:find "%z" then error("mail.message.parse_file: a path cannot hold a NUL", 2) end
  local text, why = core.message_file(path, limits_of(options, "mail.message.parse_file"))
  if text then return part.new(text, 1) end
  return Err.nil_new { kind = "io", message = ("%s: %s"):format(path, why) }
end

--- Reads a message from a source.
-- @tparam function|table source (ltn12) gives piece after piece, nil at the end, or nil, err; or an object with
--   `source()`
-- @tparam[opt] table options as of `parse`
-- @treturn table the message; or nil, err (the source's own, or kind "io")
function message.parse_source(source, options)
  if type(source) == "table" and type(source.source) == "function" then source = source:source() end
  if type(source) ~= "function" then
    error("mail.message.parse_source: a function expected, got " .. type(source), 2)
  end
  local text = core.message_new(limits_of(options, "mail.message.parse_source"))
  while true do
    local piece, err = source()
    if piece == nil then
      if err == nil then return part.new(text:finish(), 1) end
      if Err.is(err) then return nil, err end
      return Err.nil_new { kind = "io", message = "the source failed: " .. tostring(err) }
    end
    if type(piece) ~= "string" then error("mail.message.parse_source: the source gave a " .. type(piece), 2) end
    text:put(piece)
  end
end

local READER = { limits = "table?", decode = "boolean?" }

--- A reader for messages of any size: it holds no more than one header field.
-- `reader:feed(bytes)` and `reader:finish()` give it the message; `reader:next()` → kind, … :
--
-- - `"part", depth, offset`: a part begins; the message itself is the first, of depth 1
-- - `"field", name, value, raw`: a header field; the value is decoded; `name` is empty for a stray line
-- - `"content", shape, type, parameters`: the header has ended; shape is "leaf", "multipart" or "message"
-- - `"body", bytes`: content of a leaf, decoded where `decode` is not false
-- - `"preamble", bytes` and `"epilogue", bytes`: what a multipart has around its parts
-- - `"part_end", depth`; `"defect", what, offset`; `"end"`, once
-- - nil: more has to be fed
-- @tparam[opt] table options `decode` (default true), `limits` as of `parse`
-- @treturn userdata reader
function message.reader(options)
  options = want(options or {}, READER, "mail.message.reader", 1)
  checked_limits(options.limits, "mail.message.reader", 2)
  return core.message_reader(options.decode ~= false, options.limits)
end

--- Walks through a message of any size: a gigabyte costs a piece of the source and one header field.
--
--     for event in mail.message.events(assert(io.open("big.eml", "rb"))) do
--       if event.kind == "content" then print(event.type) end
--     end
--
-- An event has a `kind`, and what `reader` tells with it, by name: "part" (`depth`, `offset`), "field" (`name`,
-- `value`, `raw`), "content" (`shape`, `type`, `parameters`), "body", "preamble" and "epilogue" (`data`),
-- "part_end" (`depth`), "defect" (`what`, `offset`), "end".
-- @tparam string|function|file|table from the message: text, a source (ltn12), an open file (left open), or a
--   message
-- @tparam[opt] table options as of `reader`
-- @return an iterator (see `mail.iterator`): where the source fails it raises the error in a `for`, and `it:next()` is
--   nil, err
function message.events(from, options)
  options = want(options or {}, READER, "mail.message.events", 1)
  checked_limits(options.limits, "mail.message.events", 2)
  local it, a, b, close = require "mail.message.events".new(from, options.decode ~= false, options.limits)
  if not it then
    error("mail.message.events: text, a source, an open file or a message expected, got " .. type(from), 2)
  end
  return it, a, b, close
end

--- True where `value` is a message or part that was parsed, or a message that was composed.
function message.is(value)
  return part.is(value) or (type(value) == "table" and require "mail.message.compose".is_composed(value))
end

--- What each `what` of `msg.defects` means, and what was read instead: a table, see mail.message.defects.
-- @table DEFECTS
message.DEFECTS = require "mail.message.defects"

--- A file name that cannot leave its folder, made of any text.
-- @tparam string name
-- @tparam[opt] string default where nothing of it can stay
-- @treturn string
function message.safe_name(name, default)
  local safe = require "mail.message.attachment".safe_name(name, default)
  return safe
end

--- Puts the pieces of a message that was sent in parts together (message/partial, RFC 2046 §5.2.2).
-- @tparam table pieces array of messages or strings, in any order
-- @treturn table the message; or nil, err (kind "invalid": a piece is missing, or of another message)
function message.join(pieces)
  local joined, err = require "mail.message.partial".join(pieces)
  return joined, err
end

--- Composes an answer; `forward` a message that passes this one on: see mail.message.reply.
function part.methods:reply(options)
  local made, err = require "mail.message.reply".reply(self, options)
  return made, err
end

function part.methods:forward(options)
  local made, err = require "mail.message.reply".forward(self, options)
  return made, err
end

--- Composes a message: see mail.message.compose.
-- @function new
-- @tparam table options `from`, `to`, `subject`, `text`, `html`, `attachments` …
-- @treturn table message; or nil, err

--- Composes a delivery status notification (a bounce): see mail.message.notify.
-- @function delivery_status
-- @tparam table options
-- @treturn table message; or nil, err

--- Composes a disposition notification (a read receipt): see mail.message.notify.
-- @function disposition
-- @tparam table options
-- @treturn table message; or nil, err

-- What composes is loaded when it is first asked for.
local COMPOSING = { new = "compose", delivery_status = "notify", disposition = "notify" }

return setmetatable(message, { __index = function(self, name)
  local module = COMPOSING[name]
  if not module then return nil end
  rawset(self, name, require("mail.message." .. module)[name])
  return rawget(self, name)
end })
