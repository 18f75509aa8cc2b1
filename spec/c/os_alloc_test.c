/*
** os_alloc_test.c: the n-th allocation of a dial or of a query fails: they say so, or go on without.
**
** Our own allocations are wrapped by the linker; those of c-ares and libc are theirs.
*/
#include "check.h"
#include "fail.h"
#include "os/dial.h"
#include "os/resolve.h"

/* True where it came to be. */
static bool dial(long nth) {
  static const char *const addresses[] = {"127.0.0.1", "::1", "127.0.0.2"};
  const char *why;
  struct lm_dial *d;
  fail_at(nth);
  d = lm_dial_new(addresses, 3, 25, NULL, &why);
  fail_never();
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
  fail_at(nth);
  r = lm_resolve_new("127.0.0.1", &o, &why);
  CHECK(r || strcmp(why, "out of memory") == 0);
  if (r) found = lm_resolve_step(r, &fd, &write, &ms) == LM_RESOLVE_DONE;
  fail_never();
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
  return check_end();
}
