--- DKIM: signing messages and verifying signatures (RFC 6376; RFC 8301: no SHA-1, no short keys;
-- RFC 8463: Ed25519; RFC 8616: UTF-8 domains).
--
-- A message is a string, an open file, a source function (ltn12), or an object with `source()` or `raw()`.
-- It is read once, in pieces: the header is kept, the body is only digested. Lines may end in LF; they are
-- signed and verified as the CRLF that they are on the wire.
-- @module mail.dkim

local ascii = require "mail.ascii"
local core = require "mail.core"
local Err = require "mail.err"
local input = require "mail.sign.input"
local key = require "mail.sign.key"
local resolver = require "mail.sign.resolver"
local signature = require "mail.sign.signature"
local want = require "mail.want"

local dkim = {}

-- --- verifying --------------------------------------------------------------------------------------

local VERIFY = { resolver = "table?", now = "number?", skew = "number?", allow_length = "boolean?",
  minimum_bits = "number?", max_signatures = "number?" }

local function gather(head, options)
  local list, index = {}, head:find "DKIM-Signature"
  while index do
    if #list == options.max_signatures then
      list[#list + 1] = { result = "policy", reason = "more signatures than are looked at" }
      break
    end
    local _, value = head:field(index)
    local sig = signature.read(value, options)
    sig.index = index
    if not head:is_clean() then
      sig.result, sig.reason = sig.result or "permerror", sig.reason or "the header holds lines that are no fields"
    end
    list[#list + 1] = sig
    index = head:find("DKIM-Signature", index + 1)
  end
  return list
end

local function public_view(sig)
  return {
    domain = sig.domain, selector = sig.selector, result = sig.result, reason = sig.reason, identity = sig.identity,
    algorithm = sig.algorithm, headers = sig.headers, signed = sig.signed, expires = sig.expires,
    testing = sig.testing, length = sig.length,
    canonicalization = sig.header_canon and sig.header_canon .. "/" .. sig.body_canon,
  }
end

--- Verifies all DKIM signatures of a message.
-- @param message
-- @tparam[opt] table options `resolver` (a table of functions, see `mail.sign.resolver`; default `mail.dns`);
--   `now` (epoch seconds, default the clock's) and `skew` (seconds, default 300) for t= and x=;
--   `allow_length` (default false: what is signed only in part by l= is "policy");
--   `minimum_bits` (RSA, default and least 1024); `max_signatures` (default 20)
-- @treturn table array, in the order of the header: { domain=, selector=, result=, reason=, identity=,
--   algorithm=, headers= (array of names), canonicalization=, signed=, expires= (epoch seconds), testing=
--   (the domain says that it is only trying) }. `result` (RFC 8601 §2.7.1): "pass"; "fail": something was
--   changed; "policy": valid, but not to be believed (l=, a second From that nobody signed); "neutral": an
--   unknown algorithm; "temperror": DNS did not answer; "permerror": everything else. Or nil, err: the
--   message cannot be read (kind "io", "limit"). Without any signature: an empty array
function dkim.verify(message, options)
  options = want(options or {}, VERIFY, "mail.dkim.verify")
  options = {
    now = options.now or os.time(), skew = options.skew or 300, allow_length = options.allow_length,
    minimum_bits = options.minimum_bits, max_signatures = options.max_signatures or 20,
    resolver = resolver.of(options.resolver),
  }
  local from, err = input.open(message, "mail.dkim.verify", 2)
  if not from then return nil, err end
  local list, bodies = gather(from.head, options), {}
  for _, sig in ipairs(list) do
    if not sig.result then signature.want_body(sig, bodies) end
  end
  err = select(2, from:digest(bodies))
  if err then return nil, err end
  for i, sig in ipairs(list) do
    if not sig.result then
      sig.result, sig.reason = signature.verify(sig, from.head, sig.index, options.resolver, options)
    end
    list[i] = public_view(sig)
  end
  return list
end

-- --- signing ----------------------------------------------------------------------------------------

local SIGN = { domain = "string", selector = "string", key = "string|userdata", headers = "table?",
  oversign = "table|boolean?", canonicalization = "string?", identity = "string?", expire = "number?",
  now = "number?", minimum_bits = "number?" }

-- RFC 6376 §5.4.1, and what decides how a body is shown.
local DEFAULT = { "From", "Sender", "Reply-To", "Subject", "Date", "Message-ID", "To", "Cc", "In-Reply-To",
  "References", "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Resent-Date", "Resent-From",
  "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Message-ID", "List-Id", "List-Help", "List-Unsubscribe",
  "List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner", "List-Archive" }
-- Once more than they are there: nobody can add another. Those behind only where they are there at all,
-- since a relay may add them.
local ALWAYS = { ["from"] = true, ["reply-to"] = true, ["subject"] = true, ["to"] = true, ["cc"] = true }
local PRESENT = { ["sender"] = true, ["date"] = true, ["message-id"] = true, ["mime-version"] = true,
  ["content-type"] = true, ["content-transfer-encoding"] = true, ["in-reply-to"] = true, ["references"] = true }

local function set(list)
  local names = {}
  for _, name in ipairs(list) do names[ascii.lower(name)] = true end
  return names
end

-- True where `name` is to be listed once more.
local function is_sealed(name, there, oversign)
  if oversign == false then return false end
  if type(oversign) == "table" then return oversign[name] end
  return ALWAYS[name] or (PRESENT[name] and there > 0)
end

--- The h= of a signature.
-- @local
function dkim.cover(head, wanted, oversign)
  local names, seen = {}, {}
  if type(oversign) == "table" then oversign = set(oversign) end
  for _, name in ipairs(wanted or DEFAULT) do
    name = ascii.lower(name)
    if not seen[name] then
      seen[name] = true
      local there = head:count(name)
      for _ = 1, there do names[#names + 1] = name end
      if is_sealed(name, there, oversign) then names[#names + 1] = name end
    end
  end
  return names
end

local function invalid(message, ...)
  return nil, Err.new { kind = "invalid", message = message:format(...) }
end

local function check_names(list, what, level)
  for _, name in ipairs(list) do
    if type(name) ~= "string" or name:find "[^!-~]" or name:find "[:;]" or name == "" then
      local shown = ascii.without_controls(tostring(name), "?")
      error(("%s: '%s' is no name of a header field"):format(what, shown), level + 1)
    end
  end
end

--- Checks the options that DKIM and ARC share.
-- @local
function dkim.check_signer(options, what, level)
  for _, name in ipairs { "domain", "selector" } do
    if not signature.is_name(options[name]) then
      error(("%s: option '%s' is no domain name"):format(what, name), level + 1)
    end
  end
  local canon = options.canonicalization or "relaxed/relaxed"
  local header, body = canon:match "^([A-Za-z]+)/([A-Za-z]+)$"
  local known = { simple = true, relaxed = true }
  if not known[header or ""] or not known[body] then
    error(what .. ": option 'canonicalization' must be simple or relaxed, twice: \"relaxed/simple\"", level + 1)
  end
  if options.headers then
    check_names(options.headers, what, level + 1)
    if not set(options.headers).from then error(what .. ": option 'headers' must name From", level + 1) end
  end
  if type(options.oversign) == "table" then check_names(options.oversign, what, level + 1) end
  return header, body
end

local function check_options(options, what, level)
  want(options, SIGN, what, level)
  local header, body = dkim.check_signer(options, what, level + 1)
  local identity = options.identity
  local below = identity and ascii.lower("." .. (identity:match "@([^@]+)$" or ""))
  local domain = "." .. ascii.lower(options.domain)
  if identity and (identity:find "[%z\1-\32\127;]" or below:sub(-#domain) ~= domain) then
    error(what .. ": option 'identity' must be an address of the domain, or below it", level + 1)
  end
  return { given = options, header = header, body = body }
end

-- One signature, or several by as many keys, over one reading.
local function plan(options, what, level)
  if type(options) == "table" and options[1] ~= nil then
    local jobs = {}
    for i, one in ipairs(options) do jobs[i] = check_options(one, what, level + 1) end
    return jobs
  end
  return { check_options(options, what, level + 1) }
end

local function quote(text)
  return (text:gsub("[=%z\1-\32;\127-\255]", function(c) return ("=%02X"):format(c:byte()) end))
end

local function write(job, head)
  local o = job.given
  local kind = job.key:kind()
  local names = dkim.cover(head, o.headers, o.oversign)
  local now = o.now or os.time()
  local tags = {
    { "v", "1" }, { "a", kind .. "-sha256" }, { "c", job.header .. "/" .. job.body }, { "d", o.domain },
    { "s", o.selector }, { "t", ("%d"):format(now) },
  }
  if o.expire then tags[#tags + 1] = { "x", ("%d"):format(now + o.expire) } end
  if o.identity then tags[#tags + 1] = { "i", quote(o.identity) } end
  tags[#tags + 1] = { "h", table.concat(names, ":") }
  tags[#tags + 1] = { "bh", core.base64((job.core:finish())) }
  local covered = head:cover(table.concat(names, ":"), job.header)
  return signature.write("DKIM-Signature", tags, covered, job.header, job.key)
end

local function sign(message, jobs, what, level, tap)
  local bodies = {}
  for i, job in ipairs(jobs) do
    local err
    job.key, err = key.private(job.given.key, job.given.minimum_bits)
    if not job.key then return nil, err end
    job.core = core.sign_body(job.body, true)
    bodies[i] = job.core
  end
  local from, err = input.open(message, what, level + 1, tap)
  if not from then return nil, err end
  if not from.head:is_clean() then return invalid "the header holds lines that are no fields: nobody should sign it" end
  if from.head:count "From" ~= 1 then
    return invalid("the message has %d From fields; one is right", from.head:count "From")
  end
  local ok
  ok, err = from:digest(bodies)
  if not ok then return nil, err end
  local fields = {}
  for i, job in ipairs(jobs) do fields[i] = write(job, from.head) end
  return table.concat(fields)
end

--- Signs a message.
-- @param message read to its end: a source function is then used up, see `signed`
-- @tparam table options `domain`, `selector` and `key` (PEM text, path of a PEM file, base64 of an Ed25519
--   seed, or what `dkim.key` gave) are needed. `headers`: names to sign (default: those of RFC 6376 §5.4.1);
--   `oversign`: names listed once more than they are there, so that none can be added; true (the default)
--   for From, Reply-To, Subject, To, Cc, and the others of which there is one; `canonicalization` (default
--   "relaxed/relaxed"); `identity` (i=); `expire` (seconds from now); `now` (epoch seconds);
--   `minimum_bits` (RSA, default 2048, never below 1024). An array of such tables makes a signature each
-- @treturn string the field (or fields) to put in front of the message, ended by CRLF; or nil, err: kind
--   "invalid" (a key that will not do, a message without From), "io", "limit"
function dkim.sign(message, options)
  return sign(message, plan(options, "mail.dkim.sign", 2), "mail.dkim.sign", 2)
end

-- The message again after it was read once: a function that gives its pieces.
local function replay(message)
  if type(message) == "function" then
    local spool, why = io.tmpfile()
    if not spool then return nil, Err.new { kind = "io", message = "no temporary file: " .. tostring(why) } end
    local function again()
      spool:seek("set", 0)
      return input.source(spool, "mail.dkim.signed")
    end
    return again, function(piece) assert(spool:write(piece)) end
  end
  local at = io.type(message) == "file" and message:seek()
  return function()
    if at then message:seek("set", at) end
    return input.source(message, "mail.dkim.signed")
  end
end

-- The signature, and the message behind it.
local function behind(field, again)
  local rest
  return function()
    if rest then return rest() end
    rest = again()
    return field
  end
end

-- A composed message that was signed: its envelope, which names those of Bcc too, is that of the message. Called, it is
-- a source.
local Signed = { is_composed = true }
Signed.__index = Signed

function Signed:source() return behind(self.field, self.again) end

function Signed:__call()
  self.pieces = self.pieces or self:source()
  return self.pieces()
end

function Signed:envelope() return self.message:envelope() end
function Signed:blind() return self.message:blind() end
function Signed:form() return self.message:form() end

function Signed:octets()
  local size = self.message:octets()
  return size and size + #self.field
end

function Signed:tostring()
  local source, out = self:source(), {}
  while true do
    local piece, err = source()
    if piece == nil and err ~= nil then return nil, err end
    if piece == nil then return table.concat(out) end
    out[#out + 1] = piece
  end
end

--- Signs a message and gives it whole, ready for `smtp:send`. A string, a file that can seek, or a message
-- object is read twice; a source function is kept in a temporary file meanwhile, and so are attachments that come from
-- one.
-- @param message
-- @tparam table options as for `sign`
-- @return a source (ltn12) of the signed message; or nil, err. Of a composed message it is an object that can be called
--   as one, with `source`, `tostring`, `octets` and `envelope`: sent without `from` and `to` it goes to those of
--   Bcc, too
function dkim.signed(message, options)
  local jobs = plan(options, "mail.dkim.signed", 2)
  local is_composed = type(message) == "table" and message.is_composed
  local content = message
  if is_composed and message.is_fleeting and message:is_fleeting() then content = message:source() end
  local again, tap = replay(content)
  if not again then return nil, tap end
  local field, err = sign(content, jobs, "mail.dkim.signed", 2, tap)
  if not field then return nil, err end
  if not is_composed then return behind(field, again) end
  return setmetatable({ message = message, field = field, again = again }, Signed)
end

--- Loads a private key once for many messages.
-- @tparam string text PEM text, path of a PEM file, or base64 of an Ed25519 seed
-- @treturn userdata key; or nil, err
function dkim.key(text)
  if type(text) ~= "string" then error("mail.dkim.key: a string expected, got " .. type(text), 2) end
  return key.private(text, 0)
end

--- The text to publish at `<selector>._domainkey.<domain>` for a private key.
-- @param private as for `sign`
-- @treturn string "v=DKIM1; k=rsa; p=…"; or nil, err
function dkim.record(private)
  local k, err = key.private(private, 0)
  if not k then return nil, err end
  return key.record(k)
end

return dkim
