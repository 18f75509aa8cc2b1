/*
** qp.h: the inner loops of quoted-printable (RFC 2045 §6.7); transfer.h is what to call.
*/
#ifndef LM_MIME_QP_H
#define LM_MIME_QP_H

#include "base/lm.h"
#include "mime/vector.h"

enum { LM_QP_SLACK = 32 }; /* octets that may be written behind the result */

/* Copies octets that decoding leaves as they are; stops before `=`, before white space that CR, LF or
** the end of the text follows, and at the end. Returns how many; room for n and the slack. */
size_t lm_qp_copy_plain(enum lm_vector level, const char *p, size_t n, char *out);

/* Copies octets that encoding leaves as they are: space, tab, and 33 to 126 save `=`. Returns how
** many; room for n and the slack. */
size_t lm_qp_copy_safe(enum lm_vector level, const char *p, size_t n, char *out);

#endif
