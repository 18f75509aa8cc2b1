-- Messages: from a string, a file, in pieces; every question about their parts; the reader; what is wrong.
local core, host = ...

local function crlf(text) return (text:gsub("\n", "\r\n")) end

local INNER = "Subject: inner\n\nhello\n"
local text = crlf([[
From: "J" <j@example.com>, Team: a@example.com, b@example.com;
To: =?utf-8?q?J=C3=BCrg?= <k@example.com>
To: second@example.com
Subject: =?iso-8859-1?q?caf=E9?= and more
Date: Tue, 1 Jul 2003 10:52:37 +0200
Message-ID: <1@example.com>
References: <2@example.com> <3@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

before
--outer
Content-Type: text/plain; charset=iso-8859-1; format=flowed; delsp=yes
Content-Transfer-Encoding: quoted-printable

caf=E9 and more =
of it =20
flowed
--outer
Content-Type: text/html; charset=utf-8
Content-Disposition: attachment; filename*=utf-8''caf%C3%A9.html; filename="cafe.html"
Content-Transfer-Encoding: base64

PGI+aGVsbG88L2I+DQo=
--outer
Content-Type: message/rfc822

]] .. INNER .. [[
--outer
Content-Type: message/rfc822; name="in code"
Content-Transfer-Encoding: base64

U3ViamVjdDogeA0KDQp5DQo=
--outer

begin 644 file.txt
%:&5L;&\*
`
end
--outer--
behind
]])

-- winmail.dat: a signature, a key, a subject, one file with a name and data
local function little(n, octets)
  local s = ""
  for _ = 1, octets do
    s = s .. string.char(n % 256)
    n = (n - n % 256) / 256
  end
  return s
end
local function attribute(level, id, data)
  local sum = 0
  for i = 1, #data do sum = sum + data:byte(i) end
  return string.char(level) .. little(id, 4) .. little(#data, 4) .. data .. little(sum % 65536, 2)
end
local winmail = little(0x223e9f78, 4) .. little(1, 2) .. attribute(1, 0x00089006, little(0x10000, 4))
  .. attribute(1, 0x00018004, "the subject\0") .. attribute(2, 0x00069002, ("\0"):rep(14))
  .. attribute(2, 0x00018010, "file.txt\0") .. attribute(2, 0x0006800f, "hello")
local tnef = "Content-Type: application/ms-tnef\r\nContent-Transfer-Encoding: base64\r\n\r\n"
  .. core.base64(winmail) .. "\r\n"

local function ask(m)
  m:count()
  m:limits()
  m:leaves(1)
  m:children(1)
  m:children(2)
  m:parent(2)
  m:parent(1)
  m:wrapped(6)
  for i = 1, 7 do
    m:shape(i)
    m:transfer(i)
    m:type(i)
    m:parameters(i)
    m:disposition(i)
    m:filename(i)
    m:size(i)
    m:span(i)
  end
  assert(m:text(2):find "caf\195\169")
  m:text(3)
  m:body(3)
  m:raw(4)
  m:raw_body(4)
  m:raw_head(4)
  m:preamble(1)
  m:epilogue(1)
  m:sub(10, 20)
  m:sub(1e9, 1)
  assert(m:header(1, "Subject") == "caf\195\169 and more")
  m:raw_header(1, "to")
  m:header_all(1, "to")
  m:headers(1)
  m:raw_headers(1)
  assert(#m:addresses(1, "from") == 2)
  m:addresses(1, "to")
  m:date(1, "date")
  m:id(1, "message-id")
  assert(#m:ids(1, "references") == 2)
  m:params(1, "content-type")
  m:uuencoded(7)
  m:tnef(3)
  m:check()
end

local m = core.message_parse(text)
ask(m)
m = core.message_parse(tnef, { depth = 3 })
assert(m:tnef(1)[1].data == "hello")
m:check()
m = core.message_parse("From: nobody at all\r\nFrom: x\r\nDate: never\r\nMessage-ID: what\r\nSubject: =?x?\r\n"
  .. "X: \255\0\r\nContent-Type: text/plain; charset\r\nContent-Transfer-Encoding: base64\r\n\r\n???\nab\r\n")
assert(#m:check() > 4)
m = core.message_parse("Content-Type: text/plain; charset=x-unknown\r\n\r\n\255a\r\n")
m:text(1)
m:check()

local whole = core.message_new({ parts = 50 })
whole:put(text:sub(1, 300))
whole:put(text:sub(301))
whole = whole:finish()
assert(whole:finish() == whole and whole:count() == 7)

local path = host.folder .. "/message"
os.remove(path)
assert(core.write_file(path, text, false))
assert(not core.write_file(path, text, false))
assert(core.write_file(path, "Subject: x\r\n\r\n", true))
assert(not core.is_folder(path))
local filed = core.message_file(path)
assert(filed:header(1, "subject") == "x")
assert(not core.message_file(host.folder .. "/none"))
local encoded = core.message_parse("Content-Transfer-Encoding: base64\r\n\r\n" .. ("QUJD\r\n"):rep(20000))
assert(encoded:size(1) == 60000)
assert(encoded:save(1, path, true))
assert(not encoded:save(1, path))
assert(core.file_remove(path))

local function read(decode, step)
  local r = core.message_reader(decode, { line = 10000 })
  for i = 1, #text, step do
    r:feed(text:sub(i, i + step - 1))
    repeat until not r:next()
  end
  r:finish()
  repeat until not r:next()
end
read(true, 500)
read(false, 100000)
assert(#core.message_parse("Content-Type: " .. ("x"):rep(100) .. "/y\r\n\r\n"):type(1) == 102)
