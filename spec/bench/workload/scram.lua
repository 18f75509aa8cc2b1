-- Logging in side by side: what a loop with other work to do feels of it.
--
-- "Frame" is the longest call of loop.step with a budget of 500 us, "step" the longest turn of one task, in
-- processor time and the least of the rounds; the rows without mail show what the clock and the collector of
-- Lua do by themselves.

local function run(ctx, w)
  local n = ctx:count(1000)
  local function row(role, name, arguments)
    local contestant = ctx:ours("scram", ("n=%d %s"):format(n, arguments), name)
    contestant.role = role
    return contestant
  end
  ctx:contest(("%s: %d at once (%s)"):format(w.name, n, w.goal), {
    row("ours", "SCRAM-SHA-256, no collector", "gc=off"),
    row("ours", "... small collector steps", "gc=steps"),
    row("ours", "... collector as it comes", "gc=own"),
    row("ours", "PLAIN: nothing computed", "gc=off plain=1"),
    row("ceiling", "no mail, no collector", "gc=off bare=1"),
    row("ceiling", "... small collector steps", "gc=steps bare=1"),
    row("ceiling", "... collector as it comes", "gc=own bare=1"),
    row("ceiling", "arithmetic only: the clock", "gc=off clock=1"),
  }, { expect = n, columns = { "us", "step", "frame" } })
end

return {
  { name = "scram-logins", title = "log-ins side by side: the longest hold of the loop, without Lua's collector",
    goal = "no hold over 1,000 us of our own", run = run },
}
