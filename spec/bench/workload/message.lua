-- W5b: a corpus of messages from memory into trees, structure and headers alone or every body decoded; and
-- one message of a gigabyte through the push parser.

local corpus = require "spec.bench.corpus"
local shell = require "spec.bench.shell"

-- The corpus in one file, each message behind its size.
local function file_of(ctx)
  local path = ctx:temporary "messages"
  if shell.exists(path) then return path end
  local file = assert(io.open(path, "wb"))
  for _, text in corpus.messages(ctx.quick and 0.1 or 1) do
    local n = #text
    file:write(string.char(n % 256, n // 256 % 256, n // 65536 % 256, n // 16777216 % 256), text)
  end
  file:close()
  return path
end

local function run(ctx, w)
  local where = ("corpus=%s how=%s"):format(file_of(ctx), w.how)
  ctx:contest(("%s: %s (%s)"):format(w.name, w.title, w.goal), {
    ctx:ours("message", where, "lua-mail, from Lua"),
    ctx:peer("GMime", "message_gmime", where),
    ctx:peer("libetpan", "message_etpan", where),
    { name = "Python's email", role = "peer", command = "python3 spec/bench/message_python.py " .. where },
  }, { columns = { "us", "rate", "octets", "rss" }, expect = ctx:count(10000) })
end

-- The parser's own sources alone, so that the process holds nothing else.
local function parser_alone(arguments)
  os.remove(shell.build .. "/bin/message_stream")
  local flags = "-Icsrc -Wl,--gc-sections -ffunction-sections csrc/mime/*.c csrc/base/*.c -lidn2 -lunistring"
  return ("%s %s"):format(assert(shell.compile("message_stream", "-Wl,--as-needed " .. flags)), arguments)
end

local function stream(ctx, w)
  local arguments = "size=" .. ctx:count(1000)
  ctx:contest(("%s: %s (%s)"):format(w.name, w.title, w.goal), {
    { name = "lua-mail, C alone", role = "ours", command = parser_alone(arguments) },
    ctx:ours("message_stream", arguments, "lua-mail, from Lua"),
  }, { columns = { "rss", "rss_growth", "octets" }, compare = "rss", expect = 1 })
end

return {
  { name = "message-parse", title = "every body decoded, text as UTF-8", goal = "goal 4x GMime", run = run,
    how = "decoded" },
  { name = "message-structure", title = "the tree and the headers", goal = "goal 3 GB/s", run = run,
    how = "structure" },
  { name = "message-stream", title = "1 GB of base64 through the push parser", goal = "goal 4 MiB", run = stream },
}
