--- `mail.imap.watch`: what happens in a mailbox, as one iterator that outlives its connections.
--
-- One connection after the other is made and followed (follow.lua); what was told is remembered (sync.lua), so a new
-- connection tells exactly what is missing. Here: connecting, waiting before the next try, giving up.
-- @module mail.imap.watch

local Err = require "mail.err"
local Follow = require "mail.imap.follow"
local Sync = require "mail.imap.sync"
local item_text = require("mail.imap.items").text
local iterator = require "mail.iterator"
local loop = require "mail.loop"
local run = require "mail.imap.run"

local watch = {}

--- Options besides those of connect.
watch.OPTIONS = {
  mailbox = "string?", since = "table?", items = "table?", existing = "boolean?", live = "boolean?",
  readonly = "boolean?", notify = "boolean?", connection = "boolean?", probe = "number?", poll = "number?",
  backoff = "table?",
}

-- A connection that listened so long was a good one: the next loss begins anew with short waits.
local GOOD = 60

-- Seconds of silence after which the link is probed.
local PROBE = 290

-- --- losing a connection -----------------------------------------------------------------------------

-- Another try brings the same again.
local ALWAYS_FATAL = { cancelled = true, invalid = true, unsupported = true, limit = true }

-- Before the mailbox was ever seen these mean a wrong option; later the server may get well again, and whoever wants
-- to know what is new by now does not wait for that.
local FATAL_AT_FIRST = { tls = true, rejected = true, dns = true, uidvalidity = true }

-- Connections that cannot be made, one after the other, until whoever wants to know what is new by now is told so.
local TRIES = 5

local function is_fatal(self, err)
  if ALWAYS_FATAL[err.kind] or not self.live and self.missed >= TRIES then return true end
  if err.temporary then return false end
  return err.kind == "auth" or FATAL_AT_FIRST[err.kind] and not (self.sync.uidvalidity and self.live)
end

-- Seconds to wait: doubled with each loss, and never the same for a thousand clients of one server.
local function delay(self, err)
  local seconds = math.min(self.backoff.min * 2 ^ self.losses, self.backoff.max)
  seconds = seconds * (1 + math.random() / 2)
  local asked = tonumber(err.retry_after)
  return asked and math.max(seconds, asked) or seconds
end

local function drop(self)
  local follow = self.follow
  self.follow, self.session = nil, nil
  if follow then follow:close() end
end

-- The connection is lost, or could not be made.
local function lost(self, err)
  drop(self)
  if is_fatal(self, err) then return nil, err end
  if self.listening and self.host.now() - self.listening >= GOOD then self.losses = 0 end
  self.listening = nil
  local seconds = delay(self, err)
  self.losses = math.min(self.losses + 1, 30)
  self.again = self.host.now() + seconds
  if self.connection then return { type = "disconnected", err = err, retry_in = seconds } end
end

-- Sleeps until the next try; false where the watch was closed meanwhile.
local function rest(self)
  while not self.ended and self.again do
    local left = self.again - self.host.now()
    if left <= 0 then
      self.again = nil
    else
      self.alarm = self.alarm or self.host.event()
      local ok, why = self.alarm:wait(left)
      if not ok and why ~= "timeout" then
        return nil, Err.new { kind = "cancelled", message = "the call was cancelled", protocol = "imap" }
      end
    end
  end
  return not self.ended
end

local function connect(self)
  local ok, err = rest(self)
  if not ok then return nil, err end
  local session
  session, err = self.connect()
  self.missed = session and 0 or self.missed + 1
  if not session then return lost(self, err) end
  if self.ended then
    session:close()
    return nil
  end
  self.session = session
  self.follow = Follow.new(session, {
    sync = self.sync, mailbox = self.mailbox, items = self.items, readonly = self.readonly, existing = self.existing,
    probe = self.probe, poll = self.poll, live = self.live, without_notify = self.without_notify,
  })
end

-- --- the iterator ------------------------------------------------------------------------------------

local function advance(self)
  while not self.ended do
    local event, err
    if not self.follow then
      event, err = connect(self)
    else
      event, err = self.follow:next()
      if event == nil and not err then return nil end
      if event == false then
        self.listening = self.host.now()
        event = self.connection and { type = "connected", session = self.session } or nil
      elseif err then
        if self.ended then return nil end
        event, err = lost(self, err)
      end
    end
    if event or err then return event, err end
  end
end

local function finish(self)
  if self.alarm then self.alarm:set() end
  drop(self)
  if self.on_end then self.on_end() end
end

local Watch = iterator.class(advance, finish)

--- What has been told, as a plain table: the `since` of a later watch. It belongs to the last event that was returned:
-- going on from it tells nothing again and leaves nothing out. nil before the mailbox was seen.
function Watch:state()
  local saved = self.sync:save()
  if saved then saved.mailbox = self.mailbox end
  return saved
end

-- Raises at the caller of `imap.watch`.
local function checked_state(since, mailbox)
  if not since then return Sync.new() end
  if since.mailbox ~= nil and since.mailbox ~= mailbox then
    error(("imap.watch: option 'since' is the state of '%s', not of '%s'"):format(tostring(since.mailbox), mailbox), 4)
  end
  local sync, why = Sync.new(since)
  if not sync then error("imap.watch: option 'since' is no state of a watch: " .. why, 4) end
  return sync
end

local function checked_items(items)
  for _, item in ipairs(items or {}) do item_text(item, 4) end
  return items or {}
end

--- Begins to watch; the first connection is made by the first `next`.
-- @tparam table o options of connect, settled, and those of `watch.OPTIONS`
-- @tparam function open () → session; or nil, err
-- @return as of `iterator.results`
function watch.start(o, open)
  local mailbox = o.mailbox or "INBOX"
  run.spans(o, { "probe", "poll" }, "imap.watch", 3)
  local self = {
    mailbox = mailbox, sync = checked_state(o.since, mailbox), items = checked_items(o.items),
    existing = o.existing ~= false, live = o.live ~= false, readonly = o.readonly ~= false,
    without_notify = o.notify == false, connection = o.connection, probe = o.probe or PROBE, poll = o.poll,
    backoff = run.backoff(o.backoff, "imap.watch", 3), losses = 0, missed = 0,
    host = o.loop and loop.adapter(o.loop, 3) or loop.host(), connect = open,
  }
  return iterator.results(setmetatable(self, Watch))
end

return watch
