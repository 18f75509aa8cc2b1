--- Messages and parts by URL: what CATENATE puts together and URLAUTH hands out (RFC 5092, RFC 4467).
--
-- Here is the text of URLs, and what a part of a `catenate` list may be; commands are elsewhere.
-- @module mail.imap.url

local literal = require "mail.imap.literal"

local url = {}

-- What stands for itself in a mailbox's name and a section (RFC 5092 §11, bchar).
function url.encode(text)
  return (text:gsub("[^A-Za-z0-9%-._~!$'()*+,&=@:/]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- The URL of a message or a part, relative to the server.
-- @tparam table what `mailbox` (UTF-8), `uid`, and perhaps `uidvalidity`, `section` ("1.2", "HEADER"),
--   `partial` ("0.1024")
function url.of(what)
  local text = "/" .. url.encode(what.mailbox)
  if what.uidvalidity then text = ("%s;UIDVALIDITY=%.0f"):format(text, what.uidvalidity) end
  text = ("%s/;UID=%.0f"):format(text, what.uid)
  if what.section and what.section ~= "" then text = text .. "/;SECTION=" .. url.encode(what.section) end
  if what.partial then text = text .. "/;PARTIAL=" .. what.partial end
  return text
end

--- The URL of a part of a `catenate` list; nil where it is a text. Without `mailbox` it is one of the
-- selected mailbox, in its present life.
function url.of_part(pump, part)
  if type(part) ~= "table" then return nil end
  if part.url then return part.url end
  if not part.uid then return nil end
  local box = pump.mailbox or {}
  local mailbox = part.mailbox or box.name
  if not mailbox then return nil end
  return url.of {
    mailbox = mailbox, uidvalidity = part.uidvalidity or (not part.mailbox and box.uidvalidity) or nil,
    uid = part.uid, section = part.section, partial = part.partial,
  }
end

--- Raises unless `parts` is an array of texts, `{text=}`, `{url=}` and `{uid=, section=, mailbox=}`.
function url.check_parts(parts, what, level)
  if type(parts) ~= "table" or #parts == 0 then
    error(("imap:%s: catenate: an array of texts and URLs expected"):format(what), level + 1)
  end
  for i, part in ipairs(parts) do
    local by_url = type(part) == "table" and (type(part.url) == "string" or type(part.uid) == "number")
    local text = part
    if type(part) == "table" and part.text ~= nil then text = part.text end
    if not by_url and not literal.is_message(text) then
      error(("imap:%s: catenate: part %d must be a text, { url = … } or { uid = … }"):format(what, i), level + 1)
    end
  end
end

return url
