--- Who waits for a place on a connection of a pool, and in which order.
--
-- A waiter: `event`; `co`; what it was given: `record`, or `opens` (it is to open a connection); `err`: why it
-- gets nothing; `gone`: it gave up. Whoever gives a place back hands it to the first in the queue, so nobody
-- who comes later can take it.
-- Invariant: while somebody waits, no place is free.
-- @module mail.smtp.pool.queue

local Err = require "mail.err"
local adapter = require "mail.io.adapter"
local connections = require "mail.smtp.pool.connections"

local queue = {}

local running, status = coroutine.running, coroutine.status
local occupy, take, is_dead = connections.occupy, connections.take, connections.is_dead

-- Where coroutines may end without a word: nginx ends those of a request, under libuv anybody may close one, and in
-- PUC Lua 5.1 an error passes through here unseen.
local LUA51 = _VERSION == "Lua 5.1" and not rawget(_G, "jit")

-- How often who waits looks for those, in seconds.
local LOOK = 1

--- An error of the pool's own: nil, err.
function queue.failure(kind, message, temporary)
  return nil, Err.new { kind = kind, message = message, temporary = temporary, protocol = "smtp", command = "pool" }
end
local failure = queue.failure

-- Whoever runs here: a coroutine, or true for the main thread of Lua 5.1.
local function me()
  return running() or true
end
queue.me = me

local function is_over(co)
  if co == true then return false end
  local state = status(co)
  return state == "dead" or state == "zombie"
end

--- One more opens a connection: the coroutine `co`.
function queue.begin_opening(self, co)
  self.opening = self.opening + 1
  if self.kills then self.openers[co] = true end
end
local begin_opening = queue.begin_opening

--- It has done so, or given up.
function queue.end_opening(self, co)
  self.opening = self.opening - 1
  if self.kills then self.openers[co] = nil end
end
local end_opening = queue.end_opening

local function forget_first(self)
  self.queue[self.first] = nil
  self.first = self.first + 1
  if self.first > self.last then self.first, self.last = 1, 0 end
end

-- The waiter whose turn it is; nil where nobody waits.
local function head(self)
  while self.first <= self.last do
    local waiter = self.queue[self.first]
    if not waiter.gone then
      if not (self.kills and is_over(waiter.co)) then return waiter end
      self.waiting = self.waiting - 1
    end
    forget_first(self)
  end
end

local function serve(self, waiter, record, opens)
  waiter.record, waiter.opens = record, opens
  forget_first(self)
  self.waiting = self.waiting - 1
  waiter.event:set()
end

--- Tells those who close the pool that something has ended.
function queue.told(self)
  for _, event in ipairs(self.closers or {}) do event:set() end
end

--- Gives what is free to those who wait, in their order.
function queue.dispatch(self)
  local waiter = head(self)
  while waiter do
    local record, opens = take(self, waiter.co, self.host.now())
    if not record and not opens then return end
    if opens then begin_opening(self, waiter.co) end
    serve(self, waiter, record, opens)
    waiter = head(self)
  end
  if self.closers then queue.told(self) end
end
local dispatch = queue.dispatch

--- Places whose coroutines were ended from outside are free again; what they were sending is not known. The same
-- for those who were opening a connection.
function queue.reclaim(self)
  local records = self.records
  for co in pairs(self.openers) do
    if is_over(co) then end_opening(self, co) end
  end
  for i = #records, 1, -1 do
    local record = records[i]
    for co in pairs(record.users) do
      if is_over(co) then
        record.users[co] = nil
        record.busy, record.bad = record.busy - 1, true
      end
    end
    if record.bad and record.busy == 0 then connections.part(self, record) end
  end
end

local function end_of(self, record)
  if record.busy == 0 and not record.gone then
    if self.transient then connections.hand_back(self, record) else connections.part(self, record) end
  end
  dispatch(self)
end

--- Gives the place of the running coroutine back: to the first in the queue where the connection goes on.
function queue.release(self, record)
  if self.kills then record.users[me()] = nil end
  local busy = record.busy - 1
  record.busy = busy
  if self.transient or record.spent or record.bad or is_dead(record) then return end_of(self, record) end
  local waiter = self.first <= self.last and not record.rate and head(self)
  if waiter then
    occupy(self, record, waiter.co)
    return serve(self, waiter, record)
  end
  if busy == 0 then
    connections.rest(self, record)
    if not self.keeper then connections.look_after(self) end
    if record.rate then return dispatch(self) end
  end
  if self.closers then queue.told(self) end
end

-- --- waiting ------------------------------------------------------------------------------------------

local function take_waiter(self)
  local spare = self.spare
  local n = #spare
  local waiter = spare[n]
  if waiter then spare[n] = nil else waiter = { event = self.host.event() } end
  waiter.co = me()
  return waiter
end

local function reuse_waiter(self, waiter)
  waiter.co, waiter.record, waiter.opens = nil, nil, nil
  local spare = self.spare
  local n = #spare
  if n < 64 then spare[n + 1] = waiter end
end

local function enqueue(self, waiter, first)
  self.waiting = self.waiting + 1
  if first then
    self.first = self.first - 1
    self.queue[self.first] = waiter
  else
    self.last = self.last + 1
    self.queue[self.last] = waiter
  end
end

-- What a wait that brought nothing comes to: an error.
local function unserved(self, why)
  if Err.is(why) then return why end
  local kind, message = "closed", why
  if why == "timeout" then
    kind, message = "timeout", "no connection came free in time"
    if self.broken then message = message .. "; last error: " .. self.broken.message end
  elseif why == "cancelled" then
    kind, message = "cancelled", "the call was cancelled"
  elseif type(why) ~= "string" then
    adapter.broken(self.host, adapter.words(nil, why))
  end
  return select(2, failure(kind, message))
end

-- A waiter has given up: what it was given in the same moment goes to the next one.
local function give_up(self, waiter)
  if waiter.record then
    queue.release(self, waiter.record)
  elseif waiter.opens then
    end_opening(self, waiter.co)
    dispatch(self)
  elseif not waiter.err then
    waiter.gone = true
    self.waiting = self.waiting - 1
    head(self)
    queue.reclaim(self)
    dispatch(self)
  end
end

local function patience(self, deadline)
  local left = deadline - self.host.now()
  return self.kills and left > LOOK and LOOK or left
end

--- Waits for a place.
-- @tparam table self the pool
-- @tparam number deadline absolute
-- @tparam boolean first before all others: it has waited already
-- @treturn table record; or nil, and true where it is to open a connection; or nil, nil, err
function queue.wait(self, deadline, first)
  if self.waiting >= self.limits.queue and not first then
    return nil, nil, select(2, failure("limit", ("%d calls wait already"):format(self.waiting), true))
  end
  local waiter = take_waiter(self)
  enqueue(self, waiter, first)
  if self.kills then queue.reclaim(self) end
  if first or self.kills or self.broken then dispatch(self) end
  local ok, why = true, nil
  while ok == true and not (waiter.record or waiter.opens or waiter.err) do
    ok, why = waiter.event:wait(patience(self, deadline))
    if why == "timeout" and self.kills and self.host.now() < deadline then -- who has the connections may have ended
      ok = true
      queue.reclaim(self)
      dispatch(self)
    end
  end
  if ok ~= true then
    give_up(self, waiter)
    return nil, nil, unserved(self, why)
  end
  local record, opens, err = waiter.record, waiter.opens, waiter.err
  if not err then reuse_waiter(self, waiter) end
  return record, opens, err
end

--- Waits until that time, unless the pool is closed at once.
-- @treturn boolean true; or nil, err: kind "timeout" where the deadline is before
function queue.pause(self, till, deadline)
  local waiter = take_waiter(self)
  self.sleepers[waiter] = true
  local ok, why = true, nil
  local ends = till < deadline and till or deadline
  local now = self.host.now()
  while ok == true and now < ends and not waiter.err do
    ok, why = waiter.event:wait(ends - now)
    if why == "timeout" then ok = true end
    now = self.host.now()
  end
  self.sleepers[waiter] = nil
  if waiter.err then return nil, waiter.err end
  if ok ~= true then return nil, unserved(self, why) end
  if till > deadline then return nil, unserved(self, "timeout") end
  return true
end

--- Tells everybody in the queue that there is nothing to wait for.
function queue.refuse_all(self, err)
  local waiter = head(self)
  while waiter do
    waiter.err = err
    serve(self, waiter)
    waiter = head(self)
  end
end

--- The same for those who wait for a time.
function queue.wake_sleepers(self, err)
  for waiter in pairs(self.sleepers) do
    waiter.err = err
    waiter.event:set()
  end
end

--- The queue of a pool that runs on that host.
function queue.begin(self, host)
  self.spare, self.openers, self.kills = {}, {}, LUA51 or host.stranger ~= nil or host.closes == true
end

return queue
