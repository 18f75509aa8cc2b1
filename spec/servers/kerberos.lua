-- Kerberos for the suite: MIT's KDC with one realm, EXAMPLE.TEST, its users' tickets, and a keytab with the keys of
-- the services that Dovecot and Cyrus are.
--
-- Nothing is known of it but by KRB5_CONFIG: `k.environment` ("NAME=value …") is for the programs that shall know it.
-- The realm's default place for tickets is a file that is not there. A server takes it as the option `kerberos = k`.
-- Options: users (a count or names). Fields: realm, environment, keytab, config, ports.kdc, users.
local Keeper = require "spec.servers.keeper"
local Server = require "spec.servers.server"

local fill = Server.fill

local Kerberos = Server.class()

local REALM = "EXAMPLE.TEST"

-- DNS is asked for nothing, though what a client of the library may ask it by default stays allowed: that ours
-- does not is for the specs to see.
local CLIENT = [[
[libdefaults]
  default_realm = @REALM
  dns_lookup_kdc = false
  dns_lookup_realm = false
  udp_preference_limit = 1
  default_ccache_name = FILE:@FOLDER/no-tickets
[realms]
  @REALM = {
    kdc = 127.0.0.1:@PORT
  }
[domain_realm]
  localhost = @REALM
]]

local KDC = [[
[kdcdefaults]
  kdc_listen = 127.0.0.1:@PORT
  kdc_tcp_listen = 127.0.0.1:@PORT
[realms]
  @REALM = {
    database_name = @FOLDER/db/principal
    key_stash_file = @FOLDER/db/stash
    supported_enctypes = aes256-cts:normal
  }
[logging]
  kdc = FILE:@FOLDER/kdc.log
]]

function Kerberos:admin(command)
  local ok, why = self.keeper:run("/usr/sbin/kadmin.local", { "-r", REALM, "-q", command })
  if not ok or why:find "[Cc]annot" or why:find "while " then error("kadmin.local: " .. why) end
end

function Kerberos:admit(user) self:admin(("addprinc -pw %s %s"):format(user.password, user.name)) end

--- A ticket of a user's, as the name of the file that holds it ("FILE:…").
-- @tparam table user from `add_user`
-- @tparam[opt] string life as of kinit ("1s")
function Kerberos:ticket(user, life)
  self.tickets = self.tickets + 1
  local cache = ("FILE:%s/tickets%d"):format(self.folder, self.tickets)
  local ok, why = self.keeper:run("/usr/bin/kinit", { "-c", cache, "-l", life or "1h", user.name },
    user.password .. "\n")
  if not ok then error("kinit: " .. why) end
  return cache
end

--- Whether a ticket is good now.
function Kerberos:is_good(cache) return (self.keeper:run("/usr/bin/klist", { "-s", "-c", cache })) end

--- What is in it, as klist says it.
function Kerberos:list(cache)
  local _, text = self.keeper:run("/usr/bin/klist", { "-c", cache })
  return text
end

-- It does not greet.
function Kerberos:start()
  if self.running then return true end
  local ok, why = self.keeper:start { self.ports.kdc }
  if not ok then return nil, "Kerberos did not start: " .. why .. "\n" .. self:log() end
  self.running = true
  return true
end

-- The data base, and the keys of the services.
function Kerberos:create(services)
  local ok, why = self.keeper:run("/usr/sbin/kdb5_util", { "create", "-s", "-r", REALM, "-P", "master" })
  if not ok then return nil, "kdb5_util: " .. why end
  for _, service in ipairs(services) do
    self:admin(("addprinc -randkey %s/localhost"):format(service))
    self:admin(("ktadd -k %s %s/localhost"):format(self.keytab, service))
  end
  return true
end

local M = {}

function M.find() return Keeper.find("kerberos", "/usr/sbin/krb5kdc") end

function M.new(_, options, found)
  found.environment = "KRB5_CONFIG=@/krb5.conf KRB5_KDC_PROFILE=@/kdc.conf"
  local self = setmetatable({ name = "Kerberos", options = options, realm = REALM, host = "127.0.0.1",
    domain = REALM:lower(), password = "secret", logs = { "output", "kdc.log" }, tickets = 0 }, Kerberos)
  local kept, why = self:take_keeper(found, { "-n", "-r", REALM })
  if not kept then return nil, why end
  self:take_ports { "kdc" }
  local values = { FOLDER = self.folder, REALM = REALM, PORT = self.ports.kdc }
  self.config, self.keytab = self.keeper:write("krb5.conf", fill(CLIENT, values)), self.folder .. "/keytab"
  self.environment = ("KRB5_CONFIG=%s KRB5RCACHENAME=file2:%s/replays"):format(self.config, self.folder)
  self.keeper:write("kdc.conf", fill(KDC, values))
  self.keeper:write("db/.keep", "")
  kept, why = self:create { "imap", "pop", "smtp", "lmtp" }
  if kept then return self:open(options) end
  self:close()
  return nil, why
end

return M
