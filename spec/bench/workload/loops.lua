-- Every host loop with our sessions and with its own raw socket, against the same peer (c/loop_peer.c) in the same
-- run: round trips, and octets one way and the other.
--
-- The ratio that counts is ours to raw in the same host, not host to host. Raw sockets hand the octets over as
-- strings, as each host does it; ours parse and answer the protocol besides.

local contest = require "spec.bench.contest"
local shell = require "spec.bench.shell"

local WHAT = {
  { "ping", title = "NOOP and its answer", unit = "pings/s", count = 5000 },
  { "in", title = "one body into a sink", unit = "MB/s", count = 200 },
  { "out", title = "one message from a source", unit = "MB/s", count = 200 },
}

local function luajit_environment()
  return shell.run("make -s env LUA=luajit") .. ";"
end

-- Each host: how its program is run; or why it cannot be.
local HOSTS = {
  { "native" }, { "blocking" },
  { "cqueues", module = "cqueues" }, { "luv", module = "luv" }, { "copas", module = "copas" },
  { "tarantool", program = "tarantool" }, { "openresty", program = "nginx" },
}

local function command(ctx, host, arguments)
  local name = host[1]
  local plain = ("%s spec/bench/ours/loops.lua host=%s %s"):format(ctx.lua, name, arguments)
  if host.module and not shell.try(("%s %s -e 'require \"%s\"' 2>/dev/null"):format(ctx.env, ctx.lua, host.module)) then
    return nil, ("no %s for %s"):format(host.module, ctx.lua)
  end
  if not host.program then return plain, ctx.env end
  if not shell.exists("build/luajit/mail/core.so") then return nil, "make LUA=luajit has not been run" end
  if name == "openresty" then
    return ("%s spec/bench/ours/loops_nginx.lua host=%s %s"):format(ctx.lua, name, arguments), ctx.env
  end
  local program = shell.find(host.program)
  if not program then return nil, host.program .. " is not installed" end
  return ("%s spec/bench/ours/loops.lua host=%s %s"):format(program, name, arguments), luajit_environment()
end

local function contestant(ctx, host, side, what, n, port)
  local arguments = ("side=%s what=%s n=%d port=%d"):format(side, what, n, port)
  local words, environment = command(ctx, host, arguments)
  local c = { name = host[1], role = side, command = words }
  if words then c.env = environment else c.missing = environment end
  return c
end

local function row(ours, raw)
  if ours.missing or raw.missing then
    print(("  %-12s %s"):format(ours.name, ours.missing or raw.missing))
    return
  end
  local a, b = ours.result, raw.result
  print(("  %-12s %10.0f %10.0f %8.2f %10.2f %10.2f %8.2f")
    :format(ours.name, a.rate, b.rate, a.rate / b.rate, a.us, b.us, a.us / b.us))
end

local function run(ctx, w)
  for _, what in ipairs(WHAT) do
    local n = ctx:count(what.count)
    local server = ctx:serve("loop_peer", ("spin=1 size=%d"):format(n * 1000000))
    local all, pairs_of = {}, {}
    for i, host in ipairs(HOSTS) do
      pairs_of[i] = { contestant(ctx, host, "ours", what[1], n, server.port),
        contestant(ctx, host, "raw", what[1], n, server.port) }
      all[#all + 1], all[#all + 2] = pairs_of[i][1], pairs_of[i][2]
    end
    contest.run(all, ctx.options.rounds, 0, n)
    print(("\n%s, %s: %s (%s)"):format(w.name, what[1], what.title, w.goal))
    print(("  %-12s %10s %10s %8s %10s %10s %8s"):format("", what.unit, "raw", "ratio", "us each", "raw", "ratio"))
    for _, pair in ipairs(pairs_of) do row(pair[1], pair[2]) end
    io.stdout:flush()
    server.stop()
  end
end

return {
  { name = "loops", title = "each loop beside its own raw socket",
    goal = "goal 0.8 of the raw rate for transfers, 1.5 times its time of the processor", run = run },
}
