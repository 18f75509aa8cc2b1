--- Everything a session needs from a loop, built from three functions: wait, forget and now.
--
-- For loops that can wait for a descriptor. Sockets, names and happy eyeballs are the core's; the
-- loop only waits. What is built: `connect`, `next`, `await`, `flush`, `close`.
-- @module mail.io.fd

local core = require "mail.core"
local Err = require "mail.err"
local adapter = require "mail.io.adapter"

local fd = {}

-- Drives an object of the core that answers step() with "wait", descriptor, what, seconds until it
-- is "done" or "fail". Returns its answer behind "done", or nil, error. The wait is given the object, which
-- owns the descriptor: a loop that lets go of that later than the wait ends holds the object as long.
local function drive(host, object, deadline, kind, where)
  local known
  while true do
    local answer, a, what, seconds = object:step(host.now())
    if answer == "wait" and a and a ~= known then
      host.forget(a) -- a new descriptor, whatever the loop knew under its number
      known = a
    end
    if answer == "done" then return a end
    if answer == "fail" then
      local message = kind == "dns" and where .. ": " .. a or a
      return nil, Err.new { kind = kind, message = message, temporary = what ~= false }
    end
    local left = deadline - host.now()
    if left <= 0 then return nil, Err.new { kind = "timeout", message = where .. ": no connection in time" } end
    if not seconds or seconds > left then seconds = left end
    local ok, why = true, nil
    if a then ok, why = host.wait(a, what, seconds, object) else host.sleep(seconds) end
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
  if socket then host.forget(socket) end
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

--- Resolves a name by the core's own resolver.
-- @tparam table host `wait`, `forget`, `now`, `sleep` of an adapter
-- @tparam string name host name or address literal
-- @tparam table options dns_servers
-- @tparam number deadline
-- @treturn {string,...} addresses; or nil, err
function fd.resolve(host, name, options, deadline)
  local resolver = core.resolver(name, { servers = options.dns_servers })
  local addresses, err = drive(host, resolver, deadline, "dns", name)
  finish(host, resolver)
  return addresses, err
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

-- A connection, and a value that must live as long as that; or nil, err.
local function connect(host, name, port, options, deadline)
  local refusal = adapter.refusal(host)
  if refusal then return nil, refusal end
  local socket, err = fd.dial(host, name, port, options, deadline)
  if not socket then return nil, err end
  -- Its number may be that of a connection which was collected without being closed.
  host.forget(socket)
  local conn = core.conn(socket)
  return conn, host.lingers and guard(host, conn) or nil
end

--- Completes an adapter that has `wait(fd, what, timeout)`, `forget(fd)` and `now()`. Where `lingers` is
-- true the loop knows a descriptor beyond the wait for it, and is told when one is collected.
-- @tparam table host
-- @treturn table the same table with connect, next, await, flush, close and the defaults filled in
function fd.complete(host)
  if host.complete then return host end
  host.complete = true
  host.sleep = host.sleep or function(seconds) host.event():wait(seconds) end
  host.pause = host.pause or function() end
  host.nudge = host.nudge or host.forget -- which ends a wait, too
  function host.connect(name, port, options, deadline)
    return connect(host, name, port, options, deadline)
  end
  -- The session's next event, or "wait" and what for; moves bytes in the core as far as it can, or, in
  -- a frame of limited time, until `stop_at`.
  function host.next(conn, session)
    return conn:next(session, host.stop_at)
  end
  -- Waits for what `next` said. true | nil, "timeout" | "cancelled" | message
  function host.await(conn, what, timeout)
    if what == "end" then return nil, "the connection has ended" end
    if what == "foreign" then return nil, "the connection belongs to the process that opened it, not to its fork" end
    if what ~= "pause" then return host.wait(conn:fd(), what, timeout) end
    host.pause()
    return true
  end
  -- Sends without waiting; what is left is sent by whoever reads.
  function host.flush(conn, session)
    if not conn:flush(session, host.stop_at) then host.nudge(conn:fd()) end
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
