-- What the tools of `make` ask the shell, on any Lua.

local files = require "spec.support.files"

local shell = { read = files.read, write = files.write }

--- One line to the reader, at once.
function shell.say(...)
  io.write(string.format(...), "\n")
  io.flush()
end

--- Runs a command: whether its status was 0, and all that it said. The status comes by the shell's word:
-- os.execute answers differently on 5.1 and on later Luas.
function shell.capture(command)
  local pipe = assert(io.popen("( " .. command .. " ) 2>&1; echo \"status=$?\"", "r"))
  local out = pipe:read "*a"
  pipe:close()
  local text, status = out:match "^(.*)status=(%d+)\n$"
  return tonumber(status) == 0, text and (text:gsub("\n$", "")) or out
end

--- The lines that a command said.
function shell.lines(command)
  local list = {}
  local _, out = shell.capture(command)
  for line in out:gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

function shell.have(program)
  return (shell.capture("command -v " .. program .. " >/dev/null"))
end

--- Every line a step to the right.
function shell.indented(text)
  return "        " .. text:gsub("\n", "\n        ")
end

return shell
