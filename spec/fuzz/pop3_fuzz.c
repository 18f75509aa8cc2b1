/*
** pop3_fuzz.c: what a POP3 server may send, to a client that has everything under way.
**
** The first octet says which commands are in flight and how the rest is cut; the rest is the server.
** Whatever it is, the session must come to an end within its limits, and every view it hands out must
** be readable.
*/
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "pop3/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sum; /* so that reading the views is not optimized away */

static void read_all(struct lm_str s) {
  size_t i;
  for (i = 0; i < s.n; i++) sum += (unsigned char)s.p[i];
}

static void read_lists(const struct lm_pop3c_event *ev) {
  struct lm_str rest = ev->data, line, name, more;
  struct lm_pop3_item item;
  if (lm_pop3_scan(ev->text, &item)) sum += item.number;
  while (ev->body == LM_POP3_LINES && lm_pop3_next_line(&rest, &line)) {
    if (lm_pop3_unique(line, &item)) read_all(item.uid);
    if (lm_pop3_scan(line, &item)) sum += item.number;
    if (lm_pop3_capability(line, &name, &more)) read_all(more);
  }
}

/* The user's side: logs in, then asks for everything again and again. */
static void act(struct lm_pop3c *s, unsigned how) {
  if (lm_pop3c_state(s) == POP3C_TLS) lm_pop3c_secured(s);
  if (lm_pop3c_state(s) == POP3C_AUTHORIZATION) {
    if (how & 1) lm_pop3c_simple(s, LM_POP3_CAPA);
    if (how & 2) lm_pop3c_simple(s, LM_POP3_STLS);
    lm_pop3c_simple(s, LM_POP3_UTF8);
    if (how & 1) lm_pop3c_user(s, LM_STR("ann"));
    if (how & 4) lm_pop3c_apop(s, LM_STR("ann"), LM_STR("secret"));
    if (how & 8) lm_pop3c_auth(s, LM_STR("PLAIN"), LM_STR("x"));
    lm_pop3c_pass(s, LM_STR("secret"));
  } else if (lm_pop3c_state(s) == POP3C_TRANSACTION) {
    uint32_t id;
    lm_pop3c_simple(s, how & 1 ? LM_POP3_UIDL : LM_POP3_LIST);
    id = lm_pop3c_retr(s, 1, how & 2 ? LM_POP3_STREAM : LM_POP3_WHOLE);
    if (how & 4) lm_pop3c_abandon(s, id);
    lm_pop3c_top(s, 2, 3, how & 1 ? LM_POP3_STREAM : LM_POP3_WHOLE);
    lm_pop3c_simple(s, LM_POP3_LANG);
    if (how & 8) lm_pop3c_command(s, LM_STR("XFOO"), LM_POP3_WHOLE);
  }
}

static void drain(struct lm_pop3c *s, unsigned how) {
  struct lm_pop3c_event ev;
  struct lm_str out;
  while (lm_pop3c_next(s, &ev) == LM_EVENT) {
    read_all(ev.text);
    read_all(ev.code);
    read_all(ev.timestamp);
    read_all(ev.data);
    read_lists(&ev);
    if (ev.kind == LM_POP3C_ASK) lm_pop3c_answer(s, ev.id, LM_STR("answer"), LM_POP3_SECRET);
    if (ev.kind != LM_POP3C_DATA) act(s, how);
    while ((out = lm_wire_output(lm_pop3c_wire(s))).n) lm_wire_sent(lm_pop3c_wire(s), out.n);
  }
}

/* The octets to feed next: `step` of them, or a line. */
static size_t piece(const uint8_t *p, size_t n, size_t step) {
  const uint8_t *lf = memchr(p, '\n', n);
  if (step) return n < step ? n : step;
  return lf ? (size_t)(lf - p) + 1 : n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct lm_limits limits = LM_LIMITS_DEFAULT;
  struct lm_pop3c *s;
  size_t at, n;
  if (size < 1) return 0;
  limits.line = 128;
  limits.listing = 20;
  limits.message = 4096;
  limits.queue = 8192;
  if ((s = lm_pop3c_new(&limits)) == NULL) return 0;
  for (at = 1; at < size; at += n) {
    n = piece(data + at, size - at, data[0] >> 4);
    lm_wire_feed(lm_pop3c_wire(s), (struct lm_str){(const char *)data + at, n});
    drain(s, data[0]);
  }
  lm_wire_eof(lm_pop3c_wire(s));
  drain(s, data[0]);
  lm_pop3c_free(s);
  return 0;
}
