/*
** mime_transfer_test.c: transfer encodings: what is forgiven, cuts into pieces, levels of vectors.
**
** Each input is played at every level that this machine has, whole, octet by octet and in seeded cuts;
** result and defects must be those of plain C over the whole.
*/
#include "mime/transfer.h"

#include "check.h"

static const enum lm_vector levels[] = {LM_VECTOR_NONE, LM_VECTOR_NEON, LM_VECTOR_SSSE3,
                                        LM_VECTOR_AVX2};

/* The levels between plain C and the best of this machine can be run, too. */
static bool runs(enum lm_vector level) {
  enum lm_vector best = lm_vector_best();
  return level <= best && (level != LM_VECTOR_NEON || best == LM_VECTOR_NEON);
}

/* --- playing ------------------------------------------------------------------------------------ */

/* How a text is cut: 0 = not at all, 1 = octet by octet, else a seed. */
static size_t cut(uint32_t *seed, size_t left) {
  size_t n = *seed == 0 ? left : *seed == 1 ? 1 : seeded(seed) % 150;
  return n < left ? n : left;
}

static struct lm_buf decoded(enum lm_transfer how, enum lm_vector level, struct lm_str s,
                             uint32_t seed, size_t *defects) {
  struct lm_decoder d;
  struct lm_buf out = {NULL, 0, 0, 0};
  lm_decoder_init(&d, how);
  d.level = level;
  while (s.n) {
    size_t n = cut(&seed, s.n);
    char *copy = malloc(n + 1); /* a sanitizer sees each octet beyond a piece */
    memcpy(copy, s.p, n);
    CHECK(lm_decoder_put(&d, &out, (struct lm_str){copy, n}));
    free(copy);
    s = (struct lm_str){s.p + n, s.n - n};
  }
  CHECK(lm_decoder_end(&d, &out));
  *defects = d.defects;
  return out;
}

static struct lm_buf encoded(enum lm_transfer how, bool text, enum lm_vector level, struct lm_str s,
                             uint32_t seed) {
  struct lm_encoder e;
  struct lm_buf out = {NULL, 0, 0, 0};
  lm_encoder_init(&e, how, text);
  e.level = level;
  while (s.n) {
    size_t n = cut(&seed, s.n);
    char *copy = malloc(n + 1);
    memcpy(copy, s.p, n);
    CHECK(lm_encoder_put(&e, &out, (struct lm_str){copy, n}));
    free(copy);
    s = (struct lm_str){s.p + n, s.n - n};
  }
  CHECK(lm_encoder_end(&e, &out));
  return out;
}

static void same_decoded(enum lm_transfer how, struct lm_str s) {
  size_t want_defects, defects, i, k;
  struct lm_buf want = decoded(how, LM_VECTOR_NONE, s, 0, &want_defects);
  for (i = 0; i < sizeof levels / sizeof *levels; i++) {
    static const uint32_t seeds[] = {0, 1, 77, 4711};
    if (!runs(levels[i])) continue;
    for (k = 0; k < 4; k++) {
      struct lm_buf got = decoded(how, levels[i], s, seeds[k], &defects);
      EXPECT_TEXT(lm_buf_str(&got), lm_buf_str(&want), NULL);
      EXPECT(defects == want_defects);
      lm_buf_free(&got);
    }
  }
  lm_buf_free(&want);
}

static void same_encoded(enum lm_transfer how, bool text, struct lm_str s) {
  size_t i, k;
  struct lm_buf want = encoded(how, text, LM_VECTOR_NONE, s, 0);
  for (i = 0; i < sizeof levels / sizeof *levels; i++) {
    static const uint32_t seeds[] = {0, 1, 77, 4711};
    if (!runs(levels[i])) continue;
    for (k = 0; k < 4; k++) {
      struct lm_buf got = encoded(how, text, levels[i], s, seeds[k]);
      EXPECT_TEXT(lm_buf_str(&got), lm_buf_str(&want), NULL);
      lm_buf_free(&got);
    }
  }
  lm_buf_free(&want);
}

/* --- decoding ----------------------------------------------------------------------------------- */

#define S60 "                                                            "

static const struct {
  enum lm_transfer how;
  const char *in;
  const char *out;
  size_t defects;
} rows[] = {
    {LM_TRANSFER_IDENTITY, "a =41\r\nQUJD", "a =41\r\nQUJD", 0},
    {LM_TRANSFER_BASE64, "", "", 0},
    {LM_TRANSFER_BASE64, "QUJD", "ABC", 0},
    {LM_TRANSFER_BASE64, "QUI=", "AB", 0},
    {LM_TRANSFER_BASE64, "QQ==", "A", 0},
    {LM_TRANSFER_BASE64, "QUJDQUI=\r\n", "ABCAB", 0},
    {LM_TRANSFER_BASE64, "Q\nU J\tD\r\n\r\n", "ABC", 0}, /* white space anywhere */
    {LM_TRANSFER_BASE64, "QUI", "AB", 1},                /* no padding */
    {LM_TRANSFER_BASE64, "QQ", "A", 1},
    {LM_TRANSFER_BASE64, "QQ=", "A", 1},
    {LM_TRANSFER_BASE64, "QUJDQ", "ABC", 1},           /* six bits are no octet */
    {LM_TRANSFER_BASE64, "QUJDQ=", "ABC", 1},          /* ... with padding */
    {LM_TRANSFER_BASE64, "QQ==QUI=QUJD", "AABABC", 2}, /* padding in the middle */
    {LM_TRANSFER_BASE64, "QQ=QUJD", "AABC", 1},
    {LM_TRANSFER_BASE64, "QQ==\r\nQQ==\r\n", "AA", 1},
    {LM_TRANSFER_BASE64, "QQ===", "A", 1},
    {LM_TRANSFER_BASE64, "=QUJD", "ABC", 1},
    {LM_TRANSFER_BASE64, "QUJD====", "ABC", 4},
    {LM_TRANSFER_BASE64, "Q!U*J-D", "ABC", 3}, /* garbage */
    {LM_TRANSFER_BASE64, "QU\xC3\xBCJD", "ABC", 2},
    {LM_TRANSFER_BASE64, "QUJD.\r\n--\r\nQUJD", "ABCABC", 3},
    {LM_TRANSFER_BASE64, "+/+/", "\xFB\xFF\xBF", 0},
    {LM_TRANSFER_QP, "plain", "plain", 0},
    {LM_TRANSFER_QP, "a=C3=BCb",
     "a\xC3\xBC"
     "b",
     0},
    {LM_TRANSFER_QP, "=c3=bc", "\xC3\xBC", 0}, /* lower case */
    {LM_TRANSFER_QP, "a=\r\nb", "ab", 0},      /* soft line breaks */
    {LM_TRANSFER_QP, "a=\nb", "ab", 0},
    {LM_TRANSFER_QP, "a= \t\r\nb", "ab", 0},
    {LM_TRANSFER_QP, "a=\r\n=\r\n=\r\nb", "ab", 0},
    {LM_TRANSFER_QP, "a=", "a", 0},
    {LM_TRANSFER_QP, "a= ", "a", 0},
    {LM_TRANSFER_QP, "a=\r", "a", 0},
    {LM_TRANSFER_QP, "a=\rb", "a=\rb", 1},
    {LM_TRANSFER_QP, "a= b", "a= b", 1}, /* broken escapes stay */
    {LM_TRANSFER_QP, "a=4", "a=4", 1},
    {LM_TRANSFER_QP, "a=4=41", "a=4A", 1},
    {LM_TRANSFER_QP, "==41", "=A", 1},
    {LM_TRANSFER_QP, "=XY=41", "=XYA", 1},
    {LM_TRANSFER_QP, "=4X", "=4X", 1},
    {LM_TRANSFER_QP, "a=b c=d", "a=b c=d", 2},
    {LM_TRANSFER_QP, "=\xC3\xBC", "=\xC3\xBC", 1},
    {LM_TRANSFER_QP, "a  \r\nb", "a\r\nb", 0}, /* white space at the end of a line */
    {LM_TRANSFER_QP, "a \t\nb \r\n", "a\nb\r\n", 0},
    {LM_TRANSFER_QP, "a \r\n \r\n \t\r\nb ", "a\r\n\r\n\r\nb", 0},
    {LM_TRANSFER_QP, "a=20\r\nb", "a \r\nb", 0},
    {LM_TRANSFER_QP, "a=20 \r\nb", "a \r\nb", 0},
    {LM_TRANSFER_QP, "a \rb", "a \rb", 0}, /* a lone CR ends no line */
    {LM_TRANSFER_QP, "a \r", "a \r", 0},
    {LM_TRANSFER_QP, "a \r\r\n", "a \r\r\n", 0},
    {LM_TRANSFER_QP, "a  b", "a  b", 0},
    {LM_TRANSFER_QP, "a =\r\nb", "a b", 0},
    {LM_TRANSFER_QP, "a" S60 "\r\nb", "a\r\nb", 0},
    {LM_TRANSFER_QP, "a" S60 " \r\nb", "a" S60 " \r\nb", 0}, /* longer than can be held */
    {LM_TRANSFER_QP, "a" S60 "   \r\nb", "a" S60 " \r\nb", 0},
    {LM_TRANSFER_QP, "a=" S60 "\r\nb", "ab", 0},
    {LM_TRANSFER_QP, "a=" S60 " \r\nb", "a=" S60 " \r\nb", 1},
    {LM_TRANSFER_QP, "\xFF\x80 raw", "\xFF\x80 raw", 0},
    {LM_TRANSFER_UU, "begin 644 f\r\n#0V%T\r\n`\r\nend\r\n", "Cat", 0},
    {LM_TRANSFER_UU, "begin 644 f\n#0V%T\n \nend\n", "Cat", 0},
    {LM_TRANSFER_UU, "begin 644 f\n#0V%T\nend", "Cat", 0},
    {LM_TRANSFER_UU, "begin 644 f\n\"0V$\nend\n", "Ca", 1}, /* a space was cut */
    {LM_TRANSFER_UU, "begin 644 f\n#0V%T*checksum\n\nend\n", "Cat", 0},
    {LM_TRANSFER_UU, "text\nmore\n\nbegin 644 f\n#0V%T\n`\nend\n", "Cat", 2},
    {LM_TRANSFER_UU, "beg\nbegin 644 f\n#0V%T\n`\nend\ntext", "Cat", 1},
    {LM_TRANSFER_UU, "begin 644 f\n#0V%T\n`\n", "Cat", 1}, /* no end */
    {LM_TRANSFER_UU, "begin 644 f\n#0V%T\nzzz\nex\nend\n", "Cat", 2},
    {LM_TRANSFER_UU, "#0V%T\n`\nend\n", "", 4},
    {LM_TRANSFER_UU, "begin 644 f\n#0V%\xFFT\nend\n", "Cat", 1},
    {LM_TRANSFER_UU, "begin 644 f\n#____\n#    \nend\n", "\xFF\xFF\xFF\0\0\0", 0},
};

static void test_rows(void) {
  size_t i;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t defects;
    struct lm_buf out = decoded(rows[i].how, LM_VECTOR_NONE, str(rows[i].in), 0, &defects);
    struct lm_str want = str(rows[i].out);
    if (i + 1 == sizeof rows / sizeof *rows) want.n = 6;
    EXPECT_TEXT(lm_buf_str(&out), want, rows[i].in);
    if (!EXPECT_ROW(defects == rows[i].defects, "defects", rows[i].in)) {
      fprintf(stderr, "  %zu\n", defects);
    }
    lm_buf_free(&out);
    same_decoded(rows[i].how, str(rows[i].in));
  }
}

/* Every row with ordinary text of every length before it, so that it stands at each place of a
** vector. */
static void test_block_edges(void) {
  size_t i, n;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    const char *filler = rows[i].how == LM_TRANSFER_BASE64 ? "QUJD" : "text ";
    if (rows[i].how != LM_TRANSFER_BASE64 && rows[i].how != LM_TRANSFER_QP) continue;
    for (n = 0; n < 100; n += 1 + n / 70) {
      char text[512];
      struct lm_str front = repeat(filler, n), back = repeat(filler, 90);
      snprintf(text, sizeof text, "%s%s%s", front.p, rows[i].in, back.p);
      same_decoded(rows[i].how, str(text));
      free((void *)(uintptr_t)front.p);
      free((void *)(uintptr_t)back.p);
    }
  }
}

/* Text of pieces that matter to the machines, in any order. */
static size_t jumble(uint32_t *state, char *text, size_t room) {
  static const char *const pieces[] = {"=",
                                       " ",
                                       "\t",
                                       "\r",
                                       "\n",
                                       "\r\n",
                                       "=\r\n",
                                       "41",
                                       "zz",
                                       "Q",
                                       "QUJDQUJDQUJDQUJDQUJDQUJD",
                                       "=C3",
                                       "some ordinary text, and more of it",
                                       "\xC3",
                                       "==",
                                       "/+",
                                       "begin ",
                                       "end\n",
                                       "M"};
  size_t n = 0, want = seeded(state) % room;
  uint32_t kinds = seeded(state) | 1;
  while (n < want) {
    uint32_t k = seeded(state) % (sizeof pieces / sizeof *pieces);
    size_t len = strlen(pieces[k]);
    if (!(kinds >> k & 1)) continue;
    if (n + len > room) break;
    memcpy(text + n, pieces[k], len);
    n += len;
  }
  return n;
}

static void test_jumbles(void) {
  uint32_t state = 2026;
  unsigned round;
  for (round = 0; round < 1500; round++) {
    char text[600];
    struct lm_str s = {text, jumble(&state, text, sizeof text)};
    same_decoded(LM_TRANSFER_BASE64, s);
    same_decoded(LM_TRANSFER_QP, s);
    if (round % 8 == 0) same_decoded(LM_TRANSFER_UU, s);
    same_encoded(LM_TRANSFER_QP, round & 1, s);
    same_encoded(LM_TRANSFER_IDENTITY, true, s);
  }
}

/* --- encoding ----------------------------------------------------------------------------------- */

static const struct {
  enum lm_transfer how;
  bool text;
  const char *in;
  const char *out;
} written[] = {
    {LM_TRANSFER_BASE64, false, "", ""},
    {LM_TRANSFER_BASE64, false, "A", "QQ==\r\n"},
    {LM_TRANSFER_BASE64, false, "AB", "QUI=\r\n"},
    {LM_TRANSFER_BASE64, false, "ABC", "QUJD\r\n"},
    {LM_TRANSFER_QP, true, "", ""},
    {LM_TRANSFER_QP, true, "a=b", "a=3Db\r\n"},
    {LM_TRANSFER_QP, true, "a\nb\rc\r\n", "a\r\nb\r\nc\r\n"},
    {LM_TRANSFER_QP, true, "a \nb\t", "a=20\r\nb=09\r\n"},
    {LM_TRANSFER_QP, true, "a  b", "a  b\r\n"},
    {LM_TRANSFER_QP, true, "\xC3\xBC\x7F\x01", "=C3=BC=7F=01\r\n"},
    {LM_TRANSFER_QP, false, "a\r\n", "a=0D=0A=\r\n"},
    {LM_TRANSFER_QP, false, "a ", "a =\r\n"},
    {LM_TRANSFER_QP, true,
     "1234567890123456789012345678901234567890123456789012345678901234567890123456",
     "123456789012345678901234567890123456789012345678901234567890123456789012345=\r\n6\r\n"},
    {LM_TRANSFER_QP, true,
     "12345678901234567890123456789012345678901234567890123456789012345678901234 \n",
     "12345678901234567890123456789012345678901234567890123456789012345678901234=\r\n=20\r\n"},
    {LM_TRANSFER_QP, true,
     "1234567890123456789012345678901234567890123456789012345678901234567890123\xFF\n",
     "1234567890123456789012345678901234567890123456789012345678901234567890123=\r\n=FF\r\n"},
    {LM_TRANSFER_IDENTITY, true, "a\nb\rc\r\n\r\r\n\n", "a\r\nb\r\nc\r\n\r\n\r\n\r\n"},
    {LM_TRANSFER_IDENTITY, true, "a", "a\r\n"},
    {LM_TRANSFER_IDENTITY, false, "a\nb", "a\nb"},
};

static void test_written(void) {
  size_t i;
  for (i = 0; i < sizeof written / sizeof *written; i++) {
    struct lm_buf out =
        encoded(written[i].how, written[i].text, LM_VECTOR_NONE, str(written[i].in), 0);
    EXPECT_TEXT(lm_buf_str(&out), str(written[i].out), written[i].in);
    lm_buf_free(&out);
    same_encoded(written[i].how, written[i].text, str(written[i].in));
  }
}

/* No line is longer than 76, none ends in white space, each ends in CRLF. */
static void check_lines(struct lm_str s) {
  size_t start = 0, i;
  bool good = true;
  for (i = 0; i < s.n; i++) {
    if (s.p[i] != '\n') continue;
    good = good && i > start && s.p[i - 1] == '\r' && i - 1 - start <= 76;
    good = good && (i < 2 || (s.p[i - 2] != ' ' && s.p[i - 2] != '\t'));
    start = i + 1;
  }
  EXPECT(good && start == s.n);
}

static void round_trip(enum lm_transfer how, struct lm_str s) {
  size_t defects;
  struct lm_buf coded = encoded(how, false, lm_vector_best(), s, 0);
  struct lm_buf back = decoded(how, lm_vector_best(), lm_buf_str(&coded), 0, &defects);
  EXPECT_TEXT(lm_buf_str(&back), s, "written and read");
  EXPECT(defects == 0);
  check_lines(lm_buf_str(&coded));
  if (how == LM_TRANSFER_BASE64) EXPECT(lm_base64_length(s.n) == lm_buf_len(&coded));
  lm_buf_free(&back);
  lm_buf_free(&coded);
}

static void test_round_trips(void) {
  uint32_t state = 99;
  unsigned round;
  for (round = 0; round < 1500; round++) {
    char text[700];
    size_t n = round < 400 ? round : seeded(&state) % sizeof text, i;
    uint32_t mask = round & 1 ? 0xff : 0x7f;
    for (i = 0; i < n; i++) text[i] = (char)(seeded(&state) & mask);
    round_trip(LM_TRANSFER_BASE64, (struct lm_str){text, n});
    round_trip(LM_TRANSFER_QP, (struct lm_str){text, n});
    same_encoded(LM_TRANSFER_BASE64, false, (struct lm_str){text, n});
    same_encoded(LM_TRANSFER_QP, true, (struct lm_str){text, n});
    same_decoded(LM_TRANSFER_BASE64, (struct lm_str){text, n});
  }
}

/* Every octet at every other place of a vector is judged as plain C judges it. */
static void test_each_octet(void) {
  unsigned c, at;
  for (c = 0; c < 256; c++) {
    for (at = c & 1; at < 34; at += 2) {
      char text[120];
      memset(text, 'A', sizeof text);
      text[at] = (char)c;
      same_decoded(LM_TRANSFER_BASE64, (struct lm_str){text, sizeof text});
      same_decoded(LM_TRANSFER_QP, (struct lm_str){text, sizeof text});
      same_encoded(LM_TRANSFER_QP, true, (struct lm_str){text, sizeof text});
    }
  }
}

/* --- hostile ------------------------------------------------------------------------------------ */

/* A quadratic machine would not end. */
static void test_linear(void) {
  static const char *const units[] = {" ",  "=",    "= ",       "\r",     " \r",   "\n",    "=\r",
                                      "Q!", "QQ==", "=\r\n \t", "begin ", "M\r\n", "\t\r\n"};
  size_t i, defects;
  unsigned how;
  for (i = 0; i < sizeof units / sizeof *units; i++) {
    struct lm_str s = repeat(units[i], 1 << 20);
    for (how = LM_TRANSFER_BASE64; how <= LM_TRANSFER_UU; how++) {
      struct lm_buf out = decoded((enum lm_transfer)how, lm_vector_best(), s, 0, &defects);
      lm_buf_free(&out);
      out = encoded(how == LM_TRANSFER_UU ? LM_TRANSFER_IDENTITY : (enum lm_transfer)how, true,
                    lm_vector_best(), s, 0);
      lm_buf_free(&out);
    }
    free((void *)(uintptr_t)s.p);
  }
}

static void test_names(void) {
  enum lm_transfer how;
  EXPECT(lm_transfer_find(LM_STR("Quoted-Printable"), &how) && how == LM_TRANSFER_QP);
  EXPECT(lm_transfer_find(LM_STR("BASE64"), &how) && how == LM_TRANSFER_BASE64);
  EXPECT(lm_transfer_find(LM_STR("8Bit"), &how) && how == LM_TRANSFER_IDENTITY);
  EXPECT(lm_transfer_find(LM_STR("x-uuencode"), &how) && how == LM_TRANSFER_UU);
  EXPECT(!lm_transfer_find(LM_STR("yenc"), &how) && how == LM_TRANSFER_IDENTITY);
  EXPECT(!lm_transfer_find(LM_NOSTR, &how));
}

int main(void) {
  test_names();
  test_rows();
  test_block_edges();
  test_jumbles();
  test_written();
  test_round_trips();
  test_each_octet();
  test_linear();
  return check_end();
}
