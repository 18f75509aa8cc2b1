--- A plain message: header fields and a text in UTF-8, whatever it holds.
--
-- The text travels as base64, so no line of it can be taken for anything else; a field with a line break in it is
-- refused, since it would begin another field.
local settings = require "settings"

local count = 0

-- Never the same twice: this worker, this moment, this message.
local function message_id()
  count = count + 1
  return ("<%d.%d.%d@%s>"):format(ngx.now() * 1000, ngx.worker.pid(), count, settings.from:match "@(.*)$")
end

--- The message as a string; or nil and why not.
-- @tparam table fields array of { name, value }
-- @tparam string text
return function(fields, text)
  local lines = {}
  for i, field in ipairs(fields) do
    if field[2]:find "%c" or #field[2] > 900 then return nil, "bad value for " .. field[1] end
    lines[i] = field[1] .. ": " .. field[2]
  end
  local body = ngx.encode_base64((text:gsub("\r?\n", "\r\n")))
  for _, line in ipairs {
    "Date: " .. ngx.http_time(ngx.time()):gsub("GMT$", "+0000"),
    "Message-ID: " .. message_id(),
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: base64",
    "",
    (body:gsub(("."):rep(76), "%0\r\n")),
  } do lines[#lines + 1] = line end
  return table.concat(lines, "\r\n") .. "\r\n"
end
