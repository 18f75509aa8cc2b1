--- `session:messages()`: every message of a maildrop, the next ones asked for ahead.
--
-- Once the user has fetched one message, the RETRs of the next are put in flight, within a window of
-- bytes and commands: with PIPELINING the server then never waits for us (RFC 2449 §6.6). What was
-- asked for and is not wanted after all is passed over, and the window shrinks.
-- The listing is the core's (core.pop3_listing), which asks too: a big maildrop is no table for each message.
-- Invariant: no more bytes than a window has, by their sizes, are in flight; memory is bounded by it.
-- @module mail.pop3.messages

local core = require "mail.core"
local Pump = require "mail.pump"
local iterator = require "mail.iterator"
local retrieve = require "mail.pop3.retr"
local run = require "mail.pop3.run"
local want = require "mail.want"

local begin, finish, refused, named = run.begin, run.finish, run.refused, run.named

local WINDOW_BYTES = 1048576
local WINDOW_COUNT = 100

local messages = {}

-- --- asking ahead -----------------------------------------------------------------------------------

local AHEAD, FAILED, AGAIN = {}, {}, {} -- keys that no user can meet

local Ahead = {}
Ahead.__index = Ahead

local Message = {}
Message.__index = Message
Message.__name = "mail.pop3.message"

--- What walks over a listing and asks ahead. `at` is the place of the message that the user has now, `message`
-- that message, `id` its RETR where that is in flight and not waited for.
function messages.ahead(pump, listing)
  local gaps = pump:gap() -- only a streamed body has any
  return setmetatable({
    pump = pump, listing = listing, at = 0, refill = 0,
    limit = pump.capabilities and pump.capabilities.PIPELINING and not gaps and WINDOW_COUNT or 0,
  }, Ahead)
end

--- The next message; nil behind the last.
function Ahead:next()
  if self.id then -- the user passed it over
    self.pump:abandon(self.id)
    self.limit, self.refill = 1, 0
  end
  local i = self.at + 1
  local number, size, uid, id = self.listing:item(i)
  self.at, self.id = i, id
  if not number then return nil end
  local message = setmetatable({ number = number, size = size, uid = uid, [AHEAD] = self }, Message)
  self.message = message
  return message
end

-- Asks for more, and says when to do so again; after a window that shrank, at each message.
function Ahead:fill()
  local pump, limit = self.pump, self.limit
  if pump.failure then return end
  if limit < WINDOW_COUNT then
    limit = limit * 2 < WINDOW_COUNT and limit * 2 or WINDOW_COUNT
    self.limit = limit
  end
  local refill = self.listing:ask(pump.session, self.at, limit, WINDOW_BYTES)
  self.refill = limit < WINDOW_COUNT and 0 or refill
end

-- The body of message `number`, by the command `id` in flight or by one of its own.
function Ahead:body(id, number, options)
  local pump = self.pump
  if self.limit == 0 then return retrieve.fetch(pump, number, nil, options) end
  if not id then
    local err
    id, err = begin(pump, "retr", number)
    if not id then return nil, err end
  end
  if self.at >= self.refill then self:fill() end
  local kind, ok, text, code, body = pump:wait(id, pump:deadline(options))
  if kind and ok then return body end
  local _, err
  if kind then _, err = refused(pump, "RETR", text, code) else _, err = named(pump, ok, "RETR") end
  return retrieve.instead(pump, number, nil, options, err)
end

function Ahead:close()
  local id, _ = self.id, nil
  self.id, self.limit = nil, 0
  for i = self.at + 1, self.listing:count() do
    if id then self.pump:abandon(id) end
    _, _, _, id = self.listing:item(i)
    if not id then return end
  end
  if id then self.pump:abandon(id) end
end

-- --- a message --------------------------------------------------------------------------------------

-- Into a sink what came ahead as a string.
local function pour(pump, body, sink)
  local ok, why = sink(body)
  if ok then ok, why = sink(nil) end
  if ok or why == nil then return true end
  return nil, pump:error("io", "the sink stopped: " .. tostring(why), { command = "RETR" })
end

-- By way of a sink; what is in flight as a string is poured into it.
local function fetch(self, id, sink, options)
  local ahead = self[AHEAD]
  if not id then return ahead.pump.session:retr(self.number, sink, options) end
  local body, err = ahead:body(id, self.number, options)
  if not body then return nil, err end
  return pour(ahead.pump, body, sink)
end

-- Its arguments, where there are any.
local function read_arguments(sink, options)
  if type(sink) == "table" and getmetatable(sink) == nil then sink, options = nil, sink end
  if sink ~= nil and type(sink) ~= "function" then
    error("message:retr: the sink must be a function, got " .. type(sink), 3)
  end
  return sink, options
end

--- The message itself; see `session:retr`.
-- @tparam[opt] function sink
-- @tparam[opt] table options
function Message:retr(sink, options)
  if sink ~= nil or options ~= nil then
    sink, options = read_arguments(sink, options)
    retrieve.check(options, "message:retr")
  end
  local ahead, id = self[AHEAD], nil
  if ahead.message == self then id, ahead.id = ahead.id, nil end
  local body, err
  if sink then body, err = fetch(self, id, sink, options) else body, err = ahead:body(id, self.number, options) end
  if not body then self[FAILED] = true elseif self[FAILED] then self[FAILED] = nil end
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
  return self[AHEAD].pump.session:top(self.number, lines or 0, options)
end

--- Marks it as deleted; final once `session:quit()` was answered.
function Message:dele(options)
  return self[AHEAD].pump.session:dele(self.number, options)
end

--- Of `session:new_messages`: it was not dealt with, and shall come again in the next session.
function Message:again()
  self[AGAIN] = true
end

--- Whether the loop has dealt with it: the last attempt to fetch it did not fail, and `again` was not asked for.
function messages.is_dealt_with(m)
  return not m[FAILED] and not m[AGAIN]
end

-- --- the iterator -----------------------------------------------------------------------------------

-- Queues LIST or UIDL; the answer comes as it is.
local function ask(pump, verb)
  local id, err = begin(pump, "command", verb)
  if not id and err.kind == "invalid" then err.command = verb end
  return id, err
end

--- LIST and UIDL in one flight.
-- @treturn userdata listing of the core; or nil, err
-- @treturn ?table err of a refused UIDL: no message has a uid then
function messages.listing(pump, options)
  local list_id, err = ask(pump, "LIST")
  if not list_id then return nil, err end
  local uidl_id
  uidl_id, err = ask(pump, "UIDL")
  if not uidl_id then return nil, err end
  local text, list = finish(pump, list_id, "LIST", options)
  if not text then
    pump:abandon(uidl_id)
    return nil, list
  end
  local uidl
  text, uidl = finish(pump, uidl_id, "UIDL", options)
  if text then return core.pop3_listing(list, uidl) end
  if uidl.kind ~= "rejected" then return nil, uidl end
  return core.pop3_listing(list), uidl
end

local Walk = iterator.class(function(self)
  local ahead = self.ahead
  if not ahead then
    local listing, err = messages.listing(self.pump, self.options)
    if not listing then return nil, err end
    ahead = messages.ahead(self.pump, listing)
    self.ahead = ahead
  end
  return ahead:next()
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
  return iterator.results(setmetatable({ pump = pump, options = options }, Walk))
end

return messages
