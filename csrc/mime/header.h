/*
** header.h: the header fields of a message that lies in memory, one after another (RFC 5322 §2.2).
**
** A walk, not a tree: it gives names, raw values and offsets, decodes nothing and copies nothing.
** Lines end in CRLF, LF or CR, mixed. An mbox "From " line at the front is passed over. The header
** ends at an empty line, or, where that is missing, at the first line that is none of a header's and
** that no field follows. Each line is looked at a fixed number of times.
*/
#ifndef LM_MIME_HEADER_H
#define LM_MIME_HEADER_H

#include "base/lm.h"

struct lm_header_field {
  struct lm_str name;  /* without the colon; n is 0 for a stray line, which is then the value */
  struct lm_str value; /* behind the colon, folds and all, without the last line end */
  size_t start;        /* offset of the name */
  size_t end;          /* ... and of what follows the field's last line end */
};

struct lm_header_walk {
  struct lm_str text;
  size_t at;      /* the next field; after the end: where the body begins */
  size_t defects; /* stray lines, a header without an empty line behind it */
  bool begun;     /* no mbox line is looked for any more */
};

struct lm_header_walk lm_header_walk(struct lm_str message);

/* Passes over an mbox line where the walk has not begun yet; true where there was one. */
bool lm_header_mbox(struct lm_header_walk *w);

/* The next field; false at the end of the header. */
bool lm_header_next(struct lm_header_walk *w, struct lm_header_field *out);

#endif
