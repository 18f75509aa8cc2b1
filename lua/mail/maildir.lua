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

local core = require "mail.core"
local Err = require "mail.err"
local content = require "mail.content"
local iterator = require "mail.iterator"
local want = require "mail.want"

local maildir = {}

local Maildir = { __name = "mail.maildir" }
Maildir.__index = Maildir

-- What is older in tmp was given up by its writer (36 hours, as the format has it).
local ABANDONED = 36 * 3600
local PIECE = 65536
-- A name is made anew so often where another took it.
local ATTEMPTS = 100
-- What most file systems take as one name.
local KEY_MAX = 255

local FLAG_OF = {
  D = "\\Draft", F = "\\Flagged", P = "$Forwarded", R = "\\Answered", S = "\\Seen", T = "\\Deleted",
}
local LETTER_OF = {}
for letter, flag in pairs(FLAG_OF) do LETTER_OF[flag:lower()] = letter end

local function fail(kind, message, ...)
  return nil, Err.new { kind = kind, message = "maildir: " .. message:format(...) }
end

-- What the system refused; a word says more about some ("missing", "exists", "full" …).
local function refused(path, why, word)
  return nil, Err.new { kind = "io", message = ("maildir: %s: %s"):format(path, why), reason = word }
end

-- --- names -----------------------------------------------------------------------------------------

local function is_key(key)
  return type(key) == "string" and key ~= "" and #key <= KEY_MAX and not key:find "[%z/:]" and key:sub(1, 1) ~= "."
end

local function bad_key(key)
  return fail("invalid", "%q is no key of a message", tostring(key):sub(1, 80))
end

-- "1700.M1P2.host:2,FS" → key, letters; nil for what is no message's name.
local function split_name(name)
  local key, info = name:match "^([^:]+):?(.*)$"
  if not key or not is_key(key) then return nil end
  return key, info:match "^2,([%a]*)" or ""
end

local function flags_of(letters)
  local flags = {}
  for letter in letters:gmatch "." do flags[FLAG_OF[letter] or letter] = true end
  return flags
end

-- A flag as its letter: "\\Seen" in any case, or a letter itself (a to z: keywords of other programs).
local function letter_of(flag)
  if type(flag) ~= "string" then return nil end
  return LETTER_OF[flag:lower()] or (flag:match "^[DFPRSTa-z]$")
end

-- Adds the letters of `flags` (an array, a set, or letters as one string) to a set of letters.
local function letters_into(set, flags, value)
  if type(flags) == "string" then
    local list = {}
    for letter in flags:gmatch "." do list[#list + 1] = letter end
    flags = list
  end
  for name, flag in pairs(flags) do
    if type(name) == "string" then flag = flag and name or nil end
    local letter = flag and letter_of(flag)
    if flag and not letter then
      return fail("invalid", "%q cannot be kept as a flag", tostring(flag):sub(1, 80))
    end
    if letter then set[letter] = value end
  end
  return set
end

local function info_of(set)
  local letters = {}
  for letter in pairs(set) do letters[#letters + 1] = letter end
  table.sort(letters)
  return ":2," .. table.concat(letters)
end

local deliveries = 0

-- A name that no other delivery has: time, process and count, and the host for file systems that
-- several of them share.
local function unique()
  local now, process = core.file_time()
  deliveries = deliveries + 1
  local host = (core.hostname() or "localhost"):gsub("/", "\\057"):gsub(":", "\\072"):gsub("[%c%s]", "_"):sub(1, 100)
  local second = math.floor(now)
  return ("%.0f.M%06.0fP%dQ%d.%s"):format(second, math.floor((now - second) * 1e6), process, deliveries, host)
end

-- "Lists/Lua" → ".Lists.Lua"; "" for the INBOX; or nil, err.
local function folder_file(self, name)
  if name == nil or name:upper() == "INBOX" then return "" end
  if name == "" or name:find "[%c%.]" or ("/" .. name .. "/"):find("//", 1, true) then
    return fail("invalid", "%q is no name of a folder: levels parted by '/', and no dots", name:sub(1, 80))
  end
  local text = name
  if self.names == "utf7" then
    text = core.utf7_encode(name)
  elseif not core.is_utf8(name) then
    text = nil
  end
  if not text then return fail("invalid", "the name of a folder must be UTF-8") end
  return "." .. text:gsub("/", ".")
end

-- ".Lists.Lua" → "Lists/Lua"; nil for what was not made so.
local function folder_name(self, file)
  local text = file:match "^%.([^.].*)$"
  if not text or text:find("..", 1, true) or text:sub(-1) == "." then return nil end
  text = text:gsub("%.", "/")
  if self.names == "utf7" then text = core.utf7_decode(text) end
  if not text or not core.is_utf8(text) or folder_file(self, text) ~= file then return nil end
  return text
end

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
  local names = options.names or "utf7"
  if names ~= "utf7" and names ~= "utf8" then error("mail.maildir.open: names must be 'utf7' or 'utf8'", 2) end
  path = path:gsub("(.)/+$", "%1")
  return opened({ names = names, sync = options.sync ~= false }, path, "INBOX", options.create)
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
  local file, err = folder_file(self, name)
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
  local names, foreign = {}, {}
  local file
  while true do
    file, why, word = dir:next()
    if not file then break end
    local facts = file:sub(1, 1) == "." and core.file_facts(path .. "/" .. file .. "/cur")
    if facts and facts.type == "d" then
      local name = folder_name(self, file)
      local list = name and names or foreign
      list[#list + 1] = name or file
    end
  end
  dir:close()
  if why then return refused(path, why, word) end
  table.sort(names)
  return names, foreign
end

-- --- finding a message ----------------------------------------------------------------------------------

-- Calls fn(name) for each name in `path` until it answers true; or nil, err.
local function scan(path, fn)
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
local function locate(self, key)
  if not is_key(key) then return bad_key(key) end
  for _, try in ipairs { { "new", key }, { "cur", key .. ":2," }, { "cur", key .. ":2,S" }, { "cur", key } } do
    local facts = core.file_facts(self.path .. "/" .. try[1] .. "/" .. try[2])
    if facts and facts.type == "f" then return try[1], try[2] end
  end
  for _, part in ipairs { "cur", "new" } do
    local found
    local ok, err = scan(self.path .. "/" .. part, function(name)
      if split_name(name) == key then found = name end
      return found
    end)
    if not ok then return nil, err end
    if found then return part, found end
  end
  return nil, Err.new { kind = "io", message = "maildir: no such message: " .. key, reason = "missing" }
end

-- Runs act(part, name) on the file of a message, and again where another program renamed it meanwhile.
local function on_file(self, key, part, name, act)
  for _ = 1, ATTEMPTS do
    if not part then
      part, name = locate(self, key)
      if not part then return nil, name end
    end
    local result, why, word = act(part, name)
    if result then return result, why end
    if word ~= "missing" then return refused(self.path .. "/" .. part .. "/" .. name, why, word) end
    part = nil
  end
  return fail("io", "message %s is renamed all the time", key)
end

-- --- messages -----------------------------------------------------------------------------------------------

local Message = { __name = "mail.maildir.message" }

local fields = {
  path = function(self) return self.box.path .. "/" .. self.part .. "/" .. self.file end,
  flags = function(self) return flags_of(self.letters) end,
  new = function(self) return self.part == "new" end,
  size = function(self)
    local facts = on_file(self.box, self.key, self.part, self.file, function(part, name)
      return core.file_facts(self.box.path .. "/" .. part .. "/" .. name)
    end)
    return facts and facts.size
  end,
}

function Message:__index(name)
  local method = Message[name]
  if method ~= nil then return method end
  local field = fields[name]
  return field and field(self)
end

local function message_at(box, part, file)
  local key, letters = split_name(file)
  return setmetatable({ box = box, key = key, letters = letters, part = part, file = file }, Message)
end

local function moved(self, part, file)
  self.part, self.file = part, file
  self.letters = select(2, split_name(file))
end

local function opened_file(self)
  return on_file(self.box, self.key, self.part, self.file, function(part, name)
    local file, why, word = core.file(self.box.path .. "/" .. part .. "/" .. name, "read")
    if file then moved(self, part, name) end
    return file, why, word
  end)
end

--- The message as an open file, to be read and closed by the caller; or nil, err.
function Message:open()
  local file, err = opened_file(self)
  if not file then return nil, err end
  file:close()
  local handle, why = io.open(self.path, "rb")
  if not handle then return fail("io", "%s", why) end
  return handle
end

--- The message as a source (ltn12): a piece at each call, nil at the end, or nil, err.
-- The bytes are as they stand in the file: most programs write lines that end in LF.
function Message:source()
  local file, err = opened_file(self)
  local offset, ended = 0, false
  return function()
    if err or ended then return nil, err end
    local piece, why, word = file:read(PIECE, offset)
    if piece and piece ~= "" then
      offset = offset + #piece
      return piece
    end
    file:close()
    ended = true
    if not piece then
      local _, failure = refused(self.path, why, word)
      err = failure
    end
    return nil, err
  end
end

--- The whole message as a string; or nil, err.
function Message:string()
  local source, pieces = self:source(), {}
  while true do
    local piece, err = source()
    if not piece then
      if err then return nil, err end
      return table.concat(pieces)
    end
    pieces[#pieces + 1] = piece
  end
end

--- The message, parsed (`mail.message`); or nil, err.
function Message:message()
  local text, err = self:string()
  if not text then return nil, err end
  return require("mail.message").parse(text)
end

--- As `maildir:set_flags`, `maildir:remove`, `maildir:move` and `maildir:copy` with this message's key.
function Message:set_flags(change) return self.box:set_flags(self, change) end

function Message:remove() return self.box:remove(self) end

function Message:move(target) return self.box:move(self, target) end

function Message:copy(target) return self.box:copy(self, target) end

-- A key, or a message of this Maildir: key, part, file.
local function named(key)
  if getmetatable(key) == Message then return key.key, key.part, key.file, key end
  return key
end

--- The message with this key; or nil, err (`err.reason` is "missing" where there is none).
function Maildir:get(key)
  local part, file = locate(self, key)
  if not part then return nil, file end
  return message_at(self, part, file)
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
      if split_name(name) then return message_at(state.box, state.part, name) end
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
-- @return an iterator (API §1) of messages: `key`, `path`, `flags` (a set: `m.flags["\\Seen"]`; letters of
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

-- What `message` is, as a source function.
local function source_of(message)
  if type(message) == "string" then
    local text = message
    return function()
      local piece = text
      text = nil
      return piece
    end
  elseif type(message) == "function" then
    return message
  elseif io.type(message) == "file" then
    return function() return message:read(PIECE) end
  end
  local kind = type(message)
  if (kind == "table" or kind == "userdata") and type(message.source) == "function" then return message:source() end
  error(("maildir:add: the message must be a string, an open file, a source function or a message, got %s")
    :format(io.type(message) or kind), 3)
end

-- Writes a source into an open file: its size; or nil, err; `source.raised` where the source did.
local function fill(self, file, path, source)
  local size = 0
  while true do
    local piece, why = content.pull(source)
    if not piece then
      if why ~= nil then return fail("io", "the message cannot be read: %s", tostring(why)) end
      break
    end
    local ok, reason, word = file:write(piece, size)
    if not ok then return refused(path, reason, word) end
    size = size + #piece
  end
  if self.sync then
    local ok, why, word = file:sync()
    if not ok then return refused(path, why, word) end
  end
  local ok, why, word = file:close()
  if not ok then return refused(path, why, word) end
  return size
end

-- A new file in tmp: file, unique name, path; or nil, err.
local function temporary(self)
  local path, why, word
  for _ = 1, ATTEMPTS do
    local base = unique()
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
    base = unique()
  end
  return refused(self.path .. "/" .. part, why, word)
end

local ADD = { flags = "table|string?" }

--- Delivers a message: once this returns its key, it is on the disk.
-- @param message a string, an open file, a source function, or an object with `source()`; its bytes are
--   kept as they are
-- @tparam[opt] table options `flags`: an array or a set of names, or letters ("FS"); with flags (even none:
--   `{}`) it goes to `cur`, as a message that somebody has seen, else to `new`
-- @treturn string its key; or nil, err (kind "io": nothing was delivered, unless `err.reason` is
--   "unflushed": then it is there, but a crash may still lose it); what a source raises is raised
function Maildir:add(message, options)
  options = want(options or {}, ADD, "maildir:add")
  local source = { fn = source_of(message) }
  local letters, err = letters_into({}, options.flags or {}, true)
  if not letters then return nil, err end
  local file, base, path = temporary(self)
  if not file then return nil, base end
  local size, key
  size, err = fill(self, file, path, source)
  if size then
    local part, info = "new", ""
    if options.flags then part, info = "cur", info_of(letters) end
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
  if source.raised then error(err.message:match "cannot be read: (.*)$", 0) end
  return nil, err
end

-- --- changes --------------------------------------------------------------------------------------------------

local CHANGE = { add = "table|string?", remove = "table|string?", flags = "table|string?" }

--- Changes the flags of a message; one in `new` moves to `cur`.
-- @param key its key, or the message
-- @tparam table|string change `{add=}`, `{remove=}`, `{flags=}` (in place of all that were there), each an
--   array or a set of names, or letters
-- @treturn table the flags it has now, a set; or nil, err
function Maildir:set_flags(key, change)
  if type(change) == "string" then change = { flags = change } end
  want(change, CHANGE, "maildir:set_flags")
  local id, at, file, message = named(key)
  local set, invalid
  local ok, err = on_file(self, id, at, file, function(part, name)
    set, invalid = {}, nil
    if not change.flags then set = letters_into(set, select(2, split_name(name)), true) end
    for _, step in ipairs { { change.flags, true }, { change.add, true }, { change.remove, nil } } do
      if set and step[1] then set, invalid = letters_into(set, step[1], step[2]) end
    end
    if not set then return true end
    local target = id .. info_of(set)
    if part == "cur" and target == name then return true end
    local done, why, word = core.file_move(self.path .. "/" .. part .. "/" .. name, self.path .. "/cur/" .. target)
    if done and message then moved(message, "cur", target) end
    return done, why, word
  end)
  if not ok then return nil, err end
  if not set then return nil, invalid end
  return flags_of(info_of(set):sub(4))
end

--- Removes a message for good.
-- @param key its key, or the message
-- @treturn boolean true; or nil, err
function Maildir:remove(key)
  local id, at, file = named(key)
  return on_file(self, id, at, file, function(part, name)
    return core.file_remove(self.path .. "/" .. part .. "/" .. name)
  end)
end

-- Gives the file of a message another name in `target` by `call`: its key there; or nil, err.
local function transfer(self, key, target, call)
  if getmetatable(target) ~= Maildir then
    local err
    target, err = self:folder(target)
    if not target then return nil, err end
  end
  local id, at, file = named(key)
  local new_key, to_part
  local ok, err = on_file(self, id, at, file, function(part, name)
    local why, word
    for _ = 1, ATTEMPTS do
      local tail = name:match ",[SW]=%d[^:]*" or ""
      new_key, to_part = unique() .. tail, part
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
  local ok, err = scan(path, function(name)
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
