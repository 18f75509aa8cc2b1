--- What can be wrong with a message: every `what` of `msg.defects`, and what was read instead.
--
-- `mail.message.DEFECTS` is this table. A defect is `{what=, offset=, field=, limit=}`: `offset` counts octets of
-- the whole text from 1 on, `field` names the header field that it is in, `limit` the limit that was passed.
-- Where two programs could read two things, what was chosen is what RFC 7103 advises, or else what hides least.
-- @module mail.message.defects
-- @usage for _, d in ipairs(msg.defects) do print(d.offset, d.what, mail.message.DEFECTS[d.what]) end

return {
  -- structure
  ["a boundary that a part around has, too"] = "delimiters are the innermost part's until that is closed",
  ["a boundary that is never closed"] = "the part ends where the one around it goes on, or with the message",
  ["a boundary that the header does not name"] = "the first line that looks like a delimiter is one",
  ["a delimiter behind the closing one"] = "it is text of the epilogue; programs that go on see further parts",
  ["a multipart without parts"] = "its body is kept as its preamble",
  ["an encoded multipart or message"] = "RFC 2045 §6.4 forbids it; what it holds is decoded and read all the same",
  ["limit passed: depth"] = "parts nested deeper are leaves",
  ["limit passed: parts"] = "what follows is text of the last multipart's epilogue",
  ["limit passed: header"] = "the header ends there: what follows is the body",
  ["limit passed: headers"] = "the header ends there: what follows is the body",
  ["limit passed: line"] = "the header ends before that field: what follows is the body",
  ["line ends are mixed"] = "CRLF, LF and CR all end a line here; not every program agrees",
  -- headers
  ["a line in the header that is no field"] = "it is passed over, since fields follow (RFC 7103 §7.5)",
  ["a NUL in a header field"] = "it is kept; programs that end text at a NUL see less",
  ["a field that may stand once is repeated"] = "the first counts; addresses are those of all (RFC 7103 §7.3.2)",
  ["a second Content-Transfer-Encoding"] = "the first counts",
  ["a second Content-Type"] = "the first counts",
  ["an mbox line before the header"] = "it is passed over",
  ["no empty line behind the header"] = "the header ends with the last line that can be a field's",
  ["octets in a header field that are not UTF-8"] = "they are read as windows-1252",
  ["no date"] = "msg.date is nil",
  ["no message id"] = "what stands there is taken for one, without white space; the id is nil where nothing does",
  -- encoded words
  ["a line end or NUL in an encoded word"] = "it becomes a space: no header field can be forged with it",
  ["an encoded word in a charset that is not known"] = "its charset is guessed: UTF-8, else windows-1252",
  ["an encoded word in quotes"] = "RFC 2047 §5 forbids it; names are decoded, addresses never",
  ["an encoded word that is not whole"] = "it stays as it stands",
  -- addresses
  ["a bracket that is not closed"] = "the address ends at the next comma, or with the field",
  ["a control character"] = "the address is kept as it stands; it cannot be sent to",
  ["a dot at the end of a domain"] = "it is kept; the address cannot be sent to",
  ["a dot before @"] = "it is kept, and the local part quoted",
  ["a dot without a word before it"] = "it is kept, and the local part quoted",
  ["a group that is not closed"] = "it ends with the field",
  ["a semicolon outside of a group"] = "it separates addresses as a comma does",
  ["an address without a domain"] = "it has a local part only",
  ["an unquoted @ in a name"] = "the text is a name, the address is what stands in brackets",
  ["no address"] = "it is left out, or has a name only",
  ["not UTF-8"] = "the address is read as windows-1252; it cannot be sent to",
  ["text behind an address"] = "it is left out; where it begins with @, all is a name without an address",
  ["text without an address"] = "it is passed over",
  ["too many addresses"] = "more than a million: the others are left out",
  ["two words in a local part"] = "the last counts; those before are a name",
  ["unquoted specials in a name"] = "they are part of the name",
  -- parameters of Content- fields
  ["a comment that is not closed"] = "it hides what follows",
  ["a line end or NUL in a parameter"] = "it becomes a space",
  ["a parameter is repeated"] = "the first counts",
  ["a quoted string that is not closed"] = "it ends with the field",
  ["a semicolon is missing"] = "the next parameter begins all the same",
  ["a value with spaces and without quotes"] = "a file name goes on to the semicolon, others to the space",
  ["limit passed: parameters"] = "the others are left out",
  ["no media type"] = "text/plain, or the usual subtype where only that is missing",
  ["no value before the parameters"] = "the value is empty",
  ["pieces of a parameter are missing"] = "those that are there are joined (RFC 2231 §3)",
  ["text that is no parameter"] = "it belongs to the file name before it, or is passed over",
  -- contents
  ["8-bit text without a charset"] = "it is read as UTF-8 where it is that, else as windows-1252",
  ["a charset that is not known"] = "the text is read as UTF-8 where it is that, else as windows-1252",
  ["a NUL in text"] = "it is kept",
  ["a winmail.dat that breaks off"] = "what is whole is unpacked",
  ["an unknown Content-Transfer-Encoding"] = "the content is taken as it stands",
  ["content that breaks its transfer encoding"] = "octets that are none of it are passed over",
  ["text that is not in its charset"] = "it is read as what it is, or with U+FFFD where it is nothing",
}
