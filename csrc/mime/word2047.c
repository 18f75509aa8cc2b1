/*
** word2047.c: encoded words in header text.
**
** Words in a row with one charset are collected as bytes and converted once, since mailers cut
** words in the middle of a character. A word ends at the first "?=", and a "?" that begins another
** word ends the search: so a failed attempt has looked only at bytes that no later attempt looks
** at, and hostile text costs linear time.
*/
#include "mime/word2047.h"

#include <string.h>

#include "base/buf.h"
#include "base/chars.h"
#include "base/text.h"
#include "mime/charset.h"
#include "mime/scan.h"

/* FRAME: what stands around the text of a word in UTF-8. */
enum { CHARSET_MAX = 60, WORD_MAX = 75, FRAME = 12, CHARSETS_KNOWN = 64 };

struct word {
  struct lm_str charset;
  struct lm_str text;
  char encoding; /* 'b' or 'q' */
};

struct decoder {
  struct lm_arena *arena;
  struct lm_str first;   /* what begins the text; most often it is all: p is NULL before that */
  struct lm_buf out;     /* the whole, where there is more */
  char *bytes;           /* of all words: room for as many as the text has; NULL before the first */
  size_t row, end;       /* those of the words in a row that share `charset` */
  struct lm_str charset; /* p is NULL outside a row */
  struct lm_converters *kept;
};

/* --- one word -------------------------------------------------------------------------------- */

/* charset = token of RFC 2047 §2, "*" and a language (RFC 2231 §5) cut off. */
static const char *charset_end(const char *p, const char *end) {
  const char *from = p;
  while (p < end && p - from <= CHARSET_MAX && *p != '?' && lm_is(*p, LM_PRINT)) p++;
  return p < end && *p == '?' && p > from ? p : NULL;
}

static struct lm_str without_language(struct lm_str charset) {
  const char *star = memchr(charset.p, '*', charset.n);
  if (star) charset.n = (size_t)(star - charset.p);
  return charset;
}

/* The "?=" that ends the text of a word, or NULL. A "?" inside is forgiven unless it follows "=":
** there another word begins. */
static const char *text_end(const char *p, const char *end, bool spaces) {
  const char *from = p;
  for (; p < end && *p != '\r' && *p != '\n'; p++) {
    if (*p == '?') {
      if (p + 1 < end && p[1] == '=') return p;
      if (p > from && p[-1] == '=') return NULL;
    } else if (!spaces && lm_is(*p, LM_SPACE)) {
      return NULL;
    }
  }
  return NULL;
}

/*
** encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?="
** The byte behind the word at `p`, or NULL where none stands.
*/
static const char *take_word(const char *p, const char *end, bool spaces, struct word *w) {
  const char *q;
  if (end - p < 7 || p[0] != '=' || p[1] != '?') return NULL;
  if ((q = charset_end(p + 2, end)) == NULL || end - q < 5 || q[2] != '?') return NULL;
  w->charset = without_language((struct lm_str){p + 2, (size_t)(q - (p + 2))});
  w->encoding = lm_lower(q[1]);
  if (w->encoding != 'b' && w->encoding != 'q') return NULL;
  p = q + 3;
  if ((q = text_end(p, end, spaces)) == NULL) return NULL;
  w->text = (struct lm_str){p, (size_t)(q - p)};
  return q + 2;
}

size_t lm_word2047_span(struct lm_str s) {
  struct word w;
  const char *end = take_word(s.p, s.p + s.n, false, &w);
  return end ? (size_t)(end - s.p) : 0;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = lm_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Q (RFC 2047 §4.2); "=" before anything but two hex digits stands for itself. */
static char *q_decode(struct lm_str s, char *o) {
  size_t i;
  for (i = 0; i < s.n; i++) {
    int hi = s.p[i] == '=' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
    int lo = hi >= 0 ? hex_digit(s.p[i + 2]) : -1;
    if (lo >= 0) {
      *o++ = (char)(hi << 4 | lo);
      i += 2;
    } else {
      *o++ = (char)(s.p[i] == '_' ? ' ' : s.p[i]);
    }
  }
  return o;
}

static unsigned b64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return (unsigned)(c - 'A');
  if (c >= 'a' && c <= 'z') return (unsigned)(c - 'a') + 26;
  if (c >= '0' && c <= '9') return (unsigned)(c - '0') + 52;
  return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* B: foreign characters are passed over, padding may be missing or stand in the middle (words glued
** together by a gateway). */
static char *b_decode(struct lm_str s, char *o) {
  uint32_t bits = 0;
  unsigned n = 0;
  size_t i;
  for (i = 0; i < s.n; i++) {
    unsigned digit = b64_digit(s.p[i]);
    if (s.p[i] == '=') n = 0;
    if (digit > 63) continue;
    bits = bits << 6 | digit;
    n += 6;
    if (n >= 8) {
      n -= 8;
      *o++ = (char)(bits >> n & 0xFF);
    }
  }
  return o;
}

/* --- the whole text -------------------------------------------------------------------------- */

/* Adds what lives as long as the result. */
static bool add(struct decoder *d, struct lm_str utf8) {
  if (utf8.n == 0) return true;
  if (d->first.p == NULL) {
    d->first = utf8;
    return true;
  }
  if (lm_buf_len(&d->out) == 0 && !lm_buf_put(&d->out, d->first.p, d->first.n)) return false;
  return lm_buf_put(&d->out, utf8.p, utf8.n);
}

/* A line end inside a word would forge a header line where the text is used again: it becomes a space, as
** does NUL. */
static bool on_one_line(struct lm_arena *a, struct lm_str *utf8) {
  size_t i;
  char *p;
  if (!lm_str_breaks_line(*utf8)) return true;
  if ((p = lm_arena_alloc(a, utf8->n)) == NULL) return false;
  for (i = 0; i < utf8->n; i++) {
    char c = utf8->p[i];
    p[i] = (char)(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
  }
  utf8->p = p;
  return true;
}

/* Converts the words in a row. */
static bool end_row(struct decoder *d) {
  struct lm_str bytes, utf8;
  if (d->charset.p == NULL) return true;
  bytes = (struct lm_str){d->bytes + d->row, d->end - d->row};
  if (!lm_charset_convert(d->arena, d->kept, d->charset, bytes, &utf8)) return false;
  d->row = d->end;
  d->charset = LM_NOSTR;
  return on_one_line(d->arena, &utf8) && add(d, utf8);
}

static char *word_decode(const struct word *w, char *o) {
  return w->encoding == 'q' ? q_decode(w->text, o) : b_decode(w->text, o);
}

/* `text_n`: octets of the whole text, which no words in it can decode to more than. */
static bool put_word(struct decoder *d, const struct word *w, size_t text_n) {
  if (d->charset.p && !lm_str_ieq(d->charset, w->charset) && !end_row(d)) return false;
  if (d->bytes == NULL && (d->bytes = lm_arena_alloc(d->arena, text_n)) == NULL) return false;
  d->charset = w->charset;
  d->end = (size_t)(word_decode(w, d->bytes + d->end) - d->bytes);
  return true;
}

/* Undoes folds: a line end before white space vanishes, any other stands for a space. The result is no longer;
** returns its end. */
static char *unfold(struct lm_str s, char *o) {
  const char *p = s.p;
  const char *end = s.p + s.n;
  while (p < end) {
    const char *stop = lm_scan_line_end(p, end);
    memcpy(o, p, (size_t)(stop - p));
    o += stop - p;
    for (p = stop; p < end && (*p == '\r' || *p == '\n');) p++;
    if (p > stop && p < end && !lm_is(*p, LM_SPACE)) *o++ = ' ';
  }
  return o;
}

static bool unfolded(struct lm_arena *a, struct lm_str raw, struct lm_str *utf8_out) {
  char *out;
  *utf8_out = raw;
  if (lm_scan_line_end(raw.p, raw.p + raw.n) == raw.p + raw.n) return true;
  if ((out = lm_arena_alloc(a, raw.n)) == NULL) return false;
  *utf8_out = (struct lm_str){out, (size_t)(unfold(raw, out) - out)};
  return true;
}

/* Text between words, its charset guessed. */
static bool put_text(struct decoder *d, const char *p, const char *end) {
  struct lm_str utf8;
  if (p == end) return true;
  if (!end_row(d)) return false;
  if (!lm_charset_guess(d->arena, (struct lm_str){p, (size_t)(end - p)}, &utf8)) return false;
  return unfolded(d->arena, utf8, &utf8) && add(d, utf8);
}

static bool is_blank(const char *p, const char *end) {
  while (p < end && (lm_is(*p, LM_SPACE) || *p == '\r' || *p == '\n')) p++;
  return p == end;
}

static bool decode(struct decoder *d, struct lm_str raw) {
  const char *p = raw.p;
  const char *end = raw.p + raw.n;
  const char *text = p; /* not yet put */
  struct word w;
  while (p < end && (p = memchr(p, '=', (size_t)(end - p))) != NULL) {
    const char *behind = take_word(p, end, true, &w);
    if (behind == NULL) {
      p++;
      continue;
    }
    if (!(d->charset.p && is_blank(text, p)) && !put_text(d, text, p)) return false;
    if (!put_word(d, &w, raw.n)) return false;
    text = p = behind;
  }
  return put_text(d, text, end) && end_row(d);
}

/* True where no word can be in it, and no charset is to be guessed. */
static bool is_plain(struct lm_str s) {
  const char *p = s.p;
  const char *end = s.p + s.n;
  if (!lm_utf8_valid(s)) return false;
  while (p < end && (p = memchr(p, '=', (size_t)(end - p))) != NULL) {
    if (++p < end && *p == '?') return false;
  }
  return true;
}

bool lm_word2047_decode(struct lm_arena *a, struct lm_str raw, struct lm_str *utf8_out) {
  struct lm_converters kept; /* words that change charsets in turn would open one each */
  struct decoder d = {a, LM_NOSTR, {NULL, 0, 0, 0}, NULL, 0, 0, LM_NOSTR, &kept};
  bool ok;
  *utf8_out = raw;
  if (raw.n == 0) return true;
  if (is_plain(raw)) return unfolded(a, raw, utf8_out);
  memset(&kept, 0, sizeof kept);
  ok = decode(&d, raw);
  *utf8_out = d.first.p ? d.first : LM_STR("");
  if (ok && lm_buf_len(&d.out)) {
    *utf8_out = lm_arena_copy(a, lm_buf_str(&d.out));
    ok = utf8_out->p != NULL;
  }
  lm_converters_free(&kept);
  lm_buf_free(&d.out);
  return ok;
}

/* --- what is wrong --------------------------------------------------------------------------- */

/* True for what was to be a word: "=?" charset "?" encoding "?". */
static bool looks_like_word(const char *p, const char *end) {
  const char *q = end - p < 7 || p[1] != '?' ? NULL : charset_end(p + 2, end);
  return q && end - q >= 3 && q[2] == '?' && lm_is(q[1], LM_ALPHA);
}

/* Charsets that were looked for: asking the C library costs more than a word. */
struct known {
  struct lm_str charset[CHARSETS_KNOWN];
  unsigned next;
};

static bool is_known(struct known *k, struct lm_str charset) {
  unsigned i;
  for (i = 0; i < CHARSETS_KNOWN && k->charset[i].n; i++) {
    if (lm_str_ieq(k->charset[i], charset)) return true;
  }
  if (!lm_charset_known(charset)) return false;
  k->charset[k->next++ % CHARSETS_KNOWN] = charset;
  return true;
}

static const char *word_trouble(const struct word *w, struct known *known) {
  struct lm_buf bytes = {NULL, 0, 0, 0};
  const char *why = NULL;
  char *from;
  if (!is_known(known, w->charset)) return "an encoded word in a charset that is not known";
  if (w->text.n == 0) return NULL;
  if ((from = lm_buf_room(&bytes, w->text.n)) != NULL) {
    lm_buf_added(&bytes, (size_t)(word_decode(w, from) - from));
    if (lm_str_breaks_line(lm_buf_str(&bytes))) why = "a line end or NUL in an encoded word";
  }
  lm_buf_free(&bytes);
  return why;
}

const char *lm_word2047_trouble(struct lm_str raw, bool quotes, size_t *offset_out) {
  const char *p = raw.p;
  const char *end = raw.p + raw.n;
  const char *why = NULL;
  struct known known;
  bool quoted = false;
  struct word w = {LM_NOSTR, LM_NOSTR, 'q'};
  memset(&known, 0, sizeof known);
  for (; p < end && why == NULL; p++) {
    const char *behind;
    if (quotes && *p == '\\' && p + 1 < end) {
      p++;
      continue;
    }
    if (quotes && *p == '"') quoted = !quoted;
    if (*p != '=' || !looks_like_word(p, end)) continue;
    *offset_out = (size_t)(p - raw.p);
    behind = take_word(p, end, true, &w);
    why = behind == NULL ? "an encoded word that is not whole" : word_trouble(&w, &known);
    if (behind && why == NULL && quoted) why = "an encoded word in quotes";
    if (behind) p = behind - 1;
  }
  return why;
}

/* --- writing --------------------------------------------------------------------------------- */

/* What stands for itself in Q inside a phrase, the narrowest place (RFC 2047 §5 (3)). */
static bool is_q_plain(char c) {
  return lm_is(c, LM_ALPHA | LM_DIGIT) || c == '!' || c == '*' || c == '+' || c == '-' || c == '/';
}

size_t lm_word2047_q(char octet, char code[3]) {
  static const char hex[] = "0123456789ABCDEF";
  unsigned char c = (unsigned char)octet;
  code[0] = c == ' ' ? '_' : octet;
  if (c == ' ' || is_q_plain(octet)) return 1;
  code[0] = '=';
  code[1] = hex[c >> 4];
  code[2] = hex[c & 15];
  return 3;
}

static size_t q_length(struct lm_str s) {
  char code[3];
  size_t n = 0;
  size_t i;
  for (i = 0; i < s.n; i++) n += lm_word2047_q(s.p[i], code);
  return n;
}

static bool q_encode(struct lm_buf *out, struct lm_str s) {
  char code[3];
  size_t i;
  for (i = 0; i < s.n; i++) {
    if (!lm_buf_put(out, code, lm_word2047_q(s.p[i], code))) return false;
  }
  return true;
}

/* The longest beginning of `s` that fits into one word and ends with a whole character. */
static size_t piece(struct lm_str s, bool q) {
  size_t room = WORD_MAX - FRAME;
  size_t n = 0;
  size_t used = 0;
  while (n < s.n) {
    size_t next = n + 1;
    size_t cost;
    while (next < s.n && (s.p[next] & 0xC0) == 0x80 && next - n < 4) next++;
    cost = q ? used + q_length((struct lm_str){s.p + n, next - n}) : (next + 2) / 3 * 4;
    if (cost > room) break;
    used = cost;
    n = next;
  }
  return n;
}

bool lm_word2047_encode(struct lm_arena *a, struct lm_str utf8, struct lm_str *out) {
  struct lm_buf b = {NULL, 0, 0, 0};
  bool q = q_length(utf8) <= (utf8.n + 2) / 3 * 4;
  bool ok = true;
  while (ok && utf8.n > 0) {
    struct lm_str part = {utf8.p, piece(utf8, q)};
    ok = (lm_buf_len(&b) == 0 || lm_buf_putc(&b, ' ')) &&
         lm_buf_puts(&b, q ? LM_STR("=?UTF-8?Q?") : LM_STR("=?UTF-8?B?")) &&
         (q ? q_encode(&b, part) : lm_base64_encode(&b, part)) && lm_buf_puts(&b, LM_STR("?="));
    utf8.p += part.n;
    utf8.n -= part.n;
  }
  ok = ok && (*out = lm_arena_copy(a, lm_buf_str(&b))).p != NULL;
  lm_buf_free(&b);
  return ok;
}
