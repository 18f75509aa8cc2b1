/*
** client.h: an IMAP client session (RFC 9051, RFC 3501): bytes in, events out, bytes out.
**
** The whole contract. Commands are built with begin, arguments, end, and queued; several are in
** flight where the standard allows it (RFC 9051 §5.5), and each gets its own answer. Events are
** pulled with lm_imapc_next. No I/O, no clock, no TLS, no policy: whether a password may be sent
** without TLS, when to re-arm IDLE, and what to ask for is the caller's business.
**
** The loop of a driver stands in base/wire.h; lm_imapc_wire gives the wire. Everything that an
** event points at is valid until the next call on this session.
*/
#ifndef LM_IMAP_CLIENT_H
#define LM_IMAP_CLIENT_H

#include "base/wire.h"
#include "imap/resp.h"

struct lm_imapc;

/* States of RFC 9051 §3, and the time before the greeting. */
enum lm_imapc_state {
  IMAPC_GREETING,
  IMAPC_NOT_AUTHENTICATED,
  IMAPC_AUTHENTICATED,
  IMAPC_SELECTED,
  IMAPC_LOGOUT /* after BYE or LOGOUT: no command is taken any more */
};

/* --- life --------------------------------------------------------------------------------------- */

/* A new session, before its greeting; NULL when memory is short. `limits` may be NULL: defaults.
** It is copied. */
struct lm_imapc *lm_imapc_new(const struct lm_limits *limits);

/* Frees it; NULL is fine. Secrets are wiped. */
void lm_imapc_free(struct lm_imapc *s);

/* The prefix of all tags: 1 to 7 letters; "A" unless set. Random letters make forged answers that
** come before their command harder. Only before the first command; false otherwise. */
bool lm_imapc_tag_prefix(struct lm_imapc *s, struct lm_str prefix);

struct lm_wire *lm_imapc_wire(struct lm_imapc *s);
enum lm_imapc_state lm_imapc_state(const struct lm_imapc *s);

/* --- events ------------------------------------------------------------------------------------- */

enum lm_imapc_kind {
  LM_IMAPC_GREETING, /* resp: status OK or PREAUTH. PREAUTH means authenticated at once: where TLS
                     ** was demanded the caller must close. A BYE in its place is LM_IMAPC_BYE. */
  LM_IMAPC_UNTAGGED, /* resp: data, or OK / NO / BAD; id of the command whose answer it is, of the
                     ** IDLE that is on, or 0 */
  LM_IMAPC_FETCH,    /* resp->fetch: a message; id as above. Sections that were streamed say so. */
  LM_IMAPC_BODY,     /* resp->fetch: what came before; section: whose octets follow as DATA */
  LM_IMAPC_DATA,     /* data, last: octets of that section, in place, never empty */
  LM_IMAPC_DONE,     /* resp: status OK, NO or BAD; code, code_value, text. The command is over. */
  LM_IMAPC_ASK,      /* AUTHENTICATE: data is a challenge, decoded; answer or cancel */
  LM_IMAPC_GO,       /* octets of the streamed literal may be sent: content, or content_end; comes
                     ** again whenever what was handed over has left */
  LM_IMAPC_IDLING,   /* IDLE was accepted (again) */
  LM_IMAPC_STARTTLS, /* OK to STARTTLS: nothing more is read until lm_imapc_secured */
  LM_IMAPC_COMPRESS, /* OK to COMPRESS: the same */
  LM_IMAPC_LIMIT, /* what came for the command is more than limits.answer: it is given up, the rest of
                     ** its answer is swallowed. Messages, EXPUNGE and VANISHED do not count. */
  LM_IMAPC_BYE    /* resp: the server ends the session; commands in flight may still be answered */
};

struct lm_imapc_event {
  enum lm_imapc_kind kind;
  uint32_t id; /* 0: nobody's */
  const struct lm_imap_resp *resp;
  const struct lm_imap_section *section;
  struct lm_str data;
  bool last;
};

/* The next event; sends what may be sent. LM_WAIT: feed more, or send what is pending. LM_FAIL: the
** session is dead, lm_wire_error says why. */
enum lm_status lm_imapc_next(struct lm_imapc *s, struct lm_imapc_event *ev);

/* --- commands ------------------------------------------------------------------------------------ */

enum lm_imapc_option {
  LM_IMAPC_STREAM = 1 << 0, /* body literals of its FETCH answers come as BODY and DATA */
  LM_IMAPC_SECRET = 1 << 1  /* arguments are secret: *** in the trace, wiped once sent */
};

/* Begins a command: "NOOP", "UID FETCH", ... in upper case. One at a time. What is wrong in any of
** the calls up to lm_imapc_end is kept for that: they need no checks. Verbs that the table in
** command.c does not know are sent alone and get all data that comes meanwhile. */
void lm_imapc_begin(struct lm_imapc *s, struct lm_str verb, unsigned options);

/* Arguments, each with a space before it where one belongs.
**   text      as it stands: atoms, ready-made lists; refused with CR, LF or NUL
**   number    decimal
**   set       a sequence-set, or "$"; refused where it is none
**   astring   an atom, quoted, or a literal, as its bytes demand
**   string    quoted or a literal
**   mailbox   a name in UTF-8, in the form that the server wants
**   date      a date-time from seconds since 1970, in UTC
**   open      "(" ; close ")"
** Text is copied. */
void lm_imapc_text(struct lm_imapc *s, struct lm_str text);
void lm_imapc_number(struct lm_imapc *s, uint64_t n);
void lm_imapc_set(struct lm_imapc *s, struct lm_str set);
void lm_imapc_astring(struct lm_imapc *s, struct lm_str text);
void lm_imapc_string(struct lm_imapc *s, struct lm_str text);
void lm_imapc_mailbox(struct lm_imapc *s, struct lm_str utf8);
void lm_imapc_date(struct lm_imapc *s, int64_t seconds);
void lm_imapc_open(struct lm_imapc *s);
void lm_imapc_close(struct lm_imapc *s);

enum lm_imapc_form { LM_IMAPC_LITERAL, LM_IMAPC_LITERAL8 };

/* A literal lent by the caller: not copied, it must stay valid until the command is done. NUL only
** in a literal8. */
void lm_imapc_literal(struct lm_imapc *s, struct lm_str bytes, enum lm_imapc_form form);

/* A literal of `size` octets that the caller hands over later, when LM_IMAPC_GO asks for it. */
void lm_imapc_stream(struct lm_imapc *s, uint64_t size, enum lm_imapc_form form);

/* Queues the command. Its id (> 0, rising), or 0: lm_imapc_refusal says why, and nothing is sent. */
uint32_t lm_imapc_end(struct lm_imapc *s);

/* The id that the next command will have. */
uint32_t lm_imapc_next_id(const struct lm_imapc *s);

/* Why the last call was refused; a literal. */
const char *lm_imapc_refusal(const struct lm_imapc *s);

/* Octets of the streamed literal, once for each LM_IMAPC_GO: lent, valid until lm_wire_output is empty. False: refused (not
** asked for, more than announced, or output still pending). */
bool lm_imapc_content(struct lm_imapc *s, uint32_t id, struct lm_str bytes);

/* All octets were handed over; false where some are missing. */
bool lm_imapc_content_end(struct lm_imapc *s, uint32_t id);

/* True where octets of the streamed literal may be handed over now, whether LM_IMAPC_GO was seen or
** not. */
bool lm_imapc_wants_content(const struct lm_imapc *s, uint32_t id);

/* Writes what may be written, as lm_imapc_next does first: for a driver that sleeps until the server
** speaks while somebody else adds a command. */
void lm_imapc_push(struct lm_imapc *s);

/* True where the last octet of the command has been sent and its answer has not come: what became of
** it nobody knows. Abandoned commands count. */
bool lm_imapc_is_sent(const struct lm_imapc *s, uint32_t id);

/* LOGIN. Refused where the server said LOGINDISABLED. */
uint32_t lm_imapc_login(struct lm_imapc *s, struct lm_str user, struct lm_str password);

/* AUTHENTICATE. `initial` with p NULL: none. It goes along with SASL-IR, else it answers the first,
** empty challenge by itself. */
uint32_t lm_imapc_authenticate(struct lm_imapc *s, struct lm_str mechanism, struct lm_str initial);

/* Message numbers may change at any time from now on (NOTIFY with SELECTED and MessageExpunge, RFC
** 5465 §5.3): commands that name messages by number are refused, as after ENABLE UIDONLY. */
void lm_imapc_unnumbered(struct lm_imapc *s, bool on);

/* Answers LM_IMAPC_ASK with octets (base64 is done here); always masked and wiped. */
bool lm_imapc_answer(struct lm_imapc *s, uint32_t id, struct lm_str bytes);

/* Answers with "*": the server will say BAD. */
bool lm_imapc_cancel(struct lm_imapc *s, uint32_t id);

/* Switches IDLE on: an id under which LM_IMAPC_IDLING and unsolicited data come, and one DONE at
** the end. A command queued meanwhile ends the IDLE, runs, and the IDLE is taken up again. 0:
** refused (already on, wrong state, or not offered). */
uint32_t lm_imapc_idle(struct lm_imapc *s);

/* DONE and IDLE again, against timeouts of servers and boxes between (RFC 2177: 29 minutes). */
void lm_imapc_idle_rearm(struct lm_imapc *s);

/* Switches IDLE off; its DONE event follows. */
void lm_imapc_idle_end(struct lm_imapc *s, uint32_t id);

/* Joins a command that is still queued with an earlier one of the same verb: they need not wait for
** one another, and the data of either comes under the id of the oldest that is in flight. Each has
** its own DONE. False: refused. */
bool lm_imapc_join(struct lm_imapc *s, uint32_t id, uint32_t with);

/* Nobody listens for this command any more: dropped if not begun, else its answer is swallowed. In
** the middle of a literal of it the session fails. */
void lm_imapc_abandon(struct lm_imapc *s, uint32_t id);

/* The layer that LM_IMAPC_STARTTLS or LM_IMAPC_COMPRESS announced is in. After STARTTLS all that
** the server said before is forgotten (RFC 9051 §6.2.1). */
void lm_imapc_secured(struct lm_imapc *s);

/* --- what the server said ------------------------------------------------------------------------ */

/* The capabilities, in upper case with spaces between; n is 0 where they are not known: before the
** first CAPABILITY, after STARTTLS, and after a login that did not renew them. */
struct lm_str lm_imapc_capabilities(const struct lm_imapc *s);

/* True where the capability is known to be there. */
bool lm_imapc_has(const struct lm_imapc *s, struct lm_str name);

/* Appends the tag of a command, by which later responses name it (RFC 5267 §4.3). */
bool lm_imapc_tag(struct lm_imapc *s, uint32_t id, struct lm_buf *out);

/* True where mailbox names and quoted strings travel as UTF-8: UTF8=ACCEPT or IMAP4rev2 is enabled,
** or the server speaks IMAP4rev2 alone. */
bool lm_imapc_utf8(const struct lm_imapc *s);

/* Octets that the response of the last event takes in memory, about: for who gathers messages. */
size_t lm_imapc_weight(const struct lm_imapc *s);

/* What of them one answer may take: limits.answer. */
size_t lm_imapc_answer_limit(const struct lm_imapc *s);

/* Commands in flight or queued, IDLE not counted. */
size_t lm_imapc_pending(const struct lm_imapc *s);

#endif
