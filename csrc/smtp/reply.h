/*
** reply.h: SMTP replies: three digits, an enhanced code, lines of text.
**
** A reply is put together line by line, so that one may arrive in any pieces; the grammar is
** RFC 5321 §4.2, the enhanced code RFC 2034. Not here: which command a reply answers (client.c).
*/
#ifndef LM_SMTP_REPLY_H
#define LM_SMTP_REPLY_H

#include "base/wire.h"

struct lm_smtp_reply {
  unsigned code;      /* 200..599 */
  struct lm_str text; /* the lines behind their codes, joined by LF */
};

static inline bool lm_smtp_positive(const struct lm_smtp_reply *r) {
  return r->code >= 200 && r->code < 300;
}

/* What is known of a reply whose lines still come. */
struct lm_smtp_reader {
  struct lm_buf text; /* lines so far, joined; unused by replies of one line */
  unsigned code;      /* 0: no line has come */
  size_t lines;
};

/* The next whole reply from the wire. Its text is valid until the next call. A line that is no reply
** line, a code that changes between lines, too many lines: LM_FAIL. */
enum lm_status lm_smtp_reply_next(struct lm_smtp_reader *r, struct lm_wire *w,
                                  const struct lm_limits *limits, struct lm_smtp_reply *reply_out);

void lm_smtp_reader_free(struct lm_smtp_reader *r);

/* One line as code, whether more follow, and its text; false where it is no reply line. */
bool lm_smtp_reply_line(struct lm_str line, unsigned *code_out, bool *more_out,
                        struct lm_str *text_out);

/* The enhanced code at the front of the reply's text ("5.1.1 no such user"), or empty. It must be of the same
** class as the reply's code. Looked for only where somebody asks: most replies say yes. */
struct lm_str lm_smtp_enhanced(const struct lm_smtp_reply *reply);

#endif
