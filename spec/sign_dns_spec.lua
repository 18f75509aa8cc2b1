-- Signatures and policies with a real name server behind mail.dns, and through every door of `mail`.
local mail = require "mail"
local servers = require "spec.servers"
local signing = require "spec.support.signing"

local RECORDS = [[
ed._domainkey.signed.test TXT "v=DKIM1; k=ed25519; " "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
signed.test TXT "v=spf1 mx a:none.test exists:%{l}.x.signed.test -all"
signed.test MX 10 mail.signed.test
mail.signed.test A 192.0.2.1
nomail.signed.test TXT "v=spf1 mx ?all"
nomail.signed.test MX 0 .
implicit.signed.test TXT "v=spf1 mx -all"
implicit.signed.test A 192.0.2.1
_dmarc.signed.test TXT "v=DMARC1; p=reject"
mute.test MUTE
]]

local function server() return servers.dns { records = RECORDS } end

if not server() then
  describe("signatures and DNS", function() pending "there is no dnsmasq here" end)
  return
end

local MESSAGE = "From: ann@signed.test\r\nSubject: x\r\n\r\nHello\r\n"

describe("signatures and DNS", function()
  local function resolver(timeout) return { dns_servers = server().servers, timeout = timeout or 10 } end

  local function sign(domain)
    return assert(mail.dkim.sign(MESSAGE, { domain = domain, selector = "ed", key = signing.SEED })) .. MESSAGE
  end

  it("verifies DKIM, DMARC and ARC by keys from DNS", function()
    local message = sign "signed.test"
    local found = assert(mail.dkim.verify(message, { resolver = resolver() }))
    assert.equal("pass", found[1].result, found[1].reason)
    assert.equal("permerror", mail.dkim.verify(sign "none.test", { resolver = resolver() })[1].result)
    local verdict = mail.dmarc.evaluate { from = "ann@signed.test", dkim = found, resolver = resolver() }
    assert.equal("pass", verdict.result)
    local fields = assert(mail.arc.seal(message, { domain = "signed.test", selector = "ed", key = signing.SEED,
      authserv_id = "mx.test", dkim = found, dmarc = verdict, resolver = resolver() }))
    local chain = assert(mail.arc.verify(fields .. message, { resolver = resolver() }))
    assert.equal("pass", chain.result, chain.reason)
    local results = chain.sets[1].authentication_results.results
    assert.equal("signed.test", results[1].properties["header.d"])
    assert.equal("dmarc", results[2].method)
  end)

  it("is told apart: no answer is temporary", function()
    assert.equal("temperror", mail.dkim.verify(sign "mute.test", { resolver = resolver(0.2) })[1].result)
    assert.equal("temperror", (mail.spf.check { ip = "192.0.2.1", from = "a@mute.test", resolver = resolver(0.2) }))
    assert.equal("temperror", mail.dmarc.evaluate { from = "a@mute.test", resolver = resolver(0.2) }.result)
  end)

  it("checks SPF by MX, by addresses, and by names that nobody can have", function()
    local function check(from, ip) return (mail.spf.check { from = from, ip = ip, resolver = resolver() }) end
    assert.equal("pass", check("ann@signed.test", "192.0.2.1"))
    assert.equal("fail", check("ann@signed.test", "192.0.2.2"))
    assert.equal("fail", check("a+b c@signed.test", "192.0.2.2"))
    assert.equal("neutral", check("a@nomail.signed.test", "192.0.2.1"))
    assert.equal("fail", check("a@implicit.signed.test", "192.0.2.1"))
    assert.equal("none", check("a@none.test", "192.0.2.1"))
  end)
end)
