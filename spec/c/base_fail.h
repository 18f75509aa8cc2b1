/*
** base_fail.h: allocations that fail when a test says so; for programs named *_alloc_test, in which
** the linker wraps malloc, realloc and calloc.
**
** `left` is how many still succeed; negative: all do.
*/
#ifndef LM_SPEC_BASE_FAIL_H
#define LM_SPEC_BASE_FAIL_H

#include <stdlib.h>

static long left = -1;

void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_calloc(size_t n, size_t size);

static int fails(void) {
  return left >= 0 && left-- == 0;
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
