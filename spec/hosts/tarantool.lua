-- The checks of io_conformance.lua in Tarantool, whose Lua is a LuaJIT 2.1: by another Lua this program finds it
-- and runs itself in it, with the paths that it was given.
local common = require "spec.hosts.common"

local tarantool = rawget(_G, "_TARANTOOL")
if not tarantool then
  local program = io.popen("command -v tarantool"):read "*l"
  if not program then return print "missing tarantool is not there" end
  local done = os.execute(("exec %s %s"):format(program, arg[0]))
  os.exit((done == true or done == 0) and 0 or 1)
end

common.version("Tarantool " .. tarantool)
common.run("tarantool", { cancel = function(fiber) fiber:cancel() end, kills = nil })
os.exit(0)
