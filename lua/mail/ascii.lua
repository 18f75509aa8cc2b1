--- Letters of ASCII, whatever the host's locale: `string.lower` and `%c` follow it, and under a Turkish one
-- ("I"):lower() is no "i", under one of a single octet parts of UTF-8 characters are controls. Nothing else in the
-- library calls `string.lower` and `string.upper`, and no pattern of it has `%a`, `%c`, `%l`, `%p`, `%u` or `%w`.
-- @module mail.ascii

local core = require "mail.core"

local ascii = {}

-- LuaJIT's own know no locale, and are compiled in place.
local own = rawget(_G, "jit") and string

--- `text` with its letters A to Z as a to z; all other octets stay.
ascii.lower = own and own.lower or core.lower

--- The other way.
ascii.upper = own and own.upper or core.upper

--- `text` with each control character (octets 0 to 31 and 127) as `with`.
function ascii.without_controls(text, with) return (text:gsub("[%z\1-\31\127]", with)) end

--- Whether `a` comes before `b` by their octets: for `table.sort`, which by itself sorts as the locale does.
function ascii.before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

--- What `tostring` makes of a value, but numbers always with a decimal point.
function ascii.text(value)
  local text = tostring(value)
  return type(value) == "number" and (text:gsub("[^0-9A-Za-z+-]+", ".")) or text
end

return ascii
