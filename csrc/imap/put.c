/*
** put.c: how a text is written so that it arrives as it was.
*/
#include "imap/put.h"

#include "base/chars.h"
#include "base/text.h"

enum { QUOTED_MAX = 1000, MINUS_MAX = 4096 };

enum lm_put_form lm_put_string_form(struct lm_str s, bool utf8) {
  size_t i;
  if (s.n > QUOTED_MAX) return LM_PUT_LITERAL; /* servers limit the length of a line */
  for (i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (c == '\r' || c == '\n' || c == 0 || (c >= 0x80 && !utf8)) return LM_PUT_LITERAL;
  }
  return LM_PUT_QUOTED;
}

enum lm_put_form lm_put_astring_form(struct lm_str s, bool utf8) {
  size_t i;
  for (i = 0; i < s.n && lm_is(s.p[i], LM_IMAP_ASTR); i++) continue;
  if (i < s.n || s.n == 0 || LM_IS(s, "NIL")) return lm_put_string_form(s, utf8);
  return s.n > QUOTED_MAX ? LM_PUT_LITERAL : LM_PUT_ATOM;
}

bool lm_put_quoted(struct lm_buf *b, struct lm_str s) {
  char *p = lm_buf_room(b, s.n * 2 + 2), *q = p;
  size_t i;
  if (p == NULL) return false;
  *q++ = '"';
  for (i = 0; i < s.n; i++) {
    if (s.p[i] == '"' || s.p[i] == '\\') *q++ = '\\';
    *q++ = s.p[i];
  }
  *q++ = '"';
  lm_buf_added(b, (size_t)(q - p));
  return true;
}

bool lm_put_needs_no_wait(enum lm_put_nonsync allowed, uint64_t n) {
  return allowed == LM_PUT_PLUS || (allowed == LM_PUT_MINUS && n <= MINUS_MAX);
}

bool lm_put_literal_head(struct lm_buf *b, uint64_t n, bool binary, bool wait) {
  return (!binary || lm_buf_putc(b, '~')) && lm_buf_putc(b, '{') && lm_buf_put_u64(b, n) &&
         lm_buf_puts(b, wait ? LM_STR("}\r\n") : LM_STR("+}\r\n"));
}

/* --- date-time ----------------------------------------------------------------------------------- */

struct civil {
  int64_t year;
  int month, day;
};

/* The inverse of days() in scan.c. */
static struct civil civil_of(int64_t days) {
  int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
  int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * year + year / 4 - year / 100), m = (5 * of_year + 2) / 153;
  struct civil c;
  c.day = (int)(of_year - (153 * m + 2) / 5 + 1);
  c.month = (int)(m < 10 ? m + 3 : m - 9);
  c.year = year + era * 400 + (c.month <= 2);
  return c;
}

static char *two(char *p, int64_t n) {
  *p++ = (char)('0' + n / 10 % 10);
  *p++ = (char)('0' + n % 10);
  return p;
}

bool lm_put_date_time(struct lm_buf *b, int64_t seconds) {
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  int64_t day = seconds / 86400 - (seconds % 86400 < 0), rest = seconds - day * 86400;
  struct civil c = civil_of(day);
  char text[28], *p = text;
  int i;
  if (c.year < 1 || c.year > 9999) return false;
  *p++ = '"';
  p = two(p, c.day);
  *p++ = '-';
  for (i = 0; i < 3; i++) *p++ = months[(c.month - 1) * 3 + i];
  *p++ = '-';
  p = two(two(p, c.year / 100), c.year % 100);
  *p++ = ' ';
  p = two(p, rest / 3600);
  *p++ = ':';
  p = two(p, rest / 60 % 60);
  *p++ = ':';
  two(p, rest % 60);
  return lm_buf_put(b, text, sizeof text - 7) && lm_buf_puts(b, LM_STR(" +0000\""));
}
