--- What a watcher knows of a mailbox, and what of the server's words is news to it.
--
-- Pure: no session, no clock; facts in, events out. A fact is applied in the moment in which its event
-- is made, so `save` after an event is that event's state: whoever goes on from it is told nothing
-- twice and misses nothing.
--
-- `known` are the UIDs that were told and have not vanished. Flags are remembered in one of two ways:
--   * by mod-sequence (RFC 7162): all changes up to `modseq` were told, and those in `ahead`, uid →
--     mod-sequence, which came before a point up to which all is known;
--   * one by one, on servers without: `flags`, flag → UIDs that have it. UIDs in `unsure` have flags that
--     were never seen, after a change from the first way to the second: the next look at them is told.
-- A message is news by its UID, whatever its mod-sequence; what vanished, by being known.
-- @module mail.imap.sync

local Ranges = require "mail.imap.ranges"

local Sync = {}
Sync.__index = Sync

local VERSION = 1

-- --- mod-sequences --------------------------------------------------------------------------------

-- Those above 2^53 are digits, so that no Lua rounds them.
local function digits(modseq)
  return type(modseq) == "number" and ("%.0f"):format(modseq) or modseq
end

--- True where mod-sequence a is above b; either may be a number or digits.
function Sync.later(a, b)
  if type(a) == "number" and type(b) == "number" then return a > b end
  a, b = digits(a), digits(b)
  if #a ~= #b then return #a > #b end
  return a > b
end
local later = Sync.later

local function is_modseq(modseq)
  return type(modseq) == "number" or type(modseq) == "string" and modseq:find("^[1-9]%d*$") ~= nil
end

-- --- life -----------------------------------------------------------------------------------------

--- Forgets all messages: another life of the mailbox, or its first.
function Sync:reset(uidvalidity)
  self.uidvalidity = uidvalidity
  self.fresh = true -- nothing was looked at yet
  self.base = 1 -- no message below it is missing
  self.known, self.wanted = Ranges.of(), Ranges.of()
  self.modseq, self.ahead, self.ahead_count = nil, {}, 0
  self.flags, self.unsure = nil, Ranges.of()
end

-- "12=3:4;13=9" as uid → mod-sequence. Only known UIDs, of which there are as many as memory holds.
local function read_ahead(self, text)
  for modseq, set in text:gmatch("(%d+)=([%d:,]+)") do
    local uids = (Ranges.of(set) or Ranges.of()):intersection(self.known)
    for i = 1, #uids, 2 do
      for uid = uids[i], uids[i + 1] do
        self.ahead[uid] = #modseq > 15 and modseq or tonumber(modseq)
        self.ahead_count = self.ahead_count + 1
      end
    end
  end
end

local function write_ahead(self)
  local by_modseq, order, out = {}, {}, {}
  for uid, modseq in pairs(self.ahead) do
    modseq = digits(modseq)
    if not by_modseq[modseq] then
      by_modseq[modseq] = {}
      order[#order + 1] = modseq
    end
    table.insert(by_modseq[modseq], uid)
  end
  table.sort(order)
  for i, modseq in ipairs(order) do out[i] = modseq .. "=" .. Ranges.of(by_modseq[modseq]):text() end
  return table.concat(out, ";")
end

local STATE = {
  version = "number", uidvalidity = "number", base = "number", known = "string", ahead = "string", unsure = "string",
}

-- Why a table is no saved state; nil where it is one.
local function fault(saved)
  for name, kind in pairs(STATE) do
    if type(saved[name]) ~= kind then return ("its field '%s' is no %s"):format(name, kind) end
  end
  if saved.version ~= VERSION then return "its version is another one" end
  if saved.modseq ~= nil and not is_modseq(saved.modseq) then return "its field 'modseq' is no mod-sequence" end
  if not (Ranges.of(saved.known) and Ranges.of(saved.unsure)) then return "its field 'known' is no set" end
  for flag, set in pairs(saved.flags or {}) do
    if type(flag) ~= "string" or not Ranges.of(set) then return "its field 'flags' is none" end
  end
end

--- What is known: nothing, or what was saved.
-- @tparam[opt] table saved by `save`
-- @treturn Sync; or nil and why `saved` is none
function Sync.new(saved)
  local self = setmetatable({}, Sync)
  self:reset(nil)
  if not saved then return self end
  local why = fault(saved)
  if why then return nil, why end
  self.uidvalidity, self.base, self.modseq = saved.uidvalidity, saved.base, saved.modseq
  self.fresh = saved.fresh or false
  self.known, self.unsure = Ranges.of(saved.known), Ranges.of(saved.unsure)
  read_ahead(self, saved.ahead)
  self.flags = saved.flags and {}
  for flag, set in pairs(saved.flags or {}) do self.flags[flag] = Ranges.of(set) end
  return self
end

--- A copy of numbers and strings, two tables deep, that can be written down; nil before the mailbox was
-- seen.
function Sync:save()
  if not self.uidvalidity then return nil end
  local flags
  if self.flags then
    flags = {}
    for flag, uids in pairs(self.flags) do flags[flag] = uids.count > 0 and uids:text() or nil end
  end
  return {
    version = VERSION, uidvalidity = self.uidvalidity, base = self.base, modseq = self.modseq, fresh = self.fresh,
    known = self.known:text(), ahead = write_ahead(self), unsure = self.unsure:text(), flags = flags,
  }
end

-- --- the two ways of remembering flags ------------------------------------------------------------

--- From now on flags are remembered one by one: the server has no mod-sequences (any more), or not those that were
-- known.
-- @param[opt] target a mod-sequence that will be a checkpoint once all flags have been looked at
function Sync:by_flags(target)
  self.target = target
  if self.flags then return end
  self.unsure, self.flags = self.known:difference(Ranges.of()), {}
  self.modseq, self.ahead, self.ahead_count = nil, {}, 0
end

--- All changes up to a mod-sequence have been told.
function Sync:checkpoint(modseq)
  self.flags, self.unsure, self.target = nil, Ranges.of(), nil
  self.modseq = modseq
  for uid, own in pairs(self.ahead) do
    if not later(own, modseq) then
      self.ahead[uid] = nil
      self.ahead_count = self.ahead_count - 1
    end
  end
end

-- A change above the last checkpoint, or above the one to come.
local function put_ahead(self, uid, modseq)
  if not self.ahead[uid] then self.ahead_count = self.ahead_count + 1 end
  self.ahead[uid] = modseq
end

-- \Recent is the session's, not the message's.
local function counts(flag)
  return flag ~= "\\Recent"
end

-- Remembers the flags of a message one by one; true where they are others than before.
local function put_flags(self, uid, flags)
  local changed = self.unsure:has(uid)
  if changed then self.unsure:remove(uid) end
  for flag, uids in pairs(self.flags) do
    if not flags[flag] and uids:has(uid) then
      uids:remove(uid)
      changed = true
    end
  end
  for flag in pairs(flags) do
    if counts(flag) then
      local uids = self.flags[flag] or Ranges.of()
      self.flags[flag] = uids
      if not uids:has(uid) then
        uids:add(uid)
        changed = true
      end
    end
  end
  return changed
end

-- --- facts ----------------------------------------------------------------------------------------

-- True where a mod-sequence tells a change that was not told; nil where it says nothing.
local function is_news(self, uid, modseq)
  if not modseq or modseq == 0 then return nil end
  local told = self.ahead[uid] or self.modseq or self.target
  return not told or later(modseq, told)
end

--- Flags of a message, said by the server.
-- @tparam table m a message with `uid`, `flags`, `modseq`
-- @tparam[opt] boolean asked it is in the answer to a question for changes: where it has no mod-sequence
--   it is told all the same
-- @treturn table the event; or nil where there is none, and true where the server must be asked
function Sync:flags_of(m, asked)
  local uid = m.uid
  if not self.known:has(uid) then
    self.wanted:add(uid)
    return nil
  elseif not m.flags then
    return nil, true
  elseif self.flags then
    if self.target and is_news(self, uid, m.modseq) then put_ahead(self, uid, m.modseq) end
    if not put_flags(self, uid, m.flags) then return nil end
  else
    local news = is_news(self, uid, m.modseq)
    if news == nil and not asked then return nil, true end
    if news == false then return nil end
    if news then put_ahead(self, uid, m.modseq) end
  end
  return { type = "changed", uid = uid, flags = m.flags, modseq = m.modseq }
end

--- A message with all that the user wants of it.
-- @treturn table the event: the message itself, with its type
function Sync:message(m)
  local uid = m.uid
  self.wanted:remove(uid)
  if self.known:has(uid) then return self:flags_of(m) end
  self.known:add(uid)
  if self.flags then put_flags(self, uid, m.flags or {}) end
  if (self.modseq or self.target) and is_news(self, uid, m.modseq) then put_ahead(self, uid, m.modseq) end
  m.type = "new"
  return m
end

-- The ranges without those that are gone: few are taken out one by one, many in one pass.
local function without(uids, gone)
  if gone.count > 16 then return uids:difference(gone) end
  for i = 1, #gone, 2 do
    for uid = gone[i], gone[i + 1] do uids:remove(uid) end
  end
  return uids
end

local function drop(self, gone)
  if gone.count == 0 then return nil end
  self.known, self.unsure = without(self.known, gone), without(self.unsure, gone)
  for flag, uids in pairs(self.flags or {}) do self.flags[flag] = without(uids, gone) end
  for uid in pairs(self.ahead) do
    if gone:has(uid) then
      self.ahead[uid] = nil
      self.ahead_count = self.ahead_count - 1
    end
  end
  return { type = "vanished", uids = gone:text() }
end

--- UIDs that are gone, said by the server; those that were never known are nobody's.
function Sync:vanished(uids)
  self.wanted = self.wanted:difference(uids)
  return drop(self, self.known:intersection(uids))
end

--- All UIDs that there are. Known ones that are not among them are gone, unknown ones are wanted.
function Sync:present(uids)
  self.wanted = uids:difference(self.known)
  return drop(self, self.known:difference(uids))
end

--- Takes a message as known without telling of it.
function Sync:adopt(m)
  self.known:add(m.uid)
  if self.flags then put_flags(self, m.uid, m.flags or {}) end
end

--- The messages that are there have been looked at for the first time.
function Sync:begun()
  self.fresh = false
  self:settle()
end

--- All messages from `base` on have been told.
function Sync:settle()
  self.base = math.max(self.base, self.known:last() + 1)
end

return Sync
