/*
** base_alloc_test.c: the n-th allocation fails: each call of base says so, changes nothing that it did
** not say, and leaks nothing.
*/
#include "base/arena.h"
#include "base/dot.h"
#include "base/text.h"
#include "base/wire.h"
#include "check.h"
#include "fail.h"

static bool put(struct lm_buf *b) {
  return lm_buf_put(b, "0123456789", 10);
}
static bool put_number(struct lm_buf *b) {
  return lm_buf_put_u64(b, 1234567890);
}
static bool encode(struct lm_buf *b) {
  return lm_base64_encode(b, LM_STR("abc"));
}
static bool decode(struct lm_buf *b) {
  return lm_base64_decode(b, LM_STR("YWJj")) == LM_BASE64_OK;
}
static bool hex(struct lm_buf *b) {
  return lm_hex_encode(b, LM_STR("abc"));
}
static bool stuff(struct lm_buf *b) {
  struct lm_dotout d = {false, false, false};
  return lm_dotout_put(&d, b, LM_STR(".a\nb\r")) && lm_dotout_end(&d, b);
}

/* Into an empty buffer, and into one whose memory is used up. */
static void buffers(void) {
  static bool (*const calls[])(struct lm_buf *) = {put, put_number, encode, decode, hex, stuff};
  size_t i, filled;
  for (i = 0; i < sizeof calls / sizeof *calls; i++) {
    for (filled = 0; filled <= 256; filled += 256) {
      struct lm_buf b = {NULL, 0, 0, 0};
      char *room = filled ? lm_buf_room(&b, filled) : NULL;
      if (room) memset(room, 'x', filled);
      lm_buf_added(&b, filled);
      fail_at(0);
      CHECK(!calls[i](&b));
      fail_never();
      CHECK(lm_buf_len(&b) == filled);
      CHECK(calls[i](&b) && lm_buf_len(&b) > filled);
      lm_buf_free(&b);
    }
  }
}

static void arenas(void) {
  struct lm_arena a = {NULL, 0};
  long nth;
  for (nth = 0; nth < 3; nth++) {
    int got = 0, i;
    fail_at(nth);
    for (i = 0; i < 3; i++) {
      if (lm_arena_alloc(&a, 100000)) got++;
    }
    CHECK(got == 2 || nth == 3);
    fail_never();
    lm_arena_free(&a);
  }
  fail_at(0);
  CHECK(lm_arena_copy(&a, LM_STR("x")).p == NULL);
  fail_at(0);
  CHECK(lm_arena_zero(&a, 1) == NULL);
  fail_never();
  lm_arena_free(&a);
}

static void wires(void) {
  struct lm_wire w;
  size_t got;
  lm_wire_init(&w);
  fail_at(0);
  CHECK(!lm_wire_feed(&w, LM_STR("x")) && w.error.code == LM_E_MEMORY);
  lm_wire_free(&w);
  lm_wire_init(&w);
  fail_at(0);
  CHECK(!lm_wire_put(&w, LM_STR("x")) && w.error.code == LM_E_MEMORY && w.queued == 0);
  lm_wire_free(&w);
  lm_wire_init(&w);
  fail_at(0);
  CHECK(lm_wire_room(&w, &got) == NULL && got == 0 && w.error.code == LM_E_MEMORY);
  lm_wire_free(&w);
  lm_wire_init(&w);
  fail_at(0);
  CHECK(!lm_wire_trace_on(&w));
  fail_never();
  CHECK(lm_wire_trace_on(&w));
  fail_at(0);
  lm_wire_trace(&w, 'C', LM_STR("lost, and nothing else is"));
  CHECK(!lm_wire_failed(&w) && lm_buf_len(w.trace) == 0);
  fail_never();
  lm_wire_free(&w);
}

int main(void) {
  buffers();
  arenas();
  wires();
  return check_end();
}
