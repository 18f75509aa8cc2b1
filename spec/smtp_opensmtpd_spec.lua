-- Against OpenSMTPD 6.8: a server without CHUNKING and SMTPUTF8, with DSN, which answers in its own words.
local mail = require "mail"
local Err = require "mail.err"
local loop = require "mail.loop"
local servers = require "spec.servers"

local function server(options)
  local s, why = servers.opensmtpd(options)
  if not s then pending(why) end
  return s
end

local function connect(s, more)
  local o = { host = "localhost", port = s.ports.smtp, tls = "none", timeout = 30, helo = "me.example" }
  for name, value in pairs(more or {}) do o[name] = value end
  return mail.smtp.connect(o)
end

local function session(options, more)
  local s = server(options)
  if not s then return nil end
  return s, assert(connect(s, more))
end

local function letter(subject, body)
  return "From: ann@elsewhere.example\r\nDate: Mon, 23 Nov 2026 02:30:00 +0000\r\nMessage-ID: <a@b>\r\nSubject: "
    .. subject .. "\r\n\r\n" .. body
end

local function deliver(smtp, to, message, more)
  local o = { from = "ann@elsewhere.example", to = to, message = message }
  for name, value in pairs(more or {}) do o[name] = value end
  return smtp:send(o)
end

local function body_of(message) return (message:gsub("^.-\n\n", "", 1):gsub("\n", "\r\n")) end

local function by_subject(s, user, n)
  local list = {}
  for _, text in ipairs(s:messages(user, n)) do list[text:match "\nSubject: ([^\n]*)" or ""] = text end
  return list
end

local function login(s, more)
  local o = { port = s.ports.submission, tls = "starttls", ssl = { ca_file = s.ca_file }, user = "user1",
    password = "secret" }
  for name, value in pairs(more or {}) do o[name] = value end
  return o
end

describe("OpenSMTPD", function()
  it("names what it has", function()
    local s, smtp = session()
    if not s then return end
    for _, name in ipairs { "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE", "DSN", "STARTTLS" } do
      assert.is_true(smtp:has(name), name)
    end
    for _, name in ipairs { "CHUNKING", "SMTPUTF8", "PIPELINING" } do assert.is_false(smtp:has(name), name) end
    assert.is_true(smtp:noop())
    assert.is_true(smtp:reset())
    local ok, err = smtp:verify "user1"
    assert.is_nil(ok)
    assert.equal("rejected", err.kind)
    assert.equal(214, assert(smtp:help()).code)
    assert.is_true(smtp:quit())
  end)

  it("takes a message, and its name for it is found", function()
    local s, smtp = session()
    if not s then return end
    local user = s:add_user()
    local receipt = assert(deliver(smtp, { user.address, user.name .. "+detail@example.test" },
      letter("first", "x\r\n")))
    assert.matches("^%x%x%x%x%x%x%x%x$", receipt.queue_id)
    assert.is_truthy(s:log():find("msgid=" .. receipt.queue_id, 1, true))
    assert.equal("x\r\n", body_of(by_subject(s, user, 2).first))
    assert.is_true(smtp:quit())
  end)

  it("says why of each recipient", function()
    local s, smtp = session()
    if not s then return end
    local user = s:add_user()
    local receipt = assert(deliver(smtp, { "nobody@example.test", "tempfail@example.test", "full@example.test",
      "who@elsewhere.example", user.address }, letter("few", "x\r\n")))
    assert.same({ user.address }, receipt.accepted)
    local why = {}
    for address, err in pairs(receipt.rejected) do why[address] = err.code .. " " .. tostring(err.enhanced) end
    assert.same({ ["nobody@example.test"] = "550 nil", ["tempfail@example.test"] = "450 4.2.0",
      ["full@example.test"] = "552 5.2.2", ["who@elsewhere.example"] = "550 nil" }, why)
    local ok, err = deliver(smtp, { "nobody@example.test" }, letter("none", "x\r\n"))
    assert.is_nil(ok)
    assert.same({ "rejected", 550 }, { err.kind, err.code })
    assert.equal("x\r\n", body_of(by_subject(s, user, 1).few))
    assert.is_true(smtp:quit())
  end)

  it("takes many transactions, some of them with recipients that it refuses", function()
    local s, smtp = session()
    if not s then return end
    local user, list = s:add_user(), {}
    for i = 1, 30 do
      list[i] = { from = "ann@elsewhere.example", to = i % 3 == 0 and { "nobody@example.test" } or { user.address },
        message = letter("m" .. i, ".\r\n..\r\n" .. i .. "\r\n") }
    end
    for i, result in ipairs(smtp:send(list)) do
      if i % 3 == 0 then
        assert.is_true(Err.is(result))
      else
        assert.same({ user.address }, result.accepted)
      end
    end
    local got = by_subject(s, user, 20)
    for i = 1, 30 do
      if i % 3 ~= 0 then assert.equal(".\r\n..\r\n" .. i .. "\r\n", body_of(got["m" .. i])) end
    end
    assert.is_true(smtp:quit())
  end)

  it("gets content octet by octet, and never with an end of line of its own", function()
    local s, smtp = session()
    if not s then return end
    local user, n = s:add_user(), 0
    local long = ("x"):rep(998)
    local bodies = { dots = ".\r\n..\r\n.x\r\n\r\n.\r\n", line = "one line\r\n", unended = "no end",
      long = (long .. "\r\n"):rep(300), eight = "\195\188\r\n\255\254\128\r\n", bare = "a\nb\rc\n.\nd\r\n.\re",
      big = ("." .. ("0123456789"):rep(9) .. "\r\n"):rep(50000) }
    local arrived = { unended = "no end\r\n", bare = "a\r\nb\r\nc\r\n.\r\nd\r\n.\r\ne\r\n" }
    for name, body in pairs(bodies) do
      local whole = letter(name .. "-source", body)
      local at = 1
      assert(deliver(smtp, user.address, letter(name, body)))
      assert(deliver(smtp, user.address, function()
        if at > #whole then return nil end
        at = at + 7000
        return whole:sub(at - 7000, at - 1)
      end))
      n = n + 2
    end
    local got = by_subject(s, user, n)
    for name, body in pairs(bodies) do
      assert.is_true((arrived[name] or body) == body_of(got[name]), name)
      assert.is_true((arrived[name] or body) == body_of(got[name .. "-source"]), name)
    end
    assert.is_true(smtp:quit())
  end)

  it("has what is too large refused, and goes on", function()
    local s, smtp = session { size = 20000 }
    if not s then return end
    local text, at = letter("large", (("x"):rep(998) .. "\r\n"):rep(30)), 1
    local ok, err = deliver(smtp, "user1@example.test", text)
    assert.is_nil(ok)
    assert.equal("rejected", err.kind)
    assert.matches("SIZE", err.message)
    ok, err = deliver(smtp, "user1@example.test", function()
      if at > #text then return nil end
      at = at + 4000
      return text:sub(at - 4000, at - 1)
    end)
    assert.is_nil(ok)
    assert.same({ "rejected", 554 }, { err.kind, err.code }, tostring(err))
    assert(deliver(smtp, "user1@example.test", letter("small", "x\r\n")))
    assert.is_true(smtp:quit())
  end)

  it("is never sent names that it cannot read", function()
    local s, smtp = session()
    if not s then return end
    local ok, err = deliver(smtp, "user1@example.test", letter("\195\188", "x\r\n"))
    assert.same({ nil, "unsupported" }, { ok, err.kind })
    ok, err = deliver(smtp, "j\195\182rg@example.test", letter("x", "x\r\n"))
    assert.same({ nil, "unsupported" }, { ok, err.kind })
    assert.is_true(smtp:quit())
  end)

  it("reports to the sender by DSN", function()
    local s, smtp = session()
    if not s then return end
    local from, to = s:add_user(), s:add_user()
    assert(deliver(smtp, { { address = to.address, notify = { "success", "failure" },
      orcpt = "rfc822;b+c@elsewhere.example" } }, letter("reported", "the body\r\n"),
      { from = from.address, dsn = { ret = "hdrs", envid = "a+1=2" } }))
    local report = s:messages(from, 1)[1]
    for _, line in ipairs { "Subject: Delivery status notification: delivered", "Action: delivered",
      "Final-Recipient: rfc822; " .. to.address, "Content-Type: text/rfc822-headers", "Subject: reported" } do
      assert.is_truthy(report:find("\n" .. line .. "\n", 1, true), line .. " is not in " .. report)
    end
    assert.is_nil(report:find("the body", 1, true))
    assert.equal("the body\r\n", body_of(s:messages(to, 1)[1]))
    assert.is_true(smtp:quit())
  end)

  it("lets users in by PLAIN and LOGIN, after STARTTLS and over implicit TLS", function()
    local s = server()
    if not s then return end
    for _, mechanism in ipairs { "PLAIN", "LOGIN" } do
      for _, port in ipairs { "submission", "submissions" } do
        local smtp = assert(connect(s, login(s, { port = s.ports[port], mechanism = mechanism,
          mechanism_floor = "plain", tls = port == "submission" and "starttls" or "implicit" })))
        assert.matches("^TLSv1%.[23]$", smtp.tls.version)
        assert(deliver(smtp, "user1@example.test", letter("x", "x\r\n")))
        assert.is_true(smtp:quit())
      end
    end
    local ok, err = connect(s, login(s, { password = "wrong" }))
    assert.is_nil(ok)
    assert.same({ "auth", 535 }, { err.kind, err.code })
    local smtp = assert(connect(s, login(s, { login = false })))
    ok, err = deliver(smtp, "user1@example.test", letter("x", "x\r\n"))
    assert.is_nil(ok)
    assert.same({ "rejected", 530 }, { err.kind, err.code })
    assert.is_true(smtp:quit())
    smtp = assert(connect(s, login(s, { tls = "none", login = false }))) -- it insists on STARTTLS there
    ok, err = deliver(smtp, "user1@example.test", letter("x", "x\r\n"))
    assert.is_nil(ok)
    assert.same({ "rejected", 530 }, { err.kind, err.code })
    assert.is_true(smtp:quit())
  end)

  it("believes a PROXY header", function()
    local s = server()
    if not s then return end
    local user = s:add_user()
    local smtp = assert(connect(s, { port = s.ports.proxies, proxy_header = { version = 2, source = "192.0.2.33",
      source_port = 4002, destination = "192.0.2.1", destination_port = 25 } }))
    assert(deliver(smtp, user.address, letter("proxied", "x\r\n")))
    assert.is_true(smtp:quit())
    assert.matches("\nReceived: from me%.example %([^\n]*%[192%.0%.2%.33%]%)", s:messages(user, 1)[1])
  end)

  it("serves a pool", function()
    local s = server()
    if not s then return end
    local user, tasks, sent = s:add_user(), {}, 0
    local pool = mail.smtp.pool { host = "localhost", port = s.ports.smtp, tls = "none", size = 4, timeout = 30 }
    for i = 1, 40 do
      tasks[i] = loop.spawn(function()
        if pool:send { from = "ann@elsewhere.example", to = user.address, message = letter("p" .. i, "x\r\n") } then
          sent = sent + 1
        end
      end)
    end
    for i = 1, 40 do tasks[i]:join() end
    pool:close()
    assert.equal(40, sent)
    assert.equal(40, #s:messages(user, 40))
  end)
end)
