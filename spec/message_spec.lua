-- Messages as a user of mail.message reads them: each file of spec/data/mime, and what an attacker sends.

local mail = require "mail"
local Err = require "mail.err"
local expected = dofile "spec/data/mime/expected.lua"
local programs = require "spec.support.child"
local memory = require "spec.support.memory"

local function path_of(name) return "spec/data/mime/" .. name .. ".eml" end

local slurp = require "spec.support.files".slurp

local function eml(name) return mail.message.parse(slurp(path_of(name))) end

local function lines(list) return table.concat(list, "\r\n") end

-- --- as text, to compare ----------------------------------------------------------------------------

local function tree(p)
  if not p.parts then return p.type end
  local inside = {}
  for i, child in ipairs(p.parts) do inside[i] = tree(child) end
  return ("%s(%s)"):format(p.type, table.concat(inside, ", "))
end

local function people(list)
  if not list then return nil end
  local out = {}
  for i, a in ipairs(list) do
    out[i] = a.group and ("%s:[%s]"):format(a.group, people(a.members))
      or ("%s<%s>"):format(a.name and a.name .. " " or "", a.address or "?")
  end
  return table.concat(out, ", ")
end

local function files(msg)
  local out = {}
  for i, a in ipairs(msg:attachments()) do
    out[i] = ("%s|%s|%d%s"):format(a.filename or "-", a.type, a.size, a.cid and "|" .. a.cid or "")
  end
  return out[1] and table.concat(out, " ")
end

local function defects(msg)
  local out = {}
  for i, d in ipairs(msg.defects) do out[i] = d.what .. "@" .. d.offset end
  return out[1] and table.concat(out, "; ")
end

local function short(text) return text and #text > 200 and #text .. " octets" or text end

local function shown(msg)
  return {
    subject = short(msg.subject), from = people(msg.from), to = people(msg.to), date = msg.date, id = msg.message_id,
    refs = msg.references and table.concat(msg.references, " "), irt = msg.in_reply_to, tree = tree(msg),
    text = short(msg:text()), html = msg:html(), files = files(msg), defects = defects(msg),
  }
end

describe("mail.message reads", function()
  local names = {}
  for name in pairs(expected) do names[#names + 1] = name end
  table.sort(names)

  it("more than 150 oddities", function() assert.is_true(#names >= 150) end)

  for _, name in ipairs(names) do
    it(name, function()
      assert.same(expected[name], shown(eml(name)))
    end)
  end

  it("the same from a file, a source, and through a reader in pieces of any size", function()
    for _, name in ipairs(names) do
      local text = slurp(path_of(name))
      local want = shown(mail.message.parse(text))
      assert.same(want, shown(assert(mail.message.parse_file(path_of(name)))))
      local at = 0
      local msg = assert(mail.message.parse_source(function()
        at = at + 7
        return text:sub(at - 6, at) ~= "" and text:sub(at - 6, at) or nil
      end))
      assert.same(want, shown(msg))
      assert.equal(text, msg:raw())
    end
  end)
end)

-- --- the reader -------------------------------------------------------------------------------------

-- Events in one line each; content in a row is one.
local function events(text, size, options)
  local reader, out, last = mail.message.reader(options), {}, nil
  local function take()
    while true do
      local kind, a, b, c = reader:next()
      if not kind then return end
      local content = kind == "body" or kind == "preamble" or kind == "epilogue"
      if content and last == kind then
        out[#out] = out[#out] .. a
      else
        local words = table.concat({ kind, tostring(a), tostring(b), tostring(c) }, "|")
        out[#out + 1] = words:gsub("|nil", ""):gsub("|table:.*$", "")
      end
      last = content and kind or nil
    end
  end
  for at = 1, #text, size do
    reader:feed(text:sub(at, at + size - 1))
    take()
  end
  reader:finish()
  take()
  return out
end

describe("mail.message.reader", function()
  it("gives the same events for every cut", function()
    for name in pairs(expected) do
      local text = slurp(path_of(name))
      local whole = events(text, #text + 1)
      assert.same(whole, events(text, 1), name)
      assert.same(whole, events(text, 13), name)
      assert.equal("end", whole[#whole])
    end
  end)

  it("decodes content on the way, or not", function()
    local text = lines {
      "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64", "", "aGVs", "bG8=", "",
    }
    local got = events(text, 5)
    assert.same({
      "part|1|1", "field|Content-Type|text/plain; charset=utf-8|text/plain; charset=utf-8",
      "field|Content-Transfer-Encoding|base64|base64", "content|leaf|text/plain", "body|hello", "part_end|1", "end",
    }, got)
    assert.equal("body|aGVs\r\nbG8=\r\n", events(text, 5, { decode = false })[5])
  end)

  it("holds little of a large message", function()
    local reader = mail.message.reader()
    reader:feed("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n")
    local piece, octets = ("QUFB"):rep(19, "") .. "\r\n", 0
    piece = piece:rep(800)
    collectgarbage()
    for _ = 1, 200 do
      reader:feed(piece)
      while true do
        local kind, bytes = reader:next()
        if not kind then break end
        if kind == "body" then octets = octets + #bytes end
      end
    end
    reader:feed("\r\n--b--\r\n")
    reader:finish()
    while reader:next() do octets = octets + 0 end
    assert.equal(200 * 800 * 57, octets)
  end)

  it("refuses to go on behind the end, and unknown options", function()
    local reader = mail.message.reader()
    reader:finish()
    assert.has_error(function() reader:feed("x") end)
    assert.has_error(function() mail.message.reader { nothing = 1 } end)
    assert.has_error(function() mail.message.reader { limits = { nothing = 1 } } end)
  end)
end)

-- --- events -----------------------------------------------------------------------------------------

-- As lines like those of `events` above.
local function walked(from, options)
  local out, last = {}, nil
  for event in mail.message.events(from, options) do
    local content = event.data ~= nil
    if content and last == event.kind then
      out[#out] = out[#out] .. event.data
    else
      local words = { event.kind }
      for _, name in ipairs { "depth", "what", "name", "shape", "value", "type", "raw", "data", "offset" } do
        words[#words + 1] = event[name] ~= nil and tostring(event[name]) or nil
      end
      out[#out + 1] = table.concat(words, "|")
    end
    last = content and event.kind or nil
  end
  return out
end

describe("mail.message.events", function()
  it("are those of the reader, from text, a source, a file and a message", function()
    for _, name in ipairs { "multipart-nested", "digest", "boundary-never-closed", "base64-in-one-line", "empty" } do
      local text = slurp(path_of(name))
      local want = events(text, 7)
      assert.same(want, walked(text), name)
      local file = assert(io.open(path_of(name), "rb"))
      assert.same(want, walked(file))
      assert.equal("file", io.type(file))
      file:close()
      local at = 0
      assert.same(want, walked(function()
        at = at + 3
        return text:sub(at - 2, at) ~= "" and text:sub(at - 2, at) or nil
      end))
      assert.same(want, walked(mail.message.parse(text)))
    end
    local made = assert(mail.message.new { from = "a@x.org", text = "x" })
    assert.same(events(made:tostring(), 7), walked(made))
    assert.same({ "body", "aGVsbG8=" }, (function()
      local text = "Content-Transfer-Encoding: base64\r\n\r\naGVsbG8="
      for event in mail.message.events(text, { decode = false }) do
        if event.data then return { event.kind, event.data } end
      end
    end)())
  end)

  it("pass on what the source says", function()
    local function broken() return nil, "broken" end
    local it = mail.message.events(broken)
    local none, err
    repeat none, err = it:next() until none == nil
    assert.equal("io", err.kind)
    assert.is_nil(it:next())
    local ok, why = pcall(function()
      for event in mail.message.events(broken) do assert(event) end
    end)
    assert.is_false(ok)
    assert.is_true(Err.is(why) and why.kind == "io")
    for _, bad in ipairs { 1, true, {} } do
      ok, why = pcall(function() return (mail.message.events(bad)) end)
      assert.is_false(ok)
      assert.matches("message_spec.lua:%d+: mail.message.events: text", why)
    end
    it = mail.message.events "a: b\r\n\r\nc"
    assert.equal("part", it:next().kind)
    it:close()
    assert.is_nil(it:next())
  end)

  it("of a gigabyte need less than 4 MiB", function()
    local head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    local piece = (("QUFB"):rep(19) .. "\r\n"):rep(800)
    local pieces, sent, octets, parts = math.ceil(2 ^ 30 / #piece), 0, 0, 0
    for event in mail.message.events(head .. piece) do octets = octets + (event.data and #event.data or 0) end
    assert.equal(57 * 800, octets)
    collectgarbage()
    memory.forget()
    local before = memory.peak()
    octets = 0
    for event in mail.message.events(function()
      sent = sent + 1
      if sent == 1 then return head end
      return sent <= pieces + 1 and piece or sent == pieces + 2 and "--b--\r\n" or nil
    end) do
      if event.kind == "body" then octets = octets + #event.data end
      if event.kind == "part" then parts = parts + 1 end
    end
    assert.equal(pieces * 800 * 57, octets)
    assert.equal(2, parts)
    if before then assert.is_true(memory.peak() - before < memory.bound(4)) end
  end)
end)

-- --- the API ----------------------------------------------------------------------------------------

local SAMPLE = lines {
  "From: =?utf-8?Q?J=C3=BCrgen?= <j@x.org>", "To: a@b.c, T: d@e.f;", "X-One: 1", "X-One:  2 ",
  "Subject: =?utf-8?B?SMOkbGxv?=", "Date: Mon, 2 Nov 2026 10:00:00 +0100",
  "Content-Type: multipart/mixed; boundary=aa", "", "--aa",
  "Content-Type: text/plain; charset=iso-8859-1", "Content-Transfer-Encoding: quoted-printable", "",
  "gr=FC=DFe", "zwei",
  "--aa", "Content-Type: application/pdf; name=x.pdf", "Content-Transfer-Encoding: base64", "", "aGVsbG8=",
  "--aa--", "",
}

describe("a message", function()
  local msg = mail.message.parse(SAMPLE)

  it("has fields, decoded and raw", function()
    assert.equal("H\195\164llo", msg.subject)
    assert.equal("H\195\164llo", msg:header "subject")
    assert.equal("=?utf-8?B?SMOkbGxv?=", msg:raw_header "SUBJECT")
    assert.same({ "1", "2" }, msg:header_all "x-one")
    assert.same({}, msg:header_all "x-none")
    assert.is_nil(msg:header "x-none")
    assert.same({ name = "X-One", value = "1" }, msg:headers()[3])
    assert.same({ name = "X-One", raw = "X-One:  2 \r\n" }, msg:raw_headers()[4])
    assert.same({ { name = "J\195\188rgen", address = "j@x.org" } }, msg.from)
    assert.same({ { address = "a@b.c" }, { group = "T", members = { { address = "d@e.f" } } } }, msg.to)
    assert.is_nil(msg.cc)
    assert.equal(1793610000, msg.date)
    assert.equal(60, msg.zone)
    assert.equal("multipart/mixed", msg.type)
    assert.equal("aa", msg.parameters.boundary)
    local kind, params = msg:params "content-type"
    assert.equal("multipart/mixed", kind)
    assert.same({ boundary = "aa" }, params)
  end)

  it("has parts and leaves", function()
    assert.equal(2, #msg.parts)
    assert.is_nil(msg.parts[1].parts)
    local types = {}
    for p in msg:walk() do types[#types + 1] = p.type end
    assert.same({ "text/plain", "application/pdf" }, types)
    assert.equal("gr\252\223e\r\nzwei", msg.parts[1]:body())
    assert.equal("gr\195\188\195\159e\nzwei", msg.parts[1]:text())
    assert.equal("gr=FC=DFe\r\nzwei", msg.parts[1]:raw_body())
    assert.equal("hello", msg.parts[2]:body())
    assert.equal("x.pdf", msg.parts[2].filename)
    assert.equal(5, msg.parts[2].size)
    assert.equal("base64", msg.parts[2].encoding)
  end)

  it("is given back as it was", function()
    assert.equal(SAMPLE, msg:raw())
    assert.equal(SAMPLE, msg:tostring())
    assert.equal(SAMPLE, tostring(msg))
    assert.equal(#SAMPLE, msg:octets())
    local out = {}
    for piece in msg:source() do out[#out + 1] = piece end
    assert.equal(SAMPLE, table.concat(out))
    local part = msg.parts[1]
    assert.equal(part:raw_head() .. part:raw_body(), part:raw())
    for _, p in ipairs { msg, msg.parts[1], msg.parts[2] } do
      local first, content, last = p:offsets()
      assert.equal(p:raw(), SAMPLE:sub(first, last))
      assert.equal(p:raw_body(), SAMPLE:sub(content, last))
    end
  end)

  it("shows the beginning of its text", function()
    assert.equal("gr\195\188\195\159e zwei", msg:preview())
    assert.equal("gr\195\188", (msg:preview(3)))
  end)

  it("says nil, and not nothing, where there is none", function()
    local bare = mail.message.parse "Content-Type: image/png\r\n\r\n"
    for _, name in ipairs { "text", "html", "returned", "tnef", "list", "delivery_status" } do
      assert.equal(1, select("#", bare[name](bare)), name)
    end
    for _, name in ipairs { "header", "raw_header", "addresses", "ids" } do
      assert.equal(1, select("#", bare[name](bare, "X-None")), name)
    end
    assert.equal(2, select("#", bare:params "X-None"))
    assert.equal("nil", tostring(bare:header "X-None"))
  end)

  it("refuses wrong arguments", function()
    assert.has_error(function() mail.message.parse(1) end)
    assert.has_error(function() mail.message.parse("", { nothing = 1 }) end)
    assert.has_error(function() msg:header() end)
    local function raises(words, fn)
      local ok, why = pcall(fn)
      assert.is_false(ok)
      assert.matches("message_spec%.lua:%d+: .*" .. words, why)
    end
    local leaf = mail.message.parse("Content-Disposition: attachment\n\nx"):attachments()[1]
    raises("'nothing'", function() local m = mail.message.parse("", { limits = { nothing = 1 } }); return m end)
    raises("'depth'", function() local m = mail.message.parse("", { limits = { depth = 0 } }); return m end)
    raises("'depth'", function() local m = mail.message.reader { limits = { depth = 0 } }; return m end)
    raises("'line'", function() local m = mail.message.events("", { limits = { line = 0 / 0 } }); return m end)
    raises("NUL", function() local m = mail.message.parse_file "a\0b"; return m end)
    raises("characters", function() local text = msg:preview(-1); return text end)
    raises("array", function() local m = mail.message.join(); return m end)
    raises("piece 1", function() local m = mail.message.join { 5 }; return m end)
    raises("name", function() local name = mail.message.safe_name(5); return name end)
    raises("path", function() local path = leaf:save(); return path end)
    raises("'over'", function() local path = leaf.save("x", { over = true }); return path end)
    local none, err = mail.message.parse_file "/nonexistent/file"
    assert.is_nil(none)
    assert.equal("io", err.kind)
  end)

  it("passes on what a source says", function()
    local none, err = mail.message.parse_source(function() return nil, "broken" end)
    assert.is_nil(none)
    assert.is_true(Err.is(err) and err.kind == "io" and err.message:find("broken", 1, true) ~= nil)
  end)

  it("keeps what was signed octet for octet", function()
    local signed = eml "signed"
    assert.equal("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
      .. "signed =C3=BC text  \r\n", signed.parts[1]:raw())
  end)
end)

-- --- defects ----------------------------------------------------------------------------------------

-- Messages whose defects no file of spec/data/mime has.
local WRONG = {
  "Content-Type: multipart/mixed\r\n\r\n", "Message-ID: none\r\n\r\n", "To: \"a\1\"@b\r\n\r\n", "To: a@b.\r\n\r\n",
  "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: 7bit\r\n\r\n", "To: a.@b\r\n\r\n", "To: .a@b\r\n\r\n",
  "To: a@b <c@d>\r\n\r\n", "To: \252@b\r\n\r\n", "To: a b@c\r\n\r\n", "To: ) ;\r\n\r\n",
  "Content-Type: text/plain; (x\r\n\r\n", "Content-Type: charset=x\r\n\r\n", "To: .\r\n\r\n",
  "To: " .. ("a@b,"):rep(1000001) .. "\r\n\r\n",
}

-- Limits so small that a message passes them.
local LIMITED = { depth = 1, parts = 1, header = 20, headers = 20, line = 20, parameters = 1 }

describe("defects", function()
  local function each(fn)
    for name in pairs(expected) do fn(eml(name)) end
    for _, text in ipairs(WRONG) do fn(mail.message.parse(text)) end
    for limit, n in pairs(LIMITED) do
      fn(mail.message.parse(eml("multipart-nested"):raw(), { limits = { [limit] = n } }))
      fn(mail.message.parse("Content-Type: text/plain; a=b; c=d\r\n\r\n", { limits = { [limit] = n } }))
    end
  end

  it("are all told of in one list, and all of that list are found", function()
    local unknown, left = {}, {}
    for what in pairs(mail.message.DEFECTS) do left[what] = true end
    each(function(msg)
      for _, d in ipairs(msg.defects) do
        left[d.what] = nil
        if not mail.message.DEFECTS[d.what] then unknown[d.what] = true end
        assert.is_true(d.offset >= 1 and d.offset <= #msg:raw() + 1)
        assert.equal(d.what:match "^limit passed: (.*)$", d.limit)
      end
    end)
    assert.same({}, unknown)
    assert.same({}, left)
  end)

  it("stand where they are told to, by offset", function()
    local text = lines {
      "To: a@b", "Subject: =?nosuch?q?x?=", "Subject: again", "Content-Type: text/plain", "", "\252",
    }
    local list = mail.message.parse(text).defects
    local found = {}
    for i, d in ipairs(list) do found[i] = { d.what, text:sub(d.offset, d.offset + 1), d.field } end
    assert.same({
      { "an encoded word in a charset that is not known", "=?", "Subject" },
      { "a field that may stand once is repeated", " a", "Subject" },
      { "8-bit text without a charset", "\252" },
    }, found)
    assert.equal(3, list.count)
  end)

  it("are an empty list where there are none", function()
    local list = mail.message.parse("Subject: x\r\n\r\nhello\r\n").defects
    assert.is_nil(next(list))
    assert.equal(0, list.count)
  end)

  it("are counted, and the first thousand are listed", function()
    local list = mail.message.parse(("To: <\r\n"):rep(5000) .. "\r\n").defects
    assert.equal(1000, #list)
    assert.is_true(list.count >= 5000)
  end)
end)

-- --- attachments ------------------------------------------------------------------------------------

local function folder()
  local name = os.tmpname()
  os.remove(name)
  assert(os.execute("mkdir '" .. name .. "'"))
  return name
end

local function remove(name) os.execute("rm -rf '" .. name .. "'") end

describe("an attachment", function()
  it("is saved under a name that cannot leave its folder", function()
    local outside = folder()
    local inside = outside .. "/in"
    assert(os.execute("mkdir '" .. inside .. "'"))
    for name in pairs(expected) do
      for _, a in ipairs(eml(name):attachments()) do
        local path = assert(a:save(inside))
        assert.equal(inside, path:match("^(.*)/[^/]+$"))
        assert.equal(a:data(), slurp(path))
      end
    end
    local list = io.popen("ls -A '" .. outside .. "'")
    assert.equal("in\n", list:read "*a")
    list:close()
    remove(outside)
  end)

  it("is saved as it is given and counted, however it is encoded", function()
    local dir = folder()
    for encoding, pair in pairs {
      base64 = { "QUJD\r\n", "ABC" }, ["quoted-printable"] = { "=00 \195=\r\n", "\0 \195" },
      binary = { "\0\r", "\0\r" },
    } do
      local written, octets = pair[1]:rep(100000), pair[2]:rep(100000)
      local a = mail.message.parse("Content-Type: application/x-y; name=x\r\nContent-Transfer-Encoding: " .. encoding
        .. "\r\n\r\n" .. written):attachments()[1]
      assert.equal(#octets, a.size)
      assert.is_true(a.data() == octets)
      assert.is_true(slurp(assert(a:save(dir))) == octets)
    end
    remove(dir)
  end)

  it("overwrites nothing unless it is asked to", function()
    local dir = folder()
    local a = mail.message.parse(SAMPLE):attachments()[1]
    assert.equal(dir .. "/x.pdf", a.save(dir))
    assert.equal(dir .. "/x (1).pdf", a:save(dir .. "/"))
    local none, err = a:save(dir .. "/x.pdf")
    assert.is_nil(none)
    assert.equal("io", err.kind)
    assert.equal(dir .. "/x.pdf", a:save(dir .. "/x.pdf", { overwrite = true }))
    os.execute(("ln -s '%s/target' '%s/link'"):format(dir, dir))
    assert.is_nil((a:save(dir .. "/link")))
    assert.is_nil((a:save(dir .. "/link", { overwrite = true })))
    os.execute(("mkfifo '%s/pipe'"):format(dir))
    assert.is_nil((a:save(dir .. "/pipe", { overwrite = true }))) -- nor waits for a reader
    assert.is_nil(io.open(dir .. "/target"))
    remove(dir)
  end)

  it("replaces a file only by a whole one, with its rights", function()
    local dir = folder()
    local path = dir .. "/x.pdf"
    local function answer(command)
      local pipe = io.popen(command)
      local said = pipe:read "*a"
      pipe:close()
      return said
    end
    local large = "Content-Type: application/octet-stream\r\n\r\n" .. ("0123456789abcde\n"):rep(131072)
    local out = io.open(path, "wb")
    out:write(large)
    out:close()
    os.execute(("chmod 640 '%s'"):format(path))
    -- no more than 512 KiB: the disk is full in the midst of it
    local program = 'local mail = require "mail"; local m = mail.message.parse(io.read "*a"); '
      .. 'local at, err = m:attachments()[1]:save(os.getenv "TARGET", { overwrite = true }); '
      .. 'io.write(tostring(at or err.kind))'
    os.execute(("cp '%s' '%s/mail'"):format(path, dir))
    assert.equal("io", answer(("trap '' XFSZ; ulimit -f 512; %s -e '%s' < '%s/mail'"):format(
      programs.lua("TARGET=" .. path), program, dir)))
    assert.equal(#large, #slurp(path))
    os.remove(dir .. "/mail")
    local m = mail.message.parse_file(path)
    assert.equal(path, assert(mail.message.parse(SAMPLE):attachments()[1]:save(path, { overwrite = true })))
    assert.equal(#large, #m:raw()) -- what is read from the old one stays
    assert.equal("-rw-r-----", answer(("ls -l '%s'"):format(path)):sub(1, 10))
    assert.equal("x.pdf\n", answer(("ls -A '%s'"):format(dir)))
    remove(dir)
  end)

  it("is one of thousands of one name", function()
    local dir, out = folder(), { "Content-Type: multipart/mixed; boundary=b\r\n" }
    for i = 1, 600 do
      out[#out + 1] = "\r\n--b\r\nContent-Disposition: attachment; filename=../x.txt\r\n\r\n" .. i
    end
    local list, seen = mail.message.parse(table.concat(out)):attachments(), {}
    assert.equal(600, #list)
    for i, a in ipairs(list) do
      local path = assert(a.save(dir))
      assert.is_nil(seen[path])
      seen[path] = true
      assert.equal(dir .. (i == 1 and "/x.txt" or ("/x (%d).txt"):format(i - 1)), path)
    end
    os.remove(dir .. "/x (7).txt")
    assert(list[1].save(dir))
    remove(dir)
  end)

  it("has a safe name whatever the sender says", function()
    local safe = mail.message.safe_name
    for given, want in pairs {
      ["../../x"] = "x", ["..\\..\\x"] = "x", ["/"] = "attachment", [".."] = "attachment", ["a/.."] = "attachment",
      ["C:x.txt"] = "C_x.txt", ["nul"] = "_nul", ["a. . "] = "a", ["...x"] = "_..x", ["a\0b"] = "ab",
      ["com1.tar.gz"] = "_com1.tar.gz", ["x\226\128\174gpj.exe"] = "xgpj.exe",
      ["\\\\host\\share\\x"] = "x", ["/etc/passwd"] = "passwd", ["C:\\Windows\\x.dll"] = "x.dll", ["a/"] = "attachment",
      ["aux .txt"] = "_aux .txt", ["CON"] = "_CON", ["COM\194\185.x"] = "_COM\194\185.x", ["ConIn$"] = "_ConIn$",
      ["a\r\nb"] = "ab", ["a\194\155b"] = "ab", ["\239\187\191a\226\128\139b"] = "ab", [". ."] = "attachment",
      ["x:stream"] = "x_stream", ["a.txt."] = "a.txt", ["a.txt "] = "a.txt", [".ssh"] = "_ssh", [" .. "] = "attachment",
      ["\226\128\174"] = "attachment", ["~"] = "~", ["a b"] = "a b", ["\227\128\130.txt"] = "\227\128\130.txt",
      ["../\0"] = "attachment", ["%2e%2e%2fx"] = "%2e%2e%2fx", ["..."] = "attachment", ["*?|<>\""] = "______",
    } do
      assert.equal(want, safe(given))
    end
    assert.equal(200, #safe(("\195\188"):rep(400) .. ".pdf"))
    assert.equal(".pdf", safe(("\195\188"):rep(400) .. ".pdf"):sub(-4))
    assert.equal(199, #safe(("a"):rep(199) .. (" "):rep(9) .. "b"))
  end)
end)

-- --- reports ----------------------------------------------------------------------------------------

describe("reports", function()
  it("say who did not get the message, and why", function()
    local status = eml("delivery-status"):delivery_status()
    assert.equal("mx.example.org", status.reporting_mta)
    assert.equal(1795255200, status.arrival)
    assert.equal(2, #status.recipients)
    local bob, cy = status.recipients[1], status.recipients[2]
    assert.equal("bob@x.org", bob.address)
    assert.equal("Bob@x.org", bob.original)
    assert.equal("failed", bob.action)
    assert.equal("5.1.1", bob.status)
    assert.equal(550, bob.code)
    assert.equal("550 5.1.1 <bob@x.org>: no such user", bob.diagnostic)
    assert.equal("mx.x.org", bob.remote_mta)
    assert.equal("delayed", cy.action)
    assert.equal("the one", eml("delivery-status"):returned().subject)
  end)

  it("are read without the empty line between their groups", function()
    local msg = eml "delivery-status-without-the-empty-line"
    local status = msg:delivery_status()
    assert.equal("mx.example.org", status.reporting_mta)
    assert.equal("bob@x.org", status.recipients[1].address)
    assert.equal("the one", msg:returned().subject)
  end)

  it("say that a message was read", function()
    local read = eml("disposition-notification"):disposition_notification()
    assert.equal("displayed", read.disposition)
    assert.is_false(read.automatic)
    assert.equal("<1@x>", read.message_id)
    assert.equal("joe@x.org", read.address)
  end)

  it("complain of abuse", function()
    local report = eml("abuse-report"):feedback_report()
    assert.equal("abuse", report.feedback_type)
    assert.equal("192.0.2.1", report.source_ip)
    assert.equal("buy", report.reported.subject)
  end)

  it("are nil where there are none", function()
    local msg = eml "no-mime-at-all"
    assert.is_nil(msg:delivery_status())
    assert.is_nil(msg:disposition_notification())
    assert.is_nil(msg:feedback_report())
    assert.is_nil(msg:returned())
    assert.is_nil(msg:external_body())
    assert.same({}, msg:calendars())
  end)
end)

describe("who handed it on", function()
  it("is told by Received, as far as that can be read", function()
    local msg = mail.message.parse(lines {
      "Received: from a.example (helo=x [192.0.2.1]) by mx.example (Postfix) with ESMTPS id 4F (a (b) c)",
      "\tfor <bob@x.org>; Mon, 2 Nov 2026 10:00:00 +0100", "Received: by b; x", "Received:",
      "Received: from [IPv6:2001:db8::1] (unclosed by c", "Received: FROM x from y (by \\) z) BY q;;", "", "",
    })
    local list = msg:received()
    assert.equal(5, #list)
    assert.same({
      from = "a.example", address = "192.0.2.1", by = "mx.example", with = "ESMTPS", id = "4F", recipient = "bob@x.org",
      date = 1793610000, value = msg:header "Received",
    }, list[1])
    assert.same({ by = "b", value = "by b; x" }, list[2])
    assert.same({ value = "" }, list[3])
    assert.equal("2001:db8::1", list[4].address)
    assert.same({ "x", "q" }, { list[5].from, list[5].by })
    assert.same({}, eml("only-a-header"):received())
  end)

  it("is told by the fields of lists", function()
    local msg = mail.message.parse(lines {
      'List-Id: "The News " <news.x.org>', "List-Unsubscribe: <mailto:a@b?s=1>, (or) <https://x.org/", " y>, <>",
      "List-Unsubscribe-Post: List-Unsubscribe=One-Click", "List-Post: NO (it is a newsletter)", "", "",
    })
    assert.same({
      id = "news.x.org", name = "The News", unsubscribe = { "mailto:a@b?s=1", "https://x.org/y" }, post = false,
      one_click = true,
    }, msg:list())
    assert.same({ id = "bare", one_click = false }, mail.message.parse "List-Id: bare\r\n\r\n":list())
    assert.is_nil(eml("only-a-header"):list())
    local made = assert(mail.message.new { from = "a@x.org", list = { id = "n.x.org", help = "help@x.org" } })
    assert.same({ id = "n.x.org", help = { "mailto:help@x.org" }, one_click = false }, made:list())
  end)
end)

describe("other kinds", function()
  it("tell where a body lies", function()
    local body = eml("external-body"):external_body()
    assert.equal("url", body.access_type)
    assert.equal("http://x.org/a/b.pdf", body.url)
    assert.equal(100, body.size)
    assert.equal("application/pdf", body.header.type)
    assert.equal("e@x", body.header.cid)
  end)

  it("hold calendars", function()
    local list = eml("calendar-invitation"):calendars()
    assert.equal("REQUEST", list[1].method)
    assert.equal("BEGIN:VCALENDAR\nEND:VCALENDAR", list[1].text)
  end)

  it("hold uuencode in text, which stays there", function()
    local text = lines {
      "begin 644 talk of it", "is no file", "begin", "begin 644", "begin 6x4 a",
      "begin 644 Gr\252n.txt", "#0V%T", "`", "end",
      "between", "begin 0755 ../b", "#0V%T", "#0V%T", "", "behind", "begin 600 c.gif", '"0V$', "",
    }
    local msg = mail.message.parse("Content-Type: text/plain; charset=iso-8859-1\r\n\r\n" .. text)
    local list, found = msg:attachments(), {}
    for i, a in ipairs(list) do found[i] = { a.filename, a.type, a.data(), a.size, a.disposition } end
    assert.same({
      { "Gr\195\188n.txt", "text/plain", "Cat", 3, "attachment" },
      { "b", "application/octet-stream", "CatCat", 6, "attachment" },
      { "c.gif", "image/gif", "Ca", 2, "attachment" },
    }, found)
    assert.equal((text:gsub("\r\n", "\n"):gsub("\252", "\195\188")), msg:text())
    assert.same({}, mail.message.parse("Content-Type: text/html\r\n\r\n" .. text):attachments())
    assert.equal("Cat", mail.message.parse("Content-Transfer-Encoding: x-uuencode\r\n\r\n"
      .. "begin 644 a\r\n#0V%T\r\n`\r\nend\r\n"):body())
  end)

  it("hold winmail.dat", function()
    local msg = eml "winmail-dat"
    local tnef = msg.parts[2]:tnef()
    assert.equal("Gr\195\188\195\159e", tnef.text)
    assert.is_false(tnef.broken)
    assert.equal("hello tnef", msg:attachments()[1]:data())
    assert.is_true(eml("winmail-dat-cut").parts[2]:tnef().broken)
    tnef = eml("winmail-dat-alone-with-a-message"):tnef()
    assert.equal("{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n", tnef.rtf) -- the example of MS-OXRTFCP
    local inner = tnef.attachments[2].tnef()
    assert.equal("inner", inner.subject)
    assert.equal("in", inner.attachments[1].data())
    assert.equal("inner.txt", inner.attachments[1].filename)
    assert.equal("deep", inner.attachments[2].tnef().text)
    assert.equal("deepest", inner.attachments[2].tnef().attachments[1].data())
    assert.is_nil(inner.attachments[1].tnef)
  end)

  it("are put together of pieces", function()
    local one, two = eml "partial-1-of-2", eml "partial-2-of-2"
    local whole = assert(mail.message.join { two, slurp(path_of "partial-1-of-2") })
    assert.equal("inner subject", whole.subject)
    assert.equal("<inner@x>", whole.message_id)
    assert.equal("ann@example.org", whole.from[1].address)
    assert.equal("first half,\nsecond half\n", whole:text())
    for _, pieces in ipairs { { one }, { two }, {}, { one, eml "signed" } } do
      local none, err = mail.message.join(pieces)
      assert.is_nil(none)
      assert.equal("invalid", err.kind)
    end
  end)
end)
