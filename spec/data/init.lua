--- Messages for the demo and the specs: `spec/data/*.eml`, and a large one that is made here.
--
--     local data = require "spec.data"
--     for _, message in ipairs(data.messages()) do print(message.name, #message.text) end

local data = {}

local NAMES = { "plain", "utf8_headers", "multipart", "dots" }

local folder = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")

local function read(name)
  local file = assert(io.open(folder .. "/" .. name .. ".eml", "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- A message of about `octets`, the same at every call: numbered lines, some of which begin with dots.
function data.large(octets)
  local lines = {
    "From: Archive <archive@example.test>", "To: Bob Example <bob@example.test>", "Subject: A large message",
    "Date: Sun, 22 Nov 2026 09:00:00 +0000", "Message-ID: <large.1@example.test>", "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=us-ascii", "",
  }
  local size, n = 0, 0
  while size < octets do
    n = n + 1
    local line = ("%s%08d the quick brown fox jumps over the lazy dog"):format(n % 7 == 0 and "." or "", n)
    lines[#lines + 1] = line
    size = size + #line + 2
  end
  return table.concat(lines, "\r\n") .. "\r\n"
end

--- All messages, the last one of 5 MB: array of `{name=, text=}`, lines in CRLF.
function data.messages()
  local list = {}
  for i, name in ipairs(NAMES) do list[i] = { name = name, text = read(name) } end
  list[#list + 1] = { name = "large", text = data.large(5 * 1024 * 1024) }
  return list
end

--- The messages with oddities, `spec/data/mime/*.eml`: name → text.
function data.mime()
  local texts = {}
  for name in pairs(dofile(folder .. "/mime/expected.lua")) do texts[name] = read("mime/" .. name) end
  return texts
end

return data
