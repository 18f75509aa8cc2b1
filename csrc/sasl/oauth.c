/*
** oauth.c: OAUTHBEARER (RFC 7628) and Google's XOAUTH2: a token in the place of a password; both
** sides.
**
** A refusal comes as a challenge with JSON in it, which must be answered before the server says no;
** lm_sasl_reason has it.
*/
#include <string.h>

#include "base/text.h"
#include "sasl/mech.h"

#define FIELD "\1"

static bool put(struct lm_buf *b, struct lm_str s) {
  return lm_buf_put(b, s.p, s.n);
}

/* "auth=Bearer " token, and the end of the message */
static bool put_bearer(struct lm_sasl *s) {
  return lm_buf_puts(&s->out, LM_STR("auth=Bearer ")) && put(&s->out, s->with.token) &&
         lm_buf_puts(&s->out, LM_STR(FIELD FIELD));
}

/* "n,a=" user "," ^A "host=" host ^A "port=" port ^A "auth=Bearer " token ^A ^A  (RFC 7628 §3.1);
** commas and "=" of the name are written as in SCRAM. */
static bool put_oauthbearer(struct lm_sasl *s) {
  const struct lm_sasl_credentials *w = &s->with;
  struct lm_str who = w->authzid.n ? w->authzid : w->user;
  size_t i;
  bool good = lm_buf_puts(&s->out, LM_STR("n,"));
  if (who.n) good = good && lm_buf_puts(&s->out, LM_STR("a="));
  for (i = 0; good && i < who.n; i++) {
    if (who.p[i] == ',' || who.p[i] == '=')
      good = lm_buf_puts(&s->out, who.p[i] == ',' ? LM_STR("=2C") : LM_STR("=3D"));
    else
      good = lm_buf_putc(&s->out, who.p[i]);
  }
  good = good && lm_buf_puts(&s->out, LM_STR("," FIELD));
  if (w->host.n)
    good = good && lm_buf_puts(&s->out, LM_STR("host=")) && put(&s->out, w->host) &&
           lm_buf_puts(&s->out, LM_STR(FIELD));
  if (w->port.n)
    good = good && lm_buf_puts(&s->out, LM_STR("port=")) && put(&s->out, w->port) &&
           lm_buf_puts(&s->out, LM_STR(FIELD));
  return good && put_bearer(s);
}

/* "user=" user ^A "auth=Bearer " token ^A ^A */
static bool put_xoauth2(struct lm_sasl *s) {
  return lm_buf_puts(&s->out, LM_STR("user=")) && put(&s->out, s->with.user) &&
         lm_buf_puts(&s->out, LM_STR(FIELD)) && put_bearer(s);
}

static enum lm_sasl_answer token(struct lm_sasl *s, bool is_xoauth2, struct lm_str challenge) {
  if (s->stage == 0) {
    s->content = true;
    return (is_xoauth2 ? put_xoauth2(s) : put_oauthbearer(s)) ? LM_SASL_SEND : LM_SASL_MEMORY;
  }
  s->done = true;
  if (challenge.p && !lm_sasl_keep_reason(s, challenge)) return LM_SASL_MEMORY;
  s->failed = true;
  if (is_xoauth2) return LM_SASL_SEND; /* empty */
  return lm_buf_puts(&s->out, LM_STR(FIELD)) ? LM_SASL_SEND : LM_SASL_MEMORY;
}

static enum lm_sasl_answer step_oauthbearer(struct lm_sasl *s, struct lm_str challenge) {
  return token(s, false, challenge);
}

static enum lm_sasl_answer step_xoauth2(struct lm_sasl *s, struct lm_str challenge) {
  return token(s, true, challenge);
}

/* --- the server --------------------------------------------------------------------------------- */

static bool starts(struct lm_str s, struct lm_str with) {
  return s.n >= with.n && memcmp(s.p, with.p, with.n) == 0;
}

static struct lm_str behind(struct lm_str s, size_t n) {
  return (struct lm_str){s.p + n, s.n - n};
}

/* What stands behind `key` in one of the fields; empty where there is none. */
static struct lm_str field(struct lm_str message, struct lm_str key) {
  while (message.n) {
    struct lm_str part = lm_sasl_cut(&message, '\1');
    if (starts(part, key)) return behind(part, key.n);
  }
  return LM_STR("");
}

static enum lm_sasl_turn refused(struct lm_sasl *s) {
  s->why = "the token is not accepted";
  s->failed = true;
  return lm_buf_puts(&s->out, LM_STR("{\"status\":\"invalid_token\"}")) ? LM_SASL_CHALLENGE
                                                                        : LM_SASL_NO_MEMORY;
}

static enum lm_sasl_turn serve(struct lm_sasl *s, struct lm_str response) {
  struct lm_str bearer, user;
  if (s->failed) return lm_sasl_deny(s, s->why);
  if (s->with.password.n) return s->decided ? LM_SASL_ACCEPT : refused(s);
  if (response.p == NULL) return s->stage ? lm_sasl_deny(s, "no base64") : LM_SASL_CHALLENGE;
  bearer = field(response, LM_STR("auth=Bearer "));
  user = field(response, LM_STR("user="));
  if (starts(response, LM_STR("n,a="))) {
    user = behind(response, 4);
    user = lm_sasl_cut(&user, ',');
  }
  if (bearer.n == 0) return lm_sasl_deny(s, "no bearer token");
  return lm_sasl_claim(s, user, bearer, LM_STR("")) ? LM_SASL_TOKEN : LM_SASL_NO_MEMORY;
}

const struct lm_sasl_mechanism lm_sasl_oauthbearer = {
    .name = "OAUTHBEARER",
    .plaintext = true,
    .has_initial = true,
    .wants_token = true,
    .strength = 60,
    .step = step_oauthbearer,
    .serve = serve,
};

const struct lm_sasl_mechanism lm_sasl_xoauth2 = {
    .name = "XOAUTH2",
    .plaintext = true,
    .has_initial = true,
    .wants_token = true,
    .strength = 59,
    .step = step_xoauth2,
    .serve = serve,
};
