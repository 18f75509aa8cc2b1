/*
** poll.h: which descriptors are ready: epoll(7), or poll(2) where there is none.
**
** Made for a scheduler of coroutines: a descriptor is parked with what its coroutine waits for, and
** comes back once. With epoll a descriptor is registered once in its life, edge-triggered; an edge
** that comes while nobody waits is kept, so parking then answers at once.
** A child of fork(2) that comes upon its parent's poller gets an empty one in its place; whoever was
** parked there is reported, and finds out.
** Invariant: lm_poll_forget before close(2).
*/
#ifndef LM_OS_POLL_H
#define LM_OS_POLL_H

#include "base/lm.h"

enum { LM_POLL_READ = 1, LM_POLL_WRITE = 2 };

struct lm_poll;

/* NULL where the system refuses; errno says why. */
struct lm_poll *lm_poll_new(void);
void lm_poll_free(struct lm_poll *p);

enum lm_parked {
  LM_POLL_PARKED, /* lm_poll_wait will report it */
  LM_POLL_READY,  /* it is ready already: try now */
  LM_POLL_REFUSED /* errno says why */
};

/* Waits for LM_POLL_READ, LM_POLL_WRITE or both on `fd`. One waiter a descriptor. */
enum lm_parked lm_poll_park(struct lm_poll *p, int fd, unsigned want);

/* The waiter gave up (timeout, cancel). */
void lm_poll_unpark(struct lm_poll *p, int fd);

/* `fd` is about to be closed. */
void lm_poll_forget(struct lm_poll *p, int fd);

/* Waits up to `ms` milliseconds (-1: for ever) and returns how many parked descriptors are ready;
** -1 on failure. A signal ends the wait early with 0. */
int lm_poll_wait(struct lm_poll *p, int ms);

/* The i-th of them, valid until the next wait; -1 where it was unparked or forgotten since. */
int lm_poll_take(struct lm_poll *p, int i);

/* The one descriptor that is readable while lm_poll_wait has something to report, for somebody
** else's loop; -1 where there is none (poll(2)). */
int lm_poll_fd(const struct lm_poll *p);

/* Waits for one descriptor alone, without a poller: 1 ready, 0 timeout, -1 failure. */
int lm_poll_one(int fd, unsigned want, int ms);

/* Seconds of a clock that only goes forward. */
double lm_now(void);

#endif
