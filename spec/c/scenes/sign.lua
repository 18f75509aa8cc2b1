-- What DKIM and ARC are made of: tag lists, headers, bodies, keys.
local core, host = ...
host.varies("sign") -- of ES256: its numbers are by chance

assert(core.tags("v=1; a=rsa-sha256; b=abc\r\n def; h=from:to").v == "1")
core.tags("v=1; v=2")
core.unbase64("aGVs\r\n bG8=")
core.unbase64("?")
core.sha256("text")
core.sign_field("DKIM-Signature: v=1; b=abc;\r\n bh=x", "relaxed")
core.sign_field("Subject: x", "simple")

local h = core.sign_head()
h:add("From: a@example.com\r\nTo: b@exam")
assert(h:add("ple.com\r\nSubject:  x \r\n\r\nbody"))
assert(h:is_clean() and h:count() == 3 and h:count("to") == 1)
h:field(2)
h:find("subject")
h:find("none")
h:canonical(3, "relaxed")
assert(#h:cover("from:to:subject:none", "relaxed") > 20)
h = core.sign_head()
h:add("From: a@example.com\r\n")
h:finish()

local body = core.sign_body("relaxed", true, 1000)
body:add("some  text \r\n\r\n")
body:add("xmore\r\n", 2)
body:finish()
core.sign_body("simple", false):finish()

local digest = core.sha256("text")
for _, text in ipairs { host.rsa, ("s"):rep(32) } do
  local key = assert(core.sign_key(text))
  local kind = key:kind()
  local signature = key:sign(digest)
  local public = assert(core.sign_public(kind, key:publish()))
  assert(public:verify(digest, signature))
  assert(not public:verify(core.sha256("other"), signature))
end
core.sign_key("no key")
core.sign_public("rsa", "no key")
assert(#core.sign("RS256", host.rsa, "text") == 256)
assert(core.sign("ES256", host.key, "text"))
core.sign("RS256", "no key", "text")
