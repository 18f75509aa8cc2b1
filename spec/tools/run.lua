-- run.lua test LUA...   C tests, then the busted specs under each Lua
-- run.lua check LUA     the same under ASan and UBSan, and what tools can prove about the sources
-- What was built is tried by many jobs at once (jobs.lua); what each said is printed whole when it ends. The last
-- line is `N passed, N failed, N skipped`, summed from what really ran. The exit status is 1 when anything failed,
-- when nothing ran, or when a run died without its counts.

package.path = "./?.lua;" .. package.path
local jobs = require "spec.tools.jobs"
local shell = require "spec.tools.shell"
local specs = require "spec.tools.specs"

local capture, have, lines, say = shell.capture, shell.have, shell.lines, shell.say
local total = { passed = 0, failed = 0, skipped = 0 }
local HERE = lines "pwd"[1]

local function count(passed, failed, skipped)
  total.passed, total.failed, total.skipped =
    total.passed + passed, total.failed + failed, total.skipped + (skipped or 0)
end

-- A step that is one yes or no: silent when it passes, everything it said when it does not.
local function verdict(name, ok, out)
  say("%s  %s", ok and "ok    " or "FAILED", name)
  if not ok then say("%s", shell.indented(out)) end
  count(ok and 1 or 0, ok and 0 or 1)
  return ok, out
end

local function step(name, command) return verdict(name, capture(command)) end

-- The same as a job beside others.
local function later(list, name, seconds, command)
  local function done(job, status, out) job.ok = verdict(name, status == 0, out) end
  local job = { seconds = seconds, command = command:gsub("\n", " "), done = done }
  list[#list + 1] = job
  return job
end

local function skip(name, reason)
  say("skip    %s: %s", name, reason)
  count(0, 0, 1)
end

local function make(target, variables, at_once)
  return string.format("env -u MAKEFLAGS -u MAKELEVEL make -s --no-print-directory -j%d %s %s",
    at_once or jobs.cores, variables, target)
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

-- Each program of C tests is a job; what they came to is in the table that is returned, when all have ended.
local function c_tests(list, build, environment)
  local sum = { programs = 0, passed = 0, failed = 0 }
  local function done(job, status, out)
    local n = status == 0 and out:match "ok (%d+)$"
    sum.programs = sum.programs + 1
    if n then
      sum.passed = sum.passed + tonumber(n)
    else
      sum.failed = sum.failed + 1
      say("FAILED  %s\n%s", job.program, out)
    end
  end
  for _, source in ipairs(lines "ls spec/c/*_test.c 2>/dev/null") do
    local program = build .. "/" .. source:gsub("%.c$", "")
    local bound = source:find "/bind_"
    if bound and not shell.capture("test -x " .. program) then
      skip(source, "this Lua is not there as a library to link with")
    else
      list[#list + 1] =
        { program = program, seconds = bound and 20 or 2, command = environment .. " " .. program, done = done }
    end
  end
  return sum
end

-- The fuzz targets over their corpora: each input, and seeded changes of it, the same on every run. Jobs, too.
local function fuzz_smoke(list, sum, build, environment)
  sum.targets, sum.inputs, sum.broken = 0, 0, 0
  local function done(job, status, out)
    local n = status == 0 and out:match "ok (%d+)$"
    sum.targets = sum.targets + 1
    if n then
      sum.inputs = sum.inputs + tonumber(n)
    else
      sum.broken = sum.broken + 1
      say("FAILED  %s\n%s", job.program, out)
    end
  end
  for _, source in ipairs(lines "ls spec/fuzz/*_fuzz.c 2>/dev/null") do
    local name = source:match "([^/]+)_fuzz%.c$"
    local program = ("%s/spec/fuzz/%s_replay spec/fuzz/%s"):format(build, name, name)
    list[#list + 1] = { program = program, seconds = 1, command = environment .. " " .. program, done = done }
  end
end

local function spec_run(list, run)
  if #lines "find spec -name '*_spec.lua'" == 0 then return skip("specs under " .. run.name, "there is none") end
  if not capture(run.lua .. " -e 'require \"busted\"'") then
    return skip("specs under " .. run.name, "no busted for this Lua")
  end
  run.here = HERE
  specs.add(list, run)
  return run
end

-- The ten files that took longest, for whoever wants the suite to be faster.
local function slowest(list)
  local files, words = {}, {}
  for _, job in ipairs(list) do
    if job.file then files[#files + 1] = job end
  end
  table.sort(files, function(a, b) return a.seconds > b.seconds end)
  for i = 1, math.min(10, #files) do
    words[i] = ("%s %.0f s (%s)"):format(files[i].file:match "([^/]*)_spec%.lua$", files[i].seconds, files[i].run.name)
  end
  if #words > 0 then say("slowest: %s", table.concat(words, ", ")) end
end

-- Runs the jobs; `runs` of specs and `sum` of C tests are counted when they are done.
local function all(list, runs, sum)
  jobs.run(list)
  if sum then
    say("C tests: %d programs, %d cases passed, %d programs failed", sum.programs, sum.passed, sum.failed)
    count(sum.passed, sum.failed)
    say("fuzz targets: %d over their corpora, %d inputs, %d failed", sum.targets, sum.inputs, sum.broken)
    count(sum.targets - sum.broken, sum.broken)
  end
  for _, run in ipairs(runs) do
    specs.sum(run)
    count(run.passed, run.failed, run.skipped)
  end
  slowest(list)
end

local function test(luas)
  local list, runs, sum, luajit = {}, {}, nil, false
  for i, lua in ipairs(luas) do
    local build = "build/" .. lua
    if not have(lua) then
      skip("specs under " .. lua, "not on this machine")
    elseif built("build for " .. lua, i == 1 and "test-build" or "embed", "LUA=" .. lua) then
      if i == 1 then
        sum = c_tests(list, build, "")
        fuzz_smoke(list, sum, build, "")
      end
      runs[#runs + 1] = { lua = lua, name = lua, build = build }
      luajit = luajit or lua == "luajit"
    end
  end
  local ran = {}
  for i, run in ipairs(runs) do
    run.first, run.luajit = i == 1, run.lua == "luajit" or (i == 1 and not luajit)
    ran[#ran + 1] = spec_run(list, run)
  end
  all(list, ran, sum)
end

-- The interpreter is not built with ASan: the runtime goes in first, and unpreload.so takes both out of the
-- environment again so that no shell or server that a spec starts runs under it.
local function sanitized(list, lua)
  local preload = lines "${CC:-cc} -print-file-name=libasan.so"[1]
  if not preload or not preload:find "^/" then return skip("sanitizers", "no libasan beside this compiler") end
  local build = "build/asan"
  if not built("sanitized build", "test-build " .. build .. "/unpreload.so",
    "LUA=" .. lua .. " BUILD=" .. build .. " CFLAGS='-O1 -g' SANITIZE='$(SANITIZERS)'") then return end
  local options = "ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99 UBSAN_OPTIONS=print_stacktrace=1 "
    .. "LSAN_OPTIONS=print_suppressions=0:suppressions=" .. HERE .. "/spec/tools/leaks.supp"
  local sum = c_tests(list, build, options)
  fuzz_smoke(list, sum, build, options)
  local preloaded = options .. " LD_PRELOAD=" .. preload .. ":" .. HERE .. "/" .. build .. "/unpreload.so"
  return sum, spec_run(list, { lua = lua, name = lua .. ", sanitized", build = build, environment = preloaded })
end

local function tool(lua, name, arguments)
  return string.format("%s spec/tools/%s %s", lua, name, arguments or "")
end

-- What tools say of the sources. Returns the job after which the layers can be proved.
local function sources(list, lua)
  local strict = later(list, "warnings are errors", 60,
    make("test-build", "LUA=" .. lua .. " BUILD=build/strict WERROR=-Werror", 1))
  if have "luajit" then
    later(list, "warnings are errors, LuaJIT", 10,
      make("bindings", "LUA=luajit BUILD=build/strict-luajit WERROR=-Werror", 1))
  end
  later(list, "the layer check can fail", 1, tool(lua, "layers.lua", "--selftest"))
  later(list, "the statistics can fail", 1, tool(lua, "stats.lua", "--selftest"))
  later(list, "each header alone", 20, make("headers", "LUA=" .. lua, 1))
  later(list, "the header check can fail", 1,
    "! " .. make("headers", "LUA=" .. lua .. " HEADERS=spec/tools/not_alone.h", 1))
  if have "luacheck" then
    later(list, "luacheck", 10, "luacheck -q .")
  else
    skip("luacheck", "not on this machine")
  end
  if have "clang-format" then
    later(list, "clang-format", 10, "find csrc spec -name '*.[ch]' | xargs -r clang-format --dry-run -Werror 2>&1 "
      .. "| sed -n 's/:.*error:.*//p' | sort | uniq -c | grep . && exit 1 || :")
  else
    skip("clang-format", "not on this machine")
  end
  return strict
end

local function check(lua)
  local list = {}
  local sum, run = sanitized(list, lua)
  local strict = sources(list, lua)
  all(list, { run }, sum)
  if strict.ok then step("layers, symbols and static data", tool(lua, "layers.lua", "build/strict/obj")) end
  local _, out = step("function sizes", tool(lua, "stats.lua"))
  say("%s", out)
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
