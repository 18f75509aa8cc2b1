-- Logging in with every mechanism: against real servers, and against a server that answers as told.

local core = require "mail.core"
local mail = require "mail"
local scripted = require "spec.support.scripted"
local servers = require "spec.servers"

local dovecot, why = servers.dovecot {}
local real = dovecot and it or function(name) pending(name .. ": " .. tostring(why)) end

local function connect(protocol, user, options)
  local o = { host = "localhost", port = dovecot.ports[protocol], tls = "starttls", ssl = { ca_file = dovecot.ca_file },
    user = user.name, password = user.password, timeout = 20 }
  for name, value in pairs(options or {}) do o[name] = value end
  return mail[protocol].connect(o)
end

describe("SASL with Dovecot", function()
  for _, mechanism in ipairs { "PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256" } do
    for _, protocol in ipairs { "imap", "pop3" } do
      real(("%s takes %s, and not with a wrong password"):format(protocol, mechanism), function()
        local user = dovecot:add_user()
        local session, err = connect(protocol, user, { mechanism = mechanism })
        assert.is_nil(err)
        session:close()
        session, err = connect(protocol, user, { mechanism = mechanism, password = "wrong" })
        assert.is_nil(session)
        assert.equal("auth", err.kind)
        assert.is_nil(tostring(err):find("wrong", 1, true))
      end)
    end
  end

  real("chooses the strongest, and keeps to a floor", function()
    local user, lines = dovecot:add_user(), {}
    local pop = assert(connect("pop3", user, { log = function(_, line) lines[#lines + 1] = line end }))
    pop:close()
    assert.matches("AUTH SCRAM%-SHA%-256", table.concat(lines, "\n"))
    local session, err = connect("imap", user, { mechanism_floor = "SCRAM-SHA-512" })
    assert.is_nil(session)
    assert.equal("unsupported", err.kind)
    assert(connect("imap", user, { mechanism_floor = "SCRAM-SHA-1" })):close()
  end)

  real("takes a mechanism of the user's own", function()
    local user = dovecot:add_user()
    local own = { name = "PLAIN", plaintext = true, step = function() error "not asked" end }
    function own.initial(with) return "\0" .. with.user .. "\0" .. with.password end
    assert(connect("imap", user, { mechanism = own })):close()
    assert.has_error(function() connect("imap", user, { mechanism = { name = "X" } }) end)
  end)
end)

describe("SASL with a server that answers as told", function()
  -- A log-in at a server that offers `mechanism` and gives `answers` in turn; and what the client said.
  local function login(mechanism, answers, options)
    local said = {}
    local server = scripted.serve(function(peer)
      peer:send "220 mx.example.org\r\n"
      peer:expect "^EHLO "
      peer:send("250-mx.example.org\r\n250 AUTH " .. mechanism .. "\r\n")
      for _, answer in ipairs(answers) do
        said[#said + 1] = peer:line()
        peer:send(answer .. "\r\n")
      end
      peer:rest()
    end)
    local o = { host = "127.0.0.1", port = server.port, tls = "none", allow_plaintext_login = true, user = "ann",
      timeout = 5 }
    for name, value in pairs(options) do o[name] = value end
    local session, err
    mail.loop.run(function()
      session, err = mail.smtp.connect(o)
      if session then session:close() end
    end)
    return session, err, said
  end

  it("shows the JSON of OAuth, having answered it", function()
    local json = '{"status":"400","schemes":"Bearer"}'
    for name, closing in pairs { OAUTHBEARER = "AQ==", XOAUTH2 = "" } do
      local session, err, said = login(name, { "334 " .. core.base64(json), "535 5.7.8 no" }, { token = "t" })
      assert.is_nil(session)
      assert.equal("auth", err.kind)
      assert.equal(json, err.challenge)
      assert.equal(535, err.code)
      assert.equal(closing, said[2])
    end
  end)

  it("logs in with a token", function()
    for _, name in ipairs { "OAUTHBEARER", "XOAUTH2" } do
      local session, err, said = login(name, { "235 2.7.0 in" }, { token = "t0ken" })
      assert.is_nil(err)
      assert.is_userdata(session)
      assert.matches("^AUTH " .. name .. " %S+$", said[1])
    end
  end)

  it("asks a function for the token, once more where it was refused", function()
    local asked = {}
    local function token(stale)
      asked[#asked + 1] = tostring(stale)
      return "t0ken" .. #asked
    end
    local session, err = login("XOAUTH2", { "535 5.7.8 no", "235 2.7.0 in" }, { token = token })
    assert.is_nil(err)
    assert.is_userdata(session)
    assert.same({ "nil", "true" }, asked)
    asked = {}
    session, err = login("XOAUTH2", { "535 5.7.8 t0ken1?", "535 5.7.8 no" }, { token = token })
    assert.is_nil(session)
    assert.equal("auth", err.kind)
    assert.equal(2, #asked)
    assert.is_nil(tostring(err):find("t0ken", 1, true))
  end)

  it("believes no success before the server has proved itself", function()
    for name, answers in pairs {
      ["SCRAM-SHA-256"] = { "235 2.7.0 welcome" },
      ["DIGEST-MD5"] = { "334 " .. core.base64 'nonce="abc",qop="auth"', "235 2.7.0 welcome" },
    } do
      local session, err = login(name, answers, { password = "secret" })
      assert.is_nil(session)
      assert.equal("protocol", err.kind)
    end
  end)

  it("writes no challenge into the log", function()
    local challenge, lines = core.base64 "r=x,s=AAAA,i=1", {}
    login("SCRAM-SHA-256", { "334 " .. challenge, "501 cancelled" }, { password = "secret",
      log = function(_, line) lines[#lines + 1] = line end })
    local said = table.concat(lines, "\n")
    assert.matches("\nAUTH %*%*%*\n334 %*%*%*\n%*\n501 cancelled", said)
    assert.is_nil(said:find(challenge, 1, true))
  end)

  it("cancels an exchange that makes no sense, and says why", function()
    local session, err, said = login("SCRAM-SHA-256", { "334 " .. core.base64 "r=x,s=AAAA,i=1", "501 cancelled" },
      { password = "secret" })
    assert.is_nil(session)
    assert.equal("auth", err.kind)
    assert.equal("*", said[2])
    assert.matches("nonce", err.message)
  end)

  it("sends nothing derived from a password without TLS, unless that is allowed or named", function()
    local session, err, said = login("SCRAM-SHA-256", {}, { password = "secret", allow_plaintext_login = false })
    assert.is_nil(session)
    assert.equal("tls", err.kind)
    assert.same({}, said)
    session, err, said = login("SCRAM-SHA-256", { "535 no" }, { password = "secret", allow_plaintext_login = false,
      mechanism = "SCRAM-SHA-256" })
    assert.is_nil(session)
    assert.equal("auth", err.kind)
    assert.equal(1, #said)
  end)
end)

describe("the server's side of SASL", function()
  it("speaks with the client's, in turns", function()
    for _, name in ipairs { "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512" } do
      local client = assert(core.sasl(name, { user = "ann", password = "secret" }))
      local server = assert(core.sasl_server(name, { host = "mx.example.org" }))
      local turn, text = server:receive(client:initial())
      assert.equal("lookup", turn)
      assert.equal("ann", text)
      turn, text = server:secret { password = "secret" }
      assert.equal("challenge", turn)
      local response = client:step(text)
      while response == false do response = client:work() end
      turn, text = server:receive(response)
      while turn == "more" do turn, text = server:more() end
      assert.equal("challenge", turn)
      response = client:step(text)
      assert.equal("", response)
      assert.is_true(client:done())
      local user
      turn, user = server:receive(response)
      assert.equal("accept", turn)
      assert.equal("ann", user)
    end
  end)

  it("refuses what it does not serve", function()
    local server, reason = core.sasl_server("NTLM", {})
    assert.is_nil(server)
    assert.is_string(reason)
  end)
end)
