-- SMTP: a session with TLS asked for, a login, messages of every shape, refusals, the log; LMTP; replies alone.
local core, host = ...
host.varies("trace") -- what there is no memory for is lost
host.may_do_less("usual") -- leaves it to transaction()

-- Sends all there is, and takes events until the session waits; the kinds of these.
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

local EHLO = "250-mx.example.com hello\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
  .. "250-AUTH PLAIN LOGIN\r\n250-ENHANCEDSTATUSCODES\r\n250 STARTTLS\r\n"
local CHUNKING = EHLO:gsub("250 STARTTLS", "250-CHUNKING\r\n250-BINARYMIME\r\n250-BURL imap\r\n250 STARTTLS")
local text = "From: a@example.com\r\nSubject: s\r\n\r\n" .. ("line\r\n"):rep(20) .. ".\r\n"

local s = core.smtp_session({ line = 4096 })
s:trace()
is(hear(s, "220 mx.example.com ready\r\n"), "greeting wait ")
s:ehlo("client.example.com")
is(hear(s, EHLO), "done wait ")
assert(s:ehlo_table().AUTH == "PLAIN LOGIN")
s:starttls()
is(hear(s, "454 4.7.0 not now\r\n"), "done wait ")
local id = s:auth("LOGIN")
is(hear(s, "334 VXNlcm5hbWU6\r\n"), "ask wait ")
s:answer(id, "user")
is(hear(s, "334 UGFzc3dvcmQ6\r\n"), "ask wait ")
s:answer(id, "password")
is(hear(s, "235 2.7.0 in\r\n"), "done wait ")
id = s:auth("PLAIN", "\0user\0password")
is(hear(s, "334 \r\n"), "ask wait ")
s:answer(id)
is(hear(s, "501 5.7.0 cancelled\r\n"), "done wait ")
id = s:auth("CRAM-MD5")
is(hear(s, "334 ?\r\n"), "ask wait ")
s:answer(id)
is(hear(s, "501 no\r\n"), "done wait ")

-- the usual message, and one with all that it may have
local options = { from = "a@example.com", to = { "b@example.com", "c@example.com" }, message = text, timeout = 5 }
assert(core.smtp_is_usual(options))
local first = s:usual(options)
local second = s:transaction({ from = "<a@example.com>", to = { { address = "J\195\188rg <j\195\188@example.com>",
  params = " NOTIFY=NEVER" }, "d@example.com" } }, text, #text, nil, " RET=HDRS", " NOTIFY=FAILURE", "refuse")
assert(first and second)
is(hear(s, "250 2.1.0 ok\r\n250 2.1.5 ok\r\n550 5.1.1 no such\r\n354 go\r\n"), "wait ")
assert(s:is_accepted(first) and not s:is_unknown(second))
is(hear(s, "250 2.0.0 Ok: queued as 12345\r\n"), "sent wait ")
is(hear(s, "250 2.1.0 ok\r\n550 5.1.1 no\r\n550 5.1.1 no\r\n554 5.5.1 no valid recipients\r\n"), "sent wait ")
is(hear(s, "250 reset\r\n"), "wait ")

-- what is refused before anything leaves
s:transaction({ from = "a@example.com", to = "no address" }, text)
s:transaction({ from = "a@example.com", to = {} }, text)
s:transaction({ from = "a@example.com", to = "b@example.com" }, "a\0b", nil, nil, nil, nil, "keep")
s:transaction({ from = "a@example.com", to = "b@example.com" }, text, 2000000)
assert(s:usual({ from = "a@example.com", to = "x y", message = text }) == nil)
assert(s:ehlo("a\r\nb") == nil)
s:rset()
s:raw_command("NOOP")
s:helo("client.example.com")
drain(s)
is(hear(s, "250 ok\r\n250 ok\r\n"), "done done wait ")
is(hear(s, "250 mx.example.com\r\n"), "done wait ")

-- content in pieces, by DATA
s:ehlo("client.example.com")
hear(s, EHLO)
id = s:transaction({ from = "a@example.com", to = "b@example.com" }, nil, nil, "Subject: x\r\n")
is(hear(s, "250 ok\r\n250 ok\r\n354 go\r\n"), "go wait ")
s:give(id, "Subject: x\r\n\r\n")
drain(s)
s:give(id, ("piece\r\n"):rep(300))
drain(s)
s:give_end(id)
is(hear(s, "451 4.3.0 try again\r\n"), "sent wait ")
s:relax()
s:wants()
assert(#s:trace() > 100)

-- one that nobody waits for
local lost = s:raw_command("VRFY x")
s:abandon(lost)
is(hear(s, "252 maybe\r\n"), "wait ")
is(hear(s, "421 4.4.2 bye\r\n"), "bye wait ")
s:raw_quit()
drain(s)
s:feed_eof()
drain(s)
s:failure()
s:free()
assert(s:is_freed())

-- by chunks, and by URL; with a header in front of all
s = core.smtp_session()
s:preface("PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\n")
hear(s, "220 ready\r\n")
s:ehlo("client.example.com")
hear(s, CHUNKING)
local big = "Subject: x\r\n\r\n" .. ("0123456789abcdef"):rep(20000) .. "\r\n"
assert(s:transaction({ from = "a@example.com", to = "b@example.com" }, big, nil, nil, nil, nil, "keep"))
drain(s)
is(hear(s, "250 ok\r\n250 ok\r\n250 ok 320016 octets\r\n"), "moved wait ")
is(hear(s, "250 ok\r\n"), "sent wait ")
id = s:transaction({ from = "", to = "b@example.com" }, nil, nil, "", nil, nil, "url")
is(hear(s, "250 ok\r\n250 ok\r\n"), "go wait ")
s:give(id, "Subject: y\r\n\r\n")
drain(s)
s:give_url(id, "imap://a@mail.example.com/x;uid=1;urlauth=submit+a:internal:00", true)
assert(hear(s, "250 ok\r\n250 ok\r\n"):find "sent")
s:secured()
s:free()

s = core.smtp_session(nil, "lmtp")
hear(s, "220 ready\r\n")
s:do_without_chunking()
s:ehlo("client.example.com")
hear(s, CHUNKING)
id = s:usual(options) or s:transaction(options, text)
is(hear(s, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"), "wait ")
is(hear(s, "250 2.0.0 id=1abc-2\r\n"), "wait ")
local finals = s:finals(id)
assert(finals.accepted[1] == "b@example.com" and finals.pending[1] == "c@example.com" and not next(finals.rejected))
is(hear(s, "452 4.2.2 full\r\n"), "sent wait ")
is(hear(s, "250 nobody asked\r\n"), "fail ")
s:failure()
core.session_state(s, { mine = true })
assert(core.session_state(s).mine)

-- replies alone
assert(#core.smtp_parse("220-a\r\n220 b\r\n250 2.1.0 c\r\n", 3) == 2)
assert(not core.smtp_parse("220-a\r\nabc\"\1\r\n"))
assert(not core.smtp_parse("220 a"))
