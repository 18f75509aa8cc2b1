-- The peers of spec/io_conformance.lua: servers that obey, and servers that do not, in a process of their own.
--
-- Prints one line, `NAME=PORT NAME=PORT ...`, and serves until nobody reads its output any more. Each name is a
-- port of 127.0.0.1 and a manner:
--   smtp     answers; VRFY WORD is echoed, `VRFY count WORD` tells how often WORD has happened, `VRFY open NAME`
--            how many connections of that name stand, `VRFY late` is answered after the next `VRFY release`
--            of whomever, `VRFY soon` after a moment, `VRFY mute` never; DATA is measured
--   inject   answers STARTTLS with more text than it may      silent   accepts and never says a word
--   mortal   the same as smtp, and goes away at the third MAIL of a connection
--   closes   goes away at the first command after EHLO        resets   the same, by a reset
--   deaf     reads nothing once it has asked for a message    imap     see there
--   flaky    IMAP: a user's first connection is closed in IDLE; each has one message more than the last one
--   refused  nobody listens                                   full     connections are never established
-- What happens is counted by words: "NAME" (a connection), "login", "late", "command", "idle", "body", "injected".

local core = require "mail.core"
local loop = require "mail.loop"
local scripted = require "spec.support.scripted"

-- No peer outlives a suite that has lost it.
local LIFETIME = 600

local counts, open = {}, {}

local function happened(word) counts[word] = (counts[word] or 0) + 1 end

-- 64 octets, as io_conformance.lua makes them.
local LINE = ("0123456789abcdef"):rep(4):sub(1, 62) .. "\r\n"

-- Takes `n` octets in: their size, and whether they are what conformance checks send; nil where the client is gone.
local function take(peer, n)
  local left, good = n, true
  while left > 0 do
    local bytes = peer:some()
    if not bytes then return nil end
    good = good and bytes:byte(1) == LINE:byte((n - left) % 64 + 1)
    if #bytes > left then
      peer.input, bytes = bytes:sub(left + 1), bytes:sub(1, left)
    end
    left = left - #bytes
  end
  return n, good
end

-- --- SMTP -------------------------------------------------------------------------------------------

-- Takes a message in: its size, and whether it was what conformance checks send.
local function measure(peer)
  local size, good, tail = 0, true, ""
  while true do
    local bytes = peer:some()
    if not bytes then return nil end
    local at = size % 64 + 1
    if size > 0 and at > 3 and bytes:byte(1) ~= LINE:byte(at) and bytes:byte(1) ~= 46 then good = false end
    size = size + #bytes
    tail = (tail .. bytes):sub(-5)
    if tail == "\r\n.\r\n" then return size - 3, good and (size - 3) % 64 == 0 end
  end
end

local commands = {}

function commands.EHLO() return "250-peer\r\n250 SIZE 100000000\r\n" end
function commands.NOOP() return "250 fine\r\n" end
function commands.RSET() return "250 reset\r\n" end
function commands.MAIL() return "250 2.1.0 sender\r\n" end
function commands.RCPT() return "250 2.1.5 recipient\r\n" end

local gates = {} -- set by `VRFY release`

function commands.VRFY(_, word)
  happened "command"
  local what, name = word:match "^(%a+) (.+)$"
  if what == "count" then return ("252 %d\r\n"):format(counts[name] or 0) end
  if what == "open" then return ("252 %d\r\n"):format(open[name] or 0) end
  if word == "mute" then return "" end
  if word == "late" then
    happened "late"
    local gate = loop.native.event()
    gates[gate] = true
    gate:wait(LIFETIME)
  elseif word == "release" then
    for gate in pairs(gates) do gate:set() end
    gates = {}
  end
  if word == "soon" then loop.sleep(0.15) end
  return "252 " .. word .. "\r\n"
end

function commands.DATA(peer)
  peer:send "354 go on\r\n"
  local size, good = measure(peer)
  if not size then return nil end
  return ("250 2.0.0 %d octets, %s\r\n"):format(size, good and "good" or "bad")
end

function commands.QUIT(peer)
  peer:send "221 bye\r\n"
  return nil
end

local function smtp(peer, dies)
  peer:send "220 peer ESMTP\r\n"
  while true do
    local line = peer:line()
    if not line then return end
    local verb, rest = line:match "^(%a+) ?(.*)$"
    if dies and dies(verb) then return end
    local answer = (commands[verb] or commands.NOOP)(peer, rest)
    if not answer or not peer:send(answer) then return end
  end
end

-- EHLO and its answer; false where the client is gone.
local function hello(peer, words)
  return peer:send "220 peer ESMTP\r\n" and peer:line() and peer:send("250-peer\r\n" .. words)
end

local function mortal(peer)
  local count = 0
  return smtp(peer, function(verb)
    if verb == "MAIL" then count = count + 1 end
    return count > 2
  end)
end

local function inject(peer)
  if not hello(peer, "250 STARTTLS\r\n") or not peer:line() then return end
  peer:send "220 go\r\n250-peer\r\n250 AUTH PLAIN\r\n"
  if peer:rest() ~= "" then happened "injected" end
end

local function closes(peer)
  if hello(peer, "250 HELP\r\n") then peer:line() end
end

local function resets(peer)
  if not hello(peer, "250 HELP\r\n") then return end
  happened "resetting"
  peer:reset()
end

local function deaf(peer)
  if not hello(peer, "250 HELP\r\n") then return end
  for _ = 1, 2 do
    if not peer:line() then return end
    peer:send "250 fine\r\n"
  end
  if not peer:line() then return end
  peer:send "354 go on\r\n"
  happened "deaf"
  loop.sleep(LIFETIME)
end

-- --- IMAP -------------------------------------------------------------------------------------------
-- A user named "mute" gets no answer to LOGIN. A mailbox's name is the size of its one message; of that of
-- "stall", an endless one, only the beginning comes.

local CHUNK = LINE:rep(1024)

local function message(peer, size)
  while size > 0 do
    if not peer:send(size >= #CHUNK and CHUNK or CHUNK:sub(1, size)) then return false end
    size = size - #CHUNK
    loop.native.pause()
  end
  return true
end

local verbs = {}

function verbs.CAPABILITY(peer) peer:send "* CAPABILITY IMAP4rev1 IDLE\r\n" end

function verbs.LOGIN(peer, rest)
  happened "login"
  if rest:find "mute" then peer:rest() end
end

function verbs.SELECT(peer, rest)
  peer.mailbox = rest:match "%w+"
  peer:send "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n"
end

function verbs.FETCH(peer)
  local size = tonumber(peer.mailbox) or 5e7
  peer:send(("* 1 FETCH (BODY[] {%d}\r\n"):format(size))
  if peer.mailbox == "stall" then
    message(peer, 100000)
    happened "body"
    peer:rest()
  end
  message(peer, size)
  peer:send ")\r\n"
end

function verbs.APPEND(peer, rest)
  peer:send "+ go on\r\n"
  local size, good = take(peer, tonumber(rest:match "{(%d+)}$"))
  if size then peer:line() end
  return size and ("OK %d octets, %s"):format(size, good and "good" or "bad")
end

function verbs.STATUS(peer, rest) peer:send("* STATUS " .. rest:match "%S+" .. " (MESSAGES 1)\r\n") end

function verbs.IDLE(peer)
  happened "idle"
  peer:send "+ idling\r\n* 2 EXISTS\r\n"
  peer:line()
end

local function imap(peer)
  peer:send "* OK [CAPABILITY IMAP4rev1 IDLE] ready\r\n"
  while true do
    local line = peer:line()
    if not line then return end
    local tag, verb, rest = line:match "^(%S+) (%a+) ?(.*)$"
    if verb == "UID" then verb, rest = rest:match "^(%a+) ?(.*)$" end
    local answer = verbs[verb] and verbs[verb](peer, rest) or "OK done"
    if not peer:send(tag .. " " .. answer .. "\r\n") then return end
  end
end

-- --- IMAP that goes away ----------------------------------------------------------------------------

local logins = {} -- user → connections so far

local function tell_messages(peer, set, total)
  local first, last = set:match "^(%d+):?([%d*]*)$"
  first = tonumber(first)
  last = last == "" and first or math.min(tonumber(last) or total, total)
  for uid = math.min(first, total), last do peer:send(("* %d FETCH (UID %d FLAGS ())\r\n"):format(uid, uid)) end
end

local flaky_verbs = { CAPABILITY = verbs.CAPABILITY }

function flaky_verbs.LOGIN(peer, rest)
  local user = rest:match "^%w+"
  logins[user] = (logins[user] or 0) + 1
  peer.number, peer.total = logins[user], logins[user]
end

function flaky_verbs.EXAMINE(peer)
  peer:send(("* %d EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT %d] n\r\n"):format(peer.total, peer.total + 1))
end

function flaky_verbs.FETCH(peer, rest) tell_messages(peer, rest:match "^%S+", peer.total) end

function flaky_verbs.SEARCH(peer)
  local uids = {}
  for uid = 1, peer.total do uids[uid] = uid end
  peer:send("* SEARCH " .. table.concat(uids, " ") .. "\r\n")
end

function flaky_verbs.IDLE(peer)
  peer:send "+ idling\r\n"
  if peer.number == 1 then return false end
  peer.total = peer.total + 1
  peer:send(("* %d EXISTS\r\n"):format(peer.total))
  peer:line()
end

local function flaky(peer)
  peer:send "* OK [CAPABILITY IMAP4rev1 IDLE] ready\r\n"
  while true do
    local line = peer:line()
    if not line then return end
    local tag, verb, rest = line:match "^(%S+) (%a+) ?(.*)$"
    if verb == "UID" then verb, rest = rest:match "^(%a+) ?(.*)$" end
    if flaky_verbs[verb] and flaky_verbs[verb](peer, rest) == false then return end
    if not peer:send(tag .. " OK done\r\n") then return end
  end
end

-- --- ports ------------------------------------------------------------------------------------------

local names = { smtp = smtp, mortal = mortal, inject = inject, closes = closes, resets = resets, deaf = deaf,
  imap = imap, flaky = flaky }

function names.silent(peer) peer:rest() end

local function refused()
  local listener = assert(core.listen("127.0.0.1", "0"))
  local _, port = listener:name()
  listener:close()
  return port
end

-- A listener that accepts nobody, its queue full: the system leaves further connections unanswered.
local kept = {}
local function full()
  local listener = assert(core.listen("127.0.0.1", "0", 0))
  local _, port = listener:name()
  kept[1] = listener
  for _ = 1, 8 do
    local dial = core.dial({ "127.0.0.1" }, port)
    local answer, fd, what = dial:step(core.now())
    if answer == "wait" and fd then loop.native.wait(fd, what, 0.1) end
    answer, fd = dial:step(core.now())
    if answer ~= "done" then
      kept[#kept + 1] = dial
      return port
    end
    dial:close()
    kept[#kept + 1] = core.conn(fd)
  end
  return 0 -- a system whose queues have no end
end

local function counted(name, script)
  return function(peer)
    happened(name)
    open[name] = (open[name] or 0) + 1
    script(peer)
    open[name] = open[name] - 1
  end
end

loop.run(function()
  local line = { "refused=" .. refused(), "full=" .. full() }
  for name, script in pairs(names) do
    local server = scripted.serve(counted(name, script), math.huge, { backlog = 512, patience = LIFETIME })
    line[#line + 1] = name .. "=" .. server.port
  end
  io.write(table.concat(line, " "), "\n")
  io.flush()
  for _ = 1, LIFETIME * 4 do
    loop.sleep(0.25)
    if not (io.write "\n" and io.flush()) then break end
  end
  os.exit(0)
end)
