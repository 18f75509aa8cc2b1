-- mail.smtp.pool on every loop: many callers, a server that dies, waits that end.

local smtp = require "mail.smtp"

return function(check)
  local function pool_of(c, name, more)
    local o = { host = "127.0.0.1", port = c.peer[name], tls = "none", helo = "me.example", loop = c.host, timeout = 20,
      size = 4, back_off = { 0.01, 0.1 } }
    for key, value in pairs(more or {}) do o[key] = value end
    local pool = smtp.pool(o)
    c.opened[#c.opened + 1] = pool
    return pool
  end

  -- 64 octets a line, as the peer measures them.
  local function letter(c, lines)
    return { from = "ann@example.com", to = "bob@example.org", message = c.line:rep(lines) }
  end

  -- The same as an array: all of them must be taken.
  local function send_array(c, pool, count)
    local list = {}
    for i = 1, count do list[i] = letter(c, 1 + i % 7) end
    local results = pool:send(list)
    for i = 1, count do
      c.truth(results[i].accepted, tostring(results[i]))
      c.equal(("2.0.0 %d octets, good"):format((1 + i % 7) * 64), results[i].text, "what came of one of an array")
    end
  end

  check("SMTP pool: 200 sends over 4 connections", "", function(c)
    local pool, before = pool_of(c, "smtp", { max_messages = 1000 }), c:count "smtp"
    c:each(200, function(i)
      local lines = 1 + i % 7
      local receipt = c.truth(pool:send(letter(c, lines)))
      c.equal(("2.0.0 %d octets, good"):format(lines * 64), receipt.text, "what came of a message")
    end)
    send_array(c, pool, 60)
    c.equal(260, pool:stats().sent, "messages sent")
    local connections = c:count "smtp" - before
    -- Sessions that end with a request are kept by the host, and a few more may be opened meanwhile.
    c.truth(connections <= (c.host.stranger and 40 or 4), connections .. " connections")
    c.truth(pool:close())
    local none, err = pool:send(letter(c, 1))
    c.failure(none, err, "closed")
  end)

  check("SMTP pool: a server that dies between messages loses none", "", function(c)
    local pool, before = pool_of(c, "mortal"), c:count "mortal"
    c:each(40, function() c.truth(pool:send(letter(c, 1))) end)
    send_array(c, pool, 20)
    c.equal(60, pool:stats().sent, "messages sent")
    c.truth(c:count "mortal" - before >= 20, "nobody died")
    c.truth(pool:close())
  end)

  check("SMTP pool: nobody listens", "", function(c)
    local pool = pool_of(c, "refused", { retry = 1 })
    local began = c.host.now()
    local none, err = pool:send(letter(c, 1))
    c.failure(none, err, "connect")
    c.truth(c.host.now() - began < 3, "it took too long")
    c.truth(pool:close())
  end)

  check("SMTP pool: a wait for a connection ends in time, and at once when the pool is closed", "tasks", function(c)
    local pool, before = pool_of(c, "deaf", { size = 1 }), c:count "deaf"
    local small = letter(c, 1)
    local busy = c:go(function() return pool:send(small) end)
    c:await("it sends", function() return c:count "deaf" > before + 1 end)
    local began = c.host.now()
    local none, err = pool:send { from = small.from, to = small.to, message = "x", timeout = 0.2 }
    c.failure(none, err, "timeout")
    local took = c.host.now() - began
    c.truth(took >= 0.18 and took < 3, ("0.2 s became %.2f"):format(took))
    local waiting = c:go(function() return pool:send(small) end)
    c:await("it waits", function() return pool:stats().waiting == 1 end)
    c.truth(pool:close { now = true })
    none, err = waiting:join(3)
    c.failure(none, err, "closed")
    none, err = busy:join(3)
    c.failure(none, err, "unknown", "closed") -- its dot has left, most likely
  end)

  check("SMTP pool: a rate is kept, and the loop goes on meanwhile", "", function(c)
    local pool = pool_of(c, "smtp", { rate = 50 })
    local began = c.host.now()
    c:each(6, function() c.truth(pool:send(letter(c, 1))) end)
    local took = c.host.now() - began
    c.truth(took >= 0.09 and took < 5, ("6 messages at 50 a second took %.2f s"):format(took))
    c.truth(pool:close())
  end)
end
