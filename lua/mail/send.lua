--- Everything in one call: `mail.send { smtp = …, from = …, to = …, message = … }`.
-- @module mail.send

local compose = require "mail.compose"
local connect = require "mail.connect"
local core = require "mail.core"
local smtp = require "mail.smtp"
local want = require "mail.want"

local OPTIONS = { smtp = "table|string|userdata" }
for name, kinds in pairs(smtp.send_options) do OPTIONS[name] = kinds end
for name, kinds in pairs(compose.FIELDS) do OPTIONS[name] = kinds end

-- A session or a pool of the user's own, which is left open.
local function is_open(where)
  if type(where) == "userdata" then return getmetatable(where) == core.smtp_class end
  return type(where) == "table" and type(where.send) == "function"
end

-- Wrong options of the connection, at the line of the caller of mail.send: `connect` would blame ours.
local function check_connection(options)
  if is_open(options) then return end
  local ok, why = pcall(connect.options, options, "smtp", smtp.connect_options)
  if not ok then error("mail.send: " .. (tostring(why):match "smtp%.connect: .*$" or tostring(why)), 3) end
end

--- Sends one message.
-- @tparam table options `smtp`: options of `mail.smtp.connect` (a session is opened and ended), a session, or a
--   pool; `message`, `from`, `to` and what else `smtp:send` takes; or, in place of `message`, the fields of one as
--   `mail.message.new` takes them: `from`, `to`, `cc`, `bcc`, `subject`, `text`, `html`, `attachments` …
-- @treturn table receipt, as of `smtp:send`; or nil, err
-- @function send
return function(options)
  want(options, OPTIONS, "mail.send")
  local where, letter = options.smtp, {}
  local composed, err = compose(options, "mail.send")
  if not composed then return nil, err end
  check_connection(where)
  for name in pairs(smtp.send_options) do letter[name] = composed[name] end
  local session = where
  if not is_open(where) then
    session, err = smtp.connect(where)
    if not session then return nil, err end
  end
  local receipt
  receipt, err = session:send(letter)
  if session ~= where then
    session:quit { timeout = 5 }
    session:close()
  end
  return receipt, err
end
