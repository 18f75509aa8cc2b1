--- Waiting for news, by what the server has: IDLE, else NOTIFY alone, else NOOP now and then (RFC 2177, RFC 5465).
--
-- What NOTIFY asked for comes in all three. IDLE goes before it because Dovecot 2.3, although it takes NOTIFY for the
-- selected mailbox, tells of that mailbox only during IDLE.
-- The events are the same whichever it is. A link that died unseen is found by a probe: after a time without a
-- word from the server it is asked for one, and must answer within the session's time-out.
-- @module mail.imap.idle

local events = require "mail.imap.events"
local iterator = require "mail.iterator"

local idle = {}

-- Servers may end an IDLE after 30 minutes; it is taken up anew before that (RFC 2177 §3).
local REARM = 28 * 60

-- How often a server without IDLE is asked, in seconds.
local POLL = 30

-- Seconds of silence after which the link must prove that it lives. Boxes that translate addresses forget
-- connections after 5 minutes and more.
local PROBE = 290

--- Options of `idle`.
idle.OPTIONS = { timeout = "number?", rearm = "number?", poll = "number?", probe = "number?" }

local running = coroutine.running

local function leave(state)
  local pump = state.pump
  if pump.idling ~= state then return end -- another has its place
  pump.idling = nil
  if state.listens then pump:stream_end(events.LISTEN) end
  if state.id and not state.listens and not state.done and not pump.failure then
    pump.leaving = state.id
    pump.session:idle_end(state.id)
    pump.session:push()
    pump:flush()
  end
end

-- A `for` that ended by `break` closes its iterator in Lua 5.4 alone. Whoever read it, and now calls for another,
-- has left it; so has a coroutine that is dead.
local function is_left(state)
  local reader = state.reader
  if reader == (running() or true) then return true end
  return reader ~= true and coroutine.status(reader) == "dead"
end

-- What is read on after all does not look whole.
local function replaced(state)
  if state.pump.idling == state then return nil end
  return state.pump:error("invalid", "another loop over idle() took the place of this one", { command = "IDLE" })
end

local function until_when(state, wake)
  return state.ends and math.min(state.ends, wake) or wake
end

-- --- by IDLE --------------------------------------------------------------------------------------

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

-- The server's NO or BAD to IDLE.
local function refused(pump, status, code, text)
  return pump:error("rejected", status .. " " .. (text or ""), { command = "IDLE", response_code = code, text = text })
end

-- Something came: the link lives.
local function heard(state, kind)
  local now = state.pump.host.now()
  if kind == "idling" then state.proof, state.armed = nil, now end
  state.rearm = math.min(state.armed + state.interval, now + state.probe)
end

-- Nothing came until the time that was waited for. IDLE is sent anew; where it was already, and the server has
-- not said that it is on, the link is dead. While other commands are on their way the proof is theirs.
local function silence(state)
  local pump, now = state.pump, state.pump.host.now()
  if state.proof and now >= state.proof and pump.session:pending() == 0 then
    return pump:fail(pump:error("timeout", "the link is dead: no answer to IDLE in time", { command = "IDLE" }))
  end
  if not state.proof then pump.session:idle_rearm() end
  if not state.proof or now >= state.proof then state.proof = now + pump:patience() end
  return true
end

-- The next event by IDLE.
local function idle_next(state)
  local pump = state.pump
  local now = pump.host.now
  local err = replaced(state)
  if err then return nil, err end
  state.reader = running() or true
  while true do
    local kind, a, b, c, d, e, f = pump:wait(state.id, until_when(state, state.proof or state.rearm), true)
    if kind == "done" then
      state.done = true
      if a == "OK" then return nil end
      return nil, refused(pump, a, b, d)
    elseif kind then
      heard(state, kind)
      local event = events.from(kind, a, b, c, d, e, f)
      if event then
        events.dispatch(pump, event)
        return event
      end
    elseif a.kind ~= "timeout" then
      return nil, a
    elseif state.ends and now() >= state.ends then
      return nil
    else
      local ok
      ok, err = silence(state)
      if not ok then return nil, err end
    end
  end
end

local Idle = iterator.class(idle_next, leave)

local function by_idle(state, options)
  local pump, now = state.pump, state.pump.host.now()
  pump.idling = state
  local id, err = after_the_last(pump)
  if id then id, err = pump:begin("begin_idle") end
  if not id then
    pump.idling = nil
    if err ~= pump.failure then err.command = "IDLE" end
    return nil, err
  end
  state.id, state.interval, state.probe = id, options.rearm or REARM, options.probe or PROBE
  state.armed, state.proof = now, now + pump:patience()
  state.rearm = math.min(now + state.interval, now + state.probe)
  pump.session:push()
  pump:flush()
  return iterator.results(setmetatable(state, Idle))
end

-- --- by listening, and a NOOP now and then -----------------------------------------------------------

-- What the server says, unasked (NOTIFY) or beside its answer to the NOOP, comes through events.unsolicited.
local function listen_next(state)
  local pump, now = state.pump, state.pump.host.now
  local err = replaced(state)
  if err then return nil, err end
  state.reader = running() or true
  while true do
    local kind, event = pump:wait(state.id, until_when(state, state.ask), true)
    if kind then
      if state.pushed then state.ask = now() + state.interval end
      return event
    elseif event.kind ~= "timeout" then
      return nil, event
    elseif state.ends and now() >= state.ends then
      return nil
    end
    state.ask = now() + state.interval
    local ok
    ok, err = pump.session:noop()
    if not ok then return nil, err end
  end
end

local Listen = iterator.class(listen_next, leave)

-- `pushed`: the server speaks by itself, and the NOOP is only the probe.
local function by_listening(state, options, pushed)
  local now = state.pump.host.now()
  state.id, state.listens, state.pushed = events.LISTEN, true, pushed
  state.interval = pushed and (options.probe or PROBE) or options.poll or POLL
  state.ask = pushed and now + state.interval or now
  state.pump.idling = state
  return iterator.results(setmetatable(state, Listen))
end

--- Waits for news of the selected mailbox.
-- @tparam table pump
-- @tparam table options `timeout`: seconds after which the loop ends by itself (default: never); `rearm`: seconds
--   after which IDLE is sent anew (1680); `probe`: seconds of silence after which the server must show that it is
--   there (290); `poll`: seconds between two NOOPs to a server without IDLE (30)
-- @return an iterator over events, as mail.imap.events makes them; or nil, err: kind "invalid" where another
--   coroutine is at it. One that this coroutine has left by `break` gives way. A call of another coroutine ends
--   the IDLE, runs, and takes it up again.
function idle.start(pump, options)
  if pump.failure then return nil, pump.failure end
  if pump.idling and not is_left(pump.idling) then
    return nil, pump:error("invalid", "another loop over idle() is running on this session", { command = "IDLE" })
  end
  if pump.idling then leave(pump.idling) end
  local state = { pump = pump, reader = running() or true }
  state.ends = options.timeout and pump.host.now() + options.timeout
  if pump.session:has_capability("IDLE") or pump.session:has_capability("IMAP4REV2") then
    return by_idle(state, options)
  end
  return by_listening(state, options, pump.notify and pump.notify.selected)
end

return idle
