--- One session that all requests of a worker share: the timer that owns it, and the calls handed to it.
--
-- A request puts a function into the owner's queue and waits; a light thread of the timer runs it with the
-- session. Each session has a timer of its own, so what nginx keeps for a timer is given back when it ends,
-- and an owner that waits for its next try holds none. When the worker leaves, the timer sees it within a
-- quarter of a second, closes the session and ends.
-- Invariant: only threads of the timer touch the session; a job is answered once, by the value of `done`.
-- @module mail.resty.owner

local Err = require "mail.err"
local Pump = require "mail.pump"
local connect = require "mail.connect"
local core = require "mail.core"
local identity = require "mail.identity"
local openresty = require "mail.io.openresty"
local want = require "mail.want"

local M = {}

local ngx = ngx -- nil outside of nginx
local now = core.now
local unpack = table.unpack or unpack -- luacheck: ignore
local function pack(...) return { n = select("#", ...), ... } end

local OPTIONS = {
  imap = "table|string?", smtp = "table|string?", pop3 = "table|string?", open = "function?", queue = "number?",
  parallel = "number?", timeout = "number?", back_off = "table?", noop = "number?",
}
-- Seconds: how often the timer looks up; how long threads may take to end by themselves; the age from
-- which a session's end is no reason to wait before the next.
local LOOK, PATIENCE, OLD = 0.25, 0.5, 10

local Owner = {}
Owner.__index = Owner
Owner.__name = "mail.resty.owner"

local owners = {} -- name → owner

local function failure(self, kind, message, ...)
  return Err.new { kind = kind, message = ("owner '%s': "):format(self.name) .. message:format(...), temporary = true }
end

-- --- calls ------------------------------------------------------------------------------------------

local function answer(self, job, ...)
  self.running[job] = nil
  if job.done then return end
  job.done = pack(...)
  job.event:set()
end

local function run_job(self, session, job)
  self.running[job] = true
  answer(self, job, pcall(job.fn, session, self))
  self.used = now()
end

-- Takes a call back that nobody waits for any more.
local function withdraw(self, job)
  for i, other in ipairs(self.queue) do
    if other == job then return table.remove(self.queue, i) end
  end
end

local function say_late(self, seconds)
  local why = self.state ~= "ready" and self.err and "; last error: " .. tostring(self.err) or ""
  return failure(self, "timeout", "no answer in %g s (%s%s)", seconds, self.state, why)
end

--- Runs `fn(session, owner)` in the owner's timer and waits for it. A session that is being opened is
-- waited for. Calls run side by side, as many as `parallel` says.
-- @tparam function fn what it returns is returned; what it raises is raised here
-- @tparam[opt] table options `timeout`: seconds, for waiting and running together
-- @return the function's values; or nil, err: kind "limit" where too many calls wait, "timeout", "closed"
--   where the owner ends or loses its session meanwhile, "unsupported" in a phase that cannot wait
function Owner:call(fn, options)
  if type(fn) ~= "function" then error("owner:call: a function expected, got " .. type(fn), 2) end
  want(options or {}, { timeout = "number?" }, "owner:call")
  if self.session and self.handler == openresty.handler() then return fn(self.session, self) end
  local err = openresty.refusal()
  if err then return nil, err end
  if self.stopped then return nil, failure(self, "closed", "it has ended") end
  if #self.queue >= self.options.queue then
    return nil, failure(self, "limit", "%d calls wait already", #self.queue)
  end
  local job = { fn = fn, event = openresty.event() }
  self.queue[#self.queue + 1] = job
  if self.wake:count() < 1 then self.wake:post(1) end
  local seconds = options and options.timeout or self.options.timeout
  job.event:wait(seconds)
  if not job.done then
    withdraw(self, job)
    job.done = true
    return nil, say_late(self, seconds)
  end
  if job.done[1] then return unpack(job.done, 2, job.done.n) end
  error(job.done[2], 0)
end

-- --- the timer --------------------------------------------------------------------------------------

-- Whoever still waits is told that the session, or all, is over.
local function dismiss(self, jobs, message)
  for _, job in ipairs(jobs) do answer(self, job, true, nil, failure(self, "closed", message)) end
end

local function running_jobs(self)
  local list = {}
  for job in pairs(self.running) do list[#list + 1] = job end
  return list
end

local function finish(self)
  self.stopped, self.state = true, "stopped"
  if owners[self.name] == self then owners[self.name] = nil end
  local queue = self.queue
  self.queue = {}
  dismiss(self, queue, "it has ended")
end

local function ending(self)
  return self.stopped or ngx.worker.exiting()
end

local function pump_of(session)
  return type(session) == "userdata" and Pump.of(session) or nil
end

-- Why the session is over: true, or an error; nil while it lives.
local function over(self, session)
  if ending(self) then return true end
  local pump = pump_of(session)
  return self.body_error or pump and pump.failure and (pump.last_error or pump.failure)
end

-- A light thread: runs what is queued while the session lives.
local function serve(self, session)
  while self.session == session and not over(self, session) do
    local job = table.remove(self.queue, 1)
    if job then run_job(self, session, job) else self.wake:wait(LOOK) end
  end
end

-- A session that nobody uses or watches is asked now and then, so that its end is noticed.
local function keep_alive(self, session)
  if self.body_running or next(self.running) or now() - self.used < self.options.noop then return end
  self.used = now()
  if pump_of(session) then session:noop() end
end

-- The user's function; its errors mean a new session, its return does not.
local function body(self, session)
  local ok, err = pcall(self.fn, session, self)
  self.body_running = nil
  if not ok then self.body_error = err end
end

local function any_alive(threads)
  for _, thread in ipairs(threads) do
    local status = coroutine.status(thread)
    if status ~= "zombie" and status ~= "dead" then return true end
  end
end

-- Lets the threads end by themselves, then ends them.
local function collect(threads)
  local give_up = now() + PATIENCE
  while any_alive(threads) and now() < give_up do ngx.sleep(0.02) end
  for _, thread in ipairs(threads) do
    ngx.thread.kill(thread)
  end
end

local function close(session)
  pcall(function() session:close() end)
end

-- One session from its opening to its end; returns why it ended.
local function live(self)
  self.state = "connecting"
  local session, err = self.open()
  if not session then return err or "it could not be opened" end
  self.handler, self.state, self.err = openresty.handler(), "ready", nil
  self.since, self.used, self.body_error, self.body_running = now(), now(), nil, self.fn ~= nil or nil
  self.session = session
  local threads = {}
  if self.fn then threads[1] = ngx.thread.spawn(body, self, session) end
  for _ = 1, self.options.parallel do threads[#threads + 1] = ngx.thread.spawn(serve, self, session) end
  local why = over(self, session)
  while not why do
    ngx.sleep(LOOK)
    keep_alive(self, session)
    why = over(self, session)
  end
  self.session = nil
  close(session)
  collect(threads)
  dismiss(self, running_jobs(self), "its session was lost")
  return why
end

-- Seconds until the next try: none after a session that lived, then doubled from try to try.
local function delay(self)
  local old = self.since and now() - self.since > OLD
  self.tries, self.since = old and 0 or (self.tries or 0) + 1, nil
  if self.tries == 0 then return 0 end
  return math.min(self.options.back_off[1] * 2 ^ (self.tries - 1), self.options.back_off[2])
end

local schedule

local function timer(premature, self)
  if premature or ending(self) then return finish(self) end
  local ok, why = pcall(live, self)
  self.session, self.handler = nil, nil
  if ending(self) then return finish(self) end
  self.err, self.state, self.restarts = why, "waiting", self.restarts + 1
  local seconds = delay(self)
  ngx.log(ok and ngx.WARN or ngx.ERR, ("mail.resty.owner '%s': %s; again in %g s"):format(self.name, tostring(why),
    seconds))
  local scheduled, err = schedule(self, seconds)
  if scheduled then return end
  if not ngx.worker.exiting() then ngx.log(ngx.ERR, "mail.resty.owner: no timer: ", err) end
  finish(self)
end

function schedule(self, seconds)
  local called, ok, why = pcall(ngx.timer.at, seconds, timer, self)
  if called and ok then return true end
  return nil, tostring(called and why or ok)
end

-- --- making one -------------------------------------------------------------------------------------

-- The function that opens the session; what is wrong with its options raises now.
local function opener(options, level)
  local found
  for _, name in ipairs { "imap", "smtp", "pop3", "open" } do
    if options[name] and found then error("resty.owner: one of imap, smtp, pop3 and open, not two", level + 1) end
    found = options[name] and name or found
  end
  if not found then error("resty.owner: one of the options imap, smtp, pop3 and open is needed", level + 1) end
  if found == "open" then return options.open end
  local protocol = require("mail." .. found)
  connect.options(options[found], found, found == "smtp" and protocol.connect_options or nil)
  return function() return protocol.connect(options[found]) end
end

-- Where the session leads and as whom. Functions are made anew by each request, so they tell nothing.
local function place_of(options)
  return identity.of(identity.copy({ options.imap, options.smtp, options.pop3 }, true))
end

-- The owner that is there already, where it is the caller's; nil, err.
local function known(self, options)
  if not options or self.place == place_of(options) then return self end
  local err = failure(self, "invalid", "it was made with other options")
  err.temporary = false
  return nil, err
end

--- See `mail.resty.owner`.
function M.owner(name, options, fn)
  if type(name) ~= "string" then error("resty.owner: a name expected, got " .. type(name), 2) end
  if options ~= nil then want(options, OPTIONS, "resty.owner", 1) end
  if owners[name] and not owners[name].stopped then return known(owners[name], options) end
  local self = setmetatable({ name = name, fn = fn, queue = {}, running = {}, state = "waiting", restarts = 0 }, Owner)
  if options == nil then return nil, failure(self, "closed", "there is none") end
  if fn ~= nil and type(fn) ~= "function" then error("resty.owner: a function expected, got " .. type(fn), 2) end
  self.open, self.place = opener(options, 2), place_of(options)
  if not ngx or ngx.get_phase() == "init" then
    return nil, Err.new { kind = "unsupported", message = "an owner needs a timer: begin it in init_worker_by_lua" }
  end
  local back_off = options.back_off or {}
  self.options = {
    queue = options.queue or 64, parallel = options.parallel or 4, timeout = options.timeout or 30,
    noop = options.noop or 120, back_off = { back_off[1] or 1, back_off[2] or 60 },
  }
  self.wake = require "ngx.semaphore".new()
  local ok, why = schedule(self, 0)
  if not ok then return nil, failure(self, "limit", "no timer: %s", why) end
  owners[name] = self
  return self
end

--- What it does: `state` ("connecting", "ready", "waiting", "stopped"), `error` (the last one), `calls`
-- that wait, `restarts`.
function Owner:status()
  return { state = self.state, error = self.err, calls = #self.queue, restarts = self.restarts }
end

--- Ends it: within a second the session is closed; calls that wait get kind "closed".
function Owner:stop()
  self.stopped = true
  if owners[self.name] == self then owners[self.name] = nil end
end

return M
