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

-- Text as blocks of a DEFLATE stream that are not compressed (RFC 1951 §3.2.4); `last`: it ends there.
local function stored(text, last)
  local low, high = #text % 256, math.floor(#text / 256)
  return string.char(last and 1 or 0, low, high, 255 - low, 255 - high) .. text
end

-- Text, and its last octet 258 times over for each of `n` (RFC 1951 §3.2.6): 13 bits for 258 octets.
local function repeated(text, n)
  local out, octet, bits = {}, 0, 0
  local function bit(one)
    octet, bits = octet + one * 2 ^ bits, bits + 1
    if bits == 8 then
      out[#out + 1] = string.char(octet)
      octet, bits = 0, 0
    end
  end
  local function code(value, length)
    for i = length - 1, 0, -1 do bit(math.floor(value / 2 ^ i) % 2) end
  end
  code(2, 3) -- a block of fixed codes, not the last
  for i = 1, #text do code(0x30 + text:byte(i), 8) end
  for _ = 1, n do
    code(0xC5, 8)
    code(0, 5)
  end
  code(0, 7) -- its end
  return table.concat(out)
end

-- The tag of the next command.
local function behind(tag)
  local prefix, number = tag:match "^(%a+)(%d+)$"
  return prefix .. ("%.0f"):format(tonumber(number) + 1)
end

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

  it("ends the session, or the wait, at whatever a stream may do in the middle of an answer", function()
    local function list(session) return session:list "*" end
    local function fetch(session) return session:fetch_all("1:*", { "uid", "body" }) end
    local function pour(session)
      return session:fetch_all("1:*", { "uid", "body" }, { sink = function() return true end })
    end
    local LIST, BODY = '* LIST () "/" {100}\r\nabc', "* 1 FETCH (UID 1 BODY[] {%.0f}\r\nabc"
    local CASES = {
      { stored "* OK x\r\n" .. "\7\7\7\7\7", "protocol" }, -- no block
      { stored(LIST, true), "closed", list }, -- the stream ends, the connection does not
      { stored(BODY:format(100000), true), "closed", fetch },
      { stored(BODY:format(100000), true), "closed", pour },
      { stored("* OK x\r\n", true) .. "* OK y\r\n", "protocol" }, -- something behind its end
      { stored(LIST), "closed", list, true }, -- the connection ends, the stream does not
      { stored(LIST):sub(1, 9), "closed", list, true },
      { stored(""):rep(1000), "timeout" }, -- blocks with nothing in them
      { repeated("* OK x", 5000), "limit" },
      { repeated('* LIST () "/" {9000000}\r\nx', 100), "limit", list },
      { repeated(BODY:format(90000000), 100), "limit", fetch },
      { repeated(BODY:format(900000000), 10000), "timeout", pour },
    }
    for i, case in ipairs(CASES) do
      scripted.run(function(peer)
        mailbox.admit_selected(peer, OFFER, 3)
        mailbox.answer(peer, "^COMPRESS DEFLATE$")
        peer:some()
        peer:send(case[1])
        if not case[4] then peer:rest() end
      end, function(port)
        local session = assert(mailbox.dial(port, { timeout = 0.5 }))
        assert(session:select "INBOX")
        assert(session:compress())
        local ok, err = (case[3] or session.noop)(session)
        assert.is_nil(ok)
        assert.equal(case[2], err.kind, i .. ": " .. tostring(err))
        session:close()
      end)
    end
    local heard
    scripted.run(function(peer)
      mailbox.admit_selected(peer, OFFER, 3)
      local tag = behind(mailbox.answer(peer, "^COMPRESS DEFLATE$"))
      peer:some()
      peer:send(stored("* 4 EXISTS\r\n" .. tag .. " OK no"))
      peer:send(stored "op\r\n")
      peer:rest()
    end, function(port)
      local session = assert(mailbox.dial(port))
      assert(session:select "INBOX")
      assert(session:compress())
      session:on("exists", function(event) heard = event.exists end)
      assert.is_true(session:noop())
      session:close()
    end)
    assert.equal(4, heard)
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
