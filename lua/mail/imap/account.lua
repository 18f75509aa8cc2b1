--- `mail.imap.account`: one account over several connections, for any number of coroutines.
--
-- A call takes a link that is free, opens one, or waits for one in its turn (account/links.lua); its deadline counts
-- from the call. What changes something is never sent twice: a call is made again on another link only where it
-- reads, or where nothing of it was sent. So a link that was long unused is asked (NOOP) before a change.
-- A session keeps its mailbox, and its numbers, to itself; here a mailbox is named in each call, or lent by `with`.
-- In nginx connections are a request's: there an account lives in `mail.resty.owner` or within one request.
-- @module mail.imap.account

local ascii = require "mail.ascii"
local Links = require "mail.imap.account.links"
local Mailbox = require "mail.imap.account.mailbox"
local guarded = require "mail.guarded"
local limits = require "mail.imap.account.limits"
local methods = require "mail.imap.account.methods"
local run = require "mail.imap.run"
local want = require "mail.want"
local watch = require "mail.imap.watch"

local unpack = table.unpack or unpack -- luacheck: ignore
local function pack(...) return { n = select("#", ...), ... } end

local account = {}

--- Options besides those of connect.
account.OPTIONS = {
  links = "number?", max_links = "number?", idle = "number?", keep = "number?", check = "number?", queue = "number?",
  backoff = "table?",
}

-- How often a call is made again on another link.
local REPEATS = 2

local Account = {}
local class = { __index = Account, __name = "mail.imap.account" }

--- What a call returned, as values; raises what it raised.
function Account.results(results)
  if not results[1] then error(results[2], 0) end
  return unpack(results, 2, results.n)
end

local function nothing(err) return { true, nil, err, n = 3 } end

-- A wrong argument, blamed on a line of ours or on pcall's none: the words, for the caller's.
local function misuse_of(results)
  local why = results[2]
  if results[1] or type(why) ~= "string" then return nil end
  return why:match "^imap:.*$" or why:match "^[^\n]-imap[/\\]account[^\n]-:%d+: (imap:.*)$"
end

-- --- time ---------------------------------------------------------------------------------------------

-- Seconds for a call, waiting for a link and all.
local function patience(self, options)
  local seconds = type(options) == "table" and options.timeout
  if seconds == nil or seconds == false then seconds = self.timeout end
  if type(seconds) == "table" then seconds = seconds.answer or self.answer end
  return type(seconds) == "number" and seconds or self.answer
end

-- The arguments, with what is left of the time among the options.
local function with_time(self, args, row, deadline)
  local at = row[1]
  if not at or row.stream or type(args[at]) ~= "table" and args[at] ~= nil then return args end
  local copy, options = { n = math.max(args.n, at) }, {}
  for i = 1, args.n do copy[i] = args[i] end
  for name, value in pairs(args[at] or {}) do options[name] = value end
  local left = math.max(0, deadline - self.links.host.now())
  local given = options.timeout
  if given == nil then given = self.timeout end
  local data = type(given) == "table" and given.data or nil
  if given ~= nil and type(given) ~= "table" and type(given) ~= "number" then return args end -- the method raises
  options.timeout = data and { answer = left, data = data } or left
  copy[at] = options
  return copy
end

-- All spell INBOX the same way (RFC 9051 §5.1).
local function canonical(name)
  return #name == 5 and ascii.upper(name) == "INBOX" and "INBOX" or name
end

-- --- getting ready ------------------------------------------------------------------------------------

local function is_lost(lease)
  return lease ~= nil and lease.link ~= nil and lease.link.pump.failure ~= false
end
Account.is_lost = is_lost

-- Another life of the mailbox: nothing that was found before names anything now.
local function other_life(place, box)
  return Links.error("uidvalidity", ("the UID validity of '%s' is %s, not %s"):format(place.name,
    tostring(box.uidvalidity), tostring(place.uidvalidity)), { uidvalidity = box.uidvalidity })
end

-- Opens the mailbox on that link, unless it is: its table; or nil, err.
local function select(link, place, timeout)
  if not Links.has_open(link, place.name, place.readonly) then
    link.box = nil
    local box, err = link.session:select(place.name, { readonly = place.readonly, timeout = timeout })
    if not box then return nil, err end
    link.box, link.name, link.readonly = box, place.name, place.readonly
  end
  if place.uidvalidity and link.box.uidvalidity ~= place.uidvalidity then return nil, other_life(place, link.box) end
  return link.box
end

-- Others of our links may have changed the mailbox since this one last heard of it: servers tell a connection what is
-- new, and search in it, when it asks (NOOP). True; or nil, err.
local function version(self, name) return (self.changes[name] or 0) + self.loans end

local function catch_up(self, link, timeout)
  local now = version(self, link.name)
  if link.heard == now then return true end
  local ok, err = link.session:noop { timeout = timeout }
  if ok then link.heard = now end
  return ok, err
end

-- Makes a link ready for a call: true, and the mailbox's table; or nil, err.
local function prepare(self, link, place, row, deadline)
  local now = self.links.host.now()
  local left = math.max(0, deadline - now)
  local selects = place and not Links.has_open(link, place.name, place.readonly)
  if not selects and not row.again and now - link.used > self.check then
    local ok, err = link.session:noop { timeout = left }
    if not ok then return nil, err end
  end
  local ok, err = true, nil
  if not selects and link.box and link.box == link.pump.mailbox then ok, err = catch_up(self, link, left) end
  if not ok or not place then return ok, err end
  local heard = selects and version(self, place.name)
  local box
  box, err = select(link, place, left)
  link.heard = heard or link.heard
  return box and true, box or err
end

-- A call may have changed a mailbox, or, where no name is given, any: the other links have to hear of it.
local function changed(self, name, link)
  local knew = link.name and link.heard == version(self, link.name)
  if name then self.changes[name] = (self.changes[name] or 0) + 1 else self.loans = self.loans + 1 end
  if knew then link.heard = version(self, link.name) end
end

-- --- calls --------------------------------------------------------------------------------------------

local function wanted(place, row)
  return { mailbox = place and place.name, readonly = place and place.readonly or false,
    lock = place and row.lock and not place.readonly or nil }
end

-- A link that is ready: it, the mailbox's table, and the lease, nil where the coroutine had the link already; or nil,
-- err, and true where another link may do.
local function take(self, row, place, deadline)
  local links, need = self.links, wanted(place, row)
  local link = links:own(need)
  if link then
    local ok, box = prepare(self, link, place, { again = true }, deadline)
    if ok then return link, box end
    return nil, box
  end
  local lease, err = links:acquire(need, deadline)
  if not lease then return nil, err end
  local ok, box = prepare(self, lease.link, place, row, deadline)
  if ok then return lease.link, box, lease end
  local lost = is_lost(lease)
  if limits.is_throttled(box) then links:throttled(box) end
  links:release(lease)
  return nil, box, lost
end

-- Whether a call that failed so may be made again: `false` where the caller is to know.
local function may_repeat(self, row, lease, err)
  if type(err) ~= "table" then return false end
  if limits.is_throttled(err) and err.kind == "rejected" then
    self.links:throttled(err)
    return row.again
  end
  return row.again and is_lost(lease)
end

-- Runs fn(link, box) on a link until it is done: what it returned, packed behind pcall's word; and the lease, where
-- `keep` says that it stays and the call went well.
local function perform(self, row, place, deadline, keep, fn)
  local links, repeats = self.links, 0
  while true do
    local link, box, lease = take(self, row, place, deadline)
    if link then
      if lease then lease.link.pump.shared = not row.lent or nil end
      local results = pack(guarded(fn, link, box))
      local failed = not results[1] or results[2] == nil and results[3] ~= nil
      if row.lent and not (place and place.readonly) then
        changed(self, nil, link)
      elseif row.lock then
        changed(self, place.name, link)
      end
      link.doubt = link.doubt or place and failed
      if not failed and keep then return results, lease end
      local again = results[1] and failed and lease and may_repeat(self, row, lease, results[3])
      if lease then links:release(lease) end
      if not again or repeats >= REPEATS then
        results.misuse = not row.lent and misuse_of(results) or nil
        return results
      end
    elseif not lease or repeats >= REPEATS then
      return nothing(box)
    end
    repeats = repeats + 1
    links.count.repeated = links.count.repeated + 1
  end
end

local function begin(self)
  if self.links.closed then return nil, Links.error("closed", "the account is closed") end
  return self.links:bind()
end

-- Calls a method of a session: packed results with `misuse`, the words of a wrong argument.
function Account:run(name, row, place, ...)
  local host, err = begin(self)
  if not host then return nothing(err) end
  local args = pack(...)
  local options = row[1] and args[row[1]]
  local deadline = host.now() + patience(self, options)
  if row.stream and type(options) == "table" and options.sink then row = { row[1], stream = true } end -- it has poured
  local results = perform(self, row, place, deadline, false, function(link)
    local timed = with_time(self, args, row, deadline)
    return link.session[name](link.session, unpack(timed, 1, timed.n))
  end)
  local into = args[row.into]
  if type(into) == "string" then self.changes[canonical(into)] = (self.changes[canonical(into)] or 0) + 1 end
  return results
end

local FETCH = { 3, again = true, stream = true }

-- Begins a fetch: packed results, and the lease that the loop keeps.
function Account:borrow(place, set, items, options)
  local host, err = begin(self)
  if not host then return nothing(err) end
  return perform(self, FETCH, place, host.now() + patience(self, options), true, function(link)
    return link.session:fetch(set, items, options)
  end)
end

-- Lends a link to the user's function.
function Account:lend(place, options, fn)
  local host, err = begin(self)
  if not host then return nil, err end
  local row = { lock = true, lent = true }
  local results = perform(self, row, place, host.now() + patience(self, options), false, function(link, box)
    return fn(link.session, box)
  end)
  return Account.results(results)
end

for name, row in pairs(methods.account) do
  Account[name] = function(self, ...)
    local results = self:run(name, row, nil, ...)
    if results.misuse then error(results.misuse, 2) end
    return Account.results(results)
  end
end

-- --- mailboxes ----------------------------------------------------------------------------------------

local OPEN = { readonly = "boolean?", uidvalidity = "number?", timeout = "number|table?" }

local function place_of(self, name, options, what)
  if type(name) ~= "string" then error(("account:%s: a mailbox expected, got %s"):format(what, type(name)), 3) end
  want(options or {}, OPEN, "account:" .. what, 2)
  options = options or {}
  return Mailbox.new(self, canonical(name), options.readonly or false, options.uidvalidity)
end

--- A mailbox to work with: `search`, `sort`, `thread`, `fetch`, `fetch_all`, `flag_sets`, `messages`, `store`, `copy`,
-- `move`, `expunge`, `replace`, `append`, `status` of a session, each on a link that has it selected; what one finds
-- another may use. `box` is the table of `imap:select`.
-- @tparam string name
-- @tparam[opt] table options `readonly` (EXAMINE), `uidvalidity` (fail with kind "uidvalidity" where it is another),
--   `timeout`
-- @treturn table mailbox; or nil, err
function Account:open(name, options)
  local place = place_of(self, name, options, "open")
  local host, err = begin(self)
  if not host then return nil, err end
  local results = perform(self, { again = true }, place, host.now() + patience(self, options), false, function(_, box)
    return box
  end)
  local box = results[2]
  if not results[1] or not box then return Account.results(results) end
  place.uidvalidity, place.box = box.uidvalidity, box
  return place
end

--- Lends a link: `fn(session, box)` has it for itself, with the mailbox selected, until it returns. Meanwhile no other
-- coroutine has the mailbox by `with`, and changes that others ask for wait, unless `readonly`. All methods of a
-- session may be used; handlers, IDLE and "$" end with the loan. Calls of the account made inside use that link where
-- it suits, so that a coroutine does not wait for itself.
-- @tparam ?string name nil: a link with whatever is selected
-- @tparam[opt] table options `readonly`, `uidvalidity`, `timeout` (of getting there, not of `fn`)
-- @tparam function fn what it returns is returned, what it raises is raised. It is called once: where the link dies
--   inside, its calls say so
-- @return the function's values; or nil, err
function Account:with(name, options, fn)
  if type(options) == "function" and fn == nil then options, fn = nil, options end
  if type(name) == "function" and options == nil then name, fn = nil, name end
  if type(fn) ~= "function" then error("account:with: a function expected, got " .. type(fn), 2) end
  local place = name ~= nil and place_of(self, name, options, "with") or nil
  return self:lend(place, options, fn)
end

-- What a set that one of our links found acts on.
function Account:place(name, uidvalidity, box)
  return Mailbox.new(self, canonical(name or "INBOX"), box ~= nil and box.name == name and self:is_examined(box),
    uidvalidity)
end

-- True where the mailbox was opened by EXAMINE at our wish.
function Account:is_examined(box)
  for _, link in ipairs(self.links.links) do
    if link.box == box then return link.readonly end
  end
  return false
end

-- --- watching -----------------------------------------------------------------------------------------

--- Watches a mailbox, by a connection of its own among the account's: `mail.imap.watch`.
-- @tparam[opt] table options of `mail.imap.watch` besides those of connect
-- @return as of `mail.imap.watch`; or nil, err: kind "limit" where no link would be left to work with
function Account:watch(options)
  options = want(options or {}, watch.OPTIONS, "account:watch")
  local o = {}
  for name, value in pairs(self.options) do o[name] = value end
  for name, value in pairs(options) do o[name] = value end
  local it
  local links = self.links
  local none, nothing_more, closing
  it, none, nothing_more, closing = watch.start(o, function() return links:watch(it) end)
  if links.closed then return nil, Links.error("closed", "the account is closed") end
  local ok, err = links:reserve(it)
  if not ok then return nil, err end
  it.on_end = function() links:unreserve(it) end
  return it, none, nothing_more, closing
end

-- --- the end ------------------------------------------------------------------------------------------

--- What it does now, and has done.
-- @treturn table `links`, of which `idle` and `busy`; `opening`; `watching`; `waiting`: calls without a link; `limit`:
--   connections that it would have at most at the moment; `opened`, `lost`, `throttled`, `repeated`: counts;
--   `retry_in`: seconds until the server is asked again, nil unless it refused; `error`: why
function Account:stats() return self.links:stats() end

--- Drops all connections at once; calls under way get kind "closed". Idempotent. @treturn boolean true
function Account:close()
  if not self.links.closed then self.links:close() end
  return true
end

class.__close = Account.close

function class:__tostring()
  local o, links = self.options, self.links
  return ("mail.imap.account (%s:%d, %s)"):format(o.host, o.port,
    links.closed and "closed" or ("%d links"):format(#links.links))
end

-- --- making one ---------------------------------------------------------------------------------------

-- A number, or its default. Raises at the caller of `mail.imap.account`.
local function number(o, name, otherwise, least, whole)
  local value = o[name]
  if value == nil then return otherwise end
  if value < least or value ~= value or whole and value % 1 ~= 0 then
    error(("imap.account: option '%s' must be a %snumber from %g on"):format(name, whole and "whole " or "", least), 4)
  end
  return value
end

--- An account over options of connect, settled; see `mail.imap.account`.
-- @tparam table o
-- @tparam function open (o) → session; or nil, err
function account.new(o, open)
  local allowed = number(o, "max_links", limits.of_host(o.host) or math.huge, 1, true)
  local count = math.min(number(o, "links", 4, 1, true), allowed)
  local backoff = run.backoff(o.backoff, "imap.account", 3)
  local settings = {
    max = count, idle = number(o, "idle", 60, 0), keep = number(o, "keep", 0, 0, true),
    queue = number(o, "queue", 10000, 1), timeout = o.timeout, loop = o.loop,
    backoff = backoff,
  }
  local timeout = o.timeout or 30
  local self = setmetatable({
    options = o, timeout = o.timeout, changes = {}, loans = 0, check = number(o, "check", 5, 0),
    answer = type(timeout) == "table" and (timeout.answer or 30) or timeout,
  }, class)
  for name in pairs(account.OPTIONS) do o[name] = nil end
  settings.account = self
  function settings.connect(seconds)
    local copy = {}
    for name, value in pairs(o) do copy[name] = value end
    copy.timeout, copy.loop = seconds, settings.host
    return open(copy)
  end
  self.links = Links.new(settings)
  return self
end

return account
