-- DKIM as a user of mail.dkim sees it: the examples of the RFCs, what tampering gives, what is refused.

local dkim = require "mail.dkim"
local Err = require "mail.err"
local signing = require "spec.support.signing"

local NOW = 1800000000

local KEYS = {
  ["test._domainkey.example.org"] = signing.RSA_RECORD,
  ["ed._domainkey.example.org"] = signing.ED_RECORD,
}

local function verify(message, keys, more)
  local options = { resolver = signing.keys(keys or KEYS), now = NOW }
  for name, value in pairs(more or {}) do options[name] = value end
  return assert(dkim.verify(message, options))
end

local MESSAGE = table.concat({
  "Received: from a by b; Thu, 19 Nov 2026 10:00:00 +0000", "From: Ann <ann@example.org>", "To: bob@example.net",
  "Subject:  two   blanks", "Date: Thu, 19 Nov 2026 10:00:00 +0000", "Message-ID: <1@example.org>",
  "Content-Type: text/plain;", "\tcharset=utf-8", "", "Hello  Bob,", "", "this is it. \t", "", "",
}, "\r\n")

local function sign(options, message)
  local all = { domain = "example.org", selector = "test", key = signing.RSA, now = NOW, minimum_bits = 1024 }
  for name, value in pairs(options or {}) do all[name] = value end
  if all.selector == "ed" then all.key = signing.SEED end
  return assert(dkim.sign(message or MESSAGE, all))
end

-- A plain string.gsub of the first match, which must be there.
local function change(text, from, to)
  local a, b = text:find(from, 1, true)
  assert(a, from)
  return text:sub(1, a - 1) .. to .. text:sub(b + 1)
end

describe("mail.dkim.verify", function()
  it("passes both signatures of RFC 8463 Appendix A", function()
    local found = verify(signing.data "rfc8463.eml", {
      ["brisbane._domainkey.football.example.com"] = signing.ED_RECORD,
      ["test._domainkey.football.example.com"] = signing.RSA_RECORD,
    })
    assert.equal(2, #found)
    assert.equal("pass", found[1].result)
    assert.equal("pass", found[2].result)
    assert.equal("ed25519-sha256", found[1].algorithm)
    assert.equal("football.example.com", found[2].domain)
    assert.equal("@football.example.com", found[2].identity)
    assert.equal(1528637909, found[2].signed)
    assert.same({ "from", "to", "subject", "date", "message-id", "from", "subject", "date" }, found[1].headers)
  end)

  -- The text as printed has lost white space: with folds of six spaces and one in "game. Are" it passes.
  it("passes the signature of RFC 6376 Appendix A, its white space put back", function()
    local found = verify(signing.data "rfc6376.eml", { ["brisbane._domainkey.example.com"] =
      "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3"
      .. "b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPN"
      .. "UYckcQ2QIDAQAB" })
    assert.equal("pass", found[1].result)
    assert.equal("simple/simple", found[1].canonicalization)
    assert.equal("joe@football.example.com", found[1].identity)
  end)

  it("gives an empty array where nothing is signed", function()
    assert.same({}, verify(MESSAGE))
    assert.same({}, verify "")
  end)

  it("reads every form of a message, in pieces of any size", function()
    local signed = sign() .. MESSAGE
    local file = io.tmpfile()
    file:write(signed)
    file:seek("set", 0)
    local forms = {
      signed, file, (signed:gsub("\r\n", "\n")),
      { raw = function() return signed end },
      { source = function()
        local at = 0
        return function()
          at = at + 1
          return at <= #signed and signed:sub(at, at) or nil
        end
      end },
    }
    for i, form in ipairs(forms) do
      local found = verify(form)
      assert.equal("pass", found[1] and found[1].result, tostring(i))
    end
  end)

  it("says what tampering does", function()
    local both = { { "relaxed/relaxed", "relaxed" }, { "simple/simple", "simple" } }
    local rows = { -- what, from, to, result when relaxed, result when simple
      { "a word of the body", "this is it", "this is not it", "fail", "fail" },
      { "blanks in a line of the body", "Hello  Bob", "Hello Bob", "pass", "fail" },
      { "blanks at the end of a line", "it. \t", "it.", "pass", "fail" },
      { "blanks where none were", "Hello  Bob", "Hel lo Bob", "fail", "fail" },
      { "empty lines at the end", "it. \t\r\n", "it. \t\r\n\r\n\r\n", "pass", "pass" },
      { "an empty line in the middle", "Bob,\r\n\r\n", "Bob,\r\n\r\n\r\n", "fail", "fail" },
      { "text behind the end", "it. \t\r\n", "it. \t\r\n\r\nmore\r\n", "fail", "fail" },
      { "blanks in a field", "two   blanks", "two blanks", "pass", "fail" },
      { "a fold in a field", "two   blanks", "two\r\n\tblanks", "pass", "fail" },
      { "the case of a name", "Subject:", "SUBJECT:", "pass", "fail" },
      { "a word of a field", "two   blanks", "three blanks", "fail", "fail" },
      { "the order of fields", "Subject:  two   blanks\r\nDate: Thu, 19 Nov 2026 10:00:00 +0000\r\n",
        "Date: Thu, 19 Nov 2026 10:00:00 +0000\r\nSubject:  two   blanks\r\n", "pass", "pass" },
      { "a field nobody signed", "Received: from a", "Received: from x", "pass", "pass" },
      { "a second From above", "From: Ann", "From: eve@evil.example\r\nFrom: Ann", "fail", "fail" },
      { "a second Subject below", "Date:", "Subject: buy\r\nDate:", "fail", "fail" },
      { "an added Reply-To", "To: bob", "Reply-To: eve@evil.example\r\nTo: bob", "fail", "fail" },
      { "a second Content-Type", "Content-Type:", "Content-Type: text/html\r\nContent-Type:", "fail", "fail" },
      { "a field gone", "Message-ID: <1@example.org>\r\n", "", "fail", "fail" },
      { "a field cut in two by a bare CR", "Subject:  two", "Subject: \rX: two", "fail", "fail" },
      { "a line that is no field", "Date:", "Hello\r\nDate:", "permerror", "permerror" },
      { "a bare CR in the body", "Hello  Bob", "Hello\r  Bob", "fail", "fail" },
    }
    for _, how in ipairs(both) do
      local signed = sign { canonicalization = how[1] } .. MESSAGE
      for _, row in ipairs(rows) do
        local found = verify(change(signed, row[2], row[3]))
        assert.equal(how[2] == "relaxed" and row[4] or row[5], found[1].result, how[1] .. ": " .. row[1])
        assert.equal(found[1].result ~= "pass", found[1].reason ~= nil)
      end
    end
  end)

  it("refuses a second From that a signature without oversigning lets in", function()
    local signed = sign { oversign = false } .. MESSAGE
    local found = verify(change(signed, "From: Ann", "From: eve@evil.example\r\nFrom: Ann"))
    assert.equal("policy", found[1].result)
    assert.matches("of 2 from fields 1 are signed", found[1].reason)
    assert.equal("pass", verify(change(signed, "To: bob", "Reply-To: x@example.net\r\nTo: bob"))[1].result)
  end)

  it("says what is wrong with a signature's tags", function()
    local signed = sign { expire = 100, identity = "ann@example.org" } .. MESSAGE
    local rows = {
      { "v=1", "v=2", "permerror", "version" },
      { " v=1;", "", "permerror", "v= is missing" },
      { "rsa-sha256", "rsa-sha1", "permerror", "RFC 8301" },
      { "rsa-sha256", "rsa-sha3", "neutral", "algorithm" },
      { "relaxed/relaxed", "relaxed/strict", "neutral", "canonicalization" },
      { "h=from:from:", "h=", "permerror", "From is not signed" },
      { "i=ann@example.org", "i=ann@example.net", "permerror", "signing domain" },
      { "i=ann@example.org", "i=ann@evilexample.org", "permerror", "signing domain" },
      { "d=example.org;", "", "permerror", "d= is missing" },
      { "s=test", "s=te st", "permerror", "domain name" },
      { "s=test", "s=", "permerror", "domain name" },
      { "bh=", "bh=x", "permerror", "digest" },
      { "bh=", "zh=", "permerror", "bh= is missing" },
      { "t=1800000000", "t=1800001000", "permerror", "x= is not behind t=" },
      { "x=1800000100", "x=soon", "permerror", "number" },
      { "v=1;", "v=1; v=1;", "permerror", "twice" },
      { "v=1;", "v=1; q=dns/mx;", "neutral", "dns/txt" },
      { "v=1;", "v=1; q=x : dns/txt;", "fail", "does not fit" },
      { "v=1;", "v=1; l=99999;", "permerror", "longer than the body" },
    }
    for _, row in ipairs(rows) do
      local found = verify(change(signed, row[1], row[2]))
      assert.equal(row[3], found[1].result, row[2])
      assert.matches(row[4], found[1].reason)
    end
  end)

  it("takes time from the caller", function()
    local signed = sign { expire = 100 } .. MESSAGE
    assert.equal("pass", verify(signed, KEYS, { now = NOW + 400 })[1].result)
    assert.matches("expired", verify(signed, KEYS, { now = NOW + 401 })[1].reason)
    assert.matches("expired", verify(signed, KEYS, { now = NOW + 101, skew = 0 })[1].reason)
    assert.equal("pass", verify(signed, KEYS, { now = NOW - 300 })[1].result)
    assert.matches("future", verify(signed, KEYS, { now = NOW - 301 })[1].reason)
  end)

  it("says what is wrong with a key record", function()
    local signed = sign { identity = "ann@sub.example.org" } .. MESSAGE
    local p = "p=" .. signing.RSA_PUBLIC
    local rows = {
      { "v=DKIM1; " .. p, "pass" },
      { p, "pass" },
      { p .. ";", "pass" },
      { "v=DKIM1; k=rsa; h=sha1:sha256; s=email:tlsrpt; t=y; n=note; " .. p, "pass" },
      { "v=DKIM1; x=unknown; " .. p, "pass" },
      { { "other text", "v=DKIM1; " .. p }, "pass" },
      { "v=DKIM1; p=", "permerror", "revoked" },
      { "v=DKIM1; t=s; " .. p, "permerror", "below d=" },
      { "v=DKIM1; h=sha1; " .. p, "permerror", "SHA%-256" },
      { "v=DKIM1; s=tlsrpt; " .. p, "permerror", "not for mail" },
      { p .. "; v=DKIM1", "permerror", "version" },
      { "v=DKIM2; " .. p, "permerror", "version" },
      { "v=DKIM1; k=rsa", "permerror", "without a key" },
      { "v=DKIM1; k=dsa; " .. p, "permerror", "kind" },
      { signing.ED_RECORD, "permerror", "kind" },
      { "v=DKIM1; p=AAAA", "permerror", "no public key" },
      { "v=DKIM1; p=!", "permerror", "base64" },
      { nil, "permerror", "no key" },
      { {}, "permerror", "no key" },
      { "timeout", "temperror", "no answer in time" },
    }
    for i = 1, 20 do
      local row = rows[i]
      local found = verify(signed, { ["test._domainkey.example.org"] = row[1] })
      assert.equal(row[2], found[1].result, ("row %d: %s"):format(i, tostring(found[1].reason)))
      if row[3] then assert.matches(row[3], found[1].reason) end
    end
    assert.is_true(verify(signed, { ["test._domainkey.example.org"] = "t=y; " .. p })[1].testing)
  end)

  it("believes no key that is too short, and reads none that is too long", function()
    local signed = sign() .. MESSAGE
    assert.matches("only 1024 bits", verify(signed, KEYS, { minimum_bits = 2048 })[1].reason)
    -- 512 bits and 16384 bits, the one as SubjectPublicKeyInfo, the other as RSAPublicKey
    local short = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKn4QbXpMbRnaw8hxoqfIcYjmNhBC3vj6r7qnAxHqTjRNr1Ld6hVnbW4e0tSsc0b"
      .. "i4M7mD+tJkFQ4BNRmQbIDzsCAwEAAQ=="
    local found = verify(signed, { ["test._domainkey.example.org"] = "p=" .. short }, { minimum_bits = 512 })
    assert.equal("permerror", found[1].result)
    assert.matches("only 512 bits", found[1].reason)
    local core = require "mail.core"
    local long = "\48\130\8\10\2\130\8\1\0" .. ("\255"):rep(2048) .. "\2\3\1\0\1"
    found = verify(signed, { ["test._domainkey.example.org"] = "p=" .. core.base64(long) })
    assert.equal("permerror", found[1].result)
    assert.matches("more than 8192 bits", found[1].reason)
  end)

  it("refuses l= unless it is allowed", function()
    -- made by another program: l=11 signs "Hello\r\nBob\r\n"; what stands behind it is the attacker's
    local core = require "mail.core"
    local signature = require "mail.sign.signature"
    local key = assert(dkim.key(signing.RSA))
    local head = core.sign_head()
    head:add "From: ann@example.org\r\n\r\n"
    local body = core.sign_body("simple", true, 12)
    body:add "Hello\r\nBob\r\n"
    local field = signature.write("DKIM-Signature", { { "v", "1" }, { "a", "rsa-sha256" }, { "d", "example.org" },
      { "s", "test" }, { "l", "12" }, { "h", "from" }, { "bh", core.base64((body:finish())) } },
      head:cover("from", "simple"), "simple", key)
    local message = field .. "From: ann@example.org\r\n\r\nHello\r\nBob\r\nand buy this\r\n"
    local found = verify(message)
    assert.equal("policy", found[1].result)
    assert.matches("l=", found[1].reason)
    found = verify(message, KEYS, { allow_length = true })
    assert.equal("pass", found[1].result)
    assert.equal(12, found[1].length)
  end)

  it("looks at a bounded number of signatures and header octets", function()
    local signed = sign():rep(30) .. MESSAGE
    local found = verify(signed)
    assert.equal(21, #found)
    assert.equal("policy", found[21].result)
    assert.equal(4, #verify(signed, KEYS, { max_signatures = 3 }))
    local list, err = dkim.verify(("X: y\r\n"):rep(20000) .. "\r\n", {})
    assert.is_nil(list)
    assert.equal("limit", err.kind)
  end)

  it("tells of a message that cannot be read", function()
    local list, err = dkim.verify(function() return nil, "disk gone" end)
    assert.is_nil(list)
    assert.is_true(Err.is(err))
    assert.equal("io", err.kind)
    assert.matches("disk gone", err.message)
    assert.equal("io", select(2, dkim.verify(function() return 7 end)).kind)
  end)

  it("raises for what is no message or no option", function()
    for _, bad in ipairs { { 7 }, { MESSAGE, { resolve = {} } }, { {} } } do
      local ok, why = pcall(function() dkim.verify(bad[1], bad[2]) end)
      assert.is_false(ok)
      assert.matches("dkim_spec%.lua:%d+: mail%.dkim%.verify", why)
    end
  end)
end)

describe("mail.dkim.sign", function()
  it("makes what it verifies, by every key and canonicalization", function()
    for _, selector in ipairs { "test", "ed" } do
      for _, canon in ipairs { "simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed" } do
        for _, body in ipairs { "", "\r\n", "x", " \r\n", "a\r\n\r\n b\t c \r\n\r\n", "a\nb\n" } do
          local message = "From: ann@example.org\r\nSubject: x\r\n\r\n" .. body
          local field = sign({ selector = selector, canonicalization = canon }, message)
          assert.matches("^DKIM%-Signature: v=1; a=.*\r\n$", field)
          for line in field:gmatch "[^\r\n]+" do assert.is_true(#line <= 78, line) end
          assert.equal("pass", verify(field .. message)[1].result, canon .. " " .. body)
        end
      end
    end
  end)

  it("signs bare CR and LF as the CRLF that smtp:send makes of them", function()
    local message = "From: ann@example.org\n\none\rtwo\nthree"
    local field = sign({}, message)
    assert.equal("pass", verify(field .. "From: ann@example.org\r\n\r\none\r\ntwo\r\nthree\r\n")[1].result)
  end)

  it("lists each field as often as it is there, and once more where nobody may add one", function()
    local h = verify(sign() .. MESSAGE)[1].headers
    assert.same({ "from", "from", "reply-to", "subject", "subject", "date", "date", "message-id", "message-id", "to",
      "to", "cc", "content-type", "content-type" }, h)
    h = verify(sign { headers = { "From", "Subject", "X-None" }, oversign = false } .. MESSAGE)[1].headers
    assert.same({ "from", "subject" }, h)
    h = verify(sign { headers = { "From", "Subject", "X-None" }, oversign = { "X-None" } } .. MESSAGE)[1].headers
    assert.same({ "from", "subject", "x-none" }, h)
  end)

  it("makes several signatures over one reading", function()
    local pieces = { MESSAGE:sub(1, 100), MESSAGE:sub(101) }
    local fields = assert(dkim.sign(function() return table.remove(pieces, 1) end, {
      { domain = "example.org", selector = "ed", key = signing.SEED, now = NOW },
      { domain = "example.org", selector = "test", key = signing.RSA, now = NOW, minimum_bits = 1024 },
    }))
    local found = verify(fields .. MESSAGE)
    assert.equal("pass", found[1].result)
    assert.equal("pass", found[2].result)
  end)

  it("gives a signed message as a source, whatever it was before", function()
    local options = { domain = "example.org", selector = "ed", key = signing.SEED, now = NOW }
    local file = io.tmpfile()
    file:write("junk", MESSAGE)
    file:seek("set", 4)
    local pieces = { MESSAGE:sub(1, 50), "", MESSAGE:sub(51) }
    local object = { source = function()
      local done
      return function()
        if done then return nil end
        done = true
        return MESSAGE
      end
    end }
    for _, form in ipairs { MESSAGE, file, function() return table.remove(pieces, 1) end, object } do
      local source, out = assert(dkim.signed(form, options)), {}
      for piece in source do out[#out + 1] = piece end
      local text = table.concat(out)
      assert.equal(MESSAGE, text:sub(-#MESSAGE))
      assert.equal("pass", verify(text)[1].result)
    end
  end)

  it("refuses keys that will not do, and messages that nobody should sign", function()
    local base = { domain = "example.org", selector = "test", key = signing.RSA }
    local function refused(pattern, kind, options, message)
      local all = {}
      for name, value in pairs(base) do all[name] = value end
      for name, value in pairs(options) do all[name] = value end
      local field, err = dkim.sign(message or MESSAGE, all)
      assert.is_nil(field)
      assert.equal(kind, err.kind)
      assert.matches(pattern, err.message)
    end
    refused("1024 bits; 2048 are", "invalid", {})
    refused("1024 bits; 1025 are", "invalid", { minimum_bits = 1025 })
    refused("cannot be used", "invalid", { key = "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n" })
    refused("cannot be read", "io", { key = "/nonexistent/key.pem" })
    refused("0 From fields", "invalid", { minimum_bits = 1024 }, "Subject: x\r\n\r\n")
    refused("2 From fields", "invalid", { minimum_bits = 1024 }, "From: a@b\r\nFrom: c@d\r\n\r\n")
    refused("no fields", "invalid", { minimum_bits = 1024 }, "From: a@b\r\nHello\r\nTo: c\r\n\r\n")
  end)

  it("raises for options that cannot be right", function()
    for _, bad in ipairs { { domain = "x y" }, { domain = "a..b" }, { selector = "s;d=evil" },
      { canonicalization = "nofws" },
      { headers = { "To" } }, { headers = { "From", "a:b" } }, { headers = { "From", "a\r\nb" } },
      { identity = "eve@example.net" }, { identity = "a\r\nb@example.org" }, { length = 7 },
        { oversign = { "\n" } } } do
      local options = { domain = "example.org", selector = "test", key = signing.RSA }
      for name, value in pairs(bad) do options[name] = value end
      local ok, why = pcall(function() dkim.sign(MESSAGE, options) end)
      assert.is_false(ok)
      assert.matches("dkim_spec%.lua:%d+: mail%.dkim%.sign: ", why)
    end
  end)

  it("gives the record to publish", function()
    assert.equal(signing.ED_RECORD, dkim.record(signing.SEED))
    assert.equal(signing.RSA_RECORD, dkim.record(assert(dkim.key(signing.RSA))))
  end)
end)
