--- Reports for programs: delivery status (RFC 3464), disposition notifications (RFC 8098), abuse reports (ARF,
-- RFC 5965), and bodies that lie elsewhere (message/external-body, RFC 2046 §5.2.3).
--
-- A report's fields are a table: names in lower case with `_` for `-`, values decoded, on one line.
-- @module mail.message.report

local ascii = require "mail.ascii"
local core = require "mail.core"
local part = require "mail.message.part"

local Part = part.methods

-- --- fields ---------------------------------------------------------------------------------------

-- True where `name` begins the group of the next recipient although no empty line says so: mailers leave it out.
local function opens(name, group, opener)
  return name == opener and (group[opener] or group.reporting_mta)
end

-- The groups of fields in a text, an empty line between them.
local function groups(text, opener)
  local list = {}
  for block in (text .. "\n\n"):gmatch("(.-)\n%s*\n") do
    local group
    for _, field in ipairs(block:find("%S") and core.header_fields(block .. "\n\n") or {}) do
      local name = ascii.lower(field.name):gsub("-", "_")
      if not group or opens(name, group, opener) then
        group = {}
        list[#list + 1] = group
      end
      if name ~= "" and group[name] == nil then group[name] = field.value end
    end
  end
  return list
end

-- "rfc822; ann@example.org" → the address, and its type in lower case.
local function typed(value)
  if not value then return nil end
  local kind, rest = value:match("^%s*([A-Za-z0-9%-]+)%s*;%s*(.*)$")
  if not kind then return value end
  return rest, ascii.lower(kind)
end

local function find(self, types)
  for p in self:walk() do
    if types[p.type] then return p end
  end
end

-- --- delivery status ------------------------------------------------------------------------------

local STATUS = { ["message/delivery-status"] = true, ["message/global-delivery-status"] = true }

local ACTIONS = { failed = true, delayed = true, delivered = true, relayed = true, expanded = true }

local function recipient(fields)
  local action = ascii.lower(fields.action or ""):match("[a-z]+")
  local diagnostic, diagnostic_type = typed(fields.diagnostic_code)
  return {
    address = typed(fields.final_recipient) or typed(fields.original_recipient),
    original = typed(fields.original_recipient),
    action = ACTIONS[action] and action or nil,
    status = (fields.status or ""):match("%d%.%d+%.%d+"),
    diagnostic = diagnostic, diagnostic_type = diagnostic_type,
    code = diagnostic and tonumber(diagnostic:match("^(%d%d%d)")),
    remote_mta = typed(fields.remote_mta),
    last_attempt = fields.last_attempt_date and core.date_parse(fields.last_attempt_date),
    retry_until = fields.will_retry_until and core.date_parse(fields.will_retry_until),
    fields = fields,
  }
end

--- What a delivery report says.
-- @treturn table `{ reporting_mta=, received_from=, envelope_id=, arrival= (epoch), fields=, recipients = {
--   { address=, original=, action="failed"|"delayed"|"delivered"|"relayed"|"expanded", status="5.1.1",
--   diagnostic=, diagnostic_type=, code=550, remote_mta=, last_attempt=, retry_until=, fields= }, … } }`; nil
--   where the message holds none
function Part:delivery_status()
  local p = find(self, STATUS)
  if not p then return nil end
  local list = groups(p._text:text(p._at), "final_recipient")
  local head = list[1] and not list[1].final_recipient and table.remove(list, 1) or {}
  local recipients = {}
  for i, fields in ipairs(list) do recipients[i] = recipient(fields) end
  return {
    reporting_mta = typed(head.reporting_mta), received_from = typed(head.received_from_mta),
    envelope_id = head.original_envelope_id, arrival = head.arrival_date and core.date_parse(head.arrival_date),
    fields = head, recipients = recipients,
  }
end

-- --- disposition notifications --------------------------------------------------------------------

local RECEIPT = {
  ["message/disposition-notification"] = true, ["message/global-disposition-notification"] = true,
}

--- What a notification about the reading of a message says (RFC 8098).
-- @treturn table `{ disposition="displayed"|"deleted"|…, automatic= (boolean), modifiers= (array),
--   address=, original=, message_id=, reporting_ua=, fields= }`; nil where the message holds none
function Part:disposition_notification()
  local p = find(self, RECEIPT)
  if not p then return nil end
  local fields = groups(p._text:text(p._at))[1] or {}
  local modes, rest = (fields.disposition or ""):match("^([^;]*);%s*(.*)$")
  local kind, extra = ascii.lower(rest or ""):match("^([A-Za-z0-9%-]+)%s*/?%s*(.*)$")
  local modifiers = {}
  for word in (extra or ""):gmatch("[^,%s]+") do modifiers[#modifiers + 1] = word end
  return {
    disposition = kind, automatic = ascii.lower(modes or ""):find("automatic-action", 1, true) ~= nil,
    modifiers = modifiers, address = typed(fields.final_recipient), original = typed(fields.original_recipient),
    message_id = fields.original_message_id, reporting_ua = fields.reporting_ua, fields = fields,
  }
end

-- --- abuse reports --------------------------------------------------------------------------------

local FEEDBACK = { ["message/feedback-report"] = true }

--- What an abuse report says (ARF, RFC 5965).
-- @treturn table `{ feedback_type="abuse", user_agent=, source_ip=, mail_from=, rcpt_to=, arrival= (epoch),
--   reported= (the message or the header that it is about, as a part; or nil), fields= }`; nil where the
--   message holds none
function Part:feedback_report()
  local p = find(self, FEEDBACK)
  if not p then return nil end
  local fields = groups(p._text:text(p._at))[1] or {}
  local arrival = fields.arrival_date or fields.received_date
  return {
    feedback_type = fields.feedback_type and ascii.lower(fields.feedback_type), user_agent = fields.user_agent,
    source_ip = fields.source_ip, mail_from = fields.original_mail_from, rcpt_to = fields.original_rcpt_to,
    arrival = arrival and core.date_parse(arrival), reported = self:returned(), fields = fields,
  }
end

local HEADERS_ONLY = { ["text/rfc822-headers"] = true, ["message/rfc822-headers"] = true }

--- The message that a report is about: what it returns of it (RFC 6522 §3), as a message; nil where it
-- returns nothing.
function Part:returned()
  local list = self.parts
  for i = list and #list or 0, 1, -1 do
    local p = list[i]
    if p.type:match("^message/") and p.parts then return p.parts[1] end
    if HEADERS_ONLY[p.type] then return part.new(core.message_parse(p:body() .. "\r\n"), 1) end
  end
  return nil
end

-- --- bodies that lie elsewhere --------------------------------------------------------------------

--- Where a message/external-body says that its body lies. Nothing is fetched.
-- @treturn table `{ access_type="url"|"ftp"|"mail-server"|…, url=, name=, site=, directory=, server=, size=,
--   expiration= (epoch), header= (the header of the body, as a part) }`; nil for other parts
function Part:external_body()
  if self.type ~= "message/external-body" then return nil end
  local p = self.parameters
  return {
    access_type = p["access-type"] and ascii.lower(p["access-type"]), url = p.url and p.url:gsub("%s+", "") or nil,
    name = p.name, site = p.site, directory = p.directory, server = p.server, subject = p.subject,
    size = tonumber(p.size), expiration = p.expiration and core.date_parse(p.expiration) or nil,
    header = part.new(core.message_parse(self:body()), 1),
  }
end

return { groups = groups }
