/*
** mech.h: what the mechanisms know of an exchange; no business of anybody else.
**
** Each mechanism is one file that defines one record; sasl.c lists them.
*/
#ifndef LM_SASL_MECH_H
#define LM_SASL_MECH_H

#include "sasl/sasl.h"

struct lm_sasl {
  const struct lm_sasl_mechanism *mechanism;
  struct lm_sasl_credentials with; /* views into `secrets` */
  struct lm_buf secrets;           /* the credentials one behind another */
  struct lm_buf out;               /* the response under construction */
  const char *why;                 /* of the last refusal */
  uint8_t stage;                   /* moves made so far */
  bool done;                       /* nothing more to say or check */
};

extern const struct lm_sasl_mechanism lm_sasl_plain;
extern const struct lm_sasl_mechanism lm_sasl_login;
extern const struct lm_sasl_mechanism lm_sasl_external;

/* Records why and answers LM_SASL_REFUSED. */
enum lm_sasl_answer lm_sasl_refuse(struct lm_sasl *s, const char *why);

#endif
