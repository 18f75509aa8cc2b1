-- The examples as a shell user runs them, and the code blocks of README.md, all against real servers.
local mail = require "mail"
local servers = require "spec.servers"
local Keeper = require "spec.servers.keeper"

local quote = Keeper.quote

-- The interpreter that runs this suite, which runs the examples, too.
local function interpreter()
  local i = 0
  while arg[i - 1] do i = i - 1 end
  return arg[i]
end

local server, missing = servers.mail {}

local function real(name, fn)
  it(name, function()
    if not server then return pending(missing) end
    fn()
  end)
end

-- Without a terminal to ask for a password at, and never for ever; where the system has these tools.
local DETACHED = Keeper.shell "command -v setsid" and "setsid " or ""
local BOUNDED = Keeper.shell "command -v timeout" and "timeout 120 " or ""

-- In a sanitized run the interpreter of an example needs the sanitizer in front, too (spec/tools/unpreload.c).
local function sanitizer()
  local maps = package.cpath:find("/build/asan/", 1, true) and io.open "/proc/self/maps"
  local library = maps and maps:read("*a"):match "(/%S*/libasan%.so%S*)"
  if maps then maps:close() end
  if not library then return "" end
  return "env LD_PRELOAD=" .. library .. ":" .. package.cpath:match "(/[^;]*/build/asan/)" .. "unpreload.so "
end

local EXAMPLES = { "send", "inbox", "watch", "pop3_download", "many_mailboxes", "filter", "newsletter",
  "dump_message", "extract_attachments" }
local MESSAGE = "From: Ann <ann@example.test>\r\nTo: bob@example.test\r\n"
  .. "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n.dots\r\n"

-- --- running ----------------------------------------------------------------------------------------

local folder, count

local function file_with(text)
  count = count + 1
  local path = folder .. "/file" .. count
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return text
end

-- The words of a shell command for an example. Nothing of the caller's own mail settings reaches it.
local function command(example, arguments, environment)
  local words = { "env -u MAIL_HOST -u MAIL_PORT -u MAIL_TLS -u MAIL_USER -u MAIL_PASSWORD -u MAIL_CA_FILE" }
  local settings = { LUA_PATH = package.path, LUA_CPATH = package.cpath, LUA_INIT = "" }
  for name, value in pairs(environment or {}) do settings[name] = value end
  for name, value in pairs(settings) do words[#words + 1] = name .. "=" .. quote(value) end
  words[#words + 1] = BOUNDED .. sanitizer() .. quote(interpreter()) .. " examples/" .. example .. ".lua"
  for _, argument in ipairs(arguments) do words[#words + 1] = quote(tostring(argument)) end
  return table.concat(words, " ")
end

-- Runs it to its end: exit status, stdout, stderr.
local function run(example, arguments, environment, input)
  local out, err = folder .. "/out", folder .. "/err"
  local pipe = io.popen(DETACHED .. ("%s < %s > %s 2> %s; echo $?"):format(command(example, arguments, environment),
    input and quote(file_with(input)) or "/dev/null", quote(out), quote(err)))
  local status = tonumber(pipe:read "*a")
  pipe:close()
  return status, read(out), read(err)
end

-- Starts it and lets it run: { pid, out(), err(), wait() → status }.
local function start(example, arguments, environment)
  count = count + 1
  local base = folder .. "/run" .. count
  local pipe = io.popen(("(%s > %s.out 2> %s.err & echo $! > %s.pid; wait $!; echo $? > %s.status) > /dev/null 2>&1 &")
    :format(command(example, arguments, environment), base, base, base, base))
  pipe:close()
  local self = {}
  function self.out() return read(base .. ".out") end
  function self.err() return read(base .. ".err") end
  function self.status() return tonumber(read(base .. ".status")) end
  function self.signal(name) os.execute("kill -" .. name .. " " .. read(base .. ".pid")) end
  return self
end

-- Looks again and again, for 30 s at most; what the last look saw.
local function eventually(look)
  local give_up = mail.loop.now() + 30
  local seen = look()
  while not seen and mail.loop.now() < give_up do
    mail.loop.sleep(0.02)
    seen = look()
  end
  return seen
end

local function account(user, port, more)
  local environment = {
    MAIL_HOST = "localhost", MAIL_PORT = tostring(port), MAIL_TLS = "implicit", MAIL_USER = user.name,
    MAIL_PASSWORD = user.password, MAIL_CA_FILE = server.ca_file,
  }
  for name, value in pairs(more or {}) do environment[name] = value end
  return environment
end

-- --- the examples -----------------------------------------------------------------------------------

describe("examples", function()
  setup(function()
    folder, count = os.tmpname(), 0
    os.remove(folder)
    assert(Keeper.shell("mkdir " .. quote(folder)))
  end)
  teardown(function() Keeper.shell("rm -rf " .. quote(folder)) end)

  for _, example in ipairs(EXAMPLES) do
    it(example .. " tells how it is used", function()
      local status, out, err = run(example, { "--help" })
      assert.are.equal(0, status)
      assert.matches("^usage: " .. example .. "%.lua", out)
      assert.are.equal("", err)
      assert.is_nil(out:find "ACCOUNT\n")
    end)

    it(example .. " refuses an option that it does not know", function()
      local status, out, err = run(example, { "--colour", "red" })
      assert.are.equal(2, status)
      assert.are.equal("", out)
      assert.are.equal(example .. ".lua: unexpected '--colour'; see --help\n", err)
    end)
  end

  for example, words in pairs { send = {}, inbox = {}, watch = {}, pop3_download = { "." } } do
    it(example .. " wants a server and a password, and says so in one line", function()
      local status, _, err = run(example, words)
      assert.are.equal(2, status)
      assert.matches("^[%w_]+%.lua: no server: [^\n]*\n$", err)
      status, _, err = run(example, words, { MAIL_HOST = "localhost", MAIL_USER = "ann" })
      assert.are.equal(2, status)
      assert.matches("^[%w_]+%.lua: no password: [^\n]*\n$", err)
    end)

    real(example .. " says in one line that the password is wrong", function()
      local ports = { send = server.ports.exim_submissions, pop3_download = server.ports.pop3s }
      local user = server:add_user()
      local status, out, err = run(example, words, account(user, ports[example] or server.ports.imaps,
        { MAIL_PASSWORD = "wr0ng" }), "Subject: x\n\n")
      assert.are.equal(1, status)
      assert.are.equal("", out)
      assert.matches("^[%w_]+%.lua: %w+ %u+: login failed: [^\n]*\n$", err)
      assert.is_nil(err:find("wr0ng", 1, true))
    end)
  end

  real("send.lua sends stdin by the header's recipients, and removes Bcc", function()
    local to, blind = server:add_user(), server:add_user()
    local status, out, err = run("send", {}, account(to, server.ports.exim_submissions),
      ("From: ann@example.test\nTo: %s\nBcc: %s\nSubject: one\n\n.dots\n"):format(to.address, blind.address))
    assert.are.equal("", err)
    assert.are.equal(0, status)
    assert.matches("accepted  " .. to.address .. "\naccepted  " .. blind.address .. "\nserver    [^\n]+\n$", out)
    local inbox = account(blind, server.ports.imaps)
    local _, text = run("inbox", { "--show", 1 }, inbox)
    assert.matches("Subject: one\r\n\r\n%.dots\r\n$", text)
    assert.is_nil(text:find "\nBcc:")
  end)

  real("send.lua tells who was refused: status 3 where some were, 1 where all were", function()
    local user = server:add_user()
    local environment = account(user, server.ports.exim_submission, { MAIL_TLS = "starttls" })
    local path = file_with(MESSAGE)
    local status, out, err = run("send", { "--from", "ann@example.test", "--to", user.address,
      "--to=nobody@example.test", path }, environment)
    assert.are.equal(3, status)
    assert.matches("^accepted  " .. user.address .. "\n", out)
    assert.matches("^rejected  nobody@example%.test  550 [^\n]*\n$", err)
    status, out, err = run("send", { "--to", "nobody@example.test", path }, environment)
    assert.are.equal(1, status)
    assert.are.equal("", out)
    assert.matches("\nsend%.lua: smtp RCPT: 550 [^\n]*\n$", err)
    status, out, err = run("send", { folder .. "/none" }, environment)
    assert.are.equal("", out)
    assert.are.equal(1, status)
    assert.matches("^send%.lua: [^\n]*none: No such file[^\n]*\n$", err)
  end)

  real("newsletter.lua writes to each by name, signed, and tells who was not reached", function()
    local one, two = server:add_user(), server:add_user()
    local letter = file_with("From: Änn <ann@example.test>\nSubject: Grüße, {{name}}\nX-Issue: 7\n\n"
      .. "Dear {{name}},\n.\n")
    local page = file_with "<p>Dear {{name}}"
    local list = file_with(("# the list\nÖne & Co <%s>\n\n%s\nnosuchuser@example.test\n"):format(
      one.address, two.address))
    local key = folder .. "/key.pem"
    assert(Keeper.shell("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out " .. quote(key)))
    local words = { "--html", page, "--unsubscribe", "https://example.test/leave?a={{address}}", "--dkim-domain",
      "example.test", "--dkim-selector", "s", "--dkim-key", key, letter, list }
    local status, out, err = run("newsletter", words, account(one, server.ports.exim_submissions))
    assert.are.equal(3, status)
    assert.matches("accepted  " .. one.address .. "\n", out)
    assert.matches("\n2 of 3 were accepted\n$", out)
    assert.matches("^failed    nosuchuser@example%.test  [^\n]+\n$", err)
    local _, text = run("inbox", { "--show", 1 }, account(one, server.ports.imaps))
    local m = mail.message.parse(text:match "(DKIM%-Signature: .*)$" or "")
    assert.matches("d=example%.test; s=s;", m:header "DKIM-Signature")
    assert.are.equal("Grüße, Öne & Co", m.subject)
    assert.are.equal("Dear Öne & Co,\n.\n", m:text())
    assert.are.equal("<p>Dear Öne &amp; Co", (m:html():gsub("\n$", "")))
    assert.are.equal("7", m:header "X-Issue")
    assert.matches("^<https://example%.test/leave%?a=.*%%40.*>$", m:header "List-Unsubscribe")
    status, out = run("newsletter", { "--dry-run", letter, list })
    assert.are.equal(0, status)
    assert.matches("^From: =%?UTF%-8%?", out)
  end)

  it("dump_message.lua shows the parts, the words and the defects of a message", function()
    local text = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n"
      .. "f\27[31mr\n--b\nContent-Type: image/png; name=\"a/../b.png\"\nContent-ID: <x@y>\n"
      .. "Content-Transfer-Encoding: base64\n\nAAAA\n--b\nContent-Type: message/rfc822\n\nSubject: inner\n\n"
    local status, out, err = run("dump_message", { "--headers", "--text" }, nil, text)
    assert.are.equal("", err)
    assert.are.equal(0, status)
    assert.matches("^ +%d+  multipart/mixed\n +7    text/plain\n +3    image/png  base64  \"a/%.%./b%.png\"  <x@y>\n"
      .. " +%d+    message/rfc822  \"inner\"\n +0      text/plain\n\nSubject: Grüße\n", out)
    assert.matches("\nf %[31mr\n", out)
    assert.matches("\noctet %d+: a boundary that is never closed\n$", out)
    assert.is_nil((select(2, run("dump_message", { "--no-defects" }, nil, text))):find "octet")
    status, out, err = run("dump_message", { folder .. "/none" })
    assert.are.equal("", out)
    assert.are.equal(1, status)
    assert.matches("^dump_message%.lua: [^\n]*none: No such file[^\n]*\n$", err)
  end)

  it("extract_attachments.lua saves under names that stay in the folder, and overwrites nothing", function()
    local to = folder .. "/attachments"
    assert(Keeper.shell("mkdir " .. quote(to)))
    local composed = assert(mail.message.new {
      from = "ann@example.test", text = "x", html = "<img src='cid:logo'>", attachments = {
        { name = "../../evil.txt", data = "one" }, { name = "evil.txt", data = "two" },
        { name = "logo.png", data = "png", cid = "logo" },
      },
    })
    local path = file_with(assert(composed:tostring()))
    local status, out = run("extract_attachments", { "--to", to, path })
    assert.are.equal(0, status)
    assert.are.equal(to .. "/evil.txt\n" .. to .. "/evil (1).txt\n", out)
    assert.are.equal("two", read(to .. "/evil (1).txt"))
    status, out = run("extract_attachments", { "--list", "--inline", "--type", "image/*", path })
    assert.are.equal(0, status)
    assert.matches("^image/png +3  logo%.png\n$", out)
    status, out = run("extract_attachments", { "--type", "video/*", "--to", to, path })
    assert.are.equal(3, status)
    assert.are.equal("", out)
  end)

  real("inbox.lua lists, and changes nothing", function()
    local user = server:add_user()
    server:save(user, MESSAGE)
    server:save(user, "From: x@example.test\r\nSubject: \27[31mred\r\n\r\n")
    local environment = account(user, server.ports.imaps)
    for _ = 1, 2 do
      local status, out, err = run("inbox", { "--unseen" }, environment)
      assert.are.equal("", err)
      assert.are.equal(0, status)
      assert.matches("^     1 N [%d%a ]+ Ann +Grüße\n     2 N [%d%a ]+ x@example%.test +[^\n\27]*red\n$", out)
    end
    local _, out = run("inbox", { "--count", "1" }, environment)
    assert.matches("^     2 N [^\n]*\n$", out)
    _, out = run("inbox", { "--show=1" }, environment)
    assert.are.equal(MESSAGE, out)
  end)

  real("inbox.lua says what is not there", function()
    local environment = account(server:add_user(), server.ports.imaps)
    local status, _, err = run("inbox", { "--mailbox", "Nowhere" }, environment)
    assert.are.equal(1, status)
    assert.matches("^inbox%.lua: imap EXAMINE: NO [^\n]*\n$", err)
    status, _, err = run("inbox", { "--show", "7" }, environment)
    assert.are.equal(1, status)
    assert.are.equal("inbox.lua: no message has UID 7\n", err)
    status, _, err = run("inbox", { "--count", "all" }, environment)
    assert.are.equal(2, status)
    assert.are.equal("inbox.lua: --count must be a whole number from 1 on\n", err)
  end)

  real("a server that nobody vouches for is not spoken to", function()
    local environment = account(server:add_user(), server.ports.imaps, { MAIL_CA_FILE = "" })
    local status, _, err = run("inbox", {}, environment)
    assert.are.equal(1, status)
    assert.matches("^inbox%.lua: imap: certificate verify failed[^\n]*\n$", err)
  end)

  real("pop3_download.lua fetches what is new, and deletes when asked", function()
    local user, to = server:add_user(), folder .. "/pop3"
    Keeper.shell("mkdir " .. quote(to))
    local environment = account(user, server.ports.pop3s)
    server:save(user, MESSAGE)
    local _, out = run("pop3_download", { to }, environment)
    assert.are.equal(("1 messages, 1 new (%d bytes)\n"):format(#MESSAGE), out)
    server:save(user, "Subject: two\r\n\r\n")
    _, out = run("pop3_download", { to, "--delete" }, environment)
    assert.are.equal("2 messages, 1 new (16 bytes), deleted on the server\n", out)
    _, out = run("pop3_download", { to }, environment)
    assert.are.equal("0 messages, 0 new (0 bytes)\n", out)
    local _, names = Keeper.shell("cd " .. quote(to) .. " && cat *.eml && ls")
    assert.are.equal(MESSAGE .. "Subject: two\r\n\r\n", names:match "^(.-\r\n)[^\r\n]*%.eml\n[^\r\n]*%.eml\n?$")
  end)

  real("pop3_download.lua stops where the folder is missing, and deletes nothing", function()
    local user = server:add_user()
    server:save(user, MESSAGE)
    local environment = account(user, server.ports.pop3s)
    local status, _, err = run("pop3_download", { folder .. "/missing", "--delete" }, environment)
    assert.are.equal(1, status)
    assert.matches("^pop3_download%.lua: [^\n]*No such file or directory\n$", err)
    local _, out = run("pop3_download", { folder }, environment)
    assert.matches("^1 messages, 1 new", out)
  end)

  real("many_mailboxes.lua looks into a hundred at once, and goes on past failures", function()
    local lines, user = { "# accounts", "" }, server:add_user()
    server:save(user, MESSAGE)
    local empty = server:add_user()
    local function url(name, password)
      return ("imaps://%s%s@localhost:%d/"):format(name, password, server.ports.imaps)
    end
    lines[3] = url(empty.name:gsub("^u", "%%75"), ":secret")
    for i = 1, 98 do lines[#lines + 1] = url(user.name, i % 2 == 0 and ":secret" or "") end
    lines[#lines + 1] = url(user.name, ":wrong")
    local status, out, err = run("many_mailboxes", { file_with(table.concat(lines, "\n") .. "\n") },
      { MAIL_CA_FILE = server.ca_file, MAIL_PASSWORD = "secret" })
    assert.are.equal(1, status)
    assert.matches("login failed", err)
    assert.matches("100 accounts in [%d.]+ s, 1 failed\n$", err)
    local _, full = out:gsub("    1      1  " .. user.name .. "@localhost:%d+ +Grüße\n", "")
    assert.are.equal(98, full)
    assert.matches("    0      0  %%75ser%d+@", out)
  end)

  local function url(user) return ("imaps://%s@localhost:%d/"):format(user.name, server.ports.imaps) end

  -- "INBOX 3 Lists 1" of a user, by an observer of its own.
  local function mailboxes_of(user)
    local imap = assert(mail.imap.connect { host = "localhost", port = server.ports.imaps, user = user.name,
      password = user.password, ssl = { ca_file = server.ca_file } })
    local words = {}
    for _, box in ipairs(assert(imap:list("*", { status = { "messages" } }))) do
      if box.status and box.status.messages > 0 then words[#words + 1] = box.name .. " " .. box.status.messages end
    end
    imap:logout()
    table.sort(words)
    return table.concat(words, " ")
  end

  real("filter.lua sorts two accounts by its rules, and what comes later, too", function()
    local work, home = server:add_user(), server:add_user()
    local environment = { MAIL_CA_FILE = server.ca_file, MAIL_PASSWORD = work.password }
    local function put(user, head, body) server:save(user, head .. "\r\n\r\n" .. (body or "x") .. "\r\n") end
    put(work, "From: a@example.test\r\nList-Id: <x.example.test>\r\nSubject: list")
    put(work, "From: b@example.test\r\nList-Id: <x.example.test>\r\nIn-Reply-To: <1@x>\r\nSubject: an answer")
    put(work, "From: builds@example.test\r\nSubject: 7 passed")
    put(work, "From: builds@example.test\r\nSubject: 8 failed")
    put(work, "From: c@example.test\r\nDate: Mon, 02 Nov 2020 12:00:00 +0000\r\nSubject: Invitation: tea")
    put(home, "From: x@shop.example\r\nSubject: your invoice")
    put(home, "From: x@books.example\r\nSubject: =?utf-8?q?Rechnung_f=C3=BCr_B=C3=BCcher?=")
    put(home, "From: x@books.example\r\nSubject: new books")
    put(home, "From: grandma@example.test\r\nSubject: hello")
    put(home, "From: y@example.test\r\nSubject: large", ("x"):rep(70) .. ("\r\n" .. ("x"):rep(98)):rep(51000))
    local status, out, err = run("filter", { "--once", "--dry-run", url(work), url(home) }, environment)
    assert.are.same({ 0, "" }, { status, err })
    assert.matches("work: mailing lists: 1\n", out)
    assert.are.equal("INBOX 5", mailboxes_of(work))
    status, out, err = run("filter", { "--once", url(work), url(home) }, environment)
    assert.are.same({ 0, "" }, { status, err })
    local lines = {}
    for line in out:gmatch "[^\n]+" do lines[#lines + 1] = line end
    table.sort(lines)
    assert.are.same({ "home: and marked as filed: 2", "home: bills are copied: 2", "home: family first: 1",
      "home: huge and not ours: 1", "home: the rest of the shops: 1", "work: builds that failed: 1",
      "work: builds that passed: 1", "work: mailing lists: 1", "work: meetings that are over: 1" }, lines)
    assert.are.equal("INBOX 2 Lists 1 Past 1", mailboxes_of(work))
    assert.are.equal("Bills 2 INBOX 3 Large 1 Shops 1", mailboxes_of(home))

    local watching = start("filter", { url(work), url(home) }, environment)
    assert.is_truthy(eventually(function()
      return watching.err():find "work: watching" and watching.err():find "home: watching"
    end))
    assert.are.equal("", watching.out())
    put(work, "From: a@example.test\r\nList-Id: <x.example.test>\r\nSubject: list")
    put(home, "From: x@shop.example\r\nSubject: offer")
    assert.is_truthy(eventually(function()
      return watching.out():find "mailing lists: 1\n" and watching.out():find "shops: 1\n"
    end))
    watching.signal "INT"
    assert.are.equal(130, eventually(watching.status))
    assert.are.equal("INBOX 2 Lists 2 Past 1", mailboxes_of(work))
    assert.are.equal("Bills 2 INBOX 3 Large 1 Shops 2", mailboxes_of(home))
  end)

  it("filter.lua wants two accounts", function()
    local status, _, err = run("filter", { "imaps://ann@localhost/" })
    assert.are.equal(2, status)
    assert.are.equal("filter.lua: which two accounts? see --help\n", err)
  end)

  it("many_mailboxes.lua names the line that is no URL", function()
    local status, _, err = run("many_mailboxes", { file_with "# x\nhttp://ann:secret@example.test/\n" })
    assert.are.equal(2, status)
    assert.matches("^many_mailboxes%.lua: [^\n]*:2: not like imaps://user:password@host\n$", err)
    status, _, err = run("many_mailboxes", {})
    assert.are.equal(2, status)
    assert.are.equal("many_mailboxes.lua: which file? see --help\n", err)
  end)

  real("watch.lua tells of arrivals, also of those during an outage", function()
    local own, why = servers.dovecot { private = true }
    if not own then return pending(why) end
    local user = own:add_user()
    own:save(user, "Subject: old\r\n\r\n")
    local watch = start("watch", { "--count", 3 },
      account(user, own.ports.imaps, { MAIL_CA_FILE = own.ca_file }))
    assert.is_truthy(eventually(function() return watch.err():find("watching mail.imap (localhost:", 1, true) end))
    own:save(user, MESSAGE)
    assert.is_truthy(eventually(function() return watch.out():find "\n" end))
    assert.matches("^     2  Ann +Grüße\n$", watch.out())
    own:save(user, "Subject: during\r\n\r\n")
    own:stop()
    assert.is_truthy(eventually(function() return watch.err():find("again in 1 s", 1, true) end))
    own:start()
    own:save(user, "Subject: after\r\n\r\n")
    assert.are.equal(0, eventually(watch.status))
    assert.matches("     3  +during\n     4  +after\n$", watch.out())
    own:close()
  end)

  it("game.lua tells how it is used, and what it lacks", function()
    local status, out, err = run("game/game", { "--help" })
    assert.are.equal(0, status)
    assert.matches("^usage: game%.lua", out)
    assert.are.equal("", err)
    local function complaint(words)
      local code, printed, said = run("game/game", words)
      assert.are.equal(2, code)
      assert.are.equal("", printed)
      return said
    end
    assert.are.equal("game.lua: which players? see --help\n", complaint {})
    assert.are.equal("game.lua: no servers: give --imap and --smtp; see --help\n",
      complaint { file_with "ann secret ann@example.test\n" })
    assert.matches("^game%.lua: [^\n]*:4: not like 'name password address'\n$",
      complaint { file_with "# players\n\nann secret ann@example.test\nbob\n" })
    assert.are.equal("game.lua: --budget must be a whole number from 1 on\n",
      complaint { "--budget", "0", file_with "x" })
  end)

  real("game.lua delivers letters into the game, frame by frame", function()
    local lines, first = {}, nil
    for i = 1, 3 do
      local user = server:add_user()
      first = first or user
      lines[i] = ("%s %s %s\n"):format(user.name, user.password, user.address)
    end
    local arguments = { "--imap", ("imaps://localhost:%d"):format(server.ports.imaps), "--smtp",
      ("smtps://localhost:%d"):format(server.ports.exim_submissions), "--user", first.name, "--seconds", 1,
      "--letters", 10, "--size", 500, "--budget", 500, file_with(table.concat(lines)) }
    local status, out, err = run("game/game", arguments,
      { MAIL_PASSWORD = first.password, MAIL_CA_FILE = server.ca_file })
    assert.are.equal("", err)
    assert.are.equal(0, status)
    for _, title in ipairs { "without mail", "3 players log in", "with mail" } do
      assert.matches(title .. ": %d+ frames, median [%d.]+ ms, 99 of 100 within ", out)
    end
    local written, sent, came = out:match "(%d+) letters written, (%d+) sent, (%d+) came into the game, the middle one"
    assert.are.equal(written, sent)
    assert.are.equal(written, came)
    assert.is_true(tonumber(written) > 0)
  end)

  real("watch.lua ends quietly by Ctrl-C", function()
    local watch = start("watch", {}, account(server:add_user(), server.ports.imaps))
    assert.is_truthy(eventually(function() return watch.err():find "watching" end))
    watch.signal "INT"
    assert.are.equal(130, eventually(watch.status))
    assert.is_nil(watch.err():find "traceback")
  end)
end)

-- --- README.md --------------------------------------------------------------------------------------

local function blocks()
  local list = {}
  for code in read("README.md"):gmatch "\n```lua\n(.-)\n```\n" do list[#list + 1] = code end
  return list
end

local pki -- certificates, once a block names some

-- A block as it stands, save that its example hosts are the servers of the suite. What it printed.
local function run_block(code, user)
  local out = {}
  local ports = { smtp = server.ports.exim_submissions, pop3 = server.ports.pop3s, imap = server.ports.imaps }
  local stand_in = {}
  for protocol, port in pairs(ports) do
    local function placed(options)
      local given, o = type(options) == "table" and options or { host = options }, {}
      assert(given.host:find(protocol .. ".example.com", 1, true) or given.host:find "^pop3?s://", given.host)
      for name, value in pairs(given) do o[name] = value end
      o.host, o.port, o.tls, o.ssl = "localhost", port, "implicit", { ca_file = server.ca_file }
      o.user, o.password = user.name, user.password
      return o
    end
    stand_in[protocol] = setmetatable({ placed = placed }, { __index = mail[protocol] })
    for _, call in ipairs { "connect", "pool", "watch", "account" } do
      stand_in[protocol][call] = function(options) return mail[protocol][call](placed(options)) end
    end
  end
  function stand_in.send(options)
    options.smtp = stand_in.smtp.placed(options.smtp)
    return mail.send(options)
  end
  setmetatable(stand_in, { __index = mail })
  local environment = setmetatable({
    require = function(name) return name == "mail" and stand_in or require(name) end,
    io = { lines = function()
      local n = 0
      return function()
        n = n + 1
        return n <= 100 and "imaps://" .. user.name .. ":secret@imap.example.com/" or nil
      end
    end },
    print = function(...)
      local words = { ... }
      for i = 1, select("#", ...) do words[i] = tostring(words[i]) end
      out[#out + 1] = table.concat(words, " "):gsub("\r?\n$", "")
    end,
  }, { __index = _G })
  code = code:gsub("bob@example%.org", user.address):gsub("cy@example%.net", "nobody@example.test")
  if code:find("mail.smime", 1, true) then
    pki = pki or require "spec.support.smime".new()
    code = code:gsub('"(%l+%.%l%l%l)"', function(name) return ("%q"):format(pki:path(name)) end)
  end
  local chunk
  if setfenv then -- luacheck: ignore
    chunk = assert(loadstring(code, "=README.md"))
    setfenv(chunk, environment) -- luacheck: ignore
  else
    chunk = assert(load(code, "=README.md", "t", environment))
  end
  chunk()
  return out, code
end

-- What tells a block by its code, and what it must print, line by line.
local EXPECTED = {
  { "mail.send {", "^taken for %S+@example%.test$", "^refused for nobody@example%.test 550 " },
  { "smtp:send {", "OK id=" },
  { "imap:idle {", "^1 messages$", "^1 %d+ bob@example%.org Grüße$", "^%d+$" },
  { "pop:messages()", "^%S+ %d+$" },
  { "m:message()", "^bob@example%.org Grüße %.dots$", "^Re: Grüße %d+$" },
  { "mail.smime.sign(", "^ann@example%.com true I agree%.$" },
  { '"accounts.txt"' },
  { "err.temporary", "^rejected SELECT nil Mailbox doesn't exist" },
  { "mail.smtp.pool", "^20 sent$" },
  { "mail.imap.watch", "^new %d+$" },
  { "mail.imap.account", "^1 Grüße$", "^1$" },
  { "mail.loop.step(", "^1 messages$" },
  { "mail.smtp.session()", "^greeting 0 220 nil mx%.example%.org ready$", "^EHLO client%.example%.net$", "^wait$" },
}
for _ = 1, 100 do table.insert(EXPECTED[7], "^user%d+ 1$") end

describe("README.md", function()
  teardown(function() if pki then pki:remove() end end)

  it("has the blocks that are tested here, and no other", function()
    local list = blocks()
    assert.are.equal(#EXPECTED, #list)
    for i, code in ipairs(list) do assert.is_truthy(code:find(EXPECTED[i][1], 1, true), code) end
  end)

  for i, expected in ipairs(EXPECTED) do
    real("shows code that runs: " .. expected[1], function()
      local user = server:add_user()
      server:save(user, (MESSAGE:gsub("Ann <ann@example.test>", "bob@example.org")))
      local out, code = run_block(blocks()[i], user)
      assert.are.equal(#expected - 1, #out, table.concat(out, "\n"))
      for n, line in ipairs(out) do assert.matches(expected[n + 1], line) end
      local n = 0
      for promised in code:gmatch "%-%-> ([^\n]*)" do
        n = n + 1
        assert.are.equal(promised, out[n])
      end
    end)
  end
end)
