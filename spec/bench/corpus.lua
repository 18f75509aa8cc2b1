-- The mail that the IMAP and POP3 workloads fetch: generated, the same octet for octet at every run
-- (seeded), written as a maildir that Dovecot serves as it is.
--
-- Shape (at scale 1): 10,000 messages, 324 MB, median 14.6 KB, three fifths of the octets base64
-- and three tenths quoted-printable, ten charsets, multiparts nested up to three deep, and in half
-- of the messages an envelope with a quote or an 8-bit octet in it, which servers send as a
-- literal. It is no test of correctness: that is what the specs are for.
--
-- As a program:  lua5.4 spec/bench/corpus.lua FOLDER [--scale=0.1]    makes FOLDER/Maildir, prints
-- the figures.

local corpus = {}

local MESSAGES = 10000
local MEDIAN, SPREAD, SMALLEST, LARGEST = 13700, 1.29, 900, 600000   -- log-normal: the mean is 2.2 medians

-- A generator of our own (Park and Miller's), so that every Lua makes the same mail.
local function generator(seed)
  local state = seed
  local self = {}
  function self.below(n)
    state = state * 48271 % 2147483647
    return state % n
  end
  function self.unit() return (self.below(2147483646) + 0.5) / 2147483646 end
  function self.normal()
    return math.sqrt(-2 * math.log(self.unit())) * math.cos(2 * math.pi * self.unit())
  end
  function self.pick(list) return list[self.below(#list) + 1] end
  return self
end

local CHARSETS = {
  "us-ascii", "utf-8", "iso-8859-1", "iso-8859-15", "iso-8859-2", "windows-1252", "windows-1251", "koi8-r",
  "shift_jis", "gb2312",
}

local WORDS = {
  "meeting", "report", "the", "invoice", "and", "for", "next", "week", "project", "review", "of", "delivery",
  "order", "with", "update", "status", "plan", "garden", "house", "a", "winter", "number", "question", "answer",
  "to", "letter", "music", "train",
}

local NAMES = {
  "Ann Example", "\"Bob, of Sales\"", "\"Cy \\\"the mill\\\" Miller\"", "=?utf-8?Q?Gr=C3=BC=C3=9Fe_Amt?=", "Dee",
  "\"Eve \\\"E.\\\" Adams\"",
  "=?iso-8859-1?Q?Fran=E7ois?=", "\"Gus (home)\"", "=?utf-8?B?0JjQstCw0L0=?=", "Hal 9000",
}

local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local POOL_LINES = 4096

-- A pool of ready lines of one kind; bodies are cut from it, whole lines at a time.
local function pool(random, line)
  local lines = {}
  for i = 1, POOL_LINES do lines[i] = line(random) .. "\r\n" end
  local text = table.concat(lines)
  local starts, at = {}, 1
  for i = 1, POOL_LINES do
    starts[i] = at
    at = at + #lines[i]
  end
  return { text = text, starts = starts }
end

local function base64_line(random)
  local t = {}
  for i = 1, 76 do
    local k = random.below(64) + 1
    t[i] = BASE64:sub(k, k)
  end
  return table.concat(t)
end

local function words_line(random, width, between)
  local t, n = {}, 0
  while n < width do
    local word = random.pick(WORDS)
    t[#t + 1] = word
    n = n + #word + 1
    local extra = between(random)
    if extra then
      t[#t + 1] = extra
      n = n + #extra + 1
    end
  end
  return table.concat(t, " ")
end

local function quoted_line(random)
  local line = words_line(random, 48, function(r)
    return r.below(5) == 0 and ("=%02X=%02X"):format(0xC3, 0x80 + r.below(64)) or nil
  end)
  return line .. (random.below(3) > 0 and "=" or "")
end

local function plain_line(random)
  return words_line(random, 60, function() return nil end)
end

-- About `size` octets of whole lines.
local function cut(from, random, size)
  local out = {}
  size = math.floor(size)
  while size > 0 do
    local first = random.below(POOL_LINES) + 1
    local start = from.starts[first]
    local stop = math.min(start + size - 1, #from.text)
    stop = from.text:find("\n", stop, true) or #from.text
    out[#out + 1] = from.text:sub(start, stop)
    size = size - (stop - start + 1)
  end
  return table.concat(out)
end

local Maker = {}
Maker.__index = Maker

function Maker:text_part(kind, size)
  local random = self.random
  local charset = random.pick(CHARSETS)
  local encoding = kind == "plain" and "7bit" or "quoted-printable"
  local subtype = random.below(3) == 0 and "html" or "plain"
  local head = "Content-Type: text/%s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n"
  return head:format(subtype, charset, encoding)
    .. cut(kind == "plain" and self.plain or self.quoted, random, size)
end

function Maker:attachment(size)
  local random = self.random
  local name = ("%s %d.pdf"):format(random.pick(WORDS), random.below(1000))
  return ("Content-Type: application/octet-stream; name=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n"
    .. "Content-Disposition: attachment; filename=\"%s\"; size=%d\r\n\r\n"):format(name, name, math.floor(size * 3 / 4))
    .. cut(self.base64, random, size)
end

function Maker:multipart(subtype, parts)
  self.boundaries = self.boundaries + 1
  local boundary = ("=_part_%d_%d"):format(self.boundaries, self.random.below(1000000))
  local out = { ("Content-Type: multipart/%s; boundary=\"%s\"\r\n\r\n"):format(subtype, boundary) }
  for _, part in ipairs(parts) do out[#out + 1] = ("--%s\r\n%s\r\n"):format(boundary, part) end
  out[#out + 1] = ("--%s--\r\n"):format(boundary)
  return table.concat(out)
end

-- Small messages are text; larger ones carry an alternative and attachments, the text capped so
-- that base64 leads.
function Maker:body(size)
  local random = self.random
  if size < 4000 then return self:text_part(random.below(2) == 0 and "plain" or "quoted", size) end
  if random.below(100) < 14 then return self:text_part("quoted", size) end
  local text = math.floor(size * (random.below(7) == 0 and 0.8 or 0.14))
  local both = self:multipart("alternative",
    { self:text_part("plain", text / 4), self:text_part("quoted", text * 3 / 4) })
  local files = 1 + random.below(3)
  local each = (size - text) / files
  local parts = { both }
  if random.below(4) == 0 then
    parts[1] = self:multipart("related", { both, self:attachment(each) })
    files = files - 1
  end
  for _ = 1, files do parts[#parts + 1] = self:attachment(each) end
  return self:multipart("mixed", parts)
end

function Maker:subject(number)
  local random = self.random
  local subject = words_line(random, 24, function() return nil end)
  if random.below(3) == 0 then subject = ("Re: \"%s\""):format(subject) end
  return ("%s (%d)"):format(subject, number)
end

function Maker:people(count)
  local list = {}
  for i = 1, count do
    list[i] = ("%s <user%d@example.test>"):format(self.random.pick(NAMES), self.random.below(500))
  end
  return table.concat(list, ",\r\n ")
end

function Maker:message(number)
  local random = self.random
  local size = math.exp(math.log(MEDIAN) + SPREAD * random.normal())
  size = math.floor(math.max(SMALLEST, math.min(LARGEST, size)))
  local id = ("<%d.%d@example.test>"):format(number, random.below(1000000))
  local head = {
    "Return-Path: <bounce@example.test>",
    ("Received: from mx%d.example.test (mx.example.test [192.0.2.%d])\r\n\tby mail.example.test with ESMTPS id %d")
      :format(random.below(9), random.below(250), number),
    "From: " .. self:people(1),
    "To: " .. self:people(1 + random.below(3)),
    "Subject: " .. self:subject(number),
    ("Date: Mon, %d Nov 2026 %02d:%02d:00 +0100"):format(1 + random.below(28), random.below(24), random.below(60)),
    "Message-ID: " .. id,
    "MIME-Version: 1.0",
  }
  if random.below(4) == 0 then head[#head + 1] = "Cc: " .. self:people(2) end
  if random.below(3) == 0 then head[#head + 1] = "In-Reply-To: <1.2@example.test>\r\nReferences: <1.2@example.test>" end
  return table.concat(head, "\r\n") .. "\r\n" .. self:body(size)
end

--- An iterator over the messages: number, text (CRLF).
function corpus.messages(scale, seed)
  local random = generator(seed or 20261121)
  local maker = setmetatable({
    random = random, boundaries = 0,
    base64 = pool(random, base64_line), quoted = pool(random, quoted_line), plain = pool(random, plain_line),
  }, Maker)
  local number, last = 0, math.floor(MESSAGES * (scale or 1))
  return function()
    if number < last then
      number = number + 1
      return number, maker:message(number)
    end
  end
end

--- Writes a maildir into `folder` (which exists); returns count, octets, median.
-- The names carry the sizes (S=, W=), as Dovecot's own do, so that it need not open a file to know
-- them.
function corpus.maildir(folder, scale)
  assert(os.execute(("mkdir -p '%s/cur' '%s/new' '%s/tmp'"):format(folder, folder, folder)))
  local sizes, octets = {}, 0
  for number, text in corpus.messages(scale) do
    local name = ("%s/cur/%d.M%dP1.bench,S=%d,W=%d:2,S"):format(folder, 1790000000 + number, number, #text, #text)
    local f = assert(io.open(name, "wb"))
    assert(f:write(text))
    f:close()
    sizes[number], octets = #text, octets + #text
  end
  table.sort(sizes)
  return #sizes, octets, sizes[math.ceil(#sizes / 2)]
end

--- Writes one message of about `size` octets (base64, CRLF) into a maildir whose cur/ exists.
function corpus.big(folder, size)
  local random = generator(20261122)
  local lines = pool(random, base64_line).text
  local head = "From: Ann <ann@example.test>\r\nTo: Bob <bob@example.test>\r\nSubject: big\r\nMIME-Version: 1.0\r\n"
    .. "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
  local count = math.ceil((size - #head) / #lines)
  local octets = #head + count * #lines
  local f = assert(io.open(("%s/cur/1790000000.M1P1.bench,S=%d,W=%d:2,S"):format(folder, octets, octets), "wb"))
  assert(f:write(head))
  for _ = 1, count do assert(f:write(lines)) end
  f:close()
end

if arg and arg[0] and arg[0]:match("corpus%.lua$") then
  local scale = tonumber((table.concat(arg, " "):match("%-%-scale=([%d.]+)"))) or 1
  local folder = assert(arg[1], "usage: corpus.lua FOLDER [--scale=N]")
  local count, octets, median = corpus.maildir(folder .. "/Maildir", scale)
  print(("%d messages, %.1f MB, median %.1f KB"):format(count, octets / 1e6, median / 1e3))
end

return corpus
