--- Proxies: SOCKS5 (RFC 1928, 1929), SOCKS4 and 4a, and HTTP CONNECT (RFC 9110 §9.3.6), one or several in a row.
--
-- A handshake is an object that does no I/O: octets in, octets out. `proxy.connect` drives one after the
-- other over a connection of any loop before a session has it. The name of the server is resolved by the
-- proxy (so no name server here learns of it), but for "socks4", which knows only addresses.
-- Invariant: what stands behind the proxy's answer is handed out and never read here; every octet of the
-- answer is checked, and there is a bound to each.
-- @module mail.proxy

local letters = require "mail.ascii"
local core = require "mail.core"
local Err = require "mail.err"
local fd = require "mail.io.fd"
local mask = require "mail.mask"

local proxy = {}

-- Octets of the head of an HTTP answer.
local HEAD = 16384
local KNOWN = { socks5 = 1080, socks5h = 1080, socks4 = 1080, socks4a = 1080, http = false }

-- --- options ----------------------------------------------------------------------------------------

local function unescape(s)
  return (s:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- Why its credentials cannot be said in its protocol, or nil.
local function unfit(hop)
  local user, password = hop.user or "", hop.password or ""
  if (user .. password):find "[%z\r\n]" then return "a user or password with control characters" end
  if hop.scheme:find "^socks4" and hop.password then return "SOCKS4 has no passwords" end
  if hop.scheme:find "^socks5" and (#user > 255 or #password > 255) then
    return "a user or password above 255 octets"
  end
  if hop.scheme:find "^socks5" and hop.user == "" then return "an empty user" end
  if hop.scheme == "http" and user:find(":", 1, true) then return "a user with a colon" end
end

-- One proxy; or nil and why, without the URL, which holds a password.
local function parse_one(url)
  local scheme, rest = url:match "^([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)/?$"
  if not scheme then return nil, "a URL expected, like socks5://host:1080" end
  scheme = letters.lower(scheme)
  if KNOWN[scheme] == nil then
    return nil, ("unknown scheme '%s': there are socks5, socks5h, socks4, socks4a and http"):format(scheme)
  end
  local account, place = rest:match "^(.*)@([^@]*)$"
  local host, port = (place or rest):match "^%[([%x:.%%]+)%]:?(%d*)$"
  if not host then host, port = (place or rest):match "^([^:%[%]]*):?(%d*)$" end
  if not host or host == "" or host:find "[%z\1-\31\127%s]" then return nil, "no host in it" end
  port = tonumber(port) or KNOWN[scheme]
  if not port then return nil, "no port in it" end
  if port < 1 or port > 65535 then return nil, "a port from 1 to 65535 expected" end
  local hop = { scheme = scheme, host = unescape(host), port = port }
  if account then
    local user, password = account:match "^([^:]*):(.*)$"
    hop.user, hop.password = unescape(user or account), password and unescape(password)
  end
  local why = unfit(hop)
  if why then return nil, why end
  hop.words = ("proxy %s://%s:%d"):format(scheme, host, port)
  return hop
end

--- Reads the option `proxy`.
-- @tparam string|table text a URL, several with spaces between them, or an array of URLs: the first is
--   connected to, and each is told to connect to the next
-- @treturn table array of { scheme=, host=, port=, user=, password=, words= }; or nil, why
-- @treturn string all URLs in one string
function proxy.parse(text)
  if type(text) == "table" then
    for i = 1, #text do
      if type(text[i]) ~= "string" then return nil, "an array of URLs expected" end
    end
    text = table.concat(text, " ")
  end
  local hops = {}
  for url in text:gmatch "%S+" do
    local hop, why = parse_one(url)
    if not hop then return nil, why end
    hops[#hops + 1] = hop
  end
  if not hops[1] then return nil, "a URL expected, like socks5://host:1080" end
  return hops, text
end

-- --- what all handshakes share ----------------------------------------------------------------------

local Handshake = {}
Handshake.__index = Handshake

-- A refusal, or a broken answer: nil and the error. A proxy may say a password back to us.
local function refuse(self, kind, message, temporary)
  local hop = self.hop
  if hop.password and hop.password ~= "" then
    message = mask(mask(message, hop.password), core.base64((hop.user or "") .. ":" .. hop.password))
  end
  return nil, Err.new { kind = kind, message = hop.words .. ": " .. message, temporary = temporary or false }
end

local function broken(self, message) return refuse(self, "protocol", message) end

local function take(self, n)
  local text = self.input:sub(1, n)
  self.input = self.input:sub(n + 1)
  return text
end

-- Nothing may be there when it is our turn to speak.
local function say(self, bytes, step)
  if self.input ~= "" then return broken(self, "it spoke out of turn") end
  self.out, self.step = bytes, step
  return true
end

local function finish(self)
  self.done = true
  return true
end

--- What is to be sent now, or nil.
function Handshake:output()
  local out = self.out
  self.out = nil
  return out
end

--- Takes octets in: true; or nil, err. Afterwards `done` tells whether the way is open, and `input` is
-- what came behind the answer.
function Handshake:feed(bytes)
  self.input = self.input .. bytes
  while not self.done do
    local before = #self.input
    local ok, err = self.step(self)
    if not ok then return nil, err end
    if self.out or #self.input == before then break end -- ours to speak, or too little
  end
  return true
end

-- --- SOCKS5 -----------------------------------------------------------------------------------------

local SOCKS5 = {
  { "general failure", true }, { "the connection is not allowed", false }, { "network unreachable", true },
  { "host unreachable", true }, { "connection refused", true }, { "TTL expired", true },
  { "command not supported", false }, { "address type not supported", false },
}

local function port_octets(port) return string.char(math.floor(port / 256), port % 256) end

local function four_octets(address)
  local a, b, c, d = address:match "^(%d+)%.(%d+)%.(%d+)%.(%d+)$"
  if not a then return nil end
  a, b, c, d = tonumber(a), tonumber(b), tonumber(c), tonumber(d)
  if a > 255 or b > 255 or c > 255 or d > 255 then return nil end
  return string.char(a, b, c, d)
end

-- BND.ADDR and BND.PORT are of no use here, but they say where the answer ends.
local function socks5_answer(self)
  local input = self.input
  if #input < 2 then return true end
  local version, code, reserved, kind, first = input:byte(1, 5)
  if version ~= 5 then return broken(self, "no answer of SOCKS5") end
  if code ~= 0 then
    local why = SOCKS5[code]
    if not why then return broken(self, ("unknown code %d of SOCKS5"):format(code)) end
    return refuse(self, "connect", self.target.words .. ": " .. why[1], why[2])
  end
  if #input < 5 then return true end
  if reserved ~= 0 then return broken(self, "no answer of SOCKS5") end
  local size = kind == 1 and 4 or kind == 4 and 16 or kind == 3 and 1 + first
  if not size then return broken(self, ("unknown address type %d"):format(kind)) end
  if #input < 4 + size + 2 then return true end
  take(self, 4 + size + 2)
  return finish(self)
end

-- DST.ADDR: an address as octets, a name by its length.
local function socks5_request(self)
  local host = self.target.host
  local octets = four_octets(host)
  local address = octets and "\1" .. octets
  octets = not address and core.address_octets(host)
  address = address or octets and "\4" .. octets or "\3" .. string.char(#host) .. host
  return say(self, "\5\1\0" .. address .. port_octets(self.target.port), socks5_answer)
end

local function socks5_login(self)
  if #self.input < 2 then return true end
  local version, status = take(self, 2):byte(1, 2)
  if version ~= 1 then return broken(self, "no answer of RFC 1929") end
  if status ~= 0 then return refuse(self, "auth", "it refused the user or the password") end
  return socks5_request(self)
end

local function socks5_method(self)
  if #self.input < 2 then return true end
  local hop = self.hop
  local version, method = take(self, 2):byte(1, 2)
  if version ~= 5 then return broken(self, "no answer of SOCKS5") end
  if method == 0 then return socks5_request(self) end
  if method == 2 and hop.user then
    local password = hop.password or ""
    return say(self, "\1" .. string.char(#hop.user) .. hop.user .. string.char(#password) .. password, socks5_login)
  end
  if method == 255 then
    return refuse(self, "auth", hop.user and "it takes no user and password" or "it wants a login")
  end
  return broken(self, ("it chose method %d, which was not offered"):format(method))
end

local function begin_socks5(self)
  if #self.target.host > 255 then return refuse(self, "invalid", "a name above 255 octets") end
  return say(self, self.hop.user and "\5\2\0\2" or "\5\1\0", socks5_method)
end

-- --- SOCKS4 and 4a ----------------------------------------------------------------------------------

local SOCKS4 = {
  [91] = { "connect", "request refused or failed", true }, [92] = { "auth", "it cannot reach this user's identd" },
  [93] = { "auth", "identd names another user" },
}

local function socks4_answer(self)
  if #self.input < 2 then return true end
  local version, code = self.input:byte(1, 2)
  local why = SOCKS4[code]
  if version ~= 0 or code ~= 90 and not why then return broken(self, "no answer of SOCKS4") end
  if why then return refuse(self, why[1], self.target.words .. ": " .. why[2], why[3]) end
  if #self.input < 8 then return true end
  take(self, 8)
  return finish(self)
end

-- 4a: an address that cannot be, 0.0.0.x, and the name behind the user.
local function begin_socks4(self)
  local target = self.target
  local octets, name = four_octets(target.address or target.host), ""
  if not octets then
    if target.host:find(":", 1, true) then
      return refuse(self, "connect", target.words .. ": SOCKS4 knows no IPv6")
    end
    octets, name = "\0\0\0\1", target.host .. "\0"
  end
  return say(self, "\4\1" .. port_octets(target.port) .. octets .. (self.hop.user or "") .. "\0" .. name, socks4_answer)
end

-- --- HTTP CONNECT -----------------------------------------------------------------------------------

local function readable(text)
  text = text:gsub("[%z\1-\31\127]", " "):gsub("[\128-\255]", "?")
  return #text > 200 and text:sub(1, 200) .. "..." or text
end

-- field-line = field-name ":" OWS field-value OWS (RFC 9112 §5); no folding, no bare CR or LF.
local function is_head(head)
  local first = true
  if head:sub(-4) ~= "\r\n\r\n" then return false end
  for line in head:gmatch "(.-)\r\n" do
    if line:find "[%z\1-\8\10-\31\127]" then return false end
    if not first and line ~= "" and not line:find "^[A-Za-z0-9!#$%%&'*+.^_`|~-]+:" then return false end
    first = false
  end
  return true
end

-- The answer is whole with its empty line: one of 2xx to CONNECT has no content (RFC 9110 §9.3.6).
local function http_answer(self)
  local _, last = self.input:find("\n\r?\n", math.max(1, self.seen - 2))
  self.seen = #self.input
  if (last or #self.input) > HEAD then return refuse(self, "limit", "its answer is too long") end
  if #self.input >= 5 and self.input:sub(1, 5) ~= "HTTP/" then return broken(self, "no answer of HTTP") end
  if not last then return true end
  local head = take(self, last)
  self.seen = 0
  local code, words = head:match "^HTTP/1%.[01] ([1-5]%d%d)([^\r\n]*)\r\n"
  if not code or words:find "^[^ ]" or not is_head(head) then return broken(self, "no answer of HTTP") end
  if code:sub(1, 1) == "2" then return finish(self) end
  if code:sub(1, 1) == "1" and code ~= "101" then
    self.interim = (self.interim or 0) + 1
    if self.interim > 10 then return refuse(self, "limit", "its answer is too long") end
    return true
  end
  local auth = code == "407" or code == "401" -- which tinyproxy says to a wrong password
  return refuse(self, auth and "auth" or "connect", self.target.words .. ": " .. readable(code .. words),
    code:sub(1, 1) == "5")
end

local function begin_http(self)
  local target, hop = self.target, self.hop
  -- authority-form (RFC 9112 §3.2.3): no other name is one whatever the proxy takes it for.
  if target.host:find "[^A-Za-z0-9._:%%-]" then return refuse(self, "invalid", "a host name that HTTP cannot say") end
  local literal = target.host:find(":", 1, true) and "[" .. target.host:gsub("%%.*", "") .. "]" or target.host
  local authority = ("%s:%d"):format(literal, target.port)
  local login = hop.user and "Proxy-Authorization: Basic " .. core.base64(hop.user .. ":" .. (hop.password or ""))
    .. "\r\n" or ""
  self.seen = 0
  return say(self, ("CONNECT %s HTTP/1.1\r\nHost: %s\r\n"):format(authority, authority) .. login .. "\r\n", http_answer)
end

-- --- driving ----------------------------------------------------------------------------------------

local BEGIN = { socks5 = begin_socks5, socks5h = begin_socks5, socks4 = begin_socks4, socks4a = begin_socks4,
  http = begin_http }

--- The handshake with one proxy: `output()` → octets to send, `feed(octets)` → true | nil, err; `done`.
-- @tparam table hop of `proxy.parse`
-- @tparam table target host (a name in A-labels, or an address), port; address: that of the host, for socks4
-- @treturn table handshake; or nil, err
function proxy.handshake(hop, target)
  local words = ("%s:%d"):format(target.host, target.port)
  local self = setmetatable({ hop = hop, input = "",
    target = { host = target.host, port = target.port, address = target.address, words = words } }, Handshake)
  local ok, err = BEGIN[hop.scheme](self)
  if not ok then return nil, err end
  return self
end

-- Why nothing came or went, as an error.
local function lost(hop, why)
  if Err.is(why) then return nil, why end
  local kind = why == "timeout" and "timeout" or why == "cancelled" and "cancelled" or "connect"
  local words = why == "timeout" and "no answer in time" or why == "closed" and "it closed the connection" or why
  return nil, Err.new { kind = kind, message = hop.words .. ": " .. tostring(words), temporary = kind ~= "cancelled" }
end

-- What came behind the answer; or nil, err.
local function shake(host, conn, hop, target, deadline)
  local handshake, err = proxy.handshake(hop, target)
  if not handshake then return nil, err end
  while not handshake.done do
    local out, ok, why = handshake:output(), true, nil
    if out then ok, why = host.write(conn, out, deadline) end
    if not ok then return lost(hop, why) end
    local bytes
    bytes, why = host.read(conn, deadline)
    if not bytes then return lost(hop, why) end
    ok, err = handshake:feed(bytes)
    if not ok then return nil, err end
  end
  return handshake.input
end

-- The target as the hop is to be told of it: socks4 needs an address, which is asked for here.
local function target_of(way, hop, name, port)
  local target = { host = name, port = port }
  if hop.scheme == "socks4" and not name:find(":", 1, true) and not four_octets(name) then
    local found, err = fd.resolve(way.host, name, { dns_servers = way.dns_servers, family = 4 }, way.deadline)
    if not found then return nil, err end
    target.address = found[1]
  end
  return target
end

-- From hop to hop to the server; what it has said already, or nil, err. `way` is { host, dns_servers, deadline }.
local function through(way, conn, hops, name, port)
  for i, hop in ipairs(hops) do
    local onward = hops[i + 1]
    local target, err = target_of(way, hop, onward and onward.name or name, onward and onward.port or port)
    local rest
    if target then rest, err = shake(way.host, conn, hop, target, way.deadline) end
    if not rest then return nil, err end
    if not onward then return rest end
    if rest ~= "" then return broken({ hop = hop }, "it spoke out of turn") end
  end
end

--- Connects to the first proxy and through all of them.
-- @tparam table host the adapter
-- @tparam table hops of `proxy.parse`
-- @tparam string name the server's, in A-labels, or its address
-- @tparam number port
-- @tparam table options local_address, dns_servers, resolver: for the way to the first proxy
-- @tparam number deadline
-- @treturn conn; or nil, err
-- @return a value that must live as long as the connection
-- @treturn string what the server has said already
function proxy.connect(host, hops, name, port, options, deadline)
  for _, hop in ipairs(hops) do
    local ascii, why = core.idn(hop.host)
    if not ascii then return refuse({ hop = hop }, "dns", "bad host name: " .. why) end
    hop.name = ascii
  end
  local way = { local_address = options.local_address, dns_servers = options.dns_servers, resolver = options.resolver }
  local conn, guard = host.connect(hops[1].name, hops[1].port, way, deadline)
  if not conn then
    guard.message = "proxy: " .. guard.message
    return nil, guard
  end
  local rest, err = through({ host = host, dns_servers = options.dns_servers, deadline = deadline }, conn, hops, name,
    port)
  if rest then return conn, guard, rest end
  host.close(conn)
  return nil, err
end

return proxy
