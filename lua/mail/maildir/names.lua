--- Names in a Maildir: of messages (a key and letters for flags), and of folders.
--
-- Keys and folder names come from outside, too: nothing here makes a name that leaves the directory.
-- Names and info: cr.yp.to/proto/maildir.html; folders: Courier's Maildir++.
-- @module mail.maildir.names

local ascii = require "mail.ascii"
local core = require "mail.core"
local fail = require "mail.store".errors "maildir"

local names = {}

-- What most file systems take as one name.
local KEY_MAX = 255

local FLAG_OF = {
  D = "\\Draft", F = "\\Flagged", P = "$Forwarded", R = "\\Answered", S = "\\Seen", T = "\\Deleted",
}
local LETTER_OF = {}
for letter, flag in pairs(FLAG_OF) do LETTER_OF[ascii.lower(flag)] = letter end

function names.is_key(key)
  return type(key) == "string" and key ~= "" and #key <= KEY_MAX and not key:find "[%z/:]" and key:sub(1, 1) ~= "."
end

function names.bad_key(key)
  return fail("invalid", "%q is no key of a message", tostring(key):sub(1, 80))
end

-- "1700.M1P2.host:2,FS" → key, letters; nil for what is no message's name.
function names.split_name(name)
  local key, info = name:match "^([^:]+):?(.*)$"
  if not key or not names.is_key(key) then return nil end
  return key, info:match "^2,([A-Za-z]*)" or ""
end

function names.flags_of(letters)
  local flags = {}
  for letter in letters:gmatch "." do flags[FLAG_OF[letter] or letter] = true end
  return flags
end

-- A message is recent for a session of IMAP, not for good: new tells that here.
local RECENT = "\\recent"

-- A flag as its letter: "\\Seen" in any case, or a letter itself (a to z: keywords of other programs).
local function letter_of(flag)
  if type(flag) ~= "string" then return nil end
  return LETTER_OF[ascii.lower(flag)] or (flag:match "^[DFPRSTa-z]$")
end

-- Adds the letters of `flags` (an array, a set, the name of one, or letters as one string) to a set of letters.
function names.letters_into(set, flags, value)
  if type(flags) == "string" and flags:find "^[\\$]" then
    flags = { flags }
  elseif type(flags) == "string" then
    local list = {}
    for letter in flags:gmatch "." do list[#list + 1] = letter end
    flags = list
  end
  for name, flag in pairs(flags) do
    if type(name) == "string" then flag = flag and name or nil end
    local letter = flag and letter_of(flag)
    if flag and not letter and ascii.lower(tostring(flag)) ~= RECENT then
      return fail("invalid", "%q cannot be kept as a flag: a Maildir has \\Seen, \\Answered, \\Flagged, \\Deleted, "
        .. "\\Draft, $Forwarded, and letters from a to z", tostring(flag):sub(1, 80))
    end
    if letter then set[letter] = value end
  end
  return set
end

function names.info_of(set)
  local letters = {}
  for letter in pairs(set) do letters[#letters + 1] = letter end
  table.sort(letters, ascii.before)
  return ":2," .. table.concat(letters)
end

local deliveries = 0

-- A name that no other delivery has: time, process and count, and the host for file systems that
-- several of them share.
function names.unique()
  local now, process = core.file_time()
  deliveries = deliveries + 1
  local host = (core.hostname() or "localhost"):gsub("/", "\\057"):gsub(":", "\\072")
  host = host:gsub("[%z\1-\32\127]", "_"):sub(1, 100)
  local second = math.floor(now)
  return ("%.0f.M%06.0fP%dQ%d.%s"):format(second, math.floor((now - second) * 1e6), process, deliveries, host)
end

-- "Lists/Lua" → ".Lists.Lua"; "" for the INBOX; or nil, err.
function names.folder_file(self, name)
  if name == nil or ascii.upper(name) == "INBOX" then return "" end
  if name == "" or name:find "[%z\1-\31\127%.]" or ("/" .. name .. "/"):find("//", 1, true) then
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
function names.folder_name(self, file)
  local text = file:match "^%.([^.].*)$"
  if not text or text:find("..", 1, true) or text:sub(-1) == "." then return nil end
  text = text:gsub("%.", "/")
  if self.names == "utf7" then text = core.utf7_decode(text) end
  if not text or not core.is_utf8(text) or names.folder_file(self, text) ~= file then return nil end
  return text
end

return names
