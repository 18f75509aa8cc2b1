--- `session:new_messages(seen)`: mail that stays on the server, and what is new of it since the last session.
--
-- A message is known by its unique id (RFC 1939 §7). Two messages of the same id are told apart by their
-- order: the second is kept as "id 2", which no id can be, since there is no space in one.
-- Invariant: what stands in `seen` was handed out, and the loop went on behind it; whatever breaks off before
-- that repeats a message and loses none.
-- @module mail.pop3.leave

local Pump = require "mail.pump"
local iterator = require "mail.iterator"
local messages = require "mail.pop3.messages"
local run = require "mail.pop3.run"
local want = require "mail.want"

local DAY = 86400
-- DELEs on their way whose answers nobody has looked at.
local WINDOW = 64
local OPTIONS = { timeout = "number|table?", delete_after = "number?" }

-- --- the saved set ----------------------------------------------------------------------------------

local function bad(level)
  error("pop3:new_messages: the seen set must be an array of uids or a table uid = seconds", level)
end

-- A copy of what was saved: uid → epoch seconds. A serializer may have made numbers of uids in digits.
local function read_seen(given, now)
  local seen = {}
  if given == nil then return seen end
  if type(given) ~= "table" then bad(4) end
  for key, value in pairs(given) do
    if type(key) == "number" and type(value) == "string" then
      seen[value] = now
    elseif type(value) == "number" or value == true then
      if type(key) == "number" and key % 1 == 0 and math.abs(key) < 2 ^ 63 then key = ("%d"):format(key) end
      if type(key) ~= "string" then bad(4) end
      seen[key] = value ~= true and value <= now and value or now
    else
      bad(4)
    end
  end
  return seen
end

-- The key of a message, given those before it: `count` says how often each id has come. One without an id has none.
local function key_of(uid, count)
  if not uid then return nil end
  local n = (count[uid] or 0) + 1
  count[uid] = n
  return n == 1 and uid or ("%s %d"):format(uid, n)
end

-- --- deleting ---------------------------------------------------------------------------------------

-- Looks at the oldest answers, until `most` are left. true | nil, err
local function settle(self, most)
  local dele = self.deles
  while dele.last - dele.first + 1 > most do
    local entry = dele[dele.first]
    dele[dele.first] = nil
    dele.first = dele.first + 1
    local text, err = run.finish(self.pump, entry.id, "DELE", self.options)
    if text then
      self.deleted[#self.deleted + 1] = entry.uid
    elseif err.kind ~= "rejected" then
      return nil, err
    end -- refused: it stays, and its time will come again
  end
  return true
end

-- Asks for the deletion; the answer is looked at later, so that nobody waits for it.
local function delete(self, number, uid)
  local id, err = run.begin(self.pump, "dele", number)
  if not id then return nil, err end
  local dele = self.deles
  dele.last = dele.last + 1
  dele[dele.last] = { id = id, uid = uid }
  return settle(self, WINDOW - 1)
end

local function is_due(self, since)
  return self.after and self.now - since >= self.after
end

-- --- the iterator -----------------------------------------------------------------------------------

-- A server without UIDL cannot say what is new. Of an empty maildrop nothing is, whatever UIDL says.
local function no_uidl(pump, err)
  if err.temporary or (pump.capabilities and pump.capabilities.UIDL) then return nil, err end
  return nil, pump:error("unsupported", "the server has no UIDL: what is new cannot be told",
    { command = "UIDL", text = err.text })
end

-- Of the set: what is still there. Of the listing: what the set lacks, in order; deletes what is due.
local function sift(self, listing)
  local seen, fresh, keys, due, count = {}, {}, {}, {}, {}
  for i = 1, listing:count() do
    local _, _, uid = listing:item(i)
    local key = key_of(uid, count)
    local since = key and self.seen[key]
    if since then
      seen[key] = since
      if is_due(self, since) then due[#due + 1] = i end
    else
      fresh[#fresh + 1] = i
      keys[#fresh] = key or false
    end
  end
  for key in pairs(self.seen) do self.seen[key] = seen[key] end
  for _, i in ipairs(due) do
    local number, _, uid = listing:item(i)
    local ok, err = delete(self, number, uid)
    if not ok then return nil, err end
  end
  listing:only(fresh)
  self.keys = keys
  return true
end

local function start(self)
  local listing, refused = messages.listing(self.pump, self.options)
  if not listing then return nil, refused end
  if refused and listing:count() > 0 then return no_uidl(self.pump, refused) end
  local ok, err = sift(self, listing)
  if not ok then return nil, err end
  self.ahead = messages.ahead(self.pump, listing)
  return self.ahead
end

-- The loop has gone on: the message counts as seen, unless it could not be fetched.
local function leave_behind(self, ahead)
  local m = self.message
  self.message = nil
  if not m or not messages.is_dealt_with(m) then return true end
  local key = self.keys[ahead.at]
  if key then self.seen[key] = self.now end
  if not is_due(self, self.now) then return true end
  local number, _, uid = ahead.listing:item(ahead.at)
  return delete(self, number, uid)
end

local New = iterator.class(function(self)
  local ahead = self.ahead
  local ok, err
  if ahead then
    ok, err = leave_behind(self, ahead)
  else
    ok, err = start(self)
    ahead = self.ahead
  end
  if not ok then return nil, err end
  self.message, err = messages.next(ahead)
  if self.message then return self.message end
  if err then return nil, err end
  ok, err = settle(self, 0)
  if not ok then return nil, err end
end, function(self)
  if self.ahead then messages.close(self.ahead) end
  local dele = self.deles
  for i = dele.first, dele.last do self.pump:abandon(dele[i].id) end -- what is on its way still counts
  dele.last = dele.first - 1
end)

local methods = {}

--- Iterates over the messages that the saved set lacks, in order, and makes the set to save next.
--
--     local new = pop:new_messages(saved)          -- saved: new.seen of the last session, or nil
--     for m in new do store(assert(m:retr())) end
--     local ok, err = pop:quit()                   -- deletions are final now, or (err) perhaps not
--     save(new.seen)                               -- either way
--
-- `new.seen` is a plain table, uid → seconds since 1970 when it was first seen, for any serializer. It is
-- up to date at each moment: a message is in it once the loop has gone on behind it (asked for the next or for
-- the end), so a `break`, an error or a crash repeats the one that the loop was at, and loses none. One whose
-- `retr` failed last, or whose `m:again()` was called, is not in it either. Ids that the server does not list
-- any more drop out, so the set is never larger than the maildrop, and a server that has given new
-- ids to everything gives everything anew. A message without an id comes in each session.
-- Messages are asked for ahead, as by `messages`.
--
-- With `delete_after` what was first seen so many days ago (of 86400 seconds) is marked as deleted; 0: each once
-- the loop has gone on behind it. `new.deleted` is an array of the uids whose DELE the server has granted; one that it
-- refuses stays, and is tried again in the next session. Nothing is gone before `quit`
-- has been answered; where it fails, or is not called, the messages may still be there: they are in `seen`, so they
-- do not come twice, and are deleted in the next session. RFC 1939 §6.
-- @tparam[opt] table seen what was saved; or an array of uids (first seen now); it is not changed
-- @tparam[opt] table options `delete_after`, days; `timeout` for the listings and for each DELE
-- @return an iterator (see `mail.iterator`) with the fields `seen` and `deleted`. Its error has kind "unsupported"
--   where the server has no UIDL
function methods:new_messages(seen, options)
  if options ~= nil then want(options, OPTIONS, "pop3:new_messages") end
  local after = options and options.delete_after
  if after and (after < 0 or after ~= after) then error("pop3:new_messages: delete_after must not be negative", 2) end
  local pump = Pump.of(self)
  if not pump then error("pop3:new_messages: a session without a transport", 2) end
  local now = os.time()
  return iterator.results(setmetatable({
    pump = pump, options = options, now = now, after = after and after * DAY,
    seen = read_seen(seen, now), deleted = {}, deles = { first = 1, last = 0 },
  }, New))
end

return methods
