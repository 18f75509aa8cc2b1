--- Waits for new mail and prints a line for each arrival; comes back by itself after a lost connection.
package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/?.lua;" .. package.path
local mail = require "mail"
local support = require "support"

local o = support.options([[
usage: watch.lua [options]

Prints what arrives from now on: UID, sender, subject. What came while the connection was down is told, too.
  --mailbox NAME     default: INBOX
  --count N          end after that many messages; default: never
ACCOUNT
]], 0)

local left = support.number(o, "count", 1, math.huge)
local on = {}

function on.new(m)
  local from = m.envelope.from and m.envelope.from[1] or {}
  support.say("%6d  %s  %s", m.uid, support.clean(from.name or from.address, 25), support.clean(m.envelope.subject))
  left = left - 1
end

function on.connected(event)
  io.stderr:write("watching ", tostring(event.session), "\n")
end

function on.disconnected(event)
  io.stderr:write(("%s; again in %.0f s\n"):format(tostring(event.err), event.retry_in))
end

support.main(function()
  io.stdout:setvbuf "line"
  local options = support.account(o)
  options.mailbox, options.items = o.mailbox, { "envelope" }
  options.existing, options.connection = false, true
  local events = mail.imap.watch(options)
  while left > 0 do
    local event, err = events:next()
    if not event then support.die(err) end
    if on[event.type] then on[event.type](event) end
  end
  events:close()
end)
