--- Checks option tables: an unknown name or a wrong type is a bug in the program and raises.
-- @module mail.want

--- Checks `options` against `spec`.
-- @tparam table options what the user gave
-- @tparam table spec name → type: a Lua type name, several joined by `|`, with `?` behind where it
--   may be left out: `{ host = "string", port = "number?", log = "function|userdata?" }`
-- @tparam string what the name of the call, for the message
-- @tparam[opt=1] number level whose line is blamed: 1 = the caller of the function that calls want
-- @treturn table options
local function want(options, spec, what, level)
  level = (level or 1) + 2
  if type(options) ~= "table" then
    error(("%s: a table of options expected, got %s"):format(what, type(options)), level)
  end
  for name, value in pairs(options) do
    local kinds = spec[name]
    if not kinds then
      error(("%s: unknown option '%s'"):format(what, tostring(name)), level)
    end
    if kinds ~= "any" and not ("|" .. kinds:gsub("%?$", "") .. "|"):find("|" .. type(value) .. "|", 1, true) then
      error(("%s: option '%s' must be %s, got %s"):format(what, name, (kinds:gsub("%?$", "")), type(value)), level)
    end
  end
  for name, kinds in pairs(spec) do
    if options[name] == nil and kinds:sub(-1) ~= "?" and kinds ~= "any" then
      error(("%s: option '%s' is missing"):format(what, name), level)
    end
  end
  return options
end

return want
