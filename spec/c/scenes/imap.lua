-- IMAP: sessions through logins, commands of every argument, answers of every shape, IDLE, COMPRESS; parsing.
local core, host = ...
host.varies("trace") -- what there is no memory for is lost

local function drain(s)
  local kinds = ""
  repeat
    repeat until not s:output()
    local kind = s:next()
    kinds = kinds .. kind .. " "
  until kind == "wait" or kind == "fail"
  s:output()
  return kinds
end

local function hear(s, text)
  s:feed(text)
  return drain(s)
end

local function is(got, wanted)
  if got ~= wanted then error(("%s, not %s"):format(got, wanted), 2) end
end

-- Sends a command and hears its answer; "#" in that is its tag.
local function turn(s, id, answer)
  drain(s)
  return hear(s, (answer:gsub("#", s:tag(id))))
end

local CAPABILITY = "CAPABILITY IMAP4rev1 IDLE LITERAL+ SASL-IR COMPRESS=DEFLATE STARTTLS"
local s = core.imap_session({ literal = 1000000 }, "tag")
s:trace()
is(hear(s, "* OK [" .. CAPABILITY .. "] \"hi\"\r\n"), "greeting wait ")
assert(s:phase() == "not authenticated" and s:capabilities_known() and s:has_capability("IDLE"))
assert(s:capability_set().IDLE)
is(turn(s, s:begin_login("user", "wrong \" password"), "# NO [AUTHENTICATIONFAILED] no\r\n"), "done wait ")
local id = s:begin_authenticate("PLAIN", "\0user\0password")
is(turn(s, id, "# NO no\r\n"), "done wait ")
id = s:begin_authenticate("LOGIN")
is(turn(s, id, "+ VXNlcm5hbWU6\r\n"), "ask wait ")
s:answer(id, "user")
is(hear(s, "+ UGFzc3dvcmQ6\r\n"), "ask wait ")
s:answer(id, nil)
is(turn(s, id, "# BAD cancelled\r\n"), "done wait ")
is(turn(s, s:begin_login("user", "password"), "# OK [" .. CAPABILITY .. "] in\r\n"), "done wait ")

id = s:submit("SELECT", false, "mailbox", "Entw\195\188rfe")
is(turn(s, id, "* FLAGS (\\Seen a)\r\n* 5 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n"
  .. "* OK [PERMANENTFLAGS (\\* a)] x\r\n# OK [READ-WRITE] done\r\n"),
  "untagged untagged untagged untagged done wait ")
assert(s:phase() == "selected" and s:pending() == 0 and not s:speaks_utf8())
assert(s:weight() > 0 and s:answer_limit() > s:weight())

-- what a message may have
local ENVELOPE = '("date" "=?utf-8?q?x?=" (("A" NIL "a" "b")) (("A" NIL "a" "b")) NIL ((NIL NIL "group" NIL)'
  .. '(NIL NIL "m" "h")(NIL NIL NIL NIL)(NIL NIL "' .. ("long"):rep(90) .. '" "h")) NIL NIL "<1@x>" "<2@x>")'
local BODY = '(("text" "plain" ("charset" "utf-8") "<id>" "words" "7bit" 10 1 "md5" ("attachment" ("filename" "x"))'
  .. ' ("en" "de") "loc")("message" "rfc822" NIL NIL NIL "7bit" 9 ' .. ENVELOPE
  .. ' ("text" "plain" NIL NIL NIL "7bit" 1 1) 3 NIL NIL "en") "mixed" ("boundary" "b"))'
id = s:submit("UID FETCH", false, "set", "1:5", "text", "(ALL)")
is(turn(s, id, "* 1 FETCH (UID 1 FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 44 "
  .. "MODSEQ (12) ENVELOPE " .. ENVELOPE .. " BODYSTRUCTURE " .. BODY .. " BODY[] {5}\r\nhello BODY[1]<0> \"a\" "
  .. "BODY[1]<7> \"b\" BINARY[1] NIL X-GM-MSGID 99999999999999999 X-GM-LABELS (a \"b\") NEW (1 2 (x)))\r\n"
  .. "* 2 FETCH (ENVELOPE (\"d\" \"s\") MODSEQ (-1))\r\n# OK done\r\n"), "fetch fetch done wait ")
id = s:submit("UID FETCH", true, "set", "1", "text", "(BODY.PEEK[])")
drain(s)
is(hear(s, "* 1 FETCH (UID 1 BODY[] {100000}\r\n" .. ("0123456789"):rep(5000)), "body data wait ")
is(hear(s, ("0123456789"):rep(5000) .. ")\r\n"), "data fetch wait ")
is(turn(s, id, "# OK done\r\n"), "done wait ")

-- other answers
id = s:submit("LIST", false, "string", "", "string", "*", "open", true, "close", true)
is(turn(s, id, "* LIST (\\HasNoChildren) \"/\" \"&APw-\" (CHILDINFO (\"SUBSCRIBED\"))\r\n* STATUS x (MESSAGES 1 UIDNEXT"
  .. " 2)\r\n# OK done\r\n"), "untagged untagged done wait ")
id = s:submit("UID SEARCH", false, "text", "RETURN (ALL) ALL")
is(turn(s, id, "* ESEARCH (TAG \"#\") UID ALL 1:3,5 MODSEQ 7\r\n* SEARCH 1 2 3 (MODSEQ 5)\r\n"
  .. "* OK [INPROGRESS (\"#\" 1 2)] x\r\n# OK done\r\n"), "untagged untagged untagged done wait ")
id = s:submit("UID THREAD", false, "text", "REFERENCES UTF-8 ALL")
is(turn(s, id, "* THREAD (1 2 (3)(4))(5)\r\n# OK done\r\n"), "untagged done wait ")
id = s:submit("UID COPY", false, "set", "1:2", "mailbox", "x")
is(turn(s, id, "* 3 EXPUNGE\r\n* VANISHED 5:7\r\n* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n"
  .. "* METADATA \"\" (/shared/comment \"c\")\r\n"
  .. "# OK [COPYUID 5 1:2 3:4] done\r\n"), "untagged untagged untagged untagged done wait ")

-- what is lent: large literals, and content in pieces
local first = s:submit("APPEND", false, "mailbox", "x", "open", 1, "text", "\\Seen", "close", 1, "date", 86400,
  "literal", ("0123456789abcdef"):rep(1000))
local second = s:submit("APPEND", false, "astring", "a b", "literal8", ("\0abcdef\0"):rep(1000), "number", 5)
is(turn(s, first, "# OK [APPENDUID 1 2] done\r\n"), "done wait ")
is(turn(s, second, "# OK done\r\n"), "done wait ")
id = s:submit("APPEND", false, "mailbox", "x", "stream", 20000)
is(drain(s), "go wait ")
assert(s:wants_content(id) and not s:is_sent(id))
s:content(id, ("0123456789"):rep(1000))
is(drain(s), "go wait ")
s:content(id, ("9876543210"):rep(1000))
is(drain(s), "go wait ")
s:content_end(id)
drain(s)
assert(s:is_sent(id))
is(turn(s, id, "# OK done\r\n"), "done wait ")
assert(s:submit("APPEND", false, "stream8", 5, "literal", "a\0b") == nil)

-- commands beside one another
first = s:submit("UID FETCH", false, "set", "1", "text", "FLAGS")
s:push()
second = s:submit("UID FETCH", false, "set", "2", "text", "FLAGS")
s:join(second, first)
is(turn(s, first, "* 1 FETCH (UID 1 FLAGS ())\r\n# OK done\r\n"), "fetch done wait ")
s:abandon(second)
is(turn(s, second, "# OK done\r\n"), "wait ")
s:unnumbered(true)
assert(s:submit("FETCH", false, "set", "1", "text", "FLAGS") == nil)

id = s:begin_idle()
drain(s)
is(hear(s, "+ idling\r\n* 6 EXISTS\r\n"), "idling untagged wait ")
s:idle_rearm()
drain(s)
is(turn(s, id + 1, "# OK done\r\n+ idling\r\n"), "idling wait ")
s:idle_end(id)
drain(s)
assert(#s:trace() > 100)
s:relax()
s:wants()
s:free()

-- compressed, there and back
s = core.imap_session()
hear(s, "* PREAUTH [" .. CAPABILITY .. "] hi\r\n")
local other = core.imap_session()
id = s:submit("COMPRESS", false, "text", "DEFLATE")
is(turn(s, id, "# OK go\r\n"), "compress wait ")
s:start_deflate()
assert(s:start_deflate() == nil)
hear(other, "* OK hi\r\n")
s:submit("NOOP", false)
drain(s)
s:deflate_count()
other:deflate_count()
is(hear(s, "no deflate at all\r\n"), "fail ")
s:failure()
s = core.imap_session()
hear(s, "* OK [" .. CAPABILITY .. "] hi\r\n")
id = s:submit("STARTTLS", false)
is(turn(s, id, "# OK go\r\n"), "starttls wait ")
s:secured()
is(hear(s, "* BYE [ALERT] gone\r\n"), "bye wait ")
s:feed_eof()
drain(s)

-- responses alone
assert(#core.imap_parse("* OK [UIDNEXT 5] hi\r\n* 1 FETCH (UID 1 ENVELOPE " .. ENVELOPE .. " BODYSTRUCTURE " .. BODY
  .. ")\r\n+ go\r\nA1 NO [BADCHARSET (\"a\")] x\r\n* NEW (a 1 NIL (\"b\"))\r\n", 50) == 5)
assert(not core.imap_parse("* OK\r\nA1"))
assert(not core.imap_parse("\1\255\"\r\n"))
