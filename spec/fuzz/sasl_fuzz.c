/*
** sasl_fuzz.c: what a peer may say within SASL, to each mechanism, on both sides.
**
** The first octet chooses the mechanism, the second the side and what the user gave; the rest is the
** peer's messages, each with its length in front, 255 standing for one that was no base64. Whatever it
** is, nothing is read beyond it and every view is readable; SCRAM's client is never content, and a server
** accepts nobody: the only right password is one that the input cannot know.
*/
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../c/fake_gss.h"
#include "sasl/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sum; /* so that reading the views is not optimized away */

static void read_all(struct lm_str s) {
  size_t i;
  for (i = 0; i < s.n; i++) sum += (unsigned char)s.p[i];
}

/* The peer's messages that are left. */
struct input {
  const uint8_t *p;
  size_t n;
};

/* The next one; its memory is its own, so that a sanitizer sees every step beside it. */
static bool next(struct input *in, char **block, struct lm_str *out) {
  size_t i, n;
  if (in->n == 0) return false;
  n = in->p[0];
  in->p++, in->n--;
  *block = NULL;
  *out = LM_NOSTR;
  if (n == 255) return true;
  if (n > in->n) n = in->n;
  *block = malloc(n ? n : 1);
  if (*block == NULL) return false;
  for (i = 0; i < n; i++) (*block)[i] = (char)in->p[i];
  *out = (struct lm_str){*block, n};
  in->p += n, in->n -= n;
  return true;
}

static struct lm_sasl_credentials given(unsigned how) {
  struct lm_sasl_credentials c = {0};
  c.user = how & 1 ? LM_STR("ann, =\xC3\xBC") : LM_STR("ann");
  c.password = LM_STR("nobody guesses this");
  c.token = LM_STR("t0ken");
  if (how & 2) c.authzid = LM_STR("bob");
  c.service = LM_STR("imap");
  c.host = LM_STR("mx.example.org");
  c.gss = &fake_gss;
  c.port = LM_STR("993");
  c.now = 1700000000;
  c.nonce = LM_STR("fyko+d2lbbFgONRv9qkxdawL"); /* so that the input can have it in it */
  c.binding_name = LM_STR("tls-exporter");
  if (how & 4) c.binding = LM_STR("0123456789abcdef0123456789abcdef");
  c.binding_offered = (how & 8) != 0;
  return c;
}

static enum lm_sasl_answer settle(struct lm_sasl *s, enum lm_sasl_answer got, struct lm_str *out) {
  int slices = 0;
  while (got == LM_SASL_WORKING && slices++ < 64) got = lm_sasl_work(s, out);
  return got;
}

static bool is_scram(const struct lm_sasl_mechanism *m) {
  return strncmp(m->name, "SCRAM-", 6) == 0;
}

static void client(const struct lm_sasl_mechanism *m, unsigned how, struct input in) {
  struct lm_sasl_credentials c = given(how);
  struct lm_sasl *s = NULL;
  struct lm_str said, response;
  enum lm_sasl_answer got = LM_SASL_SEND;
  char *block;
  if (lm_sasl_new(m, &c, &s) != NULL) return;
  if (!(how & 16) && lm_sasl_initial(s, &response)) read_all(response);
  while (got == LM_SASL_SEND && next(&in, &block, &said)) {
    got = settle(s, lm_sasl_step(s, said, &response), &response);
    free(block);
    if (got == LM_SASL_SEND) read_all(response);
    read_all(lm_sasl_reason(s));
    if (got == LM_SASL_REFUSED && lm_sasl_why(s) == NULL) abort();
    if (is_scram(m) && lm_sasl_done(s) && lm_sasl_reason(s).n == 0) abort();
  }
  lm_sasl_free(s);
}

/* Answers what the mechanism cannot know; nobody's password is right. */
static void decide(struct lm_sasl *s, unsigned how, struct lm_sasl_event *ev) {
  struct lm_sasl_secret known = {0};
  if (ev->turn == LM_SASL_LOOKUP) {
    known.salt = LM_STR("0123456789abcdef");
    if (how & 32) known.password = LM_STR("nobody guesses this");
    lm_sasl_secret(s, &known, ev);
  } else {
    lm_sasl_decide(s, false, ev);
  }
}

static bool is_open(enum lm_sasl_turn turn) {
  return turn != LM_SASL_ACCEPT && turn != LM_SASL_DENY && turn != LM_SASL_NO_MEMORY;
}

static void server(const struct lm_sasl_mechanism *m, unsigned how, struct input in) {
  struct lm_sasl_credentials c = given(how);
  struct lm_sasl_event ev = {LM_SASL_CHALLENGE, LM_NOSTR, LM_NOSTR, LM_NOSTR, LM_NOSTR};
  struct lm_sasl *s = NULL;
  struct lm_str said;
  char *block;
  if (lm_sasl_serve(m, &c, &s) != NULL) return;
  while (is_open(ev.turn) && next(&in, &block, &said)) {
    int moves = 0;
    lm_sasl_receive(s, said, &ev);
    free(block);
    while (is_open(ev.turn) && ev.turn != LM_SASL_CHALLENGE && moves++ < 64) {
      read_all(ev.user), read_all(ev.password), read_all(ev.authzid);
      if (ev.turn == LM_SASL_MORE)
        lm_sasl_continue(s, &ev);
      else
        decide(s, how, &ev);
    }
    read_all(ev.text), read_all(ev.user), read_all(ev.authzid);
    if (ev.turn == LM_SASL_ACCEPT && (m->wants_secret || m->wants_token)) abort();
  }
  lm_sasl_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const struct lm_sasl_mechanism *const *all = lm_sasl_mechanisms();
  struct input in;
  size_t n = 0;
  if (size < 2) return 0;
  while (all[n]) n++;
  in = (struct input){data + 2, size - 2};
  if (data[1] & 128)
    server(all[data[0] % n], data[1], in);
  else
    client(all[data[0] % n], data[1], in);
  return 0;
}
