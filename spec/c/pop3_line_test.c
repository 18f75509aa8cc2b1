/*
** pop3_line_test.c: the lines of POP3 as tables: what is read, what is left out, what is refused.
*/
#include "check.h"
#include "pop3/line.h"

static const struct {
  const char *in;
  enum lm_pop3_word word;
  const char *code, *text;
} replies[] = {
    {"+OK", LM_POP3_OK, "", ""},
    {"+OK two words", LM_POP3_OK, "", "two words"},
    {"+OK  spaces \t", LM_POP3_OK, "", "spaces"},
    {"+OKready", LM_POP3_OK, "", "ready"},
    {"+ok lower", LM_POP3_OK, "", "lower"},
    {"-ERR", LM_POP3_ERR, "", ""},
    {"-Err no", LM_POP3_ERR, "", "no"},
    {"-ERR [IN-USE] busy", LM_POP3_ERR, "IN-USE", "busy"},
    {"-ERR [SYS/TEMP] later", LM_POP3_ERR, "SYS/TEMP", "later"},
    {"-ERR [SYS/TEMP]", LM_POP3_ERR, "SYS/TEMP", ""},
    {"-ERR [] none", LM_POP3_ERR, "", "[] none"},
    {"-ERR [SYS/] none", LM_POP3_ERR, "", "[SYS/] none"},
    {"-ERR [two words] none", LM_POP3_ERR, "", "[two words] none"},
    {"-ERR [open", LM_POP3_ERR, "", "[open"},
    {"+", LM_POP3_CHALLENGE, "", ""},
    {"+ ", LM_POP3_CHALLENGE, "", ""},
    {"+ VXNlcg==", LM_POP3_CHALLENGE, "", "VXNlcg=="},
    {"+VXNlcg==", LM_POP3_NONSENSE, "", ""},
    {"", LM_POP3_NONSENSE, "", ""},
    {"-ER", LM_POP3_NONSENSE, "", ""},
    {"OK", LM_POP3_NONSENSE, "", ""},
    {" +OK", LM_POP3_NONSENSE, "", ""},
};

static void test_replies(void) {
  size_t i;
  for (i = 0; i < sizeof replies / sizeof *replies; i++) {
    struct lm_pop3_reply r = lm_pop3_reply(str(replies[i].in));
    EXPECT_ROW(r.word == replies[i].word, "word", replies[i].in);
    EXPECT_ROW(is(r.code, replies[i].code), "code", replies[i].in);
    EXPECT_ROW(is(r.text, replies[i].text), "text", replies[i].in);
  }
}

static const struct {
  const char *in, *out;
} timestamps[] = {
    {"POP3 ready <1896.697170952@dbc.mtview.ca.us>", "<1896.697170952@dbc.mtview.ca.us>"},
    {"<1bd8.1.5f5.Hx==@host> ready", "<1bd8.1.5f5.Hx==@host>"},
    {"a < b <1@[10.0.0.1]> c", "<1@[10.0.0.1]>"},
    {"<<1@h>", "<1@h>"},
    {"ready", ""},
    {"<>", ""},
    {"<1@>", ""},
    {"<@h>", ""},
    {"<1>", ""},
    {"<1 2@h>", ""},
    {"<.1@h>", ""},
    {"<1@h", ""},
    {"<1@h\x01>", ""},
    {"<1\xC3\xA9@h>", ""},
    {"<<<<<<<<", ""},
};

static void test_timestamps(void) {
  size_t i;
  for (i = 0; i < sizeof timestamps / sizeof *timestamps; i++) {
    EXPECT_ROW(is(lm_pop3_timestamp(str(timestamps[i].in)), timestamps[i].out), "timestamp",
               timestamps[i].in);
  }
}

static const struct {
  const char *in;
  bool ok;
  uint32_t number;
  bool has_size;
  uint64_t size;
} scans[] = {
    {"1 120", true, 1, true, 120},
    {"2 9000000000 extra words", true, 2, true, 9000000000U},
    {"  3   4  ", true, 3, true, 4},
    {"0 0", true, 0, true, 0},
    {"5", true, 5, false, 0},
    {"6 many", true, 6, false, 0},
    {"7 12x", true, 7, false, 0},
    {"8 99999999999999999999", true, 8, false, 0},
    {"4294967295 1", true, 4294967295U, true, 1},
    {"4294967296 1", false, 0, false, 0},
    {"-1 2", false, 0, false, 0},
    {"1x 2", false, 0, false, 0},
    {"words", false, 0, false, 0},
    {"", false, 0, false, 0},
};

static void test_scans(void) {
  size_t i;
  for (i = 0; i < sizeof scans / sizeof *scans; i++) {
    struct lm_pop3_item item;
    bool ok = lm_pop3_scan(str(scans[i].in), &item);
    EXPECT_ROW(ok == scans[i].ok, "scan", scans[i].in);
    if (!ok) continue;
    EXPECT_ROW(item.number == scans[i].number, "number", scans[i].in);
    EXPECT_ROW(item.has_size == scans[i].has_size, "has size", scans[i].in);
    EXPECT_ROW(!item.has_size || item.size == scans[i].size, "size", scans[i].in);
  }
}

static const struct {
  const char *in;
  bool ok;
  uint32_t number;
  const char *uid;
} uniques[] = {
    {"1 whqtswO00WBw418f9t5JxYwZ", true, 1, "whqtswO00WBw418f9t5JxYwZ"},
    {"2 a b", true, 2, "a"},
    {"3", true, 3, ""},
    {"0 zero", false, 0, ""},
    {"x y", false, 0, ""},
};

static void test_uniques(void) {
  size_t i;
  for (i = 0; i < sizeof uniques / sizeof *uniques; i++) {
    struct lm_pop3_item item;
    bool ok = lm_pop3_unique(str(uniques[i].in), &item);
    EXPECT_ROW(ok == uniques[i].ok, "unique", uniques[i].in);
    EXPECT_ROW(!ok || (item.number == uniques[i].number && is(item.uid, uniques[i].uid)), "uid",
               uniques[i].in);
  }
}

static void test_lines(void) {
  static const char *const want[] = {"a", "", "b", "c"};
  struct lm_str rest = str("a\r\n\nb\nc"), line, name, more;
  size_t n = 0;
  while (lm_pop3_next_line(&rest, &line)) {
    EXPECT_ROW(n < 4 && is(line, want[n]), "line", "a, empty, b, c");
    n++;
  }
  EXPECT_ROW(n == 4, "number of lines", "a, empty, b, c");
  EXPECT_ROW(lm_pop3_capability(str("SASL  PLAIN LOGIN "), &name, &more) && is(name, "SASL") &&
                 is(more, "PLAIN LOGIN"),
             "capability", "SASL");
  EXPECT_ROW(lm_pop3_capability(str("TOP"), &name, &more) && is(name, "TOP") && more.n == 0,
             "capability", "TOP");
  EXPECT_ROW(!lm_pop3_capability(str("  "), &name, &more), "no capability", "");
}

int main(void) {
  test_replies();
  test_timestamps();
  test_scans();
  test_uniques();
  test_lines();
  return check_end();
}
