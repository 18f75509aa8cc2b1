--- make game-demo: examples/game with the suite's servers, as somebody with servers of their own would run it.
local servers = require "spec.servers"
local Keeper = require "spec.servers.keeper"

local quote = Keeper.quote
local PLAYERS = 30

local server, why = servers.mail {}
if not server then
  io.stderr:write("make game-demo needs Dovecot and Exim: ", why, "\n")
  os.exit(1)
end
local path = os.tmpname()
local file = assert(io.open(path, "w"))
for _ = 1, PLAYERS do
  local user = server:add_user()
  file:write(("%s %s %s\n"):format(user.name, user.password, user.address))
end
file:close()
local i = 0
while arg[i - 1] do i = i - 1 end
local words = { quote(arg[i]), "examples/game/game.lua", "--imap", ("imaps://localhost:%d"):format(server.ports.imaps),
  "--smtp", ("smtps://localhost:%d"):format(server.ports.exim_submissions), "--user", server.user,
  "--ca-file", quote(server.ca_file), quote(path) }
for n = 1, #arg do words[#words + 1] = quote(arg[n]) end
local status = os.execute("MAIL_PASSWORD=" .. quote(server.password) .. " " .. table.concat(words, " "))
os.remove(path)
os.exit((status == true or status == 0) and 0 or 1)
