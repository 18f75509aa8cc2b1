-- What the workloads share: the compiled programs, the peers that this machine has, our own side's
-- command line, Dovecot over the corpus, and the list of servers to end.

local contest = require "spec.bench.contest"
local corpus = require "spec.bench.corpus"
local dovecot = require "spec.bench.dovecot"
local shell = require "spec.bench.shell"

local Context = {}
Context.__index = Context

local PEERS = shell.build .. "/peers"

-- Where each peer's headers and libraries were unpacked; the system's own stand behind them. `folders`
-- are those of headers below include/, and one below lib/ that begins with "/".
local function flags(peer, library, folders)
  local triplet = shell.run("${CC:-cc} -print-multiarch 2>/dev/null || true")
  local root = ("%s/%s/usr"):format(PEERS, peer)
  local list = { "", triplet, table.unpack(folders or {}) }
  for i, name in ipairs(list) do
    local where = name:sub(1, 1) == "/" and "lib/" .. triplet or "include/"
    list[i] = ("-isystem %s/%s%s"):format(root, where, name)
  end
  return ("%s -L%s/lib/%s -Wl,--allow-shlib-undefined -l%s"):format(
    table.concat(list, " "), root, triplet, library:gsub(" ", " -l"))
end

local GMIME = { "gmime", "gmime-3.0 gobject-2.0 glib-2.0", { "gmime-3.0", "glib-2.0", "/glib-2.0/include" } }

local function libraries()
  local folders = {}
  local found = ("find %s -maxdepth 5 -name '*.so*' -printf '%%h\\n' 2>/dev/null | sort -u || true"):format(PEERS)
  for folder in shell.run(found):gmatch("%S+") do folders[#folders + 1] = folder end
  return ("LD_LIBRARY_PATH=%s"):format(table.concat(folders, ":"))
end

local LINK = "spec/bench/c/link.c -lssl -lcrypto"

local PROGRAMS = {
  { "measure" }, { "free_ports" }, { "smtp_raw" }, { "idle_raw" }, { "loop_peer" },
  { "smtp_sink", "-lssl -lcrypto" }, { "idle_server", "-lssl -lcrypto" },
  { "imap_raw", LINK }, { "pop3_raw", LINK }, { "smtp_tls_raw", LINK },
}
local PEER_PROGRAMS = {
  { "smtp_curl", "curl", "curl" }, { "curl_fetch", "curl", "curl" }, { "imap_etpan", "etpan", "etpan" },
  { "message_etpan", "etpan", "etpan" }, { "message_gmime", table.unpack(GMIME) },
}

local function environment(lua)
  if shell.exists("Makefile") then return shell.run(("make -s env LUA=%s"):format(lua)) .. ";" end
  return ("export LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' LUA_CPATH='build/%s/?.so;;';"):format(lua)
end

-- Clients run on processor 0; this process, and with it every server that it starts, on the next
-- one where there is one. Returns that one's number.
local function pin_driver()
  local spare = tonumber(shell.run("nproc --all")) > 1 and 1 or 0
  shell.try(("taskset -cp %d $PPID"):format(spare))
  return spare
end

function Context.new(options)
  local self = setmetatable({ options = options, quick = options.quick, servers = {}, bin = {} }, Context)
  self.lua = options.lua or "lua5.4"
  self.spare = pin_driver()
  self.env = "ulimit -n $(ulimit -Hn); " .. environment(self.lua)
  for _, p in ipairs(PROGRAMS) do self.bin[p[1]] = assert(shell.compile(p[1], p[2])) end
  print((shell.run("sh spec/bench/peers.sh"):gsub("(.)$", "%1\n")))
  for _, p in ipairs(PEER_PROGRAMS) do self.bin[p[1]] = shell.compile(p[1], flags(p[2], p[3], p[4])) end
  self.peer_env = libraries()
  return self
end

--- What compiles a program with GMime in it.
function Context.gmime() return flags(table.unpack(GMIME)) end

--- n, or a tenth of it in a quick run.
function Context:count(n) return self.quick and n // 10 or n end

--- Our side: spec/bench/ours/<program>.lua with its arguments.
function Context:ours(program, arguments, name)
  return { name = name or "lua-mail", role = "ours", env = self.env,
           command = ("%s spec/bench/ours/%s.lua %s"):format(self.lua, program, arguments) }
end

--- A program of ours in C: a ceiling.
function Context:ceiling(program, arguments, name)
  return { name = name or "bare loop", role = "ceiling", command = ("%s %s"):format(self.bin[program], arguments) }
end

--- A program around another library; without a command where that is not on this machine.
function Context:peer(name, program, arguments)
  local bin = self.bin[program]
  return { name = name, role = "peer", env = self.peer_env, command = bin and ("%s %s"):format(bin, arguments) }
end

--- Another project's program, which prints no result line: its whole life counts for n messages.
function Context:foreign(name, program, arguments, n)
  local unpacked = shell.run(("ls -d %s/*/usr/*bin/%s 2>/dev/null || true"):format(PEERS, program))
  local path = unpacked ~= "" and unpacked or shell.find(program)
  return { name = name, role = "peer", env = self.peer_env, foreign = n,
           command = path and ("%s %s"):format(path, arguments) }
end

--- Starts one of our C servers beside the clients (beside = true) or on the other processor; ended
-- by close() or stop().
function Context:serve(program, arguments, beside)
  local pin = beside and 0 or self.spare
  local server = shell.serve(("taskset -c %d %s %s"):format(pin, self.bin[program], arguments or ""))
  self.servers[#self.servers + 1] = server
  return server
end

-- The corpus on disk: made once for each scale. The folder of a run that was cut short is made
-- again.
local function mail_folder(scale)
  local folder = ("%s/%s/mail-%s"):format(shell.run("pwd"), shell.build, scale)
  if not shell.exists(folder .. "/complete") then
    shell.run(("rm -rf '%s' && mkdir -p '%s/tester' '%s/big/Maildir/cur'"):format(folder, folder, folder))
    local count, octets, middle = corpus.maildir(folder .. "/tester/Maildir", scale)
    corpus.big(folder .. "/big/Maildir", 200e6)
    shell.write(folder .. "/complete", "")
    print(("corpus: %d messages, %.0f MB, median %.1f KB, and one of 200 MB"):format(count, octets / 1e6, middle / 1e3))
  end
  return folder
end

--- Dovecot over the corpus, started at first use, its index warm; or nil and why not.
-- Fields: ports, ca_file, count (messages), recorded (a file with its answer to the metadata
-- command).
function Context:dovecot()
  if self.mail_server == nil then
    local scale = self.quick and 0.1 or 1
    local server, why = dovecot.start(mail_folder(scale), { "tester", "big" })
    self.mail_server, self.mail_server_missing = server or false, why
    if server then
      self.servers[#self.servers + 1] = server
      server.count = math.floor(10000 * scale)
      server.recorded = ("%s/metadata-%s"):format(shell.build, scale)
      local fetch = ("%s port=%d fetch='1:* (%s)'"):format(self.bin.imap_raw, server.ports.imap, self.METADATA)
      shell.run(fetch)
      shell.run(fetch .. " record=" .. server.recorded)
    end
  end
  if self.mail_server then return self.mail_server end
  print("\nno row that needs a mail server: " .. self.mail_server_missing)
end

Context.METADATA = "UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE"

--- Runs the contestants in turns and prints their table. Of `how`, all optional: columns, compare
-- (the field of the ratios), expect (what each has to have done).
function Context:contest(title, contestants, how)
  contest.run(contestants, self.options.rounds, 0, how.expect)
  contest.print(title, contestants, how.columns or { "us", "rate", "rss" }, how.compare)
end

--- A file name of this run's own folder, which close() removes. It is in memory where there is
-- room: what a peer pays for fsync is the disk's business.
function Context:temporary(name)
  self.folder = self.folder or shell.run(
    "mktemp -d -p $([ $(df -k --output=avail /dev/shm 2>/dev/null | tail -n 1) -gt 1000000 ] 2>/dev/null"
    .. " && echo /dev/shm || echo ${TMPDIR:-/tmp}) lua-mail-bench.XXXXXX")
  return self.folder .. "/" .. name
end

--- Ends every server still running.
function Context:close()
  for _, server in ipairs(self.servers) do pcall(server.stop) end
  self.servers = {}
  if self.folder then shell.run("rm -rf " .. self.folder) end
end

return { new = Context.new }
