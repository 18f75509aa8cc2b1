-- Many commands beside one another: pool.c starts them in order, and what each said is handed out whole when it
-- ends, so that nothing is mixed.

local shell = require "spec.tools.shell"

local jobs = {}

local PROGRAM = "build/pool/pool"

-- Seconds after which a job is ended: none takes a quarter of it.
local BOUND = 600

--- How many processors there are.
jobs.cores = tonumber(shell.lines "getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2"[1]) or 2

-- Most spec files wait for servers and for limits of time most of the time.
local AT_ONCE = tonumber(os.getenv "LM_JOBS") or math.min(2 * jobs.cores, 12)

-- A folder of this run's own: another may go on in the same tree.
local function prepare()
  local fine, out = shell.capture(("mkdir -p build/pool && { [ %s -nt spec/tools/pool.c ] || "
    .. "{ ${CC:-cc} -std=c99 -O1 spec/tools/pool.c -o %s.$$ && mv %s.$$ %s; }; } && mktemp -d build/pool/XXXXXX")
    :format(PROGRAM, PROGRAM, PROGRAM, PROGRAM))
  if not fine then error("spec/tools/pool.c does not compile:\n" .. out, 0) end
  return out:match "[^\n]+$"
end

--- Runs them all. A job is { seconds = about how long it takes, command = text of one line,
-- done = function(job, status, output) }; `done` is called as each ends, with its exit status (nil when it is not
-- known) and with job.seconds as it was. The longest start first, so that none of them is left for the end.
function jobs.run(list)
  if #list == 0 then return end
  local folder = prepare()
  table.sort(list, function(a, b)
    if a.seconds ~= b.seconds then return a.seconds > b.seconds end
    return a.command < b.command
  end)
  local left, lines = {}, {}
  local function output(i) return ("%s/%d"):format(folder, i) end
  for i, job in ipairs(list) do left[i], lines[i] = true, output(i) .. "\t" .. job.command .. "\n" end
  shell.write(folder .. "/jobs", table.concat(lines))
  local function done(i, status)
    left[i] = nil
    local text = (shell.read(output(i)) or ""):gsub("%s+$", "")
    list[i]:done(status, text)
  end
  local pool = assert(io.popen(("exec %s %d %d %s/jobs"):format(PROGRAM, AT_ONCE, BOUND, folder), "r"))
  for line in pool:lines() do
    local i, status, seconds = line:match "^(%d+) (%d+) ([%d.]+)$"
    i = tonumber(i)
    list[i].seconds = tonumber(seconds)
    done(i, tonumber(status))
  end
  pool:close()
  for i in ipairs(list) do
    if left[i] then done(i) end
  end
  shell.capture("rm -r " .. folder)
end

return jobs
