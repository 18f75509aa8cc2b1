--- An array of messages for a pool: divided among its connections, one behind another on each.
--
-- The caller and, where the loop can run tasks, some helpers take messages from one list: a place on a
-- connection, as many messages as are fair, their answers, the next place. An array has no more rights than as
-- many coroutines would have: places, rates and the bounds of a connection hold for each message.
-- Invariant: a message has one result in the end, and is never sent again once a recipient was accepted.
-- @module mail.smtp.pool.batch

local connections = require "mail.smtp.pool.connections"
local guarded = require "mail.guarded"
local opening = require "mail.smtp.pool.opening"
local pipeline = require "mail.smtp.send".pipeline
local queue = require "mail.smtp.pool.queue"
local sending = require "mail.smtp.pool.sending"

local batch = {}

-- How many messages go behind one another before others have their turn on the connection.
local RUN = 16

local insert, remove = table.insert, table.remove

-- --- the list ---------------------------------------------------------------------------------------------

-- The next message that nobody has taken; nil at the end.
local function take(job)
  local again = remove(job.again)
  if again then return again end
  if job.next > #job.list then return nil end
  job.next = job.next + 1
  return job.next - 1
end

local function fail(job, i, err)
  if err.kind == "cancelled" then job.stop = err end
  job.results[i] = err
  job.pool.failed = job.pool.failed + 1
end

-- What nobody has taken has this error.
local function give_up(job, err)
  local i = take(job)
  while i do
    fail(job, i, err)
    i = take(job)
  end
end

local function is_text(job, i)
  return type(job.list[i].message) == "string"
end

-- --- some of them on one connection -----------------------------------------------------------------------

-- Whether the rates allow that message now, behind others; takes its turn.
local function has_turn(job, record, i)
  local self = job.pool
  local now, bucket, calm = self.host.now(), not job.turns[i] and self.bucket or nil, record.rate
  if bucket and bucket:when(now) > now or calm and calm:when(now) > now then return false end
  if bucket then bucket:take(now) end
  if calm then calm:take(now) end
  job.turns[i] = true
  return true
end

-- More messages behind the first one: as many as the connection takes, and no more than a fair share.
local function fill(job, record, run)
  if not record.pump.capabilities.PIPELINING then return end
  local share = math.min(RUN, math.ceil((#job.list - job.next + 2) / job.workers))
  while #run < share and not record.spent do
    local i = take(job)
    if not i then return end
    if not is_text(job, i) or not has_turn(job, record, i) then return insert(job.again, i) end
    run[#run + 1] = i
    record.count = record.count + 1
    if record.count >= record.most then record.spent = true end
  end
end

-- That message was not sent; `again`: another connection may do that.
local function unsent(job, record, i, err, again)
  local self = job.pool
  if again and not record.proved then job.tries[i] = (job.tries[i] or 0) + 1 end
  if not again or (job.tries[i] or 0) > self.limits.retry then return fail(job, i, err) end
  self.retried = self.retried + 1
  job.waited[i] = true
  insert(job.again, 1, i)
end

-- Sends those of `run` and gathers their answers.
local function send_run(job, record, run)
  local self, list, useless = job.pool, {}, nil
  for k, i in ipairs(run) do list[k] = job.list[i] end
  local ok, why = guarded(pipeline, record.pump, list, function(options)
    return self.host.now() + sending.patience(self, options)
  end, function(k, receipt, err, untouched)
    if receipt == false then
      job.raised = job.raised or { err }
    elseif receipt then
      self.sent, self.failures, record.proved = self.sent + 1, 0, true
      job.results[run[k]] = receipt
    else
      local again = sending.learn(self, record, err, untouched)
      if again then useless = err end
      unsent(job, record, run[k], err, again)
    end
  end)
  if not ok then job.raised = job.raised or { why } end
  if useless then opening.lost(self, record, useless) end
end

-- A place on a connection for message `i`: record; or nil, err.
local function place(job, i, deadline)
  local self = job.pool
  if self.bucket and not job.turns[i] then
    local ok, err = sending.wait_turn(self, self.host.now(), deadline)
    if not ok then return nil, err end
    job.turns[i] = true
  end
  return opening.acquire(self, self.host.now(), deadline, job.waited[i])
end

-- The message `i`, and those that can go with it. True; or nil, err where no connection was to be had.
local function send_from(job, i)
  local self = job.pool
  local deadline = self.host.now() + sending.patience(self, job.list[i])
  local record, err = place(job, i, deadline)
  if not record then
    fail(job, i, err)
    return nil, err
  end
  local run, ready, again = { i }, true, nil
  if record.rate or record.stale then ready, err, again = sending.prepare(self, record, deadline) end
  if ready then
    fill(job, record, run)
    send_run(job, record, run)
  else
    unsent(job, record, i, err, again)
  end
  queue.release(self, record)
  return true
end

-- A message that is read piece by piece goes alone.
local function send_alone(job, i)
  local ok, receipt, err = guarded(sending.one, job.pool, job.list[i])
  if not ok then
    job.raised = job.raised or { receipt }
  elseif receipt then
    job.results[i] = receipt
  else
    job.results[i] = err -- which is counted
    if err.kind == "cancelled" then job.stop = err end
  end
end

-- --- those who send ---------------------------------------------------------------------------------------

-- Whoever gets no connection leaves the rest to the others; the last of them has nobody to leave it to, and
-- does not wait in vain for one message after another.
local function work(job)
  job.active = job.active + 1
  while not (job.stop or job.raised) do
    local i = take(job)
    if not i then break end
    if not is_text(job, i) then
      send_alone(job, i)
    else
      local ok, err = send_from(job, i)
      if not ok then
        if job.active == 1 then give_up(job, err) end
        break
      end
    end
  end
  job.active = job.active - 1
end

local function help(job)
  work(job)
  job.helpers = job.helpers - 1
  job.event:set()
end

-- How many send side by side: nobody beside the caller where nothing can run beside it.
local function workers(self, count)
  if self.transient or not self.host.spawn or connections.is_main() then return 1 end
  return math.max(1, math.min(self.limits.size, math.ceil(count / RUN)))
end

local function send_out(job)
  local self = job.pool
  job.workers = workers(self, #job.list)
  for _ = 2, job.workers do
    job.event = job.event or self.host.event()
    job.helpers = job.helpers + 1
    self.host.spawn(help, job)
  end
  work(job)
end

-- Waits for the helpers, each of which ends by its own deadlines.
local function join(job)
  local ended = false
  while job.helpers > 0 and not ended do
    local ok, why = job.event:wait(1)
    if not ok and why ~= "timeout" then
      ended = job.stop ~= nil
      job.stop = job.stop or select(2, queue.failure("cancelled", "the call was cancelled"))
    end
  end
end

--- Sends all of them. Misuse raises once those that were begun have ended.
-- @tparam table self the pool
-- @tparam table list array of options, which were checked
-- @tparam ?table closed why nothing can be sent at all
-- @treturn table array of receipts and errors
function batch.send(self, list, closed)
  local job = { pool = self, list = list, results = {}, next = 1, again = {}, tries = {}, turns = {}, waited = {},
    active = 0, helpers = 0 }
  if not closed then
    send_out(job)
    join(job)
  end
  if job.raised then sending.raise(job.raised[1], 3) end
  if job.stop then give_up(job, job.stop) end
  for i = 1, #list do job.results[i] = job.results[i] or closed or job.stop end
  return job.results
end

return batch
