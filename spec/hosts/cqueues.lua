-- The checks of io_conformance.lua under cqueues.
local common = require "spec.hosts.common"
local packages = require "spec.support.packages"

local version = packages.add("cqueues", "lua-cqueues")
local cqueues = packages.load "cqueues"
if not cqueues then return print("missing cqueues (Debian: lua-cqueues) is not there for this Lua") end

common.version("cqueues " .. (version or cqueues.VERSION))
local controller = cqueues.new()
controller:wrap(function() common.run "cqueues" end)
assert(controller:loop())
