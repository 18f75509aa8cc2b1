/*
** flowed.h: text/plain with format=flowed, both ways (RFC 3676).
**
** A line that ends in a space goes on in the next one of the same quote depth; a line's first space is
** stuffing. "-- " alone is the line above a signature, and never flows.
*/
#ifndef LM_MIME_FLOWED_H
#define LM_MIME_FLOWED_H

#include "base/buf.h"

/* Appends the paragraphs of flowed text as one line each, in LF, quotes with `>` for each level and a
** space. `delsp`: the space that made a line flow is none of the text (§4.2). Lines may end in CRLF, LF.
** Linear time. False when memory is short. */
bool lm_flowed_read(struct lm_str text, bool delsp, struct lm_buf *out);

/* Appends UTF-8 text as flowed lines in CRLF of at most 78 characters where it has spaces to flow at,
** without DelSp. Lines that begin with `>` are quotes, and stay ones. Space at the end of a line, which
** would make it flow, is dropped. */
bool lm_flowed_write(struct lm_str text, struct lm_buf *out);

#endif
