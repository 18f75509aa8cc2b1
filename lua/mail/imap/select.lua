--- SELECT and EXAMINE, and what they resynchronize (RFC 9051 §6.3.2, RFC 7162 §3.2.5).
--
-- An opening is a SELECT on its way: its messages and vanished UIDs are taken one by one by who wants them so
-- (`mail.imap.watch`); `imap:select` gathers them in the mailbox's table.
-- @module mail.imap.select

local core = require "mail.core"
local enable = require "mail.imap.enable"
local events = require "mail.imap.events"
local run = require "mail.imap.run"
local want = require "mail.want"

local unpack = table.unpack or unpack -- luacheck: ignore

local select = {}

-- --- what the answer says --------------------------------------------------------------------------

local codes = {}
function codes.UIDVALIDITY(box, value) box.uidvalidity = value end
function codes.UIDNEXT(box, value) box.uidnext = value end
function codes.UNSEEN(box, value) box.first_unseen = value end
function codes.PERMANENTFLAGS(box, value) box.permanent_flags = value end
function codes.HIGHESTMODSEQ(box, value) box.highestmodseq, box.nomodseq = value, nil end
function codes.NOMODSEQ(box) box.highestmodseq, box.nomodseq = nil, true end
function codes.MAILBOXID(box, value) box.mailboxid = value end
function codes.UIDNOTSTICKY(box) box.uidnotsticky = true end
codes["READ-ONLY"] = function(box) box.readonly = true end
codes["READ-WRITE"] = function(box) box.readonly = false end

local data = {}
function data.EXISTS(box, number) box.exists = number end
function data.RECENT(box, number) box.recent = number end
function data.FLAGS(box, _, value) box.flags = value end

-- What came before [CLOSED] was said of the mailbox that was open until now (RFC 7162 §3.2.11).
local function closed(opening)
  local box = opening.box
  for name in pairs(box) do box[name] = nil end
  box.name, box.exists, box.flags, box.readonly = opening.name, 0, {}, opening.readonly
end

-- Puts what the answer says into the mailbox's table; what it does not know goes to the handlers.
local function note(opening, name, number, value, code, code_value, text)
  if codes[code] then
    codes[code](opening.box, code_value)
  elseif data[name] then
    data[name](opening.box, number, value)
  else
    events.unsolicited(opening.pump, "untagged", name, number, value, code, code_value, text)
  end
end

-- --- opening ---------------------------------------------------------------------------------------

-- "(QRESYNC (67890007 20050715194045000 41,43:211 (1:3 41,43:44)))"
local function qresync_text(saved)
  local words = { ("%.0f"):format(saved.uidvalidity), run.modseq(saved.modseq or saved.highestmodseq) }
  if saved.uids and saved.uids ~= "" then words[3] = saved.uids end
  if saved.match then words[#words + 1] = ("(%s %s)"):format(saved.match[1], saved.match[2]) end
  return "(QRESYNC (" .. table.concat(words, " ") .. "))"
end

--- Begins to open a mailbox.
-- @tparam table pump
-- @tparam string name
-- @tparam table options `qresync` (checked, sets as text), `timeout`
-- @tparam boolean readonly
-- @treturn table the opening, with the mailbox's table as `box`; or nil, err
function select.begin(pump, name, options, readonly)
  if pump.failure then return nil, pump.failure end
  local verb = readonly and "EXAMINE" or "SELECT"
  local arguments = { "mailbox", name }
  local ok, err = true, nil
  if options.qresync then
    ok, err = enable.ensure(pump, "QRESYNC", options)
    arguments[3], arguments[4] = "text", qresync_text(options.qresync)
  elseif pump.session:has_capability("CONDSTORE") or pump.session:has_capability("QRESYNC") then
    arguments[3], arguments[4] = "text", "(CONDSTORE)"
  end
  if not ok then return nil, err end
  local box = { name = name, exists = 0, flags = {}, readonly = readonly }
  pump.mailbox, pump.opening = nil, box
  local id
  id, err = run.begin(pump, verb, false, unpack(arguments))
  if not id then
    pump.opening = nil
    return nil, err
  end
  pump:stream(id)
  return {
    pump = pump, id = id, name = name, verb = verb, readonly = readonly, box = box, options = options,
    deadline = pump:deadline(options),
  }
end

local function finished(opening)
  local pump = opening.pump
  pump:stream_end(opening.id)
  if pump.opening == opening.box then pump.opening = nil end
  opening.over = true
end

local function opened(opening, code, value)
  local pump, box, qresync = opening.pump, opening.box, opening.options.qresync
  if codes[code] then codes[code](box, value) end
  box.permanent_flags = box.permanent_flags or box.flags
  box.resynced = qresync and box.highestmodseq ~= nil and box.uidvalidity == qresync.uidvalidity or nil
  pump.mailbox = box
  return "done", box
end

-- What it brings is more than limits.answer.
local function overfull(opening)
  local pump = opening.pump
  finished(opening)
  pump:abandon(opening.id)
  if pump.failure then return pump:failed() end
  return nil, run.overfull(pump, opening.verb)
end

--- The next thing that it brings.
-- @return "message", m, weight: flags that changed; "vanished", the text of a set; "closed": all before was said of the
--   mailbox that was open until now; "done", box; or nil, err
function select.step(opening)
  local pump = opening.pump
  while true do
    local kind, a, b, c, d, e, f = pump:wait(opening.id, opening.deadline)
    if not kind then
      finished(opening)
      if a ~= pump.failure then a.command = a.command or opening.verb end
      return nil, a
    elseif kind == "done" then
      finished(opening)
      if a == "OK" then return opened(opening, b, c) end
      return nil, run.refusal(pump, opening.verb, a, b, c, d)
    elseif kind == "fetch" then
      if opening.options.qresync and a.uid then return "message", a, b end
      events.unsolicited(pump, "fetch", a)
    elseif kind == "untagged" and a == "VANISHED" and opening.options.qresync then
      return "vanished", c.uids
    elseif kind == "untagged" and d == "CLOSED" then
      closed(opening)
      return "closed"
    elseif kind == "limit" then
      return overfull(opening)
    elseif kind == "untagged" then
      note(opening, a, b, c, d, e, f)
    end
  end
end

-- --- the methods -----------------------------------------------------------------------------------

local SELECT = {
  readonly = "boolean?", uidvalidity = "number?", qresync = "table?", timeout = "number|table?",
}

local SAVED = {
  uidvalidity = "number", modseq = "number|string?", highestmodseq = "number|string?", uids = "any", match = "table?",
}

local function checked_set(set, what, level)
  local text, why = core.seqset(set)
  if not text or text:find("[*$]") then
    error(("imap:select: option 'qresync': bad %s: %s"):format(what, tostring(why or "'*' or '$' in it")), level + 1)
  end
  return text
end

-- What the user saved, with its sets as text. A mailbox's table as `select` gave it serves too; then only its
-- UID validity and mod-sequence count.
local function checked_saved(saved, level)
  local o = { uidvalidity = saved.uidvalidity, modseq = saved.modseq or saved.highestmodseq }
  if saved.name == nil or saved.exists == nil then
    want(saved, SAVED, "imap:select: qresync", level)
    o.uids = saved.uids ~= nil and checked_set(saved.uids, "uids", level + 1) or nil
    if saved.match then
      o.match = {
        checked_set(saved.match[1], "match", level + 1), checked_set(saved.match[2], "match", level + 1),
      }
    end
  end
  if not o.uidvalidity or not o.modseq then
    error("imap:select: option 'qresync' needs uidvalidity and modseq", level + 1)
  end
  run.modseq(o.modseq, "imap:select: option 'qresync': modseq", level + 1)
  return o
end

--- Leaves the mailbox and removes nothing (RFC 3691): true; or nil, err.
function select.leave(pump, options)
  local ok, err
  if pump.session:has_capability("UNSELECT") or pump.session:has_capability("IMAP4REV2") then
    ok, err = run.call(pump, options, nil, "UNSELECT")
  else
    -- Opening what cannot be there leaves what was open (RFC 3501 §6.3.1).
    ok, err = run.call(pump, options, nil, "EXAMINE", "mailbox", "")
    if ok then
      ok, err = run.call(pump, options, nil, "CLOSE") -- it was there; opened read-only, CLOSE removes nothing
    elseif err.kind == "rejected" then
      ok, err = true, nil
    end
  end
  if not ok then return nil, err end
  pump.mailbox = nil
  return true
end

-- UIDs of another life name other messages: leave the mailbox before anything is touched.
local function other_life(pump, box, known)
  local err = pump:error("uidvalidity", ("the UID validity of '%s' is %s, not %s"):format(box.name,
    tostring(box.uidvalidity), tostring(known)), { command = "SELECT", uidvalidity = box.uidvalidity })
  pump.mailbox = nil
  local ok, why = select.leave(pump)
  if not ok and why.kind ~= "rejected" then return nil, why end
  return nil, err
end

local function open(pump, name, options, readonly)
  local opening, err = select.begin(pump, name, options, readonly)
  if not opening then return nil, err end
  local box, changed, vanished = opening.box, {}, {}
  local held, most = 0, pump.session:answer_limit()
  while true do
    local what, value, weight = select.step(opening)
    if not what then return nil, value end
    if what == "done" then break end
    if what == "closed" then
      changed, vanished, held = {}, {}, 0
    else
      local list = what == "message" and changed or vanished
      list[#list + 1] = value
      held = held + (weight or #value + 64)
    end
    if held > most then return overfull(opening) end
  end
  if box.resynced then box.changed, box.vanished = changed, vanished[1] and table.concat(vanished, ",") end
  if options.uidvalidity and options.uidvalidity ~= box.uidvalidity then
    return other_life(pump, box, options.uidvalidity)
  end
  return box
end

-- A copy of the options. Raises at the caller of the method that calls.
local function checked(options, what)
  local o = {}
  if options == nil then return o end
  want(options, SELECT, "imap:" .. what, 2)
  for key, value in pairs(options) do o[key] = value end
  if o.qresync then o.qresync = checked_saved(o.qresync, 3) end
  return o
end

-- Methods of the session.
select.methods = {}

--- Opens a mailbox (RFC 9051 §6.3.2).
-- @tparam string name UTF-8
-- @tparam[opt] table options `readonly` (EXAMINE); `uidvalidity`: fail with kind "uidvalidity" where the server's
--   differs; `qresync`: what was known when it was left, `{uidvalidity=, modseq=, uids=set, match={seqs, uids}}` or the
--   table that select returned then (RFC 7162; kind "unsupported" where the server lacks it); `timeout`
-- @treturn table `{name=, exists=, recent=, uidvalidity=, uidnext=, highestmodseq=, nomodseq=, flags=set,
--   permanent_flags=set, readonly=boolean}`, where the server tells `first_unseen` (a sequence number), `mailboxid`
--   (RFC 8474) and `uidnotsticky` (true: UIDs do not last), and after a resynchronization `resynced=true`, `changed`
--   (array of messages with uid, flags, modseq) and `vanished` (a set, nil where there are none); or nil, err, and
--   no mailbox is selected. Where `resynced` is nil nothing was compared: the UID validity is another one, or the
--   mailbox has no mod-sequences.
function select.methods:select(name, options)
  run.text(name, "select", "a mailbox")
  local o = checked(options, "select")
  local pump = run.pump(self, "select")
  return open(pump, name, o, o.readonly or false)
end

--- The same, read-only.
-- @tparam string name
-- @tparam[opt] table options as of `select`
-- @treturn table as of `select`; or nil, err
function select.methods:examine(name, options)
  run.text(name, "examine", "a mailbox")
  local o = checked(options, "examine")
  local pump = run.pump(self, "examine")
  return open(pump, name, o, true)
end

return select
