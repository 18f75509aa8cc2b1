-- Against Postfix's smtp-sink, in SMTP and in LMTP: another reader of our pipelining, DSN, XCLIENT and XFORWARD.
local loop = require "mail.loop"
local mail = require "mail"
local servers = require "spec.servers"

-- A session with a sink of these flags; or nil, and the spec is pending with the reason.
local function connect(flags, more)
  local s, why = servers.sink { flags = flags }
  if not s then return pending(why) end
  local o = { host = "127.0.0.1", port = s.ports.smtp, tls = "none", timeout = 10 }
  for name, value in pairs(more or {}) do o[name] = value end
  return assert(mail.smtp.connect(o))
end

local function all_taken(smtp)
  local to = { "b@example.test", { address = "c@example.test", notify = "never", orcpt = true } }
  for _, body in ipairs { "", ".x\n", (".x"):rep(30000) .. "\n.\n", ((".y"):rep(30) .. "\r\n"):rep(30000) } do
    local receipt = assert(smtp:send { from = "a@example.test", to = to, message = "Subject: x\r\n\r\n" .. body,
      dsn = { ret = "hdrs", envid = "a b" } })
    assert.same({ "b@example.test", "c@example.test" }, receipt.accepted)
    assert.same({}, receipt.rejected)
  end
end

describe("smtp-sink", function()
  it("takes messages, XFORWARD and XCLIENT", function()
    local smtp = connect ""
    if not smtp then return end
    assert.is_true(smtp:has "XFORWARD")
    assert.is_true(smtp:xforward { name = "client.example", addr = "192.0.2.1", proto = "ESMTP", helo = false })
    all_taken(smtp)
    assert.is_true(smtp:xclient { name = "client.example", helo = "me.example" })
    all_taken(smtp)
    assert.is_true(smtp:noop())
    assert.is_true(smtp:quit())
  end)

  it("takes messages in LMTP", function()
    local smtp = connect("-L", { protocol = "lmtp" })
    if not smtp then return end
    all_taken(smtp)
    assert.is_true(smtp:quit())
  end)

  it("without PIPELINING and ESMTP is spoken to a step at a time", function()
    for _, flags in ipairs { "-p", "-e" } do
      local smtp = connect(flags)
      if not smtp then return end
      assert.is_false(smtp:has "PIPELINING")
      local receipt = assert(smtp:send { from = "a@example.test", to = { "b@example.test", "c@example.test" },
        message = "Subject: x\r\n\r\n" .. (".x\r\n"):rep(1000) })
      assert.equal(2, #receipt.accepted)
      assert.is_true(smtp:quit())
    end
  end)

  it("takes messages that several coroutines give in pieces, on one session", function()
    local smtp = connect ""
    if not smtp then return end
    local function source(count)
      return function()
        count = count - 1
        if count % 50 == 0 then loop.sleep(0.001) end
        return count >= 0 and ("x"):rep(998) .. "\r\n" or nil
      end
    end
    loop.run(function()
      local tasks = {}
      for i = 1, 12 do
        tasks[i] = loop.spawn(function()
          local message = i % 3 == 0 and "Subject: x\r\n\r\nx\r\n" or source(i % 3 == 1 and 2 or 2000)
          local receipt, err = smtp:send { from = "a@example.test", to = i .. "@example.test", message = message }
          assert.same({ i .. "@example.test" }, receipt and receipt.accepted, tostring(err))
        end)
      end
      for i = 1, 12 do tasks[i]:join() end
    end)
    assert.is_true(smtp:quit())
  end)
end)
