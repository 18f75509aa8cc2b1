-- For servers_spec.lua: starts a server, says where it is, and dies the hard way (SIGKILL: no finalizer runs).
local servers = require "spec.servers"
local s = assert(servers.dovecot { private = true })
local pid = s.keeper:read "run/master.pid":match "%d+"
io.write(s.folder, " ", pid, "\n")
io.flush()
os.execute "kill -9 $PPID"
