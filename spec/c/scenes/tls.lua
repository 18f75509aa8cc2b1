-- TLS in memory: two sessions without a protocol that shake hands, speak, resume, and say goodbye.
local core, host = ...
host.varies("output", "tls_binding", "feed") -- octets by chance

local server = assert(core.tls_context { server = true, cert = host.cert, key = host.key, alpn = "x" })
local client = assert(core.tls_context { ca_file = host.ca, alpn = "x", min_version = "1.2" })
local stepped = assert(core.tls_context { ca_file = host.ca, in_steps = true })
while stepped:step() == false do server = server end
core.tls_context { cert = "none", key = "none" }
core.tls_context { pin_sha256 = { "bad" } }

local function carry(from, to)
  local any = false
  for _ = 1, 20 do
    local octets = from:output()
    from:failure()
    if not octets then break end
    to:feed(octets)
    to:failure()
    any = true
  end
  return any
end

-- Both until nobody has anything to say; the last data that each heard.
local function converse(a, b)
  local heard = { "", "" }
  repeat
    local any = carry(a, b)
    any = carry(b, a) or any
    for i, s in ipairs { a, b } do
      local kind, _, data = s:next()
      while kind == "data" do
        heard[i] = heard[i] .. data
        kind, _, data = s:next()
      end
    end
  until not any
  return heard[1], heard[2]
end

local function meet(resume)
  local a, b = core.stream_session(), core.stream_session()
  assert(a:start_tls(client, "mail.example.com", resume))
  assert(b:start_tls(server))
  a:write("hello")
  local _, heard = converse(a, b)
  assert(heard == "hello")
  b:write(("answer "):rep(3000))
  assert(#converse(a, b) == 21000)
  return a, b
end

local a, b = meet()
local info = a:tls_info()
assert(info.version and info.peer_certificate)
a:tls_binding("tls-exporter")
b:tls_binding("tls-server-end-point")
a:tls_why()
a:wants()
a:relax()
local session = a:tls_session()
a:tls_close()
converse(a, b)
b:feed_eof()
b:next()
b:next()
local c = meet(session)
assert(c:tls_info().resumed == (session ~= nil)) -- some Luas cannot tell a collector that stands still
c:free()

-- a name that is not in the certificate
a, b = core.stream_session(), core.stream_session()
a:start_tls(client, "other.example.com")
b:start_tls(server)
converse(a, b)
a:failure()
assert(a:tls_why())
a = core.stream_session()
a:feed("plain text that came too early")
assert(a:start_tls(client, "mail.example.com") == nil)
a = core.stream_session()
a:write("octets")
a:abandon(1)
a:secured()
a:failure()
