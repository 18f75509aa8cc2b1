/*
** home.h: the process that something belongs to: a child of fork(2) must not use what it inherits.
**
** Descriptors are shared with the parent, epoll instances too: what a child would send, read, add or
** take out there happens to the parent. Asked before every move, so that it may not cost a system
** call: where the kernel can, a page that reads as zeroes in the child tells (MADV_WIPEONFORK).
** Invariant: the answer never changes from no to yes.
*/
#ifndef LM_OS_HOME_H
#define LM_OS_HOME_H

#include "base/lm.h"

struct lm_home;

/* The process that calls, held once; NULL where memory is short. */
struct lm_home *lm_home_new(void);

/* Holds it once more; returns it. NULL is fine. */
struct lm_home *lm_home_hold(struct lm_home *h);

/* Gives one hold back; the last one frees it. NULL is fine. */
void lm_home_drop(struct lm_home *h);

/* True in the process in which it was made. NULL, a home unknown, is always here. */
bool lm_home_is_here(const struct lm_home *h);

/* getpid(2), for what is asked seldom. */
long lm_home_process(void);

#endif
