-- Cyrus IMAP 3.6: IMAP, POP3 and LMTP for the suite, run by one user without rights.
--
-- The fields and methods are those of spec/servers/dovecot.lua, and channel_binding = false, which a client must be
-- told to log in over TLS with a mechanism that binds; every user comes with INBOX, Drafts, Sent, Trash,
-- Junk and Archive, the last five with their special use. Its administrator is s.admin = { name, password }, who
-- may set quotas and sees all mailboxes as user/NAME.
--
-- Options: users (a count or names)   certificate (a name of servers.certificates)
--   plaintext = false   no LOGIN or PLAIN before TLS      tls = false   no STARTTLS and no TLS ports
--   mechanisms          SASL mechanisms, default "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256"
--   kerberos            of servers.kerberos: the mechanism GSSAPI takes its tickets
--   suppress            capabilities that it shall not name, with spaces between
--   extra               text appended to imapd.conf
-- Ports: imap imaps pop3 pop3s lmtp.
local Keeper = require "spec.servers.keeper"
local Server = require "spec.servers.server"

local fill = Server.fill

local Cyrus = Server.class()

-- Everything that it can do is on: conversations bring OBJECTID, annotations METADATA and ANNOTATE, delayed
-- expunging a QRESYNC that remembers.
local COMMON = [[
configdirectory: @FOLDER/lib
partition-default: @FOLDER/spool
defaultpartition: default
cyrus_user: @USER
admins: cyrus
servername: localhost
proc_path: @FOLDER/proc
mboxname_lockpath: @FOLDER/lock
lmtpsocket: @FOLDER/run/lmtp
idlesocket: @FOLDER/run/idle
notifysocket: @FOLDER/run/notify
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: @FOLDER/sasldb2
sasl_mech_list: @MECHANISMS
allowplaintext: @PLAIN
failedloginpause: 0
virtdomains: off
unixhierarchysep: yes
altnamespace: yes
autocreate_quota: 0
autocreate_post: yes
autocreate_inbox_folders: Drafts|Sent|Trash|Junk|Archive
autocreate_subscribe_folders: Drafts|Sent|Trash|Junk|Archive
xlist-drafts: Drafts
xlist-sent: Sent
xlist-trash: Trash
xlist-junk: Junk
xlist-archive: Archive
conversations: yes
annotation_allow_undefined: yes
expunge_mode: delayed
imapidlepoll: 1
idle_on: yes
popminpoll: 0
maxlogins_per_user: 0
maxlogins_per_host: 0
sync_log: no
]]

local MASTER = [[
START {
  recover cmd="ctl_cyrusdb -C @/imapd.conf -r"
}
SERVICES {
  imap  cmd="imapd -C @/imapd.conf -U 100" listen="127.0.0.1:%d" prefork=1 maxchild=200
  pop3  cmd="pop3d -C @/imapd.conf" listen="127.0.0.1:%d" prefork=0 maxchild=100
  lmtp  cmd="lmtpd -a -C @/imapd.conf" listen="127.0.0.1:%d" prefork=0 maxchild=20
  local cmd="lmtpd -C @/imapd.conf" listen="@/run/lmtp" prefork=0 maxchild=20
]]

local MASTER_TLS = [[
  imaps cmd="imapd -s -C @/imapd.conf -U 100" listen="127.0.0.1:%d" prefork=0 maxchild=200
  pop3s cmd="pop3d -s -C @/imapd.conf" listen="127.0.0.1:%d" prefork=0 maxchild=100
]]

local MASTER_END = [[
}
EVENTS {
}
DAEMON {
  idled cmd="idled -C @/imapd.conf"
}
]]

local function in_folder(text, folder) return (text:gsub("@/", folder .. "/")) end

function Cyrus:master()
  local ports = self.ports
  local text = MASTER:format(ports.imap, ports.pop3, ports.lmtp)
  if ports.imaps then text = text .. MASTER_TLS:format(ports.imaps, ports.pop3s) end
  return in_folder(text .. MASTER_END, self.folder)
end

function Cyrus:configuration(certificate)
  local options, k = self.options, self.keeper
  local text = fill(COMMON, { FOLDER = k.folder, USER = k.user,
    PLAIN = options.plaintext == false and "no" or "yes",
    MECHANISMS = options.mechanisms or "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256" })
  if options.tls ~= false then
    text = text .. "tls_server_cert: " .. certificate.cert .. "\ntls_server_key: " .. certificate.key
      .. "\ntls_session_timeout: 0\n"
  end
  if options.kerberos then text = text .. "sasl_keytab: " .. options.kerberos.keytab .. "\n" end
  if options.suppress then text = text .. "suppress_capabilities: " .. options.suppress .. "\n" end
  return text .. (options.extra and options.extra .. "\n" or "")
end

--- Appends settings; a connection made after `reload` or `restart` meets them.
function Cyrus:configure(text)
  self.text = self.text .. text .. "\n"
  self.keeper:write("imapd.conf", self.text)
end

-- The password goes into the data base that SASL reads at each login; the mailboxes come with the first login.
function Cyrus:admit(user)
  local k = self.keeper
  local ok, why = k:run("/usr/sbin/saslpasswd2", { "-p", "-c", "-f", k.folder .. "/sasldb2", "-u", "localhost",
    user.name }, user.password)
  if not ok then error("saslpasswd2: " .. why) end
end

--- Runs one of Cyrus's own programs, as for `reconstruct user/user1`, with a list of arguments; input is optional.
-- Returns whether it succeeded, and what it wrote.
function Cyrus:tool(name, arguments, input)
  local words = { "-C", self.folder .. "/imapd.conf" }
  for _, word in ipairs(arguments) do words[#words + 1] = word end
  return self.keeper:run("/usr/lib/cyrus/bin/" .. name, words, input)
end

--- Puts a message into a mailbox behind the back of every session, as another program would. The user must have
-- logged in once.
function Cyrus:save(user, message, mailbox)
  local name = user.name or user
  local arguments = { "-a", name }
  if mailbox and mailbox ~= "INBOX" then arguments[3], arguments[4] = "-m", mailbox end
  arguments[#arguments + 1] = name
  return self:tool("deliver", arguments, message)
end

local M = {}

function M.find() return Keeper.find("cyrus", "/usr/lib/cyrus/bin/master") end

function M.new(servers, options, found)
  if options.kerberos then found.environment = options.kerberos.environment end
  local self = setmetatable({ name = "Cyrus", options = options, host = "127.0.0.1", domain = servers.domain,
    password = servers.password, logs = { "output", "syslog" },
    channel_binding = false, -- it offers SCRAM-…-PLUS, and knows but tls-unique, which TLS 1.3 has not
  }, Cyrus)
  local certificate, made = self:take_certificate(servers, options.certificate)
  if not certificate then return nil, made end
  local kept, why = self:take_keeper(found, { "-C", "@/imapd.conf", "-M", "@/cyrus.conf", "-p", "@/master.pid", "-D" })
  if not kept then return nil, why end
  self:take_ports(options.tls == false and { "imap", "pop3", "lmtp" } or { "imap", "imaps", "pop3", "pop3s", "lmtp" })
  self.text = self:configuration(certificate)
  self.keeper:write("imapd.conf", self.text)
  self.keeper:write("cyrus.conf", self:master())
  for _, name in ipairs { "lib/db", "lib/socket", "lib/proc", "lib/msg", "lib/log", "lib/quota", "lib/user",
      "spool/stage.", "proc", "lock", "run" } do
    self.keeper:write(name .. "/.keep", "")
  end
  self.admin = { name = "cyrus", password = self.password }
  self:admit(self.admin)
  return self:open(options)
end

return M
