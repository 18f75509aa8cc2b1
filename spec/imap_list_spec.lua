-- IMAP LIST with all that it can bring along, NAMESPACE, STATUS and special uses: against Dovecot and Cyrus, which
-- know different parts, and scripts for what neither knows.

local mailbox = require "spec.support.mailbox"
local scripted = require "spec.support.scripted"
local special_use = require "mail.imap.special_use"

local dovecot, no_dovecot = mailbox.server { plugins = "acl", imap_plugins = "imap_acl",
  extra = "plugin {\n  acl = vfile\n}\n" }
local bare, no_bare = mailbox.server { extra = "imap_capability = IMAP4rev1 UIDPLUS\n" }
local cyrus, no_cyrus = mailbox.cyrus()
local plain, no_plain = mailbox.cyrus {
  suppress = "LIST-EXTENDED LIST-STATUS LIST-MYRIGHTS LIST-METADATA SPECIAL-USE XLIST" }

local answer = mailbox.answer

local kinds = {
  { "Dovecot", dovecot, no_dovecot, rights = true, metadata = true },
  { "Dovecot without extensions", bare, no_bare },
  { "Cyrus", cyrus, no_cyrus, rights = true, metadata = true },
  { "Cyrus without LIST's extensions", plain, no_plain, rights = true, metadata = true },
}

local function by_name(list)
  local set = {}
  for _, box in ipairs(list) do
    assert.is_nil(set[box.name], box.name .. " twice")
    set[box.name] = box
  end
  return set
end

for _, kind in ipairs(kinds) do
  local name, server = kind[1], kind[2]
  local real = mailbox.real(it, pending, server, kind[3])

  describe("IMAP list, " .. name, function()
    real("takes several patterns; none is told twice", function()
      local session = mailbox.open(server)
      for _, box in ipairs { "P", "P/a", "P/b", "Q", "Gr\195\188n" } do assert(session:create(box)) end
      local found = by_name(assert(session:list { "P*", "Q", "P/a", "Gr*" }))
      assert.same({ "Gr\195\188n", "P", "P/a", "P/b", "Q" }, mailbox.keys(found))
      assert.same({ "P/a", "P/b" }, mailbox.keys(by_name(assert(session:list({ "%", "a" }, { reference = "P/" })))))
      assert.same({}, session:list { "no", "such" })
      session:logout()
    end)

    real("brings figures", function()
      local session = mailbox.open(server)
      local count = name == "Dovecot without extensions" and 70 or 8 -- more than are in flight at once
      for i = 1, count do assert(session:create("n" .. i)) end
      assert(session:append("n7", "Subject: x\n\nbody\n"))
      local list = assert(session:list("n*", { status = { "messages", "uidnext" } }))
      assert.equal(count, #list)
      for _, box in ipairs(list) do
        assert.equal(box.name, box.status.name)
        assert.equal(box.name == "n7" and 1 or 0, box.status.messages)
        assert.is_number(box.status.uidnext)
      end
      session:logout()
    end)

    real(kind.rights and "brings rights" or "says that there are no rights to bring", function()
      local session = mailbox.open(server)
      local list, err = session:list({ "INBOX", "Trash" }, { rights = true })
      if kind.rights then
        assert(list, tostring(err))
        local found = by_name(list)
        assert.matches("^l?r", found.INBOX.rights)
        assert.matches("^l?r", found.Trash.rights)
      else
        assert.is_nil(list)
        assert.equal("unsupported", err.kind)
      end
      session:logout()
    end)

    real(kind.metadata and "brings annotations" or "says that there are no annotations", function()
      local session = mailbox.open(server)
      local entries = { "/private/comment", "/shared/comment" }
      if kind.metadata then
        assert(session:setmetadata("Trash", { ["/private/comment"] = 'a "rubbish" bin\\' }))
        local found = by_name(assert(session:list({ "INBOX", "Trash" }, { metadata = entries })))
        assert.same({}, found.INBOX.metadata)
        assert.same({ ["/private/comment"] = 'a "rubbish" bin\\' }, found.Trash.metadata)
      else
        local list, err = session:list("*", { metadata = entries })
        assert.is_nil(list)
        assert.equal("unsupported", err.kind)
      end
      session:logout()
    end)

    real("knows the special uses", function()
      local session = mailbox.open(server)
      assert.same({ ["\\Drafts"] = "Drafts", ["\\Sent"] = "Sent", ["\\Trash"] = "Trash", ["\\Junk"] = "Junk",
        ["\\Archive"] = "Archive" }, session:special_mailboxes())
      local only = by_name(assert(session:list("*", { special_use = true })))
      assert.same({ "Archive", "Drafts", "Junk", "Sent", "Trash" }, mailbox.keys(only))
      assert.is_nil(only.Sent.guessed) -- both tell unasked
      session:logout()
    end)

    real("tells subscriptions" .. (name:find "without" and "" or ", and children that are subscribed"), function()
      local session = mailbox.open(server)
      for _, box in ipairs { "deep", "deep/er", "other" } do assert(session:create(box)) end
      assert(session:subscribe "deep/er")
      local found = by_name(assert(session:list("*", { subscribed = true })))
      assert.is_table(found["deep/er"])
      assert.is_nil(found.other)
      local list, err = session:list("%", { subscribed = true, recursive = true })
      if session:has "LIST-EXTENDED" then
        assert.is_true(by_name(list).deep.child_info.SUBSCRIBED)
      else
        assert.is_nil(list)
        assert.equal("unsupported", err.kind)
      end
      session:logout()
    end)

    real("tells the namespaces", function()
      local session = mailbox.open(server)
      local spaces = assert(session:namespace())
      assert.equal("", spaces.personal[1].prefix)
      assert.equal("/", spaces.personal[1].delimiter)
      assert.is_table(spaces.other)
      assert.is_table(spaces.shared)
      if name:find "Cyrus" then
        assert.same({ { prefix = "Other Users/", delimiter = "/" } }, spaces.other)
        assert.same({ { prefix = "Shared Folders/", delimiter = "/" } }, spaces.shared)
      end
      session:logout()
    end)
  end)
end

describe("IMAP status", function()
  local real = mailbox.real(it, pending, cyrus, no_cyrus)
  real("tells what Cyrus knows, and says what it does not know before it asks", function()
    local session = mailbox.open(cyrus)
    assert(session:append("INBOX", "Subject: x\n\nbody\n"))
    local figures = assert(session:status("INBOX", { "messages", "size", "highestmodseq", "appendlimit", "unseen" }))
    assert.equal(1, figures.messages)
    assert.equal(#"Subject: x\r\n\r\nbody\r\n", figures.size)
    assert.is_number(figures.highestmodseq)
    assert.equal(session.append_limit, figures.appendlimit)
    assert.is_number(figures.appendlimit)
    assert.equal(session.append_limit, assert(session:status("INBOX", "appendlimit")).appendlimit)
    local none, err = session:status("INBOX", { "deleted" })
    assert.is_nil(none)
    assert.equal("unsupported", err.kind)
    assert.equal("STATUS", err.command)
    none, err = session:list("*", { status = { "deleted_storage" } })
    assert.is_nil(none)
    assert.equal("unsupported", err.kind)
    session:logout()
  end)

  it("reads every item of the extensions", function()
    scripted.run(function(peer)
      mailbox.admit(peer, "OBJECTID QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE APPENDLIMIT STATUS=SIZE CONDSTORE")
      answer(peer, "^STATUS INBOX %(DELETED DELETED%-STORAGE APPENDLIMIT MAILBOXID SIZE HIGHESTMODSEQ%)$",
        "* STATUS INBOX (DELETED 4 DELETED-STORAGE 9 APPENDLIMIT 5 MAILBOXID (F1) SIZE 7 HIGHESTMODSEQ 3 "
        .. "X-NEW (a))\r\n")
      answer(peer, "^STATUS INBOX %(APPENDLIMIT%)$", "* STATUS INBOX (APPENDLIMIT NIL)\r\n")
      answer(peer, "^STATUS INBOX %(APPENDLIMIT%)$", "* STATUS other (APPENDLIMIT 5)\r\n")
      peer:rest()
    end, function(port)
      local session = assert(mailbox.dial(port))
      local items = { "deleted", "deleted_storage", "appendlimit", "mailboxid", "size", "highestmodseq" }
      assert.same({ name = "INBOX", deleted = 4, deleted_storage = 9, appendlimit = 5, mailboxid = "F1", size = 7,
        highestmodseq = 3, ["x-new"] = { "a" } }, session:status("INBOX", items))
      assert.same({ name = "INBOX" }, session:status("INBOX", "appendlimit"))
      session:status("INBOX", "appendlimit") -- figures of another mailbox do no harm
      mailbox.raises("imap_list_spec.lua", function() session:status("INBOX", { "nonsense" }) end, "unknown item")
      mailbox.raises("imap_list_spec.lua", function() session:status("INBOX", {}) end, "items")
      session:close()
    end)
  end)
end)

describe("IMAP create", function()
  local real = mailbox.real(it, pending, cyrus, no_cyrus)
  real("gives a special use, and tells the mailbox's id", function()
    local session = mailbox.open(cyrus)
    local ok, id = assert(session:create("Wichtig", { special_use = "\\important" }))
    assert.is_true(ok)
    assert.matches("^%w+$", id)
    assert.equal("\\Important", assert(session:list "Wichtig")[1].special_use)
    local none, err = session:create("Second", { special_use = "\\Drafts" })
    assert.is_nil(none)
    assert.equal("rejected", err.kind)
    mailbox.raises("imap_list_spec.lua", function() session:create("x", { special_use = "Drafts" }) end, "special use")
    session:logout()
  end)
  mailbox.real(it, pending, dovecot, no_dovecot)("says that Dovecot gives none", function()
    local session = mailbox.open(dovecot)
    local none, err = session:create("x", { special_use = "\\Drafts" })
    assert.is_nil(none)
    assert.equal("unsupported", err.kind)
    assert.same({}, session:list "x")
    session:logout()
  end)
end)

-- --- scripts ----------------------------------------------------------------------------------------

local with = mailbox.admitted

describe("IMAP list", function()
  it("uses XLIST where there is nothing better", function()
    with("XLIST", function(peer)
      answer(peer, '^XLIST "" "?%*"?$', '* XLIST (\\HasNoChildren \\Inbox) "/" "Posteingang"\r\n'
        .. '* XLIST (\\HasNoChildren \\AllMail) "/" "[Gmail]/Alle"\r\n* XLIST (\\Spam) "/" "[Gmail]/Spam"\r\n'
        .. '* XLIST (\\Starred) "/" "[Gmail]/Markiert"\r\n* XLIST () "/" "Sent"\r\n')
    end, function(session)
      local found = by_name(assert(session:list()))
      assert.equal("\\All", found["[Gmail]/Alle"].special_use)
      assert.equal("\\Junk", found["[Gmail]/Spam"].special_use)
      assert.equal("\\Flagged", found["[Gmail]/Markiert"].special_use)
      assert.is_nil(found.Sent.special_use)
    end)
  end)

  it("guesses the uses where the server knows none", function()
    with("", function(peer)
      for _ = 1, 2 do
        answer(peer, "^LIST ", '* LIST () "/" INBOX\r\n* LIST () "/" Gesendet\r\n* LIST () "/" x/Papierkorb\r\n')
      end
    end, function(session)
      local found = by_name(assert(session:list("*", { special_use = true })))
      assert.same({ "Gesendet", "x/Papierkorb" }, mailbox.keys(found))
      assert.equal("\\Sent", found.Gesendet.special_use)
      assert.is_true(found.Gesendet.guessed)
      assert.same({ ["\\Sent"] = "Gesendet", ["\\Trash"] = "x/Papierkorb" }, session:special_mailboxes())
    end)
  end)

  it("asks for everything in one command where the server can", function()
    with("LIST-EXTENDED LIST-STATUS LIST-MYRIGHTS LIST-METADATA METADATA ACL SPECIAL-USE", function(peer)
      answer(peer, '^LIST %(SUBSCRIBED REMOTE RECURSIVEMATCH%) "" %("?%%"? "?x%*"?%) RETURN %(CHILDREN SPECIAL%-USE '
        .. 'SUBSCRIBED STATUS %(MESSAGES%) MYRIGHTS METADATA %(/shared/comment "/private/x y"%)%)$',
        '* LIST (\\Subscribed \\Remote) "/" a (CHILDINFO ("SUBSCRIBED") X-NEW (1 (2)))\r\n'
        .. '* STATUS a (MESSAGES 3)\r\n* MYRIGHTS a lr\r\n* METADATA a (/shared/comment "hi" "/private/x y" NIL)\r\n'
        .. '* MYRIGHTS elsewhere lr\r\n* STATUS elsewhere (MESSAGES 3)\r\n* METADATA elsewhere /shared/comment\r\n'
        .. '* LIST (\\NonExistent) "/" x\r\n')
    end, function(session)
      local news
      session:on("metadata", function(event) news = event end)
      local list = assert(session:list({ "%", "x*" }, { subscribed = true, remote = true, recursive = true,
        status = { "messages" }, rights = true, metadata = { "/shared/comment", "/private/x y" } }))
      assert.equal(2, #list)
      assert.same({ name = "a", delimiter = "/", attributes = { ["\\Subscribed"] = true, ["\\Remote"] = true },
        child_info = { SUBSCRIBED = true }, status = { name = "a", messages = 3 }, rights = "lr",
        metadata = { ["/shared/comment"] = "hi" } }, list[1])
      assert.equal("x", list[2].name)
      assert.same({ "/shared/comment" }, news.entries)
      assert.equal("elsewhere", news.mailbox)
    end)
  end)

  it("goes on where one mailbox of many is refused, and not where the session dies", function()
    with("", function(peer)
      answer(peer, "^LIST ", '* LIST () "/" a\r\n* LIST () "/" b\r\n* LIST (\\Noselect) "/" c\r\n')
      local a = mailbox.command(peer, "^STATUS a ")
      local b = mailbox.command(peer, "^STATUS b ")
      peer:send('* STATUS b (MESSAGES 2)\r\n' .. a .. " NO [NOPERM] not yours\r\n" .. b .. " OK done\r\n")
      answer(peer, "^LIST ", '* LIST () "/" a\r\n* LIST () "/" b\r\n')
      mailbox.command(peer, "^STATUS a ")
      peer:close()
    end, function(session)
      local found = by_name(assert(session:list("*", { status = { "messages" } })))
      assert.is_nil(found.a.status)
      assert.equal(2, found.b.status.messages)
      assert.is_nil(found.c.status)
      local list, err = session:list("*", { status = { "messages" } })
      assert.is_nil(list)
      assert.equal("closed", err.kind)
    end)
  end)

  it("survives whatever stands in the answers", function()
    with("LIST-EXTENDED", function(peer)
      answer(peer, "^LIST ", '* LIST (\\X) NIL "" (OLDNAME (NIL))\r\n* LIST () "" a (CHILDINFO NIL OLDNAME x)\r\n'
        .. '* LIST () "/" a (STATUS (5) RIGHTS x SPECIAL_USE y)\r\n* MYRIGHTS\r\n* METADATA (x)\r\n* STATUS a ()\r\n'
        .. '* LIST () "/" "&bad"\r\n* QUOTA x\r\n* NAMESPACE x\r\n* ACL\r\n* LISTRIGHTS "\r\n')
    end, function(session)
      local list = assert(session:list())
      assert.same({ "", "&bad", "a" }, mailbox.keys(by_name(list)))
      assert.equal("x", by_name(list).a.old_name)
      assert.is_nil(by_name(list).a.rights)
    end)
  end)

  it("cannot be asked for what the server lacks, nor for nonsense", function()
    with("", function(peer) answer(peer, "^NOOP$") end, function(session)
      for _, options in ipairs { { remote = true }, { subscribed = true, recursive = true }, { rights = true },
          { metadata = { "/shared/x" } }, { status = { "size" } } } do
        local list, err = session:list("*", options)
        assert.is_nil(list)
        assert.equal("unsupported", err.kind)
        assert.equal("LIST", err.command)
      end
      mailbox.raises("imap_list_spec.lua", function() session:list {} end, "pattern")
      mailbox.raises("imap_list_spec.lua", function() session:list { 5 } end, "pattern")
      mailbox.raises("imap_list_spec.lua", function() session:list("*", { recursive = true }) end, "subscribed")
      for _, bad in ipairs { "x", "/shared/a\r\nb" } do
        mailbox.raises("imap_list_spec.lua", function() session:list("*", { metadata = { bad } }) end, "entry")
      end
      mailbox.raises("imap_list_spec.lua", function() session:list("*", { stat = {} }) end, "stat")
      assert.is_true(session:noop())
    end)
  end)
end)

describe("IMAP namespace", function()
  it("is one of the user's own where the server has no NAMESPACE", function()
    with("", function(peer) answer(peer, '^LIST "" ""$', '* LIST (\\Noselect) "." ""\r\n') end, function(session)
      assert.same({ personal = { { prefix = "", delimiter = "." } }, other = {}, shared = {} }, session:namespace())
    end)
  end)

  it("has its prefixes in UTF-8, and is an error where the answer is none", function()
    with("NAMESPACE", function(peer)
      answer(peer, "^NAMESPACE$", '* NAMESPACE (("" "/")) (("&AMQ-ndre/" "/" "X" ("y"))) NIL\r\n')
      answer(peer, "^NAMESPACE$", "* NAMESPACE what\r\n")
      answer(peer, "^NAMESPACE$")
      answer(peer, "^NOOP$")
    end, function(session)
      assert.same({ { prefix = "\195\132ndre/", delimiter = "/", extensions = { X = { "y" } } } },
        assert(session:namespace()).other)
      for _ = 1, 2 do
        local none, err = session:namespace()
        assert.is_nil(none)
        assert.equal("protocol", err.kind)
      end
      assert.is_true(session:noop())
    end)
  end)
end)

describe("IMAP special uses", function()
  local function guess(names, delimiter)
    local boxes, uses = {}, {}
    for i, name in ipairs(names) do boxes[i] = { name = name, delimiter = delimiter or "/", attributes = {} } end
    special_use.guess(boxes)
    for _, box in ipairs(boxes) do if box.special_use then uses[box.special_use] = box.name end end
    return uses
  end

  it("are guessed in many languages", function()
    local languages = {
      { "Entw\195\188rfe", "Gesendete Elemente", "Gel\195\182schte Elemente", "Junk-E-Mail", "Archiv" },
      { "Brouillons", "\195\137l\195\169ments envoy\195\169s", "Corbeille", "Courrier ind\195\169sirable", "Archives" },
      { "Borradores", "Enviados", "Papelera", "Correo no deseado", "Archivo" },
      { "Черновики", "Отправленные", "Удаленные", "Спам", "Архив" },
      { "草稿箱", "已发送", "已删除", "垃圾邮件", "归档" }, { "下書き", "送信済みアイテム", "ゴミ箱", "迷惑メール", "アーカイブ" },
      { "Szkice", "Elementy wysłane", "Kosz", "Wiadomości-śmieci", "Archiwum" },
      { "Utkast", "Skickat", "Papperskorgen", "Skräppost", "Arkiv" },
      { "DRAFTS", "Sent Messages", "Deleted Messages", "Bulk Mail", "Archive" },
    }
    for _, names in ipairs(languages) do
      assert.same({ ["\\Drafts"] = names[1], ["\\Sent"] = names[2], ["\\Trash"] = names[3], ["\\Junk"] = names[4],
        ["\\Archive"] = names[5] }, guess(names))
      local below = {}
      for i, name in ipairs(names) do below[i] = "INBOX." .. name end
      assert.equal(below[2], guess(below, ".")["\\Sent"])
    end
  end)

  it("go to one mailbox each, the nearest to the top, and to none that cannot be opened", function()
    assert.same({ ["\\Sent"] = "Sent Items" }, guess { "old/Sent", "Sent Items", "a/b/Sent", "Sent/x" })
    local boxes = { { name = "Sent", attributes = { ["\\Noselect"] = true } }, { name = "x/Sent", delimiter = "/",
      attributes = {} } }
    special_use.guess(boxes)
    assert.is_nil(boxes[1].special_use)
    assert.equal("\\Sent", boxes[2].special_use)
    assert.is_true(boxes[2].guessed)
    assert.same({}, guess { "INBOX", "INBOX/", "", "Sentinel", "Presents" })
  end)
end)
