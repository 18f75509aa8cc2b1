-- mail.imap.account: against Dovecot, and against scripted servers that refuse, die and count.

local imap = require "mail.imap"
local limits = require "mail.imap.account.limits"
local loop = require "mail.loop"
local methods = require "mail.imap.account.methods"
local mailbox = require "spec.support.mailbox"
local scripted = require "spec.support.scripted"

local dovecot, missing = mailbox.server()
local real = mailbox.real(it, pending, dovecot, missing)

local function raises(fn, pattern) mailbox.raises("imap_account_spec.lua", fn, pattern) end

-- An account of a new user of Dovecot with these messages in INBOX, inside the library's loop.
local function with(texts, more, fn)
  loop.run(function()
    local session, user = mailbox.with(dovecot, texts)
    local account = imap.account(mailbox.options(dovecot, user, "none", more))
    fn(account, session, user)
    account:close()
    session:close()
  end)
end

local function letters(n)
  local list = {}
  for i = 1, n do list[i] = ("Subject: %d\n\nbody %d\n"):format(i, i) end
  return list
end

-- All at once; what each returned.
local function each(n, fn)
  local tasks, results = {}, {}
  for i = 1, n do tasks[i] = loop.spawn(fn, i) end
  for i = 1, n do results[i] = tasks[i]:join() end
  return results
end

-- Asks for the figures of INBOX, and keeps the link long enough for others to want one, too.
local function busily(account)
  return function()
    return account:with(function(session)
      loop.sleep(0.01)
      return assert(session:status("INBOX", { "messages" }))
    end)
  end
end

describe("IMAP account on a real server", function()
  real("opens links as they are needed, and no more than it may", function()
    with(letters(3), { links = 3 }, function(account)
      assert.equal(0, account:stats().links)
      assert.equal("INBOX", assert(account:list("INBOX"))[1].name)
      assert.equal(1, account:stats().links)
      for _ = 1, 5 do assert.equal(3, assert(account:status("INBOX", { "messages" })).messages) end
      assert.equal(1, account:stats().links)
      for _, status in ipairs(each(20, busily(account))) do assert.equal(3, status.messages) end
      local stats = account:stats()
      assert.same({ 3, 3, 0, 0, 0 }, { stats.links, stats.opened, stats.busy, stats.waiting, stats.lost })
      assert.matches("^mail%.imap%.account %(localhost:%d+, 3 links%)$", tostring(account))
    end)
  end)

  real("has every method that needs no mailbox", function()
    with({}, {}, function(account)
      assert.is_true(account:create "Work")
      assert.equal(1, assert(account:append("Work", "Subject: x\n\n")).uid)
      assert.is_true(account:rename("Work", "Home"))
      assert.is_true(account:subscribe "Home")
      assert.equal("Home", assert(account:list("*", { subscribed = true }))[1].name)
      assert.is_table(account:namespace())
      assert.is_table(account:capability())
      assert.is_true(account:has "IMAP4rev1")
      assert.is_false(account:has "NONE-SUCH")
      assert.is_true(account:noop())
      local none, err = account:status("Nowhere", { "messages" })
      assert.is_nil(none)
      assert.equal("rejected", err.kind)
      assert.is_true(account:delete "Home")
    end)
  end)

  real("works on mailboxes: what one link finds another may use", function()
    with(letters(9), { links = 3 }, function(account)
      assert.is_true(account:create "Done")
      local inbox = assert(account:open "inbox")
      assert.equal("INBOX", inbox.name)
      assert.equal(9, inbox.box.exists)
      local found = each(6, function(i) return assert(inbox:search { subject = tostring(i) }) end)
      local others = each(3, function(i)
        return account:with("INBOX", { readonly = true }, function(session)
          loop.sleep(0.02) -- the next one takes another link
          return session:search { uid = i }
        end)
      end)
      assert.equal(3, account:stats().links)
      assert.equal("1:3", tostring(others[1] + others[2] + others[3]))
      assert.equal(3, #assert(inbox:fetch_all(others[1] + others[2] + others[3], { "uid" })))
      local all = found[1] + found[2] + found[3]
      assert.equal("1:3", tostring(all))
      assert.equal("1:3", assert(inbox:copy(all, "Done")).from)
      assert(inbox:store(all, { add = { "\\Seen" } }, { silent = true }))
      assert.equal("1:3", tostring(assert(inbox:search { seen = true })))
      assert.equal("4", assert(found[4]:move "Done").from)
      assert.is_true(assert((found[5] + found[6]):delete()).expunged)
      assert.equal(6, assert(inbox:status { "messages" }).messages)
      assert.equal(10, assert(inbox:append "Subject: ten\n\n").uid)
      assert.equal(3, assert((inbox:messages { seen = true } - { subject = "99" }):count()))
      assert.equal("10", assert((inbox:messages { subject = "ten" }):move "Done").from)
      assert.equal(5, assert(account:status("Done", { "messages" })).messages)
      local m = assert(inbox:fetch_all("1:3", { "uid", "envelope" }))
      assert.same({ 1, "2" }, { m[1].uid, m[2].envelope.subject })
    end)
  end)

  real("lets a loop over a fetch call what it likes, over one link too", function()
    with(letters(5), { links = 1 }, function(account)
      assert.is_true(account:create "Old")
      local inbox, uids = assert(account:open "INBOX"), {}
      local it = assert(inbox:fetch("1:*", { "uid", "body" }))
      for _ = 1, 5 do
        local m = assert(it:next())
        uids[#uids + 1] = m.uid
        assert.equal(5, assert(account:status("INBOX", { "messages" })).messages)
        assert(inbox:store(m.uid, { add = { "k" .. m.uid } }))
        assert.equal(tostring(m.uid), tostring(assert(inbox:search { keyword = "k" .. m.uid })))
        assert(inbox:copy(m.uid, "Old"))
      end
      assert.is_nil(it:next())
      assert.same({ 1, 2, 3, 4, 5 }, uids)
      assert.equal(1, account:stats().opened)
      local other, err = account:with("Old", function() return account:open "INBOX" end)
      assert.is_nil(other)
      assert.same({ "invalid", true }, { err.kind, err.message:find("all links", 1, true) ~= nil })
      assert.equal(0, account:stats().busy)
    end)
  end)

  real("finds the link of a loop that was left", function()
    with(letters(40), { links = 1 }, function(account)
      local inbox = assert(account:open "INBOX")
      local it = assert(inbox:fetch("1:*", { "uid", "body" }))
      assert.equal(1, it:next().uid)
      it:close()
      assert.equal(0, account:stats().busy)
      it = assert(inbox:fetch("1:*", { "uid", "body" }))
      assert.equal(1, it:next().uid)
      it = nil -- luacheck: ignore
      local task = loop.spawn(function() return inbox:search { uid = 7 } end) -- not of the coroutine that has the link
      assert.same({ 7 }, { assert(task:join())[1] })
      assert.equal(0, account:stats().busy)
    end)
  end)

  real("lends a session with its mailbox to one who changes at a time, in turn", function()
    with(letters(3), { links = 3 }, function(account)
      local inside, most, order = 0, 0, {}
      each(5, function(i)
        return account:with("INBOX", function(session, box)
          inside, order[#order + 1] = inside + 1, i
          most = math.max(most, inside)
          assert.equal(3, box.exists)
          assert(session:store(1, { add = { "n" .. i } }))
          loop.sleep(0.005)
          inside = inside - 1
        end)
      end)
      assert.equal(1, most)
      assert.same({ 1, 2, 3, 4, 5 }, order)
      each(3, function()
        return account:with("INBOX", { readonly = true }, function(session)
          inside = inside + 1
          most = math.max(most, inside)
          local give_up = loop.now() + 10
          while most < 2 and loop.now() < give_up do loop.sleep(0.005) end -- until the next has a link, too
          assert.is_nil(session:store(1, { add = "x" }))
          inside = inside - 1
        end)
      end)
      assert.is_true(most > 1)
      local a, b, c = account:with("INBOX", function(session)
        assert.equal(1, #assert(session:search({ uid = 1 }, { save = true }) and session:search { uid = "$" }))
        return account:with("INBOX", function(again) return 1, nil, again == session end)
      end)
      assert.same({ 1, true }, { a, c })
      assert.is_nil(b)
      if mailbox.yields_everywhere then
        local ok, why = pcall(account.with, account, "INBOX", function() error("mine", 0) end)
        assert.same({ false, "mine" }, { ok, why })
      end
      assert.is_true((account:with(function(session) return session:noop() end)))
      local none, err = account:with("Nowhere", function() error "called" end)
      assert.is_nil(none)
      assert.equal("rejected", err.kind)
      assert.equal(0, account:stats().busy)
    end)
  end)

  real("never takes '$' for another connection's", function()
    with(letters(4), { links = 2 }, function(account)
      local inbox = assert(account:open "INBOX")
      assert.equal("$", account:with("INBOX", function(session)
        return session:search({ uid = 2 }, { save = true })
      end))
      for _, call in ipairs {
        function() return inbox:store("$", { add = "\\Deleted" }) end, function() return inbox:search { uid = "$" } end,
        function() return inbox:fetch_all("$", { "uid" }) end, function() return inbox:search "UID $" end,
      } do
        local none, err = call()
        assert.is_nil(none)
        assert.equal("invalid", err.kind)
      end
      account:with("INBOX", function(s) return s:store("$", { add = "\\Deleted" }) end) -- of another loan
      assert.equal(0, #assert(inbox:search { deleted = true }))
    end)
  end)

  real("touches nothing in another life of the mailbox", function()
    with({}, { links = 2 }, function(account, session)
      assert(session:create "Box")
      assert(session:append("Box", "Subject: old\n\n"))
      local box = assert(account:open "Box")
      local found = assert(box:search())
      assert(session:delete "Box")
      assert(session:create "Box")
      assert(session:append("Box", "Subject: new\n\n"))
      for _, call in ipairs {
        function() return box:store(1, { add = "\\Deleted" }) end, function() return found:delete() end,
        function() return account:with("Box", { uidvalidity = box.uidvalidity }, function() error "called" end) end,
      } do
        local none, err = call()
        for _ = 1, 3 do -- a link that has the old one open is told so by the server
          if err.kind ~= "uidvalidity" then none, err = call() end
        end
        assert.is_nil(none)
        assert.equal("uidvalidity", err.kind)
      end
      assert.equal(0, #assert(assert(account:open "Box"):search { deleted = true }))
    end)
  end)

  real("watches while others work, and leaves a link to work with", function()
    with(letters(1), { links = 2 }, function(account)
      local it = assert(account:watch { connection = true })
      local none, err = account:watch {}
      assert.is_nil(none)
      assert.equal("limit", err.kind)
      assert.equal(1, it:next().uid)
      assert.equal("connected", it:next().type)
      assert.equal(1, account:stats().watching)
      local seen = loop.spawn(function() return it:next().uid end)
      local inbox = assert(account:open "INBOX")
      assert(inbox:append "Subject: two\n\n")
      assert.equal(2, seen:join())
      each(4, busily(account))
      assert.equal(1, account:stats().links)
      it:close()
      assert.equal(0, account:stats().watching)
      each(4, busily(account))
      assert.equal(2, account:stats().links)
      it = assert(account:watch { existing = false, live = false })
      assert.is_nil(it:next()) -- a free link was closed for it
      assert.equal(1, account:stats().links)
    end)
  end)

  real("replaces links that have died, and closes those that nobody uses", function()
    local own = assert(mailbox.server { private = true })
    loop.run(function()
      local session, user = mailbox.with(own, letters(2))
      session:close()
      local account = imap.account(mailbox.options(own, user, "none", { links = 2, idle = 0.2 }))
      local inbox = assert(account:open "INBOX")
      own:restart()
      assert.equal(2, #assert(inbox:search()))
      own:restart()
      assert(inbox:store(1, { add = "\\Flagged" })) -- seen to be dead before anything was sent
      own:restart()
      local it = assert(inbox:fetch("1:2", { "uid", "flags" }))
      assert.equal(1, it:next().uid)
      it:close()
      assert.is_true(account:stats().lost >= 3)
      local ends = loop.now() + 10
      while account:stats().links > 0 and loop.now() < ends do loop.sleep(0.02) end
      assert.equal(0, account:stats().links)
      account:close()
      local kept = imap.account(mailbox.options(own, user, "none", { links = 2, idle = 0.05, keep = 1 }))
      each(2, busily(kept))
      loop.sleep(0.3)
      assert.same({ 1, 2, 0 }, { kept:stats().links, kept:stats().opened, kept:stats().lost - 1 })
      kept:close()
    end)
    own:close()
  end)

  real("waits in time, can be cancelled, and is closed under who waits", function()
    with(letters(1), { links = 1 }, function(account)
      local inbox = assert(account:open "INBOX")
      local free
      local holder = loop.spawn(function()
        return account:with("INBOX", function()
          free = loop.native.event()
          free:wait(10)
          return "held"
        end)
      end)
      loop.sleep(0.02)
      local none, err = inbox:search({}, { timeout = 0.03 })
      assert.is_nil(none)
      assert.equal("timeout", err.kind)
      local found, why
      local cancelled = loop.spawn(function() found, why = inbox:search() end)
      local second = loop.spawn(function() return inbox:search() end)
      loop.sleep(0.01)
      assert.equal(2, account:stats().waiting)
      cancelled:cancel()
      cancelled:join()
      assert.is_nil(found)
      assert.equal("cancelled", why.kind)
      free:set()
      assert.equal("held", holder:join())
      assert.equal(1, #second:join())
      holder = loop.spawn(function()
        return account:with("INBOX", function(session)
          local ok, closed = session:idle():next()
          return ok, closed
        end)
      end)
      loop.sleep(0.01)
      local waiting = loop.spawn(function() return select(2, account:noop()) end)
      loop.sleep(0.01)
      account:close()
      account:close()
      assert.equal("closed", waiting:join().kind)
      holder:join()
      none, err = account:noop()
      assert.is_nil(none)
      assert.equal("closed", err.kind)
      assert.matches("closed", tostring(account))
    end)
  end)

  real("raises for wrong arguments at the caller's line, and gives the link back", function()
    with({}, { links = 1 }, function(account)
      raises(function() imap.account { host = "h", links = 0 } end, "links")
      raises(function() imap.account { host = "h", linx = 1 } end, "linx")
      raises(function() imap.account { host = "h", idle = "x" } end, "idle")
      raises(function() account:with("INBOX") end, "function")
      raises(function() account:open(5) end, "a mailbox")
      raises(function() account:open("INBOX", { x = 1 }) end, "'x'")
      raises(function() account:watch { host = "h" } end, "host")
      if mailbox.yields_everywhere then
        raises(function() account:list("*", { statuss = 1 }) end, "statuss")
        raises(function() account:append("INBOX") end, "append")
        local inbox = assert(account:open "INBOX")
        raises(function() inbox:search { frm = "x" } end, "frm")
        raises(function() inbox:fetch(1, { 5 }) end, "fetch")
        raises(function() inbox:messages(5) end, "messages")
      end
      assert.equal(0, account:stats().busy)
    end)
  end)

  it("knows where each method of a session stands", function()
    local session, here = imap.session(), {}
    for _, list in pairs(methods) do
      for name in pairs(list) do here[name] = true end
    end
    -- What belongs to one connection, and what the core has for whoever drives a session by hand.
    local others = [[select examine unselect close_mailbox idle notify on command command_line close logout quit login
      authenticate capability_set compress enable language unauthenticate has_capability deadline fd abandon answer
      answer_limit begin_authenticate begin_idle begin_login capabilities_known content content_end deflate_count
      failure feed feed_eof free idle_end idle_rearm is_freed is_sent join next output pending phase push relax
      secured preface speaks_utf8 start_deflate start_tls submit tag tls_binding tls_close tls_info tls_session
      tls_why trace unnumbered wants wants_content weight]]
    for name in others:gmatch "%S+" do here[name] = true end
    for name in pairs(getmetatable(session).methods) do assert.is_true(here[name], "where is " .. name .. "?") end
  end)
end)

-- --- scripted servers ---------------------------------------------------------------------------------

-- Plays `script(peer, number)` for up to `count` connections against an account.
local function against(count, script, more, fn)
  loop.run(function()
    local server = scripted.serve(script, count)
    local o = {
      host = "127.0.0.1", port = server.port, tls = "none", user = "ann", password = "x", allow_plaintext_login = true,
      timeout = 5, backoff = { min = 0.02, max = 0.1 },
    }
    for name, value in pairs(more or {}) do o[name] = value end
    local account = imap.account(o)
    fn(account, server)
    account:close()
    server:close()
  end)
end

local function refuse(peer, answer)
  peer:send "* OK [CAPABILITY IMAP4rev1] ready\r\n"
  mailbox.answer(peer, "^LOGIN ", nil, answer)
  peer:rest()
end

-- Answers NOOP and STATUS until the client is gone.
local function obey(peer, seen)
  while true do
    local line = peer:line()
    if not line then return end
    local tag, verb = line:match "^(%S+) (%S+)"
    if seen then seen[#seen + 1] = verb end
    peer:send((verb == "STATUS" and "* STATUS x (MESSAGES 1)\r\n" or "") .. tag .. " OK done\r\n")
  end
end

describe("IMAP account on servers that have enough", function()
  it("makes do with fewer links where the server refuses more, and tries again later", function()
    local full = true
    against(100, function(peer, number)
      if number > 2 and full then return refuse(peer, "NO [ALERT] Too many simultaneous connections. (Failure)") end
      mailbox.admit(peer)
      obey(peer)
    end, { links = 4 }, function(account)
      local done = each(12, busily(account))
      for i = 1, 12 do assert.equal(1, done[i].messages) end
      local stats = account:stats()
      assert.is_true(stats.links <= 2 and stats.throttled >= 1 and stats.limit <= 3)
      assert.matches("simultaneous", stats.error.message)
      full = false
      loop.sleep(0.25)
      each(12, busily(account))
      each(12, busily(account))
      assert.is_true(account:stats().links > 2)
    end)
  end)

  it("waits where there is no link at all, and says how long where that is too long", function()
    against(3, function(peer, number)
      if number == 1 then return refuse(peer, "NO [LIMIT] Maximum number of connections from user+IP exceeded") end
      mailbox.admit(peer)
      obey(peer)
    end, { backoff = { min = 0.1, max = 0.1 } }, function(account)
      assert.equal(1, assert(account:status("x", { "messages" })).messages)
      assert.equal(1, account:stats().throttled)
    end)
    against(1, function(peer)
      refuse(peer, "NO [UNAVAILABLE] Too many connections, try again in 10 minutes")
    end, {}, function(account)
      local none, err = account:noop()
      assert.is_nil(none)
      assert.is_true(err.temporary and err.retry_after > 500)
    end)
  end)

  it("pauses where it is throttled: repeats what reads, never what writes", function()
    local seen = {}
    against(1, function(peer)
      mailbox.admit(peer)
      mailbox.answer(peer, "^STATUS", nil, "NO [THROTTLED] slowly please")
      mailbox.answer(peer, "^STATUS", "* STATUS x (MESSAGES 1)\r\n")
      mailbox.answer(peer, "^CREATE", nil, "NO [THROTTLED] slowly please")
      obey(peer, seen)
    end, {}, function(account)
      local began = loop.now()
      assert.equal(1, assert(account:status("x", { "messages" })).messages)
      assert.is_true(loop.now() - began >= 0.015)
      local none, err = account:create "x"
      assert.is_nil(none)
      assert.equal("THROTTLED", err.response_code)
      assert.is_number(account:stats().retry_in)
      assert.is_true(account:noop())
      assert.same({ "NOOP" }, seen)
      assert.equal(2, account:stats().throttled)
    end)
  end)

  it("asks once where the password is wrong, and tells all who wait", function()
    local logins = 0
    against(2, function(peer)
      logins = logins + 1
      loop.sleep(0.02)
      refuse(peer, "NO [AUTHENTICATIONFAILED] wrong")
    end, { links = 1, backoff = { min = 60, max = 60 } }, function(account)
      local kinds = each(5, function()
        local none, err = account:noop()
        return none or err.kind
      end)
      assert.same({ "auth", "auth", "auth", "auth", "auth" }, kinds)
      local _, err = account:noop()
      assert.equal("auth", err.kind)
      assert.equal(1, logins)
    end)
  end)

  it("never sends a change twice, and reads again on another link", function()
    local stores = 0
    against(4, function(peer, number)
      mailbox.admit_selected(peer, "UIDPLUS", 3)
      if number == 1 then
        mailbox.command(peer, "^UID STORE")
        stores = stores + 1
        return -- the end, without an answer
      elseif number == 2 then
        mailbox.command(peer, "^UID SEARCH")
        return
      elseif number == 3 then
        mailbox.answer(peer, "^UID SEARCH", "* SEARCH 2\r\n")
        mailbox.command(peer, "^UID FETCH")
        peer:send "* 1 FETCH (UID 1 FL"
        return
      end
      mailbox.answer(peer, "^UID FETCH", "* 2 FETCH (UID 2 FLAGS ())\r\n")
      peer:rest()
    end, { links = 1 }, function(account)
      local inbox = assert(account:open "INBOX")
      local none, err = inbox:store(1, { add = "x" })
      assert.is_nil(none)
      assert.equal("closed", err.kind)
      assert.equal(2, assert(inbox:search())[1])
      local it = assert(inbox:fetch("1:3", { "uid", "flags" }))
      assert.equal(2, it:next().uid)
      assert.is_nil(it:next())
      assert.equal(1, stores)
      assert.equal(3, account:stats().lost)
      assert.equal(0, account:stats().busy)
    end)
  end)

  it("asks a link that was long unused before it changes something", function()
    local seen = {}
    against(2, function(peer, number)
      mailbox.admit(peer)
      if number == 2 then return obey(peer, seen) end
      mailbox.answer(peer, "^NOOP")
      mailbox.command(peer, "^NOOP")
      peer:rest() -- half open: nothing comes any more
    end, { links = 1, check = 0, timeout = 5 }, function(account)
      assert.is_true(account:noop())
      local none, err = account:create("x", { timeout = 0.05 })
      assert.is_nil(none)
      assert.equal("timeout", err.kind)
      assert.same({}, seen)
    end)
  end)
end)

describe("IMAP account's limits", function()
  it("are those of the provider, unless said otherwise", function()
    assert.same({ 15, 5, 20 }, { limits.of_host "imap.gmail.com", limits.of_host "IMAP.mail.yahoo.com.",
      limits.of_host "outlook.office365.com" })
    assert.is_nil(limits.of_host "imap.example.com")
    assert.is_nil(limits.of_host "notimap.gmail.com.example")
    assert.equal(5, imap.account { host = "imap.mail.yahoo.com", links = 9 }:stats().limit)
    assert.equal(8, imap.account { host = "imap.mail.yahoo.com", links = 9, max_links = 8 }:stats().limit)
    assert.equal(4, imap.account { host = "imap.example.com" }:stats().limit)
  end)
end)
