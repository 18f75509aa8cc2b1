-- The spec files of one Lua as jobs: a busted of its own for each, and their counts summed from its report.

local shell = require "spec.tools.shell"
local say = shell.say

local specs = {}

-- About how many seconds those take that take long, so that they start first; the others are alphabetical.
local LONG = {
  hosts = 60, imap_watch_model = 30, pop3_servers = 26, wire = 20, smtp_content = 19, openresty = 18, examples = 17,
  budget = 16, smtp = 16, servers = 14, smtp_faults = 13, embed = 10, imap_append = 9, imap_account = 8, sasl = 8,
  imap_watch_history = 8, imap_list = 8, maildir = 8, imap_compress = 7, imap_connect = 6, imap_about = 6,
  imap_watch = 6, imap_idle = 6, smtp_pool = 6, imap_window = 5, imap_mailbox = 4, smtp_postfix = 9,
  smtp_opensmtpd = 6,
}

-- What these try is the same program whatever Lua runs the spec: nginx with the library's build for LuaJIT, and the
-- servers by themselves. Once is enough: under LuaJIT, under the first Lua.
local function once(file, run)
  if file == "spec/openresty_spec.lua" then return run.luajit end
  if file == "spec/servers/servers_spec.lua" then return run.first end
  return true
end

local function paths(run)
  return ("LUA_PATH='%s/lua/?.lua;%s/lua/?/init.lua;%s/?.lua;%s/?/init.lua;;' LUA_CPATH='%s/%s/?.so;;'")
    :format(run.here, run.here, run.here, run.here, run.here, run.build)
end

-- Three numbers, then a line for each reason for skips: "N REASON". Nil where the run died before it wrote them.
local function counts(path)
  local text = shell.read(path)
  local passed, failed, skipped, rest = (text or ""):match "^(%d+) (%d+) (%d+)\n(.*)$"
  if not passed then return nil end
  local reasons = {}
  for n, reason in rest:gmatch "(%d+) ([^\n]+)" do reasons[#reasons + 1] = { tonumber(n), reason } end
  return { passed = tonumber(passed), failed = tonumber(failed), skipped = tonumber(skipped), reasons = reasons }
end

-- What is wrong with a file's end, beyond the failures that it counted.
local function bad_end(found, status)
  if not status then return "was not run to its end" end
  if not found then return ("died without its counts, status %d"):format(status) end
  if found.failed > 0 then return nil end
  if status ~= 0 then return ("ended with status %d after its counts"):format(status) end
  if found.passed + found.skipped == 0 then return "tested nothing" end
end

local function add(run, found)
  for _, name in ipairs { "passed", "failed", "skipped" } do run[name] = run[name] + found[name] end
  for _, one in ipairs(found.reasons) do
    local n, reason = one[1], one[2]
    if not run.reasons[reason] then run.reasons[#run.reasons + 1] = reason end
    run.reasons[reason] = (run.reasons[reason] or 0) + n
  end
end

local function done(job, status, output)
  local run, found = job.run, counts(job.report)
  local wrong = bad_end(found, status)
  found = found or { passed = 0, failed = 0, skipped = 0, reasons = {} }
  if wrong then found.failed = found.failed + 1 end
  add(run, found)
  say("  %-12s %-40s %4d passed%s%s %7.1f s", run.name, job.file, found.passed,
    found.failed > 0 and (", %d failed"):format(found.failed) or "",
    found.skipped > 0 and (", %d skipped"):format(found.skipped) or "", job.seconds)
  if output ~= "" then say("%s", output) end
  if wrong then say("FAILED  %s under %s %s", job.file, run.name, wrong) end
end

--- Says what came of a run, when its last file has ended.
function specs.sum(run)
  for _, reason in ipairs(run.reasons) do say("  skipped %d under %s: %s", run.reasons[reason], run.name, reason) end
  say("specs under %s: %d passed, %d failed, %d skipped", run.name, run.passed, run.failed, run.skipped)
end

--- Puts the jobs of a run into `list`. A run is { lua=, build=, environment = what stands before the interpreter,
-- name = as the reader knows it, here = the tree, first = whether it is the first of several, luajit = whether what
-- is LuaJIT's own is tried in it }; passed, failed and skipped are in it when the jobs are done.
function specs.add(list, run)
  run.passed, run.failed, run.skipped, run.reasons = 0, 0, 0, {}
  local folder = run.build .. "/report"
  shell.capture("rm -rf " .. folder .. " && mkdir -p " .. folder)
  for _, file in ipairs(shell.lines "find spec -name '*_spec.lua' | sort") do
    if once(file, run) then
      local short = file:match "([^/]*)_spec%.lua$"
      local report = folder .. "/" .. file:gsub("/", "-")
      list[#list + 1] = { run = run, file = file, report = report, done = done, seconds = LONG[short] or 1,
        command = ("exec env %s LM_REPORT=%s LM_LUA=%s %s %s spec/tools/busted.lua -o spec/tools/report.lua %s")
          :format(paths(run), report, run.lua, run.environment or "", run.lua, file) }
    end
  end
end

return specs
