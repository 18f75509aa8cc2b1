--- Authentication-Results fields, and ARC-Authentication-Results: read and written (RFC 8601, RFC 8617 §4.1.1).
--
-- `{ authserv_id =, version =, instance = (ARC), results = { { method =, version =, result =, reason =,
-- properties = { { type =, name =, value = }, …, ["header.d"] = value } }, … } }`.
-- A receiver believes only fields that its own border wrote, and removes those that came in with its own
-- authserv-id (RFC 8601 §5): that is the caller's to do.
-- @module mail.authentication_results

local ascii = require "mail.ascii"
local Err = require "mail.err"
local want = require "mail.want"

local results = {}

local LIMIT, MOST = 1048576, 1000 -- octets and results of one field

-- --- reading ----------------------------------------------------------------------------------------

-- Behind comments and white space from `at` on; nil where a comment has no end.
local function skip(text, at)
  local depth = 0
  while true do
    at = depth == 0 and text:find("[^%s]", at) or text:find("[()\\]", at)
    if not at then return depth == 0 and #text + 1 or nil end
    local c = text:sub(at, at)
    if c == "(" then depth = depth + 1
    elseif depth == 0 then return at
    elseif c == ")" then depth = depth - 1
    else at = at + 1 end
    at = at + 1
  end
end

local function quoted(text, at)
  local out, from = {}, at + 1
  while true do
    local stop = text:find('["\\]', from)
    if not stop then return nil end
    out[#out + 1] = text:sub(from, stop - 1)
    if text:byte(stop) == 34 then return (table.concat(out):gsub("[\r\n]", "")), stop + 1 end
    out[#out + 1] = text:sub(stop + 1, stop + 1)
    from = stop + 2
  end
end

-- value = token / quoted-string; a property's may hold an address, a quoted local part too.
local function value(text, at, pattern)
  if text:sub(at, at) ~= '"' then return text:match(pattern or "^([^%s;()\"=]+)()", at) end
  local out, stop = quoted(text, at)
  if not out then return nil end
  local domain, behind = text:match("^(@[^%s;()\"]*)()", stop)
  if domain then return out .. domain, behind end
  return out, stop
end

local function read_word(reader, pattern)
  local at = skip(reader.text, reader.at)
  if not at then return nil end
  local word, stop = value(reader.text, at, pattern)
  if word then reader.at = stop end
  return word
end

local function read_char(reader, char)
  local at = skip(reader.text, reader.at)
  if not at or reader.text:sub(at, at) ~= char then return false end
  reader.at = at + 1
  return true
end

local KEYWORD = "^([A-Za-z0-9-]+)()"
local PLAIN = "^([^%s;()\"]+)()"

local function read_property(reader, result)
  local kind = read_word(reader, KEYWORD)
  if not kind then return nil, "a property expected" end
  if ascii.lower(kind) == "reason" and read_char(reader, "=") then
    result.reason = read_word(reader)
    return result.reason, "a reason expected"
  end
  if not read_char(reader, ".") then return nil, "a dot expected" end
  local name = read_word(reader, "^([A-Za-z0-9_-]+)()")
  if not name or not read_char(reader, "=") then return nil, "a property and its value expected" end
  local text = read_word(reader, PLAIN)
  if not text then return nil, "a value expected" end
  local property = { type = ascii.lower(kind), name = ascii.lower(name), value = text }
  result.properties[#result.properties + 1] = property
  local short = property.type .. "." .. property.name
  if result.properties[short] == nil then result.properties[short] = text end
  return true
end

local function at_end(reader)
  local at = skip(reader.text, reader.at)
  return at and (at > #reader.text or reader.text:sub(at, at) == ";"), at
end

local function read_result(reader)
  local method = read_word(reader, KEYWORD)
  if not method then return nil, "a method expected" end
  local result = { method = ascii.lower(method), properties = {} }
  if ascii.lower(method) == "none" and at_end(reader) then return false end
  if read_char(reader, "/") then result.version = tonumber(read_word(reader, "^(%d+)()")) end
  if not read_char(reader, "=") then return nil, "a result expected" end
  result.result = read_word(reader, KEYWORD)
  if not result.result then return nil, "a result expected" end
  result.result = ascii.lower(result.result)
  while true do
    local ended, at = at_end(reader)
    if not at then return nil, "a comment without an end" end
    if ended then return result end
    local ok, why = read_property(reader, result)
    if not ok then return nil, why end
  end
end

-- "i=1;", which only ARC has.
local function read_instance(reader)
  local number, stop = reader.text:match("^i%s*=%s*(%d+)%s*;()", skip(reader.text, 1) or 1)
  if number then reader.at = stop end
  return tonumber(number)
end

local function read_all(reader, out)
  while read_char(reader, ";") do
    local at = skip(reader.text, reader.at)
    if not at then return "a comment without an end" end
    if at > #reader.text then return nil end -- a semicolon at the end, as many write
    local result, why = read_result(reader)
    if result == nil then return why end
    if result then out.results[#out.results + 1] = result end
    if #out.results > MOST then return "too many results" end
  end
  if skip(reader.text, reader.at) ~= #reader.text + 1 then return "a semicolon expected" end
end

--- Reads the value of a field.
-- @tparam string text what stands behind "Authentication-Results:"
-- @treturn table as the module says; or nil, err (kind "invalid", "limit")
function results.parse(text)
  if type(text) ~= "string" then
    error("mail.authentication_results.parse: a string expected, got " .. type(text), 2)
  end
  if #text > LIMIT then return nil, Err.new { kind = "limit", message = "the field is too long" } end
  local reader, out = { text = text, at = 1 }, { results = {} }
  out.instance = read_instance(reader)
  out.authserv_id = read_word(reader)
  local why = not out.authserv_id and "an authserv-id expected" or nil
  if not why then
    local version = read_word(reader, "^(%d+)()")
    out.version = tonumber(version)
    why = read_all(reader, out)
  end
  if not why then return out end
  return nil, Err.new { kind = "invalid",
    message = ("no Authentication-Results: %s (at octet %d)"):format(why, reader.at) }
end

-- --- writing ----------------------------------------------------------------------------------------

local function refuse(what)
  return nil, Err.new { kind = "invalid", message = "Authentication-Results: " .. what }
end

-- As token or quoted string; addresses and names of properties may stand bare (pvalue). nil: it cannot.
local function write_value(text, bare)
  text = ascii.text(text)
  if text:find "[%z\1-\31\127]" then return nil end
  local odd = bare and "[^A-Za-z0-9!#$%%&'*+.^_`{|}~@-]" or "[^A-Za-z0-9!#$%%&'*+.^_`{|}~-]"
  if text ~= "" and not text:find(odd) then return text end
  return '"' .. text:gsub('["\\]', "\\%0") .. '"'
end

-- Words in lines of at most 76 octets, where they are short enough.
local function fold(words)
  local lines, line = {}, words[1]
  for i = 2, #words do
    if #line + #words[i] > 74 then
      lines[#lines + 1] = line
      line = words[i]
    else
      line = line .. " " .. words[i]
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\r\n\t ")
end

local function write_result(one)
  if not tostring(one.method):find "^[A-Za-z0-9][A-Za-z0-9-]*$" or not tostring(one.result):find "^[A-Za-z0-9]+$" then
    return refuse "a method or result that is no keyword"
  end
  local parts = { one.method .. (one.version and "/" .. one.version or "") .. "=" .. one.result }
  if one.reason then
    local text = write_value(one.reason)
    if not text then return refuse "a control character" end
    parts[#parts + 1] = "reason=" .. text
  end
  for _, property in ipairs(one.properties or {}) do
    local text = write_value(property.value, true)
    if not text then return refuse "a control character" end
    local name = property.type .. "." .. property.name
    if not name:find "^[A-Za-z0-9-]+%.[A-Za-z0-9_-]+$" then return refuse "a bad property" end
    parts[#parts + 1] = property.type .. "." .. property.name .. "=" .. text
  end
  return fold(parts)
end

local function property(list, kind, name, text)
  if text then list[#list + 1] = { type = kind, name = name, value = text } end
end

-- What mail.dkim, mail.spf, mail.dmarc and mail.arc found, as results.
local function collect(options)
  local list = {}
  for _, one in ipairs(options.results or {}) do list[#list + 1] = one end
  for _, sig in ipairs(options.dkim or {}) do
    local properties = {}
    property(properties, "header", "d", sig.domain)
    property(properties, "header", "s", sig.selector)
    property(properties, "header", "a", sig.algorithm)
    property(properties, "header", "i", sig.identity)
    list[#list + 1] = { method = "dkim", result = sig.result, reason = sig.reason, properties = properties }
  end
  if options.dkim and not options.dkim[1] then list[#list + 1] = { method = "dkim", result = "none" } end
  if options.spf then
    local properties = {}
    property(properties, "smtp", "mailfrom", options.spf.from)
    property(properties, "smtp", "helo", options.spf.helo)
    list[#list + 1] = { method = "spf", result = options.spf.result, properties = properties }
  end
  if options.dmarc then
    local properties = {}
    property(properties, "header", "from", options.dmarc.domain)
    list[#list + 1] = { method = "dmarc", result = options.dmarc.result, properties = properties }
  end
  if options.arc then list[#list + 1] = { method = "arc", result = options.arc.result } end
  return list
end

local FORMAT = { authserv_id = "string", version = "number?", instance = "number?", results = "table?",
  dkim = "table?", spf = "table?", dmarc = "table?", arc = "table?" }

--- Writes the value of a field, folded behind each semicolon and where lines grow long.
-- @tparam table options `authserv_id` is needed; `results` as the module says; and besides, or instead, what
--   was found: `dkim` (from `dkim.verify`), `spf` ({ result=, from=, helo= }), `dmarc` (from
--   `dmarc.evaluate`), `arc` (from `arc.verify`). Without any: "none". What `parse` gave is written back
-- @treturn string text for behind "Authentication-Results:"; or nil, err (kind "invalid") where a value
--   cannot be written
function results.format(options)
  want(options, FORMAT, "mail.authentication_results.format")
  local id = write_value(options.authserv_id)
  if not id then return refuse "a control character" end
  local lines = { id .. (options.version and (" %d"):format(options.version) or "") }
  if options.instance then lines[1] = ("i=%d; %s"):format(options.instance, lines[1]) end
  for _, one in ipairs(collect(options)) do
    local text, err = write_result(one)
    if not text then return nil, err end
    lines[#lines + 1] = text
  end
  if not lines[2] then lines[2] = "none" end
  return table.concat(lines, ";\r\n\t")
end

return results
