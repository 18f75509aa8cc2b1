-- Every call of an IMAP session against servers that answer at random (spec/support/hostile_imap.lua): it ends, in
-- time, with a result or an error of a kind that there is; nothing raises, no secret is told, nothing stays behind.
--
-- LM_ROUNDS=100000 LM_SEED=7 make it a long search.

local Err = require "mail.err"
local Pump = require "mail.pump"
local hostile = require "spec.support.hostile_imap"
local imap = require "mail.imap"

local ROUNDS = tonumber(os.getenv "LM_ROUNDS") or 400
local SEED = tonumber(os.getenv "LM_SEED") or 1

local KINDS = {
  closed = true, protocol = true, limit = true, rejected = true, timeout = true, unknown = true, invalid = true,
  unsupported = true, uidvalidity = true, io = true,
}

local LARGE = ("x"):rep(9000)

local function source(text)
  return function()
    local piece = text
    text = nil
    return piece
  end
end

-- Reads an iterator for a while: true; or nil, err.
local function some(it, err)
  if not it then return nil, err end
  for _ = 1, 30 do
    local item, why = it:next()
    if why then return nil, why end
    if not item then break end
  end
  it:close()
  return true
end

-- A result that the server keeps up to date, looked at now and then.
local function follow(session, found, err)
  if not found then return nil, err end
  local kept = found.context
  for _ = 1, kept and 2 or 0 do
    session:noop()
    local result = kept:result()
    assert(result == nil or type(result) == "table")
  end
  if kept then return kept:cancel() end
  return true
end

local function sink() return true end

local CALLS = {
  function(s) return s:noop() end,
  function(s) return s:select "INBOX" end,
  function(s) return s:select("b", { qresync = { uidvalidity = 7, modseq = 1, uids = "1:3" } }) end,
  function(s) return s:examine "b" end,
  function(s) return s:unselect() end,
  function(s) return some(s:fetch("1:*", { "uid", "flags" })) end,
  function(s) return some(s:fetch("$", { "uid", "body" })) end,
  function(s) return some(s:fetch("1:3", { "BINARY.PEEK[1]" })) end,
  function(s) return some(s:fetch("1:3", { "envelope", "bodystructure", "preview", "modseq", "headers" })) end,
  function(s) return some(s:fetch("1:3", { "uid", "body" }, { sink = sink })) end,
  function(s) return some(s:fetch("1:3", { "flags" }, { seq = true })) end,
  function(s) return s:fetch_all("1:3", { "uid", "body" }) end,
  function(s) return s:fetch_all("1:*", { "BINARY.PEEK[1]", "BINARY.SIZE[1]" }) end,
  function(s) return s:fetch_all("1:*", { "uid", "flags" }, { changed_since = 1, vanished = true }) end,
  function(s) return s:fetch_all("1:*", { "uid" }, { partial = "1:50" }) end,
  function(s) return s:flag_sets() end,
  function(s) return s:store("1:3", { add = { "\\Seen" } }) end,
  function(s) return s:store("1:3", { remove = { "x" } }, { unchanged_since = 5 }) end,
  function(s) return s:copy("1:3", "b") end,
  function(s) return s:move("1:3", "b") end,
  function(s) return s:expunge "1:3" end,
  function(s) return s:append("b", "x", { flags = { "\\Seen" } }) end,
  function(s) return s:append("b", LARGE) end,
  function(s) return s:append("b", source(LARGE), { size = #LARGE }) end,
  function(s) return s:append("b", { "a", LARGE, { message = "c", flags = { "x" } } }) end,
  function(s) return s:append("b", { catenate = { { url = "/INBOX/;UID=1" }, "text", LARGE } }) end,
  function(s) return s:append("b", "a\0b" .. LARGE, { binary = true }) end,
  function(s) return s:replace(1, "b", LARGE) end,
  function(s) return s:list("*", { status = { "messages" } }) end,
  function(s) return s:list("*", { metadata = "/shared/comment", special_use = true }) end,
  function(s) return s:list("*", { subscribed = true }) end,
  function(s) return s:status("a", { "messages", "size", "highestmodseq" }) end,
  function(s) return s:search "ALL" end,
  function(s) return s:search({ seen = true }, { ["return"] = { "min", "max", "count", "all" } }) end,
  function(s) return s:search({ seen = true }, { save = true }) end,
  function(s) return s:search("ALL", { partial = "1:50" }) end,
  function(s) return follow(s, s:search("ALL", { update = true })) end,
  function(s) return follow(s, s:sort("date", "ALL", { update = true })) end,
  function(s) return s:sort("date", "ALL") end,
  function(s) return s:sort("-date", "ALL", { ["return"] = { "all", "count" } }) end,
  function(s) return s:thread "REFS" end,
  function(s) return s:esearch("ALL", { mailboxes = "a" }) end,
  function(s) return s:quota "INBOX" end,
  function(s) return s:getmetadata("a", "/shared/comment") end,
  function(s) return s:setmetadata("a", { ["/shared/comment"] = "a\0b" }) end,
  function(s) return s:setmetadata("a", { ["/shared/comment"] = LARGE }) end,
  function(s) return s:namespace() end,
  function(s) return s:id { name = "x" } end,
  function(s) return s:acl "a" end,
  function(s) return s:myrights "a" end,
  function(s) return s:language() end,
  function(s) return s:enable "UTF8=ACCEPT" end,
  function(s) return s:notify { selected = { "MessageNew", "MessageExpunge", "FlagChange" } } end,
  function(s) return s:notify(false) end,
  function(s) return some(s:idle { timeout = 3 }) end,
  function(s) return s:create "c\195\164" end,
  function(s) return s:rename("a", "b {3}") end,
  function(s) return s:urlfetch { "imap://ann@h/INBOX/;UID=1" } end,
  function(s) return s:command("XFOO", "a", 1, { "b", '"x"' }, LARGE) end,
  function(s) return s:command_line "UID FETCH 1 FLAGS" end,
}

-- An answer as it should be, for what goes before.
local function well(tag, line)
  local data = line:find " SELECT " and "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 4] n\r\n" or ""
  return data .. tag .. " OK done\r\n"
end

local function open(server)
  local session = imap.session {
    limits = { answer = 3000000, message = 2000000, response = 200000, literal = 100000 },
  }
  local pump = Pump.open(session, server.transport, server.host, { timeout = 5 })
  pump.secrets = { "hunter2" }
  server.well = well
  assert(imap.greet(pump, {}, pump:deadline()))
  assert(session:select "INBOX")
  server.well = nil
  for _, kind in ipairs { "flags", "vanished", "mailbox_status", "context", "status" } do
    session:on(kind, function(event) assert(event.type == kind) end)
  end
  return session, pump
end

-- What is wrong with the end of a call; nil where nothing is.
local function fault(pump, ok, result, err)
  if not ok and not Err.is(result) then return "raised: " .. tostring(result) end
  if not ok then err = result end
  if ok and result ~= nil or err == nil then err = nil
  elseif not Err.is(err) or not KINDS[err.kind] then return "no error: " .. tostring(err)
  elseif (tostring(err) .. (err.text or "")):find("hunter2", 1, true) then return "secret: " .. tostring(err) end
  if ok and result == nil and err == nil then return "neither result nor error" end
  for id in pairs(not pump.failure and pump.queues or {}) do
    if id ~= pump.leaving then return "something is kept for nobody" end
  end
  if pump.waiting ~= 0 or pump.leading then return "somebody still waits" end
end

local function round(seed)
  local server = hostile.server(seed, seed % 2 == 0)
  local session, pump = open(server)
  for _ = 1, 12 do
    server.reads = 0
    local number = server:random(#CALLS)
    local why = fault(pump, pcall(CALLS[number], session))
    if why then
      error(("seed %d, call %d: %s\n%s"):format(seed, number, why, table.concat(server.heard, "\n")), 0)
    end
    if pump.failure then break end
  end
  session:close()
end

describe("IMAP servers at random", function()
  it("get nothing done but what they are asked", function()
    for seed = SEED, SEED + ROUNDS - 1 do round(seed) end
  end)
end)
