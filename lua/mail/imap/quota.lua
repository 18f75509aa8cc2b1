--- Room and its limits: QUOTA (RFC 9208, RFC 2087).
-- @module mail.imap.quota

local ascii = require "mail.ascii"
local run = require "mail.imap.run"

local quota = { methods = {} }

-- { root=, resources = { storage = { usage=, limit= } } } of all QUOTA data; and the roots that QUOTAROOT names.
local function ask(pump, options, verb, ...)
  local err = run.lacking(pump, "QUOTA", verb)
  if err then return nil, err end
  local found, by_root, roots = {}, {}, nil
  local ok
  ok, err = run.call(pump, options, function(name, number, value, ...)
    if name == "QUOTA" and value.root then
      if not by_root[value.root] then found[#found + 1] = value end
      by_root[value.root] = value
    elseif name == "QUOTAROOT" and value.roots then
      roots = value.roots
    elseif name ~= "QUOTA" and name ~= "QUOTAROOT" then
      run.news(pump, name, number, value, ...)
    end
  end, verb, ...)
  if not ok then return nil, err end
  return found, roots, by_root
end

--- The quotas that a mailbox is under (GETQUOTAROOT).
-- @tparam[opt="INBOX"] string mailbox
-- @tparam[opt] table options `timeout`
-- @treturn table array of `{root=, resources = {storage = {usage=, limit=}, message = …}}`: storage in KiB, names in
--   lower case; empty where nothing is limited; or nil, err
function quota.methods:quota(mailbox, options)
  mailbox = mailbox or "INBOX"
  run.text(mailbox, "quota", "a mailbox")
  run.options(options, "quota")
  local found, err = ask(run.pump(self, "quota"), options, "GETQUOTAROOT", "mailbox", mailbox)
  if not found then return nil, err end
  return found
end

--- The names of the quota roots of a mailbox, and their quotas.
-- @tparam string mailbox
-- @tparam[opt] table options `timeout`
-- @treturn table array of names
-- @treturn table array as of `quota`; or nil, err
function quota.methods:getquotaroot(mailbox, options)
  run.text(mailbox, "getquotaroot", "a mailbox")
  run.options(options, "getquotaroot")
  local found, roots = ask(run.pump(self, "getquotaroot"), options, "GETQUOTAROOT", "mailbox", mailbox)
  if not found then return nil, roots end
  return roots or {}, found
end

-- The quota of one root out of an answer.
local function of_root(pump, verb, root, found, by_root)
  local one = by_root[root] or found[1]
  if one then return one end
  return nil, pump:error("protocol", verb .. " was answered without a quota", { command = verb })
end

--- The quota of a root.
-- @tparam string root as `quota` names it; may be empty
-- @tparam[opt] table options `timeout`
-- @treturn table `{root=, resources=}`; or nil, err
function quota.methods:getquota(root, options)
  run.text(root, "getquota", "a quota root")
  run.options(options, "getquota")
  local pump = run.pump(self, "getquota")
  local found, why, by_root = ask(pump, options, "GETQUOTA", "astring", root)
  if not found then return nil, why end
  return of_root(pump, "GETQUOTA", root, found, by_root)
end

-- {"STORAGE", 512, …} as typed arguments.
local function limits_of(limits)
  local names, out = {}, { "open", true }
  if type(limits) ~= "table" then error("imap:setquota: a table of limits expected, got " .. type(limits), 3) end
  for name, limit in pairs(limits) do
    if type(name) ~= "string" or not name:find "^[A-Za-z0-9%-]+$" then
      error(("imap:setquota: bad resource '%s'"):format(tostring(name)), 3)
    end
    if type(limit) ~= "number" or limit < 0 or limit % 1 ~= 0 or limit > 2 ^ 53 then
      error(("imap:setquota: the limit of '%s' must be a whole number of 0 or more"):format(name), 3)
    end
    names[#names + 1] = name
  end
  table.sort(names, ascii.before)
  for _, name in ipairs(names) do
    out[#out + 1], out[#out + 2] = "text", ascii.upper(name)
    out[#out + 1], out[#out + 2] = "number", limits[name]
  end
  out[#out + 1], out[#out + 2] = "close", true
  return out
end

--- Sets the limits of a root; those that are left out end (RFC 9208 §4.1.3).
-- @tparam string root
-- @tparam table limits `{storage = 512}` in KiB, `{message = 1000}`
-- @tparam[opt] table options `timeout`
-- @treturn table the quota as it is now, where the server tells, else `{root=, resources={}}`; or nil, err: kind
--   "unsupported" where the server says that it has no SETQUOTA (quotas by RFC 9208 without QUOTASET)
function quota.methods:setquota(root, limits, options)
  run.text(root, "setquota", "a quota root")
  local arguments = limits_of(limits)
  run.options(options, "setquota")
  local pump = run.pump(self, "setquota")
  if pump.failure then return nil, pump.failure end
  for name in pairs(self:capability_set()) do
    if name:find "^QUOTA=RES%-" and not run.has(pump, "QUOTASET") then
      return nil, run.unsupported(pump, "SETQUOTA", "QUOTASET")
    end
  end
  local found, why, by_root = ask(pump, options, "SETQUOTA", "astring", root, run.unpack(arguments))
  if not found then return nil, why end
  return by_root[root] or { root = root, resources = {} }
end

return quota
