-- Logging in by what servers have to be set up for: tokens (RFC 7628), which Dovecot checks by itself as signed
-- JWTs (RFC 7519), nobody's name (RFC 4505), NTLM and SCRAM-SHA-512 with Cyrus.
local core = require "mail.core"
local mail = require "mail"
local Keeper = require "spec.servers.keeper"
local servers = require "spec.servers"

local SECRET = "a secret that the two sides share, of some length"

local OAUTH = [[
introspection_mode = local
local_validation_key_dict = fs:posix:prefix=%s/jwt/
username_attribute = sub
]]
local SETTINGS = [[
auth_mechanisms = plain xoauth2 oauthbearer anonymous
auth_anonymous_username = user1
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = %s/oauth2.conf
}
]]

local dovecot, missing = servers.dovecot { private = true, mechanisms = "plain" }
if dovecot then
  dovecot.keeper:write("jwt/default/HS256/default", (core.base64(SECRET)))
  dovecot.keeper:write("oauth2.conf", OAUTH:format(dovecot.keeper.folder))
  dovecot:configure(SETTINGS:format(dovecot.keeper.folder))
  dovecot:restart()
end
local cyrus, no_cyrus = servers.cyrus { mechanisms = "PLAIN NTLM SCRAM-SHA-512" }

local function given(server, why)
  return server and it or function(name) pending(name .. ": " .. tostring(why)) end
end
local real = given(dovecot, missing)

local function base64url(octets)
  return (core.base64(octets):gsub("[+/=]", { ["+"] = "-", ["/"] = "_", ["="] = "" }))
end

-- A token that says who it is for, good for an hour from `at` on.
local function token_for(name, at)
  local text = base64url '{"alg":"HS256","typ":"JWT","kid":"default"}' .. "."
    .. base64url(('{"sub":"%s","iat":%d,"nbf":%d,"exp":%d}'):format(name, at, at, at + 3600))
  local pipe = io.popen(("printf %%s %s | openssl dgst -sha256 -hmac %s -binary")
    :format(Keeper.quote(text), Keeper.quote(SECRET)))
  local signature = pipe:read "*a"
  pipe:close()
  return text .. "." .. base64url(signature)
end

local function connect(protocol, user, mechanism, token, server, password)
  server = server or dovecot
  return mail[protocol].connect {
    host = "localhost", port = server.ports[protocol], tls = "starttls", ssl = { ca_file = server.ca_file },
    user = user.name, token = token, password = password, mechanism = mechanism, timeout = 20,
  }
end

describe("Dovecot and tokens", function()
  for mechanism, words in pairs { OAUTHBEARER = '"status":"invalid_token"', XOAUTH2 = '"status":"401"' } do
    for _, protocol in ipairs { "imap", "pop3" } do
      real(("%s takes %s"):format(protocol, mechanism), function()
        local user = dovecot:add_user()
        local session = assert(connect(protocol, user, mechanism, token_for(user.name, os.time() - 10)))
        session:close()
      end)

      real(("%s refuses %s that has expired, and asks for another once"):format(protocol, mechanism), function()
        local user, asked = dovecot:add_user(), {}
        local old, good = token_for(user.name, os.time() - 7200), token_for(user.name, os.time() - 10)
        local session, err = connect(protocol, user, mechanism, old)
        assert.is_nil(session)
        assert.equal("auth", err.kind)
        assert.matches(words, err.challenge, 1, true)
        assert.is_nil(tostring(err):find(old, 1, true))
        session = assert(connect(protocol, user, mechanism, function(again)
          asked[#asked + 1] = tostring(again)
          return again and good or old
        end))
        session:close()
        assert.equal(2, #asked)
        assert.equal("true", asked[2])
      end)
    end
  end

  real("a token for somebody else lets nobody in", function()
    local user, other = dovecot:add_user(), dovecot:add_user()
    local session, err = connect("imap", user, "OAUTHBEARER", token_for(other.name, os.time() - 10))
    assert.is_nil(session)
    assert.equal("auth", err.kind)
  end)
end)

describe("Dovecot and ANONYMOUS", function()
  for _, protocol in ipairs { "imap", "pop3" } do
    real(protocol .. " lets anybody in who asks by that name, and nobody who does not", function()
      local guest = dovecot:add_user()
      local session = assert(connect(protocol, { name = "ann@example.test" }, "ANONYMOUS"))
      session:close()
      local err
      session, err = connect(protocol, guest, nil, nil, nil, "wrong")
      assert.is_nil(session)
      assert.equal("auth", err.kind)
    end)
  end
end)

describe("Cyrus", function()
  for _, mechanism in ipairs { "NTLM", "SCRAM-SHA-512" } do
    for _, protocol in ipairs { "imap", "pop3" } do
      given(cyrus, no_cyrus)(("%s takes %s, and not with a wrong password"):format(protocol, mechanism), function()
        local user = cyrus:add_user()
        local session = assert(connect(protocol, user, mechanism, nil, cyrus, user.password))
        session:close()
        local err
        session, err = connect(protocol, user, mechanism, nil, cyrus, "wrong")
        assert.is_nil(session)
        assert.equal("auth", err.kind)
      end)
    end
  end
end)
