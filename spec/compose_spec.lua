-- Composing: what is written parses back, in every form; what cannot be written is refused; nothing of a
-- message that is streamed has to be in memory.

local mail = require "mail"
local Err = require "mail.err"
local message = mail.message

local PNG = "\137PNG\r\n\26\n" .. ("\0\1\2\255"):rep(50)

local function base(more)
  local options = { from = "Ann <ann@example.com>", to = "bob@example.org", subject = "Hello", date = 1700000000,
                    text = "Hi Bob.\n" }
  for name, value in pairs(more or {}) do options[name] = value end
  return options
end

local function new(more) return assert(message.new(base(more))) end

local function header_of(text) return text:match "^(.-\r\n)\r\n" end

-- No line over 998 octets, CRLF only; of a 7-bit form, ASCII only.
local function check_wire(text, form)
  assert.is_nil(text:find "[^\r]\n")
  assert.is_nil(text:find "\r[^\n]")
  assert.equal("\r\n", text:sub(-2))
  for line in text:gmatch "([^\n]*)\r\n" do assert.is_true(#line <= 998) end
  if form == "7bit" then assert.is_nil(text:find "[\128-\255]") end
end

local function temporary(content)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(content)
  file:close()
  return path
end

local function by_chunks(text, size)
  local at = 1
  return function()
    if at > #text then return nil end
    at = at + size
    return text:sub(at - size, at - 1)
  end
end

-- Reads a source to its end; the error behind it.
local function last_of(source)
  while true do
    local piece, err = source()
    if piece == nil then return err end
  end
end

describe("mail.message.new", function()
  it("knows whether it can be read again", function()
    local m = new { attachments = { { source = by_chunks("abc", 1), name = "a.bin" }, { data = "x" } } }
    assert.is_true(m:is_fleeting())
    assert.is_false(m:is_fleeting(true))
    assert.is_nil(last_of(m:source()))
    assert.is_true(m:is_fleeting(true))
    assert.is_false(new { attachments = { { data = "x" } } }:is_fleeting())
    m = new { attachments = { { source = by_chunks("abc", 1), name = "a.bin" } } }
    m:tostring() -- keeps it
    assert.is_false(m:is_fleeting())
  end)

  it("is its text to tostring, as a parsed one is", function()
    local m = new { attachments = { { source = by_chunks("abc", 1), name = "a.bin" } } }
    assert.equal(m:tostring(), tostring(m))
    assert.equal(tostring(m), tostring(message.parse(m:tostring())))
    local broken = new { attachments = { { source = function() return nil, "gone" end, name = "a.bin" } } }
    assert.matches("^mail.message %(.*gone", tostring(broken))
  end)

  it("writes a plain message in a stable order of fields", function()
    local m = new { message_id = "<1@example.com>", reply_to = "r@example.com", cc = "c@example.com",
                    headers = { ["X-B"] = "2", ["X-A"] = "1" }, in_reply_to = "<0@x>",
                    references = { "<a@x>", "<0@x>" } }
    assert.equal(table.concat({
      "From: Ann <ann@example.com>", "Reply-To: r@example.com", "To: bob@example.org", "Cc: c@example.com",
      "Subject: Hello", "Date: Tue, 14 Nov 2023 22:13:20 +0000", "Message-ID: <1@example.com>", "In-Reply-To: <0@x>",
      "References: <a@x> <0@x>", "X-A: 1", "X-B: 2", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
      "Content-Transfer-Encoding: 7bit", "", "Hi Bob.", "" }, "\r\n"), m:tostring())
  end)

  it("reads like a parsed message", function()
    local m = new { subject = "Grüße", to = { "Böb <bob@example.org>", "Team: x@y.org;" }, html = "<p>Hi</p>" }
    assert.equal("Grüße", m.subject)
    assert.equal("Böb", m.to[1].name)
    assert.equal("x@y.org", m.to[2].members[1].address)
    assert.equal("multipart/alternative", m.type)
    assert.equal("Hi Bob.\n", m:text())
    assert.equal("<p>Hi</p>", m:html())
    assert.equal(1700000000, m.date)
    assert.equal("Hi Bob.", m:preview(20))
    assert.equal(0, #m.defects)
  end)

  it("makes ids of the sender's domain, and a Date, by itself", function()
    local one, two = assert(message.new { from = "a@bücher.example" }), assert(message.new { from = "a@x.org" })
    assert.truthy(one:header "Message-ID":find "^<%w+@xn%-%-bcher%-kva%.example>$")
    assert.truthy(two:header "Message-ID":find "^<%w+@x%.org>$")
    assert.is_true(math.abs(two.date - os.time()) < 100)
    assert.is_not.equal(one:header "Message-ID", message.new { from = "a@bücher.example" }:header "Message-ID")
  end)

  it("keeps Bcc for the envelope and never writes it", function()
    local m = new { to = { "b@x.org", "b@x.org" }, cc = "T: c@x.org;", bcc = { "Secret <s@x.org>" } }
    assert.same({ from = "ann@example.com", to = { "b@x.org", "c@x.org", "s@x.org" } }, m:envelope())
    assert.is_nil(m:tostring():find("s@x.org", 1, true))
    assert.equal("s@x.org", m:blind()[1].address)
  end)

  it("writes Bcc where that is asked for: in a draft, and in one's own copy", function()
    local m = new { to = "b@x.org", bcc = { "Secret <s@x.org>", "t@x.org" } }
    local text = assert(m:tostring { bcc = true })
    assert.equal("Secret <s@x.org>, t@x.org", message.parse(text):header "Bcc")
    assert.truthy(text:find "\r\nTo: b@x.org\r\nBcc: Secret")
    assert.equal(#text, m:octets { bcc = true })
    local pieces = {}
    for piece in m:source { bcc = true } do pieces[#pieces + 1] = piece end
    assert.equal(text, table.concat(pieces))
    assert.is_nil(m:tostring():find("s@x.org", 1, true))
    assert.is_nil(new {}:tostring { bcc = true }:find "Bcc")
    assert.is_nil(new { bcc = {} }:tostring { bcc = true }:find "Bcc")
    local wide = new { bcc = "ü@x.org" }
    assert.equal("7bit", wide:form())
    assert.truthy(assert(wide:tostring { bcc = true }):find("Bcc: ü@x.org", 1, true))
    local none, err = wide:tostring { bcc = true, form = "7bit" }
    assert.is_nil(none)
    assert.equal("unsupported", err.kind)
  end)

  it("writes a Date that others can read, whatever text told the time", function()
    assert.equal("Mon, 23 Nov 2026 10:00:00 +0000", new { date = "2026-11-23T11:00:00+01:00" }:header "Date")
    assert.equal("Mon, 23 Nov 2026 00:00:00 +0000", new { date = "2026-11-23" }:header "Date")
    local own = "Mon, 23 Nov 2026 11:00:00 +0100 (CET)"
    assert.equal(own, new { date = own }:header "Date")
  end)

  it("names a sender where several are the authors", function()
    local m = new { from = { "a@x.org", "b@x.org" } }
    assert.equal("a@x.org", m.sender[1].address)
    assert.equal("a@x.org", m:envelope().from)
  end)

  it("writes the fields of a mailing list", function()
    local m = new { list = { id = "news.example.com", unsubscribe = { "https://x.org/u?a=1", "leave@x.org" },
                             unsubscribe_post = true, post = false } }
    assert.equal("<news.example.com>", m:header "List-Id")
    assert.equal("<https://x.org/u?a=1>, <mailto:leave@x.org>", m:header "List-Unsubscribe")
    assert.equal("List-Unsubscribe=One-Click", m:header "List-Unsubscribe-Post")
    assert.equal("NO", m:header "List-Post")
  end)

  it("writes the fields of a mailing list as a message that was read gives them", function()
    local m = message.parse("List-Id: =?utf-8?q?L=C3=BCa?= <lua.example.com>\r\nList-Post: <mailto:lua@example.com>\r\n"
      .. "List-Unsubscribe: <https://x.org/u>, <mailto:leave@x.org>\r\n"
      .. "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n")
    local list = m:list()
    assert.equal("Lüa", list.name)
    assert.same(list, new { list = list }:list())
    assert.equal("<a.b>", new { list = { id = "a.b", name = "x <y>" } }:header "List-Id")
  end)

  it("takes fields in order from an array, and several of one name", function()
    local m = new { headers = { { "X-B", "1" }, { name = "X-A", value = 2 }, { "X-B", "3" } } }
    assert.same({ "1", "3" }, m:header_all "X-B")
    assert.truthy(m:tostring():find "X%-B: 1\r\nX%-A: 2\r\nX%-B: 3\r\n")
    assert.same({ "1", "2" }, new { headers = { ["X-C"] = { "1", "2" } } }:header_all "X-C")
    assert.equal("r@x.org", new { headers = { ["Reply-To"] = "r@x.org" } }.reply_to[1].address)
  end)
end)

describe("the parts of a composed message", function()
  it("are nested as clients expect them", function()
    local m = new { html = "<img src='cid:logo'>", calendar = "BEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR\n",
                    attachments = { { cid = "logo", data = PNG, name = "logo.png" },
                                    { name = "a.csv", data = "1,2\n" } } }
    assert.equal("multipart/mixed", m.type)
    local alternative = m.parts[1]
    assert.equal("multipart/alternative", alternative.type)
    assert.equal("text/plain", alternative.parts[1].type)
    assert.equal("multipart/related", alternative.parts[2].type)
    assert.equal("text/html", alternative.parts[2].parameters.type)
    assert.equal("logo", alternative.parts[2].parts[2].cid)
    assert.equal("inline", alternative.parts[2].parts[2].disposition)
    assert.equal("text/calendar", alternative.parts[3].type)
    assert.equal("REQUEST", m:calendars()[1].method)
    assert.equal("attachment", m.parts[2].disposition)
    assert.equal("a.csv", m.parts[2].filename)
    assert.equal("1,2\n", m.parts[2]:body())
  end)

  it("give attachments back octet for octet, whatever they are made of", function()
    local path = temporary(PNG)
    local sets = { { data = PNG }, { path = path }, { source = by_chunks(PNG, 7) },
                   { source = by_chunks(PNG, 7), size = #PNG },
                   { data = "" }, { data = "plain\r\nlines\r\n" }, { data = "no end" }, { data = "bare\nlines \n" },
                   { data = ("x"):rep(5000) }, { data = "From here\r\n.\r\n--x\r\n" } }
    for _, a in ipairs(sets) do
      a.name, a.type = "f.bin", "application/x-thing"
      local m = new { attachments = { a } }
      local found = m:attachments()
      assert.equal(1, #found)
      assert.equal(a.data or PNG, found[1].data())
      assert.equal("application/x-thing", found[1].type)
      check_wire(m:tostring(), "7bit")
    end
    os.remove(path)
  end)

  it("carry any name", function()
    for _, name in ipairs { "a.txt", "two words.txt", "grüße.txt", 'quo"te.txt', "日本語のファイル名.pdf",
                            ("lang und länger "):rep(20) .. ".pdf", "100%.txt", "a'b*c.txt", "=?utf-8?q?x?=.txt",
                            "semi;colon=x.txt" } do
      local m = new { attachments = { { name = name, data = "x" } } }
      assert.equal(name, m.parts[2].filename)
      check_wire(m:tostring(), "7bit")
    end
  end)

  it("take a media type with parameters, or find one by the name", function()
    local m = new { attachments = { { data = "x", name = "r.PDF" },
                                    { data = "x", type = 'text/csv; header=present; x="a b"' },
                                    { data = "x", type = "text/x-y", parameters = { charset = "utf-8" } },
                                    { data = "x" } } }
    assert.equal("application/pdf", m.parts[2].type)
    assert.equal("present", m.parts[3].parameters.header)
    assert.equal("a b", m.parts[3].parameters.x)
    assert.equal("utf-8", m.parts[4].parameters.charset)
    assert.equal("application/octet-stream", m.parts[5].type)
  end)

  it("hold a message as it is", function()
    local inner = new { subject = "inner", text = "ü\n" }
    local m = new { attachments = { { message = inner } } }
    assert.equal("message/rfc822", m.parts[2].type)
    assert.equal("inner", m.parts[2].parts[1].subject)
    local eight = "Subject: x\nContent-Type: text/plain; charset=utf-8\n\nü\n"
    m = new { attachments = { { message = eight, name = "old.eml" } } }
    assert.equal((eight:gsub("\n", "\r\n")), m.parts[2]:body())
    assert.equal("8bit", m.parts[2].encoding)
    assert.equal("8bit", m.encoding)
    local _, err = m:tostring { form = "7bit" }
    assert.equal("unsupported", err.kind)
  end)

  it("choose the shortest encoding that every relay takes", function()
    assert.equal("7bit", new().encoding)
    assert.equal("quoted-printable", new { text = "Grüße an alle\n" }.encoding)
    assert.equal("base64", new { text = ("Привет "):rep(20) .. "\n" }.encoding)
    assert.equal("quoted-printable", new { text = ("long "):rep(40) .. "\n" }.encoding)
    local text = new { text = "Grüße an alle\n" }:tostring { form = "8bit" }
    assert.truthy(text:find("8bit\r\n\r\nGrüße an alle\r\n", 1, true))
  end)

  it("wrap text by format=flowed where asked", function()
    local text = ("A long paragraph of words. "):rep(20) .. "\n\n> quoted\n-- \nAnn\n"
    local m = new { text = text, flowed = true }
    assert.equal("flowed", m.parameters.format)
    assert.equal("7bit", m.encoding)
    assert.equal((text:gsub(" +\n", "\n"):gsub("\n%-%-\n", "\n-- \n")), m:text())
  end)
end)

describe("attachments of a message that was read", function()
  it("may be those of a new one", function()
    local old = assert(mail.message.new { from = "a@b.example", html = "<img src='cid:logo'>", attachments = {
      { name = "\195\188 a.txt", data = "text\n" }, { name = "b.bin", type = "application/x-b", data = "\0\1\255" },
      { cid = "logo", name = "l.png", data = "png" }, { message = "Subject: inner\r\n\r\nhello\r\n" },
    } })
    for _, source in ipairs { old, mail.message.parse(old:tostring()) } do
      local given = source:attachments()
      assert.equal(4, #given)
      local made = mail.message.parse(assert(mail.message.new {
        from = "c@d.example", html = "<img src='cid:logo'>", attachments = given,
      }):tostring()):attachments()
      for i, a in ipairs(given) do
        assert.same({ a.filename, a.type, a.cid, a.data() }, { made[i].filename, made[i].type, made[i].cid,
          made[i].data() })
      end
    end
  end)
end)

describe("the forms of a composed message", function()
  it("are 7-bit unless an address needs more", function()
    local m = new { from = "Änn <ann@bücher.example>" }
    check_wire(m:tostring(), "7bit")
    assert.truthy(m:tostring { form = "utf8" }:find("From: Änn <ann@bücher.example>", 1, true))
    m = new { to = "jürgen@example.org" }
    assert.truthy(m:tostring():find("To: jürgen@example.org", 1, true))
    local _, err = m:tostring { form = "7bit" }
    assert.equal("unsupported", err.kind)
    assert.has_error(function() m:tostring { form = "9bit" } end)
  end)

  it("say the same", function()
    for _, form in ipairs { "7bit", "8bit", "utf8" } do
      local m = new { subject = "Grüße, \"alle\"  zusammen", text = "ü\n", html = "<p>ü",
                      from = { name = 'Ä, "b"', address = "ann@example.com" } }
      local text = m:tostring { form = form }
      check_wire(text, form)
      local read = message.parse(text)
      assert.equal("Grüße, \"alle\"  zusammen", read.subject)
      assert.equal('Ä, "b"', read.from[1].name)
      assert.equal("ü\n", read:text())
      assert.equal(form ~= "utf8", header_of(text):find "[\128-\255]" == nil)
      assert.equal(0, #read.defects)
    end
  end)
end)

describe("the source of a composed message", function()
  it("has the size that was told, in pieces of bounded size", function()
    local big = ("0123456789abcdef"):rep(65536)
    local path = temporary(big)
    local m = new { attachments = { { path = path, name = "big.bin" },
                                    { source = by_chunks(big, 4000), size = #big } } }
    local told, sum, largest = m:octets(), 0, 0
    for piece in m:source() do
      sum, largest = sum + #piece, math.max(largest, #piece)
    end
    assert.equal(told, sum)
    assert.is_true(largest < 100000)
    os.remove(path)
  end)

  it("fails where an attachment is not what was told", function()
    local path = temporary "four"
    local m = new { attachments = { { path = path } } }
    os.remove(path)
    local err = last_of(m:source())
    assert.equal("io", err.kind)
    for _, size in ipairs { 3, 5 } do
      m = new { attachments = { { source = by_chunks("four", 2), size = size } } }
      err = last_of(m:source())
      assert.equal("io", err.kind)
    end
    local piece
    piece, err = message.new(base { attachments = { { path = path } } })
    assert.is_nil(piece)
    assert.equal("io", err.kind)
  end)

  it("can be read once where an attachment is a source, and as often as wanted once it was collected", function()
    local m = new { attachments = { { source = by_chunks("four", 2) } } }
    assert.is_nil(m:octets())
    assert.equal(m:tostring(), m:tostring())
    assert.equal(#m:tostring(), m:octets())
    m = new { attachments = { { source = by_chunks("four", 2) } } }
    for _ in m:source() do end
    assert.equal("io", last_of(m:source()).kind)
  end)
end)

describe("composing refuses", function()
  local function invalid(more)
    local m, err = message.new(base(more))
    assert.is_nil(m)
    assert.is_true(Err.is(err))
    assert.equal("invalid", err.kind)
    assert.is_nil(tostring(err):find "[\r\n%z]")
  end

  it("line ends and NUL in every value that comes from outside", function()
    for _, bad in ipairs { "a\r\nBcc: x@y.org", "a\nb", "a\rb", "a\0b" } do
      invalid { subject = bad }
      invalid { headers = { ["X-A"] = bad } }
      invalid { headers = { ["Reply-To"] = bad .. "@x.org" } }
      invalid { from = { name = bad, address = "a@x.org" } }
      invalid { to = { { name = "a", address = bad .. "@x.org" } } }
      invalid { to = { { group = bad, members = {} } } }
      invalid { to = bad .. "@x.org" }
      invalid { message_id = "<" .. bad .. "@x>" }
      invalid { references = "<a@x>" .. bad }
      invalid { in_reply_to = bad }
      invalid { date = "1 Jan 2020 00:00:00 +0000" .. bad }
      invalid { list = { unsubscribe = "https://x.org/" .. bad } }
      invalid { list = { id = bad } }
      invalid { calendar = { data = "x", method = bad } }
      invalid { attachments = { { data = "x", name = bad } } }
      invalid { attachments = { { data = "x", type = "text/" .. bad } } }
      invalid { attachments = { { data = "x", cid = bad } } }
      invalid { attachments = { { data = "x", description = bad } } }
      invalid { attachments = { { data = "x", headers = { ["X-A"] = bad } } } }
      invalid { attachments = { { data = "x", type = "text/x", parameters = { a = bad } } } }
    end
  end)

  it("attachments that would be parts", function()
    invalid { attachments = { { data = "--b\r\n\r\nx\r\n--b--\r\n", type = "Multipart/mixed; boundary=b" } } }
  end)

  it("names of fields that are none", function()
    for _, name in ipairs { "", "A B", "A:", "Ä", "A\r\nB" } do invalid { headers = { [name] = "x" } } end
  end)

  it("what is no address, no UTF-8, no URL, no date", function()
    invalid { to = "bob" }
    invalid { to = "bob@" }
    invalid { from = "" }
    invalid { from = "T: a@x.org, ;, b" }
    invalid { text = "\255" }
    invalid { html = "\255" }
    invalid { subject = "\255" }
    invalid { list = { help = "no url" } }
    invalid { list = { help = "https://x.org/<b>" } }
    invalid { date = "soon" }
    invalid { date = 1e14 }
  end)

  it("a folder as an attachment, as what cannot be read", function()
    local m, err = message.new(base { attachments = { { path = "spec" } } })
    assert.is_nil(m)
    assert.equal("io", err.kind)
    assert.matches("spec: Is a directory", tostring(err), 1, true)
  end)

  it("misuse, at the caller's line", function()
    local function raises(options, words)
      local ok, why = pcall(function() message.new(options) end)
      assert.is_false(ok)
      assert.truthy(tostring(why):find("compose_spec.lua", 1, true), tostring(why))
      assert.truthy(tostring(why):find(words, 1, true), tostring(why))
    end
    raises({ to = "a@x.org" }, "'from' is missing")
    raises(base { form = "7bit" }, "unknown option 'form'")
    raises(base { from = 1 }, "'from'")
    raises(base { to = { 1 } }, "to: an address")
    raises(base { to = { { adress = "x" } } }, "to: an address")
    raises(base { headers = { ["Content-Type"] = "text/html" } }, "Content-Type")
    raises(base { headers = { Subject = "again" } }, "Subject")
    raises(base { headers = { 1 } }, "headers")
    raises(base { attachments = { path = "a.pdf" } }, "must be an array of attachments, and has a key 'path'")
    raises(base { attachments = { { data = "x" }, [3] = { data = "y" } } }, "must be an array of attachments")
    raises(base { list = { nothing = "x" } }, "list.nothing")
    raises(base { attachments = { {} } }, "one of")
    raises(base { attachments = { { data = "x", path = "y" } } }, "one of")
    raises(base { attachments = { { data = "x", wrong = 1 } } }, "wrong")
    raises(base { attachments = { { data = "x", disposition = "y" } } }, "disposition")
  end)
end)

-- --- what is written parses back ------------------------------------------------------------------

describe("a composed message", function()
  local seed = 7
  local function random(n)
    seed = (seed * 16807) % 2147483647
    return seed % n + 1
  end
  local PIECES = { "word", " ", "ü", "€", "😀", "=?", "?=", "  ", '"', "\\", ",", "(", ")", "<", ">", "@", ";", ":",
                   "Ж", "a b c", ".", "_", "=", "%", "'", "日本", "\t" }
  local function text_of(n, extra)
    local out = {}
    for i = 1, random(n) do
      local k = random(#PIECES + (extra or 0))
      out[i] = PIECES[k] or "\n"
    end
    return table.concat(out)
  end

  it("gives back the values that it was made of, in each form (seeded)", function()
    for round = 1, 150 do
      local form = ({ "7bit", "8bit", "utf8" })[round % 3 + 1]
      local values = {
        subject = text_of(40), name = (text_of(12):gsub("\t", " ")), x = text_of(60),
        file = (text_of(20):gsub("\t", " ")) .. "x",
        text = text_of(80, 5) .. "\n", html = text_of(80, 5) .. "\n", data = text_of(60, 5),
      }
      local m = new { subject = values.subject, to = { { name = values.name, address = "bob@example.org" } },
                      headers = { ["X-Job"] = values.x }, text = values.text, html = values.html,
                      attachments = { { name = values.file, data = values.data, type = "text/plain" } } }
      local wire = assert(m:tostring { form = form })
      check_wire(wire, form)
      assert.equal(#wire, m:octets { form = form })
      local read = message.parse(wire)
      assert.equal(values.subject, read.subject)
      assert.equal(values.name, read.to[1].name or "")
      assert.equal(values.x, read:header "X-Job")
      assert.equal(values.text, read:text())
      assert.equal(values.html, read:html())
      assert.equal(values.file, read.parts[2].filename)
      assert.equal(values.data, read.parts[2]:body())
      assert.equal(0, #read.defects)
    end
  end)
end)

-- --- replies and forwards -------------------------------------------------------------------------

describe("message:reply", function()
  local original = message.parse(table.concat({
    "From: Bob <bob@example.org>", "To: Ann <ann@example.com>, Cy <cy@example.net>", "Cc: dora@example.net",
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Date: Tue, 14 Nov 2023 22:13:20 +0100", "Message-ID: <2@example.org>",
    "References: <0@x> <1@x>", "Content-Type: text/plain; charset=utf-8", "", "Hello\r\n> older\r\n", "" }, "\r\n"))

  it("answers the author, in the thread, quoting", function()
    local m = assert(original:reply { text = "Yes.\n" })
    assert.equal("ann@example.com", m.from[1].address)
    assert.equal("bob@example.org", m.to[1].address)
    assert.is_nil(m.cc)
    assert.equal("Re: Grüße", m.subject)
    assert.equal("<2@example.org>", m:header "In-Reply-To")
    assert.equal("<0@x> <1@x> <2@example.org>", m:header "References")
    assert.equal("Yes.\n\nOn Tue, 14 Nov 2023 21:13:20 +0000, Bob wrote:\n> Hello\n>> older\n", m:text())
    assert.equal("Re: Grüße", m:reply { from = "bob@example.org" }.subject)
  end)

  it("answers all, but not oneself", function()
    local m = assert(original:reply { all = true, from = "Ann <ANN@example.com>", text = "x", quote = false })
    assert.equal(1, #m.to)
    assert.equal("bob@example.org", m.to[1].address)
    assert.equal("cy@example.net", m.cc[1].address)
    assert.equal("dora@example.net", m.cc[2].address)
    assert.equal(2, #m.cc)
    assert.equal("x", (m:text():gsub("\n$", "")))
  end)

  it("goes to Reply-To, and on to the others where it answers oneself", function()
    local first = message.parse "From: a@x.org\r\nReply-To: list@x.org\r\nTo: b@x.org\r\n\r\nx"
    assert.equal("list@x.org", first:reply { from = "b@x.org" }.to[1].address)
    assert.equal("b@x.org", first:reply { from = "a@x.org" }.to[1].address)
  end)

  it("quotes HTML below HTML", function()
    local m = assert(original:reply { html = "<p>Yes", text = "Yes" })
    assert.truthy(m:html():find('<blockquote type="cite"><pre>Hello\n&gt; older', 1, true))
    assert.truthy(m:text():find("> Hello", 1, true))
  end)

  it("takes the images along that the quoted HTML shows, and nothing else", function()
    local page = message.parse(assert(message.new { from = "b@x.org", to = "a@x.org",
      html = "<p><img src='cid:one'><img src='cid:two%40x'>", attachments = {
        { cid = "one", data = "1", name = "1.png" }, { cid = "two@x", data = "2", name = "2.png" },
        { cid = "three", data = "3" }, { name = "a.pdf", data = "4" },
      } }):tostring())
    local function cids(m)
      local list = {}
      for _, a in ipairs(m:attachments()) do list[#list + 1] = a.cid or a.filename end
      return list
    end
    assert.same({ "one", "two@x", "own.txt" },
      cids(assert(page:reply { html = "<p>Yes", attachments = { { name = "own.txt", data = "5" } } })))
    local mine = assert(page:reply { html = "<p>Yes", attachments = { { cid = "one", data = "mine" } } })
    assert.same({ "one", "two@x" }, cids(mine))
    assert.equal("mine", mine:attachments()[1].data())
    assert.same({}, cids(assert(page:reply { text = "Yes" })))
    assert.same({}, cids(assert(page:reply { html = "Yes", quote = false })))
  end)

  it("stands hostile originals", function()
    local bad = message.parse("From: =?utf-8?q?a=0D=0ABcc:_x@y?= <b@x.org>, nobody\r\n"
      .. "Subject: =?utf-8?q?x=0D=0AY:_z?=\r\nMessage-ID: <a b>\r\n"
      .. "References: " .. ("<" .. ("r"):rep(2000) .. "@x> "):rep(3) .. "<ok@x>\r\nTo: \255\r\n\r\n\255")
    local m = assert(bad:reply { from = "me@x.org" })
    check_wire(m:tostring(), "7bit")
    assert.is_nil(m:header "Y")
    assert.is_nil(m.bcc)
    assert.equal("<ok@x>", m:header "References")
    assert(bad:forward { from = "me@x.org", to = "you@x.org" })
    assert(bad:forward { from = "me@x.org", to = "you@x.org", as = "attachment" })
  end)

  it("keeps References bounded", function()
    local ids = {}
    for i = 1, 500 do ids[i] = ("<%d@x>"):format(i) end
    local long = message.parse("From: a@x.org\r\nTo: b@x.org\r\nMessage-ID: <new@x>\r\nReferences: "
      .. table.concat(ids, "\r\n ") .. "\r\n\r\n")
    local m = assert(long:reply {})
    assert.equal(30, #m.references)
    assert.equal("<1@x>", m.references[1])
    assert.equal("<new@x>", m.references[30])
  end)

  it("raises misuse at the caller's line", function()
    local ok, why = pcall(function() original:reply { txt = "x" } end)
    assert.is_false(ok)
    assert.truthy(why:find("compose_spec.lua.*unknown option 'txt'"), why)
    ok, why = pcall(function() original:reply { all = 1 } end)
    assert.is_false(ok)
    assert.truthy(why:find("compose_spec.lua.*'all'"), why)
    ok, why = pcall(function() original:reply { from = { 5 } } end)
    assert.is_false(ok)
    assert.truthy(why:find("compose_spec.lua.*'from'"), why)
  end)

  it("is an error of the message's where that names nobody to answer for", function()
    local stray = message.parse "From: a@x.org\r\n\r\nhello"
    local m, err = stray:reply { text = "x" }
    assert.is_nil(m)
    assert.equal("invalid", err.kind)
    assert.is_table(stray:reply { from = "me@x.org", text = "x" })
    local ok, why = pcall(function() stray:reply { txt = "x" } end)
    assert.is_false(ok)
    assert.truthy(why:find("compose_spec.lua.*unknown option 'txt'"), why)
  end)
end)

describe("message:forward", function()
  local original = new { subject = "News", html = "<html><body><p>Hé</p></body></html>", text = "Hé\n",
                         attachments = { { name = "a.bin", data = "\0\1" } } }

  it("carries text and attachments", function()
    local m = assert(original:forward { from = "bob@example.org", to = "cy@example.net", text = "See below." })
    assert.equal("Fwd: News", m.subject)
    assert.truthy(m:text():find("See below.\n\n---------- Forwarded message ----------\nFrom: Ann <ann@", 1, true))
    assert.truthy(m:text():find("\n\nHé\n", 1, true))
    assert.truthy(m:html():find("<p>Hé</p>", 1, true))
    assert.is_nil(m:html():find("<body>", 1, true))
    assert.equal("\0\1", m:attachments()[1].data())
    assert.equal("a.bin", m:attachments()[1].filename)
  end)

  it("carries the whole as an attachment", function()
    local m = assert(original:forward { from = "bob@example.org", to = "cy@example.net", as = "attachment" })
    assert.equal("message/rfc822", m:attachments()[1].type)
    assert.equal(original:raw(), m:attachments()[1].data())
    assert.equal("News.eml", m:attachments()[1].filename)
  end)
end)

-- --- reports --------------------------------------------------------------------------------------

describe("mail.message.delivery_status", function()
  it("is a report that programs can read", function()
    local m = assert(message.delivery_status {
      from = "Mail <mailer-daemon@mx.example>", to = "ann@example.com", reporting_mta = "mx.example",
      original = new { subject = "lost" }, arrival_date = 1700000000,
      recipients = { { final_recipient = "bob@example.org", action = "failed", status = "5.1.1",
                       diagnostic = "550 5.1.1 no such user", remote_mta = "mail.example.org" },
                     { final_recipient = "cy@example.org", action = "delayed", status = "4.2.2",
                       will_retry_until = 1700000000 } },
    })
    check_wire(m:tostring(), "7bit")
    assert.equal("", m:envelope().from)
    assert.same({ "ann@example.com" }, m:envelope().to)
    assert.equal("multipart/report", m.type)
    assert.equal("delivery-status", m.parameters["report-type"])
    assert.equal("auto-replied", m:header "Auto-Submitted")
    assert.equal("message/delivery-status", m.parts[2].type)
    assert.equal(table.concat({
      "Reporting-MTA: dns; mx.example", "Arrival-Date: Tue, 14 Nov 2023 22:13:20 +0000", "",
      "Final-Recipient: rfc822; bob@example.org", "Action: failed", "Status: 5.1.1",
      "Remote-MTA: dns; mail.example.org",
      "Diagnostic-Code: smtp; 550 5.1.1 no such user", "", "Final-Recipient: rfc822; cy@example.org", "Action: delayed",
      "Status: 4.2.2", "Will-Retry-Until: Tue, 14 Nov 2023 22:13:20 +0000", "" }, "\r\n"), m.parts[2]:body())
    assert.equal("text/rfc822-headers", m.parts[3].type)
    assert.truthy(m.parts[3]:body():find("Subject: lost", 1, true))
    local status = m:delivery_status()
    assert.is_table(status)
  end)

  it("refuses line ends and bad statuses", function()
    local function report(r)
      r.final_recipient, r.action, r.status = r.final_recipient or "b@x", r.action or "failed", r.status or "5.0.0"
      return message.delivery_status { from = "a@x.org", to = "b@x.org", reporting_mta = "mx", recipients = { r } }
    end
    assert.is_table(report {})
    for _, r in ipairs { { diagnostic = "a\r\nb" }, { final_recipient = "a\nb" }, { status = "550" },
                         { remote_mta = "\0" } } do
      local m, err = report(r)
      assert.is_nil(m)
      assert.equal("invalid", err.kind)
    end
    assert.has_error(function() report { action = "lost" } end)
  end)
end)

describe("mail.message.disposition", function()
  it("is a receipt", function()
    local m = assert(message.disposition {
      from = "bob@example.org", to = "ann@example.com", final_recipient = "bob@example.org",
      original = new { message_id = "<1@example.com>" }, reporting_ua = "here; lua-mail",
    })
    assert.equal("disposition-notification", m.parameters["report-type"])
    assert.equal("Reporting-UA: here; lua-mail\r\nFinal-Recipient: rfc822; bob@example.org\r\n"
      .. "Original-Message-ID: <1@example.com>\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n",
      m.parts[2]:body())
    assert.equal("<1@example.com>", m:header "In-Reply-To")
    assert.equal("", m:envelope().from)
  end)
end)
