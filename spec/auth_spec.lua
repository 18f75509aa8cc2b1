-- Which mechanism is chosen, and what is refused before anything is sent.

local auth = require "mail.auth"
local core = require "mail.core"
local mail = require "mail"
local servers = require "spec.servers"

local USER = { name = "USER", plaintext = true, offered = true }
local APOP = { name = "APOP", plaintext = false, offered = true, on_demand = true }

local function choose(offered, options, secure, pseudo)
  local set = {}
  for name in offered:gmatch "%S+" do set[name] = true end
  local name, err = auth.choose(set, options, { protocol = "pop3", secure = secure, pseudo = pseudo })
  return name or err.kind
end

describe("the choice of a mechanism", function()
  local with = { user = "ann", password = "secret" }

  it("is the strongest that both sides have", function()
    assert.equal("PLAIN", choose("LOGIN PLAIN X-NEW", with, true))
    assert.equal("LOGIN", choose("LOGIN X-NEW", with, true))
    assert.equal("PLAIN", choose("PLAIN", with, true, { USER }))
    assert.equal("USER", choose("X-NEW", with, true, { USER, APOP }))
    assert.equal("unsupported", choose("X-NEW", with, true))
    assert.equal("unsupported", choose("", with, true, { APOP }))
  end)

  it("is never one in clear without TLS, unless that was permitted", function()
    assert.equal("tls", choose("PLAIN LOGIN", with, false))
    assert.equal("tls", choose("", with, false, { USER }))
    assert.equal("tls", choose("X-NEW", with, false))
    local permitted = { user = "ann", password = "secret", allow_plaintext_login = true }
    assert.equal("PLAIN", choose("PLAIN LOGIN", permitted, false))
    assert.equal("USER", choose("", permitted, false, { USER }))
  end)

  it("is the one that was asked for, or an error", function()
    local function asking(name, secure, allow)
      return choose("PLAIN", { user = "a", password = "b", mechanism = name, allow_plaintext_login = allow }, secure,
        { USER, APOP })
    end
    assert.equal("PLAIN", asking("plain", true))
    assert.equal("unsupported", asking("LOGIN", true))
    assert.equal("unsupported", asking("SCRAM-SHA-256", true))
    assert.equal("APOP", asking("APOP", false))
    assert.equal("USER", asking("USER", true))
    assert.equal("tls", asking("USER", false))
    assert.equal("tls", asking("PLAIN", false))
    assert.equal("PLAIN", asking("PLAIN", false, true))
  end)

  it("takes a floor that nobody knows for one that nothing reaches", function()
    local function above(floor)
      return choose("PLAIN SCRAM-SHA-256", { user = "ann", password = "secret", mechanism_floor = floor }, true)
    end
    assert.equal("unsupported", above "SCRAM256")
    assert.equal("unsupported", above "GSSAPI")
    assert.equal("SCRAM-SHA-256", above "scram-sha-1")
  end)

  it("leaves EXTERNAL to those who gave no secret, and tokens to mechanisms that take them", function()
    assert.equal("EXTERNAL", choose("EXTERNAL PLAIN", { user = "ann" }, true))
    assert.equal("PLAIN", choose("EXTERNAL PLAIN", with, true))
    assert.equal("unsupported", choose("EXTERNAL PLAIN", { user = "ann", token = "t" }, true))
  end)

  it("is GSSAPI for those who name it only, and where this build has it", function()
    local ticket = { mechanism = "GSSAPI" }
    assert.equal("auth", choose("GSSAPI", { user = "ann" }, true))
    assert.equal("PLAIN", choose("GSSAPI PLAIN", with, true))
    assert.equal("unsupported", choose("PLAIN", ticket, true))
    local list = core.sasl_mechanisms()
    for _, missing in ipairs { true, false } do
      for _, mechanism in ipairs(list) do
        if mechanism.name == "GSSAPI" then mechanism.missing = missing end
      end
      package.loaded["mail.auth"] = nil
      package.loaded["mail.core"] = setmetatable({ sasl_mechanisms = function() return list end }, { __index = core })
      local built = require "mail.auth"
      package.loaded["mail.auth"], package.loaded["mail.core"] = auth, core
      assert.has_no.errors(function() built.check("gssapi", {}, "x") end)
      local name, err = built.choose({ GSSAPI = true }, ticket, { protocol = "imap", secure = false })
      assert.equal(missing and "unsupported" or "GSSAPI", name or err.kind)
      if missing then assert.matches("not in this build", err.message) end
    end
  end)

  it("raises for a name that is none", function()
    assert.has_no.errors(function() auth.check("SCRAM-SHA-256", {}, "x") end)
    assert.has_no.errors(function() auth.check("USER", { "USER" }, "x") end)
    assert.has_no.errors(function() auth.check(nil, {}, "x") end)
    assert.has_error(function() auth.check("PLIAN", { "USER" }, "x") end)
  end)
end)

describe("a SASL exchange", function()
  it("speaks the mechanisms", function()
    local plain = core.sasl("PLAIN", { user = "tim", password = "tanstaaf", authzid = "ann" })
    assert.is_false(plain:done())
    assert.equal("ann\0tim\0tanstaaf", plain:initial())
    assert.is_true(plain:done())
    local login = core.sasl("login", { user = "tim", password = "tanstaaf" })
    assert.is_nil(login:initial())
    assert.equal("tim", login:step "Username:")
    assert.equal("tanstaaf", login:step(nil))
    local response, why = login:step "more"
    assert.is_nil(response)
    assert.is_string(why)
    login:free()
    assert.has_error(function() login:step "" end)
  end)

  it("refuses what cannot be sent", function()
    for _, bad in ipairs { { user = "a\0b", password = "c" }, { user = "a", password = "b\0" }, { password = "b" } } do
      local exchange, why = core.sasl("PLAIN", bad)
      assert.is_nil(exchange)
      assert.is_string(why)
    end
    assert.has_error(function() core.sasl("NONE", {}) end)
    assert.has_error(function() core.sasl("PLAIN", { user = 5 }) end)
  end)

  it("lists its mechanisms, strongest first", function()
    local list = core.sasl_mechanisms()
    local names = {}
    for i, mechanism in ipairs(list) do
      names[i] = mechanism.name
      assert.is_boolean(mechanism.plaintext)
    end
    assert.equal("EXTERNAL GSSAPI SCRAM-SHA-512-PLUS SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-512 SCRAM-SHA-256 "
      .. "SCRAM-SHA-1 OAUTHBEARER XOAUTH2 DIGEST-MD5 CRAM-MD5 PLAIN LOGIN NTLM ANONYMOUS", table.concat(names, " "))
  end)
end)

-- Cyrus offers SCRAM-…-PLUS and knows but the binding of old TLS, which TLS 1.3 has not.
describe("a channel binding that the server does not know", function()
  local cyrus, why = servers.cyrus()
  if not cyrus then return pending(why) end

  -- The session, or nil and the error; and how often a login was tried.
  local function connect(protocol, more)
    local tries = 0
    local o = { host = "localhost", port = cyrus.ports[protocol .. "s"], user = cyrus.user, password = cyrus.password,
      ssl = { ca_file = cyrus.ca_file }, timeout = 20, log = function(direction, line)
        if direction == "C" and line:find "AUTH" then tries = tries + 1 end
      end }
    for name, value in pairs(more or {}) do o[name] = value end
    local session, err = mail[protocol].connect(o)
    return session, err, tries
  end

  for _, protocol in ipairs { "imap", "pop3" } do
    it("is done without, over " .. protocol, function()
      local session, _, tries = assert(connect(protocol))
      assert.equal(2, tries)
      assert(session:noop())
      session:close()
    end)

    it("is an error where the user demands it, over " .. protocol, function()
      for _, more in ipairs { { channel_binding = "tls-exporter" }, { mechanism = "SCRAM-SHA-256-PLUS" },
          { mechanism_floor = "SCRAM-SHA-1-PLUS" } } do
        local session, err = connect(protocol, more)
        assert.is_nil(session)
        assert.is_true(err.kind == "auth" or err.kind == "unsupported", err.message)
      end
    end)

    it("is no reason to try a wrong password again, over " .. protocol, function()
      local session, err, tries = connect(protocol, { password = "wrong" })
      assert.same({ nil, "auth", 2 }, { session, err.kind, tries })
      session, err, tries = connect(protocol, { password = "wrong", channel_binding = false })
      assert.same({ nil, "auth", 1 }, { session, err.kind, tries })
      assert.matches("authentication failure", err.message)
    end)
  end
end)
