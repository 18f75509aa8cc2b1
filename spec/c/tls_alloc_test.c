/*
** tls_alloc_test.c: the n-th allocation fails, ours or OpenSSL's: contexts, filters, handshakes, data
** and CMS objects either work or say that they did not; nothing crashes, nothing leaks, nothing secret
** leaves, and no signature holds that should not.
**
** Our malloc, realloc and calloc are wrapped by the linker, OpenSSL's by its own hook.
*/
#include "fail.h"
#include "tls/cms.h"
#include "tls_fixture.h"

#include <openssl/crypto.h>
#include <time.h>

static void *ssl_malloc(size_t n, const char *file, int line) {
  (void)file, (void)line;
  return fails() ? NULL : __real_malloc(n);
}

static void *ssl_realloc(void *p, size_t n, const char *file, int line) {
  (void)file, (void)line;
  return fails() ? NULL : __real_realloc(p, n);
}

static void ssl_free(void *p, const char *file, int line) {
  (void)file, (void)line;
  free(p);
}

static struct identity root, good;
static struct lm_tls_context *server;

/* A whole life under a failing allocation; true where it went well all the same. */
static bool live(long nth, bool context_too) {
  struct lm_tls_options o = client_options(&root);
  struct lm_buf why = {NULL, 0, 0, 0};
  struct lm_tls_context *c = NULL;
  struct side a = {0}, b = {0};
  bool well = false, made;
  if (context_too) fail_at(nth);
  c = lm_tls_context_new(&o, &why);
  fail_at(nth);
  made = c && side_open(&a, c, "mail.example.com", NULL) && side_open(&b, server, NULL, NULL);
  if (made) {
    lm_wire_put(&a.wire, LM_STR("secret"));
    converse(&a, &b, 1 << 20);
    well = heard(&b, "secret") && lm_tls_is_open(a.tls);
    fail_never();
    CHECK(well || lm_wire_failed(&a.wire) || lm_wire_failed(&b.wire));
  }
  fail_never();
  if (a.link.wire) side_free(&a);
  if (b.link.wire) side_free(&b);
  lm_tls_context_free(c);
  lm_buf_free(&why);
  return well;
}

/* --- CMS ----------------------------------------------------------------------------------------- */

static int64_t now; /* when the certificates are valid */

static bool make(enum lm_cms_form form, struct lm_buf *out, struct lm_buf *why) {
  struct lm_cms_maker *m = lm_cms_maker_new(form, LM_STR("aes-256-gcm"), why);
  struct lm_cms_secret s = {str(good.cert_pem), str(good.key_pem), LM_NOSTR, LM_NOSTR};
  struct lm_cms_id *id = lm_cms_id_new(&s, why);
  struct lm_certs *certs = lm_certs_new();
  struct lm_cms_manner how = {LM_STR("sha256"), false, now};
  struct lm_cms_recipient r = {certs, 0, LM_CMS_PKCS1, now};
  bool well = m && id && certs && lm_certs_add(certs, str(good.cert_pem), why);
  if (well && form == LM_CMS_SEALED) well = lm_cms_maker_seal(m, &r, why);
  if (well && form != LM_CMS_SEALED) well = lm_cms_maker_sign(m, id, &how, why);
  well = well && lm_cms_maker_put(m, LM_STR("A: b\r\n\r\nsecret"), out, why) &&
         lm_cms_maker_end(m, out, why);
  lm_cms_maker_free(m);
  lm_cms_id_free(id);
  lm_certs_free(certs);
  return well;
}

/* How many signers hold; what was altered never does. */
static bool judge(struct lm_buf *der, const char *text, struct lm_buf *why) {
  struct lm_certs *roots = lm_certs_new();
  bool well = roots && lm_certs_add(roots, str(root.cert_pem), why);
  struct lm_cms_trust *trust = well ? lm_cms_trust_new(roots, why) : NULL;
  struct lm_cms *c = trust ? lm_cms_read(lm_buf_str(der), why) : NULL;
  struct lm_cms_policy p = {trust, NULL, NULL, now, false, false, false};
  struct lm_cert_facts facts;
  memset(&facts, 0, sizeof facts);
  well = c && lm_cms_digest_begin(c, why) && (text == NULL || lm_cms_digest(c, str(text))) &&
         lm_cms_judge(c, &p, why) && lm_cms_signers(c) == 1 &&
         lm_cms_signer(c, 0)->fault == LM_CMS_GOOD && lm_cms_signer_facts(c, 0, &facts);
  lm_cert_facts_free(&facts);
  lm_cms_free(c);
  lm_cms_trust_free(trust);
  lm_certs_free(roots);
  return well;
}

static bool unseal(struct lm_buf *der, struct lm_buf *why) {
  struct lm_cms_secret s = {str(good.cert_pem), str(good.key_pem), LM_NOSTR, LM_NOSTR};
  struct lm_cms_id *id = lm_cms_id_new(&s, why);
  struct lm_cms *c = id ? lm_cms_read(lm_buf_str(der), why) : NULL;
  struct lm_buf out = {NULL, 0, 0, 0};
  const char *cipher;
  bool well = c && lm_cms_decrypt(c, id, &out, &cipher, why);
  CHECK(well ? holds(&out, "A: b\r\n\r\nsecret") : lm_buf_len(&out) == 0);
  lm_buf_free(&out);
  lm_cms_free(c);
  lm_cms_id_free(id);
  return well;
}

static struct lm_buf objects[3]; /* of each form, made while nothing failed */

/* A step has ended: it went well, or an allocation of it did fail, which is counted. */
static void step(bool well, long *failed) {
  CHECK(well || refused > 0);
  *failed += refused;
}

/* Each step once, while its nth allocation fails: how many had so many. */
static long sign_and_seal(long nth) {
  struct lm_buf why = {NULL, 0, 0, 0};
  long failed = 0;
  int i;
  for (i = 0; i < 3; i++) {
    struct lm_buf made = {NULL, 0, 0, 0};
    fail_at(nth);
    step(make((enum lm_cms_form)i, &made, &why), &failed);
    lm_buf_free(&made);
  }
  fail_at(nth);
  step(judge(&objects[LM_CMS_DETACHED], "A: b\r\n\r\nsecret", &why), &failed);
  fail_at(nth);
  CHECK(!judge(&objects[LM_CMS_DETACHED], "A: b\r\n\r\nSecret", &why));
  fail_at(nth);
  step(judge(&objects[LM_CMS_OPAQUE], NULL, &why), &failed);
  fail_at(nth);
  step(unseal(&objects[LM_CMS_SEALED], &why), &failed);
  fail_never();
  lm_buf_free(&why);
  return failed;
}

static void test_cms(void) {
  struct lm_buf why = {NULL, 0, 0, 0};
  long n;
  int i;
  for (i = 0; i < 3; i++) CHECK(make((enum lm_cms_form)i, &objects[i], &why));
  CHECK(sign_and_seal(-1) == 0);
  for (n = 0; sign_and_seal(n) > 0; n += n < 60 ? 1 : 17) CHECK(n < 100000);
  for (i = 0; i < 3; i++) lm_buf_free(&objects[i]);
}

int main(void) {
  static const struct wish root_wish = {"Test Root", NULL, NULL, -1, 30, true};
  static const struct wish good_wish = {"mail", "DNS:mail.example.com", NULL, -1, 30, false};
  struct lm_tls_options o;
  long n, well = 0;
  CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free);
  root = identity(&root_wish, NULL);
  good = identity(&good_wish, &root);
  o = server_options(&good);
  server = context(&o);
  CHECK(live(-1, false));
  for (n = 0; well < 20; n += n < 200 ? 1 : 7) {
    CHECK(n < 100000);
    well = live(n, n % 3 == 0) ? well + 1 : 0;
  }
  lm_tls_context_free(server);
  now = (int64_t)time(NULL);
  test_cms();
  forget(&root);
  forget(&good);
  return check_end();
}
