--- Keys of DKIM and ARC: private ones from files, public ones from DNS (RFC 6376 §3.6, RFC 8463).
-- @module mail.sign.key

local ascii = require "mail.ascii"
local core = require "mail.core"
local Err = require "mail.err"

local key = {}

-- RFC 8301 §3.2: shorter ones are never believed; and signers should not make use of those below 2048.
key.SHORTEST_TO_VERIFY, key.SHORTEST_TO_SIGN = 1024, 2048

local function invalid(message, ...)
  return nil, Err.new { kind = "invalid", message = message:format(...) }
end

local function read_file(path)
  local file, why = io.open(path, "rb")
  if not file then return nil, Err.new { kind = "io", message = "the key cannot be read: " .. why } end
  local text
  text, why = file:read "*a"
  file:close()
  if not text then return nil, Err.new { kind = "io", message = "the key cannot be read: " .. tostring(why) } end
  return text
end

-- A path is what neither PEM nor DER nor base64 of a seed looks like.
local function text_of(given)
  if given:find "%-%-%-%-%-BEGIN " then return given end
  if #given == 32 or given:byte() == 0x30 and given:find "[%z\1-\8]" then return given end
  local seed = given:find "^[A-Za-z0-9+/]+=%s*$" and core.unbase64(given)
  if seed and #seed == 32 then return seed end
  local text, err = read_file(given)
  if not text then return nil, err end
  seed = text:find "^%s*[A-Za-z0-9+/]+=%s*$" and core.unbase64(text)
  return seed and #seed == 32 and seed or text
end

--- A private key for signing.
-- @param given PEM or DER text, a path of such a file, base64 of an Ed25519 seed, or a key already loaded
-- @tparam[opt=2048] number shortest bits that an RSA key must have; never fewer than 1024
-- @treturn userdata key; or nil, err (kind "io", "invalid")
function key.private(given, shortest)
  local k = given
  if type(given) == "string" then
    local text, err = text_of(given)
    if not text then return nil, err end
    local why
    k, why = core.sign_key(text)
    if not k then return invalid("the key cannot be used: %s", why) end
  end
  local kind, bits = k:kind()
  shortest = math.max(shortest or key.SHORTEST_TO_SIGN, key.SHORTEST_TO_VERIFY)
  if kind == "rsa" and bits < shortest then
    return invalid("the RSA key has %d bits; %d are the fewest to sign with", bits, shortest)
  end
  return k
end

--- The text of the key record to publish for a private key: "v=DKIM1; k=rsa; p=…".
function key.record(k)
  local b64 = core.base64(k:publish())
  return ("v=DKIM1; k=%s; p=%s"):format((k:kind()), b64)
end

-- "a:b" as a set, or nil where it holds none.
local function set_of(text)
  local set = {}
  for word in text:gsub("%s", ""):gmatch "[^:]+" do set[ascii.lower(word)] = true end
  return set
end

--- Reads one key record.
-- @treturn table { kind=, testing=, strict=, key= | revoked=true }; or nil, why, true where the text is
--   no key record at all
function key.parse(text)
  local tags, why = core.tags(text)
  if not tags then return nil, "no key record: " .. why, true end
  if tags.v and (tags.v ~= "DKIM1" or tags[1] ~= "v") then return nil, "a key record of another version", true end
  if not tags.p then return nil, "a key record without a key", true end
  local flags, kind = set_of(tags.t or ""), ascii.lower(tags.k or "rsa")
  local record = { kind = kind, testing = flags.y, strict = flags.s }
  if tags.h and not set_of(tags.h).sha256 then return nil, "the key is not for SHA-256" end
  local services = set_of(tags.s or "*")
  if not services["*"] and not services.email then return nil, "the key is not for mail" end
  if tags.p == "" then
    record.revoked = true
    return record
  end
  if kind ~= "rsa" and kind ~= "ed25519" then return nil, "a key of an unknown kind" end
  local octets = core.unbase64(tags.p)
  if not octets then return nil, "the key is no base64" end
  record.key, why = core.sign_public(kind, octets)
  if not record.key then return nil, why end
  return record
end

-- What speaks against the use of a record, as words; nil where nothing does.
local function unfit(record, wanted, shortest)
  if record.revoked then return "the key was revoked" end
  if record.kind ~= wanted then return "the key is of another kind" end
  local kind, bits = record.key:kind()
  shortest = math.max(shortest or 0, key.SHORTEST_TO_VERIFY)
  if kind == "rsa" and bits < shortest then return ("the RSA key has only %d bits"):format(bits) end
end

--- Asks DNS for a signer's public key (RFC 6376 §3.6.2, §6.1.2). Where a name has several records the
-- first that can be used counts.
-- @treturn table record; or nil, why, result ("temperror" or "permerror")
function key.public(resolver, selector, domain, kind, shortest)
  local texts, why = resolver:txt(selector .. "._domainkey." .. domain)
  if not texts then return nil, "no answer from DNS: " .. why, "temperror" end
  local reason = "no key"
  for i = 1, math.min(#texts, 4) do
    local record, bad, foreign = key.parse(texts[i])
    bad = bad or unfit(record, kind, shortest)
    if not bad then return record end
    if not foreign or reason == "no key" then reason = bad end
  end
  return nil, reason, "permerror"
end

return key
