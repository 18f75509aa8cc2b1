-- Our side of big-message: one message of any size out of a file.

local common = require "spec.bench.ours.common"
local mail = require "mail"

mail.loop.run(function()
  local smtp = assert(mail.smtp.connect(common.smtp_server()))
  local file = assert(io.open(common.options.file, "rb"))
  common.begin()
  assert(smtp:send { from = "bench@example.test", to = { "sink@example.test" }, message = file })
  common.finish(1, { octets = file:seek("end") })
  smtp:quit()
end)
