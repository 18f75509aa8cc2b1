-- Literals that a server does not take as it should: APPEND, MULTIAPPEND, CATENATE, REPLACE and SETMETADATA, with
-- LITERAL+, LITERAL- and without. It refuses too early or too late, never says "+", says it twice, or goes away.

local mailbox = require "spec.support.mailbox"
local scripted = require "spec.support.scripted"

local SMALL, LARGE = ("x"):rep(100), ("y"):rep(200000)

local COMMANDS = {
  { "APPEND", "", function(s, text) return s:append("b", text) end },
  { "APPEND", "MULTIAPPEND", function(s, text) return s:append("b", { text, "and another" }) end },
  { "APPEND", "CATENATE", function(s, text)
    return s:append("b", { catenate = { { url = "/INBOX/;UID=1" }, text } })
  end },
  { "UID REPLACE", "REPLACE", function(s, text) return s:replace(1, "b", text) end },
  { "SETMETADATA", "METADATA", function(s, text) return s:setmetadata("b", { ["/shared/comment"] = text }) end },
}

-- A server that reads the line of a command, and does `fault(peer, tag, size)`; then it answers NOOPs.
local function against(words, command, fault, text, check)
  scripted.run(function(peer)
    mailbox.admit_selected(peer, words .. " " .. command[2], 3)
    local tag, line = mailbox.command(peer, "^" .. command[1])
    fault(peer, tag, tonumber(line:match "{(%d+)%+?}$"))
    while peer.conn:fd() do
      line = peer:line()
      if not line then return end
      local noop = line:match "^(%S+) NOOP$"
      if noop then peer:send(noop .. " OK\r\n") end
    end
  end, function(port)
    local session = assert(mailbox.dial(port, { timeout = 0.3 }))
    assert(session:select "INBOX")
    local what = words .. " " .. command[1] .. command[2]
    local result, err = command[3](session, text)
    assert.is_nil(result, what)
    check(session, err, what)
    session:close()
  end)
end

-- All commands, for each text and capability given.
local function each(all_words, texts, fault, check)
  for _, words in ipairs(all_words) do
    for _, command in ipairs(COMMANDS) do
      for _, text in ipairs(texts) do
        if not (command[1] == "SETMETADATA" and text == LARGE) then against(words, command, fault, text, check) end
      end
    end
  end
end

-- The end of a call: its kind. What the system has taken from us has left whole, and its fate is not known.
local function is(kind, goes_on, or_unknown)
  return function(session, err, what)
    if not (or_unknown and err.kind == "unknown") then
      assert.equal(kind, err.kind, what .. ": " .. tostring(err))
    end
    local ok, later = session:noop()
    if goes_on then
      assert.is_true(ok, what .. ": " .. tostring(later))
    else
      assert.equal("closed", later.kind, what)
    end
  end
end

describe("IMAP literals", function()
  it("are not sent where the server refuses the line", function()
    for _, status in ipairs { "NO [TRYCREATE] no such place", "BAD what" } do
      each({ "", "LITERAL-" }, { LARGE }, function(peer, tag) peer:send(tag .. " " .. status .. "\r\n") end,
        function(session, err, what)
          assert.equal(status:match "%[(%u+)%]", err.response_code)
          is("rejected", true)(session, err, what)
        end)
    end
  end)

  it("are sent whole where the server refuses the line and did not have to be asked", function()
    for _, status in ipairs { "NO no", "BAD what" } do
      each({ "LITERAL+" }, { SMALL, LARGE }, function(peer, tag) peer:send(tag .. " " .. status .. "\r\n") end,
        is("rejected", true))
    end
  end)

  it("cannot be taken before they were sent", function()
    each({ "", "LITERAL-" }, { LARGE }, function(peer, tag) peer:send(tag .. " OK taken\r\n") end, is "protocol")
  end)

  it("are given up where nobody asks for them", function()
    each({ "", "LITERAL-" }, { LARGE }, function(peer) peer:send "* OK wait\r\n" end, is "timeout")
  end)

  it("are refused, or lost, in the middle", function()
    local SIZE = 100000
    local function half(peer, _, size)
      peer:send "+ go\r\n"
      local n = size > SIZE and 0 or SIZE
      while n < SIZE do n = n + #peer:some() end
    end
    each({ "" }, { LARGE }, function(peer, tag, size)
      half(peer, tag, size)
      peer:send(tag .. " NO too large\r\n")
    end, is("rejected", true))
    each({ "" }, { LARGE }, function(peer, tag, size)
      half(peer, tag, size)
      peer:close()
    end, is("closed", false, true))
    each({ "" }, { LARGE }, function(peer, tag, size)
      half(peer, tag, size)
      peer:send "* BYE enough\r\n"
      peer:close()
    end, is("closed", false, true))
  end)

  it("are asked for twice, or by nobody's leave", function()
    each({ "" }, { LARGE }, function(peer) peer:send "+ go\r\n+ go\r\n+ go\r\n" end,
      is("protocol", false, true))
    each({ "LITERAL+" }, { LARGE }, function(peer) peer:send "+ go\r\n" end, is("protocol", false, true))
  end)
end)
