/*
** utf8.h: UTF-8 (RFC 3629), and ASCII in it.
*/
#ifndef LM_MIME_UTF8_H
#define LM_MIME_UTF8_H

#include "base/arena.h"

/* U+FFFD, three octets. */
#define LM_UTF8_REPLACEMENT "\xEF\xBF\xBD"

/* True where `s` is well-formed UTF-8 (RFC 3629 §4): no surrogates, no overlong forms. */
bool lm_utf8_valid(struct lm_str s);

/* How many bytes at the front of `s` are well-formed UTF-8. */
size_t lm_utf8_span(struct lm_str s);

/* How many bytes at the front of `s` are ASCII. */
size_t lm_ascii_span(struct lm_str s);

enum { LM_ASCII_SLACK = 32 }; /* octets that lm_ascii_copy may write behind what it copies */

/* Copies ASCII to *out, which moves on; returns where it ends. */
const char *lm_ascii_copy(const char *p, const char *end, char **out);

/* Writes a character below 0x10000 (no surrogate), at most three octets; returns where it ends. */
static inline char *lm_utf8_put(char *o, unsigned c) {
  if (c < 0x80) {
    *o++ = (char)c;
  } else if (c < 0x800) {
    *o++ = (char)(0xC0 | c >> 6);
    *o++ = (char)(0x80 | (c & 0x3F));
  } else {
    *o++ = (char)(0xE0 | c >> 12);
    *o++ = (char)(0x80 | (c >> 6 & 0x3F));
    *o++ = (char)(0x80 | (c & 0x3F));
  }
  return o;
}

/* `s` itself where it is well formed; else a copy in the arena in which each longest beginning of a character
** that breaks off is one U+FFFD (Unicode §3.9). False when memory is short. */
bool lm_utf8_repair(struct lm_arena *a, struct lm_str s, struct lm_str *utf8_out);

#endif
