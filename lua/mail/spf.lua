--- SPF: whether a host may send mail for a domain (RFC 7208).
-- @module mail.spf

local ascii = require "mail.ascii"
local ip = require "mail.spf.ip"
local macro = require "mail.spf.macro"
local record = require "mail.spf.record"
local resolver = require "mail.sign.resolver"
local want = require "mail.want"

local spf = {}
local Check = {}
Check.__index = Check

-- RFC 7208 §4.6.4: terms that ask DNS, answers that are empty, and names of one MX or PTR answer.
local LOOKUPS, VOIDS, NAMES = 10, 2, 10

-- --- asking, with the limits ------------------------------------------------------------------------
-- Functions return nil, result, why where the whole check ends with that result.

local function count_lookup(self)
  self.lookups = self.lookups + 1
  if self.lookups > LOOKUPS then return nil, "permerror", "more than 10 terms that ask DNS" end
  return true
end

local function asked(self, rows, why)
  if not rows then return nil, "temperror", "no answer from DNS: " .. why end
  if rows[1] then return rows end
  self.voids = self.voids + 1
  if self.voids > VOIDS then return nil, "permerror", "more than 2 questions without an answer" end
  return rows
end

local function family(self) return #self.octets == 4 and 4 or 6 end

-- RFC 7208 §4.3
local function is_domain(name)
  if #name > 253 or not name:find(".", 1, true) then return false end
  for label in (name .. "."):gmatch "([^.]*)%." do
    if label == "" or #label > 63 then return false end
  end
  return not name:find "[%z\1-\32\127]"
end

-- Addresses of a name; what cannot be a name has none.
function Check:addresses(name)
  if not is_domain(name) then return asked(self, {}) end
  return asked(self, self.resolver:addresses(name, family(self)))
end

-- Names whose address this one is, at most ten of them tried (RFC 7208 §5.5); {} where nobody could say.
function Check:names()
  if self.validated then return self.validated end
  local rows = self.resolver:ptr(ip.text(self.octets)) or {}
  local list = {}
  for i = 1, math.min(#rows, NAMES) do
    local name = rows[i]:gsub("%.$", "")
    for _, address in ipairs(is_domain(name) and self.resolver:addresses(name, family(self)) or {}) do
      local octets = ip.read(address)
      if octets and ip.match(octets, self.octets, #octets * 8) then
        list[#list + 1] = name
        break
      end
    end
  end
  self.validated = list
  return list
end

-- --- macros -----------------------------------------------------------------------------------------

local function is_below(name, domain)
  name, domain = ascii.lower(name), ascii.lower(domain)
  return name == domain or name:sub(-#domain - 1) == "." .. domain
end

-- %{p}: the domain itself, or a name below it, or any (RFC 7208 §7.3).
local function validated_name(self, domain)
  local names, below = self:names(), nil
  for _, name in ipairs(names) do
    if ascii.lower(name) == ascii.lower(domain) then return name end
    if not below and is_below(name, domain) then below = name end
  end
  return below or names[1] or "unknown"
end

local LETTERS = {
  s = function(self) return self.sender end,
  l = function(self) return self.localpart end,
  o = function(self) return self.sender_domain end,
  d = function(_, domain) return domain end,
  i = function(self) return ip.dotted(self.octets) end,
  p = validated_name,
  v = function(self) return family(self) == 4 and "in-addr" or "ip6" end,
  h = function(self) return self.helo end,
  c = function(self) return ip.text(self.octets) end,
  r = function(self) return self.receiver end,
  t = function(self) return ("%d"):format(self.now) end,
}

local function letters(self, domain)
  return function(letter) return LETTERS[letter](self, domain) end
end

local function target(self, term, domain)
  if not term.domain then return domain end
  return macro.domain(term.domain, letters(self, domain))
end

-- --- mechanisms: true, false, or nil, result, why ---------------------------------------------------

local function any(self, addresses, term)
  local bits = family(self) == 4 and term.bits4 or term.bits6
  for _, address in ipairs(addresses) do
    local octets = ip.read(address)
    if octets and ip.match(octets, self.octets, bits) then return true end
  end
  return false
end

local MATCH = {}

function MATCH.all() return true end

function MATCH.ip4(self, term) return ip.match(term.octets, self.octets, term.bits) end
MATCH.ip6 = MATCH.ip4

function MATCH.a(self, term, domain)
  local addresses, result, why = self:addresses(target(self, term, domain))
  if not addresses then return nil, result, why end
  return any(self, addresses, term)
end

function MATCH.mx(self, term, domain)
  local name = target(self, term, domain)
  local hosts, result, why
  if is_domain(name) then
    hosts, result, why = asked(self, self.resolver:mx(name))
  else
    hosts, result, why = asked(self, {})
  end
  if not hosts then return nil, result, why end
  if #hosts > NAMES then return nil, "permerror", "more than 10 mail exchangers" end
  for _, host in ipairs(hosts) do
    local addresses
    addresses, result, why = self:addresses(host)
    if not addresses then return nil, result, why end
    if any(self, addresses, term) then return true end
  end
  return false
end

function MATCH.ptr(self, term, domain)
  local name = target(self, term, domain)
  for _, one in ipairs(self:names()) do
    if is_below(one, name) then return true end
  end
  return false
end

function MATCH.exists(self, term, domain)
  local name = target(self, term, domain)
  local rows, why = {}, nil
  if is_domain(name) then rows, why = self.resolver:addresses(name, 4) end -- A, whatever the connection is
  local found, result
  found, result, why = asked(self, rows, why)
  if not found then return nil, result, why end
  return found[1] ~= nil
end

local INCLUDED = { pass = true, fail = false, softfail = false, neutral = false }

function MATCH.include(self, term, domain)
  local name = target(self, term, domain)
  local result, why = self:domain(name, false)
  local match = INCLUDED[result]
  if match ~= nil then return match end
  if result == "temperror" then return nil, "temperror", why end
  return nil, "permerror", ("include of %s: %s"):format(name, why or "it has no SPF record")
end

local ASKS = { include = true, a = true, mx = true, ptr = true, exists = true }

-- --- the check --------------------------------------------------------------------------------------

-- What the domain says of its refusal (RFC 7208 §6.2); nil where that cannot be had.
local function explain(self, terms, domain)
  if not terms.exp then return nil end
  local name = macro.domain(terms.exp, letters(self, domain))
  local texts = is_domain(name) and self.resolver:txt(name) or {}
  if #texts ~= 1 or texts[1]:find "[^\32-\126]" or macro.check(texts[1], true) then return nil end
  return (macro.expand(texts[1], letters(self, domain)))
end

local function redirect(self, terms, domain, may_explain)
  local ok, result, why = count_lookup(self)
  if not ok then return result, why end
  local name = macro.domain(terms.redirect, letters(self, domain))
  local mechanism
  result, why, mechanism = self:domain(name, may_explain)
  if result == "none" then return "permerror", "redirect to a domain without an SPF record" end
  return result, why, mechanism
end

-- The record of a domain; or nil, result, why.
local function fetch(self, domain)
  if not is_domain(domain) then return nil, "none", "no domain name" end
  local texts, why = self.resolver:txt(domain)
  if not texts then return nil, "temperror", "no answer from DNS: " .. why end
  local list = record.select(texts)
  if #list == 0 then return nil, "none" end
  if #list > 1 then return nil, "permerror", "more than one SPF record" end
  local terms
  terms, why = record.parse(list[1])
  if not terms then return nil, "permerror", why end
  return terms
end

-- check_host() for one domain: result, explanation or reason, mechanism.
function Check:domain(domain, may_explain)
  local terms, result, why = fetch(self, domain)
  if not terms then return result, why end
  for _, term in ipairs(terms) do
    local match = true
    if ASKS[term.name] then match, result, why = count_lookup(self) end
    if match then match, result, why = MATCH[term.name](self, term, domain) end
    if match == nil then return result, why, term.text end
    if match then
      return term.result, may_explain and term.result == "fail" and explain(self, terms, domain) or nil, term.text
    end
  end
  if terms.redirect then return redirect(self, terms, domain, may_explain) end
  return "neutral"
end

local OPTIONS = { ip = "string", helo = "string?", from = "string?", resolver = "table?",
  receiver = "string?", now = "number?" }

--- Checks a connection and a sender.
-- @tparam table options `ip` (the peer's address, text) and `from` (the envelope sender) are needed; where
--   `from` is missing or "" `postmaster` at `helo` is checked. `resolver` (see `mail.sign.resolver`; default
--   `mail.dns`); `receiver` (this host's name, for explanations); `now` (epoch seconds, for the same)
-- @treturn string result: "pass", "fail", "softfail", "neutral", "none", "temperror" or "permerror"
-- @treturn ?string explanation: the domain's own words for "fail" (not to be trusted: it is text of a
--   stranger), or the reason of an error
-- @treturn ?string mechanism the term that decided: "-all"
-- @treturn string domain that was checked, which DMARC wants to know
function spf.check(options)
  want(options, OPTIONS, "mail.spf.check")
  local octets = ip.read(options.ip)
  if not octets then error("mail.spf.check: option 'ip' is no address", 2) end
  local from = options.from or ""
  if from == "" then from = "postmaster@" .. (options.helo or "") end
  if not from:find("@", 1, true) then from = "postmaster@" .. from end
  local localpart, domain = from:match "^(.*)@([^@]*)$"
  if localpart == "" then localpart = "postmaster" end
  domain = domain:gsub("%.$", "")
  local check = setmetatable({
    octets = octets, helo = options.helo or domain, sender = localpart .. "@" .. domain, localpart = localpart,
    sender_domain = domain, receiver = options.receiver or "unknown", now = options.now or os.time(),
    resolver = resolver.of(options.resolver), lookups = 0, voids = 0,
  }, Check)
  local result, explanation, mechanism = check:domain(domain, true)
  return result, explanation, mechanism, domain
end

return spf
