/*
** tree.h: the parts of a message that lies in memory, as offsets into it.
**
** Made by one pass of the parser (parser.h), so both see the same structure. Nothing is copied and
** nothing decoded: a part knows where its header and its content stand, and the raw values of those
** fields that say what it is. Parts stand in the order of the text, a part before what it holds.
*/
#ifndef LM_MIME_TREE_H
#define LM_MIME_TREE_H

#include "mime/parser.h"

#define LM_NO_PART UINT32_MAX

struct lm_part {
  size_t start;       /* of the header */
  size_t body;        /* where the header has ended and the content begins */
  size_t end;         /* one past the content; the line end before a delimiter is none of it */
  size_t preamble;    /* of a multipart: one past its preamble */
  size_t epilogue;    /* of a multipart: where its epilogue begins; `end` where there is none */
  struct lm_str type; /* raw values; p is NULL where the field is missing */
  struct lm_str disposition;
  struct lm_str id;
  uint32_t fields; /* of the header */
  uint32_t parent; /* indices; LM_NO_PART where there is none */
  uint32_t first;
  uint32_t last;
  uint32_t next;
  enum lm_mime_shape shape;
  enum lm_transfer transfer;
  bool digest; /* a message where it does not say otherwise */
};

struct lm_mime_defect {
  const char *why; /* static words */
  size_t offset;
};

struct lm_tree {
  struct lm_str text;
  struct lm_part *parts; /* the first is the message itself */
  size_t count;
  size_t room;
  struct lm_mime_defect *defects; /* the first LM_DEFECTS of them */
  size_t defects_n;               /* ... how many these are */
  size_t defects_room;
  size_t defects_all; /* how many there were */
};

/* The tree of `text`, which must outlive it. NULL as limits: the defaults. False when memory is short;
** nothing is to be freed then. */
bool lm_tree_read(struct lm_tree *t, struct lm_str text, const struct lm_mime_limits *limits);

/* The same with a parser that was made or reset with the limits, and is of no use until it is reset again. The
** tree is all zero, or one that was read before: its memory is used again. */
bool lm_tree_read_by(struct lm_parser *p, struct lm_tree *t, struct lm_str text);

void lm_tree_free(struct lm_tree *t);

/* One past the last of the parts that `part` holds, itself included. */
const struct lm_part *lm_tree_behind(const struct lm_tree *t, const struct lm_part *part);

/* What a part is: its media type, or the default for its place (RFC 2046 §5.1.5). */
struct lm_media;
void lm_tree_media(const struct lm_part *part, struct lm_media *out);

#endif
