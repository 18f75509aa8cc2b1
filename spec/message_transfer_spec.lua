-- Messages straight out of a transfer: what Dovecot hands over by IMAP and POP3, whole and in pieces, is read
-- as the same message that was put there.

local mail = require "mail"
local mailbox = require "spec.support.mailbox"

local dovecot, missing = mailbox.server()
local real = mailbox.real(it, pending, dovecot, missing)

local slurp = require "spec.support.files".slurp

-- Messages that a mail store keeps octet for octet: lines in CRLF, no NUL; and a large one.
local function texts()
  local list = {}
  for name in pairs(dofile "spec/data/mime/expected.lua") do
    local text = slurp("spec/data/mime/" .. name .. ".eml")
    local odd = text:gsub("\r\n", ""):find "[\r\n]" or text:find("\0", 1, true)
    if not odd and text:find "\r\n\r\n" and text:sub(-2) == "\r\n" then
      list[#list + 1] = text
    end
  end
  table.sort(list)
  list[#list + 1] = "Subject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    .. "--b\r\n\r\n.\r\n..dots\r\n--b\r\nContent-Transfer-Encoding: base64\r\n"
    .. "Content-Disposition: attachment; filename=x\r\n\r\n"
    .. (("QUFB"):rep(19) .. "\r\n"):rep(20000) .. "--b--\r\n"
  return list
end

-- What two readings of one message have in common.
local function shown(msg)
  local leaves = {}
  for p in msg:walk() do leaves[#leaves + 1] = { p.type, p.filename, p:body() } end
  return { msg.subject, msg.date, msg.from, msg:text(), leaves, #msg.defects, msg:raw() }
end

-- A sink that feeds a reader, and what the reader told: kinds in a row, and the octets of bodies.
local function reading()
  local reader, kinds, octets = mail.message.reader(), {}, 0
  local function take()
    while true do
      local kind, data = reader:next()
      if not kind then return end
      if kind == "body" then octets = octets + #data else kinds[#kinds + 1] = kind end
    end
  end
  return {
    take = function(piece)
      if piece then reader:feed(piece) else reader:finish() end
      take()
      return true
    end,
    told = function() return { table.concat(kinds, " "), octets } end,
  }
end

local function told_of(text)
  local r = reading()
  r.take(text)
  r.take(nil)
  return r.told()
end

describe("a message out of a transfer", function()
  local list = texts()

  it("is one of many", function() assert.is_true(#list > 100) end)

  real("is what was put there (IMAP)", function()
    local session = mailbox.with(dovecot, list)
    local seen = 0
    local fetched = assert(session:fetch("1:*", { "uid", "body" }))
    for m in function() return fetched:next() end do
      seen = seen + 1
      assert.same(shown(mail.message.parse(list[m.uid])), shown(m:message()))
    end
    assert.equal(#list, seen)
    assert.is_nil(assert(session:fetch_all(1, { "uid", "headers", "body" }, { sink = function() return true end }))[1]
      :message())
    session:logout()
  end)

  real("can be read while it arrives (IMAP)", function()
    local session = mailbox.with(dovecot, { list[1], list[#list] })
    local readings = {}
    assert(session:fetch_all("1:2", { "uid", "body" }, { sink = function(m, _, chunk)
      local key = m.seq or m.uid
      readings[key] = readings[key] or reading()
      return readings[key].take(chunk)
    end }))
    for i, text in ipairs { list[1], list[#list] } do
      readings[i].take(nil)
      assert.same(told_of(text), readings[i].told())
    end
    session:logout()
  end)

  real("is what was put there, whole and while it arrives (POP3)", function()
    local session, user = mailbox.with(dovecot, list)
    session:logout()
    local pop = assert(mail.pop3.connect { host = "localhost", port = dovecot.ports.pop3, tls = "none", timeout = 20,
      allow_plaintext_login = true, user = user.name, password = user.password })
    local messages = pop:messages()
    for i, text in ipairs(list) do
      local m = assert(messages:next())
      assert.equal(i, m.number)
      assert.same(shown(mail.message.parse(text)), shown(assert(m:message())))
    end
    local r = reading()
    assert(pop:retr(#list, r.take))
    assert.same(told_of(list[#list]), r.told())
    pop:quit()
  end)

  real("goes on as it is: appended, stored, sent", function()
    local text = list[1]
    local session, user = mailbox.with(dovecot, { text })
    local pop = assert(mail.pop3.connect { host = "localhost", port = dovecot.ports.pop3, tls = "none", timeout = 20,
      allow_plaintext_login = true, user = user.name, password = user.password })
    local lmtp = assert(mail.smtp.connect { host = "localhost", port = dovecot.ports.lmtp, tls = "none",
      protocol = "lmtp" })
    local folder = os.tmpname()
    os.remove(folder)
    local kept = assert(mail.maildir.open(folder, { create = true }))
    for _, m in ipairs { session:fetch_all("1", { "body" })[1], (pop:messages():next()) } do
      local uid = assert(session:append("INBOX", m, { flags = { "\\Seen" } })).uid
      assert.equal(text, session:fetch_all(uid, { "body" })[1].body[""])
      assert.equal(text, kept:get(assert(kept:add(m))):string())
      assert.same({ user.address }, assert(lmtp:send { from = "a@b.test", to = user.address, message = m }).accepted)
    end
    local ok, err = session:append("INBOX", session:fetch_all(1, { "body" }, { sink = function() end })[1])
    assert.is_nil(ok)
    assert.same({ "io", "APPEND" }, { err.kind, err.command })
    assert.is_true(session:noop())
    for _, one in ipairs { lmtp, pop } do one:quit() end
    session:logout()
    os.execute("rm -r '" .. folder .. "'")
  end)
end)
