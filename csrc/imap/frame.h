/*
** frame.h: bytes -> whole IMAP responses, the only incremental code of the IMAP folder.
**
** A response is a line whose strings may be literals: "{n}" CRLF and n octets, after which the
** line goes on (RFC 9051 §4.3, §9 "response"). Literals stay where they lie in the input; the
** parser of the whole response meets them in place. In cut mode the literal of a FETCH body is not
** waited for, unless it is small (limit `piece`): the frame ends behind its announcement, and the
** caller hands the octets on.
**
** This is our boundary: nothing behind it sees half a response. Two traps, both kept shut by
** `piece` and `state`: the look-back for "{n}" never crosses into an earlier literal, whose content
** may end in "{5}"; and the free text of a status response may end in "{5}" and is no literal.
*/
#ifndef LM_IMAP_FRAME_H
#define LM_IMAP_FRAME_H

#include "base/lm.h"

enum lm_frame_state {
  LM_FRAME_FRESH, /* the first piece is not yet classified */
  LM_FRAME_TEXT,  /* free text: no literal can come */
  LM_FRAME_CODE,  /* a status response inside its "[...]": literals may come */
  LM_FRAME_DATA,  /* untagged data */
  LM_FRAME_FETCH  /* untagged data of a FETCH: body literals may be cut out */
};

struct lm_imap_frame {
  size_t at;        /* octets already searched */
  size_t piece;     /* where the text behind the last literal begins */
  size_t text;      /* octets of earlier pieces, for the limit `response` */
  uint64_t held;    /* octets of literals so far, for the limit `message` */
  uint64_t literal; /* LM_FRAME_BODY: octets that follow the announcement */
  const char *why;  /* LM_FRAME_LIMIT and LM_FRAME_BAD: which limit, or what was expected */
  enum lm_frame_state state;
  bool cut; /* set by the caller: hand out body literals of FETCH */
};

enum lm_frame_got {
  LM_FRAME_MORE,  /* not whole yet */
  LM_FRAME_WHOLE, /* a whole response, line end included */
  LM_FRAME_BODY,  /* text up to and with the announcement of a body literal, in cut mode */
  LM_FRAME_LIMIT, /* a limit was passed */
  LM_FRAME_BAD    /* a literal's size is no number of 63 bits */
};

/* Looks for the end of the response at the front of `in`; its length to *size_out. Call again with
** more behind the same bytes after LM_FRAME_MORE. After LM_FRAME_BODY drop *size_out octets and the
** literal from the front, and go on: the rest is a piece of the same response. After
** LM_FRAME_WHOLE the frame is ready for the next response. */
enum lm_frame_got lm_imap_frame(struct lm_imap_frame *f, struct lm_str in,
                                const struct lm_limits *limits, size_t *size_out);

/* True where `rest`, from a "{", is an announcement that ends its line: "{" number64 "}" CRLF. Its
** number to *n_out, its length with the line end to *len_out. */
bool lm_imap_announced(struct lm_str rest, uint64_t *n_out, size_t *len_out);

#endif
