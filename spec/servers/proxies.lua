-- Real proxies for specs: microsocks (SOCKS5) and tinyproxy (HTTP CONNECT), both packaged as "proxies".
--
-- Options: kind ("socks5" or "http"), login = true: it demands `user` and `password`.
-- Fields: url and open_url (without user and password), host, ports.proxy, user, password.
local Keeper = require "spec.servers.keeper"
local Server = require "spec.servers.server"

local Proxy = Server.class()

local TINYPROXY = [[
Port %d
Listen 127.0.0.1
Timeout 60
MaxClients 50
Allow 127.0.0.1
%s]]

-- microsocks is told all by its command line, the port too: the keeper has one before it knows any.
local function arguments_of(self)
  if self.kind == "http" then return { "-d", "-c", "@/tinyproxy.conf" } end
  local list = { "-i", "127.0.0.1", "-p", "PORT" }
  if self.login then
    for _, word in ipairs { "-u", self.user, "-P", self.password } do list[#list + 1] = word end
  end
  return list
end

function Proxy.admit() end

local PROGRAMS = { socks5 = "/usr/bin/microsocks", http = "/usr/bin/tinyproxy" }

-- A port that was free a moment ago.
local function free_port()
  local keeper, why = Keeper.new({ program = "/bin/true" }, {})
  if not keeper then return nil, why end
  local port = keeper:ports(1)[1]
  keeper:close()
  return port
end

local M = {}

function M.find(options) return Keeper.find("proxies", PROGRAMS[options.kind or "socks5"]) end

function M.new(_, options, found)
  local kind = options.kind or "socks5"
  local self = setmetatable({ name = kind .. " proxy", kind = kind, options = options, host = "127.0.0.1", users = {},
    logs = { "output" }, login = options.login, user = "relay", password = "open:sesame" }, Proxy)
  if kind == "http" then self.password = "opensesame" end
  local port, why = free_port()
  if not port then return nil, why end
  local list = arguments_of(self)
  for i, word in ipairs(list) do list[i] = word == "PORT" and tostring(port) or word end
  local kept
  kept, why = self:take_keeper(found, list)
  if not kept then return nil, why end
  self.ports = { proxy = port }
  self.keeper:write("tinyproxy.conf", TINYPROXY:format(port,
    self.login and ("BasicAuth %s %s\n"):format(self.user, self.password) or ""))
  self.open_url = ("%s://127.0.0.1:%d"):format(kind, port)
  self.url = self.login and ("%s://%s:%s@127.0.0.1:%d"):format(kind, self.user, self.password:gsub(":", "%%3A"), port)
    or self.open_url
  kept, why = self.keeper:start { port }
  if not kept then
    why = self.name .. " did not start: " .. why .. "\n" .. self:log()
    self:close()
    return nil, why
  end
  self.running = true
  return self
end

return M
