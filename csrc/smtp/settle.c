/*
** settle.c: what a reply means: replies are given to slots, and become events.
**
** The one place that decides how a transaction ended: who was accepted, who was refused, and whether
** RSET must go before anything else.
*/
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "base/text.h"
#include "smtp/session.h"

static void event(struct lm_smtpc_event *ev, enum lm_smtpc_kind kind, uint32_t id,
                  const struct lm_smtp_reply *reply) {
  *ev = (struct lm_smtpc_event){kind, id, *reply, LM_NOSTR, NULL};
}

void lm_smtp_reuse_ended(struct lm_smtpc *s) {
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
  lm_smtp_reuse_ended(s);
  s->ended = t;
  event(ev, LM_SMTPC_SENT, t->id, reply);
  ev->txn = t;
  return !t->muted;
}

/* The same where the content goes in chunks: they may be under way, or all sent, already. */
static bool settle_envelope(struct lm_smtpc *s, const struct lm_smtp_slot *slot,
                            const struct lm_smtp_reply *reply, struct lm_smtpc_event *ev) {
  struct lm_smtp_txn *t = slot->txn;
  bool whole = t->emitted > t->nrcpt, answered = slot->line + 1 == t->emitted;
  if (!lm_smtp_txn_hopeless(t)) {
    if (whole && answered && !t->dotted && s->content == NULL) lm_smtp_begin_chunks(s, t);
    return false;
  }
  lm_smtp_stop_chunks(s, t);
  if (!answered || t->chunks) return false;
  return lm_smtp_reset_after(s, t, slot->line > 0) && end_txn(s, t, reply, ev);
}

/* Refusals are kept until the end of their transaction, all recipients' together. */
static bool may_keep(struct lm_smtpc *s, const struct lm_smtp_txn *t,
                     const struct lm_smtp_reply *reply) {
  if (lm_smtp_positive(reply) || lm_buf_len(&t->replies) + reply->text.n <= LM_REFUSALS)
    return true;
  lm_wire_fail(&s->wire, LM_E_LIMIT, "refusals", LM_NOSTR);
  return false;
}

/* A reply to MAIL, RCPT or DATA. True where the transaction ended with it. */
static bool settle_txn(struct lm_smtpc *s, const struct lm_smtp_slot *slot,
                       const struct lm_smtp_reply *reply, struct lm_smtpc_event *ev) {
  struct lm_smtp_txn *t = slot->txn;
  bool data = slot->line == t->nrcpt + 1, hopeless;
  if (!may_keep(s, t, reply)) return false;
  if (!lm_smtp_txn_answer(t, slot->line, reply)) {
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a reply", LM_NOSTR);
    return false;
  }
  if (data && reply->code == 354) {
    lm_smtp_begin_content(s, t);
    return false;
  }
  if (t->chunked) return settle_envelope(s, slot, reply, ev);
  hopeless = lm_smtp_txn_hopeless(t);
  if (!data && (t->emitted > t->nrcpt + 1 || !hopeless)) return false;
  return lm_smtp_reset_after(s, t, slot->line > 0) && end_txn(s, t, reply, ev);
}

/* True where the slot gets one reply for each recipient that was accepted (LMTP, RFC 2033 §4.2). */
static bool has_finals(const struct lm_smtpc *s, const struct lm_smtp_slot *slot) {
  bool ends = slot->kind == LM_SLOT_DOT || (slot->kind == LM_SLOT_BDAT && slot->line == 1);
  return s->lmtp && ends && !slot->txn->refused && (slot->txn->accepted || slot->txn->final);
}

/* Gives the reply to the next recipient. The slot stays until the last one has its own. */
static bool settle_final(struct lm_smtpc *s, const struct lm_smtp_slot *slot,
                         const struct lm_smtp_reply *reply, struct lm_smtpc_event *ev) {
  bool more = false;
  if (!may_keep(s, slot->txn, reply)) return false;
  if (!lm_smtp_txn_final(slot->txn, reply, &more)) {
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a reply", LM_NOSTR);
    return false;
  }
  if (more) return false;
  lm_buf_consume(&s->slots, sizeof *slot);
  return end_txn(s, slot->txn, reply, ev);
}

/* A reply to a chunk. After a refusal only RSET makes sure where the server stands (RFC 3030 §2). */
static bool settle_bdat(struct lm_smtpc *s, const struct lm_smtp_slot *slot,
                        const struct lm_smtp_reply *reply, struct lm_smtpc_event *ev) {
  struct lm_smtp_txn *t = slot->txn;
  bool last = slot->line == 1, lost = t->accepted == 0;
  t->chunks--;
  if (!lm_smtp_positive(reply)) {
    if (!lost && !lm_smtp_txn_refuse(t, LM_SMTP_AT_CONTENT, reply)) {
      lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a reply", LM_NOSTR);
      return false;
    }
    lm_smtp_stop_chunks(s, t);
  }
  if (!last && (t != s->halted || t->chunks)) return false;
  return lm_smtp_reset_after(s, t, !last || lost || t->refused) && end_txn(s, t, reply, ev);
}

static bool settle_dot(struct lm_smtpc *s, const struct lm_smtp_slot *slot,
                       const struct lm_smtp_reply *reply, struct lm_smtpc_event *ev) {
  if (slot->txn->accepted && !lm_smtp_positive(reply) &&
      !lm_smtp_txn_refuse(slot->txn, LM_SMTP_AT_CONTENT, reply)) {
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a reply", LM_NOSTR);
    return false;
  }
  return end_txn(s, slot->txn, reply, ev);
}

static bool settle_auth(struct lm_smtpc *s, const struct lm_smtp_slot *slot,
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
  lm_smtp_answer(s, NULL, true);
  return false;
}

static bool settle_line(struct lm_smtpc *s, const struct lm_smtp_slot *slot,
                        const struct lm_smtp_reply *reply, struct lm_smtpc_event *ev) {
  event(ev, LM_SMTPC_DONE, slot->id, reply);
  if (slot->kind == LM_SLOT_GREETING) ev->kind = LM_SMTPC_GREETING;
  if (slot->kind == LM_SLOT_QUIT) s->quit = true;
  if (slot->kind == LM_SLOT_EHLO && lm_smtp_positive(reply) &&
      !lm_smtp_ehlo_read(&s->ehlo, reply->text)) {
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for capabilities", LM_NOSTR);
    return false;
  }
  if (slot->kind == LM_SLOT_STARTTLS && reply->code == 220) {
    s->cut = true;
    ev->kind = LM_SMTPC_STARTTLS;
  }
  return !slot->muted && (slot->id || slot->kind == LM_SLOT_GREETING);
}

/* The server is about to close; what is outstanding learns why (RFC 5321 §3.8). */
static bool bye(const struct lm_smtp_reply *reply, struct lm_smtpc_event *ev) {
  event(ev, LM_SMTPC_BYE, 0, reply);
  return true;
}

/* A server may refuse a chunk before it has read all of it: the rest still has to leave (RFC 3030
** §2), from a copy, for the message is the caller's again. To be believed so early it must be a no. */
static bool refuses_early(struct lm_smtpc *s, const struct lm_smtp_slot *slot,
                          const struct lm_smtp_reply *reply) {
  struct lm_str rest = s->wire.lent;
  if (slot->kind != LM_SLOT_BDAT || slot->from > s->wire.gone || reply->code < 400) return false;
  s->wire.lent = LM_NOSTR;
  if (lm_buf_puts(&s->wire.out, rest)) return true;
  lm_wire_fail(&s->wire, LM_E_MEMORY, "room for output", LM_NOSTR);
  return false;
}

/* True where the oldest slot may have this reply now. */
static bool is_due(struct lm_smtpc *s, const struct lm_smtp_reply *reply) {
  const struct lm_smtp_slot *slot;
  if (lm_smtp_count_slots(s) == 0) return false;
  slot = lm_smtp_slot_at(s, 0);
  return slot->end <= s->wire.gone || refuses_early(s, slot, reply);
}

bool lm_smtp_settle(struct lm_smtpc *s, const struct lm_smtp_reply *reply,
                    struct lm_smtpc_event *ev) {
  struct lm_smtp_slot slot;
  bool ended;
  s->leaving = reply->code == 421;
  if (!is_due(s, reply)) {
    if (reply->code == 421 && !s->parted) return s->parted = bye(reply, ev);
    if (reply->code == 421) { /* it has said so, and would go on for ever */
      lm_wire_fail(&s->wire, LM_E_CLOSED, "more", LM_NOSTR);
      return false;
    }
    lm_wire_fail(&s->wire, LM_E_PROTOCOL, "no reply before its command", reply->text);
    return false;
  }
  slot = *lm_smtp_slot_at(s, 0);
  if (has_finals(s, &slot)) return settle_final(s, &slot, reply, ev);
  lm_buf_consume(&s->slots, sizeof slot);
  switch (slot.kind) {
  case LM_SLOT_TXN: ended = settle_txn(s, &slot, reply, ev); break;
  case LM_SLOT_DOT: return settle_dot(s, &slot, reply, ev);
  case LM_SLOT_BDAT: ended = settle_bdat(s, &slot, reply, ev); break;
  case LM_SLOT_AUTH: return settle_auth(s, &slot, reply, ev);
  default: ended = settle_line(s, &slot, reply, ev); break;
  }
  return ended || (reply->code == 421 && !lm_wire_failed(&s->wire) && bye(reply, ev));
}

bool lm_smtp_last_words(struct lm_smtpc *s, struct lm_smtpc_event *ev) {
  struct lm_smtp_txn *t = s->halted;
  struct lm_smtp_reply reply;
  if (t == NULL || s->wire.error.code != LM_E_CLOSED) return false;
  s->wire.lent = LM_NOSTR;
  reply = lm_smtp_txn_failure(t);
  return end_txn(s, t, &reply, ev);
}
