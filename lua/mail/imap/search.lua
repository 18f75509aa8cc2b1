--- SEARCH, SORT, THREAD, ESEARCH: what is found, and in which form (RFC 9051 §6.4.4, RFC 4731, RFC 5182,
-- RFC 5256, RFC 5267, RFC 7377, RFC 9394).
-- @module mail.imap.search

local ascii = require "mail.ascii"
local answers = require "mail.imap.answers"
local charsets = require "mail.imap.charsets"
local context = require "mail.imap.context"
local core = require "mail.core"
local criteria = require "mail.imap.criteria"
local events = require "mail.imap.events"
local run = require "mail.imap.run"
local set = require "mail.imap.set"

local unpack = table.unpack or unpack -- luacheck: ignore

local search = {}

-- Methods of the session.
search.methods = {}

-- A set of UIDs among the criteria that is longer than this goes in several commands.
local SET_MAX = 4000

-- --- what is asked for ----------------------------------------------------------------------------

local RETURNS = { save = true, partial = true, relevancy = true, context = true, update = true }

local OPTIONS = {
  seq = "boolean?", timeout = "number|table?", ["return"] = "table|string?", save = "boolean?", partial = "string?",
  update = "boolean?", context = "boolean?", relevancy = "boolean?",
}

local RANGE = "^%-?[1-9]%d*:%-?[1-9]%d*$"

-- The options as a set of words, `plain` where none was given. Raises at the caller of the method.
local function wanted(options, what)
  local want, given = {}, options["return"]
  for _, name in ipairs(type(given) == "string" and { given } or given or {}) do
    name = type(name) == "string" and ascii.lower(name) or name
    if not answers.FIGURES[name] and not RETURNS[name] then
      error(("imap:%s: option 'return' knows min, max, count, all, save, partial, relevancy, context, update; not '%s'")
        :format(what, tostring(name)), 3)
    end
    want[name] = true
  end
  for name in pairs(RETURNS) do want[name] = want[name] or options[name] or nil end
  if want.partial and (not options.partial or not options.partial:find(RANGE)) then
    error(("imap:%s: option 'partial' must be like '1:50' or '-50:-1'"):format(what), 3)
  end
  want.plain = next(want) == nil or nil
  if want.update and not want.partial then want.all = true end
  return want
end

local function has(pump, ...)
  for _, name in ipairs { ... } do
    if pump.session:has_capability(name) then return true end
  end
  return false
end

local function lacks(pump, name, command)
  return pump:error("unsupported", "the server lacks " .. name, { command = command })
end

-- Why the server cannot answer in that form; nil where it can.
local function unable(pump, want, verb)
  local order = verb == "SORT" and "SORT" or "SEARCH"
  if want.save and not has(pump, "SEARCHRES", "IMAP4REV2") then return lacks(pump, "SEARCHRES", verb) end
  if want.partial and not has(pump, "PARTIAL", "CONTEXT=" .. order) then return lacks(pump, "PARTIAL", verb) end
  if (want.context or want.update) and not has(pump, "CONTEXT=" .. order) then
    return lacks(pump, "CONTEXT=" .. order, verb)
  end
  if want.relevancy and not has(pump, "SEARCH=FUZZY") then return lacks(pump, "SEARCH=FUZZY", verb) end
end

local ORDER = { "min", "max", "count", "all", "relevancy", "context", "save", "update" }

-- "RETURN (MIN COUNT)".
local function return_text(want, options)
  local words = {}
  for _, name in ipairs(ORDER) do
    if want[name] then words[#words + 1] = ascii.upper(name) end
  end
  if want.partial then words[#words + 1] = "PARTIAL " .. options.partial end
  return "RETURN (" .. table.concat(words, " ") .. ")"
end

-- Why these criteria cannot be asked for here; nil where they can. Raises as `run.misplaced` does.
local function unanswerable(pump, arguments, what)
  if pump.failure then return pump.failure end
  for _, one in ipairs(arguments.sets or {}) do
    local err = set.refused(pump, one.value, one.value ~= "$" and one.seq, what, 2)
    if err then return err end
  end
  for name, capabilities in pairs(arguments.needs or {}) do
    if not has(pump, unpack(capabilities)) then
      return pump:error("unsupported", ("the server lacks %s, which criterion '%s' wants")
        :format(capabilities[1], name), { command = ascii.upper(what) })
    end
  end
end

-- --- running --------------------------------------------------------------------------------------

-- "UID SEARCH" "RETURN (…)" "CHARSET x" criteria.
local function search_arguments(words, charset, returns)
  local out = {}
  if returns then out[1], out[2] = "text", returns end
  if charset then out[#out + 1], out[#out + 2] = "text", "CHARSET " .. charset end
  for i = 1, #words do out[#out + 1] = words[i] end
  return out
end

-- What the functions below have in common is a table: pump, options, want (of `wanted`), verb, and `found`, which
-- takes what the answers bring.

-- Sends one command and waits. A search whose result "$" stands for changes what "$" means, also where
-- it fails (RFC 5182 §2.1).
local function ask(call, list, arguments)
  local pump, options, want, found = call.pump, call.options, call.want, call.found
  local id, err = run.begin(pump, call.verb, false, unpack(arguments))
  if not id then return nil, err end
  local box, follower = set.box(pump), nil
  if want.update then follower = context.open(pump, id, { seq = options.seq, sorted = want.sorted }) end
  if want.save then pump.saving = (pump.saving or 0) + 1 end
  local ok, value
  ok, err, value = run.finish(pump, id, call.verb, options, answers.collector(pump, found, list, options.seq))
  if want.save then
    pump.saving = pump.saving > 1 and pump.saving - 1 or nil
    pump.unsaved = not ok and box or nil
  end
  found.context = follower
  if not ok and follower then context.drop(follower) end
  return ok, err, value
end

local function alone(want) return want.save or want.partial or want.update or want.relevancy end

-- The same, and again for what is below the UID that the server came down to (RFC 9738 §3.1), until all
-- is searched.
local function ask_all(call, words, charset, returns)
  local below
  local rounds = run.rounds(call.pump)
  while true do
    local arguments = search_arguments(words, charset, returns)
    if below then arguments[#arguments + 1], arguments[#arguments + 2] = "text", ("UID 1:%.0f"):format(below) end
    local ok, code, value = ask(call, "SEARCH", arguments)
    if not ok then return nil, code end
    if code ~= "MESSAGELIMIT" then return true end
    local uid = type(value) == "table" and value.uid
    rounds = rounds - 1
    if not uid or (below and uid > below) or rounds <= 0 or alone(call.want) then
      return nil, run.refusal(call.pump, call.verb, "NO", code, value, "a part of the mailbox was searched")
    end
    if uid <= 1 then return true end
    below = uid - 1
  end
end

-- The criteria as one or more argument lists: a long set of UIDs at the top is asked for in pieces, whose
-- results are joined.
local function split(what, level)
  local whole = { criteria.arguments(what, level + 1) }
  if type(what) ~= "table" or what.uid == nil or what.uid == "$" then return whole end
  local text = set.text(what.uid)
  if #text <= SET_MAX then return whole end
  local lists = {}
  for i, piece in ipairs(run.pieces(text)) do
    local part = {}
    for name, value in pairs(what) do part[name] = value end
    part.uid = piece
    lists[i] = criteria.arguments(part, level + 1)
  end
  lists[1].sets = whole[1].sets
  return lists
end

local function refers(arguments)
  for _, one in ipairs(arguments.sets or {}) do
    if one.value == "$" then return true end
  end
  return false
end

-- Sends the lists of criteria one after the other; what they bring, or nil, err.
local function gather(pump, lists, options, want, returns)
  local found, verb = answers.new(set.box(pump)), options.seq and "SEARCH" or "UID SEARCH"
  local call = { pump = pump, options = options, want = want, verb = verb, found = found }
  local place = run.place(pump)
  if #lists > 1 and alone(want) then
    return nil, pump:error("limit", "the set of UIDs is too long for one command, and this result cannot be joined", {
      command = verb,
    })
  end
  for i, arguments in ipairs(lists) do
    local again = not (want.save and refers(arguments)) -- the refusal has emptied "$"
    local ok, err = charsets.run(pump, arguments, again, function(words, charset)
      local moved = i > 1 and run.moved_on(pump, place, verb)
      if moved then return nil, moved end
      return ask_all(call, words, charset, returns)
    end)
    if not ok then return nil, err end
  end
  return found
end

-- The result in the form that was asked for.
local function result_of(pump, found, want, form)
  if found.foreign then return nil, answers.broken(pump, "SEARCH", "numbers of the other kind (UID)") end
  if want.save and want.only_saved then return "$" end
  if want.plain then return form(pump, found) end
  local result, err = answers.as_table(pump, found, want, form)
  if not result then return nil, err end
  if found.context then
    context.begin(found.context, result.all or result.partial)
    result.context = found.context
  end
  return result
end

local function former(make, seq, command)
  return function(pump, found) return make(pump, found, seq, command) end
end

local function only_saved(want)
  for name in pairs(want) do
    if name ~= "save" then return false end
  end
  return want.save
end

--- Searches the mailbox (RFC 9051 §6.4.4).
-- @tparam[opt] table|string what criteria: `{ unseen = true, from = "bob", since = "2026-11-01",
--   ["not"] = {…}, ["or"] = {{…}, {…}} }`; all must hold
-- @tparam[opt] table options `seq`, `timeout`; `return`: array of "min", "max", "count", "all",
--   "relevancy" (ESEARCH; the first four of any server); `save`: the server keeps the result, and "$" is a
--   set (SEARCHRES); `partial` "1:50" or "-1:-50" (PARTIAL); `update`: the server keeps it up to date
--   (CONTEXT=SEARCH); `context`: tells it that more of the like will come
-- @treturn table set of UIDs; with `return`, `partial` or `update` a table `{min=, max=, count=, all=set,
--   partial=set, range=, modseq=, relevancy=, context=}` of what was asked for (min and max nil where nothing
--   was found); with `save` alone "$"; or nil, err
function search.methods:search(what, options)
  run.options(options, "search", OPTIONS)
  options = options or {}
  local want = wanted(options, "search")
  local lists = split(what, 2)
  local pump = run.pump(self, "search")
  local err = unanswerable(pump, lists[1], "search") or unable(pump, want, "SEARCH")
  if err then return nil, err end
  want.only_saved = only_saved(want)
  local extended, returns = has(pump, "ESEARCH", "IMAP4REV2"), nil
  if want.plain and extended and not (type(what) == "string" and ascii.upper(what):find "^RETURN") then
    returns = "RETURN (ALL)" -- a mailbox of a million messages in one short line
  elseif not want.plain and (extended or want.save or want.partial or want.update) then
    returns = return_text(want, options)
  end
  if returns and not extended and not (want.save or want.partial or want.update) then returns = nil end
  local found
  found, err = gather(pump, lists, options, want, returns)
  if not found then return nil, err end
  return result_of(pump, found, want, former(answers.as_set, options.seq, "SEARCH"))
end

-- --- SORT -----------------------------------------------------------------------------------------

local KEYS = {
  arrival = "ARRIVAL", cc = "CC", date = "DATE", from = "FROM", size = "SIZE", subject = "SUBJECT", to = "TO",
  displayfrom = "DISPLAYFROM", displayto = "DISPLAYTO", relevancy = "RELEVANCY",
}
local KEY_NEEDS = { displayfrom = "SORT=DISPLAY", displayto = "SORT=DISPLAY", relevancy = "SEARCH=FUZZY" }

-- "(REVERSE DATE SUBJECT)", and the capabilities that its keys want.
local function sort_keys(keys)
  local words, needs = {}, {}
  if type(keys) == "string" then keys = { keys } end
  if type(keys) ~= "table" or #keys == 0 then error("imap:sort: an array of sort keys expected", 3) end
  for _, key in ipairs(keys) do
    local text = type(key) == "string" and ascii.lower(key) or ""
    local name = text:gsub("^reverse +", ""):gsub("^%-", "")
    if not KEYS[name] then
      error(("imap:sort: a sort key is arrival, cc, date, from, size, subject, to, displayfrom, displayto, relevancy, "
        .. "with '-' or 'reverse ' before it; not '%s'"):format(tostring(key)), 3)
    end
    words[#words + 1] = (name ~= text and "REVERSE " or "") .. KEYS[name]
    needs[#needs + 1] = KEY_NEEDS[name]
  end
  return "(" .. table.concat(words, " ") .. ")", needs
end

--- Searches, and sorts on the server (SORT, RFC 5256; SORT=DISPLAY, RFC 5957).
-- @tparam table|string keys of "arrival", "cc", "date", "from", "size", "subject", "to", "displayfrom",
--   "displayto", "relevancy"; with "-" or "reverse " before it the other way round
-- @tparam[opt] table|string what criteria
-- @tparam[opt] table options as of `search`: `return`, `partial`, `update` want ESORT or CONTEXT=SORT
-- @treturn table array of UIDs in that order, usable as a set; or a table as of `search`; or nil, err:
--   kind "unsupported" where the server cannot sort
function search.methods:sort(keys, what, options)
  local text, needs = sort_keys(keys)
  run.options(options, "sort", OPTIONS)
  options = options or {}
  local want = wanted(options, "sort")
  local arguments = criteria.arguments(what, 2)
  local pump = run.pump(self, "sort")
  local err = unanswerable(pump, arguments, "sort") or (not has(pump, "SORT") and lacks(pump, "SORT", "SORT"))
    or unable(pump, want, "SORT")
  for _, name in ipairs(needs) do err = err or not has(pump, name) and lacks(pump, name, "SORT") end
  if not (err or want.plain or has(pump, "ESORT", "CONTEXT=SORT")) then err = lacks(pump, "ESORT", "SORT") end
  if err then return nil, err end
  want.sorted, want.only_saved = true, only_saved(want)
  local call = { pump = pump, options = options, want = want, verb = options.seq and "SORT" or "UID SORT",
    found = answers.new(set.box(pump)) }
  local ok
  ok, err = charsets.run(pump, arguments, not (want.save and refers(arguments)), function(words, charset)
    local list = search_arguments(words, nil, not want.plain and return_text(want, options) or nil)
    local at = want.plain and 1 or 3
    table.insert(list, at, "text")
    table.insert(list, at + 1, text .. " " .. charsets.named(pump, charset))
    return ask(call, "SORT", list)
  end)
  if not ok then return nil, err end
  return result_of(pump, call.found, want, former(answers.in_order, options.seq, "SORT"))
end

-- --- THREAD ---------------------------------------------------------------------------------------

local THREAD = { seq = "boolean?", timeout = "number|table?" }

--- Searches, and groups what is found into conversations (THREAD, RFC 5256 §3).
-- @tparam string algorithm "REFERENCES", "ORDEREDSUBJECT", "REFS": what the server has is among its
--   capabilities as "THREAD=…"
-- @tparam[opt] table|string what criteria
-- @tparam[opt] table options `seq`, `timeout`
-- @treturn table array of threads; a message is `{ id = UID, reply, reply … }`: its replies are its array,
--   each a message again. One that is not in the mailbox, but joins others, has no id. Or nil, err: kind
--   "unsupported" where the server lacks the algorithm
function search.methods:thread(algorithm, what, options)
  run.text(algorithm, "thread", "an algorithm")
  run.options(options, "thread", THREAD)
  options = options or {}
  local name = ascii.upper(algorithm)
  if not name:find "^[A-Z%d%-]+$" then error("imap:thread: bad algorithm '" .. algorithm .. "'", 2) end
  local arguments = criteria.arguments(what, 2)
  local pump = run.pump(self, "thread")
  local err = unanswerable(pump, arguments, "thread")
    or (not has(pump, "THREAD=" .. name) and lacks(pump, "THREAD=" .. name, "THREAD")) or nil
  if err then return nil, err end
  local threads = {}
  local ok
  ok, err = charsets.run(pump, arguments, true, function(words, charset)
    return run.call(pump, options, function(what_came, number, value, ...)
      if what_came ~= "THREAD" then return events.unsolicited(pump, "untagged", what_came, number, value, ...) end
      for _, thread in ipairs(value or {}) do threads[#threads + 1] = thread end
    end, options.seq and "THREAD" or "UID THREAD", "text", name .. " " .. charsets.named(pump, charset), unpack(words))
  end)
  if not ok then return nil, err end
  return threads
end

-- --- MULTISEARCH ----------------------------------------------------------------------------------

local ESEARCH = {
  mailboxes = "table|string?", subtree = "table|string?", subtree_one = "table|string?", scope = "table|string?",
  ["return"] = "table|string?", timeout = "number|table?",
}
local SCOPES = { selected = true, ["selected-delayed"] = true, inboxes = true, personal = true, subscribed = true }

local function array(value) return type(value) == "table" and value or { value } end

-- filter-mailboxes of RFC 5465 §6 and "subtree-one" of RFC 7377 §2.2. Raises at the caller of `esearch`.
local function sources(options)
  local out = { "text", "IN", "open", true }
  for _, name in ipairs(array(options.scope)) do
    if not SCOPES[name] then error(("imap:esearch: no scope '%s'"):format(tostring(name)), 3) end
    out[#out + 1], out[#out + 2] = "text", name
  end
  for _, kind in ipairs { "mailboxes", "subtree", "subtree_one" } do
    local names = array(options[kind])
    if #names > 0 then
      out[#out + 1], out[#out + 2] = "text", (kind:gsub("_", "-"))
      out[#out + 1], out[#out + 2] = "open", true
      for _, name in ipairs(names) do
        if type(name) ~= "string" then error("imap:esearch: a mailbox must be a string, got " .. type(name), 3) end
        out[#out + 1], out[#out + 2] = "mailbox", name
      end
      out[#out + 1], out[#out + 2] = "close", true
    end
  end
  if #out == 4 then return {} end
  out[#out + 1], out[#out + 2] = "close", true
  return out
end

-- One mailbox's answer: a set that belongs there, and figures; or nil, err.
local function mailbox_result(pump, value, want)
  local ranges = core.uidset(value.all or nil)
  if not ranges then return nil, answers.broken(pump, "ESEARCH", "a set that names no messages") end
  local name, uidvalidity = value.mailbox, value.uidvalidity
  if not name and pump.mailbox then name, uidvalidity = pump.mailbox.name, pump.mailbox.uidvalidity end
  return {
    mailbox = name, uidvalidity = uidvalidity, count = value.count, min = value.min, max = value.max,
    modseq = value.modseq, all = (want.plain or want.all) and set.elsewhere(pump, name, uidvalidity, ranges) or nil,
  }
end

--- Searches several mailboxes at once (MULTISEARCH, RFC 7377).
-- @tparam[opt] table|string what criteria
-- @tparam table options `mailboxes`, `subtree`, `subtree_one`: a name or an array of names; `scope`: of
--   "selected", "selected-delayed", "inboxes", "personal", "subscribed"; `return` of "min", "max", "count",
--   "all" (default "all"), `timeout`
-- @treturn table array of `{mailbox=, uidvalidity=, all=set, min=, max=, count=, modseq=}`, one for each
--   mailbox in which something was found; a set is usable once its mailbox is selected. Or nil, err
function search.methods:esearch(what, options)
  run.options(options, "esearch", ESEARCH)
  options = options or {}
  local want = wanted({ ["return"] = options["return"] }, "esearch")
  local from = sources(options)
  local arguments = criteria.arguments(what, 2)
  local pump = run.pump(self, "esearch")
  local err = unanswerable(pump, arguments, "esearch")
    or (not has(pump, "MULTISEARCH") and lacks(pump, "MULTISEARCH", "ESEARCH")) or unable(pump, want, "SEARCH")
  if err then return nil, err end
  local results = {}
  local ok
  ok, err = charsets.run(pump, arguments, true, function(words, charset)
    local list = search_arguments(words, charset, want.plain and "RETURN (ALL)" or return_text(want, options))
    for i = #from, 1, -1 do table.insert(list, 1, from[i]) end
    return run.call(pump, options, function(name, number, value, ...)
      if name ~= "ESEARCH" or type(value) ~= "table" or value.updates then
        return events.unsolicited(pump, "untagged", name, number, value, ...)
      end
      results[#results + 1] = value
    end, "ESEARCH", unpack(list))
  end)
  if not ok then return nil, err end
  for i, value in ipairs(results) do
    results[i], err = mailbox_result(pump, value, want)
    if err then return nil, err end
  end
  return results
end

-- --- a first look ---------------------------------------------------------------------------------

local FLAG_SETS = { timeout = "number|table?" }

-- What a flag takes in memory with its set, and what each number in a set takes.
local FLAG, NUMBER = 256, 8

-- Puts a message into the sets: what more they take.
local function sort_in(message, uids, flags)
  local uid, octets = message.uid, NUMBER
  if not uid or uid <= 0 then return 0 end
  uids:add(uid)
  for flag in pairs(message.flags or {}) do
    if not flags[flag] then
      flags[flag] = core.uidset()
      octets = octets + FLAG + #flag
    end
    flags[flag]:add(uid)
    octets = octets + NUMBER
  end
  return octets
end

--- UIDs and flags of many messages, kept as sets: eight octets a run of neighbors, so a few for a message
-- even where no two have the same flags. Sets of more than 100,000 are no arrays: see `mail.imap.set`.
-- @param[opt="1:*"] which set of UIDs
-- @tparam[opt] table options `timeout`
-- @treturn table `{ uids = set, flags = { ["\\Seen"] = set, … } }`; or nil, err
function search.methods:flag_sets(which, options)
  run.options(options, "flag_sets", FLAG_SETS)
  run.set(which or "1:*", "flag_sets")
  local pump = run.pump(self, "flag_sets")
  local it, err = self:fetch(which or "1:*", { "uid", "flags" }, options)
  if not it then return nil, err end
  local box, uids, flags, room = set.box(pump), core.uidset(), {}, self:answer_limit()
  local message
  message, err = it:next()
  while message do
    room = room - sort_in(message, uids, flags)
    if room < 0 then
      it:close()
      return nil, run.overfull(pump, "FETCH")
    end
    message, err = it:next()
  end
  if err then return nil, err end
  local result = { uids = set.kept(pump, box, uids), flags = {} }
  for flag, ranges in pairs(flags) do result.flags[flag] = set.kept(pump, box, ranges) end
  return result
end

return search
