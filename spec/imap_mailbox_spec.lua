-- IMAP mailboxes against Dovecot: LIST, STATUS, CREATE, RENAME, DELETE, SUBSCRIBE, SELECT and what
-- leaves a mailbox.

local loop = require "mail.loop"
local mailbox = require "spec.support.mailbox"

local dovecot, missing = mailbox.server()
local real = mailbox.real(it, pending, dovecot, missing)

-- The names in the answer to LIST, sorted.
local function names(list)
  local set = {}
  for _, box in ipairs(list) do set[box.name] = true end
  return mailbox.keys(set)
end

local ODD = {
  "plain", "with space", "Gr\195\188\195\159e", "\230\151\165\230\156\172\232\170\158", "emoji \240\159\147\172",
  "a&b", "&", "&-", "a&Jjo-b",
  "quo\"te", "back\\slash", "(paren)", "{brace}", "{5}", "br[ack]et", "til~de", "#hash", "'",
  "percent%", "star*", "NIL", "\"", "a\\\"b", "e\204\129 combining", "\240\159\145\169\226\128\141\240\159\146\187",
}

describe("IMAP mailbox names", function()
  for _, name in ipairs(ODD) do
    real(("%q"):format(name) .. " are created, listed, opened, renamed, deleted", function()
      local session = mailbox.open(dovecot)
      assert.is_true(session:create(name))
      local seen = names(assert(session:list("*")))
      local there = false
      for _, one in ipairs(seen) do there = there or one == name end
      assert.is_true(there, "not in " .. table.concat(seen, " | "))
      assert.is_table(session:append(name, "Subject: x\n\nbody\n"))
      local status = assert(session:status(name, { "messages", "uidnext", "uidvalidity", "unseen", "recent" }))
      assert.equal(1, status.messages)
      assert.equal(2, status.uidnext)
      assert.equal(1, status.unseen)
      local box = assert(session:select(name))
      assert.equal(name, box.name)
      assert.equal(status.uidvalidity, box.uidvalidity)
      assert.equal(1, box.exists)
      assert.is_true(session:subscribe(name))
      there = false
      for _, one in ipairs(names(assert(session:list("*", { subscribed = true })))) do there = there or one == name end
      assert.is_true(there)
      assert.is_true(session:unsubscribe(name))
      assert.is_true(session:unselect())
      assert.is_true(session:rename(name, "to/" .. name:gsub("[*%%]", "_")))
      assert.is_nil((session:select(name)))
      assert.is_true(session:delete("to/" .. name:gsub("[*%%]", "_")))
      session:logout()
    end)
  end

  real("that cannot be sent are refused before the wire", function()
    local session = mailbox.open(dovecot)
    for _, bad in ipairs { "a\r\nA1 LOGOUT", "a\nb", "a\0b", "\255\254", "\237\160\128" } do
      for _, call in ipairs { "create", "delete", "select", "examine", "subscribe", "unsubscribe" } do
        local ok, err = session[call](session, bad)
        assert.is_nil(ok)
        assert.equal("invalid", err.kind)
        assert.equal("imap", err.protocol)
        assert.equal(call:upper(), err.command)
      end
      local ok, err = session:rename("INBOX", bad)
      assert.is_nil(ok)
      assert.equal("invalid", err.kind)
      ok, err = session:status(bad, { "messages" })
      assert.is_nil(ok)
      assert.equal("invalid", err.kind)
      ok, err = session:list(bad)
      assert.is_nil(ok)
      assert.equal("invalid", err.kind)
      ok, err = session:append(bad, "x")
      assert.is_nil(ok)
      assert.equal("invalid", err.kind)
    end
    assert.is_true(session:noop())
    session:logout()
  end)
end)

describe("IMAP list", function()
  real("takes patterns and a reference, and tells attributes", function()
    local session = mailbox.open(dovecot)
    for _, name in ipairs { "a", "a/b", "a/b/c", "ax" } do assert.is_true(session:create(name)) end
    assert.same({ "a", "ax" }, names(assert(session:list "a%")))
    assert.same({ "a", "a/b", "a/b/c", "ax" }, names(assert(session:list "a*")))
    assert.same({ "a/b", "a/b/c" }, names(assert(session:list("*", { reference = "a/" }))))
    assert.same({ "a/b" }, names(assert(session:list "a/%")))
    assert.same({}, names(assert(session:list "nothing")))
    assert.same({ "INBOX" }, names(assert(session:list "INBOX")))
    local one = assert(session:list "a")[1]
    assert.equal("/", one.delimiter)
    assert.is_true(one.attributes["\\HasChildren"])
    assert.is_nil(one.special_use)
    local root = assert(session:list "")
    assert.equal("/", root[1].delimiter)
    assert.is_true(#assert(session:list()) >= 9)
    session:logout()
  end)

  real("tells the special use, and lists only those", function()
    local session = mailbox.open(dovecot)
    local all, only = assert(session:list()), assert(session:list("*", { special_use = true }))
    local uses = {}
    for _, box in ipairs(all) do if box.special_use then uses[box.name] = box.special_use end end
    assert.same({ Drafts = "\\Drafts", Sent = "\\Sent", Trash = "\\Trash", Junk = "\\Junk",
      Archive = "\\Archive" }, uses)
    assert.same(mailbox.keys(uses), names(only))
    session:logout()
  end)

  real("brings the figures along, with LIST-STATUS and without", function()
    for _, capability in ipairs { false, "IMAP4rev1 UIDPLUS" } do
      local server = capability and assert(mailbox.server { extra = "imap_capability = " .. capability .. "\n" })
        or dovecot
      local session = mailbox.open(server)
      assert.equal(not capability, session:has "LIST-STATUS")
      assert(session:append("INBOX", "Subject: x\n\nbody\n"))
      local list = assert(session:list("*", { status = { "messages", "unseen" } }))
      local seen = {}
      for _, box in ipairs(list) do seen[box.name] = box.status end
      assert.equal(1, seen.INBOX.messages)
      assert.equal(1, seen.INBOX.unseen)
      assert.equal(0, seen.Sent.messages)
      session:create "sub/child"
      assert(session:subscribe "sub/child")
      assert.equal(0, assert(session:list("sub/*", { subscribed = true, status = { "messages" } }))[1].status.messages)
      session:logout()
    end
  end)
end)

describe("IMAP status", function()
  real("tells every figure that Dovecot knows", function()
    local session = mailbox.open(dovecot)
    assert(session:append("INBOX", "Subject: x\n\nbody\n", { flags = { "\\Seen" } }))
    local status = assert(session:status("INBOX", { "messages", "recent", "uidnext", "uidvalidity", "unseen", "size",
      "highestmodseq" }))
    assert.equal("INBOX", status.name)
    assert.equal(1, status.messages)
    assert.equal(0, status.unseen)
    assert.equal(#"Subject: x\r\n\r\nbody\r\n", status.size)
    assert.is_number(status.highestmodseq)
    assert.is_number(status.recent)
    assert.equal(1, assert(session:status("INBOX", "messages")).messages)
    local none, err = session:status("nowhere", { "messages" })
    assert.is_nil(none)
    assert.equal("rejected", err.kind)
    assert.equal("STATUS", err.command)
    session:logout()
  end)
end)

describe("IMAP select", function()
  real("describes the mailbox, and follows it", function()
    local session, user = mailbox.with(dovecot, { "Subject: 1\n\none\n", "Subject: 2\n\ntwo\n" })
    local box = session.mailbox
    assert.equal("INBOX", box.name)
    assert.equal(2, box.exists)
    assert.equal(3, box.uidnext)
    assert.is_number(box.uidvalidity)
    assert.is_number(box.highestmodseq)
    assert.is_false(box.readonly)
    assert.is_true(box.flags["\\Seen"])
    assert.is_true(box.permanent_flags["\\*"])
    assert.is_number(box.recent)
    assert(dovecot:save(user, "Subject: 3\n\nthree\n"))
    assert.is_true(session:noop())
    assert.equal(3, session.mailbox.exists)
    local other = mailbox.open(dovecot, user)
    assert(other:select "INBOX")
    assert(other:store(1, { add = { "\\Deleted" } }))
    assert.is_true(other:expunge())
    assert.is_true(session:noop())
    assert.equal(2, session.mailbox.exists)
    assert.equal(2, other.mailbox.exists)
    other:logout()
    session:logout()
  end)

  real("read-only in both spellings: a store is refused", function()
    local session = mailbox.with(dovecot, { "Subject: 1\n\none\n" })
    for _, box in ipairs { assert(session:select("INBOX", { readonly = true })), assert(session:examine "INBOX") } do
      assert.is_true(box.readonly)
    end
    local ok, err = session:store(1, { add = { "\\Seen" } })
    assert.is_nil(ok)
    assert.equal("rejected", err.kind)
    assert.equal("STORE", err.command)
    session:logout()
  end)

  real("that fails leaves nothing selected", function()
    local session = mailbox.with(dovecot, { "Subject: 1\n\none\n" })
    local box, err = session:select "nowhere"
    assert.is_nil(box)
    assert.equal("rejected", err.kind)
    assert.equal("SELECT", err.command)
    assert.is_nil(session.mailbox)
    local found
    found, err = session:search()
    assert.is_nil(found)
    assert.equal("invalid", err.kind)
    session:logout()
  end)

  for _, capability in ipairs { false, "IMAP4rev1" } do
    real("with a uidvalidity of another life fails" .. (capability and ", without UNSELECT too" or ""), function()
      local server = capability and assert(mailbox.server { extra = "imap_capability = " .. capability .. "\n" })
        or dovecot
      local session = mailbox.with(server, { "Subject: 1\n\none\n" })
      local known = session.mailbox.uidvalidity
      assert(session:store(1, { add = { "\\Deleted" } }))
      assert.equal(known, assert(session:select("INBOX", { uidvalidity = known })).uidvalidity)
      local box, err = session:select("INBOX", { uidvalidity = known + 1 })
      assert.is_nil(box)
      assert.equal("uidvalidity", err.kind)
      assert.equal(known, err.uidvalidity)
      assert.is_nil(session.mailbox)
      assert.equal("authenticated", session:phase())
      local ok
      ok, err = session:store(1, { add = { "\\Seen" } })
      assert.is_nil(ok)
      assert.equal("invalid", err.kind)
      assert.equal(1, assert(session:status("INBOX", "messages")).messages) -- nothing was expunged on the way
      session:logout()
    end)
  end

  real("is left by unselect, which removes nothing, and by close_mailbox, which does", function()
    local lesser = assert(mailbox.server { extra = "imap_capability = IMAP4rev1\n" }) -- no UNSELECT
    for _, server in ipairs { dovecot, lesser } do
      local session = mailbox.with(server, { "Subject: 1\n\none\n", "Subject: 2\n\ntwo\n" })
      assert(session:store(1, { add = { "\\Deleted" } }))
      assert.is_true(session:unselect())
      assert.is_nil(session.mailbox)
      local found, err = session:search { all = true }
      assert.same({ nil, "invalid" }, { found, err.kind }) -- no mailbox is selected
      assert.equal(2, assert(session:select "INBOX").exists)
      assert.is_true(session:close_mailbox())
      assert.is_nil(session.mailbox)
      assert.equal(1, assert(session:select "INBOX").exists)
      assert.is_true(session:check())
      session:logout()
    end
  end)
end)

describe("IMAP mailbox calls", function()
  real("tell the server's refusals", function()
    local session = mailbox.open(dovecot)
    assert.is_true(session:create "twice")
    for call, arguments in pairs {
      create = { "twice" }, delete = { "nowhere" }, rename = { "nowhere", "x" }, select = { "nowhere" },
    } do
      local ok, err = session[call](session, (table.unpack or unpack)(arguments)) -- luacheck: ignore
      assert.is_nil(ok)
      assert.equal("rejected", err.kind)
      assert.equal(call:upper(), err.command)
      local codes = { create = "ALREADYEXISTS", delete = "NONEXISTENT", rename = "NONEXISTENT" }
      assert.equal(codes[call], err.response_code)
      assert.is_false(err.temporary)
      assert.is_string(err.text)
    end
    session:logout()
  end)

  real("work in tasks of the loop as on the main thread", function()
    local user = dovecot:add_user()
    loop.run(function()
      local session = mailbox.open(dovecot, user, "implicit")
      assert.is_true(session:create "in a task")
      assert.equal("in a task", assert(session:list "in*")[1].name)
      session:logout()
    end)
  end)

  real("raise for wrong arguments at the caller's line", function()
    local session = mailbox.open(dovecot)
    local function raises(fn, pattern) mailbox.raises("imap_mailbox_spec.lua", fn, pattern) end
    for _, call in ipairs { "select", "examine", "create", "delete", "subscribe", "unsubscribe", "rename", "status" } do
      raises(function() session[call](session) end, call .. ": a mailbox expected, got nil")
      raises(function() session[call](session, {}) end, call .. ": a mailbox expected, got table")
    end
    for _, call in ipairs { "select", "examine", "create", "delete", "subscribe", "unsubscribe" } do
      raises(function() session[call](session, "x", { tmeout = 1 }) end, "tmeout")
      raises(function() session[call](session, "x", { timeout = "1" }) end, "timeout")
      raises(function() session[call](session, "x", 5) end, "table of options")
    end
    raises(function() session:rename("a") end, "a new name")
    raises(function() session:rename("a", "b", { x = 1 }) end, "'x'")
    raises(function() session:status("a") end, "items")
    raises(function() session:status("a", {}) end, "items")
    raises(function() session:status("a", { "nothing" }) end, "nothing")
    raises(function() session:status("a", { "messages" }, { x = 1 }) end, "'x'")
    raises(function() session:list(5) end, "pattern")
    raises(function() session:list("*", { subscribd = true }) end, "subscribd")
    raises(function() session:list("*", { status = { "nothing" } }) end, "nothing")
    for _, call in ipairs { "unselect", "close_mailbox", "check", "capability" } do
      raises(function() session[call](session, { x = 1 }) end, call)
    end
    session:close()
  end)
end)
