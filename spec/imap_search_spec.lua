-- IMAP SEARCH against Dovecot: every criterion, strings that must be quoted or sent as literals,
-- and trees of and, or, not.

local mailbox = require "spec.support.mailbox"

local dovecot, missing = mailbox.server()
local real = mailbox.real(it, pending, dovecot, missing)

local function mail(fields, body)
  local lines = {}
  for _, name in ipairs(mailbox.keys(fields)) do lines[#lines + 1] = name .. ": " .. fields[name] end
  return table.concat(lines, "\n") .. "\n\n" .. (body or "body") .. "\n"
end

local DAY = 86400
local NOON = 1793534400 -- 2026-11-01 12:00:00 UTC

-- Five messages; the session that has them selected.
local function filled()
  local session = mailbox.open(dovecot)
  local function put(text, flags, date) assert(session:append("INBOX", text, { flags = flags, date = date })) end
  put(mail({ From = "Bob <bob@example.org>", To = "ann@example.com", Subject = "plain hello",
    Date = "Sun, 01 Nov 2026 12:00:00 +0000", ["Message-ID"] = "<1@x>" }, "the quick fox"), { "\\Seen" }, NOON)
  put(mail({ From = "cy@example.net", Cc = "dan@example.com", Subject = "say \"hi\" \\ back",
    Date = "Mon, 02 Nov 2026 12:00:00 +0000", ["X-Job"] = "7" }, "lazy dog"), { "\\Answered", "work" }, NOON + DAY)
  put(mail({ From = "bob@example.org", Bcc = "eve@example.com", Subject = "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=",
    Date = "Tue, 03 Nov 2026 12:00:00 +0000" }, ("x"):rep(3000)), { "\\Flagged" }, NOON + 2 * DAY)
  put(mail({ From = "fay@example.com", Subject = "(paren) {5}", Date = "Wed, 04 Nov 2026 12:00:00 +0000" }),
    { "\\Draft" }, NOON + 3 * DAY)
  put(mail({ From = "gus@example.com", Subject = "last", Date = "Thu, 05 Nov 2026 12:00:00 +0000" }),
    { "\\Deleted" }, NOON + 4 * DAY)
  assert(session:select "INBOX")
  return session
end

local CASES = {
  { {}, { 1, 2, 3, 4, 5 } },
  { { all = true }, { 1, 2, 3, 4, 5 } },
  { "UNSEEN", { 2, 3, 4, 5 } },
  { { unseen = true }, { 2, 3, 4, 5 } },
  { { unseen = false }, { 1 } },
  { { seen = true }, { 1 } },
  { { seen = false }, { 2, 3, 4, 5 } },
  { { answered = true }, { 2 } },
  { { unanswered = true }, { 1, 3, 4, 5 } },
  { { deleted = true }, { 5 } },
  { { undeleted = true }, { 1, 2, 3, 4 } },
  { { draft = true }, { 4 } },
  { { undraft = true }, { 1, 2, 3, 5 } },
  { { flagged = true }, { 3 } },
  { { unflagged = true }, { 1, 2, 4, 5 } },
  { { recent = true }, { 1, 2, 3, 4, 5 } },
  { { old = true }, {} },
  { { new = true }, { 2, 3, 4, 5 } },
  { { keyword = "work" }, { 2 } },
  { { unkeyword = "work" }, { 1, 3, 4, 5 } },
  { { keyword = { "work", "play" } }, {} },
  { { from = "bob" }, { 1, 3 } },
  { { from = "BOB@EXAMPLE.ORG" }, { 1, 3 } },
  { { from = { "bob", "org" } }, { 1, 3 } },
  { { to = "ann" }, { 1 } },
  { { cc = "dan@example.com" }, { 2 } },
  { { bcc = "eve" }, { 3 } },
  { { subject = "hello" }, { 1 } },
  { { subject = "say \"hi\" \\ back" }, { 2 } },
  { { subject = "(paren) {5}" }, { 4 } },
  { { subject = "Gr\195\188\195\159e" }, { 3 } },
  { { subject = "gr\195\188" }, { 3 } },
  { { subject = "line\nbreak" }, {} },
  { { subject = "" }, { 1, 2, 3, 4, 5 } },
  { { body = "fox" }, { 1 } },
  { { text = "lazy" }, { 2 } },
  { { header = { ["X-Job"] = "7" } }, { 2 } },
  { { header = { ["X-Job"] = true } }, { 2 } },
  { { header = { ["Message-ID"] = "<1@x>" } }, { 1 } },
  { { since = "2026-11-03" }, { 3, 4, 5 } },
  { { since = "3-Nov-2026" }, { 3, 4, 5 } },
  { { since = { year = 2026, month = 11, day = 3 } }, { 3, 4, 5 } },
  { { since = NOON + 2 * DAY }, { 3, 4, 5 } },
  { { before = "2026-11-02" }, { 1 } },
  { { on = "2026-11-02" }, { 2 } },
  { { sent_since = "2026-11-04" }, { 4, 5 } },
  { { sent_before = "2026-11-03" }, { 1, 2 } },
  { { sent_on = "2026-11-03" }, { 3 } },
  { { sentsince = "2026-11-04" }, { 4, 5 } },
  { { sentbefore = "2026-11-03" }, { 1, 2 } },
  { { senton = "2026-11-03" }, { 3 } },
  { { since = "2026-11-02", before = "2026-11-04" }, { 2, 3 } },
  { { larger = 2000 }, { 3 } },
  { { smaller = 2000 }, { 1, 2, 4, 5 } },
  { { younger = 60 }, {} },
  { { uid = "2:3" }, { 2, 3 } },
  { { uid = { 1, 5 } }, { 1, 5 } },
  { { uid = "4:*" }, { 4, 5 } },
  { { seq = 2 }, { 2 } },
  { { ["not"] = { seen = true } }, { 2, 3, 4, 5 } },
  { { ["not"] = { from = "bob", seen = true } }, { 2, 3, 4, 5 } },
  { { ["or"] = { { from = "cy" }, { from = "fay" } } }, { 2, 4 } },
  { { ["or"] = { { from = "cy" }, { from = "fay" }, { from = "gus" } } }, { 2, 4, 5 } },
  { { ["or"] = { { from = "bob", seen = true }, { ["not"] = { ["or"] = { { from = "bob" }, { from = "cy" } } } } } },
    { 1, 4, 5 } },
  { { from = "example.com", ["not"] = { deleted = true } }, { 4 } },
  { { { from = "bob" }, { seen = true } }, { 1 } },
  { { ["or"] = { {}, { seen = true } } }, { 1, 2, 3, 4, 5 } },
  { { subject = "nothing of the kind" }, {} },
}

describe("IMAP search", function()
  real("finds by every criterion", function()
    local session = filled()
    for i, case in ipairs(CASES) do
      local found, err = session:search(case[1])
      assert.same(case[2], found, "case " .. i .. ": " .. tostring(err))
    end
    assert.same({ 1, 2, 3, 4, 5 }, session:search())
    session:logout()
  end)

  real("speaks of sequence numbers when asked", function()
    local session = filled()
    assert.is_true(session:expunge())
    assert(session:store(2, { add = { "\\Deleted" } }))
    assert.is_true(session:expunge(2))
    assert.same({ 2, 3 }, session:search({ seen = false }, { seq = true }))
    assert.same({ 3, 4 }, session:search { seen = false })
    session:logout()
  end)

  real("finds thousands, and its result is a set", function()
    local session, user = mailbox.open(dovecot)
    local folder = user.maildir
    os.execute(("mkdir -p '%s/cur' '%s/new' '%s/tmp'; cd '%s/cur' && i=1; while [ $i -le 3000 ]; do "
      .. "echo \"Subject: $i\" > 17000$i.$i.host:2,S; i=$((i+1)); done; chown -R %d:%d '%s' 2>/dev/null")
      :format(folder, folder, folder, folder, dovecot.keeper.uid, dovecot.keeper.gid, user.home))
    assert.equal(3000, assert(session:select "INBOX").exists)
    local all = assert(session:search())
    assert.equal(3000, #all)
    local odd = {}
    for i = 1, 3000, 2 do odd[#odd + 1] = all[i] end
    assert(session:store(odd, { add = { "odd" } }, { silent = true }))
    assert.equal(1500, #assert(session:search { keyword = "odd" }))
    local n = 0
    local it = assert(session:fetch(odd, { "uid", "flags" }))
    local message = it:next()
    while message do
      n = n + 1
      assert.equal(odd[n], message.uid)
      assert.is_true(message.flags.odd)
      message = it:next()
    end
    assert.equal(1500, n)
    local copied = assert(session:copy(odd, "Archive"))
    assert.is_string(copied.from)
    assert.equal(1500, assert(session:status("Archive", "messages")).messages)
    assert(session:move(odd, "Junk", { seq = false }))
    assert.equal(1500, session.mailbox.exists)
    assert.equal(1500, assert(session:status("Junk", "messages")).messages)
    local rest = {}
    for i = 1, 1500, 2 do rest[#rest + 1] = i end
    assert(session:move(rest, "Trash", { seq = true }))
    local kept = assert(session:search())
    assert.equal(750, #kept)
    for i = 1, 750 do assert.equal(all[4 * i], kept[i]) end
    session:logout()
  end)

  real("refuses NUL in a string", function()
    local session = filled()
    local found, err = session:search { subject = "a\0b" }
    assert.is_nil(found)
    assert.equal("invalid", err.kind)
    found, err = session:search "ALL\r\nA1 LOGOUT"
    assert.is_nil(found)
    assert.equal("invalid", err.kind)
    found, err = session:search "NOSUCHKEY"
    assert.is_nil(found)
    assert.equal("rejected", err.kind)
    assert.equal("UID SEARCH", err.command)
    session:logout()
  end)

  real("raises for wrong criteria at the caller's line", function()
    local session = filled()
    local function raises(criteria, pattern)
      mailbox.raises("imap_search_spec.lua", function() session:search(criteria) end, pattern)
    end
    raises(5, "table of criteria")
    raises({ form = "bob" }, "unknown criterion 'form'")
    raises({ from = 5 }, "'from' must be a string")
    raises({ from = {} }, "'from' must be a string, or an array of strings")
    raises({ from = { ann = true } }, "'from' must be a string, or an array of strings")
    raises({ keyword = {} }, "'keyword' must be a keyword, or an array of keywords")
    raises({ header = {} }, "'header' must be a table")
    raises({ header = { "X-Job", "7" } }, "'header' must be a table: header name to text")
    raises({ header = { ["X-Job"] = 7 } }, "'header' must be a table: header name to text")
    raises({ uid = { [5] = true } }, "'uid' must be a set")
    raises({ unseen = "yes" }, "'unseen' must be true or false")
    raises({ new = false }, "'new' must be true")
    raises({ since = "yesterday" }, "'since' must be a date")
    raises({ since = "2026-13-01" }, "'since' must be a date")
    raises({ since = {} }, "'since' must be a date")
    raises({ larger = -1 }, "'larger' must be a whole number")
    raises({ larger = "big" }, "whole number")
    raises({ uid = "x" }, "'uid' must be a set")
    raises({ uid = 0 }, "'uid' must be a set")
    raises({ ["not"] = true }, "'not' must be a table")
    raises({ ["or"] = { { seen = true } } }, "two or more")
    raises({ ["or"] = { true, false } }, "'or' must be a table")
    raises({ keyword = "a b" }, "keyword")
    raises({ header = "x" }, "header name to text")
    raises({ { form = "x" } }, "unknown criterion 'form'")
    local deep = {}
    for _ = 1, 100 do deep = { ["not"] = deep } end
    raises(deep, "nested too deeply")
    mailbox.raises("imap_search_spec.lua", function() session:search({}, { sq = true }) end, "'sq'")
    session:close()
  end)
end)
