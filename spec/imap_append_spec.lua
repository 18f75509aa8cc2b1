-- IMAP APPEND beyond one message: many at once, put together by the server, with NUL in them, in
-- place of another. Against Dovecot where it can, else against a scripted server.

local loop = require "mail.loop"
local mailbox = require "spec.support.mailbox"
local compose = require "mail.message".new

local dovecot, missing = mailbox.server()
local cyrus, no_cyrus = mailbox.cyrus()
local courier, no_courier = require "spec.servers".courier()
local real = mailbox.real(it, pending, dovecot, missing)
local on_courier = mailbox.real(it, pending, courier, no_courier)
local on_cyrus = mailbox.real(it, pending, cyrus, no_cyrus)

-- The same against both servers.
local function both(name, fn)
  real(name .. " (Dovecot)", function() fn(dovecot) end)
  on_cyrus(name .. " (Cyrus)", function() fn(cyrus) end)
end

local function lesser(words) return assert(mailbox.server { extra = "imap_capability = " .. words .. "\n" }) end

local function text(i) return ("Subject: %d\r\n\r\nmessage %d\r\n"):format(i, i) end

-- A source function of these pieces.
local function pieces(list)
  local i = 0
  return function()
    i = i + 1
    return list[i]
  end
end

local function temporary(bytes)
  local file = assert(io.tmpfile())
  file:write(bytes)
  file:seek "set"
  return file
end

local function bodies(session, set)
  local list = {}
  for i, m in ipairs(assert(session:fetch_all(set or "1:*", { "uid", "body" }))) do list[i] = m.body[""] end
  return list
end

local admitted = mailbox.admitted

describe("IMAP append where UTF8=ACCEPT is on", function()
  on_courier("takes messages of any kind (Courier)", function()
    local session = mailbox.open(courier)
    assert.is_true(session.enabled["UTF8=ACCEPT"])
    local composed = assert(compose { from = "a@x.org", to = "b@x.org", subject = "Grüße", text = "ü" })
    local wide = assert(compose { from = "ü@x.org", to = "b@x.org", subject = "Grüße", text = "ü" })
    local octets = { composed:tostring(), "Subject: ü\r\n\r\nü\r\n", "Subject: file\r\n\r\nx\r\n", wide:tostring() }
    assert.equal(1, assert(session:append("INBOX", composed)).uid)
    assert.equal(2, assert(session:append("INBOX", octets[2])).uid)
    assert.equal(3, assert(session:append("INBOX", temporary(octets[3]))).uid)
    assert.equal(4, assert(session:append("INBOX", wide, { flags = { "\\Seen" }, date = 86400 })).uid)
    assert(session:select "INBOX")
    assert.same(octets, bodies(session))
    session:logout()
  end)
end)

describe("IMAP append of many", function()
  local function many(session)
    local commands = 0
    session:append("INBOX", text(0))
    local result = assert(session:append("INBOX", {
      text(1), temporary "Subject: 2\n\nmessage 2\n", pieces { "Subject: 3\n\nmess", "age 3\n" },
      { message = text(4), flags = { "\\Seen" }, date = 86400 }, text(5),
    }, { flags = { "\\Flagged" } }))
    assert.same({ 2, 3, 4, 5, 6 }, result.uids)
    assert.is_number(result.uidvalidity)
    assert(session:select "INBOX")
    assert.same({ text(0), text(1), text(2), text(3), text(4), text(5) }, bodies(session))
    local list = assert(session:fetch_all("1:*", { "flags", "internaldate" }))
    assert.is_true(list[2].flags["\\Flagged"] and list[3].flags["\\Flagged"] and list[6].flags["\\Flagged"])
    assert.is_true(list[5].flags["\\Seen"])
    assert.is_nil(list[5].flags["\\Flagged"])
    assert.equal(86400, list[5].internaldate)
    session:logout()
    return commands
  end

  both("goes in one command where the server has MULTIAPPEND", function(server)
    local lines = {}
    many((mailbox.open(server, nil, "none", { log = function(who, line)
      if who == "C" and line:find " APPEND " then lines[#lines + 1] = line end
    end })))
    assert.equal(2, #lines)
  end)

  real("goes one by one where it has not", function()
    many((mailbox.open(lesser "IMAP4rev1 UIDPLUS LITERAL+")))
  end)

  both("takes more than fit into one command, in order, and streams each", function(server)
    local session = mailbox.open(server)
    local list = {}
    for i = 1, 250 do list[i] = i % 2 == 0 and text(i) or pieces { text(i):sub(1, 9), text(i):sub(10) } end
    local result = assert(session:append("INBOX", list))
    assert.equal(250, #result.uids)
    for i = 2, 250 do assert.is_true(result.uids[i] > result.uids[i - 1]) end
    assert(session:select "INBOX")
    local got = bodies(session)
    for i = 1, 250 do assert.equal(text(i), got[i]) end
    session:logout()
  end)

  both("stores none of a command that breaks off, and says what was stored before", function(server)
    local session, user = mailbox.open(server)
    local result, err = session:append("INBOX", { text(1), text(2) }, { flags = { "bad)" } })
    assert.is_nil(result)
    assert.equal("invalid", err.kind)
    local asked = 0
    result, err = session:append("INBOX", { text(1), { size = 100, message = function()
      asked = asked + 1
      if asked == 1 then return "Subject: x\r\n" end
      return nil, "the disk is gone"
    end } })
    assert.is_nil(result)
    assert.equal("io", err.kind)
    assert.same({ 0, 1, 2 }, { err.appended, err.first, err.last })
    local other = mailbox.open(server, user)
    assert.equal(0, assert(other:select "INBOX").exists)
    other:logout()
  end)

  it("tells which were stored where the server refuses in the middle", function()
    admitted("UIDPLUS LITERAL+", function(peer)
      for i = 1, 2 do
        local tag = mailbox.command(peer, "^APPEND INBOX {%d+%+}")
        assert(peer:through(("message %d\r\n\r\n"):format(i)))
        peer:send(("%s OK [APPENDUID 7 %d] done\r\n"):format(tag, 40 + i))
      end
      local tag = mailbox.command(peer, "^APPEND")
      assert(peer:through "message 3\r\n\r\n")
      peer:send(tag .. " NO [OVERQUOTA] full\r\n")
    end, function(session)
      local result, err = session:append("INBOX", { text(1), text(2), text(3), text(4) })
      assert.is_nil(result)
      assert.same({ "rejected", "OVERQUOTA", "APPEND" }, { err.kind, err.response_code, err.command })
      assert.same({ 2, 3, 3 }, { err.appended, err.first, err.last })
      assert.same({ 41, 42 }, err.uids)
    end)
  end)

  it("puts no more into a command than the server processes (MESSAGELIMIT), nor trusts its UIDs", function()
    admitted("UIDPLUS LITERAL+ MULTIAPPEND MESSAGELIMIT=2", function(peer)
      local tag = mailbox.command(peer, "^APPEND INBOX")
      assert(peer:through "message 2\r\n\r\n")
      peer:send(tag .. " OK [APPENDUID 7 1:4294967295] done\r\n")
      tag = mailbox.command(peer, "^APPEND INBOX")
      assert(peer:through "message 3\r\n\r\n")
      peer:send(tag .. " OK [APPENDUID 7 9] done\r\n")
    end, function(session)
      assert.same({ uidvalidity = 7 }, assert(session:append("INBOX", { text(1), text(2), text(3) })))
    end)
  end)
end)

describe("IMAP append of what the server puts together", function()
  both("CATENATE: texts, files and parts of other messages", function(server)
    local session = mailbox.with(server, { "Subject: old\n\nold body\n" })
    local result = assert(session:append("INBOX", { catenate = {
      "Subject: new\n\n", temporary "from a file\n", { uid = 1, section = "TEXT" },
      { text = pieces { "the ", "end\n" } }, { url = "/INBOX;UIDVALIDITY=" .. session.mailbox.uidvalidity
        .. "/;UID=1/;SECTION=TEXT" },
    } }, { flags = { "\\Seen" } }))
    assert.is_number(result.uid)
    assert.same({ "Subject: new\r\n\r\nfrom a file\r\nold body\r\nthe end\r\nold body\r\n" },
      bodies(session, result.uid))
    session:logout()
  end)

  both("names the URL that is none", function(server)
    local session = mailbox.with(server, { "Subject: old\n\nold body\n" })
    local result, err = session:append("INBOX", { catenate = { "a\n", { url = "/INBOX/;UID=99" }, "b\n" } })
    assert.is_nil(result)
    assert.equal("rejected", err.kind)
    assert.same({ "BADURL", "/INBOX/;UID=99" }, { err.response_code, err.response_value })
    assert.is_true(session:noop())
    session:logout()
  end)

  real("says so where the server cannot", function()
    local session = mailbox.with(lesser "IMAP4rev1", {})
    local result, err = session:append("INBOX", { catenate = { "a\n" } })
    assert.is_nil(result)
    assert.same({ "unsupported", "APPEND" }, { err.kind, err.command })
    session:logout()
  end)
end)

describe("IMAP append with NUL in it", function()
  local NUL = "Subject: x\r\nContent-Transfer-Encoding: binary\r\n\r\na\0b\nc"

  both("goes as a literal8, octet for octet where asked for", function(server)
    local session = mailbox.with(server, {})
    local sent = {}
    for _, message in ipairs { NUL, temporary(NUL), pieces { NUL:sub(1, 40), NUL:sub(41) } } do
      sent[#sent + 1] = assert(session:append("INBOX", message, { binary = type(message) == "string" })).uid
    end
    assert.equal(3, #sent)
    session:logout()
  end)

  it("octet for octet", function()
    admitted("BINARY LITERAL+ UIDPLUS", function(peer)
      for _ = 1, 2 do
        local tag = mailbox.command(peer, "^APPEND INBOX ~{" .. #NUL .. "%+}")
        assert.equal(NUL .. "\r\n", peer:through "b\nc\r\n")
        peer:send(tag .. " OK [APPENDUID 7 1] done\r\n")
      end
    end, function(session)
      assert(session:append("INBOX", NUL, { binary = true }))
      assert(session:append("INBOX", temporary(NUL), { binary = true }))
    end)
  end)

  it("is refused where the server has no BINARY, before anything is sent", function()
    admitted("LITERAL+", function(peer)
      mailbox.answer(peer, "^NOOP")
    end, function(session)
      for _, message in ipairs { NUL, temporary(NUL), pieces { NUL } } do
        local result, err = session:append("INBOX", message)
        assert.is_nil(result)
        assert.same({ "invalid", "APPEND" }, { err.kind, err.command })
      end
      local _, err = session:append("INBOX", "x", { binary = true })
      assert.equal("unsupported", err.kind)
      assert.is_true(session:noop())
    end)
  end)

  it("ends the session where it comes after the size was told", function()
    admitted("LITERAL+", function() end, function(session)
      local result, err = session:append("INBOX", pieces { NUL }, { size = #NUL })
      assert.is_nil(result)
      assert.equal("invalid", err.kind)
    end)
  end)
end)

describe("IMAP replace", function()
  both("without REPLACE: appends, then takes the old one away, and no other", function(server)
    local session = mailbox.with(server, { "Subject: a\n\na\n", "Subject: b\n\nb\n", "Subject: c\n\nc\n" })
    assert.is_false(session:has "REPLACE")
    assert(session:store(3, { add = { "\\Deleted" } }))
    local result = assert(session:replace(2, "INBOX", text(9), { flags = { "\\Draft" } }))
    assert.same({ 4, true }, { result.uid, result.expunged })
    assert.same({ 1, 3, 4 }, session:search())
    assert.same({ text(9) }, bodies(session, 4))
    local err
    result, err = session:replace(2, "INBOX", text(10))
    assert.is_nil(result)
    assert.same({ "rejected", "NONEXISTENT" }, { err.kind, err.response_code })
    result, err = session:replace(1, "no such", text(10))
    assert.is_nil(result)
    assert.equal("TRYCREATE", err.response_code)
    assert.same({ 1, 3, 4 }, session:search())
    result, err = session:replace(9, "INBOX", text(10), { seq = true })
    assert.is_nil(result)
    assert.equal("rejected", err.kind)
    local uid = assert(session:replace(2, "INBOX", text(10), { seq = true })).uid
    assert.same({ 1, 4, uid }, session:search())
    session:logout()
  end)

  real("without REPLACE and UIDPLUS: the old one stays, marked", function()
    local session = mailbox.with(lesser "IMAP4rev1", { "Subject: a\n\na\n", "Subject: b\n\nb\n" })
    assert.is_false(assert(session:replace(1, "INBOX", text(9))).expunged)
    assert.same({ 1 }, session:search { deleted = true })
    assert.equal(3, #session:search())
    session:logout()
  end)

  it("REPLACE: one command, streamed, the place told before or with the answer", function()
    mailbox.selected("UIDPLUS LITERAL+ REPLACE", 3, function(peer)
      local tag = mailbox.command(peer, "^UID REPLACE 4 Drafts %(\\Draft%) {25%+}")
      assert(peer:through "message 1\r\n\r\n")
      peer:send("* OK [APPENDUID 1 2000] Replacement Message ready\r\n* 5 EXISTS\r\n* 4 EXPUNGE\r\n"
        .. tag .. " OK done\r\n")
      tag = mailbox.command(peer, "^REPLACE 2 Drafts {25%+}")
      assert(peer:through "message 1\r\n\r\n")
      peer:send(tag .. " OK [APPENDUID 1 2001] done\r\n")
      tag = mailbox.command(peer, "^UID REPLACE 77 Drafts")
      assert(peer:through "message 1\r\n\r\n")
      peer:send(tag .. " NO [NONEXISTENT] none\r\n")
    end, function(session)
      local expunged = 0
      session:on("expunge", function() expunged = expunged + 1 end)
      assert.same({ uidvalidity = 1, uid = 2000 }, assert(session:replace(4, "Drafts", text(1), { flags = "\\Draft" })))
      assert.equal(1, expunged)
      assert.same({ uidvalidity = 1, uid = 2001 },
        assert(session:replace(2, "Drafts", pieces { text(1) }, { seq = true, size = #text(1) })))
      local result, err = session:replace(77, "Drafts", text(1))
      assert.is_nil(result)
      assert.same({ "rejected", "UID REPLACE", "NONEXISTENT" }, { err.kind, err.command, err.response_code })
    end)
  end)

  it("takes as long as the message moves, where the gaps are bounded", function()
    local message = "Subject: x\r\n\r\n" .. (("y"):rep(1022) .. "\r\n"):rep(16 * 1024)
    mailbox.selected("LITERAL+", 3, function(peer)
      local tag = mailbox.command(peer, "^APPEND")
      local octets = #peer.input
      peer.input = ""
      for _, level in ipairs { 4, 8, 12, 16 } do
        while octets < level * 1048576 do octets = octets + #assert(peer:some()) end
        if level < 16 then loop.sleep(0.6) end
      end
      peer:send(tag .. " OK done\r\n")
    end, function(session)
      assert.is_table(session:append("Drafts", message, { timeout = { answer = 1, data = 1 } }))
    end)
    mailbox.selected("LITERAL+", 3, function(peer)
      mailbox.command(peer, "^APPEND")
      loop.sleep(1)
    end, function(session)
      local ok, err = session:append("Drafts", message, { timeout = { answer = 0.2, data = 0.1 } })
      assert.is_nil(ok)
      assert.equal("timeout", err.kind)
      session:close()
    end)
  end)

  it("says that the new one is there where the old one cannot be taken away", function()
    mailbox.selected("UIDPLUS LITERAL+", 3, function(peer)
      mailbox.answer(peer, "^UID FETCH 4 %(UID%)", "* 1 FETCH (UID 4)\r\n")
      local tag = mailbox.command(peer, "^APPEND")
      assert(peer:through "message 1\r\n\r\n")
      peer:send(tag .. " OK [APPENDUID 7 50] done\r\n")
      mailbox.answer(peer, "^UID STORE 4 %+FLAGS.SILENT %(\\Deleted%)", nil, "NO [NOPERM] no")
    end, function(session)
      local result, err = session:replace(4, "Drafts", text(1))
      assert.is_nil(result)
      assert.same({ "NOPERM", 1, 50 }, { err.response_code, err.appended, err.uid })
    end)
  end)
end)

describe("IMAP append, used wrongly, raises at the caller's line:", function()
  real("messages, parts and options", function()
    local session = mailbox.with(dovecot, {})
    local function raises(pattern, method, ...)
      local arguments = { n = select("#", ...), ... }
      mailbox.raises("imap_append_spec.lua", function()
        session[method](session, (table.unpack or unpack)(arguments, 1, arguments.n)) -- luacheck: ignore
        return nil
      end, pattern)
    end
    raises("message must be", "append", "INBOX", { text(1), 5 })
    raises("message must be", "append", "INBOX", {})
    raises("array of texts", "append", "INBOX", { catenate = "x" })
    raises("part 2", "append", "INBOX", { catenate = { "x", { uri = "x" } } })
    raises("flags", "append", "INBOX", text(1), { flags = 5 })
    raises("a flag must be", "append", "INBOX", { { message = text(1), flags = { 5 } } })
    raises("one message", "replace", "1:2", "INBOX", text(1))
    raises("one message", "replace", 0, "INBOX", text(1))
    raises("message must be", "replace", 1, "INBOX", { text(1) })
    session:close()
  end)
end)
