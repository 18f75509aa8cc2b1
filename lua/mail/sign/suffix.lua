--- Organizational domains: what stands directly below a public suffix (RFC 7489 §3.2).
--
-- The list of public suffixes (publicsuffix.org) is data that changes each week, so none is part of this
-- library: the system's is read once, where there is one (Debian, Fedora, Alpine and Homebrew name the
-- package "publicsuffix" or "publicsuffix-list"). Without it a few dozen suffixes are known, and every other
-- name has its last label for one; that errs towards larger organizations ("a.gov.example" and
-- "b.gov.example" as one), so whoever decides by DMARC should have the list.
-- @module mail.sign.suffix

local ascii = require "mail.ascii"
local core = require "mail.core"

local suffix = {}

local PATHS = {
  "/usr/share/publicsuffix/public_suffix_list.dat", "/usr/local/share/publicsuffix/public_suffix_list.dat",
  "/opt/homebrew/share/publicsuffix/public_suffix_list.dat",
}

local SECOND = { -- common second levels of country domains
  uk = "co org ac gov net me ltd plc sch nhs police mod", au = "com org net edu gov id asn",
  nz = "co org net ac govt school gen iwi maori", za = "co org net ac gov web", jp = "co or ne ac go ad ed gr lg",
  kr = "co or ne ac go re pe", br = "com org net edu gov", ar = "com org net edu gob", mx = "com org net edu gob",
  cn = "com org net edu gov ac", tw = "com org net edu gov idv", hk = "com org net edu gov idv",
  sg = "com org net edu gov per", my = "com org net edu gov", ["in"] = "co org net ac gov firm gen ind res nic",
  il = "co org net ac gov muni k12", tr = "com org net edu gov bel pol k12", th = "co or net ac go in mi",
  id = "co or net ac go web sch", ph = "com org net edu gov", vn = "com org net edu gov", ua = "com org net edu gov",
  pl = "com org net edu gov", pt = "com org edu gov", gr = "com org net edu gov", cy = "com org net ac gov",
  at = "co or ac gv", hu = "co org", ke = "co or ne ac go", ng = "com org net edu gov", eg = "com org net edu gov",
  pk = "com org net edu gov", bd = "com org net edu gov ac", ve = "com co org net edu gob", pe = "com org net edu gob",
  co = "com org net edu gov", uy = "com org net edu gub", py = "com org net edu gov", ec = "com org net edu gob",
}

local function builtin()
  local rules = {}
  for top, words in pairs(SECOND) do
    for word in words:gmatch "%S+" do rules[word .. "." .. top] = "rule" end
  end
  return rules
end

-- https://github.com/publicsuffix/list/wiki/Format: one rule a line up to the first white space, "//" comments,
-- "*." any label, "!" an exception.
local function read_list(path)
  local file = io.open(path, "r")
  if not file then return nil end
  local rules, n = {}, 0
  for line in file:lines() do
    local rule = line:match "^([^%s/]%S*)"
    if rule then
      local kind = "rule"
      if rule:sub(1, 1) == "!" then rule, kind = rule:sub(2), "exception" end
      if rule:sub(1, 2) == "*." then rule, kind = rule:sub(3), "wild" end
      if rule:find "[\128-\255]" then rule = core.idn(rule) or rule end
      rule = ascii.lower(rule)
      -- "ck" may be a rule and "*.ck" too
      rules[rule] = rules[rule] and rules[rule] ~= kind and "both" or kind
      n = n + 1
    end
  end
  file:close()
  return n > 0 and rules or nil
end

local known = {} -- by path; `false` for the built-in few

local function rules_of(path)
  local name = path or false
  if known[name] then return known[name] end
  local rules
  if path then
    rules = read_list(path)
    if not rules then return nil end
  end
  for _, place in ipairs(path and {} or PATHS) do rules = rules or read_list(place) end
  known[name] = rules or builtin()
  return known[name]
end

--- The public suffix of a domain: the longest rule, else the last label.
-- @tparam string domain in lower case, A-labels
-- @tparam[opt] string path of a list in the format of publicsuffix.org
-- @treturn string suffix; or nil where that file cannot be read
function suffix.of(domain, path)
  local rules = rules_of(path)
  if not rules then return nil end
  local best = domain:match "[^.]*$"
  local below, rest = nil, domain
  local found = {}
  while rest do -- from the whole name to its last label: the first rule met is the longest
    local kind = rules[rest]
    if kind == "exception" then return rest:match "^[^.]*%.(.*)$" end
    if (kind == "wild" or kind == "both") and below then found[#found + 1] = below end
    if kind == "rule" or kind == "both" then found[#found + 1] = rest end
    below, rest = rest, rest:match "^[^.]*%.(.*)$"
  end
  for _, one in ipairs(found) do
    if #one > #best then best = one end
  end
  return best
end

--- The organizational domain.
-- @tparam string domain
-- @tparam[opt] string|function how a path of a list, or a function that gives the public suffix of a domain
-- @treturn string domain one label longer than its suffix, or itself where it is one; or nil where the list
--   cannot be read
function suffix.organization(domain, how)
  domain = ascii.lower(domain):gsub("%.$", "")
  local public
  if type(how) == "function" then public = how(domain) else public = suffix.of(domain, how) end
  if not public then return nil end
  if #public >= #domain then return domain end
  local head = domain:sub(1, -#public - 2)
  return head:match "[^.]*$" .. "." .. public
end

return suffix
