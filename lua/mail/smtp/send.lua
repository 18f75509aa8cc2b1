--- Sending: one message, in as many transactions as the server wants, or several messages.
--
-- The usual message is a string with its envelope beside it, for a server that names no limits: one call
-- of the core and one wait. Everything else is a job: the recipients in groups, the content opened anew for
-- each, the receipts merged into one.
-- Invariant: a recipient is in `accepted` or in `rejected` of the one receipt, and never in a second
-- transaction unless the first refused it for want of room.
-- @module mail.smtp.send

local burl = require "mail.smtp.burl"
local content = require "mail.content"
local core = require "mail.core"
local envelope = require "mail.envelope"
local extensions = require "mail.smtp.extensions"
local guarded = require "mail.guarded"
local limits = require "mail.smtp.limits"
local reply = require "mail.smtp.reply"
local want = require "mail.want"

local send = {}

local usual, is_usual = core.smtp_class.__index.usual, core.smtp_is_usual

local SEND = {
  from = "any", to = "any", message = "any", size = "number?", timeout = "number|table?", line_ends = "string?",
}
for name, kinds in pairs(extensions.OPTIONS) do SEND[name] = kinds end
local DSN = { notify = "string|table?", ret = "string?", envid = "string|number?" }
local DELIVER_BY = { seconds = "number", mode = "string?", trace = "boolean?" }

-- How bare CR and LF of a message are treated, in the core's words.
local MANNERS = { crlf = "usual", refuse = "refuse", keep = "keep" }

-- How much of a message that comes but once is kept where it must go more than once, or in another form.
local KEPT_MAX = 64 * 1048576

-- Checks the options of one message. A `level` is always the error level as the caller counts it; calls
-- that may raise are no tail calls, for those have no level of their own.
local function check(options, level, what)
  what = what or "smtp:send"
  want(options, SEND, what, level)
  local by = options.deliver_by
  if options.dsn ~= nil then want(options.dsn, DSN, what .. " dsn", level) end
  if type(by) == "table" then want(by, DELIVER_BY, what .. " deliver_by", level) end
  if options.line_ends ~= nil and not MANNERS[options.line_ends] then
    error(what .. ": option 'line_ends' must be crlf, refuse or keep", level + 1)
  end
end

-- --- what became of a transaction ---------------------------------------------------------------------

-- The raw refusals of a receipt as errors; the receipt itself is returned.
local function with_errors(pump, receipt)
  for address, no in pairs(receipt.rejected) do
    receipt.rejected[address] = reply.refusal(pump, "RCPT", no.code, no.enhanced, no.text)
  end
  return receipt
end

-- Where MAIL was refused, recipients were not asked for, or refused for want of it (503): what MAIL was told holds for
-- them, above all whether it is worth another try.
local function blame_sender(pump, receipt, no)
  for address, said in pairs(receipt.rejected) do
    local command = "RCPT"
    if said.code == 0 or said.code == 503 then command, said = "MAIL", no end
    receipt.rejected[address] = reply.refusal(pump, command, said.code, said.enhanced, said.text)
  end
  return receipt.rejected
end

-- Why nobody got the message.
local function failure(pump, receipt, command, no)
  local err
  if no then
    err = reply.refusal(pump, command, no.code, no.enhanced, no.text)
  else
    local _, first = next(receipt.rejected)
    err = reply.refusal(pump, "RCPT", first.code, first.enhanced, first.text)
  end
  err.rejected = command == "MAIL" and no and blame_sender(pump, receipt, no) or with_errors(pump, receipt).rejected
  return err
end

-- LMTP where the answers broke off: those who have theirs were told the truth, of the others nobody knows.
local function broken_off(pump, part, err)
  local unknown = pump:error("unknown", "the message left whole and was not answered: " .. err.message, {
    command = "DATA",
  })
  if not pump.failure then pump:fail(unknown) end
  with_errors(pump, part)
  if #part.accepted == 0 then
    unknown.rejected = part.rejected
    return nil, unknown
  end
  for _, address in ipairs(part.pending) do part.rejected[address] = unknown end
  return { accepted = part.accepted, rejected = part.rejected, text = "" }
end

-- A transaction that ended without an answer: after its last octet nobody knows (RFC 1047). The third value
-- is true where no recipient had been accepted.
local function lost(pump, id, err)
  local session = pump.session
  if session:is_freed() then return nil, err end
  local part = pump.lmtp and session:finals(id)
  if part then
    local receipt, unknown = broken_off(pump, part, err)
    return receipt, unknown
  end
  if not session:is_unknown(id) then
    if err.kind == "unknown" then err = pump.failure end -- that was another message's fate
    local is_accepted = session:is_accepted(id)
    if err ~= pump.failure then err.command = err.command or (is_accepted and "DATA" or "MAIL") end
    return nil, err, not is_accepted
  end
  local unknown = pump:error("unknown", "the message left whole and was not answered: " .. err.message, {
    command = "DATA",
  })
  if not pump.failure then pump:fail(unknown) end
  return nil, unknown
end

-- Waits for the end of a transaction, giving content meanwhile where it is streamed: a receipt, nil, and true where
-- recipients were refused; or nil, err, and what `lost` says.
local function await(pump, id, source, options, deadline)
  deadline = deadline or pump:deadline(options)
  while true do
    local kind, ok, receipt, command, no = pump:wait(id, deadline)
    if not kind then return lost(pump, id, ok) end
    if kind == "sent" then
      if not ok then return nil, failure(pump, receipt, command, no) end
      if command then return with_errors(pump, receipt), nil, true end
      return receipt
    end
    if kind == "go" then
      local given, err = (source.parts and burl or content).give(pump, id, source)
      if not given then return nil, err end
      pump:press()
    end
    deadline = pump:piece_deadline(options, pump:deadline(options))
  end
end

-- --- beginning one ------------------------------------------------------------------------------------

-- What the core said to a transaction that it did not take, as an error. Raises at `level` for misuse.
local function refused(pump, level, why, kind, culprit)
  if kind == "misuse" then error("smtp:send: " .. why, level + 1) end
  if pump.session:failure() then
    local _, err = pump:broken()
    return err
  end
  if culprit then why = ("%s: '%s'"):format(why, culprit:gsub("[%z\1-\31\127]", "?")) end
  return pump:error(kind, why, { command = "MAIL" })
end

-- Opens what the message comes from: text or nil, source or nil, size, head; or nil, nil, nil, nil, err.
local function open_message(pump, options, message, level)
  if type(message) == "string" then return message, nil, options.size, nil end
  local source, size, head, err
  if burl.is_list(message) then
    source, head, err = burl.open(pump, message, level + 1)
  else
    source, size, head, err = content.open(pump, message, options.size, "smtp:send", level + 1)
  end
  if not source then return nil, nil, nil, nil, err end
  return nil, source, size, head
end

-- "TLS-Required: No" (RFC 8689 §5) in front of a message that does not say so: delivery matters more than
-- secrecy.
local TLS_NOT_REQUIRED = "TLS-Required: No\r\n"

local function without_tls(text, source, head, size)
  size = size and size + #TLS_NOT_REQUIRED
  if text then return TLS_NOT_REQUIRED .. text, nil, size, nil end
  head = TLS_NOT_REQUIRED .. head
  source.first = head
  return nil, source, size, head
end

-- The envelope and content of a job: {to=, from=, text= | source=, size=, head=}; or nil, err.
local function prepare(job, level)
  local pump, options = job.pump, job.options
  local text, source, size, head, err = open_message(pump, options, job.message, level + 1)
  if err then return nil, err end
  local ready = { from = envelope.sender(options.from), to = envelope.recipients(options.to) }
  if ready.from == nil or ready.to == nil then
    if source and source.parts then error("smtp:send: a message in parts needs 'from' and 'to'", level + 1) end
    local found
    found, text, head, err = envelope.from_message(pump, options, text, source, head)
    if not found then return nil, err end
    ready = { from = ready.from or found.from, to = ready.to or found.to }
    size = options.size
  end
  if options.require_tls == false and not (source and source.parts) then
    text, source, size, head = without_tls(text, source, head, size)
  end
  ready.text, ready.source, ready.size, ready.head = text, source, size, head
  return ready
end

-- Reads a message that comes but once into memory: true; or nil, err.
local function collect(job, ready)
  local pieces, size = {}, 0
  local source = ready.source
  local piece, why = source.first, nil
  source.first = nil
  while piece do
    size = size + #piece
    if size > KEPT_MAX then
      return nil, job.pump:error("limit", "the message must be read before it is sent, and is too large to be kept", {
        command = "MAIL",
      })
    end
    pieces[#pieces + 1] = piece
    piece, why = content.pull(source)
  end
  if why ~= nil then
    return nil, job.pump:error("io", "the message cannot be read: " .. tostring(why), { command = "MAIL" })
  end
  ready.text, ready.source, ready.size, ready.head = table.concat(pieces), nil, nil, nil
  job.kept = ready
  return true
end

-- What rewrites the message of a job where the server lacks an extension: the user's own function, or ours; nil
-- where nothing does. Octets of the user's own are his to change, unless he says so.
local function rewriter(job)
  local own = job.pump.downgrade
  if own == nil then own = require "mail.message".is(job.message) end
  if own == true then return require "mail.message.downgrade" end
  return own or nil
end

-- The message in a form that does without the extension that the server lacks: true; or nil, and why in words
-- where it has no such form.
local function downgrade(job, ready, lacks)
  local rewrite = lacks and rewriter(job)
  if not rewrite or ready.source and ready.source.parts then return nil end
  if ready.source then
    local ok, err = collect(job, ready)
    if not ok then return nil, err.message end
  end
  local made, why = rewrite(ready.text, lacks)
  if type(made) ~= "string" or made == ready.text then return nil, rewrite ~= job.pump.downgrade and why or nil end
  ready.text, ready.size = made, nil
  return true
end

-- True where a streamed message must be read before it is known whether this server takes it.
local function is_doubtful(job, ready)
  local message = job.message
  if not ready.source or ready.source.parts or job.pump.capabilities["8BITMIME"] then return false end
  local is_plain = type(message) == "table" and message.is_composed and message:form() == "7bit"
  return not is_plain and rewriter(job) ~= nil
end

-- Begins the transaction of `group`: id, source; or nil, err.
local function start(job, ready, group, level)
  local pump, options, session = job.pump, job.options, job.pump.session
  local params, err = extensions.parameters(pump, options, group, level + 1)
  if not params then return nil, err end
  local ok
  ok, err = limits.count(pump)
  if not ok then return nil, err end
  local manner = ready.source and ready.source.parts and "url" or MANNERS[options.line_ends or "crlf"]
  ready.to = params.to
  for _ = 1, 3 do -- two extensions may be lacking, one after the other
    local id, why, kind, culprit, lacks = session:transaction(ready, ready.text, ready.size, ready.head,
      params.mail, params.rcpt, manner)
    if id then return id, ready.source end
    local fits, reason = downgrade(job, ready, lacks)
    if not fits then
      if pump.mail_max then pump.mails = pump.mails - 1 end
      err = refused(pump, level + 1, reason and ("%s, and %s"):format(why, reason) or why, kind, culprit)
      return nil, err
    end
  end
  return reply.unsupported(pump, "MAIL", "the message was re-encoded, and still cannot be sent")
end

-- --- several transactions -----------------------------------------------------------------------------

-- Makes the message of a job one that can be opened again; false where it cannot.
local function keep(job)
  local message = job.message
  if type(message) == "string" or burl.is_list(message) then return true end
  if type(message) == "table" and message.is_composed and message.is_fleeting then
    return not message:is_fleeting()
  end
  if type(message) == "table" or type(message) == "userdata" and io.type(message) == nil then return true end
  if io.type(message) == "file" then
    job.offset = job.offset or message:seek()
    return job.offset ~= nil
  end
  return false
end

-- The content for one more transaction of the job.
local function again(job, level)
  if job.kept then
    return { from = job.kept.from, to = job.kept.to, text = job.kept.text }
  end
  if io.type(job.message) == "file" then job.message:seek("set", job.offset) end
  return prepare(job, level + 1)
end

local function merge(total, group, receipt, err)
  if receipt then
    for _, address in ipairs(receipt.accepted) do total.accepted[#total.accepted + 1] = address end
    for address, no in pairs(receipt.rejected) do total.rejected[address] = no end
    total.text, total.queue_id = total.text or receipt.text, total.queue_id or receipt.queue_id
    return
  end
  total.err = total.err or err
  local told = err.rejected or {}
  for _, recipient in ipairs(group) do
    local address = limits.plain(recipient)
    if not told[address] then total.rejected[address] = err end
  end
  for address, no in pairs(told) do total.rejected[address] = no end
end

-- The recipients of `group` that were refused because there were too many, where that can be helped.
local function left_over(job, group, receipt)
  if not receipt or #receipt.accepted == 0 or not keep(job) and not job.kept then return nil end
  local rest
  for _, recipient in ipairs(group) do
    local no = receipt.rejected[limits.plain(recipient)]
    if no and limits.is_too_many(no) then
      rest = rest or {}
      rest[#rest + 1] = recipient
      receipt.rejected[limits.plain(recipient)] = nil
    end
  end
  return rest
end

-- Finishes a job whose first transaction has begun: a receipt; or nil, err, and whether no recipient had been
-- accepted when the connection died.
local function finish_job(job, id, source, level, deadline)
  local pump, total = job.pump, { accepted = {}, rejected = {} }
  local n, untouched = 1, nil
  while true do
    local group = job.groups[n]
    local receipt, err
    if id then receipt, err, untouched = await(pump, id, source, job.options, deadline) else err = source end
    deadline = nil
    local rest = left_over(job, group, receipt)
    if rest then table.insert(job.groups, n + 1, rest) end
    merge(total, group, receipt, err)
    n = n + 1
    if not job.groups[n] then break end
    local ready
    ready, err = again(job, level + 1)
    if pump.failure then
      id, source = nil, total.err or pump.failure
    elseif ready then
      id, source = start(job, ready, job.groups[n], level + 1)
    else
      id, source = nil, err
    end
  end
  if #total.accepted > 0 then
    total.err = nil
    return total
  end
  local err = total.err
  for address, no in pairs(total.rejected) do -- whom no other error names has this one
    if no == err then total.rejected[address] = nil end
  end
  if next(total.rejected) then err.rejected = total.rejected end
  return nil, err, n == 2 and untouched or nil
end

local function list_of(to)
  return type(to) == "table" and not to.address and to or { to }
end

-- Queues the transaction of the usual message, whose options the core checks: id; or nil, and nothing has happened.
local function begin_usual(pump, options)
  return not (pump.failure or pump.limited) and usual(pump.session, options) or nil
end

-- Queues the first transaction of any other message, whose options were checked: id, source, job; or nil, err. Raises
-- at `level`.
local function begin_job(pump, options, level)
  if pump.failure then return nil, pump.failure end
  local job = { pump = pump, options = options, message = options.message }
  local keeps = keep(job)
  local ready, err = prepare(job, level + 1)
  if not ready then return nil, err end
  local to = ready.to
  job.groups = limits.split(pump, to) or { list_of(to) }
  if #job.groups > 1 and not keeps or is_doubtful(job, ready) then
    local ok
    ok, err = collect(job, ready)
    if not ok then return nil, err end
  end
  local id, source = start(job, ready, #job.groups > 1 and job.groups[1] or to, level + 1)
  if not id then return nil, source end
  return id, source, job
end

-- The usual message whose recipients were refused in part: it becomes a job where it met a limit unannounced.
local function send_rest(pump, options, receipt, level)
  local job = { pump = pump, options = options, message = options.message, groups = { list_of(options.to) } }
  local rest = left_over(job, job.groups[1], receipt)
  if not rest then return receipt end
  job.groups = { rest }
  local ready, more, why
  ready, why = again(job, level + 1)
  if ready then
    local id, source = start(job, ready, rest, level + 1)
    more, why = finish_job(job, id, source, level + 1)
  end
  merge(receipt, rest, more, why)
  receipt.err = nil
  return receipt
end

-- Waits for what `begin_usual` began; returns as `finish_job`.
local function finish_usual(pump, id, options, level, deadline)
  local receipt, err, more = await(pump, id, nil, options, deadline)
  if receipt and more then receipt, more = send_rest(pump, options, receipt, level + 1), nil end
  return receipt, err, more
end

-- One of several, whose options were checked: {id=, job=} once queued; {id = false, err=} where it cannot be.
local function begin(pump, options, level)
  local id, source, job = begin_usual(pump, options), nil, nil
  if not id then id, source, job = begin_job(pump, options, level + 1) end
  return { id = id or false, job = job, err = not id and source or nil }
end

local function finish(pump, one, options, level, deadline)
  local receipt, err, untouched
  if one.job then
    receipt, err, untouched = finish_job(one.job, one.id, nil, level + 1, deadline)
  else
    receipt, err, untouched = finish_usual(pump, one.id, options, level + 1, deadline)
  end
  return receipt, err, untouched
end

-- Sends one message that is not the usual one, whose options were checked.
local function send_job(pump, options, level, deadline)
  local id, source, job = begin_job(pump, options, level + 1)
  if not id then return nil, source, source.kind == "closed" end
  local receipt, err, untouched = finish_job(job, id, source, level + 1, deadline)
  return receipt, err, untouched
end

-- Raises misuse anew, with the caller's line; any other error as it is.
local function blame(why, level)
  local misuse = type(why) == "string" and why:match "^[^\n]-:%d+: smtp:send: (.*)$"
  if misuse then error("smtp:send: " .. misuse, level + 1) end
  error(why, 0)
end

-- Queues those that are strings: array of what `begin` gives, false for the others; and { what was raised } by
-- misuse that no check of options sees.
local function begin_list(pump, list, level)
  local started = {}
  for i, options in ipairs(list) do
    started[i] = false
    if type(options.message) == "string" then
      local ok, one = guarded(begin, pump, options, level + 2)
      if not ok then return started, { one } end
      started[i] = one
    end
  end
  return started
end

-- Sends several: those that are strings are queued together, then their answers are gathered, so that on a
-- pipelining server each costs one round trip. An array of receipts and errors. Misuse raises before anything is
-- queued, or once those that were have their answers: none leaves that nobody waits for.
local function send_list(pump, list, level)
  for _, options in ipairs(list) do
    if not is_usual(options) then check(options, level + 1) end
  end
  local started, raised = begin_list(pump, list, level + 1)
  local results = {}
  for i, options in ipairs(list) do
    local one = started[i]
    local ok, receipt, err = true, nil, nil
    if one and one.id then
      receipt, err = finish(pump, one, options, level + 1)
    elseif one then
      err = one.err
    elseif not raised then
      ok, receipt, err = guarded(send_job, pump, options, level + 2)
    end
    if not ok then raised = { receipt } end
    results[i] = receipt or err
  end
  if raised then blame(raised[1], level + 1) end
  return results
end

--- Sends one message, or an array of them, as `smtp:send` says. `level` tells whose line is blamed for misuse.
function send.send(pump, options, level)
  local receipt, err
  local id = begin_usual(pump, options)
  if id then
    receipt, err = finish_usual(pump, id, options, level + 1)
  elseif type(options) == "table" and options[1] then
    receipt = send_list(pump, options, level + 1)
  else
    check(options, level + 1)
    receipt, err = send_job(pump, options, level + 1)
  end
  return receipt, err
end

--- The same for mail.smtp.pool, which has checked the options (`send.check`).
-- @tparam Pump pump the session's
-- @tparam table options
-- @tparam number deadline absolute
-- @treturn table receipt; or nil, err, and true where the session ended before a recipient was accepted
function send.transact(pump, options, deadline)
  local id = begin_usual(pump, options)
  if id then return finish_usual(pump, id, options, 2, deadline) end
  return send_job(pump, options, 2, deadline)
end

--- Several messages, each a string, whose options were checked, for mail.smtp.pool: queued together, then their
-- answers are gathered, so that on a pipelining server they leave in one flight.
-- @tparam Pump pump the session's
-- @tparam table list array of options
-- @tparam function deadline_of deadline_of(options) → absolute: asked when the wait for that one begins
-- @tparam function answered answered(k, receipt, err, untouched) for each in order, as `transact` returns; with
--   `false` for a receipt and what was raised in place of an error where that one was misuse
function send.pipeline(pump, list, deadline_of, answered)
  local started, gone = {}, nil
  for k, options in ipairs(list) do
    local ok, one = guarded(begin, pump, options, 2)
    started[k] = ok and one or { misuse = one }
  end
  for k, one in ipairs(started) do
    if one.misuse then
      answered(k, false, one.misuse)
    elseif not one.id then
      answered(k, nil, one.err, one.err.kind == "closed")
    elseif gone then
      pump:abandon(one.id)
      answered(k, nil, gone)
    else
      local receipt, err, untouched = finish(pump, one, list[k], 2, deadline_of(list[k]))
      if err and err.kind == "cancelled" then gone = err end
      answered(k, receipt, err, untouched)
    end
  end
end

send.OPTIONS, send.check = SEND, check

return send
