-- The table of checks by host in spec/README.md, made of what the runners said (see spec/hosts_spec.lua).
--
-- Each run leaves its output under build/hosts/, one file for a host and a Lua; `make hosts-table` runs them under
-- Lua 5.4 and LuaJIT and puts the table between the two marks of spec/README.md.

local child = require "spec.support.child"
local conformance = require "spec.io_conformance"
local files = require "spec.support.files"

local table_ = {}

local FOLDER = child.root .. "/build/hosts"
local README = child.root .. "/spec/README.md"
local FROM, TO = "<!-- hosts: made by `make hosts-table` -->\n", "<!-- end of hosts -->"

local LUAS = { "Lua 5.1", "Lua 5.2", "Lua 5.3", "Lua 5.4", "LuaJIT" }
local LUA = rawget(_G, "jit") and "LuaJIT" or _VERSION

local read, write = files.read, files.write

--- What a runner printed: { version=, missing=, passed=, failed=, results = { NAME = { verdict, why } },
-- bad = { line } }.
function table_.parse(text)
  local said = { results = {}, bad = {} }
  local names = {}
  for _, name in ipairs(conformance.names()) do names[name] = true end
  for line in text:gmatch "[^\n]+" do
    local verdict, rest = line:match "^(ok) (.+)$"
    if not verdict then verdict, rest = line:match "^(not ok) (.+)$" end
    if not verdict then verdict, rest = line:match "^(skip) (.+)$" end
    if verdict then
      -- A name may hold a colon itself.
      local name = rest
      while not names[name] and name:find ": " do name = name:match "^(.*): " end
      said.results[name] = { verdict, rest:sub(#name + 3) }
      if verdict == "not ok" then said.bad[#said.bad + 1] = rest end
    end
    said.version = said.version or line:match "^version (.+)$"
    said.missing = said.missing or line:match "^missing (.+)$"
    said.passed, said.failed = line:match "^(%d+) passed, (%d+) failed"
  end
  return said
end

--- Keeps what the runner of that host printed.
function table_.keep(name, text)
  child.shell("mkdir -p " .. child.quote(FOLDER))
  write(("%s/%s.%s"):format(FOLDER, name, (LUA:gsub(" ", ""))), text)
end

-- What is known of a host, by Lua.
local function known(name)
  local all = {}
  for _, lua in ipairs(LUAS) do
    local text = read(("%s/%s.%s"):format(FOLDER, name, (lua:gsub(" ", ""))))
    local said = text and table_.parse(text)
    if said and said.passed then all[#all + 1] = said end
  end
  return all
end

-- "cqueues 20200726, Lua 5.4, LuaJIT 2.1" from the versions of several runs.
local function versions(all)
  local list, seen = {}, {}
  for _, said in ipairs(all) do
    for word in said.version:gmatch "[^,]+" do
      word = word:match "^%s*(.-)%s*$"
      if not seen[word] then list[#list + 1] = word end
      seen[word] = true
    end
  end
  return #list > 0 and table.concat(list, ", ") or "not tried"
end

local function cell(all, check, reasons, host)
  local verdicts, ok, failed = {}, 0, 0
  for _, said in ipairs(all) do
    local result = said.results[check] or { "skip", "not in this run" }
    verdicts[#verdicts + 1] = result
    if result[1] == "ok" then ok = ok + 1 elseif result[1] == "not ok" then failed = failed + 1 end
  end
  if failed > 0 then return "FAILED" end
  if ok > 0 then return "ok" end
  local why = verdicts[1] and verdicts[1][2] or "not tried"
  reasons[why] = reasons[why] or {}
  reasons[why][host] = true
  return "–"
end

local function skips(reasons)
  local list = {}
  for why, hosts in pairs(reasons) do
    local names = {}
    for name in pairs(hosts) do names[#names + 1] = name end
    table.sort(names)
    list[#list + 1] = ("%s (%s)"):format(why, table.concat(names, ", "))
  end
  table.sort(list)
  return #list > 0 and "– does not apply: " .. table.concat(list, "; ") .. ".\n" or ""
end

--- The table of these hosts, as Markdown.
function table_.render(hosts)
  local out, reasons, all = {}, {}, {}
  local function row(first, fn)
    local cells = { first }
    for i, name in ipairs(hosts) do cells[i + 1] = fn(name, i) end
    out[#out + 1] = "| " .. table.concat(cells, " | ") .. " |\n"
  end
  for i, name in ipairs(hosts) do all[i] = known(name) end
  row("check", function(name) return name end)
  out[#out + 1] = "|" .. ("---|"):rep(#hosts + 1) .. "\n"
  row("tried", function(_, i) return versions(all[i]) end)
  for _, check in ipairs(conformance.names()) do
    row(check, function(name, i) return cell(all[i], check, reasons, name) end)
  end
  return table.concat(out) .. "\n" .. skips(reasons)
end

-- What stands in spec/README.md: the text before the table, the table, the text behind it.
local function committed()
  local text = read(README)
  local _, from = text:find(FROM, 1, true)
  local to = text:find(TO, 1, true)
  if not from or not to then error("spec/README.md has no place for the table of hosts", 0) end
  return text:sub(1, from), text:sub(from + 1, to - 1), text:sub(to)
end

--- The hosts and the checks of the table in spec/README.md: two lists.
function table_.committed()
  local _, text = committed()
  local hosts, checks = {}, {}
  for name in text:match("^| check |([^\n]*)"):gmatch "[%w_]+" do hosts[#hosts + 1] = name end
  for line in text:gmatch "\n| ([^\n]*)" do
    local name = line:match "^(.-) |"
    if name ~= "tried" then checks[#checks + 1] = name end
  end
  return hosts, checks, text
end

--- Puts the table of these hosts into spec/README.md.
function table_.publish(hosts)
  local before, _, behind = committed()
  write(README, before .. table_.render(hosts) .. behind)
end

return table_
