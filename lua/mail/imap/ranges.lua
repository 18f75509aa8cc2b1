--- Sets of UIDs as ranges: what a mailbox of a million messages costs is the number of its gaps.
--
-- Pure: no session, no wire. "*" is not in them: what it stands for is the server's to know. Ranges are
-- never expanded, so "1:4294967295" is one.
-- Invariant: `self` is lo1, hi1, lo2, hi2, …, ascending, and no two ranges touch; `count` is how many
-- numbers are in it.
-- @module mail.imap.ranges

local core = require "mail.core"

local Ranges = {}
Ranges.__index = Ranges

local function new()
  return setmetatable({ count = 0 }, Ranges)
end

-- Puts a range behind all others, or joins it to the last.
local function append(self, lo, hi)
  local n = #self
  local last = self[n]
  if last and lo <= last + 1 then
    if hi > last then
      self.count = self.count + (hi - last)
      self[n] = hi
    end
    return
  end
  self[n + 1], self[n + 2] = lo, hi
  self.count = self.count + (hi - lo + 1)
end

--- The ranges of a set's text, of an array of numbers, or none.
-- @treturn Ranges; nil where it is no set, or has "*" in it
function Ranges.of(set)
  local self = new()
  if set == nil or set == "" then return self end
  local text = core.seqset(set)
  if not text or text:find("[*$]") then return nil end
  for lo, hi in text:gmatch("(%d+):?(%d*)") do
    append(self, tonumber(lo), tonumber(hi) or tonumber(lo))
  end
  return self
end

-- The index of the range that holds n, or else of the first one above it; and whether it holds it.
local function find(self, n)
  local low, high = 1, #self / 2 + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if self[2 * middle] < n then low = middle + 1 else high = middle end
  end
  local at = 2 * low - 1
  return at, self[at] ~= nil and self[at] <= n
end

--- True where n is in it.
function Ranges:has(n)
  local _, inside = find(self, n)
  return inside
end

--- Adds a number.
function Ranges:add(n)
  local size = #self
  if size == 0 or n >= self[size - 1] then return append(self, n, n) end
  local at, inside = find(self, n)
  if inside then return end
  self.count = self.count + 1
  local joins_left, joins_right = at > 1 and self[at - 1] == n - 1, self[at] == n + 1
  if joins_left and joins_right then
    table.remove(self, at - 1)
    table.remove(self, at - 1)
  elseif joins_left then
    self[at - 1] = n
  elseif joins_right then
    self[at] = n
  else
    table.insert(self, at, n)
    table.insert(self, at, n)
  end
end

--- Adds a range above all that is in it, or touching the last.
function Ranges:add_range(lo, hi)
  append(self, lo, hi)
end

--- Takes a number away.
function Ranges:remove(n)
  local at, inside = find(self, n)
  if not inside then return end
  local lo, hi = self[at], self[at + 1]
  self.count = self.count - 1
  if lo == hi then
    table.remove(self, at)
    table.remove(self, at)
  elseif n == lo then
    self[at] = n + 1
  elseif n == hi then
    self[at + 1] = n - 1
  else
    table.insert(self, at + 1, n + 1)
    table.insert(self, at + 1, n - 1)
  end
end

--- What is in both.
function Ranges:intersection(other)
  local out, i, j = new(), 1, 1
  while self[i] and other[j] do
    local lo, hi = math.max(self[i], other[j]), math.min(self[i + 1], other[j + 1])
    if lo <= hi then append(out, lo, hi) end
    if self[i + 1] < other[j + 1] then i = i + 2 else j = j + 2 end
  end
  return out
end

--- What is in this one and not in the other.
function Ranges:difference(other)
  local out, j = new(), 1
  for i = 1, #self, 2 do
    local lo, hi = self[i], self[i + 1]
    while other[j] and other[j + 1] < lo do j = j + 2 end
    local k = j
    while other[k] and other[k] <= hi do
      if other[k] > lo then append(out, lo, other[k] - 1) end
      lo = other[k + 1] + 1
      k = k + 2
    end
    if lo <= hi then append(out, lo, hi) end
  end
  return out
end

--- The highest number; 0 where there is none.
function Ranges:last()
  return self[#self] or 0
end

--- The text of a set: "1:3,7"; "" where there is none.
function Ranges:text()
  local out = {}
  for i = 1, #self, 2 do
    local lo, hi = self[i], self[i + 1]
    out[#out + 1] = lo == hi and ("%.0f"):format(lo) or ("%.0f:%.0f"):format(lo, hi)
  end
  return table.concat(out, ",")
end

--- The text of what is missing from `from` on, up to and with "*": "4:6,9:*".
function Ranges:gaps(from)
  local out = {}
  local at = find(self, from)
  while self[at] do
    if from < self[at] then
      out[#out + 1] = from == self[at] - 1 and ("%.0f"):format(from) or ("%.0f:%.0f"):format(from, self[at] - 1)
    end
    from = math.max(from, self[at + 1] + 1)
    at = at + 2
  end
  if from <= 4294967295 then out[#out + 1] = ("%.0f:*"):format(from) end
  return table.concat(out, ",")
end

return Ranges
