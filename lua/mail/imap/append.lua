--- APPEND and REPLACE: messages into a mailbox, one or many, whole or put together by the server
-- (RFC 9051 §6.3.12, RFC 3502, RFC 4469, RFC 8508).
-- @module mail.imap.append

local ascii = require "mail.ascii"
local literal = require "mail.imap.literal"
local run = require "mail.imap.run"
local url = require "mail.imap.url"

local unpack = table.unpack or unpack -- luacheck: ignore

local append = {}

--- Options of `imap:append`.
append.OPTIONS = {
  flags = "table|string?", date = "number|string?", size = "number?", binary = "boolean?",
  timeout = "number|table?", progress = "function?",
}

-- Messages of one MULTIAPPEND. All of them are open at once, and all are lost together.
local TOGETHER = 100

-- --- what is sent ---------------------------------------------------------------------------------

-- A command under way: `arguments`, and `streams`, the literals that are handed over, in order.
local function new_command(call)
  return { verb = call.verb, arguments = { unpack(call.arguments) }, streams = {}, all = {}, now = 1 }
end

local function put(command, kind, value)
  local arguments = command.arguments
  arguments[#arguments + 1] = kind
  arguments[#arguments + 1] = value
end

local function put_literal(command, it)
  command.all[#command.all + 1] = it
  if not it.text then command.streams[#command.streams + 1] = it end
  put(command, literal.argument(it))
end

local function close_all(command)
  for _, it in ipairs(command.all) do literal.close(it) end
end

-- 01-Nov-2026 12:00:00 +0100 (RFC 9051 §9, date-time)
local DATE_TIME = "^[ %d]%d%-[A-Za-z][A-Za-z][A-Za-z]%-%d%d%d%d %d%d:%d%d:%d%d [+-]%d%d%d%d$"

-- Flags and date of one message; true, or nil, err.
local function put_head(pump, command, flags, date)
  if flags then put(command, "text", flags) end
  if type(date) == "number" and date >= -62135596800 and date < 253402300800 then -- the years 1 to 9999
    put(command, "date", date)
  elseif type(date) == "number" then
    return nil, pump:error("invalid", "bad date " .. ascii.text(date))
  elseif date and date:find(DATE_TIME) then
    put(command, "text", '"' .. date .. '"')
  elseif date then
    return nil, pump:error("invalid", "bad date '" .. date .. "'")
  end
  return true
end

-- CATENATE "(" "URL" SP astring / "TEXT" SP literal … ")"
local function put_catenate(pump, command, parts, level)
  if not pump.session:has_capability "CATENATE" then
    return nil, pump:error("unsupported", "the server lacks CATENATE")
  end
  put(command, "text", "CATENATE")
  put(command, "open", true)
  for _, part in ipairs(parts) do
    local address = url.of_part(pump, part)
    if address then
      put(command, "text", "URL")
      put(command, "astring", address)
    else
      local options = type(part) == "table" and part.text ~= nil and part or {}
      local it, err = literal.open(pump, options.text or part, options, "imap:append", level + 1)
      if not it then return nil, err end
      put(command, "text", "TEXT")
      put_literal(command, it)
    end
  end
  put(command, "close", true)
  return true
end

-- A message whose header is not ASCII goes as "UTF8 (~{…})" once UTF8=ACCEPT is enabled (RFC 6855 §4). What a
-- source will bring is not known before it is sent; the form allows for either.
local function in_utf8(pump, it, message)
  if not (pump.enabled and pump.enabled["UTF8=ACCEPT"]) then return false end
  if type(message) == "table" and message.is_composed then return message:form() == "utf8" end
  if not it.text then return true end
  local first = it.text:find("[\128-\255]")
  local ends = first and it.text:find("\r\n\r\n", 1, true)
  return first ~= nil and (not ends or first < ends)
end

-- One message of a command; true, or nil, err.
local function put_message(pump, command, one, level)
  local ok, err = put_head(pump, command, one.flags, one.date)
  if not ok then return nil, err end
  if one.catenate then return put_catenate(pump, command, one.catenate, level + 1) end
  local it
  it, err = literal.open(pump, one.message, one, "imap:append", level + 1)
  if not it then return nil, err end
  local utf8 = in_utf8(pump, it, one.message)
  if utf8 then
    it.eight = true
    -- Courier refuses UTF8 right behind the name.
    if not one.flags and not one.date then put(command, "text", "()") end
    put(command, "text", "UTF8")
    put(command, "open", true)
  end
  put_literal(command, it)
  if utf8 then put(command, "close", true) end
  return true
end

-- --- sending --------------------------------------------------------------------------------------

-- Hands a literal over, piece by piece, as the core asks for it. What has been announced cannot be
-- taken back, so a source that fails ends the session: no half message is ever stored.
local function give(pump, id, command)
  local it = command.streams[command.now]
  local piece, why = literal.pull(it)
  if pump.failure then return pump:failed() end
  local session, ok, refusal = pump.session, nil, nil
  if piece then
    ok, refusal = session:content(id, piece)
  elseif why == nil and not it.source.raised then
    ok, refusal = session:content_end(id)
    command.now = command.now + 1
  end
  if ok then return true end
  pump:abandon(id)
  if not pump.failure then pump:fail(pump:error("closed", "a message broke off")) end
  if it.source.raised then error(why, 0) end
  if refusal == "NUL in a literal" then return nil, pump:error("invalid", "NUL in a message: see option 'binary'") end
  return nil, pump:error("io", "the message cannot be read: " .. tostring(why or refusal))
end

-- The command left whole and was not answered: nobody knows whether the message was stored.
local function lost(pump, id, err)
  local session = pump.session
  if session:is_freed() or not session:is_sent(id) then return nil, err end
  return nil, pump:error("unknown", "the message left whole and was not answered: " .. err.message)
end

-- Gives what is asked for, if anything is. true, or nil, err.
local function feed(pump, id, command)
  while command.streams[command.now] and not pump.failure and pump.session:wants_content(id) do
    local ok, err = give(pump, id, command)
    if not ok then return nil, err end
    run.push(pump)
  end
  return true
end

-- Untagged data that comes meanwhile: the place of the message, the server's progress, or news. The
-- place, and true where the call has its time anew.
local function heard(pump, options, kind, name, number, value, code, code_value, text)
  if code == "APPENDUID" and type(code_value) == "table" then return code_value end
  if code == "INPROGRESS" then return nil, run.progress(pump, options, code_value, text) end
  pump:unsolicited(kind, name, number, value, code, code_value, text)
end

-- What is the user's has raised: the command is not finished any more.
local function break_off(pump, command)
  pump:abandon(command.id)
  close_all(command)
end

local function sent_of(pump)
  local _, sent = pump:octets()
  return sent
end

-- Waits for the end. The place that APPENDUID told, or an empty table; or nil, err.
local function finish(pump, id, command, options)
  command.id = id
  local whole = pump:deadline(options)
  local deadline, place = whole, nil
  local sent = pump:gap(options) and sent_of(pump)
  while true do
    local ok, err = feed(pump, id, command)
    if not ok then return nil, err end
    local kind, a, b, c, d, e, f = pump:wait(id, deadline, sent and true)
    local before = sent
    if not kind and sent and a.kind == "timeout" then sent = sent_of(pump) end
    if not kind and sent ~= before then -- a message in memory goes without an event: it is under way
      deadline = pump:piece_deadline(options, whole)
    elseif not kind then
      if sent then pump:abandon(id) end
      return lost(pump, id, a)
    elseif kind == "done" then
      if a ~= "OK" then return nil, run.refusal(pump, command.verb, a, b, c, d) end
      return b == "APPENDUID" and c or place or {}
    elseif kind == "limit" then
      return lost(pump, id, run.overfull(pump, command.verb))
    elseif kind == "go" then
      deadline = pump:piece_deadline(options, whole)
    elseif kind == "untagged" or kind == "fetch" then
      local here, anew = run.fenced(break_off, pump, command, heard, pump, options, kind, a, b, c, d, e, f)
      place = here or place
      if anew then
        whole = pump:deadline(options)
        deadline = whole
      end
    end
  end
end

-- Sends one command with all messages of `list` from `first` to `last`.
local function send(pump, call, first, last, level)
  local command = new_command(call)
  local ok, err = true, nil
  for i = first, last do
    if ok then ok, err = put_message(pump, command, call.list[i], level + 1) end
  end
  if ok then ok, err = run.begin(pump, command.verb, false, unpack(command.arguments)) end
  local place
  if ok then place, err = finish(pump, ok, command, call.options) end
  close_all(command)
  if place then return place end
  if err ~= pump.failure then err.command = err.command or command.verb end
  return nil, err
end

-- --- results --------------------------------------------------------------------------------------

-- The UIDs of `n` messages in their order, from "3,5:7"; nil where they are not as many.
local function expand(uids, n)
  local list = {}
  for lo, hi in (tostring(uids) .. ","):gmatch "(%d+):?(%d*)," do
    local from, to = tonumber(lo), tonumber(hi ~= "" and hi or lo)
    if from > to then from, to = to, from end
    if #list + to - from + 1 > n then return nil end
    for uid = from, to do list[#list + 1] = uid end
  end
  return #list == n and list or nil
end

local function limit_of(session)
  for name in pairs(session:capability_set()) do
    local n = name:match "^MESSAGELIMIT=(%d+)$" or name:match "^SAVELIMIT=(%d+)$"
    if n then return tonumber(n) end
  end
  return TOGETHER
end

-- Many messages: as many in a command as the server takes.
local function send_all(pump, call, level)
  local step = 1
  if pump.session:has_capability "MULTIAPPEND" then step = math.max(1, math.min(TOGETHER, limit_of(pump.session))) end
  local result, told = { uids = {} }, true
  for first = 1, #call.list, step do
    local last = math.min(first + step - 1, #call.list)
    local place, err = send(pump, call, first, last, level + 1)
    if not place then
      if err ~= pump.failure then
        err.appended, err.first, err.last, err.uids = first - 1, first, last, told and result.uids or nil
      end
      return nil, err
    end
    local uids = place.uids and expand(place.uids, last - first + 1)
    told = told and uids ~= nil
    result.uidvalidity = place.uidvalidity
    for _, uid in ipairs(uids or {}) do result.uids[#result.uids + 1] = uid end
  end
  if not told then result.uids = nil end
  return result
end

-- --- the calls ------------------------------------------------------------------------------------

-- One entry of a call: a message, or `{message=, …}`, or `{catenate=, …}`.
local function entry(pump, one, options, what, level)
  local own = {}
  local wrapped = type(one) == "table" and not literal.is_message(one) and (one.message ~= nil or one.catenate ~= nil)
  if wrapped then own = one end
  local message = one
  if wrapped then message = one.message end
  if not own.catenate and not literal.is_message(message) then
    error(("imap:%s: the message must be a string, an open file, a source function or a message, got %s")
      :format(what, io.type(message) or type(message)), level + 1)
  end
  if own.catenate then url.check_parts(own.catenate, what, level + 1) end
  local flags, err = own.flags or options.flags, nil
  if flags then flags, err = run.flags(pump, flags, what, level + 1) end
  if err then return nil, err end
  local binary = own.binary
  if binary == nil then binary = options.binary end
  return {
    message = message, catenate = own.catenate, flags = flags, date = own.date or options.date,
    size = own.size or (not wrapped and options.size or nil), binary = binary,
  }
end

--- Raises where `message` is not one that can be appended.
function append.check(pump, message, what, level)
  local one, err = entry(pump, message, {}, what, level + 1)
  return one, err
end

local function is_many(message)
  return type(message) == "table" and not literal.is_message(message) and message.message == nil
    and message.catenate == nil and message[1] ~= nil
end

--- Appends one message or many.
-- @tparam table pump
-- @tparam table call `verb`, `arguments` in front of the messages, and the user's `options`: `flags`,
--   `date` (seconds since 1970, or a date-time as the standard writes it), `size` of a source in
--   octets, `binary`, `timeout`, `progress` (a function: gets what a server with INPROGRESS reports of its work, RFC
--   9585; how much has been sent a source function of one's own can count)
-- @param message a string, an open file, a source function or a mail.message: lines may end in LF,
--   and are stored with CRLF. A source whose `size` is given is sent octet for octet; one without is
--   put down in a temporary file first, since IMAP tells the size before the message. Or
--   `{catenate={…}}`; or an array of these, or of `{message=, flags=, date=, size=, binary=}`.
-- @tparam number level whose line is blamed where `message` is none
-- @treturn table `{uidvalidity=, uid=}`, `{uidvalidity=, uids={…}}` of an array, empty where the server
--   does not tell (UIDPLUS); or nil, err: `err.response_code` "TRYCREATE" where the mailbox is not there;
--   kind "unknown" where the connection died after the last octet; kind "io" where the message cannot
--   be read (the session is closed then, if it was being sent). Of an array `err.appended` tells how
--   many were stored, `err.uids` where, and `err.first` to `err.last` are those that were not.
function append.run(pump, call, message, level)
  local what = ascii.lower(call.verb):gsub("^uid ", "")
  local many = call.many and is_many(message)
  call.list = {}
  for i = 1, many and #message or 1 do
    local one, err = entry(pump, many and message[i] or message, call.options, what, level + 1)
    if not one then return nil, err end
    call.list[i] = one
  end
  if pump.failure then return nil, pump.failure end
  if many then return send_all(pump, call, level + 1) end
  local place, err = send(pump, call, 1, 1, level + 1)
  if not place then return nil, err end
  return { uidvalidity = place.uidvalidity, uid = tonumber(place.uids) }
end

return append
