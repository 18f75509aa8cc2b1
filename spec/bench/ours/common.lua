-- What our side of every workload shares: options (name=value), the clocks, and the result line
-- that contest.lua reads.

local common = {}

local options = {}
for _, a in ipairs(arg) do
  local name, value = a:match("^([^=]+)=(.*)$")
  if name then options[name] = tonumber(value) or value end
end
common.options = options

-- A field of /proc/self/status, in KiB; 0 on a system that has no such file.
local function memory(field)
  local f = io.open("/proc/self/status", "rb")
  if not f then return 0 end
  local text = f:read("*a")
  f:close()
  return tonumber(text:match(field .. ":%s*(%d+)")) or 0
end

function common.resident() return memory("VmRSS") end

local began_cpu, began_wall, began_memory
local spent_cpu, spent_wall = 0, 0

--- Starts the clocks: everything before (connecting, loading) is not counted.
function common.begin()
  began_memory = began_memory or memory("VmRSS")
  began_wall = require("mail").loop.now()
  began_cpu = os.clock()
end

--- Stops the clocks until the next `begin`; what they have counted stays.
function common.pause()
  spent_cpu = spent_cpu + os.clock() - began_cpu
  spent_wall = spent_wall + require("mail").loop.now() - began_wall
end

--- Stops the clocks and prints the result; `more` is a table of further numbers.
function common.finish(n, more)
  common.pause()
  local cpu, wall = spent_cpu, spent_wall
  local peak = memory("VmHWM")
  local line = ("bench n=%d cpu=%.6f wall=%.6f rss=%d rss_growth=%d"):format(n, cpu, wall, peak, peak - began_memory)
  for name, value in pairs(more or {}) do line = line .. (" %s=%.9g"):format(name, value) end
  print(line)
end

--- Octets received and sent by a session's socket so far, below TLS and COMPRESS.
function common.wire(session)
  local received, sent = require("mail.pump").of(session).conn:octets()
  return received + sent
end

--- Connect options for a server of the benchmarks.
function common.server()
  return {
    host = "127.0.0.1", port = options.port, timeout = 60,
    tls = options.tls == 1 and "implicit" or "none", ssl = { ca_file = options.ca },
    user = options.user, password = options.password, allow_plaintext_login = options.user and true or nil,
  }
end

--- The same for SMTP; chunking=0 does without BDAT.
function common.smtp_server()
  local o = common.server()
  o.chunking = options.chunking ~= 0
  return o
end

--- A message of about `size` octets, with CRLF, as c/bench.c makes it.
function common.message(size)
  local head = "From: Bench <bench@example.test>\r\nTo: Sink <sink@example.test>\r\nSubject: bench\r\n"
    .. "Date: Fri, 21 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@example.test>\r\n\r\n"
  local line = "The quick brown fox jumps over the lazy dog and the dog sleeps on, says he. \r\n"
  return head .. line:rep(math.ceil((size - #head) / #line))
end

return common
