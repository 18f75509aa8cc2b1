--- The connections of a pool: records, and who gets a place on which.
--
-- A record: `session`, `pump`; `busy`: messages under way on it; `left`: how many it may still be given;
-- `users`: the coroutines that have a place on it, where such may end without a word; `used`: when it became
-- idle; `proved`: it has taken or refused a message; `failed`: it ended before that; `spent`: it gets no further
-- one; `bad`: nor a QUIT. All of them are in `pool.records`, those without a message in `pool.idle`, too.
-- Nothing here waits, save for the QUIT of a program without a loop.
-- @module mail.smtp.pool.connections

local Pump = require "mail.pump"
local rate = require "mail.smtp.pool.rate"

local connections = {}

local insert, remove_at = table.insert, table.remove

-- How long an unanswered QUIT is waited for.
local PATIENCE = 5

-- True outside of coroutines, where a task of another's would not run before the next wait.
local function is_main()
  local co, main = coroutine.running()
  return co == nil or main == true
end
connections.is_main = is_main

-- How many messages a connection has on a pipelining server: one whose answer is awaited, one whose content
-- leaves with the next one's envelope, and that one. Where there is only one connection more of them cost
-- nobody anything, and their coroutines sleep once instead of twice.
local function depth(self, pump)
  if not pump.capabilities.PIPELINING or self.transient or self.calm then return 1 end
  return self.limits.size == 1 and 16 or 3
end

--- A record of that session.
function connections.record(self, session)
  local pump, r = Pump.of(session), self.limits.rate
  local transport = pump.conn.transport
  return {
    session = session, pump = pump, busy = 0, users = {}, used = self.host.now(),
    rate = r.connection and rate.new(r.connection, r.burst),
    left = math.min(self.limits.max_messages, pump.mail_max or math.huge), -- LIMITS MAILMAX (RFC 9422)
    depth = depth(self, pump), proved = transport and transport.reused,
  }
end

-- The connection has ended, or the server has said that it will: true, or what it said; else false or nil.
local function is_dead(record)
  local pump = record.pump
  return pump.failure or pump.farewell
end
connections.is_dead = is_dead

-- Takes it out of the list.
local function remove(self, record)
  if record.gone then return end
  record.gone = true
  for i, other in ipairs(self.records) do
    if other == record then return remove_at(self.records, i) end
  end
end
connections.remove = remove

local function quit(record)
  record.session:quit { timeout = PATIENCE }
  record.session:close()
end

-- Ends a connection that nobody uses: with QUIT where it is whole.
local function part(self, record)
  remove(self, record)
  if is_dead(record) or record.bad then
    record.session:close()
  elseif self.host.spawn and not self.transient and not is_main() then
    self.host.spawn(quit, record)
  else
    quit(record)
  end
end
connections.part = part

--- Ends one that was used within a request: its successor may take it up there (mail.keepalive).
function connections.hand_back(self, record)
  remove(self, record)
  local ok = not (is_dead(record) or record.bad or record.spent)
    and record.session:keepalive { idle = self.limits.idle, size = self.limits.size, timeout = PATIENCE }
  if not ok then part(self, record) end
end

--- Gives a place to the coroutine `co` (true: the main thread of Lua 5.1).
local function occupy(self, record, co)
  local left = record.left - 1
  record.busy, record.left = record.busy + 1, left
  if left <= 0 then record.spent = true end
  if self.kills then record.users[co] = true end
end
connections.occupy = occupy

--- Whether an idle connection can be used; ends it where not. `stale`: it had better be asked first.
function connections.is_fit(self, record, now)
  local age = now - record.used
  if age >= self.limits.idle then
    part(self, record)
  elseif is_dead(record) or not record.pump:look() or is_dead(record) then
    record.bad = true
    part(self, record)
  else
    record.stale = age >= self.check
    return true
  end
end
local is_fit = connections.is_fit

-- The idle connection that was used last, so that the others get old; nil where there is none.
local function take_idle(self, now)
  local idle = self.idle
  local n = #idle
  while n > 0 do
    local record = idle[n]
    idle[n] = nil
    if is_fit(self, record, now) then return record end
    n = #idle
  end
end
connections.take_idle = take_idle

-- The idle connection whose rate allows a message first; nil where there is none, or a new one would be
-- earlier.
local function take_calm(self, now, room)
  local idle, best, at = self.idle, nil, nil
  for i = #idle, 1, -1 do
    local when = idle[i].rate:when(now)
    if not is_fit(self, idle[i], now) then
      remove_at(idle, i)
    elseif not best or when < at then
      best, at = idle[i], when
    end
  end
  if not best or (room and at > now) then return nil end
  for i, record in ipairs(idle) do
    if record == best then return remove_at(idle, i) end
  end
end

-- A place behind a message that is under way. The search goes on where the last one ended.
local function take_second(self)
  local records = self.records
  local n = #records
  local at = self.cursor
  for _ = 1, n do
    at = at % n + 1
    local record = records[at]
    local busy = record.busy
    if busy > 0 and busy < record.depth and not (record.spent or record.bad or is_dead(record)) then
      self.cursor = at
      return record
    end
  end
end

-- Whether one more may be opened. After a failure only one is tried at a time, and beside others that stand
-- not before its time.
local function has_room(self, now)
  if #self.records + self.opening >= self.limits.size or self.ended then return false end
  return not self.broken or (self.opening == 0 and (#self.records == 0 or now >= self.retry_at))
end

--- A place for the coroutine `co`: a record; or nil, and true where it is to open a connection. A new
-- connection is better than a place behind another message.
function connections.take(self, co, now)
  local record
  if self.idle[1] then
    if self.calm then record = take_calm(self, now, has_room(self, now)) else record = take_idle(self, now) end
  end
  if not record then
    local full = #self.records >= self.limits.size -- the usual case where there is no other
    if not full and has_room(self, now) then return nil, true end
    record = take_second(self)
    if not record then return nil end
  end
  occupy(self, record, co)
  return record
end

--- Leaves a connection without a message to whoever comes next.
function connections.rest(self, record)
  record.used = self.host.now()
  insert(self.idle, record)
end

--- Ends what has been idle for long, and what the server has ended.
-- @treturn number seconds until the next look; nil where nothing is idle
function connections.sweep(self)
  local now, idle = self.host.now(), self.idle
  local oldest
  for i = #idle, 1, -1 do
    local record = idle[i]
    if not is_fit(self, record, now) then
      remove_at(idle, i)
    elseif not oldest or record.used < oldest then
      oldest = record.used
    end
  end
  return oldest and oldest + self.limits.idle - now
end

local function keep(self, keeper)
  local seconds = connections.sweep(self)
  while seconds and self.keeper == keeper do
    local ok, why = keeper:wait(seconds)
    if not ok and why ~= "timeout" then break end
    seconds = self.keeper == keeper and connections.sweep(self)
  end
  if self.keeper == keeper then self.keeper = nil end
end

--- Sees to it that a task ends idle connections, where the host can run one.
function connections.look_after(self)
  local host = self.host
  if self.keeper or self.transient or self.limits.idle == math.huge then return end
  local spawn = host.background or not is_main() and host.spawn
  if not spawn then return end
  self.keeper = host.event()
  spawn(keep, self, self.keeper)
end

--- QUIT on all connections, side by side.
function connections.part_all(self, deadline)
  local records, ids = self.records, {}
  self.records, self.idle = {}, {}
  for i, record in ipairs(records) do
    record.gone = true
    if not is_dead(record) then
      ids[i] = record.pump:begin "raw_quit"
      record.pump:flush()
    end
  end
  for i, record in ipairs(records) do
    if ids[i] then record.pump:done(ids[i], deadline) end
    record.session:close()
  end
end

--- Drops all connections at once.
function connections.drop_all(self)
  local records = self.records
  self.records, self.idle = {}, {}
  for _, record in ipairs(records) do
    record.gone = true
    record.session:close()
  end
end

return connections
