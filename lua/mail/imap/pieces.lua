--- Sets of messages in pieces: for line limits, for windows of a fetch, for servers that do a part.
--
-- A set is in the standard's form, as `mail.core.seqset` makes it: "1:3,5,7:*", nothing for an empty
-- one. Pure functions and one iterator; no session.
-- @module mail.imap.pieces

local pieces = {}

-- Servers take 8,000 octets a line and more (RFC 2683 §3.2.1.5).
local SET_MAX = 4000

local STAR = math.huge

local function number(text)
  return text == "*" and STAR or tonumber(text)
end

-- The range that begins at octet `at`: its ends in order, and where the next begins.
local function range(set, at)
  local lo, colon, hi, comma = set:match("^([%d*]+)(:?)([%d*]*)()", at)
  lo = number(lo)
  hi = colon == ":" and number(hi) or lo
  if lo > hi then lo, hi = hi, lo end
  return lo, hi, comma + 1
end

local function show(n)
  return n == STAR and "*" or ("%.0f"):format(n)
end

local function put(out, lo, hi)
  out[#out + 1] = lo == hi and show(lo) or show(lo) .. ":" .. show(hi)
end

--- The part of a set from `lo` to `hi` (a number, or nil: no bound); nil for "$", which only the server knows.
function pieces.clip(set, lo, hi)
  if set == "$" then return nil end
  local out, at = {}, 1
  lo, hi = lo or 1, hi or STAR
  while at <= #set do
    local from, to
    from, to, at = range(set, at)
    if from <= hi and to >= lo then put(out, math.max(from, lo), math.min(to, hi)) end
  end
  return table.concat(out, ",")
end

--- The set without the numbers that are keys of `gone`; "$" is left as it is.
function pieces.without(set, gone)
  if set == "$" then return set end
  local sorted, out, at, i, before = {}, {}, 1, 1, 0
  for n in pairs(gone) do sorted[#sorted + 1] = n end
  table.sort(sorted)
  while at <= #set do
    local lo, hi
    lo, hi, at = range(set, at)
    if lo < before then i = 1 end -- ranges may be in any order
    before = lo
    while sorted[i] and sorted[i] < lo do i = i + 1 end
    while sorted[i] and sorted[i] <= hi do
      if sorted[i] > lo then put(out, lo, sorted[i] - 1) end
      lo, i = sorted[i] + 1, i + 1
    end
    if lo <= hi then put(out, lo, hi) end
  end
  return table.concat(out, ",")
end

--- True where the end of the set is not known: "*" or "$" is in it.
function pieces.is_open(set)
  return set:find("[*$]") ~= nil
end

--- The lowest number of the set.
function pieces.floor(set)
  local floor, at = STAR, 1
  while at <= #set do
    local lo, _
    lo, _, at = range(set, at)
    floor = math.min(floor, lo)
  end
  return floor
end

--- How many numbers are in the set; math.huge for an open one.
function pieces.count(set)
  local n, at = 0, 1
  if pieces.is_open(set) then return STAR end
  while at <= #set do
    local lo, hi
    lo, hi, at = range(set, at)
    n = n + hi - lo + 1
  end
  return n
end

-- --- a set, piece by piece --------------------------------------------------------------------------

local Pieces = {}
Pieces.__index = Pieces

-- The next range. One beyond the number that is known to be free ends before it, and what may have
-- come since is a range of its own.
local function take_range(self)
  local lo, hi = self.lo, self.hi
  self.lo = nil
  if not lo then lo, hi, self.at = range(self.set, self.at) end
  local known = self.known
  if known and lo < known and hi >= known then
    self.beyond = hi
    hi = known - 1
  end
  return lo, hi
end

-- The same, or its front where only `room` numbers fit; and how many these are. Of those beyond what
-- is known there are few: they count as one.
local function take(self, room)
  if self.beyond and not self.lo then
    local hi = self.beyond
    self.beyond = nil
    return self.known, hi, 1
  end
  local lo, hi = take_range(self)
  if self.known and lo >= self.known then return lo, hi, 1 end
  if hi ~= STAR and hi - lo + 1 > room then
    self.lo, self.hi = lo + room, hi
    hi = lo + room - 1
  end
  return lo, hi, hi - lo + 1
end

--- Puts a set before what is left.
function Pieces:push(set)
  if set ~= "" then self.pushed[#self.pushed + 1] = set end
end

-- All that fits into a line, uncounted: a cut at a comma.
local function by_line(self)
  local set, from = self.set, self.at
  local cut = #set + 1
  if cut - from > SET_MAX then
    cut = from + SET_MAX
    while set:byte(cut) ~= 44 do cut = cut - 1 end
  end
  self.at = cut + 1
  return set:sub(from, cut - 1)
end

--- The next piece, or nil at the end.
-- @tparam[opt] number span how many numbers at most; left out: as many as a line holds
function Pieces:next(span)
  if #self.pushed > 0 then return table.remove(self.pushed) end
  if not self:more() then return nil end
  if not span then return by_line(self) end
  local out, room, length = {}, span, 0
  while room > 0 and length < SET_MAX and self:more() do
    local lo, hi, n = take(self, room)
    put(out, lo, hi)
    length = length + #out[#out] + 1
    room = room - n
  end
  return table.concat(out, ",")
end

--- True where `next` has more to give.
function Pieces:more()
  return #self.pushed > 0 or self.lo ~= nil or self.beyond ~= nil or self.at <= #self.set
end

--- A set that is taken piece by piece.
-- @tparam string set
-- @tparam[opt] number known the UID that the next message will get: what is above needs no cutting
function pieces.of(set, known)
  return setmetatable({ set = set, at = 1, known = known, pushed = {} }, Pieces)
end

return pieces
