-- A name server for specs: dnsmasq, which knows what its records say, that nothing else exists, and asks nobody.
--
-- Options: records, text with one record a line, as in a zone but with whole names:
--     mail.example.test A 127.0.0.1            mail.example.test AAAA ::1
--     example.test MX 10 mail.example.test     nomail.example.test MX 0 .
--     _imaps._tcp.example.test SRV 0 1 993 mail.example.test
--     example.test TXT "v=spf1 " "-all"        mute.example.test MUTE         (its questions get no answer)
--     1.2.0.192.in-addr.arpa PTR mail.example.test     odd.example.test RR 15 000a03612062 00   (type and octets)
--   The names of a record lie below .test, .example or .arpa; all other names are refused.
-- Fields: servers, what the option `dns_servers` takes; host, ports.dns.
local Keeper = require "spec.servers.keeper"
local Server = require "spec.servers.server"

local Dns = Server.class()

local CONFIGURATION = [[
keep-in-foreground
port=%d
listen-address=127.0.0.1
bind-interfaces
pid-file=
no-resolv
no-hosts
local-ttl=1
log-facility=-
local=/test/
local=/example/
local=/localhost/
local=/arpa/
]]

-- There is no directive for it: the data in hexadecimal.
local function null_mx(name, preference) return ("dns-rr=%s,15,%04x00"):format(name, preference) end

-- One of many: there is a directive for the first alone.
local function ptr(name, host)
  local hex = host:gsub("([^.]+)%.?", function(label)
    return ("%02x"):format(#label) .. label:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
  end)
  return ("dns-rr=%s,12,%s00"):format(name, hex)
end

local TYPES = {
  A = function(name, data) return ("host-record=%s,%s"):format(name, data) end,
  MX = function(name, data)
    local preference, host = data:match "^(%d+)%s+(%S+)$"
    if host == "." then return null_mx(name, preference) end
    return ("mx-host=%s,%s,%s"):format(name, host, preference)
  end,
  SRV = function(name, data)
    local priority, weight, port, host = data:match "^(%d+)%s+(%d+)%s+(%d+)%s+(%S+)$"
    if host == "." then return "srv-host=" .. name end
    return ("srv-host=%s,%s,%s,%s,%s"):format(name, host, port, priority, weight)
  end,
  TXT = function(name, data)
    local strings = {}
    for text in data:gmatch '"([^"]*)"' do strings[#strings + 1] = '"' .. text .. '"' end
    return ("txt-record=%s,%s"):format(name, table.concat(strings, ","))
  end,
}
TYPES.AAAA, TYPES.PTR = TYPES.A, ptr

function TYPES.RR(name, data)
  local number, octets = data:match "^(%d+) ([%x ]+)$"
  return ("dns-rr=%s,%s,%s"):format(name, number, (octets:gsub(" ", "")))
end

function Dns:configuration()
  local lines = { CONFIGURATION:format(self.ports.dns) }
  for line in self.records:gmatch "[^\n]+" do
    local name, kind, data = line:match "^%s*(%S+)%s+(%S+)%s*(.-)%s*$"
    if kind == "MUTE" then
      lines[#lines + 1] = ("server=/%s/127.0.0.1#%d"):format(name, self.mute)
    elseif name then
      lines[#lines + 1] = (TYPES[kind] or error("dns: no such type: " .. line))(name, data)
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

function Dns:start()
  if not self.running then self.keeper:write("dnsmasq.conf", self:configuration()) end
  return Server.start(self)
end

function Dns.admit() end

local M = {}

function M.find() return Keeper.find("dnsmasq", "/usr/sbin/dnsmasq") end

function M.new(_, options, found)
  local self = setmetatable({ name = "dnsmasq", options = options, host = "127.0.0.1", users = {}, logs = { "output" },
    records = options.records or "" }, Dns)
  local kept, why = self:take_keeper(found, { "-C", "@/dnsmasq.conf", "--user=", "--group=" })
  if not kept then return nil, why end
  self:take_ports { "dns" }
  self.mute = self.keeper:ports(1)[1] -- nobody listens there
  self.servers = "127.0.0.1:" .. self.ports.dns
  kept, why = self:start()
  if kept then return self end
  self:close()
  return nil, why
end

return M
