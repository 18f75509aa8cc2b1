--- Access tokens by OAuth 2.0 (RFC 6749): `token = mail.oauth2 { … }` wherever a token is asked for.
--
-- Grants: a refresh token (§6), the client's own credentials (§4.4), a service account's or a client's key
-- (RFC 7523). A token is kept in memory until shortly before it expires, and asked for anew where a mail server
-- refused it; however many sessions wait for one, one request is under way.
-- Invariant: no secret stands in an error, and none travels without TLS unless that was allowed.
-- @module mail.oauth2

local Err = require "mail.err"
local core = require "mail.core"
local guarded = require "mail.guarded"
local http = require "mail.http"
local json = require "mail.json"
local loop = require "mail.loop"
local want = require "mail.want"

local OPTIONS = {
  provider = "string?", tenant = "string?", token_url = "string?", client_id = "string?", client_secret = "string?",
  refresh_token = "string?", scope = "string|table?", service_account = "string|table?", key = "string?",
  key_id = "string?", thumbprint = "string?", algorithm = "string?", issuer = "string?", subject = "string?",
  audience = "string?", extra = "table?", client_auth = "string?", early = "number?", timeout = "number?",
  ssl = "table?", loop = "any", proxy = "any", http = "function?", allow_plaintext = "boolean?",
  on_refresh_token = "function?",
}

local PROVIDERS = {
  google = { token_url = "https://oauth2.googleapis.com/token", scope = "https://mail.google.com/" },
  microsoft = {
    token_url = "https://login.microsoftonline.com/%s/oauth2/v2.0/token",
    scope = "https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/POP.AccessAsUser.All "
      .. "https://outlook.office.com/SMTP.Send offline_access",
    client_scope = "https://outlook.office365.com/.default",
  },
}

local ALGORITHMS = { RS256 = true, ES256 = true }
local BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
local ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

-- How long an assertion holds; how long a token does whose endpoint does not say so.
local ASSERTION_SECONDS, TOKEN_SECONDS = 3600, 300

local Oauth = {}
Oauth.__index = Oauth
Oauth.__name = "mail.oauth2"

-- --- words ------------------------------------------------------------------------------------------------

local function escape(text)
  return (text:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function base64url(octets)
  return (core.base64(octets):gsub("[+/=]", { ["+"] = "-", ["/"] = "_", ["="] = "" }))
end

-- What the endpoint said, fit for a log line: bounded, in one line, without our secrets.
local function clean(self, text)
  if type(text) ~= "string" then return nil end
  for _, name in ipairs { "refresh_token", "client_secret" } do
    local secret = self.options[name]
    local from, to = nil, nil
    if secret and secret ~= "" then from, to = text:find(secret, 1, true) end
    while from do
      text = text:sub(1, from - 1) .. "***" .. text:sub(to + 1)
      from, to = text:find(secret, from + 3, true)
    end
  end
  text = text:gsub("[%w_-]+%.[%w_-]+%.[%w_-]+", function(word) return #word > 60 and "***" or word end)
  return (text:sub(1, 300):gsub("%c+", " "))
end

local function failure(kind, message, fields)
  fields = fields or {}
  fields.kind, fields.message, fields.protocol = kind, message, "oauth2"
  return nil, Err.new(fields)
end

-- --- the request ------------------------------------------------------------------------------------------

-- A signed JSON Web Token (RFC 7523 §3): text; or nil, err.
local function assertion(self, issuer, subject, audience, scope)
  local o, now = self.options, os.time()
  local head = json.object { { "alg", o.algorithm }, { "typ", "JWT" }, { "kid", o.key_id }, { "x5t", o.thumbprint } }
  local body = json.object { { "iss", issuer }, { "sub", subject }, { "aud", audience }, { "scope", scope },
    { "iat", now }, { "exp", now + ASSERTION_SECONDS }, { "jti", ("%d-%.6f"):format(now, core.now()) } }
  local text = base64url(head) .. "." .. base64url(body)
  local signature, why = core.sign(o.algorithm, o.key, text)
  if not signature then return failure("auth", "the assertion cannot be signed: " .. why) end
  return text .. "." .. base64url(signature)
end

-- The grant's parameters: array of { name, value }; or nil, err.
local function grant(self)
  local o = self.options
  if o.refresh_token then
    return { { "grant_type", "refresh_token" }, { "refresh_token", o.refresh_token }, { "scope", o.scope } }
  end
  if o.key and o.issuer then
    local jwt, err = assertion(self, o.issuer, o.subject, o.audience, o.scope)
    if not jwt then return nil, err end
    return { { "grant_type", BEARER }, { "assertion", jwt } }
  end
  local list = { { "grant_type", "client_credentials" }, { "scope", o.scope } }
  if o.key then
    local jwt, err = assertion(self, o.client_id, o.client_id, o.audience)
    if not jwt then return nil, err end
    list[3], list[4] = { "client_assertion_type", ASSERTION }, { "client_assertion", jwt }
  end
  return list
end

-- The client proves who it is (RFC 6749 §2.3.1): in the body, or by Basic.
local function prove(self, list, headers)
  local o = self.options
  if o.client_id and o.client_secret and o.client_auth == "basic" then
    headers.Authorization = "Basic " .. core.base64(escape(o.client_id) .. ":" .. escape(o.client_secret))
    return
  end
  list[#list + 1] = { "client_id", o.client_id }
  list[#list + 1] = { "client_secret", o.client_secret }
end

local function form(list)
  local parts = {}
  for i = 1, #list do
    if list[i][2] ~= nil then parts[#parts + 1] = list[i][1] .. "=" .. escape(list[i][2]) end
  end
  return table.concat(parts, "&")
end

-- Sends it by the host's client, or ours: the answer; or nil, err.
local function post(self, body, headers)
  local o = self.options
  if o.http then
    local answer, err = o.http { url = o.token_url, method = "POST", headers = headers, body = body,
      timeout = o.timeout }
    if type(answer) ~= "table" or type(answer.status) ~= "number" or type(answer.body) ~= "string" then
      return failure("connect", "no answer: " .. tostring(clean(self, tostring(err))), { temporary = true })
    end
    return answer
  end
  return http.request { url = o.token_url, method = "POST", headers = headers, body = body, timeout = o.timeout,
    ssl = o.ssl, loop = o.loop, proxy = o.proxy }
end

-- What a refusal says (RFC 6749 §5.2).
local function refused(self, answer, reply)
  local code = clean(self, reply and reply.error)
  local text = clean(self, reply and reply.error_description)
  local message = code and (code .. (text and ": " .. text or "")) or ("HTTP status %d"):format(answer.status)
  return failure("auth", "no token: " .. message, {
    error = code, text = text, temporary = answer.status >= 500 or answer.status == 429
      or code == "temporarily_unavailable" or code == "slow_down",
  })
end

-- One request: token, seconds that it holds; or nil, err.
local function fetch(self)
  local list, err = grant(self)
  if not list then return nil, err end
  local headers = { ["Content-Type"] = "application/x-www-form-urlencoded", Accept = "application/json" }
  prove(self, list, headers)
  for name, value in pairs(self.options.extra or {}) do list[#list + 1] = { name, value } end
  local answer
  answer, err = post(self, form(list), headers)
  if not answer then return nil, err end
  local reply, why = json.decode(answer.body)
  if answer.status ~= 200 or (reply and reply.error) then return refused(self, answer, reply) end
  if not reply then return failure("protocol", "the token endpoint answers with " .. why) end
  local token = reply.access_token
  if type(token) ~= "string" or not token:find "^[!-~]+$" then
    return failure("protocol", "the token endpoint gives no access_token")
  end
  local fresh = reply.refresh_token
  if type(fresh) == "string" and self.options.refresh_token and fresh ~= self.options.refresh_token then
    self.options.refresh_token = fresh -- it replaces the old one (§6)
    if self.options.on_refresh_token then self.options.on_refresh_token(fresh) end
  end
  return token, tonumber(reply.expires_in) or TOKEN_SECONDS
end

-- --- the cache --------------------------------------------------------------------------------------------

local function me()
  return coroutine.running() or 1
end

-- The token at hand goes to the caller, of whom it is noted which one he has.
local function give(self)
  self.given[me()] = self.generation
  return self.kept
end

-- Asks for a token and wakes those who wait for it.
local function renew(self)
  local flight = { events = {}, leader = coroutine.running() }
  self.flight = flight
  local ok, token, seconds = guarded(fetch, self)
  self.flight = nil
  if ok and token then
    self.kept, self.generation = token, self.generation + 1
    self.until_ = os.time() + seconds - math.min(self.options.early, seconds / 2)
  else
    self.kept = nil
    flight.err = ok and seconds or Err.new { kind = "auth", message = "no token: an error was raised",
      protocol = "oauth2" }
  end
  for _, event in ipairs(flight.events) do event:set() end
  if not ok then error(token, 0) end
  if not token then return nil, seconds end
  return give(self)
end

-- Waits for the request of another coroutine.
local function join(self, flight)
  local host = self.options.loop or loop.host()
  local event = host.event()
  table.insert(flight.events, event)
  local deadline = host.now() + self.options.timeout
  while self.flight == flight do
    local ok, why = event:wait(math.max(0, math.min(deadline - host.now(), 1)))
    if not ok and why ~= "timeout" then return failure("cancelled", "the wait for a token was ended") end
    local gone = flight.leader and coroutine.status(flight.leader)
    if gone == "dead" or gone == "zombie" then self.flight = nil break end -- ended from outside
    if self.flight == flight and host.now() >= deadline then return failure("timeout", "no token in time") end
  end
  if flight.err then return nil, flight.err end
  return self:token()
end

--- An access token: the one at hand while it holds, else a new one.
-- @tparam[opt] boolean stale the token that this coroutine was given last was refused
-- @treturn string token; or nil, err: kind "auth" with `err.error` and `err.text` as the endpoint said them
--   (RFC 6749 §5.2), or what the connection to it failed with
function Oauth:token(stale)
  if stale and self.given[me()] == self.generation then self.kept = nil end
  if self.kept and os.time() < self.until_ then return give(self) end
  if self.flight then return join(self, self.flight) end
  return renew(self)
end

--- Forgets the token at hand.
function Oauth:forget()
  self.kept = nil
end

function Oauth:__call(stale)
  return self:token(stale)
end

function Oauth:__tostring()
  return ("mail.oauth2 (%s)"):format(http.parse_url(self.options.token_url).host)
end

-- --- options ------------------------------------------------------------------------------------------------

-- What is wrong with the options; it is raised at the line of whoever gave them.
local function fail(message, ...)
  error({ oauth2 = "oauth2: " .. message:format(...) }, 0)
end

-- PEM, or the name of a file that holds it.
local function read_key(text)
  if text:find("-----BEGIN ", 1, true) then return text end
  local file, why = io.open(text, "rb")
  if not file then fail("the key cannot be read: %s", tostring(why)) end
  local pem = file:read "*a"
  file:close()
  return pem
end

-- Google's file of a service account, its text, or that as a table.
local function use_account(o)
  local account = o.service_account
  if type(account) == "string" then
    if not account:find "^%s*{" then
      local file = io.open(account, "rb")
      if not file then fail "the file of the service account cannot be read" end
      account = file:read "*a"
      file:close()
    end
    local why
    account, why = json.decode(account)
    if not account then fail("the service account is %s", why) end
  end
  o.issuer = o.issuer or account.client_email
  o.key = o.key or account.private_key
  o.key_id = o.key_id or account.private_key_id
  o.token_url = o.token_url or account.token_uri
  o.service_account = nil
end

local function use_provider(o)
  local known = PROVIDERS[o.provider:lower()]
  if not known then fail("no provider '%s'; there are google and microsoft, and token_url", o.provider) end
  local own_grant = not o.refresh_token and not (o.key and o.issuer)
  o.token_url = o.token_url or known.token_url:format(escape(o.tenant or "common"))
  o.scope = o.scope or own_grant and known.client_scope or known.scope
end

local function check_grant(o)
  if not o.token_url then fail "option 'token_url' or 'provider' is missing" end
  local place = http.parse_url(o.token_url)
  if not place then fail "option 'token_url' is no URL" end
  if place.scheme ~= "https" and not o.allow_plaintext then
    fail "secrets go to https only; allow_plaintext permits http"
  end
  if o.key then
    o.key = read_key(o.key)
    o.algorithm = o.algorithm or "RS256"
    if not ALGORITHMS[o.algorithm] then fail "option 'algorithm' must be RS256 or ES256" end
    o.audience = o.audience or o.token_url
  end
  if o.client_auth and o.client_auth ~= "basic" and o.client_auth ~= "body" then
    fail "option 'client_auth' must be basic or body"
  end
  if o.refresh_token or (o.key and o.issuer) then return end
  if not (o.client_id and (o.client_secret or o.key)) then
    fail "a refresh_token, a service_account, or client_id and client_secret (or key) is needed"
  end
end

--- Tokens of one account: an object that can be called where a token function is taken.
-- @tparam table options `provider` = "google" or "microsoft" (with `tenant`, default "common"), or `token_url`;
--   `client_id`, `client_secret`; `refresh_token`; or `service_account` (Google's JSON: a file, its text, or a table)
--   and `subject`, the user to act for; or `key` (PEM or a file), `algorithm` = "RS256" or "ES256", `key_id`,
--   `thumbprint`, `issuer`, `audience`; without a refresh token or an issuer the client's own credentials are used.
--   `scope`: a string or an array; `extra`: further parameters; `client_auth` = "body" or "basic"; `early` = 60:
--   seconds before the end at which a token is renewed; `timeout` = 30; `ssl`, `loop`, `proxy` as of `connect`;
--   `http`: function{url=, method=, headers=, body=, timeout=} → {status=, body=}, the host's own client;
--   `on_refresh_token`: function(token), where the endpoint gives a new one; `allow_plaintext`: http will do
-- @treturn table object: call it, or `object:token(stale)`; `object:forget()`
local function new(options)
  want(options, OPTIONS, "oauth2", 3)
  local o = {}
  for name, value in pairs(options) do o[name] = value end
  if o.service_account then use_account(o) end
  if o.provider then use_provider(o) end
  if type(o.scope) == "table" then o.scope = table.concat(o.scope, " ") end
  check_grant(o)
  if o.loop then o.loop = loop.adapter(o.loop, 4) end
  o.timeout, o.early = o.timeout or 30, o.early or 60
  return setmetatable({ options = o, generation = 0, given = setmetatable({}, { __mode = "k" }) }, Oauth)
end

return setmetatable({}, { __call = function(_, options)
  local ok, made = pcall(new, options)
  if ok then return made end
  if type(made) == "table" and made.oauth2 then error(made.oauth2, 2) end
  error(made, 0)
end })
