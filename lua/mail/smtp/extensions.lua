--- What extensions add to MAIL and RCPT.
--
-- Each looks whether the server has the extension, and what it says about it, before anything is sent:
-- what is lacking is kind "unsupported", what cannot be said kind "invalid". The core refuses CR, LF and
-- NUL in what is made here.
-- @module mail.smtp.extensions

local ascii = require "mail.ascii"
local xtext = require "mail.smtp.xtext"

local extensions = {}

--- The options of `send` that are handled here, with their types.
extensions.OPTIONS = {
  dsn = "table?", require_tls = "boolean?", deliver_by = "number|table?", hold_for = "number?",
  hold_until = "number|string?", priority = "number?", auth = "string?",
}

local NOTIFY = { never = "NEVER", success = "SUCCESS", failure = "FAILURE", delay = "DELAY" }
local RET = { full = "FULL", hdrs = "HDRS" }

local function is_whole(n)
  return n % 1 == 0 and n > -1e15 and n < 1e15
end

-- --- one function for each: adds to `mail` or `rcpt`; true, or nil, kind, reason -----------------------

local function lacks(name)
  return nil, "unsupported", "the server lacks " .. name
end

-- NOTIFY (RFC 3461 §4.1).
local function notify(value)
  local words = {}
  for _, when in ipairs(type(value) == "string" and { value } or value) do
    local word = NOTIFY[ascii.lower(tostring(when))]
    if not word then return nil, "invalid", "notify: unknown '" .. tostring(when):gsub("[%z\1-\31\127]", "?") .. "'" end
    words[#words + 1] = word
  end
  local joined = table.concat(words, ",")
  if #words > 1 and joined:find("NEVER", 1, true) then return nil, "invalid", "notify: 'never' stands alone" end
  return joined
end

-- DSN (RFC 3461 §4).
local function dsn(has, value, mail, rcpt)
  if not has.DSN then return lacks "DSN" end
  if value.ret then
    local ret = RET[ascii.lower(tostring(value.ret))]
    if not ret then return nil, "invalid", "dsn.ret must be 'full' or 'hdrs'" end
    mail[#mail + 1] = "RET=" .. ret
  end
  if value.envid then
    local id = tostring(value.envid)
    if not xtext.is_printable(id) then return nil, "invalid", "dsn.envid must be printable ASCII" end
    if #id > 100 then return nil, "invalid", "dsn.envid is longer than 100 octets" end
    mail[#mail + 1] = "ENVID=" .. xtext.encode(id)
  end
  if value.notify then
    local words, kind, why = notify(value.notify)
    if not words then return nil, kind, why end
    if words ~= "" then rcpt[#rcpt + 1] = "NOTIFY=" .. words end
  end
  return true
end

-- REQUIRETLS (RFC 8689 §4.2.1): the link to this server has to be as good as the ones behind it.
local function require_tls(has, _, mail, _, pump)
  if not pump:is_secure() or not pump.verified then
    return nil, "tls", "REQUIRETLS needs a link whose certificate was verified"
  end
  if not has.REQUIRETLS then return lacks "REQUIRETLS" end
  mail[#mail + 1] = "REQUIRETLS"
  return true
end

-- DELIVERBY (RFC 2852 §4): seconds, or {seconds=, mode = "return" | "notify", trace=}.
local function deliver_by(has, by, mail)
  if not has.DELIVERBY then return lacks "DELIVERBY" end
  if type(by) == "number" then by = { seconds = by } end
  local seconds, mode = by.seconds, by.mode or "notify"
  if type(seconds) ~= "number" or not is_whole(seconds) or math.abs(seconds) > 999999999 then
    return nil, "invalid", "deliver_by: whole seconds of at most nine digits"
  end
  if mode ~= "return" and mode ~= "notify" then
    return nil, "invalid", "deliver_by.mode must be 'return' or 'notify'"
  end
  local least = tonumber(has.DELIVERBY:match("^%s*(%d+)"))
  if mode == "return" and seconds <= 0 then
    return nil, "invalid", "deliver_by: to return a message takes more than 0 seconds"
  end
  if mode == "return" and least and seconds < least then
    return nil, "unsupported", ("the server returns no message in less than %.0f seconds"):format(least)
  end
  mail[#mail + 1] = ("BY=%d;%s%s"):format(seconds, mode == "return" and "R" or "N", by.trace and "T" or "")
  return true
end

-- FUTURERELEASE (RFC 4865 §3, §4).
local function hold_for(has, seconds, mail)
  if not has.FUTURERELEASE then return lacks "FUTURERELEASE" end
  if not is_whole(seconds) or seconds < 1 or seconds > 999999999 then
    return nil, "invalid", "hold_for: whole seconds, from 1 to nine digits"
  end
  local most = tonumber(has.FUTURERELEASE:match("^%s*(%d+)"))
  if most and seconds > most then
    return nil, "unsupported", ("the server holds a message for at most %d seconds"):format(most)
  end
  mail[#mail + 1] = ("HOLDFOR=%d"):format(seconds)
  return true
end

local function hold_until(has, moment, mail)
  if not has.FUTURERELEASE then return lacks "FUTURERELEASE" end
  local text, why = xtext.time(moment)
  if not text then return nil, "invalid", "hold_until: " .. why end
  local last = has.FUTURERELEASE:match("^%s*%d+%s+(%S+)")
  -- Both in UTC are ordered as texts are.
  if last and last:sub(-1) == "Z" and text:sub(-1) == "Z" and text:sub(1, 19) > last:sub(1, 19) then
    return nil, "unsupported", "the server holds no message beyond " .. last
  end
  mail[#mail + 1] = "HOLDUNTIL=" .. text
  return true
end

-- MT-PRIORITY (RFC 6710 §5).
local function priority(has, value, mail)
  if not has["MT-PRIORITY"] then return lacks "MT-PRIORITY" end
  if not is_whole(value) or value < -9 or value > 9 then
    return nil, "invalid", "priority must be a whole number from -9 to 9"
  end
  mail[#mail + 1] = ("MT-PRIORITY=%d"):format(value)
  return true
end

-- AUTH= on MAIL (RFC 4954 §5): who submitted the message; "<>" where that is not known.
local function submitter(has, value, mail)
  if not has.AUTH then return lacks "AUTH" end
  if value == "" or not xtext.is_printable(value) then
    return nil, "invalid", "auth must be an address in ASCII, or '<>'"
  end
  mail[#mail + 1] = "AUTH=" .. (value == "<>" and value or xtext.encode(value))
  return true
end

-- In the order of the standards' numbers, so that a command line is always the same.
local MAIL = {
  { "deliver_by", deliver_by }, { "dsn", dsn }, { "hold_for", hold_for }, { "hold_until", hold_until },
  { "auth", submitter }, { "priority", priority }, { "require_tls", require_tls },
}

-- --- recipients ------------------------------------------------------------------------------------

-- RRVS (RFC 7293 §3): a time, or {since=, action = "continue" | "reject"}.
local function rrvs(has, value, list)
  if not has.RRVS then return lacks "RRVS" end
  if type(value) ~= "table" then value = { since = value } end
  if type(value.since) ~= "number" and type(value.since) ~= "string" then
    return nil, "invalid", "rrvs: a time is missing"
  end
  local text, why = xtext.time(value.since)
  if not text then return nil, "invalid", "rrvs: " .. why end
  local action = value.action
  if action ~= nil and action ~= "continue" and action ~= "reject" then
    return nil, "invalid", "rrvs.action must be 'continue' or 'reject'"
  end
  list[#list + 1] = "RRVS=" .. text .. (action and ";" .. ascii.upper(action:sub(1, 1)) or "")
  return true
end

-- What is said of one recipient only, in the place of the NOTIFY for all.
local function own_parameters(has, recipient, common)
  local list = {}
  if recipient.notify ~= nil or recipient.orcpt then
    if not has.DSN then return lacks "DSN" end
  end
  if recipient.notify ~= nil then
    local words, kind, why = notify(recipient.notify)
    if not words then return nil, kind, why end
    if words ~= "" then list[1] = "NOTIFY=" .. words end
  elseif common then
    list[1] = common
  end
  if recipient.orcpt then
    local text, why = xtext.original(recipient.orcpt == true and recipient.address or recipient.orcpt)
    if not text then return nil, "invalid", why end
    list[#list + 1] = "ORCPT=" .. text
  end
  if recipient.rrvs ~= nil then
    local ok, kind, why = rrvs(has, recipient.rrvs, list)
    if not ok then return nil, kind, why end
  end
  return #list > 0 and " " .. table.concat(list, " ") or ""
end

local RECIPIENT = { notify = "string table", orcpt = "string boolean", rrvs = "number string table" }

-- Raises where a recipient's parameters are of a wrong type: a bug in the program.
local function check_recipient(recipient, level)
  for name, kinds in pairs(RECIPIENT) do
    local value = recipient[name]
    if value ~= nil and not kinds:find(type(value), 1, true) then
      error(("smtp:send: '%s' of a recipient must be %s, got %s"):format(name, kinds:gsub(" ", " or "), type(value)),
        level + 1)
    end
  end
  if type(recipient.address) ~= "string" then error("smtp:send: option 'to': a recipient has no address", level + 1) end
end

-- True where the recipient says more than an address.
local function says_more(recipient)
  return type(recipient) == "table"
    and (recipient.notify ~= nil or recipient.orcpt ~= nil or recipient.rrvs ~= nil)
end

-- The recipients in the core's form: {address=, params=} where one has parameters of its own.
local function recipients(has, to, common, level)
  if type(to) ~= "table" then return to end
  if to.address then to = { to } end
  local list = {}
  for i = 1, #to do
    local one = to[i]
    if says_more(one) then
      check_recipient(one, level + 1)
      local params, kind, why = own_parameters(has, one, common)
      if not params then return nil, kind, why end
      list[i] = { address = one.address, params = params }
    else
      list[i] = one
    end
  end
  return list
end

-- --- all together ---------------------------------------------------------------------------------

--- The parameters of MAIL and of all RCPT, and the recipients with their own.
-- @tparam Pump pump the session's
-- @tparam table options of send
-- @param to the recipients
-- @tparam number level whose line is blamed for a wrong type
-- @treturn table `{mail=, rcpt=, to=}`, each text empty or with a space in front; or nil, err
function extensions.parameters(pump, options, to, level)
  local has, mail, rcpt = pump.capabilities, {}, {}
  if options.hold_for and options.hold_until then
    error("smtp:send: 'hold_for' and 'hold_until' exclude each other", level + 1)
  end
  for _, entry in ipairs(MAIL) do
    local value = options[entry[1]]
    if value then
      local ok, kind, why = entry[2](has, value, mail, rcpt, pump)
      if not ok then return nil, pump:error(kind, why, { command = "MAIL" }) end
    end
  end
  local list, kind, why = recipients(has, to, rcpt[1], level + 1)
  if list == nil and kind then return nil, pump:error(kind, why, { command = "RCPT" }) end
  return {
    mail = #mail > 0 and " " .. table.concat(mail, " ") or nil, rcpt = rcpt[1] and " " .. rcpt[1] or nil, to = list,
  }
end

return extensions
