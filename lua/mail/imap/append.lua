--- APPEND: putting a message into a mailbox (RFC 9051 §6.3.12).
-- @module mail.imap.append

local content = require "mail.content"
local run = require "mail.imap.run"

local unpack = table.unpack or unpack -- luacheck: ignore

local append = {}

--- Options of `imap:append`.
append.OPTIONS = { flags = "table|string?", date = "number|string?", size = "number?", timeout = "number|table?" }

local PIECE = 65536

local function unreadable(pump, why)
  return pump:error("io", "the message cannot be read: " .. tostring(why), { command = "APPEND" })
end

-- Line ends as the server wants them: LF alone becomes CRLF. Called with one piece after the other;
-- `last` is the octet before `text`.
local function crlf(text, last)
  local head = ""
  if text:byte() == 10 then
    head, text = last == 13 and "\n" or "\r\n", text:sub(2)
  end
  if text:byte() == 10 or text:find("[^\r]\n") then text = text:gsub("\r?\n", "\r\n") end
  return head == "" and text or head .. text
end

-- Puts all that `source` gives, lines in CRLF, down in a temporary file to learn its size.
local function spool(pump, source)
  local file, why = io.tmpfile()
  if not file then return nil, pump:error("io", "no temporary file: " .. tostring(why), { command = "APPEND" }) end
  local size, last = 0, nil
  while true do
    local piece, err = content.pull(source)
    if not piece and (err ~= nil or source.raised) then
      file:close()
      if source.raised then error(err, 0) end
      return nil, unreadable(pump, err)
    elseif not piece then
      file:seek("set", 0)
      return file, size
    end
    local text = crlf(piece, last)
    last = piece:byte(-1)
    size = size + #text
    local ok
    ok, err = file:write(text)
    if not ok then
      file:close()
      return nil, pump:error("io", "the temporary file cannot be written: " .. tostring(err), { command = "APPEND" })
    end
  end
end

-- The size of what is left of a file once its lines end in CRLF; nil where it cannot be read twice.
local function measure(file)
  local here = file:seek()
  if not here then return nil end
  local size, last = 0, nil
  while true do
    local piece, why = file:read(PIECE)
    if not piece then
      if why then return nil, why end
      break
    end
    size = size + #crlf(piece, last)
    last = piece:byte(-1)
  end
  file:seek("set", here)
  return size
end

-- The literal: { text= }, or { source=, size= } (`crlf`: lines are still to be mended); or nil, err.
-- Raises where `message` is no message.
local function open(pump, message, options, level)
  if type(message) == "string" then return { text = crlf(message) } end
  local size = options.size
  if not size and io.type(message) == "file" then
    local why
    size, why = measure(message)
    if why then return nil, unreadable(pump, why) end
  end
  local mend = not options.size
  local source, _, first, err = content.open(pump, message, size, "imap:append", level + 1)
  if not source then
    if err then err.command = "APPEND" end
    return nil, err
  end
  if not source.held and first ~= "" then source.held = first end -- what was read to open it is not lost
  source.held_at, source.first = 1, nil
  if size then return { source = source, size = size, mend = mend } end
  local file
  file, size = spool(pump, source)
  if not file then return nil, size end
  return { source = content.open(pump, file, size, "imap:append", level + 1), size = size, file = file }
end

-- The next piece of the literal: a string, or nil at the end, or nil, why.
local function pull(literal)
  local source = literal.source
  local piece, why = source.first, nil
  source.first = nil
  if not piece or piece == "" then piece, why = content.pull(source) end
  if not piece or not literal.mend then return piece, why end
  local text = crlf(piece, literal.last)
  literal.last = piece:byte(-1)
  return text
end

-- Hands the literal over, piece by piece, as the core asks for it. What has been announced cannot be
-- taken back, so a source that fails ends the session: no half message is ever stored.
local function give(pump, id, literal)
  local piece, why = pull(literal)
  if pump.failure then return pump:failed() end
  local session, ok, refusal = pump.session, nil, nil
  if piece then
    ok, refusal = session:content(id, piece)
  elseif why == nil and not literal.source.raised then
    ok, refusal = session:content_end(id)
  end
  if ok then return true end
  pump:abandon(id)
  if not pump.failure then pump:fail(pump:error("closed", "a message broke off")) end
  if literal.source.raised then error(why, 0) end
  return nil, unreadable(pump, why or refusal)
end

-- The command left whole and was not answered: nobody knows whether the message was stored.
local function lost(pump, id, err)
  local session = pump.session
  if err.command == nil then err.command = "APPEND" end
  if session:is_freed() or not session:is_sent(id) then return nil, err end
  return nil, pump:error("unknown", "the message left whole and was not answered: " .. err.message, {
    command = "APPEND",
  })
end

-- Gives what is asked for, if anything is. true, or nil, err.
local function feed(pump, id, literal)
  while literal.source and not pump.failure and pump.session:wants_content(id) do
    local ok, err = give(pump, id, literal)
    if not ok then return nil, err end
    run.push(pump)
  end
  return true
end

local function finish(pump, id, literal, options)
  local whole = pump:deadline(options)
  local deadline = whole
  while true do
    local ok, err = feed(pump, id, literal)
    if not ok then return nil, err end
    local kind, status, code, value, text = pump:wait(id, deadline)
    if not kind then
      return lost(pump, id, status)
    elseif kind == "done" then
      if status ~= "OK" then return nil, run.refusal(pump, "APPEND", status, code, value, text) end
      if code ~= "APPENDUID" or not value then return {} end
      return { uidvalidity = value.uidvalidity, uid = tonumber(value.uids) or value.uids }
    elseif kind == "go" then
      deadline = pump:piece_deadline(options, whole)
    elseif kind == "untagged" then
      pump:unsolicited(kind, status, code, value, text)
    end
  end
end

-- 01-Nov-2026 12:00:00 +0100 (RFC 9051 §9, date-time)
local DATE_TIME = "^[ %d]%d%-%a%a%a%-%d%d%d%d %d%d:%d%d:%d%d [+-]%d%d%d%d$"

-- A message whose header is not ASCII goes as "UTF8 (~{…})" once UTF8=ACCEPT is enabled (RFC 6855 §4). What a
-- source will bring is not known before it is sent; the form allows for either.
local function in_utf8(pump, literal)
  if not (pump.enabled and pump.enabled["UTF8=ACCEPT"]) then return false end
  if not literal.text then return true end
  local first = literal.text:find("[\128-\255]")
  local ends = first and literal.text:find("\r\n\r\n", 1, true)
  return first ~= nil and (not ends or first < ends)
end

-- The command's typed arguments; or nil, err.
local function arguments_of(pump, call, literal)
  local out = { "mailbox", call.mailbox }
  local function put(kind, value)
    out[#out + 1] = kind
    out[#out + 1] = value
  end
  local date = call.options.date
  if call.flags then put("text", call.flags) end
  if type(date) == "number" then
    put("date", date)
  elseif date and date:find(DATE_TIME) then
    put("text", '"' .. date .. '"')
  elseif date then
    return nil, pump:error("invalid", "bad date '" .. date .. "'", { command = "APPEND" })
  end
  if in_utf8(pump, literal) then
    put("text", "UTF8")
    put("open", true)
    if literal.text then put("literal8", literal.text) else put("stream8", literal.size) end
    put("close", true)
  elseif literal.text then
    put("literal", literal.text)
  else
    put("stream", literal.size)
  end
  return out
end

local function send(pump, call, literal)
  local arguments, err = arguments_of(pump, call, literal)
  if not arguments then return nil, err end
  local id
  id, err = run.begin(pump, "APPEND", false, unpack(arguments))
  if not id then return nil, err end
  return finish(pump, id, literal, call.options)
end

--- Appends one message.
-- @tparam table pump
-- @tparam table call `mailbox` (UTF-8), `flags` (as text, or nil), and the user's `options`: `date`
--   (seconds since 1970, or a date-time as the standard writes it), `size` of a source in octets,
--   `timeout`
-- @param message a string, an open file, a source function or a mail.message: lines may end in LF,
--   and are stored with CRLF. A source whose `size` is given is sent octet for octet; one without is
--   put down in a temporary file first, since IMAP tells the size before the message.
-- @tparam number level whose line is blamed where `message` is none
-- @treturn table `{uidvalidity=, uid=}`, empty where the server does not tell (UIDPLUS); or nil, err:
--   `err.response_code` "TRYCREATE" where the mailbox is not there; kind "unknown" where the
--   connection died after the last octet; kind "io" where the message cannot be read (the session is
--   closed then, if it was being sent)
function append.run(pump, call, message, level)
  if pump.failure then return nil, pump.failure end
  local literal, err = open(pump, message, call.options, level + 1)
  if not literal then return nil, err end
  local result
  result, err = send(pump, call, literal)
  if literal.file then literal.file:close() end
  return result, err
end

return append
