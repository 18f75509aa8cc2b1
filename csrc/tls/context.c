/*
** context.c: certificates, trust and policy, made once for many filters.
**
** Everything is read and checked here, so that a wrong file or cipher name is known before a
** connection is opened. Nothing asks for a password and nothing is cached inside OpenSSL: sessions
** are kept by the caller, under a key that holds all of these options.
*/
#include "base/text.h"
#include "tls/engine.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

struct making {
  const struct lm_tls_options *o;
  struct lm_tls_context *c;
  SSL_CTX *ctx;
  struct lm_tls_policy *policy;
  struct lm_buf *why;
};

static bool refuse(struct making *m, const char *what) {
  lm_tls_says(m->why, what);
  ERR_clear_error();
  return false;
}

/* "what value: OpenSSL's reason"; a PEM text is not repeated. */
static bool refuse_value(struct making *m, const char *what, struct lm_str value) {
  lm_tls_says(m->why, what);
  if (value.n) {
    lm_tls_says(m->why, " ");
    lm_tls_say(m->why, value.p, value.n);
  }
  lm_tls_says(m->why, ": ");
  lm_tls_say_error(m->why);
  return false;
}

/* NUL-terminated, with room for one byte more (the ':' behind the last of a list). */
static char *copy(struct lm_str s) {
  char *p = malloc(s.n + 2);
  if (p == NULL) return NULL;
  if (s.n) memcpy(p, s.p, s.n);
  p[s.n] = '\0';
  return p;
}

static bool is_pem(struct lm_str s) {
  static const char begin[] = "-----BEGIN ";
  size_t i;
  for (i = 0; i + sizeof begin <= s.n; i++) {
    if (memcmp(s.p + i, begin, sizeof begin - 1) == 0) return true;
  }
  return false;
}

static BIO *source(struct lm_str s) {
  char *path;
  BIO *bio;
  if (is_pem(s)) return s.n <= INT32_MAX ? BIO_new_mem_buf(s.p, (int)s.n) : NULL;
  if ((path = copy(s)) == NULL) return NULL;
  bio = BIO_new_file(path, "r");
  free(path);
  return bio;
}

static struct lm_str name_of(struct lm_str s) {
  return is_pem(s) ? LM_NOSTR : s;
}

/* The end of a PEM source is an error to OpenSSL; any other one is ours too. */
static bool at_end(void) {
  unsigned long e = ERR_peek_last_error();
  bool end = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
  if (end) ERR_clear_error();
  return end;
}

static int no_password(char *buf, int size, int writing, void *unused) {
  (void)buf, (void)size, (void)writing, (void)unused;
  return -1;
}

/* --- trust ----------------------------------------------------------------------------------- */

/* One certificate more; *end_out where there is none. */
static bool read_trusted(struct lm_tls_context *c, bool *end_out) {
  X509 *cert = PEM_read_bio_X509_AUX(c->trust, NULL, no_password, NULL);
  bool added = cert && X509_STORE_add_cert(SSL_CTX_get_cert_store(c->ctx), cert) == 1;
  *end_out = cert == NULL;
  X509_free(cert);
  if (added) c->trusted++;
  return *end_out ? at_end() && c->trusted > 0 : added;
}

static bool refuse_trusted(struct lm_tls_context *c, struct lm_str name, struct lm_buf *why) {
  struct making m = {NULL, c, c->ctx, NULL, why};
  return refuse_value(&m, "cannot read trusted certificates", name);
}

static bool set_ca_file(struct making *m) {
  struct lm_str name = name_of(m->o->ca_file);
  m->c->trust = source(m->o->ca_file);
  if (m->c->trust == NULL) return refuse_trusted(m->c, name, m->why);
  return lm_buf_put(&m->c->trust_name, name.p, name.n);
}

/* As SSL_CTX_set_default_verify_paths has it, where a file that is missing is none: but that reads
** the file at once, which is a hundred certificates and many milliseconds. */
static bool set_default_trust(struct making *m) {
  const char *path = getenv(X509_get_default_cert_file_env());
  m->c->trust = BIO_new_file(path ? path : X509_get_default_cert_file(), "r");
  m->c->trust_default = true;
  ERR_clear_error();
  return SSL_CTX_set_default_verify_dir(m->ctx) == 1;
}

static bool set_ca_path(struct making *m) {
  char *path = copy(m->o->ca_path);
  bool set = path != NULL && SSL_CTX_load_verify_dir(m->ctx, path) == 1;
  free(path);
  return set || refuse_value(m, "cannot use the folder", m->o->ca_path);
}

static bool set_trust(struct making *m) {
  if (!m->o->verify) return true;
  if (m->o->ca_file.n && !set_ca_file(m)) return false;
  if (m->o->ca_path.n && !set_ca_path(m)) return false;
  if (m->o->ca_file.n || m->o->ca_path.n) return true;
  if (set_default_trust(m)) return true;
  return refuse_value(m, "cannot read the system's trusted certificates", LM_NOSTR);
}

/* --- own certificate ------------------------------------------------------------------------- */

static bool read_chain(struct making *m, BIO *bio) {
  X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL);
  bool used = cert != NULL && SSL_CTX_use_certificate(m->ctx, cert) == 1;
  X509_free(cert);
  while (used && (cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
    if (SSL_CTX_add0_chain_cert(m->ctx, cert) == 1) continue;
    X509_free(cert);
    return false;
  }
  return used && at_end();
}

static bool read_key(struct making *m, BIO *bio) {
  EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
  bool used = key != NULL && SSL_CTX_use_PrivateKey(m->ctx, key) == 1;
  EVP_PKEY_free(key);
  return used;
}

static bool use(struct making *m, struct lm_str s, bool (*reader)(struct making *, BIO *)) {
  BIO *bio = source(s);
  bool used = bio != NULL && reader(m, bio);
  BIO_free(bio);
  return used;
}

static bool set_own(struct making *m) {
  struct lm_str cert = m->o->cert, key = m->o->key.n ? m->o->key : cert;
  if (cert.n == 0 && m->o->key.n) return refuse(m, "a key without its certificate");
  if (cert.n == 0 && m->o->server) return refuse(m, "a server needs a certificate and its key");
  if (cert.n == 0) return true;
  if (!use(m, cert, read_chain)) return refuse_value(m, "cannot use certificate", name_of(cert));
  if (!use(m, key, read_key)) return refuse_value(m, "cannot use key", name_of(key));
  if (SSL_CTX_check_private_key(m->ctx) == 1) return true;
  return refuse_value(m, "key and certificate do not match", LM_NOSTR);
}

/* --- versions and ciphers -------------------------------------------------------------------- */

static bool set_version(struct making *m) {
  static const char *const names[] = {"1.0", "1.1", "1.2", "1.3"};
  struct lm_str s = m->o->min_version;
  int version = TLS1_2_VERSION, i;
  if (s.n == 0) {
    if (SSL_CTX_get_min_proto_version(m->ctx) > TLS1_2_VERSION) return true;
    return SSL_CTX_set_min_proto_version(m->ctx, version) == 1;
  }
  for (i = 0; i < 4; i++) {
    if (s.n == 3 && memcmp(s.p, names[i], 3) == 0) break;
  }
  if (i == 4) return refuse(m, "min_version is one of 1.0, 1.1, 1.2, 1.3");
  version = TLS1_VERSION + i;
  /* the signatures of 1.0 and 1.1 rest on SHA-1 and MD5, which level 1 and above forbid */
  if (version < TLS1_2_VERSION) SSL_CTX_set_security_level(m->ctx, 0);
  return SSL_CTX_set_min_proto_version(m->ctx, version) == 1;
}

/* Parts the names of TLS 1.3 suites from the others; each list ends in NUL. */
static void part_ciphers(const char *from, char *list, char *suites) {
  while (*from) {
    size_t n = strcspn(from, ": ,");
    char **to = strncmp(from, "TLS_", 4) == 0 ? &suites : &list;
    memcpy(*to, from, n);
    *to += n;
    if (n) *(*to)++ = ':';
    from += n;
    from += strspn(from, ": ,");
  }
  *list = *suites = '\0';
}

static bool set_ciphers(struct making *m) {
  char *text = copy(m->o->ciphers);
  char *list = copy(m->o->ciphers), *suites = copy(m->o->ciphers);
  bool room = text && list && suites, named = room, set = room;
  if (room) {
    part_ciphers(text, list, suites);
    named = *list || *suites || m->o->ciphers.p == NULL;
    set = (*list == '\0' || SSL_CTX_set_cipher_list(m->ctx, list) == 1) &&
          (*suites == '\0' || SSL_CTX_set_ciphersuites(m->ctx, suites) == 1);
  }
  free(text);
  free(list);
  free(suites);
  if (!room) return refuse(m, "out of memory");
  if (!named) return refuse(m, "ciphers: a list without a name");
  return set || refuse_value(m, "ciphers", m->o->ciphers);
}

/* --- ALPN (RFC 7301; ids: imap, pop3) -------------------------------------------------------- */

static bool add_protocol(struct lm_tls_policy *p, const char *name, size_t n) {
  if (n > 255 || (size_t)p->alpn_n + 1 + n > LM_TLS_ALPN_MAX) return false;
  p->alpn[p->alpn_n] = (unsigned char)n;
  memcpy(p->alpn + p->alpn_n + 1, name, n);
  p->alpn_n = (uint8_t)(p->alpn_n + 1 + n);
  return true;
}

/* A server refuses what it does not know, even where it names nothing itself: a browser led to a
** mail server must not get an answer (ALPACA). */
static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                           const unsigned char *in, unsigned in_n, void *unused) {
  const struct lm_tls *t = SSL_get_app_data(ssl);
  const struct lm_tls_policy *p = &t->policy;
  unsigned char *found = NULL;
  (void)unused;
  if (p->alpn_n == 0) return SSL_TLSEXT_ERR_ALERT_FATAL;
  if (SSL_select_next_proto(&found, out_n, p->alpn, p->alpn_n, in, in_n) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = found;
  return SSL_TLSEXT_ERR_OK;
}

static bool set_alpn(struct making *m) {
  struct lm_str s = m->o->alpn;
  size_t from = 0, to;
  for (; from < s.n; from = to + 1) {
    for (to = from; to < s.n && s.p[to] != ' ';) to++;
    if (to > from && !add_protocol(m->policy, s.p + from, to - from)) {
      return refuse(m, "alpn: too many or too long names");
    }
  }
  if (m->o->server) SSL_CTX_set_alpn_select_cb(m->ctx, select_protocol, NULL);
  if (m->o->server || m->policy->alpn_n == 0) return true;
  return SSL_CTX_set_alpn_protos(m->ctx, m->policy->alpn, m->policy->alpn_n) == 0;
}

/* --- pins ------------------------------------------------------------------------------------ */

static bool set_pin(struct making *m, struct lm_str text) {
  struct lm_tls_policy *p = m->policy;
  struct lm_buf raw = {NULL, 0, 0, 0};
  bool right = lm_base64_decode(&raw, text) == LM_BASE64_OK && lm_buf_len(&raw) == LM_TLS_DIGEST;
  if (right) memcpy(p->pins[p->pins_n++], lm_buf_str(&raw).p, LM_TLS_DIGEST);
  lm_buf_free(&raw);
  return right || refuse(m, "pin_sha256 is the base64 of 32 bytes");
}

static bool set_pins(struct making *m) {
  size_t i;
  if (m->o->pins_n > LM_TLS_PINS) return refuse(m, "too many pins");
  for (i = 0; i < m->o->pins_n; i++) {
    if (!set_pin(m, m->o->pins[i])) return false;
  }
  return true;
}

/* --- the mark of a context ------------------------------------------------------------------- */

static bool mark_one(EVP_MD_CTX *md, struct lm_str s) {
  uint64_t n = s.n;
  return EVP_DigestUpdate(md, &n, sizeof n) == 1 && EVP_DigestUpdate(md, s.p, s.n) == 1;
}

/* All options, each behind its length: two contexts have the same mark only if they would judge a
** peer alike and show it the same certificate. */
static bool set_mark(struct making *m) {
  const struct lm_tls_options *o = m->o;
  char role[2] = {o->server ? 's' : 'c', o->verify ? 'v' : '-'};
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  bool made = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
  made = made && mark_one(md, (struct lm_str){role, 2}) && mark_one(md, o->ca_file);
  made = made && mark_one(md, o->ca_path) && mark_one(md, o->cert) && mark_one(md, o->key);
  made = made && mark_one(md, o->min_version) && mark_one(md, o->ciphers) && mark_one(md, o->alpn);
  made = made && EVP_DigestUpdate(md, m->policy->pins, sizeof m->policy->pins) == 1;
  made = made && EVP_DigestFinal_ex(md, m->policy->mark, NULL) == 1;
  EVP_MD_CTX_free(md);
  return made;
}

/* --- making one ------------------------------------------------------------------------------ */

static void set_verify(struct making *m) {
  int mode = SSL_VERIFY_NONE;
  if (m->o->verify || m->policy->pins_n) mode = SSL_VERIFY_PEER;
  if (m->o->server && mode != SSL_VERIFY_NONE) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(m->ctx, mode, NULL);
  SSL_CTX_set_cert_verify_callback(m->ctx, lm_tls_verify, NULL);
}

static void set_modes(SSL_CTX *ctx) {
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_default_passwd_cb(ctx, no_password);
}

static bool make(struct making *m) {
  set_modes(m->ctx);
  return set_version(m) && set_ciphers(m) && set_pins(m) && set_alpn(m) && set_own(m) &&
         set_trust(m) && set_mark(m) && (set_verify(m), true);
}

enum lm_tls_step lm_tls_context_step(struct lm_tls_context *c, struct lm_buf *why) {
  bool end, read;
  if (c->trust == NULL && !c->refused) return LM_TLS_READY;
  ERR_clear_error();
  read = !c->refused && read_trusted(c, &end);
  if (read && !end) return LM_TLS_MORE;
  /* the system's own file may end as it likes: what could be read of it is trusted */
  c->refused = !read && !c->trust_default;
  if (c->refused) refuse_trusted(c, lm_buf_str(&c->trust_name), why);
  ERR_clear_error();
  BIO_free(c->trust);
  c->trust = NULL;
  return c->refused ? LM_TLS_REFUSED : LM_TLS_READY;
}

static bool read_all(struct lm_tls_context *c, struct lm_buf *why) {
  enum lm_tls_step step;
  do {
    step = lm_tls_context_step(c, why);
  } while (step == LM_TLS_MORE);
  return step == LM_TLS_READY;
}

struct lm_tls_context *lm_tls_context_new(const struct lm_tls_options *o, struct lm_buf *why) {
  struct lm_tls_context *c = calloc(1, sizeof *c);
  struct making m = {o, c, NULL, NULL, why};
  if (c == NULL) return NULL;
  ERR_clear_error();
  c->policy.server = o->server;
  c->policy.verify = o->verify;
  c->ctx = SSL_CTX_new(o->server ? TLS_server_method() : TLS_client_method());
  m.ctx = c->ctx;
  m.policy = &c->policy;
  if (c->ctx && make(&m) && (o->in_steps || read_all(c, why))) return c;
  if (lm_buf_len(why) == 0) lm_tls_say_error(why);
  lm_tls_context_free(c);
  return NULL;
}

void lm_tls_context_free(struct lm_tls_context *c) {
  if (c == NULL) return;
  BIO_free(c->trust);
  lm_buf_free(&c->trust_name);
  SSL_CTX_free(c->ctx);
  free(c);
}
