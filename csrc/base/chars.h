/*
** chars.h: one 256-entry table of character classes for all grammars.
**
** A class is a bit; a byte may be in several. The table is the only place where a grammar's
** character sets stand.
*/
#ifndef LM_BASE_CHARS_H
#define LM_BASE_CHARS_H

#include "base/lm.h"

enum lm_class {
  LM_DIGIT = 1 << 0,      /* 0-9 */
  LM_ALPHA = 1 << 1,      /* A-Z a-z */
  LM_IMAP_ATOM = 1 << 2,  /* ATOM-CHAR, RFC 9051 §9: CHAR except atom-specials */
  LM_IMAP_ASTR = 1 << 3,  /* ASTRING-CHAR: ATOM-CHAR / "]" */
  LM_IMAP_TAG = 1 << 4,   /* ASTRING-CHAR except "+" */
  LM_MIME_ATEXT = 1 << 5, /* atext, RFC 5322 §3.2.3 */
  LM_MIME_TOKEN = 1 << 6, /* token, RFC 2045 §5.1 */
  LM_HEX = 1 << 7,        /* 0-9 A-F a-f */
  LM_PRINT = 1 << 8,      /* 33..126: VCHAR, RFC 5234 */
  LM_SPACE = 1 << 9,      /* space and tab */
  LM_B64 = 1 << 10        /* A-Z a-z 0-9 + / */
};

extern const uint16_t lm_chars[256];

static inline bool lm_is(char c, unsigned cls) {
  return (lm_chars[(unsigned char)c] & cls) != 0;
}

/* ASCII only, whatever the locale says. */
static inline char lm_lower(char c) {
  return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}
static inline char lm_upper(char c) {
  return (char)(c >= 'a' && c <= 'z' ? c - 32 : c);
}

/* Equal byte by byte. */
bool lm_str_eq(struct lm_str a, struct lm_str b);

/* Begins with `prefix`, without regard to ASCII case. */
bool lm_str_istarts(struct lm_str s, struct lm_str prefix);

/* Equal without regard to ASCII case; most that are not differ in length. */
static inline bool lm_str_ieq(struct lm_str a, struct lm_str b) {
  return a.n == b.n && lm_str_istarts(a, b);
}

/* The same against a literal: LM_IS(key, "UIDNEXT"). */
#define LM_IS(s, literal) lm_str_ieq((s), LM_STR(literal))

/* True where a byte could break a command line in two, or hide its end: CR, LF or NUL. */
bool lm_str_breaks_line(struct lm_str s);

/* True where every byte is 7-bit. */
bool lm_str_is_ascii(struct lm_str s);

#endif
