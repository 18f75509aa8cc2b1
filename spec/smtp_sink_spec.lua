-- Against Postfix's smtp-sink, in SMTP and in LMTP: another reader of our pipelining, DSN, XCLIENT and XFORWARD.
-- It is one of the benchmarks' peers; where those are not unpacked the specs are pending.
local Keeper = require "spec.servers.keeper"
local loop = require "mail.loop"
local mail = require "mail"

local root = "build/bench/peers/postfix"
local running, keeper = {}, nil

local function line_of(command)
  local pipe = io.popen(command)
  local line = pipe:read "*l"
  pipe:close()
  return line
end

-- Starts one on a free port; timeout(1) ends it should this process not live to do so.
local function sink(flags)
  local program = line_of("ls " .. root .. "/usr/sbin/smtp-sink 2>/dev/null")
  local library = line_of("ls -d " .. root .. "/usr/lib/postfix 2>/dev/null")
  if not program then return nil end
  keeper = keeper or assert(Keeper.new({ program = "/bin/true" }, {}))
  local port = keeper:ports(1)[1]
  local user = line_of "id -u" == "0" and "-u root" or ""
  local pid = line_of(("LD_LIBRARY_PATH=%s timeout 120 %s %s %s 127.0.0.1:%d 8 >/dev/null 2>&1 & echo $!")
    :format(library or "", program, user, flags, port))
  running[#running + 1] = pid
  return port
end

-- Connects once it listens.
local function connect(port, more)
  local o = { host = "127.0.0.1", port = port, tls = "none", timeout = 10 }
  for name, value in pairs(more or {}) do o[name] = value end
  local smtp, err
  for _ = 1, 200 do
    smtp, err = mail.smtp.connect(o)
    if smtp or err.kind ~= "connect" then break end
    loop.sleep(0.02)
  end
  return assert(smtp, tostring(err))
end

local function all_taken(smtp)
  local to = { "b@example.test", { address = "c@example.test", notify = "never", orcpt = true } }
  for _, body in ipairs { "", ".x\n", (".x"):rep(30000) .. "\n.\n", ((".y"):rep(30) .. "\r\n"):rep(30000) } do
    local receipt = assert(smtp:send { from = "a@example.test", to = to, message = "Subject: x\r\n\r\n" .. body,
      dsn = { ret = "hdrs", envid = "a b" } })
    assert.same({ "b@example.test", "c@example.test" }, receipt.accepted)
    assert.same({}, receipt.rejected)
  end
end

describe("smtp-sink", function()
  teardown(function()
    for _, pid in ipairs(running) do os.execute("kill " .. pid .. " 2>/dev/null") end
    if keeper then keeper:close() end
  end)

  it("takes messages, XFORWARD and XCLIENT", function()
    local port = sink ""
    if not port then return pending "Postfix is not under build/bench/peers" end
    local smtp = connect(port)
    assert.is_true(smtp:has "XFORWARD")
    assert.is_true(smtp:xforward { name = "client.example", addr = "192.0.2.1", proto = "ESMTP", helo = false })
    all_taken(smtp)
    assert.is_true(smtp:xclient { name = "client.example", helo = "me.example" })
    all_taken(smtp)
    assert.is_true(smtp:noop())
    assert.is_true(smtp:quit())
  end)

  it("takes messages in LMTP", function()
    local port = sink "-L"
    if not port then return pending "Postfix is not under build/bench/peers" end
    local smtp = connect(port, { protocol = "lmtp" })
    all_taken(smtp)
    assert.is_true(smtp:quit())
  end)

  it("without PIPELINING and ESMTP is spoken to a step at a time", function()
    for _, flags in ipairs { "-p", "-e" } do
      local port = sink(flags)
      if not port then return pending "Postfix is not under build/bench/peers" end
      local smtp = connect(port)
      assert.is_false(smtp:has "PIPELINING")
      local receipt = assert(smtp:send { from = "a@example.test", to = { "b@example.test", "c@example.test" },
        message = "Subject: x\r\n\r\n" .. (".x\r\n"):rep(1000) })
      assert.equal(2, #receipt.accepted)
      assert.is_true(smtp:quit())
    end
  end)
end)
