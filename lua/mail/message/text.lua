--- Which parts of a message are its text: choosing among alternatives, related and mixed parts (RFC 2046 §5.1,
-- RFC 2387), and the preview.
-- @module mail.message.text

local ascii = require "mail.ascii"
local core = require "mail.core"
local part = require "mail.message.part"

local Part = part.methods

-- Types that are the message's own words, not a file that travels with it.
local WORDS = {
  ["text/plain"] = true, ["text/html"] = true, ["text/enriched"] = true, ["text/richtext"] = true,
  ["text/x-amp-html"] = true, ["text/watch-html"] = true,
}

local text = {}

--- True where a leaf is shown as part of the message, and no attachment.
function text.is_shown(p)
  return WORDS[p.type] == true and p.disposition ~= "attachment" and (p.filename == nil or p._at == 1)
end

-- --- one kind of text in a tree -------------------------------------------------------------------

-- HTML's own text, or plain text (made of HTML where there is no other: `made` is true then).
local function leaf_text(p, kind)
  if not text.is_shown(p) then return nil end
  local html = p.type == "text/html"
  if kind == "html" then return html and p._text:text(p._at) or nil end
  if not html then
    if p.type ~= "text/plain" then return nil end
    return p._text:text(p._at), false
  end
  return core.html_text(p._text:text(p._at)), true
end

local find

-- The last alternative is the richest; plain text that was written goes before text made of HTML.
local function find_alternative(parts, kind)
  local made
  for i = #parts, 1, -1 do
    local found, is_made = find(parts[i], kind)
    if found and not is_made then return found, false end
    made = made or found
  end
  return made, made ~= nil
end

-- Related: the first that has words is what the others belong to. Its `start` names it, if it is another.
-- Each part is looked into once: twice on each level would be without end.
local function find_related(p, kind)
  local start, root = p.parameters.start, nil
  if start then
    start = start:match("^<(.*)>$") or start
    for _, child in ipairs(p.parts) do
      if not root and child.cid == start then root = child end
    end
    local found, is_made
    if root then found, is_made = find(root, kind) end
    if found then return found, is_made end
  end
  for _, child in ipairs(p.parts) do
    local found, is_made
    if child ~= root then found, is_made = find(child, kind) end
    if found then return found, is_made end
  end
end

-- Mixed, signed, reports and what nobody knows: all that is shown, one below the other.
local function find_all(parts, kind)
  local out, all_made, empty = {}, true, nil
  for _, child in ipairs(parts) do
    local found, is_made = find(child, kind)
    empty = empty or found
    if found and found ~= "" then
      out[#out + 1] = found
      all_made = all_made and is_made
    end
  end
  if #out <= 1 then return out[1] or empty, all_made end
  for i = 1, #out - 1 do
    if out[i]:sub(-1) ~= "\n" then out[i] = out[i] .. "\n" end
  end
  return table.concat(out), all_made
end

-- The text of that kind, and whether it was made of another; nil. As deep as the core lets parts nest.
function find(p, kind, root)
  if p._text:shape(p._at) == "message" and not root then return nil end
  local parts = p.parts
  if not parts then
    if p._text:shape(p._at) ~= "multipart" then return leaf_text(p, kind) end
    if kind ~= "plain" then return nil end
    return (core.to_utf8(p._text:preamble(p._at)):gsub("\r\n?", "\n")), false -- no part was found
  end
  if p.type == "multipart/alternative" then return find_alternative(parts, kind) end
  if p.type == "multipart/related" then return find_related(p, kind) end
  if p.type == "multipart/encrypted" or (p._text:wrapped(p._at) and p.type:match("^message/") and not root) then
    return nil
  end
  return find_all(parts, kind)
end

local function is_leaf(p)
  return p._text:shape(p._at) == "leaf" and not p._text:wrapped(p._at)
end

-- The text of a message that has no other than what its winmail.dat holds.
local function of_winmail(self, kind)
  local stack, n = { self }, 1
  while n > 0 do
    local p = stack[n]
    local parts = (p == self or not p.type:match "^message/") and p.parts or {}
    n = n - 1
    for i = #parts, 1, -1 do
      n = n + 1
      stack[n] = parts[i]
    end
    local inside = p.type == "application/ms-tnef" and p:tnef()
    if inside and kind == "html" then return inside.html end
    if inside then return inside.text or inside.html and core.html_text(inside.html) end
  end
  return nil
end

--- The message's text: UTF-8, lines end in LF, format=flowed is put together (RFC 3676). Where there is only
-- HTML, its text; where there is neither, that of winmail.dat.
-- @treturn string; nil where the message shows no text
function Part:text()
  local kind = self.type
  if kind == "text/html" then return core.html_text(self._text:text(self._at)) end
  if kind:find("^text/") then return self._text:text(self._at) end -- text is always a leaf
  if is_leaf(self) then return of_winmail(self, "plain") end
  return (find(self, "plain", true)) or of_winmail(self, "plain")
end

--- The message's HTML, UTF-8, lines end in LF; nil where it has none.
function Part:html()
  if self.type == "text/html" then return self._text:text(self._at) end
  if is_leaf(self) then return of_winmail(self, "html") end
  return (find(self, "html", true)) or of_winmail(self, "html")
end

--- The first words of the text, on one line.
-- @tparam[opt=200] number n characters at most
-- @treturn string, empty where there is no text
function Part:preview(n)
  if n ~= nil and not (type(n) == "number" and n >= 0) then
    error("message:preview: a number of characters expected, got " .. tostring(n), 2)
  end
  return core.preview(self:text() or "", n or 200)
end

--- The calendar parts (iCalendar, RFC 5545): an array of `{method=, text=, part=}`.
function Part:calendars()
  local list = {}
  for p in self:walk() do
    if p.type == "text/calendar" or p.type == "application/ics" then
      local method = p.parameters.method
      list[#list + 1] = { method = method and ascii.upper(method), text = p._text:text(p._at), part = p }
    end
  end
  return list
end

return text
