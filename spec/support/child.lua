--- Programs in Lua that a spec starts beside itself: by the interpreter that runs the spec, with its paths.
local Keeper = require "spec.servers.keeper"

local child = { quote = Keeper.quote, shell = Keeper.shell, root = Keeper.root }

--- The interpreter that runs this suite.
function child.interpreter()
  local i = 0
  while arg[i - 1] do i = i - 1 end
  return arg[i]
end

-- In a sanitized run an interpreter needs the sanitizer in front, too (spec/tools/unpreload.c).
local function sanitizer()
  local maps = package.cpath:find("/build/asan/", 1, true) and io.open "/proc/self/maps"
  local library = maps and maps:read("*a"):match "(/%S*/libasan%.so%S*)"
  if maps then maps:close() end
  if not library then return "" end
  return "LD_PRELOAD=" .. library .. ":" .. package.cpath:match "(/[^;]*/build/asan/)" .. "unpreload.so "
end

--- The beginning of a command line that runs a Lua program of this tree: `child.lua() .. "spec/x.lua arg"`.
-- @tparam[opt] string environment "NAME=value …"
-- @tparam[opt] number bound seconds after which it is ended
function child.lua(environment, bound)
  local quote = Keeper.quote
  return ("cd %s && exec %s env LUA_PATH=%s LUA_CPATH=%s %s%s %s "):format(quote(Keeper.root),
    bound and "timeout " .. bound or "", quote(package.path), quote(package.cpath), sanitizer(), environment or "",
    quote(child.interpreter()))
end

return child
