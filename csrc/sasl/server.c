/*
** server.c: the life of a server's exchange (RFC 4422 §3): the client's octets in, turns out.
**
** A mechanism asks for what it cannot know (is that password right, what is known of that user) by
** the turn that it returns; the answer brings it back to the same function at its next stage.
*/
#include "sasl/mech.h"

static void turn(struct lm_sasl *s, struct lm_str response, struct lm_sasl_event *ev) {
  if (s->out.p) lm_wipe(s->out.p, s->out.cap);
  lm_buf_clear(&s->out);
  ev->turn = s->done ? lm_sasl_deny(s, "a response after the end of the exchange")
                     : s->mechanism->serve(s, response);
  if (s->stage < UINT8_MAX && ev->turn != LM_SASL_MORE) s->stage++;
  s->done = s->done || ev->turn == LM_SASL_ACCEPT || ev->turn == LM_SASL_DENY;
  ev->text = lm_buf_str(&s->out);
  ev->user = s->with.user;
  ev->password = s->with.password;
  ev->authzid = s->with.authzid;
}

void lm_sasl_receive(struct lm_sasl *s, struct lm_str response, struct lm_sasl_event *ev) {
  turn(s, response, ev);
}

void lm_sasl_secret(struct lm_sasl *s, const struct lm_sasl_secret *known,
                    struct lm_sasl_event *ev) {
  s->known = known;
  turn(s, LM_NOSTR, ev);
  s->known = NULL;
}

void lm_sasl_decide(struct lm_sasl *s, bool is_right, struct lm_sasl_event *ev) {
  s->decided = is_right;
  turn(s, LM_NOSTR, ev);
}

void lm_sasl_continue(struct lm_sasl *s, struct lm_sasl_event *ev) {
  ev->turn = LM_SASL_MORE;
  ev->text = ev->user = ev->password = ev->authzid = LM_NOSTR;
  if (s->work && !lm_pbkdf2_run(s->work, LM_SCRAM_SLICE)) return;
  turn(s, LM_NOSTR, ev);
}

enum lm_sasl_turn lm_sasl_deny(struct lm_sasl *s, const char *why) {
  s->why = why;
  return LM_SASL_DENY;
}

bool lm_sasl_claim(struct lm_sasl *s, struct lm_str user, struct lm_str password,
                   struct lm_str authzid) {
  struct lm_str *const views[] = {&s->with.user, &s->with.password, &s->with.authzid};
  const struct lm_str said[] = {user, password, authzid};
  struct lm_buf claims = {NULL, 0, 0, 0};
  size_t i;
  if (lm_buf_room(&claims, user.n + password.n + authzid.n + 1) == NULL) return false;
  for (i = 0; i < 3; i++) {
    *views[i] = (struct lm_str){claims.p + claims.end, said[i].n};
    lm_buf_put(&claims, said[i].p, said[i].n);
  }
  lm_buf_wipe(&s->claims);
  s->claims = claims;
  return true;
}
