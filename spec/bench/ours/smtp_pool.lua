-- Our side of smtp-pool: the same messages as smtp.lua, by as many coroutines, through mail.smtp.pool.

local common = require "spec.bench.ours.common"
local mail = require "mail"

local o = common.options
local message = common.message(o.size)
local left = o.n

local function sender(pool)
  while left > 0 do
    left = left - 1
    assert(pool:send { from = "bench@example.test", to = { "sink@example.test" }, message = message })
  end
end

-- Every connection is open before the clocks start, as it is in smtp.lua.
local function warm(pool)
  assert(pool:send { from = "bench@example.test", to = { "sink@example.test" }, message = message })
end

local function together(n, fn, pool)
  local tasks = {}
  for i = 1, n do tasks[i] = mail.loop.spawn(fn, pool) end
  for _, task in ipairs(tasks) do task:join() end
end

mail.loop.run(function()
  local settings = common.server()
  settings.size, settings.max_messages = o.connections, 1e9
  local pool = mail.smtp.pool(settings)
  together(o.connections, warm, pool)
  common.begin()
  together(o.connections == 1 and 8 or 2 * o.connections, sender, pool)
  common.finish(o.n)
  assert(pool:close())
end)
