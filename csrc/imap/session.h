/*
** session.h: the inside of the client session, shared by client.c, command.c, queue.c, answer.c and
** idle.c. Nobody else includes it.
**
** One list holds all commands, oldest first: those in flight, then (from `send` on) the one that is
** being written and those that wait. Invariant: a tag answers only a command before `send`, or one
** that waits for a "+" of the server.
*/
#ifndef LM_IMAP_SESSION_H
#define LM_IMAP_SESSION_H

#include "imap/client.h"
#include "imap/frame.h"
#include "imap/seqset.h"

/* --- commands ----------------------------------------------------------------------------------- */

enum lm_imapc_flag {
  CMD_ALONE = 1 << 0,  /* nothing else in flight beside it: it changes what commands mean */
  CMD_QUIET = 1 << 1,  /* the server may send no EXPUNGE while it runs (RFC 9051 §7.5.1) */
  CMD_BY_SEQ = 1 << 2, /* names messages by number: sent only while all in flight are quiet */
  CMD_ENTERS = 1 << 3  /* changes the state: what is legal behind it is not known yet */
};

enum lm_imapc_effect {
  EFFECT_NONE,
  EFFECT_LOGIN,
  EFFECT_AUTHENTICATE,
  EFFECT_SELECT,
  EFFECT_CLOSE,
  EFFECT_LOGOUT,
  EFFECT_NOTIFY,
  EFFECT_STARTTLS,
  EFFECT_COMPRESS,
  EFFECT_UNAUTHENTICATE
};

struct lm_imapc_verb {
  struct lm_str name;
  unsigned states;   /* bits 1 << enum lm_imapc_state */
  unsigned flags;    /* enum lm_imapc_flag */
  unsigned collects; /* enum lm_imap_group, and GROUP_EARLIER */
  enum lm_imapc_effect effect;
};

enum {
  GROUP_EARLIER = 1 << 15, /* VANISHED (EARLIER): an answer, where VANISHED is news */
  /* "* NO [MESSAGELIMIT ...]" is about any of these (RFC 9738 §3.1) */
  GROUP_LIMITED = LM_IMAP_G_FETCH | LM_IMAP_G_SEARCH | LM_IMAP_G_EXPUNGE
};

/* A place in a command where writing stops. */
enum lm_imapc_stop_kind {
  STOP_WAIT,   /* for "+" */
  STOP_LENT,   /* the caller's octets go here */
  STOP_CONTENT /* the caller hands `size` octets over */
};

struct lm_imapc_stop {
  enum lm_imapc_stop_kind kind;
  size_t at; /* offset in the text */
  struct lm_str lent;
  uint64_t size;
  bool text; /* no NUL in it */
};

enum lm_imapc_phase {
  PHASE_QUEUED,
  PHASE_WRITING,
  PHASE_WAIT,    /* for "+", in the middle of the command */
  PHASE_CONTENT, /* the caller is handing octets over */
  PHASE_SENT
};

struct lm_imapc_cmd {
  struct lm_imapc_cmd *next;
  const struct lm_imapc_verb *verb;
  struct lm_buf text; /* the command line, copied literals in it, CRLF at its end */
  struct lm_imapc_stop *stops;
  uint32_t stop_n, stop_i; /* how many; how many are behind us */
  struct lm_buf initial;   /* AUTHENTICATE: base64 that answers the first challenge */
  struct lm_buf early;     /* a refusal that came while its octets were still being sent */
  uint64_t content;        /* PHASE_CONTENT: octets still to come */
  struct lm_seqset set;    /* FETCH and STORE: the messages, in order; empty: any of them */
  uint32_t mailbox;        /* STATUS: see lm_imapc_mailbox_mark */
  uint64_t sent_at;        /* PHASE_SENT: where in the stream it ends */
  size_t held;             /* what its answer weighs so far: see LM_IMAPC_LIMIT */
  uint32_t id;
  uint32_t group; /* the first command of those whose answers are one, or 0 */
  uint32_t steps; /* challenges so far */
  enum lm_imapc_phase phase;
  unsigned options; /* enum lm_imapc_option */
  bool returns;     /* SEARCH with RETURN: its answer, ESEARCH, names its tag */
  bool numbers;     /* names messages by their numbers */
  bool moved;       /* messages went away before it was sent: its numbers mean others now */
  bool has_initial;
  bool content_text; /* no NUL in those octets */
  bool asked;        /* a challenge waits for its answer */
  bool abandoned;    /* its answer is swallowed */
};

/* --- the session --------------------------------------------------------------------------------- */

enum lm_imapc_idling { IDLE_OFF, IDLE_STARTING, IDLE_ON, IDLE_ENDING };

enum lm_imapc_known { /* what the capabilities say about how we write */
                      KNOWS_IDLE = 1 << 0,
                      KNOWS_PLUS = 1 << 1,
                      KNOWS_MINUS = 1 << 2,
                      KNOWS_SASL_IR = 1 << 3,
                      KNOWS_NO_LOGIN = 1 << 4
};

struct lm_imapc {
  struct lm_wire wire; /* first: see base/wire.h */
  struct lm_limits limits;
  struct lm_arena arena; /* of the event given out, and of a FETCH that is handed out in pieces */
  struct lm_imap_frame frame;
  struct lm_imapc_cmd *first, *last; /* all commands, oldest first */
  struct lm_imapc_cmd *send;         /* the first that is not wholly written */
  struct lm_imapc_cmd *building;     /* between begin and end */
  const char *refusal;
  struct lm_str line; /* the response being acted on, as it came */
  char *caps;         /* owned; upper case, spaces between */
  uint32_t caps_n;
  uint32_t ids;   /* the last one given */
  uint32_t count; /* untagged responses since the last command ended */
  size_t weight;  /* of the last response */
  size_t queued;  /* octets of commands not yet written */
  /* the FETCH that is handed out in pieces */
  struct lm_imap_resp *pieces; /* NULL: none */
  uint64_t body_left;
  uint32_t body_id;
  bool body_told;  /* its BODY event is out */
  bool body_quiet; /* nobody listens: octets are dropped */
  /* IDLE */
  bool idle_wanted, idle_rearm, idle_over; /* over: DONE is owed */
  enum lm_imapc_idling idle;
  uint32_t idle_id;  /* the caller's */
  uint32_t idle_tag; /* of the IDLE command in flight */
  /* */
  enum lm_imapc_state state;
  unsigned known;    /* enum lm_imapc_known */
  uint32_t told_go;  /* the command whose GO event is out */
  uint32_t early_id; /* the command whose refusal waits in `early`, or 0 */
  char prefix[8];    /* of tags; NUL at its end */
  bool prefix_fixed; /* a tag was used */
  bool caps_renewed; /* since the login was sent */
  bool utf8;         /* UTF8=ACCEPT or IMAP4rev2 is enabled */
  bool uidonly;      /* UIDONLY is enabled */
  bool unnumbered;   /* the caller says: numbers may change at any time (NOTIFY) */
  bool notify;       /* NOTIFY was accepted: STATUS comes unasked */
  bool hold;         /* a layer change: read nothing, write nothing */
  bool over;         /* LOGOUT was answered */
};

static inline struct lm_str lm_imapc_str(const char *p, size_t n) {
  return (struct lm_str){p, n};
}

/* client.c */
void lm_imapc_enter(struct lm_imapc *s, enum lm_imapc_state state);
enum lm_status lm_imapc_fail(struct lm_imapc *s, enum lm_code code, const char *expected);
enum lm_status lm_imapc_fail_seen(struct lm_imapc *s, const char *expected, struct lm_str seen);

/* command.c */
void lm_imapc_cmd_free(struct lm_imapc_cmd *cmd);
uint32_t lm_imapc_refuse(struct lm_imapc *s, const char *why);
void lm_imapc_numbers_moved(struct lm_imapc *s);
bool lm_imapc_put_tag(struct lm_imapc *s, struct lm_buf *b, uint32_t id);
struct lm_imapc_cmd *lm_imapc_find(const struct lm_imapc *s, uint32_t id);
void lm_imapc_set_caps(struct lm_imapc *s, const struct lm_imap_value *set);
void lm_imapc_forget_caps(struct lm_imapc *s);

/* queue.c: writes what may be written; a GO event to *ev unless that is NULL. LM_WAIT: nothing to
** tell. */
enum lm_status lm_imapc_write(struct lm_imapc *s, struct lm_imapc_event *ev);
void lm_imapc_remove(struct lm_imapc *s, struct lm_imapc_cmd *cmd);
bool lm_imapc_emit(struct lm_imapc *s, struct lm_str text, bool secret);
static inline bool lm_imapc_in_flight(const struct lm_imapc *s) {
  return s->first != s->send;
}

/* answer.c: acts on one response; LM_EVENT: *ev is set. LM_WAIT: nothing to tell. */
enum lm_status lm_imapc_settle(struct lm_imapc *s, struct lm_imap_resp *resp,
                               struct lm_imapc_event *ev);
enum lm_status lm_imapc_about_fetch(struct lm_imapc *s, struct lm_imap_resp *resp, uint32_t id,
                                    struct lm_imapc_event *ev);

enum lm_status lm_imapc_answer_early(struct lm_imapc *s, struct lm_imapc_event *ev);

/* beside.c */
bool lm_imapc_has_company(const struct lm_imapc_cmd *cmd);
bool lm_imapc_keep_set(struct lm_imapc_cmd *cmd, struct lm_str text);
uint32_t lm_imapc_mailbox_mark(struct lm_str utf8);
bool lm_imapc_alike(const struct lm_imapc_cmd *a, const struct lm_imapc_cmd *b);
struct lm_imapc_cmd *lm_imapc_collector(const struct lm_imapc *s, unsigned group);
struct lm_imapc_cmd *lm_imapc_leader(const struct lm_imapc *s, struct lm_imapc_cmd *cmd);
struct lm_imapc_cmd *lm_imapc_owner(const struct lm_imapc *s, const struct lm_imap_resp *resp,
                                    unsigned group);

/* idle.c */
bool lm_imapc_idle_write(struct lm_imapc *s);
enum lm_status lm_imapc_idle_continue(struct lm_imapc *s, struct lm_imapc_event *ev);
enum lm_status lm_imapc_idle_answer(struct lm_imapc *s, struct lm_imap_resp *resp,
                                    struct lm_imapc_event *ev);
enum lm_status lm_imapc_idle_owed(struct lm_imapc *s, struct lm_imapc_event *ev);

#endif
