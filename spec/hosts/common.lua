--- What the runner programs of spec/hosts have in common. A runner starts its host and calls `run` in it; its
-- output, which spec/hosts_spec.lua reads, is `version TEXT`, then `ok NAME`, `not ok NAME: why` or
-- `skip NAME: why` for each check, and last `N passed, N failed, N skipped`.
--
-- LM_HOSTS names a file with the peers' ports and the real server, as Lua (see hosts_spec.lua); without it, by
-- hand: `LM_HOSTS=… lua spec/hosts/native.lua [PATTERN]` runs the checks whose names match.

local conformance = require "spec.io_conformance"

local common = {}

--- The configuration: `peer`, `dovecot`, `only`.
function common.config(path)
  path = path or os.getenv "LM_HOSTS"
  if not path then error("LM_HOSTS names no file", 0) end
  return assert(loadfile(path))()
end

local function line(write, text)
  write((text:gsub("%s*\n%s*", " / ")) .. "\n")
end

--- Says which host this is: "cqueues 20200726, Lua 5.4".
function common.version(text, write)
  local lua = rawget(_G, "jit") and jit.version:match "^LuaJIT %d+%.%d+" or _VERSION
  line(write or function(s) io.write(s) io.flush() end, "version " .. text .. ", " .. lua)
end

--- Runs the checks; to be called in a coroutine of the host.
-- @param host an adapter, or the name of one
-- @tparam[opt] table options of `conformance.run`; besides `write`, a function for the lines (default: standard
--   output), and `config`, a path instead of LM_HOSTS
-- @treturn boolean whether none failed
function common.run(host, options)
  options = options or {}
  local write = options.write or function(s) io.write(s) io.flush() end
  local config = common.config(options.config)
  local o = { host = host, peer = config.peer, dovecot = config.dovecot, dns = config.dns, proxy = config.proxy,
    only = config.only or arg and arg[1] }
  for name, value in pairs(options) do o[name] = value end
  function o.report(verdict, name, why)
    line(write, verdict .. " " .. name .. (why and ": " .. why or ""))
  end
  local passed, failed, skipped = conformance.run(o)
  line(write, ("%d passed, %d failed, %d skipped"):format(passed, failed, skipped))
  return failed == 0
end

return common
