-- nginx with its Lua module, run by one user without rights, with this tree's library in it (LuaJIT's build).
--
-- Options: server   text for the server section: locations, with @FOLDER, @PORT, @CA and the `values` filled in
--   http      text for the http section: init_by_lua_block, lua_shared_dict, resolver, lua_ssl_... likewise
--   files     Lua files by name, { ["app/inbox.lua"] = text }: on the package path
--   values    more @NAMEs for `server` and `http`
--   main      the whole configuration instead of the template here; @MODULES, @LUA and @CLUA say where things are
-- Ports: http.
local Keeper = require "spec.servers.keeper"
local Server = require "spec.servers.server"

local Nginx = Server.class()

local CONFIGURATION = [[
daemon off;
worker_processes 1;
pid @FOLDER/nginx.pid;
error_log @FOLDER/error.log warn;
load_module @MODULES/ndk_http_module.so;
load_module @MODULES/ngx_http_lua_module.so;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path @FOLDER/temp;
  proxy_temp_path @FOLDER/temp;
  fastcgi_temp_path @FOLDER/temp;
  uwsgi_temp_path @FOLDER/temp;
  scgi_temp_path @FOLDER/temp;
  lua_package_path '@LUA';
  lua_package_cpath '@CLUA';
  lua_socket_buffer_size 64k;
  lua_socket_log_errors off;
@HTTP
  server {
    listen 127.0.0.1:@PORT;
@SERVER
  }
}
]]

function Nginx:configuration()
  local options, k, values = self.options, self.keeper, {}
  local tree = k.found.root and k.folder .. "/tree" or ""
  for name, value in pairs(options.values or {}) do values[name] = value end
  values.FOLDER, values.PORT, values.CA = k.folder, self.ports.http, self.ca_file
  values.MODULES = tree .. "/usr/lib/nginx/modules"
  values.LUA = ("%s/lua/?.lua;%s/lua/?/init.lua;%s/files/?.lua;%s/usr/share/lua/5.1/?.lua;;")
    :format(k.folder, k.folder, k.folder, tree)
  values.CLUA = k.folder .. "/lib/?.so;;"
  values.HTTP, values.SERVER = Server.fill(options.http or "", values), Server.fill(options.server or "", values)
  return Server.fill(options.main or CONFIGURATION, values)
end

function Nginx:start()
  if self.running then return true end
  self.keeper:write("nginx.conf", self:configuration())
  local ok, why = self.keeper:start { self.ports.http } -- which greets nobody
  if not ok then return nil, "nginx did not start: " .. why .. "\n" .. self:log() end
  self.running = true
  return true
end

--- Pids of the workers that run, old ones that are still leaving among them.
function Nginx:workers()
  local list = {}
  local master = self.keeper:read "nginx.pid":match "%d+"
  local _, out = Keeper.shell("cat /proc/" .. master .. "/task/" .. master .. "/children")
  for pid in out:gmatch "%d+" do list[#list + 1] = tonumber(pid) end
  return list
end

function Nginx.admit() end

-- The library as it is in this tree, where a user without rights can read it.
local function install(k, files)
  local ok, out = Keeper.shell("cd " .. Keeper.quote(Keeper.root) .. " && env -u MAKEFLAGS -u MAKELEVEL make -s "
    .. "LUA=luajit && mkdir -p " .. k.folder .. "/lib/mail && cp build/luajit/mail/core.so " .. k.folder .. "/lib/mail"
    .. " && cp -r lua " .. k.folder)
  if not ok then return nil, "no build for LuaJIT: " .. out end
  for name, text in pairs(files or {}) do k:write("files/" .. name, text) end
  return true
end

local M = {}

function M.find()
  local found, why = Keeper.find("nginx", "/usr/sbin/nginx")
  if not found then return nil, why end
  local modules = (found.root or "") .. "/usr/lib/nginx/modules/ngx_http_lua_module.so"
  if not Keeper.shell("test -r " .. Keeper.quote(modules)) then return nil, "nginx has no Lua module here" end
  return found
end

function M.new(servers, options, found)
  local self = setmetatable({ name = "nginx", options = options, host = "127.0.0.1", users = {},
    logs = { "output", "error.log" } }, Nginx)
  local made, why = self:take_certificate(servers)
  if not made then return nil, why end
  local kept
  kept, why = self:take_keeper(found, { "-p", "@/", "-c", "nginx.conf", "-e", "@/error.log" })
  if not kept then return nil, why end
  kept, why = install(self.keeper, options.files)
  if not kept then
    self:close()
    return nil, why
  end
  self:take_ports { "http" }
  self.keeper:write("temp/.keep", "")
  if options.prepare_only then return self end
  kept, why = self:start()
  if kept then return self end
  self:close()
  return nil, why
end

return M
