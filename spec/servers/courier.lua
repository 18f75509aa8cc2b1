-- Courier POP3 1.0 and IMAP 5.0 for the suite, run by one user without rights: couriertcpd and courierpop3d (imapd)
-- over a Maildir, authdaemond with its userdb.
--
-- The fields and methods are those of spec/servers/dovecot.lua. What it keeps in /etc/courier and /run/courier lies in
-- the overlay of reroot.c, since those paths are compiled into it.
--
-- Options: users (a count or names)   certificate (a name of servers.certificates)
--   mechanisms          what it offers by AUTH, default "PLAIN LOGIN CRAM-MD5"
-- Ports: pop3 pop3s imap.
local Keeper = require "spec.servers.keeper"
local Server = require "spec.servers.server"

local fill = Server.fill

local Courier = Server.class()

local AUTHDAEMON = [[
##NAME: marker:0
##VERSION: suite
authmodulelist="authuserdb"
authmodulelistorig="authuserdb"
daemons=2
authdaemonvar=/run/courier/authdaemon
DEBUG_LOGIN=0
DEFAULTOPTIONS=""
LOGGEROPTS=""
]]

-- One shell for all its daemons; the keeper ends whatever comes of it.
local START = [[
bin=/usr/lib/courier/courier
export LM_AWAKE=1
$bin-authlib/authdaemond &
export TLS_CERTFILE=@FOLDER/both.pem TLS_VERIFYPEER=NONE COURIERTLS=/usr/bin/couriertls
export POP3AUTH="@MECHANISMS" POP3AUTH_TLS="@MECHANISMS" POP3_PROXY=0 POP3_STARTTLS=YES POP3_TLS_REQUIRED=0
export MAILDIRPATH=Maildir DEBUG_LOGIN=0
listen="/usr/sbin/couriertcpd -address=127.0.0.1 -maxprocs=200 -maxperip=200 -nodnslookup -noidentlookup"
$listen @POPS /usr/bin/couriertls -server -tcpd $bin/courierpop3login $bin/courierpop3d Maildir &
(
  export TLS_PROTOCOL= IMAP_STARTTLS=YES IMAP_TLS_REQUIRED=0 IMAP_ULIMITD=131072
  threads="THREAD=ORDEREDSUBJECT THREAD=REFERENCES"
  export IMAP_CAPABILITY="IMAP4rev1 UIDPLUS CHILDREN NAMESPACE $threads SORT IDLE AUTH=CRAM-MD5"
  export IMAP_CAPABILITY_TLS="$IMAP_CAPABILITY AUTH=PLAIN" IMAP_EMPTYTRASH= IMAP_IDLE_TIMEOUT=60
  exec $listen @IMAP $bin/imaplogin /usr/bin/imapd Maildir
) &
exec $listen @POP $bin/courierpop3login $bin/courierpop3d Maildir
]]

function Courier:write_start()
  self.keeper:write("start.sh", fill(START, { FOLDER = self.folder, POPS = self.ports.pop3s, POP = self.ports.pop3,
    IMAP = self.ports.imap, MECHANISMS = self.options.mechanisms or "PLAIN LOGIN CRAM-MD5" }))
end

-- A data base of "key TAB value" lines, with the program that the package has for it.
function Courier:write_base(name, lines)
  local path = self.folder .. "/overlay/etc/courier/" .. name
  local ok, why = self.keeper:run("/usr/lib/courier/courier/makedatprog", { "-", path .. ".tmp", path },
    table.concat(lines, "\n") .. "\n.\n")
  if not ok then error("makedatprog: " .. why) end
  Keeper.shell(("chown %d:%d %s"):format(self.keeper.uid, self.keeper.gid, Keeper.quote(path)))
end

function Courier:hashed(password, kind)
  local known = self.hashes[kind .. password]
  if known then return known end
  local ok, text = self.keeper:run("/usr/sbin/userdbpw", { kind }, password .. "\n" .. password .. "\n")
  if not ok then error("userdbpw: " .. text) end
  self.hashes[kind .. password] = text:match "%S+"
  return text:match "%S+"
end

function Courier:write_users()
  local public, shadow, k = {}, {}, self.keeper
  for _, user in ipairs(self.users) do
    if not user.secrets then
      user.secrets = ("systempw=%s|hmac-md5pw=%s"):format(self:hashed(user.password, "-md5"),
        self:hashed(user.password, "-hmac-md5"))
    end
    public[#public + 1] = ("%s\tuid=%d|gid=%d|home=%s|mail=%s|_="):format(user.name, k.uid, k.gid, user.home,
      user.maildir)
    shadow[#shadow + 1] = user.name .. "\t" .. user.secrets
  end
  self:write_base("userdb.dat", public)
  self:write_base("userdbshadow.dat", shadow)
end

function Courier:admit(user)
  user.home = self.folder .. "/home/" .. user.name
  user.maildir = user.home .. "/Maildir"
  Keeper.shell(("d=%s && mkdir -p $d/cur $d/new $d/tmp && chown -R %d:%d %s"):format(Keeper.quote(user.maildir),
    self.keeper.uid, self.keeper.gid, Keeper.quote(user.home)))
  self:write_users()
end

local M = {}

local read = require "spec.support.files".slurp

function M.find()
  local found, why = Keeper.find("courier", "/usr/sbin/couriertcpd")
  if found and not found.root then return nil, "courier is installed, and its configuration is the machine's" end
  return found, why
end

function M.new(servers, options, found)
  found.shell = true
  local self = setmetatable({ name = "Courier", options = options, host = "127.0.0.1", domain = servers.domain,
    password = servers.password, logs = { "output", "syslog" }, hashes = {} }, Courier)
  local certificate, made = self:take_certificate(servers, options.certificate)
  if not certificate then return nil, made end
  local kept, why = self:take_keeper(found, { "@/start.sh" })
  if not kept then return nil, why end
  self:take_ports { "pop3", "pop3s", "imap" }
  self.keeper:write("both.pem", read(certificate.key) .. read(certificate.cert))
  self.keeper:write("overlay/etc/courier/authdaemonrc", AUTHDAEMON)
  self.keeper:write("overlay/run/courier/authdaemon/.keep", "")
  self:write_start()
  return self:open(options)
end

return M
