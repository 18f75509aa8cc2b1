-- Messages of mail.message and the signatures of mail.dkim: what was composed is signed as it is sent, what was
-- parsed is verified as it came, and a signed part stays what it was octet for octet.

local mail = require "mail"
local signing = require "spec.support.signing"
local smtp_peer = require "spec.support.smtp_peer"

local NOW = 1800000000
local KEYS = { ["ed._domainkey.example.org"] = signing.ED_RECORD }
local SIGNER = { domain = "example.org", selector = "ed", key = signing.SEED, now = NOW }

local function verified(message)
  local list = assert(mail.dkim.verify(message, { resolver = signing.keys(KEYS), now = NOW }))
  local results = {}
  for i, sig in ipairs(list) do results[i] = sig.result end
  return table.concat(results, " ")
end

local function composed(more)
  local options = {
    from = "Änn <ann@example.org>", to = "bob@example.net", bcc = "secret@example.net", subject = "Grüße", date = NOW,
    text = "Hello.\n\n.\nFrom here \n\n\n", html = "<p>ü",
    attachments = { { name = "a.bin", data = ("\0\255"):rep(50000) } },
  }
  for name, value in pairs(more or {}) do options[name] = value end
  return assert(mail.message.new(options))
end

local function collect(source)
  local out = {}
  for piece in source do out[#out + 1] = piece end
  return table.concat(out)
end

describe("a composed message", function()
  it("is signed as it is sent, and verified once it was parsed", function()
    local m = composed()
    local field = assert(mail.dkim.sign(m, SIGNER))
    local text = field .. m:tostring()
    assert.equal("pass", verified(mail.message.parse(text)))
    assert.equal("pass", verified(text))
    assert.equal("pass", verified(mail.message.parse(text):source()))
    assert.equal("pass", verified(mail.message.parse(collect(assert(mail.dkim.signed(m, SIGNER))))))
    assert.equal("", verified(m))
  end)

  it("is sent signed to those of Bcc, too", function()
    local m = composed()
    local one = assert(mail.dkim.signed(m, SIGNER))
    assert.same(m:envelope(), one:envelope())
    local text = assert(one:tostring())
    assert.equal("pass", verified(text))
    assert.is_nil(text:find "secret")
    assert.equal(#text, one:octets())
    assert.equal(text, collect(one:source()))
    assert.equal(text, collect(one), "it is a source itself")
    assert.equal("pass", verified(assert(mail.message.parse_source(one))))
    local peer = smtp_peer.new { "8BITMIME", "PIPELINING" }
    local receipt = smtp_peer.run(peer, function(port)
      local session = assert(mail.smtp.connect { host = "127.0.0.1", port = port, tls = "none" })
      local sent = assert(session:send { message = one })
      session:quit()
      return sent
    end)
    assert.same({ "bob@example.net", "secret@example.net" }, receipt.accepted)
    assert.equal("pass", verified(peer.messages[1]))
  end)

  it("is signed where an attachment comes from a source that is read but once", function()
    local pieces = { "abc", "def" }
    local m = composed { attachments = { { name = "a", source = function() return table.remove(pieces, 1) end } } }
    local one = assert(mail.dkim.signed(m, SIGNER))
    assert.equal("pass", verified(one:tostring()))
    assert.equal("abcdef", mail.message.parse(one:tostring()):attachments()[1].data())
  end)

  it("is signed while its attachments are read from a source, once", function()
    local data, at = ("0123456789"):rep(30000), 1
    local m = composed { attachments = { { name = "a", size = #data, source = function()
      if at > #data then return nil end
      at = at + 7777
      return data:sub(at - 7777, at - 1)
    end } } }
    local source = assert(mail.dkim.signed(m:source(), SIGNER))
    local read = mail.message.parse(collect(source))
    assert.equal("pass", verified(read))
    assert.equal(data, read:attachments()[1].data())
  end)
end)

describe("a parsed message", function()
  it("passes as it came, and fails where an octet was changed", function()
    local m = composed()
    local text = assert(mail.dkim.sign(m, SIGNER)) .. m:tostring()
    for _, change in ipairs { { "Hello.", "Hello!" }, { "Date: ", "Date:  x" }, { "a.bin", "b.bin" } } do
      local from, to = text:find(change[1], 1, true)
      local changed = text:sub(1, from - 1) .. change[2] .. text:sub(to + 1)
      assert.equal("fail", verified(mail.message.parse(changed)))
    end
  end)

  it("that lies in another is verified there", function()
    local m = composed()
    local inner = assert(mail.dkim.sign(m, SIGNER)) .. m:tostring()
    local outer = assert(mail.message.new { from = "list@example.net", attachments = { { message = inner } } })
    local read = mail.message.parse(outer:tostring())
    assert.equal("", verified(read))
    assert.equal(inner, read.parts[1]:body())
    assert.equal("pass", verified(read.parts[1].parts[1]))
    assert.equal("pass", verified(read:attachments()[1].part.parts[1]))
  end)

  it("is given back octet for octet by raw, tostring and source, whatever it is", function()
    for name in pairs(dofile "spec/data/mime/expected.lua") do
      local file = assert(io.open("spec/data/mime/" .. name .. ".eml", "rb"))
      local text = file:read "*a"
      file:close()
      local msg = mail.message.parse(text)
      assert.equal(text, msg:raw())
      assert.equal(text, msg:tostring())
      assert.equal(text, collect(msg:source()))
      assert.equal(#text, msg:octets())
      -- The parts of what is encoded lie in what was made of it.
      local decoded = msg.encoding == "base64" or msg.encoding == "quoted-printable"
      for _, p in ipairs(msg.parts or {}) do
        assert.is_truthy(decoded or p:raw() == "" or text:find(p:raw(), 1, true), name)
        assert.equal(p:raw(), collect(p:source()))
      end
    end
  end)
end)
