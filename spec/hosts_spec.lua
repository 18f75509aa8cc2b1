-- Every event loop passes the checks of spec/io_conformance.lua: one program per host, spec/hosts/NAME.lua, run as a
-- child process of its own against the peers of spec/hosts/peer.lua and a real Dovecot.
--
-- A runner whose host is not on this machine, or not for this Lua, prints `missing REASON` and nothing else; the
-- reason is counted as a skip. `LM_HOSTS_ONLY=pattern` runs the checks whose names match; `LM_HOSTS_TABLE=1` makes the
-- table of spec/README.md anew from the last results of each host under each Lua (`make hosts-table`).

local child = require "spec.support.child"
local conformance = require "spec.io_conformance"
local hosts = require "spec.hosts.table"
local servers = require "spec.servers"

local luajit = rawget(_G, "jit") ~= nil

-- `luajit`: a host with a LuaJIT of its own, tried once, in the suite's run under LuaJIT, whose core it can load.
local HOSTS = {
  { "native" }, { "blocking" }, { "cqueues" }, { "template" }, { "luv" }, { "copas" },
  { "openresty", luajit = true }, { "openresty_timer", luajit = true }, { "tarantool", luajit = true }, { "skynet" },
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

-- A name server and a proxy, where the machine has them.
local function beside()
  local dns = servers.dns { records = "_imaps._tcp.hosts.example SRV 0 1 993 mail.hosts.example\n"
    .. "hosts.example MX 10 mail.hosts.example\nhosts.example TXT \"one\" \"two\"\nmute.hosts.example MUTE\n"
    .. "1.0.0.127.in-addr.arpa PTR mail.hosts.example\n"
    .. "mail.hosts.example A 127.0.0.1\n" }
  local proxy = servers.proxy { kind = "socks5", login = true }
  return dns and dns.servers, proxy and proxy.url
end

-- What the runner of that name said (see spec/hosts/table.lua), and its whole text.
local function run(name)
  start_peers()
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  local dns, proxy = beside()
  file:write("return ", literal { peer = ports, dovecot = real(), dns = dns, proxy = proxy,
    only = os.getenv "LM_HOSTS_ONLY" }, "\n")
  file:close()
  -- Libraries that this machine lacked are unpacked with what needs them.
  local libraries = "LD_LIBRARY_PATH=\"$(ls -d build/servers/hosts/usr/lib/*-linux-* 2>/dev/null)\" "
  local clean, text = child.shell(("( %sspec/hosts/%s.lua )")
    :format(child.lua(libraries .. "LM_HOSTS=" .. path, BOUND), name))
  os.remove(path)
  hosts.keep(name, text)
  local said = hosts.parse(text)
  said.text, said.clean = text, clean
  return said
end

describe("Every host loop", function()
  for _, host in ipairs(HOSTS) do
    local name = host[1]
    if luajit or not host.luajit then
      it("passes the checks: " .. name, function()
        local said = run(name)
        if said.missing then return pending(("%s: %s"):format(name, said.missing)) end
        assert.is_truthy(said.passed, name .. " did not come to its end:\n" .. said.text)
        assert.equal("", table.concat(said.bad, "\n"))
        assert.equal("0", said.failed)
        assert.is_true(tonumber(said.passed) > 0)
        assert.is_true(said.clean, name .. " ended badly:\n" .. said.text)
      end)
    end
  end

  it("has its column, and every check its row, in spec/README.md", function()
    local names = {}
    for i, host in ipairs(HOSTS) do names[i] = host[1] end
    if os.getenv "LM_HOSTS_TABLE" then hosts.publish(names) end
    local columns, rows, text = hosts.committed()
    assert.same(names, columns)
    assert.same(conformance.names(), rows)
    assert.is_nil(text:find("FAILED", 1, true))
  end)

  teardown(function()
    if peers then peers:close() end
    peers, ports = nil, nil
  end)
end)
