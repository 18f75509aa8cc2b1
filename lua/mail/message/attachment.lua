--- Attachments of a message, and names under which they may be saved.
--
-- A name from a message is the sender's: `safe_name` makes one that stays in its folder on every system, is no
-- hidden file, and shows no other ending than it has. Files are made anew, never overwritten unless asked, and
-- never through a symbolic link.
-- @module mail.message.attachment

local ascii = require "mail.ascii"
local core = require "mail.core"
local Err = require "mail.err"
local part = require "mail.message.part"
local text = require "mail.message.text"
local type_of_name = require "mail.message.types"
local want = require "mail.want"

local attachment = {}

local NAME_MAX = 200 -- octets: room for a number and for what file systems add
local LONG = 1000 -- octets of a name's beginning and end that are looked at

-- Names that Windows takes for devices, whatever their ending.
local DEVICES = { con = true, prn = true, aux = true, nul = true, ["conin$"] = true, ["conout$"] = true }
for _, port in ipairs { "com", "lpt" } do
  for i = 0, 9 do DEVICES[port .. i] = true end
  for _, digit in ipairs { "\194\185", "\194\178", "\194\179" } do DEVICES[port .. digit] = true end -- ¹ ² ³
end

-- Cuts to `n` octets without cutting a character.
local function cut(s, n)
  if #s <= n then return s end
  while n > 0 and s:byte(n + 1) >= 0x80 and s:byte(n + 1) < 0xC0 do n = n - 1 end
  return s:sub(1, n)
end

-- Octets that are not shown, or turn what is: control characters (C1 too), marks of the direction of writing
-- (U+061C, U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069), blanks without a width (U+200B, U+2060, U+FEFF).
-- Classes like %c follow the host's locale, so octets are named.
local HIDDEN = {
  "[%z\1-\31\127]", "\194[\128-\159]", "\216\156", "\226\128[\139\142\143\168-\174]", "\226\129[\160\166-\169]",
  "\239\187\191",
}

-- Windows has no names that end in dots or blanks: it opens another file.
local function without_dots_behind(name)
  local n = #name
  while n > 0 and name:find("^[ .]", n) do n = n - 1 end
  return name:sub(1, n)
end

--- A file name that cannot leave its folder: what stands behind the last slash or backslash, without control
-- characters, marks that turn the direction of writing, and characters that a system forbids; no hidden file, no
-- device of Windows, 200 octets at most.
-- @tparam ?string name as the sender wrote it
-- @tparam[opt="attachment"] string default the name where nothing is left
-- @treturn string
function attachment.safe_name(name, default)
  if name ~= nil and type(name) ~= "string" then error("safe_name: a name expected, got " .. type(name), 3) end
  local base = (name or ""):match("^.*[/\\](.*)$") or name or ""
  -- What no file system takes is cut here already: the steps below look at an octet more than once.
  if #base > 2 * LONG then base = base:sub(1, LONG) .. base:sub(-LONG) end
  for _, octets in ipairs(HIDDEN) do base = base:gsub(octets, "") end
  base = without_dots_behind(base:gsub('[<>:"|?*]', "_"):gsub("^ +", ""))
  if base:sub(1, 1) == "." then base = "_" .. base:sub(2) end
  if base == "" then return default or "attachment" end
  if DEVICES[ascii.lower((base:match("^[^.]*"):gsub(" +$", "")))] then base = "_" .. base end
  local stem, ending = base:match("^(.*)(%.[^.]*)$")
  if not stem or #ending > 20 then stem, ending = base, "" end
  return without_dots_behind(cut(stem, NAME_MAX - #ending) .. ending)
end

-- --- saving ---------------------------------------------------------------------------------------

-- Files of one name in a folder.
local FILES_MAX = 1000000

local function io_error(path, why)
  return Err.nil_new { kind = "io", message = ("%s: %s"):format(path, why) }
end

-- "x", "x (1)", "x (2)" … of "x.ext", in a folder.
local function numbered(folder, name)
  local stem, ending = name:match("^(.+)(%.[^.]*)$")
  if not stem then stem, ending = name, "" end
  return function(i) return ("%s/%s%s%s"):format(folder, stem, i > 0 and (" (%d)"):format(i) or "", ending) end
end

-- A number that is free, behind one that is not: found by halves, for a message may hold thousands of one name.
local function free_number(path)
  local low, high = 0, 1
  while high < FILES_MAX and core.file_facts(path(high)) do low, high = high, high * 2 end
  while high - low > 1 do
    local middle = math.floor((low + high) / 2)
    if core.file_facts(path(middle)) then low = middle else high = middle end
  end
  return high
end

-- In a folder: "name.ext", or "name (1).ext" where that is taken.
local function save_in(folder, name, write)
  local path, i = numbered(folder:gsub("(.)/+$", "%1"), name), 0
  while i < FILES_MAX do
    local ok, why, taken = write(path(i))
    if ok then return path(i) end
    if not taken then return io_error(path(i), why) end
    i = i == 0 and free_number(path) or i + 1
  end
  return io_error(path(0), "too many files of that name")
end

local SAVE = { overwrite = "boolean?" }

local function save(self, write, where, options)
  if type(where) ~= "string" or where == "" then error("attachment.save: a folder or a path expected", 3) end
  if where:find("%z") then error("attachment.save: a path cannot hold a NUL", 3) end
  options = want(options or {}, SAVE, "attachment.save", 2)
  if core.is_folder(where) then
    if not options.overwrite then return save_in(where, self.filename or self.default_name, write) end
    where = where:gsub("(.)/+$", "%1") .. "/" .. (self.filename or self.default_name)
  end
  local ok, why = write(where, options.overwrite)
  if ok then return where end
  return io_error(where, why)
end

-- --- the object -----------------------------------------------------------------------------------

local ENDINGS = { ["message/rfc822"] = "message.eml", ["text/calendar"] = "invite.ics", ["text/html"] = "text.html" }

local class = { __name = "mail.attachment" }

-- The size is found by decoding, so only when it is asked for.
function class.__index(self, name)
  if name ~= "size" then return nil end
  local size = self.part and self.part.size or #self.data()
  rawset(self, "size", size)
  return size
end

--- An attachment: `filename` (safe; nil where the sender gave none), `original_filename` (as it was given),
-- `type`, `size` (octets), `cid`, `disposition`, `part` (nil where it was unpacked), `data()` → octets,
-- `save(folder_or_path, {overwrite=})` → the path of the file; or nil, err (kind "io": a file of that path is
-- there, …). Both may be called with a dot or a colon.
-- @tparam table fields
-- @tparam function data → octets
-- @tparam[opt] function write write(path, overwrite) → as `core.write_file`, for octets that are better not held in
--   memory
-- @treturn table
function attachment.new(fields, data, write)
  local self = setmetatable(fields, class)
  self.default_name = ENDINGS[self.type] or "attachment"
  local given = self.original_filename
  self.filename = given and attachment.safe_name(given, self.default_name) or nil
  write = write or function(path, overwrite) return core.write_file(path, data(), overwrite) end
  function self.data() return data() end
  function self.save(a, b, c) -- no tail calls: those have no level of their own
    if a == self then a, b = b, c end
    local path, err = save(self, write, a, b)
    return path, err
  end
  return self
end

local function of_part(p)
  return attachment.new({
    original_filename = p.filename, type = p.type, cid = p.cid, disposition = p.disposition, part = p,
  }, function() return p:body() end, function(path, overwrite) return p._text:save(p._at, path, overwrite) end)
end

-- --- winmail.dat -----------------------------------------------------------------------------------

local function is_tnef(data) return data:sub(1, 4) == "\120\159\062\034" end

local unpacked

-- A file of a winmail.dat. A message among them is a winmail.dat itself: `tnef()` unpacks it.
local function of_file(file)
  local inside = is_tnef(file.data)
  local made = attachment.new({
    original_filename = file.name, cid = file.cid, disposition = file.cid and "inline" or "attachment",
    type = inside and "application/ms-tnef" or ascii.lower(file.type or type_of_name(file.name)),
  }, function() return file.data end)
  if inside then
    function made.tnef()
      return unpacked(core.message_parse("Content-Type: application/ms-tnef\r\n\r\n" .. file.data), 1)
    end
  end
  return made
end

function unpacked(message, at)
  local found = message:tnef(at)
  if not found then return nil end
  local list = {}
  for i, file in ipairs(found) do list[i] = of_file(file) end
  return {
    attachments = list, subject = found.subject, text = found.body, html = found.html, rtf = found.rtf,
    broken = found.broken,
  }
end

--- What a winmail.dat holds (TNEF).
-- @treturn table `{ attachments= (a message among them has `tnef()`, which gives the same of it), subject=, text=,
--   html=, rtf= (unpacked), broken= (true where it breaks off) }`; nil where the part is no TNEF
function part.methods:tnef()
  return unpacked(self._text, self._at)
end

-- --- which parts ----------------------------------------------------------------------------------

-- What reports say in the language of programs: `delivery_status` and its kin read it.
local REPORTS = {
  ["message/delivery-status"] = true, ["message/global-delivery-status"] = true,
  ["message/disposition-notification"] = true, ["message/global-disposition-notification"] = true,
  ["message/feedback-report"] = true,
}

-- Files that stand in text as uuencode; the text shows them all the same.
local function add_uuencoded(list, p)
  for _, file in ipairs(p._text:uuencoded(p._at) or {}) do
    list[#list + 1] = attachment.new({
      original_filename = file.name, type = type_of_name(file.name), disposition = "attachment",
    }, function() return file.data end)
  end
end

local function add_leaf(list, p)
  if p.type == "application/ms-tnef" or ascii.lower(p.filename or "") == "winmail.dat" then
    local inside = p:tnef()
    if inside and #inside.attachments > 0 then
      for _, one in ipairs(inside.attachments) do list[#list + 1] = one end
      return
    end
  end
  if p.disposition ~= "attachment" and (text.is_shown(p) or (REPORTS[p.type] and not p.filename)) then
    if p.type == "text/plain" then add_uuencoded(list, p) end
    return
  end
  list[#list + 1] = of_part(p)
end

--- The attachments: files and images, inline ones too (they have a `cid`), and messages, which are not looked
-- into. Winmail.dat (TNEF) is unpacked, uuencode in plain text decoded.
-- @treturn table array of attachments, in order; see `attachment.new`
function part.methods:attachments()
  local list, stack, n = {}, { self }, 1
  while n > 0 do
    local p = stack[n]
    stack[n], n = nil, n - 1
    local inside = p.parts
    local is_message = inside and p.type:match("^message/")
    if inside and (not is_message or p == self) then
      for i = #inside, 1, -1 do
        n = n + 1
        stack[n] = inside[i]
      end
    elseif p._text:shape(p._at) ~= "multipart" then
      add_leaf(list, p)
    end
  end
  return list
end

return attachment
