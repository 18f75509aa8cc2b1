--- S/MIME's layers of a parsed message: which there is, where, and what is in it (RFC 8551 §3).
--
-- The invariant: content of one layer is never put together with what stood around it, and what was
-- not signed is in no verdict.
-- @module mail.smime.layer

local ascii = require "mail.ascii"
local core = require "mail.core"
local Err = require "mail.err"
local entity = require "mail.smime.entity"
local message = require "mail.message"

local layer = {}

local CANNOT_OPEN = "the content cannot be opened with this key, or was altered"

local function fail(kind, words, ...)
  return nil, Err.new { kind = kind, message = words:format(...) }
end

-- --- types ----------------------------------------------------------------------------------------

local MIME = { ["application/pkcs7-mime"] = true, ["application/x-pkcs7-mime"] = true }
local SIGNATURE = { ["application/pkcs7-signature"] = true, ["application/x-pkcs7-signature"] = true }

-- What an object is, by its name in smime-type.
local TYPES = {
  ["signed-data"] = { "signed", "opaque" }, ["certs-only"] = { "certificates", "certs-only" },
  ["enveloped-data"] = { "encrypted", "enveloped-data" },
  ["authenveloped-data"] = { "encrypted", "authEnveloped-data" },
  ["compressed-data"] = { "compressed", "compressed-data" },
}

local function type_of_name(name)
  local found = name and TYPES[ascii.lower(name)]
  if found then return found[1], found[2] end
end

-- RFC 8551 §3.2.1: names tell what gateways that know no type of it have made an octet-stream.
local function is_named(part)
  local name = part.type == "application/octet-stream" and part.filename
  return name and ascii.lower(name):find "%.p7[mcz]$" ~= nil
end

-- Two parts, of which the second is a signature.
local function is_beside(part)
  if part.type ~= "multipart/signed" then return false end
  local protocol = part.parameters.protocol
  if protocol then return SIGNATURE[ascii.lower(protocol)] == true end
  return part.parts ~= nil and part.parts[2] ~= nil and SIGNATURE[part.parts[2].type] == true
end

--- What a part is by itself; see `mail.smime.type`.
function layer.type(part)
  if is_beside(part) then return "signed", "detached" end
  if not MIME[part.type] and not is_named(part) then return nil end
  local kind, how = type_of_name(part.parameters["smime-type"])
  if kind then return kind, how end
  local object = core.cms_read(part:body())
  return type_of_name(object and object:kind())
end

-- The first part of that kind: itself, or one in its multiparts. Messages inside are none of this one.
local function find(root, kind)
  local stack, n = { root }, 1
  while n > 0 do
    local part = stack[n]
    stack[n], n = nil, n - 1
    local found, how = layer.type(part)
    if found == kind then return part, how, part == root end
    local inside = not found and part.type:find "^multipart/" and part.parts or {}
    for i = #inside, 1, -1 do
      n = n + 1
      stack[n] = inside[i]
    end
  end
end

-- The CMS object in a part; or nil, words.
local function object_of(part)
  local object, why = core.cms_read(part:body())
  if object then return object end
  return nil, why
end

-- --- verifying ------------------------------------------------------------------------------------

local function unverified(reason, words, signers)
  return nil, Err.new { kind = "verify", reason = reason, message = words, signers = signers }
end

-- The signed octets, and the object; or nil, words.
local function taken_apart(part, how)
  if how == "opaque" then
    local object, why = object_of(part)
    if not object then return nil, why end
    local octets = object:kind() == "signed-data" and object:content()
    if not octets then return nil, "the object holds nothing that was signed" end
    return octets, object
  end
  local list = part.parts or {}
  -- a third part would be shown, and nobody has signed it
  if #list ~= 2 or not SIGNATURE[list[2].type] then return nil, "multipart/signed without its two parts" end
  local object, why = object_of(list[2])
  if not object then return nil, why end
  if object:kind() ~= "signed-data" or object:content() then return nil, "the signature is not one beside a part" end
  return entity.signed_octets(list[1]), object
end

-- Addresses compare without regard to case (RFC 8550 §3), their domains as A-labels.
local function plain(address)
  local name, domain = address:match "^(.*)@([^@]*)$"
  if domain and domain:find "[\128-\255]" then address = name .. "@" .. (core.idn(domain) or domain) end
  return ascii.lower(address)
end

local function mailboxes(list, into)
  for _, one in ipairs(list or {}) do
    if one.group then mailboxes(one.members, into) else into[#into + 1] = plain(one.address or "") end
  end
  return into
end

-- Who the message says that it is from. With a second From nobody knows which one is shown.
local function authors_of(root)
  return #root:header_all "From" == 1 and mailboxes(root.from, {}) or {}
end

local function names(signer, address)
  for _, email in ipairs(signer.emails or {}) do
    if plain(email) == address then return true end
  end
  return false
end

-- True where each of the addresses is named by a signer, and there is one at all.
local function match(signers, addresses)
  for _, address in ipairs(addresses) do
    local named = false
    for _, signer in ipairs(signers) do named = named or names(signer, address) end
    if not named then return false end
  end
  return #addresses > 0
end

-- The faults of the signers as an error; nil where there are none.
local function fault_of(signers)
  for _, signer in ipairs(signers) do
    if signer.fault then
      local who = signer.subject and (" (%s)"):format(signer.subject) or ""
      local _, err = unverified(signer.fault, "the signature does not hold: " .. signer.why .. who, signers)
      return err
    end
  end
end

-- `message` is put together when it is asked for: that costs a copy of all there is.
local function with_message(verdict, root, octets)
  return setmetatable(verdict, { __index = function(self, name)
    if name ~= "message" then return nil end
    rawset(self, name, entity.join(root, octets))
    return rawget(self, name)
  end })
end

--- As `mail.smime.verify`, with a policy of the core's.
function layer.verify(root, policy, from)
  local part, how, whole = find(root, "signed")
  if not part then return unverified("unsigned", "the message is not signed") end
  local octets, object = taken_apart(part, how)
  if not octets then return unverified("malformed", object) end
  if not entity.is_one(octets) then return unverified("malformed", "what was signed is no MIME entity") end
  local ok, why = object:digest_begin()
  if not ok then return unverified("malformed", why) end
  if how == "detached" then object:digest(octets) end
  local signers
  signers, why = object:judge(policy)
  if not signers then return unverified("malformed", why) end
  local err = fault_of(signers)
  if err then return nil, err end
  local authors = from and { plain(from) } or authors_of(root)
  for _, signer in ipairs(signers) do
    signer.matches_from = match({ signer }, authors)
  end
  local sender = mailboxes(root.sender, {})
  local sender_matches
  if #sender > 0 then sender_matches = match(signers, sender) end
  return with_message({
    signers = signers, content = message.parse(octets), form = how, whole = whole,
    signer_matches_from = match(signers, authors), signer_matches_sender = sender_matches,
  }, root, octets)
end

-- --- decrypting -----------------------------------------------------------------------------------

--- As `mail.smime.decrypt`, with an identity of the core's.
function layer.decrypt(root, identity)
  local part, _, whole = find(root, "encrypted")
  if not part then return fail("invalid", "the message is not encrypted") end
  local object, why = object_of(part)
  if not object then return fail("decrypt", "%s", why) end
  local kind = object:kind()
  local text, cipher = object:decrypt(identity)
  if not text then return fail("decrypt", "%s", cipher) end
  -- a key made up gives octets, too, once in 256 (csrc/tls/cms_read.c): the words are those of any other failure
  if not entity.is_one(text) then return fail("decrypt", CANNOT_OPEN) end
  return entity.join(root, text), {
    cipher = cipher, authenticated = kind == "authEnveloped-data", whole = whole, content = message.parse(text),
  }
end

--- As `mail.smime.decompress`.
function layer.decompress(root)
  local part, _, whole = find(root, "compressed")
  if not part then return fail("invalid", "the message is not compressed") end
  local object, why = object_of(part)
  if not object then return fail("invalid", "%s", why) end
  if object:kind() ~= "compressed-data" then return fail("invalid", "the object holds nothing compressed") end
  local text
  text, why = object:inflate()
  if not text then return fail(why:find "^limit" and "limit" or "invalid", "%s", why) end
  return entity.join(root, text), { whole = whole, content = message.parse(text) }
end

-- --- certificates ---------------------------------------------------------------------------------

--- The facts of all certificates in a list of the core's.
function layer.facts(list)
  local all = {}
  for i = 1, (list:count()) do all[i] = list:facts(i) end
  return all
end

--- As `mail.smime.certificates`.
function layer.certificates(root)
  local part, how = find(root, "certificates")
  if not part then part, how = find(root, "signed") end
  if not part then return fail("invalid", "the message brings no certificates") end
  if how == "detached" then part = part.parts and part.parts[2] end
  local object, why = nil, "multipart/signed without its two parts"
  if part then object, why = object_of(part) end
  if not object then return fail("invalid", "%s", why) end
  return layer.facts(object:certs())
end

return layer
