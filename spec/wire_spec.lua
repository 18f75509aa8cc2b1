--- Plays every transcript in spec/wire/<protocol>/*.wire over the sans-IO session.
--
-- A transcript reads like a conversation; one file, one sentence of intent:
--   # words               a comment; the first one is the test's name
--   L: line=64 depth=3    limits of the session, before anything else
--   S: bytes              the server says this (\r \n \t \0 \\ \xHH; S*1000: repeats it)
--   C: bytes              all that the client has put out since the last C: (C*1000: repeats it)
--   ! method args         a call on the session, its arguments as Lua: ! ehlo "me.example"
--   ? method args         the same; what it returns is an event: E: value …
--   E: kind key=value …   the next event; `E: refused "why"` where a call was not queued
--   X: eof                the server closes
-- Each is played whole, byte by byte, and in seeded random splits: the events must be the same.

local core = require "mail.core"

-- What stands behind kind and id, by name. Events that the same bytes may bring in any number of
-- pieces are joined: `joined` names the field.
local FIELDS = {
  smtp = {
    greeting = { "code", "enhanced", "text" }, done = { "code", "enhanced", "text" },
    bye = { "code", "enhanced", "text" }, go = {}, starttls = {}, ask = { "challenge" },
    sent = { "ok", "receipt", "command", "reply" },
  },
  pop3 = {
    greeting = { "text", "timestamp" }, ask = { "challenge" }, starttls = {}, bye = { "text", "response_code" },
    done = { "ok", "text", "response_code", "value", "size" }, data = { "bytes", joined = "bytes" },
  },
  imap = {
    greeting = { "status", "code", "value", "text" }, ask = { "challenge" }, go = {}, starttls = {}, idling = {},
    fetch = { "message", "weight" }, body = { "message", "section", "size" },
    data = { "bytes", "last", joined = "bytes" },
    untagged = { "name", "number", "value", "code", "code_value", "text" },
    done = { "status", "code", "value", "text" },
    bye = { "text", "code", "value" }, compress = {}, limit = {},
  },
}

FIELDS.lmtp = FIELDS.smtp

-- LMTP is the SMTP session told to speak it.
local function new_session(protocol, limits)
  if protocol == "lmtp" then return core.smtp_session(limits, "lmtp") end
  return core[protocol .. "_session"](limits, "A")
end

local function unescape(text)
  local repeated = { ["\\"] = "\\", r = "\r", n = "\n", t = "\t", ["0"] = "\0", s = " " }
  text = text:gsub("\\x(%x%x)", function(hex) return "\\" .. ("%03d"):format(tonumber(hex, 16)) end)
  return (text:gsub("\\(%d%d%d)", function(d) return string.char(tonumber(d)) end)
    :gsub("\\([\\rnt0s])", repeated))
end

local function escape(text)
  return (text:gsub("[%c\"\\\127-\255]", function(c)
    local short = { ["\r"] = "\\r", ["\n"] = "\\n", ["\""] = "\\\"", ["\\"] = "\\\\" }
    return short[c] or ("\\x%02X"):format(c:byte())
  end))
end

local show

-- A table in one line: the array part, then the keys in order.
local function show_table(t)
  local parts, keys = {}, {}
  for i = 1, #t do parts[i] = show(t[i]) end
  for key in pairs(t) do
    if type(key) ~= "number" or key < 1 or key > #t or key % 1 ~= 0 then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do
    local name = type(key) == "string" and key:find("^[%a_][%w_]*$") and key
      or "[" .. (type(key) == "string" and '"' .. escape(key) .. '"' or tostring(key)) .. "]"
    parts[#parts + 1] = name .. "=" .. show(t[key])
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

function show(value)
  if type(value) == "string" then return '"' .. escape(value) .. '"' end
  if type(value) == "table" then return show_table(value) end
  if type(value) == "number" then return ("%.17g"):format(value) end
  return tostring(value)
end

local Player = {}
Player.__index = Player

local function note(self, event)
  local last = self.log[#self.log]
  local names = FIELDS[self.protocol][event.kind] or {}
  if names.joined and last and last.kind == event.kind and last.id == event.id then
    last[1] = last[1] .. event[1]
    for i = 2, #names do last[i] = event[i] end
  else
    self.log[#self.log + 1] = event
  end
end

local function pack_event(kind, id, ...)
  return { kind = kind, id = id, n = select("#", ...), ... }
end

-- Takes all output and all events.
local function drain(self)
  while true do
    local event = pack_event(self.session:next())
    local out, moved = self.session:output(), false
    while out do
      self.out, moved = self.out .. out, true
      out = self.session:output()
    end
    if event.kind == "wait" and not moved then return end
    if event.kind == "fail" then
      if not self.failed then
        self.failed = true
        self.log[#self.log + 1] = { kind = "fail", n = 1, (self.session:failure()) }
      end
      return
    end
    if event.kind ~= "wait" then note(self, event) end
  end
end

local function print_event(self, event)
  if event.kind == "fail" then return "fail " .. event[1] end
  if event.kind == "refused" or event.kind == "value" then return event.kind .. " " .. show(event[1]) end
  local words = { event.kind }
  if event.id ~= 0 then words[2] = "id=" .. tostring(event.id) end
  local names = FIELDS[self.protocol][event.kind] or {}
  for i = 1, math.max(event.n, #names) do
    -- what a message takes in memory is the machine's own affair
    if event[i] ~= nil and names[i] ~= "weight" then words[#words + 1] = (names[i] or "?") .. "=" .. show(event[i]) end
  end
  return table.concat(words, " ")
end

local function feed(self, bytes)
  local at = 1
  while at <= #bytes do
    local n = self.cut(#bytes - at + 1)
    self.session:feed(bytes:sub(at, at + n - 1))
    at = at + n
    drain(self)
  end
end

local function invoke(self, text)
  local method, arguments = text:match("^([%w_]+)%s*(.*)$")
  return assert((loadstring or load)("return (...):" .. method .. "(" .. arguments .. ")"))(self.session)
end

local function call(self, text)
  local first, why = invoke(self, text)
  if first == nil and why ~= nil then self.log[#self.log + 1] = { kind = "refused", n = 1, why } end
  drain(self)
end

local steps = {}

function steps.S(self, text, count)
  feed(self, unescape(text):rep(count))
end

function steps.C(self, text)
  assert.equal(escape(unescape(text)), escape(self.out))
  self.out = ""
end

steps["!"] = call

steps["?"] = function(self, text)
  self.log[#self.log + 1] = { kind = "value", n = 1, (invoke(self, text)) }
end

function steps.E(self, text)
  local event = table.remove(self.log, 1)
  assert.equal(text, event and print_event(self, event) or "(no event)")
end

function steps.X(self)
  self.session:feed_eof()
  drain(self)
end

-- The lines of a file as steps; neighbors of one kind (C: C:) are one.
local function read(path)
  local transcript = { steps = {}, limits = nil, title = nil }
  for line in io.lines(path) do
    local kind, count, text = line:match("^([SCEXL!?#])%*?(%d*):? ?(.*)$")
    local last = transcript.steps[#transcript.steps]
    if kind == "#" then
      transcript.title = transcript.title or text
    elseif kind == "L" then
      transcript.limits = {}
      for name, value in text:gmatch("([%w_]+)=(%d+)") do transcript.limits[name] = tonumber(value) end
    elseif kind == "C" and last and last.kind == "C" then
      last.text = last.text .. text:rep(tonumber(count) or 1)
    elseif kind then
      local times = tonumber(count) or 1
      if kind == "C" then text, times = text:rep(times), 1 end
      transcript.steps[#transcript.steps + 1] = { kind = kind, text = text, count = times }
    elseif line:find("%S") then
      error(path .. ": unknown line: " .. line)
    end
  end
  return transcript
end

local function play(protocol, transcript, cut)
  local self = setmetatable({ protocol = protocol, cut = cut, log = {}, out = "" }, Player)
  self.session = new_session(protocol, transcript.limits)
  drain(self)
  for _, step in ipairs(transcript.steps) do steps[step.kind](self, step.text, step.count) end
  assert.equal("", escape(self.out), "output that no C: line names")
  local rest = {}
  for i, event in ipairs(self.log) do rest[i] = print_event(self, event) end
  assert.same({}, rest, "events that no E: line names")
  self.session:free()
end

-- A generator of our own, so that a seed means the same under every Lua.
local function splitter(seed)
  return function(n)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return math.min(n, 1 + math.floor(seed / 65536) % 7)
  end
end

local cuts = {
  { "whole", function() return function(n) return n end end },
  { "byte by byte", function() return function() return 1 end end },
}
for seed = 1, 3 do cuts[#cuts + 1] = { "split by seed " .. seed, function() return splitter(seed) end } end

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "spec"

for _, protocol in ipairs { "smtp", "lmtp", "pop3", "imap" } do
  describe("transcripts of " .. protocol, function()
    local list = io.popen("ls '" .. here .. "/wire/" .. protocol .. "/'*.wire 2>/dev/null")
    for path in list:lines() do
      local name = path:match("([^/]*)%.wire$")
      it(name, function()
        local transcript = read(path)
        assert(transcript.title, "the first comment is the transcript's intent")
        for _, cut in ipairs(cuts) do
          local ok, err = pcall(play, protocol, transcript, cut[2]())
          local why = type(err) == "table" and err.message or err
          if not ok then error(("%s (%s): %s"):format(name, cut[1], tostring(why)), 0) end
        end
      end)
    end
    list:close()
  end)
end
