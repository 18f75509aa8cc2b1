/*
** login.c: LOGIN (draft-murchison-sasl-login-00): user, then password, in clear; both sides.
**
** What the two challenges say is ignored, as §2.1 asks: "User Name", "Username:", "VXNlcg==" in
** plain text and worse are in use.
*/
#include "base/text.h"
#include "sasl/mech.h"

static enum lm_sasl_answer step(struct lm_sasl *s, struct lm_str challenge) {
  struct lm_str part = s->stage == 0 ? s->with.user : s->with.password;
  (void)challenge;
  if (!lm_buf_put(&s->out, part.p, part.n)) return LM_SASL_MEMORY;
  s->done = s->stage == 1;
  return LM_SASL_SEND;
}

static enum lm_sasl_turn serve(struct lm_sasl *s, struct lm_str response) {
  if (s->stage == 3) return s->decided ? LM_SASL_ACCEPT : lm_sasl_deny(s, "a wrong password");
  if (s->stage == 0 && response.p == NULL) {
    return lm_buf_puts(&s->out, LM_STR("Username:")) ? LM_SASL_CHALLENGE : LM_SASL_NO_MEMORY;
  }
  if (response.p == NULL) return lm_sasl_deny(s, "no base64");
  if (s->with.user.n == 0) {
    if (response.n == 0) return lm_sasl_deny(s, "no user name");
    s->stage = 1; /* some clients send the name along with their command */
    if (!lm_sasl_claim(s, response, LM_STR(""), LM_STR(""))) return LM_SASL_NO_MEMORY;
    return lm_buf_puts(&s->out, LM_STR("Password:")) ? LM_SASL_CHALLENGE : LM_SASL_NO_MEMORY;
  }
  return lm_sasl_claim(s, s->with.user, response, LM_STR("")) ? LM_SASL_CHECK : LM_SASL_NO_MEMORY;
}

const struct lm_sasl_mechanism lm_sasl_login = {
    .name = "LOGIN",
    .plaintext = true,
    .has_initial = false,
    .wants_secret = true,
    .strength = 10,
    .step = step,
    .serve = serve,
};
