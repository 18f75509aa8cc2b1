--- What the option `limits` of a connection means for the core's limits, where one name speaks of two of them.
-- @module mail.limits

local identity = require "mail.identity"

local limits = {}

-- The default of `line`, which no response of IMAP keeps to: one SEARCH tells of thousands of messages.
local LINE = 8192

--- The limits of a session, from those of the user, whose table stays as it is.
--
-- - `message` holds for bodies in memory; for those that are handed on in pieces, too, where it is set by hand and
--   `stream` is not.
-- - `line`, where it is not the default, bounds what stands in a response of IMAP beside its literals, as `response`
--   does.
-- @tparam ?table given
-- @tparam string protocol
-- @treturn ?table
function limits.settle(given, protocol)
  if not given then return nil end
  local own = identity.copy(given)
  if own.stream == nil then own.stream = given.message end
  if protocol == "imap" and own.response == nil and given.line ~= LINE then own.response = given.line end
  return own
end

return limits
