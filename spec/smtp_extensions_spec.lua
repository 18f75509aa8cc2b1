-- What extensions add to MAIL and RCPT, octet by octet, and what is refused before anything is sent. The
-- server is a script: no real one offers all of these.
local mail = require "mail"
local Err = require "mail.err"
local extensions = require "mail.smtp.extensions"
local smtp_peer = require "spec.support.smtp_peer"

local function options(port, more)
  local o = { host = "127.0.0.1", port = port, tls = "none", timeout = 10, helo = "me.example" }
  for name, value in pairs(more or {}) do o[name] = value end
  return o
end

local function message(more)
  local o = { from = "ann@example.com", to = "bob@example.org", message = "Subject: x\r\n\r\nhello\r\n" }
  for name, value in pairs(more or {}) do o[name] = value end
  return o
end

-- What the server heard (without EHLO and QUIT) when this was sent, the result, the error, and the peer.
local function sent(capabilities, more, connection)
  local peer = smtp_peer.new(capabilities)
  local receipt, err
  smtp_peer.run(peer, function(port)
    local smtp = assert(mail.smtp.connect(options(port, connection)))
    receipt, err = smtp:send(message(more))
    smtp:quit()
  end)
  local lines = {}
  for _, line in ipairs(peer.lines) do
    if not line:find("^EHLO") and line ~= "QUIT" then lines[#lines + 1] = line end
  end
  return lines, receipt, err, peer
end

-- MAIL as it was said.
local function mail_line(capabilities, more)
  local lines, receipt, err = sent(capabilities, more)
  assert.is_table(receipt, tostring(err))
  return lines[1]
end

-- Refused before anything was sent.
local function refused(kind, capabilities, more, connection)
  local lines, receipt, err = sent(capabilities, more, connection)
  assert.is_nil(receipt)
  assert.is_true(Err.is(err))
  assert.equal(kind, err.kind, tostring(err))
  assert.same({}, lines)
  return err
end

-- A bug of the program: raised at this file's line.
local function raises(more, words)
  local peer = smtp_peer.new {}
  smtp_peer.run(peer, function(port)
    local smtp = assert(mail.smtp.connect(options(port)))
    local ok, why = pcall(function() smtp:send(message(more)) end)
    assert.is_false(ok)
    assert.matches("smtp_extensions_spec.lua:%d+: .*" .. words, tostring(why))
    smtp:quit()
  end)
end

describe("an extension that the server lacks", function()
  it("is kind unsupported, and nothing is sent", function()
    for _, more in ipairs {
      { dsn = { ret = "hdrs" } }, { to = { { address = "b@example.org", notify = "never" } } },
      { to = { { address = "b@example.org", orcpt = true } } }, { to = { { address = "b@example.org", rrvs = 0 } } },
      { deliver_by = 60 }, { hold_for = 60 }, { hold_until = "2027-01-01T00:00:00Z" }, { priority = 1 },
      { auth = "ann@example.com" }, { line_ends = "keep" }, { message = { { url = "imap://x/y" } } },
      { message = "Subject: x\r\n\r\n\195\188\r\n" }, { to = "\195\188@example.org" },
    } do
      local err = refused("unsupported", { "PIPELINING", "CHUNKING" }, more)
      assert.matches("lacks", err.message)
    end
  end)
end)

describe("DSN", function()
  local DSN = { "PIPELINING", "DSN" }

  it("says RET, ENVID and NOTIFY for all", function()
    local lines = sent(DSN, { dsn = { notify = { "failure", "delay" }, ret = "hdrs", envid = "a+b=c d" } })
    assert.same({ "MAIL FROM:<ann@example.com> RET=HDRS ENVID=a+2Bb+3Dc+20d",
      "RCPT TO:<bob@example.org> NOTIFY=FAILURE,DELAY", "DATA" }, lines)
  end)

  it("says NOTIFY and ORCPT of one recipient, in the place of those for all", function()
    local lines = sent(DSN, { dsn = { notify = "delay" }, to = {
      "a@example.org", { address = "b@example.org", notify = "never" },
      { address = "Cy <c@example.org>", orcpt = "rfc822;c=y@example.net" },
      { address = "d@example.org", orcpt = true, notify = { "success", "failure" } },
      { address = "no@example.org", orcpt = false },
      { address = "e@example.org", orcpt = "\195\188@example.org" }, { address = "f@example.org", orcpt = "x400;/a/" },
    } })
    assert.same({
      "MAIL FROM:<ann@example.com>",
      "RCPT TO:<a@example.org> NOTIFY=DELAY",
      "RCPT TO:<b@example.org> NOTIFY=NEVER",
      "RCPT TO:<c@example.org> NOTIFY=DELAY ORCPT=rfc822;c+3Dy@example.net",
      "RCPT TO:<d@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;d@example.org",
      "RCPT TO:<no@example.org> NOTIFY=DELAY",
      "RCPT TO:<e@example.org> NOTIFY=DELAY ORCPT=utf-8;\\x{FC}@example.org",
      "RCPT TO:<f@example.org> NOTIFY=DELAY ORCPT=x400;/a/",
      "DATA",
    }, lines)
    lines = sent(DSN, { to = { address = "a@example.org", notify = "success" } })
    assert.equal("RCPT TO:<a@example.org> NOTIFY=SUCCESS", lines[2])
  end)

  it("refuses what cannot be said", function()
    for _, dsn in ipairs {
      { ret = "some" }, { notify = "sometimes" }, { notify = { "never", "delay" } }, { envid = ("x"):rep(101) },
      { envid = "a\r\nRCPT TO:<c@d>" }, { envid = "a\0" }, { envid = "\195\188" },
    } do
      refused("invalid", DSN, { dsn = dsn })
    end
    for _, one in ipairs {
      { orcpt = "a\r\nb@c" }, { orcpt = "rfc822;\195\188@c" }, { orcpt = "\255@c" }, { orcpt = ("x"):rep(600) },
      { notify = { "success", "never" } },
    } do
      one.address = "b@example.org"
      refused("invalid", DSN, { to = { one } })
    end
    raises({ dsn = { color = 1 } }, "unknown option 'color'")
    raises({ dsn = { notify = 5 } }, "notify")
    raises({ dsn = "never" }, "dsn")
    raises({ to = { { address = "b@example.org", notify = 5 } } }, "notify")
    raises({ to = { { notify = "never" } } }, "to")
  end)
end)

describe("DELIVERBY", function()
  it("says the time and what comes of it", function()
    assert.equal("MAIL FROM:<ann@example.com> BY=120;N", mail_line({ "DELIVERBY" }, { deliver_by = 120 }))
    assert.equal("MAIL FROM:<ann@example.com> BY=-60;NT",
      mail_line({ "DELIVERBY 240" }, { deliver_by = { seconds = -60, trace = true } }))
    assert.equal("MAIL FROM:<ann@example.com> BY=240;R",
      mail_line({ "DELIVERBY 240" }, { deliver_by = { seconds = 240, mode = "return" } }))
  end)

  it("obeys the server's least time, and the grammar", function()
    refused("unsupported", { "DELIVERBY 240" }, { deliver_by = { seconds = 239, mode = "return" } })
    refused("unsupported", { "DELIVERBY " .. ("9"):rep(30) }, { deliver_by = { seconds = 5, mode = "return" } })
    refused("invalid", { "DELIVERBY" }, { deliver_by = { seconds = 0, mode = "return" } })
    refused("invalid", { "DELIVERBY" }, { deliver_by = 1.5 })
    refused("invalid", { "DELIVERBY" }, { deliver_by = 1e10 })
    refused("invalid", { "DELIVERBY" }, { deliver_by = { seconds = 5, mode = "never" } })
    raises({ deliver_by = {} }, "seconds")
    raises({ deliver_by = "soon" }, "deliver_by")
  end)
end)

describe("FUTURERELEASE", function()
  local FR = { "FUTURERELEASE 86400 2027-01-01T00:00:00Z" }

  it("says how long, or until when", function()
    assert.equal("MAIL FROM:<ann@example.com> HOLDFOR=3600", mail_line(FR, { hold_for = 3600 }))
    assert.equal("MAIL FROM:<ann@example.com> HOLDUNTIL=2026-12-24T18:00:00Z",
      mail_line(FR, { hold_until = "2026-12-24T18:00:00Z" }))
    assert.equal("MAIL FROM:<ann@example.com> HOLDUNTIL=2001-09-09T01:46:40Z", mail_line(FR, { hold_until = 1e9 }))
  end)

  it("obeys the server's limits, and the grammar", function()
    refused("unsupported", FR, { hold_for = 86401 })
    refused("unsupported", FR, { hold_until = "2027-01-01T00:00:01Z" })
    refused("invalid", FR, { hold_for = 0 })
    refused("invalid", FR, { hold_for = 0.5 })
    for _, bad in ipairs { "tomorrow", "2026-12-24", "2026-12-24T18:00:00", "2026-12-24T18:00:00Z\r\nDATA",
      0 / 0, 1 / 0, -1 / 0, 2 ^ 53, 253402300800, -1e300 } do
      refused("invalid", FR, { hold_until = bad })
    end
    raises({ hold_for = 1, hold_until = 1 }, "exclude each other")
    raises({ hold_for = "1h" }, "hold_for")
  end)
end)

describe("MT-PRIORITY, AUTH= and RRVS", function()
  it("say their values", function()
    assert.equal("MAIL FROM:<ann@example.com> MT-PRIORITY=-9", mail_line({ "MT-PRIORITY MIXER" }, { priority = -9 }))
    assert.equal("MAIL FROM:<ann@example.com> AUTH=e+3Dmc2@example.com",
      mail_line({ "AUTH PLAIN" }, { auth = "e=mc2@example.com" }))
    assert.equal("MAIL FROM:<ann@example.com> AUTH=<>", mail_line({ "AUTH PLAIN" }, { auth = "<>" }))
    local lines = sent({ "RRVS" }, { to = { { address = "b@example.org", rrvs = 1396566060 },
      { address = "c@example.org", rrvs = { since = "2014-04-03T23:01:00Z", action = "reject" } } } })
    assert.equal("RCPT TO:<b@example.org> RRVS=2014-04-03T23:01:00Z", lines[2])
    assert.equal("RCPT TO:<c@example.org> RRVS=2014-04-03T23:01:00Z;R", lines[3])
  end)

  it("refuse what cannot be said", function()
    refused("invalid", { "MT-PRIORITY" }, { priority = 10 })
    refused("invalid", { "MT-PRIORITY" }, { priority = 0.5 })
    refused("invalid", { "AUTH PLAIN" }, { auth = "a\r\nb" })
    refused("invalid", { "AUTH PLAIN" }, { auth = "\195\188@x" })
    refused("invalid", { "AUTH PLAIN" }, { auth = "" })
    refused("invalid", { "RRVS" }, { to = { { address = "b@example.org", rrvs = "yesterday" } } })
    refused("invalid", { "RRVS" }, { to = { { address = "b@example.org", rrvs = { since = 0, action = "x" } } } })
    refused("invalid", { "RRVS" }, { to = { { address = "b@example.org", rrvs = 1 / 0 } } })
    raises({ to = { { address = "b@example.org", rrvs = true } } }, "rrvs")
    raises({ priority = "high" }, "priority")
  end)

  it("stand together in one order", function()
    assert.equal("MAIL FROM:<ann@example.com> BODY=8BITMIME SIZE=21 BY=9;N RET=FULL HOLDFOR=5 AUTH=a@b MT-PRIORITY=3",
      mail_line({ "8BITMIME", "SIZE", "DELIVERBY", "DSN", "FUTURERELEASE", "AUTH PLAIN", "MT-PRIORITY" },
        { deliver_by = 9, dsn = { ret = "full" }, hold_for = 5, auth = "a@b", priority = 3 }))
  end)
end)

describe("REQUIRETLS", function()
  it("demands a link that is verified", function()
    local err = refused("tls", { "REQUIRETLS" }, { require_tls = true })
    assert.matches("verified", err.message)
  end)

  it("is said on a link that is", function()
    local function said(secure, verified, capabilities)
      local pump = { capabilities = capabilities, verified = verified, is_secure = function() return secure end,
        error = function(_, kind) return kind end }
      local params, kind = extensions.parameters(pump, { require_tls = true }, "b@example.org", 1)
      return params and params.mail or kind
    end
    assert.equal(" REQUIRETLS", said(true, true, { REQUIRETLS = "" }))
    assert.equal("unsupported", said(true, true, {}))
    assert.equal("tls", said(true, false, { REQUIRETLS = "" }))
    assert.equal("tls", said(false, true, { REQUIRETLS = "" }))
  end)

  it("false says so in the header, where the message does not", function()
    local _, receipt, _, peer = sent({}, { require_tls = false })
    assert.is_table(receipt)
    assert.equal("TLS-Required: No\r\nSubject: x\r\n\r\nhello\r\n", peer.messages[1])
    local given = false
    local _, second, _, other = sent({ "SIZE" }, { require_tls = false, size = 10, message = function()
      if given then return nil end
      given = true
      return "A: b\r\n\r\nc\r\n"
    end })
    assert.is_table(second)
    assert.equal("TLS-Required: No\r\nA: b\r\n\r\nc\r\n", other.messages[1])
    assert.equal("MAIL FROM:<ann@example.com> SIZE=28", other.lines[2])
  end)
end)

describe("line_ends", function()
  local function binary(text, how)
    local _, receipt, err, peer = sent({ "PIPELINING", "CHUNKING", "BINARYMIME", "8BITMIME" },
      { message = text, line_ends = how })
    return peer.messages[1], peer.lines[2], receipt, err
  end

  it("crlf makes them so, and says BINARYMIME where the text needs it", function()
    local text, line = binary("Subject: x\n\na\rb\n", nil)
    assert.equal("Subject: x\r\n\r\na\r\nb\r\n", text)
    assert.equal("MAIL FROM:<ann@example.com> BODY=8BITMIME", line)
    text, line = binary("Subject: x\n\na\0b\n", "crlf")
    assert.equal("Subject: x\r\n\r\na\0b\r\n", text)
    assert.equal("MAIL FROM:<ann@example.com> BODY=BINARYMIME", line)
  end)

  it("keep sends each octet as it is, of a string and of a source", function()
    local whole = "Subject: x\r\n\r\n\0\n\r\r\n\255.\n.\n"
    for _, streamed in ipairs { false, true } do
      local at = 0
      local text, line = binary(streamed and function()
        at = at + 1
        return at <= #whole and whole:sub(at, at) or nil
      end or whole, "keep")
      assert.equal(whole, text)
      assert.equal("MAIL FROM:<ann@example.com> BODY=BINARYMIME", line)
    end
  end)

  it("refuse is kind invalid where one stands alone", function()
    for _, bad in ipairs { "a\nb\r\n", "a\rb\r\n", "a\r\n\r" } do
      refused("invalid", { "CHUNKING" }, { message = bad, line_ends = "refuse" })
    end
    local text = binary("a\r\nb\r\n", "refuse")
    assert.equal("a\r\nb\r\n", text)
    raises({ line_ends = "mixed" }, "line_ends")
  end)
end)

describe("BURL", function()
  local URL = "imap://ann@imap.example.com/Drafts;uid=7;urlauth=submit+ann:internal:91"

  it("has the server fetch the message, or parts of it", function()
    local lines, receipt = sent({ "PIPELINING", "BURL imap" }, { message = { { url = URL } } })
    assert.same({ "MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.org>", "BURL " .. URL .. " LAST" }, lines)
    assert.same({ "bob@example.org" }, receipt.accepted)
    local parts, whole, _, peer = sent({ "PIPELINING", "CHUNKING", "BURL imap" },
      { message = { "Subject: x\r\n\r\n", { url = URL }, "the end" } })
    assert.same({ "MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.org>", "BDAT 14", "BURL " .. URL,
      "BDAT 9 LAST" }, parts)
    assert.equal("CHUNK1", whole.queue_id)
    assert.equal("Subject: x\r\n\r\nthe end\r\n", peer.messages[1])
  end)

  it("refuses what is no URL, and parts without CHUNKING", function()
    for _, bad in ipairs { "", "no url", "imap://a b", "imap://a\r\nDATA", "imap://\195\188" } do
      refused("invalid", { "BURL imap", "CHUNKING" }, { message = { { url = bad } } })
    end
    refused("unsupported", { "BURL imap" }, { message = { "x", { url = URL } } })
    raises({ message = { 5 } }, "part 1")
  end)
end)

describe("downgrade", function()
  it("is asked for the message in a form that the server takes", function()
    local asked = {}
    local _, receipt, _, peer = sent({ "PIPELINING" }, { message = "Subject: \195\188\r\n\r\n\195\188\r\n" }, {
      downgrade = function(text, extension)
        asked[#asked + 1] = extension
        if extension == "SMTPUTF8" then return (text:gsub("Subject: \195\188", "Subject: =?utf-8?q?=C3=BC?=")) end
        return (text:gsub("\195\188", "=C3=BC"))
      end })
    assert.is_table(receipt)
    assert.same({ "SMTPUTF8", "8BITMIME" }, asked)
    assert.equal("Subject: =?utf-8?q?=C3=BC?=\r\n\r\n=C3=BC\r\n", peer.messages[1])
    refused("unsupported", {}, { message = "\195\188" }, { downgrade = function() return nil end })
  end)

  it("is not needed for a domain: that becomes A-labels", function()
    local lines, receipt = sent({ "PIPELINING" }, { to = { "bob@b\195\188cher.example" } })
    assert.equal("RCPT TO:<bob@xn--bcher-kva.example>", lines[2])
    assert.same({ "bob@xn--bcher-kva.example" }, receipt.accepted)
  end)
end)

describe("chunking", function()
  it("is used where it is offered, unless it is switched off", function()
    local lines = sent({ "PIPELINING", "CHUNKING" }, {})
    assert.equal("BDAT 21 LAST", lines[3])
    lines = sent({ "PIPELINING", "CHUNKING" }, {}, { chunking = false })
    assert.equal("DATA", lines[3])
  end)
end)
