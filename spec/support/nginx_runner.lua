-- What the runners spec/hosts/openresty*.lua have in common: an nginx with the checks of io_conformance.lua in it, and
-- one request that starts them and answers with their lines.
local Keeper = require "spec.servers.keeper"
local http = require "spec.support.http"
local servers = require "spec.servers"

local CONTENT = [[
  location = /checks {
    content_by_lua_block {
      local common, config = require "spec.hosts.common", "@FOLDER/files/config"
      local lines = {}
      local function write(line) lines[#lines + 1] = line end
      local function checks()
        local nginx, lua = ngx.config.nginx_version, ngx.config.ngx_lua_version
        common.version(("nginx %d.%d.%d, ngx_lua %d.%d.%d"):format(nginx / 1000000, nginx / 1000 % 1000, nginx % 1000,
          lua / 1000000, lua / 1000 % 1000, lua % 1000), write)
        local ok, why = xpcall(common.run, debug.traceback, "openresty", { config = config, write = write,
          cancel = function(thread) return ngx.thread.kill(thread) end, kills = true })
        if not ok then write("raised " .. tostring(why)) end
      end
      @CONTEXT
      ngx.print(lines)
    }
  }
]]

local read = require "spec.support.files".slurp

-- The files of the checks, as nginx is to find them.
local function files()
  local found = { config = read(assert(os.getenv "LM_HOSTS", "LM_HOSTS names no file")) }
  local _, names = Keeper.shell("cd " .. Keeper.quote(Keeper.root)
    .. " && ls spec/io_conformance.lua spec/conformance/*.lua spec/hosts/common.lua")
  for name in names:gmatch "%S+" do found[name] = read(Keeper.root .. "/" .. name) end
  return found
end

--- Prints what the checks say; `context` is Lua text that calls `checks()` where they are to run.
return function(context)
  local nginx, why = servers.nginx { private = true, files = files(), server = CONTENT,
    values = { CONTEXT = context } }
  if not nginx then return print("missing " .. why:gsub("\n.*", "")) end
  local status, text = http.request(nginx.ports.http, "/checks", { timeout = 230 })
  print(status == 200 and text or "the request failed: " .. tostring(text))
  if status ~= 200 or not text:find " passed, 0 failed" then print(nginx:log()) end
  nginx:close()
end
