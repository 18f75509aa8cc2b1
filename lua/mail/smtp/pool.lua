--- Several SMTP sessions for any number of coroutines: `mail.smtp.pool`.
--
-- There is no task in the middle: whoever calls `send` takes a connection, or opens one, or waits in a queue
-- until somebody who has finished hands one over. So a pool works on every loop, and without one. On a
-- pipelining server a connection has the next messages queued behind the one that is under way, so that
-- their envelopes leave with its content.
-- A pool has one set of options, so credentials and TLS settings cannot mix. Where sessions end with the
-- request that opened them (OpenResty), each send connects for itself, through nginx's own pool of
-- connections where that can hold them; what the pool gives is the bounds.
-- Invariant: a message of which a recipient was accepted is never sent a second time.
-- @module mail.smtp.pool

local auth = require "mail.auth"
local batch = require "mail.smtp.pool.batch"
local check = require "mail.smtp.send".check
local connect = require "mail.connect"
local connections = require "mail.smtp.pool.connections"
local is_usual = require "mail.core".smtp_is_usual
local opening = require "mail.smtp.pool.opening"
local queue = require "mail.smtp.pool.queue"
local rate = require "mail.smtp.pool.rate"
local sending = require "mail.smtp.pool.sending"
local smtp = require "mail.smtp"
local want = require "mail.want"

local pool = {}

local OPTIONS = {
  size = "number?", max_messages = "number?", idle = "number?", queue = "number?", retry = "number?",
  rate = "number|table?", back_off = "table?", check = "number?",
}
local RATE = { total = "number?", connection = "number?", burst = "number?" }
local CLOSE = { now = "boolean?", timeout = "number?" }

-- How long an unanswered NOOP, or the answers to QUIT, are waited for.
local PATIENCE = 5

local Pool = {}
Pool.__index = Pool
Pool.__name = "mail.smtp.pool"

local function closed()
  return queue.failure("closed", "the pool is closed", false)
end

-- --- sending --------------------------------------------------------------------------------------------

-- True where the pool can be used here and now; or nil, err.
local function ready(self)
  if self.closing then return closed() end
  if self.host then return true end
  local host, err = opening.bind(self)
  if not host then return nil, err end
  return true
end

--- Sends one message by one of the connections, or several: takes what `smtp:send` takes, and `timeout` bounds
-- the wait for a connection, too. Where the connection dies before a recipient was accepted another one is tried;
-- never afterwards.
--
-- An array is divided among the connections, where the loop can run tasks, and on each of them its messages leave
-- behind one another without waiting for answers in between, where the server pipelines.
-- @tparam table options as of `smtp:send`, or an array of such
-- @treturn table receipt; or nil, err: besides what `smtp:send` says, kind "limit" where too many calls wait,
--   "timeout" where no connection came free in time, "closed" where the pool is closed. For an array: an array of
--   receipts and errors (tell them by `mail.err.is`)
function Pool:send(options)
  if not is_usual(options) then
    if type(options) == "table" and options[1] ~= nil then
      for i = 1, #options do check(options[i], 2, "pool:send") end
      local _, why = ready(self)
      local results = batch.send(self, options, why)
      return results
    end
    check(options, 2, "pool:send")
  end
  local ok, err = ready(self)
  if not ok then return nil, err end
  local receipt
  receipt, err = sending.one(self, options)
  return receipt, err
end

-- --- the end ------------------------------------------------------------------------------------------

local function is_drained(self)
  if self.waiting > 0 or self.opening > 0 or self.paused > 0 then return false end
  for _, record in ipairs(self.records) do
    if record.busy > 0 then return false end
  end
  return true
end

-- Waits until nothing is under way; true where that is so.
local function drain(self, deadline)
  local event = self.host.event()
  self.closers = self.closers or {}
  table.insert(self.closers, event)
  queue.reclaim(self)
  local now = self.host.now()
  while not is_drained(self) and not self.ended and now < deadline do
    local ok, why = event:wait(deadline - now)
    if not ok and why ~= "timeout" then break end
    now = self.host.now()
  end
  return is_drained(self)
end

--- Ends the pool: calls made from now on get kind "closed"; those made before are served first. Idempotent.
-- @tparam[opt] table options `now = true`: waits for nothing, calls under way get kind "closed" (or "unknown");
--   `timeout`: seconds to wait for what is under way (default: the pool's), after which the same is done
-- @treturn boolean true; or nil, err (kind "timeout") where not everything could be finished
function Pool:close(options)
  options = want(options or {}, CLOSE, "pool:close")
  self.closing = true
  if not self.host then return true end
  local keeper = self.keeper
  self.keeper = nil
  if keeper then keeper:set() end
  local deadline = self.host.now() + (options.timeout or self.patience)
  local whole = not options.now and drain(self, deadline)
  self.ended = true
  if whole then
    connections.part_all(self, math.min(deadline, self.host.now() + PATIENCE))
  else
    local _, err = closed()
    queue.refuse_all(self, err)
    queue.wake_sleepers(self, err)
    connections.drop_all(self)
  end
  queue.told(self) -- another that closes
  if whole or options.now then return true end
  return queue.failure("timeout", "the pool was closed before everything was sent")
end

--- What it does now, and has done.
-- @treturn table `connections`, of which `idle` and `busy`; `opening`; `waiting`: calls without a connection;
--   `sent`, `failed`: messages; `retried`: second tries; `opened`: connections so far; `error`: why the last
--   connection could not be opened, nil once one could
function Pool:stats()
  local busy = 0
  for _, record in ipairs(self.records) do
    if record.busy > 0 then busy = busy + 1 end
  end
  return {
    connections = #self.records, idle = #self.idle, busy = busy, opening = self.opening,
    waiting = self.waiting + self.paused, sent = self.sent, failed = self.failed, retried = self.retried,
    opened = self.opened, error = self.broken,
  }
end

function Pool:__tostring()
  local o = self.options
  return ("mail.smtp.pool (%s:%d, %s)"):format(o.host, o.port,
    self.closing and "closed" or ("%d connections"):format(#self.records))
end

function Pool:__close()
  self:close { now = true }
end

-- --- making one -------------------------------------------------------------------------------------

-- An option that is a number above 0, or its default. Raises at the caller of `new`.
local function above_zero(o, name, otherwise, whole, level)
  local value = o[name]
  if value == nil then return otherwise end
  if value <= 0 or value ~= value or (whole and value % 1 ~= 0) then
    local kind = whole and "a whole number" or "a number"
    error(("smtp.pool: option '%s' must be %s above 0"):format(name, kind), level or 4)
  end
  return value
end

local function rates(o)
  if type(o) ~= "table" then return { total = above_zero({ rate = o }, "rate", nil, nil, 5) } end
  want(o, RATE, "smtp.pool rate", 3)
  local r = {}
  for name in pairs(RATE) do r[name] = above_zero(o, name, nil, nil, 5) end
  return r
end

local function back_off(pauses)
  local b = { 0.5, 30 }
  for i = 1, 2 do
    local seconds = pauses[i]
    if seconds ~= nil and (type(seconds) ~= "number" or seconds < 0 or seconds ~= seconds) then
      error("smtp.pool: option 'back_off' must be { first, most } seconds", 4)
    end
    b[i] = seconds or b[i]
  end
  return b
end

-- The pool's own options, completed.
local function bounds(o)
  for _, name in ipairs { "queue", "retry", "check" } do
    if o[name] ~= o[name] then error(("smtp.pool: option '%s' must be a number"):format(name), 3) end
  end
  return {
    size = above_zero(o, "size", 8, true), max_messages = above_zero(o, "max_messages", 100),
    idle = above_zero(o, "idle", 60), queue = o.queue or 10000, retry = o.retry or 3,
    back_off = back_off(o.back_off or {}), rate = rates(o.rate),
  }
end

--- A pool of sessions: `mail.smtp.pool`. Nothing is opened before the first `send`.
-- @tparam table options of `mail.smtp.connect`, and: `size` = 8: connections; `max_messages` = 100: after so
--   many a connection is ended and another takes its place; `idle` = 60: seconds without use after which it is
--   ended; `queue` = 10000: calls that may wait; `rate`: messages a second, a number (in all) or
--   `{ total=, connection=, burst= 1 }`; `retry` = 3: further tries of one call where a connection cannot be
--   opened for now, or dies before a recipient was accepted; `back_off` = { 0.5, 30 }: seconds before the first
--   of those tries, doubled from failure to failure, and at most; `check` = 15: seconds without use after which
--   a connection is asked (NOOP) before it is used
-- @treturn table pool
function pool.new(options)
  local allowed = {}
  for name, kinds in pairs(smtp.connect_options) do allowed[name] = kinds end
  for name, kinds in pairs(OPTIONS) do allowed[name] = kinds end
  local o = connect.options(options, "smtp", allowed)
  if o.protocol and o.protocol ~= "smtp" and o.protocol ~= "lmtp" then
    error("smtp.pool: option 'protocol' must be smtp or lmtp", 2)
  end
  auth.check(o.mechanism, {}, "smtp.pool", 2)
  if o.transport then error("smtp.pool: option 'transport' is one connection, and a pool opens several", 2) end
  local limits = bounds(o)
  local age, t = o.check or 15, o.timeout or 30
  for name in pairs(OPTIONS) do o[name] = nil end
  return setmetatable({
    options = o, limits = limits, check = age, patience = type(t) == "table" and (t.answer or 30) or t,
    records = {}, idle = {}, cursor = 0, opening = 0, queue = {}, first = 1, last = 0, waiting = 0, paused = 0,
    sleepers = {}, spare = {}, sent = 0, failed = 0, retried = 0, opened = 0, failures = 0, retry_at = 0,
    calm = limits.rate.connection ~= nil, bucket = limits.rate.total and rate.new(limits.rate.total, limits.rate.burst),
  }, Pool)
end

return pool
