--- Options of mail.oauth2: what is known of providers, keys and accounts in files, and what makes no sense.
-- @module mail.oauth2.settings

local ascii = require "mail.ascii"
local endpoint = require "mail.oauth2.endpoint"
local http = require "mail.http"
local json = require "mail.json"

local settings = {}

local escape = endpoint.escape

local PROVIDERS = {
  google = {
    token_url = "https://oauth2.googleapis.com/token", device_url = "https://oauth2.googleapis.com/device/code",
    authorize_url = "https://accounts.google.com/o/oauth2/v2/auth", scope = "https://mail.google.com/",
    offline = { access_type = "offline", prompt = "consent" }, -- or there is no refresh token
  },
  microsoft = {
    token_url = "https://login.microsoftonline.com/%s/oauth2/v2.0/token",
    device_url = "https://login.microsoftonline.com/%s/oauth2/v2.0/devicecode",
    authorize_url = "https://login.microsoftonline.com/%s/oauth2/v2.0/authorize",
    scope = "https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/POP.AccessAsUser.All "
      .. "https://outlook.office.com/SMTP.Send offline_access",
    client_scope = "https://outlook.office365.com/.default",
  },
}

local ALGORITHMS = { RS256 = true, ES256 = true }
--- Raises what is wrong with the options, for whoever called to blame its own caller's line.
local function fail(message, ...)
  error({ oauth2 = "oauth2: " .. message:format(...) }, 0)
end
settings.fail = fail

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

local function use_provider(o, by_user)
  local known = PROVIDERS[ascii.lower(o.provider)]
  if not known then fail("no provider '%s'; there are google and microsoft, and token_url", o.provider) end
  local own_grant = not by_user and not o.refresh_token and not (o.key and o.issuer)
  for _, name in ipairs { "token_url", "device_url", "authorize_url" } do
    o[name] = o[name] or known[name]:format(escape(o.tenant or "common"))
  end
  o.scope = o.scope or own_grant and known.client_scope or known.scope
  return known
end

local function check_url(o, name)
  if not o[name] then fail("option '%s' or 'provider' is missing", name) end
  local place = http.parse_url(o[name])
  if not place then fail("option '%s' is no URL", name) end
  if place.scheme ~= "https" and not o.allow_plaintext then
    fail "secrets go to https only; allow_plaintext permits http"
  end
end

local function check_client_auth(o)
  if o.client_auth and o.client_auth ~= "basic" and o.client_auth ~= "body" then
    fail "option 'client_auth' must be basic or body"
  end
end

--- Completes and checks what a grant without a user needs.
function settings.check_grant(o)
  if o.key then
    o.key = read_key(o.key)
    o.algorithm = o.algorithm or "RS256"
    if not ALGORITHMS[o.algorithm] then fail "option 'algorithm' must be RS256 or ES256" end
    o.audience = o.audience or o.token_url
  end
  if o.refresh_token or (o.key and o.issuer) then return end
  if not (o.client_id and (o.client_secret or o.key)) then
    fail "a refresh_token, a service_account, or client_id and client_secret (or key) is needed"
  end
end

--- What all have in common: a copy of the options, completed and checked.
-- @tparam table options
-- @tparam {string,...} urls the names of those that are needed
-- @tparam boolean by_user a user gives leave, so that a provider's scope is the user's
-- @treturn table options
-- @treturn table what is known of the provider
function settings.complete(options, urls, by_user)
  local o, known = {}, {}
  for name, value in pairs(options) do o[name] = value end
  if o.service_account then use_account(o) end
  if o.provider then known = use_provider(o, by_user) end
  if type(o.scope) == "table" then o.scope = table.concat(o.scope, " ") end
  check_client_auth(o)
  for _, name in ipairs(urls) do check_url(o, name) end
  o.timeout, o.early = o.timeout or 30, o.early or 60
  return o, known
end

return settings
