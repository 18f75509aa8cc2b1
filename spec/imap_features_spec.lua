-- IMAP: ENABLE, UTF8=ACCEPT and IMAP4rev2, ID, LANGUAGE, UNAUTHENTICATE; response codes, referrals, alerts and back-off
-- as errors tell them. Against Dovecot and Cyrus, and scripts for what neither speaks.

local imap = require "mail.imap"
local mailbox = require "spec.support.mailbox"
local scripted = require "spec.support.scripted"

local dovecot, no_dovecot = mailbox.server()
local cyrus, no_cyrus = mailbox.cyrus()

local on_dovecot = mailbox.real(it, pending, dovecot, no_dovecot)
local on_cyrus = mailbox.real(it, pending, cyrus, no_cyrus)
local answer, admit = mailbox.answer, mailbox.admit

-- A session with a script behind its login.
local function with(words, script, client, more)
  return scripted.run(function(peer)
    admit(peer, words)
    script(peer)
    peer:rest()
  end, function(port)
    local session = assert(mailbox.dial(port, more))
    local function done(...)
      session:close()
      return ...
    end
    return done(client(session))
  end)
end

describe("IMAP ENABLE", function()
  local function enables(server)
    local session = mailbox.open(server)
    assert.same({}, session.enabled)
    local set = assert(session:enable { "CONDSTORE", "qresync" })
    assert.is_true(set.QRESYNC)
    assert.is_true(session.enabled.QRESYNC)
    local none, err = session:enable "X-NOT-THERE"
    assert.is_nil(none)
    assert.equal("unsupported", err.kind)
    assert.equal("ENABLE", err.command)
    session:logout()
    session = mailbox.open(server, nil, "none", { enable = { "QRESYNC", "X-NOT-THERE" } })
    assert.is_true(session.enabled.QRESYNC)
    session:logout()
  end
  on_dovecot("switches on what Dovecot offers, and by an option of connect", function() enables(dovecot) end)
  on_cyrus("switches on what Cyrus offers, and by an option of connect", function() enables(cyrus) end)

  it("is checked before anything is sent", function()
    for _, bad in ipairs { { "a b" }, { "" }, { "x\r\ny" }, { "(x)" }, { nil, "IDLE" } } do
      mailbox.raises("imap_features_spec.lua", function()
        imap.connect { host = "127.0.0.1", port = 1, enable = bad }
      end, "enable")
    end
    for _, bad in ipairs { { "lua-mail" }, { name = 1 }, { name = {} } } do
      mailbox.raises("imap_features_spec.lua", function()
        imap.connect { host = "127.0.0.1", port = 1, id = bad }
      end, "'id': fields must be strings")
    end
    with("ENABLE", function() end, function(session)
      mailbox.raises("imap_features_spec.lua", function() session:enable() end, "enable")
      mailbox.raises("imap_features_spec.lua", function() session:enable { "a b" } end, "enable")
      mailbox.raises("imap_features_spec.lua", function() session:enable { nil, "IDLE" } end, "enable")
      mailbox.raises("imap_features_spec.lua", function()
        session:getmetadata("", "/shared/comment", { max_size = 2 ^ 63 })
      end, "max_size")
      mailbox.raises("imap_features_spec.lua", function() session:idle { probe = 0 / 0 } end, "probe")
    end)
  end)

  it("leaves spans of time that are none to nobody: watch and account", function()
    for _, bad in ipairs { { min = "x" }, { max = -1 }, { min = 0 / 0 }, { most = 1 } } do
      for _, what in ipairs { "watch", "account" } do
        mailbox.raises("imap_features_spec.lua", function()
          return (imap[what] { host = "127.0.0.1", port = 1, backoff = bad })
        end, "backoff: ")
      end
    end
    mailbox.raises("imap_features_spec.lua", function()
      return (imap.watch { host = "127.0.0.1", port = 1, poll = -1 })
    end, "poll")
  end)

  it("is not sent to a server without it", function()
    with("UTF8=ACCEPT", function(peer) answer(peer, "^NOOP$") end, function(session)
      local none, err = session:enable "UTF8=ACCEPT"
      assert.is_nil(none)
      assert.equal("unsupported", err.kind)
      assert.is_true(session:noop())
    end)
  end)
end)

local MESSAGE = "Subject: Gr\195\188\195\159e\n\nbody\n"

describe("IMAP UTF8=ACCEPT", function()
  for _, word in ipairs { "UTF8=ACCEPT", "UTF8=ONLY" } do
    it("is enabled behind the login: names, searches and messages are UTF-8, " .. word, function()
      with("ENABLE LITERAL+ " .. word, function(peer)
        answer(peer, "^ENABLE UTF8=ACCEPT$", "* ENABLED UTF8=ACCEPT\r\n")
        answer(peer, '^CREATE "Gr\195\188\195\159e"$')
        answer(peer, "^LIST ", '* LIST () "/" "Gr\195\188\195\159e & co"\r\n')
        local tag = mailbox.command(peer, '^APPEND "Gr\195\188\195\159e" %(%) UTF8 %(~{%d+%+}$')
        peer:through "body\r\n)\r\n"
        peer:send(tag .. " OK [APPENDUID 1 2] done\r\n")
        tag = mailbox.command(peer, "^APPEND INBOX {%d+%+}$")
        peer:through "\195\188ber\r\n\r\n\r\n"
        peer:send(tag .. " OK [APPENDUID 1 3] done\r\n")
        tag = mailbox.command(peer, "^APPEND INBOX %(%) UTF8 %(~{%d+%+}$")
        peer:through "body\r\n)\r\n"
        peer:send(tag .. " OK [APPENDUID 1 4] done\r\n")
        mailbox.answer(peer, "^SELECT ", "* 1 EXISTS\r\n")
        answer(peer, '^UID SEARCH SUBJECT "Gr\195\188\195\159e"$', "* SEARCH 1\r\n")
      end, function(session)
        assert.is_true(session.enabled["UTF8=ACCEPT"])
        assert.is_true(session:create "Gr\195\188\195\159e")
        assert.equal("Gr\195\188\195\159e & co", assert(session:list())[1].name)
        assert.equal(2, assert(session:append("Gr\195\188\195\159e", MESSAGE)).uid)
        assert.equal(3, assert(session:append("INBOX", "Subject: x\n\n\195\188ber\n\n")).uid)
        local sent
        assert.equal(4, assert(session:append("INBOX", function()
          if sent then return nil end
          sent = true
          return MESSAGE
        end)).uid)
        assert(session:select "INBOX")
        assert.same({ 1 }, session:search { subject = "Gr\195\188\195\159e" })
      end)
    end)
  end

  it("is done without where the server refuses it", function()
    with("ENABLE UTF8=ACCEPT", function(peer)
      answer(peer, "^ENABLE UTF8=ACCEPT$", nil, "BAD not now")
      answer(peer, "^CREATE &APw%-$")
    end, function(session)
      assert.same({}, session.enabled)
      assert.is_true(session:create "\195\188")
    end)
  end)
end)

describe("IMAP4rev2", function()
  it("is enabled where it is asked for; names are UTF-8 from then on", function()
    with("IMAP4rev2 ENABLE", function(peer)
      answer(peer, "^CREATE &APw%-$")
      answer(peer, "^ENABLE IMAP4rev2$", "* ENABLED IMAP4rev2\r\n")
      answer(peer, '^CREATE "\195\188"$')
      answer(peer, "^SELECT ", '* 3 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* LIST () "/" INBOX\r\n')
      answer(peer, "^SELECT ", '* OK [CLOSED] old\r\n* 4 EXISTS\r\n* LIST () "/" x ("OLDNAME" ("\195\188"))\r\n',
        "OK [READ-ONLY] in")
      answer(peer, "^LIST ", '* LIST (\\NonExistent) "/" "b" ("OLDNAME" ("\195\188"))\r\n')
    end, function(session)
      assert.is_true(session:create "\195\188")
      assert.is_true(assert(session:enable "IMAP4rev2").IMAP4REV2)
      assert.is_true(session:create "\195\188")
      local box = assert(session:select "INBOX")
      assert.equal(3, box.exists)
      assert.is_nil(box.recent)
      assert.equal(4, assert(session:select "x").exists)
      local list = assert(session:list())
      assert.equal("\195\188", list[1].old_name)
      assert.is_true(list[1].attributes["\\NonExistent"])
    end)
  end)

  it("alone needs no ENABLE", function()
    scripted.run(function(peer)
      peer:send "* OK [CAPABILITY IMAP4rev2 AUTH=PLAIN] ready\r\n"
      answer(peer, "^AUTHENTICATE PLAIN ", nil, "OK [CAPABILITY IMAP4rev2] in")
      answer(peer, '^CREATE "\195\188"$')
      answer(peer, '^STATUS "\195\188" %(MESSAGES SIZE DELETED%)$',
        '* STATUS "\195\188" (MESSAGES 1 SIZE 2 DELETED 0)\r\n')
      peer:rest()
    end, function(port)
      local session = assert(mailbox.dial(port))
      assert.is_true(session:create "\195\188")
      local figures = assert(session:status("\195\188", { "messages", "size", "deleted" }))
      assert.same({ name = "\195\188", messages = 1, size = 2, deleted = 0 }, figures)
      session:close()
    end)
  end)
end)

describe("IMAP ID", function()
  on_dovecot("is exchanged with Dovecot", function()
    local session = mailbox.open(dovecot, nil, "none", { id = { name = "lua-mail", version = "1" } })
    assert.equal("Dovecot", assert(session:id()).name)
    local odd = { name = "lua-mail", os = false, ["support-url"] = 'a"b\\c\195\188' }
    assert.equal("Dovecot", assert(session:id(odd)).name)
    session:logout()
  end)
  on_cyrus("is exchanged with Cyrus", function()
    local session = mailbox.open(cyrus)
    local fields = assert(session:id { name = "lua-mail" })
    assert.equal("Cyrus IMAPD", fields.name)
    assert.matches("^3%.", fields.version)
    session:logout()
  end)

  it("keeps to the limits of the standard", function()
    with("ID", function(peer) answer(peer, "^NOOP$") end, function(session)
      local many = {}
      for i = 1, 31 do many["f" .. i] = "x" end
      for _, bad in ipairs { many, { [("n"):rep(31)] = "x" }, { n = ("x"):rep(1025) }, { n = "a\r\nA1 LOGOUT" },
          { ["a\nb"] = "x" }, { n = "a\0b" } } do
        local none, err = session:id(bad)
        assert.is_nil(none)
        assert.equal("invalid", err.kind)
        assert.equal("ID", err.command)
      end
      mailbox.raises("imap_features_spec.lua", function() session:id "name" end, "fields")
      mailbox.raises("imap_features_spec.lua", function() session:id { name = 5 } end, "fields")
      assert.is_true(session:noop())
    end)
  end)

  it("reads whatever servers say", function()
    local says = { "NIL", "", '("Name" "x" "a")', '("name" NIL "os" "y")', "(name (x))", '"stray"', "5" }
    local means = { {}, {}, { name = "x" }, { os = "y" }, {}, {}, {} }
    with("ID", function(peer)
      for _, said in ipairs(says) do answer(peer, "^ID NIL$", "* ID " .. said .. "\r\n") end
      answer(peer, "^ID NIL$", "* 5 EXISTS\r\n")
    end, function(session)
      local exists
      session:on("exists", function(event) exists = event.exists end)
      for _, meant in ipairs(means) do assert.same(meant, session:id()) end
      assert.same({}, session:id())
      assert.equal(5, exists)
    end)
  end)

  it("is not sent to a server without it", function()
    with("", function() end, function(session)
      local none, err = session:id()
      assert.is_nil(none)
      assert.equal("unsupported", err.kind)
    end, { id = true })
  end)
end)

describe("IMAP LANGUAGE", function()
  it("lists and chooses (RFC 5255)", function()
    with("LANGUAGE", function(peer)
      answer(peer, "^LANGUAGE$", "* LANGUAGE (EN DE i-default)\r\n")
      answer(peer, "^LANGUAGE fr%-CA de$", '* LANGUAGE (DE)\r\n* NAMESPACE (("" "/")) NIL NIL\r\n', "OK Gewechselt")
      answer(peer, "^LANGUAGE xx$", nil, "NO Unsupported language")
    end, function(session)
      assert.same({ "EN", "DE", "i-default" }, session:language())
      assert.same({ "DE" }, session:language { "fr-CA", "de" })
      local none, err = session:language "xx"
      assert.is_nil(none)
      assert.equal("rejected", err.kind)
      mailbox.raises("imap_features_spec.lua", function() session:language { 5 } end, "tag")
    end)
  end)
end)

describe("IMAP UNAUTHENTICATE", function()
  on_cyrus("leaves the account and enters another on the same connection", function()
    local s = cyrus
    local user = s:add_user()
    local session = assert(imap.connect(mailbox.options(s, s.admin, "implicit")))
    assert.is_true(session:has "UNAUTHENTICATE")
    assert(session:list())
    assert.is_true(session:unauthenticate())
    local none, err = session:list()
    assert.is_nil(none)
    assert.equal("invalid", err.kind)
    assert.is_true(session:login(user.name, user.password, { channel_binding = false }))
    assert.equal("INBOX", assert(session:select "INBOX").name)
    session:logout()
  end)

  on_cyrus("is refused where it is not offered, and under compression", function()
    local session = mailbox.open(cyrus)
    local ok, err = session:unauthenticate()
    assert.is_nil(ok)
    assert.equal("unsupported", err.kind)
    session:logout()
    session = assert(imap.connect(mailbox.options(cyrus, cyrus.admin, "implicit", { compress = true })))
    ok, err = session:unauthenticate()
    assert.is_nil(ok)
    assert.equal("invalid", err.kind)
    assert.is_true(session:noop())
    session:logout()
  end)

  it("does behind the next login what was done behind the first", function()
    with("ENABLE UTF8=ACCEPT UNAUTHENTICATE", function(peer)
      answer(peer, "^ENABLE UTF8=ACCEPT$", "* ENABLED UTF8=ACCEPT\r\n")
      answer(peer, "^UNAUTHENTICATE$")
      answer(peer, "^CAPABILITY$", "* CAPABILITY IMAP4rev1\r\n")
      answer(peer, "^LOGIN bob secret$", nil, "OK [CAPABILITY IMAP4rev1 ENABLE UTF8=ACCEPT] in")
      answer(peer, "^ENABLE UTF8=ACCEPT$", "* ENABLED UTF8=ACCEPT\r\n")
    end, function(session)
      assert.is_true(session.enabled["UTF8=ACCEPT"])
      assert.is_true(session:unauthenticate())
      assert.same({}, session.enabled)
      assert.is_true(session:login("bob", "secret"))
      assert.is_true(session.enabled["UTF8=ACCEPT"])
    end)
  end)
end)

-- --- what errors tell --------------------------------------------------------------------------------

-- The error of a NOOP that is answered so.
local function refused(tagged, data)
  return with("", function(peer) answer(peer, "^NOOP$", data, tagged) end, function(session)
    local ok, err = session:noop()
    assert.is_nil(ok)
    assert.equal("rejected", err.kind)
    return err, session.alerts
  end)
end

describe("IMAP refusals", function()
  for _, code in ipairs { "UNAVAILABLE", "INUSE", "LIMIT", "THROTTLED", "EXPUNGEISSUED" } do
    it(code .. " may be otherwise later", function()
      local err = refused("NO [" .. code:lower() .. "] no")
      assert.equal(code, err.response_code)
      assert.is_true(err.temporary)
    end)
  end
  for _, code in ipairs { "AUTHORIZATIONFAILED", "EXPIRED", "PRIVACYREQUIRED", "CONTACTADMIN", "NOPERM", "CORRUPTION",
      "SERVERBUG", "CLIENTBUG", "CANNOT", "OVERQUOTA", "ALREADYEXISTS", "NONEXISTENT", "NOTSAVED", "HASCHILDREN",
      "UNKNOWN-CTE", "TOOBIG", "UIDREQUIRED", "USEATTR", "BADCOMPARATOR", "NEVER-SEEN" } do
    it(code .. " stands", function()
      local err = refused("NO [" .. code .. "] no")
      assert.equal(code, err.response_code)
      assert.is_nil(err.response_value)
      assert.equal("no", err.text)
      assert.is_false(err.temporary)
    end)
  end

  it("have their code's arguments", function()
    local rows = {
      { "METADATA MAXSIZE 1024", "METADATA", { maxsize = 1024 } },
      { "METADATA TOOMANY", "METADATA", { toomany = true } },
      { "METADATA NOPRIVATE", "METADATA", { noprivate = true } }, { "BADURL \"/x;uid=1\"", "BADURL", '/x;uid=1' },
      { "BADEVENT (MessageNew)", "BADEVENT", { "MessageNew" } },
      { "MESSAGELIMIT 500 7", "MESSAGELIMIT", { limit = 500, uid = 7 } },
      { "BADCHARSET (UTF-8 US-ASCII)", "BADCHARSET", { "UTF-8", "US-ASCII" } },
      { "UNDEFINED-FILTER f", "UNDEFINED-FILTER", "f" },
      { "MODIFIED 7,9:11", "MODIFIED", "7,9:11" }, { "ANNOTATE TOOBIG", "ANNOTATE", { toobig = true } },
      { "X-FOO a \"b]\" (c)", "X-FOO", 'a "b]" (c)' },
      { "WEBALERT https://x.example/", "WEBALERT", "https://x.example/" },
    }
    for _, row in ipairs(rows) do
      local err = refused("NO [" .. row[1] .. "] no")
      assert.equal(row[2], err.response_code)
      assert.same(row[3], err.response_value)
    end
  end)

  it("tell when to come back", function()
    local rows = {
      { "BAD User is throttled. Suggested Backoff Time: 299961 milliseconds", 299.961 },
      { "NO [UNAVAILABLE] Request is throttled. Suggested Backoff Time: 92415 milliseconds.", 92.415 },
      { "NO [THROTTLED] try again in 5 minutes", 300 }, { "NO [INUSE] Try again in 20 seconds", 20 },
      { "NO [LIMIT] retry after 1 hour", 3600 }, { "NO Suggested Backoff Time: 999999999999999 milliseconds", 86400 },
      { "NO [THROTTLED] slow down" }, { "BAD your account is throttled" },
    }
    for _, row in ipairs(rows) do
      local err = refused(row[1])
      assert.equal(row[2], err.retry_after)
      assert.is_true(err.temporary)
    end
    assert.is_nil(refused("NO try again in 5 lightyears").retry_after)
  end)

  it("carry referrals, which nobody follows", function()
    local err = refused("NO [REFERRAL imap://ann@other.example/x imap://third.example/x] moved")
    assert.equal("REFERRAL", err.response_code)
    assert.equal("imap://ann@other.example/x", err.referral)
    assert.same({ "imap://ann@other.example/x", "imap://third.example/x" }, err.referrals)
    err = refused("NO [REFERRAL] where")
    assert.is_nil(err.referral)
  end)

  it("carry the alert, whether it is their own or came beside them", function()
    local err, alerts = refused("NO [ALERT] disk on fire")
    assert.equal("disk on fire", err.alert)
    assert.same({ "disk on fire" }, alerts)
    err, alerts = refused("NO [UNAVAILABLE] no", "* OK [ALERT] going down\r\n")
    assert.equal("going down", err.alert)
    assert.equal("UNAVAILABLE", err.response_code)
    assert.same({ "going down" }, alerts)
    assert.is_nil(refused("NO plain").alert)
  end)
end)

describe("IMAP logins", function()
  local function greeted(greeting, script, more)
    return scripted.run(function(peer)
      peer:send(greeting .. "\r\n")
      if script then script(peer) end
      peer:rest()
    end, function(port)
      local session, err = mailbox.dial(port, more)
      local alerts, referral = session and session.alerts, session and session.referral
      if session then session:close() end
      return session, err, alerts, referral
    end)
  end

  it("report a referral instead of a session (RFC 2221)", function()
    local capability = "* OK [CAPABILITY IMAP4rev1 LOGIN-REFERRALS AUTH=PLAIN SASL-IR] ready"
    local session, err = greeted(capability, function(peer)
      answer(peer, "^AUTHENTICATE ", nil, "NO [REFERRAL imap://ann;AUTH=PLAIN@second.example/] elsewhere")
    end)
    assert.is_nil(session)
    assert.equal("auth", err.kind)
    assert.equal("imap://ann;AUTH=PLAIN@second.example/", err.referral)
    session, err = greeted("* BYE [REFERRAL imap://ann@second.example/] moved")
    assert.is_nil(session)
    assert.equal("imap://ann@second.example/", err.referral)
    assert.is_false(err.temporary)
    local _, referral
    session, err, _, referral = greeted("* OK [CAPABILITY IMAP4rev1] ready", function(peer)
      answer(peer, "^LOGIN ", nil, "OK [REFERRAL imap://ann@second.example/] your own mail is there")
      answer(peer, "^CAPABILITY$", "* CAPABILITY IMAP4rev1\r\n")
    end)
    assert(session, tostring(err))
    assert.equal("imap://ann@second.example/", referral)
  end)

  it("report back-off and alerts, at the greeting and at the login", function()
    local session, err = greeted("* BYE [UNAVAILABLE] try again in 30 seconds")
    assert.is_nil(session)
    assert.equal(30, err.retry_after)
    assert.is_true(err.temporary)
    session, err = greeted("* OK [CAPABILITY IMAP4rev1] ready", function(peer)
      answer(peer, "^LOGIN ", nil, "NO [ALERT] log in via your web browser")
    end)
    assert.is_nil(session)
    assert.equal("log in via your web browser", err.alert)
    local alerts
    session, err, alerts = greeted("* OK [ALERT] maintenance tonight", function(peer)
      answer(peer, "^CAPABILITY$", "* CAPABILITY IMAP4rev1\r\n")
      answer(peer, "^LOGIN ", nil, "OK [ALERT] welcome")
      answer(peer, "^CAPABILITY$", "* CAPABILITY IMAP4rev1\r\n")
    end)
    assert(session, tostring(err))
    assert.same({ "maintenance tonight", "welcome" }, alerts)
  end)

  it("are not tried by LOGIN where the server forbids it, nor are STARTTLS's capabilities kept", function()
    local session, err = greeted("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] ready")
    assert.is_nil(session)
    assert.equal("unsupported", err.kind)
  end)
end)

describe("IMAP alerts and BYE", function()
  it("reach handlers and the loop over idle", function()
    with("IDLE", function(peer)
      answer(peer, "^SELECT ", "* 1 EXISTS\r\n")
      answer(peer, "^NOOP$", "* OK [ALERT] first\r\n", "OK [ALERT] second")
      local tag = mailbox.command(peer, "^IDLE$")
      peer:send("+ idling\r\n* OK [ALERT] third\r\n* BYE [UNAVAILABLE] try again in 2 minutes\r\n")
      assert(tag)
      peer:close()
    end, function(session)
      assert(session:select "INBOX")
      local heard = {}
      session:on("alert", function(event) heard[#heard + 1] = event.text end)
      assert.is_true(session:noop())
      local it, bye = assert(session:idle { timeout = 10 }), nil
      for _ = 1, 2 do
        local event, err = it:next()
        if not event then error(tostring(err)) end
        if event.type == "bye" then bye = event end
      end
      assert.same({ "first", "second", "third" }, heard)
      assert.equal(120, bye.retry_after)
      assert.equal("UNAVAILABLE", bye.code)
      local none, err = it:next()
      assert.is_nil(none)
      assert.equal("closed", err.kind)
      assert.equal(120, err.retry_after)
    end)
  end)
end)
