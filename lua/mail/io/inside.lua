--- The rule of every loop that resumes coroutines: what waits, waits in one.
--
-- On the main thread nobody could resume the caller, and to block there would stall the whole loop.
-- @module mail.io.inside

local Err = require "mail.err"

local inside = {}

--- Whether the caller runs in a coroutine: an adapter's `usable`.
function inside.coroutine()
  local co, main = coroutine.running()
  return co ~= nil and not main
end

--- A function that gives the running coroutine; or nil, err outside of one.
-- @tparam string rule the error's message
function inside.current(rule)
  return function()
    local co, main = coroutine.running()
    if co and not main then return co end
    return nil, Err.new { kind = "unsupported", message = rule, temporary = false }
  end
end

return inside
