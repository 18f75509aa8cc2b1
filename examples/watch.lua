--- Waits for new mail by IMAP IDLE and prints a line for each arrival; comes back by itself after a lost connection.
package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/?.lua;" .. package.path
local mail = require "mail"
local support = require "support"
local try = support.try

local o = support.options([[
usage: watch.lua [options]

Prints what arrives from now on: UID, sender, subject. What came while the connection was down is told, too.
  --mailbox NAME     default: INBOX
  --count N          end after that many messages; default: never
ACCOUNT
]], 0)

local mailbox = o.mailbox or "INBOX"
local left = support.number(o, "count", 1, math.huge)
local known = {} -- uidvalidity, and the UID from which on messages are new

local function tell_new(imap)
  -- "n:*" names the last message even where its UID is below n.
  for m in try(imap:fetch(known.uidnext .. ":*", { "uid", "envelope" })) do
    if m.uid >= known.uidnext then
      local from = m.envelope.from and m.envelope.from[1] or {}
      support.say("%6d  %s  %s", m.uid, support.clean(from.name or from.address, 25), support.clean(m.envelope.subject))
      known.uidnext, left = m.uid + 1, left - 1
      if left == 0 then return end
    end
  end
end

-- Until the connection is lost: the error; or nil when enough messages were seen.
local function follow(imap)
  local box, err = imap:select(mailbox, { readonly = true })
  if not box then return err end
  if known.uidvalidity ~= box.uidvalidity then known = { uidvalidity = box.uidvalidity, uidnext = box.uidnext } end
  io.stderr:write("watching ", tostring(imap), "\n")
  tell_new(imap)
  local events = try(imap:idle())
  while left > 0 do
    local event
    event, err = events:next()
    if not event then return err end
    if event.type == "exists" then tell_new(imap) end
  end
end

support.main(function()
  io.stdout:setvbuf "line"
  local account, delay = support.account(o), 1
  while left > 0 do
    local imap, err = mail.imap.connect(account)
    if imap then
      delay = 1
      local ok, why = pcall(follow, imap)
      err = why
      if not ok and not mail.err.is(why) then error(why, 0) end
      imap:close()
    end
    if err and not err.temporary then support.die(err) end
    if err then
      io.stderr:write(("%s; again in %d s\n"):format(tostring(err), delay))
      mail.loop.sleep(delay)
      delay = math.min(delay * 2, 300)
    end
  end
end)
