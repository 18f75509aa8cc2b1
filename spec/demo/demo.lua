--- make demo: real mail through real servers, many coroutines in one thread.
--
-- Exim takes messages by SMTP and hands them to Dovecot; one IMAP session watches them arrive, a second
-- one marks them and the first one sees it; POP3 downloads and deletes them. Every message is compared
-- byte for byte. All links are TLS with a certificate authority made for this run.

local data = require "spec.data"
local mail = require "mail"
local servers = require "spec.servers"

local loop = mail.loop
local SENDERS = 20
local started = loop.now()
local differences = 0

local function say(words, ...)
  print(("%6.2f s  " .. words):format(loop.now() - started, ...))
end

local function check(ok, words, ...)
  if ok then return end
  differences = differences + 1
  say("DIFFERENCE: " .. words, ...)
end

local server, why = servers.mail {}
if not server then
  io.stderr:write("make demo needs Dovecot and Exim: ", why, "\n")
  os.exit(1)
end
local user = server:add_user()
local address = user.address
local ssl = { ca_file = servers.certificates().ca_file }

local function account(port, tls)
  return { host = "localhost", port = port, tls = tls, ssl = ssl, user = user.name, password = user.password }
end

-- Every message once for each sender, the large one only for the first two; told apart by a header.
local function letters()
  local all = {}
  for _, message in ipairs(data.messages()) do
    for copy = 1, message.name == "large" and 2 or SENDERS do
      local mark = ("%s-%d"):format(message.name, copy)
      all[#all + 1] = { mark = mark, text = "X-Demo: " .. mark .. "\r\n" .. message.text }
    end
  end
  return all
end

-- SMTP: twenty coroutines share one session; the core pipelines what they send.
local function send_all(all)
  local smtp = assert(mail.smtp.connect(account(server.ports.exim_submission, "starttls")))
  say("SMTP: %s, %s, logged in after STARTTLS", tostring(smtp), smtp.tls.version)
  local from, next_letter, octets, tasks = loop.now(), 0, 0, {}
  for i = 1, SENDERS do
    tasks[i] = loop.spawn(function()
      while next_letter < #all do
        next_letter = next_letter + 1
        local letter = all[next_letter]
        local receipt = assert(smtp:send { from = "demo@example.test", to = address, message = letter.text })
        check(receipt.accepted[1] == address, "%s was not accepted", letter.mark)
        octets = octets + #letter.text
      end
    end)
  end
  for _, task in ipairs(tasks) do task:join() end
  say("SMTP: %d messages, %.1f MB, sent by %d coroutines in %.2f s", #all, octets / 1e6, SENDERS, loop.now() - from)
  assert(smtp:quit())
end

-- IMAP, first session: IDLE until all have arrived and all flags were seen.
local function watch(expected, seen)
  local imap = assert(mail.imap.connect(account(server.ports.imaps, "implicit")))
  assert(imap:select("INBOX"))
  say("IMAP: %s waits in IDLE", tostring(imap))
  seen.watching:set()
  local flagged = {}
  for event in imap:idle { timeout = 120 } do
    if event.type == "exists" and event.exists > seen.arrived then
      seen.arrived = event.exists
      seen.news:set()
      if seen.arrived % 20 == 0 or seen.arrived == expected then
        say("IMAP: IDLE reports message number %d", seen.arrived)
      end
    elseif event.type == "flags" and event.flags["\\Flagged"] and not flagged[event.seq] then
      flagged[event.seq] = true
      seen.flagged = seen.flagged + 1
      if seen.flagged == expected then break end
    end
  end
  say("IMAP: the first session saw the flags of %d messages change", seen.flagged)
  check(seen.flagged == expected, "%d flag changes seen, %d expected", seen.flagged, expected)
  assert(imap:logout())
end

-- IMAP, second session: flags all messages once they are there.
local function mark_all(expected, seen)
  while seen.arrived < expected do assert(seen.news:wait(60), "the messages do not arrive") end
  local imap = assert(mail.imap.connect(account(server.ports.imap, "starttls")))
  assert(imap:select("INBOX"))
  local uids = assert(imap:search { unseen = true })
  check(#uids == expected, "%d unseen messages, %d expected", #uids, expected)
  local subjects = {}
  for message in assert(imap:fetch(uids, { "envelope", "size" })) do
    subjects[message.envelope.subject or ""] = true
  end
  check(subjects["Grüße aus Köln – 你好"], "the encoded subject was not decoded")
  assert(imap:store(uids, { add = { "\\Flagged" } }, { silent = true }))
  say("IMAP: the second session flagged %d messages", #uids)
  assert(imap:logout())
end

-- POP3: downloads, compares, deletes. Servers add fields at the top, so the end is compared.
local function download(all)
  local by_mark, bytes, from, count = {}, 0, loop.now(), 0
  for _, letter in ipairs(all) do by_mark[letter.mark] = letter.text end
  local pop = assert(mail.pop3.connect(account(server.ports.pop3s, "implicit")))
  for message in assert(pop:messages()) do
    local text = assert(message:retr())
    local mark = text:match("\nX%-Demo: ([^\r\n]*)")
    local sent = mark and by_mark[mark]
    check(sent, "message %d is none of ours", message.number)
    check(sent and text:sub(-#sent) == sent, "%s came back different", tostring(mark))
    if mark then by_mark[mark] = nil end
    bytes, count = bytes + #text, count + 1
    assert(message:dele())
  end
  for mark in pairs(by_mark) do check(false, "%s never arrived", mark) end
  assert(pop:quit())
  say("POP3: %d messages, %.1f MB, downloaded, compared and deleted in %.2f s", count, bytes / 1e6, loop.now() - from)
end

local function emptied()
  local imap = assert(mail.imap.connect(account(server.ports.imaps, "implicit")))
  local left = assert(imap:status("INBOX", { "messages" })).messages
  check(left == 0, "%d messages are left", left)
  say("IMAP: the mailbox is empty again")
  assert(imap:logout())
end

say("Dovecot and Exim are up, in a temporary folder, on free ports")
loop.run(function()
  local all = letters()
  local host = loop.native
  local seen = { arrived = 0, flagged = 0, news = host.event(), watching = host.event() }
  local watcher = loop.spawn(watch, #all, seen)
  assert(seen.watching:wait(30), "the watcher does not begin")
  local marker = loop.spawn(mark_all, #all, seen)
  send_all(all)
  marker:join()
  watcher:join()
  download(all)
  emptied()
end)
say(differences == 0 and "Every message came back byte for byte." or "%d differences.", differences)
server:close()
os.exit(differences == 0 and 0 or 1)
