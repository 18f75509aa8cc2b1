/*
** os_alloc_test.c: the n-th allocation of a dial or of a query fails: they say so, or go on without.
**
** Our own allocations are wrapped by the linker; those of c-ares and libc are theirs.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/dial.h"
#include "os/resolve.h"

static int cases;
static long left = -1; /* allocations until the one that fails; negative: none does */

#define CHECK(what)                                                                                \
  do {                                                                                             \
    cases++;                                                                                       \
    if (!(what)) {                                                                                 \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                           \
      exit(1);                                                                                     \
    }                                                                                              \
  } while (0)

static bool fails(void) {
  return left >= 0 && left-- == 0;
}

void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_malloc(size_t n) {
  return fails() ? NULL : __real_malloc(n);
}

void *__wrap_realloc(void *p, size_t n) {
  return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_calloc(size_t n, size_t size) {
  return fails() ? NULL : __real_calloc(n, size);
}

/* True where it came to be. */
static bool dial(long nth) {
  static const char *const addresses[] = {"127.0.0.1", "::1", "127.0.0.2"};
  const char *why;
  struct lm_dial *d;
  left = nth;
  d = lm_dial_new(addresses, 3, 25, NULL, &why);
  left = -1;
  CHECK(d ? why == NULL : strcmp(why, "out of memory") == 0);
  lm_dial_free(d);
  return d != NULL;
}

static bool resolve(long nth) {
  struct lm_resolve_options o = {0};
  const char *why;
  struct lm_resolve *r;
  bool found = false, write;
  int fd, ms;
  left = nth;
  r = lm_resolve_new("127.0.0.1", &o, &why);
  CHECK(r || strcmp(why, "out of memory") == 0);
  if (r) found = lm_resolve_step(r, &fd, &write, &ms) == LM_RESOLVE_DONE;
  left = -1;
  CHECK(r == NULL || found == (lm_resolve_address(r, 0) != NULL));
  CHECK(r == NULL || found || lm_resolve_is_temporary(r));
  lm_resolve_free(r);
  return found;
}

static void torture(bool (*live)(long nth), long allocations) {
  long n;
  for (n = 0; n < allocations; n++) CHECK(!live(n));
  CHECK(live(allocations));
}

int main(void) {
  torture(dial, 4);
  torture(resolve, 2);
  printf("ok %d\n", cases);
  return 0;
}
