-- The checks of io_conformance.lua under copas, 4 or later: one on the path, or under the folder that COPAS4 names
-- (a LuaRocks tree, or copas.lua and what it needs side by side).
local common = require "spec.hosts.common"
local packages = require "spec.support.packages"

packages.add("hosts", "lua-socket")
local folder = os.getenv "COPAS4"
if folder and folder ~= "" then
  local lua = _VERSION:match "%d%.%d"
  package.path = table.concat({ folder .. "/?.lua", folder .. "/?/init.lua", folder .. "/share/lua/" .. lua .. "/?.lua",
    folder .. "/share/lua/" .. lua .. "/?/init.lua", package.path }, ";")
  package.cpath = table.concat({ folder .. "/?.so", folder .. "/lib/lua/" .. lua .. "/?.so", package.cpath }, ";")
end

local copas = packages.load "copas"
if not copas then return print "missing copas 4 is neither on the path nor under COPAS4" end
if tonumber(copas._VERSION:match "%d+") < 4 then return print("missing copas 4: there is " .. copas._VERSION) end

common.version(copas._VERSION)
copas.addthread(function() common.run("copas", { cancel = copas.removethread, kills = true }) end)
copas.loop()
