--- Checks option tables: an unknown name or a wrong type is a bug in the program and raises.
-- @module mail.want

local core = require "mail.core"

-- "string|table?" → { optional = true, string = true, table = true, words = "string|table" }
local parsed = setmetatable({}, { __index = function(self, kinds)
  local types = { words = kinds:gsub("%?$", ""), optional = kinds:sub(-1) == "?" or kinds == "any" }
  for kind in types.words:gmatch("[^|]+") do types[kind] = true end
  self[kinds] = types
  return types
end })

-- The names that a spec demands; specs are made once, so this is too.
local demanded = setmetatable({}, { __mode = "k", __index = function(self, spec)
  local names = {}
  for name, kinds in pairs(spec) do
    if not parsed[kinds].optional then names[#names + 1] = name end
  end
  self[spec] = names
  return names
end })

-- Raises for the first name or type that `core.fits` refused.
local function blame(options, spec, what, level)
  for name, value in pairs(options) do
    local kinds = spec[name]
    if not kinds then
      error(("%s: unknown option '%s'"):format(what, tostring(name)), level)
    end
    local types = parsed[kinds]
    if not types[type(value)] and not types.any then
      error(("%s: option '%s' must be %s, got %s"):format(what, name, types.words, type(value)), level)
    end
  end
end

local PHASES = { connect = true, answer = true, data = true }

-- Raises where `timeout = { connect=, answer=, data= }` holds anything else.
local function check_phases(timeout, what, level)
  for name, seconds in pairs(timeout) do
    if not PHASES[name] then
      error(("%s: option 'timeout' knows connect, answer and data, not '%s'"):format(what, tostring(name)), level)
    end
    if type(seconds) ~= "number" or seconds ~= seconds then
      local got = type(seconds) == "number" and "nan" or type(seconds)
      error(("%s: option 'timeout.%s' must be number, got %s"):format(what, name, got), level)
    end
  end
end

-- What is no number would be a wait without an end.
local function check_timeout(timeout, what, level)
  if type(timeout) == "table" then
    check_phases(timeout, what, level + 1) -- no tail call: Lua 5.1 counts those as levels
  elseif timeout ~= timeout then
    error(what .. ": option 'timeout' must be number, got nan", level)
  end
end

--- Checks `options` against `spec`.
-- @tparam table options what the user gave
-- @tparam table spec name → type: a Lua type name, several joined by `|`, with `?` behind where it
--   may be left out, or "any": `{ host = "string", port = "number?", log = "function|userdata?" }`
-- @tparam string what the name of the call, for the message
-- @tparam[opt=1] number level whose line is blamed: 1 = the caller of the function that calls want
-- @treturn table options
local function want(options, spec, what, level)
  level = (level or 1) + 2
  if type(options) ~= "table" then
    error(("%s: a table of options expected, got %s"):format(what, type(options)), level)
  end
  if not core.fits(options, spec) then blame(options, spec, what, level + 1) end
  if options.timeout ~= nil then check_timeout(options.timeout, what, level + 1) end
  local names = demanded[spec]
  for i = 1, #names do
    if options[names[i]] == nil then
      error(("%s: option '%s' is missing"):format(what, names[i]), level)
    end
  end
  return options
end

return want
