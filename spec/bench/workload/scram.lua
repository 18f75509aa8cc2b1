-- Logging in side by side: what a loop with other work to do feels of it.

local function run(ctx, w)
  local n = ctx:count(1000)
  ctx:contest(("%s: %d at once (%s)"):format(w.name, n, w.goal), {
    ctx:ours("scram", ("n=%d gc=0"):format(n), "SCRAM-SHA-256"),
    ctx:ours("scram", ("n=%d"):format(n), "... and Lua's collector"),
    ctx:ours("scram", ("n=%d gc=0 plain=1"):format(n), "PLAIN: nothing computed"),
  }, { expect = n, columns = { "us", "step", "gap" } })
end

return {
  { name = "scram-logins", title = "log-ins side by side", goal = "no step over 1,000 us", run = run },
}
