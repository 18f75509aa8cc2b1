-- Our side of imap-body: whole messages, handed piece by piece to a sink (how=sink) or as strings
-- (how=string); with all=1 under every extension that can be enabled, mod-sequences asked for.

local common = require "spec.bench.ours.common"
local mail = require "mail"

local octets = 0
local function sink(_, _, chunk) octets = octets + #chunk end

mail.loop.run(function()
  local options, items = common.server(), { "uid", "body" }
  if common.options.all == 1 then options.enable, items[3] = { "QRESYNC", "UTF8=ACCEPT", "IMAP4rev2" }, "modseq" end
  local imap = assert(mail.imap.connect(options))
  assert(imap:examine("INBOX"))
  local streamed = common.options.how == "sink"
  local count = 0
  common.begin()
  for m in assert(imap:fetch("1:*", items, { sink = streamed and sink or nil })) do
    if not streamed then octets = octets + #m.body[""] end
    count = count + 1
  end
  common.finish(count, { octets = octets })
  imap:logout()
end)
