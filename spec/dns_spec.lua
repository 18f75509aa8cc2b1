-- Names, asked of a real name server, and the order in which what it says is tried.
local mail = require "mail"
local core = require "mail.core"
local descriptors = require "spec.support.descriptors"
local loop = require "mail.loop"
local servers = require "spec.servers"

local dns = mail.dns

local RECORDS = [[
mail.example.test A 127.0.0.1
mail.example.test A 127.0.0.2
mail.example.test AAAA ::1
example.test MX 20 mx2.example.test
example.test MX 10 mx1.example.test
example.test TXT "v=spf1 " "ip4:192.0.2.1 -all"
example.test TXT "another"
s1._domainkey.example.test TXT "v=DKIM1; p=%s" "%s" "%s"
_dmarc.xn--bcher-kva.test TXT "v=DMARC1"
xn--bcher-kva.test MX 5 mx1.example.test
nomail.example.test MX 0 .
_imaps._tcp.example.test SRV 1 0 993 spare.example.test
_imaps._tcp.example.test SRV 0 5 9993 mail.example.test
_imap._tcp.example.test SRV 0 0 0 .
mute.example.test MUTE
1.2.0.192.in-addr.arpa PTR mail.example.test
1.2.0.192.in-addr.arpa PTR www.example.test
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR six.example.test
9.2.0.192.in-addr.arpa MUTE
8.2.0.192.in-addr.arpa RR 12 03 610d0a 04 74657374 00
odd.example.test RR 15 0001 03 612062 04 74657374 00
odd.example.test RR 15 0002 03 610d0a 04 74657374 00
odd.example.test RR 15 0003 03 610062 04 74657374 00
odd.example.test RR 15 0004 03 612e62 04 74657374 00
half.example.test RR 15 0001 03 612062 04 74657374 00
half.example.test MX 10 mx1.example.test
_odd._tcp.example.test RR 33 0000 0001 03e1 03 612062 04 74657374 00
]]

local long = ("k"):rep(200)

local function server()
  return servers.dns { records = RECORDS:format(long, long, long) }
end

local function options(more)
  local o = { dns_servers = server().servers, timeout = 10 }
  for name, value in pairs(more or {}) do o[name] = value end
  return o
end

if not server() then
  describe("names", function() pending "there is no dnsmasq here" end)
  return
end

local function sorted(list)
  table.sort(list)
  return list
end

describe("addresses", function()
  it("are those of both families, or of one", function()
    assert.same({ "127.0.0.1", "127.0.0.2", "::1" }, sorted(assert(dns.addresses("mail.example.test", options()))))
    assert.same({ "::1" }, dns.addresses("mail.example.test", options { family = 6 }))
    assert.same({ "127.0.0.1", "127.0.0.2" },
      sorted(assert(dns.addresses("mail.example.test.", options { family = 4 }))))
  end)

  it("may be literals, which nobody is asked about", function()
    local nobody = { dns_servers = "127.0.0.1:1", timeout = 1 }
    for text, address in pairs {
      ["192.0.2.1"] = "192.0.2.1", ["[192.0.2.1]"] = "192.0.2.1", ["[IPv6:2001:db8::1]"] = "2001:db8::1",
      ["[ipv6:::1]"] = "::1", ["2001:db8::2"] = "2001:db8::2",
    } do
      assert.same({ address }, dns.addresses(text, nobody))
    end
  end)

  it("that are not there say what is missing", function()
    local ok, err = dns.addresses("nowhere.example.test", options())
    assert.same({ nil, "dns", "name", false }, { ok, err.kind, err.missing, err.temporary })
    ok, err = dns.addresses("_imaps._tcp.example.test", options())
    assert.same({ nil, "dns", "record", false }, { ok, err.kind, err.missing, err.temporary })
    ok, err = dns.addresses("elsewhere.invalid-tld", options()) -- the server refuses: it may know later
    assert.same({ nil, "dns", nil, true }, { ok, err.kind, err.missing, err.temporary })
  end)
end)

describe("mail exchangers", function()
  it("come in the order of their preference", function()
    assert.same({ { host = "mx1.example.test", preference = 10 }, { host = "mx2.example.test", preference = 20 } },
      dns.mx("example.test", options()))
  end)

  it("are the host itself where there is none", function()
    assert.same({ { host = "mail.example.test", preference = 0, implicit = true } },
      dns.mx("mail.example.test", options()))
    local ok, err = dns.mx("nowhere.example.test", options())
    assert.same({ nil, "dns", "name" }, { ok, err.kind, err.missing })
    ok, err = dns.mx("_imaps._tcp.example.test", options())
    assert.same({ nil, "dns", "record" }, { ok, err.kind, err.missing })
    assert.matches("neither mail exchanger nor address", err.message)
  end)

  it("may be none on purpose", function()
    local ok, err = dns.mx("nomail.example.test", options())
    assert.is_nil(ok)
    assert.same({ "rejected", "5.1.10", false }, { err.kind, err.enhanced, err.temporary })
  end)

  it("are hosts, or are left out: nobody connects to what has a space or a line break in it", function()
    local ok, err = dns.mx("odd.example.test", options())
    assert.same({ nil, "dns", false }, { ok, err.kind, err.temporary })
    assert.same({ { host = "mx1.example.test", preference = 10 } }, dns.mx("half.example.test", options()))
    ok, err = dns.srv("odd", "example.test", options())
    assert.same({ nil, "dns", false }, { ok, err.kind, err.temporary })
    ok, err = dns.ptr("192.0.2.8", options())
    assert.same({ nil, "dns" }, { ok, err.kind })
  end)

  it("of an address literal and of an internationalized name", function()
    assert.same({ { host = "2001:db8::1", preference = 0, literal = true } }, dns.mx("[IPv6:2001:db8::1]"))
    assert.equal("mx1.example.test", assert(dns.mx("B\195\188cher.test", options()))[1].host)
  end)
end)

describe("services", function()
  it("come by priority, with their ports", function()
    assert.same({ { host = "mail.example.test", port = 9993, priority = 0, weight = 5 },
      { host = "spare.example.test", port = 993, priority = 1, weight = 0 } },
      dns.srv("imaps", "example.test", options()))
    assert.equal(2, #assert(dns.srv("_imaps._tcp", "example.test", options())))
  end)

  it("may be refused, or not be mentioned", function()
    local ok, err = dns.srv("imap", "example.test", options())
    assert.same({ nil, "unsupported" }, { ok, err.kind })
    ok, err = dns.srv("pop3", "example.test", options())
    assert.same({ nil, "dns", "name" }, { ok, err.kind, err.missing })
  end)
end)

describe("texts", function()
  it("have their strings joined, whatever their length", function()
    assert.same({ "another", "v=spf1 ip4:192.0.2.1 -all" }, sorted(assert(dns.txt("example.test", options()))))
    assert.same({ "v=DKIM1; p=" .. long:rep(3) }, dns.txt("s1._domainkey.example.test", options()))
    assert.same({ "v=DMARC1" }, dns.txt("_dmarc.b\195\188cher.test", options()))
  end)
end)

describe("the names of an address", function()
  it("are all that the DNS has", function()
    assert.same({ "mail.example.test", "www.example.test" }, sorted(assert(dns.ptr("192.0.2.1", options()))))
    for _, text in ipairs { "2001:db8::1", "2001:0DB8:0:0::0:1", "[IPv6:2001:db8::1]" } do
      assert.same({ "six.example.test" }, dns.ptr(text, options()))
    end
    assert.equal(2, #assert(dns.ptr("::ffff:192.0.2.1", options())))
  end)

  it("may be missing, or not be told in time", function()
    local ok, err = dns.ptr("192.0.2.2", options())
    assert.same({ nil, "dns", "name", false }, { ok, err.kind, err.missing, err.temporary })
    ok, err = dns.ptr("192.0.2.9", options { timeout = 0.2 })
    assert.same({ nil, "timeout", true }, { ok, err.kind, err.temporary })
  end)

  it("are not asked for where it is none", function()
    for _, text in ipairs { "", "mail.example.test", "192.0.2", "192.0.2.256", "[x]", "1.2.0.192.in-addr.arpa",
        "2001:db8::1%lo", "192.0.2.1\r\n" } do
      local ok, err = dns.ptr(text, options())
      assert.same({ nil, "dns", false }, { ok, err and err.kind, err and err.temporary }, text)
      assert.is_nil(err.message:find "%c")
    end
    assert.is_false((pcall(dns.ptr)))
  end)
end)

describe("the order of rows", function()
  local function order(rows, picks)
    local at = 0
    local out = dns.order(rows, function(most)
      at = at + 1
      return math.min(picks[at], most)
    end)
    local names = {}
    for i, row in ipairs(out) do names[i] = row.name end
    return table.concat(names, " ")
  end

  it("is drawn by weight, those without any last only by luck (RFC 2782)", function()
    local rows = { { name = "a", priority = 1, weight = 10 }, { name = "b", priority = 1, weight = 30 },
      { name = "z", priority = 1, weight = 0 }, { name = "first", priority = 0, weight = 0 } }
    assert.equal("first z a b", order(rows, { 0, 0, 0, 0, 0 }))
    assert.equal("first a b z", order(rows, { 0, 10, 30, 0, 0 }))
    assert.equal("first b a z", order(rows, { 0, 11, 10, 0, 0 }))
    assert.equal("first b z a", order(rows, { 0, 40, 0, 0, 0 }))
  end)

  it("is any order where nothing has weight", function()
    local rows = { { name = "a", priority = 1, weight = 0 }, { name = "b", priority = 1, weight = 0 } }
    local seen = { ["a b"] = order(rows, { 1, 0 }), ["b a"] = order(rows, { 0, 0 }) }
    assert.is_true(seen["a b"] ~= seen["b a"])
    local firsts = {}
    for _ = 1, 200 do firsts[dns.order(rows)[1].name] = true end
    assert.same({ a = true, b = true }, firsts)
  end)
end)

describe("a question", function()
  it("has a deadline", function()
    local began = core.now()
    local ok, err = dns.txt("mute.example.test", options { timeout = 0.2 })
    assert.same({ nil, "timeout", true }, { ok, err.kind, err.temporary })
    assert.is_true(core.now() - began < 2)
  end)

  it("for what is no name is refused before it is asked", function()
    for _, name in ipairs { "", ".", "a..b", "a b.test", "a\\.b.test", "a\0b.test", ("a"):rep(64) .. ".test",
        ("abcd."):rep(60) .. "test", "[example.test]", "a\r\nb.test" } do
      local ok, err = dns.mx(name, options())
      assert.same({ nil, "dns", false }, { ok, err and err.kind, err and err.temporary }, name)
      assert.is_nil(err.message:find "%c")
    end
    assert.has_error(function() dns.mx() end, nil)
    local ok, err = pcall(function() dns.mx("example.test", { server = "x" }) end)
    assert.is_false(ok)
    assert.matches("dns_spec.lua:%d+: dns.mx: unknown option 'server'", err)
  end)

  it("leaves nothing behind when it is cancelled", function()
    descriptors.steady(function()
      loop.run(function()
        local task = loop.spawn(function() return dns.txt("mute.example.test", options()) end)
        loop.sleep(0.01)
        task:cancel()
        local ok, err = task:join()
        assert.same({ nil, "cancelled" }, { ok, err.kind })
      end)
    end)
  end)

  it("is asked beside others in one thread", function()
    local count = 0
    loop.run(function()
      for _ = 1, 20 do
        loop.spawn(function()
          local list = assert(dns.mx("example.test", options()))
          count = count + #list
        end)
      end
    end)
    assert.equal(40, count)
  end)

  it("is asked on loops that cannot wait for a descriptor, too", function()
    local native = loop.native
    local host = { name = "no descriptors", dial = function() return nil, "none" end, now = native.now,
      event = native.event, sleep = native.sleep, spawn = native.spawn }
    local found, ok, err = nil, nil, nil
    loop.run(function()
      found = assert(dns.txt("s1._domainkey.example.test", options { loop = host }))
      local task = loop.spawn(function() return dns.txt("mute.example.test", options { loop = host }) end)
      loop.sleep(0.01)
      task:cancel()
      ok, err = task:join()
    end)
    assert.equal(611, #found[1])
    assert.same({ nil, "cancelled" }, { ok, err.kind })
    ok, err = dns.txt("mute.example.test", options { loop = host, timeout = 0.05 })
    assert.same({ nil, "timeout" }, { ok, err.kind })
  end)
end)
