/*
** zlib_alloc_test.c: a compressed conversation in which the n-th allocation fails, for every n: it ends
** in a failure that names memory, and what was held is given back.
*/
#include "check.h"
#include "fail.h"
#include "zlib/deflate.h"

struct side {
  struct lm_wire wire;
  struct lm_link link;
};

static bool open_side(struct side *s) {
  struct lm_filter *f = lm_deflate_new();
  memset(s, 0, sizeof *s);
  lm_wire_init(&s->wire);
  s->link.wire = &s->wire;
  return f && lm_link_continue(&s->link, f);
}

static void close_side(struct side *s) {
  lm_link_free(&s->link);
  lm_wire_free(&s->wire);
}

static bool say(struct side *a, struct side *b, struct lm_str text) {
  struct lm_str out;
  if (!lm_wire_put(&a->wire, text)) return false;
  lm_link_turn(&a->link);
  out = lm_wire_output(lm_link_outer(&a->link));
  if (!lm_wire_feed(lm_link_outer(&b->link), out)) return false;
  lm_wire_sent(lm_link_outer(&a->link), out.n);
  lm_link_turn(&b->link);
  lm_link_turn(&b->link);
  if (!lm_str_eq(lm_wire_input(&b->wire), text)) return false;
  lm_wire_take(&b->wire, text.n);
  lm_wire_relax(&a->wire);
  lm_wire_relax(&b->wire);
  lm_link_turn(&a->link);
  return true;
}

static bool conversation(long n) {
  struct side a, b;
  bool ok;
  enum lm_code code;
  fail_at(n);
  ok = open_side(&a);
  ok = open_side(&b) && ok;
  ok = ok && say(&a, &b, LM_STR("A1 NOOP\r\n")) && say(&b, &a, LM_STR("A1 OK\r\n")) &&
       say(&a, &b, LM_STR("A2 NOOP\r\n"));
  fail_never();
  code = lm_wire_error(&a.wire)->code ? lm_wire_error(&a.wire)->code : lm_wire_error(&b.wire)->code;
  CHECK(ok == (refused == 0));
  CHECK(code == LM_E_NONE || code == LM_E_MEMORY);
  close_side(&a);
  close_side(&b);
  return refused != 0;
}

int main(void) {
  long n = 0;
  while (conversation(n)) n++;
  CHECK(n >= 10);
  return check_end();
}
