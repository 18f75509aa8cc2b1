-- DMARC, organizational domains, and Authentication-Results: tables of what goes in and what comes out.

local authentication_results = require "mail.authentication_results"
local dmarc = require "mail.dmarc"
local signing = require "spec.support.signing"
local suffix = require "mail.sign.suffix"

local LIST = os.tmpname()

local function write_list()
  local file = assert(io.open(LIST, "w"))
  file:write("// a list for tests\n\ncom\nuk\nco.uk\n*.ck\n!www.ck\nb\195\188cher.test // note\n*.wild.co.uk\n")
  file:close()
end

describe("mail.dmarc", function()
  setup(write_list)
  teardown(function() os.remove(LIST) end)

  it("finds organizational domains by the rules of a list", function()
    for domain, want in pairs {
      ["example.com"] = "example.com", ["a.b.example.com"] = "example.com", ["com"] = "com",
      ["mail.example.co.uk"] = "example.co.uk", ["example.uk"] = "example.uk", ["co.uk"] = "co.uk",
      ["a.b.c.ck"] = "b.c.ck", ["c.ck"] = "c.ck", ["www.ck"] = "www.ck", ["x.www.ck"] = "www.ck",
      ["a.b.unknown"] = "b.unknown", ["a.x.xn--bcher-kva.test"] = "x.xn--bcher-kva.test",
        ["A.Example.COM."] = "example.com",
      ["d.c.wild.co.uk"] = "d.c.wild.co.uk", ["e.d.c.wild.co.uk"] = "d.c.wild.co.uk",
    } do
      assert.equal(want, suffix.organization(domain, LIST), domain)
    end
    assert.equal("b.example.com", suffix.organization("a.b.example.com", function() return "example.com" end))
    assert.is_nil(suffix.organization("a.com", "/nonexistent/list"))
    assert.equal("example.com", suffix.organization("a.example.com")) -- the system's list, or the few built in
    assert.equal("example.co.uk", suffix.organization("a.example.co.uk"))
  end)

  it("reads records", function()
    local r = assert(dmarc.parse("v=DMARC1; p=reject; sp=Quarantine; adkim=s; pct=20; "
      .. "rua=mailto:a@b, mailto:c@d!10m; fo=1"))
    assert.equal("reject", r.policy)
    assert.equal("quarantine", r.subdomain_policy)
    assert.equal("strict", r.dkim)
    assert.equal("relaxed", r.spf)
    assert.equal(20, r.percent)
    assert.same({ "mailto:a@b", "mailto:c@d!10m" }, r.reports)
    local ok, why = pcall(function() local record = dmarc.parse(nil); return record end)
    assert.is_false(ok)
    assert.matches("dmarc_spec%.lua:%d+: mail%.dmarc%.parse", why)
    assert.equal("none", dmarc.parse("v=DMARC1; p=bogus; rua=mailto:a@b").policy)
    for _, bad in ipairs { "", "v=DMARC2; p=none", "p=none; v=DMARC1", "v=DMARC1", "v=DMARC1; p=bogus",
      "v=DMARC1 p=none" } do
      local record, err = dmarc.parse(bad)
      assert.is_nil(record, bad)
      assert.equal("invalid", err.kind)
    end
  end)

  local ZONE = {
    ["_dmarc.example.com"] = "v=DMARC1; p=reject; sp=quarantine",
      ["_dmarc.strict.com"] = "v=DMARC1; p=reject; adkim=s; aspf=s",
    ["_dmarc.part.com"] = "v=DMARC1; p=reject; pct=30", ["_dmarc.own.example.com"] = "v=DMARC1; p=none",
    ["_dmarc.two.com"] = { "v=DMARC1; p=none", "v=DMARC1; p=reject" }, ["_dmarc.mixed.com"] = { "x",
      "v=DMARC1; p=reject" },
    ["_dmarc.dead.com"] = "timeout", ["_dmarc.bad.com"] = "v=DMARC1; p=oops",
  }
  local function dkim(domain, result) return { { result = result or "pass", domain = domain } } end
  local function spf(domain, result) return { result = result or "pass", domain = domain } end

  it("judges by alignment", function()
    local rows = { -- from, dkim, spf, result, disposition
      { "ann@example.com", dkim "example.com", nil, "pass", "none" },
      { "ann@example.com", dkim "mail.example.com", nil, "pass", "none" },
      { "ann@example.com", nil, spf "bounce.example.com", "pass", "none" },
      { "Ann <ann@Example.COM>", dkim "EXAMPLE.com", nil, "pass", "none" },
      { "example.com", dkim "evil.com", spf "evil.com", "fail", "reject" },
      { "ann@example.com", dkim "notexample.com", nil, "fail", "reject" },
      { "ann@example.com", dkim "com", spf "com", "fail", "reject" },
      { "ann@example.com", dkim("example.com", "fail"), spf("example.com", "softfail"), "fail", "reject" },
      { "ann@example.com", {}, nil, "fail", "reject" },
      { "ann@sub.example.com", nil, nil, "fail", "quarantine" },
      { "ann@sub.example.com", dkim "other.example.com", nil, "pass", "none" },
      { "ann@own.example.com", nil, nil, "fail", "none" },
      { "ann@strict.com", dkim "mail.strict.com", spf "mail.strict.com", "fail", "reject" },
      { "ann@strict.com", dkim "strict.com", nil, "pass", "none" },
      { "ann@nothing.com", dkim "nothing.com", nil, "none", "none" },
      { "ann@two.com", nil, nil, "none", "none" },
      { "ann@mixed.com", nil, nil, "fail", "reject" },
      { "ann@bad.com", nil, nil, "none", "none" },
      { "ann@dead.com", dkim "dead.com", nil, "temperror", "none" },
      { "ann@example.com", dkim("example.com", "temperror"), nil, "temperror", "none" },
      { "ann@example.com", nil, spf("example.com", "temperror"), "temperror", "none" },
      { "a@b@", nil, nil, "permerror", "none" },
    }
    for i, row in ipairs(rows) do
      local out = dmarc.evaluate { from = row[1], dkim = row[2], spf = row[3], resolver = signing.keys(ZONE),
        public_suffix = LIST }
      assert.equal(row[4], out.result, ("row %d %s"):format(i, row[1]))
      assert.equal(row[5], out.disposition, ("row %d %s"):format(i, row[1]))
    end
  end)

  it("spares the share of mail that pct leaves out", function()
    local function at(sample)
      return dmarc.evaluate { from = "a@part.com", resolver = signing.keys(ZONE), public_suffix = LIST,
        sample = sample }
    end
    assert.equal("reject", at(29).disposition)
    assert.equal("quarantine", at(30).disposition)
    assert.equal("reject", at(99).policy)
  end)
end)

describe("mail.authentication_results", function()
  -- RFC 8601 Appendix B, and what others write
  it("reads fields", function()
    local r = assert(authentication_results.parse " example.org 1; none")
    assert.same({ authserv_id = "example.org", version = 1, results = {} }, r)
    r = assert(authentication_results.parse(" example.com;\r\n  auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n"
      .. "  spf=pass smtp.mailfrom=example.net"))
    assert.equal("sender@example.net", r.results[1].properties["smtp.auth"])
    assert.same({ type = "smtp", name = "mailfrom", value = "example.net" }, r.results[2].properties[1])
    r = assert(authentication_results.parse('example.com; dkim=fail reason="bad \\"sig\\"" header.i=@x.test '
      .. 'header.b="a/b+c=";'))
    assert.equal('bad "sig"', r.results[1].reason)
    assert.equal("@x.test", r.results[1].properties["header.i"])
    assert.equal("a/b+c=", r.results[1].properties["header.b"])
    r = assert(authentication_results.parse("foo.example.net (foobar) 1 (baz); dkim (Because I like it) / 1 (One yay) "
      .. "= (wait for it) fail policy (A dot can go here) . (like that) expired (this surprised me) "
      .. "= (as I wasn't expecting it) 1362471462"))
    assert.equal("foo.example.net", r.authserv_id)
    assert.equal(1, r.version)
    assert.equal("dkim", r.results[1].method)
    assert.equal(1, r.results[1].version)
    assert.equal("1362471462", r.results[1].properties["policy.expired"])
    assert.equal(3, assert(authentication_results.parse "i=3; mx.test; arc=pass").instance)
    assert.equal("a b@x.test", authentication_results.parse('m; spf=pass smtp.mailfrom="a b"@x.test')
      .results[1].properties["smtp.mailfrom"])
  end)

  it("refuses what is none", function()
    for _, bad in ipairs { "", ";", "x; dkim", "x; dkim=", "x; =pass", "x; dkim=pass header", "x; dkim=pass header.d",
      "x; dkim=pass header.d=", "x; dkim=pass (open",
        'x; dkim=pass reason="open', "x y; none", "x; dkim=pass; ; spf=pass" } do
      local r, err = authentication_results.parse(bad)
      assert.is_nil(r, bad)
      assert.equal("invalid", err.kind)
    end
    for _, long in ipairs { "x; a=b" .. (" ("):rep(400000), "x; " .. ("a=b;"):rep(2000), ("x"):rep(2^21) } do
      assert.is_nil((authentication_results.parse(long)))
    end
  end)

  it("writes what it reads again", function()
    local text = assert(authentication_results.format { authserv_id = "mx.example.org",
      dkim = { { result = "fail", reason = 'the "body"', domain = "x.test", selector = "s", algorithm = "rsa-sha256",
        identity = "@x.test" } },
      spf = { result = "pass", from = "ann@x.test" }, dmarc = { result = "fail", domain = "x.test" },
      arc = { result = "none" }, results = { { method = "auth", result = "pass", properties = {
        { type = "smtp", name = "auth", value = "ann b" } } } } })
    for line in text:gmatch "[^\r\n]+" do assert.is_true(#line < 120) end
    local r = assert(authentication_results.parse(text))
    local again = assert(authentication_results.format(r))
    assert.equal(text, again)
    assert.equal("ann b", r.results[1].properties["smtp.auth"])
    assert.equal('the "body"', r.results[2].reason)
    assert.equal("mx; none" , (authentication_results.format { authserv_id = "mx" }:gsub("%s+", " ")))
    assert.equal("i=2; mx; dkim=none", (authentication_results.format { authserv_id = "mx", instance = 2, dkim = {} }
      :gsub("%s+", " ")))
  end)

  it("lets no value end a line", function()
    for _, bad in ipairs { { authserv_id = "mx\r\nBcc: x" }, { authserv_id = "mx", spf = { result = "pass",
      from = "a\nb" } },
      { authserv_id = "mx", results = { { method = "x y", result = "pass" } } },
      { authserv_id = "mx", results = { { method = "x", result = "pass", reason = "a\0b" } } } } do
      local text, err = authentication_results.format(bad)
      assert.is_nil(text)
      assert.equal("invalid", err.kind)
    end
  end)
end)
