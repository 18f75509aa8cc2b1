--- Search criteria: tables to the search keys of RFC 9051 §6.4.4 and of its extensions.
--
--     imap:search { unseen = true, since = "2026-11-01", ["or"] = { { larger = 1e6 }, { from = "bob" } } }
--
-- All that stand in a table must hold. Words are found in any case, and in UTF-8.
--
-- - `seen` `answered` `flagged` `deleted` `draft` `recent`, and `unseen` `unanswered` `unflagged` `undeleted` `undraft`
--   `old`: true or false; `new` = true: recent and unseen; `all` = true
-- - `from` `to` `cc` `bcc` `subject` `body` `text` (anywhere): a string, or an array of strings that must all be in it;
--   `header`: a table of field name to string, or to true where the field must just be there
-- - `before` `on` `since` (when it came to the mailbox), `sent_before` `sent_on` `sent_since` (its Date field),
--   `saved_before` `saved_on` `saved_since` (SAVEDATE): a day, as "2026-11-01", seconds since 1970 or
--   {year=, month=, day=}; the day itself is not before, and is since
-- - `older` `younger`: seconds (WITHIN); `larger` `smaller`: octets
-- - `keyword` `unkeyword`: a flag that is no system flag, or an array of such
-- - `uid`: a set of UIDs; `seq`: of sequence numbers
-- - `["not"]`: a table of criteria; `["or"]`: an array of two or more; entries without a name: tables of criteria
-- - `modseq` (CONDSTORE), `emailid` `threadid` (OBJECTID), `fuzzy` (a table of criteria; SEARCH=FUZZY), `filter` (its
--   name; FILTERS), `savedate_supported` = true; of Gmail `gm_raw` (what one writes into its search field:
--   "has:attachment"), `gm_labels`, `gm_msgid`, `gm_thrid`. What the server lacks is kind "unsupported", and nothing is
--   sent.
--
-- What an extension brings is named in `needs`, so that a server without it is never asked.
-- What comes out is a list of typed arguments for the core, which quotes strings or sends them as
-- literals; no string of the user's is ever pasted into a command here.
-- @module mail.imap.criteria

local ascii = require "mail.ascii"
local set = require "mail.imap.set"

local criteria = {}

-- A character of an atom.
local ATOM = "[^%z\1-\32(){%%*\"\\%]\127-\255]"

local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }
local MONTH_NAMES = {}
for _, name in ipairs(MONTHS) do MONTH_NAMES[ascii.lower(name)] = true end

-- name → key where true, key where false
local FLAGS = {
  all = { "ALL" }, seen = { "SEEN", "UNSEEN" }, unseen = { "UNSEEN", "SEEN" }, answered = { "ANSWERED", "UNANSWERED" },
  unanswered = { "UNANSWERED", "ANSWERED" }, deleted = { "DELETED", "UNDELETED" },
  undeleted = { "UNDELETED", "DELETED" }, draft = { "DRAFT", "UNDRAFT" }, undraft = { "UNDRAFT", "DRAFT" },
  flagged = { "FLAGGED", "UNFLAGGED" }, unflagged = { "UNFLAGGED", "FLAGGED" }, recent = { "RECENT", "OLD" },
  old = { "OLD", "RECENT" }, new = { "NEW" }, savedate_supported = { "SAVEDATESUPPORTED" },
}
local STRINGS = {
  from = "FROM", to = "TO", cc = "CC", bcc = "BCC", subject = "SUBJECT", body = "BODY", text = "TEXT",
  gm_raw = "X-GM-RAW", gm_labels = "X-GM-LABELS",
}
local DATES = {
  before = "BEFORE", on = "ON", since = "SINCE", sent_before = "SENTBEFORE", sent_on = "SENTON",
  sent_since = "SENTSINCE", saved_before = "SAVEDBEFORE", saved_on = "SAVEDON", saved_since = "SAVEDSINCE",
  sentbefore = "SENTBEFORE", senton = "SENTON", sentsince = "SENTSINCE", -- as the standard writes them
}
local NUMBERS = { larger = "LARGER", smaller = "SMALLER", older = "OLDER", younger = "YOUNGER" }
local IDS = { emailid = "EMAILID", threadid = "THREADID" }
local GMAIL = { gm_msgid = "X-GM-MSGID", gm_thrid = "X-GM-THRID" }

-- Capabilities that a criterion wants, any of them (RFC 5032, 7162, 8514, 8474, 6203, 5466).
local NEEDS = {
  older = { "WITHIN" }, younger = { "WITHIN" }, modseq = { "CONDSTORE", "QRESYNC" },
  saved_before = { "SAVEDATE" }, saved_on = { "SAVEDATE" }, saved_since = { "SAVEDATE" },
  savedate_supported = { "SAVEDATE" }, emailid = { "OBJECTID" }, threadid = { "OBJECTID" },
  fuzzy = { "SEARCH=FUZZY" }, filter = { "FILTERS" }, gm_raw = { "X-GM-EXT-1" }, gm_labels = { "X-GM-EXT-1" },
  gm_msgid = { "X-GM-EXT-1" }, gm_thrid = { "X-GM-EXT-1" },
}

-- "1-Nov-2026" from "2026-11-01", seconds since 1970 (UTC), or a table {year=, month=, day=}.
local function date(value)
  if type(value) == "number" then value = os.date("!*t", value) end
  if type(value) == "string" then
    local day, name, year = value:match("^(%d%d?)%-([A-Za-z][A-Za-z][A-Za-z])%-(%d%d%d%d)$")
    if day and MONTH_NAMES[ascii.lower(name)] then return ("%d-%s-%s"):format(tonumber(day), name, year) end
    local y, m, d = value:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)$")
    if not y then return nil end
    value = { year = tonumber(y), month = tonumber(m), day = tonumber(d) }
  end
  if type(value) ~= "table" or not MONTHS[value.month] or not (value.day and value.day >= 1 and value.day <= 31) then
    return nil
  end
  return ("%d-%s-%04d"):format(value.day, MONTHS[value.month], value.year)
end

-- Raised without a place: `criteria.arguments` adds the caller's.
local function bad(name, what)
  error(("imap:search: criterion '%s' must be %s"):format(tostring(name), what), 0)
end

local function put(out, kind, value)
  out[#out + 1] = kind
  out[#out + 1] = value
end

local function text(out, name, value)
  if type(value) ~= "string" then bad(name, "a string, or an array of strings") end
  if value:find("[\128-\255]") then out.utf8 = true end
  put(out, "astring", value)
end

-- A value as an array of values: none at all would be a criterion that nobody meant, and finds everything.
local function array(name, value, what)
  if type(value) ~= "table" then return { value } end
  if value[1] == nil then bad(name, what) end
  return value
end

-- One criterion for each value of a string or an array of strings; all must hold.
local function each(out, name, value, key)
  for _, one in ipairs(array(name, value, "a string, or an array of strings")) do
    put(out, "text", key)
    text(out, name, one)
  end
end

local conjunction

-- One table in brackets, so that it is a single key for OR and NOT.
local function group(out, name, value)
  if type(value) ~= "table" then bad(name, "a table of criteria") end
  put(out, "open", true)
  if conjunction(out, value) == 0 then put(out, "text", "ALL") end
  put(out, "close", true)
end

local special = {}

special["not"] = function(out, name, value)
  put(out, "text", "NOT")
  group(out, name, value)
end

-- OR takes two keys: OR a OR b c.
special["or"] = function(out, name, value)
  if type(value) ~= "table" or #value < 2 then bad(name, "an array of two or more tables") end
  for i = 1, #value - 1 do
    put(out, "text", "OR")
    group(out, name, value[i])
  end
  group(out, name, value[#value])
end

function special.header(out, name, value)
  if type(value) ~= "table" or next(value) == nil then bad(name, "a table: header name to text") end
  for header, wanted in pairs(value) do
    if type(header) ~= "string" or type(wanted) ~= "string" and wanted ~= true then
      bad(name, "a table: header name to text, or to true")
    end
    put(out, "text", "HEADER")
    text(out, name, header)
    text(out, name, wanted == true and "" or wanted)
  end
end

local function keyword(key)
  return function(out, name, value)
    for _, one in ipairs(array(name, value, "a keyword, or an array of keywords")) do
      if type(one) ~= "string" or not one:find("^" .. ATOM .. "+$") then bad(name, "a keyword") end
      put(out, "text", key .. " " .. one)
    end
  end
end
special.keyword = keyword "KEYWORD"
special.unkeyword = keyword "UNKEYWORD"

-- What a set is checked against when the search is sent.
local function note_set(out, value, seq)
  out.sets = out.sets or {}
  out.sets[#out.sets + 1] = { value = value, seq = seq }
end

-- An empty set is a key too: nothing is in it.
local function numbers(key, seq)
  return function(out, name, value)
    local canonical, why = set.text(value)
    if not canonical then bad(name, "a set: " .. tostring(why)) end
    note_set(out, value, seq)
    if canonical == "" then return put(out, "text", "NOT ALL") end
    if key then put(out, "text", key) end
    put(out, "set", canonical)
  end
end
special.uid = numbers("UID", false)
special.seq = numbers(nil, true)

-- FUZZY takes one key (RFC 6203 §3).
function special.fuzzy(out, name, value)
  put(out, "text", "FUZZY")
  group(out, name, value)
end

-- A filter kept on the server, by its name (RFC 5466 §3.1).
function special.filter(out, name, value)
  local sound = type(value) == "string" and value:find("^" .. ATOM .. "+$") and not value:find("/", 1, true)
  if not sound then bad(name, "a filter's name") end
  put(out, "text", "FILTER " .. value)
end

local METADATA_TYPES = { priv = true, shared = true, all = true }

-- MODSEQ [entry-name SP entry-type-req] SP mod-sequence-valzer (RFC 7162 §3.1.5)
function special.modseq(out, name, value)
  local entry = ""
  if type(value) == "table" then
    local flag, kind = value.flag, value.type or "all"
    if type(flag) ~= "string" or not flag:find("^\\?" .. ATOM .. "+$") or not METADATA_TYPES[kind] then
      bad(name, "a whole number, or { modseq =, flag =, type = 'priv', 'shared' or 'all' }")
    end
    entry, value = ('"/flags/%s" %s '):format(flag:gsub("\\", "\\\\"), kind), value.modseq
  end
  if type(value) == "string" and value:find("^%d+$") then return put(out, "text", "MODSEQ " .. entry .. value) end
  if type(value) ~= "number" or value < 0 or value % 1 ~= 0 then bad(name, "a whole number") end
  put(out, "text", ("MODSEQ %s%.0f"):format(entry, value))
end

-- An identifier as the server gave it (RFC 8474 §4).
local function identifier(out, name, value)
  for _, one in ipairs(type(value) == "table" and value or { value }) do
    if type(one) ~= "string" or not one:find("^[A-Za-z0-9_%-]+$") or #one > 255 then bad(name, "an identifier") end
    put(out, "text", IDS[name] .. " " .. one)
  end
end

-- Numbers of Gmail's, which pass what a float can hold.
local function gmail_number(out, name, value)
  if type(value) == "number" and value >= 0 and value % 1 == 0 then value = ("%.0f"):format(value) end
  if type(value) ~= "string" or not value:find("^%d+$") then bad(name, "a whole number, or its digits") end
  put(out, "text", GMAIL[name] .. " " .. value)
end

for name in pairs(IDS) do special[name] = identifier end
for name in pairs(GMAIL) do special[name] = gmail_number end

-- One criterion by its name.
local function criterion(out, name, value)
  local flag = FLAGS[name]
  if NEEDS[name] then
    out.needs = out.needs or {}
    out.needs[name] = NEEDS[name]
  end
  if flag then
    local key = flag[value and 1 or 2]
    if not key or type(value) ~= "boolean" then bad(name, flag[2] and "true or false" or "true") end
    put(out, "text", key)
  elseif STRINGS[name] then
    each(out, name, value, STRINGS[name])
  elseif DATES[name] then
    local day = date(value)
    if not day then bad(name, "a date: '2026-11-01', seconds since 1970, or {year=, month=, day=}") end
    put(out, "text", DATES[name] .. " " .. day)
  elseif NUMBERS[name] then
    if type(value) ~= "number" or value < 0 or value % 1 ~= 0 then bad(name, "a whole number") end
    put(out, "text", NUMBERS[name])
    put(out, "number", value)
  elseif special[name] then
    special[name](out, name, value)
  else
    error(("imap:search: unknown criterion '%s'"):format(tostring(name)), 0)
  end
end

-- All criteria of a table, in a stable order; how many there were.
function conjunction(out, tree)
  out.depth = (out.depth or 0) + 1
  if out.depth > 50 then error("imap:search: criteria are nested too deeply", 0) end
  local names, count = {}, 0
  for name in pairs(tree) do
    if type(name) ~= "number" then names[#names + 1] = name end
  end
  table.sort(names, function(a, b) return ascii.before(tostring(a), tostring(b)) end)
  for _, name in ipairs(names) do
    criterion(out, name, tree[name])
    count = count + 1
  end
  for _, sub in ipairs(tree) do
    group(out, "1", sub)
    count = count + 1
  end
  out.depth = out.depth - 1
  return count
end

--- The typed arguments of a search.
-- @tparam ?table|string tree criteria (all must hold; array entries are further tables), or search
--   keys as the standard writes them; nil and {} mean all
-- @tparam number level whose line is blamed
-- @treturn table pairs of type and value; fields: `utf8` says that a charset must be named, `needs` is
--   criterion → array of capabilities of which one is wanted, `sets` what `mail.imap.set` must check
function criteria.arguments(tree, level)
  local out = {}
  if type(tree) == "string" then
    put(out, "text", tree)
    return out
  elseif tree ~= nil and type(tree) ~= "table" then
    error("imap:search: a table of criteria expected, got " .. type(tree), level + 1)
  end
  local ok, count = pcall(conjunction, out, tree or {})
  if not ok then error(count, level + 1) end
  if count == 0 then put(out, "text", "ALL") end
  return out
end

return criteria
