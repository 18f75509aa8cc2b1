--- What tells two connections apart, as a text: for the names of pools and of what is kept between connections.
--
-- It is made of all options but those that the caller names, so that an option which is added later tells them
-- apart until somebody says that it need not. It may hold secrets: it is compared, or digested, never shown.
-- Invariant: two tables of options have one text only where their values are the same; functions, userdata and
-- objects are the same only where they are one.
-- @module mail.identity

local identity = {}

-- Objects by number: their addresses are used again once they are collected.
local numbers, count = setmetatable({}, { __mode = "k" }), 0

local function number_of(object)
  local n = numbers[object]
  if not n then
    count = count + 1
    n, numbers[object] = count, count
  end
  return n
end

local OBJECTS = { table = true, ["function"] = true, userdata = true, thread = true }

-- Deeper than any table of options.
local DEEP = 8

local write

-- { [key] = value } as "key=value" in the order of the keys.
local function write_table(t, depth, without)
  local parts = {}
  for key, value in pairs(t) do
    if not (without and without[key]) then
      parts[#parts + 1] = write(key, depth) .. "=" .. write(value, depth)
    end
  end
  table.sort(parts)
  return table.concat(parts, ",")
end

-- A value behind its type and length, so that no two lists read the same.
function write(value, depth, without)
  local kind = type(value)
  local text
  if kind == "table" and getmetatable(value) == nil and depth < DEEP then
    text = write_table(value, depth + 1, without)
  elseif OBJECTS[kind] then
    kind, text = "object", ("%d"):format(number_of(value))
  else
    text = tostring(value)
  end
  return kind:sub(1, 2) .. #text .. ":" .. text
end

--- The text of these options.
-- @tparam table options
-- @tparam[opt] table without set of the names that tell nothing apart
-- @treturn string
function identity.of(options, without)
  return write(options, 0, without)
end

local function copy_of(options, plain, depth)
  local copy = {}
  for name, value in pairs(options) do
    local kind = type(value)
    if kind == "table" and getmetatable(value) == nil and depth < DEEP then
      copy[name] = copy_of(value, plain, depth + 1)
    elseif not (plain and OBJECTS[kind]) then
      copy[name] = value
    end
  end
  return copy
end

--- A copy of options that no later change reaches: tables of plain values are copied, objects are not.
-- @tparam table options
-- @tparam[opt] boolean plain leaves functions and objects out
-- @treturn table
function identity.copy(options, plain)
  return copy_of(options, plain, 0)
end

return identity
