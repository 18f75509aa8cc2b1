--- Sessions over any transport object: a cosocket, a pipe, a tunnel, a test.
--
-- The transport has three functions: `read(self, timeout)` → bytes, or nil and "timeout", "closed" or
-- a message; `write(self, bytes, timeout)` → true, or nil and "timeout" or a message; `close(self)`, after which a
-- parked read ends; `finishes` is true where a write goes on to its end although its coroutine was closed in it
-- (coroutine.close). Each is called by one coroutine at a time. The clock and the events are those of a
-- loop. Nothing here knows what is carried; TLS, where it is wanted, is put in by the session.
-- @module mail.io.stream

local core = require "mail.core"
local Err = require "mail.err"
local adapter = require "mail.io.adapter"

local stream = {}

local running, status = coroutine.running, coroutine.status

local READ = "a read gives one octet or more, or nil and why ('timeout', 'closed' or a message)"
local WRITE = "a write gives true, or nil and why"
local DIAL = "dial gives a transport with read, write and close, or nil and an error"

local Conn = {}
Conn.__index = Conn

local function broken(conn, session, why)
  if session:is_freed() then return true end -- closed by another coroutine, which ended this wait
  if why ~= "closed" then conn.reason = tostring(why) end
  session:feed_eof()
  return true
end

local function is_over(writer) return writer ~= true and status(writer) == "dead" end

-- Sends what is pending; what another coroutine is sending it sends to the end itself. True where
-- octets moved.
local function send(conn, session, timeout)
  if conn.closed or (conn.writing and not is_over(conn.writing)) then return false end
  if conn.writing and not conn.transport.finishes then
    return broken(conn, session, "a coroutine was closed in the middle of a write")
  end
  local out, moved, ends = session:output(), false, timeout and core.now() + timeout
  conn.writing = running() or true
  while out do
    moved = true
    local ok, why = conn.transport:write(out, ends and math.max(0.001, ends - core.now()))
    if ok ~= true then
      if type(why) ~= "string" then
        conn.writing = nil
        adapter.broken(conn.host or conn, adapter.words(ok, why), WRITE)
      end
      broken(conn, session, why)
      break
    end
    out = not session:is_freed() and session:output()
  end
  conn.writing = nil
  return moved
end

-- What ended the stream, for the words of an error.
function Conn:why()
  return self.reason
end

--- The session's next event, or "wait", "pause" where the frame's time is over (`mail.loop.step`), unless it has
-- just let others run.
function Conn:next(session, stop_at)
  self.session = session
  self.rested = stop_at and not self.rested and core.now() >= stop_at
  if self.rested then return "wait", "pause" end
  return session:next()
end

--- Sends what is pending, within `timeout` seconds: a write that takes longer ends the stream.
-- @treturn boolean true: nobody else has to
-- @treturn boolean whether octets moved: the session may have more to send, once it was asked for its next event
function Conn:flush(session, _, timeout)
  return true, send(self, session, timeout)
end

local function await(conn, timeout)
  local session = conn.session
  if send(conn, session, timeout) or session:is_freed() then return true end
  local bytes, why = conn.transport:read(timeout)
  if session:is_freed() then return true end
  if type(bytes) == "string" and bytes ~= "" then
    session:feed(bytes)
    return true
  end
  if bytes ~= nil or type(why) ~= "string" and not Err.is(why) then
    adapter.broken(conn.host or conn, adapter.words(bytes, why), READ)
  end
  if Err.is(why) then return nil, why end
  if why == "timeout" or why == "cancelled" then return nil, why end
  return broken(conn, session, why)
end

local function close(conn)
  if conn.closed then return end
  conn.closed = true
  conn.transport:close()
end

-- Plain octets, for what is said before a session has the connection (mail.proxy).
local function put_octets(host)
  function host.read(conn, deadline)
    local left = deadline - host.now()
    if left <= 0 then return nil, "timeout" end
    local bytes, why = conn.transport:read(left)
    if type(bytes) == "string" and bytes ~= "" then return bytes end
    if bytes ~= nil or type(why) ~= "string" and not Err.is(why) then
      adapter.broken(host, adapter.words(bytes, why), READ)
    end
    return nil, why
  end
  function host.write(conn, bytes, deadline)
    local ok, why = conn.transport:write(bytes, math.max(0.001, deadline - host.now()))
    if ok ~= true and type(why) ~= "string" then adapter.broken(host, adapter.words(ok, why), WRITE) end
    return ok, why
  end
end

-- What a pump calls, for connections that are transport objects.
local function put(host)
  put_octets(host)
  host.close = close
  function host.await(conn, what, timeout)
    if what ~= "pause" then return await(conn, timeout) end
    host.pause()
    return true
  end
  return host
end

--- An adapter for `mail.pump` whose connections are transport objects, with another one's clock.
-- @tparam table loop an adapter of `mail.loop`: `now()` and `event()` are used
-- @treturn table host
function stream.host(loop)
  -- A transport of the user's own belongs to no request and to no pool.
  return put(setmetatable({ stranger = false, release = false, hand = false }, { __index = loop }))
end

--- Completes an adapter for a loop that has sockets of its own: it gives `dial(name, port, options,
-- deadline)` → transport, or nil, err; `now`, `event`, `sleep`, `spawn`; and `paths = true` where its dial
-- takes `options.path`, a Unix socket, in place of name and port.
-- @tparam table host
-- @treturn table the same table with connect, await and close
function stream.complete(host)
  if host.connect then return host end
  host.sleep = host.sleep or function(seconds) host.event():wait(seconds) end
  host.pause = host.pause or function() pcall(host.sleep, 0) end -- which may raise where it is cancelled
  function host.connect(name, port, options, deadline)
    local refusal = adapter.refusal(host)
    if refusal then return nil, refusal end
    if options.path and not host.paths then
      return nil, Err.new { kind = "unsupported", message = "this loop has no Unix sockets: give a transport instead" }
    end
    local transport, err = host.dial(name, port, options, deadline)
    if transport then
      for _, method in ipairs { "read", "write", "close" } do
        if type(transport[method]) ~= "function" then
          adapter.broken(host, "a transport without " .. method, DIAL)
        end
      end
      local conn = stream.conn(transport)
      conn.host = host
      return conn
    end
    if Err.is(err) then return nil, err end
    if type(err) ~= "string" then adapter.broken(host, adapter.words(transport, err), DIAL) end
    local where = options.path or ("%s:%d"):format(name, port)
    return nil, Err.new { kind = "connect", message = where .. ": " .. err, temporary = true }
  end
  return put(host)
end

--- A transport object as the connection of one session; without one it is known at the first `next`.
function stream.conn(transport, session)
  return setmetatable({ transport = transport, session = session }, Conn)
end

return stream
