/*
** digest.c: base/digest.h answered by OpenSSL.
**
** What a policy forbids (MD5 under FIPS) answers 0, it never aborts.
*/
#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

static const EVP_MD *digest_of(enum lm_digest kind) {
  switch (kind) {
  case LM_MD5: return EVP_md5();
  case LM_SHA1: return EVP_sha1();
  case LM_SHA256: return EVP_sha256();
  case LM_SHA512: return EVP_sha512();
  }
  return NULL;
}

size_t lm_digest(enum lm_digest kind, const struct lm_str *parts, size_t n, unsigned char *out) {
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  unsigned size = 0;
  bool good = md && EVP_DigestInit_ex(md, digest_of(kind), NULL) == 1;
  size_t i;
  for (i = 0; good && i < n; i++) good = EVP_DigestUpdate(md, parts[i].p, parts[i].n) == 1;
  good = good && EVP_DigestFinal_ex(md, out, &size) == 1;
  EVP_MD_CTX_free(md);
  if (!good) ERR_clear_error();
  return good ? size : 0;
}

enum { BLOCK_MAX = 128 };

/* One round of RFC 2104: the digest of (key ^ pad) and the text. */
static bool keyed(EVP_MD_CTX *md, const EVP_MD *kind, const unsigned char *key, unsigned char pad,
                  struct lm_str text, unsigned char *out) {
  unsigned char block[BLOCK_MAX];
  size_t n = (size_t)EVP_MD_get_block_size(kind), i;
  bool made;
  for (i = 0; i < n; i++) block[i] = key[i] ^ pad;
  made = EVP_DigestInit_ex(md, kind, NULL) == 1 && EVP_DigestUpdate(md, block, n) == 1 &&
         EVP_DigestUpdate(md, text.p, text.n) == 1 && EVP_DigestFinal_ex(md, out, NULL) == 1;
  OPENSSL_cleanse(block, sizeof block);
  return made;
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

bool lm_equal_secret(struct lm_str a, struct lm_str b) {
  return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}
