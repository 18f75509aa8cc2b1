/*
** plain.c: PLAIN (RFC 4616): user and password in one message, in clear.
**
** The server's first challenge should be empty; some put words there, which say nothing.
*/
#include "sasl/mech.h"

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

const struct lm_sasl_mechanism lm_sasl_plain = {
    .name = "PLAIN",
    .plaintext = true,
    .has_initial = true,
    .wants_secret = true,
    .strength = 20,
    .step = step,
};
