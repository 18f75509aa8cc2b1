/*
** tls_key_test.c: digests in pieces and keys, with the key and record of RFC 8463 Appendix A.
*/
#include "base/digest.h"

#include "base/text.h"
#include "check.h"

#define SEED "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
#define PUBLIC "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define RSA_PRIVATE                                                                                \
  "-----BEGIN RSA PRIVATE KEY-----\n"                                                              \
  "MIICXQIBAAKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi\n"                             \
  "Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqM\n"                             \
  "KrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\n"                             \
  "AoGAH0cxOhFZDgzXWhDhnAJDw5s4roOXN4OhjiXa8W7Y3rhX3FJqmJSPuC8N9vQm\n"                             \
  "6SVbaLAE4SG5mLMueHlh4KXffEpuLEiNp9Ss3O4YfLiQpbRqE7Tm5SxKjvvQoZZe\n"                             \
  "zHorimOaChRL2it47iuWxzxSiRMv4c+j70GiWdxXnxe4UoECQQDzJB/0U58W7RZy\n"                             \
  "6enGVj2kWF732CoWFZWzi1FicudrBFoy63QwcowpoCazKtvZGMNlPWnC7x/6o8Gc\n"                             \
  "uSe0ga2xAkEA8C7PipPm1/1fTRQvj1o/dDmZp243044ZNyxjg+/OPN0oWCbXIGxy\n"                             \
  "WvmZbXriOWoSALJTjExEgraHEgnXssuk7QJBALl5ICsYMu6hMxO73gnfNayNgPxd\n"                             \
  "WFV6Z7ULnKyV7HSVYF0hgYOHjeYe9gaMtiJYoo0zGN+L3AAtNP9huqkWlzECQE1a\n"                             \
  "licIeVlo1e+qJ6Mgqr0Q7Aa7falZ448ccbSFYEPD6oFxiOl9Y9se9iYHZKKfIcst\n"                             \
  "o7DUw1/hz2Ck4N5JrgUCQQCyKveNvjzkkd8HjYs0SwM0fPjK16//5qDZ2UiDGnOe\n"                             \
  "uEzxBDAr518Z8VFbR41in3W4Y3yCDgQlLlcETrS+zYcL\n"                                                 \
  "-----END RSA PRIVATE KEY-----\n"

static struct lm_buf decoded(const char *text) {
  struct lm_buf b = {NULL, 0, 0, 0};
  CHECK(lm_base64_decode(&b, str(text)) == LM_BASE64_OK);
  return b;
}

static void test_pieces(void) {
  struct lm_hash *h = lm_hash_new(LM_SHA256);
  unsigned char whole[LM_DIGEST_MAX], pieces[LM_DIGEST_MAX];
  struct lm_str text = LM_STR("abc");
  size_t i;
  CHECK(h != NULL);
  for (i = 0; i < text.n; i++) EXPECT(lm_hash_add(h, (struct lm_str){text.p + i, 1}));
  EXPECT(lm_hash_add(h, LM_NOSTR) && lm_hash_end(h, pieces) == 32);
  EXPECT(lm_digest(LM_SHA256, &text, 1, whole) == 32 && memcmp(whole, pieces, 32) == 0);
  lm_hash_free(h);
  lm_hash_free(NULL);
  EXPECT(lm_hash_new(LM_MD4) == NULL);
}

/* Signs and verifies; nothing else verifies. */
static void test_pair(const struct lm_key *secret, const struct lm_key *public, size_t size) {
  unsigned char signature[LM_SIGNATURE_MAX], digest[32];
  struct lm_str d = {(const char *)digest, 32}, s = {(const char *)signature, size};
  memset(digest, 7, sizeof digest);
  CHECK(lm_key_sign(secret, d, signature) == size);
  EXPECT(lm_key_verify(public, d, s) && lm_key_verify(secret, d, s));
  signature[size / 2] ^= 1;
  EXPECT(!lm_key_verify(public, d, s));
  signature[size / 2] ^= 1;
  EXPECT(!lm_key_verify(public, d, (struct lm_str){s.p, size - 1}));
  EXPECT(!lm_key_verify(public, d, LM_NOSTR));
  digest[31] ^= 1;
  EXPECT(!lm_key_verify(public, d, s));
}

static void test_ed25519(void) {
  struct lm_buf seed = decoded(SEED), octets = decoded(PUBLIC);
  const char *why;
  struct lm_key *secret = lm_key_private(lm_buf_str(&seed), &why);
  struct lm_key *public = lm_key_public(LM_KEY_ED25519, lm_buf_str(&octets), &why);
  size_t n;
  unsigned char *published;
  CHECK(secret && public);
  EXPECT(lm_key_kind(secret) == LM_KEY_ED25519);
  published = lm_key_publish(secret, &n);
  EXPECT(published && lm_str_eq((struct lm_str){(char *)published, n}, lm_buf_str(&octets)));
  free(published);
  test_pair(secret, public, 64);
  lm_key_free(secret);
  lm_key_free(public);
  EXPECT(!lm_key_public(LM_KEY_ED25519, LM_STR("short"), &why) && why);
  lm_buf_free(&seed);
  lm_buf_free(&octets);
}

static void test_rsa(void) {
  const char *why;
  struct lm_key *secret = lm_key_private(LM_STR(RSA_PRIVATE), &why), *public;
  size_t n;
  unsigned char *published;
  CHECK(secret != NULL);
  EXPECT(lm_key_kind(secret) == LM_KEY_RSA && lm_key_bits(secret) == 1024);
  published = lm_key_publish(secret, &n);
  CHECK(published != NULL);
  public = lm_key_public(LM_KEY_RSA, (struct lm_str){(char *)published, n}, &why);
  CHECK(public != NULL);
  test_pair(secret, public, 128);
  EXPECT(!lm_key_public(LM_KEY_RSA, (struct lm_str){(char *)published, n - 1}, &why) && why);
  EXPECT(!lm_key_public(LM_KEY_ED25519, (struct lm_str){(char *)published, n}, &why) && why);
  lm_key_free(public);
  /* The same key as a bare RSAPublicKey, which stands at octet 22 of the other form. */
  public = lm_key_public(LM_KEY_RSA, (struct lm_str){(char *)published + 22, n - 22}, &why);
  CHECK(public != NULL);
  test_pair(secret, public, 128);
  lm_key_free(public);
  lm_key_free(secret);
  lm_key_free(NULL);
  free(published);
}

static void test_refused(void) {
  static const char *const texts[] = {
      "", "x", "-----BEGIN PRIVATE KEY-----\n", "-----BEGIN PUBLIC KEY-----\nAAAA\n",
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAwAA==\n-----END ENCRYPTED PRIVATE KEY-----\n"};
  size_t i;
  for (i = 0; i < sizeof texts / sizeof *texts; i++) {
    const char *why = NULL;
    EXPECT_ROW(lm_key_private(str(texts[i]), &why) == NULL && why, "refused", texts[i]);
  }
}

int main(void) {
  test_pieces();
  test_ed25519();
  test_rsa();
  test_refused();
  return check_end();
}
