-- Our side of imap-meta: what a mail client shows of every message, as Lua tables, streamed.

local common = require "spec.bench.ours.common"
local mail = require "mail"

mail.loop.run(function()
  local imap = assert(mail.imap.connect(common.server()))
  assert(imap:examine("INBOX"))
  local count = 0
  common.begin()
  for m in assert(imap:fetch("1:*", { "uid", "flags", "internaldate", "size", "envelope", "bodystructure" })) do
    if m.envelope and m.bodystructure then count = count + 1 end
  end
  common.finish(count)
  imap:logout()
end)
