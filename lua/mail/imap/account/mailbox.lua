--- A mailbox of an account: what `account:open` gives. Each call runs on a link that has it selected.
--
-- It holds no link. Numbers are UIDs of one life of the mailbox: where the server's UID validity has become another
-- one, calls fail with kind "uidvalidity" and touch nothing.
-- @module mail.imap.account.mailbox

local ascii = require "mail.ascii"
local Err = require "mail.err"
local iterator = require "mail.iterator"
local methods = require "mail.imap.account.methods"
local query = require "mail.imap.query"

local Mailbox = {}

local classes = { methods = {}, Loop = nil }

-- --- loops over messages ------------------------------------------------------------------------------

-- The next message. A link that died before the first one is replaced by another.
local function advance(self)
  local item, err = self.inner:next()
  while err and not self.begun and self.restart and self.restart(self, err) do item, err = self.inner:next() end
  self.begun, self.vanished = true, self.inner.vanished
  return item, err
end

local function finish(self)
  self.inner:close()
  if self.lease then self.links:release(self.lease) end
end

local Loop = iterator.class(advance, finish)

-- --- the methods --------------------------------------------------------------------------------------

-- "$" in criteria that are a text: the core of `search` looks into tables only.
local function names_saved(what) return type(what) == "string" and (" " .. what .. " "):find "[%s(]%$[%s),]" end

for name, row in pairs(methods.mailbox) do
  Mailbox[name] = function(self, ...)
    if names_saved((...)) then
      return nil, Err.new { kind = "invalid", protocol = "imap", command = ascii.upper(name),
        message = "'$' is known to one connection: use account:with" }
    end
    local results = self.account:run(name, row, self, ...)
    if results.misuse then error(results.misuse, 2) end
    return self.account.results(results)
  end
end

--- Fetches messages, as `imap:fetch` does. The link is lent until the loop has ended: at its end, by `it:close()`, or
-- by a `break` in Lua 5.4; in other versions a loop that is left by `break` or `return` gives it back once the
-- collector has seen it. Calls made in the body of the loop, by the same coroutine, use the same link.
-- @return an iterator; or nil, err
function Mailbox:fetch(set, items, options)
  local account = self.account
  local function start()
    return account:borrow(self, set, items, options)
  end
  local results, lease = start()
  if results.misuse then error(results.misuse, 2) end
  if not results[2] then return account.results(results) end
  local state = { inner = results[2], lease = lease, links = account.links }
  state.restart = lease and not (type(options) == "table" and options.sink) and function(loop)
    if not account.is_lost(loop.lease) then return false end
    loop.inner:close()
    loop.links:release(loop.lease)
    loop.lease, loop.restart = nil, nil
    local more, other = start()
    if not more[2] then return false end
    loop.inner, loop.lease = more[2], other
    if other then other.loop, other.inner = setmetatable({ loop }, { __mode = "v" }), loop.inner end
    return true
  end or nil
  setmetatable(state, Loop)
  if lease then lease.loop, lease.inner = setmetatable({ state }, { __mode = "v" }), state.inner end
  return iterator.results(state)
end

--- Messages by criteria, as `imap:messages`: a query, which does nothing yet.
-- @tparam[opt] table what criteria
-- @treturn table query
function Mailbox:messages(what)
  local made = query.of(self, what, 3)
  return made
end

--- Lends a link with the mailbox selected: see `account:with`.
function Mailbox:with(fn)
  if type(fn) ~= "function" then error("mailbox:with: a function expected, got " .. type(fn), 2) end
  return self.account:lend(self, nil, fn)
end

--- Puts messages into it: `account:append`. @treturn table; or nil, err
function Mailbox:append(message, options)
  local results = self.account:run("append", methods.account.append, nil, self.name, message, options)
  if results.misuse then error(results.misuse, 2) end
  return self.account.results(results)
end

--- Its figures: `account:status`. @treturn table; or nil, err
function Mailbox:status(items, options)
  local results = self.account:run("status", methods.account.status, nil, self.name, items, options)
  if results.misuse then error(results.misuse, 2) end
  return self.account.results(results)
end

--- True where the server has the capability.
function Mailbox:has(name) return self.account:has(name) end

-- What sets ask of a session.
function Mailbox:has_capability(name) return self.account:has(name) == true end

local class = { __index = Mailbox, __name = "mail.imap.account.mailbox" }
function class:__tostring() return ("%s in %s"):format(self.name, tostring(self.account)) end

--- A mailbox of an account.
-- @tparam table account
-- @tparam string name
-- @tparam boolean readonly
-- @tparam ?number uidvalidity
function classes.new(account, name, readonly, uidvalidity)
  return setmetatable({ account = account, name = name, readonly = readonly, uidvalidity = uidvalidity }, class)
end

return classes
