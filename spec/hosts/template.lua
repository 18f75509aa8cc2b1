-- A template: a small event loop that lua-mail knows nothing of, the adapter to it, and the checks of
-- io_conformance.lua. Yours has the loop already; copy the second part, put your loop's calls in, and run it:
--
--     lua spec/hosts/peer.lua > ports &            # NAME=PORT NAME=PORT ...: put them into a file
--     echo 'return { peer = { smtp = 41001, … } }' > hosts.lua
--     LM_HOSTS=hosts.lua lua my_host.lua
local common = require "spec.hosts.common"
local core = require "mail.core"

-- --- the loop ---------------------------------------------------------------------------------------
-- Coroutines wait with a record each; `wake` makes one go on. poll(2) itself is borrowed from the core.

local toy = { ready = {}, waiting = {}, descriptors = {}, poller = core.poller() }

function toy.start(fn, ...)
  local arguments = { n = select("#", ...), ... }
  local unpack = table.unpack or unpack -- luacheck: ignore
  table.insert(toy.ready, coroutine.create(function() fn(unpack(arguments, 1, arguments.n)) end))
end

function toy.wake(record, reason)
  if not toy.waiting[record] then return end
  toy.waiting[record] = nil
  record.reason = reason
  table.insert(toy.ready, record.co)
end

function toy.wait(record, seconds)
  record.co, record.ends = coroutine.running(), seconds and core.now() + seconds
  toy.waiting[record] = true
  coroutine.yield()
  return record.reason
end

local function soonest()
  if toy.ready[1] then return 0 end
  local ends
  for record in pairs(toy.waiting) do
    if record.ends and not (ends and ends <= record.ends) then ends = record.ends end
  end
  return ends and math.max(0, ends - core.now())
end

local function turn(found)
  for i = 1, toy.poller:wait(soonest(), found) do
    local record = toy.descriptors[found[i]]
    if record then toy.wake(record, "ready") end
  end
  local now, late = core.now(), {}
  for record in pairs(toy.waiting) do
    if record.ends and record.ends <= now then late[#late + 1] = record end
  end
  for _, record in ipairs(late) do toy.wake(record, "late") end
  local ready = toy.ready
  toy.ready = {}
  for _, co in ipairs(ready) do
    local ok, why = coroutine.resume(co)
    if not ok then error(why, 0) end
  end
end

function toy.run()
  local found = {}
  while toy.ready[1] or next(toy.waiting) do turn(found) end
end

-- --- the adapter ------------------------------------------------------------------------------------

local adapter = { name = "toy", now = core.now, spawn = toy.start }

-- true, or nil and "timeout", once the loop resumes us. It is called after an attempt that could move nothing.
function adapter.wait(fd, what, seconds)
  local ready, why = toy.poller:park(fd, what)
  if ready == nil then return nil, why end
  if ready then return true end
  local record = {}
  toy.descriptors[fd] = record
  local reason = toy.wait(record, seconds)
  if toy.descriptors[fd] == record then toy.descriptors[fd] = nil end
  if reason ~= "late" then return true end
  toy.poller:unpark(fd)
  return nil, "timeout"
end

-- Called before the descriptor is closed, for new ones, and for some that nobody has waited for: ends the wait.
function adapter.forget(fd)
  local record = toy.descriptors[fd]
  if record then toy.wake(record, "forgotten") end
  toy.poller:forget(fd)
end

function adapter.sleep(seconds) toy.wait({}, seconds) end

-- An event remembers that it was set, once, for one waiter.
local Event = {}
Event.__index = Event

function Event:set()
  self.is_set = true
  if self.record then toy.wake(self.record, "set") end
end

function Event:wait(seconds)
  if not self.is_set then
    self.record = {}
    toy.wait(self.record, seconds)
    self.record = nil
  end
  if not self.is_set then return nil, "timeout" end
  self.is_set = nil
  return true
end

function adapter.event() return setmetatable({}, Event) end

-- Optional: true where a call can wait. A loop that runs no coroutine here is told of, instead of failing oddly.
function adapter.usable()
  local co, main = coroutine.running()
  return co ~= nil and not main
end

-- --- the checks -------------------------------------------------------------------------------------

common.version "a loop of 60 lines"
toy.start(function() common.run(adapter) end)
toy.run()
