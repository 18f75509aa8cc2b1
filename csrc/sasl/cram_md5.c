/*
** cram_md5.c: CRAM-MD5 (RFC 2195): the server's words, keyed with the password; both sides.
**
** Old: the server must keep the password itself, and whoever listens may guess at it. Better than
** nothing where there is no TLS, worse than PLAIN within it only where the server is not trusted.
*/
#include "base/text.h"
#include "sasl/mech.h"

/* Appends HMAC-MD5(password, challenge) in hex. */
static bool put_digest(struct lm_buf *b, struct lm_str password, struct lm_str challenge) {
  unsigned char mac[LM_DIGEST_MAX];
  size_t n = lm_hmac(LM_MD5, password, challenge, mac);
  return n && lm_hex_encode(b, (struct lm_str){(const char *)mac, n});
}

/* response = user SP digest */
static enum lm_sasl_answer step(struct lm_sasl *s, struct lm_str challenge) {
  if (challenge.n == 0) return lm_sasl_refuse(s, "an empty challenge");
  if (!lm_buf_puts(&s->out, s->with.user) || !lm_buf_putc(&s->out, ' ')) return LM_SASL_MEMORY;
  if (!put_digest(&s->out, s->with.password, challenge))
    return lm_sasl_refuse(s, "MD5 is not to be had here");
  s->done = true;
  return LM_SASL_SEND;
}

/* challenge = "<" random "@" host ">"; what was said is kept as the nonce, in `reason`. */
static enum lm_sasl_turn challenge(struct lm_sasl *s) {
  struct lm_str host = s->with.host.n ? s->with.host : LM_STR("localhost");
  bool good = lm_buf_putc(&s->out, '<') && lm_sasl_put_nonce(s, &s->out, 24) &&
              lm_buf_putc(&s->out, '@') && lm_buf_puts(&s->out, host) &&
              lm_buf_putc(&s->out, '>') && lm_buf_puts(&s->reason, lm_buf_str(&s->out));
  return good ? LM_SASL_CHALLENGE : LM_SASL_NO_MEMORY;
}

static enum lm_sasl_turn judge(struct lm_sasl *s) {
  struct lm_buf right = {NULL, 0, 0, 0};
  bool known = s->known && s->known->password.n, good;
  if (lm_buf_room(&right, 2 * LM_DIGEST_MAX) == NULL) return LM_SASL_NO_MEMORY;
  good = known && put_digest(&right, s->known->password, lm_buf_str(&s->reason)) &&
         lm_equal_secret(lm_buf_str(&right), s->with.password);
  lm_buf_wipe(&right);
  return good ? LM_SASL_ACCEPT : lm_sasl_deny(s, "a wrong password");
}

static enum lm_sasl_turn serve(struct lm_sasl *s, struct lm_str response) {
  struct lm_str user = response;
  if (s->stage == 0) return challenge(s);
  if (s->stage == 2) return judge(s);
  while (user.n && user.p[user.n - 1] != ' ') user.n--; /* a name may hold spaces */
  if (user.n < 2) return lm_sasl_deny(s, "not a response of CRAM-MD5");
  response.p += user.n;
  response.n -= user.n;
  user.n--;
  return lm_sasl_claim(s, user, response, LM_STR("")) ? LM_SASL_LOOKUP : LM_SASL_NO_MEMORY;
}

const struct lm_sasl_mechanism lm_sasl_cram_md5 = {
    .name = "CRAM-MD5",
    .wants_secret = true,
    .strength = 30,
    .step = step,
    .serve = serve,
};
