--- Letters of ASCII, whatever the host's locale: `string.lower` and `%c` follow it, and under a Turkish one
-- ("I"):lower() is no "i", under one of a single octet parts of UTF-8 characters are controls.
-- @module mail.ascii

local ascii = {}

local lower, upper = {}, {}
for code = 65, 90 do
  local capital, small = string.char(code), string.char(code + 32)
  lower[capital], upper[small] = small, capital
end

--- `text` with its letters A to Z as a to z; all other octets stay.
function ascii.lower(text) return (text:gsub("[A-Z]", lower)) end

--- The other way.
function ascii.upper(text) return (text:gsub("[a-z]", upper)) end

--- `text` with each control character (octets 0 to 31 and 127) as `with`.
function ascii.without_controls(text, with) return (text:gsub("[%z\1-\31\127]", with)) end

return ascii
