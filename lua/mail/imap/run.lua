--- What every IMAP command is made of: checked arguments, a command, its answer, its error.
--
-- The checks blame the line that called the method which calls them, so no method may call them, or
-- what calls them, as a tail call.
-- @module mail.imap.run

local Pump = require "mail.pump"
local core = require "mail.core"
local events = require "mail.imap.events"
local want = require "mail.want"

local run = {}

-- --- arguments ------------------------------------------------------------------------------------

local TIME = { timeout = "number|table?" }

--- Checks the options of a call; nil is fine. `spec` as of `mail.want`, default: `timeout` alone.
function run.options(options, what, spec)
  if options ~= nil then want(options, spec or TIME, "imap:" .. what, 2) end
end

--- A string argument: `what` is the method, `name` what is expected.
function run.text(value, what, name)
  if type(value) ~= "string" then
    error(("imap:%s: %s expected, got %s"):format(what, name, type(value)), 3)
  end
  return value
end

--- A set in the standard's form, "" for an empty one.
function run.set(set, what)
  local canonical, why = core.seqset(set)
  if not canonical then error(("imap:%s: bad set: %s"):format(what, tostring(why)), 3) end
  return canonical
end

--- A mod-sequence as digits: a number, or digits where it is above 2^53 (RFC 7162 §7: up to 63 bits).
-- @tparam string what and
-- @tparam number level who is blamed where it is none
function run.modseq(value, what, level)
  if type(value) == "number" and value >= 0 and value % 1 == 0 and value <= 2 ^ 53 then
    return ("%.0f"):format(value)
  end
  if type(value) == "string" and value:find("^%d+$") and #value <= 19 then return value end
  error(("%s: a mod-sequence is a whole number, or its digits"):format(what), level + 1)
end

--- The pump of a session. One that is driven by hand has none, and nothing to wait on.
function run.pump(session, what)
  local pump = Pump.of(session)
  if not pump then
    error(("imap:%s: a session without a transport; submit() queues a command by hand"):format(what), 3)
  end
  return pump
end

-- A set longer than this is sent in several commands; servers take 8,000 octets a line and more
-- (RFC 2683 §3.2.1.5).
local SET_MAX = 4000

--- "1:3,5,…" in pieces of at most SET_MAX octets, cut at commas; none for an empty set.
function run.pieces(set)
  if set == "" then return {} end
  local pieces, from = {}, 1
  while #set - from + 1 > SET_MAX do
    local cut = from + SET_MAX
    while set:byte(cut) ~= 44 do cut = cut - 1 end
    pieces[#pieces + 1] = set:sub(from, cut - 1)
    from = cut + 1
  end
  pieces[#pieces + 1] = set:sub(from)
  return pieces
end

local FLAG = "^\\?[^%c%s(){%%*\"\\%]\128-\255]+$"

--- "(\\Seen work)" from an array of flags or one flag; or nil, err. Raises where they are neither.
function run.flags(pump, flags, what)
  if type(flags) == "string" then flags = { flags } end
  if type(flags) ~= "table" then
    error(("imap:%s: an array of flags expected, got %s"):format(what, type(flags)), 3)
  end
  for _, flag in ipairs(flags) do
    if type(flag) ~= "string" then
      error(("imap:%s: a flag must be a string, got %s"):format(what, type(flag)), 3)
    elseif not flag:find(FLAG) then
      return nil, pump:error("invalid", "bad flag '" .. flag .. "'", { command = what:upper() })
    end
  end
  return "(" .. table.concat(flags, " ") .. ")"
end

-- --- answers --------------------------------------------------------------------------------------

-- Codes of servers that may say otherwise later (RFC 5530).
local PASSING = { UNAVAILABLE = true, INUSE = true, LIMIT = true, THROTTLED = true }

--- NO or BAD as an error.
function run.refusal(pump, command, status, code, value, text, kind)
  return pump:error(kind or "rejected", status .. " " .. (text or ""), {
    command = command, status = status, response_code = code, response_value = value, text = text,
    temporary = PASSING[code] or false,
  })
end

--- Sends what is new, although whoever reads for this session sleeps until the server speaks.
function run.push(pump)
  pump.session:push()
  pump:flush()
end

--- Queues a command: `verb`, whether bodies are streamed, and pairs of type and value.
-- @treturn number id; or nil, err
function run.begin(pump, verb, stream, ...)
  local id, err = pump:begin("submit", verb, stream, ...)
  if id then
    if pump.leading then run.push(pump) end
    return id
  end
  if err ~= pump.failure then err.command = verb end
  return nil, err
end

--- Waits for the end of a command. `collect(name, number, value, code, code_value, text)` gets the
-- untagged data of it; without, that goes to the handlers.
-- @return true and the tagged answer's code, value, text; or nil, err
function run.finish(pump, id, command, options, collect, deadline)
  deadline = deadline or pump:deadline(options)
  while true do
    local kind, a, b, c, d, e, f = pump:wait(id, deadline)
    if not kind then
      if a ~= pump.failure then a.command = a.command or command end
      return nil, a
    elseif kind == "done" then
      if a == "OK" then
        if b == "HIGHESTMODSEQ" and pump.mailbox then pump.mailbox.highestmodseq = c end -- of EXPUNGE, STORE, FETCH
        return true, b, c, d
      end
      return nil, run.refusal(pump, command, a, b, c, d)
    elseif kind == "untagged" then
      if collect then collect(a, b, c, d, e, f) else events.unsolicited(pump, kind, a, b, c, d, e, f) end
    elseif kind == "fetch" then
      if collect then collect("FETCH", a.seq, a) else events.unsolicited(pump, kind, a) end
    end
  end
end

--- Sends a command of typed arguments and waits for its end.
-- @return as of `finish`
function run.call(pump, options, collect, verb, ...)
  local id, err = run.begin(pump, verb, false, ...)
  if not id then return nil, err end
  return run.finish(pump, id, verb, options, collect)
end

return run
