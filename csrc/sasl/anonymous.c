/*
** anonymous.c: ANONYMOUS (RFC 4505): no proof, only a trace for the log; both sides.
*/
#include "sasl/mech.h"

enum { TRACE_MAX = 255 }; /* characters, RFC 4505 §2; octets here, which are no fewer */

/* message = [email / token] */
static enum lm_sasl_answer step(struct lm_sasl *s, struct lm_str challenge) {
  (void)challenge;
  if (s->with.user.n > TRACE_MAX) return lm_sasl_refuse(s, "the trace is too long");
  if (!lm_buf_put(&s->out, s->with.user.p, s->with.user.n)) return LM_SASL_MEMORY;
  s->done = true;
  return LM_SASL_SEND;
}

static enum lm_sasl_turn serve(struct lm_sasl *s, struct lm_str response) {
  if (response.p == NULL) return s->stage ? lm_sasl_deny(s, "no base64") : LM_SASL_CHALLENGE;
  if (response.n > TRACE_MAX) return lm_sasl_deny(s, "the trace is too long");
  return lm_sasl_claim(s, response, LM_STR(""), LM_STR("")) ? LM_SASL_ACCEPT : LM_SASL_NO_MEMORY;
}

const struct lm_sasl_mechanism lm_sasl_anonymous = {
    .name = "ANONYMOUS",
    .has_initial = true,
    .on_demand = true,
    .strength = 1,
    .step = step,
    .serve = serve,
};
