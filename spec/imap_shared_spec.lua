-- One IMAP session for several coroutines; commands without a method; sessions without a connection
-- (parse, driving by hand).

local Err = require "mail.err"
local imap = require "mail.imap"
local loop = require "mail.loop"
local Pump = require "mail.pump"
local mailbox = require "spec.support.mailbox"
local scripted = require "spec.support.scripted"

local dovecot, missing = mailbox.server()
local real = mailbox.real(it, pending, dovecot, missing)

describe("IMAP sessions shared by coroutines", function()
  real("give each of 20 its own answers", function()
    loop.run(function()
      local list = {}
      for i = 1, 20 do list[i] = ("Subject: number %d\n\nbody %d\n"):format(i, i) end
      local session = mailbox.with(dovecot, list)
      for i = 1, 20 do assert(session:create(("box %d"):format(i))) end
      local tasks = {}
      for i = 1, 20 do
        tasks[i] = loop.spawn(function()
          local name = ("box %d"):format(i)
          for round = 1, 3 do
            assert.same({ i }, session:search { subject = ("number %d"):format(i), uid = i })
            assert.equal(name, assert(session:status(name, { "messages" })).name)
            local m = assert(session:fetch_all(i, { "uid", "envelope", "body" }))
            assert.equal(1, #m)
            assert.equal(("number %d"):format(i), m[1].envelope.subject)
            assert.matches(("body %d\r\n$"):format(i), m[1].body[""])
            assert(session:store(i, { add = { "k" .. i } }))
            assert.equal(name, assert(session:list(name))[1].name)
            local copied = assert(session:copy(i, name))
            assert.equal(tostring(i), copied.from)
            assert.is_number(assert(session:append(name, list[i])).uid)
            assert.equal(round * 2, assert(session:status(name, { "messages" })).messages)
          end
          return true
        end)
      end
      for i = 1, 20 do assert.is_true((tasks[i]:join())) end
      for i = 1, 20 do assert.same({ i }, session:search { keyword = "k" .. i }) end
      session:logout()
    end)
  end)

  it("pipeline: the commands are out before the first is answered", function()
    scripted.run(function(peer)
      mailbox.admit(peer)
      local a, first = mailbox.command(peer, "^STATUS")
      local b, second = mailbox.command(peer, "^STATUS")
      local c = mailbox.command(peer, "^NOOP")
      peer:send(c .. " OK\r\n")
      peer:send(("* STATUS %s (MESSAGES 2)\r\n* STATUS %s (MESSAGES 1)\r\n"):format(second:match "%S+ (%S+)",
        first:match "%S+ (%S+)"))
      peer:send(b .. " OK\r\n" .. a .. " OK\r\n")
      peer:rest()
    end, function(port)
      local session = assert(mailbox.dial(port))
      local one = loop.spawn(function() return session:status("one", { "messages" }) end)
      local two = loop.spawn(function() return session:status("two", { "messages" }) end)
      local noop = loop.spawn(function() return session:noop() end)
      assert.is_true((noop:join()))
      assert.same({ "two", 2 }, { two:join().name, two:join().messages })
      assert.same({ "one", 1 }, { one:join().name, one:join().messages })
      session:close()
    end)
  end)

  it("send two fetches together where their messages differ, and tell their answers apart", function()
    mailbox.selected("", 9, function(peer)
      local a = mailbox.command(peer, "^UID FETCH 1:3 ")
      local b = mailbox.command(peer, "^UID FETCH 7,9 ")
      peer:send "* 7 FETCH (UID 7 RFC822.SIZE 70)\r\n* 1 FETCH (UID 1 RFC822.SIZE 10)\r\n"
      peer:send "* 5 FETCH (UID 5 FLAGS (\\Seen))\r\n* 9 FETCH (RFC822.SIZE 90 UID 9)\r\n"
      peer:send("* 3 FETCH (UID 3 RFC822.SIZE 30)\r\n" .. b .. " OK\r\n" .. a .. " OK\r\n")
      local c = mailbox.command(peer, "^UID FETCH 1:9 ")
      peer:send(c .. " OK\r\n")
      mailbox.answer(peer, "^UID FETCH 2:3 ")
    end, function(session)
      local low = loop.spawn(function() return session:fetch_all("1:3", { "size" }) end)
      local high = loop.spawn(function() return session:fetch_all({ 7, 9 }, { "size" }) end)
      low, high = low:join(), high:join()
      assert.same({ 1, 3 }, { low[1].uid, low[2].uid })
      assert.same({ 7, 9 }, { high[1].uid, high[2].uid })
      assert.same({ 2, 2 }, { #low, #high })
      local all = loop.spawn(function() return session:fetch_all("1:9", { "size" }) end)
      local some = loop.spawn(function() return session:fetch_all("2:3", { "size" }) end)
      assert.same({}, all:join())
      assert.same({}, some:join())
    end)
  end)

  it("give up single calls, by deadline or by cancel, and stay in step", function()
    mailbox.selected("", 9, function(peer)
      local a = mailbox.command(peer, "^UID SEARCH")
      local b = mailbox.command(peer, "^STATUS")
      local c = mailbox.command(peer, "^NOOP")
      loop.sleep(0.1)
      peer:send("* SEARCH 1 2 3\r\n" .. a .. " OK\r\n* STATUS x (MESSAGES 1)\r\n" .. b .. " OK\r\n" .. c .. " OK\r\n")
      mailbox.answer(peer, "^UID SEARCH", "* SEARCH 9\r\n")
    end, function(session)
      local found, why
      local search = loop.spawn(function() found, why = session:search() end)
      local status = loop.spawn(function() return session:status("x", { "messages" }, { timeout = 0.03 }) end)
      local noop = loop.spawn(function() return session:noop() end)
      loop.sleep(0.01)
      search:cancel()
      search:join()
      assert.is_nil(found)
      assert.equal("cancelled", why.kind)
      assert.equal("UID SEARCH", why.command)
      local result, err = status:join()
      assert.is_nil(result)
      assert.equal("timeout", err.kind)
      assert.is_true((noop:join()))
      assert.same({ 9 }, session:search())
    end)
  end)

  real("close under those who wait: each is told", function()
    loop.run(function()
      local session = mailbox.with(dovecot, { "Subject: x\n\ny\n" })
      local it = assert(session:idle())
      local waiting = loop.spawn(function()
        local event, err
        repeat event, err = it:next() until not event
        return err
      end)
      loop.sleep(0.02)
      assert.is_true(session:close())
      assert.is_true(session:close())
      assert.equal("closed", waiting:join().kind)
      for _, call in ipairs { "noop", "search", "list", "logout", "unselect", "idle", "expunge", "capability" } do
        local ok, err = session[call](session)
        assert.is_nil(ok)
        assert.equal("closed", err.kind, call)
      end
      local ok, err = session:append("INBOX", "x")
      assert.is_nil(ok)
      assert.equal("closed", err.kind)
      ok, err = session:fetch(1, { "uid" })
      assert.is_nil(ok)
      assert.equal("closed", err.kind)
      assert.is_false(session:has "IDLE")
      assert.is_table(session.capabilities)
      assert.is_nil(session.tls)
      assert.matches("closed", tostring(session))
    end)
  end)
end)

describe("IMAP commands without a method", function()
  real("by words and arguments", function()
    local session = mailbox.with(dovecot, { "Subject: x\n\ny\n" })
    local all = assert(session:command("ID", { "name", "spec \"q\"", "os", "a\\b" }))
    assert.equal("ID", all[1].name)
    assert.is_table(all[1].value)
    all = assert(session:command("namespace"))
    assert.equal("NAMESPACE", all[1].name)
    all = assert(session:command("UID FETCH", imap.atom "1", { imap.atom "UID", imap.atom "FLAGS" }))
    assert.same({ "untagged", "FETCH", 1, 1 }, { all[1].kind, all[1].name, all[1].number, all[1].value.uid })
    local none, err = session:command("XNONE", 5)
    assert.is_nil(none)
    assert.equal("rejected", err.kind)
    assert.equal("XNONE", err.command)
    none, err = session:command("STATUS", "a\0b", { imap.atom "MESSAGES" })
    assert.is_nil(none)
    assert.equal("invalid", err.kind)
    none, err = session:command("CREATE", "line\239\191\189") -- not ASCII: a literal, as it stands
    assert.is_nil(none)
    assert.matches("mUTF%-7", err.text)
    session:logout()
  end)

  real("by a line", function()
    local session, user = mailbox.with(dovecot, { "Subject: x\n\ny\n" })
    local tagged, all = session:command_line "uid fetch 1:3 (FLAGS)"
    assert.equal("OK", tagged.status)
    assert.is_string(tagged.text)
    assert.same({ "FETCH", 1, 1 }, { all[1].name, all[1].number, all[1].value.uid })
    assert.is_true(all[1].value.flags["\\Recent"])
    tagged = assert(session:command_line "SELECT nowhere")
    assert.equal("NO", tagged.status)
    tagged = assert(session:command_line "XNONE such")
    assert.equal("BAD", tagged.status)
    assert(session:select "INBOX")
    assert(dovecot:save(user, "Subject: 2\n\ntwo\n"))
    local seen
    session:on("exists", function(event) seen = event.exists end)
    tagged, all = session:command_line "NOOP"
    assert.equal("OK", tagged.status)
    assert.same({}, all)
    assert.equal(2, seen)
    for _, line in ipairs { "APPEND INBOX {5}", "APPEND INBOX {5+}", "APPEND INBOX ~{5}" } do
      local none, why = session:command_line(line)
      assert.is_nil(none)
      assert.same({ "invalid", "APPEND" }, { why.kind, why.command })
    end
    local ok, err = session:command_line "NOOP\r\nA1 LOGOUT"
    assert.is_nil(ok)
    assert.equal("invalid", err.kind)
    session:logout()
  end)

  real("raise for wrong arguments at the caller's line", function()
    local session = mailbox.open(dovecot)
    local function raises(fn, pattern) mailbox.raises("imap_shared_spec.lua", fn, pattern) end
    raises(function() session:command() end, "verb")
    raises(function() session:command("NO OP") end, "no command")
    raises(function() session:command("NOOP\r\n") end, "no command")
    raises(function() session:command("NOOP", true) end, "argument")
    raises(function() session:command("NOOP", nil) end, "argument")
    raises(function() session:command("NOOP", 1.5) end, "whole")
    raises(function() session:command("NOOP", { { function() end } }) end, "argument")
    for _, verb in ipairs { "STARTTLS", "AUTHENTICATE", "LOGIN", "IDLE", "COMPRESS" } do
      raises(function() session:command(verb:lower()) end, "method of its own")
      raises(function() session:command_line(verb) end, "method of its own")
    end
    raises(function() session:command_line() end, "a line")
    raises(function() session:command_line "" end, "empty")
    raises(function() session:command_line("NOOP", { x = 1 }) end, "'x'")
    raises(function() imap.atom() end, "atom")
    raises(function() imap.atom "a\r\nb" end, "atom")
    session:close()
  end)
end)

local RECORDED = "* OK [CAPABILITY IMAP4rev1 IDLE] ready\r\n+ go on\r\n"
  .. "* 3 FETCH (UID 7 FLAGS (\\Seen) BODY[] {5}\r\na\r\nb!)\r\n"
  .. "* LIST (\\HasNoChildren) \"/\" \"a \\\"b\\\"\"\r\n* 12 EXISTS\r\n* SEARCH 1 2 3\r\n* STATUS x (MESSAGES 4)\r\n"
  .. "A1 OK [READ-WRITE] done\r\nA2 NO [TRYCREATE] no\r\nA3 BAD\r\n"

describe("IMAP without a connection", function()
  it("parses recorded responses, whatever the cuts", function()
    local all = assert(imap.parse(RECORDED))
    assert.equal(10, #all)
    assert.same({ kind = "continue", text = "go on" }, all[2])
    assert.equal("OK", all[1].name)
    assert.equal("CAPABILITY", all[1].code)
    assert.equal("ready", all[1].text)
    assert.same({ kind = "untagged", name = "FETCH", number = 3,
      value = { seq = 3, uid = 7, flags = { ["\\Seen"] = true }, body = { [""] = "a\r\nb!" } } }, all[3])
    assert.equal("a \"b\"", all[4].value.name)
    assert.same({ kind = "untagged", name = "EXISTS", number = 12 }, all[5])
    assert.same({ 1, 2, 3 }, all[6].value)
    assert.equal(4, all[7].value.messages)
    assert.same({ kind = "tagged", tag = "A1", name = "OK", code = "READ-WRITE", text = "done" }, all[8])
    assert.same({ "A2", "NO", "TRYCREATE" }, { all[9].tag, all[9].name, all[9].code })
    assert.same({ "A3", "BAD" }, { all[10].tag, all[10].name })
    for chunk = 1, 40 do assert.same(all, imap.parse(RECORDED, chunk)) end
  end)

  it("does not parse what is none, or not all of one", function()
    for bytes, kind in pairs {
      ["\r\n"] = "protocol", ["A1 MAYBE x\r\n"] = "protocol", ["* OK half"] = "closed",
      ["* 1 FETCH (BODY[] {5}\r\nab"] = "closed", ["* X {99999999999999999999}\r\n"] = "protocol",
    } do
      for _, chunk in ipairs { 1, 3, 1000 } do
        local all, err = imap.parse(bytes, chunk)
        assert.is_nil(all, bytes)
        assert.is_true(Err.is(err))
        assert.equal(kind, err.kind, bytes)
      end
    end
    assert.same({}, imap.parse "")
    local function raises(fn) mailbox.raises("imap_shared_spec.lua", fn) end
    raises(function() imap.parse() end)
    raises(function() imap.parse("x", 0) end)
    raises(function() imap.parse("x", "1") end)
  end)

  it("drives a session over a transport of one's own", function()
    local answers = { "* OK [CAPABILITY IMAP4rev1] hi\r\n" }
    local transport = {}
    function transport:read() return table.remove(answers, 1) or nil, "closed" end
    function transport:write(bytes)
      for tag, verb in bytes:gmatch "(%S+) (%S+)[^\n]*\n" do
        local untagged = verb == "SELECT" and "* 3 EXISTS\r\n* NO [ALERT] look\r\n" or ""
        answers[#answers + 1] = untagged .. tag .. " OK done\r\n"
        if verb == "LOGIN" then answers[#answers] = tag .. " OK [CAPABILITY IMAP4rev1 XODD] in\r\n" end
      end
      return true
    end
    function transport:close() self.closed = true end
    local session, alert = imap.session(), nil
    local pump = Pump.open(session, transport, nil, { timeout = 5, place = "a pipe" })
    assert.is_true(imap.greet(pump, { user = "ann", password = "x", allow_plaintext_login = true }, pump:deadline()))
    session:on("alert", function(event) alert = event.text end)
    assert.is_true(session:has "XODD")
    assert.equal(3, assert(session:select "INBOX").exists)
    assert.equal("look", alert)
    assert.equal("mail.imap (a pipe, selected INBOX)", tostring(session))
    assert.is_true(session:logout())
    assert.is_true(transport.closed)
  end)

  -- A function of the user's raises once, between the answers to four calls.
  local function raising(arm)
    local ends, raised, counted = {}, 0, 0
    local function raise()
      raised = raised + 1
      if raised == 1 then error("boom", 0) end
    end
    scripted.run(function(peer)
      mailbox.admit_selected(peer, "", 5)
      local text = {}
      for i = 1, 4 do
        local tag = mailbox.command(peer, "^STATUS")
        text[i] = ("* 6 EXISTS\r\n* STATUS b%d (MESSAGES %d)\r\n%s OK done\r\n"):format(i, i, tag)
      end
      peer:send(table.concat(text))
      mailbox.answer(peer, "^NOOP")
      peer:rest()
    end, function(port)
      local armed = false
      local session = assert(mailbox.dial(port, arm == "log" and {
        log = function(direction) if armed and direction == "S" then raise() end end,
      } or nil))
      assert(session:select "INBOX")
      armed = true
      if arm == "handler" then session:on("exists", raise) end
      session:on("exists", function() counted = counted + 1 end)
      local all = loop.native.event()
      for i = 1, 4 do
        loop.spawn(function()
          local fine, box = pcall(session.status, session, "b" .. i, { "messages" })
          ends[i] = fine and box and box.messages or box
          if #ends == 4 then all:set() end
        end)
      end
      assert.is_true(all:wait(10))
      assert.is_true(session:noop())
      session:close()
    end)
    assert.same({ "boom", 2, 3, 4 }, ends)
    assert.equal(4, counted)
  end

  if mailbox.yields_everywhere then
    it("gives up a fetch_all in which a handler raises: others need not wait for its reader", function()
      mailbox.selected("", 5, function(peer)
        local tag = mailbox.command(peer, "^UID FETCH")
        peer:send("* 6 EXISTS\r\n" .. ("* 1 FETCH (UID 1 FLAGS ())\r\n"):rep(3000) .. tag .. " OK done\r\n")
        mailbox.answer(peer, "^NOOP")
      end, function(session)
        local off = session:on("exists", function() error("boom", 0) end)
        local _, caught = pcall(session.fetch_all, session, "1:*", { "uid", "flags" })
        off()
        assert.equal("boom", caught)
        assert.is_nil(next(Pump.of(session).queues))
        assert.is_true(session:noop { timeout = 2 })
      end)
    end)

    it("costs nobody an answer where a log function raises", function() raising "log" end)
    it("costs nobody an answer or an event where a handler raises", function() raising "handler" end)
  end

  it("drives a session by hand", function()
    local session = imap.session { tag_prefix = "T" }
    assert.equal("mail.session (no transport)", (tostring(session):gsub("mail%.imap", "mail.session")))
    session:feed "* OK [CAPABILITY IMAP4rev1] hello\r\n"
    assert.equal("greeting", (session:next()))
    local id = session:begin_login("ann", "secret")
    assert.equal("wait", (session:next()))
    assert.equal("T1 LOGIN ann secret\r\n", session:output())
    session:feed "T1 OK in\r\n"
    local kind, who, status = session:next()
    assert.same({ "done", id, "OK" }, { kind, who, status })
    id = session:submit("SELECT", false, "mailbox", "Gr\195\188n")
    session:next()
    assert.equal("T2 SELECT Gr&APw-n\r\n", session:output())
    session:feed "* 5 EXISTS\r\nT2 OK [READ-ONLY] ok\r\n"
    local name, number
    kind, who, name, number = session:next()
    assert.same({ "untagged", id, "EXISTS", 5 }, { kind, who, name, number })
    kind, who, status, name = session:next()
    assert.same({ "done", id, "OK", "READ-ONLY" }, { kind, who, status, name })
    mailbox.raises("imap_shared_spec.lua", function() session:noop() end, "without a transport")
    mailbox.raises("imap_shared_spec.lua", function() session:search {} end, "without a transport")
    mailbox.raises("imap_shared_spec.lua", function() session:fetch(1, { "uid" }) end, "without a transport")
    session:feed_eof()
    kind = session:next()
    assert.equal("fail", kind)
    assert.equal("closed", (session:failure()))
    assert.is_true(session:close())
  end)
end)
