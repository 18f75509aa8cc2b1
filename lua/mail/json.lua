--- JSON (RFC 8259) as far as a token endpoint speaks it: strict, with bounds on depth and size.
--
-- A library that is there (cjson, dkjson) does the reading; what is below is for hosts without one. Not public:
-- for JSON of your own take one of those libraries.
-- @module mail.json

local json = {}

local DEPTH, SIZE = 32, 1048576

local ESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
local WORDS = { ["true"] = true, ["false"] = false }

local function fail(at, what)
  error({ json = ("%s at octet %d"):format(what, at) }, 0)
end

-- A code point as UTF-8.
local function utf8_of(code)
  if code < 0x80 then return string.char(code) end
  local function tail(shift) return 0x80 + math.floor(code / 2 ^ shift) % 64 end
  if code < 0x800 then return string.char(0xC0 + math.floor(code / 64), tail(0)) end
  if code < 0x10000 then return string.char(0xE0 + math.floor(code / 4096), tail(6), tail(0)) end
  return string.char(0xF0 + math.floor(code / 262144), tail(12), tail(6), tail(0))
end

-- "\uXXXX", or two of them for what lies beyond the first plane: text, the octet behind.
local function unicode(s, at)
  local hex = s:match("^%x%x%x%x", at)
  if not hex then fail(at, "no four hexadecimal digits") end
  local code = tonumber(hex, 16)
  at = at + 4
  if code >= 0xD800 and code < 0xDC00 then
    local low = tonumber(s:match("^\\u(%x%x%x%x)", at) or "0", 16)
    if low < 0xDC00 or low > 0xDFFF then fail(at, "half of a surrogate pair") end
    return utf8_of(0x10000 + (code - 0xD800) * 1024 + low - 0xDC00), at + 6
  end
  if code >= 0xDC00 and code < 0xE000 then fail(at, "half of a surrogate pair") end
  return utf8_of(code), at
end

-- The string whose opening quote is before `at`.
local function read_string(s, at)
  local parts = {}
  while true do
    local stop = s:find('["\\%z\1-\31\127]', at)
    if not stop then fail(#s, "a string without end") end
    parts[#parts + 1] = s:sub(at, stop - 1)
    local c = s:sub(stop, stop)
    if c == '"' then return table.concat(parts), stop + 1 end
    if c ~= "\\" then
      if c ~= "\127" then fail(stop, "a control character in a string") end
      parts[#parts + 1], at = c, stop + 1
    elseif s:sub(stop + 1, stop + 1) == "u" then
      parts[#parts + 1], at = unicode(s, stop + 2)
    else
      parts[#parts + 1] = ESCAPES[s:sub(stop + 1, stop + 1)] or fail(stop, "an unknown escape")
      at = stop + 2
    end
  end
end

-- A number that Lua reads only with the decimal point of the host's locale (Lua 5.1 and 5.2).
local function localized(text)
  local point = ("%.1f"):format(0.5):match "^0(.+)5$"
  return tonumber((text:gsub("%.", point)))
end

local function read_number(s, at)
  local text = s:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  local whole = text and text:match "^-?(%d+)"
  local sound = whole and (whole == "0" or whole:sub(1, 1) ~= "0")
    and (text:find "^-?%d+$" or text:find "^-?%d+%.%d+$" or text:find "^-?%d+[eE][+-]?%d+$"
      or text:find "^-?%d+%.%d+[eE][+-]?%d+$")
  if not sound then fail(at, "no value") end
  return tonumber(text) or localized(text), at + #text
end

local function space(s, at)
  return s:find("[^ \t\r\n]", at) or #s + 1
end

local read

-- The members of an object or the elements of an array, behind its opening bracket.
local function read_many(s, at, depth, closing)
  if depth > DEPTH then fail(at, "too many levels") end
  local result, count = {}, 0
  at = space(s, at)
  if s:sub(at, at) == closing then return result, at + 1 end
  while true do
    local key, value
    if closing == "}" then
      if s:sub(at, at) ~= '"' then fail(at, "no name of a member") end
      key, at = read_string(s, at + 1)
      at = space(s, at)
      if s:sub(at, at) ~= ":" then fail(at, "no colon") end
      at = at + 1
    end
    value, at = read(s, at, depth)
    count = count + 1
    result[key or count] = value
    at = space(s, at)
    local c = s:sub(at, at)
    if c == closing then return result, at + 1 end
    if c ~= "," then fail(at, "neither comma nor end") end
    at = space(s, at + 1)
  end
end

function read(s, at, depth)
  at = space(s, at)
  local c = s:sub(at, at)
  if c == '"' then return read_string(s, at + 1) end
  if c == "{" then return read_many(s, at + 1, depth + 1, "}") end
  if c == "[" then return read_many(s, at + 1, depth + 1, "]") end
  local word = s:match("^[a-z]+", at)
  if word == "null" then return nil, at + 4 end
  if WORDS[word] ~= nil then return WORDS[word], at + #word end
  return read_number(s, at)
end

--- Reads it with what is below, whatever else there is.
-- @treturn table an object or an array; or nil, reason
function json.decode_strictly(text)
  if #text > SIZE then return nil, "more than 1 MiB of JSON" end
  local ok, value, at = pcall(read, text, 1, 0)
  if not ok then
    if type(value) == "table" and value.json then return nil, "no JSON: " .. value.json end
    error(value, 0)
  end
  if type(value) ~= "table" then return nil, "no JSON object" end
  if space(text, at) <= #text then return nil, "no JSON: something behind the value" end
  return value
end

-- decode(text) → value | nil, reason of a library that is there.
local function library()
  local found, module = pcall(require, "cjson.safe")
  if found then return module.decode end
  found, module = pcall(require, "dkjson")
  if found then
    return function(text)
      local value, _, why = module.decode(text, 1, nil)
      return value, why
    end
  end
  return false
end

local decoder

--- Reads an object or an array.
-- @tparam string text
-- @treturn table; or nil, reason
function json.decode(text)
  if #text > SIZE then return nil, "more than 1 MiB of JSON" end
  if decoder == nil then decoder = library() end
  if not decoder then return json.decode_strictly(text) end
  local ok, value, why = pcall(decoder, text) -- a library without a bound on depth runs out of stack
  if ok and type(value) == "table" then return value end
  if not ok then why = "its library failed" end
  return nil, "no JSON: " .. tostring(why or "it is no object")
end

--- A flat object of strings and whole numbers, its members in that order.
-- @tparam table list array of { name, value }; a value may be nil
function json.object(list)
  local parts = {}
  for i = 1, #list do
    local name, value = list[i][1], list[i][2]
    if type(value) == "number" then
      parts[#parts + 1] = ('"%s":%d'):format(name, value)
    elseif value ~= nil then
      parts[#parts + 1] = ('"%s":"%s"'):format(name, (value:gsub('[%z\1-\31\127"\\]', function(c)
        return ("\\u%04x"):format(c:byte())
      end)))
    end
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

return json
