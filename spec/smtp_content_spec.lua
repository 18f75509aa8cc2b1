-- Content in chunks where octets leave slowly: what a reply may say before all of a chunk has left. And
-- content through real servers: Exim (CHUNKING), Dovecot's submission (CHUNKING) and LMTP.
local mail = require "mail"
local core = require "mail.core"
local loop = require "mail.loop"
local scripted = require "spec.support.scripted"
local servers = require "spec.servers"
local smtp_peer = require "spec.support.smtp_peer"
local pieces = require "spec.support.files".pieces
local unpack = table.unpack or unpack -- luacheck: ignore

-- A session whose envelope and first chunk are under way: it, and the octets that have left.
local function under_way(message, taken, lmtp)
  local session = core.smtp_session(nil, lmtp and "lmtp" or nil)
  session:feed "220 mx\r\n"
  assert.equal("greeting", (session:next()))
  session:ehlo "me"
  session:output()
  session:feed "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
  assert.equal("done", (session:next()))
  local id = assert(session:transaction({ from = "a@example.com", to = "b@example.org" }, message))
  local out = ""
  while #out < taken do
    session:next()
    out = out .. assert(session:output(taken - #out))
  end
  session:next()
  return session, id, out
end

local function rest(session)
  local parts = {}
  for piece in function() return session:output() end do parts[#parts + 1] = piece end
  return table.concat(parts)
end

describe("a reply to a chunk that has not left whole", function()
  local message = (("x"):rep(998) .. "\r\n"):rep(2000)
  local lent = #"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nBDAT 1048576\r\n"

  it("is believed where it is a refusal: the rest of the chunk leaves, and RSET behind it", function()
    local session, id = under_way(message, lent + 5000)
    session:feed "250 ok\r\n250 ok\r\n552 5.3.4 too big\r\n"
    local kind, who, ok, _, _, reply = session:next()
    assert.same({ "sent", id, false, 552 }, { kind, who, ok, reply.code })
    message = message .. "" -- the session holds it no longer
    collectgarbage()
    assert.equal("wait", (session:next()))
    local left = rest(session)
    assert.equal(1048576 - 5000 + #"RSET\r\n", #left)
    assert.equal("RSET\r\n", left:sub(-6))
    assert.equal(message:sub(5001, 1048576), left:sub(1, -7))
    session:feed "250 reset\r\n"
    assert.equal("wait", (session:next()))
    assert.is_nil(session:failure())
  end)

  it("is no answer where it says yes", function()
    local session = under_way(message, lent + 5000)
    session:feed "250 ok\r\n250 ok\r\n250 taken\r\n"
    assert.equal("fail", (session:next()))
    assert.equal("protocol", (session:failure()))
  end)

  it("is no answer before the command of the chunk", function()
    for _, reply in ipairs { "250 taken\r\n", "552 too big\r\n" } do
      local session = under_way("Subject: x\r\n\r\nx\r\n", lent - #"BDAT 1048576\r\n")
      session:feed("250 ok\r\n250 ok\r\n" .. reply)
      assert.equal("fail", (session:next()))
      assert.equal("protocol", (session:failure()))
    end
  end)

  it("may be 421: the server closes, and is heard", function()
    local session, id = under_way(message, lent + 5000)
    session:feed "250 ok\r\n250 ok\r\n421 4.3.2 going down\r\n"
    local kind, _, ok = session:next()
    assert.same({ "sent", false }, { kind, ok })
    assert.is_false(session:is_unknown(id))
  end)

  it("is unknown only when the last octet of the last chunk has left", function()
    for _, missing in ipairs { 0, 1 } do
      local text = "Subject: x\r\n\r\nx\r\n"
      local whole = lent - #"1048576" + #"17 LAST" + #text
      local session, id = under_way(text, whole - missing)
      session:feed_eof()
      assert.equal("fail", (session:next()))
      assert.equal(missing == 0, session:is_unknown(id))
    end
  end)
end)

describe("content that nobody wants any more", function()
  it("may still be given, once, by whoever was asked for it, while the next message is under way", function()
    local session = core.smtp_session()
    session:feed "220 mx\r\n"
    assert.equal("greeting", (session:next()))
    session:ehlo "me"
    session:output()
    session:feed "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
    assert.equal("done", (session:next()))
    local function begin(to)
      return assert(session:transaction({ from = "a@example.com", to = to }, nil, nil, "Subject: "))
    end
    local first, second = begin "b@example.org", begin "c@example.org"
    rest(session)
    assert.same({ "go", first }, { session:next() })
    session:feed "550 not from you\r\n503 no\r\n" -- while its source is being asked
    assert.same({ "sent", first, false }, { unpack({ session:next() }, 1, 3) })
    assert.same({ "go", second }, { session:next() })
    assert.is_true(session:give(first, "Subject: late\r\n"))
    assert.has_error(function() session:give(first, "more") end, "give: no content is asked for")
    assert.is_true(session:give(second, "Subject: x\r\n"))
    assert.same({ "go", second }, { session:next() })
    assert.is_true(session:give_end(second))
    assert.equal("MAIL FROM:<a@example.com>\r\nRCPT TO:<c@example.org>\r\nBDAT 12 LAST\r\nSubject: x\r\n",
      rest(session):match "MAIL.*$")
  end)
end)

describe("LMTP whose answers break off", function()
  local function outcome(answers)
    local receipt, err
    scripted.run(function(peer)
      peer:send "220 mda\r\n"
      peer:expect "^LHLO"
      peer:send "250-mda\r\n250 PIPELINING\r\n"
      peer:through "DATA\r\n"
      peer:send "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n550 5.1.1 nobody\r\n354 go\r\n"
      peer:through "\r\n.\r\n"
      peer:send(answers)
      peer:close()
    end, function(port)
      local lmtp = assert(mail.smtp.connect { host = "127.0.0.1", port = port, tls = "none", protocol = "lmtp",
        timeout = 10 })
      receipt, err = lmtp:send { from = "a@example.com", message = "Subject: x\r\n\r\nx\r\n",
        to = { "one@example.org", "two@example.org", "three@example.org", "four@example.org" } }
      local _, after = lmtp:noop()
      assert.equal("closed", after.kind)
    end)
    return receipt, err
  end

  local function kinds(rejected)
    local list = {}
    for address, no in pairs(rejected) do list[address:match "^%a+"] = no.kind end
    return list
  end

  it("tells those who have theirs the truth, and of the others that nobody knows", function()
    for _, second in ipairs { "552 5.2.2 full\r\n", "421 4.3.2 going down\r\n" } do
      local receipt = assert(outcome("250 2.0.0 taken\r\n" .. second))
      assert.same({ "one@example.org" }, receipt.accepted)
      assert.same({ two = "rejected", three = "unknown", four = "rejected" }, kinds(receipt.rejected))
      assert.equal(550, receipt.rejected["four@example.org"].code)
    end
  end)

  it("is unknown where nobody was told yes", function()
    local receipt, err = outcome "552 5.2.2 full\r\n"
    assert.is_nil(receipt)
    assert.same({ "unknown", true }, { err.kind, err.temporary })
    assert.same({ one = "rejected", four = "rejected" }, kinds(err.rejected))
  end)
end)

describe("a server that closes in the middle of chunks", function()
  it("after a refusal is a refusal to the caller, else closed or unknown", function()
    local text = (("x"):rep(998) .. "\r\n"):rep(3000)
    for kind, answer in pairs {
      rejected = function(line) return line:find("^BDAT") and "552 5.3.4 too big" or nil end,
      closed = function(line) return line:find("^BDAT %d+$") and "close" or nil end,
      unknown = function(line) return line:find("LAST$") and "close" or nil end,
    } do
      local peer = smtp_peer.new { "PIPELINING", "CHUNKING", answer = answer }
      local receipt, err = smtp_peer.run(peer, function(port)
        local smtp = assert(mail.smtp.connect { host = "127.0.0.1", port = port, tls = "none", timeout = 10 })
        local receipt, err = smtp:send { from = "a@example.com", to = "b@example.org", message = text }
        smtp:close()
        return receipt, err
      end)
      assert.is_nil(receipt)
      assert.equal(kind, err.kind, tostring(err))
      if kind == "rejected" then assert.same({ 552, "5.3.4" }, { err.code, err.enhanced }) end
    end
  end)
end)

-- --- real servers ---------------------------------------------------------------------------------------

local function letter(subject, body)
  return "From: ann@example.test\r\nSubject: " .. subject .. "\r\n\r\n" .. body
end

-- The n-th message of a user of Dovecot, once it is there.
local function by_pop3(s, user, n)
  local list
  for _ = 1, 500 do
    local pop = assert(mail.pop3.connect { host = "localhost", port = s.ports.pop3s, user = user.name,
      password = user.password, ssl = { ca_file = s.ca_file } })
    list = {}
    if assert(pop:stat()).count >= n then list[1] = assert(pop:retr(n)) end
    pop:quit()
    if list[1] then break end
    loop.sleep(0.02)
  end
  return list
end

-- The stored message that has this subject, from there on, in LF.
local function stored(s, user, n, subject)
  for _, text in ipairs(user.maildir and s:messages(user, n) or by_pop3(s, user, n)) do
    if text:sub(1, 4096):find("\nSubject: " .. subject .. "\r?\n") then
      return (text:gsub("\r\n", "\n"):match("\n(Subject: " .. subject .. "\n.*)$"))
    end
  end
end

local BODIES = {
  empty = "", dots = ".\r\n..\r\n.\r\n", bare = "a\nb\rc\r\n", unended = "the end", eight = "Grüße\r\n",
  long = (("."):rep(70) .. "\r\n"):rep(20000),
  mixed = (("y"):rep(70) .. "\n"):rep(1000) .. (("z"):rep(70) .. "\r\n"):rep(16000),
}

local function wanted(subject, body)
  local text = body:gsub("\r\n", "\n"):gsub("\r", "\n")
  if text ~= "" and text:sub(-1) ~= "\n" then text = text .. "\n" end
  return "Subject: " .. subject .. "\n\n" .. text
end

local function need(s, why)
  if not s then pending(why) end
  return s
end

describe("content in chunks", function()
  -- All bodies, lent and streamed, arrive at `s`, spoken to with these options.
  local function all_arrive(s, options)
    local user = s:add_user()
    local lines = {}
    options.log = function(direction, line) lines[#lines + 1] = direction .. line end
    local smtp = assert(mail.smtp.connect(options))
    local count = 0
    for name, body in pairs(BODIES) do
      for _, streamed in ipairs { false, true } do
        local subject = name .. (streamed and "streamed" or "lent")
        local text = letter(subject, body)
        local receipt = assert(smtp:send { from = "ann@example.test", to = user.address,
          message = streamed and pieces(text, 1 + math.floor(#text / 7)) or text })
        assert.same({ user.address }, receipt.accepted)
        count = count + 1
        assert.is_true(wanted(subject, body) == stored(s, user, count, subject), subject)
      end
    end
    smtp:quit()
    return table.concat(lines, "\n")
  end

  it("arrives as it was sent, at Exim with and without PIPELINING", function()
    for _, without in ipairs { "prdr", "prdr pipelining" } do
      local s = need(servers.exim { users = 1, without = without })
      if not s then return end
      local log = all_arrive(s, { host = "localhost", port = s.ports.smtp, tls = "none", timeout = 30 })
      assert.matches("CBDAT %d+ LAST", log)
      assert.is_nil(log:find("CDATA", 1, true))
    end
  end)

  it("switched off goes by DATA", function()
    local s = need(servers.exim { users = 1, without = "prdr" })
    if not s then return end
    local log = all_arrive(s, { host = "localhost", port = s.ports.smtp, tls = "none", timeout = 30, chunking = false })
    assert.is_nil(log:find("CBDAT", 1, true))
  end)

  it("arrives over TLS", function()
    local s = need(servers.exim { users = 1, without = "prdr" })
    if not s then return end
    local log = all_arrive(s, { host = "localhost", port = s.ports.smtp, tls = "starttls", timeout = 30,
      ssl = { ca_file = s.ca_file } })
    assert.matches("CBDAT", log)
  end)

  it("arrives through Dovecot's submission", function()
    local s = need(servers.mail { users = 2 })
    if not s then return end
    local log = all_arrive(s, { host = "localhost", port = s.ports.submissions, user = s.user, password = s.password,
      ssl = { ca_file = s.ca_file }, timeout = 30 })
    assert.matches("CBDAT", log)
  end)

  it("that is too large is refused, and the session goes on", function()
    local s = need(servers.exim { users = 1, size = "1M", without = "prdr" })
    if not s then return end
    local user = s:add_user()
    local smtp = assert(mail.smtp.connect { host = "localhost", port = s.ports.smtp, tls = "none", timeout = 30 })
    local text = letter("large", (("x"):rep(70) .. "\r\n"):rep(40000))
    local none, err = smtp:send { from = "ann@example.test", to = user.address, message = pieces(text, 65536) }
    assert.is_nil(none)
    assert.equal("rejected", err.kind, tostring(err))
    assert.is_true(err.code >= 500)
    if not smtp:noop() then -- Exim closes after this
      smtp = assert(mail.smtp.connect { host = "localhost", port = s.ports.smtp, tls = "none", timeout = 30 })
    end
    assert(smtp:send { from = "ann@example.test", to = user.address, message = letter("small", "x\r\n") })
    smtp:quit()
  end)

  it("for nobody is for nobody: some and all recipients refused by Exim", function()
    local s = need(servers.exim { users = 1, without = "prdr" })
    if not s then return end
    local user = s:add_user()
    local smtp = assert(mail.smtp.connect { host = "localhost", port = s.ports.smtp, tls = "none", timeout = 30 })
    for _, body in ipairs { "x\r\n", BODIES.long } do
      local none, err = smtp:send { from = "ann@example.test", to = { "nosuchuser@example.test" },
        message = letter("none", body) }
      assert.is_nil(none)
      assert.same({ "rejected", 550, "RCPT" }, { err.kind, err.code, err.command })
      local receipt = assert(smtp:send { from = "ann@example.test", to = { "full@example.test", user.address },
        message = letter("some", body) })
      assert.equal(552, receipt.rejected["full@example.test"].code)
      assert.same({ user.address }, receipt.accepted)
    end
    assert.equal(2, #s:messages(user, 2))
    smtp:quit()
  end)
end)

describe("LMTP with Dovecot", function()
  local function lmtp(s, more)
    local o = { host = "localhost", port = s.ports.lmtp, protocol = "lmtp", timeout = 20 }
    for name, value in pairs(more or {}) do o[name] = value end
    return mail.smtp.connect(o)
  end

  it("delivers, and tells of each recipient", function()
    local s = need(servers.dovecot { users = 2 })
    if not s then return end
    local one, two = s:add_user(), s:add_user()
    for _, chunking in ipairs { true, false } do
      local session = assert(lmtp(s, { chunking = chunking }))
      local receipt = assert(session:send { from = "ann@example.test",
        to = { one.address, "nosuchuser@example.test", two.address }, message = letter("lmtp", "hello\r\n") })
      assert.same({ one.address, two.address }, receipt.accepted)
      assert.equal(550, receipt.rejected["nosuchuser@example.test"].code)
      assert.is_true(session:noop())
      session:quit()
    end
    local box = assert(mail.imap.connect { host = "localhost", port = s.ports.imap, tls = "none", user = one.name,
      password = one.password, allow_plaintext_login = true })
    assert.equal(2, assert(box:select "INBOX").exists)
    box:close()
  end)

  it("is refused at a server of SMTP, which knows no LHLO", function()
    local s = need(servers.exim { users = 1, without = "prdr" })
    if not s then return end
    local none, err = lmtp({ ports = { lmtp = s.ports.smtp } }, { tls = "none" })
    assert.is_nil(none)
    assert.same({ "rejected", "LHLO" }, { err.kind, err.command })
  end)

  it("has port 24, TLS where it is offered, and URLs", function()
    local o = require "mail.connect".options({ host = "x", protocol = "lmtp" }, "smtp", { protocol = "string?" })
    assert.same({ 24, "opportunistic" }, { o.port, o.tls })
    o = require "mail.connect".options("lmtp://mda.example", "smtp", { protocol = "string?" })
    assert.same({ 24, "opportunistic", "lmtp" }, { o.port, o.tls, o.protocol })
    assert.has_error(function() mail.smtp.connect { host = "x", protocol = "uucp" } end)
  end)
end)
