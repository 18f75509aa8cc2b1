/*
** tls.c: the filter: handshake, then records both ways.
**
** Bounded: no more than TURN_MAX bytes are decrypted a turn, and no more than LM_TLS_OUTPUT_MAX bytes of
** ciphertext (OUTPUT_BRIEF where time is counted) and a record are made ahead of the transport; what does
** not fit stays where it is. The end of the stream is clean only behind close_notify (RFC 8446 §6.1); any
** other end is `truncated`.
*/
#include "tls/engine.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { TURN_MAX = 262144, OUTPUT_BRIEF = 65536, RECORD = 16384 };

/* --- failing --------------------------------------------------------------------------------- */

static void fail_inner(struct lm_tls *t, struct lm_wire *inner) {
  const struct lm_error *outer = lm_wire_error(&t->filter.outer);
  t->stage = LM_TLS_FAILED;
  if (outer->code != LM_E_NONE) t->code = outer->code;
  lm_wire_fail(inner, t->code, t->code == LM_E_MEMORY ? "memory for TLS" : "TLS", LM_NOSTR);
}

static void note(struct lm_tls *t, const char *doing) {
  struct lm_buf reason = {NULL, 0, 0, 0};
  t->code = lm_tls_say_error(&reason);
  if (!t->named) {
    lm_tls_says(&t->why, doing);
    lm_tls_say(&t->why, lm_buf_str(&reason).p, lm_buf_len(&reason));
  }
  lm_buf_free(&reason);
}

static bool fail(struct lm_tls *t, struct lm_wire *inner, const char *doing) {
  note(t, doing);
  fail_inner(t, inner);
  return false;
}

static bool fail_words(struct lm_tls *t, struct lm_wire *inner, const char *words) {
  if (!t->named) lm_tls_says(&t->why, words);
  t->code = LM_E_TLS;
  fail_inner(t, inner);
  return false;
}

/* --- handshake ------------------------------------------------------------------------------- */

static bool handshake(struct lm_tls *t, struct lm_wire *inner) {
  int result;
  ERR_clear_error();
  result = SSL_do_handshake(t->ssl);
  if (result == 1) {
    if (!lm_tls_accept(t)) return fail_words(t, inner, "the server was not accepted");
    t->stage = LM_TLS_OPEN;
    return true;
  }
  if (lm_wire_failed(&t->filter.outer) || SSL_get_error(t->ssl, result) != SSL_ERROR_WANT_READ) {
    return fail(t, inner, "TLS handshake failed: ");
  }
  if (!t->filter.outer.eof || lm_buf_len(&t->filter.outer.in)) return false;
  return fail_words(t, inner, "the connection ended during the TLS handshake");
}

/* --- inward ---------------------------------------------------------------------------------- */

static void end(struct lm_tls *t, struct lm_wire *inner, bool clean) {
  t->stage = LM_TLS_ENDED;
  inner->truncated = !clean;
  lm_wire_eof(inner);
}

/* Nothing more can be read now: is it the end? */
static void dry(struct lm_tls *t, struct lm_wire *inner, size_t moved) {
  struct lm_wire *outer = &t->filter.outer;
  switch (SSL_get_error(t->ssl, 0)) {
  case SSL_ERROR_WANT_READ:
    if (outer->eof && lm_buf_len(&outer->in) == 0) end(t, inner, false);
    return;
  case SSL_ERROR_ZERO_RETURN: end(t, inner, true); return;
  default: break;
  }
  note(t, "TLS failed: ");
  t->stage = LM_TLS_BROKEN;
  /* what came before the broken record is good, and the session has not seen it yet */
  if (moved == 0) fail_inner(t, inner);
}

static bool has_input(const struct lm_tls *t) {
  return lm_buf_len(&t->filter.outer.in) || t->filter.outer.eof || SSL_has_pending(t->ssl);
}

/* Room for all that this turn can decrypt: records come in one by one, and were there too little of it
** behind one of them, all before it in this turn would move. Where memory is short, each record asks. */
static void make_room(struct lm_tls *t, struct lm_wire *inner) {
  size_t come = lm_buf_len(&t->filter.outer.in);
  if (come) lm_buf_room(&inner->in, come < TURN_MAX ? come : TURN_MAX);
}

/* At least one record a turn, however full the inner wire is: what the session needs next may stand
** behind more than TURN_MAX bytes. OpenSSL is asked only where there is something to read: to be told
** that there is nothing costs as much as a short record. */
static void decrypt(struct lm_tls *t, struct lm_wire *inner) {
  size_t moved = 0, room, n;
  if (!has_input(t)) return;
  make_room(t, inner);
  ERR_clear_error();
  do {
    char *p = lm_wire_room(inner, &room);
    if (p == NULL) return;
    if (SSL_read_ex(t->ssl, p, room, &n) != 1) {
      dry(t, inner, moved);
      return;
    }
    lm_wire_fed(inner, n);
    moved += n;
  } while (moved < TURN_MAX && lm_buf_len(&inner->in) < TURN_MAX && has_input(t));
}

/* --- outward --------------------------------------------------------------------------------- */

static void encrypt(struct lm_tls *t, struct lm_wire *inner) {
  struct lm_str s = lm_wire_output(inner);
  size_t n, most = t->filter.brief ? OUTPUT_BRIEF : LM_TLS_OUTPUT_MAX;
  if (s.n == 0 && !t->closing) return;
  ERR_clear_error();
  while ((s = lm_wire_output(inner)).n && lm_buf_len(&t->filter.outer.out) < most) {
    if (s.n > RECORD) s.n = RECORD;
    if (t->closed) return;
    if (SSL_write_ex(t->ssl, s.p, s.n, &n) != 1) {
      if (SSL_get_error(t->ssl, 0) != SSL_ERROR_WANT_READ) fail(t, inner, "TLS failed: ");
      return;
    }
    lm_wire_sent(inner, n);
  }
  if (!t->closing || t->closed || s.n) return;
  SSL_shutdown(t->ssl);
  ERR_clear_error();
  t->closed = true;
}

/* --- the filter ------------------------------------------------------------------------------ */

bool lm_tls_is_open(const struct lm_filter *f) {
  const struct lm_tls *t = lm_tls_peek(f);
  return t->stage == LM_TLS_OPEN || t->stage == LM_TLS_ENDED;
}

static void turn(struct lm_filter *f, struct lm_wire *inner) {
  struct lm_tls *t = lm_tls_of(f);
  if (t->stage == LM_TLS_FAILED) return;
  if (t->stage == LM_TLS_BROKEN || lm_wire_failed(&f->outer)) {
    fail_inner(t, inner);
    return;
  }
  if (t->stage == LM_TLS_HANDSHAKE && !handshake(t, inner)) return;
  if (t->stage == LM_TLS_OPEN && !lm_wire_failed(inner)) decrypt(t, inner);
  if (t->stage == LM_TLS_OPEN || t->stage == LM_TLS_ENDED) encrypt(t, inner);
}

static void relax(struct lm_filter *f) {
  SSL_free_buffers(lm_tls_of(f)->ssl);
}

static void release(struct lm_filter *f) {
  struct lm_tls *t = lm_tls_of(f);
  /* a dropped connection does not spoil its session (nor did it in TLS 1.1 and later): OpenSSL
   * would mark it so that nobody can resume it */
  if (lm_tls_is_open(f)) SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(t->ssl);
  BIO_meth_free(t->method);
  lm_buf_free(&t->why);
  lm_wire_free(&f->outer);
  free(t);
}

/* The mark of the context together with the name: what a session of this connection is good for. */
static bool set_mark(struct lm_tls *t, struct lm_str name) {
  unsigned char mark[EVP_MAX_MD_SIZE];
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  bool made = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(md, t->policy.mark, LM_TLS_DIGEST) == 1 &&
              EVP_DigestUpdate(md, name.p, name.n) == 1 && EVP_DigestFinal_ex(md, mark, NULL) == 1;
  EVP_MD_CTX_free(md);
  return made && SSL_set_session_id_context(t->ssl, mark, LM_TLS_DIGEST) == 1 &&
         (memcpy(t->policy.mark, mark, LM_TLS_DIGEST), true);
}

/* A session from under other options, or of another name, is not offered. */
static bool offer(struct lm_tls *t, SSL_SESSION *s) {
  unsigned n = 0;
  const unsigned char *mark = s ? SSL_SESSION_get0_id_context(s, &n) : NULL;
  if (mark == NULL || n != LM_TLS_DIGEST || memcmp(mark, t->policy.mark, n) != 0) return true;
  return SSL_set_session(t->ssl, s) == 1;
}

static bool start(struct lm_tls *t, const struct lm_tls_context *c, struct lm_str name,
                  SSL_SESSION *resume) {
  if ((t->ssl = SSL_new(c->ctx)) == NULL || !lm_tls_attach(t)) return false;
  if (SSL_set_app_data(t->ssl, t) != 1 || !set_mark(t, name)) return false;
  if (c->policy.server) {
    SSL_set_accept_state(t->ssl);
    return true;
  }
  SSL_set_connect_state(t->ssl);
  return (name.n == 0 || lm_tls_expect(t->ssl, &c->policy, name)) && offer(t, resume);
}

static const char *misuse(const struct lm_tls_policy *p, struct lm_str name) {
  if (p->server) return NULL;
  if (name.n == 0) return p->verify ? "a name to verify is missing" : NULL;
  return lm_tls_name_ok(name) ? NULL : "not a host name or an address";
}

struct lm_filter *lm_tls_new(const struct lm_tls_context *c, struct lm_str name,
                             struct lm_tls_session *resume, const char **refusal_out) {
  struct lm_tls *t;
  *refusal_out = misuse(&c->policy, name);
  if (c->trust || c->refused) *refusal_out = "the context's trusted certificates are not read yet";
  if (*refusal_out) return NULL;
  *refusal_out = "out of memory";
  if ((t = calloc(1, sizeof *t)) == NULL) return NULL;
  lm_wire_init(&t->filter.outer);
  t->filter.turn = turn;
  t->filter.relax = relax;
  t->filter.free = release;
  t->policy = c->policy;
  ERR_clear_error();
  if (start(t, c, name, (SSL_SESSION *)resume)) return &t->filter;
  ERR_clear_error();
  release(&t->filter);
  return NULL;
}

struct lm_filter *lm_tls_find(const struct lm_link *l) {
  size_t i;
  for (i = 0; i < LM_LINK_FILTERS && l->filter[i]; i++) {
    if (l->filter[i]->turn == turn) return l->filter[i];
  }
  return NULL;
}

struct lm_str lm_tls_why(const struct lm_filter *f) {
  return lm_buf_str(&lm_tls_peek(f)->why);
}

void lm_tls_close(struct lm_filter *f) {
  lm_tls_of(f)->closing = true;
}
