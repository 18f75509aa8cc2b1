--- Maildir: a folder of mail with a file for each message, and Maildir++ folders beside it.
--
-- A message is written to `tmp`, flushed to the disk, and only then given its name in `new` (with flags:
-- in `cur`), which is flushed too: after a crash it is there whole or not at all, and a success was
-- reported only behind the last flush. No name is ever written over. Changes of flags are one rename
-- each and not flushed: a crash may undo one, and loses nothing else.
-- Readers and writers need no lock; other programs (Dovecot, Courier, Postfix, mutt …) may work in the
-- same folders at the same time. The calls take as long as the disk does: they do not yield, except
-- where a source function of the caller's does.
-- Keys and folder names from outside cannot leave the directory; files that are none are passed over.
-- Names and info: cr.yp.to/proto/maildir.html; folders: Courier's Maildir++.
-- @module mail.maildir

local ascii = require "mail.ascii"
local core = require "mail.core"
local find = require "mail.maildir.find"
local iterator = require "mail.iterator"
local message = require "mail.maildir.message"
local names = require "mail.maildir.names"
local store = require "mail.store"
local want = require "mail.want"

local maildir = {}

local Maildir = { __name = "mail.maildir" }
Maildir.__index = Maildir

-- What is older in tmp was given up by its writer (36 hours, as the format has it).
local ABANDONED = 36 * 3600

local ATTEMPTS = find.ATTEMPTS
local fail, refused = store.errors "maildir"

-- --- the folders -------------------------------------------------------------------------------------

local function make_folder(path)
  local ok, why, word = core.folder_make(path)
  if ok or word == "exists" then return true end
  return refused(path, why, word)
end

local function sync_folder(self, path)
  if not self.sync then return true end
  local folder, why, word = core.file(path, "folder")
  if not folder then return refused(path, why, word) end
  local ok
  ok, why, word = folder:sync()
  folder:close()
  if not ok then return refused(path, why, word) end
  return true
end

-- A Maildir where `path` is one, made where the caller wants it.
local function opened(root, path, name, create)
  local self = setmetatable({
    path = path, name = name, names = root.names, sync = root.sync, root = root.root or nil,
  }, Maildir)
  self.root = self.root or self
  if create then
    local made, err = make_folder(path)
    for _, part in ipairs { "tmp", "new", "cur" } do
      if made then made, err = make_folder(path .. "/" .. part) end
    end
    if made and name ~= "INBOX" then
      local file = core.file(path .. "/maildirfolder", "create")
      if file then file:close() end
    end
    if made then made, err = sync_folder(self, path) end
    if not made then return nil, err end
  end
  for _, part in ipairs { "tmp", "new", "cur" } do
    local facts, why, word = core.file_facts(path .. "/" .. part)
    if not facts then return refused(path .. "/" .. part, why, word) end
    if facts.type ~= "d" then return fail("io", "%s/%s is no folder", path, part) end
  end
  return self
end

local OPEN = { create = "boolean?", names = "string?", sync = "boolean?" }

--- Opens a Maildir.
-- @tparam string path its directory
-- @tparam[opt] table options `create` (false): make it where it is missing (its parent must be there);
--   `names` ("utf7"): how names of folders stand on the disk: "utf7" is IMAP's modified UTF-7, as Courier
--   and, by default, Dovecot write them, "utf8" is plain UTF-8 (Dovecot's `mailbox_list_utf8`);
--   `sync` (true): flush to the disk; false is faster and may lose mail in a crash
-- @return the Maildir; or nil, err (kind "io"; `err.reason` "missing", "denied" …)
function maildir.open(path, options)
  if type(path) ~= "string" or path == "" or path:find "%z" then error("mail.maildir.open: a path expected", 2) end
  options = want(options or {}, OPEN, "mail.maildir.open")
  local encoding = options.names or "utf7"
  if encoding ~= "utf7" and encoding ~= "utf8" then error("mail.maildir.open: names must be 'utf7' or 'utf8'", 2) end
  path = path:gsub("(.)/+$", "%1")
  return opened({ names = encoding, sync = options.sync ~= false }, path, "INBOX", options.create)
end

local FOLDER = { create = "boolean?" }

--- A folder of this Maildir.
-- @tparam string name UTF-8, levels parted by "/" ("Lists/Lua"); "INBOX" is the Maildir itself. A level
--   cannot hold a dot: on the disk it parts levels
-- @tparam[opt] table options `create`
-- @return a Maildir; or nil, err (kind "invalid" for a name that cannot be one)
function Maildir:folder(name, options)
  if type(name) ~= "string" then error("maildir:folder: a name expected", 2) end
  options = want(options or {}, FOLDER, "maildir:folder")
  local file, err = names.folder_file(self, name)
  if not file then return nil, err end
  if file == "" then return self.root end
  return opened(self.root, self.root.path .. "/" .. file, name, options.create)
end

--- The names of all folders but the INBOX, sorted.
-- @treturn table array of names; array of file names that look like folders but are not in the encoding
--   this Maildir was opened with; or nil, err
function Maildir:folders()
  local path = self.root.path
  local dir, why, word = core.folder(path)
  if not dir then return refused(path, why, word) end
  local known, foreign = {}, {}
  local file
  while true do
    file, why, word = dir:next()
    if not file then break end
    local facts = file:sub(1, 1) == "." and core.file_facts(path .. "/" .. file .. "/cur")
    if facts and facts.type == "d" then
      local name = names.folder_name(self, file)
      local list = name and known or foreign
      list[#list + 1] = name or file
    end
  end
  dir:close()
  if why then return refused(path, why, word) end
  table.sort(known, ascii.before)
  return known, foreign
end

-- The directory of a folder that is not the INBOX; or nil, err.
local function folder_path(self, name, what)
  if type(name) ~= "string" then error(("maildir:%s: a name expected"):format(what), 3) end
  local file, err = names.folder_file(self, name)
  if not file then return nil, err end
  if file == "" then return fail("invalid", "the INBOX can be neither renamed nor removed") end
  return self.root.path .. "/" .. file
end

--- Renames a folder, and those below it: each in one step, all together not.
-- @tparam string from
-- @tparam string to no folder may have this name, nor one below it
-- @treturn boolean true; or nil, err
function Maildir:rename_folder(from, to)
  local known, foreign = self:folders()
  if not known then return nil, foreign end
  local path, err = folder_path(self, from, "rename_folder")
  if not path then return nil, err end
  path, err = folder_path(self, to, "rename_folder")
  if not path then return nil, err end
  local found
  for _, name in ipairs(known) do -- sorted: a folder stands before those below it
    if name == from or name:sub(1, #from + 1) == from .. "/" then
      found = true
      local target = folder_path(self, to .. name:sub(#from + 1), "rename_folder")
      local ok, why, word = core.file_move(folder_path(self, name, "rename_folder"), target)
      if not ok then return refused(target, why, word) end
    end
  end
  if found then return sync_folder(self, self.root.path) end
  return refused(path, "no such folder: " .. from, "missing")
end

-- Removes a folder with the files in it; or nil, err.
local function remove_all(path)
  local ok, err = find.scan(path, function(name)
    local facts = core.file_facts(path .. "/" .. name)
    if facts and facts.type == "f" then core.file_remove(path .. "/" .. name) end
  end)
  if not ok then return nil, err end
  local done, why, word = core.folder_remove(path)
  if not done then return refused(path, why, word) end
  return true
end

--- Removes a folder with all messages in it. Folders below it stay.
-- @tparam string name
-- @treturn boolean true; or nil, err: what is left then is a folder still, if `tmp`, `new` and `cur` are there
function Maildir:remove_folder(name)
  local path, err = folder_path(self, name, "remove_folder")
  if not path then return nil, err end
  local ok = true
  for _, part in ipairs { "new", "cur", "tmp" } do
    if ok then ok, err = remove_all(path .. "/" .. part) end
  end
  if ok then ok, err = remove_all(path) end
  if not ok then return nil, err end
  return sync_folder(self, self.root.path)
end

-- --- messages ----------------------------------------------------------------------------------

-- A key, or a message of this Maildir: key, part, file.
local function named(key)
  if message.is(key) then return key.key, key.part, key.file, key end
  return key
end

--- The message with this key; or nil, err (`err.reason` is "missing" where there is none).
function Maildir:get(key)
  local part, file = find.locate(self, key)
  if not part then return nil, file end
  return message.at(self, part, file)
end

local function advance(state)
  while true do
    if not state.dir then
      state.part = state.parts[state.at]
      if not state.part then return nil end
      state.at = state.at + 1
      local path = state.box.path .. "/" .. state.part
      local dir, why, word = core.folder(path)
      if not dir then return refused(path, why, word) end
      state.dir = dir
    end
    local name, why, word = state.dir:next()
    if name then
      if names.split_name(name) then return message.at(state.box, state.part, name) end
    else
      state.dir:close()
      state.dir = nil
      if why then return refused(state.box.path .. "/" .. state.part, why, word) end
    end
  end
end

local Messages = iterator.class(advance, function(state)
  if state.dir then state.dir:close() end
  state.dir = nil
end)

local MESSAGES = { new = "boolean?", cur = "boolean?" }

--- Iterates over the messages, in no order, a name at a time: memory does not grow with their number.
-- What other programs deliver, rename or remove meanwhile may be seen or not; one that moves from `new`
-- to `cur` can be seen twice, never missed.
-- @tparam[opt] table options `new = false`, `cur = false`: without the messages there
-- @return an iterator (see `mail.iterator`) of messages: `key`, `path`, `flags` (a set: `m.flags["\\Seen"]`; letters of
--   other programs stand for themselves), `size` (octets of the file; nil where it is gone), `new` (nobody
--   has seen it yet), `open()`, `source()`, `string()`, `message()`, `set_flags(…)`, `move(target)`,
--   `copy(target)`, `remove()`
function Maildir:messages(options)
  options = want(options or {}, MESSAGES, "maildir:messages")
  local parts = {}
  if options.new ~= false then parts[#parts + 1] = "new" end
  if options.cur ~= false then parts[#parts + 1] = "cur" end
  return iterator.results(setmetatable({ box = self, parts = parts, at = 1 }, Messages))
end

-- --- delivery -----------------------------------------------------------------------------------------------

-- Writes a source into an open file: its size; or nil, err; `source.raised` where the source did.
local function fill(self, file, path, source)
  local size = 0
  local ok, err = store.drain(source, function(piece)
    local put, reason, kind = file:write(piece, size)
    if not put then return refused(path, reason, kind) end
    size = size + #piece
    return true
  end, fail)
  if not ok then return nil, err end
  local why, word
  if self.sync then
    ok, why, word = file:sync()
    if not ok then return refused(path, why, word) end
  end
  ok, why, word = file:close()
  if not ok then return refused(path, why, word) end
  return size
end

-- A new file in tmp: file, unique name, path; or nil, err.
local function temporary(self)
  local path, why, word
  for _ = 1, ATTEMPTS do
    local base = names.unique()
    path = self.path .. "/tmp/" .. base
    local file
    file, why, word = core.file(path, "create")
    if file then return file, base, path end
    if word ~= "exists" then break end
  end
  return refused(path, why, word)
end

-- Gives the file at `path` a name in `part` that no message has: its key; or nil, err.
local function place(self, path, base, tail, part, info)
  local why, word
  for _ = 1, ATTEMPTS do
    local key = base .. tail
    local ok
    ok, why, word = core.file_move(path, self.path .. "/" .. part .. "/" .. key .. info)
    if ok then return key end
    if word ~= "exists" then break end
    base = names.unique()
  end
  return refused(self.path .. "/" .. part, why, word)
end

local ADD = { flags = "table|string?" }

--- Delivers a message: once this returns its key, it is on the disk.
-- @param content a string, an open file, a source function, or an object with `source()`; its bytes are
--   kept as they are
-- @tparam[opt] table options `flags`: an array or a set of names, one name, or letters ("FS"); names are \\Seen,
--   \\Answered, \\Flagged, \\Deleted, \\Draft and $Forwarded, \\Recent is passed over, any other is kind "invalid";
--   with flags (even none: `{}`) it goes to `cur`, as a message that somebody has seen, else to `new`
-- @treturn string its key; or nil, err (kind "io": nothing was delivered, unless `err.reason` is
--   "unflushed": then it is there, but a crash may still lose it); what a source raises is raised
function Maildir:add(content, options)
  options = want(options or {}, ADD, "maildir:add")
  local source = { fn = store.source(content, "maildir:add", 2) }
  local letters, err = names.letters_into({}, options.flags or {}, true)
  if not letters then return nil, err end
  local file, base, path = temporary(self)
  if not file then return nil, base end
  local size, key
  size, err = fill(self, file, path, source)
  if size then
    local part, info = "new", ""
    if options.flags then part, info = "cur", names.info_of(letters) end
    key, err = place(self, path, base, (",S=%.0f"):format(size), part, info)
    if key then
      local ok, why = sync_folder(self, self.path .. "/" .. part)
      if ok then return key end
      why.reason = "unflushed"
      return nil, why
    end
  end
  file:close()
  core.file_remove(path)
  if source.raised then error(source.why, 0) end
  return nil, err
end

-- --- changes --------------------------------------------------------------------------------------------------

local CHANGE = { add = "table|string?", remove = "table|string?", flags = "table|string?" }

--- Changes the flags of a message; one in `new` moves to `cur`.
-- @param key its key, or the message
-- @tparam table|string change `{add=}`, `{remove=}`, `{flags=}` (in place of all that were there), each as the
--   flags of `add`
-- @treturn table the flags it has now, a set; or nil, err
function Maildir:set_flags(key, change)
  if type(change) == "string" then change = { flags = change } end
  want(change, CHANGE, "maildir:set_flags")
  local id, at, file, known = named(key)
  local set, invalid
  local ok, err = find.on_file(self, id, at, file, function(part, name)
    set, invalid = {}, nil
    if not change.flags then set = names.letters_into(set, select(2, names.split_name(name)), true) end
    for _, step in ipairs { { change.flags, true }, { change.add, true }, { change.remove, nil } } do
      if set and step[1] then set, invalid = names.letters_into(set, step[1], step[2]) end
    end
    if not set then return true end
    local target = id .. names.info_of(set)
    if part == "cur" and target == name then return true end
    local done, why, word = core.file_move(self.path .. "/" .. part .. "/" .. name, self.path .. "/cur/" .. target)
    if done and known then message.moved(known, "cur", target) end
    return done, why, word
  end)
  if not ok then return nil, err end
  if not set then return nil, invalid end
  return names.flags_of(names.info_of(set):sub(4))
end

--- Removes a message for good.
-- @param key its key, or the message
-- @treturn boolean true; or nil, err
function Maildir:remove(key)
  local id, at, file = named(key)
  return find.on_file(self, id, at, file, function(part, name)
    return core.file_remove(self.path .. "/" .. part .. "/" .. name)
  end)
end

-- Gives the file of a message another name in `target` by `call`: its key there; or nil, err.
local function transfer(self, key, target, call)
  if getmetatable(target) ~= Maildir then
    if type(target) ~= "string" then
      error("maildir: a Maildir, or the name of a folder, expected, got " .. type(target), 3)
    end
    local err
    target, err = self:folder(target)
    if not target then return nil, err end
  end
  local id, at, file = named(key)
  local new_key, to_part
  local ok, err = find.on_file(self, id, at, file, function(part, name)
    local why, word
    for _ = 1, ATTEMPTS do
      local tail = name:match ",[SW]=%d[^:]*" or ""
      new_key, to_part = names.unique() .. tail, part
      local info = name:match ":.*$" or ""
      local done
      done, why, word = call(self.path .. "/" .. part .. "/" .. name,
        target.path .. "/" .. part .. "/" .. new_key .. info)
      if done or word ~= "exists" then return done, why, word end
    end
    return nil, why, word
  end)
  if not ok then return nil, err end
  return new_key, target, to_part
end

--- Moves a message to another folder, with its flags, in one step: at no moment is it in none.
-- @param key its key, or the message
-- @param target a Maildir on the same file system, or the name of a folder of this one
-- @treturn string its key there; or nil, err (`err.reason` "device": another file system)
function Maildir:move(key, target)
  local new_key, there, part = transfer(self, key, target, core.file_move)
  if not new_key then return nil, there end
  local ok, err = sync_folder(self, there.path .. "/" .. part)
  if ok then ok, err = sync_folder(self, self.path .. "/" .. part) end
  if not ok then return nil, err end
  return new_key
end

--- Copies a message to another folder, with its flags: a second name for the same file, which nobody
-- ever writes to again.
-- @param key its key, or the message
-- @param target as of `move`
-- @treturn string its key there; or nil, err
function Maildir:copy(key, target)
  local new_key, there, part = transfer(self, key, target, core.file_link)
  if not new_key then return nil, there end
  local ok, err = sync_folder(self, there.path .. "/" .. part)
  if not ok then return nil, err end
  return new_key
end

--- Removes what writers left in `tmp` and nobody has touched for 36 hours.
-- @tparam[opt] number now seconds since 1970
-- @treturn number how many files; or nil, err
function Maildir:clean(now)
  now = now or os.time()
  local count, path = 0, self.path .. "/tmp"
  local ok, err = find.scan(path, function(name)
    local facts = core.file_facts(path .. "/" .. name)
    if facts and facts.type == "f" and now - math.max(facts.modified, facts.accessed) > ABANDONED then
      if core.file_remove(path .. "/" .. name) then count = count + 1 end
    end
  end)
  if not ok then return nil, err end
  return count
end

function Maildir:__tostring()
  return ("mail.maildir (%s, %s)"):format(self.root.path, self.name)
end

return maildir
