-- stats.lua [--selftest]   sizes of functions in csrc and lua: how many, median, p90, over 60 lines, worst ten
-- Fails when 9 of 10 functions are not under 40 lines. It relies on the layout that clang-format and the house
-- rules give: a C function opens at column 0 with a `{` at a line's end and closes with `}` at column 0; a Lua
-- function closes with an `end` as far in as the line that opened it.

local LIMIT_P90, REASON_OVER = 40, 60

local function shell(command)
  local pipe = assert(io.popen(command, "r"))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

local function lines_of(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = line end
  return list
end

-- From the first line of the signature: a long one is wrapped, with its later lines indented.
local function c_functions(lines, add)
  local first
  for i, line in ipairs(lines) do
    if line:find "^[%a_]" then first = i end
    if line == "}" and first then
      local head = table.concat(lines, " ", first, math.min(first + 3, i))
      local name = head:match "^[^={;]-([%w_]+)%s*%([^;]-%)%s*{"
      if name then add(name, i - first + 1) end
    end
    if line:find "^}" then first = nil end
  end
end

local function lua_functions(lines, add)
  local open = {}
  for i, line in ipairs(lines) do
    local indent = line:match "^%s*"
    local code = line:gsub("%b\"\"", '""'):gsub("%-%-.*$", "")
    if code:find "%f[%w_]function%f[^%w_][^)]*%)%s*$" then
      open[indent] = { at = i, name = code:match "function%s+([%w_.:]+)" or code:match "([%w_.]+)%s*=%s*function"
        or "anonymous" }
    elseif open[indent] and line:find("^" .. indent .. "end%f[^%w_]") then
      add(open[indent].name, i - open[indent].at + 1)
      open[indent] = nil
    end
  end
end

local function collect(files, scan)
  local sizes = {}
  for _, path in ipairs(files) do
    scan(lines_of(path), function(name, size)
      sizes[#sizes + 1] = { size = size, name = name, path = path }
    end)
  end
  table.sort(sizes, function(a, b)
    if a.size ~= b.size then return a.size < b.size end
    return a.path .. a.name < b.path .. b.name
  end)
  return sizes
end

local function at(sizes, share) return sizes[math.max(1, math.ceil(#sizes * share))].size end

local function report(title, sizes)
  if #sizes == 0 then print(title .. ": no functions") return true end
  local over = 0
  for _, f in ipairs(sizes) do over = over + (f.size > REASON_OVER and 1 or 0) end
  local p90 = at(sizes, 0.9)
  print(string.format("%s: %d functions, median %d lines, p90 %d, %d over %d; worst:",
    title, #sizes, at(sizes, 0.5), p90, over, REASON_OVER))
  for i = #sizes, math.max(1, #sizes - 9), -1 do
    local f = sizes[i]
    print(string.format("  %4d  %s  (%s)", f.size, f.name, f.path))
  end
  return p90 < LIMIT_P90
end

local function selftest()
  local c = { "static int f(int a,", "             int b) {", "  return a;", "}", "",
    "static const struct x t[] = {", "  {1},", "};", "enum e {", "  A", "};", "void g(void) {", "}" }
  local lua = { 'error("a function expected", 2)', "local function a(x)", "  b(function()", "    return x", "  end)",
    "end", "M.c = function(y)", "end" }
  local got = {}
  local function add(name, size) got[#got + 1] = name .. "=" .. size end
  c_functions(c, add)
  lua_functions(lua, add)
  local text = table.concat(got, " ")
  assert(text == "f=4 g=2 anonymous=3 a=5 M.c=2", text)
  local long = {}
  for i = 1, 10 do long[i] = { size = i == 1 and 5 or 41, name = "long", path = "-" } end
  local real_print, quiet = print, function() end
  print = quiet -- luacheck: ignore 121
  local passed = report("too long", long)
  print = real_print -- luacheck: ignore 121
  assert(not passed, "a p90 of 41 lines must fail")
end

if arg[1] == "--selftest" then
  selftest()
else
  local c_ok = report("csrc", collect(shell("find csrc -name '*.c' | sort"), c_functions))
  local lua_ok = report("lua", collect(shell("find lua -name '*.lua' 2>/dev/null | sort"), lua_functions))
  os.exit(c_ok and lua_ok and 0 or 1)
end
