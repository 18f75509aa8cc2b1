/*
** scan.c: the words of IMAP over a cursor.
*/
#include "imap/scan.h"

#include <string.h>

#include "imap/frame.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

bool lm_imap_at_end(const struct lm_cursor *c) {
  const char *p = c->p;
  while (p < c->end && *p == ' ') p++;
  if (p < c->end && *p == '\r') p++;
  return p == c->end || *p == '\n';
}

bool lm_imap_end(struct lm_cursor *c) {
  while (lm_accept(c, ' ')) continue; /* spec/wire/imap/quirk-trailing-space.wire */
  lm_accept(c, '\r');
  lm_accept(c, '\n');
  return lm_at_end(c) || lm_cursor_fail(c, LM_E_PROTOCOL, "end of line");
}

bool lm_imap_back(struct lm_cursor *c, const char *p) {
  if (c->code != LM_E_NONE && c->code != LM_E_PROTOCOL) return false;
  c->code = LM_E_NONE;
  c->p = p;
  return true;
}

bool lm_imap_atom(struct lm_cursor *c, struct lm_str *out) {
  *out = lm_span(c, LM_IMAP_ATOM);
  return out->n > 0 || lm_cursor_fail(c, LM_E_PROTOCOL, "atom");
}

/* --- quoted ---------------------------------------------------------------------------------- */

/* The first quote or backslash in [p, end), or `end`. */
static const char *quote_or_escape(const char *p, const char *end) {
#ifdef __SSE2__
  const __m128i quote = _mm_set1_epi8('"'), escape = _mm_set1_epi8('\\');
  for (; end - p >= 16; p += 16) {
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, escape));
    int mask = _mm_movemask_epi8(hit);
    if (mask != 0) return p + __builtin_ctz((unsigned)mask);
  }
#endif
  while (p < end && *p != '"' && *p != '\\') p++;
  return p;
}

/* What surrounds a quoted string. */
enum among { AMONG_WORDS, AMONG_STRINGS };

/* True where a string, a list or NIL begins: all that may stand in an envelope. */
static bool begins_string(const char *p, const char *end) {
  if (p == end || *p == '"' || *p == '(' || *p == ')' || *p == '{' || *p == ' ') return true;
  return end - p >= 3 && (p[0] | 32) == 'n' && (p[1] | 32) == 'i' && (p[2] | 32) == 'l';
}

/* What may follow a closing quote. A quote before anything else is text that the server forgot to
** escape: spec/wire/imap/quirk-raw-quotes.wire */
static bool closes(const char *p, const char *end, enum among among) {
  if (p == end) return true;
  if (*p == ' ') return among == AMONG_WORDS || begins_string(p + 1, end);
  return *p == ')' || *p == '(' || *p == ']' || *p == '\r' || *p == '\n';
}

static bool is_escape(const char *p, const char *end) {
  return *p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\');
}

static struct lm_str unescape(struct lm_cursor *c, const char *p, const char *end) {
  char *to = lm_arena_alloc(c->arena, (size_t)(end - p) + 1), *q = to;
  if (to == NULL) return LM_NOSTR;
  while (p < end) {
    if (is_escape(p, end)) p++; /* a backslash before anything else stands for itself */
    *q++ = *p++;
  }
  return (struct lm_str){to, (size_t)(q - to)};
}

/* quoted = DQUOTE *QUOTED-CHAR DQUOTE; bytes of any kind but CR and LF pass. */
static bool any_quoted(struct lm_cursor *c, enum among among, struct lm_str *out) {
  const char *from = c->p + 1, *q = from;
  bool plain = true;
  for (;;) {
    q = quote_or_escape(q, c->end);
    if (q == c->end) return lm_cursor_fail(c, LM_E_PROTOCOL, "closing quote");
    if (*q == '"' && closes(q + 1, c->end, among)) break;
    if (is_escape(q, c->end)) plain = false, q++;
    q++;
  }
  c->p = q + 1;
  *out = (struct lm_str){from, (size_t)(q - from)};
  if (plain) return true;
  *out = unescape(c, from, q);
  return out->p || lm_cursor_fail(c, LM_E_MEMORY, "room for a string");
}

static inline bool quoted(struct lm_cursor *c, enum among among, struct lm_str *out) {
  const char *from = c->p;
  if (lm_imap_short_quoted(c, out)) {
    if (among == AMONG_WORDS || closes(c->p, c->end, among)) return true;
    c->p = from;
  }
  return any_quoted(c, among, out);
}

/* --- literals and strings --------------------------------------------------------------------- */

bool lm_imap_literal_head(struct lm_cursor *c, uint64_t *n_out) {
  size_t len = 0;
  lm_accept(c, '~');
  if (!lm_imap_announced(lm_rest(c), n_out, &len)) {
    return lm_cursor_fail(c, LM_E_PROTOCOL, "literal");
  }
  c->p += len;
  return true;
}

/* literal = "{" number64 "}" CRLF *CHAR8 */
static bool literal(struct lm_cursor *c, struct lm_str *out) {
  uint64_t n = 0;
  if (!lm_imap_literal_head(c, &n)) return false;
  if (n > (uint64_t)(c->end - c->p)) return lm_cursor_fail(c, LM_E_PROTOCOL, "octets of a literal");
  *out = (struct lm_str){c->p, (size_t)n};
  c->p += n;
  return true;
}

bool lm_imap_string(struct lm_cursor *c, struct lm_str *out) {
  int ch = lm_peek(c);
  if (ch == '"') return quoted(c, AMONG_WORDS, out);
  if (ch == '{' || ch == '~') return literal(c, out);
  return lm_cursor_fail(c, LM_E_PROTOCOL, "string");
}

bool lm_imap_nil(struct lm_cursor *c) {
  const char *p = c->p;
  if (p == c->end || (*p | 32) != 'n' || c->end - p < 3 || (p[1] | 32) != 'i' || (p[2] | 32) != 'l')
    return false;
  if (c->end - p > 3 && lm_is(p[3], LM_IMAP_ASTR)) return false;
  c->p += 3;
  return true;
}

bool lm_imap_nstring(struct lm_cursor *c, struct lm_str *out) {
  if (lm_peek(c) == '"') return quoted(c, AMONG_WORDS, out);
  *out = LM_NOSTR;
  return lm_imap_nil(c) || lm_imap_string(c, out);
}

bool lm_imap_envelope_string(struct lm_cursor *c, struct lm_str *out) {
  if (lm_peek(c) == '"') return quoted(c, AMONG_STRINGS, out);
  *out = LM_NOSTR;
  if (lm_imap_plain_nil(c)) return true;
  return lm_imap_nstring(c, out);
}

bool lm_imap_astring(struct lm_cursor *c, struct lm_str *out) {
  *out = lm_span(c, LM_IMAP_ASTR);
  if (out->n > 0) return true;
  return lm_imap_string(c, out);
}

/* --- words of uncertain shape ----------------------------------------------------------------- */

static bool in_word(char ch) {
  return (unsigned char)ch > ' ' && ch != '(' && ch != ')' && ch != '"' && ch != 127;
}

struct lm_str lm_imap_word(struct lm_cursor *c) {
  const char *from = c->p;
  while (c->p < c->end && in_word(*c->p)) c->p++;
  return (struct lm_str){from, (size_t)(c->p - from)};
}

bool lm_imap_flag(struct lm_cursor *c, struct lm_str *out) {
  if (lm_peek(c) == '"' || lm_peek(c) == '{') return lm_imap_string(c, out);
  *out = lm_imap_word(c);
  return out->n > 0 || lm_cursor_fail(c, LM_E_PROTOCOL, "flag");
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* Takes digits into *n, counting them; false where they do not fit. */
static bool more_digits(struct lm_cursor *c, uint64_t *n, int *count_out) {
  const char *from = c->p;
  for (; c->p < c->end && lm_is(*c->p, LM_DIGIT); c->p++) {
    if (*n > (uint64_t)INT64_MAX / 10 - 1) return false;
    *n = *n * 10 + (uint64_t)(*c->p - '0');
  }
  *count_out = (int)(c->p - from);
  return true;
}

/* 1*DIGIT ["." *DIGIT] ["e" ["+"] 1*DIGIT] */
bool lm_imap_to_size(struct lm_str s, uint64_t *n_out, bool *exact_out) {
  struct lm_cursor c = lm_cursor(s);
  uint64_t n = 0, exponent = 0;
  int whole = 0, fraction = 0, digits = 0;
  if (!more_digits(&c, &n, &whole) || whole == 0) return false;
  *exact_out = lm_at_end(&c);
  if (lm_accept(&c, '.') && !more_digits(&c, &n, &fraction)) return false;
  if (lm_accept(&c, 'e') || lm_accept(&c, 'E')) {
    lm_accept(&c, '+');
    if (!more_digits(&c, &exponent, &digits) || digits == 0 || exponent > 18) return false;
  }
  if (!lm_at_end(&c)) return false;
  for (; fraction > (int)exponent; fraction--) n /= 10;
  for (; fraction < (int)exponent; fraction++) {
    if (n > (uint64_t)INT64_MAX / 10) return false;
    n *= 10;
  }
  *n_out = n;
  return true;
}

/* --- case ------------------------------------------------------------------------------------- */

static bool recase(struct lm_cursor *c, struct lm_str s, struct lm_str *out, char (*to)(char)) {
  char *p = lm_arena_alloc(c->arena, s.n + 1);
  size_t i;
  if (p == NULL) return lm_cursor_fail(c, LM_E_MEMORY, "room for a name");
  for (i = 0; i < s.n; i++) p[i] = to(s.p[i]);
  *out = (struct lm_str){p, s.n};
  return true;
}

bool lm_imap_upper(struct lm_cursor *c, struct lm_str s, struct lm_str *out) {
  size_t i;
  for (i = 0; i < s.n && lm_upper(s.p[i]) == s.p[i]; i++) continue;
  *out = s;
  return i == s.n || recase(c, s, out, lm_upper);
}

bool lm_imap_lower(struct lm_cursor *c, struct lm_str s, struct lm_str *out) {
  size_t i;
  for (i = 0; i < s.n && lm_lower(s.p[i]) == s.p[i]; i++) continue;
  *out = s;
  return i == s.n || recase(c, s, out, lm_lower);
}

/* --- date-time -------------------------------------------------------------------------------- */

/* Days from 1970-01-01 in the proleptic Gregorian calendar; the year begins in March so that the
** leap day is its last. */
static int64_t days(int64_t year, int month, int day) {
  int64_t y = month <= 2 ? year - 1 : year;
  int64_t era = y / 400, of_era = y - era * 400;
  int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* `n` digits at `p`, or -1. A space may stand for the first digit of the day. */
static int fixed(const char *p, int n) {
  int v = 0, i;
  for (i = 0; i < n; i++) {
    if (!lm_is(p[i], LM_DIGIT)) return -1;
    v = v * 10 + (p[i] - '0');
  }
  return v;
}

static int month_of(const char *p) {
  static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
  int i;
  for (i = 0; i < 12; i++) {
    const char *m = names + i * 3;
    if (lm_lower(p[0]) == m[0] && lm_lower(p[1]) == m[1] && lm_lower(p[2]) == m[2]) return i + 1;
  }
  return 0;
}

enum { DATE_TIME_LEN = 26 }; /* dd-Mon-yyyy hh:mm:ss +zzzz */

static bool date_time(const char *p, int64_t *out) {
  int day = p[0] == ' ' ? fixed(p + 1, 1) : fixed(p, 2), month = month_of(p + 3);
  int year = fixed(p + 7, 4), h = fixed(p + 12, 2), m = fixed(p + 15, 2), s = fixed(p + 18, 2);
  int zh = fixed(p + 22, 2), zm = fixed(p + 24, 2);
  int64_t zone;
  if (p[2] != '-' || p[6] != '-' || p[11] != ' ' || p[14] != ':' || p[17] != ':' || p[20] != ' ') {
    return false;
  }
  if (day < 1 || day > 31 || month == 0 || year < 1 || h < 0 || h > 23 || m < 0 || m > 59) {
    return false;
  }
  if (s < 0 || s > 60 || zh < 0 || zm < 0 || zm > 59 || (p[21] != '+' && p[21] != '-'))
    return false;
  zone = (zh * 60 + zm) * 60;
  *out = days(year, month, day) * 86400 + h * 3600 + m * 60 + s + (p[21] == '-' ? zone : -zone);
  return true;
}

bool lm_imap_date_time(struct lm_cursor *c, int64_t *seconds_out) {
  const char *from = c->p;
  struct lm_str s;
  if (!lm_imap_string(c, &s)) return false;
  if (s.n == DATE_TIME_LEN && date_time(s.p, seconds_out)) return true;
  c->p = from;
  return lm_cursor_fail(c, LM_E_PROTOCOL, "date-time");
}
