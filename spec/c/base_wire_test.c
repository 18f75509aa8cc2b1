/*
** base_wire_test.c: lines out of a wire at every cut, output put and lent, failures that stick, the
** trace, and a link whose filter changes every octet.
*/
#include "base/link.h"
#include "check.h"

static void lines(void) {
  static const char text[] = "one\r\ntwo\n\r\n\nfi\rve\r\r\nsix\0x\r\nrest";
  static const struct {
    struct lm_str line;
    bool lf;
  } wanted[] = {{{"one", 3}, false}, {{"two", 3}, true},       {{"", 0}, false},
                {{"", 0}, true},     {{"fi\rve\r", 6}, false}, {{"six\0x", 5}, false}};
  size_t cut, n = sizeof text - 1;
  for (cut = 0; cut <= n; cut++) {
    struct lm_wire w;
    struct lm_str line;
    size_t i = 0, piece;
    lm_wire_init(&w);
    for (piece = 0; piece < 2; piece++) {
      size_t from = piece ? cut : 0, to = piece ? n : cut;
      CHECK(lm_wire_feed(&w, (struct lm_str){text + from, to - from}));
      while (lm_wire_line(&w, 100, &line) == LM_EVENT) {
        CHECK(lm_str_eq(line, wanted[i].line) && w.lf_line == wanted[i].lf);
        i++;
      }
      CHECK(!lm_wire_failed(&w));
    }
    CHECK(i == 6 && is(lm_wire_input(&w), "rest"));
    lm_wire_eof(&w);
    CHECK(lm_wire_line(&w, 100, &line) == LM_FAIL && w.error.code == LM_E_CLOSED);
    CHECK(memcmp(w.error.seen, "rest", 4) == 0 && w.error.seen_n == 4);
    CHECK(!lm_wire_feed(&w, str("more")) && !lm_wire_put(&w, str("more")));
    lm_wire_free(&w);
  }
}

static void limits(void) {
  static const struct {
    const char *text;
    enum lm_status status;
  } rows[] = {{"1234\r\n", LM_EVENT}, {"12345\r\n", LM_FAIL}, {"12345", LM_WAIT},
              {"123456", LM_FAIL},    {"12345\n", LM_EVENT},  {"123456\n", LM_FAIL}};
  size_t i;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct lm_wire w;
    struct lm_str line;
    lm_wire_init(&w);
    lm_wire_feed(&w, str(rows[i].text));
    CHECK(lm_wire_line(&w, 5, &line) == rows[i].status);
    CHECK((w.error.code == LM_E_LIMIT) == (rows[i].status == LM_FAIL));
    lm_wire_free(&w);
  }
}

static void output(void) {
  struct lm_wire w;
  lm_wire_init(&w);
  CHECK(lm_wire_output(&w).n == 0);
  CHECK(lm_wire_put(&w, str("put")));
  lm_wire_lend(&w, str("lent"));
  CHECK(w.queued == 7 && is(lm_wire_output(&w), "put"));
  lm_wire_sent(&w, 2);
  CHECK(is(lm_wire_output(&w), "t"));
  lm_wire_sent(&w, 1);
  CHECK(is(lm_wire_output(&w), "lent"));
  lm_wire_sent(&w, 1);
  CHECK(is(lm_wire_output(&w), "ent") && w.gone == 4);
  lm_wire_sent(&w, 3);
  CHECK(lm_wire_output(&w).n == 0 && w.gone == w.queued);
  w.secret = lm_wire_put(&w, str("secret"));
  lm_wire_sent(&w, 6);
  CHECK(!w.secret && w.out.p == NULL);
  lm_wire_free(&w);
}

/* The first failure is kept, and nothing leaves after it. */
static void failures(void) {
  struct lm_wire w;
  lm_wire_init(&w);
  lm_wire_put(&w, str("x"));
  lm_wire_lend(&w, str("y"));
  w.secret = true;
  CHECK(lm_wire_fail(&w, LM_E_PROTOCOL, "first",
                     str("0123456789012345678901234567890123456789++")) == LM_FAIL);
  CHECK(lm_wire_fail(&w, LM_E_LIMIT, "second", LM_NOSTR) == LM_FAIL);
  CHECK(lm_wire_error(&w)->code == LM_E_PROTOCOL && strcmp(w.error.expected, "first") == 0);
  CHECK(w.error.seen_n == LM_SEEN_MAX && w.error.seen[LM_SEEN_MAX - 1] == '9');
  CHECK(lm_wire_output(&w).n == 0 && w.lent.n == 0 && !w.secret);
  CHECK(lm_wire_more(&w) == LM_FAIL);
  lm_wire_free(&w);
}

static void rooms(void) {
  struct lm_wire w;
  size_t got = 0, i;
  lm_wire_init(&w);
  for (i = 0; i < 20; i++) {
    char *p = lm_wire_room(&w, &got);
    CHECK(p != NULL && got >= w.grain);
    memset(p, 'x', got);
    lm_wire_fed(&w, got);
    lm_wire_take(&w, lm_wire_input(&w).n);
  }
  CHECK(w.grain == 262144);
  lm_wire_relax(&w);
  CHECK(w.in.p == NULL && w.out.p == NULL && w.grain == 4096);
  lm_wire_free(&w);
}

static void traced(void) {
  struct lm_wire w;
  lm_wire_init(&w);
  lm_wire_trace(&w, 'C', str("nobody listens"));
  CHECK(lm_wire_trace_on(&w) && lm_wire_trace_on(&w));
  lm_wire_trace(&w, 'C', str("NOOP"));
  lm_wire_trace(&w, 'S', str(""));
  CHECK(holds(w.trace, "CNOOP\nS\n"));
  lm_wire_free(&w);
}

/* --- a filter that flips the case of letters ------------------------------------------------------ */

static int freed;

static void flip(struct lm_wire *from, struct lm_wire *to, bool in) {
  struct lm_str s = in ? lm_wire_input(from) : lm_wire_output(from);
  size_t i, n = s.n;
  for (i = 0; i < n; i++) {
    char c = (char)(lm_is(s.p[i], LM_ALPHA) ? s.p[i] ^ 32 : s.p[i]);
    CHECK(in ? lm_wire_feed(to, (struct lm_str){&c, 1}) : lm_wire_put(to, (struct lm_str){&c, 1}));
  }
  if (in) {
    lm_wire_take(from, n);
    if (from->eof) lm_wire_eof(to);
  } else {
    lm_wire_sent(from, n);
  }
}

static void turn(struct lm_filter *f, struct lm_wire *inner) {
  flip(inner, &f->outer, false);
  flip(&f->outer, inner, true);
}

static void gone(struct lm_filter *f) {
  lm_wire_free(&f->outer);
  free(f);
  freed++;
}

static struct lm_filter *flipper(void) {
  struct lm_filter *f = calloc(1, sizeof *f);
  CHECK(f != NULL);
  lm_wire_init(&f->outer);
  f->turn = turn;
  f->free = gone;
  return f;
}

static void link_of_filters(void) {
  struct lm_wire w;
  struct lm_link l = {&w, {NULL, NULL}};
  lm_wire_init(&w);
  CHECK(lm_link_outer(&l) == &w && !lm_link_turn(&l));
  CHECK(lm_link_insert(&l, flipper()) && lm_link_outer(&l) != &w);
  lm_wire_put(&w, str("Out"));
  lm_wire_feed(lm_link_outer(&l), str("In"));
  CHECK(lm_link_turn(&l) && is(lm_wire_input(&w), "iN") &&
        is(lm_wire_output(lm_link_outer(&l)), "oUT"));
  lm_wire_take(&w, 2);
  lm_wire_sent(lm_link_outer(&l), 3);
  /* a second one stands inside the first: flipped twice, as it was */
  CHECK(lm_link_insert(&l, flipper()));
  lm_wire_put(&w, str("Out"));
  lm_wire_feed(lm_link_outer(&l), str("In"));
  CHECK(lm_link_turn(&l) && is(lm_wire_input(&w), "In") &&
        is(lm_wire_output(lm_link_outer(&l)), "Out"));
  lm_wire_take(&w, 2);
  /* there is no place for a third, and it is freed */
  CHECK(!lm_link_insert(&l, flipper()) && freed == 1 && !lm_wire_failed(&w));
  lm_wire_eof(lm_link_outer(&l));
  CHECK(lm_link_turn(&l) && w.eof && !lm_link_turn(&l));
  lm_link_relax(&l);
  lm_link_free(&l);
  CHECK(freed == 3 && l.filter[0] == NULL);
  lm_wire_free(&w);
}

/* Plaintext in front of a filter is an injection (RFC 3207 §6). */
static void injected(void) {
  struct lm_wire w;
  struct lm_link l = {&w, {NULL, NULL}};
  lm_wire_init(&w);
  lm_wire_feed(&w, str("2"));
  freed = 0;
  CHECK(!lm_link_insert(&l, flipper()) && freed == 1);
  CHECK(w.error.code == LM_E_PROTOCOL && l.filter[0] == NULL);
  lm_wire_free(&w);
}

int main(void) {
  lines();
  limits();
  output();
  failures();
  rooms();
  traced();
  link_of_filters();
  injected();
  return check_end();
}
