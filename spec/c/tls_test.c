/*
** tls_test.c: client and server filters against each other, in memory.
**
** Whom a client accepts (chains, names, dates, purposes, pins), what it must refuse to send until
** then, how a stream may end, and what can be resumed.
*/
#include "tls_fixture.h"

#include "tls/engine.h" /* to hold a server down to TLS 1.2: no option of ours does that */

static struct identity root, other_root, middle, good;

enum { WHOLE = 1 << 30 };

static const struct wish root_wish = {"Test Root", NULL, NULL, -1, 30, true};
static const struct wish other_wish = {"Other Root", NULL, NULL, -1, 30, true};
static const struct wish middle_wish = {"Test Middle", NULL, NULL, -1, 30, true};
static const struct wish good_wish = {"mail", "DNS:mail.example.com", "serverAuth", -1, 30, false};

static bool failed_with(const struct side *s, const char *words) {
  if (lm_wire_error(&s->wire)->code == LM_E_TLS && has(lm_tls_why(s->tls), words)) return true;
  fprintf(stderr, "code %d, why: %.*s\n", (int)lm_wire_error(&s->wire)->code,
          (int)lm_tls_why(s->tls).n, lm_tls_why(s->tls).p);
  return false;
}

static void put(struct side *s, const char *text) {
  lm_wire_put(&s->wire, str(text));
}

/* One connection under these options; `words` NULL: it must open and carry a secret over. */
static void meet(const struct lm_tls_options *client, const struct lm_tls_options *server,
                 const char *name, const char *words, size_t split) {
  struct lm_tls_context *cc = context(client), *sc = context(server);
  struct side c, s;
  CHECK(cc && sc && side_open(&c, cc, name, NULL) && side_open(&s, sc, NULL, NULL));
  put(&c, "secret");
  converse(&c, &s, split);
  if (words) {
    CHECK(failed_with(&c, words));
    CHECK(!lm_tls_is_open(c.tls) && lm_wire_input(&s.wire).n == 0);
  } else {
    CHECK(lm_tls_is_open(c.tls) && lm_tls_is_open(s.tls) && lm_tls_why(c.tls).n == 0);
    CHECK(heard(&s, "secret"));
  }
  side_free(&c);
  side_free(&s);
  lm_tls_context_free(cc);
  lm_tls_context_free(sc);
}

/* --- whom a client accepts ------------------------------------------------------------------- */

enum issuer { BY_ROOT, BY_MIDDLE, BY_OTHER, BY_ITSELF, BY_LEAF };

static const struct {
  const char *sentence;
  struct wish wish;
  enum issuer issuer;
  const char *name;
  const char *words; /* NULL: accepted */
} peers[] = {
    {"a name in the certificate",
     {"x", "DNS:a.example.com", NULL, -1, 9, false},
     BY_ROOT,
     "a.example.com",
     NULL},
    {"letter case does not matter",
     {"x", "DNS:a.example.com", NULL, -1, 9, false},
     BY_ROOT,
     "A.Example.COM",
     NULL},
    {"the root's dot is no part of it",
     {"x", "DNS:a.example.com", NULL, -1, 9, false},
     BY_ROOT,
     "a.example.com.",
     NULL},
    {"through an intermediate",
     {"x", "DNS:a.example.com", NULL, -1, 9, false},
     BY_MIDDLE,
     "a.example.com",
     NULL},
    {"the second name",
     {"x", "DNS:b.example.com,DNS:a.example.com", NULL, -1, 9, false},
     BY_ROOT,
     "a.example.com",
     NULL},
    {"another name",
     {"x", "DNS:b.example.com", NULL, -1, 9, false},
     BY_ROOT,
     "a.example.com",
     "host name mismatch: certificate is for DNS:b.example.com"},
    {"a name that is only longer",
     {"x", "DNS:a.example.com.evil.example", NULL, -1, 9, false},
     BY_ROOT,
     "a.example.com",
     "host name mismatch"},
    {"a common name alone",
     {"a.example.com", NULL, NULL, -1, 9, false},
     BY_ROOT,
     "a.example.com",
     "host name mismatch: certificate is for no name at all"},
    {"a common name beside others",
     {"a.example.com", "DNS:b.example.com", NULL, -1, 9, false},
     BY_ROOT,
     "a.example.com",
     "host name mismatch"},
    {"a wildcard", {"x", "DNS:*.example.com", NULL, -1, 9, false}, BY_ROOT, "a.example.com", NULL},
    {"a wildcard is one label",
     {"x", "DNS:*.example.com", NULL, -1, 9, false},
     BY_ROOT,
     "a.b.example.com",
     "host name mismatch"},
    {"a wildcard is a label",
     {"x", "DNS:*.example.com", NULL, -1, 9, false},
     BY_ROOT,
     "example.com",
     "host name mismatch"},
    {"a wildcard is a whole label",
     {"x", "DNS:a*.example.com", NULL, -1, 9, false},
     BY_ROOT,
     "ab.example.com",
     "host name mismatch"},
    {"a wildcard is left-most",
     {"x", "DNS:a.*.com", NULL, -1, 9, false},
     BY_ROOT,
     "a.b.com",
     "host name mismatch"},
    {"never the wildcard alone",
     {"x", "DNS:*", NULL, -1, 9, false},
     BY_ROOT,
     "example",
     "host name mismatch"},
    {"nor a top level's",
     {"x", "DNS:*.com", NULL, -1, 9, false},
     BY_ROOT,
     "example.com",
     "host name mismatch"},
    {"no wildcard for an address",
     {"x", "DNS:*.0.0.1", NULL, -1, 9, false},
     BY_ROOT,
     "127.0.0.1",
     "host name mismatch"},
    {"an address", {"x", "IP:127.0.0.1", NULL, -1, 9, false}, BY_ROOT, "127.0.0.1", NULL},
    {"an IPv6 address", {"x", "IP:::1", NULL, -1, 9, false}, BY_ROOT, "::1", NULL},
    {"an IPv6 zone is local", {"x", "IP:fe80::1", NULL, -1, 9, false}, BY_ROOT, "fe80::1%lo", NULL},
    {"another address",
     {"x", "IP:127.0.0.2", NULL, -1, 9, false},
     BY_ROOT,
     "127.0.0.1",
     "host name mismatch: certificate is for IP Address:127.0.0.2"},
    {"an address as a name",
     {"x", "DNS:127.0.0.1", NULL, -1, 9, false},
     BY_ROOT,
     "127.0.0.1",
     "host name mismatch"},
    {"out of date",
     {"x", "DNS:a.example.com", NULL, -9, -1, false},
     BY_ROOT,
     "a.example.com",
     "certificate verify failed: certificate has expired"},
    {"not yet valid",
     {"x", "DNS:a.example.com", NULL, 1, 9, false},
     BY_ROOT,
     "a.example.com",
     "certificate verify failed: certificate is not yet valid"},
    {"for servers",
     {"x", "DNS:a.example.com", "serverAuth", -1, 9, false},
     BY_ROOT,
     "a.example.com",
     NULL},
    {"for clients only",
     {"x", "DNS:a.example.com", "clientAuth", -1, 9, false},
     BY_ROOT,
     "a.example.com",
     "certificate verify failed: unsuitable certificate purpose"},
    {"self-signed",
     {"x", "DNS:a.example.com", NULL, -1, 9, false},
     BY_ITSELF,
     "a.example.com",
     "certificate verify failed: self-signed certificate"},
    {"by an authority nobody knows",
     {"x", "DNS:a.example.com", NULL, -1, 9, false},
     BY_OTHER,
     "a.example.com",
     "certificate verify failed: unable to get local issuer certificate"},
    {"a leaf may not sign",
     {"x", "DNS:a.example.com", NULL, -1, 9, false},
     BY_LEAF,
     "a.example.com",
     "certificate verify failed: invalid CA certificate"},
};

static const struct identity *issuer_of(enum issuer issuer) {
  switch (issuer) {
  case BY_ROOT: return &root;
  case BY_MIDDLE: return &middle;
  case BY_OTHER: return &other_root;
  case BY_LEAF: return &good;
  case BY_ITSELF: break;
  }
  return NULL;
}

static void judges_peers(void) {
  static const size_t splits[] = {WHOLE, 1, 7};
  struct lm_tls_options client = client_options(&root);
  size_t i, k;
  for (i = 0; i < sizeof peers / sizeof *peers; i++) {
    struct identity id = identity(&peers[i].wish, issuer_of(peers[i].issuer));
    struct lm_tls_options server = server_options(&id);
    check_row = peers[i].sentence;
    for (k = 0; k < 3; k++) meet(&client, &server, peers[i].name, peers[i].words, splits[k]);
    forget(&id);
  }
  check_row = NULL;
}

/* A name with a NUL inside must not pass for what stands before it. */
static void refuses_nul_in_names(void) {
  static const char evil[] = "mail.example.com\0.evil.example";
  struct lm_tls_options client = client_options(&root), server;
  struct identity id = identity(&other_wish, &root);
  GENERAL_NAMES *names = GENERAL_NAMES_new();
  GENERAL_NAME *name = GENERAL_NAME_new();
  ASN1_IA5STRING *text = ASN1_IA5STRING_new();
  BIO *bio = BIO_new(BIO_s_mem());
  ASN1_STRING_set(text, evil, sizeof evil - 1);
  GENERAL_NAME_set0_value(name, GEN_DNS, text);
  sk_GENERAL_NAME_push(names, name);
  X509_add1_ext_i2d(id.cert, NID_subject_alt_name, names, 0, X509V3_ADD_REPLACE);
  X509_sign(id.cert, root.key, EVP_sha256());
  PEM_write_bio_X509(bio, id.cert);
  free(id.cert_pem);
  id.cert_pem = text_of(bio);
  server = server_options(&id);
  meet(&client, &server, "mail.example.com", "host name mismatch", WHOLE);
  GENERAL_NAMES_free(names);
  forget(&id);
}

static void knows_names(void) {
  static const struct {
    const char *name;
    bool ok;
  } names[] = {{"a.example", true},
               {"a.example.", true},
               {"127.0.0.1", true},
               {"::1", true},
               {"fe80::1%eth0", true},
               {"xn--bcher-kva.example", true},
               {"a_b.example", true},
               {"", false},
               {".example.com", false},
               {"a..b", false},
               {"*.example.com", false},
               {"a b", false},
               {"a.example\r\nX", false},
               {"b\xc3\xbc.example", false},
               {"a.example%1", false},
               {"a.example:25", false},
               {".", false}};
  size_t i;
  for (i = 0; i < sizeof names / sizeof *names; i++) {
    check_row = names[i].name;
    CHECK(lm_tls_name_ok(str(names[i].name)) == names[i].ok);
  }
  check_row = NULL;
  CHECK(!lm_tls_name_ok((struct lm_str){"a\0b", 3}));
}

static void needs_a_name(void) {
  struct lm_tls_options o = client_options(&root);
  struct lm_tls_context *c = context(&o);
  const char *refusal = NULL;
  CHECK(lm_tls_new(c, LM_NOSTR, NULL, &refusal) == NULL);
  CHECK(strcmp(refusal, "a name to verify is missing") == 0);
  CHECK(lm_tls_new(c, LM_STR(".example.com"), NULL, &refusal) == NULL);
  CHECK(strcmp(refusal, "not a host name or an address") == 0);
  lm_tls_context_free(c);
}

/* --- pins, client certificates, versions, ALPN ------------------------------------------------ */

static void holds_to_pins(void) {
  struct lm_tls_options client = client_options(&root), server = server_options(&good);
  char right[64], wrong[64];
  struct lm_str pins[2];
  pin_of(&good, right);
  pin_of(&root, wrong);
  pins[0] = str(wrong);
  pins[1] = str(right);
  client.pins = pins;
  client.pins_n = 1;
  meet(&client, &server, "mail.example.com", "none of those pinned", 1);
  client.pins_n = 2;
  meet(&client, &server, "mail.example.com", NULL, 1);
  client.verify = false;
  meet(&client, &server, "elsewhere.example.com", NULL, WHOLE);
  client.pins_n = 1;
  meet(&client, &server, NULL, "none of those pinned", WHOLE);
}

static void verifies_nothing_when_told(void) {
  static const struct wish bad = {"x", "DNS:b.example.com", "clientAuth", -9, -1, false};
  struct identity id = identity(&bad, NULL);
  struct lm_tls_options client = {0}, server = server_options(&id);
  meet(&client, &server, "a.example.com", NULL, WHOLE);
  meet(&client, &server, NULL, NULL, 1);
  forget(&id);
}

static void shows_client_certificates(void) {
  static const struct wish ann = {"ann", "email:ann@example.com", "clientAuth", -1, 9, false};
  struct identity id = identity(&ann, &root);
  struct lm_tls_options client = client_options(&root), server = server_options(&good);
  struct lm_tls_context *cc, *sc;
  struct lm_buf pem = {NULL, 0, 0, 0};
  struct side c, s;
  server.verify = true;
  server.ca_file = str(root.cert_pem);
  cc = context(&client);
  sc = context(&server);
  CHECK(side_open(&c, cc, "mail.example.com", NULL) && side_open(&s, sc, NULL, NULL));
  converse(&c, &s, WHOLE);
  CHECK(failed_with(&s, "peer did not return a certificate"));
  CHECK(failed_with(&c, "alert"));
  side_free(&c);
  side_free(&s);
  lm_tls_context_free(cc);
  client.cert = str(id.cert_pem);
  client.key = str(id.key_pem);
  cc = context(&client);
  CHECK(side_open(&c, cc, "mail.example.com", NULL) && side_open(&s, sc, NULL, NULL));
  converse(&c, &s, 3);
  CHECK(lm_tls_is_open(s.tls) && lm_tls_peer_pem(s.tls, &pem));
  CHECK(has(lm_buf_str(&pem), "-----BEGIN CERTIFICATE-----") &&
        memcmp(lm_buf_str(&pem).p, id.cert_pem, lm_buf_len(&pem)) == 0);
  lm_buf_free(&pem);
  side_free(&c);
  side_free(&s);
  lm_tls_context_free(cc);
  lm_tls_context_free(sc);
  forget(&id);
}

static void keeps_to_versions(void) {
  struct lm_tls_options client = client_options(&root), server = server_options(&good);
  client.min_version = LM_STR("1.3");
  server.ciphers = LM_STR("ECDHE-ECDSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256");
  meet(&client, &server, "mail.example.com", NULL, 1);
  client.min_version = LM_STR("1.0");
  client.ciphers = LM_STR("ECDHE-ECDSA-AES128-GCM-SHA256:TLS_AES_256_GCM_SHA384");
  meet(&client, &server, "mail.example.com", "handshake failure", 1);
}

static void agrees_on_protocols(void) {
  struct lm_tls_options client = client_options(&root), server = server_options(&good);
  meet(&client, &server, "mail.example.com", NULL, 1);
  client.alpn = LM_STR("imap");
  server.alpn = LM_STR("pop3 imap");
  meet(&client, &server, "mail.example.com", NULL, 1);
  server.alpn = LM_STR("pop3");
  meet(&client, &server, "mail.example.com", "no application protocol", 1);
  server.alpn = LM_NOSTR;
  client.alpn = LM_STR("h2 http/1.1");
  meet(&client, &server, "mail.example.com", "no application protocol", WHOLE);
}

static int choose_other(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                        const unsigned char *in, unsigned in_n, void *unused) {
  (void)ssl, (void)in, (void)in_n, (void)unused;
  *out = (const unsigned char *)"http/1.1";
  *out_n = 8;
  return SSL_TLSEXT_ERR_OK;
}

/* A server that picks what was not on the list (ALPACA). */
static void refuses_protocols_not_offered(void) {
  struct lm_tls_options client = client_options(&root), server = server_options(&good);
  struct lm_tls_context *cc, *sc = context(&server);
  struct side c, s;
  client.alpn = LM_STR("imap");
  cc = context(&client);
  SSL_CTX_set_alpn_select_cb(sc->ctx, choose_other, NULL);
  CHECK(side_open(&c, cc, "mail.example.com", NULL) && side_open(&s, sc, NULL, NULL));
  put(&c, "secret");
  converse(&c, &s, 1);
  /* newer versions of OpenSSL see it themselves, in other words */
  CHECK(failed_with(&c, "") && lm_tls_why(c.tls).n);
  CHECK(lm_wire_input(&s.wire).n == 0);
  side_free(&c);
  side_free(&s);
  lm_tls_context_free(cc);
  lm_tls_context_free(sc);
}

/* --- contexts that cannot be ------------------------------------------------------------------ */

static void refuse_context(const struct lm_tls_options *o, const char *words) {
  struct lm_buf why = {NULL, 0, 0, 0};
  CHECK(lm_tls_context_new(o, &why) == NULL);
  if (!has(lm_buf_str(&why), words)) {
    fprintf(stderr, "%.*s\n", (int)lm_buf_len(&why), lm_buf_str(&why).p);
  }
  CHECK(has(lm_buf_str(&why), words));
  lm_buf_free(&why);
}

static void refuses_options(void) {
  static const struct lm_str pin = {"AAAA", 4};
  struct lm_tls_options o = {0}, client = client_options(&root), server = server_options(&good);
  o.server = true;
  refuse_context(&o, "a server needs a certificate");
  server.key = str(root.key_pem);
  refuse_context(&server, "cannot use key");
  server.key = str(root.cert_pem);
  refuse_context(&server, "cannot use key");
  server.cert = LM_STR("/nonexistent/cert.pem");
  refuse_context(&server, "cannot use certificate /nonexistent/cert.pem: No such file");
  client.ca_file = LM_STR("/nonexistent/ca.pem");
  refuse_context(&client, "cannot read trusted certificates /nonexistent/ca.pem: No such file");
  client.ca_file = LM_STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  refuse_context(&client, "cannot read trusted certificates: ");
  client.ca_file = LM_NOSTR;
  client.min_version = LM_STR("1.4");
  refuse_context(&client, "min_version");
  client.min_version = LM_NOSTR;
  client.ciphers = LM_STR("NO-SUCH-CIPHER");
  refuse_context(&client, "ciphers NO-SUCH-CIPHER: no cipher match");
  client.ciphers = LM_STR("");
  refuse_context(&client, "ciphers: a list without a name");
  client.ciphers = LM_STR("::");
  refuse_context(&client, "ciphers: a list without a name");
  client.ciphers = LM_NOSTR;
  client.key = str(good.key_pem);
  refuse_context(&client, "a key without its certificate");
  client.key = LM_NOSTR;
  client.pins = &pin;
  client.pins_n = 1;
  refuse_context(&client, "base64 of 32 bytes");
}

static void never_asks_for_a_password(void) {
  struct lm_tls_options server = server_options(&good);
  BIO *bio = BIO_new(BIO_s_mem());
  char *locked;
  PEM_write_bio_PrivateKey(bio, good.key, EVP_aes_128_cbc(), (const unsigned char *)"pw", 2, NULL,
                           NULL);
  locked = text_of(bio);
  server.key = str(locked);
  refuse_context(&server, "cannot use key");
  free(locked);
}

/* --- one pair for what follows ----------------------------------------------------------------- */

struct pair {
  struct lm_tls_context *cc, *sc;
  struct side c, s;
};

static void pair_open(struct pair *p, const char *version) {
  struct lm_tls_options client = client_options(&root), server = server_options(&good);
  p->cc = context(&client);
  p->sc = context(&server);
  if (strcmp(version, "1.2") == 0) SSL_CTX_set_max_proto_version(p->sc->ctx, TLS1_2_VERSION);
  CHECK(side_open(&p->c, p->cc, "mail.example.com", NULL) && side_open(&p->s, p->sc, NULL, NULL));
}

static void pair_free(struct pair *p) {
  side_free(&p->c);
  side_free(&p->s);
  lm_tls_context_free(p->cc);
  lm_tls_context_free(p->sc);
}

static void meet_again(struct pair *p, struct lm_tls_session *session) {
  side_free(&p->c);
  side_free(&p->s);
  CHECK(side_open(&p->c, p->cc, "mail.example.com", session));
  CHECK(side_open(&p->s, p->sc, NULL, NULL));
  converse(&p->c, &p->s, WHOLE);
}

/* --- resumption ------------------------------------------------------------------------------ */

static bool resumed(const struct side *s) {
  struct lm_tls_info info;
  return lm_tls_info(s->tls, &info) && info.resumed;
}

static void resumes(const char *version) {
  struct pair p;
  struct lm_tls_session *session, *newer;
  pair_open(&p, version);
  CHECK(lm_tls_session(p.c.tls) == NULL);
  converse(&p.c, &p.s, 1);
  CHECK(!resumed(&p.c) && lm_tls_session(p.s.tls) == NULL);
  session = lm_tls_session(p.c.tls);
  CHECK(session != NULL);
  meet_again(&p, session);
  CHECK(lm_tls_is_open(p.c.tls) && resumed(&p.c) && resumed(&p.s));
  newer = lm_tls_session(p.c.tls);
  CHECK(newer != NULL);
  meet_again(&p, newer);
  CHECK(resumed(&p.c));
  lm_tls_session_free(session);
  lm_tls_session_free(newer);
  pair_free(&p);
}

/* A session made where nothing was verified, or for another name, is worth nothing elsewhere. */
static void resumes_nothing_foreign(void) {
  struct lm_tls_options loose = {0};
  struct pair p;
  struct lm_tls_session *session;
  struct lm_tls_context *strict;
  pair_open(&p, "1.3");
  converse(&p.c, &p.s, WHOLE);
  session = lm_tls_session(p.c.tls);
  side_free(&p.c);
  CHECK(side_open(&p.c, p.cc, "other.example.com", session));
  side_free(&p.s);
  CHECK(side_open(&p.s, p.sc, NULL, NULL));
  converse(&p.c, &p.s, WHOLE);
  CHECK(failed_with(&p.c, "host name mismatch"));
  lm_tls_session_free(session);
  strict = p.cc;
  p.cc = context(&loose);
  meet_again(&p, NULL);
  session = lm_tls_session(p.c.tls);
  CHECK(session != NULL);
  lm_tls_context_free(p.cc);
  p.cc = strict;
  meet_again(&p, session);
  CHECK(lm_tls_is_open(p.c.tls) && !resumed(&p.c));
  lm_tls_session_free(session);
  pair_free(&p);
}

/* --- facts ----------------------------------------------------------------------------------- */

static void tells_facts(const char *version, const char *name) {
  struct pair p;
  struct lm_tls_info info;
  struct lm_buf pem = {NULL, 0, 0, 0};
  unsigned char a[LM_TLS_BINDING_MAX], b[LM_TLS_BINDING_MAX], digest[64];
  unsigned n;
  pair_open(&p, version);
  CHECK(!lm_tls_info(p.c.tls, &info) && lm_tls_exporter(p.c.tls, a) == 0);
  CHECK(lm_tls_server_end_point(p.c.tls, a) == 0);
  converse(&p.c, &p.s, WHOLE);
  CHECK(lm_tls_info(p.c.tls, &info) && strcmp(info.version, name) == 0 && info.alpn.n == 0);
  CHECK(strstr(info.cipher, "AES") != NULL && !info.resumed);
  CHECK(lm_tls_peer_pem(p.c.tls, &pem) && has(lm_buf_str(&pem), "-----END CERTIFICATE-----"));
  CHECK(memcmp(lm_buf_str(&pem).p, good.cert_pem, lm_buf_len(&pem)) == 0);
  lm_buf_free(&pem);
  CHECK(lm_tls_exporter(p.c.tls, a) == 32 && lm_tls_exporter(p.s.tls, b) == 32);
  CHECK(memcmp(a, b, 32) == 0);
  CHECK(lm_tls_server_end_point(p.c.tls, a) == 32 && lm_tls_server_end_point(p.s.tls, b) == 32);
  X509_digest(good.cert, EVP_sha256(), digest, &n);
  CHECK(memcmp(a, digest, 32) == 0 && memcmp(b, digest, 32) == 0);
  pair_free(&p);
}

/* --- data ------------------------------------------------------------------------------------ */

static char *noise(size_t n) {
  char *p = malloc(n);
  uint32_t x = 1;
  size_t i;
  for (i = 0; i < n; i++) p[i] = (char)((x = x * 1664525 + 1013904223) >> 24);
  return p;
}

/* A borrowed megabyte: never more of it encrypted ahead than the bound (less where time is counted), never
** more of it decrypted than the reader has room for, and all of it the same at the other end. */
static void carries_much(size_t split, bool brief) {
  enum { MUCH = 1 << 20, BRIEF = 65536 };
  size_t bound = brief ? BRIEF : LM_TLS_OUTPUT_MAX;
  char *data = noise(MUCH);
  struct lm_str in;
  struct pair p;
  size_t got = 0, most = 0;
  bool same = true;
  pair_open(&p, "1.3");
  converse(&p.c, &p.s, WHOLE);
  lm_link_brief(&p.c.link, brief);
  lm_wire_lend(&p.c.wire, (struct lm_str){data, MUCH});
  while (got < MUCH) {
    struct lm_wire *from = lm_link_outer(&p.c.link);
    struct lm_str out;
    lm_link_turn(&p.c.link);
    out = lm_wire_output(from);
    if (out.n > most) most = out.n;
    if (out.n > split) out.n = split;
    lm_wire_feed(lm_link_outer(&p.s.link), out);
    lm_wire_sent(from, out.n);
    lm_link_turn(&p.s.link);
    in = lm_wire_input(&p.s.wire);
    same = same && memcmp(data + got, in.p, in.n) == 0;
    got += in.n;
    lm_wire_take(&p.s.wire, in.n);
  }
  CHECK(same && got == MUCH && most >= bound && most < bound + 2 * 16384);
  CHECK(lm_wire_output(&p.c.wire).n == 0);
  pair_free(&p);
  free(data);
}

/* Ciphertext that the reader does not take is not decrypted without bound; a reader who needs more
** than that before it can take anything still gets it, turn by turn. */
static void holds_back(void) {
  enum { MUCH = 1 << 20 };
  char *data = noise(MUCH);
  struct pair p;
  size_t first;
  int turns = 0;
  pair_open(&p, "1.3");
  converse(&p.c, &p.s, WHOLE);
  lm_wire_lend(&p.c.wire, (struct lm_str){data, MUCH});
  while (lm_wire_output(&p.c.wire).n || lm_wire_output(lm_link_outer(&p.c.link)).n) {
    struct lm_wire *from = lm_link_outer(&p.c.link);
    struct lm_str out = lm_wire_output(from);
    lm_wire_feed(lm_link_outer(&p.s.link), out);
    lm_wire_sent(from, out.n);
    lm_link_turn(&p.c.link);
  }
  lm_link_turn(&p.s.link);
  first = lm_buf_len(&p.s.wire.in);
  CHECK(first >= 262144 && first < 262144 + 16384);
  lm_link_turn(&p.s.link);
  CHECK(lm_buf_len(&p.s.wire.in) == first + 16384);
  while (lm_buf_len(&p.s.wire.in) < MUCH && turns++ < 100) lm_link_turn(&p.s.link);
  CHECK(lm_buf_len(&p.s.wire.in) == MUCH && memcmp(lm_wire_input(&p.s.wire).p, data, MUCH) == 0);
  pair_free(&p);
  free(data);
}

/* A peer that asks for new keys without end and reads none of our answers: memory stays bounded, and
** the session still works once it reads. */
static void bounds_answers(void) {
  struct pair p;
  SSL *server;
  size_t most;
  int i, k;
  pair_open(&p, "1.3");
  converse(&p.c, &p.s, WHOLE);
  server = ((struct lm_tls *)p.s.tls)->ssl;
  for (i = 0; i < 80; i++) {
    struct lm_wire *from = lm_link_outer(&p.s.link);
    for (k = 0; k < 100; k++) {
      SSL_key_update(server, SSL_KEY_UPDATE_REQUESTED);
      SSL_do_handshake(server);
    }
    lm_wire_feed(lm_link_outer(&p.c.link), lm_wire_output(from));
    lm_wire_sent(from, lm_wire_output(from).n);
    lm_link_turn(&p.c.link);
  }
  most = lm_wire_output(lm_link_outer(&p.c.link)).n;
  CHECK(most > 65536 && most <= LM_TLS_OUTPUT_STOP + 16384);
  put(&p.s, "still here");
  converse(&p.s, &p.c, WHOLE);
  CHECK(heard(&p.c, "still here"));
  pair_free(&p);
}

static void relaxes(void) {
  struct pair p;
  pair_open(&p, "1.3");
  converse(&p.c, &p.s, WHOLE);
  lm_link_relax(&p.c.link);
  lm_link_relax(&p.s.link);
  CHECK(lm_link_outer(&p.c.link)->in.p == NULL && lm_link_outer(&p.c.link)->out.p == NULL);
  put(&p.c, "after a rest");
  converse(&p.c, &p.s, 1);
  CHECK(heard(&p.s, "after a rest"));
  pair_free(&p);
}

/* --- how it ends ----------------------------------------------------------------------------- */

static void ends_clean(const char *version) {
  struct pair p;
  pair_open(&p, version);
  converse(&p.c, &p.s, WHOLE);
  put(&p.s, "bye");
  lm_tls_close(p.s.tls);
  converse(&p.c, &p.s, 1);
  CHECK(heard(&p.c, "bye") && p.c.wire.eof && !p.c.wire.truncated);
  CHECK(!lm_wire_failed(&p.c.wire));
  put(&p.s, "too late");
  CHECK(!carry(&p.s, &p.c, WHOLE));
  lm_wire_eof(lm_link_outer(&p.c.link));
  lm_link_turn(&p.c.link);
  CHECK(p.c.wire.eof && !p.c.wire.truncated);
  pair_free(&p);
}

static void ends_cut(const char *version, bool inside) {
  struct pair p;
  struct lm_str s;
  pair_open(&p, version);
  converse(&p.c, &p.s, WHOLE);
  put(&p.s, "half");
  lm_link_turn(&p.s.link);
  s = lm_wire_output(lm_link_outer(&p.s.link));
  if (inside) s.n--;
  lm_wire_feed(lm_link_outer(&p.c.link), s);
  lm_wire_eof(lm_link_outer(&p.c.link));
  CHECK(lm_link_turn(&p.c.link));
  CHECK(heard(&p.c, inside ? "" : "half") && p.c.wire.eof && p.c.wire.truncated);
  CHECK(lm_wire_more(&p.c.wire) == LM_FAIL && lm_wire_error(&p.c.wire)->code == LM_E_CLOSED);
  pair_free(&p);
}

/* What came whole before a forged record is handed on; the forgery ends the session after it. */
static void ends_forged(void) {
  static const char forged[] = "\x17\x03\x03\x00\x20................................";
  struct pair p;
  pair_open(&p, "1.3");
  converse(&p.c, &p.s, WHOLE);
  put(&p.s, "good");
  lm_link_turn(&p.s.link);
  lm_wire_feed(lm_link_outer(&p.c.link), lm_wire_output(lm_link_outer(&p.s.link)));
  lm_wire_feed(lm_link_outer(&p.c.link), (struct lm_str){forged, sizeof forged - 1});
  lm_link_turn(&p.c.link);
  CHECK(heard(&p.c, "good") && !lm_wire_failed(&p.c.wire));
  lm_link_turn(&p.c.link);
  CHECK(failed_with(&p.c, "TLS failed: decryption failed or bad record mac"));
  put(&p.c, "nothing more");
  CHECK(lm_wire_output(&p.c.wire).n == 0);
  pair_free(&p);
}

static void ends_in_handshake(void) {
  static const struct {
    const char *bytes;
    size_t n;
    const char *words;
  } bad[] = {
      {"", sizeof("") - 1, "the connection ended during the TLS handshake"},
      {"\x16\x03\x03", sizeof("\x16\x03\x03") - 1, "the connection ended during the TLS handshake"},
      {"220 mail.example.com ESMTP\r\n", sizeof("220 mail.example.com ESMTP\r\n") - 1,
       "the peer does not speak TLS"},
      {"* OK IMAP4rev1 ready\r\n", sizeof("* OK IMAP4rev1 ready\r\n") - 1,
       "the peer does not speak TLS"},
      {"HTTP/1.1 400 Bad Request\r\n\r\n", sizeof("HTTP/1.1 400 Bad Request\r\n\r\n") - 1,
       "the peer does not speak TLS"},
      {"\x15\x03\x01\x00\x02\x02\x28", sizeof("\x15\x03\x01\x00\x02\x02\x28") - 1,
       "alert handshake failure"},
      {"\x17\x03\x03\x00\x05hello", sizeof("\x17\x03\x03\x00\x05hello") - 1,
       "TLS handshake failed"},
  };
  size_t i, k;
  for (i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct pair p;
    pair_open(&p, "1.3");
    put(&p.c, "secret");
    lm_link_turn(&p.c.link);
    for (k = 0; k < bad[i].n; k++) {
      lm_wire_feed(lm_link_outer(&p.c.link), (struct lm_str){bad[i].bytes + k, 1});
      lm_link_turn(&p.c.link);
    }
    lm_wire_eof(lm_link_outer(&p.c.link));
    lm_link_turn(&p.c.link);
    CHECK(failed_with(&p.c, bad[i].words));
    CHECK(!has(lm_wire_output(lm_link_outer(&p.c.link)), "secret"));
    pair_free(&p);
  }
}

/* Plaintext in front of the handshake (STARTTLS response injection): refused at the insertion, and
** garbage to the handshake where it comes later. */
static void refuses_injection(void) {
  struct lm_tls_options client = client_options(&root);
  struct lm_tls_context *c = context(&client);
  struct side s;
  const char *refusal;
  memset(&s, 0, sizeof s);
  lm_wire_init(&s.wire);
  s.link.wire = &s.wire;
  lm_wire_feed(&s.wire, LM_STR("* CAPABILITY AUTH=PLAIN\r\n"));
  CHECK(!lm_link_insert(&s.link, lm_tls_new(c, LM_STR("mail.example.com"), NULL, &refusal)));
  CHECK(lm_wire_error(&s.wire)->code == LM_E_PROTOCOL);
  side_free(&s);
  lm_tls_context_free(c);
}

int main(void) {
  root = identity(&root_wish, NULL);
  other_root = identity(&other_wish, NULL);
  middle = identity(&middle_wish, &root);
  good = identity(&good_wish, &root);
  judges_peers();
  refuses_nul_in_names();
  knows_names();
  needs_a_name();
  holds_to_pins();
  verifies_nothing_when_told();
  shows_client_certificates();
  keeps_to_versions();
  agrees_on_protocols();
  refuses_protocols_not_offered();
  refuses_options();
  never_asks_for_a_password();
  resumes("1.2");
  resumes("1.3");
  resumes_nothing_foreign();
  tells_facts("1.2", "TLSv1.2");
  tells_facts("1.3", "TLSv1.3");
  carries_much(WHOLE, false);
  carries_much(WHOLE, true);
  carries_much(997, false);
  carries_much(997, true);
  holds_back();
  bounds_answers();
  relaxes();
  ends_clean("1.2");
  ends_clean("1.3");
  ends_cut("1.2", false);
  ends_cut("1.3", true);
  ends_forged();
  ends_in_handshake();
  refuses_injection();
  forget(&root);
  forget(&other_root);
  forget(&middle);
  forget(&good);
  return check_end();
}
