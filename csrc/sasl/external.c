/*
** external.c: EXTERNAL (RFC 4422 appendix A): who it is was proved elsewhere, by a certificate;
** both sides.
*/
#include "sasl/mech.h"

/* initial-response = [authzid] */
static enum lm_sasl_answer step(struct lm_sasl *s, struct lm_str challenge) {
  (void)challenge;
  if (!lm_buf_put(&s->out, s->with.authzid.p, s->with.authzid.n)) return LM_SASL_MEMORY;
  s->done = true;
  return LM_SASL_SEND;
}

/* Who it is was proved elsewhere: the server names him as its own `user`. */
static enum lm_sasl_turn serve(struct lm_sasl *s, struct lm_str response) {
  if (s->with.user.n == 0) return lm_sasl_deny(s, "no certificate names anybody");
  if (response.p == NULL) return s->stage ? lm_sasl_deny(s, "no base64") : LM_SASL_CHALLENGE;
  return lm_sasl_claim(s, s->with.user, LM_STR(""), response) ? LM_SASL_ACCEPT : LM_SASL_NO_MEMORY;
}

const struct lm_sasl_mechanism lm_sasl_external = {
    .name = "EXTERNAL",
    .plaintext = false,
    .has_initial = true,
    .wants_secret = false,
    .strength = 100,
    .step = step,
    .serve = serve,
};
