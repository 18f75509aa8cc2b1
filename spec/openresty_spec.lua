-- Inside a real nginx with its Lua module, against real servers: phases, requests, timers, the pool, messages
-- sent later, owners, and the reload of workers. (That the adapter does what every adapter must is proved by
-- spec/hosts_spec.lua.)
local files = require "spec.support.files"
local Keeper = require "spec.servers.keeper"
local http = require "spec.support.http"
local loop = require "mail.loop"
local servers = require "spec.servers"

local server, missing = servers.mail {}
local nginx

local function source(name) return files.slurp(Keeper.root .. "/" .. name) end

if server then
  local user = server:add_user()
  nginx, missing = servers.nginx {
    private = true, files = { ["remote.lua"] = source "spec/support/remote.lua" },
    values = { IMAP = server.ports.imap, IMAPS = server.ports.imaps, SMTPS = server.ports.exim_submissions,
      SMTP = server.ports.exim_submission, MX = server.ports.smtp, POPS = server.ports.pop3s, USER = user.name,
      FOREIGN = servers.certificates().foreign_ca_file },
    http = [[
      lua_ssl_trusted_certificate @CA;
      lua_ssl_verify_depth 3;
      init_by_lua_block { require "remote".note(@IMAP) }
      init_worker_by_lua_block {
        require "remote".note(@IMAP)
        require "remote".at = { imap = @IMAP, imaps = @IMAPS, smtp = @SMTP, smtps = @SMTPS, user = "@USER", ca = "@CA" }
      }
    ]],
    server = [[
      client_body_buffer_size 64k;
      location = /run { content_by_lua_block { require "remote".run() } }
      location = /foreign {
        lua_ssl_trusted_certificate @FOREIGN;
        content_by_lua_block { require "remote".run() }
      }
      location = /aborted {
        lua_check_client_abort on;
        content_by_lua_block {
          ngx.on_abort(function() ngx.exit(499) end)
          local kept = require "remote".kept
          local session = assert(require "mail".imap.connect { host = "localhost", port = @IMAPS, user = "@USER",
            password = "secret", ssl = { ca_file = "@CA" } })
          kept.weak[session] = true
          assert(session:select "INBOX")
          kept.begun = true
          for _ in session:idle { timeout = 60 } do end
        }
      }
      location = /phases {
        set_by_lua_block $x { require "remote".note(@IMAP) return "" }
        rewrite_by_lua_block { require "remote".note(@IMAP) }
        access_by_lua_block { require "remote".note(@IMAP) }
        content_by_lua_block {
          require "remote".note(@IMAP)
          ngx.timer.at(0, function() require "remote".note(@IMAP) end)
          ngx.say "done"
        }
        header_filter_by_lua_block { require "remote".note(@IMAP) }
        body_filter_by_lua_block { require "remote".note(@IMAP) }
        log_by_lua_block { require "remote".note(@IMAP) }
      }
      location = /send_in_log {
        content_by_lua_block { ngx.say "done" }
        log_by_lua_block {
          local ok, err = require "mail.resty".send_later {
            smtp = { host = "127.0.0.1", port = @MX, tls = "none", helo = "nginx.example.test" },
            from = "nginx@example.test", to = "@USER@example.test", message = "Subject: from the log phase\r\n\r\n",
            on_sent = function(receipt) ngx.log(ngx.WARN, "SENT ", receipt.accepted[1]) end,
          }
          if not ok then ngx.log(ngx.ERR, tostring(err)) end
        }
      }
    ]],
  }
  if nginx then nginx.user = user end
end

local function real(name, fn)
  it(name, function()
    if not nginx then return pending(missing) end
    fn()
  end)
end

-- What stands before every snippet: the accounts.
local PRELUDE = [[
  local at = require "remote".at
  local function account(port, tls, more)
    local o = { host = "localhost", port = port, tls = tls, user = at.user, password = "secret", timeout = 10,
      ssl = more and more.tls_by == "host" and {} or { ca_file = at.ca } }
    for name, value in pairs(more or {}) do o[name] = value end
    return o
  end
  local function imap(more) return mail.imap.connect(account(at.imaps, "implicit", more)) end
  local function smtp(more) return mail.smtp.connect(account(at.smtps, "implicit", more)) end
  local LETTER = "Subject: x\r\n\r\nhello\r\n"
  local function send(session)
    local receipt, err = session:send { from = "a@example.test", to = at.user .. "@example.test", message = LETTER }
    return receipt and #receipt.accepted or tostring(err)
  end
]]

-- Runs a snippet in a request: what it returned, as a list of strings.
local function run(snippet, path)
  local status, body = http.request(nginx.ports.http, path or "/run", { body = PRELUDE:gsub("\n", " ") .. snippet })
  assert.equal(200, status, tostring(body) .. nginx:log())
  local list = {}
  for line in body:gmatch "([^\n]*)\n" do list[#list + 1] = line end
  return list
end

local function outcome(snippet, path) return table.concat(run(snippet, path), "\n") end

local function eventually(look)
  local give_up = loop.now() + 20
  local seen = look()
  while not seen and loop.now() < give_up do
    loop.sleep(0.02)
    seen = look()
  end
  return seen
end

-- --- phases -----------------------------------------------------------------------------------------

describe("In nginx's phases", function()
  real("sessions run in rewrite, access, content and timers; elsewhere an error names phase and remedy", function()
    assert.equal(200, (http.request(nginx.ports.http, "/phases")))
    local log
    eventually(function()
      log = nginx:log()
      return log:find "PHASE timer" and log:find "PHASE log"
    end)
    for _, phase in ipairs { "rewrite", "access", "content", "timer" } do
      assert.is_truthy(log:find("PHASE " .. phase .. ": a session", 1, true), phase .. "\n" .. log)
    end
    for _, phase in ipairs { "init_worker", "set", "header_filter", "body_filter", "log" } do
      assert.is_truthy(log:find(("PHASE %s: unsupported imap: nginx allows no sockets in %s_by_lua: use ngx.timer.at, "
        .. "or send with mail.resty.send_later"):format(phase, phase), 1, true), phase .. "\n" .. log)
    end
    assert.is_truthy(log:find("PHASE init: unsupported imap: nginx allows no sockets in init_by_lua", 1, true), log)
    assert.is_nil(log:find("[error]", 1, true), log)
  end)

  real("a message can be sent from the log phase", function()
    assert.equal(200, (http.request(nginx.ports.http, "/send_in_log")))
    assert.is_truthy(eventually(function() return nginx:log():find("SENT " .. nginx.user.address, 1, true) end),
      nginx:log())
  end)
end)

-- --- requests ---------------------------------------------------------------------------------------

describe("In a request", function()
  real("the adapter is chosen by itself, TLS is our own, IDLE and commands share a session", function()
    assert.same({ "openresty", "TLSv1.3", "0", "INBOX", "true" }, run [[
      local session = assert(imap())
      assert(session:select "INBOX")
      local idle = mail.loop.host().spawn(pcall, function() for _ in session:idle { timeout = 5 } do end end)
      ngx.sleep(0.05)
      local list = {}
      for i = 1, 3 do
        list[i] = ngx.thread.spawn(function() return #assert(session:search { subject = "none such" }) end)
      end
      local _, found = ngx.thread.wait(list[1])
      local name = session:list("INBOX")[1].name
      session:close()
      ngx.thread.wait(idle)
      return mail.loop.host().name, "TLSv1.3", found, name, true ]])
  end)

  real("STARTTLS is our own TLS, and the host's is refused for it", function()
    assert.same({ "TLSv1.3" }, run [[ return assert(mail.imap.connect(account(at.imap, "starttls"))).tls.version ]])
    assert.matches("^raised snippet:1: imap.connect: tls_by = 'host' is for tls = 'implicit' alone, not 'starttls'$",
      outcome [[ mail.imap.connect(account(at.imap, "starttls", { tls_by = "host" })) ]])
  end)

  real("a reader ends when another thread closes the session", function()
    local list = run [[
      local session = assert(imap())
      assert(session:select "INBOX")
      local reader = ngx.thread.spawn(function()
        local ok, err = pcall(function() for _ in session:idle { timeout = 60 } do end end)
        return tostring(ok) .. " " .. tostring(err)
      end)
      ngx.sleep(0.1)
      local from = mail.loop.now()
      session:close()
      local _, said = ngx.thread.wait(reader)
      return said, mail.loop.now() - from ]]
    assert.matches("^false imap.*closed", list[1])
    assert.is_true(tonumber(list[2]) < 1, list[2])
  end)

  real("a session of another request is refused with the rule, and lives on in its own", function()
    local first
    local own = loop.spawn(function()
      first = run [[
        kept.session = assert(imap())
        kept.ready = true
        for _ = 1, 400 do if kept.used then break end ngx.sleep(0.02) end
        return tostring(kept.session:noop()) ]]
    end)
    local second
    loop.run(function()
      second = run [[
        for _ = 1, 400 do if kept.ready then break end ngx.sleep(0.02) end
        local ok, err = kept.session:noop()
        kept.used = true
        return tostring(ok), err.kind, err.message ]]
      own:join()
    end)
    assert.equal("nil", second[1])
    assert.equal("invalid", second[2])
    assert.matches("request or timer that opened it: share one between requests with mail.resty.owner", second[3])
    assert.same({ "true" }, first)
    -- And after its request has ended.
    local after = outcome [[ local ok, err = kept.session:noop() return tostring(ok), err.kind ]]
    assert.is_truthy(after == "nil\ninvalid" or after == "nil\nclosed", after)
  end)

  real("whose client goes away nothing is left behind", function()
    outcome [[ kept.weak = setmetatable({}, { __mode = "k" }) ]]
    http.abandon(nginx.ports.http, "/aborted", function()
      assert.is_truthy(eventually(function() return outcome [[ return kept.begun ]] == "true" end))
    end)
    assert.is_truthy(eventually(function()
      return outcome [[
        for _ = 1, 4 do collectgarbage() end
        return kept.begun and not next(kept.weak) ]] == "true"
    end))
  end)

  real("timeouts are kept, and the session goes on after them", function()
    local list = run [[
      local session = assert(imap())
      assert(session:select "INBOX")
      local from = mail.loop.now()
      local ok, err = session:idle { timeout = 0.3 }:next()
      return tostring(ok), mail.loop.now() - from, tostring(session:noop()) ]]
    assert.is_true(tonumber(list[2]) > 0.25 and tonumber(list[2]) < 2, list[2])
    assert.equal("true", list[3])
  end)

  real("50 MB come in through the pump", function()
    assert.same({ "52428800" }, run [[
      local session = assert(mail.imap.connect(account(at.imap, "none", { allow_plaintext_login = true })))
      local line = ("x"):rep(1022) .. "\r\n"
      assert(session:create "big")
      assert(session:append("big", "Subject: big\r\n\r\n" .. line:rep(51200 - 16384) .. line:rep(16384)))
      assert(session:select "big")
      local got = 0
      local function sink(_, _, chunk)
        got = got + #(chunk or "")
        return true
      end
      for _ in session:fetch("1", { "body" }, { sink = sink }) do end
      assert(session:delete "big")
      return got - #"Subject: big\r\n\r\n" ]])
  end)
end)

describe("Names in nginx", function()
  real("are found by our own resolver where nginx has none, and by nginx's alone where that is asked for", function()
    assert.equal("true", outcome [[ local s = assert(imap { resolver = "own" }) return tostring(s:logout()) ]])
    assert.matches("^dns\nimap: localhost:%d+: no resolver defined", outcome [[
      local s, err = imap { resolver = "host" } return err.kind, tostring(err) ]])
    assert.matches("^raised snippet:1: imap.connect: option 'resolver' must be host or own",
      outcome [[ imap { resolver = "both" } ]])
  end)

  real("that do not exist, and addresses that refuse, are errors of their kind", function()
    assert.matches("^connect\nimap: ::1:1: ", outcome [[
      local s, err = mail.imap.connect { host = "[::1]", port = 1, tls = "none" } return err.kind, tostring(err) ]])
    assert.matches("^connect\nimap: 127.0.0.1:1: connection refused", outcome [[
      local s, err = mail.imap.connect { host = "127.0.0.1", port = 1, tls = "none" } return err.kind, tostring(err) ]])
    assert.matches("^timeout\nimap: no%-such%-host%.example%.test: no answer from the name servers in time", outcome [[
      local s, err = imap { host = "no-such-host.example.test", resolver = "own", dns_servers = "127.0.0.1:1",
        timeout = 0.3 } return err.kind, tostring(err) ]])
  end)
end)

-- A name server that nginx is told of.
local names = nginx and servers.dns { records = [[
mail.example.test A 127.0.0.1
mute.example.test MUTE
_imaps._tcp.example.test SRV 0 1 993 mail.example.test
example.test MX 10 mail.example.test
example.test TXT "v=spf1 " "-all"
]] }

describe("nginx's resolver", function()
  local function named(name, fn)
    real(name, function()
      if not names then return pending "there is no dnsmasq here" end
      fn(names.ports.dns)
    end)
  end

  setup(function()
    if names then
      nginx.options.values.NAMES = names.ports.dns
      nginx.options.server = nginx.options.server .. [[
        location = /names {
          resolver 127.0.0.1:@NAMES valid=1s ipv6=off;
          resolver_timeout 1s; # for as long a query holds even a worker that leaves
          content_by_lua_block { require "remote".run() }
        }
      ]]
      nginx:stop()
      assert(nginx:start())
    end
  end)

  named("is asked first where the configuration has one", function()
    for _, which in ipairs { "", "resolver = 'host'" } do
      assert.equal("true", outcome(([[ local s = assert(mail.imap.connect(account(at.imap, "none",
        { host = "mail.example.test", login = false, %s }))) return tostring(s:logout()) ]]):format(which), "/names"))
    end
  end)

  named("knows no localhost: then our own is asked, unless only the host's is wanted", function()
    assert.equal("true", outcome([[ local s = assert(imap()) return tostring(s:logout()) ]], "/names"))
    assert.matches("^dns\nimap: localhost:%d+: localhost could not be resolved %(3: Host not found%)", outcome([[
      local s, err = imap { resolver = "host" } return err.kind, tostring(err) ]], "/names"))
  end)

  named("that is mute does not outlast the deadline", function()
    local list = run([[
      local from = mail.loop.now()
      local s, err = imap { host = "mute.example.test", timeout = 0.4 }
      return err.kind, mail.loop.now() - from ]], "/names")
    assert.equal("timeout", list[1])
    assert.is_true(tonumber(list[2]) < 2, list[2])
  end)
end)

describe("Names and ways in nginx", function()
  real("are asked of a name server for more than addresses", function()
    if not names then return pending "there is no dnsmasq here" end
    local list = run(([[
      local o = { dns_servers = "%s", timeout = 5 }
      local found, err = mail.dns.txt("nowhere.example.test", o)
      return mail.dns.mx("example.test", o)[1].host, mail.dns.txt("example.test", o)[1],
        mail.dns.srv("imaps", "example.test", o)[1].port, err.missing,
        mail.discover("ann@example.test", o).imap.host ]]):format(names.servers))
    assert.same({ "mail.example.test", "v=spf1 -all", "993", "name", "mail.example.test" }, list)
  end)

  real("lead through proxies and Unix sockets", function()
    local proxy = servers.proxy { kind = "http", login = true }
    if not proxy then return pending "there is no proxy here" end
    assert.equal("true", outcome(([[ local s = assert(imap { proxy = "%s" }) return tostring(s:logout()) ]])
      :format(proxy.url)))
    assert.matches("^auth\nimap: proxy http://127.0.0.1:%d+: ", outcome(([[
      local s, err = imap { proxy = "%s" } return err.kind, tostring(err) ]]):format(proxy.open_url)))
    local dovecot = assert(servers.dovecot { private = true,
      extra = "service imap-login {\n  unix_listener carrier {\n    mode = 0666\n  }\n}\n" })
    local _, path = Keeper.shell("find " .. dovecot.folder .. " -name carrier -type s")
    assert.equal("true", outcome(([[ local s = assert(mail.imap.connect { path = "%s", user = "%s", password = "%s",
      allow_plaintext_login = true }) return tostring(s:logout()) ]])
      :format(path:match "%S+", dovecot.user, dovecot.password)))
    dovecot:close()
    assert.matches("^unsupported\nimap: the loop 'openresty' cannot run a program", outcome [[
      local s, err = mail.imap.connect { command = { "cat" } } return err.kind, tostring(err) ]])
  end)
end)

-- --- the host's TLS and the pool ----------------------------------------------------------------------

describe("TLS by nginx", function()
  real("verifies the chain by lua_ssl_trusted_certificate, and the name", function()
    assert.same({ "host", "true" }, run [[
      local s = assert(imap { tls_by = "host" }) return s.tls.by, tostring(s:logout()) ]])
    for _ = 1, 20 do -- nginx tells by chance, or not at all
      assert.matches("^tls\n.*certificate", outcome([[ local s, err = imap { tls_by = "host" }
        return err.kind, tostring(err) ]], "/foreign"))
      assert.matches("^tls\n.*certificate", outcome [[
        local s, err = imap { tls_by = "host", ssl = { server_name = "other.example.test" } }
        return err.kind, tostring(err) ]])
    end
    assert.equal("true", outcome([[ local s = assert(imap { tls_by = "host", ssl = { verify = false } })
      return tostring(s:logout()) ]], "/foreign"))
  end)

  real("takes none of the options that are nginx's to decide", function()
    assert.matches("^raised snippet:1: imap.connect: the host's TLS takes no option ssl.ca_file",
      outcome [[ imap { tls_by = "host", ssl = { ca_file = at.ca } } ]])
    assert.matches("^raised snippet:1: imap.connect: option 'tls_by' must be own or host",
      outcome [[ imap { tls_by = "nginx" } ]])
  end)
end)

describe("smtp:keepalive", function()
  -- The client's lines of a session that is sent through and pooled, made with these options.
  local SESSION = [[
    local function session(more)
      local said = {}
      more.log = function(direction, line) if direction == "C" then said[#said + 1] = line:match "^%a+" end end
      local s, err = smtp(more)
      if not s then return tostring(err), table.concat(said, " ") end
      local sent = send(s)
      local ok, why = s:keepalive()
      return tostring(sent), ok and "pooled" or why.kind .. " " .. why.message, table.concat(said, " ")
    end ]]

  real("leaves the connection to the worker's pool, where the next request finds it logged in", function()
    local snippet = SESSION .. [[ return session { tls_by = "host", helo = "pool.example.test" } ]]
    assert.matches("^1\npooled\nEHLO AUTH.* MAIL", outcome(snippet))
    for _ = 1, 2 do assert.matches("^1\npooled\nEHLO MAIL", outcome(snippet)) end
    assert.is_nil(outcome(snippet):find "AUTH")
  end)

  real("never gives it to other credentials, another name or other TLS options", function()
    outcome(SESSION .. [[ return session { tls_by = "host", helo = "mix.example.test" } ]])
    assert.matches("^smtp AUTH: login failed: .*\nEHLO AUTH",
      outcome(SESSION .. [[ return session { tls_by = "host", helo = "mix.example.test", password = "wrong" } ]]))
    for _, other in ipairs { "helo = 'else.example.test'", "user = at.user .. 'x', password = 'wrong'", "login = false",
      "ssl = { verify = false }", "password = function() return 'secret', 1 end, mechanism = 'LOGIN'" } do
      local said = outcome(SESSION .. ("local o = { tls_by = 'host', helo = 'mix.example.test' } "
        .. "for k, v in pairs { %s } do o[k] = v end return session(o)"):format(other))
      assert.is_truthy(said:find("EHLO AUTH", 1, true) or said:find("authentication required", 1, true)
        or said:find("login = false", 1, true) or other:find("login", 1, true) and not said:find("^1\n"), other .. said)
    end
  end)

  real("refuses what cannot be pooled, and leaves the session usable", function()
    assert.matches("^1\nunsupported only plaintext, and TLS by the host", outcome(SESSION .. [[ return session {} ]]))
    assert.same({ "nil", "invalid", "true" }, run [[
      local s = assert(smtp { tls_by = "host", login = false })
      assert(s:login(at.user, "secret"))
      local ok, err = s:keepalive()
      return tostring(ok), err.kind, tostring(s:noop()) ]])
    assert.same({ "nil", "invalid", "true" }, run [[
      local s = assert(smtp { tls_by = "host" })
      assert(s:command "HELP")
      local ok, err = s:keepalive()
      return tostring(ok), err.kind, tostring(s:quit()) ]])
  end)

  real("a connection that died in the pool is replaced without a word", function()
    local snippet = SESSION .. [[ return session { tls_by = "host", helo = "dead.example.test" } ]]
    assert.matches("^1\npooled\nEHLO AUTH", outcome(snippet))
    server.exim:restart()
    assert.matches("^1\npooled\n.*EHLO AUTH", outcome(snippet))
  end)
end)

-- --- send_later -------------------------------------------------------------------------------------

describe("mail.resty.send_later", function()
  real("reports what failed, without secrets, to the callback and to the log", function()
    local list = run [[
      local seen = {}
      assert(mail.resty.send_later { smtp = account(at.smtps, "implicit", { password = "hunter2hunter2" }),
        from = "a@example.test", to = "b@example.test", message = LETTER, on_error = function(err) seen.err = err end })
      for _ = 1, 500 do if seen.err then break end ngx.sleep(0.02) end
      return seen.err.kind, seen.err.message ]]
    assert.equal("auth", list[1])
    assert.is_truthy(nginx:log():find("mail.resty.send_later: not sent: smtp AUTH: login failed", 1, true))
    assert.is_nil(nginx:log():find("hunter2", 1, true))
  end)

  real("tells of recipients that were refused, and of errors in callbacks", function()
    assert.same({ "1", "rejected", "nosuchuser@example.test" }, run [[
      local seen = {}
      assert(mail.resty.send_later { smtp = account(at.smtps, "implicit"), from = "a@example.test", message = LETTER,
        to = { at.user .. "@example.test", "nosuchuser@example.test" }, on_error = function(err) seen.err = err end,
        on_sent = function(receipt) seen.sent = #receipt.accepted error "in the callback" end })
      for _ = 1, 500 do if seen.err then break end ngx.sleep(0.02) end
      return seen.sent, seen.err.kind, (next(seen.err.rejected)) ]])
    assert.is_truthy(nginx:log():find("error in a callback", 1, true))
  end)

  real("sends many over a session each for two timers, in bounds", function()
    assert.same({ "limit", "true", "12", "0" }, run [[
      mail.resty.configure { messages = 10 }
      local sent, refused = 0
      local function one()
        local ok, err = mail.resty.send_later { smtp = account(at.smtps, "implicit"), from = "a@example.test",
          to = at.user .. "@example.test", message = LETTER, on_sent = function() sent = sent + 1 end }
        refused = err or refused
        return ok
      end
      for _ = 1, 10 do assert(one()) end
      one()
      local kind, temporary = refused.kind, refused.temporary
      mail.resty.configure { messages = 1000 }
      for _ = 1, 2 do assert(one()) end
      for _ = 1, 1000 do if sent == 12 then break end ngx.sleep(0.02) end
      return kind, temporary, sent, (mail.resty.waiting()) ]])
  end)

  real("wrong options raise where they were given", function()
    assert.matches("^raised snippet:1: resty.send_later: unknown option 'subjekt'",
      outcome [[ mail.resty.send_later { smtp = {}, subjekt = 1, message = "" } ]])
    assert.matches("^raised snippet:1: smtp.connect: unknown option 'hots'",
      outcome [[ mail.resty.send_later { smtp = { hots = 1 }, message = "" } ]])
  end)

  real("tries again after the pauses that were given, where the failure may pass", function()
    assert.same({ "connect", "true", "0" }, run [[
      local seen = {}
      assert(mail.resty.send_later { smtp = { host = "127.0.0.1", port = 1, tls = "none" }, from = "a@example.test",
        to = "b@example.test", message = LETTER, retry = { 0.05, 0.1 }, on_error = function(err) seen.err = err end })
      local before = mail.loop.now()
      for _ = 1, 500 do if seen.err then break end ngx.sleep(0.02) end
      ngx.sleep(0.01)
      return seen.err.kind, mail.loop.now() - before > 0.15, (mail.resty.waiting()) ]])
    assert.equal(2, select(2, nginx:log():gsub("send_later: again in ", "")))
  end)
end)

-- --- owners -----------------------------------------------------------------------------------------

describe("mail.resty.owner", function()
  local OWNER = [[ local owner = assert(mail.resty.owner("box", { imap = account(at.imaps, "implicit"), queue = 8 },
    function(session)
      assert(session:select "INBOX")
      kept.watched = (kept.watched or 0) + 1
      for event in session:idle() do kept.exists = event.exists or kept.exists end
    end)) ]]

  real("one session serves parallel requests while it watches", function()
    local before = select(2, server.dovecot:log():gsub("Login: user=<" .. nginx.user.name .. ">", ""))
    local answers = {}
    loop.run(function()
      for i = 1, 6 do
        loop.spawn(function()
          answers[i] = outcome(OWNER .. [[ local status, err = owner:call(function(session)
            return session:status("INBOX", { "messages" }) end) return tostring(status and status.messages or err) ]])
        end)
      end
    end)
    for i = 1, 6 do assert.matches("^%d+$", answers[i]) end
    local after = select(2, server.dovecot:log():gsub("Login: user=<" .. nginx.user.name .. ">", ""))
    assert.is_true(after - before <= 1, ("%d logins"):format(after - before))
    server:save(nginx.user, "Subject: news\r\n\r\n")
    assert.is_truthy(eventually(function() return outcome [[ return kept.exists ]]:find "%d" end))
  end)

  real("errors, timeouts and the bound of the queue reach the caller", function()
    assert.matches("^raised .*in the call$", outcome(OWNER .. [[ owner:call(function() error "in the call" end) ]]))
    local list = run(OWNER .. [[
      local from = mail.loop.now()
      local ok, err = owner:call(function() ngx.sleep(1) end, { timeout = 0.2 })
      return tostring(ok), err.kind, mail.loop.now() - from, owner:status().state ]])
    assert.equal("timeout", list[2])
    assert.is_true(tonumber(list[3]) < 0.9, list[3])
    assert.equal("ready", list[4])
    assert.same({ "8", "limit" }, run(OWNER .. [[
      local full, refused = 0
      local threads = {}
      for i = 1, 13 do -- four run, eight wait
        threads[i] = ngx.thread.spawn(function()
          local ok, err = owner:call(function() ngx.sleep(0.5) return true end)
          if not ok then refused = err end
        end)
        if i <= 4 then ngx.sleep(0.3 / 4) end
        full = math.max(full, owner:status().calls)
      end
      for _, thread in ipairs(threads) do ngx.thread.wait(thread) end
      return full, refused and refused.kind ]]))
  end)

  real("a name gives nobody another's session: other options are refused, equal ones made anew are not", function()
    assert.same({ "nil", "invalid", "true", "true", "nil" }, run(OWNER .. [[
      local other, err = mail.resty.owner("box", { imap = account(at.imaps, "implicit", { user = "other" }) })
      local lax = mail.resty.owner("box", { imap = account(at.imaps, "implicit", { ssl = { verify = false } }) })
      local again = mail.resty.owner("box", { imap = account(at.imaps, "implicit", { log = function() end }) })
      return tostring(other), err.kind, tostring(again == owner), tostring(mail.resty.owner "box" == owner),
        tostring(lax) ]]))
  end)

  real("a lost session is opened again, and calls wait for it", function()
    local list = run(OWNER .. [[
      local watched, restarts = kept.watched, owner:status().restarts
      owner:call(function(session) session:close() end)
      local ok, err = owner:call(function(session) return session:noop() end, { timeout = 10 })
      for _ = 1, 500 do if kept.watched > watched then break end ngx.sleep(0.02) end
      return tostring(ok or err), kept.watched - watched, owner:status().restarts - restarts ]])
    assert.same({ "true", "1", "1" }, list)
  end)

  real("a server that is down is tried again and again, and callers are told why they wait", function()
    local list = run [[
      local owner = assert(mail.resty.owner("down", { imap = { host = "127.0.0.1", port = 1, tls = "none" },
        back_off = { 0.05, 0.1 } }))
      local ok, err = owner:call(function() end, { timeout = 0.5 })
      local restarts = owner:status().restarts
      owner:stop()
      local _, stopped = owner:call(function() end)
      return tostring(ok), err.kind, err.message, restarts > 2, stopped.kind, mail.resty.owner "down" == nil ]]
    assert.equal("timeout", list[2])
    assert.matches("owner 'down': no answer in 0.5 s %(%a+; last error: imap: 127.0.0.1:1: connection refused%)",
      list[3])
    assert.same({ "true", "closed", "true" }, { list[4], list[5], list[6] })
  end)

  real("on reload the old worker sends what is queued, and is gone within two seconds; a new owner begins", function()
    assert.matches("^true", outcome(OWNER .. [[ return tostring(owner:call(function(s) return s:noop() end)) ]]))
    local old = nginx:workers()
    assert.equal(1, #old)
    assert.equal("queued", outcome [[
      for _ = 1, 5 do
        assert(mail.resty.send_later { smtp = account(at.smtps, "implicit"), from = "a@example.test",
          to = at.user .. "@example.test", message = LETTER,
          on_sent = function() ngx.log(ngx.WARN, "LEFT BEHIND NOTHING") end })
      end
      return "queued" ]])
    local from = loop.now()
    assert(nginx:reload())
    assert.is_truthy(eventually(function()
      local now_there = nginx:workers()
      return #now_there == 1 and now_there[1] ~= old[1]
    end), nginx:log())
    assert.is_true(loop.now() - from < 2, ("%.2f s"):format(loop.now() - from))
    assert.equal(5, select(2, nginx:log():gsub("LEFT BEHIND NOTHING", "")))
    assert.equal("true", outcome(OWNER .. [[ return tostring(owner:call(function(s) return s:noop() end)) ]]))
  end)

  real("a plain session in a timer ends on reload, too; one in a request is let finish", function()
    run [[ ngx.timer.at(0, function()
      local session = assert(imap())
      session:select "INBOX"
      kept.idles = true
      local ok, err = pcall(function() for _ in session:idle() do end end)
      ngx.log(ngx.WARN, "TIMER SESSION ENDED: ", tostring(err))
    end)
    for _ = 1, 500 do if kept.idles then break end ngx.sleep(0.02) end ]]
    local old, answer = nginx:workers()[1], nil
    local from = loop.now()
    loop.run(function()
      local request = loop.spawn(function()
        answer = outcome [[ local s = assert(imap()) ngx.sleep(1.2) return tostring(s:noop()) ]]
      end)
      loop.sleep(0.3)
      assert(nginx:reload())
      request:join()
    end)
    assert.equal("true", answer)
    assert.is_truthy(eventually(function() return #nginx:workers() == 1 and nginx:workers()[1] ~= old end))
    assert.is_true(loop.now() - from < 3.5)
    assert.is_truthy(nginx:log():find("TIMER SESSION ENDED: .*this nginx worker is leaving"))
  end)
end)

describe("examples/openresty", function()
  real("is a site that sends, reads, watches, reloads and outlives an outage", function()
    local said = {}
    assert.is_true(require "spec.demo.openresty"(function(words, ...) said[#said + 1] = words:format(...) end))
    assert.matches("Everything ended; 5 messages", said[#said])
  end)
end)

describe("All of it", function()
  real("wrote no global and raised no error that nginx logged", function()
    local log = nginx:log()
    for line in log:gmatch "[^\n]+" do
      for _, sign in ipairs { "a global Lua variable", "runtime error", "thread aborted", "[alert]", "[crit]" } do
        assert.is_nil(line:find(sign, 1, true), line)
      end
    end
  end)

  teardown(function()
    if nginx then nginx:close() end
  end)
end)
