-- Our side of smtp-*: n messages over some connections, each used by several coroutines, so that
-- the content of one message travels with the envelope of the next.

local common = require "spec.bench.ours.common"
local mail = require "mail"

local o = common.options
local message = common.message(o.size)
local left = o.n

local function sender(smtp)
  while left > 0 do
    left = left - 1
    assert(smtp:send { from = "bench@example.test", to = { "sink@example.test" }, message = message })
  end
end

mail.loop.run(function()
  local sessions, tasks = {}, {}
  for i = 1, o.connections do sessions[i] = assert(mail.smtp.connect(common.smtp_server())) end
  common.begin()
  for _, smtp in ipairs(sessions) do
    for _ = 1, o.connections == 1 and 8 or 2 do tasks[#tasks + 1] = mail.loop.spawn(sender, smtp) end
  end
  for _, task in ipairs(tasks) do task:join() end
  common.finish(o.n)
  for _, smtp in ipairs(sessions) do smtp:quit() end
end)
