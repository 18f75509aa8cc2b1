--- One message of a pool: a connection for it, its rates, and another try where that is safe.
--
-- The usual message goes through here alone, so what is here is on the way of each.
-- Invariant: a message of which a recipient was accepted is never sent a second time.
-- @module mail.smtp.pool.sending

local guarded = require "mail.guarded"
local opening = require "mail.smtp.pool.opening"
local queue = require "mail.smtp.pool.queue"
local replay = require "mail.smtp.pool.replay"
local transact = require "mail.smtp.send".transact

local sending = {}

local acquire, release = opening.acquire, queue.release

-- How long an unanswered NOOP is waited for.
local PATIENCE = 5

--- Seconds for a call, waiting for a connection and all.
local function patience(self, options)
  local seconds = options.timeout
  if seconds == nil then return self.patience end
  if type(seconds) == "table" then return seconds.answer or self.patience end
  return seconds
end
sending.patience = patience

--- Waits for the rate of a connection; asks one that was not used for long whether it stands. True; or nil,
-- err, and true where another connection may do.
local function prepare(self, record, deadline)
  local host = self.host
  if record.rate then
    local now = host.now()
    local at = record.rate:when(now)
    if at < deadline then record.rate:take(now) end
    if at > now then
      local ok, err = queue.pause(self, at, deadline)
      if not ok then return nil, err end
    end
  end
  if not record.stale then return true end
  record.stale = false
  local left = deadline - host.now()
  local ok, err = record.session:noop { timeout = left < PATIENCE and left or PATIENCE }
  if ok then return true end
  record.bad = true
  return nil, err, host.now() < deadline and err.kind ~= "cancelled"
end
sending.prepare = prepare

-- Kinds after which the connection is as it was.
local HARMLESS = { rejected = true, unsupported = true, invalid = true, io = true }

--- What an error means for the connection that it was met on; true where another one may send the message. 421
-- announces the end of this one (RFC 5321 §3.8); a server that refuses with care is well.
local function learn(self, record, err, untouched)
  if not HARMLESS[err.kind] or err.code == 421 then
    record.bad = true
  elseif err.kind == "rejected" then
    self.failures, record.proved = 0, true
  end
  if err.kind == "closed" then return untouched end
  return err.code == 421 and (err.command == "MAIL" or err.command == "RCPT")
end
sending.learn = learn

--- Raises a misuse with the caller's line in place of ours; any other error as it is.
local function raise(why, level)
  local misuse = type(why) == "string" and (":1: " .. why):match "^[^\n]-:%d+: [A-Za-z]+:send: (.*)$"
  if misuse then error("pool:send: " .. misuse, level + 1) end
  error(why, 0)
end
sending.raise = raise

-- One attempt on that connection: receipt; or nil, err, and true where another connection may do.
local function attempt(self, record, options, deadline)
  if record.rate or record.stale then
    local ready, err, again = prepare(self, record, deadline)
    if not ready then
      release(self, record)
      return nil, err, again
    end
  end
  local ok, receipt, err, untouched = guarded(transact, record.pump, options, deadline)
  if ok and receipt then
    self.sent, self.failures, record.proved = self.sent + 1, 0, true
    release(self, record)
    return receipt
  end
  if not ok then
    release(self, record)
    raise(receipt, 5)
  end
  local again = learn(self, record, err, untouched)
  if again then opening.lost(self, record, err) end
  release(self, record)
  return nil, err, again
end

-- Tries until it is sent, or must not be tried again.
local function send(self, options, now, deadline)
  local tries, again_first, rewind = 0, false, nil
  if type(options.message) ~= "string" then options, rewind = replay.options(options) end
  while true do
    local record, receipt, why, again
    record, why = acquire(self, now, deadline, again_first)
    if record then
      receipt, why, again = attempt(self, record, options, deadline)
      if receipt then return receipt end
    end
    -- One that has served others may have died of age, and so may the next: that is no try.
    if again and not record.proved then tries = tries + 1 end
    if not again or tries > self.limits.retry or (rewind and not rewind()) then
      self.failed = self.failed + 1
      return nil, why
    end
    again_first = true
    self.retried = self.retried + 1
    now = self.host.now()
  end
end

--- Waits until the rate of the whole pool allows a message: true; or nil, err.
local function wait_turn(self, now, deadline)
  local bucket = self.bucket
  local at = bucket:when(now)
  if at <= now then
    bucket:take(now)
    return true
  end
  if self.paused >= self.limits.queue then
    return queue.failure("limit", ("%d calls wait already"):format(self.paused), true)
  end
  if at < deadline then bucket:take(now) end
  self.paused = self.paused + 1
  local ok, err = queue.pause(self, at, deadline)
  self.paused = self.paused - 1
  if not ok then queue.told(self) end
  return ok, err
end
sending.wait_turn = wait_turn

--- Everything but the checks: receipt; or nil, err.
function sending.one(self, options)
  local now = self.host.now()
  local deadline = now + patience(self, options)
  if self.bucket then
    local ok, err = wait_turn(self, now, deadline)
    if not ok then return nil, err end
    now = self.host.now()
  end
  local receipt, err = send(self, options, now, deadline)
  return receipt, err
end

return sending
