/*
** digest.h: message digests and random octets, as prototypes: tls/digest.c answers with OpenSSL.
**
** So SASL and POP3's APOP know digests without knowing who computes them.
*/
#ifndef LM_BASE_DIGEST_H
#define LM_BASE_DIGEST_H

#include "base/lm.h"

enum lm_digest { LM_MD4, LM_MD5, LM_SHA1, LM_SHA256, LM_SHA512 };

enum { LM_DIGEST_MAX = 64 };

/* The digest of `n` strings one behind another, written to `out` (at least LM_DIGEST_MAX bytes).
** Returns its length, or 0 where the digest is not to be had (a policy may forbid MD5). */
size_t lm_digest(enum lm_digest kind, const struct lm_str *parts, size_t n, unsigned char *out);

/* HMAC (RFC 2104) over the same. */
size_t lm_hmac(enum lm_digest kind, struct lm_str key, struct lm_str text, unsigned char *out);

/* PBKDF2 (RFC 8018 §5.2) for one block, which is the Hi() of SCRAM (RFC 5802 §2.2), in slices: a
** million rounds must not hold a loop. NULL: memory, or no such digest. */
struct lm_pbkdf2;
struct lm_pbkdf2 *lm_pbkdf2_new(enum lm_digest kind, struct lm_str password, struct lm_str salt,
                                uint32_t rounds);
/* Does at most `rounds` more of them; true once all are done. */
bool lm_pbkdf2_run(struct lm_pbkdf2 *p, uint32_t rounds);
/* The key, once all are done; its length. */
size_t lm_pbkdf2_key(const struct lm_pbkdf2 *p, unsigned char *out);
/* Wipes it; NULL is fine. */
void lm_pbkdf2_free(struct lm_pbkdf2 *p);

/* Octets that nobody can guess; false where there are none to be had. */
bool lm_random(unsigned char *out, size_t n);

/* Equal, in a time that does not depend on where they differ. */
bool lm_equal_secret(struct lm_str a, struct lm_str b);

#endif
