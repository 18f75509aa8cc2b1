-- POP3 as a user sees it: every call against Dovecot over TLS, STLS and in clear, and what hostile,
-- mute and broken servers bring about (a few lines of server in the same loop).

local servers = require "spec.servers"
local core = require "mail.core"
local Err = require "mail.err"
local descriptors = require "spec.support.descriptors"
local loop = require "mail.loop"
local pop3 = require "mail.pop3"

-- --- a real server ----------------------------------------------------------------------------------

local dovecot, missing = servers.dovecot { store = "maildir", users = 1 }

local function real(name, fn)
  it(name, function()
    if not dovecot then return pending(missing) end
    fn()
  end)
end

-- Puts texts (lines in LF) into the maildir of `user`, in order.
local function fill(user, texts)
  local folder = user.maildir
  os.execute(("mkdir -p '%s/cur' '%s/new' '%s/tmp'"):format(folder, folder, folder))
  for i, text in ipairs(texts) do
    local file = assert(io.open(("%s/cur/%d.%d.host:2,S"):format(folder, 1700000000 + i, i), "wb"))
    file:write(text)
    file:close()
  end
  os.execute(("chown -R %d:%d '%s' 2>/dev/null"):format(dovecot.keeper.uid, dovecot.keeper.gid, user.home))
end

local function crlf(text) return (text:gsub("\n", "\r\n")) end

local function options_for(user, mode, more)
  local o = {
    host = "localhost", user = user.name, password = user.password, timeout = 20, tls = mode,
    port = mode == "implicit" and dovecot.ports.pop3s or dovecot.ports.pop3,
    ssl = { ca_file = dovecot.ca_file }, allow_plaintext_login = mode == "none" or nil,
  }
  for name, value in pairs(more or {}) do o[name] = value end
  return o
end

local function open(user, mode, more)
  return assert(pop3.connect(options_for(user, mode or "none", more)))
end

local SAMPLES = {
  "Subject: one\n\nplain\n",
  "Subject: dots\n\n.\n..\n.x\nend.\n",
  "Subject: no body\n\n",
  "Subject: 8 bit\n\n\xC3\xA9\xFF \n",
}

for _, mode in ipairs { "implicit", "starttls", "none" } do
  describe("POP3 with tls = " .. mode, function()
    real("serves every call", function()
      local user = dovecot:add_user()
      fill(user, SAMPLES)
      local pop = open(user, mode)
      assert.equal("userdata", type(pop))
      assert.equal(("mail.pop3 (localhost:%d, transaction)")
        :format(mode == "implicit" and dovecot.ports.pop3s or dovecot.ports.pop3), tostring(pop))
      assert.matches("Dovecot", pop.server)
      assert.is_true(pop:has "pipelining")
      assert.is_truthy(pop.capabilities.TOP)
      assert.is_nil(pop.capabilities.XNONE)
      if mode == "none" then
        assert.is_nil(pop.tls)
      else
        assert.matches("^TLSv1", pop.tls.version)
      end
      local stat = assert(pop:stat())
      assert.equal(4, stat.count)
      local total = 0
      local list = assert(pop:list())
      for i, entry in ipairs(list) do
        assert.equal(i, entry.number)
        assert.equal(#crlf(SAMPLES[i]), entry.size)
        total = total + entry.size
      end
      assert.equal(total, stat.size)
      assert.same({ number = 2, size = #crlf(SAMPLES[2]) }, pop:list(2))
      local uids = assert(pop:uidl())
      assert.equal(4, #uids)
      assert.same(uids[3], pop:uidl(3))
      for i, text in ipairs(SAMPLES) do assert.equal(crlf(text), (pop:retr(i))) end
      assert.equal("Subject: dots\r\n\r\n.\r\n", (pop:top(2, 1)))
      assert.is_true(pop:noop())
      assert.is_truthy(assert(pop:capa()).UIDL)
      assert.is_true(pop:dele(1))
      assert.equal(3, pop:stat().count)
      assert.is_true(pop:rset())
      assert.equal(4, pop:stat().count)
      assert.matches("^4 ", (pop:command "STAT"))
      local _, lines = pop:command("UIDL", true)
      assert.equal("1 " .. uids[1].uid, lines:match "^[^\r]+")
      assert.is_true(pop:quit())
      assert.matches("closed", tostring(pop))
    end)
  end)
end

describe("POP3 log-in", function()
  for _, mechanism in ipairs { "USER", "PLAIN", "LOGIN", "APOP" } do
    real("takes " .. mechanism .. " when asked to", function()
      local user = dovecot:add_user()
      local mode = mechanism == "APOP" and "none" or "starttls"
      local pop = open(user, mode, { mechanism = mechanism, allow_plaintext_login = false })
      assert.equal(0, pop:stat().count)
      pop:quit()
    end)
  end

  real("refuses a wrong password with the server's code and words, and no secret in them", function()
    local user, lines = dovecot:add_user(), {}
    local pop, err = pop3.connect(options_for(user, "starttls", { password = "hunter2",
      log = function(direction, line) lines[#lines + 1] = direction .. " " .. line end }))
    assert.is_nil(pop)
    assert.equal("auth", err.kind)
    assert.equal("AUTH", err.response_code)
    assert.equal("pop3", err.protocol)
    assert.is_false(err.temporary)
    local log = table.concat(lines, "\n")
    assert.matches("C AUTH SCRAM%-SHA%-256 %*%*%*", log)
    assert.is_nil(log:find("hunter2", 1, true))
    assert.is_nil(log:find(core.base64("\0" .. user.name .. "\0hunter2"), 1, true))
  end)

  real("sends no secret in clear unless told so", function()
    local user = dovecot:add_user()
    for _, mechanism in ipairs { false, "PLAIN", "LOGIN", "USER" } do
      local lines = {}
      local pop, err = pop3.connect(options_for(user, "none", { allow_plaintext_login = false,
        mechanism = mechanism or nil, log = function(_, line) lines[#lines + 1] = line end }))
      assert.is_nil(pop)
      assert.equal("tls", err.kind)
      assert.is_nil(table.concat(lines):find "AUTH PLAIN %*")
      assert.is_nil(table.concat(lines):find "USER ")
    end
  end)

  real("says what the server lacks", function()
    local user = dovecot:add_user()
    local pop, err = pop3.connect(options_for(user, "starttls", { mechanism = "EXTERNAL" }))
    assert.is_nil(pop)
    assert.equal("unsupported", err.kind)
    assert.has_error(function() pop3.connect(options_for(user, "starttls", { mechanism = "PLIAN" })) end)
  end)

  real("can wait: login = false, then login or authenticate", function()
    local user = dovecot:add_user()
    local pop = open(user, "starttls", { login = false })
    local stat, err = pop:stat()
    assert.is_nil(stat)
    assert.equal("invalid", err.kind)
    local ok
    ok, err = pop:login(user.name, "wrong")
    assert.is_nil(ok)
    assert.equal("auth", err.kind)
    assert.is_true(pop:authenticate { user = user.name, password = function() return user.password end,
      mechanism = "LOGIN" })
    assert.equal(0, pop:stat().count)
    pop:quit()
  end)

  real("asks a password function once, and tells its error", function()
    local user, calls = dovecot:add_user(), 0
    local pop, err = pop3.connect(options_for(user, "starttls", { password = function()
      calls = calls + 1
      return nil, "the keyring is locked"
    end }))
    assert.is_nil(pop)
    assert.equal("auth", err.kind)
    assert.matches("the keyring is locked", tostring(err))
    assert.equal(1, calls)
  end)

  real("verifies the server", function()
    local user = dovecot:add_user()
    for _, mode in ipairs { "implicit", "starttls" } do
      local pop, err = pop3.connect(options_for(user, mode, { ssl = {} }))
      assert.is_nil(pop)
      assert.equal("tls", err.kind)
    end
  end)

  real("refuses what cannot be sent", function()
    local user = dovecot:add_user()
    for _, bad in ipairs { "a\r\nDELE 1", "a\0b", "a\n" } do
      local pop, err = pop3.connect(options_for(user, "none", { user = bad, mechanism = "USER" }))
      assert.is_nil(pop)
      assert.equal("invalid", err.kind)
    end
  end)
end)

describe("POP3 messages", function()
  real("come byte for byte when 200 are asked for ahead", function()
    local user, texts = dovecot:add_user(), {}
    local seed = 1
    for i = 1, 200 do
      seed = (seed * 1103515245 + 12345) % 2147483648
      texts[i] = ("Subject: %d\n\n"):format(i) .. (("." .. i .. "\nline\n"):rep(math.floor(seed / 65536) % 2000))
    end
    fill(user, texts)
    local pop, n = open(user), 0
    for m in pop:messages() do
      n = n + 1
      assert.equal(n, m.number)
      assert.is_string(m.uid)
      local text = crlf(texts[n])
      assert.equal(#text, m.size)
      assert.is_true(text == m:retr(), "message " .. n)
    end
    assert.equal(200, n)
    assert.equal(200, pop:stat().count)
    pop:quit()
  end)

  real("may be skipped, sunk, deleted and fetched twice on the way", function()
    local user, texts = dovecot:add_user(), {}
    for i = 1, 40 do texts[i] = ("Subject: %d\n\n%s\n"):format(i, ("x"):rep(i * 50)) end
    fill(user, texts)
    local pop, n = open(user), 0
    for m in pop:messages() do
      n = n + 1
      local text = crlf(texts[n])
      if n % 4 == 0 then
        local pieces = {}
        assert.is_true(m:retr(function(piece)
          pieces[#pieces + 1] = piece
          return true
        end))
        assert.equal(text, table.concat(pieces))
      elseif n % 4 == 1 then
        assert.equal(text, (m:retr()))
        assert.is_true(m:dele())
      elseif n % 4 == 2 then
        assert.equal(text, (m:retr()))
        assert.equal(text, (m:retr()))
        assert.equal(("Subject: %d\r\n\r\n"):format(n), (m:top(0)))
      end
    end
    assert.equal(40, n)
    assert.equal(30, pop:stat().count)
    assert.is_true(pop:quit())
    pop = open(user)
    assert.equal(30, pop:stat().count)
    pop:quit()
  end)

  real("leave the session usable when the loop is left early", function()
    local user, texts = dovecot:add_user(), {}
    for i = 1, 50 do texts[i] = ("Subject: %d\n\n%s\n"):format(i, ("x"):rep(5000)) end
    fill(user, texts)
    local pop = open(user)
    local it = pop:messages()
    for _ = 1, 3 do assert.is_truthy(it:next():retr()) end
    assert.is_true(it:close())
    assert.is_nil(it:next())
    assert.equal(50, pop:stat().count)
    assert.equal(crlf(texts[50]), (pop:retr(50)))
    pop:quit()
  end)

  real("are deleted by QUIT and by nothing else", function()
    local user = dovecot:add_user()
    fill(user, SAMPLES)
    local pop = open(user)
    assert.is_true(pop:dele(1))
    pop:close()
    pop = open(user)
    assert.equal(4, pop:stat().count)
    assert.is_true(pop:dele(1))
    local again, err = pop:retr(1)
    assert.is_nil(again)
    assert.equal("rejected", err.kind)
    assert.equal("RETR", err.command)
    assert.is_string(err.text)
    assert.is_true(pop:quit())
    pop = open(user)
    assert.equal(3, pop:stat().count)
    pop:quit()
  end)

  real("go into a sink in bounded pieces", function()
    local user = dovecot:add_user()
    fill(user, { "Subject: big\n\n" .. (("y"):rep(70) .. "\n"):rep(300000) })
    local pop = open(user)
    local size = assert(pop:list(1)).size
    local got, largest, ended = 0, 0, false
    assert.is_true(pop:retr(1, function(piece)
      if not piece then
        ended = true
        return 1
      end
      got = got + #piece
      if #piece > largest then largest = #piece end
      return 1
    end))
    assert.is_true(ended)
    assert.equal(size, got)
    assert.is_true(largest <= 524288, "pieces of " .. largest)
    pop:quit()
  end)

  real("stop when the sink does, and the session goes on", function()
    local user = dovecot:add_user()
    fill(user, { "Subject: big\n\n" .. (("y"):rep(70) .. "\n"):rep(50000), SAMPLES[1] })
    local pop = open(user)
    local ok, err = pop:retr(1, function() return nil, "disk full" end)
    assert.is_nil(ok)
    assert.equal("io", err.kind)
    assert.matches("disk full", tostring(err))
    assert.equal(crlf(SAMPLES[1]), (pop:retr(2)))
    if _VERSION ~= "Lua 5.1" or rawget(_G, "jit") then
      local fine, what = pcall(pop.retr, pop, 1, function() error("a bug in the sink", 0) end)
      assert.is_false(fine)
      assert.equal("a bug in the sink", what)
      assert.equal(crlf(SAMPLES[1]), (pop:retr(2)))
    end
    pop:quit()
  end)

  real("pass a limit as an error of kind limit", function()
    local user = dovecot:add_user()
    fill(user, { "Subject: big\n\n" .. (("y"):rep(70) .. "\n"):rep(5000) })
    local pop = open(user, "none", { limits = { message = 1000 } })
    local body, err = pop:retr(1)
    assert.is_nil(body)
    assert.equal("limit", err.kind)
    body, err = pop:noop()
    assert.is_nil(body)
    assert.equal("closed", err.kind)
  end)

  real("come to several coroutines of one session", function()
    local user, texts = dovecot:add_user(), {}
    for i = 1, 20 do texts[i] = ("Subject: %d\n\n%s\n"):format(i, ("x"):rep(i * 997)) end
    fill(user, texts)
    local pop, right = open(user), 0
    loop.run(function()
      local tasks = {}
      for i = 1, 20 do
        tasks[i] = loop.spawn(function()
          if assert(pop:retr(i)) == crlf(texts[i]) then right = right + 1 end
        end)
      end
      for _, task in ipairs(tasks) do task:join() end
    end)
    assert.equal(20, right)
    pop:quit()
  end)
end)

-- --- servers of a few lines -------------------------------------------------------------------------

local Peer = {}
Peer.__index = Peer

function Peer:say(bytes)
  local from = 1
  while from <= #bytes do
    local n, why = self.conn:send(bytes, from)
    if n then
      from = from + n
    elseif why ~= "again" or not loop.native.wait(self.conn:fd(), "w", 5) then
      return nil
    end
  end
  return true
end

-- The next line, or nil at the end of the stream.
function Peer:hear()
  while true do
    local line, rest = self.heard:match "^(.-)\r\n(.*)$"
    if line then
      self.heard = rest
      return line
    end
    local bytes, why = self.conn:recv()
    if bytes then
      self.heard = self.heard .. bytes
    elseif why ~= "again" or not loop.native.wait(self.conn:fd(), "r", 5) then
      return nil
    end
  end
end

-- Says each answer after one line was heard.
function Peer:answer(...)
  for i = 1, select("#", ...) do
    if not self:hear() then return end
    self:say((select(i, ...)))
  end
end

function Peer:close()
  loop.native.forget(self.conn:fd())
  self.conn:close()
end

-- Runs `client(port)` beside a server that serves one connection with `server(peer)`.
local function beside(server, client)
  loop.run(function()
    local listener = assert(core.listen("127.0.0.1", "0"))
    local _, port = listener:name()
    local task = loop.spawn(function()
      assert(loop.native.wait(listener:fd(), "r", 5))
      local peer = setmetatable({ conn = assert(listener:accept()), heard = "" }, Peer)
      server(peer)
      peer:close()
    end)
    client(port)
    task:join()
    loop.native.forget(listener:fd())
    listener:close()
  end)
end

local function dial(port, more)
  local o = { host = "127.0.0.1", port = port, tls = "none", user = "ann", password = "hunter2",
    allow_plaintext_login = true, timeout = 5 }
  for name, value in pairs(more or {}) do o[name] = value end
  return pop3.connect(o)
end

-- Greeting, CAPA, USER, PASS.
local function admit(peer, capabilities)
  peer:say "+OK ready\r\n"
  peer:answer("+OK\r\n" .. (capabilities or "") .. ".\r\n", "+OK\r\n", "+OK in\r\n")
end

describe("POP3 and servers that", function()
  it("say nothing", function()
    beside(function(peer) peer:hear() end, function(port)
      local pop, err = dial(port, { timeout = 0.1 })
      assert.is_nil(pop)
      assert.equal("timeout", err.kind)
      assert.is_true(err.temporary)
    end)
  end)

  it("answer late: the call times out and the session stays in step", function()
    beside(function(peer)
      admit(peer, "PIPELINING\r\n")
      peer:hear()
      peer:hear()
      peer:say "+OK late\r\n+OK 7 70\r\n"
      peer:answer "+OK bye\r\n"
    end, function(port)
      local pop = assert(dial(port))
      local ok, err = pop:noop { timeout = 0.05 }
      assert.is_nil(ok)
      assert.equal("timeout", err.kind)
      assert.equal("NOOP", err.command)
      assert.same({ count = 7, size = 70 }, pop:stat())
      assert.is_true(pop:quit())
    end)
  end)

  it("drip: the deadline bounds the whole answer", function()
    beside(function(peer)
      admit(peer)
      peer:hear()
      peer:say "+OK\r\n"
      while peer:say "x" do loop.sleep(0.01) end
    end, function(port)
      local pop = assert(dial(port, { timeout = 0.2 }))
      local before = core.now()
      local body, err = pop:retr(1)
      assert.is_nil(body)
      assert.equal("timeout", err.kind)
      assert.is_true(core.now() - before < 5)
      pop:close()
    end)
  end)

  it("pause inside a message: data bounds the gaps, not the whole", function()
    beside(function(peer)
      admit(peer)
      peer:hear()
      peer:say "+OK\r\n"
      for _ = 1, 5 do
        loop.sleep(0.02)
        peer:say "piece\r\n"
      end
      peer:say ".\r\n"
      peer:answer "+OK bye\r\n"
    end, function(port)
      local pop = assert(dial(port, { timeout = { answer = 5, data = 5 } }))
      assert.equal(("piece\r\n"):rep(5), (pop:retr(1)))
      assert.is_true(pop:quit())
    end)
  end)

  it("cut a message: it never looks whole", function()
    for _, sink in ipairs { false, function() return true end } do
      beside(function(peer)
        admit(peer)
        peer:hear()
        peer:say "+OK\r\nall but the dot\r\n"
      end, function(port)
        local pop = assert(dial(port))
        local body, err = pop:retr(1, sink or nil)
        assert.is_nil(body)
        assert.equal("closed", err.kind)
        assert.equal("RETR", err.command)
      end)
    end
  end)

  it("cut a maildrop: the iterator tells", function()
    beside(function(peer)
      admit(peer, "PIPELINING\r\n")
      peer:hear()
      peer:say "+OK\r\n1 5\r\n2 5\r\n.\r\n"
      peer:hear()
    end, function(port)
      local pop = assert(dial(port))
      local messages = pop:messages()
      local m, err = messages:next()
      assert.is_nil(m)
      assert.equal("closed", err.kind)
      assert.is_nil(messages:next())
      pop:close()
    end)
  end)

  it("send answers before the question", function()
    beside(function(peer)
      peer:say "+OK ready\r\n+OK\r\nUSER\r\n.\r\n"
      peer:hear()
    end, function(port)
      local pop, err = dial(port)
      assert.is_nil(pop)
      assert.equal("protocol", err.kind)
    end)
  end)

  it("strip STLS: nothing is sent", function()
    for _, answer in ipairs { "+OK\r\nUSER\r\n.\r\n", "-ERR what?\r\n" } do
      local heard = {}
      beside(function(peer)
        peer:say "+OK ready\r\n"
        peer:answer(answer)
        local line = peer:hear()
        while line do
          heard[#heard + 1] = line
          peer:say "-ERR no\r\n"
          line = peer:hear()
        end
      end, function(port)
        local pop, err = dial(port, { tls = "starttls" })
        assert.is_nil(pop)
        assert.equal("tls", err.kind)
      end)
      assert.is_nil(table.concat(heard, "\n"):find "USER")
      assert.is_nil(table.concat(heard, "\n"):find "AUTH")
    end
  end)

  it("inject plaintext behind the +OK of STLS", function()
    beside(function(peer)
      peer:say "+OK ready\r\n"
      peer:answer("+OK\r\nSTLS\r\n.\r\n", "+OK go\r\n+OK injected\r\n")
      peer:hear()
    end, function(port)
      local pop, err = dial(port, { tls = "starttls" })
      assert.is_nil(pop)
      assert.is_truthy(err.kind == "protocol" or err.kind == "tls")
    end)
  end)

  it("repeat the secret, plain and in base64: it is masked in errors and in the log", function()
    local lines = {}
    beside(function(peer)
      peer:say "+OK ready\r\n"
      peer:answer("+OK\r\nSASL PLAIN\r\n.\r\n")
      local line = peer:hear()
      peer:say("-ERR I got " .. line .. " which is hunter2\r\n")
    end, function(port)
      local pop, err = dial(port, { log = function(direction, line) lines[#lines + 1] = direction .. line end })
      assert.is_nil(pop)
      assert.equal("auth", err.kind)
      local all = tostring(err) .. err.text .. table.concat(lines)
      assert.is_nil(all:find("hunter2", 1, true))
      assert.is_nil(all:find(core.base64 "\0ann\0hunter2", 1, true))
      assert.matches("which is %*%*%*", err.text)
    end)
  end)

  it("refuse a log-in for the moment", function()
    beside(function(peer)
      peer:say "+OK ready\r\n"
      peer:answer("-ERR no CAPA\r\n", "+OK\r\n", "-ERR [IN-USE] another session\r\n")
    end, function(port)
      local pop, err = dial(port)
      assert.is_nil(pop)
      assert.equal("IN-USE", err.response_code)
      assert.equal("rejected", err.kind)
      assert.is_true(err.temporary)
    end)
  end)

  it("refuse at the greeting", function()
    beside(function(peer) peer:say "-ERR [SYS/TEMP] full\r\n" end, function(port)
      local pop, err = dial(port)
      assert.is_nil(pop)
      assert.equal("rejected", err.kind)
      assert.equal("SYS/TEMP", err.response_code)
      assert.is_true(err.temporary)
    end)
  end)

  it("close instead of answering QUIT", function()
    beside(function(peer)
      admit(peer)
      peer:answer "+OK\r\n"
      peer:hear()
    end, function(port)
      local pop = assert(dial(port))
      assert.is_true(pop:dele(1))
      local ok, err = pop:quit()
      assert.is_nil(ok)
      assert.equal("closed", err.kind)
      assert.matches("may still be there", err.message)
      ok, err = pop:stat()
      assert.is_nil(ok)
      assert.equal("closed", err.kind)
    end)
  end)

  it("have no UIDL, no sizes and strange lines", function()
    beside(function(peer)
      admit(peer)
      peer:answer("+OK\r\n1 \r\nrubbish\r\n3 70 extra\r\n.\r\n", "-ERR UIDL?\r\n", "+OK\r\nbody\r\n.\r\n",
        "+OK mail\r\n", "+OK\r\n")
    end, function(port)
      local pop = assert(dial(port))
      local seen = {}
      local messages = pop:messages() -- no for: PUC 5.1 cannot wait inside one in a task
      local m = messages:next()
      while m do
        seen[#seen + 1] = { m.number, m.size or false, m.uid or false }
        if m.number == 3 then assert.equal("body\r\n", (m:retr())) end
        m = messages:next()
      end
      assert.same({ { 1, false, false }, { 3, 70, false } }, seen)
      local stat, err = pop:stat()
      assert.is_nil(stat)
      assert.equal("protocol", err.kind)
      assert.is_true(pop:noop())
      pop:close()
    end)
  end)

  it("lie about sizes: what piles up behind a DELE is bounded", function()
    beside(function(peer)
      admit(peer, "PIPELINING\r\n")
      peer:hear()
      peer:hear()
      local list = {}
      for i = 1, 20 do list[i] = i .. " 10\r\n" end
      peer:say("+OK\r\n" .. table.concat(list) .. ".\r\n-ERR no UIDL\r\n")
      local line = peer:hear()
      while line and not line:find "^DELE" do line = peer:hear() end
      local body = "+OK\r\n" .. ("x"):rep(100000) .. "\r\n.\r\n"
      for _ = 1, 20 do peer:say(body) end
      peer:say "+OK deleted\r\n"
      peer:hear()
    end, function(port)
      local pop = assert(dial(port, { limits = { backlog = 300000 } }))
      local messages = pop:messages()
      local first = assert(messages:next())
      local task = loop.spawn(function() return first:retr() end)
      loop.sleep(0.01)
      assert.is_true(first:dele())
      assert.is_string((task:join()))
      local failed
      for _ = 2, 20 do
        local m = assert(messages:next())
        local body, err = m:retr { timeout = 0.05 }
        if not body then failed = failed or err.kind end
      end
      assert.equal("limit", failed)
      pop:close()
    end)
  end)

  it("leave a task waiting that is cancelled", function()
    beside(function(peer)
      admit(peer)
      peer:hear()
      peer:say "+OK\r\nhalf\r\n"
      peer:hear()
    end, function(port)
      local pop = assert(dial(port))
      local got, err
      local task = loop.spawn(function() got, err = pop:retr(1) end)
      loop.sleep(0.01)
      task:cancel()
      task:join()
      assert.is_nil(got)
      assert.equal("cancelled", err.kind)
      pop:close()
    end)
  end)
end)

describe("POP3 sessions that failed", function()
  it("leave no descriptor behind", function()
    if not descriptors.count() then return pending("no /proc to count descriptors in") end
    local endings = {
      function(peer) peer:hear() end,
      function(peer) peer:say "220 mx\r\n" end,
      function(peer) peer:say "-ERR no\r\n" end,
      function(peer)
        peer:say "+OK\r\n"
        peer:answer("-ERR\r\n", "-ERR\r\n")
      end,
      function(peer) peer:say(("x"):rep(10000)) end,
    }
    descriptors.steady(function()
      for _, ending in ipairs(endings) do
        for _ = 1, 3 do
          beside(ending, function(port) assert.is_nil((dial(port, { timeout = 0.05 }))) end)
        end
      end
    end)
  end)
end)

-- --- without a connection ---------------------------------------------------------------------------

describe("an iterator", function()
  local iterator = require "mail.iterator"

  -- One item, then an error.
  local function failing(closed)
    local items = { "one" }
    return iterator.new(function()
      local item = table.remove(items)
      if item then return item end
      return nil, Err.new { kind = "closed", message = "gone" }
    end, function() closed[#closed + 1] = true end)
  end

  it("raises the error object in a for loop, after what came before", function()
    local seen, closed = {}, {}
    local ok, err = pcall(function()
      for item in failing(closed) do seen[#seen + 1] = item end
    end)
    assert.is_false(ok)
    assert.is_true(Err.is(err))
    assert.equal("closed", err.kind)
    assert.same({ "one" }, seen)
    assert.same({ true }, closed)
  end)

  it("returns nil, err from next, and then stays at its end", function()
    local closed = {}
    local items = failing(closed)
    assert.equal("one", items:next())
    local item, err = items:next()
    assert.is_nil(item)
    assert.equal("closed", err.kind)
    assert.is_nil((items:next()))
    assert.is_true(items:close())
    assert.same({ true }, closed)
  end)
end)

describe("POP3 without a connection", function()
  it("parses recorded replies, whatever the cuts", function()
    local bytes = "+OK ready <1@h>\r\n-ERR [IN-USE] busy\r\n+OK\r\n1 a\r\n..2\r\n.\r\n+ dGV4dA==\r\n+OK\r\n.\r\n"
    local want = {
      { ok = true, text = "ready <1@h>" },
      { ok = false, text = "busy", response_code = "IN-USE" },
      { ok = true, text = "", lines = { "1 a", ".2" } },
      { challenge = "dGV4dA==" },
      { ok = true, text = "", lines = {} },
    }
    assert.same(want, pop3.parse(bytes))
    for chunk = 1, 9 do assert.same(want, pop3.parse(bytes, chunk)) end
  end)

  it("does not parse what is no reply, or not all of one", function()
    for bytes, kind in pairs {
      ["220 mx\r\n"] = "protocol", ["-ERR\r\nline\r\n"] = "protocol", ["+OK half"] = "closed",
      ["+OK\r\n1 a\r\n"] = "closed",
    } do
      local replies, err = pop3.parse(bytes)
      assert.is_nil(replies)
      assert.equal(kind, err.kind)
    end
    assert.same({}, pop3.parse "")
    assert.has_error(function() pop3.parse(nil) end)
  end)

  it("drives a session by hand", function()
    local session = pop3.session { limits = { message = 100 } }
    session:feed "+OK hello\r\n"
    local kind, id, text = session:next()
    assert.same({ "greeting", 0, "hello" }, { kind, id, text })
    local capa = session:capa()
    assert.equal("CAPA\r\n", session:output())
    session:feed "+OK\r\nTOP\r\n.\r\n"
    local _, who, ok, _, _, set = session:next()
    assert.same({ capa, true, { TOP = true } }, { who, ok, set })
    assert.equal("wait", (session:next()))
    assert.equal("mail.pop3 (no transport, authorization)", tostring(session))
    session:close()
  end)

  it("raises for arguments of the wrong kind at the caller's line", function()
    local session = pop3.session()
    local function raises(fn)
      local ok, err = pcall(fn)
      assert.is_false(ok)
      assert.matches("pop3_spec.lua:%d+:", tostring(err))
    end
    raises(function() session:retr(0) end)
    raises(function() session:retr "x" end)
    raises(function() session:top(1, -1) end)
    raises(function() session:dele(1.5) end)
    raises(function() session:stat { wait = 1 } end)
    raises(function() session:command(nil) end)
    raises(function() pop3.connect { host = "h", port = 110, pasword = "x" } end)
    raises(function() pop3.connect { host = "h", mechanism = "PLIAN" } end)
  end)
end)
