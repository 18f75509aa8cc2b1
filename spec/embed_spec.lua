-- Hosts with more than one Lua state, or more than one process: threads, states one after the other, states that
-- are closed in the middle of something, forks. By spec/embed/states.c, which has this very Lua inside.
local Keeper = require "spec.servers.keeper"
local servers = require "spec.servers"

local quote = Keeper.quote
local server, missing = servers.mail {}
local build = package.cpath:match "([^;]*/build/[^/;]+)/%?%.so"
local program = build and build .. "/spec/embed/states"
if program and not Keeper.shell("test -x " .. quote(program)) then
  missing = "this Lua is not there as a library to link with"
end

local function account()
  local user = server:add_user()
  server:save(user, "Subject: one\r\n\r\n" .. ("x"):rep(70) .. "\r\n")
  return user
end

-- Runs spec/embed/<script>.lua; what is left must be `ok N` alone.
local function run(threads, rounds, script, user)
  local words = { "LUA_INIT= LUA_PATH=" .. quote(package.path) .. " LUA_CPATH=" .. quote(package.cpath) }
  if Keeper.shell "command -v timeout" then words[#words + 1] = "timeout 120" end
  local arguments = { program, threads, rounds, "spec/embed/" .. script .. ".lua", server.ports.imaps,
    server.ports.exim_submissions, user.name, user.password, server.ca_file }
  for _, argument in ipairs(arguments) do words[#words + 1] = quote(argument) end
  local ok, out = Keeper.shell(table.concat(words, " ") .. " < /dev/null")
  assert.is_true(ok, out)
  return out
end

local function embedded(name, fn)
  it(name, function()
    if missing then return pending(missing) end
    fn()
  end)
end

describe("a host with Lua inside", function()
  embedded("has states in several threads, each with its loop and its TLS", function()
    assert.are.equal("ok 12", run(4, 3, "work", account()))
  end)

  embedded("loads and unloads the library with one state after the other", function()
    assert.are.equal("ok 5", run(1, 5, "work", account()))
  end)

  embedded("closes states that are in the middle of something", function()
    local user = account()
    for i = 1, 20 do server:save(user, "Subject: " .. i .. "\r\n\r\n" .. ("y"):rep(5000) .. "\r\n") end
    assert.are.equal("ok 9", run(1, 9, "close", user))
  end)

  embedded("forks, and its sessions stay whole whatever the child does", function()
    assert.matches("ok 1$", run(1, 1, "fork", account()))
  end)
end)
