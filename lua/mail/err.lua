--- Error objects: what every call returns behind nil.
--
-- A table with the fields of the public contract (kind, message, temporary, protocol, command, code,
-- enhanced, response_code, text, rejected …) and `__tostring`. Made here and nowhere else, so that no
-- secret can slip into one: `err.mask` is applied by the pump, which knows the session's secrets.
-- @module mail.err

local Err = {}
Err.__index = Err
Err.__name = "mail.error"

-- Kinds that are worth another try later, whatever the peer said.
local TEMPORARY = { timeout = true, closed = true, unknown = true }

--- Makes an error object.
-- @tparam table fields `kind` and `message` are required; `temporary` follows from the kind and the
--   reply code (4xx) where it is left out
-- @treturn table the error object
function Err.new(fields)
  assert(fields.kind and fields.message, "an error needs a kind and a message")
  if fields.temporary == nil then
    local code = tonumber(fields.code)
    fields.temporary = TEMPORARY[fields.kind] or (code ~= nil and code >= 400 and code < 500) or false
  end
  return setmetatable(fields, Err)
end

--- True where `value` was made by `Err.new`.
function Err.is(value)
  return getmetatable(value) == Err
end

--- `nil, err` in one go.
function Err.nil_new(fields)
  return nil, Err.new(fields)
end

function Err:__tostring()
  local where = self.protocol and (self.command and self.protocol .. " " .. self.command or self.protocol)
  if where then return where .. ": " .. self.message end
  return self.message
end

return Err
