/*
** client.h: a POP3 client session (RFC 1939, 2449, 2595, 1734, 5034, 6856) without I/O.
**
** The driver's loop is told in base/wire.h; lm_pop3c_next tells what has happened. Commands are
** queued in any number: how many travel at once is decided here, by what CAPA said of PIPELINING
** and by the commands that must travel alone (log-in, STLS, CAPA).
**
** A command function returns an id above zero, or 0 where it refused (wrong state, an argument
** that cannot be sent, memory): lm_pop3c_refusal says why, and nothing has happened. Every id is
** answered by one LM_POP3C_DONE (a granted STLS: by STARTTLS), with DATA or ASK events before it,
** unless it was abandoned or the session failed.
**
** Invariants: an answer belongs to the oldest command that has wholly left the wire, and no octet
** of it came in before that command was put there (pre-sent answers, response injection). A body that
** ends without its dot is a failure, never a body.
*/
#ifndef LM_POP3_CLIENT_H
#define LM_POP3_CLIENT_H

#include "base/wire.h"
#include "pop3/line.h"

struct lm_pop3c;

enum lm_pop3_verb {
  LM_POP3_CAPA,
  LM_POP3_STLS,
  LM_POP3_USER,
  LM_POP3_PASS,
  LM_POP3_APOP,
  LM_POP3_AUTH,
  LM_POP3_STAT,
  LM_POP3_LIST,
  LM_POP3_UIDL,
  LM_POP3_RETR,
  LM_POP3_TOP,
  LM_POP3_DELE,
  LM_POP3_RSET,
  LM_POP3_NOOP,
  LM_POP3_UTF8,
  LM_POP3_LANG,
  LM_POP3_QUIT,
  LM_POP3_RAW
};

enum lm_pop3c_state {
  POP3C_GREETING,      /* nothing is sent before the server has spoken */
  POP3C_AUTHORIZATION, /* RFC 1939 §4 */
  POP3C_TLS,           /* STLS was granted: no octet is parsed until the layer stands */
  POP3C_TRANSACTION,   /* RFC 1939 §5 */
  POP3C_CLOSED         /* QUIT was answered, or the greeting was a refusal */
};

/* What to do with the lines that follow a status line. */
enum lm_pop3_body {
  LM_POP3_NONE,   /* there are none */
  LM_POP3_WHOLE,  /* collect them; one view in the DONE event */
  LM_POP3_BARE,   /* the same, and the words of the status line are not kept: nobody reads them */
  LM_POP3_STREAM, /* hand them on as they come: DATA events */
  LM_POP3_LINES   /* collect a list: bounded by its lines rather than its octets */
};

enum lm_pop3c_kind {
  LM_POP3C_NOTHING,  /* never handed out */
  LM_POP3C_GREETING, /* text, timestamp */
  LM_POP3C_BYE,      /* a greeting that refuses: text, code. The session has ended */
  LM_POP3C_DONE,     /* id, verb, ok, text, code, body, data */
  LM_POP3C_DATA,     /* id, data: a run of text with the dots taken off */
  LM_POP3C_ASK,      /* id, data: a SASL challenge, decoded; garbled where it could not be */
  LM_POP3C_STARTTLS  /* id: put the TLS filter in, then call lm_pop3c_secured */
};

/* All views are valid until the next call on the session. */
struct lm_pop3c_event {
  enum lm_pop3c_kind kind;
  uint32_t id;             /* 0: nobody's */
  enum lm_pop3_verb verb;  /* of the command; LM_POP3_RAW for words unknown here */
  bool raw;                /* it was given to lm_pop3c_command */
  enum lm_pop3_body body;  /* what `data` of a DONE event is; NONE after a refusal */
  bool ok;                 /* +OK */
  bool garbled;            /* of ASK: the challenge was no base64 */
  struct lm_str text;      /* the server's words */
  struct lm_str code;      /* its response code, or empty */
  struct lm_str timestamp; /* of the greeting, if it is a valid one */
  struct lm_str data;
};

/* A session, or NULL (memory). The limits are copied; NULL means the defaults. */
struct lm_pop3c *lm_pop3c_new(const struct lm_limits *limits);
void lm_pop3c_free(struct lm_pop3c *s); /* NULL is fine */

/* The session begins with its wire. */
static inline struct lm_wire *lm_pop3c_wire(struct lm_pop3c *s) {
  return (struct lm_wire *)(void *)s;
}

/* What happens next; see the head of base/wire.h. */
enum lm_status lm_pop3c_next(struct lm_pop3c *s, struct lm_pop3c_event *ev);

enum lm_pop3c_state lm_pop3c_state(const struct lm_pop3c *s);

/* Why the last command function returned 0: static words. */
const char *lm_pop3c_refusal(const struct lm_pop3c *s);

/* The TLS layer stands: capabilities and the timestamp of the greeting are forgotten, as anybody
** may have written them (RFC 2595 §4). */
void lm_pop3c_secured(struct lm_pop3c *s);

/* Nobody listens to `id` any more: it is not sent if it has not been, else its answer is passed
** over without being built; an AUTH is cancelled. False where there is no such command. */
bool lm_pop3c_abandon(struct lm_pop3c *s, uint32_t id);

/* --- commands without arguments: CAPA STLS UTF8 STAT LIST UIDL RSET NOOP LANG QUIT ------------ */
uint32_t lm_pop3c_simple(struct lm_pop3c *s, enum lm_pop3_verb verb);

/* --- commands about one message: LIST UIDL DELE ----------------------------------------------- */
uint32_t lm_pop3c_about(struct lm_pop3c *s, enum lm_pop3_verb verb, uint32_t number);

/* RETR; `body` is LM_POP3_WHOLE, LM_POP3_BARE or LM_POP3_STREAM. Of a bare one the DONE event says that
** its body is whole, and has no words where it is +OK. */
uint32_t lm_pop3c_retr(struct lm_pop3c *s, uint32_t number, enum lm_pop3_body body);

/* TOP: the header and the first `lines` lines of the body; `body` as of lm_pop3c_retr. */
uint32_t lm_pop3c_top(struct lm_pop3c *s, uint32_t number, uint32_t lines, enum lm_pop3_body body);

/* LANG: the language of the server's words (RFC 6856 §3), a tag or "*". */
uint32_t lm_pop3c_lang(struct lm_pop3c *s, struct lm_str tag);

/* --- logging in ------------------------------------------------------------------------------- */

/* With PIPELINING, PASS may be queued right behind USER, and travels with it. */
uint32_t lm_pop3c_user(struct lm_pop3c *s, struct lm_str user);
uint32_t lm_pop3c_pass(struct lm_pop3c *s, struct lm_str password);

/* APOP: refused unless the greeting held a valid timestamp. */
uint32_t lm_pop3c_apop(struct lm_pop3c *s, struct lm_str user, struct lm_str secret);

/* AUTH; `initial.p` is NULL where there is no initial response. One that makes the line longer than
** 255 octets (RFC 5034 §4) is kept and given to the first challenge instead. */
uint32_t lm_pop3c_auth(struct lm_pop3c *s, struct lm_str mechanism, struct lm_str initial);

enum lm_pop3_secrecy { LM_POP3_OPEN, LM_POP3_SECRET };

/* Answers the ASK of command `id`; `response.p` NULL cancels the exchange. False where nothing was
** asked. */
bool lm_pop3c_answer(struct lm_pop3c *s, uint32_t id, struct lm_str response,
                     enum lm_pop3_secrecy secrecy);

/* --- anything else ---------------------------------------------------------------------------- */

/* A line as it stands, without its CRLF. Words that are known here behave as their own functions do
** (log-in is masked in the trace, QUIT ends); STLS and AUTH are refused, as they need answers.
** `body` says what follows +OK, where the word is unknown here. */
uint32_t lm_pop3c_command(struct lm_pop3c *s, struct lm_str line, enum lm_pop3_body body);

#endif
