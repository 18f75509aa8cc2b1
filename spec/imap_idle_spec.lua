-- IMAP IDLE and unsolicited data against Dovecot; and servers without IDLE, or that end it.

local loop = require "mail.loop"
local mailbox = require "spec.support.mailbox"
local scripted = require "spec.support.scripted"

local dovecot, missing = mailbox.server()
local real = mailbox.real(it, pending, dovecot, missing)

local function texts(n)
  local list = {}
  for i = 1, n do list[i] = ("Subject: %d\n\nmessage %d\n"):format(i, i) end
  return list
end

-- The next event of that type.
local function await(it, kind)
  while true do
    local event, err = it:next()
    assert.is_table(event, "the loop ended before " .. kind .. ": " .. tostring(err))
    if event.type == kind then return event end
  end
end

describe("IMAP idle", function()
  real("tells arrivals, removals and flags", function()
    loop.run(function()
      local session, user = mailbox.with(dovecot, texts(3))
      local other = mailbox.open(dovecot, user)
      assert(other:select "INBOX")
      local it = assert(session:idle { timeout = 20 })
      assert(other:append("INBOX", "Subject: new\n\nnew\n"))
      assert.equal(4, await(it, "exists").exists)
      assert(other:store(2, { add = { "\\Flagged" } }))
      local flags = await(it, "flags")
      while flags.seq ~= 2 do flags = await(it, "flags") end
      assert.is_true(flags.flags["\\Flagged"])
      assert(other:store(1, { add = { "\\Deleted" } }))
      assert(other:expunge { 1 })
      assert.equal(1, await(it, "expunge").seq)
      assert.equal(3, session.mailbox.exists)
      it:close()
      assert.is_nil((it:next()))
      assert.same({ 2, 3, 4 }, session:search())
      other:logout()
      session:logout()
    end)
  end)

  real("ends quietly after its timeout, on the main thread and in a task", function()
    local session = mailbox.with(dovecot, texts(1))
    for event in assert(session:idle { timeout = 0.05 }) do assert.is_table(event) end
    assert.is_true(session:noop())
    loop.run(function()
      local it = assert(session:idle { timeout = 0.05 })
      local event, err = it:next()
      while event do event, err = it:next() end
      assert.is_nil(err)
      assert.is_true(session:noop())
    end)
    session:logout()
  end)

  real("gives way to the calls of other coroutines and comes back", function()
    loop.run(function()
      local session, user = mailbox.with(dovecot, texts(2))
      local lines = {}
      local seen, stop = 0, false
      local watcher = loop.spawn(function()
        local it = assert(session:idle())
        local event = it:next()
        while event do
          if event.type == "exists" then seen = event.exists end
          if stop then break end
          event = it:next()
        end
        it:close()
        lines[1] = "over"
      end)
      loop.sleep(0.02)
      for i = 1, 5 do
        assert.equal(2 + (i - 1), assert(session:status("INBOX", "messages")).messages)
        assert.equal(2 + (i - 1), #assert(session:search()))
        stop = i == 5
        assert(dovecot:save(user, "Subject: more\n\nmore\n"))
        local patience = 0
        while seen < 2 + i and patience < 2000 do
          loop.sleep(0.01)
          patience = patience + 1
        end
        assert.equal(2 + i, seen)
      end
      watcher:join()
      assert.same({ "over" }, lines)
      session:logout()
    end)
  end)

  real("is taken up anew before servers lose patience", function()
    local sent = {}
    local session = mailbox.with(dovecot, texts(1), { log = function(direction, line)
      if direction == "C" then sent[#sent + 1] = line:match "%S+$" end
    end })
    for event in assert(session:idle { timeout = 0.5, rearm = 0.1 }) do assert.is_table(event) end
    assert.is_true(session:noop())
    local idles, dones = 0, 0
    for _, line in ipairs(sent) do
      if line == "IDLE" then idles = idles + 1 elseif line == "DONE" then dones = dones + 1 end
    end
    assert.is_true(idles >= 3, idles .. " IDLE")
    assert.equal(idles, dones)
    session:logout()
  end)

  real("is one at a time, and needs a mailbox only for news of one", function()
    loop.run(function()
      local session = mailbox.with(dovecot, texts(1))
      local it = assert(session:idle { timeout = 20 })
      local second, err = loop.spawn(function() return session:idle() end):join()
      assert.is_nil(second)
      assert.equal("invalid", err.kind)
      it:close()
      it = assert(session:idle { timeout = 0.01 })
      it:close()
      session:logout()
      second, err = session:idle()
      assert.is_nil(second)
      assert.equal("closed", err.kind)
    end)
  end)

  real("may be left by break, and begun again, in every Lua", function()
    local session, user = mailbox.with(dovecot, texts(1))
    local other = mailbox.open(dovecot, user)
    for i = 2, 4 do
      assert(other:append("INBOX", "Subject: new\n\nnew\n"))
      for event in assert(session:idle { timeout = 20 }) do
        if event.type == "exists" and event.exists == i then break end
      end
    end
    assert.same({ 1, 2, 3, 4 }, session:search())
    local it = assert(session:idle { timeout = 20 })
    local inner = assert(session:idle { timeout = 0.01 })
    local event, err = it:next()
    assert.is_nil(event)
    assert.equal("invalid", err.kind)
    event, err = inner:next()
    assert.is_nil(event or err)
    local left = assert(loop.run(function() return session:idle { timeout = 20 } end)) -- by a coroutine that is dead
    it = assert(session:idle { timeout = 20 })
    event, err = left:next()
    assert.is_nil(event)
    assert.equal("invalid", err.kind)
    left:close()
    assert(other:append("INBOX", "Subject: new\n\nnew\n"))
    assert.equal(5, await(it, "exists").exists)
    it:close()
    assert.is_true(session:noop())
    other:logout()
    session:logout()
  end)

  real("is cancelled with its task, and the session goes on", function()
    loop.run(function()
      local session = mailbox.with(dovecot, texts(1))
      local err
      local task = loop.spawn(function()
        local it = assert(session:idle())
        local event
        repeat event, err = it:next() until not event
      end)
      loop.sleep(0.02)
      task:cancel()
      task:join()
      assert.equal("cancelled", err.kind)
      assert.is_true(session:noop())
      session:logout()
    end)
  end)

  real("raises for wrong options at the caller's line", function()
    local session = mailbox.with(dovecot, {})
    local function raises(fn, pattern) mailbox.raises("imap_idle_spec.lua", fn, pattern) end
    raises(function() session:idle { tmeout = 1 } end, "tmeout")
    raises(function() session:idle { timeout = "1" } end, "timeout")
    raises(function() session:idle(5) end, "table of options")
    session:close()
  end)
end)

describe("IMAP handlers", function()
  real("get what is said beside other answers, and can be taken away", function()
    local session, user = mailbox.with(dovecot, texts(2))
    local seen = {}
    local off = session:on("exists", function(event) seen[#seen + 1] = event.exists end)
    assert(dovecot:save(user, "Subject: 3\n\nthree\n"))
    assert.is_true(session:noop())
    assert.same({ 3 }, seen)
    off()
    off()
    assert(dovecot:save(user, "Subject: 4\n\nfour\n"))
    assert.is_true(session:noop())
    assert.same({ 3 }, seen)
    assert.equal(4, session.mailbox.exists)
    session:logout()
  end)

  real("may use the session, and take themselves away", function()
    loop.run(function()
      local session, user = mailbox.with(dovecot, texts(1))
      local found, off = nil, nil
      off = session:on("exists", function()
        off()
        found = assert(session:search())
      end)
      local later = 0
      session:on("exists", function() later = later + 1 end)
      assert(dovecot:save(user, "Subject: 2\n\ntwo\n"))
      assert.is_true(session:noop())
      assert.same({ 1, 2 }, found)
      assert.equal(1, later)
      session:logout()
    end)
  end)
end)

-- --- scripted ---------------------------------------------------------------------------------------

describe("IMAP servers of other manners", function()
  it("have no IDLE: they are polled", function()
    mailbox.selected("", 1, function(peer)
      mailbox.answer(peer, "^NOOP", "* 2 EXISTS\r\n")
      mailbox.answer(peer, "^NOOP", "* 1 EXPUNGE\r\n* 1 FETCH (FLAGS (\\Seen))\r\n")
      mailbox.answer(peer, "^NOOP")
    end, function(session)
      assert.is_false(session:has "IDLE")
      local it = assert(session:idle { timeout = 5, poll = 0.01 })
      assert.equal(2, assert(it:next()).exists)
      assert.equal("expunge", assert(it:next()).type)
      assert.is_true(assert(it:next()).flags["\\Seen"])
      it:close()
      assert.is_true(session:noop())
    end)
  end)

  it("refuse IDLE", function()
    mailbox.selected("IDLE", 1, function(peer)
      mailbox.answer(peer, "^IDLE", nil, "NO [UNAVAILABLE] not now")
      mailbox.answer(peer, "^NOOP")
    end, function(session)
      local it = assert(session:idle())
      local event, err = it:next()
      assert.is_nil(event)
      assert.equal("rejected", err.kind)
      assert.equal("IDLE", err.command)
      assert.equal("UNAVAILABLE", err.response_code)
      assert.is_true(session:noop())
    end)
  end)

  it("say alerts, and good-bye in the middle of IDLE", function()
    mailbox.selected("IDLE", 1, function(peer)
      mailbox.command(peer, "^IDLE")
      peer:send "+ idling\r\n* OK [ALERT] disk is full\r\n* 3 FETCH (UID 9 FLAGS (\\Seen) MODSEQ (12))\r\n"
      peer:send "* VANISHED 4:5\r\n* BYE shutting down\r\n"
      peer:close()
    end, function(session)
      local alert, bye
      session:on("alert", function(event) alert = event.text end)
      session:on("bye", function(event) bye = event.text end)
      local it = assert(session:idle())
      assert.same({ type = "alert", text = "disk is full" }, it:next())
      assert.equal("disk is full", alert)
      local flags = assert(it:next())
      assert.same({ "flags", 3, 9, 12 }, { flags.type, flags.seq, flags.uid, flags.modseq })
      local vanished = assert(it:next())
      assert.same({ "vanished", "4:5" }, { vanished.type, vanished.uids })
      assert.same({ type = "bye", text = "shutting down" }, it:next())
      assert.equal("shutting down", bye)
      local event, err = it:next()
      assert.is_nil(event)
      assert.equal("closed", err.kind)
      assert.matches("shutting down", err.message)
    end)
  end)

  it("close the connection during IDLE: the loop raises", function()
    if not mailbox.yields_everywhere then return end
    mailbox.selected("IDLE", 1, function(peer)
      mailbox.command(peer, "^IDLE")
      peer:send "+ idling\r\n* 2 EXISTS\r\n"
      peer:close()
    end, function(session)
      local seen = 0
      local ok, err = pcall(function()
        for event in session:idle() do seen = event.exists end
      end)
      assert.is_false(ok)
      assert.equal("closed", err.kind)
      assert.equal(2, seen)
    end)
  end)

  it("tell alerts beside any answer", function()
    scripted.run(function(peer)
      mailbox.admit(peer)
      mailbox.answer(peer, "^NOOP", "* NO [ALERT] quota nearly full\r\n* 5 RECENT\r\n* OK just so\r\n")
      peer:rest()
    end, function(port)
      local session = assert(mailbox.dial(port))
      local alerts, status = {}, {}
      session:on("alert", function(event) alerts[#alerts + 1] = event.text end)
      session:on("status", function(event) status[#status + 1] = event.status .. " " .. event.text end)
      assert.is_true(session:noop())
      assert.same({ "quota nearly full" }, alerts)
      assert.same({ "OK just so" }, status)
      session:close()
    end)
  end)
end)
