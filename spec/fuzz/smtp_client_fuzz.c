/*
** smtp_client_fuzz.c: a client session against any server: the input says what is asked, what the
** server answers, and where the stream is cut.
**
** What holds for all input: nothing crashes, hangs or leaks; ids of events are ids that were given;
** what leaves is lines in CRLF without NUL; a transaction is not unknown before its dot has left.
*/
#include <stdlib.h>
#include <string.h>

#include "smtp/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok) {
  if (!ok) abort();
}

static char message[70000];

struct run {
  struct lm_smtpc *s;
  uint32_t last;  /* the highest id given */
  char last_sent; /* the octet before what is to be sent */
  unsigned given; /* pieces of content */
  bool stalled;   /* the transport takes little */
};

static void send_all(struct run *r) {
  struct lm_wire *w = lm_smtpc_wire(r->s);
  struct lm_str out;
  while ((out = lm_wire_output(w)).n) {
    size_t i;
    if (r->stalled && out.n > 30) out.n = 30;
    for (i = 0; i < out.n; i++) {
      must(out.p[i] != '\n' || r->last_sent == '\r');
      must(out.p[i] == '\n' || r->last_sent != '\r');
      must(out.p[i] != '\0');
      r->last_sent = out.p[i];
    }
    lm_wire_sent(w, out.n);
    if (r->stalled) return;
  }
}

/* Pieces short and long, and now and then one by reference. */
static void give(struct run *r, uint32_t id) {
  struct lm_str piece = {message, r->given % 3 == 1 ? sizeof message : 9};
  if (r->given++ % 5 == 4 && lm_smtpc_give_url(r->s, id, LM_STR("imap://x"), r->given & 8)) return;
  if (lm_smtpc_give(r->s, id, piece) == LM_SMTPC_TAKEN) send_all(r);
}

static void on_event(struct run *r, const struct lm_smtpc_event *ev) {
  must(ev->id <= r->last);
  if (ev->kind == LM_SMTPC_STARTTLS) lm_smtpc_secured(r->s);
  if (ev->kind == LM_SMTPC_ASK) lm_smtpc_answer(r->s, ev->id, ev->text.n & 1 ? NULL : &ev->text);
  if (ev->kind == LM_SMTPC_GO) give(r, ev->id);
  if (ev->kind == LM_SMTPC_SENT) {
    uint32_t i;
    for (i = 0; i < ev->txn->nrcpt; i++) must(lm_smtp_txn_recipient(ev->txn, i).address.n > 0);
    (void)lm_smtp_txn_failure(ev->txn);
  }
}

static void drain(struct run *r) {
  struct lm_smtpc_event ev;
  int rounds = 0;
  for (;;) {
    enum lm_status status = lm_smtpc_next(r->s, &ev);
    uint64_t gone = lm_smtpc_wire(r->s)->gone;
    bool moved;
    send_all(r);
    moved = lm_smtpc_wire(r->s)->gone != gone && !r->stalled;
    if (status == LM_FAIL || (status == LM_WAIT && !moved)) return;
    if (status == LM_EVENT) on_event(r, &ev);
    if (status == LM_EVENT && ev.kind == LM_SMTPC_GO && ++rounds > 20) return;
  }
}

static uint32_t transaction(struct run *r, bool streamed, bool chunked) {
  struct lm_smtp_txn *t = lm_smtpc_txn(r->s);
  const char *why;
  t->streamed = streamed;
  t->chunked = chunked;
  if (!streamed) t->text = (struct lm_str){message, sizeof message};
  must(lm_smtp_txn_mail(t, LM_STR("a@b"), LM_NOSTR, &why));
  must(lm_smtp_txn_rcpt(t, LM_STR("c@d"), LM_NOSTR, &why));
  must(lm_smtp_txn_rcpt(t, LM_STR("e@f"), LM_NOSTR, &why));
  must(chunked || lm_smtp_txn_data(t));
  return lm_smtpc_send(r->s, t);
}

/* One thing that a user may do; 0 where it gives no id. */
static uint32_t act(struct run *r, uint8_t what) {
  struct lm_str initial = LM_STR("x");
  uint32_t id = r->last ? what % r->last + 1 : 1;
  switch (what % 13) {
  case 0: return lm_smtpc_command(r->s, LM_SMTP_EHLO, LM_STR("me"));
  case 1: return lm_smtpc_command(r->s, LM_SMTP_HELO, LM_STR("me"));
  case 2: return lm_smtpc_command(r->s, LM_SMTP_LINE, LM_STR("NOOP"));
  case 3: return lm_smtpc_command(r->s, LM_SMTP_RSET, LM_NOSTR);
  case 4: return lm_smtpc_command(r->s, LM_SMTP_START_TLS, LM_NOSTR);
  case 5: return lm_smtpc_auth(r->s, LM_STR("X"), what & 64 ? &initial : NULL);
  case 6: return transaction(r, false, what & 64);
  case 7: return transaction(r, true, what & 64);
  case 8: return what > 200 ? lm_smtpc_quit(r->s) : 0;
  case 9: lm_smtpc_abandon(r->s, id); return 0;
  case 10: lm_smtpc_give_end(r->s, id); return 0;
  case 11: must(!lm_smtpc_is_unknown(r->s, id) || lm_smtpc_wire(r->s)->gone > 0); return 0;
  default:
    r->stalled = what & 64;
    drain(r);
    return 0;
  }
}

/* 0xFF, a number: something is done. Anything else is what the server says. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct lm_limits limits = LM_LIMITS_DEFAULT;
  struct run r = {NULL, 0, '\n', 0, false};
  size_t i;
  memset(message, 'x', sizeof message);
  message[0] = message[40000] = '\n';
  message[1] = message[65535] = '\r';
  limits.line = 200;
  limits.reply_lines = 5;
  limits.queue = 100;
  must((r.s = lm_smtpc_new(&limits)) != NULL);
  if (n && data[0] == 'L') lm_smtpc_speak_lmtp(r.s);
  for (i = 0; i < n; i++) {
    char c = (char)data[i];
    if (data[i] == 0xFF && i + 1 < n) {
      uint32_t id = act(&r, data[++i]);
      if (id) must(id > r.last), r.last = id;
      continue;
    }
    lm_wire_feed(lm_smtpc_wire(r.s), (struct lm_str){&c, 1});
    if (c == '\n' || c == '\r') drain(&r);
  }
  drain(&r);
  lm_wire_eof(lm_smtpc_wire(r.s));
  drain(&r);
  lm_smtpc_free(r.s);
  return 0;
}
