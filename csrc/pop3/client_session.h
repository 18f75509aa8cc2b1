/*
** client_session.h: what the files of the POP3 client share; no business of anybody else.
**
** client.c reads replies and moves through the states, client_body.c takes what follows a status
** line, client_send.c queues and sends commands and is the only one that writes to the wire.
*/
#ifndef LM_POP3_CLIENT_SESSION_H
#define LM_POP3_CLIENT_SESSION_H

#include "base/dot.h"
#include "pop3/client.h"

/* A command, from its call to its answer. */
struct lm_pop3_cmd {
  struct lm_pop3_cmd *next;
  uint64_t left_at; /* octets put on the wire up to its end: an answer may not come before */
  uint64_t heard;   /* octets received when it was put there: nor consist of any of these */
  uint32_t id;
  uint32_t steps;  /* challenges so far */
  uint32_t line_n; /* octets of its line in `text`, with CRLF */
  uint32_t open_n; /* octets of it that a trace may show */
  uint32_t
      rest_n; /* behind the line: an initial response kept for the first challenge, with CRLF */
  enum lm_pop3_verb verb;
  enum lm_pop3_body body;
  bool raw;     /* its line was given as it stands */
  bool bare;    /* the words of +OK are not kept */
  bool dropped; /* nobody listens */
  bool asked;   /* a challenge waits for its response */
  char text[];
};

/* Oldest first. */
struct lm_pop3_list {
  struct lm_pop3_cmd *first;
  struct lm_pop3_cmd *last;
};

struct lm_pop3c {
  struct lm_wire wire; /* first */
  struct lm_limits limits;
  enum lm_pop3c_state state;
  bool pipelining;             /* as CAPA said */
  bool utf8;                   /* UTF8 was granted: no STLS any more (RFC 6856 §2.1) */
  bool quitting;               /* QUIT was queued: nothing may follow */
  bool in_body;                /* the first of `sent` is being answered with lines */
  bool ended;                  /* ... and its last line was seen */
  struct lm_pop3_list waiting; /* not yet on the wire */
  struct lm_pop3_list sent;    /* on the wire, not yet answered */
  size_t queued;               /* octets that the commands of `waiting` hold */
  uint64_t put;                /* octets put on the wire so far */
  uint64_t taken;              /* octets of input used so far */
  uint32_t last_id;
  const char *refusal;     /* of the last command function */
  struct lm_buf timestamp; /* of the greeting */
  struct lm_buf words;     /* code and text of a status line that lines follow */
  size_t code_n;           /* octets of `words` that are the code */
  struct lm_buf challenge; /* decoded */
  struct lm_buf body;      /* what was collected of a body that is larger than the input buffer */
  struct lm_dotin dot;
  size_t mark;    /* octets of the input that the body has used */
  size_t kept;    /* octets at its front that they have become, without the dots */
  uint64_t total; /* octets of the body so far */
  size_t lines;   /* lines of a list so far */
  size_t line_n;  /* octets of its last line so far */
};

/* --- client_send.c --------------------------------------------------------------------------- */

/* Puts what may travel now on the wire. */
void lm_pop3_send_waiting(struct lm_pop3c *s);

/* Answers the challenge of `c` with a ready line, CRLF and all. */
void lm_pop3_send_response(struct lm_pop3c *s, struct lm_pop3_cmd *c, struct lm_str line,
                           enum lm_pop3_secrecy secrecy);

/* Writes the first `open_n` octets of a line down, and *** for the rest. */
void lm_pop3_trace_masked(struct lm_pop3c *s, char who, struct lm_str line, size_t open_n);

/* Whether lines that answer this verb may repeat a secret. */
bool lm_pop3_verb_is_secret(enum lm_pop3_verb verb);

struct lm_pop3_cmd *lm_pop3_pop(struct lm_pop3_list *list);
void lm_pop3_cmd_free(struct lm_pop3_cmd *c);

/* --- client_body.c --------------------------------------------------------------------------- */

/* The status line was +OK and lines follow. */
void lm_pop3_body_begin(struct lm_pop3c *s);

/* Goes on with them. LM_EVENT with kind DATA; with kind DONE, and nothing but `data` set, when the
** body is whole; with kind NOTHING to be called again. */
enum lm_status lm_pop3_body_next(struct lm_pop3c *s, struct lm_pop3c_event *ev);

/* Gives the memory of the last body back, unless it is small. */
void lm_pop3_body_release(struct lm_pop3c *s);

/* --- client.c -------------------------------------------------------------------------------- */

/* Octets received so far, used or not. */
static inline uint64_t lm_pop3_heard(const struct lm_pop3c *s) {
  return s->taken + lm_wire_input(&s->wire).n;
}

/* Uses `n` octets of input. */
static inline void lm_pop3_take(struct lm_pop3c *s, size_t n) {
  lm_wire_take(&s->wire, n);
  s->taken += n;
}

#endif
