--- The adapter of OpenResty (nginx with its Lua module): cosockets, light threads, semaphores.
--
-- A session belongs to the request or timer that opened it and ends with it; to share one between
-- requests is the business of mail.resty.owner. Where nginx allows no sockets (init, init_worker, set,
-- header_filter, body_filter, balancer, log) a session is refused with an error that says what to do.
-- Time: seconds on the outside, milliseconds inside, on the core's monotonic clock.
-- @module mail.io.openresty

local core = require "mail.core"
local Err = require "mail.err"
local cosocket = require "mail.io.cosocket"
local dial = require "mail.io.cosocket_dial"
local stream = require "mail.io.stream"

local ngx = ngx -- nil outside of nginx
local now = core.now

-- A sleeper looks up this often, to see that its worker leaves.
local SLICE = 0.5

local function failure(kind, message, ...)
  return Err.new { kind = kind, message = message:format(...) }
end

-- What sockets, threads and waits belong to: the request, or the timer's stand-in for one.
local function handler()
  local found, base = pcall(require, "resty.core.base")
  return found and base.get_request and base.get_request() or nil
end

-- Why no session can be had here: an error, or nil.
local function refusal()
  if not ngx then return failure("unsupported", "this is no nginx with the Lua module") end
  if pcall(ngx.socket.tcp) then return nil end
  local phase = ngx.get_phase()
  local remedy = phase == "init" and "from init_worker_by_lua on there is ngx.timer.at"
    or "use ngx.timer.at, or send with mail.resty.send_later"
  return failure("unsupported", "nginx allows no sockets in %s_by_lua: %s", phase, remedy)
end

-- --- events -----------------------------------------------------------------------------------------

local Event = {}
Event.__index = Event

--- Waits for `set`, which may have been called before. true | nil, "timeout" | "cancelled" | message
function Event:wait(timeout)
  local deadline = now() + (timeout or math.huge)
  while not self.is_set do
    local left = deadline - now()
    if left <= 0 then return nil, "timeout" end
    if not self.finishing and cosocket.leaving() then return nil, "cancelled" end
    local ok, why = self.semaphore:wait(math.max(0.001, math.min(left, SLICE)))
    if not ok and why ~= "timeout" then return nil, why end
  end
  self.is_set = nil
  return true
end

--- Ends the wait, or the next one, of whichever request; twice is once.
function Event:set()
  self.is_set = true
  if self.semaphore:count() < 1 then self.semaphore:post(1) end
end

-- --- threads ----------------------------------------------------------------------------------------

local children = setmetatable({}, { __mode = "k" }) -- coroutine → the threads that it spawned

-- A finished thread stays in memory until its parent, and nobody else, has waited for it.
local function reap(parent)
  local kept = {}
  for _, thread in ipairs(children[parent] or {}) do
    if coroutine.status(thread) == "zombie" then ngx.thread.wait(thread) else kept[#kept + 1] = thread end
  end
  children[parent] = kept
  return kept
end

-- nginx takes Lua functions alone.
local function run(fn, ...) return fn(...) end

local function spawn(fn, ...)
  local mine = reap(coroutine.running())
  local thread = ngx.thread.spawn(run, fn, ...)
  mine[#mine + 1] = thread
  return thread
end

-- --- the adapter ------------------------------------------------------------------------------------

-- `finishing`: sessions that are let finish what they do although their worker leaves.
local function adapter(finishing)
  local host = { name = "openresty", now = now, spawn = spawn, tls = true, paths = true, digest = cosocket.digest }

  function host.dial(name, port, options, deadline)
    local err = refusal()
    if err then return nil, err end
    if not finishing and cosocket.leaving() then return nil, failure("cancelled", "this nginx worker is leaving") end
    local transport
    transport, err = dial(name, port, options, deadline)
    if not transport then return nil, err end
    transport.handler, transport.finishing = handler(), finishing
    return transport
  end

  function host.event()
    return setmetatable({ semaphore = require "ngx.semaphore".new(), finishing = finishing }, Event)
  end

  -- Raises kind "cancelled" where the worker leaves meanwhile, as mail.loop.sleep does when cancelled.
  function host.sleep(seconds)
    local err, deadline = refusal(), now() + seconds
    if err then error(err, 0) end
    repeat
      if not finishing and cosocket.leaving() then error(failure("cancelled", "this nginx worker is leaving"), 0) end
      ngx.sleep(math.max(0, math.min(deadline - now(), SLICE)))
    until now() >= deadline
  end

  -- The session's pump asks before each wait: an error where another request has opened its socket.
  function host.stranger(conn)
    if conn.transport.handler == handler() then return nil end
    return failure("invalid", "this session belongs to the nginx request or timer that opened it: share one "
      .. "between requests with mail.resty.owner")
  end

  function host.release(conn, idle, size)
    conn.closed = true
    return conn.transport:release(idle, size)
  end

  return stream.complete(host)
end

local openresty = adapter(false)

--- The same for sessions that finish what they do although their worker leaves: sending what was queued.
openresty.finishing = adapter(true)

--- True inside nginx, in whichever phase: there this adapter is the right one.
function openresty.usable()
  return ngx ~= nil and type(ngx.socket) == "table" and type(ngx.get_phase) == "function"
end

openresty.refusal, openresty.handler = refusal, handler

return openresty
