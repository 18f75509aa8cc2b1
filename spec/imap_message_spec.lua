-- IMAP against Dovecot: STORE, COPY, MOVE with its fall-backs, EXPUNGE, and APPEND with every kind of
-- literal.

local loop = require "mail.loop"
local mailbox = require "spec.support.mailbox"

local dovecot, missing = mailbox.server()
local real = mailbox.real(it, pending, dovecot, missing)

-- Dovecot with only these capabilities.
local function lesser(words) return assert(mailbox.server { extra = "imap_capability = " .. words .. "\n" }) end

local function texts(n)
  local list = {}
  for i = 1, n do list[i] = ("Subject: %d\n\nmessage %d\n"):format(i, i) end
  return list
end

local function flags_of(session, uid)
  return mailbox.keys(assert(session:fetch_all(uid, { "flags" }))[1].flags)
end

describe("IMAP store", function()
  real("adds, removes, replaces, silently or not, by UID and by number", function()
    local session = mailbox.with(dovecot, texts(3))
    local told = {}
    session:on("flags", function(event) told[#told + 1] = event.uid or event.seq end)
    assert.same({}, assert(session:store({ 1, 3 }, { add = { "\\Seen", "work" } })))
    assert.is_true(#told >= 2)
    assert.same({ "\\Recent", "\\Seen", "work" }, flags_of(session, 1))
    assert.same({ "\\Recent" }, flags_of(session, 2))
    told = {}
    assert(session:store("1:*", { remove = "\\Seen" }, { silent = true }))
    assert.same({}, told)
    assert.same({ "\\Recent", "work" }, flags_of(session, 3))
    assert(session:store(3, { flags = { "\\Flagged" } }))
    assert.same({ "\\Flagged", "\\Recent" }, flags_of(session, 3))
    assert(session:store(3, { flags = {} }))
    assert.same({ "\\Recent" }, flags_of(session, 3))
    assert(session:store(1, { add = { "\\Deleted" } }))
    assert.is_true(session:expunge())
    assert(session:store(1, { add = { "first" } }, { seq = true }))
    assert.same({ "\\Recent", "first" }, flags_of(session, 2))
    assert.same({}, assert(session:store({}, { add = { "none" } })))
    session:logout()
  end)

  real("leaves alone what has changed since, and tells it", function()
    local session, user = mailbox.with(dovecot, texts(3))
    local known = session.mailbox.highestmodseq
    local other = mailbox.open(dovecot, user)
    assert(other:select "INBOX")
    assert(other:store(2, { add = { "theirs" } }))
    other:logout()
    local result = assert(session:store("1:3", { add = { "ours" } }, { unchanged_since = known }))
    assert.equal("2", result.modified)
    assert.same({ "ours" }, { flags_of(session, 1)[2] })
    assert.same({ "\\Recent", "theirs" }, flags_of(session, 2))
    local message = assert(session:fetch_all(2, { "modseq" }))[1]
    assert.is_true(message.modseq > known)
    assert.equal(0, #assert(session:fetch_all("1:*", { "flags" }, { changed_since = message.modseq + 1000 })))
    session:logout()
  end)

  real("refuses flags that are none", function()
    local session = mailbox.with(dovecot, texts(1))
    for _, bad in ipairs { "a b", "a)", "(", "a\r\nX", "", "a\"b", "*" } do
      local ok, err = session:store(1, { add = { bad } })
      assert.is_nil(ok)
      assert.equal("invalid", err.kind)
    end
    session:logout()
  end)
end)

describe("IMAP copy and move", function()
  real("copy tells where the copies are", function()
    local session = mailbox.with(dovecot, texts(3))
    local copied = assert(session:copy({ 1, 3 }, "Archive"))
    assert.same({ "1,3", "1:2" }, { copied.from, copied.to })
    assert.equal(assert(session:status("Archive", { "uidvalidity" })).uidvalidity, copied.uidvalidity)
    assert.same({}, assert(session:copy({}, "Archive")))
    local ok, err = session:copy(1, "no such")
    assert.is_nil(ok)
    assert.equal("rejected", err.kind)
    assert.equal("TRYCREATE", err.response_code)
    assert.equal(3, session.mailbox.exists)
    session:logout()
  end)

  real("MOVE", function()
    local session = mailbox.with(dovecot, texts(3))
    local expunged = {}
    session:on("expunge", function(event) expunged[#expunged + 1] = event.seq end)
    local moved = assert(session:move({ 1, 3 }, "Archive"))
    assert.same({ "1,3", "1:2" }, { moved.from, moved.to })
    assert.is_number(moved.uidvalidity)
    assert.is_nil(moved.expunged)
    assert.equal(1, session.mailbox.exists)
    assert.equal(2, #expunged)
    assert.same({ 2 }, session:search())
    session:logout()
  end)

  real("without MOVE: copies, marks, expunges those and no others", function()
    local session = mailbox.with(lesser "IMAP4rev1 UIDPLUS", texts(4))
    assert.is_false(session:has "MOVE")
    assert(session:store(4, { add = { "\\Deleted" } }))
    local moved = assert(session:move({ 1, 3 }, "Archive"))
    assert.same({ "1,3", "1:2", true }, { moved.from, moved.to, moved.expunged })
    assert.same({ 2, 4 }, session:search())
    assert.equal(2, session.mailbox.exists)
    local ok, err = session:move(2, "no such")
    assert.is_nil(ok)
    assert.equal("TRYCREATE", err.response_code)
    assert.same({ 4 }, session:search { deleted = true })
    session:logout()
  end)

  real("by sequence numbers, where the server knows UIDs alone", function()
    local session = mailbox.with(lesser "IMAP4rev1 UIDPLUS", texts(5))
    assert(session:store(1, { add = { "\\Deleted" } }))
    assert.is_true(session:expunge(1))
    assert(session:create "Other")
    local by_number = { seq = true }
    assert.equal("2", assert(session:move(1, "Other", by_number)).from)
    assert(session:store("1:*", { add = { "\\Deleted" } }, by_number))
    assert.is_true(session:expunge("2", by_number))
    assert.same({ 3, 5 }, session:search())
    assert.is_true(session:expunge({}, by_number))
    local replaced = assert(session:replace(2, "INBOX", "Subject: f\n\nf\n", by_number))
    assert.same({ 3, replaced.uid }, session:search())
    assert.same({ seq = true }, by_number)
    session:logout()
  end)

  real("without MOVE and UIDPLUS: the originals stay, marked, and nothing is expunged", function()
    local session = mailbox.with(lesser "IMAP4rev1", texts(4))
    assert(session:store(4, { add = { "\\Deleted" } }))
    local moved = assert(session:move({ 1, 3 }, "Archive"))
    assert.is_false(moved.expunged)
    assert.same({ 1, 2, 3, 4 }, session:search())
    assert.same({ 1, 3, 4 }, session:search { deleted = true })
    local ok, err = session:expunge { 1, 3 }
    assert.is_nil(ok)
    assert.equal("unsupported", err.kind)
    assert.is_true(session:expunge())
    assert.same({ 2 }, session:search())
    session:logout()
  end)
end)

describe("IMAP expunge", function()
  real("takes only the UIDs that it is given", function()
    local session = mailbox.with(dovecot, texts(4))
    assert(session:store("1:3", { add = { "\\Deleted" } }))
    assert.is_true(session:expunge { 2, 4 })
    assert.same({ 1, 3, 4 }, session:search())
    assert.is_true(session:expunge {})
    assert.same({ 1, 3, 4 }, session:search())
    assert.is_true(session:expunge())
    assert.same({ 4 }, session:search())
    assert.equal(1, session.mailbox.exists)
    session:logout()
  end)
end)

-- --- append -----------------------------------------------------------------------------------------

local MAIL = "Subject: lines\n\none\r\ntwo\n\nfour\n"

local function temporary(bytes)
  local file = assert(io.tmpfile())
  file:write(bytes)
  file:seek "set"
  return file
end

-- A source function of these pieces.
local function pieces(list)
  local i = 0
  return function()
    i = i + 1
    return list[i]
  end
end

local function stored(session, uid)
  return assert(session:fetch_all(uid, { "body" }))[1].body[""]
end

for _, words in ipairs { "IMAP4rev1 LITERAL+ UIDPLUS", "IMAP4rev1 LITERAL- UIDPLUS", "IMAP4rev1 UIDPLUS" } do
  describe("IMAP append with " .. words, function()
    real("takes strings, files and sources", function()
      local session = mailbox.with(lesser(words), {})
      local want = mailbox.crlf(MAIL)
      local long = "Subject: long\n\n" .. ("0123456789abcdef\n"):rep(20000)
      local cut = {}
      for i = 1, #long, 777 do cut[#cut + 1] = long:sub(i, i + 776) end
      local function put(message, expected, options)
        local at, err = session:append("INBOX", message, options)
        assert.is_table(at, tostring(err))
        assert.equal(session.mailbox.uidvalidity, at.uidvalidity)
        assert.is_number(at.uid)
        assert.is_true(expected == stored(session, at.uid), "message " .. at.uid)
      end
      put(MAIL, want)
      put(want, want)
      put(temporary(MAIL), want)
      put(temporary(long), mailbox.crlf(long))
      put(pieces(cut), mailbox.crlf(long))
      put(pieces { "Subject: cut\r", "\n\r", "\n", "\n", "x", "\r\n" }, "Subject: cut\r\n\r\n\r\nx\r\n")
      put(pieces { "", want, "" }, want, { size = #want })
      put({ source = function() return pieces { "Subject: object\n\n", "body\n" } end },
        "Subject: object\r\n\r\nbody\r\n")
      put(long, mailbox.crlf(long))
      local file = temporary("skipped" .. MAIL)
      file:seek("set", 7)
      put(file, want)
      assert.equal(10, assert(session:status("INBOX", { "messages" })).messages)
      session:logout()
    end)

    real("sets flags and dates", function()
      local session = mailbox.with(lesser(words), {})
      assert(session:append("INBOX", MAIL, { flags = { "\\Seen", "work" }, date = 1793534400 }))
      assert(session:append("INBOX", MAIL, { flags = "\\Flagged", date = " 1-Nov-2026 13:00:00 +0100" }))
      assert(session:append("INBOX", MAIL, { flags = {} }))
      local list = assert(session:fetch_all("1:3", { "flags", "internaldate" }))
      assert.is_true(list[1].flags["\\Seen"])
      assert.is_true(list[1].flags.work)
      assert.is_true(list[2].flags["\\Flagged"])
      list[1].flags["\\Recent"] = true -- a set, as it was fetched
      assert(session:append("INBOX", MAIL, { flags = list[1].flags }))
      assert(session:store(3, { flags = list[1].flags }))
      for _, m in ipairs(assert(session:fetch_all("3:4", "flags"))) do
        m.flags["\\Recent"] = nil
        assert.same({ ["\\Seen"] = true, work = true }, m.flags)
      end
      assert.equal(1793534400, list[1].internaldate)
      assert.equal(1793534400, list[2].internaldate)
      local ok, err = session:append("INBOX", MAIL, { date = "today" })
      assert.is_nil(ok)
      assert.equal("invalid", err.kind)
      for _, never in ipairs { 0 / 0, 1 / 0, 1e15 } do
        ok, err = session:append("INBOX", MAIL, { date = never })
        assert.is_nil(ok)
        assert.equal("invalid", err.kind)
      end
      ok, err = session:append("INBOX", MAIL, { flags = { "a b" } })
      assert.is_nil(ok)
      assert.equal("invalid", err.kind)
      session:logout()
    end)

    real("says TRYCREATE, and the session goes on", function()
      local session = mailbox.with(lesser(words), {})
      for _, message in ipairs { MAIL, ("x\n"):rep(50000) } do
        local at, err = session:append("no such", message)
        assert.is_nil(at)
        assert.equal("rejected", err.kind)
        assert.equal("TRYCREATE", err.response_code)
        assert.equal("APPEND", err.command)
        assert.is_true(session:noop())
      end
      session:logout()
    end)
  end)
end

describe("IMAP append", function()
  real("stores nothing of a message that cannot be read to its end", function()
    local user = dovecot:add_user()
    local function failing()
      local i = 0
      return function()
        i = i + 1
        if i < 4 then return ("line %d\n"):format(i) end
        return nil, "disk on fire"
      end
    end
    local session = mailbox.open(dovecot, user)
    local ok, err = session:append("INBOX", failing()) -- read before a byte is sent
    assert.is_nil(ok)
    assert.equal("io", err.kind)
    assert.equal("APPEND", err.command)
    assert.matches("disk on fire", err.message)
    assert.is_true(session:noop())
    ok, err = session:append("INBOX", failing(), { size = 1000 }) -- read while it is sent
    assert.is_nil(ok)
    assert.equal("io", err.kind)
    assert.matches("disk on fire", err.message)
    ok, err = session:noop()
    assert.is_nil(ok)
    assert.equal("closed", err.kind)
    session = mailbox.open(dovecot, user)
    for _, wrong in ipairs { 5, 100 } do -- more, and fewer octets than announced
      ok, err = session:append("INBOX", pieces { "ten octets" }, { size = wrong })
      assert.is_nil(ok)
      assert.equal("io", err.kind)
      session = mailbox.open(dovecot, user)
    end
    assert.equal(0, assert(session:status("INBOX", "messages")).messages)
    session:logout()
  end)

  if mailbox.yields_everywhere then
    real("passes an error in a source on to its caller", function()
      local user = dovecot:add_user()
      for _, size in ipairs { false, 1000 } do
        local session = mailbox.open(dovecot, user)
        local i = 0
        local ok, what = pcall(session.append, session, "INBOX", function()
          i = i + 1
          if i > 1 then error("a bug in the source", 0) end
          return "line\n"
        end, { size = size or nil })
        assert.is_false(ok)
        assert.equal("a bug in the source", what)
        session:close()
      end
      local session = mailbox.open(dovecot, user)
      assert.equal(0, assert(session:status("INBOX", "messages")).messages)
      session:logout()
    end)
  end

  real("sends 20 MB from a source in bounded memory, beside other calls", function()
    loop.run(function()
      local session = mailbox.open(dovecot)
      local line = ("y"):rep(1022) .. "\r\n"
      local left, size = 20 * 1024, 20 * 1024 * 1024
      collectgarbage()
      local before, most = collectgarbage "count", 0
      local task = loop.spawn(function()
        return session:append("INBOX", function()
          if left == 0 then return nil end
          left = left - 64
          if left % 1024 == 0 then -- what is held, not what a lazy collector has left lying about
            collectgarbage()
            most = math.max(most, collectgarbage "count")
          end
          return line:rep(64)
        end, { size = size })
      end)
      local status = loop.spawn(function() return session:status("INBOX", { "messages" }) end)
      assert.is_table((task:join()))
      assert.is_table((status:join()))
      assert.is_true(most > 0 and most - before < 2048, ("%.0f KiB"):format(most - before))
      assert(session:select "INBOX")
      assert.equal(size, assert(session:fetch_all(1, { "size" }))[1].size)
      session:logout()
    end)
  end)
end)

describe("IMAP message calls", function()
  real("say that the session is closed, behind a LOGOUT of the user's own", function()
    local session = mailbox.with(dovecot, texts(1))
    assert(session:command_line "LOGOUT")
    local found, err = session:search {}
    assert.is_nil(found)
    assert.equal("closed", err.kind)
  end)

  real("raise for wrong arguments at the caller's line", function()
    local session = mailbox.with(dovecot, texts(1))
    local function raises(fn, pattern) mailbox.raises("imap_message_spec.lua", fn, pattern) end
    for _, bad in ipairs { 0, -1, 1.5, "x", "1:", true, { "a" }, { 0 }, { {} }, 4294967296 } do
      raises(function() session:store(bad, { add = {} }) end, "store: bad set")
      raises(function() session:copy(bad, "Archive") end, "copy: bad set")
      raises(function() session:move(bad, "Archive") end, "move: bad set")
      raises(function() session:expunge(bad) end, "expunge: bad set")
      raises(function() session:fetch(bad, { "uid" }) end, "fetch: bad set")
    end
    raises(function() session.fetch("1:*", { "uid" }) end, "imap:fetch: a session expected, got string: .* a colon")
    raises(function() session:store(nil, { add = {} }) end, "bad set")
    raises(function() session:store({ [5] = true }, { add = {} }) end, "bad set")
    raises(function() session:store({ nil, 5 }, { add = {} }) end, "bad set")
    raises(function() session:store(1) end, "add")
    raises(function() session:store(1, {}) end, "add")
    raises(function() session:store(1, { ad = {} }) end, "add")
    raises(function() session:store(1, { add = {}, remove = {} }) end, "add")
    raises(function() session:store(1, { add = 5 }) end, "'add' must be an array")
    raises(function() session:store(1, { add = { 5 } }) end, "flag must be a string")
    raises(function() session:store(1, { add = {} }, { silnt = true }) end, "silnt")
    raises(function() session:copy(1) end, "copy: a mailbox")
    raises(function() session:copy(1, "x", { uid = true }) end, "uid")
    raises(function() session:move(1, {}) end, "move: a mailbox")
    raises(function() session:move(1, "x", { uid = true }) end, "uid")
    raises(function() session:expunge(1, { sek = true }) end, "sek")
    raises(function() session:append() end, "append: a mailbox")
    raises(function() session:append("INBOX") end, "message")
    raises(function() session:append("INBOX", 5) end, "message")
    raises(function() session:append("INBOX", {}) end, "message")
    raises(function() session:append("INBOX", "x", { flag = {} }) end, "flag")
    raises(function() session:append("INBOX", "x", { flags = 5 }) end, "flags")
    raises(function() session:append("INBOX", "x", { flags = { 5 } }) end, "flag must be a string")
    raises(function() session:append("INBOX", "x", { flags = { nil, "x" } }) end, "flag must be a string")
    raises(function() session:append("INBOX", "x", { flags = { ["\\Seen"] = 1 } }) end, "flag must be a string")
    session:close()
  end)
end)
