--- Values inside SMTP parameters: xtext (RFC 3461 §4), addresses of other types (RFC 6533 §3), times
-- (RFC 3339). All refuse what their grammar cannot say; the core refuses CR, LF and NUL besides.
-- @module mail.smtp.xtext

local ascii = require "mail.ascii"

local xtext = {}

--- `s` as xtext: any octet outside "!".."~", and "+" and "=", as "+" and two hexadecimal digits.
function xtext.encode(s)
  return (s:gsub("[^!-*,-<>-~]", function(c) return ("+%02X"):format(c:byte()) end))
end

--- True where all octets are printable ASCII or spaces.
function xtext.is_printable(s)
  return not s:find("[^ -~]")
end

-- The code point of a UTF-8 sequence; nil where it is none.
local function code_point(sequence)
  local a, b, c, d = sequence:byte(1, 4)
  local n = #sequence
  if n == 2 and a >= 0xC2 and a <= 0xDF then return (a - 0xC0) * 64 + b - 128 end
  if n == 3 and a >= 0xE0 and a <= 0xEF then return ((a - 0xE0) * 64 + b - 128) * 64 + c - 128 end
  if n == 4 and a >= 0xF0 and a <= 0xF4 then return (((a - 0xF0) * 64 + b - 128) * 64 + c - 128) * 64 + d - 128 end
end

-- utf-8-addr-xtext (RFC 6533 §3): what ASCII cannot say is \x{HEX}; nil where `s` is no UTF-8.
local function utf8_address(s)
  local good = true
  s = s:gsub("[%z\1-\32+=\\\127]", function(c) return ("\\x{%02X}"):format(c:byte()) end)
  s = s:gsub("[\128-\255][\128-\191]*", function(sequence)
    local point = code_point(sequence)
    if not point then
      good = false
      return nil
    end
    return ("\\x{%X}"):format(point)
  end)
  return good and s or nil
end

--- The value of ORCPT: `"rfc822;bob@example.org"`, or an address alone, whose type follows from its octets.
-- @treturn string "type;value" as it stands on the wire; or nil, reason
function xtext.original(text)
  if text:find("[%z\1-\31\127]") then return nil, "orcpt holds a control character" end
  local kind, address = text:match("^([A-Za-z0-9-]+);(.+)$")
  if not kind then kind, address = text:find("[\128-\255]") and "utf-8" or "rfc822", text end
  if address == "" then return nil, "orcpt is empty" end
  local value
  if ascii.lower(kind) == "utf-8" then
    value = utf8_address(address)
    if not value then return nil, "orcpt is not UTF-8" end
  elseif address:find("[\128-\255]") then
    return nil, "orcpt of type " .. kind .. " must be ASCII"
  else
    value = xtext.encode(address)
  end
  local whole = kind .. ";" .. value
  if #whole > 500 then return nil, "orcpt is longer than 500 octets" end
  return whole
end

-- What four digits can say of a year: from 1000 to 9999.
local FIRST, LAST = -30610224000, 253402300799

--- A time as RFC 3339 writes it: seconds since the epoch, or a text that is one already.
-- @treturn string; or nil, reason
function xtext.time(value)
  if type(value) == "number" then
    if not (value >= FIRST and value <= LAST) then return nil, "no time of this calendar" end
    return os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(value))
  end
  local zone = value:match("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d([Zz+-][%d:]*)$")
    or value:match("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d+([Zz+-][%d:]*)$")
  if zone and (ascii.upper(zone) == "Z" or zone:find("^[+-]%d%d:%d%d$")) then return value end
  return nil, ("'%s' is no time (RFC 3339)"):format(value:gsub("[%z\1-\31\127]", "?"))
end

return xtext
