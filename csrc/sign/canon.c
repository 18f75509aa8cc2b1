/*
** canon.c: simple and relaxed canonicalization (RFC 6376 §3.4).
**
** Invariant of a body: what was handed on never ends in a line end; those wait in `ends`, as a count.
*/
#include "sign/canon.h"

#include <string.h>

#include "base/chars.h"
#include "sign/tags.h"

/* --- bodies: the way out ------------------------------------------------------------------------- */

static void flush(struct lm_canon_body *b) {
  if (b->held && !b->failed) b->failed = !b->sink(b->to, (struct lm_str){b->block, b->held});
  b->held = 0;
}

/* Counts all and hands on what the limit allows. */
static void put(struct lm_canon_body *b, const char *p, size_t n) {
  uint64_t left = b->length < b->limit ? b->limit - b->length : 0;
  b->length += n;
  if (n > left) n = (size_t)left;
  if (n > sizeof b->block - b->held) flush(b);
  if (n > sizeof b->block) {
    if (!b->failed) b->failed = !b->sink(b->to, (struct lm_str){p, n});
    return;
  }
  memcpy(b->block + b->held, p, n);
  b->held += n;
}

/* Text follows: what waited before it counts. */
static void settle(struct lm_canon_body *b) {
  for (; b->ends && !b->failed; b->ends--) put(b, "\r\n", 2);
  if (b->space) put(b, " ", 1);
  b->space = false;
  b->ended = false;
  if (b->cr) put(b, "\r", 1);
  b->cr = false;
}

static void end_line(struct lm_canon_body *b) {
  b->ends++;
  b->space = false;
  b->cr = false;
}

/* --- bodies: the way in -------------------------------------------------------------------------- */

static bool is_plain(const struct lm_canon_body *b, char c) {
  if ((unsigned char)c > ' ') return true;
  if (c == '\r' || c == '\n') return false;
  return b->kind == LM_CANON_SIMPLE || (c != ' ' && c != '\t');
}

/* True where one of eight bytes is below `n`, which is at most 128. */
static bool has_less(const char *p, unsigned n) {
  const uint64_t ones = UINT64_MAX / 255;
  uint64_t x;
  memcpy(&x, p, sizeof x);
  return ((x - ones * n) & ~x & (ones * 128)) != 0;
}

/* Behind the plain bytes from `p` on: whatever stands there is handed on as it is, so one space between
** two words is plain too. */
static const char *plain_end(const struct lm_canon_body *b, const char *p, const char *end) {
  unsigned least = b->kind == LM_CANON_SIMPLE ? '\r' + 1 : ' ' + 1;
  for (;;) {
    while (end - p >= 8 && !has_less(p, least)) p += 8;
    while (p != end && (unsigned char)*p >= least) p++;
    if (p == end) return p;
    if (*p == ' ' && end - p > 1 && (unsigned char)p[1] > ' ') {
      p += 2;
    } else if (is_plain(b, *p)) {
      p++;
    } else {
      return p;
    }
  }
}

static void take_cr(struct lm_canon_body *b) {
  if (b->bare_cr == LM_CANON_CR_ENDS_LINE) {
    end_line(b);
    b->ended = true;
    return;
  }
  if (b->cr) settle(b); /* the CR before this one was text */
  b->cr = true;
}

/* One byte that is not plain. */
static void take(struct lm_canon_body *b, char c) {
  if (c == '\r') {
    take_cr(b);
  } else if (c == '\n') {
    if (!b->ended) end_line(b);
    b->ended = false;
  } else {
    if (b->cr) settle(b);
    b->ended = false;
    b->space = true;
  }
}

void lm_canon_body_start(struct lm_canon_body *b, enum lm_canon kind, enum lm_canon_cr bare_cr,
                         uint64_t limit) {
  memset(b, 0, offsetof(struct lm_canon_body, block));
  b->kind = kind;
  b->bare_cr = bare_cr;
  b->limit = limit;
}

void lm_canon_body_to(struct lm_canon_body *b, lm_canon_sink *sink, void *to) {
  b->sink = sink;
  b->to = to;
}

bool lm_canon_body_add(struct lm_canon_body *b, struct lm_str piece) {
  const char *p = piece.p, *end = piece.n ? piece.p + piece.n : piece.p;
  while (p != end && !b->failed) {
    const char *from = p;
    if (is_plain(b, *p)) p = plain_end(b, p, end);
    if (p != from) {
      settle(b);
      put(b, from, (size_t)(p - from));
    } else {
      take(b, *p++);
    }
  }
  return !b->failed;
}

/* A body without text is one line end when simple, nothing when relaxed. */
bool lm_canon_body_end(struct lm_canon_body *b) {
  if (b->cr) settle(b);
  if (b->length || b->kind == LM_CANON_SIMPLE) put(b, "\r\n", 2);
  flush(b);
  return !b->failed;
}

/* --- fields -------------------------------------------------------------------------------------- */

/* As it stands, its lines ended in CRLF. */
static bool put_simple(struct lm_buf *out, struct lm_str s) {
  size_t i;
  for (i = 0; i < s.n;) {
    size_t from = i;
    while (i < s.n && s.p[i] != '\r' && s.p[i] != '\n') i++;
    if (!lm_buf_put(out, s.p + from, i - from)) return false;
    if (i == s.n) break;
    i += s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n' ? 2 : 1;
    if (!lm_buf_put(out, "\r\n", 2)) return false;
  }
  return true;
}

/* Unfolded, white space single, none at either end. */
static bool put_relaxed(struct lm_buf *out, struct lm_str s) {
  char *room = lm_buf_room(out, s.n);
  bool space = false;
  size_t i, n = 0;
  if (room == NULL) return s.n == 0;
  for (i = 0; i < s.n; i++) {
    char c = s.p[i];
    if (c == '\r' || c == '\n') continue;
    if (lm_is(c, LM_SPACE)) {
      space = true;
      continue;
    }
    if (space && n) room[n++] = ' ';
    space = false;
    room[n++] = c;
  }
  lm_buf_added(out, n);
  return true;
}

static bool put_name(struct lm_buf *out, struct lm_str name) {
  char *room = lm_buf_room(out, name.n + 1);
  size_t i;
  if (room == NULL) return false;
  for (i = 0; i < name.n; i++) room[i] = lm_lower(name.p[i]);
  room[i] = ':';
  lm_buf_added(out, name.n + 1);
  return true;
}

bool lm_canon_field(struct lm_buf *out, const struct lm_header_field *f, enum lm_canon kind) {
  size_t n = f->name.n ? (size_t)(f->value.p + f->value.n - f->name.p) : f->value.n;
  if (kind == LM_CANON_RELAXED) return put_name(out, f->name) && put_relaxed(out, f->value);
  return put_simple(out, (struct lm_str){f->name.p, n});
}

bool lm_canon_signature(struct lm_buf *out, const struct lm_header_field *f, enum lm_canon kind) {
  struct lm_tags tags;
  const struct lm_tag *b = lm_tags_read(f->value, &tags) ? lm_tags_find(&tags, LM_STR("b")) : NULL;
  struct lm_buf cut = {NULL, 0, 0, 0};
  struct lm_header_field bare = *f;
  const char *end = f->value.p + f->value.n;
  bool good;
  if (b == NULL) return false;
  good = lm_buf_put(&cut, f->name.p, (size_t)(b->span.p - f->name.p)) &&
         lm_buf_put(&cut, b->span.p + b->span.n, (size_t)(end - b->span.p) - b->span.n);
  bare.name.p = cut.p;
  bare.value = (struct lm_str){cut.p + (f->value.p - f->name.p), f->value.n - b->span.n};
  good = good && lm_canon_field(out, &bare, kind);
  lm_buf_free(&cut);
  return good;
}
