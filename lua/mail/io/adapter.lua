--- What an adapter is, and which one serves here and now.
--
-- An adapter to a loop that waits for descriptors has `wait`, `forget`, `now` and `event`; one to a loop
-- with sockets of its own has `dial`, `now` and `event`. All further functions are optional. README,
-- "A loop of your own", says what each does; spec/io_conformance.lua proves it of any adapter.
-- Invariant: nothing is loaded to find out which loop runs; a library that is not there already runs none.
-- @module mail.io.adapter

local Err = require "mail.err"

local adapter = {}

local NAMES = { "blocking", "copas", "cqueues", "luv", "native", "openresty", "skynet", "tarantool" }

-- A loop that tells where it runs: the library's name, that of its adapter.
local LIBRARIES = { { "ngx", "openresty" }, { "cqueues", "cqueues" }, { "copas", "copas" } }

local DESCRIPTORS = { "wait", "forget", "now", "event" }
local STREAMS = { "dial", "now", "event" }
local OPTIONAL = { "sleep", "spawn", "pause", "nudge", "usable", "stranger" }

--- The rule of everything that waits, for errors.
adapter.RULE = "a wait gives true, or nil and why ('timeout', 'cancelled' or a message), and ends when the loop of "
  .. "its adapter resumes it, not before"

--- Raises: an adapter has not kept to `rule`.
function adapter.broken(host, got, rule)
  error(("mail.loop: the adapter '%s' gave %s: %s"):format(tostring(host.name or "without a name"), got,
    rule or adapter.RULE), 0)
end

--- What a wait gave, in words.
function adapter.words(ok, why)
  local first = type(ok) == "string" and "'" .. ok .. "'" or tostring(ok)
  if why == nil and ok ~= nil then return first end
  return first .. " and " .. (type(why) == "string" and "'" .. why .. "'" or tostring(why))
end

--- Why a connection cannot be made here, by the adapter's own word: an error, or nil.
function adapter.refusal(host)
  if not host.usable or host.usable() then return nil end
  return Err.new {
    kind = "unsupported",
    message = host.rule or ("the loop '%s' cannot wait here: call this where it runs coroutines")
      :format(tostring(host.name)),
  }
end

-- Why that table is no adapter, or nil.
local function lack(host)
  local lacking = {}
  for _, name in ipairs(host.dial ~= nil and STREAMS or DESCRIPTORS) do
    if type(host[name]) ~= "function" then lacking[#lacking + 1] = name end
  end
  if #lacking > 0 then
    return ("an adapter lacks the function%s %s; it has wait, forget, now and event, or, for a loop with sockets of "
      .. "its own, dial, now and event"):format(#lacking > 1 and "s" or "", table.concat(lacking, ", "))
  end
  for _, name in ipairs(OPTIONAL) do
    if host[name] ~= nil and type(host[name]) ~= "function" then
      return ("an adapter's %s must be a function, got %s"):format(name, type(host[name]))
    end
  end
end

local function complete(host, level)
  if not host.connect then
    local why = lack(host)
    if why then error("mail.loop: " .. why, level + 1) end
  end
  return require(host.dial and "mail.io.stream" or "mail.io.fd").complete(host)
end

local function known(name)
  for _, one in ipairs(NAMES) do
    if one == name then return true end
  end
end

--- The adapter of that name, or a table of functions made complete. Raises at `level`.
function adapter.find(which, level)
  level = level + 1
  if type(which) == "table" then
    local host = complete(which, level)
    return host
  end
  if not known(which) then
    error(("mail.loop: no adapter '%s'; there are %s, and tables of functions"):format(tostring(which),
      table.concat(NAMES, ", ")), level)
  end
  local found, host = pcall(require, "mail.io." .. which)
  if found then return host end
  error(("mail.loop: the adapter '%s' cannot be used here: %s"):format(which, tostring(host):match "[^\n]*"), level)
end

local loaded, tried = package.loaded, {}

--- The adapter to another library's loop that runs the present coroutine; nil where none does.
function adapter.running()
  for i = 1, #LIBRARIES do
    local pair = LIBRARIES[i]
    if loaded[pair[1]] then
      local host = tried[pair[2]]
      if host == nil then
        local found, module = pcall(require, "mail.io." .. pair[2])
        host = found and module
        tried[pair[2]] = host
      end
      if host and host.usable() then return host end
    end
  end
end

return adapter
