--- Access tokens by OAuth 2.0 (RFC 6749): `token = mail.oauth2 { … }` wherever a token is asked for.
--
-- Grants: a refresh token (§6), the client's own credentials (§4.4), a service account's or a client's key
-- (RFC 7523); and those by which a user gives leave: another device (RFC 8628), a browser (§4.1). A token is kept in
-- memory until shortly before it expires, and asked for anew where a mail server refused it; however many sessions
-- wait for one, one request is under way.
-- Invariant: no secret stands in an error, and none travels without TLS unless that was allowed.
-- @module mail.oauth2

local Err = require "mail.err"
local code = require "mail.oauth2.code"
local core = require "mail.core"
local device = require "mail.oauth2.device"
local endpoint = require "mail.oauth2.endpoint"
local guarded = require "mail.guarded"
local http = require "mail.http"
local json = require "mail.json"
local loop = require "mail.loop"
local settings = require "mail.oauth2.settings"
local want = require "mail.want"

local base64url, failure, fail = endpoint.base64url, endpoint.failure, settings.fail

local OPTIONS = {
  provider = "string?", tenant = "string?", token_url = "string?", client_id = "string?", client_secret = "string?",
  refresh_token = "string?", scope = "string|table?", service_account = "string|table?", key = "string?",
  key_id = "string?", thumbprint = "string?", algorithm = "string?", issuer = "string?", subject = "string?",
  audience = "string?", extra = "table?", client_auth = "string?", early = "number?", timeout = "number?",
  ssl = "table?", loop = "any", proxy = "any", http = "function?", allow_plaintext = "boolean?",
  on_refresh_token = "function?",
}

local BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
local ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

-- How long an assertion holds; how long a token does whose endpoint does not say so.
local ASSERTION_SECONDS, TOKEN_SECONDS = 3600, 300

local Oauth = {}
Oauth.__index = Oauth
Oauth.__name = "mail.oauth2"

-- --- the request ------------------------------------------------------------------------------------------

-- A signed JSON Web Token (RFC 7523 §3): text; or nil, err.
local function assertion(self, issuer, subject, audience, scope)
  local o, now = self.options, os.time()
  local head = json.object { { "alg", o.algorithm }, { "typ", "JWT" }, { "kid", o.key_id }, { "x5t", o.thumbprint } }
  local body = json.object { { "iss", issuer }, { "sub", subject }, { "aud", audience }, { "scope", scope },
    { "iat", now }, { "exp", now + ASSERTION_SECONDS }, { "jti", ("%d-%.0f"):format(now, core.now() * 1e6) } }
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
  if self.granted then
    return failure("auth", "no token: the leave is over, and there was no refresh token; ask the user again")
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

-- What a good answer holds: token, seconds that it holds; or nil, err. A refresh token replaces the one before
-- it (§6), and is told whoever keeps it.
local function accept(self, reply)
  local o, token, fresh = self.options, reply.access_token, reply.refresh_token
  if type(token) ~= "string" or not token:find "^[!-~]+$" then
    return failure("protocol", "the token endpoint gives no access_token")
  end
  if type(fresh) == "string" and fresh ~= "" and fresh ~= o.refresh_token and (o.refresh_token or self.granted) then
    o.refresh_token = fresh
    if o.on_refresh_token then o.on_refresh_token(fresh) end
  end
  return token, tonumber(reply.expires_in) or TOKEN_SECONDS
end

-- One request: token, seconds that it holds; or nil, err.
local function fetch(self)
  local list, err = grant(self)
  if not list then return nil, err end
  local reply
  reply, err = endpoint.ask(self, self.options.token_url, list)
  if not reply then return nil, err end
  return accept(self, reply)
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

local function keep(self, token, seconds)
  self.kept, self.generation = token, self.generation + 1
  self.until_ = os.time() + seconds - math.min(self.options.early, seconds / 2)
end

-- Asks for a token and wakes those who wait for it.
local function renew(self)
  local flight = { events = {}, leader = coroutine.running() }
  self.flight = flight
  local ok, token, seconds = guarded(fetch, self)
  self.flight = nil
  if ok and token then
    keep(self, token, seconds)
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

-- --- making one -------------------------------------------------------------------------------------------

local function object(o)
  if o.loop then o.loop = loop.adapter(o.loop, 6) end
  return setmetatable({ options = o, secrets = {}, generation = 0,
    given = setmetatable({}, { __mode = "k" }) }, Oauth)
end

local function new(options)
  want(options, OPTIONS, "oauth2", 4)
  local o = settings.complete(options, { "token_url" })
  settings.check_grant(o)
  return object(o)
end

-- Calls one of those that check options; what is wrong with them is raised at the caller's caller.
local function blamed(fn, options)
  local ok, made, more = pcall(fn, options)
  if ok then return made, more end
  if type(made) == "table" and made.oauth2 then error(made.oauth2, 3) end
  error(made, 0)
end

-- --- leave of a user's ------------------------------------------------------------------------------------

-- Those of a client that has no token yet.
local function user_options(more)
  local spec = { client_id = "string" }
  for _, name in ipairs { "provider", "tenant", "token_url", "client_secret", "scope", "extra", "client_auth", "early",
    "timeout", "ssl", "loop", "proxy", "http", "allow_plaintext", "on_refresh_token" } do
    spec[name] = OPTIONS[name]
  end
  for name, kinds in pairs(more) do spec[name] = kinds end
  return spec
end

local DEVICE = user_options { device_url = "string?", prompt = "function" }
local URL = {
  provider = "string?", tenant = "string?", scope = "string|table?", authorize_url = "string?", client_id = "string",
  redirect_uri = "string", state = "string?", login_hint = "string?", extra = "table?", allow_plaintext = "boolean?",
}
local EXCHANGE = user_options { code = "string?", redirected = "string?", state = "string?", verifier = "string",
  redirect_uri = "string" }

local function new_device(options)
  want(options, DEVICE, "oauth2.device", 4)
  return object((settings.complete(options, { "device_url", "token_url" }, true)))
end

local function new_exchange(options)
  want(options, EXCHANGE, "oauth2.exchange", 4)
  if (options.code ~= nil) == (options.redirected ~= nil) then fail "one of 'code' and 'redirected' is needed" end
  if options.redirected and not options.state then fail "option 'redirected' needs the 'state' that was sent" end
  return object((settings.complete(options, { "token_url" }, true)))
end

local function new_url(options)
  want(options, URL, "oauth2.authorization_url", 4)
  local o, known = settings.complete(options, { "authorize_url" }, true)
  if o.authorize_url:find("#", 1, true) then fail "option 'authorize_url' has a fragment" end
  o.extra = o.extra or known.offline
  return o
end

-- The object whose first token is in that answer; or nil, err.
local function granted(self, reply, err)
  if not reply then return nil, err end
  self.granted = true
  local token, seconds = accept(self, reply)
  if not token then return nil, seconds end
  keep(self, token, seconds)
  return self
end

local oauth2 = {}

--- Leave by another device (RFC 8628): for programs without a browser. Waits until the user has given it.
-- @tparam table options `provider` = "microsoft" (or "google", which does not give out its mail scope this way), or
--   `device_url` and `token_url`; `client_id`, `client_secret`, `scope`; `prompt`: function(shown), which shows the
--   user `shown.verification_uri` and `shown.user_code`, or `shown.verification_uri_complete` (as a QR code, where
--   there is one), good for `shown.expires_in` seconds; `shown.message`: the provider's words, where it has some;
--   `on_refresh_token`: function(token), told the first refresh token and each that replaces it: keep it, and the
--   next start is `mail.oauth2 { refresh_token = … }`; and what `mail.oauth2` takes besides
-- @treturn table an object as of `mail.oauth2`; or nil, err: kind "auth" with `err.error` "access_denied" or
--   "expired_token", or what the connection failed with
function oauth2.device(options)
  local self = blamed(new_device, options)
  return granted(self, device(self))
end

--- The address at which a user gives leave by a browser (RFC 6749 §4.1, with PKCE).
-- @tparam table options `provider`, or `authorize_url`; `client_id`, `redirect_uri`, `scope`, `login_hint` (the user's
--   address), `state` (default: a random one), `extra`: further parameters
-- @treturn string url
-- @treturn string verifier, for `exchange`: a secret
-- @treturn string state, which must come back with the code
function oauth2.authorization_url(options)
  return code.url(blamed(new_url, options))
end

--- The code that came back from there, exchanged for tokens.
-- @tparam table options `provider`, or `token_url`; `client_id`, `client_secret`, `redirect_uri` and `verifier` as
--   before; `redirected`, the whole address to which the browser was sent back, and `state`, which is compared with the
--   one in it; or `code`, where the program has compared them; `on_refresh_token`, and the rest, as of `device`
-- @treturn table an object as of `mail.oauth2`; or nil, err: kind "auth" with `err.error` as the endpoint said it
function oauth2.exchange(options)
  local self = blamed(new_exchange, options)
  return granted(self, code.exchange(self))
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
-- @function oauth2
return setmetatable(oauth2, { __call = function(_, options)
  local made = blamed(new, options)
  return made
end })
