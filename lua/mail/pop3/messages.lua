--- `session:messages()`: every message of a maildrop, the next ones asked for ahead.
--
-- Once the user has fetched one message, the RETRs of the next are put in flight, within a window of
-- bytes and commands: with PIPELINING the server then never waits for us (RFC 2449 §6.6). What was
-- asked for and is not wanted after all is passed over, and the window shrinks.
-- Invariant: `bytes` is the sum of the sizes of what is in flight; memory is bounded by it.
-- @module mail.pop3.messages

local Pump = require "mail.pump"
local iterator = require "mail.iterator"
local retrieve = require "mail.pop3.retr"
local run = require "mail.pop3.run"
local want = require "mail.want"

local begin, finish = run.begin, run.finish

local WINDOW_BYTES = 1048576
local WINDOW_COUNT = 100

local messages = {}

-- --- asking ahead -----------------------------------------------------------------------------------

local Ahead = {}
Ahead.__index = Ahead

--- What asks ahead. `items` is the listing, in order; `at` the index of the message that the user has now.
function messages.ahead(pump, items)
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
    local id = begin(self.pump, "retr", item.number)
    if not id then return end
    self.ids[i] = id
    self.count = self.count + 1
    self.bytes = self.bytes + item.size
    self.asked = i
  end
end

-- The body of message `i`, asked for already or now.
function Ahead:body(i, options)
  local pump, number = self.pump, self.items[i].number
  if self.limit == 0 then return retrieve.fetch(pump, number, nil, options) end
  local id = self:take(i)
  if not id then
    local err
    id, err = begin(pump, "retr", number)
    if not id then return nil, err end
  end
  if self.limit < WINDOW_COUNT then self.limit = math.min(self.limit * 2, WINDOW_COUNT) end
  self:fill()
  local text, body = finish(pump, id, "RETR", options)
  if text then return body end
  return retrieve.instead(pump, number, nil, options, body)
end

function Ahead:close()
  for _, id in pairs(self.ids) do self.pump:abandon(id) end
  self.ids, self.limit = {}, 0
end

-- --- a message --------------------------------------------------------------------------------------

local AHEAD, SESSION, INDEX, FAILED, AGAIN = {}, {}, {}, {}, {} -- keys that no user can meet

local Message = {}
Message.__index = Message
Message.__name = "mail.pop3.message"

-- Into a sink what came ahead as a string.
local function pour(pump, body, sink)
  local ok, why = sink(body)
  if ok then ok, why = sink(nil) end
  if ok or why == nil then return true end
  return nil, pump:error("io", "the sink stopped: " .. tostring(why), { command = "RETR" })
end

local function fetch(self, sink, options)
  local ahead, i = self[AHEAD], self[INDEX]
  if not sink then return ahead:body(i, options) end
  if not ahead.ids[i] then return self[SESSION]:retr(self.number, sink, options) end
  local body, err = ahead:body(i, options)
  if not body then return nil, err end
  return pour(ahead.pump, body, sink)
end

--- The message itself; see `session:retr`.
-- @tparam[opt] function sink
-- @tparam[opt] table options
function Message:retr(sink, options)
  if type(sink) == "table" and getmetatable(sink) == nil then sink, options = nil, sink end
  if sink ~= nil and type(sink) ~= "function" then
    error("message:retr: the sink must be a function, got " .. type(sink), 2)
  end
  retrieve.check(options, "message:retr")
  local body, err = fetch(self, sink, options)
  self[FAILED] = not body
  return body, err
end

--- The message, parsed (API §6).
function Message:message(options)
  local body, err = self:retr(options)
  if not body then return nil, err end
  return require "mail.message".parse(body)
end

--- Its header and the first `lines` lines of its body.
function Message:top(lines, options)
  return self[SESSION]:top(self.number, lines or 0, options)
end

--- Marks it as deleted; final once `session:quit()` was answered.
function Message:dele(options)
  return self[SESSION]:dele(self.number, options)
end

--- Of `session:new_messages`: it was not dealt with, and shall come again in the next session.
function Message:again()
  self[AGAIN] = true
end

--- A message of a listing.
function messages.message(ahead, session, i)
  local item = ahead.items[i]
  return setmetatable({
    number = item.number, size = item.size, uid = item.uid,
    [AHEAD] = ahead, [SESSION] = session, [INDEX] = i,
  }, Message)
end

--- Whether the loop has dealt with it: the last attempt to fetch it did not fail, and `again` was not asked for.
function messages.is_dealt_with(m)
  return not m[FAILED] and not m[AGAIN]
end

-- --- the iterator -----------------------------------------------------------------------------------

--- LIST and UIDL in one flight.
-- @treturn table array of {number=, size=, uid=}; or nil, err
-- @treturn ?table err of a refused UIDL: no message has a uid then
function messages.listing(pump, options)
  local list_id, err = begin(pump, "list")
  if not list_id then return nil, err end
  local uidl_id
  uidl_id, err = begin(pump, "uidl")
  if not uidl_id then return nil, err end
  local text, items = finish(pump, list_id, "LIST", options)
  if not text then
    pump:abandon(uidl_id)
    return nil, items
  end
  local uids
  text, uids = finish(pump, uidl_id, "UIDL", options)
  if not text and uids.kind ~= "rejected" then return nil, uids end
  local by_number = {}
  for _, entry in ipairs(text and uids or {}) do by_number[entry.number] = entry.uid end
  for _, item in ipairs(items) do item.uid = by_number[item.number] end
  return items, not text and uids or nil
end

local Walk = iterator.class(function(self)
  local ahead = self.ahead
  if not ahead then
    local items, err = messages.listing(self.pump, self.options)
    if not items then return nil, err end
    ahead = messages.ahead(self.pump, items)
    self.ahead = ahead
  end
  local i = ahead.at + 1
  ahead:pass(i)
  if not ahead.items[i] then return nil end
  return messages.message(ahead, self.session, i)
end, function(self)
  if self.ahead then self.ahead:close() end
end)

local methods = {}
messages.methods = methods

--- Iterates over the messages of the maildrop: `for m in session:messages() do … end`. Each has
-- `number`, `uid` (nil where the server has no UIDL), `size`, `m:retr([sink])`, `m:message()`,
-- `m:top(lines)`, `m:dele()`.
-- @tparam[opt] table options `timeout` for the two listings
-- @return an iterator (API §1)
function methods:messages(options)
  if options ~= nil then want(options, { timeout = "number|table?" }, "pop3:messages") end
  local pump = Pump.of(self)
  if not pump then error("pop3:messages: a session without a transport", 2) end
  return iterator.results(setmetatable({ session = self, pump = pump, options = options }, Walk))
end

return messages
