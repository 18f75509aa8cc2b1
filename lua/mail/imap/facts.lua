--- What a server says unasked while a mailbox is followed, and what is to be asked because of it.
--
-- Facts are kept in the order in which they came, in `inbox`, and taken before anything else is asked. Only a UID
-- names a message; a number, or a word out of its place, is a reason to ask (`look`, `recount`, `compare`, `numbers`
-- of follow.lua).
-- @module mail.imap.facts

local Ranges = require "mail.imap.ranges"

local facts = {}

-- By the type of the event: function(self, event) → an event for the user; or nil, err.
local kinds = {}

-- More than the server had before, whatever is known: some of those may be gone without a word so far.
function kinds.exists(self, event)
  if event.exists > self.count then self.look = true end
  self.count = event.exists
end

-- Numbers are not trusted to find the message: it is asked which are left.
function kinds.expunge(self)
  self.recount, self.count = true, self.count - 1
  if self.numbers[1] then self.numbers, self.compare = {}, true end
end

function kinds.vanished(self, event)
  local uids = Ranges.of(event.uids)
  if not event.earlier then self.count = math.max(0, self.count - uids.count) end
  if self.way == "qresync" and not event.earlier then return self.sync:vanished(uids) end
  self.recount = true -- said out of its place
end

function kinds.flags(self, event)
  if event.uid and event.uid > 0 then
    local made, ask = self.sync:flags_of(event.message)
    if ask then self.compare = true end
    return made
  elseif self.way == "flags" and event.seq and not self.pump.notify then
    table.insert(self.numbers, event.seq)
  else
    self.compare = true
  end
end
kinds.fetch = kinds.flags

function kinds.overflow(self)
  self.compare, self.look, self.recount, self.without_notify = true, true, true, true
end

function kinds.status(self, event)
  local gone = event.code == "CLOSED" or event.code == "UIDVALIDITY" and event.value ~= self.sync.uidvalidity
  if not gone then return nil end
  return nil, self.pump:error("closed", "the mailbox is another one now: " .. tostring(event.text))
end

--- Keeps what the server says unasked, from SELECT on.
function facts.listen(self)
  for kind in pairs(kinds) do
    self.offs[#self.offs + 1] = self.session:on(kind, function(event)
      if self.box then self.inbox[#self.inbox + 1] = event end
    end)
  end
end

--- The next event that a fact makes; nil where all are taken; or nil, err.
function facts.take(self)
  while self.taken < #self.inbox do
    self.taken = self.taken + 1
    local fact = self.inbox[self.taken]
    self.inbox[self.taken] = false
    local event, err = kinds[fact.type](self, fact)
    if event or err then return event, err end
  end
  if self.taken > 0 then self.inbox, self.taken = {}, 0 end
end

--- An answer that does not say which message it is of: as good as a fact that does not.
function facts.nameless(self, m)
  kinds.flags(self, m)
end

return facts
