-- SMTP as a user sees it, against Exim (MX and submission) and Dovecot's submission.
local mail = require "mail"
local Err = require "mail.err"
local loop = require "mail.loop"
local servers = require "spec.servers"
local descriptors = require "spec.support.descriptors"
local scripted = require "spec.support.scripted"

-- A server, or the spec is pending with the reason.
local function need(s, why)
  if not s then pending(why) end
  return s
end

local function exim(options) return need(servers.exim(options or { users = 3 })) end

local function both() return need(servers.mail { users = 2 }) end

-- Options for the MX of `s`; more may be given.
local function mx(s, more)
  local o = { host = "localhost", port = s.ports.smtp, tls = "none", timeout = 20 }
  for name, value in pairs(more or {}) do o[name] = value end
  return o
end

-- The same for submission over implicit TLS, logged in.
local function submission(s, more)
  local o = { host = "localhost", port = s.ports.submissions, user = s.user, password = s.password,
    ssl = { ca_file = s.ca_file }, timeout = 20 }
  for name, value in pairs(more or {}) do o[name] = value end
  return o
end

local function letter(subject, body)
  return "From: ann@example.test\r\nSubject: " .. subject .. "\r\n\r\n" .. body
end

-- Asserts that `user` has n messages, one of which ends, byte for byte, in what was sent (Exim keeps
-- LF, and names files of the same second in no order).
local function kept(s, user, n, sent)
  local messages = s:messages(user, n)
  assert.equal(n, #messages)
  local wanted = sent:gsub("\r\n", "\n")
  local found = 0
  for _, text in ipairs(messages) do
    if text:sub(-#wanted) == wanted then found = found + 1 end
  end
  assert.is_true(found >= 1, "no stored message is what was sent")
end

describe("mail.smtp.connect", function()
  it("speaks implicit TLS and verifies it", function()
    local s = both()
    if not s then return end
    local smtp = assert(mail.smtp.connect(submission(s)))
    assert.equal("userdata", type(smtp))
    assert.matches("^TLSv1%.[23]$", smtp.tls.version)
    assert.matches("BEGIN CERTIFICATE", smtp.tls.peer_certificate)
    assert.equal("mail.smtp (localhost:" .. s.ports.submissions .. ")", tostring(smtp))
    assert.is_string(smtp.server)
    assert.is_true(smtp:has "pipelining")
    assert.is_false(smtp:has "XYZZY")
    assert.is_true(smtp.capabilities["8BITMIME"])
    assert.matches("PLAIN", smtp.capabilities.AUTH)
    assert.is_nil(smtp.capabilities.XNONE)
    assert.is_true(smtp:quit())
    assert.equal("mail.smtp (localhost:" .. s.ports.submissions .. ", closed)", tostring(smtp))
  end)

  it("demands STARTTLS where the mode says so, and asks again what the server can", function()
    local s = exim()
    if not s then return end
    local smtp = assert(mail.smtp.connect(submission(s, { port = s.ports.submission, tls = "starttls" })))
    assert.is_table(smtp.tls)
    assert.is_false(smtp:has "STARTTLS")
    assert.is_true(smtp:has "AUTH")
    assert.is_true(smtp:noop())
    assert.is_true(smtp:quit())
  end)

  it("takes TLS where it is offered in opportunistic mode, verified or not", function()
    local s = exim()
    if not s then return end
    local smtp = assert(mail.smtp.connect(mx(s, { tls = "opportunistic" })))
    assert.is_table(smtp.tls)
    smtp:close()
    local bare = exim { users = 1, tls = false }
    smtp = assert(mail.smtp.connect(mx(bare, { tls = "opportunistic" })))
    assert.is_nil(smtp.tls)
    smtp:close()
    local none, err = mail.smtp.connect(mx(bare, { tls = "starttls" }))
    assert.is_nil(none)
    assert.equal("tls", err.kind)
    assert.equal("STARTTLS", err.command)
  end)

  it("tells no secret under TLS that anybody could offer", function()
    local s = exim { users = 1 }
    if not s then return end
    local o = { host = "localhost", port = s.ports.submission, tls = "opportunistic", user = s.user,
      password = s.password }
    local smtp, err = mail.smtp.connect(o)
    assert.is_nil(smtp)
    assert.equal("tls", err.kind)
    for _, more in ipairs { { ssl = { verify = true, ca_file = s.ca_file } }, { allow_plaintext_login = true } } do
      o.ssl, o.allow_plaintext_login = more.ssl, more.allow_plaintext_login
      smtp = assert(mail.smtp.connect(o))
      assert.is_table(smtp.tls)
      smtp:quit()
    end
  end)

  it("speaks in clear where it is told to", function()
    local s = exim()
    if not s then return end
    local smtp = assert(mail.smtp.connect(mx(s)))
    assert.is_nil(smtp.tls)
    assert.is_true(smtp:noop())
    assert.is_true(smtp:close())
    assert.is_true(smtp:close())
  end)

  it("takes a URL, alone or as the host", function()
    local s = exim()
    if not s then return end
    local url = ("smtps://%s:%s@localhost:%d/"):format(s.user, s.password, s.ports.submissions)
    local smtp = assert(mail.smtp.connect { host = url, ssl = { ca_file = s.ca_file } })
    assert.is_table(smtp.tls)
    smtp:close()
    local none, err = mail.smtp.connect(url)
    assert.is_nil(none)
    assert.equal("tls", err.kind)
  end)

  it("fails with kind tls, in time, on every certificate that is not good", function()
    for _, name in ipairs { "expired", "not_yet", "wrong_host", "foreign", "self_signed" } do
      local s = need(servers.exim { certificate = name, private = true })
      if not s then return end
      for _, how in ipairs { { s.ports.submissions, "implicit" }, { s.ports.submission, "starttls" } } do
        local began = loop.now()
        local smtp, err = mail.smtp.connect(submission(s, { port = how[1], tls = how[2] }))
        assert.is_nil(smtp)
        assert.equal("tls", err.kind)
        assert.equal("smtp", err.protocol)
        assert.is_true(loop.now() - began < 20)
      end
      s:close()
    end
  end)

  it("never sends a password in clear unless that is allowed", function()
    local s = exim { users = 1, tls = false }
    if not s then return end
    local o = { host = "localhost", port = s.ports.submission, tls = "none", user = s.user, password = s.password }
    local lines = {}
    o.log = function(_, line) lines[#lines + 1] = line end
    local smtp, err = mail.smtp.connect(o)
    assert.is_nil(smtp)
    assert.equal("tls", err.kind)
    assert.is_nil(table.concat(lines, "\n"):find("AUTH %*"))
    o.allow_plaintext_login = true
    smtp = assert(mail.smtp.connect(o))
    assert.is_true(smtp:quit())
    o.login = false -- what was allowed, or not, holds for a later login
    smtp = assert(mail.smtp.connect(o))
    assert.is_true(smtp:login(s.user, s.password))
    smtp:close()
    o.allow_plaintext_login = nil
    smtp = assert(mail.smtp.connect(o))
    local ok
    ok, err = smtp:login(s.user, s.password)
    assert.is_nil(ok)
    assert.equal("tls", err.kind)
    assert.is_true(smtp:login(s.user, s.password, { allow_plaintext_login = true }))
    smtp:close()
  end)
end)

describe("login", function()
  it("is by PLAIN and LOGIN, with Dovecot and Exim", function()
    local s = both()
    if not s then return end
    for _, port in ipairs { s.ports.submissions, s.ports.exim_submissions } do
      for _, mechanism in ipairs { "PLAIN", "LOGIN", "plain" } do
        local smtp = assert(mail.smtp.connect(submission(s, { port = port, mechanism = mechanism })))
        assert.is_true(smtp:quit())
      end
    end
  end)

  it("that is refused is of kind auth, with the server's words and without the password", function()
    local s = both()
    if not s then return end
    for _, port in ipairs { s.ports.submissions, s.ports.exim_submissions } do
      for _, mechanism in ipairs { "PLAIN", "LOGIN" } do
        local smtp, err = mail.smtp.connect(submission(s, { port = port, mechanism = mechanism,
          password = "wrong-one" }))
        assert.is_nil(smtp)
        assert.is_true(Err.is(err))
        assert.equal("auth", err.kind)
        assert.equal(535, err.code)
        assert.equal("AUTH", err.command)
        assert.is_nil(tostring(err):find("wrong-one", 1, true))
        assert.is_false(err.temporary)
      end
    end
  end)

  it("comes later after login = false, and may be tried again", function()
    local s = exim()
    if not s then return end
    local smtp = assert(mail.smtp.connect(submission(s, { login = false })))
    local ok, err = smtp:login(s.user, "nonsense")
    assert.is_nil(ok)
    assert.equal("auth", err.kind)
    assert.is_true(smtp:login(s.user, s.password))
    assert.is_true(smtp:quit())
    smtp = assert(mail.smtp.connect(submission(s, { login = false })))
    assert.is_true(smtp:authenticate { mechanism = "LOGIN", user = s.user, password = s.password })
    assert.is_true(smtp:quit())
  end)

  it("takes a password from a function, and a mechanism that the server lacks is unsupported", function()
    local s = exim()
    if not s then return end
    local smtp = assert(mail.smtp.connect(submission(s, { password = function() return s.password end })))
    smtp:close()
    local none, err = mail.smtp.connect(submission(s, { mechanism = "SCRAM-SHA-256" }))
    assert.is_nil(none)
    assert.equal("unsupported", err.kind)
  end)

  it("is masked in the log", function()
    local s = exim()
    if not s then return end
    local lines = {}
    local smtp = assert(mail.smtp.connect(submission(s, {
      log = function(direction, line) lines[#lines + 1] = direction .. " " .. line end,
    })))
    smtp:quit()
    local text = table.concat(lines, "\n")
    assert.matches("C AUTH %*%*%*", text)
    assert.matches("S 235", text)
    assert.matches("C QUIT", text)
    assert.is_nil(text:find(s.password, 1, true))
  end)
end)

describe("smtp:send", function()
  it("delivers a string byte for byte and gives a receipt", function()
    local s = exim()
    if not s then return end
    local user = s:add_user()
    local smtp = assert(mail.smtp.connect(mx(s)))
    local message = letter("dots", ".\r\n..\r\n.first\r\nlast line without an end\r\n.")
    local receipt = assert(smtp:send { from = "ann@example.test", to = user.address, message = message })
    assert.same({ user.address }, receipt.accepted)
    assert.same({}, receipt.rejected)
    assert.is_string(receipt.queue_id)
    assert.matches(receipt.queue_id, receipt.text, 1, true)
    kept(s, user, 1, message .. "\r\n")
    assert.is_true(smtp:quit())
  end)

  it("delivers files and sources, of known and unknown size", function()
    local s = exim()
    if not s then return end
    local user = s:add_user()
    local smtp = assert(mail.smtp.connect(mx(s)))
    local message = letter("big", (("0123456789"):rep(7) .. "\r\n"):rep(4000))
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(message)
    file:close()
    file = assert(io.open(path, "rb"))
    assert(smtp:send { from = "ann@example.test", to = { user.address }, message = file })
    file:close()
    os.remove(path)
    kept(s, user, 1, message)
    local at = 1
    assert(smtp:send { from = "ann@example.test", to = { user.address }, message = function()
      if at > #message then return nil end
      local piece = message:sub(at, at + 999)
      at = at + 1000
      return piece
    end })
    kept(s, user, 2, message)
    smtp:quit()
  end)

  it("delivers 5 MB, lent and streamed", function()
    local s = exim()
    if not s then return end
    local user = s:add_user()
    local message = letter("large", ((".leading dot " .. ("x"):rep(60) .. "\r\n"):rep(70000)))
    assert.is_true(#message > 5000000)
    local smtp = assert(mail.smtp.connect(mx(s)))
    assert(smtp:send { from = "ann@example.test", to = user.address, message = message })
    kept(s, user, 1, message)
    local given = false
    assert(smtp:send { from = "ann@example.test", to = user.address, size = #message, message = function()
      if given then return nil end
      given = true
      return message
    end })
    kept(s, user, 2, message)
    smtp:quit()
  end)

  it("delivers over TLS what it delivers in clear", function()
    local s = exim()
    if not s then return end
    local user = s:add_user()
    local smtp = assert(mail.smtp.connect(submission(s)))
    local message = letter("tls", ((".x" .. ("y"):rep(70) .. "\r\n"):rep(20000)))
    assert(smtp:send { from = s.user .. "@example.test", to = user.address, message = message })
    -- Exim completes what is submitted (Message-ID, Sender): the body is what must not differ.
    kept(s, user, 1, message:match("\r\n\r\n(.*)$"))
    smtp:quit()
  end)

  it("makes line ends CRLF", function()
    local s = exim()
    if not s then return end
    local user = s:add_user()
    local smtp = assert(mail.smtp.connect(mx(s)))
    assert(smtp:send { from = "ann@example.test", to = user.address, message = "Subject: lf\n\none\n.\ntwo\rthree\n" })
    kept(s, user, 1, "Subject: lf\n\none\n.\ntwo\nthree\n")
    smtp:quit()
  end)

  it("tells who was refused and why; the others get the message", function()
    local s = exim()
    if not s then return end
    local user = s:add_user()
    local smtp = assert(mail.smtp.connect(mx(s)))
    local receipt = assert(smtp:send { from = "ann@example.test", message = letter("some", "x\r\n"),
      to = { "nosuchuser@example.test", user.address, "tempfail@example.test", "full@example.test" } })
    assert.same({ user.address }, receipt.accepted)
    local gone = receipt.rejected["nosuchuser@example.test"]
    assert.is_true(Err.is(gone))
    assert.same({ "rejected", 550, "5.1.1", false, "RCPT" },
      { gone.kind, gone.code, gone.enhanced, gone.temporary, gone.command })
    local later = receipt.rejected["tempfail@example.test"]
    assert.same({ 450, "4.2.0", true }, { later.code, later.enhanced, later.temporary })
    assert.equal(552, receipt.rejected["full@example.test"].code)
    kept(s, user, 1, letter("some", "x\r\n"))
    local none, err = smtp:send { from = "ann@example.test",
      to = { "nosuchuser@example.test", "tempfail@example.test" }, message = letter("none", "x\r\n") }
    assert.is_nil(none)
    assert.equal("rejected", err.kind)
    assert.equal("RCPT", err.command)
    assert.equal(450, err.rejected["tempfail@example.test"].code)
    assert.is_true(smtp:noop())
    smtp:quit()
  end)

  it("serves 20 coroutines on one session, each with its own answer", function()
    local s = exim()
    if not s then return end
    local user = s:add_user()
    local smtp = assert(mail.smtp.connect(mx(s)))
    local ids, seen = {}, {}
    loop.run(function()
      for i = 1, 20 do
        loop.spawn(function()
          local bad = i % 5 == 0
          local receipt, err = smtp:send { from = "ann@example.test",
            to = bad and "nosuchuser@example.test" or user.address,
            message = letter("number " .. i, ("line of " .. i .. "\r\n"):rep(i * 50)) }
          if bad then
            assert.is_nil(receipt)
            assert.equal(550, err.rejected["nosuchuser@example.test"].code)
          else
            ids[#ids + 1] = assert(receipt).queue_id
          end
        end)
      end
    end)
    assert.equal(16, #ids)
    for _, id in ipairs(ids) do
      assert.is_nil(seen[id])
      seen[id] = true
    end
    local messages = s:messages(user, 16)
    assert.equal(16, #messages)
    for _, text in ipairs(messages) do
      local i = tonumber(text:match("Subject: number (%d+)"))
      local wanted = letter("number " .. i, ("line of " .. i .. "\r\n"):rep(i * 50)):gsub("\r\n", "\n")
      assert.is_true(text:sub(-#wanted) == wanted)
    end
    smtp:quit()
  end)

  it("takes a list: receipts and errors in its order", function()
    local s = exim()
    if not s then return end
    local user = s:add_user()
    local smtp = assert(mail.smtp.connect(mx(s)))
    local chunks = { letter("streamed", ""), "y\r\n" }
    local results = assert(smtp:send {
      { from = "ann@example.test", to = user.address, message = letter("first", "x\r\n") },
      { from = "ann@example.test", to = "nosuchuser@example.test", message = letter("second", "x\r\n") },
      { from = "bad\r\naddress", to = user.address, message = letter("third", "x\r\n") },
      { from = "ann@example.test", to = user.address, message = function() return table.remove(chunks, 1) end },
      { from = "ann@example.test", to = user.address, message = letter("fifth", "x\r\n") },
    })
    assert.equal(5, #results)
    assert.same({ false, true, true, false, false }, { Err.is(results[1]), Err.is(results[2]), Err.is(results[3]),
      Err.is(results[4]), Err.is(results[5]) })
    assert.equal("invalid", results[3].kind)
    assert.equal(3, #s:messages(user, 3))
    smtp:quit()
  end)

  it("takes the envelope from the header, and cuts Bcc out of it", function()
    local s = exim()
    if not s then return end
    local to, hidden = s:add_user(), s:add_user()
    local smtp = assert(mail.smtp.connect(mx(s)))
    local receipt = assert(smtp:send { message = "From: Ann <ann@example.test>\r\nTo: " .. to.address .. "\r\nBcc: "
      .. hidden.address .. "\r\nSubject: both\r\n\r\nx\r\n" })
    assert.same({ to.address, hidden.address }, receipt.accepted)
    local text = s:messages(hidden, 1)[1]
    assert.is_nil(text:find("\nBcc:", 1, true))
    assert.matches("Return%-path: <ann@example.test>", text)
    local none, err = smtp:send { message = "Subject: nobody\r\n\r\nx\r\n" }
    assert.is_nil(none)
    assert.equal("invalid", err.kind)
    smtp:quit()
  end)

  it("delivers 8-bit text and UTF-8 headers where the server takes them", function()
    local s = exim()
    if not s then return end
    local user = s:add_user()
    local smtp = assert(mail.smtp.connect(mx(s)))
    local message = letter("eight", "Grüße\r\n")
    assert(smtp:send { from = "ann@example.test", to = user.address, message = message })
    kept(s, user, 1, message)
    if smtp:has "SMTPUTF8" then
      message = letter("Grüße", "x\r\n")
      assert(smtp:send { from = "ann@example.test", to = user.address, message = message })
      kept(s, user, 2, message)
    end
    smtp:quit()
  end)

  it("refuses before any octet what the server cannot take", function()
    local s = exim { users = 1, size = "50K", without = "8bitmime smtputf8 pipelining" }
    if not s then return end
    local user = s.users[1]
    local smtp = assert(mail.smtp.connect(mx(s)))
    local function refused(kind, message, to)
      local receipt, err = smtp:send { from = "ann@example.test", to = to or user.address, message = message }
      assert.is_nil(receipt)
      assert.equal(kind, err.kind)
      assert.equal("MAIL", err.command)
    end
    refused("unsupported", letter("x", "Grüße\r\n"))
    refused("unsupported", letter("Grüße", "x\r\n"))
    refused("unsupported", letter("x", "x\r\n"), "ü@example.test")
    refused("rejected", letter("x", ("x"):rep(60000) .. "\r\n"))
    -- Without PIPELINING everything works all the same, a step at a time.
    assert(smtp:send { from = "ann@example.test", to = { "nosuchuser@example.test", user.address },
      message = letter("slow", ".x\r\n") })
    kept(s, user, 1, letter("slow", ".x\r\n"))
    smtp:quit()
  end)

  it("refuses addresses that cannot be sent, and misuse at the caller's line", function()
    local s = exim()
    if not s then return end
    local smtp = assert(mail.smtp.connect(mx(s)))
    for _, bad in ipairs { "a@b\r\nRCPT TO:<c@d>", "a@b\n", "a@b\0", "a b@c", "a@b> SIZE=1",
      "", "@", "a@", "<a@b", "a@b@c" } do
      local receipt, err = smtp:send { from = "ann@example.test", to = bad, message = "x" }
      assert.is_nil(receipt)
      assert.equal("invalid", err.kind)
      receipt, err = smtp:send { from = bad ~= "" and bad or "\r\n", to = "ann@example.test", message = "x" }
      assert.is_nil(receipt)
      assert.equal("invalid", err.kind)
    end
    local receipt, err = smtp:send { from = "ann@example.test", to = {}, message = "x" }
    assert.is_nil(receipt)
    assert.equal("invalid", err.kind)
    for _, options in ipairs { { from = 1, to = "a@b.example", message = "x" },
      { from = "a@b.example", to = 5, message = "x" },
      { from = "a@b.example", to = { 5 }, message = "x" }, { from = "a@b.example", to = "a@b.example", message = 5 },
      { from = "a@b.example", to = "a@b.example", message = "x", colour = "red" } } do
      local ok, why = pcall(function() smtp:send(options) end)
      assert.is_false(ok)
      assert.matches("smtp_spec.lua:%d+: ", tostring(why))
    end
    for _, misuse in ipairs { function() smtp:noop(5) end, function() smtp:noop { tiemout = 5 } end,
      function() smtp:reset { timeout = "5" } end, function() smtp:verify("ann", 5) end, function() smtp:has() end,
      function() smtp:command("NOOP", { wait = 5 }) end, function() smtp:login() end,
      function() smtp:login("ann", 5) end, function() smtp:quit { wait = 5 } end, function() smtp:keepalive(5) end } do
      local ok, why = pcall(misuse)
      assert.is_false(ok)
      assert.matches("smtp_spec.lua:%d+: smtp:", tostring(why))
    end
    assert.is_true(smtp:noop())
    smtp:quit()
  end)
end)

describe("the other calls", function()
  it("name the command that failed as it is on the wire", function()
    local s = exim()
    if not s then return end
    local smtp = assert(mail.smtp.connect(mx(s)))
    local _, err = smtp:verify "ann\r\nQUIT"
    assert.same({ "invalid", "VRFY" }, { err.kind, err.command })
    _, err = smtp:command "noop\n"
    assert.same({ "invalid", "NOOP" }, { err.kind, err.command })
    smtp:close()
    _, err = mail.smtp.connect(mx(s, { helo = "a\r\nb" }))
    assert.same({ "invalid", "EHLO" }, { err.kind, err.command })
  end)

  it("name the command that was not answered", function()
    scripted.run(function(peer)
      peer:send "220 mx\r\n"
      peer:expect "^EHLO "
      peer:send "250 mx\r\n"
      peer:rest()
    end, function(port)
      local smtp = assert(mail.smtp.connect { host = "127.0.0.1", port = port, tls = "none" })
      local _, err = smtp:noop { timeout = 0.05 }
      assert.same({ "timeout", "NOOP" }, { err.kind, err.command })
      smtp:close()
    end)
  end)

  it("answer: noop, reset, verify, expand, command", function()
    local s = exim()
    if not s then return end
    local smtp = assert(mail.smtp.connect(mx(s)))
    assert.is_true(smtp:noop())
    assert.is_true(smtp:reset())
    local reply = assert(smtp:verify(s.users[1].address))
    assert.equal(250, reply.code)
    local none, err = smtp:verify "nosuchperson@example.test"
    assert.is_nil(none)
    assert.equal("rejected", err.kind)
    assert.equal("VRFY", err.command)
    none, err = smtp:expand "nolist"
    assert.is_nil(none)
    assert.equal("EXPN", err.command)
    reply = assert(smtp:command "HELP")
    assert.equal(214, reply.code)
    assert.is_true(#reply.lines >= 2)
    reply = assert(smtp:command "XFOO bar")
    assert.equal(500, reply.code)
    none, err = smtp:command "NOOP\r\nQUIT"
    assert.is_nil(none)
    assert.equal("invalid", err.kind)
    none, err = smtp:verify "a\r\nRSET"
    assert.is_nil(none)
    assert.equal("invalid", err.kind)
    assert.has_error(function() smtp:command(5) end)
    assert.has_error(function() smtp:verify() end)
    assert.is_true(smtp:quit())
  end)

  it("say that a session is closed, for ever", function()
    local s = exim()
    if not s then return end
    local smtp = assert(mail.smtp.connect(mx(s)))
    assert.is_true(smtp:quit())
    for _, call in ipairs {
      function() return smtp:noop() end, function() return smtp:reset() end, function() return smtp:command "NOOP" end,
      function() return smtp:verify "x" end, function() return smtp:quit() end,
      function() return smtp:login("a", "b") end,
      function() return smtp:send { from = "a@b.example", to = "a@b.example", message = "x" } end,
    } do
      local ok, err = call()
      assert.is_nil(ok)
      assert.equal("closed", err.kind)
    end
    assert.is_true(smtp:close())
    assert.is_nil(smtp.tls)
  end)

  it("work on a session that was opened on the main thread and is used in tasks", function()
    local s = exim()
    if not s then return end
    local smtp = assert(mail.smtp.connect(mx(s)))
    loop.run(function()
      local tasks = {}
      for i = 1, 5 do tasks[i] = loop.spawn(function() return smtp:noop() end) end
      for i = 1, 5 do assert.is_true(tasks[i]:join()) end
    end)
    assert.is_true(smtp:noop())
    assert.is_true(smtp:quit())
  end)

  it("leave no descriptor behind, closed or forgotten", function()
    local s = exim()
    if not s or not descriptors.count() then return end
    descriptors.steady(function()
      for i = 1, 5 do
        local smtp = assert(mail.smtp.connect(submission(s)))
        if i % 2 == 0 then smtp:quit() elseif i == 3 then smtp:close() end
      end
      loop.run(function()
        for i = 1, 5 do
          local smtp = assert(mail.smtp.connect(mx(s)))
          if i % 2 == 0 then smtp:quit() end
        end
      end)
    end)
  end)

  it("know a descriptor's number again after a session was collected", function()
    local s = exim()
    if not s then return end
    loop.run(function()
      for _ = 1, 5 do
        local smtp = assert(mail.smtp.connect(mx(s)))
        assert.is_true(smtp:noop())
        smtp = nil -- luacheck: ignore
        collectgarbage()
        collectgarbage()
      end
    end)
  end)
end)

describe("an SMTP session without a transport", function()
  it("knows no server, and says so without an error", function()
    local session = mail.smtp.session()
    assert.is_nil(session.capabilities)
    assert.is_nil(session.server)
    assert.is_nil(session.tls)
    assert.is_false(session:has "SIZE")
    assert.matches("no transport", tostring(session))
  end)

  it("has nothing to wait on: a call of a user's raises at the caller's line", function()
    local session = mail.smtp.session()
    for _, call in ipairs { "noop", "reset", "quit", "send", "help" } do
      local ok, why = pcall(function() session[call](session) end)
      assert.is_false(ok)
      assert.matches("smtp_spec.lua:%d+: smtp:" .. call .. ": a session without a transport", tostring(why))
    end
  end)

  it("takes limits that there are", function()
    local ok, why = pcall(function() local _ = mail.smtp.session { limits = { lines = 1 } } end)
    assert.is_false(ok)
    assert.matches("smtp_spec.lua:%d+: ", tostring(why))
  end)
end)

describe("mail.smtp.parse", function()
  it("refuses a chunk of nothing, and what is no string, at the caller's line", function()
    for _, arguments in ipairs { { "250 ok\r\n", 0 }, { "250 ok\r\n", "1" }, { "250 ok\r\n", 1.5 }, { 250 }, {} } do
      local ok, why = pcall(function() local _ = mail.smtp.parse(arguments[1], arguments[2]) end)
      assert.is_false(ok)
      assert.matches("smtp_spec.lua:%d+: ", tostring(why))
    end
  end)

  it("reads replies fed in any pieces", function()
    local bytes = "220 mx\r\n250-one\r\n250 2.0.0 two\r\n550 5.1.1 no\r\n"
    for chunk = 1, #bytes do
      assert.same({
        { code = 220, lines = { "mx" } }, { code = 250, lines = { "one", "2.0.0 two" } },
        { code = 550, enhanced = "5.1.1", lines = { "5.1.1 no" } },
      }, mail.smtp.parse(bytes, chunk))
    end
    local replies, err = mail.smtp.parse "25x\r\n"
    assert.is_nil(replies)
    assert.equal("protocol", err.kind)
    replies, err = mail.smtp.parse "250-cut\r\n"
    assert.is_nil(replies)
    assert.equal("closed", err.kind)
  end)
end)
