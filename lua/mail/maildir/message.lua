--- A message in a Maildir: a name of its file, which is looked for again where another program changed it.
-- @module mail.maildir.message

local core = require "mail.core"
local find = require "mail.maildir.find"
local names = require "mail.maildir.names"
local store = require "mail.store"

local fail, refused = store.errors "maildir"

local message = {}

local Message = { __name = "mail.maildir.message" }

local fields = {
  path = function(self) return self.box.path .. "/" .. self.part .. "/" .. self.file end,
  flags = function(self) return names.flags_of(self.letters) end,
  new = function(self) return self.part == "new" end,
  size = function(self)
    local facts = find.on_file(self.box, self.key, self.part, self.file, function(part, name)
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

--- The message whose file is `part`/`file` of a Maildir.
function message.at(box, part, file)
  local key, letters = names.split_name(file)
  return setmetatable({ box = box, key = key, letters = letters, part = part, file = file }, Message)
end

--- Notes that the message's file has another name now.
function message.moved(self, part, file)
  self.part, self.file = part, file
  self.letters = select(2, names.split_name(file))
end

local function opened_file(self)
  return find.on_file(self.box, self.key, self.part, self.file, function(part, name)
    local file, why, word = core.file(self.box.path .. "/" .. part .. "/" .. name, "read")
    if file then message.moved(self, part, name) end
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
    local piece, why, word = file:read(store.PIECE, offset)
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

store.readable(Message)

--- As `maildir:set_flags`, `maildir:remove`, `maildir:move` and `maildir:copy` with this message's key.
function Message:set_flags(change) return self.box:set_flags(self, change) end

function Message:remove() return self.box:remove(self) end

function Message:move(target) return self.box:move(self, target) end

function Message:copy(target) return self.box:copy(self, target) end

--- True where `value` is such a message.
function message.is(value) return getmetatable(value) == Message end

return message
