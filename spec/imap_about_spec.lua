-- IMAP: what is said about a mailbox beside its messages: quotas, access rights, annotations. Against Dovecot and
-- Cyrus, and scripts for hostile answers.

local imap = require "mail.imap"
local mailbox = require "spec.support.mailbox"

local dovecot, no_dovecot = mailbox.server { plugins = "quota acl", imap_plugins = "imap_quota imap_acl",
  extra = "plugin {\n  quota = count:User quota\n  quota_vsizes = yes\n  quota_rule = *:storage=64K:messages=50\n"
    .. "  acl = vfile\n}\n" }
local cyrus, no_cyrus = mailbox.cyrus()

local on_dovecot = mailbox.real(it, pending, dovecot, no_dovecot)
local on_cyrus = mailbox.real(it, pending, cyrus, no_cyrus)
local answer = mailbox.answer

local with = mailbox.admitted

local function admin() return assert(imap.connect(mailbox.options(cyrus, cyrus.admin, "implicit"))) end

describe("IMAP quota", function()
  on_dovecot("is told by Dovecot, passed, and told as what it is", function()
    local session = mailbox.open(dovecot)
    local quotas = assert(session:quota())
    assert.equal(1, #quotas)
    assert.equal("User quota", quotas[1].root)
    assert.same({ usage = 0, limit = 64 }, quotas[1].resources.storage)
    assert.same({ usage = 0, limit = 50 }, quotas[1].resources.message)
    assert.same(quotas[1], session:getquota "User quota")
    local roots, same = session:getquotaroot "INBOX"
    assert.same({ "User quota" }, roots)
    assert.same(quotas, same)
    assert(session:append("INBOX", "Subject: x\n\n" .. ("x"):rep(40000) .. "\n"))
    assert.equal(40, assert(session:getquota "User quota").resources.storage.usage)
    local none, err = session:append("INBOX", "Subject: x\n\n" .. ("x"):rep(40000) .. "\n")
    assert.is_nil(none)
    assert.equal("OVERQUOTA", err.response_code)
    none, err = session:getquota "nowhere"
    assert.is_nil(none)
    assert.is_truthy(err.kind == "rejected" or err.kind == "protocol")
    none, err = session:setquota("User quota", { storage = 1 })
    assert.is_nil(none)
    assert.equal("rejected", err.kind)
    session:logout()
  end)

  on_cyrus("is set by Cyrus's administrator and felt by the user", function()
    local session, user = mailbox.open(cyrus)
    local boss = admin()
    local root = "user/" .. user.name
    local set = assert(boss:setquota(root, { storage = 64, message = 3 }))
    assert.equal(root, set.root)
    assert.same({ usage = 0, limit = 64 }, assert(boss:getquota(root)).resources.storage)
    local mine = assert(session:quota "Trash")[1]
    assert.same({ usage = 0, limit = 64 }, mine.resources.storage)
    assert.same({ usage = 0, limit = 3 }, mine.resources.message)
    for _ = 1, 3 do assert(session:append("INBOX", "Subject: x\n\nbody\n")) end
    local none, err = session:append("INBOX", "Subject: x\n\nbody\n")
    assert.is_nil(none)
    assert.matches("[Oo]ver quota", err.text) -- without a code
    none, err = session:setquota(mine.root, { storage = 9999 })
    assert.is_nil(none)
    assert.equal("rejected", err.kind)
    assert(boss:setquota(root, {}))
    assert.same({}, assert(boss:getquota(root)).resources)
    assert(session:append("INBOX", "Subject: x\n\nbody\n"))
    boss:logout()
    session:logout()
  end)

  it("reads odd answers and sends only sense", function()
    with("QUOTA", function(peer)
      answer(peer, "^GETQUOTAROOT INBOX$", '* QUOTAROOT INBOX\r\n* QUOTA "" (STORAGE 5)\r\n* QUOTA\r\n* QUOTAROOT\r\n')
      answer(peer, "^GETQUOTAROOT INBOX$", '* QUOTAROOT INBOX a a\r\n* QUOTA a ()\r\n* QUOTA a (STORAGE 1 2)\r\n')
      answer(peer, '^GETQUOTA ""$')
      answer(peer, '^SETQUOTA "" %(MESSAGE 0 STORAGE 512%)$')
    end, function(session)
      assert.same({}, session:quota())
      assert.same({ { root = "a", resources = {} } }, session:quota())
      local none, err = session:getquota ""
      assert.is_nil(none)
      assert.equal("protocol", err.kind)
      assert.same({ root = "", resources = {} }, session:setquota("", { storage = 512, message = 0 }))
      for _, bad in ipairs { { storage = -1 }, { storage = 1.5 }, { storage = "x" }, { ["a b"] = 1 }, { 5 } } do
        mailbox.raises("imap_about_spec.lua", function() session:setquota("", bad) end, "setquota")
      end
    end)
  end)

  it("is not set where the server says that it has no SETQUOTA", function()
    with("QUOTA QUOTA=RES-STORAGE", function(peer) answer(peer, "^NOOP$") end, function(session)
      local none, err = session:setquota("", { storage = 1 })
      assert.is_nil(none)
      assert.equal("unsupported", err.kind)
      assert.is_true(session:noop())
    end)
    with("", function() end, function(session)
      for _, call in ipairs { "quota", "getquota", "getquotaroot" } do
        local none, err = session[call](session, "INBOX")
        assert.is_nil(none)
        assert.equal("unsupported", err.kind)
      end
    end)
  end)
end)

describe("IMAP access rights", function()
  local function rights(server, friend)
    local session, user = mailbox.open(server)
    assert(session:create "Common")
    local mine = assert(session:myrights "Common")
    for right in ("lrswi"):gmatch "." do assert.is_truthy(mine:find(right)) end
    assert.equal(mine:len(), assert(session:acl "Common")[user.name]:len())
    assert.is_true(session:setacl("Common", friend, "lr"))
    assert.equal("lr", assert(session:acl "Common")[friend])
    assert.is_true(session:setacl("Common", friend, "+s"))
    assert.is_truthy(assert(session:acl "Common")[friend]:find "s")
    assert.is_true(session:setacl("Common", friend, "-r"))
    assert.is_nil(assert(session:acl "Common")[friend]:find "r")
    local possible = assert(session:listrights("Common", friend))
    assert.is_string(possible.required)
    assert.is_true(#possible.optional > 5)
    assert.is_true(session:deleteacl("Common", friend))
    assert.is_nil(assert(session:getacl "Common")[friend])
    local none, err = session:setacl("nowhere at all", friend, "lr")
    assert.is_nil(none)
    assert.equal("rejected", err.kind)
    session:logout()
  end
  on_dovecot("are read and changed at Dovecot", function() rights(dovecot, dovecot:add_user().name) end)
  on_cyrus("are read and changed at Cyrus", function() rights(cyrus, cyrus:add_user().name) end)

  on_cyrus("let another in", function()
    local session, user = mailbox.open(cyrus)
    local other, friend = mailbox.open(cyrus)
    local theirs = "Other Users/" .. user.name .. "/Shared"
    assert(session:create "Shared")
    assert(session:append("Shared", "Subject: for you\n\nbody\n"))
    assert.is_nil((other:select(theirs)))
    assert(session:setacl("Shared", friend.name, "lrs"))
    assert.equal(1, assert(other:select(theirs)).exists)
    assert.equal("lrs", other:myrights(theirs))
    local none, err = other:append(theirs, "Subject: x\n\nbody\n")
    assert.is_nil(none)
    assert.equal("rejected", err.kind)
    session:logout()
    other:logout()
  end)

  it("send only sense, and read odd answers", function()
    with("ACL", function(peer)
      answer(peer, "^GETACL INBOX$", "* ACL INBOX ann\r\n")
      answer(peer, "^GETACL INBOX$", '* ACL INBOX "" lr ann {2}\r\nlr -bob ""\r\n')
      answer(peer, "^MYRIGHTS INBOX$", "* MYRIGHTS INBOX\r\n")
      answer(peer, "^LISTRIGHTS INBOX ann$", '* LISTRIGHTS INBOX ann ""\r\n')
    end, function(session)
      local none, err = session:acl "INBOX"
      assert.is_nil(none)
      assert.equal("protocol", err.kind)
      local acl = assert(session:acl "INBOX")
      assert.equal("lr", acl.ann)
      assert.equal("", acl["-bob"])
      none, err = session:myrights "INBOX"
      assert.is_nil(none)
      assert.equal("protocol", err.kind)
      assert.same({ required = "", optional = {} }, session:listrights("INBOX", "ann"))
      for _, bad in ipairs { "l r", "LR", "++l", "l\r\n", "é" } do
        mailbox.raises("imap_about_spec.lua", function() session:setacl("INBOX", "ann", bad) end, "rights")
      end
    end)
    with("", function() end, function(session)
      for call, argument in pairs { acl = false, myrights = false, deleteacl = "ann", listrights = "ann" } do
        local none, err = session[call](session, "INBOX", argument or nil)
        assert.is_nil(none)
        assert.equal("unsupported", err.kind)
      end
    end)
  end)
end)

describe("IMAP annotations", function()
  local function annotations(server, own)
    local session = mailbox.open(server)
    local odd = 'a "b" \\ c\r\nd'
    assert.is_true(session:setmetadata("INBOX", { [own .. "a"] = odd, [own .. "b"] = "x", [own .. "b/c"] = "" }))
    assert.same({ [own .. "a"] = odd, [own .. "b"] = "x" }, session:getmetadata("INBOX", { own .. "a", own .. "b" }))
    assert.same({ [own .. "a"] = odd }, session:getmetadata("INBOX", own .. "a"))
    local below = assert(session:getmetadata("INBOX", own:sub(1, -2), { depth = "infinity" }))
    assert.equal(odd, below[own .. "a"])
    local short, more = assert(session:getmetadata("INBOX", { own .. "a", own .. "b" }, { max_size = 3 }))
    assert.same({ [own .. "b"] = "x" }, short)
    assert.equal(#odd, more.longentries)
    assert.is_true(session:setmetadata("INBOX", { [own .. "a"] = false }))
    assert.same({}, session:getmetadata("INBOX", own .. "a"))
    local long = ("wort "):rep(2000)
    assert.is_true(session:setmetadata("INBOX", { [own .. "b"] = long }))
    assert.equal(long, assert(session:getmetadata("INBOX", own .. "b"))[own .. "b"])
    session:logout()
  end
  on_dovecot("are written and read at Dovecot", function() annotations(dovecot, "/private/vendor/example/") end)
  on_cyrus("are written and read at Cyrus", function() annotations(cyrus, "/private/vendor/example/") end)

  it("are news where their names come alone", function()
    with("METADATA", function(peer)
      answer(peer, '^GETMETADATA %(MAXSIZE 9 DEPTH 1%) "" %("/shared/a b" /private/c%)$',
        '* METADATA "" /shared/x\r\n* METADATA "" ("/shared/a b" NIL /private/c {3}\r\na\0b)\r\n'
        .. "* METADATA odd\r\n* METADATA\r\n* 7 EXISTS\r\n")
      answer(peer, "^NOOP$", "* METADATA &APw- /shared/comment /private/comment\r\n")
    end, function(session)
      local heard, exists = {}, nil
      session:on("metadata", function(event) heard[#heard + 1] = event end)
      session:on("exists", function(event) exists = event.exists end)
      assert.same({ ["/private/c"] = "a\0b" },
        session:getmetadata("", { "/shared/a b", "/private/c" }, { max_size = 9, depth = 1 }))
      assert.equal(7, exists)
      assert.is_true(session:noop())
      assert.same({ "/shared/x" }, heard[1].entries)
      assert.equal("", heard[1].mailbox)
      assert.same({ type = "metadata", mailbox = "\195\188", entries = { "/shared/comment", "/private/comment" } },
        heard[#heard])
    end)
  end)

  it("are refused as what they are, or before they are sent", function()
    with("METADATA-SERVER LITERAL+", function(peer)
      local tag = mailbox.command(peer, '^SETMETADATA "" %(/private/a NIL /shared/b ~{3%+}$')
      assert.equal("a\0b)\r\n", peer:through ")\r\n")
      peer:send(tag .. " NO [METADATA MAXSIZE 2] too long\r\n")
    end, function(session)
      local ok, err = session:setmetadata("", { ["/shared/b"] = "a\0b", ["/private/a"] = false })
      assert.is_nil(ok)
      assert.equal("METADATA", err.response_code)
      assert.same({ maxsize = 2 }, err.response_value)
      ok, err = session:setmetadata("INBOX", { ["/shared/b"] = "x" })
      assert.is_nil(ok)
      assert.equal("unsupported", err.kind)
      for _, bad in ipairs { "comment", "/other/x", "/shared//x", "/shared/x/", "/shared/*", "/shared/a\r\nb",
          "/shared/\195\188" } do
        mailbox.raises("imap_about_spec.lua", function() session:getmetadata("", bad) end, "entry")
        mailbox.raises("imap_about_spec.lua", function() session:setmetadata("", { [bad] = "x" }) end, "entry")
      end
      mailbox.raises("imap_about_spec.lua", function() session:getmetadata("", "/shared/x", { depth = 2 }) end, "depth")
      mailbox.raises("imap_about_spec.lua", function() session:getmetadata("", {}) end, "entries")
      mailbox.raises("imap_about_spec.lua", function() session:setmetadata("", {}) end, "entries")
      mailbox.raises("imap_about_spec.lua", function() session:setmetadata("", { ["/shared/x"] = 5 }) end, "string")
    end)
  end)
end)

describe("IMAP mailbox referrals", function()
  it("are reported and not followed (RFC 2193)", function()
    with("MAILBOX-REFERRALS", function(peer)
      answer(peer, "^SELECT SHARED/FOO$", nil,
        "NO [REFERRAL imap://user;AUTH=*@server2.example/SHARED/FOO] Remote mailbox")
      answer(peer, "^NOOP$")
    end, function(session)
      local box, err = session:select "SHARED/FOO"
      assert.is_nil(box)
      assert.equal("REFERRAL", err.response_code)
      assert.equal("imap://user;AUTH=*@server2.example/SHARED/FOO", err.referral)
      assert.is_true(session:noop())
    end)
  end)
end)
