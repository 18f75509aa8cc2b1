/*
** zlib_deflate_test.c: the DEFLATE filter against itself and against streams made by zlib alone: whole,
** octet by octet, cut, broken, ended, and swollen.
*/
#include <zlib.h>

#include "check.h"
#include "zlib/deflate.h"

/* A session's wire with the filter below it. */
struct side {
  struct lm_wire wire;
  struct lm_link link;
};

static void open_side(struct side *s) {
  struct lm_filter *f = lm_deflate_new();
  memset(s, 0, sizeof *s);
  lm_wire_init(&s->wire);
  s->link.wire = &s->wire;
  CHECK(f != NULL && lm_link_continue(&s->link, f));
}

static void close_side(struct side *s) {
  lm_link_free(&s->link);
  lm_wire_free(&s->wire);
}

/* Carries all that `a` has to send over to `b`, `step` octets at a time. */
static void carry(struct side *a, struct side *b, size_t step) {
  struct lm_str out;
  lm_link_turn(&a->link);
  while ((out = lm_wire_output(lm_link_outer(&a->link))).n) {
    if (out.n > step) out.n = step;
    CHECK(lm_wire_feed(lm_link_outer(&b->link), out));
    lm_wire_sent(lm_link_outer(&a->link), out.n);
    lm_link_turn(&b->link);
    lm_link_turn(&a->link);
  }
}

static void test_there_and_back(size_t step) {
  struct side a, b;
  int i;
  open_side(&a);
  open_side(&b);
  for (i = 0; i < 50; i++) {
    struct lm_str line = LM_STR("A1 UID FETCH 1:* (UID FLAGS MODSEQ ENVELOPE)\r\n");
    lm_wire_put(&a.wire, line);
    carry(&a, &b, step);
    EXPECT_TEXT(lm_wire_input(&b.wire), line, "each command arrives at once");
    lm_wire_take(&b.wire, line.n);
    if (i % 7 == 0) lm_wire_relax(&a.wire); /* the compressor goes, and comes again */
  }
  EXPECT(lm_deflate_count(lm_deflate_find(&a.link)).out ==
         lm_deflate_count(lm_deflate_find(&b.link)).in);
  EXPECT(lm_deflate_count(lm_deflate_find(&b.link)).in_plain == 50 * 46);
  close_side(&a);
  close_side(&b);
}

/* A megabyte that does not compress, lent and not copied. */
static void test_noise(void) {
  enum { SIZE = 1000000 };
  struct side a, b;
  char *p = malloc(SIZE);
  uint32_t seed = 1;
  size_t i, got = 0;
  bool same = true;
  CHECK(p != NULL);
  for (i = 0; i < SIZE; i++) p[i] = (char)(seeded(&seed) >> 8);
  open_side(&a);
  open_side(&b);
  lm_wire_lend(&a.wire, (struct lm_str){p, SIZE});
  for (i = 0; i < 10000 && got < SIZE; i++) {
    struct lm_str in;
    carry(&a, &b, 5000);
    lm_link_turn(&b.link);
    in = lm_wire_input(&b.wire);
    same = same && in.n <= SIZE - got && memcmp(in.p, p + got, in.n) == 0;
    got += in.n;
    lm_wire_take(&b.wire, in.n);
  }
  EXPECT(same && got == SIZE);
  close_side(&a);
  close_side(&b);
  free(p);
}

/* A raw stream of `text`, ended or only flushed. The caller frees it. */
static struct lm_str packed(struct lm_str text, int flush) {
  z_stream z;
  char *p = malloc(text.n + 1000);
  memset(&z, 0, sizeof z);
  CHECK(p && deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY) == Z_OK);
  z.next_in = (z_const Bytef *)(uintptr_t)text.p;
  z.avail_in = (uInt)text.n;
  z.next_out = (Bytef *)p;
  z.avail_out = (uInt)text.n + 1000;
  deflate(&z, flush);
  text = (struct lm_str){p, z.total_out};
  deflateEnd(&z);
  return text;
}

static void feed(struct side *s, struct lm_str bytes) {
  lm_wire_feed(lm_link_outer(&s->link), bytes);
  lm_link_turn(&s->link);
}

static void drop(struct lm_str made) {
  free((void *)(uintptr_t)made.p);
}

static void test_ends(void) {
  struct lm_str text = LM_STR("* BYE done\r\n"), ended = packed(text, Z_FINISH),
                flushed = packed(text, Z_SYNC_FLUSH);
  struct side s;
  open_side(&s); /* the peer's blocks end: so does his speech */
  feed(&s, ended);
  EXPECT_TEXT(lm_wire_input(&s.wire), text, "ended");
  EXPECT(s.wire.eof && !s.wire.truncated && !lm_wire_failed(&s.wire));
  feed(&s, LM_STR("x"));
  lm_link_turn(&s.link);
  EXPECT(lm_wire_error(&s.wire)->code == LM_E_PROTOCOL);
  close_side(&s);
  open_side(&s); /* the stream ends behind a flush */
  feed(&s, flushed);
  lm_wire_eof(lm_link_outer(&s.link));
  lm_link_turn(&s.link);
  EXPECT(s.wire.eof && !lm_wire_failed(&s.wire));
  EXPECT_TEXT(lm_wire_input(&s.wire), text, "flushed");
  close_side(&s);
  open_side(&s); /* below it something was cut */
  lm_link_outer(&s.link)->truncated = true;
  lm_wire_eof(lm_link_outer(&s.link));
  lm_link_turn(&s.link);
  EXPECT(s.wire.eof && s.wire.truncated);
  close_side(&s);
  drop(ended);
  drop(flushed);
}

static void test_broken(void) {
  struct lm_str good = packed(LM_STR("* OK good\r\n"), Z_SYNC_FLUSH);
  struct side s;
  open_side(&s);
  feed(&s, good);
  feed(&s, LM_STR("\377\377\377\377"));
  EXPECT_TEXT(lm_wire_input(&s.wire), LM_STR("* OK good\r\n"), "what came before is kept");
  lm_link_turn(&s.link);
  EXPECT(lm_wire_error(&s.wire)->code == LM_E_PROTOCOL);
  lm_link_turn(&s.link); /* dead is dead */
  close_side(&s);
  open_side(&s); /* no stream at all */
  feed(&s, LM_STR("A1 OK plain\r\n"));
  lm_link_turn(&s.link);
  EXPECT(lm_wire_failed(&s.wire));
  close_side(&s);
  drop(good);
}

/* Lines of blanks: a thousand octets from one. In time the credit is spent, however they are read. */
static void test_bomb(void) {
  struct lm_str blanks = repeat(" ", 8000000), bomb = packed(blanks, Z_SYNC_FLUSH);
  size_t most = 0, rounds = 0;
  uint64_t all = 0;
  struct side s;
  open_side(&s);
  while (rounds < 1000 && !lm_wire_failed(&s.wire)) {
    size_t n = lm_wire_input(&s.wire).n;
    if (n > most) most = n;
    all += n;
    lm_wire_take(&s.wire, n);
    if (!lm_link_turn(&s.link)) {
      feed(&s, bomb);
      rounds++;
    }
  }
  EXPECT(lm_wire_error(&s.wire)->code == LM_E_LIMIT);
  EXPECT(all > LM_INFLATE_CREDIT / 2 && all < 2 * (uint64_t)LM_INFLATE_CREDIT);
  EXPECT(most <= 2 * LM_INFLATE_TURN); /* in slices, and never ahead of who reads */
  close_side(&s);
  free((void *)(uintptr_t)blanks.p);
  drop(bomb);
}

/* Nothing is taken from whoever does not read. */
static void test_unread(void) {
  struct lm_str blanks = repeat("* 1 EXISTS\r\n", 4000000), made = packed(blanks, Z_SYNC_FLUSH);
  struct side s;
  int i;
  open_side(&s);
  feed(&s, made);
  for (i = 0; i < 4; i++) lm_link_turn(&s.link);
  EXPECT(lm_wire_input(&s.wire).n <= 6 * (size_t)LM_INFLATE_TURN);
  close_side(&s);
  free((void *)(uintptr_t)blanks.p);
  drop(made);
}

/* The octets behind the OK are the stream's; plaintext that was not sent yet is lost: a failure. */
static void test_insert(void) {
  struct lm_str text = LM_STR("* 3 EXISTS\r\n"), made = packed(text, Z_SYNC_FLUSH);
  struct side s;
  memset(&s, 0, sizeof s);
  lm_wire_init(&s.wire);
  s.link.wire = &s.wire;
  lm_wire_feed(&s.wire, made);
  CHECK(lm_link_continue(&s.link, lm_deflate_new()));
  lm_link_turn(&s.link);
  EXPECT_TEXT(lm_wire_input(&s.wire), text, "behind the OK");
  close_side(&s);
  memset(&s, 0, sizeof s);
  lm_wire_init(&s.wire);
  s.link.wire = &s.wire;
  lm_wire_put(&s.wire, LM_STR("A2 COMPRESS DEFLATE\r\n"));
  EXPECT(!lm_link_continue(&s.link, lm_deflate_new()));
  EXPECT(lm_wire_error(&s.wire)->code == LM_E_PROTOCOL);
  close_side(&s);
  drop(made);
}

int main(void) {
  test_there_and_back(1);
  test_there_and_back(100000);
  test_noise();
  test_ends();
  test_broken();
  test_bomb();
  test_unread();
  test_insert();
  return check_end();
}
