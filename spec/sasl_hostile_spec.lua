-- Servers that lie within SASL, by SMTP, POP3 and IMAP alike: nothing but a proof makes a log-in, nothing but "*"
-- answers nonsense, and no secret is told (the SASL rows of the attacks).

local core = require "mail.core"
local mail = require "mail"
local scripted = require "spec.support.scripted"

-- How each protocol says it: the opening up to AUTH, a challenge, a verdict. An IMAP verdict wants the tag.
local PROTOCOLS = {
  smtp = {
    open = function(peer, mechanism)
      peer:send "220 mx.example.org\r\n"
      peer:expect "^EHLO "
      peer:send("250-mx.example.org\r\n250 AUTH " .. mechanism .. "\r\n")
    end,
    ask = "334 ", yes = "235 2.7.0 in", no = "535 5.7.8 no",
  },
  pop3 = {
    open = function(peer, mechanism)
      peer:send "+OK\r\n"
      peer:expect "^CAPA"
      peer:send("+OK\r\nSASL " .. mechanism .. "\r\n.\r\n")
    end,
    ask = "+ ", yes = "+OK in", no = "-ERR [AUTH] no",
  },
  imap = {
    open = function(peer, mechanism)
      peer:send("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=" .. mechanism .. "] hi\r\n")
    end,
    ask = "+ ", yes = "%s OK [CAPABILITY IMAP4rev1] in", no = "%s NO [AUTHENTICATIONFAILED] no",
  },
}

-- A log-in at a server which says what `script(say, hear)` makes it say. What the client said, first line first.
local function login(protocol, mechanism, options, script)
  local how, said = PROTOCOLS[protocol], {}
  local session, err
  scripted.run(function(peer)
    how.open(peer, mechanism)
    local tag = ""
    local function hear()
      local line = peer:line()
      said[#said + 1] = line
      if #said == 1 and line then tag = line:match "^%S+" end
      return line
    end
    local function say(what, text)
      local words = how[what]
      return peer:send((what == "ask" and words .. text or words:format(tag)) .. "\r\n")
    end
    hear()
    script(say, hear, said, peer)
    if peer.conn:fd() then peer:rest() end
  end, function(port)
    local o = { host = "127.0.0.1", port = port, tls = "none", allow_plaintext_login = true, user = "ann",
      password = "hunter2", mechanism = mechanism, timeout = 5 }
    for name, value in pairs(options or {}) do o[name] = value end
    session, err = mail[protocol].connect(o)
    if session then session:close() end
  end)
  if err then
    local text = tostring(err) .. tostring(err.text) .. tostring(err.challenge)
    assert.is_nil(text:find("hunter2", 1, true))
    assert.is_nil(text:find(core.base64 "hunter2", 1, true))
  end
  return session, err, said
end

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function unbase64(text)
  local bits, n, out = 0, 0, {}
  for c in text:gmatch "[%w+/]" do
    bits, n = bits * 64 + ALPHABET:find(c, 1, true) - 1, n + 6
    if n >= 8 then
      n = n - 8
      local low = bits % 2 ^ n
      out[#out + 1] = string.char((bits - low) / 2 ^ n)
      bits = low
    end
  end
  return table.concat(out)
end

-- The client's first message, which is the last word of its first line.
local function first_of(said) return unbase64(said[1]:match "%S+$") end

-- What SCRAM's server may say first, made of the client's nonce; each is answered by "*".
local FIRST = {
  ["a foreign nonce"] = "r=foreign,s=c2FsdA==,i=4096",
  ["no more than our nonce"] = "r=%s,s=c2FsdA==,i=4096",
  ["our nonce behind something"] = "r=x%s,s=c2FsdA==,i=4096",
  ["an extension that must be known"] = "m=x,r=%sx,s=c2FsdA==,i=4096",
  ["one iteration"] = "r=%sx,s=c2FsdA==,i=1",
  ["4095 iterations"] = "r=%sx,s=c2FsdA==,i=4095",
  ["no iterations"] = "r=%sx,s=c2FsdA==,i=0",
  ["2^31 iterations"] = "r=%sx,s=c2FsdA==,i=2147483648",
  ["2^64 and one iterations"] = "r=%sx,s=c2FsdA==,i=18446744073709551617",
  ["iterations below zero"] = "r=%sx,s=c2FsdA==,i=-4096",
  ["iterations in hexadecimal"] = "r=%sx,s=c2FsdA==,i=0x1000",
  ["an empty salt"] = "r=%sx,s=,i=4096",
  ["a salt that is no base64"] = "r=%sx,s=c2Fs!,i=4096",
  ["no salt"] = "r=%sx,i=4096",
  ["its last message, first"] = "v=c2FsdA==",
  ["nothing"] = "",
  ["letters without values"] = "r,s,i",
  ["NULs"] = ("\0"):rep(64),
}

-- What is made of its last message, which was right; and what the client makes of that.
local LAST = {
  ["a signature with one bit wrong"] = function(text)
    local c = text:sub(3, 3)
    return "v=" .. (c == "A" and "B" or "A") .. text:sub(4)
  end,
  ["half a signature"] = function(text) return text:sub(1, 22) .. "==" end,
  ["a signature and more"] = function() return "v=" .. core.base64(("x"):rep(33)) end,
  ["an empty signature"] = function() return "v=" end,
  ["no signature"] = function() return "x=1" end,
  ["nothing"] = function() return "" end,
  ["a signature that is no base64"] = function() return "v=!" end,
}

for protocol in pairs(PROTOCOLS) do
  describe("SASL by " .. protocol .. " with a server that lies", function()
    for what, text in pairs(FIRST) do
      it("cancels SCRAM at " .. what, function()
        local session, err, said = login(protocol, "SCRAM-SHA-256", nil, function(say, hear, said)
          say("ask", core.base64((text:gsub("%%s", (first_of(said):match "r=(.*)$"))))) -- luacheck: ignore
          hear()
          say "no"
        end)
        assert.is_nil(session)
        assert.equal("auth", err.kind)
        assert.equal("*", said[2])
      end)
    end

    -- An honest server up to its last message, which `ending` sends.
    local function to_the_end(ending)
      return login(protocol, "SCRAM-SHA-256", nil, function(say, hear, said)
        local server = assert(core.sasl_server("SCRAM-SHA-256", {}))
        assert.equal("lookup", (server:receive(first_of(said))))
        local _, text = server:secret { password = "hunter2" }
        say("ask", core.base64(text))
        local turn
        turn, text = server:receive(unbase64(hear()))
        while turn == "more" do turn, text = server:more() end
        assert.equal("challenge", turn)
        ending(say, hear, text)
      end)
    end

    it("lets an honest one in", function()
      local session, err = to_the_end(function(say, hear, text)
        say("ask", core.base64(text))
        hear()
        say "yes"
      end)
      assert.is_nil(err)
      assert.is_userdata(session)
    end)

    for what, change in pairs(LAST) do
      it("believes no " .. what, function()
        local session, err, said = to_the_end(function(say, hear, text)
          say("ask", core.base64(change(text)))
          hear()
          say "yes"
        end)
        assert.is_nil(session)
        assert.is_true(err.kind == "auth" or err.kind == "protocol", err.kind)
        assert.equal("*", said[3])
      end)
    end

    it("believes no success without a proof", function()
      local session, err = to_the_end(function(say) say "yes" end)
      assert.is_nil(session)
      assert.equal("protocol", err.kind)
      session, err = login(protocol, "SCRAM-SHA-256", nil, function(say) say "yes" end)
      assert.is_nil(session)
      assert.equal("protocol", err.kind)
    end)

    it("tells what the server says of its refusal", function()
      local session, err = to_the_end(function(say, hear)
        say("ask", core.base64 "e=unknown-user")
        hear()
        say "no"
      end)
      assert.is_nil(session)
      assert.equal("auth", err.kind)
      assert.equal("unknown-user", err.challenge)
    end)

    it("has an end where challenges have none", function()
      for _, mechanism in ipairs { "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "PLAIN", "XOAUTH2" } do
        local session, err, said = login(protocol, mechanism, { token = "t0ken" }, function(say, hear)
          repeat say("ask", core.base64 "again") until not hear()
        end)
        assert.is_nil(session)
        assert.is_true(err.kind == "limit" or err.kind == "auth", err.kind)
        assert.is_true(#said < 40)
      end
    end)

    it("holds no challenge that is too large, whole or in the making", function()
      for _, mechanism in ipairs { "LOGIN", "CRAM-MD5", "DIGEST-MD5", "NTLM" } do
        local session, err = login(protocol, mechanism, nil, function(say)
          say("ask", core.base64(("x"):rep(70000)))
        end)
        assert.is_nil(session)
        assert.equal("limit", err.kind)
      end
    end)

    it("answers no challenge that is no base64", function()
      for _, text in ipairs { "!", "QQ=", "QUI=QUI=", "Q", "QQ==\0", "QUJD QUJD" } do
        local session, err, said = login(protocol, "CRAM-MD5", nil, function(say, hear)
          say("ask", text)
          hear()
          say "no"
        end)
        assert.is_nil(session)
        assert.is_true(err.kind == "auth" or err.kind == "protocol", err.kind)
        assert.is_true(said[2] == nil or said[2] == "*", said[2])
      end
    end)

    it("cancels DIGEST-MD5 and NTLM at what makes no sense", function()
      local type2 = "NTLMSSP\0\2\0\0\0" .. ("\255"):rep(8) .. "\1\2\0\0" .. "12345678" .. ("\0"):rep(8)
      for _, case in ipairs {
        { "DIGEST-MD5", "" }, { "DIGEST-MD5", "realm=x" }, { "DIGEST-MD5", 'nonce="unclosed' },
        { "DIGEST-MD5", 'nonce="a",nonce="b",algorithm=md5-sess' }, { "DIGEST-MD5", 'nonce="a",qop="auth-conf"' },
        { "DIGEST-MD5", 'nonce="a",algorithm=sha' },
        { "DIGEST-MD5", ("\0"):rep(300) }, { "DIGEST-MD5", (","):rep(9000) },
        { "NTLM", "" }, { "NTLM", "NTLMSSP\0" }, { "NTLM", "NTLMSSP\0\3\0\0\0" .. ("\0"):rep(60) },
        { "NTLM", type2 .. "\255\255\255\255\255\255\255\255" },
      } do
        local session, err = login(protocol, case[1], nil, function(say, hear)
          if case[1] == "NTLM" and case[2] ~= "" then
            say("ask", "")
            hear()
          end
          say("ask", core.base64(case[2]))
          hear()
          say "no"
        end)
        assert.is_nil(session)
        assert.equal("auth", err.kind)
      end
    end)

    it("believes no DIGEST-MD5 server that cannot prove itself", function()
      for _, answer in ipairs { "rspauth=00000000000000000000000000000000", "rspauth=", "", "stale=true" } do
        local session, err, said = login(protocol, "DIGEST-MD5", nil, function(say, hear)
          say("ask", core.base64 'realm="x",nonce="abc",qop="auth",charset=utf-8,algorithm=md5-sess')
          hear()
          say("ask", core.base64(answer))
          hear()
          say "yes"
        end)
        assert.is_nil(session)
        assert.is_true(err.kind == "auth" or err.kind == "protocol", err.kind)
        assert.equal("*", said[#said])
      end
    end)

    it("is no login where the line is cut, wherever", function()
      for rounds = 0, 1 do
        local session, err = login(protocol, "CRAM-MD5", nil, function(say, hear, _, peer)
          if rounds > 0 then
            say("ask", core.base64 "<1@x>")
            hear()
          end
          peer:close()
        end)
        assert.is_nil(session)
        assert.equal("closed", err.kind)
      end
    end)

    it("is cancelled by a mechanism of the user's own, with its words", function()
      local own = { name = "X-OWN", step = function() return nil, "not like this" end }
      local session, err, said = login(protocol, "X-OWN", { mechanism = own }, function(say, hear)
        say("ask", "")
        hear()
        say "no"
      end)
      assert.is_nil(session)
      assert.matches("not like this", err.message)
      assert.equal("*", said[2])
    end)
  end)
end
