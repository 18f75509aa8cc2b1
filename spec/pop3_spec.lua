-- POP3 as a user sees it: what hostile, mute and broken servers bring about (a few lines of server in the same
-- loop), and a session without a transport. Real servers: spec/pop3_servers_spec.lua.

local core = require "mail.core"
local Err = require "mail.err"
local descriptors = require "spec.support.descriptors"
local loop = require "mail.loop"
local scripted = require "spec.support.scripted"
local pop3 = require "mail.pop3"

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

  it("send a message without end: the call is over in time, though it never had to wait", function()
    scripted.run(function(peer)
      peer:send "+OK hi\r\n"
      peer:expect "^CAPA"
      peer:send "-ERR\r\n"
      for _ = 1, 3 do
        peer:line() -- USER, PASS, RETR
        peer:send "+OK\r\n"
      end
      repeat until not peer:send(("x"):rep(65536)) -- until the client is gone
    end, function(port)
      local pop = assert(dial(port))
      local ok, err = pop:retr(1, function() return true end, { timeout = 0.2 })
      assert.is_nil(ok)
      assert.equal("timeout", err.kind)
      assert.equal("RETR", err.command)
      pop:close()
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

  it("are gone while a loop is at a message: the next one is not handed out as if it were there", function()
    beside(function(peer)
      admit(peer, "UIDL\r\n")
      peer:hear()
      peer:say "+OK\r\n1 5\r\n2 5\r\n.\r\n"
      peer:hear()
      peer:say "+OK\r\n1 a\r\n2 b\r\n.\r\n"
      peer:hear()
    end, function(port)
      local pop = assert(dial(port))
      local messages = pop:messages()
      local body, why = assert(messages:next()):retr()
      assert.is_nil(body)
      assert.equal("closed", why.kind)
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

  it("are told QUIT by one coroutine: the session is closed for the others", function()
    beside(function(peer)
      admit(peer)
      peer:answer "+OK bye\r\n"
    end, function(port)
      local pop = assert(dial(port))
      local leaving = loop.spawn(function() return pop:quit() end)
      loop.sleep(0)
      local ok, err = pop:noop()
      assert.is_nil(ok)
      assert.equal("closed", err.kind)
      assert.is_true(leaving:join())
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
    raises(function() session:command("NOOP", 1) end)
    raises(function() session:top(1, -1) end)
    raises(function() session:dele(1.5) end)
    raises(function() session:stat { wait = 1 } end)
    raises(function() session:command(nil) end)
    raises(function() session:login("ann", "x", { mechanizm = "USER" }) end)
    raises(function() local _ = pop3.session { limits = { lines = 1 } } end)
    raises(function() local _ = pop3.parse(5) end)
    raises(function() local _ = pop3.parse("+OK\r\n", 0) end)
    raises(function() local _ = pop3.parse("+OK\r\n", "1") end)
    raises(function() pop3.connect { host = "h", port = 110, pasword = "x" } end)
    raises(function() pop3.connect { host = "h", mechanism = "PLIAN" } end)
  end)
end)
