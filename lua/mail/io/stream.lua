--- Sessions over any transport object: a cosocket, a pipe, a tunnel, a test.
--
-- The transport has three functions: `read(self, timeout)` → bytes, or nil and "timeout", "closed" or
-- a message; `write(self, bytes, timeout)` → true, or nil and a message; `close(self)`, after which a
-- parked read ends. Each is called by one coroutine at a time. The clock and the events are those of a
-- loop. Nothing here knows what is carried; TLS, where it is wanted, is put in by the session.
-- @module mail.io.stream

local stream = {}

local Conn = {}
Conn.__index = Conn

-- What ended the stream, for the words of an error.
function Conn:why()
  return self.reason
end

local function broken(conn, session, why)
  if why ~= "closed" then conn.reason = tostring(why) end
  session:feed_eof()
  return true
end

-- Sends what is pending; what another coroutine is sending it sends to the end itself. True where
-- octets moved.
local function send(conn, session, timeout)
  if conn.writing or conn.closed then return false end
  local out, moved = session:output(), false
  conn.writing = true
  while out do
    moved = true
    local ok, why = conn.transport:write(out, timeout)
    if not ok then
      broken(conn, session, why)
      break
    end
    out = not session:is_freed() and session:output()
  end
  conn.writing = nil
  return moved
end

local function await(conn, _, timeout)
  local session = conn.session
  if send(conn, session, timeout) or session:is_freed() then return true end
  local bytes, why = conn.transport:read(timeout)
  if session:is_freed() then return true end
  if bytes then
    session:feed(bytes)
    return true
  end
  if why == "timeout" or why == "cancelled" then return nil, why end
  return broken(conn, session, why)
end

local function next_event(_, session)
  return session:next()
end

--- An adapter for `mail.pump` whose connections are transport objects.
-- @tparam table loop an adapter of `mail.loop`: `now()` and `event()` are used
-- @treturn table host
function stream.host(loop)
  local host = setmetatable({ next = next_event, await = await, flush = send }, { __index = loop })
  function host.close(conn)
    if conn.closed then return end
    conn.closed = true
    conn.transport:close()
  end
  return host
end

--- A transport object as the connection of one session.
function stream.conn(transport, session)
  return setmetatable({ transport = transport, session = session }, Conn)
end

return stream
