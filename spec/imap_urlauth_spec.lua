-- IMAP URLs: GENURLAUTH, RESETKEY, URLFETCH against Dovecot; forms of RFC 5524 and JMAPACCESS against
-- a scripted server.

local mailbox = require "spec.support.mailbox"
local scripted = require "spec.support.scripted"

local dovecot, missing = mailbox.server { extra = "imap_urlauth_host = localhost\n" }
local cyrus, no_cyrus = mailbox.cyrus()
local real = mailbox.real(it, pending, dovecot, missing)
local on_cyrus = mailbox.real(it, pending, cyrus, no_cyrus)

describe("IMAP URLs", function()
  real("are made, followed, and made worthless", function()
    local session, user = mailbox.with(dovecot, { "Subject: x\n\nbody of it\n" })
    local what = { user = user.name, host = "localhost", mailbox = "INBOX", uid = 1, section = "TEXT", access = "user+"
      .. user.name }
    local address = assert(session:genurlauth(what))
    assert.matches("^imap://" .. user.name .. "@localhost/INBOX/;UID=1/;SECTION=TEXT;URLAUTH=user%+", address)
    assert.matches(":internal:%x+$", address:lower())
    local text = "imap://" .. user.name .. "@localhost/INBOX/;UID=1;URLAUTH=user+" .. user.name
    assert.matches(":internal:", assert(session:genurlauth(text, { mechanism = "INTERNAL" })):lower())
    assert.is_true(session:resetkey "INBOX")
    assert.is_true(session:resetkey("INBOX", { mechanism = "INTERNAL" }))
    assert.is_true(session:resetkey())
    assert.is_not.equal(address, (assert(session:genurlauth(what))))
    what.user = "somebody"
    local made, err = session:genurlauth(what)
    assert.is_nil(made)
    assert.equal("rejected", err.kind)
    session:logout()
  end)

  on_cyrus("are made and followed by Cyrus", function()
    local session, user = mailbox.with(cyrus, { "Subject: x\nContent-Transfer-Encoding: base64\n\nYm9keQ==\n" })
    local what = { user = user.name, host = "localhost", mailbox = "INBOX", uid = 1, section = "TEXT" }
    local address = assert(session:genurlauth(what))
    assert.equal("Ym9keQ==\r\n", (assert(session:urlfetch(address))))
    assert.is_true(session:resetkey "INBOX")
    assert.is_false((session:urlfetch(address)))
    session:logout()
  end)

  it("are followed: octets, NIL, and what RFC 5524 puts around them", function()
    scripted.run(function(peer)
      mailbox.admit(peer, "URLAUTH URLAUTH=BINARY JMAPACCESS")
      mailbox.answer(peer, '^URLFETCH "?imap://a"? "?imap://b"?$',
        '* URLFETCH "imap://a" {5}\r\nhello "imap://b" NIL\r\n')
      mailbox.answer(peer, '^URLFETCH "?imap://a"?$', '* URLFETCH "imap://a" "hello"\r\n')
      mailbox.answer(peer, '^URLFETCH "?imap://b"?$', '* URLFETCH "imap://b" NIL\r\n')
      mailbox.answer(peer, '^URLFETCH %("?imap://a"? BINARY%) %("?imap://b"? BINARY%)$',
        '* URLFETCH "imap://a" (BODYPARTSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1)) (BINARY ~{3}\r\na\0b) '
        .. '"imap://b" (BINARY NIL)\r\n')
      mailbox.answer(peer, "^GETJMAPACCESS$", '* JMAPACCESS "https://jmap.example.com/.well-known/jmap"\r\n')
      mailbox.answer(peer, "^GETJMAPACCESS$")
      peer:rest()
    end, function(port)
      local session = assert(mailbox.dial(port))
      assert.same({ ["imap://a"] = "hello", ["imap://b"] = false }, assert(session:urlfetch { "imap://a", "imap://b" }))
      assert.equal("hello", (session:urlfetch "imap://a"))
      assert.is_false((session:urlfetch "imap://b"))
      assert.same({ ["imap://a"] = "a\0b", ["imap://b"] = false },
        assert(session:urlfetch({ "imap://a", "imap://b" }, { binary = true })))
      assert.equal("https://jmap.example.com/.well-known/jmap", (assert(session:getjmapaccess())))
      local address, err = session:getjmapaccess()
      assert.is_nil(address)
      assert.equal("protocol", err.kind)
      session:close()
    end)
  end)

  real("are unsupported where the server lacks them; wrong arguments raise at the caller's line", function()
    local plain = assert(mailbox.server { extra = "imap_capability = IMAP4rev1\n" })
    local session = mailbox.with(plain, {})
    local calls = { genurlauth = "imap://x", resetkey = "x", urlfetch = "imap://x", getjmapaccess = {} }
    for method, argument in pairs(calls) do
      local result, err = session[method](session, argument)
      assert.is_nil(result)
      assert.equal("unsupported", err.kind)
    end
    local function raises(pattern, method, ...)
      local arguments = { n = select("#", ...), ... }
      mailbox.raises("imap_urlauth_spec.lua", function()
        session[method](session, (table.unpack or unpack)(arguments, 1, arguments.n)) -- luacheck: ignore
        return nil
      end, pattern)
    end
    raises("URL or a table", "genurlauth", 5)
    raises("field", "genurlauth", { user = "x" })
    raises("mailbox", "resetkey", 5)
    raises("mechanism", "resetkey", nil, { mechanism = "INTERNAL" })
    raises("URL", "urlfetch", {})
    raises("URL", "urlfetch", { 5 })
    session:logout()
  end)
end)
