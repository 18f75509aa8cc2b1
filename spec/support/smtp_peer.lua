--- An SMTP server out of a table, for what no real server can be made to say: it offers what it is told to,
-- answers each command as the spec wishes, and keeps all that it heard.
--
--     local peer = smtp_peer.new { "PIPELINING", "DSN", answer = function(line, n) … end }
--     local result = smtp_peer.run(peer, function(port) … end)
--     peer.lines, peer.messages
-- `answer(line, n)` gives the reply to the n-th line (one that needs no CRLF at its end), or nil for the usual
-- one; "close" drops the link.
local scripted = require "spec.support.scripted"

local smtp_peer = {}

local USUAL = { MAIL = "250 ok", RCPT = "250 ok", DATA = "354 go", RSET = "250 ok", NOOP = "250 ok", QUIT = "221 bye",
  VRFY = "252 perhaps", EXPN = "250 <a@example.org>", HELP = "214 help yourself", ETRN = "250 ok", AUTH = "235 ok",
  XFORWARD = "250 ok", XCLIENT = "220 again" }

function smtp_peer.new(options)
  local peer = { lines = {}, messages = {}, answer = options.answer, greeting = options.greeting, capabilities = {} }
  for i, capability in ipairs(options) do peer.capabilities[i] = capability end
  return peer
end

local function hello(peer)
  local text = "250-mx\r\n"
  for _, capability in ipairs(peer.capabilities) do text = text .. "250-" .. capability .. "\r\n" end
  return text .. "250 X-END"
end

-- The content behind DATA, as it was meant.
local function dotted(link)
  link.input = "\r\n" .. link.input -- an empty message is the dot alone
  local text = link:through("\r\n.\r\n")
  if not text then return nil end
  return (text:sub(3, -4):gsub("\r\n%.%.", "\r\n."))
end

local function octets(link, n)
  while #link.input < n do
    local had = link.input
    link.input = ""
    local more = link:some()
    if not more then return nil end
    link.input = had .. more
  end
  local text = link.input:sub(1, n)
  link.input = link.input:sub(n + 1)
  return text
end

--- The server's part of a connection.
function smtp_peer.serve(peer)
  return function(link)
    local chunks = {}
    link:send(peer.greeting or "220 mx\r\n")
    while true do
      local line = link:line()
      if not line then return end
      peer.lines[#peer.lines + 1] = line
      local verb = line:match("^%a+"):upper()
      local size = verb == "BDAT" and tonumber(line:match("^BDAT (%d+)"))
      if size then
        local text = octets(link, size)
        if not text then return end
        chunks[#chunks + 1] = text
      end
      local reply = peer.answer and peer.answer(line, #peer.lines)
      if reply == "close" then return end
      if verb == "EHLO" or verb == "LHLO" then reply = reply or hello(peer) end
      reply = reply or USUAL[verb] or (verb == "BDAT" or verb == "BURL") and "250 2.0.0 queued as CHUNK1"
        or "500 what?"
      link:send(reply .. "\r\n")
      if line:find(" LAST$") and reply:sub(1, 1) == "2" then
        peer.messages[#peer.messages + 1] = table.concat(chunks)
        chunks = {}
      elseif reply:sub(1, 3) == "354" then
        local text = dotted(link)
        if not text then return end
        peer.messages[#peer.messages + 1] = text
        link:send((peer.answer and peer.answer(".", #peer.lines) or "250 2.0.0 queued as DOT1") .. "\r\n")
      elseif verb == "QUIT" then
        return
      end
    end
  end
end

--- Runs `act(port)` against it.
function smtp_peer.run(peer, act)
  return scripted.run(smtp_peer.serve(peer), act)
end

return smtp_peer
