--- A program as the transport of a session (`command = { "ssh", "host", "nc localhost 143" }`): its standard
-- input and output are the connection.
--
-- For loops that can wait for a descriptor. The program is run without a shell and ends with the session.
-- What it writes to its standard error goes to the session's log as lines of direction "E", and the last
-- line into the error where the connection ends. Since that comes by a descriptor of its own, a wait for
-- the server is cut into slices, so that a talkative program never stands still.
-- @module mail.io.child

local core = require "mail.core"
local Err = require "mail.err"
local adapter = require "mail.io.adapter"
local fd = require "mail.io.fd"

local child = {}

-- Seconds between two looks at what the program says; octets that are read of it in one look, and of a line.
local SLICE, LOOK, LINE = 0.25, 65536, 1000

local Conn = {}
Conn.__index = Conn

local function say(self, line)
  line = line:gsub("[%z\1-\31\127]", " "):gsub("%s+$", "")
  if line == "" then return end
  self.last = line
  local log = self.log
  if not log then return end
  if type(log) == "function" then log("E", line) else log:write("E: ", line, "\n") end
end

-- Takes in what the program has said meanwhile, but no more than a look's worth: one that says more than can be
-- read would never let go.
local function listen(self)
  local words, left = self.child:words(), LOOK
  while words do
    local text = self.partial .. words
    for line in text:gmatch "([^\n]*)\n" do say(self, line) end
    self.partial = text:match "[^\n]*$"
    if #self.partial > LINE then
      say(self, self.partial)
      self.partial = ""
    end
    left = left - #words
    words = left > 0 and self.child:words()
  end
end

function Conn:next(session, stop_at)
  return self.conn:next(session, stop_at)
end

function Conn:flush(session, stop_at) return self.conn:flush(session, stop_at) end
function Conn:recv() return self.conn:recv() end
function Conn:send(bytes, from) return self.conn:send(bytes, from) end
function Conn:fd() return self.conn:fd() end
function Conn:octets() return self.conn:octets() end

--- What ended the connection: the program's own words, or what became of it.
function Conn:why()
  listen(self)
  say(self, self.partial)
  self.partial = ""
  local words = self.last or self.child:fate(true)
  return words and self.program .. ": " .. words or self.conn:why()
end

--- Closes its input, and ends it.
function Conn:close()
  self.conn:close()
  listen(self)
  self.child:close()
end

-- Waits in slices. What the user's log function does is no wait of ours: it is called between them.
local function await(host, conn, what, timeout)
  local ends = timeout and host.now() + timeout
  while true do
    local left = ends and ends - host.now() or SLICE
    local ok, why = host.await(conn, what, math.min(left, SLICE))
    if conn:fd() then listen(conn) end
    if ok or why ~= "timeout" or left <= SLICE and ends then return ok, why end
  end
end

--- Runs the program.
-- @tparam table host an adapter
-- @tparam table o `command`, `log`
-- @treturn table the adapter for this connection; or nil, err
-- @treturn conn
-- @return a value that must live as long as the connection
function child.connect(host, o)
  if not host.wait then
    return nil, Err.new { kind = "unsupported", message = ("the loop '%s' cannot run a program as a transport: "
      .. "it waits for no descriptors"):format(tostring(host.name)) }
  end
  local refusal = adapter.refusal(host)
  if refusal then return nil, refusal end
  local program = o.command[1]
  local process, socket = core.child(o.command)
  if not process then
    return nil, Err.new { kind = "connect", message = ("cannot run %s: %s"):format(program, socket), temporary = false }
  end
  local inner, guard = fd.adopt(host, socket)
  local conn = setmetatable({ conn = inner, guard = guard, child = process, program = program, partial = "",
    log = o.log }, Conn)
  -- no `hand`: who sleeps for the connection alone hears nothing of what the program says
  local own = setmetatable({ stranger = false, release = false, hand = false }, { __index = host })
  function own.await(c, what, timeout) return await(host, c, what, timeout) end
  return own, conn
end

return child
