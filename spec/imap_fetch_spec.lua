-- IMAP FETCH against Dovecot: every item and its exact shape, bodies and parts of them, sinks with
-- bounded memory, and loops that are left early.

local loop = require "mail.loop"
local mailbox = require "spec.support.mailbox"

local dovecot, missing = mailbox.server()
local real = mailbox.real(it, pending, dovecot, missing)

local ENVELOPE = [[
Date: Sun, 01 Nov 2026 12:00:00 +0100
Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= und =?iso-8859-1?Q?=E4?=
From: =?utf-8?B?SsO2cmc=?= <joerg@example.org>
Sender: "Secretary \"S\"" <sec@example.org>
Reply-To: reply@example.org
To: Ann <ann@example.com>, bob@example.com
Cc: Team: cy@example.net, "Dan D." <dan@example.net>;, undisclosed-recipients:;, last@example.com
Bcc: hidden@example.com
In-Reply-To: <0@example.org>
Message-ID: <1@example.org>

body
]]

local MIXED = [[
Subject: mixed
Content-Type: multipart/mixed; boundary="m"

preamble
--m
Content-Type: multipart/alternative; boundary=a

--a
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable
Content-Language: de, en

Gr=C3=BC=C3=9Fe
--a
Content-Type: text/html; charset=utf-8
Content-ID: <html@x>
Content-Description: the page

<p>hi</p>
--a--
--m
Content-Type: application/pdf; name="a b.pdf"
Content-Disposition: attachment; filename="a b.pdf"; size=4
Content-Transfer-Encoding: base64
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==
Content-Location: http://example.org/a.pdf

JVBERg==
--m
Content-Type: message/rfc822

From: inner@example.org
To: outer@example.com
Subject: inner
Content-Type: multipart/mixed; boundary=i

--i

first
--i
Content-Type: image/png

png
--i--
--m--
]]

-- The lines of octets of a message's parts as Dovecot counts them.
local function of(text) return #mailbox.crlf(text) end

describe("IMAP fetch", function()
  real("the simple items", function()
    local session = mailbox.open(dovecot)
    assert(session:append("INBOX", "Subject: x\n\nbody\n", { flags = { "\\Seen", "work" }, date = 1793534400 }))
    assert(session:select "INBOX")
    local list = assert(session:fetch_all(1, { "uid", "flags", "internaldate", "size", "modseq" }))
    local m = list[1]
    assert.is_number(m.modseq)
    m.modseq = nil
    assert.same({ { seq = 1, uid = 1, flags = { ["\\Seen"] = true, work = true, ["\\Recent"] = true },
      internaldate = 1793534400, size = of "Subject: x\n\nbody\n" } }, list)
    assert.same({ { seq = 1, uid = 1 } }, session:fetch_all(1, "uid"))
    assert.same({ { seq = 1, size = 20 } }, session:fetch_all(1, { "RFC822.SIZE" }, { seq = true }))
    assert.same({ { seq = 1, uid = 1, size = 20 } }, session:fetch_all("*", { "SIZE", "uid", "size" }))
    local fast = assert(session:fetch_all(1, { "FAST" }))[1]
    assert.equal(20, fast.size)
    assert.is_true(fast.flags.work)
    assert.same({}, session:fetch_all("5:9", { "uid" }, { seq = false }))
    assert.same({}, session:fetch_all({}, { "uid" }))
    session:logout()
  end)

  real("an envelope, decoded to UTF-8", function()
    local session = mailbox.with(dovecot, { ENVELOPE, "\nno header\n" })
    local list = assert(session:fetch_all("1:*", { "envelope" }))
    assert.same({
      date = "Sun, 01 Nov 2026 12:00:00 +0100",
      subject = "Gr\195\188\195\159e und \195\164",
      from = { { name = "J\195\182rg", address = "joerg@example.org" } },
      sender = { { name = "Secretary \"S\"", address = "sec@example.org" } },
      reply_to = { { address = "reply@example.org" } },
      to = { { name = "Ann", address = "ann@example.com" }, { address = "bob@example.com" } },
      cc = {
        { group = "Team", members = {
          { address = "cy@example.net" }, { name = "Dan D.", address = "dan@example.net" },
        } },
        { group = "undisclosed-recipients", members = {} }, { address = "last@example.com" },
      },
      bcc = { { address = "hidden@example.com" } },
      in_reply_to = "<0@example.org>",
      message_id = "<1@example.org>",
    }, list[1].envelope)
    assert.same({}, list[2].envelope)
    session:logout()
  end)

  real("a body structure, with every field", function()
    local session = mailbox.with(dovecot, { MIXED, "Subject: plain\n\nbody\n" })
    local list = assert(session:fetch_all("1:2", { "bodystructure" }))
    local tree = list[1].bodystructure
    assert.equal("multipart/mixed", tree.type)
    assert.equal("TEXT", tree.section)
    assert.same({ boundary = "m" }, tree.parameters)
    assert.equal(3, #tree.parts)
    local alternative, pdf, rfc822 = tree.parts[1], tree.parts[2], tree.parts[3]
    assert.equal("multipart/alternative", alternative.type)
    assert.equal("1", alternative.section)
    assert.same({
      type = "text/plain", section = "1.1", parameters = { charset = "utf-8" }, encoding = "quoted-printable",
      size = 15, lines = 0, language = { "de", "en" },
    }, alternative.parts[1])
    assert.same({
      type = "text/html", section = "1.2", parameters = { charset = "utf-8" }, encoding = "7bit",
      size = 9, lines = 0, id = "<html@x>", description = "the page",
    }, alternative.parts[2])
    assert.same({
      type = "application/pdf", section = "2", parameters = { name = "a b.pdf" }, encoding = "base64", size = 8,
      md5 = "Q2hlY2sgSW50ZWdyaXR5IQ==", location = "http://example.org/a.pdf",
      disposition = { type = "attachment", parameters = { filename = "a b.pdf", size = "4" } },
    }, pdf)
    assert.equal("message/rfc822", rfc822.type)
    assert.equal("3", rfc822.section)
    assert.equal("inner", rfc822.envelope.subject)
    assert.equal("inner@example.org", rfc822.envelope.from[1].address)
    assert.is_number(rfc822.lines)
    assert.is_number(rfc822.size)
    assert.equal(1, #rfc822.parts)
    local inner = rfc822.parts[1]
    assert.equal("multipart/mixed", inner.type)
    assert.equal("3.TEXT", inner.section)
    assert.equal("text/plain", inner.parts[1].type)
    assert.equal("3.1", inner.parts[1].section)
    assert.equal("image/png", inner.parts[2].type)
    assert.equal("3.2", inner.parts[2].section)
    assert.same({
      type = "text/plain", section = "1", parameters = { charset = "us-ascii" }, encoding = "7bit", size = 6, lines = 1,
    }, list[2].bodystructure)
    -- the sections are what BODY[] takes
    local bodies = assert(session:fetch_all(1, { "BODY.PEEK[1.1]", "BODY.PEEK[3.2]", "BODY.PEEK[2.MIME]" }))[1].body
    assert.equal("Gr=C3=BC=C3=9Fe", bodies["1.1"])
    assert.equal("png", bodies["3.2"])
    assert.matches("^Content%-Type: application/pdf", bodies["2.MIME"])
    session:logout()
  end)

  real("bodies: whole, by section, in part, and what is not there", function()
    local session = mailbox.with(dovecot, { MIXED, ENVELOPE })
    local whole = mailbox.crlf(MIXED)
    local m = assert(session:fetch_all(1, { "body" }))[1]
    assert.equal(whole, m.body[""])
    assert.same({ "\\Recent" }, mailbox.keys(assert(session:fetch_all(1, { "flags" }))[1].flags)) -- PEEK
    m = assert(session:fetch_all(1, {
      "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]", "BODY.PEEK[HEADER.FIELDS (Subject X)]",
    }))[1]
    assert.equal(whole, m.body.HEADER .. m.body.TEXT)
    assert.equal("Subject: mixed\r\n\r\n", m.body["HEADER.FIELDS (SUBJECT X)"] or m.body["HEADER.FIELDS (Subject X)"])
    m = assert(session:fetch_all(1, { "BODY.PEEK[]<3.10>" }))[1]
    assert.equal(whole:sub(4, 13), m.body[""])
    m = assert(session:fetch_all(1, { "BODY.PEEK[]<0.5>", "BODY.PEEK[]<5.5>" }))[1]
    assert.same({ [""] = whole:sub(1, 5), ["<5>"] = whole:sub(6, 10) }, m.body)
    local all = assert(session:fetch_all("1:2", { "uid", "BODY.PEEK[9]" }))
    assert.equal(2, #all)
    assert.is_truthy((all[2].body["9"] or "") == "")
    m = assert(session:fetch_all(2, { "BODY[]" }))[1]
    assert.equal(mailbox.crlf(ENVELOPE), m.body[""])
    assert.is_true(assert(session:fetch_all(2, { "flags" }))[1].flags["\\Seen"])
    if session:has "BINARY" then
      assert.equal("%PDF", assert(session:fetch_all(1, { "BINARY.PEEK[2]" }))[1].binary["2"])
      assert.equal("%PDF", session:fetch_all(1, { "BINARY.PEEK[2]" })[1].body["2"])
      local both = session:fetch_all(1, { "BINARY.PEEK[2]", "BODY.PEEK[2]" })[1]
      assert.equal("%PDF", both.binary["2"])
      assert.matches("^JVBER", both.body["2"])
    end
    session:logout()
  end)

  real("headers, parsed", function()
    local session = mailbox.with(dovecot, { ENVELOPE })
    local m = assert(session:fetch_all(1, { "uid", "headers" }))[1]
    assert.is_table(m.headers)
    local seen = {}
    for _, field in ipairs(m.headers) do seen[field.name or field[1]] = field.value or field[2] end
    assert.equal("Gr\195\188\195\159e und \195\164", seen.Subject)
    assert.equal("<1@example.org>", seen["Message-ID"])
    assert.equal(10, #m.headers)
    for _, name in ipairs { "Message-ID", "message-id", "MESSAGE-ID" } do
      assert.equal("<1@example.org>", m.headers[name])
    end
    assert.is_nil(m.headers["X-None"])
    assert.is_nil(m.headers[11])
    session:logout()
  end)

  real("an item that the server does not know, and one that cannot be sent", function()
    local session = mailbox.with(dovecot, { "Subject: x\n\ny\n" })
    local list, err = session:fetch_all(1, { "NOSUCHITEM" })
    assert.is_nil(list)
    assert.equal("rejected", err.kind)
    assert.equal("FETCH", err.command)
    list, err = session:fetch_all(1, { "uid" }, { partial = "1:50" })
    assert.is_nil(list)
    assert.equal("unsupported", err.kind)
    assert.is_true(session:noop())
    session:logout()
  end)
end)

describe("IMAP fetch loops", function()
  local function many(n, size)
    local session, user = mailbox.open(dovecot)
    local folder = user.maildir
    os.execute(("mkdir -p '%s/cur' '%s/new' '%s/tmp'; cd '%s/cur' && i=1; "
      .. "head -c %d /dev/zero | tr '\\0' x | fold -w 70 "
      .. "> ../pad; while [ $i -le %d ]; do { echo \"Subject: $i\"; echo; cat ../pad; } > 17000$i.$i.host:2,S; "
      .. "i=$((i+1)); done; rm ../pad; chown -R %d:%d '%s' 2>/dev/null")
      :format(folder, folder, folder, folder, size, n, dovecot.keeper.uid, dovecot.keeper.gid, user.home))
    assert.equal(n, assert(session:select "INBOX").exists)
    return session, user
  end

  real("yield messages while they arrive, and stop when they are left", function()
    local session = many(300, 2000)
    local n = 0
    for m in assert(session:fetch("1:*", { "uid", "body" })) do
      n = n + 1
      assert.equal(n, m.seq)
      assert.matches("^Subject: ", m.body[""])
    end
    assert.equal(300, n)
    local it = assert(session:fetch("1:*", { "uid", "body" }))
    for m in it do
      if m.seq == 5 then break end
    end
    it:close()
    assert.is_nil((it:next()))
    assert.is_true(session:noop())
    assert.equal(300, #assert(session:search()))
    session:logout()
  end)

  real("leave room for commands of the same and of other coroutines", function()
    loop.run(function()
      local session = many(200, 20000)
      local all = assert(session:search())
      local n, done = 0, false
      local task = loop.spawn(function()
        local rounds = 0
        while not done do
          assert(session:status("Archive", { "messages" }))
          rounds = rounds + 1
          loop.sleep(0.002)
        end
        return rounds
      end)
      local it = assert(session:fetch(all, { "uid", "body" }))
      local m = it:next()
      while m do
        n = n + 1
        assert.equal(all[n], m.uid)
        assert.is_true(#m.body[""] > 20000)
        if n % 20 == 0 then
          assert(session:store(m.uid, { add = { "seen20" } }))
          assert.equal(1, #assert(session:search { uid = m.uid, keyword = "seen20" }))
          loop.sleep(0.002)
        end
        m = it:next()
      end
      done = true
      assert.equal(200, n)
      assert.is_true(task:join() > 0)
      assert.equal(10, #assert(session:search { keyword = "seen20" }))
      session:logout()
    end)
  end)

  real("may run side by side, each with its own answers", function()
    loop.run(function()
      local session = many(120, 5000)
      local tasks = {}
      for k = 1, 6 do
        tasks[k] = loop.spawn(function()
          local set, count = {}, 0
          for i = k, 120, 6 do set[#set + 1] = i end
          local it = assert(session:fetch(set, { "uid", "body" }, { seq = true }))
          local m = it:next()
          while m do
            count = count + 1
            assert.equal(set[count], m.seq)
            assert.is_string(m.body[""])
            m = it:next()
          end
          return count
        end)
      end
      for k = 1, 6 do assert.equal(20, (tasks[k]:join())) end
      session:logout()
    end)
  end)
end)

describe("IMAP fetch of a body that drips", function()
  local function fetched(timeout, pause)
    local list, err
    mailbox.selected("", 1, function(peer)
      local tag = mailbox.command(peer, "UID FETCH")
      peer:send "* 1 FETCH (UID 1 BODY[] {10}\r\n"
      for i = 1, 10 do
        if i == 5 then loop.sleep(pause) end
        if not peer:drip("x", 0.06) then return end
      end
      peer:send(")\r\n" .. tag .. " OK done\r\n")
    end, function(session)
      list, err = session:fetch_all(1, { "body" }, { timeout = timeout })
      session:close()
    end)
    return list and list[1].body[""] or err.kind
  end

  it("has the time of its gaps where those are bounded, however small it is", function()
    assert.equal(("x"):rep(10), fetched({ answer = 0.3, data = 0.3 }, 0))
    assert.equal("timeout", fetched({ answer = 0.3 }, 0))
    assert.equal("timeout", fetched(0.3, 0))
    assert.equal("timeout", fetched({ answer = 5, data = 0.2 }, 1))
  end)
end)

describe("IMAP fetch into a sink", function()
  real("hands out 20 MB in bounded memory, section by section", function()
    local session = mailbox.open(dovecot)
    local line = ("z"):rep(1022) .. "\r\n"
    local left = 20 * 1024
    assert(session:append("INBOX", function()
      if left == 0 then return nil end
      left = left - 64
      return line:rep(64)
    end, { size = 20 * 1024 * 1024 }))
    line = nil
    assert(session:append("INBOX", "Subject: small\n\nbody\n"))
    assert(session:select "INBOX")
    collectgarbage()
    collectgarbage()
    local before, most, chunks, got, owners = collectgarbage "count", 0, 0, {}, {}
    local list = assert(session:fetch_all("1:2", { "uid", "size", "body", "BODY.PEEK[9]" }, {
      sink = function(m, section, chunk)
        owners[m] = true
        assert.equal("", section)
        assert.is_true(#chunk > 0)
        got[m.uid] = (got[m.uid] or 0) + #chunk
        chunks = chunks + 1
        if chunks % 16 == 0 then -- what is held, not what a lazy collector has left lying about
          collectgarbage()
          most = math.max(most, collectgarbage "count")
        end
        return true
      end }))
    assert.same({ 20 * 1024 * 1024, #"Subject: small\r\n\r\nbody\r\n" }, got)
    assert.is_true(chunks >= 16)
    assert.is_true(most - before < 2048, ("%.0f KiB more"):format(most - before))
    assert.equal(2, #list)
    assert.is_true(owners[list[1]] and owners[list[2]]) -- one table from its first octet to the end
    assert.equal(20 * 1024 * 1024, list[1].size)
    assert.is_nil(list[1].body and list[1].body[""])
    session:logout()
  end)

  real("has the limit of a message where that was set by hand, and no other", function()
    local text, user = "Subject: x\n\n" .. (("y"):rep(70) .. "\n"):rep(5000), nil
    local function sunk(limits)
      local session
      session, user = mailbox.open(dovecot, user, "none", { limits = limits })
      if not limits then assert(session:append("INBOX", text)) end
      assert(session:select "INBOX")
      local octets = 0
      local list, err = session:fetch_all(1, { "body" }, { sink = function(_, _, chunk) octets = octets + #chunk end })
      session:close()
      return list and octets or err.kind
    end
    local whole = sunk()
    assert.is_true(whole > 350000)
    assert.equal("limit", sunk { message = 100000 })
    assert.equal(whole, sunk { message = 100000, stream = 0 })
    assert.equal(whole, sunk { literal = 1000 })
  end)

  real("leaves out what is empty or not there", function()
    local session = mailbox.with(dovecot, { "Subject: x\n\n" })
    local calls = {}
    local list = assert(session:fetch_all(1, { "BODY.PEEK[TEXT]", "BODY.PEEK[HEADER]" }, {
      sink = function(_, section, chunk) calls[#calls + 1] = section .. "=" .. chunk end }))
    assert.same({ "HEADER=Subject: x\r\n\r\n" }, calls)
    assert.equal(1, #list)
    assert.is_nil(list[1].body)
    session:logout()
  end)

  real("stops where the sink does, and the session goes on", function()
    local session = mailbox.with(dovecot, { "Subject: x\n\n" .. ("y\n"):rep(200000), "Subject: 2\n\ntwo\n" })
    local list, err = session:fetch_all("1:2", { "uid", "body" }, { sink = function() return nil, "disk full" end })
    assert.is_nil(list)
    assert.equal("io", err.kind)
    assert.equal("FETCH", err.command)
    assert.matches("disk full", err.message)
    assert.is_true(session:noop())
    if mailbox.yields_everywhere then
      local ok, what = pcall(session.fetch_all, session, "1:2", { "uid", "body" }, {
        sink = function() error("a bug in the sink", 0) end })
      assert.is_false(ok)
      assert.equal("a bug in the sink", what)
      assert.same({ 1, 2 }, session:search())
    end
    session:logout()
  end)
end)

describe("IMAP fetch, used wrongly, raises at the caller's line:", function()
  real("items and options", function()
    local session = mailbox.with(dovecot, { "Subject: x\n\ny\n" })
    for _, call in ipairs { "fetch", "fetch_all" } do
      local function raises(pattern, ...)
        local arguments = { n = select("#", ...), ... }
        mailbox.raises("imap_fetch_spec.lua", function()
          session[call](session, (table.unpack or unpack)(arguments, 1, arguments.n)) -- luacheck: ignore
          return nil -- no tail call: its line would be nobody's
        end, pattern)
      end
      raises("items", 1)
      raises("items", 1, {})
      raises("items", 1, 5)
      raises("item must be a string", 1, { 5 })
      raises("bad item", 1, { "" })
      raises("bad item", 1, { "UID\r\nA1 LOGOUT" })
      raises("bad set", nil, { "uid" })
      raises("snk", 1, { "uid" }, { snk = print })
      raises("sink", 1, { "uid" }, { sink = "file" })
      raises("changed_since", 1, { "uid" }, { changed_since = "x" })
      raises("partial", 1, { "uid" }, { partial = "1-50" })
      raises("table of options", 1, { "uid" }, 5)
    end
    session:close()
  end)
end)
