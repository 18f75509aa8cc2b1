--- APPEND: putting a message into a mailbox (RFC 9051 §6.3.12).
-- @module mail.imap.append

local Pump = require "mail.pump"
local content = require "mail.content"
local want = require "mail.want"

local append = {}

local OPTIONS = { flags = "table|string?", date = "number|string?", size = "number?", timeout = "number|table?" }

-- A message's lines end in CRLF on the server; those of a string may end in LF here.
local function crlf(message)
  if not message:find("[^\r]\n") and message:sub(1, 1) ~= "\n" then return message end
  return (message:gsub("\r?\n", "\r\n"))
end

-- A source of unknown length, put down in a temporary file to learn it.
local function spool(pump, source)
  local file, why = io.tmpfile()
  if not file then return nil, pump:error("io", "no temporary file: " .. tostring(why), { command = "APPEND" }) end
  local size = 0
  while true do
    local piece, err = content.pull(source)
    if not piece then
      if err ~= nil then
        file:close()
        return nil, pump:error("io", "the message cannot be read: " .. tostring(err), { command = "APPEND" })
      end
      break
    end
    size = size + #piece
    file:write(piece)
  end
  file:seek("set", 0)
  return file, size
end

-- The literal: a string, or a source and its size; or nil, err. Raises where it is neither.
local function open(pump, message, options, level)
  if type(message) == "string" then return { text = crlf(message) } end
  local source, size, first, err = content.open(pump, message, options.size, "imap:append", level + 1)
  if not source then return nil, err end
  if size then return { source = source, size = size } end
  source.held = first .. (source.held or "") -- what `open` read ahead, and what it kept of that piece
  source.first = nil
  local file
  file, size = spool(pump, source)
  if not file then return nil, size end
  source, size = content.open(pump, file, size, "imap:append", level + 1)
  return { source = source, size = size, file = file }
end

-- Hands the streamed literal over, piece by piece, as the core asks for it.
local function give(pump, id, literal)
  local source = literal.source
  local piece, why = source.first, nil
  source.first = nil
  if not piece or piece == "" then piece, why = content.pull(source) end
  if pump.failure then return pump:failed() end
  if not piece then
    if why == nil and pump.session:content_end(id) then return true end
    pump:abandon(id)
    why = why or "the message is shorter than its size"
  else
    local ok, refusal = pump.session:content(id, piece)
    if ok then return true end
    pump:abandon(id)
    why = refusal
  end
  return nil, pump:error("io", "the message cannot be read: " .. tostring(why), { command = "APPEND" })
end

local function wait(pump, id, literal, options)
  local deadline = pump:deadline(options)
  while true do
    local kind, status, code, value, text = pump:wait(id, deadline)
    if not kind then return nil, status end
    if kind == "done" then
      if status ~= "OK" then return nil, pump.refusal(pump, "APPEND", status, code, value, text) end
      if code ~= "APPENDUID" then return {} end
      return { uidvalidity = value.uidvalidity, uid = tonumber(value.uids) or value.uids }
    end
    if kind == "go" then
      local ok, err = give(pump, id, literal)
      if not ok then return nil, err end
      deadline = pump:piece_deadline(options, pump:deadline(options))
    end
  end
end

--- Appends one message.
-- @tparam userdata session
-- @tparam string mailbox UTF-8
-- @param message a string (LF becomes CRLF), an open file, a source function, or a mail.message
-- @tparam ?table options `flags` (array), `date` (seconds since 1970, or a date-time as the standard
--   writes it), `size` of a source in octets, `timeout`
-- @treturn table `{uidvalidity=, uid=}`, empty where the server does not tell (UIDPLUS); or nil, err:
--   `err.response_code` "TRYCREATE" where the mailbox is not there
function append.run(session, mailbox, message, options)
  options = options or {}
  want(options, OPTIONS, "imap:append", 2)
  if type(mailbox) ~= "string" then error("imap:append: mailbox must be a string, got " .. type(mailbox), 3) end
  local pump = Pump.of(session)
  if pump.failure then return nil, pump.failure end
  local literal, err = open(pump, message, options, 3)
  if not literal then return nil, err end
  local arguments = { "mailbox", mailbox }
  local function put(kind, value)
    arguments[#arguments + 1] = kind
    arguments[#arguments + 1] = value
  end
  if options.flags then
    local flags
    flags, err = pump.flag_list(pump, options.flags)
    if not flags then return nil, err end
    put("text", flags)
  end
  if type(options.date) == "number" then
    put("date", options.date)
  elseif options.date then
    put("text", '"' .. options.date:gsub('["\\]', "") .. '"')
  end
  if literal.text then put("literal", literal.text) else put("stream", literal.size) end
  local id
  id, err = pump:begin("submit", "APPEND", false, (table.unpack or unpack)(arguments)) -- luacheck: ignore
  local result
  if id then result, err = wait(pump, id, literal, options) end
  if literal.file then literal.file:close() end
  return result, err
end

return append
