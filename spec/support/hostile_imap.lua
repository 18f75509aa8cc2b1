--- IMAP servers at random: in memory, on a clock of their own, the same for the same seed.
--
-- They take commands and literals as servers do, and answer with all that servers say, in any order: data of every
-- extension, absurd numbers and sets, broken grammar, codes; OK, NO, BAD, too early, under a wrong tag or never;
-- continuations that nobody waits for, or none; an end in the middle of anything, or floods without one.

local loop = require "mail.loop"

local hostile = {}

hostile.WORDS = "ESEARCH SORT ESORT THREAD=REFS QUOTA METADATA NAMESPACE ID ACL ENABLE QRESYNC CONDSTORE UIDPLUS MOVE "
  .. "BINARY MULTISEARCH LANGUAGE URLAUTH LIST-EXTENDED LIST-STATUS CATENATE MULTIAPPEND REPLACE SEARCHRES "
  .. "CONTEXT=SEARCH CONTEXT=SORT PARTIAL NOTIFY IDLE UNSELECT LIST-METADATA SPECIAL-USE PREVIEW OBJECTID UIDONLY "
  .. "UTF8=ACCEPT X-GM-EXT-1 STATUS=SIZE INPROGRESS"

-- Words that fit the grammar, and such that do not.
local WORDS = {
  number = {
    { "1", "2", "3", "7", "100", "4294967295" },
    { "0", "1", "4294967296", "18446744073709551615", "-1", "99999999999999999999", "*", "" },
  },
  set = {
    { "1", "1:3", "1:4294967295", "4294967295:1", "1,2,3", "1:4294967295,1:4294967295", "2:4294967294,7" },
    { "1:*", "*", "0", "", "1:", ":1", "1,,2", "1:4294967296", ("1,"):rep(300) .. "1", "$", "NIL" },
  },
  text = {
    { '""', '"a"', "{3}\r\nabc", "{0}\r\n", "atom", "INBOX", "&AOk-" },
    { "NIL", "~{3}\r\na\0b", "~{0}\r\n", "{3+}\r\nabc", '"a\\x"', '"', "{4294967296}\r\n", "{99999999999999999999}\r\n",
      "~{18446744073709551615}\r\n", "{-1}\r\n", "{1048577}\r\n", "&bad", '"\255\254"', "()", "((((", "))" },
  },
  item = {
    { "FLAGS (\\Seen)", "UID 1", "UID 2", "RFC822.SIZE 10", "BODY[] {3}\r\nabc", "BODY[1] NIL", "BODY[]<0> {2}\r\nab",
      "BINARY[1] ~{3}\r\na\0b", "BINARY[1] {3}\r\nabc", "BINARY[1] NIL", "BINARY.SIZE[1] 3", "MODSEQ (9)",
      'ENVELOPE (NIL "s" NIL NIL NIL NIL NIL NIL NIL NIL)', 'BODYSTRUCTURE ("text" "plain" NIL NIL NIL "7bit" 3 1)',
      'INTERNALDATE "01-Jan-2020 00:00:00 +0000"', "PREVIEW NIL", "EMAILID (M1)", 'X-GM-LABELS (a "b")',
      "FOO (a (b))" },
    { "BODY[", "BINARY.SIZE[1] 4294967296", "BINARY[1] ~{99999999}\r\n", "ENVELOPE (((((", "BODYSTRUCTURE ((((((((",
      "MODSEQ (18446744073709551615)", 'INTERNALDATE "99-Foo-9999 99:99:99 +9999"', 'PREVIEW (FUZZY ("x"))' },
  },
  code = {
    { "", "[ALERT] ", "[COPYUID 7 SET SET] ", "[COPYUID 7 1:3 4:6] ", "[APPENDUID 7 SET] ", "[HIGHESTMODSEQ NUMBER] ",
      "[NOMODSEQ] ", "[MODIFIED SET] ", "[UIDVALIDITY 8] ", "[UIDNEXT NUMBER] ", "[CLOSED] ", "[UNKNOWN-CTE] ",
      "[MESSAGELIMIT NUMBER NUMBER] ", '[INPROGRESS ("TAG" 1 2)] ', "[INPROGRESS] ", "[CAPABILITY IMAP4rev1] ",
      '[BADCHARSET (UTF-8 "x")] ', '[NOUPDATE "TAG"] ', "[NOTIFICATIONOVERFLOW] ", "[METADATA LONGENTRIES NUMBER] ",
      "[REFERRAL imap://x/] ", "[TRYCREATE] ", "[BADEVENT (x y)] ", "[READ-ONLY] ", "[OVERQUOTA] ", "[UNAVAILABLE] " },
    { "[COPYUID] ", "[COPYUID 0 SET x] ", "[APPENDUID x y] ", "[MESSAGELIMIT x] ", "[UIDVALIDITY 0] ",
      "[X {3}\r\nabc] ", '[X "unclosed ', "[]", "[", "[HIGHESTMODSEQ] ", '[INPROGRESS ("TAG" 4294967296 NIL)] ' },
  },
  data = {
    { "NUMBER EXISTS", "NUMBER EXPUNGE", "NUMBER RECENT", "NUMBER FETCH (ITEM ITEM)", "1 FETCH (UID 1 ITEM ITEM ITEM)",
      "2 FETCH (UID 2 ITEM)", "2 UIDFETCH (ITEM)", "VANISHED SET", "VANISHED (EARLIER) SET", "SEARCH",
      "SEARCH NUMBER 3", "SEARCH 1 2 (MODSEQ NUMBER)", "SORT 3 2 1", "SORT NUMBER", 'ESEARCH (TAG "TAG") UID ALL SET',
      "ESEARCH ALL SET", 'ESEARCH (TAG "TAG") UID MIN NUMBER COUNT NUMBER',
      'ESEARCH (TAG "TAG") UID PARTIAL (1:50 SET)', 'ESEARCH (TAG "TAG") UID ADDTO (1 SET) REMOVEFROM (0 SET)',
      'ESEARCH (TAG "TAG") UID ADDTO (NUMBER 1:1000000)', 'ESEARCH (TAG "x" MAILBOX INBOX UIDVALIDITY 1) UID ALL SET',
      "THREAD (1)(2)", "THREAD (1 2 (3)(NUMBER))", "THREAD " .. ("("):rep(99) .. "1" .. (")"):rep(99),
      'LIST (\\Noselect) "/" TEXT', "LIST (\\Sent) NIL TEXT", 'LIST () "/" TEXT ("OLDNAME" ("x"))',
      'LIST () "/" TEXT ("CHILDINFO" ("SUBSCRIBED"))', "LSUB () NIL TEXT", "STATUS a (MESSAGES NUMBER)",
      "STATUS TEXT (UIDNEXT 1 UNSEEN 2)", "STATUS a (SIZE 9223372036854775807)", "QUOTA a (STORAGE NUMBER NUMBER)",
      "QUOTAROOT a a", "METADATA a (/shared/comment TEXT)", "METADATA a /shared/comment",
      'NAMESPACE (("" "/")) NIL NIL', 'ID ("name" TEXT)', "ID NIL", "ACL a TEXT TEXT", "MYRIGHTS a TEXT",
      "CAPABILITY IMAP4rev1", "ENABLED QRESYNC", "ENABLED UTF8=ACCEPT", "ENABLED UIDONLY", "FLAGS (a b)",
      "LANGUAGE (TEXT)", "GENURLAUTH TEXT", "URLFETCH TEXT TEXT", "OK CODEwords", "NO CODEwords", "BAD CODEwords",
      "XFOO TEXT (a (b NUMBER))", "[COPYUID 7 1 2] x" },
    { "EXISTS", "EXPUNGE", "FETCH (ITEM)", "VANISHED", "VANISHED (", "SEARCH x", "ESEARCH (TAG", "THREAD ((((1",
      "THREAD ()", 'ESEARCH (TAG "TAG") UID X (((', "LIST ( NIL a", 'LIST () "//" a', "STATUS a (MESSAGES)",
      "STATUS a (", "QUOTA TEXT (", "METADATA TEXT (TEXT TEXT)", "NAMESPACE TEXT", "FLAGS (", "BYE CODEso long",
      "PREAUTH x", "", "CAPABILITY" },
  },
}
local SLOTS = { NUMBER = "number", SET = "set", TEXT = "text", ITEM = "item", CODE = "code" }

local BREAKS = { "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\0\r\n", "" }

local Server = {}
Server.__index = Server

--- A number from 1 to n, the next of this server's.
function Server:random(n)
  self.seed = self.seed * 16807 % 2147483647
  return self.seed % n + 1
end

function Server:pick(list) return list[self:random(#list)] end

-- True in so many of a hundred cases; `wild`: never of a server whose words fit the grammar.
function Server:chance(percent, wild)
  return not (wild and self.mild) and self:random(100) <= percent
end

-- A word of a kind, with what it is made of.
function Server:word(kind)
  local words = WORDS[kind]
  local text = self:pick(words[self:chance(30, true) and 2 or 1])
  text = text:gsub("%u+", function(slot)
    if slot == "TAG" then return self.tag or "A1" end
    return SLOTS[slot] and SLOTS[slot] ~= kind and self:word(SLOTS[slot]) or nil
  end)
  return text
end

function Server:line()
  if self:chance(3, true) then return "+ " .. self:word "text" .. "\r\n" end
  if self:chance(2, true) then return "A" .. self:random(30) .. " OK early\r\n" end
  return "* " .. self:word "data" .. (self:chance(8, true) and self:pick(BREAKS) or "\r\n")
end

-- The same with an octet changed, lost or told twice.
function Server:marred(text)
  if not self:chance(8, true) then return text end
  local at, how = self:random(#text + 1), self:random(4)
  if how == 1 then return text:sub(1, at - 1) .. string.char(self:random(256) - 1) .. text:sub(at + 1) end
  if how == 2 then return text:sub(1, at - 1) end
  if how == 3 then return text:sub(1, at) .. text:sub(self:random(at)) end
  return text:sub(1, at - 1) .. text:sub(at + self:random(5))
end

-- Says it, in one piece or in several.
function Server:put(text)
  while #text > 0 do
    local n = self:chance(50) and #text or self:random(#text)
    self.out[#self.out + 1] = text:sub(1, n)
    text = text:sub(n + 1)
  end
end

-- The answer to a command that is whole.
function Server:answer()
  local tag, how = self.tag, self:random(100)
  for _ = 1, self:random(6) - 1 do self:put(self:marred(self:line())) end
  if how <= 62 then
    self:put(tag .. " OK " .. self:word "code" .. "done\r\n")
  elseif how <= 80 then
    self:put(tag .. self:pick { " NO ", " BAD " } .. self:word "code" .. "not for hunter2\r\n")
  elseif how <= 84 then
    self.ended = true
  elseif how <= 88 then
    self:put(self:marred(tag .. " OK " .. self:word "code" .. "done" .. self:pick(BREAKS)))
  elseif how <= 90 then
    self:put(tag .. "1 OK wrong\r\n")
  elseif how <= 92 then
    self.flood = self:line():rep(20)
  end -- else nothing comes
end

-- A line ends in a literal.
function Server:announced(size, plus)
  local how = self:random(100)
  self.want = size
  if plus then
    if how <= 15 then
      self:put(self.tag .. " NO " .. self:word "code" .. "early\r\n")
      self.answered = true
    end
  elseif how <= 80 then
    self:put "+ go\r\n"
  elseif how <= 90 then
    self:put(self.tag .. self:pick { " NO ", " BAD " } .. self:word "code" .. "not that\r\n")
    self.want = nil
  elseif how <= 93 then
    self.ended = true
  elseif how <= 96 then
    self:put("* " .. self:word "data" .. "\r\n+ go\r\n")
  end
end

function Server:idle()
  if self:chance(90) then self:put "+ idling\r\n" end
  for _ = 1, self:random(4) do self:put(self:marred(self:line())) end
  if self:chance(10) then self:put(self.tag .. " OK by itself\r\n") end
end

-- A line of a command: its first, or one behind a literal.
function Server:take(line)
  self.heard[#self.heard + 1] = line
  if not self.inside then
    if line == "DONE" then
      if self:chance(90) then self:put(self.tag .. " OK idled\r\n") end
      return
    end
    self.tag, self.answered = line:match "^(A%d+) " or self.tag, false
    if self.well then return self:put(self.well(self.tag, line)) end
    if line:find "^A%d+ IDLE$" then return self:idle() end
  end
  self.inside = false
  local size, plus = line:match "{(%d+)(%+?)}$"
  if size then
    self:announced(tonumber(size), plus == "+")
  elseif not self.answered then
    self:answer()
  end
end

function Server:hear(bytes)
  self.input = self.input .. bytes
  while true do
    if self.want and #self.input < self.want then
      if not self.answered and self:chance(4) then
        self:put(self.tag .. self:pick { " NO early\r\n", " BAD early\r\n", " OK early\r\n" })
        self.answered = true
      end
      self.ended = self.ended or self:chance(1)
      return
    elseif self.want then
      self.input, self.want, self.inside = self.input:sub(self.want + 1), nil, true
    end
    local line, rest = self.input:match "^(.-)\r\n(.*)$"
    if not line then return end
    self.input = rest
    self:take(line)
  end
end

-- So many reads of one call are no accident.
local READS = 20000

function Server:read(seconds)
  self.reads = self.reads + 1
  if self.reads > READS then error("it goes on for ever", 0) end
  self.now = self.now + 0.1
  if self.out[1] then return table.remove(self.out, 1) end
  if self.flood then return self.flood end
  if self.ended then return nil, "closed" end
  self.now = self.now + (seconds or 1e9)
  return nil, "timeout"
end

--- A server.
-- @tparam number seed
-- @tparam boolean mild its words fit the grammar, and it comes far
-- @treturn table `transport`, `host` (with its clock), `heard` (lines of commands); `reads` may be set to 0; `well`
--   function(tag, line) → text: what it answers instead
function hostile.server(seed, mild)
  local self = setmetatable({
    seed = seed * 7919 % 2147483646 + 1, mild = mild, now = 0, reads = 0, input = "", out = {}, heard = {}, tag = "A1",
  }, Server)
  for _ = 1, 3 do self:random(2) end
  local words = hostile.WORDS .. self:pick { "", " LITERAL+", " LITERAL-", " IMAP4rev2 LITERAL-" }
  self.out[1] = "* PREAUTH [CAPABILITY IMAP4rev1 " .. words .. "] hi\r\n"
  self.transport = { close = function() end }
  function self.transport.write(_, bytes)
    self:hear(bytes)
    return true
  end
  function self.transport.read(_, seconds) return self:read(seconds) end
  self.host = setmetatable({ now = function() return self.now end }, { __index = loop.native })
  return self
end

return hostile
