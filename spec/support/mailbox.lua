--- IMAP sessions for specs: with a user of the shared Dovecot, or with a scripted server.
local imap = require "mail.imap"
local loop = require "mail.loop"
local scripted = require "spec.support.scripted"
local servers = require "spec.servers"
local assert = require "luassert"

local mailbox = {}

--- PUC Lua 5.1 cannot yield across pcall, metamethods and the for statement.
mailbox.yields_everywhere = _VERSION ~= "Lua 5.1" or rawget(_G, "jit") ~= nil

--- Dovecot as the IMAP specs use it, or nil and the reason.
function mailbox.server(options)
  options = options or {}
  options.store = options.store or "maildir"
  return servers.dovecot(options)
end

--- Cyrus, or nil and the reason. Its users have their mailboxes once they have logged in.
function mailbox.cyrus(options) return servers.cyrus(options) end

--- Options of connect for `user`; `mode` is "implicit", "starttls" or "none" (the default).
function mailbox.options(server, user, mode, more)
  mode = mode or "none"
  local o = {
    host = "localhost", user = user.name, password = user.password, timeout = 20, tls = mode,
    port = mode == "implicit" and server.ports.imaps or server.ports.imap,
    channel_binding = server.channel_binding, ssl = { ca_file = server.ca_file },
    allow_plaintext_login = mode == "none" or nil,
  }
  for name, value in pairs(more or {}) do o[name] = value end
  return o
end

--- A session logged in as `user`, a new one where it is nil; and the user.
function mailbox.open(server, user, mode, more)
  user = user or server:add_user()
  return assert(imap.connect(mailbox.options(server, user, mode, more))), user
end

--- A session with INBOX selected and these messages in it (LF), and the user.
function mailbox.with(server, texts, more)
  local session, user = mailbox.open(server, nil, "none", more)
  for _, text in ipairs(texts) do assert(session:append("INBOX", text)) end
  assert(session:select "INBOX")
  return session, user
end

--- `it`, or pending where the machine has no such server.
function mailbox.real(it, pending, server, missing)
  return function(name, fn)
    it(name, function()
      if not server then return pending(missing) end
      fn()
    end)
  end
end

function mailbox.crlf(text) return (text:gsub("\r?\n", "\r\n")) end

--- The keys of a set, sorted.
function mailbox.keys(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

-- --- scripted servers -------------------------------------------------------------------------------

--- Reads a command: its tag and the rest of the line. An error unless the rest matches `pattern`.
function mailbox.command(peer, pattern)
  local line = peer:line()
  if not line then error("scripted server: the client is gone, where '" .. pattern .. "' was to come", 2) end
  local tag, rest = line:match "^(%S+) (.*)$"
  if not tag or not rest:find(pattern) then
    error(("scripted server: expected '%s', got '%s'"):format(pattern, line), 2)
  end
  return tag, rest
end

--- Answers a command: `data` first, then the tagged line ("OK done" unless given).
function mailbox.answer(peer, pattern, data, tagged)
  local tag = mailbox.command(peer, pattern)
  peer:send((data or "") .. tag .. " " .. (tagged or "OK done") .. "\r\n")
  return tag
end

--- Greets and lets the client in; `words` are further capabilities.
function mailbox.admit(peer, words)
  peer:send("* OK [CAPABILITY IMAP4rev1 " .. (words or "") .. "] ready\r\n")
  mailbox.answer(peer, "^LOGIN ", nil, "OK [CAPABILITY IMAP4rev1 " .. (words or "") .. "] in")
end

--- The same, and a mailbox of `exists` messages that the client selects.
function mailbox.admit_selected(peer, words, exists)
  mailbox.admit(peer, words)
  mailbox.answer(peer, "^SELECT ", ("* %d EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 100] n\r\n")
    :format(exists or 0), "OK [READ-WRITE] selected")
end

--- Connects to a scripted server as ann, in clear.
function mailbox.dial(port, more)
  local o = {
    host = "127.0.0.1", port = port, tls = "none", user = "ann", password = "hunter2",
    allow_plaintext_login = true, timeout = 5,
  }
  for name, value in pairs(more or {}) do o[name] = value end
  return imap.connect(o)
end

--- Runs `client(session)` against a script that begins behind SELECT.
function mailbox.selected(words, exists, script, client, more)
  return scripted.run(function(peer)
    mailbox.admit_selected(peer, words, exists)
    script(peer)
    peer:rest()
  end, function(port)
    local session = assert(mailbox.dial(port, more))
    assert(session:select "INBOX")
    local function done(...)
      session:close()
      return ...
    end
    return done(client(session))
  end)
end

--- Runs `fn` in a task of the library's loop.
function mailbox.inside(fn) return loop.run(fn) end

--- Asserts that `fn` raises at a line of the spec `file`.
function mailbox.raises(file, fn, pattern)
  local ok, err = pcall(fn)
  assert.is_false(ok, "no error was raised")
  assert.is_truthy(tostring(err):find("^[^:]*" .. file:gsub("%p", "%%%0") .. ":%d+: "), "blamed: " .. tostring(err))
  if pattern then assert.matches(pattern, tostring(err)) end
end

--- Runs `client(session)` against a script that begins behind the login; `words` are capabilities.
function mailbox.admitted(words, script, client)
  return scripted.run(function(peer)
    mailbox.admit(peer, words)
    script(peer)
    peer:rest()
  end, function(port)
    local session = assert(mailbox.dial(port))
    client(session)
    session:close()
  end)
end

return mailbox
