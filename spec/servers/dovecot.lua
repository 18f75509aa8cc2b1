-- Dovecot 2.3: IMAP, POP3, LMTP and submission for the suite, run by one user without rights.
--
-- Options: users (a count or names)   store ("sdbox" or "maildir")   certificate (a name of servers.certificates)
--   plaintext = false   no LOGIN, USER or PLAIN before TLS; host is then 127.0.0.2, because Dovecot takes a
--                       client with the server's own address for secured
--   tls = false         no STARTTLS and no TLS ports      tls_min ("TLSv1.2", "TLSv1.3")
--   client_certificate  asks for a certificate of the run's authority; its CN may log in by EXTERNAL
--   mechanisms          SASL mechanisms, default "plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 apop"
--   relay               where submission hands on to: a server with ports.smtp (servers.mail does it)
--   kerberos            of servers.kerberos: the mechanism "gssapi" takes its tickets
--   plugins, imap_plugins   mail_plugins for all and for IMAP      extra   text appended to dovecot.conf
-- Ports: imap imaps pop3 pop3s lmtp, and with a relay submission submissions.
local Keeper = require "spec.servers.keeper"
local Server = require "spec.servers.server"

local fill = Server.fill

local Dovecot = Server.class()

-- No delay after a wrong password, no fsync, processes kept for the next login: the suite logs in thousands of
-- times. 200 and more connections of one user at once are meant to work.
local COMMON = [[
base_dir = @FOLDER/run
state_dir = @FOLDER/run
log_path = @FOLDER/log
instance_name = lua-mail-spec
listen = @LISTEN
protocols = @PROTOCOLS
hostname = localhost
default_internal_user = @USER
default_internal_group = @GROUP
default_login_user = @USER
default_process_limit = 1200
default_client_limit = 6000
first_valid_uid = 1
first_valid_gid = 1
import_environment = TZ LM_REROOT LD_LIBRARY_PATH LD_PRELOAD @KERBEROS
@LIBEXEC
auth_mechanisms = @MECHANISMS
auth_failure_delay = 0
auth_verbose = yes
disable_plaintext_auth = @NOPLAIN
mail_location = @STORE
mail_plugins = @PLUGINS
mail_fsync = never
mail_max_userip_connections = 2000
mail_attribute_dict = file:%h/attributes
lmtp_save_to_detail_mailbox = no
recipient_delimiter = +
submission_relay_host = 127.0.0.1
submission_relay_port = @RELAY
submission_relay_ssl = no
passdb {
  driver = passwd-file
  args = username_format=%n @FOLDER/users/%n
}
userdb {
  driver = passwd-file
  args = username_format=%n @FOLDER/users/%n
}
namespace inbox {
  inbox = yes
  separator = /
  mailbox Drafts {
    special_use = \Drafts
    auto = subscribe
  }
  mailbox Sent {
    special_use = \Sent
    auto = subscribe
  }
  mailbox Trash {
    special_use = \Trash
    auto = subscribe
  }
  mailbox Junk {
    special_use = \Junk
    auto = subscribe
  }
  mailbox Archive {
    special_use = \Archive
    auto = subscribe
  }
}
protocol imap {
  imap_metadata = yes
  mail_plugins = $mail_plugins @IMAPPLUGINS
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  chroot =
}
service imap {
  service_count = 100
}
service pop3 {
  service_count = 100
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = @lmtp
  }
}
]]

-- A listener with port 0 is none; one login process of each kind takes every connection.
local LOGIN = [[
service @NAME-login {
  chroot =
  service_count = 0
  process_min_avail = 1
  process_limit = 1
  inet_listener @NAME {
    port = @PLAIN
  }
  inet_listener @TLSNAME {
    port = @TLS
    ssl = yes
  }
}
]]

-- The keys of all services, under whatever name this machine knows itself.
local KERBEROS = [[
auth_krb5_keytab = %s
auth_gssapi_hostname = "$ALL"
]]

function Dovecot:tls_settings(certificate, made, options)
  if options.tls == false then return "ssl = no\n" end
  local text = string.format("ssl = yes\nssl_cert = <%s\nssl_key = <%s\nssl_min_protocol = %s\n",
    certificate.cert, certificate.key, options.tls_min or "TLSv1.2")
  if not options.client_certificate then return text end
  return text .. "ssl_ca = <" .. made.ca_file .. "\nssl_verify_client_cert = yes\nssl_require_crl = no\n"
    .. "auth_ssl_username_from_cert = yes\nssl_cert_username_field = commonName\n"
    .. "passdb {\n  driver = static\n  mechanisms = external\n  args = nopassword=y\n}\n"
end

-- Written as late as the start: a relay may get its ports after us.
function Dovecot:configuration()
  local options, k, relay = self.options, self.keeper, self.relay
  local mechanisms = options.mechanisms or "plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 apop"
  if options.client_certificate then mechanisms = mechanisms .. " external" end
  local text = { fill(COMMON, {
    FOLDER = k.folder, LISTEN = "127.0.0.1" .. (options.plaintext == false and ", 127.0.0.2" or ""),
    PROTOCOLS = "imap pop3 lmtp" .. (relay and " submission" or ""),
    USER = k.user, GROUP = k.group, MECHANISMS = mechanisms, NOPLAIN = options.plaintext == false and "yes" or "no",
    LIBEXEC = k.found.root and fill("libexec_dir = @D/tree/usr/lib/dovecot\n"
      .. "mail_plugin_dir = @D/tree/usr/lib/dovecot/modules", { D = k.folder }) or "",
    STORE = self.store == "maildir" and "maildir:~/Maildir" or "sdbox:~/sdbox",
    PLUGINS = options.plugins or "", IMAPPLUGINS = options.imap_plugins or "",
    KERBEROS = options.kerberos and options.kerberos.environment or "",
    RELAY = relay and relay.ports.smtp or 0, lmtp = self.ports.lmtp,
  }), self.tls }
  for _, name in ipairs { "imap", "pop3", relay and "submission" or nil } do
    text[#text + 1] = fill(LOGIN, { NAME = name, TLSNAME = name .. "s", PLAIN = self.ports[name],
      TLS = self.ports[name .. "s"] or 0 })
  end
  if options.kerberos then text[#text + 1] = KERBEROS:format(options.kerberos.keytab) end
  text[#text + 1] = options.extra or ""
  return table.concat(text)
end

function Dovecot:start()
  if not self.running then self.keeper:write("dovecot.conf", self:configuration() .. self.appended) end
  return Server.start(self)
end

--- Appends settings; they hold after `reload` or `restart`.
function Dovecot:configure(text)
  self.appended = self.appended .. text .. "\n"
  self.keeper:write("dovecot.conf", self:configuration() .. self.appended)
end

-- A file for each user: Dovecot looks at one file at most once a second, so a user added to a common one would
-- not be known at once. The home is made by Dovecot itself, which owns the folder above it.
function Dovecot:admit(user)
  local k = self.keeper
  user.home = k.folder .. "/mail/" .. user.name
  user.maildir = self.store == "maildir" and user.home .. "/Maildir" or nil
  k:write("users/" .. user.name, string.format("%s:{PLAIN}%s:%d:%d::%s::nodelay=y\n",
    user.name, user.password, k.uid, k.gid, user.home))
end

--- Runs doveadm with a list of arguments, as for `doveadm expunge -u user1 mailbox INBOX all`; input is optional.
-- Returns whether it succeeded, and what it wrote.
function Dovecot:doveadm(arguments, input)
  local words = { "-c", self.keeper.folder .. "/dovecot.conf" }
  for _, word in ipairs(arguments) do words[#words + 1] = word end
  return self.keeper:run("/usr/bin/doveadm", words, input)
end

--- Puts a message into a mailbox behind the back of every session, as another program would.
function Dovecot:save(user, message, mailbox)
  return self:doveadm({ "save", "-u", user.name or user, "-m", mailbox or "INBOX" }, message)
end

local function ports_of(options)
  local names = { "lmtp" }
  for _, name in ipairs { "imap", "pop3", options.relay and "submission" or nil } do
    names[#names + 1] = name
    if options.tls ~= false then names[#names + 1] = name .. "s" end
  end
  return names
end

local M = {}

function M.find() return Keeper.find("dovecot", "/usr/sbin/dovecot") end

function M.new(servers, options, found)
  local self = setmetatable({ name = "Dovecot", options = options, store = options.store or "sdbox",
    host = options.plaintext == false and "127.0.0.2" or "127.0.0.1", domain = servers.domain,
    password = servers.password, logs = { "output", "log" }, appended = "" }, Dovecot)
  local certificate, made = self:take_certificate(servers, options.certificate)
  if not certificate then return nil, made end
  self.relay = type(options.relay) == "table" and options.relay or nil
  local kept, why = self:take_keeper(found, { "-F", "-c", "@/dovecot.conf" })
  if not kept then return nil, why end
  self.tls = self:tls_settings(certificate, made, options)
  self:take_ports(ports_of(options))
  self.keeper:write("mail/.keep", "")
  return self:open(options)
end

return M
