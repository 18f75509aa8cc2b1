--- What every IMAP command is made of: checked arguments, a command, its answer, its error.
--
-- The checks blame the line that called the method which calls them, so no method may call them, or
-- what calls them, as a tail call.
-- @module mail.imap.run

local ascii = require "mail.ascii"
local Err = require "mail.err"
local Pump = require "mail.pump"
local core = require "mail.core"
local events = require "mail.imap.events"
local guarded = require "mail.guarded"
local refusal = require "mail.imap.refusal"
local set = require "mail.imap.set"
local want = require "mail.want"

local run = { unpack = table.unpack or unpack } -- luacheck: ignore

-- --- arguments ------------------------------------------------------------------------------------

local TIME = { timeout = "number|table?", progress = "function?" }

--- Checks the options of a call; nil is fine. `spec` as of `mail.want`, default: `timeout` alone.
function run.options(options, what, spec)
  if options ~= nil then want(options, spec or TIME, "imap:" .. what, 2) end
end

--- Raises where one of these options is no span of time: negative, or not a number at all.
-- @tparam table options whose types are right
-- @tparam table names
-- @tparam string what the words of the error
-- @tparam number level whose line is blamed
function run.spans(options, names, what, level)
  for _, name in ipairs(names) do
    local seconds = options[name]
    if seconds and (seconds < 0 or seconds ~= seconds) then
      error(("%s: option '%s' must be 0 or more seconds, got %s"):format(what, name, tostring(seconds)), level + 1)
    end
  end
end

local BACKOFF = { min = "number?", max = "number?" }

--- The option `backoff` with its defaults. Raises at `level` where it makes no sense.
-- @treturn table `{min=, max=}`, seconds
function run.backoff(given, what, level)
  given = want(given or {}, BACKOFF, what .. ": backoff", level)
  run.spans(given, { "min", "max" }, what .. ": backoff", level + 1)
  return { min = given.min or 1, max = given.max or 300 }
end

--- A string argument: `what` is the method, `name` what is expected.
function run.text(value, what, name)
  if type(value) ~= "string" then
    error(("imap:%s: %s expected, got %s"):format(what, name, type(value)), 3)
  end
  return value
end

--- A set in the standard's form, "" for an empty one.
function run.set(value, what)
  local canonical, why = set.text(value)
  if not canonical then error(("imap:%s: bad set: %s"):format(what, tostring(why)), 3) end
  return canonical
end

--- A mod-sequence as digits: a number, or digits where it is above 2^53 (RFC 7162 §7: up to 63 bits).
-- @tparam number|string value
-- @tparam string what the words of the error that is raised where it is none
-- @tparam number level whose line is blamed then
-- @treturn string
function run.modseq(value, what, level)
  if type(value) == "number" and value >= 0 and value % 1 == 0 and value <= 2 ^ 53 then
    return ("%.0f"):format(value)
  end
  if type(value) == "string" and value:find("^%d+$") and #value <= 19 then return value end
  error(("%s: a mod-sequence is a whole number, or its digits"):format(what), level + 1)
end

--- Why a set must not be used now: it was found elsewhere, or is "$" and the server does not know that.
-- Raises where numbers of one kind are used as the other.
-- @treturn ?table err
function run.misplaced(pump, value, options, what)
  if pump.failure then return pump.failure end
  local err = set.refused(pump, value, options and options.seq, what, 2)
  return err
end

--- The pump of a session. One that is driven by hand has none, and nothing to wait on.
function run.pump(session, what)
  if type(session) ~= "userdata" then
    error(("imap:%s: a session expected, got %s: methods are called with a colon"):format(what, type(session)), 3)
  end
  local pump = Pump.of(session)
  if not pump then
    error(("imap:%s: a session without a transport; submit() queues a command by hand"):format(what), 3)
  end
  return pump
end

-- A set longer than this is sent in several commands; servers take 8,000 octets a line and more
-- (RFC 2683 §3.2.1.5).
local SET_MAX = 4000

-- The same bounded by messages; a range of very many numbers that nobody counted stays whole.
local function batches(text, messages)
  local ranges = core.uidset(text)
  if not ranges or ranges:count() > 100 * messages + 1e6 then return nil end
  local pieces = {}
  local piece, last = ranges:part(0, SET_MAX, messages)
  while piece do
    pieces[#pieces + 1] = piece
    piece, last = ranges:part(last, SET_MAX, messages)
  end
  return pieces
end

--- "1:3,5,…" in pieces of at most SET_MAX octets, cut at commas; none for an empty set.
-- @tparam string text
-- @tparam[opt] number messages in one piece at most
function run.pieces(text, messages)
  if text == "" then return {} end
  local pieces, from = messages and batches(text, math.max(1, math.floor(messages))), 1
  if pieces then return pieces end
  pieces = {}
  while #text - from + 1 > SET_MAX do
    local cut = from + SET_MAX
    while text:byte(cut) ~= 44 do cut = cut - 1 end
    pieces[#pieces + 1] = text:sub(from, cut - 1)
    from = cut + 1
  end
  pieces[#pieces + 1] = text:sub(from)
  return pieces
end

--- Of what is to be done in several commands, one has failed: the error tells how far it came.
-- @tparam table err
-- @tparam table pieces in the order in which they are sent
-- @tparam number at which of them failed
-- @treturn table the error, with `done` and `left`, sets as text
function run.halfway(err, pieces, at)
  if #pieces < 2 then return err end
  local copy = {}
  for name, value in pairs(err) do copy[name] = value end
  copy.done, copy.left = table.concat(pieces, ",", 1, at - 1), table.concat(pieces, ",", at)
  copy.message = ("%s (%d of %d commands were done before)"):format(err.message, at - 1, #pieces)
  return Err.new(copy)
end

-- More commands than messages, where a server does one message at a time, and some for what comes meanwhile.
local ROUNDS = 16

--- How often a server may do a part of what it was asked (RFC 9738 §3.1) before it does not look like an end.
function run.rounds(pump)
  local box = pump.mailbox
  return (box and box.exists or 1000000) + ROUNDS
end

--- What is selected now, for `moved_on`.
function run.place(pump)
  local box = pump.mailbox
  return { box = box, name = box and box.name, uidvalidity = box and box.uidvalidity }
end

--- Why the next of several commands must not be sent: its numbers name other messages since.
-- @tparam table pump
-- @tparam table place what `place` said when the first was sent
-- @tparam string command
-- @treturn ?table err
function run.moved_on(pump, place, command)
  local box = pump.mailbox
  if pump.failure then return pump.failure end
  local same = box == place.box or (box and command:find "^UID " and box.name == place.name)
  if same and (box and box.uidvalidity) == place.uidvalidity then return nil end
  return pump:error("invalid", "another mailbox was opened meanwhile; the rest was not done", { command = command })
end

local FLAG = "^\\?[^%z\1-\32(){%%*\"\\%]\127-\255]+$"

-- A set of flags, as a message of `fetch` has them, as an array; \Recent is the server's alone (RFC 3501 §2.3.2).
-- Anything else as it is.
local function flag_array(flags)
  if type(flags) == "string" then return { flags } end
  if type(flags) ~= "table" or #flags > 0 or next(flags) == nil then return flags end
  local list = {}
  for flag, on in pairs(flags) do
    if type(flag) ~= "string" or on ~= true then return { false } end
    if ascii.lower(flag) ~= "\\recent" then list[#list + 1] = flag end
  end
  table.sort(list, ascii.before)
  return list
end

--- "(\\Seen work)" from an array or a set of flags or one flag; or nil, err. Raises where they are neither.
function run.flags(pump, flags, what, level)
  level = level or 2
  flags = flag_array(flags)
  if type(flags) ~= "table" then
    error(("imap:%s: an array of flags expected, got %s"):format(what, type(flags)), level + 1)
  end
  for i = 1, #flags do
    local flag = flags[i]
    if type(flag) ~= "string" then
      error(("imap:%s: a flag must be a string, got %s"):format(what, type(flag)), level + 1)
    elseif not flag:find(FLAG) then
      return nil, pump:error("invalid", "bad flag '" .. flag .. "'", { command = ascii.upper(what) })
    end
  end
  return "(" .. table.concat(flags, " ") .. ")"
end

-- --- answers --------------------------------------------------------------------------------------

--- NO or BAD as an error; its fields are those of mail.imap.refusal.
function run.refusal(pump, command, status, code, value, text, kind)
  local fields = { command = command, status = status, temporary = false }
  return pump:error(kind or "rejected", status .. " " .. (text or ""),
    refusal.fields(pump, fields, code, value, text))
end

--- The server lacks a capability, and nothing was sent.
function run.unsupported(pump, command, capability)
  return pump:error("unsupported", "the server does not offer " .. (capability or command), { command = command })
end

--- True where the server has one of these capabilities.
function run.has(pump, ...)
  for i = 1, select("#", ...) do
    if pump.session:has_capability((select(i, ...))) then return true end
  end
  return false
end

--- Why a command is not sent: the session is dead, or the server lacks the capability.
-- @treturn ?table err
function run.lacking(pump, capability, command)
  if pump.failure then return pump.failure end
  if not run.has(pump, capability) then return run.unsupported(pump, command, capability) end
end

--- Untagged data that came with a command and is none of its answer: for the handlers.
function run.news(pump, name, number, value, code, code_value, text)
  if name == "FETCH" then return events.unsolicited(pump, "fetch", value) end
  return events.unsolicited(pump, "untagged", name, number, value, code, code_value, text)
end

--- Tells how far the server is (RFC 9585): the call's own `progress`, and the handlers of "progress".
-- @treturn boolean true where that function wants the call to have its time anew
function run.progress(pump, options, value, text)
  local report = { type = "progress", text = text }
  if type(value) == "table" then report.done, report.goal, report.tag = value.done, value.goal, value.tag end
  events.dispatch(pump, report)
  return options ~= nil and options.progress ~= nil and options.progress(report) == true
end

--- Sends what is new, although whoever reads for this session sleeps until the server speaks.
function run.push(pump)
  pump.session:push()
  pump:flush()
end

--- Queues a command: `verb`, whether bodies are streamed, and pairs of type and value.
-- @treturn number id; or nil, err
function run.begin(pump, verb, stream, ...)
  local id, err = pump:begin("submit", verb, stream, ...)
  if id then
    if pump.leading then run.push(pump) end
    return id
  end
  if err ~= pump.failure then err.command = verb end
  return nil, err
end

--- Calls what may call functions of the user's in the middle of a command. Where one raises, the command is given up
-- before that goes on: nobody would take in what still comes for it.
-- @tparam function undo gets `a` and `b`
-- @param a
-- @param b
-- @tparam function fn
-- @return what it returns, two values at most
function run.fenced(undo, a, b, fn, ...)
  local fine, first, second = guarded(fn, ...)
  if fine then return first, second end
  undo(a, b)
  error(first, 0)
end

-- Untagged data of a command that is not the caller's business: what is left to do, or nil; and the
-- deadline.
local function notice(pump, options, deadline, code, value, text)
  if code == "INPROGRESS" then
    return nil, run.progress(pump, options, value, text) and pump:deadline(options) or deadline
  end
  return value, deadline
end

local NOTICES = { INPROGRESS = true, MESSAGELIMIT = true }

-- What to do about it: most that is too large is so many messages.
local OVERFULL = "limit passed: answer (all that a call brings is held in memory; take messages one by one by fetch, "
  .. "or raise limits.answer of connect)"

--- A call has gathered more than limits.answer, and was given up.
function run.overfull(pump, command)
  return pump:error("limit", OVERFULL, { command = command })
end

local function give_up_full(pump, id, command)
  pump:abandon(id)
  if pump.failure then return pump:failed() end
  return nil, run.overfull(pump, command)
end

--- What `collect` of `finish` returns where it has gathered more than limits.answer.
run.FULL = {}

local abandon, fenced = Pump.abandon, run.fenced

local function take(pump, id, collect, ...)
  if collect then return fenced(abandon, pump, id, collect, select(2, ...)) end
  return fenced(abandon, pump, id, events.unsolicited, pump, ...)
end

local function take_message(pump, id, collect, message, weight)
  if not collect then return fenced(abandon, pump, id, events.unsolicited, pump, "fetch", message) end
  return fenced(abandon, pump, id, collect, "FETCH", message.seq, message, nil, nil, nil, weight)
end

--- Waits for the end of a command. `collect(name, number, value, code, code_value, text)` gets the
-- untagged data of it, of a message also `weight`; without, that goes to the handlers.
-- @return true and the tagged answer's code, value, text; or nil, err. A code MESSAGELIMIT that came
--   untagged (RFC 9738 §3.1) is told as if it had been tagged.
function run.finish(pump, id, command, options, collect, deadline)
  deadline = deadline or pump:deadline(options)
  local limited
  local alerts = pump.alert_count or 0
  while true do
    local kind, a, b, c, d, e, f = pump:wait(id, deadline)
    if not kind then
      if a ~= pump.failure then a.command = a.command or command end
      return nil, a
    elseif kind == "done" then
      if b == "ALERT" then events.dispatch(pump, { type = "alert", text = d }) end
      if a == "OK" and limited then return true, "MESSAGELIMIT", limited, d end
      if b == "HIGHESTMODSEQ" and pump.mailbox then pump.mailbox.highestmodseq = c end -- of EXPUNGE, STORE, FETCH
      if a == "OK" then return true, b, c, d end
      local err = run.refusal(pump, command, a, b, c, d)
      if (pump.alert_count or 0) > alerts then err.alert = pump.alerts[#pump.alerts] end
      return nil, err
    elseif kind == "untagged" and NOTICES[d] then
      local left
      left, deadline = fenced(abandon, pump, id, notice, pump, options, deadline, d, e, f)
      limited = left or limited
    elseif kind == "untagged" then
      if take(pump, id, collect, kind, a, b, c, d, e, f) == run.FULL then return give_up_full(pump, id, command) end
    elseif kind == "fetch" then
      if take_message(pump, id, collect, a, b) == run.FULL then return give_up_full(pump, id, command) end
    elseif kind == "limit" then
      return give_up_full(pump, id, command)
    end
  end
end

-- Commands about many things that are in flight at once.
local FLIGHT = 64

-- Nobody listens to those from `first` on any more.
local function give_up(pump, flight, first)
  for i = first, #flight do pump:abandon(flight[i].id) end
end

local function finish_all(pump, flight, finish)
  for i, sent in ipairs(flight) do
    local ok, err = finish(sent.item, sent.id)
    if not ok then
      give_up(pump, flight, i + 1)
      return nil, err
    end
  end
  return true
end

--- Runs a command for each of many, many in flight at once.
-- @tparam Pump pump
-- @tparam table items
-- @tparam function begin (item) → id; or nil, err: kind "invalid" passes over that one
-- @tparam function finish (item, id) → true; or nil, err, which ends it
-- @return true; or nil, err
function run.each(pump, items, begin, finish)
  for first = 1, #items, FLIGHT do
    local flight = {}
    for i = first, math.min(first + FLIGHT - 1, #items) do
      local id, err = begin(items[i])
      if id then
        flight[#flight + 1] = { item = items[i], id = id }
      elseif err.kind ~= "invalid" then
        give_up(pump, flight, 1)
        return nil, err
      end
    end
    local ok, err = finish_all(pump, flight, finish)
    if not ok then return nil, err end
  end
  return true
end

--- Sends a command of typed arguments and waits for its end.
-- @return as of `finish`
function run.call(pump, options, collect, verb, ...)
  local id, err = run.begin(pump, verb, false, ...)
  if not id then return nil, err end
  return run.finish(pump, id, verb, options, collect)
end

return run
