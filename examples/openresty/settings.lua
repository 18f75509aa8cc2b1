--- The accounts of this site: edit this file. The options are those of mail.smtp.connect and mail.imap.connect.
return {
  -- Sends. TLS is nginx's own here, so that connections are kept for the next request (smtp:keepalive);
  -- leave tls_by out to have the library's, with its options in `ssl`.
  smtp = {
    host = "smtp.example.com", port = 465, tls = "implicit", tls_by = "host",
    user = "website", password = "secret",
  },
  -- Seconds before further tries, where the server could not be had.
  retry = { 5, 30, 120, 600 },
  -- Seconds that a page waits for the mail server.
  patience = 10,
  -- Is watched.
  imap = { host = "imap.example.com", user = "website", password = "secret" },
  -- From whom the site's mail comes, who gets what the contact form takes, and who is told of errors.
  from = "website@example.com",
  contact = "office@example.com",
  webmaster = "webmaster@example.com",
}
