-- Our side of message-parse and message-structure: each message of a corpus (c/bench.h) from memory;
-- how=structure reads the tree and the message's header, how=decoded every content as well, text as UTF-8.

local common = require "spec.bench.ours.common"
local mail = require "mail"

local BATCH = 100 -- as many are in memory at a time; the clocks stand while they are read

local how, parse = common.options.how, mail.message.parse
local count, octets, decoded = 0, 0, 0

local function decode(part)
  local kind = part.type
  if kind == "text/html" then return part:html() end
  if kind:find("^text/") then return part:text() end
  return part:body()
end

local function read(text)
  local msg = parse(text)
  msg:headers()
  if how == "decoded" then
    for part in msg:walk() do decoded = decoded + #decode(part) end
  end
end

local file = assert(io.open(common.options.corpus, "rb"))

local function batch()
  local list = {}
  for i = 1, BATCH do
    local size = file:read(4)
    if not size then break end
    local a, b, c, d = size:byte(1, 4)
    list[i] = file:read(a + b * 256 + c * 65536 + d * 16777216)
    octets = octets + #list[i]
  end
  return list
end

while true do
  local list = batch()
  if #list == 0 then break end
  common.begin()
  for i = 1, #list do read(list[i]) end
  common.pause()
  count = count + #list
end
common.begin()
common.finish(count, { octets = octets, decoded = decoded })
