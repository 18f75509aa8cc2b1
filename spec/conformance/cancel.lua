-- Calls that are ended by somebody else, in every phase: by the host's cancel, or by close.

local smtp = require "mail.smtp"

local SOON = 3

return function(check)
  -- What blocks in each phase: `begin(c)` → a function for another coroutine, `word` that the peer counts once the
  -- phase is reached, and the session where it is there already.
  local phases = {
    { "connecting", nil, function(c)
      if c.peer.full == 0 then return nil end
      return function() return c:dial "full" end
    end },
    { "the TLS handshake", "silent", function(c)
      return function() return c:dial("silent", { tls = "implicit" }) end
    end },
    { "the greeting", "silent", function(c) return function() return c:dial "silent" end end },
    { "login", "login", function(c) return function() return c:imap { user = "mute" } end end },
    { "a command", "command", function(c)
      local session = c:smtp()
      return function() return session:verify "mute" end, session
    end },
    { "IDLE", "idle", function(c)
      local session = c.truth(c:imap())
      c.truth(session:select "1000")
      return function()
        local it = assert(session:idle { timeout = 60 })
        local event, err
        repeat event, err = it:next() until not event
        return event, err
      end, session
    end },
    { "the middle of a body", "body", function(c)
      local session = c.truth(c:imap())
      c.truth(session:select "stall")
      return function() return session:fetch_all("1", { "body" }, { seq = true }) end, session
    end },
  }

  -- A coroutine in that phase, and the session.
  local function reach(c, phase)
    local name, word, begin = phase[1], phase[2], phase[3]
    local fn, session = begin(c)
    if not fn then return nil end
    local before = word and c:count(word)
    local running = c:go(fn)
    if word then
      c:await(name, function() return c:count(word) - before > (word == "command" and 1 or 0) end)
    else
      c.host.sleep(0.05)
    end
    c.equal(nil, running.results, "what has ended before it was cancelled")
    return running, session
  end

  for _, phase in ipairs(phases) do
    check("cancelled in " .. phase[1], "tasks cancel", function(c)
      local running, session = reach(c, phase)
      if not running then return end
      c.cancel(running.handle)
      if not c.kills then
        local value, err = running:join(SOON)
        c.failure(value, err, "cancelled")
      end
      if session then session:close() end
    end)
  end

  for i = 5, 7 do
    check("closed by another coroutine in " .. phases[i][1], "tasks", function(c)
      local running, session = reach(c, phases[i])
      session:close()
      local value, err = running:join(SOON)
      c.failure(value, err, "closed")
    end)
  end

  check("a session whose call was cancelled is in step again once the answer has come", "tasks cancel", function(c)
    if c.kills then return end
    local session = c:smtp()
    local before = c:count "late"
    local running = c:go(function() return session:verify "late" end)
    c:await("it is on its way", function() return c:count "late" > before end)
    c.cancel(running.handle)
    local value, err = running:join(SOON)
    c.failure(value, err, "cancelled")
    c:ask "release"
    c.equal("next", c.truth(session:verify "next").lines[1], "the next answer")
    session:quit()
  end)

  check("a cancelled call leaves the session to the others", "tasks cancel", function(c)
    if c.kills then return end
    for victim = 1, 3 do
      local session, all = c:smtp(), {}
      local before = c:count "command"
      for i = 1, 3 do all[i] = c:go(function() return session:verify "soon" end) end
      c:await("the first is on its way", function() return c:count "command" - before > 1 end)
      c.cancel(all[victim].handle)
      local value, err = all[victim]:join(SOON)
      if value == nil then c.failure(value, err, "cancelled") end
      for i = 1, 3 do
        if i ~= victim then c.equal("soon", c.truth(all[i]:join()).lines[1], "an answer") end
      end
      c.equal("last", c.truth(session:verify "last").lines[1], "the last answer")
      session:quit()
    end
  end)

  check("a coroutine that was closed in a call leaves the session to the others", "tasks closes", function(c)
    for victim = 1, 3 do
      local session, all = c:smtp(), {}
      local before = c:count "command"
      for i = 1, 3 do all[i] = c:go(function() return session:verify "soon" end) end
      c:await("the first is on its way", function() return c:count "command" - before > 1 end)
      c.cancel(all[victim].handle)
      local latecomer = victim == 2 and c:go(function() return session:verify "late comer" end)
      for i = 1, 3 do
        if i ~= victim then c.equal("soon", c.truth(all[i]:join(SOON)).lines[1], "an answer") end
      end
      if latecomer then c.equal("late comer", c.truth(latecomer:join(SOON)).lines[1], "the latecomer's answer") end
      c.equal("last", c.truth(session:verify "last").lines[1], "the last answer")
      session:quit()
    end
  end)

  check("a wait after one that was closed has its own time", "tasks closes", function(c)
    local session = c:smtp()
    local before = c:count "command"
    local first = c:go(function() return session:verify("mute", { timeout = 0.3 }) end)
    c:await("it is on its way", function() return c:count "command" - before > 1 end)
    c.cancel(first.handle)
    local value, err = session:verify("mute", { timeout = 0.6 })
    c.failure(value, err, "timeout")
    session:close()
  end)

  check("SMTP pool: the connection of a coroutine that was closed goes to the next", "tasks closes", function(c)
    local pool = smtp.pool { host = "127.0.0.1", port = c.peer.smtp, tls = "none", loop = c.host, size = 1,
      timeout = 9 }
    local function send() return pool:send { from = "a@x.example", to = "b@x.example", message = "Subject: x\n\nx" } end
    c.truth(send())
    local first, second = c:go(send), c:go(send)
    c.host.sleep(0)
    c.cancel(first.handle)
    c.truth(second:join(SOON))
    pool:close()
  end)
end
