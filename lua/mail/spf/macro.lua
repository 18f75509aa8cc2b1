--- The macros of SPF: checked when a record is read, expanded when a term is obeyed (RFC 7208 §7).
-- @module mail.spf.macro

local ascii = require "mail.ascii"

local macro = {}

local LITERAL = { ["%"] = "%", ["_"] = " ", ["-"] = "%20" }
local ONLY_EXPLAIN = { c = true, r = true, t = true }

-- The next macro from `at` on: where it begins, where it ends, its parts; nil at the end; false, why.
local function next_macro(text, at)
  local from = text:find("%", at, true)
  if not from then return nil end
  local literal = LITERAL[text:sub(from + 1, from + 1)]
  if literal then return from, from + 1, literal end
  local letter, digits, reverse, delimiters, stop = text:match("^%%{([A-Za-z])(%d*)([rR]?)([.+,/_=-]*)}()", from)
  if not letter or not ascii.lower(letter):find "[slodipvhcrt]" then return false, "a bad macro" end
  if digits ~= "" and tonumber(digits) == 0 then return false, "a macro of no parts" end
  return from, stop - 1, nil, { letter = letter, digits = tonumber(digits), reverse = reverse ~= "",
    delimiters = delimiters == "" and "." or delimiters }
end

--- What is wrong with a macro-string, as words; nil where nothing is.
function macro.check(text, is_explanation)
  local at = 1
  while true do
    local from, stop, _, parts = next_macro(text, at)
    if from == nil then return nil end
    if from == false then return stop end
    local odd = parts and not is_explanation and ONLY_EXPLAIN[ascii.lower(parts.letter)]
    if odd then return "a macro of explanations" end
    at = stop + 1
  end
end

--- The same for a domain-spec, which ends in a macro or a top label.
function macro.check_domain(text)
  local why = macro.check(text)
  if why then return why end
  if text:find "%%{[^{}]*}$" then return nil end
  local top = text:match "%.([A-Za-z0-9-]+)%.?$"
  if not top or top:find "^%d+$" or top:find "^%-" or top:find "%-$" then return "a bad domain" end
end

-- RFC 3986: unreserved characters stay.
local function escape(text)
  return (text:gsub("[^A-Za-z0-9._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function transform(text, parts)
  if not parts.digits and not parts.reverse and parts.delimiters == "." then return text end
  local list, class = {}, "[" .. parts.delimiters:gsub("[.+,/_=-]", "%%%0") .. "]"
  local at = 1
  while true do
    local stop = text:find(class, at)
    list[#list + 1] = text:sub(at, (stop or #text + 1) - 1)
    if not stop then break end
    at = stop + 1
  end
  if parts.reverse then
    for i = 1, math.floor(#list / 2) do list[i], list[#list + 1 - i] = list[#list + 1 - i], list[i] end
  end
  local first = parts.digits and math.max(1, #list - parts.digits + 1) or 1
  return table.concat(list, ".", first)
end

--- Expands a macro-string that `check` took.
-- @tparam string text
-- @tparam function value gives the text of a lower-case letter; or nil, why: the expansion ends with that
-- @treturn string text; or nil, why
function macro.expand(text, value)
  local out, at = {}, 1
  while true do
    local from, stop, literal, parts = next_macro(text, at)
    if not from then break end
    out[#out + 1] = text:sub(at, from - 1)
    if parts then
      local plain, why = value(ascii.lower(parts.letter))
      if not plain then return nil, why end
      literal = transform(plain, parts)
      if parts.letter:find "[A-Z]" then literal = escape(literal) end
    end
    out[#out + 1] = literal
    at = stop + 1
  end
  out[#out + 1] = text:sub(at)
  return table.concat(out)
end

--- The same for a domain-spec: at most 253 octets, cut at the left (RFC 7208 §7.3).
function macro.domain(text, value)
  local name, why = macro.expand(text, value)
  if not name then return nil, why end
  name = name:gsub("%.$", "")
  while #name > 253 do
    local rest = name:match "^[^.]*%.(.*)$"
    if not rest then return "" end
    name = rest
  end
  return name
end

return macro
