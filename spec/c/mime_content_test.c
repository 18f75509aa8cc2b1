/*
** mime_content_test.c: line ends of decoded text: LF in place of CRLF and CR, at every level of vectors; content
** that is decoded in pieces.
*/
#include "mime/content.h"

#include "check.h"

/* Octet by octet, as the header says. */
static size_t expected(const char *p, size_t n, char *out) {
  size_t i, k = 0;
  for (i = 0; i < n; i++) {
    if (p[i] == '\n' && i > 0 && p[i - 1] == '\r') continue;
    out[k++] = p[i] == '\r' ? '\n' : p[i];
  }
  return k;
}

/* What the reader gives for `raw`, put together; its own room stays small (in uuencode a line whose blanks were
** lost gives more than it has). */
static void read_all(enum lm_transfer how, struct lm_str raw, struct lm_buf *out) {
  struct lm_content_reader r;
  struct lm_buf room = {NULL, 0, 0, 0};
  struct lm_str piece;
  lm_buf_clear(out);
  lm_content_begin(&r, how, raw);
  do {
    EXPECT(lm_content_next(&r, &room, &piece) && lm_buf_put(out, piece.p, piece.n));
    EXPECT(room.cap <= (how == LM_TRANSFER_UU ? 32 : 2) * LM_CONTENT_PIECE);
  } while (piece.n);
  EXPECT(lm_content_next(&r, &room, &piece) && piece.n == 0);
  lm_buf_free(&room);
}

static void in_pieces(void) {
  static const enum lm_transfer hows[] = {LM_TRANSFER_IDENTITY, LM_TRANSFER_BASE64, LM_TRANSFER_QP,
                                          LM_TRANSFER_UU};
  static const char *const texts[] = {"QUJD\r\n", "=\r\n",   "a=3D \n",
                                      " \n",      "#0V%T\n", "==\nfooter"};
  struct lm_buf raw = {NULL, 0, 0, 0}, room = {NULL, 0, 0, 0}, got = {NULL, 0, 0, 0};
  struct lm_str whole;
  uint32_t state = 11;
  size_t round, i, defects;
  for (round = 0; round < 60; round++) {
    size_t most = seeded(&state) % (5 * LM_CONTENT_PIECE), kinds = 1 + round % 6;
    lm_buf_clear(&raw);
    EXPECT(lm_buf_put(&raw, "begin 644 x\n", 12));
    while (lm_buf_len(&raw) < most) {
      const char *text = texts[seeded(&state) % kinds];
      EXPECT(lm_buf_put(&raw, text, strlen(text)));
    }
    for (i = 0; i < sizeof hows / sizeof *hows; i++) {
      EXPECT(lm_content_decode(hows[i], lm_buf_str(&raw), &room, &whole, &defects));
      read_all(hows[i], lm_buf_str(&raw), &got);
      EXPECT_TEXT(lm_buf_str(&got), whole, "pieces");
    }
  }
  lm_buf_free(&raw);
  lm_buf_free(&room);
  lm_buf_free(&got);
}

int main(void) {
  static const enum lm_vector levels[] = {LM_VECTOR_NONE, LM_VECTOR_SSSE3, LM_VECTOR_AVX2};
  char text[300], want[300], got[300 + LM_LINES_SLACK];
  uint32_t state = 7;
  size_t round, i, n, want_n;
  for (round = 0; round < 30000; round++) {
    n = seeded(&state) % sizeof text;
    for (i = 0; i < n; i++)
      text[i] = "\r\n\nabcdefghijklmnopqrstuvwxyz"[seeded(&state) % (3 + round % 27)];
    want_n = expected(text, n, want);
    for (i = 0; i < sizeof levels / sizeof *levels; i++) {
      if (levels[i] > lm_vector_best()) continue;
      EXPECT_TEXT(
          ((struct lm_str){got, lm_content_lines_with(levels[i], (struct lm_str){text, n}, got)}),
          ((struct lm_str){want, want_n}), "lines");
    }
  }
  in_pieces();
  return check_end();
}
