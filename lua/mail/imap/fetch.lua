--- FETCH: messages while they arrive (RFC 9051 §6.4.5).
--
-- A long set is cut into commands that every server's line limit allows; the next one is on its way
-- while the answers of the last one are read. Messages are handed on one by one, so the memory does
-- not depend on how many there are.
-- @module mail.imap.fetch

local Pump = require "mail.pump"
local core = require "mail.core"
local iterator = require "mail.iterator"
local want = require "mail.want"

local fetch = {}

local ITEMS = {
  uid = "UID", flags = "FLAGS", internaldate = "INTERNALDATE", size = "RFC822.SIZE", envelope = "ENVELOPE",
  bodystructure = "BODYSTRUCTURE", modseq = "MODSEQ", emailid = "EMAILID", threadid = "THREADID",
  savedate = "SAVEDATE", preview = "PREVIEW", headers = "BODY.PEEK[HEADER]", body = "BODY.PEEK[]",
}

-- What a flag change that nobody asked for may consist of.
local FLAG_FIELDS = { seq = true, uid = true, flags = true, modseq = true }

-- A sequence set longer than this is sent in several commands; servers take 8,000 octets a line and
-- more (RFC 2683 §3.2.1.5).
local SET_MAX = 4000

-- How many commands are on their way at once.
local AHEAD = 2

local OPTIONS = {
  seq = "boolean?", sink = "function?", changed_since = "number?", partial = "string?", timeout = "number|table?",
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
  return #out == 1 and out[1] or "(" .. table.concat(out, " ") .. ")", rich, headers
end

-- "1:3,5,…" in pieces of at most SET_MAX octets, cut at commas.
local function split_set(set)
  local pieces, from = {}, 1
  while #set - from + 1 > SET_MAX do
    local cut = from + SET_MAX
    while cut > from and set:byte(cut) ~= 44 do cut = cut - 1 end
    pieces[#pieces + 1] = set:sub(from, cut - 1)
    from = cut + 1
  end
  pieces[#pieces + 1] = set:sub(from)
  return pieces
end

local function begin(state)
  local piece = state.pieces[state.next_piece]
  local pump = state.pump
  local id, err
  if state.changed_since then
    id, err = pump:begin("submit", state.verb, state.stream, "set", piece, "text", state.items,
      "text", ("(CHANGEDSINCE %.0f)"):format(state.changed_since))
  else
    id, err = pump:begin("submit", state.verb, state.stream, "set", piece, "text", state.items)
  end
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
  if not state.rich then return false end
  for name in pairs(message) do
    if not FLAG_FIELDS[name] then return false end
  end
  return true
end

-- Hands a piece of a body to the user's sink; nil, err where it says no.
local function pour(state, message, section, bytes)
  local ok, why = state.sink(message, section, bytes)
  if ok == false or (ok == nil and why ~= nil) then
    finish(state)
    return nil, state.pump:error("io", "the sink failed: " .. tostring(why), { command = "FETCH" })
  end
  return true
end

-- The next message, or nil at the end, or nil, err. Each message is an answer of its own, and has
-- the time of one.
local function next_message(state)
  local pump = state.pump
  local whole = pump:deadline(state.options)
  while true do
    local ok, why = fill(state)
    if not ok then return nil, why end
    local id = state.ids[1]
    if not id then return nil end
    local kind, a, b, c, d = pump:wait(id, pump:piece_deadline(state.options, whole))
    if not kind then
      finish(state)
      return nil, a
    elseif kind == "fetch" then
      if is_flag_change(state, a) then
        pump.unsolicited(pump, "fetch", a)
      else
        if state.headers and a.body then a.headers = core.header_fields(a.body.HEADER or "") end
        return a
      end
    elseif kind == "body" then
      state.message, state.section = a, b
    elseif kind == "data" then
      ok, why = pour(state, state.message, state.section, a)
      if not ok then return nil, why end
    elseif kind == "done" then
      table.remove(state.ids, 1)
      pump:stream_end(id)
      if a ~= "OK" then
        finish(state)
        return nil, pump.refusal(pump, "FETCH", a, b, c, d)
      end
    end
  end
end

local Messages = iterator.class(next_message, finish)

--- Begins a fetch.
-- @tparam userdata session
-- @param set a number, an array of numbers, "1:*", "$", or the result of a search
-- @tparam table items names of API §5 or items as the standard writes them
-- @tparam ?table options `seq`, `sink` function(message, section, chunk): gets the bodies
--   in pieces, `message` being what came before them; a section is whole when its message is yielded;
--   returning nil, err or false stops the fetch (kind "io"); `changed_since` (modification sequence), `timeout`
-- @tparam number level whose line is blamed for wrong arguments
-- @return an iterator over messages; or nil, err
function fetch.start(session, set, items, options, level)
  options = options or {}
  want(options, OPTIONS, "imap:fetch", level)
  local pump = Pump.of(session)
  local text, rich, headers = item_list(items, level + 1)
  local canonical, why = core.seqset(set)
  if not canonical then error("imap:fetch: bad set: " .. tostring(why), level + 1) end
  if pump.failure then return nil, pump.failure end
  local state = {
    pump = pump, verb = options.seq and "FETCH" or "UID FETCH", items = text, rich = rich, headers = headers,
    pieces = canonical == "" and {} or split_set(canonical), next_piece = 1, ids = {}, options = options,
    sink = options.sink, stream = options.sink ~= nil, changed_since = options.changed_since,
  }
  local ok, err = fill(state)
  if not ok then return nil, err end
  return iterator.results(setmetatable(state, Messages))
end

--- The same, collected into an array.
function fetch.all(session, set, items, options, level)
  local it, err = fetch.start(session, set, items, options, level + 1)
  if not it then return nil, err end
  local all = {}
  while true do
    local message
    message, err = it:next()
    if not message then break end
    all[#all + 1] = message
  end
  if err then return nil, err end
  return all
end

return fetch
