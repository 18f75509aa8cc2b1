-- mail.imap.watch against Dovecot that restarts, and against scripted servers that lie. That nothing is told twice or
-- left out in thousands of histories is imap_watch_model_spec.lua's.

local Err = require "mail.err"
local imap = require "mail.imap"
local loop = require "mail.loop"
local mailbox = require "spec.support.mailbox"
local scripted = require "spec.support.scripted"

local dovecot, missing = mailbox.server()
local real = mailbox.real(it, pending, dovecot, missing)

local function raises(fn, pattern) mailbox.raises("imap_watch_spec.lua", fn, pattern) end

-- The next event of that type; all before it are of the types in `passed`.
local function await(it, kind, passed)
  while true do
    local event, err = it:next()
    assert.is_table(event, "the watch ended before " .. kind .. ": " .. tostring(err))
    if event.type == kind then return event end
    assert.is_truthy(passed and passed[event.type], event.type .. " where " .. kind .. " was to come")
  end
end

-- All that there is to tell, in words.
local function told(it)
  local words, losses = {}, 0
  while true do
    local event, err = it:next()
    if not event then
      assert.is_nil(err, tostring(err))
      return words
    end
    if event.type == "disconnected" then
      losses = losses + 1
      assert.is_true(losses < 10, "lost again and again: " .. tostring(event.err))
    end
    local flags = event.flags and next(event.flags) and " " .. table.concat(mailbox.keys(event.flags), " ") or ""
    words[#words + (event.type == "disconnected" and 0 or 1)] = event.type == "disconnected" and words[#words]
      or event.type .. " " .. tostring(event.uid or event.uids or event.uidvalidity) .. flags
  end
end

describe("IMAP watch on a real server", function()
  local function options(server, user, more)
    return mailbox.options(server, user, "none", more)
  end

  real("tells what there is, what changes and what goes, and stops when it is told to", function()
    loop.run(function()
      local session, user = mailbox.with(dovecot, { "Subject: one\n\n", "Subject: two\n\n" })
      local it = imap.watch(options(dovecot, user, { items = { "envelope" }, connection = true }))
      assert.is_nil(it:state())
      local first = await(it, "new")
      assert.same({ 1, "one" }, { first.uid, first.envelope.subject })
      assert.equal("two", await(it, "new").envelope.subject)
      assert.is_truthy(tostring(await(it, "connected").session):find("selected INBOX", 1, true))
      assert(session:store(1, { add = { "\\Flagged" } }))
      local changed = await(it, "changed")
      assert.is_true(changed.uid == 1 and changed.flags["\\Flagged"])
      assert(session:append("INBOX", "Subject: three\n\n"))
      assert.equal(3, await(it, "new").uid)
      assert(session:store("1:2", { add = { "\\Deleted" } }))
      assert(session:expunge "1:2")
      assert.equal("1:2", await(it, "vanished", { changed = true }).uids)
      local state = it:state()
      assert.is_true(it:close())
      assert.is_nil(it:next())
      assert(session:append("INBOX", "Subject: four\n\n"))
      assert(session:store(3, { add = { "\\Seen" } }))
      local words = told(imap.watch(options(dovecot, user, { since = state, live = false })))
      table.sort(words)
      assert.equal(2, #words)
      assert.matches("^changed 3 .*\\Seen$", words[1])
      assert.matches("^new 4", words[2])
      session:logout()
    end)
  end)

  real("takes what is there as known where it is asked to", function()
    local session, user = mailbox.with(dovecot, { "Subject: one\n\n", "Subject: two\n\n" })
    local it = imap.watch(options(dovecot, user, { existing = false, live = false }))
    assert.same({}, told(it))
    assert(session:append("INBOX", "Subject: three\n\n"))
    it = imap.watch(options(dovecot, user, { existing = false, live = false, since = it:state() }))
    assert.equal(1, #told(it))
    session:logout()
  end)

  real("tells of another life of the mailbox", function()
    local session, user = mailbox.with(dovecot, {})
    assert(session:create "Work")
    assert(session:append("Work", "Subject: one\n\n"))
    local it = imap.watch(options(dovecot, user, { mailbox = "Work", live = false }))
    assert.equal(1, #told(it))
    local first = it:state()
    assert(session:delete "Work")
    assert(session:create "Work")
    assert(session:append("Work", "Subject: other\n\n"))
    it = imap.watch(options(dovecot, user, { mailbox = "Work", live = false, since = first }))
    local words = told(it)
    assert.equal(2, #words)
    assert.matches("^reset %d+$", words[1])
    assert.matches("^new 1", words[2])
    session:logout()
  end)

  real("ends where the mailbox is gone and it is not to wait for another", function()
    local session, user = mailbox.with(dovecot, {})
    assert(session:create "Work")
    assert(session:append("Work", "Subject: one\n\n"))
    local it = imap.watch(options(dovecot, user, { mailbox = "Work", live = false }))
    assert.equal(1, #told(it))
    assert(session:delete "Work")
    it = imap.watch(options(dovecot, user, { mailbox = "Work", live = false, since = it:state() }))
    local event, err = it:next()
    assert.is_nil(event)
    assert.equal("rejected", err.kind)
    session:logout()
  end)

  real("survives restarts of the server and connections that are cut", function()
    local own = assert(mailbox.server { private = true })
    loop.run(function()
      local session, user = mailbox.with(own, { "Subject: one\n\n" })
      local it = imap.watch(options(own, user, { backoff = { min = 0.05, max = 0.2 }, connection = true, timeout = 5 }))
      await(it, "new")
      await(it, "connected")
      session:close()
      for round = 1, 3 do
        own:stop()
        await(it, "disconnected")
        local uid = round + 1
        own:start()
        local saved = own:save(user, "Subject: during\n\n")
        assert.is_truthy(saved)
        assert.equal(uid, await(it, "new", { disconnected = true }).uid)
        await(it, "connected")
      end
      local changer = mailbox.open(own, user)
      assert(changer:select "INBOX")
      assert(changer:store("2", { add = { "\\Deleted" } }))
      assert.equal(2, await(it, "changed").uid)
      it.session:close() -- a link that is gone: found by the next call
      assert(changer:expunge "2")
      await(it, "disconnected")
      assert.equal("2", await(it, "vanished").uids)
      changer:close()
      it:close()
    end)
    own:close()
  end)

  real("ends for a wrong password and a mailbox that never was", function()
    local user = dovecot:add_user()
    local it = imap.watch(options(dovecot, { name = user.name, password = "wr0ng" }))
    local event, err = it:next()
    assert.is_nil(event)
    assert.equal("auth", err.kind)
    assert.is_nil(it:next())
    event, err = imap.watch(options(dovecot, user, { mailbox = "Never" })):next()
    assert.is_nil(event)
    assert.equal("rejected", err.kind)
    if mailbox.yields_everywhere then
      local ok, raised = pcall(function() for _ in imap.watch(options(dovecot, user, { mailbox = "Never" })) do end end)
      assert.is_false(ok)
      assert.equal("rejected", raised.kind)
    end
  end)

  real("is closed by another coroutine, and cancelled with its task", function()
    loop.run(function()
      local user = dovecot:add_user()
      local it = imap.watch(options(dovecot, user, { connection = true }))
      await(it, "connected")
      local event, err = true, nil
      local task = loop.spawn(function() event, err = it:next() end)
      loop.sleep(0.02)
      it:close()
      task:join()
      assert.same({}, { event, err })
      local other = imap.watch(options(dovecot, user, { connection = true }))
      await(other, "connected")
      task = loop.spawn(function() event, err = other:next() end)
      loop.sleep(0.02)
      task:cancel()
      task:join()
      assert.is_nil(event)
      assert.equal("cancelled", err.kind)
    end)
  end)

  real("raises for wrong options at the caller's line", function()
    raises(function() imap.watch { host = "h", mailbx = "x" } end, "mailbx")
    raises(function() imap.watch { host = "h", since = {} } end, "no state of a watch")
    raises(function() imap.watch { host = "h", items = { 5 } } end, "item")
    local it = imap.watch(options(dovecot, dovecot:add_user(), { live = false }))
    assert.same({}, told(it))
    raises(function() imap.watch { host = "h", mailbox = "Sent", since = it:state() } end, "state of 'INBOX'")
  end)
end)

describe("IMAP watch on Cyrus", function()
  local cyrus, none = mailbox.cyrus { private = true }

  mailbox.real(it, pending, cyrus, none)("tells what happened before and after a restart, each once", function()
    loop.run(function()
      local session, user = mailbox.with(cyrus, { "Subject: one\n\n", "Subject: two\n\n" })
      local function options(more)
        more.backoff, more.connection = { min = 0.05, max = 0.2 }, true
        return mailbox.options(cyrus, user, "none", more)
      end
      local it = imap.watch(options {})
      assert.same({ 1, 2 }, { await(it, "new").uid, await(it, "new").uid })
      await(it, "connected")
      assert(session:store(1, { add = { "\\Flagged" } }))
      assert.is_true(await(it, "changed", { changed = true }).uid <= 2)
      session:close()
      cyrus:restart()
      session = mailbox.open(cyrus, user)
      assert(session:select "INBOX")
      assert(session:append("INBOX", "Subject: three\n\n"))
      assert(session:store(2, { add = { "\\Deleted" } }))
      assert(session:expunge(2))
      local seen = {}
      repeat
        local event = assert(it:next())
        seen[#seen + 1] = event.type .. " " .. tostring(event.uid or event.uids)
      until seen[#seen] == "vanished 2" and table.concat(seen, ";"):find "new 3"
        or seen[#seen] == "new 3" and table.concat(seen, ";"):find "vanished 2"
      local state = it:state()
      it:close()
      it = imap.watch(options { since = state, live = false })
      assert.same({}, told(it))
      session:close()
    end)
    cyrus:close()
  end)
end)

-- --- servers that lie ---------------------------------------------------------------------------------

local BOX = "* %d EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT %d] n\r\n"

-- Plays scripts, one for each connection, against a watch; what it told.
local function against(words, scripts, more)
  return loop.run(function()
    local server = scripted.serve(function(peer, number)
      mailbox.admit(peer, words)
      scripts[number](peer)
    end, #scripts)
    local o = {
      host = "127.0.0.1", port = server.port, tls = "none", user = "ann", password = "x", allow_plaintext_login = true,
      timeout = 5, backoff = { min = 0.01, max = 0.02 }, live = false,
      connection = true,
    }
    for name, value in pairs(more or {}) do o[name] = value end
    local it = imap.watch(o)
    local words_told = told(it)
    local state = it:state()
    it:close()
    server:close()
    return words_told, state
  end)
end

local function known(uids, modseq)
  return {
    version = 1, uidvalidity = 7, base = 6, known = uids, ahead = "", unsure = "", fresh = false, modseq = modseq,
    flags = not modseq and {} or nil,
  }
end

describe("IMAP watch on servers that lie", function()
  it("believes no number, no UID 0, no UID that it does not know", function()
    local words = against("", { function(peer)
      mailbox.answer(peer, "^EXAMINE INBOX", BOX:format(2, 3))
      mailbox.answer(peer, "^UID FETCH 1:%* ", "* 0 EXPUNGE\r\n* 1 FETCH (UID 1 FLAGS ())\r\n* 99 EXPUNGE\r\n"
        .. "* 2 FETCH (UID 2 FLAGS (x))\r\n* 7 FETCH (UID 0 FLAGS (y))\r\n* 3 FETCH (FLAGS (z))\r\n")
      mailbox.answer(peer, "^UID SEARCH ALL", "* SEARCH 2 1\r\n")
      mailbox.answer(peer, "^FETCH 3 %(UID FLAGS%)$", "* 2 FETCH (FLAGS (w))\r\n", "NO no such message")
      mailbox.answer(peer, "^UID FETCH 1:2 %(UID FLAGS%)$", -- numbers are of no use: all flags are looked at
        "* 1 FETCH (UID 1 FLAGS (z))\r\n* 2 FETCH (UID 2 FLAGS (x))\r\n")
      peer:rest()
    end })
    assert.same({ "new 1", "new 2 x", "changed 1 z" }, words)
  end)

  it("asks where VANISHED was not to come", function()
    local words = against("", { function(peer)
      mailbox.answer(peer, "^EXAMINE INBOX", BOX:format(2, 3))
      mailbox.answer(peer, "^UID FETCH 1:%* ", "* VANISHED 1:4294967295\r\n* 1 FETCH (UID 1 FLAGS ())\r\n"
        .. "* 2 FETCH (UID 2 FLAGS ())\r\n* VANISHED (EARLIER) 1:2\r\n")
      mailbox.answer(peer, "^UID SEARCH ALL", "* SEARCH 1\r\n")
      peer:rest()
    end })
    assert.same({ "new 1", "new 2", "vanished 2" }, words)
  end)

  it("tells nothing of UIDs in VANISHED that were never known", function()
    local words, state = against("ENABLE QRESYNC", { function(peer)
      mailbox.answer(peer, "^ENABLE", "* ENABLED QRESYNC\r\n")
      mailbox.answer(peer, "^EXAMINE INBOX %(QRESYNC %(7 50 1:3%)%)$", BOX:format(2, 6)
        .. "* OK [HIGHESTMODSEQ 60] m\r\n* VANISHED (EARLIER) 3:5,9,100:4294967295\r\n"
        .. "* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (0))\r\n* 2 FETCH (UID 2 FLAGS (x) MODSEQ (40))\r\n")
    end }, { since = known("1:3", 50) })
    assert.same({ "vanished 3", "changed 1 \\Seen" }, words) -- modseq 0 says nothing; 40 was told
    assert.same({ "1:2", 60 }, { state.known, state.modseq })
  end)

  it("looks at all flags where the mod-sequences have gone back", function()
    local words, state = against("ENABLE QRESYNC", { function(peer)
      mailbox.answer(peer, "^ENABLE", "* ENABLED QRESYNC\r\n")
      mailbox.answer(peer, "^EXAMINE INBOX %(QRESYNC %(7 50 1:2%)%)$",
        BOX:format(2, 2) .. "* OK [HIGHESTMODSEQ 3] m\r\n")
      mailbox.answer(peer, "^UID FETCH 1:2 %(UID FLAGS MODSEQ%)$",
        "* 1 FETCH (UID 1 FLAGS (a) MODSEQ (2))\r\n* 2 FETCH (UID 2 FLAGS () MODSEQ (3))\r\n")
    end }, { since = known("1:2", 50) })
    assert.same({ "changed 1 a", "changed 2" }, words)
    assert.equal(3, state.modseq)
  end)

  it("keeps a change that comes with vanished UIDs, and one without a mod-sequence", function()
    local words, state = against("ENABLE QRESYNC", { function(peer)
      mailbox.answer(peer, "^ENABLE", "* ENABLED QRESYNC\r\n")
      mailbox.answer(peer, "^EXAMINE INBOX", BOX:format(4, 5) .. "* OK [HIGHESTMODSEQ 60] m\r\n")
      mailbox.answer(peer, "^UID FETCH 4:%* %(UID FLAGS MODSEQ%)$",
        "* 2 FETCH (FLAGS (q))\r\n* 4 FETCH (UID 4 FLAGS () MODSEQ (60))\r\n")
      mailbox.answer(peer, "^UID FETCH 1:4 %(UID FLAGS%) %(CHANGEDSINCE 60 VANISHED%)$",
        "* VANISHED (EARLIER) 1\r\n* 1 FETCH (UID 2 FLAGS (q) MODSEQ (62))\r\n", "OK [HIGHESTMODSEQ 62] done")
      mailbox.answer(peer, "^UID SEARCH ALL", "* SEARCH 2 3 4\r\n")
    end }, { since = { version = 1, uidvalidity = 7, base = 4, known = "1:3", ahead = "", unsure = "", modseq = 60 } })
    assert.same({ "new 4", "vanished 1", "changed 2 q" }, words)
    assert.same({ "2:4", 62 }, { state.known, state.modseq })
  end)

  it("is not led astray by a UIDNEXT that goes back", function()
    local words = against("", { function(peer)
      mailbox.answer(peer, "^EXAMINE INBOX", BOX:format(2, 1))
      mailbox.answer(peer, "^UID FETCH 1 ", "* 1 FETCH (UID 1 FLAGS ())\r\n")
      mailbox.answer(peer, "^UID FETCH 6:%* ", "* 2 FETCH (UID 9 FLAGS (x))\r\n")
    end }, { since = known("1") })
    assert.same({ "new 9 x" }, words)
  end)

  it("loses nothing to a search without results, a BYE, and an end in the middle of an answer", function()
    local words = against("", {
      function(peer)
        mailbox.answer(peer, "^EXAMINE INBOX", BOX:format(2, 3))
        mailbox.command(peer, "^UID FETCH 1:%* %(UID FLAGS%)$")
        peer:send "* 1 FETCH (UID 1 FLAGS ())\r\n* 2 FETCH (UID 2 FL"
      end,
      function(peer) peer:send "* BYE busy\r\n" end,
      function(peer)
        mailbox.answer(peer, "^EXAMINE INBOX", BOX:format(2, 3))
        mailbox.answer(peer, "^UID FETCH 1 ", "* 1 FETCH (UID 1 FLAGS ())\r\n")
        mailbox.answer(peer, "^UID FETCH 2:%* ", "* 2 FETCH (UID 2 FLAGS ())\r\n* 1 EXPUNGE\r\n")
        mailbox.answer(peer, "^UID SEARCH ALL", "* SEARCH\r\n") -- empty, although there is one
      end,
      function(peer)
        mailbox.answer(peer, "^EXAMINE INBOX", BOX:format(1, 3))
        mailbox.command(peer, "^UID FETCH 1:2 ")
        peer:send "* 1 FETCH (UID 2 FLAGS (\\Se"
      end,
      function(peer)
        mailbox.answer(peer, "^EXAMINE INBOX", BOX:format(1, 3))
        mailbox.answer(peer, "^UID FETCH 1:2 ", "* 1 FETCH (UID 2 FLAGS (\\Seen))\r\n")
        mailbox.answer(peer, "^UID FETCH 3:%* ", "* 1 FETCH (UID 2 FLAGS (\\Seen))\r\n")
        mailbox.answer(peer, "^UID SEARCH ALL", "* SEARCH 2\r\n")
        peer:rest()
      end,
    })
    assert.same({ "new 1", "new 2", "changed 2 \\Seen", "vanished 1" }, words)
  end)

  it("ends where the mailbox has no lasting UIDs", function()
    loop.run(function()
      local server = scripted.serve(function(peer)
        mailbox.admit(peer)
        mailbox.answer(peer, "^EXAMINE INBOX", "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* NO [UIDNOTSTICKY] no\r\n")
        peer:rest()
      end)
      local it = imap.watch {
        host = "127.0.0.1", port = server.port, tls = "none", user = "a", password = "x", allow_plaintext_login = true,
      }
      local event, err = it:next()
      assert.is_nil(event)
      assert.equal("unsupported", err.kind)
      server:close()
    end)
  end)

  it("asks a server that tells nothing of what came while IDLE began, soon", function()
    loop.run(function()
      local server = scripted.serve(function(peer)
        mailbox.admit(peer, "IDLE")
        mailbox.answer(peer, "^EXAMINE INBOX", BOX:format(1, 2))
        mailbox.answer(peer, "^UID FETCH 1:%* ", "* 1 FETCH (UID 1 FLAGS ())\r\n")
        local tag = mailbox.command(peer, "^IDLE$")
        peer:send "+ idling\r\n"
        assert(peer:line() == "DONE")
        peer:send(tag .. " OK done\r\n")
        mailbox.answer(peer, "^NOOP$", "* 2 EXISTS\r\n")
        mailbox.answer(peer, "^UID FETCH 2:%* ", "* 2 FETCH (UID 2 FLAGS (late))\r\n")
        peer:rest()
      end, 1)
      local it = imap.watch { host = "127.0.0.1", port = server.port, tls = "none", user = "ann", password = "x",
        allow_plaintext_login = true, timeout = 5, existing = true }
      assert.equal(1, await(it, "new").uid)
      local began = loop.now()
      assert.same({ late = true }, await(it, "new").flags)
      assert.is_true(loop.now() - began < 60) -- and not after minutes of silence
      it:close()
      server:close()
    end)
  end)

  it("waits as long as a server asks for, and never twice the same", function()
    local waits = {}
    local now = 0
    local host = { now = function() return now end, sleep = function() end, spawn = function() end }
    function host.dial()
      return nil, Err.new { kind = "connect", message = "refused", retry_after = #waits == 2 and 900 or nil }
    end
    function host.event()
      return { set = function() end, wait = function(_, seconds)
        now = now + seconds
        return nil, "timeout"
      end }
    end
    local it = imap.watch { host = "h", tls = "none", loop = host, connection = true }
    for i = 1, 14 do waits[i] = assert(it:next()).retry_in end
    it:close()
    assert.is_true(waits[1] >= 1 and waits[1] <= 1.5)
    assert.is_true(waits[2] >= 2 and waits[2] <= 3)
    assert.equal(900, waits[3])
    assert.is_true(waits[14] >= 300 and waits[14] <= 450)
  end)
end)
