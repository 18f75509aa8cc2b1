/*
** mime_tnef_fuzz.c: any octets as winmail.dat, with its first octets made right.
**
** What holds for all input: text is UTF-8, files lie in the input, and their count is what was told.
*/
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "mime/charset.h"
#include "mime/tnef.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok) {
  if (!ok) abort();
}

static void check(struct lm_str bytes) {
  struct lm_arena a = {NULL, 0};
  const struct lm_tnef_file *f;
  struct lm_tnef t;
  size_t count = 0;
  must(lm_tnef_read(&a, bytes, &t));
  must(lm_utf8_valid(t.subject) && lm_utf8_valid(t.body) && lm_utf8_valid(t.html));
  for (f = t.first; f; f = f->next, count++) {
    must(lm_utf8_valid(f->name) && lm_utf8_valid(f->type) && lm_utf8_valid(f->cid));
    must(f->data.n == 0 || (f->data.p >= bytes.p && f->data.p + f->data.n <= bytes.p + bytes.n));
  }
  must(t.rtf.n <= 8 * bytes.n);
  must(count == t.count && count <= LM_TNEF_FILES);
  must(t.broken || lm_tnef_is(bytes));
  lm_arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  static const char begin[] = "\x78\x9F\x3E\x22\x01";
  char *copy = malloc(n + 6);
  must(copy != NULL);
  memcpy(copy, begin, 6);
  if (n) memcpy(copy + 6, data, n);
  check((struct lm_str){copy, n + 6});
  check((struct lm_str){copy + 6, n});
  free(copy);
  return 0;
}
