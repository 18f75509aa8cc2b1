/*
** mime_check.h: what the C tests of mime share: a check that counts, and says where it failed.
**
** A test's main returns check_end(): it prints "ok" and the number of checks, or fails.
*/
#ifndef LM_SPEC_MIME_CHECK_H
#define LM_SPEC_MIME_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lm.h"

static unsigned check_good;
static unsigned check_bad;

static inline bool check_at(bool ok, const char *file, int line, const char *what) {
  if (ok) {
    check_good++;
  } else {
    check_bad++;
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
  }
  return ok;
}

#define CHECK(condition) check_at((condition), __FILE__, __LINE__, #condition)

/* Text compared; both are shown where they differ. `what` names the table's row. */
static inline void check_text(struct lm_str got, struct lm_str want, const char *what) {
  if (!check_at(got.n == want.n && (got.n == 0 || memcmp(got.p, want.p, got.n) == 0), "text", 0,
                what)) {
    fprintf(stderr, "  got  \"%.*s\"\n  want \"%.*s\"\n", (int)got.n, got.p ? got.p : "",
            (int)want.n, want.p);
  }
}

static inline struct lm_str text_of(const char *s) {
  return (struct lm_str){s, strlen(s)};
}

/* `n` bytes of `unit` over and over; the caller frees p. */
static inline struct lm_str repeat(const char *unit, size_t n) {
  size_t len = strlen(unit);
  char *p = malloc(n + 1);
  size_t i;
  if (p == NULL) exit(2);
  for (i = 0; i < n; i++) p[i] = unit[i % len];
  p[n] = '\0';
  return (struct lm_str){p, n};
}

/* Numbers that are the same in each run: xorshift. */
static inline uint32_t seeded(uint32_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

static inline int check_end(void) {
  if (check_bad) {
    fprintf(stderr, "%u of %u checks failed\n", check_bad, check_bad + check_good);
    return 1;
  }
  printf("ok %u\n", check_good);
  return 0;
}

#endif
