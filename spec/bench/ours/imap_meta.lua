-- Our side of imap-meta and imap-compress: what a mail client shows of every message, as Lua tables, streamed; with
-- all=1 under every extension that can be enabled, mod-sequences asked for; with compress=1 deflated.

local common = require "spec.bench.ours.common"
local mail = require "mail"

local o = common.options
local items = { "uid", "flags", "internaldate", "size", "envelope", "bodystructure" }
if o.all == 1 then items[#items + 1] = "modseq" end

mail.loop.run(function()
  local options = common.server()
  options.compress = o.compress == 1 or nil
  options.enable = o.all == 1 and { "QRESYNC", "UTF8=ACCEPT", "IMAP4rev2" } or nil
  local imap = assert(mail.imap.connect(options))
  assert(imap:examine("INBOX"))
  local count = 0
  local before = common.wire(imap)
  common.begin()
  for m in assert(imap:fetch("1:*", items)) do
    if m.envelope and m.bodystructure then count = count + 1 end
  end
  common.finish(count, { wire = common.wire(imap) - before })
  imap:logout()
end)
