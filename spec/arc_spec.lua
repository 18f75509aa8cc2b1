-- ARC chains as a user of mail.arc sees them: made, carried on, broken.

local arc = require "mail.arc"
local dkim = require "mail.dkim"
local signing = require "spec.support.signing"

local NOW = 1800000000
local KEYS = signing.keys {
  ["ed._domainkey.one.example"] = signing.ED_RECORD,
  ["ed._domainkey.two.example"] = signing.ED_RECORD,
  ["rsa._domainkey.three.example"] = signing.RSA_RECORD,
}
local MESSAGE = "From: Ann <ann@example.org>\r\nTo: list@example.net\r\nSubject: hello\r\n\r\nHello\r\n"

local function seal(message, domain, more)
  local options = { domain = domain, selector = "ed", key = signing.SEED, authserv_id = "mx." .. domain, now = NOW,
    resolver = KEYS }
  for name, value in pairs(more or {}) do options[name] = value end
  return assert(arc.seal(message, options)) .. message
end

local function verify(message, keys)
  return assert(arc.verify(message, { resolver = keys or KEYS, now = NOW }))
end

local function change(text, from, to)
  local a, b = text:find(from, 1, true)
  assert(a, from)
  return text:sub(1, a - 1) .. to .. text:sub(b + 1)
end

local one = seal(MESSAGE, "one.example", { spf = { result = "pass", from = "ann@example.org" } })
local two = seal("Received: from one\r\n" .. one, "two.example")
local three = seal(two, "three.example", { selector = "rsa", key = signing.RSA, minimum_bits = 1024 })

describe("mail.arc", function()
  it("finds no chain where there is none", function()
    assert.same({ result = "none", instance = 0, sets = {} }, verify(MESSAGE))
  end)

  it("seals a chain that verifies at each station", function()
    for i, message in ipairs { one, two, three } do
      local found = verify(message)
      assert.equal("pass", found.result, found.reason)
      assert.equal(i, found.instance)
      assert.equal(0, found.oldest_pass)
      assert.equal(i, #found.sets)
      assert.equal("none", found.sets[1].cv)
      assert.equal("one.example", found.sets[1].domain)
      assert.equal("mx.one.example", found.sets[1].authentication_results.authserv_id)
      assert.equal("ann@example.org", found.sets[1].authentication_results.results[1].properties["smtp.mailfrom"])
    end
    assert.equal("pass", verify(three).sets[3].cv)
  end)

  it("puts each field in lines that pass everywhere", function()
    for line in three:gmatch "[^\r\n]+" do assert.is_true(#line <= 78, line) end
    assert.matches("^ARC%-Seal: i=3; .-\r\nARC%-Message%-Signature: i=3; .-\r\nARC%-Authentication%-Results: i=3; ",
      three)
  end)

  it("keeps the chain of a message that a list changed, and says from where on it fits", function()
    local cv = verify(one).result
    local changed = change(one, "Subject: hello", "Subject: [list] hello") .. "-- \r\nfooter\r\n"
    local passed_on = seal(changed, "two.example", { cv = cv })
    local found = verify(passed_on)
    assert.equal("pass", found.result, found.reason)
    assert.equal(2, found.oldest_pass)
    assert.equal("fail", found.sets[1].signature.result)
  end)

  it("fails for every break", function()
    local rows = {
      { "Hello\r\n", "Hallo\r\n", "message signature of instance 3: the body" },
      { "Subject: hello", "Subject: hallo", "message signature of instance 3: the signature" },
      { "mx.one.example", "mx.evil.example", "seal of instance 3" },
      { "spf=pass", "spf=fail", "seal of instance 3" },
      { "i=2; cv=pass", "i=2; cv=none", "says cv=none" },
      { "i=1; cv=none", "i=1; cv=pass", "says cv=pass" },
      { "i=2; cv=pass", "i=2", "says cv=nil" },
      { "i=2; cv=pass", "i=2; h=from; cv=pass", "names fields" },
      { "i=2; cv=pass", "i=51; cv=pass", "without an instance" },
      { "i=2; cv=pass", "i=0; cv=pass", "without an instance" },
      { "i=2; cv=pass", "cv=pass", "without an instance" },
      { "i=2; cv=pass", "i=3; cv=pass", "two ARC%-Seal" },
      { "i=3; cv=pass", "i=3; cv=fail", "marked as broken" },
      { "ARC-Seal: i=2", "X-ARC-Seal: i=2", "no ARC%-Seal" },
      { "ARC-Message-Signature: i=1", "X-Sig: i=1", "no ARC%-Message" },
      { "ARC-Authentication-Results: i=3", "X-AR: i=3", "no ARC%-Auth" },
      { "i=3; cv=pass; a=rsa-sha256", "i=3; cv=pass; a=rsa-sha1", "RFC 8301" },
      { "h=from:", "h=arc-seal:from:", "fields of ARC" },
      { "To: list", "stray line\r\nTo: list", "no fields" },
    }
    for _, row in ipairs(rows) do
      local found = verify(change(three, row[1], row[2]))
      assert.equal("fail", found.result, row[2])
      assert.matches(row[3], found.reason)
    end
  end)

  it("holds DNS's failures for permanent", function()
    local found = verify(three, signing.keys { ["rsa._domainkey.three.example"] = "timeout" })
    assert.equal("fail", found.result)
    assert.matches("no answer in time", found.reason)
    assert.equal("fail", verify(three, signing.keys {}).result)
  end)

  it("marks a broken chain once, with a seal over its own set alone, and adds nothing to it", function()
    local broken = change(two, "Hello\r\n", "Hallo\r\n")
    local marked = seal(broken, "three.example", { selector = "rsa", key = signing.RSA, minimum_bits = 1024 })
    assert.matches("^ARC%-Seal: i=3; cv=fail;", marked)
    assert.matches("marked as broken", verify(marked).reason)
    local field, err = arc.seal(marked, { domain = "one.example", selector = "ed", key = signing.SEED,
      authserv_id = "x", resolver = KEYS })
    assert.is_nil(field)
    assert.equal("invalid", err.kind)
    -- the seal of the marking set stands by itself
    local core = require "mail.core"
    local head = core.sign_head()
    head:add(marked)
    local function field_of(name) return head:canonical(head:find(name), "relaxed") .. "\r\n" end
    local _, value, raw = head:field(head:find "ARC-Seal")
    local text = field_of "ARC-Authentication-Results" .. field_of "ARC-Message-Signature"
      .. core.sign_field(raw, "relaxed")
    local key = assert(dkim.key(signing.RSA))
    assert.is_true(key:verify(core.sha256(text), core.unbase64(core.tags(value).b)))
  end)

  it("stops at 50 sets", function()
    local sets = {}
    for i = 1, 50 do
      sets[i] = ("ARC-Seal: i=%d; cv=pass; a=x; b=; d=x; s=x\r\nARC-Message-Signature: i=%d; a=x\r\n"):format(i, i)
        .. ("ARC-Authentication-Results: i=%d; x; none\r\n"):format(i)
    end
    local field, err = arc.seal(table.concat(sets) .. MESSAGE, { domain = "one.example", selector = "ed",
      key = signing.SEED, authserv_id = "x", resolver = KEYS })
    assert.is_nil(field)
    assert.matches("50 sets", err.message)
  end)

  it("reads the example of RFC 8617 Appendix B", function()
    local found = verify(signing.data "rfc8617.eml", signing.keys {})
    assert.equal("fail", found.result) -- its keys have 512 bits, and are not to be had
    assert.equal(3, #found.sets)
    assert.equal("clochette.example.org", found.sets[3].domain)
    assert.equal("20120806", found.sets[2].selector)
    assert.equal("none", found.sets[1].cv)
    local results = found.sets[1].authentication_results
    assert.equal("lists.example.org", results.authserv_id)
    assert.equal("pass", results.results[1].result)
    assert.equal("jqd@d1.example", results.results[1].properties["smtp.mfrom"])
    assert.equal("arc", found.sets[3].authentication_results.results[4].method)
  end)

  it("raises for options that cannot be right", function()
    for _, bad in ipairs { { cv = "maybe" }, { headers = { "From", "ARC-Seal" } }, { domain = "a b" }, { expire = 1 },
      { headers = { "From", "Authentication-Results" } } } do
      local options = { domain = "one.example", selector = "ed", key = signing.SEED, authserv_id = "x" }
      for name, value in pairs(bad) do options[name] = value end
      local ok, why = pcall(function() arc.seal(MESSAGE, options) end)
      assert.is_false(ok)
      assert.matches("arc_spec%.lua:%d+: mail%.arc%.seal: ", why)
    end
  end)
end)
