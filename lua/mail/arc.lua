--- ARC: the chain of those who passed a message on and say how it looked when it came to them (RFC 8617).
--
-- Messages are what `mail.dkim` takes. A chain that verifies says who spoke, not that they spoke the truth:
-- which sealers to believe is the caller's to decide.
-- @module mail.arc

local ascii = require "mail.ascii"
local core = require "mail.core"
local Err = require "mail.err"
local authentication_results = require "mail.authentication_results"
local dkim = require "mail.dkim"
local input = require "mail.sign.input"
local key = require "mail.sign.key"
local resolver = require "mail.sign.resolver"
local signature = require "mail.sign.signature"
local want = require "mail.want"

local arc = {}

local SETS = 50 -- RFC 8617 §4.2.1
local FIELDS = { "ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal" }

-- --- the sets of a message --------------------------------------------------------------------------

local function instance_of(name, value, tags)
  local text
  if name == FIELDS[1] then text = value:match "^%s*i%s*=%s*(%d+)%s*;" else text = tags and tags.i end
  local n = text and #text <= 2 and tonumber(text)
  return n and n >= 1 and n <= SETS and n or nil
end

-- Puts the fields of one name into their sets; what is wrong, as words.
local function take_fields(head, name, sets)
  local index = head:find(name)
  while index do
    local _, value = head:field(index)
    local tags = name ~= FIELDS[1] and core.tags(value) or nil
    local i = instance_of(name, value, tags)
    if not i then return ("%s without an instance from 1 to %d"):format(name, SETS) end
    sets.highest = math.max(sets.highest, i)
    sets[i] = sets[i] or {}
    if sets[i][name] then return ("two %s of instance %d"):format(name, i) end
    sets[i][name] = { index = index, value = value, tags = tags }
    index = head:find(name, index + 1)
  end
end

-- All sets by instance, with `highest`; what is wrong with their structure in `why` (RFC 8617 §5.2).
local function collect(head)
  local sets = { highest = 0 }
  for _, name in ipairs(FIELDS) do
    local why = take_fields(head, name, sets)
    sets.why = sets.why or why
  end
  local last = sets[sets.highest] and sets[sets.highest][FIELDS[3]]
  sets.closed = last and last.tags and last.tags.cv == "fail"
  return sets
end

local function check_set(set, i)
  for _, name in ipairs(FIELDS) do
    if not set[name] then return ("instance %d has no %s"):format(i, name) end
  end
  local seal, tags = {}, set["ARC-Seal"].tags
  set.seal = seal
  if not tags then return ("the seal of instance %d is no list of tags"):format(i) end
  local why = signature.read_signer(seal, tags)
  if why then return ("the seal of instance %d: %s"):format(i, why) end
  if tags.h then return ("the seal of instance %d names fields"):format(i) end
  seal.cv = tags.cv
  if seal.cv ~= (i == 1 and "none" or "pass") then return ("instance %d says cv=%s"):format(i, tostring(seal.cv)) end
end

local function check_structure(head, sets)
  if sets.closed then return "the chain was marked as broken" end
  if sets.why then return sets.why end
  if not head:is_clean() then return "the header holds lines that are no fields" end
  for i = 1, sets.highest do
    local why = sets[i] and check_set(sets[i], i) or not sets[i] and ("instance %d is missing"):format(i)
    if why then return why end
  end
end

-- --- verifying --------------------------------------------------------------------------------------

-- Everything that a seal covers before its own field (RFC 8617 §5.1.1).
local function covered(head, sets, upto)
  local out = {}
  for i = 1, upto do
    for _, name in ipairs(FIELDS) do
      if i < upto or name ~= FIELDS[3] then
        out[#out + 1] = head:canonical(sets[i][name].index, "relaxed") .. "\r\n"
      end
    end
  end
  return table.concat(out)
end

local function verify_seal(head, sets, i, options)
  local seal = sets[i].seal
  local record, why = key.public(options.resolver, seal.selector, seal.domain, seal.kind, options.minimum_bits)
  if not record then return why end
  local _, _, raw = head:field(sets[i]["ARC-Seal"].index)
  local digest = core.sha256(covered(head, sets, i) .. core.sign_field(raw, "relaxed"))
  if not record.key:verify(digest, seal.octets) then return "the signature does not fit" end
end

-- Reads all message signatures before the body passes by.
local function prepare(head, options, bodies)
  local sets = collect(head)
  if sets.highest == 0 and not sets.why then return sets end
  sets.why = check_structure(head, sets)
  if sets.why then return sets end
  for i = 1, sets.highest do
    local field = sets[i]["ARC-Message-Signature"]
    local sig = signature.read(field.value, options, true)
    if sig.length then sig.result, sig.reason = sig.result or "policy", sig.reason or "l= is not believed" end
    if not sig.result then signature.want_body(sig, bodies) end
    sets[i].signature = sig
  end
  return sets
end

local function verify_message(head, set, options)
  local sig = set.signature
  if not sig.result then
    sig.result, sig.reason = signature.verify(sig, head, set["ARC-Message-Signature"].index, options.resolver, options)
  end
  return sig.result == "pass", sig.reason
end

-- RFC 8617 §5.2 steps 4 to 6: result, reason, oldest-pass.
local function judge(head, sets, options)
  if sets.why then return "fail", sets.why end
  if sets.highest == 0 then return "none" end
  local ok, why = verify_message(head, sets[sets.highest], options)
  if not ok then return "fail", ("the message signature of instance %d: %s"):format(sets.highest, why) end
  for i = sets.highest, 1, -1 do
    why = verify_seal(head, sets, i, options)
    if why then return "fail", ("the seal of instance %d: %s"):format(i, why) end
  end
  for i = sets.highest - 1, 1, -1 do
    if not verify_message(head, sets[i], options) then return "pass", nil, i + 1 end
  end
  return "pass", nil, 0
end

local function view(sets)
  local list = {}
  for i = 1, sets.highest do
    local set = sets[i] or {}
    local results = set[FIELDS[1]]
    local sig, seal = set.signature or {}, set.seal or {}
    list[#list + 1] = {
      instance = i, domain = seal.domain, selector = seal.selector, cv = seal.cv,
      signature = { domain = sig.domain, selector = sig.selector, headers = sig.headers, result = sig.result,
        reason = sig.reason },
      authentication_results = results and authentication_results.parse(results.value) or nil,
    }
  end
  return list
end

local VERIFY = { resolver = "table?", now = "number?", skew = "number?", minimum_bits = "number?" }

local function settings(options)
  return { now = options.now or os.time(), skew = options.skew or 300, minimum_bits = options.minimum_bits,
    resolver = resolver.of(options.resolver) }
end

--- Verifies the chain of a message.
-- @param message
-- @tparam[opt] table options `resolver`, `now`, `skew`, `minimum_bits` as in `dkim.verify`
-- @treturn table { result = "none" | "pass" | "fail", reason =, instance = (the highest), oldest_pass = (0:
--   every message signature still fits), sets = array of { instance=, domain=, selector=, cv=, signature=,
--   authentication_results= (as `authentication_results.parse` gives them; nil where they are none) } }.
--   All failures are permanent, DNS's too (RFC 8617 §5.2.1). Or nil, err: the message cannot be read
function arc.verify(message, options)
  options = settings(want(options or {}, VERIFY, "mail.arc.verify"))
  local from, err = input.open(message, "mail.arc.verify", 2)
  if not from then return nil, err end
  local bodies = {}
  local sets = prepare(from.head, options, bodies)
  err = select(2, from:digest(bodies))
  if err then return nil, err end
  local result, reason, oldest = judge(from.head, sets, options)
  return { result = result, reason = reason, oldest_pass = oldest, instance = sets.highest, sets = view(sets) }
end

-- --- sealing ----------------------------------------------------------------------------------------

local SEAL = { domain = "string", selector = "string", key = "string|userdata", headers = "table?",
  oversign = "table|boolean?", canonicalization = "string?", now = "number?", skew = "number?",
  minimum_bits = "number?", resolver = "table?", authserv_id = "string", results = "table?", dkim = "table?",
  spf = "table?", dmarc = "table?", cv = "string?" }

local DEFAULT = { "From", "Sender", "Reply-To", "Subject", "Date", "Message-ID", "To", "Cc", "In-Reply-To",
  "References", "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "List-Id", "List-Unsubscribe",
  "List-Unsubscribe-Post", "DKIM-Signature" }

local function canonical(field)
  local head = core.sign_head()
  head:add(field)
  head:finish()
  return head:canonical(1, "relaxed") .. "\r\n"
end

local function write_results(o, instance, cv)
  local text, err = authentication_results.format { authserv_id = o.authserv_id, instance = instance,
    results = o.results, dkim = o.dkim, spf = o.spf, dmarc = o.dmarc, arc = { result = cv } }
  if not text then return nil, err end
  return "ARC-Authentication-Results: " .. text .. "\r\n"
end

local function common_tags(o, instance, kind)
  return { { "i", ("%d"):format(instance) }, { "a", kind .. "-sha256" }, { "d", o.domain }, { "s", o.selector },
    { "t", ("%d"):format(o.now or os.time()) } }
end

local function write_signature(job, head, instance)
  local names = table.concat(dkim.cover(head, job.given.headers or DEFAULT, job.given.oversign), ":")
  local tags = common_tags(job.given, instance, (job.key:kind()))
  table.insert(tags, 3, { "c", job.header .. "/" .. job.body })
  tags[#tags + 1] = { "h", names }
  tags[#tags + 1] = { "bh", core.base64((job.core:finish())) }
  return signature.write("ARC-Message-Signature", tags, head:cover(names, job.header), job.header, job.key)
end

-- A broken chain's seal covers its own set alone (RFC 8617 §5.1.2).
local function write_set(job, head, sets, cv)
  local instance = sets.highest + 1
  local results, err = write_results(job.given, instance, cv)
  if not results then return nil, err end
  local sig = write_signature(job, head, instance)
  local tags = common_tags(job.given, instance, (job.key:kind()))
  table.insert(tags, 2, { "cv", cv })
  local before = ""
  if cv == "pass" then
    before = covered(head, sets, sets.highest)
      .. head:canonical(sets[sets.highest]["ARC-Seal"].index, "relaxed") .. "\r\n"
  end
  local seal = signature.write("ARC-Seal", tags, before .. canonical(results) .. canonical(sig), "relaxed", job.key)
  return seal .. sig .. results
end

local function check_names(options)
  for _, name in ipairs(options.headers or {}) do
    local lower = type(name) == "string" and ascii.lower(name)
    if lower and (lower:find "^arc%-" or lower == "authentication-results") then
      error("mail.arc.seal: option 'headers' must not name " .. name, 3)
    end
  end
  if options.cv and not ({ none = true, pass = true, fail = true })[options.cv] then
    error("mail.arc.seal: option 'cv' must be \"none\", \"pass\" or \"fail\"", 3)
  end
end

local function refuse(message)
  return nil, Err.new { kind = "invalid", message = message }
end

--- Seals a message that is about to be passed on, after all changes to it.
-- @param message read to its end
-- @tparam table options `domain`, `selector`, `key`, `headers`, `oversign`, `canonicalization`, `now` and
--   `minimum_bits` as in `dkim.sign`; `authserv_id` (needed) and what this host found when the message came:
--   `results`, `dkim`, `spf`, `dmarc` as in `authentication_results.format`; `cv`: what the chain was worth
--   then ("none", "pass", "fail"), from `arc.verify` before anything was changed; left out, the message is
--   taken for unchanged and its chain verified now (`resolver`)
-- @treturn string three fields to put in front of the message; or nil, err: kind "invalid" where nobody may
--   add to the chain (it says cv=fail, or has 50 sets) or the key will not do; "io", "limit"
function arc.seal(message, options)
  want(options, SEAL, "mail.arc.seal")
  local job = { given = options }
  job.header, job.body = dkim.check_signer(options, "mail.arc.seal", 2)
  check_names(options)
  local err, from
  job.key, err = key.private(options.key, options.minimum_bits)
  if not job.key then return nil, err end
  job.core = core.sign_body(job.body, true)
  from, err = input.open(message, "mail.arc.seal", 2)
  if not from then return nil, err end
  local bodies, checks = { job.core }, settings { resolver = options.resolver, now = options.now, skew = options.skew }
  local sets = prepare(from.head, checks, bodies)
  if sets.closed then return refuse "the chain is broken and marked so: nothing is to be added" end
  if sets.highest >= SETS then return refuse "the chain has 50 sets" end
  err = select(2, from:digest(bodies))
  if err then return nil, err end
  local cv = options.cv or judge(from.head, sets, checks)
  if sets.why then cv = "fail" end
  if not sets.why and (cv == "none") ~= (sets.highest == 0) then
    return refuse(("'cv' is \"%s\", and the message has %d sets"):format(cv, sets.highest))
  end
  return write_set(job, from.head, sets, cv)
end

return arc
