/*
** dial.h: a TCP connection to the first of several addresses that answers (RFC 8305).
**
** Attempts start 250 ms apart, or at once where the one before has failed; IPv6 first, then the
** families in turn; the first that connects wins, the others are closed. Nothing here waits: time
** is an argument, and one descriptor stands for all attempts.
*/
#ifndef LM_OS_DIAL_H
#define LM_OS_DIAL_H

#include "base/lm.h"

enum { LM_DIAL_ADDRESSES = 64, LM_DIAL_STAGGER_MS = 250 };

struct lm_dial;

/* Prepares attempts to numeric addresses ("192.0.2.1", "fe80::1%eth0"), `n` of them; what lies
** behind LM_DIAL_ADDRESSES is not tried. `local` (may be NULL): the address to come from; those of
** another family are left out. NULL: memory, or *why_out says which address is none. */
struct lm_dial *lm_dial_new(const char *const *addresses, size_t n, unsigned port,
                            const char *local, const char **why_out);

/* Closes whatever is still open; the descriptor must have been forgotten by its poller. NULL is
** fine. */
void lm_dial_free(struct lm_dial *d);

enum lm_dial_status {
  LM_DIAL_WAIT,      /* poll, then step again */
  LM_DIAL_CONNECTED, /* lm_dial_take has the socket */
  LM_DIAL_REFUSED    /* every attempt has failed: lm_dial_why */
};

/* Moves on; `now` in seconds, of a clock that only goes forward. With LM_DIAL_WAIT: *fd_out is to
** be polled (for writing where *write_out, else for reading) for at most *ms_out milliseconds, -1:
** for ever. On Linux it is the same one until the end. */
enum lm_dial_status lm_dial_step(struct lm_dial *d, double now, int *fd_out, bool *write_out,
                                 int *ms_out);

/* The connected socket, the caller's from now on (non-blocking, close-on-exec, TCP_NODELAY); -1
** where there is none. */
int lm_dial_take(struct lm_dial *d);

/* The address that it is connected to, or that the reason is about; NULL before. */
const char *lm_dial_address(const struct lm_dial *d);

/* The most telling reason (refused before unreachable), with its address. */
const char *lm_dial_why(struct lm_dial *d);

#endif
