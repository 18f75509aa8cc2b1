/*
** base_text_test.c: the cursor, numbers, base64 (the vectors of RFC 4648 §10, and all that is wrong)
** and hex.
*/
#include "base/cursor.h"
#include "base/text.h"
#include "check.h"

static void numbers(void) {
  static const struct {
    const char *text;
    bool u32, u64;
    uint64_t n;
  } rows[] = {
      {"0", true, true, 0},
      {"00012", true, true, 12},
      {"4294967295", true, true, 4294967295u},
      {"4294967296", false, true, 4294967296u},
      {"9223372036854775807", false, true, INT64_MAX},
      {"9223372036854775808", false, false, 0},
      {"18446744073709551616", false, false, 0},
      {"99999999999999999999999", false, false, 0},
      {"", false, false, 0},
      {"-1", false, false, 0},
      {"+1", false, false, 0},
      {" 1", false, false, 0},
      {"1 ", false, false, 0},
      {"1a", false, false, 0},
      {"0x1", false, false, 0},
  };
  size_t i;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint32_t u32 = 0;
    uint64_t u64 = 0;
    CHECK(lm_to_u32(str(rows[i].text), &u32) == rows[i].u32);
    CHECK(lm_to_u64(str(rows[i].text), &u64) == rows[i].u64);
    CHECK(!rows[i].u32 || u32 == rows[i].n);
    CHECK(!rows[i].u64 || u64 == rows[i].n);
  }
}

static void written(void) {
  struct lm_buf b = {NULL, 0, 0, 0};
  CHECK(lm_buf_put_u64(&b, 0) && lm_buf_putc(&b, ' ') && lm_buf_put_u64(&b, UINT64_MAX));
  CHECK(holds(&b, "0 18446744073709551615"));
  lm_buf_free(&b);
}

static void base64(void) {
  static const char *const rows[][2] = {{"", ""},
                                        {"f", "Zg=="},
                                        {"fo", "Zm8="},
                                        {"foo", "Zm9v"},
                                        {"foob", "Zm9vYg=="},
                                        {"fooba", "Zm9vYmE="},
                                        {"foobar", "Zm9vYmFy"}};
  static const char *const bad[] = {"Z",    "Zg",       "Zg=",  "=",    "==",     "===",
                                    "====", "Zm9v=",    "Zh==", "Zm9=", "Zm 9v",  "Zm9v\r\n",
                                    "Z===", "Zg==Zg==", "=g==", "Zm-_", "Zm9v\n", "*"};
  struct lm_buf b = {NULL, 0, 0, 0};
  size_t i;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    lm_buf_clear(&b);
    CHECK(lm_base64_encode(&b, str(rows[i][0])) && holds(&b, rows[i][1]));
    lm_buf_clear(&b);
    CHECK(lm_base64_decode(&b, str(rows[i][1])) == LM_BASE64_OK && holds(&b, rows[i][0]));
  }
  for (i = 0; i < sizeof bad / sizeof *bad; i++) {
    lm_buf_clear(&b);
    CHECK(lm_base64_decode(&b, str(bad[i])) == LM_BASE64_BAD && lm_buf_len(&b) == 0);
  }
  lm_buf_free(&b);
}

/* All octets there and back, at every length of the last group, into a buffer without memory too. */
static void round_trip(void) {
  char all[259];
  size_t i, n;
  for (i = 0; i < sizeof all; i++) all[i] = (char)i;
  for (n = 0; n <= sizeof all; n++) {
    struct lm_buf text = {NULL, 0, 0, 0}, back = {NULL, 0, 0, 0};
    CHECK(lm_base64_encode(&text, (struct lm_str){all, n}));
    CHECK(lm_base64_decode(&back, lm_buf_str(&text)) == LM_BASE64_OK);
    CHECK(lm_str_eq(lm_buf_str(&back), (struct lm_str){all, n}));
    lm_buf_free(&text);
    lm_buf_free(&back);
  }
}

static void hex(void) {
  struct lm_buf b = {NULL, 0, 0, 0};
  CHECK(lm_hex_encode(&b, LM_STR("")) && lm_buf_len(&b) == 0);
  CHECK(lm_hex_encode(&b, LM_STR("\x00\x7f\x80\xff")) && holds(&b, "007f80ff"));
  lm_buf_free(&b);
}

static void cursor(void) {
  struct lm_cursor c = lm_cursor(str("ab12, 7"));
  uint32_t n = 0;
  CHECK(is(lm_span(&c, LM_ALPHA), "ab") && lm_peek(&c) == '1' && !lm_accept(&c, 'x'));
  CHECK(lm_take_u32(&c, &n) && n == 12 && is(lm_until(&c, ' '), ",") && lm_accept(&c, ' '));
  CHECK(is(lm_rest(&c), "7") && c.code == LM_E_NONE);
  CHECK(!lm_expect(&c, '8', "eight") && c.code == LM_E_PROTOCOL && c.where == c.p);
  CHECK(!lm_cursor_fail(&c, LM_E_LIMIT, "later") && strcmp(c.expected, "eight") == 0);
  CHECK(is(lm_until(&c, '!'), "7") && lm_at_end(&c) && lm_peek(&c) == -1 && !lm_accept(&c, '7'));
  CHECK(lm_span(&c, LM_ALPHA).n == 0 && lm_until(&c, 'x').n == 0);
  c = lm_cursor(LM_NOSTR);
  CHECK(lm_at_end(&c) && !lm_take_u32(&c, &n) && c.code == LM_E_PROTOCOL);
}

int main(void) {
  numbers();
  written();
  base64();
  round_trip();
  hex();
  cursor();
  return check_end();
}
