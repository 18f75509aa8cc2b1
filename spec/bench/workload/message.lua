-- W5b: messages from memory into trees, structure and headers alone or every body decoded.

local corpus = require "spec.bench.corpus"
local shell = require "spec.bench.shell"

-- The corpus in one file, each message behind its size.
local function file_of(ctx)
  local path = ctx:temporary "messages"
  if shell.exists(path) then return path end
  local file = assert(io.open(path, "wb"))
  for _, text in corpus.messages(ctx.quick and 0.03 or 0.3) do
    local n = #text
    file:write(string.char(n % 256, n // 256 % 256, n // 65536 % 256, n // 16777216 % 256), text)
  end
  file:close()
  return path
end

local function gmime(where)
  local row = { name = "GMime", role = "peer" }
  if shell.try("pkg-config --exists gmime-3.0") then
    local flags = shell.run("pkg-config --cflags --libs gmime-3.0"):gsub("%-I", "-isystem ")
    row.command = ("%s %s"):format(assert(shell.compile("message_gmime", flags)), where)
  end
  return row
end

local function run(ctx, w)
  local where = ("corpus=%s how=%s"):format(file_of(ctx), w.how)
  ctx:contest(("%s: %s (%s)"):format(w.name, w.title, w.goal), {
    ctx:ours("message", where, "lua-mail, from Lua"),
    gmime(where),
    { name = "Python's email", role = "peer", command = "python3 spec/bench/message_python.py " .. where },
  }, { columns = { "us", "rate", "octets", "rss" } })
end

return {
  { name = "message-parse", title = "every body decoded, text as UTF-8", goal = "goal 4x GMime", run = run,
    how = "decoded" },
  { name = "message-structure", title = "the tree and the headers", goal = "goal 3 GB/s", run = run,
    how = "structure" },
}
