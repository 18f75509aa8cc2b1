-- IMAP FETCH in windows, of servers that do a part, that cannot decode, that tell how far they are;
-- and the items of extensions.

local loop = require "mail.loop"
local mailbox = require "spec.support.mailbox"

local dovecot, missing = mailbox.server()
local cyrus, no_cyrus = mailbox.cyrus()
local real = mailbox.real(it, pending, dovecot, missing)
local on_cyrus = mailbox.real(it, pending, cyrus, no_cyrus)

-- The same against both servers.
local function both(name, fn)
  real(name .. " (Dovecot)", function() fn(dovecot) end)
  on_cyrus(name .. " (Cyrus)", function() fn(cyrus) end)
end

local function lesser(words) return assert(mailbox.server { extra = "imap_capability = " .. words .. "\n" }) end

local function uids_of(list)
  local out = {}
  for i, m in ipairs(list) do out[i] = m.uid end
  return out
end

-- The answer to a FETCH of UIDs `lo` to `hi`, of messages numbered alike.
local function messages(lo, hi, items)
  local out = {}
  for i = lo, hi, lo <= hi and 1 or -1 do out[#out + 1] = ("* %d FETCH (UID %d "):format(i, i) .. items .. ")\r\n" end
  return table.concat(out)
end

local BODY = "BODY[] {5}\r\nhello"

describe("IMAP fetch windows", function()
  it("ask for the next while the present comes, and cost one of them when left", function()
    mailbox.selected("", 99, function(peer)
      local first, set = mailbox.command(peer, "^UID FETCH 1:16 %(UID BODY.PEEK%[%]%)")
      assert(set)
      peer:send(messages(1, 3, BODY))
      local second = mailbox.command(peer, "^UID FETCH 17:32 ")
      peer:send(messages(4, 16, BODY) .. messages(17, 20, BODY)) -- a server may be ahead of its own answers
      peer:send(first .. " OK done\r\n" .. messages(21, 32, BODY))
      local third = mailbox.command(peer, "^UID FETCH 33:64 ")
      peer:send(second .. " OK done\r\n" .. messages(33, 64, BODY) .. third .. " OK done\r\n")
      local fourth = mailbox.command(peer, "^UID FETCH 65:99,100:%* ")
      peer:send(messages(65, 99, BODY) .. fourth .. " OK done\r\n")
      mailbox.answer(peer, "^NOOP")
    end, function(session)
      local list = assert(session:fetch_all("1:*", { "uid", "body" }))
      assert.equal(99, #list)
      for i = 1, 99 do assert.same({ i, "hello" }, { list[i].uid, list[i].body[""] }) end
      assert.is_true(session:noop())
    end)
    mailbox.selected("", 99, function(peer) -- "100:*" brings the last message, whatever its number
      mailbox.answer(peer, "^UID FETCH 84:99 ", messages(84, 99, BODY))
      mailbox.answer(peer, "^UID FETCH 100:%* ", messages(99, 99, BODY))
      mailbox.answer(peer, "^UID FETCH 100:%* ", messages(99, 99, BODY))
    end, function(session)
      assert.equal(16, #assert(session:fetch_all("84:*", { "uid", "body" })))
      assert.same({ 99 }, uids_of(assert(session:fetch_all("100:*", { "uid", "body" }))))
    end)
    mailbox.selected("", 99, function(peer)
      local first = mailbox.command(peer, "^UID FETCH 1:16 ")
      peer:send(messages(1, 3, BODY))
      local second = mailbox.command(peer, "^UID FETCH 17:32 ")
      peer:send(messages(4, 16, BODY) .. first .. " OK\r\n" .. messages(17, 32, BODY) .. second .. " OK\r\n")
      mailbox.answer(peer, "^NOOP")
    end, function(session)
      local fetch = assert(session:fetch("1:*", { "uid", "body" }))
      for _ = 1, 2 do assert(fetch:next()) end
      fetch:close()
      assert.is_true(session:noop())
    end)
  end)

  it("of streamed bodies are in flight together too", function()
    local big = ("x"):rep(40000)
    mailbox.selected("", 99, function(peer)
      local item = "BODY[] {40000}\r\n" .. big
      local first = mailbox.command(peer, "^UID FETCH 1:16 ")
      peer:send(messages(1, 2, item))
      local second = mailbox.command(peer, "^UID FETCH 17:20 ")
      peer:send(messages(3, 16, item) .. first .. " OK\r\n" .. messages(17, 20, item) .. second .. " OK\r\n")
    end, function(session)
      local got = {}
      local list = assert(session:fetch_all("1:20", { "uid", "body" }, {
        sink = function(m, _, chunk) got[m.uid] = (got[m.uid] or 0) + #chunk end,
      }))
      assert.equal(20, #list)
      for i = 1, 20 do assert.equal(40000, got[i]) end
    end)
  end)

  both("keep to the set: holes, ranges, a mailbox that grows", function(server)
    loop.run(function()
      local list = {}
      for i = 1, 60 do list[i] = ("Subject: %d\n\n%d\n"):format(i, i) end
      local session, user = mailbox.with(server, {})
      assert(session:append("INBOX", list))
      assert(session:select "INBOX")
      assert(session:store("11:40", { add = { "\\Deleted" } }))
      assert(session:expunge())
      assert.same({ 1, 2, 41, 42, 60 }, uids_of(assert(session:fetch_all("1:2,30:42,60", { "uid", "body" }))))
      assert.equal(30, #assert(session:fetch_all("1:*", { "uid", "body" })))
      assert.equal(30, #assert(session:fetch_all("1:4294967295", { "uid", "body" })))
      assert.same({ 60 }, uids_of(assert(session:fetch_all("100:*", { "uid", "body" }))))
      local other = mailbox.open(server, user)
      assert(other:append("INBOX", { "Subject: new\n\nnew\n", "Subject: newer\n\nnewer\n" }))
      local got = uids_of(assert(session:fetch_all("50:*", { "uid", "body" })))
      assert.equal(50, got[1])
      assert.is_true(#got == 11 or #got == 13)
      assert(session:noop())
      assert.equal(13, #assert(session:fetch_all("50:*", { "uid", "body" })))
      other:logout()
      session:logout()
    end)
  end)
end)

describe("IMAP servers that process so many messages at once (MESSAGELIMIT)", function()
  it("are asked again for what is left of a FETCH", function()
    mailbox.selected("MESSAGELIMIT=2", 6, function(peer)
      mailbox.answer(peer, "^UID FETCH 1:6 %(UID%)", messages(6, 5, "FLAGS ()"), "OK [MESSAGELIMIT 2 5] part")
      mailbox.answer(peer, "^UID FETCH 1:4 %(UID%)", messages(4, 3, "FLAGS ()")
        .. "* NO [MESSAGELIMIT 2 3] part\r\n", "OK [EXPUNGEISSUED] gone")
      mailbox.answer(peer, "^UID FETCH 1:2 %(UID%)", messages(2, 1, "FLAGS ()"))
      mailbox.answer(peer, "^FETCH 1:3 %(UID%)", messages(3, 2, "FLAGS ()"), "OK [MESSAGELIMIT 2 2] part")
      mailbox.answer(peer, "^FETCH 1 %(UID%)", messages(1, 1, "FLAGS ()"))
    end, function(session)
      assert.same({ 6, 5, 4, 3, 2, 1 }, uids_of(assert(session:fetch_all("1:6", { "uid" }))))
      assert.same({ 3, 2, 1 }, uids_of(assert(session:fetch_all("1:3", { "uid" }, { seq = true }))))
    end)
  end)

  it("are asked again for what is left of a SEARCH", function()
    mailbox.selected("MESSAGELIMIT=2", 6, function(peer)
      mailbox.answer(peer, "^UID SEARCH UNSEEN$", "* SEARCH 6 5\r\n", "OK [MESSAGELIMIT 2 5] part")
      mailbox.answer(peer, "^UID SEARCH UNSEEN UID 1:4$", "* SEARCH 3\r\n", "OK [MESSAGELIMIT 2 3] part")
      mailbox.answer(peer, "^UID SEARCH UNSEEN UID 1:2$", "* SEARCH\r\n")
      mailbox.answer(peer, "^UID SEARCH UNSEEN$", "* SEARCH 6 5\r\n", "OK [MESSAGELIMIT 2 5] part")
      mailbox.answer(peer, "^UID SEARCH UNSEEN UID 1:4$", "* SEARCH 6\r\n", "OK [MESSAGELIMIT 2 5] the same again")
    end, function(session)
      local found = assert(session:search { unseen = true })
      table.sort(found)
      assert.same({ 3, 5, 6 }, { found[1], found[2], found[3] })
      assert.equal(3, #found)
      local _, err = session:search { unseen = true }
      assert.same({ "rejected", "MESSAGELIMIT" }, { err.kind, err.response_code })
    end)
  end)

  it("are asked again for what is left of STORE, MOVE, UID EXPUNGE, and for less by COPY", function()
    mailbox.selected("MESSAGELIMIT=2 MOVE UIDPLUS", 6, function(peer)
      mailbox.answer(peer, "^UID STORE 1:6 ", nil, "OK [MESSAGELIMIT 2 5] part")
      mailbox.answer(peer, "^UID STORE 1:4 ", nil, "OK [MODIFIED 3] done")
      mailbox.answer(peer, "^UID MOVE 1:6 ", "* OK [COPYUID 9 5:6 1:2] part\r\n* 6 EXPUNGE\r\n* 5 EXPUNGE\r\n",
        "OK [MESSAGELIMIT 2 5] part")
      mailbox.answer(peer, "^UID MOVE 1:4 ", "* OK [COPYUID 9 3:4 3:4] done\r\n")
      mailbox.answer(peer, "^UID EXPUNGE 1:9 ?", nil, "OK [MESSAGELIMIT 2 8] part")
      mailbox.answer(peer, "^UID EXPUNGE 1:7 ?")
      mailbox.answer(peer, "^UID COPY 1:4 ", nil, "NO [MESSAGELIMIT 2 3] too many")
      mailbox.answer(peer, "^UID COPY 3:4 ", nil, "OK [COPYUID 9 3:4 10:11] done")
      mailbox.answer(peer, "^UID COPY 1:2 ", nil, "OK [COPYUID 9 1:2 12:13] done")
      mailbox.answer(peer, "^UID COPY 1:4 ", nil, "NO [MESSAGELIMIT 2] too many")
      mailbox.answer(peer, "^UID STORE 1:6 ", nil, "OK [MESSAGELIMIT 2 9] nothing at all")
      mailbox.answer(peer, "^UID FETCH 1:6 ", nil, "OK [MESSAGELIMIT 2 9] nothing at all")
    end, function(session)
      assert.equal("3", assert(session:store("1:6", { add = "\\Seen" }, { unchanged_since = 5 })).modified)
      assert.same({ uidvalidity = 9, from = "5:6,3:4", to = "1:2,3:4" }, assert(session:move("1:6", "x")))
      assert.is_true(session:expunge("1:9"))
      assert.same({ uidvalidity = 9, from = "3:4,1:2", to = "10:11,12:13" }, assert(session:copy("1:4", "x")))
      local ok, err = session:copy("1:4", "x")
      assert.is_nil(ok)
      assert.same({ "rejected", "MESSAGELIMIT" }, { err.kind, err.response_code })
      ok, err = session:store("1:6", { add = "\\Seen" })
      assert.is_nil(ok)
      assert.same({ "rejected", "MESSAGELIMIT" }, { err.kind, err.response_code })
      ok, err = session:fetch_all("1:6", { "flags" })
      assert.is_nil(ok)
      assert.same({ "rejected", "MESSAGELIMIT" }, { err.kind, err.response_code })
    end)
  end)
end)

describe("IMAP servers that tell how far they are (INPROGRESS)", function()
  it("tell it to the call and to handlers; the call may take its time anew", function()
    mailbox.selected("INPROGRESS", 3, function(peer)
      local tag = mailbox.command(peer, "^UID COPY")
      for done = 1, 4 do
        peer:send(('* OK [INPROGRESS ("%s" %d 4)] still at it\r\n'):format(tag, done))
        loop.sleep(0.2)
      end
      peer:send(tag .. " OK done\r\n")
      tag = mailbox.command(peer, "^UID FETCH")
      peer:send(('* OK [INPROGRESS ("%s" NIL NIL)] hm\r\n* OK [INPROGRESS] hm\r\n'):format(tag))
      peer:send("* 1 FETCH (UID 1 FLAGS ())\r\n" .. tag .. " OK done\r\n")
      tag = mailbox.command(peer, "^UID COPY")
      peer:send(('* OK [INPROGRESS ("%s" 1 4)] still at it\r\n'):format(tag))
    end, function(session)
      local mine, all = {}, {}
      session:on("progress", function(event) all[#all + 1] = event end)
      assert(session:copy("1:3", "x", { timeout = 0.5, progress = function(report)
        mine[#mine + 1] = report.done .. "/" .. report.goal
        return true
      end }))
      assert.same({ "1/4", "2/4", "3/4", "4/4" }, mine)
      assert.equal(4, #all)
      assert.same({ "progress", 4, "still at it" }, { all[4].type, all[4].done, all[4].text })
      local n = 0
      assert.equal(1, #assert(session:fetch_all("1:3", { "flags" }, { progress = function() n = n + 1 end })))
      assert.equal(1, n)
      assert.equal(6, #all)
      local ok, err = session:copy("1:3", "x", { timeout = 0.3, progress = function() end })
      assert.is_nil(ok)
      assert.equal("timeout", err.kind)
    end)
  end)
end)

local ENCODED = table.concat({
  "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b", "", "--b", "Content-Type: text/plain",
  "Content-Transfer-Encoding: quoted-printable", "", "Gr=C3=BC=C3=9Fe =", "dich  ", "--b",
  "Content-Type: application/octet-stream", "Content-Transfer-Encoding: base64", "", "AAECAwQ=", "--b",
  "Content-Type: application/x-odd", "Content-Transfer-Encoding: x-odd", "", "odd", "--b--", "" }, "\n")

describe("IMAP fetch of decoded parts", function()
  local WORDS = { "Gr\195\188\195\159e dich", "\0\1\2\3\4" }
  local function decoded(session)
    for _, sink in ipairs { false, true } do
      local got = {}
      local m = assert(session:fetch_all(1, { "uid", "BINARY.PEEK[1]", "BINARY.PEEK[2]", "BINARY.PEEK[2]<1.2>" }, {
        sink = sink and function(_, section, chunk) got[section] = (got[section] or "") .. chunk end or nil,
      }))[1]
      got = sink and got or m.binary
      assert.equal(WORDS[1], got["1"])
      if not sink then assert.equal(m.binary["2<1>"] and WORDS[2] or "\1\2", got["2"]) end
      assert.is_nil(m.defects)
      assert.same(not sink and m.binary or nil, m.body)
      assert.is_nil(m.bodystructure)
    end
  end

  both("BINARY: by the server", function(server)
    local session = mailbox.with(server, { ENCODED })
    decoded(session)
    local m = assert(session:fetch_all(1, { "BINARY.SIZE[1]", "BINARY.SIZE[2]" }))[1]
    assert.same({ ["1"] = #WORDS[1], ["2"] = 5 }, m.binary_size)
    m = assert(session:fetch_all(1, { "BINARY[2]" }))[1]
    assert.equal(WORDS[2], m.binary["2"])
    assert.is_true(assert(session:fetch_all(1, { "flags" }))[1].flags["\\Seen"])
    session:logout()
  end)

  real("here, where the server has no BINARY", function()
    local session = mailbox.with(lesser "IMAP4rev1", { ENCODED })
    decoded(session)
    local m = assert(session:fetch_all(1, { "bodystructure", "BODY.PEEK[2]", "BINARY.PEEK[2]" }))[1]
    assert.same({ WORDS[2], "AAECAwQ=" }, { m.binary["2"], m.body["2"] })
    assert.is_table(m.bodystructure)
    m = assert(session:fetch_all(1, { "BINARY.PEEK[2]", "BINARY.PEEK[3]" }))[1]
    assert.same({ WORDS[2], "odd" }, { m.binary["2"], m.body["3"] })
    assert.same({ { item = "BINARY[3]", reason = "UNKNOWN-CTE: encoding 'x-odd'" } }, m.defects)
    session:logout()
  end)

  both("a part that the server cannot decode does not lose the others", function(server)
    local session = mailbox.with(server, { ENCODED, "Subject: x\n\nplain\n" })
    local list = assert(session:fetch_all("1:2", { "uid", "BINARY.PEEK[1]", "BINARY.PEEK[3]" }))
    assert.same({ 1, 2 }, uids_of(list))
    assert.same({ WORDS[1], "plain\r\n" }, { list[1].binary["1"], list[2].binary["1"] })
    assert.equal("odd", (list[1].binary["3"] or list[1].body["3"]))
    session:logout()
  end)

  it("UNKNOWN-CTE: the window is done again, what was yielded is not yielded again", function()
    local structure = 'BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "BASE64" 8 1)'
    mailbox.selected("BINARY", 3, function(peer)
      mailbox.answer(peer, "^UID FETCH 1:3 %(UID BINARY.PEEK%[1%]%)", messages(1, 1, "BINARY[1] ~{3}\r\na\0b"),
        "NO [UNKNOWN-CTE] x-odd")
      mailbox.answer(peer, "^UID FETCH 2:3 %(BODYSTRUCTURE UID BODY.PEEK%[1%]%)",
        messages(1, 3, structure .. ' BODY[1] "YQBi"'))
    end, function(session)
      local list = assert(session:fetch_all("1:3", { "uid", "BINARY.PEEK[1]" }))
      assert.same({ 1, 2, 3 }, uids_of(list))
      for i = 1, 3 do assert.equal("a\0b", list[i].binary["1"]) end
    end)
  end)
end)

describe("IMAP items of extensions", function()
  both("PREVIEW and SAVEDATE", function(server)
    local session = mailbox.with(server, { "Subject: x\n\nThe first words of it.\n" })
    local m = assert(session:fetch_all(1, { "preview", "savedate" }))[1]
    assert.equal(server == dovecot and "The first words of it." or nil, m.preview) -- Cyrus makes them later
    assert.is_number(m.savedate)
    assert.equal(m.preview, assert(session:fetch_all(1, { "preview" }, { lazy = true }))[1].preview)
    session:logout()
  end)

  real("are unsupported where the server lacks them", function()
    local session = mailbox.with(lesser "IMAP4rev1", { "Subject: x\n\nx\n" })
    for item, capability in pairs { preview = "PREVIEW", gm_labels = "X-GM-EXT-1", emailid = "OBJECTID",
      modseq = "CONDSTORE", savedate = "SAVEDATE" } do
      local list, err = session:fetch_all(1, { "uid", item })
      assert.is_nil(list)
      assert.same({ "unsupported", "the server lacks " .. capability }, { err.kind, err.message:match "the server.*" })
    end
    session:logout()
  end)

  it("Gmail: labels in every form, ids as digits, labels set", function()
    mailbox.selected("X-GM-EXT-1", 2, function(peer)
      mailbox.answer(peer, "^UID FETCH 1:2 %(UID X%-GM%-LABELS X%-GM%-MSGID X%-GM%-THRID%)",
        '* 1 FETCH (X-GM-THRID 1266894439832287888 X-GM-MSGID 1278455344230334865 X-GM-LABELS (\\Inbox "\\\\Sent" '
        .. 'Important "Muy &AOk-l" {3}\r\na"b "50% & more") UID 1)\r\n'
        .. '* 2 FETCH (X-GM-THRID 7 X-GM-MSGID NIL X-GM-LABELS () UID 2)\r\n')
      mailbox.answer(peer, '^UID STORE 1 %+X%-GM%-LABELS %(\\Important "My &AOk%-" work%)$')
      mailbox.answer(peer, "^UID STORE 1 %-X%-GM%-LABELS.SILENT %(work%)$")
      mailbox.answer(peer, "^UID STORE 1 X%-GM%-LABELS %(%)$")
    end, function(session)
      local list = assert(session:fetch_all("1:2", { "uid", "gm_labels", "gm_msgid", "gm_thrid" }))
      assert.same({ "50% & more", "Important", "Muy \195\169l", "\\Inbox", "\\Sent", 'a"b' },
        mailbox.keys(list[1].gm_labels))
      assert.same({ "1278455344230334865", "1266894439832287888" }, { list[1].gm_msgid, list[1].gm_thrid })
      assert.same({ {}, "7" }, { list[2].gm_labels, list[2].gm_thrid })
      assert(session:store(1, { add_labels = { "\\Important", "My \195\169", "work" } }))
      assert(session:store(1, { remove_labels = "work" }, { silent = true }))
      assert(session:store(1, { labels = {} }))
      local ok, err = session:store(1, { add_labels = { "a\r\nb" } })
      assert.is_nil(ok)
      assert.equal("invalid", err.kind)
    end)
  end)
end)
