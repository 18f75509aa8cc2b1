/*
** mime_html_fuzz.c: any octets as HTML and as flowed text, whole and in two pieces.
**
** Text is bounded by what came in; a header field that is written from it stays one field.
*/
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "mime/flowed.h"
#include "mime/fold.h"
#include "mime/html.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok) {
  if (!ok) abort();
}

static void html(struct lm_str s, size_t cut, struct lm_buf *out) {
  struct lm_html h;
  lm_html_init(&h, true, SIZE_MAX);
  must(lm_html_put(&h, out, (struct lm_str){s.p, cut}) &&
       lm_html_put(&h, out, (struct lm_str){s.p + cut, s.n - cut}) && lm_html_end(&h, out));
}

/* Each line of a field but the first begins with a space. */
static void one_field(struct lm_str value) {
  struct lm_buf out = {NULL, 0, 0, 0};
  struct lm_fold f;
  struct lm_str s;
  size_t i;
  if (lm_fold_refusal(LM_STR("X"), value)) return;
  must(lm_fold_begin(&f, &out, LM_STR("X"), false) && lm_fold_text(&f, value) &&
       lm_fold_param(&f, LM_STR("p"), value) && lm_fold_tokens(&f, value) && lm_fold_end(&f));
  s = lm_buf_str(&out);
  for (i = 0; i + 1 < s.n; i++) must(s.p[i] != '\n' || s.p[i + 1] == ' ');
  lm_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct lm_str text = {(const char *)data + 1, n ? n - 1 : 0};
  struct lm_buf a = {NULL, 0, 0, 0}, b = {NULL, 0, 0, 0};
  if (n == 0) return 0;
  html(text, text.n, &a);
  html(text, data[0] % (text.n + 1), &b);
  must(lm_str_eq(lm_buf_str(&a), lm_buf_str(&b)));
  must(lm_buf_len(&a) <= text.n * 64 + 64);
  lm_buf_clear(&a);
  must(lm_preview(text, 200, &a) && lm_buf_len(&a) <= 800);
  lm_buf_clear(&a);
  lm_buf_clear(&b);
  must(lm_flowed_read(text, data[0] & 1, &a) && lm_flowed_write(text, &b));
  lm_buf_free(&a);
  lm_buf_free(&b);
  one_field(text);
  return 0;
}
