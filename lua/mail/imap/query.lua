--- Rules: criteria that are joined like sets, and evaluated on the server when something is done.
--
--     local old = imap:messages { older = 30 * 86400 } - imap:messages { flagged = true }
--     old:move "Archive"
--
-- A query holds no result: each act searches anew, in one SEARCH where that is possible. It is not where a
-- set in it is longer than a line may be: then the parts are searched for, and joined here.
-- @module mail.imap.query

local Pump = require "mail.pump"
local criteria = require "mail.imap.criteria"
local run = require "mail.imap.run"
local set = require "mail.imap.set"

local query = {}

-- Methods of the session.
query.methods = {}

-- A set among the criteria that is longer than this is joined here, not by the server.
local SET_MAX = 4000

local Query = {}
Query.__index = Query
Query.__name = "mail.imap.query"
Query.query = true

local function new(session, node)
  node.session = session
  return setmetatable(node, Query)
end

local function is(value) return type(value) == "table" and getmetatable(value) == Query end

--- Messages by criteria: a query, which does nothing yet.
-- @tparam[opt] table what criteria of `imap:search`
-- @treturn table query: `+`, `*`, `-` join it with queries, sets and tables of criteria
function query.methods:messages(what)
  run.pump(self, "messages")
  if what ~= nil and type(what) ~= "table" then
    error("imap:messages: a table of criteria expected, got " .. type(what), 2)
  end
  criteria.arguments(what, 2)
  return new(self, { op = "leaf", what = what or {} })
end

--- The same for what has the methods of a session (a mailbox of `mail.imap.account`).
-- @tparam table session
-- @tparam ?table what criteria
-- @tparam number level whose line is blamed for wrong ones
function query.of(session, what, level)
  if what ~= nil and type(what) ~= "table" then
    error("imap:messages: a table of criteria expected, got " .. type(what), level)
  end
  criteria.arguments(what, level)
  return new(session, { op = "leaf", what = what or {} })
end

-- --- joining --------------------------------------------------------------------------------------

-- An operand as a query of that session; level as of `error` for the caller of the operator.
local function operand(session, value, what)
  if is(value) then
    if value.session ~= session then error(("imap: %s of queries of two sessions"):format(what), 4) end
    return value
  elseif set.is(value) then
    if set.is_seq(value) then error(("imap: %s of a query and sequence numbers"):format(what), 4) end
    return new(session, { op = "set", set = value })
  elseif type(value) == "table" then
    criteria.arguments(value, 4)
    return new(session, { op = "leaf", what = value })
  end
  error(("imap: %s of a query and a %s"):format(what, type(value)), 4)
end

-- The operands of a chain of the same operator, so that depth grows by use alone.
local function chain(op, a, b)
  local parts = {}
  for _, one in ipairs { a, b } do
    for _, part in ipairs(one.op == op and one.parts or { one }) do parts[#parts + 1] = part end
  end
  return { op = op, parts = parts }
end

local MAKE = {
  union = function(a, b) return chain("or", a, b) end,
  intersection = function(a, b) return chain("and", a, b) end,
  difference = function(a, b) return { op = "minus", parts = { a, b } } end,
}

function Query.combine(a, b, what)
  local session = is(a) and a.session or b.session
  return new(session, MAKE[what](operand(session, a, what), operand(session, b, what)))
end

local function operator(what)
  return function(a, b)
    local made = Query.combine(a, b, what)
    return made
  end
end

--- Messages that are in either: `a + b`.
Query.union = operator "union"
--- Messages that are in both: `a * b`.
Query.intersection = operator "intersection"
--- Messages that are in the first alone: `a - b`.
Query.difference = operator "difference"
Query.__add, Query.__mul, Query.__sub = Query.union, Query.intersection, Query.difference

-- --- evaluation -----------------------------------------------------------------------------------

local compile = {}

-- The criteria of a whole query; nil where a set in it is too long.
local function criteria_of(node) return compile[node.op](node) end

function compile.leaf(node) return node.what end

function compile.set(node)
  if #tostring(node.set) > SET_MAX then return nil end
  return { uid = node.set }
end

local function all_parts(node)
  local parts = {}
  for i, part in ipairs(node.parts) do
    parts[i] = criteria_of(part)
    if not parts[i] then return nil end
  end
  return parts
end

compile["and"] = function(node) return all_parts(node) end
compile["or"] = function(node)
  local parts = all_parts(node)
  return parts and { ["or"] = parts }
end

function compile.minus(node)
  local parts = all_parts(node)
  return parts and { parts[1], ["not"] = parts[2] }
end

local evaluate

-- Parts one by one, joined here; or nil, err.
local function by_parts(node, options)
  local found, err = evaluate(node.parts[1], options)
  for i = 2, #node.parts do
    if not found then return nil, err end
    local part
    part, err = evaluate(node.parts[i], options)
    if not part then return nil, err end
    if node.op == "or" then
      found = found + part
    elseif node.op == "and" then
      found = found * part
    else
      found = found - part
    end
  end
  return found, err
end

-- A set of a query is what it is, as long as its messages are there.
local function alone(node)
  if type(node.session) == "table" then return node.set end -- of an account: whoever uses it looks
  local err = set.refused(Pump.of(node.session), node.set, false, "messages", 4)
  if err then return nil, err end
  return node.set
end

function evaluate(node, options)
  if node.op == "set" then return alone(node) end
  local what = criteria_of(node)
  if what then return node.session:search(what, options) end
  return by_parts(node, options)
end

local OPTIONS = { timeout = "number|table?" }

--- Searches.
-- @tparam[opt] table options `timeout`
-- @treturn table set of UIDs as they are now; or nil, err
function Query:uids(options)
  run.options(options, "messages", OPTIONS)
  local found, err = evaluate(self, options)
  return found, err
end

--- How many messages there are now.
-- @tparam[opt] table options `timeout`
-- @treturn number; or nil, err
function Query:count(options)
  run.options(options, "messages", OPTIONS)
  local what = self.op ~= "set" and criteria_of(self)
  if what then
    local found, err = self.session:search(what, { ["return"] = { "count" }, timeout = options and options.timeout })
    return found and found.count, err
  end
  local found, err = evaluate(self, options)
  return found and found:count(), err
end

-- Searches, and hands the set to a method of it. What finds nothing does nothing.
local function act(method, nothing)
  return function(self, ...)
    local found, err = evaluate(self)
    if not found then return nil, err end
    if nothing and found:count() == 0 then return nothing() end
    local a, b, c, d = found[method](found, ...)
    return a, b, c, d
  end
end

local function none() return {} end

--- Moves the messages. @treturn table as of `imap:move`; or nil, err
Query.move = act("move", none)
--- Copies the messages. @treturn table as of `imap:copy`; or nil, err
Query.copy = act("copy", none)
--- Sets flags: `query:flag("\\Seen", "work")`. @treturn table as of `imap:store`; or nil, err
Query.flag = act("flag", none)
--- Takes flags away. @treturn table as of `imap:store`; or nil, err
Query.unflag = act("unflag", none)
--- Removes the messages. @treturn table `{expunged=}`; or nil, err
Query.delete = act("delete", function() return { expunged = true } end)
--- Fetches the messages, as `imap:fetch` does. @return an iterator; or nil, err
Query.fetch = act "fetch"
--- The same as an array. @treturn table; or nil, err
Query.fetch_all = act("fetch_all", none)

return query
