-- mail.send: one call for everything, over options, a session and a pool.
local mail = require "mail"
local servers = require "spec.servers"

local function exim()
  local s, why = servers.exim { users = 3 }
  if not s then pending(why) end
  return s
end

local LETTER = "From: ann@example.test\r\nSubject: one call\r\n\r\nhello\r\n"

describe("mail.send", function()
  it("connects, sends and ends by itself", function()
    local s = exim()
    if not s then return end
    local user = s:add_user()
    local to = user.name .. "@example.test"
    local receipt = assert(mail.send {
      smtp = { host = "localhost", port = s.ports.submissions, user = s.user, password = s.password,
        ssl = { ca_file = s.ca_file }, timeout = 20 },
      from = "ann@example.test", to = { to }, message = LETTER,
    })
    assert.same({ to }, receipt.accepted)
    assert.is_string(receipt.queue_id)
    assert.equal(1, #s:messages(user, 1))
  end)

  it("uses a session or a pool and leaves it open", function()
    local s = exim()
    if not s then return end
    local o = { host = "localhost", port = s.ports.smtp, tls = "none", timeout = 20 }
    local user = s:add_user()
    local to = user.name .. "@example.test"
    for _, where in ipairs { assert(mail.smtp.connect(o)), mail.smtp.pool(o) } do
      for _ = 1, 2 do assert(mail.send { smtp = where, from = "ann@example.test", to = to, message = LETTER }) end
      where:close()
    end
    assert.equal(4, #s:messages(user, 4))
  end)

  it("takes the envelope from the message where it is not given", function()
    local s = exim()
    if not s then return end
    local to = s:add_user().name .. "@example.test"
    local receipt = assert(mail.send { smtp = { host = "localhost", port = s.ports.smtp, tls = "none" },
      message = "To: " .. to .. "\r\n" .. LETTER })
    assert.same({ to }, receipt.accepted)
  end)

  it("says what the server, or nobody, said", function()
    local s = exim()
    if not s then return end
    local smtp = { host = "localhost", port = s.ports.smtp, tls = "none" }
    local none, err = mail.send { smtp = smtp, from = "a@example.test", to = "nosuchuser@example.test",
      message = LETTER }
    assert.is_nil(none)
    assert.equal(550, err.code)
    none, err = mail.send { smtp = { host = "127.0.0.1", port = 1, tls = "none" }, from = "a@example.test",
      to = "b@example.test", message = LETTER }
    assert.is_nil(none)
    assert.equal("connect", err.kind)
  end)

  it("composes a message of its fields, and leaves the others to the session", function()
    local seen
    local pool = { send = function(_, letter) seen = letter return { accepted = {} } end }
    assert(mail.send { smtp = pool, from = "ann@example.test", to = "bob@example.test", bcc = "cy@example.test",
      subject = "s", text = "t", require_tls = true })
    assert.matches("Subject: s\r\n.*\r\n\r\nt\r\n$", seen.message:tostring())
    assert.is_nil(seen.from)
    assert.is_nil(seen.to)
    assert.same({ from = "ann@example.test", to = { "bob@example.test", "cy@example.test" } }, seen.message:envelope())
    assert.is_true(seen.require_tls)
  end)

  it("says what cannot be composed, before it connects", function()
    for _, field in ipairs { "subject", "text", "to", "bcc", "in_reply_to" } do
      local letter = { smtp = { host = "127.0.0.1", port = 1, tls = "none" }, from = "a@x.org", to = "b@x.org",
        text = "t" }
      letter[field] = "\255\r\n"
      local none, err = mail.send(letter)
      assert.is_nil(none)
      assert.equal("invalid", err.kind)
    end
  end)

  it("raises for misuse at the caller's line", function()
    for _, bad in ipairs { { from = "a@b" }, { smtp = {}, message = LETTER, subject = "x" }, { smtp = {} },
      { smtp = {}, message = LETTER, subjct = "x" }, { smtp = {}, text = "x" },
      { smtp = {}, from = "a@x.org", to = "b@x.org", text = 1 },
      { smtp = {}, from = "a@x.org", to = { 1 }, text = "x" },
      { smtp = {}, from = "a@x.org", to = "b@x.org", text = "x", attachments = { { wrong = 1 } } },
      { smtp = {}, from = "a@x.org", to = "b@x.org", text = "x", attachments = { {} } },
      { smtp = {}, from = "a@x.org", to = "b@x.org", text = "x", headers = { 1 } },
      { smtp = {}, from = "a@x.org", to = "b@x.org", text = "x" },
      { smtp = { host = "127.0.0.1", hots = 1 }, from = "a@x.org", to = "b@x.org", text = "x" },
      { smtp = "http://127.0.0.1", from = "a@x.org", to = "b@x.org", text = "x" },
      { smtp = { host = "127.0.0.1", limits = { nothing = 1 } }, from = "a@x.org", to = "b@x.org", text = "x" },
      { smtp = {}, from = "a@x.org", to = "b@x.org", text = "x", list = { id = 1 } },
      { smtp = io.stdout, from = "a@x.org", to = "b@x.org", text = "x" },
      { smtp = mail.imap.session(), from = "a@x.org", to = "b@x.org", text = "x" } } do
      local ok, why = pcall(function() return (mail.send(bad)) end)
      assert.is_false(ok)
      assert.matches("send_spec%.lua:%d+: mail%.send: ", why)
    end
  end)
end)
