--- Mail for Lua: SMTP, POP3 and IMAP sessions on any loop.
--
-- Submodules load at first use: `mail.imap` is `require "mail.imap"`. Nothing is written to globals.
--
-- - `mail.imap` (`connect`, `watch`, `account`), `mail.pop3` (`connect`), `mail.smtp` (`connect`, `pool`),
--   `mail.send`; options of all three: mail.connect. Methods of an IMAP session are in mail.imap.messages (`fetch`,
--   `store`, `copy`, `move`, `append` …), mail.imap.select, mail.imap.search (with mail.imap.criteria and
--   mail.imap.set), mail.imap.list, mail.imap.status, mail.imap.mailboxes, mail.imap.query (`messages`),
--   mail.imap.quota, mail.imap.acl, mail.imap.features …; of a POP3 session in mail.pop3.commands,
--   mail.pop3.messages, mail.pop3.leave (`new_messages`); of an SMTP session in mail.smtp
-- - `mail.message` (`parse`, `new`): a message that was read has the methods of mail.message.part, mail.message.text,
--   mail.message.attachment, mail.message.report, mail.message.reply; one that is composed those of
--   mail.message.compose too. `mail.address`
-- - `mail.loop`, `mail.resty`: loops. `mail.err`, mail.iterator: what calls return
-- - `mail.dkim`, `mail.arc`, `mail.spf`, `mail.dmarc`, `mail.authentication_results`, `mail.smime`
-- - `mail.maildir`, `mail.mbox`; `mail.oauth2`, `mail.discover`, `mail.dns`
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
