--- ENABLE (RFC 5161): what is switched on once, for the life of a session.
-- @module mail.imap.enable

local run = require "mail.imap.run"

local enable = {}

--- Switches an extension on, unless it is on already.
-- @tparam table pump
-- @tparam string name in upper case: "QRESYNC"
-- @return true; or nil, err: kind "unsupported" where the server does not have it, or does not say that it is on
function enable.ensure(pump, name, options)
  if pump.failure then return nil, pump.failure end
  pump.enabled = pump.enabled or {}
  if pump.enabled[name] then return true end
  if not pump.session:has_capability(name) then
    return nil, pump:error("unsupported", "the server lacks " .. name, { command = "ENABLE" })
  end
  local ok, err = run.call(pump, options, function(what, _, value)
    if what ~= "ENABLED" then return end
    for enabled in pairs(value or {}) do pump.enabled[enabled] = true end
  end, "ENABLE", "text", name)
  if not ok then return nil, err end
  if pump.enabled[name] then return true end
  return nil, pump:error("unsupported", "the server did not enable " .. name, { command = "ENABLE" })
end

return enable
