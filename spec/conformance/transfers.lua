-- Much in, much out, and slow readers: what comes is what was sent, and memory does not follow the size.

local IN, OUT = 50 * 1024 * 1024, 20 * 1024 * 1024

-- What a transfer may add to the memory that Lua holds.
local HELD = 24 * 1024

return function(check)
  -- A message by FETCH into a sink that looks at the edges of each piece.
  local function fetch(c, session, size, pause)
    local at, peak, pauses = 0, 0, 0
    collectgarbage()
    local base = collectgarbage "count"
    local it = c.truth(session:fetch("1", { "body" }, { sink = function(_, _, bytes)
      local first = c.line:byte(at % 64 + 1)
      at = at + #bytes
      if bytes:byte(1) ~= first or bytes:byte(-1) ~= c.line:byte((at - 1) % 64 + 1) then
        error("octets are lost or changed before " .. at, 0)
      end
      peak = math.max(peak, collectgarbage "count" - base)
      if pause and at > pauses * pause then
        pauses = pauses + 1
        c.host.sleep(0.01)
      end
    end, seq = true }))
    c.equal(1, c.truth(it:next()).seq, "the message")
    local message, err = it:next() -- Lua 5.1 cannot wait in a `for`
    c.equal(nil, message or err, "what comes behind it")
    c.equal(size, at, "octets")
    c.truth(peak < HELD, ("%.0f KiB were held during the transfer"):format(peak))
  end

  check("50 MB in", "", function(c)
    local session = c.truth(c:imap())
    c.truth(session:select(("%d"):format(IN)))
    fetch(c, session, IN)
    c.truth(session:noop())
    session:logout()
  end)

  check("50 MB in for a slow reader: the sender waits, nothing piles up", "", function(c)
    local session = c.truth(c:imap())
    c.truth(session:select(("%d"):format(IN)))
    fetch(c, session, IN, 2 * 1024 * 1024)
    session:logout()
  end)

  check("50 MB in while others use the loop", "tasks", function(c)
    local session, other = c.truth(c:imap()), c:smtp()
    c.truth(session:select(("%d"):format(IN)))
    local transfer = c:go(function() fetch(c, session, IN) end)
    local worst, n = 0, 0
    while not transfer.results do
      local began = c.host.now()
      c.truth(other:noop())
      worst = math.max(worst, c.host.now() - began)
      n = n + 1
    end
    transfer:join()
    c.truth(n >= 2 and worst < 2, ("%d answers beside it, the slowest after %s s"):format(n, worst))
    other:quit()
    session:logout()
  end)

  local function accepted(c, receipt, err)
    c.truth(receipt, "the message was not sent: " .. tostring(err))
    c.truth(receipt.text:find(("%d octets, good"):format(OUT), 1, true), "the server got: " .. receipt.text)
  end

  check("20 MB out, from a string", "", function(c)
    local session = c:smtp()
    accepted(c, session:send { from = "a@x.example", to = "b@x.example", message = c.line:rep(OUT / 64) })
    c.truth(session:noop())
    session:quit()
  end)

  check("20 MB out, from a source", "", function(c)
    local session = c:smtp()
    local piece, left = c.line:rep(512), OUT / 64 / 512
    accepted(c, session:send { from = "a@x.example", to = "b@x.example", message = function()
      left = left - 1
      return left >= 0 and piece or nil
    end })
    session:quit()
  end)

  check("much goes out while another coroutine waits to read", "tasks", function(c)
    local session = c.truth(c:imap())
    c.truth(session:select "1000")
    local it, ended = c.truth(session:idle { timeout = 60 }), false
    local idler = c:go(function()
      repeat local event = it:next() until not event or ended
      it:close()
    end)
    local before = c:count "idle"
    c:await("it idles", function() return c:count "idle" >= before end)
    local size = 8 * 1024 * 1024
    local ok, err = session:append("INBOX", c.line:rep(size / 64))
    c.truth(ok, tostring(err))
    ended = true
    session:close()
    idler:join()
  end)

  check("a peer that takes nothing: the call ends in time", "", function(c)
    local session = c.truth(c:dial "deaf")
    local began = c.host.now()
    local receipt, err = session:send { from = "a@x.example", to = "b@x.example", message = c.line:rep(OUT / 64),
      timeout = 0.4 }
    c.failure(receipt, err, "timeout")
    c.truth(c.host.now() - began < 5, "it ended late")
    session:close()
  end)

  check("8 MB out and in by TLS, a real server", "dovecot", function(c)
    local session, size = c:real "implicit", 8 * 1024 * 1024
    c.truth(session:create "Big" or true)
    c.truth(session:append("Big", c.line:rep(size / 64)))
    c.truth(session:select "Big")
    fetch(c, session, size)
    c.truth(session:delete "Big")
    session:logout()
  end)
end
