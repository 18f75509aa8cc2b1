-- The checks of io_conformance.lua on the library's own loop.
local common = require "spec.hosts.common"
local loop = require "mail.loop"

common.version "mail.loop"
loop.run(function()
  common.run("native", { cancel = function(task) task:cancel() end })
end)
