/*
** os_alloc_test.c: the n-th allocation of a dial, of a query or of a file's reader fails: they say so, or
** go on without.
**
** Our own allocations are wrapped by the linker; those of c-ares and libc are theirs.
*/
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <unistd.h>

#include "check.h"
#include "fail.h"
#include "os/dial.h"
#include "os/file.h"
#include "os/resolve.h"
#include "os/whole.h"

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

/* A file read whole: one of known size, and a pipe, which has none and grows. */
static bool whole_file(long nth) {
  char path[] = "/tmp/lm-alloc-XXXXXX";
  int fd = mkstemp(path);
  struct lm_whole f;
  bool ok;
  CHECK(fd >= 0 && write(fd, "text", 4) == 4 && close(fd) == 0);
  fail_at(nth);
  ok = lm_whole_read(&f, path);
  fail_never();
  CHECK(unlink(path) == 0);
  CHECK(ok ? f.text.n == 4 : f.error == ENOMEM && f.text.p == NULL);
  lm_whole_free(&f);
  return ok;
}

static bool whole_pipe(long nth) {
  char path[32];
  char octets[3000] = {'x'};
  struct lm_whole f;
  bool ok;
  int ends[2];
  CHECK(pipe(ends) == 0 && write(ends[1], octets, sizeof octets) == (ssize_t)sizeof octets);
  CHECK(close(ends[1]) == 0);
  snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
  fail_at(nth);
  ok = lm_whole_read(&f, path);
  fail_never();
  CHECK(ok ? f.text.n == sizeof octets : f.error == ENOMEM && f.text.p == NULL);
  lm_whole_free(&f);
  CHECK(close(ends[0]) == 0);
  return ok;
}

static bool folder(long nth) {
  struct lm_folder *d;
  bool failed;
  fail_at(nth);
  d = lm_folder_open("/");
  fail_never();
  if (d) CHECK(lm_folder_next(d, &failed) != NULL);
  lm_folder_close(d);
  return d != NULL;
}

static void torture(bool (*live)(long nth), long allocations) {
  long n;
  for (n = 0; n < allocations; n++) CHECK(!live(n));
  CHECK(live(allocations));
}

int main(void) {
  torture(dial, 4);
  torture(resolve, 2);
  torture(whole_file, 1);
  torture(whole_pipe, 2);
  torture(folder, 1);
  return check_end();
}
