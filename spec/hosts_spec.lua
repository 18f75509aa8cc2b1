-- Every event loop passes the checks of spec/io_conformance.lua: one program per host, spec/hosts/NAME.lua, run as a
-- child process of its own against the peers of spec/hosts/peer.lua and a real Dovecot.
--
-- A runner whose host is not on this machine, or not for this Lua, prints `missing REASON` and nothing else; the
-- reason is counted as a skip. `LM_HOSTS_ONLY=pattern` runs the checks whose names match.

local child = require "spec.support.child"
local servers = require "spec.servers"

local luajit = rawget(_G, "jit") ~= nil

-- `luajit`: a host with a LuaJIT of its own, tried once, in the suite's run under LuaJIT, whose core it can load.
local HOSTS = {
  { "native" }, { "blocking" },
}

-- Seconds after which a runner is given up, and a suite with it. The target is 20.
local BOUND = 240

local function literal(value)
  if type(value) ~= "table" then return ("%q"):format(value) end
  local list = {}
  for name, one in pairs(value) do
    list[#list + 1] = ("[%q] = %s"):format(name, type(one) == "number" and ("%d"):format(one) or literal(one))
  end
  return "{ " .. table.concat(list, ", ") .. " }"
end

local peers, ports

local function start_peers()
  if ports then return end
  peers = assert(io.popen(child.lua() .. "spec/hosts/peer.lua", "r"))
  local line = assert(peers:read "*l", "the peers did not start")
  ports = {}
  for name, port in line:gmatch "(%a+)=(%d+)" do ports[name] = tonumber(port) end
end

local function real()
  local server = servers.dovecot { store = "maildir" }
  if not server then return nil end
  local user = server:add_user()
  return { host = "localhost", imap = server.ports.imap, imaps = server.ports.imaps, user = user.name,
    password = user.password, ca_file = server.ca_file }
end

-- What the runner of that name said: { version=, missing=, results = { { verdict, check, why } }, last=, text= }.
local function run(name)
  start_peers()
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write("return ", literal { peer = ports, dovecot = real(), only = os.getenv "LM_HOSTS_ONLY" }, "\n")
  file:close()
  local _, text = child.shell(("( %sspec/hosts/%s.lua )")
    :format(child.lua("LM_HOSTS=" .. path .. " timeout " .. BOUND), name))
  os.remove(path)
  local said = { text = text, results = {} }
  for line in text:gmatch "[^\n]+" do
    local verdict, rest = line:match "^(ok) (.+)$"
    if not verdict then verdict, rest = line:match "^(not ok) (.+)$" end
    if not verdict then verdict, rest = line:match "^(skip) (.+)$" end
    if verdict then said.results[#said.results + 1] = { verdict, rest } end
    said.version = said.version or line:match "^version (.+)$"
    said.missing = said.missing or line:match "^missing (.+)$"
    said.passed, said.failed = line:match "^(%d+) passed, (%d+) failed"
  end
  return said
end

describe("Every host loop", function()
  for _, host in ipairs(HOSTS) do
    local name = host[1]
    if luajit or not host.luajit then
      it("passes the checks: " .. name, function()
        local said = run(name)
        if said.missing then return pending(("%s: %s"):format(name, said.missing)) end
        local bad = {}
        for _, result in ipairs(said.results) do
          if result[1] == "not ok" then bad[#bad + 1] = result[2] end
        end
        assert.is_truthy(said.passed, name .. " did not come to its end:\n" .. said.text)
        assert.equal("", table.concat(bad, "\n"))
        assert.equal("0", said.failed)
        assert.is_true(tonumber(said.passed) > 0)
      end)
    end
  end

  teardown(function()
    if peers then peers:close() end
    peers, ports = nil, nil
  end)
end)
