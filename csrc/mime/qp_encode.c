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
enum { WIDTH = 75, SLICE = 16384, ROOM = SLICE * 3 + SLICE * 3 / 72 * 3 + 16 };

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

/* Octets that stand for themselves, as many as fit into the line. The last one waits where it is
** white space and nothing of the text follows. */
static size_t safe(struct run *r, struct lm_str s) {
  struct lm_encoder *e = r->e;
  size_t n;
  if (e->column == WIDTH) soft_break(r);
  n = WIDTH - e->column < s.n ? WIDTH - e->column : s.n;
  n = lm_qp_copy_safe(e->level, s.p, n, r->out);
  r->out += n;
  e->column += n;
  if (n && e->text && lm_is(s.p[n - 1], LM_SPACE) && (n == s.n || is_line_end(e, s.p[n]))) {
    r->out--;
    e->column--;
    e->held[0] = s.p[n - 1];
    e->held_n = 1;
  }
  return n;
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

static void encode(struct run *r, struct lm_str s) {
  struct lm_encoder *e = r->e;
  size_t i = 0;
  if (e->after_cr && s.p[0] == '\n') i = 1;
  e->after_cr = false;
  while (i < s.n) {
    char c = s.p[i];
    release(r, is_line_end(e, c));
    if (is_line_end(e, c)) {
      line_end(r, c);
      i++;
      if (e->after_cr && i < s.n) {
        i += s.p[i] == '\n';
        e->after_cr = false;
      }
    } else if (lm_is(c, LM_PRINT | LM_SPACE) && c != '=') {
      i += safe(r, (struct lm_str){s.p + i, s.n - i});
    } else {
      escape(r, c);
      i++;
    }
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
