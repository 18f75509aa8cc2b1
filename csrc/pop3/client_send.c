/*
** client_send.c: the commands of POP3: how they look, when they may be given, when they travel.
**
** queue() alone makes command lines and refuses what would break one in two; transmit() and
** lm_pop3_send_response() alone write to the wire.
*/
#include "pop3/client_session.h"

#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "base/digest.h"
#include "base/text.h"

enum { LINE_MAX = 255 }; /* octets of a command line with its CRLF, RFC 2449 §4 */

enum {
  AT_FIRST = 1 << POP3C_AUTHORIZATION,
  LATER = 1 << POP3C_TRANSACTION,
  EVER = AT_FIRST | LATER | 1 << POP3C_GREETING,
};

struct verb {
  const char *name;
  unsigned states;          /* where it may be queued */
  bool alone;               /* travels with no other: what follows depends on its answer */
  bool secret;              /* its arguments are */
  enum lm_pop3_body body;   /* what follows +OK when it has no argument */
  enum lm_pop3_body of_one; /* ... and when it has one */
};

/* CAPA, USER, UTF8 and STLS may be queued before the greeting is in: they wait. */
static const struct verb verbs[] = {
    [LM_POP3_CAPA] = {"CAPA", EVER, true, false, LM_POP3_LINES, LM_POP3_LINES},
    [LM_POP3_STLS] = {"STLS", EVER & ~(unsigned)LATER, true, false, LM_POP3_NONE, LM_POP3_NONE},
    [LM_POP3_USER] = {"USER", EVER & ~(unsigned)LATER, true, false, LM_POP3_NONE, LM_POP3_NONE},
    [LM_POP3_PASS] = {"PASS", EVER & ~(unsigned)LATER, true, true, LM_POP3_NONE, LM_POP3_NONE},
    [LM_POP3_APOP] = {"APOP", AT_FIRST, true, true, LM_POP3_NONE, LM_POP3_NONE},
    [LM_POP3_AUTH] = {"AUTH", AT_FIRST, true, true, LM_POP3_NONE, LM_POP3_NONE},
    [LM_POP3_STAT] = {"STAT", LATER, false, false, LM_POP3_NONE, LM_POP3_NONE},
    [LM_POP3_LIST] = {"LIST", LATER, false, false, LM_POP3_LINES, LM_POP3_NONE},
    [LM_POP3_UIDL] = {"UIDL", LATER, false, false, LM_POP3_LINES, LM_POP3_NONE},
    [LM_POP3_RETR] = {"RETR", LATER, false, false, LM_POP3_WHOLE, LM_POP3_WHOLE},
    [LM_POP3_TOP] = {"TOP", LATER, false, false, LM_POP3_WHOLE, LM_POP3_WHOLE},
    [LM_POP3_DELE] = {"DELE", LATER, false, false, LM_POP3_NONE, LM_POP3_NONE},
    [LM_POP3_RSET] = {"RSET", LATER, false, false, LM_POP3_NONE, LM_POP3_NONE},
    [LM_POP3_NOOP] = {"NOOP", LATER, false, false, LM_POP3_NONE, LM_POP3_NONE},
    [LM_POP3_UTF8] = {"UTF8", EVER & ~(unsigned)LATER, true, false, LM_POP3_NONE, LM_POP3_NONE},
    [LM_POP3_LANG] = {"LANG", EVER, false, false, LM_POP3_LINES, LM_POP3_NONE},
    [LM_POP3_QUIT] = {"QUIT", EVER, false, false, LM_POP3_NONE, LM_POP3_NONE},
    [LM_POP3_RAW] = {"", AT_FIRST | LATER, false, false, LM_POP3_NONE, LM_POP3_NONE},
};

bool lm_pop3_verb_is_secret(enum lm_pop3_verb verb) {
  return verbs[verb].secret;
}

/* --- the lists ------------------------------------------------------------------------------- */

static void append(struct lm_pop3_list *list, struct lm_pop3_cmd *c) {
  c->next = NULL;
  if (list->last) {
    list->last->next = c;
  } else {
    list->first = c;
  }
  list->last = c;
}

struct lm_pop3_cmd *lm_pop3_pop(struct lm_pop3_list *list) {
  struct lm_pop3_cmd *c = list->first;
  list->first = c->next;
  if (list->first == NULL) list->last = NULL;
  return c;
}

static size_t cost(const struct lm_pop3_cmd *c) {
  return sizeof *c + c->line_n + c->rest_n;
}

void lm_pop3_cmd_free(struct lm_pop3_cmd *c) {
  if (verbs[c->verb].secret) lm_wipe(c->text, (size_t)c->line_n + c->rest_n);
  free(c);
}

/* --- to the wire ------------------------------------------------------------------------------ */

void lm_pop3_trace_masked(struct lm_pop3c *s, char who, struct lm_str line, size_t open_n) {
  struct lm_buf shown = {NULL, 0, 0, 0};
  if (s->wire.trace == NULL) return;
  if (open_n == line.n) {
    lm_wire_trace(&s->wire, who, line);
  } else if (lm_buf_put(&shown, line.p, open_n) && lm_buf_put(&shown, "***", 3)) {
    lm_wire_trace(&s->wire, who, lm_buf_str(&shown));
  }
  lm_buf_free(&shown);
}

static void put(struct lm_pop3c *s, struct lm_pop3_cmd *c, struct lm_str line) {
  lm_wire_put(&s->wire, line);
  s->put += line.n;
  c->left_at = s->put;
  c->heard = lm_pop3_heard(s);
}

static void transmit(struct lm_pop3c *s, struct lm_pop3_cmd *c) {
  struct lm_str line = {c->text, c->line_n};
  lm_pop3_trace_masked(s, 'C', (struct lm_str){line.p, line.n - 2}, c->open_n);
  if (c->open_n < c->line_n - 2) s->wire.secret = true;
  put(s, c, line);
  append(&s->sent, c);
}

void lm_pop3_send_response(struct lm_pop3c *s, struct lm_pop3_cmd *c, struct lm_str line,
                           enum lm_pop3_secrecy secrecy) {
  struct lm_str shown = {line.p, line.n - 2};
  c->asked = false;
  lm_pop3_trace_masked(s, 'C', shown, secrecy == LM_POP3_SECRET ? 0 : shown.n);
  if (secrecy == LM_POP3_SECRET) s->wire.secret = true;
  put(s, c, line);
}

/* A PASS that its owner queued with its USER: whatever becomes of USER, only PASS logs in. */
static bool is_pair(const struct lm_pop3_cmd *sent, const struct lm_pop3_cmd *c) {
  return c->verb == LM_POP3_PASS && sent->verb == LM_POP3_USER && sent->next == NULL;
}

static bool may_travel(const struct lm_pop3c *s, const struct lm_pop3_cmd *c) {
  const struct lm_pop3_cmd *sent = s->sent.first;
  if (s->state != POP3C_AUTHORIZATION && s->state != POP3C_TRANSACTION) return false;
  if (sent == NULL) return true;
  return s->pipelining && (is_pair(sent, c) || (!verbs[c->verb].alone && !verbs[sent->verb].alone));
}

void lm_pop3_send_waiting(struct lm_pop3c *s) {
  while (s->waiting.first && may_travel(s, s->waiting.first)) {
    struct lm_pop3_cmd *c = lm_pop3_pop(&s->waiting);
    s->queued -= cost(c);
    if (c->dropped) {
      lm_pop3_cmd_free(c);
    } else {
      transmit(s, c);
    }
  }
}

/* --- the one maker of lines ------------------------------------------------------------------- */

enum { PARTS = 5 };

/* A command that is being asked for: its line is the parts one behind another. */
struct draft {
  enum lm_pop3_verb verb;
  enum lm_pop3_body body;
  bool raw;
  bool bare;
  size_t open_n; /* octets that a trace may show; 0: the name and a space */
  struct lm_str part[PARTS];
  struct lm_str rest; /* see lm_pop3_cmd.rest_n */
};

static uint32_t refuse(struct lm_pop3c *s, const char *why) {
  s->refusal = why;
  return 0;
}

/* command = keyword *(SP param) CRLF ;255 octets maximum */
static const char *unfit(const struct lm_pop3c *s, const struct draft *d) {
  size_t i, n = 2;
  if (lm_wire_failed(&s->wire) || s->state == POP3C_CLOSED) return "the session has ended";
  if (s->quitting) return "QUIT was sent";
  if ((verbs[d->verb].states & 1U << s->state) == 0) {
    return s->state == POP3C_TLS            ? "the TLS layer is not there yet"
           : verbs[d->verb].states == LATER ? "not logged in"
                                            : "not now";
  }
  if (d->verb == LM_POP3_STLS && s->utf8) return "UTF8 was sent: no STLS behind it";
  for (i = 0; i < PARTS; i++) {
    if (lm_str_breaks_line(d->part[i])) return "CR, LF or NUL in a command line";
    n += d->part[i].n;
    if (n > LINE_MAX) return "a command line of more than 255 octets";
  }
  if (s->queued + n + d->rest.n > s->limits.queue) return "too many commands are waiting";
  return NULL;
}

static struct lm_pop3_cmd *build(const struct draft *d) {
  size_t i, n = 2;
  struct lm_pop3_cmd *c;
  char *p;
  for (i = 0; i < PARTS; i++) n += d->part[i].n;
  if ((c = malloc(sizeof *c + n + d->rest.n)) == NULL) return NULL;
  memset(c, 0, sizeof *c);
  p = c->text;
  for (i = 0; i < PARTS; i++) {
    if (d->part[i].n) memcpy(p, d->part[i].p, d->part[i].n);
    p += d->part[i].n;
  }
  memcpy(p, "\r\n", 2);
  if (d->rest.n) memcpy(p + 2, d->rest.p, d->rest.n);
  c->line_n = (uint32_t)n;
  c->rest_n = (uint32_t)d->rest.n;
  c->open_n = (uint32_t)(verbs[d->verb].secret ? d->open_n ? d->open_n : 5 : n - 2);
  c->verb = d->verb;
  c->body = d->body;
  c->raw = d->raw;
  c->bare = d->bare;
  return c;
}

static uint32_t queue(struct lm_pop3c *s, const struct draft *d) {
  const char *why = unfit(s, d);
  struct lm_pop3_cmd *c;
  if (why) return refuse(s, why);
  if ((c = build(d)) == NULL) return refuse(s, "out of memory");
  if (++s->last_id == 0) s->last_id = 1;
  c->id = s->last_id;
  if (d->verb == LM_POP3_QUIT) s->quitting = true;
  s->queued += cost(c);
  append(&s->waiting, c);
  lm_pop3_send_waiting(s);
  return s->last_id;
}

static struct draft draft(enum lm_pop3_verb verb, enum lm_pop3_body body) {
  struct draft d = {verb, body, false, false, 0, {LM_NOSTR}, LM_NOSTR};
  d.part[0] = (struct lm_str){verbs[verb].name, strlen(verbs[verb].name)};
  if (verb != LM_POP3_RAW) d.part[1] = LM_STR(" ");
  return d;
}

/* --- the commands ----------------------------------------------------------------------------- */

uint32_t lm_pop3c_simple(struct lm_pop3c *s, enum lm_pop3_verb verb) {
  struct draft d = draft(verb, verbs[verb].body);
  d.part[1] = LM_NOSTR;
  return queue(s, &d);
}

struct digits {
  char text[11];
};

/* `n` in decimal, in the caller's memory; a space stands in front. */
static struct lm_str spell(uint32_t n, struct digits *d) {
  size_t i = sizeof d->text;
  do {
    d->text[--i] = (char)('0' + n % 10);
  } while (n /= 10);
  d->text[--i] = ' ';
  return (struct lm_str){d->text + i, sizeof d->text - i};
}

static uint32_t about(struct lm_pop3c *s, struct draft *d, uint32_t number) {
  struct digits digits;
  if (number == 0) return refuse(s, "a message number begins at 1");
  d->part[1] = spell(number, &digits);
  return queue(s, d);
}

uint32_t lm_pop3c_about(struct lm_pop3c *s, enum lm_pop3_verb verb, uint32_t number) {
  struct draft d = draft(verb, verbs[verb].of_one);
  return about(s, &d, number);
}

uint32_t lm_pop3c_retr(struct lm_pop3c *s, uint32_t number, enum lm_pop3_body body) {
  struct draft d = draft(LM_POP3_RETR, body == LM_POP3_BARE ? LM_POP3_WHOLE : body);
  d.bare = body == LM_POP3_BARE;
  return about(s, &d, number);
}

uint32_t lm_pop3c_top(struct lm_pop3c *s, uint32_t number, uint32_t lines, enum lm_pop3_body body) {
  struct draft d = draft(LM_POP3_TOP, body);
  struct digits digits;
  d.part[2] = spell(lines, &digits);
  return about(s, &d, number);
}

/* language range = (1*8ALPHA *("-" 1*8alphanum)) / "*", RFC 4647 §2.1 */
uint32_t lm_pop3c_lang(struct lm_pop3c *s, struct lm_str tag) {
  struct draft d = draft(LM_POP3_LANG, LM_POP3_NONE);
  size_t i;
  for (i = 0; i < tag.n; i++) {
    if (!lm_is(tag.p[i], LM_ALPHA | LM_DIGIT) && tag.p[i] != '-' && tag.p[i] != '*')
      return refuse(s, "no language tag");
  }
  if (tag.n == 0) return refuse(s, "no language tag");
  d.part[2] = tag;
  return queue(s, &d);
}

uint32_t lm_pop3c_user(struct lm_pop3c *s, struct lm_str user) {
  struct draft d = draft(LM_POP3_USER, LM_POP3_NONE);
  if (user.n == 0) return refuse(s, "an empty user name");
  d.part[2] = user;
  return queue(s, &d);
}

uint32_t lm_pop3c_pass(struct lm_pop3c *s, struct lm_str password) {
  struct draft d = draft(LM_POP3_PASS, LM_POP3_NONE);
  d.part[2] = password;
  return queue(s, &d);
}

/* APOP name digest, where the digest is MD5 over the timestamp and the secret (RFC 1939 §7). */
uint32_t lm_pop3c_apop(struct lm_pop3c *s, struct lm_str user, struct lm_str secret) {
  struct draft d = draft(LM_POP3_APOP, LM_POP3_NONE);
  struct lm_str parts[2] = {lm_buf_str(&s->timestamp), secret};
  unsigned char digest[LM_DIGEST_MAX];
  struct lm_buf hex = {NULL, 0, 0, 0};
  size_t n;
  uint32_t id;
  if (parts[0].n == 0) return refuse(s, "no valid timestamp in the greeting");
  if (user.n == 0 || memchr(user.p, ' ', user.n)) return refuse(s, "a user name in one word");
  if ((n = lm_digest(LM_MD5, parts, 2, digest)) == 0) return refuse(s, "MD5 is not to be had");
  if (!lm_hex_encode(&hex, (struct lm_str){(const char *)digest, n})) {
    return refuse(s, "out of memory");
  }
  d.part[2] = user;
  d.part[3] = LM_STR(" ");
  d.part[4] = lm_buf_str(&hex);
  id = queue(s, &d);
  lm_buf_wipe(&hex);
  lm_wipe(digest, sizeof digest);
  return id;
}

static bool is_mechanism(struct lm_str name) {
  size_t i;
  for (i = 0; i < name.n; i++) {
    if (!lm_is(name.p[i], LM_ALPHA | LM_DIGIT) && name.p[i] != '-' && name.p[i] != '_')
      return false;
  }
  return name.n > 0 && name.n <= 20; /* sasl-mech, RFC 4422 §3.1 */
}

/* AUTH mechanism [initial-response], RFC 5034 §4; an empty one is "=". `base64` ends in CRLF. */
static uint32_t auth(struct lm_pop3c *s, struct lm_str mechanism, struct lm_str base64) {
  struct draft d = draft(LM_POP3_AUTH, LM_POP3_NONE);
  d.part[2] = mechanism;
  d.open_n = 5 + mechanism.n;
  if (d.open_n + 1 + base64.n > LINE_MAX) {
    d.rest = base64;
  } else if (base64.n) {
    d.part[3] = LM_STR(" ");
    d.part[4] = (struct lm_str){base64.p, base64.n - 2};
    d.open_n++;
  }
  return queue(s, &d);
}

/* The base64 of a response and CRLF, in exact room, so that no copy of a secret stays behind. */
static bool response_line(struct lm_buf *out, struct lm_str response) {
  return lm_buf_room(out, response.n / 3 * 4 + 8) && lm_base64_encode(out, response) &&
         lm_buf_put(out, "\r\n", 2);
}

uint32_t lm_pop3c_auth(struct lm_pop3c *s, struct lm_str mechanism, struct lm_str initial) {
  struct lm_buf base64 = {NULL, 0, 0, 0};
  uint32_t id;
  if (!is_mechanism(mechanism)) return refuse(s, "no name of a SASL mechanism");
  if (initial.p == NULL) return auth(s, mechanism, LM_NOSTR);
  if (initial.n == 0) return auth(s, mechanism, LM_STR("=\r\n"));
  id = response_line(&base64, initial) ? auth(s, mechanism, lm_buf_str(&base64))
                                       : refuse(s, "out of memory");
  lm_buf_wipe(&base64);
  return id;
}

bool lm_pop3c_answer(struct lm_pop3c *s, uint32_t id, struct lm_str response,
                     enum lm_pop3_secrecy secrecy) {
  struct lm_pop3_cmd *c = s->sent.first;
  struct lm_buf line = {NULL, 0, 0, 0};
  if (c == NULL || c->id != id || !c->asked || lm_wire_failed(&s->wire)) {
    return refuse(s, "nothing was asked");
  }
  if (response.p == NULL) {
    lm_pop3_send_response(s, c, LM_STR("*\r\n"), LM_POP3_OPEN);
    return true;
  }
  if (!response_line(&line, response)) return refuse(s, "out of memory");
  lm_pop3_send_response(s, c, lm_buf_str(&line), secrecy);
  lm_buf_wipe(&line);
  return true;
}

/* --- a line as it stands ---------------------------------------------------------------------- */

static enum lm_pop3_verb verb_of(struct lm_str line) {
  unsigned i;
  for (i = 0; i < LM_POP3_RAW; i++) {
    struct lm_str name = {verbs[i].name, strlen(verbs[i].name)};
    bool whole = line.n == name.n || (line.n > name.n && lm_is(line.p[name.n], LM_SPACE));
    if (whole && lm_str_istarts(line, name)) return (enum lm_pop3_verb)i;
  }
  return LM_POP3_RAW;
}

static bool has_argument(struct lm_str line, const struct verb *v) {
  size_t i;
  for (i = strlen(v->name); i < line.n; i++) {
    if (!lm_is(line.p[i], LM_SPACE)) return true;
  }
  return false;
}

uint32_t lm_pop3c_command(struct lm_pop3c *s, struct lm_str line, enum lm_pop3_body body) {
  enum lm_pop3_verb verb = verb_of(line);
  const struct verb *v = &verbs[verb];
  struct draft d = draft(verb, body);
  if (line.n == 0) return refuse(s, "an empty line");
  if (verb == LM_POP3_STLS || verb == LM_POP3_AUTH) return refuse(s, "not as a plain line");
  if (verb != LM_POP3_RAW) d.body = has_argument(line, v) ? v->of_one : v->body;
  d.raw = true;
  d.part[0] = line;
  d.part[1] = LM_NOSTR;
  return queue(s, &d);
}
