/*
** msgid.h: message ids (RFC 5322 §3.6.4): Message-ID, In-Reply-To, References, Content-ID.
*/
#ifndef LM_MIME_MSGID_H
#define LM_MIME_MSGID_H

#include "mime/lex.h"

/* The next id that the lexer meets, with its brackets and without white space inside, to `out`, which
** has room for all that is left; its length, or 0 where there is none. Words and comments between ids
** are passed over (RFC 5322 §4.5.4). Linear time over all calls. */
size_t lm_msgid_next(struct lm_lex *x, char *out);

/* For a field that holds one id: where it has no brackets its text stands for it, without white space.
** `out` has room for text.n octets. */
size_t lm_msgid_only(struct lm_str text, char *out);

#endif
