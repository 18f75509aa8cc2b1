/*
** content.c: the content of a transaction: through the dot (RFC 5321 §4.5.2), in chunks (RFC 3030),
** or by reference (RFC 4468).
**
** A lent message is never copied as a whole: long runs that need no change are lent on to the
** transport. A streamed one comes piece by piece, each when the one before has almost left.
** Invariant: at most one transaction has its content under way, `s->content`.
*/
#include <string.h>

#include "base/chars.h"
#include "base/text.h"
#include "smtp/session.h"

/* --- content ---------------------------------------------------------------------------------- */

enum {
  PIECE = 65536,      /* how much content is copied at a time */
  LENT_MAX = 1048576, /* how much is lent at a time: fewer and larger sends cost less */
  HOLD = 32768,       /* shorter chunks of a stream are gathered */
  EARLY = 2,          /* chunks that may leave before anybody is known to get them */
  LEND_MIN = 16384,   /* shorter runs are copied, so that they leave together with what follows */
  LOW_WATER = 16384,  /* below this much output the caller is asked for more */
  MOVED = 262144      /* how often the caller hears that a lent message moves on */
};

void lm_smtp_begin_content(struct lm_smtpc *s, struct lm_smtp_txn *t) {
  s->content = t;
  s->told = s->wire.gone;
  s->may_give = false;
  if (!t->refused) t->stage = LM_SMTP_AT_CONTENT;
  if (t->accepted && !t->refused) return;
  t->text = LM_NOSTR;
  t->streamed = false;
}

static bool end_content(struct lm_smtpc *s) {
  struct lm_smtp_txn *t = s->content;
  struct lm_smtp_slot slot = {LM_SLOT_DOT, false, false, t->id, 0, 0, 0, t};
  size_t before = lm_buf_len(&s->wire.out);
  if (!lm_dotout_end(&t->dot, &s->wire.out)) {
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for output", LM_NOSTR);
    return false;
  }
  s->wire.queued += lm_buf_len(&s->wire.out) - before;
  slot.end = t->dot_at = s->wire.queued;
  t->dotted = true;
  s->content = NULL;
  return lm_smtp_push_slot(s, &slot);
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

void lm_smtp_begin_chunks(struct lm_smtpc *s, struct lm_smtp_txn *t) {
  s->content = t;
  s->told = s->wire.gone;
  s->may_give = false;
  t->stage = LM_SMTP_AT_CONTENT;
  t->dot.plain = true;
  lm_buf_clear(&s->chunk);
}

/* bdat-cmd = "BDAT" SP chunk-size [ SP "LAST" ] CR LF; the octets are put behind it by the caller,
** who then pushes the slot. Written from its end, in no memory of its own: there is one a message. */
static bool put_bdat(struct lm_smtpc *s, size_t n, bool last) {
  char text[40];
  struct lm_str tail = last ? LM_STR(" LAST\r\n") : LM_STR("\r\n"), line;
  char *p = text + sizeof text - tail.n;
  memcpy(p, tail.p, tail.n);
  do {
    *--p = (char)('0' + n % 10);
  } while (n /= 10);
  p -= 5;
  memcpy(p, "BDAT ", 5);
  line = (struct lm_str){p, (size_t)(text + sizeof text - p)};
  if (!lm_wire_put(&s->wire, line)) return false;
  lm_smtp_trace_lines(s, line);
  return true;
}

/* The last `n` octets of the output are a chunk: its reply is due. What follows the last one waits for
** it, for it may have to be RSET. */
static bool push_bdat(struct lm_smtpc *s, size_t n, bool last) {
  struct lm_smtp_txn *t = s->content;
  uint64_t end = s->wire.queued;
  struct lm_smtp_slot slot = {LM_SLOT_BDAT, false, last, t->id, last, end, end - n, t};
  t->chunks++;
  if (last) {
    t->dotted = true;
    t->dot_at = s->wire.queued;
    s->content = NULL;
  }
  return lm_smtp_push_slot(s, &slot);
}

static bool no_room(struct lm_smtpc *s) {
  lm_wire_fail(&s->wire, LM_E_MEMORY, "room for output", LM_NOSTR);
  return false;
}

/* True where the piece may leave as it stands, behind what was sent before; *end_out is what then
** still ends its last line. */
static bool is_clean(const struct lm_smtp_txn *t, struct lm_str piece, struct lm_str *end_out) {
  bool ends = piece.n ? piece.p[piece.n - 1] == '\n' : !t->dot.mid_line;
  *end_out = ends || t->binary ? LM_STR("") : LM_STR("\r\n");
  if (t->binary) return true;
  return !t->dot.cr && lm_dotout_clean(&t->dot, piece) == piece.n;
}

/* The piece as a chunk, without a copy of its own. */
static bool put_clean(struct lm_smtpc *s, struct lm_str piece, struct lm_str end, bool last) {
  if (!last) end = LM_NOSTR;
  if (piece.n + end.n == 0 && !last) return true;
  if (!put_bdat(s, piece.n + end.n, last) || !lm_wire_put(&s->wire, piece) ||
      !lm_wire_put(&s->wire, end)) {
    return no_room(s);
  }
  lm_dotout_sent(&s->content->dot, piece, piece.n);
  return push_bdat(s, piece.n + end.n, last);
}

/* Sends what was gathered as a chunk. */
static bool put_gathered(struct lm_smtpc *s, bool last) {
  struct lm_buf *b = &s->chunk;
  size_t n = lm_buf_len(b);
  if (n == 0 && !last) return true;
  if (!put_bdat(s, n, last) || !lm_wire_put(&s->wire, lm_buf_str(b))) return no_room(s);
  lm_buf_clear(b);
  return push_bdat(s, n, last);
}

/* Appends a piece to what is gathered, in the line endings of the wire. */
static bool gather(struct lm_smtpc *s, struct lm_str piece, bool last) {
  struct lm_smtp_txn *t = s->content;
  if (t->binary) return lm_buf_puts(&s->chunk, piece) || no_room(s);
  if (!lm_dotout_put(&t->dot, &s->chunk, piece)) return no_room(s);
  return !last || lm_dotout_end(&t->dot, &s->chunk) || no_room(s);
}

/* Sends a piece of a lent message; with `last` it ends the content. */
static bool put_chunk(struct lm_smtpc *s, struct lm_str piece, bool last) {
  struct lm_str end;
  if (is_clean(s->content, piece, &end)) return put_clean(s, piece, end, last);
  return gather(s, piece, last) && put_gathered(s, last);
}

/* The same for a streamed one, whose pieces may be short: they are gathered, so that a source of lines
** is not one of chunks. */
static bool put_piece(struct lm_smtpc *s, struct lm_str piece) {
  if (lm_buf_len(&s->chunk) == 0 && piece.n >= HOLD) return put_chunk(s, piece, false);
  return gather(s, piece, false) && (lm_buf_len(&s->chunk) < HOLD || put_gathered(s, false));
}

/* How much of a lent message may leave as it stands, at most LENT_MAX. Its end is left over: the last
** chunk is short, and copied, so that the message counts as moving until it has almost left. */
static size_t clean_run(const struct lm_smtp_txn *t) {
  size_t n = t->text.n < LENT_MAX ? t->text.n : LENT_MAX;
  if (t->text.n < LEND_MIN * 3) return 0;
  if (!t->binary) n = lm_dotout_clean(&t->dot, (struct lm_str){t->text.p, n});
  if (n > t->text.n - LEND_MIN) n = t->text.n - LEND_MIN;
  return n && !t->binary && t->text.p[n - 1] == '\r' ? n - 1 : n;
}

/* Without pipelining each chunk waits for the reply to the one before. With it only the first ones leave
** before the recipients are answered: where all are refused the rest would be sent for nothing. */
static bool may_chunk(const struct lm_smtpc *s) {
  const struct lm_smtp_txn *t = s->content;
  if (!(s->ehlo.has & LM_SMTP_PIPELINING)) return lm_smtp_count_slots(s) == 0;
  return t->answered == t->nrcpt || t->chunks < EARLY;
}

/* Prepares more of a lent message: long clean runs are lent on, each as a chunk of its own. */
static void send_chunks(struct lm_smtpc *s) {
  struct lm_smtp_txn *t = s->content;
  while (s->content && may_chunk(s) && lm_wire_output(&s->wire).n < PIECE && s->wire.lent.n == 0) {
    size_t n = clean_run(t);
    if (n >= LEND_MIN * 2) {
      if (!put_bdat(s, n, false)) return;
      lm_wire_lend(&s->wire, (struct lm_str){t->text.p, n});
      lm_dotout_sent(&t->dot, t->text, n);
      if (!push_bdat(s, n, false)) return;
    } else {
      n = t->text.n < PIECE ? t->text.n : PIECE;
      if (!put_chunk(s, (struct lm_str){t->text.p, n}, n == t->text.n)) return;
    }
    t->text = (struct lm_str){t->text.p + n, t->text.n - n};
  }
}

/* Whoever was told GO will give a piece, which nobody wants any more. */
static void owe(struct lm_smtpc *s, uint32_t id) {
  s->may_give = false;
  if (lm_buf_put(&s->owed, (const char *)&id, sizeof id)) return;
  lm_wire_fail(&s->wire, LM_E_MEMORY, "room for an id", LM_NOSTR);
}

bool lm_smtp_forgive(struct lm_smtpc *s, uint32_t id) {
  size_t n = lm_buf_len(&s->owed) / sizeof id, i = 0;
  uint32_t *ids;
  if (n == 0) return false;
  ids = (uint32_t *)(void *)(s->owed.p + s->owed.start);
  while (i < n && ids[i] != id) i++;
  if (i == n) return false;
  ids[i] = ids[0];
  lm_buf_consume(&s->owed, sizeof id);
  return true;
}

void lm_smtp_stop_chunks(struct lm_smtpc *s, struct lm_smtp_txn *t) {
  if (s->content != t && !t->dotted) return;
  if (s->content == t) {
    s->content = NULL;
    if (s->may_give) owe(s, t->id);
  }
  s->halted = t;
}

/* Moves lent content on; true where so much has left that its caller should hear of it. */
static bool move_lent(struct lm_smtpc *s, struct lm_smtpc_event *ev) {
  ev->kind = LM_SMTPC_MOVED;
  if (!s->content->chunked) {
    send_text(s);
  } else {
    send_chunks(s);
  }
  if (s->wire.gone - s->told < MOVED) return false;
  s->told = s->wire.gone;
  return true;
}

bool lm_smtp_send_content(struct lm_smtpc *s, struct lm_smtpc_event *ev) {
  if (s->content == NULL) return false;
  memset(ev, 0, sizeof *ev);
  ev->id = s->content->id;
  if (!s->content->streamed) return move_lent(s, ev);
  if (s->content->chunked && !may_chunk(s)) return false;
  ev->kind = LM_SMTPC_GO;
  if (s->may_give || lm_wire_output(&s->wire).n >= LOW_WATER) return false;
  return s->may_give = true;
}

enum lm_smtpc_content lm_smtpc_give(struct lm_smtpc *s, uint32_t id, struct lm_str piece) {
  if (lm_smtp_forgive(s, id)) return LM_SMTPC_TAKEN;
  if (!s->may_give || s->content == NULL || s->content->id != id) return LM_SMTPC_NOT_NOW;
  if (s->content->seven_bit && !lm_str_is_ascii(piece)) return LM_SMTPC_EIGHT_BIT;
  if (s->content->strict && lm_dotout_is_bare(&s->content->seen, piece)) return LM_SMTPC_BARE;
  s->may_give = false;
  if (s->content->chunked)
    put_piece(s, piece);
  else
    put_content(s, piece);
  return LM_SMTPC_TAKEN;
}

enum lm_smtpc_content lm_smtpc_give_end(struct lm_smtpc *s, uint32_t id) {
  bool ok;
  if (lm_smtp_forgive(s, id)) return LM_SMTPC_TAKEN;
  if (!s->may_give || s->content == NULL || s->content->id != id) return LM_SMTPC_NOT_NOW;
  if (s->content->strict && s->content->seen.cr) return LM_SMTPC_BARE;
  s->may_give = false;
  if (s->content->chunked) {
    ok = gather(s, LM_NOSTR, true) && put_gathered(s, true);
  } else {
    ok = end_content(s);
  }
  if (ok) lm_smtp_advance(s);
  return LM_SMTPC_TAKEN;
}

/* burl-cmd = "BURL" SP absolute-URI [ SP "LAST" ] CR LF (RFC 4468 §3.4); the reply is that of a chunk. */
bool lm_smtpc_give_url(struct lm_smtpc *s, uint32_t id, struct lm_str url, bool last) {
  struct lm_buf line = {NULL, 0, 0, 0};
  bool ok;
  if (lm_smtp_forgive(s, id)) return true;
  if (!s->may_give || s->content == NULL || s->content->id != id || !s->content->chunked)
    return false;
  if (url.n == 0 || url.n > s->limits.line || lm_str_breaks_line(url)) return false;
  s->may_give = false;
  ok = put_gathered(s, false) && lm_buf_puts(&line, LM_STR("BURL ")) && lm_buf_puts(&line, url) &&
       lm_buf_puts(&line, last ? LM_STR(" LAST\r\n") : LM_STR("\r\n")) &&
       lm_wire_put(&s->wire, lm_buf_str(&line));
  if (ok) lm_smtp_trace_lines(s, lm_buf_str(&line));
  lm_buf_free(&line);
  if (!ok) no_room(s);
  if (ok && push_bdat(s, 0, last)) lm_smtp_advance(s);
  return true;
}
