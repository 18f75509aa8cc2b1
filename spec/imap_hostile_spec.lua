-- IMAP against scripted servers: mute, dripping, flooding, closing and lying ones in every phase. Each
-- gives nil, err of the right kind within the deadline, and leaves nothing behind.

local Pump = require "mail.pump"
local descriptors = require "spec.support.descriptors"
local imap = require "mail.imap"
local loop = require "mail.loop"
local mailbox = require "spec.support.mailbox"
local scripted = require "spec.support.scripted"

-- connect against `script`: must fail with `kind`.
local function refused(kind, script, more)
  return scripted.run(script, function(port)
    local started = loop.now()
    local session, err = mailbox.dial(port, more)
    assert.is_nil(session)
    assert.equal(kind, err.kind, tostring(err))
    assert.equal("imap", err.protocol)
    assert.is_true(loop.now() - started < 4, "late")
    return err
  end)
end

local SHORT = { timeout = 0.1 }

describe("IMAP servers that", function()
  it("stay mute in any phase run into the deadline", function()
    refused("timeout", function(peer) peer:rest() end, SHORT)
    refused("timeout", function(peer)
      peer:send "* OK hi\r\n"
      peer:rest()
    end, SHORT)
    refused("timeout", function(peer)
      peer:send "* OK [CAPABILITY IMAP4rev1] hi\r\n"
      mailbox.command(peer, "^LOGIN")
      peer:rest()
    end, SHORT)
    refused("timeout", function(peer)
      peer:send "* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n"
      mailbox.command(peer, "^STARTTLS")
      peer:rest()
    end, { timeout = 0.1, tls = "starttls" })
    refused("timeout", function(peer)
      peer:send "* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n"
      mailbox.answer(peer, "^STARTTLS")
      peer:rest()
    end, { timeout = 0.1, tls = "starttls" })
    refused("timeout", function(peer) peer:rest() end, { timeout = 0.1, tls = "implicit" })
  end)

  it("drip are cut off by the deadline of the whole answer", function()
    refused("timeout", function(peer) peer:drip("* OK " .. ("slow "):rep(500), 0.01) end, SHORT)
    mailbox.selected("", 3, function(peer)
      local tag = mailbox.command(peer, "^NOOP")
      peer:drip(("* OK still here\r\n"):rep(20), 0.002)
      peer:send(tag .. " OK at last\r\n")
      mailbox.answer(peer, "^CHECK")
    end, function(session)
      local ok, err = session:noop { timeout = 0.05 }
      assert.is_nil(ok)
      assert.equal("timeout", err.kind)
      assert.equal("NOOP", err.command)
      assert.is_true(err.temporary)
      assert.is_true(session:check()) -- the late answer was swallowed
    end)
  end)

  it("flood are cut off by it, too", function()
    mailbox.selected("", 3, function(peer)
      mailbox.command(peer, "^NOOP")
      repeat until not peer:send(("* OK still here\r\n"):rep(1000)) -- until the client is gone
    end, function(session)
      local ok, err = session:noop { timeout = 0.2 }
      assert.is_nil(ok)
      assert.equal("timeout", err.kind)
      session:close()
    end)
  end)

  it("never let a call wait: own answers without end are over in time, too", function()
    local FLOODS = {
      { "* 1 FETCH (UID 1 FLAGS ())\r\n", function(session) return session:store(1, { add = { "x" } }) end },
      { "* 5 EXISTS\r\n", function(session) return session:fetch_all("1:*", { "uid" }) end },
      { '* LIST () "/" a\r\n', function(session) return session:list "*" end },
      { "* OK still here\r\n", function(session) return session:select "INBOX" end },
    }
    for _, flood in ipairs(FLOODS) do
      local now, tag = 0, nil
      local host = setmetatable({ now = function() return now end }, { __index = loop.native })
      local transport = { close = function() end }
      function transport.write(_, bytes)
        if tag == nil then tag = bytes:match "^%w+" end -- SELECT alone is answered
        return true
      end
      local greeting = "* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n"
      function transport.read()
        local first = greeting or tag and tag .. " OK [READ-WRITE] selected\r\n"
        if greeting then greeting = nil else tag = false end
        if first then return first end
        now = now + 0.1
        if now > 100 then error("it goes on for ever", 0) end
        return flood[1]:rep(500)
      end
      local session = imap.session()
      local pump = Pump.open(session, transport, host, { timeout = 5 })
      assert.is_true(imap.greet(pump, {}, pump:deadline()))
      assert(session:select "INBOX")
      local ok, err = flood[2](session)
      assert.is_nil(ok)
      assert.equal("timeout", err.kind, tostring(err))
      session:close()
    end
  end)

  it("put control characters into the words of a refusal get them blanked", function()
    local err = refused("auth", function(peer)
      peer:send "* OK [CAPABILITY IMAP4rev1] hi\r\n"
      mailbox.answer(peer, "^LOGIN", nil, "NO go\27[31m\1away")
      peer:rest()
    end)
    assert.equal("login failed: go [31m away", err.message)
    err = refused("unsupported", function(peer) peer:send "* OK [CAPABILITY IMAP4rev1] hi\r\n" end, {
      mechanism_floor = "x\27",
    })
    assert.equal("mechanism_floor: no mechanism x  is known here", err.message)
  end)

  it("close or reset in any phase", function()
    local greeting = "* OK [CAPABILITY IMAP4rev1] hi\r\n"
    for _, ending in ipairs { "close", "reset" } do
      refused("closed", function(peer)
        peer:close()
      end)
      refused("closed", function(peer)
        peer:send "* OK ha"
        peer:close()
      end)
      refused("closed", function(peer)
        peer:send(greeting)
        if ending == "close" then mailbox.command(peer, "^LOGIN") else peer:await() end -- unread input: a reset
        peer:close()
      end)
      mailbox.selected("", 3, function(peer)
        local tag = mailbox.command(peer, "^UID FETCH")
        peer:send("* 1 FETCH (UID 1 BODY[] {100}\r\nonly this")
        assert(tag)
        peer:close()
      end, function(session)
        local list, err = session:fetch_all("1:3", { "uid", "body" })
        assert.is_nil(list)
        assert.equal("closed", err.kind)
        local ok, later = session:noop()
        assert.is_nil(ok)
        assert.equal("closed", later.kind)
        assert.matches("closed", tostring(session))
        assert.is_true(session:close())
      end)
    end
  end)

  it("flood are stopped by a limit", function()
    refused("limit", function(peer) peer:send("* OK " .. ("x"):rep(3000000)) end)
    for _, flood in ipairs {
      "* LIST () \"/\" " .. ("x"):rep(2000000), "* OK " .. ("y"):rep(2000000),
      "* 1 FETCH (ENVELOPE (" .. ("("):rep(1000) .. "\r\n", "* LIST () \"/\" {99999999999}\r\n",
      "* 1 FETCH (UID 1 BODY[] {4294967296000}\r\n",
    } do
      mailbox.selected("", 3, function(peer)
        mailbox.command(peer, "NOOP")
        peer:send(flood)
      end, function(session)
        local ok, err = session:noop()
        assert.is_nil(ok)
        assert.equal("limit", err.kind, tostring(err))
      end)
    end
    mailbox.selected("", 3, function(peer)
      mailbox.command(peer, "NOOP")
      for _ = 1, 400 do
        if not peer:send(("* 5 EXISTS\r\n"):rep(1000)) then return end
      end
    end, function(session)
      local ok, err = session:noop { timeout = 3 }
      assert.is_nil(ok)
      assert.equal("limit", err.kind, tostring(err))
    end, { limits = { untagged = 100000 } })
  end)

  it("announce a literal in memory that is too large", function()
    mailbox.selected("", 3, function(peer)
      mailbox.command(peer, "UID FETCH")
      peer:send("* 1 FETCH (UID 1 BODY[] {200000}\r\n" .. ("x"):rep(1000))
    end, function(session)
      local list, err = session:fetch_all(1, { "body" })
      assert.is_nil(list)
      assert.equal("limit", err.kind)
      assert.matches("limit passed: message %(.* raise limits.message", tostring(err))
    end, { limits = { message = 100000 } })
  end)

  it("inject text behind STARTTLS", function()
    for _, injected in ipairs { "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", "x", "\22\3\1\0\5hello" } do
      local heard
      scripted.run(function(peer)
        peer:send "* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n"
        local tag = mailbox.command(peer, "^STARTTLS")
        peer:send(tag .. " OK go\r\n" .. injected)
        heard = peer:rest()
      end, function(port)
        local session, err = mailbox.dial(port, { tls = "starttls" })
        assert.is_nil(session)
        assert.is_truthy(err.kind == "protocol" or err.kind == "tls", tostring(err))
      end)
      assert.is_nil((heard or ""):find "hunter2")
    end
  end)

  it("strip STARTTLS, refuse it, or are logged in before it: nothing secret is sent", function()
    local heard = {}
    local function listening(script)
      return function(peer)
        script(peer)
        heard[#heard + 1] = peer:rest()
      end
    end
    refused("tls", listening(function(peer) peer:send "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n" end),
      { tls = "starttls" })
    for _, status in ipairs { "NO not now", "BAD what" } do
      refused("tls", listening(function(peer)
        peer:send "* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hi\r\n"
        mailbox.answer(peer, "^STARTTLS", nil, status)
      end), { tls = "starttls" })
    end
    refused("tls", listening(function(peer) peer:send "* PREAUTH [CAPABILITY IMAP4rev1] in already\r\n" end),
      { tls = "starttls" })
    local all = table.concat(heard, "\n")
    assert.is_nil(all:find "LOGIN")
    assert.is_nil(all:find "AUTHENTICATE")
    assert.is_nil(all:find "hunter2")
  end)

  it("say BYE: as a greeting, at the login, in the middle", function()
    local err = refused("rejected", function(peer) peer:send "* BYE [UNAVAILABLE] full\r\n" end)
    assert.is_true(err.temporary)
    assert.equal("full", err.text)
    assert.equal("UNAVAILABLE", err.response_code)
    err = refused("closed", function(peer)
      peer:send "* OK [CAPABILITY IMAP4rev1] hi\r\n"
      mailbox.command(peer, "^LOGIN")
      peer:send "* BYE too many\r\n* BYE really\r\n* BYE so long\r\n"
    end)
    assert.matches("closed by the server: ", err.message)
    mailbox.selected("", 1, function(peer)
      mailbox.command(peer, "^NOOP")
      peer:send "* BYE going down\r\n"
      peer:close()
    end, function(session)
      local farewell
      session:on("bye", function(event) farewell = event.text end)
      local ok, why = session:noop()
      assert.is_nil(ok)
      assert.equal("closed", why.kind)
      assert.equal("going down", farewell)
      assert.matches("going down", why.message)
    end)
    mailbox.selected("", 1, function(peer)
      mailbox.command(peer, "^LOGOUT")
      peer:send "* BYE\r\n"
      peer:close()
    end, function(session) assert.is_true(session:logout()) end)
  end)

  it("speak another protocol, or rubbish", function()
    for _, greeting in ipairs { "220 mx ESMTP\r\n", "+OK pop3\r\n", "HTTP/1.1 200 OK\r\n", "A1 OK hi\r\n",
      "\0\0\0\0\r\n", "* NO go away\r\n" } do
      refused("protocol", function(peer)
        peer:send(greeting)
        peer:rest()
      end)
    end
    for _, answer in ipairs { "ZZZZ9 OK who\r\n", "+ go on\r\n", "* PREAUTH again\r\n", "NOOP\r\n",
      "* EXISTS\r\n", "* EXPUNGE\r\n", "* RECENT\r\n", "* FETCH (FLAGS ())\r\n", "* UIDFETCH\r\n" } do
      mailbox.selected("", 1, function(peer)
        mailbox.command(peer, "^NOOP")
        peer:send(answer)
      end, function(session)
        local ok, err = session:noop()
        assert.is_nil(ok)
        assert.equal("protocol", err.kind, answer .. tostring(err))
        ok, err = session:noop()
        assert.is_nil(ok)
        assert.equal("closed", err.kind)
      end)
    end
  end)

  it("take away what is not there: the count of messages stays the truth", function()
    mailbox.selected("ENABLE QRESYNC", 3, function(peer)
      mailbox.answer(peer, "^NOOP", "* 4 EXPUNGE\r\n* 0 EXPUNGE\r\n* 4294967295 EXPUNGE\r\n* VANISHED 1:2\r\n")
      mailbox.answer(peer, "^NOOP", "* 3 EXPUNGE\r\n* 3 EXPUNGE\r\n")
      mailbox.answer(peer, "^ENABLE QRESYNC", "* ENABLED QRESYNC\r\n")
      mailbox.answer(peer, "^NOOP", "* VANISHED 1:4294967295\r\n* VANISHED (EARLIER) 1\r\n")
      mailbox.answer(peer, "^NOOP", "* VANISHED 7\r\n")
    end, function(session)
      assert(session:noop())
      assert.equal(3, session.mailbox.exists)
      assert(session:noop())
      assert.equal(2, session.mailbox.exists)
      assert(session:enable "QRESYNC")
      assert(session:noop())
      assert.equal(2, session.mailbox.exists)
      assert(session:noop())
      assert.equal(1, session.mailbox.exists)
    end)
  end)

  it("do a part of a set that only they know, and name no messages", function()
    mailbox.selected("SEARCHRES BINARY", 3, function(peer)
      mailbox.answer(peer, "^UID FETCH %$", "* 1 FETCH (UID 1 FLAGS ())\r\n", "OK [MESSAGELIMIT 10 2] a part")
      mailbox.answer(peer, "^UID FETCH %$ %(BINARY", "* 1 FETCH (UID 1 FLAGS ())\r\n", "NO [UNKNOWN-CTE] no")
      mailbox.answer(peer, "^UID FETCH %$ %(BODYSTR", "* 1 FETCH (FLAGS ())\r\n* 1 FETCH (UID 1 BODY[1] {1}\r\nx)\r\n")
      mailbox.answer(peer, "^UID STORE %$", nil, "OK [MESSAGELIMIT 10 2] a part")
      mailbox.answer(peer, "^NOOP")
    end, function(session)
      local all, err = session:fetch_all("$", { "uid", "flags" })
      assert.is_nil(all)
      assert.equal("MESSAGELIMIT", err.response_code, tostring(err))
      all = assert(session:fetch_all("$", { "BINARY.PEEK[1]" }))
      assert.equal("x", all[#all].binary["1"])
      all, err = session:store("$", { add = { "x" } })
      assert.is_nil(all)
      assert.equal("MESSAGELIMIT", err.response_code, tostring(err))
      assert.is_true(session:noop())
    end)
  end)

  it("refuse with codes", function()
    mailbox.selected("", 1, function(peer)
      mailbox.answer(peer, "^NOOP", nil, "NO [UNAVAILABLE] later")
      mailbox.answer(peer, "^NOOP", nil, "BAD [CLIENTBUG] you")
      mailbox.answer(peer, "^NOOP", nil, "NO")
      mailbox.answer(peer, "^NOOP", nil, "NO [X-ODD (a b)] odd {5}")
    end, function(session)
      for _, want in ipairs {
        { "UNAVAILABLE", "later", true }, { "CLIENTBUG", "you", false }, { nil, "", false },
        { "X-ODD", "odd {5}", false },
      } do
        local ok, err = session:noop()
        assert.is_nil(ok)
        assert.equal("rejected", err.kind)
        assert.equal("NOOP", err.command)
        assert.equal(want[1], err.response_code)
        assert.equal(want[2], err.text)
        assert.equal(want[3], err.temporary)
      end
    end)
  end)

  it("repeat the password: it is masked in the error and in the log", function()
    local lines = {}
    local err = refused("auth", function(peer)
      peer:send "* OK [CAPABILITY IMAP4rev1] hi\r\n"
      mailbox.answer(peer, "^LOGIN", nil, "NO no such password: hunter2")
      peer:rest()
    end, { log = function(direction, line) lines[#lines + 1] = direction .. line end })
    assert.is_nil((tostring(err) .. err.text .. table.concat(lines, "\n")):find("hunter2", 1, true))
  end)

  it("die after the last octet of a message: the outcome is unknown", function()
    for _, size in ipairs { 10, 100000 } do
      scripted.run(function(peer)
        mailbox.admit(peer, "LITERAL+")
        mailbox.command(peer, "^APPEND")
        peer:through(("x"):rep(size) .. "\r\n")
        peer:close()
      end, function(port)
        local session = assert(mailbox.dial(port))
        local at, err = session:append("INBOX", ("x"):rep(size))
        assert.is_nil(at)
        assert.equal("unknown", err.kind, tostring(err))
        assert.equal("APPEND", err.command)
        assert.is_true(err.temporary)
      end)
    end
    scripted.run(function(peer) -- before it: not stored
      mailbox.admit(peer)
      mailbox.command(peer, "^APPEND")
      peer:close()
    end, function(port)
      local session = assert(mailbox.dial(port))
      local at, err = session:append("INBOX", "x")
      assert.is_nil(at)
      assert.equal("closed", err.kind)
    end)
  end)

  it("leave no descriptor and no coroutine behind", function()
    if not descriptors.count() then return pending "no /proc to count descriptors in" end
    local tasks = setmetatable({}, { __mode = "k" })
    local function all()
      for _, script in ipairs {
        function(peer) peer:rest() end,
        function(peer) peer:send "220 mx\r\n" end,
        function(peer) peer:send(("x"):rep(100000)) end,
        function(peer)
          peer:send "* OK [CAPABILITY IMAP4rev1] hi\r\n"
          mailbox.command(peer, "^LOGIN")
        end,
        function(peer)
          mailbox.admit(peer)
          peer:rest()
        end,
      } do
        scripted.run(script, function(port)
          local co = coroutine.running()
          if co then tasks[co] = true end
          local session = mailbox.dial(port, { timeout = 0.05 })
          if session then
            local waiting = loop.spawn(function() return session:noop { timeout = 0.05 } end)
            waiting:join()
            session:close()
          end
        end)
      end
    end
    descriptors.steady(all)
    collectgarbage()
    collectgarbage()
    assert.is_nil((next(tasks)))
  end)
end)
