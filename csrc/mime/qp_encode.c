/*
** qp_encode.c: octets to quoted-printable (RFC 2045 §6.7).
**
** Lines hold at most 75 characters and the `=` of a soft line break. White space at the end of a line
** is escaped, so one octet of it is held until it is known what follows.
*/
#include "base/chars.h"
#include "mime/codec.h"
#include "mime/qp.h"

/* What is encoded at a time; bounds the room that the worst case needs. */
enum { WIDTH = LM_QP_WIDTH, SLICE = 16384, ROOM = SLICE * 3 + SLICE * 3 / 72 * 3 + 16 };

struct run {
  struct lm_encoder *e;
  char *out;
};

static char *put_line(char *out) {
  *out++ = '\r';
  *out++ = '\n';
  return out;
}

static void soft_break(struct run *r) {
  *r->out++ = '=';
  r->out = put_line(r->out);
  r->e->column = 0;
}

static void escape(struct run *r, char c) {
  static const char digits[] = "0123456789ABCDEF";
  if (r->e->column + 3 > WIDTH) soft_break(r);
  *r->out++ = '=';
  *r->out++ = digits[(unsigned char)c >> 4];
  *r->out++ = digits[(unsigned char)c & 15];
  r->e->column += 3;
}

static void line_end(struct run *r, char c) {
  r->out = put_line(r->out);
  r->e->column = 0;
  r->e->after_cr = c == '\r';
}

static bool is_line_end(const struct lm_encoder *e, char c) {
  return e->text && (c == '\r' || c == '\n');
}

/* An octet that stands for itself. White space waits where nothing of the text follows, or a line
** end. */
static void safe(struct run *r, struct lm_str s) {
  struct lm_encoder *e = r->e;
  if (e->column == WIDTH) soft_break(r);
  if (e->text && lm_is(s.p[0], LM_SPACE) && (s.n == 1 || is_line_end(e, s.p[1]))) {
    e->held[0] = s.p[0];
    e->held_n = 1;
    return;
  }
  *r->out++ = s.p[0];
  e->column++;
}

/* White space of which it is now known what follows. */
static void release(struct run *r, bool ends) {
  struct lm_encoder *e = r->e;
  if (e->held_n == 0) return;
  e->held_n = 0;
  if (ends) {
    escape(r, e->held[0]);
    return;
  }
  if (e->column == WIDTH) soft_break(r);
  *r->out++ = e->held[0];
  e->column++;
}

/* Whatever one octet stands for, or two where it is CRLF; how many were used. */
static size_t encode_one(struct run *r, struct lm_str s) {
  struct lm_encoder *e = r->e;
  char c = s.p[0];
  release(r, is_line_end(e, c));
  if (is_line_end(e, c)) {
    bool crlf = c == '\r' && s.n > 1 && s.p[1] == '\n';
    line_end(r, c);
    if (s.n > 1) e->after_cr = false;
    return crlf ? 2 : 1;
  }
  if (lm_is(c, LM_PRINT | LM_SPACE) && c != '=')
    safe(r, s);
  else
    escape(r, c);
  return 1;
}

/* The vectors do what they can between two octets that they leave alone. */
static void encode(struct run *r, struct lm_str s) {
  struct lm_encoder *e = r->e;
  size_t i = 0;
  if (e->after_cr && s.p[0] == '\n') i = 1;
  e->after_cr = false;
  while (i < s.n) {
    struct lm_str rest = {s.p + i, s.n - i};
    size_t n = e->held_n ? 0 : lm_qp_encode_run(e->level, rest, e->text, &r->out, &e->column);
    i += n;
    if (n == 0) i += encode_one(r, rest);
  }
}

bool lm_qp_write(struct lm_encoder *e, struct lm_buf *out, struct lm_str piece) {
  while (piece.n) {
    size_t n = piece.n < SLICE ? piece.n : SLICE;
    char *to = lm_buf_room(out, ROOM - (SLICE - n) * 3 + LM_QP_SLACK);
    struct run r = {e, to};
    if (to == NULL) return false;
    encode(&r, (struct lm_str){piece.p, n});
    lm_buf_added(out, (size_t)(r.out - to));
    piece = (struct lm_str){piece.p + n, piece.n - n};
  }
  return true;
}

bool lm_qp_finish(struct lm_encoder *e, struct lm_buf *out) {
  char *to = lm_buf_room(out, 16);
  struct run r = {e, to};
  if (to == NULL) return false;
  release(&r, true);
  if (e->column && !e->text) soft_break(&r);
  if (e->column) line_end(&r, '\n');
  lm_buf_added(out, (size_t)(r.out - to));
  return true;
}
