--- Names: mail exchangers, services, texts, addresses and the names of addresses, without blocking, on every loop.
--
-- The core's resolver (c-ares) asks /etc/hosts, for addresses alone, and the name servers of this host,
-- or those that `dns_servers` names. What is decided here: the order in which to try what was found
-- (RFC 5321 §5.1, RFC 2782), and what it means that there is nothing (RFC 7505).
-- Every function takes an options table: `dns_servers` ("192.0.2.53,[2001:db8::1]:5353"), `timeout`
-- (seconds for all its questions together, default 30), `loop` (an adapter of mail.loop). Names may be
-- internationalized. Errors are of kind "dns", `temporary` where asking again may help; `err.missing` is
-- "name" where there is no such name, and "record" where it has none of that type.
-- @module mail.dns

local core = require "mail.core"
local Err = require "mail.err"
local adapter = require "mail.io.adapter"
local fd = require "mail.io.fd"
local ip = require "mail.spf.ip"
local loop = require "mail.loop"
local want = require "mail.want"

local dns = {}

local OPTIONS = { dns_servers = "string?", timeout = "number?", loop = "any" }
local ADDRESSES = { dns_servers = "string?", timeout = "number?", loop = "any", family = "number?" }

local function failure(kind, fields, message, ...)
  fields = fields or {}
  fields.kind, fields.message = kind, message:format(...)
  return nil, Err.new(fields)
end

-- --- asking -----------------------------------------------------------------------------------------

-- A name in A-labels, without the dot of the root; nil where it can be none. Labels like "_dmarc" stand
-- before the name of a host, and only that is internationalized.
local function to_ascii(name)
  local service, domain = "", name:gsub("%.$", "")
  while domain:find "^_[A-Za-z0-9-]+%." do
    local label, rest = domain:match "^(_[A-Za-z0-9-]+%.)(.*)$"
    service, domain = service .. label, rest
  end
  local ascii = core.idn(domain)
  local whole = ascii and service .. ascii or ""
  local odd = not whole:find "^[A-Za-z0-9_-]" or whole:find "[^A-Za-z0-9._/-]" or whole:find("..", 1, true)
  if odd or #whole > 253 then return nil end
  for label in whole:gmatch "[^.]+" do
    if #label > 63 then return nil end
  end
  return whole
end

-- "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3), and what stands in them bare: the address.
local function literal(name)
  local inner = name:match "^%[(.*)%]$"
  local address = (inner or name):gsub("^[Ii][Pp][Vv]6:", "")
  if address:find "^%d+%.%d+%.%d+%.%d+$" or address:find "^[%x:]*:[%x:.]*%%?[A-Za-z0-9]*$" then return address end
  return inner and false or nil
end

-- What all questions of one call share.
local function begin(options, spec, what)
  options = want(options or {}, spec, "dns." .. what, 2)
  local host = options.loop and loop.adapter(options.loop, 3) or loop.host()
  local refusal = adapter.refusal(host) or host.refusal and host.refusal()
  if refusal then return nil, refusal end
  return { host = host, servers = options.dns_servers, deadline = host.now() + (options.timeout or 30) }
end

local function ask(call, name, kind, family)
  return fd.resolve(call.host, name, { dns_servers = call.servers, type = kind, family = family }, call.deadline)
end

local function check_name(name, what)
  if type(name) ~= "string" then error(("dns.%s: a name expected, got %s"):format(what, type(name)), 3) end
end

local function no_name(name)
  return failure("dns", { temporary = false }, "'%s' is no domain name", (name:gsub("[%z\1-\31\127]", "?")))
end

-- --- order ------------------------------------------------------------------------------------------

-- A whole number from 0 to `most`.
local function random(most)
  local a, b, c, d = core.random(4):byte(1, 4)
  return (((a * 256 + b) * 256 + c) * 256 + d) % (most + 1)
end

-- Those of equal priority one behind the other, lowest first; the order within is the server's.
local function by_priority(rows)
  local groups, list = {}, {}
  for _, row in ipairs(rows) do
    local group = groups[row.priority]
    if not group then
      group = { priority = row.priority }
      groups[row.priority] = group
      list[#list + 1] = group
    end
    group[#group + 1] = row
  end
  table.sort(list, function(a, b) return a.priority < b.priority end)
  return list
end

-- RFC 2782: those without weight first, then each is drawn by its share of what is left. Without any
-- weight at all: at random, as RFC 5321 §5.1 has it for MX.
local function draw(group, pick, out)
  local sum, rest = 0, {}
  for _, row in ipairs(group) do
    sum = sum + row.weight
    if row.weight == 0 then table.insert(rest, 1, row) else rest[#rest + 1] = row end
  end
  while #rest > 0 do
    local at, seen = 1, rest[1].weight
    if sum == 0 then
      at = pick(#rest - 1) + 1
    else
      local goal = pick(sum)
      while seen < goal do
        at = at + 1
        seen = seen + rest[at].weight
      end
    end
    local row = table.remove(rest, at)
    sum = sum - row.weight
    out[#out + 1] = row
  end
end

--- The order in which rows are to be tried: by `priority`, equal ones by `weight` (RFC 2782), those
-- without any weight at random.
-- @tparam table rows array of { priority=, weight= }
-- @tparam[opt] function pick gives a whole number from 0 to its argument (default: at random)
-- @treturn table another array of the same rows
function dns.order(rows, pick)
  local out = {}
  for _, group in ipairs(by_priority(rows)) do draw(group, pick or random, out) end
  return out
end

-- --- the questions ----------------------------------------------------------------------------------

--- The addresses of a host.
-- @tparam string name host name, address, or address literal ("[IPv6:2001:db8::1]")
-- @tparam[opt] table options of the module, and `family`: 4 or 6 for that one alone
-- @treturn {string,...} addresses, in the order of the answer; or nil, err
function dns.addresses(name, options)
  check_name(name, "addresses")
  local call, err = begin(options, ADDRESSES, "addresses")
  if not call then return nil, err end
  local address = literal(name)
  local ascii = address or address == nil and to_ascii(name)
  if not ascii then return no_name(name) end
  return ask(call, ascii, nil, options and options.family)
end

local function no_hosts(name)
  return failure("dns", { temporary = false }, "%s: what the DNS names there are no hosts", name)
end

-- Rows whose host can be one, "" among them; what a stranger writes there may be anything. The second value is
-- true where others were left out.
local function of_hosts(rows)
  local list = {}
  for _, row in ipairs(rows) do
    local host = row.text
    local odd = host:find "[^A-Za-z0-9._-]" or host:find("..", 1, true) or #host > 253
    if not odd then list[#list + 1] = row end
  end
  return list, #list < #rows
end

-- What `shape` makes of those that a question brings, in the order in which to try them; {} where all of them say
-- "none"; or nil, err.
local function in_order(call, name, kind, shape)
  local rows, err = ask(call, name, kind)
  if not rows then return nil, err end
  local list, good, odd = {}, of_hosts(rows)
  for _, row in ipairs(dns.order(good)) do list[#list + 1] = shape(row) or nil end
  if odd and not list[1] then return no_hosts(name) end
  return list
end

-- Without an MX the host itself takes the mail (RFC 5321 §5.1), where there is one.
local function implicit(call, domain)
  local found, err = ask(call, domain)
  if found then return { { host = domain, preference = 0, implicit = true } } end
  if err.missing then
    return failure("dns", { temporary = false, missing = err.missing }, "%s: neither mail exchanger nor address",
      domain)
  end
  return nil, err
end

--- The hosts that take mail for a domain, in the order in which to try them: by preference, equal ones
-- at random (RFC 5321 §5.1).
-- @tparam string domain what stands behind the @; an address literal is its own only host
-- @tparam[opt] table options
-- @treturn table array of { host=, preference= }: with `implicit = true` where the domain has no MX but an
--   address, `literal = true` for a literal; or nil, err: kind "rejected" (enhanced "5.1.10") where the
--   domain says that it takes no mail (null MX, RFC 7505)
function dns.mx(domain, options)
  check_name(domain, "mx")
  local call, err = begin(options, OPTIONS, "mx")
  if not call then return nil, err end
  local address = literal(domain)
  if address then return { { host = address, preference = 0, literal = true } } end
  local ascii = address == nil and to_ascii(domain)
  if not ascii then return no_name(domain) end
  local list
  list, err = in_order(call, ascii, "MX", function(row)
    return row.text ~= "" and { host = row.text, preference = row.priority }
  end)
  if not list and err.missing == "record" then return implicit(call, ascii) end
  if not list or list[1] then return list, err end
  return failure("rejected", { enhanced = "5.1.10", temporary = false }, "%s takes no mail (null MX)", ascii)
end

--- The hosts of a service, in the order in which to try them (RFC 2782).
-- @tparam string service "imaps" (for "_imaps._tcp"), or the labels as they stand in the name
-- @tparam string domain
-- @tparam[opt] table options
-- @treturn table array of { host=, port=, priority=, weight= }; or nil, err: kind "unsupported" where the
--   domain says that it does not offer the service (the target "."), `missing` where it says nothing
function dns.srv(service, domain, options)
  check_name(service, "srv")
  check_name(domain, "srv")
  local call, err = begin(options, OPTIONS, "srv")
  if not call then return nil, err end
  if not service:find "^_" then service = "_" .. service .. "._tcp" end
  local ascii = to_ascii(service .. "." .. domain)
  if not ascii then return no_name(service .. "." .. domain) end
  local list
  list, err = in_order(call, ascii, "SRV", function(row)
    return row.text ~= "" and row.port > 0
      and { host = row.text, port = row.port, priority = row.priority, weight = row.weight }
  end)
  if not list or list[1] then return list, err end
  return failure("unsupported", { temporary = false }, "%s: the domain does not offer this service", ascii)
end

local function texts_of(rows)
  local list = {}
  for i, row in ipairs(rows) do list[i] = row.text end
  return list
end

-- 1.2.0.192.in-addr.arpa, or the 32 nibbles of an IPv6 address.
local function reverse_name(octets)
  if #octets == 16 then return ip.dotted(octets):reverse() .. ".ip6.arpa" end
  return ("%d.%d.%d.%d.in-addr.arpa"):format(octets[4], octets[3], octets[2], octets[1])
end

--- The texts of a name, each with its strings joined (RFC 7208 §3.3, RFC 6376 §3.6.2.2).
-- @tparam string name "example.com", "s1._domainkey.example.com"
-- @tparam[opt] table options
-- @treturn {string,...} texts, as octets; or nil, err
function dns.txt(name, options)
  check_name(name, "txt")
  local call, err = begin(options, OPTIONS, "txt")
  if not call then return nil, err end
  local ascii = to_ascii(name)
  if not ascii then return no_name(name) end
  local rows
  rows, err = ask(call, ascii, "TXT")
  if not rows then return nil, err end
  return texts_of(rows)
end

--- The names that the DNS gives an address (RFC 1035 §3.5, RFC 3596 §2.5). Whoever holds the address says what
-- they like there: a name is proved only where one of its own addresses is that one.
-- @tparam string address
-- @tparam[opt] table options
-- @treturn {string,...} names, in the order of the answer; or nil, err
function dns.ptr(address, options)
  check_name(address, "ptr")
  local call, err = begin(options, OPTIONS, "ptr")
  if not call then return nil, err end
  local octets = ip.read(literal(address) or "")
  if not octets then
    return failure("dns", { temporary = false }, "'%s' is no address", (address:gsub("[%z\1-\31\127]", "?")))
  end
  local rows
  rows, err = ask(call, reverse_name(octets), "PTR")
  if not rows then return nil, err end
  local good = of_hosts(rows)
  if not good[1] then return no_hosts(address) end
  return texts_of(good)
end

return dns
