/*
** smtp_reply_test.c: lines of replies, enhanced codes, the answer to EHLO, and the envelope of a
** transaction, as tables.
*/
#include "check.h"
#include "smtp/ehlo.h"
#include "smtp/reply.h"
#include "smtp/txn.h"

static void reply_lines(void) {
  static const struct {
    const char *line;
    unsigned code; /* 0: no reply line */
    bool more;
    const char *text;
  } rows[] = {
      {"250 ok", 250, false, "ok"},
      {"250", 250, false, ""},
      {"250 ", 250, false, ""},
      {"250-", 250, true, ""},
      {"250-mx  ", 250, true, "mx  "},
      {"250\tok", 250, false, "ok"},
      {"250 -", 250, false, "-"},
      {"200 x", 200, false, "x"},
      {"599 x", 599, false, "x"},
      {"", 0, false, ""},
      {"2", 0, false, ""},
      {"25", 0, false, ""},
      {"199 x", 0, false, ""},
      {"600 x", 0, false, ""},
      {"2500 x", 0, false, ""},
      {"250x", 0, false, ""},
      {"250+ok", 0, false, ""},
      {"2a0 x", 0, false, ""},
      {"20a x", 0, false, ""},
      {" 250 x", 0, false, ""},
      {"-50 x", 0, false, ""},
      {"\xb2\xb5\xb0 x", 0, false, ""},
  };
  size_t i;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    unsigned code = 0;
    bool more = false;
    struct lm_str text = LM_STR("");
    CHECK(lm_smtp_reply_line(str(rows[i].line), &code, &more, &text) == (rows[i].code != 0));
    CHECK(code == rows[i].code && more == rows[i].more && is(text, rows[i].text));
  }
}

static void enhanced(void) {
  static const struct {
    const char *text;
    unsigned code;
    const char *enhanced;
  } rows[] = {
      {"2.1.5 ok", 250, "2.1.5"},
      {"5.1.1 no", 550, "5.1.1"},
      {"4.7.123\tx", 450, "4.7.123"},
      {"5.1.1", 550, "5.1.1"},
      {"5.1.1x", 550, ""},
      {"5.1.1234 x", 550, ""},
      {"5.1234.1 x", 550, ""},
      {"5..1 x", 550, ""},
      {"5.1. x", 550, ""},
      {"2.1.5 ok", 550, ""},
      {"3.0.0 go", 354, ""},
      {"5.1", 550, ""},
      {"", 250, ""},
      {"#5.1.1 x", 550, ""},
      {"5,1,1 x", 550, ""},
      {"5.1.1\n5.1.2", 550, ""},
  };
  size_t i;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct lm_smtp_reply r = {rows[i].code, str(rows[i].text)};
    CHECK(is(lm_smtp_enhanced(&r), rows[i].enhanced));
  }
}

static void ehlo(void) {
  static const struct {
    const char *text;
    unsigned has;
    uint64_t size;
  } rows[] = {
      {"mx", 0, 0},
      {"", 0, 0},
      {"PIPELINING", 0, 0}, /* the first line is the server's name */
      {"mx\nPIPELINING\nSIZE 1000", LM_SMTP_PIPELINING | LM_SMTP_SIZE, 1000},
      {"mx\nsize=77\nauth=LOGIN", LM_SMTP_SIZE | LM_SMTP_AUTH, 77},
      {"mx\nSIZE  5\n\n 8BITMIME \nPIPELININGX", LM_SMTP_SIZE | LM_SMTP_8BITMIME, 5},
      {"mx\nSIZE\nSIZE x\nSIZE -1", LM_SMTP_SIZE, 0},
      {"mx\nSIZE 99999999999999999999", LM_SMTP_SIZE, 0},
      {"mx\nSTARTTLS\nAUTH PLAIN\nSMTPUTF8\nDSN\nREQUIRETLS\nDELIVERBY 5",
       LM_SMTP_STARTTLS | LM_SMTP_AUTH | LM_SMTP_SMTPUTF8 | LM_SMTP_DSN | LM_SMTP_REQUIRETLS |
           LM_SMTP_DELIVERBY,
       0},
  };
  struct lm_smtp_ehlo e;
  size_t i;
  memset(&e, 0, sizeof e);
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    CHECK(lm_smtp_ehlo_read(&e, str(rows[i].text)));
    CHECK(e.has == rows[i].has && e.max_size == rows[i].size);
  }
  lm_smtp_ehlo_clear(&e);
  CHECK(e.has == 0 && lm_buf_len(&e.text) == 0);
  lm_smtp_ehlo_free(&e);
}

static struct lm_smtp_reply reply(unsigned code, const char *text) {
  return (struct lm_smtp_reply){code, str(text)};
}

static void envelope(void) {
  struct lm_smtp_txn *t = lm_smtp_txn_new();
  struct lm_smtp_reply ok = reply(250, "ok"), no = reply(550, "5.1.1 no"), go = reply(354, "go");
  const char *why = NULL;
  CHECK(lm_smtp_txn_mail(t, str("a@b"), str(" SIZE=1"), &why));
  CHECK(lm_smtp_txn_rcpt(t, str("c@d"), LM_NOSTR, &why) &&
        lm_smtp_txn_rcpt(t, str("e@f"), str(" NOTIFY=NEVER"), &why) && lm_smtp_txn_data(t));
  CHECK(is(lm_smtp_txn_line(t, 0), "MAIL FROM:<a@b> SIZE=1\r\n"));
  CHECK(is(lm_smtp_txn_line(t, 1), "RCPT TO:<c@d>\r\n"));
  CHECK(is(lm_smtp_txn_line(t, 2), "RCPT TO:<e@f> NOTIFY=NEVER\r\n"));
  CHECK(is(lm_smtp_txn_line(t, 3), "DATA\r\n"));
  CHECK(lm_smtp_txn_answer(t, 0, &ok) && lm_smtp_txn_answer(t, 1, &no) &&
        lm_smtp_txn_answer(t, 2, &ok) && lm_smtp_txn_answer(t, 3, &go));
  CHECK(t->accepted == 1 && !t->refused && lm_smtp_txn_failure(t).code == 0);
  CHECK(is(lm_smtp_txn_recipient(t, 0).address, "c@d"));
  no = lm_smtp_txn_recipient(t, 0).reply;
  CHECK(is(lm_smtp_enhanced(&no), "5.1.1"));
  CHECK(lm_smtp_txn_recipient(t, 1).reply.code == 250);
  CHECK(lm_smtp_txn_refuse(t, LM_SMTP_AT_CONTENT, &no));
  CHECK(lm_smtp_txn_refuse(t, LM_SMTP_AT_DATA, &ok) && t->stage == LM_SMTP_AT_CONTENT);
  CHECK(lm_smtp_txn_failure(t).code == 550 && is(lm_smtp_txn_failure(t).text, "5.1.1 no"));
  lm_smtp_txn_reset(t);
  CHECK(t->nrcpt == 0 && lm_smtp_txn_lines(t).n == 0 && !t->refused);
  lm_smtp_txn_free(t);
  lm_smtp_txn_free(NULL);
}

static void envelope_refuses(void) {
  static const char *const bad[] = {"a@b\r", "a@b\n", "\ra@b", "a\nb@c"};
  char endless[1002];
  struct lm_smtp_txn *t = lm_smtp_txn_new();
  size_t i;
  for (i = 0; i < sizeof bad / sizeof *bad; i++) {
    const char *why = NULL;
    CHECK(!lm_smtp_txn_mail(t, str(bad[i]), LM_NOSTR, &why) && why != NULL);
    CHECK(!lm_smtp_txn_mail(t, str("a@b"), str(bad[i]), &why));
    CHECK(!lm_smtp_txn_rcpt(t, str(bad[i]), LM_NOSTR, &why));
    CHECK(!lm_smtp_txn_rcpt(t, str("a@b"), str(bad[i]), &why));
    CHECK(!lm_smtp_txn_rcpt(t, LM_STR("a\0b@c"), LM_NOSTR, &why));
    memset(endless, 'x', sizeof endless);
    CHECK(!lm_smtp_txn_rcpt(t, (struct lm_str){endless, sizeof endless}, LM_NOSTR, &why));
  }
  CHECK(lm_smtp_txn_lines(t).n == 0 && t->nrcpt == 0);
  lm_smtp_txn_free(t);
}

int main(void) {
  reply_lines();
  enhanced();
  ehlo();
  envelope();
  envelope_refuses();
  return check_end();
}
