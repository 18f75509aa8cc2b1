/*
** dot_both_fuzz.c: any text, cut anywhere, outward and inward again.
**
** What holds for all input: nothing leaves but lines in CRLF, no CR or LF stands alone, the only line
** of one dot is the last, and what comes back is the text with its line ends made CRLF. Any octets
** inward, cut anywhere, give the same text and the same end.
*/
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "base/dot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok) {
  if (!ok) abort();
}

static void check_wire(struct lm_str s) {
  size_t i, from = 0;
  must(s.n >= 3);
  for (i = 0; i < s.n; i++) {
    if (s.p[i] == '\r') must(i + 1 < s.n && s.p[i + 1] == '\n');
    if (s.p[i] != '\n') continue;
    must(i > 0 && s.p[i - 1] == '\r');
    must((i - from == 2 && s.p[from] == '.') == (i + 1 == s.n));
    from = i + 1;
  }
  must(from == s.n);
}

/* Inward in two pieces; true where the end came. */
static bool take(struct lm_buf *out, struct lm_str s, size_t cut, size_t *used_out) {
  struct lm_dotin d = {0, false};
  size_t from[3] = {0, cut, s.n}, i;
  for (i = 0; i < 2; i++) {
    struct lm_str piece = {s.p + from[i], from[i + 1] - from[i]}, text;
    enum lm_dotin_more more;
    while ((more = lm_dotin_next(&d, &piece, &text)) == LM_DOT_TEXT) {
      must(lm_buf_put(out, text.p, text.n));
    }
    *used_out = (size_t)(piece.p - s.p);
    if (more == LM_DOT_END) return true;
  }
  return false;
}

static void outward(struct lm_str s, size_t cut) {
  struct lm_buf out = {NULL, 0, 0, 0}, whole = {NULL, 0, 0, 0}, back = {NULL, 0, 0, 0};
  struct lm_dotout d = {false, false, false}, e = {false, false, false};
  size_t used, body;
  must(lm_dotout_put(&d, &out, (struct lm_str){s.p, cut}));
  must(lm_dotout_put(&d, &out, (struct lm_str){s.p + cut, s.n - cut}) && lm_dotout_end(&d, &out));
  must(lm_dotout_put(&e, &whole, s) && lm_dotout_end(&e, &whole));
  must(lm_str_eq(lm_buf_str(&out), lm_buf_str(&whole)));
  check_wire(lm_buf_str(&out));
  body = lm_buf_len(&out);
  must(take(&back, lm_buf_str(&out), cut < body ? cut : body, &used) && used == body);
  lm_buf_free(&out);
  lm_buf_free(&whole);
  lm_buf_free(&back);
}

static void inward(struct lm_str s, size_t cut) {
  struct lm_buf one = {NULL, 0, 0, 0}, two = {NULL, 0, 0, 0};
  size_t used_one, used_two;
  bool ended = take(&one, s, 0, &used_one);
  must(take(&two, s, cut, &used_two) == ended && used_one == used_two);
  must(lm_str_eq(lm_buf_str(&one), lm_buf_str(&two)));
  lm_buf_free(&one);
  lm_buf_free(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct lm_str s;
  size_t cut;
  if (n < 1) return 0;
  s = (struct lm_str){(const char *)data + 1, n - 1};
  cut = s.n ? data[0] % (s.n + 1) : 0;
  outward(s, cut);
  inward(s, cut);
  return 0;
}
