/*
** digest.h: message digests, as prototypes: tls/digest.c answers with OpenSSL.
**
** So SASL and POP3's APOP know digests without knowing who computes them.
*/
#ifndef LM_BASE_DIGEST_H
#define LM_BASE_DIGEST_H

#include "base/lm.h"

enum lm_digest { LM_MD5, LM_SHA1, LM_SHA256, LM_SHA512 };

enum { LM_DIGEST_MAX = 64 };

/* The digest of `n` strings one behind another, written to `out` (at least LM_DIGEST_MAX bytes).
** Returns its length, or 0 where the digest is not to be had (a policy may forbid MD5). */
size_t lm_digest(enum lm_digest kind, const struct lm_str *parts, size_t n, unsigned char *out);

/* HMAC (RFC 2104) over the same. */
size_t lm_hmac(enum lm_digest kind, struct lm_str key, struct lm_str text, unsigned char *out);

/* Equal, in a time that does not depend on where they differ. */
bool lm_equal_secret(struct lm_str a, struct lm_str b);

#endif
