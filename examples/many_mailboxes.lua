--- Looks into many IMAP mailboxes at once: one thread, one task for each connection.
package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/?.lua;" .. package.path
local mail = require "mail"
local support = require "support"

local o = support.options([[
usage: many_mailboxes.lua [options] FILE

Prints for each account in FILE: unseen messages, messages, the newest subject. FILE holds a URL a line,
imaps://user:password@host[:port]; empty lines and lines with # in front are passed over. An account without a
password in its URL gets MAIL_PASSWORD. As it may hold passwords, nobody else should be able to read FILE.
  --parallel N       connections at the same time; default: 100
  --timeout SECONDS  for each answer; default: 30
  --ca-file FILE     trust these certificates (PEM), not the system's (or MAIL_CA_FILE)
  --help
Exit status: 0 all were read, 1 some were not; 2 wrong usage.
]], 1)

local parallel = support.number(o, "parallel", 1, 100)
local timeout = support.number(o, "timeout", 1, 30)

local function read_accounts(path)
  local accounts = {}
  local file = path == "-" and io.stdin or support.open(path, "r")
  local number = 0
  for line in file:lines() do
    number = number + 1
    local url = line:match "^%s*([^#%s]%S*)%s*$"
    local user, password, place = (url or ""):match "^imaps?://([^:@]*):?(.*)@([^@/]+)/?$"
    if user then
      accounts[#accounts + 1] = { name = user .. "@" .. place, url = url, bare = password == "" }
    elseif line:find "%S" and not line:find "^%s*#" then
      support.die(("%s:%d: not like imaps://user:password@host"):format(path, number), 2)
    end
  end
  return accounts
end

-- Unseen, all, newest subject; or nil, err.
local function look(account)
  local imap, err = mail.imap.connect {
    host = account.url, password = account.bare and os.getenv "MAIL_PASSWORD" or nil,
    ssl = { ca_file = o["ca-file"] }, timeout = timeout,
  }
  if not imap then return nil, err end
  local box, unseen, newest
  box, err = imap:examine "INBOX"
  if box then unseen, err = imap:search { unseen = true } end
  if unseen then newest, err = imap:fetch_all(box.exists > 0 and "*" or {}, { "envelope" }, { seq = true }) end
  imap:close()
  if not newest then return nil, err end
  return #unseen, box.exists, newest[1] and newest[1].envelope.subject or ""
end

support.main(function()
  local accounts = read_accounts(o[1] or support.die("which file? see --help", 2))
  local next_account, failures, started = 0, 0, mail.loop.now()
  local function worker()
    while next_account < #accounts do
      next_account = next_account + 1
      local account = accounts[next_account]
      local unseen, all, subject = look(account)
      if unseen then
        support.say("%5d %6d  %-30s %s", unseen, all, account.name, support.clean(subject))
      else
        failures = failures + 1
        io.stderr:write(account.name, ": ", support.clean(all), "\n")
      end
    end
  end
  mail.loop.run(function()
    for _ = 1, math.min(parallel, #accounts) do mail.loop.spawn(worker) end
  end)
  io.stderr:write(("%d accounts in %.2f s, %d failed\n"):format(#accounts, mail.loop.now() - started, failures))
  return failures > 0 and 1 or 0
end)
