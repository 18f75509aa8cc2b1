/*
** check.h: what the C tests share: checks that count and tell their place, and text from literals.
**
** CHECK ends the program where it fails: what follows relies on it. EXPECT goes on with the next row
** of a table, and its value is whether it held. A test's main returns check_end(): the last line of
** a run that went well is `ok N`, where N is how many checks were made.
*/
#ifndef LM_SPEC_CHECK_H
#define LM_SPEC_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/chars.h"

static long check_good;
static long check_bad;
static const char *check_row; /* the row of a table that is being played; NULL: none */

static inline bool check_at(bool ok, const char *file, int line, const char *what,
                            const char *row) {
  if (ok) {
    check_good++;
    return true;
  }
  check_bad++;
  if (row == NULL) row = check_row;
  fprintf(stderr, "%s:%d: not so: %s%s%s\n", file, line, what, row ? ": " : "", row ? row : "");
  return false;
}

/* As the exit status of main, and the last line of the run. */
static inline int check_end(void) {
  if (check_bad) {
    fprintf(stderr, "%ld of %ld checks failed\n", check_bad, check_bad + check_good);
    return 1;
  }
  printf("ok %ld\n", check_good);
  return 0;
}

#define EXPECT_ROW(ok, what, row) check_at((ok), __FILE__, __LINE__, (what), (row))
#define EXPECT_AS(ok, what) EXPECT_ROW(ok, what, NULL)
#define EXPECT(ok) EXPECT_ROW(ok, #ok, NULL)
#define CHECK(ok)                                                                                  \
  do {                                                                                             \
    if (!EXPECT_ROW(ok, #ok, NULL)) exit(check_end());                                             \
  } while (0)

/* EXPECT_TEXT(got, want, row): text compared; both are shown where they differ. */
#define EXPECT_TEXT(...) check_text_at(__FILE__, __LINE__, __VA_ARGS__)

static inline void check_text_at(const char *file, int line, struct lm_str got, struct lm_str want,
                                 const char *row) {
  if (!check_at(lm_str_eq(got, want), file, line, "text", row)) {
    fprintf(stderr, "  got  \"%.*s\"\n  want \"%.*s\"\n", (int)got.n, got.p ? got.p : "",
            (int)want.n, want.p ? want.p : "");
  }
}

/* NULL is the empty text. */
static inline struct lm_str str(const char *text) {
  return (struct lm_str){text, text ? strlen(text) : 0};
}

static inline bool is(struct lm_str s, const char *text) {
  return lm_str_eq(s, str(text));
}

static inline bool holds(const struct lm_buf *b, const char *text) {
  return is(lm_buf_str(b), text);
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

#endif
