-- One message in several transactions: LIMITS (RFC 9422), servers that say "too many recipients" when it is
-- too late, and the receipts merged into one. The server is a script.
local mail = require "mail"
local Err = require "mail.err"
local loop = require "mail.loop"
local smtp_peer = require "spec.support.smtp_peer"

local TEXT = "Subject: x\r\n\r\nhello\r\n"

local function recipients(n, domains)
  local list = {}
  for i = 1, n do list[i] = ("u%d@%s.example"):format(i, "d" .. (domains and (i - 1) % domains + 1 or 1)) end
  return list
end

-- The recipients of each transaction, as the server heard them.
local function transactions(peer)
  local list = {}
  for _, line in ipairs(peer.lines) do
    if line:find("^MAIL") then list[#list + 1] = {} end
    local address = line:match("^RCPT TO:<(.-)>")
    if address then table.insert(list[#list], address) end
  end
  return list
end

local function connected(peer, act)
  return smtp_peer.run(peer, function(port)
    local smtp = assert(mail.smtp.connect { host = "127.0.0.1", port = port, tls = "none", timeout = 10,
      helo = "me.example" })
    local a, b = act(smtp)
    smtp:close()
    return a, b
  end)
end

local function send_to(peer, to, message)
  return connected(peer, function(smtp)
    return smtp:send { from = "ann@example.com", to = to, message = message or TEXT }
  end)
end

describe("RCPTMAX", function()
  it("splits the recipients, and the receipts are one", function()
    for _, chunking in ipairs { "X", "CHUNKING" } do
      local peer = smtp_peer.new { "PIPELINING", "LIMITS RCPTMAX=4", chunking }
      local to = recipients(10)
      local receipt = assert(send_to(peer, to))
      assert.same({ 4, 4, 2 }, { #transactions(peer)[1], #transactions(peer)[2], #transactions(peer)[3] })
      assert.same(to, receipt.accepted)
      assert.same({}, receipt.rejected)
      assert.is_string(receipt.queue_id)
      assert.same({ TEXT, TEXT, TEXT }, peer.messages)
    end
  end)

  it("sends a composed message whole in each, though a source of it can be read but once", function()
    local peer, left = smtp_peer.new { "PIPELINING", "LIMITS RCPTMAX=1" }, { "abc", "def" }
    local message = assert(mail.message.new { from = "ann@example.com", to = recipients(2), text = "x\n",
      attachments = { { source = function() return table.remove(left, 1) end, name = "a.bin" } } })
    local receipt = assert(send_to(peer, recipients(2), message))
    assert.same({}, receipt.rejected)
    assert.equal(2, #peer.messages)
    assert.equal(peer.messages[1], peer.messages[2])
    assert.equal("abcdef", mail.message.parse(peer.messages[2]):attachments()[1].data())
  end)

  it("leaves alone what fits", function()
    local peer = smtp_peer.new { "PIPELINING", "LIMITS RCPTMAX=10 FOO=bar MAILMAX=x" }
    assert(send_to(peer, recipients(10)))
    assert.equal(1, #transactions(peer))
  end)

  it("tells of each recipient, whichever transaction it was in", function()
    local peer = smtp_peer.new { "PIPELINING", "LIMITS RCPTMAX=2", answer = function(line)
      if line:find("u2@", 1, true) then return "550 5.1.1 no u2" end
      if line:find("u3@", 1, true) or line:find("u4@", 1, true) then return "450 4.2.0 later" end
    end }
    local receipt = assert(send_to(peer, recipients(5)))
    assert.same({ "u1@d1.example", "u5@d1.example" }, receipt.accepted)
    assert.equal(550, receipt.rejected["u2@d1.example"].code)
    assert.equal(450, receipt.rejected["u3@d1.example"].code)
    assert.equal(450, receipt.rejected["u4@d1.example"].code)
    assert.is_true(Err.is(receipt.rejected["u4@d1.example"]))
    assert.is_nil(receipt.err)
  end)

  it("where all are refused is an error that tells of each", function()
    local peer = smtp_peer.new { "PIPELINING", "LIMITS RCPTMAX=2", answer = function(line)
      return line:find("^RCPT") and "550 5.1.1 no" or line:find("^DATA") and "503 5.5.1 nobody" or nil
    end }
    local receipt, err = send_to(peer, recipients(3))
    assert.is_nil(receipt)
    assert.equal("rejected", err.kind)
    for i = 1, 3 do assert.equal(550, err.rejected[("u%d@d1.example"):format(i)].code) end
  end)

  it("where the message itself is refused is an error that tells of each, and is not its own cause", function()
    local peer = smtp_peer.new { "PIPELINING", "LIMITS RCPTMAX=2", answer = function(line, n)
      return line:find("u2@", 1, true) and "550 5.1.1 no" or line:find("^DATA") and "554 5.6.0 no " .. n or nil
    end }
    local receipt, err = send_to(peer, recipients(4))
    assert.is_nil(receipt)
    assert.same({ "rejected", "DATA", 554 }, { err.kind, err.command, err.code })
    local rejected = err.rejected
    assert.same({ nil, 550, 554, 554 }, { rejected["u1@d1.example"], rejected["u2@d1.example"].code,
      rejected["u3@d1.example"].code, rejected["u4@d1.example"].code })
    assert.equal(rejected["u3@d1.example"], rejected["u4@d1.example"])
    assert.not_equal(err.text, rejected["u3@d1.example"].text)
  end)

  it("keeps a message that comes but once, and opens a file again", function()
    local peer = smtp_peer.new { "PIPELINING", "LIMITS RCPTMAX=1" }
    local pieces = { "Subject: x\r\n", "\r\nhel", "lo\r\n" }
    assert(send_to(peer, recipients(2), function() return table.remove(pieces, 1) end))
    assert.same({ TEXT, TEXT }, peer.messages)
    local path = os.tmpname()
    local file = assert(io.open(path, "w+b"))
    file:write("skipped\n", TEXT)
    file:seek("set", 8)
    peer = smtp_peer.new { "PIPELINING", "CHUNKING", "LIMITS RCPTMAX=1" }
    assert(send_to(peer, recipients(3), file))
    file:close()
    os.remove(path)
    assert.same({ TEXT, TEXT, TEXT }, peer.messages)
  end)

  it("is obeyed by a list of messages too", function()
    local peer = smtp_peer.new { "PIPELINING", "LIMITS RCPTMAX=2" }
    local results = connected(peer, function(smtp)
      return smtp:send { { from = "a@b.example", to = recipients(3), message = TEXT },
        { from = "a@b.example", to = recipients(1), message = TEXT } }
    end)
    assert.equal(3, #results[1].accepted)
    assert.equal(1, #results[2].accepted)
    assert.equal(3, #peer.messages)
  end)

  it("ends at a connection that goes down: the others are told so", function()
    local peer = smtp_peer.new { "PIPELINING", "LIMITS RCPTMAX=2", answer = function(line)
      return line:find("u3@", 1, true) and "close" or nil
    end }
    local receipt = assert(send_to(peer, recipients(6)))
    assert.same({ "u1@d1.example", "u2@d1.example" }, receipt.accepted)
    for i = 3, 6 do assert.equal("closed", receipt.rejected[("u%d@d1.example"):format(i)].kind) end
  end)
end)

describe("RCPTDOMAINMAX", function()
  it("keeps domains apart", function()
    local peer = smtp_peer.new { "PIPELINING", "LIMITS RCPTDOMAINMAX=1 RCPTMAX=3" }
    local receipt = assert(send_to(peer, recipients(10, 2)))
    assert.equal(10, #receipt.accepted)
    for _, group in ipairs(transactions(peer)) do
      assert.is_true(#group <= 3)
      local domain = group[1]:match("@(.*)")
      for _, address in ipairs(group) do assert.equal(domain, address:match("@(.*)")) end
    end
    assert.equal(4, #transactions(peer))
    peer = smtp_peer.new { "PIPELINING", "LIMITS RCPTDOMAINMAX=2" }
    assert(send_to(peer, recipients(9, 3)))
    assert.equal(2, #transactions(peer))
  end)
end)

describe("MAILMAX", function()
  it("is counted, and what is over it fails before anything is sent", function()
    local peer = smtp_peer.new { "PIPELINING", "LIMITS MAILMAX=2" }
    connected(peer, function(smtp)
      local one = { from = "a@b.example", to = "c@d.example", message = TEXT }
      assert.equal(2, smtp.mails_left)
      assert(smtp:send(one))
      assert.equal(1, smtp.mails_left)
      assert(smtp:send(one))
      local none, err = smtp:send(one)
      assert.is_nil(none)
      assert.same({ "limit", true }, { err.kind, err.temporary })
      assert.equal(0, smtp.mails_left)
      assert.is_true(smtp:noop())
    end)
    assert.equal(2, #transactions(peer))
  end)

  it("leaves over the recipients for whom no transaction is left", function()
    local peer = smtp_peer.new { "PIPELINING", "LIMITS MAILMAX=2 RCPTMAX=1" }
    local receipt = assert(send_to(peer, recipients(3)))
    assert.equal(2, #receipt.accepted)
    assert.equal("limit", receipt.rejected["u3@d1.example"].kind)
  end)

  it("has no say where the server names none", function()
    connected(smtp_peer.new {}, function(smtp) assert.is_nil(smtp.mails_left) end)
  end)
end)

describe("too many recipients, said late,", function()
  -- Takes `most` recipients of each transaction.
  local function taking(most, refusal)
    local count = 0
    return function(line)
      if line:find("^MAIL") then count = 0 end
      if not line:find("^RCPT") then return nil end
      count = count + 1
      if count > most then return refusal end
    end
  end

  it("go in further transactions", function()
    for _, refusal in ipairs { "452 4.5.3 too many", "452 Too many recipients", "552 5.5.3 enough",
      "552 too many recipients" } do
      for _, chunking in ipairs { "X", "CHUNKING" } do
        local peer = smtp_peer.new { "PIPELINING", chunking, answer = taking(2, refusal) }
        local receipt = assert(send_to(peer, recipients(5)))
        assert.same(recipients(5), receipt.accepted)
        assert.same({}, receipt.rejected)
        assert.equal(3, #peer.messages)
      end
    end
  end)

  it("stay refused where it is something else, or where nobody was taken", function()
    local peer = smtp_peer.new { "PIPELINING", answer = taking(2, "452 4.2.2 mailbox full") }
    local receipt = assert(send_to(peer, recipients(3)))
    assert.equal(2, #receipt.accepted)
    assert.equal("4.2.2", receipt.rejected["u3@d1.example"].enhanced)
    assert.equal(1, #peer.messages)
    peer = smtp_peer.new { "PIPELINING", answer = taking(0, "452 4.5.3 too many") }
    local none, err = send_to(peer, recipients(3))
    assert.is_nil(none)
    assert.is_true(err.temporary)
    assert.equal(1, #transactions(peer))
  end)

  it("stay refused where the message cannot be had again", function()
    local peer = smtp_peer.new { "PIPELINING", answer = taking(1, "452 4.5.3 too many") }
    local given = false
    local receipt = assert(send_to(peer, recipients(2), function()
      if given then return nil end
      given = true
      return TEXT
    end))
    assert.same({ "u1@d1.example" }, receipt.accepted)
    assert.is_true(receipt.rejected["u2@d1.example"].temporary)
  end)

  it("keep what they are told to the others, too", function()
    local peer = smtp_peer.new { "PIPELINING", "DSN", answer = taking(1, "452 4.5.3 too many") }
    assert(send_to(peer, { { address = "a@example.org", notify = "never" },
      { address = "b@example.org", notify = "delay" } }))
    local seen = table.concat(peer.lines, "\n")
    assert.matches("MAIL.*RCPT TO:<b@example.org> NOTIFY=DELAY.*MAIL.*RCPT TO:<b@example.org> NOTIFY=DELAY", seen)
  end)
end)

describe("the other calls", function()
  local function line_of(capabilities, act)
    local peer = smtp_peer.new(capabilities)
    local result, err = connected(peer, act)
    return peer.lines[2], result, err, peer
  end

  it("verify and expand say SMTPUTF8 where it is needed", function()
    assert.equal("VRFY ann", (line_of({}, function(smtp) return smtp:verify "ann" end)))
    assert.equal("VRFY \195\188@x SMTPUTF8",
      (line_of({ "SMTPUTF8" }, function(smtp) return smtp:verify "\195\188@x" end)))
    local line, _, err = line_of({}, function(smtp) return smtp:expand "\195\188" end)
    assert.is_nil(line)
    assert.equal("unsupported", err.kind)
  end)

  it("help, with and without a topic", function()
    local line, reply = line_of({}, function(smtp) return smtp:help() end)
    assert.equal("HELP", line)
    assert.same({ "help yourself" }, reply.lines)
    assert.equal("HELP MAIL", (line_of({}, function(smtp) return smtp:help "MAIL" end)))
  end)

  it("etrn", function()
    for _, node in ipairs { "example.org", "@example.org", "#queue" } do
      local line, reply = line_of({ "ETRN" }, function(smtp) return smtp:etrn(node) end)
      assert.equal("ETRN " .. node, line)
      assert.equal(250, reply.code)
    end
    for kind, node in pairs { invalid = "a b", unsupported = "example.org" } do
      local line, _, err = line_of({ kind == "invalid" and "ETRN" or "X" }, function(smtp) return smtp:etrn(node) end)
      assert.is_nil(line)
      assert.equal(kind, err.kind)
    end
  end)

  it("xclient begins the session anew", function()
    local line, ok, _, peer = line_of({ "XCLIENT NAME ADDR PORT LOGIN" }, function(smtp)
      return smtp:xclient { addr = "2001:db8::1", name = false, login = "ann smith" }
    end)
    assert.equal("XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 LOGIN=ann+20smith", line)
    assert.is_true(ok)
    assert.equal("EHLO me.example", peer.lines[3])
  end)

  it("xforward tells what the server wants to hear, and nothing else", function()
    local line, ok = line_of({ "XFORWARD NAME ADDR SOURCE" }, function(smtp)
      return smtp:xforward { ADDR = "192.0.2.1", source = "REMOTE" }
    end)
    assert.equal("XFORWARD ADDR=192.0.2.1 SOURCE=REMOTE", line)
    assert.is_true(ok)
    local _, _, err = line_of({ "XFORWARD NAME" }, function(smtp) return smtp:xforward { addr = "192.0.2.1" } end)
    assert.equal("unsupported", err.kind)
    _, _, err = line_of({}, function(smtp) return smtp:xforward { addr = "192.0.2.1" } end)
    assert.equal("unsupported", err.kind)
    connected(smtp_peer.new {}, function(smtp)
      for _, bad in ipairs { 5, {}, { addr = true }, { "x" } } do
        local raised, why = pcall(function() smtp:xforward(bad) end)
        assert.is_false(raised)
        assert.matches("smtp_limits_spec.lua:%d+: smtp:xforward", tostring(why))
      end
    end)
    assert.equal(0, loop.step(0))
  end)
end)
