/*
** client.c: a POP3 client session: replies, states, the life of a session (RFC 1939).
**
** Reading is line by line; a line is the greeting, or the answer to the oldest command on the wire.
** What follows it belongs to client_body.c.
*/
#include "pop3/client_session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "base/text.h"

static const struct lm_limits defaults = LM_LIMITS_DEFAULT;

struct lm_pop3c *lm_pop3c_new(const struct lm_limits *limits) {
  struct lm_pop3c *s = calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  lm_wire_init(&s->wire);
  s->limits = limits ? *limits : defaults;
  s->state = POP3C_GREETING;
  s->refusal = "";
  return s;
}

static void free_list(struct lm_pop3_list *list) {
  while (list->first) lm_pop3_cmd_free(lm_pop3_pop(list));
}

void lm_pop3c_free(struct lm_pop3c *s) {
  if (s == NULL) return;
  free_list(&s->waiting);
  free_list(&s->sent);
  lm_buf_free(&s->timestamp);
  lm_buf_free(&s->words);
  lm_buf_wipe(&s->challenge);
  lm_buf_free(&s->body);
  lm_wire_free(&s->wire);
  free(s);
}

enum lm_pop3c_state lm_pop3c_state(const struct lm_pop3c *s) {
  return s->state;
}

const char *lm_pop3c_refusal(const struct lm_pop3c *s) {
  return s->refusal;
}

/* --- states ----------------------------------------------------------------------------------- */

static bool is_edge(enum lm_pop3c_state from, enum lm_pop3c_state to) {
  static const unsigned from_to[] = {
      [POP3C_GREETING] = 1 << POP3C_AUTHORIZATION | 1 << POP3C_CLOSED,
      [POP3C_AUTHORIZATION] = 1 << POP3C_TLS | 1 << POP3C_TRANSACTION | 1 << POP3C_CLOSED,
      [POP3C_TLS] = 1 << POP3C_AUTHORIZATION,
      [POP3C_TRANSACTION] = 1 << POP3C_CLOSED,
      [POP3C_CLOSED] = 0,
  };
  return (from_to[from] & 1U << to) != 0;
}

static void enter(struct lm_pop3c *s, enum lm_pop3c_state state) {
  assert(is_edge(s->state, state));
  s->state = state;
}

void lm_pop3c_secured(struct lm_pop3c *s) {
  s->pipelining = false;
  lm_buf_free(&s->timestamp);
  if (s->state != POP3C_TLS) return;
  enter(s, POP3C_AUTHORIZATION);
  lm_pop3_send_waiting(s);
}

/* --- abandoning ------------------------------------------------------------------------------- */

static struct lm_pop3_cmd *find(const struct lm_pop3_list *list, uint32_t id) {
  struct lm_pop3_cmd *c = list->first;
  while (c && c->id != id) c = c->next;
  return c;
}

static void cancel(struct lm_pop3c *s, struct lm_pop3_cmd *c) {
  lm_pop3_send_response(s, c, LM_STR("*\r\n"), LM_POP3_OPEN);
}

bool lm_pop3c_abandon(struct lm_pop3c *s, uint32_t id) {
  struct lm_pop3_cmd *c = find(&s->sent, id);
  if (c == NULL) c = find(&s->waiting, id);
  if (c == NULL) return false;
  c->dropped = true;
  if (c->asked) cancel(s, c);
  return true;
}

/* --- replies ---------------------------------------------------------------------------------- */

static enum lm_status broken(struct lm_pop3c *s, const char *expected, struct lm_str seen) {
  return lm_wire_fail(&s->wire, LM_E_PROTOCOL, expected, seen);
}

/* Lines that answer a log-in may repeat what was sent: only status and code are written down. */
static void trace(struct lm_pop3c *s, struct lm_str line, bool secret) {
  struct lm_pop3_reply r;
  if (s->wire.trace == NULL) return;
  r = lm_pop3_reply(line);
  if (!secret) {
    lm_wire_trace(&s->wire, 'S', line);
  } else if (r.word == LM_POP3_NONSENSE) {
    lm_wire_trace(&s->wire, 'S', LM_STR("***"));
  } else {
    lm_pop3_trace_masked(s, 'S', line, r.text.n ? (size_t)(r.text.p - line.p) : line.n);
  }
}

static enum lm_status take_line(struct lm_pop3c *s, size_t max, bool secret,
                                struct lm_str *line_out) {
  size_t before = lm_wire_input(&s->wire).n;
  enum lm_status status = lm_wire_line(&s->wire, max, line_out);
  s->taken += before - lm_wire_input(&s->wire).n;
  if (status == LM_EVENT) trace(s, *line_out, secret);
  if (status == LM_FAIL && secret) s->wire.error.seen_n = 0;
  return status;
}

static enum lm_status greeting(struct lm_pop3c *s, struct lm_pop3c_event *ev) {
  struct lm_str line;
  struct lm_pop3_reply r;
  enum lm_status status = take_line(s, s->limits.line, false, &line);
  if (status != LM_EVENT) return status;
  r = lm_pop3_reply(line);
  ev->text = r.text;
  ev->code = r.code;
  if (r.word == LM_POP3_ERR) {
    ev->kind = LM_POP3C_BYE;
    enter(s, POP3C_CLOSED);
    return LM_EVENT;
  }
  if (r.word != LM_POP3_OK) return broken(s, "a greeting that begins with +OK", line);
  ev->kind = LM_POP3C_GREETING;
  ev->timestamp = lm_pop3_timestamp(r.text);
  if (!lm_buf_puts(&s->timestamp, ev->timestamp)) {
    return lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a timestamp", LM_NOSTR);
  }
  enter(s, POP3C_AUTHORIZATION);
  lm_pop3_send_waiting(s);
  return LM_EVENT;
}

static void read_capabilities(struct lm_pop3c *s, struct lm_str list) {
  struct lm_str line, name, rest;
  s->pipelining = false;
  while (lm_pop3_next_line(&list, &line)) {
    if (lm_pop3_capability(line, &name, &rest) && LM_IS(name, "PIPELINING")) s->pipelining = true;
  }
}

/* What an answer changes, whoever listens. */
static void apply(struct lm_pop3c *s, const struct lm_pop3_cmd *c, bool ok, struct lm_str data) {
  switch (c->verb) {
  case LM_POP3_CAPA:
    if (ok) read_capabilities(s, data);
    break;
  case LM_POP3_UTF8: s->utf8 = s->utf8 || ok; break;
  case LM_POP3_PASS:
  case LM_POP3_APOP:
  case LM_POP3_AUTH:
    if (ok && s->state == POP3C_AUTHORIZATION) enter(s, POP3C_TRANSACTION);
    break;
  case LM_POP3_QUIT:
    enter(s, POP3C_CLOSED); /* also after -ERR: RFC 1939 §6, some messages were not removed */
    break;
  default: break;
  }
}

/* The oldest command has its answer; ev->data is set where lines followed. */
static enum lm_status done(struct lm_pop3c *s, struct lm_pop3c_event *ev,
                           const struct lm_pop3_reply *r) {
  struct lm_pop3_cmd *c = lm_pop3_pop(&s->sent);
  ev->kind = c->dropped ? LM_POP3C_NOTHING : LM_POP3C_DONE;
  ev->id = c->id;
  ev->verb = c->verb;
  ev->raw = c->raw;
  ev->ok = r->word == LM_POP3_OK;
  ev->body = ev->ok ? c->body : LM_POP3_NONE;
  ev->text = r->text;
  ev->code = r->code;
  apply(s, c, ev->ok, c->dropped ? LM_STR("") : ev->data);
  lm_pop3_cmd_free(c);
  lm_pop3_send_waiting(s);
  return LM_EVENT;
}

/* STLS was granted: not an octet more is parsed. Without its owner nobody would speak TLS. */
static enum lm_status stls_granted(struct lm_pop3c *s, struct lm_pop3c_event *ev) {
  struct lm_pop3_cmd *c = lm_pop3_pop(&s->sent);
  bool dropped = c->dropped;
  ev->kind = LM_POP3C_STARTTLS;
  ev->id = c->id;
  ev->verb = LM_POP3_STLS;
  lm_pop3_cmd_free(c);
  if (dropped) return lm_wire_fail(&s->wire, LM_E_CLOSED, "TLS, but STLS was abandoned", LM_NOSTR);
  if (s->state != POP3C_AUTHORIZATION) return broken(s, "-ERR to STLS after log-in", LM_NOSTR);
  enter(s, POP3C_TLS);
  return LM_EVENT;
}

/* Lines follow: the words of the status line must outlive the input that they stand in. */
static enum lm_status begin_body(struct lm_pop3c *s, const struct lm_pop3_reply *r) {
  const struct lm_pop3_cmd *c = s->sent.first;
  lm_buf_clear(&s->words);
  s->code_n = c->bare ? 0 : r->code.n;
  if (!c->bare && (!lm_buf_puts(&s->words, r->code) || !lm_buf_puts(&s->words, r->text))) {
    return lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a status line", LM_NOSTR);
  }
  lm_pop3_body_begin(s);
  return LM_EVENT;
}

static enum lm_status end_body(struct lm_pop3c *s, struct lm_pop3c_event *ev) {
  struct lm_str words = lm_buf_str(&s->words);
  struct lm_pop3_reply r = {
      LM_POP3_OK, {words.p, s->code_n}, {words.p + s->code_n, words.n - s->code_n}};
  return done(s, ev, &r);
}

/* continue-req = "+" SP [base64] CRLF, RFC 5034 §4 */
static enum lm_status challenge(struct lm_pop3c *s, struct lm_pop3c_event *ev, struct lm_str text) {
  struct lm_pop3_cmd *c = s->sent.first;
  struct lm_str kept = {c->text + c->line_n, c->rest_n};
  enum lm_base64 decoded;
  if (++c->steps > s->limits.sasl_steps) {
    return lm_wire_fail(&s->wire, LM_E_LIMIT, "sasl_steps", LM_NOSTR);
  }
  if (c->dropped) {
    cancel(s, c);
    return LM_EVENT;
  }
  if (kept.n && c->steps == 1) {
    lm_pop3_send_response(s, c, kept, LM_POP3_SECRET);
    return LM_EVENT;
  }
  lm_buf_wipe(&s->challenge);
  decoded = lm_base64_decode(&s->challenge, text);
  if (decoded == LM_BASE64_MEMORY) {
    return lm_wire_fail(&s->wire, LM_E_MEMORY, "room for a challenge", LM_NOSTR);
  }
  if (lm_buf_len(&s->challenge) > s->limits.challenge) {
    return lm_wire_fail(&s->wire, LM_E_LIMIT, "challenge", LM_NOSTR);
  }
  c->asked = true;
  ev->kind = LM_POP3C_ASK;
  ev->id = c->id;
  ev->verb = c->verb;
  ev->garbled = decoded == LM_BASE64_BAD;
  ev->data = ev->garbled ? LM_NOSTR : lm_buf_str(&s->challenge);
  return LM_EVENT;
}

/* Nothing may come in unless a command that has wholly gone out waits for it. */
static enum lm_status awaited(struct lm_pop3c *s) {
  const struct lm_pop3_cmd *c = s->sent.first;
  struct lm_str in = lm_wire_input(&s->wire);
  if (in.n == 0) return lm_wire_more(&s->wire);
  if (s->state == POP3C_TLS) return broken(s, "nothing before the TLS handshake", in);
  if (c == NULL) return broken(s, "no answer without a command", in);
  if (c->asked) return broken(s, "no answer before the response", in);
  if (s->taken < c->heard || s->put - lm_buf_len(&s->wire.out) < c->left_at) {
    return broken(s, "no answer before the command", in);
  }
  return LM_EVENT;
}

/* A challenge may be as long as one is allowed to be. */
static size_t longest(const struct lm_pop3c *s, const struct lm_pop3_cmd *c) {
  size_t base64 = s->limits.challenge / 3 * 4 + 8;
  return c->verb == LM_POP3_AUTH && base64 > s->limits.line ? base64 : s->limits.line;
}

static enum lm_status reply(struct lm_pop3c *s, struct lm_pop3c_event *ev) {
  struct lm_pop3_cmd *c = s->sent.first;
  struct lm_str line;
  struct lm_pop3_reply r;
  bool secret;
  enum lm_status status = awaited(s);
  if (status != LM_EVENT) return status;
  secret = lm_pop3_verb_is_secret(c->verb);
  status = take_line(s, longest(s, c), secret, &line);
  if (status != LM_EVENT) return status;
  r = lm_pop3_reply(line);
  if (r.word == LM_POP3_CHALLENGE && c->verb == LM_POP3_AUTH) return challenge(s, ev, r.text);
  if (r.word != LM_POP3_OK && r.word != LM_POP3_ERR) {
    return broken(s, "+OK or -ERR", secret ? LM_STR("***") : line);
  }
  if (r.word == LM_POP3_OK && c->body != LM_POP3_NONE) return begin_body(s, &r);
  if (r.word == LM_POP3_OK && c->verb == LM_POP3_STLS) return stls_granted(s, ev);
  return done(s, ev, &r);
}

static enum lm_status ended(struct lm_pop3c *s) {
  return lm_wire_fail(&s->wire, LM_E_CLOSED, "an open session", LM_NOSTR);
}

static enum lm_status step(struct lm_pop3c *s, struct lm_pop3c_event *ev) {
  enum lm_status status;
  memset(ev, 0, sizeof *ev);
  if (s->state == POP3C_GREETING) return greeting(s, ev);
  if (s->state == POP3C_CLOSED) return ended(s);
  if (!s->in_body) return reply(s, ev);
  status = lm_pop3_body_next(s, ev);
  return status == LM_EVENT && ev->kind == LM_POP3C_DONE ? end_body(s, ev) : status;
}

enum lm_status lm_pop3c_next(struct lm_pop3c *s, struct lm_pop3c_event *ev) {
  enum lm_status status;
  if (lm_wire_failed(&s->wire)) return LM_FAIL;
  lm_pop3_body_release(s);
  do {
    status = step(s, ev);
  } while (status == LM_EVENT && ev->kind == LM_POP3C_NOTHING);
  return status;
}
