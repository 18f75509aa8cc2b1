/*
** pop3_client_test.c: the POP3 client where transcripts do not reach: views into the input, memory,
** what an abandoned command leaves behind, and that the cuts of the input do not matter.
*/
#include "check.h"
#include "base/text.h"
#include "pop3/client.h"

static void feed(struct lm_pop3c *s, struct lm_str bytes) {
  struct lm_str out;
  while ((out = lm_wire_output(lm_pop3c_wire(s))).n) lm_wire_sent(lm_pop3c_wire(s), out.n);
  lm_wire_feed(lm_pop3c_wire(s), bytes);
}

static enum lm_pop3c_kind next(struct lm_pop3c *s, struct lm_pop3c_event *ev) {
  return lm_pop3c_next(s, ev) == LM_EVENT ? ev->kind : LM_POP3C_NOTHING;
}

/* A session in TRANSACTION, with PIPELINING. */
static struct lm_pop3c *logged_in(const struct lm_limits *limits) {
  struct lm_pop3c *s = lm_pop3c_new(limits);
  struct lm_pop3c_event ev;
  feed(s, LM_STR("+OK\r\n"));
  next(s, &ev);
  lm_pop3c_simple(s, LM_POP3_CAPA);
  feed(s, LM_STR("+OK\r\nPIPELINING\r\n.\r\n"));
  next(s, &ev);
  lm_pop3c_user(s, LM_STR("ann"));
  feed(s, LM_STR("+OK\r\n"));
  next(s, &ev);
  lm_pop3c_pass(s, LM_STR("secret"));
  feed(s, LM_STR("+OK\r\n"));
  next(s, &ev);
  EXPECT_AS(lm_pop3c_state(s) == POP3C_TRANSACTION, "logged in");
  return s;
}

static void test_in_place(void) {
  struct lm_pop3c *s = logged_in(NULL);
  struct lm_pop3c_event ev;
  struct lm_str in;
  lm_pop3c_retr(s, 1, LM_POP3_WHOLE);
  feed(s, LM_STR("+OK\r\none\r\n..two\r\n...\r\n.\r\n"));
  in = lm_wire_input(lm_pop3c_wire(s));
  EXPECT_AS(next(s, &ev) == LM_POP3C_DONE, "done");
  EXPECT_AS(ev.data.p == in.p + 5, "the view is the input itself");
  EXPECT_AS(lm_str_eq(ev.data, LM_STR("one\r\n.two\r\n..\r\n")), "dots taken off");
  lm_pop3c_free(s);
}

/* The words of +OK are left out, those of -ERR are not; the limit of a message holds. */
static void test_bare(void) {
  struct lm_limits limits = LM_LIMITS_DEFAULT;
  struct lm_pop3c *s;
  struct lm_pop3c_event ev;
  limits.message = 10;
  s = logged_in(&limits);
  lm_pop3c_retr(s, 1, LM_POP3_BARE);
  lm_pop3c_retr(s, 2, LM_POP3_BARE);
  lm_pop3c_retr(s, 3, LM_POP3_BARE);
  feed(s, LM_STR("+OK [X/Y] 5 octets\r\none\r\n.\r\n-ERR [SYS/TEMP] no\r\n"));
  EXPECT_AS(next(s, &ev) == LM_POP3C_DONE && ev.ok && ev.body == LM_POP3_WHOLE, "whole");
  EXPECT_AS(ev.text.n == 0 && ev.code.n == 0, "no words");
  EXPECT_AS(lm_str_eq(ev.data, LM_STR("one\r\n")), "the body");
  EXPECT_AS(next(s, &ev) == LM_POP3C_DONE && !ev.ok && ev.body == LM_POP3_NONE, "refused");
  EXPECT_AS(lm_str_eq(ev.text, LM_STR("no")) && lm_str_eq(ev.code, LM_STR("SYS/TEMP")), "why");
  feed(s, LM_STR("+OK\r\n0123456789\r\n"));
  EXPECT_AS(next(s, &ev) == LM_POP3C_NOTHING, "no event");
  EXPECT_AS(lm_wire_error(lm_pop3c_wire(s))->code == LM_E_LIMIT, "message");
  lm_pop3c_free(s);
}

/* A large body in pieces, with a dot to take off in each line: equal whatever the cuts. */
static void test_large(size_t step) {
  enum { LINES = 100000 };
  struct lm_pop3c *s = logged_in(NULL);
  struct lm_pop3c_event ev;
  struct lm_buf wire = {NULL, 0, 0, 0};
  struct lm_str rest;
  size_t i;
  enum lm_pop3c_kind kind = LM_POP3C_NOTHING;
  for (i = 0; i < LINES; i++) lm_buf_puts(&wire, LM_STR("..x\r\n"));
  lm_buf_puts(&wire, LM_STR(".\r\n+OK left\r\n"));
  lm_pop3c_retr(s, 7, LM_POP3_WHOLE);
  lm_pop3c_simple(s, LM_POP3_NOOP);
  feed(s, LM_STR("+OK big\r\n"));
  for (rest = lm_buf_str(&wire); rest.n && kind == LM_POP3C_NOTHING;) {
    size_t n = rest.n < step ? rest.n : step;
    feed(s, (struct lm_str){rest.p, n});
    rest = (struct lm_str){rest.p + n, rest.n - n};
    kind = next(s, &ev);
  }
  EXPECT_AS(kind == LM_POP3C_DONE && ev.data.n == LINES * 4 && lm_str_eq(ev.text, LM_STR("big")),
            "big");
  for (i = 0; i < LINES && memcmp(ev.data.p + i * 4, ".x\r\n", 4) == 0; i++) continue;
  EXPECT_AS(i == LINES, "every line");
  feed(s, rest);
  EXPECT_AS(next(s, &ev) == LM_POP3C_DONE && lm_str_eq(ev.text, LM_STR("left")), "the next answer");
  lm_buf_free(&wire);
  lm_pop3c_free(s);
}

static void test_stream_memory(void) {
  struct lm_pop3c *s = logged_in(NULL);
  struct lm_pop3c_event ev;
  static char chunk[65536];
  size_t i, got = 0;
  memset(chunk, 'x', sizeof chunk);
  lm_pop3c_retr(s, 1, LM_POP3_STREAM);
  feed(s, LM_STR("+OK\r\n"));
  for (i = 0; i < 1000; i++) {
    feed(s, (struct lm_str){chunk, sizeof chunk});
    while (next(s, &ev) == LM_POP3C_DATA) got += ev.data.n;
  }
  EXPECT_AS(got == 1000 * sizeof chunk, "64 MB went through");
  EXPECT_AS(lm_pop3c_wire(s)->in.cap <= 524288, "and did not stay");
  feed(s, LM_STR("\r\n.\r\n"));
  EXPECT_AS(next(s, &ev) == LM_POP3C_DATA && next(s, &ev) == LM_POP3C_DONE, "end");
  lm_pop3c_free(s);
}

static void test_abandon(void) {
  struct lm_pop3c *s = logged_in(NULL);
  struct lm_pop3c_event ev;
  uint32_t a = lm_pop3c_retr(s, 1, LM_POP3_STREAM), b = lm_pop3c_retr(s, 2, LM_POP3_WHOLE);
  uint32_t c = lm_pop3c_simple(s, LM_POP3_NOOP);
  feed(s, LM_STR("+OK\r\nfirst"));
  EXPECT_AS(next(s, &ev) == LM_POP3C_DATA && ev.id == a, "a piece");
  EXPECT_AS(lm_pop3c_abandon(s, a) && lm_pop3c_abandon(s, b), "abandoned");
  EXPECT_AS(!lm_pop3c_abandon(s, 999), "no such command");
  feed(s, LM_STR("\r\n.\r\n+OK\r\nsecond\r\n.\r\n+OK here\r\n"));
  EXPECT_AS(next(s, &ev) == LM_POP3C_DONE && ev.id == c, "in step behind two answers passed over");
  lm_pop3c_free(s);
}

static void test_refusals(void) {
  struct lm_pop3c *s = logged_in(NULL);
  char line[300];
  memset(line, 'x', sizeof line);
  EXPECT_AS(lm_pop3c_retr(s, 0, LM_POP3_WHOLE) == 0, "message 0");
  EXPECT_AS(lm_pop3c_command(s, LM_STR("NOOP\r\nDELE 1"), LM_POP3_NONE) == 0, "CR LF");
  EXPECT_AS(lm_pop3c_command(s, LM_STR("NO\0OP"), LM_POP3_NONE) == 0, "NUL");
  EXPECT_AS(lm_pop3c_command(s, LM_STR(""), LM_POP3_NONE) == 0, "empty");
  EXPECT_AS(lm_pop3c_command(s, LM_STR("STLS"), LM_POP3_NONE) == 0, "STLS as a line");
  EXPECT_AS(lm_pop3c_command(s, (struct lm_str){line, 254}, LM_POP3_NONE) == 0, "256 octets");
  EXPECT_AS(lm_pop3c_command(s, (struct lm_str){line, 253}, LM_POP3_NONE) != 0, "255 octets");
  EXPECT_AS(lm_pop3c_simple(s, LM_POP3_STLS) == 0, "STLS after log-in");
  EXPECT_AS(lm_pop3c_pass(s, LM_STR("x")) == 0, "PASS after log-in");
  EXPECT_AS(lm_pop3c_simple(s, LM_POP3_QUIT) != 0, "QUIT");
  EXPECT_AS(lm_pop3c_simple(s, LM_POP3_NOOP) == 0, "nothing after QUIT");
  lm_pop3c_free(s);
}

static enum lm_code failure_of(struct lm_pop3c *s) {
  struct lm_pop3c_event ev;
  while (lm_pop3c_next(s, &ev) == LM_EVENT) continue;
  return lm_wire_error(lm_pop3c_wire(s))->code;
}

static void test_limits(void) {
  struct lm_limits limits = LM_LIMITS_DEFAULT;
  struct lm_pop3c *s;
  limits.message = 10;
  limits.stream = 20;
  limits.listing = 3;
  limits.line = 200;
  s = logged_in(&limits);
  lm_pop3c_retr(s, 1, LM_POP3_WHOLE);
  feed(s, LM_STR("+OK\r\n0123456789\r\n"));
  EXPECT_AS(failure_of(s) == LM_E_LIMIT, "message");
  lm_pop3c_free(s);
  s = logged_in(&limits);
  lm_pop3c_retr(s, 1, LM_POP3_STREAM);
  feed(s, LM_STR("+OK\r\n0123456789\r\n0123456789\r\n"));
  EXPECT_AS(failure_of(s) == LM_E_LIMIT, "stream");
  lm_pop3c_free(s);
  s = logged_in(&limits);
  lm_pop3c_simple(s, LM_POP3_LIST);
  feed(s, LM_STR("+OK\r\n1 1\r\n2 2\r\n3 3\r\n4 4\r\n"));
  EXPECT_AS(failure_of(s) == LM_E_LIMIT, "listing");
  lm_pop3c_free(s);
}

/* Answers that were there before their command are no answers (response injection). */
static void test_too_early(void) {
  struct lm_pop3c *s = logged_in(NULL);
  lm_wire_feed(lm_pop3c_wire(s), LM_STR("+OK pre-sent\r\n"));
  lm_pop3c_simple(s, LM_POP3_NOOP);
  EXPECT_AS(failure_of(s) == LM_E_PROTOCOL, "heard before it was put");
  lm_pop3c_free(s);
  s = logged_in(NULL);
  lm_pop3c_simple(s, LM_POP3_NOOP);
  lm_wire_feed(lm_pop3c_wire(s), LM_STR("+OK early\r\n"));
  EXPECT_AS(failure_of(s) == LM_E_PROTOCOL, "heard before it was sent");
  lm_pop3c_free(s);
}

int main(void) {
  size_t step;
  test_in_place();
  test_bare();
  for (step = 1; step < 300000; step = step * 7 + 1) test_large(step);
  test_stream_memory();
  test_abandon();
  test_refusals();
  test_limits();
  test_too_early();
  return check_end();
}
