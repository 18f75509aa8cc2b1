--- What SEARCH and SORT answer, gathered: numbers, ranges and figures of one command or of several.
--
-- Nothing that a server says is believed beyond what the mailbox can hold: a range is never expanded here.
-- @module mail.imap.answers

local core = require "mail.core"
local events = require "mail.imap.events"
local set = require "mail.imap.set"

local answers = {}

--- What ESEARCH tells of every result, and how it is asked for (RFC 4731).
answers.FIGURES = { min = "MIN", max = "MAX", count = "COUNT", all = "ALL" }

--- What one command or several bring: numbers, figures, ranges.
-- @tparam table box what `mail.imap.set` said of the mailbox when it was sent
function answers.new(box) return { numbers = {}, texts = {}, box = box } end

local function better(a, b, less)
  if type(b) ~= "number" then return a end
  if not a then return b end
  if less then return math.min(a, b) end
  return math.max(a, b)
end

-- The later of two mod-sequences: numbers, or digits where they pass 2^53.
local function later(a, b)
  if type(b) ~= "number" and not (type(b) == "string" and b:find "^%d+$") then return a end
  if not a then return b end
  local x, y = type(a) == "number" and ("%.0f"):format(a) or a, type(b) == "number" and ("%.0f"):format(b) or b
  return (#x > #y or (#x == #y and x >= y)) and a or b
end

-- UIDs where sequence numbers were asked for, or the other way round, are nobody's.
local function take_esearch(found, value, seq)
  found.answered = true
  if (value.uid or false) == (seq or false) then
    found.foreign = true
    return
  end
  found.min, found.max = better(found.min, value.min, true), better(found.max, value.max)
  if type(value.count) == "number" then found.count = (found.count or 0) + value.count end
  found.modseq = later(found.modseq, value.modseq)
  if value.all then found.texts[#found.texts + 1] = value.all end
  found.relevancy = value.relevancy or found.relevancy
  found.partial = value.partial or found.partial
end

--- The collector of a command: SEARCH and SORT lists, ESEARCH of its own; all else to the handlers.
-- @tparam table pump
-- @tparam table found of `new`
-- @tparam string list "SEARCH" or "SORT"
-- @tparam boolean seq sequence numbers are asked for
function answers.collector(pump, found, list, seq)
  return function(name, number, value, ...)
    if name == list and type(value) == "table" then
      local all = found.numbers
      for _, id in ipairs(value) do all[#all + 1] = id end
      found.modseq = later(found.modseq, value.modseq)
      found.listed = true
    elseif name == "ESEARCH" and type(value) == "table" and not value.updates then
      take_esearch(found, value, seq)
    else
      events.unsolicited(pump, "untagged", name, number, value, ...)
    end
  end
end

--- An answer that breaks the grammar, or its promise.
function answers.broken(pump, command, what)
  return pump:error("protocol", command .. " was answered with " .. what, { command = command })
end

-- All ranges that came, with what came as single numbers; or nil, err.
local function ranges_of(pump, found, command)
  local text = table.concat(found.texts, ",")
  local ranges = core.uidset(text ~= "" and text or nil)
  if not ranges then return nil, answers.broken(pump, command, "a set that names no messages") end
  if #found.numbers > 0 then ranges = ranges:union(core.uidset(found.numbers)) end
  return ranges
end

--- What is found, as a set. Sequence numbers beyond the mailbox are nobody's.
-- @treturn table set; or nil, err
function answers.as_set(pump, found, seq, command)
  if #found.texts == 0 and not seq then return set.found(pump, found.box, found.numbers) end
  local ranges, err = ranges_of(pump, found, command)
  if not ranges then return nil, err end
  local exists = found.box and found.box.exists
  if seq and exists then ranges = ranges:intersection(core.uidset(exists > 0 and "1:" .. exists or nil)) end
  return set.of_ranges(pump, found.box, ranges, seq)
end

--- The same in the order of a sort.
-- @treturn table set; or nil, err
function answers.in_order(pump, found, seq, command)
  local numbers = found.numbers
  for _, text in ipairs(found.texts) do
    local most = set.most(found.box)
    local more = core.seqset_list(text, most)
    if not more or #numbers + #more > most then
      return nil, answers.broken(pump, command, "more messages than there are")
    end
    for _, number in ipairs(more) do numbers[#numbers + 1] = number end
  end
  return set.sorted(pump, found.box, numbers, seq)
end

-- A range of the results: `all` of it is the set, nil where there are none.
local function partial_of(pump, found, form)
  local text = found.partial and found.partial.all
  local part = answers.new(found.box)
  part.texts[1] = text
  return form(pump, part)
end

--- The table that a search with RETURN gives.
-- @tparam table pump
-- @tparam table found
-- @tparam table want name → true
-- @tparam function form `as_set` or `in_order`, of (pump, found)
-- @treturn table; or nil, err
function answers.as_table(pump, found, want, form)
  local result, err = { modseq = found.modseq, relevancy = found.relevancy, saved = want.save }, nil
  if found.listed and not found.answered or want.all then
    result.all, err = form(pump, found)
    if err then return nil, err end
  end
  local all = result.all
  if found.listed and not found.answered then
    result.count, result.min, result.max = #all, all[1], all[#all]
    if want.sorted then -- MIN and MAX of a sort are its first and last (RFC 5267 §3.1)
      result.min, result.max = all[1], all[#all]
    end
  else
    result.count, result.min, result.max = found.count, found.min, found.max
  end
  if want.partial and not found.answered then return nil, answers.broken(pump, "SEARCH", "no range of results") end
  if want.partial then
    result.partial, err = partial_of(pump, found, form)
    result.range = found.partial and found.partial.range
  end
  if err then return nil, err end
  for name in pairs(answers.FIGURES) do
    if not want[name] then result[name] = nil end
  end
  return result
end

return answers
