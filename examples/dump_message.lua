--- Shows what a message is made of: its parts with their types, sizes and names, and what is wrong with it.
package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/?.lua;" .. package.path
local mail = require "mail"
local support = require "support"
local clean, say, try = support.clean, support.say, support.try
local unpack = table.unpack or unpack

local o = support.options([[
usage: dump_message.lua [options] [FILE]

A line for each part of the message in FILE (or on stdin), indented by depth: octets of the content without its
transfer encoding, type, charset, transfer encoding, name, Content-ID.
  --text             the text of the message, too, as a mail program would show it
  --html-source      the same of its HTML
  --headers          all header fields of the message, decoded
  --no-defects       not what is wrong with it
  --help
]], 1)

local function message()
  if o[1] then return try(mail.message.parse_file(o[1])) end
  return try(mail.message.parse_source(function() return io.read(65536) end))
end

-- "text/plain; charset=utf-8  quoted-printable  "report.pdf"  <logo@x>"
local function described(part)
  local words = { clean(part.type) }
  if part.parameters.charset then words[1] = words[1] .. "; charset=" .. clean(part.parameters.charset) end
  if part.encoding ~= "7bit" then words[#words + 1] = clean(part.encoding) end
  if part.disposition == "attachment" then words[#words + 1] = "attachment" end
  if part.filename then words[#words + 1] = '"' .. clean(part.filename) .. '"' end
  if part.cid then words[#words + 1] = "<" .. clean(part.cid) .. ">" end
  if part.type == "message/rfc822" and part.parts and part.parts[1] then
    words[#words + 1] = '"' .. clean(part.parts[1].subject) .. '"'
  end
  return table.concat(words, "  ")
end

-- Depth first, on a list of our own: how deep parts lie is the sender's choice.
local function dump(root)
  local waiting = { { root, 0 } }
  while #waiting > 0 do
    local part, depth = unpack(table.remove(waiting))
    say("%10d  %s%s", part.size, ("  "):rep(depth), described(part))
    for i = #(part.parts or {}), 1, -1 do waiting[#waiting + 1] = { part.parts[i], depth + 1 } end
  end
end

local function blank_line() say "" end

-- Text of several lines, made harmless line by line.
local function write(text)
  blank_line()
  for line in ((text or "") .. "\n"):gmatch "([^\n]*)\n" do say("%s", clean(line)) end
end

support.main(function()
  local m = message()
  dump(m)
  if o.headers then
    blank_line()
    for _, field in ipairs(m:headers()) do say("%s: %s", clean(field.name), clean(field.value)) end
  end
  if o.text then write(m:text()) end
  if o["html-source"] then write(m:html()) end
  if o["no-defects"] or m.defects.count == 0 then return end
  blank_line()
  for _, defect in ipairs(m.defects) do say("octet %d: %s", defect.offset, clean(defect.what)) end
  if m.defects.count > #m.defects then say("and %d more", m.defects.count - #m.defects) end
end)
