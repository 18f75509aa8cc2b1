/*
** qp.h: the inner loops of quoted-printable (RFC 2045 §6.7); transfer.h is what to call.
*/
#ifndef LM_MIME_QP_H
#define LM_MIME_QP_H

#include "base/lm.h"
#include "base/vector.h"

enum {
  LM_QP_SLACK = 64, /* octets that may be written behind the result */
  LM_QP_WIDTH = 75  /* characters of a line, without a soft line break */
};

/* Decodes from the front of `s` what is clear by itself: octets that stand for themselves, escapes, and
** soft line breaks of three octets. Stops before any other `=`, before white space that CR, LF or the
** end of the text follows, and at the end. Room for s.n octets and the slack. Returns how many octets
** were used. */
size_t lm_qp_decode_run(enum lm_vector level, struct lm_str s, char *out, size_t *written_out);

/* Encodes from the front of `s` what is clear by itself, in lines of at most 75 characters and the `=`
** of a soft line break. `text`: LF and CRLF are line ends. *to and *column move on. Stops where white
** space ends a line or `s` itself. Returns how many octets were used. */
size_t lm_qp_encode_run(enum lm_vector level, struct lm_str s, bool text, char **to,
                        size_t *column);

#endif
