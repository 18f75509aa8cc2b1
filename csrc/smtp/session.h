/*
** session.h: what the files of the SMTP client share; no business of anybody else.
**
** client.c queues commands and makes slots of them, content.c moves the content of messages,
** settle.c gives replies to slots and makes events of them.
** A job is a command, or a transaction, that waits for its turn; a slot is a line that was put into
** the output and has no reply yet.
** Invariant: replies arrive in the order of the slots, and none before its line has left.
*/
#ifndef LM_SMTP_SESSION_H
#define LM_SMTP_SESSION_H

#include "smtp/client.h"

enum lm_smtp_slot_kind {
  LM_SLOT_GREETING,
  LM_SLOT_EHLO,
  LM_SLOT_LINE,
  LM_SLOT_STARTTLS,
  LM_SLOT_AUTH,
  LM_SLOT_TXN,
  LM_SLOT_DOT,
  LM_SLOT_BDAT,
  LM_SLOT_RSET,
  LM_SLOT_QUIT
};

struct lm_smtp_slot {
  uint8_t kind; /* enum lm_smtp_slot_kind */
  bool muted;   /* abandoned: the reply is swallowed */
  bool last;    /* nothing may follow before its reply */
  uint32_t id;
  uint32_t
      line;     /* LM_SLOT_TXN: which line of the transaction; LM_SLOT_BDAT: 1 for the last chunk */
  uint64_t end; /* the reply may come once the output has left up to here */
  uint64_t from; /* LM_SLOT_BDAT: where its octets begin: from here on they may be refused */
  struct lm_smtp_txn *txn;
};

struct lm_smtp_job {
  struct lm_smtp_job *next;
  enum lm_smtp_slot_kind kind;
  uint32_t id;
  struct lm_smtp_txn *txn; /* LM_SLOT_TXN */
  struct lm_buf line;      /* any other; of LM_SLOT_AUTH it is a secret */
};

struct lm_smtpc {
  struct lm_wire wire; /* first: a driver needs no other type */
  struct lm_limits limits;
  struct lm_smtp_reader reader;
  struct lm_smtp_ehlo ehlo;
  struct lm_buf slots; /* array of struct lm_smtp_slot, oldest first */
  struct lm_smtp_job *jobs, **jobs_tail;
  struct lm_smtp_job *idle_job; /* one that waits to be used again */
  size_t queued;                /* bytes of lines in jobs */
  struct lm_smtp_txn *txns;     /* all that are queued or under way; owned here */
  struct lm_smtp_txn *content;  /* the one whose content is being sent */
  struct lm_smtp_txn *halted;   /* the one whose chunks were stopped halfway; replies are due */
  struct lm_buf chunk;          /* a chunk under construction */
  struct lm_buf owed;        /* ids that were told GO, and have become pointless before they gave */
  struct lm_smtp_txn *ended; /* the one in the last event; owned, reused at the next call */
  struct lm_smtp_txn *spare; /* one that is being filled in, or waits to be used again */
  struct lm_buf challenge;
  const char *refusal;
  uint32_t last_id;
  uint32_t asking; /* AUTH that waits for an answer */
  uint32_t sasl_steps;
  uint64_t told; /* how far the output was when the caller last heard of it */
  bool cut;      /* STARTTLS was granted and TLS is not in place */
  bool may_give; /* GO was told */
  bool lmtp;
  bool leaving; /* the last reply was 421: what stands behind it in line will not be done */
  bool parted;  /* 421 came that answered nothing */
  bool quit;    /* QUIT was answered: what comes now is noise, and no end of stream a failure */
};

/* --- client.c --------------------------------------------------------------------------------- */

/* The line, or the octets, of this slot are in the output. False where the wire has failed. */
bool lm_smtp_push_slot(struct lm_smtpc *s, const struct lm_smtp_slot *slot);

static inline size_t lm_smtp_count_slots(const struct lm_smtpc *s) {
  return lm_buf_len(&s->slots) / sizeof(struct lm_smtp_slot);
}

static inline struct lm_smtp_slot *lm_smtp_slot_at(const struct lm_smtpc *s, size_t i) {
  return (struct lm_smtp_slot *)(void *)(s->slots.p + s->slots.start) + i;
}

/* Puts out what may leave now. */
void lm_smtp_advance(struct lm_smtpc *s);

/* Answers the challenge that was asked for; `muted` where nobody wants to hear what comes of it. */
bool lm_smtp_answer(struct lm_smtpc *s, const struct lm_str *response, bool muted);

/* Writes command lines down in the trace. */
void lm_smtp_trace_lines(struct lm_smtpc *s, struct lm_str lines);

/* A transaction was given up: its line in the queue, if it still has one, is dropped, and where it
** has begun for the server (`open`) RSET goes before anything else. False where the wire has failed. */
bool lm_smtp_reset_after(struct lm_smtpc *s, struct lm_smtp_txn *t, bool open);

/* --- content.c -------------------------------------------------------------------------------- */

/* 354: the content may go; where no recipient is left, only a dot (RFC 2920 §3.1). */
void lm_smtp_begin_content(struct lm_smtpc *s, struct lm_smtp_txn *t);

/* The same where it goes in chunks. */
void lm_smtp_begin_chunks(struct lm_smtpc *s, struct lm_smtp_txn *t);

/* Nobody will get it: no further chunk is sent, and nothing else before the replies to those that
** were. */
void lm_smtp_stop_chunks(struct lm_smtpc *s, struct lm_smtp_txn *t);

/* True where this id was told GO for content that has become pointless since: its piece is passed over, once. */
bool lm_smtp_forgive(struct lm_smtpc *s, uint32_t id);

/* Moves the content on; true where the caller is to be told so, or asked for more. */
bool lm_smtp_send_content(struct lm_smtpc *s, struct lm_smtpc_event *ev);

/* --- settle.c --------------------------------------------------------------------------------- */

/* The transaction of the last event may be filled in again. */
void lm_smtp_reuse_ended(struct lm_smtpc *s);

/* Gives the reply to the oldest slot. True where that makes an event. */
bool lm_smtp_settle(struct lm_smtpc *s, const struct lm_smtp_reply *reply,
                    struct lm_smtpc_event *ev);

/* The connection is gone; true where a transaction had been refused before: that is what its caller
** hears. */
bool lm_smtp_last_words(struct lm_smtpc *s, struct lm_smtpc_event *ev);

#endif
