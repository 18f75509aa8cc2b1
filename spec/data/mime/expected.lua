-- What is read of each message in this folder: a field that is not told is nil. Addresses are written
-- "name <address>", groups "name:[members]", files "safe name|type|octets|cid", defects "what@octet". Long
-- texts are told by their length.
-- luacheck: ignore 631
return {
  ["abuse-report"] = {
    subject = "s", from = "<ann@example.org>",
    tree = "multipart/report(text/plain, message/feedback-report, message/rfc822(text/plain))",
    text = "This is a report.", files = "-|message/rfc822|33",
  },
  ["address-comments"] = {
    subject = "s", from = "<a@b.c>", to = "Ann (nested) <ann@x.org>", tree = "text/plain", text = "body\n",
  },
  ["address-domain-literal"] = {
    subject = "s", from = "<a@b.c>", to = "<ann@[192.0.2.1]>", tree = "text/plain", text = "body\n",
  },
  ["address-empty-brackets"] = {
    subject = "s", from = "<a@b.c>", to = "", tree = "text/plain", text = "body\n", defects = "no address@19",
  },
  ["address-folded"] = {
    subject = "s", from = "<a@b.c>", to = "Ann <ann@x.org>, Bob <bob@x.org>", tree = "text/plain",
    text = "body\n",
  },
  ["address-group-empty"] = {
    subject = "s", from = "<a@b.c>", to = "undisclosed-recipients:[]", tree = "text/plain", text = "body\n",
  },
  ["address-group-not-closed"] = {
    subject = "s", from = "<a@b.c>", to = "Team:[<a@x.org>, <b@x.org>]", tree = "text/plain", text = "body\n",
    defects = "a group that is not closed@40",
  },
  ["address-group"] = {
    subject = "s", from = "<a@b.c>", to = "Team:[<a@x.org>, Bob <b@x.org>], <c@x.org>", tree = "text/plain",
    text = "body\n",
  },
  ["address-in-utf-8"] = {
    subject = "eai", from = "<jürgen@bücher.example>", to = "<用户@例え.example>", tree = "text/plain",
    text = "body\n",
  },
  ["address-name-in-apostrophes"] = {
    subject = "s", from = "<a@b.c>", to = "Ann <ann@x.org>", tree = "text/plain", text = "body\n",
  },
  ["address-name-is-an-address"] = {
    subject = "s", from = "<a@b.c>", to = "bob@y.org <ann@x.org>", tree = "text/plain", text = "body\n",
  },
  ["address-not-closed"] = {
    subject = "s", from = "<a@b.c>", to = "Ann <ann@x.org>", tree = "text/plain", text = "body\n",
    defects = "a bracket that is not closed@23",
  },
  ["address-quote-not-closed"] = {
    subject = "s", from = "<a@b.c>", to = "\"Ann <ann@x.org>", tree = "text/plain", text = "body\n",
    defects = "unquoted specials in a name@17",
  },
  ["address-quoted-local-part"] = {
    subject = "s", from = "<a@b.c>", to = "<\"ann smith\"@x.org>", tree = "text/plain", text = "body\n",
  },
  ["address-route"] = {
    subject = "s", from = "<a@b.c>", to = "<ann@x.org>", tree = "text/plain", text = "body\n",
  },
  ["address-semicolons"] = {
    subject = "s", from = "<a@b.c>", to = "<a@x.org>, <b@x.org>", tree = "text/plain", text = "body\n",
    defects = "a semicolon outside of a group@25",
  },
  ["address-spaces-around-at"] = {
    subject = "s", from = "<a@b.c>", to = "<ann@x.org>", tree = "text/plain", text = "body\n",
  },
  ["address-two-at"] = {
    subject = "s", from = "<a@b.c>", to = "ann@bob@x.org <?>", tree = "text/plain", text = "body\n",
    defects = "text behind an address@26",
  },
  ["address-with-a-comma-unquoted"] = {
    subject = "s", from = "<a@b.c>", to = "Smith, John <j@x.org>", tree = "text/plain", text = "body\n",
    defects = "an address without a domain@18",
  },
  ["address-with-dots-unquoted"] = {
    subject = "s", from = "<a@b.c>", to = "Dr. J. Smith <j@x.org>", tree = "text/plain", text = "body\n",
  },
  ["address-without-a-domain"] = {
    subject = "s", from = "<a@b.c>", to = "<root>", tree = "text/plain", text = "body\n",
    defects = "an address without a domain@18",
  },
  ["base64-in-one-line"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "3000 octets",
  },
  ["base64-of-nothing"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "",
  },
  ["base64-with-stray-characters"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "hello world",
    defects = "content that breaks its transfer encoding@118",
  },
  ["base64-with-text-behind"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "hello",
    defects = "content that breaks its transfer encoding@118",
  },
  ["base64-without-padding"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "hello",
    defects = "content that breaks its transfer encoding@118",
  },
  ["body-that-looks-like-a-header"] = {
    subject = "s", from = "<a@b.c>", tree = "text/plain", text = "To: nobody\nCc: nobody\n",
  },
  ["body-without-a-header"] = {
    tree = "text/plain", text = "just text\n",
  },
  ["boundary-behind-the-closing-one"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain)", text = "one",
    defects = "a delimiter behind the closing one@119",
  },
  ["boundary-case-differs"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain)",
    text = "one\n--abc\n\nstill one",
  },
  ["boundary-closes-at-once"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed", text = "the text in the preamble",
  },
  ["boundary-empty"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain)", text = "one",
    defects = "a boundary that the header does not name@101",
  },
  ["boundary-in-lf-lines-among-crlf"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, text/plain)",
    text = "one\ntwo",
  },
  ["boundary-is-the-beginning-of-another"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(multipart/mixed(text/plain), text/plain)",
    text = "inner\nouter",
  },
  ["boundary-missing"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, text/plain)",
    text = "one\ntwo", defects = "a boundary that the header does not name@88",
  },
  ["boundary-never-closed"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, text/plain)",
    text = "one\ntwo\n", defects = "a boundary that is never closed@124",
  },
  ["boundary-of-the-inner-is-the-beginning"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(multipart/mixed(text/plain), text/plain)",
    text = "inner\nouter",
  },
  ["boundary-of-the-inner-never-closed"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(multipart/mixed(text/plain), text/plain)",
    text = "one\ntwo", defects = "a boundary that is never closed@187",
  },
  ["boundary-reused-by-a-part-inside"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(multipart/mixed(text/plain), text/plain)",
    text = "inner\nouter",
    defects = "a boundary that a part around has, too@150",
  },
  ["boundary-that-only-begins-alike"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain)",
    text = "--bx\n--b-\n-- b\n--B",
  },
  ["boundary-with-odd-characters"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain)", text = "one",
  },
  ["boundary-with-trailing-space"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, text/plain)",
    text = "one\ntwo",
  },
  ["boundary-without-quotes-and-odd"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain)", text = "one",
  },
  ["calendar-invitation"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/alternative(text/plain, text/calendar)",
    text = "Come!", files = "-|text/calendar|30",
  },
  ["charset-gb2312-that-is-gb18030"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "商镕\n",
  },
  ["charset-in-apostrophes"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
  },
  ["charset-in-quotes-and-a-semicolon"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
  },
  ["charset-in-the-html-only"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/html", text = "Привет\n",
    html = "<html><head><meta charset=\"windows-1251\"></head><body>Привет</body></html>\n",
  },
  ["charset-iso-2022-jp"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "こんにちは\n",
  },
  ["charset-koi8-r"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Привет\n",
  },
  ["charset-ks-c-5601-1987"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "안녕\n",
  },
  ["charset-latin-1-that-is-windows-1252"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "“a” €\n",
    defects = "text that is not in its charset@136",
  },
  ["charset-missing-latin-1"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
    defects = "8-bit text without a charset@116",
  },
  ["charset-missing-utf-8"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
    defects = "8-bit text without a charset@116",
  },
  ["charset-twice"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
    defects = "a parameter is repeated@68",
  },
  ["charset-unknown"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
    defects = "a charset that is not known@141",
  },
  ["charset-us-ascii-that-is-utf-8"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
    defects = "text that is not in its charset@134",
  },
  ["charset-utf-16-with-a-mark"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
  },
  ["charset-utf-7"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
  },
  ["charset-utf-8-that-is-broken"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "ok �� end\n",
    defects = "text that is not in its charset@131",
  },
  ["charset-utf-8-with-a-byte-order-mark"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
  },
  ["charset-x-sjis"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "こんにちは①\n",
  },
  ["date-24-00-00"] = {
    from = "<ann@example.org>", date = 1795305600, tree = "text/plain", text = "body\n",
  },
  ["date-iso-8601"] = {
    from = "<ann@example.org>", date = 1795255200, tree = "text/plain", text = "body\n",
  },
  ["date-leap-second"] = {
    from = "<ann@example.org>", date = 915148800, tree = "text/plain", text = "body\n",
  },
  ["date-month-before-day"] = {
    from = "<ann@example.org>", date = 1795255200, tree = "text/plain", text = "body\n",
  },
  ["date-of-ctime"] = {
    from = "<ann@example.org>", date = 1795255200, tree = "text/plain", text = "body\n",
  },
  ["date-of-rfc-850"] = {
    from = "<ann@example.org>", date = 1795255200, tree = "text/plain", text = "body\n",
  },
  ["date-rubbish"] = {
    from = "<ann@example.org>", tree = "text/plain", text = "body\n", defects = "no date@29",
  },
  ["date-three-digit-year"] = {
    from = "<ann@example.org>", date = 1795255200, tree = "text/plain", text = "body\n",
  },
  ["date-two-digit-year"] = {
    from = "<ann@example.org>", date = 1795255200, tree = "text/plain", text = "body\n",
  },
  ["date-with-comments"] = {
    from = "<ann@example.org>", date = 1795255200, tree = "text/plain", text = "body\n",
  },
  ["date-without-a-zone"] = {
    from = "<ann@example.org>", date = 1795255200, tree = "text/plain", text = "body\n",
  },
  ["date-without-seconds"] = {
    from = "<ann@example.org>", date = 1795251600, tree = "text/plain", text = "body\n",
  },
  ["date-wrong-weekday"] = {
    from = "<ann@example.org>", date = 1795255200, tree = "text/plain", text = "body\n",
  },
  ["date-zone-by-name"] = {
    from = "<ann@example.org>", date = 1795273200, tree = "text/plain", text = "body\n",
  },
  ["date-zone-in-quotes"] = {
    from = "<ann@example.org>", date = 1795251600, tree = "text/plain", text = "body\n",
  },
  ["date-zone-ut"] = {
    from = "<ann@example.org>", date = 1795255200, tree = "text/plain", text = "body\n",
  },
  ["delivery-status-without-the-empty-line"] = {
    subject = "s", from = "<ann@example.org>",
    tree = "multipart/report(text/plain, message/delivery-status, text/rfc822-headers)", text = "It failed.",
    files = "-|text/rfc822-headers|39",
  },
  ["delivery-status"] = {
    subject = "s", from = "<ann@example.org>",
    tree = "multipart/report(text/plain, message/delivery-status, message/rfc822(text/plain))",
    text = "It failed.", files = "-|message/rfc822|48",
  },
  ["digest-with-a-text-part"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/digest(text/plain, message/rfc822(text/plain))",
    text = "table of contents", files = "-|message/rfc822|37",
  },
  ["digest"] = {
    subject = "s", from = "<ann@example.org>",
    tree = "multipart/digest(message/rfc822(text/plain), message/rfc822(text/plain))",
    files = "-|message/rfc822|37 -|message/rfc822|37",
  },
  ["disposition-in-odd-case"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "a.pdf|application/pdf|5",
  },
  ["disposition-notification"] = {
    subject = "s", from = "<ann@example.org>",
    tree = "multipart/report(text/plain, message/disposition-notification)", text = "It was read.",
  },
  ["disposition-unknown"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "a.pdf|application/pdf|5",
  },
  ["disposition-without-a-value"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "a.pdf|application/pdf|5",
  },
  ["empty-fields"] = {
    subject = "", from = "", to = "", tree = "text/plain", text = "body\n", defects = "no date@30",
  },
  ["empty"] = {
    tree = "text/plain", text = "",
  },
  ["encrypted"] = {
    subject = "s", from = "<ann@example.org>",
    tree = "multipart/encrypted(application/pgp-encrypted, application/octet-stream)",
    files = "-|application/pgp-encrypted|10 -|application/octet-stream|27",
  },
  ["external-body"] = {
    subject = "s", from = "<ann@example.org>", tree = "message/external-body",
    files = "-|message/external-body|52",
  },
  ["flowed-delsp"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Donaudampfschiff\n",
  },
  ["flowed"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain",
    text = "This flows into one line.\n> quoted too\n\n-- \nsig\n",
  },
  ["fold-as-the-first-line"] = {
    subject = "s", from = "<a@b.c>", tree = "text/plain", text = "body\n",
    defects = "a line in the header that is no field@1",
  },
  ["fold-by-tabs"] = {
    subject = "one\ttwo\t\tthree", from = "<a@b.c>", tree = "text/plain", text = "body\n",
  },
  ["fold-of-blanks-only"] = {
    subject = "one  two", from = "<a@b.c>", to = "<x@y.z>", tree = "text/plain", text = "body\n",
  },
  ["header-line-of-dashes"] = {
    subject = "s", from = "<a@b.c>", tree = "text/plain", text = "body\n",
  },
  ["header-without-a-last-line-end"] = {
    subject = "cut", from = "<a@b.c>", tree = "text/plain", text = "",
  },
  ["html-only-beside-a-footer"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/html, text/plain)",
    text = "the text\nfooter", html = "<p>the text</p>",
  },
  ["ids-broken-by-a-fold"] = {
    from = "<ann@example.org>", id = "<one@x>", refs = "<a@x> <b@x> <c@x>", tree = "text/plain", text = "body\n",
  },
  ["ids-folded"] = {
    from = "<ann@example.org>", id = "<one@x>", refs = "<a@x> <b@x> <c@x>", irt = "<c@x>", tree = "text/plain",
    text = "body\n",
  },
  ["ids-not-closed"] = {
    from = "<ann@example.org>", id = "<one@x", refs = "<b@x>", tree = "text/plain", text = "body\n",
    defects = "no message id@35",
  },
  ["ids-with-words-between"] = {
    from = "<ann@example.org>", id = "<one@x>", refs = "<a@x> <b@x>", irt = "<c@x>", tree = "text/plain",
    text = "body\n",
  },
  ["ids-without-brackets"] = {
    from = "<ann@example.org>", id = "one@x", refs = "", tree = "text/plain", text = "body\n",
    defects = "no message id@35",
  },
  ["line-ends-lf-cr"] = {
    from = "<a@b.c>", tree = "text/plain", text = "Subject: not a header any more\n\nbody\n\n",
    defects = "line ends are mixed@13",
  },
  ["line-without-a-colon-in-the-header"] = {
    subject = "after it", from = "<a@b.c>", tree = "text/plain", text = "body\n",
    defects = "a line in the header that is no field@14",
  },
  ["lines-in-cr"] = {
    subject = "cr", from = "<a@b.c>", tree = "text/plain", text = "line one\nline two\n",
  },
  ["lines-in-lf"] = {
    subject = "lf", from = "<a@b.c>", tree = "text/plain", text = "line one\nline two\n",
  },
  ["lines-mixed"] = {
    subject = "mixed", from = "<a@b.c>", tree = "text/plain", text = "line one\nline two\nline three\n",
    defects = "line ends are mixed@28",
  },
  ["long-body-line"] = {
    subject = "s", from = "<a@b.c>", tree = "text/plain", text = "5001 octets",
  },
  ["long-header-line"] = {
    subject = "2503 octets", from = "<a@b.c>", tree = "text/plain", text = "body\n",
  },
  ["mbox-line-first"] = {
    subject = "mbox", from = "<a@b.c>", tree = "text/plain", text = "body\n",
    defects = "an mbox line before the header@1",
  },
  ["mbox-line-quoted"] = {
    subject = "mbox", from = "<a@b.c>", tree = "text/plain", text = "body\n",
    defects = "an mbox line before the header@1",
  },
  ["message-global"] = {
    subject = "s", from = "<ann@example.org>", tree = "message/global(text/plain)", text = "inner body\n",
  },
  ["message-inside-a-multipart"] = {
    subject = "s", from = "<ann@example.org>",
    tree = "multipart/mixed(text/plain, message/rfc822(multipart/mixed(text/plain, application/pdf)))",
    text = "see below", files = "-|message/rfc822|155",
  },
  ["message-inside-cut-by-the-outer"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(message/rfc822(text/plain), text/plain)",
    text = "last", files = "-|message/rfc822|29", defects = "no empty line behind the header@166",
  },
  ["message-inside-in-base64"] = {
    subject = "s", from = "<ann@example.org>", tree = "message/rfc822(text/plain)", text = "inner body\n",
    defects = "an encoded multipart or message@122",
  },
  ["message-inside-in-qp"] = {
    subject = "s", from = "<ann@example.org>", tree = "message/rfc822(text/plain)", text = "inner body\n",
    defects = "an encoded multipart or message@132",
  },
  ["message-inside"] = {
    subject = "s", from = "<ann@example.org>", tree = "message/rfc822(text/plain)", text = "inner body\n",
  },
  ["mime-version-missing"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße",
    defects = "a field that may stand once is repeated@144",
  },
  ["multipart-alternative"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/alternative(text/plain, text/html)",
    text = "plain", html = "<b>rich</b>",
  },
  ["multipart-in-base64"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, text/html)",
    text = "one\ntwo\n", html = "<p>two</p>",
    defects = "an encoded multipart or message@135; a boundary that is never closed@223",
  },
  ["multipart-mixed"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, text/html)",
    text = "one\ntwo\n", html = "<p>two</p>",
  },
  ["multipart-nested"] = {
    subject = "s", from = "<ann@example.org>",
    tree = "multipart/mixed(multipart/alternative(text/plain, text/html), application/pdf)", text = "plain",
    html = "<i>html</i>", files = "a.pdf|application/pdf|3",
  },
  ["multipart-related-with-a-start"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/related(image/png, text/html)", text = "root\n",
    html = "<p>root</p>", files = "-|image/png|3|i@x",
  },
  ["multipart-related"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/related(text/html, image/png)", text = "",
    html = "<img src=\"cid:i@x\">", files = "i.png|image/png|4|i@x",
  },
  ["multipart-that-says-base64-and-is-not"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain)", text = "one",
    defects = "an encoded multipart or message@135",
  },
  ["multipart-that-says-qp-and-is-not"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain)", text = "one",
    defects = "an encoded multipart or message@149",
  },
  ["multipart-unknown-subtype"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/x-strange(text/plain)", text = "one",
  },
  ["multipart-with-empty-parts"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, text/plain, text/plain)",
    text = "", defects = "no empty line behind the header@105",
  },
  ["multipart-without-a-body"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed", text = "",
    defects = "a boundary that is never closed@100",
  },
  ["multipart-without-a-subtype"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain)", text = "one",
    defects = "no media type@68",
  },
  ["multipart-without-parts"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed", text = "the text, and no boundary\n",
    defects = "a boundary that is never closed@127",
  },
  ["name-2231-beside-a-plain-one"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "Grüße.pdf|application/pdf|5",
  },
  ["name-2231-continued"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "Grüße.pdf|application/pdf|5",
  },
  ["name-2231-in-latin-1"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "Grüße.pdf|application/pdf|5",
  },
  ["name-2231-in-quotes"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "Grüße.pdf|application/pdf|5",
  },
  ["name-2231-out-of-order"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "Grüße.pdf|application/pdf|5",
  },
  ["name-2231-that-splits-a-character"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "Grüße.pdf|application/pdf|5",
  },
  ["name-2231-with-a-gap"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "onethree.pdf|application/pdf|5",
    defects = "pieces of a parameter are missing@234",
  },
  ["name-2231-with-bad-percents"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "100%.pdf|application/pdf|5",
  },
  ["name-2231-without-a-charset"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "Grüße.pdf|application/pdf|5",
  },
  ["name-2231"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "Grüße.pdf|application/pdf|5",
  },
  ["name-as-a-windows-path"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "report.pdf|application/pdf|5",
  },
  ["name-climbs-up"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "passwd|application/pdf|5",
  },
  ["name-in-an-encoded-word"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "Grüße.pdf|application/pdf|5",
    defects = "an encoded word in quotes@257",
  },
  ["name-in-both"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "a.pdf|application/pdf|5",
  },
  ["name-in-encoded-words-unquoted"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "Grüße.pdf|application/pdf|5",
    defects = "a value with spaces and without quotes@256",
  },
  ["name-in-raw-utf-8"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "Grüße.pdf|application/pdf|5",
  },
  ["name-in-the-type-only"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "report.pdf|application/pdf|5",
  },
  ["name-is-a-device"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "_CON.txt|application/pdf|5",
  },
  ["name-is-absolute"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "passwd|application/pdf|5",
  },
  ["name-is-empty"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "-|application/pdf|5",
  },
  ["name-is-hidden"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "_bashrc|application/pdf|5",
  },
  ["name-is-two-dots"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "attachment|application/pdf|5",
  },
  ["name-not-closed"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "report.pdf|application/pdf|5", defects = "a quoted string that is not closed@256",
  },
  ["name-of-one-octet"] = {
    from = "<a@b.c>", tree = "text/plain", text = "body\n",
  },
  ["name-plain"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "report.pdf|application/pdf|5",
  },
  ["name-turns-the-writing"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "gpjexe.jpg|application/pdf|5",
  },
  ["name-twice"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "a.pdf|application/pdf|5", defects = "a parameter is repeated@234",
  },
  ["name-with-a-line-end"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "a  b.pdf|application/pdf|5",
    defects = "a line end or NUL in a parameter@234",
  },
  ["name-with-a-nul"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "a b.pdf|application/pdf|5",
    defects = "a line end or NUL in a parameter@234",
  },
  ["name-with-an-unquoted-semicolon"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "a;b.pdf|application/pdf|5", defects = "text that is no parameter@258",
  },
  ["name-with-escaped-quotes"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "a _b_ c.pdf|application/pdf|5",
  },
  ["name-with-unquoted-spaces"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/pdf)",
    text = "see file", files = "my last report.pdf|application/pdf|5",
    defects = "a value with spaces and without quotes@256",
  },
  ["names-in-odd-case"] = {
    subject = "case", from = "<a@b.c>", id = "<A@B>", tree = "text/plain", text = "body\n",
  },
  ["names-with-odd-characters"] = {
    subject = "s", from = "<a@b.c>", tree = "text/plain", text = "body\n",
  },
  ["no-empty-line-before-the-body"] = {
    subject = "s", from = "<a@b.c>", tree = "text/plain", text = "Dear Bob,\nhow are you: well?\n\nbye\n",
    defects = "no empty line behind the header@26",
  },
  ["no-mime-at-all"] = {
    subject = "s", from = "<a@b.c>", tree = "text/plain", text = "plain old mail\n",
  },
  ["no-space-behind-the-colon"] = {
    subject = "s", from = "<a@b.c>", tree = "text/plain", text = "body\n",
  },
  ["nul-in-the-body"] = {
    subject = "s", from = "<a@b.c>", tree = "text/plain", text = "a\0b\n",
    defects = "a NUL in text@28",
  },
  ["nul-in-the-header"] = {
    subject = "a\0b", from = "<a@b.c>", tree = "text/plain", text = "body\n",
    defects = "a NUL in a header field@24",
  },
  ["only-a-header"] = {
    subject = "no body", from = "<a@b.c>", tree = "text/plain", text = "",
  },
  ["only-an-empty-line"] = {
    tree = "text/plain", text = "",
  },
  ["part-header-is-cut"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/pl)", files = "-|text/pl|0",
    defects = "a boundary that is never closed@126",
  },
  ["part-that-begins-with-text"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain)",
    text = "no header here\nreally: none\n\nmore", defects = "no empty line behind the header@105",
  },
  ["part-without-an-empty-line"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, text/html)", text = "x\n",
    html = "<p>x</p>", defects = "no empty line behind the header@131",
  },
  ["partial-1-of-2"] = {
    subject = "s", from = "<ann@example.org>", id = "<outer1@x>", tree = "message/partial",
    files = "-|message/partial|107",
  },
  ["partial-2-of-2"] = {
    subject = "s", from = "<ann@example.org>", tree = "message/partial", files = "-|message/partial|13",
  },
  ["qp-equals-before-anything"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "a=b =XY= 1=2\n",
    defects = "content that breaks its transfer encoding@128",
  },
  ["qp-lower-case-hex"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "grüße\n",
  },
  ["qp-raw-8-bit"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "grüße\n",
  },
  ["qp-soft-break-at-the-end"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "hello",
  },
  ["qp-trailing-spaces"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "one\ntwo \nthree\n",
  },
  ["raw-latin-1-in-the-header"] = {
    subject = "Grüße", from = "Jürgen <j@x.org>", tree = "text/plain", text = "body\n",
    defects = "octets in a header field that are not UTF-8@8; octets in a header field that are not UTF-8@36",
  },
  ["raw-utf-8-in-the-header"] = {
    subject = "Grüße aus Köln", from = "Jürgen <j@x.org>", tree = "text/plain", text = "body\n",
  },
  ["repeated-subject"] = {
    subject = "first", from = "<a@b.c>", tree = "text/plain", text = "body\n",
    defects = "a field that may stand once is repeated@38",
  },
  ["repeated-to"] = {
    from = "<a@b.c>", to = "<one@b.c>, <two@b.c>", tree = "text/plain", text = "body\n",
    defects = "a field that may stand once is repeated@30",
  },
  ["signed"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/signed(text/plain, application/pgp-signature)",
    text = "signed ü text\n", files = "signature.asc|application/pgp-signature|29",
  },
  ["space-before-the-colon"] = {
    subject = "s", from = "<a@b.c>", tree = "text/plain", text = "body\n",
  },
  ["text-as-an-attachment"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "notes\n",
    files = "notes.txt|text/plain|7",
  },
  ["text-part-with-a-name"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, text/plain)", text = "body",
    files = "log.txt|text/plain|3",
  },
  ["text-twice-with-a-footer"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, text/plain)",
    text = "the text\n_______\nlist footer",
  },
  ["transfer-8bit-misspelled"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
    defects = "an unknown Content-Transfer-Encoding@122",
  },
  ["transfer-in-odd-case"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "hello",
  },
  ["transfer-in-quotes"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "hello",
  },
  ["transfer-unknown"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
    defects = "an unknown Content-Transfer-Encoding@107",
  },
  ["transfer-with-a-comment"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "hello",
  },
  ["type-empty"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "body\n", defects = "no media type@68",
  },
  ["type-twice"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "<p>x</p>\n",
    defects = "a second Content-Type@94",
  },
  ["type-unknown-and-bare"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "body\n", defects = "no media type@68",
  },
  ["type-with-a-trailing-semicolon"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
  },
  ["type-with-comments"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
  },
  ["type-with-spaces-around-the-slash"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
  },
  ["type-without-a-semicolon"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
    defects = "a semicolon is missing@80",
  },
  ["type-without-a-subtype"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "Grüße\n",
    defects = "no media type@68",
  },
  ["uuencode-as-transfer"] = {
    subject = "s", from = "<ann@example.org>", tree = "text/plain", text = "hello",
  },
  ["winmail-dat-cut"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/ms-tnef)",
    text = "see winmail", files = "LONGNA~1.TXT|text/plain|10",
    defects = "a winmail.dat that breaks off@217",
  },
  ["winmail-dat-alone-with-a-message"] = {
    subject = "s", from = "<ann@example.org>", tree = "application/ms-tnef",
    text = "hello html\n", html = "<p>hello <b>html</b></p>", files = "a.txt|text/plain|5 A message|application/ms-tnef|390",
  },
  ["winmail-dat"] = {
    subject = "s", from = "<ann@example.org>", tree = "multipart/mixed(text/plain, application/ms-tnef)",
    text = "see winmail", files = "long näme.txt|text/x-log|10",
  },
  ["word-and-raw-octets"] = {
    subject = "ü ü", from = "<a@b.c>", tree = "text/plain", text = "body\n",
    defects = "octets in a header field that are not UTF-8@42",
  },
  ["word-b-utf-8"] = {
    subject = "Grüße", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-empty"] = {
    subject = "a  b", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-in-a-comment"] = {
    from = "Jürgen <j@x.org>", tree = "text/plain", text = "body\n",
  },
  ["word-in-an-address"] = {
    from = "<=?utf-8?Q?a=40b.c?=@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-in-an-unknown-charset"] = {
    subject = "aüb", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
    defects = "an encoded word in a charset that is not known@33",
  },
  ["word-in-big5"] = {
    subject = "你妃", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-in-ks-c-5601"] = {
    subject = "안녕", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-in-quotes-in-a-name"] = {
    from = "Jürgen <j@x.org>", tree = "text/plain", text = "body\n",
    defects = "an encoded word in quotes@8",
  },
  ["word-in-shift-jis"] = {
    subject = "こんにちは", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-in-utf-7"] = {
    subject = "é", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-inside-a-word"] = {
    subject = "preüpost", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-iso-8859-1"] = {
    subject = "André", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-latin-1-that-is-windows-1252"] = {
    subject = "“quoted” € 5", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-of-an-unknown-encoding"] = {
    subject = "=?utf-8?X?abc?=", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
    defects = "an encoded word that is not whole@33",
  },
  ["word-q-utf-8"] = {
    subject = "Grüße aus Köln", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-that-is-not-closed"] = {
    subject = "=?utf-8?Q?=C3=BC open", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
    defects = "an encoded word that is not whole@33",
  },
  ["word-with-a-language"] = {
    subject = "ü", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-with-a-line-end-in-it"] = {
    subject = "a  X-Evil: 1", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
    defects = "a line end or NUL in an encoded word@33",
  },
  ["word-with-a-question-mark"] = {
    subject = "who?me", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-with-bad-base64"] = {
    subject = "Grüße", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-with-bad-hex"] = {
    subject = "a=ZZb=4", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-with-spaces-inside"] = {
    subject = "one two ü", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["word-without-a-charset"] = {
    subject = "=??Q?abc?= def", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["words-adjacent-over-a-fold"] = {
    subject = "one two", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["words-adjacent"] = {
    subject = "onetwo", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["words-in-gb2312-that-are-gbk"] = {
    subject = "商镕", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["words-in-iso-2022-jp"] = {
    subject = "こんにちは", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["words-of-two-charsets"] = {
    subject = "üü plain а", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["words-that-split-a-character-in-q"] = {
    subject = "café", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
  ["words-that-split-a-character"] = {
    subject = "üü", from = "<ann@example.org>", tree = "text/plain", text = "body\n",
  },
}
