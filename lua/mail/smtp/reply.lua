--- What all SMTP calls do with a reply: wait for it, and say what a refusal is called.
-- @module mail.smtp.reply

local reply = {}

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

--- Queues a command and waits for its reply: code, enhanced, text; or nil, err.
function reply.ask(pump, options, method, ...)
  local id, err = pump:begin(method, ...)
  if not id then return nil, err end
  return pump:done(id, pump:deadline(options))
end

--- What the server lacks, before anything was sent.
function reply.unsupported(pump, command, message)
  return nil, pump:error("unsupported", message, { command = command })
end

return reply
