--- Mail from the log phase, where nothing can wait: a request that failed is told to the webmaster.
local letter = require "letter"
local mail = require "mail"
local settings = require "settings"

local alert = {}

-- Seconds between two alerts of a worker: a site that is down must not flood anybody.
local PAUSE = 60
local last = -PAUSE

function alert.log()
  if ngx.status < 500 or ngx.now() - last < PAUSE then return end
  last = ngx.now()
  local what = ("%s %s -> %d"):format(ngx.req.get_method(), ngx.var.uri:gsub("%c", "?"), ngx.status)
  local message = letter({
    { "From", settings.from }, { "To", settings.webmaster }, { "Subject", "The site fails" },
  }, what .. "\n")
  local ok, err = mail.resty.send_later {
    smtp = settings.smtp, from = settings.from, to = settings.webmaster, message = message, retry = settings.retry,
  }
  if not ok then ngx.log(ngx.ERR, "alert: ", tostring(err)) end
end

return alert
