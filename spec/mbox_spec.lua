-- mbox: what real files hold, read in pieces of any size; appending under locks; beside Python's mailbox module.
local core = require "mail.core"
local mail = require "mail"
local child = require "spec.support.child"
local files = require "spec.support.files"

local pieces, read, shell, write = files.pieces, files.read, files.shell, files.write

local function texts(box)
  local list = {}
  for m in assert(box:messages()) do list[#list + 1] = assert(m:string()) end
  return list
end

local DATE = "Thu Jan  1 00:00:10 1970"

describe("mail.mbox", function()
  local root, path

  before_each(function()
    root = shell("mktemp -d"):gsub("\n", "")
    path = root .. "/mbox"
  end)
  after_each(function() os.execute("rm -rf '" .. root .. "'") end)

  it("appends and reads back, in the order of the file", function()
    local box = mail.mbox.open(path)
    assert.equal(0, box:add("Subject: 1\n\none\n", { from = "ann@example.com", date = 10 }))
    local second = assert(box:add("Subject: 2\r\n\r\ntwo"))
    assert.equal("From ann@example.com " .. DATE .. "\nSubject: 1\n\none\n\n", read(path):sub(1, second))
    local list = {}
    for m in box:messages() do list[#list + 1] = m end
    assert.equal(2, #list)
    assert.equal("ann@example.com", list[1].from)
    assert.equal(10, list[1].date)
    assert.equal(DATE, list[1].date_text)
    assert.equal(second, list[2].offset)
    assert.equal("MAILER-DAEMON", list[2].from)
    assert.equal("Subject: 1\n\none\n", list[1]:string())
    assert.equal("Subject: 2\n\ntwo\n", list[2]:string())
    assert.is_nil(core.file_facts(path .. ".lock"))
  end)

  it("quotes so that every text comes back, wherever pieces end (mboxrd)", function()
    local text = "From the start\n\nFrom here\n"
      .. ">From there\n>>>From\n>>>>From far\nFro\n From x\n\n>\n>>\n\n\nFrom the end\n"
    local box = mail.mbox.open(path, { sync = false })
    local n = 0
    for size = 1, #text do
      assert(box:add(pieces(text, size)))
      n = n + 1
    end
    local list = texts(box)
    assert.equal(n, #list)
    for _, got in ipairs(list) do assert.equal(text, got) end
    -- Around the places where the reader's own pieces end.
    for _, room in ipairs { 65500, 65520, 65530, 65533, 65536, 131072 } do
      os.remove(path)
      for shift = 0, 6 do
        local long = "H: x\n\n" .. ("y"):rep(room - shift) .. "\n\nFrom a\n" .. (">"):rep(70000) .. "From b\n\n\n"
        assert(box:add(long))
        local m = assert(box:messages():next())
        assert.is_true(m:string() == long)
        os.remove(path)
      end
    end
  end)

  it("keeps to mboxo where asked", function()
    local box = mail.mbox.open(path, { format = "mboxo" })
    assert(box:add(pieces("a\nFrom x\n>>From y\n", 1)))
    assert.truthy(read(path):find("\n>From x\n>>From y\n", 1, true))
    assert.same({ "a\nFrom x\n>>From y\n" }, texts(box))
  end)

  it("reads CRLF, a missing last line end, and lines that only look like a beginning", function()
    write(path, "From a@x " .. DATE .. "\r\nS: 1\r\n\r\nx\r\nFrom no\r\n\r\nFrom b@x " .. DATE .. "\r\nS: 2\r\n\r\n\r\n"
      .. "From c\nFrom c\n\nFromage\n\nFrom d")
    local list = {}
    for m in mail.mbox.open(path):messages() do list[#list + 1] = { m.from, m:string() } end
    assert.same({ { "a@x", "S: 1\r\n\r\nx\r\nFrom no\r\n" }, { "b@x", "S: 2\r\n\r\n" },
      { "c", "From c\n\nFromage\n" }, { "d", "" } }, list)
    write(path, "")
    assert.same({}, texts(mail.mbox.open(path)))
  end)

  it("follows Content-Length where it leads to an end, and only there", function()
    local one = "From a\nContent-Length: 19\nS: 1\n\nx\n\nFrom the text\nyz\n\nFrom b\nS: 2\n\nb\n"
    write(path, one)
    assert.same({ "Content-Length: 19\nS: 1\n\nx\n\nFrom the text\nyz", "S: 2\n\nb\n" },
      texts(mail.mbox.open(path, { format = "mboxcl2" })))
    for _, wrong in ipairs { "4", "99999999", "999999999999999999999999", "0", "-1", "x" } do
      write(path, (one:gsub("19", wrong)))
      assert.equal(3, #texts(mail.mbox.open(path, { format = "mboxcl" })))
    end
    local _, err = mail.mbox.open(path, { format = "mboxcl" }):add "x"
    assert.equal("unsupported", err.kind)
  end)

  it("takes a date of any number, and refuses one that no line can hold before it locks", function()
    local box = assert(mail.mbox.open(path))
    assert.equal(0, box:add("Subject: 1\n\none\n", { from = "ann@example.com", date = 10.75 }))
    assert.equal("From ann@example.com " .. DATE .. "\n", read(path):match "^[^\n]*\n")
    local before = read(path)
    for _, date in ipairs { 0 / 0, 1e300, -1e300, 253402300800 } do
      local offset, err = box:add("Subject: 2\n\ntwo\n", { date = date })
      assert.is_nil(offset)
      assert.equal("invalid", err.kind)
    end
    assert.equal(before, read(path))
    assert.is_number(box:add("Subject: 2\n\ntwo\n", { date = 253402300799 }))
    assert.matches("31 23:59:59 9999\n", read(path), 1, true)
  end)

  it("reads the dates that are seen", function()
    for _, text in ipairs { DATE, "Thu Jan 01 01:00:10 1970 +0100", "Thu Jan  1 01:00:10 +0100 1970" } do
      assert.equal(10, mail.mbox.date(text), text)
    end
    assert.is_nil(mail.mbox.date "yesterday")
    assert.is_nil(mail.mbox.date "Thu Jan  1 00:00:10 70")
  end)

  it("refuses what is no mbox, and senders that would break the line", function()
    write(path, "Subject: no mbox\n")
    local box = mail.mbox.open(path)
    local got, err = box:messages()
    assert.is_nil(got)
    assert.equal("invalid", err.kind)
    assert.equal("invalid", select(2, box:add "x").kind)
    assert.equal("Subject: no mbox\n", read(path))
    for _, from in ipairs { "a b", "a\nFrom b", "a\r", "a\0" } do
      assert.equal("invalid", select(2, mail.mbox.open(root .. "/other"):add("x", { from = from })).kind)
    end
    assert.is_nil(core.file_facts(root .. "/other"))
    os.execute(("ln -s '%s' '%s/link'; mkfifo '%s/pipe'; mkdir '%s/folder'"):format(path, root, root, root))
    for _, name in ipairs { "link", "pipe", "folder", "none/x" } do
      local other = mail.mbox.open(root .. "/" .. name)
      assert.equal("io", select(2, other:messages()).kind)
      assert.equal("io", select(2, other:add "x").kind)
    end
    assert.equal("missing", select(2, mail.mbox.open(root .. "/none", { create = false }):add "x").reason)
    assert.has_error(function() mail.mbox.open(path, { format = "mmdf" }) end)
    assert.has_error(function() box:add(7) end)
  end)

  it("leaves the file as it was where a source fails or there is no room", function()
    local box = mail.mbox.open(path)
    assert(box:add "Subject: kept\n\nx\n")
    local before = read(path)
    local step = 0
    local _, err = box:add(function()
      step = step + 1
      if step == 1 then return "half" end
      return nil, "no more"
    end)
    assert.equal("io", err.kind)
    local ok, why = pcall(box.add, box, function() error("broken", 0) end)
    assert.is_false(ok)
    assert.equal("broken", why)
    write(root .. "/program.lua", [[
      local got, err = require "mail.mbox".open(arg[1]):add(("x"):rep(200000))
      io.write(tostring(got), " ", err.kind, " ", err.reason)
    ]])
    local run = child.lua(nil, 30) .. root .. "/program.lua " .. path
    assert.equal("nil io full", shell("ulimit -f 64; trap '' XFSZ; " .. run))
    assert.equal(before, read(path))
    assert.is_nil(core.file_facts(path .. ".lock"))
  end)

  it("waits for locks of either kind, and takes over one that was left", function()
    local box = mail.mbox.open(path, { lock_timeout = 0.1 })
    assert(box:add "x")
    write(path .. ".lock", "1\n")
    local _, err = box:add "y"
    assert.equal("timeout", err.kind)
    assert.is_true(err.temporary)
    assert.equal(1, #texts(box))
    os.execute(("touch -d '1 hour ago' '%s.lock'"):format(path))
    assert(box:add "y")
    local other = assert(core.file(path, "update"))
    assert.is_true(other:lock())
    assert.equal("timeout", select(2, box:add "z").kind)
    assert.is_nil(core.file_facts(path .. ".lock"))
    assert(mail.mbox.open(path, { lock = "none" }):add "z")
    other:close()
    assert(box:add "z")
    assert.equal(4, #texts(box))
  end)

  it("loses no message of several programs that append at once", function()
    write(root .. "/program.lua", [[
      local box = require "mail.mbox".open(arg[1], { sync = false, lock_timeout = 60 })
      for i = 1, 20 do assert(box:add("S: " .. arg[2] .. "\n\n" .. ("x"):rep(5000) .. "\n")) end
    ]])
    local run = child.lua(nil, 90) .. root .. "/program.lua " .. path
    shell(("for i in 1 2 3; do (%s $i) & done; wait"):format(run))
    local list = texts(mail.mbox.open(path))
    assert.equal(60, #list)
    for _, text in ipairs(list) do assert.equal(5007, #text) end
  end)

  it("iterates in memory that does not grow with the file", function()
    local file = assert(io.open(path, "wb"))
    local body = "S: x\n\n" .. ("line of text\n"):rep(80) .. "\n"
    for _ = 1, 10000 do file:write("From a@x ", DATE, "\n", body) end
    file:write("From b@x ", DATE, "\nS: x\n\n", (("z"):rep(63) .. "\n"):rep(200000))
    file:close()
    collectgarbage() collectgarbage()
    local before, peak, n, last = collectgarbage "count", 0, 0, nil
    for m in mail.mbox.open(path):messages() do
      n, last = n + 1, m
      if n % 500 == 0 then
        collectgarbage()
        peak = math.max(peak, collectgarbage "count" - before)
      end
    end
    assert.equal(10001, n)
    local size = 0
    for piece in last:source() do
      size = size + #piece
      collectgarbage "step"
    end
    assert.equal(last.size, size)
    assert.equal(6 + 64 * 200000, size)
    assert.is_true(peak < 512, peak .. " KB")
  end)

  it("is read by Python's mailbox module, and reads what that wrote", function()
    if shell "python3 -c 'import mailbox; print(1)' 2>/dev/null" ~= "1\n" then return pending "no Python" end
    local box = mail.mbox.open(path)
    assert(box:add("Subject: ours\n\nFrom us\n"))
    write(root .. "/p.py", [[
import mailbox, sys
box = mailbox.mbox(sys.argv[1])
sys.stdout.write(box[0]["subject"] + "|" + box[0].get_payload())
box.lock()
box.add(b"Subject: theirs\n\nFrom them\n")
box.flush()
box.close()
]])
    assert.equal("ours|>From us\n", shell(("python3 '%s/p.py' '%s'"):format(root, path)))
    local list = texts(box)
    assert.equal("Subject: theirs\n\nFrom them\n", list[2])
    assert(box:add "Subject: third\n\n")
    assert.equal(3, #texts(box))
  end)
end)
