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
-- Nothing here needs root, a namespace or an installed server. What a machine has not got is `nil, reason`, for a
-- spec to skip; what it has got and what does not start raises with what it wrote, so that the spec fails.
local Keeper = require "spec.servers.keeper"

local servers = { domain = "example.test", password = "secret" }

-- Over the whole process, and not only this load of the module: servers that run, and why others did not start.
local registry = debug.getregistry()
local known = registry["lua-mail.spec.servers"]
if not known then
  known = { running = {}, failed = {} }
  registry["lua-mail.spec.servers"] = known
end

local function key_of(kind, options)
  local names = {}
  for name, value in pairs(options) do names[#names + 1] = name .. "=" .. tostring(value) end
  table.sort(names)
  return kind .. " " .. table.concat(names, "\n")
end

local function must(made, why)
  if made then return made end
  error(why, 0)
end

-- A stopped server is started again by whoever asks next; one that was closed is made anew. One that did not start
-- is not waited for again: each of a file's specs would wait its time out.
local function share(key, make)
  local server = known.running[key]
  if server and not server.closed then
    if server.start and not server.running then must(server:start()) end
    return server
  end
  if known.failed[key] then error(known.failed[key], 0) end
  local fine, made, why = pcall(make)
  if not (fine and made) then
    known.failed[key] = fine and why or made
    error(known.failed[key], 0)
  end
  known.running[key] = made
  return made
end

-- A function of `servers`: `find` says whether this machine has got what `make` starts.
local function server(kind, find, make)
  return function(options)
    options = options or {}
    local found, why = find(options)
    if not found then return nil, why end
    if options.private then return must(make(options, found)) end
    return share(key_of(kind, options), function() return make(options, found) end)
  end
end

-- The same of the module that knows that kind: M.find(options) is what Keeper.find gives, or nil and the reason;
-- M.new(servers, options, found) is the server, or nil and what is wrong with it.
local function known_as(kind, module)
  local name = "spec.servers." .. (module or kind)
  return server(kind, function(options) return require(name).find(options) end,
    function(options, found) return require(name).new(servers, options, found) end)
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
servers.certificates = server("certificates", Keeper.able, make_certificates)

--- Dovecot alone: see `spec/servers/dovecot.lua` for its options and fields.
servers.dovecot = known_as("dovecot")

--- Exim alone: see `spec/servers/exim.lua` for its options and fields.
servers.exim = known_as("exim")

--- Cyrus alone: see `spec/servers/cyrus.lua` for its options and fields.
servers.cyrus = known_as("cyrus")

--- Courier alone: see `spec/servers/courier.lua` for its options and fields.
servers.courier = known_as("courier")

--- Postfix alone: see `spec/servers/postfix.lua` for its options and fields.
servers.postfix = known_as("postfix")

--- Postfix's smtp-sink: see `spec/servers/sink.lua` for its options.
servers.sink = known_as("sink")

--- OpenSMTPD alone: see `spec/servers/opensmtpd.lua` for its options and fields.
servers.opensmtpd = known_as("opensmtpd")

--- nginx with its Lua module and this library: see `spec/servers/nginx.lua` for its options and fields.
servers.nginx = known_as("nginx")

--- A KDC, with tickets and keys: see `spec/servers/kerberos.lua` for its options and fields.
servers.kerberos = known_as("kerberos")

--- A name server: see `spec/servers/dns.lua` for its options and fields.
servers.dns = known_as("dns")

--- A SOCKS5 or HTTP proxy: see `spec/servers/proxies.lua` for its options and fields.
servers.proxy = known_as("proxy", "proxies")

local function with(options, more)
  local copy = {}
  for name, value in pairs(options) do copy[name] = value end
  for name, value in pairs(more) do copy[name] = value end
  return copy
end

local function find_mail(options)
  local dovecot, why = require "spec.servers.dovecot".find(options)
  if not dovecot then return nil, why end
  local exim
  exim, why = require "spec.servers.exim".find(options)
  return exim and { dovecot = dovecot, exim = exim }, why
end

-- Each must know a port of the other before either runs. Their options are tables of their own: a server reads
-- them again when it starts.
local function make_mail(options, found)
  local dovecot, why = require "spec.servers.dovecot".new(servers,
    with(options, { prepare_only = true, relay = true, extra = options.dovecot_extra }), found.dovecot)
  if not dovecot then return nil, why end
  local exim
  exim, why = require "spec.servers.exim".new(servers,
    with(options, { prepare_only = true, relay = true, deliver_to = dovecot, extra = options.exim_extra }), found.exim)
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
servers.mail = server("mail", find_mail, make_mail)

--- Ends every shared server now, instead of with the process.
function servers.stop_all()
  for key, one in pairs(known.running) do
    if one.close then one:close() elseif one.keeper then one.keeper:close() end
    known.running[key] = nil
  end
end

return servers
