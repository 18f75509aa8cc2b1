/*
** parser.h: the structure of a message, from pieces of any size (RFC 5322 §2.1, RFC 2045, RFC 2046).
**
** Feed octets, pull events: a part begins, its fields, its header ends, its content, it ends. Content
** is as it stands, encoded; transfer.h decodes it. Holds one header field and the one behind it at
** most, else a few octets. Nothing is an error but short memory: what breaks the rules is told as a
** defect, and read as RFC 7103 advises. The events are the same for every cut into pieces, save where
** content is cut.
*/
#ifndef LM_MIME_PARSER_H
#define LM_MIME_PARSER_H

#include "mime/header.h"
#include "mime/transfer.h"

enum lm_mime_kind {
  LM_MIME_PART,     /* a part begins; the message itself is the first */
  LM_MIME_FIELD,    /* a header field, or a stray line */
  LM_MIME_CONTENT,  /* its header has ended; what it is, is known */
  LM_MIME_BODY,     /* octets of a leaf */
  LM_MIME_PREAMBLE, /* octets of a multipart before its first part */
  LM_MIME_EPILOGUE, /* ... behind its last one */
  LM_MIME_PART_END,
  LM_MIME_DEFECT,
  LM_MIME_END /* of the message, once */
};

enum lm_mime_shape {
  LM_MIME_LEAF,
  LM_MIME_MULTIPART,
  LM_MIME_MESSAGE /* one part follows: the message that this one holds */
};

struct lm_mime_event {
  enum lm_mime_kind kind;
  uint64_t offset; /* in the message: where it begins; where the content of a part ended */
  size_t depth;    /* of the part; 1 is the message itself */
  struct lm_header_field field; /* FIELD; start and end are of no use here */
  uint64_t end;                 /* FIELD: one past its last octet */
  struct lm_str text;           /* BODY, PREAMBLE, EPILOGUE */
  const char *why;              /* DEFECT: static words */
  enum lm_mime_shape shape;     /* CONTENT */
  enum lm_transfer transfer;
  bool digest; /* ... its parent is a digest: a message where it does not say otherwise */
};

struct lm_parser;

/* NULL as limits: the defaults. NULL when memory is short. */
struct lm_parser *lm_parser_new(const struct lm_mime_limits *limits);
void lm_parser_free(struct lm_parser *p);

/* Begins anew with another message; the memory is kept. */
void lm_parser_reset(struct lm_parser *p, const struct lm_mime_limits *limits);

/* Lends more input, which must stay until lm_parser_next answers LM_WAIT; only then is more taken.
** False when memory is short. */
bool lm_parser_feed(struct lm_parser *p, struct lm_str piece);

/* The message ends with what was fed. */
void lm_parser_eof(struct lm_parser *p);

/* The next event; its text is valid until the next call. LM_WAIT: more input, or, behind LM_MIME_END,
** nothing more. LM_FAIL when memory is short, and ever after: only a reset or the end is left. */
enum lm_status lm_parser_next(struct lm_parser *p, struct lm_mime_event *ev);

#endif
