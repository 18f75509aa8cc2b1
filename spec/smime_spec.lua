-- S/MIME as a user of mail.smime sees it, with the openssl program as the peer both ways.

local core = require "mail.core"
local mail = require "mail"
local smtp_peer = require "spec.support.smtp_peer"
local support = require "spec.support.smime"

local smime = mail.smime
local pki

setup(function() pki = support.new() end)
teardown(function() pki:remove() end)

local TEXT = "Grüße, \nFrom here on a line that is rather long: " .. ("words and more "):rep(80) .. "\n-- \nAnn\n"
local BINARY = ("\0\1\2\255\r\n"):rep(500)

local function composed(more)
  local options = {
    from = "Ann <ann@example.com>", to = "Bob <bob@example.org>", bcc = "eve@example.net", subject = "Grüße",
    message_id = "<1@example.com>", references = "<0@example.org>", date = 1790000000, text = TEXT,
    attachments = { { name = "blob.bin", data = BINARY } },
  }
  for name, value in pairs(more or {}) do options[name] = value end
  return assert(mail.message.new(options))
end

-- A plain text.gsub of the first match, which must be there.
local function change(text, from, to)
  local a, b = text:find(from, 1, true)
  assert(a, from)
  return text:sub(1, a - 1) .. to .. text:sub(b + 1)
end

local function own(name, more)
  local options = pki:own(name)
  for key, value in pairs(more or {}) do options[key] = value end
  return options
end

local function verify(message, more)
  local options = { ca = pki:read "root.crt" }
  for key, value in pairs(more or {}) do options[key] = value end
  return smime.verify(message, options)
end

-- The reason for which a message is not believed.
local function reason(message, more)
  local verdict, err = verify(message, more)
  assert.is_nil(verdict)
  assert.equal("verify", err.kind)
  return err.reason, err
end

local function is_whole(m)
  assert.equal(TEXT, m:text())
  assert.equal(BINARY, m:attachments()[1].data())
end

local function openssl(words)
  local ok, said = pki:openssl(words)
  assert.is_true(ok, words .. "\n" .. said)
end

-- The headers that stay outside, none of them twice.
local function has_header(m)
  assert.equal("ann@example.com", m.from[1].address)
  assert.equal("bob@example.org", m.to[1].address)
  assert.equal("Grüße", m.subject)
  assert.equal(1790000000, m.date)
  assert.equal("<1@example.com>", m.message_id)
  assert.same({ "<0@example.org>" }, m.references)
  for _, name in ipairs { "From", "MIME-Version", "Content-Type", "Subject" } do
    assert.equal(1, #m:header_all(name), name)
  end
  assert.is_nil(m:header "Bcc")
end

-- The message with another object: in a body of base64, or in the second part.
local function reencoded(m, edit)
  local encoder, part = core.encoder "base64", m
  if m.parts then part = m.parts[2] end
  local made = encoder:put(edit(part:body()))
  made = made .. encoder:finish()
  return change(m:tostring(), part:raw_body(), made)
end

-- --- signing --------------------------------------------------------------------------------------

describe("mail.smime.sign", function()
  local KINDS = { { "rsa" }, { "rsa", { padding = "pss" } }, { "pss" }, { "ec" }, { "p384", { digest = "sha384" } },
    { "rsa", { digest = "sha512" } } }

  for _, kind in ipairs(KINDS) do
    local name, more = kind[1], kind[2] or {}
    for _, detached in ipairs { true, false } do
      local form = detached and "detached" or "opaque"
      it(("is verified by openssl: %s %s %s"):format(name, more.padding or more.digest or "", form), function()
        more.detached = detached
        local signed = assert(smime.sign(composed(), own(name, more)))
        has_header(signed)
        local kind_of, how = smime.type(signed)
        assert.equal("signed", kind_of)
        assert.equal(form, how)
        pki:write("signed.eml", signed:tostring())
        openssl "cms -verify -in signed.eml -CAfile root.crt -out content.eml -signer signer.crt"
        is_whole(mail.message.parse(pki:read "content.eml"))
        local verdict = assert(verify(signed))
        is_whole(verdict.content)
        is_whole(verdict.message)
        has_header(verdict.message)
        assert.equal(form, verdict.form)
        assert.equal(pki:read "content.eml", verdict.content:raw())
        assert.is_true(verdict.signer_matches_from)
        assert.is_true(verdict.whole)
      end)
    end
  end

  it("is read by openssl smime, which knows PKCS #7 alone", function()
    for _, detached in ipairs { true, false } do
      pki:write("signed.eml", assert(smime.sign(composed(), own("rsa", { detached = detached }))):tostring())
      openssl "smime -verify -in signed.eml -CAfile root.crt -out content.eml"
      is_whole(mail.message.parse(pki:read "content.eml"))
    end
    pki:write("sealed.eml", assert(smime.encrypt(composed(), { recipients = pki:read "rsa.crt" })):tostring())
    openssl "smime -decrypt -in sealed.eml -inkey rsa.key -recip rsa.crt -out content.eml"
    is_whole(mail.message.parse(pki:read "content.eml"))
  end)

  it("names its certificate in the signature, so that no other can take its place", function()
    local signed = assert(smime.sign(composed(), own "ec"))
    pki:write("object.der", signed.parts[2]:body())
    local _, listing = pki:openssl "asn1parse -inform DER -in object.der"
    assert.is_truthy(listing:find("id-smime-aa-signingCertificateV2", 1, true))
    pki:write("signed.eml", signed:tostring())
    openssl "cms -verify -cades -in signed.eml -CAfile root.crt -out content.eml"
    -- the same key under another certificate
    local serial = assert(smime.certificate_info(pki:read "ec.crt"))[1].serial
    local other = serial:sub(1, -2) .. (serial:sub(-1) == "0" and "1" or "0")
    openssl("x509 -req -in ec.csr -CA middle.crt -CAkey middle.key -days 30 -extfile ec.cnf -extensions x "
      .. "-out ec2.crt -set_serial 0x" .. other)
    local twin = own("ec", { certificate = pki:read "ec2.crt" })
    assert(verify(assert(smime.sign(composed(), twin))))
    local function octets(hex) return (hex:gsub("%x%x", function(x) return string.char(tonumber(x, 16)) end)) end
    local swapped = reencoded(signed, function(der)
      -- the number stands in the certificate, where the signer is named, and in the attribute
      local places, at = {}, der:find(octets(serial), 1, true)
      while at do
        places[#places + 1], at = at, der:find(octets(serial), at + 1, true)
      end
      at = places[#places - 1]
      return der:sub(1, at - 1) .. octets(other) .. der:sub(at + #serial / 2)
    end)
    assert.equal("malformed", reason(swapped, { certificates = pki:read "ec2.crt" }))
  end)

  -- OpenSSL 3.0 knows no Ed25519 in CMS: what was signed is cut out of the object, and its signature verified.
  it("signs with Ed25519 as RFC 8419 has it", function()
    for _, detached in ipairs { true, false } do
      local signed = assert(smime.sign(composed(), own("ed", { detached = detached })))
      local verdict = assert(verify(signed))
      assert.equal("SHA512", verdict.signers[1].digest)
      is_whole(verdict.content)
      local object = detached and signed.parts[2]:body() or signed:body()
      if detached then assert.equal("sha-512", signed.parameters.micalg) end
      pki:write("object.der", object)
      local _, listing = pki:openssl "asn1parse -inform DER -in object.der"
      local at, hl, l = listing:match "(%d+):d=5 +hl=(%d+) +l= *(%d+) cons: cont %[ 0 %]"
      assert.is_string(at, listing)
      local attributes = object:sub(at + 1, at + hl + l)
      pki:write("attributes.der", "\49" .. attributes:sub(2))
      pki:write("signature", object:sub(-64))
      openssl "x509 -in ed.crt -noout -pubkey -out ed.pub"
      openssl "pkeyutl -verify -rawin -pubin -inkey ed.pub -in attributes.der -sigfile signature"
      pki:write("content.eml", verdict.content:raw())
      openssl "dgst -sha512 -binary -out digest content.eml"
      assert.is_truthy(attributes:find("\4\64" .. pki:read "digest", 1, true))
      local altered = detached and change(signed:tostring(), "words and", "wards and")
        or reencoded(signed, function(der) return change(der, "words and", "wards and") end)
      assert.equal("altered", reason(altered))
      assert.equal("forged", reason(reencoded(signed, function(der)
        return der:sub(1, -2) .. string.char((der:byte(-1) + 1) % 256)
      end)))
    end
    assert.has_error(function() smime.sign(composed(), own("ed", { digest = "sha1" })) end)
    local none, err = smime.sign(composed(), own("ed", { digest = "sha256" }))
    assert.is_nil(none)
    assert.equal("invalid", err.kind)
  end)

  it("leaves nothing in the signed part that a gateway alters", function()
    local raw = table.concat({
      "From: ann@example.com", "Content-Type: multipart/mixed; boundary=b", "Content-Transfer-Encoding: 8bit", "",
      "preamble", "--b", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "",
      "Grüße \t", "From me", "", "--b", "Content-Type: application/octet-stream",
      "Content-Transfer-Encoding: binary", "", "\0\255\1", "--b", "Content-Type: message/rfc822", "",
      "Subject: inside", "Content-Transfer-Encoding: 8bit", "", ("ü"):rep(600), "--b--", "" }, "\r\n")
    for _, line_end in ipairs { "\r\n", "\n" } do
      local before = mail.message.parse((raw:gsub("\r\n", line_end)))
      local signed = assert(smime.sign(before, own "ec"))
      local text = signed:tostring()
      assert.is_nil(text:find "[\128-\255%z]")
      for line in text:gmatch "([^\n]*)\n" do
        assert.is_true(#line < 1000)
        assert.is_nil(line:find "[ \t]\r$")
        assert.is_nil(line:find "^From ")
      end
      -- a gateway: blanks at line ends go, lines get other ends, "From " is quoted
      local passed = text:gsub("[ \t]+\r\n", "\r\n"):gsub("\nFrom ", "\n>From "):gsub("\r\n", "\n")
      local content = assert(verify(passed)).content
      assert.equal("multipart/mixed", content.type)
      assert.equal("Grüße \t\r\nFrom me\r\n", content.parts[1]:body(), line_end)
      assert.equal("\0\255\1", content.parts[2]:body())
      assert.equal(("ü"):rep(600), content.parts[3].parts[1]:body())
      assert.equal("inside", content.parts[3].parts[1].subject)
    end
  end)

  it("signs what has no type, no header, or nothing at all", function()
    for _, text in ipairs { "From: ann@example.com\r\n\r\nHello\r\n", "\r\nHello", "From: ann@example.com\n\nHello\n",
      "From: ann@example.com\r\n\r\n", "", "From: ann@example.com", "From: ann@example.com\rBcc: eve@example.net\n" } do
      for _, detached in ipairs { true, false } do
        local signed = assert(smime.sign(text, own("ec", { detached = detached })))
        local verdict = assert(verify(signed:tostring()))
        assert.equal("text/plain", verdict.content.type)
        assert.equal(mail.message.parse(text):text(), verdict.content:text())
        assert.same(mail.message.parse(text).from, verdict.message.from)
        assert.same(mail.message.parse(text):header_all "Bcc", verdict.message:header_all "Bcc")
      end
    end
  end)

  it("has several sign, and names the chain", function()
    local signed = assert(smime.sign(composed(), {
      signers = { { key = pki:read "rsa.key", certificate = pki:read "rsa.crt" },
        { key = pki:read "ec.key", certificate = pki:read "ec.crt" } },
      chain = { pki:read "middle.crt", pki:read "root.crt" }, signing_time = os.time() - 60,
    }))
    local verdict = assert(verify(signed))
    assert.equal(2, #verdict.signers)
    assert.is_true(verdict.signers[1].signing_time <= os.time() - 60)
    assert.equal(4, #assert(smime.certificates(signed)))
    pki:write("signed.eml", signed:tostring())
    openssl "cms -verify -in signed.eml -CAfile root.crt -out content.eml"
  end)

  it("takes keys in every form, and tells none of them", function()
    local forms = {
      { pkcs12 = pki:read "rsa.p12", passphrase = "letmein" },
      { key = pki:read "locked.key", certificate = pki:read "rsa.crt", passphrase = "letmein" },
      { key = pki:read "locked.der", certificate = pki:read "rsa.crt.der", passphrase = "letmein" },
      { key = pki:read "rsa.der", certificate = pki:read "rsa.crt" },
      { key = pki:path "rsa.key", certificate = pki:path "rsa.crt" },
      { key = pki:read "rsa.key", certificate = pki:read "middle.crt" .. pki:read "rsa.crt" },
    }
    for _, form in ipairs(forms) do
      local signed = assert(smime.sign(composed(), form))
      assert.equal("CN=Ann rsa,O=Fünf Äpfel",
        assert(verify(signed, { certificates = pki:read "middle.crt" })).signers[1].subject)
    end
    local wrong = {
      { { pkcs12 = pki:read "rsa.p12", passphrase = "s3cret" }, "PKCS #12" },
      { { pkcs12 = "\48\3\1\1\1", passphrase = "s3cret" }, "PKCS #12" },
      { { key = pki:read "locked.key", certificate = pki:read "rsa.crt" }, "no passphrase" },
      { { key = pki:read "locked.key", certificate = pki:read "rsa.crt", passphrase = "s3cret" }, "not open" },
      { { key = pki:read "rsa.key", certificate = pki:read "ec.crt" }, "does not belong" },
      { { key = pki:read "rsa.crt", certificate = pki:read "rsa.crt" }, "no private key" },
      { { key = pki:read "rsa.key", certificate = pki:read "rsa.key" }, "no certificate" },
      { { key = pki:read "web.key", certificate = pki:read "web.crt" }, "not for signing" },
      { { key = pki:read "rsa.key", certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n" }, "certificate" },
      { { key = pki:read "rsa.key", certificate = pki:read "rsa.crt", chain = pki:path "none" }, "none" },
      { { key = "", certificate = pki:read "rsa.crt" }, "neither PEM" },
    }
    for i, row in ipairs(wrong) do
      local none, err = smime.sign(composed(), row[1])
      assert.is_nil(none, tostring(i))
      assert.is_true(err.kind == "invalid" or err.kind == "io")
      assert.is_truthy(tostring(err):find(row[2], 1, true), tostring(err))
      assert.is_nil(tostring(err):find("s3cret", 1, true))
    end
  end)

  it("keeps the envelope of a composed message for those who send it", function()
    local signed = assert(smime.sign(composed(), own "ec"))
    assert.same({ from = "ann@example.com", to = { "bob@example.org", "eve@example.net" } }, signed:envelope())
    assert.equal(#signed:tostring(), signed:octets())
    assert.equal("7bit", signed:form())
    local wide = assert(smime.sign(composed { to = "ü@example.org" }, own "ec"))
    assert.equal("utf8", wide:form())
    is_whole(assert(verify(wide)).content)
    local sealed = assert(smime.encrypt(signed, { recipients = pki:read "bob.crt" }))
    assert.same(signed:envelope(), sealed:envelope())
    assert.is_nil(rawget(assert(smime.sign(composed():tostring(), own "ec")), "is_composed"))
  end)

  it("goes out by SMTP as it is, to those in Bcc, too", function()
    local sealed = assert(smime.encrypt(assert(smime.sign(composed(), own "ec")), { recipients = pki:read "bob.crt" }))
    local peer = smtp_peer.new {}
    local receipt = assert(smtp_peer.run(peer, function(port)
      local smtp = assert(mail.smtp.connect { host = "127.0.0.1", port = port, tls = "none", timeout = 10 })
      local receipt, err = smtp:send { message = sealed }
      smtp:quit()
      return receipt, err
    end))
    assert.same({ "bob@example.org", "eve@example.net" }, receipt.accepted)
    local got = assert(smime.decrypt(peer.messages[1], { key = pki:read "bob.key", certificate = pki:read "bob.crt" }))
    is_whole(assert(verify(got)).content)
    has_header(got)
  end)

  it("raises what is wrong in the program", function()
    local wrong = {
      {}, { key = "x" , pkcs12 = "y" }, { certificate = "x" }, { key = pki:read "ec.key" },
      own("ec", { digest = "md5" }), own("ec", { padding = "oaep" }), own("ec", { unknown = 1 }),
      own("ec", { chain = { 1 } }), { signers = { {} } }, { signers = { { cert = "x" } } },
      { signers = {} }, own("ec", { signers = { pki:own "rsa" } }),
    }
    for i, options in ipairs(wrong) do
      local ok, why = pcall(smime.sign, composed(), options)
      assert.is_false(ok, tostring(i))
      assert.is_string(why)
    end
    assert.has_error(function() smime.sign(7, own "ec") end,
      "mail.smime.sign: the message must be a string, an open file, a source function or a message, got number")
    assert.has_error(function() smime.sign({}, own "ec") end)
  end)
end)

-- --- verifying ------------------------------------------------------------------------------------

-- Signs by openssl. `words` behind -signer NAME.crt -inkey NAME.key.
local function signed_by_openssl(name, words, entity)
  pki:write("entity", entity or "Content-Type: text/plain\r\n\r\nHello Bob, \r\nFrom me\r\n")
  openssl(("cms -sign -in entity -signer %s.crt -inkey %s.key -certfile middle.crt -from ann@example.com "
    .. "-to bob@example.org -subject x -out signed.eml %s"):format(name, name, words or ""))
  return pki:read "signed.eml"
end

describe("mail.smime.verify", function()
  it("believes what openssl has signed", function()
    local rows = {
      { "rsa", "-binary" }, { "rsa", "" }, { "rsa", "-nodetach" }, { "rsa", "-nodetach -binary -stream" },
      { "rsa", "-keyid -md sha384" }, { "rsa", "-noattr -binary" }, { "rsa", "-noattr -nodetach -binary" },
      { "rsa", "-crlfeol" }, { "rsa", "-cades -binary" }, { "ec", "-binary" }, { "ec", "-nosmimecap -md sha512" },
      { "rsa", "-keyopt rsa_padding_mode:pss -binary" }, { "pss", "-keyopt rsa_padding_mode:pss" },
      { "p384", "-nodetach -md sha384" },
    }
    for _, row in ipairs(rows) do
      local verdict, err = verify(signed_by_openssl(row[1], row[2]))
      assert.is_nil(err, table.concat(row, " ") .. ": " .. tostring(err))
      assert.equal("Hello Bob, \nFrom me\n", verdict.content:text())
      assert.is_true(verdict.signer_matches_from)
      assert.equal("x", verdict.message.subject)
    end
  end)

  it("tells who signed, and when", function()
    local before = os.time()
    local signed = assert(smime.sign(composed(), own "rsa"))
    local signer = assert(verify(signed)).signers[1]
    assert.equal("CN=Ann rsa,O=Fünf Äpfel", signer.subject)
    assert.equal("CN=lua-mail middle", signer.issuer)
    assert.same({ "ann@example.com", "ann.other@example.com" }, signer.emails)
    assert.equal("SHA256", signer.digest)
    assert.is_true(signer.signing_time >= before and signer.signing_time <= os.time())
    assert.is_true(signer.not_before <= before and signer.not_after > before + 86400 * 29)
    local _, said = pki:openssl "x509 -in rsa.crt -noout -fingerprint -sha256 -serial"
    assert.equal(said:match "Fingerprint=([%x:]+)":gsub(":", ""):lower(), signer.fingerprint)
    assert.equal(said:match "serial=(%x+)", signer.serial)
    assert.equal(signer.certificate, assert(smime.certificate_info(pki:read "rsa.crt"))[1].certificate)
    assert.is_nil(signer.fault)
  end)

  it("refuses what was altered on its way", function()
    local entity = "Content-Type: text/plain\r\nX-Inner: 1\r\n\r\nPay Bob 100,\r\nnot  more. \r\n\r\n"
    local signed = signed_by_openssl("rsa", "-binary -crlfeol", entity)
    assert(verify(signed))
    local rows = { -- what, from, to
      { "a word", "100", "900" }, { "a blank", "not  more", "not more" },
      { "a blank at a line's end", "more. ", "more." },
      { "a field inside", "X-Inner: 1", "X-Inner: 2" }, { "the type", "text/plain\r\nX", "text/html\r\nX" },
      { "a line more", "more. \r\n", "more. \r\n\r\n" }, { "a line less", "more. \r\n\r\n", "more. \r\n" },
      { "a case", "Pay", "pay" },
    }
    for _, row in ipairs(rows) do
      assert.equal("altered", reason(change(signed, row[2], row[3])), row[1])
    end
    local boundary = mail.message.parse(signed).parameters.boundary
    local evil = "--" .. boundary .. "\r\n\r\nPay Eve\r\n"
    assert.equal("malformed", reason(change(signed, "--" .. boundary, evil .. "--" .. boundary)))
    assert.equal("malformed", reason(change(signed, "--" .. boundary .. "--", evil .. "--" .. boundary .. "--")))
    assert.equal("malformed", reason(reencoded(mail.message.parse(signed), function(der) return "A" .. der end)))
    -- a signature around nothing, where one beside the text is looked for
    pki:write("entity", "")
    openssl "cms -sign -in entity -signer rsa.crt -inkey rsa.key -nodetach -binary -outform DER -out empty.der"
    assert.equal("malformed", reason(reencoded(mail.message.parse(signed), function() return pki:read "empty.der" end)))
    -- another's signature under this text
    local other = mail.message.parse(signed_by_openssl("ec", "-binary -crlfeol", "\r\nother\r\n")).parts[2]:raw()
    local mine = mail.message.parse(signed).parts[2]:raw()
    assert.equal("altered", reason(change(signed, mine, other)))
  end)

  it("refuses an opaque object in which an octet was changed", function()
    local entity = "Content-Type: text/plain\r\n\r\nPay Bob 100\r\n"
    local signed = mail.message.parse(signed_by_openssl("rsa", "-binary -nodetach", entity))
    local der = signed:body()
    local function reasons(octets)
      return (reason(reencoded(signed, function() return octets end)))
    end
    assert.equal("altered", reasons((change(der, "Bob 100", "Bob 900"))))
    local last = der:byte(-1)
    assert.equal("forged", reasons(der:sub(1, -2) .. string.char(last == 255 and 0 or last + 1)))
    assert.equal("malformed", reasons(der:sub(1, 200)))
    assert.equal("malformed", reasons "")
  end)

  it("reads a message whose lines end in LF, and no other one", function()
    local signed = assert(smime.sign(composed(), own "rsa")):tostring()
    is_whole(assert(verify((signed:gsub("\r\n", "\n")))).content)
    assert.equal("altered", reason(change(signed, "charset=utf-8\r\n", "charset=utf-8\n")))
  end)

  it("believes nobody without a chain to someone trusted", function()
    local function signed(name) return assert(smime.sign(composed(), own(name))) end
    assert.equal("untrusted", reason(signed "stranger"))
    assert(verify(signed "stranger", { ca = pki:read "foreign.crt" }))
    assert(verify(signed "stranger", { ca = { pki:read "root.crt", pki:path "foreign.crt" } }))
    local short = assert(smime.sign(composed(), { key = pki:read "rsa.key", certificate = pki:read "rsa.crt" }))
    assert.equal("untrusted", reason(short))
    assert(verify(short, { certificates = pki:read "middle.crt" }))
    -- the system trusts none of ours
    local none, err = smime.verify(signed "rsa")
    assert.is_nil(none)
    assert.equal("untrusted", err.reason)
    assert.equal("untrusted", err.signers[1].fault)
    assert.equal("CN=Ann rsa,O=Fünf Äpfel", err.signers[1].subject)
    local bad
    bad, err = smime.verify(signed "rsa", { ca = "-----BEGIN X-----\n" })
    assert.is_nil(bad)
    assert.equal("invalid", err.kind)
  end)

  it("looks at dates: the certificate's, the signature's, and both together", function()
    local day = 86400
    local now = assert(smime.sign(composed(), own "rsa"))
    assert(verify(now, { time = os.time() + 20 * day }))
    assert.equal("expired", reason(now, { time = os.time() + 40 * day }))
    assert.equal("expired", reason(now, { time = os.time() - 40 * day }))
    assert(verify(now, { time = "signed" }))
    assert.equal("time", reason(smime.sign(composed(), own("rsa", { signing_time = os.time() - 40 * day }))))
    assert.equal("time", reason(smime.sign(composed(), own("rsa", { signing_time = os.time() + 2 * day }))))
    assert.equal("expired", reason(smime.sign(composed(), own "expired")))
    -- the certificate was good then, and so was its issuer's; the message was signed when it was not
    assert.equal("expired", reason(smime.sign(composed(), own "expired"), { time = 1600000000 }))
  end)

  it("refuses certificates that are for something else, and those that were revoked", function()
    local web = signed_by_openssl("web", "-binary")
    assert.equal("purpose", reason(web))
    assert(verify(web, { purpose = "any" }))
    local lost = assert(smime.sign(composed(), own "revoked"))
    assert(verify(lost))
    assert.equal("revoked", reason(lost, { crls = pki:read "middle.crl" }))
    assert(verify(smime.sign(composed(), own "rsa"), { crls = pki:path "middle.crl" }))
    assert.equal("untrusted", reason(smime.sign(composed(), own "stranger"),
      { ca = pki:read "foreign.crt", crls = pki:read "middle.crl" }))
  end)

  it("believes no digest that can be forged", function()
    for _, digest in ipairs { "md5", "sha1" } do
      for _, attributes in ipairs { "", "-noattr" } do
        local signed = signed_by_openssl("rsa", "-binary -md " .. digest .. " " .. attributes)
        local why, err = reason(signed)
        assert.equal("weak", why)
        assert.equal("weak", err.signers[1].fault)
        assert(verify(signed, { allow_weak = true }))
      end
    end
  end)

  it("tells whether the message is from one who signed", function()
    local function signed(from, name, more)
      return assert(smime.sign(composed { from = from, sender = more }, own(name or "rsa")))
    end
    local rows = { -- From, signer, matches
      { "ann@example.com", "rsa", true }, { "Ann.Other@EXAMPLE.com", "rsa", true },
      { "bob@example.org", "rsa", false }, { "ann@example.org", "rsa", false },
      { "x.ann@example.com", "rsa", false }, { "ann@example.com", "nameless", false },
      { { "ann@example.com", "ann.other@example.com" }, "rsa", true },
      { { "ann@example.com", "bob@example.org" }, "rsa", false },
    }
    for i, row in ipairs(rows) do
      local verdict = assert(verify(signed(row[1], row[2])))
      assert.equal(row[3], verdict.signer_matches_from, tostring(i))
      assert.equal(row[3], verdict.signers[1].matches_from)
    end
    local verdict = assert(verify(signed("bob@example.org", "rsa", "ann@example.com")))
    assert.is_false(verdict.signer_matches_from)
    assert.is_true(verdict.signer_matches_sender)
    assert.is_nil(assert(verify(signed "ann@example.com")).signer_matches_sender)
    assert.is_true(assert(verify(signed "bob@example.org", { from = "ann@example.com" })).signer_matches_from)
    assert.is_false(assert(verify(smime.sign("\r\nno header", own "rsa"))).signer_matches_from)
    assert.is_false(assert(verify("From: eve@example.net\r\n" .. signed "ann@example.com":tostring()))
      .signer_matches_from)
    assert.is_false(assert(verify("From: ann@example.com\r\n" .. signed "ann@example.com":tostring()))
      .signer_matches_from)
    -- both have signed, each for one author
    local two = assert(smime.sign(composed { from = { "ann@example.com", "bob@example.org" } }, {
      signers = { { key = pki:read "rsa.key", certificate = pki:read "rsa.crt" },
        { key = pki:read "bob.key", certificate = pki:read "bob.crt" } }, chain = pki:read "middle.crt" }))
    assert.is_true(assert(verify(two)).signer_matches_from)
    -- one who is not believed spoils it
    local spoiled = assert(smime.sign(composed(), { signers = {
      { key = pki:read "rsa.key", certificate = pki:read "rsa.crt" },
      { key = pki:read "stranger.key", certificate = pki:read "stranger.crt" } }, chain = pki:read "middle.crt" }))
    local _, err = reason(spoiled)
    assert.equal("untrusted", err.reason)
    local faults = {}
    for _, signer in ipairs(err.signers) do faults[signer.subject] = signer.fault or "none" end
    assert.same({ ["CN=Ann rsa,O=Fünf Äpfel"] = "none", ["CN=Stranger"] = "untrusted" }, faults)
  end)

  it("finds a signed part in another one, and says that not all was signed", function()
    local inner = assert(smime.sign(composed(), own "ec"))
    local head = "From: list@example.net\r\nContent-Type: multipart/mixed; boundary=list\r\n\r\n--list\r\n"
    local listed = head .. "Content-Type: " .. inner:raw_header "Content-Type" .. "\r\n\r\n" .. inner:raw_body()
      .. "\r\n--list\r\nContent-Type: text/plain\r\n\r\nfooter\r\n--list--\r\n"
    local verdict = assert(verify(listed))
    assert.is_false(verdict.whole)
    assert.is_nil(verdict.message:raw():find("footer", 1, true))
    is_whole(verdict.content)
    assert.is_false(verdict.signer_matches_from)
    -- a signed message that is forwarded is its own affair
    local forwarded = composed { attachments = { { message = inner } } }
    assert.equal("unsigned", reason(forwarded))
    assert.equal("unsigned", reason(composed()))
  end)

  it("leaves what is signed inside untouched, and reads layer by layer", function()
    local inner = assert(smime.sign(composed(), own "rsa"))
    local sealed = assert(smime.encrypt(inner, { recipients = { pki:read "bob.crt", pki:read "rsa.crt" } }))
    local outer = assert(smime.sign(sealed, own "ec"))
    local one = assert(verify(outer))
    local two, info = assert(smime.decrypt(one.message, { key = pki:read "bob.key", certificate = pki:read "bob.crt" }))
    assert.is_true(info.whole)
    local three = assert(verify(two))
    assert.is_true(three.signer_matches_from)
    is_whole(three.content)
    has_header(three.message)
    local twice = assert(verify(smime.sign(inner, own "p384")))
    is_whole(assert(verify(twice.message)).content)
    -- the same, opened by openssl
    pki:write("outer.eml", outer:tostring())
    openssl "cms -verify -in outer.eml -CAfile root.crt -out sealed.eml"
    openssl "cms -decrypt -in sealed.eml -inkey bob.key -recip bob.crt -out inner.eml"
    openssl "cms -verify -in inner.eml -CAfile root.crt -out content.eml"
    is_whole(mail.message.parse(pki:read "content.eml"))
  end)

  it("refuses signatures over what is no mail", function()
    for _, content in ipairs { "1\130\1\0 attributes", "\0\1\2", "no field here\r\n" } do
      pki:write("entity", content)
      openssl("cms -sign -in entity -signer rsa.crt -inkey rsa.key -certfile middle.crt -nodetach -binary "
        .. "-out signed.eml")
      assert.equal("malformed", reason(pki:read "signed.eml"))
    end
    pki:write("entity", "Content-Type: text/plain\r\n\r\nx\r\n")
    openssl("cms -sign -in entity -signer rsa.crt -inkey rsa.key -nodetach -binary -out signed.eml "
      .. "-econtent_type 1.2.840.113549.1.9.16.1.4")
    assert.equal("malformed", reason(pki:read "signed.eml"))
    local signers = {}
    for i = 1, 17 do signers[i] = { key = pki:read "ec.key", certificate = pki:read "ec.crt" } end
    local _, err = reason(smime.sign(composed(), { signers = signers }))
    assert.is_truthy(err.message:find("more signers", 1, true))
  end)

  it("knows Python's email's idea of what it makes", function()
    local signed = assert(smime.sign(composed(), own "rsa"))
    local path = pki:write("signed.eml", signed:tostring())
    pki:write("read.py", [[
import email, email.policy, sys
m = email.message_from_binary_file(open(sys.argv[1], "rb"), policy=email.policy.SMTP)
parts = list(m.iter_parts())
print(m.get_content_type(), m.get_param("protocol"), m.get_param("micalg"), len(parts), len(m.defects))
print(parts[0].get_content_type(), parts[1].get_content_type(), parts[1].get_filename(), m["subject"])
open(sys.argv[2], "wb").write(m.as_bytes())
]])
    local program = io.popen(("python3 %s %s %s"):format(pki:path "read.py", path, pki:path "again.eml"))
    local said = program:read "*a"
    program:close()
    assert.equal("multipart/signed application/pkcs7-signature sha-256 2 0\n"
      .. "multipart/mixed application/pkcs7-signature smime.p7s Grüße\n", said)
    is_whole(assert(verify(pki:read "again.eml")).content)
  end)
end)

-- --- encrypting -----------------------------------------------------------------------------------

describe("mail.smime.encrypt", function()
  for _, name in ipairs { "rsa", "ec", "p384" } do
    for _, cipher in ipairs { "aes-256-cbc", "aes-192-cbc", "aes-128-cbc", "aes-256-gcm", "aes-192-gcm",
      "aes-128-gcm" } do
      it(("is decrypted by openssl, and here: %s %s"):format(name, cipher), function()
        for _, padding in ipairs { "pkcs1", "oaep" } do
          local sealed = assert(smime.encrypt(composed(), { recipients = pki:read(name .. ".crt"), cipher = cipher,
            padding = padding }))
          has_header(sealed)
          local gcm = cipher:find "gcm" ~= nil
          local kind, how = smime.type(sealed)
          assert.equal("encrypted", kind)
          assert.equal(gcm and "authEnveloped-data" or "enveloped-data", how)
          assert.is_nil(sealed:tostring():find("blob.bin", 1, true))
          pki:write("sealed.eml", sealed:tostring())
          openssl(("cms -decrypt -in sealed.eml -inkey %s.key -recip %s.crt -out content.eml"):format(name, name))
          is_whole(mail.message.parse(pki:read "content.eml"))
          local opened, info = assert(smime.decrypt(sealed, { key = pki:read(name .. ".key"),
            certificate = pki:read(name .. ".crt") }))
          is_whole(opened)
          has_header(opened)
          assert.equal(cipher, info.cipher)
          assert.equal(gcm, info.authenticated)
          assert.is_true(info.whole)
          is_whole(info.content)
        end
      end)
    end
  end

  it("is for several, each of whom can read it, with or without a certificate at hand", function()
    local sealed = assert(smime.encrypt(composed(), { cipher = "aes-256-gcm",
      recipients = { pki:read "rsa.crt", pki:path "ec.crt", assert(smime.certificate_info(pki:read "bob.crt"))[1],
        pki:read "p384.crt" .. pki:read "middle.crt" } }))
    for _, name in ipairs { "rsa", "ec", "bob", "p384" } do
      local key, certificate = pki:read(name .. ".key"), pki:read(name .. ".crt")
      is_whole(assert(smime.decrypt(sealed, { key = key, certificate = certificate })))
      is_whole(assert(smime.decrypt(sealed, { key = key })))
    end
    is_whole(assert(smime.decrypt(sealed, { pkcs12 = pki:read "rsa.p12", passphrase = "letmein" })))
  end)

  it("refuses those who cannot read it, or not now", function()
    local rows = { { "ed", "neither RSA" }, { "x25519", "neither RSA" }, { "expired", "not valid now" },
      { "web", "not for encrypting" }, { "middle", "not for encrypting" } }
    for _, row in ipairs(rows) do
      local none, err = smime.encrypt(composed(), { recipients = { pki:read "rsa.crt", pki:read(row[1] .. ".crt") } })
      assert.is_nil(none, row[1])
      assert.equal("invalid", err.kind)
      assert.is_truthy(err.message:find(row[2], 1, true), err.message)
    end
    assert(smime.encrypt(composed(), { recipients = pki:read "expired.crt", time = 1600000000 }))
    for _, options in ipairs { {}, { recipients = {} }, { recipients = "x", cipher = "des" },
      { recipients = "x", padding = "pss" }, { recipients = { 1 } } } do
      assert.is_false((pcall(smime.encrypt, composed(), options)))
    end
    local none, err = smime.encrypt(composed(), { recipients = pki:read "middle.crl" })
    assert.is_nil(none)
    assert.equal("invalid", err.kind)
  end)
end)

describe("mail.smime.decrypt", function()
  local ENTITY = "Content-Type: text/plain\r\n\r\nHello Bob\r\n"

  local function sealed_by_openssl(words, name, entity)
    pki:write("entity", entity or ENTITY)
    openssl(("cms -encrypt -binary -in entity -out sealed.eml -subject x %s %s.crt"):format(words, name or "rsa"))
    return pki:read "sealed.eml"
  end

  local function key_of(name) return { key = pki:read(name .. ".key"), certificate = pki:read(name .. ".crt") } end

  it("opens what openssl has sealed", function()
    local rows = { { "-aes128" }, { "-aes-256-gcm" }, { "-des3" }, { "-aes256 -keyid" }, { "-aes256 -stream" },
      { "-aes256", "ec" }, { "-aes-128-gcm -stream", "p384" }, { "-aes256 -recip ec.crt" }, { "-camellia256" },
      { "-aes256 -recip rsa.crt -keyopt rsa_padding_mode:oaep", "bob" } }
    for _, row in ipairs(rows) do
      local message = sealed_by_openssl(row[1], row[2])
      local opened, info = smime.decrypt(message, key_of(row[2] == "bob" and "rsa" or row[2] or "rsa"))
      assert.is_table(opened, row[1] .. ": " .. tostring(info))
      assert.equal("Hello Bob\n", opened:text())
      assert.equal("x", opened.subject)
    end
  end)

  it("gives nothing to those whom it is not for", function()
    local sealed = sealed_by_openssl "-aes256"
    for _, options in ipairs { key_of "bob", { key = pki:read "bob.key" }, key_of "ec", { key = pki:read "ec.key" } } do
      local none, err = smime.decrypt(sealed, options)
      assert.is_nil(none)
      assert.equal("decrypt", err.kind)
    end
    -- by its kind, and not by padding that is wrong 255 times in 256
    local none, err = smime.decrypt(sealed, { key = pki:read "ed.key" })
    assert.is_nil(none)
    assert.matches("no key of this kind", err.message)
    none, err = smime.decrypt("Subject: x\r\n\r\nplain", key_of "rsa")
    assert.is_nil(none)
    assert.equal("invalid", err.kind)
  end)

  it("gives nothing of what was altered or cut short", function()
    local long = ENTITY .. ("a line of text\r\n"):rep(5000)
    for _, cipher in ipairs { "-aes-256-gcm", "-aes256" } do
      local sealed = sealed_by_openssl(cipher, "rsa", long)
      -- GCM's tag, or what makes CBC's padding longer than a block: a change elsewhere may leave it right
      local at = cipher == "-aes256" and -17 or -1
      local rows = {
        function(der)
          return der:sub(1, at - 1) .. string.char((der:byte(at) + 128) % 256) .. der:sub(#der + at + 2)
        end,
        function(der) return der:sub(1, math.floor(#der / 2)) end,
        function() return "" end,
        function() return "\48\128" end,
      }
      if cipher == "-aes-256-gcm" then
        rows[#rows + 1] = function(der)
          return der:sub(1, 20000) .. string.char((der:byte(20001) + 1) % 256) .. der:sub(20002)
        end
      end
      for i, edit in ipairs(rows) do
        local none, err = smime.decrypt(reencoded(mail.message.parse(sealed), edit), key_of "rsa")
        assert.is_nil(none, cipher .. i)
        assert.equal("decrypt", err.kind)
      end
    end
    -- CBC cannot tell: what it gives is said to be unproven
    local m, info = smime.decrypt(sealed_by_openssl "-aes256", key_of "rsa")
    assert.is_table(m)
    assert.is_false(info.authenticated)
    local none, err = smime.decrypt(sealed_by_openssl("-aes256", "rsa", "\1\2no entity"), key_of "rsa")
    assert.is_nil(none)
    assert.equal("decrypt", err.kind)
  end)

  it("opens a part among others alone, and says so", function()
    local sealed = mail.message.parse(sealed_by_openssl("-aes256", "rsa", "Content-Type: text/html\r\n\r\nsecret"))
    local around = "From: eve@example.net\r\nContent-Type: multipart/mixed; boundary=e\r\n\r\n--e\r\n"
      .. "Content-Type: text/html\r\n\r\n<img src=\"http://evil.example/\r\n--e\r\nContent-Type: "
      .. sealed:raw_header "Content-Type" .. "\r\nContent-Transfer-Encoding: base64\r\n\r\n" .. sealed:raw_body()
      .. "\r\n--e\r\nContent-Type: text/html\r\n\r\n\">\r\n--e--\r\n"
    local opened, info = assert(smime.decrypt(around, key_of "rsa"))
    assert.is_false(info.whole)
    assert.equal("secret", opened:html())
    assert.is_nil(opened:raw():find("evil", 1, true))
    assert.equal("eve@example.net", opened.from[1].address)
  end)

  it("keeps outer fields, and inner ones where there are none outside", function()
    local entity = "Subject: inner\r\nFrom: eve@example.net\r\nKeywords: k\r\nMIME-Version: 1.0\r\n"
      .. "Content-Type: text/plain\r\n\r\nx"
    local opened, info = assert(smime.decrypt(sealed_by_openssl("-aes256 -from ann@example.com", "rsa", entity),
      key_of "rsa"))
    assert.same({ "x" }, opened:header_all "Subject")
    assert.same({ "ann@example.com" }, opened:header_all "From")
    assert.equal("k", opened:header "Keywords")
    assert.equal("inner", info.content.subject)
  end)
end)

-- --- the rest -------------------------------------------------------------------------------------

local function wrap(fields, der)
  local encoder = core.encoder "base64"
  local made = encoder:put(der)
  return "From: ann@example.com\r\nMIME-Version: 1.0\r\n" .. fields
    .. "\r\nContent-Transfer-Encoding: base64\r\n\r\n" .. made .. encoder:finish()
end

describe("mail.smime", function()
  local MIME = "Content-Type: application/pkcs7-mime; smime-type="

  it("tells types by their parameters, by names, and by what is there", function()
    pki:write("entity", "Content-Type: text/plain\r\n\r\nx\r\n")
    openssl "cms -sign -in entity -signer rsa.crt -inkey rsa.key -nodetach -binary -outform DER -out s.der"
    openssl "cms -encrypt -in entity -aes-128-gcm -outform DER -out e.der rsa.crt"
    local signed, sealed, bundle = pki:read "s.der", pki:read "e.der", pki:read "bundle.p7c"
    local rows = {
      { wrap(MIME .. "signed-data", signed), "signed", "opaque" },
      { wrap(MIME .. "Signed-Data", signed), "signed", "opaque" },
      { wrap("Content-Type: application/x-pkcs7-mime", signed), "signed", "opaque" },
      { wrap("Content-Type: application/octet-stream; name=SMIME.P7M", sealed), "encrypted", "authEnveloped-data" },
      { wrap(MIME .. "authEnveloped-data", sealed), "encrypted", "authEnveloped-data" },
      { wrap(MIME .. "certs-only", bundle), "certificates", "certs-only" },
      { wrap("Content-Type: application/pkcs7-mime; name=smime.p7c", bundle), "certificates", "certs-only" },
      { wrap("Content-Type: application/octet-stream; name=x.bin", signed) },
      { wrap("Content-Type: application/pkcs7-mime", "junk") }, { "Subject: x\r\n\r\ny" },
      { "Content-Type: multipart/signed; protocol=\"application/pgp-signature\"; boundary=b\r\n\r\n--b--\r\n" },
    }
    for i, row in ipairs(rows) do
      local kind, how = smime.type(row[1])
      assert.equal(row[2], kind, tostring(i))
      assert.equal(row[3], how, tostring(i))
    end
  end)

  it("reads certificates that are sent alone, and verifies nothing by them", function()
    local message = wrap(MIME .. "certs-only; name=smime.p7c", pki:read "bundle.p7c")
    local list = assert(smime.certificates(message))
    assert.equal(2, #list)
    assert.equal("CN=Ann rsa,O=Fünf Äpfel", list[1].subject)
    assert.equal("unsigned", reason(message))
    assert.equal("malformed", reason(wrap(MIME .. "signed-data", pki:read "bundle.p7c")))
    local none, err = smime.certificates "Subject: x\r\n\r\n"
    assert.is_nil(none)
    assert.equal("invalid", err.kind)
  end)

  it("unpacks what is compressed, and no bombs", function()
    local entity = "Content-Type: text/plain; charset=utf-8\r\n\r\nGrüße\r\n"
    local message = wrap(MIME .. "compressed-data", support.compressed(entity))
    assert.equal("compressed", (smime.type(message)))
    local opened, info = assert(smime.decompress(message))
    assert.equal("Grüße\n", opened:text())
    assert.equal("ann@example.com", opened.from[1].address)
    assert.is_true(info.whole)
    for _, packed in ipairs { "", "\120\1", "\120\156junk", support.compressed(entity) } do
      local none, err = smime.decompress(wrap(MIME .. "compressed-data", support.compressed("", packed)))
      assert.is_nil(none)
      assert.equal("invalid", err.kind)
    end
    -- inside of a signature, as RFC 8551 §3.6 allows
    local inside = assert(smime.sign(message, own "rsa"))
    assert.equal("Grüße\n", assert(smime.decompress(assert(verify(inside)).message)):text())
  end)

  it("refuses an object of many digests before anything is digested", function()
    local function element(tag, text)
      local size = #text < 128 and string.char(#text)
        or string.char(0x83, math.floor(#text / 65536), math.floor(#text / 256) % 256, #text % 256)
      return tag .. size .. text
    end
    local number, null = "\2\1\1", "\5\0"
    local sha256 = element("\48", "\6\9\96\134\72\1\101\3\4\2\1")
    local rsa = element("\48", "\6\9\42\134\72\134\247\13\1\1\1" .. null)
    local signer = element("\48", number .. element("\48", element("\48", "") .. number) .. sha256 .. rsa
      .. element("\4", ("x"):rep(128)))
    local data = element("\48", "\6\9\42\134\72\134\247\13\1\7\1" .. element("\160", element("\4", "X: y\r\n\r\n")))
    for _, digests in ipairs { sha256:rep(20000), sha256:rep(9), "\48\128" .. sha256:sub(3) .. "\0\0" } do
      local body = element("\48", number .. element("\49", digests) .. data .. element("\49", signer))
      local object = element("\48", "\6\9\42\134\72\134\247\13\1\7\2" .. element("\160", body))
      local begun = os.clock()
      local verdict, err = verify(wrap(MIME .. "signed-data", object))
      assert.is_nil(verdict)
      assert.equal("malformed", err.reason)
      assert.truthy(err.message:find("more digests", 1, true), err.message)
      assert.is_true(os.clock() - begun < 2)
    end
  end)

  it("asks a table of the core's options for nothing that it does not hold itself", function()
    local asked = false
    local made, why = require "mail.core".cms_identity(setmetatable({}, { __index = function() asked = true end }))
    assert.is_nil(made)
    assert.equal("no private key that can be read", why)
    assert.is_false(asked)
  end)

  it("takes messages of every form", function()
    local text = composed():tostring()
    local path = pki:write("plain.eml", text)
    local at = 0
    local forms = { text, assert(io.open(path, "rb")), mail.message.parse(text), composed(), function()
      at = at + 1000
      local piece = text:sub(at - 999, at)
      return piece ~= "" and piece or nil
    end }
    for _, form in ipairs(forms) do
      is_whole(assert(verify(smime.sign(form, own "ec"))).content)
    end
    local none, err = smime.sign(function() return nil, "the source broke" end, own "ec")
    assert.is_nil(none)
    assert.equal("io", err.kind)
  end)

  it("carries many megabytes", function()
    local data = ("\0\1\2\3\4\5\6\7\254\255"):rep(800000)
    local message = composed { attachments = { { name = "big.bin", data = data } } }
    for _, detached in ipairs { true, false } do
      local signed = assert(smime.sign(message, own("rsa", { detached = detached })))
      local sealed = assert(smime.encrypt(signed, { recipients = pki:read "bob.crt", cipher = "aes-256-gcm" }))
      pki:write("sealed.eml", sealed:tostring())
      openssl "cms -decrypt -in sealed.eml -inkey bob.key -recip bob.crt -out inner.eml"
      openssl "cms -verify -in inner.eml -CAfile root.crt -out content.eml"
      local opened = assert(smime.decrypt(sealed, { key = pki:read "bob.key", certificate = pki:read "bob.crt" }))
      local verdict = assert(verify(opened))
      assert.is_true(verdict.content:attachments()[1].data() == data)
      assert.is_true(verdict.content:raw() == pki:read "content.eml")
    end
  end)
end)
