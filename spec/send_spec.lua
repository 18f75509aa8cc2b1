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

  it("composes where this library can, and says so where it cannot", function()
    local found = package.loaded["mail.message"]
    package.loaded["mail.message"] = { new = function(parts)
      return { source = function()
        local text = ("From: %s\r\nTo: %s\r\nSubject: %s\r\n\r\n%s\r\n"):format(parts.from, parts.to, parts.subject,
          parts.text)
        return function()
          local piece = text
          text = nil
          return piece
        end
      end }
    end }
    local seen
    local pool = { send = function(_, letter) seen = letter return { accepted = {} } end }
    local ok, why = pcall(mail.send, { smtp = pool, from = "ann@example.test", to = "bob@example.test", subject = "s",
      text = "t", require_tls = true })
    package.loaded["mail.message"] = nil
    assert.is_true(ok, why)
    assert.matches("Subject: s\r\n\r\nt\r\n$", seen.message:source()())
    assert.is_nil(seen.from)
    assert.is_true(seen.require_tls)
    if not pcall(require, "mail.message") then
      local none, err = mail.send { smtp = pool, from = "ann@example.test", to = "bob@example.test", text = "t" }
      assert.is_nil(none)
      assert.equal("unsupported", err.kind)
    end
    package.loaded["mail.message"] = found
  end)

  it("raises for misuse at the caller's line", function()
    for _, bad in ipairs { { from = "a@b" }, { smtp = {}, message = LETTER, subject = "x" }, { smtp = {} },
      { smtp = {}, message = LETTER, subjct = "x" } } do
      local ok, why = pcall(function() return (mail.send(bad)) end)
      assert.is_false(ok)
      assert.matches("send_spec%.lua:%d+: mail%.send: ", why)
    end
  end)
end)
