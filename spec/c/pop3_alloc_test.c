/*
** pop3_alloc_test.c: a POP3 conversation and a SASL exchange in which the n-th allocation fails, for
** every n: each ends in a refusal or a failure, and what was held is given back.
*/
#include "check.h"
#include "fail.h"
#include "pop3/client.h"
#include "sasl/sasl.h"

/* Sends what is pending, feeds the answer, drains the events. False once the session is dead. */
static bool turn(struct lm_pop3c *s, uint32_t id, struct lm_str answer) {
  struct lm_pop3c_event ev;
  struct lm_str out;
  enum lm_status status;
  if (id == 0) return false;
  while ((out = lm_wire_output(lm_pop3c_wire(s))).n) lm_wire_sent(lm_pop3c_wire(s), out.n);
  lm_wire_feed(lm_pop3c_wire(s), answer);
  while ((status = lm_pop3c_next(s, &ev)) == LM_EVENT) continue;
  return status == LM_WAIT;
}

static bool answer(struct lm_pop3c *s, uint32_t id) {
  if (!lm_pop3c_answer(s, id, LM_STR("response"), LM_POP3_SECRET)) return false;
  return turn(s, id, LM_STR("+OK in\r\n"));
}

static bool talk(struct lm_pop3c *s) {
  uint32_t id;
  if (!lm_wire_trace_on(lm_pop3c_wire(s))) return false;
  return turn(s, 1, LM_STR("+OK hi <1.2@host.example>\r\n")) &&
         turn(s, lm_pop3c_simple(s, LM_POP3_CAPA), LM_STR("+OK\r\nPIPELINING\r\n.\r\n")) &&
         turn(s, lm_pop3c_apop(s, LM_STR("ann"), LM_STR("secret")), LM_STR("-ERR [AUTH] no\r\n")) &&
         turn(s, id = lm_pop3c_auth(s, LM_STR("PLAIN"), LM_STR("initial")), LM_STR("+ abcd\r\n")) &&
         answer(s, id) &&
         turn(s, lm_pop3c_simple(s, LM_POP3_UIDL), LM_STR("+OK\r\n1 a\r\n.\r\n")) &&
         turn(s, lm_pop3c_retr(s, 1, LM_POP3_WHOLE), LM_STR("+OK ok\r\nbody\r\n.\r\n")) &&
         turn(s, lm_pop3c_retr(s, 1, LM_POP3_BARE), LM_STR("+OK ok\r\nbody\r\n.\r\n")) &&
         turn(s, lm_pop3c_retr(s, 1, LM_POP3_STREAM), LM_STR("+OK\r\nbody\r\n.\r\n")) &&
         turn(s, lm_pop3c_command(s, LM_STR("XFOO"), LM_POP3_WHOLE), LM_STR("+OK\r\n.\r\n")) &&
         turn(s, lm_pop3c_simple(s, LM_POP3_NOOP), LM_STR("+OK\r\n"));
}

static bool converse(void) {
  struct lm_pop3c *s = lm_pop3c_new(NULL);
  bool ok = s && talk(s);
  enum lm_code code = s ? lm_wire_error(lm_pop3c_wire(s))->code : LM_E_MEMORY;
  CHECK(ok || (refused && (code == LM_E_MEMORY || code == LM_E_NONE)));
  lm_pop3c_free(s);
  return ok;
}

static bool exchange(void) {
  struct lm_sasl_credentials c = {.user = LM_STR("ann"), .password = LM_STR("secret")};
  struct lm_sasl *s;
  struct lm_str out;
  bool ok = lm_sasl_new(lm_sasl_find(LM_STR("PLAIN")), &c, &s) == NULL &&
            lm_sasl_step(s, LM_STR(""), &out) == LM_SASL_SEND;
  CHECK(ok == (refused == 0));
  lm_sasl_free(s);
  return ok;
}

int main(void) {
  survive(converse, 10);
  survive(exchange, 3);
  return check_end();
}
