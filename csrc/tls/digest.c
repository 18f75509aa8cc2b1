/*
** digest.c: base/digest.h answered by OpenSSL.
**
** What a policy forbids (MD5 under FIPS) answers 0, it never aborts.
*/
#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

/* MD4 lives in OpenSSL's legacy provider, which is loaded into a library context of its own: nothing
** else of this process may come to use what is in there. */
static size_t md4(const struct lm_str *parts, size_t n, unsigned char *out) {
  OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
  OSSL_PROVIDER *legacy = library ? OSSL_PROVIDER_load(library, "legacy") : NULL;
  EVP_MD *digest = legacy ? EVP_MD_fetch(library, "MD4", NULL) : NULL;
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  unsigned size = 0;
  bool good = md && digest && EVP_DigestInit_ex(md, digest, NULL) == 1;
  size_t i;
  for (i = 0; good && i < n; i++) good = EVP_DigestUpdate(md, parts[i].p, parts[i].n) == 1;
  good = good && EVP_DigestFinal_ex(md, out, &size) == 1;
  EVP_MD_CTX_free(md);
  EVP_MD_free(digest);
  if (legacy) OSSL_PROVIDER_unload(legacy);
  OSSL_LIB_CTX_free(library);
  if (!good) ERR_clear_error();
  return good ? size : 0;
}

enum { BLOCK_MAX = 128 };

static const EVP_MD *digest_of(enum lm_digest kind) {
  switch (kind) {
  case LM_MD4: return NULL;
  case LM_MD5: return EVP_md5();
  case LM_SHA1: return EVP_sha1();
  case LM_SHA256: return EVP_sha256();
  case LM_SHA512: return EVP_sha512();
  }
  return NULL;
}

size_t lm_digest(enum lm_digest kind, const struct lm_str *parts, size_t n, unsigned char *out) {
  EVP_MD_CTX *md;
  unsigned size = 0;
  bool good;
  size_t i;
  if (kind == LM_MD4) return md4(parts, n, out);
  md = EVP_MD_CTX_new();
  good = md && EVP_DigestInit_ex(md, digest_of(kind), NULL) == 1;
  for (i = 0; good && i < n; i++) good = EVP_DigestUpdate(md, parts[i].p, parts[i].n) == 1;
  good = good && EVP_DigestFinal_ex(md, out, &size) == 1;
  EVP_MD_CTX_free(md);
  if (!good) ERR_clear_error();
  return good ? size : 0;
}

/* Begins a digest with the key, a block long, ^ pad (RFC 2104). */
static bool absorb(EVP_MD_CTX *md, const EVP_MD *digest, const unsigned char *key,
                   unsigned char pad) {
  unsigned char block[BLOCK_MAX];
  size_t n = (size_t)EVP_MD_get_block_size(digest), i;
  bool good;
  for (i = 0; i < n; i++) block[i] = key[i] ^ pad;
  good = md && EVP_DigestInit_ex(md, digest, NULL) == 1 && EVP_DigestUpdate(md, block, n) == 1;
  OPENSSL_cleanse(block, sizeof block);
  return good;
}

/* One round: the digest of (key ^ pad) and the text. */
static bool keyed(EVP_MD_CTX *md, const EVP_MD *digest, const unsigned char *key, unsigned char pad,
                  struct lm_str text, unsigned char *out) {
  return absorb(md, digest, key, pad) && EVP_DigestUpdate(md, text.p, text.n) == 1 &&
         EVP_DigestFinal_ex(md, out, NULL) == 1;
}

/* Not OpenSSL's HMAC(): that takes 2.5 times as long for short texts, and SCRAM does thousands. */
size_t lm_hmac(enum lm_digest kind, struct lm_str key, struct lm_str text, unsigned char *out) {
  const EVP_MD *digest = digest_of(kind);
  size_t size = (size_t)EVP_MD_get_size(digest);
  unsigned char block[BLOCK_MAX] = {0};
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  bool made = md != NULL;
  if (key.n > (size_t)EVP_MD_get_block_size(digest)) {
    made = made && lm_digest(kind, &key, 1, block) == size;
  } else if (key.n) {
    memcpy(block, key.p, key.n);
  }
  made = made && keyed(md, digest, block, 0x36, text, out);
  made = made && keyed(md, digest, block, 0x5c, (struct lm_str){(const char *)out, size}, out);
  OPENSSL_cleanse(block, sizeof block);
  EVP_MD_CTX_free(md);
  if (!made) ERR_clear_error();
  return made ? size : 0;
}

/* --- PBKDF2 --------------------------------------------------------------------------------------- */

struct lm_pbkdf2 {
  EVP_MD_CTX *inner, *outer; /* the digest after the key and its pad: the same for all rounds */
  EVP_MD_CTX *md;
  uint32_t left; /* rounds */
  size_t size;
  unsigned char u[EVP_MAX_MD_SIZE], key[EVP_MAX_MD_SIZE];
};

/* u = HMAC(password, text) */
static bool again(struct lm_pbkdf2 *p, const void *text, size_t n) {
  return EVP_MD_CTX_copy_ex(p->md, p->inner) == 1 && EVP_DigestUpdate(p->md, text, n) == 1 &&
         EVP_DigestFinal_ex(p->md, p->u, NULL) == 1 && EVP_MD_CTX_copy_ex(p->md, p->outer) == 1 &&
         EVP_DigestUpdate(p->md, p->u, p->size) == 1 && EVP_DigestFinal_ex(p->md, p->u, NULL) == 1;
}

/* Keys the two digests. */
static bool prepare(struct lm_pbkdf2 *p, enum lm_digest kind, struct lm_str password) {
  const EVP_MD *digest = digest_of(kind);
  unsigned char key[BLOCK_MAX] = {0};
  bool good = digest != NULL;
  p->inner = EVP_MD_CTX_new();
  p->outer = EVP_MD_CTX_new();
  p->md = EVP_MD_CTX_new();
  if (!good || !p->md) return false;
  p->size = (size_t)EVP_MD_get_size(digest);
  if (password.n > (size_t)EVP_MD_get_block_size(digest)) {
    good = lm_digest(kind, &password, 1, key) == p->size;
  } else if (password.n) {
    memcpy(key, password.p, password.n);
  }
  good = good && absorb(p->inner, digest, key, 0x36) && absorb(p->outer, digest, key, 0x5c);
  OPENSSL_cleanse(key, sizeof key);
  return good;
}

/* The first round: U1 = HMAC(password, salt + INT(1)). */
static bool first_round(struct lm_pbkdf2 *p, struct lm_str salt) {
  unsigned char *text = malloc(salt.n + 4);
  bool good = text != NULL;
  if (!good) return false;
  if (salt.n) memcpy(text, salt.p, salt.n);
  memcpy(text + salt.n, "\0\0\0\1", 4);
  good = again(p, text, salt.n + 4);
  free(text);
  if (good) memcpy(p->key, p->u, p->size);
  return good;
}

struct lm_pbkdf2 *lm_pbkdf2_new(enum lm_digest kind, struct lm_str password, struct lm_str salt,
                                uint32_t rounds) {
  struct lm_pbkdf2 *p = calloc(1, sizeof *p);
  if (p == NULL) return NULL;
  if (rounds == 0 || !prepare(p, kind, password) || !first_round(p, salt)) {
    ERR_clear_error();
    lm_pbkdf2_free(p);
    return NULL;
  }
  p->left = rounds - 1;
  return p;
}

bool lm_pbkdf2_run(struct lm_pbkdf2 *p, uint32_t rounds) {
  size_t i;
  if (rounds > p->left) rounds = p->left;
  p->left -= rounds;
  for (; rounds > 0; rounds--) {
    again(p, p->u, p->size);
    for (i = 0; i < p->size; i++) p->key[i] ^= p->u[i];
  }
  return p->left == 0;
}

size_t lm_pbkdf2_key(const struct lm_pbkdf2 *p, unsigned char *out) {
  memcpy(out, p->key, p->size);
  return p->size;
}

void lm_pbkdf2_free(struct lm_pbkdf2 *p) {
  if (p == NULL) return;
  EVP_MD_CTX_free(p->inner);
  EVP_MD_CTX_free(p->outer);
  EVP_MD_CTX_free(p->md);
  OPENSSL_cleanse(p, sizeof *p);
  free(p);
}

bool lm_random(unsigned char *out, size_t n) {
  return RAND_bytes(out, (int)n) == 1;
}

bool lm_equal_secret(struct lm_str a, struct lm_str b) {
  return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}
