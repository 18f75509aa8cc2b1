/*
** fold.c: header fields as they are written: unstructured text and structured text.
**
** Unstructured text is cut at its single spaces. Pieces that no reader would give back as they stand
** (8-bit text, what looks like an encoded word, odd white space, words too long for a line) become
** encoded words, together with their like beside them, for the space between two encoded words counts
** for nothing; all others are written as they are.
*/
#include "mime/fold.h"

#include <string.h>

#include "base/chars.h"
#include "base/text.h"
#include "mime/charset.h"
#include "mime/word2047.h"

enum {
  LINE = 78,  /* RFC 5322 §2.1.1 */
  CODED = 76, /* a line with an encoded word, RFC 2047 §2 */
  WORD = 75,  /* an encoded word */
  FRAME = 12, /* =?UTF-8?Q? and ?= */
  LEAST = 36, /* an encoded word shorter than this is not worth beginning */
  WHOLE = 900 /* a piece up to this stays in one line, which may hold 998 */
};

/* --- what is refused ---------------------------------------------------------------------------- */

const char *lm_fold_refusal(struct lm_str name, struct lm_str value) {
  size_t i;
  if (name.n == 0 || name.n > 76) return "no name of a header field";
  for (i = 0; i < name.n; i++) {
    if (!lm_is(name.p[i], LM_PRINT) || name.p[i] == ':') return "no name of a header field";
  }
  if (lm_str_breaks_line(value)) return "CR, LF or NUL in a header field";
  if (!lm_utf8_valid(value)) return "a header field that is not UTF-8";
  return NULL;
}

/* --- lines -------------------------------------------------------------------------------------- */

bool lm_fold_put(struct lm_fold *f, struct lm_str s) {
  f->column += s.n;
  return lm_buf_puts(f->out, s);
}

static bool fold(struct lm_fold *f) {
  f->column = 1;
  return lm_buf_puts(f->out, LM_STR("\r\n "));
}

bool lm_fold_space(struct lm_fold *f, size_t width, size_t limit) {
  if (f->column + 1 + width > limit && f->column > 1) return fold(f);
  return lm_fold_put(f, LM_STR(" "));
}

bool lm_fold_begin(struct lm_fold *f, struct lm_buf *out, struct lm_str name, bool utf8) {
  f->out = out;
  f->column = 0;
  f->utf8 = utf8;
  return lm_fold_put(f, name) && lm_fold_put(f, LM_STR(":"));
}

bool lm_fold_end(struct lm_fold *f) {
  return lm_buf_puts(f->out, LM_STR("\r\n"));
}

/* --- encoded words ------------------------------------------------------------------------------ */

static size_t q_cost(char c) {
  char code[3];
  return lm_word2047_q(c, code);
}

/* Q can be read without a decoder: it may be longer than B by half. */
static bool is_q_better(struct lm_str s) {
  size_t q = 0, i;
  for (i = 0; i < s.n; i++) q += q_cost(s.p[i]);
  return q <= (s.n + 2) / 3 * 6;
}

/* The end of the character that begins at `i`. */
static size_t next_character(struct lm_str s, size_t i) {
  size_t next = i + 1;
  while (next < s.n && (s.p[next] & 0xC0) == 0x80) next++;
  return next;
}

/* How much of `s` fits into one word of `room` characters: whole characters, at least one. */
static size_t fitting(struct lm_str s, bool q, size_t room) {
  size_t n = 0, used = 0;
  while (n < s.n) {
    size_t next = next_character(s, n), i;
    if (q) {
      for (i = n; i < next; i++) used += q_cost(s.p[i]);
    } else {
      used = (next + 2) / 3 * 4;
    }
    if (n && used > room) break;
    n = next;
  }
  return n;
}

static bool put_q(struct lm_fold *f, struct lm_str s) {
  char code[3];
  size_t i;
  for (i = 0; i < s.n; i++) {
    size_t n = lm_word2047_q(s.p[i], code);
    if (!lm_fold_put(f, (struct lm_str){code, n})) return false;
  }
  return true;
}

static bool put_b(struct lm_fold *f, struct lm_str s) {
  f->column += (s.n + 2) / 3 * 4;
  return lm_base64_encode(f->out, s);
}

static bool put_word(struct lm_fold *f, struct lm_str s, bool q) {
  return lm_fold_put(f, q ? LM_STR("=?UTF-8?Q?") : LM_STR("=?UTF-8?B?")) &&
         (q ? put_q(f, s) : put_b(f, s)) && lm_fold_put(f, LM_STR("?="));
}

static bool put_words(struct lm_fold *f, struct lm_str s) {
  bool q = is_q_better(s);
  while (s.n) {
    size_t room, n;
    if (!lm_fold_space(f, LEAST, CODED)) return false;
    room = CODED - f->column < WORD ? CODED - f->column : WORD;
    n = fitting(s, q, room - FRAME);
    if (!put_word(f, (struct lm_str){s.p, n}, q)) return false;
    s = (struct lm_str){s.p + n, s.n - n};
  }
  return true;
}

/* --- unstructured text -------------------------------------------------------------------------- */

/* The piece at the front of `s`: up to a single space, which has other text on both sides. */
static size_t piece(struct lm_str s) {
  size_t i;
  for (i = 1; i + 1 < s.n; i++) {
    if (s.p[i] == ' ' && !lm_is(s.p[i - 1], LM_SPACE) && !lm_is(s.p[i + 1], LM_SPACE)) return i;
  }
  return s.n;
}

static bool needs_words(const struct lm_fold *f, struct lm_str s) {
  size_t i;
  if (s.n > WHOLE || lm_is(s.p[0], LM_SPACE) || lm_is(s.p[s.n - 1], LM_SPACE)) return true;
  for (i = 0; i < s.n; i++) {
    char c = s.p[i];
    if (c == '=' && i + 1 < s.n && s.p[i + 1] == '?') return true;
    if (c & 0x80 ? !f->utf8 : !lm_is(c, LM_PRINT) && c != ' ') return true;
  }
  return false;
}

bool lm_fold_text(struct lm_fold *f, struct lm_str utf8) {
  struct lm_str words = {NULL, 0}; /* pieces that wait for their like */
  while (utf8.n) {
    struct lm_str part = {utf8.p, piece(utf8)};
    size_t behind = part.n < utf8.n ? part.n + 1 : part.n;
    if (needs_words(f, part)) {
      if (words.n == 0) words.p = part.p;
      words.n = (size_t)(part.p + part.n - words.p);
    } else {
      if (words.n && !put_words(f, words)) return false;
      words.n = 0;
      if (!lm_fold_space(f, part.n, LINE) || !lm_fold_put(f, part)) return false;
    }
    utf8 = (struct lm_str){utf8.p + behind, utf8.n - behind};
  }
  return words.n == 0 || put_words(f, words);
}

/* --- structured text ---------------------------------------------------------------------------- */

/* A token and what touches it: up to a space outside of quotes, or to a single one inside, where the
** token would not fit into a line. *quoted is carried from one token to the next. */
static size_t token(struct lm_str s, bool *quoted) {
  size_t i;
  for (i = 0; i < s.n; i++) {
    char c = s.p[i];
    if (c == '"') *quoted = !*quoted;
    if (c == '\\' && *quoted) {
      i++;
    } else if (c == ' ') {
      bool single = i && s.p[i - 1] != ' ' && i + 1 < s.n && s.p[i + 1] != ' ';
      if (!*quoted || (single && i >= LINE / 2)) return i;
    }
  }
  return s.n;
}

bool lm_fold_tokens(struct lm_fold *f, struct lm_str text) {
  bool quoted = false;
  while (text.n) {
    size_t n;
    while (text.n && text.p[0] == ' ') text = (struct lm_str){text.p + 1, text.n - 1};
    n = token(text, &quoted);
    if (n == 0) break;
    if (!lm_fold_space(f, n, LINE) || !lm_fold_put(f, (struct lm_str){text.p, n})) return false;
    text = (struct lm_str){text.p + n, text.n - n};
  }
  return true;
}
