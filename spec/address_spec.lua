-- Addresses as a user of mail.address sees them, and what the core does for them underneath.

local address = require "mail.address"
local core = require "mail.core"
local Err = require "mail.err"

local U = "\195\188" -- ü

describe("mail.address.parse", function()
  it("reads mailboxes and groups in order", function()
    assert.same({
      { name = "Ann", address = "ann@x.org" },
      { group = "Team", members = { { address = "bob@x.org" } } },
      { address = "cy@y.org" },
    }, assert(address.parse "Ann <ann@x.org>, Team: bob@x.org;, cy@y.org"))
    assert.same({ { group = "Nobody", members = {} } }, assert(address.parse "Nobody:;"))
    assert.same({}, assert(address.parse ""))
  end)

  it("decodes names and never an address", function()
    local list = assert(address.parse("=?utf-8?Q?Gr=C3=BC?= =?utf-8?B?w58=?= <a@b>, =?utf-8?Q?c=40d?=@e"))
    assert.equal("Gr" .. U .. "\195\159", list[1].name)
    assert.equal("=?utf-8?Q?c=40d?=@e", list[2].address)
  end)

  it("reads quoted names, comments, routes, literals and UTF-8", function()
    assert.same({ { name = 'Smith, "J"', address = "j@x" } }, (address.parse [["Smith, \"J\"" <j@x>]]))
    assert.same({ { name = "Ann", address = "a@x" } }, (address.parse "a@x (Ann)"))
    assert.same({ { address = "a@x" } }, (address.parse "<@r1,@r2:a@x>"))
    assert.same({ { address = "a@[IPv6:::1]" } }, (address.parse "a@[IPv6:::1]"))
    assert.same({ { address = '"a b"@x' } }, (address.parse '"a b"@x'))
    assert.same({ { address = U .. "@b" .. U .. "cher.de" } }, (address.parse(U .. "@b" .. U .. "cher.de")))
  end)

  it("refuses what two readers could read in two ways", function()
    for _, text in ipairs { "foo", "a@b@c", "a@evil.org <b@good.org>", "Ann <a@b", "a@b c@d", "<a@b> x",
      "a@b;c@d", "Team: a@b", "a@b\r\nBcc: c@d", "a..b@c", '"Ann <a@b>', "<>", "a@", "@b", "a@b\0" } do
      local list, err = address.parse(text)
      assert.is_nil(list, text)
      assert.is_true(Err.is(err))
      assert.equal("invalid", err.kind)
      assert.is_false(err.temporary)
      assert.matches("^not a list of addresses: .", tostring(err))
    end
  end)

  it("raises at the caller's line for anything but a string", function()
    local ok, why = pcall(function() address.parse(7) end)
    assert.is_false(ok)
    assert.matches("address_spec%.lua:%d+: mail%.address%.parse: a string expected, got number", why)
  end)

  it("reads a hundred thousand addresses at once", function()
    local list = assert(address.parse(("Ann <ann@x.org>, "):rep(100000)))
    assert.equal(100000, #list)
    assert.is_nil((address.parse(("("):rep(1000000))))
  end)
end)

describe("mail.address.format", function()
  it("writes mailboxes, groups and arrays", function()
    assert.equal("ann@x.org", address.format { address = "ann@x.org" })
    assert.equal("Ann <ann@x.org>", address.format { name = "Ann", address = "ann@x.org" })
    assert.equal("Nobody:;", address.format { group = "Nobody" })
    assert.equal("Ann <ann@x.org>, Team: bob@x.org, Cy <c@y>;", address.format {
      { name = "Ann", address = "ann@x.org" }, { group = "Team", members = { "bob@x.org", "Cy <c@y>" } } })
    assert.equal("", address.format {})
  end)

  it("quotes and encodes names as they need it", function()
    assert.equal('"Smith, John" <j@x>', address.format { name = "Smith, John", address = "j@x" })
    assert.equal("=?UTF-8?Q?Gr=C3=BC?= <j@x>", address.format { name = "Gr" .. U, address = "j@x" })
    assert.equal('"a b"@x', address.format { address = '"a b"@x' })
  end)

  it("gives back what was parsed", function()
    for _, text in ipairs { "Ann <ann@x.org>, Team: bob@x.org;", [["a \"b\" \\ (c)" <"x y"@z>]],
      "=?UTF-8?Q?Gr=C3=BC?= <a@b>", "N:;, a@[1.2.3.4]" } do
      local list = assert(address.parse(text))
      assert.equal(text, address.format(list))
      assert.same(list, assert(address.parse((address.format(list)))))
    end
  end)

  it("refuses names and addresses that could break a header", function()
    for _, a in ipairs { { name = "a\r\nBcc: x@y", address = "a@b" }, { name = "a\0", address = "a@b" },
      { address = "a@b\r\nBcc: x@y" }, { address = "a@b, c@d" }, { address = "Ann <a@b>" }, { address = "" },
      { group = "" }, { group = "a\nb" }, { group = "G", members = { "H: a@b;" } }, { "a@b", "c@" } } do
      local text, err = address.format(a)
      assert.is_nil(text)
      assert.equal("invalid", err.kind)
      assert.is_nil(tostring(err):find("%c"))
    end
  end)

  it("raises for nothing at all to write", function()
    local ok, why = pcall(function() local text = address.format(nil); return text end)
    assert.is_false(ok)
    assert.matches("address_spec%.lua:%d+: mail%.address%.format", why)
  end)

  it("raises at the caller's line for a wrong shape", function()
    for _, a in ipairs { 7, true, { name = "Ann" }, { address = 7 }, { group = 7 }, { 7 },
      { group = "G", members = { { group = "H" } } } } do
      local ok, why = pcall(function() local _ = address.format(a) end)
      assert.is_false(ok)
      assert.matches("address_spec%.lua:%d+: mail%.address%.format: ", why)
    end
  end)
end)

describe("the core", function()
  it("reads headers of received mail whatever they hold", function()
    local list, defects, why = core.address_list("Ann <a@b; root, c@d@e, bob b@x")
    assert.equal("a@b", list[1].address)
    assert.is_true(defects > 0)
    assert.equal("a bracket that is not closed", why)
    assert.is_nil(list[3].address)
    assert.equal("c@d@e", list[3].name)
    assert.same({ name = "bob", address = "b@x" }, list[4])
  end)

  it("reads one mailbox for the envelope, strictly", function()
    local text, utf8 = core.address_envelope("Ann <ann@b" .. U .. "cher.de>")
    assert.equal("ann@xn--bcher-kva.de", text)
    assert.is_false(utf8)
    assert.is_true(select(2, core.address_envelope(U .. "@x.org")))
    assert.equal("", (core.address_envelope("<>", true)))
    assert.is_nil((core.address_envelope("<>")))
    local none, why = core.address_envelope("a@b> SIZE=1")
    assert.is_nil(none)
    assert.equal("text behind the address", why)
  end)

  it("takes the envelope out of a header and Bcc with it", function()
    local e = assert(core.envelope_of("From: a@x\r\nTo: b@x, B <b@x>\r\nBcc: c@x,\r\n d@x\r\nSubject: s\r\n\r\nBcc: t"))
    assert.equal("a@x", e.from)
    assert.same({ "b@x", "c@x", "d@x" }, e.to)
    assert.equal("From: a@x\r\nTo: b@x, B <b@x>\r\nSubject: s\r\n\r\nBcc: t", e.message)
    local none, why = core.envelope_of("From: a@x\r\nCc: b@x c@y\r\n\r\n")
    assert.is_nil(none)
    assert.matches("^field Cc: .", why)
  end)

  it("decodes words, charsets, names and dates", function()
    assert.equal("gr" .. U .. "n", core.decode_words("=?iso-8859-1?Q?gr=FCn?="))
    assert.equal(U, core.to_utf8("\252", "windows-1252"))
    assert.equal("a@b" .. U, core.decode_words(core.encode_words("a@b" .. U)))
    assert.equal("xn--bcher-kva.de", core.idn("b" .. U .. "cher.de"))
    assert.is_nil((core.idn("a b")))
    local epoch, zone = core.date_parse("Sun, 22 Nov 2026 20:13:55 +0100")
    assert.equal(1795374835, epoch)
    assert.equal(60, zone)
    assert.equal("Sun, 22 Nov 2026 20:13:55 +0100", core.date_format(epoch, zone))
    assert.equal("22-Nov-2026 19:13:55 +0000", core.date_imap(epoch))
    assert.equal(epoch, core.date_imap_parse(core.date_imap(epoch)))
    assert.equal("22-Nov-2026", core.date_imap_day(epoch))
    assert.is_nil((core.date_imap_parse("00-Jan-0000 00:00:00 +0000")))
    assert.has_error(function() core.date_imap(1e18) end)
  end)
end)
