/*
** scan.h: the words of IMAP over a cursor: atom, quoted, literal, nstring, number, flag, date.
**
** One function per rule of RFC 9051 §9, over a whole response that frame.h delivered. Text is
** returned in place; only a quoted string with escapes is copied, into the cursor's arena. What
** servers get wrong and we read all the same has its branch here, with the transcript's name.
*/
#ifndef LM_IMAP_SCAN_H
#define LM_IMAP_SCAN_H

#include <string.h>

#include "base/cursor.h"

#ifdef __SSE2__
#include <emmintrin.h>

/* A quoted string that ends within 16 bytes, plainly, before a space or a parenthesis: most do, and
** one comparison finds that. The cursor stands at the opening quote. False: not so simple, and
** nothing is taken. */
static inline bool lm_imap_short_quoted(struct lm_cursor *c, struct lm_str *out) {
  const char *from = c->p + 1;
  __m128i v;
  unsigned mask;
  if (c->end - from < 18) return false;
  v = _mm_loadu_si128((const __m128i *)(const void *)from);
  mask = (unsigned)_mm_movemask_epi8(
      _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
  if (mask == 0) return false;
  out->p = from;
  out->n = (size_t)__builtin_ctz(mask);
  from += out->n;
  if (*from != '"' || (from[1] != ')' && from[1] != ' ')) return false;
  c->p = from + 1;
  return true;
}
#else
static inline bool lm_imap_short_quoted(struct lm_cursor *c, struct lm_str *out) {
  (void)c, (void)out;
  return false;
}
#endif

/* SP; two or more pass for one (spec/wire/imap/quirk-two-spaces.wire). */
static inline bool lm_imap_sp(struct lm_cursor *c) {
  if (!lm_accept(c, ' ')) return lm_cursor_fail(c, LM_E_PROTOCOL, "space");
  while (lm_accept(c, ' ')) continue;
  return true;
}

/* The line end of a response, trailing spaces included. */
bool lm_imap_end(struct lm_cursor *c);

/* True where nothing but a line end is left; nothing is taken. */
bool lm_imap_at_end(const struct lm_cursor *c);

/* atom = 1*ATOM-CHAR */
bool lm_imap_atom(struct lm_cursor *c, struct lm_str *out);

/* string = quoted / literal; literal8 too (RFC 3516 §3). */
bool lm_imap_string(struct lm_cursor *c, struct lm_str *out);

/* nstring = string / nil; NIL leaves p NULL. */
bool lm_imap_nstring(struct lm_cursor *c, struct lm_str *out);

/* nstring in an envelope, where only strings, lists and NIL follow: so a quote that was not escaped
** is told from one that closes. */
bool lm_imap_envelope_string(struct lm_cursor *c, struct lm_str *out);

/* astring = 1*ASTRING-CHAR / string */
bool lm_imap_astring(struct lm_cursor *c, struct lm_str *out);

/* Takes NIL, in any case, where it is the whole word. */
bool lm_imap_nil(struct lm_cursor *c);

/* The same of a NIL as nearly all are: in upper case, before a space or a parenthesis. */
static inline bool lm_imap_plain_nil(struct lm_cursor *c) {
  const char *p = c->p;
  if (c->end - p < 4 || memcmp(p, "NIL", 3) != 0 || (p[3] != ' ' && p[3] != ')')) return false;
  c->p = p + 3;
  return true;
}

/* The value of digits, or of a number that a server wrote as a float, "1.86931e+06" (mail.ru:
** spec/wire/imap/quirk-mailru.wire); false where `s` is neither, or too big. *exact_out says which. */
bool lm_imap_to_size(struct lm_str s, uint64_t *n_out, bool *exact_out);

/* The head of a literal, "{n}" CRLF with or without "~": its size to *n_out. */
bool lm_imap_literal_head(struct lm_cursor *c, uint64_t *n_out);

/* flag = "\" atom / atom; "\*" too; any word that ends at a space or parenthesis, and a string. */
bool lm_imap_flag(struct lm_cursor *c, struct lm_str *out);

/* The run of bytes up to a space, a parenthesis, a quote, a control or the end; may be empty. */
struct lm_str lm_imap_word(struct lm_cursor *c);

/* date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE, as seconds
** since 1970. */
bool lm_imap_date_time(struct lm_cursor *c, int64_t *seconds_out);

/* A copy of `s` in ASCII upper or lower case, in the cursor's arena; false when memory is short. */
bool lm_imap_upper(struct lm_cursor *c, struct lm_str s, struct lm_str *out);
bool lm_imap_lower(struct lm_cursor *c, struct lm_str s, struct lm_str *out);

/* Goes back to `p` and forgets a failure of the grammar there. False where the failure was one of
** memory or a limit: those stand. */
bool lm_imap_back(struct lm_cursor *c, const char *p);

#endif
