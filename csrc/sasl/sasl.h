/*
** sasl.h: one SASL exchange (RFC 4422), mechanism by mechanism.
**
** A mechanism is a record in a table and one function; an exchange turns challenges into responses,
** both as plain octets: base64, line limits and the words around them belong to the protocols.
** Nothing here decides whether a secret may be sent in clear: `plaintext` says what would happen,
** the caller has the last word.
** Invariant: secrets live in one block, which is overwritten before it is freed.
*/
#ifndef LM_SASL_SASL_H
#define LM_SASL_SASL_H

#include "base/buf.h"

struct lm_sasl;

/* What the user proves; empty where there is none. */
struct lm_sasl_credentials {
  struct lm_str user;
  struct lm_str password;
  struct lm_str authzid; /* whom to act as; empty: the user */
};

enum lm_sasl_answer {
  LM_SASL_SEND,    /* send the response, which may be empty */
  LM_SASL_REFUSED, /* the challenge makes no sense: cancel; lm_sasl_why says why */
  LM_SASL_MEMORY
};

struct lm_sasl_mechanism {
  const char *name;
  bool plaintext;    /* sends the secret in clear: wants TLS or explicit permission */
  bool has_initial;  /* the client speaks first */
  bool wants_secret; /* useless without user and password */
  uint8_t strength;  /* the higher, the sooner chosen */
  /* One move: appends the response to lm_sasl_out(s). `challenge.p` is NULL for a challenge that
  ** could not be decoded. */
  enum lm_sasl_answer (*step)(struct lm_sasl *s, struct lm_str challenge);
};

/* The mechanisms, strongest first, ended by NULL. */
const struct lm_sasl_mechanism *const *lm_sasl_mechanisms(void);

/* The mechanism of that name, in any case; NULL where it is unknown. */
const struct lm_sasl_mechanism *lm_sasl_find(struct lm_str name);

/* Begins an exchange; the credentials are copied. Returns NULL and sets *out, or the reason (static
** words) why these credentials cannot be sent by this mechanism, or memory was short. */
const char *lm_sasl_new(const struct lm_sasl_mechanism *mechanism,
                        const struct lm_sasl_credentials *credentials, struct lm_sasl **out);

/* Wipes the secrets; NULL is fine. */
void lm_sasl_free(struct lm_sasl *s);

/* The initial response (RFC 4422 §3.3), for protocols that send one with their command. False
** where the server speaks first, or memory is short; then nothing has happened. */
bool lm_sasl_initial(struct lm_sasl *s, struct lm_str *response_out);

/* Answers a challenge. The response is valid until the next call. A mechanism whose initial
** response was not asked for gives it as the answer to the first, empty challenge. */
enum lm_sasl_answer lm_sasl_step(struct lm_sasl *s, struct lm_str challenge,
                                 struct lm_str *response_out);

/* True where the mechanism has no more to say or to check: a success that the server reports sooner
** is not to be believed. */
bool lm_sasl_done(const struct lm_sasl *s);

/* Why the last challenge was refused: static words. */
const char *lm_sasl_why(const struct lm_sasl *s);

const struct lm_sasl_mechanism *lm_sasl_which(const struct lm_sasl *s);

#endif
