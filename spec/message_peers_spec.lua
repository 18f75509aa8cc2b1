-- Each message of spec/data/mime as Python's email package and GMime read it, beside what we read: the same, or a
-- difference that is told here with its reason. RFC 7103 decides; where it is silent, what loses least. What GMime
-- 3.2.13 reads is kept in spec/data/mime/gmime.txt, made by spec/tools/read_by_gmime.c.

local mail = require "mail"

-- CRC-32 of IEEE 802.3, as Python's binascii has it; with arithmetic that all Luas share.
local function xor(a, b)
  local out, bit = 0, 1
  for _ = 1, 32 do
    local x, y = a % 2, b % 2
    if x ~= y then out = out + bit end
    a, b, bit = (a - x) / 2, (b - y) / 2, bit * 2
  end
  return out
end

local crc_table = {}
for i = 0, 255 do
  local c = i
  for _ = 1, 8 do
    c = c % 2 == 1 and xor(0xEDB88320, (c - 1) / 2) or c / 2
  end
  crc_table[i] = c
end

local function crc32(s)
  local c = 0xFFFFFFFF
  for i = 1, #s do
    local low = c % 256
    local index = xor(low, s:byte(i))
    c = xor(crc_table[index], (c - low) / 256)
  end
  return xor(c, 0xFFFFFFFF)
end

-- --- what we read, in Python's words ----------------------------------------------------------------

local function tree(p)
  if not p.parts then return p.type end
  local inside = {}
  for i, child in ipairs(p.parts) do inside[i] = tree(child) end
  return ("%s(%s)"):format(p.type, table.concat(inside, ", "))
end

local function addresses(list)
  if not list then return nil end
  local out = {}
  for _, a in ipairs(list) do
    for _, one in ipairs(a.members or { a }) do out[#out + 1] = one.address or "" end
  end
  return table.concat(out, " ")
end

local function names(msg)
  local out = {}
  for p in msg:walk() do out[#out + 1] = p.filename end
  return table.concat(out, "|")
end

local function bodies(msg)
  local out = {}
  for p in msg:walk() do
    local octets = p:body()
    out[#out + 1] = ("%d/%08x"):format(#octets, crc32(octets))
  end
  return table.concat(out, " ")
end

local function escaped(s)
  return (s:gsub(".", function(c)
    local o = c:byte()
    return (o < 32 or o > 126 or o == 92) and ("\\x%02X"):format(o) or c
  end))
end

local function ours(msg)
  local date = msg.date
  local facts = {
    tree = tree(msg), subject = msg.subject, from = addresses(msg.from), to = addresses(msg.to),
    date = date and ("%d"):format(date), names = names(msg), bodies = bodies(msg),
  }
  for field, value in pairs(facts) do facts[field] = escaped(value) end
  return facts
end

-- --- reasons ----------------------------------------------------------------------------------------

local REPORT = "Python makes parts of what reports and messages in pieces hold; here it is content, read "
  .. "by methods of its own"
local BOUNDARY = "the boundary is taken from the first line that looks like a delimiter, and told as a defect"
local TOLERANCE = "a form that mailers write, and that can be read in one way only"
local ENCODED = "RFC 2045 §6.4 forbids the encoding, RFC 6532 §3.5 allows it for messages; it is undone, "
  .. "so that nothing is hidden"
local LINE = "a line end or NUL that was hidden in an encoding becomes a space: no header can be forged with it"
local RAW = "raw octets that are no UTF-8 are read as windows-1252 and told as a defect"
local CHARSET = "the label lies: read as what the octets are (WHATWG Encoding §4.2)"

-- What differs: message → field → why.
local python_differs = {
  ["abuse-report"] = { tree = REPORT, bodies = REPORT },
  ["address-empty-brackets"] = { to = "\"<>\" names nobody" },
  ["address-quote-not-closed"] = {
    to = "a quote that nothing closes is one character; the address behind it stands",
  },
  ["address-semicolons"] = { to = "Python drops what follows the first semicolon" },
  ["address-two-at"] = { to = "Python's answer is the empty address; here it is a name without one" },
  ["address-with-a-comma-unquoted"] = { to = "\"Smith\" is the first half of a name, not an address" },
  ["boundary-closes-at-once"] = {
    bodies = "what Python gives is the preamble: the body of a part without parts is here as it stands",
  },
  ["boundary-empty"] = { tree = BOUNDARY, bodies = BOUNDARY },
  ["boundary-missing"] = { tree = BOUNDARY, bodies = BOUNDARY },
  ["boundary-never-closed"] = {
    bodies = "the last line end belongs to a delimiter (RFC 2046 §5.1.1), and none follows: it is content",
  },
  ["boundary-reused-by-a-part-inside"] = {
    tree = "Python ends the inner multipart at once; the innermost that is open is meant",
    bodies = "the same",
  },
  ["boundary-without-quotes-and-odd"] = {
    tree = "a token may not hold \"=\" or \":\" (RFC 2045 §5.1), but mailers write them: the value "
      .. "goes on to the white space",
    bodies = "the same",
  },
  ["date-24-00-00"] = { date = TOLERANCE },
  ["date-iso-8601"] = { date = TOLERANCE },
  ["date-leap-second"] = { date = "second 60 is legal (RFC 5322 §3.3)" },
  ["date-three-digit-year"] = { date = "three digits count from 1900 (RFC 5322 §4.3)" },
  ["date-with-comments"] = { date = "comments may stand anywhere (RFC 5322 §4.3)" },
  ["date-zone-in-quotes"] = { date = "Python drops a zone that it does not know" },
  ["delivery-status"] = { tree = REPORT, bodies = REPORT },
  ["delivery-status-without-the-empty-line"] = { tree = REPORT, bodies = REPORT },
  ["disposition-notification"] = { tree = REPORT, bodies = REPORT },
  ["external-body"] = { tree = REPORT, bodies = REPORT },
  ["line-without-a-colon-in-the-header"] = {
    subject = "Python ends the header there; RFC 7103 §7.5 lets it go on where fields follow",
    bodies = "the same",
  },
  ["mbox-line-quoted"] = {
    from = "a quoted mbox line is passed over like a plain one",
    subject = "the same",
    bodies = "the same",
  },
  ["message-inside-in-base64"] = { bodies = ENCODED },
  ["message-inside-in-qp"] = { bodies = ENCODED },
  ["multipart-in-base64"] = { tree = ENCODED, bodies = ENCODED },
  ["multipart-with-empty-parts"] = {
    tree = "Python takes the first delimiter's neighbor for its continuation: two delimiters in a row "
      .. "hold an empty part",
    bodies = "the same",
  },
  ["multipart-without-a-subtype"] = {
    tree = "read as multipart/mixed: what was meant is plain",
    bodies = "the same",
  },
  ["name-2231-beside-a-plain-one"] = {
    names = "the extended form is the better one (RFC 6266 §4.3, RFC 2231 §3): the plain one is for old readers",
  },
  ["name-2231-with-a-gap"] = { names = "Python drops what follows a gap" },
  ["name-as-a-windows-path"] = { names = "a backslash before a letter is one: paths of Windows" },
  ["name-in-encoded-words-unquoted"] = { names = "RFC 2047 §5 forbids it and mailers do it" },
  ["name-with-a-line-end"] = { names = LINE },
  ["name-with-a-nul"] = { names = LINE },
  ["name-with-an-unquoted-semicolon"] = { names = "a piece without \"=\" belongs to the name before it" },
  ["name-with-unquoted-spaces"] = { names = "a name goes on to the semicolon" },
  ["partial-1-of-2"] = { tree = REPORT, bodies = REPORT },
  ["partial-2-of-2"] = { tree = REPORT },
  ["qp-trailing-spaces"] = { bodies = "white space at the end of a line was added on the way (RFC 2045 §6.7 (3))" },
  ["raw-latin-1-in-the-header"] = { subject = RAW },
  ["repeated-to"] = { to = "RFC 7103 §7.3.2: the addresses of all of them" },
  ["signed"] = { bodies = "white space at the end of a line was added on the way (RFC 2045 §6.7 (3))" },
  ["space-before-the-colon"] = {
    from = "RFC 5322 §4.5 (obs-optional) allows it; Python ends the header",
    subject = "the same",
    bodies = "the same",
  },
  ["transfer-in-quotes"] = { bodies = "what was meant is plain" },
  ["transfer-with-a-comment"] = { bodies = "comments may stand there (RFC 2045 §6.1)" },
  ["type-with-comments"] = { tree = "comments are none of the type (RFC 2045 §5.1)" },
  ["type-with-spaces-around-the-slash"] = { tree = "what was meant is plain" },
  ["type-without-a-semicolon"] = { tree = "what was meant is plain" },
  ["word-and-raw-octets"] = { subject = RAW },
  ["word-in-an-address"] = {
    from = "an encoded word is never decoded in an address (RFC 2047 §5 (3)): \"Splitting the email atom\"",
  },
  ["word-in-shift-jis"] = { subject = "Python does not know x-sjis" },
  ["word-latin-1-that-is-windows-1252"] = { subject = CHARSET },
  ["word-that-is-not-closed"] = { subject = "what is no whole word stays as it stands" },
  ["word-with-a-line-end-in-it"] = { subject = LINE },
  ["word-with-a-question-mark"] = { subject = "the word ends at \"?=\", so a lone \"?\" is text" },
  ["word-without-a-charset"] = { subject = "what is no whole word stays as it stands" },
  ["words-in-gb2312-that-are-gbk"] = { subject = CHARSET },
}

local GUESS = "what was meant is plain"
local OPENED = "GMime does not open what lies encoded"
local END = "white space before the end of a line was added on the way (RFC 2045 §6.7 (3))"

local gmime_differs = {
  ["address-semicolons"] = { to = "mailers separate addresses so; GMime drops what follows" },
  ["address-two-at"] = { to = "GMime drops \"@\": an address that nobody wrote" },
  ["base64-without-padding"] = { bodies = "GMime drops the last octets" },
  ["boundary-closes-at-once"] = { bodies = "the body of a part without parts is here as it stands" },
  ["boundary-empty"] = { tree = BOUNDARY, bodies = BOUNDARY },
  ["boundary-missing"] = { tree = BOUNDARY, bodies = BOUNDARY },
  ["boundary-with-trailing-space"] = {
    tree = "white space behind a boundary is none of it (RFC 2046 §5.1.1), tabs too", bodies = "the same",
  },
  ["date-24-00-00"] = { date = TOLERANCE },
  ["date-iso-8601"] = { date = TOLERANCE },
  ["date-leap-second"] = { date = "second 60 is legal (RFC 5322 §3.3)" },
  ["date-three-digit-year"] = { date = "three digits count from 1900 (RFC 5322 §4.3)" },
  ["date-zone-in-quotes"] = { date = "GMime drops a zone that it does not know" },
  ["line-ends-lf-cr"] = { bodies = "GMime reads the body as the header" },
  ["lines-in-cr"] = { subject = "a bare CR ends a line when the message is sent on", bodies = "the same" },
  ["message-inside-in-base64"] = { tree = ENCODED, bodies = ENCODED },
  ["message-inside-in-qp"] = { tree = ENCODED, bodies = ENCODED },
  ["multipart-in-base64"] = { tree = OPENED, bodies = OPENED },
  ["multipart-with-empty-parts"] = {
    tree = "two delimiters in a row hold an empty part", bodies = "the same",
  },
  ["multipart-without-a-body"] = { bodies = "a part without parts has a body, which is empty" },
  ["multipart-without-a-subtype"] = { tree = "read as multipart/mixed: " .. GUESS, bodies = "the same" },
  ["multipart-without-parts"] = { bodies = "the body of a part without parts is here as it stands" },
  ["name-2231-beside-a-plain-one"] = { names = "the extended form is the better one (RFC 6266 §4.3)" },
  ["name-2231-out-of-order"] = { names = "GMime leaves the charset in the name" },
  ["name-as-a-windows-path"] = { names = "a backslash before a letter is one: paths of Windows" },
  ["name-not-closed"] = { names = "the quote is none of the name" },
  ["name-with-a-line-end"] = { names = LINE },
  ["name-with-a-nul"] = { names = "GMime ends the name there" },
  ["name-with-an-unquoted-semicolon"] = { names = "a piece without \"=\" belongs to the name before it" },
  ["no-empty-line-before-the-body"] = { bodies = "the body begins at the first line that is no field" },
  ["nul-in-the-header"] = { subject = "GMime ends the text there" },
  ["part-that-begins-with-text"] = { bodies = "the body begins at the first line that is no field" },
  ["qp-trailing-spaces"] = { bodies = END },
  ["repeated-subject"] = { subject = "the first counts, and a defect is told" },
  ["signed"] = { bodies = END },
  ["transfer-in-quotes"] = { bodies = GUESS },
  ["type-empty"] = { tree = "text/plain (RFC 2045 §5.2)" },
  ["type-twice"] = { tree = "the first counts, and a defect is told" },
  ["type-unknown-and-bare"] = { tree = "text/plain (RFC 2045 §5.2)" },
  ["type-without-a-subtype"] = { tree = GUESS },
  ["word-in-shift-jis"] = { subject = "GMime does not know x-sjis" },
  ["word-in-utf-7"] = { subject = "GMime does not know unicode-1-1-utf-7" },
  ["word-latin-1-that-is-windows-1252"] = { subject = CHARSET },
  ["word-with-a-line-end-in-it"] = { subject = LINE },
  ["word-with-bad-base64"] = { subject = "characters that are none of base64 are passed over" },
  ["word-with-bad-hex"] = { subject = "\"=\" before anything but two hex digits stands for itself" },
}

-- --- the run ----------------------------------------------------------------------------------------

local FIELDS = { "tree", "subject", "from", "to", "date", "names", "bodies" }

-- Facts by message and field, and how many messages there were.
local function facts(file_lines)
  local read, count = {}, 0
  for line in file_lines do
    local name, field, value = line:match("^([^\t]*)\t([^\t]*)\t(.*)$")
    if not read[name] then read[name], count = {}, count + 1 end
    read[name][field] = value
  end
  return read, count
end

-- What differs without a reason, and what no longer differs.
local function compare(read, differences, missing)
  local unexplained, stale = {}, {}
  for name, theirs in pairs(read) do
    local mine = ours(assert(mail.message.parse_file("spec/data/mime/" .. name .. ".eml")))
    for _, field in ipairs(FIELDS) do
      local reason = differences[name] and differences[name][field]
      local one, other = mine[field] or missing, theirs[field] or missing
      if one ~= other and not reason then
        unexplained[#unexplained + 1] = ("%s %s: %s, theirs %s"):format(name, field, tostring(one), tostring(other))
      elseif one == other and reason then
        stale[#stale + 1] = name .. " " .. field
      end
    end
  end
  table.sort(unexplained)
  table.sort(stale)
  assert.same({}, unexplained)
  assert.same({}, stale)
end

describe("mail.message reads as others do, or differs for a reason that is told:", function()
  it("Python's email", function()
    local pipe = assert(io.popen("python3 spec/tools/read_by_python.py spec/data/mime/*.eml", "r"))
    local read, count = facts(pipe:lines())
    pipe:close()
    assert.is_true(count >= 150, "python3 is needed")
    compare(read, python_differs)
  end)

  it("GMime", function()
    local read, count = facts(io.lines "spec/data/mime/gmime.txt")
    local known = 0
    for name in pairs(dofile "spec/data/mime/expected.lua") do
      known = known + 1
      assert.is_table(read[name], name)
    end
    assert.equal(known, count)
    -- Of these GMime makes no message at all.
    for _, name in ipairs { "empty", "fold-as-the-first-line" } do
      assert.equal("", read[name].none)
      read[name] = nil
    end
    compare(read, gmime_differs, "")
  end)
end)
