/*
** client.h: the client side of an SMTP session (RFC 5321), without any I/O.
**
** Commands are queued and numbered; each has its events, the last of which ends it. Replies are
** matched by a queue of what is outstanding, so the group rules of pipelining (RFC 2920 §3.1) are in
** one place, and the content of one message, its final dot, and MAIL, RCPT and DATA of the next one
** leave in one flight: one round trip a message.
** Drive it as base/wire.h says. No call blocks, allocates without limit, or knows the time.
*/
#ifndef LM_SMTP_CLIENT_H
#define LM_SMTP_CLIENT_H

#include "base/wire.h"
#include "smtp/ehlo.h"
#include "smtp/reply.h"
#include "smtp/txn.h"

struct lm_smtpc;

enum lm_smtpc_kind {
  LM_SMTPC_GREETING, /* reply: 220, or a refusal; id 0 */
  LM_SMTPC_DONE,     /* reply: the answer to command `id` */
  LM_SMTPC_ASK, /* text: a challenge, decoded, or p NULL where it is no base64; lm_smtpc_answer */
  LM_SMTPC_STARTTLS, /* put TLS in, then lm_smtpc_secured; nothing is parsed before */
  LM_SMTPC_GO,       /* the streamed content of `id` may go on: lm_smtpc_give */
  LM_SMTPC_MOVED, /* a quarter of a MiB more, or much more, of the lent content of `id` has left */
  LM_SMTPC_SENT,  /* the transaction `id` is over: txn has its recipients, reply the last word */
  LM_SMTPC_BYE    /* reply: 421 that nobody asked for; the server closes; id 0 */
};

struct lm_smtpc_event {
  enum lm_smtpc_kind kind;
  uint32_t id;
  struct lm_smtp_reply reply;
  struct lm_str text;
  const struct lm_smtp_txn *txn;
};

/* A session that waits for the greeting; NULL when memory is short. */
struct lm_smtpc *lm_smtpc_new(const struct lm_limits *limits);
void lm_smtpc_free(struct lm_smtpc *s);

struct lm_wire *lm_smtpc_wire(struct lm_smtpc *s);
const struct lm_smtp_ehlo *lm_smtpc_ehlo(const struct lm_smtpc *s);

/* Speaks LMTP (RFC 2033): LHLO in the place of EHLO, and behind the content one reply for each
** recipient that was accepted. Before the first command. */
void lm_smtpc_speak_lmtp(struct lm_smtpc *s);

/* The next event; see base/wire.h for the loop. An event is valid until the next call. */
enum lm_status lm_smtpc_next(struct lm_smtpc *s, struct lm_smtpc_event *event_out);

/* Why the last command was not queued (it returned 0): a bad argument, memory, a wrong moment. */
const char *lm_smtpc_refusal(const struct lm_smtpc *s);

/* --- commands: each queues and returns its number, or 0 --------------------------------------- */

enum lm_smtp_verb {
  LM_SMTP_EHLO,     /* EHLO name; what the server can do is then in lm_smtpc_ehlo */
  LM_SMTP_HELO,     /* HELO name */
  LM_SMTP_LINE,     /* any other command of one line and one reply: NOOP, VRFY, EXPN, XFOO */
  LM_SMTP_RSET,     /* RSET */
  LM_SMTP_START_TLS /* STARTTLS; event STARTTLS on 220, DONE otherwise */
};

/* A command line. `line` is the argument of EHLO and HELO, the whole line for LM_SMTP_LINE, unused
** otherwise. CR, LF and NUL are refused. */
uint32_t lm_smtpc_command(struct lm_smtpc *s, enum lm_smtp_verb verb, struct lm_str line);

/* QUIT (RFC 5321 §4.1.1.10). */
uint32_t lm_smtpc_quit(struct lm_smtpc *s);

/* AUTH mechanism [initial response] (RFC 4954 §4). `initial` is sent in base64, "=" where it is
** empty but not NULL. The trace shows ***. */
uint32_t lm_smtpc_auth(struct lm_smtpc *s, struct lm_str mechanism, const struct lm_str *initial);

/* The answer to a challenge; NULL cancels with "*". False where nothing was asked. */
bool lm_smtpc_answer(struct lm_smtpc *s, uint32_t id, const struct lm_str *response);

/* A transaction to fill in, then lm_smtpc_send. The session owns it, and gives the same one again
** where it was not sent. NULL when memory is short. */
struct lm_smtp_txn *lm_smtpc_txn(struct lm_smtpc *s);

/* Queues the transaction. Its content is t->text, which must stay valid until the event SENT; or,
** where t->streamed is set, what lm_smtpc_give gives. With t->chunked it goes by BDAT, together with
** the envelope where the server pipelines; the server must have said CHUNKING. */
uint32_t lm_smtpc_send(struct lm_smtpc *s, struct lm_smtp_txn *t);

/* The number that the next command will have. */
uint32_t lm_smtpc_next_id(const struct lm_smtpc *s);

enum lm_smtpc_content {
  LM_SMTPC_TAKEN,
  LM_SMTPC_NOT_NOW,   /* no GO for this id */
  LM_SMTPC_EIGHT_BIT, /* the server takes no 8-bit octets: end the session, nothing is delivered */
  LM_SMTPC_BARE       /* a CR or LF of its own, and t->strict: the same */
};

/* Gives a piece of content, any line endings, copied; wait for GO before the next one. */
enum lm_smtpc_content lm_smtpc_give(struct lm_smtpc *s, uint32_t id, struct lm_str piece);

/* Has the server fetch a piece of the content itself (RFC 4468): t->chunked, and the server must have
** said BURL, and CHUNKING too unless the piece is the only one. False where no GO came for this id, or
** `url` cannot stand in a line. */
bool lm_smtpc_give_url(struct lm_smtpc *s, uint32_t id, struct lm_str url, bool last);

/* Does without these capabilities, whatever the server says: OR of enum lm_smtp_capability. Before the
** first command. */
void lm_smtpc_do_without(struct lm_smtpc *s, unsigned capabilities);

/* The content is whole. */
enum lm_smtpc_content lm_smtpc_give_end(struct lm_smtpc *s, uint32_t id);

/* True where the last octet of the message, its dot, has left and the answer has not come: it may
** or may not have been taken (RFC 1047). */
bool lm_smtpc_is_unknown(const struct lm_smtpc *s, uint32_t id);

/* True where the transaction is not over and a recipient of it was accepted. */
bool lm_smtpc_is_accepted(const struct lm_smtpc *s, uint32_t id);

/* The transaction where some of its recipients have their final reply (LMTP), and others, from `final`
** on, have none; NULL where that is not so. Valid until the next call. */
const struct lm_smtp_txn *lm_smtpc_finals(const struct lm_smtpc *s, uint32_t id);

/* Nobody listens for `id` any more: what has not begun is dropped, a late answer is swallowed. In
** the middle of a transaction the session fails, so that no half message can be delivered. */
void lm_smtpc_abandon(struct lm_smtpc *s, uint32_t id);

/* TLS is in place: everything that the server said before is forgotten (RFC 3207 §4.2). */
void lm_smtpc_secured(struct lm_smtpc *s);

#endif
