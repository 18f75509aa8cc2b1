-- What is shared between connections, or kept for later ones, is shared by equal options alone: the names of pools
-- and of TLS sessions, each option by itself, and pools whose options the user changes afterwards.
local mail = require "mail"
local auth = require "mail.auth"
local connect = require "mail.connect"
local identity = require "mail.identity"
local keepalive = require "mail.keepalive"
local loop = require "mail.loop"
local scripted = require "spec.support.scripted"
local tls = require "mail.tls"

local function give() return "x" end

-- Two values of each option; the third says for which names they are the same on purpose: "pool", "tls", "both".
local VALUES = {
  host = { "a.example", "b.example", "pool" }, -- it stands in front, see below
  port = { 26, 27 }, tls = { "none", "starttls" }, tls_by = { "host", "own" }, ssl = { {}, { verify = false }, "tls" },
  login = { true, false, "tls" }, path = { "/a", "/b" }, command = { { "ssh", "a" }, { "ssh", "b" } },
  transport = { { read = print, write = print, close = print }, { read = print, write = print, close = error } },
  timeout = { 1, { answer = 2 }, "both" }, proxy = { "socks5://a:x@h:1", "socks5://a:y@h:1" },
  proxy_header = { { version = 1 }, { version = 2 } }, local_address = { "127.0.0.1", "127.0.0.2" },
  dns_servers = { "127.0.0.1", "127.0.0.2" }, resolver = { "own", "host" }, loop = { {}, { name = "x" }, "both" },
  log = { print, error, "both" }, limits = { { line = 1000 }, { line = 2000 }, "both" },
  user = { "ann", "bob" }, password = { "x", "y", "tls" }, token = { "x", "y", "tls" },
  mechanism = { "PLAIN", { name = "PLAIN", step = print } }, mechanism_floor = { "PLAIN", "SCRAM-SHA-256" },
  channel_binding = { "tls-exporter", false }, authzid = { "ann", "bob" },
  service = { "smtp", "imap" }, ccache = { "FILE:/a", "FILE:/b" }, allow_plaintext_login = { true, false },
  helo = { "a.example", "b.example" }, protocol = { "smtp", "lmtp" },
  chunking = { true, false, "pool" }, downgrade = { print, error, "pool" },
}
-- SMTP's own, of which TLS hears nothing.
local OWN = { helo = true, protocol = true, chunking = true, downgrade = true }

local host = { digest = function(text) return text end }

-- The name of the pool for plain connections with that option; `tls` and the carriers make other ones, or none.
local function pool_of(name, value)
  local o = { host = "mx.example", port = 25, tls = "none" }
  if name == "tls_by" or name == "tls" then o.tls, o.tls_by = "implicit", "host" end
  if name then o[name] = value end
  return keepalive.pool(o, "mx.example", host)
end

local function tls_of(name, value)
  local o = { host = "mx.example", port = 465, tls = "implicit" }
  o[name] = value
  return tls.session_key(o, "smtp", "mx.example", "context")
end

describe("the names under which connections are kept", function()
  it("are told apart by every option there is", function()
    for name in pairs(connect.OPTIONS) do assert.is_table(VALUES[name], name) end
    for name in pairs(mail.smtp.connect_options) do assert.is_table(VALUES[name], name) end
    for name in pairs(auth.OPTIONS) do assert.is_table(VALUES[name], name) end
  end)

  for name, values in pairs(VALUES) do
    local same = values[3]
    it(("of pools: %s"):format(name), function()
      local a, b = pool_of(name, values[1]), pool_of(name, values[2])
      local alike = same == "pool" or same == "both"
      assert.equal(alike, a == b)
      assert.is_true(alike or a ~= pool_of())
      assert.equal(a, (pool_of(name, values[1])))
    end)

    it(("of TLS sessions: %s"):format(name), function()
      if OWN[name] then return end
      local a, b = tls_of(name, values[1]), tls_of(name, values[2])
      local alike = same == "tls" or same == "both"
      assert.equal(alike, a == b)
      assert.equal(a, tls_of(name, values[1]))
    end)
  end

  it("hold every option of ssl", function()
    local made = {}
    for _, ssl in ipairs { {}, { verify = false }, { verify = true }, { server_name = "b.example" }, { cert = "a" },
      { ca_file = "a" }, { ca_path = "a" }, { key = "a" }, { min_version = "1.3" }, { ciphers = "a" }, { alpn = "a" },
      { alpn = false }, { pin_sha256 = "a" }, { pin_sha256 = { "a", "b" } }, { pin_sha256 = { "b", "a" } } } do
      local name = pool_of("ssl", ssl)
      assert.is_nil(made[name])
      made[name] = true
    end
  end)

  it("hold the server and its port", function()
    local o = { host = "a", port = 25, tls = "none" }
    assert.not_equal(keepalive.pool(o, "a", host), (keepalive.pool(o, "b", host)))
    assert.not_equal(tls.session_key(o, "smtp", "a", "c"), tls.session_key(o, "smtp", "b", "c"))
    assert.not_equal(tls.session_key(o, "smtp", "a", "c"), tls.session_key(o, "imap", "a", "c"))
    assert.not_equal(tls.session_key(o, "smtp", "a", "c"), tls.session_key(o, "smtp", "a", "d"))
  end)

  it("hold what a function gives, not the function", function()
    local function pool(password) return pool_of("password", password) end
    assert.equal(pool(function() return "x" end), (pool(give)))
    assert.not_equal(pool(function() return "y" end), (pool(give)))
    assert.is_nil(pool(function() return nil, "no password" end))
  end)
end)

describe("the text of options", function()
  it("is another one for values that only look alike", function()
    local seen = {}
    for i, options in ipairs { { a = 1 }, { a = "1" }, { a = true }, { a = "true" }, { b = 1 }, { a = 1, b = 1 },
      { a = { 1 } }, { a = { "1" } }, { a = { b = 1 } }, { a = {} }, {}, { "a" }, { a = "1,st1:b=nu1:1" },
      { a = print },
      { a = error }, { a = setmetatable({}, {}) }, { a = setmetatable({}, {}) }, { a = io.stdout },
      { a = "x", b = "" }, { a = "", b = "x" }, { [1] = "x" }, { ["1"] = "x" }, { a = { "b", "c" } },
      { a = { "b,c" } }, { a = { "c", "b" } }, { a = "x\0y" }, { a = "x" } } do
      local text = identity.of(options)
      assert.is_nil(seen[text], i)
      seen[text] = true
      assert.equal(text, identity.of(options))
    end
  end)

  it("is never that of an object which is gone", function()
    local seen = {}
    for _ = 1, 2000 do
      local text = identity.of { token = setmetatable({}, {}), password = function() return seen end }
      assert.is_nil(seen[text])
      seen[text] = true
    end
  end)

  it("is finite for tables that hold themselves", function()
    local around = {}
    around.around = around
    assert.is_string(identity.of { a = around })
    assert.is_table(identity.copy { a = around })
  end)

  it("of a copy without objects is that of the values", function()
    local copy = identity.copy({ a = 1, b = print, c = { d = 2, e = error, f = setmetatable({}, {}) } }, true)
    assert.equal(identity.of { a = 1, c = { d = 2 } }, identity.of(copy))
  end)
end)

-- A server that knows who logged in on which connection: `seen` holds "user sender" of each message.
local function server(seen)
  return function(peer, number)
    peer:send "220 mx\r\n"
    local user = "nobody"
    while true do
      local line = peer:line()
      if not line then return end
      local initial = line:match "^AUTH PLAIN (.*)$"
      if line:find "^EHLO" then
        peer:send "250-mx\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n"
      elseif initial then
        user = assert(require "mail.core".unbase64(initial)):match "^%z(%w+)%z"
        peer:send "235 ok\r\n"
      elseif line:find "^DATA" then
        peer:send "354 go\r\n"
        if not peer:through "\r\n.\r\n" then return end
        peer:send "250 ok\r\n"
      else
        local from = line:match "^MAIL FROM:<(%w+)@"
        if from then seen[#seen + 1] = ("%s %s %d"):format(user, from, number) end
        peer:send "250 ok\r\n"
      end
    end
  end
end

describe("pools", function()
  it("of one server never lend each other a connection", function()
    local seen = {}
    loop.run(function()
      local s = scripted.serve(server(seen), math.huge)
      local pools = {}
      for _, user in ipairs { "ann", "bob", "cy" } do
        pools[user] = mail.smtp.pool { host = "127.0.0.1", port = s.port, tls = "none", user = user, password = "x",
          allow_plaintext_login = true, size = 2, timeout = 10 }
      end
      local tasks = {}
      for i = 1, 60 do
        local user = ({ "ann", "bob", "cy" })[i % 3 + 1]
        tasks[i] = loop.spawn(function()
          assert(pools[user]:send { from = user .. "@a.example", to = "b@b.example", message = "\r\nx\r\n" })
        end)
      end
      for i = 1, 60 do tasks[i]:join() end
      for _, pool in pairs(pools) do pool:close { now = true } end
      s:close()
    end)
    assert.equal(60, #seen)
    for _, line in ipairs(seen) do assert.matches("^(%a+) %1 ", line) end
  end)

  it("keep to the options that they were made with", function()
    local ssl, command, limits, timeout = { ca_file = "/a" }, { "ssh", "a" }, { line = 1000 }, { answer = 5 }
    local pool = mail.smtp.pool { host = "127.0.0.1", ssl = ssl, limits = limits, timeout = timeout }
    ssl.verify, ssl.ca_file, limits.line, timeout.answer = false, "/b", 1, 0
    assert.same({ ca_file = "/a" }, pool.options.ssl)
    assert.same({ line = 1000 }, pool.options.limits)
    assert.same({ answer = 5 }, pool.options.timeout)
    pool = mail.smtp.pool { command = command }
    command[2] = "b"
    assert.same({ "ssh", "a" }, pool.options.command)
  end)

  it("take no transport, which is one connection", function()
    local ok, why = pcall(function() mail.smtp.pool { transport = { read = give, write = give, close = give } } end)
    assert.is_false(ok)
    assert.matches("identity_spec%.lua:%d+: smtp%.pool: option 'transport'", why)
  end)
end)
