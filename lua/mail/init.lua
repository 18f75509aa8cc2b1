--- Mail for Lua: SMTP, POP3 and IMAP sessions on any loop.
--
-- Submodules load at first use: `mail.imap` is `require "mail.imap"`. Nothing is written to globals.
-- @module mail

local modules = {
  smtp = true, pop3 = true, imap = true, address = true, message = true, loop = true, pump = true, err = true,
  resty = true, send = true, oauth2 = true, dns = true, discover = true, dkim = true, arc = true, spf = true,
  dmarc = true, authentication_results = true,
  smime = true, maildir = true, mbox = true,
}

local mail = { _VERSION = "lua-mail 0.1.0" }

return setmetatable(mail, {
  __index = function(self, name)
    if not modules[name] then return nil end
    local module = require("mail." .. name)
    rawset(self, name, module)
    return module
  end,
})
