--- FETCH: messages while they arrive (RFC 9051 §6.4.5).
--
-- A long set is cut into commands that every server's line limit allows. Messages are handed on one
-- by one, so the memory does not depend on how many there are.
-- @module mail.imap.fetch

local core = require "mail.core"
local iterator = require "mail.iterator"
local run = require "mail.imap.run"
local sets = require "mail.imap.set"
local want = require "mail.want"

local fetch = {}

local ITEMS = {
  uid = "UID", flags = "FLAGS", internaldate = "INTERNALDATE", size = "RFC822.SIZE", envelope = "ENVELOPE",
  bodystructure = "BODYSTRUCTURE", modseq = "MODSEQ", emailid = "EMAILID", threadid = "THREADID",
  savedate = "SAVEDATE", preview = "PREVIEW", headers = "BODY.PEEK[HEADER]", body = "BODY.PEEK[]",
}

-- Items that stand for several, and stand alone (RFC 9051 §6.4.5).
local MACROS = { ALL = true, FAST = true, FULL = true }

-- What a flag change that nobody asked for may consist of.
local FLAG_FIELDS = { seq = true, uid = true, flags = true, modseq = true }

-- How many commands are on their way at once. With two, the messages of the second would pile up:
-- servers answer a FETCH only when they have begun the next one.
local AHEAD = 1

local YIELDS_ACROSS_PCALL = _VERSION ~= "Lua 5.1" or rawget(_G, "jit") ~= nil

local OPTIONS = {
  seq = "boolean?", sink = "function?", changed_since = "number?", partial = "string?", batch = "number?",
  timeout = "number|table?",
}

-- "FLAGS" from "flags"; whatever the standard writes goes as it stands.
local function item_text(item, level)
  if type(item) ~= "string" then error("imap:fetch: an item must be a string, got " .. type(item), level + 1) end
  local known = ITEMS[item:lower()]
  if known then return known end
  if item:find("[%c\128-\255]") or item == "" then error("imap:fetch: bad item '" .. item .. "'", level + 1) end
  return item
end

-- The items as one argument, and whether more than flags is asked for.
local function item_list(items, level)
  if type(items) == "string" then items = { items } end
  if type(items) ~= "table" or #items == 0 then
    error("imap:fetch: an array of items expected, got " .. type(items), level + 1)
  end
  local out, seen, rich, headers = {}, {}, false, false
  for _, item in ipairs(items) do
    local text = item_text(item, level + 1)
    if not seen[text] then out[#out + 1] = text end
    seen[text] = true
    rich = rich or not (text == "UID" or text == "FLAGS" or text == "MODSEQ")
    headers = headers or item == "headers"
  end
  if #out == 1 and not MACROS[out[1]:upper()] then return "(" .. out[1] .. ")", rich, headers end
  return #out == 1 and out[1] or "(" .. table.concat(out, " ") .. ")", rich, headers
end

-- "(CHANGEDSINCE 7 PARTIAL 1:50)", or nil.
local function modifiers(options)
  local list = {}
  if options.changed_since then list[1] = ("CHANGEDSINCE %.0f"):format(options.changed_since) end
  if options.partial then list[#list + 1] = "PARTIAL " .. options.partial end
  return #list > 0 and "(" .. table.concat(list, " ") .. ")" or nil
end

local function begin(state)
  local pump = state.pump
  local id
  local err = state.next_piece > 1 and run.moved_on(pump, state.place, state.verb)
  if err then return nil, err end
  id, err = run.begin(pump, state.verb, state.stream, "set", state.pieces[state.next_piece], "text",
    state.items)
  if not id then return nil, err end
  state.next_piece = state.next_piece + 1
  state.ids[#state.ids + 1] = id
  pump:stream(id)
  return true
end

-- Keeps AHEAD commands on their way.
local function fill(state)
  while #state.ids < AHEAD and state.next_piece <= #state.pieces do
    local ok, err = begin(state)
    if not ok then return nil, err end
  end
  return true
end

local function finish(state)
  for _, id in ipairs(state.ids) do
    state.pump:stream_end(id)
    state.pump:abandon(id)
  end
  state.ids = {}
  state.pieces = {}
end

-- True where `message` is a change of flags that came in between, not an answer.
local function is_flag_change(state, message)
  if not state.rich or not (message.flags or message.modseq) then return false end
  for name in pairs(message) do
    if not FLAG_FIELDS[name] then return false end
  end
  return true
end

-- Calls the sink; where it raises, the fetch is given up before the error goes on. PUC 5.1 cannot
-- yield across pcall, and a sink may wait.
local function call_sink(state, bytes)
  if not YIELDS_ACROSS_PCALL then return state.sink(state.message, state.section, bytes) end
  local fine, ok, why = pcall(state.sink, state.message, state.section, bytes)
  if fine then return ok, why end
  finish(state)
  error(ok, 0)
end

-- Hands a piece of a body to the user's sink; nil, err where it says no.
local function pour(state, bytes)
  local ok, why = call_sink(state, bytes)
  if ok == false or (ok == nil and why ~= nil) then
    finish(state)
    return nil, state.pump:error("io", "the sink stopped: " .. tostring(why or "no reason given"), {
      command = "FETCH",
    })
  end
  return true
end

-- The message whose body is coming: one table from its first body to its end, for sinks that
-- remember by it.
local function take_message(state, message)
  local known = state.message
  state.message = nil
  if not known or known.seq ~= message.seq then return message end
  for name in pairs(known) do
    if message[name] == nil then known[name] = nil end
  end
  for name, value in pairs(message) do known[name] = value end
  return known
end

-- Bodies that came as quoted strings go into the sink too.
local function pour_quoted(state, message)
  for _, field in ipairs { "body", "binary" } do
    local sections = message[field]
    message[field] = nil
    for section, bytes in pairs(sections or {}) do
      state.message, state.section = message, section
      local ok, err = true, nil
      if bytes ~= "" then ok, err = pour(state, bytes) end
      if not ok then return nil, err end
    end
  end
  state.message = nil
  return true
end

-- A message, or nil where it was no answer.
local function arrived(state, message)
  message = take_message(state, message)
  if is_flag_change(state, message) then
    state.pump:unsolicited("fetch", message)
    return nil
  end
  if state.headers and message.body then message.headers = core.header_fields(message.body.HEADER or "") end
  if state.sink then
    local ok, err = pour_quoted(state, message)
    if not ok then return nil, err end
  end
  return message
end

local handlers = {}

function handlers.fetch(state, message) return arrived(state, message) end

function handlers.body(state, message, section)
  state.message, state.section = take_message(state, message), section
end

function handlers.data(state, bytes)
  local ok, err = pour(state, bytes)
  return nil, not ok and err or nil
end

function handlers.untagged(state, ...) state.pump:unsolicited("untagged", ...) end

function handlers.done(state, status, code, value, text)
  state.pump:stream_end(table.remove(state.ids, 1))
  if status == "OK" then return end
  finish(state)
  return nil, run.refusal(state.pump, "FETCH", status, code, value, text)
end

-- The command whose answers come next: its id; nil at the end; or nil, err.
local function current_command(state)
  if state.ids[1] then return state.ids[1] end
  local ok, err = fill(state)
  if ok then return state.ids[1] end
  finish(state)
  return nil, err
end

-- The next message, or nil at the end, or nil, err. Each message is an answer of its own, and has
-- the time of one.
local function next_message(state)
  local pump, gap = state.pump, state.gap
  local now = pump.host.now
  local deadline = now() + (gap or state.patience)
  while true do
    local id, err = current_command(state)
    if not id then return nil, err end
    local kind, a, b, c, d, e, f = pump:wait(id, deadline)
    if not kind then
      finish(state)
      if a ~= pump.failure then a.command = a.command or "FETCH" end
      return nil, a
    end
    local message
    message, err = handlers[kind](state, a, b, c, d, e, f)
    if message or err then return message, err end
    if gap then deadline = now() + gap end
  end
end

local Messages = iterator.class(next_message, finish)

local PARTIAL = "^%-?[1-9]%d*:%-?[1-9]%d*$"

--- Begins a fetch.
-- @tparam table pump
-- @param set a number, an array of numbers, "1:*", "$", or the result of a search
-- @tparam table items names of API §5 or items as the standard writes them
-- @tparam ?table options `seq`, `sink` function(message, section, chunk): gets the bodies in pieces,
--   `message` being what came before them; a section is whole when its message is yielded; returning
--   false or nil, reason stops the fetch (kind "io"); `changed_since` (modification sequence), `partial` "1:50" or
--   "-50:-1" of the set (RFC 9394; kind "unsupported" where the server lacks it), `timeout`
-- @tparam number level whose line is blamed for wrong arguments
-- @return an iterator over messages; or nil, err
function fetch.start(pump, set, items, options, level)
  options = options or {}
  want(options, OPTIONS, "imap:fetch", level)
  local text, rich, headers = item_list(items, level + 1)
  local more = modifiers(options)
  local canonical, why = sets.text(set)
  if not canonical then error("imap:fetch: bad set: " .. tostring(why), level + 1) end
  if options.partial and not options.partial:find(PARTIAL) then
    error("imap:fetch: option 'partial' must be like '1:50' or '-50:-1', got '" .. options.partial .. "'", level + 1)
  end
  if pump.failure then return nil, pump.failure end
  local misplaced = sets.refused(pump, set, options.seq, "fetch", level)
  if misplaced then return nil, misplaced end
  if options.partial and not pump.session:has_capability("PARTIAL") then
    return nil, pump:error("unsupported", "the server lacks PARTIAL", { command = "FETCH" })
  end
  local pieces = run.pieces(canonical, options.batch)
  if options.partial and #pieces > 1 then
    return nil, pump:error("limit", "PARTIAL counts in one command, and the set is too long for one", {
      command = "FETCH",
    })
  end
  local state = {
    pump = pump, verb = options.seq and "FETCH" or "UID FETCH", items = more and text .. " " .. more or text,
    rich = rich, headers = headers,
    place = run.place(pump), pieces = pieces, next_piece = 1, ids = {}, options = options,
    sink = options.sink, stream = options.sink ~= nil,
    gap = pump:gap(options), patience = pump:patience(options),
  }
  local ok, err = fill(state)
  if not ok then
    finish(state)
    return nil, err
  end
  run.push(pump)
  return iterator.results(setmetatable(state, Messages))
end

--- Collects what is left of an iterator.
-- @treturn table array of messages; or nil, err
function fetch.all(it)
  local all = {}
  while true do
    local message, err = it:next()
    if not message then
      if err then return nil, err end
      return all
    end
    all[#all + 1] = message
  end
end

return fetch
