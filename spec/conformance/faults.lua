-- Peers that go away, lie or say nothing, and sessions that are closed: calls end, soon, and say why.

-- Within what time an end that nothing delays must be seen.
local SOON = 3

return function(check)
  local function soon(c, what, fn)
    local began = c.host.now()
    local value, err = fn()
    local took = c.host.now() - began
    c.truth(took < SOON, ("%s took %.1f s"):format(what, took))
    return value, err
  end

  check("STARTTLS with injected text is refused before the handshake", "", function(c)
    local before = c:count "injected"
    local session, err = c:dial("inject", { tls = "starttls", user = "ann", password = "secret" })
    c.failure(session, err, "protocol")
    c.equal(before, c:count "injected", "times that something was sent behind it")
  end)

  check("close while another coroutine reads", "tasks", function(c)
    for _ = 1, 3 do
      local session = c:smtp()
      local readers = {}
      local before = c:count "command"
      for i = 1, 3 do readers[i] = c:go(function() return session:verify "mute" end) end
      c:await("they read", function() return c:count "command" > before + 1 end)
      local began = c.host.now()
      session:close()
      session:close()
      for i = 1, 3 do
        local answer, err = readers[i]:join(SOON)
        c.failure(answer, err, "closed")
      end
      c.truth(c.host.now() - began < SOON, "it took too long")
    end
  end)

  check("the peer closes", "", function(c)
    for _ = 1, 3 do
      local session = c.truth(c:dial "closes")
      local answer, err = soon(c, "the end", function() return session:verify "x" end)
      c.failure(answer, err, "closed")
      answer, err = session:noop()
      c.failure(answer, err, "closed")
      session:close()
    end
  end)

  check("the peer closes while several coroutines wait", "tasks", function(c)
    local session = c.truth(c:dial "closes")
    local all = {}
    for i = 1, 5 do all[i] = c:go(function() return session:verify "x" end) end
    for i = 1, 5 do
      local answer, err = all[i]:join(SOON)
      c.failure(answer, err, "closed")
    end
  end)

  check("the peer resets, and what is written then", "", function(c)
    for _ = 1, 3 do
      local session = c.truth(c:dial "resets")
      local answer, err = soon(c, "the reset", function() return session:verify "x" end)
      c.failure(answer, err, "closed")
      for _ = 1, 3 do
        answer, err = soon(c, "a write after it", function() return session:verify "y" end)
        c.failure(answer, err, "closed")
      end
    end
  end)

  check("a write into a connection that was reset meanwhile", "", function(c)
    for _ = 1, 3 do
      local session = c.truth(c:dial "resets")
      local before = c:count "resetting"
      local answer, err = session:verify("x", { timeout = 0 })
      c.failure(answer, err, "timeout", "closed")
      c:await("it is being reset", function() return c:count "resetting" >= before end)
      c.host.sleep(0.02)
      answer, err = soon(c, "a write after it", function() return session:verify(("y"):rep(200)) end)
      c.failure(answer, err, "closed")
    end
  end)

  check("a refused connection", "", function(c)
    for _ = 1, 5 do
      local session, err = soon(c, "the refusal", function() return c:dial "refused" end)
      c.failure(session, err, "connect")
    end
  end)

  check("an unknown name", "", function(c)
    -- Resolvers refuse names of this kind without asking anybody (RFC 7686 §2).
    local session, err = c:dial("smtp", { host = "no-such-host.onion" })
    c.failure(session, err, "dns")
  end)

  local function phase(name, seconds, fn)
    check("no answer in time: " .. name, "", function(c)
      local began = c.host.now()
      local value, err = fn(c, seconds)
      if value == "impossible" then return end
      c.failure(value, err, "timeout")
      local took = c.host.now() - began
      c.truth(took >= seconds * 0.9 and took < seconds + SOON, ("%s s became %.2f"):format(seconds, took))
    end)
  end

  phase("a name server that is not there", 0.15, function(c, seconds)
    if rawget(c.host, "dial") then return "impossible" end -- it may have a resolver of its own
    return c:dial("smtp", { host = "name.example", timeout = seconds,
      dns_servers = "127.0.0.1:" .. ("%d"):format(c.peer.refused) })
  end)
  phase("connecting", 0.15, function(c, seconds)
    if c.peer.full == 0 then return "impossible" end
    return c:dial("full", { timeout = seconds })
  end)
  phase("the TLS handshake", 0.15, function(c, seconds)
    return c:dial("silent", { tls = "implicit", timeout = seconds })
  end)
  phase("the greeting of a mute server", 0.15, function(c, seconds)
    return c:dial("silent", { timeout = seconds })
  end)
  phase("login", 0.15, function(c, seconds) return c:imap { user = "mute", timeout = seconds } end)
  phase("a command", 0.15, function(c, seconds) return c:smtp():verify("mute", { timeout = seconds }) end)
  phase("the middle of a body", 0.25, function(c, seconds)
    local session = c.truth(c:imap())
    c.truth(session:select "stall")
    return session:fetch_all("1", { "body" }, { seq = true, timeout = seconds })
  end)
end
