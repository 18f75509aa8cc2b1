--- A message out of its fields, for the calls that take either: `mail.send`, `mail.resty.send_later`.
--
-- What a field means is mail.message's affair (`mail.message.new`); here they are told apart from the
-- envelope's and the call's own.
-- @module mail.compose

--- The fields of a message that are no options of `smtp:send`: name → type, as `mail.want` takes them.
local FIELDS = {
  cc = "any", bcc = "any", reply_to = "any", sender = "any", subject = "string?", date = "any", text = "any",
  html = "any", attachments = "table?", headers = "table?", in_reply_to = "any", references = "any", calendar = "any",
  message_id = "string?", list = "table?", flowed = "boolean?", disposition_notification_to = "any",
}

local compose = { FIELDS = FIELDS }

-- Options whose `message` is a message. With `message` given they are returned as they are; then `from` and
-- `to` are the envelope. Otherwise they are the message's, and the envelope is taken from it.
-- `what` is the call, for errors: a message and fields of one are a misuse, and so is neither. Returns options;
-- or nil, err.
local function call(_, options, what)
  local field
  for name in pairs(FIELDS) do
    if options[name] ~= nil then field = name end
  end
  if options.message ~= nil then
    if field then error(("%s: option '%s' is part of a message, and 'message' is one"):format(what, field), 3) end
    return options
  end
  if not field then error(what .. ": option 'message' is missing", 3) end
  local parts, copy = { from = options.from, to = options.to }, {}
  for name, value in pairs(options) do
    if FIELDS[name] then parts[name] = value elseif name ~= "from" and name ~= "to" then copy[name] = value end
  end
  local err
  copy.message, err = require "mail.message.compose".create(parts, what, 2)
  if not copy.message then return nil, err end
  return copy
end

return setmetatable(compose, { __call = call })
