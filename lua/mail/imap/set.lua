--- Sets of messages: what a search found, and sets made of sets.
--
-- A set is an array of numbers, rising, with methods and the operators `+`, `*`, `-`. It belongs to
-- the account, mailbox and UIDVALIDITY in which it was found: used elsewhere it is an error, for the
-- same numbers name other messages there. Another session of the same user at the same server may use it.
-- One of more numbers than the mailbox has messages (a server may say "1:4294967295" in ten octets) is
-- never made an array: it has `count`, `contains`, `each`, `[i]` and the operators, and `#` since
-- Lua 5.2.
-- @module mail.imap.set

local ascii = require "mail.ascii"
local core = require "mail.core"

local set = {}

-- Arrays up to this size are made whatever the mailbox says that it holds, and none above the second.
local SMALL, LARGEST = 100000, 16777216

local RANGES = {} -- where a set that is no array keeps them

local methods = {}

-- --- what a set is --------------------------------------------------------------------------------

--- True for a set of this module.
function set.is(value)
  local mt = type(value) == "table" and getmetatable(value)
  return mt and mt.methods == methods or false
end

--- True for a set of sequence numbers.
function set.is_seq(one)
  local owner = getmetatable(one).owner
  return owner and owner.seq or false
end

local function owner_of(one) return getmetatable(one).owner end

local function ranges_of(one)
  local ranges = rawget(one, RANGES)
  if ranges then return ranges end
  local made, why = core.uidset(one)
  return made or error("mail.imap.set: " .. why, 3)
end

--- The set in the standard's form, as `core.seqset` gives it: "" for an empty one; or nil, reason.
-- @param value a set, a number, an array, a text, "$"
function set.text(value)
  local is_set = set.is(value)
  local ranges = is_set and rawget(value, RANGES)
  if ranges then return ranges:text() end
  -- Numbers as keys, or a hole in front: an empty set is not what was meant.
  if type(value) == "table" and not is_set and value[1] == nil and next(value) ~= nil then
    return nil, "no array of numbers"
  end
  return core.seqset(value)
end

-- --- making ---------------------------------------------------------------------------------------

local operators = {}

local function class(owner, ordered)
  local array = { __index = methods, methods = methods, owner = owner, ordered = ordered }
  local compact = {
    methods = methods, owner = owner,
    __index = function(self, key)
      if type(key) == "number" then return (rawget(self, RANGES):at(key)) end
      return methods[key]
    end,
    __newindex = function() error("mail.imap.set: a set of so many numbers cannot be changed", 2) end,
    __len = function(self) return rawget(self, RANGES):count() end,
    __ipairs = function(self) return methods.each(self), self, 0 end,
  }
  for name, fn in pairs(operators) do array[name], compact[name] = fn, fn end
  return { array = array, compact = compact, owner = owner }
end

local free -- the class of sets that belong nowhere

--- How many numbers of a mailbox, as large as the server says that it is, are ever made an array.
function set.most(box)
  return math.min(LARGEST, math.max(SMALL, box and box.exists or 0))
end

--- The mailbox that a command sent now will find: the one that is open, the one that is being opened, or,
-- where a raw command has opened it, a table that stands for what we do not know.
function set.box(pump) return pump.mailbox or pump.opening or pump.raw_mailbox end

-- The classes of what is found in a mailbox; made once for each time that it is opened.
local function here(pump, kind, box)
  local classes = pump.set_classes
  if not classes or classes.box ~= box or classes.uidvalidity ~= (box and box.uidvalidity) then
    classes = { box = box, uidvalidity = box and box.uidvalidity }
    pump.set_classes = classes
  end
  if not classes[kind] then
    local owner = {
      pump = pump, box = box, name = box and box.name, uidvalidity = box and box.uidvalidity, seq = kind == "seq",
    }
    classes[kind] = class(owner, kind == "sorted")
  end
  return classes[kind]
end

-- `small`: no array even where the mailbox is as large.
local function of_ranges(which, ranges, small)
  local count = ranges:count()
  local box = not small and which.owner and which.owner.box
  if count <= SMALL or (count <= LARGEST and box and count <= (box.exists or 0)) then
    return setmetatable(ranges:list(), which.array)
  end
  return setmetatable({ [RANGES] = ranges }, which.compact)
end

local function rises(numbers)
  local last = 0
  for i = 1, #numbers do
    local number = numbers[i]
    if number <= last then return false end
    last = number
  end
  return true
end

--- Makes an array of UIDs a set; it becomes the set itself.
-- @tparam table pump
-- @tparam table box what `set.box` said when the search was sent
-- @tparam table numbers
function set.found(pump, box, numbers)
  local which = here(pump, "uid", box)
  if not rises(numbers) then return of_ranges(which, core.uidset(numbers)) end
  return setmetatable(numbers, which.array)
end

--- The same, and the order that they have is kept: a result of SORT.
function set.sorted(pump, box, numbers, seq)
  local which = here(pump, "sorted", box)
  if seq then which = class(here(pump, "seq", box).owner, true) end
  return setmetatable(numbers, which.array)
end

--- Ranges of the core as a set that stays small: no array above SMALL numbers.
function set.kept(pump, box, ranges) return of_ranges(here(pump, "uid", box), ranges, true) end

--- A set from ranges of the core.
function set.of_ranges(pump, box, ranges, seq) return of_ranges(here(pump, seq and "seq" or "uid", box), ranges) end

--- A set of another mailbox of this session.
function set.elsewhere(pump, name, uidvalidity, ranges)
  return of_ranges(class { pump = pump, name = name, uidvalidity = uidvalidity }, ranges)
end

--- A set that belongs to no mailbox yet; joined with one that does, it does too.
-- @param[opt] value a number, an array, "1:3,7", a set
-- @treturn table; raises at the caller's line where it is none of these
function set.new(value)
  if set.is(value) then return of_ranges(free, ranges_of(value)) end
  local ranges, why = core.uidset(value ~= "" and value or nil)
  if not ranges then error("imap.set: " .. why, 2) end
  return of_ranges(free, ranges)
end

-- --- algebra --------------------------------------------------------------------------------------

-- True where what one session finds the other may use: the links of an account, and whoever is logged in as
-- the same user at the same address, as after a connection was lost.
local function same_account(a, b)
  if a == b or a.account ~= nil and a.account == b.account then return true end
  return a.user ~= nil and a.user == b.user and a.address ~= nil and a.address == b.address
end

-- True where both name the same messages by the same numbers.
local function same_place(a, b)
  if a == b then return true end
  if a.seq or b.seq then return a.seq == b.seq and a.box == b.box and a.pump == b.pump end
  return same_account(a.pump, b.pump) and a.name == b.name and a.uidvalidity == b.uidvalidity
end

local function place(owner)
  return ("'%s' (%s)"):format(tostring(owner.name), owner.seq and "sequence numbers" or "UIDs")
end

-- What the result of two sets belongs to; raises at the caller of the operator.
local function common(a, b, what)
  local x, y = owner_of(a), owner_of(b)
  if x and y and not same_place(x, y) then
    error(("imap: %s of sets that belong to different places: %s and %s"):format(what, place(x), place(y)), 3)
  end
  x = x or y
  return x and class(x) or free
end

-- An operand that is no set: a number, an array or a text.
local function operand(value, what)
  if set.is(value) then return value end
  local ranges, why = core.uidset(value ~= "" and value or nil)
  if not ranges or value == nil then
    error(("imap: %s of a set with what is none: %s"):format(what, why or "nil"), 3)
  end
  return setmetatable({ [RANGES] = ranges }, free.compact)
end

local function combine(what)
  return function(a, b)
    local mt = type(b) == "table" and getmetatable(b)
    if mt and mt.query then return mt.combine(a, b, what) end
    a, b = operand(a, what), operand(b, what)
    local which = common(a, b, what)
    local x, y = ranges_of(a), ranges_of(b)
    return of_ranges(which, x[what](x, y))
  end
end

local union, intersection, difference = combine "union", combine "intersection", combine "difference"
operators.__add, operators.__mul, operators.__sub = union, intersection, difference

--- What is in either: `a + b`.
methods.union = union
--- What is in both: `a * b`.
methods.intersection = intersection
--- What is in the first alone: `a - b`.
methods.difference = difference

--- The set as the standard writes it, in rising order: "1:3,7".
operators.__tostring = function(self) return ranges_of(self):text() end

free = class()

-- --- asking ---------------------------------------------------------------------------------------

--- How many messages; `#set` too, but see above.
function methods:count()
  local ranges = rawget(self, RANGES)
  return ranges and ranges:count() or #self
end

--- True where `number` is in it.
function methods:contains(number)
  local ranges = rawget(self, RANGES)
  if ranges then return ranges:has(number) end
  if getmetatable(self).ordered then
    for i = 1, #self do
      if self[i] == number then return true end
    end
    return false
  end
  local lo, hi = 1, #self
  while lo <= hi do
    local mid = lo + (hi - lo - (hi - lo) % 2) / 2
    local found = self[mid]
    if found == number then return true end
    if found < number then lo = mid + 1 else hi = mid - 1 end
  end
  return false
end

--- Iterates over the numbers, whatever their number: `for i, uid in set:each() do`.
function methods:each()
  local ranges, i = rawget(self, RANGES), 0
  return function()
    i = i + 1
    local number
    if ranges then number = ranges:at(i) else number = self[i] end
    if number then return i, number end
  end
end

--- Iterates over its ranges, in rising order: `for first, last in set:ranges() do`.
function methods:ranges()
  local ranges, i = ranges_of(self), 0
  return function()
    i = i + 1
    return ranges:span(i)
  end
end

--- Adds a number, or all from `first` to `last`; for sets that one makes oneself.
-- @treturn table the set, which is another one where it was an array
function methods:with(first, last)
  local ranges = core.uidset()
  ranges:add(first, last)
  return union(self, setmetatable({ [RANGES] = ranges }, free.compact))
end

-- --- where it may be used -------------------------------------------------------------------------

local function misplaced(pump, message, fields) return pump:error("invalid", message, fields) end

-- Why a set of UIDs names nothing here.
local function wrong_mailbox(pump, owner, command)
  local box = pump.mailbox
  if box and box.name == owner.name then
    return pump:error("uidvalidity", ("the set was found in '%s' with UID validity %s, which is now %s")
      :format(tostring(owner.name), tostring(owner.uidvalidity), tostring(box.uidvalidity)), { command = command })
  end
  return misplaced(pump, ("the set was found in '%s', and %s"):format(tostring(owner.name),
    box and "'" .. box.name .. "' is selected" or "no mailbox is selected"), { command = command })
end

-- The last search that was to be kept on the server, by "$" (RFC 5182 §2.1).
local function wrong_reference(pump, command)
  if pump.shared then
    return misplaced(pump, "'$' is known to one connection: use account:with", { command = command })
  elseif not (pump.session:has_capability("SEARCHRES") or pump.session:has_capability("IMAP4REV2")) then
    return pump:error("unsupported", "the server lacks SEARCHRES: it does not know '$'", { command = command })
  elseif (pump.saving or 0) > 0 then
    return misplaced(pump, "the search that '$' stands for has not ended", { command = command })
  elseif pump.unsaved and pump.unsaved == set.box(pump) then
    return misplaced(pump, "the search that '$' was to stand for has failed", { command = command })
  end
end

--- Why a set must not be used on what is selected now; nil where it may. Raises where numbers of the
-- one kind are used as the other.
-- @tparam table pump
-- @param value any set
-- @tparam boolean seq it is used as sequence numbers
-- @tparam string what the method, for messages
-- @tparam number level whose line is blamed: 1 = the caller of the function that calls this
-- @treturn ?table err
function set.refused(pump, value, seq, what, level)
  if value == "$" then return wrong_reference(pump, ascii.upper(what)) end
  local owner = set.is(value) and owner_of(value)
  if not owner then return nil end
  if (owner.seq or false) ~= (seq or false) then
    error(("imap:%s: a set of %s is used as %s"):format(what, owner.seq and "sequence numbers" or "UIDs",
      owner.seq and "UIDs" or "sequence numbers"), level + 2)
  end
  if not same_account(owner.pump, pump) then
    return misplaced(pump, "the set was found by the session of another account", { command = ascii.upper(what) })
  end
  local box = pump.mailbox or pump.raw_mailbox
  if owner.seq and owner.box ~= box then
    return misplaced(pump, "the sequence numbers were found before this mailbox was opened",
      { command = ascii.upper(what) })
  end
  if owner.name == nil and owner.box == box and box then return nil end -- opened by a raw command
  if not box or not box.name or box.name ~= owner.name or box.uidvalidity ~= owner.uidvalidity then
    return wrong_mailbox(pump, owner, ascii.upper(what))
  end
end

-- --- acting ---------------------------------------------------------------------------------------

--- Messages that one command is given at most, where a set acts by itself.
set.BATCH = 10000

-- The session that found it, or the mailbox of its account, and options that say which kind of numbers it has.
local function acting(one, options, what)
  local owner = owner_of(one)
  if not owner then error(("imap: set:%s: no search has found this set"):format(what), 3) end
  local o = { batch = set.BATCH }
  for name, value in pairs(options or {}) do o[name] = value end
  o.seq = owner.seq or nil
  local account = owner.pump.account
  if account then return account:place(owner.name, owner.uidvalidity, owner.box), o end
  return owner.pump.session, o
end

local function flags_of(...)
  local flags = { ... }
  if type(flags[1]) == "table" then return flags[1], flags[2] end
  local options = type(flags[#flags]) == "table" and table.remove(flags) or nil
  return flags, options
end

--- Moves the messages. @treturn table as of `imap:move`; or nil, err
function methods:move(mailbox, options)
  local session, o = acting(self, options, "move")
  local done, err = session:move(self, mailbox, o)
  return done, err
end

--- Copies the messages. @treturn table as of `imap:copy`; or nil, err
function methods:copy(mailbox, options)
  local session, o = acting(self, options, "copy")
  local done, err = session:copy(self, mailbox, o)
  return done, err
end

local function change(sign, what)
  return function(self, ...)
    local flags, options = flags_of(...)
    local session, o = acting(self, options, what)
    o.silent = true
    local done, err = session:store(self, { [sign] = flags }, o)
    return done, err
  end
end

--- Sets flags: `set:flag("\\Seen", "work")`. @treturn table as of `imap:store`; or nil, err
methods.flag = change("add", "flag")
--- Takes flags away. @treturn table as of `imap:store`; or nil, err
methods.unflag = change("remove", "unflag")

--- Removes the messages: marks them and expunges those alone (UIDPLUS).
-- @treturn table `{expunged=boolean}`: false where they stay, marked \Deleted, because the server can
--   only expunge all that is marked; or nil, err
function methods:delete(options)
  local session, o = acting(self, options, "delete")
  local ok, err = session:store(self, { add = "\\Deleted" }, { silent = true, seq = o.seq, batch = o.batch,
    timeout = o.timeout })
  if not ok then return nil, err end
  local able = session:has_capability("UIDPLUS") or session:has_capability("IMAP4REV2")
  if o.seq or not able then return { expunged = false } end
  ok, err = session:expunge(self, { timeout = o.timeout, batch = o.batch })
  if not ok then return nil, err end
  return { expunged = true }
end

--- Fetches the messages, as `imap:fetch` does.
function methods:fetch(items, options)
  local session, o = acting(self, options, "fetch")
  o.batch = options and options.batch
  local it, err, none, closing = session:fetch(self, items, o)
  return it, err, none, closing
end

--- The same as an array.
function methods:fetch_all(items, options)
  local session, o = acting(self, options, "fetch_all")
  o.batch = options and options.batch
  local all, err = session:fetch_all(self, items, o)
  return all, err
end

return set
