/*
** digest.h: message digests, signatures and random octets, as prototypes: tls/digest.c and
** tls/key.c answer with OpenSSL. (What signs web tokens is base/sign.h.)
**
** So SASL, POP3's APOP and DKIM know digests and keys without knowing who computes them.
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

/* --- in pieces ----------------------------------------------------------------------------------- */

/* A digest of text that comes in pieces; NULL: memory, or no such digest (LM_MD4 is none here). */
struct lm_hash;
struct lm_hash *lm_hash_new(enum lm_digest kind);
bool lm_hash_add(struct lm_hash *h, struct lm_str piece);
/* The digest, once, to `out` (LM_DIGEST_MAX bytes); its length, or 0. */
size_t lm_hash_end(struct lm_hash *h, unsigned char *out);
/* NULL is fine. */
void lm_hash_free(struct lm_hash *h);

/* --- keys ---------------------------------------------------------------------------------------- */

enum lm_key_kind { LM_KEY_RSA, LM_KEY_ED25519 };

/* Longer RSA keys are refused: each octet of one costs time, and who publishes it pays nothing. */
enum { LM_RSA_BITS_MAX = 8192, LM_SIGNATURE_MAX = LM_RSA_BITS_MAX / 8 };

struct lm_key;

/* A private key from PEM or DER, or from the 32 octets of an Ed25519 seed (RFC 8032 §5.1.5); a key
** under a password is refused, nobody is asked for it. NULL: words in *why_out, or NULL there when
** memory is short. */
struct lm_key *lm_key_private(struct lm_str text, const char **why_out);

/* A public key as DNS gives it: for RSA a SubjectPublicKeyInfo or an RSAPublicKey (RFC 6376 §3.6.1),
** for Ed25519 its 32 octets (RFC 8463 §4). The same failures. */
struct lm_key *lm_key_public(enum lm_key_kind kind, struct lm_str octets, const char **why_out);

enum lm_key_kind lm_key_kind(const struct lm_key *k);
size_t lm_key_bits(const struct lm_key *k);

/* The public half in the form that lm_key_public reads, malloc'd; NULL when memory is short. */
unsigned char *lm_key_publish(const struct lm_key *k, size_t *n_out);

/* Signs a SHA-256 digest: PKCS #1 v1.5 for RSA, PureEdDSA over the digest for Ed25519 (RFC 8463 §3).
** `out` has LM_SIGNATURE_MAX bytes. The length of the signature, 0 on failure. */
size_t lm_key_sign(const struct lm_key *k, struct lm_str digest, unsigned char *out);

/* True where `signature` is one of this digest by this key. */
bool lm_key_verify(const struct lm_key *k, struct lm_str digest, struct lm_str signature);

/* Wipes it; NULL is fine. */
void lm_key_free(struct lm_key *k);

/* Octets that nobody can guess; false where there are none to be had. */
bool lm_random(unsigned char *out, size_t n);

/* Equal, in a time that does not depend on where they differ. */
bool lm_equal_secret(struct lm_str a, struct lm_str b);

#endif
