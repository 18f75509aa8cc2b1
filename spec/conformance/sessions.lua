-- Sessions as users have them: commands, many coroutines, IDLE, TLS, many sessions, garbage.

local imap = require "mail.imap"
local smtp = require "mail.smtp"

return function(check)
  check("connects, is greeted, and several commands are answered", "", function(c)
    local session = c:smtp()
    c.equal("peer ESMTP", session.server, "the greeting")
    for i = 1, 50 do c.equal("word" .. i, c.truth(session:verify("word" .. i)).lines[1], "an answer") end
    c.truth(session:noop() and session:reset() and session:quit(), "NOOP, RSET, QUIT")
    local ok, err = session:noop()
    c.failure(ok, err, "closed")
  end)

  check("a command that times out leaves the session usable", "", function(c)
    local session = c:smtp()
    local began = c.host.now()
    local answer, err = session:verify("late", { timeout = 0.1 })
    c.failure(answer, err, "timeout")
    local took = c.host.now() - began
    c.truth(took >= 0.09 and took < 2, ("a time-out of 0.1 s took %s"):format(took))
    c:ask "release"
    c.equal("next", c.truth(session:verify "next").lines[1], "the next answer")
    c.equal("next2", c.truth(session:verify "next2").lines[1], "the one after it")
    session:close()
  end)

  check("many coroutines on one session each get their own answers", "tasks", function(c)
    local session = c:smtp()
    c:each(30, function(i)
      for k = 1, 5 do
        local word = ("w%dx%d"):format(i, k)
        c.equal(word, c.truth(session:verify(word)).lines[1], "an answer")
        if k == i % 5 then c.host.sleep(0) end
      end
    end)
    session:quit()
  end)

  check("a coroutine that gives up does not hold up the others", "tasks", function(c)
    local session = c:smtp()
    local first = c:go(function() return session:verify("late", { timeout = 0.1 }) end)
    local second = c:go(function() return session:verify("soon", { timeout = 10 }) end)
    local third = c:go(function() return session:verify("third", { timeout = 10 }) end)
    local answer, err = first:join()
    c.failure(answer, err, "timeout")
    c:ask "release"
    c.equal("soon", c.truth(second:join()).lines[1], "the second answer")
    c.equal("third", c.truth(third:join()).lines[1], "the third answer")
    session:quit()
  end)

  -- One coroutine in IDLE, two that issue commands, on the same session.
  local function duplex(c, session, mailbox)
    c.truth(session:select(mailbox))
    local seen, stop = 0, false
    local idler = c:go(function()
      local it = assert(session:idle { timeout = 20 })
      while not stop do
        local event, err = it:next()
        if not event then return err end
        if event.type == "exists" then seen = seen + 1 end
      end
      it:close()
      return "idled"
    end)
    local function commands()
      for i = 1, 10 do
        c.truth(i % 2 == 0 and session:noop() or session:status(mailbox, "messages"))
        c.host.sleep(i % 3 == 0 and 0.002 or 0)
      end
      return "answered"
    end
    local one, two = c:go(commands), c:go(commands)
    c.equal("answered", one:join(), "the first coroutine")
    c.equal("answered", two:join(), "the second coroutine")
    return idler, function() return seen end, function() stop = true end
  end

  check("IDLE in one coroutine while two others issue commands", "tasks", function(c)
    local session = c.truth(c:imap())
    local idler, seen, stop = duplex(c, session, "1000")
    c:await("news in IDLE", function() return seen() > 0 end)
    stop()
    local before = seen()
    c:await("more news", function() return c.truth(session:noop()) and (idler.results or seen() > before) end)
    c.equal("idled", idler:join(), "the idler")
    session:logout()
  end)

  for _, mode in ipairs { "none", "implicit" } do
    local words = mode == "none" and "in clear" or "by TLS"
    check("IDLE beside two coroutines, a real server " .. words, "tasks dovecot", function(c)
      local session, other = c:real(mode), c:real "none"
      local idler, seen, stop = duplex(c, session, "INBOX")
      local before = seen()
      stop()
      c.truth(other:append("INBOX", "Subject: news\n\nnews\n"))
      c.equal("idled", idler:join(), "the idler")
      c.truth(seen() > before, "the arrival was not told")
      c.truth(session:noop())
      session:logout()
      other:logout()
    end)
  end

  check("IDLE ends by its own time, and again", "", function(c)
    local session = c.truth(c:imap())
    c.truth(session:select "1000")
    for _ = 1, 2 do
      local began = c.host.now()
      local it = c.truth(session:idle { timeout = 0.05 })
      local event, err
      repeat event, err = it:next() until not event
      c.equal(nil, err, "an error of a quiet end")
      c.truth(c.host.now() - began >= 0.045, "IDLE ended early")
    end
    c.truth(session:noop())
    session:logout()
  end)

  local function account_of(c, port, user, more)
    local o = {
      host = "127.0.0.1", port = port, tls = "none", user = user, password = "x", allow_plaintext_login = true,
      loop = c.host, timeout = 20,
    }
    for name, value in pairs(more) do o[name] = value end
    return o
  end

  check("IMAP watch survives a lost link", "", function(c)
    local it = imap.watch(account_of(c, c.peer.flaky, "watcher" .. c:ask "count flaky", {
      backoff = { min = 0.01, max = 0.02 }, connection = true,
    }))
    c.opened[#c.opened + 1] = it
    local told = {}
    repeat
      local event = c.truth(it:next())
      told[#told + 1] = event.type .. (event.uid or "")
    until event.uid == 3
    c.equal("new1 connected disconnected new2 connected new3", table.concat(told, " "), "what was told")
    c.truth(it:close())
  end)

  check("an account's calls over three links", "", function(c)
    local account = imap.account(account_of(c, c.peer.imap, "ann", { links = 3 }))
    c.opened[#c.opened + 1] = account
    c:each(12, function(i)
      local name = "box" .. i
      c.equal(name, c.truth(account:status(name, { "messages" })).name, "an answer")
      c.equal(i, account:with("1000", { readonly = i % 2 == 0 }, function(session)
        c.host.sleep(0.005)
        return session:noop() and i
      end), "a loan")
      c.equal(1, #c.truth(c.truth(account:open "1000"):fetch_all("1", { "flags" }, { seq = true })), "a fetch")
    end)
    local stats = account:stats()
    c.equal(c.tasks and 3 or 1, stats.opened, "links that were opened")
    c.equal(0, stats.busy + stats.waiting + stats.opening, "what is left")
    c.truth(account:close())
    local ok, err = account:noop()
    c.failure(ok, err, "closed")
  end)

  check("implicit TLS: a real server, its certificate and its name proved", "dovecot", function(c)
    local session = c:real "implicit"
    c.truth(session.tls and session.tls.version:find "TLS", "no TLS")
    for _ = 1, 5 do c.truth(session:noop()) end
    session:logout()
  end)

  check("STARTTLS: a real server", "dovecot", function(c)
    local session = c:real "starttls"
    c.truth(session.tls and session.tls.version:find "TLS", "no TLS")
    c.truth(session:select "INBOX")
    session:logout()
  end)

  check("200 sessions at once", "", function(c)
    local sessions = {}
    c:each(200, function(i)
      sessions[i] = c:smtp()
      c.equal("n" .. i, c.truth(sessions[i]:verify("n" .. i)).lines[1], "an answer")
    end)
    c.truth(tonumber(c:ask "open smtp") >= 200, "they were not open at once")
    c:each(200, function(i)
      c.equal("m" .. i, c.truth(sessions[i]:verify("m" .. i)).lines[1], "an answer")
      c.truth(sessions[i]:quit())
    end)
    c.opened = {}
    c:await("all are gone", function() return tonumber(c:ask "open smtp") < 10 end)
  end)

  check("a session lives while a call waits in it, whatever is collected", "tasks", function(c)
    local waiting = c:go(function()
      return assert(smtp.connect { host = "127.0.0.1", port = c.peer.smtp, tls = "none", loop = c.host,
        helo = "me.example" }):verify "soon"
    end)
    waiting.handle = nil
    while not waiting.results do
      collectgarbage()
      c.host.sleep(0.01)
    end
    c.equal("soon", c.truth(waiting:join()).lines[1], "the answer")
  end)

  check("a session that nobody holds is closed, and its number used again", "", function(c)
    local before = tonumber(c:ask "open smtp")
    for _ = 1, 3 do
      c:each(10, function()
        local session = assert(smtp.connect { host = "127.0.0.1", port = c.peer.smtp, tls = "none", loop = c.host,
          helo = "me.example" })
        c.truth(session:noop())
        session = nil -- luacheck: ignore
        collectgarbage() -- it goes in the very turn of the loop in which its last answer came
      end)
      collectgarbage()
    end
    c:await("the peer sees them end", function()
      collectgarbage()
      return tonumber(c:ask "open smtp") <= before + 1
    end)
  end)
end
