/*
** recipients.c: the envelope that a message's own header asks for.
*/
#include "mime/recipients.h"

#include "base/chars.h"
#include "mime/header.h"

enum role { NONE, FROM, SENDER, TO, BCC, OTHER_RESENT };

struct reader {
  struct lm_arena *arena;
  struct lm_recipients *out;
  struct lm_addr **tail;
  struct lm_span **cut_tail;
  struct lm_str from; /* raw values; p is NULL where the field is missing */
  struct lm_str sender;
};

/* What a field is for; *resent_out where its name begins with "Resent-". */
static enum role role_of(struct lm_str name, bool *resent_out) {
  *resent_out = lm_str_istarts(name, LM_STR("Resent-"));
  if (*resent_out) name = (struct lm_str){name.p + 7, name.n - 7};
  if (LM_IS(name, "From")) return FROM;
  if (LM_IS(name, "Sender")) return SENDER;
  if (LM_IS(name, "To") || LM_IS(name, "Cc")) return TO;
  if (LM_IS(name, "Bcc")) return BCC;
  return *resent_out ? OTHER_RESENT : NONE;
}

static bool refuse(struct reader *r, const char *why, struct lm_str field) {
  r->out->why = why;
  r->out->field = field;
  return false;
}

/* One address of a list, as strictly as an envelope wants it. */
static bool recipient(struct reader *r, const struct lm_addr *addr, struct lm_str field,
                      struct lm_addr *to) {
  struct lm_str spec;
  const char *why = NULL;
  if (!lm_addr_spec(r->arena, addr, &spec)) return false;
  if (!lm_addr_envelope(r->arena, spec, LM_ADDR_NULL_REFUSED, to, &why)) {
    return refuse(r, why, field);
  }
  r->out->utf8 = r->out->utf8 || to->utf8;
  return true;
}

static bool add_all(struct reader *r, const struct lm_header_field *f) {
  struct lm_addr_list list;
  const struct lm_addr *addr;
  if (!lm_addr_list(r->arena, f->value, &list)) return false;
  if (list.defects) return refuse(r, list.why, f->name);
  for (addr = list.first; addr; addr = addr->next) {
    struct lm_addr *to;
    if (addr->kind != LM_ADDR_MAILBOX) continue;
    if ((to = lm_arena_alloc(r->arena, sizeof *to)) == NULL) return false;
    if (!recipient(r, addr, f->name, to)) return false;
    *r->tail = to;
    r->tail = &to->next;
    r->out->count++;
  }
  return true;
}

static bool cut(struct reader *r, const struct lm_header_field *f) {
  struct lm_span *span = lm_arena_alloc(r->arena, sizeof *span);
  if (span == NULL) return false;
  *span = (struct lm_span){f->start, f->end, NULL};
  *r->cut_tail = span;
  r->cut_tail = &span->next;
  return true;
}

static bool take(struct reader *r, enum role role, const struct lm_header_field *f) {
  switch (role) {
  case FROM:
    if (r->from.p == NULL) r->from = f->value;
    return true;
  case SENDER:
    if (r->sender.p == NULL) r->sender = f->value;
    return true;
  case TO:
  case BCC: return add_all(r, f);
  default: return true;
  }
}

/* Fields of the topmost Resent- block: the first run of them, up to another field or to one that was
** there before, since a second block may follow at once. */
struct block {
  bool begun;
  bool ended;
  unsigned seen; /* bits of enum kind_of_resent */
};

static unsigned resent_bit(struct lm_str name) {
  static const char *const names[] = {"Resent-From",      "Resent-Sender", "Resent-To",
                                      "Resent-Cc",        "Resent-Bcc",    "Resent-Date",
                                      "Resent-Message-ID"};
  unsigned i;
  for (i = 0; i < sizeof names / sizeof *names; i++) {
    struct lm_str s = {names[i], 0};
    while (names[i][s.n]) s.n++;
    if (lm_str_ieq(name, s)) return 1u << i;
  }
  return 0;
}

static bool in_block(struct block *b, struct lm_str name, bool resent) {
  unsigned bit = resent_bit(name);
  if (b->ended || (!resent && !b->begun)) return false;
  b->begun = true;
  b->ended = !resent || (b->seen & bit) != 0;
  b->seen |= bit;
  return !b->ended;
}

static bool is_resent(struct lm_str message) {
  struct lm_header_walk w = lm_header_walk(message);
  struct lm_header_field f;
  while (lm_header_next(&w, &f)) {
    if (resent_bit(f.name)) return true;
  }
  return false;
}

static bool read_fields(struct reader *r, struct lm_str message) {
  struct lm_header_walk w = lm_header_walk(message);
  struct lm_header_field f;
  struct block block = {false, false, 0};
  bool was_resent = is_resent(message);
  while (lm_header_next(&w, &f)) {
    bool resent;
    enum role role = role_of(f.name, &resent);
    bool counts = was_resent ? in_block(&block, f.name, resent) : !resent;
    if (role == BCC && !cut(r, &f)) return false;
    if (counts && !take(r, role, &f)) return false;
  }
  r->out->body = w.at;
  return true;
}

/* The only mailbox of Sender, or of From. */
static bool read_from(struct reader *r) {
  struct lm_str value = r->sender.p ? r->sender : r->from;
  struct lm_str field = r->sender.p ? LM_STR("Sender") : LM_STR("From");
  struct lm_addr_list list;
  struct lm_addr from;
  if (value.p == NULL) return true;
  if (!lm_addr_list(r->arena, value, &list)) return false;
  if (list.defects) return refuse(r, list.why, field);
  if (list.count != 1 || list.first->kind != LM_ADDR_MAILBOX) {
    return refuse(r, list.count > 1 ? "more than one author and no Sender" : "no address", field);
  }
  return recipient(r, list.first, field, &from) && lm_addr_spec(r->arena, &from, &r->out->from);
}

bool lm_recipients(struct lm_arena *a, struct lm_str message, struct lm_recipients *out) {
  struct reader r = {a, out, &out->to, &out->cut, LM_NOSTR, LM_NOSTR};
  *out = (struct lm_recipients){LM_NOSTR, NULL, 0, NULL, 0, false, NULL, LM_NOSTR};
  return read_fields(&r, message) && read_from(&r);
}
