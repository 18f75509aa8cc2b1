-- What Dovecot, Exim and Cyrus have in common: users, start and stop, log. `new` of each fills the fields in:
--   host, ports.NAME, user, password (of the first user), users = { { name, password, address, maildir } },
--   ca_file, folder, keeper, running
local Keeper = require "spec.servers.keeper"

local Server = {}
Server.__index = Server

--- A class of servers: its methods, then these.
function Server.class()
  local class = setmetatable({}, { __index = Server })
  class.__index = class
  return class
end

--- A template with the values of its @NAMEs; a name that has none stays.
function Server.fill(template, values)
  return (template:gsub("@(%a+)", function(name) return values[name] and tostring(values[name]) end))
end

--- The keeper of what Keeper.find has found, and its folder. Returns true, or nil and the reason.
function Server:take_keeper(found, arguments)
  local why
  self.keeper, why = Keeper.new(found, arguments)
  if not self.keeper then return nil, why end
  self.folder = self.keeper.folder
  return true
end

--- The ports by their names, one free port each.
function Server:take_ports(names)
  local ports = self.keeper:ports(#names)
  self.ports = {}
  for i, name in ipairs(names) do self.ports[name] = ports[i] end
end

--- The paths of a certificate by its name or table, with the authority of the run.
function Server:take_certificate(servers, wanted)
  local made, why = servers.certificates()
  if not made then return nil, why end
  self.ca_file = made.ca_file
  local certificate = type(wanted) == "table" and wanted or made[wanted or "good"]
  return assert(certificate, "no such certificate: " .. tostring(wanted)), made
end

--- A user more, with an empty mailbox, good for the next connection: { name, password, address, maildir }.
-- Without a name it is the next of user1, user2, ...
function Server:add_user(name, password)
  local user = { name = name or "user" .. #self.users + 1, password = password or self.password }
  user.address = user.name .. "@" .. self.domain
  self.users[#self.users + 1] = user
  self:admit(user)
  return user
end

--- The first users, from a count (default 1) or a list of names.
function Server:first_users(wanted)
  self.users = {}
  for i = 1, type(wanted) == "table" and #wanted or wanted or 1 do
    self:add_user(type(wanted) == "table" and wanted[i] or nil)
  end
  self.user = self.users[1].name
end

--- Brings it up on its ports; at once after new, unless it was stopped since. Returns true, or nil and the reason.
function Server:start()
  if self.running then return true end
  local ports = {}
  for name, port in pairs(self.ports) do ports[#ports + 1] = port .. (name:find "s$" and "" or "!") end
  local ok, why = self.keeper:start(ports)
  if not ok then return nil, self.name .. " did not start: " .. why .. "\n" .. self:log() end
  self.running = true
  return true
end

--- The last step of `new`: the first users are in, and it runs, unless options.prepare_only leaves that to `start`.
-- Returns the server, or nil and the reason with nothing left behind.
function Server:open(options)
  self:first_users(options.users)
  if options.prepare_only then return self end
  local ok, why = self:start()
  if ok then return self end
  self:close()
  return nil, why
end

--- Ends its processes; ports, users and mail stay, and `start` brings it back.
function Server:stop()
  self.running = false
  return self.keeper:stop()
end

function Server:restart()
  self:stop()
  return self:start()
end

--- Reads its configuration again (SIGHUP); `s:configure(text)` before it appends to that.
function Server:reload() return self.keeper:signal(1) end

--- Ends it for good: processes, ports, folder.
function Server:close()
  self.running, self.closed = false, true
  self.keeper:close()
end

--- All that it logged so far, as one string.
function Server:log()
  local texts = {}
  for _, name in ipairs(self.logs) do texts[#texts + 1] = self.keeper:read(name) end
  return table.concat(texts)
end

--- The messages in a Maildir, as a list of strings in order of arrival; waits up to 20 s until there are n.
function Server:messages(user, n)
  user = user or self.users[1]
  local folder = assert(user.maildir, "this server keeps no Maildir for " .. user.name)
  if n then -- by the shell's own means: a program for each look would keep the server from its work
    Keeper.shell(string.format("i=0; while [ $i -lt 2000 ]; do n=0; for f in %s/new/* %s/cur/*; do "
      .. "[ ! -e \"$f\" ] || n=$((n+1)); done; [ $n -lt %d ] || break; sleep 0.01; i=$((i+1)); done",
      Keeper.quote(folder), Keeper.quote(folder), n))
  end
  local list = string.format("cd %s 2>/dev/null && find new cur -type f | sort -t/ -k2", Keeper.quote(folder))
  local _, names = Keeper.shell(list)
  local texts = {}
  for name in names:gmatch "[^\n]+" do
    local file = io.open(folder .. "/" .. name, "rb")
    if file then
      texts[#texts + 1] = file:read "*a"
      file:close()
    end
  end
  return texts
end

return Server
