-- One message of 200 MB, fetched into a file and sent from one: what it costs in memory.
--
-- "Growth" is the peak of resident memory less what the process had before the transfer.

local shell = require "spec.bench.shell"

local COLUMNS = { columns = { "rss_growth", "rss", "octets" }, compare = "rss", expect = 1 }

local function run(ctx, w)
  local server = ctx:dovecot()
  if not server then return end
  local file = ctx:temporary("big")
  local where = ("port=%d user=big password=secret n=1 file=%s"):format(server.ports.imap, file)
  ctx:contest(("%s, fetched: %s (%s)"):format(w.name, w.title, w.goal), {
    ctx:ours("imap_big", where),
    ctx:peer("libcurl", "curl_fetch", where .. " scheme=imap"),
  }, COLUMNS)
  if not shell.exists(file) then return end
  local sink = ctx:serve("smtp_sink")
  local from = ("port=%d n=1 file=%s"):format(sink.port, file)
  ctx:contest(("%s, sent: %s (%s)"):format(w.name, w.title, w.goal), {
    ctx:ours("smtp_big", from),
    ctx:peer("libcurl", "smtp_curl", from),
  }, COLUMNS)
  sink.stop()
  sink = ctx:serve("smtp_sink", "chunking=1")
  ctx:contest(("%s, sent in chunks: %s (%s)"):format(w.name, w.title, w.goal),
    { ctx:ours("smtp_big", ("port=%d n=1 file=%s"):format(sink.port, file), "lua-mail, by BDAT") }, COLUMNS)
  sink.stop()
end

return {
  { name = "big-message", title = "200 MB through a file", goal = "goal 8 MiB of growth", run = run },
}
