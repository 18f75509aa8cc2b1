/*
** sasl.c: the table of mechanisms and the life of a client's exchange (RFC 4422).
**
** The order of the table is the order of preference.
*/
#include "sasl/mech.h"

#include <stdlib.h>
#include <string.h>

#include "base/chars.h"

static const struct lm_sasl_mechanism *const mechanisms[] = {
    &lm_sasl_external,
    &lm_sasl_gssapi,
    &lm_sasl_scram_sha512_plus,
    &lm_sasl_scram_sha256_plus,
    &lm_sasl_scram_sha1_plus,
    &lm_sasl_scram_sha512,
    &lm_sasl_scram_sha256,
    &lm_sasl_scram_sha1,
    &lm_sasl_oauthbearer,
    &lm_sasl_xoauth2,
    &lm_sasl_digest_md5,
    &lm_sasl_cram_md5,
    &lm_sasl_plain,
    &lm_sasl_login,
    &lm_sasl_ntlm,
    &lm_sasl_anonymous,
    NULL,
};

const struct lm_sasl_mechanism *const *lm_sasl_mechanisms(void) {
  return mechanisms;
}

const struct lm_sasl_mechanism *lm_sasl_find(struct lm_str name) {
  size_t i;
  for (i = 0; mechanisms[i]; i++) {
    const char *known = mechanisms[i]->name;
    if (lm_str_ieq(name, (struct lm_str){known, strlen(known)})) return mechanisms[i];
  }
  return NULL;
}

/* --- credentials -------------------------------------------------------------------------------- */

/* NUL separates the fields of PLAIN, and no directory knows a name with one (RFC 4616 §2); ^A those
** of OAUTHBEARER. */
static bool has(struct lm_str s, char c) {
  return s.n && memchr(s.p, c, s.n) != NULL;
}

static const char *unfit(const struct lm_sasl_mechanism *m, const struct lm_sasl_credentials *c) {
  if (has(c->user, '\0')) return "the user name holds NUL";
  if (has(c->password, '\0')) return "the password holds NUL";
  if (has(c->authzid, '\0')) return "the authorization identity holds NUL";
  if (m->wants_token &&
      (has(c->token, '\1') || has(c->token, '\0') || has(c->user, '\1') || has(c->authzid, '\1')))
    return "the token or the user name holds a control character";
  if (m->wants_secret && c->user.n == 0) return "a user name is needed";
  if (m->wants_token && c->token.n == 0) return "a token is needed";
  if (m->wants_ticket && c->gss == NULL) return "this build has no GSSAPI";
  if (m->wants_ticket && (c->service.n == 0 || c->host.n == 0))
    return "the service and its host must be named";
  if (m->wants_ticket && (has(c->service, '\0') || has(c->host, '\0') || has(c->ccache, '\0')))
    return "the name of the service or of the tickets holds NUL";
  if (m->binds && c->binding.n == 0) return "a channel binding is needed, which only TLS has";
  return NULL;
}

static void keep(struct lm_sasl *s, struct lm_str *view) {
  struct lm_str kept = {s->secrets.p + s->secrets.end, view->n};
  lm_buf_put(&s->secrets, view->p, view->n);
  *view = kept;
}

/* Room for all is made before, so that no copy of a secret is left behind by growth. */
static bool keep_all(struct lm_sasl *s, const struct lm_sasl_credentials *c) {
  struct lm_str *const views[] = {&s->with.user,    &s->with.password, &s->with.token,
                                  &s->with.authzid, &s->with.port,     &s->with.service,
                                  &s->with.host,    &s->with.nonce,    &s->with.binding_name,
                                  &s->with.binding, &s->with.ccache};
  size_t i, room = 0;
  s->with = *c;
  for (i = 0; i < sizeof views / sizeof *views; i++) room += views[i]->n;
  if (lm_buf_room(&s->secrets, room + 1) == NULL) return false;
  for (i = 0; i < sizeof views / sizeof *views; i++) keep(s, views[i]);
  return lm_buf_room(&s->out, 2 * room + 256) != NULL;
}

static const char *begin(const struct lm_sasl_mechanism *mechanism,
                         const struct lm_sasl_credentials *credentials, struct lm_sasl **out) {
  struct lm_sasl *s = calloc(1, sizeof *s);
  *out = NULL;
  if (s == NULL) return "out of memory";
  s->mechanism = mechanism;
  s->why = "";
  if (!keep_all(s, credentials)) {
    lm_sasl_free(s);
    return "out of memory";
  }
  *out = s;
  return NULL;
}

const char *lm_sasl_new(const struct lm_sasl_mechanism *mechanism,
                        const struct lm_sasl_credentials *credentials, struct lm_sasl **out) {
  const char *why = unfit(mechanism, credentials);
  *out = NULL;
  return why ? why : begin(mechanism, credentials, out);
}

const char *lm_sasl_serve(const struct lm_sasl_mechanism *mechanism,
                          const struct lm_sasl_credentials *of_ours, struct lm_sasl **out) {
  *out = NULL;
  if (mechanism->serve == NULL) return "this mechanism is not served";
  if (mechanism->binds && of_ours->binding.n == 0) return "a channel binding is needed";
  return begin(mechanism, of_ours, out);
}

void lm_sasl_free(struct lm_sasl *s) {
  if (s == NULL) return;
  if (s->own && s->mechanism->release) s->mechanism->release(s);
  lm_pbkdf2_free(s->work);
  lm_buf_wipe(&s->secrets);
  lm_buf_wipe(&s->claims);
  lm_buf_wipe(&s->out);
  lm_buf_wipe(&s->reason);
  free(s);
}

/* --- moves -------------------------------------------------------------------------------------- */

static enum lm_sasl_answer move(struct lm_sasl *s, struct lm_str challenge,
                                struct lm_str *response_out) {
  enum lm_sasl_answer answer;
  if (s->out.p) lm_wipe(s->out.p, s->out.cap);
  lm_buf_clear(&s->out);
  answer = s->mechanism->step(s, challenge);
  *response_out = lm_buf_str(&s->out);
  if (answer == LM_SASL_SEND && s->stage < UINT8_MAX) s->stage++;
  return answer;
}

bool lm_sasl_prepare(struct lm_sasl *s, bool *passes_out) {
  bool good = s->mechanism->prepare == NULL || s->mechanism->prepare(s);
  *passes_out = !good && s->passes;
  return good;
}

bool lm_sasl_initial(struct lm_sasl *s, struct lm_str *response_out) {
  if (!s->mechanism->has_initial || s->stage != 0) return false;
  return move(s, LM_STR(""), response_out) == LM_SASL_SEND;
}

enum lm_sasl_answer lm_sasl_step(struct lm_sasl *s, struct lm_str challenge,
                                 struct lm_str *response_out) {
  *response_out = LM_NOSTR;
  if (s->done || s->work) return lm_sasl_refuse(s, "a challenge after the end of the exchange");
  return move(s, challenge, response_out);
}

enum lm_sasl_answer lm_sasl_work(struct lm_sasl *s, uint32_t rounds, struct lm_str *response_out) {
  *response_out = LM_NOSTR;
  if (s->work == NULL) return lm_sasl_refuse(s, "nothing is under way");
  if (rounds > LM_SCRAM_SLICE) rounds = LM_SCRAM_SLICE;
  if (!lm_pbkdf2_run(s->work, rounds)) return LM_SASL_WORKING;
  return move(s, LM_STR(""), response_out);
}

bool lm_sasl_done(const struct lm_sasl *s) {
  return (s->done || s->content) && !s->failed;
}

const char *lm_sasl_why(const struct lm_sasl *s) {
  return s->why;
}

struct lm_str lm_sasl_reason(const struct lm_sasl *s) {
  return lm_buf_str(&s->reason);
}

/* --- for the mechanisms ------------------------------------------------------------------------- */

enum lm_sasl_answer lm_sasl_refuse(struct lm_sasl *s, const char *why) {
  s->why = why;
  return LM_SASL_REFUSED;
}

bool lm_sasl_keep_reason(struct lm_sasl *s, struct lm_str reason) {
  s->failed = true;
  return lm_buf_put(&s->reason, reason.p, reason.n);
}

bool lm_sasl_put_nonce(struct lm_sasl *s, struct lm_buf *out, size_t n) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  unsigned char octets[64];
  size_t i;
  if (s->with.nonce.n) return lm_buf_put(out, s->with.nonce.p, s->with.nonce.n);
  if (n > sizeof octets || !lm_random(octets, n)) return false;
  for (i = 0; i < n; i++) {
    if (!lm_buf_putc(out, letters[octets[i] & 63])) return false;
  }
  return true;
}

struct lm_str lm_sasl_cut(struct lm_str *rest, char stop) {
  struct lm_str part = *rest;
  const char *at;
  size_t gone;
  if (rest->n == 0) return part; /* there may be no text at all */
  at = memchr(rest->p, stop, rest->n);
  if (at) part.n = (size_t)(at - rest->p);
  gone = at ? part.n + 1 : part.n;
  *rest = (struct lm_str){rest->p + gone, rest->n - gone};
  return part;
}
