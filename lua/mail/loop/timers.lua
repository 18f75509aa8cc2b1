--- The timers of the loop's tasks: who has to be woken, and when.
--
-- A binary heap of {time, task} pairs kept in two arrays. An entry stays where it is when its task stops
-- waiting; when it comes up, the task's present deadline decides. So a task that waits again and again with the
-- same time-out touches the heap once in a while only.
-- Invariant: `task.timer` is the time of a task's entry that counts, or false; earlier ones are stale.
-- @module mail.loop.timers

local timers = {}

local times, owners, n = {}, {}, 0

-- The times of the heap: the first is the next to come up, nil where there is none.
timers.times = times

local function push(at, task)
  n = n + 1
  local i = n
  while i > 1 do
    local parent = math.floor(i / 2)
    if times[parent] <= at then break end
    times[i], owners[i] = times[parent], owners[parent]
    i = parent
  end
  times[i], owners[i] = at, task
end

local function pop()
  local at, task = times[n], owners[n]
  times[n], owners[n] = nil, nil
  n = n - 1
  if n == 0 then return end
  local i = 1
  while true do
    local child = i * 2
    if child > n then break end
    if child < n and times[child + 1] < times[child] then child = child + 1 end
    if times[child] >= at then break end
    times[i], owners[i] = times[child], owners[child]
    i = child
  end
  times[i], owners[i] = at, task
end

--- A parked task is to be woken at that time, unless something else wakes it before.
function timers.set(task, at)
  task.deadline = at
  if task.timer and task.timer <= at then return end
  task.timer = at
  push(at, task)
end

--- Drops entries at the top whose tasks no longer wait for any time, so that nobody waits for them.
function timers.drop_stale()
  while n > 0 do
    local task = owners[1]
    if task.timer == times[1] then
      if task.parked and task.deadline then return end
      task.timer = false
    end
    pop()
  end
end

--- Wakes, by `wake(task, "timeout")`, whoever's deadline is `at` or earlier.
function timers.fire(at, wake)
  while n > 0 and times[1] <= at do
    local task = owners[1]
    local stale = task.timer ~= times[1]
    pop()
    if not stale then
      task.timer = false
      local deadline = task.parked and task.deadline
      if deadline and deadline <= at then
        wake(task, "timeout")
      elseif deadline then
        timers.set(task, deadline)
      end
    end
  end
end

return timers
