-- S/MIME: certificates, keys, trust; objects that are signed, sealed, read, judged, opened.
local core, host = ...
host.varies("put", "finish", "content") -- what is made differs each time
host.may_do_less("decrypt") -- why it cannot be opened is not told

local certs = core.cms_certs()
assert(certs:add(host.cert))
assert(certs:count() == 1)
assert(certs:facts(1).emails[1] == "a@example.com")
certs:add("no certificate")
local roots = core.cms_certs()
roots:add(host.ca)
local trust = assert(core.cms_trust(roots))
local identity = assert(core.cms_identity { certificate = host.cert, key = host.key })
assert(identity:facts().subject)
identity:digest()
core.cms_identity { certificate = host.cert, key = "no key" }
core.cms_identity { pkcs12 = "none", passphrase = "x" }

local text = "Content-Type: text/plain\r\n\r\nhello\r\n"

local function made(maker)
  return assert(maker:put(text)) .. assert(maker:finish())
end

local function signed(form)
  local maker = assert(core.cms_maker(form))
  assert(maker:signer(identity, { digest = "sha256", time = host.time }))
  assert(maker:chain(roots))
  return made(maker)
end

local object = assert(core.cms_read(signed "detached"))
object:kind()
object:certs():count()
assert(object:digest_begin())
object:digest(text)
local signers = assert(object:judge { trust = trust, known = certs, time = host.time, any_purpose = true })
assert(signers[1].fault == nil, signers[1].why)
object = assert(core.cms_read(signed "opaque"))
object:content()
object:digest_begin()
object:judge { trust = trust, lists = roots, time = host.time, when_signed = true, allow_weak = true }

local maker = assert(core.cms_maker("sealed", "aes-256-gcm"))
assert(maker:recipient(certs, 1, "pkcs1", host.time))
object = assert(core.cms_read(made(maker)))
assert(object:decrypt(identity) == text)
object:inflate()
core.cms_maker("sealed", "no-cipher")
core.cms_read("nonsense")
-- CompressedData (RFC 3274) of "hello hello hello hello"
local function der(tag, content) return string.char(tag, #content) .. content end
local oid = function(arc) return der(6, "\42\134\72\134\247\13\1\9\16" .. arc) end
local deflated = "\120\156\203\72\205\201\201\87\200\64\39\0\104\189\8\117"
object = assert(core.cms_read(der(48, oid "\1\9" .. der(160, der(48, der(2, "\0") .. der(48, oid "\3\8")
  .. der(48, der(6, "\42\134\72\134\247\13\1\7\1") .. der(160, der(4, deflated))))))))
assert(object:kind() == "compressed-data")
object:inflate()
