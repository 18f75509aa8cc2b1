/*
** flowed.c: format=flowed, read and written (RFC 3676 §4).
*/
#include "mime/flowed.h"

#include <string.h>

#include "base/chars.h"
#include "base/text.h"

enum {
  WIDTH = 72, /* characters of a flowed line, its quote marks not counted (§4.2 wants 78 at most) */
  QUOTES_MAX = 64 /* a paragraph with more marks stays one line: each line would repeat them all */
};

/* The line at the front of *s without its end; *s moves behind it. */
static struct lm_str take_line(struct lm_str *s) {
  const char *lf = memchr(s->p, '\n', s->n);
  size_t n = lf ? (size_t)(lf - s->p) : s->n, used = lf ? n + 1 : n;
  struct lm_str line = {s->p, n};
  if (lf && n && line.p[n - 1] == '\r') line.n--;
  *s = (struct lm_str){s->p + used, s->n - used};
  return line;
}

static struct lm_str from(struct lm_str s, size_t n) {
  return (struct lm_str){s.p + n, s.n - n};
}

static size_t quote_depth(struct lm_str s) {
  size_t n = 0;
  while (n < s.n && s.p[n] == '>') n++;
  return n;
}

static bool is_signature(struct lm_str s) {
  return lm_str_eq(s, LM_STR("-- "));
}

/* --- reading ------------------------------------------------------------------------------------ */

static bool put_quote(struct lm_buf *out, size_t depth) {
  while (depth-- > 0) {
    if (!lm_buf_putc(out, '>')) return false;
  }
  return true;
}

bool lm_flowed_read(struct lm_str text, bool delsp, struct lm_buf *out) {
  bool open = false; /* the paragraph goes on */
  size_t open_depth = 0;
  while (text.n) {
    struct lm_str line = take_line(&text);
    size_t depth = quote_depth(line);
    bool flows;
    line = from(line, depth);
    if (line.n && line.p[0] == ' ') line = from(line, 1);
    flows = line.n && line.p[line.n - 1] == ' ' && !is_signature(line);
    if (open && (depth != open_depth || is_signature(line))) {
      if (!lm_buf_putc(out, '\n')) return false;
      open = false;
    }
    if (!open && (!put_quote(out, depth) || (depth && line.n && !lm_buf_putc(out, ' '))))
      return false;
    if (flows && delsp) line.n--;
    if (!lm_buf_puts(out, line)) return false;
    if (!flows && !lm_buf_putc(out, '\n')) return false;
    open = flows;
    open_depth = depth;
  }
  return !open || lm_buf_putc(out, '\n');
}

/* --- writing ------------------------------------------------------------------------------------ */

/* How much of `s` goes into a line: all of it, or up to and with a space. Characters are counted, not
** octets; a word that is too long stays whole. */
static size_t wrapped(struct lm_str s) {
  size_t i, last = 0, width = 0;
  for (i = 0; i < s.n; i++) {
    width += (s.p[i] & 0xC0) != 0x80;
    if (width > WIDTH && last) return last;
    /* A line that begins with a space would need stuffing: go on to the last of a run. One that looks like
    ** that above a signature would not flow. */
    if (s.p[i] != ' ' || i + 1 == s.n || s.p[i + 1] == ' ') continue;
    if (!is_signature((struct lm_str){s.p, i + 1})) last = i + 1;
  }
  return s.n;
}

static bool needs_stuffing(struct lm_str s) {
  static const struct lm_str from_word = {"From ", 5};
  if (s.n == 0) return false;
  return s.p[0] == ' ' || s.p[0] == '>' ||
         (s.n >= 5 && lm_str_eq((struct lm_str){s.p, 5}, from_word));
}

/* One paragraph. */
static bool put_paragraph(struct lm_buf *out, struct lm_str s, size_t depth) {
  do {
    size_t n = depth > QUOTES_MAX ? s.n : wrapped(s);
    if (!put_quote(out, depth)) return false;
    if ((depth || needs_stuffing(s)) && s.n && !lm_buf_putc(out, ' ')) return false;
    if (!lm_buf_put(out, s.p, n) || !lm_buf_put(out, "\r\n", 2)) return false;
    s = from(s, n);
  } while (s.n);
  return true;
}

bool lm_flowed_write(struct lm_str text, struct lm_buf *out) {
  while (text.n) {
    struct lm_str line = take_line(&text);
    size_t depth = quote_depth(line);
    line = from(line, depth);
    if (depth && line.n && line.p[0] == ' ') line = from(line, 1);
    if (!is_signature(line)) {
      while (line.n && line.p[line.n - 1] == ' ') line.n--;
    }
    if (!put_paragraph(out, line, depth)) return false;
  }
  return true;
}
