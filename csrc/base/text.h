/*
** text.h: numbers, base64 and hex between bytes and text.
**
** The codecs of SASL and of command lines: whole strings, strict. Transfer encodings of message
** bodies, which stream and forgive, belong to mime/.
*/
#ifndef LM_BASE_TEXT_H
#define LM_BASE_TEXT_H

#include "base/buf.h"

/* All of `s` as a decimal number; false on anything else, or overflow. */
bool lm_to_u32(struct lm_str s, uint32_t *n_out);
bool lm_to_u64(struct lm_str s, uint64_t *n_out);

/* Appends a number in decimal. */
bool lm_buf_put_u64(struct lm_buf *b, uint64_t n);

/* Appends a string; shorter to write at call sites. */
bool lm_buf_puts(struct lm_buf *b, struct lm_str s);

/* Appends `s` in base64 with padding and no line breaks (RFC 4648 §4). */
bool lm_base64_encode(struct lm_buf *b, struct lm_str s);

enum lm_base64 { LM_BASE64_OK, LM_BASE64_BAD, LM_BASE64_MEMORY };

/* Appends the octets that `s` stands for; strict: no spaces, right padding, no bits left over. */
enum lm_base64 lm_base64_decode(struct lm_buf *b, struct lm_str s);

/* Appends `s` as lower-case hex digits. */
bool lm_hex_encode(struct lm_buf *b, struct lm_str s);

#endif
