--- The queue behind mail.resty.send_later.
--
-- One per worker, in memory, bounded by messages and octets. Timers empty it, a session each, used for as
-- long as messages for the same account follow one another; without messages there is no timer. A worker
-- that leaves sends what it has first. Nothing is tried twice, save on a session that died between two.
-- Invariant: while messages wait, a timer runs or is about to.
-- @module mail.resty.later

local Err = require "mail.err"
local compose = require "mail.compose"
local connect = require "mail.connect"
local identity = require "mail.identity"
local openresty = require "mail.io.openresty"
local smtp = require "mail.smtp"
local want = require "mail.want"

local later = {}

local ngx = ngx -- nil outside of nginx

local OPTIONS = {
  smtp = "table|string", on_error = "function?", on_sent = "function?", retry = "table?",
}
for name, kinds in pairs(smtp.send_options) do OPTIONS[name] = kinds end
for name, kinds in pairs(compose.FIELDS) do OPTIONS[name] = kinds end
local LIMITS = { messages = "number?", octets = "number?", senders = "number?" }

local limits = { messages = 1000, octets = 67108864, senders = 2 }
local jobs, first, last = {}, 1, 0
local messages, octets = 0, 0 -- those that wait, and those that are put off
local senders = 0

local function failure(kind, message, temporary)
  return nil, Err.new { kind = kind, message = message, temporary = temporary, protocol = "smtp" }
end

local function pop()
  local job = jobs[first]
  jobs[first] = nil
  first = first + 1
  if first > last then first, last = 1, 0 end
  return job
end

local function push(job)
  last = last + 1
  jobs[last] = job
end

-- The job counts no longer.
local function forget(job)
  messages, octets = messages - 1, octets - job.octets
end

-- A callback of the user's, whose errors go to the log.
local function tell(fn, ...)
  if not fn then return end
  local ok, why = pcall(fn, ...)
  if not ok then ngx.log(ngx.ERR, "mail.resty.send_later: error in a callback: ", tostring(why)) end
end

local start

-- After the pause; at once, and for the last time, where the worker leaves meanwhile.
local function again(premature, job)
  if premature then job.tries = math.huge end
  push(job)
  start()
end

-- Whether a failed job was put off.
local function put_off(job, err)
  local pause = job.options.retry and job.options.retry[job.tries + 1]
  if not pause or not err.temporary or err.kind == "unknown" then return false end
  job.tries = job.tries + 1
  if not ngx.timer.at(pause, again, job) then return false end
  ngx.log(ngx.WARN, "mail.resty.send_later: again in ", pause, " s: ", tostring(err))
  return true
end

local function report(job, err)
  ngx.log(ngx.ERR, "mail.resty.send_later: not sent: ", tostring(err))
  tell(job.options.on_error, err, job.options)
end

-- Whether two tables of connect options say the same: all of them, for it is the session that is shared.
local function same(a, b)
  return a == b or identity.of(a) == identity.of(b)
end

-- To the worker's pool where that is possible.
local function part(state)
  if ngx.worker.exiting() or not state.session:keepalive() then state.session:quit() end
  state.session = nil
end

local function send(state, job)
  local message = {}
  for name in pairs(smtp.send_options) do message[name] = job.options[name] end
  if state.session and not same(state.connect, job.connect) then part(state) end
  local used = state.session ~= nil
  if not used then
    local err
    state.connect = job.connect
    state.session, err = smtp.connect(job.connect)
    if not state.session then return nil, err end
  end
  local receipt, err = state.session:send(message)
  if receipt then return receipt end
  if err.kind ~= "rejected" and err.kind ~= "unsupported" and err.kind ~= "invalid" then
    state.session:close()
    state.session = nil
    if used and err.kind == "closed" then return send(state, job) end
  end
  return nil, err
end

local function deliver(state, job)
  local ok, receipt, err = pcall(send, state, job)
  if not ok then
    if state.session then state.session:close() end
    state.session = nil
    report(job, Err.is(receipt) and receipt
      or Err.new { kind = "invalid", message = tostring(receipt), protocol = "smtp" })
  elseif not receipt then
    if put_off(job, err) then return end
    report(job, err)
  else
    tell(job.options.on_sent, receipt)
    if next(receipt.rejected) then
      report(job, Err.new { kind = "rejected", message = "not every recipient was accepted", protocol = "smtp",
        rejected = receipt.rejected })
    end
  end
  forget(job)
end

local function run()
  local state = {}
  while first <= last do deliver(state, pop()) end
  if state.session then part(state) end
end

-- A timer of a leaving worker runs at once ("premature"), and may still send.
local function sender()
  local ok, why = pcall(run)
  senders = senders - 1
  if not ok then ngx.log(ngx.ERR, "mail.resty.send_later: ", tostring(why)) end
end

function start()
  if senders >= limits.senders then return true end
  local called, ok, why = pcall(ngx.timer.at, 0, sender)
  if called and ok then
    senders = senders + 1
    return true
  end
  return nil, tostring(called and why or ok)
end

local function length(message)
  return type(message) == "string" and #message or 0
end

--- See `mail.resty.send_later`.
function later.send_later(options)
  want(options, OPTIONS, "resty.send_later", 1)
  local composed, err = compose(options, "resty.send_later")
  if not composed then return nil, err end
  options = composed
  local settings = {}
  for name, value in pairs(connect.options(options.smtp, "smtp", smtp.connect_options)) do settings[name] = value end
  settings.loop = settings.loop or openresty.finishing
  if not ngx or ngx.get_phase() == "init" then
    return failure("unsupported", "there are no timers in " .. (ngx and "init_by_lua" or "a program that is no nginx"))
  end
  local size = length(options.message)
  if messages >= limits.messages then
    return failure("limit", ("%d messages wait to be sent already"):format(limits.messages), true)
  end
  if octets + size > limits.octets then
    return failure("limit", ("more than %d octets would wait to be sent"):format(limits.octets), true)
  end
  for _, pause in ipairs(options.retry or {}) do
    if type(pause) ~= "number" then error("resty.send_later: option 'retry' must be an array of seconds", 2) end
  end
  push { options = options, connect = settings, octets = size, tries = 0 }
  messages, octets = messages + 1, octets + size
  local ok, why = start()
  if ok or senders > 0 then return true end
  forget(jobs[last])
  jobs[last] = nil
  last = last - 1
  return failure("limit", "no timer: " .. why, true)
end

--- See `mail.resty.configure`.
function later.configure(options)
  want(options, LIMITS, "resty.configure", 1)
  for name, value in pairs(options) do limits[name] = value end
end

--- See `mail.resty.waiting`.
function later.waiting()
  return messages, octets, senders
end

return later
