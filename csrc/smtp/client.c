/*
** client.c: the client side of an SMTP session: what is queued, what is outstanding, the loop.
**
** Jobs become slots in `lm_smtp_advance`. What a reply means is settle.c, how content travels is
** content.c.
*/
#include "smtp/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "base/text.h"
#include "smtp/session.h"

/* Lines that must be the last of their group: what follows waits for their reply (RFC 2920 §3.1).
** DATA is one too; it is known by its place in the transaction. */
static bool is_last_of_group(enum lm_smtp_slot_kind kind) {
  return kind != LM_SLOT_TXN && kind != LM_SLOT_DOT && kind != LM_SLOT_RSET;
}

/* --- making and ending ------------------------------------------------------------------------ */

bool lm_smtp_push_slot(struct lm_smtpc *s, const struct lm_smtp_slot *slot) {
  if (lm_buf_put(&s->slots, (const char *)slot, sizeof *slot)) return true;
  lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a command", LM_NOSTR);
  return false;
}

struct lm_smtpc *lm_smtpc_new(const struct lm_limits *limits) {
  struct lm_smtpc *s = calloc(1, sizeof *s);
  struct lm_smtp_slot greeting = {LM_SLOT_GREETING, false, true, 0, 0, 0, 0, NULL};
  if (s == NULL) return NULL;
  lm_wire_init(&s->wire);
  s->limits = *limits;
  s->jobs_tail = &s->jobs;
  if (!lm_smtp_push_slot(s, &greeting)) {
    lm_smtpc_free(s);
    return NULL;
  }
  return s;
}

/* A job with nothing in it; NULL when memory is short. */
static struct lm_smtp_job *new_job(struct lm_smtpc *s, enum lm_smtp_slot_kind kind) {
  struct lm_smtp_job *j = s->idle_job ? s->idle_job : malloc(sizeof *j);
  s->idle_job = NULL;
  if (j) *j = (struct lm_smtp_job){.kind = kind};
  return j;
}

/* Ends a job; one is kept for the next. */
static void free_job(struct lm_smtpc *s, struct lm_smtp_job *j) {
  s->queued -= lm_buf_len(&j->line);
  lm_buf_wipe(&j->line);
  if (s->idle_job) {
    free(j);
  } else {
    s->idle_job = j;
  }
}

void lm_smtpc_free(struct lm_smtpc *s) {
  if (s == NULL) return;
  while (s->jobs) {
    struct lm_smtp_job *j = s->jobs;
    s->jobs = j->next;
    free_job(s, j);
  }
  free(s->idle_job);
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
  lm_buf_free(&s->owed);
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

void lm_smtpc_do_without(struct lm_smtpc *s, unsigned capabilities) {
  s->ehlo.without = capabilities;
}

void lm_smtpc_secured(struct lm_smtpc *s) {
  s->cut = false;
  lm_smtp_ehlo_clear(&s->ehlo);
}

/* --- queueing --------------------------------------------------------------------------------- */

static uint32_t refuse(struct lm_smtpc *s, const char *why) {
  s->refusal = why;
  return 0;
}

/* Queues a job, which goes out at once where it may: the reader of this session may be asleep. */
static uint32_t enqueue(struct lm_smtpc *s, struct lm_smtp_job *j) {
  uint32_t id = ++s->last_id;
  j->id = id;
  if (j->txn) j->txn->id = id;
  *s->jobs_tail = j;
  s->jobs_tail = &j->next;
  s->queued += lm_buf_len(&j->line);
  lm_smtp_advance(s);
  return id;
}

/* The only writer of command lines other than those of transactions: "verb argument". */
static uint32_t enqueue_line(struct lm_smtpc *s, enum lm_smtp_slot_kind kind, struct lm_str verb,
                             struct lm_str argument) {
  struct lm_smtp_job *j;
  if (lm_wire_failed(&s->wire)) return refuse(s, "the session has failed");
  if (s->quit) return refuse(s, "the session was ended by QUIT");
  if (lm_str_breaks_line(argument)) return refuse(s, "CR, LF or NUL in a command");
  if (verb.n + argument.n + 3 > (kind == LM_SLOT_AUTH ? s->limits.challenge : s->limits.line))
    return refuse(s, "command line too long");
  if (s->queued > s->limits.queue) return refuse(s, "limit passed: queue");
  if ((j = new_job(s, kind)) == NULL) return refuse(s, "out of memory");
  if (!lm_buf_puts(&j->line, verb) || !lm_buf_puts(&j->line, argument) ||
      !lm_buf_put(&j->line, "\r\n", 2)) {
    lm_buf_wipe(&j->line); /* it was not counted */
    free_job(s, j);
    return refuse(s, "out of memory");
  }
  return enqueue(s, j);
}

uint32_t lm_smtpc_command(struct lm_smtpc *s, enum lm_smtp_verb verb, struct lm_str line) {
  switch (verb) {
  case LM_SMTP_EHLO:
    return enqueue_line(s, LM_SLOT_EHLO, s->lmtp ? LM_STR("LHLO ") : LM_STR("EHLO "), line);
  case LM_SMTP_HELO: return enqueue_line(s, LM_SLOT_LINE, LM_STR("HELO "), line);
  case LM_SMTP_RSET: return enqueue_line(s, LM_SLOT_RSET, LM_STR("RSET"), LM_NOSTR);
  case LM_SMTP_START_TLS: return enqueue_line(s, LM_SLOT_STARTTLS, LM_STR("STARTTLS"), LM_NOSTR);
  default: return enqueue_line(s, LM_SLOT_LINE, LM_NOSTR, line);
  }
}

uint32_t lm_smtpc_quit(struct lm_smtpc *s) {
  return enqueue_line(s, LM_SLOT_QUIT, LM_STR("QUIT"), LM_NOSTR);
}

uint32_t lm_smtpc_auth(struct lm_smtpc *s, struct lm_str mechanism, const struct lm_str *initial) {
  struct lm_buf line = {NULL, 0, 0, 0};
  uint32_t id;
  bool ok = lm_buf_puts(&line, mechanism);
  if (ok && initial) {
    ok = lm_buf_putc(&line, ' ') &&
         (initial->n ? lm_base64_encode(&line, *initial) : lm_buf_putc(&line, '='));
  }
  id = ok ? enqueue_line(s, LM_SLOT_AUTH, LM_STR("AUTH "), lm_buf_str(&line))
          : refuse(s, "out of memory");
  lm_buf_wipe(&line);
  return id;
}

bool lm_smtp_answer(struct lm_smtpc *s, const struct lm_str *response, bool muted) {
  struct lm_smtp_slot slot = {LM_SLOT_AUTH, muted, true, s->asking, 0, 0, 0, NULL};
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
  return lm_smtp_push_slot(s, &slot);
}

bool lm_smtpc_answer(struct lm_smtpc *s, uint32_t id, const struct lm_str *response) {
  return s->asking != 0 && s->asking == id && lm_smtp_answer(s, response, false);
}

struct lm_smtp_txn *lm_smtpc_txn(struct lm_smtpc *s) {
  if (s->spare == NULL) return s->spare = lm_smtp_txn_new();
  lm_smtp_txn_reset(s->spare);
  return s->spare;
}

uint32_t lm_smtpc_next_id(const struct lm_smtpc *s) {
  return s->last_id + 1;
}

uint32_t lm_smtpc_send(struct lm_smtpc *s, struct lm_smtp_txn *t) {
  const char *why = NULL;
  struct lm_smtp_job *j = NULL;
  if (lm_wire_failed(&s->wire)) why = "the session has failed";
  if (s->quit) why = "the session was ended by QUIT";
  if (s->queued > s->limits.queue) why = "limit passed: queue";
  if (why == NULL && (j = new_job(s, LM_SLOT_TXN)) == NULL) why = "out of memory";
  if (why) return refuse(s, why);
  if (s->spare == t) s->spare = NULL;
  j->txn = t;
  t->next = s->txns;
  s->txns = t;
  return enqueue(s, j);
}

/* --- jobs become slots ------------------------------------------------------------------------ */

void lm_smtp_trace_lines(struct lm_smtpc *s, struct lm_str lines) {
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
  size_t n = lm_smtp_count_slots(s);
  if (s->cut || s->content || s->halted || s->asking || s->quit) return false;
  if (lm_wire_failed(&s->wire)) return false;
  if (n == 0) return !spoke_early(s);
  return (s->ehlo.has & LM_SMTP_PIPELINING) && !lm_smtp_slot_at(s, n - 1)->last;
}

/* Puts lines `from` to `to` of a transaction out. */
static bool put_txn_lines(struct lm_smtpc *s, struct lm_smtp_txn *t, uint32_t from, uint32_t to) {
  bool all = from == 0 && to == lm_smtp_txn_last(t);
  size_t room = ((size_t)to - from + 1) * sizeof(struct lm_smtp_slot);
  struct lm_smtp_slot *slot = (struct lm_smtp_slot *)(void *)lm_buf_room(&s->slots, room);
  uint64_t end = s->wire.queued;
  uint32_t i;
  if (slot == NULL) {
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a command", LM_NOSTR);
    return false;
  }
  if (all && !lm_wire_put(&s->wire, lm_smtp_txn_lines(t))) return false;
  for (i = from; i <= to; i++, slot++) {
    struct lm_str line = lm_smtp_txn_line(t, i);
    if (!all && !lm_wire_put(&s->wire, line)) return false;
    end += line.n;
    lm_smtp_trace_lines(s, line);
    *slot =
        (struct lm_smtp_slot){.kind = LM_SLOT_TXN, .id = t->id, .line = i, .end = end, .txn = t};
    slot->last = i == t->nrcpt + 1; /* DATA */
  }
  lm_buf_added(&s->slots, room);
  t->emitted = to + 1;
  return true;
}

/* Puts the next line, or with pipelining all lines, of a transaction out. True where the transaction
** needs its place in the queue no longer. */
static bool advance_txn(struct lm_smtpc *s, struct lm_smtp_txn *t) {
  uint32_t last = lm_smtp_txn_last(t);
  bool together = (s->ehlo.has & LM_SMTP_PIPELINING) != 0;
  if (!put_txn_lines(s, t, t->emitted, together ? last : t->emitted)) return false;
  if (t->chunked && together) lm_smtp_begin_chunks(s, t);
  return t->emitted > last;
}

static bool advance_line(struct lm_smtpc *s, struct lm_smtp_job *j) {
  struct lm_smtp_slot slot = {
      (uint8_t)j->kind, false, is_last_of_group(j->kind), j->id, 0, 0, 0, NULL};
  if (j->kind == LM_SLOT_EHLO) lm_smtp_ehlo_clear(&s->ehlo);
  if (j->kind == LM_SLOT_AUTH) {
    s->sasl_steps = 0;
    lm_wire_trace(&s->wire, 'C', LM_STR("AUTH ***"));
  } else {
    lm_smtp_trace_lines(s, lm_buf_str(&j->line));
  }
  if (!lm_wire_put(&s->wire, lm_buf_str(&j->line))) return false;
  if (j->kind == LM_SLOT_AUTH) s->wire.secret = true;
  slot.end = s->wire.queued;
  return lm_smtp_push_slot(s, &slot);
}

static void unlink_job(struct lm_smtpc *s, struct lm_smtp_job **at) {
  struct lm_smtp_job *j = *at;
  *at = j->next;
  if (j->next == NULL) s->jobs_tail = at;
  free_job(s, j);
}

void lm_smtp_advance(struct lm_smtpc *s) {
  s->wire.listen_first = !(s->ehlo.has & LM_SMTP_PIPELINING); /* replies sent ahead of time */
  while (s->jobs && may_advance(s)) {
    struct lm_smtp_job *j = s->jobs;
    bool over = j->txn ? advance_txn(s, j->txn) : advance_line(s, j);
    if (over) unlink_job(s, &s->jobs);
  }
}

bool lm_smtp_reset_after(struct lm_smtpc *s, struct lm_smtp_txn *t, bool open) {
  struct lm_smtp_job *j;
  if (s->jobs && s->jobs->txn == t) unlink_job(s, &s->jobs);
  if (!open) return true;
  if ((j = new_job(s, LM_SLOT_RSET)) == NULL || !lm_buf_puts(&j->line, LM_STR("RSET\r\n"))) {
    if (j) free_job(s, j);
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a command", LM_NOSTR);
    return false;
  }
  j->next = s->jobs;
  s->queued += lm_buf_len(&j->line);
  if (s->jobs == NULL) s->jobs_tail = &j->next;
  s->jobs = j;
  return true;
}

/* --- the loop ----------------------------------------------------------------------------------- */

/* Nothing is under way: give memory back. */
static void rest(struct lm_smtpc *s) {
  if (s->jobs || s->content || lm_smtp_count_slots(s)) return;
  lm_buf_free(&s->slots);
  lm_buf_free(&s->chunk);
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
  if (lm_smtp_count_slots(s) == 0 || lm_smtp_slot_at(s, 0)->kind != LM_SLOT_AUTH) {
    return lm_smtp_reply_next(&s->reader, &s->wire, &s->limits, reply_out);
  }
  limits = s->limits;
  if (limits.line < limits.challenge / 3 * 4 + 8) limits.line = limits.challenge / 3 * 4 + 8;
  return lm_smtp_reply_next(&s->reader, &s->wire, &limits, reply_out);
}

enum lm_status lm_smtpc_next(struct lm_smtpc *s, struct lm_smtpc_event *event_out) {
  lm_smtp_reuse_ended(s);
  for (;;) {
    struct lm_smtp_reply reply;
    enum lm_status status;
    bool busy;
    if (lm_wire_failed(&s->wire)) return lm_smtp_last_words(s, event_out) ? LM_EVENT : LM_FAIL;
    lm_smtp_advance(s);
    busy = s->content != NULL;
    if (lm_smtp_send_content(s, event_out)) return LM_EVENT;
    if (busy && s->content == NULL) lm_smtp_advance(s);
    if (s->cut || s->asking || s->quit) return pause(s);
    status = next_reply(s, &reply);
    if (status == LM_WAIT && s->jobs && lm_smtp_count_slots(s) == 0 && s->content == NULL) {
      return lm_wire_fail(&s->wire, LM_E_PROTOCOL, "no reply before its command",
                          lm_wire_input(&s->wire));
    }
    if (status == LM_WAIT) rest(s);
    if (status == LM_FAIL) continue;
    if (status != LM_EVENT) return status;
    if (lm_smtp_settle(s, &reply, event_out)) return LM_EVENT;
  }
}

/* --- giving up -------------------------------------------------------------------------------- */

static struct lm_smtp_txn *find_txn(const struct lm_smtpc *s, uint32_t id) {
  struct lm_smtp_txn *t = s->txns;
  while (t && t->id != id) t = t->next;
  return t;
}

bool lm_smtpc_is_unknown(const struct lm_smtpc *s, uint32_t id) {
  const struct lm_smtp_txn *t = find_txn(s, id);
  if (t == NULL || s->leaving || !t->dotted || s->wire.gone < t->dot_at) return false;
  return t->chunked ? !lm_smtp_txn_hopeless(t)
                    : t->accepted > 0; /* chunks leave before the replies */
}

bool lm_smtpc_is_accepted(const struct lm_smtpc *s, uint32_t id) {
  const struct lm_smtp_txn *t = find_txn(s, id);
  return t != NULL && t->accepted > 0;
}

const struct lm_smtp_txn *lm_smtpc_finals(const struct lm_smtpc *s, uint32_t id) {
  const struct lm_smtp_txn *t = find_txn(s, id);
  return t && t->final ? t : NULL;
}

void lm_smtpc_abandon(struct lm_smtpc *s, uint32_t id) {
  struct lm_smtp_txn *t = find_txn(s, id);
  struct lm_smtp_job **at = &s->jobs;
  size_t i;
  lm_smtp_forgive(s, id);
  while (*at && (*at)->id != id) at = &(*at)->next;
  if (*at && (t == NULL || t->emitted == 0)) {
    struct lm_smtp_txn **link = &s->txns;
    unlink_job(s, at);
    while (t && *link != t) link = &(*link)->next;
    if (t) *link = t->next;
    lm_smtp_txn_free(t);
    return;
  }
  for (i = 0; i < lm_smtp_count_slots(s); i++) {
    if (lm_smtp_slot_at(s, i)->id == id) lm_smtp_slot_at(s, i)->muted = true;
  }
  if (s->asking && s->asking == id) lm_smtp_answer(s, NULL, true);
  if (t == NULL) return;
  t->muted = true;
  if (s->halted == t) return; /* nothing more of it is sent, and nobody will get it */
  if (!t->dotted || s->wire.gone < t->dot_at) {
    lm_wire_fail(&s->wire, LM_E_CLOSED, "the whole message (it was given up halfway)", LM_NOSTR);
  }
}
