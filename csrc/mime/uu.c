/*
** uu.c: uuencode to octets, as old mailers put it into bodies (no RFC; POSIX.1 describes `uuencode`).
**
**   begin 644 name CRLF  *( length characters CRLF )  "`" CRLF  end CRLF
**
** An octet at a time: such mail is rare. A line holds at most 63 octets.
*/
#include <string.h>

#include "base/chars.h"
#include "mime/codec.h"

/* After so many things that are wrong, what a line does not hold is missing: two characters would go on
** becoming 63 octets. */
enum { FILLED_MAX = 65536 };

/* Where in the text the machine is. */
enum { BEFORE, SKIP_BEFORE, BEGIN, START, DATA, REST, ENDING, DONE };

/* "begin " at the start of a line; held_n counts what has matched. */
static void before(struct lm_decoder *d, char c) {
  static const char word[] = "begin ";
  if (c == '\n') {
    d->defects += d->held_n > 0;
    d->held_n = 0;
  } else if (c == '\r' && d->held_n == 0) {
    return;
  } else if (c != word[d->held_n]) {
    d->defects++;
    d->held_n = 0;
    d->state = SKIP_BEFORE;
  } else if (++d->held_n == sizeof word - 1) {
    d->held_n = 0;
    d->state = BEGIN;
  }
}

/* The length of a line: a space or what is written in its place is 0. */
static void start(struct lm_decoder *d, char c) {
  if (c == '\r' || c == '\n') return;
  if (c >= ' ' && c <= '`') {
    d->due = ((unsigned char)c - 32u) & 63;
    d->state = d->due ? DATA : REST;
  } else if (c == 'e') {
    d->state = ENDING;
  } else {
    d->defects++;
    d->state = REST;
  }
}

/* One character of six bits; four of them are up to three octets. */
static char *six(struct lm_decoder *d, char *out, unsigned value) {
  unsigned v, i;
  d->held[d->held_n++] = (char)value;
  if (d->held_n < 4) return out;
  d->held_n = 0;
  for (v = 0, i = 0; i < 4; i++) v = v << 6 | (unsigned char)d->held[i];
  for (i = 0; i < 3 && d->due; i++, d->due--) *out++ = (char)(v >> (16 - 8 * i));
  if (d->due == 0) d->state = REST;
  return out;
}

static char *data(struct lm_decoder *d, char *out, char c) {
  if (c == '\r') return out;
  if (c == '\n') { /* trailing spaces were cut: they stand for zeros */
    if (d->defects++ >= FILLED_MAX) {
      d->due = 0;
      d->held_n = 0;
    }
    while (d->due) out = six(d, out, 0);
    d->state = START;
    return out;
  }
  if (c < ' ' || c > '`') {
    d->defects++;
    return out;
  }
  return six(d, out, ((unsigned char)c - 32u) & 63);
}

/* "end", after its first letter. */
static void ending(struct lm_decoder *d, char c) {
  static const char word[] = "nd";
  if (d->held_n < 2 && c == word[d->held_n]) {
    d->held_n++;
  } else if (d->held_n == 2 && (c == '\r' || c == '\n' || c == ' ')) {
    d->state = DONE;
  } else {
    d->defects++;
    d->held_n = 0;
    d->state = c == '\n' ? START : REST;
  }
}

static char *step(struct lm_decoder *d, char *out, char c) {
  switch (d->state) {
  case BEFORE: before(d, c); break;
  case SKIP_BEFORE:
    if (c == '\n') d->state = BEFORE;
    break;
  case BEGIN:
  case REST:
    if (c == '\n') d->state = START;
    break;
  case START: start(d, c); break;
  case DATA: return data(d, out, c);
  case ENDING: ending(d, c); break;
  default: break;
  }
  return out;
}

/* A line end can give all that its line still promised: 63 octets for two characters. */
bool lm_uu_put(struct lm_decoder *d, struct lm_buf *out, struct lm_str piece) {
  size_t i, n;
  for (i = 0; i < piece.n; i += n) {
    char *from, *to;
    size_t k;
    n = piece.n - i < 1024 ? piece.n - i : 1024;
    from = to = lm_buf_room(out, n * 63);
    if (from == NULL) return false;
    for (k = 0; k < n; k++) to = step(d, to, piece.p[i + k]);
    lm_buf_added(out, (size_t)(to - from));
  }
  return true;
}

void lm_uu_end(struct lm_decoder *d) {
  if (d->state == DONE || (d->state == ENDING && d->held_n == 2)) return;
  d->defects++;
}
