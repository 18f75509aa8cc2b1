-- TLS as a layer of a session, without a socket: contexts and their options, whom a client accepts,
-- what may be resumed, and what must not come in front of the handshake.

local core = require "mail.core"
local files = require "spec.support.files"
local tls = require "mail.tls"

local folder

local function path(name) return folder .. "/" .. name end

local function read(name) return files.slurp(path(name)) end

setup(function()
  folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir -m 700 '" .. folder .. "' && sh spec/servers/certificates.sh '" .. folder .. "'"))
end)

teardown(function()
  os.execute("rm -rf '" .. folder .. "'")
end)

before_each(tls.forget)

local function context(options)
  return assert(core.tls_context(options))
end

local function server(name, more)
  local options = { server = true, cert = path(name .. ".crt"), key = path(name .. ".key") }
  for k, v in pairs(more or {}) do options[k] = v end
  return context(options)
end

-- Two sessions, a filter on each; `start` puts the client's in.
local function pair(server_context, start)
  local client, peer = core.smtp_session(), core.smtp_session()
  assert(peer:start_tls(server_context))
  assert(start(client))
  return client, peer
end

local function carry(from, to, size)
  local moved = false
  for bytes in function() return from:output(size) end do
    to:feed(bytes)
    moved = true
  end
  return moved
end

local function converse(client, peer, size)
  local first, second
  repeat
    first, second = carry(client, peer, size), carry(peer, client, size)
  until not first and not second
  client:next()
end

-- A client with these `ssl` options in front of `server_context`.
local function meet(server_context, ssl, o, size)
  o = o or {}
  o.host, o.port, o.tls, o.ssl = o.host or "localhost", o.port or 465, o.tls or "implicit", ssl
  local client, peer = pair(server_context, function(s) return tls.start(s, o, o.protocol or "smtp") end)
  converse(client, peer, size)
  return client, peer
end

local function assert_open(client)
  assert.is_nil(client:tls_why())
  assert.is_table(client:tls_info())
end

local function assert_refused(words, client)
  assert.is_nil(client:tls_info())
  assert.equal("tls", (client:failure()))
  assert.truthy(client:tls_why():find(words, 1, true), client:tls_why())
end

describe("a client", function()
  it("tells the facts of the connection", function()
    local client = meet(server "good", { ca_file = path "ca.crt" })
    local info = client:tls_info()
    assert.equal("TLSv1.3", info.version)
    assert.equal(read "good.crt", info.peer_certificate)
    assert.is_string(info.cipher)
    assert.is_false(info.resumed)
    assert.is_nil(info.alpn)
  end)

  it("does the same one octet at a time", function()
    assert_open(meet(server "chain", { ca_file = path "ca.crt" }, nil, 1))
  end)

  it("takes PEM text in place of files", function()
    local ca = server("good", { verify = true, ca_file = read "ca.crt" })
    assert_open(meet(ca, { ca_file = read "ca.crt", cert = read "client.crt", key = read "client.key" }))
  end)

  it("names the application protocol of IMAP and POP3", function()
    local imap = server("good", { alpn = "imap" })
    local client = meet(imap, { ca_file = path "ca.crt" }, { protocol = "imap" })
    assert.equal("imap", client:tls_info().alpn)
    assert_refused("no application protocol", (meet(imap, { ca_file = path "ca.crt" }, { protocol = "pop3" })))
    assert_open(meet(imap, { ca_file = path "ca.crt" }, { protocol = "smtp" }))
  end)

  for name, words in pairs {
    expired = "certificate has expired",
    not_yet = "certificate is not yet valid",
    wrong_host = "host name mismatch: certificate is for DNS:elsewhere.example.test",
    name_only = "host name mismatch",
    cn_only_right = "host name mismatch: certificate is for DNS:elsewhere.example.test",
    star = "host name mismatch",
    by_leaf = "invalid CA certificate",
    wildcard = "host name mismatch: certificate is for DNS:*.example.test",
    wrong_purpose = "unsuitable certificate purpose",
    foreign = "unable to get local issuer certificate",
    self_signed = "self-signed certificate",
    chain_incomplete = "unable to get local issuer certificate",
  } do
    it("refuses a certificate that is " .. name .. ", and takes it unverified", function()
      local bad = server(name)
      local client, peer = meet(bad, { ca_file = path "ca.crt" })
      assert_refused(words, client)
      assert.is_nil(peer:tls_info())
      assert_open(meet(bad, { verify = false }))
      assert_open(meet(bad, {}, { tls = "opportunistic" }))
      assert_refused(words, (meet(bad, { ca_file = path "ca.crt", verify = true }, { tls = "opportunistic" })))
    end)
  end

  it("matches a wildcard, an address and a name of its own choice", function()
    assert_open(meet(server "wildcard", { ca_file = path "ca.crt" }, { host = "mx.example.test" }))
    assert_open(meet(server "good", { ca_file = path "ca.crt" }, { host = "127.0.0.1" }))
    assert_open(meet(server "good", { ca_file = path "ca.crt" }, { host = "::1" }))
    assert_open(meet(server "wrong_host", { ca_file = path "ca.crt", server_name = "elsewhere.example.test" }))
    assert_refused("host name mismatch", (meet(server "good", { ca_file = path "ca.crt" }, { host = "127.0.0.3" })))
    for _, name in ipairs { "a.mx.example.test", "example.test" } do
      assert_refused("host name mismatch", (meet(server "wildcard", { ca_file = path "ca.crt" }, { host = name })))
    end
    for _, name in ipairs { "a.b.test", "mx.a.test", "test" } do
      assert_refused("host name mismatch", (meet(server "star", { ca_file = path "ca.crt" }, { host = name })))
    end
    assert_open(meet(server "idn", { ca_file = path "ca.crt" }, { host = "b\195\188cher.test" }))
    assert_open(meet(server "idn", { ca_file = path "ca.crt" }, { host = "B\195\156CHER.test" }))
  end)

  it("holds to pins, with and without verification", function()
    local right, other = read("good.pin"):gsub("%s", ""), read("self_signed.pin"):gsub("%s", "")
    assert_open(meet(server "good", { ca_file = path "ca.crt", pin_sha256 = right }))
    assert_open(meet(server "good", { verify = false, pin_sha256 = { other, right } }))
    assert_open(meet(server "self_signed", { verify = false, pin_sha256 = other }))
    local words = "none of those pinned"
    assert_refused(words, (meet(server "good", { ca_file = path "ca.crt", pin_sha256 = other })))
    assert_refused(words, (meet(server "good", { verify = false, pin_sha256 = other })))
  end)

  it("knows a pin in hexadecimal, as curl writes it, and the fingerprint of a certificate", function()
    local right = read("good.pin"):gsub("%s", "")
    local function hex(octets)
      return (octets:gsub(".", function(c) return ("%02X:"):format(c:byte()) end):sub(1, -2))
    end
    local der = core.unbase64(read("good.crt"):match("%-\n(.-)%-"):gsub("%s", ""))
    for _, pin in ipairs { "sha256//" .. right, right:sub(1, 43), hex(core.unbase64(right)), hex(core.sha256(der)),
      hex(core.sha256(der)):gsub(":", ""):lower(), core.base64(core.sha256(der)) } do
      assert_open(meet(server "good", { ca_file = path "ca.crt", pin_sha256 = pin }))
      assert_refused("none of those pinned", (meet(server "self_signed", { verify = false, pin_sha256 = { pin } })))
    end
    for _, bad in ipairs { "", "x", right .. right, hex(der:sub(1, 31)), { right, "x" } } do
      local fine, why = pcall(tls.check, { pin_sha256 = bad }, "here")
      assert.is_false(fine)
      assert.matches("pin_sha256", why)
    end
  end)

  it("has a channel binding that the peer has too", function()
    local client, peer = meet(server "good", { ca_file = path "ca.crt" })
    for name, size in pairs { ["tls-exporter"] = 32, ["tls-server-end-point"] = 32 } do
      assert.equal(size, #client:tls_binding(name))
      assert.equal(client:tls_binding(name), peer:tls_binding(name))
    end
  end)
end)

describe("the handshake", function()
  it("sends nothing of the session before it is done", function()
    local client = core.smtp_session()
    assert(client:start_tls(context { verify = false }))
    local hello = client:output()
    assert.equal("\22\3\1", hello:sub(1, 3))
    assert.is_nil(client:output())
  end)

  it("is refused where plaintext stands in front of it", function()
    local client = core.smtp_session()
    client:feed "250 forged\r\n"
    local ok, why = client:start_tls(context { verify = false })
    assert.is_nil(ok)
    assert.is_string(why)
    assert.equal("protocol", (client:failure()))
  end)

  it("fails where the peer goes on in plaintext", function()
    local client = core.smtp_session()
    assert(client:start_tls(context { verify = false }))
    client:feed "220 mail.example.com ESMTP\r\n"
    assert.equal("fail", (client:next()))
    assert_refused("the peer does not speak TLS", client)
  end)

  it("fails where the stream ends", function()
    local client = core.smtp_session()
    assert(client:start_tls(context { verify = false }))
    client:feed_eof()
    assert_refused("ended during the TLS handshake", client)
  end)

  it("needs a name to verify", function()
    local ok, why = core.smtp_session():start_tls(context { ca_file = path "ca.crt" })
    assert.is_nil(ok)
    assert.equal("a name to verify is missing", why)
    ok, why = core.smtp_session():start_tls(context { ca_file = path "ca.crt" }, "*.example.test")
    assert.is_nil(ok)
    assert.equal("not a host name or an address", why)
  end)
end)

describe("a close_notify", function()
  it("ends the stream, its absence cuts it", function()
    local client, peer = meet(server "good", { ca_file = path "ca.crt" })
    assert.is_true(peer:tls_close())
    carry(peer, client)
    assert.equal("fail", (client:next()))
    assert.equal("closed", (client:failure()))
    local _, clean = client:failure()
    client = meet(server "good", { ca_file = path "ca.crt" })
    client:feed_eof()
    assert.equal("fail", (client:next()))
    local kind, cut = client:failure()
    assert.equal("closed", kind)
    assert.not_equal(clean, cut)
  end)
end)

describe("resumption", function()
  local one, ssl

  before_each(function()
    one = server "good"
    ssl = { ca_file = path "ca.crt" }
  end)

  local function leave(o, options)
    local client = meet(one, options or ssl, o)
    assert_open(client)
    tls.remember(client)
  end

  local function resumed(o, options)
    local client = meet(one, options or ssl, o)
    assert_open(client)
    return client:tls_info().resumed
  end

  it("takes up an earlier session, once", function()
    leave()
    assert.is_true(resumed())
    assert.is_false(resumed())
  end)

  it("goes on from connection to connection", function()
    leave()
    for _ = 1, 3 do
      local client = meet(one, ssl)
      assert.is_true(client:tls_info().resumed)
      tls.remember(client)
    end
  end)

  it("is off where it is switched off", function()
    leave(nil, { ca_file = path "ca.crt", session_cache = false })
    assert.equal(0, (select(2, tls.kept())))
    leave()
    assert.is_false(resumed(nil, { ca_file = path "ca.crt", session_cache = false }))
  end)

  for what, other in pairs {
    host = { host = "127.0.0.1" }, port = { port = 2465 }, user = { user = "ann" }, protocol = { protocol = "imap" },
    mode = { tls = "starttls" }, mechanism = { mechanism = "PLAIN" }, authzid = { authzid = "bob" },
    proxy = { proxy = "socks5://127.0.0.1:1080" },
  } do
    it("does not cross from one " .. what .. " to another", function()
      one = server("good", { alpn = "imap" })
      leave()
      assert.is_false(resumed(other))
      assert.is_true(resumed())
    end)
  end

  it("does not cross from one set of options to another", function()
    local pin = read("good.pin"):gsub("%s", "")
    leave(nil, { verify = false })
    for _, options in ipairs {
      { ca_file = path "ca.crt" }, { ca_file = read "ca.crt" }, { verify = false, pin_sha256 = pin },
      { verify = false, cert = path "client.crt", key = path "client.key" }, { verify = false, min_version = "1.3" },
      { verify = false, server_name = "other.example.test" }, { verify = false, ca_path = folder },
    } do
      assert.is_false(resumed(nil, options))
    end
    assert.is_true(resumed(nil, { verify = false }))
  end)

  it("keeps no more than so many", function()
    for i = 1, 140 do leave { port = i } end
    assert.equal(128, (select(2, tls.kept())))
    assert.is_true(resumed { port = 140 })
    assert.is_false(resumed { port = 1 })
  end)

  it("keeps nothing of a connection that failed", function()
    tls.remember((meet(server "expired", ssl)))
    assert.equal(0, (select(2, tls.kept())))
  end)

  it("forces nothing on a session that was not there", function()
    leave()
    local client = core.smtp_session()
    local peer = core.smtp_session()
    assert(peer:start_tls(server "good2"))
    assert(tls.start(client, { host = "localhost", port = 465, tls = "implicit", ssl = ssl }, "smtp"))
    converse(client, peer)
    assert_open(client)
    assert.is_false(client:tls_info().resumed)
  end)
end)

describe("contexts", function()
  it("are shared by equal options, and only by those", function()
    local ca = path "ca.crt"
    assert.equal(tls.context({ ca_file = ca }, "smtp"), (tls.context({ ca_file = ca }, "smtp")))
    assert.not_equal(tls.context({ ca_file = ca }, "imap"), (tls.context({ ca_file = ca }, "smtp")))
    assert.not_equal(tls.context({ ca_file = ca, verify = false }, "smtp"), (tls.context({ ca_file = ca }, "smtp")))
    assert.equal(3, (tls.kept()))
  end)

  it("say what is wrong with a file", function()
    local made, why = tls.context({ ca_file = path "none.crt" }, "smtp")
    assert.is_nil(made)
    assert.equal("cannot read trusted certificates " .. path "none.crt" .. ": No such file or directory", why)
    made, why = tls.context({ cert = path "good.crt", key = path "good2.key", ca_file = path "ca.crt" }, "smtp")
    assert.is_nil(made)
    assert.truthy(why:find("cannot use key", 1, true))
  end)

  it("raise where an option is unknown or of the wrong type", function()
    for _, ssl in ipairs {
      { verfy = true }, { verify = "no" }, { min_version = "2.0" }, { key = "x" }, { ca_file = 1 },
    } do
      assert.has_error(function() tls.check(ssl, "smtp.connect") end)
    end
    assert.has_error(function() core.tls_context { verfy = true } end)
    assert.has_error(function() core.tls_context { verify = 1 } end)
    assert.has_error(function() core.smtp_session():start_tls {} end)
    assert.has_error(function() core.smtp_session():start_tls(io.stderr) end)
  end)

  it("outlive their userdata as long as a session needs them", function()
    local client, peer = pair(server "good", function(s)
      return s:start_tls(context { ca_file = path "ca.crt" }, "localhost")
    end)
    collectgarbage()
    collectgarbage()
    converse(client, peer)
    assert_open(client)
  end)
end)

describe("a server", function()
  it("demands a client certificate where it verifies", function()
    local strict = tls.server_context({ cert = path "good.crt", key = path "good.key", verify = true,
      ca_file = path "ca.crt" }, "smtp")
    local ca = path "ca.crt"
    local function peer_of(ssl)
      local _, peer = meet(strict, ssl)
      return peer
    end
    local peer = peer_of { ca_file = ca, cert = path "client.crt", key = path "client.key" }
    assert.equal(read "client.crt", peer:tls_info().peer_certificate)
    assert_refused("did not return a certificate", peer_of { ca_file = ca })
    assert_refused("certificate verify failed", peer_of {
      ca_file = ca, cert = path "client_foreign.crt", key = path "client_foreign.key",
    })
  end)
end)
