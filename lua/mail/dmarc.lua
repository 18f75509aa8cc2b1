--- DMARC: what the domain in From wants done with mail that is not its own (RFC 7489).
-- @module mail.dmarc

local ascii = require "mail.ascii"
local core = require "mail.core"
local Err = require "mail.err"
local resolver = require "mail.sign.resolver"
local suffix = require "mail.sign.suffix"
local want = require "mail.want"

local dmarc = {}

local POLICIES = { none = true, quarantine = true, reject = true }

local function mode(text) return text and ascii.lower(text) == "s" and "strict" or "relaxed" end

local function list(text)
  local out = {}
  for uri in (text or ""):gmatch "[^%s,]+" do out[#out + 1] = uri end
  return out
end

--- Reads a record.
-- @tparam string text "v=DMARC1; p=reject; …"
-- @treturn table { policy=, subdomain_policy=, dkim= "relaxed"|"strict", spf=, percent=, reports= (array of
--   URIs), failure_reports=, failure_options=, interval= }; or nil, err (kind "invalid") where it is none
function dmarc.parse(text)
  if type(text) ~= "string" then error("mail.dmarc.parse: a string expected, got " .. type(text), 2) end
  local tags, why = core.tags(text)
  if not tags or tags[1] ~= "v" or tags.v ~= "DMARC1" then
    return nil, Err.new { kind = "invalid", message = "no DMARC record" .. (why and ": " .. why or "") }
  end
  local policy, sub = ascii.lower(tags.p or ""), ascii.lower(tags.sp or "")
  local reports = list(tags.rua)
  -- RFC 7489 §6.6.3: a policy that nobody knows is "none" where reports are wanted, and no record otherwise
  if not POLICIES[policy] or (tags.sp and not POLICIES[sub]) then
    if not reports[1] then return nil, Err.new { kind = "invalid", message = "a DMARC record without a policy" } end
    policy, sub = "none", ""
  end
  local percent = tags.pct and tags.pct:find "^%d%d?%d?$" and tonumber(tags.pct) or 100
  return {
    policy = policy, subdomain_policy = POLICIES[sub] and sub or policy, dkim = mode(tags.adkim), spf = mode(tags.aspf),
    percent = percent <= 100 and percent or 100, reports = reports, failure_reports = list(tags.ruf),
    failure_options = tags.fo or "0", interval = tonumber(tags.ri) or 86400,
  }
end

-- The record of one domain, or nil; or nil, why: nobody could say.
local function fetch(ask, domain)
  local texts, why = ask:txt("_dmarc." .. domain)
  if not texts then return nil, why end
  local found
  for _, text in ipairs(texts) do
    if text:find "^v%s*=%s*DMARC1" then
      if found then return nil end -- RFC 7489 §6.6.3: two are none
      found = text
    end
  end
  return found and dmarc.parse(found) or nil
end

local function discover(ask, domain, organization)
  local record, why = fetch(ask, domain)
  if record or why then return record, why end
  if organization == domain then return nil end
  record, why = fetch(ask, organization)
  return record, why, true
end

local function is_aligned(domain, author, how, options)
  domain = ascii.lower(domain):gsub("%.$", "")
  if domain == author.domain then return true end
  return how == "relaxed" and suffix.organization(domain, options.public_suffix) == author.organization
end

local function aligned_dkim(options, author, how)
  for _, sig in ipairs(options.dkim or {}) do
    if sig.result == "pass" and sig.domain and is_aligned(sig.domain, author, how, options) then return sig.domain end
  end
end

local function aligned_spf(options, author, how)
  local spf = options.spf
  if spf and spf.result == "pass" and spf.domain and is_aligned(spf.domain, author, how, options) then
    return spf.domain
  end
end

local MILDER = { reject = "quarantine", quarantine = "none", none = "none" }

-- What is to be done; of a policy for some percent of the mail the others get the milder one (§6.6.4).
local function disposition(record, policy, options)
  if record.percent >= 100 then return policy end
  local sample = options.sample or math.random(0, 99)
  return sample < record.percent and policy or MILDER[policy]
end

local OPTIONS = { from = "string", dkim = "table?", spf = "table?", resolver = "table?",
  public_suffix = "string|function?", sample = "number?" }

local function undecided(options)
  local domain
  for _, sig in ipairs(options.dkim or {}) do
    if sig.result == "temperror" then domain = sig.domain or true end
  end
  return domain or (options.spf and options.spf.result == "temperror")
end

-- An address, or a domain alone; lower case and A-labels.
local function author_of(options)
  local domain = options.from:match "@([^@>%s]+)>?%s*$" or options.from:match "^%s*([^@%s]+)%s*$"
  if not domain then return nil end
  domain = ascii.lower(domain):gsub("%.$", "")
  if domain:find "[\128-\255]" then domain = core.idn(domain) or domain end
  return { domain = domain, organization = suffix.organization(domain, options.public_suffix) }
end

--- Evaluates a message by the policy of its author's domain.
-- @tparam table options `from` (needed): the one address in From, or its domain; `dkim`: what `dkim.verify`
--   gave; `spf`: { result=, domain= } from `spf.check`'s first and fourth value; `resolver` (see
--   `mail.sign.resolver`; default `mail.dns`); `public_suffix`: path of a list in the format of
--   publicsuffix.org, or a function from a domain to its public suffix (default: the system's list, else a few
--   dozen built in, see `mail.sign.suffix`); `sample`: 0 to 99, for pct= (default: at random)
-- @treturn table { result = "pass" | "fail" | "none" (no policy) | "temperror" | "permerror", reason=,
--   disposition = "none" | "quarantine" | "reject" (what to do, after pct=), policy= (what the domain asks for
--   this name), domain=, organization=, aligned = { dkim= (domain), spf= (domain) }, record= (as `parse`) }
function dmarc.evaluate(options)
  want(options, OPTIONS, "mail.dmarc.evaluate")
  local author = author_of(options)
  if not author then
    return { result = "permerror", reason = "From is no address", disposition = "none", aligned = {} }
  end
  if not author.organization then error("mail.dmarc.evaluate: option 'public_suffix' gives no suffix", 2) end
  local out = { domain = author.domain, organization = author.organization, disposition = "none", aligned = {} }
  local record, why, inherited = discover(resolver.of(options.resolver), author.domain, author.organization)
  if not record then
    out.result, out.reason = why and "temperror" or "none", why and "no answer from DNS: " .. why or nil
    return out
  end
  out.record = record
  out.policy = inherited and record.subdomain_policy or record.policy
  out.aligned = { dkim = aligned_dkim(options, author, record.dkim), spf = aligned_spf(options, author, record.spf) }
  if out.aligned.dkim or out.aligned.spf then
    out.result = "pass"
  elseif undecided(options) then
    out.result, out.reason = "temperror", "DKIM or SPF could not be decided"
  else
    out.result, out.disposition = "fail", disposition(record, out.policy, options)
  end
  return out
end

return dmarc
