--- LIMITS (RFC 9422): how many messages a connection takes, how many recipients a message; and servers
-- that say only when it is too late that these were too many (RFC 5321 §4.5.3.1.10).
-- @module mail.smtp.limits

local ascii = require "mail.ascii"
local core = require "mail.core"

local limits = {}

-- Parameters that are no number are passed over, as are unknown ones (RFC 9422 §3).
local function read(text)
  local found = {}
  for name, value in text:gmatch("(%S+)=(%d+)") do
    local n = tonumber(value)
    if n and n > 0 then found[ascii.upper(name)] = n end
  end
  return found
end

--- Learns what the server said in its answer to EHLO. What was sent before counts.
function limits.learn(pump)
  local text = pump.capabilities and pump.capabilities.LIMITS
  local found = text and read(text) or {}
  pump.mail_max, pump.rcpt_max, pump.domain_max = found.MAILMAX, found.RCPTMAX, found.RCPTDOMAINMAX
  pump.limited = (pump.mail_max or pump.rcpt_max or pump.domain_max) ~= nil
end

--- How many more messages the server takes on this connection; nil where it names no number.
function limits.mails_left(pump)
  return pump.mail_max and math.max(0, pump.mail_max - (pump.mails or 0))
end

--- Counts a message that is about to be sent: true; or nil, err where it would be one too many.
function limits.count(pump)
  if not pump.mail_max then return true end
  local sent = pump.mails or 0
  if sent >= pump.mail_max then
    return nil, pump:error("limit", ("the server takes %d messages on a connection (LIMITS MAILMAX)")
      :format(pump.mail_max), { command = "MAIL", temporary = true })
  end
  pump.mails = sent + 1
  return true
end

local function address_of(recipient)
  return type(recipient) == "table" and recipient.address or recipient
end

--- The address of a recipient as receipts name it.
function limits.plain(recipient)
  local text = tostring(address_of(recipient))
  text = text:match("<([^<>]*)>%s*$") or text
  local name, domain = text:match("^(.*@)([^@]*[\128-\255][^@]*)$")
  local label = domain and core.idn(domain)
  return label and name .. label or text
end

local function domain_of(recipient)
  return ascii.lower(limits.plain(recipient):match "@([^@]*)$" or "")
end

-- Recipients by domain, the domains in the order of their first one.
local function by_domain(to)
  local buckets, order = {}, {}
  for i = 1, #to do
    local domain = domain_of(to[i])
    if not buckets[domain] then
      buckets[domain] = {}
      order[#order + 1] = domain
    end
    local bucket = buckets[domain]
    bucket[#bucket + 1] = to[i]
  end
  return buckets, order
end

--- Recipients in groups, none larger than the server takes.
-- @tparam Pump pump the session's
-- @param to a recipient, or an array
-- @treturn table array of arrays; or nil where one transaction will do
function limits.split(pump, to)
  local most, domains = pump.rcpt_max, pump.domain_max
  if type(to) ~= "table" or to.address or not (most or domains) then return nil end
  if (not most or #to <= most) and not domains then return nil end
  local buckets, order = by_domain(to)
  if (not most or #to <= most) and #order <= domains then return nil end
  if not domains then buckets, order = { all = to }, { "all" } end
  local groups, group, count = {}, {}, 0
  local function close()
    if #group > 0 then groups[#groups + 1] = group end
    group, count = {}, 0
  end
  for _, domain in ipairs(order) do
    if domains and count == domains then close() end
    count = count + 1
    for _, recipient in ipairs(buckets[domain]) do
      if most and #group == most then
        close()
        count = 1
      end
      group[#group + 1] = recipient
    end
  end
  close()
  return groups
end

--- True where a recipient was refused only because there were too many before it.
-- @tparam table refusal `{code=, enhanced=, text=}`
function limits.is_too_many(refusal)
  local code, enhanced = refusal.code, refusal.enhanced
  if code ~= 452 and code ~= 552 then return false end
  if enhanced then return enhanced == "4.5.3" or enhanced == "5.5.3" end
  return refusal.text ~= nil and ascii.lower(refusal.text):find("too many recipients", 1, true) ~= nil
end

return limits
