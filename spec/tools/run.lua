-- run.lua test LUA...   C tests, then the busted specs under each Lua
-- run.lua check LUA     the same under ASan and UBSan, and what tools can prove about the sources
-- Prints failures as they happen and, as its last line, `N passed, N failed, N skipped` summed from what really
-- ran. The exit status is 1 when anything failed, when nothing ran, or when a run died without its counts.

local total = { passed = 0, failed = 0, skipped = 0 }

local function say(...) io.write(string.format(...), "\n") io.flush() end

local function count(passed, failed, skipped)
  total.passed, total.failed, total.skipped =
    total.passed + passed, total.failed + failed, total.skipped + (skipped or 0)
end

-- The exit status by the shell's word: os.execute answers differently on 5.1 and on later Luas.
local function capture(command)
  local pipe = assert(io.popen("( " .. command .. " ) 2>&1; echo \"status=$?\"", "r"))
  local out = pipe:read "*a"
  pipe:close()
  local text, status = out:match "^(.*)status=(%d+)\n$"
  return tonumber(status) == 0, (text:gsub("\n$", ""))
end

local function lines(command)
  local list = {}
  local _, out = capture(command)
  for line in out:gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

local function have(program)
  return (capture("command -v " .. program .. " >/dev/null"))
end

-- A step that is one yes or no: silent when it passes, everything it said when it does not.
local function step(name, command)
  local ok, out = capture(command)
  say("%s  %s", ok and "ok    " or "FAILED", name)
  if not ok then say("%s", (out:gsub("^", "        "):gsub("\n", "\n        "))) end
  count(ok and 1 or 0, ok and 0 or 1)
  return ok, out
end

local function skip(name, reason)
  say("skip    %s: %s", name, reason)
  count(0, 0, 1)
end

local JOBS = lines "nproc 2>/dev/null || echo 2"[1]
local HERE = lines "pwd"[1]

local function make(target, variables)
  return string.format("env -u MAKEFLAGS -u MAKELEVEL make -s --no-print-directory -j%s %s %s",
    JOBS, variables, target)
end

local function built(name, target, variables)
  local ok, out = capture(make(target, variables))
  if ok then
    if out ~= "" then say("%s", out) end
    return true
  end
  say("FAILED  %s\n%s", name, out)
  count(0, 1)
  return false
end

local function c_tests(build, environment)
  local sources = lines "ls spec/c/*_test.c 2>/dev/null"
  local passed, failed = 0, 0
  for _, source in ipairs(sources) do
    local program = build .. "/" .. source:gsub("%.c$", "")
    local ok, out = capture(environment .. " " .. program)
    local n = out:match "ok (%d+)%s*$"
    if ok and n then
      passed = passed + tonumber(n)
    else
      failed = failed + 1
      say("FAILED  %s\n%s", program, out)
    end
  end
  say("C tests: %d programs, %d cases passed, %d programs failed", #sources, passed, failed)
  count(passed, failed)
end

-- The fuzz targets over their corpora: each input, and seeded changes of it, the same on every run.
local function fuzz_smoke(build, environment)
  local sources, inputs, failed = lines "ls spec/fuzz/*_fuzz.c 2>/dev/null", 0, 0
  for _, source in ipairs(sources) do
    local name = source:match "([^/]+)_fuzz%.c$"
    local program = ("%s/spec/fuzz/%s_replay spec/fuzz/%s"):format(build, name, name)
    local ok, out = capture(environment .. " " .. program)
    local n = out:match "ok (%d+)%s*$"
    if ok and n then
      inputs = inputs + tonumber(n)
    else
      failed = failed + 1
      say("FAILED  %s\n%s", program, out)
    end
  end
  say("fuzz targets: %d over their corpora, %d inputs, %d failed", #sources, inputs, failed)
  count(#sources - failed, failed)
end

local function paths(build)
  local path = HERE .. "/lua/?.lua;" .. HERE .. "/lua/?/init.lua;" .. HERE .. "/?.lua;" .. HERE .. "/?/init.lua;;"
  return "LUA_PATH='" .. path .. "' LUA_CPATH='" .. HERE .. "/" .. build .. "/?.so;;'"
end

local function specs(lua, build, environment)
  if #lines "find spec -name '*_spec.lua'" == 0 then return skip("specs under " .. lua, "there is none") end
  if not capture(lua .. " -e 'require \"busted\"'") then
    return skip("specs under " .. lua, "no busted for this Lua")
  end
  local report = build .. "/report"
  os.remove(report)
  say("specs under %s%s", lua, environment ~= "" and " (sanitized)" or "")
  os.execute(string.format("env %s LM_REPORT=%s LM_LUA=%s %s %s spec/tools/busted.lua -o spec/tools/report.lua",
    paths(build), report, lua, environment, lua))
  local file = io.open(report)
  local passed, failed, skipped
  if file then
    passed, failed, skipped = file:read("*n", "*n", "*n")
    file:close()
  end
  if not skipped then
    say("FAILED  specs under %s: the run died", lua)
    return count(0, 1)
  end
  say("specs under %s: %d passed, %d failed, %d skipped", lua, passed, failed, skipped)
  count(passed, failed, skipped)
end

local function test(luas)
  for i, lua in ipairs(luas) do
    local build = "build/" .. lua
    if not have(lua) then
      skip("specs under " .. lua, "not on this machine")
    elseif built("build for " .. lua, i == 1 and "test-build" or "embed", "LUA=" .. lua) then
      if i == 1 then
        c_tests(build, "")
        fuzz_smoke(build, "")
      end
      specs(lua, build, "")
    end
  end
end

-- The interpreter is not built with ASan: the runtime goes in first, and unpreload.so takes both out of the
-- environment again so that no shell or server that a spec starts runs under it.
local function sanitized(lua)
  local preload = lines "${CC:-cc} -print-file-name=libasan.so"[1]
  if not preload or not preload:find "^/" then return skip("sanitizers", "no libasan beside this compiler") end
  local build = "build/asan"
  if not built("sanitized build", "test-build " .. build .. "/unpreload.so",
    "LUA=" .. lua .. " BUILD=" .. build .. " CFLAGS='-O1 -g' SANITIZE='$(SANITIZERS)'") then return end
  local options = "ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99 UBSAN_OPTIONS=print_stacktrace=1 "
    .. "LSAN_OPTIONS=print_suppressions=0:suppressions=" .. HERE .. "/spec/tools/leaks.supp"
  c_tests(build, options)
  fuzz_smoke(build, options)
  specs(lua, build, options .. " LD_PRELOAD=" .. preload .. ":" .. HERE .. "/" .. build .. "/unpreload.so")
end

local function tool(lua, name, arguments)
  return string.format("%s spec/tools/%s %s", lua, name, arguments or "")
end

local function sources(lua)
  local strict = "LUA=" .. lua .. " BUILD=build/strict WERROR=-Werror"
  if step("warnings are errors", make("test-build", strict)) then
    step("layers, symbols and static data", tool(lua, "layers.lua", "build/strict/obj"))
  end
  if have "luajit" then
    step("warnings are errors, LuaJIT", make("all", "LUA=luajit BUILD=build/strict-luajit WERROR=-Werror"))
  end
  step("the layer check can fail", tool(lua, "layers.lua", "--selftest"))
  step("each header alone", make("headers", "LUA=" .. lua))
  step("the header check can fail", "! " .. make("headers", "LUA=" .. lua .. " HEADERS=spec/tools/not_alone.h"))
  if have "luacheck" then step("luacheck", "luacheck -q .") else skip("luacheck", "not on this machine") end
  if not have "clang-format" then return skip("clang-format", "not on this machine") end
  step("clang-format", "find csrc spec -name '*.[ch]' | xargs -r clang-format --dry-run -Werror 2>&1 "
    .. "| sed -n 's/:.*error:.*//p' | sort | uniq -c | grep . && exit 1 || :")
end

local function check(lua)
  sources(lua)
  step("the statistics can fail", tool(lua, "stats.lua", "--selftest"))
  local _, out = step("function sizes", tool(lua, "stats.lua"))
  say("%s", out)
  sanitized(lua)
end

local mode = table.remove(arg, 1)
if mode == "test" then
  test(arg)
elseif mode == "check" then
  check(arg[1])
else
  error "usage: run.lua test LUA... | check LUA"
end
if total.passed + total.failed == 0 then
  say("nothing ran")
  total.failed = 1
end
say("%d passed, %d failed, %d skipped", total.passed, total.failed, total.skipped)
os.exit(total.failed == 0 and 0 or 1)
