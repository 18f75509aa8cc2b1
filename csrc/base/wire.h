/*
** wire.h: the byte side of a session or a filter: what came in, what goes out, how it ended.
**
** Embedded first in every session, so that a driver needs no other type. The loop every driver
** runs, whatever its event library:
**
**   1. lm_wire_output(w) -> view; write what you can; lm_wire_sent(w, n)
**   2. lm_x_next(session, &event): LM_EVENT -> use it, go to 1 . LM_WAIT -> go to 3 .
**      LM_FAIL -> dead, lm_wire_error(w) says why
**   3. p = lm_wire_room(w, &got); read into p; lm_wire_fed(w, n), or lm_wire_eof(w)
**
** While output is pending wait for readable OR writable: two peers that only write deadlock.
** Everything that an event points at stays valid until the next call on this session.
** The first failure sticks: afterwards nothing is read or written.
*/
#ifndef LM_BASE_WIRE_H
#define LM_BASE_WIRE_H

#include "base/buf.h"

struct lm_wire {
  struct lm_buf in;
  struct lm_buf out;
  struct lm_str lent;    /* borrowed output behind `out`: a caller's message, not copied */
  size_t scanned;        /* bytes of `in` already searched for a line end */
  uint64_t queued;       /* octets of output ever put or lent: a command's place in the stream */
  uint64_t gone;         /* octets of it that the driver took */
  uint32_t grain;        /* how much room the next read is offered */
  bool eof;              /* the peer will send no more */
  bool truncated;        /* ... and a layer below says that it was cut off */
  bool listen_first;     /* nothing may be on its way here: the driver looks before it sends */
  bool secret;           /* `out` holds a secret: wiped once sent */
  bool lf_line;          /* the last line ended in a bare LF */
  struct lm_buf *trace;  /* where the lines are written down, or NULL; owned */
  struct lm_error error; /* sticky */
};

void lm_wire_init(struct lm_wire *w);
void lm_wire_free(struct lm_wire *w);

/* --- the driver's side ----------------------------------------------------------------------- */

/* What waits to be sent, valid until the next call; empty when there is nothing. */
struct lm_str lm_wire_output(const struct lm_wire *w);

/* `n` bytes of it were sent. A buffer that held a secret is wiped when it is empty. */
void lm_wire_sent(struct lm_wire *w, size_t n);

/* Room for input; its size to *got_out. NULL when memory is short (the wire has failed). The room
** grows while reads fill it, to 256 KiB. */
char *lm_wire_room(struct lm_wire *w, size_t *got_out);

enum { LM_WIRE_LITTLE = 4096 };

/* True where reads have been short: then a driver had better read LM_WIRE_LITTLE bytes elsewhere and
** lm_wire_feed them, since an idle session should hold no buffer. */
static inline bool lm_wire_expects_little(const struct lm_wire *w) {
  return w->grain == LM_WIRE_LITTLE;
}

/* `n` bytes were read into the room. */
void lm_wire_fed(struct lm_wire *w, size_t n);

/* Copies bytes in, for drivers that cannot read in place. False when the wire has failed. */
bool lm_wire_feed(struct lm_wire *w, struct lm_str s);

/* The peer will send no more. */
void lm_wire_eof(struct lm_wire *w);

static inline const struct lm_error *lm_wire_error(const struct lm_wire *w) {
  return &w->error;
}

static inline bool lm_wire_failed(const struct lm_wire *w) {
  return w->error.code != LM_E_NONE;
}

/* Gives back buffers that are empty: an idle session holds none. */
void lm_wire_relax(struct lm_wire *w);

/* --- the session's side ---------------------------------------------------------------------- */

/* Input not yet taken, valid until the next room. */
static inline struct lm_str lm_wire_input(const struct lm_wire *w) {
  return lm_buf_str(&w->in);
}

/* The first `n` bytes of input are used up. */
void lm_wire_take(struct lm_wire *w, size_t n);

/* The next line, without its CRLF (a bare LF ends one too: lf_line says so), taken from the input.
** LM_WAIT: not whole yet. LM_FAIL: longer than `max`, or end of stream. Each byte is searched
** once. */
enum lm_status lm_wire_line(struct lm_wire *w, size_t max, struct lm_str *line_out);

/* Appends output; false (and the wire has failed) when memory is short. */
bool lm_wire_put(struct lm_wire *w, struct lm_str s);

/* Lends output without copying: it goes out behind what was put before, and must stay valid until
** lm_wire_output is empty. Nothing may be put meanwhile. */
void lm_wire_lend(struct lm_wire *w, struct lm_str s);

/* Records the first failure; always returns LM_FAIL, so that callers can return it. `seen` may be
** empty; at most LM_SEEN_MAX bytes of it are kept. */
enum lm_status lm_wire_fail(struct lm_wire *w, enum lm_code code, const char *expected,
                            struct lm_str seen);

/* LM_WAIT, or LM_FAIL where the stream has ended and more is needed. */
enum lm_status lm_wire_more(struct lm_wire *w);

/* --- the trace ------------------------------------------------------------------------------- */

/* Switches the writing down of lines on; false when memory is short. */
bool lm_wire_trace_on(struct lm_wire *w);

/* Writes one line down: 'C' or 'S', the text, LF. Callers pass "***" in place of a secret. */
void lm_wire_trace(struct lm_wire *w, char who, struct lm_str text);

#endif
