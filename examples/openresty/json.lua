--- JSON text of plain values, for an nginx without cjson. A table with [1], or without anything, is an array.
local encode

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quoted(text)
  return '"' .. text:gsub('[%c"\\\127]', function(c) return ESCAPES[c] or ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function list(value)
  local parts = {}
  for i, one in ipairs(value) do parts[i] = encode(one) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function object(value)
  local parts = {}
  for name, one in pairs(value) do parts[#parts + 1] = quoted(tostring(name)) .. ":" .. encode(one) end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

function encode(value)
  if type(value) == "table" then return (value[1] ~= nil or next(value) == nil) and list(value) or object(value) end
  if type(value) == "string" then return quoted(value) end
  if type(value) == "number" then return ("%.14g"):format(value) end
  return tostring(value)
end

return encode
