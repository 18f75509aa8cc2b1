--- Finding the file of a message in a Maildir whose files other programs rename at any time.
-- @module mail.maildir.find

local core = require "mail.core"
local names = require "mail.maildir.names"
local fail, refused = require "mail.store".errors "maildir"

local find = {}

--- How often a name is made anew where another took it.
find.ATTEMPTS = 100

-- Calls fn(name) for each name in `path` until it answers true; or nil, err.
function find.scan(path, fn)
  local dir, why, word = core.folder(path)
  if not dir then return refused(path, why, word) end
  local name
  repeat
    name, why, word = dir:next()
  until not name or fn(name)
  dir:close()
  if why then return refused(path, why, word) end
  return true
end

-- Where the message is now: "new" or "cur", its file name; or nil, err. The likely names first: a folder
-- with many messages is read only where these fail.
function find.locate(self, key)
  if not names.is_key(key) then return names.bad_key(key) end
  for _, try in ipairs { { "new", key }, { "cur", key .. ":2," }, { "cur", key .. ":2,S" }, { "cur", key } } do
    local facts = core.file_facts(self.path .. "/" .. try[1] .. "/" .. try[2])
    if facts and facts.type == "f" then return try[1], try[2] end
  end
  for _, part in ipairs { "cur", "new" } do
    local found
    local ok, err = find.scan(self.path .. "/" .. part, function(name)
      if names.split_name(name) == key then found = name end
      return found
    end)
    if not ok then return nil, err end
    if found then return part, found end
  end
  local _, err = fail("io", "no such message: %s", key)
  err.reason = "missing"
  return nil, err
end

-- Runs act(part, name) on the file of a message, and again where another program renamed it meanwhile.
function find.on_file(self, key, part, name, act)
  for _ = 1, find.ATTEMPTS do
    if not part then
      part, name = find.locate(self, key)
      if not part then return nil, name end
    end
    local result, why, word = act(part, name)
    if result then return result, why end
    if word ~= "missing" then return refused(self.path .. "/" .. part .. "/" .. name, why, word) end
    part = nil
  end
  return fail("io", "message %s is renamed all the time", key)
end

return find
