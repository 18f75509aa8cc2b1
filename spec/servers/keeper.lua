-- The Lua side of keeper.c: one private folder and one throwaway server, both gone when this process is.
--
-- Orders go into a FIFO, answers come from the keeper's standard output. Lua opens no file close-on-exec, so a
-- server started later holds the FIFO of an earlier one; it ends with its own parent, and then so does the
-- earlier one: nothing outlives the program under test, however that ends.

local Keeper = {}
Keeper.__index = Keeper

local source = debug.getinfo(1, "S").source:match "^@(.*)/keeper%.lua$"

local function shell(command)
  local pipe = assert(io.popen(command .. " 2>&1; echo status=$?", "r"))
  local out = pipe:read "*a"
  pipe:close()
  local text, status = out:match "^(.-)\n?status=(%d+)%s*$"
  return status == "0", text
end

local function quote(text) return "'" .. tostring(text):gsub("'", "'\\''") .. "'" end

local _, here = shell("cd " .. quote(source) .. " && pwd")
local root = here:gsub("/spec/servers$", "")
local packages = root .. "/build/servers"

-- The helpers are compiled once for a tree; nothing is downloaded here: that is `make deps`.
local prepared, why_not
local function prepare()
  if prepared == nil then
    prepared, why_not = shell("sh " .. quote(here .. "/unpack.sh") .. " --local")
  end
  return prepared, why_not
end

--- Whether this system can run a server of the suite at all: true, or nil and the reason.
local function able()
  local linux = shell "[ $(uname) = Linux ]"
  if not linux then return nil, "real servers need Linux" end
  local openssl = shell "command -v openssl"
  if not openssl then return nil, "no openssl program" end
  return true
end

--- Where a server's programs are: { root = folder it was unpacked under, or nil when installed; program = path }.
-- With `shell = true` in it what the keeper runs is /bin/sh, and the arguments name a script; `environment` is
-- "NAME=value …" for the server and its programs, where "@" is the folder; `as_root = true` is for a server that
-- insists on root rights (asroot.c).
local function find(name, program)
  local fit, why = able()
  if not fit then return nil, why end
  local unpacked = packages .. "/" .. name
  local mark = io.open(unpacked .. "/complete")
  if mark then
    mark:close()
    return { root = unpacked, program = unpacked .. program }
  end
  local ok = shell("test -x " .. program)
  if ok then return { program = program } end
  return nil, name .. " is neither unpacked under build/servers nor installed (make deps)"
end

local function user_of(answer)
  local name, uid, group, gid, folder = answer:match "^(%S+) (%d+) (%S+) (%d+) (%S+)$"
  return { user = name, uid = tonumber(uid), group = group, gid = tonumber(gid), folder = folder }
end

local function surroundings(found_server, folder, preload)
  local _, found = shell(("sh %s/unpack.sh --libraries %s"):format(quote(here), quote(found_server.root)))
  local list = {}
  for name in found:gmatch "%S+" do list[#list + 1] = folder .. "/tree/" .. name end
  local helpers = folder .. "/reroot.so"
  if found_server.as_root then helpers = folder .. "/asroot.so:" .. helpers end
  return string.format("LM_REROOT=%s/tree LM_OVERLAY=%s/overlay LM_SYSLOG=%s/syslog %s=%s LD_LIBRARY_PATH=%s",
    folder, folder, folder, preload, helpers, table.concat(list, ":"))
end

-- The command line of popen; "@" stands for the folder, which the keeper makes.
local function command_line(found, arguments)
  local words = { "exec env -u LD_PRELOAD", found.environment }
  local program = found.program
  if found.root then
    program = "@/tree" .. program:sub(#found.root + 1)
    words[#words + 1] = surroundings(found, "@", "KEEPER_PRELOAD")
  end
  if found.shell then program = "/bin/sh" end
  words[#words + 1] = quote(packages .. "/bin/keeper") .. " " .. program
  for _, argument in ipairs(arguments) do words[#words + 1] = quote(argument) end
  return table.concat(words, " ")
end

--- Starts a keeper for a program (see `find`); its folder is there at once, the server comes with `start`.
-- Returns the keeper, or nil and the reason.
function Keeper.new(found, arguments)
  local ok, why = prepare()
  if not ok then return nil, why end
  local answers = assert(io.popen(command_line(found, arguments), "r"))
  local first = answers:read "*l"
  if not first or first:sub(1, 3) ~= "ok " then
    answers:close()
    return nil, first and first:sub(4) or "the keeper did not start"
  end
  local self = setmetatable(user_of(first:sub(4)), Keeper)
  self.answers, self.found = answers, found
  self.orders = assert(io.open(self.folder .. "/orders", "w"))
  if found.root then
    ok, why = self:enter_root()
    if not ok then
      self:close()
      return nil, why
    end
  end
  return self
end

-- A server without rights must reach its own programs: a tree below a private home is copied, any other linked.
function Keeper:enter_root()
  local ok, why = shell("cp " .. quote(packages .. "/bin") .. "/*root.so " .. self.folder)
  if not ok then return nil, why end
  local way = self:ask("reach " .. self.found.program) and "ln -s " or "cp -a "
  ok, why = shell(way .. quote(self.found.root) .. " " .. self.folder .. "/tree")
  return ok, why
end

--- One order, one answer: its text, or nil and the reason.
function Keeper:ask(order)
  if not self.orders then return nil, "this server was closed" end
  self.orders:write(order, "\n")
  self.orders:flush()
  local line = self.answers:read "*l"
  if not line then return nil, "the keeper is gone" end
  if line:sub(1, 3) == "ok " then return line:sub(4) end
  return nil, line:sub(4)
end

--- n free ports of 127.0.0.1, as a list.
function Keeper:ports(n)
  local list = {}
  for port in assert(self:ask("ports " .. n)):gmatch "%d+" do list[#list + 1] = tonumber(port) end
  return list
end

--- A file in the folder; missing parts of its path are made.
function Keeper:write(name, text)
  local path = self.folder .. "/" .. name
  local parent = name:match "^(.*)/"
  if parent then shell("mkdir -p " .. quote(self.folder .. "/" .. parent)) end
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

--- The text of a file in the folder, "" where there is none.
function Keeper:read(name)
  local file = io.open(self.folder .. "/" .. name, "rb")
  if not file then return "" end
  local text = file:read "*a"
  file:close()
  return text
end

--- Runs the server until every port of the list answers.
function Keeper:start(ports) return self:ask("start " .. table.concat(ports, " ")) end

--- Ends the server and all that came of it; folder and ports stay, `start` brings it back.
function Keeper:stop() return self:ask "stop" end

function Keeper:signal(number) return self:ask("signal " .. number) end

--- "NAME=value …": what the server and its programs find in their environment, besides where they are.
function Keeper:environment() return ((self.found.environment or ""):gsub("@", self.folder)) end

--- One of the package's own programs in the server's surroundings, as the server's user, as a list of words: for a
-- client that starts it itself.
function Keeper:command(program, arguments)
  local line = ("exec %s/tree%s"):format(self.folder, program)
  for _, argument in ipairs(arguments) do line = line .. " " .. quote(argument) end
  line = ("export %s %s; %s"):format(self:environment(), surroundings(self.found, self.folder, "LD_PRELOAD"), line)
  local words = { "/bin/sh", "-c", line }
  local _, who = shell "id -u"
  if who ~= "0" then return words end
  return { "setpriv", "--reuid", tostring(self.uid), "--regid", tostring(self.gid), "--clear-groups", "/bin/sh", "-c",
    line }
end

--- Runs one of the package's own programs in the server's surroundings; input is optional text.
-- Returns whether its status was 0, and what it wrote.
function Keeper:run(program, arguments, input)
  local words, feed = { "env -u LD_PRELOAD", (self:environment()) }, ""
  if self.found.root then
    words[#words + 1] = surroundings(self.found, self.folder, "LD_PRELOAD")
    program = self.folder .. "/tree" .. program
  end
  words[#words + 1] = program
  for _, argument in ipairs(arguments) do words[#words + 1] = quote(argument) end
  if input then feed = " < " .. quote(self:write("input", input)) end
  return shell("( " .. table.concat(words, " ") .. feed .. " )")
end

--- The end of all: returns when every process is gone and the folder too.
function Keeper:close()
  if not self.orders then return end
  self.orders:close()
  self.orders = nil
  self.answers:close()
end

Keeper.able, Keeper.find, Keeper.shell, Keeper.quote, Keeper.root = able, find, shell, quote, root
return Keeper
