-- Our side of message-parse and message-structure: each message of a file (a size of four octets, then the
-- text) from memory; how=structure reads the tree and each header, how=decoded every body as well, text as
-- UTF-8.

local common = require "spec.bench.ours.common"
local mail = require "mail"

local o = common.options
local file = assert(io.open(o.corpus, "rb"))
local messages, octets = {}, 0
while true do
  local size = file:read(4)
  if not size then break end
  local a, b, c, d = size:byte(1, 4)
  local text = file:read(a + b * 256 + c * 65536 + d * 16777216)
  messages[#messages + 1], octets = text, octets + #text
end
file:close()

local parse, count = mail.message.parse, 0

local function decode(part)
  local kind = part.type
  if kind == "text/html" then return part:html() end
  if kind:find("^text/") then return part:text() end
  return part:body()
end

common.begin()
for i = 1, #messages do
  local msg = parse(messages[i])
  msg:headers()
  if o.how == "decoded" then
    for part in msg:walk() do decode(part) end
  end
  count = count + 1
end
common.finish(count, { octets = octets })
