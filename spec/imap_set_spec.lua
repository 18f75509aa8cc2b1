-- IMAP: sets of messages, their algebra, where they may be used; and rules, which are joined before they
-- are asked.

local imap = require "mail.imap"
local loop = require "mail.loop"
local mailbox = require "spec.support.mailbox"

local dovecot, missing = mailbox.server()
local real = mailbox.real(it, pending, dovecot, missing)

local function raises(fn, pattern) mailbox.raises("imap_set_spec.lua", fn, pattern) end

local function texts(n)
  local list = {}
  for i = 1, n do list[i] = ("From: u%d@example.com\nSubject: s%d\n\nbody\n"):format(i % 3, i) end
  return list
end

-- What is in a set, by a way that knows nothing of ranges.
local function naive(numbers)
  local members = {}
  for _, n in ipairs(numbers) do members[n] = true end
  return members
end

local function sorted(members)
  local list = {}
  for n in pairs(members) do list[#list + 1] = n end
  table.sort(list)
  return list
end

describe("IMAP sets", function()
  it("are arrays with an algebra", function()
    local a, b = imap.set "1:5,9", imap.set { 4, 5, 6, 20 }
    assert.same({ 1, 2, 3, 4, 5, 9 }, a)
    assert.same({ 1, 2, 3, 4, 5, 6, 9, 20 }, a + b)
    assert.same({ 4, 5 }, a * b)
    assert.same({ 1, 2, 3, 9 }, a - b)
    assert.same({ 6, 20 }, b - a)
    assert.same({ 1, 2, 3, 4, 5, 6, 9, 20 }, a:union(b))
    assert.same({ 4, 5 }, a:intersection { 4, 5 })
    assert.same({ 2, 3, 9 }, a:difference "1,4:8")
    assert.same({ 1, 2, 3, 4, 5, 7, 9 }, a + 7)
    assert.same({ 1, 2, 3, 4, 5, 9 }, { 1 } + a)
    assert.same({}, a - a)
    assert.same({}, imap.set())
    assert.same({}, imap.set "" + {})
    assert.equal("1:5,9", tostring(a))
    assert.equal("", tostring(a - a))
    assert.equal(6, a:count())
    assert.is_true(a:contains(9))
    assert.is_false(a:contains(8))
    assert.is_false(imap.set():contains(1))
    local ranges = {}
    for first, last in a:ranges() do ranges[#ranges + 1] = first .. ":" .. last end
    assert.same({ "1:5", "9:9" }, ranges)
    local seen = {}
    for i, n in b:each() do seen[i] = n end
    assert.same({ 4, 5, 6, 20 }, seen)
    assert.same({ 1, 2, 3, 4, 5, 9, 30, 31 }, a:with(30, 31))
    assert.same(a, imap.set(a))
    assert.equal("1:5,9", table.concat { tostring(imap.set(a)) })
  end)

  it("agree with a table of members, whatever they are", function()
    local seed = 20261101
    local function random(n)
      seed = (seed * 1103515245 + 12345) % 2147483648
      return math.floor(seed / 65536) % n + 1
    end
    local function some()
      local list = {}
      for i = 1, random(40) - 1 do list[i] = random(60) end
      return list
    end
    for _ = 1, 500 do
      local x, y = some(), some()
      local a, b = imap.set(x), imap.set(y)
      local mx, my = naive(x), naive(y)
      local union, intersection, difference = naive(x), {}, {}
      for n in pairs(my) do union[n] = true end
      for n in pairs(mx) do
        if my[n] then intersection[n] = true else difference[n] = true end
      end
      assert.same(sorted(mx), a)
      assert.same(sorted(union), a + b)
      assert.same(sorted(intersection), a * b)
      assert.same(sorted(difference), a - b)
      for n = 1, 61 do assert.equal(mx[n] or false, a:contains(n)) end
    end
  end)

  it("hold a million numbers, and more than there are", function()
    local numbers = {}
    for i = 1, 1000000 do numbers[i] = i * 2 end
    local even = imap.set(numbers)
    local all = imap.set "1:4294967295"
    local odd = all - even
    assert.equal(4293967295, odd:count())
    assert.equal(1000000, even:count())
    assert.equal(1999999, odd[1000000])
    assert.equal(2000001, odd[1000001])
    assert.equal(4294967295, odd[4293967295])
    assert.is_nil(odd[4293967296])
    assert.is_nil(odd[0])
    assert.equal(1000, odd[500] + 1)
    assert.equal(1000000, (all * even):count())
    assert.same({}, even * odd)
    assert.is_true(odd:contains(4294967295))
    raises(function() odd[1] = 3 end, "cannot be changed")
    if _VERSION ~= "Lua 5.1" then assert.equal(4293967295, #odd) end
  end)

  it("raise for what is none, at the caller's line", function()
    local a = imap.set { 1 }
    raises(function() local _ = imap.set "1:*" end, "make a set")
    raises(function() local _ = imap.set { 0 } end, "make a set")
    raises(function() local _ = imap.set { 1.5 } end, "make a set")
    raises(function() local _ = imap.set(4294967296) end, "make a set")
    raises(function() local _ = imap.set(true) end, "make a set")
    raises(function() return a + "x" end, "union of a set with what is none")
    raises(function() return a - {-1} end, "difference of a set")
    raises(function() local _ = a:intersection(nil) end, "intersection of a set")
    raises(function() local _ = a:move "x" end, "no search has found this set")
    raises(function() local _ = a:flag "x" end, "no search has found this set")
    a[1] = "x"
    raises(function() return a + a end, "make a set")
  end)
end)

describe("IMAP sets that were found", function()
  real("act by themselves", function()
    local session = mailbox.with(dovecot, texts(9))
    local found = assert(session:search { from = "u1" })
    assert.same({ 1, 4, 7 }, found)
    assert(found:flag("\\Seen", "work"))
    assert(found:unflag { "\\Seen" })
    assert.same({ 1, 4, 7 }, session:search { keyword = "work", seen = false })
    assert.equal(3, #assert(found:fetch_all { "uid" }))
    local n = 0
    local it = assert(found:fetch({ "uid", "flags" }, { timeout = 5 }))
    local message = it:next()
    while message do
      n, message = n + 1, it:next()
    end
    assert.equal(3, n)
    assert.equal("1,4,7", assert(found:copy "Archive").from)
    assert.equal("4", assert((found * { 4, 5 }):move "Archive").from)
    assert.same({ expunged = true }, (found - { 4 }):delete())
    assert.same({ 2, 3, 5, 6, 8, 9 }, session:search())
    assert.same({ 1, 2 }, assert(session:search({ seq = "1:2" }, { seq = true })))
    local moved = assert(session:search({ seq = "1:2" }, { seq = true }):move "Archive")
    assert.equal("2:3", moved.from)
    session:logout()
  end)

  real("belong to their mailbox, and to its life", function()
    local session = mailbox.with(dovecot, texts(3))
    local found = assert(session:search())
    local other = mailbox.with(dovecot, texts(3)) -- of another user
    for _, where in ipairs { "Archive", "none", "other" } do
      local target = where == "other" and other or session
      if where == "Archive" then assert(session:select "Archive") end
      if where == "none" then assert(session:unselect()) end
      local calls = {
        function() return target:fetch(found, "flags") end, function() return target:fetch_all(found, "flags") end,
        function() return target:store(found, { add = "x" }) end, function() return target:copy(found, "Archive") end,
        function() return target:move(found, "Archive") end, function() return target:expunge(found) end,
        function() return target:search { uid = found } end, function() return target:sort("date", { uid = found }) end,
        function() return target:search { ["not"] = { uid = found } } end,
      }
      if target == session then
        calls[#calls + 1] = function() return found:delete() end
        calls[#calls + 1] = function() return found:move "Archive" end
      end
      for i, call in ipairs(calls) do
        local done, err = call()
        assert.is_nil(done, where .. i)
        assert.equal("invalid", err.kind)
        assert.matches("the set was found ", err.message)
      end
    end
    assert(session:select "INBOX")
    assert.equal(3, #assert(found:fetch_all "flags"))
    assert.equal("1:3", assert(found:move "Archive").from)
    other:logout()
    session:logout()
  end)

  real("outlive their session: another of the same user may use them", function()
    local session, user = mailbox.with(dovecot, texts(3))
    local found = assert(session:search { from = "u1" })
    local number = assert(session:search({}, { seq = true }))
    session:close()
    local other = mailbox.open(dovecot, user)
    local done, err = other:fetch_all(found, "flags")
    assert.is_nil(done)
    assert.equal("invalid", err.kind) -- nothing is selected there
    assert(other:select "INBOX")
    assert.same({ 1 }, found + found)
    assert.equal(1, assert(other:fetch_all(found, "uid"))[1].uid)
    assert.same({ 1, 2 }, assert(other:search { uid = "1:2" }) + found)
    done, err = other:fetch_all(number, "uid", { seq = true })
    assert.is_nil(done)
    assert.equal("invalid", err.kind)
    done, err = found:flag "work" -- by itself a set acts where it was found
    assert.is_nil(done)
    assert.equal("closed", err.kind)
    other:logout()
  end)

  it("name nothing once the UID validity is another, also where it changes under us", function()
    mailbox.selected("", 3, function(peer)
      mailbox.answer(peer, "^UID SEARCH ALL", "* SEARCH 1 2\r\n")
      mailbox.answer(peer, "^NOOP", "* OK [UIDVALIDITY 8] new life\r\n")
      mailbox.answer(peer, "^UID SEARCH ALL", "* SEARCH 1 2\r\n")
      mailbox.answer(peer, "^UID STORE 1:2 ")
    end, function(session)
      local found = assert(session:search())
      assert(session:noop())
      local done, err = found:flag "x"
      assert.is_nil(done)
      assert.equal("uidvalidity", err.kind)
      local again = assert(session:search())
      raises(function() return found + again end, "belong to different places")
      assert.is_table(again:flag "x")
    end)
  end)

  real("of numbers are not of UIDs", function()
    local session = mailbox.with(dovecot, texts(3))
    local numbers, uids = assert(session:search({}, { seq = true })), assert(session:search())
    raises(function() session:fetch(numbers, "flags") end, "sequence numbers is used as UIDs")
    raises(function() session:store(uids, { add = "x" }, { seq = true }) end, "UIDs is used as sequence numbers")
    raises(function() session:copy(numbers, "Archive") end, "sequence numbers is used as UIDs")
    raises(function() session:move(numbers, "Archive") end, "sequence numbers is used as UIDs")
    raises(function() session:expunge(numbers) end, "sequence numbers is used as UIDs")
    raises(function() session:search { uid = numbers } end, "sequence numbers is used as UIDs")
    raises(function() session:search { seq = uids } end, "UIDs is used as sequence numbers")
    raises(function() return numbers + uids end, "different places")
    raises(function() local _ = session:messages {} * numbers end, "a query and sequence numbers")
    assert.same({ 1, 2, 3 }, numbers)
    assert(session:select "INBOX")
    local done, err = numbers:flag "x"
    assert.is_nil(done)
    assert.equal("invalid", err.kind)
    session:logout()
  end)

  real("are left alone once another mailbox was opened by a raw command", function()
    local session = mailbox.with(dovecot, texts(2))
    local found = assert(session:search())
    assert.equal("OK", assert(session:command_line "SELECT Archive").status)
    local done, err = found:delete()
    assert.is_nil(done)
    assert.equal("invalid", err.kind)
    assert.equal("OK", assert(session:command_line "SELECT INBOX").status)
    local again = assert(session:search())
    assert.is_table(again:flag "work")
    assert.same({ 1, 2 }, session:search({ keyword = "work" }, { seq = true }))
    assert.equal("OK", assert(session:command_line "SELECT Archive").status)
    done, err = again:delete()
    assert.is_nil(done)
    assert.equal("invalid", err.kind)
    session:logout()
  end)

  it("belong to the mailbox in which the server searched, whoever opens another meanwhile", function()
    mailbox.selected("", 3, function(peer)
      mailbox.answer(peer, "^UID SEARCH ALL", "* 4 EXISTS\r\n* SEARCH 1 2\r\n")
      mailbox.answer(peer, "^SELECT Other", "* 9 EXISTS\r\n* OK [UIDVALIDITY 5] v\r\n")
      mailbox.answer(peer, "^UID SEARCH ALL", "* SEARCH 8\r\n")
      mailbox.answer(peer, "^UID STORE 8 ")
    end, function(session)
      local there
      session:on("exists", function()
        if there then return end
        there = loop.spawn(function()
          assert(session:select "Other")
          return assert(session:search())
        end)
      end)
      local found = assert(session:search())
      local other = there:join()
      local done, err = found:flag "x"
      assert.is_nil(done)
      assert.matches("found in 'INBOX', and 'Other' is selected", err.message)
      assert.is_table(other:flag "x")
    end)
  end)

  it("go in batches, and an error tells how far it came", function()
    mailbox.selected("MOVE UIDPLUS", 30, function(peer)
      mailbox.answer(peer, "^UID SEARCH ALL", "* SEARCH 1 2 3 4 5 6 7 8 9 10 12\r\n")
      mailbox.answer(peer, "^UID MOVE 1:4 Archive", nil, "OK [COPYUID 9 1:4 11:14] done")
      mailbox.answer(peer, "^UID MOVE 5:8 Archive", nil, "OK [COPYUID 9 5:8 15:18] done")
      mailbox.answer(peer, "^UID MOVE 9:10,12 Archive", nil, "NO [OVERQUOTA] full")
      mailbox.answer(peer, "^UID STORE 1:2 ", nil, "NO no")
    end, function(session)
      local found = assert(session:search())
      local done, err = found:move("Archive", { batch = 4 })
      assert.is_nil(done)
      assert.equal("OVERQUOTA", err.response_code)
      assert.same({ "1:4,5:8", "9:10,12" }, { err.done, err.left })
      assert.matches("2 of 3 commands were done before", err.message)
      done, err = session:store({ 1, 2 }, { add = "x" })
      assert.is_nil(done)
      assert.is_nil(err.done)
    end)
  end)

  it("stop between two batches where another mailbox was opened", function()
    mailbox.selected("MOVE", 30, function(peer)
      mailbox.answer(peer, "^UID SEARCH ALL", "* SEARCH 1 2 3 4\r\n")
      mailbox.answer(peer, "^UID MOVE 1:2 Archive", "* 31 EXISTS\r\n")
      mailbox.answer(peer, "^SELECT Other", "* 9 EXISTS\r\n* OK [UIDVALIDITY 5] v\r\n")
      mailbox.answer(peer, "^NOOP")
    end, function(session)
      local found = assert(session:search())
      local opened
      session:on("exists", function()
        if opened then return end
        opened = true
        assert(session:select "Other")
      end)
      local done, err = found:move("Archive", { batch = 2 })
      assert.is_nil(done)
      assert.equal("invalid", err.kind)
      assert.same({ "1:2", "3:4" }, { err.done, err.left })
      assert.is_true(session:noop())
    end)
  end)

  real("keep flags of many messages small", function()
    local session = mailbox.with(dovecot, texts(6))
    assert(session:store("1:4", { add = { "\\Seen", "work" } }))
    assert(session:store("6", { add = "work" }))
    local look = assert(session:flag_sets())
    assert.same({ 1, 2, 3, 4, 5, 6 }, look.uids)
    assert.same({ 1, 2, 3, 4 }, look.flags["\\Seen"])
    assert.same({ 1, 2, 3, 4, 6 }, look.flags.work)
    assert.same({ 5 }, look.uids - look.flags.work)
    assert.is_nil(look.flags["\\Flagged"])
    assert.same({ 2 }, assert(session:flag_sets(2)).uids)
    session:logout()
  end)
end)

describe("IMAP rules", function()
  -- The session and what it sends.
  local function filled(n)
    local lines = {}
    local session = mailbox.with(dovecot, texts(n or 9), { log = function(direction, line)
      if direction == "C" then lines[#lines + 1] = line:gsub("^%S+ ", "") end
    end })
    return session, lines
  end

  local function searches(lines)
    local n = 0
    for _, line in ipairs(lines) do n = n + (line:find "^UID SEARCH" and 1 or 0) end
    return n
  end

  real("are one search, however they are joined", function()
    local session, lines = filled()
    local one, two = session:messages { from = "u1" }, session:messages { from = "u2" }
    local cases = {
      { one, { 1, 4, 7 } }, { one + two, { 1, 2, 4, 5, 7, 8 } }, { one * two, {} },
      { one - { subject = "s4" }, { 1, 7 } },
      { session:messages() - one - two, { 3, 6, 9 } }, { { from = "u0" } + one * { subject = "s7" }, { 3, 6, 7, 9 } },
      { (one + two) * (one - { subject = "s1" }), { 4, 7 } }, { one:union(two):difference(two), { 1, 4, 7 } },
      { one * imap.set { 4, 7, 9 }, { 4, 7 } }, { imap.set "1:2" + one, { 1, 2, 4, 7 } },
      { session:messages { unseen = true } - one:intersection { uid = "4:9" }, { 1, 2, 3, 5, 6, 8, 9 } },
      { one * imap.set(), {} }, { imap.set "2" + (one - one), { 2 } },
    }
    for i, case in ipairs(cases) do
      local before = searches(lines)
      assert.same(case[2], case[1]:uids(), "case " .. i)
      assert.equal(#case[2], case[1]:count())
      assert.equal(before + 2, searches(lines))
    end
    session:logout()
  end)

  real("search anew each time, and act", function()
    local session = filled()
    local rest = session:messages { undeleted = true } - { from = "u1" }
    assert.equal(6, rest:count())
    assert(rest:flag("\\Flagged", "rest"))
    assert(session:messages({ flagged = true, subject = "s2" }):unflag "rest")
    assert.equal(5, session:messages({ keyword = "rest" }):count())
    assert.equal("3,5:6,8:9", assert(session:messages({ keyword = "rest" }):move "Archive").from)
    assert.equal(1, rest:count())
    assert.equal(1, #assert(rest:fetch_all { "uid" }))
    local it = assert(rest:fetch { "uid" })
    assert.equal(2, assert(it:next()).uid)
    assert.is_nil(it:next())
    assert.equal("1,4,7", assert(session:messages({ from = "u1" }):copy "Archive").from)
    assert.same({ expunged = true }, session:messages({ from = "u1" }):delete())
    for _, act in ipairs { "move", "copy", "flag", "unflag", "delete", "fetch_all" } do
      assert.is_table(session:messages({ from = "nobody" })[act](session:messages { from = "nobody" }, "Archive"))
    end
    assert.same({ 2 }, session:search())
    session:logout()
  end)

  real("with sets too long for a line are joined here", function()
    local session, lines = filled()
    local long = {}
    for i = 1, 3000 do long[i] = i * 2 end
    long = imap.set(long)
    assert.same({ 4 }, (session:messages { from = "u1" } * long):uids())
    local found = (session:messages { from = "u1" } - long):uids()
    assert.same({ 1, 7 }, found)
    assert.equal(2, (session:messages { from = "u1" } - long):count())
    assert.equal(3002, ((session:messages { from = "u1" } + long)):count())
    for _, line in ipairs(lines) do assert.is_true(#line < 5000) end
    session:logout()
  end)

  real("are of one session, and of criteria", function()
    local session, user = mailbox.with(dovecot, texts(1))
    local other = mailbox.open(dovecot, user)
    raises(function() local _ = session:messages {} + other:messages {} end, "of queries of two sessions")
    raises(function() local _ = session:messages {} + 5 end, "union of a query and a number")
    raises(function() local _ = session:messages {} - { form = "x" } end, "unknown criterion 'form'")
    raises(function() local _ = session:messages { form = "x" } end, "unknown criterion 'form'")
    raises(function() local _ = session:messages "ALL" end, "table of criteria")
    raises(function() local _ = imap.set "1" * session:messages {} * "x" end, "a query and a string")
    raises(function() local _ = session:messages {}:uids { x = 1 } end, "'x'")
    local found = assert(other:select "Archive") and assert(other:search())
    local done, err = (session:messages {} * found):uids()
    assert.is_nil(done)
    assert.equal("invalid", err.kind)
    session:close()
    done, err = session:messages({}):move "Archive"
    assert.is_nil(done)
    assert.equal("closed", err.kind)
    other:logout()
  end)
end)
