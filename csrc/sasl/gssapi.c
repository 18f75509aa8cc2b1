/*
** gssapi.c: GSSAPI (RFC 4752), which is Kerberos V5: a ticket in the place of a password; the
** client's side.
**
** Whoever makes the tokens is behind base/gss.h. No security layer is negotiated (§3.1): TLS is the
** one that there is, and a server that demands another is refused.
** Invariant: the client is `done` only once the server has proved that it holds the service's key.
*/
#include <stdlib.h>

#include "base/text.h"
#include "sasl/mech.h"

/* What is chosen of the layers (§3.3); the others are integrity and confidentiality. */
enum { LAYER_NONE = 1 };

struct gssapi {
  struct lm_gss *context;
  struct lm_buf first; /* the token that opens the exchange */
  bool prepared;
  bool ready; /* the context is: the layers are next */
};

static void release(struct lm_sasl *s) {
  struct gssapi *x = s->own;
  s->with.gss->close(x->context);
  lm_buf_wipe(&x->first);
  free(x);
}

static bool advance(struct lm_sasl *s, struct lm_str token, struct lm_buf *out) {
  struct gssapi *x = s->own;
  enum lm_gss_answer got = s->with.gss->step(x->context, token, out);
  x->ready = got == LM_GSS_READY;
  if (got != LM_GSS_FAILED) return true;
  s->why = s->with.gss->why(x->context);
  s->passes = s->with.gss->passes(x->context);
  return false;
}

/* The first token: what fails for want of a ticket fails here. A second call says the same. */
static bool prepare(struct lm_sasl *s) {
  const struct lm_gss_wish wish = {s->with.service, s->with.host, s->with.ccache};
  struct gssapi *x = s->own;
  if (x) return x->prepared;
  s->why = "out of memory";
  s->own = x = calloc(1, sizeof *x);
  if (x == NULL || (x->context = s->with.gss->open(&wish)) == NULL) return false;
  x->prepared = advance(s, LM_STR(""), &x->first);
  return x->prepared;
}

/* One octet, a bit mask, then three: the most that the server reads at once, which without a layer
** shall be 0 (§3.1). Dovecot 2.3 says 16777215 there; it means nothing, and is not looked at. */
static const char *refuse_offer(struct lm_str offer) {
  if (offer.n != 4) return "the server's offer of security layers is no such thing";
  if ((offer.p[0] & LAYER_NONE) == 0)
    return "the server demands a security layer of GSSAPI's own; only TLS is spoken here";
  return NULL;
}

/* LAYER_NONE, a size of 0, then the authorization identity in UTF-8. */
static enum lm_sasl_answer put_choice(struct lm_sasl *s, struct gssapi *x) {
  struct lm_str who = s->with.authzid.n ? s->with.authzid : s->with.user;
  struct lm_buf choice = {NULL, 0, 0, 0};
  enum lm_sasl_answer answer = LM_SASL_MEMORY;
  if (lm_buf_puts(&choice, LM_STR("\1\0\0\0")) && lm_buf_put(&choice, who.p, who.n)) {
    s->done = s->with.gss->wrap(x->context, lm_buf_str(&choice), &s->out);
    answer = s->done ? LM_SASL_SEND : lm_sasl_refuse(s, s->with.gss->why(x->context));
  }
  lm_buf_free(&choice);
  return answer;
}

static enum lm_sasl_answer choose_layer(struct lm_sasl *s, struct gssapi *x, struct lm_str token) {
  struct lm_buf offer = {NULL, 0, 0, 0};
  const char *why;
  if (!s->with.gss->unwrap(x->context, token, &offer))
    why = s->with.gss->why(x->context);
  else
    why = refuse_offer(lm_buf_str(&offer));
  lm_buf_free(&offer);
  return why ? lm_sasl_refuse(s, why) : put_choice(s, x);
}

static enum lm_sasl_answer step(struct lm_sasl *s, struct lm_str challenge) {
  struct gssapi *x;
  struct lm_str first;
  if (s->stage == 0) {
    if (!prepare(s)) return LM_SASL_REFUSED;
    x = s->own;
    first = lm_buf_str(&x->first);
    return lm_buf_put(&s->out, first.p, first.n) ? LM_SASL_SEND : LM_SASL_MEMORY;
  }
  if (challenge.p == NULL) return lm_sasl_refuse(s, "a challenge that is no base64");
  x = s->own;
  if (x->ready) return choose_layer(s, x, challenge);
  return advance(s, challenge, &s->out) ? LM_SASL_SEND : LM_SASL_REFUSED;
}

const struct lm_sasl_mechanism lm_sasl_gssapi = {
    .name = "GSSAPI",
    .has_initial = true,
    .wants_ticket = true,
    .on_demand = true,
    .strength = 98,
    .prepare = prepare,
    .step = step,
    .release = release,
};
