-- IMAP: opening a session and logging in, against Dovecot: every mode of TLS, every mechanism that
-- is spoken, certificates, and what the session tells about itself.

local core = require "mail.core"
local imap = require "mail.imap"
local mailbox = require "spec.support.mailbox"
local servers = require "spec.servers"

local dovecot, missing = mailbox.server()
local strict = mailbox.server { plaintext = false }
local real = mailbox.real(it, pending, dovecot, missing)

describe("IMAP connect", function()
  for _, mode in ipairs { "implicit", "starttls", "none" } do
    real("with tls = " .. mode, function()
      local session, user = mailbox.open(dovecot, nil, mode)
      local port = mode == "implicit" and dovecot.ports.imaps or dovecot.ports.imap
      assert.equal("userdata", type(session))
      assert.equal(("mail.imap (localhost:%d)"):format(port), tostring(session))
      assert.matches("Dovecot", session.server)
      assert.is_true(session.capabilities["IDLE"])
      assert.is_nil(session.capabilities["XNONE"])
      assert.is_true(session:has "idle")
      assert.is_true(session:has "UIDPLUS")
      assert.is_false(session:has "XNONE")
      if mode == "none" then
        assert.is_nil(session.tls)
      else
        assert.matches("^TLSv1", session.tls.version)
        assert.is_string(session.tls.cipher)
        assert.matches("BEGIN CERTIFICATE", session.tls.peer_certificate)
      end
      assert.is_nil(session.mailbox)
      local box = assert(session:select "INBOX")
      assert.equal(box, session.mailbox)
      assert.equal(("mail.imap (localhost:%d, selected INBOX)"):format(port), tostring(session))
      assert.is_true(session:noop())
      assert.is_true(session:capability()["IMAP4REV1"])
      assert.is_true(session.capabilities.IMAP4rev1)
      assert.is_true(session:capability()["IMAP4rev1"])
      assert.is_nil(session.capabilities[1])
      assert.is_true(session:logout())
      assert.equal(("mail.imap (localhost:%d, closed)"):format(port), tostring(session))
      local ok, err = session:noop()
      assert.is_nil(ok)
      assert.equal("closed", err.kind)
      assert.is_string(user.name)
    end)
  end

  real("by URL, with options beside it", function()
    local user = dovecot:add_user(nil, "s/e@c%r")
    local url = ("imaps://%s:%s@localhost:%d/"):format(user.name, "s%2Fe%40c%25r", dovecot.ports.imaps)
    local session = assert(imap.connect { host = url, ssl = { ca_file = dovecot.ca_file } })
    assert.is_true(session:logout())
    local none, err = imap.connect(url)
    assert.is_nil(none)
    assert.equal("tls", err.kind)
  end)

  for _, mechanism in ipairs { "PLAIN", "LOGIN", "LOGIN-COMMAND" } do
    real("by " .. mechanism .. " where it is asked for", function()
      local lines = {}
      local session = mailbox.open(dovecot, nil, "starttls", { mechanism = mechanism,
        log = function(direction, line) lines[#lines + 1] = direction .. " " .. line end })
      assert.is_table(session:status("INBOX", { "messages" }))
      session:logout()
      local log = table.concat(lines, "\n")
      local sent = mechanism == "LOGIN-COMMAND" and "LOGIN %S+" or "AUTHENTICATE %*%*%*"
      assert.matches("C %u+%d+ " .. sent, log)
      assert.is_nil(log:find("secret", 1, true))
    end)
  end

  real("without a password first, and then login or authenticate", function()
    local user = dovecot:add_user()
    local session = mailbox.open(dovecot, user, "starttls", { login = false })
    local ok, err = session:select "INBOX"
    assert.is_nil(ok)
    assert.equal("invalid", err.kind)
    ok, err = session:login(user.name, "wrong")
    assert.is_nil(ok)
    assert.equal("auth", err.kind)
    assert.is_true(session:login(user.name, user.password))
    assert.is_table(session:select "INBOX")
    session:logout()
    session = mailbox.open(dovecot, user, "starttls", { login = false, user = false or nil })
    local calls = 0
    assert.is_true(session:authenticate { user = user.name, mechanism = "PLAIN", password = function()
      calls = calls + 1
      return user.password
    end })
    assert.equal(1, calls)
    assert.is_true(session:has "IDLE")
    session:logout()
  end)

  real("obeys allow_plaintext_login given to connect, in a later login", function()
    local user = dovecot:add_user()
    local session = mailbox.open(dovecot, user, "none", { login = false })
    assert.is_true(session:login(user.name, user.password))
    session:close()
    session = mailbox.open(dovecot, user, "none", { login = false, allow_plaintext_login = false })
    local ok, err = session:login(user.name, user.password)
    assert.is_nil(ok)
    assert.equal("tls", err.kind)
    session:close()
  end)

  real("tells a wrong password from all else, and repeats no secret", function()
    for _, mechanism in ipairs { "PLAIN", "LOGIN", "LOGIN-COMMAND" } do
      local lines = {}
      local session, err = imap.connect(mailbox.options(dovecot, dovecot:add_user(), "starttls", {
        password = "hunter2", mechanism = mechanism,
        log = function(direction, line) lines[#lines + 1] = direction .. " " .. line end }))
      assert.is_nil(session)
      assert.equal("auth", err.kind)
      assert.equal("AUTHENTICATIONFAILED", err.response_code)
      assert.equal("imap", err.protocol)
      assert.is_false(err.temporary)
      assert.is_string(err.text)
      local all = table.concat(lines, "\n") .. tostring(err)
      assert.is_nil(all:find("hunter2", 1, true))
      assert.is_nil(all:find(core.base64 "hunter2", 1, true))
    end
  end)

  real("sends no secret in clear unless told so", function()
    local user = dovecot:add_user()
    for _, mechanism in ipairs { false, "PLAIN", "LOGIN", "LOGIN-COMMAND" } do
      local lines = {}
      local session, err = imap.connect(mailbox.options(dovecot, user, "none", {
        allow_plaintext_login = false, mechanism = mechanism or nil,
        log = function(direction, line) if direction == "C" then lines[#lines + 1] = line end end }))
      assert.is_nil(session)
      assert.same({ "tls", "AUTHENTICATE" }, { err.kind, err.command })
      assert.is_nil(table.concat(lines, "\n"):find "LOGIN")
      assert.is_nil(table.concat(lines, "\n"):find "AUTHENTICATE")
    end
  end)

  real("respects LOGINDISABLED even where plaintext is allowed", function()
    if not strict then return pending "no second Dovecot" end
    local user = strict:add_user()
    local session, err = imap.connect(mailbox.options(strict, user, "none", { host = strict.host,
      mechanism = "LOGIN-COMMAND" }))
    assert.is_nil(session)
    assert.equal("unsupported", err.kind)
    session = assert(imap.connect(mailbox.options(strict, user, "starttls", { host = strict.host })))
    assert.is_table(session:select "INBOX")
    session:logout()
  end)

  real("says what the server lacks", function()
    local session, err = imap.connect(mailbox.options(dovecot, dovecot:add_user(), "starttls", {
      mechanism = "EXTERNAL" }))
    assert.is_nil(session)
    assert.equal("unsupported", err.kind)
    local bare = assert(mailbox.server { tls = false })
    for _, mode in ipairs { "starttls", "implicit" } do
      session, err = imap.connect(mailbox.options(bare, bare:add_user(), mode, { port = bare.ports.imap }))
      assert.is_nil(session)
      assert.equal("tls", err.kind)
    end
    session = assert(imap.connect(mailbox.options(bare, bare.users[1], "opportunistic",
      { allow_plaintext_login = true })))
    assert.is_nil(session.tls)
    session:logout()
  end)

  real("tells no secret under TLS that anybody could offer", function()
    local user = dovecot:add_user()
    local session, err = imap.connect(mailbox.options(dovecot, user, "opportunistic"))
    assert.is_nil(session)
    assert.equal("tls", err.kind)
    local verified = { ssl = { verify = true, ca_file = dovecot.ca_file } }
    for _, more in ipairs { verified, { allow_plaintext_login = true } } do
      session = mailbox.open(dovecot, user, "opportunistic", more)
      assert.is_table(session.tls)
      session:logout()
    end
  end)

  real("refuses what cannot be sent", function()
    for _, bad in ipairs { "a\r\nA2 LOGOUT", "a\0b", "a\n" } do
      for _, mechanism in ipairs { "LOGIN-COMMAND", "PLAIN", "SCRAM-SHA-256", "CRAM-MD5" } do
        for _, user in ipairs { { name = bad, password = "x" }, { name = "x", password = bad } } do
          local said = {}
          local session, err = imap.connect(mailbox.options(dovecot, user, "none", {
            mechanism = mechanism, log = function(who, line) said[#said + 1] = who == "C" and line or nil end,
          }))
          assert.is_nil(session)
          assert.equal("invalid", err.kind)
          assert.is_nil(table.concat(said):find("AUTH", 1, true))
        end
      end
    end
  end)

  real("reports what cannot be reached", function()
    local session, err = imap.connect { host = "127.0.0.1", port = 1, tls = "none" }
    assert.is_nil(session)
    assert.equal("connect", err.kind)
    assert.equal("imap", err.protocol)
    session, err = imap.connect { host = "bad..name", port = 143 }
    assert.is_nil(session)
    assert.equal("dns", err.kind)
  end)
end)

describe("IMAP certificates", function()
  local function refused(certificate, host)
    for _, mode in ipairs { "implicit", "starttls" } do
      local server = assert(mailbox.server { certificate = certificate })
      local lines = {}
      local session, err = imap.connect(mailbox.options(server, server.users[1], mode, { host = host,
        log = function(direction, line) if direction == "C" then lines[#lines + 1] = line end end }))
      assert.is_nil(session)
      assert.equal("tls", err.kind)
      assert.equal("imap", err.protocol)
      assert.is_nil(table.concat(lines, "\n"):find "LOGIN")
      assert.is_nil(table.concat(lines, "\n"):find "AUTHENTICATE")
    end
  end

  for _, name in ipairs { "expired", "wrong_host", "foreign" } do
    real(name .. ": refused before a byte of the password", function() refused(name) end)
  end

  real("are not looked at with verify = false, and a pin holds nevertheless", function()
    local server = assert(mailbox.server { certificate = "expired" })
    local session = mailbox.open(server, server.users[1], "implicit", { ssl = { verify = false } })
    assert.is_table(session.tls)
    session:logout()
    local made = servers.certificates()
    session = mailbox.open(dovecot, nil, "implicit", { ssl = { ca_file = dovecot.ca_file,
      pin_sha256 = made.good.pin } })
    session:logout()
    local none, err = imap.connect(mailbox.options(dovecot, dovecot.users[1], "implicit", {
      ssl = { ca_file = dovecot.ca_file, pin_sha256 = made.good2.pin } }))
    assert.is_nil(none)
    assert.equal("tls", err.kind)
  end)
end)

describe("the limit of a line", function()
  local function told(limits, octets)
    local session = imap.session { limits = limits }
    session:feed("* OK " .. ("x"):rep(octets) .. "\r\n")
    local kind = session:next()
    return kind == "fail" and session:failure() or kind
  end

  it("bounds a response where it is not the default, which is for the other protocols", function()
    local limits = { line = 1000 }
    assert.equal("greeting", told(limits, 900))
    assert.equal("limit", told(limits, 3000))
    assert.same({ line = 1000 }, limits)
    assert.equal("greeting", told({ line = 1000, response = 10000 }, 3000))
    assert.equal("greeting", told({ line = 8192 }, 10000))
  end)
end)

describe("IMAP connect, used wrongly, raises at the caller's line:", function()
  local function raises(fn, pattern) mailbox.raises("imap_connect_spec.lua", fn, pattern) end

  it("options", function()
    raises(function() imap.connect() end)
    raises(function() imap.connect {} end, "host")
    raises(function() imap.connect { host = "h", pasword = "x" } end, "pasword")
    raises(function() imap.connect { host = "h", port = "143" } end, "port")
    raises(function() imap.connect { host = "h", tls = "maybe" } end, "tls")
    raises(function() imap.connect { host = "h", mechanism = "PLIAN" } end, "PLIAN")
    raises(function() imap.connect "pop3://h" end, "URL")
    raises(function() imap.session { limit = {} } end, "limit")
    raises(function() imap.session { tag_prefix = "1" } end)
    raises(function() imap.session { limits = { line = "long" } } end)
  end)

  real("login and authenticate", function()
    local session = mailbox.open(dovecot, nil, "starttls", { login = false })
    raises(function() session:login(1, 2) end)
    raises(function() session:login("ann") end)
    raises(function() session:authenticate() end)
    raises(function() session:authenticate { user = "a", mechanism = "NOSUCH" } end)
    raises(function() session:authenticate { usr = "a" } end, "usr")
    raises(function() session:has(nil) end)
    raises(function() session:on("exists") end)
    raises(function() session:on(nil, print) end)
    raises(function() session:noop { tiemout = 1 } end, "tiemout")
    raises(function() session:noop(7) end)
    raises(function() session:noop { timeout = { answr = 1 } } end, "answr")
    raises(function() session:noop { timeout = { answer = "1" } } end, "answer")
    raises(function() session:logout { wait = 1 } end, "wait")
    session:close()
  end)
end)
