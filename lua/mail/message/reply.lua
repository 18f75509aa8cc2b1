--- Replies and forwards, of parsed and composed messages alike (RFC 5322 §3.6.4).
-- @module mail.message.reply

local ascii = require "mail.ascii"
local Err = require "mail.err"
local core = require "mail.core"
local parts = require "mail.message.parts"
local want = require "mail.want"

local reply = {}

-- Ids kept in References: the first, which names the thread, and the newest.
local REFERENCES = 30

local OWN = {
  all = "boolean?", quote = "boolean|string|function?", as = "string?", attachments = "table?", text = "string?",
  html = "string?",
}

local function compose() return require "mail.message.compose" end

-- Options of the reply itself, and fields of the new message, which `compose.new` checks.
local function split(options, what, own)
  local fields = {}
  if options ~= nil and type(options) ~= "table" then want(options, {}, what, 3) end
  for name, value in pairs(options or {}) do
    if not own[name] then fields[name] = value end
  end
  return fields
end

local function check(options, what, names)
  for name in pairs(names) do
    local value, kinds = options and options[name], OWN[name]
    if value ~= nil and not ("|" .. kinds:gsub("%?$", "") .. "|"):find("|" .. type(value) .. "|", 1, true) then
      error(("%s: option '%s' must be %s, got %s"):format(what, name, kinds:gsub("%?$", ""), type(value)), 4)
    end
  end
end

-- --- what is known of the original ----------------------------------------------------------------

-- Decoded text of a header field, which a hostile message may have filled with anything: one line.
local clean = parts.clean

local function ids(text)
  local list = {}
  for id in (clean(text) or ""):gmatch "<[^<>%s]+>" do
    if #id < 900 and not id:find "[\128-\255]" then list[#list + 1] = id end
  end
  return list
end

-- Mailboxes of a field, those that an address can be written for.
local function mailboxes(list, out)
  out = out or {}
  for _, entry in ipairs(list or {}) do
    if entry.members then
      mailboxes(entry.members, out)
    elseif entry.address and core.address_format(nil, entry.address) and entry.address:find("@", 1, true) then
      local name = clean(entry.name)
      out[#out + 1] = { name = name ~= "" and name or nil, address = entry.address }
    end
  end
  return out
end

-- References and In-Reply-To of an answer (RFC 5322 §3.6.4).
local function thread(original, fields)
  local id = ids(original:header "Message-ID")[1]
  local chain = ids(original:header "References")
  if #chain == 0 then
    local parents = ids(original:header "In-Reply-To")
    if #parents == 1 then chain = parents end
  end
  if id and chain[#chain] ~= id then chain[#chain + 1] = id end
  if #chain > REFERENCES then
    local kept = { chain[1] }
    for i = #chain - REFERENCES + 2, #chain do kept[#kept + 1] = chain[i] end
    chain = kept
  end
  if fields.in_reply_to == nil then fields.in_reply_to = id end
  if fields.references == nil and #chain > 0 then fields.references = chain end
end

-- Patterns that end in "+$" look at a run of blanks once from each of its octets; these two do not.
local function trimmed(text)
  return text:find "[^ \t]" and text:match "^[ \t]*(.*[^ \t])" or ""
end

local function without_last_lines(text)
  local n = #text
  while n > 0 and text:byte(n) == 10 do n = n - 1 end
  return text:sub(1, n)
end

local function prefixed(prefix, subject, known)
  subject = trimmed(clean(subject) or "")
  for _, pattern in ipairs(known) do
    if ascii.lower(subject):find(pattern) then return subject end
  end
  return subject == "" and prefix or prefix .. " " .. subject
end

local function without(list, seen)
  local out = {}
  for _, one in ipairs(list) do
    local key = ascii.lower(one.address)
    if not seen[key] then out[#out + 1] = one end
    seen[key] = true
  end
  return out
end

-- What becomes of an answer from nobody: misuse raises, as it does with a sender; else nil, err.
local function from_nobody(fields, what)
  fields.from = "nobody@invalid"
  local made, err = compose().create(fields, what, 3)
  if not made then return nil, err end
  return Err.nil_new { kind = "invalid", message = what .. ": the original names nobody who could be 'from'" }
end

-- Who sends the answer: the user's `from`, else the first whom the original was sent to. Nil where that is nobody.
local function own_address(original, fields, what)
  if fields.from == nil then fields.from = mailboxes(original.to)[1] end
  if fields.from == nil then return nil end
  local own = fields.from
  if type(own) == "string" then own = core.address_list(own) end
  if type(own) == "table" and own.address then own = { own } end
  for _, one in ipairs(type(own) == "table" and own or {}) do
    if type(one) ~= "table" then error(what .. ": option 'from' must be an address", 4) end
  end
  return mailboxes(type(own) == "table" and own or {})
end

-- To and Cc: the answer goes where the original says; one to oneself goes on to those it went to.
local function recipients(original, own, all, fields)
  local mine = {}
  for _, one in ipairs(own) do mine[ascii.lower(one.address)] = true end
  local from = mailboxes(original.from)
  local to = mailboxes(original.reply_to)
  if #to == 0 then to = from end
  if from[1] and mine[ascii.lower(from[1].address)] then to = mailboxes(original.to) end
  if fields.to == nil then fields.to = without(to, {}) end
  if not all or fields.cc ~= nil then return end
  local seen = {}
  for address in pairs(mine) do seen[address] = true end
  without(to, seen)
  local others = mailboxes(original.to)
  mailboxes(original.cc, others)
  fields.cc = without(others, seen)
end

-- --- quoting --------------------------------------------------------------------------------------

local function date_text(original)
  local ok, text = pcall(core.date_format, original.date, 0)
  return original.date and ok and text or nil
end

local function author(original)
  local from = mailboxes(original.from)[1]
  return from and (from.name or from.address) or "somebody"
end

local function attribution(original, quote)
  if type(quote) == "string" then return quote end
  if type(quote) == "function" then return tostring((quote(original))) end
  local date = date_text(original)
  return (date and "On " .. date .. ", " or "") .. author(original) .. " wrote:"
end

local function plain_text(original)
  local text = original:text()
  if text == nil or text == "" then
    local html = original:html()
    text = html and core.html_text(html) or ""
  end
  text = text:gsub("\r\n?", "\n")
  return core.is_utf8(text) and text or core.to_utf8(text)
end

local function quoted(text)
  text = without_last_lines(text)
  if text == "" then return "" end
  return (("\n" .. text):gsub("\n(.?)", function(first)
    return first == ">" and "\n>>" or (first == "\n" or first == "") and "\n>" .. first or "\n> " .. first
  end):sub(2)) .. "\n"
end

local ESCAPED = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }
local function escaped(text) return (text:gsub('[&<>"]', ESCAPED)) end

-- The part of a page that may stand inside another: its body without the tags around.
local function inner_html(original)
  local html = original:html()
  if not html then return "<pre>" .. escaped(plain_text(original)) .. "</pre>" end
  local _, after = html:find "<[Bb][Oo][Dd][Yy][^<>]*>"
  if after then html = html:sub(after + 1) end
  local before = html:find "</[Bb][Oo][Dd][Yy]%s*>"
  if before then html = html:sub(1, before - 1) end
  return core.is_utf8(html) and html or core.to_utf8(html)
end

-- True where a page shows the part of that Content-ID (RFC 2392), which the user has not given.
local function shows(page, cid, list)
  for _, a in pairs(list) do
    if type(a) == "table" and a.cid == cid then return false end
  end
  return page:find("cid:" .. cid, 1, true) or page:find("cid:" .. cid:gsub("@", "%%40"), 1, true)
end

-- The images that the quoted HTML shows, as attachments of the answer.
local function add_images(original, page, list)
  for _, a in ipairs(original:attachments()) do
    if a.cid and shows(page, a.cid, list) then
      local image, err = parts.of_read(a)
      if not image then return nil, err end
      list[#list + 1] = image
    end
  end
  return true
end

-- Text and HTML of an answer, the original below them: true; or nil, err.
local function add_quote(original, options, fields)
  local text, html = options.text, options.html
  if options.quote ~= false then
    local line = attribution(original, options.quote)
    local body = quoted(plain_text(original))
    if html then
      local page = inner_html(original)
      html = html .. "\n<p>" .. escaped(line) .. "</p>\n<blockquote type=\"cite\">" .. page .. "</blockquote>\n"
      local ok, err = add_images(original, page, fields.attachments)
      if not ok then return nil, err end
    end
    if text or not html then
      text = (text and without_last_lines(text) .. "\n\n" or "") .. line .. "\n" .. body
    end
  end
  fields.text, fields.html = text, html
  return true
end

-- --- the two --------------------------------------------------------------------------------------

-- What says already that a subject is an answer's.
local KNOWN_RE = { "^re%s*:", "^re%[%d+%]:", "^re%(%d+%):", "^aw%s*:", "^sv%s*:" }
local REPLY = { all = true, quote = true, text = true, html = true, attachments = true }
local FORWARD = { as = true, text = true, html = true, attachments = true }

-- The user's attachments, to which others are added.
local function own_attachments(options)
  local list = {}
  for key, a in pairs(options.attachments or {}) do list[key] = a end
  return list
end

--- Answers a message.
-- @tparam table original a mail.message
-- @tparam[opt] table options `text`, `html`: the answer, the original is quoted below (in HTML with the images that
--   it shows); `quote` (false: not; a
--   string, or a function of the original that returns one: the line above it); `all`: to everybody who got the
--   original; `from`: default the first whom the original was sent to; all other fields of
--   `mail.message.new`, which win over what is taken from the original
-- @treturn table a composed message with Re:, In-Reply-To and References; or nil, err (kind "invalid" where there is no
--   `from` and the original names nobody)
function reply.reply(original, options)
  local what = "message:reply"
  local fields = split(options, what, REPLY)
  options = options or {}
  check(options, what, REPLY)
  local own = own_address(original, fields, what)
  if not own then
    local none, why = from_nobody(fields, what)
    return none, why
  end
  recipients(original, own, options.all, fields)
  thread(original, fields)
  if fields.subject == nil then
    fields.subject = prefixed("Re:", original.subject, KNOWN_RE)
  end
  fields.attachments = own_attachments(options)
  local made, err = add_quote(original, options, fields)
  if made then made, err = compose().create(fields, what, 2) end
  return made, err
end

local function header_lines(original)
  local lines = { "---------- Forwarded message ----------" }
  local function add(name, value)
    if value and value ~= "" then lines[#lines + 1] = name .. ": " .. value end
  end
  add("From", clean(original:header "From"))
  add("Date", date_text(original) or clean(original:header "Date"))
  add("Subject", clean(original.subject))
  add("To", clean(original:header "To"))
  add("Cc", clean(original:header "Cc"))
  return lines
end

-- The original's attachments, and images of its HTML, as attachments of the new message.
local function carried(original, list)
  for _, a in ipairs(original:attachments()) do
    local carried_on, err = parts.of_read(a)
    if not carried_on then return nil, err end
    list[#list + 1] = carried_on
  end
  return list
end

local function inline(original, options, fields)
  local lines = header_lines(original)
  local above = options.text and without_last_lines(options.text) .. "\n\n" or ""
  fields.text = above .. table.concat(lines, "\n") .. "\n\n" .. plain_text(original)
  if options.html or original:html() then
    local head = {}
    for i, line in ipairs(lines) do head[i] = escaped(line) end
    local top = options.html or (options.text and "<p>" .. escaped(options.text):gsub("\n", "<br>\n") .. "</p>") or ""
    fields.html = top .. "\n<p>" .. table.concat(head, "<br>\n") .. "</p>\n" .. inner_html(original)
  end
  return carried(original, fields.attachments)
end

local function attached(original, options, fields)
  fields.text, fields.html = options.text, options.html
  local raw, err = original:raw()
  if not raw then return nil, err end
  local name = (clean(original.subject) or ""):gsub("[/\\:*?\"<>|]", " "):gsub("^%s+", ""):sub(1, 60)
  name = core.is_utf8(name) and name or "message"
  table.insert(fields.attachments, 1, { message = raw, name = (name == "" and "message" or name) .. ".eml" })
  return true
end

--- Forwards a message.
-- @tparam table original a mail.message
-- @tparam table options `from` and `to`; `text`, `html`: what stands above; `as`: "inline" (its text, and its
--   attachments with it; the default) or "attachment" (whole, as message/rfc822); all other fields of
--   `mail.message.new`
-- @treturn table a composed message with Fwd:; or nil, err
function reply.forward(original, options)
  local what = "message:forward"
  local fields = split(options, what, FORWARD)
  options = options or {}
  check(options, what, FORWARD)
  if options.as and options.as ~= "inline" and options.as ~= "attachment" then
    error(what .. ": 'as' must be \"inline\" or \"attachment\"", 3)
  end
  fields.attachments = own_attachments(options)
  local ok, err
  if options.as == "attachment" then
    ok, err = attached(original, options, fields)
  else
    ok, err = inline(original, options, fields)
  end
  if not ok then return nil, err end
  if fields.references == nil then
    local id = ids(original:header "Message-ID")[1]
    fields.references = id
  end
  if fields.subject == nil then fields.subject = prefixed("Fwd:", original.subject, { "^fwd?%s*:", "^wg%s*:" }) end
  local made
  made, err = compose().create(fields, what, 2)
  return made, err
end

return reply
