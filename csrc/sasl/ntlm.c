/*
** ntlm.c: NTLM, version 2 ([MS-NLMP] §3.1.5.1, [MS-SMTPNTLM]), the client's side, for old Exchange
** servers. Chosen only by name: it proves the server nothing and its digests are of 1992.
**
** All numbers are little-endian; what the server says of lengths and offsets is checked against the
** message before anything is read.
*/
#include <string.h>

#include "base/chars.h"
#include "base/text.h"
#include "sasl/mech.h"

enum {
  UNICODE = 0x1,
  REQUEST_TARGET = 0x4,
  NTLM = 0x200,
  ALWAYS_SIGN = 0x8000,
  EXTENDED = 0x80000, /* NTLM2 session security */
  FLAGS = UNICODE | REQUEST_TARGET | NTLM | ALWAYS_SIGN | EXTENDED,
  CHALLENGE_SIZE = 32,  /* of its fixed part, without target information */
  TARGET_AT = 40,       /* where the fields of the target information are */
  RESPONSE_HEADER = 64, /* AUTHENTICATE_MESSAGE without version and MIC */
  AV_TIMESTAMP = 7,
  KEY = 16
};

static const char signature[8] = "NTLMSSP";

static bool put_number(struct lm_buf *b, uint64_t n, size_t octets) {
  size_t i;
  for (i = 0; i < octets; i++) {
    if (!lm_buf_putc(b, (char)(n >> (8 * i) & 255))) return false;
  }
  return true;
}

static uint32_t number_at(struct lm_str s, size_t at, size_t octets) {
  uint32_t n = 0;
  while (octets-- > 0) n = n << 8 | (unsigned char)s.p[at + octets];
  return n;
}

/* NEGOTIATE_MESSAGE (§2.2.1.1), without domain and workstation */
static bool put_negotiate(struct lm_buf *b) {
  return lm_buf_put(b, signature, 8) && put_number(b, 1, 4) && put_number(b, FLAGS, 4) &&
         put_number(b, 0, 8) && put_number(b, 0, 8);
}

/* --- text --------------------------------------------------------------------------------------- */

/* One character of UTF-8, at least one octet; broken ones count as Latin-1. */
static uint32_t take_char(struct lm_str *s) {
  unsigned char c = (unsigned char)s->p[0];
  size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1, i;
  uint32_t code = n == 1 ? c : c & (0x7fu >> n);
  if (n > s->n) n = 1, code = c;
  for (i = 1; i < n; i++) {
    if (((unsigned char)s->p[i] & 0xc0) != 0x80) {
      n = 1;
      code = c;
    } else {
      code = code << 6 | ((unsigned char)s->p[i] & 0x3f);
    }
  }
  s->p += n;
  s->n -= n;
  return code;
}

/* UTF-8 as UTF-16LE, ASCII letters in upper case where `upper` is set (§3.3.2 wants the user's name
** so; other letters stay as the user wrote them). */
static bool put_wide(struct lm_buf *b, struct lm_str text, bool upper) {
  bool good = true;
  while (good && text.n) {
    uint32_t c = take_char(&text);
    if (upper && c < 128) c = (unsigned char)lm_upper((char)c);
    if (c >= 0x10000) {
      c -= 0x10000;
      good = put_number(b, 0xd800 + (c >> 10), 2);
      c = 0xdc00 + (c & 0x3ff);
    }
    good = good && put_number(b, c, 2);
  }
  return good;
}

/* --- keys --------------------------------------------------------------------------------------- */

/* Who logs in. */
struct account {
  struct lm_str user;
  struct lm_str domain;
};

/* ResponseKeyNT = HMAC-MD5(MD4(password), upper(user) domain), all in UTF-16LE (§3.3.2) */
static bool response_key(const struct account *who, struct lm_str password, unsigned char *out) {
  struct lm_buf text = {NULL, 0, 0, 0};
  unsigned char hash[LM_DIGEST_MAX];
  struct lm_str wide;
  bool good = put_wide(&text, password, false);
  wide = lm_buf_str(&text);
  good = good && lm_digest(LM_MD4, &wide, 1, hash) == KEY;
  if (text.p) lm_wipe(text.p, text.cap);
  lm_buf_clear(&text);
  good = good && put_wide(&text, who->user, true) && put_wide(&text, who->domain, false) &&
         lm_hmac(LM_MD5, (struct lm_str){(const char *)hash, KEY}, lm_buf_str(&text), out) == KEY;
  lm_wipe(hash, sizeof hash);
  lm_buf_wipe(&text);
  return good;
}

/* The server's idea of the time (MsvAvTimestamp), as eight octets; NULL where it has none. */
static const char *timestamp(struct lm_str target) {
  while (target.n >= 4) {
    uint32_t id = number_at(target, 0, 2), n = number_at(target, 2, 2);
    if (id == 0 || n + 4 > target.n) break;
    if (id == AV_TIMESTAMP && n == 8) return target.p + 4;
    target.p += n + 4;
    target.n -= n + 4;
  }
  return NULL;
}

/* NTLMv2_CLIENT_CHALLENGE (§2.2.2.7) behind the server's challenge. */
static bool put_blob(struct lm_sasl *s, struct lm_buf *b, struct lm_str target) {
  const char *when = timestamp(target);
  uint64_t ticks = (s->with.now + 11644473600u) * 10000000u; /* of 100 ns, since 1601 */
  unsigned char client[8];
  bool good = lm_buf_put(b, "\1\1\0\0\0\0\0\0", 8);
  good = good && (when ? lm_buf_put(b, when, 8) : put_number(b, ticks, 8));
  if (s->with.nonce.n == 8)
    memcpy(client, s->with.nonce.p, 8);
  else
    good = good && lm_random(client, 8);
  return good && lm_buf_put(b, (const char *)client, 8) && put_number(b, 0, 4) &&
         lm_buf_put(b, target.p, target.n) && put_number(b, 0, 4);
}

/* NtChallengeResponse: the proof over the server's challenge and the blob, then the blob. */
static enum lm_sasl_answer put_proof(struct lm_sasl *s, struct lm_buf *b, const struct account *who,
                                     struct lm_str challenge, struct lm_str target) {
  struct lm_buf text = {NULL, 0, 0, 0};
  unsigned char key[LM_DIGEST_MAX], proof[LM_DIGEST_MAX];
  struct lm_str blob;
  enum lm_sasl_answer answer = LM_SASL_MEMORY;
  if (!response_key(who, s->with.password, key))
    return lm_sasl_refuse(s, "MD4 is not to be had here (OpenSSL's legacy provider)");
  if (lm_buf_put(&text, challenge.p, 8) && put_blob(s, &text, target)) {
    blob = lm_buf_str(&text);
    if (lm_hmac(LM_MD5, (struct lm_str){(const char *)key, KEY}, blob, proof) == KEY &&
        lm_buf_put(b, (const char *)proof, KEY) && lm_buf_put(b, blob.p + 8, blob.n - 8))
      answer = LM_SASL_SEND;
  }
  lm_wipe(key, sizeof key);
  lm_buf_wipe(&text);
  return answer;
}

/* --- messages ----------------------------------------------------------------------------------- */

/* The target information of a CHALLENGE_MESSAGE (§2.2.1.2); false where its place lies outside. */
static bool take_target(struct lm_str m, struct lm_str *target) {
  uint32_t n, at;
  *target = LM_STR("");
  if (m.n < TARGET_AT + 8) return true;
  n = number_at(m, TARGET_AT, 2);
  at = number_at(m, TARGET_AT + 4, 4);
  if (n == 0) return true;
  if (at > m.n || n > m.n - at) return false;
  *target = (struct lm_str){m.p + at, n};
  return true;
}

/* Len, MaxLen, Offset */
static bool put_fields(struct lm_buf *b, size_t *at, size_t n) {
  bool good =
      n <= UINT16_MAX && put_number(b, n, 2) && put_number(b, n, 2) && put_number(b, *at, 4);
  *at += n;
  return good;
}

/* AUTHENTICATE_MESSAGE (§2.2.1.3); the LM response is 24 zeros, as with NTLMv2. */
static bool put_authenticate(struct lm_buf *b, const struct account *who, struct lm_str proof,
                             uint32_t flags) {
  struct lm_buf names = {NULL, 0, 0, 0};
  static const char zeros[24];
  size_t at = RESPONSE_HEADER, domain_n, user_n;
  bool good = put_wide(&names, who->domain, false);
  domain_n = lm_buf_len(&names);
  good = good && put_wide(&names, who->user, false);
  user_n = lm_buf_len(&names) - domain_n;
  good = good && lm_buf_put(b, signature, 8) && put_number(b, 3, 4) &&
         put_fields(b, &at, sizeof zeros) && put_fields(b, &at, proof.n) &&
         put_fields(b, &at, domain_n) && put_fields(b, &at, user_n) && put_fields(b, &at, 0) &&
         put_fields(b, &at, 0) && put_number(b, flags & FLAGS, 4) &&
         lm_buf_put(b, zeros, sizeof zeros) && lm_buf_put(b, proof.p, proof.n) &&
         lm_buf_put(b, names.p ? names.p : "", lm_buf_len(&names));
  lm_buf_free(&names);
  return good;
}

/* "DOMAIN\user", "user@domain" as it is, or a plain name */
static struct account split(struct lm_str whole) {
  struct lm_str rest = whole;
  struct lm_str domain = lm_sasl_cut(&rest, '\\');
  if (domain.n == whole.n) return (struct account){whole, LM_STR("")};
  return (struct account){rest, domain};
}

static enum lm_sasl_answer respond(struct lm_sasl *s, struct lm_str m) {
  struct lm_buf proof = {NULL, 0, 0, 0};
  struct account who = split(s->with.user);
  struct lm_str target;
  enum lm_sasl_answer answer;
  if (m.n < CHALLENGE_SIZE || memcmp(m.p, signature, 8) != 0 || number_at(m, 8, 4) != 2 ||
      !take_target(m, &target))
    return lm_sasl_refuse(s, "not a challenge of NTLM");
  answer = put_proof(s, &proof, &who, (struct lm_str){m.p + 24, 8}, target);
  if (answer == LM_SASL_SEND &&
      !put_authenticate(&s->out, &who, lm_buf_str(&proof), number_at(m, 20, 4)))
    answer = LM_SASL_MEMORY;
  lm_buf_wipe(&proof);
  s->done = answer == LM_SASL_SEND;
  return answer;
}

static enum lm_sasl_answer step(struct lm_sasl *s, struct lm_str challenge) {
  if (s->stage == 0) return put_negotiate(&s->out) ? LM_SASL_SEND : LM_SASL_MEMORY;
  if (challenge.p == NULL) return lm_sasl_refuse(s, "a challenge that is no base64");
  return respond(s, challenge);
}

const struct lm_sasl_mechanism lm_sasl_ntlm = {
    .name = "NTLM",
    .has_initial = true,
    .wants_secret = true,
    .on_demand = true,
    .strength = 5,
    .step = step,
};
