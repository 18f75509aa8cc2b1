--- Sends a message by SMTP, as it stands in a file or comes from stdin, and prints who took it.
package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/?.lua;" .. package.path
local mail = require "mail"
local support = require "support"
local try = support.try

local o = support.options([[
usage: send.lua [options] [FILE]

Sends the message in FILE, or on stdin: header, empty line, text. Sender and recipients are those of its
header (Bcc is read and removed), unless --from and --to name others.
  --from ADDRESS     the envelope's sender
  --to ADDRESS...    a recipient; may be given several times
ACCOUNT
Exit status: 0 all recipients were accepted, 1 none was, 3 some were not; 2 wrong usage.
]], 1)

support.main(function()
  local message = o[1] and o[1] ~= "-" and support.open(o[1], "rb") or io.stdin
  local smtp = try(mail.smtp.connect(support.account(o)))
  local receipt, err = smtp:send {
    message = message, from = o.from, to = o.to[1] and o.to or nil,
  }
  local rejected = receipt and receipt.rejected or err.rejected or {}
  for address, why in pairs(rejected) do
    io.stderr:write(("rejected  %s  %s\n"):format(address, support.clean(why.message)))
  end
  if not receipt then support.die(err) end
  for _, address in ipairs(receipt.accepted) do support.say("accepted  %s", address) end
  support.say("server    %s", support.clean(receipt.text))
  smtp:quit()
  return next(rejected) and 3 or 0
end)
