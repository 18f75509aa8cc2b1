--- Composing: a message out of a table, in any of three forms, streamed.
--
-- `compose.new` checks all that it is given and makes parts of it; nothing is encoded before the message is
-- read. The object reads like a parsed message, too: it is written and parsed at the first question.
--
-- Wrong types and unknown names raise. Data that cannot be sent (an address that is none, CR, LF or NUL in a
-- field, text that is not UTF-8) is `nil, err` of kind "invalid", an attachment that cannot be read kind "io":
-- both come from outside.
-- @module mail.message.compose

local ascii = require "mail.ascii"
local core = require "mail.core"
local Err = require "mail.err"
local fields = require "mail.message.fields"
local parts = require "mail.message.parts"
local want = require "mail.want"
local writer = require "mail.message.writer"

local compose = {}

local FIELDS = {
  from = "string|table", sender = "string|table?", to = "string|table?", cc = "string|table?", bcc = "string|table?",
  reply_to = "string|table?", subject = "string?", date = "number|string?", message_id = "string?",
  in_reply_to = "string|table?", references = "string|table?", text = "string?", html = "string?",
  attachments = "table?", headers = "table?", calendar = "string|table?", list = "table?",
  disposition_notification_to = "string|table?", flowed = "boolean?",
}

local CALENDAR = { data = "string", method = "string?", name = "string?" }

local function invalid(message, ...)
  return nil, Err.new { kind = "invalid", message = message:format(...) }
end

-- --- the header -----------------------------------------------------------------------------------

local ADDRESS_FIELDS = {
  { "from", "From" }, { "sender", "Sender" }, { "reply_to", "Reply-To" }, { "to", "To" }, { "cc", "Cc" },
  { "bcc" }, { "disposition_notification_to", "Disposition-Notification-To" },
}

local function first_mailbox(list)
  local first
  fields.each_mailbox(list, function(one) first = first or one end)
  return first
end

-- All address fields, checked: option → list.
local function addresses(options)
  local lists = {}
  for _, field in ipairs(ADDRESS_FIELDS) do
    local value = options[field[1]]
    if value ~= nil then
      local list, err = fields.addresses(value, field[1])
      if not list then return nil, err end
      lists[field[1]] = list
    end
  end
  if not first_mailbox(lists.from) then return invalid "from: it names nobody" end
  if #lists.from > 1 and not lists.sender then lists.sender = { first_mailbox(lists.from) } end
  local sender = lists.sender
  if sender and (#sender ~= 1 or sender[1].group) then return invalid "sender: one address expected" end
  return lists
end

-- Addresses that no ASCII form exists for need all of the header in UTF-8.
local function least_of(list)
  local least
  fields.each_mailbox(list, function(one)
    if not one.ascii then least = "utf8" end
  end)
  return least
end

local function least_form(lists)
  local least
  for name, list in pairs(lists) do
    if name ~= "bcc" then least = least or least_of(list) end
  end
  return least
end

local function domain_of(lists)
  local one = first_mailbox(lists.from)
  local domain = (one.ascii or one.address):match "@([^@]*)$"
  return domain and domain:find "^[A-Za-z0-9.-]+$" and domain or "localhost.invalid"
end

-- date-time of RFC 5322 §3.3 as far as its zone, obsolete years too.
local DATE_TIME = "^[ \t]*[A-Za-z]*[ \t]*,?[ \t]*%d%d?[ \t]+[A-Za-z][A-Za-z][A-Za-z][ \t]+%d%d+[ \t]+%d%d?[ \t]*:"

-- The Date field's text. A text that tells a time in another way ("2026-11-23T10:00:00Z") is written anew.
local function date_text(date)
  if type(date) == "string" then
    local epoch = not fields.breaks_line(date) and core.date_parse(date)
    if not epoch then return invalid "date: no date" end
    if date:find(DATE_TIME) then return date end
    date = epoch
  end
  local ok, text = pcall(core.date_format, date or os.time(), 0)
  if not ok then return invalid "date: no date of the years 0 to 9999" end
  return text
end

local function add_ids(head, options)
  for _, field in ipairs { { "in_reply_to", "In-Reply-To" }, { "references", "References" } } do
    local value = options[field[1]]
    if value ~= nil then
      local ids, err = fields.ids(value, field[1])
      if not ids then return nil, err end
      if #ids > 0 then head[#head + 1] = { field[2], "tokens", table.concat(ids, " ") } end
    end
  end
  return true
end

local function add_all(head, list)
  for _, field in ipairs(list) do head[#head + 1] = field end
end

-- The fields in the order in which they are written, and the message's id.
local function header(options, lists)
  local head = {}
  for _, field in ipairs(ADDRESS_FIELDS) do
    local list = lists[field[1]]
    if field[2] and list and #list > 0 then head[#head + 1] = { field[2], "addresses", list } end
  end
  if options.subject then head[#head + 1] = { "Subject", "text", options.subject } end
  local date, err = date_text(options.date)
  if not date then return nil, err end
  head[#head + 1] = { "Date", "tokens", date }
  local ids
  local id = options.message_id or ("<%s@%s>"):format(core.random_text(26), domain_of(lists))
  ids, err = fields.ids(id, "message_id")
  if not ids then return nil, err end
  if #ids ~= 1 then return invalid "message_id: one id expected" end
  head[#head + 1] = { "Message-ID", "tokens", ids[1] }
  local ok
  ok, err = add_ids(head, options)
  if not ok then return nil, err end
  if options.list then
    local list
    list, err = fields.list(options.list, "mail.message.new")
    if not list then return nil, err end
    add_all(head, list)
  end
  add_all(head, options.custom)
  head[#head + 1] = { "MIME-Version", "tokens", "1.0" }
  return head, ids[1]
end

-- Refuses what no line can carry, before anything is sent.
local function checked(head, form)
  for _, field in ipairs(head) do
    local line, err = fields.line(field, form)
    if not line then return nil, err end
  end
  return head
end

-- --- the body -------------------------------------------------------------------------------------

local function calendar_part(calendar)
  if type(calendar) == "string" then calendar = { data = calendar } end
  local method = calendar.method
    or ("\n" .. calendar.data):match "[\r\n][Mm][Ee][Tt][Hh][Oo][Dd]:([A-Za-z0-9-]+)%s*[\r\n]"
  if method and not method:find "^[A-Za-z0-9-]+$" then return invalid "calendar: bad method" end
  local parameters = method and { "method", ascii.upper(method) } or {}
  if calendar.name then parameters[#parameters + 1], parameters[#parameters + 2] = "name", calendar.name end
  return parts.text("calendar", calendar.data, parameters, "calendar")
end

local function plain_part(options)
  if not options.flowed then return parts.text("plain", options.text, nil, "text") end
  if not core.is_utf8(options.text) then return invalid "text: the text is not UTF-8" end
  return parts.text("plain", core.flow(options.text), { "format", "flowed" }, "text")
end

-- The HTML with the images that it shows.
local function html_part(options, inline)
  local html, err = parts.text("html", options.html, nil, "html")
  if not html then return nil, err end
  local list = { html }
  for _, part in ipairs(inline) do list[#list + 1] = part end
  return parts.multipart("related", list, { "type", "text/html" })
end

-- The forms in which the body is there, the plainest first (RFC 2046 §5.1.4); or nil, err.
local function body_part(options, inline)
  local makers = {
    { options.text, plain_part }, { options.html, function(o) return html_part(o, inline) end },
    { options.calendar, function(o) return calendar_part(o.calendar) end },
  }
  local list = {}
  for i = 1, 3 do
    if makers[i][1] ~= nil then
      local part, err = makers[i][2](options)
      if not part then return nil, err end
      list[#list + 1] = part
    end
  end
  return list
end

local function body(options)
  local inline, attached = {}, {}
  for i, a in ipairs(options.attachments or {}) do
    local part, err = a, nil
    if parts.is_read(a) then part, err = parts.of_read(a) end
    if part then part, err = parts.attachment(part, ("attachments[%d]"):format(i)) end
    if not part then return nil, err end
    local where = part.inline and options.html and inline or attached
    where[#where + 1] = part
  end
  local list, err = body_part(options, inline)
  if not list then return nil, err end
  if #list == 0 and #attached == 0 then list[1] = parts.text("plain", "") end
  if #list > 1 then list = { parts.multipart("alternative", list) } end
  if #attached == 0 then return list[1] end
  for _, part in ipairs(attached) do list[#list + 1] = part end
  return parts.multipart("mixed", list, nil, true)
end

-- --- the object -----------------------------------------------------------------------------------

local Composed = {}

local function read_by_parsing(self)
  if not self.made.parsed then
    local text, err = self:tostring()
    if not text then error(tostring(err), 3) end
    self.made.parsed = require "mail.message".parse(text)
  end
  return self.made.parsed
end

-- Its own methods, and all that a parsed message has.
local function index(self, name)
  local method = Composed[name]
  if method ~= nil then return method end
  local parsed = read_by_parsing(self)
  local value = parsed[name]
  if type(value) ~= "function" then return value end
  return function(_, ...) return value(parsed, ...) end
end

local ORDER = { ["7bit"] = true, ["8bit"] = true, utf8 = true }

-- The form that was asked for, or the least that there is; or nil, err where the message has none so small.
local function chosen(self, form, blind)
  local least = parts.wider(self.made.least, blind and least_of(blind) or nil)
  if form == nil then return least end
  if parts.wider(form, least) ~= form then
    local words = ("the message has no form '%s': it needs '%s'"):format(form, least)
    return Err.nil_new { kind = "unsupported", message = words }
  end
  return form
end

-- The form that is asked for, and those whom Bcc shall name.
local function form_of(self, options, what)
  if options == nil then return nil end
  want(options, { form = "string?", bcc = "boolean?" }, what, 2)
  if options.form and not ORDER[options.form] then
    error(what .. ": 'form' must be \"7bit\", \"8bit\" or \"utf8\"", 3)
  end
  local blind = options.bcc and self.made.lists.bcc or nil
  return options.form, blind and blind[1] and blind
end

-- The fields with Bcc behind the other addresses.
local function with_bcc(head, blind)
  local copy, at = {}, 1
  while head[at][2] == "addresses" do at = at + 1 end
  for i, field in ipairs(head) do copy[i] = field end
  table.insert(copy, at, { "Bcc", "addresses", blind })
  return copy
end

local function segments(self, form, blind)
  local err
  form, err = chosen(self, form, blind)
  if not form then return nil, err end
  local written = blind and self.made.disclosed or self.made.written
  if not written[form] then
    local head = blind and with_bcc(self.made.head, blind) or self.made.head
    written[form], err = writer.segments(head, self.made.body, form)
  end
  return written[form], err
end

local function failing(err)
  return function() return nil, err end
end

--- The message as a source (ltn12): attachments are read while it is. Bcc is not written.
-- @tparam[opt] table options `form`: "7bit" (what every relay takes; the default, unless the message needs
--   more), "8bit" (text as it is: 8BITMIME), "utf8" (header and text as they are: SMTPUTF8); `bcc` = true: with
--   the Bcc field, for a draft or one's own copy of what was sent
-- @treturn function pieces, nil at the end, or nil, err (kind "io": an attachment cannot be read or is not of
--   the size that was told; kind "unsupported": the message has no such form)
function Composed:source(options)
  local list, err = segments(self, form_of(self, options, "message:source"))
  if not list then return failing(err) end
  return writer.source(list)
end

--- The message as one string. Sources of attachments are then kept in memory.
-- @tparam[opt] table options as of `source`
-- @treturn string; or nil, err
function Composed:tostring(options)
  local form, blind = form_of(self, options, "message:tostring")
  local ok, err = writer.keep(self.made.body)
  if not ok then return nil, err end
  local list
  list, err = segments(self, form, blind)
  if not list then return nil, err end
  local source, out = writer.source(list), {}
  repeat
    local piece
    piece, err = source()
    out[#out + 1] = piece
  until piece == nil
  if err ~= nil then return nil, err end
  return table.concat(out)
end

--- The same as `tostring`: what a parsed message calls its raw text.
function Composed:raw()
  return self:tostring()
end

--- The form that `source` writes unless another is asked for: the least that the message has.
-- @treturn string "7bit", "8bit" or "utf8"
function Composed:form()
  return self.made.least or "7bit"
end

--- True where `source` gives the message but once: an attachment's source cannot be read again.
-- @tparam[opt] boolean spent true: where it has been read already, so that `source` fails now
function Composed:is_fleeting(spent)
  return writer.is_fleeting(self.made.body, spent)
end

--- How many octets `source` will give.
-- @tparam[opt] table options as of `source`
-- @treturn number; nil where an attachment's source has not said its size
function Composed:octets(options)
  local list = segments(self, form_of(self, options, "message:octets"))
  return list and writer.size(list)
end

--- Who sends it and who gets it, Bcc included.
-- @treturn table `{from= address, to= array of addresses, each once}`
function Composed:envelope()
  local lists = self.made.lists
  local to, seen = {}, {}
  for _, name in ipairs { "to", "cc", "bcc" } do
    fields.each_mailbox(lists[name], function(one)
      if not seen[one.address] then to[#to + 1] = one.address end
      seen[one.address] = true
    end)
  end
  local from = first_mailbox(lists.sender) or first_mailbox(lists.from)
  return { from = lists.null_sender and "" or from.address, to = to }
end

--- Those who get it in secret: an array of `{name=, address=}`; nil where there are none.
function Composed:blind()
  return self.made.lists.bcc
end

-- reply and forward: message/reply.lua, for parsed messages too.
function Composed:reply(options)
  local made, err = require "mail.message.reply".reply(self, options)
  return made, err
end

function Composed:forward(options)
  local made, err = require "mail.message.reply".forward(self, options)
  return made, err
end

-- As of a parsed message; where it cannot be written, a word for the eye: `tostring` raises no refusal.
local function as_text(self)
  local text, err = self:tostring()
  return text or ("mail.message (%s)"):format(tostring(err))
end

local class = { __index = index, __name = "mail.message", __tostring = as_text }

--- True where `value` was made here.
function compose.is_composed(value)
  return getmetatable(value) == class
end

--- A message of a header and a part that stand: what `new` and the reports make.
-- @tparam table options as of `new`, `headers` in `custom`
-- @tparam table part of mail.message.parts
-- @tparam[opt] boolean null_sender whether the envelope's sender is empty, as a report's must be
-- @treturn table message; or nil, err
function compose.build(options, part, null_sender)
  local lists, err = addresses(options)
  if not lists then return nil, err end
  local least = parts.wider(least_form(lists), part.least)
  local head, id = header(options, lists)
  if not head then return nil, id end
  head, err = checked(head, least)
  if not head then return nil, err end
  lists.null_sender = null_sender
  local made = { lists = lists, head = head, body = part, least = least, written = {}, disclosed = {} }
  return setmetatable({ made = made, message_id = id, is_composed = true }, class)
end

-- An attachment that stands where an array of them is wanted would be left out without a word.
local function check_array(attachments, what, level)
  local n = #(attachments or {})
  for key in pairs(attachments or {}) do
    if type(key) ~= "number" or key < 1 or key > n or key % 1 ~= 0 then
      error(("%s: 'attachments' must be an array of attachments, and has a key '%s'"):format(what, tostring(key)),
        level + 2)
    end
  end
end

-- All that may be wrong with the table itself.
local function check(options, what, level)
  want(options, FIELDS, what, level)
  check_array(options.attachments, what, level)
  for i, a in ipairs(options.attachments or {}) do
    if not parts.is_read(a) then want(a, parts.ATTACHMENT, ("%s: attachments[%d]"):format(what, i), level) end
  end
  if type(options.calendar) == "table" then want(options.calendar, CALENDAR, what .. ": calendar", level) end
end

local function make(options, what)
  local copy = {}
  for name, value in pairs(options) do copy[name] = value end
  local err
  copy.custom, err = fields.custom(options.headers or {}, copy, what)
  if not copy.custom then return nil, err end
  local part
  part, err = body(copy)
  if not part then return nil, err end
  return compose.build(copy, part)
end

--- As `new`, for calls of other names.
-- @tparam table options
-- @tparam string what the call, for errors
-- @tparam number level whose line is blamed: 1 is who called the caller of create
function compose.create(options, what, level)
  check(options, what, level + 2)
  local made, err = fields.guard(level + 3, what, make, options, what)
  return made, err
end

--- Composes a message.
-- @tparam table options `from` (the one that is needed), `sender`, `to`, `cc`, `bcc`, `reply_to`: text, a table
--   `{name=, address=}`, a group `{group=, members=}`, or an array of these; `subject`; `date` (seconds since
--   1970, or the text of a Date field; default now); `message_id` (default: a random one of the sender's
--   domain), `in_reply_to`, `references` (text or an array); `text`, `html`, `calendar` (iCalendar text, or
--   `{data=, method=}`): the body in up to three forms; `flowed` (wrap the text by RFC 3676);
--   `attachments`: array of `{path=}`, `{data=}`, `{source=, size=}` or `{message=}` with `name`, `type`,
--   `parameters`, `cid` (an image that the HTML shows), `disposition`, `description`, `headers`; or what
--   `attachments()` of another message gave;
--   `headers`: name → value or an array of them, or an array of `{name, value}`; `list`: the fields of a
--   mailing list, `{id=, name=, unsubscribe=, one_click=, post=, help=, subscribe=, owner=, archive=}` as
--   `msg:list()` gives them; `disposition_notification_to` (asks for a read receipt)
-- @treturn table message with `source`, `tostring`, `octets`, `envelope`, and all that a parsed message has; or
--   nil, err (kind "invalid" or "io")
function compose.new(options)
  local made, err = compose.create(options, "mail.message.new", 1)
  return made, err
end

return compose
