/*
** poll.c: which descriptors are ready: epoll(7), or poll(2) where there is none.
**
** One small slot for each descriptor number. A generation in the slot and in epoll's data tells an
** event of a descriptor that was closed from one of its successor with the same number.
*/
#define _POSIX_C_SOURCE 200809L
#include "os/poll.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "os/home.h"

#if !defined(LM_EPOLL)
#if defined(__linux__)
#define LM_EPOLL 1
#else
#define LM_EPOLL 0
#endif
#endif

#if LM_EPOLL
#include <sys/epoll.h>
#endif

enum { BATCH = 256 };

struct slot {
  uint32_t generation;
  uint8_t want;       /* what the parked coroutine waits for */
  uint8_t ready;      /* edges that nobody has used */
  uint8_t registered; /* known to epoll */
  uint8_t ended;      /* LM_POLL_READ once the peer has hung up: no other edge will tell of it */
};

struct lm_poll {
  int epoll;
  struct lm_home *home; /* whose epoll instance it is */
  bool orphans;         /* somebody was parked by the process that we are a child of */
  size_t nslots;
  struct slot *slots;
  size_t nready; /* descriptors to report */
  size_t cap;
  int *ready;
  struct pollfd *pollfds; /* poll(2) only */
};

double lm_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool open_epoll(struct lm_poll *p) {
#if LM_EPOLL
  p->epoll = epoll_create1(EPOLL_CLOEXEC);
  return p->epoll >= 0;
#else
  (void)p;
  return true;
#endif
}

struct lm_poll *lm_poll_new(void) {
  struct lm_poll *p = calloc(1, sizeof *p);
  if (p == NULL) return NULL;
  p->epoll = -1;
  p->home = lm_home_new();
  if (p->home && open_epoll(p)) return p;
  lm_poll_free(p);
  return NULL;
}

void lm_poll_free(struct lm_poll *p) {
  if (p == NULL) return;
  if (p->epoll >= 0) close(p->epoll);
  lm_home_drop(p->home);
  free(p->slots);
  free(p->ready);
  free(p->pollfds);
  free(p);
}

/* The epoll instance is the parent's, and so is all that is registered there. Only a close of ours does
** nothing to it. */
static bool make_anew(struct lm_poll *p) {
  struct lm_home *home = lm_home_new();
  size_t i;
  if (home == NULL) return false;
  if (p->epoll >= 0) close(p->epoll);
  lm_home_drop(p->home);
  p->home = home;
  for (i = 0; i < p->nslots; i++) {
    uint8_t want = p->slots[i].want;
    p->slots[i] = (struct slot){p->slots[i].generation + 1, want, want, 0, 0};
    p->orphans = p->orphans || want;
  }
  return open_epoll(p);
}

static bool at_home(struct lm_poll *p) {
  return lm_home_is_here(p->home) || make_anew(p);
}

static struct slot *slot_of(struct lm_poll *p, int fd) {
  size_t n = p->nslots ? p->nslots : 64;
  struct slot *grown;
  if (fd < 0) {
    errno = EBADF;
    return NULL;
  }
  if ((size_t)fd < p->nslots) return &p->slots[fd];
  while (n <= (size_t)fd) n *= 2;
  if ((grown = realloc(p->slots, n * sizeof *grown)) == NULL) return NULL;
  memset(grown + p->nslots, 0, (n - p->nslots) * sizeof *grown);
  p->slots = grown;
  p->nslots = n;
  return &p->slots[fd];
}

#if LM_EPOLL
static bool watch(struct lm_poll *p, int fd, struct slot *s) {
  struct epoll_event e;
  memset(&e, 0, sizeof e);
  e.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  e.data.u64 = (uint64_t)s->generation << 32 | (uint32_t)fd;
  return epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}
#else
static bool watch(struct lm_poll *p, int fd, struct slot *s) {
  (void)p, (void)s;
  return fcntl(fd, F_GETFD) >= 0; /* as epoll has it: one that is not open is refused at once */
}
#endif

enum lm_parked lm_poll_park(struct lm_poll *p, int fd, unsigned want) {
  struct slot *s = at_home(p) ? slot_of(p, fd) : NULL;
  if (s == NULL) return LM_POLL_REFUSED;
  if (!s->registered) {
    if (!watch(p, fd, s)) return LM_POLL_REFUSED;
    s->registered = 1;
  }
  if ((s->ready | s->ended) & want) {
    s->ready &= (uint8_t)~want;
    return LM_POLL_READY;
  }
  s->want = (uint8_t)want;
  return LM_POLL_PARKED;
}

void lm_poll_unpark(struct lm_poll *p, int fd) {
  if (fd >= 0 && (size_t)fd < p->nslots) p->slots[fd].want = 0;
}

void lm_poll_forget(struct lm_poll *p, int fd) {
  struct slot *s;
  if (!at_home(p) || fd < 0 || (size_t)fd >= p->nslots) return;
  s = &p->slots[fd];
#if LM_EPOLL
  if (s->registered) epoll_ctl(p->epoll, EPOLL_CTL_DEL, fd, NULL);
#endif
  *s = (struct slot){s->generation + 1, 0, 0, 0, 0};
}

/* Notes what a descriptor is ready for; reports it where that is what its coroutine waits for. */
static bool note(struct lm_poll *p, int fd, unsigned ready) {
  struct slot *s = &p->slots[fd];
  s->ready |= (uint8_t)ready;
  if ((s->ready & s->want) == 0) return true;
  if (p->nready == p->cap) {
    size_t cap = p->cap ? p->cap * 2 : BATCH;
    int *grown = realloc(p->ready, cap * sizeof *grown);
    if (grown == NULL) return false;
    p->ready = grown;
    p->cap = cap;
  }
  s->ready &= (uint8_t)~s->want;
  p->ready[p->nready++] = fd;
  return true;
}

#if LM_EPOLL
static int collect(struct lm_poll *p, int ms) {
  struct epoll_event events[BATCH];
  int n = epoll_wait(p->epoll, events, BATCH, ms), i;
  for (i = 0; i < n; i++) {
    int fd = (int)(events[i].data.u64 & 0xffffffff);
    uint32_t e = events[i].events;
    bool ended = (e & (EPOLLERR | EPOLLHUP)) != 0;
    unsigned ready = (e & (EPOLLIN | EPOLLRDHUP) || ended ? LM_POLL_READ : 0u) |
                     (e & EPOLLOUT || ended ? LM_POLL_WRITE : 0u);
    if ((size_t)fd >= p->nslots || p->slots[fd].generation != events[i].data.u64 >> 32) continue;
    if (ended || e & EPOLLRDHUP) p->slots[fd].ended = LM_POLL_READ;
    if (!note(p, fd, ready)) return -1;
  }
  return n;
}
#else
/* Builds the list anew at each wait: O(descriptors), for systems without epoll. */
static int collect(struct lm_poll *p, int ms) {
  struct pollfd *grown = realloc(p->pollfds, (p->nslots + 1) * sizeof *grown);
  size_t i;
  nfds_t used = 0;
  int n;
  if (grown == NULL) return -1;
  p->pollfds = grown;
  for (i = 0; i < p->nslots; i++) {
    uint8_t want = p->slots[i].want;
    if (want == 0) continue;
    grown[used++] = (struct pollfd){
        (int)i, (short)((want & LM_POLL_READ ? POLLIN : 0) | (want & LM_POLL_WRITE ? POLLOUT : 0)),
        0};
  }
  n = poll(grown, used, ms);
  for (i = 0; n > 0 && i < used; i++) {
    if (grown[i].revents && !note(p, grown[i].fd, p->slots[grown[i].fd].want)) return -1;
  }
  return n;
}
#endif

/* Those whom the parent had parked. */
static bool report_orphans(struct lm_poll *p) {
  size_t i;
  p->orphans = false;
  for (i = 0; i < p->nslots; i++) {
    if (p->slots[i].want && !note(p, (int)i, 0)) return false;
  }
  return true;
}

int lm_poll_wait(struct lm_poll *p, int ms) {
  p->nready = 0;
  if (!at_home(p)) return -1;
  if (p->orphans) return report_orphans(p) ? (int)p->nready : -1;
  if (collect(p, ms) < 0 && errno != EINTR) return -1;
  return (int)p->nready;
}

int lm_poll_take(struct lm_poll *p, int i) {
  int fd = p->ready[i];
  if (p->slots[fd].want == 0) return -1;
  p->slots[fd].want = 0;
  return fd;
}

int lm_poll_fd(const struct lm_poll *p) {
  return p->epoll;
}

int lm_poll_one(int fd, unsigned want, int ms) {
  struct pollfd one = {fd, 0, 0};
  int n;
  one.events = (short)((want & LM_POLL_READ ? POLLIN : 0) | (want & LM_POLL_WRITE ? POLLOUT : 0));
  n = poll(&one, 1, ms);
  return n < 0 && errno == EINTR ? 1 : n; /* a signal is no time-out: let the caller look */
}
