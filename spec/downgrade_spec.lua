-- Messages in a form that asks less of the server: what is rewritten reads the same, and what cannot be is refused.
local downgrade = require "mail.message.downgrade"
local mail = require "mail"
local data = require "spec.data"
local smtp_peer = require "spec.support.smtp_peer"

local EIGHT = "[\128-\255]"

-- What cannot be rewritten without a loss, by the name of the message.
local REFUSED = {
  ["address-in-utf-8"] = "the address 'jürgen@bücher.example' has no form in ASCII",
  ["message-global"] = "the address 'jürgen@x.org' has no form in ASCII",
  ["raw-latin-1-in-the-header"] = "its field 'From' is in no known charset",
  ["word-and-raw-octets"] = "its field 'Subject' is in no known charset",
}

local function seven_bits(message)
  local made, why = downgrade(message, "SMTPUTF8")
  if made then return downgrade(made, "8BITMIME") end
  return nil, why
end

-- All that somebody reads in it.
local function contents(text)
  local message, out = mail.message.parse(text), {}
  for _, field in ipairs { "subject", "from", "to", "cc", "sender", "reply_to" } do out[field] = message[field] end
  for part in message:walk() do
    local content = part.type:find "^text/" and part:text() or part:body()
    out[#out + 1] = { part.type, part.filename, part.description, content }
  end
  return out
end

local function lines(...) return table.concat({ ... }, "\r\n") .. "\r\n" end

describe("a message in seven bits", function()
  it("reads the same, for every message of the collection that has eight", function()
    local rewritten, refused = 0, 0
    for name, text in pairs(data.mime()) do
      if text:find(EIGHT) then
        local made, why = seven_bits(text)
        assert.equal(REFUSED[name], why, name)
        if made then
          assert.is_nil(made:find(EIGHT), name)
          assert.same(contents(text), contents(made), name)
          rewritten = rewritten + 1
        else
          refused = refused + 1
        end
      end
    end
    assert.equal(4, refused)
    assert.is_true(rewritten >= 24)
  end)

  it("is the message itself where that has seven bits", function()
    for name, text in pairs(data.mime()) do
      local known = text:find "message/global" or text:lower():find "dkim%-signature" or text:lower():find "\narc%-"
      if not text:find(EIGHT) and not known then
        assert.equal(text, downgrade(text, "8BITMIME"), name)
        assert.equal(text, downgrade(text, "SMTPUTF8"), name)
      end
    end
  end)

  it("names the encoding once, in every part and in what holds them", function()
    local made = assert(downgrade(lines("MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b",
      "Content-Transfer-Encoding: 8bit", "", "für alte Programme", "--b", "Content-Transfer-Encoding: 8BIT",
      "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "",
      "Viele Grüße an alle, die lesen = \195\159 ", "--b",
      "Content-Type: application/pdf", "Content-Transfer-Encoding: binary", "", "\0\255\r\n\n", "--b", "", "ascii",
      "--b--", "Schluß"), "8BITMIME"))
    assert.equal(lines("MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b",
      "Content-Transfer-Encoding: 7bit", "", "f??r alte Programme", "--b",
      "Content-Transfer-Encoding: quoted-printable", "Content-Type: text/plain; charset=utf-8", "",
      "Viele Gr=C3=BC=C3=9Fe an alle, die lesen =3D =C3=9F=20", "--b", "Content-Type: application/pdf",
      "Content-Transfer-Encoding: base64", "", "AP8NCgo=", "--b", "", "ascii", "--b--", "Schlu??"), made)
  end)

  it("says the charset of text that said nothing, as far as that can be known", function()
    assert.equal(lines("Subject: x", "Content-Type: text/plain; charset=utf-8", "MIME-Version: 1.0",
      "Content-Transfer-Encoding: quoted-printable", "", "f=C3=BCr alle Leute, die lesen"),
      downgrade("Subject: x\n\nf\195\188r alle Leute, die lesen\n", "8BITMIME"):gsub("\r?\n", "\r\n"))
    assert.matches("charset=unknown%-8bit", downgrade("Subject: x\n\nf\252r alle\n", "8BITMIME"))
    assert.equal(lines("Content-Type: text/plain; charset=utf-8", "MIME-Version: 1.0",
      "Content-Transfer-Encoding: base64", "", "w7zDvA==") :sub(1, -3), downgrade("üü", "8BITMIME"))
  end)

  it("has names, addresses and file names in ASCII", function()
    local made = assert(downgrade(lines("From: Jürgen <j@x.org>, Büro: \"Ä, B\" <ab@bücher.example>;",
      "Subject: Grüße", " an alle", "X-Note: na\195\175ve", "Content-Disposition: attachment; filename=\"für.txt\"", "",
      "x"), "SMTPUTF8"))
    assert.equal(lines("From: =?UTF-8?Q?J=C3=BCrgen?= <j@x.org>, =?UTF-8?B?QsO8cm8=?=:",
      " =?UTF-8?B?w4QsIEI=?= <ab@xn--bcher-kva.example>;",
      "Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?= an alle", "X-Note: =?UTF-8?Q?na=C3=AFve?=",
      "Content-Disposition: attachment; filename*=UTF-8''f%C3%BCr.txt", "", "x"), made)
  end)

  it("is refused where a signature or a grammar would be broken", function()
    local signed = lines("Content-Type: multipart/signed; boundary=b", "", "--b", "", "f\195\188r", "--b",
      "Content-Type: application/pkcs7-signature", "", "x", "--b--")
    for words, message in pairs {
      ["signed as it stands"] = signed,
      ["its DKIM%-Signature would not hold"] = "DKIM-Signature: v=1\r\n\r\n\195\188",
      ["its field 'Message%-ID' has no form in ASCII"] = "Message-ID: <\195\188@x>\r\n\r\n",
    } do
      local made, why = seven_bits(message)
      assert.is_nil(made, words)
      assert.matches(words, why)
    end
  end)
end)

describe("a message without BINARYMIME", function()
  it("has what is no text of lines in base64, octet for octet", function()
    local made = assert(downgrade("Content-Type: text/plain\r\n\r\na\rb\n\0", "BINARYMIME"))
    assert.equal("a\rb\n\0", mail.message.parse(made):body())
    assert.matches("Encoding: base64", made)
    local long = "Content-Transfer-Encoding: binary\r\n\r\n" .. ("\195\188"):rep(600)
    made = assert(downgrade(long, "BINARYMIME"))
    assert.equal(("\195\188"):rep(600), mail.message.parse(made):body())
    assert.is_nil(made:find "binary")
  end)
end)

-- --- on the way to a server that takes seven bits only -----------------------------------------------

local TEXT = "From: ann@example.com\r\nTo: bob@example.org\r\nSubject: Gr\195\188\195\159e\r\n"
  .. "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nf\195\188r alle Leute\r\n"

local function delivered(message, downgrades, capabilities)
  local peer = smtp_peer.new(capabilities or { "PIPELINING" })
  local receipt, err
  smtp_peer.run(peer, function(port)
    local smtp = assert(mail.smtp.connect {
      host = "127.0.0.1", port = port, tls = "none", timeout = 10, helo = "me.example", downgrade = downgrades,
    })
    receipt, err = smtp:send { from = "ann@example.com", to = "bob@example.org", message = message }
    smtp:quit()
  end)
  return peer.messages[1], err, receipt
end

describe("a server of seven bits", function()
  local function assert_reads(message)
    assert.is_nil(message:find(EIGHT))
    assert.same(contents(TEXT), contents(message))
  end

  it("gets a message object in seven bits", function()
    assert_reads(delivered(mail.message.parse(TEXT)))
    assert_reads(delivered(mail.message.parse(TEXT), nil, { "PIPELINING", "CHUNKING" }))
    local message, err = delivered(mail.message.parse(TEXT), false)
    assert.is_nil(message)
    assert.equal("unsupported", err.kind)
  end)

  it("gets octets so only where that was asked for", function()
    local message, err = delivered(TEXT)
    assert.is_nil(message)
    assert.equal("unsupported", err.kind)
    assert_reads(delivered(TEXT, true))
    local n = 0
    local function source()
      n = n + 1
      return n <= #TEXT and TEXT:sub(n, n) or nil
    end
    assert_reads(assert(delivered({ source = function() return source end }, true)))
    local file = io.tmpfile()
    file:write(TEXT)
    file:seek "set"
    assert_reads(delivered(file, true))
  end)

  it("is told about in the error where nothing helps", function()
    local _, err = delivered("Message-ID: <\195\188@x>\r\n\r\n", true)
    assert.equal("unsupported", err.kind)
    assert.matches("lacks, and its field 'Message%-ID' has no form in ASCII$", err.message)
  end)
end)
