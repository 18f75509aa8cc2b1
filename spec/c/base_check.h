/*
** base_check.h: what the C tests of base and smtp share: a check that counts, and text from literals.
**
** A failed check names its place and its words, and ends the program; the last line of a run that
** went well is `ok N`.
*/
#ifndef LM_SPEC_BASE_CHECK_H
#define LM_SPEC_BASE_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/chars.h"

static long checks;

#define CHECK(what)                                                                                \
  do {                                                                                             \
    checks++;                                                                                      \
    if (!(what)) {                                                                                 \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                                   \
      exit(1);                                                                                     \
    }                                                                                              \
  } while (0)

static inline struct lm_str str(const char *text) {
  return (struct lm_str){text, strlen(text)};
}

static inline bool is(struct lm_str s, const char *text) {
  return lm_str_eq(s, str(text));
}

static inline bool holds(const struct lm_buf *b, const char *text) {
  return is(lm_buf_str(b), text);
}

static inline int done(void) {
  printf("ok %ld\n", checks);
  return 0;
}

#endif
