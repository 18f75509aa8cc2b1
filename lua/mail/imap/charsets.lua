--- The charset of a search: UTF-8, none, or one of those that the server knows (RFC 9051 §6.4.4).
--
-- None is named for ASCII, nor where UTF8=ACCEPT or IMAP4rev2 is enabled (RFC 6855 §3). A server that says
-- BADCHARSET is asked again in a charset of its list that can hold the text, exactly.
-- @module mail.imap.charsets

local ascii = require "mail.ascii"
local core = require "mail.core"

local charsets = {}

-- The strings in another charset; nil where one does not fit into it.
local function recoded(arguments, charset)
  local out = {}
  for i = 1, #arguments, 2 do
    local kind, value = arguments[i], arguments[i + 1]
    if kind ~= "open" and kind ~= "close" and type(value) == "string" and value:find("[\128-\255]") then
      value = core.from_utf8(value, charset)
      if not value then return nil end
    end
    out[i], out[i + 1] = kind, value
  end
  return out
end

local function listed(err)
  local names = {}
  for _, name in ipairs(type(err.response_value) == "table" and err.response_value or {}) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  return names
end

-- After NO [BADCHARSET …]: the criteria in the first charset of its list that can hold them; or nil, err.
local function another_charset(pump, arguments, err)
  local names = listed(err)
  for _, name in ipairs(names) do
    local out = not ascii.upper(name):find "^UTF%-?8$" and name:find "^[A-Za-z0-9_.:+%-]+$" and recoded(arguments, name)
    if out then return out, name end
  end
  return nil, pump:error("unsupported", ("the server does not search in UTF-8, and the text does not fit into %s")
    :format(#names > 0 and table.concat(names, ", ") or "US-ASCII"), {
    command = err.command, status = err.status, response_code = err.response_code,
    response_value = err.response_value, text = err.text,
  })
end

--- Runs `go(arguments, charset)` in UTF-8 where the text wants it, and again where the server wants another
-- charset. `charset` is nil where none is to be named.
-- @tparam table pump
-- @tparam table arguments of `mail.imap.criteria`
-- @tparam boolean again it may be asked for twice
-- @tparam function go → truth; or nil, err
-- @return what `go` returns
function charsets.run(pump, arguments, again, go)
  local charset = arguments.utf8 and not pump.session:speaks_utf8() and (pump.charset or "UTF-8") or nil
  local words = arguments
  if charset and charset ~= "UTF-8" then
    words = recoded(arguments, charset)
    if not words then words, charset = arguments, "UTF-8" end
  end
  local result, err = go(words, charset)
  if result or not charset or err.response_code ~= "BADCHARSET" or not again then return result, err end
  words, charset = another_charset(pump, arguments, err)
  if not words then return nil, charset end
  result, err = go(words, charset)
  if result then pump.charset = charset end
  return result, err
end

--- The charset that SORT and THREAD name always (RFC 5256 §3).
function charsets.named(pump, charset)
  return charset or (pump.session:speaks_utf8() and "UTF-8" or "US-ASCII")
end

return charsets
