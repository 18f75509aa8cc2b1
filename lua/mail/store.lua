--- What mail.maildir and mail.mbox share: errors, what a message to be stored may be, and reading one whole.
-- @module mail.store

local content = require "mail.content"
local Err = require "mail.err"

local store = {}

-- How much is read from a file at a time.
store.PIECE = 65536

--- The two ways in which calls of a store fail.
-- @tparam string name of the store, in front of each message
-- @treturn function fail(kind, format, …) → nil, err
-- @treturn function refused(path, why, word) → nil, err of kind "io": what the system said; the word ("missing",
--   "exists", "full" …) becomes `err.reason`
function store.errors(name)
  local function fail(kind, message, ...)
    return Err.nil_new { kind = kind, message = name .. ": " .. message:format(...) }
  end
  local function refused(path, why, word)
    return Err.nil_new { kind = "io", message = ("%s: %s: %s"):format(name, path, why), reason = word }
  end
  return fail, refused
end

--- What a message to be stored is, as a source function (ltn12).
-- @param message a string, an open file, a source function, or an object with `source()`
-- @tparam string what the call, for the error where it is none of these
-- @tparam number level whose line is blamed then
function store.source(message, what, level)
  local kind = type(message)
  if kind == "string" then
    local text = message
    return function()
      local piece = text
      text = nil
      return piece
    end
  elseif kind == "function" then
    return message
  elseif io.type(message) == "file" then
    return function() return message:read(store.PIECE) end
  elseif (kind == "table" or kind == "userdata") and type(message.source) == "function" then
    return message:source()
  end
  error(("%s: the message must be a string, an open file, a source function or a message, got %s")
    :format(what, io.type(message) or kind), level + 1)
end

--- Pulls every piece out of a source, as `content.pull` does, and hands it to `put(piece)`.
-- @tparam table source `{fn=}`; `raised` is set where it raised
-- @tparam function put → true; or nil, err
-- @tparam function fail of `store.errors`
-- @treturn boolean true; or nil, err
function store.drain(source, put, fail)
  while true do
    local piece, why = content.pull(source)
    if not piece then
      if why == nil then return true end
      source.why = why
      return fail("io", "the message cannot be read: %s", tostring(why))
    end
    local ok, err = put(piece)
    if not ok then return nil, err end
  end
end

--- Gives a class of stored messages, which have `source()`, the calls that follow from it.
function store.readable(Message)
  --- The whole message as a string; or nil, err.
  function Message:string()
    local source, pieces = self:source(), {}
    while true do
      local piece, err = source()
      if not piece then
        if err then return nil, err end
        return table.concat(pieces)
      end
      pieces[#pieces + 1] = piece
    end
  end

  --- The message, parsed (`mail.message`); or nil, err.
  function Message:message()
    local text, err = self:string()
    if not text then return nil, err end
    return require("mail.message").parse(text)
  end
end

return store
