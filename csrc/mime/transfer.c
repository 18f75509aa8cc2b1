/*
** transfer.c: which machine does the work of a transfer encoding, and the one that changes nothing.
*/
#include "mime/transfer.h"

#include <string.h>

#include "base/chars.h"
#include "mime/codec.h"

bool lm_transfer_find(struct lm_str name, enum lm_transfer *out) {
  static const struct {
    const char *name;
    enum lm_transfer how;
  } names[] = {{"7bit", LM_TRANSFER_IDENTITY},
               {"8bit", LM_TRANSFER_IDENTITY},
               {"binary", LM_TRANSFER_IDENTITY},
               {"base64", LM_TRANSFER_BASE64},
               {"quoted-printable", LM_TRANSFER_QP},
               {"x-uuencode", LM_TRANSFER_UU},
               {"uuencode", LM_TRANSFER_UU},
               {"x-uue", LM_TRANSFER_UU},
               {"uue", LM_TRANSFER_UU}};
  size_t i;
  *out = LM_TRANSFER_IDENTITY;
  for (i = 0; i < sizeof names / sizeof *names; i++) {
    if (lm_str_ieq(name, (struct lm_str){names[i].name, strlen(names[i].name)})) {
      *out = names[i].how;
      return true;
    }
  }
  return false;
}

/* --- decoding ----------------------------------------------------------------------------------- */

void lm_decoder_init(struct lm_decoder *d, enum lm_transfer how) {
  memset(d, 0, sizeof *d);
  d->how = how;
  d->level = lm_vector_best();
}

bool lm_decoder_put(struct lm_decoder *d, struct lm_buf *out, struct lm_str piece) {
  if (piece.n == 0) return true;
  switch (d->how) {
  case LM_TRANSFER_BASE64: return lm_base64_put(d, out, piece);
  case LM_TRANSFER_QP: return lm_qp_put(d, out, piece);
  case LM_TRANSFER_UU: return lm_uu_put(d, out, piece);
  case LM_TRANSFER_IDENTITY: break;
  }
  return lm_buf_put(out, piece.p, piece.n);
}

bool lm_decoder_end(struct lm_decoder *d, struct lm_buf *out) {
  switch (d->how) {
  case LM_TRANSFER_BASE64: return lm_base64_end(d, out);
  case LM_TRANSFER_QP: return lm_qp_end(d, out);
  case LM_TRANSFER_UU: lm_uu_end(d); return true;
  case LM_TRANSFER_IDENTITY: break;
  }
  return true;
}

/* --- encoding ----------------------------------------------------------------------------------- */

void lm_encoder_init(struct lm_encoder *e, enum lm_transfer how, bool text) {
  memset(e, 0, sizeof *e);
  e->how = how;
  e->text = text;
  e->level = lm_vector_best();
}

/* Text up to an LF, or to the end of the piece: each CR in it is a line end. */
static bool put_stretch(struct lm_encoder *e, struct lm_buf *out, struct lm_str s) {
  while (s.n) {
    const char *cr = memchr(s.p, '\r', s.n);
    size_t n = cr ? (size_t)(cr - s.p) : s.n;
    e->after_cr = cr != NULL;
    e->open = cr == NULL;
    if (!lm_buf_put(out, s.p, n) || (cr && !lm_buf_put(out, "\r\n", 2))) return false;
    n += cr != NULL;
    s = (struct lm_str){s.p + n, s.n - n};
  }
  return true;
}

/* Text as it is, its line ends made CRLF. */
static bool lines_write(struct lm_encoder *e, struct lm_buf *out, struct lm_str s) {
  while (s.n) {
    const char *lf = memchr(s.p, '\n', s.n);
    size_t n = lf ? (size_t)(lf - s.p) : s.n;
    if (!put_stretch(e, out, (struct lm_str){s.p, n})) return false;
    if (lf == NULL) return true;
    if (!e->after_cr && !lm_buf_put(out, "\r\n", 2)) return false;
    e->after_cr = false;
    e->open = false;
    s = (struct lm_str){lf + 1, s.n - n - 1};
  }
  return true;
}

bool lm_encoder_put(struct lm_encoder *e, struct lm_buf *out, struct lm_str piece) {
  if (piece.n == 0) return true;
  switch (e->how) {
  case LM_TRANSFER_BASE64: return lm_base64_write(e, out, piece);
  case LM_TRANSFER_QP: return lm_qp_write(e, out, piece);
  default: return e->text ? lines_write(e, out, piece) : lm_buf_put(out, piece.p, piece.n);
  }
}

bool lm_encoder_end(struct lm_encoder *e, struct lm_buf *out) {
  switch (e->how) {
  case LM_TRANSFER_BASE64: return lm_base64_finish(e, out);
  case LM_TRANSFER_QP: return lm_qp_finish(e, out);
  default:
    if (!e->open) return true;
    e->open = false;
    return lm_buf_put(out, "\r\n", 2);
  }
}
