/*
** mime_transfer_fuzz.c: any octets as any transfer encoding, in two pieces and at two levels of vectors;
** and as what is to be encoded.
**
** Cuts and levels change nothing; what was encoded comes back.
*/
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "mime/transfer.h"
#include "mime/uu_find.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok) {
  if (!ok) abort();
}

static size_t decode(enum lm_transfer how, enum lm_vector level, struct lm_str s, size_t cut,
                     struct lm_buf *out) {
  struct lm_decoder d;
  lm_decoder_init(&d, how);
  d.level = level;
  must(lm_decoder_put(&d, out, (struct lm_str){s.p, cut}) &&
       lm_decoder_put(&d, out, (struct lm_str){s.p + cut, s.n - cut}) && lm_decoder_end(&d, out));
  return d.defects;
}

static void encode(enum lm_transfer how, bool text, enum lm_vector level, struct lm_str s,
                   size_t cut, struct lm_buf *out) {
  struct lm_encoder e;
  lm_encoder_init(&e, how, text);
  e.level = level;
  must(lm_encoder_put(&e, out, (struct lm_str){s.p, cut}) &&
       lm_encoder_put(&e, out, (struct lm_str){s.p + cut, s.n - cut}) && lm_encoder_end(&e, out));
}

static void both_ways(enum lm_transfer how, struct lm_str s, size_t cut) {
  struct lm_buf a = {NULL, 0, 0, 0}, b = {NULL, 0, 0, 0}, c = {NULL, 0, 0, 0};
  must(decode(how, LM_VECTOR_NONE, s, s.n, &a) == decode(how, lm_vector_best(), s, cut, &b));
  must(lm_str_eq(lm_buf_str(&a), lm_buf_str(&b)));
  if (how != LM_TRANSFER_UU) {
    lm_buf_clear(&a);
    lm_buf_clear(&b);
    encode(how, false, LM_VECTOR_NONE, s, s.n, &a);
    encode(how, false, lm_vector_best(), s, cut, &b);
    must(lm_str_eq(lm_buf_str(&a), lm_buf_str(&b)));
    must(decode(how, lm_vector_best(), lm_buf_str(&a), 0, &c) == 0);
    must(lm_str_eq(lm_buf_str(&c), s));
    lm_buf_clear(&a);
    lm_buf_clear(&b);
    encode(how, true, LM_VECTOR_NONE, s, s.n, &a);
    encode(how, true, lm_vector_best(), s, cut, &b);
    must(lm_str_eq(lm_buf_str(&a), lm_buf_str(&b)));
  }
  lm_buf_free(&a);
  lm_buf_free(&b);
  lm_buf_free(&c);
}

/* Files in text stand one behind the other. */
static void find_files(struct lm_str text) {
  struct lm_uu_file file;
  size_t at = 0, last = 0;
  while (lm_uu_next(text, &at, &file)) {
    must(file.text.p >= text.p + last && file.text.p + file.text.n == text.p + at && at <= text.n);
    must(file.name.n > 0 && at > last);
    last = at;
  }
  must(at == text.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct lm_str text = {(const char *)data + 1, n ? n - 1 : 0};
  if (n == 0) return 0;
  find_files(text);
  both_ways(LM_TRANSFER_BASE64, text, data[0] % (text.n + 1));
  both_ways(LM_TRANSFER_QP, text, data[0] % (text.n + 1));
  both_ways(LM_TRANSFER_UU, text, data[0] % (text.n + 1));
  return 0;
}
