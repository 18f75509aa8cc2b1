--- One connection of a watcher: from SELECT to the news, by the best that the server has.
--
-- The ladder: QRESYNC tells in the answer to SELECT what changed and vanished; CONDSTORE tells what changed, and a
-- search what vanished; else the flags of all known messages are looked at. Then what is new is fetched, then it
-- listens. What the server says unasked meanwhile is kept as facts, in the order in which it came, and is taken
-- before anything else is asked. What the facts mean is decided in sync.lua; here is what to ask next.
-- Any error ends the connection: `mail.imap.watch` makes another.
-- @module mail.imap.follow

local Ranges = require "mail.imap.ranges"
local Sync = require "mail.imap.sync"
local enable = require "mail.imap.enable"
local facts = require "mail.imap.facts"
local run = require "mail.imap.run"
local select = require "mail.imap.select"
local Pump = require "mail.pump"

local Follow = {}
Follow.__index = Follow

--- More changes than this since the last point up to which all is known: a new one is asked for.
Follow.AHEAD_MAX = 250

-- A longer set of known UIDs is left out of SELECT; the server then tells of more that vanished.
local KNOWN_MAX = 4000

-- --- opening the mailbox ----------------------------------------------------------------------------

-- Which way the mailbox can be followed, and whether what was known can be compared by mod-sequences.
local function settle_way(self, box)
  local sync, highest, session = self.sync, box.highestmodseq, self.session
  -- Some tell mod-sequences and have no command that knows them.
  local can = session:has_capability "CONDSTORE" or session:has_capability "QRESYNC"
  if not can or not highest or highest == 0 then
    self.way = "flags"
    sync:by_flags()
  else
    self.way = self.qresync and "qresync" or "condstore"
    local back = sync.modseq and Sync.later(sync.modseq, highest) -- the server has lost count (RFC 7162 §3.1.2.1)
    if back then sync:by_flags() end
    if sync.fresh then sync:checkpoint(highest) elseif not sync.modseq then sync:by_flags(highest) end
  end
end

-- What is to be done after SELECT; the event where it is another life of the mailbox.
local function opened(self, box)
  local sync, event = self.sync, nil
  if not box.uidvalidity or box.uidnotsticky then
    return nil, self.pump:error("unsupported", "the mailbox has no lasting UIDs", { command = "SELECT" })
  end
  self.box, self.count = box, box.exists
  if sync.uidvalidity ~= box.uidvalidity then
    event = sync.uidvalidity and { type = "reset", uidvalidity = box.uidvalidity } or nil
    sync:reset(box.uidvalidity)
  end
  settle_way(self, box)
  if sync.fresh then
    self.adopt = not self.existing
    if self.existing then sync.fresh = false end
  elseif box.resynced and sync.modseq and not self.missed then
    sync:checkpoint(box.highestmodseq)
  else
    self.compare, self.floor = true, box.highestmodseq
  end
  -- A UIDNEXT that says that nothing is new is believed where the number of messages says so too.
  self.look = not (box.uidnext and box.uidnext <= sync.base and box.exists == sync.known.count)
  return event
end

-- Begins SELECT, with QRESYNC where the server has it.
local function begin_select(self)
  local sync, saved = self.sync, nil
  if self.session:has_capability "QRESYNC" then
    local ok, err = enable.ensure(self.pump, "QRESYNC")
    if not ok and err.kind ~= "unsupported" and err.kind ~= "rejected" then return nil, err end
    self.qresync = ok or false
  end
  if self.qresync and sync.uidvalidity and sync.modseq and sync.modseq ~= 0 and not sync.fresh then
    local uids = sync.known:text()
    saved = { uidvalidity = sync.uidvalidity, modseq = sync.modseq, uids = #uids <= KNOWN_MAX and uids or nil }
  end
  local err
  self.opening, err = select.begin(self.pump, self.mailbox, { qresync = saved }, self.readonly)
  return self.opening and true or nil, err
end

local jobs = {}

function jobs.select(self)
  if not self.opening then
    local ok, err = begin_select(self)
    if not ok then return nil, err end
  end
  local what, value = select.step(self.opening)
  if not what then return nil, value end
  if what == "done" then
    self.job = nil
    return opened(self, value)
  elseif what == "closed" or self.opening.box.uidvalidity ~= self.sync.uidvalidity then
    self.missed = true -- said before it is known of which life: asked again
  elseif what == "vanished" then
    return self.sync:vanished(Ranges.of(value))
  else
    local event, ask = self.sync:flags_of(value, true)
    if ask then self.missed = true end
    return event
  end
end

-- --- questions --------------------------------------------------------------------------------------

-- Begins a FETCH; `ends` runs behind its last message. Messages without UID are passed over, unless `nameless` takes
-- them.
local function fetch(self, set, items, options, each, ends, nameless)
  local it, err = self.session:fetch(set, items, options)
  if not it then return nil, err end
  self.fetching = it
  self.job = function()
    local m, why = it:next()
    if m then
      if m.uid and m.uid > 0 then return each(m) end
      if nameless and not m.uid then nameless(m) end
      return nil
    end
    self.fetching = nil
    if why then return nil, why end
    self.job = nil
    return ends()
  end
end

-- What changed since the last checkpoint, and, with QRESYNC, what vanished.
local function ask_changes(self)
  local sync, highest = self.sync, self.floor
  if sync.known.count == 0 then
    if highest then sync:checkpoint(highest) end
    self.floor = nil
    return nil
  end
  local function rise(modseq)
    if modseq and (not highest or Sync.later(modseq, highest)) then highest = modseq end
  end
  local options = { changed_since = sync.modseq, vanished = self.way == "qresync" or nil }
  local it
  local function gone()
    local text = options.vanished and it:take_vanished()
    return text and sync:vanished(Ranges.of(text))
  end
  local held
  local ok, err = fetch(self, ("1:%.0f"):format(sync.known:last()), { "uid", "flags" }, options, function(m)
    rise(m.modseq)
    local event = gone()
    if not event then return (sync:flags_of(m, true)) end
    held = m
    return event
  end, function()
    if it.highestmodseq then highest = it.highestmodseq end
    self.floor = nil
    local event = gone()
    if highest and Sync.later(highest, sync.modseq) then sync:checkpoint(highest) end
    return event
  end)
  if err then return nil, err end
  it = self.fetching
  local step = self.job
  self.job = function() -- the message that came with the vanished ones is not lost behind them
    if held then
      local m = held
      held = nil
      return (sync:flags_of(m, true))
    end
    return step()
  end
  return ok
end

-- The flags of all known messages; which are gone shows by their number.
local function ask_flags(self)
  local sync = self.sync
  local function ends()
    if sync.target then sync:checkpoint(sync.target) end
  end
  self.floor = nil
  if sync.known.count == 0 then return ends() end
  local items = { "uid", "flags", sync.target and "modseq" or nil }
  return fetch(self, ("1:%.0f"):format(sync.known:last()), items, nil, function(m)
    return (sync:flags_of(m, true))
  end, ends)
end

function jobs.compare(self)
  self.job, self.compare, self.numbers = nil, false, {}
  if self.sync.flags then return ask_flags(self) end
  return ask_changes(self)
end

-- Messages that were named by number, on a server without mod-sequences. With NOTIFY numbers mean nothing.
function jobs.numbers(self)
  local numbers = self.numbers
  self.numbers = {}
  local ok, err = fetch(self, numbers, { "uid", "flags" }, { seq = true }, function(m)
    return (self.sync:flags_of(m, true))
  end, function() end)
  if ok ~= nil or err then return ok, err end
  local step = self.job
  self.job = function()
    local event, why = step()
    if not why or why.kind ~= "rejected" then return event, why end
    self.job, self.compare = nil, true -- the numbers moved: all flags are looked at
  end
end

-- All UIDs that there are.
local function search(self)
  local esearch = self.session:has_capability "ESEARCH" or self.session:has_capability "IMAP4REV2"
  local list, compact = {}, nil
  local ok, err = run.call(self.pump, nil, function(name, _, value)
    if name == "ESEARCH" then
      compact = value and value.all or ""
    elseif name == "SEARCH" then
      for _, uid in ipairs(value or {}) do list[#list + 1] = uid end
    end
  end, "UID SEARCH", "text", esearch and "RETURN (ALL) ALL" or "ALL")
  if not ok then return nil, err end
  local uids = Ranges.of(compact or list)
  if uids and (uids.count > 0 or self.box.exists == 0) then return uids end
  return nil, self.pump:error("protocol", "a search finds nothing in a mailbox that is not empty", {
    command = "SEARCH",
  })
end

local function signature(self)
  return ("%.0f/%.0f"):format(self.box.exists, self.sync.known.count)
end

function jobs.recount(self)
  self.job, self.recount = nil, false
  local uids, err = search(self)
  if not uids then return nil, err end
  local event = self.sync:present(uids)
  self.counted = signature(self)
  return event
end

-- Takes as known what is there, without a word.
function jobs.adopt(self)
  local sync = self.sync
  self.adopt = false
  if sync.flags then
    return fetch(self, "1:*", { "uid", "flags" }, nil, function(m) sync:adopt(m) end, function() sync:begun() end)
  end
  self.job = nil
  if self.box.exists == 0 then return sync:begun() end
  local uids, err = search(self)
  if not uids then return nil, err end
  for i = 1, #uids, 2 do sync.known:add_range(uids[i], uids[i + 1]) end
  sync:begun()
end

-- Messages that nobody was told of.
function jobs.fetch(self)
  local sync, look = self.sync, self.look
  local asked, items = sync.wanted:difference(Ranges.of()), { "uid", "flags" }
  if self.way ~= "flags" then items[3] = "modseq" end
  for _, item in ipairs(self.items) do items[#items + 1] = item end
  local set = asked:text()
  local gaps = look and sync.known:gaps(sync.base) or "" -- none above the highest UID that there can be
  set = set .. (set ~= "" and gaps ~= "" and "," or "") .. gaps
  self.look = false
  if set == "" then
    if look then sync:settle() end
    self.job = nil
    return nil
  end
  return fetch(self, set, items, nil, function(m)
    return (sync:message(m))
  end, function()
    sync.wanted = sync.wanted:difference(asked)
    if look then sync:settle() end
  end, function(m) facts.nameless(self, m) end)
end

-- --- listening ---------------------------------------------------------------------------------------

-- Seconds until a server is asked that was silent since it was listened to first. Dovecot 2.3 may keep to itself, for
-- good, what changes while IDLE begins.
local SOON = 2

-- Without IDLE, NOTIFY makes the server speak by itself.
local function ask_notify(self)
  local session = self.session
  if self.without_notify or self.pump.notify or not session:has_capability "NOTIFY" then return true end
  if session:has_capability "IDLE" or session:has_capability "IMAP4REV2" then return true end
  local ok, err = self.session:notify { selected = { "MessageNew", "MessageExpunge", "FlagChange" } }
  if ok or err.kind ~= "rejected" then return ok, err end
  self.without_notify = true
  return true
end

function jobs.listen(self)
  if not self.news then
    local ok, err = ask_notify(self)
    if not ok then return nil, err end
    local seconds = self.settled and self.probe or math.min(SOON, self.probe)
    self.news, err = self.session:idle { timeout = seconds, poll = self.poll }
    if not self.news then return nil, err end
    if self.inbox[1] then -- came while the last IDLE ended
      self.job = nil
      return nil
    end
  end
  local event, err = self.news:next()
  self.job = nil
  if event then return nil end
  self.news = nil
  if err then return nil, err end
  self.settled = true
  -- Silence: a NOOP shows that the link lives, and what a server keeps to itself during IDLE.
  local ok
  ok, err = self.session:noop()
  if ok then return nil end
  return nil, err
end

-- What to do next; nil where everything has been told.
local function plan(self)
  local sync = self.sync
  if not self.box then return jobs.select end
  if self.adopt then return jobs.adopt end
  if self.compare then return jobs.compare end
  if self.recount then return jobs.recount end
  if self.look or sync.wanted.count > 0 then return jobs.fetch end
  if self.numbers[1] then return jobs.numbers end
  if self.box.exists ~= sync.known.count and self.counted ~= signature(self) then return jobs.recount end
  if sync.ahead_count > self.AHEAD_MAX then return jobs.compare end
end

-- --- the connection ------------------------------------------------------------------------------------

--- Follows a mailbox over a session.
-- @tparam userdata session logged in
-- @tparam table fields `sync` (what is known), `mailbox`, `items`, `readonly`, `existing`, `probe`, `poll`, `live`,
--   `without_notify`
-- @treturn Follow
function Follow.new(session, fields)
  local self = setmetatable({}, Follow)
  for name, value in pairs(fields) do self[name] = value end
  self.session, self.pump = session, Pump.of(session)
  self.inbox, self.taken, self.offs, self.numbers = {}, 0, {}, {}
  facts.listen(self)
  return self
end

-- What is to be done next: nil where nothing is left, and false where it begins to listen, which is told once.
local function next_job(self)
  local job = plan(self)
  if job or not self.live then return job end
  if self.told then return jobs.listen end
  self.told = true
  return false
end

--- The next event.
-- @return an event; false once, when everything has been told and it begins to listen; nil at the end, where it does
--   not listen; or nil, err
function Follow:next()
  while true do
    local event, err = facts.take(self)
    if not event and not err and not self.job then
      self.job = next_job(self)
      if not self.job then return self.job end
      if self.news and self.job ~= jobs.listen then
        self.news:close()
        self.news = nil
      end
    end
    if not event and not err then event, err = self.job(self) end
    if event or err then return event, err end
  end
end

--- Gives the connection up.
function Follow:close()
  for _, off in ipairs(self.offs) do off() end
  self.session:close()
end

return Follow
