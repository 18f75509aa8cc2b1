--- mbox: many messages in one file, each behind a line "From sender date" (RFC 4155).
--
-- Reading streams: the file is gone through in pieces, and a message is a place in it until its source is
-- asked for. A message begins at a line "From " at the front of the file or behind an empty line; the empty line
-- in front of the next one is no part of it. Formats differ in how a line of text that begins so is kept:
-- "mboxrd" puts ">" in front of it and of ">From ", ">>From " …, so that nothing is lost; "mboxo" puts it in front of
-- "From " only (what was ">From " before loses its ">"); "mboxcl" is mboxrd with Content-Length fields,
-- "mboxcl2" has these and changes no line. A Content-Length that does not lead to the end of a message is passed over.
-- Appending locks (a file PATH.lock, made exclusively, and fcntl(2)), writes, flushes, and cuts the file back to what
-- it was where anything fails. No file system makes that proof against a crash in the middle: use `mail.maildir`
-- where that matters. Calls take as long as the disk does.
-- @module mail.mbox

local ascii = require "mail.ascii"
local core = require "mail.core"
local iterator = require "mail.iterator"
local loop = require "mail.loop"
local store = require "mail.store"
local want = require "mail.want"

local mbox = {}

local Mbox = { __name = "mail.mbox" }
Mbox.__index = Mbox

-- A "From " line, and a header in which Content-Length is looked for, longer than this are not gone through.
local LINE_MAX = 8192
local HEADER_MAX = 262144
-- A lock file that nobody touched for so long was left by a program that died.
local STALE = 300
local LOCK_PAUSE = 0.05

local FORMATS = { mboxrd = "rd", mboxo = "o", mboxcl = "rd", mboxcl2 = "none" }

local fail, refused = store.errors "mbox"

local OPEN = {
  format = "string?", create = "boolean?", lock = "string?", lock_timeout = "number?", sync = "boolean?",
}
local LOCKS = { both = true, file = true, fcntl = true, none = true }

--- Names an mbox file; it is opened by each call on it.
-- @tparam string path the last part of it must be no symbolic link
-- @tparam[opt] table options `format` ("mboxrd", "mboxo", "mboxcl", "mboxcl2"; default "mboxrd"); `create` (true):
--   `add` makes a file that is missing; `lock` ("both"): what `add` locks by: "file" (PATH.lock), "fcntl",
--   "both", "none";
--   `lock_timeout` (10): seconds; `sync` (true): flush to the disk
-- @return the mbox
function mbox.open(path, options)
  if type(path) ~= "string" or path == "" or path:find "%z" then error("mail.mbox.open: a path expected", 2) end
  options = want(options or {}, OPEN, "mail.mbox.open")
  local format, lock = options.format or "mboxrd", options.lock or "both"
  if not FORMATS[format] then error("mail.mbox.open: unknown format '" .. format .. "'", 2) end
  if not LOCKS[lock] then error("mail.mbox.open: lock must be 'both', 'file', 'fcntl' or 'none'", 2) end
  return setmetatable({
    path = path, format = format, create = options.create ~= false, lock = lock,
    lock_timeout = options.lock_timeout or 10, sync = options.sync ~= false,
  }, Mbox)
end

-- --- quoting ---------------------------------------------------------------------------------------------

-- Both go through a text in pieces, line starts found by C. What a piece ends with, and could be the
-- beginning of a quoted line, waits for the next: at most ">" and four letters, however long a run of ">" is.

-- A function that takes pieces (nil: the end) and gives what `turn` makes of them. `turn` takes text, behind an LF
-- that is not of it where a line begins there; it returns the text, the LF before it still there, what is held back,
-- and whether what follows that begins a line.
local function by_pieces(turn)
  local held, prefix = "", "\n"
  return function(piece)
    if not piece then
      local rest = held
      held = ""
      return rest ~= "" and rest or nil
    end
    local text, at_start
    local before = #prefix
    text, held, at_start = turn(prefix .. held .. piece)
    prefix = at_start and "\n" or ""
    return text:sub(before + 1)
  end
end

local UNQUOTED = { rd = { "\n>(>*From )", "^(>+)(F?r?o?m?)$" }, o = { "\n>(From )", "^(>)(F?r?o?m?)$" } }

-- Takes the quotes out.
local function unquoter(how)
  if how == "none" then return function(piece) return piece end end
  local pattern, partial = UNQUOTED[how][1], UNQUOTED[how][2]
  return by_pieces(function(text)
    text = text:gsub(pattern, "\n%1")
    local last = text:match "^.*()\n"
    if not last then return text, "", false end
    local run, letters = text:sub(last + 1):match(partial)
    if not run then return text, "", last == #text end
    local held = ">" .. letters
    return text:sub(1, #text - #held), held, true
  end)
end

local QUOTED = { rd = { "\n(>*From )", "^(>*)(F?r?o?m?)$" }, o = { "\n(From )", "^()(F?r?o?m?)$" } }

-- Puts quotes in, and gives lines that end in LF.
local function quoter(how)
  local pattern, partial = QUOTED[how][1], QUOTED[how][2]
  return by_pieces(function(text)
    local tail = ""
    if text:sub(-1) == "\r" then text, tail = text:sub(1, -2), "\r" end
    text = text:gsub("\r\n", "\n"):gsub(pattern, "\n>%1")
    local last = text:match "^.*()\n"
    local letters = last and select(2, text:sub(last + 1):match(partial))
    if not letters or letters == "" then return text, tail, letters ~= nil end
    return text:sub(1, #text - #letters), letters .. tail, true
  end)
end

-- --- reading --------------------------------------------------------------------------------------------

-- The place behind the line end of an empty line in front of `at` in `text` (1-based): whether the line that begins
-- at `at` is behind an empty one.
local function behind_empty(text, at)
  local before = text:sub(math.max(1, at - 4), at - 1)
  return before:sub(-2) == "\n\n" or before:sub(-3) == "\n\r\n"
end

-- The octets from..from+n-1 of the file, fewer at its end: out of the window, or read; or nil, err.
local function octets(state, n, at)
  local from = at - state.base
  if from >= 0 and from + n <= #state.text then return state.text:sub(from + 1, from + n) end
  local text, why, word = state.file:read(n, at)
  if not text then return refused(state.box.path, why, word) end
  return text
end

-- The offset of the next "From " line behind an empty line at or after `offset`; nil at the end; or nil, err.
-- The window goes through the file once: pieces overlap by what a boundary takes.
local function next_boundary(state, offset)
  local first = math.max(0, offset - 4)
  if first < state.base or first > state.base + #state.text then state.base, state.text = first, "" end
  local from = first - state.base + 1
  while true do
    local base, text = state.base, state.text
    while true do
      local at = text:find("\nFrom ", from, true)
      if not at then break end
      if base + at >= offset and behind_empty(text, at + 1) then return base + at end
      from = at + 1
    end
    local piece, why, word = state.file:read(store.PIECE, base + #text)
    if not piece then return refused(state.box.path, why, word) end
    if piece == "" then return nil end
    local kept = text:sub(-9)
    state.base, state.text, from = base + #text - #kept, kept .. piece, 1
  end
end

-- Where the text start..stop ends without the empty line that parts it from what follows; or nil, err.
local function without_empty_line(state, start, stop)
  local from = math.max(start, stop - 4)
  local tail, err = octets(state, stop - from, from)
  if not tail then return nil, err end
  if tail == "\n" or tail == "\r\n" then return start end
  if tail:sub(-3) == "\n\r\n" then return stop - 2 end
  return tail:sub(-2) == "\n\n" and stop - 1 or stop
end

-- The header that begins at `start`, with its empty line; nil where that is not found within HEADER_MAX.
local function header_at(state, start)
  local room = 2048
  repeat
    room = room * 2
    local text = octets(state, math.min(room, state.size - start), start)
    local _, behind = (text or ""):find "\r?\n\r?\n"
    if behind then return text:sub(1, behind) end
  until not text or room >= HEADER_MAX or room >= state.size - start
end

-- Where the message that begins at `start` ends by its Content-Length, and where the next one begins; nil where
-- it has none or this leads astray.
local function by_length(state, start)
  local header = header_at(state, start)
  local length = header and ascii.lower("\n" .. header):match "\ncontent%-length:[ \t]*(%d+)[ \t]*\r?\n"
  length = length and #length < 16 and tonumber(length)
  local stop = length and start + #header + length
  if not stop or stop > state.size then return nil end
  local behind = octets(state, math.min(9, state.size - stop), stop) or ""
  local gap = behind:match "^\r?\n?\r?\n?()"
  if gap > #behind and stop + #behind == state.size then return stop, state.size end
  if gap > 1 and behind:sub(gap, gap + 4) == "From " then return stop, stop + gap - 1 end
  return nil
end

local Message = { __name = "mail.mbox.message" }
Message.__index = Message

--- The message as a source (ltn12), without the quotes of its format; nil at the end, or nil, err.
function Message:source()
  local file, why, word = core.file(self.box.path, "read")
  local at, ended = self.start, false
  local unquote = unquoter(FORMATS[self.box.format])
  local function stop(result, err)
    if file then file:close() end
    ended = true
    return result, err
  end
  return function()
    if ended then return nil end
    if not file then return stop(refused(self.box.path, why, word)) end
    while at < self.stop do
      local piece, reason, kind = file:read(math.min(store.PIECE, self.stop - at), at)
      if not piece then return stop(refused(self.box.path, reason, kind)) end
      if piece == "" then return stop(fail("io", "%s is shorter than it was", self.box.path)) end
      at = at + #piece
      local text = unquote(piece)
      if text ~= "" then return text end
    end
    return stop(unquote(nil))
  end
end

store.readable(Message)

-- Reads the "From " line at state.at: its text and the offset behind it; or nil, err.
local function from_line(state)
  local head, err, line, behind
  for _, room in ipairs { 256, LINE_MAX } do
    room = math.min(room, state.size - state.at)
    head, err = octets(state, room, state.at)
    if not head then return nil, err end
    line, behind = head:match "^From ([^\n]*)\n()"
    if line then return line:gsub("\r$", ""), state.at + behind - 1 end
    if head:sub(1, 5) == "From " and room == state.size - state.at then return head:sub(6), state.size end
  end
  return fail("invalid", "%s: no \"From \" line at octet %.0f", state.box.path, state.at)
end

local function advance(state)
  if state.at >= state.size then return nil end
  local line, start = from_line(state)
  if not line then return nil, start end
  local stop, following, err
  if state.by_length then stop, following = by_length(state, start) end
  if not stop then
    following, err = next_boundary(state, start)
    if err then return nil, err end
    following = math.min(following or state.size, state.size)
    stop, err = without_empty_line(state, start, following)
    if not stop then return nil, err end
  end
  local sender, date = line:match "^(%S*)%s*(.*)$"
  date = date:match "^(.*%S)" or ""
  local item = setmetatable({
    box = state.box, offset = state.at, start = start, stop = stop, size = stop - start, from = sender,
    date_text = date, date = mbox.date(date),
  }, Message)
  state.at = following
  return item
end

local Messages = iterator.class(advance, function(state) state.file:close() end)

--- Iterates over the messages, in order, in memory that does not grow with the file. What is appended
-- meanwhile is not seen.
-- @return an iterator (see `mail.iterator`) of `from` (the sender of the "From " line), `date` (seconds since 1970, nil
--   where it cannot be read), `date_text`, `offset` (of the "From " line), `size` (octets as they stand in the file),
--   `source()`, `string()`, `message()`; or nil, err: kind "io", or "invalid" where the file is no mbox
function Mbox:messages()
  local file, why, word = core.file(self.path, "read")
  if not file then return refused(self.path, why, word) end
  local size = file:facts().size
  local state = {
    box = self, file = file, at = 0, size = size, base = 0, text = "",
    by_length = self.format:find "^mboxcl" ~= nil,
  }
  if size > 0 and file:read(5, 0) ~= "From " then
    file:close()
    return fail("invalid", "%s is no mbox: it does not begin with \"From \"", self.path)
  end
  return iterator.results(setmetatable(state, Messages))
end

local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }
local DAYS = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }

--- Reads the date of a "From " line ("Thu Jan  1 00:00:00 1970", UTC as RFC 4155 has it; a zone behind or in
-- front of the year counts).
-- @treturn number seconds since 1970; nil where it is none
function mbox.date(text)
  if type(text) ~= "string" then error("mail.mbox.date: a string expected, got " .. type(text), 2) end
  local weekday, month, day, clock, rest = text:match "^([A-Za-z]+)%s+([A-Za-z]+)%s+(%d%d?)%s+([%d:]+)%s+(.+)$"
  if not rest or #weekday ~= 3 or #month ~= 3 then return nil end
  local zone = rest:match "[+-]%d%d%d%d" or "+0000"
  local year = rest:gsub("[+-]%d%d%d%d", "", 1):match "%f[%d](%d%d%d%d)%f[%D]"
  if not year then return nil end
  return core.date_parse(("%s %s %s %s %s"):format(day, month, year, clock, zone))
end

-- --- appending ---------------------------------------------------------------------------------------------

-- The date of a "From " line; nil for what four digits of a year cannot hold.
local function date_line(epoch)
  if not (epoch >= -62167219200 and epoch < 253402300800) then return nil end
  local t = os.date("!*t", math.floor(epoch))
  return ("%s %s %2d %02d:%02d:%02d %04d"):format(DAYS[t.wday], MONTHS[t.month], t.day, t.hour, t.min, t.sec, t.year)
end

-- Makes PATH.lock: true; false where another holds it; or nil, err.
local function lock_file(path)
  local file, why, word = core.file(path, "create")
  if file then
    file:write(("%d\n"):format((select(2, core.file_time()))), 0)
    file:close()
    return true
  end
  if word ~= "exists" then return refused(path, why, word) end
  local facts = core.file_facts(path)
  if facts and os.time() - facts.modified > STALE then core.file_remove(path) end
  return false
end

-- One try at all locks: the open file and what lets go of it; false where another program has one of them; or
-- nil, err. What was taken is let go where the rest is not to be had: nobody waits for the other in a circle.
local function try_lock(self)
  local by_file = self.lock == "both" or self.lock == "file"
  local file
  local function release()
    local ok, why, word = true, nil, nil
    if file then ok, why, word = file:close() end
    if by_file then core.file_remove(self.path .. ".lock") end
    return ok, why, word
  end
  if by_file then
    local got, err = lock_file(self.path .. ".lock")
    if not got then return got, err end
  end
  local there, why, word = core.file_facts(self.path)
  if there or self.create then file, why, word = core.file(self.path, "update") end
  if not file then
    release()
    return refused(self.path, why, word)
  end
  if self.lock == "both" or self.lock == "fcntl" then
    local got
    got, why, word = file:lock()
    if not got then release() end
    if got == nil then return refused(self.path, why, word) end
    if not got then return false end
  end
  return file, release
end

-- The file, open and locked, and what lets go of it; or nil, err. Waits without holding anything.
local function locked(self)
  local deadline = loop.now() + self.lock_timeout
  while true do
    local file, release = try_lock(self)
    if file ~= false then return file, release end
    if loop.now() >= deadline then return fail("timeout", "%s is locked by another program", self.path) end
    loop.sleep(LOCK_PAUSE)
  end
end

-- What `message` is, as a source that neither waits nor raises, since it is read under the lock: what a caller's
-- source gives is put into a temporary file first. Or nil, err.
local function settled(message, level)
  local fn = store.source(message, "mbox:add", level + 1)
  if type(message) == "string" then return fn end
  local file, why = io.tmpfile()
  if not file then return fail("io", "no temporary file: %s", why) end
  local source = { fn = fn }
  local ok, err = store.drain(source, function(piece)
    local put, reason = file:write(piece)
    if not put then return fail("io", "a temporary file: %s", reason) end
    return true
  end, fail)
  if source.raised then error(source.why, 0) end
  if not ok then return nil, err end
  ok, why = file:seek "set"
  if not ok then return fail("io", "a temporary file: %s", why) end
  return function() return file:read(store.PIECE) end
end

-- What stands between the last message and the next: the empty line that is missing.
local function gap(file, size)
  if size == 0 then return "" end
  local tail = file:read(3, math.max(0, size - 3))
  if not tail or tail:sub(-2) == "\n\n" or tail == "\n\r\n" then return "" end
  return tail:sub(-1) == "\n" and "\n" or "\n\n"
end

-- A new file's name is flushed too.
local function flush(self, file, is_new)
  if not self.sync then return true end
  local ok, why, word = file:sync()
  if ok and is_new then
    local folder
    folder, why, word = core.file(self.path:match "^(.*/)[^/]*$" or ".", "folder")
    ok = folder
    if folder then
      ok, why, word = folder:sync()
      folder:close()
    end
  end
  if not ok then return refused(self.path, why, word) end
  return true
end

-- Writes at the end: true; or nil, err.
local function append(self, file, size, head, source)
  local at, last = size, "\n"
  local function put(text)
    if not text or text == "" then return true end
    local ok, why, word = file:write(text, at)
    if not ok then return refused(self.path, why, word) end
    at, last = at + #text, text:sub(-1)
    return true
  end
  local quote = quoter(FORMATS[self.format])
  local ok, err = put(head)
  while ok do
    local piece, why = source()
    if not piece and why ~= nil then return fail("io", "the message cannot be read: %s", tostring(why)) end
    ok, err = put(quote(piece))
    if not piece then break end
  end
  if ok then ok, err = put(last == "\n" and "\n" or "\n\n") end
  if ok then ok, err = flush(self, file, size == 0) end
  return ok, err
end

local ADD = { from = "string?", date = "number?" }

--- Appends a message: under a lock, quoted, with lines that end in LF, flushed; or not at all.
-- @param message a string, an open file, a source function, or an object with `source()`; all but a string is
--   gathered in a temporary file before the lock is taken
-- @tparam[opt] table options `from` ("MAILER-DAEMON"): the envelope's sender; `date` (now): seconds since 1970
-- @treturn number the offset of its "From " line; or nil, err (kind "io", "invalid", or "timeout": another program
--   holds the lock); what a source raises is raised, and nothing is appended
function Mbox:add(message, options)
  options = want(options or {}, ADD, "mbox:add")
  if self.format ~= "mboxrd" and self.format ~= "mboxo" then
    return fail("unsupported", "%s is read, not written", self.format)
  end
  local from = options.from or "MAILER-DAEMON"
  if from == "" then from = "MAILER-DAEMON" end
  if from:find "[%z\1-\31\127%s]" then return fail("invalid", "the sender holds a space or a control character") end
  local date = date_line(options.date or os.time())
  if not date then return fail("invalid", "the date is none of the years 0 to 9999") end
  local source, unreadable = settled(message, 2)
  if not source then return nil, unreadable end
  local file, release = locked(self)
  if not file then return nil, release end
  local size = file:facts().size
  if size > 0 and file:read(5, 0) ~= "From " then
    release()
    return fail("invalid", "%s is no mbox: it does not begin with \"From \"", self.path)
  end
  local before = gap(file, size)
  local head = ("%sFrom %s %s\n"):format(before, from, date)
  local ok, err = append(self, file, size, head, source)
  if not ok then
    local cut, reason = file:truncate(size)
    if not cut then err.message = ("%s; and a part of it stays in the file: %s"):format(err.message, reason) end
    flush(self, file, false)
  end
  local closed, why, word = release()
  if not ok then return nil, err end
  if not closed then return refused(self.path, why, word) end
  return size + #before
end

function Mbox:__tostring()
  return ("mail.mbox (%s, %s)"):format(self.path, self.format)
end

return mbox
