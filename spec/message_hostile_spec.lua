-- What an attacker sends as a message: deep, wide, long, and what is quadratic for who is not careful. Nothing of it
-- raises an error, passes a limit unseen, or takes more than time in proportion to its size.

local mail = require "mail"
local memory = require "spec.support.memory"

local function eml(name)
  return assert(mail.message.parse_file("spec/data/mime/" .. name .. ".eml"))
end

-- All that is asked of a message.
local function reads(text)
  local msg = mail.message.parse(text)
  for _, field in ipairs { "subject", "from", "to", "parts", "defects", "references", "filename", "parameters" } do
    assert(field and msg[field] ~= false)
  end
  msg:headers()
  msg:text()
  msg:html()
  msg:preview()
  msg:attachments()
  msg:received()
  msg:list()
  for p in msg:walk() do p:body() end
  return msg
end

-- The processor's time for it, the least of a few.
local function time_of(fn, arg, rounds)
  local least = math.huge
  for _ = 1, rounds do
    collectgarbage()
    local before = os.clock()
    fn(arg)
    least = math.min(least, os.clock() - before)
  end
  return least
end

local function limits_of(msg)
  local out = {}
  for _, d in ipairs(msg.defects) do if d.limit then out[d.limit] = true end end
  return out
end

describe("hostile messages", function()
  it("nest no deeper than the limit", function()
    local out = {}
    for i = 1, 5000 do out[i] = ("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n"):format(i, i) end
    local msg = reads(table.concat(out))
    assert.same({ depth = true }, limits_of(msg))
    msg = reads(("Content-Type: message/rfc822\r\n\r\n"):rep(5000))
    assert.same({ depth = true }, limits_of(msg))
    msg = mail.message.parse(eml("multipart-nested"):raw(), { limits = { depth = 1 } })
    assert.same({ depth = true }, limits_of(msg))
  end)

  it("have no more parts than the limit", function()
    local msg = reads("Content-Type: multipart/mixed; boundary=b\r\n\r\n" .. ("--b\r\n\r\n"):rep(1000000))
    assert.same({ parts = true }, limits_of(msg))
    assert.equal(9999, #msg.parts)
  end)

  it("are encoded messages in encoded messages", function()
    local text = "Subject: x\r\n\r\nbody"
    for _ = 1, 2000 do
      text = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" .. text
    end
    reads(text)
  end)

  it("have headers longer than the limit", function()
    local msg = reads("Subject: " .. ("x"):rep(12 * 1024 * 1024) .. "\r\n\r\nbody")
    assert.same({ header = true }, limits_of(msg))
    msg = reads(("A: x\r\n"):rep(3000000))
    assert.same({ header = true }, limits_of(msg))
  end)

  it("have headers of a hundred megabytes, of which no more than the limit is held", function()
    local line, folds = "X: " .. ("x"):rep(995) .. "\r\n", " " .. ("x"):rep(997) .. "\r\n"
    for _, piece in ipairs { line:rep(100), folds:rep(100) } do
      collectgarbage()
      memory.forget()
      local before, found, sent = memory.peak(), nil, 0
      for event in mail.message.events(function()
        sent = sent + 1
        return sent == 1 and "Subject: x\r\n" or sent <= 1000 and piece or nil
      end, { limits = { line = 2 ^ 20 } }) do
        found = found or event.kind == "defect" and event.what:match "^limit passed: (.*)$"
      end
      assert.equal(piece:sub(1, 1) == " " and "line" or "header", found)
      if before then assert.is_true(memory.peak() - before < memory.bound(16)) end
    end
  end)

  -- Four times the trap takes about four times as long; what is quadratic takes sixteen times, and at these sizes
  -- seconds. The bound leaves room for a machine that does other things.
  local function is_linear(name, fn, make)
    local n = 12000
    local small, large = make(n), make(4 * n)
    local once = time_of(fn, small, 2)
    local four = time_of(fn, large, 2)
    assert.is_true(four <= 10 * once + 0.3, ("%s: %.3f s, then %.3f s"):format(name, once, four))
  end

  local rep = string.rep
  local TRAPS = {
    words = function(n) return "Subject: " .. rep("=?utf-8?Q?=C3?= ", n) .. "\r\n\r\n" end,
    words_in_turn = function(n) return "Subject: " .. rep("=?big5?Q?a?= =?euc-kr?B?YQ==?= ", n) .. "\r\n\r\n" end,
    open_words = function(n) return "Subject: " .. rep("=?utf-8?Q?", n) .. "\r\n\r\n" end,
    words_in_names = function(n) return "To: " .. rep('"=?utf-8?Q?=C3?=" <a@b>, ', n) .. "\r\n\r\n" end,
    continuations = function(n) return "Content-Type: text/plain" .. rep("; name*1*=a", n) .. "\r\n\r\n" end,
    pieces_in_reverse = function(n)
      local out = {}
      for i = n, 1, -1 do out[#out + 1] = ("; name*%d*=a"):format(i) end
      return "Content-Type: text/plain" .. table.concat(out) .. "\r\n\r\n"
    end,
    parameters = function(n) return "Content-Type: text/plain" .. rep("; a=b", n) .. "\r\n\r\n" end,
    other_parameters = function(n)
      local out = {}
      for i = 1, n do out[i] = ("; p%d=x"):format(i) end
      return "Content-Type: text/plain" .. table.concat(out) .. "\r\n\r\n"
    end,
    blanks = function(n) return "Content-Type: text/plain; name=" .. rep("a ", n) .. "\r\n\r\n" end,
    comments = function(n) return "To: " .. rep("(", n) .. "\r\nContent-Type: " .. rep("(", n) .. "\r\n\r\n" end,
    whole_comments = function(n) return "To: " .. rep("(a)", n) .. "\r\nDate: " .. rep("(a)", n) .. "\r\n\r\n" end,
    deep_comments = function(n) return "To: " .. rep(rep("(", 99) .. rep(")", 99), n / 100) .. "\r\n\r\n" end,
    groups = function(n) return "To: " .. rep("a:b,", n) .. "\r\n\r\n" end,
    whole_groups = function(n) return "To: " .. rep("a:b@c;", n) .. "\r\n\r\n" end,
    addresses = function(n) return "To: " .. rep("a@b,", n) .. "\r\n\r\n" end,
    address_fields = function(n) return rep("To: a@b\r\n", n) .. "\r\n" end,
    routes = function(n) return "To: <" .. rep("@a,", n) .. ":b@c>\r\n\r\n" end,
    brackets = function(n) return "To: " .. rep("<", n) .. rep(">", n) .. "\r\n\r\n" end,
    quotes = function(n)
      local open = rep('"a', n)
      return "To: " .. open .. "\r\nContent-Type: text/plain; a=" .. open .. "\r\n\r\n"
    end,
    backslashes = function(n)
      return 'To: "' .. rep("\\", n) .. '\r\nContent-Type: a/b; c="' .. rep("\\", n) .. "\r\n\r\n"
    end,
    ids = function(n) return "References: " .. rep("( <a ", n) .. "\r\n\r\n" end,
    references = function(n)
      return "References: " .. rep("<a@b> ", n) .. "\r\nIn-Reply-To: " .. rep("<", n) .. "\r\n\r\n"
    end,
    received = function(n) return rep("Received: from a by b; x\r\n", n / 4) .. "\r\n" end,
    a_received = function(n) return "Received: " .. rep("from (", n) .. rep(" by;", n) .. "\r\n\r\n" end,
    list_fields = function(n) return "List-Unsubscribe: " .. rep("<a", n) .. rep("<b>,", n) .. "\r\n\r\n" end,
    near_boundaries = function(n)
      local near = rep("--" .. rep("a", 69) .. "b\r\n", n)
      return "Content-Type: multipart/mixed; boundary=" .. rep("a", 70) .. "\r\n\r\n" .. near
    end,
    boundary_beginnings = function(n)
      local out = {}
      for i = 1, 90 do
        out[i] = ("Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n"):format(rep("a", i), rep("a", i))
      end
      return table.concat(out) .. rep("--" .. rep("a", 91) .. "\r\n", n / 10)
    end,
    empty_parts = function(n) return "Content-Type: multipart/mixed; boundary=b\r\n\r\n" .. rep("--b\r\n\r\n", n) end,
    hyphens = function(n)
      return "Content-Type: multipart/mixed; boundary=b\r\n\r\n" .. rep("--", n) .. rep("\r\n--", n)
    end,
    returns = function(n)
      return "Content-Type: multipart/mixed; boundary=b\r\n\r\n" .. rep("\r", n) .. rep("\n", n)
    end,
    folds = function(n) return "Subject: " .. rep("\r\n ", n) .. "\r\n\r\n" end,
    strays = function(n) return rep("no colon\r\n", n) end,
    fields = function(n) return rep("A: =?utf-8?q?b?=\r\n", n) .. "\r\n" end,
    equals = function(n) return "Content-Transfer-Encoding: quoted-printable\r\n\r\n" .. rep("=", n) .. rep(" ", n) end,
    padding = function(n) return "Content-Transfer-Encoding: base64\r\n\r\n" .. rep("=", n) .. rep("A=\n", n) end,
    uuencode = function(n) return "Content-Transfer-Encoding: x-uuencode\r\n\r\n" .. rep("begin 644 a\n", n) end,
    uuencode_inline = function(n) return "A: b\r\n\r\n" .. rep("begin 644 a\n", n) .. rep("M\n", n) end,
    html = function(n) return "Content-Type: text/html\r\n\r\n" .. rep("<", n) .. rep("<div>", n) .. rep("&", n) end,
    bodies_of_html = function(n)
      return "From: a@b\r\nTo: a@b\r\nContent-Type: text/html\r\n\r\n" .. rep("<body", n)
    end,
    flowed = function(n) return "Content-Type: text/plain; format=flowed\r\n\r\n" .. rep(">", n) .. rep(" \r\n", n) end,
    charset = function(n) return "Content-Type: text/plain; charset=" .. rep("x", n) .. "\r\n\r\n\255" end,
    date = function(n) return "Date: " .. rep("(1", n) .. "\r\nDate: " .. rep("1 ", n) .. "\r\n\r\n" end,
    slashes = function(n) return "Content-Disposition: attachment; filename=" .. rep("x", n) .. "/y\r\n\r\n" end,
    dots = function(n) return 'Content-Disposition: attachment; filename="' .. rep(". ", n) .. 'y"\r\n\r\n' end,
    status = function(n)
      return "Content-Type: message/delivery-status\r\n\r\n" .. rep("A: b\n \n", n) .. rep(" ", n) .. "x"
    end,
    tnef = function(n)
      return "Content-Type: application/ms-tnef\r\n\r\n\120\159\062\034\1\0" .. rep("\2\2\144\6\0\0\0\0\0\0\0", n)
    end,
    blank_subject = function(n) return "From: a@b\r\nTo: a@b\r\nSubject: a" .. rep(" ", n) .. "b\r\n\r\nx" end,
    blank_text = function(n) return "From: a@b\r\nTo: a@b\r\n\r\na" .. rep("\r\n", n) .. "b" .. rep(" ", n) .. "c" end,
  }

  for name, make in pairs(TRAPS) do
    it("are traps for what is quadratic: " .. name, function()
      is_linear(name, reads, make)
    end)
  end

  it("are traps for who answers them or saves what they hold", function()
    for _, name in ipairs { "bodies_of_html", "blank_subject", "blank_text", "references" } do
      is_linear("reply to " .. name, function(text)
        local msg = mail.message.parse(text)
        assert(msg:reply { from = "a@b.org", to = "c@d.org" })
        assert(msg:forward { from = "a@b.org", to = "c@d.org" })
      end, TRAPS[name])
    end
    for _, name in ipairs { "slashes", "dots" } do
      is_linear(name, function(text) return mail.message.safe_name(mail.message.parse(text).filename) end, TRAPS[name])
    end
    is_linear("status", function(text) return mail.message.parse(text):delivery_status() end, TRAPS.status)
  end)

  it("are quoted without their marks on every line, where these are longer than a line", function()
    local core = require "mail.core"
    local text = (">"):rep(20000) .. " " .. ("word "):rep(20000)
    assert.is_true(#core.flow(text) < 2 * #text)
    assert.equal((">"):rep(64) .. " " .. ("word "):rep(14) .. "\r\n",
      core.flow((">"):rep(64) .. " " .. ("word "):rep(40)):match "^.-\n")
  end)

  it("name no file with a NUL, of which the system sees the front only", function()
    local core = require "mail.core"
    for _, name in ipairs { "write_file", "is_folder", "message_file" } do
      local ok, why = pcall(core[name], "spec/none\0.txt", "x", true)
      assert.is_false(ok)
      assert.truthy(why:find("a path without NUL", 1, true))
    end
  end)

  it("grow in uuencode no further than by lines whose blanks were lost", function()
    local core = require "mail.core"
    local head = "Content-Transfer-Encoding: uuencode\r\n\r\nbegin 644 x\n"
    assert.equal(("\0"):rep(63000), core.message_parse(head .. ("_\n"):rep(1000)):body(1))
    assert.is_true(#core.message_parse(head .. ("_\n"):rep(500000)):body(1) < 5000000)
  end)

  it("name one part of another as where their text begins, on each level", function()
    local out = {}
    for i = 1, 90 do
      out[i] = ('Content-Type: multipart/related; boundary=b%d; start="<x>"\r\nContent-ID: <x>\r\n\r\n--b%d\r\n')
        :format(i, i)
    end
    local msg = reads(table.concat(out) .. "Content-Type: image/png\r\nContent-ID: <x>\r\n\r\nx")
    assert.is_nil(msg:text())
  end)

  it("that lie encoded are read by the same limits", function()
    local inner = "Content-Type: multipart/mixed; boundary=b\n\n" .. ("--b\n\nx\n"):rep(50) .. "--b--\n"
    local text = "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n"
      .. inner:gsub("=", "=3D")
    assert.equal(50, #mail.message.parse(text).parts[1].parts)
    assert.equal(4, #mail.message.parse(text, { limits = { parts = 5 } }).parts[1].parts)
  end)

  it("have methods that take no notice of arguments that nobody asked for", function()
    local core = require "mail.core"
    local text = core.message_parse "References: <a@b> <c@d>\r\n\r\nx"
    assert.same({ "<a@b>", "<c@d>" }, text:ids(1, "references", true))
    assert.equal(0, select("#", text:ids(1, "x", true, true)))
  end)

  it("are any octets", function()
    local seed = 7
    local function random(n)
      seed = (seed * 16807) % 2147483647
      return seed % n
    end
    local bits = {
      "\r\n", "\n", "\r", "--b", "--b--", "Content-Type: multipart/mixed; boundary=b", ":", " ", "\0",
      "=?",
      "?=", "utf-8?Q?", "\195", "Content-Transfer-Encoding: base64",
      "\"", "(", ";", "a", "From: a@b", "<", ">", "%", "*0*=", "Content-Type: message/rfc822", "filename",
    }
    for _ = 1, 300 do
      local out = {}
      for i = 1, 60 do out[i] = bits[random(#bits) + 1] end
      reads(table.concat(out))
    end
  end)
end)
