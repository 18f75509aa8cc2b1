--- The contact form: a page, and the request that sends what was written.
--
-- The message is sent while the visitor waits, so that he is told the truth; its connection comes from the worker's
-- pool and goes back there. Only where the server cannot be had just now the message is put aside to be sent later.
local letter = require "letter"
local mail = require "mail"
local settings = require "settings"

local contact = {}

local PAGE = [[
<!doctype html>
<title>Contact</title>
<form method="post" action="/contact">
  <p><label>Your name <input name="name" required maxlength="100"></label>
  <p><label>Your address <input name="email" type="email" required maxlength="200"></label>
  <p><label>Message<br><textarea name="message" required cols="72" rows="10"></textarea></label>
  <p><button>Send</button>
</form>
<p><a href="/inbox">the inbox</a>, <a href="/latest">the latest messages</a>
]]

function contact.page()
  ngx.print(PAGE)
end

local function answer(status, text)
  ngx.status = status
  ngx.header.content_type = "text/plain; charset=utf-8"
  ngx.say(text)
end

-- The fields of the form, each a string that is not empty; or nil and what is wrong.
local function form()
  ngx.req.read_body()
  local given, why = ngx.req.get_post_args(20)
  if not given or why then return nil, "This form could not be read." end
  for _, name in ipairs { "name", "email", "message" } do
    if type(given[name]) ~= "string" or not given[name]:find "%S" then return nil, "Missing: " .. name end
  end
  return given
end

-- The message to the site's people; answers go to the visitor.
local function compose(given)
  local visitor, err = mail.address.format { name = given.name, address = given.email }
  if not visitor then return nil, tostring(err) end
  return letter({
    { "From", settings.from }, { "Reply-To", visitor }, { "To", settings.contact }, { "Subject", "Contact form" },
  }, given.message)
end

local function send(envelope)
  local smtp, err = mail.smtp.connect(settings.smtp)
  if not smtp then return nil, err end
  local receipt
  receipt, err = smtp:send(envelope)
  if not smtp:keepalive() then smtp:close() end
  return receipt, err
end

function contact.post()
  if ngx.req.get_method() ~= "POST" then return answer(405, "Use the form.") end
  local given, why = form()
  local message
  if given then message, why = compose(given) end
  if not message then return answer(400, why) end
  local envelope = { from = settings.from, to = settings.contact, message = message }
  local receipt, err = send(envelope)
  if receipt then return answer(200, "Thank you, your message was sent.") end
  -- Not where it may have been taken already ("unknown"): it would arrive twice.
  if err.temporary and err.kind ~= "unknown" then
    envelope.smtp, envelope.retry = settings.smtp, settings.retry
    if mail.resty.send_later(envelope) then return answer(202, "Thank you, your message will be sent.") end
  end
  ngx.log(ngx.ERR, "contact form: ", tostring(err))
  return answer(502, "Your message could not be sent.")
end

return contact
