-- SMTP against servers that misbehave, in every phase: `nil, err` of the right kind, in time, and
-- nothing left behind. The servers are scripts (spec/support/scripted.lua).
local mail = require "mail"
local core = require "mail.core"
local Err = require "mail.err"
local loop = require "mail.loop"
local descriptors = require "spec.support.descriptors"
local scripted = require "spec.support.scripted"
local smtp_peer = require "spec.support.smtp_peer"

-- Long enough for a busy machine, short enough to wait for: only mute servers make anyone wait.
local TIMEOUT = 0.15

local function options(port, more)
  local o = { host = "127.0.0.1", port = port, tls = "none", timeout = 10, helo = "me.example" }
  for name, value in pairs(more or {}) do o[name] = value end
  return o
end

local MESSAGE = { from = "ann@example.com", to = "bob@example.org", message = "Subject: x\r\n\r\nhello\r\n" }

local function message(more)
  local o = {}
  for name, value in pairs(MESSAGE) do o[name] = value end
  for name, value in pairs(more or {}) do o[name] = value end
  return o
end

-- A server that behaves until `phase`, where `act(peer)` takes over. Phases: greeting, ehlo, auth,
-- noop, mail, rcpt, data, dot, quit.
local ANSWERS = {
  greeting = "220 mx\r\n", auth = "235 ok\r\n", noop = "250 ok\r\n", mail = "250 ok\r\n", rcpt = "250 ok\r\n",
  data = "354 go\r\n", dot = "250 2.0.0 queued as 4F1\r\n", quit = "221 bye\r\n", rset = "250 ok\r\n",
}
local PHASES = { EHLO = "ehlo", AUTH = "auth", NOOP = "noop", MAIL = "mail", RCPT = "rcpt", DATA = "data",
  QUIT = "quit",  RSET = "rset" }

local function server(phase, act, pipelining)
  local ehlo = "250-mx\r\n250-AUTH PLAIN LOGIN XOAUTH2\r\n"
    .. (pipelining and "250-PIPELINING\r\n" or "") .. "250 SIZE\r\n"
  return function(peer)
    if phase == "greeting" then return act(peer) end
    peer:send(ANSWERS.greeting)
    while true do
      local line = peer:line()
      if not line then return end
      local now = PHASES[line:match("^%a+")]
      if now == phase then return act(peer, line) end
      peer:send(now == "ehlo" and ehlo or ANSWERS[now])
      if now == "data" then
        peer.input = "\r\n" .. peer.input -- an empty message is the dot alone
        if not peer:through("\r\n.\r\n") then return end
        if phase == "dot" then return act(peer) end
        peer:send(ANSWERS.dot)
      elseif now == "quit" then
        return
      end
    end
  end
end

-- A login over plaintext, by this mechanism or by the best that is offered.
local function login(mechanism)
  return { user = "ann", password = "secret", allow_plaintext_login = true, mechanism = mechanism }
end

-- Connects, with a login where that is the phase.
local function connect(port, phase, more)
  local o = options(port, more)
  for name, value in pairs(phase == "auth" and login() or {}) do o[name] = value end
  return mail.smtp.connect(o)
end

-- The call of a session that meets `phase`.
local function call(smtp, phase)
  if phase == "noop" then return smtp:noop() end
  if phase == "quit" then return smtp:quit() end
  return smtp:send(message())
end

-- A session that failed stays closed, and says so.
local function stays_closed(smtp)
  local again, closed = smtp:noop()
  assert.is_nil(again)
  assert.equal("closed", closed.kind)
end

-- What connecting to such a server comes to: an error of this kind.
local function refused(kind, act, more)
  local ok, err = scripted.run(act, function(port) return mail.smtp.connect(options(port, more)) end)
  assert.is_nil(ok)
  assert.equal(kind, err.kind)
  return err
end

-- Connects and does everything up to `phase`: what the call that meets it returns.
local function client(port, phase, more)
  local smtp, err = connect(port, phase, more)
  if phase == "greeting" or phase == "ehlo" or phase == "auth" then
    assert.is_nil(smtp)
    return smtp, err
  end
  assert(smtp, tostring(err))
  local ok
  ok, err = call(smtp, phase)
  if phase ~= "quit" and not (phase == "noop" and err.kind == "timeout") then
    stays_closed(smtp)
    assert.matches("closed", tostring(smtp))
  end
  smtp:close()
  return ok, err
end

local ALL = { "greeting", "ehlo", "auth", "noop", "mail", "rcpt", "data", "dot", "quit" }

local function each(act, kinds, more)
  for _, pipelining in ipairs { false, true } do
    for _, phase in ipairs(ALL) do
      local kind = kinds[phase] or kinds[1]
      local began = loop.now()
      local ok, err = scripted.run(server(phase, act, pipelining), function(port) return client(port, phase, more) end)
      local where = phase .. (pipelining and " (pipelining)" or "")
      if kind == true then
        assert.is_true(ok, where)
      else
        assert.is_nil(ok, where)
        assert.is_true(Err.is(err), where)
        assert.equal(kind, err.kind, where .. ": " .. tostring(err))
        assert.equal("smtp", err.protocol)
        assert.is_nil(tostring(err):find("secret", 1, true))
      end
      assert.is_true(loop.now() - began < 8, where)
    end
  end
end

describe("a server that", function()
  it("says nothing is given up in time; after the dot the outcome is unknown", function()
    each(function(peer) peer:rest() end, { "timeout", dot = "unknown" }, { timeout = TIMEOUT })
  end)

  it("drips is given up in time: the deadline bounds the whole answer", function()
    each(function(peer) peer:drip("250-" .. ("x"):rep(2000), 0.02) end, { "timeout", dot = "unknown" },
      { timeout = TIMEOUT })
  end)

  it("closes is closed; after the dot the outcome is unknown, after QUIT all is well", function()
    each(function(peer) peer:close() end, { "closed", dot = "unknown", quit = true })
  end)

  it("closes in the middle of a reply is closed too", function()
    each(function(peer)
      peer:send("250-half\r\n25")
      peer:close()
    end, { "closed", dot = "unknown", quit = true })
  end)

  it("floods with lines passes a limit", function()
    each(function(peer)
      for _ = 1, 200 do
        if not peer:send(("250-more and more and more\r\n"):rep(100)) then return end
      end
      peer:rest()
    end, { "limit", dot = "unknown", data = "limit" })
  end)

  it("floods with a line that never ends passes a limit", function()
    each(function(peer)
      for _ = 1, 100 do
        if not peer:send(("x"):rep(10000)) then return end
      end
      peer:rest()
    end, { "limit", dot = "unknown" })
  end)

  it("sends rubbish breaks the protocol", function()
    each(function(peer)
      peer:send("\0\255 what? \r\n")
      peer:rest()
    end, { "protocol", dot = "unknown" })
  end)

  it("resets the connection is closed", function()
    for _, phase in ipairs { "ehlo", "noop", "mail", "rcpt", "data" } do
      local ok, err = scripted.run(function(peer)
        if phase == "ehlo" then
          peer:send(ANSWERS.greeting)
          return peer:reset()
        end
        peer:send(ANSWERS.greeting)
        peer:expect "^EHLO"
        peer:send("250 mx\r\n")
        for _, now in ipairs { "mail", "rcpt", "data" } do
          if phase == "noop" or phase == now then return peer:reset() end
          peer:line()
          peer:send(ANSWERS[now])
        end
      end, function(port) return client(port, phase) end)
      assert.is_nil(ok)
      assert.equal("closed", err.kind, phase)
      assert.is_true(err.temporary)
    end
  end)

  it("says 421 anywhere is heard", function()
    local kinds = { greeting = "rejected", ehlo = "rejected", auth = "auth", noop = "rejected", quit = "rejected" }
    for _, pipelining in ipairs { false, true } do
      for _, phase in ipairs(ALL) do
        local ok, err = scripted.run(server(phase, function(peer)
          peer:send("421 4.3.2 going down\r\n")
          peer:close()
        end, pipelining), function(port)
          local smtp, why = connect(port, phase)
          if not smtp then return smtp, why end
          return call(smtp, phase)
        end)
        assert.is_nil(ok, phase)
        assert.is_true(err.temporary, phase .. ": " .. tostring(err))
        assert.matches("going down", tostring(err))
        if kinds[phase] then assert.equal(kinds[phase], err.kind, phase) end
        if phase == "dot" then assert.equal("rejected", err.kind) end
      end
    end
  end)

  it("answers ahead of time is not believed", function()
    local ok, err = scripted.run(function(peer)
      peer:send(ANSWERS.greeting)
      peer:expect "^EHLO"
      peer:send("250 mx\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n")
      peer:rest()
    end, function(port)
      local smtp = assert(mail.smtp.connect(options(port)))
      return smtp:send(message())
    end)
    assert.is_nil(ok)
    assert.equal("protocol", err.kind)
  end)

  -- In one piece with what was asked for; a transcript, which is also played octet by octet, cannot say that.
  it("answers what it was not asked yet, in one piece with what it was, is not believed", function()
    local all = "250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n"
    for _, case in ipairs {
      { "smtp", "250 mx\r\n", all }, -- RCPT was never asked
      { "smtp", "250 mx\r\n", "250 ok\r\n", "250 ok\r\n354 go\r\n250 queued\r\n" },
      { "smtp", "250 mx\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n250 queued\r\n" }, -- the dot has not left
      { "smtp", "250-mx\r\n250 PIPELINING\r\n", all },
      { "smtp", "250-mx\r\n250 PIPELINING\r\n", "250 ok\r\n250 ok\r\n", "354 go\r\n250 queued\r\n" },
      { "smtp", "250-mx\r\n250 CHUNKING\r\n", "250 ok\r\n250 ok\r\n250 queued\r\n" },
      { "smtp", "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n", "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n" },
      { "lmtp", "250-mx\r\n250 PIPELINING\r\n", all },
    } do
      local session, kinds = core.smtp_session(nil, case[1]), {}
      local function feed(text)
        if text then session:feed(text) end
        repeat
          local kind, _, ok = session:next()
          if kind == "sent" then kinds[#kinds + 1] = tostring(ok) end
          local out = session:output()
        until kind == "fail" or kind == "wait" and not out
      end
      feed "220 mx\r\n"
      session:ehlo "me"
      feed()
      feed(case[2])
      session:transaction({ from = "a@b.example", to = "c@d.example" }, "hi\r\n")
      feed()
      for i = 3, #case do feed(case[i]) end
      assert.equal("protocol", (session:failure()))
      -- One answer more than was due is too much, but those that were due were answers.
      assert.same(case[2]:find "PIPELINING\r\n250 CHUNKING" and { "true" } or {}, kinds)
    end
  end)

  it("says that it closes, and goes on saying so, is taken by its word", function()
    local text = ("x"):rep(70):rep(400000, "\r\n")
    local ok, err = scripted.run(server("data", function(peer)
      peer:send "354 go\r\n"
      repeat until not peer:send(("421 bye\r\n"):rep(5000)) -- and reads nothing
    end), function(port)
      local smtp = assert(mail.smtp.connect(options(port, { timeout = 5 })))
      local ok, err = smtp:send(message { message = text })
      smtp:close()
      return ok, err
    end)
    assert.is_nil(ok)
    assert.equal("closed", err.kind)
    assert.matches("421 bye", err.message)
  end)

  it("has many words for many recipients is of kind limit", function()
    local no, to = ("550-" .. ("x"):rep(8000) .. "\r\n"):rep(900) .. "550 end\r\n", {}
    for i = 1, 20 do to[i] = ("u%d@example.org"):format(i) end
    local ok, err = scripted.run(server("rcpt", function(peer)
      repeat until not peer:send(no) or not peer:line()
    end, true), function(port)
      local smtp = assert(mail.smtp.connect(options(port)))
      local ok, err = smtp:send(message { to = to })
      smtp:close()
      return ok, err
    end)
    assert.is_nil(ok)
    assert.equal("limit", err.kind)
    assert.matches("refusals", err.message)
  end)

  it("asks for challenges without end is cut off, with kind limit", function()
    local ok, err = scripted.run(server("auth", function(peer)
      repeat until not peer:send("334 VXNlcm5hbWU6\r\n") or not peer:line()
    end), function(port)
      return mail.smtp.connect(options(port, login "LOGIN"))
    end)
    assert.is_nil(ok)
    assert.truthy(({ limit = true, auth = true })[err.kind])
  end)

  it("sends a challenge that is no base64 gets a star, and the login fails", function()
    local answer
    refused("auth", server("auth", function(peer)
      peer:send("334 ???\r\n")
      answer = peer:line()
      peer:send("501 5.5.2 cancelled\r\n")
      peer:rest()
    end), login "PLAIN")
    assert.equal("*", answer)
  end)

  it("echoes the password does not get it into the error", function()
    local err = refused("auth", server("auth", function(peer)
      peer:send("535 bad credentials AGFubgBzZWNyZXQ= secret\r\n")
      peer:rest()
    end), login "PLAIN")
    for _, text in ipairs { tostring(err), err.text, err.message } do
      assert.is_nil(text:find("secret", 1, true))
      assert.is_nil(text:find("AGFubgBzZWNyZXQ", 1, true))
    end
  end)

  it("echoes a token cut off, or over lines, does not get parts of it into the error, nor into the log", function()
    local token, words = ("ya29.AbCdEf0123456789"):rep(40), {}
    for _, echo in ipairs {
      function(line) return line:sub(1, 100) end, function(line) return line:sub(-60) end,
      function(line) return line:gsub(("."):rep(70), "%0\r\n535-") end,
      function(line) return "\27[2Jwhat\rwas " .. line:sub(1, 200) end,
    } do
      local err = refused("auth", server("auth", function(peer, line)
        peer:send(("535-no\r\n535-%s\r\n535 no\r\n"):format((echo(line))))
        peer:rest()
      end), { user = "ann", token = token, mechanism = "XOAUTH2", allow_plaintext_login = true,
        log = function(_, line) words[#words + 1] = line end })
      for _, text in ipairs { tostring(err), err.text, err.message } do words[#words + 1] = text end
      assert.is_nil(tostring(err):find("[%z\1-\31\127]")) -- one line that a terminal can show
    end
    local base64 = core.base64("user=ann\1auth=Bearer " .. token .. "\1\1")
    for _, text in ipairs(words) do
      for at = 1, #base64 - 40 do assert.is_nil(text:find(base64:sub(at, at + 39), 1, true), text) end
    end
  end)

  it("falls back to HELO is spoken to as it can", function()
    local receipt = scripted.run(function(peer)
      peer:send "220 old\r\n"
      peer:expect "^EHLO me.example$"
      peer:send "502 what?\r\n"
      peer:expect "^HELO me.example$"
      peer:send "250 old\r\n"
      peer:expect "^MAIL FROM:<ann@example.com>$"
      peer:send "250 ok\r\n"
      peer:expect "^RCPT TO:<bob@example.org>$"
      peer:send "250 ok\r\n"
      peer:expect "^DATA$"
      peer:send "354 go\r\n"
      assert.equal("Subject: x\r\n\r\nhello\r\n.\r\n", peer:through("\r\n.\r\n"))
      peer:send "250 ok\r\n"
      peer:rest()
    end, function(port)
      local smtp = assert(mail.smtp.connect(options(port)))
      assert.same({}, smtp.capabilities)
      local receipt = assert(smtp:send(message()))
      smtp:close()
      return receipt
    end)
    assert.same({ accepted = { "bob@example.org" }, rejected = {}, text = "ok" }, receipt)
  end)

  it("injects answers behind STARTTLS is cut off before the handshake", function()
    for _, text in ipairs { "220 go\r\n250-mx\r\n250 AUTH PLAIN\r\n", "220 go\r\n2", "220 go\r\n\22\3\1" } do
      local after
      refused("protocol", function(peer)
        peer:send "220 mx\r\n"
        peer:expect "^EHLO"
        peer:send "250-mx\r\n250 STARTTLS\r\n"
        peer:expect "^STARTTLS$"
        peer:send(text)
        after = peer:rest()
      end, { tls = "starttls", user = "ann", password = "secret" })
      assert.equal("", after)
    end
  end)

  it("has no STARTTLS, or refuses it, gets neither a password nor a message", function()
    for _, answer in ipairs { false, "454 4.7.0 not now\r\n", "250 fine\r\n", "501 no\r\n" } do
      local after
      refused("tls", function(peer)
        peer:send "220 mx\r\n"
        peer:expect "^EHLO"
        peer:send("250-mx\r\n" .. (answer and "250-STARTTLS\r\n" or "") .. "250 AUTH PLAIN\r\n")
        if answer then
          peer:expect "^STARTTLS$"
          peer:send(answer)
        end
        after = peer:rest()
      end, { tls = "starttls", user = "ann", password = "secret" })
      assert.equal("", after)
    end
  end)

  it("speaks no TLS where TLS is expected fails with kind tls", function()
    for _, text in ipairs { "220 mx ESMTP\r\n", "HTTP/1.0 400 no\r\n\r\n" } do
      refused("tls", function(peer)
        peer:send(text)
        peer:rest()
      end, { tls = "implicit" })
    end
  end)

  it("never shakes hands is given up in time", function()
    for _, act in ipairs { function(peer) peer:rest() end, function(peer) peer:close() end } do
      local began = loop.now()
      local ok, err = scripted.run(act, function(port)
        return mail.smtp.connect(options(port, { tls = "implicit", timeout = TIMEOUT }))
      end)
      assert.is_nil(ok)
      assert.truthy(({ timeout = true, closed = true, tls = true })[err.kind], tostring(err))
      assert.is_true(loop.now() - began < 8)
    end
  end)
end)

describe("a message", function()
  -- Everything that reached the server after DATA.
  local function received(run, more)
    local text
    local ok, err = scripted.run(server("data", function(peer)
      peer:send "354 go\r\n"
      text = peer:rest()
    end), function(port)
      local smtp = assert(mail.smtp.connect(options(port, more)))
      local ok, err = run(smtp)
      stays_closed(smtp)
      return ok, err
    end)
    return text, ok, err
  end

  it("whose source fails halfway is never ended by a dot", function()
    local step = 0
    local text, ok, err = received(function(smtp)
      return smtp:send(message { message = function()
        step = step + 1
        if step == 1 then return "half a message\r\n" end
        return nil, "disk on fire"
      end })
    end)
    assert.is_nil(ok)
    assert.equal("io", err.kind)
    assert.matches("disk on fire", err.message)
    assert.is_nil(text:find("\r\n.\r\n", 1, true))
  end)

  it("whose source raises halfway raises that error, and no dot is sent", function()
    -- On the main thread, where PUC Lua 5.1 can wait inside pcall too.
    local text
    local s = scripted.serve(server("data", function(peer)
      peer:send "354 go\r\n"
      text = peer:rest()
    end))
    local smtp = assert(mail.smtp.connect(options(s.port)))
    local step = 0
    local ok, err = pcall(smtp.send, smtp, message { message = function()
      step = step + 1
      if step == 1 then return "half a message\r\n" end
      error("bug in the source", 0)
    end })
    assert.is_false(ok)
    assert.equal("bug in the source", err)
    while loop.step() > 0 do end -- luacheck: ignore
    assert.is_nil(text:find(".\r\n", 1, true))
    stays_closed(smtp)
  end)

  it("whose file cannot be read is of kind io, before any command", function()
    local folder = io.open("/", "rb") -- a folder opens, and cannot be read
    if not folder then return end
    local ok, err = scripted.run(server("mail", function() error("MAIL was said", 0) end), function(port)
      local smtp = assert(mail.smtp.connect(options(port)))
      local ok, err = smtp:send(message { message = folder })
      assert.is_true(smtp:noop())
      smtp:close()
      return ok, err
    end)
    folder:close()
    assert.is_nil(ok)
    assert.equal("io", err.kind)
  end)

  it("from a source that gives nothing, and no end, is given up", function()
    scripted.run(server("never"), function(port)
      local smtp = assert(mail.smtp.connect(options(port)))
      local receipt, err = smtp:send(message { message = function() return "" end })
      assert.is_nil(receipt)
      assert.equal("io", err.kind)
      assert.matches("empty pieces without end", err.message)
      local calls = 0
      assert(smtp:send(message { message = function() -- one that gathers is not meant
        calls = calls + 1
        return calls < 5000 and "" or calls == 5000 and "Subject: x\r\n\r\nhello\r\n" or nil
      end }))
      smtp:quit()
    end)
  end)

  it("from a source that has ended is not asked for again", function()
    local calls = 0
    local receipt = scripted.run(server("never"), function(port)
      local smtp = assert(mail.smtp.connect(options(port)))
      local receipt = assert(smtp:send(message { message = function()
        calls = calls + 1
        if calls == 1 then return nil end
        error("asked again", 0)
      end }))
      smtp:quit()
      return receipt
    end)
    assert.equal(1, calls)
    assert.equal("4F1", receipt.queue_id)
  end)

  it("may come from a source that waits", function()
    local chunks = { "Subject: slow\r\n\r\n", "one\r\n", "two\r\n" }
    local receipt = scripted.run(server("never"), function(port)
      local smtp = assert(mail.smtp.connect(options(port)))
      local receipt = assert(smtp:send(message { message = function()
        loop.sleep(0.002)
        return table.remove(chunks, 1)
      end }))
      smtp:quit()
      return receipt
    end)
    assert.same({ "bob@example.org" }, receipt.accepted)
  end)

  it("that moves on slowly is not given up: only the gaps are bounded", function()
    -- The reader takes a quarter of a MiB in less than the deadline, the whole in several of them.
    local wanted = ("x"):rep(998) .. "\r\n"
    local size = 0
    for _, streamed in ipairs { false, true } do
      local text = wanted:rep(12000)
      local at = 0
      local receipt, err = scripted.run(server("data", function(peer)
        peer:send "354 go\r\n"
        size = 0
        local began = loop.now()
        while size < #text + 3 do
          local bytes = peer:some()
          if not bytes then return end
          size = size + #bytes
          local early = began + math.min(size, 7000000) / 2800000 - loop.now() -- no slower on a busy machine
          if early > 0 then loop.sleep(early) end
        end
        peer:send "250 ok\r\n"
        peer:rest()
      end), function(port)
        local smtp = assert(mail.smtp.connect(options(port, { timeout = { connect = 10, answer = 0.9, data = 0.9 } })))
        local source = function()
          if at >= #text then return nil end
          at = at + 50000
          return text:sub(at - 49999, at)
        end
        local receipt, err = smtp:send(message { message = streamed and source or text })
        smtp:close()
        return receipt, err
      end)
      assert.is_table(receipt, tostring(err))
      assert.equal(#text + 3, size)
    end
  end)

  it("that the server stops reading is given up, and is not unknown", function()
    local ok, err = scripted.run(server("data", function(peer)
      peer:send "354 go\r\n"
      loop.sleep(TIMEOUT * 4)
      peer:rest()
    end), function(port)
      local smtp = assert(mail.smtp.connect(options(port, { timeout = TIMEOUT })))
      return smtp:send(message { message = ("x"):rep(30000000) })
    end)
    assert.is_nil(ok)
    assert.equal("timeout", err.kind)
  end)

  it("refused by all is an error that tells of each; one taken by some is a receipt", function()
    local step = 0
    local function refusing(pipelining)
      return server("rcpt", function(peer)
        repeat
          step = step + 1
          peer:send("550 5.1.1 nobody " .. step .. "\r\n")
          local line = peer:line()
        until not line or not line:find("^RCPT")
        peer:send(pipelining and "503 5.5.1 no recipients\r\n" or "250 reset\r\n")
        if pipelining then
          peer:expect "^RSET"
          peer:send "250 reset\r\n"
        end
        peer:expect "^NOOP"
        peer:send "250 ok\r\n"
      end, pipelining)
    end
    for _, pipelining in ipairs { false, true } do
      step = 0
      local ok, err = scripted.run(refusing(pipelining), function(port)
        local smtp = assert(mail.smtp.connect(options(port)))
        local ok, err = smtp:send(message { to = { "b@example.org", "c@example.org" } })
        assert.is_true(smtp:noop())
        smtp:close()
        return ok, err
      end)
      assert.is_nil(ok)
      assert.same({ "rejected", 550, "RCPT", "5.1.1" }, { err.kind, err.code, err.command, err.enhanced })
      assert.equal("5.1.1 nobody 1", err.rejected["b@example.org"].text)
      assert.equal("5.1.1 nobody 2", err.rejected["c@example.org"].text)
    end
  end)

  it("of the sender is told of each recipient, whether they were asked for or not", function()
    for _, pipelining in ipairs { false, true } do
      local ok, err = scripted.run(server("mail", function(peer)
        peer:send "451 4.3.0 later\r\n"
        if pipelining then peer:send "503 5.5.1 MAIL first\r\n550 5.1.1 nobody\r\n503 5.5.1 no recipients\r\n" end
        peer:rest()
      end, pipelining), function(port)
        local smtp = assert(mail.smtp.connect(options(port)))
        local ok, err = smtp:send(message { to = { "b@example.org", "c@example.org" } })
        smtp:close()
        return ok, err
      end)
      assert.is_nil(ok)
      assert.same({ "rejected", 451, "MAIL", true }, { err.kind, err.code, err.command, err.temporary })
      local no = err.rejected["b@example.org"]
      assert.same({ "rejected", 451, "4.3.0", "MAIL", true, "4.3.0 later" },
        { no.kind, no.code, no.enhanced, no.command, no.temporary, no.text })
      no = err.rejected["c@example.org"]
      assert.same(pipelining and { 550, "RCPT", false } or { 451, "MAIL", true }, { no.code, no.command, no.temporary })
    end
  end)
end)

-- A source that gives the text once.
local function pieces(text)
  return function()
    local piece = text
    text = nil
    return piece
  end
end

describe("a message that is refused", function()
  it("names the recipients who were refused before it, however it was given", function()
    local text = "From: ann@example.com\r\nTo: b@example.org, c@example.org\r\n\r\nhello\r\n"
    for _, phase in ipairs { "DATA", "the dot" } do
      local peer = smtp_peer.new { "PIPELINING", answer = function(line)
        return line:find("c@", 1, true) and "550 5.1.1 no c" or line == "DATA" and "554 5.6.0 no" or nil
      end }
      local serve = phase == "DATA" and smtp_peer.serve(peer) or server("dot", function(link)
        link:send "554 5.6.0 no\r\n"
        link:rest()
      end)
      local function given(how)
        local ok, err = scripted.run(serve, function(port)
          local smtp = assert(mail.smtp.connect(options(port)))
          local ok, err = smtp:send(how)
          smtp:close()
          return ok, err
        end)
        assert.is_nil(ok)
        assert.same({ "rejected", "DATA", 554 }, { err.kind, err.command, err.code })
        local codes = {}
        for address, no in pairs(err.rejected) do codes[address] = no.code end
        assert.same(phase == "DATA" and { ["c@example.org"] = 550 } or {}, codes)
      end
      local to = { "b@example.org", "c@example.org" }
      given { message = text }
      given { from = "ann@example.com", to = to, message = text }
      given { from = "ann@example.com", to = to, message = text, timeout = { answer = 9 } }
      given { from = "ann@example.com", to = to, message = pieces(text) }
    end
  end)
end)

describe("an array of messages", function()
  it("with misuse in it raises before any is sent, or once those that were queued have their answers", function()
    local peer = smtp_peer.new { "PIPELINING" }
    local s = scripted.serve(smtp_peer.serve(peer)) -- the client is on the main thread, as above
    local smtp = assert(mail.smtp.connect(options(s.port)))
    local function raises(words, bad, count)
      local ok, err = pcall(function() smtp:send { message(), message(), bad } end)
      assert.is_false(ok)
      assert.matches("smtp_faults_spec%.lua:%d+: smtp:send: .*" .. words, err)
      assert.equal(count, #peer.messages)
      assert.is_true(smtp:noop())
      assert.equal(count, #peer.messages)
    end
    raises("foo", message { foo = 1 }, 0)
    raises("a table of options", 7, 0)
    raises("'from'", message { from = 5 }, 2)
    raises("the message", message { message = 5 }, 4)
    smtp:close()
    s:close()
    while loop.step() > 0 do end -- luacheck: ignore
  end)
end)

describe("the options of a message", function()
  it("are checked, and bound its answer, whichever way it takes", function()
    local command
    scripted.run(server("mail", function(peer) peer:rest() end), function(port)
      local smtp = assert(mail.smtp.connect(options(port)))
      local ok, err = pcall(function() return smtp:send(message { timeout = { foo = 1 } }) end)
      assert.is_false(ok)
      assert.matches("smtp:send: option 'timeout' knows connect, answer and data, not 'foo'", err, 1, true)
      for _, never in ipairs { 0 / 0, { answer = 0 / 0 } } do -- would be a wait without an end
        ok, err = pcall(function() return smtp:send(message { timeout = never }) end)
        assert.is_false(ok)
        assert.matches("smtp:send: option 'timeout[.answer]*' must be number, got nan", err)
      end
      ok, err = smtp:send(message { timeout = TIMEOUT })
      assert.is_nil(ok)
      assert.equal("timeout", err.kind)
      command = err.command
      smtp:close()
    end)
    assert.equal("MAIL", command)
  end)
end)

describe("cancel", function()
  it("in every phase ends the call with kind cancelled, or unknown after the dot", function()
    for _, pipelining in ipairs { false, true } do
      for _, phase in ipairs(ALL) do
        local reached
        local err = loop.run(function()
          local task
          local s = scripted.serve(server(phase, function(peer)
            reached = true
            task:cancel()
            peer:rest()
          end, pipelining))
          task = loop.spawn(function()
            local smtp, err = connect(s.port, phase)
            if not smtp then return err end
            local _, why = call(smtp, phase)
            smtp:close()
            return why
          end)
          local err = task:join()
          s:close()
          return err
        end)
        assert.is_true(reached, phase)
        assert.equal(phase == "dot" and "unknown" or "cancelled", err and err.kind, phase)
      end
    end
  end)

  it("of a command leaves the session in step for the others", function()
    loop.run(function()
      local held
      local s = scripted.serve(function(peer)
        peer:send "220 mx\r\n"
        peer:expect "^EHLO"
        peer:send "250 mx\r\n"
        peer:expect "^VRFY"
        held:cancel()
        loop.sleep(0.005)
        peer:send "252 late\r\n"
        peer:expect "^NOOP"
        peer:send "250 ok\r\n"
        peer:rest()
      end)
      local smtp = assert(mail.smtp.connect(options(s.port)))
      held = loop.spawn(function() return smtp:verify "x" end)
      loop.sleep(0)
      local other = loop.spawn(function() return smtp:noop() end)
      local ok, err = held:join()
      assert.is_nil(ok)
      assert.equal("cancelled", err.kind)
      assert.is_true(other:join())
      smtp:close()
    end)
  end)
end)

describe("connecting", function()
  it("to a port where nobody listens is of kind connect", function()
    local smtp, err = mail.smtp.connect(options(1))
    assert.is_nil(smtp)
    assert.same({ "connect", "smtp", true }, { err.kind, err.protocol, err.temporary })
  end)

  it("to a name that is none is of kind dns", function()
    for _, name in ipairs { "no-such-host.invalid", "a..b", ("x"):rep(70) .. ".example" } do
      local smtp, err = mail.smtp.connect(options(25, { host = name, timeout = 5 }))
      assert.is_nil(smtp)
      assert.truthy(({ dns = true, timeout = true })[err.kind], name .. ": " .. tostring(err))
      assert.equal("smtp", err.protocol)
    end
  end)

  it("leaves nothing behind, whatever went wrong", function()
    if not descriptors.count() then return end
    descriptors.steady(function()
      each(function(peer) peer:close() end, { "closed", dot = "unknown", quit = true })
      each(function(peer) peer:send("rubbish\r\n") peer:rest() end, { "protocol", dot = "unknown" })
    end)
    assert.equal(0, loop.step(0))
  end)
end)
