-- Dovecot (spec/servers) over mail folders that outlive the run: the corpus, and with it Dovecot's
-- index, so that it answers metadata from there after the first fetch. It runs where this process
-- is pinned.

local servers = require "spec.servers"
local shell = require "spec.bench.shell"

local dovecot = {}

local EXTRA = [[
protocol pop3 {
  pop3_no_flag_updates = yes
}
]]

-- A user whose home is `home`; a home that the server's own user cannot reach (a tree below a
-- private one) is copied.
local function settle(server, name, home)
  local keeper = server.keeper
  if not keeper:ask("reach " .. home .. "/Maildir/cur") then
    local copy = ("%s/mail/%s"):format(keeper.folder, name)
    shell.run(("cp -a '%s' '%s'"):format(home, copy))
    home = copy
  end
  if shell.run("id -u") == "0" then shell.run(("chown -R %d:%d '%s'"):format(keeper.uid, keeper.gid, home)) end
  keeper:write("users/" .. name, ("%s:{PLAIN}secret:%d:%d::%s::\n"):format(name, keeper.uid, keeper.gid, home))
end

-- A maildir of `count` messages that are next to nothing.
local function fill(folder, count)
  shell.run(("rm -rf '%s' && mkdir -p '%s/cur' '%s/new' '%s/tmp'"):format(folder, folder, folder, folder))
  for i = 1, count do
    shell.write(("%s/cur/%d.M%d.bench:2,%s"):format(folder, 1600000000 + i, i, i % 3 == 0 and "" or "S"),
      ("Subject: message %d\n\nx\n"):format(i))
  end
end

-- A user with `count` small messages; the folder outlives the run.
local function crowd(server, folder, count)
  local name = ("crowd%d"):format(count)
  local home = ("%s-%s"):format(folder, name)
  if not shell.exists(home .. "/complete") then
    fill(home .. "/Maildir", count)
    shell.write(home .. "/complete", "")
  end
  settle(server, name, home)
  return name
end

--- Starts it with a user for each of `names`, whose mail is <folder>/<name>/Maildir. Returns a
-- server with ports, ca_file, stop() and crowd(count) → the name of a user with so many small messages; or nil and
-- why not.
function dovecot.start(folder, names)
  local server, why = servers.dovecot { private = true, store = "maildir", extra = EXTRA, imap_plugins = "imap_zlib" }
  if not server then return nil, why end
  for _, name in ipairs(names) do settle(server, name, folder .. "/" .. name) end
  return {
    ports = server.ports, ca_file = server.ca_file, stop = function() server:close() end,
    crowd = function(count) return crowd(server, folder, count) end,
  }
end

return dovecot
