--- The authorization code grant (RFC 6749 §4.1) with its proof key (PKCE, RFC 7636): the address to which a browser
-- is sent, and the exchange of the code that comes back. How it comes back is the program's affair: a loopback port,
-- a web application's own path, a person who copies it (RFC 8252).
-- @module mail.oauth2.code

local ascii = require "mail.ascii"
local core = require "mail.core"
local endpoint = require "mail.oauth2.endpoint"

local code = {}

local failure = endpoint.failure

-- As many octets as RFC 7636 §4.1 wants, and enough for a state that nobody guesses.
local VERIFIER, STATE = 32, 16

--- The address, and what must be kept until the code comes back.
-- @tparam table o `authorize_url`, `client_id`, `redirect_uri`, `scope`, `state`, `login_hint`, `extra`
-- @treturn string url
-- @treturn string verifier
-- @treturn string state
function code.url(o)
  local verifier = endpoint.base64url(core.random(VERIFIER))
  local state = o.state or endpoint.base64url(core.random(STATE))
  local list = { { "response_type", "code" }, { "client_id", o.client_id }, { "redirect_uri", o.redirect_uri },
    { "scope", o.scope }, { "state", state }, { "code_challenge", endpoint.base64url(core.sha256(verifier)) },
    { "code_challenge_method", "S256" }, { "login_hint", o.login_hint } }
  local names = {}
  for name in pairs(o.extra or {}) do names[#names + 1] = name end
  table.sort(names, ascii.before)
  for _, name in ipairs(names) do list[#list + 1] = { name, o.extra[name] } end
  local sign = o.authorize_url:find("?", 1, true) and "&" or "?"
  return o.authorize_url .. sign .. endpoint.form(list), verifier, state
end

-- The parameters of the address to which the browser was sent back.
local function parameters(url)
  local found = {}
  local query = url:match "%?([^#]*)" or ""
  for name, value in query:gmatch "([^&=]+)=([^&]*)" do
    found[name] = value:gsub("+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  end
  return found
end

-- The code of that address (§4.1.2): it must be the answer to our question, or it is somebody else's (§10.12).
local function code_of(client, url, state)
  local found = parameters(url)
  if found.state ~= state then return failure("auth", "no token: the state is not the one that was sent") end
  if found.error then return endpoint.refusal(client, found.error, found.error_description) end
  if not found.code or found.code == "" then return failure("auth", "no token: there is no code in that address") end
  return found.code
end

--- Exchanges the code.
-- @tparam table client `options` with `token_url`, `verifier`, `redirect_uri`, and `code`, or `redirected` and `state`
-- @treturn table the token endpoint's answer; or nil, err
function code.exchange(client)
  local o = client.options
  table.insert(client.secrets, o.verifier)
  local found, err = o.code, nil
  if not found then found, err = code_of(client, o.redirected, o.state) end
  if not found then return nil, err end
  table.insert(client.secrets, found)
  return endpoint.ask(client, o.token_url, { { "grant_type", "authorization_code" }, { "code", found },
    { "redirect_uri", o.redirect_uri }, { "code_verifier", o.verifier } })
end

return code
