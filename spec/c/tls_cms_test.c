/*
** tls_cms_test.c: CMS objects made and read back in pieces of any size, each signer's fault, and what is
** refused; with certificates made on the spot (tls_fixture.h).
*/
#include "tls/cms.h"

#include "base/text.h"
#include "tls_fixture.h"

#include <time.h>

#define MAIL "emailProtection"
#define TEXT "Content-Type: text/plain\r\n\r\nHello, and so on.\r\n"

static struct identity root, ann, bob, web, stranger;
static struct lm_buf why;

static struct lm_str pem_of(const struct identity *id) {
  return str(id->cert_pem);
}

static struct lm_certs *certs_of(const struct identity *id) {
  struct lm_certs *c = lm_certs_new();
  CHECK(c && lm_certs_add(c, pem_of(id), &why));
  return c;
}

static struct lm_cms_id *own(const struct identity *id) {
  struct lm_cms_secret s = {pem_of(id), str(id->key_pem), LM_NOSTR, LM_NOSTR};
  struct lm_cms_id *made = lm_cms_id_new(&s, &why);
  CHECK(made);
  return made;
}

static int64_t now(void) {
  return (int64_t)time(NULL);
}

/* Why it was refused is told, and in words. */
static bool refused(bool done) {
  bool told = !done && lm_buf_len(&why) > 0;
  lm_buf_clear(&why);
  return told;
}

/* --- making and reading -------------------------------------------------------------------------- */

static bool feed(struct lm_cms_maker *m, struct lm_str text, size_t size, struct lm_buf *out) {
  size_t at, n;
  for (at = 0; at < text.n; at += n) {
    n = text.n - at < size ? text.n - at : size;
    if (!lm_cms_maker_put(m, (struct lm_str){text.p + at, n}, out, &why)) return false;
  }
  return lm_cms_maker_end(m, out, &why);
}

static struct lm_buf signed_by(const struct identity *who, enum lm_cms_form form, size_t size) {
  struct lm_cms_maker *m = lm_cms_maker_new(form, LM_NOSTR, &why);
  struct lm_cms_id *id = own(who);
  struct lm_cms_manner how = {LM_STR("sha256"), false, now()};
  struct lm_buf out = {NULL, 0, 0, 0};
  CHECK(m && lm_cms_maker_sign(m, id, &how, &why) && feed(m, LM_STR(TEXT), size, &out));
  EXPECT(refused(lm_cms_maker_end(m, &out, &why)));
  EXPECT(refused(lm_cms_maker_put(m, LM_STR("x"), &out, &why)));
  EXPECT(refused(lm_cms_maker_sign(m, id, &how, &why)));
  lm_cms_maker_free(m);
  lm_cms_id_free(id);
  return out;
}

static struct lm_cms_policy policy_of(struct lm_cms_trust *trust) {
  struct lm_cms_policy p;
  memset(&p, 0, sizeof p);
  p.trust = trust;
  p.time = now();
  return p;
}

/* The fault of the only signer of an object over `text`. */
static enum lm_cms_fault judged(struct lm_buf *der, const char *text, size_t size,
                                const struct lm_cms_policy *p) {
  struct lm_cms *c = lm_cms_read(lm_buf_str(der), &why);
  struct lm_cert_facts facts;
  enum lm_cms_fault fault;
  size_t at, n, all = text ? strlen(text) : 0;
  memset(&facts, 0, sizeof facts);
  CHECK(c && lm_cms_kind(c) == LM_CMS_SIGNED && lm_cms_digest_begin(c, &why));
  for (at = 0; at < all; at += n) {
    n = all - at < size ? all - at : size;
    CHECK(lm_cms_digest(c, (struct lm_str){text + at, n}));
  }
  CHECK(lm_cms_judge(c, p, &why) && lm_cms_signers(c) == 1);
  EXPECT(refused(lm_cms_judge(c, p, &why)));
  EXPECT(lm_cms_signer(c, 1) == NULL && !lm_cms_signer_facts(c, 1, &facts));
  CHECK(lm_cms_signer_facts(c, 0, &facts));
  EXPECT(lm_buf_len(&facts.fingerprint) == 64);
  fault = lm_cms_signer(c, 0)->fault;
  EXPECT((fault == LM_CMS_GOOD) == (lm_cms_signer(c, 0)->why == NULL));
  lm_cert_facts_free(&facts);
  lm_cms_free(c);
  return fault;
}

static void test_signing(void) {
  static const size_t sizes[] = {1, 7, 1000};
  struct lm_certs *roots = certs_of(&root);
  struct lm_cms_trust *trust = lm_cms_trust_new(roots, &why);
  struct lm_cms_policy p = policy_of(trust);
  size_t i;
  for (i = 0; i < 3; i++) {
    struct lm_buf beside = signed_by(&ann, LM_CMS_DETACHED, sizes[i]);
    struct lm_buf around = signed_by(&ann, LM_CMS_OPAQUE, sizes[i]);
    EXPECT(judged(&beside, TEXT, sizes[2 - i], &p) == LM_CMS_GOOD);
    EXPECT(judged(&beside, TEXT "x", sizes[i], &p) == LM_CMS_ALTERED);
    EXPECT(judged(&beside, "", sizes[i], &p) == LM_CMS_ALTERED);
    EXPECT(judged(&around, NULL, 1, &p) == LM_CMS_GOOD);
    lm_buf_free(&beside);
    lm_buf_free(&around);
  }
  lm_cms_trust_free(trust);
  lm_certs_free(roots);
}

static void test_faults(void) {
  struct lm_certs *roots = certs_of(&root), *others = certs_of(&stranger);
  struct lm_cms_trust *trust = lm_cms_trust_new(roots, &why);
  struct lm_cms_trust *other = lm_cms_trust_new(others, &why);
  struct lm_cms_policy p = policy_of(trust);
  struct lm_buf der = signed_by(&ann, LM_CMS_OPAQUE, 100);
  p.trust = other;
  EXPECT(judged(&der, NULL, 1, &p) == LM_CMS_UNTRUSTED);
  p.trust = trust;
  p.time = now() + 40 * 86400;
  EXPECT(judged(&der, NULL, 1, &p) == LM_CMS_EXPIRED);
  p.when_signed = true;
  EXPECT(judged(&der, NULL, 1, &p) == LM_CMS_GOOD);
  p.when_signed = false;
  p.time = now() - 86400 / 2;
  EXPECT(judged(&der, NULL, 1, &p) == LM_CMS_TIME);
  lm_buf_free(&der);
  lm_cms_trust_free(trust);
  lm_cms_trust_free(other);
  lm_certs_free(roots);
  lm_certs_free(others);
}

/* An object is read whole, and its content is where it lies. */
static void test_reading(void) {
  struct lm_buf around = signed_by(&ann, LM_CMS_OPAQUE, 100), beside;
  struct lm_cms *c = lm_cms_read(lm_buf_str(&around), &why);
  struct lm_certs *certs = lm_cms_certs(c);
  const char *cipher;
  struct lm_cms_id *id = own(&ann);
  struct lm_buf out = {NULL, 0, 0, 0};
  size_t n;
  EXPECT_TEXT(lm_cms_content(c), LM_STR(TEXT), "content");
  EXPECT(lm_certs_count(certs) == 1 && lm_certs_lists(certs) == 0);
  EXPECT(!lm_cms_digest(c, LM_STR("x")));
  EXPECT(refused(lm_cms_decrypt(c, id, &out, &cipher, &why)));
  for (n = 0; n < lm_buf_len(&around); n += 3) {
    EXPECT(refused(lm_cms_read((struct lm_str){lm_buf_str(&around).p, n}, &why) != NULL));
  }
  lm_certs_free(certs);
  lm_cms_free(c);
  beside = signed_by(&ann, LM_CMS_DETACHED, 100);
  c = lm_cms_read(lm_buf_str(&beside), &why);
  EXPECT(lm_cms_content(c).p == NULL);
  lm_cms_free(c);
  lm_cms_id_free(id);
  lm_buf_free(&around);
  lm_buf_free(&beside);
}

/* --- sealing ------------------------------------------------------------------------------------- */

static struct lm_buf sealed(const char *cipher, const struct identity *who, struct lm_str text,
                            size_t size) {
  struct lm_cms_maker *m = lm_cms_maker_new(LM_CMS_SEALED, str(cipher), &why);
  struct lm_cms_recipient r = {certs_of(who), 0, LM_CMS_PKCS1, now()};
  struct lm_buf out = {NULL, 0, 0, 0};
  CHECK(m && lm_cms_maker_seal(m, &r, &why) && feed(m, text, size, &out));
  lm_cms_maker_free(m);
  lm_certs_free((struct lm_certs *)(uintptr_t)r.certs);
  return out;
}

static bool opens(struct lm_str der, const struct identity *who, struct lm_str want) {
  struct lm_cms *c = lm_cms_read(der, &why);
  struct lm_cms_id *id = own(who);
  struct lm_buf out = {NULL, 0, 0, 0};
  const char *cipher = NULL;
  bool opened = c && lm_cms_decrypt(c, id, &out, &cipher, &why);
  EXPECT(opened == (lm_buf_len(&out) > 0) && (!opened || cipher));
  if (opened) EXPECT(lm_str_eq(lm_buf_str(&out), want));
  lm_buf_clear(&why);
  lm_buf_free(&out);
  lm_cms_id_free(id);
  lm_cms_free(c);
  return opened;
}

static void test_sealing(void) {
  static const char *const ciphers[] = {"aes-128-cbc", "aes-256-cbc", "aes-128-gcm", "aes-256-gcm"};
  struct lm_str text = repeat("a line of text\r\n", 100000);
  size_t i, at;
  for (i = 0; i < 4; i++) {
    struct lm_buf der = sealed(ciphers[i], &bob, text, i % 2 ? 977 : 100000);
    struct lm_str all = lm_buf_str(&der);
    char *p = der.p + der.start;
    EXPECT(opens(all, &bob, text));
    EXPECT(!opens(all, &ann, text));
    EXPECT(!opens((struct lm_str){all.p, all.n - 40}, &bob, text));
    for (at = 2000; i >= 2 && at < all.n; at += 9001) {
      p[at] ^= 1;
      EXPECT(!opens(all, &bob, text));
      p[at] ^= 1;
    }
    lm_buf_free(&der);
  }
  free((void *)(uintptr_t)text.p);
}

/* Octets `at` to `at + gone` of an object in BER are others. */
static void splice(struct lm_buf *der, size_t at, size_t gone, struct lm_str with) {
  struct lm_str all = lm_buf_str(der);
  struct lm_buf out = {NULL, 0, 0, 0};
  CHECK(at + gone <= all.n && lm_buf_put(&out, all.p, at) && lm_buf_puts(&out, with));
  CHECK(lm_buf_put(&out, all.p + at + gone, all.n - at - gone));
  lm_buf_free(der);
  *der = out;
}

/* Whoever may shorten a tag guesses it; whoever may leave the cipher's guard out needs not even that. */
static void test_unguarded(void) {
  enum { ENDS = 6 }; /* octets: the ends of the object, its content, its data */
  struct lm_buf der = sealed("aes-256-gcm", &bob, LM_STR(TEXT), 100);
  size_t tag = lm_buf_len(&der) - ENDS - 16;
  EXPECT(opens(lm_buf_str(&der), &bob, LM_STR(TEXT)));
  splice(&der, tag - 1, 5, LM_STR("\14")); /* 12 octets, the last ones */
  EXPECT(!opens(lm_buf_str(&der), &bob, LM_STR(TEXT)));
  lm_buf_free(&der);
  der = sealed("aes-256-gcm", &bob, LM_STR(TEXT), 100);
  splice(&der, tag + 12, 4, LM_NOSTR);
  splice(&der, tag - 1, 1, LM_STR("\14"));
  EXPECT(opens(lm_buf_str(&der), &bob, LM_STR(TEXT)));
  splice(&der, tag + 2, 10, LM_NOSTR);
  splice(&der, tag - 1, 1, LM_STR("\2"));
  EXPECT(!opens(lm_buf_str(&der), &bob, LM_STR(TEXT)));
  lm_buf_free(&der);
  der = sealed("aes-256-cbc", &bob, LM_STR(TEXT), 100);
  splice(&der, lm_buf_len(&der) - ENDS, 0, LM_STR("\4\20sixteen octets.."));
  splice(&der, 2, 11, LM_STR("\6\13\52\206\110\206\367\15\1\11\20\1\27"));
  EXPECT(!opens(lm_buf_str(&der), &bob, LM_STR(TEXT)));
  lm_buf_free(&der);
}

/* --- refusals ------------------------------------------------------------------------------------ */

static void test_keys(void) {
  static const char *const texts[] = {
      "",
      "x",
      "-----BEGIN PRIVATE KEY-----\n",
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
      "\x30\x03\x02\x01\x01",
      "-----BEGIN X-----\n-----END X-----\n"};
  struct lm_cms_secret s = {LM_NOSTR, LM_NOSTR, LM_NOSTR, LM_NOSTR};
  struct lm_certs *c = lm_certs_new();
  struct lm_cert_facts none;
  struct lm_cms_id *id;
  size_t i;
  for (i = 0; i < sizeof texts / sizeof *texts; i++) {
    EXPECT_ROW(refused(lm_certs_add(c, str(texts[i]), &why)), "certificate", texts[i]);
    s.key = str(texts[i]);
    EXPECT_ROW(refused(lm_cms_id_new(&s, &why) != NULL), "key", texts[i]);
    s.pkcs12 = str(texts[i]);
    EXPECT_ROW(refused(lm_cms_id_new(&s, &why) != NULL), "PKCS #12", texts[i]);
    s.pkcs12 = LM_NOSTR;
  }
  s.key = str(ann.key_pem);
  s.certificate = pem_of(&bob);
  EXPECT(refused(lm_cms_id_new(&s, &why) != NULL));
  s.certificate = LM_NOSTR;
  id = lm_cms_id_new(&s, &why);
  memset(&none, 0, sizeof none);
  EXPECT(id && !lm_cms_id_facts(id, &none));
  EXPECT(strcmp(lm_cms_id_digest(id), "sha256") == 0);
  lm_cms_id_free(id);
  lm_cms_id_free(NULL);
  lm_certs_free(c);
}

static void test_refused(void) {
  struct lm_cms_manner how = {LM_STR("sha256"), false, now()},
                       weak = {LM_STR("sha1"), false, now()};
  struct lm_cms_maker *m = lm_cms_maker_new(LM_CMS_OPAQUE, LM_NOSTR, &why);
  struct lm_cms_id *server = own(&web), *id = own(&ann);
  struct lm_certs *certs = certs_of(&web);
  struct lm_cms_recipient r = {certs, 0, LM_CMS_PKCS1, now()};
  EXPECT(refused(lm_cms_maker_sign(m, server, &how, &why)));
  EXPECT(refused(lm_cms_maker_sign(m, id, &weak, &why)));
  lm_cms_maker_free(m);
  EXPECT(refused(lm_cms_maker_new(LM_CMS_SEALED, LM_STR("rc2"), &why) != NULL));
  m = lm_cms_maker_new(LM_CMS_SEALED, LM_STR("aes-256-gcm"), &why);
  EXPECT(refused(lm_cms_maker_seal(m, &r, &why)));
  r.i = 7;
  EXPECT(refused(lm_cms_maker_seal(m, &r, &why)));
  lm_cms_maker_free(m);
  lm_certs_free(certs);
  lm_cms_id_free(server);
  lm_cms_id_free(id);
}

int main(void) {
  static const struct wish root_wish = {"Root", NULL, NULL, -1, 30, true};
  static const struct wish ann_wish = {"Ann", "email:ann@example.com", MAIL, -1, 30, false};
  static const struct wish bob_wish = {"Bob", "email:bob@example.com", MAIL, -1, 30, false};
  static const struct wish web_wish = {"Web", "DNS:example.com", "serverAuth", -1, 30, false};
  static const struct wish stranger_wish = {"Stranger", NULL, NULL, -1, 30, true};
  root = identity(&root_wish, NULL);
  ann = identity(&ann_wish, &root);
  bob = identity(&bob_wish, &root);
  web = identity(&web_wish, &root);
  stranger = identity(&stranger_wish, NULL);
  test_signing();
  test_faults();
  test_reading();
  test_sealing();
  test_unguarded();
  test_keys();
  test_refused();
  forget(&root);
  forget(&ann);
  forget(&bob);
  forget(&web);
  forget(&stranger);
  lm_buf_free(&why);
  return check_end();
}
