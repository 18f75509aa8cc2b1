-- Logging in with Kerberos (GSSAPI, RFC 4752) at Dovecot and Cyrus, with the tickets of a KDC of the suite's.

local child = require "spec.support.child"
local core = require "mail.core"
local servers = require "spec.servers"

local function built()
  for _, mechanism in ipairs(core.sasl_mechanisms()) do
    if mechanism.name == "GSSAPI" then return not mechanism.missing end
  end
end

local k, dovecot, cyrus, why
if built() then
  k, why = servers.kerberos { users = 2 }
  if k then dovecot, why = servers.mail { kerberos = k, mechanisms = "gssapi plain", users = 2 } end
  if dovecot then cyrus, why = servers.cyrus { kerberos = k, mechanisms = "GSSAPI PLAIN" } end
else
  why = "this build has no GSSAPI"
end
local real = cyrus and it or function(name) pending(name .. ": " .. tostring(why)) end

-- A value as Lua text.
local function written(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for key, inner in pairs(value) do parts[#parts + 1] = ("[%s]=%s"):format(written(key), written(inner)) end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- What came of each case, in the order of the cases (spec/support/kerberos_client.lua).
local function play(cases, environment)
  local path = k.keeper:write("cases.lua", "return " .. written(cases))
  local command = child.lua(k.environment .. " " .. (environment or ""), 120) .. "spec/support/kerberos_client.lua "
  local _, out = child.shell("( " .. command .. path .. " )")
  local results = {}
  for line in out:gmatch "[^\n]+" do
    local read = (loadstring or load)("return " .. line)
    results[#results + 1] = assert(read, out)()
  end
  assert.equal(#cases, #results, out)
  return results
end

local function case(server, protocol, options, relay)
  local name = protocol == "smtp" and "submission" or protocol
  local o = { host = "localhost", port = server.ports[name], tls = "none", mechanism = "GSSAPI", timeout = 20 }
  for key, value in pairs(options) do o[key] = value end
  return { protocol = protocol, options = o, relay = relay }
end

-- The same options at each protocol.
local function everywhere(options, relay)
  local cases = {}
  for i, protocol in ipairs { "imap", "pop3", "smtp" } do cases[i] = case(dovecot, protocol, options, relay) end
  return cases
end

local function all_in(results)
  for _, result in ipairs(results) do
    assert.is_true(result.ok, result.message)
    assert.is_true(result.done)
    assert.equal(1, result.sent)
  end
end

-- None is in; each says these words, and is of this kind.
local function all_out(results, kind, words)
  for _, result in ipairs(results) do
    assert.is_false(result.ok, words)
    assert.equal(kind, result.kind, result.message)
    assert.is_truthy(result.message:find(words, 1, true), result.message)
  end
  return results
end

describe("GSSAPI with Dovecot", function()
  local tickets
  setup(function() tickets = cyrus and k:ticket(k.users[1]) end)

  real("logs in with a ticket and no password, with TLS and without", function()
    all_in(play(everywhere { ccache = tickets }))
    all_in(play(everywhere { ccache = tickets, tls = "starttls", ssl = { ca_file = dovecot.ca_file } }))
    local list = k:list(tickets)
    for _, service in ipairs { "imap", "pop", "smtp" } do
      assert.is_truthy(list:find(service .. "/localhost@" .. k.realm, 1, true), list)
    end
  end)

  real("finds the tickets where the environment says", function()
    all_in(play(everywhere {}, "KRB5CCNAME=" .. tickets))
  end)

  real("acts as whom it is told, where the server lets it", function()
    all_in(play(everywhere { ccache = tickets, user = k.users[1].name }))
    for _, options in ipairs { { authzid = k.users[2].name }, { user = k.users[2].name },
        { user = k.users[1].name, authzid = k.users[2].name } } do
      options.ccache = tickets
      all_out(play(everywhere(options)), "auth", "Authentication failed")
    end
  end)

  real("trusts the name that it was given, and none that DNS has for it", function()
    local results = play(everywhere { ccache = tickets, host = "127.0.0.1" })
    all_out(results, "auth", "/127.0.0.1@" .. k.realm)
    for _, result in ipairs(results) do assert.equal(0, result.sent) end
    all_in(play(everywhere { ccache = tickets, host = "LocalHost" }))
    local cases = everywhere { ccache = tickets, host = "127.0.0.1" }
    for i, service in ipairs { "imap", "pop", "smtp" } do cases[i].options.service = service .. "@localhost" end
    all_in(play(cases))
    all_out(play(everywhere { ccache = tickets, service = "nobody" }), "auth", "nobody/localhost")
  end)

  real("says nothing to the server without a ticket", function()
    local function silent(options, words)
      for _, result in ipairs(all_out(play(everywhere(options)), "auth", words)) do
        assert.equal(0, result.sent)
        assert.is_false(result.temporary)
      end
    end
    silent({}, "no-tickets")
    silent({ ccache = "FILE:" .. k.folder .. "/nowhere" }, "no ticket")
    silent({ ccache = "FILE:" .. k.config }, "no ticket")
    silent({ ccache = "NOSUCHTYPE:x" }, "no ticket")
    local old, patience = k:ticket(k.users[1], "1s"), os.time() + 20
    while k:is_good(old) do assert.is_true(os.time() < patience) end
    local last = os.time() -- for klist its last second is gone; for a log-in it is not
    while os.time() == last do k:is_good(old) end
    silent({ ccache = old }, "expired")
  end)

  real("needs the KDC for a ticket, and for nothing else", function()
    local fresh = k:ticket(k.users[1])
    k:stop()
    local known, new = play(everywhere { ccache = tickets }), play(everywhere { ccache = fresh })
    assert(k:start())
    all_in(known)
    for _, result in ipairs(all_out(new, "auth", "no ticket")) do
      assert.equal(0, result.sent)
      assert.is_true(result.temporary)
    end
  end)

  real("believes no token that somebody has changed", function()
    for turn = 1, 2 do
      for _, as in ipairs { "flipped", "garbage", "repeated" } do
        if turn > 1 or as ~= "repeated" then
          all_out(play(everywhere({ ccache = tickets }, { turn = turn, as = as })), "auth", "the server's token")
        end
      end
    end
  end)

  real("believes no success before the server has proved itself", function()
    for turn = 1, 2 do
      all_out(play(everywhere({ ccache = tickets }, { turn = turn, as = "success" })), "protocol",
        "before the exchange has ended")
      all_out(play(everywhere({ ccache = tickets }, { turn = turn, as = "end" })), "closed", "")
    end
  end)

  real("is not chosen by itself", function()
    local cases = everywhere { ccache = tickets, user = k.users[1].name, allow_plaintext_login = true }
    for _, one in ipairs(cases) do one.options.mechanism = nil end
    all_out(play(cases), "auth", "neither password nor token")
    for _, one in ipairs(cases) do one.options.password = "wrong" end
    all_out(play(cases), "auth", "login failed")
    for _, one in ipairs(cases) do one.options.password = dovecot.password end
    all_in(play(cases))
  end)
end)

describe("GSSAPI with Cyrus", function()
  local function both(server, options)
    options.ssl = { ca_file = server.ca_file }
    return { case(server, "imap", options), case(server, "pop3", options) }
  end

  real("logs in with a ticket and no password, with TLS and without", function()
    for _, tls in ipairs { "none", "starttls" } do
      all_in(play(both(cyrus, { ccache = k:ticket(k.users[1]), tls = tls })))
    end
  end)

  real("refuses a security layer that is none of TLS", function()
    local server = assert(servers.cyrus { kerberos = k, mechanisms = "GSSAPI PLAIN", extra = "sasl_minimum_layer: 1" })
    local tickets = k:ticket(k.users[1])
    all_out(play(both(server, { ccache = tickets, tls = "none" })), "auth", "demands a security layer")
    all_in(play(both(server, { ccache = tickets, tls = "starttls" })))
  end)
end)
