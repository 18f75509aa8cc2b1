--- An IMAP server in memory, over an in-memory transport and with a clock of its own: what a model test needs to play
-- thousands of histories in seconds. It knows the mailbox's truth, changes it behind the client's back, and cuts the
-- link wherever the dice say.
--
--     local world = model.world(seed, { qresync = true, esearch = true })
--     imap.watch { host = "model", loop = world.host, tls = "none" }
--
-- What it speaks is what its words allow: IMAP4rev1 with CONDSTORE, QRESYNC, ESEARCH, IDLE, NOTIFY, each or none. It
-- tells news as a lazy server does: late, in several pieces, expunges after later flag changes where the standard
-- lets it. It is no reference: it never checks what a right client would not send.

local Err = require "mail.err"

local model = {}

-- --- dice -----------------------------------------------------------------------------------------

-- The same numbers on every Lua (Park and Miller).
local Dice = {}
Dice.__index = Dice

function model.dice(seed)
  return setmetatable({ state = seed * 7919 % 2147483646 + 1 }, Dice)
end

--- A number from 1 to n.
function Dice:roll(n)
  self.state = self.state * 16807 % 2147483647
  return math.floor(self.state / 2147483647 * n) + 1
end

--- True once in n times.
function Dice:once_in(n) return self:roll(n) == 1 end

-- --- the mailbox ------------------------------------------------------------------------------------

local World = {}
World.__index = World

local FLAGS = { "\\Seen", "\\Flagged", "work" }

local function new_box(uidvalidity)
  return { uidvalidity = uidvalidity, uidnext = 1, modseq = 1, messages = {}, gone = {} }
end

--- A message's flags as text, "\\Flagged \\Seen".
function model.flag_text(flags)
  local list = {}
  for flag in pairs(flags) do list[#list + 1] = flag end
  table.sort(list)
  return table.concat(list, " ")
end

local function rise(box)
  box.modseq = box.modseq + 1
  return box.modseq
end

local function append(box, dice)
  local flags = {}
  for _, flag in ipairs(FLAGS) do flags[flag] = dice:once_in(3) or nil end
  box.uidnext = box.uidnext + (dice:once_in(5) and dice:roll(3) or 0)
  box.messages[#box.messages + 1] = { uid = box.uidnext, flags = flags, modseq = rise(box) }
  box.uidnext = box.uidnext + 1
end

local function flag(box, dice)
  local m = box.messages[dice:roll(#box.messages)]
  local name = FLAGS[dice:roll(#FLAGS)]
  m.flags[name] = not m.flags[name] or nil
  m.modseq = rise(box)
end

local function expunge(box, dice)
  local modseq = rise(box)
  for _ = 1, dice:roll(2) do
    if #box.messages > 0 then
      local m = table.remove(box.messages, dice:roll(#box.messages))
      box.gone[#box.gone + 1] = { uid = m.uid, modseq = modseq }
    end
  end
end

--- One change by somebody else.
function World:change()
  local dice, box = self.dice, self.box
  self.changes = self.changes - 1
  if box == nil then
    self.lives = self.lives + dice:roll(3)
    self.box = new_box(self.lives)
    return
  end
  local what = dice:roll(16)
  if #box.messages == 0 or what <= 6 then
    append(box, dice)
  elseif what <= 11 then
    flag(box, dice)
  elseif what <= 15 then
    expunge(box, dice)
    if dice:once_in(3) then append(box, dice) end -- a move away and back
  elseif dice:once_in(2) then
    self.box, box.deleted = nil, true
  end
end

-- --- one connection ---------------------------------------------------------------------------------

local Conn = {}
Conn.__index = Conn

local function put(conn, format, ...)
  conn.out[#conn.out + 1] = select("#", ...) > 0 and format:format(...) or format
  conn.out[#conn.out + 1] = "\r\n"
end

local function in_set(text, uid, top)
  for lo, colon, hi in text:gmatch("([%d*]+)(:?)([%d*]*)") do
    lo = lo == "*" and top or tonumber(lo)
    hi = colon == "" and lo or hi == "*" and top or tonumber(hi)
    if lo > hi then lo, hi = hi, lo end
    if uid >= lo and uid <= hi then return true end
  end
  return false
end

local function tell_message(conn, seq, m, items, asked)
  local words = {}
  if asked or conn.condstore or conn.world.uids_told then words[1] = "UID " .. m.uid end
  if not items or items:find "FLAGS" then
    words[#words + 1] = "FLAGS (" .. model.flag_text(m.flags) .. ")"
    conn.seen[m.uid] = m.modseq
  end
  if conn.condstore then words[#words + 1] = "MODSEQ (" .. m.modseq .. ")" end
  if items and items:find "RFC822.SIZE" then words[#words + 1] = "RFC822.SIZE " .. (m.uid * 10) end
  put(conn, "* %d FETCH (%s)", seq, table.concat(words, " "))
end

local function tell_gone(conn, here)
  local uids = {}
  for i = #conn.view, 1, -1 do
    local m = conn.view[i]
    if not here[m] then
      table.remove(conn.view, i)
      if conn.vanishes then uids[#uids + 1] = m.uid else put(conn, "* %d EXPUNGE", i) end
    end
  end
  if uids[1] then put(conn, "* VANISHED %s", table.concat(uids, ",")) end
end

-- Tells what the client has not been told: all of it, or without what went away.
local function tell(conn, with_gone)
  local box = conn.box
  if not box or box.deleted then return end
  local here, viewed, arrived = {}, {}, false
  for _, m in ipairs(box.messages) do here[m] = true end
  if with_gone then tell_gone(conn, here) end
  for _, m in ipairs(conn.view) do viewed[m] = true end
  for _, m in ipairs(box.messages) do
    if not viewed[m] then
      conn.view[#conn.view + 1] = m
      conn.seen[m.uid] = m.modseq
      arrived = true
    end
  end
  if arrived then put(conn, "* %d EXISTS", #conn.view) end
  for seq, m in ipairs(conn.view) do
    if here[m] and m.modseq > conn.seen[m.uid] then tell_message(conn, seq, m) end
  end
end

--- The world has changed: a connection that idles says so, now or later.
function Conn:stir()
  if not self.box then return end
  if self.box.deleted and (self.idling or self.notify) then
    put(self, "* BYE mailbox deleted")
    self.over = true
  elseif (self.idling or self.notify) and not self.world.dice:once_in(4) then
    tell(self, not self.world.dice:once_in(3))
  end
end

local commands = {}

local function vanished_since(box, modseq, known)
  local uids = {}
  for _, gone in ipairs(box.gone) do
    if gone.modseq > modseq and (not known or in_set(known, gone.uid, box.uidnext)) then uids[#uids + 1] = gone.uid end
  end
  return uids
end

-- A server that keeps no history of expunges tells all that it does not have.
local function vanished_ever(box, known)
  local here, uids = {}, {}
  for _, m in ipairs(box.messages) do here[m.uid] = true end
  for uid = 1, box.uidnext - 1 do
    if not here[uid] and (not known or in_set(known, uid, box.uidnext)) then uids[#uids + 1] = uid end
  end
  return uids
end

local function tell_vanished(conn, modseq, known)
  local find = conn.world.forgets and vanished_ever or vanished_since
  local uids = conn.world.forgets and find(conn.box, known) or find(conn.box, modseq, known)
  if uids[1] then put(conn, "* VANISHED (EARLIER) %s", table.concat(uids, ",")) end
end

function commands.CAPABILITY(conn) put(conn, "* CAPABILITY %s", conn.world.words) end

function commands.ENABLE(conn, rest)
  if rest == "QRESYNC" then conn.qresync, conn.condstore = true, true end
  put(conn, "* ENABLED %s", rest)
end

local function resync(conn, rest)
  local box = conn.box
  local validity, modseq, known = rest:match("%(QRESYNC %((%d+) (%d+) ?([%d:,]*)")
  if tonumber(validity) ~= box.uidvalidity or not conn.vanishes then return end
  known = known ~= "" and known or nil
  tell_vanished(conn, tonumber(modseq), known)
  for seq, m in ipairs(conn.view) do
    if m.modseq > tonumber(modseq) and (not known or in_set(known, m.uid, box.uidnext)) then
      tell_message(conn, seq, m, nil, true)
    end
  end
end

function commands.EXAMINE(conn, rest)
  local box, world = conn.world.box, conn.world
  conn.box = nil
  if not box then return "NO [NONEXISTENT] no such mailbox" end
  conn.box, conn.view, conn.seen = box, {}, {}
  if rest:find "CONDSTORE" then conn.condstore = true end
  local modseqs = world.condstore and not world.nomodseq
  conn.condstore = conn.condstore and modseqs
  conn.vanishes = conn.qresync and modseqs
  for i, m in ipairs(box.messages) do conn.view[i], conn.seen[m.uid] = m, m.modseq end
  put(conn, "* %d EXISTS", #box.messages)
  put(conn, "* OK [UIDVALIDITY %d] v", box.uidvalidity)
  if not world.dice:once_in(5) then put(conn, "* OK [UIDNEXT %d] n", box.uidnext) end
  if modseqs then put(conn, "* OK [HIGHESTMODSEQ %d] m", box.modseq) end
  if world.condstore and world.nomodseq then put(conn, "* OK [NOMODSEQ] none") end
  if rest:find "QRESYNC" then resync(conn, rest) end
  return "OK [READ-ONLY] open"
end

commands["UID FETCH"] = function(conn, rest)
  local set, items = rest:match("^(%S+) (%b())")
  local since = tonumber(rest:match("CHANGEDSINCE (%d+)"))
  local top = conn.view[#conn.view] and conn.view[#conn.view].uid or 0
  if rest:find "VANISHED" then tell_vanished(conn, since, set) end
  local all, here = {}, {}
  for _, m in ipairs(conn.view) do all[#all + 1] = m end
  for _, m in ipairs(conn.box.messages) do here[m] = true end
  for _, m in ipairs(all) do
    if conn.world.dice:once_in(25) then tell(conn, true) end -- in between, too
    if here[m] and in_set(set, m.uid, top) and (not since or m.modseq > since) then
      for seq, viewed in ipairs(conn.view) do
        if viewed == m then tell_message(conn, seq, m, items, true) end
      end
    end
  end
end

function commands.FETCH(conn, rest)
  local set, items = rest:match("^(%S+) (%b())")
  local here = {}
  for _, m in ipairs(conn.box.messages) do here[m] = true end
  for seq, m in ipairs(conn.view) do
    if here[m] and in_set(set, seq, #conn.view) then tell_message(conn, seq, m, items, true) end
  end
end

commands["UID SEARCH"] = function(conn, rest, tag)
  local uids = {}
  for i, m in ipairs(conn.view) do uids[i] = m.uid end
  if rest:find "RETURN" then
    put(conn, '* ESEARCH (TAG "%s") UID%s', tag, uids[1] and " ALL " .. table.concat(uids, ",") or "")
  else
    put(conn, "* SEARCH %s", table.concat(uids, " "))
  end
end

function commands.NOOP() end
function commands.NOTIFY(conn)
  if conn.world.dice:once_in(4) then return "NO [BADEVENT (MessageNew)] not now" end
  conn.notify = true
end

-- Runs one line of the client.
local function run(conn, line)
  if conn.idling then
    tell(conn, conn.world.dice:once_in(2))
    put(conn, "%s OK idled", conn.idling)
    conn.idling = nil
    return
  end
  local tag, verb, rest = line:match("^(%S+) (UID %u+) ?(.*)$")
  if not tag then tag, verb, rest = line:match("^(%S+) (%u+) ?(.*)$") end
  if verb == "IDLE" then
    conn.idling = tag
    put(conn, "+ idling")
    return conn:stir()
  end
  if conn.box and conn.box.deleted and verb ~= "EXAMINE" then
    conn.over = conn.world.dice:once_in(2)
    return put(conn, conn.over and "* BYE deleted" or tag .. " NO [NONEXISTENT] deleted")
  end
  local command = assert(commands[verb], "the model does not know " .. line)
  local answer = command(conn, rest, tag)
  if conn.box and verb ~= "FETCH" and verb ~= "EXAMINE" then tell(conn, true) end
  put(conn, "%s %s", tag, answer or "OK done")
end

-- --- the transport -----------------------------------------------------------------------------------

function Conn:write(bytes)
  if self.gone then return nil, "closed" end
  self.input = self.input .. bytes
  if self.mute then return true end
  while true do
    local line, rest = self.input:match("^(.-)\r\n(.*)$")
    if not line or self.over then return true end
    self.input = rest
    run(self, line)
  end
end

-- What of the output arrives now; the link may die in the middle of it.
local function hand_out(self)
  local text = table.concat(self.out)
  local dice = self.world.dice
  local n = dice:once_in(6) and dice:roll(#text) or #text
  if self.world:cut() then
    self.gone = true
    n = dice:roll(#text)
  end
  self.out = { text:sub(n + 1) }
  if n == #text then self.out = {} end
  return text:sub(1, n)
end

function Conn:read(timeout)
  local world = self.world
  if self.gone then return nil, "closed" end
  if self.out[1] then
    if not (world.changes > 0 and world.dice:once_in(8)) then return hand_out(self) end
    world:change()
    self:stir()
    return hand_out(self)
  end
  if self.over then return nil, "closed" end
  if world:cut() then
    if world.dice:once_in(2) then return nil, "closed" end
    self.mute = true -- half open: nothing comes any more
  end
  if world.changes > 0 then
    world:change()
    if not self.mute then self:stir() end
    if self.out[1] then return hand_out(self) end
  else
    world.quiet = world.quiet + 1
    if world.quiet > 3 and world.on_quiet and not self.mute then world.on_quiet() end
  end
  world.time = world.time + (timeout or 0)
  return nil, "timeout"
end

function Conn:close() self.gone = true end

-- --- the world ----------------------------------------------------------------------------------------

--- True where the dice end a link, as long as there are cuts left.
function World:cut()
  if self.cuts == 0 or not self.dice:once_in(self.cut_in) then return false end
  self.cuts = self.cuts - 1
  return true
end

local Event = {}
Event.__index = Event

-- Nobody else runs: time passes, and the world changes.
function Event:wait(timeout)
  if self.is_set then
    self.is_set = nil
    return true
  end
  local world = self.world
  world.time = world.time + (timeout or 0)
  if world.changes > 0 then world:change() end
  return nil, "timeout"
end
function Event:set() self.is_set = true end

local function dial(world)
  if world.changes == 0 then world:heal() end
  if world.cuts > 0 and world.dice:once_in(10) then
    world.cuts = world.cuts - 1
    return nil, Err.new { kind = "connect", message = "refused", temporary = true }
  end
  world.quiet = 0
  local conn = setmetatable({ world = world, out = {}, input = "" }, Conn)
  put(conn, "* PREAUTH [CAPABILITY %s] model", world.words)
  return conn
end

--- A server with one mailbox, and a host for `loop=` whose only peer it is.
-- @tparam number seed
-- @tparam table options `condstore`, `qresync`, `esearch`, `idle`, `notify`, `nomodseq`, `forgets` (no history of
--   expunges), `uids_told` (unasked FETCH has the UID); `changes`, `cuts`, `cut_in`
function model.world(seed, options)
  local world = setmetatable({
    dice = model.dice(seed), time = 0, quiet = 0, lives = 1, changes = options.changes or 20, cuts = options.cuts or 3,
    cut_in = options.cut_in or 12, box = new_box(1),
  }, World)
  local words = { "IMAP4rev1", "ENABLE" }
  for _, name in ipairs { "condstore", "qresync", "esearch", "idle", "notify" } do
    if options[name] then words[#words + 1] = name:upper() end
  end
  for _, name in ipairs { "condstore", "nomodseq", "forgets", "uids_told" } do world[name] = options[name] end
  world.words = table.concat(words, " ")
  world.host = {
    name = "model", dial = function() return dial(world) end, now = function() return world.time end,
    event = function() return setmetatable({ world = world }, Event) end, spawn = function(fn) fn() end,
    sleep = function(seconds) world.time = world.time + seconds end,
  }
  return world
end

--- Makes sure that the mailbox is there.
function World:heal()
  if not self.box then
    self.lives = self.lives + 1
    self.box = new_box(self.lives)
  end
end

return model
