-- Against Postfix 3.7: every extension that it has, what its queue and its deliveries say of our envelope, and the
-- octets that arrive.
local mail = require "mail"
local core = require "mail.core"
local Err = require "mail.err"
local loop = require "mail.loop"
local postfix = require "spec.servers.postfix"
local servers = require "spec.servers"

-- Where the machine has no IPv6, Postfix knows none of its addresses.
local listener = core.listen("::1", "0")
local has_ipv6 = listener ~= nil
if listener then listener:close() end
local SIX = has_ipv6 and "2001:db8::7" or "192.0.2.7"
local SIX_NAMED = has_ipv6 and "IPv6:" .. SIX or SIX

-- What the specs share, beside the usual: Postfix takes its time to start.
local BARE = { tls = false, without = "smtputf8 8bitmime" }
local SMALL = { extra = "message_size_limit = 20000\nsmtpd_soft_error_limit = 1\nsmtpd_hard_error_limit = 4\n" }

local function need(s, why)
  if not s then pending(why) end
  return s
end

local function server(options) return need(servers.postfix(options)) end

local function connect(s, more)
  local o = { host = "localhost", port = s.ports.smtp, tls = "none", timeout = 30, helo = "me.example" }
  for name, value in pairs(more or {}) do o[name] = value end
  return mail.smtp.connect(o)
end

-- A server with these options, and a session with it.
local function session(options, more)
  local s = server(options)
  if not s then return nil end
  return s, assert(connect(s, more))
end

local function letter(subject, body) return "Subject: " .. subject .. "\r\n\r\n" .. body end

local function deliver(smtp, to, message, more)
  local o = { from = "ann@elsewhere.example", to = to, message = message }
  for name, value in pairs(more or {}) do o[name] = value end
  return smtp:send(o)
end

-- The text behind the header, as it was said on the wire: Postfix keeps LF.
local function body_of(message) return (message:gsub("^.-\n\n", "", 1):gsub("\n", "\r\n")) end

-- The messages of `user`, n of them, by their subjects.
local function by_subject(s, user, n)
  local list = {}
  for _, text in ipairs(s:messages(user, n)) do
    local head = text:match "^(.-)\n\n"
    list[("\n" .. head):match "\nSubject: ([^\n]*)" or ""] = text
  end
  return list
end

-- The queue file of a message for a recipient who makes it stay there.
local function held(s, smtp, message, more)
  local receipt = assert(deliver(smtp, { "held@example.test" }, message, more))
  return assert(s:queued(receipt.queue_id))
end

local function has(text, line)
  assert.is_truthy(("\n" .. text):find("\n" .. line .. "\n", 1, true), line .. " is not in " .. text)
end

describe("Postfix", function()
  it("names what it has", function()
    local s, smtp = session()
    if not s then return end
    for _, name in ipairs { "PIPELINING", "SIZE", "VRFY", "ETRN", "STARTTLS", "XCLIENT", "XFORWARD",
      "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING" } do
      assert.is_true(smtp:has(name), name)
    end
    assert.equal("314572800", smtp.capabilities.SIZE)
    assert.is_true(smtp:noop())
    assert.is_true(smtp:reset())
    assert.is_true(smtp:quit())
  end)

  it("takes many transactions at once, and refuses each its own recipients", function()
    local s, smtp = session()
    if not s then return end
    local user, list = s:add_user(), {}
    for i = 1, 60 do
      local to = i % 3 == 0 and { "nobody@example.test", user.address } or i % 3 == 1 and { user.address }
        or { "tempfail@example.test", "nobody@example.test" }
      list[i] = { from = "ann@elsewhere.example", to = to, message = letter("m" .. i, ".\r\n..\r\n" .. i .. "\r\n") }
    end
    for i, result in ipairs(smtp:send(list)) do
      if i % 3 == 2 then
        assert.is_true(Err.is(result))
        assert.same({ 450, 550 }, { result.rejected["tempfail@example.test"].code,
          result.rejected["nobody@example.test"].code })
      else
        assert.same({ user.address }, result.accepted)
        assert.is_string(result.queue_id)
      end
    end
    local got = by_subject(s, user, 40)
    for i = 1, 60 do
      if i % 3 ~= 2 then assert.equal(".\r\n..\r\n" .. i .. "\r\n", body_of(got["m" .. i])) end
    end
    assert.is_true(smtp:quit())
  end)

  it("says why of each recipient", function()
    local s, smtp = session()
    if not s then return end
    local user = s:add_user()
    local receipt = assert(deliver(smtp, { "nobody@example.test", "tempfail@example.test", "full@example.test",
      "who@elsewhere.example", user.name .. "+detail@example.test" }, letter("few", "x\r\n")))
    assert.same({ user.name .. "+detail@example.test" }, receipt.accepted)
    local why = {}
    for address, err in pairs(receipt.rejected) do why[address] = err.code .. " " .. err.enhanced end
    assert.same({ ["nobody@example.test"] = "550 5.1.1", ["tempfail@example.test"] = "450 4.2.0",
      ["full@example.test"] = "552 5.2.2", ["who@elsewhere.example"] = "554 5.7.1" }, why)
    local ok, err = deliver(smtp, { "nobody@example.test" }, letter("none", "x\r\n"))
    assert.is_nil(ok)
    assert.same({ "rejected", 550, "5.1.1" }, { err.kind, err.code, err.enhanced })
    assert.matches("^x\r\n$", body_of(by_subject(s, user, 1).few))
    assert.is_true(smtp:quit())
  end)
end)

describe("content to Postfix", function()
  local long = ("x"):rep(998)
  local bodies = {
    dots = ".\r\n..\r\n.x\r\n\r\n.\r\n", empty = "", line = "one line\r\n", unended = "no end",
    long = (long .. "\r\n"):rep(300), eight = "\195\188\r\n\255\254\128\r\n", longest = ("y"):rep(10000) .. "\r\n",
    bare = "a\nb\rc\n.\nd\r\n.\re", blank = "\r\n\r\n\r\n",
  }
  -- What a line of its own for each end of line makes of it.
  local arrived = { unended = "no end\r\n", bare = "a\r\nb\r\nc\r\n.\r\nd\r\n.\r\ne\r\n" }

  local function source(text, n)
    local at = 1
    return function()
      if at > #text then return nil end
      local piece = text:sub(at, at + n - 1)
      at = at + n
      return piece
    end
  end

  for _, chunking in ipairs { true, false } do
    local way = chunking and "BDAT" or "DATA"
    it("arrives octet by octet by " .. way .. ", and never with an end of line of its own", function()
      local s, smtp = session(nil, { chunking = chunking })
      if not s then return end
      local user, n = s:add_user(), 0
      for name, body in pairs(bodies) do
        local text = letter(name, body)
        assert(deliver(smtp, user.address, text))
        assert(deliver(smtp, user.address, source(letter(name .. "-source", body), 7000)))
        n = n + 2
      end
      local got = by_subject(s, user, n)
      for name, body in pairs(bodies) do
        assert.equal(arrived[name] or body, body_of(got[name]), name)
        assert.equal(arrived[name] or body, body_of(got[name .. "-source"]), name)
      end
      assert.is_true(smtp:quit())
    end)
  end

  it("of 5 MB arrives by BDAT in chunks, from a source whose end nobody knows, and by DATA", function()
    local s = server()
    if not s then return end
    local user, lines = s:add_user(), {}
    for i = 1, 70000 do lines[i] = ("."):rep(i % 3) .. ("%d "):format(i):rep(10) end
    local body = table.concat(lines, "\r\n") .. "\r\n"
    for _, chunking in ipairs { true, false } do
      local smtp = assert(connect(s, { chunking = chunking }))
      assert(deliver(smtp, user.address, source(letter("big" .. tostring(chunking), body), 100001)))
      assert.is_true(smtp:quit())
    end
    local got = by_subject(s, user, 2)
    assert.is_true(body == body_of(got.bigtrue))
    assert.is_true(body == body_of(got.bigfalse))
  end)

  it("that is too large is refused before it leaves, or by the server", function()
    local s, smtp = session(SMALL)
    if not s then return end
    local text = letter("large", (long .. "\r\n"):rep(30))
    local ok, err = deliver(smtp, "user1@example.test", text)
    assert.is_nil(ok)
    assert.equal("rejected", err.kind)
    assert.matches("SIZE", err.message)
    for _, chunking in ipairs { true, false } do
      local other = assert(connect(s, { chunking = chunking }))
      ok, err = deliver(other, "user1@example.test", source(text, 4000))
      assert.is_nil(ok)
      assert.same({ "rejected", 552, "5.3.4" }, { err.kind, err.code, err.enhanced }, tostring(err))
      assert(deliver(other, "user1@example.test", letter("small", "x\r\n")))
      other:quit()
    end
    smtp:quit()
  end)

  it("of eight bits is announced, and names beyond ASCII go by SMTPUTF8", function()
    local s, smtp = session()
    if not s then return end
    has(held(s, smtp, letter("x", "\195\188\r\n")), "named_attribute: encoding=8bit")
    local receipt = assert(deliver(smtp, "j\195\182rg@example.test", letter("gr\195\188\195\159e", "\195\188\r\n"),
      { from = "\195\164nn@elsewhere.example" }))
    assert.same({ "j\195\182rg@example.test" }, receipt.accepted)
    local text = s:messages(s.international, 1)[1]
    assert.matches("Return%-Path: <\195\164nn@elsewhere.example>", text)
    assert.matches("with UTF8SMTP id", text)
    assert.matches("\nSubject: gr\195\188\195\159e\n", text)
    assert.is_true(smtp:quit())
    local other, plain = session(BARE)
    local ok, err = deliver(plain, other.users[1].address, letter("\195\188", "x\r\n"))
    assert.same({ nil, "unsupported" }, { ok, err.kind })
    assert(deliver(plain, other.users[1].address, letter("seven", "x\r\n")))
    local message = mail.message.parse("Subject: Grüße\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
      .. "für alle Leute\r\n")
    assert(deliver(plain, other.users[1].address, message)) -- re-encoded, since it is no octets of the user's own
    local got = by_subject(other, other.users[1], 2)["=?UTF-8?Q?Gr=C3=BC=C3=9Fe?="]
    assert.is_nil(got:find "[\128-\255]")
    assert.equal("für alle Leute\n", mail.message.parse(got):text())
    assert.equal("Grüße", mail.message.parse(got).subject)
    assert.is_true(plain:quit())
  end)
end)

describe("DSN to Postfix", function()
  it("is in its queue", function()
    local s, smtp = session()
    if not s then return end
    local queue = held(s, smtp, letter("x", "x\r\n"), {
      to = {
        { address = "held@example.test", notify = { "failure", "delay" }, orcpt = "rfc822;x+y=z@elsewhere.example" },
        { address = "user1@example.test", notify = "never" } },
      dsn = { ret = "hdrs", envid = "a+b=c d" } })
    for _, line in ipairs { "envelope_id=a+b=c d", "ret_flags=2", "notify_flags=12", "notify_flags=1",
      "dsn_orig_rcpt=rfc822;x+y=z@elsewhere.example" } do
      has(queue, "named_attribute: " .. line)
    end
    assert.matches("named_attribute: ret_flags=1\n", held(s, smtp, letter("x", "x\r\n"), { dsn = { ret = "full" } }))
    assert.is_true(smtp:quit())
  end)

  it("brings a report to the sender", function()
    local s, smtp = session()
    if not s then return end
    local from, to = s:add_user(), s:add_user()
    assert(deliver(smtp, { { address = to.address, notify = "success", orcpt = "rfc822;b+c@elsewhere.example" } },
      letter("reported", "the body\r\n"), { from = from.address, dsn = { ret = "hdrs", envid = "<a=1+2>" } }))
    local report = s:messages(from, 1)[1]
    for _, line in ipairs { "Original-Envelope-Id: <a=1+2>", "Original-Recipient: rfc822;b+c@elsewhere.example",
      "Action: delivered", "Content-Type: text/rfc822-headers", "Subject: reported" } do
      has(report, line)
    end
    assert.is_nil(report:find("the body", 1, true))
    assert.equal("the body\r\n", body_of(s:messages(to, 1)[1]))
    assert.is_true(smtp:quit())
  end)
end)

describe("a session with Postfix", function()
  local function with_login(more)
    local dovecot = need(servers.dovecot { extra = postfix.AUTH })
    local s = dovecot and server { sasl = dovecot, deliver_to = dovecot }
    if not s then return nil end
    local o = { port = s.ports.submission, tls = "starttls", ssl = { ca_file = s.ca_file }, user = "user1",
      password = "secret" }
    for name, value in pairs(more or {}) do o[name] = value end
    if o.port == "submissions" then o.port = s.ports.submissions end
    return s, o
  end

  it("logs in by each mechanism, after STARTTLS and over implicit TLS", function()
    local s, o = with_login()
    if not s then return end
    for _, mechanism in ipairs { "PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256" } do
      for _, port in ipairs { "submission", "submissions" } do
        o.port, o.tls, o.mechanism = s.ports[port], port == "submission" and "starttls" or "implicit", mechanism
        o.mechanism_floor = "plain"
        local smtp = assert(connect(s, o))
        assert.matches("^TLSv1%.3$", smtp.tls.version)
        local queue = held(s, smtp, letter("x", "x\r\n"), { auth = "ann@elsewhere.example" })
        has(queue, "named_attribute: sasl_method=" .. mechanism)
        has(queue, "named_attribute: sasl_username=user1")
        assert.matches("%(Authenticated sender: user1%)", queue)
        assert.is_true(smtp:quit())
      end
    end
  end)

  it("is refused with a wrong password, and may not send without one", function()
    local s, o = with_login { password = "wrong" }
    if not s then return end
    local ok, err = connect(s, o)
    assert.is_nil(ok)
    assert.same({ "auth", 535, "5.7.8" }, { err.kind, err.code, err.enhanced })
    o.login = false
    local smtp = assert(connect(s, o))
    ok, err = deliver(smtp, "user1@example.test", letter("x", "x\r\n"))
    assert.is_nil(ok)
    assert.same({ "rejected", 554 }, { err.kind, err.code })
    assert.is_true(smtp:login("user1", "secret"))
    assert(deliver(smtp, "who@elsewhere.example", letter("x", "x\r\n")))
    assert.is_true(smtp:quit())
  end)

  it("takes TLS where it is offered, and finds a bad certificate", function()
    local s = server()
    if not s then return end
    local smtp = assert(connect(s, { tls = "opportunistic" }))
    assert.is_table(smtp.tls)
    assert.matches("%(using TLSv1%.3 with cipher", held(s, smtp, letter("x", "x\r\n")))
    assert.is_true(smtp:quit())
    local ok, err = connect(s, { tls = "starttls" }) -- an authority that nobody here trusts
    assert.is_nil(ok)
    assert.equal("tls", err.kind)
    local bare = server(BARE)
    ok, err = connect(bare, { tls = "starttls" })
    assert.is_nil(ok)
    assert.equal("tls", err.kind)
  end)

  it("acts for another by XCLIENT, and begins anew", function()
    local s, smtp = session()
    if not s then return end
    assert.is_true(smtp:xclient { name = "client.example", addr = "192.0.2.77", port = 4000, proto = "ESMTP",
      helo = "hello.example", login = "ann" })
    local queue = held(s, smtp, letter("x", "x\r\n"))
    assert.matches("Received: from me.example %(client.example %[192.0.2.77%]%)", queue)
    for _, line in ipairs { "client_name=client.example", "client_address=192.0.2.77", "client_port=4000",
      "sasl_username=ann" } do
      has(queue, "named_attribute: " .. line)
    end
    assert.is_true(smtp:quit())
    smtp = assert(connect(s))
    assert.is_true(smtp:xclient { addr = SIX, name = false })
    assert.is_truthy(held(s, smtp, letter("x", "x\r\n")):find("(unknown [" .. SIX_NAMED .. "])", 1, true))
    assert.is_true(smtp:quit())
  end)

  it("tells of another by XFORWARD", function()
    local s, smtp = session()
    if not s then return end
    assert.is_true(smtp:xforward { name = "client.example", addr = SIX, port = 4001, proto = "SMTP",
      helo = "h+i=.example", ident = "4F1", source = "REMOTE" })
    local queue = held(s, smtp, letter("x", "x\r\n"))
    for _, line in ipairs { "log_client_address=" .. SIX_NAMED, "log_client_port=4001", "log_protocol_name=SMTP",
      "log_helo_name=h+i=.example", "log_ident=4F1" } do
      has(queue, "named_attribute: " .. line)
    end
    has(held(s, smtp, letter("x", "x\r\n")), "named_attribute: log_client_address=127.0.0.1")
    assert.is_true(smtp:quit())
  end)

  it("goes behind a PROXY header of either version", function()
    local s = server()
    if not s then return end
    for _, version in ipairs { 1, 2 } do
      for _, source in ipairs { "192.0.2.33", SIX } do
        local destination = source:find ":" and "2001:db8::1" or "192.0.2.1"
        local smtp = assert(connect(s, { port = s.ports.proxies, proxy_header = { version = version, source = source,
          source_port = 4002, destination = destination, destination_port = 25 } }))
        local queue = held(s, smtp, letter("x", "x\r\n"))
        has(queue, "named_attribute: client_address=" .. source)
        has(queue, "named_attribute: client_port=4002")
        has(queue, "named_attribute: server_address=" .. destination)
        assert.is_true(smtp:quit())
      end
    end
    local smtp = assert(connect(s, { port = s.ports.proxies, proxy_header = { version = 2, ["local"] = true } }))
    has(held(s, smtp, letter("x", "x\r\n")), "named_attribute: client_address=127.0.0.1")
    assert.is_true(smtp:quit())
    local ok, err = connect(s, { port = s.ports.proxies, proxy_header = { version = 1, ["local"] = true } })
    assert.is_nil(ok) -- "PROXY UNKNOWN" it does not know
    assert.same({ "rejected", 421 }, { err.kind, err.code })
  end)

  it("asks by VRFY and ETRN", function()
    local s, smtp = session()
    if not s then return end
    local answer = assert(smtp:verify "user1@example.test")
    assert.same({ 252, "2.0.0" }, { answer.code, answer.enhanced })
    local ok, err = smtp:verify "nobody@example.test"
    assert.is_nil(ok)
    assert.same({ "rejected", 550, "5.1.1" }, { err.kind, err.code, err.enhanced })
    assert.equal(250, assert(smtp:etrn "example.test").code)
    ok, err = smtp:etrn "elsewhere.example"
    assert.is_nil(ok)
    assert.same({ "rejected", 459 }, { err.kind, err.code })
    ok, err = smtp:expand "staff"
    assert.is_nil(ok)
    assert.same({ "rejected", 500, "5.5.2" }, { err.kind, err.code, err.enhanced }) -- it has no EXPN
    ok, err = smtp:help()
    assert.is_nil(ok)
    assert.same({ "rejected", 500 }, { err.kind, err.code })
    assert.is_true(smtp:quit())
  end)

  it("goes to a program that it starts itself: sendmail -bs", function()
    local s = server()
    if not s then return end
    local user = s:add_user()
    local smtp = assert(mail.smtp.connect { command = s:pipe(), timeout = 30 })
    for i = 1, 3 do assert(deliver(smtp, user.address, letter("p" .. i, ".\r\n" .. ("x\r\n"):rep(i)))) end
    assert.is_true(smtp:quit())
    local got = by_subject(s, user, 3)
    for i = 1, 3 do assert.equal(".\r\n" .. ("x\r\n"):rep(i), body_of(got["p" .. i])) end
  end)

  it("hands on to Dovecot by LMTP", function()
    local s, o = with_login()
    if not s then return end
    local dovecot = s.options.sasl
    local user, smtp = dovecot:add_user(), assert(connect(s, o))
    assert(deliver(smtp, user.address, letter("handed on", ".\r\n..\r\n")))
    assert.is_true(smtp:quit())
    local patience = core.now() + 60 -- a busy Dovecot puts Postfix off, which comes again each second
    local text
    repeat
      local pop = assert(mail.pop3.connect { host = "localhost", port = dovecot.ports.pop3s, user = user.name,
        password = user.password, ssl = { ca_file = dovecot.ca_file }, timeout = 30 })
      text = pop:retr(1)
      pop:quit()
    until text or core.now() > patience
    assert.is_string(text)
    assert.equal(".\r\n..\r\n", (text:gsub("^.-\r\n\r\n", "", 1)))
  end)
end)

describe("postscreen", function()
  -- Each is a client that it has not seen; the first session is a test, the second one goes through.
  for address, tls in pairs { ["127.0.0.61"] = "none", ["127.0.0.62"] = "starttls" } do
    it("finds nothing wrong with us, tls = " .. tls, function()
      local s = server()
      if not s then return end
      local user, o = s:add_user(), { port = s.ports.screens, local_address = address, tls = tls,
        ssl = { ca_file = s.ca_file } }
      local smtp = assert(connect(s, o))
      local ok, err = deliver(smtp, user.address, letter("again", "x\r\n"))
      assert.is_nil(ok)
      assert.same({ "rejected", 450, "4.3.2" }, { err.kind, err.code, err.enhanced })
      assert.is_true(err.temporary)
      assert.is_true(smtp:quit())
      smtp = assert(connect(s, o))
      assert(deliver(smtp, user.address, letter("again", "x\r\n")))
      assert.is_true(smtp:quit())
      assert.equal("x\r\n", body_of(s:messages(user, 1)[1]))
      local log = s:log()
      assert.is_truthy(log:find("PASS NEW [" .. address .. "]", 1, true))
      assert.is_nil(log:find "PREGREET from" or log:find "COMMAND PIPELINING from" or log:find "BARE NEWLINE from")
    end)
  end
end)

describe("a Postfix that sets limits", function()
  it("on recipients gets them in several transactions", function()
    local s, smtp = session { extra = "smtpd_recipient_limit = 7\nsmtpd_recipient_overshoot_limit = 1\n" }
    if not s then return end
    local to, users = {}, {}
    for i = 1, 25 do
      users[i] = s:add_user()
      to[i] = users[i].address
    end
    local receipt = assert(deliver(smtp, to, letter("many", "x\r\n")))
    assert.same({}, receipt.rejected)
    assert.same(to, receipt.accepted)
    for i = 1, 25 do assert.equal(1, #s:messages(users[i], 1)) end
    assert.is_true(smtp:quit())
  end)

  it("on errors closes, and each message knows what became of it", function()
    for _, chunking in ipairs { true, false } do
      local s, smtp = session(SMALL, { chunking = chunking })
      if not s then return end
      local list, user = {}, s:add_user()
      for i = 1, 14 do
        list[i] = { from = "ann@elsewhere.example", to = { i > 2 and "nobody@example.test" or user.address },
          message = letter("e" .. i, "x\r\n") }
      end
      local kinds = {}
      for i, result in ipairs(smtp:send(list)) do kinds[i] = Err.is(result) and result.kind or "taken" end
      assert.equal("taken taken rejected rejected" .. (" closed"):rep(10), table.concat(kinds, " "))
      assert.equal(2, #s:messages(user, 2))
    end
  end)

  it("on errors loses a pool nothing", function()
    local s = server(SMALL)
    if not s then return end
    local user = s:add_user()
    local pool = mail.smtp.pool { host = "localhost", port = s.ports.smtp, tls = "none", size = 2, timeout = 30,
      back_off = { 100, 100 } } -- nobody may be set back: each connection has answered before it ends
    local tasks, kinds = {}, {}
    for i = 1, 24 do
      tasks[i] = loop.spawn(function()
        local ok, err = pool:send { from = "ann@elsewhere.example", message = letter("p" .. i, "x\r\n"),
          to = i % 4 == 0 and user.address or "nobody@example.test" }
        kinds[i] = ok and "taken" or err.kind
      end)
    end
    for i = 1, 24 do tasks[i]:join() end
    pool:close()
    assert.equal(("rejected rejected rejected taken "):rep(6), table.concat(kinds, " ") .. " ")
    assert.equal(6, #s:messages(user, 6))
  end)
end)
