/*
** tags.h: tag lists, the text of signatures and of key records (RFC 6376 §3.2): "v=1; a=rsa-sha256".
**
** Strict: a list with a tag twice, an empty tag or a character that no value may hold is none. UTF-8
** is taken in values (RFC 8616). Nothing is copied: what comes out points into the text.
*/
#ifndef LM_SIGN_TAGS_H
#define LM_SIGN_TAGS_H

#include "base/buf.h"

struct lm_tag {
  struct lm_str name;
  struct lm_str value; /* without white space around it; folds inside stay */
  struct lm_str span;  /* all between "=" and ";" or the end */
};

struct lm_tags {
  struct lm_tag tag[LM_SIGN_TAGS];
  size_t n;
  const char *why; /* what was wrong, where lm_tags_read returned false */
};

/* Reads a whole list. */
bool lm_tags_read(struct lm_str text, struct lm_tags *out);

/* The tag of that name, in that case (RFC 6376 §3.2); NULL where there is none. */
const struct lm_tag *lm_tags_find(const struct lm_tags *t, struct lm_str name);

/* Appends a value without any white space, as base64 and lists are read. False: memory. */
bool lm_tags_unfold(struct lm_buf *out, struct lm_str value);

#endif
