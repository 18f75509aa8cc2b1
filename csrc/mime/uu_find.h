/*
** uu_find.h: files in uuencode that stand in text, as mailers put them there before MIME, and some still do.
**
** A file is a "begin" line with a mode and a name, and the lines of data behind it, whether an "end" follows
** or not. uu.c decodes it. What is no whole line of data ends it, so text that only talks of uuencode is no file.
** Linear time.
*/
#ifndef LM_MIME_UU_FIND_H
#define LM_MIME_UU_FIND_H

#include "base/lm.h"

struct lm_uu_file {
  struct lm_str name; /* as it stands: any octets */
  struct lm_str text; /* from "begin" to the last line of data, or "end" */
};

/* The next file in `text` from octet *at on, which is moved behind it; false where there is none. */
bool lm_uu_next(struct lm_str text, size_t *at, struct lm_uu_file *out);

#endif
