/*
** resolve.h: names to addresses, or to other records, without blocking, by c-ares.
**
** One object per query. It asks /etc/hosts and the name servers of this host (or those given),
** knows "localhost" and numeric addresses without asking anybody. Nothing here waits: the caller
** polls one descriptor and calls again. Which address to try first is dial's business (dial.h).
*/
#ifndef LM_OS_RESOLVE_H
#define LM_OS_RESOLVE_H

#include "os/record.h"

enum {
  LM_ADDRESS_MAX = 64,      /* a numeric address in text, with its zone and the NUL */
  LM_RESOLVE_ADDRESSES = 64 /* kept of one answer: a server has no use for more attempts */
};

struct lm_resolve_options {
  const char *servers;      /* "127.0.0.1:5353,[::1]:53": instead of this host's; NULL: its own */
  int timeout_ms;           /* for the first try of each server; 0: 2000 */
  int tries;                /* 0: 3 */
  int family;               /* 4 or 6 for that one alone; 0: both */
  enum lm_record_type type; /* others than addresses come from the name servers alone */
};

enum lm_resolve_status {
  LM_RESOLVE_WAIT,   /* poll, then step again */
  LM_RESOLVE_DONE,   /* addresses are there */
  LM_RESOLVE_REFUSED /* lm_resolve_why says why */
};

struct lm_resolve;

/* Starts asking for `name` (NUL-terminated; A-labels, no IDN here). NULL: memory, or a bad server
** list; *why_out then holds static words. */
struct lm_resolve *lm_resolve_new(const char *name, const struct lm_resolve_options *o,
                                  const char **why_out);

/* Cancels what is under way. The descriptor must have been forgotten by its poller. NULL is fine. */
void lm_resolve_free(struct lm_resolve *r);

/* Moves on, never blocks. With LM_RESOLVE_WAIT: *fd_out is to be polled for reading (or, where
** *write_out, for both), for at most *ms_out milliseconds; -1 for no descriptor. On Linux it is the
** same one until the end. */
enum lm_resolve_status lm_resolve_step(struct lm_resolve *r, int *fd_out, bool *write_out,
                                       int *ms_out);

/* The i-th address in text, or NULL behind the last one; in the order of the answer. */
const char *lm_resolve_address(const struct lm_resolve *r, size_t i);

/* The i-th row of another type's answer, or NULL behind the last one. */
const struct lm_record *lm_resolve_record(const struct lm_resolve *r, size_t i);

/* Readable words, and whether asking again later may help (no answer, SERVFAIL). */
const char *lm_resolve_why(const struct lm_resolve *r);
bool lm_resolve_is_temporary(const struct lm_resolve *r);

/* What the name servers say there is none of: "name" (NXDOMAIN), or "record" where the name has none
** of the type; NULL where they said neither. */
const char *lm_resolve_missing(const struct lm_resolve *r);

#endif
