/*
** beside.c: which commands may be in flight together, and whose answer a response is.
**
** RFC 9051 §5.5 lets a client send a command before the last one is answered unless that is
** ambiguous. Servers may tell the data of the second before they end the first, so the order of the
** tagged answers says nothing: two commands go together only where each response names its command,
** by the UID or number of a message or by the name of a mailbox.
*/
#include "base/text.h"
#include "imap/session.h"

/* Data that does not say what it is the answer to. */
#define G_NAMELESS                                                                                 \
  (LM_IMAP_G_SEARCH | LM_IMAP_G_LIST | LM_IMAP_G_OTHER | LM_IMAP_G_CAPABILITY |                    \
   LM_IMAP_G_ENABLED | LM_IMAP_G_EXPUNGE)

/* Data that names its mailbox. */
#define G_OF_A_MAILBOX (LM_IMAP_G_STATUS | LM_IMAP_G_ABOUT)

/* --- sets of messages ------------------------------------------------------------------------------- */

/* Keeps the set of a command whose answer is FETCH data. One that is no list of numbers ("$", or
** with "*" in it) stays empty and means any message. False when memory is short. */
bool lm_imapc_keep_set(struct lm_imapc_cmd *cmd, struct lm_str text) {
  enum lm_seqset_got got;
  if ((cmd->verb->collects & LM_IMAP_G_FETCH) == 0 || cmd->set.n) return true;
  got = lm_seqset_parse(&cmd->set, text);
  if (got != LM_SEQSET_OK || lm_seqset_is_open(&cmd->set)) lm_seqset_free(&cmd->set);
  lm_seqset_sort(&cmd->set);
  return got != LM_SEQSET_MEMORY;
}

static bool contains(const struct lm_seqset *set, uint32_t n) {
  return set->n == 0 || lm_seqset_has(set, n);
}

static bool overlap(const struct lm_seqset *a, const struct lm_seqset *b) {
  size_t i = 0, j = 0;
  while (i < a->n && j < b->n) {
    if (a->p[i].hi < b->p[j].lo) {
      i++;
    } else if (b->p[j].hi < a->p[i].lo) {
      j++;
    } else {
      return true;
    }
  }
  return a->n == 0 || b->n == 0;
}

/* --- side by side ----------------------------------------------------------------------------------- */

static bool by_number(const struct lm_imapc_cmd *cmd) {
  return (cmd->verb->flags & CMD_BY_SEQ) != 0;
}

/* Two commands whose answers are FETCH data. A body is handed out before its message is known. */
static bool same_messages(const struct lm_imapc_cmd *a, const struct lm_imapc_cmd *b) {
  if ((a->options | b->options) & LM_IMAPC_STREAM) return true;
  return by_number(a) != by_number(b) || overlap(&a->set, &b->set);
}

static bool joined(const struct lm_imapc_cmd *a, const struct lm_imapc_cmd *b) {
  return a->group != 0 && a->group == b->group;
}

/* True where the answers of the two could be taken for one another's, and it matters. */
bool lm_imapc_alike(const struct lm_imapc_cmd *a, const struct lm_imapc_cmd *b) {
  unsigned both = a->verb->collects & b->verb->collects,
           any = a->verb->collects | b->verb->collects;
  if (joined(a, b)) return false;
  if (a->returns && b->returns) both &= ~(unsigned)LM_IMAP_G_SEARCH;
  if (both & G_NAMELESS) return true;
  if ((both & LM_IMAP_G_FETCH) && same_messages(a, b)) return true;
  if ((both & LM_IMAP_G_CODE) && (any & LM_IMAP_G_EXPUNGE)) return true; /* COPYUID of MOVE */
  if ((both & G_OF_A_MAILBOX) == 0) return false;
  return (any & LM_IMAP_G_LIST) || a->mailbox == b->mailbox;
}

/* --- whose answer ----------------------------------------------------------------------------------- */

static bool in_flight(const struct lm_imapc_cmd *cmd) {
  return cmd->phase == PHASE_SENT || cmd->phase == PHASE_WAIT || cmd->phase == PHASE_CONTENT;
}

/* The oldest command in flight whose answer holds such data, or NULL. */
struct lm_imapc_cmd *lm_imapc_collector(const struct lm_imapc *s, unsigned group) {
  struct lm_imapc_cmd *cmd;
  for (cmd = s->first; cmd && in_flight(cmd); cmd = cmd->next) {
    if (cmd->verb->collects & group) return cmd;
  }
  return NULL;
}

/* The oldest in flight of the commands that `cmd` is joined with: what comes for one of them is told
** under its id. */
struct lm_imapc_cmd *lm_imapc_leader(const struct lm_imapc *s, struct lm_imapc_cmd *cmd) {
  struct lm_imapc_cmd *other = s->first;
  while (other != cmd && !joined(other, cmd)) other = other->next;
  return other;
}

bool lm_imapc_join(struct lm_imapc *s, uint32_t id, uint32_t with) {
  struct lm_imapc_cmd *cmd = lm_imapc_find(s, id), *first = lm_imapc_find(s, with);
  s->refusal = NULL;
  if (cmd == NULL || first == NULL || cmd->phase != PHASE_QUEUED || cmd->verb != first->verb) {
    return lm_imapc_refuse(s, "these commands cannot be joined") != 0;
  }
  if (first->group == 0) first->group = first->id;
  cmd->group = first->group;
  return true;
}

/* True where a later command in flight, not joined with it, takes FETCH data too. */
bool lm_imapc_has_company(const struct lm_imapc_cmd *cmd) {
  const struct lm_imapc_cmd *other;
  for (other = cmd->next; other && in_flight(other); other = other->next) {
    if ((other->verb->collects & LM_IMAP_G_FETCH) && !joined(cmd, other)) return true;
  }
  return false;
}

/* A mailbox's name in few bits: two of the same bits are not sent together. */
uint32_t lm_imapc_mailbox_mark(struct lm_str utf8) {
  uint32_t h = 2166136261u;
  size_t i;
  if (lm_str_ieq(utf8, LM_STR("INBOX"))) utf8 = LM_STR("INBOX");
  for (i = 0; i < utf8.n; i++) h = (h ^ (unsigned char)utf8.p[i]) * 16777619u;
  return h ? h : 1;
}

static bool names(const struct lm_imapc_cmd *cmd, const struct lm_imap_resp *resp) {
  const struct lm_imap_fetch *f = resp->fetch;
  if (f == NULL) {
    const struct lm_imap_value *name = lm_imap_field(&resp->value, "name");
    return name && cmd->mailbox == lm_imapc_mailbox_mark(lm_imap_text(name));
  }
  if (by_number(cmd)) return contains(&cmd->set, f->seq);
  return (f->has & LM_IMAP_HAS_UID) && contains(&cmd->set, f->uid);
}

/* Data that names a message or mailbox which the command did not ask for is news. What names nothing,
** and names of mailboxes that servers write in their own way, go to the one who waits. */
static bool is_foreign(const struct lm_imapc *s, const struct lm_imapc_cmd *cmd,
                       const struct lm_imap_resp *resp) {
  const struct lm_imap_fetch *f = resp->fetch;
  if (f == NULL) {
    return s->notify && resp->group == LM_IMAP_G_STATUS && !(cmd->verb->collects & LM_IMAP_G_LIST);
  }
  if (by_number(cmd)) return f->seq && !contains(&cmd->set, f->seq);
  return (f->has & LM_IMAP_HAS_UID) && f->uid && !contains(&cmd->set, f->uid);
}

/* Of the commands that wait for such data, the one that the response names; else the oldest, unless
** it names something else. */
struct lm_imapc_cmd *lm_imapc_owner(const struct lm_imapc *s, const struct lm_imap_resp *resp,
                                    unsigned group) {
  struct lm_imapc_cmd *first = lm_imapc_collector(s, group), *cmd = first;
  bool named = resp->fetch || ((group & G_OF_A_MAILBOX) && resp->value.kind == LM_VALUE_LIST);
  if (first == NULL || !named) return first;
  for (; cmd && in_flight(cmd); cmd = cmd->next) {
    if ((cmd->verb->collects & group) && names(cmd, resp)) return lm_imapc_leader(s, cmd);
  }
  return is_foreign(s, first, resp) ? NULL : first;
}
