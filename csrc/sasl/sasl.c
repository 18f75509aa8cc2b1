/*
** sasl.c: the table of mechanisms and the life of an exchange (RFC 4422).
**
** The order of the table is the order of preference.
*/
#include "sasl/mech.h"

#include <stdlib.h>
#include <string.h>

#include "base/chars.h"

static const struct lm_sasl_mechanism *const mechanisms[] = {&lm_sasl_external, &lm_sasl_plain,
                                                             &lm_sasl_login, NULL};

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

/* NUL separates the fields of PLAIN, and no directory knows a name with one (RFC 4616 §2). */
static bool has_nul(struct lm_str s) {
  return s.n && memchr(s.p, 0, s.n) != NULL;
}

static const char *unfit(const struct lm_sasl_mechanism *m, const struct lm_sasl_credentials *c) {
  if (has_nul(c->user)) return "the user name holds NUL";
  if (has_nul(c->password)) return "the password holds NUL";
  if (has_nul(c->authzid)) return "the authorization identity holds NUL";
  if (m->wants_secret && c->user.n == 0) return "a user name is needed";
  return NULL;
}

static struct lm_str keep(struct lm_sasl *s, struct lm_str from) {
  struct lm_str kept = {s->secrets.p + s->secrets.end, from.n};
  lm_buf_put(&s->secrets, from.p, from.n);
  return kept;
}

/* Room for all is made before, so that no copy of a secret is left behind by growth. */
static bool keep_all(struct lm_sasl *s, const struct lm_sasl_credentials *c) {
  if (lm_buf_room(&s->secrets, c->user.n + c->password.n + c->authzid.n + 1) == NULL) return false;
  s->with.user = keep(s, c->user);
  s->with.password = keep(s, c->password);
  s->with.authzid = keep(s, c->authzid);
  return lm_buf_room(&s->out, c->user.n + c->password.n + c->authzid.n + 2) != NULL;
}

const char *lm_sasl_new(const struct lm_sasl_mechanism *mechanism,
                        const struct lm_sasl_credentials *credentials, struct lm_sasl **out) {
  const char *why = unfit(mechanism, credentials);
  struct lm_sasl *s;
  *out = NULL;
  if (why) return why;
  if ((s = calloc(1, sizeof *s)) == NULL) return "out of memory";
  s->mechanism = mechanism;
  s->why = "";
  if (!keep_all(s, credentials)) {
    lm_sasl_free(s);
    return "out of memory";
  }
  *out = s;
  return NULL;
}

void lm_sasl_free(struct lm_sasl *s) {
  if (s == NULL) return;
  lm_buf_wipe(&s->secrets);
  lm_buf_wipe(&s->out);
  free(s);
}

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

bool lm_sasl_initial(struct lm_sasl *s, struct lm_str *response_out) {
  if (!s->mechanism->has_initial || s->stage != 0) return false;
  return move(s, LM_STR(""), response_out) == LM_SASL_SEND;
}

enum lm_sasl_answer lm_sasl_step(struct lm_sasl *s, struct lm_str challenge,
                                 struct lm_str *response_out) {
  *response_out = LM_NOSTR;
  if (s->done) return lm_sasl_refuse(s, "a challenge after the end of the exchange");
  return move(s, challenge, response_out);
}

bool lm_sasl_done(const struct lm_sasl *s) {
  return s->done;
}

const char *lm_sasl_why(const struct lm_sasl *s) {
  return s->why;
}

const struct lm_sasl_mechanism *lm_sasl_which(const struct lm_sasl *s) {
  return s->mechanism;
}

enum lm_sasl_answer lm_sasl_refuse(struct lm_sasl *s, const char *why) {
  s->why = why;
  return LM_SASL_REFUSED;
}
