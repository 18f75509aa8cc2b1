-- Maildir: delivery, flags, folders, names from outside, failures; and beside Dovecot in the same folders.
local child = require "spec.support.child"
local core = require "mail.core"
local mail = require "mail"
local mailbox = require "spec.support.mailbox"
local files = require "spec.support.files"

local dovecot, missing = mailbox.server()
local real = mailbox.real(it, pending, dovecot, missing)

local TEXT = "From: ann@example.com\nSubject: one\n\nHello\n"

local read, shell, write = files.read, files.shell, files.write

local function count(path) return tonumber(shell("ls -A '" .. path .. "' | wc -l")) end

local function all(box)
  local list = {}
  for m in box:messages() do list[#list + 1] = m end
  return list
end

describe("mail.maildir", function()
  local root, box

  before_each(function()
    root = shell("mktemp -d"):gsub("\n", "")
    box = assert(mail.maildir.open(root .. "/box", { create = true }))
  end)
  after_each(function() os.execute("rm -rf '" .. root .. "'") end)

  it("raises at the caller's line where a message should go nowhere", function()
    local key = assert(box:add "x")
    for _, name in ipairs { "move", "copy" } do
      local ok, why = pcall(function() local made = box[name](box, key); return made end)
      assert.is_false(ok)
      assert.matches("maildir_spec%.lua:%d+: maildir: a Maildir", why)
    end
  end)

  it("delivers to new by way of tmp", function()
    local key = assert(box:add(TEXT))
    assert.equal(TEXT, read(root .. "/box/new/" .. key))
    assert.equal(0, count(root .. "/box/tmp"))
    assert.truthy(key:find(",S=" .. #TEXT, 1, true))
    local m = all(box)[1]
    assert.equal(key, m.key)
    assert.is_true(m.new)
    assert.equal(#TEXT, m.size)
    assert.same({}, m.flags)
    assert.equal(TEXT, m:string())
    local file = assert(m:open())
    assert.equal(TEXT, file:read "*a")
    file:close()
    assert.equal(root .. "/box/new/" .. key, m.path)
  end)

  it("takes strings, files, sources and objects, NUL and CRLF as they are", function()
    local bytes = "a\0b\r\nc\n" .. ("x"):rep(200000)
    write(root .. "/m", bytes)
    local file = assert(io.open(root .. "/m", "rb"))
    local pieces, i = { bytes:sub(1, 5), "", bytes:sub(6) }, 0
    local function source()
      i = i + 1
      return pieces[i]
    end
    local keys = { box:add(bytes), box:add(file), box:add(source), box:add(box:get(box:add(bytes))) }
    file:close()
    assert.equal(4, #keys)
    for _, key in ipairs(keys) do assert.equal(bytes, box:get(key):string()) end
    assert.has_error(function() box:add(7) end)
    assert.has_error(function() box:add("x", { flag = {} }) end)
  end)

  it("keeps flags in names", function()
    local key = assert(box:add(TEXT, { flags = { "\\Seen", "\\Draft" } }))
    local m = assert(box:get(key))
    assert.same({ ["\\Seen"] = true, ["\\Draft"] = true }, m.flags)
    assert.equal(key .. ":2,DS", m.path:match "[^/]+$")
    assert.same({ ["\\Seen"] = true, ["\\Flagged"] = true },
      m:set_flags { add = { "\\flagged" }, remove = { ["\\Draft"] = true } })
    assert.equal(TEXT, m:string())
    assert.same({ ["\\Answered"] = true, a = true }, box:set_flags(key, "Ra"))
    assert.equal(key .. ":2,Ra", box:get(key).path:match "[^/]+$")
    assert.same({ a = true }, assert(box:set_flags(key, { remove = "R" })))
    local _, err = box:set_flags(key, { add = { "/../x" } })
    assert.equal("invalid", err.kind)
    _, err = box:add(TEXT, { flags = { "$Work" } })
    assert.equal("invalid", err.kind)
    assert.matches('"$Work" cannot be kept as a flag: a Maildir has \\Seen', tostring(err), 1, true)
    assert.same({ ["\\Flagged"] = true }, assert(box:set_flags(key, { flags = "\\Flagged" })))
    local fetched = { ["\\Seen"] = true, ["\\Recent"] = true } -- as a message of IMAP has them
    assert.same({ ["\\Seen"] = true }, assert(box:set_flags(key, { flags = fetched })))
    assert.equal(1, #all(box))
    assert.equal(0, count(root .. "/box/tmp"))
  end)

  it("follows a message that another program renames", function()
    local key = assert(box:add(TEXT))
    local m = all(box)[1]
    os.rename(m.path, root .. "/box/cur/" .. key .. ":2,FT")
    assert.equal(TEXT, m:string())
    assert.same({ ["\\Flagged"] = true, ["\\Deleted"] = true }, m.flags)
    os.rename(m.path, root .. "/box/cur/" .. key .. ":2,R")
    assert.same({ ["\\Answered"] = true, ["\\Seen"] = true }, m:set_flags { add = "S" })
    assert.is_true(m:remove())
    local _, err = m:string()
    assert.equal("missing", err.reason)
    assert.is_nil(m.size)
    _, err = m:set_flags "S"
    assert.equal("missing", err.reason)
  end)

  it("moves and copies between folders, with flags", function()
    local folder = assert(box:folder("Lists/Entwürfe", { create = true }))
    assert.equal(root .. "/box/.Lists.Entw&APw-rfe", folder.path)
    assert.same({ "Lists/Entwürfe" }, (box:folders()))
    local first, second = assert(box:add(TEXT, { flags = "F" })), assert(box:add(TEXT))
    local there = assert(box:move(first, "Lists/Entwürfe"))
    assert.same({ ["\\Flagged"] = true }, folder:get(there).flags)
    assert.equal("missing", select(2, box:get(first)).reason)
    assert(box:copy(second, folder))
    assert.equal(2, #all(folder))
    assert.equal(TEXT, box:get(second):string())
    assert.equal(box, folder:folder "inbox")
    assert.equal("missing", select(2, box:folder "Lists").reason)
    assert.equal("missing", select(2, box:move(second, "Nowhere")).reason)
  end)

  it("renames a folder with those below it, and removes one with its messages", function()
    for _, name in ipairs { "Lists", "Lists/Lua", "Listserver" } do
      assert(assert(box:folder(name, { create = true })):add(TEXT))
    end
    assert.is_true(box:rename_folder("Lists", "Kept/Entwürfe"))
    assert.same({ "Kept/Entwürfe", "Kept/Entwürfe/Lua", "Listserver" }, (box:folders()))
    assert.equal(TEXT, all(box:folder "Kept/Entwürfe/Lua")[1]:string())
    assert.equal("exists", select(2, box:rename_folder("Listserver", "Kept/Entwürfe")).reason)
    assert.equal("missing", select(2, box:rename_folder("Lists", "Other")).reason)
    assert.is_true(box:remove_folder "Kept/Entwürfe")
    assert.same({ "Kept/Entwürfe/Lua", "Listserver" }, (box:folders()))
    assert.equal("missing", select(2, box:remove_folder "Lists").reason)
    for _, name in ipairs { "INBOX", "../box", "a.b", "" } do
      assert.equal("invalid", select(2, box:remove_folder(name)).kind, name)
      assert.equal("invalid", select(2, box:rename_folder("Listserver", name)).kind, name)
    end
  end)

  it("lists folders in the encoding that it was opened with, and names the others", function()
    local plain = assert(mail.maildir.open(root .. "/box", { names = "utf8" }))
    assert(plain:folder("Müll", { create = true }))
    local names, foreign = box:folders()
    assert.same({}, names)
    assert.same({ ".Müll" }, foreign)
    assert.same({ "Müll" }, (plain:folders()))
  end)

  it("never leaves its directory, whatever the names", function()
    assert(box:add(TEXT))
    write(root .. "/secret", "secret")
    for _, key in ipairs { "../../secret", "..", ".", "", "/etc/passwd", "a/b", "a\0b", ".x", "a:2,S" } do
      for _, call in ipairs { "get", "remove", "set_flags", "move", "copy" } do
        local result, err = box[call](box, key, call == "set_flags" and "S" or "INBOX")
        assert.is_nil(result)
        assert.equal("invalid", err.kind)
      end
    end
    for _, name in ipairs { "", "..", "../x", "a/../b", "a.b", "/a", "a/", "a//b", "a\0b", "a\nb", "\255" } do
      local result, err = box:folder(name, { create = true })
      assert.is_nil(result)
      assert.equal("invalid", err.kind)
    end
    assert.equal(2, count(root))
    local _, err = box:folder(("x"):rep(300), { create = true })
    assert.equal("io", err.kind)
  end)

  it("follows no links and waits for no pipes", function()
    write(root .. "/secret", "secret")
    os.execute(("ln -s '%s/secret' '%s/box/new/link'; mkfifo '%s/box/new/pipe'"):format(root, root, root))
    local list = all(box)
    assert.equal(2, #list)
    for _, m in ipairs(list) do
      local text, err = m:string()
      assert.is_nil(text)
      assert.equal("io", err.kind)
      assert.is_nil((m:open()))
    end
  end)

  it("passes over what is no message, and cleans tmp after 36 hours", function()
    write(root .. "/box/cur/.hidden", "x")
    write(root .. "/box/tmp/old", "x")
    write(root .. "/box/tmp/young", "x")
    os.execute(("touch -d '2 days ago' '%s/box/tmp/old'"):format(root))
    assert.equal(0, #all(box))
    assert.equal(1, box:clean())
    assert.equal(0, box:clean())
    assert.equal(1, box:clean(os.time() + 2 * 86400))
    assert.equal(0, count(root .. "/box/tmp"))
  end)

  it("leaves nothing behind where a source fails", function()
    local called
    local result, err = box:add(function()
      if called then return nil, "no more" end
      called = true
      return "half"
    end)
    assert.is_nil(result)
    assert.equal("io", err.kind)
    local ok, why = pcall(box.add, box, function() error("broken", 0) end)
    assert.is_false(ok)
    assert.equal("broken", why)
    assert.equal(0, #all(box))
    assert.equal(0, count(root .. "/box/tmp"))
  end)

  it("says what the system refused", function()
    local _, err = mail.maildir.open(root .. "/none")
    assert.equal("io", err.kind)
    assert.equal("missing", err.reason)
    _, err = mail.maildir.open(root .. "/none/deep", { create = true })
    assert.equal("missing", err.reason)
    write(root .. "/file", "x")
    _, err = mail.maildir.open(root .. "/file", { create = true })
    assert.equal("io", err.kind)
    -- Root may write anywhere: a folder that is none refuses root as well.
    os.execute(("rmdir '%s/box/new' && touch '%s/box/new'"):format(root, root))
    _, err = box:add(TEXT)
    assert.equal("io", err.kind)
    assert.equal(0, count(root .. "/box/tmp"))
    assert.has_error(function() box:messages { old = true } end)
    local it = box:messages()
    local item
    item, err = it:next()
    assert.is_nil(item)
    assert.equal("io", err.kind)
    assert.has_error(function() for _ in box:messages() do error "a message" end end)
  end)

  it("says that there is no room, and delivers nothing", function()
    write(root .. "/program.lua", [[
      local box = require "mail.maildir".open(arg[1])
      local key, err = box:add(("x"):rep(200000))
      io.write(tostring(key), " ", err.kind, " ", err.reason)
    ]])
    -- A limit on the size of files is refused as a full disk is: in the middle of a write.
    local run = child.lua(nil, 30) .. root .. "/program.lua " .. root .. "/box"
    local text = shell("ulimit -f 64; trap '' XFSZ; " .. run)
    assert.equal("nil io full", text)
    assert.equal(0, count(root .. "/box/tmp"))
    assert.equal(0, count(root .. "/box/new"))
  end)

  it("never writes over a name", function()
    write(root .. "/a", "a")
    write(root .. "/b", "b")
    local ok, _, word = core.file_move(root .. "/a", root .. "/b")
    assert.is_nil(ok)
    assert.equal("exists", word)
    assert.equal("b", read(root .. "/b"))
    assert.is_nil((core.file(root .. "/a", "create")))
  end)

  it("iterates over many in memory that does not grow with them", function()
    os.execute(("cd '%s/box/cur' && seq -f '%%.0f.M1P1.host:2,S' 1 20000 | xargs touch"):format(root))
    local n, peak = 0, 0
    collectgarbage() collectgarbage()
    local before = collectgarbage "count"
    for m in box:messages { new = false } do
      n = n + 1
      if n % 1000 == 0 then
        assert.is_true(m.flags["\\Seen"])
        collectgarbage()
        peak = math.max(peak, collectgarbage "count" - before)
      end
    end
    assert.equal(20000, n)
    assert.is_true(peak < 256, peak .. " KB") -- 20,000 names alone would be a megabyte
    local it = box:messages()
    it:next()
    it:close()
    assert.is_nil(it:next())
  end)

  real("reads what Dovecot wrote, and Dovecot reads what it wrote", function()
    local session, user = mailbox.with(dovecot, { "Subject: theirs\n\nfrom Dovecot\n" })
    assert(session:store("1", { add = { "\\Flagged", "\\Seen" } }, { seq = true }))
    assert(session:create "Entwürfe")
    local theirs = assert(mail.maildir.open(user.maildir))
    local list = all(theirs)
    assert.equal(1, #list)
    assert.same({ ["\\Flagged"] = true, ["\\Seen"] = true }, list[1].flags)
    assert.equal("Subject: theirs\n\nfrom Dovecot\n", (list[1]:string():gsub("\r\n", "\n")))
    assert.same({ "Entwürfe" }, (theirs:folders()))

    assert(theirs:add("Subject: ours\n\nto Dovecot\n", { flags = { "\\Answered" } }))
    assert(theirs:folder("Entwürfe"):add "Subject: draft\n\nx\n")
    assert(list[1]:set_flags { remove = { "\\Flagged" } })
    -- What root wrote, Dovecot's own user must be able to read.
    os.execute(("chown -R --reference='%s' '%s'"):format(user.maildir, user.maildir))
    session:logout()
    session = mailbox.open(dovecot, user)
    assert(session:select "INBOX")
    local seen = {}
    for _, m in ipairs(assert(session:fetch_all("1:*", { "uid", "flags", "envelope", "size" }))) do
      seen[m.envelope.subject] = m
    end
    assert.is_true(seen.ours.flags["\\Answered"])
    assert.is_nil(seen.theirs.flags["\\Flagged"])
    assert.is_true(seen.theirs.flags["\\Seen"])
    assert.equal(1, assert(session:select "Entwürfe").exists)
    session:logout()
  end)
end)
