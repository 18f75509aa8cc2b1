/*
** key.c: the digests in pieces and the keys of base/digest.h, answered by OpenSSL.
**
** What signs and verifies here is always a SHA-256 digest; what was digested is the caller's affair.
** No function asks anybody for a password, and none leaves words in OpenSSL's queue.
*/
#include "base/digest.h"
#include "tls/engine.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* --- digests in pieces --------------------------------------------------------------------------- */

struct lm_hash {
  EVP_MD_CTX *md;
};

static const EVP_MD *digest_of(enum lm_digest kind) {
  switch (kind) {
  case LM_MD5: return EVP_md5();
  case LM_SHA1: return EVP_sha1();
  case LM_SHA256: return EVP_sha256();
  case LM_SHA512: return EVP_sha512();
  default: return NULL;
  }
}

struct lm_hash *lm_hash_new(enum lm_digest kind) {
  const EVP_MD *digest = digest_of(kind);
  struct lm_hash *h = digest ? malloc(sizeof *h) : NULL;
  if (h == NULL) return NULL;
  h->md = EVP_MD_CTX_new();
  if (h->md && EVP_DigestInit_ex(h->md, digest, NULL) == 1) return h;
  ERR_clear_error();
  lm_hash_free(h);
  return NULL;
}

bool lm_hash_add(struct lm_hash *h, struct lm_str piece) {
  return piece.n == 0 || EVP_DigestUpdate(h->md, piece.p, piece.n) == 1;
}

size_t lm_hash_end(struct lm_hash *h, unsigned char *out) {
  unsigned size = 0;
  return EVP_DigestFinal_ex(h->md, out, &size) == 1 ? size : 0;
}

void lm_hash_free(struct lm_hash *h) {
  if (h == NULL) return;
  EVP_MD_CTX_free(h->md);
  free(h);
}

/* --- keys ---------------------------------------------------------------------------------------- */

struct lm_key {
  EVP_PKEY *pkey;
  enum lm_key_kind kind;
};

static int no_password(char *buf, int size, int writing, void *user) {
  (void)buf, (void)size, (void)writing, (void)user;
  return -1;
}

static EVP_PKEY *from_pem(struct lm_str text) {
  BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
  EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
  BIO_free(bio);
  return pkey;
}

bool lm_tls_is_pem(struct lm_str text) {
  static const char mark[] = "-----BEGIN ";
  size_t i;
  for (i = 0; i + sizeof mark - 1 <= text.n; i++) {
    if (memcmp(text.p + i, mark, sizeof mark - 1) == 0) return true;
  }
  return false;
}

static EVP_PKEY *read_private(struct lm_str text) {
  const unsigned char *octets = (const unsigned char *)text.p;
  if (lm_tls_is_pem(text)) return from_pem(text);
  if (text.n == 32) return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, octets, 32);
  return d2i_AutoPrivateKey(NULL, &octets, (long)text.n);
}

static EVP_PKEY *read_public(enum lm_key_kind kind, struct lm_str text) {
  const unsigned char *octets = (const unsigned char *)text.p;
  EVP_PKEY *pkey;
  if (kind == LM_KEY_ED25519) {
    if (text.n != 32) return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, octets, 32);
  }
  pkey = d2i_PUBKEY(NULL, &octets, (long)text.n);
  if (pkey) return pkey;
  octets = (const unsigned char *)text.p;
  return d2i_PublicKey(EVP_PKEY_RSA, NULL, &octets, (long)text.n);
}

/* What is wrong with a key that could be read; NULL where nothing is. */
static const char *unfit(EVP_PKEY *pkey, enum lm_key_kind *kind_out) {
  switch (EVP_PKEY_get_base_id(pkey)) {
  case EVP_PKEY_RSA: *kind_out = LM_KEY_RSA; break;
  case EVP_PKEY_ED25519: *kind_out = LM_KEY_ED25519; break;
  default: return "the key is neither RSA nor Ed25519";
  }
  return EVP_PKEY_get_bits(pkey) > LM_RSA_BITS_MAX ? "the key has more than 8192 bits" : NULL;
}

/* Takes the pkey over, NULL too. */
static struct lm_key *wrap(EVP_PKEY *pkey, const char *unread, const char **why_out) {
  struct lm_key *k;
  enum lm_key_kind kind = LM_KEY_RSA;
  ERR_clear_error();
  *why_out = pkey ? unfit(pkey, &kind) : unread;
  k = *why_out ? NULL : malloc(sizeof *k);
  if (k == NULL) {
    EVP_PKEY_free(pkey);
    return NULL;
  }
  k->pkey = pkey;
  k->kind = kind;
  return k;
}

struct lm_key *lm_key_private(struct lm_str text, const char **why_out) {
  EVP_PKEY *pkey = text.n > 0 && text.n <= INT_MAX ? read_private(text) : NULL;
  return wrap(pkey, "no private key that can be read without a password", why_out);
}

struct lm_key *lm_key_public(enum lm_key_kind kind, struct lm_str octets, const char **why_out) {
  EVP_PKEY *pkey = octets.n > 0 && octets.n <= INT_MAX ? read_public(kind, octets) : NULL;
  struct lm_key *k = wrap(pkey, "no public key", why_out);
  if (k == NULL || k->kind == kind) return k;
  lm_key_free(k);
  *why_out = "a key of another kind";
  return NULL;
}

enum lm_key_kind lm_key_kind(const struct lm_key *k) {
  return k->kind;
}

size_t lm_key_bits(const struct lm_key *k) {
  return (size_t)EVP_PKEY_get_bits(k->pkey);
}

unsigned char *lm_key_publish(const struct lm_key *k, size_t *n_out) {
  unsigned char *out, *end;
  int n;
  *n_out = 32;
  if (k->kind == LM_KEY_ED25519) {
    out = malloc(32);
    if (out && EVP_PKEY_get_raw_public_key(k->pkey, out, n_out) == 1) return out;
    free(out);
    return NULL;
  }
  n = i2d_PUBKEY(k->pkey, NULL);
  out = n > 0 ? malloc((size_t)n) : NULL;
  end = out;
  if (out == NULL || i2d_PUBKEY(k->pkey, &end) != n) {
    free(out);
    return NULL;
  }
  *n_out = (size_t)n;
  return out;
}

static EVP_PKEY_CTX *rsa_context(const struct lm_key *k, int (*init)(EVP_PKEY_CTX *)) {
  EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(k->pkey, NULL);
  if (c && init(c) == 1 && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1 &&
      EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()) == 1) {
    return c;
  }
  EVP_PKEY_CTX_free(c);
  return NULL;
}

static bool rsa_sign(const struct lm_key *k, struct lm_str digest, unsigned char *out, size_t *n) {
  EVP_PKEY_CTX *c = rsa_context(k, EVP_PKEY_sign_init);
  bool good = c && EVP_PKEY_sign(c, out, n, (const unsigned char *)digest.p, digest.n) == 1;
  EVP_PKEY_CTX_free(c);
  return good;
}

static bool rsa_verify(const struct lm_key *k, struct lm_str digest, struct lm_str signature) {
  EVP_PKEY_CTX *c = rsa_context(k, EVP_PKEY_verify_init);
  bool good = c && EVP_PKEY_verify(c, (const unsigned char *)signature.p, signature.n,
                                   (const unsigned char *)digest.p, digest.n) == 1;
  EVP_PKEY_CTX_free(c);
  return good;
}

static bool ed_sign(const struct lm_key *k, struct lm_str digest, unsigned char *out, size_t *n) {
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  bool good = md && EVP_DigestSignInit(md, NULL, NULL, NULL, k->pkey) == 1 &&
              EVP_DigestSign(md, out, n, (const unsigned char *)digest.p, digest.n) == 1;
  EVP_MD_CTX_free(md);
  return good;
}

static bool ed_verify(const struct lm_key *k, struct lm_str digest, struct lm_str signature) {
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  bool good = md && EVP_DigestVerifyInit(md, NULL, NULL, NULL, k->pkey) == 1 &&
              EVP_DigestVerify(md, (const unsigned char *)signature.p, signature.n,
                               (const unsigned char *)digest.p, digest.n) == 1;
  EVP_MD_CTX_free(md);
  return good;
}

size_t lm_key_sign(const struct lm_key *k, struct lm_str digest, unsigned char *out) {
  size_t n = LM_SIGNATURE_MAX;
  bool good = k->kind == LM_KEY_RSA ? rsa_sign(k, digest, out, &n) : ed_sign(k, digest, out, &n);
  if (!good) ERR_clear_error();
  return good ? n : 0;
}

bool lm_key_verify(const struct lm_key *k, struct lm_str digest, struct lm_str signature) {
  bool good = signature.n > 0 && (k->kind == LM_KEY_RSA ? rsa_verify(k, digest, signature)
                                                        : ed_verify(k, digest, signature));
  if (!good) ERR_clear_error();
  return good;
}

void lm_key_free(struct lm_key *k) {
  if (k == NULL) return;
  EVP_PKEY_free(k->pkey);
  free(k);
}
