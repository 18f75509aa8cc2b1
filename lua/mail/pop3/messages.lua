--- `session:messages()`: every message of a maildrop, the next ones asked for ahead.
--
-- Once the user has fetched one message, the RETRs of the next are put in flight, within a window of
-- bytes and commands: with PIPELINING the server then never waits for us (RFC 2449 §6.6). What was
-- asked for and is not wanted after all is passed over, and the window shrinks.
-- Invariant: `bytes` is the sum of the sizes of what is in flight; memory is bounded by it.
-- @module mail.pop3.messages

local Pump = require "mail.pump"
local iterator = require "mail.iterator"
local want = require "mail.want"

local WINDOW_BYTES = 1048576
local WINDOW_COUNT = 100

local internal

-- --- asking ahead -----------------------------------------------------------------------------------

local Ahead = {}
Ahead.__index = Ahead

-- `items` is the listing, in order; `at` the index of the message that the user has now.
local function new_ahead(pump, items)
  local gaps = pump:gap() -- only a streamed body has any
  return setmetatable({
    pump = pump, items = items, at = 0, asked = 0, ids = {}, count = 0, bytes = 0,
    limit = pump.capabilities and pump.capabilities.PIPELINING and not gaps and WINDOW_COUNT or 0,
  }, Ahead)
end

-- Forgets that message `i` is in flight. Its id, or nil.
function Ahead:take(i)
  local id = self.ids[i]
  if not id then return nil end
  self.ids[i] = nil
  self.count = self.count - 1
  self.bytes = self.bytes - (self.items[i].size or 0)
  return id
end

-- Gives up what lies before message `i`: the user passed it over.
function Ahead:pass(i)
  for j = self.at, i - 1 do
    local id = self:take(j)
    if id then
      self.pump:abandon(id)
      self.limit = 1
    end
  end
  self.at = i
end

-- Asks for more once half of the window is empty, so that commands travel in bunches.
function Ahead:fill()
  if self.count * 2 > self.limit or self.bytes * 2 > WINDOW_BYTES then return end
  local items, i = self.items, self.asked < self.at and self.at or self.asked
  while self.count < self.limit do
    i = i + 1
    local item = items[i]
    if not item or not item.size or self.bytes + item.size > WINDOW_BYTES then return end
    local id = internal.begin(self.pump, "retr", item.number)
    if not id then return end
    self.ids[i] = id
    self.count = self.count + 1
    self.bytes = self.bytes + item.size
    self.asked = i
  end
end

-- The body of message `i`, asked for already or now.
function Ahead:body(i, options)
  if self.limit == 0 then return internal.fetch(self.pump, self.items[i].number, options) end
  local id = self:take(i)
  if not id then
    local err
    id, err = internal.begin(self.pump, "retr", self.items[i].number)
    if not id then return nil, err end
  end
  if self.limit < WINDOW_COUNT then self.limit = math.min(self.limit * 2, WINDOW_COUNT) end
  self:fill()
  local text, body = internal.finish(self.pump, id, "RETR", options)
  if not text then return nil, body end
  return body
end

function Ahead:close()
  for _, id in pairs(self.ids) do self.pump:abandon(id) end
  self.ids, self.limit = {}, 0
end

-- --- a message --------------------------------------------------------------------------------------

local AHEAD, SESSION, INDEX = {}, {}, {} -- keys that no user can meet

local Message = {}
Message.__index = Message
Message.__name = "mail.pop3.message"

--- The message itself; see `session:retr`.
-- @tparam[opt] function sink
-- @tparam[opt] table options
function Message:retr(sink, options)
  if type(sink) == "table" and getmetatable(sink) == nil then sink, options = nil, sink end
  local ahead, i = self[AHEAD], self[INDEX]
  if sink and not ahead.ids[i] then return self[SESSION]:retr(self.number, sink, options) end
  if sink ~= nil and type(sink) ~= "function" then
    error("message:retr: the sink must be a function, got " .. type(sink), 2)
  end
  if options ~= nil then want(options, { timeout = "number|table?" }, "message:retr") end
  local body, err = ahead:body(i, options)
  if not body or not sink then return body, err end
  local ok, why = sink(body)
  if ok then ok, why = sink(nil) end
  if ok or why == nil then return true end
  return nil, ahead.pump:error("io", "the sink stopped: " .. tostring(why), { command = "RETR" })
end

--- The message, parsed (API §6).
function Message:message(options)
  local found, message = pcall(require, "mail.message")
  if not found and tostring(message):find("module 'mail.message' not found", 1, true) then
    return nil, self[AHEAD].pump:error("unsupported", "mail.message is not there")
  elseif not found then
    error(message, 0)
  end
  local body, err = self:retr(options)
  if not body then return nil, err end
  return message.parse(body)
end

--- Its header and the first `lines` lines of its body.
function Message:top(lines, options)
  return self[SESSION]:top(self.number, lines or 0, options)
end

--- Marks it as deleted; final once `session:quit()` was answered.
function Message:dele(options)
  return self[SESSION]:dele(self.number, options)
end

-- --- the iterator -----------------------------------------------------------------------------------

-- LIST and UIDL in one flight. items | nil, err. A server without UIDL gives no ids.
local function read_listing(pump, options)
  local list_id, err = internal.begin(pump, "list")
  if not list_id then return nil, err end
  local uidl_id
  uidl_id, err = internal.begin(pump, "uidl")
  if not uidl_id then return nil, err end
  local text, items = internal.finish(pump, list_id, "LIST", options)
  if not text then
    pump:abandon(uidl_id)
    return nil, items
  end
  local uids
  text, uids = internal.finish(pump, uidl_id, "UIDL", options)
  if not text and uids.kind ~= "rejected" then return nil, uids end
  local by_number = {}
  for _, entry in ipairs(text and uids or {}) do by_number[entry.number] = entry.uid end
  for _, item in ipairs(items) do item.uid = by_number[item.number] end
  return items
end

local methods = {}

--- Iterates over the messages of the maildrop: `for m in session:messages() do … end`. Each has
-- `number`, `uid` (nil where the server has no UIDL), `size`, `m:retr([sink])`, `m:message()`,
-- `m:top(lines)`, `m:dele()`.
-- @tparam[opt] table options `timeout` for the two listings
-- @return an iterator (API §1)
function methods:messages(options)
  if options ~= nil then want(options, { timeout = "number|table?" }, "pop3:messages") end
  local session, pump, ahead = self, Pump.of(self), nil
  if not pump then error("pop3:messages: a session without a transport", 2) end
  local i = 0
  local function advance()
    if not ahead then
      local items, err = read_listing(pump, options)
      if not items then return nil, err end
      ahead = new_ahead(pump, items)
    end
    i = i + 1
    ahead:pass(i)
    local item = ahead.items[i]
    if not item then return nil end
    return setmetatable({
      number = item.number, size = item.size, uid = item.uid,
      [AHEAD] = ahead, [SESSION] = session, [INDEX] = i,
    }, Message)
  end
  return iterator.new(advance, function()
    if ahead then ahead:close() end
  end)
end

return function(given)
  internal = given
  return methods
end
