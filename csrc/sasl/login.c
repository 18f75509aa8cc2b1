/*
** login.c: LOGIN (draft-murchison-sasl-login-00): user, then password, in clear.
**
** What the two challenges say is ignored, as §2.1 asks: "User Name", "Username:", "VXNlcg==" in
** plain text and worse are in use.
*/
#include "sasl/mech.h"

static enum lm_sasl_answer step(struct lm_sasl *s, struct lm_str challenge) {
  struct lm_str part = s->stage == 0 ? s->with.user : s->with.password;
  (void)challenge;
  if (!lm_buf_put(&s->out, part.p, part.n)) return LM_SASL_MEMORY;
  s->done = s->stage == 1;
  return LM_SASL_SEND;
}

const struct lm_sasl_mechanism lm_sasl_login = {
    .name = "LOGIN",
    .plaintext = true,
    .has_initial = false,
    .wants_secret = true,
    .strength = 10,
    .step = step,
};
