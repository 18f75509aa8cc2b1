--- Messages of the selected mailbox: FETCH, STORE, COPY, MOVE, EXPUNGE; and APPEND.
--
-- A set is a number, an array of numbers, "1:*", "$", or the result of a search; UIDs unless `{seq =
-- true}` is given. A set longer than servers take in one line goes out in several commands; where one of
-- them fails, `err.done` and `err.left` tell how far it came.
-- @module mail.imap.messages

local append = require "mail.imap.append"
local events = require "mail.imap.events"
local fetch = require "mail.imap.fetch"
local run = require "mail.imap.run"

local unpack = table.unpack or unpack -- luacheck: ignore

-- Methods of the session.
local messages = {}

local SEQ = { seq = "boolean?", batch = "number?", timeout = "number|table?" }

local function uid_verb(verb, options)
  return options and options.seq and verb or "UID " .. verb
end

--- Fetches messages while they arrive.
-- @param set
-- @tparam table items of API §5, or as the standard writes them
-- @tparam[opt] table options `seq`, `sink`, `changed_since`, `partial`, `timeout`; see `mail.imap.fetch`
-- @return an iterator (API §5); or nil, err
function messages:fetch(set, items, options)
  local it, err, none, closing = fetch.start(run.pump(self, "fetch"), set, items, options, 2)
  return it, err, none, closing
end

--- The same as an array.
-- @treturn table array of messages; or nil, err
function messages:fetch_all(set, items, options)
  local it, err = fetch.start(run.pump(self, "fetch_all"), set, items, options, 2)
  if not it then return nil, err end
  return fetch.all(it)
end

local STORE = {
  unchanged_since = "number?", silent = "boolean?", seq = "boolean?", batch = "number?", timeout = "number|table?",
}
local SIGNS = { add = "+", remove = "-", flags = "" }

-- The flags, and how they are meant; raises at the caller of the method that calls.
local function store_change(change)
  local name, flags
  if type(change) == "table" then name, flags = next(change) end
  if not SIGNS[name] or next(change, name) ~= nil then
    error("imap:store: one of { add = … }, { remove = … }, { flags = … } expected", 3)
  end
  return flags, SIGNS[name]
end

local function reversed(list)
  local out = {}
  for i = #list, 1, -1 do out[#out + 1] = list[i] end
  return out
end

-- Runs a command for each piece of a set, one after the other. `each(code, value)` gets what each
-- tagged answer said. Sequence numbers go from the highest down, since those of what goes away move
-- the others. Nothing is sent once another mailbox is open: the numbers name others there.
local function in_pieces(pump, options, set, each, collect, verb, ...)
  local pieces, place = run.pieces(set, options and options.batch), run.place(pump)
  if options and options.seq then pieces = reversed(pieces) end
  for i, piece in ipairs(pieces) do
    local err = i > 1 and run.moved_on(pump, place, verb)
    if err then return nil, run.halfway(err, pieces, i) end
    local ok, code, value = run.call(pump, options, collect, verb, "set", piece, ...)
    if not ok then return nil, run.halfway(code, pieces, i) end
    if each then each(code, value) end
  end
  return true
end

local function joined(a, b)
  if a and b and a ~= "" and b ~= "" then return a .. "," .. b end
  return a or b
end

local function store(pump, set, options, text)
  local modified
  local before = options.unchanged_since and ("(UNCHANGEDSINCE %.0f) "):format(options.unchanged_since) or ""
  local ok, err = in_pieces(pump, options, set, function(code, value)
    if code == "MODIFIED" then modified = joined(modified, value) end
  end, nil, uid_verb("STORE", options), "text", before .. text)
  if not ok then return nil, err end
  return { modified = modified }
end

-- What was opened with EXAMINE keeps nothing; servers take a STORE there and ignore it.
local function keeps_nothing(pump)
  local box = pump.mailbox
  if not (box and box.readonly and next(box.permanent_flags) == nil) then return nil end
  return pump:error("rejected", "the mailbox is open read-only", { command = "STORE", response_code = "READ-ONLY" })
end

--- Changes flags (RFC 9051 §6.4.6).
-- @param set
-- @tparam table change `{add={…}}`, `{remove={…}}` or `{flags={…}}`
-- @tparam[opt] table options `silent`: do not tell the new flags; `unchanged_since`: leave messages
--   alone that changed after this modification sequence (RFC 7162); `seq`, `timeout`
-- @treturn table `{modified=set}` of those left alone, nil where there are none; or nil, err
function messages:store(set, change, options)
  run.options(options, "store", STORE)
  local canonical = run.set(set, "store")
  local flags, sign = store_change(change)
  local pump = run.pump(self, "store")
  local list, err = run.flags(pump, flags, "store")
  err = err or run.misplaced(pump, set, options, "store") or keeps_nothing(pump)
  if err then return nil, err end
  options = options or {}
  return store(pump, canonical, options, sign .. "FLAGS" .. (options.silent and ".SILENT" or "") .. " " .. list)
end

-- COPY or MOVE; what COPYUID said, wherever it stood.
local function transfer(pump, verb, set, mailbox, options)
  local result = {}
  local function said(code, value)
    if code ~= "COPYUID" or not value then return end
    result.uidvalidity = value.uidvalidity
    result.from, result.to = joined(result.from, value.from), joined(result.to, value.to)
  end
  local ok, err = in_pieces(pump, options, set, said, function(name, number, data, code, value, ...)
    if code == "COPYUID" then
      said(code, value)
    else
      events.unsolicited(pump, "untagged", name, number, data, code, value, ...)
    end
  end, uid_verb(verb, options), "mailbox", mailbox)
  if not ok then return nil, err end
  return result
end

--- Copies messages to another mailbox.
-- @param set
-- @tparam string mailbox UTF-8
-- @tparam[opt] table options `seq`, `batch` (messages that one command is given at most), `timeout`
-- @treturn table `{uidvalidity=, from=set, to=set}` of the copies, empty where the server does not
--   tell (UIDPLUS); or nil, err: `err.response_code` "TRYCREATE" where the mailbox is not there
function messages:copy(set, mailbox, options)
  run.options(options, "copy", SEQ)
  run.text(mailbox, "copy", "a mailbox")
  local canonical = run.set(set, "copy")
  local pump = run.pump(self, "copy")
  local err = run.misplaced(pump, set, options, "copy")
  if err then return nil, err end
  return transfer(pump, "COPY", canonical, mailbox, options)
end

local function can(pump, capability)
  return pump.session:has_capability(capability) or pump.session:has_capability("IMAP4REV2")
end

-- Without MOVE: copy, mark, and remove by UID. A plain EXPUNGE could take messages of others, so
-- without UIDPLUS the originals stay marked.
local function move_by_copy(pump, set, mailbox, options)
  if options and options.seq then
    return nil, pump:error("unsupported", "the server lacks MOVE; give UIDs", { command = "MOVE" })
  end
  local place = run.place(pump)
  local result, err = transfer(pump, "COPY", set, mailbox, options)
  err = err or run.moved_on(pump, place, "UID STORE")
  if err then return nil, err end
  local ok
  ok, err = store(pump, set, options or {}, "+FLAGS.SILENT (\\Deleted)")
  err = err or run.moved_on(pump, place, "UID EXPUNGE")
  if not ok or err then return nil, err end
  result.expunged = can(pump, "UIDPLUS")
  if not result.expunged then return result end
  ok, err = in_pieces(pump, options, set, nil, nil, "UID EXPUNGE")
  if not ok then return nil, err end
  return result
end

--- Moves messages to another mailbox: MOVE (RFC 6851), or COPY, STORE and UID EXPUNGE.
-- @treturn table as of `copy`; `expunged` is false where the originals had to stay, marked \Deleted
--   (a server without MOVE and UIDPLUS); or nil, err
function messages:move(set, mailbox, options)
  run.options(options, "move", SEQ)
  run.text(mailbox, "move", "a mailbox")
  local canonical = run.set(set, "move")
  local pump = run.pump(self, "move")
  local err = run.misplaced(pump, set, options, "move")
  if err then return nil, err end
  if can(pump, "MOVE") then return transfer(pump, "MOVE", canonical, mailbox, options) end
  local result
  result, err = move_by_copy(pump, canonical, mailbox, options)
  return result, err
end

local EXPUNGE = { batch = "number?", timeout = "number|table?" }

--- Removes messages that are marked \Deleted.
-- @param[opt] set only these UIDs (UID EXPUNGE, RFC 4315); left out: all that are marked, whoever
--   marked them
-- @tparam[opt] table options `timeout`
-- @treturn boolean true; or nil, err: kind "unsupported" where a set is given and the server lacks UIDPLUS
function messages:expunge(set, options)
  local canonical = set ~= nil and run.set(set, "expunge")
  run.options(options, "expunge", EXPUNGE)
  local pump = run.pump(self, "expunge")
  local ok, err
  err = run.misplaced(pump, set, nil, "expunge")
  if err then return nil, err end
  if not canonical then
    ok, err = run.call(pump, options, nil, "EXPUNGE")
  elseif not can(pump, "UIDPLUS") then
    err = pump:error("unsupported", "the server lacks UIDPLUS: it cannot expunge single messages", {
      command = "UID EXPUNGE",
    })
  else
    ok, err = in_pieces(pump, options, canonical, nil, nil, "UID EXPUNGE")
  end
  if ok then return true end
  return nil, err
end

--- Puts a message into a mailbox.
-- @tparam string mailbox UTF-8
-- @param message a string, an open file, a source function or a mail.message
-- @tparam[opt] table options `flags`, `date`, `size`, `timeout`; see `mail.imap.append`
-- @treturn table `{uidvalidity=, uid=}`; or nil, err
function messages:append(mailbox, message, options)
  run.text(mailbox, "append", "a mailbox")
  run.options(options, "append", append.OPTIONS)
  local pump = run.pump(self, "append")
  local flags, err
  if options and options.flags then
    flags, err = run.flags(pump, options.flags, "append")
    if not flags then return nil, err end
  end
  local result
  result, err = append.run(pump, { mailbox = mailbox, flags = flags, options = options or {} }, message, 2)
  return result, err
end

return messages
