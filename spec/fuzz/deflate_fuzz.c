/*
** deflate_fuzz.c: any octets as a compressed stream, cut anywhere; and any text outward and inward again.
**
** What holds for all input: cut or whole, the same text comes out up to the same end; no turn makes more
** than it may; what one side has put, the other reads, whole and at once.
*/
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "zlib/deflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok) {
  if (!ok) abort();
}

struct side {
  struct lm_wire wire;
  struct lm_link link;
  struct lm_buf text; /* all that came */
};

static void open_side(struct side *s) {
  struct lm_filter *f = lm_deflate_new();
  memset(s, 0, sizeof *s);
  lm_wire_init(&s->wire);
  s->link.wire = &s->wire;
  must(f && lm_link_continue(&s->link, f));
}

static void close_side(struct side *s) {
  lm_link_free(&s->link);
  lm_wire_free(&s->wire);
  lm_buf_free(&s->text);
}

/* Takes all that has come, a turn at a time. */
static void read_all(struct side *s) {
  bool more = true;
  while (more && lm_buf_len(&s->text) < 16 * (size_t)LM_INFLATE_TURN) {
    struct lm_str in;
    more = lm_link_turn(&s->link);
    in = lm_wire_input(&s->wire);
    must(in.n <= 2 * (size_t)LM_INFLATE_TURN);
    must(lm_buf_put(&s->text, in.p, in.n));
    lm_wire_take(&s->wire, in.n);
  }
}

static void inward(struct side *s, struct lm_str data, size_t cut) {
  open_side(s);
  lm_wire_feed(lm_link_outer(&s->link), (struct lm_str){data.p, cut});
  read_all(s);
  lm_wire_feed(lm_link_outer(&s->link), (struct lm_str){data.p + cut, data.n - cut});
  read_all(s);
  lm_wire_eof(lm_link_outer(&s->link));
  read_all(s);
}

static void any_stream(struct lm_str data, size_t cut) {
  struct side whole, parts;
  inward(&whole, data, data.n);
  inward(&parts, data, cut);
  must(lm_str_eq(lm_buf_str(&whole.text), lm_buf_str(&parts.text)));
  must(lm_wire_error(&whole.wire)->code == lm_wire_error(&parts.wire)->code);
  must(whole.wire.eof || lm_wire_failed(&whole.wire) ||
       lm_buf_len(&whole.text) >= 16 * (size_t)LM_INFLATE_TURN);
  close_side(&whole);
  close_side(&parts);
}

static void hand_over(struct side *from, struct side *to, struct lm_str text) {
  struct lm_str out;
  must(lm_wire_put(&from->wire, text));
  lm_link_turn(&from->link);
  while ((out = lm_wire_output(lm_link_outer(&from->link))).n) {
    must(lm_wire_feed(lm_link_outer(&to->link), out));
    lm_wire_sent(lm_link_outer(&from->link), out.n);
    lm_link_turn(&from->link);
  }
  lm_wire_relax(&from->wire);
  lm_link_turn(&from->link);
  read_all(to);
}

static void any_text(struct lm_str data, size_t cut) {
  struct side a, b;
  open_side(&a);
  open_side(&b);
  hand_over(&a, &b, (struct lm_str){data.p, cut});
  must(lm_buf_len(&b.text) == cut);
  hand_over(&a, &b, (struct lm_str){data.p + cut, data.n - cut});
  must(lm_str_eq(lm_buf_str(&b.text), data));
  close_side(&a);
  close_side(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct lm_str s = {(const char *)data, n};
  size_t cut = n ? data[0] % (n + 1) : 0;
  if (n > 65536) return 0;
  any_stream(s, cut);
  any_text(s, cut);
  return 0;
}
