-- Downloading every message of the corpus from Dovecot by POP3.

local shell = require "spec.bench.shell"

-- mpop keeps the mail on the server and writes an mbox, as its users have it. It replaces the file
-- of UIDs by renaming another over it, so that has to be one of our own (never a device: run by
-- root, it would be gone), and a new one for each turn: it downloads only what is not in there.
local function mpop(ctx, server)
  local conf, uids, mbox = ctx:temporary("mpoprc"), ctx:temporary("uids"), ctx:temporary("mbox")
  shell.write(conf, ([[
account bench
host 127.0.0.1
port %d
tls off
auth user
user tester
password secret
keep on
uidls_file %s
delivery mbox %s
]]):format(server.ports.pop3, uids, mbox))
  shell.run("chmod 600 " .. conf)
  local contestant = ctx:foreign("mpop (writes an mbox)", "mpop", ("--quiet -C %s bench"):format(conf), server.count)
  contestant.before = ("rm -f %s %s"):format(uids, mbox)
  contestant.after = ("[ $(grep -c '^Message-ID:' %s) = %d ]"):format(mbox, server.count)
  return contestant
end

local function run_tls(ctx, w)
  local server = ctx:dovecot()
  if not server then return end
  local where = ("port=%d user=tester password=secret n=%d tls=1"):format(server.ports.pop3s, server.count)
  ctx:contest(("%s: %s (%s)"):format(w.name, w.title, w.goal), {
    ctx:ours("pop3", where .. " ca=" .. server.ca_file),
    ctx:peer("libcurl", "curl_fetch", where .. " scheme=pop3s"),
    ctx:ceiling("pop3_raw", where, "memory BIO loop"),
  }, { expect = server.count })
end

local function run(ctx, w)
  local server = ctx:dovecot()
  if not server then return end
  local n, port = server.count, server.ports.pop3
  local where = ("port=%d user=tester password=secret n=%d"):format(port, n)
  ctx:contest(("%s: %s (%s)"):format(w.name, w.title, w.goal), {
    ctx:ours("pop3", where),
    ctx:peer("libcurl", "curl_fetch", where .. " scheme=pop3"),
    mpop(ctx, server),
    ctx:ceiling("pop3_raw", where, "bare loop, window 100"),
  }, { expect = n })
end

return {
  { name = "pop3-retr", title = "RETR of the whole corpus", goal = "goal 14 us, 1.5 times mpop's rate", run = run },
  { name = "pop3-retr-tls", title = "RETR of the whole corpus, TLS", goal = "goal 54 us, 1.2 times the bare loop",
    run = run_tls },
}
