-- The servers that the other specs stand on: they start, serve over verified TLS, stop, and leave nothing behind.
-- openssl s_client is the mail client here, so that nothing of lua-mail is needed to trust these.
local servers = require "spec.servers"
local Keeper = require "spec.servers.keeper"

local function talk(s, port, script, options)
  local ok, out = Keeper.shell(string.format(
    "printf '%s' | openssl s_client -quiet -ign_eof -verify_return_error -verify_hostname localhost -CAfile %s "
    .. "-connect %s:%d %s", script, s.ca_file, s.host, port, options or ""))
  return ok, out
end

local function need(s, why)
  if not s then pending(why) end
  return s
end

local function plain_base64(user, password)
  local _, out = Keeper.shell(string.format("printf '\\0%s\\0%s' | openssl base64", user, password))
  return out
end

local function alive(pid) return (Keeper.shell("kill -0 " .. pid)) end

describe("servers of the suite", function()
  it("serve IMAP and POP3 over TLS that verifies", function()
    local s = need(servers.dovecot())
    if not s then return end
    local user = s:add_user()
    assert.is_true((s:save(user, "Subject: hello\r\n\r\nbody\r\n")))
    local ok, imap = talk(s, s.ports.imaps,
      "a LOGIN " .. user.name .. " secret\\r\\nb STATUS INBOX (MESSAGES)\\r\\nc LOGOUT\\r\\n")
    assert.is_true(ok)
    assert.matches("MESSAGES 1", imap)
    local _, pop3 = talk(s, s.ports.pop3, "USER " .. user.name .. "\\r\\nPASS secret\\r\\nRETR 1\\r\\nQUIT\\r\\n",
      "-starttls pop3")
    assert.matches("Subject: hello", pop3)
  end)

  it("know a new user at once, and refuse a wrong password without delay", function()
    local s = need(servers.dovecot())
    if not s then return end
    for _ = 1, 3 do
      local user = s:add_user()
      local _, out = talk(s, s.ports.imaps, "a LOGIN " .. user.name .. " secret\\r\\nb LOGOUT\\r\\n")
      assert.matches("a OK", out)
      _, out = talk(s, s.ports.imaps, "a LOGIN " .. user.name .. " wrong\\r\\nb LOGOUT\\r\\n")
      assert.matches("a NO %[AUTHENTICATIONFAILED%]", out)
    end
  end)

  it("show every bad certificate as what it is", function()
    for _, name in ipairs { "expired", "not_yet", "wrong_host", "foreign", "self_signed", "wrong_purpose",
        "chain_incomplete" } do
      local s = need(servers.dovecot { certificate = name, private = true })
      if not s then return end
      assert.is_false((talk(s, s.ports.imaps, "a LOGOUT\\r\\n", "-purpose sslserver")), name)
      s:close()
    end
    local s = need(servers.dovecot { certificate = "chain", private = true })
    if not s then return end
    assert.is_true((talk(s, s.ports.imaps, "a LOGOUT\\r\\n", "-purpose sslserver")))
    s:close()
  end)

  it("let a client certificate log in by EXTERNAL", function()
    local s = need(servers.dovecot { client_certificate = true, private = true })
    if not s then return end
    local c = servers.certificates()
    local script = "a AUTHENTICATE EXTERNAL =\\r\\nb LOGOUT\\r\\n"
    local _, out = talk(s, s.ports.imaps, script, "-cert " .. c.client.cert .. " -key " .. c.client.key)
    assert.matches("a OK", out)
    _, out = talk(s, s.ports.imaps, script)
    assert.matches("a NO", out)
    s:close()
  end)

  it("deliver what SMTP takes into the mailbox that IMAP shows", function()
    local s = need(servers.mail())
    if not s then return end
    local user = s:add_user()
    local mail = "EHLO x\\r\\n%sMAIL FROM:<a@b.example>\\r\\nRCPT TO:<" .. user.address .. ">\\r\\nDATA\\r\\n"
      .. "Subject: through\\r\\n\\r\\nbody\\r\\n.\\r\\nQUIT\\r\\n"
    local auth = "AUTH PLAIN " .. plain_base64(user.name, user.password) .. "\\r\\n"
    local _, out = talk(s, s.ports.submissions, mail:format(auth))
    assert.matches("221", out)
    for _ = 1, 200 do -- Exim has answered before LMTP has; a mailbox is the only bell it rings
      _, out = s:doveadm { "-f", "flow", "fetch", "-u", user.name, "hdr.subject", "mailbox", "INBOX", "all" }
      if out:find "through" then break end
    end
    assert.matches("through", out)
  end)

  it("take mail as an MX, refuse strangers, and keep mail for elsewhere on this machine", function()
    local s = need(servers.exim())
    if not s then return end
    local user = s:add_user()
    local _, out = talk(s, s.ports.submissions, "EHLO x\\r\\nAUTH PLAIN " .. plain_base64(user.name, "secret")
      .. "\\r\\nMAIL FROM:<a@b.example>\\r\\nRCPT TO:<" .. user.name .. "+tag@example.test>\\r\\n"
      .. "RCPT TO:<nosuchuser@example.test>\\r\\nRCPT TO:<tempfail@example.test>\\r\\nRCPT TO:<who@elsewhere.example>"
      .. "\\r\\nDATA\\r\\nSubject: both\\r\\n\\r\\n.\\r\\nQUIT\\r\\n")
    assert.matches("\n550 5.1.1", out)
    assert.matches("\n450 4.2.0", out)
    assert.matches("Subject: both", s:messages(user, 1)[1])
    assert.matches("Envelope%-to: who@elsewhere.example", s:messages(s.elsewhere, 1)[1])
    _, out = talk(s, s.ports.submissions, "EHLO x\\r\\nMAIL FROM:<a@b.example>\\r\\nRCPT TO:<" .. user.address
      .. ">\\r\\nQUIT\\r\\n")
    assert.matches("\n530 5.7.0", out)
  end)

  it("serve Cyrus with all that it can do, to users who come with their mailboxes", function()
    local s = need(servers.cyrus())
    if not s then return end
    local user = s:add_user()
    local login = "a LOGIN " .. user.name .. " secret\\r\\n"
    local _, out = talk(s, s.ports.imaps, login .. "b LIST \"\" *\\r\\nc LOGOUT\\r\\n")
    for name in ("CONDSTORE QRESYNC METADATA OBJECTID CATENATE SORT ESORT URLAUTH COMPRESS=DEFLATE"):gmatch "%S+" do
      assert.is_truthy(out:find(" " .. name .. " ", 1, true), name)
    end
    assert.matches('LIST %(\\HasNoChildren \\archive%) "/" Archive', out)
    assert.is_true((s:save(user, "Subject: hello\r\n\r\nbody\r\n")))
    assert.is_true((s:save(user, "Subject: filed\r\n\r\nbody\r\n", "Archive")))
    _, out = talk(s, s.ports.imap, login:gsub("^a", "x") .. "b STATUS Archive (MESSAGES)\\r\\nc LOGOUT\\r\\n",
      "-starttls imap")
    assert.matches("STATUS Archive %(MESSAGES 1%)", out)
    _, out = talk(s, s.ports.pop3s, "USER " .. user.name .. "\\r\\nPASS secret\\r\\nRETR 1\\r\\nQUIT\\r\\n")
    assert.matches("Subject: hello", out)
    _, out = talk(s, s.ports.imaps, "a LOGIN " .. user.name .. " wrong\\r\\nb LOGOUT\\r\\n")
    assert.matches("a NO", out)
    _, out = talk(s, s.ports.imaps, "a LOGIN cyrus secret\\r\\nb SETQUOTA user/" .. user.name
      .. " (STORAGE 100)\\r\\nc LOGOUT\\r\\n")
    assert.matches("b OK", out)
  end)

  it("run under one user without rights, also where one is shown root's, and leave no process", function()
    for _, name in ipairs { "postfix", "opensmtpd" } do
      local s = need(servers[name] { private = true })
      if not s then return end
      local ours = "for p in /proc/[0-9]*; do ! grep -qs " .. s.folder .. " $p/maps || "
        .. "sed -n 's/^Uid:\t//p' $p/status; done"
      local _, users = Keeper.shell(ours)
      local n, uid = 0, tostring(s.keeper.uid)
      for real, effective, saved in users:gmatch "(%d+)\t(%d+)\t(%d+)" do
        n = n + 1
        assert.same({ uid, uid, uid }, { real, effective, saved })
      end
      assert.is_true(n >= 5, name .. " has " .. n .. " processes")
      s:close()
      _, users = Keeper.shell(ours)
      assert.equal("", users)
    end
  end)

  it("stop and come back on the same ports with the same mail", function()
    local s = need(servers.dovecot { private = true })
    if not s then return end
    s:save(s.users[1], "Subject: kept\r\n\r\n")
    local script = "a LOGIN user1 secret\\r\\nb STATUS INBOX (MESSAGES)\\r\\nc LOGOUT\\r\\n"
    s:stop()
    assert.is_false((talk(s, s.ports.imaps, script)))
    assert.is_true(s:start())
    local _, out = talk(s, s.ports.imaps, script)
    assert.matches("MESSAGES 1", out)
    s:close()
  end)

  it("raise with what they wrote where they do not start, and are not waited for twice", function()
    if not need(servers.dovecot()) then return end
    local ok, why = pcall(servers.dovecot, { extra = "no_such_setting = yes" })
    assert.is_false(ok)
    assert.matches("^Dovecot did not start: ", why)
    assert.matches("Unknown setting: no_such_setting", why)
    local again, reason = pcall(servers.dovecot, { extra = "no_such_setting = yes" })
    assert.is_false(again)
    assert.equal(why, reason) -- the same, down to the folder that it names
  end)

  it("are unpacked anew where a file of theirs has gone, or a library of this machine", function()
    local name = "proxies"
    if not Keeper.shell("test -e " .. Keeper.root .. "/build/servers/" .. name .. "/complete") then
      return pending "the proxies were not unpacked here"
    end
    local _, folder = Keeper.shell "mktemp -d"
    local function run(command)
      local ok, out = Keeper.shell(("cd %s && %s"):format(folder, command))
      assert.is_true(ok, out)
      return out
    end
    -- Nothing is fetched: an apt-get that has nothing comes first.
    local function unpack() return run("PATH=$PWD/bin:$PATH sh spec/servers/unpack.sh " .. name) end
    run(("mkdir -p bin spec build/servers && cp -r %s/spec/servers spec && cp -a %s/build/servers/%s build/servers")
      :format(Keeper.root, Keeper.root, name))
    run "printf '#!/bin/sh\\necho nothing is to be had; exit 1\\n' > bin/apt-get && chmod 755 bin/apt-get"
    assert.equal("", unpack())
    run("sed 's/^\\([^ ]*libc\\.[^ ]*\\) .*/\\1 0 0/' build/servers/proxies.uses > uses"
      .. " && mv uses build/servers/proxies.uses && grep -q ' 0 0$' build/servers/proxies.uses")
    assert.equal("", unpack()) -- another libc than before is looked at, and good enough
    run "! grep -q ' 0 0$' build/servers/proxies.uses"
    run "mv build/servers/proxies/usr/bin/microsocks ."
    local out = unpack()
    assert.matches("proxies under build/servers is stale, without ./usr/bin/microsocks", out, 1, true)
    assert.matches("proxies cannot be unpacked anew (nothing is to be had)", out, 1, true)
    run "mv microsocks build/servers/proxies/usr/bin && rm build/servers/proxies.files"
    -- a program that is linked with what is nowhere
    run "sed 's/libssl\\.so\\./libnone.so/' \"$(command -v openssl)\" > build/servers/proxies/usr/bin/other"
    run "chmod 755 build/servers/proxies/usr/bin/other"
    assert.matches("stale, without libnone.so", unpack(), 1, true)
    Keeper.shell("rm -rf " .. folder)
  end)

  it("leave no process and no folder behind when the program that started them is killed", function()
    if not need(servers.dovecot()) then return end
    local script = Keeper.root .. "/spec/servers/killed.lua"
    local _, out = Keeper.shell("cd " .. Keeper.root .. " && LUA_PATH='./?.lua;./?/init.lua;;' "
      .. (os.getenv "LM_LUA" or "lua5.4") .. " " .. script)
    local folder, pid = out:match "^(/%S+) (%d+)"
    assert.is_string(folder)
    local ended = Keeper.shell(string.format(
      "i=0; while [ -e %s ] || kill -0 %s 2>/dev/null; do sleep 0.01; i=$((i+1)); [ $i -lt 1000 ] || exit 1; done",
      folder, pid))
    assert.is_true(ended)
    assert.is_false(alive(pid))
  end)
end)
