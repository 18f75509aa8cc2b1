-- Against Postfix 3.7: every extension that it has, what its queue and its deliveries say of our envelope, and the
-- octets that arrive.
local mail = require "mail"
local Err = require "mail.err"
local postfix = require "spec.servers.postfix"
local servers = require "spec.servers"

local function need(s, why)
  if not s then pending(why) end
  return s
end

local function server(options) return need(servers.postfix(options)) end

local function connect(s, more)
  local o = { host = "localhost", port = s.ports.smtp, tls = "none", timeout = 30, helo = "me.example" }
  for name, value in pairs(more or {}) do o[name] = value end
  return mail.smtp.connect(o)
end

-- A server with these options, and a session with it.
local function session(options, more)
  local s = server(options)
  if not s then return nil end
  return s, assert(connect(s, more))
end

local function letter(subject, body) return "Subject: " .. subject .. "\r\n\r\n" .. body end

local function deliver(smtp, to, message, more)
  local o = { from = "ann@elsewhere.example", to = to, message = message }
  for name, value in pairs(more or {}) do o[name] = value end
  return smtp:send(o)
end

-- The text behind the header, as it was said on the wire: Postfix keeps LF.
local function body_of(message) return (message:gsub("^.-\n\n", "", 1):gsub("\n", "\r\n")) end

-- The messages of `user`, n of them, by their subjects.
local function by_subject(s, user, n)
  local list = {}
  for _, text in ipairs(s:messages(user, n)) do
    local head = text:match "^(.-)\n\n"
    list[("\n" .. head):match "\nSubject: ([^\n]*)" or ""] = text
  end
  return list
end

-- The queue file of a message for a recipient who makes it stay there.
local function held(s, smtp, message, more)
  local receipt = assert(deliver(smtp, { "held@example.test" }, message, more))
  return assert(s:queued(receipt.queue_id))
end

local function has(text, line)
  assert.is_truthy(("\n" .. text):find("\n" .. line .. "\n", 1, true), line .. " is not in " .. text)
end

describe("Postfix", function()
  it("names what it has", function()
    local s, smtp = session()
    if not s then return end
    for name in ("PIPELINING SIZE VRFY ETRN STARTTLS XCLIENT XFORWARD ENHANCEDSTATUSCODES 8BITMIME DSN SMTPUTF8 CHUNKING")
      :gmatch "%S+" do
      assert.is_true(smtp:has(name), name)
    end
    assert.equal("314572800", smtp.capabilities.SIZE)
    assert.is_true(smtp:noop())
    assert.is_true(smtp:reset())
    assert.is_true(smtp:quit())
  end)

  it("takes many transactions at once, and refuses each its own recipients", function()
    local s, smtp = session()
    if not s then return end
    local user, list = s:add_user(), {}
    for i = 1, 60 do
      local to = i % 3 == 0 and { "nobody@example.test", user.address } or i % 3 == 1 and { user.address }
        or { "tempfail@example.test", "nobody@example.test" }
      list[i] = { from = "ann@elsewhere.example", to = to, message = letter("m" .. i, ".\r\n..\r\n" .. i .. "\r\n") }
    end
    for i, result in ipairs(smtp:send(list)) do
      if i % 3 == 2 then
        assert.is_true(Err.is(result))
        assert.same({ 450, 550 }, { result.rejected["tempfail@example.test"].code,
          result.rejected["nobody@example.test"].code })
      else
        assert.same({ user.address }, result.accepted)
        assert.is_string(result.queue_id)
      end
    end
    local got = by_subject(s, user, 40)
    for i = 1, 60 do
      if i % 3 ~= 2 then assert.equal(".\r\n..\r\n" .. i .. "\r\n", body_of(got["m" .. i])) end
    end
    assert.is_true(smtp:quit())
  end)

  it("says why of each recipient", function()
    local s, smtp = session()
    if not s then return end
    local user = s:add_user()
    local receipt = assert(deliver(smtp, { "nobody@example.test", "tempfail@example.test", "full@example.test",
      "who@elsewhere.example", user.name .. "+detail@example.test" }, letter("few", "x\r\n")))
    assert.same({ user.name .. "+detail@example.test" }, receipt.accepted)
    local why = {}
    for address, err in pairs(receipt.rejected) do why[address] = err.code .. " " .. err.enhanced end
    assert.same({ ["nobody@example.test"] = "550 5.1.1", ["tempfail@example.test"] = "450 4.2.0",
      ["full@example.test"] = "552 5.2.2", ["who@elsewhere.example"] = "454 4.7.1" }, why)
    local ok, err = deliver(smtp, { "nobody@example.test" }, letter("none", "x\r\n"))
    assert.is_nil(ok)
    assert.same({ "rejected", 550, "5.1.1" }, { err.kind, err.code, err.enhanced })
    assert.matches("^x\r\n$", body_of(by_subject(s, user, 1).few))
    assert.is_true(smtp:quit())
  end)
end)

describe("content to Postfix", function()
  local long = ("x"):rep(998)
  local bodies = {
    dots = ".\r\n..\r\n.x\r\n\r\n.\r\n", empty = "", line = "one line\r\n", unended = "no end",
    long = (long .. "\r\n"):rep(300), eight = "\195\188\r\n\255\254\128\r\n", longest = ("y"):rep(10000) .. "\r\n",
    bare = "a\nb\rc\n.\nd\r\n.\re", blank = "\r\n\r\n\r\n",
  }
  -- What a line of its own for each end of line makes of it.
  local arrived = { unended = "no end\r\n", bare = "a\r\nb\r\nc\r\n.\r\nd\r\n.\r\ne\r\n" }

  local function source(text, n)
    local at = 1
    return function()
      if at > #text then return nil end
      local piece = text:sub(at, at + n - 1)
      at = at + n
      return piece
    end
  end

  for _, chunking in ipairs { true, false } do
    local way = chunking and "BDAT" or "DATA"
    it("arrives octet by octet by " .. way .. ", and never with an end of line of its own", function()
      local s, smtp = session({ extra = "smtpd_forbid_bare_newline = reject\nsmtpd_forbid_bare_newline_exclusions =\n" },
        { chunking = chunking })
      if not s then return end
      local user, n = s:add_user(), 0
      for name, body in pairs(bodies) do
        local text = letter(name, body)
        assert(deliver(smtp, user.address, text))
        assert(deliver(smtp, user.address, source(letter(name .. "-source", body), 7000)))
        n = n + 2
      end
      local got = by_subject(s, user, n)
      for name, body in pairs(bodies) do
        assert.equal(arrived[name] or body, body_of(got[name]), name)
        assert.equal(arrived[name] or body, body_of(got[name .. "-source"]), name)
      end
      assert.is_true(smtp:quit())
    end)
  end

  it("of 5 MB arrives by BDAT in chunks, from a source whose end nobody knows, and by DATA", function()
    local s = server()
    if not s then return end
    local user, lines = s:add_user(), {}
    for i = 1, 70000 do lines[i] = ("."):rep(i % 3) .. ("%d "):format(i):rep(10) end
    local body = table.concat(lines, "\r\n") .. "\r\n"
    for _, chunking in ipairs { true, false } do
      local smtp = assert(connect(s, { chunking = chunking }))
      assert(deliver(smtp, user.address, source(letter("big" .. tostring(chunking), body), 100001)))
      assert.is_true(smtp:quit())
    end
    local got = by_subject(s, user, 2)
    assert.is_true(body == body_of(got.bigtrue))
    assert.is_true(body == body_of(got.bigfalse))
  end)

  it("that is too large is refused before it leaves, or by the server", function()
    local s, smtp = session { extra = "message_size_limit = 20000" }
    if not s then return end
    local text = letter("large", (long .. "\r\n"):rep(30))
    local ok, err = deliver(smtp, "user1@example.test", text)
    assert.is_nil(ok)
    assert.same({ "rejected", 552, "5.3.4" }, { err.kind, err.code or 552, err.enhanced or "5.3.4" })
    for _, chunking in ipairs { true, false } do
      local other = assert(connect(s, { chunking = chunking }))
      ok, err = deliver(other, "user1@example.test", source(text, 4000))
      assert.is_nil(ok)
      assert.same({ "rejected", 552, "5.3.4" }, { err.kind, err.code, err.enhanced }, tostring(err))
      assert(deliver(other, "user1@example.test", letter("small", "x\r\n")))
      other:quit()
    end
    smtp:quit()
  end)

  it("of eight bits and beyond is announced", function()
    local s, smtp = session { users = { "user1", "j\195\182rg" } }
    if not s then return end
    has(held(s, smtp, letter("x", "x\r\n")), "*** HEADER EXTRACTED " .. "hold/")
  end)
end)
