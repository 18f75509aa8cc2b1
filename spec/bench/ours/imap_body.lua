-- Our side of imap-body: whole messages, handed piece by piece to a sink (how=sink) or as strings
-- (how=string).

local common = require "spec.bench.ours.common"
local mail = require "mail"

local octets = 0
local function sink(_, _, chunk) octets = octets + #chunk end

mail.loop.run(function()
  local imap = assert(mail.imap.connect(common.server()))
  assert(imap:examine("INBOX"))
  local streamed = common.options.how == "sink"
  local count = 0
  common.begin()
  for m in assert(imap:fetch("1:*", { "uid", "body" }, { sink = streamed and sink or nil })) do
    if not streamed then octets = octets + #m.body[""] end
    count = count + 1
  end
  common.finish(count, { octets = octets })
  imap:logout()
end)
