--- The only place that waits: one session, one transport, any number of coroutines.
--
-- Whoever waits first leads: it reads for all, keeps the events of others in their queues and wakes
-- them; when its own event has come it hands the lead on. So a session needs no task of its own, and
-- works the same in a plain script, where the caller always leads.
-- Time lives here too: the core knows no clock. Every wait has a deadline; a call that gives up
-- abandons its command, and the core swallows the late answer.
-- Invariant: `leading` is the coroutine that may call session:next(), or nil.
-- @module mail.pump

local ascii = require "mail.ascii"
local core = require "mail.core"
local Err = require "mail.err"
local adapter = require "mail.io.adapter"
local guarded = require "mail.guarded"
local mask = require "mail.mask"
local tls = require "mail.tls"
local waiters = require "mail.pump.waiters"
local want = require "mail.want"

local Pump = {}
Pump.__index = Pump
Pump.__name = "mail.pump"

local session_state = core.session_state
local waiter_of, take_waiter, drop_waiter, next_waiter = waiters.of, waiters.take, waiters.drop, waiters.next
local unpack = table.unpack or unpack -- luacheck: ignore
local running = coroutine.running
local status = coroutine.status

-- Above this many bytes kept for a reader in another coroutine, the leader waits for that reader.
local HIGH_WATER = 1048576

--- The pump of a session; nil where it has none.
-- @function Pump.of
-- @tparam userdata session
Pump.of = session_state

--- Binds a session to a transport.
-- @tparam table fields session, protocol, host, conn, timeout (number or table), log, limits
-- @treturn Pump
function Pump.new(fields)
  local self = setmetatable(fields, Pump)
  local timeout = fields.timeout or 30
  if type(timeout) ~= "table" then timeout = { answer = timeout } end
  self.answer_timeout = timeout.answer or 30
  self.data_timeout = timeout.data
  self.timeout = nil
  self.waiting, self.events_seen = 0, 0
  -- What is asked for with each event is there: a field that is missing is looked for in the class, too.
  self.failure, self.farewell, self.leading, self.queues, self.waiters, self.limited, self.raised = false, false,
    false, false, false, false, false
  self.next_event, self.flush_output = self.conn.next, self.conn.flush
  self.waits_to_write = type(self.conn) == "table" -- a transport's, not one of the core's
  self.weighs = self.session.weight ~= nil
  self.log = self.log or false
  self.backlog = fields.limits and fields.limits.backlog or 67108864
  self.limits = nil
  session_state(self.session, self)
  if self.log then self.session:trace() end
  return self
end

local OPEN = { timeout = "number|table?", log = "function|userdata|table?", place = "string?" }

--- Drives a session over a transport object of one's own (see mail.io.stream): afterwards its methods
-- wait on that. What a protocol says first is its own affair: `mail.smtp.greet(pump, options, deadline)`.
-- @tparam userdata session of `mail.smtp.session`, `mail.pop3.session`, `mail.imap.session`
-- @tparam table transport `read`, `write`, `close`
-- @tparam[opt] table host an adapter of `mail.loop`, for its clock and its events (default: the one in use)
-- @tparam[opt] table options `timeout`, `log`, `place` (words for tostring)
-- @treturn Pump
function Pump.open(session, transport, host, options)
  local stream = require "mail.io.stream"
  local loop = require "mail.loop"
  if type(session) ~= "userdata" then error("mail.pump.open: a session expected, got " .. type(session), 2) end
  if type(transport) ~= "table" and type(transport) ~= "userdata" then
    error("mail.pump.open: a transport expected, got " .. type(transport), 2)
  end
  options = want(options or {}, OPEN, "mail.pump.open")
  return Pump.new {
    session = session, protocol = getmetatable(session).__name:match "[a-z]+$", conn = stream.conn(transport, session),
    host = stream.host(host and loop.adapter(host, 2) or loop.host()), timeout = options.timeout, log = options.log,
    place = options.place or "transport",
  }
end

-- --- errors ---------------------------------------------------------------------------------------

-- What to do about the limit that programs run into: mail is larger than anybody thinks.
local TOO_LARGE = "limit passed: message"
local REMEDY = " (held in memory; take it by a sink, or raise limits.message of connect)"

--- An error object with this session's protocol, and without its secrets.
function Pump:error(kind, message, fields)
  fields = fields or {}
  fields.kind = kind
  -- One line, whatever the peer said.
  fields.message = ascii.without_controls(self:masked(message), " ") .. (message == TOO_LARGE and REMEDY or "")
  fields.text = fields.text and self:masked(fields.text)
  fields.protocol = self.protocol
  return Err.new(fields)
end

--- `text` with every secret of this session replaced by ***: a server may echo them.
function Pump:masked(text)
  for _, secret in ipairs(self.secrets or {}) do text = mask(text, secret) end
  return text
end

--- Ends the session: what waits now gets `err`, what comes later gets kind "closed".
function Pump:fail(err)
  if self.failure then return nil, err end
  self.failure = Err.new {
    kind = "closed", protocol = self.protocol,
    message = "the session is closed" .. (err and " (" .. err.message .. ")" or ""),
  }
  self.last_error = err
  self:drain_log()
  tls.remember(self.session)
  if self.conn then
    -- Said in passing (RFC 8446 §6.1), and only where no half-sent command would go out with it.
    if not self.session:is_freed() and self.session:tls_close() then self:send_pending() end
    self.host.close(self.conn)
  end
  waiters.wake_all(self)
  for _, queue in pairs(self.queues or {}) do
    if queue.room then queue.room:set() end -- whoever reads waits for a reader who is far behind
  end
  return nil, err
end

-- What a waiting call is told when the session has failed under it.
function Pump:failed()
  return nil, self.last_error or self.failure
end

-- --- time -----------------------------------------------------------------------------------------

--- The absolute time by which an answer must be whole.
-- @tparam[opt] table options a call's options; `timeout` is for that call alone
function Pump:deadline(options)
  if options and options.timeout then return self.host.now() + self:patience(options) end
  return self.host.now() + self.answer_timeout
end

--- The same in seconds from now.
function Pump:patience(options)
  local seconds = options and options.timeout or self.answer_timeout
  if type(seconds) == "table" then return seconds.answer or self.answer_timeout end
  return seconds
end

--- The seconds that may pass between two pieces of a long transfer, where the user bounds those gaps
-- (`timeout = { data = … }`); nil where the whole answer is bounded.
function Pump:gap(options)
  local timeout = options and options.timeout
  if timeout == nil then return self.data_timeout end
  return type(timeout) == "table" and timeout.data or nil
end

--- The deadline of the next piece of a long transfer: by the gap, else that of the whole answer.
-- @tparam ?table options
-- @tparam number whole what `deadline` said when the answer began
function Pump:piece_deadline(options, whole)
  local gap = self:gap(options)
  return gap and self.host.now() + gap or whole
end

-- Ends a session whose adapter gave what no wait gives, and raises.
local function nonsense(self, ok, why)
  self:fail(self:error("closed", "its loop broke a rule"))
  return adapter.broken(self.host, adapter.words(ok, why))
end

-- Gives up on a command, unless it is only looked after now and then (`patient`). The session stays
-- usable where the core can swallow the late answer.
local function expired(self, id, why, patient)
  local err
  if why == "cancelled" then
    err = self:error("cancelled", "the call was cancelled")
  elseif why == "timeout" then
    err = self:error("timeout", "no answer in time")
  elseif Err.is(why) then
    err = why
    err.protocol = self.protocol
  elseif type(why) == "string" then
    return self:fail(self:error("closed", why))
  else
    return nonsense(self, nil, why)
  end
  if not (patient and why == "timeout") then self:abandon(id) end
  return nil, err
end

--- Nobody listens for this command any more.
function Pump:abandon(id)
  local queue = self.queues and self.queues[id]
  if queue then
    if queue.room then queue.room:set() end
    self:stream_end(id)
  end
  waiters.forget(self, id)
  if self.failure then return end
  self.session:abandon(id)
  if self.session:failure() then self:broken() end
end

-- Wakes one of those who wait, so that it can lead.
local function hand_over(self, id)
  local waiter = next_waiter(self, id)
  if waiter then waiter.event:set() end
end

-- --- the log --------------------------------------------------------------------------------------

local function log_line(log, direction, line)
  if type(log) == "function" then
    log(direction, line)
  else
    log:write(direction, ": ", line, "\n")
  end
end

-- Calls what is the user's. What it raises goes on once the event that is in hand has come to its owner, and somebody
-- else reads for those who wait: see `go_on`.
local function shielded(self, fn, ...)
  local fine, why = guarded(fn, ...)
  if not fine and not self.raised then self.raised = { why } end
end

-- Raises in the call that reads what `shielded` has kept; nobody listens for its command any more, unless it is read in
-- pieces, or asked again (`patient`).
local function go_on(self, id, patient)
  local why = self.raised[1]
  self.raised = false
  local queue = self.queues and self.queues[id]
  if not patient and not (queue and queue.owner) then self:abandon(id) end
  hand_over(self, id)
  error(why, 0)
end

--- Hands the lines written down by the core to the user's log.
function Pump:drain_log()
  if not self.log or self.session:is_freed() then return end
  local text = self.session:trace()
  if not text then return end
  for direction, line in text:gmatch("([A-Za-z])([^\n]*)\n") do
    shielded(self, log_line, self.log, direction, self:masked(line))
  end
end

-- --- waiting --------------------------------------------------------------------------------------

-- Takes the oldest event kept for `id`.
local function pop(self, id, queue)
  local event = queue[queue.first]
  queue[queue.first] = nil
  queue.first = queue.first + 1
  queue.bytes = queue.bytes - event.bytes
  self.kept = self.kept - event.bytes
  if queue.room and queue.bytes < HIGH_WATER / 2 then queue.room:set() end
  if queue.first > queue.last and not queue.owner then self.queues[id] = nil end
  return unpack(event, 1, event.n)
end

-- What an event takes in memory, about. A session that weighs what it hears knows that better than we do.
local function measure(self, kind, a, b, c, d)
  local n = 64
  if self.weighs and kind ~= "data" and not self.session:is_freed() then return n + self.session:weight() end
  if type(a) == "string" then n = n + #a elseif type(a) == "table" then n = n + 1024 end
  if type(b) == "string" then n = n + #b elseif type(b) == "table" then n = n + 1024 end
  if type(c) == "string" then n = n + #c elseif type(c) == "table" then n = n + 1024 end
  if type(d) == "string" then n = n + #d elseif type(d) == "table" then n = n + 1024 end
  return n
end

-- Keeps an event in its owner's queue. Returns what to wait for where that owner is far behind.
local function enqueue(self, kind, id, a, b, c, d, e, f)
  local queues = self.queues
  if not queues then
    queues = {}
    self.queues = queues
  end
  local queue = queues[id]
  if not queue then
    queue = { first = 1, last = 0, bytes = 0 }
    queues[id] = queue
  end
  local bytes = measure(self, kind, a, b, c, d)
  queue.last = queue.last + 1
  queue.bytes = queue.bytes + bytes
  self.kept = (self.kept or 0) + bytes
  queue[queue.last] = { n = 7, bytes = bytes, kind, a, b, c, d, e, f }
  if self.kept > self.backlog then -- the sum: a server may spread its flood over many answers
    queue[queue.last] = { n = 2, bytes = bytes, nil, self:error("limit",
      "limit passed: backlog (answers pile up while their reader is busy)") }
    self.session:abandon(id)
  elseif queue.bytes > HIGH_WATER and queue.owner and queue.owner ~= running()
    and status(queue.owner) == "suspended" then
    queue.room = queue.room or self.host.event()
    return queue.room
  end
end

-- Gives an event to its owner: into its hands where it waits, else into its queue.
local function deliver(self, kind, id, a, b, c, d, e, f)
  local waiter = waiter_of(self, id)
  if waiter and not waiter.kind then
    waiter.kind, waiter.a, waiter.b, waiter.c, waiter.d, waiter.e, waiter.f = kind, a, b, c, d, e, f
    waiter.event:set()
    return
  end
  return enqueue(self, kind, id, a, b, c, d, e, f)
end

-- The same where the event of `id` was read, and where the loop can without waking anybody: what has come besides
-- is delivered, and who is next sleeps on, for the connection, too.
local function pass_on(self, id)
  local host, conn, session, next_event = self.host, self.conn, self.session, self.next_event
  local hand = host.hand
  if not hand then return hand_over(self, id) end
  while true do
    local kind, who, a, b, c, d, e, f = next_event(conn, session, host.stop_at)
    if self.log then self:drain_log() end
    if kind == "wait" then
      local waiter = next_waiter(self, id)
      if waiter and a and hand(a, who, waiter.event) then
        self.leading, self.due = waiter.owner, waiter.deadline
        return
      end
      return hand_over(self, id)
    elseif kind == "fail" then
      return hand_over(self, id) -- who leads then meets it, too
    elseif who == 0 then
      hand_over(self, id)
      return shielded(self, self.unsolicited, self, kind, a, b, c, d, e, f)
    elseif who == id then
      deliver(self, kind, who, a, b, c, d, e, f)
      return hand_over(self, id) -- no more is read ahead of whoever takes it in pieces
    elseif deliver(self, kind, who, a, b, c, d, e, f) then
      return hand_over(self, id) -- a reader is far behind: who leads then waits for it
    end
  end
end

--- Puts an event of the caller's making before whoever waits for `id`.
function Pump:post(id, kind, a, b, c)
  deliver(self, kind, id, a, b, c)
end

--- The session's own failure as an error, and the end of the session.
function Pump:broken()
  local kind, message = self.session:failure()
  if kind == "tls" then message = self.session:tls_why() or message end
  if kind == "closed" then
    local why = self.conn and self.conn.why and self.conn:why()
    if why == "timeout" then
      kind, message = "timeout", "octets could not be sent in time"
    else
      message = self.farewell and ("closed by the server: " .. self.farewell)
        or why and (message .. " (" .. why .. ")") or message
    end
  end
  return self:fail(self:error(kind, message, { retry_after = self.retry_after }))
end

-- For how long a write may wait, on loops where it does: until `deadline`, by default as long as for an answer.
local function write_time(self, deadline)
  return deadline and deadline - self.host.now() or self.answer_timeout
end

-- Sends without waiting, where the loop can; what is left is sent by whoever reads.
function Pump:send_pending(deadline)
  local host, conn = self.host, self.conn
  local seconds = self.waits_to_write and write_time(self, deadline)
  local whole, moved = self.flush_output(conn, self.session, host.stop_at, seconds)
  if not whole then return host.nudge(conn:fd()) end
  -- Whoever reads a transport does not learn that all has gone out, and what the session sends behind that it
  -- says when it is asked for events.
  while moved and self.leading and not self.failure do
    self:play()
    if self.failure then return end
    moved = select(2, self.flush_output(conn, self.session, host.stop_at, write_time(self, deadline)))
  end
end

-- Delivers the events that there are, beside whoever leads and waits.
function Pump:play()
  while not self.failure do
    local kind, who, a, b, c, d, e, f = self.session:next()
    if self.log then self:drain_log() end
    if kind == "wait" then
      return
    elseif kind == "fail" then
      return self:broken()
    elseif who == 0 then
      shielded(self, self.unsolicited, self, kind, a, b, c, d, e, f)
    else
      deliver(self, kind, who, a, b, c, d, e, f)
    end
  end
end

--- Moves what was given to the session on its way although somebody else leads, who sleeps until the peer speaks, and
-- would not see that there is room for more.
function Pump:press()
  while self.leading and not self.failure do
    local before = self:octets()
    self:play()
    if self.failure then return end
    self:send_pending()
    if self:octets() == before then return end
  end
end

-- So many waits without an event end in a look at whether octets move; so many events in one at the clock.
local MANY = 1000

-- Raises where waits end again and again, and no octet has come or gone since the last look.
local function moving(self, octets)
  local conn = self.conn
  if not conn.octets then return nil end
  local received, sent = conn:octets()
  if octets ~= received + sent then return received + sent end
  self:fail(self:error("closed", "its loop broke a rule"))
  adapter.broken(self.host, ("%d times that a descriptor is ready, which it was not"):format(MANY))
end

-- Seconds after which who sleeps looks whether the coroutine that it relies on still lives: the host may have
-- closed that where it waited (coroutine.close), and nothing tells of it.
local ALIVE = 1

-- Waits until the reader far behind has taken what is kept for it; true, too, where it does not live any more.
local function wait_for_room(self, room, owner, deadline)
  while true do
    local left = deadline and deadline - self.host.now()
    local ok, why = room:wait(left and left < ALIVE and left or ALIVE)
    if ok or status(owner) == "dead" then return true end
    if why ~= "timeout" or (left and left <= ALIVE) then return nil, why end
  end
end

-- One event of the session for `id`, reading for everybody meanwhile. The lead is held only where it
-- waits: nobody else runs in between, and the user's handlers may wait on this very session.
local function lead(self, id, deadline, patient)
  local session, host, conn, next_event = self.session, self.host, self.conn, self.next_event
  local waits, octets, seen = 0, nil, self.events_seen
  while true do
    seen = seen + 1
    if seen == MANY then -- a flood that is never waited for has no end, and the clock has not been looked at
      seen = 0
      if deadline and host.now() >= deadline then
        self.events_seen = 0
        hand_over(self, id)
        return expired(self, id, "timeout", patient)
      end
    end
    local kind, who, a, b, c, d, e, f = next_event(conn, session, host.stop_at)
    if self.log then self:drain_log() end
    if who == id then
      if self.waiting > 0 then pass_on(self, id) end
      if self.raised then return go_on(self, id, patient) end
      self.events_seen = seen
      return kind, a, b, c, d, e, f
    elseif self.raised and (kind == "wait" or kind == "fail") then
      return go_on(self, id, patient)
    elseif kind == "wait" then
      self.leading, self.due = running() or true, deadline
      local ok, why = host.await(conn, who, deadline and deadline - host.now(), a)
      self.leading = false
      if self.failure then return self:failed() end
      if ok ~= true then
        hand_over(self, id)
        if ok then return nonsense(self, ok, why) end
        return expired(self, id, why, patient)
      end
      waits = waits + 1
      if waits == MANY then waits, octets = 0, moving(self, octets) end
    elseif kind == "fail" then
      return self:broken()
    elseif who == 0 then
      self.events_seen = seen
      hand_over(self, id)
      shielded(self, self.unsolicited, self, kind, a, b, c, d, e, f)
      if self.raised then return go_on(self, id, patient) end
      if self.failure then return self:failed() end
      if self.leading or (self.queues and self.queues[id]) then return self:wait(id, deadline, patient) end
    else
      local room = deliver(self, kind, who, a, b, c, d, e, f)
      if room then
        self.leading, self.due = running() or true, deadline
        local ok, why = wait_for_room(self, room, self.queues[who].owner, deadline)
        self.leading = false
        if self.failure then return self:failed() end
        if not ok then
          hand_over(self, id)
          return expired(self, id, why == "cancelled" and why or "timeout", patient)
        end
      end
    end
  end
end

-- Sleeps until somebody who leads has the event of `id`, or the lead is free, or its own.
local function follow(self, id, deadline, patient)
  local host, me = self.host, running() or true
  local waiter = take_waiter(self, id, deadline, me)
  self:send_pending(deadline)
  while true do
    local leader = self.leading
    -- Dead, or this very coroutine: it was passed on here, or an error was raised where it led.
    if not leader or leader == me or (leader ~= true and status(leader) == "dead") then
      drop_waiter(self, waiter)
      self.leading = false
      return lead(self, id, deadline, patient)
    end
    local event = waiter.event
    local ok, why
    local over = true
    if event.wait_until then
      ok, why = event:wait_until(deadline)
    else
      local left = deadline and deadline - host.now()
      over = leader == true or (left ~= nil and left <= ALIVE)
      ok, why = event:wait(over and left or ALIVE)
      if not (ok or over) then self:send_pending(deadline) end -- which the coroutine that was closed was about to
    end
    local kind = waiter.kind
    if kind or self.failure or (ok ~= true and (over or why ~= "timeout")) then
      local a, b, c, d, e, f = waiter.a, waiter.b, waiter.c, waiter.d, waiter.e, waiter.f
      drop_waiter(self, waiter)
      if self.leading == me then -- passed on to this one, who does not need it any more
        self.leading = false
        hand_over(self, id)
      end
      if kind then return kind, a, b, c, d, e, f end
      if self.failure then return self:failed() end
      if ok then return nonsense(self, ok, why) end
      return expired(self, id, why, patient)
    end
  end
end

--- Takes in what has come by itself, without waiting. On loops whose transports can only be read by waiting
-- it sees nothing.
-- @treturn boolean true while the session stands; or nil, err
function Pump:look()
  if self.failure then return self:failed() end
  if self.leading then return true end
  local session, host, conn = self.session, self.host, self.conn
  local waits = 0 -- after a first "wait" a descriptor is taken to be ready: what has come is read then
  while waits < 2 do
    local kind, who, a, b, c, d, e, f = conn:next(session, host.stop_at)
    if self.log then self:drain_log() end
    if kind == "fail" then return self:broken() end
    waits = kind == "wait" and waits + 1 or 0
    if who == 0 then
      self:unsolicited(kind, a, b, c, d, e, f)
    elseif kind ~= "wait" then
      deliver(self, kind, who, a, b, c, d, e, f)
    end
    if self.raised then
      local why = self.raised[1]
      self.raised = false
      error(why, 0)
    end
    if self.failure then return self:failed() end
  end
  return true
end

--- Seconds until the call that reads now must have its answer; nil where nobody reads.
function Pump:seconds_left()
  return self.leading and self.due and self.due - self.host.now() or nil
end

--- Lets others run where the time of the running frame is over (`mail.loop.step`); for work that is
-- done in pieces.
-- @treturn boolean true where it did
function Pump:rest()
  local host = self.host
  local stop_at = host.stop_at
  if not stop_at or host.now() < stop_at then return false end
  host.pause()
  return true
end

--- The next event of command `id`.
-- @tparam number id
-- @tparam[opt] number deadline absolute, of `host.now()`; nil waits for ever
-- @tparam[opt] boolean patient a time-out does not abandon the command: the caller will ask again
-- @return kind and the event's values, or nil, err. After an error the command is abandoned.
function Pump:wait(id, deadline, patient)
  local queue = self.queues and self.queues[id]
  if queue and queue.first <= queue.last then
    if not self:rest() then return pop(self, id, queue) end
    queue = self.queues and self.queues[id]
    if queue and queue.first <= queue.last then return pop(self, id, queue) end
  end
  if self.failure then return self:failed() end
  local stranger = self.host.stranger and self.host.stranger(self.conn)
  if stranger then return expired(self, id, stranger) end
  if self.leading then return follow(self, id, deadline, patient) end
  return lead(self, id, deadline, patient)
end

--- Octets that have come and gone on the connection; nil where it does not count them. What long transfers are
-- bounded by, whose gaps are: a wait that is `patient` ran out of time only where none has moved.
-- @treturn ?number received and sent together
-- @treturn ?number sent
function Pump:octets()
  local conn = self.conn
  if not (conn and conn.octets) or self.failure then return nil end
  local received, sent = conn:octets()
  return received + sent, sent
end

--- Declares that the running coroutine reads `id` bit by bit: others wait for it rather than pile up
-- its data without end.
function Pump:stream(id)
  self.queues = self.queues or {}
  self.queues[id] = self.queues[id] or { first = 1, last = 0, bytes = 0 }
  self.queues[id].owner = running() or nil
end

--- The stream is over.
function Pump:stream_end(id)
  local queue = self.queues and self.queues[id]
  if not queue then return end
  self.kept = (self.kept or 0) - queue.bytes
  self.queues[id] = nil
end

-- What the core says to a command behind QUIT or LOGOUT.
local OVER = { ["session is over"] = true, ["QUIT was sent"] = true }

--- Why the core took no command, as an error: what cannot be sent is "invalid", and a session that is ending "closed".
function Pump:refusal(why, command)
  return self:error(OVER[why] and "closed" or "invalid", why, { command = command })
end

--- Queues a command of the core: `session[method](session, …)`.
-- @treturn number the command's id; or nil, err (kind "closed" on a dead session, "invalid" where an
--   argument cannot be sent)
function Pump:begin(method, ...)
  if self.failure then return nil, self.failure end
  local session = self.session
  local id, why = session[method](session, ...)
  if id then return id end
  if session:failure() then return self:broken() end
  return nil, self:refusal(why, method)
end

--- Waits for the end of a command that has one event, "done".
-- @return what stands behind the kind, or nil, err
function Pump:done(id, deadline)
  local kind, a, b, c, d, e = self:wait(id, deadline)
  if not kind then return nil, a end
  return a, b, c, d, e
end

--- Sends what is queued, without waiting for answers.
function Pump:flush()
  if not self.failure then self:send_pending() end
end

--- True under TLS, our own or the host's.
function Pump:is_secure()
  if self.session:tls_info() then return true end
  local transport = self.conn and self.conn.transport
  return transport ~= nil and transport.secure == true
end

--- True where a secret may be told: TLS protects the connection, and was not taken from whoever offered it.
function Pump:is_protected()
  return not self.unverified and self:is_secure()
end

--- Hands the connection to the loop's pool; the session is closed then, as by `close`.
-- @tparam number idle seconds for which the pool keeps it
-- @tparam number size connections that the pool keeps
-- @treturn boolean true; or nil, err: nothing has happened where its kind is "unsupported" or "invalid"
function Pump:release(idle, size)
  if self.failure then return nil, self.failure end
  if not self.host.release then return nil, self:error("unsupported", "this loop has no pool of connections") end
  if self.session:tls_info() then
    return nil, self:error("unsupported", "TLS of our own cannot be pooled: connect with tls_by = 'host'")
  end
  if self.leading or self.waiting > 0 then return nil, self:error("invalid", "the session is in use") end
  local conn = self.conn
  self.conn = nil
  self:fail(self:error("closed", "handed to the pool"))
  local ok, why = self.host.release(conn, idle, size)
  self.session:free()
  if ok then return true end
  return nil, self:error("closed", "not pooled: " .. why)
end

--- Unsolicited events; a protocol module sets its own.
function Pump.unsolicited() end

--- Drops the connection. Whoever waits gets kind "closed". Idempotent.
function Pump:close()
  if not self.failure then self:fail(self:error("closed", "closed by this side")) end
  if not self.leading and self.waiting == 0 then self.session:free() end
  return true
end

return Pump
