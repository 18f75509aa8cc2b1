--- Everything a session needs from a loop, built from three functions: wait, forget and now.
--
-- For loops that can wait for a descriptor. Sockets, names and happy eyeballs are the core's; the
-- loop only waits. What is built: `connect`, `await`, `close`.
-- @module mail.io.fd

local core = require "mail.core"
local Err = require "mail.err"
local adapter = require "mail.io.adapter"

local fd = {}

-- How long a loop that cannot wait for a descriptor looks away from it: first, and at most.
local FIRST_LOOK, LAST_LOOK = 0.001, 0.02

-- One wait for what an object of the core waits for. Where the loop cannot wait for descriptors: a pause,
-- by an event, which says "cancelled" where a sleep would raise.
local function wait(host, object, what, seconds, looks)
  local descriptor = object:fd()
  if host.wait and descriptor then return host.wait(descriptor, what, seconds, object) end
  if not host.wait then
    seconds = math.min(seconds, LAST_LOOK, FIRST_LOOK * 2 ^ math.min(looks, 10))
    if host.event then return host.event():wait(seconds) end
  end
  host.sleep(seconds)
  return true
end

-- Drives an object of the core that answers step() with "wait", descriptor, what, seconds until it
-- is "done" or "fail". Returns its answer behind "done", or nil, error. The wait is given the object, which
-- owns the descriptor: a loop that lets go of that later than the wait ends holds the object as long.
local function drive(host, object, deadline, kind, where)
  local known
  local looks = 0
  while true do
    local answer, a, what, seconds = object:step(host.now())
    if answer == "wait" and a and a ~= known and host.forget then
      host.forget(a) -- a new descriptor, whatever the loop knew under its number
      known = a
    end
    if answer == "done" then return a end
    if answer == "fail" then
      local message = kind == "dns" and where .. ": " .. a or a
      return nil, Err.new { kind = kind, message = message, temporary = what ~= false, missing = seconds }
    end
    local left = deadline - host.now()
    if left <= 0 then
      local missed = kind == "dns" and "no answer from the name servers in time" or "no connection in time"
      return nil, Err.new { kind = "timeout", message = where .. ": " .. missed }
    end
    if not seconds or seconds > left then seconds = left end
    local ok, why = wait(host, object, what, seconds, looks)
    looks = looks + 1
    if ok ~= true and why ~= "timeout" then
      if Err.is(why) then return nil, why end
      if type(why) ~= "string" then adapter.broken(host, adapter.words(ok, why)) end
      return nil, Err.new { kind = why == "cancelled" and "cancelled" or "io", message = why }
    end
  end
end

-- The loop forgets what it knows of a resolver or a dial before the descriptor goes.
local function finish(host, object)
  local socket = object:fd()
  if socket and host.forget then host.forget(socket) end
  object:close()
end

-- A value that makes the loop forget the connection when both are collected together: younger than
-- the connection, it is finalized before it, and the descriptor is still open then.
local function guard(host, conn)
  local function collected()
    local socket = conn:fd()
    if socket then host.forget(socket) end
  end
  if not newproxy then return setmetatable({}, { __gc = collected }) end
  local value = newproxy(true) -- Lua 5.1 finalizes userdata only
  getmetatable(value).__gc = collected
  return value
end

--- Asks the core's own resolver, on whatever loop: where that cannot wait for a descriptor, the resolver is
-- looked at now and then.
-- @tparam table host `now`, and `wait` with `forget`, or `event`, or `sleep` of an adapter
-- @tparam string name host name or address literal; a domain name in A-labels for other types
-- @tparam table options dns_servers, type ("MX", "SRV", "TXT", "PTR"; nil: addresses), family (4 or 6; nil: both)
-- @tparam number deadline
-- @treturn table addresses, or rows { text=, priority=, weight=, port= }; or nil, err: kind "dns", `missing`
--   is "name" where there is no such name, "record" where it has none of that type
function fd.resolve(host, name, options, deadline)
  local resolver = core.resolver(name, { servers = options.dns_servers, type = options.type, family = options.family })
  local found, err = drive(host, resolver, deadline, "dns", name)
  finish(host, resolver)
  return found, err
end

--- Resolves `name` and connects to the first address that answers (RFC 8305).
-- @tparam table host as for `fd.resolve`
-- @tparam string name host name or address literal
-- @tparam number port
-- @tparam table options local_address, dns_servers
-- @tparam number deadline
-- @treturn number the connected socket, the caller's; or nil, err
function fd.dial(host, name, port, options, deadline)
  local addresses, err = fd.resolve(host, name, options, deadline)
  if not addresses then return nil, err end
  local dial = core.dial(addresses, port, { local_address = options.local_address })
  local socket
  socket, err = drive(host, dial, deadline, "connect",
    ("%s:%d"):format(name, port))
  finish(host, dial)
  return socket, err
end

--- A connected socket as a connection; the caller's descriptor becomes that one's.
-- @treturn conn
-- @return a value that must live as long as that
function fd.adopt(host, socket)
  -- Its number may be that of a connection which was collected without being closed.
  host.forget(socket)
  local conn = core.conn(socket)
  return conn, host.lingers and guard(host, conn) or nil
end

-- A Unix socket. Its listener may have no room for a moment, which no descriptor tells of.
local function dial_path(host, path, deadline)
  while true do
    local socket, why = core.unix(path)
    if socket then return socket end
    if why ~= "again" then
      local message = ("cannot connect to %s: %s"):format(path, why)
      return nil, Err.new { kind = "connect", message = message, temporary = true }
    end
    if host.now() >= deadline then
      return nil, Err.new { kind = "timeout", message = path .. ": no connection in time" }
    end
    local ok
    ok, why = host.event():wait(LAST_LOOK)
    if ok ~= true and why ~= "timeout" then
      if Err.is(why) then return nil, why end
      return nil, Err.new { kind = why == "cancelled" and "cancelled" or "io", message = tostring(why) }
    end
  end
end

-- A connection, and a value that must live as long as that; or nil, err.
local function connect(host, name, port, options, deadline)
  local refusal = adapter.refusal(host)
  if refusal then return nil, refusal end
  local socket, err
  if options.path then
    socket, err = dial_path(host, options.path, deadline)
  else
    socket, err = fd.dial(host, name, port, options, deadline)
  end
  if not socket then return nil, err end
  return fd.adopt(host, socket)
end

-- Waits within a read or a write of plain octets: true, or nil and why.
local function ready(host, conn, what, deadline)
  local left = deadline - host.now()
  if left <= 0 then return nil, "timeout" end
  local ok, why = host.wait(conn:fd(), what, left)
  if ok == true then return true end
  if type(why) ~= "string" and not Err.is(why) then adapter.broken(host, adapter.words(ok, why)) end
  return nil, why
end

-- Some octets as they come: for what is said before a session has the connection.
local function read(host, conn, deadline)
  while true do
    local bytes, why = conn:recv()
    if bytes or why ~= "again" then return bytes, why end
    local ok
    ok, why = ready(host, conn, "r", deadline)
    if not ok then return nil, why end
  end
end

local function write(host, conn, bytes, deadline)
  local from = 1
  while from <= #bytes do
    local sent, why = conn:send(bytes, from)
    if sent then
      from = from + sent
    elseif why ~= "again" then
      return nil, why
    else
      local ok
      ok, why = ready(host, conn, "w", deadline)
      if not ok then return nil, why end
    end
  end
  return true
end

--- Completes an adapter that has `wait(fd, what, timeout)`, `forget(fd)` and `now()`. Where `lingers` is
-- true the loop knows a descriptor beyond the wait for it, and is told when one is collected.
-- @tparam table host
-- @treturn table the same table with connect, await, close, read, write and the defaults filled in
function fd.complete(host)
  if host.complete then return host end
  host.complete = true
  host.sleep = host.sleep or function(seconds) host.event():wait(seconds) end
  host.pause = host.pause or function() end
  host.nudge = host.nudge or host.forget -- which ends a wait, too
  function host.connect(name, port, options, deadline)
    return connect(host, name, port, options, deadline)
  end
  -- Octets, or nil and "timeout", "closed", "cancelled" or a message; for tunnels (mail.proxy).
  function host.read(conn, deadline) return read(host, conn, deadline) end
  -- True when all is sent; else nil and why.
  function host.write(conn, bytes, deadline) return write(host, conn, bytes, deadline) end
  -- Waits for what `next` said; the descriptor may be left out. true | nil, "timeout" | "cancelled" | message
  function host.await(conn, what, timeout, descriptor)
    if descriptor then return host.wait(descriptor, what, timeout) end
    if what == "end" then return nil, "the connection has ended" end
    if what == "foreign" then return nil, "the connection belongs to the process that opened it, not to its fork" end
    if what ~= "pause" then return host.wait(conn:fd(), what, timeout) end
    host.pause()
    return true
  end
  function host.close(conn)
    local socket = conn:fd()
    if socket then
      host.forget(socket)
      conn:close()
    end
  end
  return host
end

return fd
