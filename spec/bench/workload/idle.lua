-- Thousands of sessions in IDLE in one process, against c/idle_server.c, and a push to all of them.

local servers = require "spec.servers"

local COLUMNS = { columns = { "kib_each", "latency", "us" }, compare = "latency" }

local function run(ctx, w)
  local n = ctx:count(w.sessions)
  local server = ctx:serve("idle_server", "spin=1")
  local where = ("port=%d n=%d rounds=5"):format(server.port, n)
  ctx:contest(("%s: %d sessions in one process (%s)"):format(w.name, n, w.goal), {
    ctx:ours("idle", where),
    ctx:ceiling("idle_raw", where, "bare epoll loop"),
  }, COLUMNS)
  server.stop()
end

local function run_tls(ctx, w)
  local n = ctx:count(w.sessions)
  local made = assert(servers.certificates())
  local server = ctx:serve("idle_server", ("spin=1 tls=1 cert=%s key=%s"):format(made.good.cert, made.good.key))
  ctx:contest(("%s: %d sessions in one process, TLS"):format(w.name, n), {
    ctx:ours("idle", ("port=%d n=%d rounds=5 tls=1 ca=%s"):format(server.port, n, made.ca_file)),
  }, COLUMNS)
  server.stop()
end

return {
  { name = "imap-idle", title = "5,000 sessions in IDLE",
    goal = "goal 3 KiB each, 1.4 times the bare loop's time, 6 us", sessions = 5000, run = run },
  { name = "imap-idle-tls", title = "2,000 sessions in IDLE, TLS", sessions = 2000, run = run_tls },
}
