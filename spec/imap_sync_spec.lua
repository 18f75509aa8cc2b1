-- Resynchronization by CONDSTORE and QRESYNC (RFC 7162), UIDONLY (RFC 9586), NOTIFY (RFC 5465): against Dovecot, and
-- scripted where it does not speak.

local Ranges = require "mail.imap.ranges"
local Sync = require "mail.imap.sync"
local loop = require "mail.loop"
local mailbox = require "spec.support.mailbox"

local dovecot, missing = mailbox.server()
local real = mailbox.real(it, pending, dovecot, missing)

local function texts(n)
  local list = {}
  for i = 1, n do list[i] = ("Subject: %d\n\nmessage %d\n"):format(i, i) end
  return list
end

local function raises(fn, pattern) mailbox.raises("imap_sync_spec.lua", fn, pattern) end

describe("IMAP select with qresync", function()
  real("tells what changed and what vanished meanwhile, in one answer", function()
    local session, user = mailbox.with(dovecot, texts(10))
    local left = assert(session:select "INBOX")
    assert.is_nil(left.changed)
    assert.is_true(session:unselect())
    local other = mailbox.open(dovecot, user)
    assert(other:select "INBOX")
    assert(other:store("3:4", { add = { "\\Flagged" } }))
    assert(other:store("5,7", { add = { "\\Deleted" } }))
    assert(other:expunge "5,7")
    assert(other:append("INBOX", "Subject: new\n\n"))
    local box = assert(session:select("INBOX", { qresync = left, uidvalidity = left.uidvalidity }))
    assert.is_true(box.resynced)
    assert.equal("5,7", box.vanished)
    local changed = {}
    for _, m in ipairs(box.changed) do changed[m.uid] = m end
    assert.is_true(changed[3].flags["\\Flagged"] and changed[4].flags["\\Flagged"])
    assert.is_true(changed[11] ~= nil and changed[1] == nil)
    assert.is_true(changed[3].modseq > left.highestmodseq)
    assert.is_true(box.highestmodseq >= changed[3].modseq)
    box = assert(session:select("INBOX", { qresync = {
      uidvalidity = left.uidvalidity, modseq = tostring(left.highestmodseq), uids = { 1, 2, 5 },
      match = { "1:2", "1:2" },
    } }))
    assert.same({ {}, "5" }, { box.changed, box.vanished })
    other:logout()
    session:logout()
  end)

  real("compares nothing in another life of the mailbox", function()
    local session = mailbox.with(dovecot, texts(2))
    local box = assert(session:select "INBOX")
    local other = { uidvalidity = box.uidvalidity + 1, modseq = 1 }
    local again = assert(session:select("INBOX", { qresync = other }))
    assert.is_nil(again.resynced)
    assert.is_nil(again.changed)
    local none, err = session:select("INBOX", { qresync = other, uidvalidity = other.uidvalidity })
    assert.is_nil(none)
    assert.equal("uidvalidity", err.kind)
    assert.is_nil(session.mailbox)
    session:logout()
  end)

  real("gets VANISHED from then on, and counts by it", function()
    loop.run(function()
      local session, user = mailbox.with(dovecot, texts(5))
      local box = assert(session:select("INBOX", { qresync = { uidvalidity = 1, modseq = 1 } }))
      local other = mailbox.open(dovecot, user)
      assert(other:select "INBOX")
      assert(other:store("2:3", { add = { "\\Deleted" } }))
      assert(other:expunge "2:3")
      local gone
      session:on("vanished", function(event) gone = event.uids end)
      assert.is_true(session:noop())
      assert.equal("2:3", gone)
      assert.equal(3, box.exists)
      local before = box.highestmodseq
      assert(session:store(1, { add = { "\\Deleted" } }))
      assert(session:expunge(1))
      assert.is_true(box.highestmodseq > before)
      other:logout()
      session:logout()
    end)
  end)

  real("raises for what is no saved state", function()
    local session = mailbox.with(dovecot, {})
    raises(function() session:select("INBOX", { qresync = {} }) end, "uidvalidity")
    raises(function() session:select("INBOX", { qresync = { uidvalidity = 1, modseq = "x" } }) end, "mod%-sequence")
    raises(function() session:select("INBOX", { qresync = { uidvalidity = 1, modseq = 1, uids = "1:*" } }) end, "uids")
    raises(function() session:select("INBOX", { qresync = { uidvalidity = 1, modseq = 1, uid = 1 } }) end, "uid")
    raises(function() session:store(1, { add = { "x" } }, { unchanged_since = "1.5" }) end, "unchanged_since")
    raises(function() session:fetch(1, { "uid" }, { vanished = true }) end, "changed_since")
    session:close()
  end)

  it("is unsupported where the server says so", function()
    mailbox.selected("CONDSTORE", 1, function() end, function(session)
      local box, err = session:select("INBOX", { qresync = { uidvalidity = 1, modseq = 1 } })
      assert.is_nil(box)
      assert.equal("unsupported", err.kind)
      local none
      none, err = session:fetch(1, { "flags" }, { changed_since = 1, vanished = true })
      assert.is_nil(none)
      assert.equal("unsupported", err.kind)
    end)
  end)

  it("parts two mailboxes at [CLOSED], and keeps mod-sequences above 2^53", function()
    mailbox.selected("ENABLE QRESYNC", 3, function(peer)
      mailbox.answer(peer, "^ENABLE QRESYNC$", "* ENABLED QRESYNC\r\n")
      mailbox.answer(peer, "^SELECT Work %(QRESYNC %(67890007 90060115194045000 41:211 %(1,5 41,90%)%)%)$",
        "* VANISHED 7\r\n* 9 EXISTS\r\n* OK [CLOSED] closed\r\n* 2 EXISTS\r\n* OK [UIDVALIDITY 67890007] v\r\n"
        .. "* OK [HIGHESTMODSEQ 90060115205545359] m\r\n* VANISHED (EARLIER) 41,43:116\r\n* VANISHED (EARLIER) 120\r\n"
        .. "* 1 FETCH (UID 117 FLAGS (\\Seen) MODSEQ (90060115194045001))\r\n", "OK [READ-WRITE] in")
      mailbox.answer(peer, "^UID FETCH 1:300 %(FLAGS%) %(CHANGEDSINCE 90060115205545359 VANISHED%)$",
        "* VANISHED (EARLIER) 118\r\n* 1 FETCH (UID 117 FLAGS () MODSEQ (90060115205545360))\r\n",
        "OK [HIGHESTMODSEQ 90060115205545360] done")
      mailbox.answer(peer, "^UID STORE 117:118 %(UNCHANGEDSINCE 90060115205545360%) %+FLAGS %(x%)$",
        "* 1 FETCH (UID 117 MODSEQ (90060115205545361))\r\n", "NO [MODIFIED 118] gone")
    end, function(session)
      local gone = 0
      session:on("vanished", function() gone = gone + 1 end)
      local box = assert(session:select("Work", { qresync = {
        uidvalidity = 67890007, modseq = "90060115194045000", uids = "41:211", match = { "1,5", { 41, 90 } },
      } }))
      assert.same({ 2, "90060115205545359", "41,43:116,120", true },
        { box.exists, box.highestmodseq, box.vanished, box.resynced })
      assert.equal("90060115194045001", box.changed[1].modseq)
      local options = { changed_since = box.highestmodseq, vanished = true }
      local all = assert(session:fetch_all("1:300", { "flags" }, options))
      assert.same({ 1, "118" }, { #all, all.vanished })
      assert.equal("90060115205545360", box.highestmodseq)
      local result = assert(session:store({ 117, 118 }, { add = { "x" } }, { unchanged_since = box.highestmodseq }))
      assert.equal("118", result.modified)
      assert.equal("rejected", result.refused.kind)
      assert.equal("90060115205545361", result.modseqs[117])
      assert.equal(0, gone) -- of the mailbox that was left, and told in the answers
    end)
  end)

  it("is refused: no mailbox is selected, and none is on its way", function()
    mailbox.selected("CONDSTORE", 1, function(peer)
      mailbox.answer(peer, "^SELECT Gone %(CONDSTORE%)$", "* OK [CLOSED] closed\r\n", "NO [NONEXISTENT] none")
      mailbox.answer(peer, "^SELECT INBOX", "* 1 EXISTS\r\n* OK [NOMODSEQ] none\r\n* OK [UIDVALIDITY 3] v\r\n")
    end, function(session)
      local box, err = session:select "Gone"
      assert.is_nil(box)
      assert.equal("NONEXISTENT", err.response_code)
      assert.is_nil(session.mailbox)
      box = assert(session:select "INBOX")
      assert.same({ true, nil }, { box.nomodseq, box.highestmodseq })
    end)
  end)
end)

describe("IMAP fetch of changes", function()
  real("tells what vanished since, beside what changed", function()
    local session, user = mailbox.with(dovecot, texts(6))
    local known = session.mailbox.highestmodseq
    local other = mailbox.open(dovecot, user)
    assert(other:select "INBOX")
    assert(other:store("2,4", { add = { "\\Deleted" } }))
    assert(other:expunge "2,4")
    assert(other:store("6", { add = { "\\Answered" } }))
    assert.is_true(session:noop()) -- what is gone is out of this session's sight
    local it = assert(session:fetch("1:*", { "uid", "flags" }, { changed_since = known, vanished = true }))
    local m = assert(it:next())
    assert.equal(6, m.uid)
    assert.is_true(m.modseq > known)
    assert.is_nil(it:next())
    assert.equal("2,4", it.vanished)
    other:logout()
    session:logout()
  end)

  real("leaves alone what changed since: MODIFIED", function()
    local session, user = mailbox.with(dovecot, texts(3))
    local known = assert(session:select("INBOX", { qresync = session.mailbox })).highestmodseq
    local other = mailbox.open(dovecot, user)
    assert(other:select "INBOX")
    assert(other:store(2, { add = { "theirs" } }))
    local result = assert(session:store("1:3", { add = { "ours" } }, { unchanged_since = known, silent = true }))
    assert.equal("2", result.modified)
    assert.is_true(result.modseqs[1] > known and result.modseqs[3] > known)
    other:logout()
    session:logout()
  end)
end)

describe("IMAP UIDONLY", function()
  it("names messages by UID only; message numbers are refused", function()
    mailbox.selected("ENABLE UIDONLY", 3, function(peer)
      mailbox.answer(peer, "^ENABLE UIDONLY$", "* ENABLED UIDONLY\r\n")
      mailbox.answer(peer, "^UID FETCH 7:9 ",
        "* 7 UIDFETCH (FLAGS (\\Seen))\r\n* VANISHED 9\r\n* 8 UIDFETCH (FLAGS ())\r\n")
      mailbox.answer(peer, "^UID SEARCH ", nil, "BAD [UIDREQUIRED] no numbers")
    end, function(session)
      assert(session:enable { "UIDONLY" })
      local gone
      session:on("vanished", function(event) gone = event.uids end)
      local all = assert(session:fetch_all("7:9", { "uid", "flags" }))
      assert.same({ 7, 8, "9", 2 }, { all[1].uid, all[2].uid, gone, session.mailbox.exists })
      assert.is_nil(all[1].seq)
      for _, call in ipairs {
        function() return session:fetch_all(1, { "flags" }, { seq = true }) end,
        function() return session:store(1, { add = { "x" } }, { seq = true }) end,
        function() return session:move(1, "Trash", { seq = true }) end,
        function() return session:search({ seen = true }, { seq = true }) end,
      } do
        local result, err = call()
        assert.is_nil(result)
        assert.is_truthy(err.kind == "invalid" or err.kind == "unsupported", tostring(err))
      end
      local uids, err = session:search "1:2"
      assert.is_nil(uids)
      assert.equal("UIDREQUIRED", err.response_code)
    end)
  end)
end)

describe("IMAP notify", function()
  it("asks in the standard's words", function()
    mailbox.selected("NOTIFY", 1, function(peer)
      mailbox.answer(peer, "^NOTIFY SET STATUS %(selected %(MessageNew %(UID FLAGS BODY.PEEK%[HEADER%]%) "
        .. "MessageExpunge FlagChange%)%) %(personal %(MailboxName%)%) %(subscribed NONE%) "
        .. "%(subtree %(Lists &U,BTFw%-%) %(MessageNew MessageExpunge%)%)$",
        '* STATUS Lists (MESSAGES 3 UIDNEXT 4)\r\n')
      peer:send '* STATUS Lists/a (UIDNEXT 10002 MESSAGES 503)\r\n* LIST (\\NonExistent) "/" Old\r\n'
      peer:send "* 2 EXISTS\r\n* 2 FETCH (UID 9 FLAGS ())\r\n* OK [NOTIFICATIONOVERFLOW] enough\r\n"
      mailbox.answer(peer, "^NOOP")
      mailbox.answer(peer, "^NOTIFY NONE")
      mailbox.answer(peer, "^NOTIFY SET %(selected%-delayed", nil, "NO [BADEVENT (MessageNew)] not that")
    end, function(session)
      local figures = {}
      session:on("mailbox_status", function(event) figures[#figures + 1] = event end)
      assert(session:notify {
        status = true,
        selected = { "messagenew", "MessageExpunge", "FlagChange", items = { "uid", "flags", "headers" } },
        personal = { "MailboxName" }, subscribed = {},
        subtree = { names = { "Lists", "台北" }, "MessageNew", "MessageExpunge" },
      })
      local none, err = session:fetch(1, { "flags" }, { seq = true })
      assert.is_nil(none)
      assert.equal("invalid", err.kind)
      local seen = {}
      local it = assert(session:idle { timeout = 5 })
      for i = 1, 5 do seen[i] = assert(it:next()) end
      it:close()
      assert.same({ "Lists", 3 }, { figures[1].name, figures[1].messages })
      assert.same({ "mailbox_status", "Lists/a", 503, 10002 },
        { seen[1].type, seen[1].name, seen[1].messages, seen[1].uidnext })
      assert.same({ "mailbox", "Old" }, { seen[2].type, seen[2].name })
      assert.is_true(seen[2].attributes["\\NonExistent"])
      assert.same({ "exists", "flags", "overflow" }, { seen[3].type, seen[4].type, seen[5].type })
      assert(session:noop())
      assert(session:notify(false))
      local ok
      ok, err = session:notify { selected_delayed = { "MessageNew", "MessageExpunge" } }
      assert.is_nil(ok)
      assert.equal("BADEVENT", err.response_code)
    end)
  end)

  it("raises for events and groups that are none", function()
    mailbox.selected("NOTIFY", 1, function() end, function(session)
      raises(function() session:notify { selected = { "MessageNew" } } end, "MessageExpunge")
      raises(function() session:notify { selected = { "MailboxName" } } end, "no event of messages")
      raises(function() session:notify { inboxes = { "NewMessage" } } end, "unknown event")
      raises(function() session:notify { mailboxes = { "MailboxName" } } end, "names")
      raises(function() session:notify { inbox = {} } end, "inbox")
      raises(function() session:notify { selected = {}, selected_delayed = {} } end, "not together")
    end)
  end)

  real("tells what happens in this mailbox and in others", function()
    loop.run(function()
      local session, user = mailbox.with(dovecot, texts(2))
      local ok, err = session:notify {
        selected = { "MessageNew", "MessageExpunge", "FlagChange" }, personal = { "MessageNew", "MessageExpunge" },
      }
      assert.is_true(ok, tostring(err))
      local other = mailbox.open(dovecot, user)
      assert(other:select "INBOX")
      local it = assert(session:idle { timeout = 20 })
      assert(other:append("Archive", "Subject: elsewhere\n\n"))
      local event
      repeat event = assert(it:next()) until event.type == "mailbox_status" and event.name == "Archive"
      assert.equal(1, event.messages)
      assert(other:append("INBOX", "Subject: here\n\n"))
      repeat event = assert(it:next()) until event.type == "exists"
      assert.equal(3, event.exists)
      assert(other:store(1, { add = { "\\Flagged" } }))
      repeat event = assert(it:next()) until event.type == "flags" and event.seq == 1
      assert.is_true(event.flags["\\Flagged"])
      it:close()
      assert.same({ 1, 2, 3 }, session:search())
      other:logout()
      session:logout()
    end)
  end)
end)

describe("IMAP links that died unseen", function()
  it("are found in IDLE: DONE is not answered", function()
    mailbox.selected("IDLE", 1, function(peer)
      mailbox.command(peer, "^IDLE")
      peer:send "+ idling\r\n* 2 EXISTS\r\n"
      peer:expect "^DONE"
    end, function(session)
      local it = assert(session:idle { probe = 0.05 })
      assert.equal(2, assert(it:next()).exists)
      local event, err = it:next()
      assert.is_nil(event)
      assert.equal("timeout", err.kind)
      assert.is_true(err.temporary)
      local _, after = session:noop()
      assert.equal("closed", after.kind)
    end, { timeout = 0.2 })
  end)

  it("are found without: NOOP is not answered", function()
    mailbox.selected("", 1, function(peer) mailbox.command(peer, "^NOOP") end, function(session)
      local it = assert(session:idle { poll = 0.01 })
      local event, err = it:next()
      assert.is_nil(event)
      assert.equal("timeout", err.kind)
    end, { timeout = 0.2 })
  end)
end)

describe("range sets of UIDs", function()
  it("agree with sets of numbers", function()
    local dice = require "spec.support.imap_model".dice(11)
    local function random_pair()
      local ranges, plain = Ranges.of(), {}
      for _ = 1, dice:roll(40) do
        local n = dice:roll(30)
        if dice:once_in(4) then
          ranges:remove(n)
          plain[n] = nil
        else
          ranges:add(n)
          plain[n] = true
        end
      end
      return ranges, plain
    end
    local function same(ranges, wanted)
      local count = 0
      for n = 1, 31 do
        local expected = wanted(n)
        assert.equal(expected and true or false, ranges:has(n))
        if expected then count = count + 1 end
      end
      assert.equal(count, ranges.count)
      assert.equal(ranges:text(), Ranges.of(ranges:text()):text())
    end
    for _ = 1, 300 do
      local a, set_a = random_pair()
      local b, set_b = random_pair()
      same(a, function(n) return set_a[n] end)
      same(a:intersection(b), function(n) return set_a[n] and set_b[n] end)
      same(a:difference(b), function(n) return set_a[n] and not set_b[n] end)
    end
    assert.equal("4:6,8:*", Ranges.of("1:3,7"):gaps(1))
    assert.equal("1:*", Ranges.of():gaps(1))
    assert.equal("5:6,8:*", Ranges.of("1:3,7"):gaps(5))
    assert.equal("", Ranges.of("1:4294967295"):gaps(9))
    assert.is_nil(Ranges.of "1:*")
    assert.is_nil(Ranges.of "x")
  end)

  it("never expand what a server says", function()
    local sync = Sync.new()
    sync:reset(1)
    sync:checkpoint(1)
    for uid = 1, 5 do sync:message { uid = uid, flags = {}, modseq = 1 } end
    assert.is_nil(sync:vanished(Ranges.of "6:4294967295"))
    assert.same({ type = "vanished", uids = "2:5" }, sync:vanished(Ranges.of "2:4294967295"))
    assert.equal("1", sync:save().known)
  end)
end)
