--- SPF records: chosen among the texts of a name and read whole, before any of it is obeyed: an error
-- anywhere makes the record one (RFC 7208 §4.5, §4.6, §12).
-- @module mail.spf.record

local ascii = require "mail.ascii"
local ip = require "mail.spf.ip"
local macro = require "mail.spf.macro"

local record = {}

local QUALIFIERS = { ["+"] = "pass", ["-"] = "fail", ["~"] = "softfail", ["?"] = "neutral" }

-- ip4-cidr-length = "/" ("0" / %x31-39 0*1DIGIT), and so for 6; nil: no such length
local function length(text, most)
  if text == nil then return most end
  if not text:find "^%d+$" or (text ~= "0" and text:find "^0") then return nil end
  local n = tonumber(text)
  return n <= most and n or nil
end

-- [ ip4-cidr-length ] [ "/" ip6-cidr-length ] at the end of a term; the rest of it.
local function split_lengths(text)
  local six, four
  local rest = text
  if rest:find "//%d*$" then rest, six = rest:match "^(.*)//(%d*)$" end
  if rest:find "/%d*$" then rest, four = rest:match "^(.*)/(%d*)$" end
  return rest, four, six
end

-- a, mx: [ ":" domain-spec ] [ dual-cidr-length ]
local function with_lengths(term, text)
  local rest, four, six = split_lengths(text)
  term.bits4, term.bits6 = length(four, 32), length(six, 128)
  if not term.bits4 or not term.bits6 then return "a bad prefix length" end
  if rest == "" then return nil end
  if rest:sub(1, 1) ~= ":" then return "a bad mechanism" end
  term.domain = rest:sub(2)
  return macro.check_domain(term.domain)
end

local function needs_domain(term, text)
  if text:sub(1, 1) ~= ":" then return "a mechanism without its domain" end
  term.domain = text:sub(2)
  return macro.check_domain(term.domain)
end

local function network(read, most)
  return function(term, text)
    local address, bits = text:match "^:([^/]*)/(.*)$"
    address = address or text:match "^:([^/]*)$"
    term.octets = address and read(address)
    term.bits = length(bits, most)
    if not term.octets or not term.bits then return "a bad network" end
  end
end

local MECHANISMS = {
  all = function(_, text) return text ~= "" and "'all' stands alone" or nil end,
  include = needs_domain,
  exists = needs_domain,
  a = with_lengths,
  mx = with_lengths,
  ptr = function(term, text) return text ~= "" and needs_domain(term, text) or nil end,
  ip4 = network(ip.read4, 32),
  ip6 = network(ip.read6, 128),
}

local function read_modifier(out, name, text)
  name = ascii.lower(name)
  if name == "redirect" or name == "exp" then
    if out[name] then return name .. "= twice" end
    out[name] = text
    return macro.check_domain(text)
  end
  return macro.check(text)
end

local function read_term(out, text)
  local name, value = text:match "^([A-Za-z][A-Za-z0-9_.-]*)=(.*)$"
  if name then return read_modifier(out, name, value) end
  local sign, word, rest = text:match "^([-+~?]?)([A-Za-z][A-Za-z0-9]*)(.*)$"
  if not word then return "a bad term" end
  local read = MECHANISMS[ascii.lower(word)]
  if not read then return "an unknown mechanism" end
  local term = { name = ascii.lower(word), result = QUALIFIERS[sign] or "pass", text = text }
  out[#out + 1] = term
  return read(term, rest)
end

--- Reads a record.
-- @treturn table array of terms, with `redirect` and `exp`; or nil, why
function record.parse(text)
  local out = {}
  for term in text:sub(7):gmatch "[^ ]+" do
    if term:find "[^\33-\126]" then return nil, "a character that no record may hold" end
    local why = read_term(out, term)
    if why then return nil, why .. " in '" .. term:sub(1, 80) .. "'" end
  end
  return out
end

--- The texts that are SPF records.
function record.select(texts)
  local list = {}
  for _, text in ipairs(texts) do
    local head = ascii.lower(text:sub(1, 7))
    if head == "v=spf1" or head == "v=spf1 " then list[#list + 1] = text end
  end
  return list
end

return record
