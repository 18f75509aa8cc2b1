-- Postfix 3.7: an MX, submission with STARTTLS and submission over implicit TLS, run by one user without rights, who
-- is shown root's (asroot.c).
--
-- Options: users (a count or names)   certificate (a name of servers.certificates)
--   tls = false         no STARTTLS, no implicit TLS
--   sasl                a Dovecot that knows who may log in: one of `servers.dovecot { extra = postfix.AUTH }`
--   deliver_to          a Dovecot whose LMTP takes the mail; otherwise it is in users[i].maildir
--   without             what EHLO shall not name: "pipelining chunking smtputf8 8bitmime dsn"
--   extra               text appended to main.cf
-- Ports: smtp (no AUTH needed for example.test, other domains are refused; XCLIENT and XFORWARD for everybody),
-- submission (with `sasl`, AUTH needed), submissions (the same after TLS), proxies (as smtp, behind a PROXY header),
-- screens (as smtp, behind postscreen: who speaks too early is turned away, who is new to it is asked to come again).
-- Local parts that are answered alike for everybody: tempfail 450, full 552, held 250 and the message stays in the
-- queue (`s:queued(id)`); one that fits no user's name is 550. A user may be addressed as user+detail;
-- `s.international` is one whose name needs SMTPUTF8. What goes to another domain is thrown away: no message leaves
-- the machine.
local Keeper = require "spec.servers.keeper"
local Server = require "spec.servers.server"

local fill = Server.fill

local Postfix = Server.class()

local MAIN = [[
compatibility_level = 3.6
queue_directory = @FOLDER/spool
data_directory = @FOLDER/data
daemon_directory = @FOLDER/tree/usr/lib/postfix/sbin
command_directory = @FOLDER/tree/usr/sbin
shlib_directory = @FOLDER/tree/usr/lib/postfix
meta_directory = @FOLDER/etc
mail_owner = @USER
default_privs = daemon
setgid_group = mail
import_environment = MAIL_CONFIG LD_PRELOAD LD_LIBRARY_PATH LM_REROOT LM_OVERLAY LM_SYSLOG LM_SYSLOG_ALL TZ
export_environment = $import_environment
myhostname = mx.@DOMAIN
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
mynetworks =
inet_protocols = all
inet_interfaces = 127.0.0.1
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_client_event_limit_exceptions = 127.0.0.0/8
smtpd_error_sleep_time = 0
smtpd_forbid_bare_newline = reject
smtpd_forbid_bare_newline_exclusions =
in_flow_delay = 0
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
message_size_limit = 314572800
virtual_mailbox_limit = 0
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_authorized_xforward_hosts = 127.0.0.0/8
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access regexp:@FOLDER/etc/answers
smtpd_discard_ehlo_keywords = @WITHOUT
virtual_mailbox_domains = @DOMAIN
virtual_mailbox_base = @FOLDER/mail
virtual_mailbox_maps = texthash:@FOLDER/etc/mailboxes
virtual_minimum_uid = 1
virtual_uid_maps = static:@UID
virtual_gid_maps = static:@GID
virtual_transport = @TRANSPORT
default_transport = discard:
fast_flush_domains = $virtual_mailbox_domains
recipient_delimiter = +
postscreen_greet_wait = 1s
postscreen_greet_action = enforce
postscreen_pipelining_enable = yes
postscreen_non_smtp_command_enable = yes
postscreen_bare_newline_enable = yes
postscreen_bare_newline_action = enforce
]]

local TLS = [[
smtpd_tls_security_level = may
smtpd_tls_cert_file = @CERT
smtpd_tls_key_file = @KEY
smtpd_tls_received_header = yes
tls_random_source = dev:/dev/urandom
]]

local SASL = [[
smtpd_sasl_type = dovecot
smtpd_sasl_path = @FOLDER/run/postfix
smtpd_sasl_authenticated_header = yes
]]

-- What Dovecot needs beside its own, as its option `extra`.
local AUTH = "service auth {\n  unix_listener postfix {\n    mode = 0666\n  }\n}\n"

-- Names of services are those by which the processes find one another.
local MASTER = [[
127.0.0.1:@smtp inet n - n - - smtpd
127.0.0.1:@submission inet n - n - - smtpd -o smtpd_sasl_auth_enable=@AUTH @OWN
127.0.0.1:@proxies inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy
127.0.0.1:@screens inet n - n - 1 postscreen
smtpd pass - - n - - smtpd
tlsproxy unix - - n - 0 tlsproxy
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
]]

local MASTER_TLS = [[
127.0.0.1:@submissions inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=@AUTH @OWN
]]

local OWN = "-o smtpd_relay_restrictions=permit_sasl_authenticated,reject"

local ANSWERS = [[
/^tempfail@/ 450 4.2.0 try again later
/^full@/ 552 5.2.2 mailbox full
/^held@/ HOLD
]]

-- The table of mailboxes is read once, so these are there whether anybody called for them or not; and whoever has
-- another name, from the start.
local USERS = 300

local QUEUE = "active bounce corrupt defer deferred flush hold incoming maildrop pid private public saved trace"

function Postfix:configuration()
  local options, k = self.options, self.keeper
  local store = options.deliver_to
  local values = { FOLDER = k.folder, USER = k.user, UID = k.uid, GID = k.gid, DOMAIN = self.domain,
    WITHOUT = options.without or "", CERT = self.certificate.cert, KEY = self.certificate.key,
    TRANSPORT = store and "lmtp:inet:127.0.0.1:" .. store.ports.lmtp or "virtual" }
  local text = fill(MAIN, values)
  if options.tls ~= false then text = text .. fill(TLS, values) end
  if options.sasl then text = text .. fill(SASL, { FOLDER = options.sasl.folder }) end
  return text .. (options.extra or "") .. "\n"
end

function Postfix:master()
  local values = { AUTH = self.options.sasl and "yes" or "no", OWN = self.options.sasl and OWN or "" }
  for name, port in pairs(self.ports) do values[name] = port end
  return fill(MASTER, values) .. (self.ports.submissions and fill(MASTER_TLS, values) or "")
end

function Postfix:mailboxes()
  local names = { "tempfail", "full", "held", "j\195\182rg" }
  for i = 1, USERS do names[#names + 1] = "user" .. i end
  for _, user in ipairs(self.users) do
    if not user.name:find "^user%d+$" then names[#names + 1] = user.name end
  end
  for i, name in ipairs(names) do names[i] = ("%s@%s %s/Maildir/\n"):format(name, self.domain, name) end
  return table.concat(names)
end

function Postfix:start()
  if not self.running then
    local k = self.keeper
    k:write("etc/main.cf", self:configuration())
    k:write("etc/master.cf", self:master())
    k:write("etc/answers", ANSWERS)
    k:write("etc/mailboxes", self:mailboxes())
    Keeper.shell("touch -t 202001010000 " .. k.folder .. "/etc/*") -- files of this second are waited for
  end
  return Server.start(self)
end

function Postfix:admit(user)
  local n = tonumber(user.name:match "^user(%d+)$")
  assert(n and n <= USERS or not self.running, "a user more is user1 to user" .. USERS .. " here")
  if not self.options.deliver_to then user.maildir = self.folder .. "/mail/" .. user.name .. "/Maildir" end
end

--- Runs one of Postfix's own programs with a list of arguments, as for `postqueue -p`; input is optional.
-- Returns whether it succeeded, and what it wrote.
function Postfix:tool(name, arguments, input)
  local words = { "-c", self.folder .. "/etc" }
  for _, word in ipairs(arguments) do words[#words + 1] = word end
  return self.keeper:run("/usr/sbin/" .. name, words, input)
end

--- What a client starts that speaks SMTP to a program: `sendmail -bs`, as `command` of connect.
function Postfix:pipe()
  return self.keeper:command("/usr/sbin/sendmail", { "-C", self.folder .. "/etc", "-bs" })
end

--- The queue file of a message, as postcat shows it: envelope records, "*** MESSAGE CONTENTS ***", the content.
function Postfix:queued(id)
  local ok, text = self:tool("postcat", { "-q", id })
  if ok then return text end
  return nil, text
end

local M = { AUTH = AUTH }

function M.find()
  local found, why = Keeper.find("postfix", "/usr/lib/postfix/sbin/master")
  if found and not found.root then return nil, "Postfix is installed, and will run as root alone" end
  return found, why
end

function M.new(servers, options, found)
  found.as_root, found.environment = true, "LM_SYSLOG_ALL=1"
  local self = setmetatable({ name = "Postfix", options = options, host = "127.0.0.1", domain = servers.domain,
    password = servers.password, logs = { "output", "syslog" } }, Postfix)
  local why
  self.certificate, why = self:take_certificate(servers, options.certificate)
  if not self.certificate then return nil, why end
  local kept
  kept, why = self:take_keeper(found, { "-d", "-c", "@/etc" })
  if not kept then return nil, why end
  self:take_ports { "smtp", "submission", "proxies", "screens", options.tls ~= false and "submissions" or nil }
  self.international = { name = "j\195\182rg", maildir = self.folder .. "/mail/j\195\182rg/Maildir" }
  Keeper.shell(("cd %s && mkdir data mail spool && cd spool && mkdir %s"):format(Keeper.quote(self.folder), QUEUE))
  return self:open(options)
end

return M
