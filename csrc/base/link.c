/*
** link.c: a session's wire and the filters between it and the transport.
**
** Output moves inward to outward, input outward to inward, one pass each.
*/
#include "base/link.h"

#include <string.h>

static struct lm_wire *inner_of(struct lm_link *l, size_t i) {
  bool last = i + 1 == LM_LINK_FILTERS || l->filter[i + 1] == NULL;
  return last ? l->wire : &l->filter[i + 1]->outer;
}

struct lm_wire *lm_link_outer(struct lm_link *l) {
  return l->filter[0] ? &l->filter[0]->outer : l->wire;
}

static size_t count(const struct lm_link *l) {
  size_t n = 0;
  while (n < LM_LINK_FILTERS && l->filter[n]) n++;
  return n;
}

bool lm_link_turn(struct lm_link *l) {
  size_t before = lm_buf_len(&l->wire->in), n = count(l), i;
  bool ended = l->wire->eof || lm_wire_failed(l->wire);
  for (i = n; i-- > 0;) l->filter[i]->turn(l->filter[i], inner_of(l, i));
  for (i = 0; n > 1 && i < n; i++) l->filter[i]->turn(l->filter[i], inner_of(l, i));
  return lm_buf_len(&l->wire->in) != before || ended != (l->wire->eof || lm_wire_failed(l->wire));
}

void lm_link_brief(struct lm_link *l, bool brief) {
  size_t i;
  for (i = 0; i < LM_LINK_FILTERS && l->filter[i]; i++) l->filter[i]->brief = brief;
}

bool lm_link_insert(struct lm_link *l, struct lm_filter *f) {
  size_t n = count(l);
  struct lm_str early = lm_wire_input(l->wire);
  if (early.n == 0 && n < LM_LINK_FILTERS && !lm_wire_failed(l->wire)) {
    l->filter[n] = f;
    return true;
  }
  if (early.n) lm_wire_fail(l->wire, LM_E_PROTOCOL, "nothing before the TLS handshake", early);
  f->free(f);
  return false;
}

static bool take_input(struct lm_wire *from, struct lm_wire *to) {
  struct lm_str s = lm_wire_input(from);
  if (s.n && !lm_wire_feed(to, s)) {
    lm_wire_fail(from, LM_E_MEMORY, "room for input", LM_NOSTR);
    return false;
  }
  if (s.n) lm_wire_take(from, s.n);
  if (from->eof) lm_wire_eof(to);
  to->truncated = from->truncated;
  from->eof = from->truncated = false;
  return true;
}

bool lm_link_continue(struct lm_link *l, struct lm_filter *f) {
  size_t n = count(l);
  if (lm_wire_output(l->wire).n) {
    lm_wire_fail(l->wire, LM_E_PROTOCOL, "an answer to what was sent", LM_NOSTR);
  }
  if (n < LM_LINK_FILTERS && !lm_wire_failed(l->wire) && take_input(l->wire, &f->outer)) {
    l->filter[n] = f;
    return true;
  }
  f->free(f);
  return false;
}

bool lm_link_preface(struct lm_link *l, struct lm_str s) {
  struct lm_wire *w = lm_link_outer(l);
  struct lm_buf rest = w->out;
  bool ok;
  if (w->gone || w->lent.n) return false;
  memset(&w->out, 0, sizeof w->out);
  ok = lm_wire_put(w, s) && lm_buf_put(&w->out, lm_buf_str(&rest).p, lm_buf_len(&rest));
  lm_buf_free(&rest);
  return ok;
}

void lm_link_relax(struct lm_link *l) {
  size_t i;
  lm_wire_relax(l->wire);
  for (i = 0; i < LM_LINK_FILTERS && l->filter[i]; i++) {
    lm_wire_relax(&l->filter[i]->outer);
    if (l->filter[i]->relax) l->filter[i]->relax(l->filter[i]);
  }
}

void lm_link_free(struct lm_link *l) {
  size_t i;
  for (i = 0; i < LM_LINK_FILTERS; i++) {
    if (l->filter[i]) l->filter[i]->free(l->filter[i]);
    l->filter[i] = NULL;
  }
}
