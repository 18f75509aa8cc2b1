-- The PROXY protocol's header: its octets, and that it leaves before everything else.
local mail = require "mail"
local core = require "mail.core"
local loop = require "mail.loop"
local proxy_header = require "mail.proxy_header"
local scripted = require "spec.support.scripted"
local servers = require "spec.servers"

local V2 = "\r\n\r\n\0\r\nQUIT\n"

local function hex(s)
  return (s:gsub("..", function(c) return string.char(tonumber(c, 16)) end))
end

describe("mail.proxy_header.encode", function()
  local four = { source = "192.0.2.1", source_port = 40000, destination = "198.51.100.7", destination_port = 25 }
  local six = { source = "2001:db8::1", source_port = 40000, destination = "::ffff:192.0.2.9", destination_port = 465 }

  local function with(version, addresses)
    local o = { version = version }
    for name, value in pairs(addresses) do o[name] = value end
    return proxy_header.encode(o, {})
  end

  it("writes version 1", function()
    assert.equal("PROXY TCP4 192.0.2.1 198.51.100.7 40000 25\r\n", with(1, four))
    assert.equal("PROXY TCP6 2001:db8::1 ::ffff:192.0.2.9 40000 465\r\n", with(1, six))
    assert.equal("PROXY UNKNOWN\r\n", with(1, { ["local"] = true }))
    assert.equal("PROXY UNKNOWN\r\n", with(1, {}))
  end)

  it("writes version 2", function()
    assert.equal(V2 .. "\33\17\0\12" .. hex "C0000201C63364079C400019", with(2, four))
    assert.equal(V2 .. "\33\33\0\36" .. hex("20010DB8000000000000000000000001" .. "00000000000000000000FFFFC0000209"
      .. "9C4001D1"), with(2, six))
    assert.equal(V2 .. "\32\0\0\0", with(nil, { ["local"] = true }))
  end)

  it("fills in what is left out from the connection itself", function()
    local own = { source = "10.0.0.1", source_port = 5000, destination = "10.0.0.2", destination_port = 587 }
    assert.equal("PROXY TCP4 192.0.2.1 10.0.0.2 5000 587\r\n",
      proxy_header.encode({ version = 1, source = "192.0.2.1" }, own))
    local mapped = {
      source = "::ffff:10.0.0.1", source_port = 1, destination = "::ffff:10.0.0.2", destination_port = 2 }
    assert.equal("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", proxy_header.encode({ version = 1 }, mapped))
    local zone = { source = "fe80::1%eth0", source_port = 1, destination = "fe80::2%eth0", destination_port = 2 }
    assert.equal("PROXY TCP6 fe80::1 fe80::2 1 2\r\n", proxy_header.encode({ version = 1 }, zone))
  end)

  it("does not mix families", function()
    local bytes, why = with(2, { source = "192.0.2.1", destination = "::1" })
    assert.is_nil(bytes)
    assert.matches("families", why)
  end)

  it("reads every form of an IPv6 address, and no other", function()
    for _, good in ipairs { "::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4", "::ffff:1.2.3.4",
      "fe80::a:b" } do
      assert.is_string(with(2, { source = good, destination = "::1" }), good)
    end
    for _, bad in ipairs { "", "x", ":::", "1::2::3", "1:2:3", "12345::", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4",
      "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8", "192.0.2.1\r\nEHLO x", "::1%lo" } do
      local ok, why = pcall(function() proxy_header.check({ source = bad }, "x", 1) end)
      assert.is_false(ok, bad)
      assert.matches("source is no IP address", tostring(why))
    end
  end)
end)

describe("connect with proxy_header", function()
  it("sends it first, for all three protocols", function()
    local greetings = { smtp = "220 mx\r\n", pop3 = "+OK hi\r\n", imap = "* PREAUTH hi\r\n" }
    for name, greeting in pairs(greetings) do
      local first
      scripted.run(function(peer)
        first = peer:expect("^PROXY.*$")
        peer:send(greeting)
        peer:rest()
      end, function(port)
        return mail[name].connect { host = "127.0.0.1", port = port, tls = "none", timeout = 0.2, login = false,
          proxy_header = { version = 1, source = "192.0.2.1", source_port = 7, destination = "192.0.2.2" } }
      end)
      assert.matches("^PROXY TCP4 192%.0%.2%.1 192%.0%.2%.2 7 %d+$", first)
    end
  end)

  it("sends it in clear before the handshake of TLS", function()
    local first
    local _, err = scripted.run(function(peer)
      while #peer.input < #V2 + 16 + 6 do
        local had = peer.input
        peer.input = ""
        peer.input = had .. assert(peer:some())
      end
      first = peer.input
      peer:close()
    end, function(port)
      return mail.smtp.connect { host = "127.0.0.1", port = port, tls = "implicit", timeout = 10,
        proxy_header = { source = "192.0.2.1", source_port = 7, destination = "192.0.2.2", destination_port = 8 } }
    end)
    assert.is_table(err)
    assert.equal(V2 .. "\33\17\0\12" .. hex "C0000201C000020200070008", first:sub(1, 28))
    assert.equal("\22\3\1", first:sub(29, 31)) -- a TLS record: ClientHello
  end)

  it("is believed by Dovecot, in both versions, in clear and before TLS", function()
    local ports = {}
    for i = 1, 3 do -- free ones, as far as one can know
      local listener = assert(core.listen("127.0.0.1", "0"))
      ports[i] = select(2, listener:name())
      listener:close()
    end
    local s, why = servers.dovecot { users = 1, extra = ([[
haproxy_trusted_networks = 127.0.0.1/32
haproxy_timeout = 1s
service imap-login {
  inet_listener imap_proxied { port = %d
    haproxy = yes }
  inet_listener imaps_proxied { port = %d
    haproxy = yes
    ssl = yes }
}
service pop3-login {
  inet_listener pop3_proxied { port = %d
    haproxy = yes }
}
]]):gsub("{ port", "{\n port"):gsub("yes }", "yes\n}"):format(ports[1], ports[2], ports[3]) }
    if not s then return pending(why) end
    local function open(protocol, port, tls, header)
      return mail[protocol].connect { host = "localhost", port = port, tls = tls, ssl = { ca_file = s.ca_file },
        user = s.user, password = s.password, allow_plaintext_login = true, timeout = 20, proxy_header = header }
    end
    for _, version in ipairs { 1, 2 } do
      local header = { version = version, source = "192.0.2.77", source_port = 4 }
      for _, how in ipairs { { "imap", ports[1], "none" }, { "imap", ports[2], "implicit" },
        { "pop3", ports[3], "none" } } do
        local session = assert(open(how[1], how[2], how[3], header))
        session:close()
      end
    end
    local none = open("imap", ports[1], "none", nil)
    assert.is_nil(none)
    assert.matches("rip=192%.0%.2%.77", s.keeper:read "log")
  end)

  it("raises for what is no header", function()
    for _, bad in ipairs { { version = 3 }, { source = "x" },
      { source_port = 70000 }, { color = 1 }, { source = 5 } } do
      local ok, why = pcall(function() mail.smtp.connect { host = "x", proxy_header = bad } end)
      assert.is_false(ok)
      assert.matches("proxy_header_spec.lua:%d+: smtp.connect", tostring(why))
    end
    assert.equal(0, loop.step(0))
  end)
end)
