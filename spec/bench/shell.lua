-- What the benchmark driver needs of the system: running commands, starting and ending servers by
-- process id, free ports, compiling the C programs. Everything goes through a POSIX shell; no
-- library of ours is used here.

local shell = {}

shell.build = "build/bench"

--- Runs a command; true and its output (last newline cut), or false and the output.
function shell.try(command)
  local pipe = assert(io.popen(command, "r"))
  local output = pipe:read("a"):gsub("\n$", "")
  local ok = pipe:close()
  return ok == true, output
end

--- Runs a command that has to succeed; returns its output.
function shell.run(command)
  local ok, output = shell.try(command)
  if not ok then error(("bench: failed: %s\n%s"):format(command, output), 0) end
  return output
end

function shell.exists(path)
  local f = io.open(path, "rb")
  if f then f:close() end
  return f ~= nil
end

function shell.read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read("a")
  f:close()
  return text
end

function shell.write(path, text)
  local f = assert(io.open(path, "wb"))
  assert(f:write(text))
  f:close()
end

--- Where a program is, also outside an ordinary user's PATH; nil where it is nowhere.
function shell.find(name)
  local ok, path = shell.try(("PATH=\"$PATH:/usr/sbin:/sbin\" command -v %s"):format(name))
  return ok and path ~= "" and path or nil
end

--- Ends a process by its id and waits for it to be gone.
function shell.stop(pid)
  local wait = "kill %s 2>/dev/null; n=0; "
    .. "while kill -0 %s 2>/dev/null && [ $n -lt 250 ]; do sleep 0.02; n=$((n+1)); done"
  shell.try(wait:format(pid, pid))
end

--- Ports of 127.0.0.1 that nothing listens on. For servers that cannot bind port 0 themselves.
function shell.free_ports(count)
  return load("return {" .. shell.run(("%s/bin/free_ports %d"):format(shell.build, count)):gsub("%s+", ",") .. "}")()
end

--- Starts one of our C servers: it prints its port and its id once it listens. Returns { port=,
-- stop() }.
function shell.serve(command)
  local line = shell.run(command)
  local port, pid = line:match("port=(%d+) pid=(%d+)")
  if not port then error("bench: no server: " .. line, 0) end
  return { port = tonumber(port), pid = tonumber(pid), stop = function() shell.stop(pid) end }
end

local WARN = "-std=c99 -pedantic -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wundef "
  .. "-Wwrite-strings -Wcast-qual -Wvla -Werror"

--- Compiles spec/bench/c/<name>.c into build/bench/bin unless that is newer. Returns the path, or
-- nil and the compiler's words.
function shell.compile(name, flags)
  local source, bin = ("spec/bench/c/%s.c"):format(name), ("%s/bin/%s"):format(shell.build, name)
  local common = "spec/bench/c/bench"
  local fresh = ("[ %s -nt %s ] && [ %s -nt %s.c ] && [ %s -nt %s.h ]"):format(bin, source, bin, common, bin, common)
  local build = ("${CC:-cc} -O2 -D_GNU_SOURCE %s -o %s %s %s.c %s 2>&1"):format(WARN, bin, source, common, flags or "")
  shell.run(("mkdir -p %s/bin"):format(shell.build))
  local ok, words = shell.try(("{ %s; } || %s"):format(fresh, build))
  if not ok then return nil, words end
  return bin
end

return shell
