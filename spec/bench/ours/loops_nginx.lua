-- Runs ours/loops.lua in a request of an nginx of its own, with the same options, and prints what it says.
local Keeper = require "spec.servers.keeper"
local http = require "spec.support.http"
local servers = require "spec.servers"

local FILES = { "spec/bench/ours/loops.lua", "spec/bench/ours/common.lua", "spec/bench/ours/loops/openresty.lua" }

local CONTENT = [[
  location = /bench {
    content_by_lua_block {
      rawset(_G, "arg", { @ARGUMENTS })
      rawset(_G, "print", function(line) ngx.say(line) end)
      local ok, why = xpcall(require "spec.bench.ours.loops", debug.traceback)
      if not ok then ngx.say("bench: ", why) end
    }
  }
]]

local files, words = {}, {}
for _, name in ipairs(FILES) do
  local file = assert(io.open(Keeper.root .. "/" .. name))
  files[name] = file:read "*a"
  file:close()
end
for i, word in ipairs(arg) do words[i] = ("%q"):format(word) end

local nginx, why = servers.nginx { private = true, files = files, server = CONTENT,
  values = { ARGUMENTS = table.concat(words, ", ") } }
if not nginx then error("bench: " .. why:gsub("\n.*", ""), 0) end
local status, text = http.request(nginx.ports.http, "/bench", { timeout = 100 })
print(status == 200 and text or "bench: the request failed: " .. tostring(text))
if not (status == 200 and text:find "^bench n=") then io.stderr:write(nginx:log(), "\n") end
nginx:close()
