-- Proxies: the handshakes octet by octet, hostile ones, and real ones before a real server.
local mail = require "mail"
local core = require "mail.core"
local loop = require "mail.loop"
local proxy = require "mail.proxy"
local scripted = require "spec.support.scripted"
local servers = require "spec.servers"
local streams = require "spec.support.streams"

local function hop(url)
  return assert(proxy.parse(url))[1]
end

-- Plays a handshake: `answers` are the proxy's, fed octet by octet, one behind each thing that we say.
-- What was sent, the handshake, or nil and the error.
local function play(url, target, answers)
  local handshake, err = proxy.handshake(hop(url), target)
  if not handshake then return nil, err end
  local sent = {}
  for _, answer in ipairs(answers) do
    sent[#sent + 1] = handshake:output()
    for i = 1, #answer do
      local ok
      ok, err = handshake:feed(answer:sub(i, i))
      if not ok then return nil, err end
      if handshake.done then return sent, handshake, answer:sub(i + 1) end
    end
  end
  return sent, handshake
end

local HOST = { host = "mail.example.test", port = 993 }
local GRANTED = "\5\0\0\1\0\0\0\0\0\0"

describe("a handshake", function()
  it("says what the standards say", function()
    for _, row in ipairs {
      { "socks5://p", HOST, { "\5\0", GRANTED }, { "\5\1\0", "\5\1\0\3\17mail.example.test\3\225" } },
      { "socks5h://p", { host = "192.0.2.1", port = 25 }, { "\5\0", "\5\0\0\3\4name\0\1" },
        { "\5\1\0", "\5\1\0\1\192\0\2\1\0\25" } },
      { "socks5://p", { host = "2001:db8::1", port = 25 }, { "\5\0", "\5\0\0\4" .. ("\1"):rep(16) .. "\0\1" },
        { "\5\1\0", "\5\1\0\4\32\1\13\184" .. ("\0"):rep(11) .. "\1\0\25" } },
      { "socks5://ann:pw@p", HOST, { "\5\0", GRANTED }, { "\5\2\0\2", "\5\1\0\3\17mail.example.test\3\225" } },
      { "socks5://ann:p%40%3aw@p", HOST, { "\5\2", "\1\0", GRANTED },
        { "\5\2\0\2", "\1\3ann\4p@:w", "\5\1\0\3\17mail.example.test\3\225" } },
      { "socks4a://ann@p", HOST, { "\0\90\0\0\0\0\0\0" }, { "\4\1\3\225\0\0\0\1ann\0mail.example.test\0" } },
      { "socks4a://p", { host = "192.0.2.1", port = 25 }, { "\0\90abcdef" }, { "\4\1\0\25\192\0\2\1\0" } },
      { "socks4://p", { host = "mail.example.test", port = 25, address = "192.0.2.9" }, { "\0\90abcdef" },
        { "\4\1\0\25\192\0\2\9\0" } },
      { "http://p:8080", HOST, { "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n" },
        { "CONNECT mail.example.test:993 HTTP/1.1\r\nHost: mail.example.test:993\r\n\r\n" } },
      { "http://p:8080", HOST, { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204 \r\n\r\n" },
        { "CONNECT mail.example.test:993 HTTP/1.1\r\nHost: mail.example.test:993\r\n\r\n" } },
      { "http://ann:secret@p:8080", { host = "2001:db8::1", port = 25 }, { "HTTP/1.0 200\r\n\r\n" },
        { "CONNECT [2001:db8::1]:25 HTTP/1.1\r\nHost: [2001:db8::1]:25\r\n"
          .. "Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n\r\n" } },
    } do
      local sent, handshake = play(row[1], row[2], row[3])
      assert.same(row[4], sent, row[1])
      assert.is_true(handshake.done, row[1])
    end
  end)

  it("leaves what stands behind the answer to the session", function()
    for url, answers in pairs {
      ["socks5://p"] = { "\5\0", GRANTED .. "220 mx\r\n" }, ["socks4a://p"] = { "\0\90abcdef220 mx\r\n" },
      ["http://p:1"] = { "HTTP/1.1 200 OK\r\n\r\n220 mx\r\n" },
    } do
      local handshake = assert(proxy.handshake(hop(url), HOST))
      for _, answer in ipairs(answers) do
        handshake:output()
        assert(handshake:feed(answer))
      end
      assert.is_true(handshake.done)
      assert.equal("220 mx\r\n", handshake.input)
    end
  end)

  it("is refused with the proxy's words", function()
    for _, row in ipairs {
      { "socks5://p", { "\5\255" }, "auth", "wants a login" },
      { "socks5://a:b@p", { "\5\255" }, "auth", "takes no user" },
      { "socks5://ann:sesame@p", { "\5\2", "\1\1" }, "auth", "refused the user or the password" },
      { "socks5://p", { "\5\0", "\5\1" }, "connect", "general failure", true },
      { "socks5://p", { "\5\0", "\5\2\0\1" }, "connect", "not allowed", false },
      { "socks5://p", { "\5\0", "\5\5" }, "connect", "mail.example.test:993: connection refused", true },
      { "socks5://p", { "\5\0", "\5\8" }, "connect", "address type not supported", false },
      { "socks4a://p", { "\0\91" }, "connect", "request refused", true },
      { "socks4a://p", { "\0\93" }, "auth", "identd names another user" },
      { "http://p:1", { "HTTP/1.1 403 Forbidden by rule\r\n\r\n" }, "connect", "403 Forbidden by rule", false },
      { "http://p:1", { "HTTP/1.1 503 \27[2Jno\r\n\r\n" }, "protocol", "no answer of HTTP" },
      { "http://p:1", { "HTTP/1.1 502 Bad \255\r\n\r\n" }, "connect", "502 Bad ?", true },
      { "http://ann:sesame@p:1", { "HTTP/1.1 407 not sesame YW5uOnNlc2FtZQ==\r\n\r\n" }, "auth", "407 not *** ***" },
    } do
      local sent, err = play(row[1], HOST, row[2])
      assert.is_nil(sent, row[4])
      assert.equal(row[3], err.kind)
      assert.matches(row[4], err.message, 1, true)
      assert.matches("^proxy %a+%d?a?://p:%d+: ", err.message)
      if row[5] ~= nil then assert.equal(row[5], err.temporary) end
      assert.is_nil(err.message:find("sesame", 1, true))
    end
  end)

  it("with something else than a proxy of that kind ends at the first wrong octet", function()
    for _, row in ipairs {
      { "socks5://p", { "HTTP/1.1 400 Bad\r\n\r\n" } }, { "socks5://p", { "\4\0" } }, { "socks5://p", { "\5\1" } },
      { "socks5://p", { "\5\2" } }, { "socks5://p", { "\5\0", "\4\0" } }, { "socks5://p", { "\5\0", "\5\9" } },
      { "socks5://p", { "\5\0", "\5\0\1\1\0" } }, { "socks5://p", { "\5\0", "\5\0\0\2\0" } },
      { "socks5://a:b@p", { "\5\2", "\5\0" } },
      { "socks4://p", { "\4\90" } }, { "socks4a://p", { "\0\0" } }, { "socks4a://p", { "\0\94" } },
      { "http://p:1", { "220 mx.example.test ESMTP\r\n" } }, { "http://p:1", { "HTTP/2 200 OK\r\n\r\n" } },
      { "http://p:1", { "HTTP/1.1 20 OK\r\n\r\n" } }, { "http://p:1", { "HTTP/1.1 2000 OK\r\n\r\n" } },
      { "http://p:1", { "HTTP/1.1 200 OK\n\n" } }, { "http://p:1", { "HTTP/1.1 200 OK\r\nA: b\n\r\n" } },
      { "http://p:1", { "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n" } },
      { "http://p:1", { "HTTP/1.1 200 OK\r\nA\0: b\r\n\r\n" } },
      { "http://p:1", { "HTTP/1.1 200 OK\r\n folded\r\n\r\n" } }, { "http://p:1", { "HTTP/1.1 101 Upgrade\r\n\r\n" } },
    } do
      local sent, err = play(row[1], { host = "192.0.2.1", port = 25 }, row[2])
      assert.is_nil(sent, table.concat(row[2]))
      assert.is_true(err.kind == "protocol" or row[2][1]:find " 101 " and err.kind == "connect", err.message)
    end
  end)

  it("has a bound to every answer", function()
    local _, err = play("http://p:1", HOST, { "HTTP/1.1 200 OK\r\n" .. ("X: y\r\n"):rep(5000) })
    assert.equal("limit", err.kind)
    _, err = play("http://p:1", HOST, { "HTTP/1.1 " .. ("2"):rep(20000) })
    assert.equal("limit", err.kind)
    _, err = play("http://p:1", HOST, { ("HTTP/1.1 100 Continue\r\n\r\n"):rep(20) })
    assert.equal("limit", err.kind)
    local sent, handshake = play("socks5://p", HOST, { "\5\0", "\5\0\0\3\255" .. ("n"):rep(255) .. "\0\1" })
    assert.equal(2, #sent)
    assert.is_true(handshake.done)
  end)

  it("is no place for octets out of turn", function()
    for _, answer in ipairs { "\5\0" .. GRANTED, "\5\0\5" } do
      local handshake = assert(proxy.handshake(hop "socks5://p", HOST))
      handshake:output()
      local ok, err = handshake:feed(answer)
      assert.is_nil(ok)
      assert.equal("protocol", err.kind)
      assert.matches("out of turn", err.message)
    end
  end)

  it("with HTTP names nothing but a host", function()
    for _, host in ipairs { "a@b.example", "a/b", "a?b", "a#b", "a b", "a\r\nX: y", "[::1" } do
      local none, err = proxy.handshake(hop "http://p:1", { host = host, port = 25 })
      assert.is_nil(none)
      assert.equal("invalid", err.kind)
    end
  end)

  it("with SOCKS4 knows no IPv6", function()
    local _, err = proxy.handshake(hop "socks4://p", { host = "::1", port = 25 })
    assert.equal("connect", err.kind)
  end)
end)

describe("the option proxy", function()
  it("raises where it is wrong, without its password", function()
    for _, row in ipairs {
      { "p:1080", "a URL" }, { "ftp://p:1", "unknown scheme 'ftp'" }, { "http://p", "no port" }, { "", "a URL" },
      { "socks5://", "no host" }, { "socks5://ann:sesame@p:0", "a port" }, { "socks4://ann:sesame@p", "no passwords" },
      { "socks5://a:" .. ("sesame"):rep(50) .. "@p", "255" }, { "http://a%3ab:sesame@p:1", "colon" },
      { "socks5://a:sesame%00@p", "control" }, { "http://a:sesame%0d%0aX:@p:1", "control" }, { {}, "a URL" },
      { { "socks5://p", 5 }, "array of URLs" },
    } do
      local ok, err = pcall(function() mail.smtp.connect { host = "h.example", proxy = row[1] } end)
      assert.is_false(ok)
      assert.matches(row[2], err, 1, true)
      assert.matches("proxy_spec.lua:%d+: smtp.connect: option 'proxy'", err)
      assert.is_nil(err:find("sesame", 1, true))
    end
    assert.has_error(function()
      mail.imap.connect { host = "h.example", proxy = "socks5://p", tls_by = "host" }
    end)
  end)
end)

-- A session through a scripted proxy, over descriptors and over transports.
local function by_script(script, options)
  return loop.run(function()
    local server = scripted.serve(script)
    local o = { host = "mail.example.test", port = 25, tls = "none", timeout = 5, dns_servers = "127.0.0.1:1" }
    for name, value in pairs(options) do o[name] = value end
    o.proxy = o.proxy:format(server.port)
    local smtp, err = mail.smtp.connect(o)
    local reply = smtp and smtp:noop()
    if smtp then smtp:close() end
    server:close()
    return smtp and reply, err
  end)
end

local function mx(peer)
  peer:send "220 mx\r\n"
  peer:expect "^EHLO"
  peer:send "250 mx\r\n"
  peer:expect "^NOOP"
  peer:send "250 ok\r\n"
  peer:rest()
end

for _, how in ipairs { "descriptors", "transports" } do
  describe("a proxy over " .. how, function()
    local host = how == "transports" and streams.host or nil

    it("carries a session, whose greeting may come with its answer", function()
      local names = {}
      assert.is_true(by_script(function(peer)
        assert(peer:through "\5\1\0")
        peer:send "\5\0"
        names[1] = peer:through "\0\25"
        peer:send(GRANTED .. "220 mx\r\n")
        peer:expect "^EHLO"
        peer:send "250 mx\r\n"
        peer:expect "^NOOP"
        peer:send "250 ok\r\n"
        peer:rest()
      end, { proxy = "socks5://127.0.0.1:%d", loop = host }))
      assert.same({ "\5\1\0\3\17mail.example.test\0\25" }, names) -- and no name server was asked
      assert.is_true(by_script(function(peer)
        names[2] = peer:expect "^CONNECT (%S+)"
        repeat local line = peer:line() until line == ""
        peer:drip("HTTP/1.1 200 OK\r\n\r\n", 0.001)
        mx(peer)
      end, { proxy = "http://127.0.0.1:%d", loop = host, host = "b\195\188cher.example" }))
      assert.equal("xn--bcher-kva.example:25", names[2])
    end)

    it("that hangs up, is mute or drips is an error within the deadline", function()
      local ok, err = by_script(function(peer) peer:some() end, { proxy = "socks5://127.0.0.1:%d", loop = host })
      assert.same({ nil, "connect", "smtp" }, { ok, err.kind, err.protocol })
      assert.matches("closed the connection", err.message)
      local began = core.now()
      ok, err = by_script(function(peer) peer:rest() end,
        { proxy = "socks4a://127.0.0.1:%d", timeout = 0.1, loop = host })
      assert.same({ nil, "timeout" }, { ok, err.kind })
      ok, err = by_script(function(peer) peer:drip("HTTP/1.1 200 OK\r\n" .. ("X: y\r\n"):rep(1000), 0.005) end,
        { proxy = "http://127.0.0.1:%d", timeout = 0.1, loop = host })
      assert.same({ nil, "timeout" }, { ok, err.kind })
      assert.is_true(core.now() - began < 5)
    end)

    it("may not speak before the handshake of the server", function()
      local ok, err = by_script(function(peer)
        repeat local line = peer:line() until line == ""
        peer:send "HTTP/1.1 200 OK\r\n\r\n220 mx\r\n"
        peer:rest()
      end, { proxy = "http://127.0.0.1:%d", tls = "implicit", loop = host })
      assert.same({ nil, "protocol" }, { ok, err.kind })
    end)

    it("may be several in a row", function()
      assert.is_true(by_script(function(peer)
        assert(peer:through "\5\1\0")
        peer:send "\5\0"
        assert.equal("\5\1\0\3\14second.example\31\144", peer:through "\31\144")
        peer:send(GRANTED)
        peer:expect "^CONNECT mail.example.test:25 "
        repeat local line = peer:line() until line == ""
        peer:send "HTTP/1.1 200 OK\r\n\r\n"
        mx(peer)
      end, { proxy = "socks5://127.0.0.1:%d http://second.example:8080", loop = host }))
      local ok, err = by_script(function(peer)
        assert(peer:through "\5\1\0")
        peer:send "\5\0"
        assert(peer:through "\31\144")
        peer:send(GRANTED .. "HTTP/1.1 200 OK\r\n\r\n") -- before the second one was asked
        peer:rest()
      end, { proxy = "socks5://127.0.0.1:%d http://second.example:8080", loop = host })
      assert.same({ nil, "protocol" }, { ok, err.kind })
    end)
  end)
end

describe("a proxy", function()
  it("that is not there is an error of the proxy", function()
    local ok, err = mail.imap.connect { host = "mail.example.test", proxy = "socks5://ann:sesame@127.0.0.1:1" }
    assert.same({ nil, "connect" }, { ok, err.kind })
    assert.matches("^proxy: cannot connect to 127.0.0.1", err.message)
    assert.is_nil(err.message:find("sesame", 1, true))
  end)

  local dovecot = servers.dovecot()
  if not dovecot or not servers.proxy { kind = "socks5" } then
    pending "there is no Dovecot, or there are no proxies, here"
    return
  end

  local function login(url, more)
    local o = { host = "localhost", port = dovecot.ports.imaps, user = dovecot.user, password = dovecot.password,
      ssl = { ca_file = dovecot.ca_file }, proxy = url, timeout = 10, dns_servers = "127.0.0.1:1" }
    for name, value in pairs(more or {}) do o[name] = value end
    local imap, err = mail.imap.connect(o)
    if not imap then return nil, err end
    local box = imap:select "INBOX"
    local secure = imap.tls ~= nil
    imap:logout()
    return box ~= nil and secure
  end

  for _, kind in ipairs { "socks5", "http" } do
    it("of the kind " .. kind .. " leads to a real server, with the server's TLS", function()
      local open, closed = assert(servers.proxy { kind = kind }), assert(servers.proxy { kind = kind, login = true })
      assert.is_true(login(open.url))
      assert.is_true(login(closed.url))
      assert.is_true(login(open.url, { host = "127.0.0.1" }))
      assert.is_true(login(open.url, { port = dovecot.ports.imap, tls = "starttls" }))
      assert.is_true(login { open.url, closed.url, open.url })
      local pop = assert(mail.pop3.connect { host = "localhost", port = dovecot.ports.pop3s, user = dovecot.user,
        password = dovecot.password, ssl = { ca_file = dovecot.ca_file }, proxy = closed.url })
      assert.is_table(pop:stat())
      pop:quit()
    end)

    it("of the kind " .. kind .. " has its errors", function()
      local closed = assert(servers.proxy { kind = kind, login = true })
      local ok, err = login(closed.open_url)
      assert.same({ nil, "auth" }, { ok, err.kind })
      ok, err = login((closed.open_url:gsub("//", "//relay:wrong@")))
      assert.same({ nil, "auth" }, { ok, err.kind })
      assert.is_nil(err.message:find("wrong", 1, true))
      ok, err = login(closed.url, { port = 1 })
      assert.same({ nil, "connect" }, { ok, err.kind })
      ok, err = login(closed.url, { ssl = { ca_file = dovecot.ca_file, server_name = "other.example.test" } })
      assert.same({ nil, "tls" }, { ok, err.kind })
    end)
  end

  it("is asked in any number of coroutines at once", function()
    local open = assert(servers.proxy { kind = "socks5" })
    local good = 0
    loop.run(function()
      for _ = 1, 10 do
        loop.spawn(function()
          local ok = assert(login(open.url))
          if ok then good = good + 1 end
        end)
      end
    end)
    assert.equal(10, good)
  end)
end)
