-- Our side of imap-look: UID and FLAGS of a very large mailbox, one by one (how=iterate) or kept as sets (how=sets).

local common = require "spec.bench.ours.common"
local mail = require "mail"

local function iterate(imap)
  local count = 0
  for m in assert(imap:fetch("1:*", { "uid", "flags" })) do
    if m.uid and m.flags then count = count + 1 end
  end
  return count
end

local function keep(imap)
  local sets = assert(imap:flag_sets())
  return sets.uids:count(), sets
end

mail.loop.run(function()
  local imap = assert(mail.imap.connect(common.server()))
  assert(imap:examine("INBOX"))
  collectgarbage()
  local before = common.resident()
  common.begin()
  local count, kept = (common.options.how == "sets" and keep or iterate)(imap)
  collectgarbage()
  local growth = math.max(0, common.resident() - before) * 1024
  common.finish(count, { bytes_each = kept and growth / count or nil })
  imap:close()
end)
