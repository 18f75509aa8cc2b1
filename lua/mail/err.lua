--- Error objects: what every call returns behind nil.
--
-- A table with the fields of the public contract (kind, message, temporary, protocol, command, code,
-- enhanced, response_code, text, rejected …) and `__tostring`. Made here and nowhere else, so that no
-- secret can slip into one: `err.mask` is applied by the pump, which knows the session's secrets.
--
-- - `kind`: "dns", "connect", "timeout", "closed", "tls", "auth", "rejected" (the peer said no), "protocol" (it
--   broke the grammar), "limit" (of ours), "unsupported" (the peer cannot), "cancelled", "io" (a file, a source, a
--   sink), "invalid" (cannot be sent), "unknown" (a message left whole and was not answered: it may or may not have
--   been taken), "uidvalidity"; of S/MIME "verify" and "decrypt"
-- - `message`: one line for humans, which `tostring(err)` puts the protocol and the command before; no secret is in it
-- - `temporary`: true where trying again later may help
-- - `protocol`, `command`; `code` (550) and `enhanced` ("5.1.1") of SMTP, `response_code` ("TRYCREATE", "IN-USE") of
--   IMAP and POP3; `text`: the peer's own words; `rejected`: recipient → error, where nobody got the message
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
