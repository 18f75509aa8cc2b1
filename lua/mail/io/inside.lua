--- The rule of every loop that resumes coroutines: what waits, waits in one.
--
-- On the main thread nobody could resume the caller, and to block there would stall the whole loop. So
-- connecting gives `nil, err`, and a wait of a session that is used there all the same raises.
-- @module mail.io.inside

local Err = require "mail.err"

local inside = {}

--- Whether the caller runs in a coroutine.
function inside.coroutine()
  local co, main = coroutine.running()
  return co ~= nil and not main
end

--- A function that returns the running coroutine, and raises `rule` outside of one.
-- @tparam string rule
function inside.current(rule)
  return function()
    local co, main = coroutine.running()
    if co and not main then return co end
    error(rule, 0)
  end
end

--- Makes `connect` of a completed adapter refuse what would raise in the middle of it.
-- @tparam table host
-- @tparam string rule
-- @treturn table host
function inside.guard(host, rule)
  local connect = host.connect
  function host.connect(...)
    if inside.coroutine() then return connect(...) end
    return nil, Err.new { kind = "unsupported", message = rule, temporary = false }
  end
  return host
end

return inside
