-- SASL: each mechanism, client and server against one another.
local core, host = ...
host.may_do_less("initial", "saslprep") -- nothing has happened: the answer to the first challenge has it

for _, m in ipairs(core.sasl_mechanisms()) do assert(m.name) end
assert(core.saslprep("I\194\173X") == "IX")
core.saslprep("\7")
core.saslprep(("long password "):rep(40))

local credentials = { user = "user", password = "pencil", token = "token", host = "mail.example.com", port = "143",
  service = "imap", nonce = "rOprNGfwEbeRWgbNEkqO", now = 1e9 }

-- What a server that knows its users does at each turn.
local function served(server, turn, ...)
  if turn == "check" or turn == "token" then return served(server, server:decide(true)) end
  if turn == "lookup" then
    return served(server, server:secret { password = "pencil", salt = "0123456789abcdef", rounds = 4096 })
  end
  if turn == "more" then return served(server, server:more()) end
  return turn, ...
end

local function worked(client, response, ...)
  if response == false then return worked(client, client:work(3000)) end
  return response, ...
end

local function converse(name)
  local client = assert(core.sasl(name, credentials), name)
  local server = assert(core.sasl_server(name, { host = "mail.example.com", nonce = "Zz",
    user = name == "EXTERNAL" and "user" or nil }))
  assert(client:prepare())
  local turn, text = served(server, server:receive(client:initial()))
  while turn == "challenge" do
    turn, text = served(server, server:receive(assert(worked(client, client:step(text)))))
  end
  assert(turn == "accept", text)
  if not client:done() then client:step("") end
  client:reason()
  client:free()
  server:free()
end

for _, name in ipairs { "PLAIN", "LOGIN", "ANONYMOUS", "EXTERNAL", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256",
  "XOAUTH2", "OAUTHBEARER" } do converse(name) end

assert(core.sasl("PLAIN", { user = "a\0b", password = "x" }) == nil)
local client = core.sasl("DIGEST-MD5", credentials)
client:initial()
client:step('realm="example.com",nonce="OA6MG9tEQGm2hh",qop="auth",algorithm=md5-sess,charset=utf-8')
client:step("rspauth=00000000000000000000000000000000")
client = core.sasl("NTLM", credentials)
client:initial()
client = core.sasl("SCRAM-SHA-256", credentials)
client:initial()
client:step("e=unknown-user")
client:reason()
local server = core.sasl_server("PLAIN", { host = "x" })
server:receive("\0user\0wrong")
server:decide(false)
