-- One row of the table: contestants that do the same work in the same run, taking turns, and the
-- medians of what they say.
--
-- A contestant is { name=, role= "ours" | "peer" | "ceiling", command=, foreign=n }. Its command
-- prints a result line (see c/bench.h); a foreign one prints none, so measure.c runs it and its
-- whole life counts for n messages. Without a command it stays in the table with the words in
-- `missing`. `before` is a command run ahead of each turn, outside the clock; `after` one that
-- fails where the work was not done. A contestant that fails is reported with the reason and the
-- others go on. Nothing here asserts a time; what is asserted is that the work was done: the same n
-- for all, as `expect` says.

local shell = require "spec.bench.shell"

local contest = {}

-- One command may take this long (seconds); far more than any does, so that a hang ends the row and
-- not the run.
local PATIENCE = 120

local function median(list)
  local copy = {}
  for i, value in ipairs(list) do copy[i] = value end
  table.sort(copy)
  return copy[math.ceil(#copy / 2)]
end

local function fields(line)
  local result = {}
  for name, value in line:gmatch("(%w[%w_]*)=([%d.eE+-]+)") do result[name] = tonumber(value) end
  return result
end

-- What a program that failed has to say, in one line: that of the error, not of the traceback below
-- it.
local function reason(text)
  return text:match("bench: [^\n]*") or text:match("lua[^\n]*: [^\n]*") or text:match("[^\n]*")
end

-- Runs one contestant once; its result, or nil and why not.
local function turn(contestant, pin, expect)
  local command = contestant.command
  if contestant.before then shell.run(contestant.before) end
  if contestant.foreign then command = shell.build .. "/bin/measure " .. command end
  local ok, output = shell.try(
    ("%s timeout %d taskset -c %d %s 2>&1"):format(contestant.env or "", PATIENCE, pin, command))
  local line = output:match("bench (n=[^\n]*)") or output:match("measure (cpu=[^\n]*)")
  if not ok or not line then return nil, reason(output) end
  local result = fields(line)
  result.n = result.n or contestant.foreign
  if expect and result.n ~= expect then return nil, ("it did %d of %d"):format(result.n, expect) end
  if contestant.after and not shell.try(contestant.after) then return nil, "it did not do the work" end
  return result
end

-- What is the longest of many is the least of the turns: a virtual machine that was held up by its host
-- counts that as processor time, and of thousands of pieces one is always hit.
local LONGEST = { step = true, frame = true }

-- The medians of every field over the turns, with what follows from them.
local function summary(results)
  local s = {}
  for name in pairs(results[1]) do
    local list = {}
    for i, result in ipairs(results) do list[i] = result[name] or 0 end
    s[name] = LONGEST[name] and math.min(table.unpack(list)) or median(list)
  end
  local us, rate = {}, {}
  for i, r in ipairs(results) do us[i], rate[i] = r.cpu / r.n * 1e6, r.n / r.wall end
  s.us, s.rate = median(us), median(rate)
  return s
end

--- Runs `rounds` turns of each contestant on processor `pin`; fills in contestant.result, or
-- contestant.missing. `expect` is the n that each has to report, where they do the same number.
function contest.run(contestants, rounds, pin, expect)
  local results = {}
  for _ = 1, rounds do
    for _, c in ipairs(contestants) do
      if c.command and not c.missing then
        local result, words = turn(c, pin, expect)
        results[c] = results[c] or {}
        if result then table.insert(results[c], result) else c.missing = "failed: " .. words end
      end
    end
  end
  for _, c in ipairs(contestants) do
    if not c.missing and results[c] then c.result = summary(results[c]) end
  end
end

local function thousands(n)
  local s = ("%.0f"):format(n)
  repeat
    local more
    s, more = s:gsub("^(%d+)(%d%d%d)", "%1,%2")
  until more == 0
  return s
end

local function ratio(other, own)
  if not other or not own or own == 0 then return "" end
  return ("%.2f"):format(other / own)
end

-- How each field is written; a workload names the columns that it wants beside the first three.
local COLUMNS = {
  us = { "us/msg", function(r) return ("%.1f"):format(r.us) end },
  rate = { "msg/s", function(r) return thousands(r.rate) end },
  rss = { "peak MB", function(r) return ("%.1f"):format(r.rss / 1024) end },
  rss_growth = { "growth MB", function(r) return r.rss_growth and ("%.1f"):format(r.rss_growth / 1024) or "" end },
  kib_each = { "KiB each", function(r) return ("%.2f"):format(r.kib_each) end },
  latency = { "all, ms", function(r) return r.latency and ("%.1f"):format(r.latency * 1e3) or "" end },
  bytes_each = { "octets each", function(r) return r.bytes_each and ("%.1f"):format(r.bytes_each) or "" end },
  trips = { "trips", function(r) return r.trips and ("%d"):format(r.trips) or "" end },
  wire = { "wire KB", function(r) return r.wire and ("%.0f"):format(r.wire / 1e3) or "" end },
  step = { "step us", function(r) return r.step and ("%.0f"):format(r.step) or "" end },
  frame = { "frame us", function(r) return r.frame and ("%.0f"):format(r.frame) or "" end },
  octets = { "MB/s cpu", function(r) return r.octets and ("%.0f"):format(r.octets / r.cpu / 1e6) or "" end },
}

local function ours(contestants)
  for _, c in ipairs(contestants) do
    if c.role == "ours" and c.result then return c.result end
  end
end

local function line(cells)
  local out = { ("  %-28s %-8s"):format(cells[1], cells[2]) }
  for i = 3, #cells do out[#out + 1] = (" %11s"):format(cells[i]) end
  print((table.concat(out):gsub("%s+$", "")))
end

--- Prints one table. `compare` is the field whose ratio to ours stands in the last column ("us"
-- unless given).
function contest.print(title, contestants, columns, compare)
  compare = compare or "us"
  local own = ours(contestants)
  print(("\n%s"):format(title))
  local heads = { "", "" }
  for _, name in ipairs(columns) do heads[#heads + 1] = COLUMNS[name][1] end
  heads[#heads + 1] = ("%s/ours"):format(COLUMNS[compare][1]:match("^%S+"))
  line(heads)
  for _, c in ipairs(contestants) do
    local cells = { c.name, c.role }
    if c.result then
      for _, name in ipairs(columns) do cells[#cells + 1] = c.result[name] and COLUMNS[name][2](c.result) or "-" end
      cells[#cells + 1] = ratio(c.result[compare], own and own[compare])
    else
      cells[#cells + 1] = "  " .. (c.missing or "peer not installed")
    end
    line(cells)
  end
  io.stdout:flush()
end

return contest
