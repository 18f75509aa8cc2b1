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
local content = require "mail.content"
local iterator = require "mail.iterator"
local retrieve = require "mail.pop3.retr"
local run = require "mail.pop3.run"
local want = require "mail.want"

local begin, finish, refused, named = run.begin, run.finish, run.refused, run.named

local WINDOW_BYTES = 1048576
local WINDOW_COUNT = 100

local setmetatable = setmetatable
local listing_methods = core.pop3_listing_class.__index

local messages = {}

-- --- asking ahead -----------------------------------------------------------------------------------

local AHEAD, FAILED, AGAIN = {}, {}, {} -- keys that no user can meet

local Message = {}
Message.__index = Message
Message.__name = "mail.pop3.message"

local item_of, ask_ahead = listing_methods.item, listing_methods.ask

--- What walks over a listing and asks ahead. `at` is the place of the message that the user has now, `message`
-- that message, `id` its RETR where that is in flight and nobody waits for it; at place `refill` more is asked for.
function messages.ahead(pump, listing)
  local gaps = pump:gap() -- only a streamed body has any
  return {
    pump = pump, listing = listing, at = 0, refill = 0,
    limit = pump.capabilities and pump.capabilities.PIPELINING and not gaps and WINDOW_COUNT or 0,
  }
end

-- The user passed over what is in flight.
local function pass(ahead)
  ahead.pump:abandon(ahead.id)
  ahead.limit, ahead.refill = 1, 0
end

-- The next message; nil behind the last; nil, err where there is one and the session has failed.
local function next_message(ahead)
  if ahead.id then pass(ahead) end
  local i = ahead.at + 1
  local number, size, uid, id = item_of(ahead.listing, i)
  ahead.at, ahead.id = i, id
  if not number then return nil end
  if ahead.pump.failure then return ahead.pump:failed() end
  local message = setmetatable({ number = number, size = size, uid = uid, [AHEAD] = ahead }, Message)
  ahead.message = message
  return message
end
messages.next = next_message

-- Asks for more, and says when to do so again; after a window that shrank, at each message.
local function fill(ahead)
  local pump, limit = ahead.pump, ahead.limit
  if pump.failure then return end
  if limit < WINDOW_COUNT then
    limit = limit * 2 < WINDOW_COUNT and limit * 2 or WINDOW_COUNT
    ahead.limit = limit
  end
  local refill = ask_ahead(ahead.listing, pump.session, ahead.at, limit, WINDOW_BYTES)
  ahead.refill = limit < WINDOW_COUNT and 0 or refill
end

-- What RETR did not give: its error, or the message by another way.
local function missed(pump, number, options, kind, why, text, code)
  local _, err
  if kind then _, err = refused(pump, "RETR", text, code) else _, err = named(pump, why, "RETR") end
  return retrieve.instead(pump, number, nil, options, err)
end

-- The body of message `number`, by the command `id` in flight or by one of its own.
local function body_of(ahead, id, number, options)
  local pump = ahead.pump
  if ahead.limit == 0 then return retrieve.fetch(pump, number, nil, options) end
  if not id then
    local err
    id, err = begin(pump, "retr", number)
    if not id then return nil, err end
  end
  if ahead.at >= ahead.refill then fill(ahead) end
  local kind, ok, text, code, body = pump:wait(id, pump:deadline(options))
  if kind and ok then return body end
  return missed(pump, number, options, kind, ok, text, code)
end

--- Gives up what is in flight.
function messages.close(ahead)
  local i, id, _ = ahead.at, ahead.id, nil
  ahead.id, ahead.limit = nil, 0
  repeat
    if id then ahead.pump:abandon(id) end
    i = i + 1
    _, _, _, id = item_of(ahead.listing, i)
  until not id
end

-- --- a message --------------------------------------------------------------------------------------

-- Into a sink what came ahead as a string.
local function pour(pump, body, sink)
  local ok, why = retrieve.verdict(sink(body))
  if ok then
    ok, why = sink(nil)
    ok = ok or why == nil
  end
  if ok then return true end
  return nil, pump:error("io", "the sink stopped: " .. tostring(why or "no reason given"), { command = "RETR" })
end

-- With a sink or options, or what is not in flight. What came ahead as a string is poured into the sink.
local function retr_with(self, sink, options)
  local ahead, id = self[AHEAD], nil
  if ahead.message == self then id, ahead.id = ahead.id, nil end
  local body, err
  if sink and not id then
    body, err = ahead.pump.session:retr(self.number, sink, options)
  else
    body, err = body_of(ahead, id, self.number, options)
    if body and sink then body, err = pour(ahead.pump, body, sink) end
  end
  self[FAILED] = not body
  return body, err
end

--- The message itself; see `session:retr`.
-- @tparam[opt] function sink
-- @tparam[opt] table options
function Message:retr(sink, options)
  if sink ~= nil or options ~= nil then
    if type(sink) == "table" and getmetatable(sink) == nil then sink, options = nil, sink end
    if sink ~= nil and type(sink) ~= "function" then
      error("message:retr: the sink must be a function, got " .. type(sink), 2)
    end
    retrieve.check(options, "message:retr")
    return retr_with(self, sink, options)
  end
  local ahead = self[AHEAD]
  local id = ahead.id
  if not id or ahead.message ~= self then return retr_with(self) end
  -- As retr_with, in one frame: most messages come this way.
  ahead.id = nil
  if ahead.at >= ahead.refill then fill(ahead) end
  local pump = ahead.pump
  local kind, ok, text, code, body = pump:wait(id, pump:deadline())
  if kind and ok then return body end
  self[FAILED] = true
  return missed(pump, self.number, nil, kind, ok, text, code)
end

--- The message, parsed.
-- @tparam[opt] table options as of `retr`
-- @treturn table as of `mail.message.parse`; or nil, err
function Message:message(options)
  local body, err = self:retr(options)
  if not body then return nil, err end
  return require "mail.message".parse(body)
end

--- The message as a source (ltn12), by which it may be sent, appended or stored as it is; it is fetched at once.
function Message:source()
  return content.once(self:retr())
end

--- Its header and the first `lines` lines of its body (TOP).
-- @tparam[opt=0] number lines
-- @tparam[opt] table options as of `session:top`
-- @treturn string; or nil, err
function Message:top(lines, options)
  return self[AHEAD].pump.session:top(self.number, lines or 0, options)
end

--- Marks it as deleted; final once `session:quit()` was answered.
-- @tparam[opt] table options `timeout` (seconds)
-- @return true; or nil, err
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
  return next_message(ahead)
end, function(self)
  if self.ahead then messages.close(self.ahead) end
end)

local methods = {}
messages.methods = methods

--- Iterates over the messages of the maildrop: `for m in session:messages() do … end`. Each has
-- `number`, `uid` (nil where the server has no UIDL), `size`, `m:retr([sink])`, `m:message()`,
-- `m:top(lines)`, `m:dele()`.
-- @tparam[opt] table options `timeout` for the two listings
-- @return an iterator (see `mail.iterator`)
function methods:messages(options)
  if options ~= nil then want(options, { timeout = "number|table?" }, "pop3:messages") end
  local pump = Pump.of(self)
  if not pump then error("pop3:messages: a session without a transport", 2) end
  return iterator.results(setmetatable({ pump = pump, options = options, ended = false }, Walk))
end

return messages
