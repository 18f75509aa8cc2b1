-- Our side of pop3-retr: every message of the mailbox as a string.

local common = require "spec.bench.ours.common"
local mail = require "mail"

mail.loop.run(function()
  local pop = assert(mail.pop3.connect(common.server()))
  local count, octets = 0, 0
  common.begin()
  for m in pop:messages() do
    octets = octets + #assert(m:retr())
    count = count + 1
  end
  common.finish(count, { octets = octets })
  pop:quit()
end)
