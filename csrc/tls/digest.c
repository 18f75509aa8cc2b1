/*
** digest.c: base/digest.h answered by OpenSSL.
**
** What a policy forbids (MD5 under FIPS) answers 0, it never aborts.
*/
#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

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

size_t lm_hmac(enum lm_digest kind, struct lm_str key, struct lm_str text, unsigned char *out) {
  unsigned size = 0;
  /* a NULL key means "as before" to HMAC(), not "empty" */
  const char *k = key.p ? key.p : "";
  if (key.n > INT32_MAX) return 0;
  if (HMAC(digest_of(kind), k, (int)key.n, (const unsigned char *)text.p, text.n, out, &size)) {
    return size;
  }
  ERR_clear_error();
  return 0;
}

bool lm_equal_secret(struct lm_str a, struct lm_str b) {
  return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}
