--- S/MIME: messages signed, verified, encrypted and decrypted (RFC 8551, RFC 8550, RFC 5652, RFC 5083).
--
-- A message is a string, a message object (parsed or composed), an open file or a source function. What comes
-- out is a message object again: for `smtp:send`, `:tostring()`, or the next layer. Layers are made and opened
-- one by one: `encrypt(assert(sign(msg, …)), …)`, and `verify(assert(decrypt(msg, …)), …)`.
--
-- Certificates and keys are PEM or DER text, or names of files. Errors: kind "invalid" (a key or a message that
-- is none), "io", "verify" (with `reason` and `signers`), "decrypt", "unsupported", "limit".
--
-- Signing protects the content and not the header: From, To and Subject stay outside as they are.
-- @module mail.smime

local core = require "mail.core"
local Err = require "mail.err"
local entity = require "mail.smime.entity"
local keys = require "mail.smime.keys"
local layer = require "mail.smime.layer"
local message = require "mail.message"
local want = require "mail.want"

local smime = {}

-- How much goes through a cipher at a time.
local PIECE = 65536

local function fail(kind, words, ...)
  return nil, Err.new { kind = kind, message = words:format(...) }
end

-- The message as a parsed one; or nil, err.
local function read(given, what, level)
  if type(given) == "string" then return message.parse(given) end
  if type(given) == "function" then return message.parse_source(given) end
  if io.type(given) == "file" then
    return message.parse_source(function() return given:read(PIECE) end)
  end
  if not message.is(given) then
    error(("%s: the message must be a string, an open file, a source function or a message, got %s")
      :format(what, io.type(given) or type(given)), level + 1)
  end
  if rawget(given, "_text") then return given end
  local text, err = given:tostring()
  if not text then return nil, err end
  return message.parse(text)
end

-- A message made of text, with the envelope of the one that it was made of: Bcc stands in no header.
local function made_of(text, given)
  local made = message.parse(text)
  if type(given) == "table" and given.is_composed then
    local envelope, blind, form = given:envelope(), given:blind(), given:form()
    if core.survey(text).eight == 0 then form = "7bit" end
    made.is_composed = true
    made.envelope = function() return envelope end
    made.blind = function() return blind end
    made.form = function() return form end
  end
  return made
end

-- --- writing --------------------------------------------------------------------------------------

local function field(name, value, parameters)
  return assert(core.header_params(name, value, parameters or {}))
end

-- Content as octets in base64: the header of a part, and its body.
local function wrapped(kind, parameters, file)
  parameters[#parameters + 1], parameters[#parameters + 2] = "name", file
  return field("Content-Type", kind, parameters) .. "Content-Transfer-Encoding: base64\r\n"
    .. field("Content-Disposition", "attachment", { "filename", file }) .. "\r\n"
end

-- The entity through a maker, as lines of base64; or nil, why.
local function through(maker, text)
  local encoder, out = core.encoder "base64", {}
  for at = 1, #text, PIECE do
    local made, why = maker:put(text:sub(at, at + PIECE - 1))
    if not made then return nil, why end
    out[#out + 1] = encoder:put(made)
  end
  local rest, why = maker:finish()
  if not rest then return nil, why end
  out[#out + 1] = encoder:put(rest)
  out[#out + 1] = encoder:finish()
  return table.concat(out)
end

-- --- signing --------------------------------------------------------------------------------------

local SIGN = { chain = "string|table?", detached = "boolean?", digest = "string?", padding = "string?",
  signing_time = "number?", signers = "table?" }
local SIGNER = {}
for name, kind in pairs(keys.OPTIONS) do SIGN[name], SIGNER[name] = kind, kind end

-- The names of RFC 8551 §3.5.3.2.
local MICALG = { sha256 = "sha-256", sha384 = "sha-384", sha512 = "sha-512" }

local function check_signing(options, level)
  if options.digest and not MICALG[options.digest] then
    error("mail.smime.sign: 'digest' must be \"sha256\", \"sha384\" or \"sha512\"", level + 1)
  end
  if options.signers and (options.key or options.certificate or options.pkcs12 or not options.signers[1]) then
    error("mail.smime.sign: 'signers' is an array of those who sign, in place of 'key' and 'pkcs12'", level + 1)
  end
  if options.padding and options.padding ~= "pkcs1" and options.padding ~= "pss" then
    error("mail.smime.sign: 'padding' must be \"pkcs1\" or \"pss\"", level + 1)
  end
end

-- All who sign, and the digest of them all; or nil, err.
local function identities(options, level)
  local list, digest = {}, options.digest
  for i, one in ipairs(options.signers or { options }) do
    if options.signers then want(one, SIGNER, ("mail.smime.sign: signers[%d]"):format(i), level) end
    local identity, err = keys.identity(one, "mail.smime.sign", level + 1)
    if not identity then return nil, err end
    if not identity:facts() then
      error("mail.smime.sign: 'key' with its 'certificate', or 'pkcs12', is needed", level + 1)
    end
    list[i] = identity
    digest = digest or identity:digest()
  end
  return list, digest
end

local function signer(options, form, level)
  local list, digest = identities(options, level + 1)
  if not list then return nil, digest end
  local chain, err = keys.certificates(options.chain, "mail.smime.sign: chain", level + 1)
  if err then return nil, err end
  local maker = core.cms_maker(form)
  local manner = { digest = digest, pss = options.padding == "pss", time = options.signing_time or os.time() }
  for _, identity in ipairs(list) do
    local ok, why = maker:signer(identity, manner)
    if not ok then return fail("invalid", "mail.smime.sign: %s", why) end
  end
  if chain then
    local ok, why = maker:chain(chain)
    if not ok then return fail("invalid", "mail.smime.sign: %s", why) end
  end
  return maker, digest
end

-- multipart/signed (RFC 1847 §2.1, RFC 8551 §3.5.3). The line end in front of a delimiter is none of the part's.
local function beside(text, outside, base64, digest)
  local boundary = "=_" .. core.random_text(26)
  local head = field("Content-Type", "multipart/signed",
    { "protocol", "application/pkcs7-signature", "micalg", MICALG[digest], "boundary", boundary })
  return table.concat {
    outside, "MIME-Version: 1.0\r\n", head, "\r\n--", boundary, "\r\n", text, "\r\n--", boundary, "\r\n",
    wrapped("application/pkcs7-signature", {}, "smime.p7s"), base64, "--", boundary, "--\r\n",
  }
end

--- Signs a message. Its content is put into a form that gateways do not alter: 7 bits, no blanks at the ends of
-- lines (RFC 8551 §3.1.3).
-- @param msg
-- @tparam table options `key` and `certificate` (which may have the chain behind it), or `pkcs12`; `passphrase`;
--   `chain` (more certificates that go with the signature); `detached` (default true: multipart/signed, which
--   everybody can read; false: application/pkcs7-mime); `digest` ("sha256", "sha384", "sha512"; default
--   "sha256", for Ed25519 "sha512", the only one that it has); `padding` (RSA: "pkcs1", the default, or "pss");
--   `signing_time` (epoch seconds, default now); `signers`: several who sign, an array of tables with `key`,
--   `certificate`, `pkcs12`, `passphrase`
-- @treturn table the message; or nil, err (kind "invalid", "io")
function smime.sign(msg, options)
  want(options, SIGN, "mail.smime.sign")
  check_signing(options, 2)
  local root, err = read(msg, "mail.smime.sign", 2)
  if not root then return nil, err end
  local detached = options.detached ~= false
  local maker, digest = signer(options, detached and "detached" or "opaque", 2)
  if not maker then return nil, digest end
  local text, outside = entity.part(root)
  local base64, why = through(maker, text)
  if not base64 then return fail("invalid", "mail.smime.sign: %s", why) end
  if detached then return made_of(beside(text, outside, base64, digest), msg) end
  local head = wrapped("application/pkcs7-mime", { "smime-type", "signed-data" }, "smime.p7m")
  return made_of(outside .. "MIME-Version: 1.0\r\n" .. head .. base64, msg)
end

-- --- encrypting -----------------------------------------------------------------------------------

local ENCRYPT = { recipients = "string|table", cipher = "string?", padding = "string?", time = "number?" }

-- Ciphers, and what an object of theirs is called.
local CIPHERS = {
  ["aes-128-cbc"] = "enveloped-data", ["aes-192-cbc"] = "enveloped-data", ["aes-256-cbc"] = "enveloped-data",
  ["aes-128-gcm"] = "authEnveloped-data", ["aes-192-gcm"] = "authEnveloped-data",
  ["aes-256-gcm"] = "authEnveloped-data",
}

local function check_encrypting(options, level)
  if not CIPHERS[options.cipher or "aes-256-cbc"] then
    error("mail.smime.encrypt: 'cipher' must be \"aes-128-cbc\" to \"aes-256-gcm\"", level + 1)
  end
  if options.padding and options.padding ~= "pkcs1" and options.padding ~= "oaep" then
    error("mail.smime.encrypt: 'padding' must be \"pkcs1\" or \"oaep\"", level + 1)
  end
end

local function sealer(options, cipher, level)
  local list, err = keys.recipients(options.recipients, "mail.smime.encrypt: recipients", level + 1)
  if not list then return nil, err end
  if #list == 0 then error("mail.smime.encrypt: 'recipients' names nobody", level + 1) end
  local maker, why = core.cms_maker("sealed", cipher)
  if not maker then return fail("unsupported", "mail.smime.encrypt: %s", why) end
  for _, certs in ipairs(list) do
    local ok
    ok, why = maker:recipient(certs, 1, options.padding or "pkcs1", options.time or os.time())
    if not ok then return fail("invalid", "mail.smime.encrypt: %s (%s)", why, certs:facts(1).subject) end
  end
  return maker
end

--- Encrypts a message. Its content moves inside, its header stays readable; who can decrypt it is told by the
-- message (a certificate's issuer and number), recipients of a blind copy among them.
-- @param msg
-- @tparam table options `recipients`: a certificate or an array of them, each text, a file's name, or a table
--   with `certificate` as a verdict's signers are (put your own among them to read what you have sent);
--   `cipher` ("aes-256-cbc", the default, which all can read; "aes-256-gcm": AuthEnvelopedData, which nobody can
--   alter, from OpenSSL 3.0 on; and those of 128 and 192 bits); `padding` (RSA: "pkcs1", the default, or
--   "oaep"); `time` (epoch seconds, default now: recipients' certificates must be valid then)
-- @treturn table the message; or nil, err (kind "invalid", "io")
function smime.encrypt(msg, options)
  want(options, ENCRYPT, "mail.smime.encrypt")
  check_encrypting(options, 2)
  local cipher = options.cipher or "aes-256-cbc"
  local root, err = read(msg, "mail.smime.encrypt", 2)
  if not root then return nil, err end
  local maker
  maker, err = sealer(options, cipher, 2)
  if not maker then return nil, err end
  local text, outside = entity.part(root)
  local base64, why = through(maker, text)
  if not base64 then return fail("invalid", "mail.smime.encrypt: %s", why) end
  local head = wrapped("application/pkcs7-mime", { "smime-type", CIPHERS[cipher] }, "smime.p7m")
  return made_of(outside .. "MIME-Version: 1.0\r\n" .. head .. base64, msg)
end

-- --- reading --------------------------------------------------------------------------------------

--- What S/MIME has done to a message or part.
-- @param msg
-- @treturn string "signed", "encrypted", "compressed" or "certificates"; nil where it has done nothing (which is
--   what OpenPGP gives, too)
-- @treturn string how: "detached" or "opaque"; "enveloped-data" or "authEnveloped-data" (the one that nobody can
--   alter); "compressed-data"; "certs-only"
function smime.type(msg)
  local root, err = read(msg, "mail.smime.type", 2)
  if not root then return nil, err end
  return layer.type(root)
end

local VERIFY = { ca = "string|table?", certificates = "string|table?", crls = "string|table?",
  time = "number|string?", purpose = "string?", allow_weak = "boolean?", from = "string?" }

local function check_verifying(options, level)
  if type(options.time) == "string" and options.time ~= "signed" then
    error("mail.smime.verify: 'time' must be a number or \"signed\"", level + 1)
  end
  if options.purpose and options.purpose ~= "smimesign" and options.purpose ~= "any" then
    error("mail.smime.verify: 'purpose' must be \"smimesign\" or \"any\"", level + 1)
  end
end

-- The options as the core has them; or nil, err.
local function policy_of(options, level)
  local policy = {
    time = type(options.time) == "number" and options.time or os.time(), when_signed = options.time == "signed",
    any_purpose = options.purpose == "any", allow_weak = options.allow_weak,
  }
  local err
  policy.trust, err = keys.trust(options.ca, "mail.smime.verify: ca", level + 1)
  if not policy.trust then return nil, err end
  policy.known, err = keys.certificates(options.certificates, "mail.smime.verify: certificates", level + 1)
  if err then return nil, err end
  policy.lists, err = keys.certificates(options.crls, "mail.smime.verify: crls", level + 1)
  if err then return nil, err end
  return policy
end

--- Verifies the signatures of a message: all of them must be good, or there is no verdict.
--
-- What is inside another part (a mailing list's footer beside it) is found, too: then `whole` is false, and only
-- `content` was signed. A signer says only who he is by his certificate; whether the message is from him is
-- `signer_matches_from`: everyone in From must be named by the certificate of a signer (RFC 8550 §3).
-- @param msg
-- @tparam[opt] table options `ca` (trusted certificates; default: those that the system trusts);
--   `certificates` (others that may stand between, or be a signer's); `crls` (revocation lists: the signer's
--   issuer must then have one); `time` (epoch seconds at which certificates are judged, default now; "signed":
--   when the signer says that he signed, which proves nothing by itself); `purpose` ("smimesign", the default,
--   or "any"); `allow_weak` (default false: MD5, SHA-1 and short keys are refused); `from` (an address in place
--   of those in From)
-- @treturn table verdict: `content` (what was signed, parsed), `message` (the same with the outer header, for
--   the next layer), `signers` (array of `{subject=, issuer=, serial=, emails=, fingerprint= (SHA-256),
--   certificate= (PEM), not_before=, not_after=, signing_time= (all in epoch seconds), digest=, matches_from=}`),
--   `signer_matches_from`, `signer_matches_sender` (nil without Sender), `whole`, `form` ("detached",
--   "opaque"); or nil, err: kind "verify" with `reason` "unsigned", "altered", "forged", "malformed", "weak",
--   "unknown", "untrusted", "expired", "revoked", "purpose", "time" or "unsupported", and, where there are any,
--   `signers` as above, each with its own `fault` and `why`; kind "invalid" or "io" where an option is wrong
function smime.verify(msg, options)
  options = want(options or {}, VERIFY, "mail.smime.verify")
  check_verifying(options, 2)
  local root, err = read(msg, "mail.smime.verify", 2)
  if not root then return nil, err end
  local policy
  policy, err = policy_of(options, 2)
  if not policy then return nil, err end
  return layer.verify(root, policy, options.from)
end

local DECRYPT = keys.OPTIONS

--- Decrypts a message. Nothing is given out unless all of it was decrypted and its end is right; still, content
-- in a CBC cipher can be altered by others on its way (EFAIL): `authenticated` is false then, and nothing in it
-- should be fetched from the network.
--
-- An encrypted part inside another part is found, too: only what was in it is given out, never mixed with what
-- stands around it, and `whole` is false.
-- @param msg
-- @tparam table options `key` and `certificate` (without it every recipient's place is tried), or `pkcs12`;
--   `passphrase`
-- @treturn table the message: what was inside, under the outer header (a field inside stands only where there is
--   none of its name outside); or nil, err (kind "decrypt", "invalid", "io")
-- @treturn table `{cipher=, authenticated=, whole=, content= (what was inside alone)}`
function smime.decrypt(msg, options)
  want(options, DECRYPT, "mail.smime.decrypt")
  local root, err = read(msg, "mail.smime.decrypt", 2)
  if not root then return nil, err end
  local identity
  identity, err = keys.identity(options, "mail.smime.decrypt", 2)
  if not identity then return nil, err end
  return layer.decrypt(root, identity)
end

--- Unpacks a compressed message (RFC 3274).
-- @param msg
-- @treturn table the message, as of `decrypt`; or nil, err (kind "invalid", "limit")
-- @treturn table `{whole=, content=}`
function smime.decompress(msg)
  local root, err = read(msg, "mail.smime.decompress", 2)
  if not root then return nil, err end
  return layer.decompress(root)
end

--- The certificates that a message brings, which proves nothing about them.
-- @param msg signed, or of certificates alone
-- @treturn table array as a verdict's `signers`; or nil, err
function smime.certificates(msg)
  local root, err = read(msg, "mail.smime.certificates", 2)
  if not root then return nil, err end
  return layer.certificates(root)
end

--- What certificates say.
-- @param given PEM or DER text, a file's name, or an array of these
-- @treturn table array of `{subject=, issuer=, serial=, emails=, fingerprint=, certificate=, not_before=,
--   not_after=}`; or nil, err
function smime.certificate_info(given)
  if type(given) ~= "string" and type(given) ~= "table" then
    error("mail.smime.certificate_info: certificates expected, got " .. type(given), 2)
  end
  local list, err = keys.certificates(given, "mail.smime.certificate_info", 2)
  if not list then return nil, err end
  return layer.facts(list)
end

return smime
