-- Options of connect, the same for all protocols: what is wrong raises at the caller's line, and what
-- is right becomes host, port and mode.
local mail = require "mail"
local core = require "mail.core"
local connect = require "mail.connect"
local loop = require "mail.loop"
local scripted = require "spec.support.scripted"

local function settled(protocol, argument)
  local function caller() return connect.options(argument, protocol) end
  return caller()
end

describe("options", function()
  it("settle mode and port from one another", function()
    for _, row in ipairs {
      { "imap", {}, 993, "implicit" }, { "pop3", {}, 995, "implicit" }, { "smtp", {}, 465, "implicit" },
      { "imap", { tls = "starttls" }, 143, "starttls" }, { "pop3", { tls = "starttls" }, 110, "starttls" },
      { "smtp", { tls = "starttls" }, 587, "starttls" }, { "smtp", { tls = "opportunistic" }, 25, "opportunistic" },
      { "imap", { tls = "none" }, 143, "none" }, { "smtp", { tls = "none" }, 587, "none" },
      { "imap", { port = 143 }, 143, "starttls" }, { "pop3", { port = 110 }, 110, "starttls" },
      { "smtp", { port = 587 }, 587, "starttls" }, { "smtp", { port = 25 }, 25, "starttls" },
      { "smtp", { port = 465 }, 465, "implicit" }, { "imap", { port = 1993 }, 1993, "implicit" },
      { "imap", { port = 143, tls = "implicit" }, 143, "implicit" },
    } do
      row[2].host = "h.example"
      local o = settled(row[1], row[2])
      assert.same({ row[3], row[4] }, { o.port, o.tls })
    end
  end)

  it("are read out of URLs", function()
    for _, row in ipairs {
      { "imap", "imaps://h.example", "h.example", 993, "implicit" },
      { "imap", "imap://h.example:143/", "h.example", 143, "starttls" },
      { "imap", "imap://ann@h.example", "h.example", 143, "starttls", "ann" },
      { "imap", "imap://h.example:1143/", "h.example", 1143, "starttls" },
      { "imap", "imap://h.example:993/", "h.example", 993, "implicit" },
      { "smtp", "smtp://h.example:465", "h.example", 465, "implicit" },
      { "smtp", "lmtp://h.example:2424", "h.example", 2424, "opportunistic" },
      { "imap", "IMAPS://ann:s%40c:ret@h.example:1/INBOX?x#y", "h.example", 1, "implicit", "ann", "s@c:ret" },
      { "imap", "imaps://ann;AUTH=*@h.example/", "h.example", 993, "implicit", "ann" },
      { "imap", "imaps://a%40b.example:x@[::1]:99/", "::1", 99, "implicit", "a@b.example", "x" },
      { "pop3", "pop3s://h.example", "h.example", 995, "implicit" },
      { "pop3", "pop://h.example:110", "h.example", 110, "starttls" },
      { "smtp", "smtps://h.example", "h.example", 465, "implicit" },
      { "smtp", "submission://h.example", "h.example", 587, "starttls" },
      { "smtp", "smtp://h.example:25", "h.example", 25, "starttls" },
      { "smtp", "h.example", "h.example", 465, "implicit" },
      { "smtp", "[IPv6:2001:db8::1]", "2001:db8::1", 465, "implicit" },
      { "smtp", "[192.0.2.1]", "192.0.2.1", 465, "implicit" },
    } do
      local o = settled(row[1], row[2])
      assert.same({ row[3], row[4], row[5], row[6], row[7] }, { o.host, o.port, o.tls, o.user, o.password }, row[2])
    end
    local o = settled("imap", { host = "imaps://ann:x@h.example", user = "bob", port = 5 })
    assert.same({ "h.example", 5, "bob", "x" }, { o.host, o.port, o.user, o.password })
    assert.equal("implicit", settled("imap", { host = "imap://h.example", port = 993 }).tls)
  end)

  it("that are wrong raise at the caller's line, and name what is wrong", function()
    for _, row in ipairs {
      { nil, "table of options" }, { 5, "table of options" }, { {}, "'host' is missing" },
      { { host = 5 }, "'host' must be string" }, { { host = "h", prot = 1 }, "unknown option 'prot'" },
      { { host = "h", log = {} }, "'log' must be a function, or have write" },
      { { host = "h", timeout = 0 / 0 }, "'timeout' must be number, got nan" },
      { { host = "h", timeout = { answer = 0 / 0 } }, "'timeout.answer' must be number, got nan" },
      { { host = "h", port = "x" }, "'port' must be number" }, { { host = "h", port = 0 }, "'port'" },
      { { host = "h", port = 70000 }, "'port'" }, { { host = "h", port = 1.5 }, "'port'" },
      { { host = "h", tls = "maybe" }, "'tls' must be" }, { { host = "" }, "'host'" }, { { host = "a b" }, "'host'" },
      { { host = "a\r\nb" }, "'host'" }, { { host = "a\0b" }, "'host'" },
      { { host = "h", timeout = "1" }, "'timeout'" }, { { host = "h", timeout = { conect = 1 } }, "conect" },
      { { host = "h", timeout = { answer = "1" } }, "timeout.answer" }, { { host = "h", timeout = { 5 } }, "not '1'" },
      { { host = "h", password = "x" }, "'user' is missing" },
      { "http://h.example/", "scheme" }, { "imaps://h.example/", "scheme" }, { "smtps://", "host" },
      { { host = "h", ssl = { verfy = true } }, "verfy" },
      { { host = "h", ssl = { min_version = "9" } }, "min_version" },
      { { host = "h", ssl = { pin_sha256 = {} } }, "pin_sha256" },
      { { host = "h", ssl = { pin_sha256 = { 5 } } }, "pin_sha256" },
      { { host = "h", mechanism = "PLIAN" }, "PLIAN" }, { { host = "h", limits = { lines = 5 } }, "lines" },
    } do
      local ok, err = pcall(function() mail.smtp.connect(row[1]) end)
      assert.is_false(ok, row[2])
      assert.matches(row[2], tostring(err), 1, true)
      assert.matches("connect_spec.lua:%d+: ", tostring(err), nil, false)
    end
  end)
end)

describe("the connection", function()
  it("is made from the address that is asked for", function()
    local peer_address
    local smtp = scripted.run(function(peer)
      peer_address = peer.conn:name(true)
      peer:send "220 mx\r\n"
      peer:expect "^EHLO"
      peer:send "250 mx\r\n"
      peer:rest()
    end, function(port)
      local smtp = assert(mail.smtp.connect { host = "127.0.0.1", port = port, tls = "none",
        local_address = "127.0.0.3" })
      smtp:close()
      return smtp
    end)
    assert.equal("127.0.0.3", peer_address)
    assert.equal("userdata", type(smtp))
  end)

  it("names this host in EHLO by a name with a dot, or by its address", function()
    local name
    scripted.run(function(peer)
      peer:send "220 mx\r\n"
      name = peer:expect "^EHLO (.*)$"
      peer:send "250 mx\r\n"
      peer:rest()
    end, function(port)
      assert(mail.smtp.connect { host = "127.0.0.1", port = port, tls = "none" }):close()
    end)
    assert.is_truthy(name == "[127.0.0.1]" or name:find("^[%w.-]+%.[%w-]+$"))
  end)

  it("refuses a name for EHLO that would break the line", function()
    local after
    local ok, err = scripted.run(function(peer)
      peer:send "220 mx\r\n"
      after = peer:rest()
    end, function(port)
      return mail.smtp.connect { host = "127.0.0.1", port = port, tls = "none", helo = "me\r\nRSET" }
    end)
    assert.is_nil(ok)
    assert.equal("invalid", err.kind)
    assert.equal("", after)
  end)

  it("is bounded by one deadline from the name to the login", function()
    -- Each step alone is quick enough, all together are not.
    local began = loop.now()
    local ok, err = scripted.run(function(peer)
      peer:drip("220 mx\r\n", 0.02)
      peer:line()
      peer:drip("250 a long answer\r\n", 0.02)
      peer:rest()
    end, function(port)
      return mail.smtp.connect { host = "127.0.0.1", port = port, tls = "none", timeout = 0.3 }
    end)
    assert.is_nil(ok)
    assert.equal("timeout", err.kind)
    assert.is_true(loop.now() - began < 10)
  end)

  it("may be many at once in one thread", function()
    local count = 0
    loop.run(function()
      local s = scripted.serve(function(peer)
        peer:send "220 mx\r\n"
        peer:expect "^EHLO"
        peer:send "250 mx\r\n"
        peer:expect "^NOOP"
        peer:send "250 ok\r\n"
        peer:rest()
      end, 50)
      for _ = 1, 50 do
        loop.spawn(function()
          local smtp = assert(mail.smtp.connect { host = "127.0.0.1", port = s.port, tls = "none" })
          assert(smtp:noop())
          count = count + 1
          smtp:close()
        end)
      end
    end)
    assert.equal(50, count)
  end)

  it("that is cancelled while it is made leaves nothing behind", function()
    loop.run(function()
      local listener = core.listen("127.0.0.1", "0", 1) -- takes no connection up
      local _, port = listener:name()
      local task = loop.spawn(function() return mail.smtp.connect { host = "127.0.0.1", port = port, tls = "none" } end)
      loop.sleep(0.005)
      task:cancel()
      local ok, err = task:join()
      assert.is_nil(ok)
      assert.equal("cancelled", err.kind)
      listener:close()
    end)
  end)
end)
