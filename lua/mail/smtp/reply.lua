--- What all SMTP calls do with a reply: wait for it, and say what a refusal is called.
-- @module mail.smtp.reply

local ascii = require "mail.ascii"
local Pump = require "mail.pump"
local want = require "mail.want"

local reply = {}

local CALL = { timeout = "number|table?" }

--- The pump of a session. One that is driven by hand has none, and nothing to wait on.
function reply.pump(session, what)
  local pump = Pump.of(session)
  if not pump then error(("smtp:%s: a session without a transport"):format(what), 3) end
  return pump
end

--- Checks the options of a call; nil is fine. Blames the line that called the method which calls this.
function reply.options(options, what)
  if options ~= nil then want(options, CALL, "smtp:" .. what, 2) end
end

--- A reply that says no, as an error.
-- @tparam Pump pump the session's
-- @tparam string command what was refused
-- @tparam number code
-- @tparam ?string enhanced
-- @tparam string text the server's words
-- @tparam[opt="rejected"] string kind
function reply.refusal(pump, command, code, enhanced, text, kind)
  return pump:error(kind or "rejected", ("%d %s"):format(code, text:gsub("\n", " / ")), {
    command = command, code = code, enhanced = enhanced, text = text,
  })
end

--- true where the reply is positive; else nil, err. `code` nil means that `enhanced` is an error already.
function reply.positive(pump, command, code, enhanced, text)
  if not code then return nil, enhanced end
  if code >= 200 and code < 300 then return true end
  return nil, reply.refusal(pump, command, code, enhanced, text)
end

-- The word on the wire of a command of the core: raw_command, raw_quit, rset.
local function verb_of(method, line)
  return ascii.upper(method == "raw_command" and line:match "^[A-Za-z0-9]*" or method:gsub("^raw_", ""))
end

--- Queues a command and waits for its reply: code, enhanced, text; or nil, err.
function reply.ask(pump, options, method, ...)
  local id, err = pump:begin(method, ...)
  if not id then
    if err.kind == "invalid" then err.command = verb_of(method, ...) end
    return nil, err
  end
  local code, enhanced, text = pump:done(id, pump:deadline(options))
  if not code and enhanced ~= pump.failure then enhanced.command = enhanced.command or verb_of(method, ...) end
  return code, enhanced, text
end

--- What the server lacks, before anything was sent.
function reply.unsupported(pump, command, message)
  return nil, pump:error("unsupported", message, { command = command })
end

return reply
