-- POP3 as a user sees it against Dovecot, Cyrus and Courier, over TLS, STLS and in clear: every call, every way to
-- log in, messages asked for ahead, and what is left on the server.

local servers = require "spec.servers"
local core = require "mail.core"
local loop = require "mail.loop"
local mail = require "mail"
local pop3 = require "mail.pop3"

local function crlf(text) return (text:gsub("\n", "\r\n")) end

-- Puts texts (lines in LF) into the maildir of `user`, in order.
local function fill_maildir(server, user, texts)
  local folder = user.maildir
  os.execute(("mkdir -p '%s/cur' '%s/new' '%s/tmp'"):format(folder, folder, folder))
  for i, text in ipairs(texts) do
    local file = assert(io.open(("%s/cur/%d.%d.host:2,S"):format(folder, 1700000000 + i, i), "wb"))
    file:write(text)
    file:close()
  end
  os.execute(("chown -R %d:%d '%s' 2>/dev/null"):format(server.keeper.uid, server.keeper.gid, user.home))
end

-- The same by IMAP, for a server that keeps no Maildir.
local function append(server, user, texts)
  local imap = assert(mail.imap.connect { host = "localhost", port = server.ports.imap, tls = "none",
    allow_plaintext_login = true, mechanism = "PLAIN", user = user.name, password = user.password })
  for _, text in ipairs(texts) do assert(imap:append("INBOX", crlf(text))) end
  imap:logout()
end

local SAMPLES = {
  "Subject: one\n\nplain\n",
  "Subject: dots\n\n.\n..\n.x\nend.\n",
  "Subject: no body\n\n",
  "Subject: 8 bit\n\n\xC3\xA9\xFF \n",
}

-- What is particular to each: its greeting, what it takes by AUTH, the code of a refused log-in, whether it says
-- that a user may be named by USER in clear.
local KINDS = {
  { name = "dovecot", greeting = "Dovecot", fill = fill_maildir, options = { store = "maildir", users = 1 },
    mechanisms = { "USER", "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "APOP" },
    strongest = "SCRAM%-SHA%-256", code = "AUTH" },
  { name = "cyrus", greeting = "Cyrus", fill = append, options = { users = 1 },
    mechanisms = { "USER", "PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256" },
    strongest = "SCRAM%-SHA%-256", code = "AUTH" },
  { name = "courier", greeting = "Hello there", fill = fill_maildir, options = { users = 1 },
    mechanisms = { "USER", "PLAIN", "LOGIN", "CRAM-MD5" }, strongest = "CRAM%-MD5" },
}

local function suite(kind)
  local server, missing = servers[kind.name](kind.options)

  local function real(name, fn)
    it(("%s (%s)"):format(name, kind.name), function()
      if not server then return pending(missing) end
      fn()
    end)
  end

  local function fill(user, texts) return kind.fill(server, user, texts) end

  local function options_for(user, mode, more)
    local o = {
      host = "localhost", user = user.name, password = user.password, timeout = 20, tls = mode,
      port = mode == "implicit" and server.ports.pop3s or server.ports.pop3,
      ssl = { ca_file = server.ca_file }, allow_plaintext_login = mode == "none" or nil,
      channel_binding = server.channel_binding,
    }
    for name, value in pairs(more or {}) do o[name] = value end
    return o
  end

  local function open(user, mode, more)
    return assert(pop3.connect(options_for(user, mode or "none", more)))
  end

  for _, mode in ipairs { "implicit", "starttls", "none" } do
    describe("POP3 with tls = " .. mode, function()
      real("serves every call", function()
        local user = server:add_user()
        fill(user, SAMPLES)
        local pop = open(user, mode)
        assert.equal("userdata", type(pop))
        assert.equal(("mail.pop3 (localhost:%d, transaction)")
          :format(mode == "implicit" and server.ports.pop3s or server.ports.pop3), tostring(pop))
        assert.matches(kind.greeting, pop.server)
        assert.is_true(pop:has "pipelining")
        assert.is_truthy(pop.capabilities.TOP)
        assert.is_nil(pop.capabilities.XNONE)
        if mode == "none" then
          assert.is_nil(pop.tls)
        else
          assert.matches("^TLSv1", pop.tls.version)
        end
        local stat = assert(pop:stat())
        assert.equal(4, stat.count)
        local total = 0
        local list = assert(pop:list())
        for i, entry in ipairs(list) do
          assert.equal(i, entry.number)
          assert.equal(#crlf(SAMPLES[i]), entry.size)
          total = total + entry.size
        end
        assert.equal(total, stat.size)
        assert.same({ number = 2, size = #crlf(SAMPLES[2]) }, pop:list(2))
        local uids = assert(pop:uidl())
        assert.equal(4, #uids)
        assert.same(uids[3], pop:uidl(3))
        for i, text in ipairs(SAMPLES) do assert.equal(crlf(text), (pop:retr(i))) end
        assert.equal("Subject: dots\r\n\r\n.\r\n", (pop:top(2, 1)))
        assert.is_true(pop:noop())
        assert.is_truthy(assert(pop:capa()).UIDL)
        assert.is_true(pop:dele(1))
        assert.equal(3, pop:stat().count)
        assert.is_true(pop:rset())
        assert.equal(4, pop:stat().count)
        assert.matches("^4 ", (pop:command "STAT"))
        local _, lines = pop:command("UIDL", true)
        assert.equal("1 " .. uids[1].uid, lines:match "^[^\r]+")
        assert.is_true(pop:quit())
        assert.matches("closed", tostring(pop))
      end)
    end)
  end

  describe("POP3 log-in", function()
    for _, mechanism in ipairs(kind.mechanisms) do
      real("takes " .. mechanism .. " when asked to", function()
        local user = server:add_user()
        local mode = mechanism == "APOP" and "none" or "starttls"
        local pop = open(user, mode, { mechanism = mechanism, allow_plaintext_login = false })
        assert.equal(0, pop:stat().count)
        pop:quit()
      end)
    end

    real("refuses a wrong password with the server's code and words, and no secret in them", function()
      local user, lines = server:add_user(), {}
      local pop, err = pop3.connect(options_for(user, "starttls", { password = "hunter2",
        log = function(direction, line) lines[#lines + 1] = direction .. " " .. line end }))
      assert.is_nil(pop)
      assert.equal("auth", err.kind)
      assert.equal(kind.code, err.response_code)
      assert.equal("pop3", err.protocol)
      assert.is_false(err.temporary)
      local log = table.concat(lines, "\n")
      assert.matches("C AUTH " .. kind.strongest, log)
      assert.is_nil(log:find("hunter2", 1, true))
      assert.is_nil(log:find(core.base64("\0" .. user.name .. "\0hunter2"), 1, true))
    end)

    real("sends no secret in clear unless told so", function()
      local user = server:add_user()
      for _, mechanism in ipairs { false, "PLAIN", "LOGIN", "USER" } do
        local lines = {}
        local pop, err = pop3.connect(options_for(user, "none", { allow_plaintext_login = false,
          mechanism = mechanism or nil, log = function(_, line) lines[#lines + 1] = line end }))
        assert.is_nil(pop)
        assert.equal("tls", err.kind)
        assert.is_nil(table.concat(lines):find "AUTH PLAIN %*")
        assert.is_nil(table.concat(lines):find "USER ")
      end
    end)

    real("says what the server lacks", function()
      local user = server:add_user()
      local pop, err = pop3.connect(options_for(user, "starttls", { mechanism = "EXTERNAL" }))
      assert.is_nil(pop)
      assert.equal("unsupported", err.kind)
      assert.has_error(function() pop3.connect(options_for(user, "starttls", { mechanism = "PLIAN" })) end)
    end)

    real("can wait: login = false, then login or authenticate", function()
      local user = server:add_user()
      local pop = open(user, "starttls", { login = false })
      local stat, err = pop:stat()
      assert.is_nil(stat)
      assert.equal("invalid", err.kind)
      local ok
      ok, err = pop:login(user.name, "wrong")
      assert.is_nil(ok)
      assert.equal("auth", err.kind)
      assert.is_true(pop:authenticate { user = user.name, password = function() return user.password end,
        mechanism = "LOGIN" })
      assert.equal(0, pop:stat().count)
      pop:quit()
    end)

    real("asks a password function once, and tells its error", function()
      local user, calls = server:add_user(), 0
      local pop, err = pop3.connect(options_for(user, "starttls", { password = function()
        calls = calls + 1
        return nil, "the keyring is locked"
      end }))
      assert.is_nil(pop)
      assert.equal("auth", err.kind)
      assert.matches("the keyring is locked", tostring(err))
      assert.equal(1, calls)
    end)

    real("tells no secret under TLS that anybody could offer", function()
      local user = server:add_user()
      local pop, err = pop3.connect(options_for(user, "opportunistic"))
      assert.is_nil(pop)
      assert.equal("tls", err.kind)
      local verified = { ssl = { verify = true, ca_file = server.ca_file } }
      for _, more in ipairs { verified, { allow_plaintext_login = true } } do
        pop = assert(pop3.connect(options_for(user, "opportunistic", more)))
        assert.is_table(pop.tls)
        pop:quit()
      end
    end)

    real("verifies the server", function()
      local user = server:add_user()
      for _, mode in ipairs { "implicit", "starttls" } do
        local pop, err = pop3.connect(options_for(user, mode, { ssl = {} }))
        assert.is_nil(pop)
        assert.equal("tls", err.kind)
      end
    end)

    real("refuses what cannot be sent", function()
      local user = server:add_user()
      for _, bad in ipairs { "a\r\nDELE 1", "a\0b", "a\n" } do
        local pop, err = pop3.connect(options_for(user, "none", { user = bad, mechanism = "USER" }))
        assert.is_nil(pop)
        assert.equal("invalid", err.kind)
      end
    end)
  end)

  describe("POP3 messages", function()
    real("come byte for byte when 200 are asked for ahead", function()
      local user, texts = server:add_user(), {}
      local seed = 1
      for i = 1, 200 do
        seed = (seed * 1103515245 + 12345) % 2147483648
        texts[i] = ("Subject: %d\n\n"):format(i) .. (("." .. i .. "\nline\n"):rep(math.floor(seed / 65536) % 2000))
      end
      fill(user, texts)
      local pop, n = open(user), 0
      for m in pop:messages() do
        n = n + 1
        assert.equal(n, m.number)
        assert.is_string(m.uid)
        local text = crlf(texts[n])
        assert.equal(#text, m.size)
        assert.is_true(text == m:retr(), "message " .. n)
      end
      assert.equal(200, n)
      assert.equal(200, pop:stat().count)
      pop:quit()
    end)

    real("may be skipped, sunk, deleted and fetched twice on the way", function()
      local user, texts = server:add_user(), {}
      for i = 1, 40 do texts[i] = ("Subject: %d\n\n%s\n"):format(i, ("x"):rep(i * 50)) end
      fill(user, texts)
      local pop, n = open(user), 0
      for m in pop:messages() do
        n = n + 1
        local text = crlf(texts[n])
        if n % 4 == 0 then
          local pieces = {}
          assert.is_true(m:retr(function(piece) -- which returns nothing
            pieces[#pieces + 1] = piece or "end"
          end))
          assert.equal("end", table.remove(pieces))
          assert.equal(text, table.concat(pieces))
        elseif n % 4 == 1 then
          assert.equal(text, (m:retr()))
          assert.is_true(m:dele())
        elseif n % 4 == 2 then
          assert.equal(text, (m:retr()))
          assert.equal(text, (m:retr()))
          assert.equal(("Subject: %d\r\n\r\n"):format(n), (m:top(0)))
        end
      end
      assert.equal(40, n)
      assert.equal(30, pop:stat().count)
      assert.is_true(pop:quit())
      pop = open(user)
      assert.equal(30, pop:stat().count)
      pop:quit()
    end)

    real("may be fetched behind the loop's back, and a bad argument loses nothing", function()
      local user, texts = server:add_user(), {}
      for i = 1, 10 do texts[i] = ("Subject: %d\n\n%s\n"):format(i, ("x"):rep(i * 50)) end
      fill(user, texts)
      local pop, kept = open(user), {}
      for m in pop:messages() do
        kept[#kept + 1] = m
        assert.is_false((pcall(m.retr, m, 5)))
        assert.is_false((pcall(m.retr, m, { no = 1 })))
        assert.equal(crlf(texts[#kept]), (m:retr()))
        if #kept == 5 then assert.equal(crlf(texts[2]), (kept[2]:retr())) end
      end
      for i, m in ipairs(kept) do assert.equal(crlf(texts[i]), (m:retr { timeout = 20 })) end
      assert.equal(10, pop:stat().count)
      pop:quit()
    end)

    real("leave the session usable when the loop is left early", function()
      local user, texts = server:add_user(), {}
      for i = 1, 50 do texts[i] = ("Subject: %d\n\n%s\n"):format(i, ("x"):rep(5000)) end
      fill(user, texts)
      local pop = open(user)
      local it = pop:messages()
      for _ = 1, 3 do assert.is_truthy(it:next():retr()) end
      assert.is_true(it:close())
      assert.is_nil(it:next())
      assert.equal(50, pop:stat().count)
      assert.equal(crlf(texts[50]), (pop:retr(50)))
      pop:quit()
    end)

    real("are deleted by QUIT and by nothing else", function()
      local user = server:add_user()
      fill(user, SAMPLES)
      local pop = open(user)
      assert.is_true(pop:dele(1))
      pop:close()
      pop = open(user)
      assert.equal(4, pop:stat().count)
      assert.is_true(pop:dele(1))
      local again, err = pop:retr(1)
      assert.is_nil(again)
      assert.equal("rejected", err.kind)
      assert.equal("RETR", err.command)
      assert.is_string(err.text)
      assert.is_true(pop:quit())
      pop = open(user)
      assert.equal(3, pop:stat().count)
      pop:quit()
    end)

    real("go into a sink in bounded pieces", function()
      local user = server:add_user()
      fill(user, { "Subject: big\n\n" .. (("y"):rep(70) .. "\n"):rep(300000) })
      local pop = open(user)
      local size = assert(pop:list(1)).size
      local got, largest, ended = 0, 0, false
      assert.is_true(pop:retr(1, function(piece)
        if not piece then
          ended = true
          return 1
        end
        got = got + #piece
        if #piece > largest then largest = #piece end
        return 1
      end))
      assert.is_true(ended)
      assert.equal(size, got)
      assert.is_true(largest <= 524288, "pieces of " .. largest)
      pop:quit()
    end)

    real("stop when the sink does, and the session goes on", function()
      local user = server:add_user()
      fill(user, { "Subject: big\n\n" .. (("y"):rep(70) .. "\n"):rep(50000), SAMPLES[1] })
      local pop = open(user)
      local ok, err = pop:retr(1, function() return nil, "disk full" end)
      assert.is_nil(ok)
      assert.equal("io", err.kind)
      assert.matches("disk full", tostring(err))
      assert.equal(crlf(SAMPLES[1]), (pop:retr(2)))
      if _VERSION ~= "Lua 5.1" or rawget(_G, "jit") then
        local fine, what = pcall(pop.retr, pop, 1, function() error("a bug in the sink", 0) end)
        assert.is_false(fine)
        assert.equal("a bug in the sink", what)
        assert.equal(crlf(SAMPLES[1]), (pop:retr(2)))
      end
      pop:quit()
    end)

    real("pass a limit as an error of kind limit", function()
      local user = server:add_user()
      fill(user, { "Subject: big\n\n" .. (("y"):rep(70) .. "\n"):rep(5000) })
      local pop = open(user, "none", { limits = { message = 1000 } })
      local body, err = pop:retr(1)
      assert.is_nil(body)
      assert.equal("limit", err.kind)
      assert.matches("limit passed: message %(.* take it by a sink, or raise limits.message", tostring(err))
      body, err = pop:noop()
      assert.is_nil(body)
      assert.equal("closed", err.kind)
    end)

    real("pass a limit of their own in a sink, too", function()
      local user = server:add_user()
      fill(user, { "Subject: big\n\n" .. (("y"):rep(70) .. "\n"):rep(5000) })
      local function sunk(limits)
        local pop, octets = open(user, "none", { limits = limits }), 0
        local ok, err = pop:retr(1, function(piece) octets = octets + #(piece or "") end)
        pop:close()
        return ok or err.kind, octets
      end
      local refused, octets = sunk { message = 1000 }
      assert.equal("limit", refused)
      assert.is_true(octets <= 1000)
      assert.equal(true, (sunk { message = 1000, stream = 0 }))
      assert.equal(true, (sunk { line = 1000 }))
    end)

    real("come to several coroutines of one session", function()
      local user, texts = server:add_user(), {}
      for i = 1, 20 do texts[i] = ("Subject: %d\n\n%s\n"):format(i, ("x"):rep(i * 997)) end
      fill(user, texts)
      local pop, right = open(user), 0
      loop.run(function()
        local tasks = {}
        for i = 1, 20 do
          tasks[i] = loop.spawn(function()
            if assert(pop:retr(i)) == crlf(texts[i]) then right = right + 1 end
          end)
        end
        for _, task in ipairs(tasks) do task:join() end
      end)
      assert.equal(20, right)
      pop:quit()
    end)
  end)

  describe("POP3 mail that stays on the server", function()
    -- The subjects of what is new, and the set to save.
    local function session(user, seen, options)
      local pop, subjects = open(user), {}
      local new = pop:new_messages(seen, options)
      local m, err = new:next()
      while m do
        subjects[#subjects + 1] = assert(m:retr()):match "^Subject: (%S+)"
        m, err = new:next()
      end
      assert.is_nil(err)
      assert.is_true(pop:quit())
      return table.concat(subjects, " "), new.seen, new.deleted
    end

    local function many(from, to)
      local texts = {}
      for i = from, to do texts[#texts + 1] = ("Subject: %d\n\n%s\n"):format(i, ("x"):rep(i * 31)) end
      return texts
    end

    real("comes once, and is deleted when its time is over", function()
      local user = server:add_user()
      fill(user, many(1, 30))
      local subjects, seen = session(user)
      assert.matches("^1 2 3 .* 29 30$", subjects)
      local n = 0
      for uid, since in pairs(seen) do
        n = n + 1
        assert.is_string(uid)
        assert.is_true(since <= os.time() and since > os.time() - 600)
        if n <= 10 then seen[uid] = since - 3 * 86400 end
      end
      assert.equal(30, n)
      assert.equal("", (session(user, seen)))
      local none, left, deleted = session(user, seen, { delete_after = 2 })
      assert.equal("", none)
      assert.equal(10, #deleted)
      for _, uid in ipairs(deleted) do assert.is_number(left[uid]) end -- until the server lists them no more
      none, left = session(user, left)
      assert.equal("", none)
      n = 0
      for _ in pairs(left) do n = n + 1 end
      assert.equal(20, n)
      local pop = open(user)
      assert.equal(20, pop:stat().count)
      pop:quit()
    end)

    real("is deleted behind the loop with delete_after = 0, and by QUIT alone", function()
      local user = server:add_user()
      fill(user, many(1, 12))
      local pop = open(user)
      local new = pop:new_messages(nil, { delete_after = 0 })
      for _ = 1, 5 do assert.is_string((new:next():retr())) end
      new:close()
      pop:close() -- no QUIT
      local n = 0
      for _ in pairs(new.seen) do n = n + 1 end
      assert.equal(4, n)
      local subjects, _, deleted = session(user, new.seen, { delete_after = 0 })
      assert.equal("5 6 7 8 9 10 11 12", subjects)
      assert.equal(12, #deleted)
      pop = open(user)
      assert.equal(0, pop:stat().count)
      pop:quit()
    end)
  end)
end

for _, kind in ipairs(KINDS) do suite(kind) end
