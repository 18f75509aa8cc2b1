-- Our side and the host's raw socket, in the same host, with the same peer (c/loop_peer.c): host=NAME side=ours|raw
-- what=ping|in|out.
--
-- A host (ours/loops/NAME.lua) is { run(fn): starts it and calls fn in a coroutine of it; adapter: for mail.loop.use;
-- dial(port) → { read() → some octets, write(octets), close() } on the host's own socket }. Raw, a command's answer
-- is looked for by its last octet and bodies are counted: less cannot be done with a socket.

local common = require "spec.bench.ours.common"
local mail = require "mail"

local o = common.options
local host = require("spec.bench.ours.loops." .. o.host)
local PIECE = ("x"):rep(65536)

local ours, raw = {}, {}

local function connect()
  return assert(mail.imap.connect {
    host = "127.0.0.1", port = o.port, tls = "none", login = false, timeout = 60,
    limits = { literal = 1e10, message = 1e10 },
  })
end

-- The same source on both sides, so that memory for the message is neither's.
local function source(octets)
  return function()
    octets = octets - #PIECE
    if octets >= 0 then return PIECE end
  end
end

function ours.ping()
  local imap = connect()
  assert(imap:noop())
  common.begin()
  for _ = 1, o.n do assert(imap:noop()) end
  common.finish(o.n)
  imap:close()
end

ours["in"] = function()
  local imap, octets = connect(), 0
  assert(imap:examine "INBOX")
  common.begin()
  assert(imap:fetch_all("1", { "body" }, { sink = function(_, _, piece) octets = octets + #piece end }))
  common.finish(o.n, { octets = octets })
  imap:close()
end

function ours.out()
  local imap = connect()
  local octets = o.n * 1000000
  octets = octets - octets % #PIECE
  common.begin()
  assert(imap:append("INBOX", source(octets), { size = octets }))
  common.finish(o.n, { octets = octets })
  imap:close()
end

-- Reads until `size` octets have come.
local function read_octets(socket, size)
  while size > 0 do size = size - #assert(socket:read()) end
  return size
end

local function read_answer(socket)
  local last
  repeat last = assert(socket:read()) until last:byte(-1) == 10
end

function raw.ping()
  local socket = host.dial(o.port)
  read_answer(socket)
  common.begin()
  for i = 1, o.n do
    assert(socket:write("A" .. i .. " NOOP\r\n"))
    read_answer(socket)
  end
  common.finish(o.n)
  socket:close()
end

raw["in"] = function()
  local socket = host.dial(o.port)
  read_answer(socket)
  common.begin()
  local octets = o.n * 1000000
  assert(socket:write "A1 UID FETCH 1 (BODY.PEEK[])\r\n")
  local beside = #("* 1 FETCH (UID 1 BODY[] {" .. ("%d"):format(octets) .. "}\r\n)\r\nA1 OK done\r\n")
  assert(read_octets(socket, octets + beside) == 0)
  common.finish(o.n, { octets = octets })
  socket:close()
end

function raw.out()
  local socket = host.dial(o.port)
  read_answer(socket)
  local octets = o.n * 1000000
  octets = octets - octets % #PIECE
  common.begin()
  assert(socket:write(("A1 APPEND INBOX {%d}\r\n"):format(octets)))
  read_answer(socket)
  for piece in source(octets) do assert(socket:write(piece)) end
  assert(socket:write "\r\n")
  read_answer(socket)
  common.finish(o.n, { octets = octets })
  socket:close()
end

local function main()
  if o.side == "raw" then return raw[o.what]() end
  mail.loop.use(host.adapter)
  ours[o.what]()
end

-- By require a C function calls, across which nobody can yield: nginx takes the function instead.
if ... == "spec.bench.ours.loops" then return main end
host.run(main)
