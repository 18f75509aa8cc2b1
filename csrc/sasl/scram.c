/*
** scram.c: SCRAM-SHA-1, -256, -512 and their -PLUS forms (RFC 5802, RFC 7677), both sides.
**
** Neither side sends the password; each proves that it knows what comes of it, and a -PLUS form that
** both sit at the ends of the same TLS connection. The rounds of the key run in slices.
** Invariant: the client is `done` only once the server's signature was checked.
*/
#include "sasl/mech.h"

#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "base/text.h"

enum { NONCE = 24, SALT = 16 };

struct scram {
  struct lm_buf header;   /* gs2-header */
  struct lm_buf nonce;    /* client: its own; server: both */
  struct lm_buf auth;     /* AuthMessage, as far as it is known */
  struct lm_buf ending;   /* client-final-message-without-proof */
  struct lm_buf password; /* prepared; server: later the client's last message */
  unsigned char stored_key[LM_DIGEST_MAX], server_key[LM_DIGEST_MAX];
  unsigned char signature[LM_DIGEST_MAX]; /* the server's */
  size_t size;                            /* of the digest */
  bool unknown;                           /* server: no such user */
  bool said;                              /* server: the client's last message is here */
};

static void release(struct lm_sasl *s) {
  struct scram *x = s->own;
  lm_buf_wipe(&x->header);
  lm_buf_wipe(&x->nonce);
  lm_buf_wipe(&x->auth);
  lm_buf_wipe(&x->ending);
  lm_buf_wipe(&x->password);
  lm_wipe(x, sizeof *x);
  free(x);
}

static struct scram *own(struct lm_sasl *s) {
  if (s->own == NULL) s->own = calloc(1, sizeof(struct scram));
  return s->own;
}

static struct lm_str octets(const unsigned char *p, size_t n) {
  return (struct lm_str){(const char *)p, n};
}

static bool put(struct lm_buf *b, struct lm_str s) {
  return lm_buf_put(b, s.p, s.n);
}

/* attr-val = ALPHA "=" value, up to the next comma. */
static bool attribute(struct lm_str *rest, char name, struct lm_str *value) {
  if (rest->n < 2 || rest->p[0] != name || rest->p[1] != '=') return false;
  rest->p += 2;
  rest->n -= 2;
  *value = lm_sasl_cut(rest, ',');
  return true;
}

/* --- keys --------------------------------------------------------------------------------------- */

static bool client_key(enum lm_digest kind, struct lm_str salted, unsigned char *out) {
  return lm_hmac(kind, salted, LM_STR("Client Key"), out) != 0;
}

/* What to keep of a password in the place of it (RFC 5802 §3): room for LM_DIGEST_MAX octets each. Returns how
** many they have; 0 where a digest is not to be had. */
static size_t keys_of(enum lm_digest kind, const unsigned char *salted, size_t n,
                      unsigned char *stored_key, unsigned char *server_key) {
  unsigned char key[LM_DIGEST_MAX];
  struct lm_str text = octets(key, n);
  size_t size = 0;
  if (client_key(kind, octets(salted, n), key) &&
      lm_hmac(kind, octets(salted, n), LM_STR("Server Key"), server_key) != 0)
    size = lm_digest(kind, &text, 1, stored_key);
  lm_wipe(key, sizeof key);
  return size;
}

/* What signs the exchange, once AuthMessage is whole. */
static bool sign(struct lm_sasl *s, struct scram *x, unsigned char *client_signature) {
  enum lm_digest kind = s->mechanism->digest;
  struct lm_str auth = lm_buf_str(&x->auth);
  return lm_hmac(kind, octets(x->stored_key, x->size), auth, client_signature) != 0 &&
         lm_hmac(kind, octets(x->server_key, x->size), auth, x->signature) != 0;
}

/* --- the client --------------------------------------------------------------------------------- */

/* saslname: "," and "=" as =2C and =3D. */
static bool put_name(struct lm_buf *b, struct lm_str name) {
  size_t i;
  bool good = true;
  for (i = 0; good && i < name.n; i++) {
    if (name.p[i] == ',')
      good = lm_buf_puts(b, LM_STR("=2C"));
    else if (name.p[i] == '=')
      good = lm_buf_puts(b, LM_STR("=3D"));
    else
      good = lm_buf_putc(b, name.p[i]);
  }
  return good;
}

/* gs2-header = ("p=" cb-name / "n" / "y") "," ["a=" saslname] ","
** "y" says that we could have bound the channel and the server did not offer to: a man in the middle
** who took the offer away is found out by it. */
static bool put_header(struct lm_sasl *s, struct lm_buf *b) {
  bool could = s->with.binding.n > 0 && !s->with.binding_offered;
  bool good = s->mechanism->binds ? lm_buf_puts(b, LM_STR("p=")) && put(b, s->with.binding_name)
                                  : lm_buf_putc(b, could ? 'y' : 'n');
  good = good && lm_buf_putc(b, ',');
  if (s->with.authzid.n)
    good = good && lm_buf_puts(b, LM_STR("a=")) && put_name(b, s->with.authzid);
  return good && lm_buf_putc(b, ',');
}

/* client-first-message = gs2-header "n=" saslname "," "r=" c-nonce */
static enum lm_sasl_answer first(struct lm_sasl *s) {
  struct scram *x = own(s);
  struct lm_buf name = {NULL, 0, 0, 0};
  bool good;
  if (x == NULL) return LM_SASL_MEMORY;
  lm_buf_wipe(&x->password); /* of an attempt that memory was too short for */
  lm_buf_clear(&x->header);
  lm_buf_clear(&x->nonce);
  lm_buf_clear(&x->auth);
  if (!lm_buf_room(&name, s->with.user.n + 1) ||
      !lm_buf_room(&x->password, s->with.password.n + 1)) {
    lm_buf_free(&name);
    return LM_SASL_MEMORY;
  }
  if (!lm_saslprep(s->with.user, &name) || !lm_saslprep(s->with.password, &x->password)) {
    lm_buf_free(&name);
    return lm_sasl_refuse(s, "the user name or the password holds characters that SASL forbids");
  }
  good = put_header(s, &x->header) && lm_sasl_put_nonce(s, &x->nonce, NONCE) &&
         lm_buf_puts(&x->auth, LM_STR("n=")) && put_name(&x->auth, lm_buf_str(&name)) &&
         lm_buf_puts(&x->auth, LM_STR(",r=")) && put(&x->auth, lm_buf_str(&x->nonce)) &&
         put(&s->out, lm_buf_str(&x->header)) && put(&s->out, lm_buf_str(&x->auth));
  lm_buf_free(&name);
  return good ? LM_SASL_SEND : LM_SASL_MEMORY;
}

/* "c=" base64(gs2-header and binding) "," "r=" nonce */
static bool put_ending(struct lm_sasl *s, struct scram *x, struct lm_str nonce) {
  struct lm_buf bound = {NULL, 0, 0, 0};
  bool good = put(&bound, lm_buf_str(&x->header));
  if (s->mechanism->binds) good = good && put(&bound, s->with.binding);
  good = good && lm_buf_puts(&x->ending, LM_STR("c=")) &&
         lm_base64_encode(&x->ending, lm_buf_str(&bound)) &&
         lm_buf_puts(&x->ending, LM_STR(",r=")) && put(&x->ending, nonce);
  lm_buf_free(&bound);
  return good;
}

static bool is_own_nonce(struct scram *x, struct lm_str nonce) {
  struct lm_str ours = lm_buf_str(&x->nonce);
  return nonce.n > ours.n && memcmp(nonce.p, ours.p, ours.n) == 0;
}

static enum lm_sasl_answer start_work(struct lm_sasl *s, struct scram *x, struct lm_str salt64,
                                      uint32_t rounds) {
  struct lm_buf salt = {NULL, 0, 0, 0};
  enum lm_base64 got = lm_base64_decode(&salt, salt64);
  if (got == LM_BASE64_OK && lm_buf_len(&salt) > 0)
    s->work =
        lm_pbkdf2_new(s->mechanism->digest, lm_buf_str(&x->password), lm_buf_str(&salt), rounds);
  if (got == LM_BASE64_OK && lm_buf_len(&salt) == 0) got = LM_BASE64_BAD;
  lm_buf_free(&salt);
  if (got == LM_BASE64_BAD) return lm_sasl_refuse(s, "the server's salt is no base64");
  return s->work ? LM_SASL_WORKING : LM_SASL_MEMORY;
}

/* server-first-message = [reserved-mext ","] nonce "," salt "," iteration-count ["," extensions] */
static enum lm_sasl_answer server_first(struct lm_sasl *s, struct lm_str challenge) {
  struct scram *x = s->own;
  struct lm_str rest = challenge, nonce, salt, count;
  uint32_t rounds;
  if (challenge.p == NULL) return lm_sasl_refuse(s, "a challenge that is no base64");
  if (challenge.n && challenge.p[0] == 'm')
    return lm_sasl_refuse(s, "the server demands an extension of SCRAM");
  if (!attribute(&rest, 'r', &nonce) || !attribute(&rest, 's', &salt) ||
      !attribute(&rest, 'i', &count))
    return lm_sasl_refuse(s, "not a server-first-message of SCRAM");
  if (!is_own_nonce(x, nonce)) return lm_sasl_refuse(s, "the nonce does not begin with ours");
  if (!lm_to_u32(count, &rounds)) return lm_sasl_refuse(s, "a bad iteration count");
  if (rounds < LM_SCRAM_ROUNDS_MIN) return lm_sasl_refuse(s, "too few iterations to be safe");
  if (rounds > LM_SCRAM_ROUNDS_MAX) return lm_sasl_refuse(s, "limit passed: SCRAM iterations");
  if (!put_ending(s, x, nonce) || !lm_buf_putc(&x->auth, ',') || !put(&x->auth, challenge) ||
      !lm_buf_putc(&x->auth, ',') || !put(&x->auth, lm_buf_str(&x->ending)))
    return LM_SASL_MEMORY;
  return start_work(s, x, salt, rounds);
}

/* client-final-message = client-final-message-without-proof "," "p=" base64 */
static enum lm_sasl_answer final(struct lm_sasl *s) {
  struct scram *x = s->own;
  enum lm_digest kind = s->mechanism->digest;
  unsigned char salted[LM_DIGEST_MAX], key[LM_DIGEST_MAX], proof[LM_DIGEST_MAX];
  size_t i;
  bool good;
  x->size = lm_pbkdf2_key(s->work, salted);
  lm_pbkdf2_free(s->work);
  s->work = NULL;
  good = keys_of(kind, salted, x->size, x->stored_key, x->server_key) == x->size &&
         client_key(kind, octets(salted, x->size), key) && sign(s, x, proof);
  for (i = 0; good && i < x->size; i++) proof[i] ^= key[i];
  good = good && put(&s->out, lm_buf_str(&x->ending)) && lm_buf_puts(&s->out, LM_STR(",p=")) &&
         lm_base64_encode(&s->out, octets(proof, x->size));
  lm_wipe(salted, sizeof salted);
  lm_wipe(key, sizeof key);
  lm_wipe(proof, sizeof proof);
  return good ? LM_SASL_SEND : LM_SASL_MEMORY;
}

/* server-final-message = (server-error / verifier) ["," extensions] */
static enum lm_sasl_answer server_final(struct lm_sasl *s, struct lm_str challenge) {
  struct scram *x = s->own;
  struct lm_str rest = challenge, value;
  struct lm_buf sent = {NULL, 0, 0, 0};
  bool equal;
  if (challenge.p && attribute(&rest, 'e', &value)) {
    if (!lm_sasl_keep_reason(s, value)) return LM_SASL_MEMORY;
    s->done = true;
    return LM_SASL_SEND;
  }
  if (challenge.p == NULL || !attribute(&rest, 'v', &value))
    return lm_sasl_refuse(s, "the server does not prove that it knows the password");
  if (lm_buf_room(&sent, value.n + 1) == NULL) return LM_SASL_MEMORY;
  equal = lm_base64_decode(&sent, value) == LM_BASE64_OK &&
          lm_equal_secret(lm_buf_str(&sent), octets(x->signature, x->size));
  lm_buf_free(&sent);
  if (!equal)
    return lm_sasl_refuse(s, "the server's signature is wrong: it does not know the password");
  s->done = true;
  return LM_SASL_SEND;
}

static enum lm_sasl_answer step(struct lm_sasl *s, struct lm_str challenge) {
  if (s->stage == 0) return first(s);
  if (s->stage == 1) return s->work ? final(s) : server_first(s, challenge);
  return server_final(s, challenge);
}

/* --- the server --------------------------------------------------------------------------------- */

/* Undoes =2C and =3D; false on any other "=". */
static bool take_name(struct lm_buf *b, struct lm_str name) {
  size_t i;
  for (i = 0; i < name.n; i++) {
    struct lm_str code = {name.p + i, 3};
    char c = name.p[i];
    if (c == '=') {
      if (i + 3 > name.n) return false;
      if (LM_IS(code, "=2C"))
        c = ',';
      else if (!LM_IS(code, "=3D"))
        return false;
      i += 2;
    }
    if (!lm_buf_putc(b, c)) return false;
  }
  return true;
}

/* The channel binding as the client's first letter has it; why it is refused, or NULL. */
static const char *bad_binding(const struct lm_sasl *s, struct lm_str flag) {
  if (s->mechanism->binds) {
    if (flag.n < 2 || flag.p[0] != 'p' || flag.p[1] != '=')
      return "no channel binding in a -PLUS form";
    flag.p += 2;
    flag.n -= 2;
    return lm_str_eq(flag, s->with.binding_name) ? NULL : "another type of channel binding";
  }
  if (LM_IS(flag, "y"))
    return s->with.binding_offered ? "our offer of a -PLUS form was taken away" : NULL;
  return LM_IS(flag, "n") ? NULL : "not a gs2-header";
}

static enum lm_sasl_turn claim(struct lm_sasl *s, struct lm_str user, struct lm_str authzid) {
  struct lm_buf name = {NULL, 0, 0, 0}, other = {NULL, 0, 0, 0};
  bool room = lm_buf_room(&name, user.n + 1) && lm_buf_room(&other, authzid.n + 1);
  bool good = room && take_name(&name, user) && take_name(&other, authzid);
  enum lm_sasl_turn turn = LM_SASL_LOOKUP;
  if (!room)
    turn = LM_SASL_NO_MEMORY;
  else if (!good || lm_buf_len(&name) == 0)
    turn = lm_sasl_deny(s, "a bad user name");
  else if (!lm_sasl_claim(s, lm_buf_str(&name), LM_STR(""), lm_buf_str(&other)))
    turn = LM_SASL_NO_MEMORY;
  lm_buf_free(&name);
  lm_buf_free(&other);
  return turn;
}

static enum lm_sasl_turn client_first(struct lm_sasl *s, struct lm_str response) {
  struct scram *x = own(s);
  struct lm_str rest = response, flag, middle, authzid = LM_STR(""), bare, user, nonce;
  const char *why;
  if (x == NULL) return LM_SASL_NO_MEMORY;
  flag = lm_sasl_cut(&rest, ',');
  if ((why = bad_binding(s, flag)) != NULL) return lm_sasl_deny(s, why);
  middle = lm_sasl_cut(&rest, ',');
  if (middle.n && !attribute(&middle, 'a', &authzid)) return lm_sasl_deny(s, "not a gs2-header");
  bare = rest;
  if (!attribute(&rest, 'n', &user) || !attribute(&rest, 'r', &nonce) || nonce.n == 0)
    return lm_sasl_deny(s, "not a client-first-message of SCRAM");
  if (!lm_buf_put(&x->header, response.p, response.n - bare.n) || !put(&x->auth, bare) ||
      !put(&x->nonce, nonce) || !lm_sasl_put_nonce(s, &x->nonce, NONCE))
    return LM_SASL_NO_MEMORY;
  return claim(s, user, authzid);
}

/* server-first-message, and its place in AuthMessage */
static enum lm_sasl_turn server_speaks(struct lm_sasl *s, struct lm_str salt, uint32_t rounds) {
  struct scram *x = s->own;
  bool good = lm_buf_puts(&s->out, LM_STR("r=")) && put(&s->out, lm_buf_str(&x->nonce)) &&
              lm_buf_puts(&s->out, LM_STR(",s=")) && lm_base64_encode(&s->out, salt) &&
              lm_buf_puts(&s->out, LM_STR(",i=")) && lm_buf_put_u64(&s->out, rounds) &&
              lm_buf_putc(&x->auth, ',') && put(&x->auth, lm_buf_str(&s->out));
  return good ? LM_SASL_CHALLENGE : LM_SASL_NO_MEMORY;
}

/* A password is turned into keys while the client does the same. */
static bool start_keys(struct lm_sasl *s, struct lm_str salt, uint32_t rounds) {
  struct scram *x = s->own;
  if (!lm_saslprep(s->known->password, &x->password)) return false;
  s->work = lm_pbkdf2_new(s->mechanism->digest, lm_buf_str(&x->password), salt, rounds);
  return s->work != NULL;
}

static enum lm_sasl_turn looked_up(struct lm_sasl *s) {
  struct scram *x = s->own;
  const struct lm_sasl_secret *known = s->known;
  uint32_t rounds = known && known->rounds ? known->rounds : LM_SCRAM_ROUNDS_MIN;
  unsigned char made[SALT];
  struct lm_str salt = octets(made, SALT), none = LM_STR("");
  if (known == NULL) return lm_sasl_deny(s, "nobody looked the user up");
  if (known->salt.n)
    salt = known->salt;
  else if (!lm_random(made, SALT))
    return LM_SASL_NO_MEMORY;
  x->size = lm_digest(s->mechanism->digest, &none, 1, x->stored_key);
  x->unknown = known->password.n == 0 && known->stored_key.n != x->size;
  if (!x->unknown && known->password.n == 0) {
    if (known->server_key.n != x->size) return lm_sasl_deny(s, "a stored key of another length");
    memcpy(x->stored_key, known->stored_key.p, x->size);
    memcpy(x->server_key, known->server_key.p, x->size);
  } else if (known->password.n && !start_keys(s, salt, rounds)) {
    return LM_SASL_NO_MEMORY;
  }
  return server_speaks(s, salt, rounds);
}

/* Is it H(ClientKey), where ClientKey is the proof without the signature? */
static bool proves(struct lm_sasl *s, struct scram *x, struct lm_str proof) {
  unsigned char key[LM_DIGEST_MAX], hashed[LM_DIGEST_MAX];
  struct lm_str text = octets(key, x->size);
  size_t i;
  bool good = proof.n == x->size && sign(s, x, key);
  for (i = 0; good && i < x->size; i++) key[i] ^= (unsigned char)proof.p[i];
  good = good && lm_digest(s->mechanism->digest, &text, 1, hashed) == x->size &&
         lm_equal_secret(octets(hashed, x->size), octets(x->stored_key, x->size));
  lm_wipe(key, sizeof key);
  return good && !x->unknown;
}

static enum lm_sasl_turn judge(struct lm_sasl *s, struct lm_str proof64) {
  struct scram *x = s->own;
  struct lm_buf proof = {NULL, 0, 0, 0};
  bool right;
  if (lm_buf_room(&proof, proof64.n + 1) == NULL) return LM_SASL_NO_MEMORY;
  right = lm_base64_decode(&proof, proof64) == LM_BASE64_OK && proves(s, x, lm_buf_str(&proof));
  lm_buf_wipe(&proof);
  if (!right) return lm_sasl_deny(s, "a wrong password");
  if (!lm_buf_puts(&s->out, LM_STR("v=")) ||
      !lm_base64_encode(&s->out, octets(x->signature, x->size)))
    return LM_SASL_NO_MEMORY;
  return LM_SASL_CHALLENGE;
}

/* The keys of a password are ready. */
static bool take_keys(struct lm_sasl *s, struct scram *x) {
  unsigned char salted[LM_DIGEST_MAX];
  size_t n = lm_pbkdf2_key(s->work, salted);
  bool good = keys_of(s->mechanism->digest, salted, n, x->stored_key, x->server_key) == n;
  lm_wipe(salted, sizeof salted);
  lm_pbkdf2_free(s->work);
  s->work = NULL;
  return good;
}

/* client-final-message: "c=" base64 "," "r=" nonce ["," extensions] "," "p=" base64 */
static enum lm_sasl_turn client_final(struct lm_sasl *s) {
  struct scram *x = s->own;
  struct lm_str whole = lm_buf_str(&x->password), rest = whole, bound, nonce, proof = LM_NOSTR;
  struct lm_str said;
  if (s->work && !take_keys(s, x)) return LM_SASL_NO_MEMORY;
  if (!attribute(&rest, 'c', &bound) || !attribute(&rest, 'r', &nonce))
    return lm_sasl_deny(s, "not a client-final-message of SCRAM");
  said = (struct lm_str){whole.p, (size_t)(nonce.p + nonce.n - whole.p)};
  while (rest.n && !attribute(&rest, 'p', &proof)) lm_sasl_cut(&rest, ',');
  if (proof.p == NULL) return lm_sasl_deny(s, "no proof in it");
  if (!put_ending(s, x, lm_buf_str(&x->nonce))) return LM_SASL_NO_MEMORY;
  if (!lm_str_eq(said, lm_buf_str(&x->ending)))
    return lm_sasl_deny(s, "the channel binding or the nonce is another one");
  said.n = (size_t)(proof.p - 3 - whole.p); /* with its extensions */
  if (!lm_buf_putc(&x->auth, ',') || !put(&x->auth, said)) return LM_SASL_NO_MEMORY;
  return judge(s, proof);
}

static enum lm_sasl_turn serve(struct lm_sasl *s, struct lm_str response) {
  struct scram *x = s->own;
  if (s->stage == 0) return client_first(s, response);
  if (s->stage == 1) return looked_up(s);
  if (s->stage == 2) {
    if (!x->said) {
      lm_buf_wipe(&x->password);
      x->said = true;
      if (!put(&x->password, response)) return LM_SASL_NO_MEMORY;
      if (s->work) return LM_SASL_MORE;
    }
    return client_final(s);
  }
  return LM_SASL_ACCEPT;
}

/* --- the records -------------------------------------------------------------------------------- */

#define SCRAM(variable, called, kind, plus, rank)                                                  \
  const struct lm_sasl_mechanism variable = {                                                      \
      .name = called,                                                                              \
      .has_initial = true,                                                                         \
      .wants_secret = true,                                                                        \
      .binds = plus,                                                                               \
      .strength = rank,                                                                            \
      .digest = kind,                                                                              \
      .step = step,                                                                                \
      .serve = serve,                                                                              \
      .release = release,                                                                          \
  }

SCRAM(lm_sasl_scram_sha512_plus, "SCRAM-SHA-512-PLUS", LM_SHA512, true, 96);
SCRAM(lm_sasl_scram_sha256_plus, "SCRAM-SHA-256-PLUS", LM_SHA256, true, 95);
SCRAM(lm_sasl_scram_sha1_plus, "SCRAM-SHA-1-PLUS", LM_SHA1, true, 94);
SCRAM(lm_sasl_scram_sha512, "SCRAM-SHA-512", LM_SHA512, false, 93);
SCRAM(lm_sasl_scram_sha256, "SCRAM-SHA-256", LM_SHA256, false, 92);
SCRAM(lm_sasl_scram_sha1, "SCRAM-SHA-1", LM_SHA1, false, 91);
