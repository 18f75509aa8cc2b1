/*
** base_dot_test.c: dot-stuffing both ways against models of a few lines, for every text over
** {CR, LF, '.', 'a'} up to seven octets, cut at every place; and long texts around the block size of
** the bulk search.
*/
#include "base/dot.h"
#include "check.h"

enum { LONGEST = 7 };

/* --- models: one octet at a time ---------------------------------------------------------------- */

struct text {
  char p[256];
  size_t n;
};

static void add(struct text *t, const char *p, size_t n) {
  memcpy(t->p + t->n, p, n);
  t->n += n;
}

/* CRLF, bare CR and bare LF each end a line; the end is CRLF. Unless `plain`, a dot at a line's start is
** doubled and a lone dot comes last. */
static void model_out(struct text *out, struct lm_str s, bool plain) {
  bool start = true;
  size_t i;
  out->n = 0;
  for (i = 0; i < s.n; i++) {
    if (s.p[i] == '\r' || s.p[i] == '\n') {
      if (s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n') i++;
      add(out, "\r\n", 2);
      start = true;
      continue;
    }
    if (start && s.p[i] == '.' && !plain) add(out, ".", 1);
    add(out, s.p + i, 1);
    start = false;
  }
  if (!start) add(out, "\r\n", 2);
  if (!plain) add(out, ".\r\n", 3);
}

/* True where a CR or LF stands alone. */
static bool model_bare(struct lm_str s) {
  size_t i;
  for (i = 0; i < s.n; i++) {
    if (s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r')) return true;
    if (s.p[i] == '\r' && (i + 1 == s.n || s.p[i + 1] != '\n')) return true;
  }
  return false;
}

/* Reads lines that end in CRLF (or LF where `lf`), takes one dot off those that begin with one, and
** stops behind a line of one dot. True where it came; `used_out` is what was read. */
static bool model_in(struct text *out, struct lm_str s, bool lf, size_t *used_out) {
  size_t i = 0, from = 0;
  out->n = 0;
  for (; i < s.n; i++) {
    size_t end = i;
    if (s.p[i] != '\n') continue;
    if (i > from && s.p[i - 1] == '\r') {
      end = i - 1;
    } else if (!lf) {
      continue;
    }
    if (s.p[from] == '.' && end == from + 1) {
      *used_out = i + 1;
      return true;
    }
    if (s.p[from] == '.') from++;
    add(out, s.p + from, i + 1 - from);
    from = i + 1;
  }
  if (from < s.n && s.p[from] == '.') from++;
  add(out, s.p + from, s.n - from);
  *used_out = s.n;
  return false;
}

/* --- under test ----------------------------------------------------------------------------------- */

static void put_cut(struct lm_buf *out, struct lm_str s, size_t cut, bool plain) {
  struct lm_dotout d = {false, false, plain};
  CHECK(lm_dotout_put(&d, out, (struct lm_str){s.p, cut}));
  CHECK(lm_dotout_put(&d, out, (struct lm_str){s.p + cut, s.n - cut}));
  CHECK(lm_dotout_end(&d, out));
}

/* As the client sends what it lends: clean runs by hand, the rest through put. */
static void lend_all(struct lm_buf *out, struct lm_str s, bool plain) {
  struct lm_dotout d = {false, false, plain};
  while (s.n) {
    size_t n = lm_dotout_clean(&d, s);
    if (n) {
      CHECK(lm_buf_put(out, s.p, n));
      lm_dotout_sent(&d, s, n);
    } else {
      n = 1;
      CHECK(lm_dotout_put(&d, out, (struct lm_str){s.p, 1}));
    }
    s = (struct lm_str){s.p + n, s.n - n};
  }
  CHECK(lm_dotout_end(&d, out));
}

static void outward_as(struct lm_str s, bool plain) {
  struct lm_buf out = {NULL, 0, 0, 0};
  struct text wanted;
  size_t cut;
  model_out(&wanted, s, plain);
  for (cut = 0; cut <= s.n; cut++) {
    lm_buf_clear(&out);
    put_cut(&out, s, cut, plain);
    CHECK(lm_str_eq(lm_buf_str(&out), (struct lm_str){wanted.p, wanted.n}));
  }
  lm_buf_clear(&out);
  lend_all(&out, s, plain);
  CHECK(lm_str_eq(lm_buf_str(&out), (struct lm_str){wanted.p, wanted.n}));
  lm_buf_free(&out);
}

/* Bare line endings are told at every cut; what has none leaves, in chunks, as it is. */
static void bareness(struct lm_str s) {
  bool wanted = model_bare(s);
  size_t cut;
  for (cut = 0; cut <= s.n; cut++) {
    struct lm_dotout d = {false, false, true};
    bool bare = lm_dotout_is_bare(&d, (struct lm_str){s.p, cut}) ||
                lm_dotout_is_bare(&d, (struct lm_str){s.p + cut, s.n - cut}) || d.cr;
    CHECK(bare == wanted);
  }
}

static void outward(struct lm_str s) {
  outward_as(s, false);
  outward_as(s, true);
  bareness(s);
}

/* Feeds s in two pieces; the text to `out`. True where the end came; then `used_out` is right. */
static bool take_cut(struct lm_buf *out, struct lm_str s, size_t cut, bool lf, size_t *used_out) {
  struct lm_dotin d = {0, lf};
  size_t from[3] = {0, cut, s.n}, i;
  for (i = 0; i < 2; i++) {
    struct lm_str piece = {s.p + from[i], from[i + 1] - from[i]}, run;
    for (;;) {
      enum lm_dotin_more more = lm_dotin_next(&d, &piece, &run);
      CHECK(lm_buf_put(out, run.p, run.n));
      *used_out = (size_t)(piece.p - s.p);
      if (more == LM_DOT_END) return true;
      if (more == LM_DOT_MORE) break;
    }
    CHECK(piece.n == 0);
  }
  return false;
}

/* A dot at the very end, with or without its CR, is held back: its line decides. */
static bool same_text(const struct lm_buf *out, const struct text *wanted, struct lm_str s,
                      bool ended) {
  struct lm_str got = lm_buf_str(out);
  if (lm_str_eq(got, (struct lm_str){wanted->p, wanted->n})) return true;
  return !ended && s.p[s.n - 1] == '\r' &&
         lm_str_eq(got, (struct lm_str){wanted->p, wanted->n - 1});
}

static void inward(struct lm_str s, bool lf) {
  struct lm_buf out = {NULL, 0, 0, 0};
  struct text wanted;
  size_t cut, used, wanted_used;
  bool ends = model_in(&wanted, s, lf, &wanted_used);
  for (cut = 0; cut <= s.n; cut++) {
    lm_buf_clear(&out);
    CHECK(take_cut(&out, s, cut, lf, &used) == ends);
    CHECK(used == wanted_used);
    CHECK(same_text(&out, &wanted, s, ends));
  }
  lm_buf_free(&out);
}

static void every_text(void) {
  static const char letters[] = {'\r', '\n', '.', 'a'};
  char p[LONGEST];
  size_t n, i;
  unsigned long k, count = 1;
  for (n = 0; n <= LONGEST; n++, count *= 4) {
    for (k = 0; k < count; k++) {
      unsigned long rest = k;
      for (i = 0; i < n; i++, rest /= 4) p[i] = letters[rest % 4];
      outward((struct lm_str){p, n});
      inward((struct lm_str){p, n}, false);
      inward((struct lm_str){p, n}, true);
    }
  }
}

/* One pattern at every place of a text of `fill` long enough for whole blocks, and for four at a time. */
static void around_blocks(char fill) {
  static const char *const patterns[] = {"\r\n.",    "\n.",      "\r.",      "\r\n..\r\n", "\r\r\n",
                                         "\n\n",     "\r\n\r\n", ".\r\n",    "\r\n.\r\n",  "a\r",
                                         "\n.\r\n.", ".",        "\r\n.\rx", "\r\n.\n"};
  char p[150];
  size_t i, at;
  for (i = 0; i < sizeof patterns / sizeof *patterns; i++) {
    size_t n = strlen(patterns[i]);
    for (at = 0; at + n <= sizeof p; at++) {
      memset(p, fill, sizeof p);
      memcpy(p + at, patterns[i], n);
      outward((struct lm_str){p, sizeof p});
      inward((struct lm_str){p, sizeof p}, false);
      inward((struct lm_str){p, sizeof p}, true);
    }
  }
}

/* What lm_dotout_clean answers, octet by octet. */
static size_t model_clean(struct lm_str s, bool plain) {
  size_t i;
  if (s.p[0] == '\n' || (s.p[0] == '.' && !plain)) return 0;
  for (i = 1; i < s.n; i++) {
    if ((s.p[i] == '\n') != (s.p[i - 1] == '\r')) break;
    if (s.p[i] == '.' && s.p[i - 1] == '\n' && !plain) break;
  }
  return s.p[i - 1] == '\r' ? i - 1 : i;
}

/* One pattern at every place of texts that are scanned in the widest steps, and what these leave; each text in
** memory of its own, that nothing outside of it is read. */
static void around_steps(void) {
  static const char *const patterns[] = {"\n", "\r", "\r\n", "\n.", "\r\n.", "\r\n\r\n", "."};
  size_t i, at, length;
  for (length = 1; length <= 290; length++) {
    char *p = malloc(length);
    CHECK(p != NULL);
    for (i = 0; i < sizeof patterns / sizeof *patterns; i++) {
      size_t n = strlen(patterns[i]);
      for (at = 0; at + n <= length; at++) {
        static const struct lm_dotout usual = {false, false, false}, plain = {false, false, true};
        struct lm_str s = {p, length};
        size_t k;
        for (k = 0; k < length; k++) p[k] = k % 50 == 48 ? '\r' : k % 50 == 49 ? '\n' : 'x';
        memcpy(p + at, patterns[i], n);
        CHECK(lm_dotout_clean(&usual, s) == model_clean(s, false));
        CHECK(lm_dotout_clean(&plain, s) == model_clean(s, true));
      }
    }
    free(p);
  }
}

int main(void) {
  every_text();
  around_blocks('x');
  around_blocks('.');
  around_steps();
  return check_end();
}
