--- What a server says with NO, BAD or BYE, as the fields of an error (RFC 5530, RFC 9051 §7.1).
--
-- `response_code` is the code, in upper case; `response_value` its arguments: a number (HIGHESTMODSEQ,
-- APPENDLIMIT), `{limit=, uid=}` (MESSAGELIMIT), a set in the standard's form (MODIFIED), an array (REFERRAL, BADEVENT,
-- BADCHARSET), a table (METADATA and ANNOTATE: `maxsize=`, `longentries=`, `toomany=`, `noprivate=`, `toobig=`;
-- APPENDUID, COPYUID), or the text as it came (BADURL and what nobody knows).
-- Beside these: `retry_after` (seconds, where the server suggests them), `referral` and `referrals` (URLs; never
-- followed), `alert` (what the user must be shown), `append_limit` (octets).
-- @module mail.imap.refusal

local ascii = require "mail.ascii"

local refusal = {}

-- Codes of servers that may say otherwise later.
local PASSING = {
  UNAVAILABLE = true, INUSE = true, ["IN-USE"] = true, LIMIT = true, THROTTLED = true, EXPUNGEISSUED = true,
  TEMPFAIL = true, ["SYS/TEMP"] = true, NOTIFICATIONOVERFLOW = true,
}

-- How many alerts are kept for who asks late.
local ALERTS = 32

local UNITS = { millisecond = 0.001, second = 1, minute = 60, hour = 3600 }

-- Words that come with a number: "Suggested Backoff Time: 299961 milliseconds" (Exchange), "try again in 5 minutes".
local PATTERNS = {
  "[Bb]ackoff [Tt]ime: *(%d+) *([A-Za-z]+)", "[Tt]ry again in *(%d+) *([A-Za-z]+)",
  "[Rr]etry after *(%d+) *([A-Za-z]+)",
  "[Rr]etry in *(%d+) *([A-Za-z]+)", "[Tt]ry again after *(%d+) *([A-Za-z]+)",
}

--- The seconds that a server asks to wait, from its words; nil where it does not.
function refusal.retry_after(text)
  for _, pattern in ipairs(PATTERNS) do
    local number, unit = (text or ""):match(pattern)
    unit = unit and UNITS[(ascii.lower(unit):gsub("s$", ""))]
    if unit then return math.min(tonumber(number) * unit, 86400) end
  end
end

--- True where the words are those of a server that will say otherwise later.
function refusal.is_passing(code, text)
  if PASSING[code] or refusal.retry_after(text) then return true end
  return ascii.lower(text or ""):find("throttled", 1, true) ~= nil
end

--- The number behind APPENDLIMIT= in the capabilities (RFC 7889); nil where there is none, or each mailbox has its own.
function refusal.append_limit(session)
  for name in pairs(session:capability_set()) do
    local limit = name:match "^APPENDLIMIT=(%d+)$"
    if limit then return tonumber(limit) end
  end
end

-- A code of one URL or several; one that came raw is none.
local function referrals(value)
  return type(value) == "table" and type(value[1]) == "string" and value or nil
end

--- Adds to the fields of an error what code and words mean.
-- @tparam Pump pump
-- @tparam table fields `command`, and what is known already
-- @tparam ?string code
-- @tparam ?any value the code's arguments
-- @tparam ?string text
-- @treturn table fields
function refusal.fields(pump, fields, code, value, text)
  fields.response_code, fields.response_value, fields.text = code, value, text
  fields.retry_after = refusal.retry_after(text)
  if refusal.is_passing(code, text) then fields.temporary = true end
  if code == "REFERRAL" and referrals(value) then
    fields.referral, fields.referrals = value[1], value
  elseif code == "ALERT" then
    fields.alert = text
  end
  if fields.command == "APPEND" and (code == "TOOBIG" or code == "LIMIT" or code == "APPENDLIMIT") then
    fields.append_limit = tonumber(value) or refusal.append_limit(pump.session)
  end
  return fields
end

--- Keeps an alert for `session.alerts` and for the errors of calls that run now.
function refusal.keep_alert(pump, text)
  pump.alerts = pump.alerts or {}
  pump.alert_count = (pump.alert_count or 0) + 1
  if #pump.alerts >= ALERTS then table.remove(pump.alerts, 1) end
  pump.alerts[#pump.alerts + 1] = text
end

--- What came with an OK: a referral (RFC 2221 §4.1: the user's own mailboxes are elsewhere) is kept as
-- `session.referral`.
function refusal.accepted(pump, code, value)
  if code == "REFERRAL" and referrals(value) then pump.referral = value[1] end
end

return refusal
