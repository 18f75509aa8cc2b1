--- An IMAP server in memory that answers as it is told, without end if need be, on a clock of its own: no
-- descriptor, no task, no waiting. What it says comes whenever the client reads; what comes again and again comes
-- every `pause` seconds.

local Pump = require "mail.pump"
local imap = require "mail.imap"
local loop = require "mail.loop"
local assert = require "luassert"

local endless = {}

-- A client that is still reading after so many reads will never end.
local READS = 200000

local Server = {}
Server.__index = Server

-- The answer to a command: its text so many times over, and the tagged line.
local function obey(self, tag, line)
  for _, answer in ipairs(self.answers) do
    if line:find(answer[1]) then
      self.floods[#self.floods + 1] = { text = answer[2], left = answer[3] or 1, tag = tag, at = 0 }
      return
    end
  end
  self.floods[#self.floods + 1] = { tag = tag, left = 0, at = 0 }
end

local function hear(self, bytes)
  self.input = self.input .. bytes
  while true do
    local line, rest = self.input:match "^(.-)\r\n(.*)$"
    if not line then return end
    self.input = rest
    local tag, command = line:match "^(%w+) (.*)$"
    if tag then obey(self, tag, command) end
  end
end

local function say(self)
  local flood = self.floods[1]
  if self.out[1] then return table.remove(self.out, 1) end
  if not flood then return nil end
  if self.over or flood.at >= flood.left then
    table.remove(self.floods, 1)
    return flood.tag .. " OK done\r\n"
  end
  flood.at = flood.at + 1
  return type(flood.text) == "function" and flood.text(flood.at, flood.tag) or flood.text
end

--- A session logged in at such a server.
-- @tparam table o `words` (capabilities), `answers`: array of { pattern of a command, text or function(n, tag) → text,
--   how often it comes before the tagged line (default 1) }; `pause`, `limits`, `timeout`
-- @treturn userdata session
-- @treturn table server: `now` (its clock), `reads` since it began; `over` = true ends all floods
function endless.session(o)
  local self = setmetatable({ now = 0, reads = 0, input = "", answers = o.answers, floods = {}, pause = 0 }, Server)
  self.out = { "* PREAUTH [CAPABILITY IMAP4rev1 " .. (o.words or "") .. "] hi\r\n" }
  local host = setmetatable({ now = function() return self.now end }, { __index = loop.native })
  local transport = { close = function() self.closed = true end }
  function transport.write(_, bytes)
    hear(self, bytes)
    return true
  end
  function transport.read(_, seconds)
    self.reads = self.reads + 1
    if self.reads > READS then error("it goes on for ever: " .. tostring(self.floods[1].text), 0) end
    local flood = self.floods[1]
    local pause = flood and flood.left > 1 and not self.out[1] and self.pause or 0
    local text = (not seconds or seconds >= pause) and say(self)
    self.now = self.now + (text and pause or seconds or 1e9)
    if text then return text end
    return nil, "timeout"
  end
  local session = imap.session(o.limits and { limits = o.limits })
  local pump = Pump.open(session, transport, host, { timeout = o.timeout or 5 })
  assert.is_true(imap.greet(pump, {}, pump:deadline()))
  self.pause = o.pause or 0
  return session, self
end

--- The same with a mailbox of `exists` messages open.
function endless.selected(exists, o)
  table.insert(o.answers, { "^SELECT",
    ("* %d EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 3000000] n\r\n"):format(exists) })
  local pause = o.pause
  o.pause = 0
  local session, server = endless.session(o)
  assert(session:select "INBOX")
  server.reads, server.pause = 0, pause or 0
  return session, server
end

return endless
