-- OpenSMTPD 6.8: an MX, submission with STARTTLS and submission over implicit TLS, run by one user without rights, who
-- is shown root's (asroot.c). It has no CHUNKING, no SMTPUTF8, and no PIPELINING.
--
-- Options: users (a count, at most 300)   certificate (a name of servers.certificates)
--   size                largest message, default "300M"
--   extra               text in front of the listeners of smtpd.conf
-- Ports: smtp (no AUTH needed for example.test, other domains are refused; STARTTLS), submission (AUTH PLAIN, LOGIN
-- needed, after STARTTLS), submissions (the same over implicit TLS), proxies (as smtp, behind a PROXY header, version
-- 2). Local parts that are answered alike for everybody: tempfail 450, full 552; one that is no user's is 550. A user
-- may be addressed as user+detail.
local Keeper = require "spec.servers.keeper"
local Server = require "spec.servers.server"

local fill = Server.fill

local OpenSMTPD = Server.class()

local CONFIGURATION = [[
pki mx.@DOMAIN cert "@CERT"
pki mx.@DOMAIN key "@FOLDER/etc/key"
table logins file:@FOLDER/etc/logins
table users file:@FOLDER/etc/users
smtp max-message-size @SIZE
queue ttl 1h
filter full phase rcpt-to match rcpt-to { "full@@DOMAIN" } reject "552 5.2.2 mailbox full"
filter tempfail phase rcpt-to match rcpt-to { "tempfail@@DOMAIN" } reject "450 4.2.0 try again later"
filter answers chain { full, tempfail }
@EXTRA
listen on 127.0.0.1 port @smtp tls pki mx.@DOMAIN hostname mx.@DOMAIN filter answers
listen on 127.0.0.1 port @submission tls-require pki mx.@DOMAIN auth <logins> hostname mx.@DOMAIN filter answers
listen on 127.0.0.1 port @submissions smtps pki mx.@DOMAIN auth <logins> hostname mx.@DOMAIN filter answers
listen on 127.0.0.1 port @proxies proxy-v2 hostname mx.@DOMAIN filter answers
action here maildir "@FOLDER/mail/%{user.username}/Maildir" userbase <users>
match from any for domain "@DOMAIN" action here
]]

-- Tables are read once, so these are there whether anybody called for them or not, with one password.
local USERS = 300

function OpenSMTPD:tables()
  local _, hash = Keeper.shell("openssl passwd -6 " .. Keeper.quote(self.password))
  local logins, users, k = {}, {}, self.keeper
  for i = 1, USERS do
    logins[i] = ("user%d %s\n"):format(i, hash)
    users[i] = ("user%d %d:%d:%s/mail/user%d\n"):format(i, k.uid, k.gid, k.folder, i)
  end
  k:write("etc/logins", table.concat(logins))
  k:write("etc/users", table.concat(users))
end

function OpenSMTPD:start()
  if not self.running then
    local values = { FOLDER = self.folder, DOMAIN = self.domain, CERT = self.certificate.cert,
      SIZE = self.options.size or "300M", EXTRA = self.options.extra or "" }
    for name, port in pairs(self.ports) do values[name] = port end
    self.keeper:write("etc/smtpd.conf", fill(CONFIGURATION, values))
    self:tables()
    Keeper.shell(("install -m 600 %s %s/etc/key"):format(self.certificate.key, self.folder)) -- nobody else may read it
  end
  return Server.start(self)
end

function OpenSMTPD:admit(user)
  local n = tonumber(user.name:match "^user(%d+)$")
  assert(n and n <= USERS and user.password == self.password, "users here are user1 to user" .. USERS)
  user.maildir = self.folder .. "/mail/" .. user.name .. "/Maildir"
  Keeper.shell(("d=%s && mkdir -p $d && chown %d:%d $d"):format(Keeper.quote(self.folder .. "/mail/" .. user.name),
    self.keeper.uid, self.keeper.gid))
end

local M = {}

function M.find()
  local found, why = Keeper.find("opensmtpd", "/usr/sbin/smtpd")
  if found and not found.root then return nil, "OpenSMTPD is installed, and will run as root alone" end
  return found, why
end

function M.new(servers, options, found)
  found.as_root, found.environment = true, "LM_ALL_ROOT=1"
  local self = setmetatable({ name = "OpenSMTPD", options = options, host = "127.0.0.1", domain = servers.domain,
    password = servers.password, logs = { "output", "syslog" } }, OpenSMTPD)
  local why
  self.certificate, why = self:take_certificate(servers, options.certificate)
  if not self.certificate then return nil, why end
  local kept
  kept, why = self:take_keeper(found, { "-d", "-f", "@/etc/smtpd.conf" })
  if not kept then return nil, why end
  self:take_ports { "smtp", "submission", "submissions", "proxies" }
  Keeper.shell(("cd %s && mkdir -p mail overlay/var/run overlay/var/spool overlay/var/lib/opensmtpd/empty"):format(
    Keeper.quote(self.folder)))
  return self:open(options)
end

return M
