/*
** fold.h: header fields as they are written: folded, with encoded words and extended parameters
** (RFC 5322 §2.2.3, RFC 2047, RFC 2231, RFC 6532).
**
** Lines hold at most 78 characters where the value has a space to fold at, 76 where an encoded word is
** in them, never more than 998. What is written is read back as the same value. No line end can get
** in: whoever writes a field asks lm_fold_refusal first.
*/
#ifndef LM_MIME_FOLD_H
#define LM_MIME_FOLD_H

#include "base/buf.h"

/* One field under construction; `out` is the caller's. */
struct lm_fold {
  struct lm_buf *out;
  size_t column;
  bool utf8; /* UTF-8 as it stands (RFC 6532), in place of encoded words */
};

/* Why no field of that name and value is written, as words: no field name, a line end or NUL, not
** UTF-8; NULL where it can be. */
const char *lm_fold_refusal(struct lm_str name, struct lm_str value);

/* "Name:"; then one of the values below, any parameters, and the end. Each is false where memory is
** short. */
bool lm_fold_begin(struct lm_fold *f, struct lm_buf *out, struct lm_str name, bool utf8);

/* Unstructured text: encoded words where they are needed, and only there. */
bool lm_fold_text(struct lm_fold *f, struct lm_str utf8);

/* Structured text, encoded already: addresses, message ids, a media type. Folded at spaces, which
** count as one; those in quotes stay. */
bool lm_fold_tokens(struct lm_fold *f, struct lm_str text);

/* "; name=value" (params_write.c): as a token, quoted, or by RFC 2231 with its continuations. */
bool lm_fold_param(struct lm_fold *f, struct lm_str name, struct lm_str utf8);

bool lm_fold_end(struct lm_fold *f);

/* A space, or a fold before `width` characters that do not fit into the line of `limit`. */
bool lm_fold_space(struct lm_fold *f, size_t width, size_t limit);

/* Appends and counts. */
bool lm_fold_put(struct lm_fold *f, struct lm_str s);

#endif
