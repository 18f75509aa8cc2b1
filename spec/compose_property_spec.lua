-- Random messages, composed, sent in each form, cut into random pieces and read again: the same values. Seeded, so
-- each run has the same messages.

local mail = require "mail"
local message = mail.message

local seed

local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end

local function one_of(list) return list[random(#list)] end
local function maybe(value) return random(2) == 1 and value or nil end

-- --- values ---------------------------------------------------------------------------------------

local BITS = {
  "word", " ", "ü", "€", "😀", "=?", "?=", "  ", '"', "\\", ",", "(", ")", "<", ">", "@", ";", ":", "Ж", "a b c", ".",
  "_", "=", "%", "'", "日本", "\t", "=?utf-8?q?x?=", "--", "From ", "*", "%00", "utf-8''", "\226\128\139", "[", "]", "/",
  "x-y", ("long"):rep(30), "ÄÖ",
}
local LINES = { "\n", "\r\n", "\n\n", "--=_", ".\n", "\nFrom x\n", " \n", "begin 64 x\n", "Content-Type: a\n" }

local function text_of(n, lines)
  local out = {}
  for i = 1, random(n) do out[i] = lines and random(4) == 1 and one_of(LINES) or one_of(BITS) end
  return table.concat(out)
end

local function no_tabs(text) return (text:gsub("\t", " ")) end

local function octets_of(n)
  local out = {}
  for i = 1, random(n) do out[i] = string.char(random(256) - 1) end
  return table.concat(out)
end

local function word()
  local out = {}
  for i = 1, random(12) do out[i] = string.char(96 + random(26)) end
  return table.concat(out)
end

local function address()
  local domain = one_of { "example.org", "bücher.example", "x.y.example", "[192.0.2.1]" }
  local user = one_of { word(), word() .. "." .. word(), '"' .. word() .. " " .. word() .. '"', word() .. "+x" }
  return user .. "@" .. domain
end

local function mailbox() return { name = maybe(no_tabs(text_of(8))), address = address() } end

local function people(n)
  local list = {}
  for i = 1, random(n) do
    if random(6) == 1 then
      local members = {}
      for k = 1, random(3) - 1 do members[k] = mailbox() end
      list[i] = { group = word() .. " ü " .. word(), members = members }
    else
      list[i] = mailbox()
    end
  end
  return list
end

local function ids(n)
  local list = {}
  for i = 1, random(n) do list[i] = ("<%s.%d@%s.example>"):format(word(), random(1000), word()) end
  return list
end

local function pieces_of(text)
  local at = 1
  return function()
    if at > #text then return nil end
    local n = random(300)
    at = at + n
    return text:sub(at - n, at - 1)
  end
end

-- --- attachments ----------------------------------------------------------------------------------

local function attachment(files, inline)
  local data = random(2) == 1 and octets_of(3000) or text_of(30, true)
  local a = { name = no_tabs(text_of(8)) .. "x", type = one_of { "application/x-thing", "image/png", "text/csv" },
              description = maybe("d" .. text_of(5) .. "d") }
  if inline then a.cid = word() .. "@" .. word() end
  local kind = random(4)
  if kind == 1 then
    a.data = data
  elseif kind == 2 then
    a.path = os.tmpname()
    files[#files + 1] = a.path
    local file = assert(io.open(a.path, "wb"))
    file:write(data)
    file:close()
  else
    a.source, a.size = pieces_of(data), kind == 3 and #data or nil
  end
  return a, data
end

local function inner_message()
  return assert(message.new { from = address(), subject = text_of(10), text = text_of(20, true) .. "\n" })
end

-- --- a message ------------------------------------------------------------------------------------

local function make(files)
  local o = {
    from = mailbox(), to = people(4), cc = maybe(people(3)), bcc = maybe(people(2)), reply_to = maybe(people(2)),
    sender = maybe(mailbox()), subject = maybe(text_of(40)), date = random(2000000000), message_id = ids(1)[1],
    in_reply_to = maybe(ids(1)[1]), references = maybe(ids(40)), text = maybe(text_of(60, true) .. "\n"),
    html = maybe(text_of(60, true) .. "\n"), attachments = {},
    headers = { ["X-Job"] = text_of(60), ["X-Many"] = { text_of(5), text_of(5) } },
  }
  if random(4) == 1 then
    o.calendar = "BEGIN:VCALENDAR\nMETHOD:REQUEST\nX:" .. no_tabs(text_of(20)) .. "\nEND:VCALENDAR\n"
  end
  local sent = {}
  for i = 1, random(4) - 1 do
    local inline = o.html ~= nil and random(3) == 1
    o.attachments[i], sent[i] = attachment(files, inline)
  end
  if random(5) == 1 then
    local inside = inner_message()
    o.attachments[#o.attachments + 1], sent[#sent + 1] = { message = inside }, inside:tostring()
  end
  return o, sent
end

-- --- comparing ------------------------------------------------------------------------------------

-- Addresses without names that are empty: "" is none.
local function plain(list)
  local out = {}
  for i, a in ipairs(list or {}) do
    if a.group then
      out[i] = { group = a.group, members = plain(a.members) }
    else
      local name = a.name and a.name ~= "" and a.name or nil
      out[i] = { name = name, address = a.address }
    end
  end
  return out
end

-- Domains as they stand in the 7-bit and 8-bit forms.
local function in_labels(list, form)
  list = plain(list)
  if form == "utf8" then return list end
  local function ascii(entry)
    if entry.group then
      for _, member in ipairs(entry.members) do ascii(member) end
    else
      entry.address = entry.address:gsub("bücher", "xn--bcher-kva")
    end
  end
  for _, entry in ipairs(list) do ascii(entry) end
  return list
end

local function lf(text) return (text:gsub("\r\n", "\n")) end

local function check(o, sent, read, form)
  assert.same({}, read.defects[1] or {}, read:raw())
  for _, field in ipairs { "from", "to", "cc", "reply_to", "sender" } do
    local given = o[field]
    if given and given.address then given = { given } end
    assert.same(in_labels(given, form), plain(read[field]))
  end
  assert.is_nil(read.bcc)
  assert.equal(o.subject, read.subject)
  assert.equal(o.date, read.date)
  assert.equal(o.message_id, read.message_id)
  assert.equal(o.in_reply_to, read.in_reply_to)
  assert.same(o.references, read.references)
  assert.equal(o.headers["X-Job"], read:header "X-Job")
  assert.same(o.headers["X-Many"], read:header_all "X-Many")
  if o.text then assert.equal(lf(o.text), read:text()) end
  if o.html then assert.equal(lf(o.html), read:html()) end
  if o.calendar then assert.equal(o.calendar, read:calendars()[1].text) end
  local found = {}
  for _, a in ipairs(read:attachments()) do
    if a.type ~= "text/calendar" then found[#found + 1] = a end
  end
  assert.equal(#sent, #found)
  -- Images that the HTML shows stand before the others.
  local at = 0
  for _, inline in ipairs { true, false } do
    for i, a in ipairs(o.attachments) do
      if (a.cid ~= nil) == inline then
        at = at + 1
        local got = found[at]
        assert.equal(sent[i], got.data())
        assert.equal(#sent[i], got.size)
        assert.equal(a.name, got.original_filename)
        assert.equal(a.cid, got.cid)
        assert.equal(a.type or "message/rfc822", got.type)
        assert.equal(inline and "inline" or "attachment", got.disposition)
        assert.equal(a.description, got.part.description)
      end
    end
  end
end

local function check_wire(text, form)
  assert.is_nil(text:find "[^\r]\n")
  assert.is_nil(text:find "\r[^\n]")
  for line in text:gmatch "([^\n]*)\r\n" do assert.is_true(#line <= 998) end
  local head = text:match "^(.-\r\n)\r\n"
  if form ~= "utf8" then assert.is_nil(head:find "[\128-\255]") end
  if form == "7bit" then assert.is_nil(text:find "[\128-\255]") end
end

-- The octets of each leaf, by the push parser.
local function leaves_by_events(text)
  local out, stack = {}, {}
  for event in message.events(pieces_of(text)) do
    if event.kind == "part" then stack[#stack + 1] = {} end
    local top = stack[#stack]
    if event.kind == "content" then top.leaf = event.shape == "leaf" end
    if event.kind == "body" then top[#top + 1] = event.data end
    if event.kind == "part_end" then
      if top.leaf then out[#out + 1] = table.concat(top) end
      stack[#stack] = nil
    end
    assert.is_not.equal("defect", event.kind)
  end
  return out
end

local function leaves_of(read)
  local out = {}
  for p in read:walk() do out[#out + 1] = p:body() end
  return out
end

describe("a random message", function()
  for block = 1, 8 do
    it(("is read as it was written, in each form and in any pieces (block %d)"):format(block), function()
      for round = 1, 50 do
        seed = block * 1000 + round
        local files = {}
        local o, sent = make(files)
        local m = assert(message.new(o))
        for _, form in ipairs { "7bit", "8bit", "utf8" } do
          local text, err = m:tostring { form = form }
          if text then
            check_wire(text, form)
            assert.equal(#text, m:octets { form = form })
            local read = message.parse(text)
            check(o, sent, read, form)
            assert.same(leaves_of(read), leaves_by_events(text))
            assert.same(leaves_of(read), leaves_of(assert(message.parse_source(pieces_of(text)))))
          else
            assert.equal("unsupported", err.kind) -- a message inside that is not ASCII
          end
        end
        for _, path in ipairs(files) do os.remove(path) end
      end
    end)
  end
end)

-- --- injection ------------------------------------------------------------------------------------

-- Every string that may be given, each in a place of its own.
local function all_options()
  return {
    from = { name = "n", address = "a@x.org" }, sender = { name = "n", address = "a@x.org" },
    to = { "b@x.org", { name = "n", address = "c@x.org" }, { group = "g", members = { { address = "d@x.org" } } } },
    cc = "e@x.org", bcc = { "f@x.org" }, reply_to = { name = "n", address = "g@x.org" }, subject = "s",
    date = "1 Jan 2020 00:00:00 +0000", message_id = "<i@x>", in_reply_to = { "<j@x>" },
    references = { "<k@x>", "<l@x>" },
    text = "t\n", html = "h\n", headers = { { "X-A", "v" }, { name = "X-B", value = "w" } },
    disposition_notification_to = { name = "n", address = "h@x.org" },
    calendar = { data = "BEGIN:VCALENDAR\n", method = "REQUEST", name = "c.ics" },
    list = { id = "l.x.org", help = { "help@x.org" }, unsubscribe = { "https://x.org/u" }, owner = "o@x.org" },
    attachments = {
      { data = "d", name = "f.txt", type = "text/x-y; p=q", parameters = { r = "s" }, cid = "c@x", description = "e",
        disposition = "inline", headers = { { "X-C", "v" } } },
      { message = "Subject: m\r\n\r\nx", filename = "m.eml" },
    },
  }
end

-- Paths of all strings in a table; names of parameters and fields among them.
local function paths_of(value, path, out)
  for key, inside in pairs(value) do
    local here = {}
    for i, step in ipairs(path) do here[i] = step end
    here[#here + 1] = key
    if type(inside) == "table" then paths_of(inside, here, out) end
    if type(inside) == "string" then out[#out + 1] = here end
  end
  return out
end

local function changed(options, path, with)
  local at = options
  for i = 1, #path - 1 do at = at[path[i]] end
  at[path[#path]] = with(at[path[#path]])
  return options
end

-- All names of fields, of the message and of its parts, in order.
local function field_names(text)
  local out = {}
  for event in message.events(text) do
    if event.kind == "field" then out[#out + 1] = event.name:lower() end
  end
  return table.concat(out, " ")
end

-- What may hold line ends: content.
local CONTENT = { ["text"] = true, ["html"] = true, ["calendar data"] = true, ["attachments 1 data"] = true,
                  ["attachments 2 message"] = true }

describe("what stands in a field", function()
  local usual = field_names(assert(message.new(all_options())):tostring())

  it("forges no other, wherever it comes from", function()
    local paths, refused = paths_of(all_options(), {}, {}), 0
    assert.is_true(#paths > 40)
    for _, path in ipairs(paths) do
      for _, bad in ipairs { "\r\nX-Evil: 1", "\nX-Evil: 1", "\rX-Evil: 1", "\0", "\r\n\r\nX-Evil: 1",
                             "\r\n X-Evil: 1" } do
        for _, with in ipairs { function(s) return s .. bad end, function(s) return bad .. s end,
                                function(s) return s:sub(1, 1) .. bad .. s:sub(2) end } do
          local name = table.concat(path, " ")
          local ok, m, err = pcall(message.new, changed(all_options(), path, with))
          if not ok then
            refused = refused + 1 -- the name of an option's value: "inline"
            assert.equal("attachments 1 disposition", name)
          elseif m == nil then
            refused = refused + 1
            assert.equal("invalid", err.kind)
          else
            assert.is_true(CONTENT[name], name)
            local text = m:tostring()
            assert.equal(name == "attachments 2 message" and "" or usual,
              name == "attachments 2 message" and "" or field_names(text))
            assert.is_nil(text:match("^(.-\r\n)\r\n"):find("X-Evil", 1, true))
          end
        end
      end
    end
    assert.is_true(refused > 600)
  end)
end)
