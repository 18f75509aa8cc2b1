-- mail.oauth2, and what it stands on: mail.http, mail.json, signatures.
local mail = require "mail"
local Err = require "mail.err"
local core = require "mail.core"
local http = require "mail.http"
local https = require "spec.support.https"
local json = require "mail.json"
local loop = require "mail.loop"
local scripted = require "spec.support.scripted"
local servers = require "spec.servers"
local child = require "spec.support.child"

local function certificates()
  local made, why = servers.certificates()
  if not made then pending(why) end
  return made
end

-- Runs `client(server, certificates)` beside an HTTPS server.
local function with(respond, client, name)
  local made = certificates()
  if not made then return end
  return loop.run(function()
    local server = https.serve(made[name or "good"], respond)
    client(server, made)
    server:close()
  end)
end

local function unescape(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- The form in a request's body.
local function form(request)
  local fields = {}
  for name, value in request.body:gmatch "([^&=]+)=([^&]*)" do fields[unescape(name)] = unescape(value) end
  return fields
end

local function token_reply(token, more)
  return 200, ('{"access_token":"%s","token_type":"Bearer"%s}'):format(token, more or ',"expires_in":3600')
end

describe("mail.oauth2", function()
  it("turns a refresh token into access tokens, and keeps them", function()
    local seen
    with(function(request, number)
      seen = request
      return token_reply("tok" .. number)
    end, function(server, made)
      local token = mail.oauth2 { token_url = server.url .. "/token", client_id = "me", client_secret = "s&cret",
        refresh_token = "r/1", scope = { "a", "b" }, extra = { resource = "x" }, ssl = { ca_file = made.ca_file } }
      assert.equal("tok1", token())
      assert.equal("POST /token HTTP/1.1", seen.line)
      assert.equal("application/x-www-form-urlencoded", seen.headers["content-type"])
      assert.equal("localhost:" .. server.port, seen.headers.host)
      assert.same({ grant_type = "refresh_token", refresh_token = "r/1", client_id = "me", client_secret = "s&cret",
        scope = "a b", resource = "x" }, form(seen))
      assert.equal("tok1", token())
      assert.equal("tok1", token:token())
      assert.equal(1, server.served)
      assert.equal("tok2", token(true))
      assert.equal("tok2", token())
      token:forget()
      assert.equal("tok3", token())
      assert.equal("mail.oauth2 (localhost)", tostring(token))
    end)
  end)

  it("renews a token shortly before it expires", function()
    with(function(_, number) return token_reply("tok" .. number, ',"expires_in":1') end, function(server, made)
      local token = mail.oauth2 { token_url = server.url, client_id = "me", client_secret = "x",
        ssl = { ca_file = made.ca_file } }
      assert.equal("tok1", token())
      while token() == "tok1" do loop.sleep(0.05) end
      assert.equal("tok2", token())
    end)
  end)

  it("has one request under way for many coroutines", function()
    with(function(_, number)
      loop.sleep(0.05)
      return token_reply("tok" .. number)
    end, function(server, made)
      local token = mail.oauth2 { token_url = server.url, client_id = "me", client_secret = "x",
        ssl = { ca_file = made.ca_file } }
      for round = 1, 2 do
        local tasks, got = {}, {}
        for i = 1, 20 do
          tasks[i] = loop.spawn(function()
            got[i] = token()
            if round == 1 then return end
            loop.sleep(0.01) -- all of them have it, and all of them are refused
            got[i] = token(true)
          end)
        end
        for i = 1, 20 do tasks[i]:join() end
        for i = 1, 20 do assert.equal("tok" .. round, got[i]) end
      end
      assert.equal(2, server.served)
    end)
  end)

  it("takes the new refresh token that an endpoint gives", function()
    local told = {}
    with(function(request, number)
      return token_reply("tok", (',"refresh_token":"%s%d"'):format(form(request).refresh_token, number))
    end, function(server, made)
      local token = mail.oauth2 { token_url = server.url, refresh_token = "r", ssl = { ca_file = made.ca_file },
        on_refresh_token = function(fresh) told[#told + 1] = fresh end }
      token()
      token(true)
      assert.same({ "r1", "r12" }, told)
    end)
  end)

  it("proves the client by Basic where it is told to", function()
    local seen
    with(function(request)
      seen = request
      return token_reply "tok"
    end, function(server, made)
      local token = mail.oauth2 { token_url = server.url, client_id = "me:2", client_secret = "s c",
        client_auth = "basic", ssl = { ca_file = made.ca_file } }
      assert.equal("tok", token())
      assert.equal("Basic " .. core.base64 "me%3A2:s%20c", seen.headers.authorization)
      assert.same({ grant_type = "client_credentials" }, form(seen))
    end)
  end)

  it("says what the endpoint said, and no secret", function()
    local replies = {
      { 400, '{"error":"invalid_grant","error_description":"Token r-secret\\nrevoked"}', "invalid_grant", false },
      { 401, '{"error":"invalid_client"}', "invalid_client", false },
      { 503, "<html>", nil, true },
      { 429, '{"error":"slow_down"}', "slow_down", true },
      { 302, "", nil, false },
    }
    with(function(_, number) return replies[number][1], replies[number][2] end, function(server, made)
      local token = mail.oauth2 { token_url = server.url, client_id = "me", client_secret = "c-secret",
        refresh_token = "r-secret", ssl = { ca_file = made.ca_file } }
      for i, reply in ipairs(replies) do
        local none, err = token()
        assert.is_nil(none)
        assert.is_true(Err.is(err))
        assert.equal("auth", err.kind)
        assert.equal(reply[3], err.error)
        assert.equal(reply[4], err.temporary)
        assert.is_nil((tostring(err) .. (err.text or "")):find("secret", 1, true), i)
        assert.is_nil(tostring(err):find "%c")
      end
      assert.equal(5, server.served)
    end)
  end)

  it("refuses answers that are none", function()
    local replies = { "{}", "[", '{"access_token":5}', '{"access_token":"a b"}', '{"access_token":"a\\r\\nb"}',
      ('['):rep(5000), '{"access_token":"' .. ("x"):rep(2000000) .. '"}' }
    with(function(_, number) return 200, replies[number] end, function(server, made)
      local token = mail.oauth2 { token_url = server.url, refresh_token = "r", ssl = { ca_file = made.ca_file } }
      for i = 1, #replies do
        local none, err = token()
        assert.is_nil(none)
        assert.equal(i == #replies and "limit" or "protocol", err.kind)
      end
    end)
  end)

  it("trusts no certificate that is not good", function()
    for _, name in ipairs { "expired", "wrong_host", "self_signed", "foreign" } do
      with(function() return token_reply "tok" end, function(server, made)
        local token = mail.oauth2 { token_url = server.url, refresh_token = "r", ssl = { ca_file = made.ca_file } }
        local none, err = token()
        assert.is_nil(none)
        assert.equal("tls", err.kind)
      end, name)
    end
  end)

  it("gives up in time, and fails where nobody listens", function()
    with(function()
      loop.sleep(0.5)
      return token_reply "tok"
    end, function(server, made)
      local token = mail.oauth2 { token_url = server.url, refresh_token = "r", timeout = 0.1,
        ssl = { ca_file = made.ca_file } }
      local none, err = token()
      assert.is_nil(none)
      assert.equal("timeout", err.kind)
    end)
    local token = mail.oauth2 { token_url = "https://127.0.0.1:1/", refresh_token = "r" }
    local none, err = token()
    assert.is_nil(none)
    assert.equal("connect", err.kind)
  end)

  it("signs assertions with a key, as a service account or as a client", function()
    local made = certificates()
    if not made then return end
    local folder = made.folder
    child.shell(("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out %s/oauth_ec.key && "
      .. "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out %s/oauth_rsa.key"):format(folder, folder))
    local seen
    with(function(request)
      seen = form(request)
      return token_reply "tok"
    end, function(server)
      local pem = assert(io.open(folder .. "/oauth_rsa.key")):read "*a"
      local account = mail.oauth2 { service_account = { client_email = "robot@x", private_key = pem,
        private_key_id = "k1", token_uri = server.url .. "/t" }, scope = "s", subject = "ann@x",
        ssl = { ca_file = made.ca_file } }
      assert.equal("tok", account())
      assert.equal("urn:ietf:params:oauth:grant-type:jwt-bearer", seen.grant_type)
      local head, body, signature = seen.assertion:match "^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$"
      assert.is_string(signature)
      local function decoded(text)
        local standard = text:gsub("[-_]", { ["-"] = "+", ["_"] = "/" })
        local _, out = child.shell(("printf %%s '%s' | base64 -d"):format(standard .. ("="):rep(-#standard % 4)))
        return out
      end
      assert.same({ alg = "RS256", typ = "JWT", kid = "k1" }, json.decode_strictly(decoded(head)))
      local claims = json.decode_strictly(decoded(body))
      assert.equal("robot@x", claims.iss)
      assert.equal("ann@x", claims.sub)
      assert.equal("s", claims.scope)
      assert.equal(server.url .. "/t", claims.aud)
      assert.equal(3600, claims.exp - claims.iat)
      local client = mail.oauth2 { token_url = server.url, client_id = "app", key = folder .. "/oauth_ec.key",
        algorithm = "ES256", thumbprint = "print", ssl = { ca_file = made.ca_file } }
      assert.equal("tok", client())
      assert.equal("client_credentials", seen.grant_type)
      assert.equal("urn:ietf:params:oauth:client-assertion-type:jwt-bearer", seen.client_assertion_type)
      assert.equal("app", seen.client_id)
      local wrong = mail.oauth2 { token_url = server.url, client_id = "app", key = folder .. "/oauth_ec.key",
        ssl = { ca_file = made.ca_file } }
      local none, err = wrong()
      assert.is_nil(none)
      assert.equal("auth", err.kind)
      assert.matches("RS256 needs an RSA key", err.message)
    end)
  end)

  it("uses the host's HTTP client where it is given", function()
    local asked
    local token = mail.oauth2 { provider = "google", client_id = "me", client_secret = "x", refresh_token = "r",
      http = function(request)
        asked = request
        return { status = 200, body = '{"access_token":"tok","expires_in":10}' }
      end }
    assert.equal("tok", token())
    assert.equal("https://oauth2.googleapis.com/token", asked.url)
    assert.equal("POST", asked.method)
    assert.matches("scope=https%%3A%%2F%%2Fmail.google.com%%2F", asked.body)
    local broken = mail.oauth2 { provider = "microsoft", tenant = "t", client_id = "me", client_secret = "hidden",
      http = function(request)
        asked = request
        return nil, "no route for hidden"
      end }
    local none, err = broken()
    assert.is_nil(none)
    assert.equal("connect", err.kind)
    assert.is_nil(tostring(err):find("hidden", 1, true))
    assert.equal("https://login.microsoftonline.com/t/oauth2/v2.0/token", asked.url)
    assert.matches("scope=https%%3A%%2F%%2Foutlook.office365.com%%2F.default", asked.body)
  end)

  it("raises for options that make no sense, at the caller's line", function()
    for _, bad in ipairs { {}, { token_url = "https://x/" }, { token_url = "http://x/", refresh_token = "r" },
      { provider = "aol", refresh_token = "r" }, { token_url = "ftp://x/", refresh_token = "r" }, { tok = 1 },
      { token_url = "https://a@x/", refresh_token = "r" },
      { token_url = "https://x/", client_id = "a", key = "/nowhere" },
      { token_url = "https://x/", refresh_token = "r", client_auth = "digest" } } do
      local ok, why = pcall(function() return (mail.oauth2(bad)) end)
      assert.is_false(ok)
      assert.matches("oauth2_spec%.lua:%d+: oauth2: ", why)
    end
  end)

  it("logs in: a token that the mail server refuses is renewed once", function()
    local made = certificates()
    if not made then return end
    with(function(_, number) return token_reply("tok" .. number) end, function(server)
      local tokens = {}
      local smtp_server = scripted.serve(function(peer)
        peer:send "220 mx\r\n"
        peer:expect "^EHLO"
        peer:send "250-mx\r\n250 AUTH XOAUTH2\r\n"
        while true do
          local line = peer:line()
          if not line then return end
          local initial = line:match "^AUTH XOAUTH2 (.+)$"
          if initial then
            tokens[#tokens + 1] = initial
            if #tokens == 1 then
              peer:send("334 " .. core.base64 '{"status":"401"}' .. "\r\n")
              peer:line()
              peer:send "535 5.7.8 stale\r\n"
            else
              peer:send "235 ok\r\n"
            end
          else
            peer:send "250 ok\r\n"
          end
        end
      end)
      local token = mail.oauth2 { token_url = server.url, refresh_token = "r", ssl = { ca_file = made.ca_file } }
      local smtp = assert(mail.smtp.connect { host = "127.0.0.1", port = smtp_server.port, tls = "none", user = "ann",
        token = token, allow_plaintext_login = true, timeout = 10 })
      smtp:close()
      assert.same({ core.base64 "user=ann\1auth=Bearer tok1\1\1", core.base64 "user=ann\1auth=Bearer tok2\1\1" },
        tokens)
    end)
  end)
end)

-- A loop whose clock jumps over pauses of half a second and more: `slept` has them.
local function fast_loop()
  local native, offset, slept = loop.native, 0, {}
  local host = { name = "fast clock", wait = native.wait, forget = native.forget, sleep = native.sleep,
    spawn = native.spawn }
  function host.now() return native.now() + offset end
  function host.event()
    local event = native.event()
    return { set = function() event:set() end, wait = function(_, seconds)
      if not seconds or seconds < 0.5 then return event:wait(seconds) end
      slept[#slept + 1], offset = seconds, offset + seconds
      event:wait(0) -- others have their turn
      return nil, "timeout"
    end }
  end
  return host, slept
end

describe("mail.oauth2.device", function()
  local CODE = '{"device_code":"d-secret","user_code":"WDJB-MJHT","verification_uri":"https://x.example/device",'
    .. '"verification_uri_complete":"https://x.example/device?user_code=WDJB-MJHT","expires_in":1800%s}'

  -- The grant against a server that answers the n-th poll with polls[n] = { status, body }.
  local function run(polls, more, client, code)
    local state = { polls = {}, shown = {}, refreshed = {} }
    with(function(request)
      if request.line:find "^POST /code " then
        state.asked = form(request)
        return 200, code or CODE:format(more and more.interval and ',"interval":' .. more.interval or "")
      end
      local fields = form(request)
      if fields.grant_type == "refresh_token" then
        state.refreshed[#state.refreshed + 1] = fields.refresh_token
        return token_reply("renewed", ',"refresh_token":"r-second"')
      end
      state.polls[#state.polls + 1] = fields
      local reply = polls[#state.polls] or polls[#polls]
      return reply[1], reply[2]
    end, function(server, made)
      local host, slept = fast_loop()
      state.slept, state.told = slept, {}
      local options = { device_url = server.url .. "/code", token_url = server.url .. "/token", client_id = "me",
        scope = { "a", "b" }, ssl = { ca_file = made.ca_file }, loop = host,
        prompt = function(shown) state.shown[#state.shown + 1] = shown end,
        on_refresh_token = function(fresh) state.told[#state.told + 1] = fresh end }
      for name, value in pairs(more and more.options or {}) do options[name] = value end
      local token, err = mail.oauth2.device(options)
      client(token, err, state)
    end)
  end

  local function says(name, text)
    return { 400, ('{"error":"%s","error_description":"%s"}'):format(name, text or "") }
  end
  local PENDING, SLOW = says "authorization_pending", says "slow_down"
  local GOOD = { 200, '{"access_token":"tok1","expires_in":3600,"refresh_token":"r-first"}' }

  it("shows the code, asks as often as it may, and is a source of tokens then", function()
    run({ PENDING, SLOW, PENDING, SLOW, PENDING, GOOD }, nil, function(token, err, state)
      assert.is_nil(err)
      assert.same({ client_id = "me", scope = "a b" }, state.asked)
      assert.same({ { user_code = "WDJB-MJHT", verification_uri = "https://x.example/device", expires_in = 1800,
        verification_uri_complete = "https://x.example/device?user_code=WDJB-MJHT" } }, state.shown)
      assert.same({ 5, 5, 10, 10, 15, 15 }, state.slept)
      assert.equal(6, #state.polls)
      for _, fields in ipairs(state.polls) do
        assert.same({ grant_type = "urn:ietf:params:oauth:grant-type:device_code", device_code = "d-secret",
          client_id = "me" }, fields)
      end
      assert.equal("tok1", token())
      assert.same({ "r-first" }, state.told)
      assert.equal("renewed", token(true))
      assert.same({ "r-first", "r-second" }, state.told)
      assert.equal("renewed", token(true))
      assert.same({ "r-first", "r-second" }, state.refreshed)
      assert.equal("mail.oauth2 (localhost)", tostring(token))
    end)
  end)

  it("keeps to the server's own interval", function()
    run({ PENDING, GOOD }, { interval = 0.75 }, function(token, _, state)
      assert.equal("tok1", token())
      assert.same({ 0.75, 0.75 }, state.slept)
    end)
    run({ PENDING, GOOD }, { interval = 0 }, function(token, _, state)
      assert.equal("tok1", token())
      assert.same({}, state.slept)
    end)
    run({ GOOD }, { interval = -1 }, function(_, _, state) assert.same({ 5 }, state.slept) end)
    run({ GOOD }, { interval = '"7"' }, function(_, _, state) assert.same({ 7 }, state.slept) end)
  end)

  it("asks a server that has trouble at half the pace each time", function()
    run({ { 503, "<html>" }, { 429, "" }, PENDING, GOOD }, nil, function(token, _, state)
      assert.equal("tok1", token())
      assert.same({ 5, 10, 20, 20 }, state.slept)
    end)
  end)

  it("ends where the user says no, or the code is over", function()
    for _, name in ipairs { "access_denied", "expired_token", "invalid_grant" } do
      run({ PENDING, says(name, "no, d-secret") }, nil, function(token, err, state)
        assert.is_nil(token)
        assert.same({ "auth", name, false, "no, ***" }, { err.kind, err.error, err.temporary, err.text })
        assert.is_nil(tostring(err):find("d-secret", 1, true))
        assert.equal(2, #state.polls)
      end)
    end
    run({ PENDING }, nil, function(token, err, state)
      assert.is_nil(token)
      assert.same({ "auth", "expired_token", false }, { err.kind, err.error, err.temporary })
      assert.is_true(#state.polls <= 11) -- 60 seconds, 5 between two; the requests themselves take time, too
      assert.is_true(#state.polls >= 6)
      for _, pause in ipairs(state.slept) do assert.is_true(pause <= 5) end
    end, (CODE:gsub("1800", "60"):format("")))
  end)

  it("refuses answers that are none, and shows nobody what is no address", function()
    for _, code in ipairs { "{}", "[", '{"device_code":"d","user_code":"u","expires_in":9}',
      '{"device_code":"d","user_code":"u","verification_uri":"javascript:alert(1)","expires_in":9}',
      '{"device_code":"d","user_code":"u\\u001b[2J","verification_uri":"https://x","expires_in":9}',
      '{"device_code":"d","user_code":"u","verification_uri":"https://x\\n","expires_in":9}',
      '{"device_code":"d","user_code":"u","verification_uri":"https://x"}',
      '{"device_code":"d\\r","user_code":"u","verification_uri":"https://x","expires_in":9}',
      '{"device_code":5,"user_code":"u","verification_uri":"https://x","expires_in":9}' } do
      run({ GOOD }, nil, function(token, err, state)
        assert.is_nil(token, code)
        assert.equal("protocol", err.kind)
        assert.same({}, state.shown)
      end, code)
    end
    run({ { 200, '{"token_type":"Bearer"}' } }, nil, function(token, err)
      assert.is_nil(token)
      assert.equal("protocol", err.kind)
    end)
  end)

  it("without a refresh token lasts as long as the first token, and says why it ends", function()
    run({ { 200, '{"access_token":"tok1","expires_in":3600}' } }, nil, function(token, _, state)
      assert.equal("tok1", token())
      assert.same({}, state.told)
      local none, err = token(true)
      assert.is_nil(none)
      assert.equal("auth", err.kind)
      assert.matches("no refresh token", err.message)
    end)
  end)

  it("trusts no certificate that is not good, and is ended by a cancel", function()
    with(function() return 200, CODE:format "" end, function(server, made)
      local token, err = mail.oauth2.device { device_url = server.url, token_url = server.url, client_id = "me",
        prompt = error, ssl = { ca_file = made.foreign_ca_file } }
      assert.same({ nil, "tls" }, { token, err.kind })
      local shown, kind
      local task = loop.spawn(function()
        local _, why = mail.oauth2.device { device_url = server.url, token_url = server.url, client_id = "me",
          prompt = function() shown = true end, ssl = { ca_file = made.ca_file } }
        kind = why.kind
      end)
      while not shown do loop.sleep(0.005) end
      loop.sleep(0)
      task:cancel()
      task:join()
      assert.equal("cancelled", kind)
    end)
  end)

  it("has the addresses of the large providers, and takes the host's HTTP client", function()
    for provider, urls in pairs {
      google = { "https://oauth2.googleapis.com/device/code", "https://oauth2.googleapis.com/token" },
      microsoft = { "https://login.microsoftonline.com/common/oauth2/v2.0/devicecode",
        "https://login.microsoftonline.com/common/oauth2/v2.0/token" },
    } do
      local asked, shown = {}, nil
      local token = assert(mail.oauth2.device { provider = provider, client_id = "me", client_secret = "x",
        prompt = function(what) shown = what end, http = function(request)
          asked[#asked + 1] = request.url
          if #asked == 2 then return { status = 200, body = '{"access_token":"tok"}' } end
          return { status = 200, body = '{"device_code":"d","user_code":"u","verification_url":"https://g.example",'
            .. '"expires_in":60,"interval":0,"message":"go\\nthere"}' }
        end })
      assert.equal("tok", token())
      assert.same(urls, asked)
      assert.equal("https://g.example", shown.verification_uri)
      assert.equal("go there", shown.message)
    end
  end)

  it("raises for options that make no sense, at the caller's line", function()
    for _, bad in ipairs { {}, { client_id = "a" }, { provider = "google", client_id = "a" },
      { provider = "google", client_id = "a", prompt = print, refresh_token = "r" },
      { token_url = "https://x/", client_id = "a", prompt = print },
      { token_url = "https://x/", device_url = "http://x/", client_id = "a", prompt = print } } do
      local ok, why = pcall(function() return (mail.oauth2.device(bad)) end)
      assert.is_false(ok)
      assert.matches("oauth2_spec%.lua:%d+: oauth2", why)
    end
  end)
end)

describe("mail.oauth2.authorization_url", function()
  local function query(url)
    local fields = {}
    for name, value in url:match "%?(.*)$":gmatch "([^&=]+)=([^&]*)" do fields[unescape(name)] = unescape(value) end
    return fields
  end

  it("has a new proof key and a new state each time", function()
    local seen = {}
    for _ = 1, 20 do
      local url, verifier, state = mail.oauth2.authorization_url { authorize_url = "https://x.example/auth?a=b",
        client_id = "me", redirect_uri = "http://127.0.0.1:8000/back", scope = { "a", "b c" }, login_hint = "ann@x" }
      assert.matches("^https://x%.example/auth%?a=b&response_type=code&", url)
      assert.matches("^[%w_-]+$", verifier)
      assert.is_true(#verifier >= 43 and #verifier <= 128 and #state >= 22)
      assert.is_nil(url:find(verifier, 1, true))
      assert.is_nil(seen[verifier] or seen[state])
      seen[verifier], seen[state] = true, true
      local endpoint = require "mail.oauth2.endpoint"
      assert.same({ a = "b", response_type = "code", client_id = "me", redirect_uri = "http://127.0.0.1:8000/back",
        scope = "a b c", state = state, code_challenge = endpoint.base64url(core.sha256(verifier)),
        code_challenge_method = "S256", login_hint = "ann@x" }, query(url))
      assert.equal("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", -- RFC 7636, appendix B
        endpoint.base64url(core.sha256 "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
    end
  end)

  it("knows the large providers", function()
    local url = mail.oauth2.authorization_url { provider = "google", client_id = "me", redirect_uri = "app:/back",
      state = "mine" }
    assert.matches("^https://accounts%.google%.com/o/oauth2/v2/auth%?", url)
    assert.equal("offline", query(url).access_type)
    assert.equal("https://mail.google.com/", query(url).scope)
    assert.equal("mine", query(url).state)
    url = mail.oauth2.authorization_url { provider = "microsoft", tenant = "t", client_id = "me",
      redirect_uri = "http://localhost", extra = { prompt = "select_account" } }
    assert.matches("^https://login%.microsoftonline%.com/t/oauth2/v2%.0/authorize%?", url)
    assert.matches("SMTP%.Send offline_access$", query(url).scope)
    assert.equal("select_account", query(url).prompt)
    for _, bad in ipairs { {}, { client_id = "a", redirect_uri = "b" },
      { client_id = "a", redirect_uri = "b", authorize_url = "http://x/" },
      { client_id = "a", redirect_uri = "b", authorize_url = "https://x/#f" } } do
      local ok, why = pcall(function() return (mail.oauth2.authorization_url(bad)) end)
      assert.is_false(ok)
      assert.matches("oauth2_spec%.lua:%d+: oauth2", why)
    end
  end)
end)

describe("mail.oauth2.exchange", function()
  it("turns the code that came back into a source of tokens", function()
    local seen, told = {}, {}
    with(function(request, number)
      seen[number] = form(request)
      return token_reply("tok" .. number, (',"refresh_token":"r%d","expires_in":3600'):format(number))
    end, function(server, made)
      local options = { token_url = server.url, client_id = "me", client_secret = "s", verifier = "v",
        redirect_uri = "http://127.0.0.1/b", redirected = "http://127.0.0.1/b?state=s%2B1&code=c%2F1#x", state = "s+1",
        ssl = { ca_file = made.ca_file }, on_refresh_token = function(fresh) told[#told + 1] = fresh end }
      local token = assert(mail.oauth2.exchange(options))
      assert.equal("tok1", token())
      assert.same({ grant_type = "authorization_code", code = "c/1", redirect_uri = "http://127.0.0.1/b",
        code_verifier = "v", client_id = "me", client_secret = "s" }, seen[1])
      assert.equal("tok2", token(true))
      assert.same({ grant_type = "refresh_token", refresh_token = "r1", client_id = "me", client_secret = "s" },
        seen[2])
      assert.same({ "r1", "r2" }, told)
      options.redirected, options.code = nil, "c2"
      assert.equal("tok3", assert(mail.oauth2.exchange(options))())
      assert.equal("c2", seen[3].code)
    end)
  end)

  it("asks nobody where what came back is not the answer", function()
    with(function() return token_reply "tok" end, function(server, made)
      for back, words in pairs {
        ["http://x/?code=c&state=other"] = "state", ["http://x/?code=c"] = "state", ["http://x/"] = "state",
        ["http://x/?state=mine"] = "no code", ["http://x/?state=mine&code="] = "no code",
        ["http://x/?state=mine&error=access_denied&error_description=not+v-secret"] = "access_denied: not %*%*%*",
      } do
        local token, err = mail.oauth2.exchange { token_url = server.url, client_id = "me", verifier = "v-secret",
          redirect_uri = "http://x/", redirected = back, state = "mine", ssl = { ca_file = made.ca_file } }
        assert.is_nil(token)
        assert.equal("auth", err.kind)
        assert.matches(words, err.message)
      end
      assert.equal(0, server.served)
    end)
  end)

  it("says what the endpoint said, and no secret", function()
    with(function(request)
      local fields = form(request)
      return 400, ('{"error":"invalid_grant","error_description":"%s %s %s"}'):format(fields.code, fields.code_verifier,
        fields.client_secret)
    end, function(server, made)
      local token, err = mail.oauth2.exchange { token_url = server.url, client_id = "me", client_secret = "c-secret",
        verifier = "v-secret", redirect_uri = "http://x/", code = "k-secret", ssl = { ca_file = made.ca_file } }
      assert.is_nil(token)
      assert.same({ "auth", "invalid_grant", "*** *** ***", false }, { err.kind, err.error, err.text, err.temporary })
    end)
    for _, bad in ipairs { { code = "a", redirected = "b", state = "c" }, {}, { redirected = "b" } } do
      bad.provider, bad.client_id, bad.verifier, bad.redirect_uri = "google", "me", "v", "http://x/"
      local ok, why = pcall(function() return (mail.oauth2.exchange(bad)) end)
      assert.is_false(ok)
      assert.matches("oauth2_spec%.lua:%d+: oauth2", why)
    end
  end)
end)

describe("mail.http", function()
  -- The answer of a server that says `text`, fed `step` octets at a time.
  local function read(text, most, step)
    local at = 1
    return http.read(function()
      if at > #text then return "end", false end
      local piece = text:sub(at, at + (step or #text) - 1)
      at = at + (step or #text)
      return "data", piece
    end, most)
  end

  it("reads every kind of body, in pieces of every size", function()
    local bodies = {
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\n\r\nhello",
      "HTTP/1.0 200 OK\nX: y\n\nhello",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: x\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    }
    for _, text in ipairs(bodies) do
      for _, step in ipairs { 1, 2, 7, 1000 } do
        local answer = assert(read(text, nil, step))
        assert.equal(200, answer.status)
        assert.equal("hello", answer.body)
      end
    end
    assert.equal("", assert(read "HTTP/1.1 204 None\r\n\r\n").body)
  end)

  it("refuses what is cut off, too long or ambiguous", function()
    local cases = {
      { "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", "closed" },
      { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello", "closed" },
      { "HTTP/1.1 200 OK\r\nContent-Len", "closed" },
      { "", "closed" },
      { "SSH-2.0-x\r\n", "protocol" },
      { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "protocol" },
      { "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", "protocol" },
      { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "protocol" },
      { "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n", "protocol" },
      { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "protocol" },
      { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n", "limit" },
      { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", "limit" },
      { "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n", "limit" },
      { "HTTP/1.1 200 OK\r\n\r\n" .. ("x"):rep(101), "limit" },
      { "HTTP/1.1 200 OK\r\nX: " .. ("x"):rep(70000), "limit" },
      { "HTTP/1.1 200 OK\r\n" .. ("X: y\r\n"):rep(20000), "limit" },
      { "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "protocol" },
      { ("HTTP/1.1 100 Continue\r\n\r\n"):rep(11), "protocol" },
    }
    for i, case in ipairs(cases) do
      local none, err = read(case[1], 100)
      assert.is_nil(none, i)
      assert.equal(case[2], err.kind, i .. ": " .. tostring(err))
    end
    local none, err = http.read(function()
      return "end", true
    end)
    assert.is_nil(none)
    assert.equal("closed", err.kind)
  end)

  it("lets nothing into a request that would be two", function()
    for _, bad in ipairs { { url = "https://x\r\n/" }, { url = "https://x/ y" }, { url = "https://u:p@x/" },
      { url = "https://x/", headers = { A = "b\r\nC: d" } }, { url = "https://x/", headers = { ["A b"] = "c" } } } do
      assert.is_false((pcall(http.request, bad)))
    end
  end)
end)

describe("mail.json", function()
  it("reads what is JSON", function()
    local value = assert(json.decode_strictly
      ' {"a":[1,-2.5e1,true,false,null],"b":{"c":"\\u00e4\\n\\ud83d\\ude00\\/"},"d":""} ')
    assert.same({ 1, -25, true, false }, value.a)
    assert.equal("\195\164\n\240\159\152\128/", value.b.c)
    assert.equal("", value.d)
    assert.same({}, json.decode_strictly "{}")
    assert.same({ "x" }, json.decode '["x"]')
  end)

  it("refuses what is not", function()
    for _, text in ipairs { "", "5", "{", "[1,]", '{"a"}', '{"a":}', "{a:1}", "[01]", "[1.]", "[.5]", "[+1]", "[1e]",
      '["\1"]', '["\\x"]', '["\\u12"]', '["\\ud800"]', '["\\udc00"]', '["a]', "[nul]", "[1] x", "[tru]",
      ("["):rep(40) .. ("]"):rep(40) } do
      local none, why = json.decode_strictly(text)
      assert.is_nil(none, text)
      assert.matches("JSON", why)
    end
  end)
end)
