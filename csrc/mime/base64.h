/*
** base64.h: the inner loops of base64 (RFC 4648 §4, RFC 2045 §6.8); transfer.h is what to call.
**
** A loop for vectors does what it can at the front and says how far it came; plain C does the rest.
*/
#ifndef LM_MIME_BASE64_H
#define LM_MIME_BASE64_H

#include "base/lm.h"
#include "base/vector.h"

enum {
  LM_BASE64_SLACK = 32, /* octets that may be written behind the result */
  LM_BASE64_LINE = 57   /* octets of a line of 76 characters */
};

/* The value of a character, or 64 and more where it is none of the alphabet. */
extern const unsigned char lm_base64_values[256];

/* Decodes whole quanta (4 characters, 3 octets) from the front of `p`, up to the first character that
** is none of the alphabet; CRLF and LF between quanta are passed over. Writes to `out`, which has room
** for n / 4 * 3 octets and the slack. Returns how many characters were used; *written_out octets. */
size_t lm_base64_decode_plain(const char *p, size_t n, char *out, size_t *written_out);

/* The vector loops, as far as they come: characters used, octets used, lines done. */
#if LM_X86
size_t lm_base64_decode_ssse3(const char *p, size_t n, char *out, size_t *written_out);
size_t lm_base64_decode_avx2(const char *p, size_t n, char *out, size_t *written_out);
size_t lm_base64_encode_ssse3(const char *p, size_t n, char *out);
size_t lm_base64_encode_avx2(const char *p, size_t n, char *out);
size_t lm_base64_lines_ssse3(const char *p, size_t lines, char *out);
size_t lm_base64_lines_avx2(const char *p, size_t lines, char *out);
#endif
#if LM_NEON
size_t lm_base64_decode_neon(const char *p, size_t n, char *out, size_t *written_out);
size_t lm_base64_encode_neon(const char *p, size_t n, char *out);
#endif

#endif
