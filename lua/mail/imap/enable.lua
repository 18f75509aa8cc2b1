--- Extensions that a call needs and that are switched on once in the life of a session (RFC 5161). `imap:enable` is
-- in features.lua.
-- @module mail.imap.enable

local features = require "mail.imap.features"

local enable = {}

--- Switches an extension on, unless it is on already.
-- @tparam table pump
-- @tparam string name in upper case: "QRESYNC"
-- @tparam[opt] table options `timeout`
-- @return true; or nil, err: kind "unsupported" where the server does not have it, or does not say that it is on
function enable.ensure(pump, name, options)
  if pump.failure then return nil, pump.failure end
  if pump.enabled and pump.enabled[name] then return true end
  if not pump.session:has_capability(name) then
    return nil, pump:error("unsupported", "the server lacks " .. name, { command = "ENABLE" })
  end
  local set, err = features.enable(pump, { name }, options)
  if not set then return nil, err end
  if pump.enabled[name] then return true end
  return nil, pump:error("unsupported", "the server did not enable " .. name, { command = "ENABLE" })
end

return enable
