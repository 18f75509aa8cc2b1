-- mail.discover: the table, and what a real name server says.
local mail = require "mail"
local core = require "mail.core"
local loop = require "mail.loop"
local providers = require "mail.providers"
local servers = require "spec.servers"

local RECORDS = [[
_imaps._tcp.full.example SRV 0 1 993 imap.full.example
_imap._tcp.full.example SRV 0 1 143 imap.full.example
_imaps._tcp.full.example SRV 10 1 993 spare.full.example
_pop3s._tcp.full.example SRV 0 0 0 .
_pop3._tcp.full.example SRV 0 1 110 pop.full.example
_submission._tcp.full.example SRV 0 1 587 smtp.elsewhere.example
_submissions._tcp.xn--bcher-kva.example SRV 0 1 465 smtp.xn--bcher-kva.example
_imap._tcp.notfull.example SRV 0 1 143 imap.evilnotfull.example
customer.example MX 10 aspmx.l.google.com
customer2.example MX 10 customer2-example.mail.protection.outlook.com
customer3.example MX 10 mxgoogle.com
plain.example MX 10 mx.plain.example
imap.plain.example A 127.0.0.1
mail.plain.example A 127.0.0.1
nothing.example TXT "here"
_imaps._tcp.mute.example MUTE
_submissions._tcp.late.example MUTE
_imaps._tcp.late.example SRV 0 1 993 imap.late.example
]]

local names = servers.dns { records = RECORDS }

local function find(address, more)
  local o = { dns_servers = names and names.servers or "127.0.0.1:1", timeout = 10 }
  for name, value in pairs(more or {}) do o[name] = value end
  return mail.discover(address, o)
end

describe("the table of providers", function()
  it("answers without a question", function()
    local found = assert(mail.discover("ann.b@gmail.com", { dns_servers = "127.0.0.1:1", timeout = 1 }))
    assert.same({
      imap = { host = "imap.gmail.com", port = 993, tls = "implicit" },
      pop3 = { host = "pop.gmail.com", port = 995, tls = "implicit" },
      smtp = { host = "smtp.gmail.com", port = 465, tls = "implicit" },
      source = "table", provider = "gmail", login = "app-password", user = "ann.b@gmail.com", domain = "gmail.com",
    }, found)
    found = assert(mail.discover "Ann@ICLOUD.com.")
    assert.same({ host = "imap.mail.me.com", port = 993, tls = "implicit", user = "Ann" }, found.imap)
    assert.same({ host = "smtp.mail.me.com", port = 587, tls = "starttls" }, found.smtp)
    assert.is_nil(found.pop3)
    found = assert(mail.discover "outlook.com")
    assert.same({ "oauth2", "starttls", nil }, { found.login, found.smtp.tls, found.user })
    found = assert(mail.discover "x@proton.me")
    assert.same({ host = "127.0.0.1", port = 1143, tls = "starttls" }, found.imap)
  end)

  it("holds names and ports that can be right", function()
    local count = 0
    for _, set in ipairs { providers.by_domain, providers.by_exchanger } do
      for domain, provider in pairs(set) do
        count = count + 1
        assert.equal(domain, core.idn(domain))
        for _, protocol in ipairs { "imap", "pop3", "smtp" } do
          local server = provider[protocol]
          if server then
            assert.matches("^[%w.-]+$", server.host)
            assert.is_true(server.port > 0 and (server.tls == "implicit" or server.tls == "starttls"))
          end
        end
        assert.is_table(provider.imap)
        assert.is_table(provider.smtp)
      end
    end
    assert.is_true(count > 80)
    for _, domain in ipairs { "gmail.com", "outlook.com", "yahoo.com", "icloud.com", "fastmail.com", "gmx.de", "web.de",
        "qq.com", "163.com", "zoho.com", "yandex.ru", "mail.ru", "proton.me" } do
      assert.is_table(providers.by_domain[domain], domain)
    end
  end)
end)

describe("an argument", function()
  it("that is no address is an error, one of another type raises", function()
    for _, address in ipairs { "", "ann@", "@example.com", "ann@[192.0.2.1]", "ann", "a b@example.com",
        "ann@exa\r\nmple.com", "ann@a b.com" } do
      local ok, err = find(address)
      assert.same({ nil, "invalid" }, { ok, err and err.kind }, address)
    end
    assert.has_error(function() mail.discover() end)
    local ok, err = pcall(function() mail.discover("a@b.example", { guesses = true }) end)
    assert.is_false(ok)
    assert.matches("discover_spec.lua:%d+: mail.discover: unknown option 'guesses'", err)
  end)
end)

describe("the DNS", function()
  if not names then return pending "there is no dnsmasq here" end

  it("has SRV records, implicit TLS first", function()
    local found = assert(find "ann@full.example")
    assert.same({
      imap = { host = "imap.full.example", port = 993, tls = "implicit" },
      pop3 = { host = "pop.full.example", port = 110, tls = "starttls" },
      smtp = { host = "smtp.elsewhere.example", port = 587, tls = "starttls", target_outside = true },
      others = { imap = { { host = "spare.full.example", port = 993, tls = "implicit" },
        { host = "imap.full.example", port = 143, tls = "starttls" } } },
      source = "srv", user = "ann@full.example", domain = "full.example", target_outside = true,
    }, found)
    found = assert(find "ann@b\195\188cher.example")
    assert.same({ "smtp.xn--bcher-kva.example", "xn--bcher-kva.example", nil },
      { found.smtp.host, found.domain, found.target_outside })
    assert.is_true(assert(find "ann@notfull.example").imap.target_outside) -- no part of a label
  end)

  it("has mail exchangers, by which customers of providers are known", function()
    local found = assert(find "ann@customer.example")
    assert.same({ "mx", "gmail", true, "imap.gmail.com", true },
      { found.source, found.provider, found.target_outside, found.imap.host, found.imap.target_outside })
    assert.same("smtp.office365.com", assert(find "ann@customer2.example").smtp.host)
    local ok, err = find "ann@customer3.example"
    assert.same({ nil, "dns", false }, { ok, err.kind, err.temporary })
    assert.is_nil(providers.by_domain["gmail.com"].imap.target_outside)
  end)

  it("is asked for guesses only where that is wished", function()
    local ok, err = find "ann@plain.example"
    assert.same({ nil, "dns" }, { ok, err.kind })
    assert.matches("does not say", err.message)
    local found = assert(find("ann@plain.example", { guess = true }))
    assert.same({ "guess", "imap.plain.example", "mail.plain.example", "mail.plain.example", 465 },
      { found.source, found.imap.host, found.pop3.host, found.smtp.host, found.smtp.port })
    ok, err = find("ann@nothing.example", { guess = true })
    assert.same({ nil, "dns", "record" }, { ok, err.kind, err.missing })
    ok, err = find("ann@nowhere.example", { guess = true })
    assert.same({ nil, "dns", "name" }, { ok, err.kind, err.missing })
  end)

  it("that does not answer is no reason to take something else", function()
    for _, domain in ipairs { "mute.example", "late.example" } do
      local began = core.now()
      local ok, err = find("ann@" .. domain, { timeout = 0.2, guess = true })
      assert.same({ nil, "timeout", true }, { ok, err.kind, err.temporary })
      assert.is_true(core.now() - began < 2)
    end
  end)

  it("is asked in a task, and leaves it when it is cancelled", function()
    loop.run(function()
      local task = loop.spawn(function() return find("ann@mute.example") end)
      loop.sleep(0.05)
      task:cancel()
      local ok, err = task:join()
      assert.same({ nil, "cancelled" }, { ok, err.kind })
    end)
  end)
end)
