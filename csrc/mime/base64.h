/*
** base64.h: the inner loops of base64 (RFC 4648 §4, RFC 2045 §6.8); transfer.c is what to call.
*/
#ifndef LM_MIME_BASE64_H
#define LM_MIME_BASE64_H

#include "base/lm.h"

enum { LM_BASE64_SLACK = 32 }; /* octets that may be written behind the result */

/* Decodes whole quanta (4 characters, 3 octets) from the front of `s`, up to the first character that
** is none of the alphabet; CRLF and LF between quanta are passed over. Writes to `out`, which has room
** for s.n / 4 * 3 octets and the slack. Returns how many characters were used; *written_out octets. */
size_t lm_base64_decode_run(struct lm_str s, char *out, size_t *written_out);

/* Encodes `n` octets, a multiple of 3, to n / 3 * 4 characters without line ends; room for those and
** the slack. */
void lm_base64_encode_run(const char *p, size_t n, char *out);

/* The value of a character, or 64 and more where it is none of the alphabet. */
extern const unsigned char lm_base64_values[256];

#endif
