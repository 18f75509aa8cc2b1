--- Servers that do what a spec tells them to, for what no real server does: they stay mute, drip,
-- flood, lie, close or reset at a chosen moment. They run as tasks of the library's own loop, beside
-- the client under test, in one process and on a free port of 127.0.0.1.
--
--     local server = scripted.serve(function(peer)
--       peer:send "220 mx\r\n"
--       peer:expect "^EHLO "                    -- the next line, or an error
--       peer:send "250 mx\r\n"
--       peer:rest()                             -- takes in whatever comes until the client is gone
--     end)
--     connect("127.0.0.1", server.port)
--
-- An error in a script, an unmatched line above all, ends the run as every error in a task does.
-- A script ends by itself when its client is gone: no test waits for a server.

local core = require "mail.core"
local loop = require "mail.loop"

local native = loop.native
local scripted = {}

-- A script that hangs is a bug in its spec; nothing waits for this to be right.
local PATIENCE = 20

local Peer = {}
Peer.__index = Peer

local function ready(self, what)
  local ok, why = native.wait(self.conn:fd(), what, self.server.patience or PATIENCE)
  if not ok then error("scripted server: nothing came for it: " .. tostring(why), 0) end
end

-- More input; false at the end of the stream, whichever way it came.
local function fill(self)
  if not self.conn:fd() then return false end
  while true do
    local bytes, why = self.conn:recv()
    if bytes then
      self.input = self.input .. bytes
      return true
    end
    if why ~= "again" then return false end
    ready(self, "r")
  end
end

--- Sends all of it. Returns false where the client is gone.
function Peer:send(text)
  local from = 1
  while from <= #text do
    if not self.conn:fd() then return false end
    local n, why = self.conn:send(text, from)
    if n then
      from = from + n
    elseif why == "again" then
      ready(self, "w")
    else
      return false
    end
  end
  return true
end

--- Sends it octet by octet, with a pause after each: false where the client is gone.
function Peer:drip(text, pause)
  for i = 1, #text do
    if not self:send(text:sub(i, i)) then return false end
    loop.sleep(pause or 0.01)
  end
  return true
end

--- The next line without its end, or nil where the client is gone.
function Peer:line()
  while true do
    local line, rest = self.input:match("^(.-)\r?\n(.*)$")
    if line then
      self.input = rest
      return line
    end
    if not fill(self) then return nil end
  end
end

--- The next line, which must match; its captures, or itself.
function Peer:expect(pattern)
  local line = self:line()
  if not line then error("scripted server: the client is gone, where '" .. pattern .. "' was to come", 2) end
  if not line:find(pattern) then
    error(("scripted server: expected '%s', got '%s'"):format(pattern, line), 2)
  end
  return line:match(pattern)
end

--- All octets up to and with `mark` (plain text), or nil where the client is gone first.
function Peer:through(mark)
  while true do
    local _, last = self.input:find(mark, 1, true)
    if last then
      local text = self.input:sub(1, last)
      self.input = self.input:sub(last + 1)
      return text
    end
    if not fill(self) then return nil end
  end
end

--- What has come, once there is something; nil where the client is gone.
function Peer:some()
  if self.input == "" and not fill(self) then return nil end
  local text = self.input
  self.input = ""
  return text
end

--- All that still comes, until the client is gone.
function Peer:rest()
  while fill(self) do end -- luacheck: ignore
  local text = self.input
  self.input = ""
  return text
end

--- Waits until something has come, and leaves it.
function Peer:await()
  ready(self, "r")
end

--- Closes the connection. With input unread the system sends a reset in place of an end.
function Peer:close()
  local fd = self.conn:fd()
  if fd then
    native.forget(fd)
    self.conn:close()
  end
end

--- Resets the connection at the client's next octets.
function Peer:reset()
  self:await()
  self:close()
end

local Server = {}
Server.__index = Server
scripted.Server = Server -- what stands on a listener, and nothing else

--- Takes no further connection.
function Server:close()
  local fd = self.listener:fd()
  if fd then
    native.forget(fd)
    self.listener:close()
  end
end

local function converse(self, conn, script)
  native.forget(conn:fd()) -- the number may be that of one that was collected
  local peer = setmetatable({ conn = conn, input = "", server = self }, Peer)
  self.served = self.served + 1
  local number = self.served
  loop.spawn(function()
    script(peer, number)
    peer:close()
  end)
end

local function take(self, script, count)
  while self.served < count and self.listener:fd() do
    local conn, why = self.listener:accept()
    if conn then
      converse(self, conn, script)
    elseif why == "again" then
      native.wait(self.listener:fd(), "r")
    else
      error("scripted server: " .. why, 0)
    end
  end
  self:close()
end

--- Serves `count` connections (default 1), each by its own run of `script(peer, number)`. Further options:
-- `backlog` of the listener, `patience` in seconds with a client that says nothing.
-- @treturn table server: `port`, `served` (connections so far), `close()`
function scripted.serve(script, count, options)
  local listener = assert(core.listen("127.0.0.1", "0", options and options.backlog))
  local _, port = listener:name()
  native.forget(listener:fd())
  local self = setmetatable({ listener = listener, port = port, served = 0 }, Server)
  self.patience = options and options.patience
  loop.spawn(take, self, script, count or 1)
  return self
end

--- Runs `client(port)` against one connection of `script` under `loop.run`: what client returns.
function scripted.run(script, client)
  return loop.run(function()
    local server = scripted.serve(script)
    local function done(...)
      server:close()
      return ...
    end
    return done(client(server.port))
  end)
end

return scripted
