-- No loop at all: every wait is a poll(2).
local native = require "spec.bench.ours.loops.native"

return { adapter = "blocking", dial = native.dial, run = function(fn) fn() end }
