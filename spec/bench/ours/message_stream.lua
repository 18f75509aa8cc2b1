-- Our side of message-stream: one message of `size` MB through the push reader, in pieces of 64 KB, its
-- base64 decoded on the way; nothing is kept.

local common = require "spec.bench.ours.common"
local mail = require "mail"

local HEAD = "From: Ann <ann@example.test>\r\nSubject: big\r\nMIME-Version: 1.0\r\n"
  .. "Content-Type: multipart/mixed; boundary=\"=_part_1\"\r\n\r\n--=_part_1\r\n"
  .. "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
local TAIL = "\r\n--=_part_1--\r\n"
local LINE = ("TWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsu"):rep(2) .. "TWFu\r\n"
local PIECE = LINE:rep(840)

local new_reader = mail.message.reader -- what is loaded for it is not counted
common.begin()
local reader, octets, decoded = new_reader(), 0, 0

local function drain()
  for kind, bytes in reader.next, reader do
    if kind == "body" then decoded = decoded + #bytes end
    if kind == "end" then break end
  end
end

local function put(piece)
  reader:feed(piece)
  octets = octets + #piece
  drain()
end

put(HEAD)
while octets < common.options.size * 1e6 do put(PIECE) end
put(TAIL)
reader:finish()
drain()
assert(decoded > octets * 0.7)
common.finish(1, { octets = octets })
