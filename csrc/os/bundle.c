/*
** bundle.c: an epoll instance that a host's loop watches, or nothing where there is no epoll.
**
** What is ready is asked level-triggered and without a timeout: waiting is the host's.
*/
#include "os/bundle.h"

#include <string.h>
#include <unistd.h>

#include "os/home.h"

#if defined(__linux__)
#include <sys/epoll.h>
#define HAVE_EPOLL 1
#else
#define HAVE_EPOLL 0
#endif

enum { SLICE_MS = 20, EVENTS = 8 };

void lm_bundle_open(struct lm_bundle *b) {
#if HAVE_EPOLL
  b->fd = epoll_create1(EPOLL_CLOEXEC);
#else
  b->fd = -1;
#endif
  b->process = lm_home_process();
}

bool lm_bundle_is_ours(const struct lm_bundle *b) {
  return b->process == lm_home_process();
}

void lm_bundle_close(struct lm_bundle *b) {
  if (b->fd >= 0) close(b->fd);
  b->fd = -1;
}

int lm_bundle_patience(const struct lm_bundle *b, int ms) {
  return b->fd < 0 && (ms < 0 || ms > SLICE_MS) ? SLICE_MS : ms;
}

#if HAVE_EPOLL

void lm_bundle_watch(const struct lm_bundle *b, int fd, bool readable, bool writable) {
  struct epoll_event e;
  memset(&e, 0, sizeof e);
  e.events = (readable ? (uint32_t)EPOLLIN : 0u) | (writable ? (uint32_t)EPOLLOUT : 0u);
  e.data.fd = fd;
  if (b->fd < 0 || !lm_bundle_is_ours(b)) return;
  if (e.events == 0) {
    epoll_ctl(b->fd, EPOLL_CTL_DEL, fd, &e);
  } else if (epoll_ctl(b->fd, EPOLL_CTL_ADD, fd, &e) != 0) {
    epoll_ctl(b->fd, EPOLL_CTL_MOD, fd, &e);
  }
}

int lm_bundle_ready(const struct lm_bundle *b, struct lm_bundle_ready *ready, int most) {
  struct epoll_event events[EVENTS];
  int n, i;
  if (b->fd < 0 || !lm_bundle_is_ours(b)) return 0;
  n = epoll_wait(b->fd, events, most < EVENTS ? most : EVENTS, 0);
  for (i = 0; i < n; i++) {
    ready[i].fd = events[i].data.fd;
    ready[i].readable = (events[i].events & ~(uint32_t)EPOLLOUT) != 0;
    ready[i].writable = (events[i].events & ~(uint32_t)EPOLLIN) != 0;
  }
  return n < 0 ? 0 : n;
}

#else

void lm_bundle_watch(const struct lm_bundle *b, int fd, bool readable, bool writable) {
  (void)b, (void)fd, (void)readable, (void)writable;
}

int lm_bundle_ready(const struct lm_bundle *b, struct lm_bundle_ready *ready, int most) {
  (void)b, (void)ready, (void)most;
  return 0;
}

#endif
