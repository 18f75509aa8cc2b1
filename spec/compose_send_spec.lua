-- Composed messages on their way: sent through Exim, put into Dovecot, and read again.

local mail = require "mail"
local mailbox = require "spec.support.mailbox"
local servers = require "spec.servers"

local function by_chunks(text, size)
  local at = 1
  return function()
    if at > #text then return nil end
    at = at + size
    return text:sub(at - size, at - 1)
  end
end

local BINARY = ("\0\r\n.\r\n\255\n"):rep(20000)

local function composed(to, more)
  local options = {
    from = "Änn <ann@example.test>", to = "Bob <" .. to .. ">", subject = "Grüße",
    text = ".\nA dot, and ü.\nFrom here\n", html = "<p>ü</p>",
    attachments = { { name = "blob.bin", source = by_chunks(BINARY, 1000), size = #BINARY } },
  }
  for name, value in pairs(more or {}) do options[name] = value end
  return assert(mail.message.new(options))
end

-- What was received is what was composed.
local function check(text)
  local m = mail.message.parse(text)
  assert.equal("Grüße", m.subject)
  assert.equal("Änn", m.from[1].name)
  assert.equal(".\nA dot, and ü.\nFrom here\n", m:text())
  assert.equal("<p>ü</p>", m:html())
  assert.equal(BINARY, m:attachments()[1].data())
  assert.is_nil(m:header "Bcc")
end

describe("a composed message", function()
  it("goes out by SMTP to all, those in Bcc included, who stand nowhere in it", function()
    local s, why = servers.exim { users = 3 }
    if not s then return pending(why) end
    local smtp = assert(mail.smtp.connect { host = "localhost", port = s.ports.smtp, tls = "none", timeout = 20 })
    local open, secret = s:add_user(), s:add_user()
    local message = composed(open.address, { bcc = "Secret <" .. secret.address .. ">" })
    local receipt = assert(smtp:send { message = message })
    assert.same({ open.address, secret.address }, receipt.accepted)
    smtp:quit()
    for _, user in ipairs { open, secret } do
      local text = s:messages(user, 1)[1]
      check(text)
      local from = text:find "\nFrom: " or text:find "From: "
      assert.is_nil(text:find("Secret", from, true))
    end
  end)

  it("is made and sent in one call by mail.send", function()
    local s, why = servers.exim { users = 3 }
    if not s then return pending(why) end
    local user, secret = s:add_user(), s:add_user()
    local receipt = assert(mail.send {
      smtp = { host = "localhost", port = s.ports.smtp, tls = "none", timeout = 20 },
      from = "Änn <ann@example.test>", to = user.address, bcc = secret.address, subject = "Grüße",
      text = ".\nA dot, and ü.\nFrom here\n", html = "<p>ü</p>",
      attachments = { { name = "blob.bin", data = BINARY } }, list = { unsubscribe = "leave@example.test" },
    })
    assert.same({ user.address, secret.address }, receipt.accepted)
    check(s:messages(user, 1)[1])
    check(s:messages(secret, 1)[1])
  end)

  it("is refused where it names nobody, before anything is sent", function()
    local s, why = servers.exim { users = 3 }
    if not s then return pending(why) end
    local smtp = assert(mail.smtp.connect { host = "localhost", port = s.ports.smtp, tls = "none", timeout = 20 })
    local receipt, err = smtp:send { message = assert(mail.message.new { from = "a@example.test", text = "x" }) }
    assert.is_nil(receipt)
    assert.equal("invalid", err.kind)
    assert.is_true(smtp:noop())
    smtp:quit()
  end)

  it("lends its addresses to another envelope, as they stand in it: groups, and an array with the sender", function()
    local s, why = servers.exim { users = 3 }
    if not s then return pending(why) end
    local first, second = s:add_user().address, s:add_user().address
    local message = mail.message.parse(("From: a@example.test\nTo: %s\nCc: Team: %s, %s;\n\nx\n")
      :format(first, first, second))
    local options = { host = "localhost", port = s.ports.smtp, tls = "none", timeout = 20 }
    local smtp = assert(mail.smtp.connect(options))
    local pool = mail.smtp.pool(options)
    for _, one in ipairs { smtp, pool } do
      local to = { message.to[1], message.cc[1] }
      assert.same({ first, first, second },
        assert(one:send { from = message.from, to = to, message = message }).accepted)
      assert.equal("Team", to[2].group)
      assert.same({ first, second }, assert(one:send { to = message.cc, message = message }).accepted)
      assert.same({ second }, assert(one:send {
        from = "a@example.test", to = { group = "Team", members = { message.cc[1].members[2] } }, message = message,
      }).accepted)
      local nobody = { { group = "none", members = {} } }
      local receipt, err = one:send { from = "a@example.test", to = nobody, message = message }
      assert.is_nil(receipt)
      assert.equal("invalid", err.kind)
    end
    local ok, misuse = pcall(smtp.send, smtp, { from = "a@example.test", to = { { members = { 5 } } }, message = "x" })
    assert.is_false(ok)
    assert.matches("'to' must hold addresses", misuse)
    pool:close()
    smtp:quit()
  end)

  it("goes into a mailbox by IMAP, streamed, its size told ahead", function()
    local s, why = mailbox.server()
    if not s then return pending(why) end
    local session = mailbox.with(s, {})
    assert(session:append("INBOX", composed "bob@example.test"))
    assert(session:select "INBOX")
    local all = assert(session:fetch_all("*", { "body", "envelope" }, { seq = true }))
    check(all[1].body[""])
    assert.equal("Grüße", all[1].envelope.subject)
    session:logout()
  end)
end)
