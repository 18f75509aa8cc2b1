--- What a server says unasked: events, handlers, and IDLE (RFC 9051 §5.2, RFC 2177).
-- @module mail.imap.events

local context = require "mail.imap.context"
local iterator = require "mail.iterator"
local refusal = require "mail.imap.refusal"

local unpack = table.unpack or unpack -- luacheck: ignore

local events = {}

-- Servers may end an IDLE after 30 minutes; it is taken up anew before that (RFC 2177 §3).
local REARM = 28 * 60

-- How often a server without IDLE is asked, in seconds.
local POLL = 30

local makers = {}

function makers.EXISTS(number) return { type = "exists", exists = number } end
function makers.RECENT(number) return { type = "recent", recent = number } end
function makers.EXPUNGE(number) return { type = "expunge", seq = number } end
function makers.VANISHED(_, value) return { type = "vanished", uids = value.uids, earlier = value.earlier } end
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
    return { type = a:lower(), number = b, value = c }
  end
end

-- Keeps what is known of the selected mailbox up to date, from the moment that it is being opened.
local function follow_mailbox(pump, event)
  local box = pump.mailbox or pump.opening
  if not box then return end
  if event.type == "exists" then
    box.exists = event.exists
  elseif event.type == "expunge" then
    box.exists = math.max(0, (box.exists or 0) - 1)
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
  local handlers = pump.handlers and pump.handlers[event.type]
  if not handlers then return end
  for _, handler in ipairs { unpack(handlers) } do handler(event) end -- one may take itself away
end

--- The pump's `unsolicited`. A loop over `idle` is told of the end too.
function events.unsolicited(pump, kind, ...)
  if kind == "bye" and pump.idling and pump.idling.id then
    pump.farewell, pump.retry_after = ..., refusal.retry_after((...))
    return pump:post(pump.idling.id, kind, ...)
  end
  local event = events.from(kind, ...)
  if event then events.dispatch(pump, event) end
end

--- True where untagged data of that name tells what has changed in the mailbox.
function events.is_news(name)
  return makers[name] ~= nil
end

--- Registers a handler for unsolicited data.
-- @tparam table pump
-- @tparam string kind "exists", "expunge", "vanished", "flags", "alert", "bye", "recent", "status" …
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

-- --- IDLE -----------------------------------------------------------------------------------------

--- Options of `idle`.
events.IDLE = { timeout = "number?", rearm = "number?", poll = "number?" }

local function leave(state)
  local pump = state.pump
  pump.idling = nil
  if state.off then state.off() end
  if state.id and not state.done and not pump.failure then
    pump.leaving = state.id
    pump.session:idle_end(state.id)
    pump.session:push()
    pump:flush()
  end
end

-- The last IDLE may still be ending; the core has one at a time.
local function after_the_last(pump)
  local id, deadline = pump.leaving, pump:deadline()
  pump.leaving = nil
  while id do
    local kind, err = pump:wait(id, deadline)
    if not kind then return nil, err end
    if kind == "done" then return true end
  end
  return true
end

local function until_when(state, wake)
  return state.ends and math.min(state.ends, wake) or wake
end

-- The server's NO or BAD to IDLE.
local function refused(pump, status, code, text)
  return pump:error("rejected", status .. " " .. (text or ""), { command = "IDLE", response_code = code, text = text })
end

-- The next event by IDLE.
local function idle_next(state)
  local pump = state.pump
  local now = pump.host.now
  while true do
    local kind, a, b, c, d, e, f = pump:wait(state.id, until_when(state, state.rearm), true)
    if kind == "done" then
      state.done = true
      if a == "OK" then return nil end
      return nil, refused(pump, a, b, d)
    elseif kind then
      local event = events.from(kind, a, b, c, d, e, f)
      if event then
        events.dispatch(pump, event)
        return event
      end
    elseif a.kind == "timeout" and (not state.ends or now() < state.ends) then
      pump.session:idle_rearm()
      state.rearm = now() + state.interval
    else
      return nil, a.kind ~= "timeout" and a or nil
    end
  end
end

local Idle = iterator.class(idle_next, leave)

-- The next event by NOOP, for servers without IDLE: what it brings arrives through a handler.
local function poll_next(state)
  local pump, host = state.pump, state.pump.host
  while true do
    if state.queue[1] then return table.remove(state.queue, 1) end
    if pump.failure then return nil, pump.failure end
    if state.ends and host.now() >= state.ends then return nil end
    if host.now() >= state.poll then
      state.poll = host.now() + state.interval
      local ok, err = pump.session:noop()
      if not ok then return nil, err end
    else
      host.sleep(until_when(state, state.poll) - host.now())
    end
  end
end

local Poll = iterator.class(poll_next, leave)

local TYPES = { "exists", "expunge", "vanished", "flags", "alert", "bye", "recent" }

-- Gathers events by handlers.
local function listen(state)
  local offs = {}
  state.queue = {}
  for i, kind in ipairs(TYPES) do
    offs[i] = events.on(state.pump, kind, function(event) state.queue[#state.queue + 1] = event end)
  end
  state.off = function()
    for _, off in ipairs(offs) do off() end
  end
end

local function by_idle(state, options)
  local pump = state.pump
  pump.idling = state
  local id, err = after_the_last(pump)
  if id then id, err = pump:begin("begin_idle") end
  if not id then
    pump.idling = nil
    if err ~= pump.failure then err.command = "IDLE" end
    return nil, err
  end
  state.id, state.interval = id, options.rearm or REARM
  state.rearm = pump.host.now() + state.interval
  pump.session:push()
  pump:flush()
  return iterator.results(setmetatable(state, Idle))
end

local function by_noop(state, options)
  state.interval, state.poll = options.poll or POLL, state.pump.host.now()
  state.pump.idling = state
  listen(state)
  return iterator.results(setmetatable(state, Poll))
end

--- Waits for news of the selected mailbox.
-- @tparam table pump
-- @tparam table options `timeout`: seconds after which the loop ends by itself (default: never);
--   `rearm`: seconds after which IDLE is sent anew; `poll`: seconds between two NOOPs to a server
--   without IDLE
-- @return an iterator over events (API §5); or nil, err. A call of another coroutine ends the IDLE,
--   runs, and takes it up again.
function events.idle(pump, options)
  if pump.failure then return nil, pump.failure end
  if pump.idling then
    return nil, pump:error("invalid", "another loop over idle() is running on this session", { command = "IDLE" })
  end
  local state = { pump = pump, ends = options.timeout and pump.host.now() + options.timeout }
  if pump.session:has_capability("IDLE") then return by_idle(state, options) end
  return by_noop(state, options)
end

return events
