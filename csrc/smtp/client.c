/*
** client.c: the client side of an SMTP session: what is queued, what is outstanding, which reply
** belongs to what.
**
** A job is a command, or a transaction, that waits for its turn; a slot is a line that was put into
** the output and has no reply yet. Jobs become slots in `advance`, slots become events in `settle`.
** Invariant: replies arrive in the order of the slots, and none before its line has left.
*/
#include "smtp/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "base/text.h"

enum slot_kind {
  S_GREETING,
  S_EHLO,
  S_LINE,
  S_STARTTLS,
  S_AUTH,
  S_TXN,
  S_DOT,
  S_BDAT,
  S_RSET,
  S_QUIT
};

/* Lines that must be the last of their group: what follows waits for their reply (RFC 2920 §3.1).
** DATA is one too; it is known by its place in the transaction. */
static bool is_last_of_group(enum slot_kind kind) {
  return kind != S_TXN && kind != S_DOT && kind != S_RSET;
}

struct slot {
  uint8_t kind; /* enum slot_kind */
  bool muted;   /* abandoned: the reply is swallowed */
  bool last;    /* nothing may follow before its reply */
  uint32_t id;
  uint32_t line; /* S_TXN: which line of the transaction; S_BDAT: 1 for the last chunk */
  uint64_t end;  /* the reply may come once the output has left up to here */
  struct lm_smtp_txn *txn;
};

struct job {
  struct job *next;
  enum slot_kind kind;
  uint32_t id;
  struct lm_smtp_txn *txn; /* S_TXN */
  struct lm_buf line;      /* any other; of S_AUTH it is a secret */
};

struct lm_smtpc {
  struct lm_wire wire; /* first: a driver needs no other type */
  struct lm_limits limits;
  struct lm_smtp_reader reader;
  struct lm_smtp_ehlo ehlo;
  struct lm_buf slots; /* array of struct slot, oldest first */
  struct job *jobs, **jobs_tail;
  size_t queued;               /* bytes of lines in jobs */
  struct lm_smtp_txn *txns;    /* all that are queued or under way; owned here */
  struct lm_smtp_txn *content; /* the one whose content is being sent */
  struct lm_smtp_txn *halted;  /* the one whose chunks were stopped halfway; replies are due */
  struct lm_buf chunk;         /* a chunk under construction */
  uint32_t go_id;              /* whom GO was told */
  struct lm_smtp_txn *ended;   /* the one in the last event; owned, reused at the next call */
  struct lm_smtp_txn *spare;   /* one that is being filled in, or waits to be used again */
  struct lm_buf challenge;
  const char *refusal;
  uint32_t last_id;
  uint32_t asking; /* AUTH that waits for an answer */
  uint32_t sasl_steps;
  uint64_t told; /* how far the output was when the caller last heard of it */
  bool cut;      /* STARTTLS was granted and TLS is not in place */
  bool may_give; /* GO was told */
  bool lmtp;
  bool quit; /* QUIT was answered: what comes now is noise, and no end of stream a failure */
};

/* --- making and ending ------------------------------------------------------------------------ */

static bool push_slot(struct lm_smtpc *s, const struct slot *slot) {
  if (lm_buf_put(&s->slots, (const char *)slot, sizeof *slot)) return true;
  lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a command", LM_NOSTR);
  return false;
}

static size_t count_slots(const struct lm_smtpc *s) {
  return lm_buf_len(&s->slots) / sizeof(struct slot);
}

static struct slot *slot_at(const struct lm_smtpc *s, size_t i) {
  return (struct slot *)(void *)(s->slots.p + s->slots.start) + i;
}

struct lm_smtpc *lm_smtpc_new(const struct lm_limits *limits) {
  struct lm_smtpc *s = calloc(1, sizeof *s);
  struct slot greeting = {S_GREETING, false, true, 0, 0, 0, NULL};
  if (s == NULL) return NULL;
  lm_wire_init(&s->wire);
  s->limits = *limits;
  s->jobs_tail = &s->jobs;
  if (!push_slot(s, &greeting)) {
    lm_smtpc_free(s);
    return NULL;
  }
  return s;
}

static void free_job(struct lm_smtpc *s, struct job *j) {
  s->queued -= lm_buf_len(&j->line);
  lm_buf_wipe(&j->line);
  free(j);
}

void lm_smtpc_free(struct lm_smtpc *s) {
  if (s == NULL) return;
  while (s->jobs) {
    struct job *j = s->jobs;
    s->jobs = j->next;
    free_job(s, j);
  }
  while (s->txns) {
    struct lm_smtp_txn *t = s->txns;
    s->txns = t->next;
    lm_smtp_txn_free(t);
  }
  lm_smtp_txn_free(s->ended);
  lm_smtp_txn_free(s->spare);
  lm_smtp_reader_free(&s->reader);
  lm_smtp_ehlo_free(&s->ehlo);
  lm_buf_free(&s->slots);
  lm_buf_free(&s->chunk);
  lm_buf_wipe(&s->challenge);
  lm_wire_free(&s->wire);
  free(s);
}

struct lm_wire *lm_smtpc_wire(struct lm_smtpc *s) {
  return &s->wire;
}

const struct lm_smtp_ehlo *lm_smtpc_ehlo(const struct lm_smtpc *s) {
  return &s->ehlo;
}

const char *lm_smtpc_refusal(const struct lm_smtpc *s) {
  return s->refusal;
}

void lm_smtpc_speak_lmtp(struct lm_smtpc *s) {
  s->lmtp = true;
}

void lm_smtpc_secured(struct lm_smtpc *s) {
  s->cut = false;
  lm_smtp_ehlo_clear(&s->ehlo);
}

static void advance(struct lm_smtpc *s);

/* --- queueing --------------------------------------------------------------------------------- */

static uint32_t refuse(struct lm_smtpc *s, const char *why) {
  s->refusal = why;
  return 0;
}

/* Queues a job, which goes out at once where it may: the reader of this session may be asleep. */
static uint32_t enqueue(struct lm_smtpc *s, struct job *j) {
  uint32_t id = ++s->last_id;
  j->id = id;
  if (j->txn) j->txn->id = id;
  *s->jobs_tail = j;
  s->jobs_tail = &j->next;
  s->queued += lm_buf_len(&j->line);
  advance(s);
  return id;
}

/* The only writer of command lines other than those of transactions: "verb argument". */
static uint32_t enqueue_line(struct lm_smtpc *s, enum slot_kind kind, struct lm_str verb,
                             struct lm_str argument) {
  struct job *j;
  if (lm_wire_failed(&s->wire)) return refuse(s, "the session has failed");
  if (s->quit) return refuse(s, "the session was ended by QUIT");
  if (lm_str_breaks_line(argument)) return refuse(s, "CR, LF or NUL in a command");
  if (verb.n + argument.n + 3 > (kind == S_AUTH ? s->limits.challenge : s->limits.line))
    return refuse(s, "command line too long");
  if (s->queued > s->limits.queue) return refuse(s, "limit passed: queue");
  if ((j = calloc(1, sizeof *j)) == NULL) return refuse(s, "out of memory");
  j->kind = kind;
  if (!lm_buf_puts(&j->line, verb) || !lm_buf_puts(&j->line, argument) ||
      !lm_buf_put(&j->line, "\r\n", 2)) {
    free_job(s, j);
    return refuse(s, "out of memory");
  }
  return enqueue(s, j);
}

uint32_t lm_smtpc_command(struct lm_smtpc *s, enum lm_smtp_verb verb, struct lm_str line) {
  switch (verb) {
  case LM_SMTP_EHLO:
    return enqueue_line(s, S_EHLO, s->lmtp ? LM_STR("LHLO ") : LM_STR("EHLO "), line);
  case LM_SMTP_HELO: return enqueue_line(s, S_LINE, LM_STR("HELO "), line);
  case LM_SMTP_RSET: return enqueue_line(s, S_RSET, LM_STR("RSET"), LM_NOSTR);
  case LM_SMTP_START_TLS: return enqueue_line(s, S_STARTTLS, LM_STR("STARTTLS"), LM_NOSTR);
  default: return enqueue_line(s, S_LINE, LM_NOSTR, line);
  }
}

uint32_t lm_smtpc_quit(struct lm_smtpc *s) {
  return enqueue_line(s, S_QUIT, LM_STR("QUIT"), LM_NOSTR);
}

uint32_t lm_smtpc_auth(struct lm_smtpc *s, struct lm_str mechanism, const struct lm_str *initial) {
  struct lm_buf line = {NULL, 0, 0, 0};
  uint32_t id;
  bool ok = lm_buf_puts(&line, mechanism);
  if (ok && initial) {
    ok = lm_buf_putc(&line, ' ') &&
         (initial->n ? lm_base64_encode(&line, *initial) : lm_buf_putc(&line, '='));
  }
  id =
      ok ? enqueue_line(s, S_AUTH, LM_STR("AUTH "), lm_buf_str(&line)) : refuse(s, "out of memory");
  lm_buf_wipe(&line);
  return id;
}

/* Answers the challenge that was asked for; `muted` where nobody wants to hear what comes of it. */
static bool answer(struct lm_smtpc *s, const struct lm_str *response, bool muted) {
  struct slot slot = {S_AUTH, muted, true, s->asking, 0, 0, NULL};
  struct lm_buf line = {NULL, 0, 0, 0};
  bool ok = (response ? lm_base64_encode(&line, *response) : lm_buf_putc(&line, '*')) &&
            lm_buf_put(&line, "\r\n", 2) && lm_wire_put(&s->wire, lm_buf_str(&line));
  lm_buf_wipe(&line);
  s->asking = 0;
  if (!ok) {
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for an answer", LM_NOSTR);
    return false;
  }
  s->wire.secret = true;
  slot.end = s->wire.queued;
  lm_wire_trace(&s->wire, 'C', response ? LM_STR("***") : LM_STR("*"));
  return push_slot(s, &slot);
}

bool lm_smtpc_answer(struct lm_smtpc *s, uint32_t id, const struct lm_str *response) {
  return s->asking != 0 && s->asking == id && answer(s, response, false);
}

struct lm_smtp_txn *lm_smtpc_txn(struct lm_smtpc *s) {
  if (s->spare == NULL) return s->spare = lm_smtp_txn_new();
  lm_smtp_txn_reset(s->spare);
  return s->spare;
}

uint32_t lm_smtpc_send(struct lm_smtpc *s, struct lm_smtp_txn *t) {
  const char *why = NULL;
  struct job *j = NULL;
  if (lm_wire_failed(&s->wire)) why = "the session has failed";
  if (s->quit) why = "the session was ended by QUIT";
  if (s->queued > s->limits.queue) why = "limit passed: queue";
  if (why == NULL && (j = calloc(1, sizeof *j)) == NULL) why = "out of memory";
  if (why) return refuse(s, why);
  if (s->spare == t) s->spare = NULL;
  j->kind = S_TXN;
  j->txn = t;
  t->next = s->txns;
  s->txns = t;
  return enqueue(s, j);
}

/* --- jobs become slots ------------------------------------------------------------------------ */

static void trace_lines(struct lm_smtpc *s, struct lm_str lines) {
  while (s->wire.trace && lines.n) {
    const char *lf = memchr(lines.p, '\n', lines.n);
    size_t n = (size_t)(lf - lines.p) + 1;
    lm_wire_trace(&s->wire, 'C', (struct lm_str){lines.p, n - 2});
    lines = (struct lm_str){lines.p + n, lines.n - n};
  }
}

/* True where something came that is not read yet. With nothing outstanding nobody asked for it, and
** no command may leave that it could be taken for an answer to. */
static bool spoke_early(const struct lm_smtpc *s) {
  return lm_wire_input(&s->wire).n != 0 || s->reader.code != 0;
}

/* True where another line may be put into the output now. */
static bool may_advance(const struct lm_smtpc *s) {
  size_t n = count_slots(s);
  if (s->cut || s->content || s->halted || s->asking || s->quit) return false;
  if (lm_wire_failed(&s->wire)) return false;
  if (n == 0) return !spoke_early(s);
  return (s->ehlo.has & LM_SMTP_PIPELINING) && !slot_at(s, n - 1)->last;
}

/* Puts lines `from` to `to` of a transaction out. */
static bool put_txn_lines(struct lm_smtpc *s, struct lm_smtp_txn *t, uint32_t from, uint32_t to) {
  bool all = from == 0 && to == lm_smtp_txn_last(t);
  uint64_t end = s->wire.queued;
  uint32_t i;
  if (all && !lm_wire_put(&s->wire, lm_smtp_txn_lines(t))) return false;
  for (i = from; i <= to; i++) {
    struct slot slot = {S_TXN, false, i == t->nrcpt + 1, t->id, i, 0, t}; /* DATA is the last */
    struct lm_str line = lm_smtp_txn_line(t, i);
    if (!all && !lm_wire_put(&s->wire, line)) return false;
    slot.end = end += line.n;
    trace_lines(s, line);
    if (!push_slot(s, &slot)) return false;
  }
  t->emitted = to + 1;
  return true;
}

static void begin_chunks(struct lm_smtpc *s, struct lm_smtp_txn *t);

/* Puts the next line, or with pipelining all lines, of a transaction out. True where the transaction
** needs its place in the queue no longer. */
static bool advance_txn(struct lm_smtpc *s, struct lm_smtp_txn *t) {
  uint32_t last = lm_smtp_txn_last(t);
  bool together = (s->ehlo.has & LM_SMTP_PIPELINING) != 0;
  if (!put_txn_lines(s, t, t->emitted, together ? last : t->emitted)) return false;
  if (t->chunked && together) begin_chunks(s, t);
  return t->emitted > last;
}

static bool advance_line(struct lm_smtpc *s, struct job *j) {
  struct slot slot = {(uint8_t)j->kind, false, is_last_of_group(j->kind), j->id, 0, 0, NULL};
  if (j->kind == S_EHLO) lm_smtp_ehlo_clear(&s->ehlo);
  if (j->kind == S_AUTH) {
    s->sasl_steps = 0;
    lm_wire_trace(&s->wire, 'C', LM_STR("AUTH ***"));
  } else {
    trace_lines(s, lm_buf_str(&j->line));
  }
  if (!lm_wire_put(&s->wire, lm_buf_str(&j->line))) return false;
  if (j->kind == S_AUTH) s->wire.secret = true;
  slot.end = s->wire.queued;
  return push_slot(s, &slot);
}

static void unlink_job(struct lm_smtpc *s, struct job **at) {
  struct job *j = *at;
  *at = j->next;
  if (j->next == NULL) s->jobs_tail = at;
  free_job(s, j);
}

static void advance(struct lm_smtpc *s) {
  s->wire.listen_first = !(s->ehlo.has & LM_SMTP_PIPELINING); /* replies sent ahead of time */
  while (s->jobs && may_advance(s)) {
    struct job *j = s->jobs;
    bool over = j->txn ? advance_txn(s, j->txn) : advance_line(s, j);
    if (over) unlink_job(s, &s->jobs);
  }
}

/* --- content ---------------------------------------------------------------------------------- */

enum {
  PIECE = 65536,      /* how much content is copied at a time */
  LENT_MAX = 1048576, /* how much is lent at a time: fewer and larger sends cost less */
  LEND_MIN = 16384,   /* shorter runs are copied, so that they leave together with what follows */
  LOW_WATER = 16384,  /* below this much output the caller is asked for more */
  MOVED = 262144      /* how often the caller hears that a lent message moves on */
};

static bool end_content(struct lm_smtpc *s) {
  struct lm_smtp_txn *t = s->content;
  struct slot slot = {S_DOT, false, false, t->id, 0, 0, t};
  size_t before = lm_buf_len(&s->wire.out);
  if (!lm_dotout_end(&t->dot, &s->wire.out)) {
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for output", LM_NOSTR);
    return false;
  }
  s->wire.queued += lm_buf_len(&s->wire.out) - before;
  slot.end = t->dot_at = s->wire.queued;
  t->dotted = true;
  s->content = NULL;
  return push_slot(s, &slot);
}

static bool put_content(struct lm_smtpc *s, struct lm_str piece) {
  size_t before = lm_buf_len(&s->wire.out);
  bool ok = lm_dotout_put(&s->content->dot, &s->wire.out, piece);
  s->wire.queued += lm_buf_len(&s->wire.out) - before;
  if (!ok) lm_wire_fail(&s->wire, LM_E_MEMORY, "room for output", LM_NOSTR);
  return ok;
}

/* Prepares more of a lent message. Long clean runs are lent on to the transport; the end of the
** message is copied, so that the dot and the next envelope leave in the same segment. */
static void send_text(struct lm_smtpc *s) {
  struct lm_smtp_txn *t = s->content;
  while (t->text.n && lm_wire_output(&s->wire).n < PIECE && s->wire.lent.n == 0) {
    size_t n = t->text.n < LENT_MAX ? t->text.n : LENT_MAX, clean = 0;
    if (t->text.n > LEND_MIN * 2) clean = lm_dotout_clean(&t->dot, (struct lm_str){t->text.p, n});
    if (n > PIECE) n = PIECE;
    if (clean > t->text.n - LEND_MIN) clean = t->text.n - LEND_MIN;
    if (clean && t->text.p[clean - 1] == '\r') clean--;
    if (clean >= LEND_MIN) {
      n = clean;
      lm_wire_lend(&s->wire, (struct lm_str){t->text.p, n});
      lm_dotout_sent(&t->dot, t->text, n);
    } else if (!put_content(s, (struct lm_str){t->text.p, n})) {
      return;
    }
    t->text = (struct lm_str){t->text.p + n, t->text.n - n};
  }
  if (t->text.n == 0 && s->wire.lent.n == 0) end_content(s);
}

/* --- content in chunks (RFC 3030) --------------------------------------------------------------- */

static void begin_chunks(struct lm_smtpc *s, struct lm_smtp_txn *t) {
  s->content = t;
  s->told = s->wire.gone;
  s->may_give = false;
  t->stage = LM_SMTP_AT_CONTENT;
  t->dot.plain = true;
}

/* bdat-cmd = "BDAT" SP chunk-size [ SP "LAST" ] CR LF; the octets are put behind it by the caller,
** who then pushes the slot. */
static bool put_bdat(struct lm_smtpc *s, size_t n, bool last) {
  struct lm_buf line = {NULL, 0, 0, 0};
  bool ok = lm_buf_puts(&line, LM_STR("BDAT ")) && lm_buf_put_u64(&line, n) &&
            (!last || lm_buf_puts(&line, LM_STR(" LAST"))) && lm_buf_put(&line, "\r\n", 2) &&
            lm_wire_put(&s->wire, lm_buf_str(&line));
  if (ok) trace_lines(s, lm_buf_str(&line));
  lm_buf_free(&line);
  return ok;
}

/* The octets of a chunk are in the output: its reply is due. What follows the last one waits for it,
** for it may have to be RSET. */
static bool push_bdat(struct lm_smtpc *s, bool last) {
  struct lm_smtp_txn *t = s->content;
  struct slot slot = {S_BDAT, false, last, t->id, last, s->wire.queued, t};
  t->chunks++;
  if (last) {
    t->dotted = true;
    t->dot_at = s->wire.queued;
    s->content = NULL;
  }
  return push_slot(s, &slot);
}

static bool no_room(struct lm_smtpc *s) {
  lm_wire_fail(&s->wire, LM_E_MEMORY, "room for output", LM_NOSTR);
  return false;
}

/* Sends a piece in the line endings of the wire; with `last` it ends the content. */
static bool put_chunk(struct lm_smtpc *s, struct lm_str piece, bool last) {
  struct lm_smtp_txn *t = s->content;
  struct lm_buf *b = &s->chunk;
  lm_buf_clear(b);
  if (t->binary ? !lm_buf_puts(b, piece) : !lm_dotout_put(&t->dot, b, piece)) return no_room(s);
  if (last && !t->binary && !lm_dotout_end(&t->dot, b)) return no_room(s);
  if (lm_buf_len(b) == 0 && !last) return true;
  if (!put_bdat(s, lm_buf_len(b), last) || !lm_wire_put(&s->wire, lm_buf_str(b))) return no_room(s);
  return push_bdat(s, last);
}

/* How much of a lent message may leave as it stands, at most LENT_MAX. */
static size_t clean_run(const struct lm_smtp_txn *t) {
  size_t n = t->text.n < LENT_MAX ? t->text.n : LENT_MAX;
  if (t->binary) return n;
  return t->text.n > LEND_MIN * 2 ? lm_dotout_clean(&t->dot, (struct lm_str){t->text.p, n}) : 0;
}

/* Prepares more of a lent message: long clean runs are lent on, each as a chunk of its own. */
static void send_chunks(struct lm_smtpc *s) {
  struct lm_smtp_txn *t = s->content;
  while (s->content && lm_wire_output(&s->wire).n < PIECE && s->wire.lent.n == 0) {
    size_t n = clean_run(t);
    bool last;
    if (n >= LEND_MIN * 2) {
      last = n == t->text.n && (t->binary || t->text.p[n - 1] == '\n');
      if (!put_bdat(s, n, last)) return;
      lm_wire_lend(&s->wire, (struct lm_str){t->text.p, n});
      lm_dotout_sent(&t->dot, t->text, n);
      if (!push_bdat(s, last)) return;
    } else {
      n = t->text.n < PIECE ? t->text.n : PIECE;
      if (!put_chunk(s, (struct lm_str){t->text.p, n}, n == t->text.n)) return;
    }
    t->text = (struct lm_str){t->text.p + n, t->text.n - n};
    if (!(s->ehlo.has & LM_SMTP_PIPELINING)) return;
  }
}

/* Without pipelining each chunk waits for the reply to the one before. */
static bool may_chunk(const struct lm_smtpc *s) {
  return (s->ehlo.has & LM_SMTP_PIPELINING) || count_slots(s) == 0;
}

/* Nobody will get it: no further chunk is sent, and nothing else before the replies to those that
** were. */
static void stop_chunks(struct lm_smtpc *s, struct lm_smtp_txn *t) {
  if (s->content != t) return;
  s->content = NULL;
  s->halted = t;
}

/* Moves the content on; true where the caller is to be told so, or asked for more. */
static bool send_content(struct lm_smtpc *s, struct lm_smtpc_event *ev) {
  if (s->content == NULL) return false;
  memset(ev, 0, sizeof *ev);
  ev->id = s->content->id;
  if (s->content->chunked && !may_chunk(s)) return false;
  if (!s->content->streamed) {
    ev->kind = LM_SMTPC_MOVED;
    if (s->content->chunked)
      send_chunks(s);
    else
      send_text(s);
    if (s->wire.gone - s->told < MOVED) return false;
    s->told = s->wire.gone;
    return true;
  }
  ev->kind = LM_SMTPC_GO;
  if (s->may_give || lm_wire_output(&s->wire).n >= LOW_WATER) return false;
  s->go_id = s->content->id;
  return s->may_give = true;
}

/* True where GO was told for content that has become pointless since. */
static bool swallows(struct lm_smtpc *s, uint32_t id) {
  if (!s->may_give || s->content || s->go_id != id) return false;
  s->may_give = false;
  return true;
}

enum lm_smtpc_content lm_smtpc_give(struct lm_smtpc *s, uint32_t id, struct lm_str piece) {
  if (swallows(s, id)) return LM_SMTPC_TAKEN;
  if (!s->may_give || s->content == NULL || s->content->id != id) return LM_SMTPC_NOT_NOW;
  if (s->content->seven_bit && !lm_str_is_ascii(piece)) return LM_SMTPC_EIGHT_BIT;
  s->may_give = false;
  if (s->content->chunked)
    put_chunk(s, piece, false);
  else
    put_content(s, piece);
  return LM_SMTPC_TAKEN;
}

bool lm_smtpc_give_end(struct lm_smtpc *s, uint32_t id) {
  if (swallows(s, id)) return true;
  if (!s->may_give || s->content == NULL || s->content->id != id) return false;
  s->may_give = false;
  if (s->content->chunked ? put_chunk(s, LM_NOSTR, true) : end_content(s)) advance(s);
  return true;
}

static struct lm_smtp_txn *find_txn(const struct lm_smtpc *s, uint32_t id) {
  struct lm_smtp_txn *t = s->txns;
  while (t && t->id != id) t = t->next;
  return t;
}

bool lm_smtpc_is_unknown(const struct lm_smtpc *s, uint32_t id) {
  const struct lm_smtp_txn *t = find_txn(s, id);
  if (t == NULL || !t->dotted || s->wire.gone < t->dot_at) return false;
  return t->chunked ? !lm_smtp_txn_hopeless(t)
                    : t->accepted > 0; /* chunks leave before the replies */
}

/* --- slots become events ---------------------------------------------------------------------- */

static void event(struct lm_smtpc_event *ev, enum lm_smtpc_kind kind, uint32_t id,
                  const struct lm_smtp_reply *reply) {
  *ev = (struct lm_smtpc_event){kind, id, *reply, LM_NOSTR, NULL};
}

static void reuse_ended(struct lm_smtpc *s) {
  if (s->ended == NULL) return;
  lm_smtp_txn_free(s->spare);
  s->spare = s->ended;
  s->ended = NULL;
}

/* Takes the transaction out of the session; true where somebody wants to hear of it. */
static bool end_txn(struct lm_smtpc *s, struct lm_smtp_txn *t, const struct lm_smtp_reply *reply,
                    struct lm_smtpc_event *ev) {
  struct lm_smtp_txn **at = &s->txns;
  while (*at != t) at = &(*at)->next;
  *at = t->next;
  if (s->halted == t) s->halted = NULL;
  reuse_ended(s);
  s->ended = t;
  event(ev, LM_SMTPC_SENT, t->id, reply);
  ev->txn = t;
  return !t->muted;
}

/* A transaction was given up before its content: RSET before anything else, and its line in the
** queue, if it still has one, is dropped. */
static bool reset_after(struct lm_smtpc *s, struct lm_smtp_txn *t, bool open) {
  struct job *j;
  if (s->jobs && s->jobs->txn == t) unlink_job(s, &s->jobs);
  if (!open) return true;
  if ((j = calloc(1, sizeof *j)) == NULL || !lm_buf_puts(&j->line, LM_STR("RSET\r\n"))) {
    free(j);
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a command", LM_NOSTR);
    return false;
  }
  j->kind = S_RSET;
  j->next = s->jobs;
  s->queued += lm_buf_len(&j->line);
  if (s->jobs == NULL) s->jobs_tail = &j->next;
  s->jobs = j;
  return true;
}

/* 354: the content may go; where no recipient is left, only a dot (RFC 2920 §3.1). */
static void begin_content(struct lm_smtpc *s, struct lm_smtp_txn *t) {
  s->content = t;
  s->told = s->wire.gone;
  s->may_give = false;
  if (!t->refused) t->stage = LM_SMTP_AT_CONTENT;
  if (t->accepted && !t->refused) return;
  t->text = LM_NOSTR;
  t->streamed = false;
}

/* The same where the content goes in chunks: they may be under way, or all sent, already. */
static bool settle_envelope(struct lm_smtpc *s, const struct slot *slot,
                            const struct lm_smtp_reply *reply, struct lm_smtpc_event *ev) {
  struct lm_smtp_txn *t = slot->txn;
  bool whole = t->emitted > t->nrcpt, answered = slot->line + 1 == t->emitted;
  if (!lm_smtp_txn_hopeless(t)) {
    if (whole && answered && !t->dotted && s->content == NULL) begin_chunks(s, t);
    return false;
  }
  stop_chunks(s, t);
  if (!answered || t->chunks) return false;
  return reset_after(s, t, slot->line > 0) && end_txn(s, t, reply, ev);
}

/* A reply to MAIL, RCPT or DATA. True where the transaction ended with it. */
static bool settle_txn(struct lm_smtpc *s, const struct slot *slot,
                       const struct lm_smtp_reply *reply, struct lm_smtpc_event *ev) {
  struct lm_smtp_txn *t = slot->txn;
  bool data = slot->line == t->nrcpt + 1, hopeless;
  if (!lm_smtp_txn_answer(t, slot->line, reply)) {
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a reply", LM_NOSTR);
    return false;
  }
  if (data && reply->code == 354) {
    begin_content(s, t);
    return false;
  }
  if (t->chunked) return settle_envelope(s, slot, reply, ev);
  hopeless = lm_smtp_txn_hopeless(t);
  if (!data && (t->emitted > t->nrcpt + 1 || !hopeless)) return false;
  return reset_after(s, t, slot->line > 0) && end_txn(s, t, reply, ev);
}

/* True where the slot gets one reply for each recipient that was accepted (LMTP, RFC 2033 §4.2). */
static bool has_finals(const struct lm_smtpc *s, const struct slot *slot) {
  bool ends = slot->kind == S_DOT || (slot->kind == S_BDAT && slot->line == 1);
  return s->lmtp && ends && !slot->txn->refused && (slot->txn->accepted || slot->txn->final);
}

/* Gives the reply to the next recipient. The slot stays until the last one has its own. */
static bool settle_final(struct lm_smtpc *s, const struct slot *slot,
                         const struct lm_smtp_reply *reply, struct lm_smtpc_event *ev) {
  bool more = false;
  if (!lm_smtp_txn_final(slot->txn, reply, &more)) {
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a reply", LM_NOSTR);
    return false;
  }
  if (more) return false;
  lm_buf_consume(&s->slots, sizeof *slot);
  return end_txn(s, slot->txn, reply, ev);
}

/* A reply to a chunk. */
static bool settle_bdat(struct lm_smtpc *s, const struct slot *slot,
                        const struct lm_smtp_reply *reply, struct lm_smtpc_event *ev) {
  struct lm_smtp_txn *t = slot->txn;
  bool last = slot->line == 1, lost = t->accepted == 0;
  t->chunks--;
  if (!lm_smtp_positive(reply)) {
    if (!lost && !lm_smtp_txn_refuse(t, LM_SMTP_AT_CONTENT, reply)) {
      lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a reply", LM_NOSTR);
      return false;
    }
    stop_chunks(s, t);
  }
  if (!last && (t != s->halted || t->chunks)) return false;
  return reset_after(s, t, !last || lost) && end_txn(s, t, reply, ev);
}

static bool settle_dot(struct lm_smtpc *s, const struct slot *slot,
                       const struct lm_smtp_reply *reply, struct lm_smtpc_event *ev) {
  if (slot->txn->accepted && !lm_smtp_positive(reply) &&
      !lm_smtp_txn_refuse(slot->txn, LM_SMTP_AT_CONTENT, reply)) {
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a reply", LM_NOSTR);
    return false;
  }
  return end_txn(s, slot->txn, reply, ev);
}

static bool settle_auth(struct lm_smtpc *s, const struct slot *slot,
                        const struct lm_smtp_reply *reply, struct lm_smtpc_event *ev) {
  enum lm_base64 decoded;
  event(ev, LM_SMTPC_DONE, slot->id, reply);
  if (reply->code != 334) return !slot->muted;
  if (++s->sasl_steps > s->limits.sasl_steps) {
    lm_wire_fail(&s->wire, LM_E_LIMIT, "sasl_steps", LM_NOSTR);
    return false;
  }
  if (reply->text.n / 4 * 3 > s->limits.challenge) {
    lm_wire_fail(&s->wire, LM_E_LIMIT, "challenge", LM_NOSTR);
    return false;
  }
  lm_buf_wipe(&s->challenge);
  decoded = lm_base64_decode(&s->challenge, reply->text);
  if (decoded == LM_BASE64_MEMORY) {
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a challenge", LM_NOSTR);
    return false;
  }
  s->asking = slot->id;
  ev->kind = LM_SMTPC_ASK;
  ev->text = decoded == LM_BASE64_OK ? lm_buf_str(&s->challenge) : LM_NOSTR;
  if (!slot->muted) return true;
  answer(s, NULL, true);
  return false;
}

static bool settle_line(struct lm_smtpc *s, const struct slot *slot,
                        const struct lm_smtp_reply *reply, struct lm_smtpc_event *ev) {
  event(ev, LM_SMTPC_DONE, slot->id, reply);
  if (slot->kind == S_GREETING) ev->kind = LM_SMTPC_GREETING;
  if (slot->kind == S_QUIT) s->quit = true;
  if (slot->kind == S_EHLO && lm_smtp_positive(reply) &&
      !lm_smtp_ehlo_read(&s->ehlo, reply->text)) {
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for capabilities", LM_NOSTR);
    return false;
  }
  if (slot->kind == S_STARTTLS && reply->code == 220) {
    s->cut = true;
    ev->kind = LM_SMTPC_STARTTLS;
  }
  return !slot->muted && (slot->id || slot->kind == S_GREETING);
}

/* The server is about to close; what is outstanding learns why (RFC 5321 §3.8). */
static bool bye(const struct lm_smtp_reply *reply, struct lm_smtpc_event *ev) {
  event(ev, LM_SMTPC_BYE, 0, reply);
  return true;
}

/* Gives the reply to the oldest slot. True where that makes an event. */
static bool settle(struct lm_smtpc *s, const struct lm_smtp_reply *reply,
                   struct lm_smtpc_event *ev) {
  struct slot slot;
  if (count_slots(s) == 0 || slot_at(s, 0)->end > s->wire.gone) {
    if (reply->code == 421) return bye(reply, ev);
    lm_wire_fail(&s->wire, LM_E_PROTOCOL, "no reply before its command", reply->text);
    return false;
  }
  slot = *slot_at(s, 0);
  if (has_finals(s, &slot)) return settle_final(s, &slot, reply, ev);
  lm_buf_consume(&s->slots, sizeof slot);
  switch (slot.kind) {
  case S_TXN:
    return settle_txn(s, &slot, reply, ev) ||
           (reply->code == 421 && !lm_wire_failed(&s->wire) && bye(reply, ev));
  case S_DOT: return settle_dot(s, &slot, reply, ev);
  case S_BDAT: return settle_bdat(s, &slot, reply, ev);
  case S_AUTH: return settle_auth(s, &slot, reply, ev);
  default: return settle_line(s, &slot, reply, ev);
  }
}

/* Nothing is under way: give memory back. */
static void rest(struct lm_smtpc *s) {
  if (s->jobs || s->content || count_slots(s)) return;
  lm_buf_free(&s->slots);
}

/* Nothing is read now: it is our turn to speak, or to go. Once the stream has ended that is a failure,
** unless it is what QUIT asked for: else a driver would be sent round for ever. */
static enum lm_status pause(struct lm_smtpc *s) {
  if (!s->wire.eof || (s->quit && s->jobs == NULL)) return LM_WAIT;
  return lm_wire_fail(&s->wire, LM_E_CLOSED, "more", LM_NOSTR);
}

/* The next reply. A challenge may be longer than other lines (RFC 4954 §4). */
static enum lm_status next_reply(struct lm_smtpc *s, struct lm_smtp_reply *reply_out) {
  struct lm_limits limits;
  if (count_slots(s) == 0 || slot_at(s, 0)->kind != S_AUTH) {
    return lm_smtp_reply_next(&s->reader, &s->wire, &s->limits, reply_out);
  }
  limits = s->limits;
  if (limits.line < limits.challenge / 3 * 4 + 8) limits.line = limits.challenge / 3 * 4 + 8;
  return lm_smtp_reply_next(&s->reader, &s->wire, &limits, reply_out);
}

enum lm_status lm_smtpc_next(struct lm_smtpc *s, struct lm_smtpc_event *event_out) {
  reuse_ended(s);
  for (;;) {
    struct lm_smtp_reply reply;
    enum lm_status status;
    if (lm_wire_failed(&s->wire)) return LM_FAIL;
    advance(s);
    if (send_content(s, event_out)) return LM_EVENT;
    if (s->content == NULL) advance(s);
    if (s->cut || s->asking || s->quit) return pause(s);
    status = next_reply(s, &reply);
    if (status == LM_WAIT && s->jobs && count_slots(s) == 0 && s->content == NULL) {
      return lm_wire_fail(&s->wire, LM_E_PROTOCOL, "no reply before its command",
                          lm_wire_input(&s->wire));
    }
    if (status == LM_WAIT) rest(s);
    if (status != LM_EVENT) return status;
    if (settle(s, &reply, event_out)) return LM_EVENT;
  }
}

/* --- giving up -------------------------------------------------------------------------------- */

void lm_smtpc_abandon(struct lm_smtpc *s, uint32_t id) {
  struct lm_smtp_txn *t = find_txn(s, id);
  struct job **at = &s->jobs;
  size_t i;
  while (*at && (*at)->id != id) at = &(*at)->next;
  if (*at && (t == NULL || t->emitted == 0)) {
    struct lm_smtp_txn **link = &s->txns;
    unlink_job(s, at);
    while (t && *link != t) link = &(*link)->next;
    if (t) *link = t->next;
    lm_smtp_txn_free(t);
    return;
  }
  for (i = 0; i < count_slots(s); i++) {
    if (slot_at(s, i)->id == id) slot_at(s, i)->muted = true;
  }
  if (s->asking && s->asking == id) answer(s, NULL, true);
  if (t == NULL) return;
  t->muted = true;
  if (!t->dotted || s->wire.gone < t->dot_at) {
    lm_wire_fail(&s->wire, LM_E_CLOSED, "the whole message (it was given up halfway)", LM_NOSTR);
  }
}
