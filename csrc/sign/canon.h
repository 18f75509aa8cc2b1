/*
** canon.h: the two canonicalizations of DKIM and ARC, of header fields and of bodies (RFC 6376 §3.4).
**
** A body comes in pieces of any size and the result is the same for any cut; a field comes whole.
** Lines that end in a bare LF count as if they ended in CRLF, since that is how they were, or will be,
** on the wire (RFC 6376 §5.3).
*/
#ifndef LM_SIGN_CANON_H
#define LM_SIGN_CANON_H

#include "base/buf.h"
#include "mime/header.h"

enum lm_canon { LM_CANON_SIMPLE, LM_CANON_RELAXED };

/* --- bodies -------------------------------------------------------------------------------------- */

/* What a bare CR in a body is: the end of a line for a message that will be sent, since base/dot.h
** makes it one; an octet like others in a message that was received, since its signer took it so. */
enum lm_canon_cr { LM_CANON_CR_ENDS_LINE, LM_CANON_CR_IS_TEXT };

typedef bool lm_canon_sink(void *to, struct lm_str canonical);

struct lm_canon_body {
  enum lm_canon kind;
  enum lm_canon_cr bare_cr;
  lm_canon_sink *sink;
  void *to;
  uint64_t limit;  /* octets of the canonical form that reach the sink */
  uint64_t length; /* ... that there are */
  uint64_t ends;   /* line ends not yet written: those at the end of the body count for nothing */
  bool cr;         /* a CR that may be the first half of a line end */
  bool ended;      /* a CR ended the line: an LF behind it is no line of its own */
  bool space;      /* white space that is kept if text follows in this line */
  bool failed;     /* the sink refused */
  size_t held;
  char block[4096];
};

/* `limit`: the l= of RFC 6376 §3.5; UINT64_MAX for all. */
void lm_canon_body_start(struct lm_canon_body *b, enum lm_canon kind, enum lm_canon_cr bare_cr,
                         uint64_t limit);
/* Where the canonical form goes; a false from there ends it all. */
void lm_canon_body_to(struct lm_canon_body *b, lm_canon_sink *sink, void *to);
bool lm_canon_body_add(struct lm_canon_body *b, struct lm_str piece);
/* Ends the body; false where the sink ever refused. */
bool lm_canon_body_end(struct lm_canon_body *b);

/* --- fields -------------------------------------------------------------------------------------- */

/* Appends a field in its canonical form, without the CRLF behind it. False: memory. */
bool lm_canon_field(struct lm_buf *out, const struct lm_header_field *f, enum lm_canon kind);

/* The same for a signature's own field, whose "b=" loses its value (RFC 6376 §3.7). False: memory,
** or its value is no tag list. */
bool lm_canon_signature(struct lm_buf *out, const struct lm_header_field *f, enum lm_canon kind);

#endif
