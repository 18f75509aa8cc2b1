-- POP3: two sessions through all commands and answers, listings with RETR ahead, replies alone.
local core, host = ...
host.varies("trace") -- what there is no memory for is lost
host.may_do_less("ask")

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

local CAPA = "+OK\r\nTOP\r\nUIDL\r\nSASL PLAIN LOGIN\r\nPIPELINING\r\nSTLS\r\nRESP-CODES\r\nLANG\r\nUTF8 USER\r\n.\r\n"

local s = core.pop3_session({ message = 100000 })
s:trace()
is(hear(s, "+OK ready <1.2@example.com>\r\n"), "greeting wait ")
s:capa()
is(hear(s, CAPA), "done wait ")
s:stls()
is(hear(s, "-ERR no\r\n"), "done wait ")
s:utf8()
is(hear(s, "+OK\r\n"), "done wait ")
s:user("user")
is(hear(s, "+OK\r\n"), "done wait ")
s:pass("password")
is(hear(s, "-ERR [AUTH] no\r\n"), "done wait ")
s:apop("user", "secret")
is(hear(s, "-ERR [SYS/TEMP] later\r\n"), "done wait ")
local id = s:auth("LOGIN")
is(hear(s, "+ VXNlcm5hbWU6\r\n"), "ask wait ")
s:answer(id, "user", false)
is(hear(s, "+ ?\r\n"), "ask wait ")
s:answer(id, nil, true)
is(hear(s, "-ERR cancelled\r\n"), "done wait ")
s:auth("PLAIN", "\0user\0password")
is(hear(s, "+OK in\r\n"), "done wait ")
assert(s:phase() == "transaction")
s:stat()
is(hear(s, "+OK 3 3000\r\n"), "done wait ")
s:list()
is(hear(s, "+OK\r\n1 1000\r\n2 1000\r\n3 1000\r\nx\r\n.\r\n"), "done wait ")
s:list(2)
is(hear(s, "+OK 2 1000\r\n"), "done wait ")
s:uidl()
is(hear(s, "+OK\r\n1 a\r\n2 b\r\n3 c\r\n.\r\n"), "done wait ")
s:uidl(1)
is(hear(s, "+OK 1 a\r\n"), "done wait ")
s:retr(1)
s:retr(2, "stream")
s:top(3, 1)
is(hear(s, "+OK\r\nSubject: x\r\n\r\n..dot\r\n.\r\n+OK\r\nSubject: y\r\n"), "done data wait ")
is(hear(s, "\r\nbody\r\n.\r\n+OK\r\nSubject: z\r\n.\r\n"), "data done done wait ")
s:dele(1)
s:rset()
s:noop()
is(hear(s, "+OK\r\n+OK\r\n+OK\r\n"), "done done done wait ")
assert(s:lang())
is(hear(s, "+OK\r\nen English\r\nde Deutsch\r\n.\r\n"), "done wait ")
s:lang("de")
is(hear(s, "+OK de hallo\r\n"), "done wait ")
s:command("XTND", true)
is(hear(s, "+OK\r\na\r\n.\r\n"), "done wait ")
assert(s:command("a\nb") == nil)
assert(#s:trace() > 100)

-- listings, and what is asked ahead
local listing = core.pop3_listing("1 1000\r\n2 1000\r\n3 1000\r\n", "3 c\r\n1 a\r\n2 b\r\n")
assert(listing:count() == 3)
listing:item(2)
listing:ask(s, 0, 2, 5000)
listing:item(1)
drain(s)
is(hear(s, "+OK\r\na\r\n.\r\n+OK\r\nb\r\n.\r\n"), "done done wait ")
listing:only({ 1, 3 })
assert(listing:item(2) == 3)
assert(core.pop3_listing("1 5\r\n"):count() == 1)

local lost = s:noop()
s:abandon(lost)
is(hear(s, "+OK\r\n"), "wait ")
s:relax()
s:wants()
s:quit()
is(hear(s, "+OK bye\r\n"), "done fail ")
s:feed_eof()
drain(s)
s:failure()
s:free()
assert(s:is_freed())

s = core.pop3_session()
hear(s, "+OK\r\n")
s:stls()
is(hear(s, "+OK go\r\n"), "starttls wait ")
s:secured()
s:noop()
is(hear(s, "nonsense \"\\\255\r\n"), "fail ")
s:failure()
s = core.pop3_session()
is(hear(s, "-ERR [IN-USE] go away\r\n"), "bye fail ")

-- replies alone
assert(#core.pop3_parse("+OK a\r\nx\r\n..y\r\n.\r\n-ERR [IN-USE] b\r\n+ abc\r\n", 4) == 3)
assert(not core.pop3_parse("+OK a\r\nx\r\n"))
assert(not core.pop3_parse("what\r\n"))
