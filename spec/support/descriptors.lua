--- How many descriptors this process holds, for specs that prove that nothing leaks. Linux only.
local assert = require "luassert"

local descriptors = {}

--- Their count; nil where the system does not tell.
function descriptors.count()
  local stat = io.open "/proc/self/stat"
  if not stat then return nil end
  local pid = stat:read "*n"
  stat:close()
  local list = io.popen("ls /proc/" .. ("%d"):format(pid) .. "/fd | wc -l")
  local n = list:read "*n"
  list:close()
  return n
end

-- Runs it on a stack of its own, on which nothing is left lying, and collects the garbage: what
-- finalizers let go of falls only in a later cycle.
local function run(fn)
  coroutine.wrap(fn)()
  for _ = 1, 4 do collectgarbage() end
  return descriptors.count()
end

--- Asserts that `fn` leaves none behind, garbage collected. It is run several times: a value that a dead
-- register of the interpreter still names may keep one descriptor, but not one for each run.
function descriptors.steady(fn)
  local runs = 3
  local before, after = run(fn), nil
  for _ = 1, runs do after = run(fn) end
  assert.is_true(after < before + runs, ("%s descriptors before, %s after %d runs"):format(before, after, runs))
end

return descriptors
