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
