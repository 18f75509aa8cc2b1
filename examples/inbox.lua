--- Lists the newest messages of a mailbox by IMAP, or shows one. Nothing is changed: no message becomes seen.
package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/?.lua;" .. package.path
local mail = require "mail"
local support = require "support"
local clean, try = support.clean, support.try

local o = support.options([[
usage: inbox.lua [options]

Lists the newest messages: UID, N where new, date, sender, subject.
  --mailbox NAME     default: INBOX
  --count N          how many at most; default: 20
  --unseen           only those that nobody has seen
  --show UID         write that message to stdout as it is, instead of a list
ACCOUNT
]], 0)

local count = support.number(o, "count", 1, 20)
local show = support.number(o, "show", 1)

local function sender(envelope)
  local from = envelope.from and envelope.from[1] or {}
  return clean(from.name or from.address or from.group, 25)
end

-- In pieces as they arrive, so that its size does not matter.
local function show_message(imap, uid)
  local found = false
  local messages = try(imap:fetch(uid, { "body" }, {
    sink = function(_, _, piece)
      found = true
      return piece == nil or io.write(piece)
    end,
  }))
  for _ in messages do found = true end
  if not found then support.die("no message has UID " .. uid) end
end

local function list(imap)
  local uids = try(imap:search { unseen = o.unseen })
  local newest = {}
  for i = math.max(1, #uids - count + 1), #uids do newest[#newest + 1] = uids[i] end
  for m in try(imap:fetch(newest, { "uid", "flags", "internaldate", "envelope" })) do
    support.say("%6d %s %s %s %s", m.uid, m.flags["\\Seen"] and " " or "N", os.date("%d %b %Y", m.internaldate),
      sender(m.envelope), clean(m.envelope.subject))
  end
end

support.main(function()
  local imap = try(mail.imap.connect(support.account(o)))
  try(imap:select(o.mailbox or "INBOX", { readonly = true }))
  if show then show_message(imap, show) else list(imap) end
  imap:logout()
end)
