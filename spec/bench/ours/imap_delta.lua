-- Our side of imap-delta: what another connection has changed since a mailbox was left, by SELECT with QRESYNC.

local common = require "spec.bench.ours.common"
local mail = require "mail"

local o = common.options

-- Flags of some messages, spread over the mailbox, are changed by somebody else; each run turns them round.
local function change(imap, box)
  local uids, step = {}, math.floor(box.exists / o.changes)
  for i = 1, o.changes do uids[i] = i * step end
  local flagged = #assert(imap:search { flagged = true, uid = uids }) > 0
  assert(imap:store(uids, { [flagged and "remove" or "add"] = "\\Flagged" }, { silent = true }))
end

mail.loop.run(function()
  local other = assert(mail.imap.connect(common.server()))
  local box = assert(other:select "INBOX")
  local uids = ("1:%.0f"):format(box.exists)
  local saved = { uidvalidity = box.uidvalidity, modseq = box.highestmodseq, uids = uids }
  change(other, box)
  local options, trips = common.server(), 0
  options.enable = { "QRESYNC" }
  options.log = function(direction) trips = trips + (direction == "C" and 1 or 0) end
  local imap = assert(mail.imap.connect(options))
  local before = common.wire(imap)
  trips = 0
  common.begin()
  local changed = #assert(imap:select("INBOX", { qresync = saved })).changed
  common.finish(changed, { trips = trips, wire = common.wire(imap) - before })
  imap:logout()
  other:logout()
end)
