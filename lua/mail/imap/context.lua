--- Results of searches that the server keeps up to date (CONTEXT, RFC 5267 §4.3).
--
-- What it adds and removes later names the search by its tag. Each such search has a table here; the
-- sets in it are replaced, never changed, so a set that was taken stays what it was.
-- @module mail.imap.context

local core = require "mail.core"
local set = require "mail.imap.set"

local context = {}

local Context = {}
Context.__index = Context
Context.__name = "mail.imap.context"

--- Begins to follow the search of command `id`.
-- @tparam table pump
-- @tparam number id
-- @tparam table fields `seq`, `sorted`
-- @treturn table context, not yet with a result
function context.open(pump, id, fields)
  local self = setmetatable({
    pump = pump, tag = pump.session:tag(id), seq = fields.seq or false, sorted = fields.sorted or false, live = true,
    box = set.box(pump), early = {},
  }, Context)
  pump.contexts = pump.contexts or {}
  pump.contexts[self.tag] = self
  return self
end

--- Nothing more is followed.
function context.drop(self)
  local contexts = self.pump.contexts
  self.live = false
  if contexts and contexts[self.tag] == self then
    contexts[self.tag] = nil
    if not next(contexts) then self.pump.contexts = nil end
  end
end

-- --- what the server adds and removes -------------------------------------------------------------

-- In the order of a sort: numbers come in at their place, and go from it (RFC 5267 §4.3.3, §4.3.4). More than the
-- mailbox has cannot be right: the server has lost its way, and is not followed any further.
local function update_array(self, change)
  local at, list, out = change.position, self.uids, {}
  local most = set.most(self.box)
  local numbers = core.seqset_list(change.set, most)
  if not numbers or change.op == "add" and #list + #numbers > most then return context.drop(self) end
  if change.op == "remove" then
    local gone = {}
    for _, number in ipairs(numbers) do gone[number] = true end
    for _, number in ipairs(list) do
      if not gone[number] then out[#out + 1] = number end
    end
  else
    if at < 1 or at > #list + 1 then at = #list + 1 end
    for i = 1, at - 1 do out[i] = list[i] end
    for _, number in ipairs(numbers) do out[#out + 1] = number end
    for i = at, #list do out[#out + 1] = list[i] end
  end
  self.uids = set.sorted(self.pump, self.box, out, self.seq)
end

-- In the order of the mailbox.
local function update_set(self, change)
  local ranges = core.uidset(change.set)
  if not ranges then return end
  local part = set.new(ranges:text())
  self.uids = change.op == "remove" and self.uids - part or self.uids + part
end

local function update(self, change)
  if self.sorted then update_array(self, change) else update_set(self, change) end
end

-- The answer itself has come: what was told before its end is made up for.
function context.begin(self, uids)
  self.uids = uids
  for _, change in ipairs(self.early) do update(self, change) end
  self.early = nil
end

local function texts(changes, op)
  local parts = {}
  for _, change in ipairs(changes) do
    if change.op == op then parts[#parts + 1] = change.set end
  end
  return parts[1] and table.concat(parts, ",") or nil
end

-- Makes an ESEARCH of the server's own an event of type "context".
local function changed(self, event, changes)
  event.type, event.context = "context", self
  event.added, event.removed, event.updates = texts(changes, "add"), texts(changes, "remove"), changes
  for _, change in ipairs(changes) do
    if self.early then self.early[#self.early + 1] = change else update(self, change) end
  end
end

--- Looks at an event before its handlers see it.
function context.follow(pump, event)
  if event.type == "esearch" and type(event.value) == "table" and event.value.updates then
    local self = pump.contexts[event.value.tag]
    if not self or self.box ~= set.box(pump) then return end
    if (event.value.uid or false) == not self.seq then changed(self, event, event.value.updates) end
  elseif event.type == "status" and event.code == "NOUPDATE" and pump.contexts[event.value] then
    event.type, event.context = "context", pump.contexts[event.value]
    context.drop(event.context)
  end
end

-- --- methods --------------------------------------------------------------------------------------

--- The result as it is now: the set of UIDs, in the order of the sort where it was one.
-- @treturn table set
function Context:result() return self.uids end

--- True while the server keeps it up to date: not after `cancel`, NOUPDATE, or another `select`.
function Context:is_live()
  return self.live and not self.pump.failure and self.box == set.box(self.pump)
end

--- Ends it (CANCELUPDATE).
-- @tparam[opt] table options `timeout`
-- @treturn boolean true; or nil, err
function Context:cancel(options)
  local run = require "mail.imap.run"
  if not self:is_live() then return true end
  context.drop(self)
  local ok, err = run.call(self.pump, options, nil, "CANCELUPDATE", "string", self.tag)
  if ok then return true end
  return nil, err
end

return context
