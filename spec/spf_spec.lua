-- SPF by table: each row is a zone, a sender and what RFC 7208 says of it.

local record = require "mail.spf.record"
local signing = require "spec.support.signing"
local spf = require "mail.spf"

local LONG = ("a"):rep(60)

-- Zones shared by the rows below.
local ZONE = {
  txt = {
    ["all.test"] = "v=spf1 -all", ["pass.test"] = "v=spf1 +all", ["soft.test"] = "v=spf1 ~all",
    ["neutral.test"] = "v=spf1 ?all", ["empty.test"] = "v=spf1", ["upper.test"] = "V=SPF1 IP4:192.0.2.1 -ALL",
    ["version.test"] = "v=spf10 +all", ["two.test"] = { "v=spf1 +all", "v=spf1 -all" },
    ["among.test"] = { "other", "v=spf1 +all", "v=spf2 -all" }, ["dead.test"] = "timeout",
    ["ip4.test"] = "v=spf1 ip4:192.0.2.0/25 -all", ["ip4host.test"] = "v=spf1 ip4:192.0.2.1 -all",
    ["ip6.test"] = "v=spf1 ip6:2001:db8::/33 -all", ["ip6host.test"] = "v=spf1 ip6:2001:db8::1 -all",
    ["ip4zero.test"] = "v=spf1 ip4:0.0.0.0/0 -all", ["mapped.test"] = "v=spf1 ip4:192.0.2.1 -all",
    ["a.test"] = "v=spf1 a -all", ["acidr.test"] = "v=spf1 a/24 -all", ["adomain.test"] = "v=spf1 a:a.test -all",
    ["adual.test"] = "v=spf1 a:a.test/32//64 -all", ["a6.test"] = "v=spf1 a:a.test//33 -all",
    ["mx.test"] = "v=spf1 mx -all", ["mxdomain.test"] = "v=spf1 mx:mx.test/24 -all",
    ["mxmany.test"] = "v=spf1 mx -all", ["mximplicit.test"] = "v=spf1 mx -all",
    ["ptr.test"] = "v=spf1 ptr -all", ["ptrother.test"] = "v=spf1 ptr:ptr.test -all",
    ["exists.test"] = "v=spf1 exists:%{ir}.%{l}.list.test -all", ["existsnone.test"] = "v=spf1 exists:no.test -all",
    ["include.test"] = "v=spf1 include:ip4.test -all", ["includesoft.test"] = "v=spf1 include:soft.test -all",
    ["includenone.test"] = "v=spf1 include:nothing.test -all", ["includebad.test"] = "v=spf1 include:two.test +all",
    ["includedead.test"] = "v=spf1 include:dead.test +all", ["adead.test"] = "v=spf1 a:dead.test +all",
    ["redirect.test"] = "v=spf1 redirect=ip4.test", ["redirectnone.test"] = "v=spf1 redirect=nothing.test",
    ["redirectlate.test"] = "v=spf1 ip4:192.0.2.77 redirect=all.test",
      ["redirectall.test"] = "v=spf1 ?all redirect=all.test",
    ["loop.test"] = "v=spf1 include:loop.test -all", ["reloop.test"] = "v=spf1 redirect=reloop.test",
    ["ten.test"] = "v=spf1" .. (" a:a.test"):rep(10) .. " ?all",
    ["eleven.test"] = "v=spf1" .. (" a:a.test"):rep(11) .. " ?all",
    ["void2.test"] = "v=spf1 a:no1.test a:no2.test ?all",
      ["void3.test"] = "v=spf1 a:no1.test mx:no2.test exists:no3.test ?all",
    ["exp.test"] = "v=spf1 exp=why.test -all",
      ["why.test"] = "%{i} may not send for %{d}, says %{r} (%{c} %{s} %%%_%-)",
    ["expnone.test"] = "v=spf1 exp=nothing.test -all", ["expbad.test"] = "v=spf1 exp=badwhy.test -all",
    ["badwhy.test"] = "a %{x} macro", ["expinclude.test"] = "v=spf1 include:exp.test -all",
    ["expredirect.test"] = "v=spf1 exp=nothing.test redirect=exp.test",
    ["mod.test"] = "v=spf1 foo=bar%{d} +all", ["modbad.test"] = "v=spf1 foo=%{ +all",
    ["dot.test"] = "v=spf1 a:a.test. -all", ["toplabel.test"] = "v=spf1 a:a.123 -all",
    ["long.test"] = "v=spf1 exists:" .. LONG .. ("." .. LONG):rep(4) .. ".%{d} -all",
  },
  a = {
    ["a.test"] = { "192.0.2.1", "2001:db8::1" }, ["acidr.test"] = { "192.0.2.200" }, ["h1.mx.test"] = { "192.0.2.1" },
    ["h2.mx.test"] = { "198.51.100.7" }, ["1.2.0.192.ann.list.test"] = { "127.0.0.2" }, ["dead.test"] = "timeout",
    ["mail.ptr.test"] = { "192.0.2.1" }, ["fake.ptr.test"] = { "203.0.113.9" }, ["mximplicit.test"] = { "192.0.2.1" },
  },
  mx = {
    ["mx.test"] = { { host = "h1.mx.test", preference = 10 }, { host = "h2.mx.test", preference = 20 } },
    ["mxmany.test"] = { "h1.mx.test", "h1.mx.test", "h1.mx.test", "h1.mx.test", "h1.mx.test", "h1.mx.test",
      "h1.mx.test",
      "h1.mx.test", "h1.mx.test", "h1.mx.test", "h1.mx.test" },
    ["mximplicit.test"] = { { host = "mximplicit.test", preference = 0, implicit = true } },
  },
  ptr = { ["192.0.2.1"] = { "fake.ptr.test", "mail.ptr.test" }, ["203.0.113.8"] = { "mail.ptr.test" } },
}
for i = 1, 15 do
  ZONE.txt["chain" .. i .. ".test"] = ("v=spf1 include:chain%d.test -all"):format(i + 1)
end

local ROWS = {
  -- domain, address, result, mechanism
  { "all.test", "192.0.2.1", "fail", "-all" }, { "pass.test", "192.0.2.1", "pass", "+all" },
  { "soft.test", "192.0.2.1", "softfail" }, { "neutral.test", "192.0.2.1", "neutral" },
  { "empty.test", "192.0.2.1", "neutral" }, { "nothing.test", "192.0.2.1", "none" },
  { "version.test", "192.0.2.1", "none" }, { "two.test", "192.0.2.1", "permerror" },
  { "among.test", "192.0.2.1", "pass" }, { "dead.test", "192.0.2.1", "temperror" },
  { "upper.test", "192.0.2.1", "pass" }, { "upper.test", "192.0.2.2", "fail" },
  { "localhost", "192.0.2.1", "none" }, { "a..test", "192.0.2.1", "none" }, { ("x"):rep(64) .. ".test", "192.0.2.1",
  "none" },
  { "all.test.", "192.0.2.1", "fail" },
  { "ip4.test", "192.0.2.127", "pass", "ip4:192.0.2.0/25" }, { "ip4.test", "192.0.2.128", "fail" },
  { "ip4.test", "2001:db8::1", "fail" }, { "ip4zero.test", "203.0.113.1", "pass" }, { "ip4zero.test", "::1", "fail" },
  { "ip4host.test", "192.0.2.1", "pass" }, { "ip4host.test", "192.0.2.2", "fail" },
  { "ip6.test", "2001:db8:7fff::1", "pass" }, { "ip6.test", "2001:db8:8000::1", "fail" },
  { "ip6host.test", "2001:0DB8:0:0::0:1", "pass" }, { "ip6host.test", "192.0.2.1", "fail" },
  { "mapped.test", "::ffff:192.0.2.1", "pass" },
  { "a.test", "192.0.2.1", "pass" }, { "a.test", "192.0.2.2", "fail" }, { "a.test", "2001:db8::1", "pass" },
  { "acidr.test", "192.0.2.5", "pass" }, { "adomain.test", "192.0.2.1", "pass" }, { "dot.test", "192.0.2.1", "pass" },
  { "adual.test", "2001:db8::ffff", "pass" }, { "adual.test", "192.0.2.2", "fail" },
  { "a6.test", "2001:db8:7000::1", "pass" }, { "a6.test", "192.0.2.2", "fail" },
  { "mx.test", "198.51.100.7", "pass" }, { "mx.test", "198.51.100.8", "fail" },
  { "mxdomain.test", "198.51.100.8", "pass" }, { "mxmany.test", "192.0.2.9", "permerror" },
  { "mximplicit.test", "192.0.2.1", "fail" },
  { "ptr.test", "192.0.2.1", "pass" }, { "ptr.test", "203.0.113.8", "fail" }, { "ptr.test", "203.0.113.1", "fail" },
  { "ptrother.test", "192.0.2.1", "pass" },
  { "exists.test", "192.0.2.1", "pass" }, { "exists.test", "192.0.2.2", "fail" }, { "existsnone.test", "192.0.2.1",
  "fail" },
  { "include.test", "192.0.2.1", "pass", "include:ip4.test" }, { "include.test", "192.0.2.200", "fail", "-all" },
  { "includesoft.test", "192.0.2.1", "fail" }, { "includenone.test", "192.0.2.1", "permerror" },
  { "includebad.test", "192.0.2.1", "permerror" }, { "includedead.test", "192.0.2.1", "temperror" },
  { "adead.test", "192.0.2.1", "temperror" },
  { "redirect.test", "192.0.2.1", "pass" }, { "redirect.test", "192.0.2.200", "fail" },
  { "redirectnone.test", "192.0.2.1", "permerror" }, { "redirectlate.test", "192.0.2.77", "pass" },
  { "redirectlate.test", "192.0.2.1", "fail" }, { "redirectall.test", "192.0.2.1", "neutral" },
  { "loop.test", "192.0.2.1", "permerror" }, { "reloop.test", "192.0.2.1", "permerror" },
  { "chain1.test", "192.0.2.1", "permerror" },
  { "ten.test", "192.0.2.9", "neutral" }, { "eleven.test", "192.0.2.9", "permerror" },
  { "void2.test", "192.0.2.9", "neutral" }, { "void3.test", "192.0.2.9", "permerror" },
  { "mod.test", "192.0.2.1", "pass" }, { "modbad.test", "192.0.2.1", "permerror" },
  { "toplabel.test", "192.0.2.1", "permerror" }, { "long.test", "192.0.2.1", "fail" },
}

local function check(domain, ip, more)
  local options = { ip = ip, from = "ann@" .. domain, helo = "mail.helo.test", resolver = signing.keys(ZONE.txt) }
  local all = signing.resolver(ZONE)
  for _, name in ipairs { "txt", "mx", "addresses", "ptr" } do options.resolver[name] = all[name] end
  for name, value in pairs(more or {}) do options[name] = value end
  return spf.check(options)
end

describe("mail.spf.check", function()
  it("gives each zone's verdict", function()
    for _, row in ipairs(ROWS) do
      local result, why, mechanism = check(row[1], row[2])
      assert.equal(row[3], result, ("%s from %s: %s"):format(row[1], row[2], tostring(why)))
      if row[4] then assert.equal(row[4], mechanism) end
      if result:find "error" then assert.is_string(why) end
    end
  end)

  it("explains a failure in the domain's words", function()
    local _, words = check("exp.test", "192.0.2.1", { receiver = "mx.me.test" })
    assert.equal("192.0.2.1 may not send for exp.test, says mx.me.test (192.0.2.1 ann@exp.test % %20)", words)
    for _, domain in ipairs { "expnone.test", "expbad.test", "expinclude.test", "all.test" } do
      assert.is_nil((select(2, check(domain, "192.0.2.1"))), domain)
    end
    assert.matches("may not send for exp.test", (select(2, check("expredirect.test", "192.0.2.1"))))
  end)

  it("checks postmaster at HELO where there is no sender", function()
    local result, _, _, domain = spf.check { ip = "192.0.2.1", helo = "all.test", from = "",
      resolver = signing.keys(ZONE.txt) }
    assert.equal("fail", result)
    assert.equal("all.test", domain)
    assert.equal("none", (spf.check { ip = "192.0.2.1", helo = "[192.0.2.1]", resolver = signing.keys {} }))
    assert.equal("none", (spf.check { ip = "192.0.2.1", resolver = signing.keys {} }))
  end)

  it("asks DNS a bounded number of times", function()
    local hosts = {}
    for i = 1, 10 do hosts[i] = "h" .. i .. ".test" end
    local zone = { txt = { ["x.test"] = "v=spf1" .. (" mx"):rep(30) .. " -all" }, mx = { ["x.test"] = hosts }, a = {} }
    for _, host in ipairs(hosts) do zone.a[host] = { "203.0.113.1" } end
    local all, counter = signing.resolver(zone)
    local result = spf.check { ip = "192.0.2.1", from = "a@x.test",
      resolver = { txt = all.txt, mx = all.mx, addresses = all.addresses, ptr = all.ptr } }
    assert.equal("permerror", result)
    assert.is_true(counter.asked <= 1 + 10 * 11, counter.asked)
  end)

  it("takes an answer as mail.dns gives it", function()
    local missing = function() return nil, { kind = "dns", missing = "name" } end
    assert.equal("none", (spf.check { ip = "192.0.2.1", from = "a@x.test", resolver = { txt = missing } }))
    local dead = function() return nil, { kind = "dns", temporary = true, message = "timeout" } end
    assert.equal("temperror", (spf.check { ip = "192.0.2.1", from = "a@x.test", resolver = { txt = dead } }))
  end)

  it("raises for an address that is none", function()
    for _, bad in ipairs { "", "192.0.2", "192.0.2.256", "1.2.3.4.5", "::1::", ":::", "12345::", "1:2:3:4:5:6:7:8:9",
      "x" } do
      local ok, why = pcall(function() spf.check { ip = bad, from = "a@b.test" } end)
      assert.is_false(ok, bad)
      assert.matches("spf_spec%.lua:%d+: mail%.spf%.check: option 'ip'", why)
    end
  end)
end)

describe("SPF macros", function()
  local macro = require "mail.spf.macro"

  -- RFC 7208 §7.4
  local VALUES = { s = "strong-bad@email.example.com", l = "strong-bad", o = "email.example.com",
    d = "email.example.com", i = "192.0.2.3", v = "in-addr", h = "mx.example.org", p = "mx.example.org" }

  it("expands as in the examples of the RFC", function()
    for text, want in pairs {
      ["%{s}"] = "strong-bad@email.example.com", ["%{o}"] = "email.example.com", ["%{d}"] = "email.example.com",
      ["%{d4}"] = "email.example.com", ["%{d3}"] = "email.example.com", ["%{d2}"] = "example.com", ["%{d1}"] = "com",
      ["%{dr}"] = "com.example.email", ["%{d2r}"] = "example.email", ["%{l}"] = "strong-bad",
      ["%{l-}"] = "strong.bad", ["%{lr}"] = "strong-bad", ["%{lr-}"] = "bad.strong", ["%{l1r-}"] = "strong",
      ["%{ir}.%{v}._spf.%{d2}"] = "3.2.0.192.in-addr._spf.example.com",
      ["%{lr-}.lp._spf.%{d2}"] = "bad.strong.lp._spf.example.com",
      ["%{d2}.trusted-domains.example.net"] = "example.com.trusted-domains.example.net",
      ["%{S}"] = "strong-bad%40email.example.com", ["%%%_%-x"] = "% %20x", [""] = "",
    } do
      assert.is_nil(macro.check(text))
      assert.equal(want, macro.expand(text, function(letter) return VALUES[letter] end), text)
    end
  end)

  it("cuts a name that is too long at its left", function()
    local name = macro.domain(("%{d}."):rep(20) .. "x.test", function() return "email.example.com" end)
    assert.is_true(#name <= 253)
    assert.matches("^%a+%..*%.email%.example%.com%.x%.test$", name)
  end)

  it("refuses what is no macro", function()
    for _, text in ipairs { "%", "%{", "%{x}", "%{d0}", "%{d}%", "%(d)", "%{d!}", "%{dR2}", "%{}", "%{c}", "%{r}",
      "%{t}" } do
      assert.is_string(macro.check(text), text)
    end
  end)
end)

describe("SPF records", function()
  it("are read whole before any of it counts", function()
    for _, text in ipairs { "a:", "mx:", "ip4", "ip4:", "ip4:1.2.3", "ip4:1.2.3.4/33", "ip4:1.2.3.4/", "ip4:1.2.3.4/01",
      "ip6:::1/129", "ip6:1.2.3.4", "ip4:::1", "all:x", "all/8", "include", "include:", "exists", "a/33", "a//129",
        "a/x",
      "a/24/64", "ptr/8", "unknown", "-", "+-all", "redirect=", "redirect=x.test redirect=y.test",
        "exp=x.test exp=y.test",
      "a:x.test\1", "a=b=%{z}", "include:x", "=x", "include:%{d" } do
      local list, why = record.parse("v=spf1 " .. text .. " +all")
      assert.is_nil(list, text)
      assert.is_string(why)
    end
    for _, text in ipairs { "all", "-ALL", "a/24", "a//64", "a/24//64", "a:x.test/0", "mx:%{d}/8", "ptr", "ptr:x.test",
      "exists:%{i}.x.test", "exists:%{l}", "ip6:::", "ip6:::/0", "ip6:1:2:3:4:5:6:7:8", "ip6:::ffff:1.2.3.4",
      "redirect=_spf.%{d}", "x-y.z=1", "a:_under.x.test", "  all   " } do
      assert.is_table((record.parse("v=spf1 " .. text)), text)
    end
  end)
end)
