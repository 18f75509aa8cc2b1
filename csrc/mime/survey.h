/*
** survey.h: what a text holds, by which the composer chooses its transfer encoding (RFC 2045 §2 and §6).
*/
#ifndef LM_MIME_SURVEY_H
#define LM_MIME_SURVEY_H

#include "base/lm.h"

struct lm_survey {
  size_t eight;    /* octets above 127 */
  size_t escapes;  /* octets that quoted-printable has to escape */
  size_t longest;  /* of its lines, without their ends */
  bool nul;        /* an octet 0 */
  bool bare;       /* a CR or LF that is no CRLF */
  bool blank_ends; /* a line that ends in white space */
};

/* One pass over the text. */
void lm_survey(struct lm_str text, struct lm_survey *out);

#endif
