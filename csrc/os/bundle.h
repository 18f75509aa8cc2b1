/*
** bundle.h: one descriptor that stands for several, so that any event loop has one to watch.
**
** It stays the same while those inside come and go, so nothing has to be forgotten by the loop. An
** epoll(7) instance; where there is none (another system, or no descriptor left) `fd` is -1, and its
** owner shows one of its own descriptors and comes back soon (lm_bundle_patience).
** A child of fork(2) shares the instance with its parent, and leaves it alone.
** Invariant: a descriptor is taken out before it leaves its owner; close(2) takes it out as well.
*/
#ifndef LM_OS_BUNDLE_H
#define LM_OS_BUNDLE_H

#include "base/lm.h"

struct lm_bundle {
  int fd;       /* readable while one inside is ready; -1: there is none */
  long process; /* whose it is */
};

struct lm_bundle_ready {
  int fd;
  bool readable; /* or failed */
  bool writable; /* or failed */
};

/* Never fails: fd is -1 where the system has none to give. */
void lm_bundle_open(struct lm_bundle *b);

/* False in a child of the process that opened it. */
bool lm_bundle_is_ours(const struct lm_bundle *b);

/* Those inside are not closed. A second time does nothing. */
void lm_bundle_close(struct lm_bundle *b);

/* Watches `fd` for that from now on; neither: no longer. */
void lm_bundle_watch(const struct lm_bundle *b, int fd, bool readable, bool writable);

/* Those that are ready now, at most `most`; returns how many. Never waits. */
int lm_bundle_ready(const struct lm_bundle *b, struct lm_bundle_ready *ready, int most);

/* How long to wait, `ms` at most (-1: for ever): less where only one of several is watched. */
int lm_bundle_patience(const struct lm_bundle *b, int ms);

#endif
