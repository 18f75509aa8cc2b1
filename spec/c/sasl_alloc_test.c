/*
** sasl_alloc_test.c: SASL exchanges of both sides in which the n-th allocation fails, for every n:
** each ends in a refusal, and what was held is given back.
*/
#include "check.h"
#include "fail.h"
#include "fake_gss.h"
#include "sasl/sasl.h"

static const char *played; /* the mechanism */

static struct lm_str text(const char *s) {
  return (struct lm_str){s, strlen(s)};
}

static bool step(struct lm_sasl *s, struct lm_str challenge, struct lm_str *out) {
  enum lm_sasl_answer answer = lm_sasl_step(s, challenge, out);
  while (answer == LM_SASL_WORKING) answer = lm_sasl_work(s, LM_SCRAM_SLICE, out);
  return answer == LM_SASL_SEND;
}

/* One message of the client's, and what the server wants to know meanwhile. */
static void receive(struct lm_sasl *s, struct lm_str response, struct lm_sasl_event *ev) {
  const struct lm_sasl_secret secret = {.password = LM_STR("p\xc3\xa4ss")};
  lm_sasl_receive(s, response, ev);
  while (ev->turn == LM_SASL_MORE) lm_sasl_continue(s, ev);
  if (ev->turn == LM_SASL_LOOKUP) lm_sasl_secret(s, &secret, ev);
  if (ev->turn == LM_SASL_CHECK || ev->turn == LM_SASL_TOKEN) lm_sasl_decide(s, true, ev);
}

static bool talk(struct lm_sasl *a, struct lm_sasl *b) {
  struct lm_sasl_event ev = {.turn = LM_SASL_CHALLENGE, .text = LM_STR("")};
  struct lm_str out = LM_NOSTR;
  int turns;
  if (lm_sasl_find(text(played))->has_initial && !lm_sasl_initial(a, &out)) return false;
  for (turns = 0; turns < 6; turns++) {
    receive(b, out, &ev);
    if (ev.turn == LM_SASL_ACCEPT) return lm_sasl_done(a);
    if (ev.turn != LM_SASL_CHALLENGE || !step(a, ev.text, &out)) return false;
  }
  return false;
}

static bool converse(void) {
  struct lm_sasl_credentials c = {.user = LM_STR("ann"),
                                  .password = LM_STR("p\xc3\xa4ss"),
                                  .token = LM_STR("t0ken"),
                                  .binding_name = LM_STR("tls-exporter"),
                                  .binding = LM_STR("octets")};
  struct lm_sasl_credentials ours = {
      .host = LM_STR("mx"), .binding_name = LM_STR("tls-exporter"), .binding = LM_STR("octets")};
  struct lm_sasl *a = NULL, *b = NULL;
  bool good = lm_sasl_new(lm_sasl_find(text(played)), &c, &a) == NULL &&
              lm_sasl_serve(lm_sasl_find(text(played)), &ours, &b) == NULL && talk(a, b);
  CHECK(good == (refused == 0));
  lm_sasl_free(a);
  lm_sasl_free(b);
  return good;
}

/* The client alone, against words that were written down. */
static bool answer(void) {
  struct lm_str challenge = LM_STR("realm=\"a\\\"b\",nonce=\"OA6MG9tEQGm2hh\",qop=\"auth\"");
  struct lm_sasl_credentials c = {.user = LM_STR("ann"),
                                  .password = LM_STR("secret"),
                                  .authzid = LM_STR("bob"),
                                  .service = LM_STR("imap"),
                                  .host = LM_STR("mx")};
  struct lm_sasl *s = NULL;
  struct lm_str out;
  bool good =
      lm_sasl_new(lm_sasl_find(text("DIGEST-MD5")), &c, &s) == NULL && step(s, challenge, &out);
  CHECK(good == (refused == 0));
  lm_sasl_free(s);
  return good;
}

static bool negotiate(void) {
  static const char type2[] = "NTLMSSP\0\2\0\0\0\0\0\0\0\0\0\0\0\63\202\212\342\1\43\105\147\211"
                              "\253\315\357\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
  struct lm_sasl_credentials c = {.user = LM_STR("D\\ann"), .password = LM_STR("secret")};
  struct lm_sasl *s = NULL;
  struct lm_str out;
  bool good = lm_sasl_new(lm_sasl_find(text("NTLM")), &c, &s) == NULL && lm_sasl_initial(s, &out) &&
              step(s, (struct lm_str){type2, sizeof type2 - 1}, &out);
  CHECK(good == (refused == 0));
  lm_sasl_free(s);
  return good;
}

/* GSSAPI over a library that needs memory, too. */
static bool show_ticket(void) {
  struct lm_sasl_credentials c = {.user = LM_STR("ann"),
                                  .service = LM_STR("imap"),
                                  .host = LM_STR("mx"),
                                  .ccache = LM_STR("FILE:t"),
                                  .gss = &fake_gss};
  struct lm_sasl *s = NULL;
  struct lm_str out;
  bool passes, good = lm_sasl_new(lm_sasl_find(text("GSSAPI")), &c, &s) == NULL &&
                      lm_sasl_prepare(s, &passes) && lm_sasl_initial(s, &out) &&
                      step(s, LM_STR("more"), &out) && step(s, LM_STR("proof"), &out) &&
                      step(s, LM_STR("W\1\0\0\0"), &out) && lm_sasl_done(s);
  CHECK(good == (refused == 0));
  lm_sasl_free(s);
  CHECK(fake_open == 0);
  return good;
}

int main(void) {
  static const char *const both[] = {"PLAIN",       "LOGIN",         "CRAM-MD5",
                                     "ANONYMOUS",   "OAUTHBEARER",   "XOAUTH2",
                                     "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512-PLUS"};
  size_t i;
  for (i = 0; i < sizeof both / sizeof *both; i++) {
    played = both[i];
    survive(converse, 4);
  }
  survive(answer, 6);
  survive(negotiate, 4);
  survive(show_ticket, 7);
  return check_end();
}
