-- IMAP: what a search may give beside UIDs, and in which order: ESEARCH, SEARCHRES, SORT, THREAD, contexts
-- against Dovecot; charsets, MULTISEARCH and what lies, against scripted servers.

local core = require "mail.core"
local imap = require "mail.imap"
local mailbox = require "spec.support.mailbox"
local scripted = require "spec.support.scripted"
local servers = require "spec.servers"

local dovecot, missing = mailbox.server()
local real = mailbox.real(it, pending, dovecot, missing)

local function message(n, fields)
  return ("From: %s\nTo: %s\nSubject: %s\nDate: 0%d Nov 2026 12:00:00 +0000\nMessage-ID: <%d@x>\n%s\nbody %d\n"):format(
    fields.from or "Zoe <ann@example.com>", fields.to or "bob@example.com", fields.subject or "plain", n, n,
    fields.parent and "References: <" .. fields.parent .. "@x>\n" or "", n)
end

-- Five messages: two threads by references (1 2 4 and 3 5), sizes and senders in another order than UIDs.
local function five()
  return {
    message(5, { from = "Carl <a@example.com>", subject = "tea" }),
    message(4, { from = "Bea <c@example.com>", subject = "Re: tea", parent = 5 }),
    message(3, { from = "Anna <b@example.com>", subject = "milk" .. (" and more"):rep(20) }),
    message(2, { from = "Dora <d@example.com>", subject = "Re: tea", parent = 4 }),
    message(1, { from = "Emil <e@example.com>", subject = "sugar", parent = 3 }),
  }
end

local function filled(more) return mailbox.with(dovecot, five(), more) end

-- All that the client said, from the log.
local function listening()
  local lines = {}
  return lines, function(direction, line)
    if direction == "C" then lines[#lines + 1] = line:gsub("^%S+ ", "") end
  end
end

describe("IMAP extended search", function()
  real("gives min, max, count and all", function()
    local session = filled()
    assert.same({ min = 2, max = 4, count = 2, all = { 2, 4 } },
      session:search({ subject = "Re: tea" }, { ["return"] = { "min", "max", "count", "all" } }))
    assert.same({ count = 5 }, session:search({}, { ["return"] = "count" }))
    assert.same({ count = 0, all = {} },
      session:search({ from = "nobody" }, { ["return"] = { "COUNT", "min", "all" } }))
    assert.same({ min = 1 }, session:search({ seq = "1:3" }, { seq = true, ["return"] = { "min" } }))
    local found = session:search({ modseq = 1 }, { ["return"] = { "all" } })
    assert.same({ 1, 2, 3, 4, 5 }, found.all)
    assert.is_number(found.modseq)
    session:logout()
  end)

  it("gives the same where the server only knows SEARCH", function()
    mailbox.selected("", 9, function(peer)
      mailbox.answer(peer, "^UID SEARCH FROM ann$", "* SEARCH 9 4 2\r\n")
      mailbox.answer(peer, "^UID SEARCH FROM ann$", "* SEARCH\r\n")
      mailbox.answer(peer, "^UID SEARCH FROM ann$", "* SEARCH 9 4 4 2\r\n* SEARCH 1 0\r\n")
    end, function(session)
      assert.same({ min = 2, max = 9, count = 3 },
        session:search({ from = "ann" }, { ["return"] = { "min", "max", "count" } }))
      assert.same({ count = 0, all = {} }, session:search({ from = "ann" }, { ["return"] = { "min", "all", "count" } }))
      assert.same({ 1, 2, 4, 9 }, session:search { from = "ann" })
      for _, options in ipairs { { save = true }, { partial = "1:2" }, { update = true }, { relevancy = true } } do
        local found, err = session:search({}, options)
        assert.is_nil(found)
        assert.equal("unsupported", err.kind)
      end
    end)
  end)

  real("leaves keys alone that are written as the standard does", function()
    local lines, log = listening()
    local session = filled { log = log }
    assert.same({ 2, 4 }, session:search 'SUBJECT "re: tea"')
    assert.same({ 3 }, session:search "RETURN (ALL) SUBJECT milk")
    assert.equal("UID SEARCH RETURN (ALL) SUBJECT milk", lines[#lines])
    session:logout()
  end)

  real("asks by age and by the date of saving", function()
    local session = filled()
    assert.same({ 1, 2, 3, 4, 5 }, session:search { younger = 3600 })
    assert.same({}, session:search { older = 3600 })
    assert.same({ 1, 2, 3, 4, 5 }, session:search { saved_since = "2020-01-01", saved_before = "2200-01-01" })
    assert.same({}, session:search { saved_on = "2020-01-01" })
    assert.same({ 1, 2, 3, 4, 5 }, session:search { savedate_supported = true })
    assert.same({ 1, 2, 3, 4, 5 }, session:search { modseq = { flag = "\\Seen", modseq = 0 } })
    session:logout()
  end)

  real("asks nothing of a server that lacks what it needs", function()
    local session = filled()
    for _, what in ipairs {
      { fuzzy = { subject = "tea" } }, { filter = "mine" }, { gm_raw = "has:attachment" }, { emailid = "M1" },
      { ["or"] = { { seen = true }, { threadid = "T1" } } }, { gm_labels = "x", gm_msgid = 1, gm_thrid = "2" },
    } do
      local found, err = session:search(what)
      assert.is_nil(found)
      assert.equal("unsupported", err.kind)
      assert.matches("which criterion '", err.message)
    end
    session:logout()
  end)

  it("writes each criterion of an extension as its standard does", function()
    mailbox.selected("WITHIN SEARCH=FUZZY FILTERS X-GM-EXT-1 OBJECTID CONDSTORE SAVEDATE", 1, function(peer)
      mailbox.answer(peer, "^UID SEARCH FUZZY %(TEXT tea%)$")
      mailbox.answer(peer, "^UID SEARCH FILTER mine$")
      mailbox.answer(peer, "^UID SEARCH X%-GM%-RAW \"has:attachment in:%(x%)\"$")
      mailbox.answer(peer, "^UID SEARCH X%-GM%-LABELS work X%-GM%-MSGID 1278455344230334865 X%-GM%-THRID 12$")
      mailbox.answer(peer, "^UID SEARCH EMAILID M6d99 EMAILID M_%-1 THREADID T64b$")
      mailbox.answer(peer, "^UID SEARCH MODSEQ \"/flags/\\\\Seen\" priv 12$")
      mailbox.answer(peer, "^UID SEARCH MODSEQ 9223372036854775807$")
      mailbox.answer(peer, "^UID SEARCH SAVEDBEFORE 2%-Nov%-2026 SAVEDATESUPPORTED$")
    end, function(session)
      for _, what in ipairs {
        { fuzzy = { text = "tea" } }, { filter = "mine" }, { gm_raw = "has:attachment in:(x)" },
        { gm_labels = "work", gm_msgid = "1278455344230334865", gm_thrid = 12 },
        { emailid = { "M6d99", "M_-1" }, threadid = "T64b" },
        { modseq = { flag = "\\Seen", type = "priv", modseq = 12 } }, { modseq = "9223372036854775807" },
        { saved_before = "2026-11-02", savedate_supported = true },
      } do
        assert.same({}, session:search(what))
      end
    end)
  end)

  real("raises for what it does not know, at the caller's line", function()
    local session = filled()
    local function raises(fn, pattern) mailbox.raises("imap_esearch_spec.lua", fn, pattern) end
    raises(function() session:search({}, { ["return"] = { "most" } }) end, "not 'most'")
    raises(function() session:search({}, { partial = "1-5" }) end, "'partial' must be like")
    raises(function() session:search({}, { ["return"] = { "partial" } }) end, "'partial' must be like")
    raises(function() session:search({}, { sav = true }) end, "'sav'")
    raises(function() session:search { filter = "a b" } end, "'filter' must be a filter's name")
    raises(function() session:search { emailid = "a b" } end, "an identifier")
    raises(function() session:search { gm_msgid = 1.5 } end, "whole number")
    raises(function() session:search { modseq = { flag = "a b" } } end, "'modseq' must be")
    raises(function() session:search { modseq = -1 } end, "whole number")
    raises(function() session:search { fuzzy = true } end, "'fuzzy' must be a table")
    raises(function() session:search { savedate_supported = false } end, "must be true")
    raises(function() session:sort("colour") end, "not 'colour'")
    raises(function() session:sort({}) end, "array of sort keys")
    raises(function() session:sort("date", { form = "x" }) end, "unknown criterion")
    raises(function() session:sort("date", {}, { x = 1 }) end, "'x'")
    raises(function() session:thread(5) end, "algorithm")
    raises(function() session:thread "a b" end, "bad algorithm")
    raises(function() session:thread("refs", {}, { update = true }) end, "'update'")
    raises(function() session:esearch({}, { scope = "all" }) end, "no scope 'all'")
    raises(function() session:esearch({}, { mailboxes = { 5 } }) end, "a mailbox must be a string")
    session:close()
  end)
end)

describe("IMAP search result that the server keeps", function()
  real("is a set everywhere", function()
    local session = filled()
    assert.equal("$", session:search({ subject = "tea" }, { save = true }))
    assert.equal(3, #assert(session:fetch_all("$", { "uid" })))
    assert.same({ 2, 4 }, session:search { uid = "$", ["not"] = { from = "Carl" } })
    assert.same({ 1, 2, 3, 4, 5 }, session:search { ["or"] = { { seq = "$" }, { uid = { 3, 5 } } } })
    assert(session:store("$", { add = "work" }))
    assert.same({ 1, 2, 4 }, session:search { keyword = "work" })
    assert.same({ count = 1, saved = true },
      session:search({ from = "Emil" }, { save = true, ["return"] = { "count" } }))
    assert.equal("1:1", assert(session:copy("$", "Archive")).to .. ":1")
    assert.equal("5", assert(session:move("$", "Archive")).from)
    assert.same({}, assert(session:fetch_all("$", { "uid" })))
    session:logout()
  end)

  it("is refused where the server does not keep any, and after a search that failed", function()
    mailbox.selected("ESEARCH", 3, function() end, function(session)
      for _, call in ipairs { "fetch", "copy", "move", "store", "expunge" } do
        local arguments = { store = { add = "x" }, fetch = "flags", copy = "X", move = "X" }
        local done, err = session[call](session, "$", arguments[call])
        assert.is_nil(done)
        assert.equal("unsupported", err.kind, call)
      end
      local found, err = session:search { uid = "$" }
      assert.is_nil(found)
      assert.equal("unsupported", err.kind)
    end)
    mailbox.selected("ESEARCH SEARCHRES", 3, function(peer)
      mailbox.answer(peer, "^UID SEARCH RETURN %(SAVE%) TEXT x$", nil, "BAD what?")
      mailbox.answer(peer, "^UID SEARCH RETURN %(SAVE%) TEXT y$")
      mailbox.answer(peer, "^UID FETCH %$ ")
    end, function(session)
      local _, err = session:search({ text = "x" }, { save = true })
      assert.equal("rejected", err.kind)
      local done
      done, err = session:move("$", "Trash")
      assert.is_nil(done)
      assert.equal("invalid", err.kind)
      assert.matches("has failed", err.message)
      assert.equal("$", session:search({ text = "y" }, { save = true }))
      assert.same({}, session:fetch_all("$", "flags"))
    end)
  end)

  it("is not asked for again in another charset where the refusal has emptied it", function()
    mailbox.selected("ESEARCH SEARCHRES", 3, function(peer)
      local tag = mailbox.command(peer, "^UID SEARCH RETURN %(SAVE%) CHARSET UTF%-8 TEXT {2}$")
      peer:send "+ go\r\n"
      peer:expect " UID %$$"
      peer:send(tag .. " NO [BADCHARSET (ISO-8859-1)] no\r\n")
      mailbox.answer(peer, "^NOOP")
    end, function(session)
      local found, err = session:search({ uid = "$", text = "ü" }, { save = true })
      assert.is_nil(found)
      assert.equal("BADCHARSET", err.response_code)
      assert.is_true(session:noop())
    end)
  end)
end)

describe("IMAP partial results", function()
  real("are a range of what was found", function()
    local session = filled()
    local found = assert(session:search({}, { partial = "2:3", ["return"] = { "count" } }))
    assert.same({ 2, 3 }, found.partial)
    assert.same({ 5, "2:3" }, { found.count, found.range })
    assert.is_nil(assert(session:search({}, { partial = "20:30" })).partial[1])
    session:logout()
  end)

  it("count from the end", function()
    mailbox.selected("ESEARCH PARTIAL", 9, function(peer)
      mailbox.answer(peer, "^UID SEARCH RETURN %(PARTIAL %-1:%-3%) ALL$",
        '* ESEARCH (TAG "x") UID PARTIAL (-1:-3 4)\r\n* ESEARCH UID PARTIAL (-1:-3 7:9)\r\n')
      mailbox.answer(peer, "^UID SEARCH RETURN %(PARTIAL 1:2%) ALL$", "* ESEARCH UID PARTIAL (1:2 1:*)\r\n")
      mailbox.answer(peer, "^UID FETCH 1:%* %(FLAGS%) %(PARTIAL %-1:%-2%)$", "* 9 FETCH (UID 9 FLAGS ())\r\n")
    end, function(session)
      assert.same({ 7, 8, 9 }, assert(session:search({}, { partial = "-1:-3" })).partial)
      local found, err = session:search({}, { partial = "1:2" })
      assert.is_nil(found)
      assert.equal("protocol", err.kind)
      assert.equal(1, #assert(session:fetch_all("1:*", "flags", { partial = "-1:-2" })))
      local long = {}
      for i = 1, 2000 do long[i] = i * 2 end
      found, err = session:fetch(long, "flags", { partial = "1:2" })
      assert.is_nil(found)
      assert.equal("limit", err.kind)
    end)
  end)
end)

describe("IMAP sort", function()
  real("orders by every key, both ways", function()
    local session = filled()
    local orders = {
      { { "arrival", "-date" }, { 1, 2, 3, 4, 5 } }, { "date", { 5, 4, 3, 2, 1 } },
      { "reverse date", { 1, 2, 3, 4, 5 } }, { "from", { 1, 3, 2, 4, 5 } }, { "displayfrom", { 3, 2, 1, 4, 5 } },
      { { "subject", "date" }, { 3, 5, 4, 2, 1 } }, { { "to", "cc", "displayto", "-from" }, { 5, 4, 2, 3, 1 } },
      { { "REVERSE SIZE" }, { 3 } },
    }
    for _, order in ipairs(orders) do
      local found = assert(session:sort(order[1]))
      for i, uid in ipairs(order[2]) do assert.equal(uid, found[i], tostring(order[1])) end
      assert.equal(5, #found)
    end
    assert.same({ 3, 2, 1 }, session:sort({ "displayfrom" }, { uid = "1:3" }))
    assert.same({ 4, 2 }, session:sort("date", { subject = "re: tea" }))
    assert.same({}, session:sort("date", { subject = "grün" }))
    session:logout()
  end)

  real("gives figures, ranges, and sequence numbers", function()
    local session = filled()
    assert.same({ min = 3, max = 5, count = 5, all = { 3, 2, 1, 4, 5 } },
      session:sort("displayfrom", {}, { ["return"] = { "min", "max", "count", "all" } }))
    assert(session:store(1, { add = "\\Deleted" }))
    assert(session:expunge())
    assert.same({ 2, 1, 3, 4 }, session:sort("displayfrom", {}, { seq = true }))
    session:logout()
  end)

  real("its result is a set", function()
    local session = filled()
    local sorted = assert(session:sort "displayfrom")
    assert.equal("1:5", tostring(sorted))
    assert.is_true(sorted:contains(5))
    assert.is_false(sorted:contains(6))
    assert.same({ 2, 3 }, sorted * { 2, 3, 9 })
    assert.equal(5, #assert(sorted:fetch_all { "uid" }))
    session:logout()
  end)

  it("is the server's, or not at all", function()
    mailbox.selected("SORT", 1, function() end, function(session)
      for _, call in ipairs {
        function() return session:sort "displayfrom" end, function() return session:sort "relevancy" end,
        function() return session:sort("date", {}, { ["return"] = { "all" } }) end,
        function() return session:sort("date", {}, { update = true }) end,
        function() return session:thread "references" end,
        function() return session:esearch({}, { scope = "personal" }) end,
      } do
        local found, err = call()
        assert.is_nil(found)
        assert.equal("unsupported", err.kind)
      end
    end)
    mailbox.selected("", 1, function() end, function(session)
      local found, err = session:sort "date"
      assert.is_nil(found)
      assert.equal("unsupported", err.kind)
    end)
  end)

  it("never makes more of a range than the mailbox may hold", function()
    mailbox.selected("SORT ESORT", 10, function(peer)
      mailbox.answer(peer, "^UID SORT RETURN %(ALL%) %(DATE%) US%-ASCII ALL$", "* ESEARCH UID ALL 1:4294967295\r\n")
      mailbox.answer(peer, "^UID SORT RETURN %(ALL%) %(DATE%) US%-ASCII ALL$", "* ESEARCH UID ALL 7,3:5,1\r\n")
    end, function(session)
      local found, err = session:sort("date", {}, { ["return"] = "all" })
      assert.is_nil(found)
      assert.equal("protocol", err.kind)
      assert.same({ 7, 3, 4, 5, 1 }, assert(session:sort("date", {}, { ["return"] = "all" })).all)
    end)
  end)
end)

describe("IMAP threads", function()
  real("are who answered whom", function()
    local session = filled()
    local conversations = { { id = 1, { id = 2, { id = 4 } } }, { id = 3, { id = 5 } } }
    local by_root = {}
    for _, thread in ipairs(assert(session:thread "REFERENCES")) do by_root[thread.id] = thread end
    assert.same({ [1] = conversations[1], [3] = conversations[2] }, by_root)
    assert.equal(2, #assert(session:thread("refs", { all = true })))
    assert.equal(3, #assert(session:thread("orderedsubject", {}, { seq = true })))
    assert.same({ { id = 2, { id = 4 } } }, session:thread("references", { subject = "re: tea" }))
    assert.same({}, session:thread("references", { from = "nobody" }))
    assert.same({}, session:thread("references", { from = "grün" }))
    session:logout()
  end)

  it("of any depth are read without a stack", function()
    local deep = ("(2 (3)"):rep(5000)
    local list = assert(imap.parse("* THREAD (1 " .. deep .. "(4)" .. (")"):rep(5000) .. ")\r\n"))[1].value
    local depth, node = 1, list[1]
    while #node > 0 do depth, node = depth + 1, node[#node] end
    assert.equal(5002, depth)
    local chain = {}
    for i = 1, 100000 do chain[i] = i end
    list = assert(imap.parse("* THREAD (" .. table.concat(chain, " ") .. ")\r\n"))[1].value
    depth, node = 1, list[1]
    while node[1] do depth, node = depth + 1, node[1] end
    assert.same({ 100000, 100000 }, { depth, node.id })
    local _, err = imap.parse("* THREAD " .. ("("):rep(10001) .. "\r\n")
    assert.equal("limit", err.kind)
  end)
end)

describe("IMAP results that the server keeps up to date", function()
  real("tell what comes and goes", function()
    local session = filled()
    local found = assert(session:search({ unseen = true }, { update = true }))
    assert.same({ 1, 2, 3, 4, 5 }, found.all)
    local context, events = found.context, {}
    session:on("context", function(event) events[#events + 1] = event end)
    assert(session:store({ 2, 3 }, { add = "\\Seen" }))
    assert(session:store(2, { remove = "\\Seen" }))
    assert(session:append("INBOX", message(6, {})))
    assert(session:noop())
    assert.same({ 1, 2, 4, 5, 6 }, context:result())
    assert.same({ 1, 2, 3, 4, 5 }, found.all)
    local told = {}
    for i, event in ipairs(events) do
      assert.equal(context, event.context)
      told[i] = (event.added and "+" .. event.added or "") .. (event.removed and "-" .. event.removed or "")
    end
    assert.same({ "-2:3", "+2", "+6" }, told)
    assert.is_true(context:is_live())
    assert.is_true(context:cancel())
    assert.is_false(context:is_live())
    assert.is_true(context:cancel())
    assert(session:store(1, { add = "\\Seen" }))
    assert.equal(3, #events)
    session:logout()
  end)

  real("tell it during IDLE, and end with the mailbox", function()
    local session, user = filled()
    local context = assert(session:search({ unseen = true }, { update = true })).context
    local other = mailbox.open(dovecot, user)
    assert(other:select "INBOX")
    assert(other:store(4, { add = "\\Seen" }))
    local removed
    local events = assert(session:idle { timeout = 10 })
    while not removed do
      local event = assert(events:next())
      if event.type == "context" then removed = event.removed end
    end
    events:close()
    assert.equal("4", removed)
    assert.same({ 1, 2, 3, 5 }, context:result())
    assert(session:select "Archive")
    assert.is_false(context:is_live())
    other:logout()
    session:logout()
  end)

  it("keep the order of a sort, and end where the server says so", function()
    mailbox.selected("SORT ESORT CONTEXT=SORT", 9, function(peer)
      local tag = mailbox.command(peer, "^UID SORT RETURN %(ALL UPDATE%) %(DATE%) US%-ASCII ALL$")
      peer:send(('* ESEARCH (TAG "%s") UID ADDTO (1 9)\r\n* ESEARCH (TAG "%s") UID ALL 5,3,4\r\n%s OK done\r\n')
        :format(tag, tag, tag))
      local noop = mailbox.command(peer, "^NOOP")
      peer:send(('* ESEARCH (TAG "%s") UID REMOVEFROM (0 3) ADDTO (2 7 2 6)\r\n'
        .. '* ESEARCH (TAG "other") UID ADDTO (1 1)\r\n'
        .. '* ESEARCH (TAG "%s") ADDTO (1 2)\r\n* ESEARCH (TAG "%s") UID ADDTO (1 1:4294967295)\r\n'
        .. '* NO [NOUPDATE "%s"] enough\r\n%s OK done\r\n'):format(tag, tag, tag, tag, noop))
    end, function(session)
      local found = assert(session:sort("date", {}, { update = true, ["return"] = { "all" } }))
      assert.same({ 5, 3, 4 }, found.all)
      assert.same({ 9, 5, 3, 4 }, found.context:result())
      assert(session:noop())
      assert.same({ 9, 6, 7, 5, 4 }, found.context:result())
      assert.is_false(found.context:is_live())
    end)
  end)
end)

describe("IMAP search in several mailboxes", function()
  it("gives a result for each, which knows where it belongs", function()
    mailbox.selected("ESEARCH MULTISEARCH SAVEDATE", 3, function(peer)
      local tag = mailbox.command(peer, "^ESEARCH IN %(personal mailboxes %(INBOX Gr&APw%-n%) subtree%-one %(Lists%)%) "
        .. "RETURN %(ALL%) UNSEEN$")
      peer:send(('* ESEARCH (TAG "%s" MAILBOX INBOX UIDVALIDITY 7) UID ALL 1:3\r\n* ESEARCH (TAG "%s" MAILBOX '
        .. '"Gr&APw-n" UIDVALIDITY 70) UID ALL 4\r\n%s OK done\r\n'):format(tag, tag, tag))
      tag = mailbox.command(peer, "^ESEARCH RETURN %(MIN COUNT%) ALL$")
      peer:send(('* ESEARCH (TAG "%s") UID COUNT 3 MIN 1\r\n%s OK done\r\n'):format(tag, tag))
      mailbox.answer(peer, "^SELECT Gr&APw%-n", "* 9 EXISTS\r\n* OK [UIDVALIDITY 70] v\r\n")
      mailbox.answer(peer, "^UID FETCH 4 ", "* 4 FETCH (UID 4 FLAGS ())\r\n")
      mailbox.answer(peer, "^SELECT Gr&APw%-n", "* 9 EXISTS\r\n* OK [UIDVALIDITY 71] v\r\n")
    end, function(session)
      local found = assert(session:esearch({ unseen = true }, {
        scope = "personal", mailboxes = { "INBOX", "Grün" }, subtree_one = "Lists",
      }))
      assert.equal(2, #found)
      assert.same({ "INBOX", 7, { 1, 2, 3 } }, { found[1].mailbox, found[1].uidvalidity, found[1].all })
      assert.same({ "Grün", 70, { 4 } }, { found[2].mailbox, found[2].uidvalidity, found[2].all })
      local figures = assert(session:esearch(nil, { ["return"] = { "min", "count" } }))
      assert.same({ { mailbox = "INBOX", uidvalidity = 7, count = 3, min = 1 } }, figures)
      local set = found[2].all
      local _, err = set:fetch "flags"
      assert.equal("invalid", err.kind)
      assert(session:select "Grün")
      assert.equal(1, #assert(set:fetch_all "flags"))
      assert(session:select "Grün")
      _, err = set:fetch_all "flags"
      assert.equal("uidvalidity", err.kind)
    end)
  end)
end)

describe("IMAP search in another charset", function()
  local function utf8_search(peer, verb, charset, octets, answer)
    local tag = mailbox.command(peer,
      "^" .. verb .. ".*" .. charset:gsub("%-", "%%-") .. " SUBJECT {" .. #octets .. "}$")
    peer:send "+ go\r\n"
    assert(peer:line() == octets)
    peer:send(answer:gsub("TAG", tag))
  end

  it("takes one of the server's list that can hold the text, and remembers it", function()
    mailbox.selected("SORT THREAD=REFS", 3, function(peer)
      utf8_search(peer, "UID SEARCH", "CHARSET UTF-8", "Grün",
        "TAG NO [BADCHARSET (US-ASCII KOI8-R ISO-8859-1)] no\r\n")
      utf8_search(peer, "UID SEARCH", "CHARSET ISO-8859-1", "Gr\252n", "* SEARCH 2\r\nTAG OK done\r\n")
      utf8_search(peer, "UID SORT %(DATE%)", "ISO-8859-1", "Gr\252n", "* SORT 3 2\r\nTAG OK done\r\n")
      utf8_search(peer, "UID THREAD REFS", "UTF-8", "чай", "TAG NO [BADCHARSET (ISO-8859-1 KOI8-R)] no\r\n")
      utf8_search(peer, "UID THREAD REFS", "KOI8-R", "\222\193\202", "* THREAD (2 3)\r\nTAG OK done\r\n")
    end, function(session)
      assert.same({ 2 }, session:search { subject = "Grün" })
      assert.same({ 3, 2 }, session:sort("date", { subject = "Grün" }))
      assert.same({ { id = 2, { id = 3 } } }, session:thread("refs", { subject = "чай" }))
    end)
  end)

  it("says so where none can", function()
    mailbox.selected("", 3, function(peer)
      utf8_search(peer, "UID SEARCH", "CHARSET UTF-8", "茶", "TAG NO [BADCHARSET (US-ASCII ISO-8859-1)] no\r\n")
      utf8_search(peer, "UID SEARCH", "CHARSET UTF-8", "ü", "TAG NO [BADCHARSET] no\r\n")
      utf8_search(peer, "UID SEARCH", "CHARSET UTF-8", "ü", "TAG NO cannot\r\n")
      utf8_search(peer, "UID SEARCH", "CHARSET UTF-8", "ü", "TAG NO [BADCHARSET (UTF-8 \"a/b\")] no\r\n")
    end, function(session)
      local found, err, _ = session:search { subject = "茶" }
      assert.is_nil(found)
      assert.equal("unsupported", err.kind)
      assert.matches("US%-ASCII, ISO%-8859%-1", err.message)
      assert.equal("BADCHARSET", err.response_code)
      _, err = session:search { subject = "ü" }
      assert.equal("unsupported", err.kind)
      _, err = session:search { subject = "ü" }
      assert.equal("rejected", err.kind)
      _, err = session:search { subject = "ü" }
      assert.equal("unsupported", err.kind)
    end)
  end)

  it("names none where UTF-8 is enabled", function()
    scripted.run(function(peer)
      mailbox.admit(peer, "UTF8=ACCEPT ENABLE SORT")
      mailbox.answer(peer, "^ENABLE UTF8=ACCEPT$", "* ENABLED UTF8=ACCEPT\r\n")
      mailbox.answer(peer, "^SELECT ", "* 3 EXISTS\r\n")
      mailbox.answer(peer, '^UID SEARCH SUBJECT "Grün"$', "* SEARCH 1\r\n")
      mailbox.answer(peer, '^UID SORT %(DATE%) UTF%-8 ALL$', "* SORT 1\r\n")
      peer:rest()
    end, function(port)
      local session = assert(mailbox.dial(port))
      assert(session:select "INBOX")
      assert.same({ 1 }, session:search { subject = "Grün" })
      assert.same({ 1 }, session:sort "date")
      session:close()
    end)
  end)

  real("is UTF-8, and none for ASCII", function()
    local lines, log = listening()
    local session = filled { log = log }
    assert.same({}, session:search { subject = "grün" })
    assert.same({ 3 }, session:search { subject = "milk" })
    assert.equal("UID SEARCH RETURN (ALL) SUBJECT milk", lines[#lines])
    assert.matches("\nUID SEARCH RETURN %(ALL%) CHARSET UTF%-8 SUBJECT {", table.concat(lines, "\n"))
    session:logout()
  end)

  it("text goes there and back", function()
    for _, case in ipairs {
      { "Grün", "ISO-8859-1", "Gr\252n" }, { "€", "iso-8859-15", "\164" }, { "чай", "koi8-r", "\222\193\202" },
      { "日本", "Shift_JIS", "\147\250\150\123" }, { "x", "US-ASCII", "x" },
      { ("ü"):rep(9000), "latin1", ("\252"):rep(9000) },
    } do
      assert.equal(case[3], core.from_utf8(case[1], case[2]))
      assert.equal(case[1], core.to_utf8(case[3], case[2]))
    end
    assert.is_nil(core.from_utf8("茶", "ISO-8859-1"))
    assert.is_nil(core.from_utf8("ü", "US-ASCII"))
    assert.is_nil(core.from_utf8("ü", "no-such-charset"))
    assert.is_nil(core.from_utf8("ü", ""))
    assert.is_nil(core.from_utf8("ü\255", "ISO-8859-1"))
    assert.is_nil(core.from_utf8("ü", "ASCII//TRANSLIT"))
  end)
end)

describe("IMAP search among very many UIDs", function()
  it("goes in pieces, and the results are joined", function()
    local uids = {}
    for i = 1, 3000 do uids[i] = i * 3 end
    mailbox.selected("ESEARCH CONDSTORE SEARCHRES", 9000, function(peer)
      local asked = 0
      while asked < 3000 do
        local tag, line = mailbox.command(peer, "^UID SEARCH RETURN %(MIN MAX COUNT ALL%) UID [%d,]+ UNSEEN$")
        assert(#line < 4100)
        local list, n = {}, 0
        for uid in line:match("UID ([%d,]+)"):gmatch "%d+" do
          asked, n = asked + 1, n + 1
          list[n] = uid
        end
        peer:send(("* ESEARCH (TAG \"%s\") UID MIN %s MAX %s COUNT %d ALL %s MODSEQ %d\r\n%s OK done\r\n"):format(tag,
          list[1], list[n], n, table.concat(list, ","), asked, tag))
      end
      while asked > 0 do
        local tag, line = mailbox.command(peer, "^UID SEARCH RETURN %(ALL%) UID ")
        for _ in line:match("UID ([%d,]+)"):gmatch "%d+" do asked = asked - 1 end
        peer:send(("* ESEARCH (TAG \"%s\") UID ALL %s\r\n%s OK done\r\n"):format(tag, line:match "UID (%d+)", tag))
      end
    end, function(session)
      local found = assert(session:search({ unseen = true, uid = uids },
        { ["return"] = { "min", "max", "count", "all" } }))
      assert.same({ 3, 9000, 3000, 3000, 3000 }, { found.min, found.max, found.count, #found.all, found.modseq })
      assert.is_true(#assert(session:search { uid = uids }) > 2)
      local _, err = session:search({ uid = uids }, { save = true })
      assert.equal("limit", err.kind)
    end)
  end)

  real("is asked of the server in a few short lines", function()
    local session = filled()
    local uids = {}
    for i = 1, 5000 do uids[i] = i * 2 end
    assert.same({ 2, 4 }, session:search { uid = uids })
    assert.same({ count = 1, min = 4 },
      session:search({ uid = uids, from = "Dora" }, { ["return"] = { "count", "min" } }))
    session:logout()
  end)
end)

describe("IMAP search answers that lie", function()
  it("bring no sequence number beyond the mailbox", function()
    mailbox.selected("", 3, function(peer)
      mailbox.answer(peer, "^SEARCH ALL$", "* SEARCH 1 3 4 900 4294967295\r\n")
    end, function(session)
      assert.same({ 1, 3 }, session:search({}, { seq = true }))
    end)
  end)

  it("are no numbers of the other kind", function()
    mailbox.selected("ESEARCH", 3, function(peer)
      mailbox.answer(peer, "^UID SEARCH", "* ESEARCH ALL 1:2\r\n")
      mailbox.answer(peer, "^SEARCH", "* ESEARCH UID ALL 1:2\r\n")
      mailbox.answer(peer, "^UID SEARCH", "* ESEARCH UID ALL 1:*\r\n")
      mailbox.answer(peer, "^UID SEARCH", "* ESEARCH UID MIN (1) COUNT x ALL 2\r\n")
    end, function(session)
      for _, options in ipairs { {}, { seq = true }, {} } do
        local found, err = session:search({}, options)
        assert.is_nil(found)
        assert.equal("protocol", err.kind)
      end
      assert.same({ all = { 2 } }, session:search({}, { ["return"] = { "all", "min", "count" } }))
    end)
  end)

  it("do not become an array of four thousand million", function()
    mailbox.selected("ESEARCH", 3, function(peer)
      mailbox.answer(peer, "^UID SEARCH", "* ESEARCH UID ALL 1:4294967295\r\n")
      mailbox.answer(peer, "^UID STORE 1:4294967295 ", nil, "NO nothing here")
    end, function(session)
      local found = assert(session:search())
      assert.equal(4294967295, found:count())
      assert.equal(4000000000, found[4000000000])
      assert.is_true(found:contains(77))
      assert.equal("1:4294967295", tostring(found))
      assert.same({ 1, 2 }, found * { 1, 2 })
      local n = 0
      for i, uid in found:each() do
        n = n + 1
        assert.equal(i, uid)
        if n == 1000 then break end
      end
      assert.has_error(function() found[1] = 5 end)
      local _, err = found:flag "x"
      assert.equal("rejected", err.kind)
    end)
  end)
end)

describe("IMAP search by Cyrus", function()
  local cyrus, none = servers.cyrus {}

  local function on_cyrus(name, fn)
    it(name, function()
      if not cyrus then return pending(none) end
      local session = mailbox.open(cyrus, nil, "implicit")
      for _, text in ipairs(five()) do assert(session:append("INBOX", mailbox.crlf(text))) end
      assert(session:select "INBOX")
      fn(session)
      session:logout()
    end)
  end

  on_cyrus("gives figures, ages, and what was saved when", function(session)
    assert.same({ min = 2, max = 4, count = 2, all = { 2, 4 } },
      session:search({ subject = "Re: tea" }, { ["return"] = { "min", "max", "count", "all" } }))
    assert.same({ count = 0 }, session:search({ from = "nobody" }, { ["return"] = { "count" } }))
    assert.same({ 1, 2, 3, 4, 5 }, session:search { younger = 3600 })
    assert.same({}, session:search { older = 3600 })
    assert.same({ 1, 2, 3, 4, 5 }, session:search { saved_since = "2020-01-01" })
    assert.same({ 3 }, session:search { uid = { 1, 2, 3 }, ["not"] = { subject = "tea" } })
    assert.same({}, session:search { subject = "grün" })
  end)

  on_cyrus("finds by an object's identifier, fuzzily, and what has changed", function(session)
    local second = assert(session:fetch_all(2, { "emailid", "threadid", "modseq" }))[1]
    assert.same({ 2 }, session:search { emailid = second.emailid })
    assert.is_true(assert(session:search { threadid = second.threadid }):contains(2))
    assert.is_table(session:search { fuzzy = { subject = "milk" } }) -- what it finds is its index's affair
    assert(session:store(4, { add = "\\Flagged" }))
    local later = session:search({ modseq = second.modseq + 1 }, { ["return"] = { "all" } })
    assert.is_true(later.all:contains(4))
    assert.is_number(later.modseq)
  end)

  on_cyrus("sorts and threads", function(session)
    assert.same({ 5, 4, 3, 2, 1 }, session:sort "date")
    assert.same({ 1, 2, 3, 4, 5 }, session:sort "-date")
    assert.same({ 3, 2, 1, 4, 5 }, session:sort "displayfrom")
    assert.same({ count = 5, all = { 3, 2, 1, 4, 5 } },
      session:sort("displayfrom", {}, { ["return"] = { "count", "all" } }))
    local by_root = {}
    for _, thread in ipairs(assert(session:thread "REFERENCES")) do by_root[thread.id] = thread end
    assert.same({ [1] = { id = 1, { id = 2, { id = 4 } } }, [3] = { id = 3, { id = 5 } } }, by_root)
    assert.equal(3, #assert(session:thread "orderedsubject"))
    assert.is_true(#assert(session:thread "refs") > 0)
  end)

  on_cyrus("applies rules", function(session)
    local tea = session:messages { subject = "tea" }
    assert.same({ 1, 4 }, (tea - { from = "Bea" }):uids())
    assert(tea:flag("\\Seen", "tea"))
    assert.equal(3, session:messages({ keyword = "tea", seen = true }):count())
    assert.equal("1:2", assert((tea * { uid = "1:2" }):move "Archive").from)
    assert.same({ expunged = true }, tea:delete())
    assert.same({ 3, 5 }, session:search())
    local uids = {}
    for i = 1, 3000 do uids[i] = i * 2 + 1 end
    assert.same({ 3, 5 }, session:search { uid = uids })
    local found, err = session:search({}, { save = true })
    assert.is_nil(found)
    assert.equal("unsupported", err.kind)
  end)
end)
