--- TLS policy: from the `ssl` options of the public API to a context of the core, and what is kept
-- between connections.
--
-- Contexts are kept for some minutes, so that trusted certificates are not read for every connection
-- and a renewed file is still noticed. Sessions to resume are kept under a key that holds everything
-- that could make two connections differ in whom they trust or who they are; each is used once.
-- @module mail.tls

local core = require "mail.core"
local identity = require "mail.identity"
local want = require "mail.want"

local tls = {}

local OPTIONS = {
  verify = "boolean?", ca_file = "string?", ca_path = "string?", server_name = "string?", cert = "string?",
  key = "string?", min_version = "string?", ciphers = "string?", pin_sha256 = "string|table?",
  session_cache = "boolean?", alpn = "string|boolean?",
}
local SERVER_OPTIONS = {
  cert = "string", key = "string?", ca_file = "string?", ca_path = "string?", verify = "boolean?",
  min_version = "string?", ciphers = "string?", alpn = "string|boolean?",
}
local VERSIONS = { ["1.0"] = true, ["1.1"] = true, ["1.2"] = true, ["1.3"] = true }

-- Registered ALPN names (RFC 7301); SMTP has none.
local ALPN = { imap = "imap", pop3 = "pop3" }

-- How long a context is used before its files are read again, and how many are kept.
local CONTEXT_SECONDS, CONTEXTS = 300, 16
-- How many sessions are kept for later connections: some 10 KiB each.
local SESSIONS = 128

-- --- bounded tables -------------------------------------------------------------------------------

-- Keeps the newest `size` values that were put in; `take` removes what it returns.
local function bounded(size)
  local values, stamps, count, stamp = {}, {}, 0, 0
  local self = {}
  local function drop_oldest()
    local oldest
    for key, at in pairs(stamps) do
      if not oldest or at < stamps[oldest] then oldest = key end
    end
    self.take(oldest)
  end
  function self.get(key) return values[key] end
  function self.count() return count end
  function self.take(key)
    local value = values[key]
    if value ~= nil then values[key], stamps[key], count = nil, nil, count - 1 end
    return value
  end
  function self.put(key, value)
    if values[key] == nil then
      if count == size then drop_oldest() end
      count = count + 1
    end
    stamp = stamp + 1
    values[key], stamps[key] = value, stamp
  end
  function self.clear() values, stamps, count = {}, {}, 0 end
  return self
end

local contexts = bounded(CONTEXTS)
local sessions = bounded(SESSIONS)
-- session userdata → key of what it may leave behind
local keys = setmetatable({}, { __mode = "k" })

-- --- contexts -------------------------------------------------------------------------------------

-- Reads the trusted certificates of a kept context one by one; tasks that wait for the same one take
-- turns at it.
local function read_trusted(kept, key, rest)
  while not kept.ready do
    local ready, why = kept.context:step()
    if ready == nil then
      if contexts.get(key) == kept then contexts.take(key) end
      return nil, why
    end
    kept.ready = ready
    if rest and not ready then rest() end
  end
  return kept.context, key
end

-- A context of the core for these options: userdata, key; or nil, message. `rest` is called between two
-- certificates.
local function context(c, rest)
  local key = identity.of(c)
  local kept = contexts.get(key)
  if not (kept and os.time() - kept.made < CONTEXT_SECONDS and os.time() >= kept.made) then
    local made, why = core.tls_context(c)
    if not made then return nil, why end
    contexts.take(key)
    kept = { context = made, made = os.time() }
    contexts.put(key, kept)
  end
  return read_trusted(kept, key, rest)
end

-- --- options --------------------------------------------------------------------------------------

-- A pin as the core takes it, the base64 of 32 octets: from that itself, behind "sha256//" as curl writes it, or from
-- hexadecimal digits, with colons as fingerprints have. Nil where it is none of these.
local function pin_of(text)
  text = text:gsub("^[Ss][Hh][Aa]256/+", "")
  local digits = text:gsub(":", "")
  if #digits == 64 and not digits:find "%X" then
    return core.base64((digits:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)))
  end
  if #text == 43 then text = text .. "=" end
  return #text == 44 and text:find "^[A-Za-z0-9+/]+=$" and text or nil
end

local function pins_of(given)
  if given == nil then return nil end
  local pins = {}
  for i, pin in ipairs(type(given) == "table" and given or { given }) do pins[i] = pin_of(pin) end
  return pins
end

local function check(options, spec, what, level)
  want(options, spec, what, level + 1)
  if options.min_version and not VERSIONS[options.min_version] then
    error(what .. ": option 'min_version' must be 1.0, 1.1, 1.2 or 1.3", level + 2)
  end
  if type(options.pin_sha256) == "table" and options.pin_sha256[1] == nil then
    error(what .. ": option 'pin_sha256' names no key", level + 2) -- which must not mean any key
  end
  for _, pin in ipairs(type(options.pin_sha256) == "table" and options.pin_sha256 or { options.pin_sha256 }) do
    if type(pin) ~= "string" then error(what .. ": a pin of 'pin_sha256' must be string", level + 2) end
    if not pin_of(pin) then
      error(what .. ": option 'pin_sha256' must be the base64 of 32 octets, or 64 hexadecimal digits", level + 2)
    end
  end
  if options.key and not options.cert then
    error(what .. ": option 'key' needs 'cert'", level + 2)
  end
  return options
end

--- Checks the `ssl` options of a client; what is wrong raises.
-- @tparam table ssl
-- @tparam string what the call, for the message
-- @tparam[opt=1] number level whose line is blamed: 1 = the caller of the function that calls this
function tls.check(ssl, what, level)
  check(ssl, OPTIONS, what .. " ssl", (level or 1))
  return ssl
end

local function alpn_of(ssl, protocol)
  if ssl.alpn == false then return nil end
  return type(ssl.alpn) == "string" and ssl.alpn or ALPN[protocol]
end

--- The context of a client.
-- @tparam table ssl as of `mail.connect`
-- @tparam string protocol "imap", "pop3", "smtp": names the application protocol to the server
-- @tparam[opt] string mode "opportunistic": what cannot be verified is accepted unless `verify` is set
-- @tparam[opt] function rest called between two trusted certificates: to read all of them takes long
-- @treturn userdata context; and the key of its options; or nil, message
function tls.context(ssl, protocol, mode, rest)
  local verify = ssl.verify
  if verify == nil then verify = mode ~= "opportunistic" end
  return context({
    verify = verify, ca_file = ssl.ca_file, ca_path = ssl.ca_path, cert = ssl.cert, key = ssl.key,
    min_version = ssl.min_version, ciphers = ssl.ciphers, pin_sha256 = pins_of(ssl.pin_sha256),
    alpn = alpn_of(ssl, protocol), in_steps = true,
  }, rest)
end

--- The context of a server. `verify = true` demands a certificate from clients (with `ca_file`).
-- @tparam table ssl `cert` (file or PEM, with the chain), `key`, `ca_file`, `ca_path`, `verify`,
--   `min_version`, `ciphers`; wrong ones raise
-- @tparam string protocol all other application protocols are refused
-- @treturn userdata context; or nil, message
function tls.server_context(ssl, protocol)
  check(ssl, SERVER_OPTIONS, "ssl of a server", 1)
  return context {
    server = true, verify = ssl.verify or false, ca_file = ssl.ca_file, ca_path = ssl.ca_path,
    cert = ssl.cert, key = ssl.key, min_version = ssl.min_version, ciphers = ssl.ciphers,
    alpn = alpn_of(ssl, protocol),
  }
end

-- --- resumption -----------------------------------------------------------------------------------

-- What says nothing of whom one talks to, or as whom. `ssl` is in the context's key; a secret changes without
-- making somebody else of its user.
local HARMLESS = { ssl = true, password = true, token = true, timeout = true, log = true, limits = true, loop = true,
  login = true }

--- The key under which the session of a connection is kept: everything that tells two connections apart. Whom we
-- trust and how (the context's key), whom we expect, where, and as whom we will log in.
-- @tparam table o options of the connection, those of `mail.connect`
-- @tparam string protocol
-- @tparam string name the server's, which it must prove
-- @tparam string context_options as from `tls.context`
function tls.session_key(o, protocol, name, context_options)
  return identity.of({ protocol, name, context_options, identity.of(o, HARMLESS) })
end

--- Keeps what a later connection can be resumed with. To be called when a session ends in good order:
-- in TLS 1.3 tickets come some time after the handshake.
-- @tparam userdata session
function tls.remember(session)
  local key = keys[session]
  if not key or session:is_freed() then return end
  keys[session] = nil
  local kept = session:tls_session()
  if kept then sessions.put(key, kept) end
end

--- How many contexts and sessions are kept.
-- @treturn number contexts
-- @treturn number sessions
function tls.kept()
  return contexts.count(), sessions.count()
end

--- Forgets all of them.
function tls.forget()
  contexts.clear()
  sessions.clear()
end

-- --- beginning ------------------------------------------------------------------------------------

-- The name that the server must prove, in A-labels.
local function expected_name(ssl, o)
  local name = ssl.server_name or o.host
  if name and name:find("[\128-\255]") then return core.idn(name) end
  return name
end

--- Puts TLS on a client session; the handshake runs as bytes move.
-- @tparam userdata session
-- @tparam table o options of the connection: `host`, `port`, `tls`, `ssl`, `user` …
-- @tparam string protocol "imap", "pop3", "smtp"
-- @tparam[opt] function rest as for `tls.context`
-- @treturn boolean true; or nil, message
function tls.start(session, o, protocol, rest)
  local ssl = o.ssl or {}
  local made, options_key = tls.context(ssl, protocol, o.tls, rest)
  if not made then return nil, options_key end
  local name, why = expected_name(ssl, o)
  if not name then return nil, why end
  local resume
  if ssl.session_cache ~= false then
    local key = tls.session_key(o, protocol, name, options_key)
    resume = sessions.take(key)
    keys[session] = key
  end
  return session:start_tls(made, name, resume)
end

return tls
