-- IMAP servers that never come to an end: what one call holds in memory is bounded, and so is its time; and what
-- legitimate servers have much of still works.

local Follow = require "mail.imap.follow"
local Pump = require "mail.pump"
local Sync = require "mail.imap.sync"
local endless = require "spec.support.endless"
local mailbox = require "spec.support.mailbox"

-- A word that all servers here have.
local WORDS = "ESEARCH SORT THREAD=REFS QUOTA METADATA NAMESPACE ID ACL ENABLE QRESYNC CONDSTORE UIDPLUS MOVE BINARY "
  .. "MULTISEARCH LANGUAGE URLAUTH LIST-EXTENDED LIST-STATUS"

local MESSAGE = "* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n"
local FLAGS = { "uid", "flags" }

-- Calls that gather, and what their server says without end.
local FLOODS = {
  { "^UID FETCH", MESSAGE, function(s) return s:fetch_all("1:*", FLAGS) end },
  { "^FETCH", MESSAGE, function(s) return s:fetch_all("1:*", { "flags" }, { seq = true }) end },
  { "^UID FETCH", "* VANISHED (EARLIER) 1:7\r\n", function(s)
    return s:fetch_all("1:*", FLAGS, { changed_since = 1, vanished = true })
  end },
  { "^UID FETCH", "* VANISHED (EARLIER) 1:7\r\n", function(s)
    local it = assert(s:fetch("1:*", FLAGS, { changed_since = 1, vanished = true }))
    local message, err = it:next()
    return message, err
  end },
  { "^UID FETCH", function(n) return ("* 1 FETCH (UID %d FLAGS ())\r\n"):format(n % 16 + 1) end, function(s)
    return s:fetch_all("1:*", { "BINARY.PEEK[1]" })
  end },
  { "^UID FETCH", function(n) return ("* 1 FETCH (UID 1 FLAGS (flag%d))\r\n"):format(n) end, function(s)
    return s:flag_sets()
  end },
  { "^LIST", '* LIST (\\HasNoChildren) "/" "a mailbox"\r\n', function(s) return s:list "*" end },
  { "^LIST", '* STATUS a (MESSAGES 1)\r\n', function(s) return s:list("*", { status = { "messages" } }) end },
  { "^STATUS", "* STATUS a (MESSAGES 1)\r\n", function(s) return s:status("a", { "messages" }) end },
  { "^UID SEARCH", "* SEARCH 1 2 3 4\r\n", function(s) return s:search "ALL" end },
  { "^UID SEARCH", "* ESEARCH UID ALL 1:4294967295\r\n", function(s) return s:search { seen = true } end },
  { "^UID SORT", "* SORT 4 3 2 1\r\n", function(s) return s:sort "date" end },
  { "^UID THREAD", "* THREAD (1)(2 3)\r\n", function(s) return s:thread "REFS" end },
  { "^ESEARCH", function() return '* ESEARCH (MAILBOX a UIDVALIDITY 1) UID COUNT 1\r\n' end, function(s)
    return s:esearch("ALL", { mailboxes = "a" })
  end },
  { "^GETQUOTAROOT", "* QUOTA a (STORAGE 1 2)\r\n", function(s) return s:quota "INBOX" end },
  { "^GETMETADATA", '* METADATA a (/shared/comment "x")\r\n', function(s)
    return s:getmetadata("a", "/shared/comment")
  end },
  { "^NAMESPACE", '* NAMESPACE (("" "/")) NIL NIL\r\n', function(s) return s:namespace() end },
  { "^ID", '* ID ("name" "x")\r\n', function(s) return s:id() end },
  { "^GETACL", "* ACL a ann lr\r\n", function(s) return s:acl "a" end },
  { "^LANGUAGE", "* LANGUAGE (en)\r\n", function(s) return s:language() end },
  { "^UID COPY", "* OK [COPYUID 7 1:4294967295 1] copied\r\n", function(s) return s:copy("1:3", "b") end },
  { "^UID MOVE", "* OK [COPYUID 7 1 1] moved\r\n", function(s) return s:move("1:3", "b") end },
  { "^UID STORE", function(n) return ("* %d FETCH (UID %d MODSEQ (9))\r\n"):format(n, n) end, function(s)
    return s:store("1:*", { add = { "x" } }, { unchanged_since = 1 })
  end },
  { "^XFOO", "* XFOO bar\r\n", function(s) return s:command "XFOO" end },
  { "^XFOO", MESSAGE, function(s) return s:command "XFOO" end },
  { "^XFOO", "* 1 EXPUNGE\r\n", function(s) return s:command "XFOO" end },
  { "^UID FETCH", MESSAGE, function(s) return s:command_line "UID FETCH 1:* FLAGS" end },
  { "^SELECT", MESSAGE, function(s) return s:select("b", { qresync = { uidvalidity = 7, modseq = 1 } }) end },
  { "^SELECT", "* VANISHED (EARLIER) 1:4294967295\r\n", function(s)
    return s:select("b", { qresync = { uidvalidity = 7, modseq = 1 } })
  end },
  { "^SELECT", "* FLAGS (a b)\r\n", function(s) return s:select "b" end },
}

-- Runs a call against its flood: what it says, the session, the server.
local function flooded(flood, more)
  local answers = { { "^ENABLE", "* ENABLED QRESYNC\r\n" } }
  local session, server = endless.selected(1000000, {
    answers = answers, words = WORDS, limits = more.limits, timeout = more.timeout, pause = more.pause,
  })
  table.insert(answers, 1, { flood[1], flood[2], math.huge })
  local result, err = flood[3](session)
  assert.is_nil(result, flood[1] .. " " .. tostring(flood[2]))
  return err, session, server, answers
end

describe("IMAP servers without an end", function()
  it("fill no more memory than limits.answer says, and the session goes on behind it", function()
    for _, flood in ipairs(FLOODS) do
      local err, session, server, answers = flooded(flood, { limits = { answer = 100000 } })
      assert.equal("limit", err.kind, flood[1] .. ": " .. tostring(err))
      assert.matches("limit passed: answer %(.* raise limits.answer", err.message)
      assert.is_string(err.command)
      assert.is_true(server.reads < 2100, flood[1] .. ": read " .. server.reads)
      assert.is_nil(next(Pump.of(session).queues or {}), flood[1])
      assert.equal(0, Pump.of(session).waiting)
      server.over = true
      table.remove(answers, 1)
      assert.is_true(session:noop(), flood[1])
      assert.equal(0, session:pending(), flood[1])
    end
  end)

  it("never answer an append: the message is not kept for ever", function()
    local session = endless.selected(3, {
      words = "LITERAL+", answers = { { "^APPEND", "* OK wait\r\n", math.huge } }, pause = 1, timeout = 5,
    })
    collectgarbage()
    local before = collectgarbage "count"
    for i = 1, 5 do
      local at, err = session:append("b", ("x"):rep(1000000) .. i)
      assert.is_nil(at)
      assert.equal("unknown", err.kind)
    end
    collectgarbage()
    collectgarbage()
    local kilobytes = collectgarbage "count" - before
    assert.is_true(kilobytes < 1000, kilobytes)
  end)

  it("take no more time than an answer has, however slow they are", function()
    for _, flood in ipairs(FLOODS) do
      local err, session, server = flooded(flood, { timeout = 5, pause = 4, limits = { answer = 1000000 } })
      assert.equal(server.reads < 100 and "timeout" or "limit", err.kind, flood[1] .. ": " .. tostring(err))
      session:close()
    end
  end)

  it("repeat one message for ever: who loops over them is told in time, too", function()
    for _, timeout in ipairs { 5, { data = 5 } } do
      local session, server = endless.selected(3, {
        answers = { { "^UID FETCH", MESSAGE, math.huge } }, timeout = timeout, pause = 4,
      })
      local n, it = 0, assert(session:fetch("1:*", FLAGS))
      local err
      repeat
        local message
        message, err = it:next()
        n = n + 1
      until not message
      assert.equal("timeout", err.kind)
      assert.is_true(n < 25, n)
      assert.is_true(server.now < 130, server.now)
      session:close()
    end
  end)

  it("send what nobody asked for: it brings no time, and is not kept", function()
    local session, server = endless.selected(3000000, {
      answers = { { "^UID FETCH", "* 8 FETCH (UID 8 FLAGS (\\Seen))\r\n", math.huge } }, pause = 1, timeout = 5,
    })
    local heard = 0
    session:on("flags", function() heard = heard + 1 end)
    local all, err = session:fetch_all("1:3", FLAGS)
    assert.is_nil(all)
    assert.equal("timeout", err.kind)
    assert.is_true(heard < 7, heard)
    assert.is_true(server.now < 10)
  end)

  it("vanish one by one: it costs no more than at once", function()
    local n = 3000
    local session = endless.selected(3000000, { words = WORDS, answers = {
      { "^ENABLE", "* ENABLED QRESYNC\r\n" },
      { "^UID FETCH", function(i) return ("* VANISHED (EARLIER) %d\r\n"):format(1000000 + i) end, n },
    } })
    local it = assert(session:fetch("1:*", FLAGS, { changed_since = 1, vanished = true }))
    collectgarbage()
    collectgarbage "stop"
    local before = collectgarbage "count"
    assert.is_nil(it:next())
    local kilobytes = collectgarbage "count" - before
    collectgarbage "restart"
    assert.is_true(kilobytes < 6000, kilobytes)
    assert.matches("^1000001,1000002,.*,1003000$", it.vanished)
    assert.equal(it.vanished, it.vanished)
  end)
end)

describe("IMAP servers with very much", function()
  it("are read by a loop, message by message, each with the time of an answer", function()
    local n = 20000
    local session, server = endless.selected(n, { pause = 4, timeout = 5, limits = { answer = 100000 }, answers = {
      { "^UID FETCH", function(i) return ("* %d FETCH (UID %d FLAGS (\\Seen))\r\n"):format(i, i) end, n },
    } })
    local seen = 0
    for m in assert(session:fetch("1:*", FLAGS)) do
      seen = seen + 1
      assert.equal(seen, m.uid)
    end
    assert.equal(n, seen)
    assert.is_true(server.now > 4 * n)
    assert.is_true(session:noop())
  end)

  it("are collected up to limits.answer", function()
    local n = 5000
    local session = endless.selected(n, { timeout = 5, answers = {
      { "^UID FETCH", function(i) return ("* %d FETCH (UID %d FLAGS (\\Seen))\r\n"):format(i, i) end, n },
      { "^UID STORE", function(i) return ("* %d FETCH (UID %d FLAGS (\\Seen))\r\n"):format(i, i) end, n },
      { "^UID EXPUNGE", "* 1 EXPUNGE\r\n", n },
    }, words = "UIDPLUS", limits = { answer = 600 * n } })
    assert.equal(n, #assert(session:fetch_all("1:*", FLAGS)))
    session = endless.selected(n, { timeout = 5, answers = {
      { "^UID STORE", function(i) return ("* %d FETCH (UID %d FLAGS (\\Seen))\r\n"):format(i, i) end, n },
      { "^UID EXPUNGE", "* 1 EXPUNGE\r\n", n },
    }, words = "UIDPLUS", limits = { answer = 10000 } })
    assert(session:store("1:*", { add = { "\\Deleted" } })) -- what is handed on is not gathered
    assert(session:expunge "1:*")
  end)
end)

describe("The answers of IMAP commands whose callers are busy", function()
  it("are weighed by all that is in them", function()
    local MANY = ("1,"):rep(2000) .. "1"
    for verb, text in pairs {
      ["UID SEARCH"] = "* SEARCH" .. (" 1"):rep(2000) .. "\r\n",
      ["UID COPY"] = "* OK [COPYUID 7 " .. MANY .. " 1] there\r\n",
    } do
      local session, server = endless.selected(3, {
        answers = { { "^" .. verb, text, math.huge } }, pause = 0.1, timeout = 5,
      })
      local pump = Pump.of(session)
      pump.backlog = 100000
      local busy = assert(pump:begin("submit", verb, false, "set", "1"))
      local other = assert(pump:begin("submit", "NOOP", false))
      local kind, err = pump:wait(other, pump:deadline())
      assert.is_nil(kind)
      assert.equal("timeout", err.kind)
      local queue = pump.queues[busy]
      assert.is_true(queue.last > 2 and queue.last < 40, queue.last)
      server.over = true
      repeat
        kind, err = pump:wait(busy, pump:deadline())
      until not kind
      assert.equal("limit", err.kind)
      assert.matches("backlog", err.message)
      assert.is_true(session:noop())
    end
  end)
end)

describe("An IMAP function of the user's that raises", function()
  local function PROGRESS(_, tag) return ('* OK [INPROGRESS ("%s" 1 2)] still at it\r\n'):format(tag) end
  local function raise() error("mine", 0) end
  local CALLS = {
    { "^UID FETCH", PROGRESS, function(s) return s:fetch_all("1:*", FLAGS, { progress = raise }) end },
    { "^UID FETCH", PROGRESS, function(s) return assert(s:fetch("1:*", FLAGS, { progress = raise })):next() end },
    { "^UID STORE", PROGRESS, function(s) return s:store(1, { add = { "x" } }, { progress = raise }) end },
    { "^UID COPY", PROGRESS, function(s) return s:copy(1, "b", { progress = raise }) end },
    { "^APPEND", PROGRESS, function(s) return s:append("b", "x", { progress = raise }) end },
    { "^UID FETCH", "* OK [X-ODD] words\r\n", function(s)
      s:on("status", raise)
      return s:fetch_all("1:*", FLAGS)
    end },
    { "^UID FETCH", MESSAGE, function(s)
      s:on("flags", raise)
      return s:fetch_all("1:*", { "uid", "flags", "size" })
    end },
    { "^UID COPY", "* OK [X-ODD] words\r\n", function(s)
      s:on("status", raise)
      return s:copy(1, "b")
    end },
    { "^LIST", "* STATUS c (MESSAGES 1)\r\n", function(s)
      s:on("mailbox_status", raise)
      return s:list("*", { status = { "messages" } })
    end },
  }

  it("gives up the command, and leaves nothing behind in the session", function()
    for _, call in ipairs(CALLS) do
      local session = endless.selected(3, { words = "LITERAL+ LIST-STATUS", answers = { { call[1], call[2], 3 } } })
      local ok, why = pcall(call[3], session)
      assert.is_false(ok, call[1])
      assert.equal("mine", why)
      Pump.of(session).handlers = nil
      assert.is_true(session:noop(), call[1])
      if mailbox.yields_everywhere then -- Lua 5.1 cannot look after what may wait: see mail.guarded
        assert.is_nil(next(Pump.of(session).queues or {}), call[1])
        assert.equal(0, session:pending())
      end
    end
  end)
end)

describe("IMAP servers that do one message less each time", function()
  it("are asked no more often than there are messages", function()
    local left
    local function less()
      left = left - 1
      return ("* NO [MESSAGELIMIT 1 %.0f] that was one\r\n"):format(left)
    end
    local CALLS = {
      { "^UID STORE", function(s) return s:store("1:4294967295", { add = { "x" } }) end },
      { "^UID EXPUNGE", function(s) return s:expunge "1:4294967295" end },
      { "^UID FETCH", function(s) return s:fetch_all("1:4294967295", FLAGS) end },
      { "^UID SEARCH", function(s) return s:search { seen = true } end },
    }
    for _, call in ipairs(CALLS) do
      local session, server = endless.selected(3, { words = "MESSAGELIMIT=1 UIDPLUS", answers = { { call[1], less } } })
      left = 4294967295
      local result, err = call[2](session)
      assert.is_nil(result)
      assert.equal("MESSAGELIMIT", err.response_code, tostring(err))
      assert.is_true(server.reads < 100, call[1] .. server.reads)
      assert.is_true(session:noop())
    end
  end)
end)

describe("Sets of IMAP servers that cannot be right", function()
  it("are not believed: one copy is of one message, one message has one UID", function()
    for said, want in pairs {
      ["7 1:4294967295 1"] = {}, ["7 1 1:4294967295"] = {}, ["7 1:3 4:6"] = { "1:3", "4:6" },
      ["7 3,1:2 4294967293:4294967295"] = { "3,1:2", "4294967293:4294967295" },
    } do
      local session = endless.selected(3, { words = "MOVE", answers = {
        { "^UID [CM]O", "* OK [COPYUID " .. said .. "] there\r\n" },
      } })
      for _, verb in ipairs { "copy", "move" } do
        local at = assert(session[verb](session, "1:3", "b"))
        assert.equal(want[1], at.from, said)
        assert.equal(want[2], at.to, said)
        assert.equal(7, at.uidvalidity)
      end
    end
    for said, want in pairs { ["1:4294967295"] = false, ["5"] = 5, ["5:6"] = false } do
      local session = endless.selected(3, { words = "LITERAL+ MULTIAPPEND", answers = {
        { "^APPEND", "* OK [APPENDUID 7 " .. said .. "] there\r\n" },
      } })
      local at = assert(session:append("b", "x"))
      assert.equal(want or nil, at.uid)
      at = assert(session:append("b", { "x", "y" }))
      assert.same(said == "5:6" and { 5, 6 } or nil, at.uids)
    end
  end)

  it("are no arrays, however many messages the server says that there are", function()
    local ALL = '* ESEARCH (TAG "A%d") UID ALL 1:4294967295\r\n'
    local session = endless.selected(4294967295, { words = "ESEARCH ESORT SORT CONTEXT=SORT", answers = {
      { "^UID S", function(_, tag) return ALL:format(tag:match "%d+") end },
    } })
    local found = assert(session:search "ALL")
    assert.equal(4294967295, found:count())
    assert.is_nil(rawget(found, 1))
    for _, options in ipairs { { ["return"] = { "all" } }, { update = true } } do
      local sorted, err = session:sort("date", "ALL", options)
      assert.is_nil(sorted)
      assert.equal("protocol", err.kind, tostring(err))
      assert.matches("more messages than there are", err.message)
    end
  end)

  it("end a sorted result that is kept up to date, once it has more messages than there are", function()
    local function more(n)
      return ('* ESEARCH (TAG "A2") UID ADDTO (1 %d:%d)\r\n'):format(n * 50000, n * 50000 + 49999)
    end
    local session, server = endless.selected(3, { words = "ESEARCH CONTEXT=SORT SORT", answers = {
      { "^NOOP", more, math.huge },
      { "^UID SORT", '* ESEARCH (TAG "A2") UID ALL 3,1,2\r\n' },
    } })
    local kept = assert(session:sort("date", "ALL", { update = true })).context
    local heard = 0
    session:on("context", function()
      heard = heard + 1
      server.over = not kept:is_live()
    end)
    assert.is_true(kept:is_live())
    assert.is_true(session:noop())
    assert.is_true(heard < 5)
    assert.is_false(kept:is_live())
    assert.is_true(#kept:result() <= 100003)
  end)
end)

describe("A watch over an IMAP server", function()
  it("takes the highest UID that there can be, and mod-sequences of one that has no CONDSTORE", function()
    local session = endless.session { answers = {
      { "^EXAMINE", "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [HIGHESTMODSEQ 5] m\r\n" },
      { "^UID FETCH", "* 1 FETCH (UID 4294967295 FLAGS (a))\r\n* 2 EXISTS\r\n" },
      { "^UID SEARCH", "* SEARCH 4294967295\r\n" },
    } }
    local follow = Follow.new(session, {
      sync = assert(Sync.new()), mailbox = "INBOX", items = {}, readonly = true, existing = true, probe = 5,
    })
    local event = assert(follow:next())
    assert.equal("new", event.type)
    assert.equal(4294967295, event.uid)
    local last, err = follow:next()
    assert.is_nil(last)
    assert.is_nil(err)
    follow:close()
  end)
end)
