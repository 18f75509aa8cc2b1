/*
** mime_word2047_fuzz.c: any text as encoded words, and any bytes in any charset.
**
** Results are UTF-8 on one line; text that is UTF-8 comes back from its own encoded words.
*/
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "mime/charset.h"
#include "mime/word2047.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok) {
  if (!ok) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct lm_arena a = {NULL, 0};
  struct lm_str text = {(const char *)data, n};
  const char *line = n ? memchr(data, '\n', n) : NULL;
  struct lm_str out;
  struct lm_str back;
  must(lm_word2047_decode(&a, text, &out) && lm_utf8_valid(out));
  must(n == 0 || (!memchr(out.p, '\r', out.n) && !memchr(out.p, '\n', out.n)));
  if (n && lm_utf8_valid(text) && !lm_str_breaks_line(text)) {
    must(lm_word2047_encode(&a, text, &out) && lm_word2047_decode(&a, out, &back));
    must(lm_str_eq(back, text));
  }
  if (line) { /* the first line is a charset */
    struct lm_str charset = {text.p, (size_t)(line - text.p)};
    must(lm_charset_to_utf8(&a, charset, (struct lm_str){line + 1, n - charset.n - 1}, &out));
    must(lm_utf8_valid(out));
  }
  lm_arena_free(&a);
  return 0;
}
