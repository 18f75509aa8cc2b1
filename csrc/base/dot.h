/*
** dot.h: dot-stuffing both ways (RFC 5321 §4.5.2, RFC 1939 §3).
**
** Outward, text in any line endings becomes lines in CRLF, a dot at the start of a line is doubled,
** and a line with one dot ends it. Bare CR and bare LF never leave (SMTP smuggling, VU#302671).
** Inward, the doubled dot is single again and the end is found; only CRLF.CRLF ends, unless the
** peer's own status line ended in a bare LF.
** Both are state machines over pieces of any size, with the same result for any cut.
*/
#ifndef LM_BASE_DOT_H
#define LM_BASE_DOT_H

#include "base/buf.h"

/* --- outward --------------------------------------------------------------------------------- */

struct lm_dotout {
  bool mid_line; /* the last byte sent was not the end of a line */
  bool cr;       /* a CR was held back: it ends a line with or without an LF */
  bool plain;    /* line endings only: dots stay single, and nothing marks the end (BDAT) */
};

/* How many bytes at the front of `s` may be sent as they are. Bytes that depend on what follows the
** piece (a CR at its end) are not counted. Many bytes a step where the machine allows. */
size_t lm_dotout_clean(const struct lm_dotout *d, struct lm_str s);

/* True where a CR without LF, or an LF without CR, stands in the text. For pieces in order, with a
** state of its own, `plain` set; a CR at the very end is left in d->cr. */
bool lm_dotout_is_bare(struct lm_dotout *d, struct lm_str s);

/* The first `n` bytes of a piece, all clean, were sent by the caller. */
void lm_dotout_sent(struct lm_dotout *d, struct lm_str s, size_t n);

/* Appends the encoded form of `s`; false when memory is short. */
bool lm_dotout_put(struct lm_dotout *d, struct lm_buf *out, struct lm_str s);

/* Ends the text: a final CRLF where it lacks one, then, unless it is plain, ".", CRLF. */
bool lm_dotout_end(struct lm_dotout *d, struct lm_buf *out);

/* --- inward ---------------------------------------------------------------------------------- */

struct lm_dotin {
  uint8_t state; /* private to dot.c; zero at the start of a line */
  bool lf;       /* lines may end in a bare LF */
};

enum lm_dotin_more {
  LM_DOT_TEXT, /* `text_out` is text; call again with the rest */
  LM_DOT_MORE, /* all was used, the end has not come */
  LM_DOT_END   /* the end stands before the rest */
};

/* Takes one run of text from the front of `s`: moves s->p and s->n past what was used. A run points
** into `s`, or at a literal where a byte was held back from an earlier piece. */
enum lm_dotin_more lm_dotin_next(struct lm_dotin *d, struct lm_str *s, struct lm_str *text_out);

#endif
