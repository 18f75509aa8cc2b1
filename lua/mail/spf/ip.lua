--- Addresses as octets, for SPF: read, compared under a mask, written as macros want them (RFC 7208 §7.3).
-- @module mail.spf.ip

local ip = {}

local function read4(text)
  local octets = {}
  for part in (text .. "."):gmatch "([^.]*)%." do
    if not part:find "^%d%d?%d?$" or tonumber(part) > 255 then return nil end
    octets[#octets + 1] = tonumber(part)
  end
  return #octets == 4 and octets or nil
end

-- Groups of hex digits up to the "::" or the end, as octets.
local function groups(text)
  local octets = {}
  if text == "" then return octets end
  for part in (text .. ":"):gmatch "([^:]*):" do
    if not part:find "^%x%x?%x?%x?$" then return nil end
    local n = tonumber(part, 16)
    octets[#octets + 1], octets[#octets + 2] = math.floor(n / 256), n % 256
    if #octets > 16 then return nil end
  end
  return octets
end

local function read6(text)
  if #text > 45 then return nil end
  local head, dotted = text:match "^(.*:)(%d+%.%d+%.%d+%.%d+)$"
  if dotted then
    local o = read4(dotted)
    if not o then return nil end
    text = head .. ("%x:%x"):format(o[1] * 256 + o[2], o[3] * 256 + o[4])
  end
  local left, right = text:match "^(.-)::(.*)$"
  local a, b = groups(left or text), groups(right or "")
  if not a or not b then return nil end
  local missing = 16 - #a - #b
  if (left and missing < 2) or (not left and missing ~= 0) then return nil end
  for _ = 1, missing do a[#a + 1] = 0 end
  for _, octet in ipairs(b) do a[#a + 1] = octet end
  return a
end

-- ::ffff:192.0.2.1 is 192.0.2.1 (RFC 7208 §5).
local function unmap(octets)
  for i = 1, 10 do
    if octets[i] ~= 0 then return octets end
  end
  if octets[11] ~= 255 or octets[12] ~= 255 then return octets end
  return { octets[13], octets[14], octets[15], octets[16] }
end

--- An address as 4 or 16 octets; nil where the text is none.
function ip.read(text)
  if text:find(":", 1, true) then
    local octets = read6(text)
    return octets and unmap(octets)
  end
  return read4(text)
end

ip.read4, ip.read6 = read4, read6

--- True where the first `bits` of both are the same, and they are of one family.
function ip.match(a, b, bits)
  if #a ~= #b then return false end
  local whole = math.floor(bits / 8)
  for i = 1, whole do
    if a[i] ~= b[i] then return false end
  end
  local rest = bits % 8
  if rest == 0 then return true end
  local unit = 2 ^ (8 - rest)
  return math.floor(a[whole + 1] / unit) == math.floor(b[whole + 1] / unit)
end

--- For %{i}: "192.0.2.1", or the nibbles of an IPv6 address with dots between.
function ip.dotted(octets)
  if #octets == 4 then return table.concat(octets, ".") end
  local out = {}
  for i, octet in ipairs(octets) do out[i] = ("%x.%x"):format(math.floor(octet / 16), octet % 16) end
  return table.concat(out, ".")
end

--- For people.
function ip.text(octets)
  if #octets == 4 then return table.concat(octets, ".") end
  local out = {}
  for i = 1, 16, 2 do out[#out + 1] = ("%x"):format(octets[i] * 256 + octets[i + 1]) end
  return table.concat(out, ":")
end

return ip
