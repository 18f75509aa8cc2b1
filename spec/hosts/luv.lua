-- The checks of io_conformance.lua under libuv.
local common = require "spec.hosts.common"
local packages = require "spec.support.packages"

local version = packages.add("hosts", "lua-luv")
local uv = packages.load "luv"
if not uv then return print("missing luv (Debian: lua-luv) is not there for this Lua") end

common.version(("luv %s, libuv %s"):format(version or "?", uv.version_string()))
-- From 5.4 on a parked coroutine can be closed.
local close = coroutine.close -- luacheck: ignore
coroutine.wrap(function() common.run("luv", { cancel = close, kills = true, closes = close ~= nil }) end)()
uv.run()
