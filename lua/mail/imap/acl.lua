--- Who may do what with a mailbox: ACL (RFC 4314).
--
-- Rights are strings of letters: l (lookup) r (read) s (seen) w (flags) i (insert) p (post) k (create) x (delete the
-- mailbox) t (delete messages) e (expunge) a (administer). An identifier that begins with "-" takes rights away.
-- @module mail.imap.acl

local run = require "mail.imap.run"

local acl = { methods = {} }

-- Keeps the last data of that name that has the field; the rest is news.
local function keeper(pump, name, field, into)
  return function(what, number, value, ...)
    if what ~= name then return run.news(pump, what, number, value, ...) end
    if type(value) == "table" and value[field] then into.value = value end
  end
end

-- The answer of a command that brings `name` with `field`; or nil, err.
local function finish(pump, id, verb, name, field, options)
  local into = {}
  local ok, err = run.finish(pump, id, verb, options, keeper(pump, name, field, into))
  if not ok then return nil, err end
  if into.value then return into.value end
  return nil, pump:error("protocol", verb .. " was answered without " .. name, { command = verb })
end

-- What is told of a mailbox, as the table with that field; or nil, err.
local function ask(pump, verb, name, field, options, ...)
  local err = run.lacking(pump, "ACL", verb)
  if err then return nil, err end
  local id
  id, err = run.begin(pump, verb, false, "mailbox", ...)
  if not id then return nil, err end
  return finish(pump, id, verb, name, field, options)
end

local function rights_of(pump, verb, name, options, mailbox)
  local value, err = ask(pump, verb, name, "rights", options, mailbox)
  if not value then return nil, err end
  return value.rights
end

local function done(pump, options, verb, ...)
  local err = run.lacking(pump, "ACL", verb)
  if err then return nil, err end
  local ok
  ok, err = run.call(pump, options, nil, verb, "mailbox", ...)
  if ok then return true end
  return nil, err
end

--- The user's own rights on many mailboxes, as their field `rights`. One that is refused has none.
-- @return true; or nil, err
function acl.fill(pump, boxes, options)
  return run.each(pump, boxes, function(box)
    return run.begin(pump, "MYRIGHTS", false, "mailbox", box.name)
  end, function(box, id)
    local value, err = finish(pump, id, "MYRIGHTS", "MYRIGHTS", "rights", options)
    box.rights = value and value.rights
    if value or err.kind == "rejected" then return true end
    return nil, err
  end)
end

--- Who has which rights on a mailbox (GETACL).
-- @tparam string mailbox
-- @tparam[opt] table options `timeout`
-- @treturn table `{ann = "lrswipkxtea", anyone = "lr", ["-bob"] = "w"}`; or nil, err
function acl.methods:acl(mailbox, options)
  run.text(mailbox, "acl", "a mailbox")
  run.options(options, "acl")
  return rights_of(run.pump(self, "acl"), "GETACL", "ACL", options, mailbox)
end
acl.methods.getacl = acl.methods.acl

--- Gives or takes rights (SETACL).
-- @tparam string mailbox
-- @tparam string identifier a user, "anyone", …
-- @tparam string rights all that it has from now on; with "+" or "-" before them those are added or taken
-- @tparam[opt] table options `timeout`
-- @return true; or nil, err
function acl.methods:setacl(mailbox, identifier, rights, options)
  run.text(mailbox, "setacl", "a mailbox")
  run.text(identifier, "setacl", "an identifier")
  run.text(rights, "setacl", "rights")
  if not rights:find "^[+-]?[a-z%d]*$" then error(("imap:setacl: bad rights '%s'"):format(rights), 2) end
  run.options(options, "setacl")
  return done(run.pump(self, "setacl"), options, "SETACL", mailbox, "astring", identifier, "astring", rights)
end

--- Takes an identifier out of the list (DELETEACL).
-- @tparam string mailbox
-- @tparam string identifier as of `setacl`
-- @tparam[opt] table options `timeout`
-- @return true; or nil, err
function acl.methods:deleteacl(mailbox, identifier, options)
  run.text(mailbox, "deleteacl", "a mailbox")
  run.text(identifier, "deleteacl", "an identifier")
  run.options(options, "deleteacl")
  return done(run.pump(self, "deleteacl"), options, "DELETEACL", mailbox, "astring", identifier)
end

--- Which rights can be given to an identifier (LISTRIGHTS).
-- @tparam string mailbox
-- @tparam string identifier
-- @tparam[opt] table options `timeout`
-- @treturn table `{required = "la", optional = {"r", "sw", …}}`: those it always has, and groups that go together;
--   or nil, err
function acl.methods:listrights(mailbox, identifier, options)
  run.text(mailbox, "listrights", "a mailbox")
  run.text(identifier, "listrights", "an identifier")
  run.options(options, "listrights")
  local pump = run.pump(self, "listrights")
  local value, err = ask(pump, "LISTRIGHTS", "LISTRIGHTS", "required", options, mailbox, "astring", identifier)
  if not value then return nil, err end
  return { required = value.required, optional = value.optional }
end

--- The user's own rights on a mailbox (MYRIGHTS).
-- @tparam string mailbox
-- @tparam[opt] table options `timeout`
-- @treturn string rights, as of `setacl`; or nil, err
function acl.methods:myrights(mailbox, options)
  run.text(mailbox, "myrights", "a mailbox")
  run.options(options, "myrights")
  return rights_of(run.pump(self, "myrights"), "MYRIGHTS", "MYRIGHTS", options, mailbox)
end

return acl
