/*
** base_buf_test.c: the buffer and the arena: what is put in comes out, whatever the order of growth
** and consumption; what is lent stays aligned and valid until it is given back.
*/
#include "base/arena.h"
#include "check.h"

/* A pseudo-random mix of appends and consumptions against a plain array. */
static void mixed(void) {
  static char all[200000];
  struct lm_buf b = {NULL, 0, 0, 0};
  size_t from = 0, to = 0;
  unsigned seed = 1;
  while (to + 600 < sizeof all) {
    size_t n = (seed = seed * 1103515245u + 12345u) >> 16 & 511, i;
    for (i = 0; i < n; i++) all[to + i] = (char)(to + i * 7);
    CHECK(lm_buf_put(&b, all + to, n));
    to += n;
    n = (seed = seed * 1103515245u + 12345u) >> 16 & 511;
    if (n > to - from) n = to - from;
    lm_buf_consume(&b, n);
    from += n;
    CHECK(lm_buf_len(&b) == to - from);
    CHECK(lm_str_eq(lm_buf_str(&b), (struct lm_str){all + from, to - from}));
    CHECK(b.cap < 65536); /* what was consumed is used again */
  }
  lm_buf_free(&b);
}

static void edges(void) {
  struct lm_buf b = {NULL, 0, 0, 0};
  char *room;
  CHECK(lm_buf_str(&b).n == 0 && lm_buf_str(&b).p != NULL);
  CHECK(lm_buf_put(&b, NULL, 0) && b.p == NULL);
  CHECK(lm_buf_room(&b, SIZE_MAX) == NULL && lm_buf_room(&b, SIZE_MAX / 2) == NULL);
  CHECK(lm_buf_putc(&b, 'a') && holds(&b, "a"));
  CHECK(lm_buf_room(&b, SIZE_MAX) == NULL && holds(&b, "a"));
  CHECK((room = lm_buf_room(&b, 1000)) != NULL);
  memset(room, 'b', 1000);
  lm_buf_added(&b, 3);
  CHECK(holds(&b, "abbb"));
  lm_buf_consume(&b, 4);
  CHECK(b.start == 0 && b.end == 0);
  lm_buf_clear(&b);
  lm_buf_wipe(&b);
  CHECK(b.p == NULL && b.cap == 0);
  lm_buf_wipe(&b);
  lm_buf_free(&b);
}

static void wiped(void) {
  char secret[16] = "secret";
  lm_wipe(secret, sizeof secret);
  CHECK(secret[0] == 0 && secret[5] == 0);
}

static void arena(void) {
  struct lm_arena a = {NULL, 0};
  const char *kept[400];
  size_t i, n;
  for (i = 0; i < 400; i++) {
    char *p = lm_arena_alloc(&a, n = i * 13 % 700);
    CHECK(p != NULL && (uintptr_t)p % 16 == 0);
    memset(p, (int)(i & 127), n);
    kept[i] = p;
  }
  for (i = 0; i < 400; i++) {
    for (n = 0; n < i * 13 % 700; n++) {
      if (kept[i][n] != (char)(i & 127)) CHECK(!"an object was overwritten");
    }
  }
  CHECK(is(lm_arena_copy(&a, str("text")), "text"));
  CHECK(lm_arena_copy(&a, LM_NOSTR).p != NULL);
  CHECK(((char *)lm_arena_zero(&a, 100000))[99999] == 0);
  CHECK(lm_arena_alloc(&a, SIZE_MAX) == NULL && lm_arena_alloc(&a, SIZE_MAX / 2) == NULL);
  lm_arena_reset(&a);
  CHECK(lm_arena_alloc(&a, 0) != NULL);
  lm_arena_free(&a);
  lm_arena_free(&a);
  lm_arena_reset(&a);
}

int main(void) {
  mixed();
  edges();
  wiped();
  arena();
  return check_end();
}
