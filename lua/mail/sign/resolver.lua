--- What signatures and policies ask DNS: one shape, whether the answers come from `mail.dns` or from a
-- table of functions that the caller gives (fixed data in tests, a host's own resolver, a cache).
--
-- `resolver = { txt = fn, mx = fn, addresses = fn, ptr = fn, dns_servers =, timeout =, loop = }`: what is
-- not there is `mail.dns`'s. `txt(name)` → array of texts, `mx(name)` → array of `{host=, preference=}` or of
-- names, `addresses(name, {family=})` → array of addresses, `ptr(address)` → array of names. A function returns
-- nil (or nil and an error with `missing`) where there is no such record, and nil and any other error where
-- nobody could say.
-- @module mail.sign.resolver

local core = require "mail.core"

local resolver = {}
local Resolver = {}
Resolver.__index = Resolver

local OWN = { txt = true, mx = true, addresses = true, ptr = true }

--- Completes what the caller gave.
-- @tparam ?table given
function resolver.of(given)
  local self = { given = given or {}, options = {} }
  for name, value in pairs(self.given) do
    if not OWN[name] then self.options[name] = value end
  end
  return setmetatable(self, Resolver)
end

-- The one of mail.dns, which only a caller without functions of their own needs.
local function builtin(name)
  return require "mail.dns"[name]
end

-- U-labels to A-labels (RFC 8616 §3), dots at the end gone.
local function ascii(name)
  name = name:gsub("%.$", "")
  if not name:find "[\128-\255]" then return name end
  local out = {}
  for label in (name .. "."):gmatch "([^.]*)%." do
    out[#out + 1] = label:find "[\128-\255]" and (core.idn(label) or label) or label
  end
  return table.concat(out, ".")
end

-- True where an error says that there is no such record: from mail.dns also a null MX, and a name that
-- cannot be asked for.
local function is_missing(err)
  if err == nil then return true end
  if type(err) ~= "table" then return false end
  return err.missing ~= nil or err.kind == "rejected" or (err.kind == "dns" and err.temporary == false)
end

-- Asks: array (may be empty: nothing there), or nil, why: nobody could say.
function Resolver:ask(kind, name, extra)
  local fn = self.given[kind] or builtin(kind)
  local options = {}
  for key, value in pairs(self.options) do options[key] = value end
  for key, value in pairs(extra or {}) do options[key] = value end
  local rows, err = fn(kind == "ptr" and name or ascii(name), options)
  if rows then return rows end
  if is_missing(err) then return {} end
  return nil, tostring(err)
end

--- Texts of a name, each whole.
function Resolver:txt(name) return self:ask("txt", name) end

--- Addresses of one family (4 or 6).
function Resolver:addresses(name, family)
  local rows, why = self:ask("addresses", name, { family = family })
  if not rows then return nil, why end
  local list = {}
  for _, address in ipairs(rows) do
    if (address:find(":", 1, true) and 6 or 4) == family then list[#list + 1] = address end
  end
  return list
end

--- Names of mail exchangers, by preference; none where only the address of the domain would do.
function Resolver:mx(name)
  local rows, why = self:ask("mx", name)
  if not rows then return nil, why end
  local list = {}
  for _, row in ipairs(rows) do
    local host = type(row) == "table" and row.host or row
    if host ~= "" and host ~= "." and not (type(row) == "table" and (row.implicit or row.literal)) then
      list[#list + 1] = host
    end
  end
  return list
end

--- Names of an address.
function Resolver:ptr(address) return self:ask("ptr", address) end

return resolver
