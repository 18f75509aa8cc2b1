--- The mail of a game: each player's inbox by IMAP, what the game itself writes by SMTP, all of it inside of frames.
--
-- Nothing here waits for the game and nothing lets the game wait: `update` gives mail a slice of the frame, and the
-- game takes what has come from a list. Each connection is a task that comes back by itself when it is lost.
local mail = require "mail"

-- Read now: later it would be in the middle of a frame.
local imap_connect, smtp_connect = mail.imap.connect, mail.smtp.connect

local Postbox = {}
Postbox.__index = Postbox

-- Seconds until a lost connection is tried again, at first; doubled each time.
local AGAIN = 1

--- A postbox without players.
-- @tparam table o `imap` and `smtp` (URLs without account), `ssl`, `user` and `password` for sending, `complain`
--   function(text) for what goes wrong
local function new(o)
  return setmetatable({
    options = o, arrived = {}, outbox = {}, bell = mail.loop.host().event(), tasks = {},
    sent = 0, refused = 0, watching = 0,
  }, Postbox)
end

-- Runs `fn(connection)` for as long as the game lasts.
function Postbox:keep(connect, fn)
  local delay = AGAIN
  table.insert(self.tasks, mail.loop.spawn(function()
    while not self.closed do
      local session, err = connect()
      if session then
        delay = AGAIN
        err = fn(session)
        session:close()
      end
      if self.closed then return end
      self.options.complain(tostring(err))
      mail.loop.sleep(delay)
      delay = math.min(delay * 2, 60)
    end
  end))
end

-- Hands over what came since: nil, or the error that ended it.
function Postbox:collect(player, imap)
  local messages, err = imap:fetch(player.next_uid .. ":*", { "uid", "envelope", "body" })
  if not messages then return err end
  while true do
    local m
    m, err = messages:next()
    if not m then return err end
    if m.uid >= player.next_uid then
      player.next_uid = m.uid + 1
      table.insert(self.arrived, { player = player.name, subject = m.envelope.subject, text = m.body[""] })
    end
  end
end

--- A player comes: from now on new mail for them is put into `postbox.arrived`.
function Postbox:join(name, password)
  local o, player = self.options, { name = name }
  self:keep(function()
    return imap_connect { host = o.imap, user = name, password = password, ssl = o.ssl }
  end, function(imap)
    local box, err = imap:examine "INBOX"
    if not box then return err end
    if player.uidvalidity ~= box.uidvalidity then player.uidvalidity, player.next_uid = box.uidvalidity, box.uidnext end
    err = self:collect(player, imap) -- what came while the connection was lost
    local events
    if not err then events, err = imap:idle() end
    if err then return err end
    if not player.there then player.there, self.watching = true, self.watching + 1 end
    while true do
      local event
      event, err = events:next()
      if not event then return err end
      if event.type == "exists" then err = self:collect(player, imap) end
      if err then return err end
    end
  end)
end

-- Sends what lies in the outbox, one message after the other; a lost connection loses none.
function Postbox:post(smtp)
  while not self.closed do
    local letter = self.outbox[1]
    if letter then
      local receipt, err = smtp:send(letter)
      if not receipt and err.temporary then return err end
      table.remove(self.outbox, 1)
      if receipt then self.sent = self.sent + 1 else self.refused = self.refused + 1 end
      if err then self.options.complain(tostring(err)) end
    elseif not self.bell:wait(60) then
      local ok, err = smtp:noop() -- so that the server does not hang up; too many of them are taken for abuse
      if not ok then return err end
    end
  end
end

--- Opens the connection for sending.
function Postbox:open()
  local o = self.options
  self:keep(function()
    return smtp_connect { host = o.smtp, user = o.user, password = o.password, ssl = o.ssl }
  end, function(smtp) return self:post(smtp) end)
end

--- Puts a message into the outbox: `from`, `to`, `message` as `smtp:send` takes them.
function Postbox:send(letter)
  table.insert(self.outbox, letter)
  self.bell:set()
end

--- Once a frame: mail goes on for `budget` seconds at most.
function Postbox.update(_, budget)
  return mail.loop.step(0, { budget = budget })
end

--- The game is over: every connection is dropped.
function Postbox:close()
  self.closed = true
  for _, task in ipairs(self.tasks) do task:cancel() end
  while mail.loop.step(0.1) > 0 do end -- luacheck: ignore
end

return { new = new }
