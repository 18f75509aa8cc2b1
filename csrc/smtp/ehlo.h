/*
** ehlo.h: what a server says that it can do: the lines of its answer to EHLO (RFC 5321 §4.1.1.1).
**
** The keywords that change how the session speaks are kept as bits and numbers; the whole text is
** kept too, for whoever asks for the set.
*/
#ifndef LM_SMTP_EHLO_H
#define LM_SMTP_EHLO_H

#include "base/buf.h"

enum lm_smtp_capability {
  LM_SMTP_PIPELINING = 1 << 0,  /* RFC 2920 */
  LM_SMTP_8BITMIME = 1 << 1,    /* RFC 6152 */
  LM_SMTP_SMTPUTF8 = 1 << 2,    /* RFC 6531 */
  LM_SMTP_SIZE = 1 << 3,        /* RFC 1870 */
  LM_SMTP_STARTTLS = 1 << 4,    /* RFC 3207 */
  LM_SMTP_AUTH = 1 << 5,        /* RFC 4954 */
  LM_SMTP_DSN = 1 << 6,         /* RFC 3461 */
  LM_SMTP_REQUIRETLS = 1 << 7,  /* RFC 8689 */
  LM_SMTP_DELIVERBY = 1 << 8,   /* RFC 2852 */
  LM_SMTP_CHUNKING = 1 << 9,    /* RFC 3030 */
  LM_SMTP_BINARYMIME = 1 << 10, /* RFC 3030 */
  LM_SMTP_BURL = 1 << 11        /* RFC 4468 */
};

struct lm_smtp_ehlo {
  unsigned has;       /* OR of enum lm_smtp_capability */
  unsigned without;   /* what is not to be used, though the server has it */
  uint64_t max_size;  /* of SIZE; 0 where the server names none */
  struct lm_buf text; /* the keyword lines, joined by LF */
};

/* Reads the text of a 250 reply to EHLO; the first line is the server's name and is no keyword.
** False when memory is short. */
bool lm_smtp_ehlo_read(struct lm_smtp_ehlo *e, struct lm_str text);

/* Forgets everything: before EHLO, and when TLS begins. */
void lm_smtp_ehlo_clear(struct lm_smtp_ehlo *e);
void lm_smtp_ehlo_free(struct lm_smtp_ehlo *e);

/* Takes one line from *text: its keyword and the parameters behind it. Old servers write
** "AUTH=LOGIN": the keyword ends at "=" too. False at the end; lines without a keyword are passed
** over. */
bool lm_smtp_ehlo_next(struct lm_str *text, struct lm_str *keyword_out, struct lm_str *params_out);

#endif
