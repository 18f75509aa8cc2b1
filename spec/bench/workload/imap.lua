-- Metadata and bodies of the corpus from Dovecot by IMAP, and the parser alone.

local function target(server, tls)
  return ("port=%d user=tester password=secret n=%d tls=%d ca=%s"):format(
    tls and server.ports.imaps or server.ports.imap, server.count, tls and 1 or 0, server.ca_file)
end

local function metadata(ctx, w)
  local server = ctx:dovecot()
  if not server then return end
  local where = target(server)
  ctx:contest(("%s: %s (%s)"):format(w.name, w.title, w.goal), {
    ctx:ours("imap_meta", where),
    ctx:ours("imap_meta", where .. " all=1", "every extension, and MODSEQ"),
    ctx:peer("libetpan, 100 a command", "imap_etpan", where .. " what=meta"),
    ctx:ceiling("imap_raw", ("%s fetch='1:* (%s)'"):format(where, ctx.METADATA), "receive and discard"),
  }, { expect = server.count })
end

local function body(ctx, w)
  local server = ctx:dovecot()
  if not server then return end
  local where = target(server, w.tls)
  ctx:contest(("%s: %s (%s)"):format(w.name, w.title, w.goal), {
    ctx:ours("imap_body", where .. " how=sink", "lua-mail, into a sink"),
    ctx:ours("imap_body", where .. " how=string", "lua-mail, as strings"),
    ctx:ours("imap_body", where .. " how=sink all=1", "sink, every extension, MODSEQ"),
    ctx:peer("libetpan, 100 a command", "imap_etpan", where .. " what=body"),
    { name = "imaplib, 100 a command", role = "peer", command = "python3 spec/bench/imap_body.py " .. where },
    ctx:ceiling("imap_raw", where, w.tls and "memory BIO loop" or "receive and discard"),
  }, { expect = server.count })
end

-- The recorded answer to the metadata command, from memory: no socket on either side.
local function parse(ctx, w)
  local server = ctx:dovecot()
  if not server then return end
  local what = ("replay=%s n=%d"):format(server.recorded, server.count)
  ctx:contest(("%s: %s (%s)"):format(w.name, w.title, w.goal), {
    ctx:ours("imap_parse", what, "lua-mail, into tables"),
    ctx:peer("libetpan, into structures", "imap_etpan", what .. " per=100"),
  }, { expect = server.count, columns = { "us", "rate", "octets", "rss" } })
end

local function compress(ctx, w)
  local server = ctx:dovecot()
  if not server then return end
  local where = target(server)
  ctx:contest(("%s: %s (%s)"):format(w.name, w.title, w.goal), {
    ctx:ours("imap_meta", where .. " compress=1", "COMPRESS=DEFLATE"),
    ctx:ours("imap_meta", where, "plain"),
  }, { expect = server.count, columns = { "us", "rate", "wire", "rss" }, compare = "wire" })
end

-- No server here is filled with so many messages: UID and FLAGS of each are made up by c/loop_peer.c.
local function first_look(ctx, w)
  local n = ctx:count(1000000)
  local server = ctx:serve("loop_peer", ("spin=1 messages=%d"):format(n))
  local where = ("port=%d n=%d"):format(server.port, n)
  ctx:contest(("%s: %s (%s)"):format(w.name, w.title, w.goal), {
    ctx:ours("imap_look", where .. " how=iterate", "lua-mail, one by one"),
    ctx:ours("imap_look", where .. " how=sets", "lua-mail, kept as sets"),
  }, { expect = n, columns = { "us", "rate", "rss_growth", "rss", "bytes_each" } })
  server.stop()
end

local function delta(ctx, w)
  local server = ctx:dovecot()
  if not server then return end
  local contestants = {}
  for i, count in ipairs { 1000, ctx:count(100000) } do
    local user = server.crowd(count)
    local where = ("port=%d user=%s password=secret changes=100"):format(server.ports.imap, user)
    contestants[i] = ctx:ours("imap_delta", where, ("%d messages"):format(count))
  end
  ctx:contest(("%s: %s (%s)"):format(w.name, w.title, w.goal), contestants,
    { expect = 100, columns = { "us", "trips", "wire", "rss_growth" } })
end

return {
  { name = "imap-compress", title = "the same metadata, compressed", run = compress,
    goal = "goal half the octets, at under 1.5 times the CPU" },
  { name = "imap-look", title = "a first look at 1,000,000 messages: UID and FLAGS", run = first_look,
    goal = "goal bounded memory, 64 octets a message where kept" },
  { name = "imap-delta", title = "QRESYNC after 100 changes", run = delta,
    goal = "goal one round trip, the same work" },
  { name = "imap-meta", title = "UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE of the corpus",
    run = metadata, goal = "goal 7 us into tables" },
  { name = "imap-body", title = "whole messages, plain", run = body, goal = "goal 9.5 us, 5 MB" },
  { name = "imap-body-tls", title = "whole messages, TLS", run = body, tls = true, goal = "goal parity, 42-50 us" },
  { name = "imap-parse", title = "the recorded metadata, parsed from memory", run = parse,
    goal = "goal 3 us as events, 7 into tables" },
}
