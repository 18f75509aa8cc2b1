-- Our side of imap-parse: a recorded answer from memory into Lua tables, a hundred responses at a
-- time.

local common = require "spec.bench.ours.common"
local mail = require "mail"

local o = common.options
local file = assert(io.open(o.replay, "rb"))
local recorded = file:read("*a")
file:close()

-- The recording cut at the start of every hundredth response, without its tagged line.
local function pieces(per)
  local list, start, at, seen = {}, 1, 1, 0
  while true do
    local stop = recorded:find("\r\n* ", at, true)
    if not stop then break end
    at, seen = stop + 2, seen + 1
    if seen % per == 0 then
      list[#list + 1] = recorded:sub(start, stop + 1)
      start = at
    end
  end
  list[#list + 1] = recorded:sub(start):gsub("[^\n]*\n$", "")
  return list
end

local count = 0
local list = pieces(100)
common.begin()
for _, piece in ipairs(list) do
  for _, response in ipairs(assert(mail.imap.parse(piece))) do
    if response.name == "FETCH" and response.value then count = count + 1 end
  end
end
common.finish(count, { octets = #recorded })
