-- Files and commands of the shell, for specs.
local files = {}

--- What stands in a file; nil where there is none.
function files.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

--- What stands in a file that must be there.
function files.slurp(path)
  local text = assert(files.read(path), "there is no file " .. path)
  return text
end

function files.write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

--- What a command prints.
function files.shell(command)
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

--- A source that gives `text` in pieces of `n` octets.
function files.pieces(text, n)
  local at = 1
  return function()
    if at > #text then return nil end
    local piece = text:sub(at, at + n - 1)
    at = at + n
    return piece
  end
end

return files
