/*
** mime_content_test.c: line ends of decoded text: LF in place of CRLF and CR, at every level of vectors.
*/
#include "mime/content.h"

#include "check.h"

/* Octet by octet, as the header says. */
static size_t expected(const char *p, size_t n, char *out) {
  size_t i, k = 0;
  for (i = 0; i < n; i++) {
    if (p[i] == '\n' && i > 0 && p[i - 1] == '\r') continue;
    out[k++] = p[i] == '\r' ? '\n' : p[i];
  }
  return k;
}

int main(void) {
  static const enum lm_vector levels[] = {LM_VECTOR_NONE, LM_VECTOR_SSSE3, LM_VECTOR_AVX2};
  char text[300], want[300], got[300 + LM_LINES_SLACK];
  uint32_t state = 7;
  size_t round, i, n, want_n;
  for (round = 0; round < 30000; round++) {
    n = seeded(&state) % sizeof text;
    for (i = 0; i < n; i++)
      text[i] = "\r\n\nabcdefghijklmnopqrstuvwxyz"[seeded(&state) % (3 + round % 27)];
    want_n = expected(text, n, want);
    for (i = 0; i < sizeof levels / sizeof *levels; i++) {
      if (levels[i] > lm_vector_best()) continue;
      EXPECT_TEXT(
          ((struct lm_str){got, lm_content_lines_with(levels[i], (struct lm_str){text, n}, got)}),
          ((struct lm_str){want, want_n}), "lines");
    }
  }
  return check_end();
}
