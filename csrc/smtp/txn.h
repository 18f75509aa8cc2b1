/*
** txn.h: one mail transaction: its envelope as command lines, what became of each recipient, and
** the content that follows (RFC 5321 §3.3).
**
** Knows no connection: client.c decides when lines go out and which reply belongs to which line.
** The one place where an address becomes part of a command line.
*/
#ifndef LM_SMTP_TXN_H
#define LM_SMTP_TXN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/dot.h"
#include "smtp/reply.h"

/* Which command line is meant: 0 is MAIL, 1..n the recipients, n + 1 DATA where there is one: content
** in chunks has none. */
enum lm_smtp_stage { LM_SMTP_AT_MAIL, LM_SMTP_AT_RCPT, LM_SMTP_AT_DATA, LM_SMTP_AT_CONTENT };

struct lm_smtp_rcpt {
  struct lm_str address;      /* as it was given, between < and > */
  struct lm_smtp_reply reply; /* code 0: not answered */
};

struct lm_smtp_txn {
  struct lm_smtp_txn *next;
  uint32_t id;
  bool muted;               /* abandoned after its last byte: no event */
  bool streamed;            /* the content comes in pieces from the caller */
  bool seven_bit;           /* the server takes no 8-bit octets */
  bool chunked;             /* the content goes by BDAT (RFC 3030) */
  bool binary;              /* ... as it is, whatever its line endings (BINARYMIME) */
  bool dotted;              /* the final dot, or the last chunk, was queued */
  uint64_t dot_at;          /* ... up to this octet of the output */
  enum lm_smtp_stage stage; /* how far it came, for the words of an error */
  uint32_t nrcpt;
  uint32_t accepted;
  uint32_t answered; /* recipients that have their reply */
  uint32_t final;    /* LMTP: recipients that have their final reply, or will have none */
  uint32_t chunks;   /* BDAT commands without a reply */
  uint32_t emitted;  /* command lines handed to the wire */
  bool refused;      /* MAIL, DATA or the content was refused; see lm_smtp_txn_failure */
  uint32_t failure_code;
  uint32_t failure_at; /* where its text lies in `replies` */
  uint32_t failure_n;
  struct lm_str text; /* content lent by the caller, what is left of it */
  bool strict;        /* a CR or LF of its own is refused, not made a CRLF */
  struct lm_dotout dot;
  struct lm_dotout seen; /* strict: how far the check has come; plain */
  struct lm_buf lines;   /* MAIL, RCPT..., DATA, each with CRLF */
  struct lm_buf rcpts;   /* array of struct rcpt (txn.c) */
  struct lm_buf replies; /* text of refusals, copied */
  struct lm_arena arena; /* for whoever fills it in */
};

/* A transaction with nothing in it; NULL when memory is short. */
struct lm_smtp_txn *lm_smtp_txn_new(void);
void lm_smtp_txn_free(struct lm_smtp_txn *t);

/* Makes it new again, keeping its memory. */
void lm_smtp_txn_reset(struct lm_smtp_txn *t);

/* "MAIL FROM:<path> params". `params` is empty or begins with a space. False where either holds CR,
** LF, NUL, or memory is short (then *why_out says which). Called first, once. */
bool lm_smtp_txn_mail(struct lm_smtp_txn *t, struct lm_str path, struct lm_str params,
                      const char **why_out);

/* "RCPT TO:<path> params", any number of times, then lm_smtp_txn_data once. */
bool lm_smtp_txn_rcpt(struct lm_smtp_txn *t, struct lm_str path, struct lm_str params,
                      const char **why_out);
bool lm_smtp_txn_data(struct lm_smtp_txn *t);

/* The number of the last command line. */
static inline uint32_t lm_smtp_txn_last(const struct lm_smtp_txn *t) {
  return t->chunked ? t->nrcpt : t->nrcpt + 1;
}

/* True where nobody can get the message any more: it, or every recipient, was refused. */
static inline bool lm_smtp_txn_hopeless(const struct lm_smtp_txn *t) {
  return t->refused || (t->accepted == 0 && t->answered == t->nrcpt);
}

/* The command line number `i`, with its CRLF. */
struct lm_str lm_smtp_txn_line(const struct lm_smtp_txn *t, uint32_t i);

/* All command lines at once, for a pipelining server. */
struct lm_str lm_smtp_txn_lines(const struct lm_smtp_txn *t);

/* Writes down what became of MAIL (i = 0), a recipient, or DATA. The text is copied where the reply
** is a refusal. False when memory is short. */
bool lm_smtp_txn_answer(struct lm_smtp_txn *t, uint32_t i, const struct lm_smtp_reply *reply);

/* LMTP: the final reply of the next recipient that was accepted (RFC 2033 §4.2). False when memory is
** short; *more_out tells whether another one is due. */
bool lm_smtp_txn_final(struct lm_smtp_txn *t, const struct lm_smtp_reply *reply, bool *more_out);

/* The reply that refused the transaction as a whole, valid until the transaction is freed; code 0
** where there is none. */
struct lm_smtp_reply lm_smtp_txn_failure(const struct lm_smtp_txn *t);

/* Writes down a reply that refuses the transaction as a whole; the first one counts. False when
** memory is short. */
bool lm_smtp_txn_refuse(struct lm_smtp_txn *t, enum lm_smtp_stage stage,
                        const struct lm_smtp_reply *reply);

/* Recipient `i` of 0..nrcpt-1; valid until the transaction is freed. */
struct lm_smtp_rcpt lm_smtp_txn_recipient(const struct lm_smtp_txn *t, uint32_t i);

#endif
