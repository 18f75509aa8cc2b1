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

-- Objects that finalizers let go of fall only in a later cycle.
local function collect()
  for _ = 1, 4 do collectgarbage() end
end

--- Asserts that `fn` leaves none behind, garbage collected.
function descriptors.steady(fn)
  fn()
  collect()
  local before = descriptors.count()
  fn()
  collect()
  local after = descriptors.count()
  assert.is_true(after <= before, ("%s descriptors before, %s after"):format(before, after))
end

return descriptors
