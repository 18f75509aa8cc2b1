-- readings.lua [locale]   what is read of each message of spec/data/mime, and what is written of a few values, as
-- text: for specs that compare it between locales and time zones. The locale is set as a host would.

local locale = ...
if locale and locale ~= "" then assert(os.setlocale(locale), "no such locale: " .. locale) end

local mail = require "mail"
local names = {}
for name in pairs(dofile "spec/data/mime/expected.lua") do names[#names + 1] = name end
table.sort(names, require "mail.ascii".before)

local function show(...)
  for i = 1, select("#", ...) do
    io.write((tostring(select(i, ...)):gsub("[%z\1-\31\127-\255\\]", function(c)
      return ("\\%03d"):format(c:byte())
    end)), "\t")
  end
  io.write "\n"
end

local function people(list)
  for _, a in ipairs(list or {}) do show(a.name, a.address, a.group) end
end

for _, name in ipairs(names) do
  local msg = assert(mail.message.parse_file("spec/data/mime/" .. name .. ".eml"))
  show(name, msg.subject, msg.date and ("%d"):format(msg.date), msg.zone, msg.message_id, msg.type)
  show(msg:text(), msg:html())
  people(msg.from)
  people(msg.to)
  for _, field in ipairs(msg:headers()) do show(field.name, field.value) end
  for _, a in ipairs(msg:attachments()) do
    show(a.filename, a.original_filename, a.type, ("%d"):format(a.size), a.cid)
  end
  for _, d in ipairs(msg.defects) do show(d.what, ("%d"):format(d.offset)) end
  for _, hop in ipairs(msg:received()) do show(hop.from, hop.by, hop.date) end
end

local made = assert(mail.message.new {
  from = "Änn I. <ann@bücher.example>", to = "TITLE@Example.ORG", subject = "Grüße, İı", date = 1792500000,
  message_id = "<1.5@x>", text = "ü 1,5\n", headers = { ["X-I"] = "I", ["x-a"] = "a", ["X-Z"] = "z" },
})
for _, form in ipairs { "7bit", "8bit", "utf8" } do show(made:tostring { form = form }) end
show(made:reply { from = "b@x.org", message_id = "<2@x>", date = 0 }:tostring())
for _, name in ipairs { "I\195\132.TXT", "CON.IN", "\160x\133", "NUL" } do show(mail.message.safe_name(name)) end
for _, date in ipairs { "1 Nov 2026 10:00:00 EST", "Fri, 30 Oct 2026 02:30:00", "Sun Mar 28 02:30:00 2027" } do
  show(("%d"):format(mail.message.parse("Date: " .. date .. "\n\n").date))
end
