/*
** mech.h: what the mechanisms know of an exchange; no business of anybody else.
**
** Each mechanism is one file that defines one record for each name; sasl.c lists them, and drives
** the client's side, server.c the server's.
*/
#ifndef LM_SASL_MECH_H
#define LM_SASL_MECH_H

#include "sasl/sasl.h"

struct lm_sasl {
  const struct lm_sasl_mechanism *mechanism;
  struct lm_sasl_credentials with;    /* views into `secrets`; a server's: what the client said */
  struct lm_buf secrets;              /* the credentials one behind another */
  struct lm_buf claims;               /* server: what `with` views of the client's */
  struct lm_buf out;                  /* what is said next, under construction */
  struct lm_buf reason;               /* what the server said of its refusal */
  const char *why;                    /* of the last refusal */
  void *own;                          /* the mechanism's */
  const struct lm_sasl_secret *known; /* server: during lm_sasl_secret */
  struct lm_pbkdf2 *work;             /* while it is WORKING */
  uint8_t stage;                      /* moves made so far */
  bool done;                          /* nothing more to say or check */
  bool content;                       /* a success may be believed, a challenge may come though */
  bool passes;                        /* what `prepare` lacked may be there later */
  bool failed;                        /* the server said so: answered, and no success is believed */
  bool decided;                       /* server: what lm_sasl_decide said */
};

extern const struct lm_sasl_mechanism lm_sasl_anonymous;
extern const struct lm_sasl_mechanism lm_sasl_cram_md5;
extern const struct lm_sasl_mechanism lm_sasl_digest_md5;
extern const struct lm_sasl_mechanism lm_sasl_external;
extern const struct lm_sasl_mechanism lm_sasl_gssapi;
extern const struct lm_sasl_mechanism lm_sasl_login;
extern const struct lm_sasl_mechanism lm_sasl_ntlm;
extern const struct lm_sasl_mechanism lm_sasl_oauthbearer;
extern const struct lm_sasl_mechanism lm_sasl_plain;
extern const struct lm_sasl_mechanism lm_sasl_scram_sha1;
extern const struct lm_sasl_mechanism lm_sasl_scram_sha1_plus;
extern const struct lm_sasl_mechanism lm_sasl_scram_sha256;
extern const struct lm_sasl_mechanism lm_sasl_scram_sha256_plus;
extern const struct lm_sasl_mechanism lm_sasl_scram_sha512;
extern const struct lm_sasl_mechanism lm_sasl_scram_sha512_plus;
extern const struct lm_sasl_mechanism lm_sasl_xoauth2;

/* Records why and answers LM_SASL_REFUSED; the server's form answers LM_SASL_DENY. */
enum lm_sasl_answer lm_sasl_refuse(struct lm_sasl *s, const char *why);
enum lm_sasl_turn lm_sasl_deny(struct lm_sasl *s, const char *why);

/* Keeps what the server said of its refusal. */
bool lm_sasl_keep_reason(struct lm_sasl *s, struct lm_str reason);

/* Server: copies what the client claims into s->with; may be given parts of what is there. */
bool lm_sasl_claim(struct lm_sasl *s, struct lm_str user, struct lm_str password,
                   struct lm_str authzid);

/* Appends `n` octets of random text (base64's alphabet), or the nonce that a test demands. */
bool lm_sasl_put_nonce(struct lm_sasl *s, struct lm_buf *out, size_t n);

/* The part of *rest before `stop`, which is taken off too; all of it where there is none. */
struct lm_str lm_sasl_cut(struct lm_str *rest, char stop);

#endif
