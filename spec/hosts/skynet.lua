-- The checks of io_conformance.lua in a service of skynet: SKYNET names the folder of one that was built.
--
-- Run by a plain Lua this program sees to a core for skynet's own Lua (build/skynet), writes a configuration and
-- starts skynet, which runs this very file as its first service. Nothing listens: no harbor, no console.
local function service(skynet)
  require "skynet.manager"
  local common = require "spec.hosts.common"
  skynet.start(function()
    skynet.fork(function()
      common.version "skynet"
      local ok, why = pcall(common.run, "skynet", { cancel = skynet.killthread, kills = true })
      if not ok then print("not ok the run as a whole: " .. tostring(why)) end
      io.flush()
      skynet.abort()
    end)
  end)
end

local inside, skynet = pcall(require, "skynet")
if inside then return service(skynet) end

local Keeper = require "spec.servers.keeper"
local child = require "spec.support.child"
local quote = child.quote

local folder = os.getenv "SKYNET"
if not folder or folder == "" then return print "missing skynet: SKYNET names no folder" end
local made, said = child.shell(("cd %s && make -s -j2 BUILD=build/skynet LUA_INCDIR=%s all")
  :format(quote(child.root), quote(folder .. "/3rd/lua")))
if not made then return print("missing a core for skynet's Lua: " .. said) end

local keeper = assert(Keeper.new({ program = "/bin/true" }, {}))
local function setting(name, value) return ("%s = %q\n"):format(name, value) end
local config = keeper.folder .. "/config"
local file = assert(io.open(config, "w"))
file:write("thread = 2\nharbor = 0\n", setting("logger", keeper.folder .. "/log"), setting("start", "skynet"),
  setting("bootstrap", "snlua bootstrap"), setting("cpath", folder .. "/cservice/?.so"),
  setting("luaservice", folder .. "/service/?.lua;" .. child.root .. "/spec/hosts/?.lua"),
  setting("lualoader", folder .. "/lualib/loader.lua"),
  setting("lua_path", folder .. "/lualib/?.lua;" .. folder .. "/lualib/?/init.lua;" .. package.path),
  setting("lua_cpath", folder .. "/luaclib/?.so;" .. child.root .. "/build/skynet/?.so"))
file:close()
local pipe = io.popen(("exec %s %s"):format(quote(folder .. "/skynet"), quote(config)))
local ended
for line in pipe:lines() do
  print(line)
  ended = line:find "^%d+ passed"
end
pipe:close()
if not ended then
  for line in io.lines(keeper.folder .. "/log") do print("# " .. line) end
end
keeper:close()
