--- Lua libraries of Debian's packages that `make deps` unpacks under build/servers: nothing is installed for them.

local files = require "spec.support.files"

local packages = {}

local here = debug.getinfo(1, "S").source:match "^@(.*)spec/support/packages%.lua$"
local ROOT = (here == "" and "." or here) .. "/build/servers/"

-- LuaJIT takes what is made for 5.1.
local VERSION = _VERSION:match "%d+%.%d+"

-- Debian's name for this kind of machine, "x86_64-linux-gnu".
local function architecture(folder)
  return files.shell("ls -d '" .. folder .. "'/usr/lib/*-linux-* 2>/dev/null"):match "[^\n]+"
end

--- Makes `require` find what was unpacked under that name, before what is installed.
-- @tparam string name as in spec/servers/unpack.sh
-- @tparam string package Debian's
-- @treturn string the package's version; nil where neither was unpacked nor installed by Debian's means
function packages.add(name, package_name)
  local list = files.read(ROOT .. name .. "/complete")
  if list then
    local folder = ROOT .. name
    package.path = ("%s/usr/share/lua/%s/?.lua;%s/usr/share/lua/%s/?/init.lua;"):format(folder, VERSION, folder,
      VERSION) .. package.path
    local libraries = architecture(folder)
    if libraries then package.cpath = ("%s/lua/%s/?.so;"):format(libraries, VERSION) .. package.cpath end
    return list:match("%f[%w]" .. package_name:gsub("%p", "%%%0") .. "_([^_]+)_")
  end
  local version = files.shell("dpkg-query -W -f '${Version}' " .. package_name .. " 2>/dev/null")
  return version ~= "" and version or nil
end

--- What `require` gives, or nil where there is no such module for this Lua. One that is there and does not load
-- raises: a library that it needs has gone, and that is no reason to skip a spec.
function packages.load(name)
  local found, module = pcall(require, name)
  if found then return module end
  if not tostring(module):find("module '" .. name .. "' not found", 1, true) then error(module, 0) end
end

return packages
