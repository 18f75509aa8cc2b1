--- What is signed and verified: a message in whatever form the caller has it, read once, in pieces.
--
-- The header is kept (`input.head`, a core object), the body passes by and is only digested. A string
-- costs nothing more; an open file, a source or a message costs one piece of memory.
-- @module mail.sign.input

local core = require "mail.core"
local Err = require "mail.err"

local input = {}
local Input = {}
Input.__index = Input

local PIECE = 65536

local function of_string(text)
  local at = 1
  return function()
    if at > #text then return nil end
    local piece = at == 1 and #text <= PIECE and text or text:sub(at, at + PIECE - 1)
    at = at + PIECE
    return piece
  end
end

local function of_file(file)
  return function()
    local piece, why = file:read(PIECE)
    return piece, why
  end
end

local function has(message, method)
  local kind = type(message)
  return (kind == "table" or kind == "userdata") and type(message[method]) == "function"
end

--- A function that gives the message's pieces, nil at its end, or nil, why.
function input.source(message, what, level)
  if type(message) == "string" then return of_string(message) end
  if type(message) == "function" then return message end
  if io.type(message) == "file" then return of_file(message) end
  if has(message, "source") then return message:source() end
  if has(message, "raw") then return of_string(message:raw()) end
  error(("%s: the message must be a string, an open file, a source function or a message, got %s")
    :format(what, io.type(message) or type(message)), (level or 1) + 1)
end

local function unread(why)
  if Err.is(why) then return nil, why end
  return nil, Err.new { kind = "io", message = "the message cannot be read: " .. tostring(why) }
end

-- The next piece that holds anything; nil at the end; nil, err.
function Input:piece()
  local piece, why
  repeat piece, why = self.next() until piece ~= ""
  if piece == nil then
    if why ~= nil then return unread(why) end
    return nil
  end
  if type(piece) ~= "string" then return unread("the source returned a " .. type(piece)) end
  if self.tap then self.tap(piece) end
  return piece
end

local function limit(why)
  return nil, Err.new { kind = "limit", message = why }
end

--- Reads a message up to its body.
-- @param message a string, an open file, a source function, or an object with `source()` or `raw()`
-- @tparam string what the call, for its errors
-- @tparam number level whose line is blamed for what is none of these
-- @tparam[opt] function tap is given every piece as it comes
-- @treturn table an input with `head`; or nil, err
function input.open(message, what, level, tap)
  local self = setmetatable({ next = input.source(message, what, level + 1), tap = tap }, Input)
  self.head = core.sign_head()
  while true do
    local piece, err = self:piece()
    if err then return nil, err end
    if not piece then
      local whole, why = self.head:finish()
      if not whole then return limit(why) end
      self.ended = true
      return self
    end
    local whole, used = self.head:add(piece)
    if whole == nil then return limit(used) end
    if whole then
      self.rest, self.rest_at = piece, used + 1
      return self
    end
  end
end

--- Passes the body through digests made by `core.sign_body`.
-- @tparam {body,...} bodies
-- @treturn boolean true; or nil, err
function Input:digest(bodies)
  for _, body in ipairs(bodies) do
    if self.rest then body:add(self.rest, self.rest_at) end
  end
  self.rest = nil
  while not self.ended do
    local piece, err = self:piece()
    if err then return nil, err end
    if not piece then self.ended = true break end
    for _, body in ipairs(bodies) do body:add(piece) end
  end
  return true
end

return input
