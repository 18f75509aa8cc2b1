/*
** recipients.h: the envelope that a message's own header asks for (RFC 5322 §3.6.2, §3.6.3, §3.6.6).
**
** The sender is Sender, or else From; recipients are To, Cc and Bcc. Where the message was resent,
** the topmost block of Resent- fields stands for them. The places of all Bcc and Resent-Bcc fields
** are told, for whoever sends the message to leave them out. Addresses that had to be guessed are
** refused, not repaired.
*/
#ifndef LM_MIME_RECIPIENTS_H
#define LM_MIME_RECIPIENTS_H

#include "mime/addr.h"

struct lm_span {
  size_t start;
  size_t end; /* one past the last octet */
  struct lm_span *next;
};

struct lm_recipients {
  struct lm_str from;  /* "local@domain", domain in A-labels; p is NULL where no field names it */
  struct lm_addr *to;  /* in the order of the message, as lm_addr_envelope gives them */
  size_t count;        /* ... how many */
  struct lm_span *cut; /* Bcc and Resent-Bcc lines, rising */
  size_t body;         /* where the header ends and the body begins */
  bool utf8;           /* an address needs SMTPUTF8 */
  const char *why;     /* of a refusal: static words */
  struct lm_str field; /* ... and the name of the field */
};

/* Reads the header of `message`. False with `why` set where an address cannot be sent to; with `why`
** NULL when memory is short. Missing fields are no failure: the caller looks at `from` and `count`. */
bool lm_recipients(struct lm_arena *a, struct lm_str message, struct lm_recipients *out);

#endif
