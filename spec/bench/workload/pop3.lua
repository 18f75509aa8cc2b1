-- Downloading every message of the corpus from Dovecot by POP3.

-- mpop keeps the mail on the server and writes an mbox, as its users have it. It replaces the file of UIDs by renaming
-- another over it, so that has to be one of our own (never a device: run by root, it would be gone).
local function mpop_configuration(ctx, port)
  local f = assert(io.open(ctx:temporary("mpoprc"), "wb"))
  f:write(([[
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
]]):format(port, ctx:temporary("uids"), ctx:temporary("mbox")))
  f:close()
  os.execute("chmod 600 " .. ctx:temporary("mpoprc"))
  return ("--quiet -C %s bench"):format(ctx:temporary("mpoprc"))
end

local function run(ctx, w)
  local server = ctx:dovecot()
  if not server then return end
  local n, port = server.count, server.ports.pop3
  local where = ("port=%d user=tester password=secret n=%d"):format(port, n)
  ctx:contest(("%s: %s (%s)"):format(w.name, w.title, w.goal), {
    ctx:ours("pop3", where),
    ctx:peer("libcurl", "curl_fetch", where .. " scheme=pop3"),
    ctx:foreign("mpop (writes an mbox)", "mpop", mpop_configuration(ctx, port), n),
    ctx:ceiling("pop3_raw", where, "bare loop, window 100"),
  })
end

return {
  { name = "pop3-retr", title = "RETR of the whole corpus", goal = "goal 14 us, 1.5 times mpop's rate", run = run },
}
