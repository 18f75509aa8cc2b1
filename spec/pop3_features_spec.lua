-- POP3 beyond RFC 1939: UTF8 and LANG, response codes, what CAPA says, log-in in one flight, TOP in the place of RETR,
-- and `new_messages` with servers that do what no real one does. A few lines of server in the same loop.

local core = require "mail.core"
local pop3 = require "mail.pop3"
local scripted = require "spec.support.scripted"

local function dial(port, more)
  local o = { host = "127.0.0.1", port = port, tls = "none", user = "ann", password = "hunter2",
    allow_plaintext_login = true, timeout = 5 }
  for name, value in pairs(more or {}) do o[name] = value end
  return pop3.connect(o)
end

-- Greeting, then each answer in turn; what the client said.
local function play(answers, client, options)
  local said = {}
  scripted.run(function(peer)
    peer:send "+OK ready\r\n"
    for _, answer in ipairs(answers) do
      local line = peer:line()
      if not line then return end
      said[#said + 1] = line
      peer:send(answer)
    end
    local line = peer:line()
    while line do
      said[#said + 1] = line
      line = peer:line()
    end
  end, function(port)
    local pop, err = dial(port, options)
    client(pop, err)
    if pop then pop:close() end
  end)
  return said
end

local function capa(...)
  return "+OK\r\n" .. table.concat({ ... }, "\r\n") .. "\r\n.\r\n"
end

local OK = "+OK\r\n"

describe("POP3 response codes", function()
  -- A log-in by USER whose PASS is refused with these words.
  local function refused(words, capabilities)
    local got
    play({ capabilities or "-ERR\r\n", OK, "-ERR " .. words .. "\r\n" }, function(pop, err)
      assert.is_nil(pop)
      got = err
    end)
    return got
  end

  it("tell a bad password from a bad moment and from a bad server", function()
    for words, want in pairs {
      ["[AUTH] no"] = { "auth", "AUTH", false },
      ["no"] = { "auth", nil, false },
      ["[XNEW] no"] = { "auth", "XNEW", false },
      ["[IN-USE] locked"] = { "rejected", "IN-USE", true },
      ["[SYS/TEMP] disk"] = { "rejected", "SYS/TEMP", true },
      ["[SYS/TEMP/DISK] disk"] = { "rejected", "SYS/TEMP/DISK", true },
      ["[sys/perm] gone"] = { "rejected", "SYS/PERM", false },
      ["[LOGIN-DELAY] wait"] = { "rejected", "LOGIN-DELAY", true },
    } do
      local err = refused(words)
      assert.same(want, { err.kind, err.response_code, err.temporary }, words)
      assert.equal("PASS", err.command)
    end
  end)

  it("say when to come back, where CAPA did", function()
    assert.equal(900, refused("[LOGIN-DELAY] wait", capa("USER", "LOGIN-DELAY 900")).retry_after)
    assert.is_nil(refused("[LOGIN-DELAY] wait").retry_after)
    assert.is_nil(refused("[IN-USE] wait", capa("USER", "LOGIN-DELAY 900")).retry_after)
  end)

  it("come with AUTH, too", function()
    play({ capa "SASL PLAIN", "-ERR [SYS/TEMP] later\r\n" }, function(pop, err)
      assert.is_nil(pop)
      assert.same({ "rejected", "SYS/TEMP", true }, { err.kind, err.response_code, err.temporary })
    end)
  end)
end)

describe("POP3 capabilities", function()
  it("are fields where they carry a value", function()
    local function fields(...)
      local got
      play({ capa("USER", ...), OK, OK }, function(pop)
        got = { pop.expire or false, pop.login_delay or false, pop.implementation or false }
      end)
      return got
    end
    assert.same({ { days = 60, per_user = false }, 120, "Shlemazle-9 (x y)" },
      fields("EXPIRE 60", "LOGIN-DELAY 120", "IMPLEMENTATION Shlemazle-9 (x y)"))
    assert.same({ { days = "never", per_user = false }, 30, false }, fields("EXPIRE Never", "LOGIN-DELAY 30 USER"))
    assert.same({ { days = 0, per_user = true }, false, false }, fields("expire 0 user", "LOGIN-DELAY soon"))
    assert.same({ false, false, false }, fields("EXPIRE", "LOGIN-DELAY", "IMPLEMENTATION"))
  end)
end)

describe("POP3 log-in by USER", function()
  it("takes one flight where the server pipelines", function()
    local heard
    scripted.run(function(peer)
      peer:send "+OK\r\n"
      peer:line()
      peer:send(capa("PIPELINING", "USER"))
      heard = peer:through "hunter2\r\n" -- both before any answer
      peer:send "+OK\r\n+OK in\r\n"
      peer:rest()
    end, function(port)
      local pop = assert(dial(port))
      assert.equal("mail.pop3 (127.0.0.1:" .. port .. ", transaction)", tostring(pop))
      pop:close()
    end)
    assert.equal("USER ann\r\nPASS hunter2\r\n", heard)
  end)

  it("sends no password after a refused user where it does not", function()
    local said = play({ capa "USER", "-ERR who?\r\n" }, function(pop, err)
      assert.is_nil(pop)
      assert.same({ "auth", "USER" }, { err.kind, err.command })
    end)
    assert.same({ "CAPA", "USER ann" }, said)
  end)

  it("believes no PASS behind a refused USER, and hears both answers", function()
    for _, case in ipairs { { "-ERR who?\r\n-ERR no\r\n", "auth", "USER" },
      { "-ERR who?\r\n+OK in\r\n", "protocol", "PASS" } } do
      scripted.run(function(peer)
        peer:send "+OK\r\n"
        peer:line()
        peer:send(capa("PIPELINING", "USER"))
        peer:through "hunter2\r\n"
        peer:send(case[1])
        peer:rest()
      end, function(port)
        local pop, err = dial(port)
        assert.is_nil(pop)
        assert.same({ case[2], case[3] }, { err.kind, err.command })
      end)
    end
  end)

  it("carries UTF-8, prepared, only where the server says so", function()
    local said = play({ capa("USER", "UTF8 USER"), OK, OK }, function(pop, err)
      assert.is_nil(err)
      assert.is_userdata(pop)
    end, { user = "j\195\188rgen", password = "\226\133\167x" }) -- ROMAN NUMERAL EIGHT: VIII by NFKC
    assert.same({ "CAPA", "USER j\195\188rgen", "PASS VIIIx" }, said)
    for _, offer in ipairs { capa "USER", capa("USER", "UTF8"), capa("USER", "UTF8 XUSER") } do
      said = play({ offer }, function(pop, err)
        assert.is_nil(pop)
        assert.equal("unsupported", err.kind)
      end, { user = "j\195\188rgen" })
      assert.same({ "CAPA" }, said)
    end
  end)

  it("keeps APOP for those who ask for it", function()
    local said
    local function apop(mechanism)
      said = {}
      scripted.run(function(peer)
        peer:send "+OK <1896.697170952@dbc.mtview.ca.us>\r\n"
        for _, answer in ipairs { "-ERR\r\n", OK, OK } do
          said[#said + 1] = peer:line()
          peer:send(answer)
        end
        peer:rest()
      end, function(port)
        local pop = assert(dial(port, { user = "mrose", password = "tanstaaf", mechanism = mechanism }))
        if mechanism then pop:noop() end
        pop:close()
      end)
    end
    apop()
    assert.same({ "CAPA", "USER mrose", "PASS tanstaaf" }, said)
    apop "APOP"
    assert.same({ "CAPA", "APOP mrose c4c9334bac560ecc979e58001b3e22fb", "NOOP" }, said)
  end)
end)

describe("POP3 in UTF-8", function()
  it("is demanded by utf8 = true, before the log-in", function()
    local said = play({ capa("USER", "UTF8"), OK, OK, OK }, function(pop) assert.is_userdata(pop) end, { utf8 = true })
    assert.same({ "CAPA", "UTF8", "USER ann", "PASS hunter2" }, said)
    said = play({ capa "USER" }, function(pop, err)
      assert.is_nil(pop)
      assert.equal("unsupported", err.kind)
    end, { utf8 = true })
    assert.same({ "CAPA" }, said)
    play({ capa("USER", "UTF8"), "-ERR not today\r\n" }, function(pop, err)
      assert.is_nil(pop)
      assert.same({ "rejected", "UTF8" }, { err.kind, err.command })
    end, { utf8 = true })
  end)

  it("is a call where the log-in waits, and too late behind it", function()
    local said = play({ capa("USER", "UTF8", "STLS"), OK, OK, OK }, function(pop)
      assert.is_true(pop:utf8())
      local _, why = pop:command "STLS"
      assert.equal("invalid", why.kind)
      assert.is_true(pop:login("ann", "hunter2", { mechanism = "USER" }))
      local ok, err = pop:utf8()
      assert.is_nil(ok)
      assert.equal("invalid", err.kind)
    end, { login = false })
    assert.same({ "CAPA", "UTF8", "USER ann", "PASS hunter2" }, said)
  end)

  it("shows that a message needs it", function()
    play({ capa "USER", OK, OK, "-ERR [UTF8] not as it is\r\n" }, function(pop)
      local body, err = pop:retr(1)
      assert.is_nil(body)
      assert.same({ "rejected", "UTF8" }, { err.kind, err.response_code })
    end)
  end)

  it("speaks the user's language", function()
    local said = play({ capa("USER", "LANG"), "+OK es Idioma cambiado\r\n", "+OK\r\nen English\r\nsv\r\n.\r\n", OK, OK,
      "-ERR es <<UGA>> no es conocido\r\n" }, function(pop)
      assert.equal("es", pop:language "es")
      assert.same({ { tag = "en", description = "English" }, { tag = "sv", description = "" } }, pop:language())
      assert.is_true(pop:login("ann", "hunter2", { mechanism = "USER" }))
      local tag, err = pop:language "uga"
      assert.is_nil(tag)
      assert.equal("rejected", err.kind)
      tag, err = pop:language "a b"
      assert.is_nil(tag)
      assert.equal("invalid", err.kind)
    end, { login = false })
    assert.same({ "CAPA", "LANG es", "LANG", "USER ann", "PASS hunter2", "LANG uga" }, said)
    play({ capa "USER" }, function(pop)
      local tag, err = pop:language()
      assert.is_nil(tag)
      assert.equal("unsupported", err.kind)
    end, { login = false })
  end)
end)

describe("POP3 TOP in the place of RETR", function()
  it("is tried where that is allowed", function()
    local said = play({ capa "USER", OK, OK, "-ERR no\r\n", "+OK\r\nwhole\r\n.\r\n", "-ERR no\r\n",
      "+OK\r\nsunk\r\n.\r\n", "-ERR never\r\n", "-ERR nor this\r\n", "-ERR no\r\n" }, function(pop)
      assert.equal("whole\r\n", (pop:retr(1, { top = true })))
      local pieces = {}
      assert.is_true(pop:retr(2, function(piece)
        pieces[#pieces + 1] = piece
        return true
      end, { top = true }))
      assert.equal("sunk\r\n", table.concat(pieces))
      local body, err = pop:retr(3, { top = true })
      assert.is_nil(body)
      assert.same({ "RETR", "never" }, { err.command, err.text })
      body, err = pop:retr(4)
      assert.is_nil(body)
      assert.equal("RETR", err.command)
    end)
    assert.equal("TOP 1 2147483647", said[5])
    assert.equal("TOP 2 2147483647", said[7])
    assert.equal(10, #said)
  end)

  it("stops with the sink, as RETR does", function()
    play({ capa "USER", OK, OK, "+OK\r\nline\r\n.\r\n", OK }, function(pop)
      local ok, err = pop:top(1, 5, function() return nil, "full" end)
      assert.is_nil(ok)
      assert.same({ "io", "TOP" }, { err.kind, err.command })
      assert.is_true(pop:noop())
    end)
  end)

  it("goes on where the sink returns nothing, and stops where it returns nil", function()
    local body = "+OK\r\nline\r\n.\r\n"
    play({ capa "USER", OK, OK, body, body, body, OK }, function(pop)
      local pieces = {}
      local function gather(piece) pieces[#pieces + 1] = piece end
      assert.is_true(pop:retr(1, gather))
      assert.is_true(pop:top(1, 5, gather))
      assert.equal("line\r\nline\r\n", table.concat(pieces))
      local ok, err = pop:retr(1, function() return nil end)
      assert.is_nil(ok)
      assert.same({ "io", "RETR" }, { err.kind, err.command })
      assert.is_true(pop:noop())
    end)
  end)
end)

-- --- mail that stays on the server --------------------------------------------------------------------

-- A maildrop: {uid=, text=} in order. Answers everything, forgets what QUIT makes final.
local Drop = {}
Drop.__index = Drop

local function drop(uids, more)
  local self = setmetatable({ log = {}, capabilities = "UIDL\r\nPIPELINING\r\n" }, Drop)
  for name, value in pairs(more or {}) do self[name] = value end
  for i, uid in ipairs(uids) do self[i] = { uid = uid, text = ("Subject: %s\r\n\r\nbody %d\r\n"):format(uid, i) } end
  return self
end

local answers = {}

function answers.LIST(self)
  local lines = {}
  for i, m in ipairs(self) do lines[i] = ("%d %d\r\n"):format(i, #m.text) end
  return "+OK\r\n" .. table.concat(lines) .. ".\r\n"
end

function answers.UIDL(self)
  if self.no_uidl then return self.no_uidl end
  local lines = {}
  for i, m in ipairs(self) do lines[i] = ("%d %s\r\n"):format(i, m.uid) end
  return "+OK\r\n" .. table.concat(lines) .. ".\r\n"
end

function answers.RETR(self, n)
  if self.broken == self[n].uid then return "-ERR cannot be read\r\n" end
  return "+OK\r\n" .. self[n].text .. ".\r\n"
end

function answers.DELE(self, n)
  if self.keep == self[n].uid then return "-ERR not that one\r\n" end
  self[n].gone = true
  return "+OK\r\n"
end

function answers.QUIT(self)
  if self.quit then return self.quit end
  for i = #self, 1, -1 do
    if self[i].gone then table.remove(self, i) end
  end
  return "+OK\r\n"
end

function Drop:serve(peer)
  for _, m in ipairs(self) do m.gone = nil end
  peer:send "+OK\r\n"
  local line = peer:line()
  while line do
    local verb, n = line:match "^(%u+) ?(%d*)"
    self.log[#self.log + 1] = line
    if self.cut == line then return end
    if verb == "CAPA" then
      peer:send("+OK\r\n" .. self.capabilities .. ".\r\n")
    else
      peer:send(answers[verb] and answers[verb](self, tonumber(n)) or "+OK\r\n")
    end
    line = peer:line()
  end
end

-- One session: `loop(new, pop)`; what it returned.
local function visit(self, seen, options, body)
  local results
  scripted.run(function(peer) self:serve(peer) end, function(port)
    local pop = assert(dial(port))
    local new = pop:new_messages(seen, options)
    results = { body(new, pop) }
    pop:close()
  end)
  return (table.unpack or unpack)(results, 1, 3) -- luacheck: ignore
end

-- Takes all that is new; the uids, the set, what was deleted.
local function take(new, pop)
  local uids = {}
  local m, err = new:next()
  while m do
    m:retr()
    uids[#uids + 1] = m.uid or "-"
    m, err = new:next()
  end
  assert.is_nil(err)
  pop:quit()
  return table.concat(uids, " "), new.seen, new.deleted
end

local function keys(set)
  local list = {}
  for key in pairs(set) do list[#list + 1] = key end
  table.sort(list)
  return table.concat(list, ",")
end

describe("A POP3 listing of the core", function()
  -- The items as tables, without the ids of commands in flight.
  local function items(listing)
    local list = {}
    for i = 1, listing:count() do
      local number, size, uid = listing:item(i)
      list[i] = { number, size or false, uid or false }
    end
    return list
  end

  it("joins LIST and UIDL by number, whatever their order; of one number the last UIDL line counts", function()
    for words, want in pairs {
      ["1 10\r\n2 20\r\n|1 a\r\n2 b\r\n"] = { { 1, 10, "a" }, { 2, 20, "b" } },
      ["1 10\r\n2 20\r\n|2 b\r\n1 a\r\n"] = { { 1, 10, "a" }, { 2, 20, "b" } },
      ["2 20\r\n1 10\r\n2 30\r\n|1 a\r\n2 b\r\n"] = { { 2, 20, "b" }, { 1, 10, "a" }, { 2, 30, "b" } },
      ["1 10\r\n2 20\r\n3 30\r\n|3 c\r\n4 d\r\n1 x\r\n1 a\r\n"] = { { 1, 10, "a" }, { 2, 20, false }, { 3, 30, "c" } },
      ["5 1\r\n|1 a\r\n9 b\r\n"] = { { 5, 1, false } },
      ["4294967295 1\r\n|4294967295 a\r\n"] = { { 4294967295, 1, "a" } },
      ["1\r\nrubbish\r\n0 5\r\n2 x\r\n3 7 more\r\n|rubbish\r\n2\r\n3 c d\r\n0 z\r\n"] =
        { { 1, false, false }, { 2, false, false }, { 3, 7, "c" } },
      ["|1 a\r\n"] = {},
      ["1 10\r\n|"] = { { 1, 10, false } },
    } do
      local list, uidl = words:match "^(.*)|(.*)$"
      assert.same(want, items(core.pop3_listing(list, uidl)), words)
    end
    assert.same({ { 1, 10, false } }, items(core.pop3_listing "1 10\r\n"))
  end)

  it("finds every id in a shuffled listing of many", function()
    local n, list, uidl, want = 1009, {}, {}, {}
    for i = 0, n - 1 do
      local a, b = i * 7 % n + 1, i * 11 % n + 1
      list[i + 1] = ("%d %d\r\n"):format(a, a * 2)
      uidl[i + 1] = ("%d id%d\r\n"):format(b, b)
      want[i + 1] = { a, a * 2, "id" .. a }
    end
    local listing = core.pop3_listing(table.concat(list), table.concat(uidl))
    collectgarbage() -- the ids stand in a string that the listing keeps
    collectgarbage()
    assert.same(want, items(listing))
  end)

  it("has no item outside, keeps those that are asked for, and wants a session of POP3", function()
    local listing = core.pop3_listing("1 1\r\n2 2\r\n3 3\r\n4 4\r\n", "2 b\r\n4 d\r\n")
    assert.same({ n = 0 }, { n = select("#", listing:item(0)) })
    assert.same({ n = 0 }, { n = select("#", listing:item(5)) })
    assert.is_false((pcall(listing.only, listing, { 2, 2 })))
    assert.is_false((pcall(listing.only, listing, { 5 })))
    listing:only { 2, 4 }
    assert.same({ { 2, 2, "b" }, { 4, 4, "d" } }, items(listing))
    assert.is_false((pcall(listing.item, core.pop3_session(), 1)))
    local ok, why = pcall(listing.ask, listing, core.smtp_session(), 0, 1, 1)
    assert.is_false(ok)
    assert.matches("POP3 session expected", why)
    listing:only {}
    assert.equal(0, listing:count())
  end)

  -- A session that is logged in, with or without PIPELINING; what it has to send.
  local function session()
    local s = core.pop3_session()
    local function turn(id, answer)
      assert(id)
      s:output()
      s:feed(answer)
      assert.not_equal("fail", (s:next()))
    end
    turn(1, "+OK\r\n")
    turn(s:capa(), capa "PIPELINING")
    turn(s:user "ann", OK)
    turn(s:pass "secret", OK)
    return s
  end

  it("asks ahead within a window of messages and bytes, and says when it is half empty", function()
    local listing = core.pop3_listing "1 10\r\n2 10\r\n3 10\r\n4 10\r\n5 10\r\n6\r\n7 10\r\n"
    local s = session()
    assert.equal(3, listing:ask(s, 1, 4, 1000)) -- 2 to 5; at 3 there are two left
    assert.equal("RETR 2\r\nRETR 3\r\nRETR 4\r\nRETR 5\r\n", s:output())
    assert.is_nil((select(4, listing:item(1))))
    local id = select(4, listing:item(2))
    assert.is_number(id)
    s:feed "+OK some words\r\nbody\r\n.\r\n-ERR [SYS/TEMP] no\r\n"
    assert.same({ "done", id, true, "", nil, "body\r\n" }, { s:next() })
    assert.same({ "done", id + 1, false, "no", "SYS/TEMP" }, { s:next() })
    assert.equal(3, listing:ask(s, 3, 4, 1000)) -- 6 has no size: its own command
    assert.is_nil(s:output())
    assert.is_nil((select(4, listing:item(6))))
    assert.equal(7, listing:ask(s, 6, 4, 10))
    assert.equal("RETR 7\r\n", s:output())
    assert.equal(7, listing:ask(s, 99, 4, 10)) -- behind the end
    assert.is_nil(s:output())

    listing = core.pop3_listing "1 60\r\n2 30\r\n3 20\r\n4 101\r\n5 1\r\n"
    s = session()
    assert.equal(1, listing:ask(s, 0, 100, 100)) -- 1 and 2; behind 1 there are 30 of 100 left
    assert.equal("RETR 1\r\nRETR 2\r\n", s:output())
    assert.equal(1, listing:ask(s, 1, 100, 100))
    assert.equal("RETR 3\r\n", s:output())
    assert.equal(3, listing:ask(s, 3, 100, 100))
    assert.is_nil(s:output()) -- 4 is larger than any window
  end)

  it("asks for nothing where the session takes no command", function()
    local listing = core.pop3_listing "1 10\r\n"
    local s = core.pop3_session()
    assert.equal(0, listing:ask(s, 0, 4, 1000))
    assert.is_nil((select(4, listing:item(1))))
  end)
end)

describe("POP3 new_messages", function()
  it("takes the saved set in every shape that a serializer leaves", function()
    local box = drop { "a", "17", "b", "c" }
    for _, seen in ipairs { { "a", "17", "b" }, { a = 5, [17] = 6, b = true }, { a = 5, ["17"] = 6, b = 7.5 } } do
      local copy = {}
      for key, value in pairs(seen) do copy[key] = value end
      local uids, set = visit(box, seen, nil, take)
      assert.equal("c", uids)
      assert.equal("17,a,b,c", keys(set))
      assert.same(copy, seen)
      for _, since in pairs(set) do assert.is_number(since) end
    end
    assert.equal("a 17 b c", (visit(box, nil, nil, take)))
    assert.equal("a 17 b c", (visit(box, {}, nil, take)))
  end)

  it("raises at the caller's line for what is no set, and for options that are none", function()
    play({ capa "USER", OK, OK }, function(pop)
      for _, arguments in ipairs { { "a" }, { { a = {} } }, { { [true] = 1 } }, { { [1.5] = 1 } },
          { { [1 / 0] = 1 } }, { { [2 ^ 80] = 1 } },
          { {}, { deleteafter = 1 } },
          { {}, { delete_after = -1 } }, { {}, { delete_after = 0 / 0 } } } do
        local ok, err = pcall(function() pop:new_messages(arguments[1], arguments[2]) end)
        assert.is_false(ok)
        assert.matches("pop3_features_spec.lua:%d+:", tostring(err))
      end
    end)
  end)

  it("counts a message once the loop has gone on behind it", function()
    local box = drop { "a", "b", "c" }
    local seen = visit(box, nil, nil, function(new)
      assert.equal("", keys(new.seen))
      assert.equal("a", new:next().uid)
      assert.equal("", keys(new.seen))
      assert.equal("b", new:next().uid)
      assert.equal("a", keys(new.seen))
      new:close()
      return new.seen
    end)
    assert.equal("a", keys(seen))
    local uids, set = visit(box, seen, nil, take)
    assert.equal("b c", uids)
    assert.equal("a,b,c", keys(set))
  end)

  it("repeats what could not be fetched, and what was not dealt with", function()
    local box = drop({ "a", "b", "c" }, { broken = "b" })
    local uids, seen = visit(box, nil, nil, take)
    assert.equal("a b c", uids)
    assert.equal("a,c", keys(seen))
    box.broken = nil
    seen = visit(box, seen, { delete_after = 0 }, function(new, pop)
      local m = new:next()
      assert.equal("b", m.uid)
      m:again()
      assert.is_string((m:retr()))
      assert.is_nil((new:next()))
      pop:quit()
      return new.seen
    end)
    assert.equal("a,c", keys(seen))
    assert.equal(1, #box)
  end)

  it("loses nothing and forgets nothing where the connection dies", function()
    local box = drop({ "a", "b", "c", "d" }, { cut = "RETR 3", capabilities = "UIDL\r\n" })
    local seen, err = visit(box, { z = 1, a = 2 }, nil, function(new)
      local m, why = new:next()
      while m do
        local body, failure = m:retr()
        why = failure
        m = body and new:next()
      end
      return new.seen, why
    end)
    assert.equal("closed", err.kind)
    assert.equal("a,b", keys(seen))
    box.cut = "LIST"
    seen = visit(box, { z = 1, a = 2 }, nil, function(new)
      local m, why = new:next()
      assert.is_nil(m)
      assert.equal("closed", why.kind)
      return new.seen
    end)
    assert.same({ z = 1, a = 2 }, seen)
  end)

  it("drops what is gone, and starts over with a server that renames all", function()
    local box = drop { "b", "c" }
    local _, seen = visit(box, { "a", "b" }, nil, take)
    assert.equal("b,c", keys(seen))
    for i, m in ipairs(box) do m.uid = "new" .. i end
    local uids
    uids, seen = visit(box, seen, nil, take)
    assert.equal("new1 new2", uids)
    assert.equal("new1,new2", keys(seen))
  end)

  it("tells messages of the same id apart", function()
    local box = drop { "a", "x", "x", "b" }
    local uids, seen = visit(box, nil, nil, function(new, pop)
      new:next()
      new:next()
      new:next()
      new:close() -- at the second x
      pop:close()
      return "", new.seen
    end)
    assert.equal("", uids)
    assert.equal("a,x", keys(seen))
    uids, seen = visit(box, seen, nil, take)
    assert.equal("x b", uids)
    assert.equal("a,b,x,x 2", keys(seen))
    assert.equal("", (visit(box, seen, nil, take)))
    box[#box + 1] = { uid = "x", text = "a third\r\n" }
    assert.equal("x", (visit(box, seen, nil, take)))
  end)

  it("gives what has no id in each session, and ids longer than allowed as they are", function()
    local long = ("u"):rep(500)
    local box = drop { "", long, "b" }
    local uids, seen = visit(box, nil, nil, take)
    assert.equal("- " .. long .. " b", uids)
    assert.equal("b," .. long, keys(seen))
    assert.equal("-", (visit(box, seen, nil, take)))
  end)

  it("needs UIDL, unless there is nothing", function()
    local function first(box)
      return visit(box, { a = 1 }, nil, function(new)
        local m, err = new:next()
        return m, err, new.seen
      end)
    end
    local m, err, seen = first(drop({ "a" }, { no_uidl = "-ERR what?\r\n", capabilities = "" }))
    assert.is_nil(m)
    assert.equal("unsupported", err.kind)
    assert.same({ a = 1 }, seen)
    m, err = first(drop({ "a" }, { no_uidl = "-ERR what?\r\n" }))
    assert.is_nil(m)
    assert.equal("rejected", err.kind)
    m, err = first(drop({ "a" }, { no_uidl = "-ERR [SYS/TEMP] what?\r\n", capabilities = "" }))
    assert.is_nil(m)
    assert.same({ "rejected", true }, { err.kind, err.temporary })
    m, err, seen = first(drop({}, { no_uidl = "-ERR empty\r\n", capabilities = "" }))
    assert.is_nil(m)
    assert.is_nil(err)
    assert.same({}, seen)
  end)

  it("deletes what is old enough, and is not stopped by a refusal", function()
    local box, now = drop({ "a", "b", "c", "d" }, { keep = "b" }), os.time()
    local seen = { a = now - 8 * 86400, b = now - 9 * 86400, c = now - 6 * 86400, future = now + 1 }
    local uids, set, deleted = visit(box, seen, { delete_after = 7 }, take)
    assert.equal("d", uids)
    assert.same({ "a" }, deleted)
    assert.equal("a,b,c,d", keys(set))
    assert.equal(seen.b, set.b)
    assert.equal(3, #box)
    assert.equal("b,c,d", keys((select(2, visit(box, set, { delete_after = 7 }, take)))))
  end)

  it("never deletes sooner for a clock that went back", function()
    local box = drop { "a" }
    local _, set, deleted = visit(box, { a = os.time() + 1e6 }, { delete_after = 1 }, take)
    assert.same({}, deleted)
    assert.is_true(set.a <= os.time())
  end)

  it("keeps the set where QUIT fails: nothing comes twice, and it is deleted the next time", function()
    for _, answer in ipairs { "-ERR not all was deleted\r\n", "" } do
      local box = drop({ "a", "b" }, { quit = answer, cut = answer == "" and "QUIT" })
      local seen = visit(box, nil, { delete_after = 0 }, function(new, pop)
        while new:next() do end -- luacheck: ignore
        assert.same({ "a", "b" }, new.deleted)
        local ok, err = pop:quit()
        assert.is_nil(ok)
        assert.matches("may still be there", err.message)
        return new.seen
      end)
      assert.equal("a,b", keys(seen))
      assert.equal(2, #box)
      box.quit, box.cut = nil, nil
      local uids, _, deleted = visit(box, seen, { delete_after = 0 }, take)
      assert.equal("", uids)
      assert.same({ "a", "b" }, deleted)
      assert.equal(0, #box)
    end
  end)

  it("deletes thousands without waiting for each", function()
    local uids = {}
    for i = 1, 3000 do uids[i] = "u" .. i end
    local box, before = drop(uids), core.now()
    local _, seen = visit(box, uids, { delete_after = 0 }, take)
    assert.equal(0, #box)
    assert.is_number(seen.u3000)
    assert.is_true(core.now() - before < 20)
  end)

  it("asks ahead", function()
    local uids = {}
    for i = 1, 40 do uids[i] = "u" .. i end
    local box, most = drop(uids), 0
    scripted.run(function(peer)
      local send = peer.send
      function peer.send(self, text)
        local _, lines = self.input:gsub("RETR", "")
        if lines > most then most = lines end
        return send(self, text)
      end
      box:serve(peer)
    end, function(port)
      local pop = assert(dial(port))
      local new = pop:new_messages { "u1", "u3", "u5" }
      local got = take(new, pop)
      assert.matches("^u2 u4 u6 u7 ", got)
    end)
    assert.is_true(most > 5, "RETRs in one flight: " .. most)
  end)
end)
