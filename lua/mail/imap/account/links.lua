--- The links of an account: who has which, who waits, when one is opened and closed.
--
-- There is no task in the middle: whoever needs a link takes one that is free, opens one, or waits until somebody who
-- has finished hands one over; so it works on every loop, and without one. A lease is the right to a link, and
-- perhaps to a mailbox; whoever waits has one that is not served yet. They are served in the order in which they
-- came; one that waits for a mailbox is passed over by those that do not.
-- Coroutines may end without a word (nginx ends those of a request; in PUC Lua 5.1 errors pass unseen), and loops over
-- a fetch may be left without closing them: their links are found to be free by those who need one.
-- Invariant: a link belongs to one lease at most, and a mailbox's lock too.
-- @module mail.imap.account.links

local Err = require "mail.err"
local Pump = require "mail.pump"
local limits = require "mail.imap.account.limits"
local loop = require "mail.loop"
local set = require "mail.imap.set"

local Links = {}
Links.__index = Links

local running, status = coroutine.running, coroutine.status

-- How long the answer to the NOOP or LOGOUT of an idle link is waited for.
local PATIENCE = { timeout = 5 }

-- How often, in seconds, all garbage is collected to find loops that were left.
local COLLECT_EVERY = 1

-- Whoever runs here: a coroutine, or true for the main thread of Lua 5.1.
local function me() return running() or true end

local function is_over(co)
  if co == true then return false end
  local state = status(co)
  return state == "dead" or state == "zombie"
end

--- An error of the account's own.
function Links.error(kind, message, fields)
  local err = { kind = kind, message = message, protocol = "imap", command = "account" }
  for name, value in pairs(fields or {}) do err[name] = value end
  return Err.new(err)
end
local failure = Links.error

--- The links of an account.
-- @tparam table fields `account`, `connect` (function(timeout) → session; or nil, err), `loop`, `timeout` (of connect),
--   `max`, `idle`, `keep`, `backoff`, `queue` (how many may wait)
function Links.new(fields)
  fields.links, fields.leases, fields.locks, fields.waiting = {}, {}, {}, {}
  fields.watchers = setmetatable({}, { __mode = "k" })
  fields.opening, fields.cap, fields.failures, fields.again, fields.paused = 0, fields.max, 0, 0, 0
  fields.count = { opened = 0, lost = 0, throttled = 0, repeated = 0 }
  return setmetatable(fields, Links)
end

--- The loop that serves the caller; an account keeps to one while it has connections.
-- @treturn table the adapter; or nil, err
function Links:bind()
  local host = self.loop or loop.host()
  if host == self.host then return host end
  if self.host and (#self.links > 0 or self.opening > 0 or #self.waiting > 0) then
    return nil, failure("invalid", ("two loops in one account: it has connections on '%s' and is used on '%s'")
      :format(tostring(self.host.name), tostring(host.name)))
  end
  self.host, self.keeper = host, nil
  return host
end

-- --- counting -----------------------------------------------------------------------------------------

local function is_dead(link) return link.pump.failure ~= false end

-- Connections that watch, standing or being made; and how many there may be in all.
local function watching(self)
  local reserved, standing = 0, 0
  for _, watcher in pairs(self.watchers) do
    reserved = reserved + 1
    local pump = watcher.session and Pump.of(watcher.session)
    if watcher.opening or pump and not pump.failure then standing = standing + 1 end
  end
  return reserved, standing
end

-- How many connections there may be now: one more than the server has shown to take, when the pause is over.
local function room(self)
  if self.cap < self.max and self.host.now() >= self.again then return self.cap + 1 end
  return self.cap
end

local function drop(self, link)
  for i, other in ipairs(self.links) do
    if other == link then
      table.remove(self.links, i)
      break
    end
  end
  if is_dead(link) then self.count.lost = self.count.lost + 1 end
  link.session:close()
end

-- Takes away links that have died while nobody used them.
local function sweep(self)
  for i = #self.links, 1, -1 do
    local link = self.links[i]
    if not link.lease then
      if not is_dead(link) then link.pump:look() end
      if is_dead(link) then drop(self, link) end
    end
  end
end

--- Whether a link has that mailbox open in that way.
function Links.has_open(link, name, readonly)
  local box = link.pump.mailbox
  return box ~= nil and box == link.box and link.name == name and link.readonly == readonly
end
local has_open = Links.has_open

-- The free link that suits best: with the mailbox open, with none open, not used for longest.
local function best_free(self, want)
  local best, rank
  for _, link in ipairs(self.links) do
    if not link.lease and not is_dead(link) then
      local r = 1
      if want.mailbox and has_open(link, want.mailbox, want.readonly) then r = 3
      elseif not link.pump.mailbox then r = 2 end
      if not best or r > rank or r == rank and link.used < best.used then best, rank = link, r end
    end
  end
  return best
end

-- --- serving ------------------------------------------------------------------------------------------

local function may_open(self, want)
  if self.host.now() < self.again then return false end
  local reserved, standing = watching(self)
  if want.watch then return #self.links + self.opening + standing < room(self) end
  return #self.links + self.opening < math.max(1, room(self) - reserved)
end

-- Serves a lease where that is possible now.
local function serve(self, lease)
  local want = lease.want
  local link = not want.watch and best_free(self, want) or nil
  if not link and not may_open(self, want) then
    local spare = want.watch and self.host.now() >= self.again and best_free(self, want)
    if not spare then return false end
    drop(self, spare)
    if not may_open(self, want) then return false end
  end
  if link then
    lease.link, link.lease = link, lease
  else
    lease.opens, self.opening = true, self.opening + 1
  end
  if want.lock then self.locks[want.mailbox] = lease end
  self.leases[lease] = true
  return true
end

-- Serves those who wait, in their order.
local function dispatch(self)
  if #self.waiting == 0 or self.host.now() < self.paused then return end
  sweep(self)
  local i = 1
  while i <= #self.waiting do
    local lease = self.waiting[i]
    if is_over(lease.co) then
      table.remove(self.waiting, i)
    elseif lease.want.lock and (self.locks[lease.want.mailbox] or lease) ~= lease then
      i = i + 1
    elseif serve(self, lease) then
      table.remove(self.waiting, i)
      lease.event:set()
    elseif lease.want.watch then
      i = i + 1
    else
      return
    end
  end
end

-- Tells everybody who waits that there is nothing to wait for.
local function refuse_all(self, err)
  local list = self.waiting
  self.waiting = {}
  for _, lease in ipairs(list) do
    lease.err = err
    lease.event:set()
  end
end

local function unlock(self, lease)
  local name = lease.want.lock and lease.want.mailbox
  if name and self.locks[name] == lease then self.locks[name] = nil end
end

-- What lives with a connection goes with the lease: IDLE, handlers, the result that "$" stands for.
local function clean(link)
  local pump = link.pump
  if pump.idling then pump.idling:close() end
  pump.handlers, pump.shared = nil, nil
  pump.unsaved = set.box(pump)
  if link.doubt then link.box, link.doubt = nil, nil end -- a call failed: it is opened anew
end

--- Gives back what a lease has, to the first in the queue.
function Links:release(lease)
  if not self.leases[lease] then return end
  self.leases[lease] = nil
  unlock(self, lease)
  local link = lease.link
  lease.link = nil
  if lease.opens then
    lease.opens, self.opening = nil, self.opening - 1
  elseif link then
    link.lease, link.used = nil, self.host.now()
    if not is_dead(link) then clean(link) end
    local reserved = watching(self)
    if is_dead(link) or self.closed or #self.links + self.opening > math.max(1, room(self) - reserved) then
      drop(self, link)
    end
  end
  dispatch(self)
  self:look_after()
end

-- Frees what belongs to coroutines that are no more, and to loops that nobody holds.
local function reclaim(self)
  local list = {}
  for lease in pairs(self.leases) do list[#list + 1] = lease end
  for _, lease in ipairs(list) do
    if lease.loop then
      if lease.loop[1] == nil then
        lease.inner:close()
        self:release(lease)
      end
    elseif is_over(lease.co) then
      if lease.link then lease.link.session:close() end
      self:release(lease)
    end
  end
end

-- --- waiting ------------------------------------------------------------------------------------------

--- The link that the running coroutine has already and that suits.
function Links:own(want)
  local co = me()
  for lease in pairs(self.leases) do
    local link = lease.link
    if lease.co == co and link and not is_dead(link) and not want.watch
      and (not want.mailbox or has_open(link, want.mailbox, want.readonly)) then
      return link
    end
  end
end

-- Why it would wait for itself: an error, or nil.
local function would_wait_for_itself(self, want)
  local co, held = me(), 0
  local holder = want.lock and self.locks[want.mailbox]
  if holder and holder.co == co then
    return failure("invalid", ("this coroutine has '%s' already, opened otherwise"):format(want.mailbox))
  end
  for lease in pairs(self.leases) do
    if lease.co == co then held = held + 1 end
  end
  local reserved = watching(self)
  if held > 0 and held >= math.max(1, self.max - reserved) then
    return failure("invalid", "this coroutine has all links of the account")
  end
end

-- Loops that were left may have all links.
local function find_lost_loops(self)
  local now = self.host.now()
  if self.collected and now - self.collected < COLLECT_EVERY then return end
  for lease in pairs(self.leases) do
    if lease.loop then
      self.collected = now
      collectgarbage()
      return reclaim(self)
    end
  end
end

-- What keeps everybody from being served until a certain time: that time, and why.
local function held_up(self)
  local now = self.host.now()
  if self.paused > now then return self.paused, self.trouble end
  if #self.links == 0 and self.opening == 0 and self.again > now then return self.again, self.trouble end
end

-- The same trouble, told to somebody who did not meet it himself.
local function retold(self, err, till)
  local copy = {}
  for name, value in pairs(err) do copy[name] = value end
  copy.retry_after = till - self.host.now()
  return Err.new(copy)
end

local function gave_up(self, lease, why)
  for i, other in ipairs(self.waiting) do
    if other == lease then
      table.remove(self.waiting, i)
      break
    end
  end
  self:release(lease)
  if Err.is(why) then return nil, why end
  if why == "cancelled" then return nil, failure("cancelled", "the call was cancelled") end
  if why ~= "timeout" then return nil, failure("closed", tostring(why)) end
  local last = self.trouble and "; last error: " .. self.trouble.message or ""
  return nil, failure("timeout", "no link came free in time" .. last)
end

-- Waits until the lease is served: true; or nil, err.
local function wait(self, lease, deadline)
  while not (lease.link or lease.opens) do
    if lease.err then return nil, lease.err end
    local now = self.host.now()
    local till, trouble = held_up(self)
    if till and trouble and (till > deadline or not trouble.temporary) then
      gave_up(self, lease, "timeout")
      return nil, retold(self, trouble, till)
    end
    till = till or (self.again > now and self.again) or deadline
    local ok, why = lease.event:wait(math.max(0, math.min(deadline, till) - now))
    if not ok and (why ~= "timeout" or self.host.now() >= deadline) and not (lease.link or lease.opens) then
      return gave_up(self, lease, why)
    end
    if not (lease.link or lease.opens) then dispatch(self) end
  end
  return true
end

-- --- opening ------------------------------------------------------------------------------------------

-- A connection could not be had: the next tries wait, and there are fewer if the server has enough of us.
local function set_back(self, err)
  local now, b = self.host.now(), self.backoff
  if now >= self.again then self.failures = math.min(self.failures + 1, 30) end -- one step for all that tried at once
  local seconds = math.min(b.min * 2 ^ (self.failures - 1), b.max)
  self.again = now + math.max(seconds, tonumber(err.retry_after) or 0)
  local crowded = limits.is_crowded(err)
  if crowded then
    self.count.throttled = self.count.throttled + 1
    local _, standing = watching(self)
    self.cap = math.max(1, #self.links + standing)
    err.temporary = true
  end
  self.trouble = err
  return crowded
end

--- The server wants fewer commands for a while.
function Links:throttled(err)
  local now, b = self.host.now(), self.backoff
  self.count.throttled = self.count.throttled + 1
  self.failures = math.min(self.failures + 1, 30)
  local seconds = tonumber(err.retry_after) or math.min(b.min * 2 ^ (self.failures - 1), b.max)
  self.paused, self.again, self.trouble = now + seconds, now + seconds, err
  local _, standing = watching(self)
  self.cap = math.max(1, math.ceil((#self.links + standing) / 2))
  err.temporary = true
end

-- Seconds for a connection that must stand by `deadline`.
local function connect_timeout(self, deadline)
  local t = self.timeout or 30
  if type(t) == "number" then t = { answer = t } end
  local left = math.max(0, deadline - self.host.now())
  return { connect = math.min(t.connect or t.answer or 30, left), answer = t.answer, data = t.data }
end

-- A session for the lease: it; or nil, err, and true where the lease may wait for another one's link.
local function open(self, lease, deadline)
  local session, err = self.connect(connect_timeout(self, deadline))
  if session and self.closed then
    session:close()
    return nil, failure("closed", "the account is closed")
  elseif session then
    self.count.opened, self.failures, self.trouble = self.count.opened + 1, 0, nil
    local _, standing = watching(self)
    self.cap = math.min(self.max, math.max(self.cap, #self.links + standing + 1))
    return session
  end
  if err.kind == "cancelled" or err.kind == "timeout" and self.host.now() >= deadline then return nil, err end
  local crowded = set_back(self, err)
  if lease.want.watch then return nil, err end
  if #self.links == 0 and self.opening == 1 and not crowded then refuse_all(self, err) end
  return nil, err, #self.links > 0 or crowded
end

-- Puts a lease that has waited already before all others; it keeps its lock.
local function wait_again(self, lease)
  lease.opens, self.opening = nil, self.opening - 1
  table.insert(self.waiting, 1, lease)
  dispatch(self)
end

-- Opens a link for a lease that is to: true; or nil, err.
local function open_link(self, lease, deadline)
  while lease.opens do
    local session, err, others = open(self, lease, deadline)
    if session then
      lease.opens, self.opening = nil, self.opening - 1
      local link = { session = session, pump = Pump.of(session), lease = lease, used = self.host.now() }
      link.pump.account = self.account
      lease.link = link
      table.insert(self.links, link)
      dispatch(self)
      return true
    end
    if not others then
      self:release(lease)
      return nil, err
    end
    wait_again(self, lease)
    local ok
    ok, err = wait(self, lease, deadline)
    if not ok then
      self:release(lease)
      return nil, err
    end
  end
  return true
end

--- A link for the running coroutine, now or later.
-- @tparam table want `mailbox`, `readonly`, `lock` (nobody else changes that mailbox meanwhile), `watch` (a connection
--   of its own)
-- @tparam number deadline
-- @treturn table lease, with its `link`; or nil, err
function Links:acquire(want, deadline)
  if self.closed then return nil, failure("closed", "the account is closed") end
  reclaim(self)
  if #self.waiting >= self.queue then
    return nil, failure("limit", ("%d calls wait already"):format(#self.waiting), { temporary = true })
  end
  local lease = { want = want, co = me(), event = self.host.event() }
  table.insert(self.waiting, lease)
  dispatch(self)
  if not (lease.link or lease.opens) then
    local err = would_wait_for_itself(self, want)
    if err then
      gave_up(self, lease, "timeout")
      return nil, err
    end
    find_lost_loops(self)
  end
  local ok, err = wait(self, lease, deadline)
  if not ok then return nil, err end
  if lease.opens and not want.watch then ok, err = open_link(self, lease, deadline) end
  if not ok then return nil, err end
  return lease
end

-- --- connections that watch ---------------------------------------------------------------------------

--- Reserves a connection for a watch. @treturn boolean true; or nil, err
function Links:reserve(it)
  local reserved = watching(self)
  if reserved + 1 >= self.max then
    return nil, failure("limit", ("%d of %d links watch already, and one must be left"):format(reserved, self.max))
  end
  self.watchers[it] = {}
  return true
end

--- A connection for a watch. @treturn userdata session; or nil, err
function Links:watch(it)
  local host, err = self:bind()
  if not host then return nil, err end
  local watcher = self.watchers[it] or {}
  local t = self.timeout or 30
  local deadline = host.now() + (type(t) == "table" and (t.connect or t.answer or 30) or t)
  local lease
  lease, err = self:acquire({ watch = true }, deadline)
  if not lease then
    if err.kind == "timeout" or err.kind == "limit" then err.temporary = true end
    return nil, err
  end
  watcher.opening = true
  local session
  session, err = open(self, lease, deadline)
  watcher.opening, watcher.session = nil, session
  self:release(lease)
  return session, err
end

--- A watch has ended.
function Links:unreserve(it)
  self.watchers[it] = nil
  if self.host then dispatch(self) end
end

-- --- links that nobody uses ---------------------------------------------------------------------------

-- Closes those whose time is over, or asks them (NOOP) where they are to be kept; when to look again.
local function tend(self)
  local free, again, kept = {}, nil, 0
  sweep(self)
  for i, link in ipairs(self.links) do free[i] = link end
  for _, link in ipairs(free) do
    local due, idle = link.used + self.idle, not link.lease and not is_dead(link)
    if idle and due <= self.host.now() then
      local lease = { want = {}, co = me(), link = link }
      link.lease, self.leases[lease] = lease, true
      due = self.host.now() + self.idle
      if kept < self.keep then link.session:noop(PATIENCE) else link.session:logout(PATIENCE) end
      self:release(lease)
    end
    if idle and not is_dead(link) then kept, again = kept + 1, math.min(again or due, due) end
  end
  return again
end

local function keep(self, keeper)
  while self.keeper == keeper do
    local again = tend(self)
    if not again then break end
    keeper:wait(math.max(0.01, again - self.host.now()))
  end
  if self.keeper == keeper then self.keeper = nil end
end

--- Sees to it that idle links are closed or kept, where the host can run a task for that. In nginx connections end
-- with the request anyway, and a task would keep it from ending.
function Links:look_after()
  local host = self.host
  if self.keeper or self.closed or host.stranger or self.idle == math.huge or #self.links == 0 then return end
  local spawn = host.background or me() ~= true and host.spawn
  if not spawn then return end
  self.keeper = host.event()
  spawn(keep, self, self.keeper)
end

-- --- the end ------------------------------------------------------------------------------------------

--- Drops all connections; who waits is told so.
function Links:close()
  self.closed = true
  local keeper = self.keeper
  self.keeper = nil
  if keeper then keeper:set() end
  refuse_all(self, failure("closed", "the account is closed"))
  local watchers = {}
  for it in pairs(self.watchers) do watchers[#watchers + 1] = it end
  for _, it in ipairs(watchers) do it:close() end
  for _, link in ipairs(self.links) do link.session:close() end
  self.links = {}
end

--- Figures for `account:stats`.
function Links:stats()
  local s = { links = #self.links, idle = 0, busy = 0, opening = self.opening, waiting = #self.waiting }
  for _, link in ipairs(self.links) do
    local what = link.lease and "busy" or "idle"
    s[what] = s[what] + 1
  end
  s.watching = watching(self)
  s.limit, s.error = self.host and room(self) or self.cap, self.trouble
  local now = self.host and self.host.now() or 0
  local till = math.max(self.paused, self.again)
  s.retry_in = till > now and till - now or nil
  for name, value in pairs(self.count) do s[name] = value end
  return s
end

return Links
