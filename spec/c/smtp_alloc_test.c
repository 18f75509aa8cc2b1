/*
** smtp_alloc_test.c: a whole SMTP session, with a login, a lent message and a streamed one, by the
** dot and in chunks, under the n-th allocation that fails: it goes well, or a call says no, or the
** session fails with the code for memory; nothing crashes, nothing leaks.
*/
#include "check.h"
#include "fail.h"
#include "smtp/client.h"

static char message[100000];

/* What the server says, in order; the client's octets are thrown away. */
static const char *const dotted[] = {
    "220 mx\r\n",
    "250-mx\r\n250-PIPELINING\r\n250-AUTH LOGIN\r\n250 SIZE\r\n",
    "334 VXNlcm5hbWU6\r\n",
    "235 ok\r\n",
    "250 ok\r\n250-one\r\n250 two\r\n550 5.1.1 no\r\n354 go\r\n",
    "250 2.0.0 queued as 1\r\n250 ok\r\n250 ok\r\n354 go\r\n",
    "250 2.0.0 queued as 2\r\n",
    "214-a\r\n214-b\r\n214 c\r\n",
    "221 bye\r\n",
};

/* The same conversation with CHUNKING: the envelope and the content in one flight, the second message refused
** by its chunk. */
static const char *const chunked[] = {
    "220 mx\r\n",
    "250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 AUTH LOGIN\r\n",
    "334 VXNlcm5hbWU6\r\n",
    "235 ok\r\n",
    "250 ok\r\n250-one\r\n250 two\r\n550 5.1.1 no\r\n250 ok\r\n250 2.0.0 queued as 1\r\n",
    "250 ok\r\n250 ok\r\n452 4.3.1 full\r\n",
    "250 reset\r\n",
    "214-a\r\n214-b\r\n214 c\r\n",
    "221 bye\r\n",
};

static const char *const *answers;
enum { STEPS = sizeof dotted / sizeof *dotted };

static uint32_t transaction(struct lm_smtpc *s, bool streamed) {
  struct lm_smtp_txn *t = lm_smtpc_txn(s);
  const char *why = NULL;
  if (t == NULL) return 0;
  t->chunked = answers == chunked;
  if (streamed) {
    t->streamed = true;
  } else {
    t->text = (struct lm_str){message, sizeof message};
  }
  if (!lm_smtp_txn_mail(t, str("a@example.com"), LM_NOSTR, &why)) return 0;
  if (!lm_smtp_txn_rcpt(t, str("b@example.org"), LM_NOSTR, &why)) return 0;
  if (!streamed && !lm_smtp_txn_rcpt(t, str("c@example.org"), LM_NOSTR, &why)) return 0;
  if (!t->chunked && !lm_smtp_txn_data(t)) return 0;
  return lm_smtpc_send(s, t);
}

/* Sends everything and takes all events; false where the session failed. */
static bool drain(struct lm_smtpc *s, int *given) {
  struct lm_smtpc_event ev;
  enum lm_status status;
  bool moved;
  do {
    status = lm_smtpc_next(s, &ev);
    if (status == LM_EVENT && ev.kind == LM_SMTPC_ASK) lm_smtpc_answer(s, ev.id, &LM_STR("ann"));
    if (status == LM_EVENT && ev.kind == LM_SMTPC_GO) {
      if ((*given)++ == 0) {
        lm_smtpc_give(s, ev.id, str(".piece\n"));
      } else {
        lm_smtpc_give_end(s, ev.id);
      }
    }
    moved = lm_wire_output(lm_smtpc_wire(s)).n != 0;
    lm_wire_sent(lm_smtpc_wire(s), lm_wire_output(lm_smtpc_wire(s)).n);
  } while (status == LM_EVENT || (status == LM_WAIT && moved));
  return status != LM_FAIL;
}

/* The commands in front of each answer; false where one was refused. */
static bool ask(struct lm_smtpc *s, size_t step) {
  switch (step) {
  case 1: return lm_smtpc_command(s, LM_SMTP_EHLO, str("me")) != 0;
  case 2: return lm_smtpc_auth(s, str("LOGIN"), NULL) != 0;
  case 4: return transaction(s, false) != 0 && transaction(s, true) != 0;
  case 7: return lm_smtpc_command(s, LM_SMTP_LINE, str("HELP")) != 0;
  case 8: return lm_smtpc_quit(s) != 0;
  default: return true;
  }
}

/* True where all went well. */
static bool live(long nth) {
  struct lm_limits limits = LM_LIMITS_DEFAULT;
  struct lm_smtpc *s;
  size_t step;
  int given = 0;
  bool well = true;
  fail_at(nth);
  s = lm_smtpc_new(&limits);
  if (s == NULL) return false;
  lm_wire_trace_on(lm_smtpc_wire(s));
  for (step = 0; well && step < STEPS; step++) {
    well = ask(s, step) && drain(s, &given) && lm_wire_feed(lm_smtpc_wire(s), str(answers[step])) &&
           drain(s, &given);
  }
  fail_never();
  CHECK(!lm_wire_failed(lm_smtpc_wire(s)) || lm_smtpc_wire(s)->error.code == LM_E_MEMORY);
  lm_smtpc_free(s);
  return well;
}

static void live_on(const char *const *script) {
  long nth, failed = 0;
  answers = script;
  CHECK(live(-1));
  for (nth = 0; nth < 200; nth++) {
    if (!live(nth)) failed++;
  }
  CHECK(failed > 20 && live(1000));
}

int main(void) {
  memset(message, 'x', sizeof message);
  message[0] = message[70000] = '.';
  message[69999] = '\n';
  live_on(dotted);
  live_on(chunked);
  return check_end();
}
