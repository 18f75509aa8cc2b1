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
ptr.test TXT "v=spf1 ptr -all"
p.test TXT "v=spf1 exists:%{p}.ok.test -all"
claimed.p.test.ok.test A 127.0.0.2
unknown.ok.test A 127.0.0.2
mail.ptr.test A 192.0.2.1
claimed.p.test A 192.0.2.2
1.2.0.192.in-addr.arpa PTR liar.ptr.test
1.2.0.192.in-addr.arpa PTR mail.ptr.test
2.2.0.192.in-addr.arpa PTR claimed.p.test
2.2.0.192.in-addr.arpa PTR claimed.ptr.test
3.2.0.192.in-addr.arpa PTR ptr.test
mail6.ptr.test AAAA 2001:db8::1
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR mail6.ptr.test
5.2.0.192.in-addr.arpa MUTE
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

  it("checks SPF by the names of an address, and believes only those that lead back", function()
    local function check(from, ip, timeout)
      return (mail.spf.check { from = from, ip = ip, resolver = resolver(timeout) })
    end
    assert.equal("pass", check("a@ptr.test", "192.0.2.1"))
    assert.equal("pass", check("a@ptr.test", "2001:db8::1"))
    assert.equal("fail", check("a@ptr.test", "192.0.2.2")) -- the name has no address
    assert.equal("fail", check("a@ptr.test", "192.0.2.3")) -- the same
    assert.equal("fail", check("a@ptr.test", "192.0.2.4")) -- no name at all
    assert.equal("fail", check("a@ptr.test", "192.0.2.5", 0.3)) -- no answer: no match (RFC 7208 §5.5)
    assert.equal("pass", check("a@p.test", "192.0.2.2")) -- %{p} is claimed.p.test
    assert.equal("pass", check("a@p.test", "192.0.2.4")) -- %{p} is "unknown"
    assert.equal("fail", check("a@p.test", "192.0.2.1")) -- %{p} is mail.ptr.test
  end)

  it("tries ten of the names of an address, and no more", function()
    local names, asked = {}, 0
    for i = 1, 30 do names[i] = ("host%d.ptr.test"):format(i) end
    local given = { txt = function() return { "v=spf1 ptr -all" } end, ptr = function() return names end,
      addresses = function(name)
        asked = asked + 1
        return { name == names[11] and "192.0.2.1" or "203.0.113.1" }
      end }
    assert.equal("fail", (mail.spf.check { from = "a@ptr.test", ip = "192.0.2.1", resolver = given }))
    assert.equal(10, asked)
    names[10] = names[11]
    assert.equal("pass", (mail.spf.check { from = "a@ptr.test", ip = "192.0.2.1", resolver = given }))
  end)
end)
