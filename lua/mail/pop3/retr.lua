--- Messages out of a maildrop: RETR and TOP, as strings and into sinks (RFC 1939 §5, §7).
--
-- Memory stays bounded: a sink is fed as the octets come, a string has the limit `message`.
-- @module mail.pop3.retr

local ascii = require "mail.ascii"
local Pump = require "mail.pump"
local guarded = require "mail.guarded"
local run = require "mail.pop3.run"
local want = require "mail.want"

local native, begin, finish, refused, named = run.native, run.begin, run.finish, run.refused, run.named

local retr = {}

-- Lines enough for every message that there is.
local ALL_LINES = 2147483647
local RETR = { timeout = "number|table?", top = "boolean?" }
local TOP = { timeout = "number|table?" }

-- --- sinks ------------------------------------------------------------------------------------------

-- A sink of ltn12 stops by nil; a function without a `return` has nothing to say, and goes on.
local function verdict(...)
  if select("#", ...) == 0 then return true end
  return ...
end

-- What a sink gave: its verdict; where it raised, the command is given up before the error goes on.
local function outcome(pump, id, fine, ...)
  if fine then return verdict(...) end
  pump:stream_end(id)
  pump:abandon(id)
  error((...), 0)
end

local function call_sink(pump, id, sink, chunk)
  return outcome(pump, id, guarded(sink, chunk))
end

-- For messages.lua.
retr.verdict = verdict

local function sink_failed(pump, why, command)
  return nil, pump:error("io", "the sink stopped: " .. tostring(why or "no reason given"), { command = command })
end

-- The end is reported to the sink. ltn12 wants a true value; nil is as good.
local function end_sink(pump, id, sink, command)
  local ok, why = call_sink(pump, id, sink, nil)
  if not ok and why ~= nil then return sink_failed(pump, why, command) end
  return true
end

-- A body that comes faster than it is read is never waited for: its time is over all the same.
local function late(pump, id, command)
  pump:stream_end(id)
  pump:abandon(id)
  return nil, pump:error("timeout", "no answer in time", { command = command })
end

-- Hands the pieces of a body to `sink` as they come. true | nil, err
local function stream(pump, id, sink, options, command)
  local whole = pump:deadline(options)
  local deadline = whole
  pump:stream(id)
  while true do
    local kind, a, b, c = pump:wait(id, deadline)
    if kind == "data" then
      local ok, why = call_sink(pump, id, sink, a)
      if not ok then
        pump:stream_end(id)
        pump:abandon(id)
        return sink_failed(pump, why, command)
      end
      deadline = pump:piece_deadline(options, whole)
      if pump.host.now() >= deadline then return late(pump, id, command) end
    else
      pump:stream_end(id)
      if not kind then return named(pump, a, command) end
      if not a then return refused(pump, command, b, c) end
      return end_sink(pump, id, sink, command)
    end
  end
end

-- Collects a body in pieces, so that the gaps between them can be bounded.
local function collect(pump, id, options, command)
  local pieces, n, bytes = {}, 0, 0
  local ok, err = stream(pump, id, function(piece)
    if not piece then return true end
    bytes = bytes + #piece
    if bytes > pump.message_limit then return nil, "limit" end
    n = n + 1
    pieces[n] = piece
    return true
  end, options, command)
  if ok then return table.concat(pieces) end
  if err.kind == "io" then return nil, pump:error("limit", "limit passed: message", { command = command }) end
  return nil, err
end

-- The body that the command `name` asks for with these arguments.
local function body(pump, sink, options, name, a, b)
  local command = ascii.upper(name)
  local streamed = sink or pump:gap(options)
  local mode = streamed and "stream" or "whole"
  local id, err
  if b then id, err = begin(pump, name, a, b, mode) else id, err = begin(pump, name, a, mode) end
  if not id then return nil, err end
  if sink then return stream(pump, id, sink, options, command) end
  if streamed then return collect(pump, id, options, command) end
  local text, whole = finish(pump, id, command, options)
  if not text then return nil, whole end
  return whole
end

-- --- by the pieces above, for messages.lua too --------------------------------------------------------

--- After a refused RETR: the whole by TOP, where the caller allows that. Some servers, and accounts that are
-- out of favor with theirs, refuse the one and not the other. What RETR said stands where TOP fails, too.
function retr.instead(pump, n, sink, options, err)
  if not (options and options.top) or err.kind ~= "rejected" or pump.failure then return nil, err end
  local got, why = body(pump, sink, options, "top", n, ALL_LINES)
  if got or why.kind ~= "rejected" then return got, why end
  return nil, err
end

--- A message, as a string or into a sink.
function retr.fetch(pump, n, sink, options)
  local got, err = body(pump, sink, options, "retr", n)
  if got then return got end
  return retr.instead(pump, n, sink, options, err)
end

--- Checks the options of RETR; blames the caller of the function that calls it.
function retr.check(options, what)
  if options ~= nil then want(options, RETR, what, 2) end
end

local methods = {}
retr.methods = methods

--- A message as it came: lines in CRLF, the dots of the transfer taken off.
-- @tparam number n
-- @tparam[opt] function sink ltn12: gets each piece, nil at the end; returning nil, err stops the
--   transfer and leaves the session usable, returning nothing at all goes on. Memory stays bounded whatever the size.
-- @tparam[opt] table options `timeout`; `top = true`: where the server refuses RETR, ask for the same by
--   TOP with all lines (what servers that allow only TOP give: a message that may not count as read)
-- @treturn string the message, or true with a sink; or nil, err (kind "io" where the sink stopped;
--   response_code "UTF8" where the message needs `pop:utf8()` before the log-in, RFC 6856 §5)
function methods:retr(n, sink, options)
  run.check_number(n, "retr")
  local pump = Pump.of(self)
  if not pump then return native.retr(self, n, type(sink) == "function" and "stream" or sink) end
  if type(sink) == "table" and getmetatable(sink) == nil then sink, options = nil, sink end
  retr.check(options, "pop3:retr")
  if sink ~= nil and type(sink) ~= "function" then
    error("pop3:retr: the sink must be a function, got " .. type(sink), 2)
  end
  return retr.fetch(pump, n, sink, options)
end

--- The header of a message and the first lines of its body.
-- @tparam number n
-- @tparam number lines 0: the header alone
-- @tparam[opt] function sink as of `retr`
-- @tparam[opt] table options
-- @treturn string, or true with a sink; or nil, err
function methods:top(n, lines, sink, options)
  run.check_number(n, "top")
  if not run.is_whole(lines, 0) then error("pop3:top: a number of lines expected, got " .. tostring(lines), 2) end
  local pump = Pump.of(self)
  if not pump then return native.top(self, n, lines, type(sink) == "function" and "stream" or sink) end
  if type(sink) == "table" and getmetatable(sink) == nil then sink, options = nil, sink end
  if options ~= nil then want(options, TOP, "pop3:top") end
  if sink ~= nil and type(sink) ~= "function" then
    error("pop3:top: the sink must be a function, got " .. type(sink), 2)
  end
  return body(pump, sink, options, "top", n, lines)
end

return retr
