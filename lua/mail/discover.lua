--- `mail.discover`: from a mail address to the servers of its provider.
--
-- Asked in this order: the table of large providers (mail.providers), which nobody on the way can forge;
-- the SRV records of the domain (RFC 6186, RFC 8314); the table once more, by the domain's mail
-- exchangers; and, where that is wished, names that people give their servers. TLS before anything else
-- goes before STARTTLS (RFC 8314 §3), and nothing without TLS is ever found.
-- The DNS is not secured: a server found by it that lies outside of the address' domain is marked, and a
-- program should ask its user before a password goes there (RFC 6186 §6).
-- @module mail.discover

local letters = require "mail.ascii"
local core = require "mail.core"
local Err = require "mail.err"
local dns = require "mail.dns"
local loop = require "mail.loop"
local providers = require "mail.providers"
local want = require "mail.want"

local OPTIONS = { dns_servers = "string?", timeout = "number?", loop = "any", guess = "boolean?" }

-- Service, protocol, mode; the first that a domain offers is taken.
local SERVICES = {
  { "imaps", "imap", "implicit" }, { "imap", "imap", "starttls" }, { "pop3s", "pop3", "implicit" },
  { "pop3", "pop3", "starttls" }, { "submissions", "smtp", "implicit" }, { "submission", "smtp", "starttls" },
}
local GUESSES = {
  { "imap", 993, { "imap.", "mail." } }, { "pop3", 995, { "pop3.", "pop.", "mail." } },
  { "smtp", 465, { "smtp.", "mail." } },
}

-- The options of the next question: what is left of the time.
local function left(call)
  return { dns_servers = call.dns_servers, loop = call.loop,
    timeout = math.max(0.001, call.deadline - call.host.now()) }
end

-- A question that could not be answered is no answer: what would be found without it may be wrong.
local function is_open(err)
  return err ~= nil and (err.temporary or err.kind == "cancelled" or err.kind == "timeout")
end

local function is_below(host, domain)
  host = letters.lower(host)
  return host == domain or host:sub(-#domain - 1) == "." .. domain
end

local function copy(server, user)
  return server and { host = server.host, port = server.port, tls = server.tls, user = user }
end

-- --- the ways ---------------------------------------------------------------------------------------

local function by_provider(call, provider, source)
  local imap_user = provider.imap_user and call.user:match "^(.*)@" or nil
  return {
    imap = copy(provider.imap, imap_user), pop3 = copy(provider.pop3), smtp = copy(provider.smtp), source = source,
    provider = provider.name, login = provider.login,
  }
end

local function by_srv(call)
  local result = { source = "srv", others = {} }
  local found = false
  for _, row in ipairs(SERVICES) do
    local service, protocol, mode = row[1], row[2], row[3]
    local list, err = dns.srv(service, call.domain, left(call))
    if is_open(err) then return nil, err end
    for _, target in ipairs(list or {}) do
      local server = { host = target.host, port = target.port, tls = mode }
      if not is_below(target.host, call.domain) then
        server.target_outside = true
      end
      if result[protocol] then
        result.others[protocol] = result.others[protocol] or {}
        table.insert(result.others[protocol], server)
      else
        result[protocol] = server
        result.target_outside = result.target_outside or server.target_outside
      end
      found = true
    end
  end
  return found and result or nil
end

local function all_outside(result)
  result.target_outside = true
  for _, protocol in ipairs { "imap", "pop3", "smtp" } do
    if result[protocol] then result[protocol].target_outside = true end
  end
  return result
end

local function by_exchanger(call)
  local list, err = dns.mx(call.domain, left(call))
  if not list then return nil, err end
  for _, row in ipairs(list) do
    local name = letters.lower(row.host):gsub("%.$", "")
    while name do
      local provider = providers.by_exchanger[name]
      if provider then return all_outside(by_provider(call, provider, "mx")) end
      name = name:match "^[^.]*%.(.*)$"
    end
  end
end

local function by_guess(call)
  local result, found = { source = "guess" }, false
  for _, row in ipairs(GUESSES) do
    for _, prefix in ipairs(row[3]) do
      local host = prefix .. call.domain
      local addresses, err = dns.addresses(host, left(call))
      if is_open(err) then return nil, err end
      if addresses then
        result[row[1]] = { host = host, port = row[2], tls = "implicit" }
        found = true
        break
      end
    end
  end
  return found and result or nil
end

-- --- the call ---------------------------------------------------------------------------------------

-- The domain of an address in A-labels and lower case; nil where it is none.
local function domain_of(address)
  local domain = address:match "@([^@]*)$" or address
  if domain == "" or domain:find "^%[" or address:find "[%z\1-\31\127%s]" or address:find "^@" then return nil end
  local ascii = core.idn((domain:gsub("%.$", "")))
  return ascii and ascii:find "%." and letters.lower(ascii) or nil
end

local function search(call)
  local provider = providers.by_domain[call.domain]
  if provider then return by_provider(call, provider, "table") end
  local result, err = by_srv(call)
  if result or err then return result, err end
  result, err = by_exchanger(call)
  if result or is_open(err) then return result, err end
  if call.guess then
    local guessed, why = by_guess(call)
    if guessed or why then return guessed, why end
  end
  return nil, Err.new {
    kind = "dns", temporary = false, missing = err and err.missing,
    message = err and err.missing == "name" and call.domain .. ": no such domain"
      or call.domain .. " does not say where its mail servers are",
  }
end

--- Finds the servers for a mail address.
-- @tparam string address "ann@example.com", or a domain
-- @tparam[opt] table options `guess` (true: try names like imap.example.com, whose only proof is that they
--   exist), `dns_servers`, `timeout` (seconds for all of it, default 30), `loop`
-- @treturn table { imap=, pop3=, smtp= }, each { host=, port=, tls= "implicit" | "starttls" } or nil, and
--   `user` where the name to log in with differs; `user`: the address, the name to try first (RFC 6186 §4);
--   `source`: "table", "srv", "mx" or "guess"; `provider` and `login` ("password", "app-password",
--   "oauth2") where it is known; `target_outside`: true, here and in the server's table, where the DNS
--   alone says that a host outside of the domain is its server; `others`: further SRV targets by protocol.
--   Or nil, err: kind "dns" (temporary where the DNS did not answer), "invalid" where that is no address
-- @function discover
local function discover(address, options)
  if type(address) ~= "string" then error("mail.discover: an address expected, got " .. type(address), 2) end
  options = want(options or {}, OPTIONS, "mail.discover")
  local domain = domain_of(address)
  if not domain then
    local message = ("'%s' is no mail address"):format(letters.without_controls(address, "?"))
    return nil, Err.new { kind = "invalid", message = message }
  end
  local host = options.loop and loop.adapter(options.loop, 2) or loop.host()
  local call = {
    user = address, domain = domain, host = host, loop = options.loop, dns_servers = options.dns_servers,
    guess = options.guess, deadline = host.now() + (options.timeout or 30),
  }
  local result, err = search(call)
  if not result then return nil, err end
  result.user = address:find("@", 1, true) and address or nil
  result.domain = domain
  return result
end

return discover
