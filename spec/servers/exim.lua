-- Exim 4.96: an MX, submission with STARTTLS and submission over implicit TLS, run by one user without rights.
--
-- Options: users (a count or names)   certificate (a name of servers.certificates)
--   plaintext = false   AUTH is offered only after STARTTLS      tls = false   no STARTTLS, no implicit TLS
--   without             extensions not to offer: "pipelining chunking smtputf8 8bitmime dsn prdr"
--   size                largest message, default "300M"
--   deliver_to          a Dovecot whose LMTP takes the mail; otherwise it is in users[i].maildir
--   extra               text for the main section of the configuration
-- Ports: smtp (no AUTH needed for example.test, other domains are refused), submission (AUTH PLAIN, LOGIN,
-- CRAM-MD5 needed), submissions (the same after TLS). Local parts that are answered alike for everybody: nosuchuser
-- 550, tempfail 450, full 552. A user may be addressed as user+detail. What an authenticated client sends to another
-- domain is stored in `elsewhere` (a user's table for s:messages): no message leaves the machine.
local Keeper = require "spec.servers.keeper"
local Server = require "spec.servers.server"

local Exim = Server.class()

-- smtp_enforce_sync stays on: a client that pipelines where it may not is cut off, as in the world.
local CONFIGURATION = [[
primary_hostname = localhost
exim_path = @PROGRAM
keep_environment = LD_PRELOAD : LD_LIBRARY_PATH : LM_REROOT
domainlist local_domains = localhost : @DOMAIN
local_interfaces = 127.0.0.1
disable_ipv6 = true
daemon_smtp_ports = @PORTS
tls_on_connect_ports = @IMPLICIT
tls_advertise_hosts = @STARTTLS
tls_certificate = @CERT
tls_privatekey = @KEY
spool_directory = @FOLDER/spool
log_file_path = @FOLDER/%slog
pid_file_path = @FOLDER/exim.pid
log_selector = +smtp_connection +smtp_protocol_error +smtp_syntax_error +smtp_no_mail +received_recipients
never_users =
deliver_drop_privilege = true
host_lookup =
rfc1413_query_timeout = 0s
check_spool_space = 0
message_size_limit = @SIZE
smtp_accept_max = 0
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
smtp_connect_backlog = 512
smtp_max_unknown_commands = 20
auth_advertise_hosts = @AUTH
pipelining_advertise_hosts = @pipelining
chunking_advertise_hosts = @chunking
smtputf8_advertise_hosts = @smtputf
dsn_advertise_hosts = @dsn
accept_8bitmime = @EIGHTBIT
prdr_enable = @PRDR
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = accept
acl_smtp_vrfy = accept
acl_smtp_expn = accept
@EXTRA
begin acl
acl_rcpt:
  deny local_parts = nosuchuser
       message = 550 5.1.1 no such user here
  deny local_parts = full
       message = 552 5.2.2 mailbox full
  defer local_parts = tempfail
       message = 450 4.2.0 try again later
  deny condition = ${if !eq{$received_port}{@MX}}
       !authenticated = *
       message = 530 5.7.0 authentication required
  accept authenticated = *
       !domains = +local_domains
  deny !domains = +local_domains
       message = 550 5.7.1 relay not permitted
  deny !verify = recipient
       message = 550 5.1.1 no such user here
  accept
begin routers
here:
  driver = @ROUTER
  domains = +local_domains
  local_parts = dsearch;@FOLDER/mail
  local_part_suffix = +*
  local_part_suffix_optional
  transport = here
  @ROUTE
elsewhere:
  driver = accept
  domains = !+local_domains
  transport = elsewhere
begin transports
here:
@TRANSPORT
elsewhere:
  driver = appendfile
  directory = @FOLDER/elsewhere
  maildir_format
  create_directory
  envelope_to_add
  return_path_add
begin retry
* * F,1h,5s
begin rewrite
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${lookup{$auth2}lsearch{@FOLDER/logins}{${if eq{$value}{$auth3}{yes}{no}}}{no}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${lookup{$auth1}lsearch{@FOLDER/logins}{${if eq{$value}{$auth2}{yes}{no}}}{no}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${lookup{$auth1}lsearch{@FOLDER/logins}{$value}fail}
  server_set_id = $auth1
]]

local MAILDIR = [[
  driver = appendfile
  directory = @FOLDER/mail/$local_part_data/Maildir
  maildir_format
  create_directory
  envelope_to_add
  return_path_add]]

local LMTP = [[
  driver = smtp
  protocol = lmtp
  port = @LMTPPORT
  hosts_try_dane =
  hosts_avoid_tls = *
  connection_max_messages = 100
  allow_localhost]]

local function offered(options, name)
  local without = " " .. (options.without or "") .. " "
  return not without:find(" " .. name .. " ", 1, true)
end

function Exim:configuration()
  local options, k, p = self.options, self.keeper, self.ports
  local store, tls = options.deliver_to, options.tls ~= false
  local ports = p.smtp .. " : " .. p.submission .. (tls and " : " .. p.submissions or "")
  local values = {
    FOLDER = k.folder, PROGRAM = k.found.root and k.folder .. "/tree/usr/sbin/exim4" or k.found.program,
    DOMAIN = self.domain, PORTS = ports, MX = p.smtp, IMPLICIT = p.submissions or "", STARTTLS = tls and "*" or "",
    CERT = self.certificate.cert, KEY = self.certificate.key, SIZE = options.size or "300M",
    AUTH = options.plaintext == false and "${if eq{$tls_in_cipher}{}{}{*}}" or "*",
    EIGHTBIT = offered(options, "8bitmime") and "true" or "false",
    PRDR = offered(options, "prdr") and "true" or "false",
    EXTRA = options.extra or "", ROUTER = store and "manualroute" or "accept",
    ROUTE = store and "route_list = * 127.0.0.1 byname\n  self = send" or "",
    TRANSPORT = store and LMTP:gsub("@LMTPPORT", store.ports.lmtp) or MAILDIR:gsub("@FOLDER", k.folder),
    smtputf = offered(options, "smtputf8") and "*" or "",
  }
  for _, name in ipairs { "pipelining", "chunking", "dsn" } do values[name] = offered(options, name) and "*" or "" end
  return Server.fill(CONFIGURATION, values)
end

function Exim:start()
  if not self.running then self.keeper:write("exim.conf", self:configuration()) end
  return Server.start(self)
end

-- A folder for each user is what the router asks for: a name out of a folder is one that Exim trusts.
function Exim:admit(user)
  local k, lines = self.keeper, {}
  k:write("mail/" .. user.name .. "/.user", "")
  if not self.options.deliver_to then user.maildir = k.folder .. "/mail/" .. user.name .. "/Maildir" end
  for i, one in ipairs(self.users) do lines[i] = one.name .. ": " .. one.password .. "\n" end
  k:write("logins.new", table.concat(lines))
  assert(os.rename(k.folder .. "/logins.new", k.folder .. "/logins"))
  assert(k:ask "own")
end

local M = {}

function M.find()
  return Keeper.find("exim", "/usr/sbin/exim4") or Keeper.find("exim", "/usr/sbin/exim")
end

function M.new(servers, options, found)
  local self = setmetatable({ name = "Exim", options = options, host = "127.0.0.1", domain = servers.domain,
    password = servers.password, logs = { "output", "mainlog", "paniclog", "rejectlog" } }, Exim)
  local why
  self.certificate, why = self:take_certificate(servers, options.certificate)
  if not self.certificate then return nil, why end
  local kept
  kept, why = self:take_keeper(found, { "-C", "@/exim.conf", "-bdf", "-q5s" })
  if not kept then return nil, why end
  self.elsewhere = { name = "elsewhere", maildir = self.folder .. "/elsewhere" }
  self:take_ports { "smtp", "submission", options.tls ~= false and "submissions" or nil }
  return self:open(options)
end

return M
