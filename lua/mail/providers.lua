--- The servers of large providers: data for mail.discover, and nothing else.
--
-- A row is: name; servers for IMAP, POP3 and SMTP ("" where there is none); what the provider takes for a
-- password; the domains of its addresses; the ends of the names of its mail exchangers, by which domains
-- of customers are known. A server is "host" (implicit TLS on 993, 995, 465), "host:587" (STARTTLS, which
-- that port stands for), or "host:port+starttls". Where in doubt a domain is left out: SRV records do
-- better than old knowledge.
-- @module mail.providers

local rows = {
  { "gmail", "imap.gmail.com", "pop.gmail.com", "smtp.gmail.com", "app-password",
    "gmail.com googlemail.com", "google.com googlemail.com" },
  { "outlook", "outlook.office365.com", "outlook.office365.com", "smtp-mail.outlook.com:587", "oauth2",
    "outlook.com hotmail.com live.com msn.com outlook.de outlook.fr outlook.es outlook.it outlook.jp hotmail.co.uk "
    .. "hotmail.de hotmail.fr hotmail.es hotmail.it live.co.uk live.de live.fr live.nl live.it", "" },
  { "office365", "outlook.office365.com", "outlook.office365.com", "smtp.office365.com:587", "oauth2",
    "", "mail.protection.outlook.com mx.microsoft" },
  { "yahoo", "imap.mail.yahoo.com", "pop.mail.yahoo.com", "smtp.mail.yahoo.com", "app-password",
    "yahoo.com ymail.com rocketmail.com myyahoo.com yahoo.co.uk yahoo.de yahoo.fr yahoo.es yahoo.it yahoo.ca "
    .. "yahoo.co.in yahoo.in yahoo.com.br yahoo.com.au yahoo.com.mx yahoo.com.ar", "biz.mail.yahoo.com" },
  { "yahoo-japan", "imap.mail.yahoo.co.jp", "pop.mail.yahoo.co.jp", "smtp.mail.yahoo.co.jp", "password",
    "yahoo.co.jp", "" },
  { "aol", "imap.aol.com", "pop.aol.com", "smtp.aol.com", "app-password", "aol.com aim.com", "" },
  { "icloud", "imap.mail.me.com", "", "smtp.mail.me.com:587", "app-password",
    "icloud.com me.com mac.com", "mail.icloud.com", imap_user = "local" },
  { "fastmail", "imap.fastmail.com", "pop.fastmail.com", "smtp.fastmail.com", "app-password",
    "fastmail.com fastmail.fm sent.com", "messagingengine.com" },
  { "gmx", "imap.gmx.net", "pop.gmx.net", "mail.gmx.net", "password", "gmx.de gmx.net gmx.at gmx.ch gmx.org", "" },
  { "gmx.com", "imap.gmx.com", "pop.gmx.com", "mail.gmx.com", "password", "gmx.com gmx.us gmx.co.uk", "" },
  { "web.de", "imap.web.de", "pop3.web.de", "smtp.web.de", "password", "web.de", "" },
  { "mail.com", "imap.mail.com", "pop.mail.com", "smtp.mail.com", "password", "mail.com email.com", "" },
  { "t-online", "secureimap.t-online.de", "securepop.t-online.de", "securesmtp.t-online.de", "password",
    "t-online.de magenta.de", "" },
  { "posteo", "posteo.de", "posteo.de", "posteo.de", "password", "posteo.de posteo.net posteo.at posteo.ch", "" },
  { "mailbox.org", "imap.mailbox.org", "pop3.mailbox.org", "smtp.mailbox.org", "password",
    "mailbox.org", "mailbox.org" },
  { "qq", "imap.qq.com", "pop.qq.com", "smtp.qq.com", "app-password", "qq.com foxmail.com", "" },
  { "exmail", "imap.exmail.qq.com", "pop.exmail.qq.com", "smtp.exmail.qq.com", "app-password",
    "", "mxbiz1.qq.com mxbiz2.qq.com" },
  { "163", "imap.163.com", "pop.163.com", "smtp.163.com", "app-password", "163.com", "" },
  { "126", "imap.126.com", "pop.126.com", "smtp.126.com", "app-password", "126.com", "" },
  { "yeah.net", "imap.yeah.net", "pop.yeah.net", "smtp.yeah.net", "app-password", "yeah.net", "" },
  { "netease", "imap.qiye.163.com", "pop.qiye.163.com", "smtp.qiye.163.com", "app-password",
    "", "mxmail.netease.com" },
  { "sina", "imap.sina.com", "pop.sina.com", "smtp.sina.com", "app-password", "sina.com", "" },
  { "zoho", "imap.zoho.com", "pop.zoho.com", "smtp.zoho.com", "app-password", "zoho.com zohomail.com", "" },
  { "zoho.eu", "imap.zoho.eu", "pop.zoho.eu", "smtp.zoho.eu", "app-password", "zohomail.eu", "" },
  { "zoho-hosted", "imappro.zoho.com", "poppro.zoho.com", "smtppro.zoho.com", "app-password", "", "zoho.com" },
  { "zoho-hosted.eu", "imappro.zoho.eu", "poppro.zoho.eu", "smtppro.zoho.eu", "app-password", "", "zoho.eu" },
  { "yandex", "imap.yandex.com", "pop.yandex.com", "smtp.yandex.com", "app-password",
    "yandex.com yandex.ru ya.ru yandex.by yandex.kz yandex.com.tr", "mx.yandex.net mx.yandex.ru" },
  { "mail.ru", "imap.mail.ru", "pop.mail.ru", "smtp.mail.ru", "app-password",
    "mail.ru inbox.ru list.ru bk.ru internet.ru", "emx.mail.ru" },
  { "proton-bridge", "127.0.0.1:1143+starttls", "", "127.0.0.1:1025+starttls", "app-password",
    "proton.me protonmail.com pm.me protonmail.ch", "protonmail.ch" },
  { "naver", "imap.naver.com", "pop.naver.com", "smtp.naver.com:587", "app-password", "naver.com", "" },
  { "free.fr", "imap.free.fr", "pop.free.fr", "smtp.free.fr", "password", "free.fr", "" },
  { "orange", "imap.orange.fr", "pop.orange.fr", "smtp.orange.fr", "password", "orange.fr wanadoo.fr", "" },
  { "laposte", "imap.laposte.net", "pop.laposte.net", "smtp.laposte.net", "password", "laposte.net", "" },
  { "libero", "imapmail.libero.it", "popmail.libero.it", "smtp.libero.it", "password", "libero.it", "" },
  { "seznam", "imap.seznam.cz", "pop3.seznam.cz", "smtp.seznam.cz", "password", "seznam.cz email.cz", "" },
  { "wp.pl", "imap.wp.pl", "pop3.wp.pl", "smtp.wp.pl", "password", "wp.pl", "" },
  { "comcast", "imap.comcast.net", "", "smtp.comcast.net", "password", "comcast.net", "" },
  { "ionos", "imap.ionos.de", "pop.ionos.de", "smtp.ionos.de", "password", "", "kundenserver.de" },
  { "ionos.com", "imap.ionos.com", "pop.ionos.com", "smtp.ionos.com", "password", "", "ionos.com 1and1.com" },
  { "strato", "imap.strato.de", "pop3.strato.de", "smtp.strato.de", "password", "", "rzone.de" },
  { "ovh", "ssl0.ovh.net", "ssl0.ovh.net", "ssl0.ovh.net", "password", "", "mail.ovh.net" },
  { "gandi", "mail.gandi.net", "mail.gandi.net", "mail.gandi.net", "password", "", "mail.gandi.net" },
  { "rackspace", "secure.emailsrvr.com", "secure.emailsrvr.com", "secure.emailsrvr.com", "password",
    "", "emailsrvr.com" },
  { "godaddy", "imap.secureserver.net", "pop.secureserver.net", "smtpout.secureserver.net", "password",
    "", "secureserver.net" },
  { "migadu", "imap.migadu.com", "pop.migadu.com", "smtp.migadu.com", "password", "", "migadu.com" },
  { "hostinger", "imap.hostinger.com", "pop.hostinger.com", "smtp.hostinger.com", "password", "", "hostinger.com" },
}

local PORTS = { imap = 993, pop3 = 995, smtp = 465 }
local STARTTLS = { [143] = true, [110] = true, [587] = true }

local function server(text, protocol)
  if text == "" then return nil end
  local host, port, rest = text:match "^([^:]+):?(%d*)(.*)$"
  port = tonumber(port) or PORTS[protocol]
  return { host = host, port = port, tls = (STARTTLS[port] or rest == "+starttls") and "starttls" or "implicit" }
end

local providers = { by_domain = {}, by_exchanger = {} }

for _, row in ipairs(rows) do
  local provider = {
    name = row[1], imap = server(row[2], "imap"), pop3 = server(row[3], "pop3"), smtp = server(row[4], "smtp"),
    login = row[5], imap_user = row.imap_user,
  }
  for domain in row[6]:gmatch "%S+" do providers.by_domain[domain] = provider end
  for domain in row[7]:gmatch "%S+" do providers.by_exchanger[domain] = provider end
end

return providers
