-- mail.imap.watch against a model: thousands of histories of arrivals, flag changes, expunges, mailboxes deleted and
-- made again, links cut anywhere and processes that die, on servers of every rung. The picture that the events draw is
-- compared with the truth; no event may come twice, and none may be missing.

local Follow = require "mail.imap.follow"
local imap = require "mail.imap"
local model = require "spec.support.imap_model"

local HISTORIES = tonumber(os.getenv "LM_HISTORIES") or 2000

Follow.AHEAD_MAX = 2 -- histories are short; busted loads the module anew for the next file

-- The rungs of the ladder, and how news comes.
local RUNGS = {
  { name = "QRESYNC", condstore = true, qresync = true, esearch = true },
  { name = "QRESYNC without a history", condstore = true, qresync = true, forgets = true },
  { name = "CONDSTORE", condstore = true, esearch = true },
  { name = "CONDSTORE without ESEARCH", condstore = true },
  { name = "flags", uids_told = true },
  { name = "flags without UIDs", esearch = true },
  { name = "no mod-sequences in this mailbox", condstore = true, qresync = true, nomodseq = true },
}
local MANNERS = { { "NOTIFY", notify = true }, { "IDLE", idle = true }, { "NOOP" } }

-- --- what the consumer draws ------------------------------------------------------------------------

local function copy(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for key, one in pairs(value) do out[key] = copy(one) end
  return out
end

-- Written down and read again, as another process would; numbers and strings, two tables deep.
local function written(state)
  if state == nil then return nil end
  for key, value in pairs(state) do
    assert(type(key) == "string", "a key that is no string")
    if type(value) == "table" then
      for name, text in pairs(value) do assert(type(name) == "string" and type(text) == "string") end
    end
  end
  return copy(state)
end

local function new_picture()
  return { flags = {}, modseqs = {}, gone = {} }
end

local draw = {}

function draw.new(picture, event)
  assert(not picture.flags[event.uid], "told twice")
  assert(not picture.gone[event.uid], "back from the dead")
  assert(event.size == event.uid * 10, "without its item")
  picture.flags[event.uid], picture.modseqs[event.uid] = model.flag_text(event.flags), event.modseq
end

function draw.changed(picture, event)
  local before, text = picture.flags[event.uid], model.flag_text(event.flags)
  assert(before, "unknown")
  local known = picture.modseqs[event.uid]
  if known and event.modseq then
    assert(event.modseq > known, "an old change again")
  else
    assert(before ~= text, "no change")
  end
  picture.flags[event.uid], picture.modseqs[event.uid] = text, event.modseq
end

function draw.vanished(picture, event)
  for lo, hi in event.uids:gmatch("(%d+):?(%d*)") do
    for uid = tonumber(lo), tonumber(hi) or tonumber(lo) do
      assert(picture.flags[uid], "unknown, or vanished twice")
      picture.flags[uid], picture.gone[uid] = nil, true
    end
  end
end

function draw.reset(picture, event)
  assert(picture.uidvalidity ~= event.uidvalidity, "the same life")
  picture.flags, picture.modseqs, picture.gone, picture.uidvalidity = {}, {}, {}, event.uidvalidity
end

-- --- one history --------------------------------------------------------------------------------------

local function compare(world, picture)
  local truth = {}
  for _, m in ipairs(world.box.messages) do truth[m.uid] = model.flag_text(m.flags) end
  for uid, text in pairs(truth) do
    local drawn = picture.flags[uid]
    if drawn ~= text then error(("UID %d: the truth is '%s', the picture '%s'"):format(uid, text, tostring(drawn))) end
  end
  for uid in pairs(picture.flags) do
    if not truth[uid] then error(("UID %d is in the picture only"):format(uid)) end
  end
end

local function options_of(seed)
  local rung, manner = RUNGS[seed % #RUNGS + 1], MANNERS[math.floor(seed / #RUNGS) % #MANNERS + 1]
  local o = copy(rung)
  for key, value in pairs(manner) do o[key] = value end
  o.title = rung.name .. ", " .. manner[1]
  return o
end

local Consumer = {}
Consumer.__index = Consumer

local function watch(self)
  self.it = imap.watch {
    host = "model", tls = "none", loop = self.world.host, since = written(self.saved), items = { "size" }, probe = 100,
    poll = 20, timeout = 10,
  }
end

-- The process dies and another one goes on from what was saved last.
local function die(self)
  self.it:close()
  self.picture = copy(self.kept)
  watch(self)
end

local function take(self, event)
  local ok, why = pcall(draw[event.type], self.picture, event)
  if not ok then error(("%s of UID %s: %s"):format(event.type, tostring(event.uid or event.uids), tostring(why)), 0) end
  if self.dice:once_in(2) then self.saved, self.kept = self.it:state(), copy(self.picture) end
  if self.dice:once_in(15) and self.world.changes > 0 then die(self) end
end

-- Plays the history of a seed; how many events there were.
local function play(seed, more)
  local o = options_of(seed)
  for key, value in pairs(more or {}) do o[key] = value end
  local world = model.world(seed, o)
  local self = setmetatable({ world = world, dice = model.dice(seed + 1), picture = new_picture() }, Consumer)
  self.kept = copy(self.picture)
  world.on_quiet = function()
    if world.box then
      self.it:close()
    else
      world:heal()
      world.quiet = 0
    end
  end
  watch(self)
  local events = 0
  while true do
    local event, err = self.it:next()
    if err and not (err.kind == "rejected" and not self.it:state()) then error(tostring(err), 0) end
    if event then
      events = events + 1
      take(self, event)
    elseif err then -- the mailbox was not there at the first look
      world:heal()
      watch(self)
    else
      break
    end
  end
  compare(world, self.picture)
  return events
end

describe("mail.imap.watch and the truth", function()
  it("agree after " .. HISTORIES .. " histories", function()
    local events = 0
    for seed = 1, HISTORIES do
      local ok, got = pcall(play, seed)
      if not ok then error(("history %d (%s): %s"):format(seed, options_of(seed).title, tostring(got)), 0) end
      events = events + got
    end
    assert.is_true(events > HISTORIES * 10, events .. " events")
  end)
end)
