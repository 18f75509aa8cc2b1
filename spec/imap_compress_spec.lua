-- IMAP COMPRESS=DEFLATE (RFC 4978): against Dovecot and Cyrus over TLS and without, with large bodies both ways, and
-- against servers that refuse it or lie.

local imap = require "mail.imap"
local mailbox = require "spec.support.mailbox"
local scripted = require "spec.support.scripted"

local dovecot, no_dovecot = mailbox.server { imap_plugins = "imap_zlib" }
local cyrus, no_cyrus = mailbox.cyrus()

-- Text that compresses as mail does, the same in each run.
local function prose(size)
  local words, out, n, seed = { "alpha", "beta", "gamma", "delta", "epsilon", "zeta" }, {}, 0, 7
  while n < size do
    seed = (seed * 16807) % 2147483647
    local word = words[seed % 6 + 1] .. seed % 97 .. (seed % 11 == 0 and "\r\n" or " ")
    out[#out + 1], n = word, n + #word
  end
  return table.concat(out)
end

for name, server in pairs { Dovecot = dovecot or false, Cyrus = cyrus or false } do
  local real = mailbox.real(it, pending, server, no_dovecot or no_cyrus)

  describe("IMAP COMPRESS with " .. name, function()
    for _, mode in ipairs { "none", "starttls", "implicit" } do
      real("carries everything, tls = " .. mode, function()
        local session = mailbox.open(server, nil, mode, { compress = true })
        assert.is_table(session:deflate_count())
        local text = "Subject: x\r\n\r\n" .. prose(700000)
        for i = 1, 3 do assert(session:append("INBOX", "Subject: n" .. i .. "\n\nbody\n")) end
        assert(session:append("INBOX", text))
        assert(session:select "INBOX")
        local all = assert(session:fetch_all("1:*", { "flags", "envelope", "body" }))
        assert.equal(4, #all)
        assert.equal("n2", all[2].envelope.subject)
        assert.equal(text, all[4].body[""])
        local sum = 0
        for m in assert(session:fetch("4", { "body" }, { sink = function(_, _, chunk) sum = sum + #chunk end })) do
          assert.is_number(m.uid)
        end
        assert.equal(#text, sum)
        local n = session:deflate_count()
        assert.is_true(n.received * 2 < n.received_plain)
        assert.is_true(n.sent * 2 < n.sent_plain)
        assert.equal(mode ~= "none", session.tls ~= nil)
        assert.is_true(session:logout())
      end)
    end

    real("is begun by a call, and a second call is none", function()
      local session = mailbox.open(server)
      assert.is_nil(session:deflate_count())
      assert.is_true(session:compress())
      assert.is_true(session:noop())
      assert.is_true(session:compress())
      assert.is_true(session:noop())
      session:logout()
    end)

    real("works in the middle of other calls' commands, and below IDLE", function()
      mailbox.inside(function()
        local loop = require "mail.loop"
        local session, user = mailbox.open(server)
        assert(session:select "INBOX")
        local tasks = {}
        for i = 1, 10 do
          tasks[i] = loop.spawn(function()
            if i == 5 then return assert(session:compress()) end
            return assert(session:status("INBOX", { "messages" }))
          end)
        end
        for i = 1, 10 do assert.is_truthy(tasks[i]:join()) end
        assert.is_table(session:deflate_count())
        local other = mailbox.open(server, user)
        loop.spawn(function()
          assert(other:append("INBOX", "Subject: x\n\nbody\n"))
          other:logout()
        end)
        local it, exists = assert(session:idle { timeout = 15 }), nil
        repeat
          local event = assert(it:next())
          if event.type == "exists" then exists = event.exists end
        until exists
        assert.equal(1, exists)
        it:close()
        session:logout()
      end)
    end)
  end)
end

local OFFER = "COMPRESS=DEFLATE"

describe("IMAP COMPRESS", function()
  it("is not asked of a server that does not offer it", function()
    scripted.run(function(peer)
      mailbox.admit(peer)
      peer:rest()
    end, function(port)
      local session = assert(mailbox.dial(port, { compress = true }))
      local ok, err = session:compress()
      assert.is_nil(ok)
      assert.equal("unsupported", err.kind)
      session:close()
    end)
  end)

  it("is done without where the server refuses it", function()
    scripted.run(function(peer)
      mailbox.admit(peer, OFFER)
      for _ = 1, 2 do
        mailbox.answer(peer, "^COMPRESS DEFLATE$", nil, "NO [COMPRESSIONACTIVE] TLS does it")
      end
      mailbox.answer(peer, "^NOOP$")
      peer:rest()
    end, function(port)
      local session = assert(mailbox.dial(port, { compress = true }))
      assert.is_nil(session:deflate_count())
      local ok, err = session:compress()
      assert.is_nil(ok)
      assert.equal("rejected", err.kind)
      assert.equal("COMPRESSIONACTIVE", err.response_code)
      assert.equal("COMPRESS", err.command)
      assert.is_true(session:noop())
      session:close()
    end)
  end)

  it("ends the session where what follows is no DEFLATE", function()
    scripted.run(function(peer)
      mailbox.admit(peer, OFFER)
      mailbox.answer(peer, "^COMPRESS DEFLATE$", nil, "OK\r\n* 99 EXISTS")
      peer:rest()
    end, function(port)
      local session, err = mailbox.dial(port)
      assert(session, tostring(err))
      local ok
      ok, err = session:compress()
      if ok then ok, err = session:noop() end
      assert.is_nil(ok)
      assert.equal("protocol", err.kind)
      ok, err = session:noop()
      assert.is_nil(ok)
      assert.equal("closed", err.kind)
    end)
  end)

  it("ends the session where the peer's stream is cut", function()
    scripted.run(function(peer)
      mailbox.admit(peer, OFFER)
      mailbox.answer(peer, "^COMPRESS DEFLATE$")
      peer:some()
    end, function(port)
      local session = assert(mailbox.dial(port, { compress = true }))
      local ok, err = session:noop()
      assert.is_nil(ok)
      assert.equal("closed", err.kind)
    end)
  end)

  it("is no command of imap:command", function()
    scripted.run(function(peer)
      mailbox.admit(peer, OFFER)
      peer:rest()
    end, function(port)
      local session = assert(mailbox.dial(port))
      local function raw() session:command("COMPRESS", imap.atom "DEFLATE") end
      mailbox.raises("imap_compress_spec.lua", raw, "compress")
      session:close()
    end)
  end)
end)
