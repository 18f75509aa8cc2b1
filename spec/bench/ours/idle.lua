-- Our side of imap-idle: n sessions, each in its own coroutine in IDLE, and one more that triggers
-- the pushes. Memory is the growth of the resident set from before the first session until all of
-- them idle.

local common = require "spec.bench.ours.common"
local mail = require "mail"

local o = common.options
local server = common.server()
server.user, server.password, server.allow_plaintext_login = "u", "p", true
local noticed, last_notice = 0, 0

local function watcher(imap)
  for event in imap:idle { timeout = 600 } do
    if event.type == "exists" then
      noticed = noticed + 1
      if noticed == o.n then last_notice = mail.loop.now() end
    end
  end
end

local function open()
  local imap = assert(mail.imap.connect(server))
  assert(imap:select("INBOX"))
  return imap
end

-- One push to all; the seconds until the last session has noticed.
local function round(control)
  noticed = 0
  local began = mail.loop.now()
  assert(control:command_line("XPUSH"))
  while noticed < o.n do mail.loop.sleep(0.001) end
  return last_notice - began
end

mail.loop.run(function()
  local control, sessions, tasks, took = open(), {}, {}, {}
  local before = common.resident()
  for i = 1, o.n do
    sessions[i] = open()
    tasks[i] = mail.loop.spawn(watcher, sessions[i])
  end
  assert(control:command_line(("XWAIT %d"):format(o.n)))
  local each = (common.resident() - before) / o.n
  common.begin()
  for i = 1, o.rounds do took[i] = round(control) end
  table.sort(took)
  common.finish(o.n * o.rounds, { kib_each = each, latency = took[math.ceil(#took / 2)] })
  for i = 1, o.n do
    tasks[i]:cancel()
    sessions[i]:close()
  end
  control:close()
end)
