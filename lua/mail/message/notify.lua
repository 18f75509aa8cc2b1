--- Reports about a message: delivery status (RFC 3464), disposition notifications (RFC 8098).
--
-- Both are multipart/report (RFC 6522): words for people, fields for programs, and the message or its header.
-- Their envelope's sender is empty, so that no report answers a report.
-- @module mail.message.notify

local letters = require "mail.ascii"
local compose = require "mail.message.compose"
local core = require "mail.core"
local Err = require "mail.err"
local fields = require "mail.message.fields"
local parts = require "mail.message.parts"
local want = require "mail.want"

local report = {}

local misuse = fields.misuse

local function invalid(message, ...)
  return nil, Err.new { kind = "invalid", message = message:format(...) }
end

-- --- fields for programs --------------------------------------------------------------------------

-- One block of fields, each `{name, value}`; values that are nil are left out.
local function block(list)
  local out = {}
  for _, field in ipairs(list) do
    if field[2] ~= nil then
      local line, why = core.header_text(field[1], letters.text(field[2]))
      if not line then return invalid("field '%s': %s", field[1], why) end
      out[#out + 1] = line
    end
  end
  return table.concat(out)
end

-- "rfc822; ann@example.com": with its type, unless that stands there; UTF-8 by RFC 6533 §3.
local function typed(kind, value)
  if value == nil or value:find "^%s*[A-Za-z0-9-]+%s*;" then return value end
  if kind == "rfc822" and value:find "[\128-\255]" then kind = "utf-8" end
  return kind .. "; " .. value
end

local function date(value)
  if type(value) ~= "number" then return value end
  return core.date_format(value, 0)
end

-- --- the original ---------------------------------------------------------------------------------

local function raw_of(original)
  if original == nil or type(original) == "string" then return original end
  if type(original.tostring) ~= "function" then misuse "option 'original' must be a message or its text" end
  return original:tostring()
end

local function header_of(raw)
  local _, last = raw:find "\r?\n\r?\n"
  return last and raw:sub(1, last):gsub("\r?\n$", "") or raw
end

-- The third part: the message, or its header only; nil where neither is known.
local function original_part(original, whole)
  local raw, err = raw_of(original)
  if raw == nil then return nil, err end
  if whole then
    local part
    part, err = parts.attachment({ message = raw }, "original")
    return part, err
  end
  local head = core.encoder("7bit", true):put(header_of(raw))
  local ascii = not head:find "[\128-\255]" and not head:find("\0", 1, true)
  if ascii then return parts.ascii("text/rfc822-headers", head) end
  return parts.ascii("message/global-headers", core.is_utf8(head) and head or core.to_utf8(head))
end

local function build(options, kind, human, machine, original, whole)
  local text, err = parts.text("plain", human, nil, "text")
  if not text then return nil, err end
  local list = { text, parts.ascii("message/" .. kind, machine) }
  list[3], err = original_part(original, whole)
  if err then return nil, err end
  local body = parts.multipart("report", list, { "report-type", kind }, true)
  options.custom = options.custom or {}
  return compose.build(options, body, true)
end

-- The message's own fields: from, to, subject and the like, with the user's headers.
local function envelope_fields(options, subject, auto)
  local own = {
    from = options.from, to = options.to, subject = options.subject or subject, date = options.date,
    message_id = options.message_id, in_reply_to = options.in_reply_to, references = options.references,
  }
  local custom, err = fields.custom(options.headers or {}, own, "headers")
  if not custom then return nil, err end
  table.insert(custom, 1, { "Auto-Submitted", "tokens", auto })
  own.custom = custom
  return own
end

local COMMON = {
  from = "string|table", to = "string|table", subject = "string?", text = "string?", date = "number|string?",
  message_id = "string?", in_reply_to = "string|table?", references = "string|table?", headers = "table?",
  original = "any",
}

local function with_common(spec)
  for name, kinds in pairs(COMMON) do spec[name] = kinds end
  return spec
end

-- --- delivery status ------------------------------------------------------------------------------

local DELIVERY = with_common {
  reporting_mta = "string", received_from_mta = "string?", arrival_date = "number|string?", envid = "string?",
  recipients = "table", ["return"] = "string?",
}

local RECIPIENT = {
  final_recipient = "string", original_recipient = "string?", action = "string", status = "string",
  diagnostic = "string?", remote_mta = "string?", last_attempt_date = "number|string?", log_id = "string?",
  will_retry_until = "number|string?", diagnostic_type = "string?",
}

local ACTIONS = { failed = true, delayed = true, delivered = true, relayed = true, expanded = true }

-- per-recipient-fields (RFC 3464 §2.3)
local function recipient_block(r)
  if not ACTIONS[r.action] then misuse("recipients: unknown action '%s'", r.action) end
  if not r.status:find "^[245]%.%d%d?%d?%.%d%d?%d?$" then return invalid("recipients: bad status '%s'", r.status) end
  return block {
    { "Original-Recipient", typed("rfc822", r.original_recipient) },
    { "Final-Recipient", typed("rfc822", r.final_recipient) }, { "Action", r.action }, { "Status", r.status },
    { "Remote-MTA", typed("dns", r.remote_mta) },
    { "Diagnostic-Code", typed(r.diagnostic_type or "smtp", r.diagnostic) },
    { "Last-Attempt-Date", date(r.last_attempt_date) }, { "Final-Log-ID", r.log_id },
    { "Will-Retry-Until", date(r.will_retry_until) },
  }
end

local WORDS = {
  failed = "Your message could not be delivered to:", delayed = "Your message has not been delivered yet to:",
  delivered = "Your message was delivered to:", expanded = "Your message was delivered to a list:",
  relayed = "Your message was passed on to a server that sends no reports, for:",
}
local SUBJECTS = { failed = "Undelivered mail", delayed = "Delayed mail", delivered = "Delivered mail" }

local function delivery_words(options)
  if options.text then return options.text end
  local out = { "This is the mail system at " .. options.reporting_mta .. ".\n" }
  for _, r in ipairs(options.recipients) do
    out[#out + 1] = ("%s\n\n  %s\n"):format(WORDS[r.action], r.final_recipient)
    if r.diagnostic then out[#out + 1] = "    " .. r.diagnostic .. "\n" end
  end
  return table.concat(out, "\n")
end

local function delivery(options)
  local machine, err = block {
    { "Original-Envelope-Id", options.envid }, { "Reporting-MTA", typed("dns", options.reporting_mta) },
    { "Received-From-MTA", typed("dns", options.received_from_mta) }, { "Arrival-Date", date(options.arrival_date) },
  }
  if not machine then return nil, err end
  for _, r in ipairs(options.recipients) do
    local one
    one, err = recipient_block(r)
    if not one then return nil, err end
    machine = machine .. "\r\n" .. one
  end
  local own
  own, err = envelope_fields(options, SUBJECTS[options.recipients[1].action] or "Mail status", "auto-replied")
  if not own then return nil, err end
  return build(own, "delivery-status", delivery_words(options), machine, options.original, options["return"] == "full")
end

--- A delivery status notification (RFC 3464).
-- @tparam table options `from`, `to` (the sender of the original), `reporting_mta`, `recipients`: array of
--   `{final_recipient=, action= "failed" | "delayed" | "delivered" | "relayed" | "expanded", status= "5.1.1"}` with
--   `diagnostic` (the server's words), `remote_mta`, `original_recipient`, `last_attempt_date`,
--   `will_retry_until`, `log_id`; `original`: the message or its text, `return`: "hdrs" (default) or "full";
--   `arrival_date`, `envid`, `received_from_mta`, `text` (words for people), `subject`, `headers`
-- @treturn table a composed message whose envelope has no sender; or nil, err
function report.delivery_status(options)
  local what = "mail.message.delivery_status"
  want(options, DELIVERY, what)
  if #options.recipients == 0 then error(what .. ": option 'recipients' is empty", 2) end
  for i, r in ipairs(options.recipients) do want(r, RECIPIENT, ("%s: recipients[%d]"):format(what, i)) end
  local made, err = fields.guard(3, what, delivery, options)
  return made, err
end

-- --- disposition ----------------------------------------------------------------------------------

local DISPOSITION = with_common {
  final_recipient = "string", original_recipient = "string?", original_message_id = "string?", type = "string?",
  automatic = "boolean?", sent_automatically = "boolean?", reporting_ua = "string?", gateway = "string?",
  modifier = "string?", errors = "string?",
}

local TYPES = { displayed = true, deleted = true, dispatched = true, processed = true }

-- disposition-notification-content (RFC 8098 §3.1)
local function disposition(options)
  local kind = options.type or "displayed"
  if not TYPES[kind] then misuse("unknown disposition '%s'", kind) end
  local id = options.original_message_id
  if id == nil and type(options.original) == "table" then id = options.original:header "Message-ID" end
  local ids, err = fields.ids(id or {}, "original_message_id")
  if not ids then return nil, err end
  local modes = (options.automatic and "automatic-action" or "manual-action") .. "/"
    .. (options.sent_automatically and "MDN-sent-automatically" or "MDN-sent-manually")
  local machine
  machine, err = block {
    { "Reporting-UA", options.reporting_ua }, { "MDN-Gateway", typed("dns", options.gateway) },
    { "Original-Recipient", typed("rfc822", options.original_recipient) },
    { "Final-Recipient", typed("rfc822", options.final_recipient) }, { "Original-Message-ID", ids[1] },
    { "Disposition", modes .. "; " .. kind .. (options.modifier and "/" .. options.modifier or "") },
    { "Error", options.errors },
  }
  if not machine then return nil, err end
  local own
  own, err = envelope_fields(options, "Disposition notification", "auto-replied")
  if not own then return nil, err end
  if own.in_reply_to == nil then own.in_reply_to = ids[1] end
  if own.references == nil then own.references = ids[1] end
  local words = options.text
    or ("The message that you sent to %s was %s. This is no promise that it was read or understood.\n")
      :format(options.final_recipient, kind)
  return build(own, "disposition-notification", words, machine, options.original, false)
end

--- A disposition notification: a receipt (RFC 8098), for whom Disposition-Notification-To names.
-- @tparam table options `from`, `to`, `final_recipient`; `type`: "displayed" (default), "deleted", "dispatched",
--   "processed"; `original`: the message or its text; `original_message_id`, `original_recipient`,
--   `reporting_ua`, `automatic` and `sent_automatically` (default: by hand), `modifier`, `errors`, `text`,
--   `subject`, `headers`
-- @treturn table a composed message whose envelope has no sender; or nil, err
function report.disposition(options)
  local what = "mail.message.disposition"
  want(options, DISPOSITION, what)
  local made, err = fields.guard(3, what, disposition, options)
  return made, err
end

return report
