/*
** plain.c: PLAIN (RFC 4616): user and password in one message, in clear; both sides.
**
** The server's first challenge should be empty; some put words there, which say nothing.
*/
#include "sasl/mech.h"

#include <string.h>

/* message = [authzid] UTF8NUL authcid UTF8NUL passwd */
static enum lm_sasl_answer step(struct lm_sasl *s, struct lm_str challenge) {
  const struct lm_sasl_credentials *c = &s->with;
  (void)challenge;
  if (!lm_buf_put(&s->out, c->authzid.p, c->authzid.n) || !lm_buf_putc(&s->out, '\0') ||
      !lm_buf_put(&s->out, c->user.p, c->user.n) || !lm_buf_putc(&s->out, '\0') ||
      !lm_buf_put(&s->out, c->password.p, c->password.n))
    return LM_SASL_MEMORY;
  s->done = true;
  return LM_SASL_SEND;
}

static enum lm_sasl_turn serve(struct lm_sasl *s, struct lm_str response) {
  struct lm_str rest = response, authzid, user;
  if (s->stage > 0 && s->with.user.n)
    return s->decided ? LM_SASL_ACCEPT : lm_sasl_deny(s, "a wrong password");
  if (response.p == NULL) return s->stage ? lm_sasl_deny(s, "no base64") : LM_SASL_CHALLENGE;
  authzid = lm_sasl_cut(&rest, '\0');
  user = lm_sasl_cut(&rest, '\0');
  if (user.n == 0 || rest.n == 0 || memchr(rest.p, 0, rest.n))
    return lm_sasl_deny(s, "not a message of PLAIN");
  return lm_sasl_claim(s, user, rest, authzid) ? LM_SASL_CHECK : LM_SASL_NO_MEMORY;
}

const struct lm_sasl_mechanism lm_sasl_plain = {
    .name = "PLAIN",
    .plaintext = true,
    .has_initial = true,
    .wants_secret = true,
    .strength = 20,
    .step = step,
    .serve = serve,
};
