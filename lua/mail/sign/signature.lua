--- One signature field, DKIM-Signature or ARC-Message-Signature: read, checked, verified and written
-- (RFC 6376 §3.5, §5, §6; RFC 8301; RFC 8463; RFC 8617 §4.1.2).
-- @module mail.sign.signature

local ascii = require "mail.ascii"
local core = require "mail.core"
local key = require "mail.sign.key"

local signature = {}

local ALGORITHMS = { ["rsa-sha256"] = "rsa", ["ed25519-sha256"] = "ed25519" }
local CANONS = { simple = true, relaxed = true }

-- Fields of which a message has one. Where one is signed and another one was added, a reader may be
-- shown the one that nobody signed (RFC 6376 §8.15).
local SINGLE = { "from", "sender", "reply-to", "to", "cc", "subject", "date", "message-id", "mime-version",
  "content-type", "content-transfer-encoding" }

-- --- reading ----------------------------------------------------------------------------------------

-- A name that may stand in a question to DNS; UTF-8 labels too (RFC 8616).
local function is_name(text)
  return #text > 0 and #text <= 253 and not text:find "[^A-Za-z0-9._\128-\255-]"
    and not ("." .. text .. "."):find "%.%."
end
signature.is_name = is_name

local function canon_of(text)
  local header, body = ascii.lower(text or "simple"):match "^([A-Za-z]+)/?([A-Za-z]*)$"
  if body == "" then body = "simple" end
  if not CANONS[header or ""] or not CANONS[body] then return nil end
  return header, body
end

local function names_of(text)
  local list = {}
  for name in (text:gsub("%s", "") .. ":"):gmatch "([^:]*):" do list[#list + 1] = ascii.lower(name) end
  return list
end

local function count(list, name)
  local n = 0
  for _, one in ipairs(list) do
    if one == name then n = n + 1 end
  end
  return n
end
signature.count = count

-- dkim-quoted-printable, RFC 6376 §2.11
local function unquote(text)
  return (text:gsub("%s", ""):gsub("=(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- "i=" names the signer or someone below (RFC 6376 §3.5).
local function check_identity(sig, tags)
  sig.identity = tags.i and unquote(tags.i) or "@" .. sig.domain
  local domain = sig.identity:match "@([^@]*)$"
  if not domain then return "i= is no identity" end
  domain = ascii.lower(domain)
  sig.identity_domain = domain
  local own = ascii.lower(sig.domain)
  if domain ~= own and domain:sub(-#own - 1) ~= "." .. own then return "i= is not of the signing domain" end
end

local function check_times(sig, tags, options)
  for field, tag in pairs { signed = "t", expires = "x", length = "l" } do
    local text = tags[tag]
    if text and not (text:find "^%d+$" and #text <= (tag == "l" and 15 or 12)) then return tag .. "= is no number" end
    sig[field] = tonumber(text)
  end
  local now, skew = options.now, options.skew
  if sig.expires and sig.signed and sig.expires <= sig.signed then return "x= is not behind t=" end
  if sig.expires and now > sig.expires + skew then return "the signature has expired" end
  if sig.signed and sig.signed > now + skew then return "the signature is from the future" end
end

-- What all kinds have in common: a, b, d, s.
local function read_signer(sig, tags)
  for _, name in ipairs { "a", "b", "d", "s" } do
    if not tags[name] then return name .. "= is missing" end
  end
  sig.domain, sig.selector = tags.d, tags.s
  sig.algorithm = ascii.lower(tags.a)
  if not is_name(tags.d) or not is_name(tags.s) then return "d= or s= is no domain name" end
  if sig.algorithm == "rsa-sha1" then return "rsa-sha1 is not to be believed (RFC 8301)" end
  sig.kind = ALGORITHMS[sig.algorithm]
  if not sig.kind then return "unknown algorithm", "neutral" end
  sig.octets = core.unbase64(tags.b)
  if not sig.octets then return "b= is no base64" end
end
signature.read_signer = read_signer

local function read_cover(sig, tags, is_arc)
  if not tags.h or not tags.bh then return (tags.h and "bh" or "h") .. "= is missing" end
  sig.header_canon, sig.body_canon = canon_of(tags.c)
  if not sig.header_canon then return "unknown canonicalization", "neutral" end
  sig.headers = names_of(tags.h)
  if count(sig.headers, "from") == 0 then return "From is not signed" end
  for _, name in ipairs(sig.headers) do
    if is_arc and name:find "^arc%-" then return "h= names fields of ARC" end
  end
  sig.digest = core.unbase64(tags.bh)
  if not sig.digest or #sig.digest ~= 32 then return "bh= is no digest" end
  if tags.q and not (":" .. tags.q:gsub("%s", "") .. ":"):find(":dns/txt:", 1, true) then
    return "q= is not dns/txt", "neutral"
  end
end

--- Reads a signature field's value. What is wrong with it stands in `result` and `reason`; without
-- these it is fit to be verified.
-- @tparam string value
-- @tparam table options `now`, `skew`
-- @tparam[opt] boolean is_arc an ARC-Message-Signature: no v=, and i= is a number
function signature.read(value, options, is_arc)
  local sig = {}
  local tags, why = core.tags(value)
  local result
  if not tags then
    why = "no signature: " .. why
  elseif not is_arc and tags.v ~= "1" then
    why = tags.v and "unknown version" or "v= is missing"
  else
    why, result = read_signer(sig, tags)
    if not why then why, result = read_cover(sig, tags, is_arc) end
    if not why and not is_arc then why = check_identity(sig, tags) end
    if not why then why = check_times(sig, tags, options) end
  end
  if why then sig.result, sig.reason = result or "permerror", why end
  return sig
end

-- --- verifying --------------------------------------------------------------------------------------

--- The digest that a signature wants of the body; signatures that want the same share one.
-- @tparam table sig from `read`
-- @tparam table bodies array to be passed to the input, with the shared ones by their name
function signature.want_body(sig, bodies)
  local name = sig.body_canon .. ":" .. (sig.length or "")
  if not bodies[name] then
    bodies[name] = { core = core.sign_body(sig.body_canon, false, sig.length) }
    bodies[#bodies + 1] = bodies[name].core
  end
  sig.body = bodies[name]
end

local function finish(body)
  if not body.digest then body.digest, body.length = body.core:finish() end
  return body.digest, body.length
end

-- A field that may be there once was signed once, and stands there twice.
local function doubled(head, sig)
  for _, name in ipairs(SINGLE) do
    local signed = count(sig.headers, name)
    local there = (signed > 0) and head:count(name) or 0
    if there > 1 and signed < there then
      return ("of %d %s fields %d are signed"):format(there, name, signed)
    end
  end
end

local function check_key(sig, resolver, options)
  local record, why, result = key.public(resolver, sig.selector, sig.domain, sig.kind, options.minimum_bits)
  if not record then return nil, why, result end
  sig.testing = record.testing or nil
  if record.strict and sig.identity_domain and sig.identity_domain ~= ascii.lower(sig.domain) then
    return nil, "i= is below d=, which the key forbids", "permerror"
  end
  return record.key
end

--- Verifies what `read` found fit.
-- @tparam table sig
-- @tparam userdata head
-- @tparam number index of the signature's field there
-- @tparam table resolver from `mail.sign.resolver`
-- @tparam table options `minimum_bits`, `allow_length`
-- @treturn string result; reason
function signature.verify(sig, head, index, resolver, options)
  local public, why, result = check_key(sig, resolver, options)
  if not public then return result, why end
  local _, _, raw = head:field(index)
  local digest, length = finish(sig.body)
  if sig.length and sig.length > length then return "permerror", "l= is longer than the body" end
  if digest ~= sig.digest then return "fail", "the body was changed" end
  local text = head:cover(table.concat(sig.headers, ":"), sig.header_canon) .. core.sign_field(raw, sig.header_canon)
  if not public:verify(core.sha256(text), sig.octets) then return "fail", "the signature does not fit" end
  if sig.length and not options.allow_length then return "policy", "only a part of the body is signed (l=)" end
  why = doubled(head, sig)
  if why then return "policy", why end
  return "pass"
end

-- --- writing ----------------------------------------------------------------------------------------

-- Tags as lines of at most 76 octets; `h` breaks behind its colons.
local function lay_out(name, tags)
  local lines, line = {}, name .. ":"
  local function add(text, space)
    if #line + 1 + #text > 76 then
      lines[#lines + 1] = line
      line = "\t" .. text
    else
      line = line .. space .. text
    end
  end
  for _, tag in ipairs(tags) do
    local text, space = tag[1] .. "=" .. tag[2] .. ";", " "
    for part in text:gmatch(tag[1] == "h" and "[^:;]+[:;]" or ".+") do
      add(part, space)
      space = ""
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\r\n") .. "\r\n\tb="
end

local function fold(text)
  local lines = {}
  for at = 1, #text, 72 do lines[#lines + 1] = text:sub(at, at + 71) end
  return table.concat(lines, "\r\n\t ")
end

--- Writes a field and signs it.
-- @tparam string name of the field
-- @tparam table tags array of { tag, value }; b= comes behind them
-- @tparam string covered the canonical text of all that is signed before the field itself
-- @tparam string canon of the field
-- @tparam userdata private
-- @treturn string the field, with its last CRLF
function signature.write(name, tags, covered, canon, private)
  local field = lay_out(name, tags)
  local octets = private:sign(core.sha256(covered .. core.sign_field(field, canon)))
  return field .. fold(core.base64(octets)) .. "\r\n"
end

return signature
