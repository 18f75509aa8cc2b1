/*
** deflate.h: DEFLATE both ways between a session's wire and what lies below it, as a filter
** (base/link.h), for IMAP's COMPRESS (RFC 4978, RFC 1951).
**
** No I/O, no allocation of its own beyond zlib's state. Not here: who may switch it on, and when.
** The invariant: what a peer's octets may grow to is bounded, in each turn and over the connection
** (LM_INFLATE_TURN, LM_INFLATE_RATIO, LM_INFLATE_CREDIT), and what the session has put leaves whole
** with the turn that takes the last of it (Z_SYNC_FLUSH): the peer can read each command at once.
*/
#ifndef LM_ZLIB_DEFLATE_H
#define LM_ZLIB_DEFLATE_H

#include "base/link.h"

/* A filter, or NULL when memory is short. The caller's, until a link takes it: lm_link_continue,
** since the peer's compressed octets may stand behind its OK already. */
struct lm_filter *lm_deflate_new(void);

/* The filter of a link; NULL where there is none. */
struct lm_filter *lm_deflate_find(const struct lm_link *l);

/* Octets so far: as the transport saw them, and as the session did. */
struct lm_deflate_count {
  uint64_t in, in_plain, out, out_plain;
};

struct lm_deflate_count lm_deflate_count(const struct lm_filter *f);

#endif
