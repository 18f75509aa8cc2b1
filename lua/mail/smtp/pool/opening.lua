--- How a pool gets its connections: by whoever needs one, and not too often where that fails.
--
-- After a failure that may pass one caller at a time tries again, each time after twice the pause. One that
-- will not pass (a password, a certificate) is told to everybody who waits, and to those who come before the
-- pause is over: a server that locks accounts is not asked a thousand times.
-- Where other connections stand, whoever failed waits for one of them.
-- @module mail.smtp.pool.opening

local adapter = require "mail.io.adapter"
local connect = require "mail.connect"
local connections = require "mail.smtp.pool.connections"
local guarded = require "mail.guarded"
local loop = require "mail.loop"
local queue = require "mail.smtp.pool.queue"
local smtp = require "mail.smtp"

local opening = {}

local running, take = coroutine.running, connections.take

--- A connection could not be opened, or died before it was of use: the next tries wait.
function opening.set_back(self, err)
  local b = self.limits.back_off
  self.failures = self.failures + 1
  self.broken = err
  self.retry_at = self.host.now() + math.min(b[1] * 2 ^ (self.failures - 1), b[2])
end

--- A connection has ended with messages that another one may send: a failure where it was of no use before, and one
-- of however many messages.
function opening.lost(self, record, err)
  if record.proved or record.failed then return end
  record.failed = true
  opening.set_back(self, err)
end

-- The options of one connection, which must stand by `deadline`.
local function settings(self, deadline)
  local o = {}
  for name, value in pairs(self.options) do o[name] = value end
  local t = o.timeout or 30
  if type(t) == "number" then t = { answer = t } end
  local seconds, left = t.connect or t.answer or 30, deadline - self.host.now()
  o.timeout = { connect = seconds < left and seconds or left, answer = t.answer, data = t.data }
  o.loop = self.host
  return o
end

-- One try: record; or nil, err, and true where that says nothing of the server.
local function try(self, deadline)
  if self.broken and self.host.now() < self.retry_at then
    if self.retry_at > deadline or not self.broken.temporary then return nil, self.broken end
    local ok, err = queue.pause(self, self.retry_at, deadline)
    if not ok then return nil, err, true end
  end
  local session, err = connect.open(smtp, settings(self, deadline))
  if session and self.ended then
    session:close()
    return nil, select(2, queue.failure("closed", "the pool is closed", false)), true
  end
  if session then
    self.opened, self.broken = self.opened + 1, nil
    return connections.record(self, session)
  end
  if err.kind == "cancelled" or (err.kind == "timeout" and self.host.now() >= deadline) then return nil, err, true end
  opening.set_back(self, err)
  return nil, err
end

local function opened(self, record)
  queue.end_opening(self, queue.me())
  table.insert(self.records, record)
  connections.occupy(self, record, queue.me())
  queue.dispatch(self)
  return record
end

-- The caller, whom `opening` counts, gives up.
local function failed(self, err, for_all)
  queue.end_opening(self, queue.me())
  if for_all then queue.refuse_all(self, err) end
  queue.dispatch(self)
  return nil, err
end

-- Opens a connection for the caller, whom `opening` counts already: record; or nil, err.
local function open(self, deadline)
  local tries = 0
  while true do
    local fine, record, err, own = guarded(try, self, deadline)
    if not fine then -- a function of the user's own raised
      failed(self)
      error(record, 0)
    end
    if record then return opened(self, record) end
    if own then return failed(self, err) end
    tries = tries + 1
    if #self.records == 0 and self.opening == 1 then
      if not err.temporary then return failed(self, err, true) end
      -- Before the next try may begin, this call's time is over.
      if tries > self.limits.retry or self.retry_at > deadline then return failed(self, err) end
    else
      queue.end_opening(self, queue.me())
      local place, opens, why = queue.wait(self, deadline, true)
      if not opens then return place, why end
    end
  end
end

--- The loop that serves the caller. A pool keeps to one while it has connections.
-- @treturn table the adapter; or nil, err
function opening.bind(self)
  local host = self.options.loop or loop.host()
  if host == self.host then return host end
  if self.host and (#self.records > 0 or self.opening > 0 or self.waiting > 0) then
    return queue.failure("invalid", ("two loops in one pool: it has connections on '%s' and is used on '%s'")
      :format(tostring(self.host.name), tostring(host.name)), false)
  end
  self.host, self.keeper = host, nil
  self.transient = host.stranger ~= nil
  if not rawget(host, "wait") then self.check = math.min(self.check, 1) end -- it cannot be read in passing
  queue.begin(self, host)
  return host
end

--- A place on a connection, now or later.
-- @tparam table self the pool
-- @tparam number now
-- @tparam number deadline absolute
-- @tparam boolean again the caller had one, which died
-- @treturn table record; or nil, err
function opening.acquire(self, now, deadline, again)
  local record, opens
  if self.first > self.last then
    record, opens = take(self, running() or true, now)
    if record then return record end
  end
  local host, err = opening.bind(self)
  if not host then return nil, err end
  err = adapter.refusal(host)
  if err then return nil, err end
  local broken = self.broken
  if broken and not broken.temporary and #self.records == 0 and now < self.retry_at then return nil, broken end
  if opens then
    queue.begin_opening(self, queue.me())
  else
    record, opens, err = queue.wait(self, deadline, again)
  end
  if opens then return open(self, deadline) end
  return record, err
end

return opening
