-- playing.lua [locale]   sessions against scripted servers that write their words in any case, and what is computed
-- without one: what the servers hear and what the program gets, as text, for specs that compare it between locales.
-- The locale is set as a host would.

local locale = ...
if locale and locale ~= "" then assert(os.setlocale(locale), "no such locale: " .. locale) end

local ascii = require "mail.ascii"
local core = require "mail.core"
local mail = require "mail"
local scripted = require "spec.support.scripted"

local function show(...)
  for i = 1, select("#", ...) do
    io.write((tostring((select(i, ...))):gsub("[%z\1-\31\127-\255\\]", function(c)
      return ("\\%03d"):format(c:byte())
    end)), "\t")
  end
  io.write "\n"
end

local function keys(set)
  local list = {}
  for name in pairs(set or {}) do list[#list + 1] = tostring(name) end
  table.sort(list, ascii.before)
  return table.concat(list, " ")
end

-- A server that shows what it hears and answers each line by `answer(peer, line)`, until that says true.
local function server(greeting, answer)
  return function(peer)
    peer:send(greeting)
    local line = peer:line()
    while line do
      while line:find "{%d+%+}$" do line = line .. peer:line() end -- no literal here has a line of its own in it
      show("heard", (line:gsub("^[A-Z]+[0-9]+ ", "TAG "))) -- tags are chosen at random
      if answer(peer, line) then return peer:rest() end
      line = peer:line()
    end
  end
end

local function options(port, more)
  local o = { host = "127.0.0.1", port = port, tls = "none", user = "ann", password = "pass I",
    allow_plaintext_login = true, timeout = 20 }
  for name, value in pairs(more or {}) do o[name] = value end
  return o
end

-- --- IMAP -----------------------------------------------------------------------------------------------

local IMAP = {
  LIST = '* list (\\Inbox \\HasNoChildren) "/" inBOX\r\n* list (\\JUNK) "/" LIST\195\132I\r\n',
  ID = '* id ("NAME" "fridge \195\132I" "version" "1.5")\r\n',
  SELECT = "* 3 exists\r\n* flags (\\Answered $MDNSent WIDE)\r\n* ok [uidvalidity 7] .\r\n* ok [uidnext 9] .\r\n"
    .. "* ok [permanentflags (\\* \\Answered)] .\r\n",
  UID = "* search 2 3\r\n",
  FETCH = "* 2 fetch (uid 8 flags (\\seen WIDE) internaldate \" 1-JAN-2026 10:00:00 +0000\" rfc822.size 12 "
    .. 'bodystructure ("TEXT" "PLAIN" ("CHARSET" "ISO-8859-9" "NAME" "I.TXT") nil nil "QUOTED-PRINTABLE" 12 1))\r\n',
  SORT = "* sort 3 2\r\n", STATUS = "* status inbox (messages 3 uidnext 9)\r\n",
  GETQUOTA = '* quota "" (storage 10 512)\r\n', SETQUOTA = '* quota "" (STORAGE 10 512)\r\n',
}

local WORDS = "imap4rev1 idle id uidplus quota QUOTASET sort special-use literal+ auth=plain auth=LOGIN"

local function imap(peer, line)
  local tag, verb = line:match "^(%S+) (%S+)"
  if line == "DONE" then
    peer:send(peer.idling .. " ok done\r\n")
  elseif verb == "AUTHENTICATE" then
    peer.tag = tag
    peer:send "+ VXNlcm5hbWU6\r\n"
  elseif not verb and not peer.user then
    peer.user = peer:send "+ UGFzc3dvcmQ6\r\n"
  elseif not verb then
    peer:send(peer.tag .. " ok [CAPABILITY " .. WORDS .. "] in\r\n")
  elseif verb == "IDLE" then
    peer:send "+ idling\r\n* 4 exists\r\n* 1 expunge\r\n* 2 fetch (flags (\\flagged))\r\n"
    peer.idling = tag
  elseif verb == "LOGOUT" then
    peer:send("* bye\r\n" .. tag .. " ok bye\r\n")
    return true
  elseif verb == "DELETE" then
    peer:send(tag .. " no [INUSE] try again in 2 MINUTES\r\n")
  else
    if verb == "UID" then verb = line:match "^%S+ %S+ (%S+)" end
    peer:send((IMAP[verb == "SEARCH" and "UID" or verb] or "") .. tag .. " ok [READ-WRITE] done\r\n")
  end
end

local function play_imap(port)
  local s = assert(mail.imap.connect(options(port, { mechanism = "login" })))
  show("capabilities", keys(s.capabilities), s:has "idle", s:has "quota", s:has "IDLE")
  show("id", keys(s:id { name = "lua-mail", version = "1" }))
  local box = assert(s:select "INBOX")
  show("box", box.exists, box.uidvalidity, box.uidnext, keys(box.flags), keys(box.permanent_flags))
  show("search", table.concat(assert(s:search { from = "\195\132I", unseen = true, since = "1-JAN-2026" }), " "))
  show("search", table.concat(assert(s:search { keyword = "WIDE", subject = "i" }), " "))
  show("sort", table.concat(assert(s:sort({ "-arrival", "size" }, { seen = false })), " "))
  local messages = assert(s:fetch({ 8 }, { "uid", "flags", "internaldate", "size", "bodystructure" }))
  local m = messages:next()
  while m do
    local part = m.bodystructure or {}
    show("fetched", m.uid, keys(m.flags), m.size, part.type, part.subtype, part.encoding, keys(part.params))
    m = messages:next()
  end
  for _, one in ipairs(assert(s:list())) do show("listed", one.name, keys(one.attributes), one.special_use) end
  show("status", keys(assert(s:status("inbox", { "MESSAGES", "uidnext" }))))
  show("quota", keys(assert(s:quota ""))) -- by name
  show("quota set", s:setquota("", { storage = 512, ["mailbox-i"] = 3 }) ~= nil)
  show("flags", s:store({ 2 }, { add = { "WIDE", "\\Flagged" } }) ~= nil, (s:store({ 2 }, { add = { "\195\132" } })))
  local ok, err = s:delete "I"
  show("refused", ok, err.kind, err.response_code, err.retry_after, err.temporary)
  local it = assert(s:idle { timeout = 10 })
  for _ = 1, 3 do
    local event = assert(it:next())
    show("event", event.type, event.seq, event.exists, keys(event.flags))
  end
  it:close()
  show("out", s:logout())
end

-- --- SMTP and POP3 --------------------------------------------------------------------------------------

local function smtp(peer, line)
  local verb = line:match "^%S+"
  if verb == "EHLO" then
    peer:send "250-mx\r\n250-pipelining\r\n250-size 9999\r\n250-dsn\r\n250-8bitmime\r\n250-limits rcptmax=5\r\n"
    peer:send "250-deliverby 60\r\n250 auth plain login digest-md5\r\n"
  elseif verb == "AUTH" then
    peer:send(peer.user and "235 2.7.0 ok\r\n" or "334 VXNlcm5hbWU6\r\n")
  elseif not verb:find "^[A-Z]+$" or #verb > 8 then -- an answer to a challenge
    peer:send(peer.user and "235 2.7.0 ok\r\n" or "334 UGFzc3dvcmQ6\r\n")
    peer.user = true
  elseif verb == "DATA" then
    peer:send "354 go\r\n"
    show("message", peer:through "\r\n.\r\n")
    peer:send "250 2.0.0 ok\r\n"
  elseif verb == "QUIT" then
    peer:send "221 bye\r\n"
    return true
  elseif line:find "nobody" then
    peer:send "550 5.1.1 no such USER I\r\n"
  else
    peer:send "250 2.1.0 ok\r\n"
  end
end

local function play_smtp(port)
  local s = assert(mail.smtp.connect(options(port, { mechanism = "login", helo = "Client.Example.ID" })))
  show("capabilities", keys(s.capabilities), s:has "dsn", s:has "SIZE", s:has "pipelining")
  local receipt = assert(s:send { from = "ann@example.org", to = { "TITLE@Example.ORG", "nobody@example.org" },
    message = "Subject: i\r\n\r\n\195\132I\r\n",
    dsn = { notify = { "FAILURE", "Delay" }, ret = "HDRS", envid = "I+1" } })
  show("accepted", table.concat(receipt.accepted, " "), receipt.text)
  for address, err in pairs(receipt.rejected) do show("rejected", address, err.code, err.enhanced, err.kind) end
  show("quit", s:quit())
end

local function pop3(peer, line)
  local verb = line:match "^%S+"
  if verb == "CAPA" then
    peer:send "+OK\r\nuidl\r\ntop\r\nuser\r\npipelining\r\nsasl plain login digest-md5\r\nexpire Never User\r\n"
    peer:send "implementation I\r\n.\r\n"
  elseif verb == "UIDL" then
    peer:send "+OK\r\n1 id-I\r\n2 id-i\r\n.\r\n"
  elseif verb == "AUTH" then
    peer:send "+ VXNlcm5hbWU6\r\n"
  elseif verb == "STAT" then
    peer:send "+OK 2 240\r\n"
  elseif verb == "QUIT" then
    peer:send "+OK bye\r\n"
    return true
  elseif not line:find "^[A-Z]+$" and not peer.user then
    peer.user = peer:send "+ UGFzc3dvcmQ6\r\n"
  else
    peer:send "+OK [auth] in\r\n"
  end
end

local function play_pop3(port)
  local s = assert(mail.pop3.connect(options(port, { mechanism = "login" })))
  show("capabilities", keys(s.capabilities), s:has "pipelining", s:has "UIDL")
  for _, one in ipairs(assert(s:uidl())) do show("uidl", type(one) == "table" and one.uid or one) end
  show("quit", s:quit())
end

-- --- without a server -----------------------------------------------------------------------------------

local function compute()
  for _, text in ipairs { "IDLE", "idle", "", "\195\132I\221\253i", ("I\221"):rep(100), ("iI"):rep(100) } do
    show(ascii.lower(text), ascii.upper(text), core.lower(text), core.upper(text))
  end
  show(ascii.text(1.5), ascii.text(-3), ascii.text "1,5", ascii.text(true))
  for _, text in ipairs { "Änn I. <ANN@B\195\156CHER.Example>", "ID@ISTANBUL.TR", "GROUP I: a@X.ID, b@y.id;" } do
    for _, one in ipairs(assert(mail.address.parse(text))) do
      show(one.name, one.address, one.group, #(one.members or {}))
    end
  end
  local auth = require "mail.auth"
  local mechanisms = { "login", "plain", "digest-md5", "scram-sha-256", "external" }
  local offered = {}
  for _, name in ipairs(mechanisms) do offered[ascii.upper(name)] = true end
  for _, name in ipairs(mechanisms) do
    local extra = { protocol = "imap", secure = true }
    show(name, auth.choose(offered, { mechanism = name, user = "a", password = "p" }, extra))
    show("floor", auth.choose(offered, { mechanism_floor = name, user = "a", password = "p" }, extra))
  end
  local json = require "mail.json"
  local read = assert(json.decode_strictly '{"expires_in":3599.5,"half":5e-1,"I":"\195\132","list":[1.25,-7]}')
  show(read.expires_in == 3599.5, read.half == 0.5, read.I, read.list[1] == 1.25, read.list[2] == -7)
  local made = assert(mail.message.new { from = "a@x.org", to = "b@x.org", date = 0, message_id = "<1@x>",
    text = "x", headers = { ["X-Score"] = 1.5 } })
  show(made:tostring())
  local names = require "mail.maildir.names"
  show(names.info_of { S = true, a = true, D = true, i = true, F = true })
end

show "imap"
scripted.run(server("* ok [capability " .. WORDS .. "] hi\r\n", imap), play_imap)
show "smtp"
scripted.run(server("220 mx\r\n", smtp), play_smtp)
show "pop3"
scripted.run(server("+OK hi\r\n", pop3), play_pop3)
show "alone"
compute()
