/*
** external.c: EXTERNAL (RFC 4422 appendix A): who we are was proved elsewhere, by a certificate.
*/
#include "sasl/mech.h"

/* initial-response = [authzid] */
static enum lm_sasl_answer step(struct lm_sasl *s, struct lm_str challenge) {
  (void)challenge;
  if (!lm_buf_put(&s->out, s->with.authzid.p, s->with.authzid.n)) return LM_SASL_MEMORY;
  s->done = true;
  return LM_SASL_SEND;
}

const struct lm_sasl_mechanism lm_sasl_external = {
    .name = "EXTERNAL",
    .plaintext = false,
    .has_initial = true,
    .wants_secret = false,
    .strength = 100,
    .step = step,
};
