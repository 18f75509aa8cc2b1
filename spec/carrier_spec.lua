-- What carries a session besides a connection to a host: Unix sockets, programs, transports of one's own.
local mail = require "mail"
local core = require "mail.core"
local child = require "spec.support.child"
local descriptors = require "spec.support.descriptors"
local loop = require "mail.loop"
local scripted = require "spec.support.scripted"
local servers = require "spec.servers"
local streams = require "spec.support.streams"

local dovecot = servers.dovecot()

local function serve_mx(peer)
  peer:send "220 mx\r\n"
  peer:expect "^EHLO"
  peer:send "250 mx\r\n"
  peer:expect "^NOOP"
  peer:send "250 ok\r\n"
  peer:rest()
end

describe("the options of a carrier", function()
  it("stand in for a host, and exclude one another", function()
    local transport, many = { read = print, write = print, close = print }, {}
    for i = 1, 256 do many[i] = "a" end
    for _, row in ipairs {
      { {}, "'host' is missing" }, { { path = "" }, "'path'" }, { { path = "/a\0b" }, "'path'" },
      { { command = {} }, "'command'" }, { { command = { "a", 5 } }, "'command'" },
      { { command = { "a\0b" } }, "'command'" }, { { command = many }, "'command' must be an array of 1 to 255 words" },
      { { transport = {} }, "'transport' must have read, write and close" },
      { { path = "/a", command = { "b" } }, "'path' and 'command' exclude one another" },
      { { host = "unix:/a", transport = transport }, "'path' and 'transport' exclude" },
      { { path = "/a", proxy = "socks5://p" }, "'path' and 'proxy' exclude" },
      { { path = "/a", tls = "starttls" }, "to know whom to verify" },
      { { path = "/a", port = 993 }, "to know whom to verify" },
      { { path = "/a", tls = "implicit", ssl = { ca_file = "x" } }, "to know whom to verify" },
      { { command = { "a" }, host = "h", tls_by = "host" }, "tls_by" },
    } do
      local ok, err = pcall(function() mail.imap.connect(row[1]) end)
      assert.is_false(ok, row[2])
      assert.matches(row[2], err, 1, true)
      assert.matches("carrier_spec.lua:%d+: imap.connect", err)
    end
  end)
end)

describe("a transport of one's own", function()
  for _, protocol in ipairs { "imap", "pop3", "smtp" } do
    it("carries " .. protocol, function()
      local greeting = { imap = "* OK [CAPABILITY IMAP4rev1] hi\r\n", pop3 = "+OK hi\r\n", smtp = "220 mx\r\n" }
      local answers, sent, closed = { greeting[protocol] }, {}, 0
      local transport = {
        read = function() return table.remove(answers, 1) or (nil), "closed" end,
        write = function(_, bytes)
          sent[#sent + 1] = bytes
          if protocol == "smtp" then answers[#answers + 1] = "250 mx\r\n" end
          if protocol == "pop3" then answers[#answers + 1] = "+OK\r\nUIDL\r\n.\r\n" end
          if protocol == "imap" then answers[#answers + 1] = bytes:match "^%S+" .. " OK done\r\n" end
          return true
        end,
        close = function() closed = closed + 1 end,
      }
      local session = assert(mail[protocol].connect { transport = transport, timeout = 5 })
      assert(protocol == "pop3" and session:capa() or session:noop())
      assert.matches("%(transport", tostring(session))
      session:close()
      assert.equal(1, closed)
      assert.is_true(#sent > 0)
    end)
  end

  -- A session with a command on its way, whose coroutine reads, and `script` for what comes to the server then.
  local function beside_a_reader(timeout, script, client)
    local told, over = loop.native.event(), loop.native.event()
    scripted.run(function(peer)
      peer:send "* PREAUTH [CAPABILITY IMAP4rev1 LITERAL+] hi\r\n"
      local tag = peer:expect "^(%S+) NOOP"
      told:set()
      script(peer, tag, over)
    end, function(port)
      local session = assert(mail.imap.connect { host = "127.0.0.1", port = port, tls = "none", login = false,
        loop = streams.host, timeout = timeout })
      local reader = loop.spawn(function() return session:noop() end)
      told:wait(5)
      client(session, reader)
      over:set()
      session:close()
    end)
  end

  local function mute(_, _, over) over:wait(10) end

  it("is sent all of a command while another coroutine reads", function()
    beside_a_reader(5, function(peer, tag)
      local other = peer:expect "^(%S+) APPEND"
      peer:through "END"
      assert.equal("", peer:line())
      peer:send(tag .. " OK done\r\n" .. other .. " OK done\r\n")
      peer:rest()
    end, function(session, reader)
      assert(session:append("INBOX", ("x"):rep(200000) .. "END"))
      assert.is_true(reader:join())
    end)
  end)

  it("that takes no octets holds a write no longer than the time-out, beside a reader, too", function()
    beside_a_reader(0.4, mute, function(session)
      local began = core.now()
      local ok, err = session:append("INBOX", ("x"):rep(2 ^ 25))
      assert.is_nil(ok)
      assert.equal("timeout", err.kind)
      assert.equal("closed", select(2, session:noop()).kind)
      assert.is_true(core.now() - began < 3)
    end)
  end)

  it("is closed in the middle of a write, and the call says so", function()
    beside_a_reader(1, mute, function(session, reader)
      local writer = loop.spawn(function() return session:append("INBOX", ("x"):rep(2 ^ 25)) end)
      loop.sleep(0.1)
      session:close()
      for _, task in ipairs { writer, reader } do
        local ok, err = task:join()
        assert.is_nil(ok)
        assert.equal("closed", err.kind)
      end
    end)
  end)

  it("has TLS where a host is named, whose name is verified", function()
    if not dovecot then return pending "there is no Dovecot here" end
    local function open(host)
      local dial = core.dial({ "127.0.0.1" }, dovecot.ports.imaps)
      local answer, socket = dial:step(core.now())
      while answer == "wait" do
        core.poll_one(socket, "r", 1)
        answer, socket = dial:step(core.now())
      end
      return mail.imap.connect { transport = streams.transport(socket), host = host, user = dovecot.user,
        password = dovecot.password, ssl = { ca_file = dovecot.ca_file }, timeout = 5 }
    end
    local imap = assert(open "localhost")
    assert.is_table(imap.tls)
    assert(imap:noop())
    imap:logout()
    local ok, err = open "other.example.test"
    assert.same({ nil, "tls" }, { ok, err.kind })
  end)

  it("that fails is an error of the session", function()
    local ok, err = mail.smtp.connect { timeout = 5, transport = {
      read = function() return nil, "the tunnel broke" end, write = function() return true end, close = function() end,
    } }
    assert.is_nil(ok)
    assert.equal("closed", err.kind)
    assert.matches("the tunnel broke", err.message)
  end)
end)

describe("a Unix socket", function()
  if not dovecot then return pending "there is no Dovecot here" end

  -- Dovecot's own, made as it runs.
  local made = false
  local function listen()
    if made then return end
    dovecot = assert(servers.dovecot { private = true,
      extra = "service imap-login {\n  unix_listener carrier {\n    mode = 0666\n  }\n}\n" })
    made = true
  end

  it("carries a session", function()
    listen()
    local _, found = child.shell("find " .. dovecot.folder .. " -name carrier -type s")
    local where = found:match "%S+"
    for _, o in ipairs { { path = where }, { host = "unix:" .. where } } do
      o.user, o.password, o.allow_plaintext_login, o.timeout = dovecot.user, dovecot.password, true, 5
      local imap = assert(mail.imap.connect(o))
      assert.matches("unix:" .. where, tostring(imap), 1, true)
      assert(imap:select "INBOX")
      imap:logout()
    end
    local got, err = mail.imap.connect { path = where, user = "x", password = "y" }
    assert.same({ nil, "tls" }, { got, err.kind }) -- in clear only where that is allowed, as everywhere
    local imap = assert(mail.imap.connect { path = where, host = "localhost", port = 143,
      ssl = { ca_file = dovecot.ca_file }, user = dovecot.user, password = dovecot.password })
    assert.is_table(imap.tls)
    imap:logout()
  end)

  it("that is not there, or whose path is too long, is an error", function()
    local ok, err = mail.imap.connect { path = "/none/of/these" }
    assert.same({ nil, "connect" }, { ok, err.kind })
    assert.matches("cannot connect to ", err.message)
    ok, err = mail.imap.connect { path = "/" .. ("x"):rep(200) }
    assert.same({ nil, "connect" }, { ok, err.kind })
  end)

  it("is no business of a loop without them", function()
    local ok, err = mail.imap.connect { path = "/none", loop = streams.host }
    assert.same({ nil, "unsupported" }, { ok, err.kind })
  end)

  teardown(function()
    if made then dovecot:close() end
    dovecot = servers.dovecot()
  end)
end)

-- A program in C would be smaller; every machine that runs the suite has a shell.
local function relay(text)
  return { "/bin/sh", "-c", text }
end

local MX = [[printf '220 mx\r\n'; read l; printf '250 mx\r\n'; read l; printf '250 ok\r\n'; cat >/dev/null]]

local function is_there(pid)
  local ok = child.shell("test -d /proc/" .. pid)
  return ok
end

describe("a program", function()
  it("carries a session, and ends with it", function()
    local lines = {}
    local smtp = assert(mail.smtp.connect { timeout = 5, command = relay("echo $$ hello >&2; " .. MX),
      log = function(direction, line)
        if direction == "E" then lines[#lines + 1] = line end
      end })
    assert.matches("mail.smtp %(command /bin/sh", tostring(smtp))
    assert(smtp:noop())
    assert.equal(1, #lines)
    local pid = lines[1]:match "^(%d+) hello$"
    assert.is_true(is_there(pid))
    smtp:close()
    assert.is_false(is_there(pid)) -- no zombie either
  end)

  it("that takes no notice of its end is killed", function()
    local pid
    local smtp = assert(mail.smtp.connect { timeout = 5, command = relay("trap '' TERM HUP; echo $$ >&2; " .. MX
      .. "; while :; do sleep 1; done"), log = function(direction, line) if direction == "E" then pid = line end end })
    assert(smtp:noop())
    assert.is_true(is_there(pid))
    local began = core.now()
    smtp:close()
    assert.is_false(is_there(pid))
    assert.is_true(core.now() - began < 1)
  end)

  it("that cannot be run, or ends, says why", function()
    local ok, err = mail.smtp.connect { command = { "/there/is/no/such/program", "x" } }
    assert.same({ nil, "connect" }, { ok, err.kind })
    assert.matches("cannot run /there/is/no/such/program: ", err.message)
    ok, err = mail.smtp.connect { command = relay "echo first >&2; echo 'no route to host' >&2; exit 3" }
    assert.same({ nil, "closed" }, { ok, err.kind })
    assert.matches("/bin/sh: no route to host", err.message)
    ok, err = mail.smtp.connect { command = relay "exit 3" }
    assert.is_nil(ok)
    assert.matches("exit status 3", err.message)
  end)

  it("may talk without end to its standard error", function()
    local smtp = assert(mail.smtp.connect { timeout = 20, command = relay(
      "i=0; while [ $i -lt 4000 ]; do echo 'a line of some length that nobody reads, again and again' >&2; "
      .. "i=$((i+1)); done; " .. MX) })
    assert(smtp:noop())
    smtp:close()
  end)

  it("that says more than can be read is given up in time", function()
    local began = core.now()
    local ok, err = mail.smtp.connect { timeout = 0.5, command = { "yes" } }
    assert.same({ nil, "protocol" }, { ok, err.kind })
    ok, err = mail.smtp.connect { timeout = 0.5, command = relay "exec yes >&2" }
    assert.same({ nil, "timeout" }, { ok, err.kind })
    assert.is_true(core.now() - began < 5)
  end)

  it("may do so while several wait for it", function()
    mail.loop.run(function()
      local smtp = assert(mail.smtp.connect { timeout = 20, command = relay(MX:gsub("cat >/dev/null$", "")
        .. "read l; i=0; while [ $i -lt 4000 ]; do echo 'a line of some length that nobody reads, again' >&2; "
        .. [[i=$((i+1)); done; printf '250 ok\r\n'; cat >/dev/null]]) })
      local tasks = {}
      for i = 1, 2 do tasks[i] = mail.loop.spawn(function() return smtp:noop() end) end
      for i = 1, 2 do assert.is_true(tasks[i]:join()) end
      smtp:close()
    end)
  end)

  it("gets no descriptor of this process but its own", function()
    local list
    local file = assert(io.open("/dev/null")) -- not close-on-exec: Lua has no way to ask for that
    local ok = mail.smtp.connect { timeout = 5, command = relay "ls /proc/self/fd | tr '\\n' ' ' >&2",
      log = function(direction, line) if direction == "E" then list = line end end }
    file:close()
    assert.is_nil(ok)
    assert.equal("0 1 2 3", list) -- 3 is the folder that ls reads
  end)

  it("leaves nothing behind when it is cancelled, or collected", function()
    descriptors.steady(function()
      loop.run(function()
        local task = loop.spawn(function() return mail.smtp.connect { command = relay "sleep 30" } end)
        loop.sleep(0.01)
        task:cancel()
        local ok, err = task:join()
        assert.same({ nil, "cancelled" }, { ok, err.kind })
      end)
    end)
    descriptors.steady(function() assert(mail.smtp.connect { command = relay(MX), timeout = 5 }) end)
  end)

  it("is run by loops that wait for descriptors alone", function()
    local ok, err = mail.smtp.connect { command = relay(MX), loop = streams.host }
    assert.same({ nil, "unsupported" }, { ok, err.kind })
    local smtp = assert(mail.smtp.connect { command = relay(MX), loop = "blocking", timeout = 5 })
    assert(smtp:noop())
    smtp:close()
  end)

  it("carries TLS to the server behind it", function()
    if not dovecot then return pending "there is no Dovecot here" end
    -- It only passes octets on: the TLS is ours, with the server behind it.
    local listening = servers.dovecot()
    local program = ([[
      local core = require "mail.core"
      local dial = core.dial({ "127.0.0.1" }, %d)
      local answer, socket = dial:step(core.now())
      while answer == "wait" do core.poll_one(socket, "r", 1) answer, socket = dial:step(core.now()) end
      local server, client = core.conn(socket), core.conn(0)
      local function pass(from, to)
        if not core.poll_one(from:fd(), "r", 0.002) then return true end
        local bytes, why = from:recv()
        if not bytes then return why == "again" end
        local at = 1
        while at <= #bytes do
          local n, reason = to:send(bytes, at)
          if n then at = at + n elseif reason == "again" then core.poll_one(to:fd(), "w", 1) else return false end
        end
        return true
      end
      while pass(server, client) and pass(client, server) do end
    ]]):format(listening.ports.imaps)
    local command = { "sh", "-c", child.lua() .. "-e " .. child.quote(program) }
    local imap = assert(mail.imap.connect { command = command, host = "localhost", timeout = 20,
      user = listening.user, password = listening.password, ssl = { ca_file = listening.ca_file } })
    assert.is_table(imap.tls)
    assert(imap:select "INBOX")
    imap:logout()
  end)
end)

describe("several addresses", function()
  it("are tried beside one another until one answers", function()
    -- Refused, without an answer (its queue is full), and the one that serves.
    local names = servers.dns { records = "many.example.test A 127.0.0.3\nmany.example.test A 127.0.0.4\n"
      .. "many.example.test A 127.0.0.1\nmany.example.test AAAA ::1\ndead.example.test A 127.0.0.3\n"
      .. "dead.example.test AAAA ::1\n" }
    if not names then return pending "there is no dnsmasq here" end
    local took, server_address
    loop.run(function()
      local server = scripted.serve(serve_mx)
      local full = core.listen("127.0.0.4", tostring(server.port), 0)
      local waiting = {}
      for i = 1, 4 do
        waiting[i] = core.dial({ "127.0.0.4" }, server.port)
        waiting[i]:step(core.now())
      end
      local began = core.now()
      local smtp = assert(mail.smtp.connect { host = "many.example.test", port = server.port, tls = "none",
        dns_servers = names.servers, timeout = 10 })
      took = core.now() - began
      assert(smtp:noop())
      server_address = smtp and "127.0.0.1"
      smtp:close()
      local ok, err = mail.smtp.connect { host = "dead.example.test", port = server.port, tls = "none",
        dns_servers = names.servers, timeout = 10 }
      assert.same({ nil, "connect", true }, { ok, err.kind, err.temporary })
      assert.matches("refused", err.message)
      full:close()
    end)
    assert.equal("127.0.0.1", server_address)
    assert.is_true(took < 2)
  end)
end)
