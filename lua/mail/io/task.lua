--- Tasks of `mail.loop.spawn` where another library's loop runs them.
--
-- The host's `spawn` starts them, its events join them. Loops differ in how a coroutine's wait is ended
-- from outside, or have no way to: `cancel` keeps a task from beginning, and is refused later.
-- @module mail.io.task

local Err = require "mail.err"

local unpack = table.unpack or unpack -- luacheck: ignore
local function pack(...) return { n = select("#", ...), ... } end

local task = {}

local Task = {}
Task.__index = Task
Task.__name = "mail.task"

-- Lua 5.1 cannot wait inside pcall: there an error is the loop's affair, as that of any of its coroutines.
local guarded = pcall
if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
  guarded = function(fn, ...) return true, fn(...) end
end

local function finish(self, ok, ...)
  if ok then self.results = pack(...) else self.error = pack(...) end
  for _, event in ipairs(self.joiners or {}) do event:set() end
  self.joiners = nil
  if not ok and not self.joined then error((...), 0) end
end

--- Starts `fn(…)` on that host.
-- @tparam table host an adapter
-- @tparam function fn
-- @param ... its arguments
-- @treturn task with `join` and `cancel`
function task.spawn(host, fn, ...)
  if not host.spawn then
    error(("mail.loop.spawn: the loop '%s' runs one thing at a time"):format(tostring(host.name)), 3)
  end
  local self = setmetatable({ host = host }, Task)
  host.spawn(function(...)
    if self.cancelled then return finish(self, true, nil, self.cancelled) end
    self.begun = true
    return finish(self, guarded(fn, ...))
  end, ...)
  return self
end

--- Waits until it has ended: what its function returned; its error is raised.
function Task:join()
  self.joined = true
  if not (self.results or self.error) then
    local event = self.host.event()
    self.joiners = self.joiners or {}
    table.insert(self.joiners, event)
    local ok, why = event:wait()
    if not ok then
      return nil, Err.new { kind = "cancelled", message = "the wait for a task was ended: " .. tostring(why) }
    end
  end
  if self.error then error(self.error[1], 0) end
  return unpack(self.results, 1, self.results.n)
end

--- Keeps it from beginning.
-- @treturn boolean true; or nil, err (kind "unsupported") where it has begun
function Task:cancel()
  if self.begun and not (self.results or self.error) then
    return nil, Err.new {
      kind = "unsupported", message = ("the loop '%s' cannot end a task's wait: close its session")
        :format(tostring(self.host.name)),
    }
  end
  self.cancelled = self.cancelled or Err.new { kind = "cancelled", message = "the task was cancelled before it began" }
  return true
end

return task
