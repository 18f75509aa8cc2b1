/*
** inflate.h: a whole text out of its zlib form (RFC 1950), for compressed messages (RFC 3274 §2).
**
** The invariant: no more than the limit is ever made, and no more than LM_INFLATE_RATIO times the input
** beyond LM_INFLATE_CREDIT, so a small message cannot fill the memory.
*/
#ifndef LM_ZLIB_INFLATE_H
#define LM_ZLIB_INFLATE_H

#include "base/buf.h"

enum lm_inflate { LM_INFLATE_OK, LM_INFLATE_BAD, LM_INFLATE_LIMIT, LM_INFLATE_MEMORY };

/* Appends what `text` was made of to `out`; nothing of use stands there on failure. */
enum lm_inflate lm_inflate(struct lm_str text, struct lm_buf *out);

#endif
