--- Commands without a method of their own: `imap:command` and `imap:command_line`.
-- @module mail.imap.raw

local ascii = require "mail.ascii"
local events = require "mail.imap.events"
local run = require "mail.imap.run"

local unpack = table.unpack or unpack -- luacheck: ignore

local raw = {}

local Atom = {}

--- Text that goes as it stands, as an argument of `imap:command`.
function raw.atom(text)
  if type(text) ~= "string" or text == "" or text:find("[%z\1-\31\127-\255]") then
    error("imap.atom: printable text expected", 2)
  end
  return setmetatable({ text = text }, Atom)
end

local DEPTH = 50

-- Adds one argument and its type; lists may nest. Raises without a place.
local function put_argument(out, value, depth)
  local kind = type(value)
  if depth > DEPTH then error("imap:command: lists are nested too deeply", 0) end
  if kind == "table" and getmetatable(value) ~= Atom then
    out[#out + 1], out[#out + 2] = "open", true
    for _, one in ipairs(value) do put_argument(out, one, depth + 1) end
    out[#out + 1], out[#out + 2] = "close", true
    return
  elseif kind == "table" then
    kind, value = "text", value.text
  elseif kind == "number" then
    if value < 0 or value % 1 ~= 0 or value > 2 ^ 53 then
      error("imap:command: a number must be whole and 0 or more", 0)
    end
  elseif kind ~= "string" then
    error("imap:command: an argument must be a string, a number, mail.imap.atom(s) or a list, got " .. kind, 0)
  end
  out[#out + 1], out[#out + 2] = kind, value
end

-- These change what the session is in the middle of; each has a method that knows how.
local OWN = {
  STARTTLS = "connect", AUTHENTICATE = "authenticate", LOGIN = "login", IDLE = "idle", COMPRESS = "compress",
  UNAUTHENTICATE = "unauthenticate", ENABLE = "enable",
}

local function check_verb(verb, what)
  if OWN[verb] then error(("imap:%s: %s has a method of its own: %s"):format(what, verb, OWN[verb]), 3) end
  if not verb:find "^[A-Z][A-Za-z0-9.%-]*$" and not verb:find "^UID [A-Z]+$" then
    error(("imap:%s: '%s' is no command"):format(what, verb), 3)
  end
end

-- These open another mailbox or leave it: what was found in the last one names nothing here any more.
local LEAVES = { SELECT = true, EXAMINE = true, CLOSE = true, UNSELECT = true }

-- Runs a command and gathers all that comes for it; what is news goes to the handlers too.
local function gather(pump, options, verb, ...)
  local all, held, most = {}, 0, nil
  if LEAVES[verb] then pump.mailbox, pump.raw_mailbox = nil, {} end
  local ok, code, value, text = run.call(pump, options, function(name, number, data, said, said_value, words, weight)
    if weight or events.is_news(name) then -- all else is weighed by the core
      most = most or pump.session:answer_limit()
      held = held + (weight or type(data) == "table" and type(data.uids) == "string" and #data.uids or 0) + 256
      if held > most then return run.FULL end
    end
    all[#all + 1] = {
      kind = "untagged", name = name, number = number, value = data, code = said, code_value = said_value,
      text = words,
    }
    if name == "FETCH" then
      if not verb:find "FETCH$" then events.unsolicited(pump, "fetch", data) end
    elseif events.is_news(name) then
      events.unsolicited(pump, "untagged", name, number, data, said, said_value, words)
    end
  end, verb, ...)
  return all, ok, code, value, text
end

-- Methods of the session.
raw.methods = {}

--- Any command.
-- @tparam string verb
-- @param ... strings (quoted, or sent as literals), numbers, `mail.imap.atom(s)`, lists of these
-- @treturn table array of the untagged responses, in the shape of `mail.imap.parse`, with `code`,
--   `code_value` and `text` of the tagged one; or nil, err
function raw.methods:command(verb, ...)
  run.text(verb, "command", "a verb")
  verb = ascii.upper(verb)
  check_verb(verb, "command")
  local arguments = {}
  for i = 1, select("#", ...) do
    local ok, why = pcall(put_argument, arguments, (select(i, ...)), 0)
    if not ok then error(why, 2) end
  end
  local pump = run.pump(self, "command")
  local all, done, code, value, text = gather(pump, nil, verb, unpack(arguments))
  if not done then return nil, code end
  all.code, all.code_value, all.text = code, value, text
  return all
end

-- The verb, "UID" with the word behind it, and the rest of a line.
local function split_line(line)
  local verb, rest = line:match("^(%S+) *(.*)$")
  if not verb then error("imap:command_line: an empty line", 3) end
  verb = ascii.upper(verb)
  if verb == "UID" and rest ~= "" then
    local second, more = rest:match("^(%S+) *(.*)$")
    if second then return "UID " .. ascii.upper(second), more end
  end
  return verb, rest
end

--- Sends a line as it stands, without literals: one that announces a literal is kind "invalid".
-- @tparam string line `"UID FETCH 1:3 (FLAGS)"`
-- @tparam[opt] table options `timeout`
-- @treturn table `{status=, code=, code_value=, text=}` of the tagged answer, be it OK, NO or BAD
-- @treturn table array of the untagged responses; or nil, err where no answer came
function raw.methods:command_line(line, options)
  run.text(line, "command_line", "a line")
  run.options(options, "command_line")
  local verb, rest = split_line(line)
  check_verb(verb, "command_line")
  local pump = run.pump(self, "command_line")
  if rest:find "{%d+%+?}$" then -- the next command would be taken for its octets
    return nil, pump:error("invalid", "a line that ends in the size of a literal", { command = verb })
  end
  local arguments = rest ~= "" and { "text", rest } or {}
  local all, ok, code, value, text = gather(pump, options, verb, unpack(arguments))
  if ok then return { status = "OK", code = code, code_value = value, text = text }, all end
  local err = code
  if not err.status then return nil, err end
  return { status = err.status, code = err.response_code, code_value = err.response_value, text = err.text }, all
end

return raw
