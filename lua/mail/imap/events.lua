--- What a server says unasked: events and handlers (RFC 9051 §5.2, RFC 5465 §5). Waiting for it is idle.lua's.
-- @module mail.imap.events

local ascii = require "mail.ascii"
local Ranges = require "mail.imap.ranges"
local context = require "mail.imap.context"
local guarded = require "mail.guarded"
local refusal = require "mail.imap.refusal"

local unpack = table.unpack or unpack -- luacheck: ignore

local events = {}

--- The id under which `Pump:wait` gives unsolicited events to a loop that listens without IDLE.
events.LISTEN = -1

local makers = {}

function makers.EXISTS(number) return { type = "exists", exists = number } end
function makers.RECENT(number) return { type = "recent", recent = number } end
function makers.EXPUNGE(number) return { type = "expunge", seq = number } end
function makers.VANISHED(_, value) return { type = "vanished", uids = value.uids, earlier = value.earlier } end
-- Of another mailbox, by NOTIFY (RFC 5465 §5).
function makers.STATUS(_, value)
  local event = { type = "mailbox_status" }
  for name, figure in pairs(value) do event[name] = figure end
  return event
end
function makers.LIST(_, value)
  return {
    type = "mailbox", name = value.name, delimiter = value.delimiter, attributes = value.attributes, extended = value,
  }
end
-- Names of annotations that have changed (RFC 5464 §4.4.2).
function makers.METADATA(_, value)
  if type(value) ~= "table" then value = {} end
  return { type = "metadata", mailbox = value.name, entries = value.entries, values = value.values }
end
function makers.FLAGS(_, value) return { type = "mailbox_flags", flags = value } end

-- An untagged status line: an alert, a report of progress, or a word that a handler may want.
local function status_event(name, code, value, text)
  if code == "INPROGRESS" then
    value = type(value) == "table" and value or {}
    return { type = "progress", done = value.done, goal = value.goal, tag = value.tag, text = text }
  end
  if code == "ALERT" then return { type = "alert", text = text } end
  if code == "NOTIFICATIONOVERFLOW" then return { type = "overflow", text = text } end
  return { type = "status", status = name, code = code, value = value, text = text }
end

--- An event of the core as a table for users; nil where it is none of theirs.
function events.from(kind, a, b, c, d, e, f)
  if kind == "fetch" and not a.flags then
    return { type = "fetch", seq = a.seq, uid = a.uid, modseq = a.modseq, message = a }
  elseif kind == "fetch" then
    return { type = "flags", seq = a.seq, uid = a.uid, flags = a.flags, modseq = a.modseq, message = a }
  elseif kind == "bye" then
    return {
      type = "bye", text = a, code = b, value = c, referral = b == "REFERRAL" and type(c) == "table" and c[1] or nil,
      retry_after = refusal.retry_after(a),
    }
  elseif kind == "untagged" then
    if a == "OK" or a == "NO" or a == "BAD" then return status_event(a, d, e, f) end
    if makers[a] then return makers[a](b, c) end
    return { type = ascii.lower(a), number = b, value = c }
  end
end

-- VANISHED stands for EXPUNGE only where we asked for that (RFC 7162 §3.2.10, RFC 9586 §3).
local function may_vanish(pump)
  local enabled = pump.enabled or {}
  return enabled.QRESYNC or enabled.UIDONLY or false
end

-- Keeps what is known of the selected mailbox up to date, from the moment that it is being opened.
local function follow_mailbox(pump, event)
  local box = pump.mailbox or pump.opening
  if not box then return end
  if event.type == "exists" then
    box.exists = event.exists
  elseif event.type == "expunge" then
    local exists = box.exists or 0
    if event.seq >= 1 and event.seq <= exists then box.exists = exists - 1 end -- none that is not there can go
  elseif event.type == "vanished" and not event.earlier then
    local gone, exists = Ranges.of(event.uids).count, box.exists or 0
    if gone <= exists and may_vanish(pump) then box.exists = exists - gone end
  elseif event.type == "recent" then
    box.recent = event.recent
  elseif event.type == "status" and event.code == "HIGHESTMODSEQ" then
    box.highestmodseq = event.value
  elseif event.type == "status" and event.code == "UIDVALIDITY" and pump.mailbox then
    box.uidvalidity = event.value -- RFC 5182 §2.1: it may change under us; sets found before name nothing now
  end
end

--- Calls the handlers of an event.
function events.dispatch(pump, event)
  follow_mailbox(pump, event)
  if pump.contexts then context.follow(pump, event) end
  if event.type == "bye" then pump.farewell, pump.retry_after = event.text, event.retry_after end
  if event.type == "alert" then refusal.keep_alert(pump, event.text) end
  if event.type == "overflow" then events.notify_over(pump) end
  local handlers = pump.handlers and pump.handlers[event.type]
  if not handlers then return end
  local raised
  for _, handler in ipairs { unpack(handlers) } do -- one may take itself away, and one that raises is not the last
    local fine, why = guarded(handler, event)
    if not fine then raised = raised or { why } end
  end
  if raised then error(raised[1], 0) end
end

--- The pump's `unsolicited`. A loop over `idle` is told of the end too, and of everything where it listens.
function events.unsolicited(pump, kind, ...)
  local idling = pump.idling
  if kind == "bye" and idling and idling.id and not idling.listens then
    pump.farewell, pump.retry_after = ..., refusal.retry_after((...))
    return pump:post(idling.id, kind, ...)
  end
  local event = events.from(kind, ...)
  if not event then return end
  if idling and idling.listens then pump:post(events.LISTEN, "news", event) end
  events.dispatch(pump, event)
end

--- NOTIFY has ended, by us or by the server (RFC 5465 §5.8).
function events.notify_over(pump)
  pump.notify = nil
  if not pump.session:is_freed() then pump.session:unnumbered(false) end
end

--- True where untagged data of that name tells what has changed in the mailbox.
function events.is_news(name)
  return makers[name] ~= nil
end

--- Registers a handler for unsolicited data.
-- @tparam table pump
-- @tparam string kind "exists", "expunge", "vanished", "flags", "alert", "bye", "recent", "status" …; of other
--   mailboxes "mailbox_status" and "mailbox"; "overflow" where the server gave NOTIFY up
-- @tparam function fn called with the event; it may use the session
-- @treturn function call it to take the handler away
function events.on(pump, kind, fn)
  pump.handlers = pump.handlers or {}
  local list = pump.handlers[kind] or {}
  pump.handlers[kind] = list
  list[#list + 1] = fn
  return function()
    for i, known in ipairs(list) do
      if known == fn then
        table.remove(list, i)
        return
      end
    end
  end
end

return events
