-- What spec/openresty_spec.lua puts into nginx: runs the Lua text of a request's body, and answers with what
-- it returns, one value a line. Not part of the suite's own program: it lives in nginx's Lua.
local remote = {}

-- Values that snippets keep from request to request.
remote.kept = {}

--- Runs the body of the request.
function remote.run()
  ngx.req.read_body()
  local chunk, why = loadstring(ngx.req.get_body_data() or "", "=snippet") -- luacheck: ignore
  if not chunk then return ngx.say("raised ", why) end
  local environment = setmetatable({ mail = require "mail", kept = remote.kept }, { __index = _G })
  setfenv(chunk, environment) -- luacheck: ignore
  local results = { pcall(chunk) }
  if not results[1] then return ngx.say("raised ", tostring(results[2])) end
  for i = 2, table.maxn(results) do ngx.say(tostring(results[i])) end
end

--- One line of the log: what connecting says in this phase.
function remote.note(port)
  local phase = ngx.get_phase()
  local session, err = require "mail".imap.connect { host = "127.0.0.1", port = port, tls = "none", login = false }
  local line = ("PHASE %s: %s"):format(phase, session and "a session" or err.kind .. " " .. tostring(err))
  ngx.log(ngx.WARN, line)
  if session then session:close() end
end

return remote
