/*
** fail.h: an allocation that fails when a test says so; for programs named *_alloc_test, in which
** the linker wraps malloc, realloc and calloc.
**
** Invariant: after fail_at exactly one allocation fails, or, where so many are not made, none.
*/
#ifndef LM_SPEC_FAIL_H
#define LM_SPEC_FAIL_H

#include <errno.h>

#include "check.h"

static long left = -1; /* allocations until the one that fails; negative: none does */
static long refused;   /* how many have failed since fail_at */

void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_calloc(size_t n, size_t size);

/* The nth allocation from now fails, counted from 0; negative: none does. */
static inline void fail_at(long nth) {
  left = nth;
  refused = 0;
}

/* All succeed from now on; `refused` keeps its count. */
static inline void fail_never(void) {
  left = -1;
}

/* Lets the first allocation of `run` fail, then the second, and so on, until none does: then it must run
** through, and only behind `least` of them. */
static inline void survive(bool (*run)(void), long least) {
  long n;
  for (n = 0; n < 1000; n++) {
    bool ok;
    fail_at(n);
    ok = run();
    fail_never();
    if (refused == 0) {
      CHECK(ok && n >= least);
      return;
    }
  }
  CHECK(!"ends");
}

/* True where this allocation is the one; then errno is set, as malloc does. */
static bool fails(void) {
  bool now = left >= 0 && left-- == 0;
  refused += now;
  if (now) errno = ENOMEM;
  return now;
}

void *__wrap_malloc(size_t n) {
  return fails() ? NULL : __real_malloc(n);
}

void *__wrap_realloc(void *p, size_t n) {
  return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_calloc(size_t n, size_t size) {
  return fails() ? NULL : __real_calloc(n, size);
}

#endif
