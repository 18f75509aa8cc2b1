-- Our side of big-message: one message of any size into a file.

local common = require "spec.bench.ours.common"
local mail = require "mail"

mail.loop.run(function()
  local imap = assert(mail.imap.connect(common.server()))
  assert(imap:examine("INBOX"))
  local file = assert(io.open(common.options.file, "wb"))
  local octets = 0
  local function sink(_, _, chunk)
    octets = octets + #chunk
    assert(file:write(chunk))
  end
  common.begin()
  for _ in assert(imap:fetch("1", { "body" }, { sink = sink })) do
    file:flush()
  end
  common.finish(1, { octets = octets })
  file:close()
  imap:logout()
end)
