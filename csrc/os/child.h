/*
** child.h: a program whose standard input and output are a socket of ours.
**
** The socket is a stream as any other (net.h). What the program writes to its standard error comes by
** a pipe, and is read without waiting. No shell has a part in it, and no descriptor of this process is
** handed on but those three.
** Invariant: a process that was started is waited for exactly once, at the latest by lm_child_end.
*/
#ifndef LM_OS_CHILD_H
#define LM_OS_CHILD_H

#include "base/lm.h"

enum { LM_CHILD_PATIENCE_MS = 20 }; /* from SIGTERM to SIGKILL */

struct lm_child {
  long pid;   /* 0: none */
  long owner; /* the process that started it: a fork of that leaves it alone */
  int words;  /* its standard error, or -1 */
  int status; /* of waitpid, once `ended` */
  bool ended;
};

/* Starts argv[0], found by PATH, with these arguments (NULL behind the last). Returns the socket, the
** caller's (non-blocking); or -1 with errno. */
int lm_child_start(struct lm_child *c, char *const argv[]);

/* What it wrote to its standard error: count, 0 at the end, -1 with errno (EAGAIN: nothing now). */
long lm_child_words(struct lm_child *c, char *p, size_t n);

/* Whether it has ended; never waits. */
bool lm_child_has_ended(struct lm_child *c);

/* The same of one that has closed its output, and so is about to end: waits for that some
** milliseconds. */
bool lm_child_is_ending(struct lm_child *c);

/* Ends it: SIGTERM, and SIGKILL after LM_CHILD_PATIENCE_MS, which is as long as this may take. To be
** called when the socket is closed. Idempotent. */
void lm_child_end(struct lm_child *c);

/* "exit status 255", "killed by signal 15": in `text`; false while it runs. */
bool lm_child_fate(const struct lm_child *c, char *text, size_t size);

#endif
