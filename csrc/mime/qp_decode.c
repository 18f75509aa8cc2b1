/*
** qp_decode.c: quoted-printable to octets, forgiving (RFC 2045 §6.7).
**
** Text is decoded as far as nothing that follows can change the result; the tail that must wait, never
** more than HOLD octets, is kept and looked at again together with what comes. So no cut into pieces
** makes a difference, by construction.
*/
#include <string.h>

#include "base/chars.h"
#include "mime/codec.h"
#include "mime/qp.h"

/* A run of white space is decided after this many octets, for it has to be held until then: as text,
** so lines that a relay has padded lose it up to here. No standard line is longer than 76. */
enum { RUN = 60, HOLD = RUN + 2 };

struct run {
  enum lm_vector level;
  const char *p;
  size_t n, i;
  char *out;
  bool last; /* nothing follows */
  size_t defects;
};

static bool keep_equals(struct run *r) {
  *r->out++ = '=';
  r->i++;
  r->defects++;
  return true;
}

static bool passed(struct run *r, size_t to) {
  r->i = to;
  return true;
}

/* A soft line break with white space or without CR, or what is no escape; false where it takes more
** text to know. */
static bool odd_escape(struct run *r) {
  size_t k = r->i + 1, run = 0;
  bool more = !r->last;
  while (k < r->n && run <= RUN && (r->p[k] == ' ' || r->p[k] == '\t')) k++, run++;
  if (run > RUN) return keep_equals(r);
  if (k == r->n) return more ? false : passed(r, k);
  if (r->p[k] == '\n') return passed(r, k + 1);
  if (r->p[k] == '\r') {
    if (k + 1 == r->n) return more ? false : passed(r, k + 1);
    if (r->p[k + 1] == '\n') return passed(r, k + 2);
  }
  if (more && run == 0 && k + 1 == r->n && lm_is(r->p[k], LM_HEX)) return false;
  return keep_equals(r);
}

/* How much of the run of white space that ends at r->i waits for its line to end. What precedes the
** run, an escape too, ends in something else; so all of it was copied as it stands. */
static size_t trailing(const struct run *r) {
  size_t first = r->i;
  while (first > 0 && (r->p[first - 1] == ' ' || r->p[first - 1] == '\t')) first--;
  return (r->i + 1 - first) % (RUN + 1);
}

static void keep_blank(struct run *r) {
  *r->out++ = r->p[r->i++];
}

/* White space before CR, LF or the end of the text; all before it is copied already. */
static bool blank(struct run *r) {
  size_t next = r->i + 1, wait;
  bool cr = next < r->n && r->p[next] == '\r';
  bool unknown = !r->last && (next == r->n || (cr && next + 1 == r->n));
  bool ends =
      next == r->n || r->p[next] == '\n' || (cr && next + 1 < r->n && r->p[next + 1] == '\n');
  if (!unknown && !ends) {
    keep_blank(r);
    return true;
  }
  wait = trailing(r);
  if (wait == 0) {
    keep_blank(r);
    return !unknown;
  }
  r->out -= wait - 1;
  if (unknown) {
    r->i -= wait - 1;
    return false;
  }
  r->i++;
  return true;
}

/* Decodes to r->out; afterwards r->i says how much of the text was used. */
static void decode(struct run *r) {
  bool go = true;
  while (go && r->i < r->n) {
    struct lm_str rest = {r->p + r->i, r->n - r->i};
    size_t written;
    r->i += lm_qp_decode_run(r->level, rest, r->out, &written);
    r->out += written;
    if (r->i == r->n) break;
    go = r->p[r->i] == '=' ? odd_escape(r) : blank(r);
  }
}

/* How much of `text` was used; SIZE_MAX where memory is short. */
static size_t decode_text(struct lm_decoder *d, struct lm_buf *out, struct lm_str text, bool last) {
  struct run r = {d->level, text.p, text.n, 0, NULL, last, 0};
  char *to = r.out = lm_buf_room(out, text.n + LM_QP_SLACK);
  if (to == NULL) return SIZE_MAX;
  decode(&r);
  lm_buf_added(out, (size_t)(r.out - to));
  d->defects += r.defects;
  return r.i;
}

static void hold(struct lm_decoder *d, struct lm_str tail) {
  memmove(d->held, tail.p, tail.n);
  d->held_n = (uint8_t)tail.n;
}

/* Decodes what was held together with as much of the piece as fits behind it. */
static bool decode_held(struct lm_decoder *d, struct lm_buf *out, struct lm_str *piece) {
  size_t before = d->held_n, more = sizeof d->held - before, used;
  if (more > piece->n) more = piece->n;
  memcpy(d->held + before, piece->p, more);
  used = decode_text(d, out, (struct lm_str){d->held, before + more}, false);
  if (used == SIZE_MAX) return false;
  if (used >= before) { /* the rest lies in the piece as well */
    *piece = (struct lm_str){piece->p + (used - before), piece->n - (used - before)};
    d->held_n = 0;
    return true;
  }
  hold(d, (struct lm_str){d->held + used, before + more - used});
  *piece = (struct lm_str){piece->p + more, piece->n - more};
  return true;
}

bool lm_qp_put(struct lm_decoder *d, struct lm_buf *out, struct lm_str piece) {
  size_t used;
  while (d->held_n && piece.n) {
    if (!decode_held(d, out, &piece)) return false;
  }
  if (piece.n == 0) return true;
  used = decode_text(d, out, piece, false);
  if (used == SIZE_MAX) return false;
  hold(d, (struct lm_str){piece.p + used, piece.n - used});
  return true;
}

bool lm_qp_end(struct lm_decoder *d, struct lm_buf *out) {
  struct lm_str held = {d->held, d->held_n};
  d->held_n = 0;
  return held.n == 0 || decode_text(d, out, held, true) != SIZE_MAX;
}
