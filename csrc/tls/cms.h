/*
** cms.h: what S/MIME is made of (RFC 8551): CMS objects (RFC 5652, RFC 5083) made and read, and the
** certificates and keys for them.
**
** No I/O, but for the system's trusted certificates; no clock: times are arguments, in seconds since
** 1970. MIME is the caller's: here are octets. The invariants: nothing that was decrypted is given out
** before all of it was, and found whole; a signer is good only once his signature, his certificate and
** his signing time are; nobody is ever asked for a password.
** Words of failure are appended to `why` and hold nothing of a key or a password; none: memory.
*/
#ifndef LM_TLS_CMS_H
#define LM_TLS_CMS_H

#include "base/buf.h"

/* --- certificates -------------------------------------------------------------------------------- */

/* Certificates and revocation lists, in order. */
struct lm_certs;

/* An empty list; NULL: memory. */
struct lm_certs *lm_certs_new(void);

/* Adds all certificates and lists that stand in PEM text (other blocks are passed over), or the one
** in DER, or those of a PKCS #7 bundle. False where there is none, or one cannot be read. */
bool lm_certs_add(struct lm_certs *c, struct lm_str text, struct lm_buf *why);

size_t lm_certs_count(const struct lm_certs *c);

/* Revocation lists among them. */
size_t lm_certs_lists(const struct lm_certs *c);

/* NULL is fine. */
void lm_certs_free(struct lm_certs *c);

/* What a certificate says; texts are UTF-8. */
struct lm_cert_facts {
  struct lm_buf subject;     /* as RFC 4514 writes it */
  struct lm_buf issuer;      /* ... */
  struct lm_buf serial;      /* hexadecimal */
  struct lm_buf emails;      /* each with a NUL behind it */
  struct lm_buf fingerprint; /* SHA-256, hexadecimal */
  struct lm_buf pem;
  int64_t not_before, not_after; /* seconds since 1970 */
  bool missing;                  /* there is no certificate to tell of */
};

/* Of certificate `i`, from 0 on, into a cleared struct. False: memory. */
bool lm_certs_facts(const struct lm_certs *c, size_t i, struct lm_cert_facts *out);
void lm_cert_facts_free(struct lm_cert_facts *f);

/* --- own keys ------------------------------------------------------------------------------------ */

/* What a private key and its certificate are read from: PEM or DER each, or both from PKCS #12.
** `passphrase.p` is NULL where there is none. */
struct lm_cms_secret {
  struct lm_str certificate; /* and others, which go with a signature; may be empty to decrypt */
  struct lm_str key;
  struct lm_str pkcs12;
  struct lm_str passphrase;
};

/* A private key, its certificate and those around it. */
struct lm_cms_id;

/* NULL: it cannot be read, or the certificate is not the key's. */
struct lm_cms_id *lm_cms_id_new(const struct lm_cms_secret *s, struct lm_buf *why);

/* Facts of its own certificate; false: it is missing, or memory. */
bool lm_cms_id_facts(const struct lm_cms_id *id, struct lm_cert_facts *out);

/* The digest that suits the key: "sha256", or "sha512" for Ed25519. */
const char *lm_cms_id_digest(const struct lm_cms_id *id);

/* Wipes the key; NULL is fine. */
void lm_cms_id_free(struct lm_cms_id *id);

/* --- trust --------------------------------------------------------------------------------------- */

struct lm_cms_trust;

/* Trusted certificates: those given, or the system's (as TLS has them) where `roots` is NULL. */
struct lm_cms_trust *lm_cms_trust_new(const struct lm_certs *roots, struct lm_buf *why);

/* NULL is fine. */
void lm_cms_trust_free(struct lm_cms_trust *t);

/* --- making -------------------------------------------------------------------------------------- */

enum lm_cms_form { LM_CMS_DETACHED, LM_CMS_OPAQUE, LM_CMS_SEALED };

/* An object under way. Content passes through in pieces: a detached signature holds none of it, the
** others give out what is ready. */
struct lm_cms_maker;

/* `cipher`, for LM_CMS_SEALED: "aes-128-cbc" to "aes-256-gcm"; GCM makes AuthEnvelopedData. */
struct lm_cms_maker *lm_cms_maker_new(enum lm_cms_form form, struct lm_str cipher,
                                      struct lm_buf *why);

struct lm_cms_manner {
  struct lm_str digest; /* "sha256", "sha384", "sha512"; Ed25519 takes the last only (RFC 8419) */
  bool pss;             /* RSA signs by PSS (RFC 4056); a key that is for PSS alone always does */
  int64_t time;         /* when it is signed */
};

/* One more who signs. */
bool lm_cms_maker_sign(struct lm_cms_maker *m, const struct lm_cms_id *id,
                       const struct lm_cms_manner *how, struct lm_buf *why);

/* More certificates that go with the signature. */
bool lm_cms_maker_chain(struct lm_cms_maker *m, const struct lm_certs *c, struct lm_buf *why);

enum lm_cms_padding { LM_CMS_PKCS1, LM_CMS_OAEP };

struct lm_cms_recipient {
  const struct lm_certs *certs;
  size_t i;                    /* which of them */
  enum lm_cms_padding padding; /* for RSA; ECDH has SHA-256 in its key derivation (RFC 5753) */
  int64_t time;                /* now */
};

/* One more who can decrypt: the owner of a certificate, which must be for that and valid now. */
bool lm_cms_maker_seal(struct lm_cms_maker *m, const struct lm_cms_recipient *r,
                       struct lm_buf *why);

/* A piece of content; what is ready is appended to `out`. */
bool lm_cms_maker_put(struct lm_cms_maker *m, struct lm_str piece, struct lm_buf *out,
                      struct lm_buf *why);

/* The end of it, once; the rest of the object. */
bool lm_cms_maker_end(struct lm_cms_maker *m, struct lm_buf *out, struct lm_buf *why);

/* NULL is fine. */
void lm_cms_maker_free(struct lm_cms_maker *m);

/* --- reading ------------------------------------------------------------------------------------- */

enum lm_cms_kind {
  LM_CMS_SIGNED,
  LM_CMS_CERTS, /* certificates alone: signed by nobody, over nothing */
  LM_CMS_ENVELOPED,
  LM_CMS_AUTH_ENVELOPED,
  LM_CMS_COMPRESSED,
  LM_CMS_OTHER
};

/* An object that was read. */
struct lm_cms;

/* From DER or BER; what stands behind it is ignored. */
struct lm_cms *lm_cms_read(struct lm_str octets, struct lm_buf *why);

enum lm_cms_kind lm_cms_kind(const struct lm_cms *c);

/* What is signed, or compressed, as it lies in the object; p is NULL where it does not. */
struct lm_str lm_cms_content(const struct lm_cms *c);

/* All certificates in a signed object; NULL: memory. */
struct lm_certs *lm_cms_certs(const struct lm_cms *c);

/* NULL is fine. */
void lm_cms_free(struct lm_cms *c);

/* --- verifying ----------------------------------------------------------------------------------- */

/* Begins to digest: the object's content, or, where it has none, the pieces that follow. */
bool lm_cms_digest_begin(struct lm_cms *c, struct lm_buf *why);
bool lm_cms_digest(struct lm_cms *c, struct lm_str piece);

struct lm_cms_policy {
  const struct lm_cms_trust *trust;
  const struct lm_certs *known; /* certificates besides those in the object, or NULL */
  const struct lm_certs *lists; /* revocation lists that must know the signer's issuer, or NULL */
  int64_t time;                 /* certificates are judged at this time, mostly now ... */
  bool when_signed;             /* ... or at the time that the signer gives, where he does */
  bool any_purpose;             /* certificates need not be for mail */
  bool allow_weak;              /* MD5, SHA-1 and short keys are believed */
};

enum lm_cms_fault {
  LM_CMS_GOOD,
  LM_CMS_ALTERED,   /* the content is not what was signed */
  LM_CMS_FORGED,    /* the signature is not by this key */
  LM_CMS_MALFORMED, /* it says things that do not agree */
  LM_CMS_WEAK,      /* a digest or a key that proves nothing any more */
  LM_CMS_UNKNOWN,   /* the signer's certificate is not there */
  LM_CMS_UNTRUSTED, /* no chain to a trusted certificate */
  LM_CMS_EXPIRED,   /* ... or not valid yet */
  LM_CMS_REVOKED,
  LM_CMS_PURPOSE,     /* the certificate is for something else */
  LM_CMS_TIME,        /* signed while the certificate was not valid, or in the future */
  LM_CMS_UNSUPPORTED, /* an algorithm that is not known here */
  LM_CMS_FAULTS
};

struct lm_cms_signer {
  enum lm_cms_fault fault;
  const char *why;    /* static words; NULL for LM_CMS_GOOD */
  const char *digest; /* "SHA256" */
  bool timed;         /* there is a signing time */
  int64_t time;       /* ... which the signer claims */
};

/* Judges all signers, once the content was digested. False: there is none, or too many. */
bool lm_cms_judge(struct lm_cms *c, const struct lm_cms_policy *p, struct lm_buf *why);

/* Signers that were judged. */
size_t lm_cms_signers(const struct lm_cms *c);
const struct lm_cms_signer *lm_cms_signer(const struct lm_cms *c, size_t i);

/* Facts of a signer's certificate; false: it is missing, or memory. */
bool lm_cms_signer_facts(const struct lm_cms *c, size_t i, struct lm_cert_facts *out);

/* --- decrypting ---------------------------------------------------------------------------------- */

/* All of the content, appended to `out`, or nothing; *cipher_out (static) is what it was encrypted
** with. */
bool lm_cms_decrypt(struct lm_cms *c, const struct lm_cms_id *id, struct lm_buf *out,
                    const char **cipher_out, struct lm_buf *why);

#endif
