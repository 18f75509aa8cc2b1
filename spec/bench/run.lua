-- make bench: what the library costs beside other libraries and beside a bare loop, measured here
-- and now.
--
--   lua5.4 spec/bench/run.lua [--quick] [--rounds=N] [--lua=lua5.4] [--list] [workload...]
--
-- Each workload is a table: our figure, the peers and the ceiling (a C loop that does the
-- unavoidable system calls and no more), taking turns on one pinned processor, medians of the
-- turns. Times of different runs cannot be compared, ratios can; under 1.3 they are ties. No time
-- is asserted. What is missing on this machine stays in its row, with the reason. Servers run on
-- free ports over a temporary folder and are ended by their process ids, whatever happens.

package.path = "./?.lua;" .. package.path

local context = require "spec.bench.context"
local shell = require "spec.bench.shell"

local FILES = { "smtp", "pop3", "imap", "idle", "big", "loops", "scram", "codec", "message" }

local function arguments()
  local options, names = { rounds = 3 }, {}
  for _, a in ipairs(arg) do
    local name, value = a:match("^%-%-([%w-]+)=?(.*)$")
    if not name then names[#names + 1] = a
    elseif name == "rounds" then options.rounds = assert(tonumber(value), "--rounds=N")
    elseif name == "quick" then options.quick, options.rounds = true, 1
    elseif name == "lua" or name == "list" then options[name] = value
    else error("bench: no such option: " .. a, 0) end
  end
  return options, names
end

local function workloads()
  local list = {}
  for _, file in ipairs(FILES) do
    for _, workload in ipairs(require("spec.bench.workload." .. file)) do list[#list + 1] = workload end
  end
  return list
end

local function chosen(list, names)
  if #names == 0 then return list end
  local known, picked = {}, {}
  for _, w in ipairs(list) do known[w.name] = w end
  for i, name in ipairs(names) do picked[i] = known[name] or error("bench: no such workload: " .. name, 0) end
  return picked
end

local function main()
  local options, names = arguments()
  local list = workloads()
  if options.list then
    for _, w in ipairs(list) do print(("%-14s %s"):format(w.name, w.title)) end
    return
  end
  list = chosen(list, names)
  local ctx = context.new(options)
  local ok, why = xpcall(function()
    print(("%s, %s rounds; us = client processor time a message; the last column is theirs / ours"):format(
      shell.run("uname -srm"), options.rounds))
    for _, w in ipairs(list) do w.run(ctx, w) end
  end, function(e) return type(e) == "string" and e or debug.traceback(tostring(e)) end)
  ctx:close()
  if not ok then error(why, 0) end
end

local ok, why = pcall(main)
if not ok then
  io.stderr:write(tostring(why), "\n")
  os.exit(1)
end
