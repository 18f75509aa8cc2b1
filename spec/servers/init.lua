--- Real mail servers for specs, the demo and benchmarks: plain Lua on all five Luas, nothing of lua-mail in it.
--
--     local servers = require "spec.servers"
--     local s, why = servers.mail { users = 3 }        -- Dovecot and Exim that deliver to one another
--     if not s then return pending(why) end
--     connect(s.host, s.ports.imap, s.user, s.password, servers.certificates().ca_file)
--
-- A server is started at the first call with its options and is shared by every later call with the same options,
-- across spec files (busted forgets modules between files; the registry does not). Take a fresh user with
-- `s:add_user()` rather than a fresh server. `private = true` gives one of your own, for stop and restart.
-- Everything lives in a temporary folder on free ports of 127.0.0.1 and ends with this process, however it ends.
-- Nothing here needs root, a namespace or an installed server; what a machine cannot run is `nil, reason`.
local Keeper = require "spec.servers.keeper"

local servers = { domain = "example.test", password = "secret" }

-- Over the whole process, and not only this load of the module.
local registry = debug.getregistry()
local shared = registry["lua-mail.spec.servers"]
if not shared then
  shared = {}
  registry["lua-mail.spec.servers"] = shared
end

local function key_of(kind, options)
  local names = {}
  for name, value in pairs(options) do names[#names + 1] = name .. "=" .. tostring(value) end
  table.sort(names)
  return kind .. " " .. table.concat(names, "\n")
end

-- A stopped server is started again by whoever asks next; one that was closed is made anew.
local function share(kind, make, options)
  options = options or {}
  if options.private then return make(options) end
  local key = key_of(kind, options)
  local known = shared[key]
  if known and not known.closed then
    if known.start and not known.running then
      local ok, why = known:start()
      if not ok then return nil, why end
    end
    return known
  end
  local made, why = make(options)
  shared[key] = made
  return made, why
end

local names = { "good", "good2", "expired", "not_yet", "wrong_host", "name_only", "wildcard", "wrong_purpose",
  "foreign", "self_signed", "chain", "chain_incomplete", "client", "client_foreign" }

-- Every program of the suite wants the same: they are made once a day for a tree, and copied.
local MAKE = [[
set -e
kept=@ROOT/build/servers/certificates
fresh() { [ -n "$(find "$kept/complete" -newer @ROOT/spec/servers/certificates.sh -mmin -1000 2>/dev/null)" ]; }
make() {
  fresh && return
  rm -rf "$kept" "$kept.new" # what was left by a run that was ended
  mkdir "$kept.new"
  sh @ROOT/spec/servers/certificates.sh "$kept.new"
  : > "$kept.new/complete"
  mv "$kept.new" "$kept"
}
if ! command -v flock >/dev/null || ! [ -w @ROOT/build/servers ]; then
  exec sh @ROOT/spec/servers/certificates.sh @FOLDER
fi
exec 9> "$kept.lock"
flock 9
make
cp "$kept"/* @FOLDER
]]

local function make_certificates()
  local openssl = Keeper.shell "command -v openssl"
  if not openssl then return nil, "no openssl program" end
  local keeper, why = Keeper.new({ program = "/bin/true" }, {})
  if not keeper then return nil, why end
  local values = { ROOT = Keeper.quote(Keeper.root), FOLDER = keeper.folder }
  local ok, out = Keeper.shell("sh " .. keeper:write("make.sh", (MAKE:gsub("@(%u+)", values))))
  if not ok then
    keeper:close()
    return nil, out
  end
  local made = { keeper = keeper, folder = keeper.folder, ca_file = keeper.folder .. "/ca.crt",
    foreign_ca_file = keeper.folder .. "/foreign_ca.crt" }
  for _, name in ipairs(names) do
    local pin = keeper:read(name .. ".pin"):match "%S+"
    made[name] = { cert = keeper.folder .. "/" .. name .. ".crt", key = keeper.folder .. "/" .. name .. ".key",
      pin = pin }
  end
  return made
end

--- The run's certificates: { ca_file, foreign_ca_file, NAME = { cert, key, pin } }, or nil and the reason. NAME is
-- good, good2 (localhost, 127.0.0.1, 127.0.0.2, ::1), expired, not_yet, wrong_host (elsewhere.example.test),
-- name_only (no subjectAltName), wildcard (*.example.test), wrong_purpose (not for servers), foreign (an unknown
-- authority), self_signed, chain (with its intermediate), chain_incomplete (without), client, client_foreign
-- (CN user1). pin is the base64 of the SHA-256 of the public key, for good, good2 and self_signed.
function servers.certificates() return share("certificates", make_certificates) end

--- Dovecot alone: see `spec/servers/dovecot.lua` for its options and fields.
function servers.dovecot(options)
  return share("dovecot", function(o) return require "spec.servers.dovecot".new(servers, o) end, options)
end

--- Exim alone: see `spec/servers/exim.lua` for its options and fields.
function servers.exim(options)
  return share("exim", function(o) return require "spec.servers.exim".new(servers, o) end, options)
end

--- Cyrus alone: see `spec/servers/cyrus.lua` for its options and fields.
function servers.cyrus(options)
  return share("cyrus", function(o) return require "spec.servers.cyrus".new(servers, o) end, options)
end

--- Courier alone: see `spec/servers/courier.lua` for its options and fields.
function servers.courier(options)
  return share("courier", function(o) return require "spec.servers.courier".new(servers, o) end, options)
end

--- Postfix alone: see `spec/servers/postfix.lua` for its options and fields.
function servers.postfix(options)
  return share("postfix", function(o) return require "spec.servers.postfix".new(servers, o) end, options)
end

--- Postfix's smtp-sink: see `spec/servers/sink.lua` for its options.
function servers.sink(options)
  return share("sink", function(o) return require "spec.servers.sink".new(servers, o) end, options)
end

--- OpenSMTPD alone: see `spec/servers/opensmtpd.lua` for its options and fields.
function servers.opensmtpd(options)
  return share("opensmtpd", function(o) return require "spec.servers.opensmtpd".new(servers, o) end, options)
end

--- nginx with its Lua module and this library: see `spec/servers/nginx.lua` for its options and fields.
function servers.nginx(options)
  return share("nginx", function(o) return require "spec.servers.nginx".new(servers, o) end, options)
end

--- A KDC, with tickets and keys: see `spec/servers/kerberos.lua` for its options and fields.
function servers.kerberos(options)
  return share("kerberos", function(o) return require "spec.servers.kerberos".new(servers, o) end, options)
end

--- A name server: see `spec/servers/dns.lua` for its options and fields.
function servers.dns(options)
  return share("dns", function(o) return require "spec.servers.dns".new(servers, o) end, options)
end

--- A SOCKS5 or HTTP proxy: see `spec/servers/proxies.lua` for its options and fields.
function servers.proxy(options)
  return share("proxy", function(o) return require "spec.servers.proxies".new(servers, o) end, options)
end

local function with(options, more)
  local copy = {}
  for name, value in pairs(options) do copy[name] = value end
  for name, value in pairs(more) do copy[name] = value end
  return copy
end

-- Each must know a port of the other before either runs. Their options are tables of their own: a server reads
-- them again when it starts.
local function make_mail(options)
  local dovecot, why = require "spec.servers.dovecot".new(servers,
    with(options, { prepare_only = true, relay = true, extra = options.dovecot_extra }))
  if not dovecot then return nil, why end
  local exim
  exim, why = require "spec.servers.exim".new(servers,
    with(options, { prepare_only = true, relay = true, deliver_to = dovecot, extra = options.exim_extra }))
  if not exim then
    dovecot:close()
    return nil, why
  end
  return require "spec.servers.pair".join(dovecot, exim)
end

--- Dovecot and Exim with the same users: what Exim takes is in Dovecot's store, and what Dovecot's submission
-- takes goes out through Exim. Options of both, `extra` as
-- dovecot_extra and exim_extra. The fields are Dovecot's, with Exim's ports beside them as
-- ports.smtp (MX), ports.exim_submission and ports.exim_submissions; `s.dovecot` and `s.exim` are the two.
function servers.mail(options) return share("mail", make_mail, options) end

--- Ends every shared server now, instead of with the process.
function servers.stop_all()
  for key, server in pairs(shared) do
    if server.close then server:close() elseif server.keeper then server.keeper:close() end
    shared[key] = nil
  end
end

return servers
