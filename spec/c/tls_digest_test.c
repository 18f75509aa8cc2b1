/*
** tls_digest_test.c: base/digest.h against the examples of RFC 1321, RFC 6234, RFC 2202 and RFC 4231.
*/
#include "base/digest.h"
#include "check.h"

static const struct {
  enum lm_digest kind;
  const char *key; /* NULL: a digest */
  const char *text;
  const char *hex;
} rows[] = {
    {LM_MD5, NULL, "", "d41d8cd98f00b204e9800998ecf8427e"},
    {LM_MD5, NULL, "abc", "900150983cd24fb0d6963f7d28e17f72"},
    {LM_SHA1, NULL, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
    {LM_SHA256, NULL, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {LM_SHA512, NULL, "abc",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
    {LM_MD5, "Jefe", "what do ya want for nothing?", "750c783e6ab0b503eaa86e310a5db738"},
    {LM_SHA1, "Jefe", "what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
    {LM_SHA256, "Jefe", "what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {LM_SHA512, "Jefe", "what do ya want for nothing?",
     "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
     "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
    {LM_SHA256, "", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
};

static bool is_hex(const unsigned char *p, size_t n, const char *hex) {
  char text[2 * LM_DIGEST_MAX + 1];
  size_t i;
  for (i = 0; i < n; i++) snprintf(text + 2 * i, 3, "%02x", p[i]);
  return n > 0 && strcmp(text, hex) == 0;
}

/* The same text in two parts must not make a difference. */
static size_t digest(size_t row, unsigned char *out) {
  struct lm_str text = str(rows[row].text), parts[2];
  if (rows[row].key) return lm_hmac(rows[row].kind, str(rows[row].key), text, out);
  parts[0] = (struct lm_str){text.p, text.n / 2};
  parts[1] = (struct lm_str){text.p + text.n / 2, text.n - text.n / 2};
  return lm_digest(rows[row].kind, parts, 2, out);
}

int main(void) {
  static char key[131];
  unsigned char out[LM_DIGEST_MAX];
  size_t i;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) CHECK(is_hex(out, digest(i, out), rows[i].hex));
  memset(key, 0xaa, sizeof key); /* RFC 4231 §4.7: a key longer than a block */
  CHECK(is_hex(out,
               lm_hmac(LM_SHA256, (struct lm_str){key, sizeof key},
                       LM_STR("Test Using Larger Than Block-Size Key - Hash Key First"), out),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
  CHECK(lm_digest(LM_SHA256, NULL, 0, out) == 32);
  CHECK(lm_equal_secret(LM_STR("abc"), LM_STR("abc")));
  CHECK(!lm_equal_secret(LM_STR("abc"), LM_STR("abd")));
  CHECK(!lm_equal_secret(LM_STR("abc"), LM_STR("abcd")));
  CHECK(lm_equal_secret(LM_NOSTR, LM_STR("")));
  return check_end();
}
