/*
** imap_client_fuzz.c: what an IMAP server may send, to a client that has everything under way.
**
** The first octet says which commands are in flight and how the rest is cut; the rest is the server.
** Whatever it is, the session must come to an end within its limits, and every view that it hands
** out must be readable.
*/
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "imap/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sum; /* so that reading the views is not optimized away */

static void read_all(struct lm_str s) {
  size_t i;
  for (i = 0; i < s.n; i++) sum += (unsigned char)s.p[i];
}

/* The depth is limited by the session. */
static void read_value(const struct lm_imap_value *v) {
  const struct lm_imap_value *child;
  read_all(v->key);
  if (v->kind == LM_VALUE_ATOM || v->kind == LM_VALUE_STRING) read_all(v->u.text);
  if (v->kind == LM_VALUE_NUMBERS || v->kind == LM_VALUE_TREE) {
    read_all(
        (struct lm_str){(const char *)v->u.numbers.p, v->u.numbers.n * sizeof *v->u.numbers.p});
  }
  if (!lm_imap_has_children(v)) return;
  for (child = v->u.list.first; child; child = child->next) read_value(child);
}

static void read_part(const struct lm_imap_part *part) {
  read_all(part->type);
  read_all(part->section);
  if (part->parameters) read_value(part->parameters);
  for (part = part->child; part; part = part->next) read_part(part);
}

static void read_fetch(const struct lm_imap_fetch *f) {
  const struct lm_imap_section *s;
  const struct lm_imap_address *a;
  const struct lm_imap_defect *d;
  for (d = f->defects; d; d = d->next) {
    read_all(d->item);
    read_all((struct lm_str){d->expected, strlen(d->expected)});
  }
  read_value(&f->flags);
  read_value(&f->other);
  read_value(&f->raw);
  if (f->bodystructure) read_part(f->bodystructure);
  for (s = f->sections; s; s = s->next) read_all(s->name), read_all(s->data);
  if (f->envelope == NULL) return;
  read_all(f->envelope->subject);
  for (a = f->envelope->list[LM_IMAP_FROM]; a; a = a->next) read_all(a->name), read_all(a->host);
}

static void read_event(const struct lm_imapc_event *ev) {
  read_all(ev->data);
  if (ev->resp == NULL) return;
  read_all(ev->resp->text);
  read_all(ev->resp->code);
  read_value(&ev->resp->code_value);
  read_value(&ev->resp->value);
  if (ev->resp->fetch) read_fetch(ev->resp->fetch);
}

static void submit(struct lm_imapc *s, struct lm_str verb, unsigned options) {
  lm_imapc_begin(s, verb, options);
  lm_imapc_string(s, LM_STR("x\xC3\xA9"));
  lm_imapc_end(s);
}

static void act(struct lm_imapc *s, unsigned how) {
  if (lm_imapc_state(s) == IMAPC_NOT_AUTHENTICATED) {
    if (how & 1) submit(s, LM_STR("CAPABILITY"), 0);
    lm_imapc_authenticate(s, LM_STR("X"), how & 2 ? LM_STR("initial") : LM_NOSTR);
    return;
  }
  if (lm_imapc_pending(s) > 4) return;
  submit(s, LM_STR("SELECT"), 0);
  submit(s, LM_STR("UID FETCH"), how & 4 ? LM_IMAPC_STREAM : 0);
  if (how & 128) {
    submit(s, LM_STR("UID FETCH"), how & 4 ? LM_IMAPC_STREAM : 0);
    lm_imapc_join(s, 3, 2);
  }
  if (how & 8) lm_imapc_abandon(s, 2);
  lm_imapc_idle(s);
}

static void react(struct lm_imapc *s, const struct lm_imapc_event *ev, unsigned how) {
  read_event(ev);
  if (ev->kind == LM_IMAPC_ASK) lm_imapc_answer(s, ev->id, LM_STR("x"));
  if (ev->kind == LM_IMAPC_STARTTLS || ev->kind == LM_IMAPC_COMPRESS) lm_imapc_secured(s);
  if (ev->kind == LM_IMAPC_GREETING || ev->kind == LM_IMAPC_DONE) act(s, how);
  if (ev->kind == LM_IMAPC_BODY && (how & 16)) lm_imapc_abandon(s, ev->id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct lm_limits limits = {.line = 100,
                                          .response = 4096,
                                          .literal = 200,
                                          .message = 1000,
                                          .stream = 1000,
                                          .depth = 8,
                                          .queue = 4096,
                                          .challenge = 100,
                                          .sasl_steps = 3};
  struct lm_imapc *s = lm_imapc_new(&limits);
  struct lm_imapc_event ev;
  unsigned how = size ? data[0] : 0;
  size_t at = 1, step = how & 32 ? 1 : how & 64 ? 7 : 4096;
  while (s && at < size && !lm_wire_failed(lm_imapc_wire(s))) {
    size_t n = size - at < step ? size - at : step;
    struct lm_str out;
    lm_wire_feed(lm_imapc_wire(s), (struct lm_str){(const char *)data + at, n});
    at += n;
    while (lm_imapc_next(s, &ev) == LM_EVENT) {
      react(s, &ev, how);
      while ((out = lm_wire_output(lm_imapc_wire(s))).n) lm_wire_sent(lm_imapc_wire(s), out.n);
    }
    while ((out = lm_wire_output(lm_imapc_wire(s))).n) lm_wire_sent(lm_imapc_wire(s), out.n);
  }
  lm_imapc_free(s);
  return 0;
}
