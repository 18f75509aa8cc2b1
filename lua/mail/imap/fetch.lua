--- FETCH: messages while they arrive (RFC 9051 §6.4.5).
--
-- Messages are handed on one by one, so the memory does not depend on how many there are. Where their
-- octets are asked for, a set goes out in windows: leaving the loop early costs the next command no
-- more than the window that is under way, and the next one is asked for before the present one ends.
-- Windows begin small and follow what the messages weigh. All commands of a loop are joined (see
-- csrc/imap/client.h): what comes for any of them is told under the id of the oldest.
-- @module mail.imap.fetch

local bounds = require "mail.imap.bounds"
local content = require "mail.content"
local core = require "mail.core"
local enable = require "mail.imap.enable"
local items = require "mail.imap.items"
local iterator = require "mail.iterator"
local pieces = require "mail.imap.pieces"
local run = require "mail.imap.run"
local sets = require "mail.imap.set"
local undone = require "mail.imap.undone"
local want = require "mail.want"

local fetch = {}

-- What a flag change that nobody asked for may consist of.
local FLAG_FIELDS = { seq = true, uid = true, flags = true, modseq = true }

local OPTIONS = {
  seq = "boolean?", sink = "function?", changed_since = "number|string?", vanished = "boolean?", partial = "string?",
  lazy = "boolean?", batch = "number?", timeout = "number|table?", progress = "function?",
}

-- "(CHANGEDSINCE 7 VANISHED PARTIAL 1:50)", or nil.
local function modifiers(options)
  local list = {}
  if options.changed_since then list[1] = "CHANGEDSINCE " .. run.modseq(options.changed_since) end
  if options.vanished then list[2] = "VANISHED" end
  if options.partial then list[#list + 1] = "PARTIAL " .. options.partial end
  return #list > 0 and "(" .. table.concat(list, " ") .. ")" or nil
end

-- --- windows ----------------------------------------------------------------------------------------

-- How many numbers the first window spans.
local FIRST = 16

-- A window that weighs less is followed by one of twice the span, one of more than four times that by
-- one of half.
local LIGHT = 524288

-- Learns from a window that is done.
local function weigh(state)
  local span, octets = state.span, state.octets
  state.octets = 0
  if not span then return end
  if octets == 0 then
    span = span * 8
  elseif octets < LIGHT then
    span = span * 2
  elseif octets > 4 * LIGHT then
    span = math.ceil(span / 2)
  end
  state.span = span
end

-- Asks for one piece. One up to "*" brings the last message although its number may be below all of the
-- piece: it is not joined, so that this can be told. A window that is done again without BINARY
-- (`again`) is alone: its messages are read another way.
local function ask(state, piece, again)
  local pump, text = state.pump, again and state.undone or state.items
  local id
  local err = state.second and run.moved_on(pump, state.place, state.verb)
  if err then return nil, err end
  id, err = run.begin(pump, state.verb, state.stream and not again, "set", piece, "text", text)
  if not id then return nil, err end
  local last = state.windows[#state.windows]
  local floor = state.span and state.second and pieces.is_open(piece) and pieces.floor(piece) or nil
  if last and not again and not last.again and not floor then pump.session:join(id, last.id) end
  state.windows[#state.windows + 1] = { id = id, piece = piece, again = again, floor = floor }
  state.second = true
  pump:stream(id)
  return true
end

-- How many messages the next command may name.
local function room(state)
  local span, batch = state.span, state.batch
  return span and batch and math.min(span, batch) or span or batch
end

-- Keeps one command on its way, two once the answers of the first have begun to come. A window with
-- BINARY may have to be done again, so nothing is beside it.
local function fill(state)
  while #state.windows < (state.begun and not state.undone and 2 or 1) and state.pieces:more() do
    local ok, err = ask(state, state.pieces:next(room(state)), state.always_undone)
    if not ok then return nil, err end
    if state.begun then run.push(state.pump) end
  end
  return true
end

local function finish(state)
  for _, window in ipairs(state.windows) do
    state.pump:stream_end(window.id)
    state.pump:abandon(window.id)
  end
  state.windows, state.current = {}, false
  state.pieces = pieces.of ""
end

-- More is gathered than limits.answer: nil, err.
local function overfull(state)
  finish(state)
  return nil, run.overfull(state.pump, "FETCH")
end

-- True where `message` is a change of flags that came in between, not an answer. The field that tells an
-- answer from one most often tells the next, too: state.telling.
local function is_flag_change(state, message)
  if not state.rich or not (message.flags or message.modseq) then return false end
  for name in pairs(message) do
    if not FLAG_FIELDS[name] then
      state.telling = name
      return false
    end
  end
  return true
end

-- Hands a piece of a body to the user's sink: true; nil, err where that says no. Where it raises, the fetch
-- is given up before the error goes on.
local function pour(state, message, section, bytes)
  local ok, why = run.fenced(finish, state, nil, state.sink, message, section, bytes)
  if ok or ok == nil and why == nil then return true end
  finish(state)
  return nil, state.pump:error("io", "the sink stopped: " .. tostring(why or "no reason given"), { command = "FETCH" })
end

-- The message whose body is coming: one table from its first body to its end, for sinks that
-- remember by it.
local function take_message(state, message)
  local known = state.message
  state.message = false
  if known.seq ~= message.seq then return message end
  for name in next, known do
    if message[name] == nil then known[name] = nil end
  end
  for name, value in next, message do known[name] = value end
  return known
end

-- Bodies that came whole go into the sink too.
local function pour_whole(state, message, field, sections)
  message[field] = nil
  local streamed = message.streamed
  if not streamed then
    streamed = {}
    message.streamed = streamed
  end
  for section, bytes in next, sections do
    streamed[section] = #bytes
    if bytes ~= "" then
      local ok, err = pour(state, message, section, bytes)
      if not ok then return nil, err end
    end
  end
  return true
end

-- --- messages ---------------------------------------------------------------------------------------

-- The octets of a message's sections, or of the whole message where that is one of them.
local function weight(sections)
  local whole, n = sections[""], 0
  if whole then return #whole end
  for _, bytes in next, sections do n = n + #bytes end
  return n
end

-- Keeps a message that came without a part until it is known whether there is such a part.
local function keep_partial(state, message)
  local name = message[state.by]
  if not name or state.windows[1].again or not undone.is_partial(message, state.asked) then return false end
  state.partial[name] = message
  state.waiting[#state.waiting + 1] = message
  return true
end

-- True where the message has been yielded: by a window that is done again.
local function is_repeated(state, message)
  local name = message[state.by]
  if not name then return false end
  if state.windows[1].again and state.yielded[name] then return true end
  state.yielded[name] = true
  return false
end

-- A message whose text was fetched whole can be parsed.
local Fetched = {}
Fetched.__index = Fetched
local setmetatable = setmetatable

-- The message, parsed; nil where its body was not asked for, or went into a sink.
function Fetched:message()
  local text = self.body and self.body[""]
  return text and require "mail.message".parse(text) or nil
end

-- The message as a source (ltn12), by which it may be sent, appended or stored as it is.
function Fetched:source()
  local text = self.body and self.body[""]
  return content.once(text, not text and "its body was not asked for" or nil)
end

-- Who asked for a section decoded by the server finds it among the bodies, too, unless it came as it stands as well.
local function also_as_body(message, binary)
  local body = message.body
  for section, data in pairs(binary) do
    if section ~= "" and type(data) == "string" then
      body = body or {}
      if body[section] == nil then body[section] = data end
    end
  end
  message.body = body
end

-- What is done to every message before it is yielded: it, or nil, err.
local function ready(state, message)
  local body, binary = message.body, message.binary
  if binary and not state.sink then also_as_body(message, binary) end
  if body then
    if state.headers then message.headers = core.header_fields(body.HEADER or "") end
    setmetatable(message, Fetched)
  end
  if not state.sink then return message end
  local ok, err = true, nil
  if body then ok, err = pour_whole(state, message, "body", body) end
  if ok and binary then ok, err = pour_whole(state, message, "binary", binary) end
  if ok then return message end
  return nil, err
end

-- A message that came with parts that the server was to decode, or in the second go without: it, with what
-- came before; nil where there is more to come, or nothing new.
local function decoded(state, message, octets)
  local kept = keep_partial(state, message)
  if bounds.keeps_too_much(state, kept and octets) then return overfull(state) end
  if kept or is_repeated(state, message) then return nil end
  if not state.windows[1].again then return message end
  undone.finish(message, state.asked)
  local name = message[state.by]
  local partial = name and state.partial[name]
  if not partial then return message end
  state.partial[name] = nil
  return undone.complete(partial, message)
end

-- A message, or nil where it was no answer; or nil, err.
local function answered(state, message, octets)
  local name, lowest, body, telling = message[state.by], state.lowest, message.body, state.telling
  if name and (not lowest or name < lowest) then state.lowest = name end
  state.begun = true
  if state.message then message = take_message(state, message) end
  if not body and not (telling and message[telling]) and is_flag_change(state, message) then
    run.fenced(finish, state, nil, state.pump.unsolicited, state.pump, "fetch", message)
    return nil
  end
  if state.span then
    if body then state.octets = state.octets + weight(body) end
    local floor = state.windows[1].floor
    if floor and message.uid and message.uid < floor then return nil end
  end
  if state.undone then
    if message.binary then state.octets = state.octets + weight(message.binary) end
    local err
    message, err = decoded(state, message, octets)
    if not message then return nil, err end
  end
  if state.special then return ready(state, message) end
  if body then setmetatable(message, Fetched) end
  return message
end

-- What the server did not do of a window: all below the UID, or the number, that it came down to
-- (RFC 9738 §3.1). nil where that cannot be told.
local function left_of(state, window, value)
  local down_to = state.by == "uid" and type(value) == "table" and value.uid or state.lowest
  local left = down_to and pieces.clip(window.piece, nil, down_to - 1)
  return left ~= window.piece and left or nil
end

-- A window is over: what came without a part has no such part.
local function release(state)
  for _, message in ipairs(state.waiting) do
    if state.partial[message[state.by]] then state.late[#state.late + 1] = message end
  end
  state.partial, state.waiting, state.yielded, state.kept = {}, {}, {}, 0
end

local function refuse(state, status, code, value, text)
  finish(state)
  return nil, run.refusal(state.pump, "FETCH", status, code, value, text)
end

local handlers = {}

function handlers.body(state, message, section)
  state.begun = true
  if state.message then message = take_message(state, message) end
  state.message, state.section = message, section
end

function handlers.data(state, bytes)
  state.octets = state.octets + #bytes
  local _, err = pour(state, state.message, state.section, bytes)
  return nil, err
end

function handlers.limit(state)
  return overfull(state)
end

function handlers.untagged(state, name, number, data, code, value, text)
  if code == "INPROGRESS" then
    if run.fenced(finish, state, nil, run.progress, state.pump, state.options, value, text) then
      state.renewed = true
    end
  elseif code == "MESSAGELIMIT" then
    state.limited = value
  elseif name == "VANISHED" and state.options.vanished and data.earlier then
    if bounds.has_gone(state, data.uids) then return overfull(state) end
  else
    local pump = state.pump
    run.fenced(finish, state, nil, pump.unsolicited, pump, "untagged", name, number, data, code, value, text)
  end
end

-- True where the server may have stopped at a part that it cannot decode: it says so (UNKNOWN-CTE), or, as
-- Cyrus 3.6, it leaves that part out and all messages behind it.
local function not_decoded(state, window, status, code)
  if not state.undone or window.again then return false end
  return code == "UNKNOWN-CTE" or (status == "OK" and #state.waiting > 0)
end

function handlers.done(state, status, code, value, text)
  local window = table.remove(state.windows, 1)
  state.current = false
  local limited = code == "MESSAGELIMIT" and value or state.limited
  state.pump:stream_end(window.id)
  if code == "HIGHESTMODSEQ" then
    state.highestmodseq = value
    if state.pump.mailbox then state.pump.mailbox.highestmodseq = value end
  end
  if status == "OK" and limited then
    local left = left_of(state, window, limited)
    state.rounds = (state.rounds or run.rounds(state.pump)) - 1
    if not left or state.rounds <= 0 then return refuse(state, "NO", "MESSAGELIMIT", limited, text) end
    state.pieces:push(left)
  elseif not_decoded(state, window, status, code) then
    local left = pieces.without(window.piece, state.yielded)
    local ok, err = left == "" or nil, nil
    if not ok then ok, err = ask(state, left, true) end
    if not ok then return nil, err end
  elseif status ~= "OK" then
    return refuse(state, status, code, value, text)
  end
  weigh(state)
  state.begun, state.lowest, state.limited = false, false, nil
  if state.undone and #state.windows == 0 then release(state) end
end

-- The command whose answers come next: its id; nil at the end; or nil, err. Once the next one is on its way, too,
-- it stays in state.current until its end.
local function current_command(state)
  local window = state.windows[1]
  if not window or state.begun then
    local ok, err = fill(state)
    if not ok then
      finish(state)
      return nil, err
    end
    window = state.windows[1]
    if state.begun then state.current = window and window.id end
  end
  return window and window.id
end

-- The next message, or nil at the end, or nil, err. Each message is an answer of its own, and has
-- the time of one.
local function next_message(state)
  local pump, left = state.pump, state.left
  local now = pump.host.now
  local deadline
  if left > 0 then
    state.left, deadline = left - 1, now() + state.seconds
  else
    deadline = now() + bounds.time(state)
  end
  local octets = state.gap and pump:octets()
  while true do
    local late, id = state.late, state.current
    local message, err
    if late and late[1] then return ready(state, table.remove(late, 1)) end
    if not id then
      id, err = current_command(state)
      if not id then return nil, err end
    end
    local kind, a, b, c, d, e, f = pump:wait(id, deadline, octets and true)
    local before = octets
    if not kind and octets and a.kind == "timeout" then octets = pump:octets() end
    if kind == "fetch" then
      if state.collects then
        local held = state.held + b
        state.held = held
        if held > state.most then return overfull(state) end
      end
      message, err = answered(state, a, b)
    elseif kind then
      message, err = handlers[kind](state, a, b, c, d, e, f)
    elseif octets == before or state.spare then -- what comes whole tells of itself at its end: octets do meanwhile
      finish(state)
      if a ~= pump.failure then a.command = a.command or "FETCH" end
      return nil, a
    end
    if message or err then
      if left <= 0 and state.spare then state.spare = deadline - now() end
      return message, err
    end
    if state.gap and not state.spare or state.renewed then
      deadline, state.renewed = now() + state.seconds, false
      if kind and octets then octets = pump:octets() end
    end
  end
end

local Messages = iterator.class(next_message, finish)
local Vanishing = bounds.vanishing(Messages)

local PARTIAL = "^%-?[1-9]%d*:%-?[1-9]%d*$"

-- How the set is cut. Windows only of UIDs: a number may be another message's by the time of the next
-- window. And only of what has octets: flags of a mailbox are best asked for at once.
local function plan(state, set)
  local box, options = state.pump.mailbox, state.options
  local windows = state.asked.bodies and state.by == "uid" and not options.changed_since and not options.partial
    and not set:find "%$"
  state.pieces = pieces.of(set, windows and box and box.uidnext or nil)
  state.span = windows and FIRST or false
  state.batch = options.batch and math.max(1, math.floor(options.batch))
end

local function can_binary(session)
  return not session:capabilities_known() or session:has_capability "BINARY" or session:has_capability "IMAP4REV2"
end

-- What is sent, and what is sent in its place where BINARY fails.
local function spell(state)
  local asked, more = state.asked, modifiers(state.options)
  more = more and " " .. more or ""
  state.items = items.argument(asked.texts) .. more
  if #asked.binary == 0 then return end
  state.undone = items.argument(undone.texts(asked)) .. more
  state.always_undone = not can_binary(state.pump.session)
  state.yielded, state.partial, state.waiting, state.late = {}, {}, {}, {}
end

--- Begins a fetch.
-- @tparam table pump
-- @param set a number, an array of numbers, "1:*", "$", or the result of a search
-- @tparam table list names of `mail.imap.items`, or items as the standard writes them
-- @tparam ?table options `seq`, `sink` function(message, section, chunk): gets the bodies in pieces,
--   `message` being what came before them; a section is whole when its message is yielded; returning
--   false or nil, reason stops the fetch (kind "io"); `changed_since` (modification sequence), and with it
--   `vanished`: UIDs of the set that are gone since then are in the iterator's field `vanished`, a set (RFC 7162
--   §3.2.6; switches QRESYNC on); `partial` "1:50" or "-50:-1" of the set (RFC 9394; kind "unsupported" where the
--   server lacks it), `lazy`: a preview only where it is at hand; `progress` function(report), `timeout`
-- @tparam number level whose line is blamed for wrong arguments
-- @return an iterator over messages; or nil, err. Of a server that does a part of a command only
--   (RFC 9738) the rest is asked for by itself; "BINARY[n]" of one that cannot decode is decoded here,
--   the part held in memory meanwhile.
function fetch.start(pump, set, list, options, level)
  options = options or {}
  want(options, OPTIONS, "imap:fetch", level)
  if options.vanished and (options.seq or not options.changed_since) then
    error("imap:fetch: option 'vanished' needs 'changed_since', and UIDs", level + 1)
  end
  if options.changed_since then run.modseq(options.changed_since, "imap:fetch: option 'changed_since'", level + 1) end
  local asked = items.read(list, options.lazy, level + 1)
  local canonical, why = sets.text(set)
  if not canonical then error("imap:fetch: bad set: " .. tostring(why), level + 1) end
  if options.partial and not options.partial:find(PARTIAL) then
    error("imap:fetch: option 'partial' must be like '1:50' or '-50:-1', got '" .. options.partial .. "'", level + 1)
  end
  if pump.failure then return nil, pump.failure end
  local misplaced = sets.refused(pump, set, options.seq, "fetch", level)
  if misplaced then return nil, misplaced end
  local lacking = items.lacking(pump.session, asked)
  if options.partial and not pump.session:has_capability "PARTIAL" then lacking = "PARTIAL" end
  if lacking then
    return nil, pump:error("unsupported", "the server lacks " .. lacking, { command = "FETCH" })
  end
  if options.partial and #run.pieces(canonical, options.batch) > 1 then
    return nil, pump:error("limit", "PARTIAL counts in one command, and the set is too long for one", {
      command = "FETCH",
    })
  end
  local state = {
    pump = pump, verb = options.seq and "FETCH" or "UID FETCH", by = options.seq and "seq" or "uid",
    asked = asked, rich = asked.rich, headers = asked.headers, windows = {},
    place = run.place(pump), octets = 0, options = options,
    sink = options.sink or false, stream = options.sink ~= nil,
    special = options.sink ~= nil or asked.headers or #asked.binary > 0,
    gap = pump:gap(options) or false, patience = pump:patience(options),
    -- Asked for at each message: what is absent would be looked for in the class of iterators, too.
    message = false, late = false, undone = false, telling = false, lowest = false, ended = false, current = false,
    begun = false, renewed = false,
  }
  bounds.begin(state, canonical, options.vanished)
  plan(state, canonical)
  spell(state)
  local ok, err = true, nil
  if options.vanished then ok, err = enable.ensure(pump, "QRESYNC", options) end
  if not ok then return nil, err end
  ok, err = fill(state)
  if not ok then
    finish(state)
    return nil, err
  end
  run.push(pump)
  return iterator.results(setmetatable(state, options.vanished and Vanishing or Messages))
end

local function collect(it)
  local all = {}
  it.collects = true
  while true do
    local message, err = it:next()
    if not message then
      if err then return nil, err end
      all.vanished = it.vanished
      return all
    end
    all[#all + 1] = message
  end
end

--- Collects what is left of an iterator. Where a handler raises meanwhile, the fetch is given up before that goes on.
-- @treturn table array of messages; or nil, err
function fetch.all(it)
  local all, err = run.fenced(it.close, it, nil, collect, it)
  return all, err
end

return fetch
