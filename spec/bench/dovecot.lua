-- Dovecot for the benchmarks: IMAP, IMAPS and POP3 on free ports over a maildir that corpus.lua made, in a temporary folder,
-- ended by its process id. Started on the second processor, so that its work and the client's do not share one.
--
-- The mail folder stays between runs, and with it Dovecot's index: after the first fetch it answers metadata from there.

local shell = require "spec.bench.shell"

local dovecot = {}

local CONF = [[
base_dir = @dir@/run
state_dir = @dir@/run
log_path = @dir@/log
listen = 127.0.0.1
protocols = imap pop3
default_internal_user = @internal@
default_internal_group = @group@
default_login_user = @login@
first_valid_uid = 1
first_valid_gid = 1
ssl = yes
ssl_cert = <@dir@/cert.pem
ssl_key = <@dir@/key.pem
disable_plaintext_auth = no
mail_location = maildir:~/Maildir
mail_fsync = never
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=@uid@ gid=@gid@ home=@mail@/%u
}
namespace inbox {
  inbox = yes
}
protocol pop3 {
  pop3_no_flag_updates = yes
}
service imap-login {
  chroot =
  inet_listener imap {
    port = @imap@
  }
  inet_listener imaps {
    port = @imaps@
    ssl = yes
  }
}
service pop3-login {
  chroot =
  inet_listener pop3 {
    port = @pop3@
  }
  inet_listener pop3s {
    port = 0
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
]]

--- A certificate for this machine, good for two days, which is its own authority.
function dovecot.certificate(cert, key)
  shell.run(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost "
    .. "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout %s -out %s 2>/dev/null"):format(key, cert))
end

--- Starts it over `mail` (a folder that holds one folder a user, each with a Maildir). Returns a server with ports and
-- stop(), or nil and why not.
function dovecot.start(mail)
  local program = shell.find("dovecot")
  if not program then return nil, "dovecot not installed" end
  local root = shell.run("id -u") == "0"
  local dir = shell.run("mktemp -d /tmp/lua-mail-bench.XXXXXX")
  shell.run(("chmod 755 %s && mkdir -p %s/run"):format(dir, dir))
  dovecot.certificate(dir .. "/cert.pem", dir .. "/key.pem")
  local me, group = shell.run("id -un"), shell.run("id -gn")
  local ports = shell.free_ports(3)
  local values = {
    dir = dir, mail = mail, imap = ports[1], imaps = ports[2], pop3 = ports[3],
    internal = root and "dovecot" or me, login = root and "dovenull" or me, group = root and "dovecot" or group,
    uid = root and shell.run("id -u mail") or shell.run("id -u"), gid = root and shell.run("id -g mail") or shell.run("id -g"),
  }
  if root then shell.run(("chown -R mail:mail '%s'"):format(mail)) end
  shell.write(dir .. "/dovecot.conf", (CONF:gsub("@(%w+)@", values)))
  -- its output goes to a file: the daemon keeps the descriptors, and a pipe would never end
  if not shell.try(("taskset -c 1 %s -c %s/dovecot.conf >%s/words 2>&1"):format(program, dir, dir)) then
    local why = shell.read(dir .. "/words")
    shell.run("rm -rf " .. dir)
    return nil, "dovecot did not start: " .. why
  end
  local server = { ports = { imap = ports[1], imaps = ports[2], pop3 = ports[3] }, ca_file = dir .. "/cert.pem" }
  function server.stop()
    local pid = shell.read(dir .. "/run/master.pid"):match("%d+")
    shell.stop(pid)
    shell.run("rm -rf " .. dir)
  end
  return server
end

return dovecot
