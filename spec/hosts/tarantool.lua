-- The checks of io_conformance.lua in Tarantool, whose Lua is a LuaJIT 2.1: by another Lua this program finds it
-- and runs itself in it, with the paths that it was given.
local child = require "spec.support.child"
local common = require "spec.hosts.common"

local tarantool = rawget(_G, "_TARANTOOL")
if not tarantool then
  local unpacked = child.root .. "/build/servers/hosts/usr/bin/tarantool"
  local pipe = io.popen(("ls %s 2>/dev/null || command -v tarantool"):format(child.quote(unpacked)))
  local program = pipe:read "*l"
  pipe:close()
  if not program then return print "missing tarantool is neither unpacked nor installed" end
  local done = os.execute(("exec %s %s"):format(child.quote(program), arg[0]))
  os.exit((done == true or done == 0) and 0 or 1)
end

common.version("Tarantool " .. tarantool)
common.run("tarantool", { cancel = function(fiber) fiber:cancel() end })
os.exit(0)
