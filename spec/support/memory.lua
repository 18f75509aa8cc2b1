--- How much memory a spec needed, as the system counts it. Linux only: elsewhere nothing is told.
local memory = {}

local function proc(name, mode)
  return io.open("/proc/self/" .. name, mode)
end

--- Forgets what the most was.
function memory.forget()
  local file = proc("clear_refs", "w")
  if not file then return end
  file:write "5"
  file:close()
end

--- The most that the process had since, in KiB; nil where no system tells.
function memory.peak()
  local file = proc("status", "r")
  if not file then return nil end
  local n = file:read("*a"):match "VmHWM:%s*(%d+)"
  file:close()
  return tonumber(n)
end

--- A bound in MiB as KiB. The sanitizers keep what was freed for a while: up to 256 MiB of it.
function memory.bound(mebibytes)
  local maps = proc("maps", "r")
  local sanitized = maps and maps:read("*a"):find("libasan", 1, true)
  if maps then maps:close() end
  return (sanitized and 512 or mebibytes) * 1024
end

return memory
