--- Messages of the selected mailbox: FETCH, STORE, COPY, MOVE, EXPUNGE; and APPEND.
--
-- A set is a number, an array of numbers, "1:*", "$", or the result of a search; UIDs unless `{seq =
-- true}` is given. A set longer than servers take in one line goes out in several commands; where one of
-- them fails, `err.done` and `err.left` tell how far it came.
-- @module mail.imap.messages

local append = require "mail.imap.append"
local events = require "mail.imap.events"
local fetch = require "mail.imap.fetch"
local pieces = require "mail.imap.pieces"
local run = require "mail.imap.run"

local unpack = table.unpack or unpack -- luacheck: ignore

-- Methods of the session.
local messages = {}

local SEQ = { seq = "boolean?", batch = "number?", timeout = "number|table?", progress = "function?" }

local function uid_verb(verb, options)
  return options and options.seq and verb or "UID " .. verb
end

--- Fetches messages while they arrive.
-- @param set
-- @tparam table|string items names of mail.imap.items ("uid", "flags", "size", "envelope", "body" …), or as the
--   standard writes them
-- @tparam[opt] table options `seq`, `sink`, `changed_since`, `partial`, `timeout`; see `mail.imap.fetch`
-- @return an iterator (mail.iterator) over messages as they arrive; or nil, err. A message has `seq`, `uid`, and what
--   was asked for: `flags` (a set: `m.flags["\\Seen"]`), `internaldate` (seconds since 1970), `size`, `envelope`
--   (`date`, `subject`, `from`, `sender`, `reply_to`, `to`, `cc`, `bcc`: arrays of `{name=, address=}` and `{group=,
--   members=}`; `in_reply_to`, `message_id`; words in UTF-8), `bodystructure` (`type`, `parameters`, `section`,
--   `encoding`, `size`, `id`, `disposition` = `{type=, parameters=}`, `parts`, of a message inside `envelope`; names
--   of files in UTF-8), `headers` (an array of `{name=, value=}`, which also knows a name in any case:
--   `m.headers.subject`), `body` (octets by section: `m.body[""]` is the whole, `m.body["1.2"]`, `m.body.HEADER`),
--   `binary` (the same of BINARY: parts without their transfer encoding), `binary_size`, `modseq`, `emailid`,
--   `threadid`, `savedate`, `preview`, `gm_labels` …; `m:message()` is `m.body[""]`, parsed (mail.message)
function messages:fetch(set, items, options)
  local it, err, none, closing = fetch.start(run.pump(self, "fetch"), set, items, options, 2)
  return it, err, none, closing
end

--- The same as an array: all of them are in memory at once.
-- @param set as of `fetch`
-- @param items as of `fetch`
-- @tparam[opt] table options as of `fetch`
-- @treturn table array of messages; or nil, err
function messages:fetch_all(set, items, options)
  local it, err = fetch.start(run.pump(self, "fetch_all"), set, items, options, 2)
  if not it then return nil, err end
  return fetch.all(it)
end

local STORE = {
  unchanged_since = "number|string?", silent = "boolean?", seq = "boolean?", batch = "number?",
  timeout = "number|table?",
  progress = "function?",
}
local SIGNS = { add = "+", remove = "-", flags = "" }
local LABEL_SIGNS = { add_labels = "+", remove_labels = "-", labels = "" }

-- The flags or labels, how they are meant, and whether they are labels; raises at the caller of the
-- method that calls.
local function store_change(change)
  local name, list
  if type(change) == "table" then name, list = next(change) end
  local sign = SIGNS[name] or LABEL_SIGNS[name]
  if not sign or next(change, name) ~= nil then
    error("imap:store: one of { add = … }, { remove = … }, { flags = … }, { add_labels = … }, "
      .. "{ remove_labels = … }, { labels = … } expected", 3)
  end
  if type(list) ~= "table" and type(list) ~= "string" then
    error(("imap:store: option '%s' must be an array, got %s"):format(name, type(list)), 3)
  end
  return list, sign, LABEL_SIGNS[name] ~= nil
end

-- Labels as typed arguments: system labels ("\\Important") stand as they are, others go as names of
-- mailboxes do. Raises at the caller of the method that calls.
local function label_arguments(pump, labels)
  local out = { "open", true }
  if type(labels) == "string" then labels = { labels } end
  if type(labels) ~= "table" then error("imap:store: an array of labels expected, got " .. type(labels), 3) end
  for _, label in ipairs(labels) do
    if type(label) ~= "string" then error("imap:store: a label must be a string, got " .. type(label), 3) end
    local system = label:find "^\\[A-Za-z]+$"
    if not system and (label == "" or label:find "[%z\1-\31\127]") then
      return nil, pump:error("invalid", "bad label '" .. label .. "'", { command = "STORE" })
    end
    out[#out + 1], out[#out + 2] = system and "text" or "mailbox", label
  end
  out[#out + 1], out[#out + 2] = "close", true
  return out
end

-- What of a piece is still to do: all below the UID that the server came down to (RFC 9738 §3.1), ""
-- for nothing. A COPY is refused as a whole, so the upper part goes first. nil where it cannot be told.
local function left_of(piece, value, options)
  local uid = type(value) == "table" and value.uid
  if not uid or (options and options.seq) then return nil end
  return pieces.clip(piece, nil, uid - 1), pieces.clip(piece, uid)
end

local function reversed(list)
  local out = {}
  for i = #list, 1, -1 do out[#out + 1] = list[i] end
  return out
end

-- What was done before `piece` failed, and what is left: `list` has the next one last.
local function failed(err, done, piece, list)
  local all, at = done, #done + 1
  all[at] = piece
  for i = #list, 1, -1 do all[#all + 1] = list[i] end
  return nil, run.halfway(err, all, at)
end

-- What a server that did a part, or refused the whole, left to do: pushed to `list`. False where that
-- cannot be told.
local function push_rest(list, piece, value, options, refused)
  local left, upper = left_of(piece, value, options)
  if not left or left == piece or (refused and (left == "" or upper == "")) then return false end
  if left ~= "" then list[#list + 1] = left end
  if refused then list[#list + 1] = upper end
  return true
end

-- Runs a command for each piece of a set, one after the other, and again for what the server left out.
-- `each(code, value)` gets what each tagged answer said. Sequence numbers go from the highest down,
-- since those of what goes away move the others. Nothing is sent once another mailbox is open: the
-- numbers name others there.
local function in_pieces(pump, options, set, each, collect, verb, ...)
  local list, place, done, sent = run.pieces(set, options and options.batch), run.place(pump), {}, false
  local rounds = run.rounds(pump)
  if not (options and options.seq) then list = reversed(list) end
  while #list > 0 do
    local piece = table.remove(list)
    local err = sent and run.moved_on(pump, place, verb)
    sent = true
    if err then return failed(err, done, piece, list) end
    local ok, code, value, text = run.call(pump, options, collect, verb, "set", piece, ...)
    if not ok then err, code, value = code, code.response_code, code.response_value end
    if code == "MESSAGELIMIT" then rounds = rounds - 1 end
    if code == "MESSAGELIMIT" and rounds > 0 and push_rest(list, piece, value, options, not ok) then
      err = nil
    elseif code == "MESSAGELIMIT" and ok then
      err = run.refusal(pump, verb, "NO", code, value, text)
    end
    if err then return failed(err, done, piece, list) end
    if ok then done[#done + 1] = piece end
    if ok and each then each(code, value) end
  end
  return true
end

local function joined(a, b)
  if a and b and a ~= "" and b ~= "" then return a .. "," .. b end
  return a or b
end

-- What one of them takes in memory.
local MODSEQ = 64

-- Mod-sequences that the answer tells are kept, and the flags are news like others'.
local function gather_modseqs(pump, modseqs)
  local room = pump.session:answer_limit()
  return function(name, number, value, ...)
    if name ~= "FETCH" then return events.unsolicited(pump, "untagged", name, number, value, ...) end
    if value.uid and value.modseq then
      if not modseqs[value.uid] then room = room - MODSEQ end
      if room < 0 then return run.FULL end
      modseqs[value.uid] = value.modseq
    end
    events.unsolicited(pump, "fetch", value)
  end
end

-- A conditional STORE may be refused for some and be done for others: that is no failure of the call. Each piece is
-- a run of its own, so that one refusal leaves the others their turn.
local function store(pump, set, options, text, ...)
  local result, verb = {}, uid_verb("STORE", options)
  local function said(code, value)
    if code == "MODIFIED" then result.modified = joined(result.modified, value) end
  end
  if not options.unchanged_since then
    local ok, err = in_pieces(pump, options, set, said, nil, verb, "text", text, ...)
    if not ok then return nil, err end
    return result
  end
  result.modseqs = {}
  text = ("(UNCHANGEDSINCE %s) %s"):format(run.modseq(options.unchanged_since), text)
  local collect = gather_modseqs(pump, result.modseqs)
  for _, piece in ipairs(run.pieces(set, options.batch)) do
    local ok, err = in_pieces(pump, options, piece, said, collect, verb, "text", text, ...)
    if not ok and err.response_code ~= "MODIFIED" then return nil, err end
    if not ok then
      said("MODIFIED", err.response_value)
      result.refused = err
    end
  end
  return result
end

-- What was opened with EXAMINE keeps nothing; servers take a STORE there and ignore it.
local function keeps_nothing(pump)
  local box = pump.mailbox
  if not (box and box.readonly and next(box.permanent_flags) == nil) then return nil end
  return pump:error("rejected", "the mailbox is open read-only", { command = "STORE", response_code = "READ-ONLY" })
end

--- Changes flags (RFC 9051 §6.4.6), or labels of Gmail (X-GM-EXT-1).
-- @param set
-- @tparam table change `{add={…}}`, `{remove={…}}` or `{flags={…}}`; of labels, in UTF-8,
--   `{add_labels={…}}`, `{remove_labels={…}}` or `{labels={…}}`
-- @tparam[opt] table options `silent`: do not tell the new flags; `unchanged_since`: leave messages
--   alone that changed after this modification sequence (RFC 7162); `seq`, `timeout`, `progress`
-- @treturn table `{modified=set}` of those left alone, nil where there are none; with `unchanged_since` also
--   `modseqs`, UID → modification sequence as the server tells them, and `refused`, the error where the server said NO
--   to some; or nil, err
function messages:store(set, change, options)
  run.options(options, "store", STORE)
  local canonical = run.set(set, "store")
  local list, sign, labels = store_change(change)
  local since = options and options.unchanged_since
  if since then run.modseq(since, "imap:store: option 'unchanged_since'", 2) end
  local pump = run.pump(self, "store")
  local arguments, text, err, lacking = {} -- luacheck: ignore 221
  if labels then
    arguments, err = label_arguments(pump, list)
    lacking = not pump.failure and not pump.session:has_capability "X-GM-EXT-1"
      and pump:error("unsupported", "the server lacks X-GM-EXT-1", { command = "STORE" })
  else
    text, err = run.flags(pump, list, "store")
  end
  err = pump.failure or lacking or err or run.misplaced(pump, set, options, "store") or keeps_nothing(pump)
  if err then return nil, err end
  options = options or {}
  local item = sign .. (labels and "X-GM-LABELS" or "FLAGS") .. (options.silent and ".SILENT" or "")
  return store(pump, canonical, options, text and item .. " " .. text or item, unpack(arguments))
end

-- COPY or MOVE; what COPYUID said, wherever it stood.
local function transfer(pump, verb, set, mailbox, options)
  local result, from, to = {}, {}, {}
  local function said(code, value)
    if code ~= "COPYUID" or not value then return end
    result.uidvalidity = value.uidvalidity
    if value.from ~= "" then from[#from + 1] = value.from end
    if value.to ~= "" then to[#to + 1] = value.to end
  end
  local ok, err = in_pieces(pump, options, set, said, function(name, number, data, code, value, ...)
    if code == "COPYUID" then
      said(code, value)
    else
      events.unsolicited(pump, "untagged", name, number, data, code, value, ...)
    end
  end, uid_verb(verb, options), "mailbox", mailbox)
  if not ok then return nil, err end
  if from[1] and to[1] then
    from, to = table.concat(from, ","), table.concat(to, ",")
    -- One copy of each message (RFC 4315 §3): sets that do not fit tell nothing.
    if pieces.count(from) == pieces.count(to) then result.from, result.to = from, to end
  end
  return result
end

--- Copies messages to another mailbox.
-- @param set
-- @tparam string mailbox UTF-8
-- @tparam[opt] table options `seq`, `batch` (messages that one command is given at most), `timeout`
-- @treturn table `{uidvalidity=, from=, to=}` of the copies: sets as text ("1:3,7"), in the same order, for any call
--   that takes a set; empty where the server does not tell (UIDPLUS); or nil, err: `err.response_code` "TRYCREATE"
--   where the mailbox is not there
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

-- The UIDs of sequence numbers, for what is to be done by UID alone: a set, "" where none is there; or nil, err.
local function uids_of(pump, set, options, what)
  if set == "" then return set end
  local all
  local it, err = fetch.start(pump, set, { "uid" }, { seq = true, timeout = options.timeout }, 3)
  if it then all, err = fetch.all(it) end
  if not all then return nil, err end
  local uids = {}
  for i, m in ipairs(all) do uids[i] = m.uid end
  return (run.set(uids, what))
end

-- Without MOVE: copy, mark, and remove by UID. A plain EXPUNGE could take messages of others, so
-- without UIDPLUS the originals stay marked.
local function move_by_copy(pump, set, mailbox, options)
  local why
  if options and options.seq then
    set, why = uids_of(pump, set, options, "move")
    if not set then return nil, why end
    options = { batch = options.batch, timeout = options.timeout }
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
-- @param set
-- @tparam string mailbox UTF-8
-- @tparam[opt] table options as of `copy`
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

local EXPUNGE = { seq = "boolean?", batch = "number?", timeout = "number|table?" }

--- Removes messages that are marked \Deleted.
-- @param[opt] set only these UIDs (UID EXPUNGE, RFC 4315); left out: all that are marked, whoever
--   marked them
-- @tparam[opt] table options `seq` (the UIDs are asked for), `batch`, `timeout`
-- @treturn boolean true; or nil, err: kind "unsupported" where a set is given and the server lacks UIDPLUS
function messages:expunge(set, options)
  local canonical = set ~= nil and run.set(set, "expunge")
  run.options(options, "expunge", EXPUNGE)
  local pump = run.pump(self, "expunge")
  local ok, err
  err = run.misplaced(pump, set, options, "expunge")
  if err then return nil, err end
  if canonical and options and options.seq and can(pump, "UIDPLUS") then
    canonical, err = uids_of(pump, canonical, options, "expunge")
    if not canonical then return nil, err end
    options = { batch = options.batch, timeout = options.timeout }
  end
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

--- Puts a message into a mailbox, or many.
-- @tparam string mailbox UTF-8
-- @param message a string, an open file, a source function or a mail.message; or `{ catenate = {
--   "text", { url = … }, { uid = 7, section = "1" }, … } }`, put together by the server (RFC 4469); or
--   an array of these, or of `{ message = …, flags = …, date = … }` (RFC 3502, else one by one)
-- @tparam[opt] table options `flags` (an array, or a set as a fetched message has), `date` (seconds since 1970),
--   `size`, `binary`, `timeout`, `progress`; see `mail.imap.append`. A mail.message goes without Bcc: a draft that
--   shall keep it is `message:tostring { bcc = true }`
-- @treturn table `{uidvalidity=, uid=}`, of an array `{uidvalidity=, uids={…}}`; or nil, err
function messages:append(mailbox, message, options)
  run.text(mailbox, "append", "a mailbox")
  run.options(options, "append", append.OPTIONS)
  local pump = run.pump(self, "append")
  local result, err = append.run(pump, {
    verb = "APPEND", arguments = { "mailbox", mailbox }, options = options or {}, many = true,
  }, message, 2)
  return result, err
end

local REPLACE = { seq = "boolean?" }
for name, kind in pairs(append.OPTIONS) do REPLACE[name] = kind end

-- Without REPLACE: the new message first, so that at no time there is none.
local function replace_by_append(pump, uid, call, message, level)
  local options = { seq = call.options.seq, timeout = call.options.timeout }
  local there, err = fetch.start(pump, uid, { "uid" }, options, level + 1)
  if there then there, err = fetch.all(there) end
  if there and not there[1] then
    err = pump:error("rejected", ("no message has %s %s"):format(options.seq and "number" or "UID", uid), {
      command = "REPLACE", response_code = "NONEXISTENT",
    })
  end
  if err then return nil, err end
  uid, options.seq = ("%.0f"):format(there[1].uid), nil
  call.verb = "APPEND"
  local result
  result, err = append.run(pump, call, message, level + 1)
  if not result then return nil, err end
  local ok
  ok, err = store(pump, uid, options, "+FLAGS.SILENT (\\Deleted)")
  result.expunged = can(pump, "UIDPLUS")
  if ok and result.expunged then ok, err = in_pieces(pump, options, uid, nil, nil, "UID EXPUNGE") end
  if ok then return result end
  if err ~= pump.failure then err.appended, err.uid, err.uidvalidity = 1, result.uid, result.uidvalidity end
  return nil, err
end

--- Replaces a message of the selected mailbox (RFC 8508), or APPEND, STORE and UID EXPUNGE in this
-- order: whatever fails, one of the two is there.
-- @tparam number uid
-- @tparam string mailbox where the new one goes, UTF-8
-- @param message as of `append`, but one
-- @tparam[opt] table options as of `append`, and `seq`
-- @treturn table `{uidvalidity=, uid=}` of the new message; `expunged` is false where the old one had
--   to stay, marked \Deleted (a server without REPLACE and UIDPLUS); or nil, err: `err.appended` is 1
--   where the new one was stored and the old one could not be taken away
function messages:replace(uid, mailbox, message, options)
  if type(uid) ~= "number" or uid < 1 or uid % 1 ~= 0 or uid > 4294967295 then
    error("imap:replace: the number of one message expected, got " .. tostring(uid), 2)
  end
  run.text(mailbox, "replace", "a mailbox")
  run.options(options, "replace", REPLACE)
  local pump = run.pump(self, "replace")
  local number = ("%.0f"):format(uid)
  append.check(pump, message, "replace", 2)
  local call = { verb = uid_verb("REPLACE", options), options = options or {}, arguments = { "mailbox", mailbox } }
  local result, err
  if pump.failure then
    return nil, pump.failure
  elseif pump.session:has_capability "REPLACE" then
    table.insert(call.arguments, 1, number)
    table.insert(call.arguments, 1, "set")
    result, err = append.run(pump, call, message, 2)
  else
    result, err = replace_by_append(pump, number, call, message, 2)
  end
  return result, err
end

return messages
