-- The checks of io_conformance.lua without any loop; in a coroutine, to show that it does not matter.
local common = require "spec.hosts.common"

common.version "poll(2)"
assert(coroutine.resume(coroutine.create(function() common.run "blocking" end)))
