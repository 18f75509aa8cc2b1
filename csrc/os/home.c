/*
** home.c: a page that a child finds empty, or else the number of the process.
**
** Holds are counted without a lock: each Lua state has a home of its own, and is one thread's at a
** time.
*/
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE 1 /* MAP_ANONYMOUS, MADV_WIPEONFORK */
#endif

#include "os/home.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct lm_home {
  unsigned holds;
  size_t size;
  volatile char *page; /* its first octet is 1 here and 0 in a child; NULL: ask for the number */
  pid_t process;
};

#if defined(MADV_WIPEONFORK)
static volatile char *page_for(size_t size) {
  char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  if (madvise(p, size, MADV_WIPEONFORK) == 0) {
    *p = 1;
    return p;
  }
  munmap(p, size);
  return NULL;
}

static void release_page(struct lm_home *h) {
  if (h->page) munmap((void *)(uintptr_t)h->page, h->size);
}
#else
static volatile char *page_for(size_t size) {
  (void)size;
  return NULL;
}

static void release_page(struct lm_home *h) {
  (void)h;
}
#endif

struct lm_home *lm_home_new(void) {
  struct lm_home *h = calloc(1, sizeof *h);
  long size = sysconf(_SC_PAGESIZE);
  if (h == NULL) return NULL;
  h->holds = 1;
  h->size = size > 0 ? (size_t)size : 4096;
  h->page = page_for(h->size);
  h->process = getpid();
  return h;
}

struct lm_home *lm_home_hold(struct lm_home *h) {
  if (h) h->holds++;
  return h;
}

void lm_home_drop(struct lm_home *h) {
  if (h == NULL || --h->holds > 0) return;
  release_page(h);
  free(h);
}

bool lm_home_is_here(const struct lm_home *h) {
  if (h == NULL) return true;
  return h->page ? *h->page != 0 : h->process == getpid();
}

long lm_home_process(void) {
  return (long)getpid();
}
