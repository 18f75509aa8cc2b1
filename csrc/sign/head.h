/*
** head.h: the header of a message that comes in pieces, and what a signature covers of it.
**
** Takes bytes up to the empty line, keeps them, and then picks fields by name from the bottom up, as
** h= lists them (RFC 6376 §5.4.2): a name listed again means the next field above, and one that is
** not there stands for its absence. Finding a field costs a binary search, whatever a message brings.
*/
#ifndef LM_SIGN_HEAD_H
#define LM_SIGN_HEAD_H

#include "sign/canon.h"

struct lm_head;

enum lm_head_state {
  LM_HEAD_MORE,
  LM_HEAD_WHOLE, /* the body begins behind what was taken */
  LM_HEAD_LIMIT, /* longer than LM_SIGN_HEADER, or more than LM_SIGN_FIELDS fields */
  LM_HEAD_MEMORY
};

/* NULL when memory is short. */
struct lm_head *lm_head_new(void);
void lm_head_free(struct lm_head *h);

/* Takes bytes of the message; *used_out says how many, the rest is the body's. */
enum lm_head_state lm_head_add(struct lm_head *h, struct lm_str piece, size_t *used_out);

/* The message has ended: a header without an empty line is one all the same. */
enum lm_head_state lm_head_end(struct lm_head *h);

/* --- once it is whole ---------------------------------------------------------------------------- */

size_t lm_head_count(const struct lm_head *h);
const struct lm_header_field *lm_head_field(const struct lm_head *h, size_t i);

/* True where every line of it is part of a field (an mbox "From " line at the front is no matter).
** What else stands there two programs may read in two ways, so no signature should count. */
bool lm_head_is_clean(const struct lm_head *h);

/* How many fields have this name. */
size_t lm_head_has(const struct lm_head *h, struct lm_str name);

/* Appends the fields that `names` lists ("from:to: subject"), canonical, each with its CRLF. A name of
** no letters is passed over. False: memory. */
bool lm_head_cover(const struct lm_head *h, struct lm_str names, enum lm_canon kind,
                   struct lm_buf *out);

#endif
