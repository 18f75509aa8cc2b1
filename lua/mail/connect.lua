--- Opening a session: options and URLs, the loop, names, the socket, and the first layer of TLS. The
-- same for all three protocols; `connect.OPTIONS` lists what every `connect` takes.
--
-- What is particular to a protocol (greeting, capabilities, STARTTLS, login) is its `greet` function;
-- it runs under the same deadline.
-- @module mail.connect

local ascii = require "mail.ascii"
local auth = require "mail.auth"
local core = require "mail.core"
local Err = require "mail.err"
local Pump = require "mail.pump"
local adapter = require "mail.io.adapter"
local guarded = require "mail.guarded"
local identity = require "mail.identity"
local loop = require "mail.loop"
local proxy = require "mail.proxy"
local proxy_header = require "mail.proxy_header"
local stream = require "mail.io.stream"
local tls = require "mail.tls"
local want = require "mail.want"

local connect = {}

local OPTIONS = {
  host = "string?", port = "number?", tls = "string?", ssl = "table?",
  login = "boolean?", path = "string?", command = "table?", transport = "table|userdata?",
  timeout = "number|table?", proxy = "string|table?", proxy_header = "table?", local_address = "string?",
  dns_servers = "string?",
  tls_by = "string?", resolver = "string?", loop = "any", log = "function|userdata|table?", limits = "table?",
}
for name, kinds in pairs(auth.OPTIONS) do OPTIONS[name] = kinds end

--- What `connect` of every protocol takes, in a table; or a URL in its place, such as
-- `"imaps://ann:secret@imap.example.com/"`. A name that is not here, nor among those of the protocol, raises.
-- @table OPTIONS
-- @field host name or address of the server, or a URL
-- @field port by default that of the protocol and of `tls`: 993 or 143 (IMAP), 995 or 110 (POP3), 465, 587 or, where
--   TLS is opportunistic, 25 (SMTP), 24 (LMTP)
-- @field tls "implicit": from the first octet; "starttls": a demand; "opportunistic": STARTTLS where it is offered,
--   unverified unless `ssl.verify` is true, for relaying: no secret is sent then; "none". By default "starttls" on
--   ports 143, 110, 587 and 25, else "implicit"
-- @field ssl a table: `verify` (true) the chain and the host's name; `ca_file`, `ca_path` (the system's); `server_name`
--   (the host); `cert` and `key` of one's own, PEM or files; `min_version` ("1.2"); `ciphers`; `pin_sha256`, the
--   SHA-256 of a public key or of the certificate in base64 or hexadecimal, or an array of several; `session_cache`
--   (true); `alpn` (the protocol's name)
-- @field user who logs in
-- @field password a string, or a function that gives it
-- @field token for OAUTHBEARER and XOAUTH2: a string, a function(stale), or an object of `mail.oauth2`
-- @field mechanism that one or an error: a SASL name, "USER" or "APOP" (POP3), "LOGIN-COMMAND" (IMAP), or a mechanism
--   of one's own, `{name=, step=}`; by default the strongest that both sides have
-- @field mechanism_floor none that is weaker than this one
-- @field channel_binding "tls-exporter" or "tls-server-end-point" alone; false: none
-- @field authzid as whom the user acts
-- @field service, ccache of GSSAPI: the service's name, and the file of the tickets
-- @field allow_plaintext_login false: without TLS no secret is sent, on the loopback neither
-- @field login false: stops before it; `session:login` and `session:authenticate` are there
-- @field timeout 30 seconds for connect, TLS, greeting and login together, and afterwards for each whole answer; or
--   `{connect=, answer=, data=}`, where `data` bounds the gaps in a long transfer
-- @field proxy "socks5://user:password@host:1080" (socks4, socks4a, socks5, http), or an array of several in a row
-- @field proxy_header sent before all else: see `mail.proxy_header`
-- @field local_address where the connection starts from
-- @field dns_servers "192.0.2.1,192.0.2.2:53", in place of the system's
-- @field resolver "host": names are looked up by the loop's own resolver; or "own"
-- @field path a Unix socket, in place of a host
-- @field command a program and its arguments, whose standard input and output are the connection
-- @field transport an object with `read`, `write` and `close`: see `mail.io.stream`
-- @field tls_by "host": the handshake is the loop's own (OpenResty); or "own"
-- @field loop the name of a loop or an adapter; by default the one that is running
-- @field log a function(direction, line), "C" or "S", or an open file; secrets are `***`
-- @field limits `line` 8192, `response` (of IMAP; it is `line` where that is set otherwise) and `literal` 2^20,
--   `message` 2^26 octets (of bodies in pieces only where it is set, or `stream` is), `answer` 2^29 (all that one call
--   of IMAP gathers in memory), `depth` 100, `reply_lines`, `listing`, `untagged`, `queue`, `backlog`, `piece`,
--   `stream`, `challenge`, `sasl_steps`; to pass one is kind "limit"
connect.OPTIONS = OPTIONS

-- Tables of plain values: what becomes of the user's later is not what was asked for, or checked.
local COPIED = { "ssl", "command", "timeout", "proxy_header", "limits" }

local MODES = { implicit = true, starttls = true, opportunistic = true, none = true }
local SCHEMES = {
  imap = { "imap", "starttls" }, imaps = { "imap", "implicit" }, pop3 = { "pop3", "starttls" },
  pop = { "pop3", "starttls" }, pop3s = { "pop3", "implicit" }, pops = { "pop3", "implicit" },
  smtp = { "smtp", "starttls" }, smtps = { "smtp", "implicit" }, submission = { "smtp", "starttls" },
  submissions = { "smtp", "implicit" }, lmtp = { "smtp", "opportunistic", "lmtp" },
}
-- Schemes without an s mean STARTTLS, except at the ports where nothing but a handshake is understood.
local TLS_PORTS = { [993] = true, [995] = true, [465] = true }
-- Ports whose sessions begin in plaintext; all others begin with a handshake.
local PLAINTEXT_PORTS = { [143] = true, [110] = true, [587] = true, [25] = true }
local PORTS = {
  imap = { implicit = 993, plain = 143 }, pop3 = { implicit = 995, plain = 110 },
  smtp = { implicit = 465, plain = 587, opportunistic = 25 }, lmtp = { implicit = 24, plain = 24 },
}

local function unescape(s)
  return (s:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- "imaps://ann:secret@host:993/" as options; nil where `text` is no URL of this protocol. `port` wins over the URL's.
local function parse_url(text, protocol, port)
  local scheme, rest = text:match("^([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)")
  if not scheme then return nil, "not a URL" end
  local known = SCHEMES[ascii.lower(scheme)]
  if not known or known[1] ~= protocol then return nil, ("'%s' is no scheme of %s"):format(scheme, protocol) end
  local options = { tls = known[2], protocol = known[3] }
  local account, place = rest:match("^(.*)@([^@]*)$")
  local host, digits = (place or rest):match("^%[([%x:.%%]+)%]:?(%d*)$")
  if not host then host, digits = (place or rest):match("^([^:]*):?(%d*)$") end
  if not host or host == "" then return nil, "no host in it" end
  options.host, options.port = unescape(host), tonumber(digits)
  if options.tls == "starttls" and TLS_PORTS[port or options.port or 0] then options.tls = "implicit" end
  if account then
    local user, password = account:match("^([^:]*):(.*)$")
    options.user = unescape((user or account):gsub(";[Aa][Uu][Tt][Hh]=[^;]*$", ""))
    options.password = password and unescape(password)
  end
  return options
end

-- What carries the session where it is not a connection to a host.
local function carrier_of(o)
  return o.path and "path" or o.command and "command" or o.transport and "transport" or nil
end

local function check_carrier(o, what)
  if o.path == "" or o.path and o.path:find "%z" then error(what .. ": option 'path' is no path", 5) end
  if o.command then
    local words = #o.command
    if words < 1 or words > 255 then error(what .. ": option 'command' must be an array of 1 to 255 words", 5) end
    for _, word in ipairs(o.command) do
      if type(word) ~= "string" or word:find "%z" then
        error(what .. ": option 'command' must be an array of words", 5)
      end
    end
  end
  if not o.transport then return end
  for _, method in ipairs { "read", "write", "close" } do
    if type(o.transport[method]) ~= "function" then
      error(("%s: option 'transport' must have read, write and close"):format(what), 5)
    end
  end
end

-- A host, or something that carries the session in its place; with both, the host is who answers there.
local function settle_carrier(o, protocol)
  local what = protocol .. ".connect"
  local path = o.host and o.host:match "^unix:(.+)$"
  if path then o.path, o.host = o.path or path, nil end
  local literal = o.host and o.host:match "^%[([%x:.]+)%]$" or o.host and o.host:match "^%[[Ii][Pp][Vv]6:([%x:.]+)%]$"
  if literal then o.host = literal end
  local carrier = carrier_of(o)
  for _, name in ipairs { "path", "command", "transport", "proxy" } do
    if carrier and name ~= carrier and o[name] then
      error(("%s: options '%s' and '%s' exclude one another"):format(what, carrier, name), 4)
    end
  end
  if not o.host and not carrier then error(what .. ": option 'host' is missing", 4) end
  check_carrier(o, what)
  if o.host then return end
  -- Nobody to ask for by name: TLS is what the user asks for.
  o.tls = o.tls or not o.port and "none" or nil
end

-- Whom to verify must be known before anything is connected.
local function check_server_name(o, protocol)
  local ssl = o.ssl or {}
  if o.host or o.tls == "none" or ssl.server_name or ssl.verify == false then return end
  if o.tls == "opportunistic" and not ssl.verify then return end
  error(protocol .. ".connect: TLS needs option 'host' or ssl.server_name, to know whom to verify", 4)
end

-- A function, or anything with a method `write`.
local function check_log(log, what)
  if log == nil or type(log) == "function" then return end
  local ok, write = pcall(function() return log.write end)
  if not ok or type(write) ~= "function" then
    error(what .. ": option 'log' must be a function, or have write", 4)
  end
end

local function settle_proxy(o, protocol)
  if not o.proxy then return end
  local hops, text = proxy.parse(o.proxy)
  if not hops then error(("%s.connect: option 'proxy': %s"):format(protocol, text), 4) end
  o.proxy = text
end

-- The mode and the port follow from each other.
local function settle_tls(o, protocol)
  if o.port and (o.port % 1 ~= 0 or o.port < 1 or o.port > 65535) then
    error(protocol .. ".connect: option 'port' must be a whole number from 1 to 65535", 4)
  end
  if o.tls and not MODES[o.tls] then
    error(("%s.connect: option 'tls' must be implicit, starttls, opportunistic or none, got '%s'")
      :format(protocol, o.tls), 4)
  end
  -- LMTP is spoken inside a site, most often in clear (RFC 2033 §5).
  if o.protocol == "lmtp" then protocol, o.tls = "lmtp", o.tls or "opportunistic" end
  o.tls = o.tls or (o.port and PLAINTEXT_PORTS[o.port] and "starttls") or "implicit"
  o.port = o.port or PORTS[protocol][o.tls] or PORTS[protocol].plain
end

-- What the host's TLS is told; all else is decided where the host is configured (nginx: lua_ssl_*).
local HOST_TLS = { verify = true, server_name = true, session_cache = true }

-- TLS by the host (`tls_by`): never for STARTTLS, where OpenResty hands out plaintext that came
-- before the handshake as if it had come after it.
local function settle_host(o, protocol)
  if o.resolver and o.resolver ~= "host" and o.resolver ~= "own" then
    error(("%s.connect: option 'resolver' must be host or own, got '%s'"):format(protocol, o.resolver), 4)
  end
  if o.tls_by == nil or o.tls_by == "own" then return end
  if o.tls_by ~= "host" then
    error(("%s.connect: option 'tls_by' must be own or host, got '%s'"):format(protocol, o.tls_by), 4)
  end
  if o.tls ~= "implicit" then
    error(("%s.connect: tls_by = 'host' is for tls = 'implicit' alone, not '%s'"):format(protocol, o.tls), 4)
  end
  local carrier = carrier_of(o) or o.proxy and "proxy"
  if carrier then
    error(("%s.connect: tls_by = 'host' goes to the server itself alone, not by '%s'"):format(protocol, carrier), 4)
  end
  if o.proxy_header then
    error(("%s.connect: with tls_by = 'host' nothing can be sent before TLS: no proxy_header"):format(protocol), 4)
  end
  for name in pairs(o.ssl or {}) do
    if not HOST_TLS[name] then
      error(("%s.connect: the host's TLS takes no option ssl.%s"):format(protocol, name), 4)
    end
  end
end

--- The options of a connection, checked and completed. Raises at the caller of connect.
-- @tparam string|table argument options, or a URL
-- @tparam string protocol "imap", "pop3", "smtp"
-- @tparam[opt] table extra further options: name → type
-- @treturn table a copy with host, port and tls settled
function connect.options(argument, protocol, extra)
  local o = {}
  local allowed = {}
  for name, kinds in pairs(OPTIONS) do allowed[name] = kinds end
  for name, kinds in pairs(extra or {}) do allowed[name] = kinds end
  if type(argument) == "string" then argument = { host = argument } end
  want(argument, allowed, protocol .. ".connect", 2)
  if argument.ssl then tls.check(argument.ssl, protocol .. ".connect", 3) end
  if argument.proxy_header then proxy_header.check(argument.proxy_header, protocol .. ".connect", 3) end
  if argument.limits then
    -- The core knows its names; better now than when the connection stands.
    local ok, why = pcall(core[protocol .. "_session"], argument.limits)
    if not ok then error(("%s.connect: %s"):format(protocol, why), 3) end
  end
  for name, value in pairs(argument) do o[name] = value end
  for _, name in ipairs(COPIED) do
    if type(o[name]) == "table" and getmetatable(o[name]) == nil then o[name] = identity.copy(o[name]) end
  end
  if o.host and o.host:find("://", 1, true) then
    local url, why = parse_url(o.host, protocol, o.port)
    if not url then error(("%s.connect: bad URL: %s"):format(protocol, why), 3) end
    o.host = nil
    for name, value in pairs(url) do
      if o[name] == nil then o[name] = value end
    end
  end
  check_log(o.log, protocol .. ".connect")
  settle_carrier(o, protocol)
  if o.host and (o.host == "" or o.host:find("[%z\r\n%s]")) then
    error(protocol .. ".connect: option 'host' is no host name", 3)
  end
  if o.password ~= nil and o.user == nil and o.mechanism == nil and o.login ~= false then
    error(protocol .. ".connect: option 'user' is missing beside 'password'", 3)
  end
  settle_proxy(o, protocol)
  settle_tls(o, protocol)
  check_server_name(o, protocol)
  settle_host(o, protocol)
  if o.loop then o.loop = loop.adapter(o.loop, 3) end
  return o
end

-- Seconds for connect, TLS, greeting and login together.
local function connect_timeout(timeout)
  if type(timeout) == "table" then return timeout.connect or timeout.answer or 30 end
  return timeout or 30
end

--- The text form of a session: `mail.imap (imap.example.com:993, selected INBOX)`.
function connect.describe(session, state)
  local pump = Pump.of(session)
  local where = pump and pump.place or "no transport"
  if pump and pump.failure or session:is_freed() then state = "closed" end
  return ("%s (%s%s)"):format(getmetatable(session).__name, where, state and ", " .. state or "")
end

-- Those that all protocols have: what else a protocol takes is about its session.
local function of_connection(o)
  local own = {}
  for name in pairs(OPTIONS) do own[name] = o[name] end
  return own
end

--- Puts TLS between the session and its transport; the handshake runs with the next wait.
-- @treturn boolean true; or nil, err
function connect.start_tls(pump, o)
  local ok, err = tls.start(pump.session, of_connection(o), pump.protocol, function() pump:rest() end)
  if pump.failure then return pump:failed() end
  if ok then return true end
  if Err.is(err) then return pump:fail(err) end
  if pump.session:failure() then return pump:broken() end
  return pump:fail(pump:error("tls", err))
end

-- The PROXY header goes before all else, the handshake of TLS included: true; or nil, err.
local function preface(pump, o)
  if not o.proxy_header then return true end
  local own, conn = {}, pump.conn
  if conn.name then
    own.source, own.source_port = conn:name()
    own.destination, own.destination_port = conn:name(true)
  end
  local bytes, why = proxy_header.encode(o.proxy_header, own)
  if bytes and pump.session:preface(bytes) then return true end
  return nil, pump:error("invalid", "proxy_header: " .. (why or "something was sent before it"))
end

-- The name of the host in A-labels; nil where there is none.
local function server_name(o, protocol)
  if not o.host then return nil end
  local name, why = core.idn(o.host)
  if name then return name end
  local message = ("bad host name '%s': %s"):format(ascii.without_controls(o.host, "?"), why)
  return nil, Err.new { kind = "dns", message = message, temporary = false, protocol = protocol.name }
end

-- What the session runs over: the adapter for it, a connection, a value that must live as long as that, and
-- what the server has said already; or nil, err.
local function carry(o, host, name, deadline)
  if o.transport then
    host = stream.host(host)
    return host, stream.conn(o.transport)
  end
  if o.command then return require "mail.io.child".connect(host, o) end
  local conn, guard, said
  if o.proxy then
    local hops, why = proxy.parse(o.proxy)
    if not hops then return nil, Err.new { kind = "invalid", message = "proxy: " .. why } end
    conn, guard, said = proxy.connect(host, hops, name, o.port, o, deadline)
  else
    conn, guard = host.connect(name, o.port, o, deadline)
  end
  if not conn then return nil, guard end
  return host, conn, guard, said
end

-- For tostring.
local function place(o)
  if o.transport then return "transport" end
  if o.command then return "command " .. o.command[1] end
  if o.path then return "unix:" .. o.path end
  return o.host .. ":" .. ("%d"):format(o.port)
end

-- Why this loop cannot do what was asked for, or nil.
local function refusal(o, host, protocol)
  if o.tls_by == "host" and not host.tls then
    local message = "this loop has no TLS of its own: leave tls_by out"
    return Err.new { kind = "unsupported", message = message, protocol = protocol.name }
  end
  local now = host.now()
  if type(now) ~= "number" then
    adapter.broken(host, type(now) .. " for now()", "it is seconds of a monotonic clock, a number")
  end
end

-- TLS, what a tunnel brought along, and the greeting: true; or nil, err.
local function begin(protocol, pump, o, said, deadline)
  local ok, err = true, nil
  if o.tls == "implicit" and o.tls_by ~= "host" then
    if said then return nil, pump:error("protocol", "octets came through the proxy before the handshake") end
    ok, err = connect.start_tls(pump, o)
  end
  if ok then ok, err = preface(pump, o) end
  if not ok then return nil, err end
  if said then pump.session:feed(said) end
  return protocol.greet(pump, o, deadline)
end

--- Opens a session.
-- @tparam table protocol the protocol module: `name`, `new_session(options)` → userdata,
--   `greet(pump, options, deadline)` → true | nil, err
-- @tparam table o from `connect.options`
-- @treturn userdata the session; or nil, err
function connect.open(protocol, o)
  local host = o.loop or loop.host()
  local err = refusal(o, host, protocol)
  if err then return nil, err end
  local deadline = host.now() + connect_timeout(o.timeout)
  local name
  name, err = server_name(o, protocol)
  if err then return nil, err end
  local direct = not carrier_of(o) and not o.proxy
  o.pool = direct and host.release and protocol.pool_name and protocol.pool_name(o, name, host) or nil
  local own, conn, guard, said = carry(o, host, name, deadline)
  if not own then
    conn.protocol = protocol.name
    return nil, conn
  end
  local session = protocol.new_session(o)
  local pump = Pump.new {
    session = session, protocol = protocol.name, host = own, conn = conn, timeout = o.timeout, guard = guard,
    log = o.log, limits = o.limits, place = place(o), address = not (o.command or o.transport) and place(o) or nil,
    peer = { host = name or "localhost", port = o.port },
    unverified = o.tls == "opportunistic" and not (o.ssl and o.ssl.verify) or nil,
  }
  local fine, ok
  fine, ok, err = guarded(begin, protocol, pump, o, said ~= "" and said or nil, deadline)
  if not fine then -- a function of the user's own raised: for a token, the log
    pump:close()
    error(ok, 0)
  end
  if ok then
    pump.secrets = o.log and pump.secrets or nil
    return session
  end
  pump:close()
  if direct and conn.transport and conn.transport.reused and (err.kind == "closed" or err.code == 421) then
    return connect.open(protocol, o) -- it died in the pool; the next one may live, or is new
  end
  return nil, err
end

return connect
