-- W5c: base64 and quoted-printable both ways, in memory that stays in the caches.
--
-- One program does the work of all: it is compiled from the sources of the codecs, with GMime where that
-- was unpacked. "msg" is a text of 48 KiB; the figure is MB of input a second of processor time.

local shell = require "spec.bench.shell"

local SOURCES = "csrc/mime/{transfer,base64,base64_plain,base64_x86,base64_neon,qp_scan,qp_decode,qp_encode,uu}.c"
  .. " csrc/base/{buf,chars}.c"

local function sources()
  local list = {}
  for folder, names in SOURCES:gmatch("(%S-){([^}]*)}%.c") do
    for name in names:gmatch("[^,]+") do list[#list + 1] = folder .. name .. ".c" end
  end
  return table.concat(list, " ")
end

-- Compiled anew each time: the codecs may have changed.
local function program(ctx)
  os.remove(shell.build .. "/bin/codec")
  local flags = "-Icsrc " .. sources() .. " %s -lcrypto"
  local bin = shell.compile("codec", flags:format("-DCODEC_GMIME " .. ctx.gmime()))
  if bin then return bin, true end
  return assert(shell.compile("codec", flags:format "")), false
end

local function run(ctx, w)
  local bin, has_gmime = program(ctx)
  local function row(name, role, by)
    return { name = name, role = role, env = ctx.peer_env,
             command = ("%s what=%s by=%s n=%d"):format(bin, w.name, by, ctx:count(1000)) }
  end
  local rows = { row("lua-mail", "ours", "best"), row("lua-mail, SSSE3", "ours", "ssse3"),
                 row("lua-mail, plain C", "ours", "plain") }
  rows[#rows + 1] = has_gmime and row("GMime", "peer", "gmime") or { name = "GMime", role = "peer" }
  if w.openssl then rows[#rows + 1] = row("OpenSSL EVP", "peer", "openssl") end
  rows[#rows + 1] = row("memcpy", "ceiling", "memcpy")
  ctx:contest(("%s: %s (%s)"):format(w.name, w.title, w.goal), rows, { columns = { "octets", "us" } })
end

return {
  { name = "base64-decode", title = "CRLF lines of 76 columns", goal = "goal 8 GB/s, plain C 2", run = run,
    openssl = true },
  { name = "base64-encode", title = "into the same", goal = "goal 8 GB/s", run = run, openssl = true },
  { name = "qp-decode", title = "a letter, one octet in thirty escaped", goal = "goal 3 GB/s", run = run },
  { name = "qp-encode", title = "the same letter", goal = "goal 1.5 GB/s", run = run },
}
