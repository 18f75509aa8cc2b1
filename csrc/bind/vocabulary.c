/*
** vocabulary.c: words of flags and body structures (RFC 9051 §2.3.2, §7.5.2; RFC 2045, RFC 2183).
**
** One row for each length, so that a word is compared with few others. As many octets are compared as the
** row says: a word in a row that is not its own is only never found.
*/
#include "bind/vocabulary.h"

#include <string.h>

static const char words[LM_VOCABULARY_LONGEST][LM_VOCABULARY_ROW][LM_VOCABULARY_LONGEST + 1] = {
    {"1", "2", "3", "4", "5", "6", "7", "8"},
    {""},
    {"1.1", "1.2", "1.3", "2.1", "2.2", "1.4", "3.1", "3.2"},
    {"7bit", "8bit", "name", "size", "type", "TEXT", "Junk"},
    {"utf-8", "UTF-8", "\\Seen", "1.1.1", "1.1.2", "1.2.1", "delsp", "$Junk"},
    {"base64", "inline", "format", "flowed", "\\Draft", "binary", "micalg", "method"},
    {"charset", "\\Recent", "NonJunk"},
    {"filename", "boundary", "us-ascii", "US-ASCII", "\\Flagged", "\\Deleted", "$NotJunk",
     "protocol"},
    {"text/html", "\\Answered", "image/png", "image/gif"},
    {"text/plain", "attachment", "iso-8859-1", "ISO-8859-1", "image/jpeg", "$Forwarded",
     "iso-8859-2", "ISO-8859-2"},
    {"iso-8859-15", "ISO-8859-15", "report-type"},
    {"windows-1252", "Windows-1252", "windows-1251", "Windows-1251", "windows-1250",
     "Windows-1250"},
    {"text/calendar", "creation-date"},
    {"message/rfc822"},
    {"multipart/mixed", "application/pdf", "application/zip"},
    {"quoted-printable", "multipart/signed", "multipart/report"},
    {"multipart/related", "modification-date"},
    {"application/msword"},
    {""},
    {""},
    {"multipart/alternative"},
    {""},
    {"message/delivery-status"},
    {"application/octet-stream"},
    {"application/pgp-signature"},
};

int lm_vocabulary_find(struct lm_str s) {
  size_t last = s.n - 1;
  int i;
  if (last >= LM_VOCABULARY_LONGEST) return 0; /* no octets at all, too */
  for (i = 0; i < LM_VOCABULARY_ROW && words[last][i][0]; i++) {
    if (words[last][i][last] == s.p[last] && memcmp(words[last][i], s.p, s.n) == 0) {
      return (int)last * LM_VOCABULARY_ROW + i + 1;
    }
  }
  return 0;
}

struct lm_str lm_vocabulary_word(int place) {
  int row = (place - 1) / LM_VOCABULARY_ROW;
  const char *word = words[row][(place - 1) % LM_VOCABULARY_ROW];
  return (struct lm_str){word, *word ? (size_t)row + 1 : 0};
}
