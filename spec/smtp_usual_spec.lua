-- session:usual(options): the usual message in one call of the core. The same octets as transaction() where it
-- takes a message; nil, and nothing left behind, where it does not.
local core = require "mail.core"

local EHLO = "250-mx\r\n250-PIPELINING\r\n250-SIZE 100000\r\n250 8BITMIME\r\n"
local TEXT = "Subject: x\r\n\r\n.dot\r\nend\r\n"

-- All that the session wants to send now.
local function output(session)
  local parts = {}
  for piece in function() return session:output() end do parts[#parts + 1] = piece end
  return table.concat(parts)
end

-- A session that has greeted a server with these capabilities.
local function greeted(ehlo, limits)
  local session = core.smtp_session(limits)
  session:feed "220 mx\r\n"
  assert.equal("greeting", (session:next()))
  session:ehlo "me"
  output(session)
  session:feed(ehlo or EHLO)
  assert.equal("done", (session:next()))
  return session
end

-- What a server says to the octets at `at`, and where the next command is; nil where they are not whole.
local function answer(out, at, in_data)
  if in_data then
    local _, last = out:find("\r\n.\r\n", at - 2, true)
    if last then return "250 2.0.0 Ok: queued as 4Xyz\r\n", last + 1 end
    return nil
  end
  local line, behind = out:match("^([^\r]*)\r\n()", at)
  local chunk = line and tonumber(line:match "^BDAT (%d+) LAST$")
  if not chunk then return line and (line == "DATA" and "354 go\r\n" or "250 ok\r\n"), behind end
  if behind + chunk - 1 <= #out then return "250 2.0.0 Ok: queued as 4Xyz\r\n", behind + chunk end
end

-- Plays one transaction to its end: the octets that left, and the receipt.
local function play(session, id)
  local out, at, in_data = "", 1, false
  while true do
    local kind, who, ok, receipt = session:next()
    if kind == "sent" then
      assert.same({ id, true }, { who, ok })
      return out .. output(session), receipt
    end
    assert.equal("wait", kind)
    out = out .. output(session)
    local reply, behind = answer(out, at, in_data)
    if reply then
      session:feed(reply)
      at, in_data = behind, reply:sub(1, 3) == "354"
    end
  end
end

local function with(fields)
  local options = { from = "a@example.com", to = "b@example.org", message = TEXT }
  for name, value in pairs(fields) do options[name] = value end
  return options
end

local CHUNKING = "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
local BARE = "250 mx\r\n"
local UTF8 = "250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"

describe("the usual message", function()
  local function same(options, ehlo)
    local one, other = greeted(ehlo), greeted(ehlo)
    for _ = 1, 2 do -- the second one reuses what the first one was made in
      local id = one:transaction(options, options.message, options.size)
      local usual = other:usual(options)
      assert.equal(id, usual)
      assert.is_number(id)
      local out, receipt = play(one, id)
      local usual_out, usual_receipt = play(other, usual)
      assert.equal(out, usual_out)
      assert.same(receipt, usual_receipt)
    end
  end

  it("sends what transaction() sends", function()
    same(with {})
    same(with { from = "" })
    same(with { from = "<>" })
    same(with { from = "Ann <a@example.com>" })
    same(with { to = "Bob <b@example.org>" })
    same(with { to = { "b@example.org" } })
    same(with { to = { "b@example.org", '"c d"@example.org', "e@[192.0.2.1]", "<f@example.org>" } })
    same(with { to = "b@b\195\188cher.example" })
    same(with { timeout = 5, size = 77 })
    same(with { size = 0 })
    same(with { size = 77.9 })
    same(with { message = "" })
    same(with { message = "bare\nends\rhere" })
    same(with { message = ("x"):rep(98) .. "\r\n" .. ("y"):rep(50000) })
    same(with { message = "Subject: x\r\n\r\n\195\188\r\n" })
  end)

  it("does so in chunks, line by line, and with SMTPUTF8", function()
    same(with { to = { "b@example.org", "c@example.org" } }, CHUNKING)
    same(with {}, BARE)
    same(with { from = "\195\188@example.com" }, UTF8)
    same(with { message = "Subject: \195\188\r\n\r\n" }, UTF8)
    same(with { from = "\195\188@example.com", to = "\195\182@example.org" }, UTF8)
  end)

  it("keeps its text while it is under way", function()
    local session = greeted()
    local id = session:usual { from = "a@example.com", to = "b@example.org", message = ("x"):rep(40000) .. "\r\n" }
    collectgarbage()
    collectgarbage()
    local out = play(session, id)
    assert.truthy(out:find(("x"):rep(40000) .. "\r\n.\r\n", 1, true))
  end)
end)

describe("a message that is not usual", function()
  -- Is refused by `usual`, which leaves no trace: what is sent next is what a new session sends.
  local function untouched(session, ...)
    local before = output(session)
    assert.is_nil(session:usual(...))
    assert.is_nil(session:usual(...))
    assert.equal("", before .. output(session))
    assert.is_nil(session:failure())
    local fresh = greeted()
    local id, other = session:usual(with {}), fresh:transaction(with {}, TEXT)
    assert.equal(other, id)
    assert.equal(play(fresh, other), (play(session, id)))
  end

  it("has other options, or wants one", function()
    untouched(greeted())
    untouched(greeted(), "from")
    untouched(greeted(), {})
    for _, name in ipairs { "from", "to", "message" } do
      local options = with {}
      options[name] = nil
      untouched(greeted(), options)
    end
    for _, name in ipairs { "dsn", "line_ends", "require_tls", "xy", "fromm", "messages", "", "f\0om" } do
      untouched(greeted(), with { [name] = "x" })
    end
    untouched(greeted(), with { "x" })
    untouched(greeted(), with { [1.5] = "x" })
    untouched(greeted(), with { [true] = "x" })
    untouched(greeted(), with { [print] = "x" })
    untouched(greeted(), setmetatable(with {}, {}))
    untouched(greeted(), setmetatable({}, { __index = with {} }))
  end)

  it("has one of another type", function()
    untouched(greeted(), with { from = 1 })
    untouched(greeted(), with { from = { address = "a@example.com" } })
    untouched(greeted(), with { message = 1 })
    untouched(greeted(), with { message = function() end })
    untouched(greeted(), with { timeout = "1" })
    untouched(greeted(), with { timeout = true })
    untouched(greeted(), with { size = "1" })
    for _, size in ipairs { -1, -0.5, 0 / 0, 1 / 0, -1 / 0, 2 ^ 53 + 2, 2 ^ 64, 1e300 } do
      untouched(greeted(), with { size = size })
    end
    untouched(greeted(), with { to = 1 })
    untouched(greeted(), with { to = {} })
    untouched(greeted(), with { to = { 1 } })
    untouched(greeted(), with { to = { "b@example.org", 2 } })
    untouched(greeted(), with { to = { "b@example.org", { address = "c@example.org" } } })
    untouched(greeted(), with { to = { address = "b@example.org" } })
    untouched(greeted(), with { to = { "b@example.org", address = "b@example.org" } })
    local late = { address = "b@example.org" } -- its array is made behind the name
    late[1] = "c@example.org"
    untouched(greeted(), with { to = late })
    untouched(greeted(), with { to = setmetatable({ "b@example.org" }, {}) })
    local holed = { "b@example.org", "c@example.org", "d@example.org", "e@example.org" }
    holed[2] = nil
    untouched(greeted(), with { to = holed })
  end)

  it("has an address that is none", function()
    for _, bad in ipairs { "a", "a@", "@b", "a@b@c", "a b@c", "a@b\r\nRCPT TO:<c>", "a@-b", "a@b c", "x\0@b" } do
      untouched(greeted(), with { from = bad })
      untouched(greeted(), with { to = bad })
      untouched(greeted(), with { to = { "b@example.org", bad } })
    end
    untouched(greeted(), with { to = "" })
    untouched(greeted(), with { to = "<>" })
  end)

  it("needs what the server has not", function()
    untouched(greeted(), with { from = "\195\188@example.com" })
    untouched(greeted(), with { to = "\195\188@example.com" })
    untouched(greeted(), with { message = "Subject: \195\188\r\n\r\n" })
    untouched(greeted(), with { size = 100001 })
    untouched(greeted(), with { message = ("x"):rep(100001) })
    local seven_bit = greeted(BARE)
    assert.is_nil(seven_bit:usual(with { message = "\r\n\195\188" }))
    assert.equal("", output(seven_bit))
  end)

  it("needs SMTPUTF8 for a recipient: nothing was said to MAIL before", function()
    local session = greeted(UTF8)
    assert.is_nil(session:usual(with { to = { "b@example.org", "\195\188@example.org" } }))
    assert.equal("", output(session))
    assert.is_number(session:transaction(with { to = "\195\188@example.org" }, TEXT))
    assert.equal("MAIL FROM:<a@example.com> BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<\195\188@example.org>\r\nDATA\r\n",
      output(session))
  end)

  it("finds a session that takes nothing", function()
    local session = greeted()
    session:raw_quit()
    output(session)
    session:feed "221 bye\r\n"
    session:next()
    assert.is_nil(session:usual(with {}))
    assert.equal("", output(session))
    session = greeted()
    session:feed_eof()
    assert.equal("fail", (session:next()))
    assert.is_nil(session:usual(with {}))
    session:free()
    assert.has_error(function() session:usual(with {}) end)
    session = greeted(BARE, { queue = 10 })
    for _ = 1, 9 do session:raw_command "NOOP" end
    assert.is_nil(session:usual(with {}))
    assert.same({ nil, "limit passed: queue", "invalid" }, { session:transaction(with {}, TEXT) })
  end)
end)

describe("core.smtp_is_usual", function()
  it("tells by names and types alone, without a session", function()
    assert.is_true(core.smtp_is_usual(with {}))
    assert.is_true(core.smtp_is_usual(with { to = { "b@example.org" }, timeout = 1, size = 5 }))
    assert.is_true(core.smtp_is_usual(with { from = "no address" }))
    for _, options in ipairs { with { dsn = {} }, with { message = 5 }, with { size = -1 }, {}, "from",
      { with {} }, with { timeout = { answer = 1 } } } do -- which is checked by name
      assert.is_false(core.smtp_is_usual(options))
    end
    assert.is_false(core.smtp_is_usual(nil))
  end)
end)

describe("a size that is none", function()
  it("is a mistake of the caller", function()
    for _, size in ipairs { -1, -0.5, 0 / 0, 1 / 0, -1 / 0, 2 ^ 53 + 2, 2 ^ 64, 1e300 } do
      local session = greeted()
      local id, why, kind = session:transaction(with {}, TEXT, size)
      assert.is_nil(id)
      assert.equal("option 'size' must be a number of octets", why)
      assert.equal("misuse", kind)
      assert.equal("", output(session))
    end
  end)
end)
