/*
** digest_md5.c: DIGEST-MD5 (RFC 2831), the client's side, for servers that have nothing newer
** (historic since RFC 6331). Authentication only: no integrity or confidentiality layer.
**
** Invariant: `done` only once the server's own proof (rspauth) was checked.
*/
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "base/text.h"
#include "sasl/mech.h"

enum { HEX = 32 };

struct digest {
  struct lm_buf nonce, cnonce, realm;
  struct lm_buf uri;
  char proof[HEX]; /* what rspauth must be */
  bool utf8;
};

static void release(struct lm_sasl *s) {
  struct digest *x = s->own;
  lm_buf_wipe(&x->nonce);
  lm_buf_wipe(&x->cnonce);
  lm_buf_wipe(&x->realm);
  lm_buf_wipe(&x->uri);
  lm_wipe(x, sizeof *x);
  free(x);
}

/* --- the challenge ------------------------------------------------------------------------------ */

static void skip(struct lm_str *rest) {
  while (rest->n && (lm_is(rest->p[0], LM_SPACE) || rest->p[0] == ',')) {
    rest->p++;
    rest->n--;
  }
}

/* quoted-string, its backslashes taken off, or a token up to the comma */
static bool take_value(struct lm_str *rest, struct lm_buf *value) {
  size_t i;
  lm_buf_clear(value);
  if (rest->n == 0 || rest->p[0] != '"') {
    struct lm_str token = lm_sasl_cut(rest, ',');
    while (token.n && lm_is(token.p[token.n - 1], LM_SPACE)) token.n--;
    return lm_buf_put(value, token.p, token.n);
  }
  for (i = 1; i < rest->n && rest->p[i] != '"'; i++) {
    if (rest->p[i] == '\\' && i + 1 < rest->n) i++;
    if (!lm_buf_putc(value, rest->p[i])) return false;
  }
  if (i >= rest->n) return false;
  rest->p += i + 1;
  rest->n -= i + 1;
  return true;
}

static bool has_word(struct lm_str list, struct lm_str word) {
  while (list.n) {
    struct lm_str one = lm_sasl_cut(&list, ',');
    while (one.n && lm_is(one.p[0], LM_SPACE)) one.p++, one.n--;
    while (one.n && lm_is(one.p[one.n - 1], LM_SPACE)) one.n--;
    if (lm_str_ieq(one, word)) return true;
  }
  return false;
}

/* One directive of the challenge; why it is refused, or NULL. */
static const char *directive(struct digest *x, struct lm_str name, struct lm_str value) {
  if (LM_IS(name, "nonce")) {
    if (lm_buf_len(&x->nonce)) return "two nonces";
    return lm_buf_puts(&x->nonce, value) ? NULL : "out of memory";
  }
  if (LM_IS(name, "realm") && lm_buf_len(&x->realm) == 0) /* of several, the first */
    return lm_buf_puts(&x->realm, value) ? NULL : "out of memory";
  if (LM_IS(name, "charset")) x->utf8 = LM_IS(value, "utf-8");
  if (LM_IS(name, "qop") && !has_word(value, LM_STR("auth")))
    return "no quality of protection that we have";
  if (LM_IS(name, "algorithm") && !LM_IS(value, "md5-sess"))
    return "another algorithm than md5-sess";
  return NULL;
}

static const char *read_challenge(struct digest *x, struct lm_str rest) {
  struct lm_buf value = {NULL, 0, 0, 0};
  const char *why = NULL;
  if (lm_buf_room(&value, rest.n + 1) == NULL) return "out of memory";
  for (skip(&rest); rest.n && !why; skip(&rest)) {
    const char *at = memchr(rest.p, '=', rest.n);
    struct lm_str name = {rest.p, at ? (size_t)(at - rest.p) : 0};
    if (name.n == 0) {
      why = "not a challenge of DIGEST-MD5";
      break;
    }
    rest.p += name.n + 1;
    rest.n -= name.n + 1;
    while (name.n && lm_is(name.p[name.n - 1], LM_SPACE)) name.n--;
    why = take_value(&rest, &value) ? directive(x, name, lm_buf_str(&value)) : "a bad value";
  }
  lm_buf_free(&value);
  if (!why && lm_buf_len(&x->nonce) == 0) why = "no nonce in the challenge";
  return why;
}

/* --- the response ------------------------------------------------------------------------------- */

/* hex(MD5(a ":" b ":" …)) */
static bool hex_of(const struct lm_str *parts, size_t n, char *out) {
  static const char digits[] = "0123456789abcdef";
  struct lm_str joined[16];
  unsigned char sum[LM_DIGEST_MAX];
  size_t i;
  for (i = 0; i < n; i++) {
    joined[2 * i] = parts[i];
    joined[2 * i + 1] = LM_STR(":");
  }
  if (lm_digest(LM_MD5, joined, 2 * n - 1, sum) != 16) return false;
  for (i = 0; i < 16; i++) {
    out[2 * i] = digits[sum[i] >> 4];
    out[2 * i + 1] = digits[sum[i] & 15];
  }
  lm_wipe(sum, sizeof sum);
  return true;
}

/* A1 = H(user ":" realm ":" password) ":" nonce ":" cnonce [":" authzid]  (RFC 2831 §2.1.2.1) */
static bool hash_a1(struct lm_sasl *s, struct digest *x, char *out) {
  const struct lm_sasl_credentials *w = &s->with;
  struct lm_str secret[] = {w->user, LM_STR(":"), lm_buf_str(&x->realm), LM_STR(":"), w->password};
  unsigned char sum[LM_DIGEST_MAX];
  struct lm_str parts[] = {
      {(const char *)sum, 16}, lm_buf_str(&x->nonce), lm_buf_str(&x->cnonce), w->authzid};
  bool good = lm_digest(LM_MD5, secret, 5, sum) == 16 && hex_of(parts, w->authzid.n ? 4 : 3, out);
  lm_wipe(sum, sizeof sum);
  return good;
}

/* H(HA1 ":" nonce ":" nc ":" cnonce ":" qop ":" H(method ":" uri)) */
static bool prove(struct digest *x, const char *a1, struct lm_str method, char *out) {
  char a2[HEX];
  struct lm_str what[] = {method, lm_buf_str(&x->uri)};
  struct lm_str parts[] = {{a1, HEX},          lm_buf_str(&x->nonce),
                           LM_STR("00000001"), lm_buf_str(&x->cnonce),
                           LM_STR("auth"),     {a2, HEX}};
  return hex_of(what, 2, a2) && hex_of(parts, 6, out);
}

static bool put_quoted(struct lm_buf *b, struct lm_str name, struct lm_str value) {
  size_t i;
  bool good = lm_buf_puts(b, name) && lm_buf_puts(b, LM_STR("=\""));
  for (i = 0; good && i < value.n; i++) {
    if (value.p[i] == '"' || value.p[i] == '\\') good = lm_buf_putc(b, '\\');
    good = good && lm_buf_putc(b, value.p[i]);
  }
  return good && lm_buf_putc(b, '"');
}

static bool put_response(struct lm_sasl *s, struct digest *x, const char *response) {
  struct lm_buf *b = &s->out;
  bool good = true;
  if (x->utf8) good = lm_buf_puts(b, LM_STR("charset=utf-8,"));
  good = good && put_quoted(b, LM_STR("username"), s->with.user);
  if (lm_buf_len(&x->realm)) good = good && put_quoted(b, LM_STR(",realm"), lm_buf_str(&x->realm));
  good = good && put_quoted(b, LM_STR(",nonce"), lm_buf_str(&x->nonce)) &&
         put_quoted(b, LM_STR(",cnonce"), lm_buf_str(&x->cnonce)) &&
         lm_buf_puts(b, LM_STR(",nc=00000001,qop=auth")) &&
         put_quoted(b, LM_STR(",digest-uri"), lm_buf_str(&x->uri)) &&
         lm_buf_puts(b, LM_STR(",response=")) && lm_buf_put(b, response, HEX);
  if (s->with.authzid.n) good = good && put_quoted(b, LM_STR(",authzid"), s->with.authzid);
  return good;
}

static enum lm_sasl_answer respond(struct lm_sasl *s, struct lm_str challenge) {
  struct digest *x;
  char a1[HEX], response[HEX];
  const char *why;
  bool good;
  if (s->own) release(s); /* of a challenge that was refused */
  s->own = x = calloc(1, sizeof *x);
  if (x == NULL) return LM_SASL_MEMORY;
  if ((why = read_challenge(x, challenge)) != NULL) return lm_sasl_refuse(s, why);
  good = lm_sasl_put_nonce(s, &x->cnonce, 24) && lm_buf_puts(&x->uri, s->with.service) &&
         lm_buf_putc(&x->uri, '/') && lm_buf_puts(&x->uri, s->with.host);
  if (!good) return LM_SASL_MEMORY;
  if (!hash_a1(s, x, a1) || !prove(x, a1, LM_STR("AUTHENTICATE"), response) ||
      !prove(x, a1, LM_STR(""), x->proof))
    return lm_sasl_refuse(s, "MD5 is not to be had here");
  lm_wipe(a1, sizeof a1);
  return put_response(s, x, response) ? LM_SASL_SEND : LM_SASL_MEMORY;
}

/* "rspauth=" 32LHEX: the server knows the password too (RFC 2831 §2.1.3). */
static enum lm_sasl_answer check(struct lm_sasl *s, struct lm_str challenge) {
  struct digest *x = s->own;
  struct lm_str prefix = LM_STR("rspauth=");
  if (challenge.n != prefix.n + HEX || !lm_str_istarts(challenge, prefix) ||
      !lm_equal_secret((struct lm_str){challenge.p + prefix.n, HEX},
                       (struct lm_str){x->proof, HEX}))
    return lm_sasl_refuse(s, "the server's proof is wrong: it does not know the password");
  s->done = true;
  return LM_SASL_SEND;
}

static enum lm_sasl_answer step(struct lm_sasl *s, struct lm_str challenge) {
  if (challenge.n == 0) return lm_sasl_refuse(s, "an empty challenge");
  return s->stage == 0 ? respond(s, challenge) : check(s, challenge);
}

const struct lm_sasl_mechanism lm_sasl_digest_md5 = {
    .name = "DIGEST-MD5",
    .wants_secret = true,
    .strength = 40,
    .step = step,
    .release = release,
};
