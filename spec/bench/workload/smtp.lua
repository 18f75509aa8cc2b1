-- Sending against a sink that costs next to nothing (c/smtp_sink.c).
--
-- "One core": client and sink share a processor, the figure with least noise. "Two cores": the sink
-- spins on the other one, because on a virtual machine waking an idle processor costs many times
-- the work that is measured, and would be charged to whoever wakes it.

local servers = require "spec.servers"

local function contestants(ctx, port, job)
  local ours = ("port=%d n=%d size=%d connections=%d"):format(port, job.n, job.size, job.connections)
  local few = job.few or job.n
  return {
    ctx:ours("smtp", ours),
    ctx:foreign("smtp-source", "smtp-source",
      ("-s %d -m %d -l %d -d 127.0.0.1:%d"):format(job.connections, few, job.size, port), few),
    ctx:peer(job.connections == 1 and "libcurl easy" or "libcurl multi", "smtp_curl",
      ("port=%d n=%d size=%d connections=%d"):format(port, few, job.size, job.connections)),
    ctx:ceiling("smtp_raw", ours, "bare pipelined loop"),
  }
end

-- The pool beside the bare session that it works with.
local function pooled(ctx, port, job)
  local ours = ("port=%d n=%d size=%d connections=%d"):format(port, job.n, job.size, job.connections)
  local bare = ctx:ours("smtp", ours, "bare session")
  bare.role = "peer"
  return { ctx:ours("smtp_pool", ours, "mail.smtp.pool"), bare }
end

-- The same message in chunks and by the dot, to one server that takes both.
local function run_chunks(ctx, w)
  local sink = ctx:serve("smtp_sink", "chunking=1", true)
  local job = ("port=%d n=%d size=%d connections=%d"):format(sink.port, ctx:count(w.n), w.size, w.connections)
  local dotted = ctx:ours("smtp", job .. " chunking=0", "lua-mail, by DATA")
  dotted.role = "peer"
  ctx:contest(("%s, one core: %s (%s)"):format(w.name, w.title, w.goal),
    { ctx:ours("smtp", job, "lua-mail, by BDAT"), dotted }, {})
  sink.stop()
end

-- Both ends encrypt; what is counted is ours.
local function run_tls(ctx, w)
  local made = assert(servers.certificates())
  local sink = ctx:serve("smtp_sink", ("tls=1 cert=%s key=%s"):format(made.good.cert, made.good.key), true)
  local job = ("port=%d n=%d size=%d connections=1 tls=1"):format(sink.port, ctx:count(w.n), w.size)
  ctx:contest(("%s, one core: %s (%s)"):format(w.name, w.title, w.goal), {
    ctx:ours("smtp", job .. " ca=" .. made.ca_file),
    ctx:ours("smtp_pool", job .. " ca=" .. made.ca_file, "... through the pool"),
    ctx:ceiling("smtp_tls_raw", job, "memory BIO loop"),
  }, {})
  sink.stop()
end

local function run(ctx, w)
  for _, cores in ipairs(w.cores) do
    local sink = ctx:serve("smtp_sink", cores == 2 and "spin=1" or "", cores == 1)
    local job = { n = ctx:count(w.n), few = w.few and ctx:count(w.few), size = w.size, connections = w.connections }
    ctx:contest(("%s, %s: %s (%s)"):format(w.name, cores == 1 and "one core" or "two cores", w.title, w.goal[cores]),
      (w.contestants or contestants)(ctx, sink.port, job), {})
    sink.stop()
  end
end

return {
  { name = "smtp-10k-1", title = "10 KiB messages, one connection", run = run, cores = { 1, 2 },
    goal = { "goal 12 us, 2.4 times smtp-source's rate", "goal 36 us" },
    n = 20000, few = 6000, size = 10240, connections = 1 },
  { name = "smtp-10k-100", title = "10 KiB messages, 100 connections", run = run, cores = { 2 },
    goal = { [2] = "goal 13 us" }, n = 40000, few = 10000, size = 10240, connections = 100 },
  { name = "smtp-pool", title = "10 KiB messages through the pool, one connection", run = run, cores = { 1 },
    contestants = pooled, goal = { "goal: 2 us more than the bare session" },
    n = 20000, size = 10240, connections = 1 },
  { name = "smtp-pool-8", title = "10 KiB messages through the pool, 8 connections", run = run, cores = { 1 },
    contestants = pooled, goal = { "goal: 2 us more than the bare session" },
    n = 20000, size = 10240, connections = 8 },
  { name = "smtp-10k-bdat", title = "10 KiB messages in chunks, one connection", run = run_chunks,
    goal = "goal: at most the DATA one", n = 20000, size = 10240, connections = 1 },
  { name = "smtp-10k-tls", title = "10 KiB messages over TLS, one connection", run = run_tls,
    goal = "goal: 1.2 times the bare loop", n = 30000, size = 10240 },
  { name = "smtp-1m-tls", title = "1 MiB messages over TLS, one connection", run = run_tls,
    goal = "goal: 1.2 times the bare loop", n = 300, size = 1048576 },
  { name = "smtp-1m", title = "1 MiB messages, one connection", run = run, cores = { 1 },
    goal = { "goal 200 us" }, n = 1000, few = 600, size = 1048576, connections = 1 },
}
