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

return {
  { name = "imap-meta", title = "UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE of the corpus",
    run = metadata, goal = "goal 7 us into tables" },
  { name = "imap-body", title = "whole messages, plain", run = body, goal = "goal 9.5 us, 5 MB" },
  { name = "imap-body-tls", title = "whole messages, TLS", run = body, tls = true, goal = "goal parity, 42-50 us" },
  { name = "imap-parse", title = "the recorded metadata, parsed from memory", run = parse,
    goal = "goal 3 us as events, 7 into tables" },
}
