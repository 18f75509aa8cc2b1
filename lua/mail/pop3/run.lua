--- One command of POP3 from its call to its answer, and what every method checks.
--
-- `native` are the methods of the core as they are before those of Lua take their names. No method of a
-- user lives here.
-- @module mail.pop3.run

local ascii = require "mail.ascii"
local core = require "mail.core"
local want = require "mail.want"

local run = { native = {} }

for name, fn in pairs(core.pop3_session_class.__index) do run.native[name] = fn end
local native = run.native

local CALL = { timeout = "number|table?" }

-- Response codes that speak of the maildrop or the moment, not of the credentials (RFC 2449 §8, 3206).
local PASSING = { ["IN-USE"] = true, ["LOGIN-DELAY"] = true, ["SYS/TEMP"] = true }
local PERMANENT = { ["SYS/PERM"] = true }

-- --- errors -----------------------------------------------------------------------------------------

-- Codes have levels (RFC 2449 §8): of "SYS/TEMP/DISK" the first two are known.
local function known(set, code)
  while code do
    if set[code] then return true end
    code = code:match("^(.*)/[^/]*$")
  end
  return false
end

--- The fields that a refusal gives an error.
-- @treturn table text, response_code, temporary, retry_after (seconds, of LOGIN-DELAY)
function run.refusal(pump, text, code)
  return {
    text = text, response_code = code, temporary = known(PASSING, code),
    retry_after = code == "LOGIN-DELAY" and pump.session.login_delay or nil,
  }
end

--- Whether a refused log-in is the credentials' fault: codes may say that it is not (RFC 3206 §4).
function run.blames_credentials(code)
  return not known(PASSING, code) and not known(PERMANENT, code)
end

--- What -ERR says: nil, err.
function run.refused(pump, command, text, code)
  local fields = run.refusal(pump, text, code)
  fields.command = command
  return nil, pump:error("rejected", text ~= "" and text or "refused without a word", fields)
end

--- Names the command in an error that is this call's alone; a handshake is no command's fault.
function run.named(pump, err, command)
  if err ~= pump.failure and err.kind ~= "tls" and not err.command then err.command = command end
  return nil, err
end

-- --- commands ---------------------------------------------------------------------------------------

--- Queues a command of the core. id | nil, err
function run.begin(pump, name, ...)
  if pump.failure then return nil, pump.failure end
  local id, why = native[name](pump.session, ...)
  if id then return id end
  if pump.session:failure() then return pump:broken() end
  return nil, pump:refusal(why, ascii.upper(name))
end

--- Waits for "done". text, values … | nil, err
function run.finish(pump, id, command, options)
  local kind, ok, text, code, a, b = pump:wait(id, pump:deadline(options))
  if not kind then return run.named(pump, ok, command) end
  if ok then return text, a, b end
  return run.refused(pump, command, text, code)
end

--- One command from its call to its answer.
function run.command(pump, name, options, ...)
  local id, err = run.begin(pump, name, ...)
  if not id then return nil, err end
  return run.finish(pump, id, ascii.upper(name), options)
end

-- --- arguments: these blame the line that called the method which calls them -------------------------

function run.check_options(options, what)
  if options ~= nil then want(options, CALL, "pop3:" .. what, 2) end
end

function run.is_whole(n, min)
  return type(n) == "number" and n >= min and n <= 4294967295 and n % 1 == 0
end

function run.check_number(n, what)
  if not run.is_whole(n, 1) then
    error(("pop3:%s: a message number expected, got %s"):format(what, tostring(n)), 3)
  end
end

function run.check_string(s, what, name)
  if type(s) ~= "string" then
    error(("pop3:%s: %s must be a string, got %s"):format(what, name, type(s)), 3)
  end
end

return run
